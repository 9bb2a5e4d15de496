//! A source that emits as many records as it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill::core::batch::{Batch, TypedBatch};
use tidemill::runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill::runtime::{OperatorContext, OperatorError};

const BATCH: u64 = 1024;
/// How often a reader that has emitted all looks whether there is more to emit.
const LOOK: Duration = Duration::from_millis(1);

/// Emits what `record` makes of the numbers below `goal`, which grows. Each subtask emits every one.
#[derive(Clone)]
pub(crate) struct GoalSource {
    pub(crate) goal: Arc<AtomicU64>,
    pub(crate) record: fn(u64) -> u64,
    /// The source ends when it has emitted so many.
    pub(crate) end: u64,
}

struct Enumerator;

impl SplitEnumerator for Enumerator {
    fn next_split(&mut self, subtask: u32) -> Result<SplitAssignment, OperatorError> {
        Ok(SplitAssignment::Split(SourceSplit { id: subtask.to_string().into(), state: Vec::new() }))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

struct Reader {
    source: GoalSource,
    emitted: u64,
    split: Option<Arc<str>>,
}

impl SourceReader for Reader {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        self.split = Some(split.id);
        Ok(())
    }

    fn no_more_splits(&mut self) {}

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        let Some(split) = &self.split else { return Ok(ReaderStatus::NeedsSplit) };
        let goal = self.source.goal.load(Ordering::Relaxed);
        if self.emitted >= self.source.end {
            return Ok(ReaderStatus::End);
        }
        if self.emitted >= goal {
            return Ok(ReaderStatus::Pending(Some(Instant::now() + LOOK)));
        }
        let until = (self.emitted + BATCH).min(goal);
        let records: Vec<u64> = (self.emitted..until).map(self.source.record).collect();
        self.emitted = until;
        out.emit(split, Batch::new(TypedBatch::from_values(records)));
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

impl Source for GoalSource {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        _restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(Box::new(Enumerator))
    }

    fn create_reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Ok(Box::new(Reader { source: self.clone(), emitted: 0, split: None }))
    }
}
