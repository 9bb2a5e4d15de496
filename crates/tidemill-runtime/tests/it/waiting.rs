//! Operators that wait: for the outside, for timers in processing time, for room.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::graph::ShipStrategy;
use tidemill_core::time::Timestamp;
use tidemill_network::BufferTimeout;
use tidemill_runtime::metrics::Waiting;
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorWaker, Output, Progress};
use tidemill_state::{Clock, SubtaskSnapshot};
use tidemill_testkit::faults::Gate;
use tidemill_testkit::jobs::{Job, assert_clean, small_cluster, until, wait};
use tidemill_testkit::sinks::{collect, collect_through};
use tidemill_testkit::{Log, faults};

use crate::functions::numbers;

#[test]
fn an_operator_waits_for_the_outside_and_is_woken() {
    for chained in [true, false] {
        let (waits, gate) = faults::waits_at::<u32>(51);
        let mut job = Job::new("outside");
        if !chained {
            job = job.unchained();
        }
        let log = Log::bounded([numbers(0..100)]);
        let source = job.source("in", log.source());
        let waits = job.operator("waits", waits);
        let (sink, collected) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect::<u32>(source, waits);
        job.connect_by::<u32>(waits, sink, ShipStrategy::Rebalance);
        let cluster = small_cluster();
        let handle = job.submit_to(&cluster).unwrap();
        gate.wait_for_arrivals(1);
        // What the operator has said before it had to wait arrives nevertheless.
        collected.wait_for_records(50);
        let task = Arc::clone(&handle.metrics().tasks[usize::from(!chained)]);
        until("the wait is seen", || task.times.current().0 == Waiting::Outside);
        assert!(task.times.totals().busy() > 0, "waiting for the outside counts as busy");
        gate.open();
        wait(&handle).unwrap();
        assert_eq!(collected.values(), (0..100).collect::<Vec<_>>());
        assert!(task.times.totals().outside() > 0);
        assert_clean(&cluster);
    }
}

#[test]
fn a_job_is_cancelled_while_an_operator_waits_for_the_outside() {
    let (waits, gate) = faults::waits_at::<u32>(1);
    let mut job = Job::new("outside");
    let source = job.source("in", Log::bounded([numbers(0..100)]).source());
    let waits = job.operator("waits", waits);
    job.connect::<u32>(source, waits);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    gate.wait_for_arrivals(1);
    handle.cancel();
    wait(&handle).unwrap_err();
    assert_clean(&cluster);
}

/// What a source has said before it has to wait arrives, though no watermark and no timer ever wakes it again.
#[test]
fn a_source_says_everything_before_it_waits() {
    let log = Log::<u32>::new(1);
    let mut job = Job::new("quiet");
    job.settings.auto_watermark_interval = std::time::Duration::ZERO;
    job.settings.buffer_timeout = BufferTimeout::Immediate;
    let spec = log.source();
    let source = job.source("in", spec);
    let (sink, collected) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    for count in 1..=20u32 {
        log.push(0, numbers(count..count + 1));
        collected.wait_for_records(count as usize);
    }
    log.end(0);
    wait(&handle).unwrap();
}

/// Emits what it gets when a timer fires, some milliseconds later; meanwhile it may refuse input or wait.
struct Delay {
    kind: Kind,
    held: TypedBatch<u32>,
    due: Option<Timestamp>,
    clock: Option<Arc<dyn Clock>>,
    waker: Option<OperatorWaker>,
    calls: Arc<Mutex<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Takes input all the time.
    Open,
    /// Answers *wait* while it holds something.
    Waits,
    /// Has no room while it holds something.
    Full,
}

impl Operator for Delay {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.clock = Some(Arc::clone(&context.clock));
        self.waker = Some(context.waker.clone());
        Ok(())
    }

    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        *self.calls.lock() += 1;
        if self.kind == Kind::Waits && self.due.is_some() {
            out.keep(batch);
            return Ok(Progress::Wait);
        }
        assert!(self.kind != Kind::Full || self.due.is_none(), "a batch comes though there is no room");
        let records = batch.downcast_mut::<TypedBatch<u32>>()?;
        self.held.values.append(&mut records.values);
        let now = self.clock.as_ref().unwrap().now();
        self.due.get_or_insert(now + 5);
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.due
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        assert!(self.due.is_some_and(|due| due <= now), "a timer fires early");
        self.due = None;
        out.emit_typed(std::mem::take(&mut self.held));
        Ok(Progress::Done)
    }

    fn has_room(&self) -> bool {
        self.kind != Kind::Full || self.due.is_none()
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.due.is_some() {
            // Its timer fires while it waits for the end.
            return Ok(Progress::Wait);
        }
        out.emit_typed(std::mem::take(&mut self.held));
        Ok(Progress::Done)
    }
}

#[test]
fn timers_in_processing_time_fire_whatever_the_operator_waits_for() {
    for kind in [Kind::Open, Kind::Waits, Kind::Full] {
        let calls = Arc::new(Mutex::new(0));
        let inside = Arc::clone(&calls);
        let delay = boxed(move || Delay {
            kind,
            held: TypedBatch::default(),
            due: None,
            clock: None,
            waker: None,
            calls: Arc::clone(&inside),
        });
        let log = Log::<u32>::new(1);
        let mut job = Job::new("timers");
        job.settings.buffer_timeout = BufferTimeout::Immediate;
        let source = job.source("in", log.source());
        let delay = job.operator("delay", delay);
        let (sink, collected) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect_by::<u32>(source, delay, ShipStrategy::Rebalance);
        job.connect_by::<u32>(delay, sink, ShipStrategy::Rebalance);
        let cluster = small_cluster();
        let handle = job.submit_to(&cluster).unwrap();
        log.push(0, numbers(0..1));
        collected.wait_for_records(1);
        for round in 1..5u32 {
            log.push(0, numbers(round * 2..round * 2 + 2));
        }
        log.end(0);
        wait(&handle).unwrap();
        assert_eq!(collected.values().len(), 9, "{kind:?}");
        assert!(
            *calls.lock() < 100,
            "{kind:?}: it is called {} times, which is going round in circles",
            calls.lock()
        );
        assert_clean(&cluster);
    }
}

/// Has timers that are always due, and a waker that is always used, before a sink that takes nothing.
struct Eager {
    due: Option<Timestamp>,
    waker: Option<OperatorWaker>,
}

impl Operator for Eager {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.waker = Some(context.waker.clone());
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        self.due = Some(0);
        self.waker.as_ref().unwrap().wake();
        out.emit(batch);
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.due
    }

    fn processing_time(&mut self, _: Timestamp, _: &mut Output) -> Result<Progress, OperatorError> {
        self.due = None;
        Ok(Progress::Done)
    }
}

#[test]
fn a_task_without_room_sleeps_though_timers_are_due_and_wakers_used() {
    let gate = Gate::default();
    let mut job = Job::new("eager");
    let source = job.source("in", Log::bounded([numbers(0..100_000)]).source());
    let eager = job.operator("eager", boxed(|| Eager { due: None, waker: None }));
    let (sink, collected) = collect_through::<u32>(&gate);
    let sink = job.sink("out", sink);
    // Chained to the source, whose batches are more than the output has room for.
    job.connect::<u32>(source, eager);
    job.connect_by::<u32>(eager, sink, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    gate.wait_for_arrivals(1);
    let metrics = handle.metrics();
    let times = &metrics.tasks[0].times;
    // One wait that lasts, not many short ones.
    until("it sleeps for 20 ms in one piece", || {
        let (state, nanoseconds) = times.current();
        state == Waiting::OutputWithin && nanoseconds > 20_000_000
    });
    gate.open();
    wait(&handle).unwrap();
    assert_eq!(collected.values(), (0..100_000).collect::<Vec<_>>());
    assert_clean(&cluster);
}
