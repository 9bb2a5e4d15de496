//! [`RegistryError`]: what the registry refuses, and what keeps it from being asked.

use tidemill_core::{Classified, Fault};

/// The registry refused, answered nonsense, or could not be asked.
///
/// ```
/// use tidemill_serialization::avro::registry::{RegistryConfig, RegistryError, SchemaRegistry};
///
/// let nowhere = SchemaRegistry::connect(RegistryConfig::new(Vec::<String>::new()));
/// assert!(matches!(nowhere, Err(RegistryError::Config { .. })));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A setting makes no sense.
    #[error("the settings of the schema registry are wrong: {detail}")]
    Config {
        /// What is wrong.
        detail: String,
    },
    /// No registry could be reached.
    #[error("the schema registry could not be asked to {what}, tried {attempts} times: {detail}")]
    Unreachable {
        /// What it was to do.
        what: String,
        /// How often it was tried, at all of its addresses together.
        attempts: u32,
        /// What went wrong at last.
        detail: String,
    },
    /// The registry refused; its own words.
    #[error(
        "the schema registry refused to {what} (status {status}{}): {message}",
        error_code.map(|code| format!(", error {code}")).unwrap_or_default()
    )]
    Refused {
        /// What it was to do.
        what: String,
        /// The status of its answer.
        status: u16,
        /// Its own code of the error.
        error_code: Option<i64>,
        /// Its message, the beginning of it when it is very long.
        message: String,
    },
    /// The answer of the registry makes no sense.
    #[error("the schema registry was asked to {what}, but its answer cannot be used: {detail}")]
    Answer {
        /// What it was to do.
        what: String,
        /// What is wrong with the answer.
        detail: String,
    },
}

impl RegistryError {
    /// Whether the registry, or something in front of it, was overloaded or broken.
    pub(crate) fn is_passing(status: u16) -> bool {
        status == 429 || status >= 500
    }
}

impl Classified for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "TM-REGISTRY-CONFIG",
            Self::Unreachable { .. } => "TM-REGISTRY-UNREACHABLE",
            Self::Answer { .. } => "TM-REGISTRY-ANSWER",
            Self::Refused { status, .. } => match status {
                401 | 403 => "TM-REGISTRY-UNAUTHORIZED",
                404 => "TM-REGISTRY-NOT-FOUND",
                409 => "TM-REGISTRY-INCOMPATIBLE",
                422 => "TM-REGISTRY-INVALID",
                status if Self::is_passing(*status) => "TM-REGISTRY-UNAVAILABLE",
                _ => "TM-REGISTRY-REFUSED",
            },
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Config { .. } => Fault::User,
            Self::Unreachable { .. } | Self::Answer { .. } => Fault::External,
            Self::Refused { status, .. } => match status {
                400..429 => Fault::User,
                _ => Fault::External,
            },
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => Self::is_passing(*status),
            _ => false,
        }
    }
}
