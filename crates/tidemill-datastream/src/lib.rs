//! The typed DataStream API: a job is a program that builds a graph of operators over Rust types and executes it.
//!
//! Start with a [`StreamExecutionEnvironment`]; a source gives a [`DataStream`], whose methods add operators.

mod async_io;
mod broadcast;
mod broadcast_functions;
mod checkpointed;
mod connected;
mod connected_functions;
mod environment;
mod functions;
pub mod joins;
mod key;
mod keyed_stream;
mod operator_access;
pub mod operators;
mod output_tag;
mod sink;
mod stream;
pub mod watermark;
mod windowed_stream;
pub mod windows;

pub use async_io::{AsyncFunction, AsyncOptions, RetryStrategy};
pub use broadcast::{BroadcastConnectedStream, BroadcastStream, KeyedBroadcastConnectedStream};
pub use broadcast_functions::{
    BroadcastContext, BroadcastProcessFunction, KeyedBroadcastContext, KeyedBroadcastProcessFunction,
    KeyedReadOnlyContext, ReadOnlyContext,
};
pub use checkpointed::CheckpointedFunction;
pub use connected::{ConnectedKeyedStreams, ConnectedStreams};
pub use connected_functions::{CoProcessFunction, KeyedCoProcessFunction};
pub use environment::{Executor, JobResult, LocalExecutor, StreamExecutionEnvironment};
pub use functions::{
    Collector, FiredTimer, KeyedContext, KeyedProcessFunction, ProcessContext, ProcessFunction,
};
pub use joins::{IntervalJoin, IntervalJoined, JoinContext, ProcessJoinFunction};
pub use key::{ByRef, ByValue, KeySelector};
pub use keyed_stream::KeyedStream;
pub use output_tag::OutputTag;
pub use sink::Sink;
pub use stream::DataStream;
pub use watermark::{WatermarkGenerator, WatermarkStrategy};
pub use windowed_stream::{AllWindowedStream, WindowedStream};
