//! What can be wrong with a configuration.

use super::Origin;
use crate::error::{Classified, Fault};

/// Why a text is not a value of an option's type. The message names neither key nor text: [`ConfigError`] adds both.
///
/// ```
/// use tidemill_core::config::{BadValue, options};
///
/// let error = options::PARALLELISM.parse("many").unwrap_err();
/// assert_ne!(error, BadValue::new(""), "it says what is wrong");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub String);

impl BadValue {
    /// With this reason.
    ///
    /// ```
    /// use tidemill_core::config::BadValue;
    ///
    /// assert_eq!(BadValue::new("it must be even").to_string(), "it must be even");
    /// ```
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// A problem with the configuration: always the user's to solve, and the message says where and how.
///
/// ```
/// use tidemill_core::Classified;
/// use tidemill_core::config::{Configuration, Origin, options};
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("parallelism.default", "many", Origin::CommandLine);
/// let error = configuration.get(&options::PARALLELISM).unwrap_err();
/// assert_eq!(error.code(), "TM-CONFIG-INVALID-VALUE");
/// assert_eq!(error.origin(), Some(&Origin::CommandLine));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that does not fit its option.
    #[error("{origin}: Could not parse value '{value}' for key '{key}' ({expected}): {reason}")]
    InvalidValue {
        /// The key as the user spelled it.
        key: Box<str>,
        /// The text of the value.
        value: Box<str>,
        /// The type of the option.
        expected: Box<str>,
        /// What is wrong with the text.
        reason: BadValue,
        /// Where it was set.
        origin: Origin,
    },
    /// A key that neither Tidemill nor Flink knows.
    #[error("{origin}: unknown key '{key}'; {}", suggestion(*nearest))]
    UnknownKey {
        /// The key as the user spelled it.
        key: Box<str>,
        /// The known key that is the fewest edits away, if any is near.
        nearest: Option<&'static str>,
        /// Where it was set.
        origin: Origin,
    },
    /// A group of keys was given a value, as in `taskmanager.memory: 4g`.
    #[error("{origin}: '{key}' is a group of keys, not a key; one of its keys is '{example}'")]
    GroupAsKey {
        /// The group as the user spelled it.
        key: Box<str>,
        /// A key of that group.
        example: &'static str,
        /// Where it was set.
        origin: Origin,
    },
    /// A key that takes one value was given keys below it, as in `parallelism.default.a: 1`.
    #[error("{origin}: '{key}' does not exist: '{option}' takes one value ({expected}), not keys below it")]
    ValueAsGroup {
        /// The key as the user spelled it.
        key: Box<str>,
        /// The option it starts with.
        option: &'static str,
        /// The type of that option.
        expected: Box<str>,
        /// Where it was set.
        origin: Origin,
    },
    /// An option without default was read and is not set.
    #[error("'{key}' is not set and has no default; set it in config.yaml or with -D {key}=VALUE")]
    Missing {
        /// The key of the option.
        key: &'static str,
    },
    /// A job tried to set an option of the process that runs it.
    #[error("'{key}' belongs to the process, not to the job; set it in config.yaml or with -D {key}=VALUE")]
    NotForJobs {
        /// The key of the option.
        key: &'static str,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(key) => format!("the nearest known one is '{key}'"),
        None => "none is like it: 'tidemill config list --all' shows those that there are".to_owned(),
    }
}

impl Classified for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            ConfigError::InvalidValue { .. } => "TM-CONFIG-INVALID-VALUE",
            ConfigError::UnknownKey { .. } => "TM-CONFIG-UNKNOWN-KEY",
            ConfigError::GroupAsKey { .. } => "TM-CONFIG-GROUP-AS-KEY",
            ConfigError::ValueAsGroup { .. } => "TM-CONFIG-VALUE-AS-GROUP",
            ConfigError::Missing { .. } => "TM-CONFIG-MISSING",
            ConfigError::NotForJobs { .. } => "TM-CONFIG-NOT-FOR-JOBS",
        }
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}
