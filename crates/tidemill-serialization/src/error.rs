//! [`SerializationError`]: what goes wrong with batches and columns.

use arrow_schema::{ArrowError, DataType};
use tidemill_core::batch::WrongBatchType;
use tidemill_core::{Classified, Fault};

use crate::compatibility::Incompatible;
use crate::input::DecodeError;

/// A batch that cannot be written or read, or columns that do not fit a record.
///
/// ```
/// use tidemill_core::Classified;
/// use tidemill_serialization::decode_batch;
///
/// let error = decode_batch::<u16>(&[9]).unwrap_err();
/// assert_eq!(error.to_string(), "a batch of u16 is in format 9, this release reads up to 1: use a newer one");
/// assert!(error.code().starts_with("TM-SERIALIZATION-"));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum SerializationError {
    /// The bytes are no batch of that type.
    #[error("a batch of {type_name} cannot be read: {source}{}", reason(source))]
    Decode {
        /// The type of the records.
        type_name: &'static str,
        /// What is wrong.
        source: DecodeError,
    },
    /// The bytes are no value of that type.
    #[error("a stored {type_name} cannot be read: {source}{}", reason(source))]
    Value {
        /// The type of the value.
        type_name: &'static str,
        /// What is wrong.
        source: DecodeError,
    },
    /// Batches were written with a type that the program's cannot be made of.
    #[error("stored records cannot be read as {type_name}: {source}")]
    Incompatible {
        /// The type of the records in the program.
        type_name: &'static str,
        /// The differences.
        source: Incompatible,
    },
    /// The batch is in a format of a later release.
    #[error(
        "a batch of {type_name} is in format {found}, this release reads up to {supported}: use a newer one"
    )]
    Version {
        /// The type of the records.
        type_name: &'static str,
        /// The version in the bytes.
        found: u8,
        /// The newest version known here.
        supported: u8,
    },
    /// The batch has more than 4 GiB.
    #[error(
        "{records} records of {type_name} take {bytes} bytes, a batch at most 4,294,967,294: send fewer at a time"
    )]
    TooLarge {
        /// The type of the records.
        type_name: &'static str,
        /// How many there are.
        records: usize,
        /// What they take.
        bytes: usize,
    },
    /// Timestamps and records do not belong together.
    #[error(
        "a batch of {type_name} has {records} records but {timestamps} timestamps: give one to each, or to none"
    )]
    Timestamps {
        /// The type of the records.
        type_name: &'static str,
        /// How many records.
        records: usize,
        /// How many timestamps.
        timestamps: usize,
    },
    /// The batch is of another type than the serializer.
    #[error(transparent)]
    WrongBatchType(#[from] WrongBatchType),
    /// A column that a record needs is not there.
    #[error(
        "there is no column `{column}` for {field}, only {present}: rename one, or use #[record(rename = \"…\")], #[record(alias = \"…\")] or #[record(default)]"
    )]
    MissingColumn {
        /// The field, as `Type.field`.
        field: &'static str,
        /// The name of its column.
        column: &'static str,
        /// The columns there are, for the message.
        present: String,
    },
    /// A column has another type than its field.
    #[error(
        "column `{column}` is {actual}, but {field} needs {expected}: cast the column or change the field"
    )]
    ColumnType {
        /// The field, as `Type.field`.
        field: &'static str,
        /// The name of its column.
        column: &'static str,
        /// The type of the field.
        expected: DataType,
        /// The type of the column.
        actual: DataType,
    },
    /// A NULL for a field that is no `Option`.
    #[error(
        "column `{column}` is NULL in row {row}, but {field} is a {expected} that must be there: filter such rows, or make it an `Option`"
    )]
    Null {
        /// The field, as `Type.field`.
        field: &'static str,
        /// The name of its column.
        column: &'static str,
        /// The row, counted from 0 at the start of the batch.
        row: usize,
        /// The type of the field.
        expected: DataType,
    },
    /// A value that its field cannot have, though the type of the column is right.
    #[error(
        "column `{column}` has in row {row} no value of {field}: {detail}; filter such rows, or mend the column"
    )]
    ColumnValue {
        /// The field, as `Type.field`.
        field: &'static str,
        /// The name of its column.
        column: &'static str,
        /// The row, counted from 0 at the start of the batch.
        row: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// Rows were asked for that are not there.
    #[error("rows {start} to {end} were asked for, the batch has {rows}")]
    Rows {
        /// The first row wanted.
        start: usize,
        /// The row after the last one wanted.
        end: usize,
        /// The rows there are.
        rows: usize,
    },
    /// The strings or binaries of one column have more than 2 GiB together.
    #[error("the values of {field} take more than 2,147,483,647 bytes together: make the batch smaller")]
    ColumnTooLong {
        /// The field, as `Type.field`.
        field: &'static str,
    },
    /// Arrow refused columns that were built from records.
    #[error("columns could not be built from records: {0}")]
    Arrow(#[from] ArrowError),
}

/// Where wrong bytes come from, if the error does not say it.
fn reason(source: &DecodeError) -> &'static str {
    match source {
        DecodeError::TooDeep { .. } => "",
        _ => "; it is damaged, or was written by another version of the type",
    }
}

impl Classified for SerializationError {
    fn code(&self) -> &'static str {
        match self {
            Self::Decode { source, .. } | Self::Value { source, .. } => source.code(),
            Self::Incompatible { .. } => "TM-SERIALIZATION-INCOMPATIBLE",
            Self::Version { .. } => "TM-SERIALIZATION-VERSION",
            Self::TooLarge { .. } => "TM-SERIALIZATION-TOO-LARGE",
            Self::Timestamps { .. } => "TM-SERIALIZATION-TIMESTAMPS",
            Self::WrongBatchType(_) => "TM-SERIALIZATION-WRONG-BATCH-TYPE",
            Self::MissingColumn { .. } => "TM-SERIALIZATION-MISSING-COLUMN",
            Self::ColumnType { .. } => "TM-SERIALIZATION-COLUMN-TYPE",
            Self::Null { .. } => "TM-SERIALIZATION-NULL",
            Self::ColumnValue { .. } => "TM-SERIALIZATION-COLUMN-VALUE",
            Self::Rows { .. } => "TM-SERIALIZATION-ROWS",
            Self::ColumnTooLong { .. } => "TM-SERIALIZATION-COLUMN-TOO-LONG",
            Self::Arrow(_) => "TM-SERIALIZATION-ARROW",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Decode { source, .. } | Self::Value { source, .. } => source.fault(),
            Self::Incompatible { .. }
            | Self::Version { .. }
            | Self::TooLarge { .. }
            | Self::MissingColumn { .. }
            | Self::ColumnType { .. }
            | Self::Null { .. }
            | Self::ColumnValue { .. }
            | Self::ColumnTooLong { .. } => Fault::User,
            Self::Timestamps { .. } | Self::WrongBatchType(_) | Self::Rows { .. } | Self::Arrow(_) => {
                Fault::Internal
            }
        }
    }
}
