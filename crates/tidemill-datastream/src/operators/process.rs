//! The general operator without keys.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Data;
use tidemill_state::{Clock, SubtaskSnapshot, SystemClock};

use crate::functions::{Collector, ProcessContext, ProcessFunction, Sides};
use crate::operators::support::take_records;

/// Calls a [`ProcessFunction`].
///
/// ```
/// use tidemill_datastream::ProcessFunction;
/// use tidemill_datastream::operators::ProcessOperator;
/// use tidemill_runtime::Operator;
///
/// fn operator<F: ProcessFunction<u64, String>>(function: F) -> Box<dyn Operator> {
///     Box::new(ProcessOperator::<u64, String, F>::new(function))
/// }
/// ```
pub struct ProcessOperator<T, U, F> {
    function: F,
    watermark: Watermark,
    clock: Arc<dyn Clock>,
    sides: Sides,
    types: PhantomData<fn(T) -> U>,
}

impl<T, U, F> ProcessOperator<T, U, F> {
    /// Calls `function`.
    pub fn new(function: F) -> Self {
        Self {
            function,
            watermark: Watermark::MIN,
            clock: Arc::new(SystemClock),
            sides: Sides::default(),
            types: PhantomData,
        }
    }
}

impl<T: Data, U: Data, F: ProcessFunction<T, U>> Operator for ProcessOperator<T, U, F> {
    fn open(
        &mut self,
        context: &OperatorContext,
        _restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.clock = Arc::clone(&context.clock);
        self.function.open(context).map_err(OperatorError::user)
    }

    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let mut collector = Collector::into(out.fresh());
        let Self { function, watermark, clock, sides, .. } = self;
        let progress = take_records(batch, out, |record: T, timestamp, _| {
            collector.timestamp = timestamp;
            let mut context = ProcessContext { timestamp, watermark: *watermark, clock: &**clock, sides };
            function.process(record, &mut context, &mut collector).map_err(OperatorError::user)?;
            Ok(collector.len() < enough)
        })?;
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        Ok(progress)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = watermark;
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn close(&mut self) {
        self.function.close();
    }
}
