//! Each row once for each grouping set.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, new_null_array};
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};

use crate::expr::compile::record_batch;

/// The grouping sets of an aggregation.
#[derive(Clone, Debug)]
pub(crate) struct ExpandSpec {
    /// How many of the first columns are keys.
    pub(crate) keys: usize,
    /// The keys of each set; the others are NULL in its rows.
    pub(crate) sets: Vec<Vec<usize>>,
    /// The input's columns, then the number of the set.
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for ExpandSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Expand(self.clone())))
    }
}

struct Expand(ExpandSpec);

impl Operator for Expand {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let rows = batch.records.num_rows();
        for (number, set) in self.0.sets.iter().enumerate() {
            let of_set = batch.records.columns().iter().enumerate().map(|(index, column)| {
                if index < self.0.keys && !set.contains(&index) {
                    new_null_array(column.data_type(), rows)
                } else {
                    Arc::clone(column)
                }
            });
            let mut columns: Vec<ArrayRef> = of_set.collect();
            columns.push(Arc::new(Int64Array::from(vec![i64::try_from(number).unwrap_or_default(); rows])));
            out.emit(Batch::new(ArrowBatch {
                records: record_batch(&self.0.output, columns, rows)?,
                kinds: batch.kinds.clone(),
                timestamps: Vec::new(),
                hashes: Vec::new(),
            }));
        }
        Ok(Progress::Done)
    }
}
