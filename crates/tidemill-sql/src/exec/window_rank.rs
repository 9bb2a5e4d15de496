//! The first rows of each window by some order, said once when the window has ended.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::Watermark;
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, Slots, SubtaskSnapshot, TimeDomain, Timers, ValueState, ValueStateDescriptor,
};

use super::event_time;
use super::groups::Groups;
use super::output::{changes, not_open};
use super::row::{Row, RowReader, RowWriter};
use super::sort_key::write_sort_key;
use crate::functions::temporal::LocalClock;
use crate::plan::SortKey;

/// The first rows of each window.
#[derive(Clone, Debug)]
pub(crate) struct WindowRankSpec {
    pub(crate) input: SchemaRef,
    /// With the window's start and end among them.
    pub(crate) partition: Vec<usize>,
    /// The column of the window's end.
    pub(crate) end: usize,
    /// Whose clock windows end by.
    pub(crate) zone: Option<chrono_tz::Tz>,
    pub(crate) order: Vec<SortKey>,
    /// The places that come out, from one.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Whether the place is a column behind those of the input.
    pub(crate) with_number: bool,
    /// Of rows of equal order the newest comes first.
    pub(crate) newest_first: bool,
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for WindowRankSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(WindowRank {
            spec: self.clone(),
            local: LocalClock::new(self.zone),
            groups: Groups::default(),
            watermark: i64::MIN,
            state: None,
        }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// Rows in order, each with its key of the order.
type Ordered = Vec<(Row, Row)>;

struct State {
    backend: KeyedStateBackend<Row>,
    rows: ValueState<Ordered>,
    timers: Timers<()>,
    late: Arc<Counter>,
}

struct WindowRank {
    spec: WindowRankSpec,
    local: LocalClock,
    groups: Groups,
    watermark: i64,
    state: Option<State>,
}

/// Rows that one call says, about.
const ROWS_A_CALL: usize = 1 << 15;
/// Windows of partitions that one call lets end.
const WINDOWS_A_CALL: usize = 4096;

impl Operator for WindowRank {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        self.watermark = event_time::restored(restored.as_ref())?;
        let rows = backend.register_value(ValueStateDescriptor::new("rows"))?;
        let timers = backend.register_timers("windows")?;
        let late = context.metrics.counter("numLateRecordsDropped");
        self.state = Some(State { backend, rows, timers, late });
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        self.rank(batch.downcast_ref::<ArrowBatch>()?)?;
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = self.watermark.max(watermark.0);
        if self.fire(watermark.0, out)? {
            return Ok(Progress::More);
        }
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(state) = &mut self.state else { return Ok(SubtaskSnapshot::default()) };
        let mut snapshot = context.keyed(&mut state.backend)?;
        event_time::store(self.watermark, &mut snapshot);
        Ok(snapshot)
    }
}

impl WindowRank {
    fn rank(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let spec = &self.spec;
        let columns = batch.records.columns();
        let rows = batch.records.num_rows();
        let ends = window_ends(columns, spec.end)?;
        self.groups.find(columns, &spec.partition, rows);
        let groups = &self.groups;
        // All rows of a group are of one window.
        let mut end_of: Vec<i64> = vec![i64::MAX; groups.len()];
        for (row, group) in groups.of_row.iter().enumerate() {
            end_of[*group as usize] = ends[row];
        }
        let (local, reached) = (&self.local, self.watermark);
        let is_late = |end: i64| local.moment(end - 1) <= reached;
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let last = usize::try_from(spec.last).unwrap_or(usize::MAX);
        let mut created: Vec<u32> = Vec::new();
        let mut late = 0;
        let (mut scratch, mut sort_key) = (Vec::new(), Vec::new());
        let update = |slots: Slots<'_>, values: &mut [Ordered]| -> Result<(), OperatorError> {
            created.extend_from_slice(slots.created);
            for row in 0..rows {
                let group = groups.of_row[row] as usize;
                if is_late(end_of[group]) {
                    late += 1;
                    continue;
                }
                let ordered = &mut values[slots.slots[group] as usize];
                sort_key.clear();
                write_sort_key(columns, &spec.order, row, &mut sort_key)?;
                let place = ordered.partition_point(|(key, _)| {
                    if spec.newest_first { key.bytes() < &sort_key[..] } else { key.bytes() <= &sort_key[..] }
                });
                if place >= last {
                    continue;
                }
                ordered.truncate(last - 1);
                ordered.insert(place, (Row::of(&sort_key), writer.row(row, &mut scratch)));
            }
            Ok(())
        };
        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        state.rows.update_batch(&mut state.backend, &keys, |_| Ordered::new(), update)??;
        for group in created {
            let group = group as usize;
            state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            if is_late(end_of[group]) {
                state.rows.clear(&mut state.backend)?;
            } else {
                let due = self.local.moment(end_of[group] - 1);
                state.timers.register(&mut state.backend, TimeDomain::Event, due, &())?;
            }
        }
        if late > 0 {
            state.late.add(late);
        }
        Ok(())
    }

    fn fire(&mut self, watermark: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut reader = RowReader::new(&self.spec.input);
        let mut places: Vec<i64> = Vec::new();
        let mut fired = 0;
        while fired < WINDOWS_A_CALL && places.len() < ROWS_A_CALL {
            if state.timers.pop_due(&mut state.backend, TimeDomain::Event, watermark)?.is_none() {
                break;
            }
            fired += 1;
            let Some(ordered) = state.rows.get(&mut state.backend)? else { continue };
            state.rows.clear(&mut state.backend)?;
            for (place, (_, row)) in (1..).zip(&ordered) {
                if u64::try_from(place).is_ok_and(|place| place >= self.spec.first) {
                    reader.push(row.bytes())?;
                    places.push(place);
                }
            }
        }
        let is_full = fired == WINDOWS_A_CALL || places.len() >= ROWS_A_CALL;
        if !places.is_empty() {
            let kinds = vec![RowKind::Insert; places.len()];
            let mut columns: Vec<ArrayRef> = reader.finish()?;
            if self.spec.with_number {
                columns.push(Arc::new(Int64Array::from(places)));
            }
            out.emit(Batch::new(changes(&self.spec.output, columns, kinds)?));
        }
        Ok(is_full)
    }
}

/// The ends of the windows of rows. A window's end is never NULL.
pub(super) fn window_ends(columns: &[ArrayRef], column: usize) -> Result<Vec<i64>, OperatorError> {
    let ends = columns
        .get(column)
        .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
        .filter(|ends| ends.null_count() == 0)
        .ok_or_else(|| {
            OperatorError::new(
                "TM-SQL-OPERATOR",
                tidemill_core::Fault::Internal,
                "a row of a window does not say where the window ends",
            )
        })?;
    Ok(ends.values().to_vec())
}
