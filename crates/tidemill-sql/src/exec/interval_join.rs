//! Joins of rows whose times are within an interval of each other: rows are forgotten when no row that could match can come.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    Clock, KeyedStateBackend, MapState, MapStateDescriptor, SubtaskSnapshot, TimeDomain, Timers,
};

use super::event_time;
use super::groups::Groups;
use super::output::{changes, not_open, strict};
use super::pair_condition::PairCondition;
use super::row::{Row, RowReader, RowWriter, column_data};
use crate::expr::Expr;
use crate::plan::JoinKind;

/// A join over an interval of time.
#[derive(Clone, Debug)]
pub(crate) struct IntervalJoinSpec {
    /// Inner or outer.
    pub(crate) kind: JoinKind,
    pub(crate) schemas: [SchemaRef; 2],
    pub(crate) keys: [Vec<usize>; 2],
    /// For each key whether NULL equals NULL.
    pub(crate) null_safe: Vec<bool>,
    pub(crate) times: [usize; 2],
    pub(crate) processing_time: bool,
    /// By how many milliseconds the time on the right may be later than that on the left: at least, at most.
    pub(crate) least: i64,
    pub(crate) most: i64,
    /// What must hold besides, over the columns of both sides.
    pub(crate) condition: Option<Expr>,
    pub(crate) both: SchemaRef,
}

impl IntervalJoinSpec {
    /// By how much times of the other side may be later than those of `side`: at least, at most.
    fn bounds(&self, side: usize) -> (i64, i64) {
        if side == 0 {
            (self.least, self.most)
        } else {
            (self.most.saturating_neg(), self.least.saturating_neg())
        }
    }

    fn keeps(&self, side: usize) -> bool {
        if side == 0 { self.kind.keeps_left() } else { self.kind.keeps_right() }
    }

    /// How long rows are kept at least before it is looked which can go.
    fn step(&self) -> i64 {
        (self.most.saturating_sub(self.least) / 2).max(1)
    }

    /// When a row of `side` at `time` is looked at to be forgotten. Many rows share such a time.
    fn forgotten(&self, side: usize, time: i64) -> i64 {
        let expired = time.saturating_add(self.bounds(side).1.max(0)).saturating_add(1);
        let step = self.step();
        expired.saturating_add((step - expired.rem_euclid(step)) % step)
    }

    /// By how much rows that come out may lie behind the watermark.
    fn delay(&self) -> i64 {
        let keeps = self.keeps(0) || self.keeps(1);
        let reach = self.most.max(self.least.saturating_neg()).max(0);
        reach.saturating_add(if keeps { self.step().saturating_add(1) } else { 0 })
    }
}

impl OperatorFactory for IntervalJoinSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let condition =
            self.condition.as_ref().map(|expr| PairCondition::new(expr, &self.both)).transpose()?;
        Ok(Box::new(IntervalJoin {
            spec: self.clone(),
            condition,
            groups: Groups::default(),
            watermark: i64::MIN,
            next_time: None,
            state: None,
        }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// The rows of a key at one time, each with whether it has matched.
type AtTime = Vec<(Row, bool)>;

struct State {
    backend: KeyedStateBackend<Row>,
    sides: [MapState<i64, AtTime>; 2],
    timers: Timers<()>,
    clock: Arc<dyn Clock>,
}

struct IntervalJoin {
    spec: IntervalJoinSpec,
    condition: Option<PairCondition>,
    groups: Groups,
    watermark: i64,
    next_time: Option<Timestamp>,
    state: Option<State>,
}

/// Keys that one call looks at for what can go.
const KEYS_A_CALL: usize = 4096;
/// Pairs of rows that are looked at in one call, about.
const PAIRS_A_CALL: usize = 1 << 15;

impl Operator for IntervalJoin {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        self.watermark = event_time::restored(restored.as_ref())?;
        let sides = [
            backend.register_map(MapStateDescriptor::new("left"))?,
            backend.register_map(MapStateDescriptor::new("right"))?,
        ];
        let timers = backend.register_timers("forget")?;
        self.state = Some(State { backend, sides, timers, clock: Arc::clone(&context.clock) });
        self.look_at_clock()
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        let all = rows.records.num_rows();
        let (result, done) = self.join(input, rows)?;
        if result.records.num_rows() > 0 {
            out.emit(Batch::new(result));
        }
        self.look_at_clock()?;
        if done == all {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(ArrowBatch {
            records: rows.records.slice(done, all - done),
            kinds: None,
            timestamps: Vec::new(),
            hashes: Vec::new(),
        }));
        Ok(Progress::More)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = self.watermark.max(watermark.0);
        if !self.spec.processing_time && self.forget(TimeDomain::Event, watermark.0, out)? {
            return Ok(Progress::More);
        }
        // Rows that come out later may be older than this.
        let held = match watermark.0 {
            i64::MAX => i64::MAX,
            time if self.spec.processing_time => time,
            time => time.saturating_sub(self.spec.delay()),
        };
        out.watermark(Watermark(held));
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_time
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        let more = self.forget(TimeDomain::Processing, now, out)?;
        self.look_at_clock()?;
        Ok(if more { Progress::More } else { Progress::Done })
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(state) = &mut self.state else { return Ok(SubtaskSnapshot::default()) };
        let mut snapshot = context.keyed(&mut state.backend)?;
        event_time::store(self.watermark, &mut snapshot);
        Ok(snapshot)
    }
}

impl IntervalJoin {
    fn look_at_clock(&mut self) -> Result<(), OperatorError> {
        if self.spec.processing_time
            && let Some(state) = &mut self.state
        {
            self.next_time = state.timers.service(&mut state.backend)?.next_timestamp(TimeDomain::Processing);
        }
        Ok(())
    }

    /// Joins the first rows of a batch of side `side`; answers how many.
    fn join(&mut self, side: usize, batch: &ArrowBatch) -> Result<(ArrowBatch, usize), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let spec = &self.spec;
        let columns = batch.records.columns();
        let all = batch.records.num_rows();
        let now = spec.processing_time.then(|| state.clock.now());
        let times = columns
            .get(spec.times[side])
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        if now.is_none() && times.is_none_or(|times| times.null_count() > 0) {
            return Err(OperatorError::new(
                "TM-SQL-ROWTIME",
                Fault::User,
                "the event time of a row that is joined over an interval is NULL: filter such rows out",
            ));
        }
        let time_of = |row: usize| now.or_else(|| times.map(|times| times.value(row))).unwrap_or_default();
        self.groups.find(columns, &spec.keys[side], all);
        let groups = &self.groups;
        let of_keys = column_data(columns, &strict(&spec.keys[side], &spec.null_safe));
        let keys = RowWriter::new(&of_keys, true);
        let (least, most) = spec.bounds(side);

        // The rows of the other side within the interval of each row.
        let mut reader = RowReader::new(&spec.schemas[1 - side]);
        let mut places: Vec<(u32, i64, usize)> = Vec::new();
        let mut known: std::collections::HashMap<(u32, i64), std::ops::Range<usize>> = Default::default();
        let (mut own, mut other): (Vec<u32>, Vec<u32>) = Default::default();
        let mut done = 0;
        while done < all && (done == 0 || own.len() < PAIRS_A_CALL) {
            let row = done;
            done += 1;
            if keys.has_null(row) {
                continue;
            }
            let (group, time) = (groups.of_row[row], time_of(row));
            state.backend.set_current_key(&groups.keys[group as usize], groups.hashes[group as usize])?;
            let range = time.saturating_add(least)..=time.saturating_add(most);
            let mut damage = None;
            state.sides[1 - side].scan(&mut state.backend, range, |at, rows| {
                let of_time = known.entry((group, *at)).or_insert_with(|| {
                    let first = places.len();
                    for (index, (row, _)) in rows.iter().enumerate() {
                        if let Err(error) = reader.push(row.bytes()) {
                            damage.get_or_insert(error);
                            break;
                        }
                        places.push((group, *at, index));
                    }
                    first..places.len()
                });
                for place in of_time.clone() {
                    own.push(u32::try_from(row).unwrap_or(u32::MAX));
                    other.push(u32::try_from(place).unwrap_or(u32::MAX));
                }
                true
            })?;
            if let Some(error) = damage {
                return Err(error.into());
            }
        }
        let other_columns: Vec<ArrayRef> = reader.finish()?;
        let matches = match &self.condition {
            Some(condition) if !own.is_empty() => {
                let (own, other) = ((columns, &own[..]), (&other_columns[..], &other[..]));
                condition.matches(if side == 0 { [own, other] } else { [other, own] })?
            }
            _ => None,
        };
        if let Some(matches) = matches {
            let holds = |index: &usize| matches.value(*index);
            let kept: Vec<usize> = (0..own.len()).filter(holds).collect();
            own = kept.iter().map(|index| own[*index]).collect();
            other = kept.iter().map(|index| other[*index]).collect();
        }

        // Who has matched now.
        let mut has_matched = vec![false; done];
        own.iter().for_each(|row| has_matched[*row as usize] = true);
        if spec.keeps(1 - side) {
            let mut found: Vec<(u32, i64, usize)> = other.iter().map(|p| places[*p as usize]).collect();
            found.sort_unstable();
            found.dedup();
            for (group, at, index) in found {
                state.backend.set_current_key(&groups.keys[group as usize], groups.hashes[group as usize])?;
                let rows = state.sides[1 - side];
                rows.modify(&mut state.backend, at, Vec::new, |rows| {
                    if let Some(row) = rows.get_mut(index) {
                        row.1 = true;
                    }
                })?;
            }
        }

        // The rows are kept while rows that match can come; of the others those without a match come out now.
        let reached = now.unwrap_or(self.watermark);
        let domain = if spec.processing_time { TimeDomain::Processing } else { TimeDomain::Event };
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let (mut scratch, mut alone) = (Vec::new(), Vec::new());
        for (row, has_matched) in has_matched.iter().copied().enumerate().take(done) {
            let (group, time) = (groups.of_row[row] as usize, time_of(row));
            let can_match = !keys.has_null(row) && time.saturating_add(most) > reached;
            if can_match {
                let (key, hash) = (&groups.keys[group], groups.hashes[group]);
                state.backend.set_current_key(key, hash)?;
                let entry = (writer.row(row, &mut scratch), has_matched);
                state.sides[side].modify(&mut state.backend, time, Vec::new, |rows| rows.push(entry))?;
                state.timers.register(&mut state.backend, domain, spec.forgotten(side, time), &())?;
            } else if !has_matched && spec.keeps(side) {
                alone.push(u32::try_from(row).unwrap_or(u32::MAX));
            }
        }

        let mut result = sides(side, taken(columns, &own)?, taken(&other_columns, &other)?);
        let mut rows = own.len();
        if !alone.is_empty() {
            let padded = self.padded(side, taken(columns, &alone)?, alone.len());
            let both = result.iter().zip(&padded).map(|(one, two)| concat(&[&**one, &**two]));
            result = both.collect::<Result<_, _>>().map_err(failed)?;
            rows += alone.len();
        }
        Ok((changes(&self.spec.both, result, vec![RowKind::Insert; rows])?, done))
    }

    /// Rows of a side with NULLs in place of the other.
    fn padded(&self, side: usize, columns: Vec<ArrayRef>, rows: usize) -> Vec<ArrayRef> {
        let fields = self.spec.schemas[1 - side].fields().iter();
        let nulls = fields.map(|field| arrow_array::new_null_array(field.data_type(), rows)).collect();
        sides(side, columns, nulls)
    }

    /// Forgets rows that cannot match any more; those that have not matched come out where their side is kept. Answers
    /// whether there are more.
    fn forget(&mut self, domain: TimeDomain, time: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut looked_at = 0;
        let mut alone = [RowReader::new(&self.spec.schemas[0]), RowReader::new(&self.spec.schemas[1])];
        let mut is_full = false;
        while looked_at < KEYS_A_CALL && !is_full {
            if state.timers.pop_due(&mut state.backend, domain, time)?.is_none() {
                break;
            }
            looked_at += 1;
            for (side, alone) in alone.iter_mut().enumerate() {
                let expired = time.saturating_sub(self.spec.bounds(side).1);
                let last = if time == i64::MAX { i64::MAX } else { expired.saturating_sub(1) };
                let keeps = self.spec.keeps(side);
                let (mut gone, mut damage) = (Vec::new(), None);
                state.sides[side].scan(&mut state.backend, ..=last, |at, rows| {
                    gone.push(*at);
                    for (row, has_matched) in rows {
                        if keeps
                            && !has_matched
                            && let Err(error) = alone.push(row.bytes())
                        {
                            damage.get_or_insert(error);
                        }
                    }
                    true
                })?;
                if let Some(error) = damage {
                    return Err(error.into());
                }
                for at in gone {
                    state.sides[side].remove(&mut state.backend, &at)?;
                }
            }
            is_full = alone.iter().any(|rows| rows.rows() >= PAIRS_A_CALL);
        }
        for (side, mut reader) in alone.into_iter().enumerate() {
            let rows = reader.rows();
            if rows > 0 {
                let columns = self.padded(side, reader.finish()?, rows);
                out.emit(Batch::new(changes(&self.spec.both, columns, vec![RowKind::Insert; rows])?));
            }
        }
        Ok(looked_at == KEYS_A_CALL || is_full)
    }
}

/// The columns of both sides, the left ones first.
fn sides(side: usize, own: Vec<ArrayRef>, other: Vec<ArrayRef>) -> Vec<ArrayRef> {
    if side == 0 { [own, other].concat() } else { [other, own].concat() }
}

fn taken(columns: &[ArrayRef], places: &[u32]) -> Result<Vec<ArrayRef>, OperatorError> {
    let places = UInt32Array::from(places.to_vec());
    columns.iter().map(|column| take(column, &places, None).map_err(failed)).collect()
}

fn failed(error: arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}
