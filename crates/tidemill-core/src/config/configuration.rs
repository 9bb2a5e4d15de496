//! The values that were set, each with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::options;
use super::{AnyOption, BadValue, ConfigError, ConfigOption, OptionMeta, OptionType, Scope};

/// Where a value was set.
///
/// ```
/// use tidemill_core::config::Origin;
///
/// let origin = Origin::File { path: "conf/config.yaml".into(), line: 7 };
/// assert_eq!(origin.to_string(), "conf/config.yaml:7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file.
    File {
        /// As the user would open it.
        path: Arc<str>,
        /// Counted from 1.
        line: usize,
    },
    /// On the command line, with `-D`.
    CommandLine,
    /// By the program, through the API.
    Api,
    /// By Tidemill, from what this text says.
    Derived(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{path}:{line}"),
            Origin::CommandLine => f.write_str("-D"),
            Origin::Api => f.write_str("set by the program"),
            Origin::Derived(text) => f.write_str(text),
        }
    }
}

/// A value as it was written.
///
/// ```
/// use tidemill_core::config::{Configuration, Entry, Origin};
///
/// let mut configuration = Configuration::new();
/// let entry = Entry { value: "4".into(), origin: Origin::CommandLine };
/// configuration.insert("parallelism.default", entry.clone());
/// assert_eq!(configuration.get_raw("parallelism.default"), Some(&entry));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The text.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
}

/// What an option was set to, and under which spelling.
struct Found<'a> {
    key: &'a str,
    origin: &'a Origin,
    text: FoundText<'a>,
}

enum FoundText<'a> {
    Value(&'a str),
    /// Keys below the option's own, as a map may be written.
    Below(Vec<(&'a str, &'a str)>),
}

/// A set of values by key. Reading one is typed; a value that was checked by [`diagnose`](Self::diagnose) reads without
/// error.
///
/// ```
/// use tidemill_core::config::{Configuration, Origin, options};
///
/// let mut file = Configuration::new();
/// file.set_raw("parallelism.default", "2", Origin::File { path: "config.yaml".into(), line: 1 });
/// let mut program = Configuration::new();
/// program.set(&options::PARALLELISM, &8);
/// file.overlay(&program);
/// assert_eq!(file.get(&options::PARALLELISM)?, 8);
/// assert_eq!(file.origin(&options::PARALLELISM), Some(("parallelism.default", &Origin::Api)));
/// # Ok::<(), tidemill_core::config::ConfigError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    entries: BTreeMap<String, Entry>,
}

/// All entries; the values of [sensitive](super::is_sensitive) keys are hidden.
impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, entry): (&String, &Entry)| {
            let value = if super::is_sensitive(key) { super::secret::HIDDEN } else { &entry.value };
            (key.clone(), format!("{value:?} ({})", entry.origin))
        };
        f.debug_map().entries(self.entries.iter().map(shown)).finish()
    }
}

impl Configuration {
    /// With nothing set.
    ///
    /// ```
    /// use tidemill_core::config::Configuration;
    ///
    /// assert!(Configuration::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of an option: as set under its key, else under an older spelling, else that of a fallback key, else the
    /// default.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, options};
    ///
    /// let mut configuration = Configuration::new();
    /// assert_eq!(configuration.get(&options::PARALLELISM)?, 1, "the default");
    /// configuration.set(&options::PARALLELISM, &8);
    /// assert_eq!(configuration.get(&options::PARALLELISM)?, 8);
    /// # Ok::<(), tidemill_core::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::InvalidValue`] if the text is no such value, [`ConfigError::Missing`] if it is not set and has no
    /// default.
    pub fn get<T: OptionType>(&self, option: &ConfigOption<T>) -> Result<T, ConfigError> {
        if let Some(value) = self.get_optional(option)? {
            return Ok(value);
        }
        let meta = option.meta();
        let default = meta.default.ok_or(ConfigError::Missing { key: meta.key })?;
        option.parse(default).map_err(|reason| ConfigError::InvalidValue {
            key: meta.key.into(),
            value: default.into(),
            expected: T::type_name().into(),
            reason,
            origin: Origin::Derived("default".into()),
        })
    }

    /// The value of an option if it is set under any of its spellings; the default does not count.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, options};
    ///
    /// let configuration = Configuration::new();
    /// assert_eq!(configuration.get(&options::PARALLELISM)?, 1);
    /// assert_eq!(configuration.get_optional(&options::PARALLELISM)?, None);
    /// # Ok::<(), tidemill_core::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::InvalidValue`] if the text is no such value.
    pub fn get_optional<T: OptionType>(&self, option: &ConfigOption<T>) -> Result<Option<T>, ConfigError> {
        let Some(found) = self.find(option.meta()) else { return Ok(None) };
        let parsed = match &found.text {
            FoundText::Value(text) => option.parse(text),
            FoundText::Below(entries) => {
                let no_map = || Err(BadValue::new("it takes one value"));
                option.parse_entries(entries).unwrap_or_else(no_map)
            }
        };
        parsed.map(Some).map_err(|reason| found.invalid(option, reason))
    }

    /// Whether an option is set under any of its spellings.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin, options};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("execution.buffer-timeout", "5 ms", Origin::Api);
    /// assert!(configuration.contains(&options::BUFFER_TIMEOUT_INTERVAL), "under an older spelling");
    /// ```
    pub fn contains(&self, option: &dyn AnyOption) -> bool {
        self.find(option.meta()).is_some()
    }

    /// Where the value that [`get`](Self::get) returns was set, and under which key; `None` if it is the default.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin, options};
    ///
    /// let mut configuration = Configuration::new();
    /// assert_eq!(configuration.origin(&options::PARALLELISM), None);
    /// configuration.set_raw("parallelism.default", "2", Origin::CommandLine);
    /// let origin = configuration.origin(&options::PARALLELISM);
    /// assert_eq!(origin, Some(("parallelism.default", &Origin::CommandLine)));
    /// ```
    pub fn origin(&self, option: &dyn AnyOption) -> Option<(&str, &Origin)> {
        self.find(option.meta()).map(|found| (found.key, found.origin))
    }

    /// The text an option is set to, in canonical spelling if it can be read; `None` if it is the default.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin, options};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("taskmanager.memory.managed.size", "1024 mb", Origin::CommandLine);
    /// assert_eq!(configuration.text(&options::MANAGED_SIZE).as_deref(), Some("1 gb"));
    /// ```
    pub fn text(&self, option: &dyn AnyOption) -> Option<String> {
        let found = self.find(option.meta())?;
        Some(match found.text {
            FoundText::Value(text) => option.canonical(text).unwrap_or_else(|_| text.to_owned()),
            FoundText::Below(entries) => match option.canonical_entries(&entries) {
                Some(Ok(text)) => text,
                _ => super::structured::join_map(entries),
            },
        })
    }

    /// Checks that the value of one option can be read.
    ///
    /// # Errors
    /// [`ConfigError::InvalidValue`] if it cannot.
    pub(super) fn check(&self, option: &dyn AnyOption) -> Result<(), ConfigError> {
        let Some(found) = self.find(option.meta()) else { return Ok(()) };
        let checked = match &found.text {
            FoundText::Value(text) => option.canonical(text),
            FoundText::Below(entries) => {
                option.canonical_entries(entries).unwrap_or_else(|| Ok(String::new()))
            }
        };
        checked.map(|_| ()).map_err(|reason| found.invalid(option, reason))
    }

    /// Sets an option, in place of whatever any spelling of it was set to.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin, options};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("execution.buffer-timeout", "5 ms", Origin::CommandLine);
    /// configuration.set(&options::PARALLELISM, &8);
    /// assert_eq!(configuration.iter().count(), 2);
    /// ```
    pub fn set<T: OptionType>(&mut self, option: &ConfigOption<T>, value: &T) {
        self.set_raw(option.key(), value.to_text(), Origin::Api);
    }

    /// Sets an option on behalf of a job.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, MemorySize, options};
    ///
    /// let mut configuration = Configuration::new();
    /// assert!(configuration.set_by_job(&options::PARALLELISM, &4).is_ok());
    /// let size = MemorySize::from_mebibytes(512);
    /// assert!(configuration.set_by_job(&options::MANAGED_SIZE, &size).is_err());
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::NotForJobs`] if only the process may set it.
    pub fn set_by_job<T: OptionType>(
        &mut self,
        option: &ConfigOption<T>,
        value: &T,
    ) -> Result<(), ConfigError> {
        match option.meta().scope {
            Scope::Job => {
                self.set(option, value);
                Ok(())
            }
            Scope::Cluster => Err(ConfigError::NotForJobs { key: option.key() }),
        }
    }

    /// Sets a key to a text, which [`diagnose`](Self::diagnose) can check. Other spellings of the same option
    /// are forgotten: the last one to be set wins.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin, options};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("parallelism.default", "many", Origin::CommandLine);
    /// assert!(configuration.get(&options::PARALLELISM).is_err());
    /// assert_eq!(configuration.diagnose().errors.len(), 1);
    /// ```
    pub fn set_raw(&mut self, key: impl Into<String>, value: impl Into<String>, origin: Origin) {
        let key = key.into();
        self.forget(&key);
        self.insert(key, Entry { value: value.into(), origin });
    }

    /// Adds one entry as it was written, whatever else is set. This is for loading one file: an exact key there wins over
    /// its older spellings wherever they stand.
    ///
    /// Returns what the same key was set to before.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Entry, Origin};
    ///
    /// let mut configuration = Configuration::new();
    /// let entry = |value: &str| Entry { value: value.into(), origin: Origin::CommandLine };
    /// assert!(configuration.insert("parallelism.default", entry("2")).is_none());
    /// assert_eq!(configuration.insert("parallelism.default", entry("4")), Some(entry("2")));
    /// ```
    pub fn insert(&mut self, key: impl Into<String>, entry: Entry) -> Option<Entry> {
        self.entries.insert(key.into(), entry)
    }

    /// Sets everything that another configuration sets; where both set an option, under whatever spelling, `other`
    /// wins.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin};
    ///
    /// let mut below = Configuration::new();
    /// below.set_raw("execution.buffer-timeout", "5 ms", Origin::Api);
    /// let mut above = Configuration::new();
    /// above.set_raw("execution.buffer-timeout.interval", "1 ms", Origin::CommandLine);
    /// below.overlay(&above);
    /// assert_eq!(below, above, "two spellings of one option");
    /// ```
    pub fn overlay(&mut self, other: &Configuration) {
        let mut above = other.clone();
        for key in other.entries.keys() {
            self.forget(key);
        }
        self.entries.append(&mut above.entries);
    }

    /// What a key is set to, exactly as it was written.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("parallelism.default", " 2 ", Origin::CommandLine);
    /// assert_eq!(configuration.get_raw("parallelism.default").map(|entry| &*entry.value), Some(" 2 "));
    /// ```
    pub fn get_raw(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All keys and values, ordered by key.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("pipeline.name", "flights", Origin::Api);
    /// configuration.set_raw("parallelism.default", "2", Origin::Api);
    /// let keys: Vec<&str> = configuration.iter().map(|(key, _)| key).collect();
    /// assert_eq!(keys, ["parallelism.default", "pipeline.name"]);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// Whether nothing is set.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, options};
    ///
    /// let mut configuration = Configuration::new();
    /// assert!(configuration.is_empty());
    /// configuration.set(&options::PARALLELISM, &8);
    /// assert!(!configuration.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find<'a>(&'a self, meta: &OptionMeta) -> Option<Found<'a>> {
        let keys = std::iter::once(&meta.key).chain(meta.deprecated).chain(meta.fallback);
        keys.copied().find_map(|key| {
            if let Some((key, entry)) = self.entries.get_key_value(key) {
                let text = FoundText::Value(&entry.value);
                return Some(Found { key, origin: &entry.origin, text });
            }
            let mut below = self.below(key).peekable();
            let (first, entry) = below.peek().copied()?;
            let option = options::by_key(meta.key)?;
            if !option.is_map() {
                return None;
            }
            let prefix = key.len() + 1;
            let (key, origin) = (first, &entry.origin);
            let text =
                FoundText::Below(below.map(|(key, entry)| (&key[prefix..], entry.value.as_str())).collect());
            Some(Found { key, origin, text })
        })
    }

    fn below(&self, key: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let prefix = format!("{key}.");
        self.entries
            .range(prefix.clone()..)
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, entry)| (key.as_str(), entry))
    }

    /// Forgets every spelling of the options that a key sets.
    fn forget(&mut self, key: &str) {
        for option in options::spelled(key) {
            let meta = option.meta();
            for spelling in std::iter::once(&meta.key).chain(meta.deprecated) {
                self.entries.remove(*spelling);
                if option.is_map() {
                    self.remove_below(spelling);
                }
            }
        }
    }

    fn remove_below(&mut self, key: &str) {
        let keys: Vec<String> = self.below(key).map(|(key, _)| key.to_owned()).collect();
        for key in keys {
            self.entries.remove(&key);
        }
    }
}

impl Found<'_> {
    fn invalid(&self, option: &dyn AnyOption, reason: BadValue) -> ConfigError {
        ConfigError::InvalidValue {
            key: match self.text {
                FoundText::Value(_) => self.key.into(),
                FoundText::Below(_) => option.meta().key.into(),
            },
            value: match &self.text {
                FoundText::Value(text) => (*text).into(),
                FoundText::Below(entries) => super::structured::join_map(entries.iter().copied()).into(),
            },
            expected: option.type_name().into(),
            reason,
            origin: self.origin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn file(line: usize) -> Origin {
        Origin::File { path: "config.yaml".into(), line }
    }

    fn insert(configuration: &mut Configuration, key: &str, value: &str, line: usize) {
        configuration.insert(key, Entry { value: value.to_owned(), origin: file(line) });
    }

    #[test]
    fn the_exact_key_wins_over_older_spellings_in_one_file() {
        let mut configuration = Configuration::new();
        insert(&mut configuration, "execution.buffer-timeout.interval", "5 ms", 1);
        insert(&mut configuration, "execution.buffer-timeout", "-1", 2);
        let option = &options::BUFFER_TIMEOUT_INTERVAL;
        assert_eq!(configuration.get(option).unwrap(), Some(Duration::from_millis(5)));
        assert_eq!(configuration.origin(option), Some(("execution.buffer-timeout.interval", &file(1))));
    }

    #[test]
    fn what_is_set_later_wins_under_any_spelling() {
        let mut below = Configuration::new();
        insert(&mut below, "execution.buffer-timeout.interval", "5 ms", 1);
        insert(&mut below, "pipeline.jobvertex-parallelism-overrides.a", "1", 2);
        let mut above = Configuration::new();
        above.set_raw("execution.buffer-timeout", "-1", Origin::CommandLine);
        above.set_raw("pipeline.jobvertex-parallelism-overrides", "b:2", Origin::CommandLine);
        below.overlay(&above);
        assert_eq!(below.get(&options::BUFFER_TIMEOUT_INTERVAL).unwrap(), None);
        assert_eq!(below.get(&options::PARALLELISM_OVERRIDES).unwrap(), [("b".to_owned(), 2)].into());
        below.set(&options::BUFFER_TIMEOUT_INTERVAL, &Some(Duration::ZERO));
        assert_eq!(below.get(&options::BUFFER_TIMEOUT_INTERVAL).unwrap(), Some(Duration::ZERO));
        assert_eq!(below.iter().count(), 2);
    }

    #[test]
    fn a_map_may_be_one_text_or_keys_below() {
        let mut configuration = Configuration::new();
        insert(&mut configuration, "pipeline.jobvertex-parallelism-overrides.a", "1", 3);
        insert(&mut configuration, "pipeline.jobvertex-parallelism-overrides.b", "2", 4);
        let expected = [("a".to_owned(), 1), ("b".to_owned(), 2)].into();
        assert_eq!(configuration.get(&options::PARALLELISM_OVERRIDES).unwrap(), expected);
        assert_eq!(configuration.text(&options::PARALLELISM_OVERRIDES).unwrap(), "a:1,b:2");
        insert(&mut configuration, "pipeline.jobvertex-parallelism-overrides.b", "x", 4);
        let error = configuration.get(&options::PARALLELISM_OVERRIDES).unwrap_err().to_string();
        assert!(error.starts_with("config.yaml:3: "), "{error}");
        assert!(error.contains("'b': expected a whole number"), "{error}");
    }

    #[test]
    fn errors_say_where_and_under_which_spelling() {
        let mut configuration = Configuration::new();
        insert(&mut configuration, "execution.buffer-timeout", "soon", 7);
        let error = configuration.get(&options::BUFFER_TIMEOUT_INTERVAL).unwrap_err();
        assert_eq!(
            error.to_string(),
            "config.yaml:7: Could not parse value 'soon' for key 'execution.buffer-timeout' \
             (Duration, or -1): text does not start with a number"
        );
        let missing = Configuration::new().get(&options::PROCESS_SIZE).unwrap_err();
        assert!(matches!(missing, ConfigError::Missing { key: "taskmanager.memory.process.size" }));
    }

    #[test]
    fn a_job_cannot_set_what_belongs_to_the_process() {
        let mut configuration = Configuration::new();
        configuration.set_by_job(&options::PARALLELISM, &4).unwrap();
        let error = configuration.set_by_job(&options::TASK_SLOTS, &4).unwrap_err();
        assert!(error.to_string().contains("taskmanager.numberOfTaskSlots"), "{error}");
        assert_eq!(configuration.get(&options::PARALLELISM).unwrap(), 4);
        assert!(!configuration.contains(&options::TASK_SLOTS));
    }
}
