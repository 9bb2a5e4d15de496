//! Watches over a job from its submission to its end: deploys it again after failures, as its restart strategy says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tidemill_checkpoint::RestartStrategy;
use tidemill_checkpoint::restart::Restart;
use tidemill_core::JobId;
use tidemill_core::config::options::FailoverStrategy;

use crate::checkpoint::{AfterFailure, CheckpointService};
use crate::cluster::deploy::{Attempt, Deployment};
use crate::cluster::execution::{Ends, after};
use crate::cluster::handle::JobStatus;
use crate::cluster::rescale::Rescaling;
use crate::cluster::{ClusterShared, Launched};
use crate::error::JobError;
use crate::graph::ExecutionPlan;
use crate::metrics::JobMetrics;
use crate::task::panics::{self, Panic};

/// What watches over one job.
pub(crate) struct JobMaster {
    pub(crate) id: JobId,
    pub(crate) name: String,
    pub(super) cluster: Arc<ClusterShared>,
    pub(super) ends: Arc<Ends>,
    pub(super) state: Mutex<MasterState>,
    pub(super) changed: Condvar,
}

pub(super) struct MasterState {
    pub(super) job: Launched,
    metrics: Arc<JobMetrics>,
    /// Whether tasks have failed, or have ended for to be rescaled, and were not deployed again yet.
    pub(super) is_restarting: bool,
    pub(super) is_cancelled: bool,
    pub(super) is_over: bool,
    pub(super) rescaling: Option<Rescaling>,
    /// The savepoint that it was rescaled with, where that is none of its checkpoints.
    pub(super) savepoint: Option<String>,
    /// Why the job has failed, where its last attempts do not know it.
    failure: Option<JobError>,
}

impl MasterState {
    /// The job was deployed as a whole.
    pub(super) fn deployed(&mut self, job: Launched) {
        self.job = job;
        self.renewed();
    }

    /// Some of its attempts are others.
    fn renewed(&mut self) {
        self.metrics = metrics_of(&self.job);
        if self.is_cancelled {
            self.job.attempts.iter().for_each(|attempt| attempt.execution.cancel(true));
        }
    }
}

/// The metrics of all tasks, in the order of their numbers.
fn metrics_of(job: &Launched) -> Arc<JobMetrics> {
    let mut tasks: Vec<_> = job.attempts.iter().flat_map(|attempt| &attempt.tasks).collect();
    tasks.sort_unstable_by_key(|task| task.number);
    Arc::new(JobMetrics { tasks: tasks.into_iter().map(|task| Arc::clone(&task.metrics)).collect() })
}

/// How often is looked whether a cancelled task does not stop.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl JobMaster {
    /// Watches over a job whose first attempts run.
    pub(super) fn start(
        cluster: Arc<ClusterShared>,
        id: JobId,
        ends: Arc<Ends>,
        job: Launched,
    ) -> Result<Arc<Self>, JobError> {
        let restarts = job.plan.settings.restarts.clone();
        let name = job.plan.job.name.clone();
        let state = MasterState {
            metrics: metrics_of(&job),
            job,
            is_restarting: false,
            is_cancelled: false,
            is_over: false,
            rescaling: None,
            savepoint: None,
            failure: None,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let master = Arc::new(Self { id, name, cluster, ends, state, changed });
        let name = format!("job master of {}", master.name);
        let supervisor = Arc::clone(&master);
        let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || {
            // Code of the user deals records that were on their way, on this thread.
            if let Err(Panic { error, .. }) = panics::catch(|| supervisor.supervise(restarts)) {
                supervisor.stop_all(false);
                let (text, code, fault) = (error.to_string(), error.code(), error.fault());
                supervisor.over(Some(JobError::Again { text, code, fault }));
            }
        });
        match spawned {
            Ok(_) => Ok(master),
            Err(source) => {
                master.stop_all(false);
                if let Some(checkpoints) = master.checkpoints() {
                    checkpoints.never_started();
                }
                Err(JobError::Thread { task: name, source })
            }
        }
    }

    fn supervise(&self, restarts: RestartStrategy) {
        let failure = self.watch(restarts);
        // Of several regions some may run still.
        self.stop_all(matches!(failure, Some(JobError::Cancelled(_))));
        self.over(failure);
    }

    /// Deploys again what fails, until the job is over. Returns why, where its attempts do not tell.
    fn watch(&self, mut restarts: RestartStrategy) -> Option<JobError> {
        let mut failures = 0;
        let mut finished = vec![false; self.attempts().len()];
        loop {
            let (region, ended) = self.next_end(&finished);
            let mut failure = match ended {
                Err(error) if error.is_failure_of_attempt() => error,
                Err(_) => return None,
                Ok(()) => {
                    finished[region] = true;
                    if finished.contains(&false) {
                        continue;
                    }
                    match self.rescaled() {
                        None => return None,
                        Some(Err(error)) => return Some(error),
                        Some(Ok(())) => {
                            finished = vec![false; self.attempts().len()];
                            continue;
                        }
                    }
                }
            };
            let full = self.plan().settings.failover == FailoverStrategy::Full;
            let mut regions = match &failure {
                JobError::Operator(_) if !full => vec![region],
                _ => (0..finished.len()).collect(),
            };
            if !self.stop(&regions) {
                return None;
            }
            loop {
                if let Some(checkpoints) = self.checkpoints() {
                    match checkpoints.failed(failure.to_string(), self.tasks_of(&regions)) {
                        AfterFailure::StartAgain => {}
                        AfterFailure::StartAllAgain => {
                            regions = (0..finished.len()).collect();
                            if !self.stop(&regions) {
                                return None;
                            }
                            checkpoints.failed(failure.to_string(), self.tasks_of(&regions));
                        }
                        AfterFailure::GiveUp(error) => return Some(error),
                    }
                }
                self.rescaling_failed(&failure);
                failures += 1;
                let now = self.cluster.clock.now();
                let wait = match restarts.on_failure(now, random(now, failures)) {
                    Restart::After { after_ms } => Duration::from_millis(after_ms.max(0).unsigned_abs()),
                    // It has nothing to say.
                    Restart::Fail { .. } if restarts.name() == "none" => return None,
                    Restart::Fail { reason } => {
                        return Some(JobError::GaveUp { failure: Box::new(failure), reason });
                    }
                };
                let what = if regions.len() < finished.len() { "a part of the job" } else { "the job" };
                tracing::warn!(
                    job = self.name,
                    "{what} has failed and is started again in {wait:?}: {failure}"
                );
                if !self.wait_before_restart(wait) {
                    return Some(JobError::Cancelled(self.name.clone()));
                }
                match self.deploy_again(&regions) {
                    Ok(()) => break,
                    Err(JobError::Cancelled(job)) => return Some(JobError::Cancelled(job)),
                    Err(error) => failure = error,
                }
            }
            regions.into_iter().for_each(|region| finished[region] = false);
        }
    }

    fn attempts(&self) -> Vec<Arc<Attempt>> {
        self.state.lock().job.attempts.clone()
    }

    /// Waits until the attempt of a region has ended that was not finished.
    fn next_end(&self, finished: &[bool]) -> (usize, Result<(), JobError>) {
        loop {
            let known = self.ends.count();
            for (region, attempt) in self.attempts().iter().enumerate() {
                if finished[region] {
                    continue;
                }
                match attempt.execution.wait_for(Duration::ZERO) {
                    Ok(false) => {}
                    Ok(true) => return (region, Ok(())),
                    Err(error) => return (region, Err(error)),
                }
            }
            self.ends.wait_for_more_than(known, LOOK_AGAIN);
        }
    }

    /// The numbers of the tasks of these regions.
    fn tasks_of(&self, regions: &[usize]) -> Vec<usize> {
        let attempts = self.attempts();
        let of_regions = regions.iter().flat_map(|region| &attempts[*region].tasks);
        of_regions.map(|task| task.number).collect()
    }

    /// Has these regions end, and waits until they have; false when a task does not stop.
    fn stop(&self, regions: &[usize]) -> bool {
        let attempts = self.attempts();
        regions.iter().for_each(|region| attempts[*region].execution.cancel(false));
        regions.iter().all(|region| {
            let mut ended = Ok(false);
            while matches!(ended, Ok(false)) {
                ended = attempts[*region].execution.wait_for(Duration::from_secs(3600));
            }
            !matches!(ended, Err(JobError::Stuck { .. }))
        })
    }

    pub(super) fn stop_all(&self, by_user: bool) {
        let attempts = self.attempts();
        attempts.iter().for_each(|attempt| attempt.execution.cancel(by_user));
        for attempt in attempts {
            while matches!(attempt.execution.wait_for(Duration::from_secs(3600)), Ok(false)) {}
        }
    }

    fn deploy_again(&self, regions: &[usize]) -> Result<(), JobError> {
        let is_cancelled = || self.state.lock().is_cancelled;
        let (plan, slots, all) = {
            let state = self.state.lock();
            (Arc::clone(&state.job.plan), Arc::clone(&state.job.slots), Arc::clone(&state.job.regions))
        };
        let checkpoints = self.checkpoints();
        let regions_of: Vec<&[usize]> = regions.iter().map(|region| &*all[*region]).collect();
        let vertices = regions_of.concat();
        let latest =
            checkpoints.as_ref().map(|checkpoints| checkpoints.restore_latest(&vertices)).transpose()?;
        let deployment = Deployment {
            cluster: &self.cluster,
            plan: &plan,
            slots: &slots,
            checkpoints: checkpoints.as_deref(),
            ends: &self.ends,
            is_cancelled: &is_cancelled,
        };
        let attempts = deployment.deploy(&regions_of, latest.flatten())?;
        let mut state = self.state.lock();
        for (region, attempt) in regions.iter().zip(attempts) {
            state.job.attempts[*region] = Arc::new(attempt);
        }
        state.renewed();
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
        if let Some(checkpoints) = self.checkpoints() {
            let status = self.state.lock().job.status();
            checkpoints.job_ended(match &failure {
                None => status,
                Some(JobError::Cancelled(_)) => JobStatus::Canceled,
                Some(_) => JobStatus::Failed,
            });
            // Of what has failed it may be all that is left.
            let is_wanted = !matches!(&failure, None | Some(JobError::Cancelled(_)));
            let savepoint = self.state.lock().savepoint.take();
            if let Some(savepoint) = savepoint.filter(|_| !is_wanted) {
                checkpoints.delete_temporary(&savepoint);
            }
        }
        let mut state = self.state.lock();
        state.failure = failure;
        state.is_restarting = false;
        state.is_over = true;
        self.changed.notify_all();
    }

    /// The job as it was deployed last.
    pub(crate) fn plan(&self) -> Arc<ExecutionPlan> {
        Arc::clone(&self.state.lock().job.plan)
    }

    /// What takes care of its checkpoints.
    pub(crate) fn checkpoints(&self) -> Option<Arc<CheckpointService>> {
        self.state.lock().job.service.clone()
    }

    /// Why nothing came of what was asked of its checkpoints.
    pub(crate) fn nobody_answers(&self) -> JobError {
        let reason = "the job has ended, or is just being started with other numbers of subtasks: ask again"
            .to_owned();
        JobError::Snapshot { job: self.name.clone(), reason }
    }

    pub(crate) fn checkpoints_or_refuse(&self) -> Result<Arc<CheckpointService>, JobError> {
        self.checkpoints().ok_or_else(|| JobError::Snapshot {
            job: self.name.clone(),
            reason: "its cluster was given no storage for checkpoints and savepoints".to_owned(),
        })
    }

    pub(crate) fn cancel(&self) {
        let attempts = {
            let mut state = self.state.lock();
            state.is_cancelled = true;
            state.job.attempts.clone()
        };
        attempts.iter().for_each(|attempt| attempt.execution.cancel(true));
        self.changed.notify_all();
    }

    /// Nobody holds the handle any more.
    pub(crate) fn abandon(&self) {
        if !self.state.lock().is_over {
            self.cancel();
        }
    }

    pub(crate) fn metrics(&self) -> Arc<JobMetrics> {
        Arc::clone(&self.state.lock().metrics)
    }

    pub(crate) fn status(&self) -> JobStatus {
        let state = self.state.lock();
        match &state.failure {
            Some(JobError::Cancelled(_)) => JobStatus::Canceled,
            Some(_) => JobStatus::Failed,
            None if state.is_restarting => JobStatus::Restarting,
            None => match state.job.status() {
                status if state.is_over => status,
                // Its tasks have ended, but it has not: it is about to be started again, or its checkpoints are tidied up.
                JobStatus::Finished if state.rescaling.is_some() => JobStatus::Restarting,
                JobStatus::Finished => JobStatus::Running,
                JobStatus::Failed => JobStatus::Failing,
                JobStatus::Canceled => JobStatus::Cancelling,
                status => status,
            },
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
            None => state.job.ended(),
        }
    }

    /// Waits until all tasks have ended, however long they take.
    pub(crate) fn wait_ended(&self) -> JobStatus {
        let attempts = {
            let mut state = self.state.lock();
            while !state.is_over {
                self.changed.wait(&mut state);
            }
            state.job.attempts.clone()
        };
        for attempt in attempts {
            attempt.execution.wait_ended();
        }
        self.status()
    }
}

impl Launched {
    fn status(&self) -> JobStatus {
        let all: Vec<JobStatus> =
            self.attempts.iter().map(|attempt| attempt.execution.current_status()).collect();
        let any = |status| all.contains(&status);
        let runs = any(JobStatus::Running) || any(JobStatus::Failing) || any(JobStatus::Cancelling);
        match runs {
            true if any(JobStatus::Failing) || any(JobStatus::Failed) => JobStatus::Failing,
            true if any(JobStatus::Cancelling) || any(JobStatus::Canceled) => JobStatus::Cancelling,
            true => JobStatus::Running,
            false if any(JobStatus::Failed) => JobStatus::Failed,
            false if any(JobStatus::Canceled) => JobStatus::Canceled,
            false => JobStatus::Finished,
        }
    }

    /// How attempts have ended of which none runs: the failure of one says more than that the others were cancelled for it.
    fn ended(&self) -> Result<bool, JobError> {
        let mut cancelled = None;
        for attempt in &self.attempts {
            match attempt.execution.wait_for(Duration::ZERO) {
                Ok(_) => {}
                Err(JobError::Cancelled(job)) => cancelled = Some(JobError::Cancelled(job)),
                Err(error) => return Err(error),
            }
        }
        cancelled.map_or(Ok(true), Err)
    }
}

/// A number in `0..1` that differs from one restart to the next.
fn random(now: i64, number: u64) -> f64 {
    let mixed = tidemill_core::hash::bytes(&[now.to_le_bytes(), number.to_le_bytes()].concat());
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}
