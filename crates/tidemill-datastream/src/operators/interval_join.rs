//! The join over an interval of event time.
//!
//! Each side keeps its records as rows of their own, by timestamp and, among those of one timestamp, in the order in which
//! they came: a record is added without reading, and the matches of the other side are a range. A record with many matches
//! is joined a batch of output at a time.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use tidemill_core::Fault;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_runtime::metrics::OperatorMetrics;
use tidemill_runtime::{
    BoxError, Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext,
};
use tidemill_serialization::{Data, Key};
use tidemill_state::{
    KeyedStateBackend, ListStateDescriptor, MapState, MapStateDescriptor, OperatorListState,
    OperatorStateBackend, StateError, SubtaskSnapshot, TimeDomain, Timers, ValueState, ValueStateDescriptor,
};

use crate::functions::{Collector, Sides};
use crate::joins::{JoinContext, LateTags, ProcessJoinFunction};
use crate::key::KeySelector;
use crate::operators::support::{Taken, ensure_hashes, operator_state, take_or_return_records};
use crate::output_tag::OutputTag;

/// How many pairs are looked at in one call at most.
const CALLS: usize = 1 << 16;

/// Where a record is kept: its timestamp, and a number that grows from record to record.
type Row = (Timestamp, u64);

/// The sides, as the namespaces of timers and positions.
const LEFT: u8 = 0;
const RIGHT: u8 = 1;

/// Joins the records of two keyed inputs that are close in event time.
///
/// ```
/// use tidemill_datastream::DataStream;
///
/// // It is made by the API.
/// fn joined(left: &DataStream<u64>, right: &DataStream<u64>) -> DataStream<u64> {
///     let (left, right) = (left.key_by(|key| *key), right.key_by(|key| *key));
///     left.interval_join(&right).between(-500, 500).apply(|left, right| left + right)
/// }
/// ```
pub struct IntervalJoinOperator<L, R, U, S: KeySelector<L>, Q, F> {
    selectors: (S, Q),
    /// From and to how far after a left record the right ones are that it is joined with.
    bounds: (i64, i64),
    late: LateTags<L, R>,
    function: F,
    opened: Option<Opened<L, R, S::Key>>,
    types: PhantomData<fn() -> U>,
}

struct Opened<L, R, K> {
    core: JoinCore<K>,
    left: MapState<Row, L>,
    right: MapState<Row, R>,
}

/// What does not depend on the side.
struct JoinCore<K> {
    backend: KeyedStateBackend<K>,
    timers: Timers<u8>,
    watermark: Watermark,
    metrics: Arc<OperatorMetrics>,
    sides: Sides,
    hashes: Vec<u64>,
    /// The number of the next record.
    next: u64,
    counters: OperatorStateBackend,
    /// The number of the next record, of all subtasks: larger than any that was given out, wherever a key has been.
    counter: OperatorListState<u64>,
    /// The last match of the record at hand that was emitted, when there may be more.
    position: Option<(u8, Row)>,
    positions: ValueState<Row, u8>,
    /// How many positions of an earlier run have not been taken up.
    stored_positions: usize,
}

impl<L, R, U, S: KeySelector<L>, Q, F> IntervalJoinOperator<L, R, U, S, Q, F> {
    /// Joins a left record with the right ones from `bounds.0` to `bounds.1` milliseconds after it, both included.
    pub(crate) fn new(selectors: (S, Q), bounds: (i64, i64), late: LateTags<L, R>, function: F) -> Self {
        Self { selectors, bounds, late, function, opened: None, types: PhantomData }
    }
}

/// One side, as seen from the records that come to it.
struct Side<'a, T, O, S> {
    namespace: u8,
    selector: &'a S,
    ours: MapState<Row, T>,
    others: MapState<Row, O>,
    /// From and to how far after a record of ours the others are.
    bounds: (i64, i64),
    late: Option<&'a OutputTag<T>>,
}

impl<K: Key> JoinCore<K> {
    fn open(
        context: &OperatorContext,
        restored: Option<&SubtaskSnapshot>,
        mut backend: KeyedStateBackend<K>,
    ) -> Result<Self, OperatorError> {
        let timers = backend.register_timers("cleanup-timers")?;
        let positions = backend.register_value(ValueStateDescriptor::new("positions"))?;
        let mut stored_positions = 0;
        for side in [LEFT, RIGHT] {
            stored_positions += backend.keys("positions", &side)?.len();
        }
        let mut counters = operator_state(context, restored)?;
        let counter = counters.register_union_list(ListStateDescriptor::new("counter"))?;
        let next = counter.get(&counters)?.iter().copied().max().unwrap_or(0);
        Ok(Self {
            backend,
            timers,
            watermark: Watermark::MIN,
            metrics: Arc::clone(&context.metrics),
            sides: Sides::default(),
            hashes: Vec::new(),
            next,
            counters,
            counter,
            position: None,
            positions,
            stored_positions,
        })
    }

    /// Joins the records of a batch with those of the other side, until a batch of output is full.
    fn join<T: Data, O: Data, U: Data, S: KeySelector<T, Key = K>>(
        &mut self,
        side: &Side<'_, T, O, S>,
        mut batch: Batch,
        out: &mut Output,
        mut call: impl FnMut(
            &T,
            &O,
            (Timestamp, Timestamp),
            &mut Sides,
            &mut Collector<U>,
        ) -> Result<(), BoxError>,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        ensure_hashes(records, side.selector);
        self.hashes.clone_from(&records.hashes);
        let mut collector = Collector::into(out.fresh());
        let mut index = 0;
        let progress = take_or_return_records(batch, out, |record: T, timestamp, _| {
            let hash = self.hashes.get(index).copied().unwrap_or_default();
            index += 1;
            if timestamp == NO_TIMESTAMP {
                return Err(without_timestamp());
            }
            if timestamp < self.watermark.0 {
                match side.late {
                    Some(tag) => self.sides.push(tag, record, timestamp).map_err(OperatorError::user)?,
                    None => self.metrics.late_records_dropped.add(1),
                }
                return Ok(Taken::Next);
            }
            self.backend.set_current_key(side.selector.key(&record).borrow(), hash)?;
            let from = match self.take_position(side.namespace)? {
                Some(row) => Bound::Excluded(row),
                None => Bound::Included((timestamp.saturating_add(side.bounds.0), 0)),
            };
            let to = Bound::Included((timestamp.saturating_add(side.bounds.1), u64::MAX));
            let mut stopped = None;
            let mut called = Ok(());
            let mut calls = 0;
            let sides = &mut self.sides;
            side.others.scan(&mut self.backend, (from, to), |row, other| {
                collector.timestamp = timestamp.max(row.0);
                called = call(&record, other, (timestamp, row.0), sides, &mut collector);
                calls += 1;
                // Pairs of which nothing comes are bounded too, so that a cancel is heard.
                if called.is_ok() && collector.len() < enough && calls < CALLS {
                    return true;
                }
                stopped = Some(*row);
                false
            })?;
            called.map_err(OperatorError::user)?;
            if let Some(row) = stopped {
                self.position = Some((side.namespace, row));
                return Ok(Taken::Unfinished(record));
            }
            self.keep(side, record, timestamp)?;
            Ok(Taken::Next)
        })?;
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        Ok(progress)
    }

    /// Keeps a record that has been joined, until no other can come that it is to be joined with.
    fn keep<T: Data, O: Data, S>(
        &mut self,
        side: &Side<'_, T, O, S>,
        record: T,
        timestamp: Timestamp,
    ) -> Result<(), StateError> {
        let row = (timestamp, self.next);
        self.next += 1;
        side.ours.put(&mut self.backend, row, record)?;
        let cleanup = timestamp.saturating_add(side.bounds.1.max(0));
        self.timers.register(&mut self.backend, TimeDomain::Event, cleanup, &side.namespace)
    }

    /// Where the record at hand was left.
    fn take_position(&mut self, side: u8) -> Result<Option<Row>, StateError> {
        if let Some((_, row)) = self.position.take() {
            return Ok(Some(row));
        }
        if self.stored_positions == 0 {
            return Ok(None);
        }
        let stored = self.positions.get_in(&mut self.backend, &side)?;
        if stored.is_some() {
            self.positions.clear_in(&mut self.backend, &side)?;
            self.stored_positions -= 1;
        }
        Ok(stored)
    }

    /// Removes the records of the current key with this timestamp.
    fn remove<T: Data>(&mut self, rows: MapState<Row, T>, timestamp: Timestamp) -> Result<(), StateError> {
        let mut gone = Vec::new();
        rows.scan(&mut self.backend, (timestamp, 0)..=(timestamp, u64::MAX), |row, _| {
            gone.push(*row);
            true
        })?;
        gone.iter().try_for_each(|row| rows.remove(&mut self.backend, row))
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, StateError> {
        // The record that is only partly joined comes again with the batch that was kept.
        if let Some((side, row)) = self.position {
            self.positions.update_in(&mut self.backend, &side, row)?;
        }
        let mut snapshot = context.keyed(&mut self.backend)?;
        if let Some((side, _)) = self.position {
            self.positions.clear_in(&mut self.backend, &side)?;
        }
        self.counter.update(&mut self.counters, [self.next])?;
        snapshot.absorb(self.counters.snapshot());
        Ok(snapshot)
    }
}

fn without_timestamp() -> OperatorError {
    OperatorError::new(
        "TM-JOIN-NO-TIMESTAMP",
        Fault::User,
        "an interval join got a record without a timestamp; give the source a WatermarkStrategy with a timestamp \
         assigner, or call assign_timestamps_and_watermarks() before the join",
    )
}

impl<L, R, U, S, Q, F> Operator for IntervalJoinOperator<L, R, U, S, Q, F>
where
    L: Data,
    R: Data,
    U: Data,
    S: KeySelector<L>,
    Q: KeySelector<R, Key = S::Key>,
    F: ProcessJoinFunction<L, R, U>,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state(restored.as_ref())?;
        let left = backend.register_map(MapStateDescriptor::new("left-buffer"))?;
        let right = backend.register_map(MapStateDescriptor::new("right-buffer"))?;
        let core = JoinCore::open(context, restored.as_ref(), backend)?;
        self.opened = Some(Opened { core, left, right });
        self.function.open(context).map_err(OperatorError::user)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { selectors, bounds: (lower, upper), late, function, opened, .. } = self;
        let Some(Opened { core, left, right }) = opened else { return Ok(Progress::Done) };
        if input == 0 {
            let side = Side {
                namespace: LEFT,
                selector: &selectors.0,
                ours: *left,
                others: *right,
                bounds: (*lower, *upper),
                late: late.left.as_ref(),
            };
            core.join(&side, batch, out, |ours, other, (left, right), sides, out| {
                function.process(ours, other, &mut JoinContext { left, right, sides }, out)
            })
        } else {
            let side = Side {
                namespace: RIGHT,
                selector: &selectors.1,
                ours: *right,
                others: *left,
                bounds: (upper.saturating_neg(), lower.saturating_neg()),
                late: late.right.as_ref(),
            };
            core.join(&side, batch, out, |ours, other, (right, left), sides, out| {
                function.process(other, ours, &mut JoinContext { left, right, sides }, out)
            })
        }
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        let (lower, upper) = self.bounds;
        let Some(Opened { core, left, right }) = &mut self.opened else { return Ok(Progress::Done) };
        core.watermark = watermark;
        for _ in 0..out.batch_records() {
            let Some(timer) = core.timers.pop_due(&mut core.backend, TimeDomain::Event, watermark.0)? else {
                out.watermark(watermark);
                return Ok(Progress::Done);
            };
            core.metrics.fired_timers.add(1);
            if timer.namespace == LEFT {
                core.remove(*left, timer.timestamp.saturating_sub(upper.max(0)))?;
            } else {
                core.remove(*right, timer.timestamp.saturating_sub(lower.saturating_neg().max(0)))?;
            }
        }
        Ok(Progress::More)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.opened {
            Some(Opened { core, .. }) => Ok(core.snapshot(context)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }

    fn close(&mut self) {
        self.function.close();
    }
}
