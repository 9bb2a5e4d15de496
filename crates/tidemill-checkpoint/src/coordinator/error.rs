//! What the coordinator says when something cannot be done, or has failed.

use tidemill_core::config::ConfigError;
use tidemill_core::{Classified, Fault};

use super::AbortReason;

/// Why a request was refused, a checkpoint given up, or a job has to fail.
///
/// ```
/// use tidemill_checkpoint::CoordinatorError;
/// use tidemill_core::Classified;
///
/// let error = CoordinatorError::TooManyFailures { tolerable: 0, last: "Checkpoint expired before completing.".into() };
/// assert_eq!(error.code(), "TM-CHECKPOINT-TOO-MANY-FAILURES");
/// assert!(error.to_string().contains("execution.checkpointing.tolerable-failed-checkpoints"));
/// assert!(error.retryable(), "the job may restart");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError {
    /// Settings that contradict each other, or a value that no checkpoint can have.
    #[error("{0}")]
    Settings(String),
    /// An option cannot be read.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The list of tasks is not that of a job.
    #[error("the tasks of the job cannot be coordinated: {0}")]
    Tasks(String),
    /// A checkpoint or savepoint was triggered and did not complete.
    #[error("{} {checkpoint_id} did not complete: {reason}{}", what(*.savepoint), because(.message))]
    Aborted {
        /// Its id.
        checkpoint_id: u64,
        /// Whether it is a savepoint.
        savepoint: bool,
        /// What ended it.
        reason: AbortReason,
        /// What was said beside that, empty if nothing was.
        message: String,
    },
    /// A request came while the job does not run.
    #[error("the job does not run now: ask again when all of its tasks are running")]
    NotRunning,
    /// A request came after tasks have finished that a checkpoint would need.
    #[error("{0}")]
    TasksFinished(&'static str),
    /// A request came while the job stops with a savepoint.
    #[error("the job is being stopped with a savepoint: wait for that one")]
    Stopping,
    /// Too many requests wait.
    #[error(
        "{waiting} requests for checkpoints and savepoints wait already: wait until some of them are done"
    )]
    TooManyRequests {
        /// How many wait.
        waiting: usize,
    },
    /// The coordinator has shut down.
    #[error("the job has ended: it takes no checkpoints any more")]
    ShutDown,
    /// More checkpoints in a row have failed than the job tolerates.
    #[error(
        "more than {tolerable} checkpoints in a row have failed; the last: {last}. Mend what makes them fail, or raise \
         'execution.checkpointing.tolerable-failed-checkpoints'"
    )]
    TooManyFailures {
        /// How many may fail.
        tolerable: u32,
        /// Why the last one failed.
        last: String,
    },
    /// The savepoint that should stop the job failed when tasks may already have stopped.
    #[error(
        "the job fails, since the savepoint {checkpoint_id} that should stop it did not complete: {message}"
    )]
    StopFailed {
        /// The id of the savepoint.
        checkpoint_id: u64,
        /// Why.
        message: String,
    },
    /// The job failed between the savepoint that stops it and its end.
    #[error(
        "the job failed while it stopped: {message}. The savepoint at {external_path} is complete; what the job wrote to the \
         outside may not be: start it again from this savepoint"
    )]
    FailedAfterSavepoint {
        /// Where the savepoint is.
        external_path: String,
        /// What failed.
        message: String,
    },
    /// The state of a checkpoint could not be brought back.
    #[error("the job cannot be restored: {message}")]
    RestoreFailed {
        /// Why.
        message: String,
    },
}

fn what(savepoint: bool) -> &'static str {
    if savepoint { "the savepoint" } else { "the checkpoint" }
}

fn because(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" {message}") }
}

impl Classified for CoordinatorError {
    fn code(&self) -> &'static str {
        match self {
            CoordinatorError::Settings(_) => "TM-CHECKPOINT-SETTINGS",
            CoordinatorError::Configuration(error) => error.code(),
            CoordinatorError::Tasks(_) => "TM-CHECKPOINT-TASKS",
            CoordinatorError::Aborted { .. } => "TM-CHECKPOINT-ABORTED",
            CoordinatorError::NotRunning => "TM-CHECKPOINT-NOT-RUNNING",
            CoordinatorError::TasksFinished(_) => "TM-CHECKPOINT-TASKS-FINISHED",
            CoordinatorError::Stopping => "TM-CHECKPOINT-STOPPING",
            CoordinatorError::TooManyRequests { .. } => "TM-CHECKPOINT-TOO-MANY-REQUESTS",
            CoordinatorError::ShutDown => "TM-CHECKPOINT-SHUT-DOWN",
            CoordinatorError::TooManyFailures { .. } => "TM-CHECKPOINT-TOO-MANY-FAILURES",
            CoordinatorError::StopFailed { .. } => "TM-CHECKPOINT-STOP-FAILED",
            CoordinatorError::FailedAfterSavepoint { .. } => "TM-CHECKPOINT-FAILED-AFTER-SAVEPOINT",
            CoordinatorError::RestoreFailed { .. } => "TM-CHECKPOINT-RESTORE-FAILED",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            CoordinatorError::Settings(_)
            | CoordinatorError::Configuration(_)
            | CoordinatorError::NotRunning
            | CoordinatorError::TasksFinished(_)
            | CoordinatorError::Stopping
            | CoordinatorError::TooManyRequests { .. }
            | CoordinatorError::ShutDown => Fault::User,
            CoordinatorError::Aborted { .. }
            | CoordinatorError::TooManyFailures { .. }
            | CoordinatorError::StopFailed { .. }
            | CoordinatorError::FailedAfterSavepoint { .. }
            | CoordinatorError::RestoreFailed { .. } => Fault::External,
            CoordinatorError::Tasks(_) => Fault::Internal,
        }
    }

    /// For a request: whether it may succeed later. For what a job fails of: whether it may restart.
    fn retryable(&self) -> bool {
        matches!(
            self,
            CoordinatorError::Aborted { .. }
                | CoordinatorError::NotRunning
                | CoordinatorError::TooManyRequests { .. }
                | CoordinatorError::TooManyFailures { .. }
                | CoordinatorError::StopFailed { .. }
                | CoordinatorError::RestoreFailed { .. }
        )
    }
}
