//! How records come in: splits, handed out by an enumerator, read by readers that the task polls.
//!
//! A source is cut into splits (files, partitions, ranges). The enumerator of the job hands them out to the readers that
//! ask for one; a reader reads those it has a bounded step at a time, and can say at any moment how far it has got.
//! The task owns the loop: a reader that has nothing says when to ask again, or wakes the task.

mod alignment;
mod coordinator;
mod operator;
mod watermarks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::CheckpointId;
use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;

pub use alignment::{AlignmentGroup, AlignmentGroups};
pub use coordinator::SourceCoordinator;
pub use operator::{SourceOperator, SourcePoll};
pub use watermarks::{SplitWatermarks, WatermarkUpdate};

use crate::context::OperatorContext;
use crate::operator::OperatorError;

/// A part of a source that one reader reads.
///
/// ```
/// use tidemill_runtime::source::SourceSplit;
/// use tidemill_serialization::{pack, unpack};
///
/// // The second half of a file of 2 KiB.
/// let split = SourceSplit { id: "a.csv@1024".into(), state: pack(&1024u32) };
/// // Of a later release, in which files may be larger.
/// assert_eq!(unpack::<u64>(&split.state)?, 1024);
/// # Ok::<(), tidemill_serialization::SerializationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSplit {
    /// Names the split among those of its source, for metrics and messages.
    pub id: Arc<str>,
    /// What the split is and how far it has been read, as its source writes it: by `tidemill_serialization::pack`, so that
    /// the next release of the program can read it.
    pub state: Vec<u8>,
}

/// What an enumerator answers to a reader that asks for a split.
///
/// ```
/// use tidemill_runtime::source::{SourceSplit, SplitAssignment};
///
/// let mut left = vec![SourceSplit { id: "only".into(), state: Vec::new() }];
/// let mut next = || left.pop().map_or(SplitAssignment::NoMore, SplitAssignment::Split);
/// assert!(matches!(next(), SplitAssignment::Split(split) if &*split.id == "only"));
/// assert_eq!(next(), SplitAssignment::NoMore);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitAssignment {
    /// Read this.
    Split(SourceSplit),
    /// There is none now, but more may come.
    NoneYet,
    /// There will be none any more.
    NoMore,
}

/// Hands out the splits of a source: one for all subtasks.
///
/// ```
/// use tidemill_runtime::OperatorError;
/// use tidemill_runtime::source::{SourceSplit, SplitAssignment, SplitEnumerator};
///
/// /// Hands out a list.
/// struct Listed(Vec<SourceSplit>);
///
/// impl SplitEnumerator for Listed {
///     fn next_split(&mut self, _subtask: u32) -> Result<SplitAssignment, OperatorError> {
///         Ok(self.0.pop().map_or(SplitAssignment::NoMore, SplitAssignment::Split))
///     }
///
///     fn snapshot(&self) -> Vec<SourceSplit> {
///         self.0.clone()
///     }
/// }
///
/// let mut splits = Listed(vec![SourceSplit { id: "only".into(), state: Vec::new() }]);
/// assert_eq!(splits.snapshot().len(), 1);
/// assert_ne!(splits.next_split(0)?, SplitAssignment::NoMore);
/// assert!(splits.snapshot().is_empty());
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub trait SplitEnumerator: Send {
    /// The next split for a subtask that has nothing to read.
    ///
    /// # Errors
    /// When the splits cannot be found: a missing folder, an unreachable server.
    fn next_split(&mut self, subtask: u32) -> Result<SplitAssignment, OperatorError>;

    /// What has not been handed out yet, so that a restored enumerator hands it out.
    fn snapshot(&self) -> Vec<SourceSplit>;

    /// Whether records of the past are being caught up with, as in the first scan of a table whose changes follow. Checkpoints are
    /// taken at `execution.checkpointing.interval-during-backlog` meanwhile, if that is set. Asked about once a second, and by
    /// another thread than the tasks'.
    fn is_processing_backlog(&self) -> bool {
        false
    }
}

/// What a reader answers when it is polled.
///
/// ```
/// use std::time::{Duration, Instant};
/// use tidemill_runtime::source::ReaderStatus;
///
/// // Nothing to read for a second.
/// let status = ReaderStatus::Pending(Some(Instant::now() + Duration::from_secs(1)));
/// assert_ne!(status, ReaderStatus::Pending(None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderStatus {
    /// It has read something, or is about to: poll again.
    Ready,
    /// It has read all its splits and asks for another.
    NeedsSplit,
    /// It has nothing before this instant, or before it uses its waker.
    Pending(Option<Instant>),
    /// It will never have anything again.
    End,
}

/// Reads the splits of one subtask.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_runtime::OperatorError;
/// use tidemill_runtime::source::{ReaderStatus, SourceOutput, SourceReader, SourceSplit};
///
/// /// Reads the numbers below 100; its one split says where to go on.
/// #[derive(Default)]
/// struct Hundred {
///     split: Option<SourceSplit>,
///     ends: bool,
/// }
///
/// impl SourceReader for Hundred {
///     fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
///         self.split = Some(split);
///         Ok(())
///     }
///
///     fn no_more_splits(&mut self) {
///         self.ends = true;
///     }
///
///     fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
///         let Some(split) = &mut self.split else {
///             return Ok(if self.ends { ReaderStatus::End } else { ReaderStatus::NeedsSplit });
///         };
///         let numbers: Vec<u8> = (split.state[0]..100).take(out.max_records()).collect();
///         split.state[0] += numbers.len() as u8;
///         if numbers.is_empty() {
///             out.finish_split(&split.id);
///             self.split = None;
///         } else {
///             out.emit(&split.id, Batch::new(TypedBatch::from_values(numbers)));
///         }
///         Ok(ReaderStatus::Ready)
///     }
///
///     fn snapshot(&self) -> Vec<SourceSplit> {
///         self.split.iter().cloned().collect()
///     }
/// }
///
/// let mut reader = Hundred::default();
/// let mut out = SourceOutput::new(60);
/// assert_eq!(reader.poll(&mut out)?, ReaderStatus::NeedsSplit);
/// reader.add_split(SourceSplit { id: "numbers".into(), state: vec![0] })?;
/// reader.poll(&mut out)?;
/// assert_eq!(reader.snapshot()[0].state, [60], "a restored reader goes on here");
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub trait SourceReader: Send {
    /// Adds a split to read, from where its state says.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError>;

    /// No further split will be added: after those at hand comes the end.
    fn no_more_splits(&mut self);

    /// Reads a bounded step: at most about `out.max_records()` records.
    ///
    /// # Errors
    /// When the split cannot be read or has a malformed record.
    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError>;

    /// The splits at hand, with how far each has been read.
    fn snapshot(&self) -> Vec<SourceSplit>;

    /// How far the reader has got in all its splits, where it can say.
    fn progress(&self) -> SourceProgress {
        SourceProgress::default()
    }

    /// A checkpoint that holds an earlier [`snapshot`](Self::snapshot) of this reader is complete: the outside may be told how
    /// far it has got.
    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let _ = checkpoint;
        Ok(())
    }

    /// Frees files and connections.
    fn close(&mut self) {}
}

/// How much of a source has been read, in units of its own (bytes or records).
///
/// ```
/// use tidemill_runtime::source::SourceProgress;
///
/// let half = SourceProgress { done: 512, total: Some(1024) };
/// assert_ne!(half, SourceProgress::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceProgress {
    /// Units read by this reader.
    pub done: u64,
    /// Units that all splits of the source have, when that is known.
    pub total: Option<u64>,
}

/// Where records come from.
///
/// ```
/// use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
/// use tidemill_runtime::{OperatorContext, OperatorError};
///
/// /// A source from what makes its two parts.
/// struct Parts<E, R> {
///     enumerator: E,
///     reader: R,
/// }
///
/// impl<E, R> Source for Parts<E, R>
/// where
///     E: Fn(Option<Vec<SourceSplit>>) -> Box<dyn SplitEnumerator> + Send + Sync,
///     R: Fn(u32) -> Box<dyn SourceReader> + Send + Sync,
/// {
///     fn create_enumerator(
///         &self,
///         _parallelism: u32,
///         restored: Option<Vec<SourceSplit>>,
///     ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
///         Ok((self.enumerator)(restored))
///     }
///
///     fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
///         Ok((self.reader)(context.subtask))
///     }
/// }
/// ```
pub trait Source: Send + Sync {
    /// The enumerator of the job, for `parallelism` readers; `restored` is what an earlier one left over.
    ///
    /// # Errors
    /// When what is to be read does not exist.
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError>;

    /// The reader of one subtask.
    ///
    /// # Errors
    /// When the source cannot be reached.
    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError>;

    /// Whether the source ends.
    fn is_bounded(&self) -> bool {
        true
    }
}

/// What a reader has read in one step.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_runtime::source::SourceOutput;
///
/// let mut out = SourceOutput::new(1000);
/// let split: Arc<str> = "numbers".into();
/// out.emit(&split, Batch::new(TypedBatch::from_values(vec![1u32, 2])));
/// out.finish_split(&split);
/// let (batches, finished) = out.take();
/// assert_eq!((batches.len(), finished.len()), (1, 1));
/// ```
#[derive(Debug)]
pub struct SourceOutput {
    batches: Vec<(Arc<str>, Batch)>,
    finished: Vec<Arc<str>>,
    max_records: usize,
}

impl SourceOutput {
    /// An output for steps of at most `max_records`.
    ///
    /// ```
    /// use tidemill_runtime::source::SourceOutput;
    ///
    /// let (batches, finished) = SourceOutput::new(1000).take();
    /// assert!(batches.is_empty() && finished.is_empty());
    /// ```
    pub fn new(max_records: usize) -> Self {
        Self { batches: Vec::new(), finished: Vec::new(), max_records: max_records.max(1) }
    }

    /// How many records one step should read at most.
    ///
    /// ```
    /// use tidemill_runtime::source::SourceOutput;
    ///
    /// /// As much of the numbers as one step may read.
    /// fn step<'a>(numbers: &'a [u32], out: &SourceOutput) -> &'a [u32] {
    ///     &numbers[..numbers.len().min(out.max_records())]
    /// }
    ///
    /// assert_eq!(step(&[1, 2, 3], &SourceOutput::new(2)), [1, 2]);
    /// ```
    pub fn max_records(&self) -> usize {
        self.max_records
    }

    /// Adds records of a split.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_core::{Batch, TypedBatch};
    /// use tidemill_runtime::source::SourceOutput;
    ///
    /// let mut out = SourceOutput::new(1000);
    /// let split: Arc<str> = "numbers".into();
    /// out.emit(&split, Batch::new(TypedBatch::from_values(vec![1u32, 2])));
    /// let (batches, _) = out.take();
    /// assert_eq!((&*batches[0].0, batches[0].1.len()), ("numbers", 2));
    /// ```
    pub fn emit(&mut self, split: &Arc<str>, batch: Batch) {
        if !batch.is_empty() {
            self.batches.push((Arc::clone(split), batch));
        }
    }

    /// Says that a split has been read to its end: it does not hold back event time any more.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::source::SourceOutput;
    ///
    /// let mut out = SourceOutput::new(1000);
    /// let split: Arc<str> = "numbers".into();
    /// out.finish_split(&split);
    /// assert_eq!(out.take().1, [split]);
    /// ```
    pub fn finish_split(&mut self, split: &Arc<str>) {
        self.finished.push(Arc::clone(split));
    }

    /// Takes what was added, batches and the splits that have ended after them.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::source::SourceOutput;
    ///
    /// let mut out = SourceOutput::new(1000);
    /// out.finish_split(&Arc::from("numbers"));
    /// assert_eq!((out.take().1.len(), out.take().1.len()), (1, 0));
    /// ```
    pub fn take(&mut self) -> (Vec<(Arc<str>, Batch)>, Vec<Arc<str>>) {
        (std::mem::take(&mut self.batches), std::mem::take(&mut self.finished))
    }
}

/// What happens to the batches of one split before they leave the source: conversion to the record type of the stream,
/// timestamps, and the watermark that follows from them.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch, Watermark};
/// use tidemill_runtime::OperatorError;
/// use tidemill_runtime::source::SplitStage;
///
/// /// Numbers are their own timestamps, and come in order.
/// struct Ascending(Watermark);
///
/// impl SplitStage for Ascending {
///     fn process(&mut self, mut batch: Batch) -> Result<(Batch, Option<Watermark>), OperatorError> {
///         let numbers = batch.downcast_mut::<TypedBatch<i64>>()?;
///         numbers.timestamps.clone_from(&numbers.values);
///         if let Some(last) = numbers.values.last() {
///             self.0 = Watermark(last - 1);
///         }
///         Ok((batch, None))
///     }
///
///     fn periodic(&mut self) -> Option<Watermark> {
///         Some(self.0)
///     }
/// }
///
/// let mut stage = Ascending(Watermark::MIN);
/// stage.process(Batch::new(TypedBatch::from_values(vec![10i64, 20])))?;
/// assert_eq!(stage.periodic(), Some(Watermark(19)));
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub trait SplitStage: Send {
    /// Converts a batch, gives its records their timestamps and notes them for the watermark. Answers the watermark
    /// that is due at once, if the generator is one that looks at every record.
    ///
    /// # Errors
    /// When a record cannot be converted.
    fn process(&mut self, batch: Batch) -> Result<(Batch, Option<Watermark>), OperatorError>;

    /// The watermark that follows from the records so far: asked every `pipeline.auto-watermark-interval`.
    fn periodic(&mut self) -> Option<Watermark>;
}

/// Makes the stage of each split.
///
/// ```
/// use tidemill_core::{Batch, Watermark};
/// use tidemill_runtime::OperatorError;
/// use tidemill_runtime::source::{SplitStage, SplitStageFactory};
///
/// /// Leaves batches as they are, and says nothing of event time.
/// #[derive(Clone)]
/// struct AsTheyAre;
///
/// impl SplitStage for AsTheyAre {
///     fn process(&mut self, batch: Batch) -> Result<(Batch, Option<Watermark>), OperatorError> {
///         Ok((batch, None))
///     }
///     fn periodic(&mut self) -> Option<Watermark> {
///         None
///     }
/// }
///
/// impl SplitStageFactory for AsTheyAre {
///     fn create(&self) -> Box<dyn SplitStage> {
///         Box::new(self.clone())
///     }
/// }
///
/// assert_eq!(AsTheyAre.create().periodic(), None);
/// ```
pub trait SplitStageFactory: Send + Sync {
    /// A stage for a split that begins.
    fn create(&self) -> Box<dyn SplitStage>;
}

/// After how long without records a split stops holding back event time, and how far this source may run ahead of others.
///
/// ```
/// use std::time::Duration;
/// use tidemill_runtime::source::WatermarkSettings;
///
/// let minute = WatermarkSettings { idleness: Some(Duration::from_secs(60)), ..Default::default() };
/// assert!(minute.alignment.is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct WatermarkSettings {
    /// A split without records for so long is idle.
    pub idleness: Option<Duration>,
    /// The alignment group of the source, with how far ahead of the slowest it may be.
    pub alignment: Option<WatermarkAlignment>,
}

/// `WatermarkStrategy.withWatermarkAlignment` of Flink.
///
/// ```
/// use std::time::Duration;
/// use tidemill_runtime::source::{WatermarkAlignment, WatermarkSettings};
///
/// let alignment = WatermarkAlignment {
///     group: "clicks".to_owned(),
///     max_drift: Duration::from_secs(30),
///     update_interval: Duration::from_secs(1),
/// };
/// let settings = WatermarkSettings { alignment: Some(alignment), ..Default::default() };
/// assert!(settings.idleness.is_none());
/// ```
#[derive(Clone, Debug)]
pub struct WatermarkAlignment {
    /// Sources of one group wait for each other.
    pub group: String,
    /// How far, in event time, a source may be ahead of the slowest of its group.
    pub max_drift: Duration,
    /// How often the group compares notes.
    pub update_interval: Duration,
}

/// A source and what is done with its records before they leave it.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_runtime::source::{Source, SourceSpec, SplitStageFactory, WatermarkSettings};
///
/// fn spec(source: impl Source + 'static, stage: impl SplitStageFactory + 'static) -> SourceSpec {
///     let watermarks = WatermarkSettings::default();
///     SourceSpec { source: Arc::new(source), stage: Arc::new(stage), watermarks }
/// }
/// ```
pub struct SourceSpec {
    /// Where records come from.
    pub source: Arc<dyn Source>,
    /// What is done with them.
    pub stage: Arc<dyn SplitStageFactory>,
    /// Idleness and alignment.
    pub watermarks: WatermarkSettings,
}
