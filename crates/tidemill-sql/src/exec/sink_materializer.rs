//! Rows of several upsert keys that have one primary key: all of them are kept in the order in which they came, and the last one is that
//! of the table, as Flink's `SinkUpsertMaterializer` does.

use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    KeyBatch, KeyedStateBackend, Slots, StateTtlConfig, SubtaskSnapshot, ValueState, ValueStateDescriptor,
};

use super::groups::Groups;
use super::last_rows::LastRows;
use super::output::{is_retraction, kind, not_open};
use super::row::{Row, RowWriter, column_data};

/// A materialization in front of a sink.
#[derive(Clone, Debug)]
pub(crate) struct SinkMaterializerSpec {
    pub(crate) schema: SchemaRef,
    /// The columns of the primary key.
    pub(crate) primary_key: Vec<usize>,
    /// The columns that tell rows apart; when there are none, all do.
    pub(crate) upsert_key: Vec<usize>,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl OperatorFactory for SinkMaterializerSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(SinkMaterializer { spec: self.clone(), groups: Groups::default(), state: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// The rows of a primary key in order, each with its upsert key, which is empty when all columns tell rows apart.
type Kept = Vec<(Row, Row)>;

struct SinkMaterializer {
    spec: SinkMaterializerSpec,
    groups: Groups,
    state: Option<(KeyedStateBackend<Row>, ValueState<Kept>)>,
}

impl Operator for SinkMaterializer {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let mut descriptor = ValueStateDescriptor::new("rows");
        if let Some(ttl) = &self.spec.ttl {
            descriptor = descriptor.with_ttl(*ttl);
        }
        let rows = backend.register_value(descriptor)?;
        self.state = Some((backend, rows));
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let changed = self.materialize(batch.downcast_ref::<ArrowBatch>()?)?;
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

impl SinkMaterializer {
    fn materialize(&mut self, batch: &ArrowBatch) -> Result<ArrowBatch, OperatorError> {
        let Some((backend, state)) = &mut self.state else { return Err(not_open()) };
        let spec = &self.spec;
        let columns = batch.records.columns();
        self.groups.find(columns, &spec.primary_key, batch.records.num_rows());
        let groups = &self.groups;
        let data: Vec<_> = columns.iter().map(arrow_array::Array::to_data).collect();
        let writer = RowWriter::new(&data, false);
        let of_key = column_data(columns, &spec.upsert_key);
        let key_writer = RowWriter::new(&of_key, true);
        let is_keyed = !spec.upsert_key.is_empty();
        let mut scratch = Vec::new();
        let mut said = LastRows::new(&spec.schema, false, spec.ttl.is_some());
        let mut gone = (Vec::new(), Vec::new());
        let update = |slots: Slots<'_>, values: &mut [Kept]| -> Result<(), OperatorError> {
            let last = |kept: &Kept| kept.last().map(|(_, row)| row.clone());
            let before: Vec<Option<Row>> =
                slots.slots.iter().map(|slot| last(&values[*slot as usize])).collect();
            let mut touched = vec![false; groups.len()];
            for (row, group) in groups.of_row.iter().enumerate() {
                let group = *group as usize;
                let kept = &mut values[slots.slots[group] as usize];
                let value = writer.row(row, &mut scratch);
                let key = if is_keyed { key_writer.row(row, &mut scratch) } else { Row::default() };
                let is_same = |known: &(Row, Row)| if is_keyed { known.0 == key } else { known.1 == value };
                let place = kept.iter().position(is_same);
                if is_retraction(kind(batch, row)) {
                    // One that is not there any more has been forgotten after the time that state is kept.
                    if let Some(place) = place {
                        kept.remove(place);
                    }
                } else {
                    if let Some(place) = place.filter(|_| is_keyed) {
                        kept.remove(place);
                    }
                    kept.push((key, value));
                    touched[group] = true;
                }
            }
            for (group, slot) in slots.slots.iter().enumerate() {
                let after = last(&values[*slot as usize]);
                // What was taken away below the last row is nobody's business.
                if touched[group] || before[group] != after {
                    said.change(before[group].as_ref(), after.as_ref())?;
                }
                if after.is_none() {
                    gone.0.push(groups.hashes[group]);
                    gone.1.push(groups.keys[group].clone());
                }
            }
            Ok(())
        };
        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        state.update_batch(backend, &keys, |_| Kept::new(), update)??;
        if !gone.0.is_empty() {
            state.clear_batch(backend, &KeyBatch::new(&gone.0, &gone.1)?)?;
        }
        said.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use arrow_schema::{DataType, Field, Schema};
    use tidemill_core::batch::RowKind::{self, Delete, Insert, UpdateAfter, UpdateBefore};
    use tidemill_runtime::Emission;
    use tidemill_state::SystemClock;

    use super::super::output::changes;
    use super::*;

    type Change = (RowKind, [i64; 3]);

    fn schema() -> SchemaRef {
        let fields = ["key", "id", "value"].map(|name| Field::new(name, DataType::Int64, true));
        Arc::new(Schema::new(fields.to_vec()))
    }

    fn told(operator: &mut dyn Operator, rows: &[Change]) -> Vec<Change> {
        let column = |at: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|(_, row)| Some(row[at])).collect::<Int64Array>())
        };
        let kinds = rows.iter().map(|(kind, _)| *kind).collect();
        let batch = changes(&schema(), (0..3).map(column).collect(), kinds).unwrap();
        let mut out = Output::default();
        operator.process(0, Batch::new(batch), &mut out).unwrap();
        let mut found = Vec::new();
        for emission in out.take_emissions() {
            let Emission::Batch(batch) = emission else { panic!("no batch") };
            let batch = batch.downcast_ref::<ArrowBatch>().unwrap();
            let value =
                |at: usize, row: usize| batch.records.column(at).as_primitive::<Int64Type>().value(row);
            found.extend(
                (0..batch.records.num_rows())
                    .map(|row| (kind(batch, row), [value(0, row), value(1, row), value(2, row)])),
            );
        }
        found
    }

    fn operator(upsert_key: &[usize]) -> Box<dyn Operator> {
        let spec = SinkMaterializerSpec {
            schema: schema(),
            primary_key: vec![0],
            upsert_key: upsert_key.to_vec(),
            ttl: None,
        };
        let mut operator = spec.create(0).unwrap();
        operator.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), None).unwrap();
        operator
    }

    #[test]
    fn the_last_row_that_is_left_is_the_one_of_the_key() {
        for upsert_key in [&[][..], &[1]] {
            let operator = &mut *operator(upsert_key);
            assert_eq!(told(operator, &[(Insert, [1, 10, 0])]), [(Insert, [1, 10, 0])]);
            assert_eq!(told(operator, &[(Insert, [1, 11, 0])]), [(UpdateAfter, [1, 11, 0])]);
            assert_eq!(told(operator, &[(Insert, [1, 12, 0])]), [(UpdateAfter, [1, 12, 0])]);
            // One below the last.
            assert_eq!(told(operator, &[(Delete, [1, 11, 0])]), []);
            // The last one.
            assert_eq!(told(operator, &[(UpdateBefore, [1, 12, 0])]), [(UpdateAfter, [1, 10, 0])]);
            // One that is not there.
            assert_eq!(told(operator, &[(Delete, [1, 13, 0])]), []);
            assert_eq!(told(operator, &[(Delete, [1, 10, 0])]), [(Delete, [1, 10, 0])]);
            assert_eq!(told(operator, &[(Insert, [1, 10, 0])]), [(Insert, [1, 10, 0])]);
        }
    }

    #[test]
    fn what_a_batch_comes_to_is_told_once() {
        let operator = &mut *operator(&[]);
        let changes = [
            (Insert, [1, 10, 0]),
            (Insert, [2, 20, 0]),
            (UpdateBefore, [1, 10, 0]),
            (UpdateAfter, [1, 10, 5]),
        ];
        assert_eq!(told(operator, &changes), [(Insert, [1, 10, 5]), (Insert, [2, 20, 0])]);
        assert_eq!(told(operator, &[(Insert, [2, 21, 0]), (Delete, [2, 21, 0])]), []);
    }

    #[test]
    fn rows_with_an_upsert_key_replace_one_another() {
        let operator = &mut *operator(&[1]);
        assert_eq!(told(operator, &[(Insert, [1, 10, 0]), (Insert, [1, 11, 0])]), [(Insert, [1, 11, 0])]);
        assert_eq!(told(operator, &[(UpdateAfter, [1, 10, 7])]), [(UpdateAfter, [1, 10, 7])]);
        // Whatever the row says besides its key.
        assert_eq!(told(operator, &[(Delete, [1, 10, 0])]), [(UpdateAfter, [1, 11, 0])]);
        assert_eq!(told(operator, &[(Delete, [1, 11, 0])]), [(Delete, [1, 11, 0])]);
    }
}
