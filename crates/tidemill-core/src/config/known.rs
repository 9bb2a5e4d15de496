//! The keys of Flink that Tidemill does not declare: all of Flink 2.3, those of 1.x that Flink 2 dropped, and the
//! patterns of keys that are named by users, plugins or libraries.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use super::{BadValue, MemorySize, OptionType, options, parse_duration};

/// One option of Flink.
///
/// ```
/// use tidemill_core::config::known::flink_options;
///
/// let option = flink_options().iter().find(|option| option.key == "rest.port").unwrap();
/// assert_eq!((option.type_name, option.default), ("Integer", "8081"));
/// assert!(option.check("8082").is_ok() && option.check("port").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct FlinkOption {
    /// The key; `<name>` and `#` stand for anything.
    pub key: &'static str,
    /// The type by Flink's name, such as `Duration` or `Enum{A/B}`.
    pub type_name: &'static str,
    /// The default as Flink writes it; empty if there is none.
    pub default: &'static str,
    /// Older spellings.
    pub deprecated: Vec<&'static str>,
    /// Whether it belongs into the definition of a table, a catalog or a reporter, where its key is as short as this.
    pub of_connector: bool,
}

impl FlinkOption {
    /// Whether Flink would accept a text as a value.
    ///
    /// # Errors
    /// The reason why it would not.
    pub fn check(&self, text: &str) -> Result<(), BadValue> {
        match self.type_name {
            "Boolean" => bool::parse(text).map(|_| ()),
            "Integer" => i32::parse(text).map(|_| ()),
            "Long" => i64::parse(text).map(|_| ()),
            "Float" => f32::parse(text).map(|_| ()),
            "Double" => f64::parse(text).map(|_| ()),
            "Duration" => parse_duration(text).map(|_| ()),
            "MemorySize" => MemorySize::parse(text).map(|_| ()),
            name => match name.strip_prefix("Enum{").and_then(|rest| rest.strip_suffix('}')) {
                Some(words) if !words.split('/').any(|word| word.eq_ignore_ascii_case(text.trim())) => {
                    Err(BadValue::new(format!("expected one of {}", words.replace('/', ", "))))
                }
                _ => Ok(()),
            },
        }
    }
}

/// Why a key of Flink has no effect in Tidemill.
///
/// ```
/// use tidemill_core::config::known::Use;
///
/// assert_eq!(Use::OnlyJvm.to_string(), "is not used: only a JVM needs it");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// What it controls is planned.
    NotYet,
    /// What it controls exists only in a JVM.
    OnlyJvm,
    /// What it controls does not exist in Tidemill.
    None,
    /// It belongs elsewhere.
    Connector,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Use::NotYet => "is not yet in effect in Tidemill",
            Use::OnlyJvm => "is not used: only a JVM needs it",
            Use::None => "is not used by Tidemill",
            Use::Connector => "is not used here: it belongs to a table, catalog or reporter",
        })
    }
}

/// What is known of a key that Tidemill does not declare.
///
/// ```
/// use tidemill_core::config::known::{Known, Use, lookup};
///
/// let Some(Known::Flink { use_of, .. }) = lookup("env.java.opts.all") else { panic!() };
/// assert_eq!(use_of, Use::OnlyJvm);
/// ```
#[derive(Clone, Debug)]
pub enum Known {
    /// Flink 2.3 has it.
    Flink {
        /// The option.
        option: &'static FlinkOption,
        /// The current key, if an older one was looked up.
        spelled_as: Option<&'static str>,
        /// Why it has no effect.
        use_of: Use,
    },
    /// Flink 1.x had it, and Flink 2 ignores it.
    Removed {
        /// What to do with it.
        advice: &'static str,
    },
    /// It belongs to a family of keys that users, plugins or libraries name.
    Pattern {
        /// Why it has no effect.
        use_of: Use,
    },
}

/// Families of keys, by how they begin. More than one may fit: the longest counts.
const PATTERNS: &[(&str, Use)] = &[
    ("akka.", Use::OnlyJvm),
    ("containerized.", Use::None),
    ("env.", Use::None),
    ("env.java.", Use::OnlyJvm),
    ("events.reporter.", Use::NotYet),
    ("external-resource.", Use::None),
    ("flink.hadoop.", Use::None),
    ("flink.yarn.", Use::None),
    ("fs.", Use::NotYet),
    ("gs.", Use::NotYet),
    ("kubernetes.", Use::None),
    ("metrics.reporter.", Use::NotYet),
    ("metrics.reporters", Use::NotYet),
    ("metrics.scope.", Use::NotYet),
    ("oss.", Use::NotYet),
    ("pekko.", Use::OnlyJvm),
    ("presto.s3.", Use::NotYet),
    ("s3.", Use::NotYet),
    ("s3a.", Use::NotYet),
    ("security.", Use::None),
    ("sql-gateway.endpoint.", Use::NotYet),
    ("traces.reporter.", Use::NotYet),
    ("yarn.", Use::None),
    ("zookeeper.", Use::None),
];

/// Why the options of Flink 2.3 have no effect, by how they begin; the longest beginning counts, and what is not
/// here has no use at all.
const USES: &[(&str, Use)] = &[
    ("classloader.", Use::OnlyJvm),
    ("cluster.intercept-user-system-exit", Use::OnlyJvm),
    ("cluster.uncaught-exception-handling", Use::OnlyJvm),
    ("env.java.", Use::OnlyJvm),
    ("execution.checkpointing.", Use::NotYet),
    ("execution.runtime-mode", Use::NotYet),
    ("execution.state-recovery.", Use::NotYet),
    ("fs.", Use::NotYet),
    ("heartbeat.", Use::NotYet),
    ("io.tmp.dirs", Use::NotYet),
    ("jmx.", Use::OnlyJvm),
    ("jobmanager.rpc.", Use::NotYet),
    ("metrics.", Use::NotYet),
    ("pekko.", Use::OnlyJvm),
    ("pipeline.classpaths", Use::OnlyJvm),
    ("pipeline.closure-cleaner-level", Use::OnlyJvm),
    ("pipeline.force-avro", Use::OnlyJvm),
    ("pipeline.force-kryo", Use::OnlyJvm),
    ("pipeline.generic-types", Use::NotYet),
    ("pipeline.jars", Use::OnlyJvm),
    ("pipeline.object-reuse", Use::OnlyJvm),
    ("pipeline.vertex-", Use::NotYet),
    ("process.", Use::NotYet),
    ("python.", Use::None),
    ("rest.", Use::NotYet),
    ("restart-strategy.", Use::NotYet),
    ("sql-client.", Use::NotYet),
    ("sql-gateway.", Use::NotYet),
    ("state.", Use::NotYet),
    ("state.backend.forst.", Use::None),
    ("table.", Use::NotYet),
    ("taskmanager.data.", Use::NotYet),
    ("taskmanager.host", Use::NotYet),
    ("taskmanager.jvm-exit-on-oom", Use::OnlyJvm),
    ("taskmanager.load-balance.", Use::NotYet),
    ("taskmanager.memory.", Use::NotYet),
    ("taskmanager.network.", Use::NotYet),
    ("taskmanager.network.netty.", Use::OnlyJvm),
    ("taskmanager.rpc.", Use::NotYet),
    ("web.", Use::NotYet),
];

static FLINK: LazyLock<Vec<FlinkOption>> = LazyLock::new(|| {
    data_lines(include_str!("flink-2.3.tsv"))
        .map(|line| {
            let mut columns = line.split('\t');
            let mut next = || columns.next().unwrap_or("");
            let (key, type_name, default, older, kind) = (next(), next(), next(), next(), next());
            let deprecated = older.split(' ').filter_map(|key| key.strip_suffix("(D)")).collect();
            FlinkOption { key, type_name, default, deprecated, of_connector: kind == "c" }
        })
        .collect()
});

/// Every spelling of Flink's options with the place of the option.
static SPELLINGS: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| {
    let older = FLINK.iter().enumerate().flat_map(|(i, o)| o.deprecated.iter().map(move |key| (*key, i)));
    // Current keys come last: one of them may be an older spelling of another option.
    older.chain(FLINK.iter().enumerate().map(|(i, o)| (o.key, i))).collect()
});

static REMOVED: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    data_lines(include_str!("flink-removed.tsv")).filter_map(|line| line.split_once('\t')).collect()
});

fn data_lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// All options of Flink 2.3, ordered by key.
///
/// ```
/// use tidemill_core::config::known::flink_options;
///
/// assert!(flink_options().is_sorted_by_key(|option| option.key));
/// ```
pub fn flink_options() -> &'static [FlinkOption] {
    &FLINK
}

/// The keys of Flink 1.x that Flink 2 ignores, ordered, with what to do with each.
///
/// ```
/// use tidemill_core::config::known::{Known, lookup, removed_keys};
///
/// assert!(removed_keys().iter().all(|(key, _)| matches!(lookup(key), Some(Known::Removed { .. }))));
/// ```
pub fn removed_keys() -> Vec<(&'static str, &'static str)> {
    let mut keys: Vec<_> = REMOVED.iter().map(|(key, advice)| (*key, *advice)).collect();
    keys.sort_unstable();
    keys
}

/// What is known of a key, under any spelling, that Tidemill does not declare.
///
/// ```
/// use tidemill_core::config::known::lookup;
///
/// assert!(lookup("env.java.home").is_some(), "a family of keys");
/// assert!(lookup("rest.port").is_some(), "an option");
/// assert!(lookup("no.such.key").is_none());
/// ```
pub fn lookup(key: &str) -> Option<Known> {
    if let Some(advice) = REMOVED.get(key) {
        return Some(Known::Removed { advice });
    }
    if let Some(option) = SPELLINGS.get(key).and_then(|index| FLINK.get(*index)) {
        let spelled_as = (option.key != key).then_some(option.key);
        return Some(Known::Flink { option, spelled_as, use_of: use_of(option) });
    }
    // A map may be written as keys below its own.
    let map = FLINK.iter().find(|option| {
        option.type_name == "Map" && key.strip_prefix(option.key).is_some_and(|rest| rest.starts_with('.'))
    });
    if let Some(option) = map {
        return Some(Known::Pattern { use_of: use_of(option) });
    }
    longest(PATTERNS, key).map(|use_of| Known::Pattern { use_of })
}

/// Why an option of Flink that Tidemill does not declare has no effect.
///
/// ```
/// use tidemill_core::config::known::{Use, flink_options, use_of};
///
/// let jvm = flink_options().iter().filter(|option| option.key.starts_with("env.java."));
/// assert!(jvm.map(use_of).all(|use_of| use_of == Use::OnlyJvm));
/// ```
pub fn use_of(option: &FlinkOption) -> Use {
    if option.of_connector { Use::Connector } else { longest(USES, option.key).unwrap_or(Use::None) }
}

fn longest(table: &[(&str, Use)], key: &str) -> Option<Use> {
    let fitting = table.iter().filter(|(prefix, _)| key.starts_with(prefix));
    fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(_, use_of)| *use_of)
}

/// The known key that is the fewest edits away, Tidemill's own options first among equals; where that is an older spelling, the
/// current one. `None` when nothing is near.
///
/// ```
/// use tidemill_core::config::known::nearest;
///
/// assert_eq!(nearest("parallelism.defalt"), Some("parallelism.default"));
/// assert_eq!(nearest("something.else"), None);
/// ```
pub fn nearest(key: &str) -> Option<&'static str> {
    let declared = options::all().flat_map(|option| {
        let meta = option.meta();
        std::iter::once(meta.key).chain(meta.deprecated.iter().copied()).map(|spelling| (spelling, meta.key))
    });
    let flink = FLINK.iter().filter(|option| !option.of_connector).flat_map(|option| {
        std::iter::once(option.key)
            .chain(option.deprecated.iter().copied())
            .map(|spelling| (spelling, option.key))
    });
    // A key that is much longer than any known one is near to none, and takes long to compare.
    let key = key.to_lowercase();
    let length = key.chars().count();
    if length > 200 {
        return None;
    }
    // One wrong letter in five is a slip, more is another word.
    let most = (length / 5).max(1);
    let distances = declared
        .chain(flink)
        // The distance is at least the difference of the lengths, and takes much longer to find out.
        .filter(|(spelling, _)| spelling.len().abs_diff(length) <= most)
        .map(|(spelling, current)| (strsim::osa_distance(&key, &spelling.to_lowercase()), current));
    let (distance, current) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= most).then_some(current)
}

/// A known key below a group such as `taskmanager.memory`.
pub(super) fn example_below(group: &str) -> Option<&'static str> {
    let prefix = format!("{group}.");
    let mut declared = options::all().map(|option| option.meta().key);
    let flink = || FLINK.iter().map(|option| option.key).find(|key| key.starts_with(&prefix));
    declared.find(|key| key.starts_with(&prefix)).or_else(flink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete() {
        assert_eq!(FLINK.len(), 1040);
        assert!(FLINK.iter().all(|option| !option.type_name.is_empty()));
        assert!(FLINK.is_sorted_by_key(|option| option.key));
        assert!(REMOVED.values().all(|advice| advice.starts_with("use ")
            || advice.starts_with("set ")
            || advice.starts_with("remove it")));
    }

    #[test]
    fn declared_options_of_flink_have_its_default_and_type() {
        for option in options::all() {
            let meta = option.meta();
            let Some(flink) = FLINK.iter().find(|flink| flink.key == meta.key) else { continue };
            let own_default = match meta.key {
                "taskmanager.memory.network.max" => true, // "unbounded", which is no text that could be read
                "rest.bind-port" => true, // a range, since every job has an interface of its own
                "rest.port" => true,      // would be in the way of that range
                "rest.bind-address" => true, // what Flink's own config.yaml sets, not all addresses
                _ => false,
            };
            let same = |text: &str| option.canonical(text).ok();
            // "<...>" stands for what Flink finds out when it starts.
            let written = !flink.default.is_empty() && !flink.default.starts_with('<');
            let flink_default = written.then_some(flink.default);
            let flink_default = flink_default.map(|text| if text == "Int.MAX" { "2147483647" } else { text });
            if !own_default {
                assert_eq!(flink_default.and_then(same), meta.default.and_then(same), "{}", meta.key);
            }
            assert_eq!(flink.deprecated, meta.deprecated, "{}", meta.key);
            let type_name = option.type_name();
            // Where Flink takes the name of a class besides, only the names that mean something here are left.
            let named = flink.type_name == "String" && type_name.starts_with("Enum");
            let outer = flink.type_name.split('{').next().unwrap_or_default();
            assert!(named || type_name.starts_with(outer), "{}: {type_name}", meta.key);
        }
    }

    #[test]
    fn only_what_is_near_is_suggested_and_by_its_current_spelling() {
        for (key, expected) in [
            ("paralelism.default", Some("parallelism.default")),
            ("Parallelism.Default", Some("parallelism.default")),
            ("taskmanager.numberOfTaskSlot", Some("taskmanager.numberOfTaskSlots")),
            // One letter from an older spelling.
            ("taskmanager.memory.sise", Some("taskmanager.memory.managed.size")),
            ("state.backend.incrementall", Some("execution.checkpointing.incremental")),
            ("colour", None),
            ("my.own.option.of.this.job", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(key), expected, "{key}");
        }
        assert_eq!(nearest(&"a".repeat(1000)), None);
    }

    #[test]
    fn the_longest_family_counts() {
        let use_of = |key| match lookup(key) {
            Some(Known::Flink { use_of, .. } | Known::Pattern { use_of }) => Some(use_of),
            _ => None,
        };
        assert_eq!(use_of("state.backend.rocksdb.options-factory"), Some(Use::NotYet));
        assert_eq!(use_of("state.backend.forst.cache.dir"), Some(Use::None));
        assert_eq!(use_of("akka.log.level.of.mine"), Some(Use::OnlyJvm));
        assert_eq!(use_of("kubernetes.anything"), Some(Use::None));
        assert_eq!(use_of("path"), Some(Use::Connector));
        assert_eq!(use_of("pipeline.global-job-parameters.mine"), Some(Use::None));
        assert_eq!(use_of("nothing.of.this"), None);
    }
}
