//! Functions of `OVER` over rows in an order that is not the order of time, or that are updated and taken away again: all rows are
//! kept in their order, and a change of some brings the new results of those whose frames they are in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{KeyedStateBackend, MapState, MapStateDescriptor, StateTtlConfig, SubtaskSnapshot};

use super::edge::taken;
use super::groups::Groups;
use super::output::{changes, is_retraction, kind, not_open};
use super::over_frame::{Entry, OverCalls, OverFrame, failed};
use super::row::{Row, RowReader, RowWriter};
use super::sort_key::write_sort_key;
use crate::plan::{Frame, OverCall, SortKey};

/// Functions over the rows around each row, in any order.
#[derive(Clone, Debug)]
pub(crate) struct SortedOverSpec {
    pub(crate) input: SchemaRef,
    pub(crate) partition: Vec<usize>,
    pub(crate) order: Vec<SortKey>,
    pub(crate) frame: Frame,
    pub(crate) calls: Vec<OverCall>,
    /// The columns of the input, then a result of each function.
    pub(crate) output: SchemaRef,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl OperatorFactory for SortedOverSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let frames = OverFrame::new(OverCalls::new(&self.calls, &self.input), &self.frame);
        Ok(Box::new(SortedOver { spec: self.clone(), frames, groups: Groups::default(), state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// Rows by their keys of the order; those of equal order as they came.
type Ordered = MapState<Row, Vec<Row>>;

struct SortedOver {
    spec: SortedOverSpec,
    frames: OverFrame,
    groups: Groups,
    state: Option<(KeyedStateBackend<Row>, Ordered)>,
}

/// Rows, old and new, of which one call computes the results, about: a partition is not divided.
const ROWS_A_CALL: usize = 1 << 15;

impl Operator for SortedOver {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let mut descriptor = MapStateDescriptor::new("rows");
        if let Some(ttl) = &self.spec.ttl {
            descriptor = descriptor.with_ttl(*ttl);
        }
        let rows = backend.register_map(descriptor)?;
        self.state = Some((backend, rows));
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let (changed, rest) = self.change(batch)?;
        if changed.records.num_rows() > 0 {
            out.emit(Batch::new(changed));
        }
        if rest.is_empty() {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(taken(batch, &rest).map_err(|error| failed(&error))?));
        Ok(Progress::More)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.state {
            Some((backend, _)) => Ok(context.keyed(backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}

/// Partitions as they were and as they are, all rows of which are among some columns.
struct Touched {
    rows: RowReader,
    /// The bytes of each of the rows.
    bytes: Vec<Row>,
    /// Of each partition the rows that there were, then those that there are, in order.
    entries: Vec<Entry>,
    partitions: Vec<Partition>,
}

/// Where a partition is among those that are touched.
struct Partition {
    /// Its first row, old or new.
    rows: usize,
    /// Its first old entry, the first new one, and the one behind the last.
    entries: [usize; 3],
}

impl SortedOver {
    /// Takes the rows of a batch in, but for those that are left for another call; answers what changes, and which are left.
    fn change(&mut self, batch: &ArrowBatch) -> Result<(ArrowBatch, Vec<u32>), OperatorError> {
        let Some((backend, state)) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        self.groups.find(columns, &self.spec.partition, batch.records.num_rows());
        let groups = &self.groups;
        let mut of_groups: Vec<Vec<u32>> = vec![Vec::new(); groups.len()];
        (0u32..).zip(&groups.of_row).for_each(|(row, group)| of_groups[*group as usize].push(row));

        let mut touched = Touched {
            rows: RowReader::new(&self.spec.input),
            bytes: Vec::new(),
            entries: Vec::new(),
            partitions: Vec::new(),
        };
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut rest = Vec::new();
        for (group, rows) in of_groups.into_iter().enumerate() {
            if touched.entries.len() >= ROWS_A_CALL {
                rest.extend(rows);
                continue;
            }
            backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            touched.partition(backend, *state, &self.spec.order, batch, &writer, &rows)?;
        }
        rest.sort_unstable();
        Ok((touched.changes(&self.frames, &self.spec.output)?, rest))
    }
}

impl Touched {
    /// Reads the current partition, and changes it by `rows` of `batch`.
    fn partition(
        &mut self,
        backend: &mut KeyedStateBackend<Row>,
        state: Ordered,
        order: &[SortKey],
        batch: &ArrowBatch,
        writer: &RowWriter<'_>,
        rows: &[u32],
    ) -> Result<(), OperatorError> {
        let (first_row, first_entry) = (self.bytes.len(), self.entries.len());
        let mut ordered: BTreeMap<Row, Vec<u32>> = BTreeMap::new();
        let mut damage = None;
        state.scan(backend, .., |key, equal| {
            let places: Result<Vec<u32>, _> = equal.iter().map(|row| self.push(row.clone())).collect();
            match places {
                Ok(places) => ordered.insert(key.clone(), places),
                Err(error) => damage.replace(error).map(|_| Vec::new()),
            };
            damage.is_none()
        })?;
        if let Some(error) = damage {
            return Err(error);
        }
        let group = u32::try_from(2 * self.partitions.len()).unwrap_or(u32::MAX);
        self.enter(group, &ordered);
        let new_entries = self.entries.len();

        let (mut scratch, mut sort_key) = (Vec::new(), Vec::new());
        let mut changed: BTreeSet<Row> = BTreeSet::new();
        for row in rows.iter().map(|row| *row as usize) {
            sort_key.clear();
            write_sort_key(batch.records.columns(), order, row, &mut sort_key)?;
            let key = Row::of(&sort_key);
            let value = writer.row(row, &mut scratch);
            if is_retraction(kind(batch, row)) {
                let Some(equal) = ordered.get_mut(&key) else { continue };
                let Some(at) = equal.iter().position(|place| self.bytes[*place as usize] == value) else {
                    continue;
                };
                equal.remove(at);
            } else {
                let place = self.push(value)?;
                ordered.entry(key.clone()).or_default().push(place);
            }
            changed.insert(key);
        }
        for key in changed {
            let equal = ordered.get(&key).map(Vec::as_slice).unwrap_or_default();
            if equal.is_empty() {
                state.remove(backend, &key)?;
            } else {
                let equal = equal.iter().map(|place| self.bytes[*place as usize].clone()).collect();
                state.put(backend, key, equal)?;
            }
        }
        self.enter(group + 1, &ordered);
        let entries = [first_entry, new_entries, self.entries.len()];
        self.partitions.push(Partition { rows: first_row, entries });
        Ok(())
    }

    /// Adds a row; answers its place.
    fn push(&mut self, row: Row) -> Result<u32, OperatorError> {
        self.rows.push(row.bytes())?;
        self.bytes.push(row);
        Ok(u32::try_from(self.bytes.len() - 1).unwrap_or(u32::MAX))
    }

    /// Adds rows in order, those of equal order at equal times.
    fn enter(&mut self, group: u32, ordered: &BTreeMap<Row, Vec<u32>>) {
        for (time, equal) in (0..).zip(ordered.values()) {
            self.entries.extend(equal.iter().map(|row| Entry { group, row: *row, time }));
        }
    }

    /// What changes: rows that went, those that have other results, those that came.
    fn changes(mut self, frames: &OverFrame, output: &SchemaRef) -> Result<ArrowBatch, OperatorError> {
        let columns = self.rows.finish()?;
        let results = frames.of_all(&columns, &self.entries, 2 * self.partitions.len())?;
        let data: Vec<_> = results.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let (mut said, mut kinds): (Vec<u32>, Vec<RowKind>) = Default::default();
        let mut say = |entry: usize, kind: RowKind| {
            said.push(u32::try_from(entry).unwrap_or(u32::MAX));
            kinds.push(kind);
        };
        for (index, partition) in self.partitions.iter().enumerate() {
            let [first, new, end] = partition.entries;
            let rows_end = self.partitions.get(index + 1).map_or(self.bytes.len(), |next| next.rows);
            let place = |entry: usize| self.entries[entry].row as usize - partition.rows;
            // The old entry of each row.
            let mut old: Vec<Option<usize>> = vec![None; rows_end - partition.rows];
            (first..new).for_each(|entry| old[place(entry)] = Some(entry));
            let (mut updated, mut come) = (Vec::new(), Vec::new());
            for entry in new..end {
                let Some(before) = old[place(entry)].take() else {
                    come.push(entry);
                    continue;
                };
                one.clear();
                other.clear();
                writer.write(before, &mut one);
                writer.write(entry, &mut other);
                if one != other {
                    updated.push((before, entry));
                }
            }
            let mut gone: Vec<usize> = old.into_iter().flatten().collect();
            cancel(&mut gone, &mut come, |entry| {
                let mut of_entry = Vec::new();
                writer.write(entry, &mut of_entry);
                (&self.bytes[self.entries[entry].row as usize], of_entry)
            });
            gone.into_iter().for_each(|entry| say(entry, RowKind::Delete));
            for (before, after) in updated {
                say(before, RowKind::UpdateBefore);
                say(after, RowKind::UpdateAfter);
            }
            come.into_iter().for_each(|entry| say(entry, RowKind::Insert));
        }
        let rows = UInt32Array::from_iter_values(said.iter().map(|entry| self.entries[*entry as usize].row));
        let entries = UInt32Array::from(said);
        let of_rows = columns.iter().map(|column| take(column, &rows, None));
        let of_results = results.iter().map(|column| take(column, &entries, None));
        let all: Result<Vec<ArrayRef>, _> = of_rows.chain(of_results).collect();
        changes(output, all.map_err(|error| failed(&error))?, kinds)
    }
}

/// Leaves out what went and came back the same.
fn cancel<T: Eq + std::hash::Hash>(gone: &mut Vec<usize>, come: &mut Vec<usize>, what: impl Fn(usize) -> T) {
    if gone.is_empty() || come.is_empty() {
        return;
    }
    let mut by_what: HashMap<T, Vec<usize>> = HashMap::new();
    come.iter().for_each(|entry| by_what.entry(what(*entry)).or_default().push(*entry));
    let mut back = BTreeSet::new();
    gone.retain(|entry| {
        let same = by_what.get_mut(&what(*entry)).and_then(Vec::pop);
        back.extend(same);
        same.is_none()
    });
    come.retain(|entry| !back.contains(entry));
}
