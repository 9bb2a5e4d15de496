//! What the thread that takes care of a job's checkpoints is told.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use tidemill_checkpoint::coordinator::{CompletedSnapshot, JobOutcome, ManualCheckpoint};
use tidemill_checkpoint::statistics::Statistics;
use tidemill_core::{AfterSavepoint, CheckpointId, OperatorId, SavepointFormat};

use crate::checkpoint::parts::StoredPart;
use crate::checkpoint::pending::Published;
use crate::checkpoint::running::RunningTask;
use crate::checkpoint::service::Restored;
use crate::checkpoint::task_snapshot::TaskSnapshot;
use crate::error::JobError;
use crate::source::SourceCoordinator;
use crate::task::Overtaken;

/// Answers whoever asked for a savepoint.
pub(super) type Reply = Box<dyn FnOnce(Result<CompletedSnapshot, JobError>) + Send>;

/// Where a savepoint goes.
pub(crate) enum Target {
    /// To a new folder in this one, or else in that of `execution.checkpointing.savepoint-dir`.
    Folder(Option<String>),
    /// Among the checkpoints of the job, as the newest of them.
    Checkpoints,
}

/// What must be done after attempts have failed.
pub(crate) enum AfterFailure {
    /// What has failed may be started again.
    StartAgain,
    /// The rest of the job must be, too: it had begun to end.
    StartAllAgain,
    /// Nothing may be.
    GiveUp(JobError),
}

/// What the worker is told.
pub(super) enum Reported {
    /// All tasks of the job run, these in new attempts.
    Started {
        tasks: Vec<(usize, RunningTask)>,
        sources: Vec<(OperatorId, u32, Arc<SourceCoordinator>)>,
        restored: Option<Restored>,
    },
    /// The attempts of these tasks have failed.
    Failed { message: String, tasks: Vec<usize>, reply: Sender<AfterFailure> },
    /// A task has taken its snapshot.
    Snapshot { attempt: u64, task: usize, snapshot: TaskSnapshot },
    /// What the barriers have overtaken in the gates of a task.
    Overtaken { attempt: u64, task: usize, overtaken: Overtaken },
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
    Savepoint { format: SavepointFormat, after: AfterSavepoint, target: Target, reply: Reply },
    /// Somebody asks for a checkpoint.
    Checkpoint { checkpoint: ManualCheckpoint, reply: Reply },
    /// Somebody wants to know how the checkpoints are.
    Statistics { reply: Sender<Statistics> },
    /// The job has ended. Whoever waits on the other end of `done` goes on when all is cleaned up.
    JobEnded { outcome: JobOutcome, done: Sender<()> },
}

impl Reported {
    /// The task that speaks, and in which attempt.
    pub(super) fn speaker(&self) -> Option<(usize, u64)> {
        match self {
            Reported::Snapshot { attempt, task, .. }
            | Reported::Overtaken { attempt, task, .. }
            | Reported::Declined { attempt, task, .. }
            | Reported::WaitsForLast { attempt, task }
            | Reported::TaskFinished { attempt, task }
            | Reported::Stored { attempt, task, .. } => Some((*task, *attempt)),
            _ => None,
        }
    }
}
