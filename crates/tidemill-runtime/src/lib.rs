//! The engine: what runs a graph of operators.
//!
//! An API builds a [`graph::StreamGraph`]; [`graph::ExecutionPlan`] cuts it into chains; [`cluster::EmbeddedCluster`]
//! gives each subtask of each chain a thread, buffers and credit, and watches over them until they end. An operator is an
//! [`operator::Operator`], a source is a [`source::Source`].

pub mod checkpoint;
pub mod cluster;
pub mod console;
pub mod context;
pub mod error;
pub mod generic_types;
pub mod graph;
pub mod metrics;
pub mod operator;
pub mod snapshot_context;
pub mod source;
mod task;
pub mod valve;

pub use context::OperatorContext;
pub use error::{JobError, OperatorFailure};
pub use operator::{
    BoxError, DEFAULT_BATCH_RECORDS, Emission, Operator, OperatorError, OperatorFactory, OperatorWaker,
    Output, Progress,
};
pub use snapshot_context::SnapshotContext;
pub use task::panics;
