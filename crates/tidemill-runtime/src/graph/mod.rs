//! From what an API builds to what the cluster runs: [`StreamGraph`] → chains → [`ExecutionPlan`].

mod chaining;
mod edge;
mod explain;
mod place;
mod regions;
mod settings;
mod stream_graph;

pub use chaining::{Exchange, ExecutionPlan, VertexPlan};
pub use edge::{EdgeType, RouterContext, TypedEdge, reached_subtasks, reaching_subtasks};
pub use explain::{explain_json, explain_text};
pub use place::Place;
pub use settings::JobSettings;
pub use stream_graph::{ChainingStrategy, NodeId, NodeKind, StreamEdge, StreamGraph, StreamNode};
pub use tidemill_network::BufferTimeout;
