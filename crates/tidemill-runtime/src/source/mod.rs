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

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;

pub use alignment::{AlignmentGroup, AlignmentGroups};
pub use coordinator::SourceCoordinator;
pub use operator::{SourceOperator, SourcePoll};
pub use watermarks::{SplitWatermarks, WatermarkUpdate};

use crate::context::OperatorContext;
use crate::operator::OperatorError;

/// A part of a source that one reader reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSplit {
    /// Names the split among those of its source, for metrics and messages.
    pub id: Arc<str>,
    /// What the split is and how far it has been read, encoded by its source.
    pub state: Vec<u8>,
}

/// What an enumerator answers to a reader that asks for a split.
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
pub trait SplitEnumerator: Send {
    /// The next split for a subtask that has nothing to read.
    ///
    /// # Errors
    /// When the splits cannot be found: a missing folder, an unreachable server.
    fn next_split(&mut self, subtask: u32) -> Result<SplitAssignment, OperatorError>;

    /// What has not been handed out yet, so that a restored enumerator hands it out.
    fn snapshot(&self) -> Vec<SourceSplit>;
}

/// What a reader answers when it is polled.
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

    /// Frees files and connections.
    fn close(&mut self) {}
}

/// How much of a source has been read, in units of its own (bytes or records).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceProgress {
    /// Units read by this reader.
    pub done: u64,
    /// Units that all splits of the source have, when that is known.
    pub total: Option<u64>,
}

/// Where records come from.
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
#[derive(Debug)]
pub struct SourceOutput {
    batches: Vec<(Arc<str>, Batch)>,
    finished: Vec<Arc<str>>,
    max_records: usize,
}

impl SourceOutput {
    /// An output for steps of at most `max_records`.
    pub fn new(max_records: usize) -> Self {
        Self { batches: Vec::new(), finished: Vec::new(), max_records: max_records.max(1) }
    }

    /// How many records one step should read at most.
    pub fn max_records(&self) -> usize {
        self.max_records
    }

    /// Adds records of a split.
    pub fn emit(&mut self, split: &Arc<str>, batch: Batch) {
        if !batch.is_empty() {
            self.batches.push((Arc::clone(split), batch));
        }
    }

    /// Says that a split has been read to its end: it does not hold back event time any more.
    pub fn finish_split(&mut self, split: &Arc<str>) {
        self.finished.push(Arc::clone(split));
    }

    /// Takes what was added, batches and the splits that have ended after them.
    pub fn take(&mut self) -> (Vec<(Arc<str>, Batch)>, Vec<Arc<str>>) {
        (std::mem::take(&mut self.batches), std::mem::take(&mut self.finished))
    }
}

/// What happens to the batches of one split before they leave the source: conversion to the record type of the stream,
/// timestamps, and the watermark that follows from them.
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
pub trait SplitStageFactory: Send + Sync {
    /// A stage for a split that begins.
    fn create(&self) -> Box<dyn SplitStage>;
}

/// After how long without records a split stops holding back event time, and how far this source may run ahead of others.
#[derive(Clone, Debug, Default)]
pub struct WatermarkSettings {
    /// A split without records for so long is idle.
    pub idleness: Option<Duration>,
    /// The alignment group of the source, with how far ahead of the slowest it may be.
    pub alignment: Option<WatermarkAlignment>,
}

/// `WatermarkStrategy.withWatermarkAlignment` of Flink.
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
pub struct SourceSpec {
    /// Where records come from.
    pub source: Arc<dyn Source>,
    /// What is done with them.
    pub stage: Arc<dyn SplitStageFactory>,
    /// Idleness and alignment.
    pub watermarks: WatermarkSettings,
}
