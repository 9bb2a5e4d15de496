//! Sinks that a test reads, and holds up.

use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_serialization::Data;
use tidemill_state::SubtaskSnapshot;

use crate::faults::Gate;

/// What reached a sink. Clones are the same.
///
/// ```
/// use tidemill_testkit::sinks;
///
/// let (_sink, collected) = sinks::collect::<u64>();
/// assert!(collected.values().is_empty());
/// ```
pub struct Collected<T>(Arc<State<T>>);

struct State<T> {
    arrived: Mutex<Vec<Arrival<T>>>,
    changed: Condvar,
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Something that reached a sink.
///
/// ```
/// use tidemill_testkit::sinks::Arrival;
///
/// assert_ne!(Arrival::Record(0, 7u64, 100), Arrival::Watermark(0, 100));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival<T> {
    /// A record with its timestamp, at a subtask.
    Record(u32, T, Timestamp),
    /// A watermark at a subtask.
    Watermark(u32, Timestamp),
    /// A change of idleness at a subtask.
    Idle(u32, bool),
    /// The end at a subtask.
    End(u32),
}

impl<T: Data + Debug> Collected<T> {
    /// All that arrived, in order.
    pub fn arrivals(&self) -> Vec<Arrival<T>> {
        self.0.arrived.lock().clone()
    }

    /// The records that arrived, in order.
    pub fn values(&self) -> Vec<T> {
        self.of(|arrival| match arrival {
            Arrival::Record(_, value, _) => Some(value.clone()),
            _ => None,
        })
    }

    /// The records that arrived, sorted.
    pub fn sorted(&self) -> Vec<T>
    where
        T: Ord,
    {
        let mut values = self.values();
        values.sort();
        values
    }

    /// The watermarks that arrived at a subtask.
    pub fn watermarks(&self, subtask: u32) -> Vec<Timestamp> {
        self.of(|arrival| match arrival {
            Arrival::Watermark(at, timestamp) if *at == subtask => Some(*timestamp),
            _ => None,
        })
    }

    fn of<A>(&self, pick: impl FnMut(&Arrival<T>) -> Option<A>) -> Vec<A> {
        self.0.arrived.lock().iter().filter_map(pick).collect()
    }

    /// Blocks the test until what has arrived satisfies `enough`.
    pub fn wait_until(&self, mut enough: impl FnMut(&[Arrival<T>]) -> bool) {
        let mut arrived = self.0.arrived.lock();
        while !enough(&arrived) {
            let waited = self.0.changed.wait_for(&mut arrived, std::time::Duration::from_secs(60));
            assert!(!waited.timed_out(), "nothing more arrives; so far: {} arrivals", arrived.len());
        }
    }

    /// Blocks the test until `count` records have arrived.
    pub fn wait_for_records(&self, count: usize) {
        self.wait_until(|arrived| {
            arrived.iter().filter(|arrival| matches!(arrival, Arrival::Record(..))).count() >= count
        });
    }

    fn add(&self, arrivals: impl IntoIterator<Item = Arrival<T>>) {
        self.0.arrived.lock().extend(arrivals);
        self.0.changed.notify_all();
    }
}

/// A sink that keeps what it gets.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, sinks, unstamped};
///
/// let (sink, collected) = sinks::collect::<u64>();
/// OperatorHarness::<u64>::new(sink).process(0, unstamped([7u64]))?;
/// assert_eq!(collected.values(), [7]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub fn collect<T: Data + Debug>() -> (impl OperatorFactory + 'static, Collected<T>) {
    let gate = Gate::default();
    gate.open();
    collect_through(&gate)
}

/// A sink that keeps what it gets and blocks before each batch until the gate lets it pass: a slow outside world.
pub fn collect_through<T: Data + Debug>(gate: &Gate) -> (impl OperatorFactory + use<T>, Collected<T>) {
    let collected = Collected(Arc::new(State { arrived: Mutex::new(Vec::new()), changed: Condvar::new() }));
    let (gate, inside) = (gate.clone(), collected.clone());
    let factory = tidemill_runtime::operator::boxed(move || CollectSink {
        gate: gate.clone(),
        collected: inside.clone(),
        subtask: 0,
    });
    (factory, collected)
}

struct CollectSink<T> {
    gate: Gate,
    collected: Collected<T>,
    subtask: u32,
}

impl<T: Data + Debug> Operator for CollectSink<T> {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.subtask = context.subtask;
        Ok(())
    }

    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        self.gate.pass();
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        let timestamps = std::mem::take(&mut records.timestamps);
        let subtask = self.subtask;
        let arrivals = records.values.drain(..).enumerate().map(|(index, value)| {
            Arrival::Record(subtask, value, timestamps.get(index).copied().unwrap_or(Timestamp::MIN))
        });
        self.collected.add(arrivals.collect::<Vec<_>>());
        out.recycle(batch);
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.collected.add([Arrival::Watermark(self.subtask, watermark.0)]);
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.collected.add([Arrival::Idle(self.subtask, idle)]);
        out.idle(idle);
        Ok(Progress::Done)
    }

    fn finish(&mut self, _: &mut Output) -> Result<Progress, OperatorError> {
        self.collected.add([Arrival::End(self.subtask)]);
        Ok(Progress::Done)
    }
}
