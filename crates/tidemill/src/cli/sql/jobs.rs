//! The jobs that a shell has started.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemill_core::time::format_timestamp;
use tidemill_runtime::JobError;

use crate::Error;
use crate::embedded::BackgroundJob;

/// So many jobs that have ended are remembered.
const REMEMBERED: usize = 100;

/// All jobs of this process: what ends the process must find them.
static RUNNING: Mutex<Vec<Arc<BackgroundJob>>> = Mutex::new(Vec::new());

/// How long a process that was told to end waits for its jobs.
const GRACE: Duration = Duration::from_secs(3);

/// Cancels all jobs of this process, before it ends.
pub(super) fn cancel_all() {
    let jobs = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    jobs.iter().for_each(|job| job.cancel());
    for job in jobs {
        job.wait_for(GRACE);
    }
}

/// The jobs of a shell, in the order in which they were started.
#[derive(Default)]
pub(super) struct Jobs(Vec<Arc<BackgroundJob>>);

impl Jobs {
    /// Adds one.
    pub(super) fn add(&mut self, job: BackgroundJob) -> Arc<BackgroundJob> {
        let job = Arc::new(job);
        let ended = self.0.iter().filter(|job| job.has_ended()).count();
        if ended > REMEMBERED
            && let Some(oldest) = self.0.iter().position(|job| job.has_ended())
        {
            self.0.remove(oldest);
        }
        self.0.push(Arc::clone(&job));
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|job| !job.has_ended());
        running.push(Arc::clone(&job));
        job
    }

    /// Those that run.
    pub(super) fn running(&self) -> Vec<Arc<BackgroundJob>> {
        self.0.iter().filter(|job| !job.has_ended()).cloned().collect()
    }

    /// Those that have failed, each once, and why.
    pub(super) fn take_failures(&self) -> Vec<(String, JobError)> {
        let failures = self.0.iter().filter_map(|job| Some((job.id(), job.take_error()?)));
        failures.filter(|(_, error)| !matches!(error, JobError::Cancelled(_))).collect()
    }

    /// As `SHOW JOBS` shows them.
    pub(super) fn list(&self) -> (Vec<String>, Vec<Vec<String>>) {
        (heads(), self.0.iter().map(row).collect())
    }

    /// As `DESCRIBE JOB` shows one.
    pub(super) fn describe(&self, id: &str) -> Result<(Vec<String>, Vec<Vec<String>>), Error> {
        Ok((heads(), vec![row(self.find(id)?)]))
    }

    /// The job with an id, or the only one whose id begins so.
    pub(super) fn find(&self, id: &str) -> Result<&Arc<BackgroundJob>, Error> {
        let mut found = self.0.iter().filter(|job| !id.is_empty() && job.id().starts_with(id));
        match (found.next(), found.next()) {
            (Some(job), None) => Ok(job),
            (Some(_), Some(_)) => Err(Error::Argument(format!("the ids of several jobs begin with '{id}'"))),
            (None, _) => Err(Error::Argument(format!(
                "this shell has started no job '{id}': SHOW JOBS shows which it has, and tidemill list those of others"
            ))),
        }
    }
}

fn heads() -> Vec<String> {
    ["job id", "job name", "status", "start time"].map(str::to_owned).to_vec()
}

fn row(job: &Arc<BackgroundJob>) -> Vec<String> {
    vec![job.id(), job.name(), job.status().to_owned(), format_timestamp(job.started)]
}
