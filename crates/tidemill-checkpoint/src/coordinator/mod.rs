//! Who decides when checkpoints are taken, when one is complete and when it is given up.
//!
//! [`CheckpointCoordinator`] is a state machine without clock, threads, or files: [`handle`](CheckpointCoordinator::handle) takes
//! the time and what has happened, and answers with what is to be done.
//!
//! # The job
//!
//! | phase | event | next phase | what is done |
//! |---|---|---|---|
//! | idle | `RestoredRetained` | idle | the checkpoints are the job's, ids go on after theirs |
//! | idle | `RestoreStarted` | restoring | |
//! | idle, restoring | `Restored` | idle | ids go on after the restored one; not claimed: the next checkpoint is a full one |
//! | restoring | `RestoreFailed` | idle | `FailJob` |
//! | idle | `Start` | running | the first periodic trigger is scheduled |
//! | idle, running, restoring | `JobFailing` | idle | all under way are aborted, requests refused, no task counts as finished; after a complete savepoint that stops the job: `FailJob`, for good |
//! | any | `Stop` | stopped | the same; `Discard` of what the retention does not keep |
//!
//! # A checkpoint or savepoint
//!
//! | state | event | next state | what is done |
//! |---|---|---|---|
//! | | periodic trigger is due, fewer than max-concurrent are under way, min-pause since the last end is over | collecting | `TriggerSources` |
//! | | the same, but no room, or too early | | the trigger waits for both; several become one |
//! | | `TriggerCheckpoint` | collecting | as soon as there is room, whatever the pause |
//! | | `TriggerSavepoint` | collecting | at once; with unaligned checkpoints, which cannot overlap, as soon as there is room |
//! | | `TriggerSavepoint` that stops the job | collecting | all others under way are aborted, their requests fail, periodic triggers pause |
//! | collecting | `Acknowledge`, not by the last task | collecting | |
//! | collecting | `Acknowledge` by the last task | writing | `WriteMetadata` |
//! | collecting, writing | `Decline`, `TriggerFailed` | aborted | |
//! | collecting | `TaskFinished` of a task that has not acknowledged | collecting, or writing if it was the last | it counts among those that had finished before |
//! | collecting, writing | the timeout is over | aborted | |
//! | collecting, writing | a younger checkpoint is complete; not savepoints | aborted | |
//! | writing | `MetadataFailed` | aborted | |
//! | writing | `MetadataWritten` | complete | `NotifyCompleted`, except for savepoints after which the job goes on; `Discard` of checkpoints beyond num-retained; the request is answered |
//! | ended | `Acknowledge`, unless complete | | `DiscardState` |
//! | ended | `MetadataWritten`, unless complete | | `DiscardPending`, again |
//!
//! What is aborted leads to `AbortCheckpoint`, `DiscardPending`, and the answer to its request if it has one. If it
//! [counts](AbortReason::counts) as a failure, and more in a row have than are tolerable: `FailJob`. A savepoint that stops the
//! job and is aborted fails the job, unless that is why: tasks behind it may have ended already. Other savepoints count where
//! tasks have declined them, as in Flink.
//!
//! # Tasks that finish
//!
//! A task that had finished before a checkpoint was triggered is not waited for. Nor is one that finishes while a checkpoint is
//! under way and has not acknowledged it: a task ends when a checkpoint that says that it had finished is complete, so all that
//! it wrote comes before any later one. (Flink aborts such a checkpoint.) When all tasks have finished, or any
//! has and `checkpoints-after-tasks-finish` is false, none is triggered any more.
//!
//! # Where this differs from Flink
//!
//! The least pause counts from the end of a checkpoint that was aborted, too. Periodic triggers that find no room become one
//! rather than a queue. The timeout holds while metadata are written, so that a storage that hangs does not hold up all
//! checkpoints after.

mod error;
mod event;
mod pending;
mod reason;
mod schedule;
mod settings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidemill_core::BarrierAlignment;
use tidemill_core::config::format_duration;
use tidemill_core::config::options::{CheckpointingMode, ExternalizedCheckpointRetention};

pub use error::CoordinatorError;
pub use event::{
    CompletedSnapshot, CoordinatedTask, CoordinatorAction, CoordinatorEvent, JobOutcome, ManualCheckpoint,
    RequestId, RestoredCheckpoint, RetainedCheckpoint, SnapshotKind, TaskId, TriggerOptions,
};
pub use reason::{AbortReason, DeclineReason};
pub use settings::CheckpointSettings;
pub(crate) use settings::millis;

use crate::statistics::{Statistics, SubtaskStatistics};
use pending::{Completed, Pending};
use schedule::Schedule;

/// How many requests may wait.
const MAX_REQUESTS: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Restoring,
    Running,
    Stopped,
}

/// How far the savepoint is that stops the job.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    Pending,
    Complete { external_path: String },
}

/// Decides about the checkpoints of one job: see the [module](self).
///
/// ```
/// use std::time::Duration;
/// use tidemill_checkpoint::coordinator::{CoordinatedTask, CoordinatorAction, CoordinatorEvent, TaskId};
/// use tidemill_checkpoint::statistics::SubtaskStatistics;
/// use tidemill_checkpoint::{CheckpointCoordinator, CheckpointSettings};
/// use tidemill_core::JobVertexId;
///
/// let settings = CheckpointSettings { interval: Some(Duration::from_secs(1)), ..CheckpointSettings::default() };
/// let task = CoordinatedTask { vertex: JobVertexId::from_name("source"), subtask: 0, inputs: vec![] };
/// let mut coordinator = CheckpointCoordinator::new(settings, vec![task])?;
///
/// coordinator.handle(0, CoordinatorEvent::Start { first_delay: 500 });
/// assert_eq!(coordinator.next_deadline(), Some(500));
/// let actions = coordinator.handle(500, CoordinatorEvent::Tick);
/// assert!(matches!(actions[..], [CoordinatorAction::TriggerSources { checkpoint_id: 1, .. }]));
///
/// let statistics = SubtaskStatistics::default();
/// let acknowledge = CoordinatorEvent::Acknowledge { task: TaskId(0), checkpoint_id: 1, statistics };
/// let actions = coordinator.handle(520, acknowledge);
/// assert!(matches!(actions[..], [CoordinatorAction::WriteMetadata { checkpoint_id: 1, .. }]));
///
/// let external_path = "/checkpoints/chk-1".to_owned();
/// let written = CoordinatorEvent::MetadataWritten { checkpoint_id: 1, external_path, bytes: 300 };
/// assert_eq!(coordinator.handle(530, written), [CoordinatorAction::NotifyCompleted { checkpoint_id: 1 }]);
/// assert_eq!(coordinator.retained().last().map(|checkpoint| checkpoint.id), Some(1));
/// # Ok::<(), tidemill_checkpoint::CoordinatorError>(())
/// ```
#[derive(Debug)]
pub struct CheckpointCoordinator {
    settings: CheckpointSettings,
    notes: Vec<String>,
    tasks: Vec<CoordinatedTask>,
    phase: Phase,
    now: i64,
    next_id: u64,
    schedule: Schedule,
    finished: BTreeSet<TaskId>,
    pending: BTreeMap<u64, Pending>,
    completed: Completed,
    /// What waits for room, savepoints in front.
    requests: VecDeque<(RequestId, SnapshotKind)>,
    stopping: Stopping,
    retained: VecDeque<RetainedCheckpoint>,
    last_succeeded: u64,
    failures_in_a_row: u32,
    /// The files of what was restored belong to somebody else: the next checkpoint must not build on them.
    full_next: bool,
    statistics: Statistics,
    actions: Vec<CoordinatorAction>,
}

impl CheckpointCoordinator {
    /// For a job of these tasks, none of which runs yet.
    ///
    /// # Errors
    /// [`CoordinatorError::Settings`] if settings contradict each other, [`CoordinatorError::Tasks`] if the tasks are not those of
    /// a job: none is a source, an input is not in the list, or the subtasks of a vertex are not numbered from 0 on.
    pub fn new(settings: CheckpointSettings, tasks: Vec<CoordinatedTask>) -> Result<Self, CoordinatorError> {
        let (settings, notes) = settings.effective()?;
        check_tasks(&tasks)?;
        Ok(Self {
            schedule: Schedule::new(&settings),
            statistics: Statistics::new(settings.history, &tasks),
            settings,
            notes,
            tasks,
            phase: Phase::Idle,
            now: i64::MIN,
            next_id: 1,
            finished: BTreeSet::new(),
            pending: BTreeMap::new(),
            completed: Completed::default(),
            requests: VecDeque::new(),
            stopping: Stopping::No,
            retained: VecDeque::new(),
            last_succeeded: 0,
            failures_in_a_row: 0,
            full_next: false,
            actions: Vec::new(),
        })
    }

    /// The settings as they take effect.
    pub fn settings(&self) -> &CheckpointSettings {
        &self.settings
    }

    /// A sentence for each setting that was not taken as it is.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The complete checkpoints that are kept, the oldest first. A job restarts from the last.
    pub fn retained(&self) -> impl DoubleEndedIterator<Item = &RetainedCheckpoint> {
        self.retained.iter()
    }

    /// The ids of the checkpoints and savepoints under way, in order.
    pub fn pending(&self) -> impl Iterator<Item = u64> {
        self.pending.keys().copied()
    }

    /// The figures of all checkpoints.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// When something is to be done without an event, in milliseconds since 1970: always later than the time of the last
    /// [`handle`](Self::handle). `None` if never.
    pub fn next_deadline(&self) -> Option<i64> {
        let expiry = self.pending.values().map(|pending| pending.deadline).min();
        let trigger =
            if self.phase == Phase::Running { self.schedule.next_deadline(self.has_room()) } else { None };
        expiry.into_iter().chain(trigger).min()
    }

    /// Takes what has happened at a time, in milliseconds since 1970, and returns what is to be done, in order. A time before that
    /// of an earlier event counts as that.
    pub fn handle(&mut self, now: i64, event: CoordinatorEvent) -> Vec<CoordinatorAction> {
        self.now = self.now.max(now);
        self.apply(event);
        self.expire();
        self.trigger_due();
        std::mem::take(&mut self.actions)
    }

    fn apply(&mut self, event: CoordinatorEvent) {
        match event {
            CoordinatorEvent::Tick => {}
            CoordinatorEvent::Start { first_delay } => {
                if self.phase == Phase::Idle {
                    self.phase = Phase::Running;
                    self.schedule.start(self.now, first_delay);
                }
            }
            CoordinatorEvent::TriggerSavepoint { request, format, stop } => {
                self.request(request, SnapshotKind::Savepoint { format, stop });
            }
            CoordinatorEvent::TriggerCheckpoint { request, checkpoint } => {
                let full = match checkpoint {
                    ManualCheckpoint::Configured => !self.settings.incremental,
                    ManualCheckpoint::Full => true,
                    ManualCheckpoint::Incremental => false,
                };
                self.request(request, SnapshotKind::Checkpoint { full });
            }
            CoordinatorEvent::TriggerFailed { checkpoint_id, message } => {
                self.abort(checkpoint_id, AbortReason::TriggerFailed, &message);
            }
            CoordinatorEvent::Acknowledge { task, checkpoint_id, statistics } => {
                self.acknowledge(task, checkpoint_id, statistics);
            }
            CoordinatorEvent::Decline { task, checkpoint_id, reason, message } => {
                let message = format!("{}: {message}", self.name(task));
                self.abort(checkpoint_id, AbortReason::Declined(reason), &message);
            }
            CoordinatorEvent::TaskFinished { task } => self.task_finished(task),
            CoordinatorEvent::BacklogChanged { backlog } => {
                let running = self.phase == Phase::Running && self.stopping == Stopping::No;
                self.schedule.set_backlog(self.now, backlog, running);
            }
            CoordinatorEvent::MetadataWritten { checkpoint_id, external_path, bytes } => {
                self.metadata_written(checkpoint_id, external_path, bytes);
            }
            CoordinatorEvent::MetadataFailed { checkpoint_id, message } => {
                if self.pending.get(&checkpoint_id).is_some_and(Pending::writes_metadata) {
                    self.abort(checkpoint_id, AbortReason::FinalizeFailed, &message);
                }
            }
            CoordinatorEvent::JobFailing { message } => self.job_failing(message),
            CoordinatorEvent::RestoreStarted => {
                if self.phase == Phase::Idle {
                    self.phase = Phase::Restoring;
                }
            }
            CoordinatorEvent::Restored { checkpoint, finished } => self.restored(checkpoint, finished),
            CoordinatorEvent::RestoreFailed { message } => {
                if self.phase == Phase::Restoring {
                    self.phase = Phase::Idle;
                    self.fail_job(CoordinatorError::RestoreFailed { message });
                }
            }
            CoordinatorEvent::RestoredRetained { checkpoints, next_id } => {
                if self.phase == Phase::Idle {
                    self.next_id = self.next_id.max(next_id);
                    checkpoints.into_iter().for_each(|checkpoint| self.keep(checkpoint));
                }
            }
            CoordinatorEvent::Stop { outcome } => self.stop(outcome),
        }
    }

    fn request(&mut self, request: RequestId, kind: SnapshotKind) {
        let refused = match self.phase {
            Phase::Stopped => Some(CoordinatorError::ShutDown),
            Phase::Idle | Phase::Restoring => Some(CoordinatorError::NotRunning),
            Phase::Running if self.stopping != Stopping::No => Some(CoordinatorError::Stopping),
            Phase::Running if self.requests.len() >= MAX_REQUESTS => {
                Some(CoordinatorError::TooManyRequests { waiting: self.requests.len() })
            }
            Phase::Running => self.tasks_allow().err(),
        };
        if let Some(error) = refused {
            self.actions.push(CoordinatorAction::FailRequest { request, error });
            return;
        }
        if kind.is_synchronous() {
            self.schedule.pause();
            self.abort_all(AbortReason::Suspended, "The job is being stopped with a savepoint.");
            self.refuse_requests(&CoordinatorError::Stopping);
            self.stopping = Stopping::Pending;
        }
        let savepoints = self.requests.iter().take_while(|(_, kind)| kind.is_savepoint()).count();
        let place = if kind.is_savepoint() { savepoints } else { self.requests.len() };
        self.requests.insert(place, (request, kind));
    }

    /// Whether there are tasks to take a checkpoint of.
    fn tasks_allow(&self) -> Result<(), CoordinatorError> {
        if self.finished.len() == self.tasks.len() {
            return Err(CoordinatorError::TasksFinished("all tasks of the job have finished"));
        }
        if !self.finished.is_empty() && !self.settings.checkpoints_after_tasks_finish {
            return Err(CoordinatorError::TasksFinished(
                "a task has finished, and 'execution.checkpointing.checkpoints-after-tasks-finish' is false: set it to true",
            ));
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        (self.pending.len() as u64) < u64::from(self.settings.max_concurrent)
    }

    fn expire(&mut self) {
        let expired: Vec<u64> =
            self.pending.values().filter(|p| p.deadline <= self.now).map(|p| p.id).collect();
        for id in expired {
            let Some(pending) = self.pending.get(&id) else { continue };
            let late = match pending.missing.len() {
                0 => "Its metadata were not written in time.".to_owned(),
                missing => format!("{missing} of its tasks did not acknowledge in time."),
            };
            let message = format!(
                "{late} 'execution.checkpointing.timeout' is {}: set it higher where state is large or its storage slow",
                format_duration(self.settings.timeout)
            );
            self.abort(id, AbortReason::Expired, &message);
        }
    }

    fn trigger_due(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        if let Err(error) = self.tasks_allow() {
            self.schedule.pause();
            self.refuse_requests(&error);
            return;
        }
        while let Some((request, kind)) = self.requests.front().copied() {
            let forced = kind.is_savepoint() && !self.settings.unaligned;
            if !forced && !self.has_room() {
                break;
            }
            self.requests.pop_front();
            self.trigger(kind, Some(request));
        }
        let room = self.has_room();
        if self.schedule.take_due(self.now, room) {
            self.trigger(SnapshotKind::Checkpoint { full: !self.settings.incremental }, None);
        }
    }

    fn trigger(&mut self, kind: SnapshotKind, request: Option<RequestId>) {
        let kind = match kind {
            SnapshotKind::Checkpoint { full } => SnapshotKind::Checkpoint { full: full || self.full_next },
            savepoint @ SnapshotKind::Savepoint { .. } => savepoint,
        };
        let id = self.next_id;
        self.next_id += 1;
        let mut missing = BTreeSet::new();
        let mut tasks = Vec::new();
        for (index, task) in (0..).zip(&self.tasks) {
            if self.finished.contains(&TaskId(index)) {
                continue;
            }
            missing.insert(TaskId(index));
            if task.inputs.iter().all(|input| self.finished.contains(input)) {
                tasks.push(TaskId(index));
            }
        }
        let finished: Vec<TaskId> = self.finished.iter().copied().collect();
        self.statistics.triggered(id, kind, self.now, &finished);
        let deadline = self.now.saturating_add(millis(self.settings.timeout));
        let acknowledged = BTreeSet::new();
        let timestamp = self.now;
        self.pending
            .insert(id, Pending { id, kind, timestamp, deadline, request, missing, finished, acknowledged });
        let options = TriggerOptions { kind, alignment: self.alignment(kind) };
        self.actions.push(CoordinatorAction::TriggerSources { checkpoint_id: id, timestamp, tasks, options });
    }

    fn alignment(&self, kind: SnapshotKind) -> BarrierAlignment {
        if self.settings.mode == CheckpointingMode::AtLeastOnce {
            BarrierAlignment::AtLeastOnce
        } else if kind.is_savepoint() || !self.settings.unaligned {
            BarrierAlignment::Aligned
        } else {
            match millis(self.settings.aligned_checkpoint_timeout) {
                0 => BarrierAlignment::Unaligned,
                timeout => BarrierAlignment::AlignedFor(u32::try_from(timeout).unwrap_or(u32::MAX)),
            }
        }
    }

    fn acknowledge(&mut self, task: TaskId, checkpoint_id: u64, statistics: SubtaskStatistics) {
        let now = self.now;
        let Some(pending) = self.pending.get_mut(&checkpoint_id) else {
            if !self.completed.contains(checkpoint_id) {
                self.actions.push(CoordinatorAction::DiscardState { checkpoint_id, task });
            }
            return;
        };
        if !pending.missing.remove(&task) {
            // A report that comes twice is of the same state, which stays.
            if !pending.acknowledged.contains(&task) {
                self.actions.push(CoordinatorAction::DiscardState { checkpoint_id, task });
            }
            return;
        }
        pending.acknowledged.insert(task);
        self.statistics.acknowledged(checkpoint_id, task, now, statistics);
        if pending.writes_metadata() {
            self.actions.push(pending.write_metadata());
        }
    }

    fn task_finished(&mut self, task: TaskId) {
        if self.phase == Phase::Stopped || task.0 as usize >= self.tasks.len() || !self.finished.insert(task)
        {
            return;
        }
        if !self.settings.checkpoints_after_tasks_finish {
            let without: Vec<u64> =
                self.pending.values().filter(|p| p.missing.contains(&task)).map(|p| p.id).collect();
            for id in without {
                let message = format!("{} finished before it had acknowledged.", self.name(task));
                self.abort(id, AbortReason::Declined(DeclineReason::Closing), &message);
            }
            return;
        }
        for pending in self.pending.values_mut() {
            if !pending.missing.remove(&task) {
                continue;
            }
            pending.finished.push(task);
            if pending.writes_metadata() {
                self.actions.push(pending.write_metadata());
            }
        }
    }

    fn metadata_written(&mut self, id: u64, external_path: String, bytes: u64) {
        let Some(pending) = self.pending.get(&id) else {
            if !self.completed.contains(id) {
                self.actions.push(CoordinatorAction::DiscardPending { checkpoint_id: id });
            }
            return;
        };
        if !pending.writes_metadata() {
            return;
        }
        let (kind, timestamp, request) = (pending.kind, pending.timestamp, pending.request);
        self.pending.remove(&id);
        self.completed.add(id);
        self.schedule.ended(self.now);
        self.statistics.completed(id, self.now, &external_path, bytes);
        if id > self.last_succeeded {
            self.last_succeeded = id;
            self.failures_in_a_row = 0;
        }
        if !kind.is_savepoint() {
            self.full_next = false;
            let older: Vec<u64> =
                self.pending.values().filter(|p| p.id < id && !p.kind.is_savepoint()).map(|p| p.id).collect();
            for older in older {
                self.abort(older, AbortReason::Subsumed, &format!("Checkpoint {id} is complete."));
            }
            self.keep(RetainedCheckpoint { id, external_path: external_path.clone() });
        }
        if kind.is_synchronous() {
            self.stopping = Stopping::Complete { external_path: external_path.clone() };
        }
        if !kind.is_savepoint() || kind.is_synchronous() {
            self.actions.push(CoordinatorAction::NotifyCompleted { checkpoint_id: id });
        }
        if !kind.is_savepoint() {
            self.discard_beyond(self.settings.num_retained as usize);
        }
        if let Some(request) = request {
            let completion_timestamp = self.now;
            let trigger_timestamp = timestamp;
            let result =
                CompletedSnapshot { id, kind, external_path, trigger_timestamp, completion_timestamp };
            self.actions.push(CoordinatorAction::CompleteRequest { request, result });
        }
    }

    /// Adds a checkpoint to those that are kept, in the order of their ids.
    fn keep(&mut self, checkpoint: RetainedCheckpoint) {
        self.next_id = self.next_id.max(checkpoint.id.saturating_add(1));
        let place = self.retained.partition_point(|kept| kept.id < checkpoint.id);
        if self.retained.get(place).is_none_or(|kept| kept.id != checkpoint.id) {
            self.retained.insert(place, checkpoint);
        }
    }

    fn discard_beyond(&mut self, most: usize) {
        while self.retained.len() > most
            && let Some(oldest) = self.retained.pop_front()
        {
            self.statistics.discarded(oldest.id);
            self.actions.push(CoordinatorAction::Discard { checkpoint_id: oldest.id });
        }
    }

    fn abort(&mut self, id: u64, reason: AbortReason, message: &str) {
        let Some(pending) = self.pending.remove(&id) else { return };
        self.schedule.ended(self.now);
        let text = if message.is_empty() { reason.to_string() } else { format!("{reason} {message}") };
        self.statistics.failed(id, self.now, &text);
        self.actions.push(CoordinatorAction::AbortCheckpoint { checkpoint_id: id, reason });
        self.actions.push(CoordinatorAction::DiscardPending { checkpoint_id: id });
        let savepoint = pending.kind.is_savepoint();
        if let Some(request) = pending.request {
            let message = message.to_owned();
            let error = CoordinatorError::Aborted { checkpoint_id: id, savepoint, reason, message };
            self.actions.push(CoordinatorAction::FailRequest { request, error });
        }
        if pending.kind.is_synchronous() {
            self.stopping = Stopping::No;
            if !reason.of_job() {
                self.schedule.resume(self.now);
                self.fail_job(CoordinatorError::StopFailed { checkpoint_id: id, message: text });
            }
        } else if reason.counts() && id > self.last_succeeded && (!savepoint || reason.of_task()) {
            self.failures_in_a_row += 1;
            let tolerable = self.settings.tolerable_failed_checkpoints;
            if self.failures_in_a_row > tolerable {
                self.failures_in_a_row = 0;
                self.fail_job(CoordinatorError::TooManyFailures { tolerable, last: text });
            }
        }
    }

    fn abort_all(&mut self, reason: AbortReason, message: &str) {
        let all: Vec<u64> = self.pending.keys().copied().collect();
        for id in all {
            self.abort(id, reason, message);
        }
    }

    fn refuse_requests(&mut self, error: &CoordinatorError) {
        for (request, _) in std::mem::take(&mut self.requests) {
            self.actions.push(CoordinatorAction::FailRequest { request, error: error.clone() });
        }
    }

    fn fail_job(&mut self, error: CoordinatorError) {
        self.actions.push(CoordinatorAction::FailJob { error });
    }

    fn job_failing(&mut self, message: String) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.phase = Phase::Idle;
        self.schedule.reset();
        self.abort_all(AbortReason::JobFailing, &message);
        self.refuse_requests(&CoordinatorError::NotRunning);
        self.finished.clear();
        if let Stopping::Complete { external_path } = std::mem::replace(&mut self.stopping, Stopping::No) {
            self.fail_job(CoordinatorError::FailedAfterSavepoint { external_path, message });
        }
    }

    fn restored(&mut self, checkpoint: Option<RestoredCheckpoint>, finished: Vec<TaskId>) {
        if !matches!(self.phase, Phase::Idle | Phase::Restoring) {
            return;
        }
        self.phase = Phase::Idle;
        self.finished = finished.into_iter().filter(|task| (task.0 as usize) < self.tasks.len()).collect();
        let Some(checkpoint) = checkpoint else { return };
        self.statistics.restored(&checkpoint, self.now);
        self.next_id = self.next_id.max(checkpoint.id.saturating_add(1));
        let RestoredCheckpoint { id, claimed, external_path, .. } = checkpoint;
        if claimed {
            self.keep(RetainedCheckpoint { id, external_path });
        } else if !self.retained.iter().any(|kept| kept.id == id && kept.external_path == external_path) {
            self.full_next = true;
        }
    }

    fn stop(&mut self, outcome: JobOutcome) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.phase = Phase::Stopped;
        self.schedule.pause();
        self.abort_all(AbortReason::ShutDown, "The job has ended.");
        self.refuse_requests(&CoordinatorError::ShutDown);
        let kept = match outcome {
            JobOutcome::Finished => false,
            JobOutcome::Canceled => {
                self.settings.retention == ExternalizedCheckpointRetention::RetainOnCancellation
            }
            JobOutcome::Failed => {
                self.settings.retention != ExternalizedCheckpointRetention::NoExternalizedCheckpoints
            }
            JobOutcome::Suspended => true,
        };
        if !kept {
            self.discard_beyond(0);
        }
    }

    fn name(&self, task: TaskId) -> String {
        match self.tasks.get(task.0 as usize) {
            Some(known) => format!("Subtask {} of the vertex {}", known.subtask, known.vertex),
            None => format!("The unknown task {}", task.0),
        }
    }
}

fn check_tasks(tasks: &[CoordinatedTask]) -> Result<(), CoordinatorError> {
    let wrong = |reason: String| Err(CoordinatorError::Tasks(reason));
    if !tasks.iter().any(|task| task.inputs.is_empty()) {
        return wrong("none of them is a source".to_owned());
    }
    let mut subtasks: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
    for task in tasks {
        if let Some(input) = task.inputs.iter().find(|input| input.0 as usize >= tasks.len()) {
            return wrong(format!("{} is an input, and there are {} tasks", input.0, tasks.len()));
        }
        if !subtasks.entry(task.vertex).or_default().insert(task.subtask) {
            return wrong(format!("the vertex {} has two subtasks {}", task.vertex, task.subtask));
        }
    }
    for (vertex, numbers) in subtasks {
        if numbers.last().is_some_and(|last| *last as usize + 1 != numbers.len()) {
            return wrong(format!("the subtasks of the vertex {vertex} are not numbered from 0 on"));
        }
    }
    Ok(())
}
