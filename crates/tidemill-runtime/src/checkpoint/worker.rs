//! The thread that takes care of a job's checkpoints.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tidemill_checkpoint::coordinator::{
    Alignment, CheckpointCoordinator, CompletedSnapshot, CoordinatedTask, CoordinatorAction,
    CoordinatorError, CoordinatorEvent, DeclineReason, JobOutcome, ManualCheckpoint, RequestId,
    RestoredCheckpoint, RetainedCheckpoint, SavepointFormat as Format, SnapshotKind as Kind, StopMode,
    TaskId, TriggerOptions,
};
use tidemill_checkpoint::{FileLocation, JobStorage, SharedFileRegistry, StateFile};
use tidemill_core::{
    AfterSavepoint, BarrierAlignment, CheckpointBarrier, CheckpointId, Classified, JobId, OperatorId,
    SavepointFormat, SnapshotKind,
};
use tidemill_network::GateSnapshot;
use tokio::task::JoinHandle;

use crate::checkpoint::parts::{Part, StoredPart};
use crate::checkpoint::pending::{Pending, Published};
use crate::checkpoint::restore::Origin;
use crate::checkpoint::service::{CheckpointEnvironment, Restored, ServiceShared};
use crate::checkpoint::task_snapshot::TaskSnapshot;
use crate::cluster::ClusterShared;
use crate::cluster::execution::Execution;
use crate::error::JobError;
use crate::graph::{ExecutionPlan, reaching_subtasks};
use crate::source::SourceCoordinator;
use crate::task::{Commands, TaskCommand, panics};

/// Answers whoever asked for a savepoint.
pub(super) type Reply = Box<dyn FnOnce(Result<CompletedSnapshot, JobError>) + Send>;

/// What the worker is told.
pub(super) enum Reported {
    /// All tasks of an attempt run.
    Started {
        attempt: u64,
        commands: Vec<Arc<Commands>>,
        sources: Vec<(OperatorId, u32, Arc<SourceCoordinator>)>,
        execution: Arc<Execution>,
        restored: Option<Restored>,
    },
    /// The attempt has failed.
    Failed { message: String, reply: Sender<Option<JobError>> },
    /// A task has taken its snapshot.
    Snapshot { attempt: u64, task: usize, snapshot: TaskSnapshot },
    /// What the barriers have overtaken in the gates of a task.
    Overtaken { attempt: u64, task: usize, id: CheckpointId, gates: Vec<GateSnapshot> },
    /// A task cannot take part.
    Declined { attempt: u64, task: usize, id: CheckpointId, message: String },
    /// A task has finished and waits for a checkpoint that says so.
    WaitsForLast { attempt: u64, task: usize },
    /// A task has ended.
    TaskFinished { attempt: u64, task: usize },
    /// The part of a task is stored.
    Stored { attempt: u64, task: usize, id: CheckpointId, result: Result<StoredPart, String> },
    /// The metadata is stored.
    Published { id: CheckpointId, result: Result<Published, String> },
    /// Somebody asks for a savepoint.
    Savepoint { format: SavepointFormat, after: AfterSavepoint, folder: Option<String>, reply: Reply },
    /// Somebody asks for a checkpoint.
    Checkpoint { reply: Reply },
    /// The job has ended. Whoever waits on the other end of `done` goes on when all is cleaned up.
    JobEnded { outcome: JobOutcome, done: Sender<()> },
}

/// The attempt that runs.
struct Running {
    attempt: u64,
    commands: Vec<Arc<Commands>>,
    sources: Vec<(OperatorId, u32, Arc<SourceCoordinator>)>,
    execution: Arc<Execution>,
    /// The tasks that have ended, or wait for a last checkpoint to do so.
    at_end: BTreeSet<usize>,
}

impl Running {
    fn tell(&self, command: TaskCommand) {
        self.commands.iter().for_each(|commands| commands.send(command));
    }
}

/// Who waits for a request to be answered.
enum Asker {
    /// Somebody who wants a savepoint in this folder.
    Savepoint { folder: Option<String>, reply: Reply },
    /// Somebody who wants a checkpoint now.
    Checkpoint { reply: Reply },
    /// The tasks that have finished and wait for a checkpoint that says so.
    LastCheckpoint,
}

const NO_FOLDER: &str = "'execution.checkpointing.dir' is not set";
/// How long after a failure the checkpoint that the tasks wait for to end is asked for again.
const ASK_AGAIN_MS: i64 = 1000;
/// How long the worker sleeps at most: a test may move the clock without waking it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Drives the coordinator of a job.
pub(super) struct Worker {
    coordinator: CheckpointCoordinator,
    plan: Arc<ExecutionPlan>,
    cluster: Arc<ClusterShared>,
    environment: CheckpointEnvironment,
    job_id: JobId,
    job: Option<JobStorage>,
    registry: SharedFileRegistry,
    shared: Arc<ServiceShared>,
    reports: Sender<Reported>,
    running: Option<Running>,
    pending: BTreeMap<CheckpointId, Pending>,
    askers: BTreeMap<RequestId, Asker>,
    /// The requests for savepoints that were not begun, in order.
    savepoints: VecDeque<RequestId>,
    next_request: u64,
    ask_for_last_at: Option<i64>,
    /// Why the job must not be started again.
    fatal: Option<JobError>,
    /// Tasks that have ended while their part of a checkpoint is still being stored.
    finishing: BTreeSet<usize>,
    deletions: Vec<JoinHandle<()>>,
}

/// The tasks of a job as the coordinator counts them: subtask by subtask, vertex by vertex.
pub(super) fn tasks_of(plan: &ExecutionPlan) -> Vec<CoordinatedTask> {
    let first = plan.first_tasks();
    let mut tasks = Vec::new();
    for (index, vertex) in plan.job.vertices.iter().enumerate() {
        for subtask in 0..vertex.parallelism {
            let inputs =
                plan.exchanges.iter().filter(|exchange| exchange.target == index).flat_map(|exchange| {
                    let sources = plan.job.vertices[exchange.source].parallelism;
                    let reaching = reaching_subtasks(exchange.strategy, subtask, sources, vertex.parallelism);
                    let first = first[exchange.source];
                    reaching.map(move |source| TaskId(first as u32 + source))
                });
            tasks.push(CoordinatedTask { vertex: vertex.id, subtask, inputs: inputs.collect() });
        }
    }
    tasks
}

impl Worker {
    pub(super) fn new(
        coordinator: CheckpointCoordinator,
        plan: Arc<ExecutionPlan>,
        cluster: Arc<ClusterShared>,
        environment: CheckpointEnvironment,
        job_id: JobId,
        shared: Arc<ServiceShared>,
        reports: Sender<Reported>,
    ) -> Result<Self, JobError> {
        let wants_checkpoints = coordinator.settings().interval.is_some();
        // Without periodic checkpoints savepoints can be taken all the same, to folders that are named when they are.
        let job = match environment.storage.job(job_id) {
            Ok(job) => {
                let unwritable = |error: tidemill_checkpoint::CheckpointError| JobError::Checkpoints {
                    job: plan.job.name.clone(),
                    reason: error.to_string(),
                };
                if wants_checkpoints {
                    environment.storage.block_on(job.check_writable()).map_err(unwritable)?;
                }
                Some(job)
            }
            Err(error) if wants_checkpoints => {
                return Err(JobError::Checkpoints { job: plan.job.name.clone(), reason: error.to_string() });
            }
            Err(_) => None,
        };
        Ok(Self {
            coordinator,
            plan,
            cluster,
            environment,
            job_id,
            job,
            registry: SharedFileRegistry::new(),
            shared,
            reports,
            running: None,
            pending: BTreeMap::new(),
            askers: BTreeMap::new(),
            savepoints: VecDeque::new(),
            next_request: 0,
            ask_for_last_at: None,
            fatal: None,
            finishing: BTreeSet::new(),
            deletions: Vec::new(),
        })
    }

    /// Works until the job has ended.
    pub(super) fn run(mut self, inbox: &Receiver<Reported>, origin: Option<Origin>) {
        if let Some(origin) = origin {
            self.begin_after(origin);
        }
        loop {
            let now = self.cluster.clock.now();
            let due = [self.coordinator.next_deadline(), self.ask_for_last_at].into_iter().flatten().min();
            let wait = due.map_or(LONGEST_SLEEP, |due| {
                Duration::from_millis(due.saturating_sub(now).max(0).unsigned_abs()).min(LONGEST_SLEEP)
            });
            match inbox.recv_timeout(wait) {
                Ok(Reported::JobEnded { outcome, done }) => {
                    self.tell(CoordinatorEvent::Stop { outcome });
                    self.clean_up(inbox);
                    let _ = done.send(());
                    return;
                }
                Ok(reported) => self.take(reported),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = self.cluster.clock.now();
            if self.coordinator.next_deadline().is_some_and(|due| due <= now) {
                self.tell(CoordinatorEvent::Tick);
            }
            // What they waited for may have been given up.
            let finishing: Vec<usize> = self.finishing.iter().copied().collect();
            finishing.into_iter().for_each(|task| self.finish(task));
            if self.ask_for_last_at.is_some_and(|due| due <= now) {
                self.ask_for_last_at = None;
                self.ask_for_last();
            }
            *self.shared.statistics.lock() = Some(self.coordinator.statistics().clone());
        }
    }

    /// Goes on with the numbers, and maybe the files, of what the job was restored from.
    fn begin_after(&mut self, origin: Origin) {
        let mut retained = Vec::new();
        if let (true, Some(job)) = (origin.claimed, &self.job) {
            match job.files_of(&origin.completed.folder, &origin.completed.metadata) {
                Ok(files) => {
                    if let Err(error) = self.registry.retain(origin.completed.id, files) {
                        tracing::warn!(job = self.plan.job.name, "{error}");
                    }
                    let external_path = origin.completed.folder.uri();
                    retained.push(RetainedCheckpoint { id: origin.completed.id, external_path });
                }
                Err(error) => tracing::warn!(job = self.plan.job.name, "it is not claimed: {error}"),
            }
        } else if let Some(job) = &self.job
            && let Ok(files) = job.files_of(&origin.completed.folder, &origin.completed.metadata)
        {
            self.registry.protect(files);
        }
        let next_id = origin.completed.id + 1;
        self.tell(CoordinatorEvent::RestoredRetained { checkpoints: retained, next_id });
    }

    fn take(&mut self, reported: Reported) {
        if let Some(attempt) = reported.attempt()
            && self.running.as_ref().is_none_or(|running| running.attempt != attempt)
        {
            return;
        }
        match reported {
            Reported::Started { attempt, commands, sources, execution, restored } => {
                let at_end = BTreeSet::new();
                self.running = Some(Running { attempt, commands, sources, execution, at_end });
                self.tell(CoordinatorEvent::RestoreStarted);
                let checkpoint = restored.map(|restored| RestoredCheckpoint {
                    id: restored.id,
                    savepoint: restored.savepoint,
                    external_path: restored.path,
                    claimed: restored.claimed,
                });
                // Tasks that had finished run again, with nothing to say: they take part like all others.
                self.tell(CoordinatorEvent::Restored { checkpoint, finished: Vec::new() });
                let random = tidemill_core::hash::bytes(self.job_id.to_string().as_bytes()) >> 11;
                let first_delay =
                    self.coordinator.settings().first_delay(random as f64 / (1u64 << 53) as f64);
                self.tell(CoordinatorEvent::Start { first_delay });
            }
            Reported::Failed { message, reply } => {
                self.tell(CoordinatorEvent::JobFailing { message });
                self.running = None;
                self.finishing.clear();
                self.ask_for_last_at = None;
                let _ = reply.send(self.fatal.take());
            }
            Reported::Snapshot { task, snapshot, .. } => {
                let id = snapshot.barrier.id;
                if let Some(part) =
                    self.pending.get_mut(&id).and_then(|pending| pending.snapshot(task, snapshot))
                {
                    self.store(task, id, part);
                }
            }
            Reported::Overtaken { task, id, gates, .. } => {
                if let Some(part) =
                    self.pending.get_mut(&id).and_then(|pending| pending.overtaken(task, gates))
                {
                    self.store(task, id, part);
                }
            }
            Reported::Declined { task, id, message, .. } => {
                let (task, reason) = (TaskId(task as u32), DeclineReason::Failed);
                self.tell(CoordinatorEvent::Decline { task, checkpoint_id: id, reason, message });
            }
            Reported::WaitsForLast { task, .. } => {
                self.at_end(task);
                self.ask_for_last();
            }
            Reported::TaskFinished { task, .. } => {
                self.at_end(task);
                self.finishing.insert(task);
            }
            Reported::Stored { task, id, result, .. } => self.stored(task, id, result),
            Reported::Published { id, result } => self.published(id, result),
            Reported::Savepoint { format, after, folder, reply } => {
                // A request that makes no sense is nobody's failure but its own.
                if let Err(error) = self.environment.storage.savepoint(self.job_id, folder.as_deref()) {
                    let (job, reason) = (self.plan.job.name.clone(), error.to_string());
                    return reply(Err(JobError::Checkpoints { job, reason }));
                }
                let request = self.request(Asker::Savepoint { folder, reply });
                self.savepoints.push_back(request);
                let format = match format {
                    SavepointFormat::Canonical => Format::Canonical,
                    SavepointFormat::Native => Format::Native,
                };
                let stop = match after {
                    AfterSavepoint::GoOn => StopMode::Continue,
                    AfterSavepoint::Stop => StopMode::Stop,
                    AfterSavepoint::Drain => StopMode::Drain,
                };
                self.tell(CoordinatorEvent::TriggerSavepoint { request, format, stop });
            }
            Reported::Checkpoint { reply } => {
                if self.job.is_none() {
                    let (job, reason) = (self.plan.job.name.clone(), NO_FOLDER.to_owned());
                    return reply(Err(JobError::Checkpoints { job, reason }));
                }
                let request = self.request(Asker::Checkpoint { reply });
                let checkpoint = ManualCheckpoint::Configured;
                self.tell(CoordinatorEvent::TriggerCheckpoint { request, checkpoint });
            }
            Reported::JobEnded { .. } => {}
        }
    }

    /// Tells the coordinator that a task has ended, once all that it has said before is settled.
    fn finish(&mut self, task: usize) {
        if self.pending.values().any(|pending| pending.is_storing(task)) || !self.finishing.remove(&task) {
            return;
        }
        self.tell(CoordinatorEvent::TaskFinished { task: TaskId(task as u32) });
        self.ask_for_last();
    }

    fn at_end(&mut self, task: usize) {
        if let Some(running) = &mut self.running {
            running.at_end.insert(task);
        }
    }

    fn request(&mut self, asker: Asker) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.askers.insert(request, asker);
        request
    }

    /// Nothing is left to be done but a checkpoint that says so: it need not wait for its time.
    fn ask_for_last(&mut self) {
        let Some(running) = &self.running else { return };
        let waits = running.at_end.len() == running.commands.len();
        let asked = self.askers.values().any(|asker| matches!(asker, Asker::LastCheckpoint));
        if waits && !asked && self.coordinator.settings().interval.is_some() {
            let request = self.request(Asker::LastCheckpoint);
            let checkpoint = ManualCheckpoint::Configured;
            self.tell(CoordinatorEvent::TriggerCheckpoint { request, checkpoint });
        }
    }

    fn tell(&mut self, event: CoordinatorEvent) {
        let now = self.cluster.clock.now();
        let actions = self.coordinator.handle(now, event);
        for action in actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: CoordinatorAction) {
        match action {
            CoordinatorAction::TriggerSources { checkpoint_id, timestamp, options, .. } => {
                if let Err(message) = self.trigger(checkpoint_id, timestamp, options) {
                    self.tell(CoordinatorEvent::TriggerFailed { checkpoint_id, message });
                }
            }
            CoordinatorAction::AbortCheckpoint { checkpoint_id, reason } => {
                tracing::debug!(job = self.plan.job.name, checkpoint = checkpoint_id, "aborted: {reason}");
                self.pending.remove(&checkpoint_id);
                if let Some(running) = &self.running {
                    running.sources.iter().for_each(|(_, _, source)| source.abort_checkpoint(checkpoint_id));
                    running.tell(TaskCommand::Aborted(checkpoint_id));
                }
            }
            CoordinatorAction::WriteMetadata { checkpoint_id, timestamp, finished, .. } => {
                if let Some(pending) = self.pending.get_mut(&checkpoint_id) {
                    let finished = finished.iter().map(|task| task.0 as usize).collect();
                    let metadata = pending.metadata(&self.plan, self.job_id, timestamp, &finished);
                    let (work, reports) = (pending.publish(metadata), self.reports.clone());
                    let work = self.environment.runtime.spawn(async move {
                        let result = work.await.map_err(|error| error.to_string());
                        let _ = reports.send(Reported::Published { id: checkpoint_id, result });
                    });
                    // Not given up half-way: what it has published is deleted then.
                    self.deletions.push(work);
                }
            }
            CoordinatorAction::NotifyCompleted { checkpoint_id } => {
                if let Some(running) = &self.running {
                    running.tell(TaskCommand::Completed(checkpoint_id));
                }
            }
            CoordinatorAction::Discard { checkpoint_id } => {
                self.shared.completed.lock().retain(|completed| completed.id != checkpoint_id);
                match self.registry.discard(checkpoint_id) {
                    Ok(files) => self.delete(files),
                    Err(error) => tracing::debug!(job = self.plan.job.name, "{error}"),
                }
            }
            CoordinatorAction::DiscardPending { checkpoint_id } => {
                self.pending.remove(&checkpoint_id);
                if self.registry.is_pending(checkpoint_id) {
                    match self.registry.abort(checkpoint_id) {
                        Ok(files) => self.delete(files),
                        Err(error) => tracing::debug!(job = self.plan.job.name, "{error}"),
                    }
                }
            }
            // The writer of a checkpoint that has ended takes back all that was written through it.
            CoordinatorAction::DiscardState { .. } => {}
            CoordinatorAction::FailJob { error } => {
                let failure =
                    || JobError::Checkpoints { job: self.plan.job.name.clone(), reason: error.to_string() };
                if let Some(running) = &self.running {
                    running.execution.fail(failure());
                }
                if !error.retryable() {
                    self.fatal = Some(failure());
                }
            }
            CoordinatorAction::CompleteRequest { request, result } => {
                if let Some(Asker::Savepoint { reply, .. } | Asker::Checkpoint { reply }) =
                    self.askers.remove(&request)
                {
                    reply(Ok(result));
                }
            }
            CoordinatorAction::FailRequest { request, error } => self.failed_request(request, error),
        }
    }

    fn failed_request(&mut self, request: RequestId, error: CoordinatorError) {
        self.savepoints.retain(|waiting| *waiting != request);
        match self.askers.remove(&request) {
            Some(Asker::Savepoint { reply, .. } | Asker::Checkpoint { reply }) => {
                let (job, reason) = (self.plan.job.name.clone(), error.to_string());
                reply(Err(JobError::Checkpoints { job, reason }));
            }
            Some(Asker::LastCheckpoint) if self.running.is_some() => {
                self.ask_for_last_at = Some(self.cluster.clock.now() + ASK_AGAIN_MS);
            }
            _ => {}
        }
    }

    fn trigger(&mut self, id: CheckpointId, timestamp: i64, options: TriggerOptions) -> Result<(), String> {
        let Some(running) = &self.running else { return Err("the job does not run".to_owned()) };
        let barrier = barrier(id, timestamp, options);
        let folder = match options.kind {
            Kind::Checkpoint { .. } => {
                let job = self.job.as_ref().ok_or(NO_FOLDER)?;
                job.checkpoint(id)
            }
            Kind::Savepoint { .. } => {
                let request = self.savepoints.pop_front();
                let asker = request.and_then(|request| self.askers.get(&request));
                let target = match asker {
                    Some(Asker::Savepoint { folder, .. }) => folder.as_deref(),
                    _ => None,
                };
                let storage = &self.environment.storage;
                storage.savepoint(self.job_id, target).map_err(|error| error.to_string())?
            }
        };
        // Files that the last checkpoint has stored and a new one may name again.
        let known: HashMap<String, tidemill_checkpoint::StateHandle> = match options.kind {
            Kind::Checkpoint { full: false } => {
                let completed = self.shared.completed.lock();
                completed
                    .last()
                    .zip(self.job.as_ref())
                    .map(|(last, job)| last.native_files(job, id))
                    .unwrap_or_default()
            }
            _ => HashMap::new(),
        };
        if !options.kind.is_savepoint() {
            self.registry.begin(id).map_err(|error| error.to_string())?;
        }
        // The enumerators are the user's.
        let splits = panics::catch(|| {
            let sources = running.sources.iter();
            let begun = sources.map(|(operator, parallelism, source)| {
                (*operator, source.begin_checkpoint(id, 0..*parallelism))
            });
            begun.collect()
        });
        let splits = splits.map_err(|panic| panic.error.to_string())?;
        self.pending.insert(id, Pending::new(barrier, folder, splits, known));
        // Not to the sources alone: the producers of others may end meanwhile, and no barrier would come.
        running.tell(TaskCommand::Trigger(barrier));
        Ok(())
    }

    /// Has the part of a task stored, beside the tasks.
    fn store(&mut self, task: usize, id: CheckpointId, part: Part) {
        let (Some(running), Some(pending)) = (&self.running, self.pending.get_mut(&id)) else { return };
        let (attempt, reports, work) = (running.attempt, self.reports.clone(), pending.store(part));
        let handle = self.environment.runtime.spawn(async move {
            let result = work.await.map_err(|error| error.to_string());
            let _ = reports.send(Reported::Stored { attempt, task, id, result });
        });
        pending.under_way(handle);
    }

    fn stored(&mut self, task: usize, id: CheckpointId, result: Result<StoredPart, String>) {
        let coordinated = TaskId(task as u32);
        match result {
            Ok(part) => {
                let statistics = part.statistics;
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.stored(task, part);
                }
                self.tell(CoordinatorEvent::Acknowledge { task: coordinated, checkpoint_id: id, statistics });
            }
            Err(message) => {
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.not_stored(task);
                }
                let (task, reason) = (coordinated, DeclineReason::AsyncFailed);
                self.tell(CoordinatorEvent::Decline { task, checkpoint_id: id, reason, message });
            }
        }
    }

    fn published(&mut self, id: CheckpointId, result: Result<Published, String>) {
        match result {
            Ok(published) => {
                if self.pending.remove(&id).is_none() {
                    // It was given up meanwhile.
                    self.give_up(published);
                    return;
                }
                if let Some(running) = &self.running {
                    running.sources.iter().for_each(|(_, _, source)| source.complete_checkpoint(id));
                }
                let external_path = published.completed.folder.uri();
                if !published.completed.metadata.kind.is_savepoint()
                    && let Some(job) = &self.job
                {
                    let files = job.files_of(&published.completed.folder, &published.completed.metadata);
                    let left = files.and_then(|files| self.registry.complete(id, files));
                    match left {
                        Ok(left) => self.delete(left),
                        Err(error) => tracing::warn!(job = self.plan.job.name, "{error}"),
                    }
                    let mut completed = self.shared.completed.lock();
                    // What is not the job's own may be gone tomorrow.
                    completed.retain(|completed| completed.claimed);
                    completed.push(published.completed);
                }
                let bytes = published.bytes;
                self.tell(CoordinatorEvent::MetadataWritten { checkpoint_id: id, external_path, bytes });
            }
            Err(message) => {
                self.tell(CoordinatorEvent::MetadataFailed { checkpoint_id: id, message });
            }
        }
    }

    /// Deletes what was published although nobody wants it any more.
    fn give_up(&mut self, published: Published) {
        let job = self.job.clone();
        self.deletions.push(self.environment.runtime.spawn(async move {
            let Published { completed, written, .. } = published;
            let _ = completed.folder.delete().await;
            let shared = written.into_iter().filter_map(|file| match file {
                FileLocation::Shared(name) => Some(StateFile::Shared(name)),
                _ => None,
            });
            if let Some(job) = job {
                let _ = job.delete(&shared.collect::<Vec<_>>()).await;
            }
        }));
    }

    fn delete(&mut self, files: Vec<StateFile>) {
        let Some(job) = self.job.clone().filter(|_| !files.is_empty()) else { return };
        let name = self.plan.job.name.clone();
        self.deletions.retain(|deletion| !deletion.is_finished());
        self.deletions.push(self.environment.runtime.spawn(async move {
            if let Err(error) = job.delete(&files).await {
                tracing::warn!(
                    job = name,
                    "files of a checkpoint that is not kept were not deleted: {error}"
                );
            }
        }));
    }

    /// Waits until nothing is left to be deleted.
    fn clean_up(&mut self, inbox: &Receiver<Reported>) {
        self.pending.clear();
        self.wait_for_deletions();
        for reported in inbox.try_iter() {
            if let Reported::Published { result: Ok(published), .. } = reported {
                self.give_up(published);
            }
        }
        self.wait_for_deletions();
    }

    fn wait_for_deletions(&mut self) {
        let deletions = std::mem::take(&mut self.deletions);
        let storage = self.environment.storage.clone();
        self.environment.runtime.block_on(async move {
            for deletion in deletions {
                let _ = deletion.await;
            }
            storage.settle().await;
        });
    }
}

impl Reported {
    /// The attempt that speaks, of those that only speak for one.
    fn attempt(&self) -> Option<u64> {
        match self {
            Reported::Snapshot { attempt, .. }
            | Reported::Overtaken { attempt, .. }
            | Reported::Declined { attempt, .. }
            | Reported::WaitsForLast { attempt, .. }
            | Reported::TaskFinished { attempt, .. }
            | Reported::Stored { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }
}

fn barrier(id: CheckpointId, timestamp: i64, options: TriggerOptions) -> CheckpointBarrier {
    let (kind, after) = match options.kind {
        Kind::Checkpoint { .. } => (SnapshotKind::Checkpoint, AfterSavepoint::GoOn),
        Kind::Savepoint { format, stop } => {
            let format = match format {
                Format::Canonical => SavepointFormat::Canonical,
                Format::Native => SavepointFormat::Native,
            };
            let after = match stop {
                StopMode::Continue => AfterSavepoint::GoOn,
                StopMode::Stop => AfterSavepoint::Stop,
                StopMode::Drain => AfterSavepoint::Drain,
            };
            (SnapshotKind::Savepoint(format), after)
        }
    };
    let alignment = match options.alignment {
        Alignment::AtLeastOnce => BarrierAlignment::AtLeastOnce,
        Alignment::Aligned => BarrierAlignment::Aligned,
        Alignment::Unaligned => BarrierAlignment::Unaligned,
        Alignment::AlignedWithTimeout(ms) => {
            BarrierAlignment::AlignedFor(u32::try_from(ms).unwrap_or(u32::MAX))
        }
    };
    CheckpointBarrier { id, timestamp, kind, alignment, after }
}
