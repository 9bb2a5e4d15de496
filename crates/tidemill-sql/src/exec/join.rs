//! Joins of two changelogs, every row of each kept.
//!
//! The rows of a side lie in state by their key. Where nothing depends on how often a row matched and no row is ever taken away,
//! they are a list that is appended to without being read; else a map of rows to how often each is there and how many
//! matches it has. Where an upsert key tells the rows of a side apart, and what is joined by is all of it or a part, the map is by that
//! key: a row replaces the one before, and need not be told of it.

use std::collections::HashMap;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, MapState, MapStateDescriptor,
    StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
};

use super::groups::Groups;
use super::join_others::{Begun, Others, Part};
use super::output::{changes, is_retraction, kind, not_open, strict};
use super::pair_condition::PairCondition;
use super::row::{Row, RowWriter, column_data};
use crate::expr::Expr;
use crate::plan::JoinKind;

/// A join.
#[derive(Clone, Debug)]
pub(crate) struct JoinSpec {
    pub(crate) kind: JoinKind,
    /// The left and the right side.
    pub(crate) sides: [JoinSide; 2],
    /// What must hold besides the keys being equal, over the columns of both sides.
    pub(crate) condition: Option<Expr>,
    /// The columns of both sides.
    pub(crate) both: SchemaRef,
    pub(crate) output: SchemaRef,
}

/// A side of a join.
#[derive(Clone, Debug)]
pub(crate) struct JoinSide {
    pub(crate) schema: SchemaRef,
    pub(crate) keys: Vec<usize>,
    /// For each key whether NULL equals NULL.
    pub(crate) null_safe: Vec<bool>,
    /// Whether rows are taken away or updated.
    pub(crate) retracting: bool,
    /// The columns of an upsert key that has the columns of `keys` in it. Of rows with the same one the last is there.
    pub(crate) upsert_key: Option<Vec<usize>>,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl JoinSpec {
    /// Whether it matters how many matches the rows of a side have.
    fn counts_matches(&self, side: usize) -> bool {
        match side {
            0 => self.kind.keeps_left() || self.kind.is_semi(),
            _ => self.kind.keeps_right(),
        }
    }
}

impl OperatorFactory for JoinSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let condition =
            self.condition.as_ref().map(|expr| PairCondition::new(expr, &self.both)).transpose()?;
        Ok(Box::new(Join { spec: self.clone(), condition, groups: Groups::default(), state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// How often a row is there, and how many rows of the other side it matches.
pub(super) type Counts = (i64, i64);

/// The rows of a side.
#[derive(Clone, Copy)]
pub(super) enum Rows {
    List(ListState<Row>),
    Map(MapState<Row, Counts>),
    /// By upsert key, with how many matches each has.
    Keyed(MapState<Row, (Row, i64)>),
}

struct State {
    backend: KeyedStateBackend<Row>,
    sides: [Rows; 2],
    /// How far the row of a key has got that has more matches than one call lets out; it is the first of the key that comes again.
    begun: ValueState<Begun>,
    /// How many keys have such a row.
    begun_keys: usize,
}

struct Join {
    spec: JoinSpec,
    condition: Option<PairCondition>,
    groups: Groups,
    state: Option<State>,
}

/// Pairs of rows that are looked at in one call, about, for each row that it may let out: many do not match.
const PAIRS_A_ROW: usize = 8;

/// Where a side of a row of the result comes from: a place, or nowhere.
type Place = Option<u32>;

impl Operator for Join {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let mut open = |index: usize, name: &str| -> Result<Rows, OperatorError> {
            let side = &self.spec.sides[index];
            Ok(if side.upsert_key.is_some() {
                let mut descriptor = MapStateDescriptor::new(name);
                if let Some(ttl) = &side.ttl {
                    descriptor = descriptor.with_ttl(*ttl);
                }
                Rows::Keyed(backend.register_map(descriptor)?)
            } else if side.retracting || self.spec.counts_matches(index) {
                let mut descriptor = MapStateDescriptor::new(name);
                if let Some(ttl) = &side.ttl {
                    descriptor = descriptor.with_ttl(*ttl);
                }
                Rows::Map(backend.register_map(descriptor)?)
            } else {
                let mut descriptor = ListStateDescriptor::new(name);
                if let Some(ttl) = &side.ttl {
                    descriptor = descriptor.with_ttl(*ttl);
                }
                Rows::List(backend.register_list(descriptor)?)
            })
        };
        let sides = [open(0, "left")?, open(1, "right")?];
        let begun = backend.register_value(ValueStateDescriptor::new("begun"))?;
        let mut begun_keys = 0;
        begun.for_each(&mut backend, |_, (), _| begun_keys += 1)?;
        self.state = Some(State { backend, sides, begun, begun_keys });
        Ok(())
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        let (result, done) =
            self.join(input, rows, out.batch_records().saturating_mul(PAIRS_A_ROW).max(1))?;
        if result.records.num_rows() > 0 {
            out.emit(Batch::new(result));
        }
        let left = rows.records.num_rows() - done;
        if left == 0 {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(ArrowBatch {
            records: rows.records.slice(done, left),
            kinds: rows.kinds.as_ref().map(|kinds| kinds[done..].into()),
            timestamps: Vec::new(),
            hashes: Vec::new(),
        }));
        Ok(Progress::More)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.state {
            Some(state) => Ok(context.keyed(&mut state.backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}

impl State {
    /// How far the row of a key has got that has begun.
    fn begun_at(&mut self, (key, hash): (&Row, u64), side: usize) -> Result<Begun, OperatorError> {
        self.backend.set_current_key(key, hash)?;
        let begun = self.begun.get(&mut self.backend)?;
        Ok(begun.filter(|begun| begun.is_right == (side == 1)).unwrap_or_default())
    }

    /// Notes how far the row of the current key has got.
    fn note(&mut self, side: usize, part: Part) -> Result<(), OperatorError> {
        self.backend.set_current_key(&part.key, part.hash)?;
        let had_begun = part.had_begun;
        if part.is_last {
            if had_begun {
                self.begun.clear(&mut self.backend)?;
                self.begun_keys = self.begun_keys.saturating_sub(1);
            }
            return Ok(());
        }
        self.begun.update(&mut self.backend, Begun { is_right: side == 1, ..part.begun })?;
        self.begun_keys += usize::from(!had_begun);
        Ok(())
    }
}

impl Join {
    /// Joins the first rows of a batch of side `side`, looking at about `limit` pairs; answers how many rows are done. A row may
    /// not be done after a call.
    fn join(
        &mut self,
        side: usize,
        batch: &ArrowBatch,
        limit: usize,
    ) -> Result<(ArrowBatch, usize), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let spec = &self.spec;
        let (own, other) = (&spec.sides[side], &spec.sides[1 - side]);
        let columns = batch.records.columns();
        let all = batch.records.num_rows();
        self.groups.find(columns, &own.keys, all);
        let groups = &self.groups;

        // Rows of which a key is NULL match nothing.
        let keys = column_data(columns, &strict(&own.keys, &own.null_safe));
        let key_writer = RowWriter::new(&keys, true);
        let mut asked = vec![true; groups.len()];
        for (row, group) in groups.of_row.iter().enumerate() {
            asked[*group as usize] &= !key_writer.has_null(row);
        }
        let mut others = Others::new(&other.schema, groups.len());
        others.read(&mut state.backend, state.sides[1 - side], groups, &asked, limit)?;
        if state.begun_keys > 0 {
            others.leave_begun(&mut state.backend, state.begun, side, groups)?;
        }

        // Which pairs there are, and how many rows are done in this call.
        let (mut pairs, mut done): ((Vec<u32>, Vec<u32>), usize) = Default::default();
        let mut pairs_of_row: Vec<(usize, usize)> = Vec::with_capacity(all);
        let mut part = None;
        while done < all && (done == 0 || pairs.0.len() < limit) {
            let first = pairs.0.len();
            if !key_writer.has_null(done) {
                let group = groups.of_row[done] as usize;
                let (start, end) = match others.of_group(group) {
                    Some(places) => places,
                    None if done > 0 => break,
                    None => {
                        let key = (&groups.keys[group], groups.hashes[group]);
                        let begun =
                            if state.begun_keys > 0 { state.begun_at(key, side)? } else { Begun::default() };
                        let rows = state.sides[1 - side];
                        let read = others.read_on(&mut state.backend, rows, (group, key), begun, limit)?;
                        part.insert(read).places
                    }
                };
                let row = u32::try_from(done).unwrap_or(u32::MAX);
                pairs.0.extend(std::iter::repeat_n(row, end - start));
                pairs.1.extend((start..end).map(|other| u32::try_from(other).unwrap_or(u32::MAX)));
            }
            pairs_of_row.push((first, pairs.0.len()));
            done += 1;
            if part.is_some() {
                break;
            }
        }
        let others = &mut others.finish()?;

        let matches = match &self.condition {
            Some(condition) if !pairs.0.is_empty() => {
                let (own, other) = ((columns, &pairs.0[..]), (&others.columns[..], &pairs.1[..]));
                condition.matches(if side == 0 { [own, other] } else { [other, own] })?
            }
            _ => None,
        };
        let is_match = |pair: usize| matches.as_ref().is_none_or(|matches| matches.value(pair));

        let mut said = Said::default();
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        let mut changed: HashMap<(u32, Row), Counts> = HashMap::new();
        let mut replaced: HashMap<(u32, Row), Option<(Row, i64)>> = HashMap::new();
        let of_upsert_key = column_data(columns, own.upsert_key.iter().flatten());
        let upsert_key_writer = RowWriter::new(&of_upsert_key, true);
        let mut appended: (Vec<u64>, Vec<&Row>, Vec<Row>) = Default::default();
        let own_counts = spec.counts_matches(side);
        let other_counts = spec.counts_matches(1 - side);
        for (row, (first, last)) in pairs_of_row.into_iter().enumerate() {
            let retract = is_retraction(kind(batch, row));
            let group = groups.of_row[row];
            // Whether there is a row with the same upsert key already: the same rows match it.
            let mut replaces = false;
            let mut upsert_key = Row::default();
            if let Rows::Keyed(map) = state.sides[side] {
                upsert_key = upsert_key_writer.row(row, &mut scratch);
                let is_known = match replaced.get(&(group, upsert_key.clone())) {
                    Some(known) => known.is_some(),
                    None => {
                        let group = group as usize;
                        state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
                        map.contains(&mut state.backend, &upsert_key)?
                    }
                };
                if retract && !is_known {
                    // It has never been there, or has been forgotten.
                    part.iter_mut().for_each(|part| part.is_last = true);
                    continue;
                }
                replaces = is_known && !retract;
            }
            let kind = match (retract, replaces) {
                (true, _) => RowKind::Delete,
                (false, true) => RowKind::UpdateAfter,
                (false, false) => RowKind::Insert,
            };
            let own_place = u32::try_from(row).ok();
            let mut found = part.as_ref().map_or(0, |part| part.begun.found);
            for pair in (first..last).filter(|pair| is_match(*pair)) {
                let place = pairs.1[pair];
                let count = others.count(place);
                found += count;
                let more = if retract { -1 } else { 1 };
                if spec.kind.is_semi() {
                    if side == 0 || replaces {
                        continue;
                    }
                    // A row on the left has got its first match, or has lost its last one.
                    let (before, after) = others.matched(place, more);
                    if (before > 0) != (after > 0) {
                        let appears = (after > 0) == (spec.kind == JoinKind::Semi);
                        let kind = if appears { RowKind::Insert } else { RowKind::Delete };
                        said.say(count, None, Some(place), kind);
                    }
                    continue;
                }
                let had = if other_counts && !replaces { Some(others.matched(place, more)) } else { None };
                if !retract && had.is_some_and(|(before, _)| before == 0) {
                    said.say(count, None, Some(place), RowKind::Delete);
                }
                said.say(count, own_place, Some(place), kind);
                if retract && had.is_some_and(|(_, after)| after == 0) {
                    said.say(count, None, Some(place), RowKind::Insert);
                }
            }
            if let Some(Part { begun, is_last: false, .. }) = &mut part {
                begun.found = found;
                done = 0;
                break;
            }
            match spec.kind {
                JoinKind::Semi if side == 0 && found > 0 => said.say(1, own_place, None, kind),
                JoinKind::Anti if side == 0 && found == 0 => said.say(1, own_place, None, kind),
                JoinKind::Semi | JoinKind::Anti => {}
                _ if own_counts && found == 0 => said.say(1, own_place, None, kind),
                _ => {}
            }
            if key_writer.has_null(row) && !own_counts {
                // It will never match, and nobody asks for it otherwise.
                continue;
            }
            match state.sides[side] {
                Rows::List(_) => {
                    appended.0.push(groups.hashes[group as usize]);
                    appended.1.push(&groups.keys[group as usize]);
                    appended.2.push(writer.row(row, &mut scratch));
                }
                Rows::Map(map) => {
                    let value = writer.row(row, &mut scratch);
                    let counts = match changed.get(&(group, value.clone())) {
                        Some(counts) => *counts,
                        None => {
                            let group = group as usize;
                            state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
                            map.get(&mut state.backend, &value)?.unwrap_or((0, 0))
                        }
                    };
                    let count = counts.0 + if retract { -1 } else { 1 };
                    changed.insert((group, value), (count, if own_counts { found } else { 0 }));
                }
                Rows::Keyed(_) => {
                    let matches = if own_counts { found } else { 0 };
                    let value = (!retract).then(|| (writer.row(row, &mut scratch), matches));
                    replaced.insert((group, upsert_key), value);
                }
            }
        }
        // What has changed of both sides.
        match state.sides[side] {
            Rows::List(list) => {
                let keys = KeyBatch::new(&appended.0, &appended.1)?;
                list.append_batch(&mut state.backend, &keys, &mut appended.2)?;
            }
            Rows::Map(map) => {
                for ((group, value), counts) in changed {
                    let group = group as usize;
                    state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
                    if counts.0 > 0 {
                        map.put(&mut state.backend, value, counts)?;
                    } else {
                        map.remove(&mut state.backend, &value)?;
                    }
                }
            }
            Rows::Keyed(map) => {
                for ((group, key), value) in replaced {
                    let group = group as usize;
                    state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
                    match value {
                        Some(value) => map.put(&mut state.backend, key, value)?,
                        None => map.remove(&mut state.backend, &key)?,
                    }
                }
            }
        }
        for other in others.counted.drain(..).filter(|other| other.changed) {
            state.backend.set_current_key(&groups.keys[other.group], groups.hashes[other.group])?;
            match state.sides[1 - side] {
                Rows::List(_) => {}
                Rows::Map(map) => map.put(&mut state.backend, other.place, (other.count, other.matches))?,
                Rows::Keyed(map) => {
                    if let Some(row) = other.row {
                        map.put(&mut state.backend, other.place, (row, other.matches))?;
                    }
                }
            }
        }
        if let Some(part) = part {
            state.note(side, part)?;
        }
        let result = said.batch(spec, side, &batch.records, &others.columns)?;
        Ok((result, done))
    }
}

fn taken(columns: &[ArrayRef], places: &UInt32Array) -> Result<Vec<ArrayRef>, OperatorError> {
    columns.iter().map(|column| take(column, places, None).map_err(|error| failed(&error))).collect()
}

fn failed(error: &arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}

/// The rows of a result: for each the place of the own and of the other side.
#[derive(Default)]
struct Said {
    own: Vec<Place>,
    other: Vec<Place>,
    kinds: Vec<RowKind>,
}

impl Said {
    fn say(&mut self, times: i64, own: Place, other: Place, kind: RowKind) {
        for _ in 0..times {
            self.own.push(own);
            self.other.push(other);
            self.kinds.push(kind);
        }
    }

    fn batch(
        self,
        spec: &JoinSpec,
        side: usize,
        own: &RecordBatch,
        other: &[ArrayRef],
    ) -> Result<ArrowBatch, OperatorError> {
        let rows = self.kinds.len();
        let part = |columns: &[ArrayRef], places: Vec<Place>| -> Result<Vec<ArrayRef>, OperatorError> {
            if places.iter().all(Option::is_none) {
                return Ok(columns.iter().map(|column| new_null_array(column.data_type(), rows)).collect());
            }
            taken(columns, &UInt32Array::from(places))
        };
        let own_part = part(own.columns(), self.own);
        let columns = if spec.kind.is_semi() {
            // Only the left side comes out, whichever it is.
            if side == 0 { own_part? } else { part(other, self.other)? }
        } else {
            let (own_part, other_part) = (own_part?, part(other, self.other)?);
            if side == 0 { [own_part, other_part].concat() } else { [other_part, own_part].concat() }
        };
        changes(&spec.output, columns, self.kinds)
    }
}
