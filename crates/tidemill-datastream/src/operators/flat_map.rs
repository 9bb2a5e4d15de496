//! Any number of records from each.

use std::marker::PhantomData;

use tidemill_core::batch::Batch;
use tidemill_runtime::{BoxError, Operator, OperatorError, Output, Progress};
use tidemill_serialization::Data;

use crate::functions::Collector;
use crate::operators::support::take_records;

/// Calls a function with every record and a collector for what it makes of it.
///
/// ```
/// use tidemill_datastream::Collector;
/// use tidemill_datastream::operators::FlatMapOperator;
/// use tidemill_runtime::operator::boxed;
/// # use tidemill_testkit::{OperatorHarness, unstamped};
///
/// let letters = |text: String, out: &mut Collector<char>| {
///     text.chars().for_each(|letter| out.collect(letter));
///     Ok(())
/// };
/// let mut harness = OperatorHarness::<char>::new(boxed(move || FlatMapOperator::new(letters)));
/// harness.process(0, unstamped(["JFK".to_owned()]))?;
/// assert_eq!(harness.take_values(), ['J', 'F', 'K']);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct FlatMapOperator<T, U, F> {
    function: F,
    types: PhantomData<fn(T) -> U>,
}

impl<T, U, F> FlatMapOperator<T, U, F> {
    /// Calls `function`.
    pub fn new(function: F) -> Self {
        Self { function, types: PhantomData }
    }
}

impl<T, U, F> Operator for FlatMapOperator<T, U, F>
where
    T: Data,
    U: Data,
    F: FnMut(T, &mut Collector<U>) -> Result<(), BoxError> + Send,
{
    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let mut collector = Collector::into(out.fresh());
        let progress = take_records(batch, out, |record: T, timestamp, _| {
            collector.timestamp = timestamp;
            (self.function)(record, &mut collector).map_err(OperatorError::user)?;
            Ok(collector.len() < enough)
        })?;
        out.emit_typed(collector.batch);
        Ok(progress)
    }
}
