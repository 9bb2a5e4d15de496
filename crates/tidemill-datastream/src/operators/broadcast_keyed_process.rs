//! A keyed stream and a broadcast one.

use std::marker::PhantomData;

use tidemill_core::batch::Batch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::Data;
use tidemill_state::{OperatorStateBackend, SubtaskSnapshot, TimeDomain};

use crate::broadcast_functions::{
    KeyedBroadcastContext, KeyedBroadcastProcessFunction, KeyedReadOnlyContext,
};
use crate::key::KeySelector;
use crate::operators::keyed_core::KeyedCore;
use crate::operators::support::operator_state;

/// Calls a [`KeyedBroadcastProcessFunction`]; the second input is the broadcast one.
///
/// ```
/// use tidemill_datastream::KeyedBroadcastProcessFunction;
/// use tidemill_datastream::ByValue;
/// use tidemill_datastream::operators::KeyedBroadcastProcessOperator;
/// use tidemill_runtime::Operator;
///
/// fn operator<F: KeyedBroadcastProcessFunction<u64, u64, String, String>>(function: F) -> Box<dyn Operator> {
///     let by_itself = ByValue::new(|number: &u64| *number);
///     Box::new(KeyedBroadcastProcessOperator::<u64, String, String, _, F>::new(by_itself, function))
/// }
/// ```
pub struct KeyedBroadcastProcessOperator<T, B, U, S: KeySelector<T>, F> {
    selector: S,
    function: F,
    opened: Option<(KeyedCore<S::Key>, OperatorStateBackend)>,
    types: PhantomData<fn(T, B) -> U>,
}

impl<T, B, U, S: KeySelector<T>, F> KeyedBroadcastProcessOperator<T, B, U, S, F> {
    /// Calls `function` with the key that `selector` finds.
    pub fn new(selector: S, function: F) -> Self {
        Self { selector, function, opened: None, types: PhantomData }
    }
}

impl<T, B, U, S, F> Operator for KeyedBroadcastProcessOperator<T, B, U, S, F>
where
    T: Data,
    B: Data,
    U: Data,
    S: KeySelector<T>,
    F: KeyedBroadcastProcessFunction<S::Key, T, B, U>,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut broadcast = operator_state(context, restored.as_ref())?;
        let function = &mut self.function;
        let core =
            KeyedCore::open(context, restored.as_ref(), |states| function.open(states, &mut broadcast))?;
        self.opened = Some((core, broadcast));
        Ok(())
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { selector, function, opened: Some((core, broadcast)), .. } = self else {
            return Ok(Progress::Done);
        };
        if input == 0 {
            core.take(batch, selector, out, |record, keyed, out| {
                function.process(record, &mut KeyedReadOnlyContext { keyed, broadcast }, out)
            })
        } else {
            core.take_unkeyed(batch, out, |record, keyed, base, out| {
                let mut context = KeyedBroadcastContext { base, keyed, broadcast };
                function.process_broadcast(record, &mut context, out)
            })
        }
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { function, opened: Some((core, broadcast)), .. } = self else {
            return Ok(Progress::Done);
        };
        core.advance(watermark, out, |timer, keyed, out| {
            function.on_timer(timer, &mut KeyedReadOnlyContext { keyed, broadcast }, out)
        })
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.opened.as_ref().and_then(|(core, _)| core.next_processing_time())
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { function, opened: Some((core, broadcast)), .. } = self else {
            return Ok(Progress::Done);
        };
        core.fire(TimeDomain::Processing, now, out, |timer, keyed, out| {
            function.on_timer(timer, &mut KeyedReadOnlyContext { keyed, broadcast }, out)
        })
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some((core, broadcast)) = &mut self.opened else { return Ok(SubtaskSnapshot::default()) };
        let mut snapshot = core.snapshot(context)?;
        snapshot.absorb(broadcast.snapshot());
        Ok(snapshot)
    }

    fn close(&mut self) {
        self.function.close();
    }
}
