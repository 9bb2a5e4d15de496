//! The thread that takes care of a job's checkpoints.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tidemill_checkpoint::coordinator::{
    CheckpointCoordinator, CoordinatedTask, CoordinatorAction, CoordinatorError, CoordinatorEvent,
    DeclineReason, JobOutcome, ManualCheckpoint, RequestId, RestoredCheckpoint, RetainedCheckpoint,
    SnapshotKind as Kind, TaskId, TriggerOptions,
};
use tidemill_checkpoint::storage::{InProgress, JobLock};
use tidemill_checkpoint::{
    CheckpointError, CheckpointFolder, FileLocation, JobStorage, SharedFileRegistry, StateFile,
};
use tidemill_core::{AfterSavepoint, CheckpointBarrier, CheckpointId, Classified, JobId, SnapshotKind};
use tokio::task::JoinHandle;

use crate::checkpoint::parts::{Part, StoredPart, Storing};
use crate::checkpoint::pending::{Pending, Published};
use crate::checkpoint::reported::{AfterFailure, Reply, Reported, Target};
use crate::checkpoint::restore::Origin;
use crate::checkpoint::running::Running;
use crate::checkpoint::service::{CheckpointEnvironment, ServiceShared};
use crate::cluster::ClusterShared;
use crate::error::JobError;
use crate::graph::{ExecutionPlan, reaching_subtasks};
use crate::task::{TaskCommand, panics};

/// Who waits for a request to be answered.
enum Asker {
    /// Somebody who wants a savepoint there.
    Savepoint { target: Target, reply: Reply },
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
    running: Running,
    /// How many tasks the job has.
    tasks: usize,
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
    /// How long files are at least that the newest checkpoint shares with others.
    lengths: HashMap<FileLocation, u64>,
    /// Whether a source has said that it has a backlog.
    backlog: bool,
    /// Whether an earlier run, or a checkpoint that failed late, may have left files that nobody knows.
    sweep_due: bool,
    /// Checkpoints that cannot be read, which are nobody's to delete.
    left_alone: BTreeSet<CheckpointId>,
    /// Held while the job runs.
    lock: Option<JobLock>,
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

/// Which run of a job.
pub(super) struct Run {
    pub(super) job_id: JobId,
    /// Whether it goes on as an earlier one.
    pub(super) resumed: bool,
}

impl Worker {
    pub(super) fn new(
        coordinator: CheckpointCoordinator,
        plan: Arc<ExecutionPlan>,
        cluster: Arc<ClusterShared>,
        environment: CheckpointEnvironment,
        run: Run,
        shared: Arc<ServiceShared>,
        reports: Sender<Reported>,
    ) -> Result<Self, JobError> {
        let Run { job_id, resumed } = run;
        let refused = |error: CheckpointError| JobError::Checkpoints {
            job: plan.job.name.clone(),
            reason: error.to_string(),
        };
        let wants_checkpoints = coordinator.settings().interval.is_some() || resumed;
        // Without periodic checkpoints savepoints can be taken all the same, to folders that are named when they are.
        let (job, lock) = match environment.storage.job(job_id) {
            Ok(job) if wants_checkpoints => {
                let lock = job.lock(&plan.job.name).map_err(refused)?;
                environment.storage.block_on(job.check_writable()).map_err(refused)?;
                (Some(job), Some(lock))
            }
            Ok(job) => (Some(job), None),
            Err(error) if wants_checkpoints => return Err(refused(error)),
            Err(_) => (None, None),
        };
        let tasks = tasks_of(&plan).len();
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
            running: Running::default(),
            tasks,
            pending: BTreeMap::new(),
            askers: BTreeMap::new(),
            savepoints: VecDeque::new(),
            next_request: 0,
            ask_for_last_at: None,
            fatal: None,
            finishing: BTreeSet::new(),
            deletions: Vec::new(),
            lengths: HashMap::new(),
            backlog: false,
            sweep_due: false,
            left_alone: BTreeSet::new(),
            lock,
        })
    }

    /// Works until the job has ended.
    pub(super) fn run(mut self, inbox: &Receiver<Reported>, origin: Option<Origin>) {
        match origin {
            Some(origin) => self.begin_after(origin),
            None => self.begin_after_others(),
        }
        loop {
            let now = self.cluster.clock.now();
            let due = [self.coordinator.next_deadline(), self.ask_for_last_at].into_iter().flatten().min();
            let wait = due.map_or(LONGEST_SLEEP, |due| {
                Duration::from_millis(due.saturating_sub(now).max(0).unsigned_abs()).min(LONGEST_SLEEP)
            });
            match inbox.recv_timeout(wait) {
                Ok(Reported::JobEnded { outcome, done }) => {
                    // Whoever goes on with the job knows what is whose.
                    self.sweep_due &= outcome != JobOutcome::Suspended;
                    self.tell(CoordinatorEvent::Stop { outcome });
                    *self.shared.statistics.lock() = Some(self.coordinator.statistics().clone());
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
            self.look_for_backlog();
            // What they waited for may have been given up.
            let finishing: Vec<usize> = self.finishing.iter().copied().collect();
            finishing.into_iter().for_each(|task| self.finish(task));
            if self.ask_for_last_at.is_some_and(|due| due <= now) {
                self.ask_for_last_at = None;
                self.ask_for_last();
            }
        }
    }

    /// Goes on with the numbers, and maybe the files, of what the job was restored from.
    fn begin_after(&mut self, origin: Origin) {
        let mut retained = Vec::new();
        self.left_alone = origin.damaged;
        self.sweep_due = origin.same_job;
        for completed in origin.older.into_iter().chain([origin.completed]) {
            let Some(job) = &self.job else { continue };
            match job.files_of(&completed.folder, &completed.metadata) {
                Ok(files) if completed.claimed => {
                    if let Err(error) = self.registry.retain(completed.id, files) {
                        tracing::warn!(job = self.plan.job.name, "{error}");
                    }
                    let external_path = completed.folder.uri();
                    retained.push(RetainedCheckpoint { id: completed.id, external_path });
                }
                Ok(files) => self.registry.protect(files),
                Err(error) => tracing::warn!(job = self.plan.job.name, "it is not claimed: {error}"),
            }
        }
        self.tell(CoordinatorEvent::RestoredRetained { checkpoints: retained, next_id: origin.next_id });
    }

    /// Where all runs share one folder the numbers of this one go on after those of the others.
    fn begin_after_others(&mut self) {
        let storage = &self.environment.storage;
        let Some(job) =
            self.job.as_ref().filter(|_| self.lock.is_some() && !storage.settings().create_subdir)
        else {
            return;
        };
        match storage.block_on(job.list()) {
            Ok(found) => {
                let next_id = found.first().map_or(1, |newest| newest.id + 1);
                self.tell(CoordinatorEvent::RestoredRetained { checkpoints: Vec::new(), next_id });
            }
            Err(error) => tracing::warn!(job = self.plan.job.name, "{error}"),
        }
    }

    fn take(&mut self, reported: Reported) {
        if let Some((task, attempt)) = reported.speaker()
            && self.running.attempt(task) != Some(attempt)
        {
            return;
        }
        match reported {
            Reported::Started { tasks, sources, restored } => {
                self.running.tasks.extend(tasks);
                let sources =
                    sources.into_iter().map(|(id, parallelism, source)| (id, (parallelism, source)));
                self.running.sources.extend(sources);
                self.tell(CoordinatorEvent::RestoreStarted);
                let checkpoint = restored.map(|restored| RestoredCheckpoint {
                    id: restored.id,
                    savepoint: restored.savepoint,
                    external_path: restored.path,
                    claimed: restored.claimed,
                });
                // Of the tasks that run on. Others that had finished run again, with nothing to say, and take part like all.
                let finished = self.running.ended.iter().map(|task| TaskId(*task as u32)).collect();
                self.tell(CoordinatorEvent::Restored { checkpoint, finished });
                self.look_for_backlog();
                let random = tidemill_core::hash::bytes(self.job_id.to_string().as_bytes()) >> 11;
                let first_delay =
                    self.coordinator.settings().first_delay(random as f64 / (1u64 << 53) as f64);
                self.tell(CoordinatorEvent::Start { first_delay });
                self.ask_for_last();
            }
            Reported::Failed { message, tasks, reply } => {
                let was_ending = self.pending.values().any(Pending::ends_job);
                self.tell(CoordinatorEvent::JobFailing { message });
                // The coordinator begins anew with it.
                self.backlog = false;
                for task in tasks {
                    self.running.tasks.remove(&task);
                    self.running.at_end.remove(&task);
                    self.running.ended.remove(&task);
                    self.finishing.remove(&task);
                }
                self.ask_for_last_at = None;
                let _ = reply.send(match self.fatal.take() {
                    Some(error) => AfterFailure::GiveUp(error),
                    // Sources may have stopped, and windows fired, for a savepoint that there will not be.
                    None if was_ending && !self.running.tasks.is_empty() => AfterFailure::StartAllAgain,
                    None => AfterFailure::StartAgain,
                });
            }
            Reported::Snapshot { task, snapshot, .. } => {
                let id = snapshot.barrier.id;
                if let Some(part) =
                    self.pending.get_mut(&id).and_then(|pending| pending.snapshot(task, snapshot))
                {
                    self.store(task, id, part);
                }
            }
            Reported::Overtaken { task, overtaken, .. } => {
                let id = overtaken.id;
                if let Some(part) =
                    self.pending.get_mut(&id).and_then(|pending| pending.overtaken(task, overtaken))
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
                self.running.ended.insert(task);
                self.finishing.insert(task);
            }
            Reported::Stored { task, id, result, .. } => self.stored(task, id, result),
            Reported::Published { id, result } => self.published(id, result),
            Reported::Savepoint { format, after, target, reply } => {
                // A request that makes no sense is nobody's failure but its own.
                if let Err(error) = self.savepoint_folder(CheckpointId::MAX, &target) {
                    let (job, reason) = (self.plan.job.name.clone(), error.to_string());
                    return reply(Err(JobError::Snapshot { job, reason }));
                }
                let request = self.request(Asker::Savepoint { target, reply });
                self.savepoints.push_back(request);
                self.tell(CoordinatorEvent::TriggerSavepoint { request, format, stop: after });
            }
            Reported::Checkpoint { checkpoint, reply } => {
                if self.job.is_none() {
                    let (job, reason) = (self.plan.job.name.clone(), NO_FOLDER.to_owned());
                    return reply(Err(JobError::Snapshot { job, reason }));
                }
                let request = self.request(Asker::Checkpoint { reply });
                self.tell(CoordinatorEvent::TriggerCheckpoint { request, checkpoint });
            }
            Reported::Statistics { reply } => {
                let _ = reply.send(self.coordinator.statistics().clone());
            }
            Reported::JobEnded { .. } => {}
        }
    }

    /// Asks the sources whether they have a backlog, if that matters.
    fn look_for_backlog(&mut self) {
        if self.coordinator.settings().interval_during_backlog.is_none() {
            return;
        }
        let sources = self.running.sources.values();
        // The enumerators are the user's.
        let asked = panics::catch(|| sources.clone().any(|(_, source)| source.is_processing_backlog()));
        let backlog = asked.unwrap_or(self.backlog);
        if std::mem::replace(&mut self.backlog, backlog) != backlog {
            self.tell(CoordinatorEvent::BacklogChanged { backlog });
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
        self.running.at_end.insert(task);
    }

    fn request(&mut self, asker: Asker) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.askers.insert(request, asker);
        request
    }

    /// Nothing is left to be done but a checkpoint that says so: it need not wait for its time.
    fn ask_for_last(&mut self) {
        let waits = self.running.at_end.len() == self.tasks;
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
                let failed = self.coordinator.statistics().get(checkpoint_id);
                match failed.and_then(|failed| failed.failure_message.as_deref()) {
                    // Else a job that tolerates failures would never say that it has been without checkpoints for hours.
                    Some(message) if reason.counts() => {
                        tracing::warn!(
                            job = self.plan.job.name,
                            "checkpoint {checkpoint_id} has failed: {message}"
                        );
                    }
                    _ => {
                        tracing::debug!(
                            job = self.plan.job.name,
                            checkpoint = checkpoint_id,
                            "aborted: {reason}"
                        );
                    }
                }
                self.pending.remove(&checkpoint_id);
                let sources = self.running.sources.values();
                sources.for_each(|(_, source)| source.abort_checkpoint(checkpoint_id));
                self.running.tell(TaskCommand::Aborted(checkpoint_id));
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
                self.running.tell(TaskCommand::Completed(checkpoint_id));
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
                // Tasks of one region share their attempt, which fails once.
                self.running.tasks.values().for_each(|task| task.execution.fail(failure()));
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
                reply(Err(JobError::Snapshot { job, reason }));
            }
            Some(Asker::LastCheckpoint) if self.running.tasks.len() == self.tasks => {
                self.ask_for_last_at = Some(self.cluster.clock.now() + ASK_AGAIN_MS);
            }
            _ => {}
        }
    }

    fn savepoint_folder(
        &self,
        id: CheckpointId,
        target: &Target,
    ) -> Result<CheckpointFolder, CheckpointError> {
        match (target, &self.job) {
            (Target::Checkpoints, Some(job)) => Ok(job.checkpoint(id)),
            (Target::Checkpoints, None) => self.environment.storage.savepoint(self.job_id, None),
            (Target::Folder(folder), _) => self.environment.storage.savepoint(self.job_id, folder.as_deref()),
        }
    }

    fn trigger(&mut self, id: CheckpointId, timestamp: i64, options: TriggerOptions) -> Result<(), String> {
        if self.running.tasks.len() < self.tasks {
            return Err("the job does not run".to_owned());
        }
        let barrier = barrier(id, timestamp, options);
        let folder = match options.kind {
            Kind::Checkpoint { .. } => {
                let job = self.job.as_ref().ok_or(NO_FOLDER)?;
                job.checkpoint(id)
            }
            Kind::Savepoint { .. } => {
                let request = self.savepoints.pop_front();
                let asker = request.and_then(|request| self.askers.get(&request));
                let Some(Asker::Savepoint { target, .. }) = asker else {
                    return Err("nobody asks for it any more".to_owned());
                };
                self.savepoint_folder(id, target).map_err(|error| error.to_string())?
            }
        };
        let max_amplification = self.environment.storage.settings().max_space_amplification;
        // Files that the last checkpoint has stored and a new one may name again.
        let known: HashMap<String, tidemill_checkpoint::StateHandle> = match options.kind {
            Kind::Checkpoint { full: false } => {
                let completed = self.shared.completed.lock();
                completed
                    .last()
                    .zip(self.job.as_ref())
                    .map(|(last, job)| last.native_files(job, id, &self.lengths, max_amplification))
                    .unwrap_or_default()
            }
            _ => HashMap::new(),
        };
        if !options.kind.is_savepoint() {
            self.registry.begin(id).map_err(|error| error.to_string())?;
        }
        // The enumerators are the user's.
        let splits = panics::catch(|| {
            let sources = self.running.sources.iter();
            let begun = sources.map(|(operator, (parallelism, source))| {
                (*operator, source.begin_checkpoint(id, 0..*parallelism))
            });
            begun.collect()
        });
        let splits = splits.map_err(|panic| panic.error.to_string())?;
        let storing = Storing {
            writer: Arc::new(folder.writer(id)),
            known: Arc::new(known),
            backup: self.shared.backup.clone(),
            compress: self.coordinator.settings().compression,
            spill: self.environment.spill(),
        };
        self.pending.insert(id, Pending::new(barrier, folder, splits, storing));
        // Not to the sources alone: the producers of others may end meanwhile, and no barrier would come.
        self.running.tell(TaskCommand::Trigger(barrier));
        Ok(())
    }

    /// Has the part of a task stored, beside the tasks.
    fn store(&mut self, task: usize, id: CheckpointId, part: Part) {
        let (Some(attempt), Some(pending)) = (self.running.attempt(task), self.pending.get_mut(&id)) else {
            return;
        };
        let (reports, work) = (self.reports.clone(), pending.store(part));
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
                self.running.sources.values().for_each(|(_, source)| source.complete_checkpoint(id));
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
                    published.completed.note_lengths(&mut self.lengths);
                    let mut completed = self.shared.completed.lock();
                    // What is not the job's own may be gone tomorrow.
                    completed.retain(|completed| completed.claimed);
                    completed.push(published.completed);
                    drop(completed);
                    if let Some(backup) = &self.shared.backup {
                        backup.completed(id);
                    }
                    if std::mem::take(&mut self.sweep_due) {
                        let in_progress = self.in_progress(id + 1);
                        self.sweep(in_progress);
                    }
                }
                let bytes = published.bytes;
                self.tell(CoordinatorEvent::MetadataWritten { checkpoint_id: id, external_path, bytes });
            }
            Err(message) => {
                self.sweep_due = true;
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

    /// The checkpoints that may be writing; all from `next` on have not begun.
    fn in_progress(&self, next: CheckpointId) -> InProgress {
        let pending = self.pending.keys().copied();
        let next = pending.clone().max().map_or(next, |newest| next.max(newest + 1));
        InProgress { ids: pending.chain(self.left_alone.iter().copied()).collect(), next }
    }

    /// Deletes what no checkpoint of this job needs.
    fn sweep(&mut self, in_progress: InProgress) {
        let Some(job) = self.job.clone() else { return };
        let (name, registry) = (self.plan.job.name.clone(), self.registry.clone());
        self.deletions.push(self.environment.runtime.spawn(async move {
            match job.sweep(&registry, &in_progress).await {
                Ok(swept) if swept.files.is_empty() => {}
                Ok(swept) => {
                    let files = swept.files.len();
                    tracing::info!(job = name, files, "deleted what earlier checkpoints had left behind");
                }
                Err(error) => tracing::warn!(job = name, "leftovers of checkpoints stay: {error}"),
            }
        }));
    }

    /// Waits until nothing is left to be deleted.
    fn clean_up(&mut self, inbox: &Receiver<Reported>) {
        self.pending.clear();
        self.wait_for_deletions();
        if let Some(backup) = &self.shared.backup {
            backup.clear();
        }
        for reported in inbox.try_iter() {
            if let Reported::Published { result: Ok(published), .. } = reported {
                self.give_up(published);
            }
        }
        self.wait_for_deletions();
        if std::mem::take(&mut self.sweep_due) {
            let in_progress = self.in_progress(CheckpointId::MAX);
            self.sweep(in_progress);
            self.wait_for_deletions();
        }
        if let (Some(job), Some(lock)) = (self.job.clone(), self.lock.take()) {
            self.environment.runtime.block_on(job.remove_if_empty(lock));
        }
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

fn barrier(id: CheckpointId, timestamp: i64, options: TriggerOptions) -> CheckpointBarrier {
    let (kind, after) = match options.kind {
        Kind::Checkpoint { .. } => (SnapshotKind::Checkpoint, AfterSavepoint::GoOn),
        Kind::Savepoint { format, stop } => (SnapshotKind::Savepoint(format), stop),
    };
    CheckpointBarrier { id, timestamp, kind, alignment: options.alignment, after }
}
