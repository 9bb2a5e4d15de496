//! A sink that forgets.

use std::sync::Arc;

use tidemill_core::Batch;
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::SubtaskSnapshot;

/// Takes records of any type, counts them (`numRecordsSend`) and forgets them.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlackholeSink;

impl OperatorFactory for BlackholeSink {
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(BlackholeOperator { records: None }))
    }
}

struct BlackholeOperator {
    records: Option<Arc<Counter>>,
}

impl Operator for BlackholeOperator {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.records = Some(context.metrics.counter("numRecordsSend"));
        Ok(())
    }

    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if let Some(records) = &self.records {
            records.add(batch.len() as u64);
        }
        // Its memory serves the operator before once more.
        out.recycle(batch);
        Ok(Progress::Done)
    }
}
