//! The process, and which jobs are in it: one.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};
use tidemill_runtime::cluster::JobStatus;

use super::Shared;
use super::answer::Answer;
use super::job::{TASK_STATES, count_states};
use super::timeline::status_name;

/// The version of Flink whose interface this is: clients look at it.
const FLINK_VERSION: &str = "2.3.0";
const COMMIT: &str = concat!("tidemill-", env!("CARGO_PKG_VERSION"));

pub(super) async fn overview(State(shared): State<Arc<Shared>>) -> Answer {
    let times = shared.timeline.observe(&shared.job);
    let is = |wanted: &[JobStatus]| u32::from(wanted.contains(&times.status));
    let ended = is(&[JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed]) == 1;
    let in_use = if ended { 0 } else { shared.slots_in_use() };
    let slots = shared.description.slots.unwrap_or_else(|| shared.slots_in_use());
    Answer::ok(json!({
        "taskmanagers": 1,
        "slots-total": slots,
        "slots-available": slots.saturating_sub(in_use),
        "jobs-running": u32::from(!ended),
        "jobs-finished": is(&[JobStatus::Finished]),
        "jobs-cancelled": is(&[JobStatus::Canceled]),
        "jobs-failed": is(&[JobStatus::Failed]),
        "flink-version": FLINK_VERSION,
        "flink-commit": COMMIT,
    }))
}

impl Shared {
    /// As many of each group as its widest vertex has subtasks.
    fn slots_in_use(&self) -> u32 {
        let mut widest = std::collections::BTreeMap::new();
        for vertex in &self.job.graph().vertices {
            let slots = widest.entry(vertex.slot_sharing_group.clone()).or_insert(0);
            *slots = vertex.parallelism.max(*slots);
        }
        widest.values().sum()
    }
}

pub(super) async fn config(State(_): State<Arc<Shared>>) -> Answer {
    Answer::ok(json!({
        "refresh-interval": 3000,
        "timezone-name": "Coordinated Universal Time",
        "timezone-offset": 0,
        "flink-version": FLINK_VERSION,
        "flink-revision": COMMIT,
        "features": { "web-submit": false, "web-cancel": true, "web-rescale": true, "web-history": false },
    }))
}

pub(super) async fn jobs(State(shared): State<Arc<Shared>>) -> Answer {
    let status = status_name(shared.job.status());
    Answer::ok(json!({ "jobs": [{ "id": shared.job.id(), "status": status }] }))
}

pub(super) async fn jobs_overview(State(shared): State<Arc<Shared>>) -> Answer {
    let times = shared.timeline.observe(&shared.job);
    let counts = count_states(times.metrics.tasks.iter().map(|task| task.state()));
    let mut tasks = serde_json::Map::new();
    tasks.insert("total".to_owned(), json!(times.metrics.tasks.len()));
    for state in TASK_STATES {
        let count = counts.get(state).cloned().unwrap_or(Value::from(0));
        tasks.insert(state.to_ascii_lowercase(), count);
    }
    Answer::ok(json!({ "jobs": [{
        "jid": shared.job.id(),
        "name": shared.job.graph().name,
        "jobType": "STREAMING",
        "schedulerType": "Adaptive",
        "start-time": times.job.start,
        "end-time": times.job.end_or_none(),
        "duration": times.job.duration(times.now),
        "state": status_name(times.status),
        "last-modification": times.last_modification,
        "tasks": tasks,
        "pending-operators": 0,
    }] }))
}
