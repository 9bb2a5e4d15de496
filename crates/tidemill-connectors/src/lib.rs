//! Where records come from and where they go: sources and sinks, one module and one feature each.
//!
//! | feature | sources | sinks |
//! |---|---|---|
//! | `filesystem` | [`FileSource`]: CSV and JSON lines, plain, gzip or zstd | [`FileSink`]: rolling parts or one file, CSV and JSON lines |
//! | `generator` | [`GeneratorSource`], [`SequenceSource`], [`CollectionSource`] | |
//! | `nexmark` | [`NexmarkSource`] | |
//! | `print` | | [`PrintSink`] |
//! | `table` | | [`TableSink`] |
//! | `blackhole` | | [`BlackholeSink`] |
//! | `collect` | | [`CollectSink`] |

#[cfg(feature = "blackhole")]
mod blackhole;
#[cfg(any(feature = "filesystem", feature = "print"))]
mod cells;
#[cfg(feature = "collect")]
mod collect;
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
#[cfg(feature = "print")]
mod print;
#[cfg(feature = "print")]
mod printer;
#[cfg(any(feature = "filesystem", feature = "generator"))]
mod rate;
#[cfg(feature = "table")]
mod table;

#[cfg(feature = "blackhole")]
pub use blackhole::BlackholeSink;
#[cfg(any(feature = "filesystem", feature = "print"))]
pub use cells::{FloatFormat, InstantFormat};
#[cfg(feature = "collect")]
pub use collect::{CollectSink, Collected};
pub use error::ConnectorError;
#[cfg(feature = "filesystem")]
pub use file::{Compression, DEFAULT_SPLIT_BYTES, FileSource, ParseErrors, RECORDS_IN_ERRORS};
#[cfg(feature = "filesystem")]
pub use file_sink::{FileSink, RollingPolicy};
#[cfg(feature = "filesystem")]
pub use format::{
    CsvHeader, CsvOptions, CsvOutput, FileFormat, JsonOptions, JsonOutput, OutputFormat, TimestampFormat,
};
#[cfg(feature = "generator")]
pub use generator::{CollectionSource, GeneratorSource, SequenceSource};
#[cfg(feature = "nexmark")]
pub use nexmark::{Auction, Bid, NexmarkEvent, NexmarkSource, Person};
#[cfg(feature = "print")]
pub use print::{PrintSink, PrintTarget};
#[cfg(feature = "table")]
pub use table::{DEFAULT_TABLE_ROWS, TableSink};
