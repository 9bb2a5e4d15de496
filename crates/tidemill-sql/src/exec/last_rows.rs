//! The row of each key before and after a batch, and the change that makes.

use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, RowKind};
use tidemill_runtime::OperatorError;

use super::output::changes;
use super::row::{Row, RowReader};

/// Changes of the rows of keys, of which each has one or none.
pub(crate) struct LastRows<'a> {
    schema: &'a SchemaRef,
    rows: RowReader,
    kinds: Vec<RowKind>,
    update_before: bool,
    repeat: bool,
}

impl<'a> LastRows<'a> {
    /// `update_before` says whether the old row of an update is wanted, `repeat` whether a row that has come again as it was is an update.
    pub(crate) fn new(schema: &'a SchemaRef, update_before: bool, repeat: bool) -> Self {
        Self { schema, rows: RowReader::new(schema), kinds: Vec::new(), update_before, repeat }
    }

    fn say(&mut self, row: &Row, kind: RowKind) -> Result<(), OperatorError> {
        self.rows.push(row.bytes())?;
        self.kinds.push(kind);
        Ok(())
    }

    /// A key whose row was `before` has the row `after`.
    pub(crate) fn change(&mut self, before: Option<&Row>, after: Option<&Row>) -> Result<(), OperatorError> {
        match (before, after) {
            (None, None) => Ok(()),
            (None, Some(new)) => self.say(new, RowKind::Insert),
            (Some(old), None) => self.say(old, RowKind::Delete),
            (Some(old), Some(new)) if old == new && !self.repeat => Ok(()),
            (Some(old), Some(new)) => {
                if self.update_before {
                    self.say(old, RowKind::UpdateBefore)?;
                }
                self.say(new, RowKind::UpdateAfter)
            }
        }
    }

    pub(crate) fn finish(mut self) -> Result<ArrowBatch, OperatorError> {
        let columns = self.rows.finish()?;
        changes(self.schema, columns, self.kinds)
    }
}
