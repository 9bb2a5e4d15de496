//! [`SubjectNameStrategy`]: under which subject a schema is registered.

use super::error::RegistryError;
use crate::avro::schema::AvroSchema;

/// Under which subject the schema of the messages of a topic is registered.
///
/// ```
/// use tidemill_serialization::avro::{registry::SubjectNameStrategy, schema_of};
///
/// let subject = SubjectNameStrategy::default().subject("flights", false, &schema_of::<i32>()?);
/// assert_eq!(subject.ok().as_deref(), Some("flights-value"));
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectNameStrategy {
    /// `topic-value`, or `topic-key`: all messages of a topic have one schema.
    #[default]
    TopicName,
    /// The full name of the record: it has one schema wherever it is used.
    RecordName,
    /// `topic-` and the full name of the record: a topic has messages of several types.
    TopicRecordName,
}

impl SubjectNameStrategy {
    /// The subject of a schema.
    ///
    /// ```
    /// use tidemill_serialization::avro::{registry::SubjectNameStrategy, schema_of};
    ///
    /// let int = schema_of::<i32>()?;
    /// let subject = |strategy: SubjectNameStrategy| strategy.subject("flights", true, &int).ok();
    /// assert_eq!(subject(SubjectNameStrategy::TopicName).as_deref(), Some("flights-key"));
    /// assert_eq!(subject(SubjectNameStrategy::RecordName), None, "an int has no name");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it is to be named by its record, but is none.
    pub fn subject(self, topic: &str, is_key: bool, schema: &AvroSchema) -> Result<String, RegistryError> {
        let record = || match schema.full_name() {
            Some(name) => Ok(name),
            None => Err(RegistryError::Config {
                detail: format!(
                    "a schema is to be registered under the name of its record, but {schema} has none: use a record, or the strategy TopicName"
                ),
            }),
        };
        Ok(match self {
            Self::TopicName => format!("{topic}-{}", if is_key { "key" } else { "value" }),
            Self::RecordName => record()?.to_owned(),
            Self::TopicRecordName => format!("{topic}-{}", record()?),
        })
    }
}
