//! Where records come from and where they go: sources and sinks, one module and one feature each.
//!
//! | feature | sources | sinks |
//! |---|---|---|
//! | `filesystem` | [`FileSource`]: CSV and JSON lines, plain, gzip or zstd | |
//! | `generator` | [`GeneratorSource`], [`SequenceSource`], [`CollectionSource`] | |

mod error;
#[cfg(feature = "filesystem")]
mod file;
#[cfg(feature = "filesystem")]
mod format;
#[cfg(feature = "generator")]
mod generator;

pub use error::ConnectorError;
#[cfg(feature = "filesystem")]
pub use file::{Compression, DEFAULT_SPLIT_BYTES, FileSource, ParseErrors, RECORDS_IN_ERRORS};
#[cfg(feature = "filesystem")]
pub use format::{CsvHeader, CsvOptions, FileFormat, JsonOptions, TimestampFormat};
#[cfg(feature = "generator")]
pub use generator::{CollectionSource, GeneratorSource, SequenceSource};
