//! The first rows of each partition by some order, and the change of them that each batch makes.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::SchemaRef;
use std::sync::Arc;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
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

struct Rank {
    spec: RankSpec,
    groups: Groups,
    state: Option<(KeyedStateBackend<Row>, ValueState<Ordered>)>,
}

impl Operator for Rank {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let mut descriptor = ValueStateDescriptor::new("rows");
        if let Some(ttl) = &self.spec.ttl {
            descriptor = descriptor.with_ttl(*ttl);
        }
        let rows = backend.register_value(descriptor)?;
        self.state = Some((backend, rows));
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
        let Some((backend, state)) = &mut self.state else { return Err(not_open()) };
        let spec = &self.spec;
        let columns = batch.records.columns();
        let rows = batch.records.num_rows();
        self.groups.find(columns, &spec.partition, rows);
        let groups = &self.groups;
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        let last = usize::try_from(spec.last).unwrap_or(usize::MAX);
        let mut changes_of: Vec<(Ordered, Ordered)> = Vec::with_capacity(groups.len());
        let mut empty: Vec<usize> = Vec::new();
        let (mut scratch, mut sort_key) = (Vec::new(), Vec::new());
        let update = |slots: tidemill_state::Slots<'_>,
                      values: &mut [Ordered]|
         -> Result<(), OperatorError> {
            for slot in slots.slots {
                let known = &values[*slot as usize];
                changes_of.push((known.iter().take(last).cloned().collect(), Vec::new()));
            }
            for row in 0..rows {
                let ordered = &mut values[slots.slots[groups.of_row[row] as usize] as usize];
                sort_key.clear();
                write_sort_key(columns, &spec.order, row, &mut sort_key)?;
                if is_retraction(kind(batch, row)) {
                    let gone = writer.row(row, &mut scratch);
                    let from = ordered.partition_point(|(key, _)| key.bytes() < &sort_key[..]);
                    let equal = ordered[from..].iter().take_while(|(key, _)| key.bytes() == &sort_key[..]);
                    if let Some(found) = equal.into_iter().position(|(_, row)| *row == gone) {
                        ordered.remove(from + found);
                    }
                    continue;
                }
                let place = if spec.newest_first {
                    ordered.partition_point(|(key, _)| key.bytes() < &sort_key[..])
                } else {
                    ordered.partition_point(|(key, _)| key.bytes() <= &sort_key[..])
                };
                if !spec.retracting && place >= last {
                    continue;
                }
                ordered.insert(place, (Row::of(&sort_key), writer.row(row, &mut scratch)));
                if !spec.retracting {
                    ordered.truncate(last);
                }
            }
            for (group, slot) in slots.slots.iter().enumerate() {
                let known = &values[*slot as usize];
                changes_of[group].1 = known.iter().take(last).cloned().collect();
                if known.is_empty() {
                    empty.push(group);
                }
            }
            Ok(())
        };
        state.update_batch(backend, &keys, |_| Ordered::new(), update)??;
        for group in empty {
            backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            state.clear(backend)?;
        }
        self.say(changes_of)
    }

    fn say(&self, changes_of: Vec<(Ordered, Ordered)>) -> Result<ArrowBatch, OperatorError> {
        let spec = &self.spec;
        let first = usize::try_from(spec.first.saturating_sub(1)).unwrap_or(usize::MAX);
        let mut said = Said { rows: RowReader::new(&spec.input), places: Vec::new(), kinds: Vec::new() };
        for (before, after) in changes_of {
            let before = before.get(first.min(before.len())..).unwrap_or_default();
            let after = after.get(first.min(after.len())..).unwrap_or_default();
            if spec.with_number {
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
