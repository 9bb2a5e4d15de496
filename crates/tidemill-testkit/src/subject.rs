//! One operator subtask under test, driven as a task would drive it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::batch::Batch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_core::{CheckpointBarrier, SavepointFormat, SnapshotKind};
use tidemill_network::TaskWaker;
use tidemill_runtime::{
    Emission, Operator, OperatorContext, OperatorError, OperatorFactory, OperatorWaker, Output, Progress,
    SnapshotContext,
};
use tidemill_state::{ManualClock, OperatorStateMode, StateBackend, SubtaskSnapshot};

use crate::random::Random;
use crate::records::RecordType;
use crate::rescale::redistribute;

/// What an operator has emitted.
///
/// ```
/// use tidemill_core::Watermark;
/// use tidemill_testkit::Emitted;
///
/// assert!(matches!(Emitted::Watermark(Watermark(7)), Emitted::Watermark(Watermark(7))));
/// ```
#[derive(Clone, Debug)]
pub enum Emitted {
    /// Records of the main output.
    Batch(Batch),
    /// Records of a side output.
    Side(Arc<str>, Batch),
    /// Event time has advanced.
    Watermark(Watermark),
    /// The output has gone idle (true) or is active again (false).
    Idle(bool),
}

/// A call that has to be repeated until it is done.
pub(crate) enum Call {
    Batch { input: usize, batch: Batch, records: RecordType },
    Watermark(Watermark),
    Idle(bool),
    ProcessingTime,
    Woken,
    Finish,
}

/// How an operator is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) factory: Arc<dyn OperatorFactory>,
    pub(crate) clock: ManualClock,
    pub(crate) subtask: u32,
    pub(crate) parallelism: u32,
    pub(crate) max_parallelism: u32,
    pub(crate) batch_records: usize,
    /// Once in how many pauses between two calls the operator is snapshotted and replaced.
    pub(crate) snapshot_one_in: Option<u64>,
    pub(crate) seed: u64,
    /// How long an operator that waits for the outside may take.
    pub(crate) patience: Duration,
    /// Where keyed state is kept, if not in memory.
    pub(crate) backend: Option<Arc<dyn StateBackend>>,
}

impl Setup {
    pub(crate) fn new(factory: Arc<dyn OperatorFactory>) -> Self {
        Self {
            factory,
            clock: ManualClock::at(0),
            subtask: 0,
            parallelism: 1,
            max_parallelism: 128,
            batch_records: tidemill_runtime::DEFAULT_BATCH_RECORDS,
            snapshot_one_in: None,
            seed: 0,
            patience: Duration::from_secs(10),
            backend: None,
        }
    }
}

pub(crate) struct Subject {
    setup: Setup,
    operator: Box<dyn Operator>,
    context: OperatorContext,
    task: Arc<TaskWaker>,
    out: Output,
    random: Random,
    pending: Option<Call>,
    watermark: Watermark,
    idle: bool,
    pub(crate) emitted: Vec<Emitted>,
    /// The greatest watermark emitted, over all replacements of the operator.
    watermark_out: Watermark,
    /// Whether the watermark is said again to a restored operator: what it lets out then was let out before.
    repeating: bool,
    pub(crate) restores: u64,
    ended: bool,
}

/// An operator that has been opened, and what it was opened with.
struct Live {
    operator: Box<dyn Operator>,
    context: OperatorContext,
    task: Arc<TaskWaker>,
}

fn open_operator(setup: &Setup, restored: Option<SubtaskSnapshot>) -> Result<Live, OperatorError> {
    let task = Arc::new(TaskWaker::new());
    task.attach();
    let mut context = OperatorContext::detached(
        setup.subtask,
        setup.parallelism,
        setup.max_parallelism,
        Arc::new(setup.clock.clone()),
    );
    context.waker = OperatorWaker::new(Arc::clone(&task));
    if let Some(backend) = &setup.backend {
        context.state_backend = Arc::clone(backend);
    }
    let mut operator = setup.factory.create(setup.subtask)?;
    match operator.open(&context, restored) {
        Ok(()) => Ok(Live { operator, context, task }),
        Err(error) => {
            operator.close();
            Err(error)
        }
    }
}

impl Subject {
    /// Makes and opens the operator.
    pub(crate) fn open(setup: Setup, restored: Option<SubtaskSnapshot>) -> Result<Self, OperatorError> {
        let Live { operator, context, task } = open_operator(&setup, restored)?;
        let mut out = Output::default();
        out.set_batch_records(setup.batch_records);
        Ok(Self {
            random: Random::seeded(setup.seed.wrapping_mul(31).wrapping_add(u64::from(setup.subtask))),
            setup,
            operator,
            context,
            task,
            out,
            pending: None,
            watermark: Watermark::MIN,
            idle: false,
            emitted: Vec::new(),
            watermark_out: Watermark::MIN,
            repeating: false,
            restores: 0,
            ended: false,
        })
    }

    pub(crate) fn context(&self) -> &OperatorContext {
        &self.context
    }

    pub(crate) fn set_batch_records(&mut self, records: usize) {
        self.setup.batch_records = records;
        self.out.set_batch_records(records);
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.operator.has_room()
    }

    pub(crate) fn next_processing_time(&self) -> Option<Timestamp> {
        self.operator.next_processing_time()
    }

    /// Begins a call without making it.
    pub(crate) fn begin(&mut self, call: Call) {
        assert!(self.pending.is_none(), "the call before has not been brought to its end");
        self.pending = Some(call);
    }

    /// Makes the pending call once.
    pub(crate) fn step(&mut self) -> Result<Progress, OperatorError> {
        self.maybe_replace()?;
        let Some(call) = self.pending.take() else { return Ok(Progress::Done) };
        let now = tidemill_state::Clock::now(&self.setup.clock);
        let mut finished = false;
        let (operator, out) = (&mut self.operator, &mut self.out);
        let (again, called) = match call {
            Call::Batch { input, batch, records } => {
                let called = operator.process(input, batch, out);
                let again = out.take_kept().map(|batch| Call::Batch { input, batch, records });
                (again, called)
            }
            Call::Watermark(watermark) => {
                self.watermark = watermark;
                (Some(Call::Watermark(watermark)), operator.watermark(watermark, out))
            }
            Call::Idle(idle) => {
                self.idle = idle;
                (Some(Call::Idle(idle)), operator.idle(idle, out))
            }
            Call::ProcessingTime => (Some(Call::ProcessingTime), operator.processing_time(now, out)),
            Call::Woken => (Some(Call::Woken), operator.woken(out)),
            Call::Finish => {
                let called = operator.finish(out);
                finished = matches!(called, Ok(Progress::Done));
                (Some(Call::Finish), called)
            }
        };
        self.collect();
        self.ended |= finished;
        let progress = called?;
        if progress != Progress::Done {
            self.pending = again;
        }
        Ok(progress)
    }

    /// Makes the pending call until it is done, waiting for the outside where the operator does.
    pub(crate) fn complete(&mut self) -> Result<(), OperatorError> {
        while self.pending.is_some() {
            match self.step()? {
                Progress::Done | Progress::More => {}
                Progress::Wait => self.wait_outside()?,
            }
        }
        self.maybe_replace()
    }

    pub(crate) fn run(&mut self, call: Call) -> Result<(), OperatorError> {
        self.begin(call);
        self.complete()
    }

    /// Waits until the operator is woken and tells it, as a task does, before the call that waited is made again.
    fn wait_outside(&mut self) -> Result<(), OperatorError> {
        let deadline = Instant::now() + self.setup.patience;
        while !self.context.waker.is_woken() {
            assert!(
                Instant::now() < deadline,
                "the operator waits for the outside, and nobody has woken it for {:?}",
                self.setup.patience
            );
            let waker = self.context.waker.clone();
            self.task.wait(&[], Some(deadline), move || !waker.is_woken());
        }
        self.deliver_wake()
    }

    /// Calls `woken` when the waker was used. True when it was.
    pub(crate) fn poll_woken(&mut self) -> Result<bool, OperatorError> {
        if !self.context.waker.is_woken() {
            return Ok(false);
        }
        self.deliver_wake()?;
        Ok(true)
    }

    fn deliver_wake(&mut self) -> Result<(), OperatorError> {
        self.context.waker.take();
        let interrupted = self.pending.take();
        self.begin(Call::Woken);
        // Having been woken is not a wait: whoever has nothing to say yet is woken again.
        while self.step()? == Progress::More {}
        self.pending = interrupted;
        Ok(())
    }

    /// Calls the operator for every processing-time timer that is due.
    pub(crate) fn fire_processing_time(&mut self) -> Result<(), OperatorError> {
        let mut calls = 0u32;
        loop {
            let now = tidemill_state::Clock::now(&self.setup.clock);
            if self.operator.next_processing_time().is_none_or(|due| due > now) {
                return Ok(());
            }
            calls += 1;
            assert!(calls < 1_000_000, "timers at {now} never come to an end");
            self.run(Call::ProcessingTime)?;
        }
    }

    fn collect(&mut self) {
        for emission in self.out.take_emissions() {
            assert!(!self.ended, "the operator emits after its end: {emission:?}");
            // What a repeated watermark lets out was let out before, but for records: timers that were set behind
            // event time may fire now instead of with the next watermark.
            let repeated = match &emission {
                Emission::Watermark(watermark) => *watermark <= self.watermark_out,
                Emission::Idle(_) => true,
                Emission::Batch(_) | Emission::Side(..) => false,
            };
            if self.repeating && repeated {
                continue;
            }
            self.emitted.push(match emission {
                Emission::Batch(batch) => Emitted::Batch(batch),
                Emission::Side(tag, batch) => Emitted::Side(tag, batch),
                Emission::Watermark(watermark) => {
                    self.watermark_out = self.watermark_out.max(watermark);
                    Emitted::Watermark(watermark)
                }
                Emission::Idle(idle) => Emitted::Idle(idle),
            });
        }
    }

    /// Everything that a checkpoint would hold of this subtask, through bytes and back.
    pub(crate) fn snapshot(&mut self) -> Result<SubtaskSnapshot, OperatorError> {
        let mut barrier = CheckpointBarrier::new(self.restores + 1, 0);
        if self.setup.backend.is_some() {
            // The form that can be dealt out here.
            barrier.kind = SnapshotKind::Savepoint(SavepointFormat::Canonical);
        }
        let mut snapshot = self.operator.snapshot(&SnapshotContext::of(barrier))?;
        snapshot.complete(&Arc::default())?;
        let bytes = snapshot.encode();
        let decoded = SubtaskSnapshot::decode(&bytes).expect("an encoded snapshot can be decoded");
        assert_eq!(decoded, snapshot, "a snapshot changes on its way through bytes");
        Ok(decoded)
    }

    fn maybe_replace(&mut self) -> Result<(), OperatorError> {
        match self.setup.snapshot_one_in {
            Some(times) if !self.repeating && !self.ended && self.random.one_in(times) => self.replace(),
            _ => Ok(()),
        }
    }

    /// Snapshots the operator, throws it away, and goes on with a new one that is restored from the snapshot.
    pub(crate) fn replace(&mut self) -> Result<(), OperatorError> {
        let mut snapshot = self.snapshot()?;
        // A union list belongs to all subtasks together, so it cannot be dealt out and back without them.
        let alone = self.setup.parallelism == 1;
        let has_union = snapshot.operator.iter().any(|state| state.mode == OperatorStateMode::Union);
        if alone && !has_union && self.random.one_in(2) {
            let there = 2 + u32::try_from(self.random.below(3)).unwrap_or(0);
            let dealt = redistribute(&[snapshot], there, self.setup.max_parallelism);
            let back = redistribute(&dealt, 1, self.setup.max_parallelism);
            snapshot = back.into_iter().next().unwrap_or_default();
        }
        self.operator.close();
        let Live { operator, context, task } = open_operator(&self.setup, Some(snapshot))?;
        (self.operator, self.context, self.task) = (operator, context, task);
        self.restores += 1;
        if let Some(Call::Batch { batch, records, .. }) = &mut self.pending {
            *batch = records.through_bytes(batch);
        }
        self.repeat_status()
    }

    /// Tells a restored operator how far event time had got, as its inputs do when they go on.
    fn repeat_status(&mut self) -> Result<(), OperatorError> {
        if self.watermark == Watermark::MIN && !self.idle {
            return Ok(());
        }
        // A watermark that the operator is in the middle of comes again by itself.
        if matches!(self.pending, Some(Call::Watermark(_))) {
            return Ok(());
        }
        let interrupted = self.pending.take();
        self.repeating = true;
        let repeated = self.repeat();
        self.repeating = false;
        self.pending = interrupted;
        repeated
    }

    fn repeat(&mut self) -> Result<(), OperatorError> {
        if self.watermark > Watermark::MIN {
            self.run(Call::Watermark(self.watermark))?;
        }
        if self.idle {
            self.run(Call::Idle(true))?;
        }
        Ok(())
    }

    /// Goes on from a snapshot of other subtasks, at the event time that they had reached.
    pub(crate) fn resume_at(&mut self, watermark: Watermark, idle: bool) -> Result<(), OperatorError> {
        (self.watermark, self.watermark_out, self.idle) = (watermark, watermark, idle);
        self.repeat_status()
    }

    pub(crate) fn status(&self) -> (Watermark, bool) {
        (self.watermark, self.idle)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // A test that fails already must not panic a second time.
        if !std::thread::panicking() {
            self.operator.close();
        }
    }
}
