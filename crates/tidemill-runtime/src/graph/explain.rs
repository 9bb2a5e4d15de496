//! The plan, for people and for tools.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::graph::chaining::{ExecutionPlan, display_name};
use crate::graph::stream_graph::NodeKind;

/// The plan as a text: one block a vertex, with what flows into it.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// use tidemill_runtime::graph::explain_text;
///
/// assert!(explain_text(&plan).starts_with("Job 'numbers': vertices 1, subtasks 1, slots 1\n"));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
pub fn explain_text(plan: &ExecutionPlan) -> String {
    let mut text = String::new();
    let job = &plan.job;
    let slots: u32 = plan.slots_by_group().values().sum();
    let subtasks: u32 = job.vertices.iter().map(|vertex| vertex.parallelism).sum();
    let _ = writeln!(
        text,
        "Job '{}': vertices {}, subtasks {subtasks}, slots {slots}",
        job.name,
        job.vertices.len()
    );
    for (index, vertex) in job.vertices.iter().enumerate() {
        let _ = writeln!(text, "\n[{}] {}", index + 1, vertex.name);
        let _ = writeln!(
            text,
            "    id {}  parallelism {}  max parallelism {}  slot sharing group '{}'",
            vertex.id, vertex.parallelism, vertex.max_parallelism, vertex.slot_sharing_group
        );
        for edge in job.edges.iter().filter(|edge| edge.target == index) {
            let side =
                edge.side_output.as_ref().map(|tag| format!(", side output '{tag}'")).unwrap_or_default();
            let _ = writeln!(
                text,
                "    <- [{}] {} (input {}{side})",
                edge.source + 1,
                edge.ship_strategy,
                edge.target_input + 1
            );
        }
        for operator in &vertex.operators {
            let uid = operator.uid.as_ref().map(|uid| format!("  uid '{uid}'")).unwrap_or_default();
            let _ = writeln!(text, "    - {}  operator {}{uid}", operator.name, operator.id);
        }
    }
    text
}

/// The plan in the form of Flink's `getExecutionPlan()`: one node an operator.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// use tidemill_runtime::graph::explain_json;
///
/// assert_eq!(explain_json(&plan)["nodes"][0]["type"], "Source: numbers");
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
pub fn explain_json(plan: &ExecutionPlan) -> Value {
    let graph = &plan.graph;
    let nodes: Vec<Value> = graph
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let name = display_name(graph, index);
            let mut entry = json!({
                "id": index + 1,
                "type": name,
                "pact": match node.kind {
                    NodeKind::Source(_) => "Data Source",
                    NodeKind::Operator(_) => "Operator",
                    NodeKind::Sink(_) => "Data Sink",
                },
                "contents": name,
                "parallelism": plan.parallelism[index],
            });
            if let Some(vertex) = plan.vertices.iter().position(|vertex| vertex.nodes.contains(&index)) {
                // Not in Flink's plan, but what `pipeline.jobvertex-parallelism-overrides` needs.
                entry["vertex"] = json!(plan.job.vertices[vertex].id);
            }
            let predecessors: Vec<Value> = graph
                .inputs(index)
                .map(|(edge, input)| {
                    json!({
                        "id": input.source + 1,
                        "ship_strategy": plan.strategies[edge].name(),
                        "side": if input.input == 0 { "first" } else { "second" },
                    })
                })
                .collect();
            if !predecessors.is_empty() {
                entry["predecessors"] = Value::Array(predecessors);
            }
            entry
        })
        .collect();
    json!({ "nodes": nodes })
}
