//! What runs of a job, as far as its checkpoints are concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemill_core::OperatorId;

use crate::cluster::execution::Execution;
use crate::source::SourceCoordinator;
use crate::task::{Commands, TaskCommand};

/// A task that runs.
pub(super) struct RunningTask {
    /// Which attempt of it: what earlier ones still say does not count.
    pub(super) attempt: u64,
    pub(super) commands: Arc<Commands>,
    pub(super) execution: Arc<Execution>,
}

/// What runs of the job.
#[derive(Default)]
pub(super) struct Running {
    /// By their numbers; those are missing that have failed and were not deployed again yet.
    pub(super) tasks: BTreeMap<usize, RunningTask>,
    pub(super) sources: BTreeMap<OperatorId, (u32, Arc<SourceCoordinator>)>,
    /// The tasks that have ended, or wait for a last checkpoint to do so.
    pub(super) at_end: BTreeSet<usize>,
    /// Those that have ended.
    pub(super) ended: BTreeSet<usize>,
}

impl Running {
    pub(super) fn tell(&self, command: TaskCommand) {
        self.tasks.values().for_each(|task| task.commands.send(command));
    }

    pub(super) fn attempt(&self, task: usize) -> Option<u64> {
        self.tasks.get(&task).map(|task| task.attempt)
    }
}
