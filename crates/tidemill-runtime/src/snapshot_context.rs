//! What an operator is told when its snapshot is taken.

use tidemill_core::{CheckpointBarrier, CheckpointId, SavepointFormat, SnapshotKind};
use tidemill_serialization::Key;
use tidemill_state::{KeyedStateBackend, StateError, SubtaskSnapshot};

/// For which checkpoint a snapshot is taken.
///
/// ```
/// use tidemill_core::CheckpointBarrier;
/// use tidemill_runtime::SnapshotContext;
///
/// assert_eq!(SnapshotContext::of(CheckpointBarrier::new(7, 0)).checkpoint, 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotContext {
    /// Its number, which [`checkpoint_complete`](crate::Operator::checkpoint_complete) will name.
    pub checkpoint: CheckpointId,
    /// What it is for.
    pub kind: SnapshotKind,
}

impl SnapshotContext {
    /// That of a barrier.
    pub fn of(barrier: CheckpointBarrier) -> Self {
        Self { checkpoint: barrier.id, kind: barrier.kind }
    }

    /// The snapshot of keyed state in the form that is wanted: that of its backend, but for canonical savepoints. What lies in
    /// memory is still to be [completed](SubtaskSnapshot::complete), which is done beside the task.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_core::CheckpointBarrier;
    /// use tidemill_runtime::{OperatorContext, SnapshotContext};
    /// use tidemill_state::SystemClock;
    ///
    /// let context = OperatorContext::detached(0, 1, 128, Arc::new(SystemClock));
    /// let mut backend = context.keyed_state::<String>(None)?;
    /// assert!(SnapshotContext::of(CheckpointBarrier::new(1, 0)).keyed(&mut backend)?.is_empty());
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    ///
    /// # Errors
    /// When the state cannot be read or encoded.
    pub fn keyed<K: Key>(&self, backend: &mut KeyedStateBackend<K>) -> Result<SubtaskSnapshot, StateError> {
        match self.kind {
            SnapshotKind::Savepoint(SavepointFormat::Canonical) => backend.begin_snapshot(),
            SnapshotKind::Checkpoint | SnapshotKind::Savepoint(SavepointFormat::Native) => {
                backend.begin_native_snapshot()
            }
        }
    }
}
