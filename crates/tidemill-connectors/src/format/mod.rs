//! How rows become bytes and bytes become rows.

pub(crate) mod columns;
mod csv;
mod json;
pub(crate) mod text;
mod write;

use std::sync::Arc;

use arrow_schema::SchemaRef;

pub(crate) use csv::{CsvDecoder, CsvFields};
pub use csv::{CsvHeader, CsvOptions};
pub use json::JsonOptions;
pub(crate) use json::describe as describe_json_error;
pub use text::TimestampFormat;
pub(crate) use write::RowEncoder;
pub use write::{CsvOutput, JsonOutput, OutputFormat};

use crate::error::ConnectorError;
use crate::file::input::ByteInput;
use crate::format::columns::{Columns, Nesting};

/// What the records of a file look like.
///
/// ```
/// use tidemill_connectors::{CsvOptions, FileFormat, JsonOptions};
///
/// assert!(matches!(CsvOptions::new().into(), FileFormat::Csv(_)));
/// assert!(matches!(JsonOptions::new().into(), FileFormat::Json(_)));
/// ```
#[derive(Clone, Debug)]
pub enum FileFormat {
    /// Comma-separated values.
    Csv(CsvOptions),
    /// One JSON object a line.
    Json(JsonOptions),
}

impl From<CsvOptions> for FileFormat {
    fn from(options: CsvOptions) -> Self {
        FileFormat::Csv(options)
    }
}

impl From<JsonOptions> for FileFormat {
    fn from(options: JsonOptions) -> Self {
        FileFormat::Json(options)
    }
}

/// The longest record that is read: what is longer is a quote that is not closed, or no text at all.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;

/// What came of the attempt to read a record.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// A row, now in the columns.
    Row,
    /// A record that is no row; nothing of it is in the columns.
    Malformed(Malformed),
    /// There is no further record.
    End,
}

/// What is wrong with a record.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Lines of the file that come before the record, as far as they have been counted.
    pub(crate) lines_before: u64,
    /// Where the record begins.
    pub(crate) offset: u64,
    pub(crate) column: Option<Arc<str>>,
    pub(crate) problem: String,
    /// Whether one can go on after it.
    pub(crate) skippable: bool,
}

/// Reads records of one file.
pub(crate) trait Decoder: Send {
    /// Reads what comes before the first record.
    fn read_header(&mut self, input: &mut ByteInput) -> Result<(), ConnectorError>;

    /// Reads one record, unless it begins at `end` or behind it.
    fn decode(
        &mut self,
        input: &mut ByteInput,
        end: u64,
        columns: &mut Columns,
    ) -> Result<Decoded, ConnectorError>;
}

impl FileFormat {
    /// Whether every newline ends a record, so that a file can be cut at newlines.
    pub(crate) fn is_line_based(&self) -> bool {
        match self {
            FileFormat::Csv(options) => options.is_line_based(),
            FileFormat::Json(_) => true,
        }
    }

    /// Whether a file begins with something that is no record.
    pub(crate) fn has_header(&self) -> bool {
        matches!(self, FileFormat::Csv(options) if options.header != CsvHeader::None)
    }

    pub(crate) fn ignores_parse_errors(&self) -> bool {
        match self {
            FileFormat::Csv(options) => options.ignore_parse_errors,
            FileFormat::Json(options) => options.ignore_parse_errors,
        }
    }

    /// The option by which malformed records are skipped.
    pub(crate) fn skip_option(&self) -> &'static str {
        match self {
            FileFormat::Csv(_) => "csv.ignore-parse-errors",
            FileFormat::Json(_) => "json.ignore-parse-errors",
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            FileFormat::Csv(_) => "CSV",
            FileFormat::Json(_) => "JSON",
        }
    }

    /// What types a file may have.
    pub(crate) fn nesting(&self) -> Nesting {
        match self {
            FileFormat::Csv(_) => Nesting::OneLevel,
            FileFormat::Json(_) => Nesting::Any,
        }
    }

    /// Checks the options.
    pub(crate) fn validate(&self) -> Result<(), ConnectorError> {
        match self {
            FileFormat::Csv(options) => options.validate(),
            FileFormat::Json(_) => Ok(()),
        }
    }

    pub(crate) fn decoder(&self, schema: &SchemaRef) -> Result<Box<dyn Decoder>, ConnectorError> {
        Ok(match self {
            FileFormat::Csv(options) => Box::new(csv::CsvDecoder::new(options, schema)?),
            FileFormat::Json(options) => Box::new(json::JsonDecoder::new(options)),
        })
    }
}
