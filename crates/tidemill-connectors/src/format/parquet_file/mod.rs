//! Parquet: files of columns.
//!
//! Types are those that Flink has: timestamps as numbers of 64 bits, or as the 96 bits of older writers, which are read as well;
//! decimals; lists and maps of three levels. Columns are found by their names; one that a file does not have is NULL.

mod fit;
mod prune;
mod read;
mod write;

use arrow_schema::{DataType, SchemaRef, TimeUnit};

pub use prune::{ColumnCondition, Comparison};
pub(crate) use read::reader;
pub(crate) use write::writer;

use crate::error::ConnectorError;
use crate::format::columns::Nesting;

/// How the pages of a written file are compressed.
///
/// ```
/// use tidemill_connectors::ParquetCompression;
///
/// assert_eq!(ParquetCompression::default(), ParquetCompression::Snappy);
/// assert_eq!(ParquetCompression::of_name("zstd"), Some(ParquetCompression::Zstd));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParquetCompression {
    /// Not at all.
    Uncompressed,
    /// Snappy.
    #[default]
    Snappy,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// LZ4, as blocks.
    Lz4Raw,
}

impl ParquetCompression {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Uncompressed, Self::Snappy, Self::Gzip, Self::Zstd, Self::Lz4Raw];

    /// As `parquet.compression` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uncompressed => "UNCOMPRESSED",
            Self::Snappy => "SNAPPY",
            Self::Gzip => "GZIP",
            Self::Zstd => "ZSTD",
            Self::Lz4Raw => "LZ4_RAW",
        }
    }

    /// What is called so, in upper or lower case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

/// How timestamps are written.
///
/// ```
/// use tidemill_connectors::ParquetTimestamps;
///
/// assert_eq!(ParquetTimestamps::default(), ParquetTimestamps::Int96);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParquetTimestamps {
    /// In 96 bits: days and nanoseconds, as Hive, Impala and, unless told otherwise, Flink write them. In columns only, not
    /// within rows, arrays and maps.
    #[default]
    Int96,
    /// In 64 bits (`parquet.write.int64.timestamp`), milliseconds (`parquet.timestamp.time.unit`).
    Millis,
    /// In 64 bits, microseconds.
    Micros,
    /// In 64 bits, nanoseconds.
    Nanos,
}

impl ParquetTimestamps {
    fn unit(self) -> TimeUnit {
        match self {
            Self::Millis => TimeUnit::Millisecond,
            Self::Micros => TimeUnit::Microsecond,
            Self::Int96 | Self::Nanos => TimeUnit::Nanosecond,
        }
    }
}

/// How Parquet is read and written.
///
/// ```
/// use tidemill_connectors::{ParquetCompression, ParquetOptions, ParquetTimestamps};
///
/// let options =
///     ParquetOptions::new().compression(ParquetCompression::Zstd).timestamps(ParquetTimestamps::Micros);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    compression: ParquetCompression,
    timestamps: ParquetTimestamps,
    utc: bool,
    block_bytes: usize,
    conditions: Vec<ColumnCondition>,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self {
            compression: ParquetCompression::default(),
            timestamps: ParquetTimestamps::default(),
            utc: false,
            block_bytes: 32 << 20,
            conditions: Vec::new(),
        }
    }
}

impl ParquetOptions {
    /// Flink's conventions: Snappy, timestamps in 96 bits and in the zone of the process.
    pub fn new() -> Self {
        Self::default()
    }

    /// How pages are compressed (`parquet.compression`).
    pub fn compression(mut self, compression: ParquetCompression) -> Self {
        self.compression = compression;
        self
    }

    /// How timestamps are written; they are read in any way.
    pub fn timestamps(mut self, timestamps: ParquetTimestamps) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Whether a timestamp without a zone stands in a file as that of UTC, not of the zone of the process
    /// (`parquet.utc-timezone`).
    pub fn utc_timezone(mut self, utc: bool) -> Self {
        self.utc = utc;
        self
    }

    /// How many bytes the rows have that are written together (`parquet.block.size`); they are in memory until then.
    pub fn block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes.max(1);
        self
    }

    /// Passes over groups of rows of which a file says that none fulfils all of these. Rows that do not may still come.
    pub fn conditions(mut self, conditions: Vec<ColumnCondition>) -> Self {
        self.conditions = conditions;
        self
    }
}

/// That Parquet has all types of a schema.
pub(crate) fn validate(options: &ParquetOptions, schema: &SchemaRef) -> Result<(), ConnectorError> {
    Nesting::AnyKeys.check(schema.fields(), "Parquet", &is_single)?;
    if options.timestamps == ParquetTimestamps::Int96 {
        for field in schema.fields() {
            if field.data_type().is_nested() && has_timestamp(field.data_type()) {
                return Err(ConnectorError::InvalidOption(format!(
                    "the timestamps within '{}' cannot be written in 96 bits: set 'parquet.write.int64.timestamp' = 'true'",
                    field.name()
                )));
            }
        }
    }
    Ok(())
}

/// That Parquet has all types of a schema that is read.
pub(crate) fn validate_read(schema: &SchemaRef) -> Result<(), ConnectorError> {
    Nesting::AnyKeys.check(schema.fields(), "Parquet", &is_single)
}

fn is_single(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::Binary
            | DataType::Date32
            | DataType::Time32(TimeUnit::Millisecond)
            | DataType::Timestamp(..)
    )
}

fn has_timestamp(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| has_timestamp(field.data_type())),
        DataType::List(item) | DataType::Map(item, _) => has_timestamp(item.data_type()),
        _ => false,
    }
}
