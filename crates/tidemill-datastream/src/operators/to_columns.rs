//! Records as columns, for sinks that take those.

use std::marker::PhantomData;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_core::{ArrowBatch, CheckpointId};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::{ArrowRecord, Data};
use tidemill_state::SubtaskSnapshot;

/// A sink of columns that takes records: it turns each batch into columns and is that sink otherwise.
///
/// ```
/// use tidemill_core::{ArrowBatch, Batch, TypedBatch};
/// use tidemill_datastream::operators::ToColumnsOperator;
/// use tidemill_runtime::{Operator, OperatorError, Output, Progress};
/// use tidemill_serialization::Record;
///
/// #[derive(Record, Clone)]
/// #[record(arrow)]
/// struct Delay {
///     minutes: i64,
/// }
///
/// struct Rows;
///
/// impl Operator for Rows {
///     fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
///         assert_eq!(batch.downcast_ref::<ArrowBatch>()?.records.num_rows(), 2);
///         Ok(Progress::Done)
///     }
/// }
///
/// let delays = TypedBatch::from_values(vec![Delay { minutes: 7 }, Delay { minutes: -2 }]);
/// let mut sink = ToColumnsOperator::<Delay>::new(Box::new(Rows));
/// sink.process(0, Batch::new(delays), &mut Output::default())?;
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct ToColumnsOperator<T> {
    sink: Box<dyn Operator>,
    records: PhantomData<fn(T)>,
}

impl<T> ToColumnsOperator<T> {
    /// Hands columns to `sink`.
    pub fn new(sink: Box<dyn Operator>) -> Self {
        Self { sink, records: PhantomData }
    }
}

impl<T: Data + ArrowRecord> Operator for ToColumnsOperator<T> {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.sink.open(context, restored)
    }

    fn process(
        &mut self,
        input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        // A batch that the sink has kept comes back as columns.
        if batch.downcast_ref::<ArrowBatch>().is_ok() {
            return self.sink.process(input, batch, out);
        }
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        let mut columns = ArrowBatch::inserts(T::to_arrow(&records.values)?);
        columns.timestamps = std::mem::take(&mut records.timestamps);
        self.sink.process(input, Batch::new(columns), out)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.sink.watermark(watermark, out)
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.sink.idle(idle, out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.sink.next_processing_time()
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.sink.processing_time(now, out)
    }

    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.sink.woken(out)
    }

    fn has_room(&self) -> bool {
        self.sink.has_room()
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.sink.finish(out)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        self.sink.snapshot(context)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.sink.checkpoint_complete(checkpoint)
    }

    fn checkpoint_aborted(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.sink.checkpoint_aborted(checkpoint)
    }

    fn close(&mut self) {
        self.sink.close();
    }
}
