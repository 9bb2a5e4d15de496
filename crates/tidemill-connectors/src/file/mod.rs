//! Files as a source: a path, a folder or a pattern, in lines of CSV and JSON, plain or compressed, in Avro and Parquet.
//!
//! A file is a split. A large one that is not compressed, of a format whose records end with their line, is cut into
//! ranges, so that several subtasks can read it. How far a split has been read is a place between two records:
//! a reader that goes on there sees each of the others once.
//!
//! The folder may be looked at again and again: each file is read once, when it is seen first.

mod beside;
mod enumerate;
mod infer;
pub(crate) mod input;
mod listing;
mod reader;
mod split;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_schema::SchemaRef;
use parking_lot::Mutex;
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{OperatorContext, OperatorError};

pub use beside::{ColumnsBeside, FileMetadata, PartitionFilter};
pub use infer::{infer_csv_schema, infer_csv_schema_with, infer_json_schema, infer_json_schema_with};
pub use input::Compression;

use crate::error::ConnectorError;
use crate::file::beside::Beside;
use crate::file::enumerate::FileEnumerator;
use crate::file::reader::FileReader;
use crate::file::split::FileSplit;
use crate::format::FileFormat;
use crate::format::columns::Columns;
use crate::rate::{RateLimit, check_rate};

/// From this size on a file is cut into ranges, where its format allows that.
///
/// ```
/// assert_eq!(tidemill_connectors::DEFAULT_SPLIT_BYTES, 64 * 1024 * 1024);
/// ```
pub const DEFAULT_SPLIT_BYTES: u64 = 64 << 20;

/// Reads files into rows.
///
/// ```
/// use tidemill_connectors::{CsvHeader, CsvOptions, FileSource};
/// use tidemill_serialization::{ArrowRecord, Record};
///
/// #[derive(Record, Clone)]
/// #[record(arrow)]
/// struct Airline {
///     carrier: String,
///     name: Option<String>,
/// }
///
/// let options = CsvOptions::new().header(CsvHeader::ByName).null_literal("NA");
/// let source = FileSource::new("data/airlines*.csv", options, Airline::schema())?;
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
#[derive(Clone)]
pub struct FileSource {
    inner: Arc<FileSourceInner>,
}

#[derive(Clone)]
pub(crate) struct FileSourceInner {
    path: String,
    pub(crate) format: FileFormat,
    /// The columns of the rows, and those of them that are not in the files.
    pub(crate) beside: Beside,
    /// What the paths of the files must match.
    pattern: Option<regex::Regex>,
    /// How often new files are looked for.
    monitor: Option<Duration>,
    pub(crate) compression: Compression,
    split_bytes: u64,
    pub(crate) per_second: Option<f64>,
    pub(crate) errors: ParseErrors,
    /// The bytes of all files, once they have been listed.
    total: Arc<AtomicU64>,
}

const UNKNOWN: u64 = u64::MAX;

impl FileSourceInner {
    pub(crate) fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total != UNKNOWN)
    }

    fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }
}

impl FileSource {
    /// Reads the file, the files in and below the folder, or those that match the pattern (`*`, `?`, `[…]` and
    /// `**`) at `path`. The rows have the columns of `schema`.
    ///
    /// The path is looked at when the job starts, not now.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{CsvOptions, FileSource};
    ///
    /// let schema = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true)]));
    /// assert!(FileSource::new("data/*.csv", CsvOptions::new(), schema.clone()).is_ok());
    /// assert!(FileSource::new("data/*.csv", CsvOptions::new().field_delimiter("||"), schema).is_err());
    /// ```
    ///
    /// # Errors
    /// When an option makes no sense, or the schema has a type that the format does not.
    pub fn new(
        path: impl Into<String>,
        format: impl Into<FileFormat>,
        schema: SchemaRef,
    ) -> Result<Self, ConnectorError> {
        Self::with_columns_beside(path, format, schema, ColumnsBeside::default())
    }

    /// As [`new`](Self::new), with columns that are not in the files.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{ColumnsBeside, CsvOptions, FileMetadata, FileSource, Partitions};
    ///
    /// let fields = [("name", DataType::Utf8), ("day", DataType::Date32), ("bytes", DataType::Int64)];
    /// let fields: Vec<Field> =
    ///     fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    /// // Reads `names/day=2020-01-31/part-0-0.csv`, whose lines have one field.
    /// let beside = ColumnsBeside {
    ///     partitions: Some(Partitions::by(["day"])),
    ///     metadata: vec![("bytes".to_owned(), FileMetadata::Size)],
    /// };
    /// let schema = Arc::new(Schema::new(fields));
    /// assert!(FileSource::with_columns_beside("names", CsvOptions::new(), schema, beside).is_ok());
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new); also when one of those columns has a type that no name of a folder says, or another than the metadata.
    pub fn with_columns_beside(
        path: impl Into<String>,
        format: impl Into<FileFormat>,
        schema: SchemaRef,
        columns: ColumnsBeside,
    ) -> Result<Self, ConnectorError> {
        let (path, format) = (path.into(), format.into());
        let beside = Beside::new(&path, &schema, columns.partitions, &columns.metadata)?;
        let source = Self {
            inner: Arc::new(FileSourceInner {
                path,
                format,
                beside,
                pattern: None,
                monitor: None,
                compression: Compression::default(),
                split_bytes: DEFAULT_SPLIT_BYTES,
                per_second: None,
                errors: ParseErrors::default(),
                total: Arc::new(AtomicU64::new(UNKNOWN)),
            }),
        };
        source.validated()
    }

    fn validated(self) -> Result<Self, ConnectorError> {
        let FileSourceInner { format, beside, .. } = &*self.inner;
        format.validate(&beside.stored)?;
        if !format.is_columnar() {
            Columns::new(&beside.stored, format.name(), format.nesting())?;
        }
        Ok(self)
    }

    fn change(mut self, change: impl FnOnce(&mut FileSourceInner)) -> Self {
        let mut inner = FileSourceInner::clone(&self.inner);
        inner.total = Arc::new(AtomicU64::new(UNKNOWN));
        change(&mut inner);
        self.inner = Arc::new(inner);
        self
    }

    /// Reads only the partitions for which `filter` holds, whose columns it is called with.
    pub fn partition_filter(self, filter: PartitionFilter) -> Self {
        self.change(|inner| inner.beside.filter = Some(filter))
    }

    /// Reads only files whose whole path matches a regular expression (`source.path.regex-pattern`).
    ///
    /// # Errors
    /// When it is none.
    pub fn path_pattern(self, pattern: &str) -> Result<Self, ConnectorError> {
        let regex = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
            ConnectorError::InvalidPattern { pattern: pattern.to_owned(), reason: error.to_string() }
        })?;
        Ok(self.change(|inner| inner.pattern = Some(regex)))
    }

    /// Looks for new files again and again (`source.monitor-interval`): the source does not end.
    pub fn monitor(self, interval: Duration) -> Self {
        self.change(|inner| inner.monitor = Some(interval))
    }

    /// How the files are compressed (default: by their extensions).
    pub fn compression(self, compression: Compression) -> Self {
        self.change(|inner| inner.compression = compression)
    }

    /// From how many bytes on a file is cut into ranges, which have as many (default: 64 MiB).
    pub fn split_bytes(self, bytes: u64) -> Self {
        self.change(|inner| inner.split_bytes = bytes.max(1))
    }

    /// How many rows all subtasks together read in a second (default: as many as they can): to replay what was recorded.
    /// After a pause, at most what one second would have given is made up for.
    ///
    /// # Errors
    /// When it is not more than 0.
    pub fn records_per_second(self, per_second: f64) -> Result<Self, ConnectorError> {
        let per_second = check_rate(per_second)?;
        Ok(self.change(|inner| inner.per_second = Some(per_second)))
    }

    /// What was malformed and skipped, while and after the job runs.
    pub fn parse_errors(&self) -> ParseErrors {
        self.inner.errors.clone()
    }

    /// The files that are read.
    fn files(&self) -> Result<Vec<listing::Listed>, ConnectorError> {
        let inner = &*self.inner;
        let mut files = listing::list(&inner.path)?;
        if let Some(pattern) = &inner.pattern {
            files.retain(|file| pattern.is_match(&file.path));
        }
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let wanted = inner.beside.wanted(&paths)?;
        let mut wanted = wanted.into_iter();
        files.retain(|_| wanted.next().unwrap_or(true));
        Ok(files)
    }

    fn splits(
        &self,
        files: Vec<listing::Listed>,
        parallelism: u32,
    ) -> Result<Vec<FileSplit>, ConnectorError> {
        let inner = &*self.inner;
        let mut splits = Vec::new();
        for file in files {
            let plain = inner.compression.of(Path::new(&file.path))? == Compression::None;
            if parallelism > 1 && plain && inner.format.is_line_based() && file.bytes > inner.split_bytes {
                splits.extend(FileSplit::ranges(&file.path, file.bytes, inner.split_bytes));
            } else {
                splits.push(FileSplit::whole(file.path, file.bytes));
            }
        }
        Ok(splits)
    }
}

impl Source for FileSource {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        let mut enumerator = FileEnumerator::new(self.clone(), parallelism);
        match restored {
            // What the others had is not known any more, so neither is the total.
            Some(splits) => enumerator.restore(splits)?,
            None => enumerator.look()?,
        }
        Ok(Box::new(enumerator))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let counter = context.metrics.counter(RECORDS_IN_ERRORS);
        let share = f64::from(context.parallelism.max(1));
        let rate = self.inner.per_second.map(|per_second| RateLimit::new(per_second / share));
        Ok(Box::new(FileReader::new(Arc::clone(&self.inner), counter, rate)?))
    }

    fn is_bounded(&self) -> bool {
        self.inner.monitor.is_none()
    }
}

/// The counter of malformed records that were skipped.
pub const RECORDS_IN_ERRORS: &str = "numRecordsInErrors";

/// The malformed records that a source has skipped: how many, and what was wrong with the first few.
///
/// ```
/// # use tidemill_runtime::OperatorContext;
/// # use tidemill_runtime::source::{ReaderStatus, Source, SourceOutput, SplitAssignment};
/// # use tidemill_state::SystemClock;
/// use std::sync::Arc;
/// use arrow_schema::{DataType, Field, Schema};
/// use tidemill_connectors::{CsvOptions, FileSource, ParseErrors};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("numbers.csv");
/// std::fs::write(&path, "1\nmany\n3\n").unwrap();
/// let numbers = Arc::new(Schema::new(vec![Field::new("number", DataType::Int64, false)]));
/// let options = CsvOptions::new().ignore_parse_errors(true);
/// let source = FileSource::new(path.to_str().unwrap(), options, numbers)?;
/// let errors: ParseErrors = source.parse_errors();
/// // Once a job has read it:
/// # let mut splits = source.create_enumerator(1, None)?;
/// # let mut reader = source.create_reader(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)))?;
/// # let mut out = SourceOutput::new(100);
/// # loop {
/// #     match reader.poll(&mut out)? {
/// #         ReaderStatus::End => break,
/// #         ReaderStatus::NeedsSplit => match splits.next_split(0)? {
/// #             SplitAssignment::Split(split) => reader.add_split(split)?,
/// #             _ => reader.no_more_splits(),
/// #         },
/// #         _ => {}
/// #     }
/// # }
/// assert_eq!(errors.count(), 1);
/// assert!(errors.first()[0].contains("many"));
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ParseErrors(Arc<Skipped>);

#[derive(Debug, Default)]
struct Skipped {
    count: AtomicU64,
    first: Mutex<Vec<String>>,
}

impl ParseErrors {
    /// How many of them are shown.
    pub const SHOWN: usize = 5;

    /// How many records were skipped.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// What was wrong with the first few: file, line, column, value.
    pub fn first(&self) -> Vec<String> {
        self.0.first.lock().clone()
    }

    /// Counts one; `describe` is asked for the first few only.
    pub(crate) fn add(&self, describe: impl FnOnce() -> String) {
        let before = self.0.count.fetch_add(1, Ordering::Relaxed);
        if before < Self::SHOWN as u64 {
            let text = describe();
            tracing::warn!("skipped a malformed record: {text}");
            self.0.first.lock().push(text);
        }
    }
}
