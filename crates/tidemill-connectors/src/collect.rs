//! A sink into a vector.

use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_core::{ArrowBatch, Batch, TypedBatch};
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
/// # use tidemill_core::{ArrowBatch, Batch, TypedBatch};
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

/// Collects rows of columns in memory, with the kinds of their changes: for tests, and for results that are
/// known to be small.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_runtime::{OperatorFactory, Output};
/// use arrow_array::{ArrayRef, Int64Array, RecordBatch};
/// use tidemill_connectors::CollectRowsSink;
/// use tidemill_core::batch::RowKind;
/// use tidemill_core::{ArrowBatch, Batch};
///
/// let counts: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
/// let mut rows = ArrowBatch::inserts(RecordBatch::try_from_iter([("count", counts)]).unwrap());
/// rows.kinds = Some([RowKind::Insert, RowKind::Delete].into());
///
/// let sink = CollectRowsSink::new();
/// let results = sink.results();
/// // Give the sink to a job, run it, and then:
/// # sink.create(0)?.process(0, Batch::new(rows), &mut Output::default())?;
/// assert_eq!(results.len(), 2);
/// # #[cfg(feature = "print")]
/// assert_eq!(results.texts(), ["+I[1]", "-D[null]"]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CollectRowsSink {
    collected: CollectedRows,
}

/// What a [`CollectRowsSink`] has collected. Clones see the same rows.
///
/// ```
/// use tidemill_connectors::{CollectRowsSink, CollectedRows};
///
/// let results: CollectedRows = CollectRowsSink::new().results();
/// assert!(results.is_empty() && results.take().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CollectedRows(Arc<Mutex<Vec<ArrowBatch>>>);

impl CollectedRows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.lock().iter().map(|rows| rows.records.num_rows()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the rows out: those of one subtask in their order, those of several mixed.
    pub fn take(&self) -> Vec<ArrowBatch> {
        std::mem::take(&mut *self.0.lock())
    }

    /// The rows as Flink prints them, `+I[1, abc, null]`; they stay.
    #[cfg(feature = "print")]
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for rows in &*self.0.lock() {
            crate::print::each_row(rows, crate::cells::Dialect::Java, |kind, row| {
                texts.push(format!("{kind}[{row}]"))
            });
        }
        texts
    }
}

impl CollectRowsSink {
    /// A sink that has nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle on the rows.
    pub fn results(&self) -> CollectedRows {
        self.collected.clone()
    }
}

impl OperatorFactory for CollectRowsSink {
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(CollectRowsOperator(self.results())))
    }
}

struct CollectRowsOperator(CollectedRows);

impl Operator for CollectRowsOperator {
    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        let (records, kinds, timestamps) =
            (rows.records.clone(), rows.kinds.clone(), rows.timestamps.clone());
        self.0.0.lock().push(ArrowBatch { records, kinds, timestamps, hashes: Vec::new() });
        out.recycle(batch);
        Ok(Progress::Done)
    }
}
