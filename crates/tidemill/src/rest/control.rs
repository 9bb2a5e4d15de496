//! Savepoints, checkpoints, and ending the job with a savepoint.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use tidemill_checkpoint::coordinator::ManualCheckpoint;
use tidemill_core::{AfterSavepoint, Classified, JobId, SavepointFormat};
use tidemill_runtime::JobError;

use super::Shared;
use super::answer::{Answer, Refusal};
use super::operations::{Begun, Failed, Kind, Outcome};

/// The body of a request: an object, of which the known parts are taken out one by one.
pub(super) struct Body(Map<String, Value>);

impl Body {
    pub(super) fn read(bytes: &Bytes) -> Result<Self, Refusal> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Refusal::bad("the body must be a JSON object")),
            Err(error) => Err(Refusal::bad(format!("the body is no JSON: {error}"))),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
            Some(_) => Err(Refusal::bad(format!("'{name}' must be a text"))),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(Refusal::bad(format!("'{name}' must be true or false"))),
        }
    }

    /// The id that the request is to have, or a new one.
    fn trigger(&mut self) -> Result<u128, Refusal> {
        self.text("triggerId")?.map_or_else(|| Ok(rand::random()), |text| trigger(&text))
    }

    fn format(&mut self) -> Result<SavepointFormat, Refusal> {
        match self.text("formatType")?.as_deref() {
            None | Some("CANONICAL") => Ok(SavepointFormat::Canonical),
            Some("NATIVE") => Ok(SavepointFormat::Native),
            Some(other) => {
                Err(Refusal::bad(format!("formatType is '{other}': expected CANONICAL or NATIVE")))
            }
        }
    }

    /// A misspelt name must not be left out silently: it may be the one that says where to.
    fn end(self) -> Result<(), Refusal> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::bad(format!("'{name}' is not known here"))),
        }
    }
}

/// Sees that a savepoint would outlive the process of its job.
fn lasting(folder: Option<&str>) -> Result<(), Refusal> {
    match folder.map(str::trim) {
        Some(folder) if folder.to_ascii_lowercase().starts_with("memory:") => Err(Refusal::bad(format!(
            "{folder} is in the process of the job and would end with it: name a folder or a bucket for the savepoint"
        ))),
        _ => Ok(()),
    }
}

/// The id of a request.
fn trigger(text: &str) -> Result<u128, Refusal> {
    let id: JobId = text.parse().map_err(|error| Refusal::bad(format!("the request's id: {error}")))?;
    Ok(id.0)
}

impl Shared {
    fn check_lasting(&self, folder: Option<&str>) -> Result<(), Refusal> {
        lasting(folder.or(self.description.storage.settings().savepoint_dir.as_deref()))
    }
}

/// Begins what takes longer than an answer may.
fn begin(
    shared: &Arc<Shared>,
    kind: Kind,
    id: u128,
    run: impl FnOnce(&Shared) -> Outcome + Send + 'static,
) -> Result<Answer, Refusal> {
    match shared.operations.begin(kind, id) {
        Begun::New => {
            let of_thread = Arc::clone(shared);
            let spawned = on_thread("request", move || {
                let outcome = run(&of_thread);
                of_thread.operations.finish(kind, id, outcome);
            });
            if let Err(error) = spawned {
                let message = format!("a thread for the request could not be started: {error}");
                shared.operations.finish(kind, id, Err(Failed { code: "TM-JOB-THREAD", message }));
            }
        }
        Begun::Known => {}
        Begun::TooMany => {
            return Err(Refusal::unavailable(
                "too many requests are under way: ask again when some have ended",
            ));
        }
    }
    Ok(Answer::accepted(json!({ "request-id": format!("{id:032x}") })))
}

/// Runs what waits for the job or the storage: not on a thread that answers, nor on any of an asynchronous runtime, on which the
/// storage does not wait.
pub(super) fn on_thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(format!("tidemill-{name}")).spawn(run).map(drop)
}

pub(super) fn failed(error: &JobError) -> Failed {
    let message = match error {
        // The job has not failed, only what it was asked for.
        JobError::Checkpoints { reason, .. } | JobError::Snapshot { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    Failed { code: error.code(), message }
}

fn ask(shared: &Shared, kind: Kind, text: &str) -> Result<Answer, Refusal> {
    let id = trigger(text)?;
    let answer = shared.operations.ask(kind, id);
    answer.map(Answer::ok).ok_or_else(|| Refusal::not_found(format!("there is no request {text}")))
}

pub(super) async fn savepoint(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
    bytes: Bytes,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let mut body = Body::read(&bytes)?;
    let (folder, cancel) = (body.text("target-directory")?, body.flag("cancel-job")?);
    let (format, id) = (body.format()?, body.trigger()?);
    body.end()?;
    begin_savepoint(&shared, id, folder, format, AfterSavepoint::GoOn, cancel)
}

fn begin_savepoint(
    shared: &Arc<Shared>,
    id: u128,
    folder: Option<String>,
    format: SavepointFormat,
    after: AfterSavepoint,
    cancel: bool,
) -> Result<Answer, Refusal> {
    shared.check_lasting(folder.as_deref())?;
    begin(shared, Kind::Savepoint, id, move |shared| {
        let complete = shared.job.savepoint(format, after, folder.as_deref());
        let complete = complete.map_err(|error| failed(&error))?;
        if cancel {
            shared.job.cancel();
        }
        Ok(json!({ "location": complete.external_path }))
    })
}

pub(super) async fn savepoint_status(
    State(shared): State<Arc<Shared>>,
    Path((jid, trigger)): Path<(String, String)>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    ask(&shared, Kind::Savepoint, &trigger)
}

pub(super) async fn stop(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
    bytes: Bytes,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let mut body = Body::read(&bytes)?;
    let (folder, drain) = (body.text("targetDirectory")?, body.flag("drain")?);
    let (format, id) = (body.format()?, body.trigger()?);
    body.end()?;
    let after = if drain { AfterSavepoint::Drain } else { AfterSavepoint::Stop };
    begin_savepoint(&shared, id, folder, format, after, false)
}

pub(super) async fn checkpoint(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
    bytes: Bytes,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let mut body = Body::read(&bytes)?;
    let checkpoint = match body.text("checkpointType")?.as_deref() {
        None | Some("CONFIGURED") => ManualCheckpoint::Configured,
        Some("FULL") => ManualCheckpoint::Full,
        Some("INCREMENTAL") => ManualCheckpoint::Incremental,
        Some(other) => {
            let message = format!("checkpointType is '{other}': expected CONFIGURED, FULL or INCREMENTAL");
            return Err(Refusal::bad(message));
        }
    };
    let id = body.trigger()?;
    body.end()?;
    begin(&shared, Kind::Checkpoint, id, move |shared| {
        let complete = shared.job.checkpoint_of(checkpoint).map_err(|error| failed(&error))?;
        Ok(json!({ "checkpointId": complete.id }))
    })
}

pub(super) async fn checkpoint_status(
    State(shared): State<Arc<Shared>>,
    Path((jid, trigger)): Path<(String, String)>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    ask(&shared, Kind::Checkpoint, &trigger)
}

/// Deletes a savepoint.
pub(super) async fn dispose(State(shared): State<Arc<Shared>>, bytes: Bytes) -> Result<Answer, Refusal> {
    let mut body = Body::read(&bytes)?;
    let path = body.text("savepoint-path")?;
    let path = path.ok_or_else(|| Refusal::bad("'savepoint-path' must say which savepoint"))?;
    let id = body.trigger()?;
    body.end()?;
    begin(&shared, Kind::Disposal, id, move |shared| {
        let storage = &shared.description.storage;
        let deleted = storage.at(&path).and_then(|folder| {
            let metadata = storage.block_on(folder.read_metadata())?;
            // A checkpoint is its job's, and others may need its files.
            if metadata.kind.is_savepoint() {
                storage.block_on(folder.delete())?;
            }
            Ok(metadata.kind.is_savepoint())
        });
        match deleted {
            Ok(true) => Ok(json!({})),
            Ok(false) => Err(Failed {
                code: "TM-REST-NO-SAVEPOINT",
                message: format!(
                    "{path} is a checkpoint, which its job owns: only savepoints are disposed of"
                ),
            }),
            Err(error) => Err(Failed { code: error.code(), message: error.to_string() }),
        }
    })
}

pub(super) async fn disposal_status(
    State(shared): State<Arc<Shared>>,
    Path(trigger): Path<String>,
) -> Result<Answer, Refusal> {
    ask(&shared, Kind::Disposal, &trigger)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn read(text: &'static str) -> Result<Body, u16> {
        Body::read(&Bytes::from_static(text.as_bytes()))
            .map_err(|refusal| refusal.into_response().status().as_u16())
    }

    #[test]
    fn bodies_are_read_strictly() {
        for text in ["{", "[]", "7", "\"a\"", "{\"a\":}"] {
            assert_eq!(read(text).map(|_| ()), Err(400), "{text}");
        }
        let mut body =
            read(r#"{"drain": true, "formatType": "NATIVE", "targetDirectory": null, "a": " "}"#).unwrap();
        assert!(body.flag("drain").unwrap() && !body.flag("drain").unwrap());
        assert_eq!(body.format().unwrap(), SavepointFormat::Native);
        assert_eq!((body.text("targetDirectory").unwrap(), body.text("a").unwrap()), (None, None));
        assert!(body.end().is_ok());
        assert!(lasting(Some("Memory://m/x")).is_err() && lasting(Some(" memory://m")).is_err());
        assert!(lasting(Some("/memory:/m")).is_ok() && lasting(None).is_ok());
        assert!(read("  ").unwrap().end().is_ok(), "no body is an empty one");
        assert!(read(r#"{"formatType": "native"}"#).unwrap().format().is_err());
        assert!(read(r#"{"drain": "true"}"#).unwrap().flag("drain").is_err());
        assert!(read(r#"{"triggerId": "1"}"#).unwrap().trigger().is_err());
        assert!(read(r#"{"targetDir": "/a"}"#).unwrap().end().is_err());
    }
}
