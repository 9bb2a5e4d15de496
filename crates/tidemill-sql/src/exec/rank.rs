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
        let mut said = Said::new(&self.spec);
        match kept {
            Kept::First(rows) => keep_first(&self.spec, &self.groups, backend, *rows, batch, &mut said)?,
            Kept::All(rows) => keep_all(&self.spec, &self.groups, backend, *rows, batch, &mut said)?,
        }
        said.finish()
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
    said: &mut Said<'_>,
) -> Result<(), OperatorError> {
    let columns = batch.records.columns();
    let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
    let writer = RowWriter::new(&data, false);
    let last = last(spec);
    let (mut scratch, mut sort_key) = (Vec::new(), Vec::new());
    // Most rows are not among the first ones, and most partitions stay as they are.
    let mut before: Vec<Option<Ordered>> = vec![None; groups.len()];
    let mut changed: Vec<usize> = Vec::new();
    let update = |slots: tidemill_state::Slots<'_>, values: &mut [Ordered]| -> Result<(), OperatorError> {
        for row in 0..batch.records.num_rows() {
            let group = groups.of_row[row] as usize;
            let ordered = &mut values[slots.slots[group] as usize];
            sort_key.clear();
            write_sort_key(columns, &spec.order, row, &mut sort_key)?;
            let place = if spec.newest_first {
                ordered.partition_point(|(key, _)| key.bytes() < &sort_key[..])
            } else {
                ordered.partition_point(|(key, _)| key.bytes() <= &sort_key[..])
            };
            if place >= last {
                continue;
            }
            if before[group].is_none() {
                // Of a single place the row before is not needed any more.
                before[group] = Some(if last == 1 { std::mem::take(ordered) } else { ordered.clone() });
                changed.push(group);
            }
            ordered.insert(place, (Row::of(&sort_key), writer.row(row, &mut scratch)));
            ordered.truncate(last);
        }
        for group in changed {
            let after = &values[slots.slots[group] as usize];
            said.change(before[group].as_deref().unwrap_or_default(), after)?;
        }
        Ok(())
    };
    let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
    state.update_batch(backend, &keys, |_| Ordered::new(), update)?
}

/// Adds rows to their partitions, and takes away those that go.
fn keep_all(
    spec: &RankSpec,
    groups: &Groups,
    backend: &mut KeyedStateBackend<Row>,
    state: MapState<Row, Vec<Row>>,
    batch: &ArrowBatch,
    said: &mut Said<'_>,
) -> Result<(), OperatorError> {
    let columns = batch.records.columns();
    let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
    let writer = RowWriter::new(&data, false);
    let last = last(spec);
    let (mut scratch, mut sort_key) = (Vec::new(), Vec::new());
    let mut of_groups: Vec<Vec<usize>> = vec![Vec::new(); groups.len()];
    groups.of_row.iter().enumerate().for_each(|(row, group)| of_groups[*group as usize].push(row));
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
        said.change(&before, &first_rows(backend, state, last)?)?;
    }
    Ok(())
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

/// What changes among the first rows.
struct Said<'a> {
    spec: &'a RankSpec,
    rows: RowReader,
    places: Vec<i64>,
    kinds: Vec<RowKind>,
}

impl<'a> Said<'a> {
    fn new(spec: &'a RankSpec) -> Self {
        Self { spec, rows: RowReader::new(&spec.input), places: Vec::new(), kinds: Vec::new() }
    }

    fn say(&mut self, row: &Row, place: u64, kind: RowKind) -> Result<(), OperatorError> {
        self.rows.push(row.bytes())?;
        self.places.push(i64::try_from(place).unwrap_or(i64::MAX));
        self.kinds.push(kind);
        Ok(())
    }

    /// Says how the first rows of a partition differ from those before.
    fn change(&mut self, before: &[(Row, Row)], after: &[(Row, Row)]) -> Result<(), OperatorError> {
        let spec = self.spec;
        let first = usize::try_from(spec.first.saturating_sub(1)).unwrap_or(usize::MAX);
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
                            self.say(&old.1, place, RowKind::UpdateBefore)?;
                        }
                        self.say(&new.1, place, RowKind::UpdateAfter)?;
                    }
                    (Some(old), None) => self.say(&old.1, place, RowKind::Delete)?,
                    (None, Some(new)) => self.say(&new.1, place, RowKind::Insert)?,
                    (None, None) => {}
                }
            }
            return Ok(());
        }
        let mut counts: BTreeMap<&Row, i64> = BTreeMap::new();
        after.iter().for_each(|(_, row)| *counts.entry(row).or_default() += 1);
        before.iter().for_each(|(_, row)| *counts.entry(row).or_default() -= 1);
        // What goes first, so that nobody sees more rows than there are.
        for (row, count) in &counts {
            for _ in *count..0 {
                self.say(row, 0, RowKind::Delete)?;
            }
        }
        for (_, row) in after {
            if let Some(count) = counts.get_mut(row).filter(|count| **count > 0) {
                *count -= 1;
                self.say(row, 0, RowKind::Insert)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ArrowBatch, OperatorError> {
        let mut columns: Vec<ArrayRef> = self.rows.finish()?;
        if self.spec.with_number {
            columns.push(Arc::new(Int64Array::from(self.places)));
        }
        changes(&self.spec.output, columns, self.kinds)
    }
}
