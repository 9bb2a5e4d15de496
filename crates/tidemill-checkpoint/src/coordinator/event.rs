//! What the coordinator is told, and what it wants done.

use tidemill_core::JobVertexId;
use tidemill_core::{AfterSavepoint, BarrierAlignment, SavepointFormat};

use super::{AbortReason, CoordinatorError, DeclineReason};
use crate::statistics::SubtaskStatistics;

/// A task by its place in the list of the job's tasks.
///
/// ```
/// use tidemill_checkpoint::coordinator::TaskId;
///
/// assert!(TaskId(0) < TaskId(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

/// One subtask of a vertex, as the coordinator needs to know it.
///
/// ```
/// use tidemill_checkpoint::coordinator::{CoordinatedTask, TaskId};
/// use tidemill_core::JobVertexId;
///
/// let source = CoordinatedTask { vertex: JobVertexId::from_name("source"), subtask: 0, inputs: vec![] };
/// let sink = CoordinatedTask { vertex: JobVertexId::from_name("sink"), subtask: 0, inputs: vec![TaskId(0)] };
/// assert!(source.inputs.is_empty() && sink.inputs == [TaskId(0)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatedTask {
    /// The vertex that it is a part of.
    pub vertex: JobVertexId,
    /// Which part, counted from 0.
    pub subtask: u32,
    /// The tasks that it reads from. One without any is a source; so is, from then on, one whose inputs have all finished.
    pub inputs: Vec<TaskId>,
}

/// Tells requests apart. Whoever makes them takes care that no two that wait for their answer have the same.
///
/// ```
/// use tidemill_checkpoint::coordinator::RequestId;
///
/// assert_ne!(RequestId(1), RequestId(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What is taken.
///
/// ```
/// use tidemill_checkpoint::coordinator::SnapshotKind;
/// use tidemill_core::{AfterSavepoint, SavepointFormat};
///
/// let stop = SnapshotKind::Savepoint { format: SavepointFormat::Native, stop: AfterSavepoint::Stop };
/// assert!(stop.is_savepoint() && stop.is_synchronous());
/// assert!(!SnapshotKind::Checkpoint { full: false }.is_savepoint());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// A checkpoint, for the job's own restarts.
    Checkpoint {
        /// Whether it stores everything anew, rather than what earlier ones did not.
        full: bool,
    },
    /// A savepoint, for the user.
    Savepoint {
        /// How.
        format: SavepointFormat,
        /// And then.
        stop: AfterSavepoint,
    },
}

impl SnapshotKind {
    /// Whether it is a savepoint.
    pub fn is_savepoint(self) -> bool {
        matches!(self, SnapshotKind::Savepoint { .. })
    }

    /// Whether tasks wait for its completion and then end.
    pub fn is_synchronous(self) -> bool {
        matches!(self, SnapshotKind::Savepoint { stop: AfterSavepoint::Stop | AfterSavepoint::Drain, .. })
    }
}

/// What a checkpoint that is triggered by hand stores.
///
/// ```
/// use tidemill_checkpoint::coordinator::{CoordinatorEvent, ManualCheckpoint, RequestId};
///
/// let (request, checkpoint) = (RequestId(1), ManualCheckpoint::Full);
/// let event = CoordinatorEvent::TriggerCheckpoint { request, checkpoint };
/// assert_eq!(event, event.clone());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManualCheckpoint {
    /// What a periodic one does.
    Configured,
    /// Everything.
    Full,
    /// What earlier ones did not.
    Incremental,
}

/// What goes with a barrier.
///
/// ```
/// use tidemill_checkpoint::coordinator::{SnapshotKind, TriggerOptions};
/// use tidemill_core::BarrierAlignment;
///
/// let kind = SnapshotKind::Checkpoint { full: false };
/// let options = TriggerOptions { kind, alignment: BarrierAlignment::Aligned };
/// assert!(!options.kind.is_savepoint());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TriggerOptions {
    /// What is taken.
    pub kind: SnapshotKind,
    /// How barriers are aligned.
    pub alignment: BarrierAlignment,
}

/// A checkpoint that the storage has kept from an earlier life of the job's coordinator.
///
/// ```
/// use tidemill_checkpoint::coordinator::{CoordinatorEvent, RetainedCheckpoint};
///
/// let checkpoints = vec![RetainedCheckpoint { id: 4, external_path: "/checkpoints/chk-4".into() }];
/// let event = CoordinatorEvent::RestoredRetained { checkpoints, next_id: 6 };
/// assert_eq!(event, event.clone());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedCheckpoint {
    /// Its id.
    pub id: u64,
    /// Where it is.
    pub external_path: String,
}

/// A checkpoint or savepoint that the job's state was brought back from.
///
/// ```
/// use tidemill_checkpoint::coordinator::{CoordinatorEvent, RestoredCheckpoint};
///
/// let external_path = "/savepoints/savepoint-1".to_owned();
/// let from = RestoredCheckpoint { id: 1, savepoint: true, external_path, claimed: false };
/// let event = CoordinatorEvent::Restored { checkpoint: Some(from), finished: vec![] };
/// assert_eq!(event, event.clone());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredCheckpoint {
    /// Its id.
    pub id: u64,
    /// Whether it is a savepoint.
    pub savepoint: bool,
    /// Where it is.
    pub external_path: String,
    /// Whether it belongs to the job from now on and is deleted when newer ones take its place.
    pub claimed: bool,
}

/// A checkpoint or savepoint that is complete: the answer to the request for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedSnapshot {
    /// Its id.
    pub id: u64,
    /// What it is.
    pub kind: SnapshotKind,
    /// Where it is.
    pub external_path: String,
    /// When it was triggered, in milliseconds since 1970.
    pub trigger_timestamp: i64,
    /// When it was complete, in milliseconds since 1970.
    pub completion_timestamp: i64,
}

/// How a job has ended.
///
/// ```
/// use tidemill_checkpoint::coordinator::{CoordinatorEvent, JobOutcome};
///
/// let event = CoordinatorEvent::Stop { outcome: JobOutcome::Canceled };
/// assert_eq!(event, event.clone());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobOutcome {
    /// It has come to the end of its input, or was stopped with a savepoint.
    Finished,
    /// It was cancelled.
    Canceled,
    /// It failed, and does not restart.
    Failed,
    /// Only this process ends: another one goes on with the job.
    Suspended,
}

/// What the coordinator is told. Reports of tasks are of the tasks that run now: what an earlier attempt still says is not
/// passed on. See [`CheckpointCoordinator`](crate::CheckpointCoordinator) for an example.
#[derive(Clone, Debug, PartialEq)]
pub enum CoordinatorEvent {
    /// All tasks are running. The first periodic checkpoint is triggered after so many milliseconds:
    /// see [`first_delay`](crate::CheckpointSettings::first_delay).
    Start {
        /// Milliseconds.
        first_delay: i64,
    },
    /// The [`next_deadline`](crate::CheckpointCoordinator::next_deadline) has come.
    Tick,
    /// Somebody asks for a savepoint.
    TriggerSavepoint {
        /// For the answer.
        request: RequestId,
        /// How it stores keyed state.
        format: SavepointFormat,
        /// What happens to the job then.
        stop: AfterSavepoint,
    },
    /// Somebody asks for a checkpoint.
    TriggerCheckpoint {
        /// For the answer.
        request: RequestId,
        /// What it stores.
        checkpoint: ManualCheckpoint,
    },
    /// The place for a checkpoint cannot be set up.
    TriggerFailed {
        /// Of which one.
        checkpoint_id: u64,
        /// Why.
        message: String,
    },
    /// A task has stored its part.
    Acknowledge {
        /// Which one.
        task: TaskId,
        /// Of which checkpoint.
        checkpoint_id: u64,
        /// How it went.
        statistics: SubtaskStatistics,
    },
    /// A task cannot store its part.
    Decline {
        /// Which one.
        task: TaskId,
        /// Of which checkpoint.
        checkpoint_id: u64,
        /// Why.
        reason: DeclineReason,
        /// Why, in words.
        message: String,
    },
    /// A task has ended, after a checkpoint that says that it had finished was complete.
    TaskFinished {
        /// Which one.
        task: TaskId,
    },
    /// Whether any source has a backlog has changed.
    BacklogChanged {
        /// Whether one has.
        backlog: bool,
    },
    /// The metadata of a checkpoint is stored: it can be restored from.
    MetadataWritten {
        /// Of which one.
        checkpoint_id: u64,
        /// Where the checkpoint is.
        external_path: String,
        /// The size of the metadata, in bytes.
        bytes: u64,
    },
    /// The metadata of a checkpoint cannot be stored.
    MetadataFailed {
        /// Of which one.
        checkpoint_id: u64,
        /// Why.
        message: String,
    },
    /// The job has failed; its tasks are being cancelled.
    JobFailing {
        /// Why.
        message: String,
    },
    /// State is being brought back to the tasks of the next attempt.
    RestoreStarted,
    /// The tasks of the next attempt have their state, or begin without one.
    Restored {
        /// What it comes from; `None` if from nothing.
        checkpoint: Option<RestoredCheckpoint>,
        /// The tasks that had finished by then.
        finished: Vec<TaskId>,
    },
    /// The state cannot be brought back.
    RestoreFailed {
        /// Why.
        message: String,
    },
    /// After the coordinator itself has restarted, and before anything else: what the storage knows.
    RestoredRetained {
        /// The checkpoints that are kept, in any order.
        checkpoints: Vec<RetainedCheckpoint>,
        /// The least id that no checkpoint had.
        next_id: u64,
    },
    /// The job has ended.
    Stop {
        /// How.
        outcome: JobOutcome,
    },
}

/// What the coordinator wants done, in this order. See [`CheckpointCoordinator`](crate::CheckpointCoordinator) for an example.
#[derive(Clone, Debug, PartialEq)]
pub enum CoordinatorAction {
    /// Send barriers from these tasks.
    TriggerSources {
        /// The id of the checkpoint: larger than every one before.
        checkpoint_id: u64,
        /// When it was triggered, in milliseconds since 1970.
        timestamp: i64,
        /// The sources, and the tasks whose inputs have all finished.
        tasks: Vec<TaskId>,
        /// What goes with the barriers.
        options: TriggerOptions,
    },
    /// Tell all tasks that a checkpoint will not complete: they drop barriers and uploads of it, and their operators hear that it
    /// was aborted.
    AbortCheckpoint {
        /// Its id.
        checkpoint_id: u64,
        /// Why.
        reason: AbortReason,
    },
    /// All tasks have acknowledged: store the metadata, and answer with `MetadataWritten` or `MetadataFailed`.
    WriteMetadata {
        /// Of which checkpoint.
        checkpoint_id: u64,
        /// When it was triggered, in milliseconds since 1970.
        timestamp: i64,
        /// What it is.
        kind: SnapshotKind,
        /// The tasks that had finished before it was triggered, and have stored nothing.
        finished: Vec<TaskId>,
    },
    /// Tell all tasks that a checkpoint is complete: what it covers may be committed. After a synchronous savepoint they end.
    NotifyCompleted {
        /// Its id.
        checkpoint_id: u64,
    },
    /// A complete checkpoint is not kept any longer: delete what no other needs.
    Discard {
        /// Its id.
        checkpoint_id: u64,
    },
    /// A checkpoint will not complete: delete what is there of it.
    DiscardPending {
        /// Its id.
        checkpoint_id: u64,
    },
    /// A task has stored its part of a checkpoint that has ended without it: delete this part.
    DiscardState {
        /// The checkpoint.
        checkpoint_id: u64,
        /// The task.
        task: TaskId,
    },
    /// Let the job fail; the error says whether it may restart.
    FailJob {
        /// Of this.
        error: CoordinatorError,
    },
    /// What was asked for is complete.
    CompleteRequest {
        /// By whom.
        request: RequestId,
        /// What it is.
        result: CompletedSnapshot,
    },
    /// What was asked for is not to be had.
    FailRequest {
        /// By whom.
        request: RequestId,
        /// Why.
        error: CoordinatorError,
    },
}
