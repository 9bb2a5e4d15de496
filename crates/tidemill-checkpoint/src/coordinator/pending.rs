//! Checkpoints under way, and the memory of those that have ended.

use std::collections::{BTreeSet, VecDeque};

use super::{CoordinatorAction, RequestId, SnapshotKind, TaskId};

/// A checkpoint or savepoint that was triggered and has not ended.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: u64,
    pub(super) kind: SnapshotKind,
    pub(super) timestamp: i64,
    /// When it expires.
    pub(super) deadline: i64,
    pub(super) request: Option<RequestId>,
    /// The tasks that have not acknowledged. When it is empty, the metadata is being written.
    pub(super) missing: BTreeSet<TaskId>,
    /// The tasks that had finished before they could take part.
    pub(super) finished: Vec<TaskId>,
    /// The tasks that have acknowledged.
    pub(super) acknowledged: BTreeSet<TaskId>,
}

impl Pending {
    pub(super) fn writes_metadata(&self) -> bool {
        self.missing.is_empty()
    }

    pub(super) fn write_metadata(&self) -> CoordinatorAction {
        CoordinatorAction::WriteMetadata {
            checkpoint_id: self.id,
            timestamp: self.timestamp,
            kind: self.kind,
            finished: self.finished.clone(),
        }
    }
}

/// The ids of the last checkpoints that completed. A report that comes twice must not let their files be deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Completed {
    ids: VecDeque<u64>,
}

impl Completed {
    const REMEMBERED: usize = 128;

    pub(super) fn add(&mut self, id: u64) {
        if self.ids.len() == Self::REMEMBERED {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }
}
