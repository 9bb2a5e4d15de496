//! Jobs that run in this process while somebody does something else.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use tidemill_core::config::Configuration;
use tidemill_core::{AfterSavepoint, SavepointFormat};
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::{JobHandle, JobStatus};
use tidemill_runtime::graph::ExecutionPlan;

use super::REFRESH;
use super::arguments::RecoveryArgs;
use super::job::Launch;

/// A job that was started here; it has a thread that watches it and tidies up behind it.
pub(crate) struct BackgroundJob {
    job: Arc<JobHandle>,
    /// When it was started, in milliseconds since 1970.
    pub(crate) started: i64,
    ending: Arc<Ending>,
}

/// How a job has ended, once everything behind it is tidied up.
#[derive(Default)]
struct Ending {
    result: Mutex<Option<Result<(), JobError>>>,
    changed: Condvar,
}

impl BackgroundJob {
    /// Starts a job; `is_cancelled` says that it is not wanted any more.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        plan: ExecutionPlan,
        configuration: &Configuration,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, JobError> {
        let launch = Launch::prepare(plan, configuration, &RecoveryArgs::default())?;
        let mut running = launch.submit(is_cancelled)?;
        let job = Arc::clone(&running.job);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let ending = Arc::new(Ending::default());
        let (of_thread, name) = (Arc::clone(&ending), job.graph().name.clone());
        let watch = move || {
            let result = running.watch(REFRESH, |_| ());
            running.ended(&result, || false);
            drop(running);
            *of_thread.result.lock() = Some(result);
            of_thread.changed.notify_all();
        };
        std::thread::Builder::new()
            .name("tidemill-job".to_owned())
            .spawn(watch)
            .map_err(|source| JobError::Thread { task: name, source })?;
        Ok(Self { job, started, ending })
    }

    /// The id.
    pub(crate) fn id(&self) -> String {
        self.job.id().to_string()
    }

    /// The name.
    pub(crate) fn name(&self) -> String {
        self.job.graph().name.clone()
    }

    /// Where it is in its life, as Flink calls it.
    pub(crate) fn status(&self) -> &'static str {
        match self.job.status() {
            JobStatus::Running => "RUNNING",
            JobStatus::Failing => "FAILING",
            JobStatus::Restarting => "RESTARTING",
            JobStatus::Cancelling => "CANCELLING",
            JobStatus::Finished => "FINISHED",
            JobStatus::Failed => "FAILED",
            JobStatus::Canceled => "CANCELED",
        }
    }

    /// Whether it has ended, and nothing is left of it.
    pub(crate) fn has_ended(&self) -> bool {
        self.ending.result.lock().is_some()
    }

    /// Waits for the end, for `timeout` at most; whether it has come.
    pub(crate) fn wait_for(&self, timeout: Duration) -> bool {
        let mut result = self.ending.result.lock();
        if result.is_none() {
            self.ending.changed.wait_for(&mut result, timeout);
        }
        result.is_some()
    }

    /// Why it has failed, if it has; says so once.
    pub(crate) fn take_error(&self) -> Option<JobError> {
        match self.ending.result.lock().as_mut() {
            Some(result) => std::mem::replace(result, Ok(())).err(),
            None => None,
        }
    }

    /// The job itself.
    pub(crate) fn handle(&self) -> &JobHandle {
        &self.job
    }

    /// Stops it as it is.
    pub(crate) fn cancel(&self) {
        self.job.cancel();
    }

    /// Stops it with a savepoint, and tells where that is.
    ///
    /// # Errors
    /// When the savepoint fails; the job goes on then.
    pub(crate) fn stop(&self, drain: bool) -> Result<String, JobError> {
        let after = if drain { AfterSavepoint::Drain } else { AfterSavepoint::Stop };
        let savepoint = self.job.savepoint(SavepointFormat::Canonical, after, None)?;
        Ok(savepoint.external_path)
    }
}
