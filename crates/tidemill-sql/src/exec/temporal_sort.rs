//! Rows in the order of event time: each waits until no earlier one can come.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::Watermark;
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, Namespaces, SubtaskSnapshot, TimeDomain,
    Timers, ValueState, ValueStateDescriptor,
};

use super::groups::Groups;
use super::output::{changes, not_open};
use super::row::{Row, RowReader, RowWriter};
use super::sort_key::write_sort_key;
use super::window_rank::window_ends;
use crate::plan::SortKey;

/// An order that begins with event time, ascending.
#[derive(Clone, Debug)]
pub(crate) struct TemporalSortSpec {
    pub(crate) schema: SchemaRef,
    /// The column of time.
    pub(crate) time: usize,
    /// What orders rows of one time.
    pub(crate) order: Vec<SortKey>,
}

impl OperatorFactory for TemporalSortSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(TemporalSort { spec: self.clone(), groups: Groups::default(), state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct State {
    backend: KeyedStateBackend<Row>,
    /// Rows with their keys of the order, by their time.
    rows: ListState<(Row, Row), i64>,
    /// The time of the last row that was said.
    last: ValueState<i64>,
    timers: Timers<()>,
    late: Arc<Counter>,
}

struct TemporalSort {
    spec: TemporalSortSpec,
    groups: Groups,
    state: Option<State>,
}

/// Rows that one call says, about.
const ROWS_A_CALL: usize = 8192;

impl Operator for TemporalSort {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let rows = backend.register_list(ListStateDescriptor::new("rows"))?;
        let last = backend.register_value(ValueStateDescriptor::new("last"))?;
        let timers = backend.register_timers("times")?;
        let late = context.metrics.counter("numLateRecordsDropped");
        self.state = Some(State { backend, rows, last, timers, late });
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        let times = window_ends(columns, self.spec.time)?;
        // All rows have the key without columns.
        self.groups.find(columns, &[], batch.records.num_rows());
        let (Some(key), Some(hash)) = (self.groups.keys.first(), self.groups.hashes.first()) else {
            return Ok(Progress::Done);
        };
        state.backend.set_current_key(key, *hash)?;
        let said = state.last.get(&mut state.backend)?.unwrap_or(i64::MIN);
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let (mut scratch, mut sort_key, mut late) = (Vec::new(), Vec::new(), 0);
        let (mut at, mut rows): (Vec<i64>, Vec<(Row, Row)>) = Default::default();
        for (row, time) in times.into_iter().enumerate() {
            if time <= said {
                late += 1;
                continue;
            }
            sort_key.clear();
            write_sort_key(columns, &self.spec.order, row, &mut sort_key)?;
            at.push(time);
            rows.push((Row::of(&sort_key), writer.row(row, &mut scratch)));
        }
        if late > 0 {
            state.late.add(late);
        }
        let timers = state.timers.service(&mut state.backend)?;
        let mut last = None;
        for time in &at {
            if last.replace(*time) != Some(*time) {
                timers.register(TimeDomain::Event, *time, (key, *hash), &())?;
            }
        }
        let (hashes, keys) = (vec![*hash; at.len()], vec![key.clone(); at.len()]);
        let keys = KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(&at))?;
        state.rows.append_batch(&mut state.backend, &keys, &mut rows)?;
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut reader = RowReader::new(&self.spec.schema);
        while reader.rows() < ROWS_A_CALL {
            let Some(timer) = state.timers.pop_due(&mut state.backend, TimeDomain::Event, watermark.0)?
            else {
                break;
            };
            let mut rows = state.rows.get_in(&mut state.backend, &timer.timestamp)?;
            state.rows.clear_in(&mut state.backend, &timer.timestamp)?;
            state.last.update(&mut state.backend, timer.timestamp)?;
            rows.sort_by(|one, two| one.0.cmp(&two.0));
            for (_, row) in &rows {
                reader.push(row.bytes())?;
            }
        }
        let rows = reader.rows();
        if rows > 0 {
            let kinds = vec![RowKind::Insert; rows];
            out.emit(Batch::new(changes(&self.spec.schema, reader.finish()?, kinds)?));
        }
        if rows >= ROWS_A_CALL {
            return Ok(Progress::More);
        }
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.state {
            Some(state) => Ok(context.keyed(&mut state.backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}
