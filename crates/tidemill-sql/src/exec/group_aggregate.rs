//! Aggregates of groups without windows: a changelog of one row a group.
//!
//! Of each batch, each group is looked up once, all its rows go in, and the change of its result comes out: nothing when it
//! stayed the same. Distinct values are kept one entry a group and value, and with retractions a count for each; values that
//! functions gather, or must find again when others go, are [entries](super::entries) of their own.
//!
//! With mini-batches, rows wait in a [bundle](super::bundle) first, which is aggregated as one batch.

use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
};

use super::accumulators::{Accumulators, Argument, Functions};
use super::bundle::{Dealt, RowBundle, nothing_of};
use super::distinct::Distinct;
use super::entries::{Entries, EntryForm};
use super::group_changes::GroupChanges;
use super::groups::Groups;
use super::output::{is_retraction, kind, not_open};
use super::own_aggregates;
use super::row::Row;
use crate::functions::aggregate::AggregateCall;

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
    /// How many rows wait at most to be aggregated together; `None` when each batch is as it comes.
    pub(crate) bundle: Option<usize>,
}

impl OperatorFactory for GroupAggregateSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(GroupAggregate {
            functions: Functions::with_entries(&self.calls, |call| EntryForm::of(call, self.retracting)),
            bundle: RowBundle::new(&self.input, &self.keys, self.bundle.unwrap_or(0), Dealt::ByKey),
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
    /// The rows that wait.
    bundle: RowBundle,
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
        let distinct = Distinct::of_groups(&mut backend, &spec.calls, spec.retracting, spec.ttl.as_ref())?;
        let entries = Entries::open(&mut backend, &spec.calls, spec.retracting, spec.ttl.as_ref())?;
        self.state = Some(State { backend, accumulators, distinct, entries });
        self.bundle.restore(context, restored.as_ref())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        if self.bundle.is_idle() {
            // No more changes come out than rows went in, twice.
            let changed = self.aggregate(rows)?;
            out.emit(Batch::new(changed));
            return Ok(Progress::Done);
        }
        self.bundle.add(rows);
        if !self.bundle.is_full() || self.flush(out)? {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(nothing_of(rows)));
        Ok(Progress::More)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        if !self.flush(out)? {
            return Ok(Progress::More);
        }
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.bundle.is_left_over().then_some(Timestamp::MIN)
    }

    fn processing_time(&mut self, _: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(if self.flush(out)? { Progress::Done } else { Progress::More })
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(if self.flush(out)? { Progress::Done } else { Progress::More })
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(state) = &mut self.state else { return Ok(SubtaskSnapshot::default()) };
        let mut snapshot = context.keyed(&mut state.backend)?;
        snapshot.absorb(self.bundle.snapshot()?);
        Ok(snapshot)
    }
}

impl GroupAggregate {
    /// Aggregates some of the rows that wait. Answers whether none is left.
    fn flush(&mut self, out: &mut Output) -> Result<bool, OperatorError> {
        if let Some(part) = self.bundle.take_part(out.batch_records())? {
            let changed = self.aggregate(&part)?;
            out.emit(Batch::new(changed));
        }
        Ok(self.bundle.is_empty())
    }

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
        let changes = GroupChanges {
            functions,
            keys: &groups.keys,
            output: &self.spec.output,
            update_before: self.spec.update_before,
        };
        changes.between(&before, &after)
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
