//! Takes the operators that the API makes out of a job, so that a harness can drive them.

use std::sync::Arc;

use tidemill_datastream::{DataStream, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill_runtime::graph::NodeKind;
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{OperatorContext, OperatorError, OperatorFactory};
use tidemill_serialization::Data;

/// Stands where a source has to be; nothing is ever read.
struct NoSource;

impl Source for NoSource {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        _restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        unreachable!("the job is not run")
    }

    fn create_reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        unreachable!("the job is not run")
    }
}

/// A factory that is shared, as one of its own.
pub(crate) struct Shared(pub(crate) Arc<dyn OperatorFactory>);

impl OperatorFactory for Shared {
    fn create(&self, subtask: u32) -> Result<Box<dyn tidemill_runtime::Operator>, OperatorError> {
        self.0.create(subtask)
    }

    fn is_stateful(&self) -> bool {
        self.0.is_stateful()
    }
}

/// The operator that `build` adds last to a stream of `T`, and the parallelism that it has.
pub(crate) fn last_operator<T: Data, U: Data>(
    build: impl FnOnce(DataStream<T>) -> DataStream<U>,
) -> (Shared, u32) {
    let env = StreamExecutionEnvironment::default();
    env.set_parallelism(3).unwrap();
    build(env.from_source(NoSource, WatermarkStrategy::no_watermarks(), "source"));
    let mut plan = env.plan("test").unwrap();
    let parallelism = plan.parallelism.pop().unwrap();
    match plan.graph.nodes.pop().unwrap().kind {
        NodeKind::Operator(factory) => (Shared(factory), parallelism),
        _ => panic!("the last node is no operator"),
    }
}
