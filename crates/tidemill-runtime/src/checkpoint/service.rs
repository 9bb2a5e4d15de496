//! What the rest of the cluster sees of a job's checkpoints.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;
use tidemill_checkpoint::coordinator::{
    CheckpointCoordinator, CompletedSnapshot, CoordinatorError, JobOutcome, ManualCheckpoint,
};
use tidemill_checkpoint::statistics::Statistics;
use tidemill_checkpoint::storage::LeftBehind;
use tidemill_checkpoint::{
    CheckpointFolder, CheckpointMetadata, CheckpointStorage, FileLocation, JobStorage, StateHandle,
};
use tidemill_core::{AfterSavepoint, CheckpointId, Classified, JobId, SavepointFormat, ScratchFolder};
use tidemill_state::{NativeFolder, NativeSnapshot, Spill};
use tokio::runtime::Handle;

use crate::checkpoint::local_backup::{LocalBackup, LocalBackupSettings};
use crate::checkpoint::reported::{AfterFailure, Reported, Target};
use crate::checkpoint::restore::{Origin, RestoredJob, Source};
use crate::checkpoint::running::RunningTask;
use crate::checkpoint::task_snapshot::{CheckpointListener, TaskSnapshot};
use crate::checkpoint::worker;
use crate::cluster::ClusterShared;
use crate::cluster::deploy::Attempt;
use crate::cluster::handle::JobStatus;
use crate::error::JobError;
use crate::graph::ExecutionPlan;
use crate::operator::OperatorError;
use crate::task::{Checkpoints, Overtaken};

/// What a cluster needs to take checkpoints: where they go, and what does the work beside the tasks.
#[derive(Clone)]
pub struct CheckpointEnvironment {
    /// Where checkpoints and savepoints go.
    pub storage: CheckpointStorage,
    /// Runs what waits for the storage.
    pub runtime: Handle,
    /// Where files of a state backend are put while it is restored from them, on the disk of its own; and snapshots that are too large
    /// to be held in memory.
    pub temporary: ScratchFolder,
    /// How many bytes of the snapshot of a subtask may be held in memory while it is written, or restored.
    pub snapshot_memory: usize,
    /// Whether state is kept on this machine besides.
    pub local_backup: LocalBackupSettings,
}

impl CheckpointEnvironment {
    /// The [`snapshot_memory`](Self::snapshot_memory) of a cluster.
    pub const SNAPSHOT_MEMORY: usize = 8 << 20;

    pub(super) fn spill(&self) -> Spill {
        Spill::new(self.temporary.clone(), self.snapshot_memory)
    }
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
    pub(super) fn of(folder: CheckpointFolder, metadata: CheckpointMetadata, claimed: bool) -> Self {
        Self { id: metadata.checkpoint_id, folder, metadata: Arc::new(metadata), claimed }
    }

    /// Notes how long the files are that it shares with others, and forgets those that it does not need.
    pub(super) fn note_lengths(&self, lengths: &mut HashMap<FileLocation, u64>) {
        let mut ends: HashMap<FileLocation, u64> = HashMap::new();
        for handle in self.metadata.handles() {
            if let StateHandle::File {
                location: location @ FileLocation::Shared(_), offset, length, ..
            } = handle
            {
                let end = ends.entry(location.clone()).or_default();
                *end = (*end).max(offset + length);
            }
        }
        lengths.retain(|location, _| ends.contains_key(location));
        for (location, end) in ends {
            let length = lengths.entry(location).or_default();
            *length = (*length).max(end);
        }
    }

    /// The files of state backends in it that never change and that checkpoint `id` can name, by what tells each from all others;
    /// without those that hold too little of what they hold still.
    pub(super) fn native_files(
        &self,
        job: &JobStorage,
        id: CheckpointId,
        lengths: &HashMap<FileLocation, u64>,
        max_amplification: f64,
    ) -> HashMap<String, StateHandle> {
        let mut found: HashMap<String, StateHandle> = HashMap::new();
        let mut needed: HashMap<FileLocation, FileUse> = HashMap::new();
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
                    if let StateHandle::File { location, offset, length, .. } = &handle
                        && !found.contains_key(&shared_id)
                    {
                        needed.entry(location.clone()).or_default().add(*offset, *length);
                    }
                    found.insert(shared_id, handle);
                }
            }
        }
        let fits = |location: &FileLocation| {
            let length = lengths.get(location).copied().unwrap_or(0);
            let of_file = needed.get(location).map_or(1.0, |of_file| of_file.amplification(length));
            max_amplification < 1.0 || of_file <= max_amplification
        };
        found.retain(|_, handle| handle.location().is_none_or(fits));
        found
    }
}

/// What a checkpoint needs of a file into which several were packed.
#[derive(Default)]
struct FileUse {
    /// How long the file is at least.
    end: u64,
    needed: u64,
}

impl FileUse {
    fn add(&mut self, offset: u64, length: u64) {
        self.end = self.end.max(offset + length);
        self.needed += length;
    }

    /// How many times as long the file is, which has `length` bytes at least.
    fn amplification(&self, length: u64) -> f64 {
        self.end.max(length) as f64 / self.needed.max(1) as f64
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
    pub(crate) backup: Option<Arc<LocalBackup>>,
    /// The last ones of a job that has ended.
    pub(crate) statistics: Mutex<Option<Statistics>>,
}

/// State of an operator without a uid is found by its place among the others, which the next release of the job may have changed.
fn warn_of_missing_uids(plan: &ExecutionPlan) {
    let nodes = plan.graph.nodes.iter().filter(|node| node.uid.is_none() && node.is_stateful());
    let names: Vec<String> = nodes.map(|node| format!("'{}'", node.name)).collect();
    if !names.is_empty() {
        tracing::warn!(
            job = plan.job.name,
            "without a uid their state is found only as long as the job stays as it is: {}. Give them names by .uid(\"...\")",
            names.join(", ")
        );
    }
}

impl CheckpointService {
    /// Begins to take care of the checkpoints of a job, which goes on from `origin`.
    pub(crate) fn start(
        cluster: &Arc<ClusterShared>,
        plan: &Arc<ExecutionPlan>,
        environment: CheckpointEnvironment,
        job_id: JobId,
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
        if plan.settings.checkpointing.interval.is_some() || origin.is_some() {
            warn_of_missing_uids(plan);
        }
        let (reports, inbox) = channel();
        let backup = LocalBackup::new(&environment.local_backup).map(Arc::new);
        let shared = Arc::new(ServiceShared { backup, ..ServiceShared::default() });
        // Until the job has a checkpoint of its own, it starts again from this one.
        if let Some(origin) = &origin {
            shared.completed.lock().extend(origin.older.iter().chain([&origin.completed]).cloned());
        }
        let run = worker::Run { job_id, resumed: origin.as_ref().is_some_and(|origin| origin.same_job) };
        let worker = worker::Worker::new(
            coordinator,
            Arc::clone(plan),
            Arc::clone(cluster),
            environment.clone(),
            run,
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

    /// These attempts are about to run, and with them all tasks of the job. `restored` says from what.
    pub(crate) fn started(&self, attempts: &[Attempt], restored: Option<Restored>) {
        let attempt = self.attempt.load(Ordering::SeqCst);
        let tasks = attempts.iter().flat_map(|of_region| {
            of_region.tasks.iter().map(move |task| {
                let (commands, execution) = (Arc::clone(&task.commands), Arc::clone(&of_region.execution));
                (task.number, RunningTask { attempt, commands, execution })
            })
        });
        let sources = attempts.iter().flat_map(|of_region| of_region.sources.iter().cloned());
        self.report(Reported::Started { tasks: tasks.collect(), sources: sources.collect(), restored });
    }

    /// The attempts have failed that these tasks belong to. Returns when all that they have reported before is settled.
    pub(crate) fn failed(&self, message: String, tasks: Vec<usize>) -> AfterFailure {
        // What they may still say is not for the next one.
        self.attempt.fetch_add(1, Ordering::SeqCst);
        let (reply, answer) = channel();
        self.report(Reported::Failed { message, tasks, reply });
        answer.recv().unwrap_or(AfterFailure::StartAgain)
    }

    /// Reads the state of these vertices in the newest checkpoint that can be read; `None` when there is none.
    pub(crate) fn restore_latest(
        &self,
        vertices: &[usize],
    ) -> Result<Option<(RestoredJob, Restored)>, JobError> {
        let completed = self.shared.completed.lock().clone();
        let mut failure = None;
        for checkpoint in completed.into_iter().rev() {
            let uri = checkpoint.folder.uri();
            let source = Source {
                environment: &self.environment,
                folder: &checkpoint.folder,
                metadata: &checkpoint.metadata,
                backup: self.shared.backup.as_deref(),
            };
            let loaded = RestoredJob::load(&source, &self.plan, Some(vertices), false);
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
        target: Target,
        reply: impl FnOnce(Result<CompletedSnapshot, JobError>) + Send + 'static,
    ) {
        self.report(Reported::Savepoint { format, after, target, reply: Box::new(reply) });
    }

    /// Where the savepoint goes that a job is stopped with for a moment: among its checkpoints, if it has a place for any, so that it
    /// is found should the process end in that moment.
    pub(crate) fn target_of_pause(&self) -> Target {
        let settings = self.environment.storage.settings();
        match (&settings.checkpoint_dir, &settings.savepoint_dir) {
            (Some(_), _) => Target::Checkpoints,
            (None, Some(folder)) => Target::Folder(Some(folder.clone())),
            // Not in a folder of the process: where the job cannot be started again this is all that is left of it.
            (None, None) => Target::Folder(Some(self.environment.temporary.parent().display().to_string())),
        }
    }

    /// What the job has left so far, if it has a place for checkpoints.
    pub(crate) fn left_behind(&self, id: JobId) -> Result<Option<LeftBehind>, JobError> {
        let storage = &self.environment.storage;
        if storage.settings().checkpoint_dir.is_none() {
            return Ok(None);
        }
        let left = storage.job(id).and_then(|job| storage.block_on(job.left_behind(id)));
        let refused = |error: tidemill_checkpoint::CheckpointError| JobError::Restore {
            job: self.plan.job.name.clone(),
            reason: error.to_string(),
            code: error.code(),
            fault: error.fault(),
            damaged: error.is_damage(),
        };
        left.map(Some).map_err(refused)
    }

    /// Deletes a savepoint of a pause if it is in the folder for temporary files, where nobody looks for it: one among the
    /// checkpoints, or in a folder of the user's, is not deleted here, wherever that folder is.
    pub(crate) fn delete_temporary(&self, savepoint: &str) {
        let storage = &self.environment.storage;
        let settings = storage.settings();
        if settings.checkpoint_dir.is_none()
            && settings.savepoint_dir.is_none()
            && let Ok(folder) = storage.at(savepoint)
            && let Err(error) = storage.block_on(folder.delete())
        {
            tracing::warn!(
                job = self.plan.job.name,
                "a savepoint that is not needed any more stays: {error}"
            );
        }
    }

    /// Asks for a checkpoint; `reply` is called on another thread when it is complete or has failed.
    pub(crate) fn checkpoint(
        &self,
        checkpoint: ManualCheckpoint,
        reply: impl FnOnce(Result<CompletedSnapshot, JobError>) + Send + 'static,
    ) {
        self.report(Reported::Checkpoint { checkpoint, reply: Box::new(reply) });
    }

    /// What is known of the job's checkpoints.
    pub(crate) fn statistics(&self) -> Option<Statistics> {
        let (reply, answer) = channel();
        self.report(Reported::Statistics { reply });
        // When the worker has gone it has left the last ones.
        answer.recv().ok().or_else(|| self.shared.statistics.lock().clone())
    }

    /// The job has ended; waits until what it does not keep is deleted.
    pub(crate) fn job_ended(&self, status: JobStatus) {
        self.end(match status {
            JobStatus::Finished => JobOutcome::Finished,
            JobStatus::Canceled => JobOutcome::Canceled,
            _ => JobOutcome::Failed,
        });
    }

    /// The job is not run by this service any more, but goes on: nothing of it is deleted.
    pub(crate) fn suspended(&self) {
        self.end(JobOutcome::Suspended);
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

    fn overtaken(&self, task: usize, overtaken: Overtaken) {
        self.report(Reported::Overtaken { attempt: self.attempt, task, overtaken });
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
