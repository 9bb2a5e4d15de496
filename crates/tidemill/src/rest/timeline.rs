//! When the job and its vertices have come to where they are. Looked at several times a second: what comes and goes in between is
//! not seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tidemill_core::JobVertexId;
use tidemill_runtime::cluster::{JobHandle, JobStatus};
use tidemill_runtime::metrics::{JobMetrics, TaskMetrics, TaskState};

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Flink's name of a job's status.
pub(super) fn status_name(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Running => "RUNNING",
        JobStatus::Failing => "FAILING",
        JobStatus::Restarting => "RESTARTING",
        JobStatus::Cancelling => "CANCELLING",
        JobStatus::Finished => "FINISHED",
        JobStatus::Failed => "FAILED",
        JobStatus::Canceled => "CANCELED",
    }
}

pub(super) fn is_over(status: JobStatus) -> bool {
    matches!(status, JobStatus::Finished | JobStatus::Failed | JobStatus::Canceled)
}

pub(super) fn is_terminal(state: TaskState) -> bool {
    matches!(state, TaskState::Finished | TaskState::Canceled | TaskState::Failed)
}

/// When something began and ended, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: Option<i64>,
}

impl Span {
    /// Flink's `end-time`.
    pub(super) fn end_or_none(self) -> i64 {
        self.end.unwrap_or(-1)
    }

    pub(super) fn duration(self, now: i64) -> i64 {
        self.end.unwrap_or(now).saturating_sub(self.start).max(0)
    }
}

pub(super) struct Timeline(Mutex<Inner>);

struct Inner {
    submitted: i64,
    /// When the job was last seen to come to each status, by its name.
    entered: BTreeMap<&'static str, i64>,
    last: Option<JobStatus>,
    /// Each with its first task, which is another one when it was deployed again.
    vertices: BTreeMap<JobVertexId, (Arc<TaskMetrics>, Span)>,
}

/// What is known of a job's times.
pub(super) struct Times {
    pub(super) status: JobStatus,
    pub(super) job: Span,
    pub(super) last_modification: i64,
    pub(super) entered: BTreeMap<&'static str, i64>,
    pub(super) vertices: BTreeMap<JobVertexId, Span>,
    pub(super) metrics: Arc<JobMetrics>,
    pub(super) now: i64,
}

impl Timeline {
    pub(super) fn new(submitted: i64) -> Self {
        Self(Mutex::new(Inner {
            submitted,
            entered: BTreeMap::from([("INITIALIZING", submitted), ("CREATED", submitted)]),
            last: None,
            vertices: BTreeMap::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the job.
    pub(super) fn observe(&self, job: &JobHandle) -> Times {
        let (status, metrics, now) = (job.status(), job.metrics(), now());
        let mut inner = self.lock();
        if inner.last != Some(status) {
            inner.last = Some(status);
            inner.entered.insert(status_name(status), now);
        }
        let over = is_over(status);
        for task in metrics.tasks.iter().filter(|task| task.subtask == 0) {
            let known = inner.vertices.get(&task.vertex);
            if !known.is_some_and(|(first, _)| Arc::ptr_eq(first, task)) {
                let begun = Span { start: now, end: None };
                inner.vertices.insert(task.vertex, (Arc::clone(task), begun));
            }
        }
        for (vertex, (_, span)) in &mut inner.vertices {
            let mut tasks = metrics.tasks.iter().filter(|task| task.vertex == *vertex);
            if span.end.is_none() && (over || tasks.all(|task| is_terminal(task.state()))) {
                span.end = Some(now);
            }
        }
        let ended = over.then(|| inner.entered.get(status_name(status)).copied()).flatten();
        Times {
            status,
            job: Span { start: inner.submitted, end: ended },
            last_modification: inner.entered.values().copied().max().unwrap_or(inner.submitted),
            entered: inner.entered.clone(),
            vertices: inner.vertices.iter().map(|(vertex, (_, span))| (*vertex, *span)).collect(),
            metrics,
            now,
        }
    }
}
