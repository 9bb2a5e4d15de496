//! What an option is, and how one is declared.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::BadValue;

/// Who may set an option.
///
/// ```
/// use tidemill_core::config::{AnyOption, Scope, options};
///
/// assert_eq!(options::PARALLELISM.meta().scope, Scope::Job);
/// assert_eq!(options::MANAGED_SIZE.meta().scope.to_string(), "cluster");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The configuration file, the command line, or the job itself.
    Job,
    /// The configuration file or the command line: it is read when the process starts.
    Cluster,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Scope::Job => "job",
            Scope::Cluster => "cluster",
        })
    }
}

/// A type that the value of an option can have: how it is written, and what it is called.
///
/// ```
/// use std::time::Duration;
/// use tidemill_core::config::OptionType;
///
/// assert_eq!(Duration::type_name(), "Duration");
/// assert_eq!(Duration::parse("1s")?.to_text(), "1 s");
/// assert!(bool::from_entries(&[("a", "b")]).is_none(), "no map");
/// # Ok::<(), tidemill_core::config::BadValue>(())
/// ```
pub trait OptionType: Sized + Clone + Send + Sync + 'static {
    /// What Flink's documentation calls it: `Integer`, `Duration`, `Enum {AUTO, ALWAYS}`.
    fn type_name() -> Cow<'static, str>;

    /// Reads a text.
    ///
    /// # Errors
    /// The reason why the text is none of this type.
    fn parse(text: &str) -> Result<Self, BadValue>;

    /// The text that [`parse`](Self::parse) reads back to an equal value, in Flink's spelling.
    fn to_text(&self) -> String;

    /// Reads keys below the option's own, for types that are maps; `None` for all others.
    fn from_entries(_entries: &[(&str, &str)]) -> Option<Result<Self, BadValue>> {
        None
    }
}

/// What an option is apart from its type.
///
/// ```
/// use tidemill_core::config::{AnyOption, options};
///
/// let meta = options::BUFFER_TIMEOUT_INTERVAL.meta();
/// assert_eq!(meta.default, Some("100 ms"));
/// assert_eq!(meta.deprecated, ["execution.buffer-timeout"]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OptionMeta {
    /// The key, as in `parallelism.default`.
    pub key: &'static str,
    /// The default as it would be written, or `None` if there is none.
    pub default: Option<&'static str>,
    /// Older spellings, in the order in which they are looked up.
    pub deprecated: &'static [&'static str],
    /// Other live keys whose value is used when this one is not set.
    pub fallback: &'static [&'static str],
    /// One sentence.
    pub description: &'static str,
    /// Who may set it.
    pub scope: Scope,
}

/// An option: a key, and values of type `T`. Declared once, as a static, in [`options`](super::options).
///
/// ```
/// use tidemill_core::config::{BadValue, ConfigOption, Configuration, Origin};
///
/// fn even(value: &u32) -> Result<(), BadValue> {
///     if value % 2 == 0 { Ok(()) } else { Err(BadValue::new("it must be even")) }
/// }
///
/// static WHEELS: ConfigOption<u32> =
///     ConfigOption::new("car.wheels").default("4").deprecated(&["wheels"]).job().check(even);
///
/// let mut configuration = Configuration::new();
/// assert_eq!(configuration.get(&WHEELS)?, 4);
/// configuration.insert("wheels", tidemill_core::config::Entry { value: "6".into(), origin: Origin::Api });
/// assert_eq!(configuration.get(&WHEELS)?, 6);
/// assert!(configuration.set_by_job(&WHEELS, &2).is_ok());
/// assert!(WHEELS.parse("3").is_err());
/// # Ok::<(), tidemill_core::config::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct ConfigOption<T> {
    meta: OptionMeta,
    check: fn(&T) -> Result<(), BadValue>,
    expected: Option<&'static str>,
    value: PhantomData<fn() -> T>,
}

impl<T: OptionType> ConfigOption<T> {
    /// An option of the process, without default.
    ///
    /// ```
    /// use tidemill_core::config::{ConfigError, ConfigOption, Configuration};
    ///
    /// static WHEELS: ConfigOption<u32> = ConfigOption::new("car.wheels");
    /// assert!(matches!(Configuration::new().get(&WHEELS), Err(ConfigError::Missing { key: "car.wheels" })));
    /// ```
    pub const fn new(key: &'static str) -> Self {
        Self {
            meta: OptionMeta {
                key,
                default: None,
                deprecated: &[],
                fallback: &[],
                description: "",
                scope: Scope::Cluster,
            },
            check: accept_any,
            expected: None,
            value: PhantomData,
        }
    }

    /// With a default, written as a user would write it.
    ///
    /// ```
    /// use tidemill_core::config::{ConfigOption, Configuration};
    ///
    /// static WHEELS: ConfigOption<u32> = ConfigOption::new("car.wheels").default("4");
    /// assert_eq!(Configuration::new().get(&WHEELS), Ok(4));
    /// ```
    pub const fn default(mut self, text: &'static str) -> Self {
        self.meta.default = Some(text);
        self
    }

    /// With older spellings, which work with a warning.
    ///
    /// ```
    /// use tidemill_core::config::{ConfigOption, Configuration, Entry, Origin};
    ///
    /// static WHEELS: ConfigOption<u32> = ConfigOption::new("car.wheels").deprecated(&["wheels"]);
    /// let mut configuration = Configuration::new();
    /// configuration.insert("wheels", Entry { value: "4".into(), origin: Origin::Api });
    /// assert_eq!(configuration.get(&WHEELS), Ok(4));
    /// ```
    pub const fn deprecated(mut self, keys: &'static [&'static str]) -> Self {
        self.meta.deprecated = keys;
        self
    }

    /// With other keys to take the value from when this one is not set.
    ///
    /// ```
    /// use tidemill_core::config::{ConfigOption, Configuration, Entry, Origin};
    ///
    /// static SPARE: ConfigOption<u32> = ConfigOption::new("car.spare-wheels").fallback(&["car.wheels"]);
    /// let mut configuration = Configuration::new();
    /// configuration.insert("car.wheels", Entry { value: "4".into(), origin: Origin::Api });
    /// assert_eq!(configuration.get(&SPARE), Ok(4));
    /// ```
    pub const fn fallback(mut self, keys: &'static [&'static str]) -> Self {
        self.meta.fallback = keys;
        self
    }

    /// May be set by a job too.
    ///
    /// ```
    /// use tidemill_core::config::{ConfigOption, Configuration};
    ///
    /// static WHEELS: ConfigOption<u32> = ConfigOption::new("car.wheels");
    /// static SPEED: ConfigOption<u32> = ConfigOption::new("car.speed").job();
    /// let mut configuration = Configuration::new();
    /// assert!(configuration.set_by_job(&WHEELS, &4).is_err());
    /// assert!(configuration.set_by_job(&SPEED, &50).is_ok());
    /// ```
    pub const fn job(mut self) -> Self {
        self.meta.scope = Scope::Job;
        self
    }

    /// With a rule that values must follow beyond their type.
    ///
    /// ```
    /// use tidemill_core::config::{BadValue, ConfigOption};
    ///
    /// fn even(value: &u32) -> Result<(), BadValue> {
    ///     if value % 2 == 0 { Ok(()) } else { Err(BadValue::new("it must be even")) }
    /// }
    ///
    /// static WHEELS: ConfigOption<u32> = ConfigOption::new("car.wheels").check(even);
    /// assert_eq!(WHEELS.parse("3"), Err(BadValue::new("it must be even")));
    /// ```
    pub const fn check(mut self, check: fn(&T) -> Result<(), BadValue>) -> Self {
        self.check = check;
        self
    }

    /// With what to say of a text that is not of the type, where the rule leaves less than the type: as in `expected a whole
    /// number from 1 to 10`.
    ///
    /// ```
    /// use tidemill_core::config::{BadValue, ConfigOption};
    ///
    /// static WHEELS: ConfigOption<u32> = ConfigOption::new("car.wheels").expected("expected 3 or 4");
    /// assert_eq!(WHEELS.parse("many"), Err(BadValue::new("expected 3 or 4")));
    /// ```
    pub const fn expected(mut self, reason: &'static str) -> Self {
        self.expected = Some(reason);
        self
    }

    /// With the sentence that documents it.
    ///
    /// ```
    /// use tidemill_core::config::{AnyOption, ConfigOption};
    ///
    /// static WHEELS: ConfigOption<u32> = ConfigOption::new("car.wheels").describe("How many wheels.");
    /// assert_eq!(WHEELS.meta().description, "How many wheels.");
    /// ```
    pub const fn describe(mut self, sentence: &'static str) -> Self {
        self.meta.description = sentence;
        self
    }

    /// The key.
    ///
    /// ```
    /// use tidemill_core::config::options;
    ///
    /// assert_eq!(options::PARALLELISM.key(), "parallelism.default");
    /// ```
    pub fn key(&self) -> &'static str {
        self.meta.key
    }

    /// Reads a text as a value of this option.
    ///
    /// ```
    /// use tidemill_core::config::options;
    ///
    /// assert_eq!(options::PARALLELISM.parse("4"), Ok(4));
    /// assert!(options::PARALLELISM.parse("0").is_err(), "it has no subtasks");
    /// ```
    ///
    /// # Errors
    /// The reason why it is none.
    pub fn parse(&self, text: &str) -> Result<T, BadValue> {
        let value = T::parse(text).map_err(|reason| self.expected.map_or(reason, BadValue::new))?;
        (self.check)(&value)?;
        Ok(value)
    }

    /// Reads keys below this option's own as one value, for maps; `None` if it is no map.
    pub(super) fn parse_entries(&self, entries: &[(&str, &str)]) -> Option<Result<T, BadValue>> {
        let value = T::from_entries(entries)?;
        Some(value.and_then(|value| (self.check)(&value).map(|()| value)))
    }
}

fn accept_any<T>(_: &T) -> Result<(), BadValue> {
    Ok(())
}

/// An option whatever its type: what lists, checks and documents them.
///
/// ```
/// use tidemill_core::config::options;
///
/// let option = options::by_key("pipeline.auto-watermark-interval").unwrap();
/// assert_eq!(option.type_name(), "Duration");
/// assert_eq!(option.canonical("2000").as_deref(), Ok("2 s"));
/// assert!(option.canonical("soon").is_err() && !option.is_map());
/// ```
pub trait AnyOption: Send + Sync {
    /// Key, default, spellings, sentence.
    fn meta(&self) -> &OptionMeta;

    /// What Flink's documentation calls its type.
    fn type_name(&self) -> Cow<'static, str>;

    /// Whether a text is a value of this option, and how it is spelled canonically.
    ///
    /// # Errors
    /// The reason why it is none.
    fn canonical(&self, text: &str) -> Result<String, BadValue>;

    /// The same for keys below the option's own: `None` if the option is no map.
    fn canonical_entries(&self, entries: &[(&str, &str)]) -> Option<Result<String, BadValue>>;

    /// Whether the option is a map, which may be written as keys below its own.
    fn is_map(&self) -> bool {
        self.canonical_entries(&[]).is_some()
    }
}

impl<T: OptionType> AnyOption for ConfigOption<T> {
    fn meta(&self) -> &OptionMeta {
        &self.meta
    }

    fn type_name(&self) -> Cow<'static, str> {
        T::type_name()
    }

    fn canonical(&self, text: &str) -> Result<String, BadValue> {
        self.parse(text).map(|value| value.to_text())
    }

    fn canonical_entries(&self, entries: &[(&str, &str)]) -> Option<Result<String, BadValue>> {
        self.parse_entries(entries).map(|value| value.map(|value| value.to_text()))
    }
}

/// Declares the options of one group: a static for each, documented by its sentence, and the list `ALL` of them.
macro_rules! declare_options {
    ($($(#[doc = $sentence:literal])+ $name:ident: $type:ty = $option:expr;)+) => {
        $(
            $(#[doc = $sentence])+
            pub static $name: $crate::config::ConfigOption<$type> =
                $option.describe(concat!($($sentence),+));
        )+

        /// The options of this group, in the order in which they are documented.
        pub(super) static ALL: &[&dyn $crate::config::AnyOption] = &[$(&$name),+];
    };
}
pub(super) use declare_options;
