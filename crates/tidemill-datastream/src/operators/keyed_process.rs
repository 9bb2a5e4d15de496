//! The general operator with keys, state and timers.

use std::marker::PhantomData;

use tidemill_core::batch::Batch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Data;
use tidemill_state::{SubtaskSnapshot, TimeDomain};

use crate::functions::KeyedProcessFunction;
use crate::key::KeySelector;
use crate::operators::keyed_core::{KeyedCore, calls_by_key};

/// Calls a [`KeyedProcessFunction`].
///
/// ```
/// use tidemill_datastream::ByValue;
/// use tidemill_datastream::KeyedProcessFunction;
/// use tidemill_datastream::operators::KeyedProcessOperator;
/// use tidemill_runtime::Operator;
///
/// fn operator<F: KeyedProcessFunction<u64, u64, String>>(function: F) -> Box<dyn Operator> {
///     Box::new(KeyedProcessOperator::<u64, String, _, F>::new(ByValue::new(|number: &u64| *number), function))
/// }
/// ```
pub struct KeyedProcessOperator<T, U, S: KeySelector<T>, F> {
    selector: S,
    function: F,
    core: Option<KeyedCore<S::Key>>,
    types: PhantomData<fn(T) -> U>,
}

impl<T, U, S: KeySelector<T>, F> KeyedProcessOperator<T, U, S, F> {
    /// Calls `function` with the key that `selector` finds.
    pub fn new(selector: S, function: F) -> Self {
        Self { selector, function, core: None, types: PhantomData }
    }
}

impl<T, U, S, F> Operator for KeyedProcessOperator<T, U, S, F>
where
    T: Data,
    U: Data,
    S: KeySelector<T>,
    F: KeyedProcessFunction<S::Key, T, U>,
{
    calls_by_key!();

    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { selector, function, core, .. } = self;
        let Some(core) = core else { return Ok(Progress::Done) };
        core.take(batch, selector, out, |record, context, out| function.process(record, context, out))
    }
}
