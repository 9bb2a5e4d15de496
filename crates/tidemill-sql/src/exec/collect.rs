//! The table that a changelog describes, kept by the program that runs the job.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parking_lot::Mutex;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{ListStateDescriptor, OperatorStateBackend, SubtaskSnapshot};

use super::output::{is_retraction, kind};
use super::row::{Row, RowReader, RowWriter};
use crate::expr::compile::record_batch;

/// The rows of a table and how often each is there.
#[derive(Debug, Default)]
struct Table {
    counts: HashMap<Row, (i64, u64)>,
    /// How many rows have come, which says in which order they stand.
    arrived: u64,
}

/// The table that a query ends in: filled while its job runs.
#[derive(Clone, Debug)]
pub struct CollectedTable {
    schema: SchemaRef,
    table: Arc<Mutex<Table>>,
    most: usize,
}

impl CollectedTable {
    /// A table of columns `schema` that fails its job when it would have more than `most` rows.
    pub(crate) fn new(schema: SchemaRef, most: usize) -> Self {
        Self { schema, table: Arc::default(), most }
    }

    /// The rows that are there now, in the order in which they came.
    ///
    /// # Errors
    /// When a row cannot be read, which is a fault of the program.
    pub fn rows(&self) -> Result<RecordBatch, OperatorError> {
        let table = self.table.lock();
        let mut rows: Vec<(&Row, i64, u64)> =
            table.counts.iter().map(|(row, (count, arrived))| (row, *count, *arrived)).collect();
        rows.sort_unstable_by_key(|(_, _, arrived)| *arrived);
        let mut reader = RowReader::new(&self.schema);
        for (row, count, _) in rows {
            for _ in 0..count {
                reader.push(row.bytes())?;
            }
        }
        let rows = reader.rows();
        record_batch(&self.schema, reader.finish()?, rows)
    }

    fn apply(&self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let data: Vec<_> = batch.records.columns().iter().map(arrow_array::Array::to_data).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        let mut table = self.table.lock();
        for place in 0..batch.records.num_rows() {
            let row = writer.row(place, &mut scratch);
            let change = if is_retraction(kind(batch, place)) { -1 } else { 1 };
            table.arrived += 1;
            let arrived = table.arrived;
            let entry = table.counts.entry(row).or_insert((0, arrived));
            entry.0 += change;
            let is_gone = entry.0 == 0;
            if is_gone {
                let row = writer.row(place, &mut scratch);
                table.counts.remove(&row);
            }
        }
        if table.counts.len() > self.most {
            let message = format!("the result has more than {} rows", self.most);
            return Err(OperatorError::new("TM-SQL-RESULT-TOO-LARGE", Fault::User, message));
        }
        Ok(())
    }
}

struct Collect(CollectedTable);

impl OperatorFactory for CollectedTable {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Collect(self.clone())))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// A row and how often it is there, as it is stored.
type Stored = (Row, (i64, u64));

impl Operator for Collect {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        // What came since the checkpoint comes again.
        let mut table = Table::default();
        if let Some(restored) = restored {
            let mut states = OperatorStateBackend::new(context.state_budget.clone());
            states.restore(&restored)?;
            let rows = states.register_list(ListStateDescriptor::<Stored>::new("rows"))?;
            for (row, counts) in rows.get(&states)? {
                table.arrived = table.arrived.max(counts.1);
                table.counts.insert(row.clone(), *counts);
            }
        }
        *self.0.table.lock() = table;
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        self.0.apply(batch.downcast_ref::<ArrowBatch>()?)?;
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let mut states = OperatorStateBackend::new(tidemill_core::budget::MemoryBudget::unlimited("results"));
        let rows = states.register_list(ListStateDescriptor::<Stored>::new("rows"))?;
        for (row, counts) in &self.0.table.lock().counts {
            rows.add(&mut states, (row.clone(), *counts))?;
        }
        Ok(states.snapshot())
    }
}
