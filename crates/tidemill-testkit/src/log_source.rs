//! A source that a test fills.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSpec, SourceSplit, SplitAssignment,
    SplitEnumerator, SplitStage, SplitStageFactory, WatermarkAlignment, WatermarkSettings,
};
use tidemill_runtime::{OperatorContext, OperatorError, OperatorWaker};
use tidemill_serialization::{Data, pack, unpack};

/// The splits of a source, each a list of records that the test adds to. Clones are the same lists, and they stay when a job
/// ends, so that another one can go on where a snapshot was.
///
/// ```
/// use tidemill_testkit::Log;
///
/// let log = Log::<u64>::new(1);
/// log.push(0, [(1, 10), (2, 20)]);
/// log.end_all();
/// assert_eq!(log.read_in_all(), 0, "no job reads it yet");
/// ```
pub struct Log<T> {
    splits: Arc<Vec<Mutex<LogSplit<T>>>>,
    has_backlog: Arc<AtomicBool>,
    /// How many records are read in one step, at most, where the test says so.
    block: Option<usize>,
    /// Makes the batches that come out of the records that were read.
    shape: Option<Shape<T>>,
}

/// Makes a batch of records.
pub(crate) type Shape<T> = Arc<dyn Fn(&[(T, Timestamp)]) -> Batch + Send + Sync>;

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self {
            splits: Arc::clone(&self.splits),
            has_backlog: Arc::clone(&self.has_backlog),
            block: self.block,
            shape: self.shape.clone(),
        }
    }
}

struct LogSplit<T> {
    records: Vec<(T, Timestamp)>,
    ended: bool,
    readers: Vec<OperatorWaker>,
    /// The record that the split cannot be read beyond, and why.
    broken: Option<(usize, &'static str)>,
    /// The records at each of which reading fails once.
    fails_once: Vec<usize>,
    read: usize,
}

impl<T: Data + Debug> Log<T> {
    /// Empty splits that have not ended.
    pub fn new(splits: usize) -> Self {
        let split = || {
            Mutex::new(LogSplit {
                records: Vec::new(),
                ended: false,
                readers: Vec::new(),
                broken: None,
                fails_once: Vec::new(),
                read: 0,
            })
        };
        let splits = Arc::new((0..splits).map(|_| split()).collect());
        Self { splits, has_backlog: Arc::default(), block: None, shape: None }
    }

    /// Splits that have these records and nothing more.
    pub fn bounded(splits: impl IntoIterator<Item = Vec<(T, Timestamp)>>) -> Self {
        let splits: Vec<_> = splits.into_iter().collect();
        let log = Self::new(splits.len());
        for (index, records) in splits.into_iter().enumerate() {
            log.push(index, records);
            log.end(index);
        }
        log
    }

    /// Has each split read in steps from one multiple of `records` to the next, and each step emitted as two batches, so that
    /// a checkpoint never lies between a record of the first half and one of the second.
    ///
    /// ```
    /// use tidemill_testkit::Log;
    ///
    /// let log = Log::<u64>::new(1).in_blocks(16);
    /// # let _ = log;
    /// ```
    #[must_use]
    pub fn in_blocks(mut self, records: usize) -> Self {
        assert!(records > 1, "a block has two halves");
        self.block = Some(records);
        self
    }

    /// Has what was read come out as `shape` makes it, such as columns of rows that the records are the numbers of.
    #[must_use]
    pub fn shaped(mut self, shape: impl Fn(&[(T, Timestamp)]) -> Batch + Send + Sync + 'static) -> Self {
        self.shape = Some(Arc::new(shape));
        self
    }

    fn change(&self, split: usize, change: impl FnOnce(&mut LogSplit<T>)) {
        let readers = {
            let mut split = self.splits[split].lock();
            change(&mut split);
            std::mem::take(&mut split.readers)
        };
        readers.iter().for_each(OperatorWaker::wake);
    }

    /// Adds records to a split.
    pub fn push(&self, split: usize, records: impl IntoIterator<Item = (T, Timestamp)>) {
        self.change(split, |split| split.records.extend(records));
    }

    /// Says that nothing follows in a split.
    pub fn end(&self, split: usize) {
        self.change(split, |split| split.ended = true);
    }

    /// Says that nothing follows in any split.
    pub fn end_all(&self) {
        (0..self.splits.len()).for_each(|split| self.end(split));
    }

    /// Lets reading fail at record `at` of a split.
    pub fn break_at(&self, split: usize, at: usize, message: &'static str) {
        self.change(split, |split| split.broken = Some((at, message)));
    }

    /// Says whether what is read is a backlog, so that checkpoints are taken more rarely.
    pub fn set_backlog(&self, has_backlog: bool) {
        self.has_backlog.store(has_backlog, Ordering::SeqCst);
    }

    /// Lets reading fail at record `at` of a split, and go on there after a restart.
    pub fn fail_once_at(&self, split: usize, at: usize) {
        self.change(split, |split| split.fails_once.push(at));
    }

    /// How many records of a split have been read by the last reader that did.
    pub fn read(&self, split: usize) -> usize {
        self.splits[split].lock().read
    }

    /// How many records a split has.
    pub fn pushed(&self, split: usize) -> usize {
        self.splits[split].lock().records.len()
    }

    /// How many records have been read of all splits.
    pub fn read_in_all(&self) -> usize {
        (0..self.splits.len()).map(|split| self.read(split)).sum()
    }

    /// A source that reads the log and says, after each batch, that event time has come to its last timestamp.
    pub fn source(&self) -> Arc<SourceSpec> {
        self.source_with(None, None)
    }

    /// What reads the log, for a source whose watermarks come from elsewhere.
    pub fn reader(&self) -> impl Source + use<T> {
        LogSource(self.clone())
    }

    /// As [`source`](Self::source), with splits that go idle, and in an alignment group.
    pub fn source_with(
        &self,
        idleness: Option<Duration>,
        alignment: Option<WatermarkAlignment>,
    ) -> Arc<SourceSpec> {
        Arc::new(SourceSpec {
            source: Arc::new(LogSource(self.clone())),
            stage: Arc::new(AscendingStages::<T>(PhantomData)),
            watermarks: WatermarkSettings { idleness, alignment },
        })
    }
}

struct LogSource<T>(Log<T>);

impl<T: Data + Debug> Source for LogSource<T> {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        let all = || {
            let splits = 0..self.0.splits.len();
            splits
                .map(|index| SourceSplit { id: format!("log-{index}").into(), state: pack(&0u64) })
                .collect()
        };
        let mut left = restored.unwrap_or_else(all);
        left.reverse();
        Ok(Box::new(LogEnumerator { left, has_backlog: Arc::clone(&self.0.has_backlog) }))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Ok(Box::new(LogReader {
            log: self.0.clone(),
            waker: context.waker.clone(),
            splits: Vec::new(),
            next: 0,
            no_more: false,
        }))
    }
}

struct LogEnumerator {
    left: Vec<SourceSplit>,
    has_backlog: Arc<AtomicBool>,
}

impl SplitEnumerator for LogEnumerator {
    fn next_split(&mut self, _subtask: u32) -> Result<SplitAssignment, OperatorError> {
        Ok(self.left.pop().map_or(SplitAssignment::NoMore, SplitAssignment::Split))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        self.left.iter().rev().cloned().collect()
    }

    fn is_processing_backlog(&self) -> bool {
        self.has_backlog.load(Ordering::SeqCst)
    }
}

struct LogReader<T> {
    log: Log<T>,
    waker: OperatorWaker,
    splits: Vec<Position>,
    next: usize,
    no_more: bool,
}

struct Position {
    id: Arc<str>,
    index: usize,
    offset: usize,
}

impl<T> LogReader<T> {
    /// Whether there is more to read. If not, the reader waits at once, not only when it is polled the next time.
    fn status(&self) -> ReaderStatus {
        for position in &self.splits {
            let mut split = self.log.splits[position.index].lock();
            if split.ended || split.records.len() > position.offset {
                return ReaderStatus::Ready;
            }
            split.readers.push(self.waker.clone());
        }
        ReaderStatus::Pending(None)
    }
}

impl<T: Data + Debug> SourceReader for LogReader<T> {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        let index: usize = split.id.trim_start_matches("log-").parse().map_err(OperatorError::user)?;
        let offset: u64 = unpack(&split.state).map_err(OperatorError::user)?;
        self.log.splits[index].lock().read = offset as usize;
        self.splits.push(Position { id: split.id, index, offset: offset as usize });
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        if !self.no_more {
            // All splits are read at once, so that a subtask can have several.
            return Ok(ReaderStatus::NeedsSplit);
        }
        for _ in 0..self.splits.len() {
            self.next = (self.next + 1) % self.splits.len();
            let position = &mut self.splits[self.next];
            let mut split = self.log.splits[position.index].lock();
            if let Some((at, message)) = split.broken
                && position.offset >= at
            {
                return Err(OperatorError::user(message));
            }
            if let Some(due) = split.fails_once.iter().position(|at| position.offset >= *at) {
                split.fails_once.swap_remove(due);
                return Err(OperatorError::user("reading fails once, as the test wants"));
            }
            let limit = match self.log.block {
                Some(block) => (position.offset / block + 1) * block,
                None => position.offset + out.max_records(),
            };
            let end = limit.min(split.records.len());
            let end = split.broken.map_or(end, |(at, _)| end.min(at));
            if end > position.offset {
                let middle = match self.log.block {
                    Some(block) => (limit - block / 2).clamp(position.offset, end),
                    None => end,
                };
                for part in [position.offset..middle, middle..end] {
                    if let Some(shape) = &self.log.shape {
                        if !part.is_empty() {
                            out.emit(&position.id, shape(&split.records[part]));
                        }
                        continue;
                    }
                    let mut batch = TypedBatch::<T>::default();
                    for (value, timestamp) in &split.records[part] {
                        batch.push(value.clone(), *timestamp);
                    }
                    if !batch.is_empty() {
                        out.emit(&position.id, Batch::new(batch));
                    }
                }
                position.offset = end;
                split.read = end;
                drop(split);
                return Ok(self.status());
            }
            if split.ended {
                drop(split);
                let ended = self.splits.remove(self.next);
                out.finish_split(&ended.id);
                return Ok(ReaderStatus::Ready);
            }
            split.readers.push(self.waker.clone());
        }
        Ok(if self.splits.is_empty() { ReaderStatus::End } else { ReaderStatus::Pending(None) })
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        let splits = self.splits.iter();
        splits
            .map(|position| SourceSplit {
                id: Arc::clone(&position.id),
                state: pack(&(position.offset as u64)),
            })
            .collect()
    }
}

/// Event time comes to the last timestamp of each batch.
struct AscendingStages<T>(PhantomData<fn() -> T>);

impl<T: Data + Debug> SplitStageFactory for AscendingStages<T> {
    fn create(&self) -> Box<dyn SplitStage> {
        Box::new(AscendingStage::<T>(PhantomData))
    }
}

struct AscendingStage<T>(PhantomData<fn() -> T>);

impl<T: Data + Debug> SplitStage for AscendingStage<T> {
    fn process(&mut self, batch: Batch) -> Result<(Batch, Option<Watermark>), OperatorError> {
        let last = batch.downcast_ref::<TypedBatch<T>>()?.timestamps.iter().max().copied();
        Ok((batch, last.map(Watermark)))
    }

    fn periodic(&mut self) -> Option<Watermark> {
        None
    }
}
