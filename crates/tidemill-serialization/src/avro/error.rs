//! [`AvroError`]: what goes wrong with Avro data and schemas.

use tidemill_core::{Classified, Fault};

use crate::compatibility::Incompatible;
use crate::input::DecodeError;

/// A schema that cannot be used, or data that do not fit it.
///
/// ```
/// use tidemill_serialization::avro::{self, AvroError};
///
/// assert!(matches!(avro::decode::<i32>(&[14, 0]), Err(AvroError::Trailing { left: 1 })));
/// assert!(matches!(avro::AvroSchema::parse("{}"), Err(AvroError::Schema { .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AvroError {
    /// The text is no Avro schema, or one that cannot be worked with.
    #[error("this is no Avro schema that can be used: {detail}")]
    Schema {
        /// What is wrong with it.
        detail: String,
    },
    /// Data written with one schema cannot be read with another.
    #[error("data written with one Avro schema cannot be read with the other: {0}")]
    Incompatible(Incompatible),
    /// The input ends within a value.
    #[error("the Avro data end within {at}: {needed} more bytes needed, {left} left")]
    Truncated {
        /// The record and field, or the type.
        at: String,
        /// Bytes wanted.
        needed: u64,
        /// Bytes there.
        left: usize,
    },
    /// Bytes that no value is encoded as.
    #[error("the Avro data are damaged in {at}: {detail}")]
    Invalid {
        /// The record and field, or the type.
        at: String,
        /// What is wrong with them.
        detail: String,
    },
    /// A value that was read correctly has no place in the reader's schema: a branch of a union or a symbol of an enum.
    #[error("{at} cannot be read with the reader's schema: {detail}")]
    Unreadable {
        /// The record and field, or the type.
        at: String,
        /// What is wrong.
        detail: String,
    },
    /// Values are nested too deeply.
    #[error(
        "the Avro data are nested deeper than {} levels in {at}: flatten the type, or check the bytes",
        crate::MAX_DEPTH
    )]
    TooDeep {
        /// The record and field, or the type.
        at: String,
    },
    /// Bytes follow the value.
    #[error(
        "{left} bytes follow the end of the Avro value: it was written with another schema, or is damaged"
    )]
    Trailing {
        /// Bytes left.
        left: usize,
    },
    /// A generic value does not fit its schema.
    #[error("{at}: {detail}")]
    Value {
        /// The record and field, or the type.
        at: String,
        /// What is wrong.
        detail: String,
    },
    /// An object container file that cannot be read or written.
    #[error("this Avro file cannot be used: {detail}")]
    Container {
        /// What is wrong with it.
        detail: String,
    },
    /// Reading or writing failed.
    #[error("an Avro file could not be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// A message that is not framed as the Schema Registry's serializers do it.
    #[error("this is no message in the Confluent wire format: {detail}")]
    Wire {
        /// What is wrong with it.
        detail: String,
    },
    /// The registry of schemas could not help.
    #[cfg(feature = "registry")]
    #[error(transparent)]
    Registry(#[from] super::registry::RegistryError),
}

impl AvroError {
    #[cold]
    pub(crate) fn schema(detail: impl Into<String>) -> Self {
        Self::Schema { detail: detail.into() }
    }

    #[cold]
    pub(crate) fn invalid(at: &str, detail: impl Into<String>) -> Self {
        Self::Invalid { at: at.to_owned(), detail: detail.into() }
    }

    /// The same error once more; `None` for those that are of one moment or one value.
    pub(crate) fn copied(&self) -> Option<Self> {
        Some(match self {
            Self::Schema { detail } => Self::Schema { detail: detail.clone() },
            Self::Incompatible(differences) => Self::Incompatible(differences.clone()),
            Self::Wire { detail } => Self::Wire { detail: detail.clone() },
            #[cfg(feature = "registry")]
            Self::Registry(error) => Self::Registry(error.clone()),
            _ => return None,
        })
    }

    #[cold]
    pub(crate) fn container(detail: impl Into<String>) -> Self {
        Self::Container { detail: detail.into() }
    }

    /// Names the field that was being read. The innermost counts: an error that names one is left as it is.
    #[cold]
    pub(crate) fn in_field(mut self, field: &str) -> Self {
        match &mut self {
            Self::Truncated { at, .. }
            | Self::Invalid { at, .. }
            | Self::Unreadable { at, .. }
            | Self::TooDeep { at }
                if !at.contains(": ") =>
            {
                *at = format!("{field}: {at}");
            }
            _ => {}
        }
        self
    }

    /// As an error of the bytes of a record.
    pub(crate) fn into_decode_error(self, what: &'static str) -> DecodeError {
        match self {
            Self::TooDeep { .. } => DecodeError::TooDeep { what },
            other => DecodeError::invalid(what, other.to_string()),
        }
    }
}

impl Classified for AvroError {
    fn code(&self) -> &'static str {
        match self {
            Self::Schema { .. } => "TM-AVRO-SCHEMA",
            Self::Incompatible(_) => "TM-AVRO-INCOMPATIBLE",
            Self::Truncated { .. } => "TM-AVRO-TRUNCATED",
            Self::Invalid { .. } => "TM-AVRO-INVALID",
            Self::Unreadable { .. } => "TM-AVRO-UNREADABLE",
            Self::TooDeep { .. } => "TM-AVRO-TOO-DEEP",
            Self::Trailing { .. } => "TM-AVRO-TRAILING",
            Self::Value { .. } => "TM-AVRO-VALUE",
            Self::Container { .. } => "TM-AVRO-CONTAINER",
            Self::Io(_) => "TM-AVRO-IO",
            Self::Wire { .. } => "TM-AVRO-WIRE",
            #[cfg(feature = "registry")]
            Self::Registry(error) => error.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Schema { .. } | Self::Incompatible(_) | Self::Value { .. } | Self::TooDeep { .. } => {
                Fault::User
            }
            Self::Truncated { .. }
            | Self::Invalid { .. }
            | Self::Unreadable { .. }
            | Self::Trailing { .. }
            | Self::Container { .. }
            | Self::Io(_)
            | Self::Wire { .. } => Fault::External,
            #[cfg(feature = "registry")]
            Self::Registry(error) => error.fault(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            #[cfg(feature = "registry")]
            Self::Registry(error) => error.retryable(),
            _ => false,
        }
    }
}
