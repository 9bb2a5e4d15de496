//! Two operators without state, one for each input.

use tidemill_core::batch::Batch;
use tidemill_runtime::{Operator, OperatorError, Output, Progress};

/// Hands the batches of the first input to one operator and those of the second to another. Neither may have anything to
/// do but take batches: watermarks pass by them.
///
/// ```
/// use tidemill_datastream::operators::{EachInputOperator, MapOperator};
/// use tidemill_runtime::operator::boxed;
/// # use tidemill_testkit::{OperatorHarness, unstamped};
///
/// let texts = boxed(|| {
///     EachInputOperator::new(MapOperator::new(|number: u64| number.to_string()), MapOperator::new(|text: String| text))
/// });
/// let mut harness = OperatorHarness::<String>::new(texts);
/// harness.process(0, unstamped([7u64]))?;
/// harness.process(1, unstamped(["seven".to_owned()]))?;
/// assert_eq!(harness.take_values(), ["7", "seven"]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct EachInputOperator<A, B> {
    first: A,
    second: B,
}

impl<A, B> EachInputOperator<A, B> {
    /// Reads the first input with `first`, the second with `second`.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Operator, B: Operator> Operator for EachInputOperator<A, B> {
    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if input == 0 { self.first.process(0, batch, out) } else { self.second.process(0, batch, out) }
    }
}
