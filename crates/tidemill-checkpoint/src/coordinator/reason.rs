//! Why checkpoints end before they are complete, and which of these ends count as failures.

use std::fmt;

/// Why a task cannot take part in a checkpoint.
///
/// ```
/// use tidemill_checkpoint::coordinator::{AbortReason, DeclineReason};
///
/// assert!(AbortReason::Declined(DeclineReason::Failed).counts());
/// assert!(!AbortReason::Declined(DeclineReason::NotReady).counts(), "it is not the checkpoint that failed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeclineReason {
    /// The synchronous part of its snapshot failed.
    Failed,
    /// The asynchronous part of its snapshot failed.
    AsyncFailed,
    /// Reading or writing failed.
    Io,
    /// It does not run yet, or cannot be reached.
    NotReady,
    /// It is ending.
    Closing,
    /// One of its inputs told it to give the checkpoint up.
    CancellationBarrier,
    /// It has begun with a newer checkpoint.
    Subsumed,
    /// One of its inputs has ended.
    InputEnded,
}

/// What ended a checkpoint or savepoint that did not complete. The texts are Flink's.
///
/// ```
/// use tidemill_checkpoint::coordinator::AbortReason;
///
/// assert_eq!(AbortReason::Expired.to_string(), "Checkpoint expired before completing.");
/// assert!(AbortReason::Expired.counts() && !AbortReason::Subsumed.counts());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortReason {
    /// It took longer than the timeout.
    Expired,
    /// A task declined it.
    Declined(DeclineReason),
    /// A newer checkpoint is complete.
    Subsumed,
    /// It could not be triggered, since its place could not be set up.
    TriggerFailed,
    /// Its metadata could not be written.
    FinalizeFailed,
    /// The job stops with a savepoint, and takes no other checkpoints meanwhile.
    Suspended,
    /// The job fails.
    JobFailing,
    /// The job has ended.
    ShutDown,
}

impl AbortReason {
    /// Whether it counts among the failures of which a job tolerates so many in a row. As in Flink, what comes of starting,
    /// finishing and stopping tasks does not.
    pub fn counts(self) -> bool {
        match self {
            AbortReason::Expired | AbortReason::TriggerFailed | AbortReason::FinalizeFailed => true,
            AbortReason::Declined(reason) => {
                matches!(reason, DeclineReason::Failed | DeclineReason::AsyncFailed | DeclineReason::Io)
            }
            AbortReason::Subsumed
            | AbortReason::Suspended
            | AbortReason::JobFailing
            | AbortReason::ShutDown => false,
        }
    }

    /// Whether a task reported it, rather than the coordinator.
    pub(super) fn of_task(self) -> bool {
        matches!(self, AbortReason::Declined(_))
    }

    /// Whether the whole job ends or restarts anyway.
    pub(super) fn of_job(self) -> bool {
        matches!(self, AbortReason::JobFailing | AbortReason::ShutDown)
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AbortReason::Expired => "Checkpoint expired before completing.",
            AbortReason::Declined(DeclineReason::Failed) => "Checkpoint was declined.",
            AbortReason::Declined(DeclineReason::AsyncFailed) => "Asynchronous task checkpoint failed.",
            AbortReason::Declined(DeclineReason::Io) => {
                "An Exception occurred while triggering the checkpoint. IO-problem detected."
            }
            AbortReason::Declined(DeclineReason::NotReady) => "Checkpoint was declined (tasks not ready)",
            AbortReason::Declined(DeclineReason::Closing) => "Checkpoint was declined (task is closing)",
            AbortReason::Declined(DeclineReason::CancellationBarrier) => {
                "Task received cancellation from one of its inputs"
            }
            AbortReason::Declined(DeclineReason::Subsumed) => {
                "Checkpoint was canceled because a barrier from newer checkpoint was received."
            }
            AbortReason::Declined(DeclineReason::InputEnded) => {
                "Checkpoint was declined because one input stream is finished"
            }
            AbortReason::Subsumed => "Checkpoint has been subsumed.",
            AbortReason::TriggerFailed => {
                "An Exception occurred while triggering the checkpoint. IO-problem detected."
            }
            AbortReason::FinalizeFailed => "Failure to finalize checkpoint.",
            AbortReason::Suspended => "Checkpoint Coordinator is suspending.",
            AbortReason::JobFailing => "The job has failed.",
            AbortReason::ShutDown => "CheckpointCoordinator shutdown.",
        })
    }
}
