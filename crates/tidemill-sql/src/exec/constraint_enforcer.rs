//! What must not be NULL in a table is looked at before a sink.

use arrow_array::{Array, BooleanArray};
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};

use super::calc::filter;
use super::output::kind;

/// The columns that must not be NULL.
#[derive(Clone, Debug)]
pub(crate) struct ConstraintEnforcerSpec {
    /// Their numbers and names.
    pub(crate) columns: Vec<(usize, String)>,
    pub(crate) table: String,
    /// Whether rows are dropped, instead of the job failing.
    pub(crate) drops: bool,
    /// The primary key, if rows that are taken away say that only.
    pub(crate) key_of_deletes: Option<Vec<usize>>,
}

impl OperatorFactory for ConstraintEnforcerSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(ConstraintEnforcer(self.clone())))
    }
}

struct ConstraintEnforcer(ConstraintEnforcerSpec);

impl ConstraintEnforcer {
    /// The first column that is NULL in a row and must not be.
    fn broken(&self, batch: &ArrowBatch, row: usize) -> Option<&str> {
        let partial = self.0.key_of_deletes.as_ref().filter(|_| kind(batch, row) == RowKind::Delete);
        let mut columns = self.0.columns.iter();
        let broken = columns.find(|(column, _)| {
            batch.records.column(*column).is_null(row) && partial.is_none_or(|key| key.contains(column))
        });
        broken.map(|(_, name)| name.as_str())
    }
}

impl Operator for ConstraintEnforcer {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        if self.0.columns.iter().all(|(column, _)| rows.records.column(*column).null_count() == 0) {
            out.emit(batch);
            return Ok(Progress::Done);
        }
        let mut kept = Vec::with_capacity(rows.records.num_rows());
        for row in 0..rows.records.num_rows() {
            let broken = self.broken(rows, row);
            if let Some(name) = broken.filter(|_| !self.0.drops) {
                return Err(OperatorError::new(
                    "TM-SQL-NOT-NULL",
                    Fault::User,
                    format!(
                        "the column '{name}' of the table '{}' is NOT NULL, but a row with NULL in it is written; SET \
                         'table.exec.sink.not-null-enforcer' = 'DROP' drops such rows",
                        self.0.table
                    ),
                ));
            }
            kept.push(broken.is_none());
        }
        let left = filter(rows, &BooleanArray::from(kept))?;
        if left.records.num_rows() > 0 {
            out.emit(Batch::new(left));
        }
        Ok(Progress::Done)
    }
}
