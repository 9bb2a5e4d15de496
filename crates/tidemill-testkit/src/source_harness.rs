//! A source, driven without a cluster.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::batch::TypedBatch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_network::TaskWaker;
use tidemill_runtime::source::{SourceCoordinator, SourceOperator, SourcePoll, SourceSpec};
use tidemill_runtime::{Emission, OperatorContext, OperatorError, OperatorWaker, Output};
use tidemill_serialization::Data;
use tidemill_state::{ManualClock, SubtaskSnapshot};

use crate::random::Random;
use crate::rescale::redistribute;

/// Key groups of the detached subtasks; sources have no keys.
const MAX_PARALLELISM: u32 = 128;

/// Polls all subtasks of a source in turn, as tasks do. Time is the harness's own: a source that waits for an instant is
/// polled again at once, at that instant.
///
/// ```
/// use tidemill_testkit::{Log, SourceHarness, SourceState};
///
/// let log = Log::bounded([vec![(1u64, 10)], vec![(2, 20)]]);
/// let mut harness = SourceHarness::<u64>::open(log.source(), 2, 100)?;
/// assert_eq!(harness.run()?, SourceState::Ended);
/// assert_eq!(harness.take_records().len(), 2);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct SourceHarness<U> {
    spec: Arc<SourceSpec>,
    readers: Vec<Reader>,
    coordinator: Arc<SourceCoordinator>,
    interval: Duration,
    max_records: usize,
    now: Instant,
    random: Random,
    snapshot_one_in: Option<u64>,
    restores: u64,
    records: Vec<(U, Timestamp)>,
    output: PhantomData<fn() -> U>,
}

struct Reader {
    operator: SourceOperator,
    context: OperatorContext,
    ended: bool,
    watermark: Watermark,
    idle: bool,
    /// When it is to be polled again, while it waits.
    due: Option<Instant>,
    waits: bool,
}

/// Why [`SourceHarness::run`] came back.
///
/// ```
/// use tidemill_testkit::{Log, SourceHarness, SourceState};
///
/// let mut harness = SourceHarness::<u64>::open(Log::<u64>::new(1).source(), 1, 100)?;
/// assert_eq!(harness.run()?, SourceState::Waiting, "the log has not ended");
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// All subtasks have come to their end.
    Ended,
    /// Those that have not wait to be woken.
    Waiting,
}

impl<U: Data + Debug> SourceHarness<U> {
    /// Opens `parallelism` subtasks that read at most `max_records` at a time. Watermarks come every 200 ms of the
    /// harness's time.
    ///
    /// # Errors
    /// What the source fails with, as do all other calls.
    pub fn open(spec: Arc<SourceSpec>, parallelism: u32, max_records: usize) -> Result<Self, OperatorError> {
        let coordinator = Arc::new(SourceCoordinator::new(spec.source.create_enumerator(parallelism, None)?));
        let mut harness = Self {
            spec,
            readers: Vec::new(),
            coordinator,
            interval: Duration::from_millis(200),
            max_records,
            now: Instant::now(),
            random: Random::seeded(0),
            snapshot_one_in: None,
            restores: 0,
            records: Vec::new(),
            output: PhantomData,
        };
        harness.start(vec![None; parallelism as usize])?;
        Ok(harness)
    }

    /// Has all subtasks snapshotted, thrown away and restored, at changing parallelism, once in `one_in` polls.
    #[must_use]
    pub fn random_snapshots(mut self, seed: u64, one_in: u64) -> Self {
        self.random = Random::seeded(seed);
        self.snapshot_one_in = Some(one_in.max(1));
        self
    }

    fn start(&mut self, restored: Vec<Option<SubtaskSnapshot>>) -> Result<(), OperatorError> {
        let parallelism = restored.len() as u32;
        for (subtask, restored) in restored.into_iter().enumerate() {
            let clock = Arc::new(ManualClock::at(0));
            let mut context = OperatorContext::detached(subtask as u32, parallelism, MAX_PARALLELISM, clock);
            let task = Arc::new(TaskWaker::new());
            task.attach();
            context.waker = OperatorWaker::new(task);
            let mut operator = SourceOperator::new(
                Arc::clone(&self.spec),
                Arc::clone(&self.coordinator),
                None,
                self.interval,
                3,
                self.max_records,
            );
            operator.open(&context, restored)?;
            self.readers.push(Reader {
                operator,
                context,
                ended: false,
                watermark: Watermark::MIN,
                idle: false,
                due: None,
                waits: false,
            });
        }
        Ok(())
    }

    /// Polls until all subtasks have ended, or those that have not wait to be woken.
    ///
    /// # Errors
    /// What the source fails with.
    pub fn run(&mut self) -> Result<SourceState, OperatorError> {
        let mut fruitless = 0u32;
        loop {
            if self.snapshot_one_in.is_some_and(|times| self.random.one_in(times)) {
                let parallelism = 1 + self.random.below(3) as u32;
                self.restart(parallelism)?;
            }
            let ready = |reader: &Reader| !reader.ended && (!reader.waits || reader.context.waker.is_woken());
            let index = match self.readers.iter().position(ready) {
                // In turn, so that no subtask takes all splits.
                Some(first) => {
                    let count = self.readers.len();
                    let start = self.random.below(count as u64) as usize;
                    (0..count)
                        .map(|i| (start + i) % count)
                        .find(|i| ready(&self.readers[*i]))
                        .unwrap_or(first)
                }
                None if self.readers.iter().all(|reader| reader.ended) => return Ok(SourceState::Ended),
                None => {
                    let due = self.readers.iter().enumerate().filter(|(_, reader)| !reader.ended);
                    let next = due.filter_map(|(index, reader)| Some((reader.due?, index))).min();
                    // Periodic watermarks make every source wait for an instant; that alone is no reason to go on for ever.
                    match next {
                        Some((due, index)) if fruitless < 100 => {
                            fruitless += 1;
                            self.now = self.now.max(due);
                            index
                        }
                        _ => return Ok(SourceState::Waiting),
                    }
                }
            };
            if self.poll(index)? {
                fruitless = 0;
            }
        }
    }

    /// Polls one subtask; true when it had records or came to its end.
    fn poll(&mut self, index: usize) -> Result<bool, OperatorError> {
        let reader = &mut self.readers[index];
        reader.context.waker.take();
        let mut out = Output::default();
        let polled = reader.operator.poll(&mut out, self.now)?;
        (reader.waits, reader.due) = match polled {
            SourcePoll::Ready => (false, None),
            SourcePoll::Wait(due) => (true, due),
            SourcePoll::End => {
                reader.ended = true;
                (false, None)
            }
        };
        let before = self.records.len();
        for emission in out.take_emissions() {
            match emission {
                Emission::Batch(mut batch) => {
                    let records =
                        batch.downcast_mut::<TypedBatch<U>>().unwrap_or_else(|error| panic!("{error}"));
                    assert!(!reader.idle, "an idle source emits records");
                    for (index, value) in std::mem::take(&mut records.values).into_iter().enumerate() {
                        self.records.push((value, records.timestamp(index)));
                    }
                }
                Emission::Side(tag, _) => panic!("a source has no side outputs, not '{tag}' either"),
                Emission::Watermark(watermark) => {
                    assert!(
                        watermark > reader.watermark,
                        "watermark {watermark:?} after {:?}",
                        reader.watermark
                    );
                    assert!(
                        !reader.idle || watermark != Watermark::MAX,
                        "the last watermark comes while idle"
                    );
                    reader.watermark = watermark;
                }
                Emission::Idle(idle) => reader.idle = idle,
            }
        }
        let ended = polled == SourcePoll::End;
        assert!(!ended || reader.watermark == Watermark::MAX, "a source ends without the last watermark");
        Ok(ended || self.records.len() > before)
    }

    /// Snapshots all subtasks and goes on with `parallelism` new ones, restored from that.
    ///
    /// # Errors
    /// What the source fails with.
    pub fn restart(&mut self, parallelism: u32) -> Result<(), OperatorError> {
        let snapshots: Vec<SubtaskSnapshot> = self
            .readers
            .iter()
            .map(|reader| {
                let bytes = reader.operator.snapshot().encode();
                SubtaskSnapshot::decode(&bytes).expect("an encoded snapshot can be decoded")
            })
            .collect();
        let left = self.coordinator.snapshot();
        self.readers.drain(..).for_each(|mut reader| reader.operator.close());
        let enumerator = self.spec.source.create_enumerator(parallelism, Some(left))?;
        self.coordinator = Arc::new(SourceCoordinator::new(enumerator));
        self.restores += 1;
        let dealt = redistribute(&snapshots, parallelism, MAX_PARALLELISM);
        self.start(dealt.into_iter().map(Some).collect())
    }

    /// How often the source was restarted.
    pub fn restores(&self) -> u64 {
        self.restores
    }

    /// The lowest watermark of all subtasks.
    pub fn watermark(&self) -> Timestamp {
        self.readers.iter().map(|reader| reader.watermark.0).min().unwrap_or(Timestamp::MIN)
    }

    /// Whether all subtasks are idle.
    pub fn is_idle(&self) -> bool {
        self.readers.iter().all(|reader| reader.idle)
    }

    /// Takes the records read so far.
    pub fn take_records(&mut self) -> Vec<(U, Timestamp)> {
        std::mem::take(&mut self.records)
    }
}

impl<U> Drop for SourceHarness<U> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.readers.iter_mut().for_each(|reader| reader.operator.close());
        }
    }
}
