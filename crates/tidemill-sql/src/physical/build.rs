//! From operators to the graph of a job.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use tidemill_core::graph::ShipStrategy;
use tidemill_core::hash;
use tidemill_runtime::graph::{NodeId, NodeKind, StreamEdge, StreamGraph, StreamNode};
use tidemill_runtime::source::{SourceSpec, WatermarkSettings};

use super::{Distribution, PhysicalKind, PhysicalPlan};
use crate::exec::edge::RowEdge;
use crate::expr::compile::arrow_schema;

/// The graph of a job called `name`.
pub(crate) fn build_graph(plan: &PhysicalPlan, name: &str, watermarks: &WatermarkSettings) -> StreamGraph {
    let mut graph = StreamGraph { name: name.to_owned(), ..StreamGraph::default() };
    let mut ids: Vec<NodeId> = Vec::with_capacity(plan.nodes.len());
    let mut digests: Vec<u64> = Vec::with_capacity(plan.nodes.len());
    let mut seen: HashMap<u64, u32> = HashMap::new();
    for node in &plan.nodes {
        let kind = match &node.kind {
            PhysicalKind::Source { source, stages } => NodeKind::Source(Arc::new(SourceSpec {
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
        // What an operator does and over what says which state is its own: where that stays the same in a changed script,
        // the state fits.
        let of_inputs = node.inputs.iter().fold(hash::bytes(node.detail.as_bytes()), |digest, input| {
            hash::combine(digest, digests[input.node])
        });
        let digest = hash::combine(of_inputs, hash::bytes(node.name.as_bytes()));
        digests.push(digest);
        let times = seen.entry(digest).or_default();
        stream_node.uid = Some(format!("sql-{}-{digest:016x}-{times}", node.name));
        *times += 1;
        stream_node.parallelism = if node.single { Some(1) } else { node.parallelism };
        let id = graph.add_node(stream_node);
        ids.push(id);
        for (number, input) in node.inputs.iter().enumerate() {
            let schema = arrow_schema(plan.nodes[input.node].schema.types());
            let (strategy, edge) = match &input.distribution {
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
