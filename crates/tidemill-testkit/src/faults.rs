//! Operators and sources that do what a test needs, when the test says so.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, OperatorWaker, Output, Progress,
};
use tidemill_serialization::Data;
use tidemill_state::SubtaskSnapshot;

/// Passes records on as they are.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, faults, unstamped};
///
/// let mut harness = OperatorHarness::<u64>::new(faults::pass::<u64>());
/// harness.process(0, unstamped([1u64]))?;
/// assert_eq!(harness.take_values(), [1]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub fn pass<T: Data + Debug>() -> impl OperatorFactory + 'static {
    boxed(|| Pass::<T>(PhantomData))
}

struct Pass<T>(PhantomData<fn() -> T>);

impl<T: Data + Debug> Operator for Pass<T> {
    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        batch.downcast_ref::<TypedBatch<T>>()?;
        out.emit(batch);
        Ok(Progress::Done)
    }
}

/// Passes records on, and does something at one of them.
struct AtRecord<T, F> {
    /// How many records come before that one.
    left: u64,
    /// Called with the rest of the batch, from that record on, until it answers *done*.
    act: F,
    waker: Option<OperatorWaker>,
    types: PhantomData<fn() -> T>,
}

impl<T: Data + Debug, F> Operator for AtRecord<T, F>
where
    F: FnMut(&OperatorWaker) -> Result<Progress, OperatorError> + Send,
{
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.waker = Some(context.waker.clone());
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let count = batch.len() as u64;
        if self.left >= count {
            self.left -= count;
            out.emit(batch);
            return Ok(Progress::Done);
        }
        // Those before it go first, so that the test sees how far it came.
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        let before = std::mem::take(&mut self.left) as usize;
        let mut first = TypedBatch::default();
        for (index, value) in records.values.drain(..before).enumerate() {
            first.push(value, records.timestamps.get(index).copied().unwrap_or(i64::MIN));
        }
        records.timestamps.drain(..before.min(records.timestamps.len()));
        records.hashes.clear();
        out.emit_typed(first);
        let waker = self.waker.as_ref().expect("open comes first");
        match (self.act)(waker)? {
            Progress::Done => {
                self.left = u64::MAX;
                out.emit(batch);
                Ok(Progress::Done)
            }
            progress => {
                out.keep(batch);
                Ok(progress)
            }
        }
    }
}

fn at_record<T: Data + Debug, F>(
    number: u64,
    act: impl Fn() -> F + Send + Sync + 'static,
) -> impl OperatorFactory + 'static
where
    F: FnMut(&OperatorWaker) -> Result<Progress, OperatorError> + Send + 'static,
{
    assert!(number > 0, "records are counted from 1");
    boxed(move || AtRecord::<T, F> { left: number - 1, act: act(), waker: None, types: PhantomData })
}

/// Passes records on until the `number`th (from 1) that a subtask sees, at which it fails with `message`.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, faults, unstamped};
///
/// let mut harness = OperatorHarness::<u64>::new(faults::fails_at::<u64>(2, "no more"));
/// let error = harness.process(0, unstamped([1u64, 2])).unwrap_err();
/// assert_eq!(error.to_string(), "no more");
/// ```
pub fn fails_at<T: Data + Debug>(number: u64, message: &'static str) -> impl OperatorFactory + 'static {
    at_record::<T, _>(number, move || move |_: &OperatorWaker| Err(OperatorError::user(message)))
}

/// Has an operator of [`fails_once`] fail.
///
/// ```
/// let (_factory, fuse) = tidemill_testkit::faults::fails_once::<u32>("as the test wants");
/// fuse.light();
/// ```
#[derive(Clone, Default)]
pub struct Fuse(Arc<FuseState>);

#[derive(Default)]
struct FuseState {
    lit: AtomicBool,
    burnt: AtomicBool,
}

impl Fuse {
    /// The next batch that any of the operators gets is the last of this attempt.
    pub fn light(&self) {
        self.0.lit.store(true, Ordering::SeqCst);
    }

    fn blows(&self) -> bool {
        self.0.lit.load(Ordering::SeqCst) && !self.0.burnt.swap(true, Ordering::SeqCst)
    }
}

struct FailsOnce<T> {
    fuse: Fuse,
    message: &'static str,
    types: PhantomData<fn(T)>,
}

impl<T: Data + Debug> Operator for FailsOnce<T> {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.fuse.blows() {
            return Err(OperatorError::user(self.message));
        }
        out.emit(batch);
        Ok(Progress::Done)
    }
}

/// Passes records on, and fails once when the fuse was lit: not again after a restart.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, faults, unstamped};
///
/// let (factory, fuse) = faults::fails_once::<u32>("as the test wants");
/// let mut harness = OperatorHarness::<u32>::new(factory);
/// harness.process(0, unstamped([7u32]))?;
/// fuse.light();
/// assert!(harness.process(0, unstamped([8u32])).is_err());
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub fn fails_once<T: Data + Debug>(message: &'static str) -> (impl OperatorFactory + 'static, Fuse) {
    let fuse = Fuse::default();
    let inside = fuse.clone();
    (boxed(move || FailsOnce::<T> { fuse: inside.clone(), message, types: PhantomData }), fuse)
}

/// Passes records on until the `number`th (from 1) that a subtask sees, at which it panics with `message`.
///
/// ```
/// use tidemill_runtime::OperatorFactory;
/// use tidemill_testkit::faults;
///
/// assert!(faults::panics_at::<u64>(2, "on purpose").create(0).is_ok(), "not before the second record");
/// ```
pub fn panics_at<T: Data + Debug>(number: u64, message: &'static str) -> impl OperatorFactory + 'static {
    at_record::<T, _>(number, move || move |_: &OperatorWaker| panic!("{message}"))
}

/// Passes records on until the `number`th (from 1) that a subtask sees, at which its thread blocks until the gate is opened.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, faults, unstamped};
///
/// let (factory, gate) = faults::blocks_at::<u64>(1);
/// gate.open();
/// let mut harness = OperatorHarness::<u64>::new(factory);
/// harness.process(0, unstamped([7u64]))?;
/// assert_eq!(harness.take_values(), [7]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub fn blocks_at<T: Data + Debug>(number: u64) -> (impl OperatorFactory + 'static, Gate) {
    let gate = Gate::default();
    let inside = gate.clone();
    let factory = at_record::<T, _>(number, move || {
        let gate = inside.clone();
        move |_: &OperatorWaker| {
            gate.pass();
            Ok(Progress::Done)
        }
    });
    (factory, gate)
}

/// Passes records on until the `number`th (from 1) that a subtask sees, at which it waits, as for something outside, until
/// the gate is opened.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, faults, unstamped};
///
/// let (factory, gate) = faults::waits_at::<u64>(1);
/// gate.open();
/// let mut harness = OperatorHarness::<u64>::new(factory);
/// harness.process(0, unstamped([7u64]))?;
/// assert_eq!(harness.take_values(), [7]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub fn waits_at<T: Data + Debug>(number: u64) -> (impl OperatorFactory + 'static, Gate) {
    let gate = Gate::default();
    let inside = gate.clone();
    let factory = at_record::<T, _>(number, move || {
        let gate = inside.clone();
        move |waker: &OperatorWaker| Ok(if gate.try_pass(waker) { Progress::Done } else { Progress::Wait })
    });
    (factory, gate)
}

/// Something that a test opens. Clones are the same gate.
///
/// ```
/// use tidemill_testkit::faults::Gate;
///
/// let gate = Gate::default();
/// gate.open();
/// gate.pass(); // It would block before.
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<GateState>);

#[derive(Debug, Default)]
struct GateState {
    inner: Mutex<GateInner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateInner {
    /// How many may pass; `None` is all.
    permits: Option<u64>,
    opened: bool,
    arrived: u64,
    wakers: Vec<OperatorWaker>,
}

impl Gate {
    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.change(|inner| inner.opened = true);
    }

    /// Lets `count` more pass.
    pub fn admit(&self, count: u64) {
        self.change(|inner| *inner.permits.get_or_insert(0) += count);
    }

    fn change(&self, change: impl FnOnce(&mut GateInner)) {
        let wakers = {
            let mut inner = self.0.inner.lock();
            change(&mut inner);
            std::mem::take(&mut inner.wakers)
        };
        self.0.changed.notify_all();
        wakers.iter().for_each(OperatorWaker::wake);
    }

    /// Blocks the calling thread until it may pass.
    pub fn pass(&self) {
        let mut inner = self.0.inner.lock();
        inner.arrived += 1;
        self.0.changed.notify_all();
        while !inner.take() {
            self.0.changed.wait(&mut inner);
        }
    }

    /// Whether one may pass now; if not, `waker` is used as soon as it is worth asking again.
    pub fn try_pass(&self, waker: &OperatorWaker) -> bool {
        let mut inner = self.0.inner.lock();
        let passes = inner.take();
        if !passes {
            inner.wakers.push(waker.clone());
        }
        inner.arrived += 1;
        self.0.changed.notify_all();
        passes
    }

    /// Blocks the calling thread, a test's, until somebody has come to the gate `times` times in all.
    pub fn wait_for_arrivals(&self, times: u64) {
        let mut inner = self.0.inner.lock();
        while inner.arrived < times {
            self.0.changed.wait(&mut inner);
        }
    }
}

impl GateInner {
    fn take(&mut self) -> bool {
        if self.opened {
            return true;
        }
        match &mut self.permits {
            Some(permits) if *permits > 0 => {
                *permits -= 1;
                true
            }
            _ => false,
        }
    }
}
