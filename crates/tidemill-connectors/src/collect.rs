//! A sink into a vector.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_core::{Batch, TypedBatch};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};
use tidemill_serialization::Data;

/// Collects records in memory: for tests, and for results that are known to be small.
///
/// ```
/// use tidemill_connectors::CollectSink;
///
/// let sink = CollectSink::<u64>::new();
/// let results = sink.results();
/// // Give the sink to a job, run it, and then:
/// assert!(results.take().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct CollectSink<T> {
    collected: Collected<T>,
}

/// What a [`CollectSink`] has collected. Clones see the same records.
///
/// ```
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_runtime::{OperatorFactory, Output};
/// use tidemill_connectors::{CollectSink, Collected};
///
/// let sink = CollectSink::<u64>::new();
/// let results: Collected<u64> = sink.results();
/// let mut subtask = sink.create(0)?;
/// subtask.process(0, Batch::new(TypedBatch::from_values(vec![1u64, 2])), &mut Output::default())?;
/// assert_eq!(results.len(), 2);
/// assert_eq!(results.take(), [1, 2]);
/// assert!(results.is_empty());
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Collected<T>(Arc<Mutex<Vec<T>>>);

impl<T> Collected<T> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Takes the records out: those of one subtask in their order, those of several mixed.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl<T: Data> CollectSink<T> {
    /// A sink that has nothing yet.
    pub fn new() -> Self {
        Self { collected: Collected(Arc::default()) }
    }

    /// A handle on the records.
    pub fn results(&self) -> Collected<T> {
        self.collected.clone()
    }
}

impl<T: Data> Default for CollectSink<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Data> OperatorFactory for CollectSink<T> {
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(CollectOperator(self.results())))
    }
}

struct CollectOperator<T>(Collected<T>);

impl<T: Data> Operator for CollectOperator<T> {
    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.0.0.lock().append(&mut batch.downcast_mut::<TypedBatch<T>>()?.values);
        out.recycle(batch);
        Ok(Progress::Done)
    }
}
