//! `INTERSECT` and `EXCEPT`: how often each row is on either side says how often it comes out.

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, Slots, StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
};

use super::groups::Groups;
use super::output::{changes, is_retraction, kind, not_open};
use super::row::{Row, RowReader};

/// A set operation of two inputs of the same columns.
#[derive(Clone, Debug)]
pub(crate) struct SetOperationSpec {
    pub(crate) schema: SchemaRef,
    /// Rows of the left that are not on the right, instead of those on both sides.
    pub(crate) except: bool,
    /// Each row as often as it is there, instead of once.
    pub(crate) all: bool,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl SetOperationSpec {
    /// How often a row comes out that is there so often on the left and on the right.
    fn times(&self, left: i64, right: i64) -> i64 {
        match (self.except, self.all) {
            (false, true) => left.min(right).max(0),
            (false, false) => i64::from(left > 0 && right > 0),
            (true, true) => (left - right.max(0)).max(0),
            (true, false) => i64::from(left > 0 && right <= 0),
        }
    }
}

impl OperatorFactory for SetOperationSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let all = (0..self.schema.fields().len()).collect();
        Ok(Box::new(SetOperation { spec: self.clone(), all, groups: Groups::default(), state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// How often a row is on the left and on the right.
type Counts = (i64, i64);

struct SetOperation {
    spec: SetOperationSpec,
    /// All columns.
    all: Vec<usize>,
    groups: Groups,
    state: Option<(KeyedStateBackend<Row>, ValueState<Counts>)>,
}

impl Operator for SetOperation {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let mut descriptor = ValueStateDescriptor::new("counts");
        if let Some(ttl) = &self.spec.ttl {
            descriptor = descriptor.with_ttl(*ttl);
        }
        let counts = backend.register_value(descriptor)?;
        self.state = Some((backend, counts));
        Ok(())
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let changed = self.count(input, batch.downcast_ref::<ArrowBatch>()?)?;
        if changed.records.num_rows() > 0 {
            out.emit(Batch::new(changed));
        }
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.state {
            Some((backend, _)) => Ok(context.keyed(backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}

impl SetOperation {
    fn count(&mut self, side: usize, batch: &ArrowBatch) -> Result<ArrowBatch, OperatorError> {
        let Some((backend, counts)) = &mut self.state else { return Err(not_open()) };
        let spec = &self.spec;
        self.groups.find(batch.records.columns(), &self.all, batch.records.num_rows());
        let groups = &self.groups;
        let mut by = vec![0i64; groups.len()];
        for (row, group) in groups.of_row.iter().enumerate() {
            by[*group as usize] += if is_retraction(kind(batch, row)) { -1 } else { 1 };
        }
        let mut times: Vec<(i64, i64)> = Vec::with_capacity(groups.len());
        let mut gone = (Vec::new(), Vec::new());
        let update = |slots: Slots<'_>, values: &mut [Counts]| {
            for (group, slot) in slots.slots.iter().enumerate() {
                let counts = &mut values[*slot as usize];
                let before = spec.times(counts.0, counts.1);
                if side == 0 {
                    counts.0 += by[group];
                } else {
                    counts.1 += by[group];
                }
                times.push((before, spec.times(counts.0, counts.1)));
                if *counts == (0, 0) {
                    gone.0.push(groups.hashes[group]);
                    gone.1.push(groups.keys[group].clone());
                }
            }
        };
        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        counts.update_batch(backend, &keys, |_| (0, 0), update)?;
        if !gone.0.is_empty() {
            counts.clear_batch(backend, &KeyBatch::new(&gone.0, &gone.1)?)?;
        }
        let mut reader = RowReader::new(&spec.schema);
        let mut kinds = Vec::new();
        for (group, (before, after)) in times.into_iter().enumerate() {
            let kind = if before < after { RowKind::Insert } else { RowKind::Delete };
            for _ in 0..before.abs_diff(after) {
                reader.push(groups.keys[group].bytes())?;
                kinds.push(kind);
            }
        }
        let columns: Vec<ArrayRef> = reader.finish()?;
        changes(&spec.schema, columns, kinds)
    }
}
