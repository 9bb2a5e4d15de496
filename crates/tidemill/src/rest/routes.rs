//! Which path is answered by whom.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post};
use tidemill_core::{JobId, JobVertexId};

use super::answer::Refusal;
use super::{Shared, checkpoints, cluster, control, guard, job, rescales};

/// All paths, with and without `/v1`.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let paths = paths();
    Router::new()
        .nest("/v1", paths.clone())
        .merge(paths)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::guard))
        .with_state(shared)
}

fn paths() -> Router<Arc<Shared>> {
    Router::new()
        .route("/overview", get(cluster::overview))
        .route("/config", get(cluster::config))
        .route("/jobs", get(cluster::jobs))
        .route("/jobs/overview", get(cluster::jobs_overview))
        .route("/jobs/{jid}", get(job::details).patch(job::cancel))
        .route("/jobs/{jid}/status", get(job::status))
        .route("/jobs/{jid}/plan", get(job::plan))
        .route("/jobs/{jid}/checkpoints", get(checkpoints::overview).post(control::checkpoint))
        .route("/jobs/{jid}/checkpoints/config", get(checkpoints::config))
        .route("/jobs/{jid}/checkpoints/details/{cid}", get(checkpoints::details))
        .route("/jobs/{jid}/checkpoints/details/{cid}/subtasks/{vid}", get(checkpoints::subtasks))
        .route("/jobs/{jid}/checkpoints/{trigger}", get(control::checkpoint_status))
        .route("/jobs/{jid}/savepoints", post(control::savepoint))
        .route("/jobs/{jid}/savepoints/{trigger}", get(control::savepoint_status))
        .route("/jobs/{jid}/stop", post(control::stop))
        .route("/jobs/{jid}/resource-requirements", get(rescales::requirements).put(rescales::rescale))
        .route("/jobs/{jid}/rescales/overview", get(rescales::overview))
        .route("/jobs/{jid}/rescales/history", get(rescales::history))
        .route("/jobs/{jid}/rescales/details/{uuid}", get(rescales::details))
        .route("/savepoint-disposal", post(control::dispose))
        .route("/savepoint-disposal/{trigger}", get(control::disposal_status))
}

async fn unknown(uri: Uri) -> Refusal {
    Refusal::not_found(format!("Not found: {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed for {}", uri.path()))
}

impl Shared {
    /// Sees that a path means the job of this process.
    pub(super) fn check_job(&self, text: &str) -> Result<(), Refusal> {
        let id: JobId = text.parse().map_err(|error| Refusal::bad(format!("the job's id: {error}")))?;
        if id == self.job.id() {
            return Ok(());
        }
        Err(Refusal::not_found(format!("Job {id} not found: the job of this process is {}", self.job.id())))
    }
}

/// A vertex of a path or a body.
pub(super) fn vertex(text: &str) -> Result<JobVertexId, Refusal> {
    text.parse().map_err(|error| Refusal::bad(format!("the vertex's id: {error}")))
}
