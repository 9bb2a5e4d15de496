//! Old rows of updates on their way to a table with a primary key: dropped when the new row has the same key, else deletes.

use arrow_array::BooleanArray;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};

use super::calc::filter;
use super::output::kind;
use super::row::{RowWriter, column_data};

/// What a table with a primary key needs to know of updates.
#[derive(Clone, Debug)]
pub(crate) struct DropUpdateBeforeSpec {
    pub(crate) primary_key: Vec<usize>,
}

impl OperatorFactory for DropUpdateBeforeSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(DropUpdateBefore(self.clone())))
    }
}

struct DropUpdateBefore(DropUpdateBeforeSpec);

impl Operator for DropUpdateBefore {
    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_mut::<ArrowBatch>()?;
        let Some(kinds) = rows.kinds.as_ref().filter(|kinds| kinds.contains(&RowKind::UpdateBefore)) else {
            out.emit(batch);
            return Ok(Progress::Done);
        };
        let data = column_data(rows.records.columns(), &self.0.primary_key);
        let writer = RowWriter::new(&data, true);
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let count = rows.records.num_rows();
        let mut kept = vec![true; count];
        let mut changed: Vec<RowKind> = kinds.to_vec();
        for row in (0..count).filter(|row| kinds[*row] == RowKind::UpdateBefore) {
            // The new row follows its old one, unless it was dropped or is in the next batch.
            let is_replaced = row + 1 < count && kind(rows, row + 1) == RowKind::UpdateAfter && {
                one.clear();
                two.clear();
                writer.write(row, &mut one);
                writer.write(row + 1, &mut two);
                one == two
            };
            kept[row] = !is_replaced;
            changed[row] = RowKind::Delete;
        }
        rows.kinds = Some(changed.into());
        let left = filter(rows, &BooleanArray::from(kept))?;
        out.emit(Batch::new(left));
        Ok(Progress::Done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};
    use arrow_schema::{DataType, Field, Schema};
    use tidemill_core::batch::RowKind::{Delete, Insert, UpdateAfter, UpdateBefore};
    use tidemill_runtime::Emission;

    use super::super::output::changes;
    use super::*;

    fn told(keys: &[(RowKind, i64)]) -> Vec<(RowKind, i64)> {
        let schema = Arc::new(Schema::new(vec![Field::new("key", DataType::Int64, true)]));
        let column: ArrayRef = Arc::new(keys.iter().map(|(_, key)| Some(*key)).collect::<Int64Array>());
        let kinds = keys.iter().map(|(kind, _)| *kind).collect();
        let batch = changes(&schema, vec![column], kinds).unwrap();
        let mut operator = DropUpdateBeforeSpec { primary_key: vec![0] }.create(0).unwrap();
        let mut out = Output::default();
        operator.process(0, Batch::new(batch), &mut out).unwrap();
        let Some(Emission::Batch(batch)) = out.take_emissions().pop() else { panic!("no batch") };
        let batch = batch.downcast_ref::<ArrowBatch>().unwrap();
        let keys = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(
            batch.records.column(0),
        );
        (0..batch.records.num_rows()).map(|row| (kind(batch, row), keys.value(row))).collect()
    }

    #[test]
    fn old_rows_are_dropped_where_the_new_one_replaces_them() {
        assert_eq!(
            told(&[(Insert, 1), (UpdateBefore, 1), (UpdateAfter, 1)]),
            [(Insert, 1), (UpdateAfter, 1)]
        );
        assert_eq!(told(&[(UpdateBefore, 1), (UpdateAfter, 2)]), [(Delete, 1), (UpdateAfter, 2)]);
        // The new row was dropped by a filter, or comes with the next batch.
        assert_eq!(
            told(&[(UpdateBefore, 1), (UpdateBefore, 2), (UpdateAfter, 2)]),
            [(Delete, 1), (UpdateAfter, 2)]
        );
        assert_eq!(told(&[(Delete, 3), (UpdateBefore, 1)]), [(Delete, 3), (Delete, 1)]);
    }
}
