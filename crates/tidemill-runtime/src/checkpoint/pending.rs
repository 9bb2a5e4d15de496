//! A checkpoint that is being taken: what has come of it, and what is still missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tidemill_checkpoint::metadata::{CheckpointKind, OperatorState, SubtaskState};
use tidemill_checkpoint::{CheckpointError, CheckpointFolder, CheckpointMetadata, FileLocation};
use tidemill_core::{AfterSavepoint, CheckpointBarrier, JobId, OperatorId, SavepointFormat, SnapshotKind};
use tokio::task::JoinHandle;

use crate::checkpoint::local_backup::LocalBackup;
use crate::checkpoint::parts::{self, Part, StoredPart, Storing};
use crate::checkpoint::restore;
use crate::checkpoint::service::Completed;
use crate::checkpoint::task_snapshot::TaskSnapshot;
use crate::graph::ExecutionPlan;
use crate::source::SourceSplit;
use crate::task::Overtaken;

/// The metadata of a checkpoint is stored.
pub(super) struct Published {
    pub(super) completed: Completed,
    /// The size of its metadata.
    pub(super) bytes: u64,
    /// The files that were written for it.
    pub(super) written: Vec<FileLocation>,
}

/// A checkpoint that is being taken. Dropping it gives up what is being stored for it.
pub(super) struct Pending {
    barrier: CheckpointBarrier,
    folder: CheckpointFolder,
    storing_with: Storing,
    /// The splits of each source that its readers had not got.
    splits: Vec<(OperatorId, Vec<SourceSplit>)>,
    /// Snapshots of tasks whose barriers have overtaken something of which not all is known yet.
    incomplete: HashMap<usize, TaskSnapshot>,
    stored: BTreeMap<usize, StoredPart>,
    /// Tasks whose part is being stored, or is not complete yet.
    storing: BTreeSet<usize>,
    under_way: Vec<JoinHandle<()>>,
}

impl Pending {
    pub(super) fn new(
        barrier: CheckpointBarrier,
        folder: CheckpointFolder,
        splits: Vec<(OperatorId, Vec<SourceSplit>)>,
        storing_with: Storing,
    ) -> Self {
        Self {
            barrier,
            storing_with,
            folder,
            splits,
            incomplete: HashMap::new(),
            stored: BTreeMap::new(),
            storing: BTreeSet::new(),
            under_way: Vec::new(),
        }
    }

    /// Whether tasks end with it, or have begun to.
    pub(super) fn ends_job(&self) -> bool {
        self.barrier.after != AfterSavepoint::GoOn
    }

    /// A task has taken its snapshot. Returns what can be stored now.
    pub(super) fn snapshot(&mut self, task: usize, snapshot: TaskSnapshot) -> Option<Part> {
        self.storing.insert(task);
        if snapshot.overtook {
            self.incomplete.insert(task, snapshot);
            return None;
        }
        Some(Part { subtask: snapshot.subtask, snapshot, gates: Vec::new() })
    }

    /// All that the barriers have overtaken in the gates of a task is known. Returns what can be stored now.
    pub(super) fn overtaken(&mut self, task: usize, overtaken: Overtaken) -> Option<Part> {
        let mut snapshot = self.incomplete.remove(&task)?;
        snapshot.figures.processed_bytes = overtaken.processed_bytes;
        Some(Part { subtask: snapshot.subtask, snapshot, gates: overtaken.gates })
    }

    /// Stores the part of a task.
    pub(super) fn store(
        &self,
        part: Part,
    ) -> impl Future<Output = Result<StoredPart, CheckpointError>> + Send + 'static {
        parts::store(self.storing_with.clone(), part)
    }

    /// Something is being stored; it is given up with the checkpoint.
    pub(super) fn under_way(&mut self, work: JoinHandle<()>) {
        self.under_way.push(work);
    }

    /// The part of a task is stored.
    pub(super) fn stored(&mut self, task: usize, part: StoredPart) {
        self.storing.remove(&task);
        self.stored.insert(task, part);
    }

    /// The part of a task could not be stored.
    pub(super) fn not_stored(&mut self, task: usize) {
        self.storing.remove(&task);
    }

    /// Whether a task has taken its snapshot and it is not settled yet what becomes of it.
    pub(super) fn is_storing(&self, task: usize) -> bool {
        self.storing.contains(&task)
    }

    /// What the checkpoint holds, once all tasks have stored their parts. Those in `finished` have nothing to store.
    pub(super) fn metadata(
        &self,
        plan: &ExecutionPlan,
        job_id: JobId,
        timestamp: i64,
        finished: &BTreeSet<usize>,
    ) -> CheckpointMetadata {
        let mut operators = Vec::new();
        let first = plan.first_tasks();
        for (vertex, first) in plan.job.vertices.iter().zip(first) {
            for operator in &vertex.operators {
                let subtasks = (0..vertex.parallelism).map(|subtask| {
                    let task = first + subtask as usize;
                    let stored = self.stored.get(&task);
                    let stored =
                        stored.and_then(|part| part.states.iter().find(|(id, _)| *id == operator.id));
                    match stored {
                        Some((_, state)) => state.clone(),
                        None => {
                            SubtaskState { finished: finished.contains(&task), ..SubtaskState::new(subtask) }
                        }
                    }
                });
                operators.push(OperatorState {
                    id: operator.id,
                    uid: operator.uid.clone(),
                    name: operator.name.clone(),
                    parallelism: vertex.parallelism,
                    max_parallelism: vertex.max_parallelism,
                    subtasks: subtasks.collect(),
                    coordinator: None,
                });
            }
        }
        CheckpointMetadata {
            checkpoint_id: self.barrier.id,
            kind: match self.barrier.kind {
                SnapshotKind::Checkpoint => CheckpointKind::Checkpoint,
                SnapshotKind::Savepoint(SavepointFormat::Canonical) => CheckpointKind::SavepointCanonical,
                SnapshotKind::Savepoint(SavepointFormat::Native) => CheckpointKind::SavepointNative,
            },
            timestamp_ms: timestamp,
            job_name: plan.job.name.clone(),
            job_id,
            operators,
        }
    }

    /// Stores the metadata, and what is left to be stored before.
    pub(super) fn publish(
        &self,
        mut metadata: CheckpointMetadata,
    ) -> impl Future<Output = Result<Published, CheckpointError>> + Send + 'static {
        let (writer, folder) = (Arc::clone(&self.storing_with.writer), self.folder.clone());
        let splits = self.splits.clone();
        let backup =
            self.storing_with.backup.clone().filter(|_| self.barrier.kind == SnapshotKind::Checkpoint);
        async move {
            for (operator, splits) in splits {
                let bytes = Bytes::from(restore::encode_splits(&splits));
                let handle = writer.write(bytes.clone()).await?;
                if let Some(backup) = &backup {
                    let (id, kept) = (metadata.checkpoint_id, handle.clone());
                    LocalBackup::beside(backup, move |backup| backup.keep_bytes(id, &kept, &bytes)).await;
                }
                if let Some(state) = metadata.operators.iter_mut().find(|state| state.id == operator) {
                    state.coordinator = Some(handle);
                }
            }
            // Whoever hears of the checkpoint may be the last to need it.
            drop(backup);
            let written = writer.finish().await?.files;
            if let Err(error) = folder.publish(&metadata).await {
                // The writer has finished and takes nothing back any more. Shared files stay.
                let _ = folder.delete().await;
                return Err(error);
            }
            let bytes = metadata.encode().len() as u64;
            let completed =
                Completed { id: metadata.checkpoint_id, folder, metadata: Arc::new(metadata), claimed: true };
            Ok(Published { completed, bytes, written })
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.under_way.iter().for_each(JoinHandle::abort);
    }
}
