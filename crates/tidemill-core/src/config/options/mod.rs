//! Every option that has an effect, by group. To add one, declare it in its group's file: the documentation, the sample
//! configuration and `tidemill config` follow.

mod checkpoint_storage;
mod checkpointing;
mod checks;
mod execution;
mod memory;
mod network;
mod parallelism;
mod pipeline;
mod recovery;
mod rest;
mod restart;
mod rocksdb;
mod rocksdb_metrics;
mod sql_client;
mod state;
mod table;
mod tidemill;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use checkpoint_storage::*;
pub use checkpointing::*;
pub use execution::*;
pub use memory::*;
pub use network::*;
pub use parallelism::*;
pub use pipeline::*;
pub use recovery::*;
pub use rest::*;
pub use restart::*;
pub use rocksdb::*;
pub use rocksdb_metrics::*;
pub use sql_client::*;
pub use state::*;
pub use table::*;
pub use tidemill::*;

use super::AnyOption;

/// Options that are documented together.
///
/// ```
/// use tidemill_core::config::options;
///
/// let [first, ..] = options::groups();
/// assert_eq!(first.title, "Parallelism and slots");
/// assert_eq!(first.options[0].meta().key, "parallelism.default");
/// ```
#[derive(Clone, Copy)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// The options, in the order in which they are documented.
    pub options: &'static [&'static dyn AnyOption],
}

/// All groups, in the order in which they are documented.
///
/// ```
/// use tidemill_core::config::options;
///
/// let declared: usize = options::groups().iter().map(|group| group.options.len()).sum();
/// assert_eq!(declared, options::all().count());
/// ```
pub fn groups() -> [Group; 16] {
    [
        Group { title: "Parallelism and slots", options: parallelism::ALL },
        Group { title: "The job", options: pipeline::ALL },
        Group { title: "Execution", options: execution::ALL },
        Group { title: "Memory", options: memory::ALL },
        Group { title: "Network buffers", options: network::ALL },
        Group { title: "Checkpoints", options: checkpointing::ALL },
        Group { title: "Restarts", options: restart::ALL },
        Group { title: "Recovery", options: recovery::ALL },
        Group { title: "State", options: state::ALL },
        Group { title: "State in RocksDB", options: rocksdb::ALL },
        Group { title: "Figures of RocksDB", options: rocksdb_metrics::ALL },
        Group { title: "Checkpoint storage", options: checkpoint_storage::ALL },
        Group { title: "The REST interface", options: rest::ALL },
        Group { title: "SQL", options: table::ALL },
        Group { title: "The SQL shell", options: sql_client::ALL },
        Group { title: "Tidemill's own", options: tidemill::ALL },
    ]
}

/// All options.
///
/// ```
/// use tidemill_core::config::options;
///
/// assert!(options::all().all(|option| !option.meta().description.is_empty()));
/// ```
pub fn all() -> impl Iterator<Item = &'static dyn AnyOption> {
    groups().into_iter().flat_map(|group| group.options.iter().copied())
}

/// The option with this key, by its current spelling.
///
/// ```
/// use tidemill_core::config::options;
///
/// assert!(options::by_key("parallelism.default").is_some());
/// assert!(options::by_key("execution.buffer-timeout").is_none(), "an older spelling");
/// ```
pub fn by_key(key: &str) -> Option<&'static dyn AnyOption> {
    spelled(key).find(|option| option.meta().key == key)
}

/// The options that a key sets: by its current spelling, an older one, or, for maps, a key below its own.
///
/// ```
/// use tidemill_core::config::options;
///
/// let mut found = options::spelled("execution.buffer-timeout");
/// assert_eq!(found.next().unwrap().meta().key, "execution.buffer-timeout.interval");
/// ```
pub fn spelled(key: &str) -> impl Iterator<Item = &'static dyn AnyOption> {
    let exact = SPELLINGS.get(key).map(Vec::as_slice).unwrap_or_default();
    let below = MAPS.iter().filter(|option| {
        let meta = option.meta();
        let spellings = std::iter::once(&meta.key).chain(meta.deprecated);
        spellings
            .into_iter()
            .any(|own| key.strip_prefix(own).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.')))
    });
    let below: Vec<_> = below.copied().collect();
    exact.iter().copied().chain(below)
}

static SPELLINGS: LazyLock<HashMap<&'static str, Vec<&'static dyn AnyOption>>> = LazyLock::new(|| {
    let mut spellings: HashMap<&'static str, Vec<&'static dyn AnyOption>> = HashMap::new();
    for option in all() {
        let meta = option.meta();
        for key in std::iter::once(&meta.key).chain(meta.deprecated).copied() {
            spellings.entry(key).or_default().push(option);
        }
    }
    spellings
});

static MAPS: LazyLock<Vec<&'static dyn AnyOption>> =
    LazyLock::new(|| all().filter(|option| option.is_map()).collect());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_sound() {
        let mut keys = std::collections::HashSet::new();
        for option in all() {
            let meta = option.meta();
            assert!(keys.insert(meta.key), "{} is declared twice", meta.key);
            if let Some(default) = meta.default {
                assert_eq!(option.canonical(default).as_deref(), Ok(default), "{}: default", meta.key);
            }
            let sentence = meta.description.trim();
            assert!(sentence.ends_with('.') && sentence.len() > 20, "{}: {sentence}", meta.key);
        }
        assert_eq!(by_key("execution.buffer-timeout").map(|option| option.meta().key), None);
        assert_eq!(spelled("execution.buffer-timeout").count(), 1);
        assert_eq!(spelled("pipeline.jobvertex-parallelism-overrides.a").count(), 1);
        assert_eq!(spelled("pipeline.jobvertex-parallelism-overrides.").count(), 0);
    }
}
