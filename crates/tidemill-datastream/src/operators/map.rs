//! One record from each.

use std::marker::PhantomData;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_runtime::{Operator, OperatorError, Output, Progress};
use tidemill_serialization::Data;

/// Applies a function to every record; timestamps stay.
///
/// ```
/// use tidemill_datastream::operators::MapOperator;
/// use tidemill_runtime::operator::boxed;
/// # use tidemill_testkit::{OperatorHarness, unstamped};
///
/// let mut harness = OperatorHarness::<u64>::new(boxed(|| MapOperator::new(|number: u64| number * 2)));
/// harness.process(0, unstamped([1u64, 2]))?;
/// assert_eq!(harness.take_values(), [2, 4]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct MapOperator<T, U, F> {
    function: F,
    types: PhantomData<fn(T) -> U>,
}

impl<T, U, F> MapOperator<T, U, F> {
    /// Applies `function`.
    ///
    /// ```
    /// use tidemill_datastream::operators::MapOperator;
    /// # use tidemill_runtime::operator::boxed;
    /// # use tidemill_testkit::{OperatorHarness, unstamped};
    ///
    /// let text = boxed(|| MapOperator::new(|number: u64| number.to_string()));
    /// let mut harness = OperatorHarness::<String>::new(text);
    /// harness.process(0, unstamped([7u64]))?;
    /// assert_eq!(harness.take_values(), ["7"]);
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    pub fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<T: Data, U: Data, F: FnMut(T) -> U + Send> Operator for MapOperator<T, U, F> {
    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let mut mapped = out.fresh::<U>();
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        mapped.values.extend(records.values.drain(..).map(&mut self.function));
        std::mem::swap(&mut mapped.timestamps, &mut records.timestamps);
        out.emit_typed(mapped);
        out.recycle(batch);
        Ok(Progress::Done)
    }
}
