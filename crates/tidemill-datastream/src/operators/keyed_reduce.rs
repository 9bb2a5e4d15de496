//! A running result for each key.

use std::borrow::Borrow;
use std::cell::Cell;
use std::marker::PhantomData;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::Data;
use tidemill_state::{KeyedStateBackend, SubtaskSnapshot, ValueState, ValueStateDescriptor};

use crate::key::KeySelector;
use crate::operators::support::ensure_hashes;

/// Combines each record with the result of its key and emits what it comes to.
///
/// ```
/// use tidemill_datastream::ByValue;
/// use tidemill_datastream::operators::KeyedReduceOperator;
/// use tidemill_runtime::operator::stateful;
/// # use tidemill_testkit::{OperatorHarness, unstamped};
///
/// let sums = stateful(|| {
///     let add = |sum: &mut (u32, u64), more: (u32, u64)| sum.1 += more.1;
///     KeyedReduceOperator::new(ByValue::new(|record: &(u32, u64)| record.0), add)
/// });
/// let mut harness = OperatorHarness::<(u32, u64)>::new(sums);
/// harness.process(0, unstamped([(7u32, 1u64), (8, 5), (7, 2)]))?;
/// assert_eq!(harness.take_values(), [(7, 1), (8, 5), (7, 3)]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct KeyedReduceOperator<T, S: KeySelector<T>, F> {
    selector: S,
    function: F,
    opened: Option<(KeyedStateBackend<S::Key>, ValueState<T>)>,
    types: PhantomData<fn(T)>,
}

impl<T, S: KeySelector<T>, F> KeyedReduceOperator<T, S, F> {
    /// Combines by `function`.
    pub fn new(selector: S, function: F) -> Self {
        Self { selector, function, opened: None, types: PhantomData }
    }
}

impl<T, S, F> Operator for KeyedReduceOperator<T, S, F>
where
    T: Data,
    S: KeySelector<T>,
    F: Fn(&mut T, T) + Send,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state(restored.as_ref())?;
        let state = backend.register_value(ValueStateDescriptor::new("_op_state"))?;
        self.opened = Some((backend, state));
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let Some((backend, state)) = &mut self.opened else { return Ok(Progress::Done) };
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        ensure_hashes(records, &self.selector);
        let TypedBatch { values, hashes, .. } = records;
        backend.prefetch(hashes);
        for (value, hash) in values.iter_mut().zip(&*hashes) {
            backend.set_current_key(self.selector.key(value).borrow(), *hash)?;
            // The first record of a key is its result as it is; later ones are combined with it.
            let record = Cell::new(Some(value.clone()));
            *value = state.modify(
                backend,
                || record.take().unwrap_or_else(|| value.clone()),
                |result| {
                    if let Some(record) = record.take() {
                        (self.function)(result, record);
                    }
                    result.clone()
                },
            )?;
        }
        hashes.clear();
        out.emit(batch);
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.opened {
            Some((backend, _)) => Ok(context.keyed(backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}
