//! Watches over a job from its submission to its end: deploys it again after failures, as its restart strategy says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tidemill_checkpoint::RestartStrategy;
use tidemill_checkpoint::restart::Restart;

use crate::checkpoint::CheckpointService;
use crate::cluster::ClusterShared;
use crate::cluster::deploy::{self, Attempt};
use crate::cluster::execution::after;
use crate::cluster::handle::JobStatus;
use crate::error::JobError;
use crate::graph::ExecutionPlan;
use crate::metrics::JobMetrics;
use crate::task::panics::{self, Panic};

/// What watches over one job.
pub(crate) struct JobMaster {
    pub(crate) plan: Arc<ExecutionPlan>,
    cluster: Arc<ClusterShared>,
    pub(crate) checkpoints: Option<Arc<CheckpointService>>,
    state: Mutex<MasterState>,
    changed: Condvar,
}

struct MasterState {
    attempt: Arc<Attempt>,
    /// Whether the last attempt has failed and the next was not deployed yet.
    is_restarting: bool,
    is_cancelled: bool,
    is_over: bool,
    /// Why the job has failed, where its last attempt does not know it.
    failure: Option<JobError>,
}

impl JobMaster {
    /// Watches over a job whose first attempt runs.
    pub(crate) fn start(
        cluster: Arc<ClusterShared>,
        plan: Arc<ExecutionPlan>,
        checkpoints: Option<Arc<CheckpointService>>,
        attempt: Attempt,
        restarts: RestartStrategy,
    ) -> Result<Arc<Self>, JobError> {
        let state = MasterState {
            attempt: Arc::new(attempt),
            is_restarting: false,
            is_cancelled: false,
            is_over: false,
            failure: None,
        };
        let master =
            Arc::new(Self { plan, cluster, checkpoints, state: Mutex::new(state), changed: Condvar::new() });
        let name = format!("job master of {}", master.plan.job.name);
        let supervisor = Arc::clone(&master);
        let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || {
            // Code of the user deals records that were on their way, on this thread.
            if let Err(Panic { error, .. }) = panics::catch(|| supervisor.supervise(restarts)) {
                let (text, code, fault) = (error.to_string(), error.code(), error.fault());
                supervisor.over(Some(JobError::Again { text, code, fault }));
            }
        });
        match spawned {
            Ok(_) => Ok(master),
            Err(source) => {
                let attempt = Arc::clone(&master.state.lock().attempt);
                attempt.execution.cancel(false);
                let _ = attempt.execution.wait_ended();
                if let Some(checkpoints) = &master.checkpoints {
                    checkpoints.never_started();
                }
                Err(JobError::Thread { task: name, source })
            }
        }
    }

    fn supervise(&self, mut restarts: RestartStrategy) {
        let mut number = 0;
        loop {
            let attempt = Arc::clone(&self.state.lock().attempt);
            let ended = loop {
                match attempt.execution.wait_for(Duration::from_secs(3600)) {
                    Ok(false) => {}
                    Ok(true) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            drop(attempt);
            let mut failure = match ended {
                Err(error) if error.is_failure_of_attempt() => error,
                // The last attempt tells.
                _ => return self.over(None),
            };
            loop {
                if let Some(checkpoints) = &self.checkpoints
                    && let Some(last) = checkpoints.attempt_failed(failure.to_string())
                {
                    return self.over(Some(last));
                }
                number += 1;
                let now = self.cluster.clock.now();
                let wait = match restarts.on_failure(now, random(now, number)) {
                    Restart::After { after_ms } => Duration::from_millis(after_ms.max(0).unsigned_abs()),
                    // It has nothing to say.
                    Restart::Fail { .. } if restarts.name() == "none" => return self.over(None),
                    Restart::Fail { reason } => {
                        let given_up = JobError::GaveUp { failure: Box::new(failure), reason };
                        return self.over(Some(given_up));
                    }
                };
                tracing::warn!(
                    job = self.plan.job.name,
                    "the job has failed and is started again in {wait:?}: {failure}"
                );
                if !self.wait_before_restart(wait) {
                    return self.over(Some(JobError::Cancelled(self.plan.job.name.clone())));
                }
                match self.deploy_again() {
                    Ok(()) => break,
                    Err(JobError::Cancelled(job)) => return self.over(Some(JobError::Cancelled(job))),
                    Err(error) => failure = error,
                }
            }
        }
    }

    fn deploy_again(&self) -> Result<(), JobError> {
        let is_cancelled = || self.state.lock().is_cancelled;
        let latest = self.checkpoints.as_ref().map(|checkpoints| checkpoints.restore_latest()).transpose()?;
        let attempt = deploy::deploy(
            &self.cluster,
            &self.plan,
            latest.flatten(),
            self.checkpoints.as_deref(),
            &is_cancelled,
        )?;
        let mut state = self.state.lock();
        if state.is_cancelled {
            attempt.execution.cancel(true);
        }
        state.attempt = Arc::new(attempt);
        state.is_restarting = false;
        Ok(())
    }

    /// False when the job was cancelled meanwhile.
    fn wait_before_restart(&self, wait: Duration) -> bool {
        let until = after(Instant::now(), wait);
        let mut state = self.state.lock();
        state.is_restarting = true;
        while !state.is_cancelled && Instant::now() < until {
            self.changed.wait_until(&mut state, until);
        }
        !state.is_cancelled
    }

    fn over(&self, failure: Option<JobError>) {
        if let Some(checkpoints) = &self.checkpoints {
            let status = self.state.lock().attempt.execution.current_status();
            checkpoints.job_ended(match &failure {
                None => status,
                Some(JobError::Cancelled(_)) => JobStatus::Canceled,
                Some(_) => JobStatus::Failed,
            });
        }
        let mut state = self.state.lock();
        state.failure = failure;
        state.is_restarting = false;
        state.is_over = true;
        self.changed.notify_all();
    }

    pub(crate) fn cancel(&self) {
        let attempt = {
            let mut state = self.state.lock();
            state.is_cancelled = true;
            Arc::clone(&state.attempt)
        };
        attempt.execution.cancel(true);
        self.changed.notify_all();
    }

    /// Nobody holds the handle any more.
    pub(crate) fn abandon(&self) {
        if !self.state.lock().is_over {
            self.cancel();
        }
    }

    pub(crate) fn metrics(&self) -> Arc<JobMetrics> {
        Arc::clone(&self.state.lock().attempt.metrics)
    }

    pub(crate) fn status(&self) -> JobStatus {
        let state = self.state.lock();
        match &state.failure {
            Some(JobError::Cancelled(_)) => JobStatus::Canceled,
            Some(_) => JobStatus::Failed,
            None if state.is_restarting => JobStatus::Restarting,
            None => state.attempt.execution.current_status(),
        }
    }

    pub(crate) fn wait_for(&self, timeout: Duration) -> Result<bool, JobError> {
        let deadline = after(Instant::now(), timeout);
        let mut state = self.state.lock();
        while !state.is_over {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            self.changed.wait_until(&mut state, deadline);
        }
        match &mut state.failure {
            // The whole failure is told once; what it said stays.
            Some(failure) => {
                let again = failure.again();
                Err(std::mem::replace(failure, again))
            }
            None => state.attempt.execution.wait_for(Duration::ZERO),
        }
    }

    /// Waits until all tasks have ended, however long they take.
    pub(crate) fn wait_ended(&self) -> JobStatus {
        let attempt = {
            let mut state = self.state.lock();
            while !state.is_over {
                self.changed.wait(&mut state);
            }
            Arc::clone(&state.attempt)
        };
        attempt.execution.wait_ended();
        self.status()
    }
}

/// A number in `0..1` that differs from one restart to the next.
fn random(now: i64, number: u64) -> f64 {
    let mixed = tidemill_core::hash::bytes(&[now.to_le_bytes(), number.to_le_bytes()].concat());
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}
