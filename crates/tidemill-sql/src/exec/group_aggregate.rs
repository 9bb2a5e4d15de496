//! Aggregates of groups without windows: a changelog of one row a group.
//!
//! Of each batch, each group is looked up once, all its rows go in, and the change of its result comes out: nothing when it
//! stayed the same. Distinct values are kept one entry a group and value, and with retractions a count for each; values that
//! functions gather, or must find again when others go, are [entries](super::entries) of their own.

use arrow_array::ArrayRef;
use arrow_data::ArrayData;
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
};

use super::accumulators::{Accumulators, Argument, Functions};
use super::distinct::Distinct;
use super::entries::{Entries, EntryForm};
use super::groups::Groups;
use super::output::{changes, is_retraction, kind, not_open};
use super::own_aggregates;
use super::row::{Row, RowReader, RowWriter};
use crate::functions::aggregate::{AggregateCall, AggregateKind};

/// An aggregation of groups.
#[derive(Clone, Debug)]
pub(crate) struct GroupAggregateSpec {
    pub(crate) input: SchemaRef,
    /// The columns of the groups.
    pub(crate) keys: Vec<usize>,
    pub(crate) calls: Vec<AggregateCall>,
    /// The groups' columns, then the results.
    pub(crate) output: SchemaRef,
    /// Whether rows of the input are taken away or updated.
    pub(crate) retracting: bool,
    /// Whether the old row of an update is wanted.
    pub(crate) update_before: bool,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl OperatorFactory for GroupAggregateSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(GroupAggregate {
            functions: Functions::with_entries(&self.calls, |call| EntryForm::of(call, self.retracting)),
            spec: self.clone(),
            groups: Groups::default(),
            state: None,
        }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct State {
    backend: KeyedStateBackend<Row>,
    accumulators: ValueState<Accumulators>,
    distinct: Distinct,
    entries: Entries,
}

struct GroupAggregate {
    spec: GroupAggregateSpec,
    functions: Functions,
    groups: Groups,
    state: Option<State>,
}

impl Operator for GroupAggregate {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let ttl = |descriptor: ValueStateDescriptor<Accumulators>| match &self.spec.ttl {
            Some(ttl) => descriptor.with_ttl(*ttl),
            None => descriptor,
        };
        let accumulators = backend.register_value(ttl(ValueStateDescriptor::new("accumulators")))?;
        let spec = &self.spec;
        let distinct = Distinct::open(&mut backend, &spec.calls, spec.retracting, spec.ttl.as_ref())?;
        let entries = Entries::open(&mut backend, &spec.calls, spec.retracting, spec.ttl.as_ref())?;
        self.state = Some(State { backend, accumulators, distinct, entries });
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        // No more changes come out than rows went in, twice.
        let changed = self.aggregate(batch.downcast_ref::<ArrowBatch>()?)?;
        out.emit(Batch::new(changed));
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.state {
            Some(state) => Ok(context.keyed(&mut state.backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}

impl GroupAggregate {
    fn aggregate(&mut self, batch: &ArrowBatch) -> Result<ArrowBatch, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        let rows = batch.records.num_rows();
        self.groups.find(columns, &self.spec.keys, rows);
        let arguments = self
            .functions
            .all()
            .iter()
            .map(|function| Argument::new(function, columns))
            .collect::<Result<Vec<_>, _>>()?;
        let (functions, groups) = (&self.functions, &self.groups);
        let of_rows = groups.rows(None);
        let skipped = state.distinct.note(&mut state.backend, batch, &arguments, of_rows.clone())?;
        let gathered_before = gathered(state, functions, groups)?;
        let extremes = state.entries.count(
            &mut state.backend,
            &self.spec.calls,
            batch,
            &arguments,
            &skipped,
            of_rows.clone(),
        )?;

        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        let mut before: Vec<Option<Accumulators>> = Vec::with_capacity(groups.len());
        let mut after: Vec<Accumulators> = Vec::with_capacity(groups.len());
        let mut numbers = (Vec::new(), Vec::new());
        let entries = &state.entries;
        let update =
            |slots: tidemill_state::Slots<'_>, values: &mut [Accumulators]| -> Result<(), OperatorError> {
                for slot in slots.slots {
                    let known = &values[*slot as usize];
                    before.push((functions.rows(known) != 0).then(|| known.clone()));
                }
                let place_of = |group: usize| slots.slots[group] as usize;
                for row in 0..rows {
                    let accumulators = &mut values[place_of(groups.of_row[row] as usize)];
                    let retract = is_retraction(kind(batch, row));
                    functions.add_rows(accumulators, if retract { -1 } else { 1 });
                    for (index, function) in functions.all().iter().enumerate() {
                        let is_skipped = skipped[index].as_ref().is_some_and(|skipped| skipped[row]);
                        if function.is_plain() && !is_skipped {
                            function.accumulate(&mut accumulators.0, &arguments[index], row, retract)?;
                        }
                    }
                }
                own_aggregates::update(
                    functions,
                    batch,
                    &arguments,
                    &skipped,
                    of_rows.clone(),
                    values,
                    groups.len(),
                    place_of,
                )?;
                numbers = entries.number(
                    functions,
                    batch,
                    &arguments,
                    &skipped,
                    of_rows.clone(),
                    &extremes,
                    values,
                    |group| place_of(group as usize),
                );
                after.extend(slots.slots.iter().map(|slot| values[*slot as usize].clone()));
                Ok(())
            };
        state.accumulators.update_batch(&mut state.backend, &keys, |_| functions.empty(), update)??;
        let (numbers, mut lost) = numbers;
        lost.extend(entries.apply(
            &mut state.backend,
            functions,
            batch,
            &arguments,
            &skipped,
            groups.rows(None),
            &numbers,
            &after,
        )?);
        found_again(state, functions, groups, &lost, &mut after)?;

        // Groups of which nothing is left.
        let mut gone = (Vec::new(), Vec::new());
        for (group, accumulators) in after.iter().enumerate() {
            if functions.rows(accumulators) <= 0 {
                gone.0.push(groups.hashes[group]);
                gone.1.push(groups.keys[group].clone());
            }
        }
        if !gone.0.is_empty() {
            state.accumulators.clear_batch(&mut state.backend, &KeyBatch::new(&gone.0, &gone.1)?)?;
        }
        let gathered_after = gathered(state, functions, groups)?;
        for (before, gathered) in before.iter_mut().zip(gathered_before) {
            if let Some(before) = before {
                functions.take_gathered(before, gathered);
            }
        }
        for (after, gathered) in after.iter_mut().zip(gathered_after) {
            functions.take_gathered(after, gathered);
        }
        self.changed(&before, &after)
    }

    /// The changes of the results.
    fn changed(
        &self,
        before: &[Option<Accumulators>],
        after: &[Accumulators],
    ) -> Result<ArrowBatch, OperatorError> {
        let unchanged = self.unchanged(before, after)?;
        let types = self.spec.keys.iter().map(|key| self.spec.input.field(*key).data_type());
        let mut keys = RowReader::of_types(types);
        let mut results = self.functions.results();
        let mut kinds = Vec::new();
        for (group, (old, new)) in before.iter().zip(after).enumerate() {
            let mut say = |accumulators: &Accumulators, kind: RowKind| -> Result<(), OperatorError> {
                keys.push(self.groups.keys[group].bytes())?;
                results.push(&self.functions, accumulators)?;
                kinds.push(kind);
                Ok(())
            };
            // Without keys too: as in Flink, the aggregate of no rows is taken away.
            let is_there = self.functions.rows(new) > 0;
            match old {
                None if is_there => say(new, RowKind::Insert)?,
                None => {}
                Some(old) if !is_there => say(old, RowKind::Delete)?,
                Some(_) if unchanged[group] => {}
                Some(old) => {
                    if self.spec.update_before {
                        say(old, RowKind::UpdateBefore)?;
                    }
                    say(new, RowKind::UpdateAfter)?;
                }
            }
        }
        let mut columns: Vec<ArrayRef> = keys.finish()?;
        columns.extend(results.finish()?);
        changes(&self.spec.output, columns, kinds)
    }

    /// Of each group whether its results have stayed the same.
    fn unchanged(
        &self,
        before: &[Option<Accumulators>],
        after: &[Accumulators],
    ) -> Result<Vec<bool>, OperatorError> {
        let all = self.functions.all();
        let mut unchanged = vec![false; after.len()];
        let mut results = self.functions.results();
        let mut compared = Vec::new();
        for (group, (old, new)) in before.iter().zip(after).enumerate() {
            let Some(old) = old else { continue };
            // The number of rows is no result.
            if all.is_empty() || old.0[1..] == new.0[1..] {
                unchanged[group] = true;
                continue;
            }
            // A count is its own result, and most changes show there.
            let mut counts = all.iter().filter(|function| function.call.kind == AggregateKind::Count);
            if counts.any(|function| old.0[function.at] != new.0[function.at]) {
                continue;
            }
            results.push(&self.functions, old)?;
            results.push(&self.functions, new)?;
            compared.push(group);
        }
        if !compared.is_empty() {
            let columns = results.finish()?;
            let data: Vec<ArrayData> = columns.iter().map(arrow_array::Array::to_data).collect();
            let writer = RowWriter::new(&data, false);
            let (mut one, mut two) = (Vec::new(), Vec::new());
            for (index, group) in compared.into_iter().enumerate() {
                one.clear();
                two.clear();
                writer.write(2 * index, &mut one);
                writer.write(2 * index + 1, &mut two);
                unchanged[group] = one == two;
            }
        }
        Ok(unchanged)
    }
}

/// What functions have gathered of each group of a batch; nothing when none gathers.
fn gathered(
    state: &mut State,
    functions: &Functions,
    groups: &Groups,
) -> Result<Vec<Accumulators>, OperatorError> {
    if !state.entries.gathers() {
        return Ok(Vec::new());
    }
    let mut all = Vec::with_capacity(groups.len());
    for group in 0..groups.len() {
        state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
        let mut found = functions.empty();
        state.entries.fill(&mut state.backend, functions, &[0], &mut found)?;
        all.push(found);
    }
    Ok(all)
}

/// Looks for the values of functions whose best one has gone, and keeps what it finds.
fn found_again(
    state: &mut State,
    functions: &Functions,
    groups: &Groups,
    lost: &[(u32, usize)],
    after: &mut [Accumulators],
) -> Result<(), OperatorError> {
    if lost.is_empty() {
        return Ok(());
    }
    let key_of = |group: u32| (&groups.keys[group as usize], groups.hashes[group as usize]);
    let found = state.entries.find(&mut state.backend, functions, lost, key_of)?;
    let (mut hashes, mut keys, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for found in &found {
        let group = found.group as usize;
        functions.set(&mut after[group], found.call, &found.values);
        if functions.rows(&after[group]) > 0 || groups.keys[group].bytes().is_empty() {
            hashes.push(groups.hashes[group]);
            keys.push(groups.keys[group].clone());
            places.push(group);
        }
    }
    let keys = KeyBatch::new(&hashes, &keys)?;
    let update = |slots: tidemill_state::Slots<'_>, values: &mut [Accumulators]| {
        for (slot, group) in slots.slots.iter().zip(&places) {
            values[*slot as usize].clone_from(&after[*group]);
        }
    };
    state.accumulators.update_batch(&mut state.backend, &keys, |_| functions.empty(), update)?;
    Ok(())
}
