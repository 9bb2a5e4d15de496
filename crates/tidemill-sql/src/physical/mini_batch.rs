//! Where bundles end: behind each table whose rows come to aggregations that let them wait.

use std::sync::Arc;

use super::{Distribution, Input, PhysicalId, PhysicalKind, PhysicalNode, PhysicalPlan};
use crate::exec::mini_batch_assigner::{MarkMode, MiniBatchAssignerSpec};

/// The name of the operator.
pub(super) const ASSIGNER: &str = "MiniBatchAssigner";

/// Operators that let rows wait.
const BUNDLING: [&str; 3] = ["GroupAggregate", "LocalGroupAggregate", "GlobalGroupAggregate"];

/// Operators that may go by event time.
const BY_EVENT_TIME: [&str; 11] = [
    "WindowAggregate",
    "WindowTableFunction",
    "WindowRank",
    "WindowDeduplicate",
    "WindowJoin",
    "IntervalJoin",
    "TemporalJoin",
    "OverAggregate",
    "Match",
    "TemporalSort",
    "Deduplicate",
];

/// Adds an operator that marks intervals of so many milliseconds behind each source whose rows wait somewhere. Whoever else reads the
/// source gets its own watermarks. `roots` are where they are then.
pub(crate) fn add_assigners(plan: &mut PhysicalPlan, roots: &mut [PhysicalId], interval: i64) {
    let count = plan.nodes.len();
    // Whether rows wait, or event time matters, at each node or behind it; inputs stand before those that read them.
    let (mut waits, mut goes_by_time) = (vec![false; count], vec![false; count]);
    // Whether a node is read by one at which rows wait, and whether event time matters to such a one.
    let mut marked: Vec<Option<bool>> = vec![None; count];
    for (id, node) in plan.nodes.iter().enumerate().rev() {
        waits[id] |= BUNDLING.contains(&node.name);
        goes_by_time[id] |= BY_EVENT_TIME.contains(&node.name);
        for input in &node.inputs {
            waits[input.node] |= waits[id];
            goes_by_time[input.node] |= goes_by_time[id];
            if waits[id] {
                *marked[input.node].get_or_insert_default() |= goes_by_time[id];
            }
        }
    }
    // Where each node is now, and where it is read by those at which rows wait.
    let mut moved: Vec<(PhysicalId, PhysicalId)> = Vec::with_capacity(count);
    let mut nodes: Vec<PhysicalNode> = Vec::with_capacity(count);
    for (id, mut node) in std::mem::take(&mut plan.nodes).into_iter().enumerate() {
        for input in &mut node.inputs {
            let (plain, with_marks) = moved[input.node];
            input.node = if waits[id] { with_marks } else { plain };
        }
        let mode = match (&node.kind, marked[id]) {
            (PhysicalKind::Source { stages, .. }, Some(by_time)) => {
                let has_time = stages.watermark.is_some();
                Some(if has_time && by_time { MarkMode::RowTime } else { MarkMode::ProcTime })
            }
            _ => None,
        };
        let place = nodes.len();
        let marks = mode.map(|mode| assigner(place, &node, interval, mode));
        nodes.push(node);
        nodes.extend(marks);
        moved.push((place, nodes.len() - 1));
    }
    roots.iter_mut().for_each(|root| *root = moved[*root].0);
    plan.nodes = nodes;
}

fn assigner(id: PhysicalId, source: &PhysicalNode, interval: i64, mode: MarkMode) -> PhysicalNode {
    PhysicalNode {
        name: ASSIGNER,
        detail: format!("interval=[{interval}ms], mode=[{}]", mode.name()),
        kind: PhysicalKind::Operator(Arc::new(MiniBatchAssignerSpec { interval, mode })),
        inputs: vec![Input { node: id, distribution: Distribution::Any }],
        schema: source.schema.clone(),
        changes: source.changes,
        single: source.single,
        parallelism: source.parallelism,
    }
}

/// What is read at `id`: the table itself, if an operator that marks intervals is between.
pub(super) fn below_assigner(plan: &PhysicalPlan, id: PhysicalId) -> PhysicalId {
    match &plan.nodes[id] {
        node if node.name == ASSIGNER => node.inputs.first().map_or(id, |input| input.node),
        _ => id,
    }
}
