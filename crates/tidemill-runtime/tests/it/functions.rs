//! Small operators out of closures.

use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::Timestamp;
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};
use tidemill_serialization::Data;

struct Each<F>(F);

impl<F> Operator for Each<F>
where
    F: FnMut(usize, Batch, &mut Output) -> Result<Progress, OperatorError> + Send,
{
    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        (self.0)(input, batch, out)
    }
}

/// A function from input and record to a record.
pub(crate) fn map<T: Data, U: Data>(
    function: impl Fn(usize, &T) -> U + Clone + Send + Sync + 'static,
) -> impl OperatorFactory + 'static {
    boxed(move || {
        let function = function.clone();
        Each(move |input: usize, batch: Batch, out: &mut Output| {
            let records = batch.downcast_ref::<TypedBatch<T>>()?;
            let mut mapped = TypedBatch::<U>::default();
            for (index, value) in records.values.iter().enumerate() {
                mapped.push(function(input, value), records.timestamp(index));
            }
            out.emit_typed(mapped);
            Ok(Progress::Done)
        })
    })
}

/// Sends records that a function picks to the main output, all others to a side output.
pub(crate) fn split<T: Data>(
    tag: &str,
    picks: impl Fn(&T) -> bool + Clone + Send + Sync + 'static,
) -> impl OperatorFactory + 'static {
    let tag: Arc<str> = tag.into();
    boxed(move || {
        let (tag, picks) = (Arc::clone(&tag), picks.clone());
        Each(move |_: usize, batch: Batch, out: &mut Output| {
            let records = batch.downcast_ref::<TypedBatch<T>>()?;
            let (mut main, mut side) = (TypedBatch::<T>::default(), TypedBatch::<T>::default());
            for (index, value) in records.values.iter().enumerate() {
                let to = if picks(value) { &mut main } else { &mut side };
                to.push(value.clone(), records.timestamp(index));
            }
            out.emit_typed(main);
            out.emit_side(&tag, Batch::new(side));
            Ok(Progress::Done)
        })
    })
}

/// Emits each record for ever, one batch a call: an operator that always has more to say.
pub(crate) fn endless() -> impl OperatorFactory + 'static {
    boxed(|| {
        Each(|_: usize, batch: Batch, out: &mut Output| {
            out.emit(batch.clone());
            out.keep(batch);
            Ok(Progress::More)
        })
    })
}

/// Records with the numbers of `range`, each at its number as its timestamp.
pub(crate) fn numbers(range: std::ops::Range<u32>) -> Vec<(u32, Timestamp)> {
    range.map(|number| (number, Timestamp::from(number))).collect()
}
