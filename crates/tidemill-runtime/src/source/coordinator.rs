//! One enumerator for all readers of a source.

use parking_lot::Mutex;

use crate::operator::OperatorError;
use crate::source::{SourceSplit, SplitAssignment, SplitEnumerator};

/// Hands splits to the readers of one source. Asked once a split, so a lock is cheap enough.
pub struct SourceCoordinator {
    enumerator: Mutex<Box<dyn SplitEnumerator>>,
}

impl SourceCoordinator {
    /// Coordinates with this enumerator.
    pub fn new(enumerator: Box<dyn SplitEnumerator>) -> Self {
        Self { enumerator: Mutex::new(enumerator) }
    }

    /// The next split for a subtask.
    ///
    /// # Errors
    /// As [`SplitEnumerator::next_split`].
    pub fn next_split(&self, subtask: u32) -> Result<SplitAssignment, OperatorError> {
        self.enumerator.lock().next_split(subtask)
    }

    /// The splits that have not been handed out.
    pub fn snapshot(&self) -> Vec<SourceSplit> {
        self.enumerator.lock().snapshot()
    }
}
