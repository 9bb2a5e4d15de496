//! Only the records that pass.

use std::marker::PhantomData;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_runtime::{Operator, OperatorError, Output, Progress};
use tidemill_serialization::Data;

/// Keeps the records for which a function answers true, in place.
///
/// ```
/// use tidemill_datastream::operators::FilterOperator;
/// use tidemill_runtime::operator::boxed;
/// # use tidemill_testkit::{OperatorHarness, unstamped};
///
/// let mut harness = OperatorHarness::<u64>::new(boxed(|| FilterOperator::new(|number: &u64| *number > 1)));
/// harness.process(0, unstamped([1u64, 2, 3]))?;
/// assert_eq!(harness.take_values(), [2, 3]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct FilterOperator<T, F> {
    passes: F,
    types: PhantomData<fn(T)>,
}

impl<T, F> FilterOperator<T, F> {
    /// Keeps what `passes`.
    ///
    /// ```
    /// use tidemill_datastream::operators::FilterOperator;
    /// # use tidemill_runtime::operator::boxed;
    /// # use tidemill_testkit::{OperatorHarness, unstamped};
    ///
    /// let mut harness = OperatorHarness::<u64>::new(boxed(|| FilterOperator::new(|number: &u64| number % 2 == 0)));
    /// harness.process(0, unstamped([1u64, 2, 3, 4]))?;
    /// assert_eq!(harness.take_values(), [2, 4]);
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    pub fn new(passes: F) -> Self {
        Self { passes, types: PhantomData }
    }
}

impl<T: Data, F: FnMut(&T) -> bool + Send> Operator for FilterOperator<T, F> {
    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let TypedBatch { values, timestamps, hashes } = batch.downcast_mut::<TypedBatch<T>>()?;
        hashes.clear();
        if timestamps.is_empty() {
            values.retain(&mut self.passes);
        } else {
            // Timestamps are kept by the same decisions, made on the fly.
            let mut kept = 0;
            let mut index = 0;
            values.retain(|value| {
                let passes = (self.passes)(value);
                timestamps[kept] = timestamps[index];
                kept += usize::from(passes);
                index += 1;
                passes
            });
            timestamps.truncate(kept);
        }
        out.emit(batch);
        Ok(Progress::Done)
    }
}
