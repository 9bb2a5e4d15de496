//! The general operator of two keyed streams.

use std::marker::PhantomData;

use tidemill_core::batch::Batch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Data;
use tidemill_state::{SubtaskSnapshot, TimeDomain};

use crate::connected_functions::KeyedCoProcessFunction;
use crate::key::KeySelector;
use crate::operators::keyed_core::{KeyedCore, calls_by_key};

/// Calls a [`KeyedCoProcessFunction`].
///
/// ```
/// use tidemill_datastream::ByValue;
/// use tidemill_datastream::KeyedCoProcessFunction;
/// use tidemill_datastream::operators::KeyedCoProcessOperator;
/// use tidemill_runtime::Operator;
///
/// fn operator<F: KeyedCoProcessFunction<u64, u64, u64, u64>>(function: F) -> Box<dyn Operator> {
///     let by_itself = ByValue::new(|number: &u64| *number);
///     Box::new(KeyedCoProcessOperator::<u64, u64, u64, _, _, F>::new(by_itself.clone(), by_itself, function))
/// }
/// ```
pub struct KeyedCoProcessOperator<A, B, U, S: KeySelector<A>, R, F> {
    first: S,
    second: R,
    function: F,
    core: Option<KeyedCore<S::Key>>,
    types: PhantomData<fn(A, B) -> U>,
}

impl<A, B, U, S: KeySelector<A>, R, F> KeyedCoProcessOperator<A, B, U, S, R, F> {
    /// Calls `function` with the keys that `first` and `second` find in the records of the two inputs.
    pub fn new(first: S, second: R, function: F) -> Self {
        Self { first, second, function, core: None, types: PhantomData }
    }
}

impl<A, B, U, S, R, F> Operator for KeyedCoProcessOperator<A, B, U, S, R, F>
where
    A: Data,
    B: Data,
    U: Data,
    S: KeySelector<A>,
    R: KeySelector<B, Key = S::Key>,
    F: KeyedCoProcessFunction<S::Key, A, B, U>,
{
    calls_by_key!();

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { first, second, function, core, .. } = self;
        let Some(core) = core else { return Ok(Progress::Done) };
        if input == 0 {
            core.take(batch, first, out, |record, context, out| function.process1(record, context, out))
        } else {
            core.take(batch, second, out, |record, context, out| function.process2(record, context, out))
        }
    }
}
