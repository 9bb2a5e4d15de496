//! What tasks and channels have to know of a checkpoint: its barrier.

/// The number of a checkpoint of a job, from 1. Later ones have greater numbers; savepoints are numbered with them.
pub type CheckpointId = u64;

/// What a snapshot is made for.
///
/// ```
/// use tidemill_core::{SavepointFormat, SnapshotKind};
///
/// assert!(SnapshotKind::Savepoint(SavepointFormat::Native).is_savepoint());
/// assert!(!SnapshotKind::Checkpoint.is_savepoint());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// To recover from a failure. May share files with other checkpoints.
    Checkpoint,
    /// For the user, who owns it. Shares nothing.
    Savepoint(SavepointFormat),
}

impl SnapshotKind {
    /// Whether it is a savepoint of either format.
    pub const fn is_savepoint(self) -> bool {
        matches!(self, SnapshotKind::Savepoint(_))
    }
}

/// How a savepoint is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SavepointFormat {
    /// In a form that every state backend reads.
    #[default]
    Canonical,
    /// In that of the state backend, which is quicker.
    Native,
}

/// What happens to a job once its savepoint is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AfterSavepoint {
    /// It goes on.
    #[default]
    GoOn,
    /// It stops. What its sinks have not committed yet is committed; windows stay open.
    Stop,
    /// It comes to its end as if its input had ended: event time advances to the end, and windows fire.
    Drain,
}

/// How a barrier and the records before it get along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BarrierAlignment {
    /// Channels whose barrier has come wait for the others: what is stored holds each record exactly once.
    Aligned,
    /// Nobody waits: what comes between the first and the last barrier is in the snapshot and is read again after a
    /// recovery.
    AtLeastOnce,
    /// The barrier overtakes what is in the channels, which is stored with the snapshot.
    Unaligned,
    /// As [`Aligned`](Self::Aligned) for this long, in milliseconds after the first barrier came; then as
    /// [`Unaligned`](Self::Unaligned).
    AlignedFor(u32),
}

/// Flows with the records: all before it belong to the checkpoint, none after it.
///
/// ```
/// use tidemill_core::{AfterSavepoint, BarrierAlignment, CheckpointBarrier, SnapshotKind};
///
/// let barrier = CheckpointBarrier::new(1, 1_700_000_000_000);
/// assert_eq!((barrier.kind, barrier.alignment), (SnapshotKind::Checkpoint, BarrierAlignment::Aligned));
/// assert_eq!(barrier.after, AfterSavepoint::GoOn);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CheckpointBarrier {
    /// Which checkpoint.
    pub id: CheckpointId,
    /// When it was triggered, in milliseconds since the epoch.
    pub timestamp: i64,
    /// What it is for.
    pub kind: SnapshotKind,
    /// How it gets along with the records before it.
    pub alignment: BarrierAlignment,
    /// What follows when it is complete.
    pub after: AfterSavepoint,
}

impl CheckpointBarrier {
    /// The barrier of an aligned checkpoint.
    pub const fn new(id: CheckpointId, timestamp: i64) -> Self {
        Self {
            id,
            timestamp,
            kind: SnapshotKind::Checkpoint,
            alignment: BarrierAlignment::Aligned,
            after: AfterSavepoint::GoOn,
        }
    }

    /// The same barrier, with another alignment.
    ///
    /// ```
    /// use tidemill_core::{BarrierAlignment, CheckpointBarrier};
    ///
    /// let barrier = CheckpointBarrier::new(1, 0).with_alignment(BarrierAlignment::Unaligned);
    /// assert_eq!(barrier.alignment, BarrierAlignment::Unaligned);
    /// ```
    #[must_use]
    pub const fn with_alignment(mut self, alignment: BarrierAlignment) -> Self {
        self.alignment = alignment;
        self
    }
}
