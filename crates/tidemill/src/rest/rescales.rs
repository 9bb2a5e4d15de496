//! Another parallelism for a running job, and what came of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use tidemill_core::JobVertexId;
use tidemill_core::graph::JobGraph;
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::Rescaled;

use super::Shared;
use super::answer::{Answer, Refusal};
use super::control::on_thread;
use super::routes::vertex;
use super::timeline::{is_over, now};

/// How many are remembered.
const HISTORY: usize = 64;

#[derive(Default)]
pub(super) struct Rescales(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The newest last.
    history: VecDeque<Rescale>,
    counts: Counts,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    begun: u64,
    completed: u64,
    failed: u64,
}

struct Rescale {
    uuid: String,
    requirements: String,
    attempt: u64,
    /// For each vertex: the parallelism it had, and the one it is to have.
    vertices: BTreeMap<JobVertexId, (String, u32, u32)>,
    started: i64,
    ended: Option<(i64, Result<Rescaled, String>)>,
}

impl Rescale {
    fn is(&self, wanted: Ended) -> bool {
        match &self.ended {
            None => false,
            Some((_, Ok(_))) => wanted == Ended::Completed,
            Some((_, Err(_))) => wanted == Ended::Failed,
        }
    }

    fn json(&self) -> Value {
        let vertices: serde_json::Map<String, Value> = self
            .vertices
            .iter()
            .map(|(id, (name, before, wanted))| {
                let after = match &self.ended {
                    Some((_, Ok(_))) => Some(wanted),
                    Some((_, Err(_))) => Some(before),
                    None => None,
                };
                let fields = json!({
                    "jobVertexId": id,
                    "jobVertexName": name,
                    "preRescaleParallelism": before,
                    "desiredParallelism": wanted,
                    "postRescaleParallelism": after,
                });
                (id.to_string(), fields)
            })
            .collect();
        let (ended, outcome) = match &self.ended {
            None => (-1, None),
            Some((at, outcome)) => (*at, Some(outcome)),
        };
        let mut fields = json!({
            "rescaleUuid": self.uuid,
            "resourceRequirementsUuid": self.requirements,
            "rescaleAttemptId": self.attempt,
            "vertices": vertices,
            "slots": {},
            "schedulerStates": [],
            "startTimestampInMillis": self.started,
            "endTimestampInMillis": ended,
            "terminalState": outcome.map(|outcome| if outcome.is_ok() { "COMPLETED" } else { "FAILED" }),
            "triggerCause": "UPDATE_REQUIREMENT",
            "terminatedReason": outcome.map(|outcome| if outcome.is_ok() { "SUCCEEDED" } else { "EXCEPTION_OCCURRED" }),
        });
        // Beyond what Flink tells.
        match (outcome, fields.as_object_mut()) {
            (Some(Ok(rescaled)), Some(fields)) => {
                let downtime = u64::try_from(rescaled.downtime.as_millis()).unwrap_or(u64::MAX);
                fields.insert("downtimeInMillis".to_owned(), json!(downtime));
                fields.insert("savepoint".to_owned(), json!(rescaled.savepoint));
            }
            (Some(Err(message)), Some(fields)) => {
                fields.insert("failureMessage".to_owned(), json!(message));
            }
            _ => {}
        }
        fields
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Completed,
    Failed,
}

impl Rescales {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that one begins; `None` while another is under way.
    fn begin(&self, vertices: BTreeMap<JobVertexId, (String, u32, u32)>) -> Option<String> {
        let mut inner = self.lock();
        if inner.history.back().is_some_and(|last| last.ended.is_none()) {
            return None;
        }
        inner.counts.begun += 1;
        let uuid = random_uuid();
        let rescale = Rescale {
            uuid: uuid.clone(),
            requirements: random_uuid(),
            attempt: inner.counts.begun,
            vertices,
            started: now(),
            ended: None,
        };
        inner.history.push_back(rescale);
        if inner.history.len() > HISTORY {
            inner.history.pop_front();
        }
        Some(uuid)
    }

    fn finish(&self, uuid: &str, outcome: Result<Rescaled, JobError>) {
        let mut inner = self.lock();
        match &outcome {
            Ok(_) => inner.counts.completed += 1,
            Err(_) => inner.counts.failed += 1,
        }
        let outcome = outcome.map_err(|error| super::control::failed(&error).message);
        if let Some(rescale) = inner.history.iter_mut().find(|rescale| rescale.uuid == uuid) {
            rescale.ended = Some((now(), outcome));
        }
    }
}

fn random_uuid() -> String {
    format!("{:032x}", rand::random::<u128>())
}

pub(super) async fn requirements(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let graph = shared.job.graph();
    let vertices: serde_json::Map<String, Value> = graph
        .vertices
        .iter()
        .map(|vertex| {
            let bounds = json!({ "parallelism": { "lowerBound": 1, "upperBound": vertex.parallelism } });
            (vertex.id.to_string(), bounds)
        })
        .collect();
    Ok(Answer::ok(Value::Object(vertices)))
}

pub(super) async fn rescale(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
    bytes: Bytes,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    if is_over(shared.job.status()) {
        return Err(Refusal::not_found("the job has ended"));
    }
    let graph = shared.job.graph();
    let wanted = read_requirements(&bytes, &graph)?;
    let changes: BTreeMap<JobVertexId, (String, u32, u32)> = graph
        .vertices
        .iter()
        .filter_map(|vertex| {
            let wanted = wanted.get(&vertex.id)?;
            Some((vertex.id, (vertex.name.clone(), vertex.parallelism, *wanted)))
        })
        .collect();
    if changes.values().all(|(_, before, wanted)| before == wanted) {
        return Ok(Answer::ok(json!({})));
    }
    let uuid = shared.rescales.begin(changes);
    let uuid = uuid.ok_or_else(|| {
        Refusal::unavailable("the job is being rescaled already: ask again when that has ended")
    })?;
    let location = format!("/jobs/{jid}/rescales/details/{uuid}");
    let of_thread = (Arc::clone(&shared), uuid.clone());
    let spawned = on_thread("rescale", move || {
        let (shared, uuid) = of_thread;
        let outcome = shared.job.rescale(&wanted);
        shared.rescales.finish(&uuid, outcome);
    });
    if let Err(source) = spawned {
        shared.rescales.finish(&uuid, Err(JobError::Thread { task: "the rescale".to_owned(), source }));
    }
    Ok(Answer::ok(json!({})).at(location))
}

fn read_requirements(bytes: &Bytes, graph: &JobGraph) -> Result<BTreeMap<JobVertexId, u32>, Refusal> {
    let body: BTreeMap<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::bad(format!("the body must be a JSON object of vertices: {error}")))?;
    let mut wanted = BTreeMap::new();
    for (text, requirement) in &body {
        let id = vertex(text)?;
        let known = graph.vertices.iter().find(|vertex| vertex.id == id);
        let known = known.ok_or_else(|| Refusal::bad(format!("the job has no vertex {id}")))?;
        let bound = |name: &str| {
            let value = requirement.get("parallelism").and_then(|bounds| bounds.get(name));
            value
                .and_then(Value::as_u64)
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .ok_or_else(|| {
                    Refusal::bad(format!("vertex {id} must have a parallelism.{name}: a whole number from 1"))
                })
        };
        let (lower, upper) = (bound("lowerBound")?, bound("upperBound")?);
        if lower > upper {
            return Err(Refusal::bad(format!(
                "vertex {id}: the lowerBound {lower} is above the upperBound {upper}"
            )));
        }
        if upper > known.max_parallelism {
            return Err(Refusal::bad(format!(
                "vertex {id} ({}) cannot have {upper} subtasks: its max parallelism is {}",
                known.name, known.max_parallelism
            )));
        }
        wanted.insert(id, upper);
    }
    if let Some(missing) = graph.vertices.iter().find(|vertex| !wanted.contains_key(&vertex.id)) {
        return Err(Refusal::bad(format!(
            "vertex {} ({}) is missing: the body must name all vertices",
            missing.id, missing.name
        )));
    }
    Ok(wanted)
}

pub(super) async fn overview(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let inner = shared.rescales.lock();
    let latest = |wanted| inner.history.iter().rev().find(|rescale| rescale.is(wanted)).map(Rescale::json);
    let Counts { begun, completed, failed } = inner.counts;
    Ok(Answer::ok(json!({
        "rescalesCounts": {
            "ignored": 0,
            "inProgress": begun - completed - failed,
            "completed": completed,
            "failed": failed,
        },
        "latest": { "completed": latest(Ended::Completed), "failed": latest(Ended::Failed), "ignored": null },
    })))
}

pub(super) async fn history(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let inner = shared.rescales.lock();
    Ok(Answer::ok(inner.history.iter().rev().map(Rescale::json).collect()))
}

pub(super) async fn details(
    State(shared): State<Arc<Shared>>,
    Path((jid, uuid)): Path<(String, String)>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let inner = shared.rescales.lock();
    let found = inner.history.iter().find(|rescale| rescale.uuid == uuid);
    found
        .map(|rescale| Answer::ok(rescale.json()))
        .ok_or_else(|| Refusal::not_found(format!("there is no rescale {uuid}")))
}
