//! Files as a sink: parts in a folder that roll, or one file; visible only when they are complete.
//!
//! A part is written under a hidden name, and synced to the disk and renamed when it is to be seen; so nobody ever sees half
//! of one.
//!
//! # With checkpoints
//! The names carry the run of the job: `.part-5be0c7a1d2f3e491-0-3.csv.inprogress` becomes
//! `part-5be0c7a1d2f3e491-0-3.csv`. A part ends by the rolling policy, and with every checkpoint. It is then pending, and
//! becomes visible when the checkpoint that holds it is complete; if that one fails, with the next. So each row is
//! in the visible files once, whatever fails, and rows that are written again after a restart have not been visible before.
//!
//! A restored sink makes the pending parts of its checkpoint visible, unless they are already, and removes what else the
//! runs that the checkpoint knows, and earlier attempts of its own, have left hidden: those rows come again. What other sinks
//! and jobs have in the folder is not touched. While a subtask writes, it keeps a file locked (`.part-5be0c7a1d2f3e491-0.lock`),
//! so that a job that was started from a savepoint of another one does not take the parts of that one for left over. Hidden
//! files of a process that died before a checkpoint of it was complete are known to nobody; they stay until somebody removes
//! them.
//!
//! A single file does not roll. A checkpoint says how many bytes of it count; on restore it is cut back to that. It
//! is visible when the input has ended and the last checkpoint is complete.
//!
//! # Partitions
//! The rows of a table that is partitioned are dealt to folders, `dt=2020-01-31/hm=12%3A30`, one part in progress in each. The columns
//! that it is partitioned by are in the names of the folders, not in the files. Parts are numbered over all folders of a subtask, and
//! all that is said above holds for each of them.
//!
//! # Without checkpoints
//! The names are plain (`.part-0-3.csv.inprogress`, `part-0-3.csv`), and a part is visible as soon as it has ended, at the
//! latest at the end of the input. A job that goes on from a savepoint removes the parts that were begun after that. Without a
//! savepoint to start from, complete parts of earlier runs stay and what they left in progress is removed; so a folder must
//! belong to one job at a time.

mod commit;
mod partition_time;
mod partitioner;
mod parts;
mod restore;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema, SchemaRef};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory};

pub use commit::{CommitTrigger, PartitionCommit};
pub use partition_time::PartitionTime;

use crate::cells::is_single;
use crate::error::ConnectorError;
use crate::file_sink::commit::Commits;
use crate::file_sink::parts::Target;
use crate::file_sink::restore::random_run;
use crate::file_sink::writer::FileSinkOperator;
use crate::format::OutputFormat;
use crate::partition::Partitions;

/// When a part ends and the next one begins, apart from checkpoints, which end all parts; none begins before its first row.
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

/// Writes rows to files, each once: with checkpoints also when the job fails and is restarted.
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
    /// The columns that come.
    pub(crate) schema: SchemaRef,
    /// Those of them that are in the files.
    pub(crate) stored: SchemaRef,
    pub(crate) policy: RollingPolicy,
    /// The partitions, and the columns that say them.
    pub(crate) partitions: Option<(Partitions, Vec<usize>)>,
    pub(crate) commits: Option<Arc<Commits>>,
    /// Which run of the program this is: all attempts of a job share it.
    pub(crate) run: u64,
}

impl Shape {
    /// The columns of a batch that are in the files, by the names of the table.
    pub(crate) fn stored_columns(&self, batch: &RecordBatch) -> Result<RecordBatch, ConnectorError> {
        let partitioned = |index: &usize| {
            self.partitions.as_ref().is_some_and(|(_, partitioned)| partitioned.contains(index))
        };
        let columns = (0..batch.num_columns())
            .filter(|index| !partitioned(index))
            .map(|index| Arc::clone(batch.column(index)))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.stored), columns, &options)
            .map_err(|error| ConnectorError::Columns { reason: error.to_string() })
    }
}

impl FileSink {
    /// Writes part files, `part-<run>-<subtask>-<number>.csv` or `.json`, into a folder, which is made if it is not there. They
    /// are visible when the checkpoint that holds them is complete. Without checkpoints they are as soon as they have ended, and
    /// are named `part-<subtask>-<number>.csv`.
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
        let target =
            Target::Folder { folder: folder.into(), extension: format.extension(), levels: Vec::new() };
        Self::new(target, format, Arc::clone(&schema), schema, None)
    }

    /// Writes exactly this file, visible when the input has ended and, if there are checkpoints, the last one is complete; the sink must have parallelism 1. A file that is there already is
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
        let format = format.into();
        if format.is_columnar() {
            return Err(ConnectorError::InvalidOption(format!(
                "a single {} file cannot be gone on with after a failure: write parts into a folder",
                format.name()
            )));
        }
        Self::new(Target::Single(path.into()), format, Arc::clone(&schema), schema, None)
    }

    /// Deals the rows to folders by the values of these columns, which are then not in the files.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{CsvOutput, FileSink, Partitions};
    ///
    /// let fields = ["day", "name"].map(|name| Field::new(name, DataType::Utf8, true));
    /// let schema = Arc::new(Schema::new(fields.to_vec()));
    /// let sink = |by| FileSink::partitioned("out/names", CsvOutput::new(), schema.clone(), Partitions::by([by]));
    /// assert!(sink("day").is_ok() && sink("hour").is_err());
    /// ```
    ///
    /// # Errors
    /// As [`folder`](Self::folder); also when there is no such column, it has a type that makes no names of folders, or no column is left for the files.
    pub fn partitioned(
        folder: impl Into<PathBuf>,
        format: impl Into<OutputFormat>,
        schema: SchemaRef,
        partitions: Partitions,
    ) -> Result<Self, ConnectorError> {
        let format = format.into();
        let (extension, levels) = (format.extension(), partitions.prefixes());
        let target = Target::Folder { folder: folder.into(), extension, levels };
        let mut columns = Vec::new();
        for key in partitions.keys() {
            let Some((index, field)) = schema.column_with_name(key) else {
                return Err(ConnectorError::InvalidOption(format!(
                    "it cannot be partitioned by '{key}', which is no column of it"
                )));
            };
            let named = is_single(field.data_type()) && *field.data_type() != DataType::Binary;
            if !named {
                return Err(ConnectorError::InvalidOption(format!(
                    "it cannot be partitioned by '{key}': values of type {} make no names of folders",
                    field.data_type()
                )));
            }
            columns.push(index);
        }
        let left = schema.fields().iter().enumerate().filter(|(index, _)| !columns.contains(index));
        let left: Vec<_> = left.map(|(_, field)| Arc::clone(field)).collect();
        if left.is_empty() {
            return Err(ConnectorError::InvalidOption(
                "it is partitioned by all of its columns: nothing is left for the files".to_owned(),
            ));
        }
        let stored = Arc::new(Schema::new(left));
        Self::new(target, format, schema, stored, Some((partitions, columns)))
    }

    fn new(
        target: Target,
        format: OutputFormat,
        schema: SchemaRef,
        stored: SchemaRef,
        partitions: Option<(Partitions, Vec<usize>)>,
    ) -> Result<Self, ConnectorError> {
        format.validate(&stored)?;
        Ok(Self {
            shape: Arc::new(Shape {
                target,
                format,
                stored,
                schema,
                policy: RollingPolicy::default(),
                partitions,
                commits: None,
                run: random_run(),
            }),
        })
    }

    /// Says of partitions that they are complete.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{CsvOutput, FileSink, PartitionCommit, Partitions};
    ///
    /// # let fields = ["day", "name"].map(|name| Field::new(name, DataType::Utf8, true));
    /// # let schema = Arc::new(Schema::new(fields.to_vec()));
    /// let days = Partitions::by(["day"]);
    /// let sink = FileSink::partitioned("out/names", CsvOutput::new(), schema, days)?;
    /// assert!(sink.commit(PartitionCommit::default()).is_ok());
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    ///
    /// # Errors
    /// When there are no partitions.
    pub fn commit(mut self, commit: PartitionCommit) -> Result<Self, ConnectorError> {
        let mut shape = Shape::clone(&self.shape);
        let Some((partitions, _)) = &shape.partitions else {
            return Err(ConnectorError::InvalidOption(
                "it has no partitions that can be committed".to_owned(),
            ));
        };
        shape.commits = Some(Arc::new(Commits::new(commit, partitions.clone())));
        self.shape = Arc::new(shape);
        Ok(self)
    }

    /// When parts in a folder end. A single file never rolls.
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
