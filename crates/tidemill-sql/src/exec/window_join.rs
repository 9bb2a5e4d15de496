//! Joins of rows of the same window, when it has ended.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::Watermark;
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, SubtaskSnapshot, TimeDomain, Timers,
    ValueState, ValueStateDescriptor,
};

use super::event_time;
use super::groups::Groups;
use super::output::{changes, not_open};
use super::pair_condition::PairCondition;
use super::row::{Row, RowReader, RowWriter, column_data};
use super::window_rank::window_ends;
use crate::expr::Expr;
use crate::functions::temporal::LocalClock;
use crate::plan::JoinKind;

/// A join of windows.
#[derive(Clone, Debug)]
pub(crate) struct WindowJoinSpec {
    pub(crate) kind: JoinKind,
    pub(crate) schemas: [SchemaRef; 2],
    /// With the window's start and end among them.
    pub(crate) keys: [Vec<usize>; 2],
    /// For each key whether NULL equals NULL.
    pub(crate) null_safe: Vec<bool>,
    /// The columns of the window's end.
    pub(crate) ends: [usize; 2],
    /// Whose clock windows end by.
    pub(crate) zone: Option<chrono_tz::Tz>,
    /// What must hold besides, over the columns of both sides.
    pub(crate) condition: Option<Expr>,
    pub(crate) both: SchemaRef,
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for WindowJoinSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let condition =
            self.condition.as_ref().map(|expr| PairCondition::new(expr, &self.both)).transpose()?;
        Ok(Box::new(WindowJoin {
            spec: self.clone(),
            local: LocalClock::new(self.zone),
            condition,
            groups: Groups::default(),
            watermark: i64::MIN,
            open: None,
            state: None,
        }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct State {
    backend: KeyedStateBackend<Row>,
    sides: [ListState<Row>; 2],
    /// Of a window that was left in the middle, how many of its left rows are done, and which of the right ones have matched.
    progress: ValueState<(u64, Vec<bool>)>,
    timers: Timers<()>,
    late: Arc<Counter>,
}

/// The rows of a window that is being joined, and how many of the left ones are done.
struct Open {
    key: Row,
    end: i64,
    columns: [Vec<ArrayRef>; 2],
    rows: [usize; 2],
    done: usize,
    /// Pairs that the last call looked at.
    looked_at: usize,
    right_has_matched: Vec<bool>,
}

impl State {
    /// The window of the current key.
    fn read(&mut self, spec: &WindowJoinSpec, key: &Row, end: i64) -> Result<Open, OperatorError> {
        let mut side = |side: usize| -> Result<(Vec<ArrayRef>, usize), OperatorError> {
            let mut reader = RowReader::new(&spec.schemas[side]);
            for row in self.sides[side].get(&mut self.backend)? {
                reader.push(row.bytes())?;
            }
            let rows = reader.rows();
            Ok((reader.finish()?, rows))
        };
        let ((left, of_left), (right, of_right)) = (side(0)?, side(1)?);
        let (done, right_has_matched) = match self.progress.get(&mut self.backend)? {
            Some((done, mut matched)) => {
                matched.resize(of_right, false);
                (usize::try_from(done).unwrap_or(of_left), matched)
            }
            None => (0, vec![false; of_right]),
        };
        let (columns, rows) = ([left, right], [of_left, of_right]);
        Ok(Open { key: key.clone(), end, columns, rows, done, looked_at: 0, right_has_matched })
    }
}

struct WindowJoin {
    spec: WindowJoinSpec,
    local: LocalClock,
    condition: Option<PairCondition>,
    groups: Groups,
    watermark: i64,
    /// The window that was left in the middle, as its state says too: to spare reading it again.
    open: Option<Open>,
    state: Option<State>,
}

/// Pairs of rows that are looked at in one call, about.
const PAIRS_A_CALL: usize = 1 << 15;

impl Operator for WindowJoin {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        self.watermark = event_time::restored(restored.as_ref())?;
        let sides = [
            backend.register_list(ListStateDescriptor::new("left"))?,
            backend.register_list(ListStateDescriptor::new("right"))?,
        ];
        let progress = backend.register_value(ValueStateDescriptor::new("progress"))?;
        let timers = backend.register_timers("windows")?;
        let late = context.metrics.counter("numLateRecordsDropped");
        self.state = Some(State { backend, sides, progress, timers, late });
        Ok(())
    }

    fn process(&mut self, input: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        self.collect(input, batch.downcast_ref::<ArrowBatch>()?)?;
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

impl WindowJoin {
    fn collect(&mut self, side: usize, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        let ends = window_ends(columns, self.spec.ends[side])?;
        self.groups.find(columns, &self.spec.keys[side], batch.records.num_rows());
        let is_late = |end: i64| self.local.moment(end - 1) <= self.watermark;
        let groups = &self.groups;
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let (mut hashes, mut keys, mut rows): (Vec<u64>, Vec<Row>, Vec<Row>) = Default::default();
        let (mut scratch, mut late) = (Vec::new(), 0);
        let mut has_timer = vec![false; groups.len()];
        for (row, group) in groups.of_row.iter().enumerate() {
            let group = *group as usize;
            if is_late(ends[row]) {
                late += 1;
                continue;
            }
            if !std::mem::replace(&mut has_timer[group], true) {
                let timers = state.timers.service(&mut state.backend)?;
                let of = (&groups.keys[group], groups.hashes[group]);
                timers.register(TimeDomain::Event, self.local.moment(ends[row] - 1), of, &())?;
            }
            hashes.push(groups.hashes[group]);
            keys.push(groups.keys[group].clone());
            rows.push(writer.row(row, &mut scratch));
        }
        if late > 0 {
            state.late.add(late);
        }
        let keys = KeyBatch::new(&hashes, &keys)?;
        state.sides[side].append_batch(&mut state.backend, &keys, &mut rows)?;
        Ok(())
    }

    /// Joins windows that have ended; answers whether there is more to do.
    fn fire(&mut self, watermark: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut said: Vec<ArrowBatch> = Vec::new();
        let mut rows = 0;
        while rows < PAIRS_A_CALL {
            let Some(timer) = state.timers.pop_due(&mut state.backend, TimeDomain::Event, watermark)? else {
                break;
            };
            let is_open = |open: &Open| open.key == timer.key && open.end == timer.timestamp;
            let mut open = match self.open.take().filter(is_open) {
                Some(open) => open,
                None => state.read(&self.spec, &timer.key, timer.timestamp)?,
            };
            let batch = join(&self.spec, self.condition.as_ref(), &mut open)?;
            rows += 1 + batch.records.num_rows().max(open.looked_at);
            said.push(batch);
            if open.done < open.rows[0] {
                // A snapshot may be taken now: what follows must be what has not been said.
                let progress = (open.done as u64, open.right_has_matched.clone());
                state.progress.update(&mut state.backend, progress)?;
                state.timers.register(&mut state.backend, TimeDomain::Event, timer.timestamp, &())?;
                self.open = Some(open);
                rows = PAIRS_A_CALL;
            } else {
                state.sides[0].clear(&mut state.backend)?;
                state.sides[1].clear(&mut state.backend)?;
                state.progress.clear(&mut state.backend)?;
            }
        }
        let said: Vec<&arrow_array::RecordBatch> =
            said.iter().map(|batch| &batch.records).filter(|batch| batch.num_rows() > 0).collect();
        if let Some(first) = said.first() {
            let all = arrow_select::concat::concat_batches(&first.schema(), said).map_err(failed)?;
            let rows = all.num_rows();
            let kinds = vec![RowKind::Insert; rows];
            out.emit(Batch::new(changes(&self.spec.output, all.columns().to_vec(), kinds)?));
        }
        Ok(rows >= PAIRS_A_CALL)
    }
}

/// Joins some of the left rows of a window with its right ones; with the last ones what is left on the right comes out.
fn join(
    spec: &WindowJoinSpec,
    condition: Option<&PairCondition>,
    open: &mut Open,
) -> Result<ArrowBatch, OperatorError> {
    let [of_left, of_right] = open.rows;
    let first = open.done;
    let some = (PAIRS_A_CALL / of_right.max(1)).max(1);
    open.done = (first + some).min(of_left);
    let count = open.done - first;
    open.looked_at = count.saturating_mul(of_right);
    let plain_keys: Vec<usize> = spec.keys[0]
        .iter()
        .zip(&spec.null_safe)
        .filter(|(_, null_safe)| !**null_safe)
        .map(|(key, _)| *key)
        .collect();
    let of_keys = column_data(&open.columns[0], &plain_keys);
    let keys = RowWriter::new(&of_keys, true);
    let (mut left, mut right): (Vec<u32>, Vec<u32>) = Default::default();
    for row in first..open.done {
        // All rows of the window have equal keys, those that are NULL included.
        if keys.has_null(row) {
            continue;
        }
        for other in 0..of_right {
            left.push(u32::try_from(row).unwrap_or(u32::MAX));
            right.push(u32::try_from(other).unwrap_or(u32::MAX));
        }
    }
    if let Some(condition) = condition
        && !left.is_empty()
        && let Some(holds) = condition.matches([(&open.columns[0], &left), (&open.columns[1], &right)])?
    {
        let kept: Vec<usize> = (0..left.len()).filter(|pair| holds.value(*pair)).collect();
        left = kept.iter().map(|pair| left[*pair]).collect();
        right = kept.iter().map(|pair| right[*pair]).collect();
    }
    let mut left_has_matched = vec![false; count];
    left.iter().for_each(|row| left_has_matched[*row as usize - first] = true);
    right.iter().for_each(|row| open.right_has_matched[*row as usize] = true);
    let unmatched = |matched: &[bool], first: usize, wanted: bool| -> Vec<Option<u32>> {
        let all = matched.iter().enumerate().filter(|(_, matched)| **matched == wanted);
        all.map(|(row, _)| u32::try_from(first + row).ok()).collect()
    };
    let (left, right): (Vec<Option<u32>>, Vec<Option<u32>>) = match spec.kind {
        JoinKind::Semi => (unmatched(&left_has_matched, first, true), Vec::new()),
        JoinKind::Anti => (unmatched(&left_has_matched, first, false), Vec::new()),
        _ => {
            let mut left: Vec<Option<u32>> = left.into_iter().map(Some).collect();
            let mut right: Vec<Option<u32>> = right.into_iter().map(Some).collect();
            if spec.kind.keeps_left() {
                left.extend(unmatched(&left_has_matched, first, false));
                right.resize(left.len(), None);
            }
            if spec.kind.keeps_right() && open.done == of_left {
                right.extend(unmatched(&open.right_has_matched, 0, false));
                left.resize(right.len(), None);
            }
            (left, right)
        }
    };
    let rows = left.len();
    let mut columns = placed(&open.columns[0], &left)?;
    if !spec.kind.is_semi() {
        columns.extend(placed(&open.columns[1], &right)?);
    }
    changes(&spec.output, columns, vec![RowKind::Insert; rows])
}

fn placed(columns: &[ArrayRef], places: &[Option<u32>]) -> Result<Vec<ArrayRef>, OperatorError> {
    let places = UInt32Array::from(places.to_vec());
    columns.iter().map(|column| take(column, &places, None).map_err(failed)).collect()
}

fn failed(error: arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}
