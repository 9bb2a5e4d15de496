//! What the rest of the cluster sees of a job's checkpoints.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;
use tidemill_checkpoint::coordinator::{
    CheckpointCoordinator, CompletedSnapshot, CoordinatorError, JobOutcome,
};
use tidemill_checkpoint::statistics::Statistics;
use tidemill_checkpoint::{
    CheckpointFolder, CheckpointMetadata, CheckpointStorage, FileLocation, JobStorage, StateHandle,
};
use tidemill_core::{AfterSavepoint, CheckpointId, JobId, SavepointFormat};
use tidemill_network::GateSnapshot;
use tidemill_state::{NativeFolder, NativeSnapshot};
use tokio::runtime::Handle;

use crate::checkpoint::restore::{Origin, RestoredJob};
use crate::checkpoint::task_snapshot::{CheckpointListener, TaskSnapshot};
use crate::checkpoint::worker::{self, Reported};
use crate::cluster::ClusterShared;
use crate::cluster::deploy::Attempt;
use crate::cluster::handle::JobStatus;
use crate::error::JobError;
use crate::graph::ExecutionPlan;
use crate::operator::OperatorError;
use crate::task::Checkpoints;

/// What a cluster needs to take checkpoints: where they go, and what does the work beside the tasks.
#[derive(Clone)]
pub struct CheckpointEnvironment {
    /// Where checkpoints and savepoints go.
    pub storage: CheckpointStorage,
    /// Runs what waits for the storage.
    pub runtime: Handle,
    /// Where files of a state backend are put while it is restored from them: a folder on the disk of its own.
    pub temporary: PathBuf,
}

/// A complete checkpoint of the job.
#[derive(Clone)]
pub(crate) struct Completed {
    pub(crate) id: CheckpointId,
    pub(crate) folder: CheckpointFolder,
    pub(crate) metadata: Arc<CheckpointMetadata>,
    /// Whether it is the job's own.
    pub(crate) claimed: bool,
}

impl Completed {
    /// The files of state backends in it that never change and that later checkpoints can name, by what tells each from all
    /// others.
    pub(super) fn native_files(&self, job: &JobStorage, id: CheckpointId) -> HashMap<String, StateHandle> {
        let mut found = HashMap::new();
        let subtasks = self.metadata.operators.iter().flat_map(|operator| &operator.subtasks);
        for native in subtasks.flat_map(|subtask| &subtask.native) {
            // One that cannot be read has nothing to give: its files are stored again.
            let Ok(snapshot) = NativeSnapshot::decode(&native.descriptor, NativeFolder::kept("")) else {
                continue;
            };
            for file in &native.files {
                let described = snapshot.files.iter().find(|described| described.name == file.name);
                // By the name that it has seen from the new checkpoint, which may be one of another job.
                let own = job.handle_for(id, &self.folder, &file.handle);
                if let (Some(shared_id), Ok(handle)) =
                    (described.and_then(|described| described.shared_id.clone()), own)
                    && handle.location().is_some_and(|at| !matches!(at, FileLocation::Checkpoint(_)))
                {
                    found.insert(shared_id, handle);
                }
            }
        }
        found
    }
}

/// The checkpoints of one job, over all its attempts.
pub(crate) struct CheckpointService {
    plan: Arc<ExecutionPlan>,
    environment: CheckpointEnvironment,
    reports: Sender<Reported>,
    shared: Arc<ServiceShared>,
    /// The attempt that reports now.
    attempt: AtomicU64,
    wait_for_last: bool,
}

/// What the worker lets others see.
#[derive(Default)]
pub(crate) struct ServiceShared {
    /// Those that the job could be restored from, the newest last.
    pub(crate) completed: Mutex<Vec<Completed>>,
    pub(crate) statistics: Mutex<Option<Statistics>>,
}

impl CheckpointService {
    /// Begins to take care of the checkpoints of a job, which goes on from `origin`.
    pub(crate) fn start(
        cluster: &Arc<ClusterShared>,
        plan: &Arc<ExecutionPlan>,
        environment: CheckpointEnvironment,
        origin: Option<Origin>,
    ) -> Result<Self, JobError> {
        let refused = |error: CoordinatorError| JobError::Checkpoints {
            job: plan.job.name.clone(),
            reason: error.to_string(),
        };
        let settings = plan.settings.checkpointing.clone();
        let wait_for_last = settings.interval.is_some() && settings.checkpoints_after_tasks_finish;
        let coordinator = CheckpointCoordinator::new(settings, worker::tasks_of(plan)).map_err(refused)?;
        for note in coordinator.notes() {
            tracing::warn!(job = plan.job.name, "{note}");
        }
        let (reports, inbox) = channel();
        let shared = Arc::new(ServiceShared::default());
        // Until the job has a checkpoint of its own, it starts again from this one.
        shared.completed.lock().extend(origin.as_ref().map(|origin| origin.completed.clone()));
        let job_id = random_job_id();
        let worker = worker::Worker::new(
            coordinator,
            Arc::clone(plan),
            Arc::clone(cluster),
            environment.clone(),
            job_id,
            Arc::clone(&shared),
            reports.clone(),
        )?;
        let name = format!("checkpoint coordinator of {}", plan.job.name);
        let spawned =
            std::thread::Builder::new().name(name.clone()).spawn(move || worker.run(&inbox, origin));
        spawned.map_err(|source| JobError::Thread { task: name, source })?;
        Ok(Self {
            plan: Arc::clone(plan),
            environment,
            reports,
            shared,
            attempt: AtomicU64::new(0),
            wait_for_last,
        })
    }

    fn report(&self, reported: Reported) {
        // The worker goes last; when it has gone nobody is interested any more.
        let _ = self.reports.send(reported);
    }

    /// The part that a task of the next attempt has in checkpoints.
    pub(crate) fn part_of(&self, task: usize) -> Checkpoints {
        let listener =
            Listener { reports: self.reports.clone(), attempt: self.attempt.load(Ordering::SeqCst) };
        Checkpoints::new(task, Arc::new(listener), self.wait_for_last)
    }

    /// The tasks of an attempt are about to run. `restored` says from what.
    pub(crate) fn attempt_started(&self, attempt: &Attempt, restored: Option<Restored>) {
        self.report(Reported::Started {
            attempt: self.attempt.load(Ordering::SeqCst),
            commands: attempt.commands.clone(),
            sources: attempt.sources.clone(),
            execution: Arc::clone(&attempt.execution),
            restored,
        });
    }

    /// The attempt has failed. Returns when all that it has reported before is settled, and why the job must not be started
    /// again, if it must not.
    pub(crate) fn attempt_failed(&self, message: String) -> Option<JobError> {
        // What its tasks may still say is not for the next one.
        self.attempt.fetch_add(1, Ordering::SeqCst);
        let (reply, answer) = channel();
        self.report(Reported::Failed { message, reply });
        answer.recv().ok().flatten()
    }

    /// Reads the newest checkpoint that can be read, for the next attempt; `None` when there is none.
    pub(crate) fn restore_latest(&self) -> Result<Option<(RestoredJob, Restored)>, JobError> {
        let completed = self.shared.completed.lock().clone();
        let mut failure = None;
        for checkpoint in completed.into_iter().rev() {
            let uri = checkpoint.folder.uri();
            let loaded = RestoredJob::load(
                &self.environment,
                &checkpoint.folder,
                &checkpoint.metadata,
                &self.plan,
                false,
            );
            match loaded {
                Ok(job) => {
                    tracing::info!(
                        job = self.plan.job.name,
                        "going on from checkpoint {} at {uri}",
                        checkpoint.id
                    );
                    let restored = Restored {
                        id: checkpoint.id,
                        savepoint: checkpoint.metadata.kind.is_savepoint(),
                        path: uri,
                        claimed: checkpoint.claimed,
                    };
                    return Ok(Some((job, restored)));
                }
                Err(error) if error.is_damage() => {
                    tracing::error!(
                        job = self.plan.job.name,
                        "checkpoint {} at {uri} cannot be used, the one before it is tried: {error}",
                        checkpoint.id
                    );
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Asks for a savepoint; `reply` is called on another thread when it is complete or has failed.
    pub(crate) fn savepoint(
        &self,
        format: SavepointFormat,
        after: AfterSavepoint,
        folder: Option<String>,
        reply: impl FnOnce(Result<CompletedSnapshot, JobError>) + Send + 'static,
    ) {
        self.report(Reported::Savepoint { format, after, folder, reply: Box::new(reply) });
    }

    /// Asks for a checkpoint; `reply` is called on another thread when it is complete or has failed.
    pub(crate) fn checkpoint(
        &self,
        reply: impl FnOnce(Result<CompletedSnapshot, JobError>) + Send + 'static,
    ) {
        self.report(Reported::Checkpoint { reply: Box::new(reply) });
    }

    /// What is known of the job's checkpoints.
    pub(crate) fn statistics(&self) -> Option<Statistics> {
        self.shared.statistics.lock().clone()
    }

    /// The job has ended; waits until what it does not keep is deleted.
    pub(crate) fn job_ended(&self, status: JobStatus) {
        self.end(match status {
            JobStatus::Finished => JobOutcome::Finished,
            JobStatus::Canceled => JobOutcome::Canceled,
            _ => JobOutcome::Failed,
        });
    }

    /// The job was never started: what it was to go on from stays as it is.
    pub(crate) fn never_started(&self) {
        self.end(JobOutcome::Suspended);
    }

    fn end(&self, outcome: JobOutcome) {
        let (done, wait) = channel();
        self.report(Reported::JobEnded { outcome, done });
        let _ = wait.recv();
    }
}

/// Another one for each submission, as in Flink.
fn random_job_id() -> JobId {
    let random = || u128::from(RandomState::new().build_hasher().finish());
    JobId(random() << 64 | random())
}

/// What an attempt was restored from.
#[derive(Clone, Debug)]
pub(crate) struct Restored {
    pub(crate) id: CheckpointId,
    pub(crate) savepoint: bool,
    pub(crate) path: String,
    pub(crate) claimed: bool,
}

/// Hands over what the tasks of one attempt say.
struct Listener {
    reports: Sender<Reported>,
    attempt: u64,
}

impl Listener {
    fn report(&self, reported: Reported) {
        let _ = self.reports.send(reported);
    }
}

impl CheckpointListener for Listener {
    fn snapshot(&self, task: usize, snapshot: TaskSnapshot) {
        self.report(Reported::Snapshot { attempt: self.attempt, task, snapshot });
    }

    fn overtaken(&self, task: usize, id: CheckpointId, gates: Vec<GateSnapshot>) {
        self.report(Reported::Overtaken { attempt: self.attempt, task, id, gates });
    }

    fn declined(&self, task: usize, id: CheckpointId, error: OperatorError) {
        self.report(Reported::Declined { attempt: self.attempt, task, id, message: error.to_string() });
    }

    fn waits_for_last_checkpoint(&self, task: usize) {
        self.report(Reported::WaitsForLast { attempt: self.attempt, task });
    }

    fn finished(&self, task: usize) {
        self.report(Reported::TaskFinished { attempt: self.attempt, task });
    }
}
