//! The cluster behind a gateway: where its JobManager is, and what a job does there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::gateway::Gateway;
use crate::Error;
use crate::cli::jobs::client::{Client, Problem};
use crate::cli::jobs::printable;

/// Where the REST interface of a JobManager is when nothing else is said.
const DEFAULT_PORT: u16 = 8081;

/// The JobManager of the cluster at `url`, which may be its own address or that of its SQL Gateway.
pub(in crate::cli) fn job_manager(url: &str) -> Result<Client, Error> {
    let client = Client::at_url(url, DEFAULT_PORT, "/v1")?;
    match client.get("/config") {
        Ok(config) if config.get("flink-version").is_some() => return Ok(client),
        Ok(_) | Err(Problem::Refused { .. } | Problem::Nonsense(_)) => {}
        Err(problem) => return Err(problem.error("ask the cluster", &client.address)),
    }
    let Ok(gateway) = Gateway::connect(url) else {
        return Err(Error::NoInterface {
            address: client.address,
            reason: "neither a JobManager of Apache Flink nor a SQL Gateway answers".to_owned(),
        });
    };
    let properties = gateway.session(&BTreeMap::new())?.properties()?;
    behind(&gateway, &properties).map_err(|reason| Error::Unreachable {
        address: client.address,
        reason: format!("a SQL Gateway answers, but {reason}; give the address of the JobManager instead"),
    })
}

/// The JobManager that a gateway sends jobs to, by the options of a session; or why it cannot be found.
pub(super) fn behind(gateway: &Gateway, properties: &BTreeMap<String, String>) -> Result<Client, String> {
    let get = |key: &str| properties.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
    let address = get("rest.address").or_else(|| get("jobmanager.rpc.address"));
    let port = get("rest.port").unwrap_or("8081");
    if let Some(target) = get("execution.target").filter(|target| *target != "remote") {
        return Err(format!("its jobs run on '{target}', whose address it does not tell"));
    }
    let scheme = match get("security.ssl.rest.enabled") {
        Some("true") => "https",
        _ => "http",
    };
    // What a gateway calls 'localhost' is its own machine.
    let own = gateway.client().root().split_once("://").map_or("", |(_, rest)| rest);
    let own = own.split('/').next().unwrap_or(own);
    let own = own.rsplit_once(':').map_or(own, |(host, _)| host);
    let is_local = |host: &str| ["localhost", "127.0.0.1", "0.0.0.0", "::1", "[::1]"].contains(&host);
    let address = address.filter(|address| !is_local(address)).unwrap_or(own);
    let url = format!("{scheme}://{address}:{port}");
    let client = Client::at_url(&url, DEFAULT_PORT, "/v1").map_err(|error| error.to_string())?;
    match client.get("/config") {
        Ok(config) if config.get("flink-version").is_some() => Ok(client),
        Ok(_) | Err(Problem::Nonsense(_) | Problem::Refused { .. }) => {
            Err(format!("what answers at {url} is no JobManager"))
        }
        Err(Problem::Gone(reason) | Problem::Lost(reason)) => {
            Err(format!("its JobManager does not answer at {url} ({reason})"))
        }
    }
}

/// A job on a cluster.
pub(super) struct ClusterJob<'a> {
    pub(super) client: &'a Client,
    pub(super) id: String,
}

/// How a job is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct JobStatus {
    pub(super) name: String,
    /// Flink's word for it.
    pub(super) state: String,
    pub(super) duration: Duration,
    /// How many records its sources have read, if it counts them.
    pub(super) records: Option<u64>,
    /// How many of its tasks run, and how many there are.
    pub(super) tasks: (u64, u64),
}

impl JobStatus {
    pub(super) fn is_over(&self) -> bool {
        ["FINISHED", "CANCELED", "FAILED", "SUSPENDED"].contains(&self.state.as_str())
    }

    /// Of what `/jobs/:id` answers.
    fn of(answer: &Value) -> Option<Self> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(printable);
        let vertices = answer.get("vertices").and_then(Value::as_array);
        let inner = inner_vertices(answer);
        let written = |vertex: &Value| {
            let id = vertex.get("id")?.as_str()?;
            let metrics = vertex.get("metrics")?;
            let count = metrics.get("write-records")?.as_u64()?;
            (!inner.contains(&id)).then_some(count)
        };
        // A job of one vertex does not count what stays within it.
        let counts = vertices.filter(|vertices| vertices.len() > 1);
        let records = counts.map(|vertices| vertices.iter().filter_map(written).sum());
        let count = |name: &str| answer.get("status-counts").and_then(|counts| counts.get(name)?.as_u64());
        let all = answer.get("status-counts").and_then(Value::as_object);
        let all = all.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum());
        let vertices_in = |state: &str| count(state).unwrap_or(0);
        Some(Self {
            name: text("name")?,
            state: text("state")?,
            duration: Duration::from_millis(answer.get("duration").and_then(Value::as_u64).unwrap_or(0)),
            records,
            tasks: (vertices_in("RUNNING") + vertices_in("FINISHED"), all),
        })
    }
}

/// The vertices that read others, by their ids.
fn inner_vertices(answer: &Value) -> Vec<&str> {
    let nodes = answer.get("plan").and_then(|plan| plan.get("nodes")?.as_array()).into_iter().flatten();
    let reads =
        |node: &&Value| node.get("inputs").and_then(Value::as_array).is_some_and(|inputs| !inputs.is_empty());
    nodes.filter(reads).filter_map(|node| node.get("id")?.as_str()).collect()
}

impl ClusterJob<'_> {
    /// How it is doing.
    pub(super) fn status(&self) -> Result<JobStatus, Problem> {
        let answer = self.client.get(&format!("/jobs/{}", self.id))?;
        JobStatus::of(&answer).ok_or_else(|| Problem::Nonsense("it describes no job".to_owned()))
    }

    /// What is to be said of its checkpoints: how many, and what the last one cost.
    pub(super) fn checkpoints(&self) -> Option<String> {
        checkpoints(&self.client.get(&format!("/jobs/{}/checkpoints", self.id)).ok()?)
    }

    /// Why it failed: a stack trace.
    pub(super) fn failure(&self) -> Option<String> {
        let answer = self.client.get(&format!("/jobs/{}/exceptions", self.id)).ok()?;
        let entry = answer.get("exceptionHistory")?.get("entries")?.as_array()?.first()?;
        entry.get("stacktrace").and_then(Value::as_str).map(printable)
    }

    /// Has it end as it is.
    pub(super) fn cancel(&self) -> Result<(), Problem> {
        self.client.patch(&format!("/jobs/{}?mode=cancel", self.id)).map(|_| ())
    }

    /// Where it is shown.
    pub(super) fn dashboard(&self) -> String {
        format!("{}/#/job/running/{}/overview", self.client.root(), self.id)
    }
}

fn checkpoints(answer: &Value) -> Option<String> {
    let completed = answer.get("counts")?.get("completed")?.as_u64()?;
    let failed = answer.get("counts")?.get("failed").and_then(Value::as_u64).unwrap_or(0);
    if completed + failed == 0 {
        return None;
    }
    let word = if completed == 1 { "checkpoint" } else { "checkpoints" };
    let mut text = format!("{completed} {word}");
    if let Some(last) = answer.get("latest")?.get("completed").filter(|last| !last.is_null()) {
        let number = |name: &str| last.get(name).and_then(Value::as_u64).unwrap_or(0);
        let size = indicatif::HumanBytes(number("state_size"));
        text.push_str(&format!(" (last {} ms, {size})", number("end_to_end_duration")));
    }
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As a JobManager of Flink 2.3.0 has answered, shortened.
    fn job() -> Value {
        json!({
            "jid": "a30757aa1a6e76a37f16846809325072",
            "name": "insert-into_default_catalog.default_database.bh",
            "state": "RUNNING", "job-type": "STREAMING", "duration": 14743,
            "vertices": [
                {"id": "cbc357ccb763df2852fee8c4fc7d55f2", "name": "Source: g[420] -> Calc[421]", "parallelism": 1,
                 "metrics": {"read-records": 0, "read-records-complete": true, "write-records": 12000}},
                {"id": "9dd63673dd41ea021b896d5203f3ba7c", "name": "bh[422]: Writer", "parallelism": 1,
                 "metrics": {"read-records": 11990, "read-records-complete": true, "write-records": 5}},
            ],
            "status-counts": {"RUNNING": 2, "CANCELING": 0, "FINISHED": 1, "CREATED": 1},
            "plan": {"nodes": [
                {"id": "9dd63673dd41ea021b896d5203f3ba7c", "inputs": [{"num": 0, "id": "cbc357ccb763df2852fee8c4fc7d55f2"}]},
                {"id": "cbc357ccb763df2852fee8c4fc7d55f2"},
            ]},
        })
    }

    #[test]
    fn records_are_those_of_sources() {
        let status = JobStatus::of(&job()).unwrap();
        let expected = JobStatus {
            name: "insert-into_default_catalog.default_database.bh".to_owned(),
            state: "RUNNING".to_owned(),
            duration: Duration::from_millis(14743),
            records: Some(12000),
            tasks: (3, 4),
        };
        assert_eq!(status, expected);
        assert!(!status.is_over());
        let mut alone = job();
        alone["vertices"].as_array_mut().unwrap().truncate(1);
        assert_eq!(JobStatus::of(&alone).unwrap().records, None);
        assert_eq!(JobStatus::of(&json!({"errors": []})), None);
    }

    #[test]
    fn checkpoints_are_told_once_there_are_some() {
        let answer = |completed: u64, failed: u64| {
            json!({
                "counts": {"restored": 0, "total": completed + failed, "in_progress": 0, "completed": completed, "failed": failed},
                "latest": {"completed": {"id": 8, "state_size": 4096, "end_to_end_duration": 14}},
            })
        };
        assert_eq!(checkpoints(&answer(0, 0)), None);
        assert_eq!(checkpoints(&answer(1, 0)).as_deref(), Some("1 checkpoint (last 14 ms, 4.00 KiB)"));
        assert_eq!(
            checkpoints(&answer(8, 2)).as_deref(),
            Some("8 checkpoints (last 14 ms, 4.00 KiB), 2 failed")
        );
    }
}
