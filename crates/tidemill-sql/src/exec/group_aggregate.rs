//! Aggregates of groups without windows: a changelog of one row a group.
//!
//! Of each batch, each group is looked up once, all its rows go in, and the change of its result comes out: nothing when it
//! stayed the same. Distinct values are kept one entry a group and value, and with retractions a count for each; so are
//! the values of `MIN` and `MAX` when rows are taken away again.

use std::collections::BTreeMap;

use arrow_array::ArrayRef;
use arrow_data::ArrayData;
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, MapState, MapStateDescriptor, StateTtlConfig, SubtaskSnapshot, ValueState,
    ValueStateDescriptor,
};

use super::accumulators::{Accumulators, Argument, Functions};
use super::distinct::{Distinct, RowOfGroup};
use super::groups::Groups;
use super::output::{changes, is_retraction, kind, not_open};
use super::row::{Row, RowReader, RowWriter, column_data};
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
            functions: Functions::new(&self.calls),
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
    /// For each `MIN` and `MAX` under retraction the values with their counts.
    extremes: BTreeMap<usize, MapState<Row, i64>>,
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
        let mut extremes = BTreeMap::new();
        for (index, call) in self.spec.calls.iter().enumerate() {
            if self.spec.retracting && matches!(call.kind, AggregateKind::Min | AggregateKind::Max) {
                let descriptor = MapStateDescriptor::new(format!("values-{index}"));
                extremes.insert(
                    index,
                    backend.register_map(match &self.spec.ttl {
                        Some(ttl) => descriptor.with_ttl(*ttl),
                        None => descriptor,
                    })?,
                );
            }
        }
        self.state = Some(State { backend, accumulators, distinct, extremes });
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
        let groups = &self.groups;
        let entries = groups.of_row.iter().enumerate().map(|(row, group)| {
            let group = *group as usize;
            RowOfGroup { row, key: &groups.keys[group], hash: groups.hashes[group], namespace: 0 }
        });
        let skipped = state.distinct.note(&mut state.backend, batch, &arguments, entries)?;
        let extremes = count_extremes(&self.spec, &self.groups, state, batch, &arguments)?;

        let functions = &self.functions;
        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        let mut before: Vec<Option<Accumulators>> = Vec::with_capacity(groups.len());
        let mut after: Vec<Accumulators> = Vec::with_capacity(groups.len());
        let update =
            |slots: tidemill_state::Slots<'_>, values: &mut [Accumulators]| -> Result<(), OperatorError> {
                for slot in slots.slots {
                    let known = &values[*slot as usize];
                    before.push((functions.rows(known) != 0).then(|| known.clone()));
                }
                for row in 0..rows {
                    let group = groups.of_row[row] as usize;
                    let accumulators = &mut values[slots.slots[group] as usize];
                    let retract = is_retraction(kind(batch, row));
                    functions.add_rows(accumulators, if retract { -1 } else { 1 });
                    for (index, function) in functions.all().iter().enumerate() {
                        if let Some(skipped) = &skipped[index]
                            && skipped[row]
                        {
                            continue;
                        }
                        function.accumulate(&mut accumulators.0, &arguments[index], row, retract)?;
                    }
                }
                for (index, found) in extremes {
                    let Some(function) = functions.all().get(index) else { continue };
                    for (group, value) in found {
                        function.set_extreme(&mut values[slots.slots[group] as usize], value);
                    }
                }
                after.extend(slots.slots.iter().map(|slot| values[*slot as usize].clone()));
                Ok(())
            };
        state.accumulators.update_batch(&mut state.backend, &keys, |_| functions.empty(), update)??;

        // Groups of which nothing is left.
        let mut gone = (Vec::new(), Vec::new());
        for (group, accumulators) in after.iter().enumerate() {
            if functions.rows(accumulators) <= 0 && !self.spec.keys.is_empty() {
                gone.0.push(groups.hashes[group]);
                gone.1.push(groups.keys[group].clone());
            }
        }
        if !gone.0.is_empty() {
            state.accumulators.clear_batch(&mut state.backend, &KeyBatch::new(&gone.0, &gone.1)?)?;
        }
        self.changed(&before, &after)
    }

    /// The changes of the results.
    fn changed(
        &self,
        before: &[Option<Accumulators>],
        after: &[Accumulators],
    ) -> Result<ArrowBatch, OperatorError> {
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
            let is_there = self.functions.rows(new) > 0 || self.spec.keys.is_empty();
            match old {
                None if is_there && self.functions.rows(new) > 0 => say(new, RowKind::Insert)?,
                None => {}
                Some(old) if !is_there => say(old, RowKind::Delete)?,
                Some(old) => {
                    if self.same_result(old, new)? {
                        continue;
                    }
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

    fn same_result(&self, old: &Accumulators, new: &Accumulators) -> Result<bool, OperatorError> {
        // The number of rows is no result.
        if old.0[1..] == new.0[1..] {
            return Ok(true);
        }
        if self.functions.all().is_empty() {
            return Ok(true);
        }
        let mut results = self.functions.results();
        results.push(&self.functions, old)?;
        results.push(&self.functions, new)?;
        let columns = results.finish()?;
        let data: Vec<ArrayData> = columns.iter().map(arrow_array::Array::to_data).collect();
        let writer = RowWriter::new(&data, false);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        writer.write(0, &mut one);
        writer.write(1, &mut two);
        Ok(one == two)
    }
}

/// For each `MIN` and `MAX` under retraction, the values that groups of this batch have now.
fn count_extremes(
    spec: &GroupAggregateSpec,
    groups: &Groups,
    state: &mut State,
    batch: &ArrowBatch,
    arguments: &[Argument],
) -> Result<Vec<(usize, Vec<(usize, super::accumulators::Datum)>)>, OperatorError> {
    let mut found = Vec::new();
    let mut scratch = Vec::new();
    for (call, map) in &state.extremes {
        let argument = &arguments[*call];
        let data = column_data(batch.records.columns(), &spec.calls[*call].arguments);
        let writer = RowWriter::new(&data, true);
        let mut touched = vec![false; groups.len()];
        for row in 0..batch.records.num_rows() {
            if writer.has_null(row) || !argument.counts(row) {
                continue;
            }
            let group = groups.of_row[row] as usize;
            touched[group] = true;
            state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            let value = writer.row(row, &mut scratch);
            let change = if is_retraction(kind(batch, row)) { -1 } else { 1 };
            let mut left = 0;
            map.modify(
                &mut state.backend,
                value.clone(),
                || 0,
                |count| {
                    *count += change;
                    left = *count;
                },
            )?;
            if left == 0 {
                map.remove(&mut state.backend, &value)?;
            }
        }
        let functions = Functions::new(std::slice::from_ref(&spec.calls[*call]));
        let types =
            spec.calls[*call].types.first().map(|logical| crate::types::arrow::data_type(&logical.root));
        let Some(value_type) = types else { continue };
        let mut values = Vec::new();
        for (group, _) in touched.iter().enumerate().filter(|(_, touched)| **touched) {
            state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            let entries = map.entries(&mut state.backend)?;
            let mut reader = RowReader::of_types([&value_type]);
            for (value, count) in &entries {
                if *count > 0 {
                    reader.push(value.bytes())?;
                }
            }
            let rows = reader.rows();
            let columns = reader.finish()?;
            let mut plain = spec.calls[*call].clone();
            plain.arguments = vec![0];
            plain.filter = None;
            let of_values = Functions::new(std::slice::from_ref(&plain));
            let Some(function) = of_values.all().first() else { continue };
            let argument = Argument::new(function, &columns)?;
            let mut accumulators = functions.empty();
            for row in 0..rows {
                function.accumulate(&mut accumulators.0, &argument, row, false)?;
            }
            values.push((group, accumulators.0[1].clone()));
        }
        found.push((*call, values));
    }
    Ok(found)
}
