//! One enumerator for all readers of a source.

use parking_lot::Mutex;

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
