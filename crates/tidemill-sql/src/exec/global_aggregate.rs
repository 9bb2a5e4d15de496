//! The second of two phases of an aggregation: what [local aggregates](super::local_aggregate) send is put together with what is known
//! of the groups.

use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, BatchData};
use tidemill_core::time::Watermark;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, Slots, StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
};

use super::accumulators::{Accumulators, Functions};
use super::bundle::{Dealt, nothing_of};
use super::group_changes::GroupChanges;
use super::groups::Groups;
use super::output::not_open;
use super::partials::{Part, Partials};
use super::row::Row;
use crate::functions::aggregate::AggregateCall;

/// An aggregation of what local ones have sent.
#[derive(Clone, Debug)]
pub(crate) struct GlobalAggregateSpec {
    /// The groups' columns, then the accumulators.
    pub(crate) partials: SchemaRef,
    pub(crate) calls: Vec<AggregateCall>,
    /// The groups' columns, then the results.
    pub(crate) output: SchemaRef,
    /// Whether the old row of an update is wanted.
    pub(crate) update_before: bool,
    pub(crate) ttl: Option<StateTtlConfig>,
    /// How many rows wait at most.
    pub(crate) bundle: usize,
}

impl OperatorFactory for GlobalAggregateSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(GlobalAggregate {
            functions: Functions::new(&self.calls),
            groups: Groups::default(),
            partials: Partials::new(&self.partials, self.bundle, Dealt::ByKey),
            spec: self.clone(),
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
}

struct GlobalAggregate {
    spec: GlobalAggregateSpec,
    functions: Functions,
    groups: Groups,
    partials: Partials,
    state: Option<State>,
}

impl Operator for GlobalAggregate {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let mut descriptor = ValueStateDescriptor::new("accumulators");
        if let Some(ttl) = &self.spec.ttl {
            descriptor = descriptor.with_ttl(*ttl);
        }
        let accumulators = backend.register_value(descriptor)?;
        self.state = Some(State { backend, accumulators });
        self.partials.restore(context, restored.as_ref(), &self.functions)
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        if !rows.is_empty() {
            self.partials.merge(rows, &mut self.groups, &self.functions)?;
        }
        if !self.partials.is_full() || self.flush(out)? {
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

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(if self.flush(out)? { Progress::Done } else { Progress::More })
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(state) = &mut self.state else { return Ok(SubtaskSnapshot::default()) };
        let mut snapshot = context.keyed(&mut state.backend)?;
        snapshot.absorb(self.partials.snapshot(&self.functions)?);
        Ok(snapshot)
    }
}

impl GlobalAggregate {
    /// Puts some of the groups together with what is known of them. Answers whether none is left.
    fn flush(&mut self, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let part = self.partials.take_part(out.batch_records());
        if !part.keys.is_empty() {
            out.emit(Batch::new(put_together(&self.spec, &self.functions, state, &part)?));
        }
        Ok(self.partials.is_done())
    }
}

/// Adds accumulators to those that are kept. Answers what that changes.
fn put_together(
    spec: &GlobalAggregateSpec,
    functions: &Functions,
    state: &mut State,
    part: &Part<'_>,
) -> Result<ArrowBatch, OperatorError> {
    let mut before: Vec<Option<Accumulators>> = Vec::with_capacity(part.keys.len());
    let mut after: Vec<Accumulators> = Vec::with_capacity(part.keys.len());
    let merge = |slots: Slots<'_>, values: &mut [Accumulators]| -> Result<(), OperatorError> {
        for (slot, other) in slots.slots.iter().zip(part.values) {
            let known = &mut values[*slot as usize];
            before.push((functions.rows(known) != 0).then(|| known.clone()));
            functions.merge(known, other)?;
            after.push(known.clone());
        }
        Ok(())
    };
    let keys = KeyBatch::new(part.hashes, part.keys)?;
    state.accumulators.update_batch(&mut state.backend, &keys, |_| functions.empty(), merge)??;
    let mut gone = (Vec::new(), Vec::new());
    for (group, accumulators) in after.iter().enumerate() {
        if functions.rows(accumulators) <= 0 {
            gone.0.push(part.hashes[group]);
            gone.1.push(part.keys[group].clone());
        }
    }
    if !gone.0.is_empty() {
        state.accumulators.clear_batch(&mut state.backend, &KeyBatch::new(&gone.0, &gone.1)?)?;
    }
    let changes =
        GroupChanges { functions, keys: part.keys, output: &spec.output, update_before: spec.update_before };
    changes.between(&before, &after)
}
