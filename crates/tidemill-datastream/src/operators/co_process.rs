//! The general operator of two streams without keys.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_runtime::{BoxError, Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Data;
use tidemill_state::{Clock, SubtaskSnapshot, SystemClock};

use crate::connected_functions::CoProcessFunction;
use crate::functions::{Collector, ProcessContext, Sides};
use crate::operators::support::take_records;

/// Calls a [`CoProcessFunction`].
///
/// ```
/// use tidemill_datastream::CoProcessFunction;
/// use tidemill_datastream::operators::CoProcessOperator;
/// use tidemill_runtime::Operator;
///
/// fn operator<F: CoProcessFunction<u64, String, String>>(function: F) -> Box<dyn Operator> {
///     Box::new(CoProcessOperator::<u64, String, String, F>::new(function))
/// }
/// ```
pub struct CoProcessOperator<A, B, U, F> {
    function: F,
    core: ProcessCore,
    types: PhantomData<fn(A, B) -> U>,
}

/// What an operator without keys calls functions with.
pub(crate) struct ProcessCore {
    watermark: Watermark,
    clock: Arc<dyn Clock>,
    sides: Sides,
}

impl Default for ProcessCore {
    fn default() -> Self {
        Self { watermark: Watermark::MIN, clock: Arc::new(SystemClock), sides: Sides::default() }
    }
}

impl ProcessCore {
    pub(crate) fn open(&mut self, context: &OperatorContext) {
        self.clock = Arc::clone(&context.clock);
    }

    /// Calls `call` with each record, until a batch of output is full.
    pub(crate) fn take<T: Data, U: Data>(
        &mut self,
        batch: Batch,
        out: &mut Output,
        mut call: impl FnMut(T, &mut ProcessContext<'_>, &mut Collector<U>) -> Result<(), BoxError>,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let mut collector = Collector::into(out.fresh());
        let Self { watermark, clock, sides } = self;
        let progress = take_records(batch, out, |record: T, timestamp, _| {
            collector.timestamp = timestamp;
            let mut context = ProcessContext { timestamp, watermark: *watermark, clock: &**clock, sides };
            call(record, &mut context, &mut collector).map_err(OperatorError::user)?;
            Ok(collector.len() < enough)
        })?;
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        Ok(progress)
    }

    pub(crate) fn advance(&mut self, watermark: Watermark, out: &mut Output) -> Progress {
        self.watermark = watermark;
        out.watermark(watermark);
        Progress::Done
    }
}

impl<A, B, U, F> CoProcessOperator<A, B, U, F> {
    /// Calls `function`.
    pub fn new(function: F) -> Self {
        Self { function, core: ProcessCore::default(), types: PhantomData }
    }
}

impl<A, B, U, F> Operator for CoProcessOperator<A, B, U, F>
where
    A: Data,
    B: Data,
    U: Data,
    F: CoProcessFunction<A, B, U>,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        _restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.core.open(context);
        self.function.open(context).map_err(OperatorError::user)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { function, core, .. } = self;
        if input == 0 {
            core.take(batch, out, |record, context, out| function.process1(record, context, out))
        } else {
            core.take(batch, out, |record, context, out| function.process2(record, context, out))
        }
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(self.core.advance(watermark, out))
    }

    fn close(&mut self) {
        self.function.close();
    }
}
