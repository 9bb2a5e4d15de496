//! Changing the numbers of subtasks of a running job: it is stopped with a savepoint and started again from that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tidemill_core::id::JobVertexId;
use tidemill_core::{AfterSavepoint, SavepointFormat};

use crate::checkpoint::{ClaimMode, RestoreSettings};
use crate::cluster::master::JobMaster;
use crate::cluster::{From, launch};
use crate::error::JobError;
use crate::graph::ExecutionPlan;
use crate::metrics::TaskState;

/// A job runs with other numbers of subtasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescaled {
    /// From the command to its sources to stop until all its new tasks had their state and ran.
    pub downtime: Duration,
    /// The folder of the savepoint in between.
    pub savepoint: String,
}

/// What has become of a job that is being rescaled.
pub(super) struct Rescaling {
    /// The job as it shall be.
    plan: ExecutionPlan,
    progress: Progress,
}

enum Progress {
    /// It is being stopped.
    Stopping,
    /// The tasks end, or have ended, with this savepoint.
    Stopped(String),
    /// It runs again, with the new numbers or, after an error, with the old ones.
    Settled(Result<(), JobError>),
}

/// How often is looked whether all tasks of the new attempt run.
const LOOK: Duration = Duration::from_millis(1);

impl JobMaster {
    pub(crate) fn rescale(&self, parallelism: &BTreeMap<JobVertexId, u32>) -> Result<Rescaled, JobError> {
        let checkpoints = self.checkpoints_or_refuse()?;
        self.begin(parallelism)?;
        let (reply, answer) = channel();
        let (format, after) = (SavepointFormat::Native, AfterSavepoint::Stop);
        let began = Instant::now();
        checkpoints.savepoint(format, after, checkpoints.target_of_pause(), move |result| {
            let _ = reply.send(result);
        });
        let stopped = answer.recv().unwrap_or_else(|_| Err(self.nobody_answers()));
        let savepoint = match stopped {
            Ok(savepoint) => savepoint.external_path,
            Err(error) => {
                self.state.lock().rescaling = None;
                self.changed.notify_all();
                return Err(error);
            }
        };
        self.settled(&savepoint)?;
        Ok(Rescaled { downtime: began.elapsed(), savepoint })
    }

    fn begin(&self, parallelism: &BTreeMap<JobVertexId, u32>) -> Result<(), JobError> {
        let mut state = self.state.lock();
        let refused =
            |reason: &str| Err(JobError::Rescale { job: self.name.clone(), reason: reason.to_owned() });
        if state.is_over || state.is_cancelled {
            return refused("it does not run any more");
        }
        if state.is_restarting {
            return refused("it is being started again after a failure: try again when it runs");
        }
        if state.rescaling.is_some() {
            return refused("it is being rescaled: try again when that is done");
        }
        let plan = state.job.plan.with_parallelism(parallelism)?;
        state.rescaling = Some(Rescaling { plan, progress: Progress::Stopping });
        Ok(())
    }

    /// The job has stopped; waits until its master has started it again.
    fn settled(&self, savepoint: &str) -> Result<(), JobError> {
        let mut state = self.state.lock();
        // It may have failed meanwhile.
        if let Some(Rescaling { progress: progress @ Progress::Stopping, .. }) = &mut state.rescaling {
            *progress = Progress::Stopped(savepoint.to_owned());
        }
        self.changed.notify_all();
        loop {
            match state.rescaling.take() {
                Some(Rescaling { progress: Progress::Settled(result), .. }) => return result,
                other => state.rescaling = other,
            }
            if state.is_over {
                state.rescaling = None;
                return Err(JobError::Rescale {
                    job: self.name.clone(),
                    reason: format!("it ended after it had been stopped. Its state is in {savepoint}"),
                });
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits until all new tasks run.
    fn came_up(&self) -> Result<(), JobError> {
        let is_starting = |state: TaskState| matches!(state, TaskState::Created | TaskState::Initializing);
        loop {
            let known = self.ends.count();
            let attempts = self.state.lock().job.attempts.clone();
            for attempt in attempts {
                attempt.execution.wait_for(Duration::ZERO)?;
            }
            if !self.metrics().tasks.iter().any(|task| is_starting(task.state())) {
                return Ok(());
            }
            self.ends.wait_for_more_than(known, LOOK);
        }
    }

    /// The job goes on after a failure: it is not being rescaled any more.
    pub(super) fn rescaling_failed(&self, failure: &JobError) {
        let mut state = self.state.lock();
        if let Some(rescaling) = &mut state.rescaling {
            rescaling.progress = Progress::Settled(Err(failure.again()));
            self.changed.notify_all();
        }
    }

    /// All tasks have finished. Starts the job again if that was for to rescale it; `None` when it was not.
    pub(super) fn rescaled(&self) -> Option<Result<(), JobError>> {
        let (wider, before, savepoint) = {
            let mut state = self.state.lock();
            loop {
                match &state.rescaling {
                    None | Some(Rescaling { progress: Progress::Settled(_), .. }) => return None,
                    Some(Rescaling { plan, progress: Progress::Stopped(path) }) => {
                        let found = (plan.clone(), ExecutionPlan::clone(&state.job.plan), path.clone());
                        state.is_restarting = true;
                        break found;
                    }
                    Some(_) if state.is_cancelled => {
                        return Some(Err(JobError::Cancelled(self.name.clone())));
                    }
                    // They may have come to their end by themselves, before the savepoint.
                    Some(_) => self.changed.wait(&mut state),
                }
            }
        };
        let checkpoints = self.checkpoints();
        if let Some(checkpoints) = &checkpoints {
            checkpoints.suspended();
        }
        // What its state backends hold in memory is not to be there twice.
        self.state.lock().job.slots = Arc::default();
        let launched = self.launch_from(wider, &savepoint).and_then(|()| self.came_up());
        let settled = match launched {
            Ok(()) => Ok(()),
            Err(JobError::Cancelled(job)) => return Some(Err(JobError::Cancelled(job))),
            Err(error) => {
                tracing::error!(job = self.name, "the job is started as it was: {error}");
                self.stop_all(false);
                // Another one than before, if it was launched.
                if let Some(checkpoints) = self.checkpoints() {
                    checkpoints.suspended();
                }
                if let Err(again) = self.launch_from(before, &savepoint) {
                    tracing::error!(job = self.name, "its state is in {savepoint}");
                    return Some(Err(again));
                }
                Err(error)
            }
        };
        let earlier = self.state.lock().savepoint.replace(savepoint);
        if let (Some(earlier), Some(checkpoints)) = (earlier, checkpoints) {
            checkpoints.delete_temporary(&earlier);
        }
        let mut state = self.state.lock();
        state.is_restarting = false;
        if let Some(rescaling) = &mut state.rescaling {
            rescaling.progress = Progress::Settled(settled);
        }
        self.changed.notify_all();
        Some(Ok(()))
    }

    /// Starts the job from its newest checkpoint, which the savepoint is, or from the savepoint.
    fn launch_from(&self, plan: ExecutionPlan, savepoint: &str) -> Result<(), JobError> {
        let is_cancelled = || self.state.lock().is_cancelled;
        let left = self.checkpoints().map(|checkpoints| checkpoints.left_behind(self.id)).transpose()?;
        let restore = RestoreSettings {
            path: savepoint.to_owned(),
            claim: ClaimMode::Claim,
            allow_non_restored_state: false,
        };
        let from = match left.flatten() {
            Some(run) => From::Run { run, allow_non_restored_state: false },
            None => From::Snapshot(&restore),
        };
        let job = launch(&self.cluster, plan, Some(from), self.id, &self.ends, &is_cancelled)?;
        self.state.lock().deployed(job);
        Ok(())
    }
}
