//! The general operator without keys, of functions that have operator state.

use std::marker::PhantomData;

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::Data;
use tidemill_state::{OperatorStateBackend, SubtaskSnapshot};

use crate::checkpointed::CheckpointedFunction;
use crate::functions::ProcessFunction;
use crate::operators::co_process::ProcessCore;
use crate::operators::support::operator_state;

/// Calls a [`ProcessFunction`] that is a [`CheckpointedFunction`].
///
/// ```
/// use tidemill_datastream::operators::CheckpointedProcessOperator;
/// use tidemill_datastream::{CheckpointedFunction, ProcessFunction};
/// use tidemill_runtime::Operator;
///
/// fn operator<F: ProcessFunction<u64, u64> + CheckpointedFunction>(function: F) -> Box<dyn Operator> {
///     Box::new(CheckpointedProcessOperator::<u64, u64, F>::new(function))
/// }
/// ```
pub struct CheckpointedProcessOperator<T, U, F> {
    function: F,
    core: ProcessCore,
    states: Option<OperatorStateBackend>,
    types: PhantomData<fn(T) -> U>,
}

impl<T, U, F> CheckpointedProcessOperator<T, U, F> {
    /// Calls `function`.
    pub fn new(function: F) -> Self {
        Self { function, core: ProcessCore::default(), states: None, types: PhantomData }
    }
}

impl<T, U, F> Operator for CheckpointedProcessOperator<T, U, F>
where
    T: Data,
    U: Data,
    F: ProcessFunction<T, U> + CheckpointedFunction,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.core.open(context);
        let states = self.states.insert(operator_state(context, restored.as_ref())?);
        self.function.initialize_state(states).map_err(OperatorError::user)?;
        self.function.open(context).map_err(OperatorError::user)
    }

    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { function, core, .. } = self;
        core.take(batch, out, |record, context, out| function.process(record, context, out))
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(self.core.advance(watermark, out))
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(states) = &mut self.states else { return Ok(SubtaskSnapshot::default()) };
        self.function.snapshot_state(states).map_err(OperatorError::user)?;
        Ok(states.snapshot())
    }

    fn close(&mut self) {
        self.function.close();
    }
}
