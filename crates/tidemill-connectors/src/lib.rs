//! Where records come from and where they go: sources and sinks, one module and one feature each.
//!
//! | feature | sources | sinks |
//! |---|---|---|
//! | `filesystem` | [`FileSource`]: CSV and JSON lines, plain, gzip or zstd, Avro and Parquet; partitions | [`FileSink`]: rolling parts, in partitions, or one file; the same formats |
//! | `generator` | [`GeneratorSource`], [`SequenceSource`], [`CollectionSource`] | |
//! | `datagen` | [`DataGenSource`] | |
//! | `nexmark` | [`NexmarkSource`], [`NexmarkColumns`] | |
//! | `print` | | [`PrintSink`] |
//! | `table` | | [`TableSink`] |
//! | `blackhole` | | [`BlackholeSink`] |
//! | `collect` | | [`CollectSink`], [`CollectRowsSink`] |

#[cfg(feature = "blackhole")]
mod blackhole;
#[cfg(any(feature = "filesystem", feature = "print"))]
mod cells;
#[cfg(feature = "collect")]
mod collect;
#[cfg(feature = "datagen")]
mod datagen;
#[cfg(any(feature = "filesystem", feature = "print", feature = "datagen"))]
mod decimal;
mod error;
#[cfg(feature = "filesystem")]
mod file;
#[cfg(feature = "filesystem")]
mod file_sink;
#[cfg(feature = "filesystem")]
mod format;
#[cfg(feature = "generator")]
mod generator;
#[cfg(feature = "nexmark")]
mod nexmark;
#[cfg(feature = "filesystem")]
mod partition;
#[cfg(feature = "print")]
mod print;
#[cfg(feature = "print")]
mod printer;
#[cfg(any(feature = "datagen", feature = "nexmark"))]
mod random;
#[cfg(any(feature = "filesystem", feature = "generator"))]
mod rate;
#[cfg(feature = "table")]
mod table;

#[cfg(feature = "blackhole")]
pub use blackhole::BlackholeSink;
#[cfg(any(feature = "filesystem", feature = "print"))]
pub use cells::{FloatFormat, InstantFormat};
#[cfg(feature = "collect")]
pub use collect::{CollectRowsSink, CollectSink, Collected, CollectedRows};
#[cfg(feature = "datagen")]
pub use datagen::{DEFAULT_ROWS_PER_SECOND, DataGenField, DataGenSource};
pub use error::ConnectorError;
#[cfg(feature = "filesystem")]
pub use file::{
    ColumnsBeside, Compression, DEFAULT_SPLIT_BYTES, FileMetadata, FileSource, ParseErrors, PartitionFilter,
    RECORDS_IN_ERRORS, infer_csv_schema, infer_csv_schema_with, infer_json_schema, infer_json_schema_with,
};
#[cfg(feature = "filesystem")]
pub use file_sink::{CommitTrigger, FileSink, PartitionCommit, PartitionTime, RollingPolicy};
#[cfg(feature = "filesystem")]
pub use format::{
    AvroOptions, ColumnCondition, Comparison, CsvHeader, CsvOptions, CsvOutput, FileFormat, JsonOptions,
    JsonOutput, OutputFormat, ParquetCompression, ParquetOptions, ParquetTimestamps, RawOptions,
    TimestampFormat, json_rows,
};
#[cfg(feature = "generator")]
pub use generator::{CollectionSource, GeneratorSource, SequenceSource};
#[cfg(feature = "nexmark")]
pub use nexmark::{
    Auction, Bid, NexmarkColumns, NexmarkEvent, NexmarkKind, NexmarkSettings, NexmarkSource, Person,
};
#[cfg(feature = "filesystem")]
pub use partition::{DEFAULT_PARTITION_NAME, Partitions};
#[cfg(feature = "print")]
pub use print::{PrintSink, PrintTarget};
#[cfg(feature = "table")]
pub use table::{DEFAULT_TABLE_ROWS, TableSink};
