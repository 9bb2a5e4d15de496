//! The first rows of each partition by some order, and the change of them that each batch makes.
//!
//! Of rows that stay the first ones are kept, and nothing else. Of rows that may be taken away again all are kept, in a map by their
//! order, of which each batch reads the first entries and those that it changes.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::SchemaRef;
use std::sync::Arc;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, MapState, MapStateDescriptor, StateTtlConfig, SubtaskSnapshot, ValueState,
    ValueStateDescriptor,
};

use super::groups::Groups;
use super::output::{changes, is_retraction, kind, not_open};
use super::row::{Row, RowReader, RowWriter};
use super::sort_key::write_sort_key;
use crate::plan::SortKey;

/// The first rows of each partition.
#[derive(Clone, Debug)]
pub(crate) struct RankSpec {
    pub(crate) input: SchemaRef,
    pub(crate) partition: Vec<usize>,
    pub(crate) order: Vec<SortKey>,
    /// The places that come out, from one.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Whether the place is a column behind those of the input.
    pub(crate) with_number: bool,
    /// Whether rows of the input are taken away or updated: then all are kept, not only the first.
    pub(crate) retracting: bool,
    /// Of rows of equal order the newest comes first.
    pub(crate) newest_first: bool,
    pub(crate) output: SchemaRef,
    pub(crate) update_before: bool,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl OperatorFactory for RankSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Rank { spec: self.clone(), groups: Groups::default(), state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// The rows of a partition in order, each with its key of the order.
type Ordered = Vec<(Row, Row)>;

/// What is kept of each partition.
#[derive(Clone, Copy)]
enum Kept {
    /// The first rows.
    First(ValueState<Ordered>),
    /// All rows, by their keys of the order; those of equal order in theirs.
    All(MapState<Row, Vec<Row>>),
}

struct Rank {
    spec: RankSpec,
    groups: Groups,
    state: Option<(KeyedStateBackend<Row>, Kept)>,
}

/// The first rows of a partition, before and after a batch.
type Change = (Ordered, Ordered);

impl Operator for Rank {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let kept = if self.spec.retracting {
            let descriptor = MapStateDescriptor::new("all-rows");
            Kept::All(backend.register_map(match &self.spec.ttl {
                Some(ttl) => descriptor.with_ttl(*ttl),
                None => descriptor,
            })?)
        } else {
            let descriptor = ValueStateDescriptor::new("rows");
            Kept::First(backend.register_value(match &self.spec.ttl {
                Some(ttl) => descriptor.with_ttl(*ttl),
                None => descriptor,
            })?)
        };
        self.state = Some((backend, kept));
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let changed = self.rank(batch.downcast_ref::<ArrowBatch>()?)?;
        out.emit(Batch::new(changed));
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.state {
            Some((backend, _)) => Ok(context.keyed(backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}

impl Rank {
    fn rank(&mut self, batch: &ArrowBatch) -> Result<ArrowBatch, OperatorError> {
        let Some((backend, kept)) = &mut self.state else { return Err(not_open()) };
        self.groups.find(batch.records.columns(), &self.spec.partition, batch.records.num_rows());
        let changes_of = match kept {
            Kept::First(rows) => keep_first(&self.spec, &self.groups, backend, *rows, batch)?,
            Kept::All(rows) => keep_all(&self.spec, &self.groups, backend, *rows, batch)?,
        };
        self.say(changes_of)
    }

    fn say(&self, changes_of: Vec<Change>) -> Result<ArrowBatch, OperatorError> {
        let spec = &self.spec;
        let first = usize::try_from(spec.first.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut said = Said { rows: RowReader::new(&spec.input), places: Vec::new(), kinds: Vec::new() };
        for (before, after) in changes_of {
            let before = before.get(first.min(before.len())..).unwrap_or_default();
            let after = after.get(first.min(after.len())..).unwrap_or_default();
            // Of a single place a row replaces the one before.
            if spec.with_number || spec.first == spec.last {
                for index in 0..before.len().max(after.len()) {
                    let place = spec.first + index as u64;
                    match (before.get(index), after.get(index)) {
                        (Some(old), Some(new)) if old.1 == new.1 => {}
                        (Some(old), Some(new)) => {
                            if spec.update_before {
                                said.say(&old.1, place, RowKind::UpdateBefore)?;
                            }
                            said.say(&new.1, place, RowKind::UpdateAfter)?;
                        }
                        (Some(old), None) => said.say(&old.1, place, RowKind::Delete)?,
                        (None, Some(new)) => said.say(&new.1, place, RowKind::Insert)?,
                        (None, None) => {}
                    }
                }
                continue;
            }
            let mut counts: BTreeMap<&Row, i64> = BTreeMap::new();
            after.iter().for_each(|(_, row)| *counts.entry(row).or_default() += 1);
            before.iter().for_each(|(_, row)| *counts.entry(row).or_default() -= 1);
            // What goes first, so that nobody sees more rows than there are.
            for (row, count) in &counts {
                for _ in *count..0 {
                    said.say(row, 0, RowKind::Delete)?;
                }
            }
            for (_, row) in after {
                if let Some(count) = counts.get_mut(row).filter(|count| **count > 0) {
                    *count -= 1;
                    said.say(row, 0, RowKind::Insert)?;
                }
            }
        }
        let mut columns: Vec<ArrayRef> = said.rows.finish()?;
        if spec.with_number {
            columns.push(Arc::new(Int64Array::from(said.places)));
        }
        changes(&spec.output, columns, said.kinds)
    }
}

/// How many rows are the first ones.
fn last(spec: &RankSpec) -> usize {
    usize::try_from(spec.last).unwrap_or(usize::MAX)
}

/// Adds rows that stay to those that are kept of their partitions, as far as they are among the first.
fn keep_first(
    spec: &RankSpec,
    groups: &Groups,
    backend: &mut KeyedStateBackend<Row>,
    state: ValueState<Ordered>,
    batch: &ArrowBatch,
) -> Result<Vec<Change>, OperatorError> {
    let columns = batch.records.columns();
    let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
    let writer = RowWriter::new(&data, false);
    let last = last(spec);
    let (mut scratch, mut sort_key) = (Vec::new(), Vec::new());
    let mut changes_of: Vec<Change> = Vec::with_capacity(groups.len());
    let update = |slots: tidemill_state::Slots<'_>, values: &mut [Ordered]| -> Result<(), OperatorError> {
        for slot in slots.slots {
            changes_of.push((values[*slot as usize].clone(), Vec::new()));
        }
        for row in 0..batch.records.num_rows() {
            let ordered = &mut values[slots.slots[groups.of_row[row] as usize] as usize];
            sort_key.clear();
            write_sort_key(columns, &spec.order, row, &mut sort_key)?;
            let place = if spec.newest_first {
                ordered.partition_point(|(key, _)| key.bytes() < &sort_key[..])
            } else {
                ordered.partition_point(|(key, _)| key.bytes() <= &sort_key[..])
            };
            if place < last {
                ordered.insert(place, (Row::of(&sort_key), writer.row(row, &mut scratch)));
                ordered.truncate(last);
            }
        }
        for (group, slot) in slots.slots.iter().enumerate() {
            changes_of[group].1.clone_from(&values[*slot as usize]);
        }
        Ok(())
    };
    let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
    state.update_batch(backend, &keys, |_| Ordered::new(), update)??;
    Ok(changes_of)
}

/// Adds rows to their partitions, and takes away those that go.
fn keep_all(
    spec: &RankSpec,
    groups: &Groups,
    backend: &mut KeyedStateBackend<Row>,
    state: MapState<Row, Vec<Row>>,
    batch: &ArrowBatch,
) -> Result<Vec<Change>, OperatorError> {
    let columns = batch.records.columns();
    let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
    let writer = RowWriter::new(&data, false);
    let last = last(spec);
    let (mut scratch, mut sort_key) = (Vec::new(), Vec::new());
    let mut of_groups: Vec<Vec<usize>> = vec![Vec::new(); groups.len()];
    groups.of_row.iter().enumerate().for_each(|(row, group)| of_groups[*group as usize].push(row));
    let mut changes_of: Vec<Change> = Vec::with_capacity(groups.len());
    for (group, rows) in of_groups.into_iter().enumerate() {
        backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
        let before = first_rows(backend, state, last)?;
        for row in rows {
            sort_key.clear();
            write_sort_key(columns, &spec.order, row, &mut sort_key)?;
            let key = Row::of(&sort_key);
            let value = writer.row(row, &mut scratch);
            if !is_retraction(kind(batch, row)) {
                let place = |equal: &Vec<Row>| if spec.newest_first { 0 } else { equal.len() };
                state.modify(backend, key, Vec::new, |equal| equal.insert(place(equal), value))?;
                continue;
            }
            let Some(mut equal) = state.get(backend, &key)? else { continue };
            if let Some(place) = equal.iter().position(|known| *known == value) {
                equal.remove(place);
                if equal.is_empty() {
                    state.remove(backend, &key)?;
                } else {
                    state.put(backend, key, equal)?;
                }
            }
        }
        changes_of.push((before, first_rows(backend, state, last)?));
    }
    Ok(changes_of)
}

/// The first rows of the current partition.
fn first_rows(
    backend: &mut KeyedStateBackend<Row>,
    state: MapState<Row, Vec<Row>>,
    last: usize,
) -> Result<Ordered, OperatorError> {
    let mut first = Ordered::new();
    state.scan(backend, .., |key, equal| {
        let left = last - first.len();
        first.extend(equal.iter().take(left).map(|row| (key.clone(), row.clone())));
        first.len() < last
    })?;
    Ok(first)
}

struct Said {
    rows: RowReader,
    places: Vec<i64>,
    kinds: Vec<RowKind>,
}

impl Said {
    fn say(&mut self, row: &Row, place: u64, kind: RowKind) -> Result<(), OperatorError> {
        self.rows.push(row.bytes())?;
        self.places.push(i64::try_from(place).unwrap_or(i64::MAX));
        self.kinds.push(kind);
        Ok(())
    }
}
