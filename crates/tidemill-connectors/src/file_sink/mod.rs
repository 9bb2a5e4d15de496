//! Files as a sink: parts in a folder that roll, or one file; visible only when they are complete.
//!
//! A part is written under a hidden name (`.part-0-3.csv.inprogress`). When it is complete it is synced to the disk and
//! renamed (`part-0-3.csv`), so that nobody ever sees half of one. At the end of the input everything is complete.
//!
//! A snapshot says which part is in progress and how many bytes of it count. On restore they are cut back to that, and
//! parts that the failed run began after the snapshot are removed, for their rows will come again: each row is in
//! the files once. Without a snapshot to start from, complete parts of earlier runs stay and what they left in
//! progress is removed; so a folder must belong to one job at a time.

mod parts;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use tidemill_runtime::{Operator, OperatorError, OperatorFactory};

use crate::error::ConnectorError;
use crate::file_sink::parts::Target;
use crate::file_sink::writer::FileSinkOperator;
use crate::format::OutputFormat;

/// When a part is complete and the next one begins; a part never is before its first row.
///
/// ```
/// use std::time::Duration;
/// use tidemill_connectors::RollingPolicy;
///
/// let every_minute = RollingPolicy { rollover_interval: Duration::from_secs(60), ..RollingPolicy::default() };
/// assert_eq!(every_minute.file_bytes, 128 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollingPolicy {
    /// At so many bytes (`sink.rolling-policy.file-size`).
    pub file_bytes: u64,
    /// After so long from its first row, in processing time (`sink.rolling-policy.rollover-interval`).
    pub rollover_interval: Duration,
    /// After so long without a row, in processing time (`sink.rolling-policy.inactivity-interval`).
    pub inactivity_interval: Duration,
}

impl Default for RollingPolicy {
    fn default() -> Self {
        let half_an_hour = Duration::from_secs(30 * 60);
        Self { file_bytes: 128 << 20, rollover_interval: half_an_hour, inactivity_interval: half_an_hour }
    }
}

/// Writes rows to files.
///
/// ```
/// use tidemill_connectors::{CsvOutput, FileSink};
/// use tidemill_serialization::{ArrowRecord, Record};
///
/// #[derive(Record, Clone)]
/// #[record(arrow)]
/// struct Count {
///     origin: String,
///     flights: u64,
/// }
///
/// let parts = FileSink::folder("out/counts", CsvOutput::new(), Count::schema())?;
/// let one_file = FileSink::single_file("out/counts.csv", CsvOutput::new().header(true), Count::schema())?;
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileSink {
    shape: Arc<Shape>,
}

#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) target: Target,
    pub(crate) format: OutputFormat,
    pub(crate) schema: SchemaRef,
    pub(crate) policy: RollingPolicy,
}

impl FileSink {
    /// Writes part files, `part-<subtask>-<number>.csv` or `.json`, into a folder, which is made if it is not there.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{FileSink, JsonOutput};
    ///
    /// let schema = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true)]));
    /// assert!(FileSink::folder("out/names", JsonOutput::new(), schema).is_ok());
    /// ```
    ///
    /// # Errors
    /// When the schema has a type that the format does not, or an option makes no sense.
    pub fn folder(
        folder: impl Into<PathBuf>,
        format: impl Into<OutputFormat>,
        schema: SchemaRef,
    ) -> Result<Self, ConnectorError> {
        let format = format.into();
        let target = Target::Folder { folder: folder.into(), extension: format.extension() };
        Self::new(target, format, schema)
    }

    /// Writes exactly this file, when the input ends; the sink must have parallelism 1. A file that is there already is
    /// replaced.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{CsvOutput, FileSink};
    ///
    /// let schema = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true)]));
    /// assert!(FileSink::single_file("out/names.csv", CsvOutput::new().header(true), schema).is_ok());
    /// ```
    ///
    /// # Errors
    /// When the schema has a type that the format does not, or an option makes no sense.
    pub fn single_file(
        path: impl Into<PathBuf>,
        format: impl Into<OutputFormat>,
        schema: SchemaRef,
    ) -> Result<Self, ConnectorError> {
        Self::new(Target::Single(path.into()), format.into(), schema)
    }

    fn new(target: Target, format: OutputFormat, schema: SchemaRef) -> Result<Self, ConnectorError> {
        format.validate(&schema)?;
        let policy = RollingPolicy::default();
        Ok(Self { shape: Arc::new(Shape { target, format, schema, policy }) })
    }

    /// When parts in a folder are complete. A single file never rolls.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{CsvOutput, FileSink, RollingPolicy};
    ///
    /// let schema = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true)]));
    /// let policy = RollingPolicy { file_bytes: 1 << 20, ..RollingPolicy::default() };
    /// let sink = FileSink::folder("out/names", CsvOutput::new(), schema)?.rolling_policy(policy);
    /// # let _ = sink;
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    pub fn rolling_policy(mut self, policy: RollingPolicy) -> Self {
        let mut shape = Shape::clone(&self.shape);
        shape.policy = policy;
        self.shape = Arc::new(shape);
        self
    }
}

impl OperatorFactory for FileSink {
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(FileSinkOperator::new(Arc::clone(&self.shape))))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}
