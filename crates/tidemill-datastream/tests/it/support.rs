//! Streams of a job that is never run, and the operators that are added to them.

use std::sync::Arc;

use tidemill_core::Fault;
use tidemill_datastream::{DataStream, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory};
use tidemill_serialization::Data;

/// A source of a job that is never run.
struct Never;

fn never<A>() -> Result<A, OperatorError> {
    Err(OperatorError::new("TM-TEST", Fault::Internal, "this source is never read"))
}

impl Source for Never {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        _restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        never()
    }

    fn create_reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        never()
    }
}

/// Two streams of one job.
pub(crate) fn streams<A: Data, B: Data>() -> (DataStream<A>, DataStream<B>) {
    let env = StreamExecutionEnvironment::default();
    let first = env.from_source(Never, WatermarkStrategy::no_watermarks(), "first");
    (first, env.from_source(Never, WatermarkStrategy::no_watermarks(), "second"))
}

/// A stream.
pub(crate) fn stream<T: Data>() -> DataStream<T> {
    streams::<T, ()>().0
}

/// What makes the operator that was added last.
pub(crate) fn operator<U: Data>(stream: &DataStream<U>) -> Arc<dyn OperatorFactory> {
    stream.operator_factory().expect("an operator")
}

/// The same, where a factory is taken by value.
pub(crate) struct Shared(Arc<dyn OperatorFactory>);

impl OperatorFactory for Shared {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        self.0.create(subtask)
    }
}

pub(crate) fn shared<U: Data>(stream: &DataStream<U>) -> Shared {
    Shared(operator(stream))
}
