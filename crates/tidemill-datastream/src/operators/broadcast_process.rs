//! A stream and a broadcast one, without keys.

use std::marker::PhantomData;

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::Data;
use tidemill_state::{OperatorStateBackend, SubtaskSnapshot};

use crate::broadcast_functions::{BroadcastContext, BroadcastProcessFunction, ReadOnlyContext};
use crate::operators::co_process::ProcessCore;
use crate::operators::support::operator_state;

/// Calls a [`BroadcastProcessFunction`]; the second input is the broadcast one.
///
/// ```
/// use tidemill_datastream::BroadcastProcessFunction;
/// use tidemill_datastream::operators::BroadcastProcessOperator;
/// use tidemill_runtime::Operator;
///
/// fn operator<F: BroadcastProcessFunction<u64, String, String>>(function: F) -> Box<dyn Operator> {
///     Box::new(BroadcastProcessOperator::<u64, String, String, F>::new(function))
/// }
/// ```
pub struct BroadcastProcessOperator<T, B, U, F> {
    function: F,
    core: ProcessCore,
    broadcast: Option<OperatorStateBackend>,
    types: PhantomData<fn(T, B) -> U>,
}

impl<T, B, U, F> BroadcastProcessOperator<T, B, U, F> {
    /// Calls `function`.
    pub fn new(function: F) -> Self {
        Self { function, core: ProcessCore::default(), broadcast: None, types: PhantomData }
    }
}

impl<T, B, U, F> Operator for BroadcastProcessOperator<T, B, U, F>
where
    T: Data,
    B: Data,
    U: Data,
    F: BroadcastProcessFunction<T, B, U>,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.core.open(context);
        let broadcast = self.broadcast.insert(operator_state(context, restored.as_ref())?);
        self.function.open(broadcast).map_err(OperatorError::user)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { function, core, broadcast: Some(broadcast), .. } = self else {
            return Ok(Progress::Done);
        };
        if input == 0 {
            core.take(batch, out, |record, base, out| {
                function.process(record, &mut ReadOnlyContext { base, broadcast }, out)
            })
        } else {
            core.take(batch, out, |record, base, out| {
                function.process_broadcast(record, &mut BroadcastContext { base, broadcast }, out)
            })
        }
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(self.core.advance(watermark, out))
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        Ok(self.broadcast.as_ref().map(OperatorStateBackend::snapshot).unwrap_or_default())
    }

    fn close(&mut self) {
        self.function.close();
    }
}
