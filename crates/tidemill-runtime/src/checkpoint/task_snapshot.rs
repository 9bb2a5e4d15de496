//! What a task says of its part in a checkpoint.

use std::time::Duration;

use tidemill_core::{CheckpointBarrier, CheckpointId, OperatorId};
use tidemill_state::SubtaskSnapshot;

use crate::operator::OperatorError;
use crate::task::Overtaken;

/// The state of the operators of a task at a barrier.
pub(crate) struct TaskSnapshot {
    pub(crate) barrier: CheckpointBarrier,
    /// Which subtask of its vertex the task is.
    pub(crate) subtask: u32,
    /// The state of each operator of the chain.
    pub(crate) states: Vec<(OperatorId, SubtaskSnapshot)>,
    /// Whether what its barriers overtook is reported as well, once it is known.
    pub(crate) overtook: bool,
    /// Whether all operators have finished: their state is the last one.
    pub(crate) finished: bool,
    pub(crate) figures: TaskFigures,
}

/// What a task's part in a checkpoint took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskFigures {
    /// From the trigger until the first barrier came.
    pub(crate) start_delay: Duration,
    /// From the first barrier until the last.
    pub(crate) alignment: Duration,
    /// How long the task did nothing else.
    pub(crate) sync: Duration,
    /// Bytes that were processed between the first and the last barrier.
    pub(crate) processed_bytes: u64,
}

/// Hears what tasks say. Called on their threads, so it hands over and returns.
pub(crate) trait CheckpointListener: Send + Sync {
    /// A task has taken its snapshot.
    fn snapshot(&self, task: usize, snapshot: TaskSnapshot);

    /// What the barriers of a checkpoint have overtaken in the gates of a task.
    fn overtaken(&self, task: usize, overtaken: Overtaken);

    /// A task cannot take part.
    fn declined(&self, task: usize, id: CheckpointId, error: OperatorError);

    /// All operators of a task have finished; it ends as soon as a checkpoint that says so is complete.
    fn waits_for_last_checkpoint(&self, task: usize);

    /// A task has come to its end.
    fn finished(&self, task: usize);
}
