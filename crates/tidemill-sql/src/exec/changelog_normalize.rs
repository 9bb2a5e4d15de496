//! Changes of rows by primary key, made whole: the last row of each key is kept, so that it can be said when it goes.

use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, Slots, StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
};

use super::groups::Groups;
use super::last_rows::LastRows;
use super::output::{kind, not_open};
use super::row::{Row, RowWriter};
use crate::expr::Expr;
use crate::expr::compile::Compiled;

/// The normalization of a changelog.
#[derive(Clone, Debug)]
pub(crate) struct ChangelogNormalizeSpec {
    pub(crate) schema: SchemaRef,
    /// The columns of the primary key.
    pub(crate) key: Vec<usize>,
    /// What the rows fulfil that come out: one that does not any more is taken away.
    pub(crate) condition: Option<Expr>,
    /// Whether each change is told, not only what a batch of them comes to: of rows with event time each is a version.
    pub(crate) all_changes: bool,
    /// Whether the old row of an update is wanted.
    pub(crate) update_before: bool,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl OperatorFactory for ChangelogNormalizeSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let condition = self.condition.as_ref().map(|expr| Compiled::new(expr, &self.schema)).transpose()?;
        let groups = Groups::default();
        Ok(Box::new(ChangelogNormalize { spec: self.clone(), condition, groups, state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct ChangelogNormalize {
    spec: ChangelogNormalizeSpec,
    condition: Option<Compiled>,
    groups: Groups,
    /// The last row of each key, if it fulfils the condition.
    state: Option<(KeyedStateBackend<Row>, ValueState<Row>)>,
}

impl Operator for ChangelogNormalize {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let mut descriptor = ValueStateDescriptor::new("last-row");
        if let Some(ttl) = &self.spec.ttl {
            descriptor = descriptor.with_ttl(*ttl);
        }
        let rows = backend.register_value(descriptor)?;
        self.state = Some((backend, rows));
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let changed = self.normalize(batch.downcast_ref::<ArrowBatch>()?)?;
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

impl ChangelogNormalize {
    /// The rows of a batch that are looked at: of each key the last one, unless all changes are told.
    fn told(&self, batch: &ArrowBatch) -> Vec<usize> {
        let rows = 0..batch.records.num_rows();
        let rows = rows.filter(|row| kind(batch, *row) != RowKind::UpdateBefore);
        if self.spec.all_changes {
            return rows.collect();
        }
        let mut last: Vec<Option<usize>> = vec![None; self.groups.len()];
        rows.for_each(|row| last[self.groups.of_row[row] as usize] = Some(row));
        last.into_iter().flatten().collect()
    }

    fn normalize(&mut self, batch: &ArrowBatch) -> Result<ArrowBatch, OperatorError> {
        let rows = batch.records.num_rows();
        self.groups.find(batch.records.columns(), &self.spec.key, rows);
        let told = self.told(batch);
        let Some((backend, state)) = &mut self.state else { return Err(not_open()) };
        let spec = &self.spec;
        let groups = &self.groups;
        let matches = match &self.condition {
            Some(condition) if rows > 0 => condition.matches(&batch.records)?,
            _ => None,
        };
        let data: Vec<_> = batch.records.columns().iter().map(arrow_array::Array::to_data).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        // Rows that are kept do not live for ever: saying them again keeps them alive behind this, too.
        let mut said = LastRows::new(&spec.schema, spec.update_before, spec.ttl.is_some());
        let mut gone = (Vec::new(), Vec::new());
        let update = |slots: Slots<'_>, values: &mut [Row]| -> Result<(), OperatorError> {
            for row in told {
                let known = &mut values[slots.slots[groups.of_row[row] as usize] as usize];
                let stays = kind(batch, row) != RowKind::Delete
                    && matches.as_ref().is_none_or(|matches| matches.value(row));
                // A row of at least one column is never empty.
                let before = Some(std::mem::take(known)).filter(|row| !row.bytes().is_empty());
                let after = stays.then(|| writer.row(row, &mut scratch));
                said.change(before.as_ref(), after.as_ref())?;
                *known = after.unwrap_or_default();
            }
            for (group, slot) in slots.slots.iter().enumerate() {
                if values[*slot as usize].bytes().is_empty() {
                    gone.0.push(groups.hashes[group]);
                    gone.1.push(groups.keys[group].clone());
                }
            }
            Ok(())
        };
        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        state.update_batch(backend, &keys, |_| Row::default(), update)??;
        if !gone.0.is_empty() {
            state.clear_batch(backend, &KeyBatch::new(&gone.0, &gone.1)?)?;
        }
        said.finish()
    }
}
