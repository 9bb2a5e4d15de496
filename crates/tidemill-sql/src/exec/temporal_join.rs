//! Joins with the version of a row that was valid at a row's time.
//!
//! Versions lie by key and time. A row on the left waits until the watermark has reached its time: then no version that it should have
//! seen can still come. Versions that are older than the one valid at the watermark are forgotten.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, PrimitiveArray, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::Watermark;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, MapState, MapStateDescriptor, Namespaces,
    SubtaskSnapshot, TimeDomain, Timers,
};

use super::groups::Groups;
use super::output::{changes, is_retraction, kind, not_open, strict};
use super::pair_condition::PairCondition;
use super::row::{Row, RowReader, RowWriter, column_data};
use crate::expr::Expr;

/// A join with versions.
#[derive(Clone, Debug)]
pub(crate) struct TemporalJoinSpec {
    /// Whether rows without a version come out too.
    pub(crate) is_left: bool,
    /// The columns of both sides, what they are joined by, and where their times are.
    pub(crate) schemas: [SchemaRef; 2],
    pub(crate) keys: [Vec<usize>; 2],
    /// For each key whether NULL equals NULL.
    pub(crate) null_safe: Vec<bool>,
    pub(crate) times: [usize; 2],
    /// What must hold besides the keys being equal, over the columns of both sides.
    pub(crate) condition: Option<Expr>,
    pub(crate) both: SchemaRef,
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for TemporalJoinSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let condition =
            self.condition.as_ref().map(|expr| PairCondition::new(expr, &self.both)).transpose()?;
        Ok(Box::new(TemporalJoin { spec: self.clone(), condition, groups: Groups::default(), state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct State {
    backend: KeyedStateBackend<Row>,
    /// Rows on the left that wait, by their time; each with the number of its kind.
    left: ListState<(u8, Row), i64>,
    /// Versions by their time; none where the row was deleted.
    versions: MapState<i64, Option<Row>>,
    timers: Timers<()>,
}

struct TemporalJoin {
    spec: TemporalJoinSpec,
    condition: Option<PairCondition>,
    groups: Groups,
    state: Option<State>,
}

/// Times of keys that one call joins.
const TIMES_A_CALL: usize = 4096;

impl Operator for TemporalJoin {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let left = backend.register_list(ListStateDescriptor::new("left"))?;
        let versions = backend.register_map(MapStateDescriptor::new("versions"))?;
        let timers = backend.register_timers("times")?;
        self.state = Some(State { backend, left, versions, timers });
        Ok(())
    }

    fn process(&mut self, input: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        if input == 0 {
            self.wait(batch)?
        } else {
            self.note_versions(batch)?
        }
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.fire(watermark.0, out)? {
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

fn times_of<'a>(
    batch: &'a ArrowBatch,
    column: usize,
    side: &str,
) -> Result<&'a PrimitiveArray<TimestampMillisecondType>, OperatorError> {
    let times = batch
        .records
        .columns()
        .get(column)
        .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
        .ok_or_else(|| OperatorError::new("TM-SQL-OPERATOR", Fault::Internal, "a time is no timestamp"))?;
    if times.null_count() > 0 {
        return Err(OperatorError::new(
            "TM-SQL-ROWTIME",
            Fault::User,
            format!(
                "the event time of a row on the {side} of a join FOR SYSTEM_TIME AS OF is NULL: filter such rows out"
            ),
        ));
    }
    Ok(times)
}

impl TemporalJoin {
    /// Keeps rows on the left until their time comes.
    fn wait(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        let times = times_of(batch, self.spec.times[0], "left")?;
        self.groups.find(columns, &self.spec.keys[0], batch.records.num_rows());
        let groups = &self.groups;
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        let (mut hashes, mut keys, mut rows): (Vec<u64>, Vec<Row>, Vec<(u8, Row)>) = Default::default();
        for (row, group) in groups.of_row.iter().enumerate() {
            let group = *group as usize;
            hashes.push(groups.hashes[group]);
            keys.push(groups.keys[group].clone());
            rows.push((kind(batch, row) as u8, writer.row(row, &mut scratch)));
        }
        let timers = state.timers.service(&mut state.backend)?;
        for (row, hash) in hashes.iter().enumerate() {
            timers.register(TimeDomain::Event, times.value(row), (&keys[row], *hash), &())?;
        }
        let keys = KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(times.values()))?;
        state.left.append_batch(&mut state.backend, &keys, &mut rows)?;
        Ok(())
    }

    /// Notes versions of rows on the right.
    fn note_versions(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        let times = times_of(batch, self.spec.times[1], "right")?;
        self.groups.find(columns, &self.spec.keys[1], batch.records.num_rows());
        let groups = &self.groups;
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        let mut latest: Vec<Option<i64>> = vec![None; groups.len()];
        for (row, group) in groups.of_row.iter().enumerate() {
            let kind = kind(batch, row);
            if kind == RowKind::UpdateBefore {
                // The version that follows says all.
                continue;
            }
            let (group, time) = (*group as usize, times.value(row));
            latest[group] = latest[group].max(Some(time));
            let version = (!is_retraction(kind)).then(|| writer.row(row, &mut scratch));
            state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            state.versions.put(&mut state.backend, time, version)?;
        }
        let timers = state.timers.service(&mut state.backend)?;
        for (group, latest) in latest.iter().enumerate() {
            // To forget what it replaces.
            if let Some(latest) = latest {
                timers.register(
                    TimeDomain::Event,
                    *latest,
                    (&groups.keys[group], groups.hashes[group]),
                    &(),
                )?;
            }
        }
        Ok(())
    }

    /// Joins the rows whose time has come; answers whether there are more.
    fn fire(&mut self, watermark: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut due: (Vec<u64>, Vec<Row>, Vec<i64>) = Default::default();
        while due.0.len() < TIMES_A_CALL {
            let timers = state.timers.service(&mut state.backend)?;
            let Some(timer) = timers.pop_due(TimeDomain::Event, watermark)? else { break };
            due.0.push(timer.hash);
            due.1.push(timer.key);
            due.2.push(timer.timestamp);
        }
        if due.0.is_empty() {
            return Ok(false);
        }
        // The rows on the left.
        let mut left = RowReader::new(&self.spec.schemas[0]);
        let mut rows: Vec<(usize, u8)> = Vec::new();
        let mut damage = None;
        let lists = KeyBatch::with_namespaces(&due.0, &due.1, Namespaces::Each(&due.2))?;
        state.left.read_batch(&mut state.backend, &lists, |index, found| {
            for (kind, row) in found {
                match left.push(row.bytes()) {
                    Ok(()) => rows.push((index, *kind)),
                    Err(error) => {
                        damage.get_or_insert(error);
                    }
                }
            }
        })?;
        if let Some(error) = damage {
            return Err(error.into());
        }
        // What is due of a key may be more than this call takes: versions that the rest may see stay.
        let through = match due.2.last() {
            Some(last) if due.0.len() == TIMES_A_CALL => *last,
            _ => watermark,
        };
        // The versions of each key, read once.
        let mut of_key: HashMap<&Row, Vec<(i64, Option<u32>)>> = HashMap::new();
        let mut right = RowReader::new(&self.spec.schemas[1]);
        for index in 0..due.0.len() {
            state.backend.set_current_key(&due.1[index], due.0[index])?;
            state.left.clear_in(&mut state.backend, &due.2[index])?;
            if of_key.contains_key(&due.1[index]) {
                continue;
            }
            let mut versions = Vec::new();
            let mut damage = None;
            state.versions.scan(&mut state.backend, ..=through, |time, version| {
                let place = version.as_ref().and_then(|version| match right.push(version.bytes()) {
                    Ok(()) => u32::try_from(right.rows() - 1).ok(),
                    Err(error) => {
                        damage.get_or_insert(error);
                        None
                    }
                });
                versions.push((*time, place));
                true
            })?;
            if let Some(error) = damage {
                return Err(error.into());
            }
            if let Some(((last, place), old)) = versions.split_last() {
                for (time, _) in old {
                    state.versions.remove(&mut state.backend, time)?;
                }
                if place.is_none() {
                    state.versions.remove(&mut state.backend, last)?;
                }
            }
            of_key.insert(&due.1[index], versions);
        }
        let places: Vec<Option<u32>> = rows
            .iter()
            .map(|(index, _)| {
                let versions = of_key.get(&due.1[*index])?;
                let behind = versions.partition_point(|(time, _)| *time <= due.2[*index]);
                versions.get(behind.checked_sub(1)?)?.1
            })
            .collect();
        let kinds: Vec<u8> = rows.iter().map(|(_, kind)| *kind).collect();
        let (left, right) = (left.finish()?, right.finish()?);
        if let Some(batch) = self.joined(&left, &right, places, &kinds)? {
            out.emit(Batch::new(batch));
        }
        Ok(due.0.len() == TIMES_A_CALL)
    }

    /// The rows of `left` with those of `right` at `places`.
    fn joined(
        &self,
        left: &[ArrayRef],
        right: &[ArrayRef],
        mut places: Vec<Option<u32>>,
        kinds: &[u8],
    ) -> Result<Option<ArrowBatch>, OperatorError> {
        let failed = |error: arrow_schema::ArrowError| {
            OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
        };
        // NULL as a key equals nothing.
        let of_keys = column_data(left, &strict(&self.spec.keys[0], &self.spec.null_safe));
        let keys = RowWriter::new(&of_keys, true);
        for (row, place) in places.iter_mut().enumerate() {
            if keys.has_null(row) {
                *place = None;
            }
        }
        if let Some(condition) = &self.condition {
            let found: Vec<u32> = (0u32..).zip(&places).filter_map(|(row, p)| p.map(|_| row)).collect();
            let of_right: Vec<u32> = found.iter().filter_map(|row| places[*row as usize]).collect();
            if let Some(holds) = condition.matches([(left, &found), (right, &of_right)])? {
                for (index, row) in found.iter().enumerate() {
                    if !holds.value(index) {
                        places[*row as usize] = None;
                    }
                }
            }
        }
        let rows: Vec<u32> = (0u32..)
            .zip(&places)
            .filter(|(_, place)| self.spec.is_left || place.is_some())
            .map(|(row, _)| row)
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let kinds = rows.iter().map(|row| row_kind(kinds[*row as usize])).collect();
        let of_left = UInt32Array::from(rows.clone());
        let of_right: UInt32Array = rows.iter().map(|row| places[*row as usize]).collect();
        let mut columns = Vec::with_capacity(left.len() + right.len());
        for column in left {
            columns.push(take(column, &of_left, None).map_err(failed)?);
        }
        for column in right {
            columns.push(take(column, &of_right, None).map_err(failed)?);
        }
        Ok(Some(changes(&self.spec.output, columns, kinds)?))
    }
}

fn row_kind(number: u8) -> RowKind {
    [RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete]
        .into_iter()
        .find(|kind| *kind as u8 == number)
        .unwrap_or(RowKind::Insert)
}
