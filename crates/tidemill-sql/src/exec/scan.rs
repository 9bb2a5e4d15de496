//! What happens to the batches of a source before anything else: columns are computed, and event time is followed.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::time::Watermark;
use tidemill_runtime::OperatorError;
use tidemill_runtime::source::{SplitStage, SplitStageFactory};

use super::calc::{Calc, CalcSpec};
use crate::expr::Expr;
use crate::expr::compile::{Compiled, record_batch};

/// What is done with the batches of a source.
#[derive(Clone, Debug)]
pub(crate) struct ScanStages {
    /// The columns as they come.
    pub(crate) input: SchemaRef,
    /// The watermark after each row, over these columns.
    pub(crate) watermark: Option<Expr>,
    /// What comes out.
    pub(crate) calc: CalcSpec,
}

struct ScanStage {
    input: SchemaRef,
    calc: Calc,
    watermark: Option<Compiled>,
    reached: Option<i64>,
    told: Option<i64>,
}

impl ScanStages {
    /// Whether the expressions can be computed at all, which is found out before the job runs.
    pub(crate) fn check(&self) -> Result<(), OperatorError> {
        Calc::new(&self.calc)?;
        self.watermark.as_ref().map(|expr| Compiled::new(expr, &self.input)).transpose()?;
        Ok(())
    }
}

impl SplitStageFactory for ScanStages {
    fn create(&self) -> Box<dyn SplitStage> {
        // Both have been compiled by `check`.
        let calc = Calc::new(&self.calc);
        let watermark = self.watermark.as_ref().map(|expr| Compiled::new(expr, &self.input)).transpose();
        match (calc, watermark) {
            (Ok(calc), Ok(watermark)) => Box::new(ScanStage {
                input: Arc::clone(&self.input),
                calc,
                watermark,
                reached: None,
                told: None,
            }),
            (Err(error), _) | (_, Err(error)) => Box::new(Broken(error.to_string())),
        }
    }
}

/// A stage whose expressions do not compile: says so at the first batch.
struct Broken(String);

impl SplitStage for Broken {
    fn process(&mut self, _: Batch) -> Result<(Batch, Option<Watermark>), OperatorError> {
        Err(OperatorError::new("TM-SQL-EVALUATION", tidemill_core::Fault::Internal, self.0.clone()))
    }

    fn periodic(&mut self) -> Option<Watermark> {
        None
    }
}

impl SplitStage for ScanStage {
    fn process(&mut self, mut batch: Batch) -> Result<(Batch, Option<Watermark>), OperatorError> {
        let rows = batch.downcast_mut::<ArrowBatch>()?;
        // The connector calls its columns by their names, plans by their numbers.
        rows.records = record_batch(&self.input, rows.records.columns().to_vec(), rows.records.num_rows())?;
        if let Some(watermark) = &self.watermark {
            let values = watermark.evaluate(&rows.records)?;
            let millis = values.as_primitive_opt::<TimestampMillisecondType>();
            let latest = millis.and_then(arrow_arith::aggregate::max);
            self.reached = self.reached.max(latest);
        }
        let result = self.calc.apply(rows)?;
        Ok((Batch::new(result), None))
    }

    fn periodic(&mut self) -> Option<Watermark> {
        if self.reached == self.told {
            return None;
        }
        self.told = self.reached;
        self.reached.map(Watermark)
    }
}
