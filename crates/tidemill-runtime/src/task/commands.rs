//! What the coordinator of checkpoints tells a task, from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tidemill_core::{CheckpointBarrier, CheckpointId};
use tidemill_network::{TaskWaker, Wake};

/// What a task is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskCommand {
    /// Take part in a checkpoint, unless its barrier will come from upstream.
    Trigger(CheckpointBarrier),
    /// A checkpoint is complete.
    Completed(CheckpointId),
    /// A checkpoint will not be completed.
    Aborted(CheckpointId),
}

/// The commands that a task has not taken yet. Their number is bounded by that of the checkpoints that are under way.
pub(crate) struct Commands {
    queue: Mutex<Vec<TaskCommand>>,
    any: AtomicBool,
    waker: Arc<TaskWaker>,
}

impl Commands {
    pub(crate) fn new(waker: Arc<TaskWaker>) -> Self {
        Self { queue: Mutex::default(), any: AtomicBool::new(false), waker }
    }

    /// Hands a command over and wakes the task.
    pub(crate) fn send(&self, command: TaskCommand) {
        self.queue.lock().push(command);
        self.any.store(true, Ordering::Release);
        self.waker.wake(Wake::Command);
    }

    /// Whether there are any.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Takes all that there are.
    pub(crate) fn take(&self) -> Vec<TaskCommand> {
        self.any.store(false, Ordering::Release);
        std::mem::take(&mut self.queue.lock())
    }
}
