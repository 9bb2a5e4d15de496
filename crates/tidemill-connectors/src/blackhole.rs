//! A sink that forgets.

use std::sync::Arc;

use tidemill_core::Batch;
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::SubtaskSnapshot;

/// Takes records of any type, counts them (`numRecordsSend`) and forgets them.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_runtime::{OperatorContext, OperatorFactory, Output};
/// # use tidemill_state::SystemClock;
/// use tidemill_connectors::BlackholeSink;
///
/// let mut sink = BlackholeSink.create(0)?;
/// # let context = OperatorContext::detached(0, 1, 128, Arc::new(SystemClock));
/// # sink.open(&context, None)?;
/// sink.process(0, Batch::new(TypedBatch::from_values(vec![1u64, 2])), &mut Output::default())?;
/// assert_eq!(context.metrics.own_value("numRecordsSend"), Some(2));
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
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
