//! One enumerator for all readers of a source.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidemill_core::CheckpointId;

use crate::operator::OperatorError;
use crate::source::{SourceSplit, SplitAssignment, SplitEnumerator};

/// Hands splits to the readers of one source. Asked once a split, so a lock is cheap enough.
///
/// ```
/// use tidemill_runtime::OperatorError;
/// use tidemill_runtime::source::{SourceCoordinator, SourceSplit, SplitAssignment, SplitEnumerator};
///
/// /// Has nothing to hand out.
/// struct Empty;
///
/// impl SplitEnumerator for Empty {
///     fn next_split(&mut self, _subtask: u32) -> Result<SplitAssignment, OperatorError> {
///         Ok(SplitAssignment::NoMore)
///     }
///     fn snapshot(&self) -> Vec<SourceSplit> {
///         Vec::new()
///     }
/// }
///
/// let coordinator = SourceCoordinator::new(Box::new(Empty));
/// assert_eq!(coordinator.next_split(0)?, SplitAssignment::NoMore);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct SourceCoordinator {
    state: Mutex<State>,
}

struct State {
    enumerator: Box<dyn SplitEnumerator>,
    /// For each checkpoint: the subtasks that get no split before they have taken their part of it.
    held: BTreeMap<CheckpointId, Vec<u32>>,
}

impl SourceCoordinator {
    /// Coordinates with this enumerator.
    pub fn new(enumerator: Box<dyn SplitEnumerator>) -> Self {
        Self { state: Mutex::new(State { enumerator, held: BTreeMap::new() }) }
    }

    /// The next split for a subtask.
    ///
    /// # Errors
    /// As [`SplitEnumerator::next_split`].
    pub fn next_split(&self, subtask: u32) -> Result<SplitAssignment, OperatorError> {
        let mut state = self.state.lock();
        if state.held.values().any(|subtasks| subtasks.contains(&subtask)) {
            return Ok(SplitAssignment::NoneYet);
        }
        state.enumerator.next_split(subtask)
    }

    /// The splits that have not been handed out.
    pub fn snapshot(&self) -> Vec<SourceSplit> {
        self.state.lock().enumerator.snapshot()
    }

    /// As [`SplitEnumerator::is_processing_backlog`].
    pub fn is_processing_backlog(&self) -> bool {
        self.state.lock().enumerator.is_processing_backlog()
    }

    /// The splits that have not been handed out when a checkpoint begins. From now on the readers of these subtasks get none
    /// before they have taken their part of it: it would be both here and with them.
    ///
    /// ```
    /// # use tidemill_runtime::OperatorError;
    /// # use tidemill_runtime::source::{SourceCoordinator, SourceSplit, SplitAssignment, SplitEnumerator};
    /// # struct Endless;
    /// # impl SplitEnumerator for Endless {
    /// #     fn next_split(&mut self, _: u32) -> Result<SplitAssignment, OperatorError> {
    /// #         Ok(SplitAssignment::Split(SourceSplit { id: "split".into(), state: vec![] }))
    /// #     }
    /// #     fn snapshot(&self) -> Vec<SourceSplit> { Vec::new() }
    /// # }
    /// let coordinator = SourceCoordinator::new(Box::new(Endless));
    /// coordinator.begin_checkpoint(1, [0]);
    /// assert_eq!(coordinator.next_split(0)?, SplitAssignment::NoneYet);
    /// assert!(matches!(coordinator.next_split(1)?, SplitAssignment::Split(_)));
    /// coordinator.taken(0, 1);
    /// assert!(matches!(coordinator.next_split(0)?, SplitAssignment::Split(_)));
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    pub fn begin_checkpoint(
        &self,
        checkpoint: CheckpointId,
        subtasks: impl IntoIterator<Item = u32>,
    ) -> Vec<SourceSplit> {
        let mut state = self.state.lock();
        state.held.insert(checkpoint, subtasks.into_iter().collect());
        state.enumerator.snapshot()
    }

    /// A subtask has taken its part of a checkpoint, and so of those before it.
    pub fn taken(&self, subtask: u32, checkpoint: CheckpointId) {
        let mut state = self.state.lock();
        for (_, subtasks) in state.held.range_mut(..=checkpoint) {
            subtasks.retain(|held| *held != subtask);
        }
        state.held.retain(|_, subtasks| !subtasks.is_empty());
    }

    /// A checkpoint will not be complete: nobody waits for it any more.
    pub fn abort_checkpoint(&self, checkpoint: CheckpointId) {
        self.state.lock().held.remove(&checkpoint);
    }

    /// A checkpoint is complete: subtasks that have not taken their part of it have ended.
    pub fn complete_checkpoint(&self, checkpoint: CheckpointId) {
        self.state.lock().held.retain(|id, _| *id > checkpoint);
    }
}
