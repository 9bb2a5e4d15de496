//! The operator at the head of a chain that reads.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::CheckpointId;
use tidemill_core::time::Watermark;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

use crate::context::OperatorContext;
use crate::metrics::{Counter, Gauge};
use crate::operator::{OperatorError, Output};
use crate::source::alignment::AlignmentGroup;
use crate::source::coordinator::SourceCoordinator;
use crate::source::watermarks::{SplitWatermarks, WatermarkUpdate};
use crate::source::{
    ReaderStatus, SourceOutput, SourceReader, SourceSpec, SourceSplit, SplitAssignment, SplitStage,
};

/// What the task shall do after it has polled its source.
///
/// ```
/// use tidemill_runtime::source::SourcePoll;
///
/// assert_ne!(SourcePoll::Wait(None), SourcePoll::End);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePoll {
    /// Poll again.
    Ready,
    /// Wait until this instant, or until the source's waker is used.
    Wait(Option<Instant>),
    /// Nothing follows.
    End,
}

/// After how long a reader without a split asks again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The name under which a reader's splits are stored.
const SPLITS: &str = "source-reader-splits";

/// Reads one subtask's splits and turns them into a stream with event time.
///
/// ```
/// # use tidemill_testkit::Log;
/// use std::sync::Arc;
/// use std::time::{Duration, Instant};
/// use tidemill_runtime::source::{SourceCoordinator, SourceOperator};
/// use tidemill_runtime::{OperatorContext, Output};
/// use tidemill_state::SystemClock;
///
/// # let spec = Log::bounded([vec![(1u32, 10), (2, 20)]]).source();
/// let coordinator = Arc::new(SourceCoordinator::new(spec.source.create_enumerator(1, None)?));
/// let mut source = SourceOperator::new(spec, coordinator, None, Duration::from_millis(200), 3, 4096);
/// source.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), None)?;
/// let mut out = Output::default();
/// while out.take_emissions().is_empty() {
///     source.poll(&mut out, Instant::now())?;
/// }
/// source.close();
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct SourceOperator {
    spec: Arc<SourceSpec>,
    coordinator: Arc<SourceCoordinator>,
    reader: Option<Box<dyn SourceReader>>,
    subtask: u32,
    stages: HashMap<Arc<str>, Box<dyn SplitStage>>,
    watermarks: SplitWatermarks,
    output: SourceOutput,
    interval: Duration,
    next_periodic: Option<Instant>,
    alignment: Option<Alignment>,
    /// How long, since idleness was checked last, the source was read or waited for records: what was spent waiting for
    /// those after it does not count.
    active: Duration,
    /// Since when the source has waited for records.
    waiting_since: Option<Instant>,
    metrics: Option<SourceMetrics>,
}

struct Alignment {
    group: Arc<AlignmentGroup>,
    member: usize,
    /// The last watermarks that were reported: the oldest decides, so that one burst does not pause the source.
    samples: VecDeque<i64>,
    capacity: usize,
    limit: i64,
}

impl Alignment {
    fn is_paused(&self) -> bool {
        self.samples.len() == self.capacity && self.samples.front().is_some_and(|oldest| *oldest > self.limit)
    }
}

struct SourceMetrics {
    done: Arc<Gauge>,
    total: Arc<Gauge>,
    drift: Arc<Gauge>,
    splits: Arc<Counter>,
}

impl SourceOperator {
    /// A source subtask; `interval` is `pipeline.auto-watermark-interval`, `alignment_buffer_size`
    /// `pipeline.watermark-alignment.buffer-size`.
    pub fn new(
        spec: Arc<SourceSpec>,
        coordinator: Arc<SourceCoordinator>,
        group: Option<Arc<AlignmentGroup>>,
        interval: Duration,
        alignment_buffer_size: usize,
        batch_records: usize,
    ) -> Self {
        let alignment = group.map(|group| Alignment {
            member: group.join(),
            group,
            samples: VecDeque::new(),
            capacity: alignment_buffer_size.max(1),
            limit: i64::MAX,
        });
        Self {
            watermarks: SplitWatermarks::new(spec.watermarks.idleness),
            spec,
            coordinator,
            reader: None,
            subtask: 0,
            stages: HashMap::new(),
            output: SourceOutput::new(batch_records),
            interval,
            next_periodic: None,
            alignment,
            active: Duration::ZERO,
            waiting_since: None,
            metrics: None,
        }
    }

    /// Opens the reader, with the splits that an earlier run had when it was snapshotted.
    ///
    /// # Errors
    /// When the source cannot be reached or a split not be opened.
    pub fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.subtask = context.subtask;
        self.metrics = Some(SourceMetrics {
            done: context.metrics.gauge("sourceProgress"),
            total: context.metrics.gauge("sourceTotal"),
            drift: context.metrics.gauge("watermarkAlignmentDrift"),
            splits: context.metrics.counter("numSplits"),
        });
        self.reader = Some(self.spec.source.create_reader(context)?);
        for split in restored.map(|snapshot| decode_splits(&snapshot)).transpose()?.unwrap_or_default() {
            self.add_split(split)?;
        }
        Ok(())
    }

    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        self.stages.insert(Arc::clone(&split.id), self.spec.stage.create());
        self.watermarks.add(Arc::clone(&split.id));
        if let Some(metrics) = &self.metrics {
            metrics.splits.add(1);
        }
        self.reader.as_mut().map_or(Ok(()), |reader| reader.add_split(split))
    }

    /// Reads a step.
    ///
    /// # Errors
    /// When something cannot be read, or a record is malformed.
    pub fn poll(&mut self, out: &mut Output, now: Instant) -> Result<SourcePoll, OperatorError> {
        if let Some(since) = self.waiting_since.take() {
            self.active += now.saturating_duration_since(since);
        }
        self.periodic(out, now);
        if self.alignment.as_ref().is_some_and(Alignment::is_paused) {
            return Ok(SourcePoll::Wait(self.next_periodic));
        }
        let polled = self.read(out, now)?;
        let after = Instant::now();
        self.active += after.saturating_duration_since(now);
        if matches!(polled, SourcePoll::Wait(_)) {
            self.waiting_since = Some(after);
        }
        Ok(polled)
    }

    fn read(&mut self, out: &mut Output, now: Instant) -> Result<SourcePoll, OperatorError> {
        let Some(reader) = &mut self.reader else { return Ok(SourcePoll::End) };
        let status = reader.poll(&mut self.output)?;
        let progress = reader.progress();
        if let Some(metrics) = &self.metrics {
            metrics.done.set(i64::try_from(progress.done).unwrap_or(i64::MAX));
            metrics.total.set(progress.total.map_or(-1, |total| i64::try_from(total).unwrap_or(i64::MAX)));
        }
        self.emit(out)?;
        match status {
            ReaderStatus::Ready => Ok(SourcePoll::Ready),
            ReaderStatus::Pending(deadline) => {
                let periodic = self.next_periodic;
                let until = match (deadline, periodic) {
                    (Some(deadline), Some(periodic)) => Some(deadline.min(periodic)),
                    (one, other) => one.or(other),
                };
                Ok(SourcePoll::Wait(until))
            }
            ReaderStatus::NeedsSplit => self.ask_for_split(now),
            ReaderStatus::End => {
                self.drain(out, now);
                Ok(SourcePoll::End)
            }
        }
    }

    fn ask_for_split(&mut self, now: Instant) -> Result<SourcePoll, OperatorError> {
        match self.coordinator.next_split(self.subtask)? {
            SplitAssignment::Split(split) => {
                tracing::trace!(subtask = self.subtask, split = &*split.id, "split assigned");
                self.add_split(split)?;
            }
            SplitAssignment::NoMore => {
                if let Some(reader) = &mut self.reader {
                    reader.no_more_splits();
                }
            }
            SplitAssignment::NoneYet => {
                let soon = now + ASK_AGAIN;
                return Ok(SourcePoll::Wait(Some(self.next_periodic.map_or(soon, |next| next.min(soon)))));
            }
        }
        Ok(SourcePoll::Ready)
    }

    fn emit(&mut self, out: &mut Output) -> Result<(), OperatorError> {
        let (batches, finished) = self.output.take();
        for (split, batch) in batches {
            let Some(stage) = self.stages.get_mut(&split) else {
                return Err(OperatorError::new(
                    "TM-SOURCE-CONTRACT",
                    tidemill_core::Fault::Internal,
                    format!("the reader has records of split '{split}', which it was not given"),
                ));
            };
            let (batch, watermark) = stage.process(batch)?;
            pass_on(out, self.watermarks.records(&split));
            out.emit(batch);
            if let Some(watermark) = watermark {
                pass_on(out, self.watermarks.advance(&split, watermark));
            }
        }
        for split in finished {
            if let Some(mut stage) = self.stages.remove(&split)
                && let Some(watermark) = stage.periodic()
            {
                pass_on(out, self.watermarks.advance(&split, watermark));
            }
            pass_on(out, self.watermarks.remove(&split));
        }
        Ok(())
    }

    fn periodic(&mut self, out: &mut Output, now: Instant) {
        if self.interval.is_zero() && self.alignment.is_none() && self.spec.watermarks.idleness.is_none() {
            return;
        }
        if self.next_periodic.is_some_and(|next| now < next) {
            return;
        }
        let interval = if self.interval.is_zero() { Duration::from_millis(200) } else { self.interval };
        let is_first = self.next_periodic.is_none();
        self.next_periodic = Some(now + interval);
        if is_first {
            return;
        }
        if !self.interval.is_zero() {
            for (split, stage) in &mut self.stages {
                if let Some(watermark) = stage.periodic() {
                    pass_on(out, self.watermarks.advance(split, watermark));
                }
            }
        }
        for update in self.watermarks.check_idleness(std::mem::take(&mut self.active)) {
            pass_on(out, Some(update));
        }
        if let Some(alignment) = &mut self.alignment {
            let current = self.watermarks.current().0;
            if alignment.samples.len() == alignment.capacity {
                alignment.samples.pop_front();
            }
            alignment.samples.push_back(current);
            let reported = if self.watermarks.is_idle() { i64::MAX } else { current };
            // Before its first watermark a source has nothing to say, and holds nobody back.
            if reported > i64::MIN {
                alignment.limit = alignment.group.report(alignment.member, reported, now);
            }
            if let (Some(metrics), true) = (&self.metrics, alignment.limit < i64::MAX) {
                metrics.drift.set(current.saturating_sub(alignment.limit));
            }
        }
    }

    /// The splits at hand, with how far they have been read.
    pub fn snapshot(&self) -> SubtaskSnapshot {
        let splits = self.reader.as_ref().map(|reader| reader.snapshot()).unwrap_or_default();
        let splits: Vec<StoredSplit> = splits.into_iter().map(|split| (split.id, split.state)).collect();
        let state = OperatorSnapshot::of(SPLITS, OperatorStateMode::Split, &splits);
        SubtaskSnapshot { operator: vec![state], ..SubtaskSnapshot::default() }
    }

    /// Says that event time has come to its end, as if there were nothing more to read.
    pub fn drain(&mut self, out: &mut Output, now: Instant) {
        if let Some(alignment) = &self.alignment {
            alignment.group.report(alignment.member, i64::MAX, now);
        }
        if self.watermarks.is_idle() {
            // The watermark of an idle input is ignored, and this one must not be.
            out.idle(false);
        }
        out.watermark(Watermark::MAX);
    }

    /// The reader's part of a checkpoint.
    pub fn checkpoint(&self, checkpoint: CheckpointId) -> SubtaskSnapshot {
        let snapshot = self.snapshot();
        self.coordinator.taken(self.subtask, checkpoint);
        snapshot
    }

    /// Tells the reader that a checkpoint is complete.
    ///
    /// # Errors
    /// What the reader says.
    pub fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.reader.as_mut().map_or(Ok(()), |reader| reader.checkpoint_complete(checkpoint))
    }

    /// Closes the reader.
    pub fn close(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.close();
        }
    }
}

fn pass_on(out: &mut Output, update: Option<WatermarkUpdate>) {
    match update {
        Some(WatermarkUpdate::Watermark(watermark)) => out.watermark(watermark),
        Some(WatermarkUpdate::Idle(idle)) => out.idle(idle),
        None => {}
    }
}

/// The id of a split, and its state as its source encodes it.
type StoredSplit = (Arc<str>, Vec<u8>);

fn decode_splits(snapshot: &SubtaskSnapshot) -> Result<Vec<SourceSplit>, OperatorError> {
    let mut splits = Vec::new();
    for state in snapshot.operator.iter().filter(|state| state.name == SPLITS) {
        splits.extend(state.read::<StoredSplit>()?);
    }
    Ok(splits.into_iter().map(|(id, state)| SourceSplit { id, state }).collect())
}
