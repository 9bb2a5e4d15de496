//! Takes the operators that the API makes out of a job, so that a harness can drive them.

use tidemill_datastream::{DataStream, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill_runtime::graph::NodeKind;
use tidemill_serialization::Data;

use crate::support::{Never, Shared};

/// The operator that `build` adds last to a stream of `T`, and the parallelism that it has.
pub(crate) fn last_operator<T: Data, U: Data>(
    build: impl FnOnce(DataStream<T>) -> DataStream<U>,
) -> (Shared, u32) {
    let env = StreamExecutionEnvironment::default();
    env.set_parallelism(3).unwrap();
    build(env.from_source(Never, WatermarkStrategy::no_watermarks(), "source"));
    let mut plan = env.plan("test").unwrap();
    let parallelism = plan.parallelism.pop().unwrap();
    match plan.graph.nodes.pop().unwrap().kind {
        NodeKind::Operator(factory) => (Shared(factory), parallelism),
        _ => panic!("the last node is no operator"),
    }
}
