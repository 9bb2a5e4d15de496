//! From operators to the graph of a job.

use std::panic::Location;
use std::sync::Arc;

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::graph::{NodeId, NodeKind, StreamEdge, StreamGraph, StreamNode};
use tidemill_runtime::source::{SourceSpec, WatermarkSettings};

use super::digest::uids;
use super::{Distribution, PhysicalKind, PhysicalNode, PhysicalPlan};
use crate::exec::edge::RowEdge;
use crate::expr::compile::arrow_schema;

/// Whether changes of rows would be dealt out to subtasks by turns, and come to what follows in any order: then those of equal
/// rows go to one subtask, so that none is taken away before it is there.
fn is_dealt_out(from: &PhysicalNode, to: &PhysicalNode) -> bool {
    let own = |node: &PhysicalNode| if node.single { Some(1) } else { node.parallelism };
    !from.changes.is_insert_only() && own(from) != own(to) && own(to) != Some(1)
}

/// The graph of a job called `name`.
pub(crate) fn build_graph(plan: &PhysicalPlan, name: &str, watermarks: &WatermarkSettings) -> StreamGraph {
    let mut graph = StreamGraph { name: name.to_owned(), ..StreamGraph::default() };
    let mut ids: Vec<NodeId> = Vec::with_capacity(plan.nodes.len());
    for (node, uid) in plan.nodes.iter().zip(uids(plan)) {
        let kind = match &node.kind {
            PhysicalKind::Source { source, stages, .. } => NodeKind::Source(Arc::new(SourceSpec {
                source: Arc::clone(source),
                stage: Arc::new(stages.clone()),
                watermarks: watermarks.clone(),
            })),
            PhysicalKind::Calc(spec) => NodeKind::Operator(Arc::new(spec.clone())),
            PhysicalKind::Operator(factory) => NodeKind::Operator(Arc::clone(factory)),
            PhysicalKind::Sink(factory) => NodeKind::Sink(Arc::clone(factory)),
        };
        let mut stream_node =
            StreamNode::new(format!("{}({})", node.name, node.detail), kind, Location::caller());
        stream_node.uid = Some(uid);
        stream_node.parallelism = if node.single { Some(1) } else { node.parallelism };
        let id = graph.add_node(stream_node);
        ids.push(id);
        for (number, input) in node.inputs.iter().enumerate() {
            let from = &plan.nodes[input.node];
            let schema = arrow_schema(from.schema.types());
            let (strategy, edge) = match &input.distribution {
                Distribution::Any if is_dealt_out(from, node) => {
                    let columns: Vec<usize> = (0..from.schema.len()).collect();
                    (Some(ShipStrategy::Hash), RowEdge::keyed(schema, &columns))
                }
                Distribution::Any => (None, RowEdge::new(schema)),
                Distribution::Hash(keys) => (Some(ShipStrategy::Hash), RowEdge::keyed(schema, keys)),
                // To one subtask, whose keyed state is that of the key without columns.
                Distribution::Single => (Some(ShipStrategy::Hash), RowEdge::keyed(schema, &[])),
            };
            graph.add_edge(StreamEdge {
                source: ids[input.node],
                side_output: None,
                target: id,
                input: number,
                strategy,
                edge: Arc::new(edge),
            });
        }
    }
    graph
}
