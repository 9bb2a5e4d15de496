//! The job: what it is made of and where it is in its life.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use tidemill_core::graph::{JobGraph, JobVertex};
use tidemill_runtime::metrics::{TaskMetrics, TaskState};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::timeline::{Span, Times, status_name};

/// Flink's states of a task.
pub(super) const TASK_STATES: [&str; 10] = [
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "INITIALIZING",
    "RUNNING",
    "FINISHED",
    "CANCELING",
    "CANCELED",
    "FAILED",
    "RECONCILING",
];

/// Flink's states of a job.
const JOB_STATES: [&str; 11] = [
    "INITIALIZING",
    "CREATED",
    "RUNNING",
    "FAILING",
    "FAILED",
    "CANCELLING",
    "CANCELED",
    "FINISHED",
    "RESTARTING",
    "SUSPENDED",
    "RECONCILING",
];

fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Created => "CREATED",
        TaskState::Initializing => "INITIALIZING",
        TaskState::Running => "RUNNING",
        TaskState::Finished => "FINISHED",
        TaskState::Canceled => "CANCELED",
        TaskState::Failed => "FAILED",
    }
}

/// How many tasks are in each of Flink's states.
pub(super) fn count_states(states: impl Iterator<Item = TaskState>) -> Map<String, Value> {
    let mut counts = [0u64; TASK_STATES.len()];
    for state in states {
        let place = TASK_STATES.iter().position(|name| *name == state_name(state));
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    TASK_STATES.iter().zip(counts).map(|(name, count)| ((*name).to_owned(), json!(count))).collect()
}

/// The state of a vertex, from those of its subtasks, as Flink has it.
fn vertex_state(states: &[TaskState]) -> &'static str {
    let any = |state: TaskState| states.contains(&state);
    let all = |state: TaskState| !states.is_empty() && states.iter().all(|other| *other == state);
    if any(TaskState::Failed) {
        "FAILED"
    } else if any(TaskState::Canceled) {
        if states.iter().all(|state| matches!(state, TaskState::Canceled | TaskState::Finished)) {
            "CANCELED"
        } else {
            "CANCELING"
        }
    } else if all(TaskState::Finished) {
        "FINISHED"
    } else if any(TaskState::Running) || any(TaskState::Finished) {
        "RUNNING"
    } else if any(TaskState::Initializing) {
        "INITIALIZING"
    } else {
        "CREATED"
    }
}

pub(super) async fn details(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let times = shared.timeline.observe(&shared.job);
    let graph = shared.job.graph();
    let mut timestamps: Map<String, Value> =
        JOB_STATES.iter().map(|state| ((*state).to_owned(), json!(0))).collect();
    timestamps.extend(times.entered.iter().map(|(state, at)| ((*state).to_owned(), json!(at))));
    let vertices: Vec<Value> = graph.vertices.iter().map(|vertex| describe(vertex, &times)).collect();
    let statuses = vertices.iter().filter_map(|vertex| vertex.get("status")?.as_str());
    let mut status_counts: Map<String, Value> =
        TASK_STATES.iter().map(|state| ((*state).to_owned(), json!(0))).collect();
    for status in statuses {
        if let Some(count) = status_counts.get_mut(status) {
            *count = json!(count.as_u64().unwrap_or(0) + 1);
        }
    }
    let id = shared.job.id();
    Ok(Answer::ok(json!({
        "jid": id,
        // A program is an application of its own.
        "application-id": id,
        "name": graph.name,
        "isStoppable": false,
        "state": status_name(times.status),
        "job-type": "STREAMING",
        "schedulerType": "Adaptive",
        "start-time": times.job.start,
        "end-time": times.job.end_or_none(),
        "duration": times.job.duration(times.now),
        "maxParallelism": -1,
        "now": times.now,
        "timestamps": timestamps,
        "vertices": vertices,
        "status-counts": status_counts,
        "plan": plan_of(&id.to_string(), &graph),
        "pending-operators": 0,
    })))
}

fn describe(vertex: &JobVertex, times: &Times) -> Value {
    let tasks: Vec<&TaskMetrics> =
        times.metrics.tasks.iter().filter(|task| task.vertex == vertex.id).map(|task| &**task).collect();
    let states: Vec<TaskState> = tasks.iter().map(|task| task.state()).collect();
    let span = times.vertices.get(&vertex.id).copied().unwrap_or(Span { start: -1, end: None });
    json!({
        "id": vertex.id,
        "slotSharingGroupId": tidemill_core::OperatorId::from_name(&vertex.slot_sharing_group),
        "name": vertex.name,
        "maxParallelism": vertex.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": vertex_state(&states),
        "start-time": span.start,
        "end-time": span.end_or_none(),
        "duration": if span.start < 0 { -1 } else { span.duration(times.now) },
        "tasks": count_states(states.iter().copied()),
        "metrics": io(&tasks),
    })
}

/// What Flink's reference calls IO.
fn io(tasks: &[&TaskMetrics]) -> Value {
    let sum = |pick: &dyn Fn(&TaskMetrics) -> u64| tasks.iter().map(|task| pick(task)).sum::<u64>();
    let millis = |pick: fn(&tidemill_runtime::metrics::TimeTotals) -> u64| {
        sum(&|task| pick(&task.times.totals())) / 1_000_000
    };
    json!({
        "read-bytes": sum(&|task| task.bytes_in.get()),
        "read-bytes-complete": true,
        "write-bytes": sum(&|task| task.bytes_out.get()),
        "write-bytes-complete": true,
        "read-records": sum(&|task| task.records_in.get()),
        "read-records-complete": true,
        "write-records": sum(&|task| task.records_out.get()),
        "write-records-complete": true,
        "accumulated-backpressured-time": millis(|times| times.back_pressured()),
        "accumulated-idle-time": millis(|times| times.idle()),
        "accumulated-busy-time": millis(|times| times.busy()),
    })
}

pub(super) async fn status(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    Ok(Answer::ok(json!({ "status": status_name(shared.job.status()) })))
}

pub(super) async fn plan(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    Ok(Answer::ok(json!({ "plan": plan_of(&shared.job.id().to_string(), &shared.job.graph()) })))
}

/// The plan by vertices, as this path has it; `explain` shows it by operators.
fn plan_of(jid: &str, graph: &JobGraph) -> Value {
    let nodes: Vec<Value> = graph.vertices.iter().enumerate().map(|(index, _)| node(graph, index)).collect();
    json!({ "jid": jid, "name": graph.name, "type": "STREAMING", "nodes": nodes })
}

fn node(graph: &JobGraph, index: usize) -> Value {
    let Some(vertex) = graph.vertices.get(index) else { return Value::Null };
    let mut node = json!({
        "id": vertex.id,
        "parallelism": vertex.parallelism,
        "operator": "",
        "operator_strategy": "",
        "description": description(vertex),
        "optimizer_properties": {},
    });
    let edges = graph.edges.iter().filter(|edge| edge.target == index).enumerate();
    let inputs: Vec<Value> = edges
        .filter_map(|(number, edge)| {
            let source = graph.vertices.get(edge.source)?;
            Some(json!({
                "num": number,
                "id": source.id,
                "ship_strategy": edge.ship_strategy.name(),
                "exchange": "pipelined_bounded",
            }))
        })
        .collect();
    if let (false, Some(node)) = (inputs.is_empty(), node.as_object_mut()) {
        node.insert("inputs".to_owned(), Value::Array(inputs));
    }
    node
}

/// The chain as a tree, a line an operator.
fn description(vertex: &JobVertex) -> String {
    let mut text = String::new();
    // Operators that are still to be shown, with how deep they are; a chain has no circles.
    let mut open = vec![(0, 0)];
    while let Some((index, depth)) = open.pop() {
        let Some(operator) = vertex.operators.get(index) else { continue };
        if depth > 0 {
            text.push_str(&"   ".repeat(depth - 1));
            text.push_str("+- ");
        }
        for letter in operator.name.chars() {
            match letter {
                '<' => text.push_str("&lt;"),
                '>' => text.push_str("&gt;"),
                '&' => text.push_str("&amp;"),
                other => text.push(other),
            }
        }
        text.push_str("<br/>");
        open.extend(operator.chained_outputs.iter().rev().map(|next| (*next, depth + 1)));
    }
    text
}

/// `?mode=cancel`.
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let query = query.unwrap_or_default();
    let mode = query.split('&').find_map(|part| part.strip_prefix("mode=")).unwrap_or("cancel");
    match mode {
        "cancel" => {
            tracing::info!(job = shared.job.graph().name, "cancelled through the REST interface");
            shared.job.cancel();
            Ok(Answer::accepted(json!({})))
        }
        "stop" => Err(Refusal::new(
            StatusCode::PERMANENT_REDIRECT,
            format!("mode=stop is gone: POST to /jobs/{jid}/stop, which takes a savepoint"),
        )),
        other => Err(Refusal::bad(format!("mode is '{other}': expected cancel"))),
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::graph::JobOperator;
    use tidemill_core::{JobVertexId, OperatorId};

    use super::*;

    #[test]
    fn a_vertex_is_where_its_subtasks_are() {
        use TaskState::*;
        for (states, expected) in [
            (&[Created, Created][..], "CREATED"),
            (&[Created, Initializing], "INITIALIZING"),
            (&[Running, Initializing], "RUNNING"),
            (&[Running, Finished], "RUNNING"),
            (&[Finished, Finished], "FINISHED"),
            (&[Canceled, Running], "CANCELING"),
            (&[Canceled, Finished], "CANCELED"),
            (&[Canceled, Failed], "FAILED"),
            (&[], "CREATED"),
        ] {
            assert_eq!(vertex_state(states), expected, "{states:?}");
        }
    }

    #[test]
    fn a_chain_is_drawn_as_a_tree() {
        let operator = |name: &str, chained_outputs: &[usize]| JobOperator {
            id: OperatorId::from_name(name),
            name: name.to_owned(),
            uid: None,
            chained_outputs: chained_outputs.to_vec(),
        };
        let vertex = JobVertex {
            id: JobVertexId::from_name("a"),
            name: "a".to_owned(),
            operators: vec![
                operator("a", &[1, 3]),
                operator("b<1>", &[2]),
                operator("c", &[]),
                operator("d", &[]),
            ],
            parallelism: 1,
            max_parallelism: 128,
            slot_sharing_group: "default".to_owned(),
        };
        assert_eq!(description(&vertex), "a<br/>+- b&lt;1&gt;<br/>   +- c<br/>+- d<br/>");
    }
}
