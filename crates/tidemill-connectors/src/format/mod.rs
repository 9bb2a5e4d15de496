//! How rows become bytes and bytes become rows.

pub(crate) mod avro_file;
pub(crate) mod columns;
mod csv;
mod json;
pub(crate) mod parquet_file;
pub(crate) mod raw;
pub(crate) mod text;
mod write;

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub use avro_file::AvroOptions;
pub(crate) use csv::{CsvDecoder, CsvFields};
pub use csv::{CsvHeader, CsvOptions};
pub(crate) use json::describe as describe_json_error;
pub use json::{JsonOptions, json_rows};
pub use parquet_file::{ColumnCondition, Comparison, ParquetCompression, ParquetOptions, ParquetTimestamps};
pub use raw::RawOptions;
pub use text::TimestampFormat;
pub(crate) use write::{BatchWriter, RowEncoder};
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
    /// The bytes of one column, a line each.
    Raw(RawOptions),
    /// Avro's object container files.
    Avro(AvroOptions),
    /// Parquet.
    Parquet(ParquetOptions),
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

impl From<RawOptions> for FileFormat {
    fn from(options: RawOptions) -> Self {
        FileFormat::Raw(options)
    }
}

impl From<AvroOptions> for FileFormat {
    fn from(options: AvroOptions) -> Self {
        FileFormat::Avro(options)
    }
}

impl From<ParquetOptions> for FileFormat {
    fn from(options: ParquetOptions) -> Self {
        FileFormat::Parquet(options)
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

/// Where the next row of a file is that is read in batches: numbers that its reader understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The block, or the row where there are none.
    pub(crate) position: u64,
    /// Rows of the block that have been read.
    pub(crate) rows: u64,
}

/// Reads one file of a format that is not made of lines.
pub(crate) trait BatchReader: Send {
    /// The next rows, at most so many; none at the end.
    fn next(&mut self, most: usize) -> Result<Option<RecordBatch>, ConnectorError>;

    /// Where the next row is.
    fn place(&self) -> Place;

    /// How many bytes of the file have been read, about.
    fn bytes(&self) -> u64;
}

impl FileFormat {
    /// Opens a file of a format that is read in batches, where reading begins at `from`; none of the others.
    pub(crate) fn batch_reader(
        &self,
        path: &Path,
        schema: &SchemaRef,
        from: Place,
    ) -> Result<Option<Box<dyn BatchReader>>, ConnectorError> {
        match self {
            FileFormat::Csv(_) | FileFormat::Json(_) | FileFormat::Raw(_) => Ok(None),
            FileFormat::Avro(_) => avro_file::reader(path, schema, from).map(Some),
            FileFormat::Parquet(options) => parquet_file::reader(options, path, schema, from).map(Some),
        }
    }

    /// Whether files are read in batches, by a [`BatchReader`].
    pub(crate) fn is_columnar(&self) -> bool {
        matches!(self, FileFormat::Avro(_) | FileFormat::Parquet(_))
    }

    /// Whether every newline ends a record, so that a file can be cut at newlines.
    pub(crate) fn is_line_based(&self) -> bool {
        match self {
            FileFormat::Csv(options) => options.is_line_based(),
            FileFormat::Json(_) | FileFormat::Raw(_) => true,
            FileFormat::Avro(_) | FileFormat::Parquet(_) => false,
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
            FileFormat::Raw(_) | FileFormat::Avro(_) | FileFormat::Parquet(_) => false,
        }
    }

    /// The option by which malformed records are skipped.
    pub(crate) fn skip_option(&self) -> Option<&'static str> {
        match self {
            FileFormat::Csv(_) => Some("csv.ignore-parse-errors"),
            FileFormat::Json(_) => Some("json.ignore-parse-errors"),
            FileFormat::Raw(_) | FileFormat::Avro(_) | FileFormat::Parquet(_) => None,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            FileFormat::Csv(_) => "CSV",
            FileFormat::Json(_) => "JSON",
            FileFormat::Raw(_) => "raw",
            FileFormat::Avro(_) => "Avro",
            FileFormat::Parquet(_) => "Parquet",
        }
    }

    /// What types a file may have.
    pub(crate) fn nesting(&self) -> Nesting {
        match self {
            FileFormat::Csv(_) => Nesting::OneLevel,
            _ => Nesting::Any,
        }
    }

    /// Checks the options, and that the format has the types of the columns that are in its files.
    pub(crate) fn validate(&self, schema: &SchemaRef) -> Result<(), ConnectorError> {
        match self {
            FileFormat::Csv(options) => options.validate(),
            FileFormat::Json(_) => Ok(()),
            FileFormat::Raw(_) => raw::validate(schema),
            FileFormat::Avro(_) => avro_file::validate_read(schema),
            FileFormat::Parquet(_) => parquet_file::validate_read(schema),
        }
    }

    pub(crate) fn decoder(&self, schema: &SchemaRef) -> Result<Box<dyn Decoder>, ConnectorError> {
        Ok(match self {
            FileFormat::Csv(options) => Box::new(csv::CsvDecoder::new(options, schema)?),
            FileFormat::Json(options) => Box::new(json::JsonDecoder::new(options)),
            FileFormat::Raw(options) => Box::new(raw::RawDecoder::new(options)),
            FileFormat::Avro(_) | FileFormat::Parquet(_) => {
                let reason = format!("{} files are not read line by line", self.name());
                return Err(ConnectorError::Columns { reason });
            }
        })
    }
}
