//! The figures of one checkpoint.

use tidemill_core::JobVertexId;

use super::Summary;
use crate::coordinator::SnapshotKind;

/// What a subtask says of its part of a checkpoint. Durations are in milliseconds, sizes in bytes.
///
/// ```
/// use tidemill_checkpoint::statistics::SubtaskStatistics;
///
/// let statistics = SubtaskStatistics { start_delay: 12, state_size: 1 << 20, ..Default::default() };
/// assert_eq!(statistics.checkpointed_size, 0, "everything was stored before");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubtaskStatistics {
    /// From the trigger of the checkpoint to its first barrier.
    pub start_delay: u64,
    /// From the first barrier to the last; 0 with one input.
    pub alignment_duration: u64,
    /// The part of the snapshot during which no records were processed.
    pub sync_duration: u64,
    /// The part beside the processing.
    pub async_duration: u64,
    /// Bytes processed during the alignment.
    pub processed_data: u64,
    /// Bytes in flight that were stored.
    pub persisted_data: u64,
    /// The whole state.
    pub state_size: u64,
    /// What of it was stored anew.
    pub checkpointed_size: u64,
    /// Whether barriers overtook records.
    pub unaligned: bool,
}

/// A subtask's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubtaskRecord {
    /// When it came, in milliseconds since 1970.
    pub ack_timestamp: i64,
    /// Milliseconds from the trigger of the checkpoint.
    pub end_to_end_duration: u64,
    /// What it said.
    pub statistics: SubtaskStatistics,
}

/// Summaries over the subtasks of a vertex that have acknowledged one checkpoint.
#[derive(Clone, Debug, Default)]
pub struct TaskSummary {
    /// Bytes newly stored.
    pub checkpointed_size: Summary,
    /// Bytes of the whole state.
    pub state_size: Summary,
    /// Milliseconds from the trigger.
    pub end_to_end_duration: Summary,
    /// Milliseconds without processing.
    pub sync_duration: Summary,
    /// Milliseconds beside the processing.
    pub async_duration: Summary,
    /// Bytes processed during the alignment.
    pub processed_data: Summary,
    /// Bytes in flight that were stored.
    pub persisted_data: Summary,
    /// Milliseconds from the first barrier to the last.
    pub alignment_duration: Summary,
    /// Milliseconds from the trigger to the first barrier.
    pub start_delay: Summary,
}

/// The part that a vertex has in one checkpoint. See [`CheckpointStatistics`] for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatistics {
    /// The vertex.
    pub vertex: JobVertexId,
    /// Its subtasks in order; `None` for those that have not acknowledged.
    pub subtasks: Vec<Option<SubtaskRecord>>,
}

impl TaskStatistics {
    /// The acknowledgements that have come.
    pub fn acknowledged(&self) -> impl Iterator<Item = &SubtaskRecord> {
        self.subtasks.iter().flatten()
    }

    /// When the last of them came, in milliseconds since 1970.
    pub fn latest_ack_timestamp(&self) -> Option<i64> {
        self.acknowledged().map(|record| record.ack_timestamp).max()
    }

    /// Whether all have come; if not, how it is with the checkpoint.
    pub fn status(&self, checkpoint: CheckpointStatus) -> CheckpointStatus {
        if self.subtasks.iter().all(Option::is_some) { CheckpointStatus::Completed } else { checkpoint }
    }

    /// The sum of a figure over the subtasks.
    pub fn sum(&self, figure: fn(&SubtaskStatistics) -> u64) -> u64 {
        self.acknowledged().fold(0, |sum, record| sum.saturating_add(figure(&record.statistics)))
    }

    /// Summaries over the subtasks.
    pub fn summary(&self) -> TaskSummary {
        let mut summary = TaskSummary::default();
        for record in self.acknowledged() {
            let statistics = &record.statistics;
            summary.checkpointed_size.add(statistics.checkpointed_size);
            summary.state_size.add(statistics.state_size);
            summary.end_to_end_duration.add(record.end_to_end_duration);
            summary.sync_duration.add(statistics.sync_duration);
            summary.async_duration.add(statistics.async_duration);
            summary.processed_data.add(statistics.processed_data);
            summary.persisted_data.add(statistics.persisted_data);
            summary.alignment_duration.add(statistics.alignment_duration);
            summary.start_delay.add(statistics.start_delay);
        }
        summary
    }
}

/// How it is with a checkpoint. The texts are those of Flink's REST interface.
///
/// ```
/// use tidemill_checkpoint::statistics::CheckpointStatus;
///
/// assert_eq!(CheckpointStatus::InProgress.to_string(), "IN_PROGRESS");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointStatus {
    /// It is under way.
    InProgress,
    /// It is complete.
    Completed,
    /// It has ended otherwise.
    Failed,
}

impl std::fmt::Display for CheckpointStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            CheckpointStatus::InProgress => "IN_PROGRESS",
            CheckpointStatus::Completed => "COMPLETED",
            CheckpointStatus::Failed => "FAILED",
        })
    }
}

/// The figures of one checkpoint or savepoint.
///
/// ```
/// use tidemill_checkpoint::coordinator::{CoordinatedTask, SnapshotKind, TaskId};
/// use tidemill_checkpoint::statistics::{Statistics, SubtaskStatistics};
/// use tidemill_core::JobVertexId;
///
/// let vertex = JobVertexId::from_name("source");
/// let tasks = [0, 1].map(|subtask| CoordinatedTask { vertex, subtask, inputs: vec![] });
/// let mut statistics = Statistics::new(10, &tasks);
/// statistics.triggered(1, SnapshotKind::Checkpoint { full: false }, 1_000, &[]);
/// let figures = SubtaskStatistics { state_size: 100, start_delay: 7, ..Default::default() };
/// statistics.acknowledged(1, TaskId(1), 1_200, figures);
///
/// let checkpoint = statistics.get(1).unwrap();
/// assert_eq!((checkpoint.acknowledged_subtasks(), checkpoint.subtasks()), (1, 2));
/// assert_eq!(checkpoint.tasks[0].summary().start_delay.snapshot().max, 7);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointStatistics {
    /// Its id.
    pub id: u64,
    /// What it is.
    pub kind: SnapshotKind,
    /// How it is with it.
    pub status: CheckpointStatus,
    /// When it was triggered, in milliseconds since 1970.
    pub trigger_timestamp: i64,
    /// When it was complete or failed, in milliseconds since 1970.
    pub end_timestamp: Option<i64>,
    /// Where it is, once it is complete.
    pub external_path: Option<String>,
    /// The size of its metadata in bytes, once it is complete.
    pub metadata_size: Option<u64>,
    /// Whether it was complete and is not kept any longer.
    pub discarded: bool,
    /// Why it failed.
    pub failure_message: Option<String>,
    /// What each vertex stored.
    pub tasks: Vec<TaskStatistics>,
}

impl CheckpointStatistics {
    pub(super) fn new(
        id: u64,
        kind: SnapshotKind,
        trigger_timestamp: i64,
        vertices: &[(JobVertexId, usize)],
    ) -> Self {
        let tasks = vertices
            .iter()
            .map(|(vertex, subtasks)| TaskStatistics { vertex: *vertex, subtasks: vec![None; *subtasks] })
            .collect();
        Self {
            id,
            kind,
            status: CheckpointStatus::InProgress,
            trigger_timestamp,
            end_timestamp: None,
            external_path: None,
            metadata_size: None,
            discarded: false,
            failure_message: None,
            tasks,
        }
    }

    pub(super) fn acknowledged(
        &mut self,
        vertex: usize,
        subtask: usize,
        timestamp: i64,
        statistics: SubtaskStatistics,
    ) {
        let since = since(self.trigger_timestamp, timestamp);
        if let Some(record) = self.tasks.get_mut(vertex).and_then(|task| task.subtasks.get_mut(subtask)) {
            *record =
                Some(SubtaskRecord { ack_timestamp: timestamp, end_to_end_duration: since, statistics });
        }
    }

    pub(super) fn complete(&mut self, timestamp: i64, external_path: &str, metadata_size: u64) {
        self.status = CheckpointStatus::Completed;
        self.end_timestamp = Some(timestamp);
        self.external_path = Some(external_path.to_owned());
        self.metadata_size = Some(metadata_size);
    }

    pub(super) fn fail(&mut self, timestamp: i64, message: &str) {
        self.status = CheckpointStatus::Failed;
        self.end_timestamp = Some(timestamp);
        self.failure_message = Some(message.to_owned());
    }

    fn sum(&self, figure: fn(&SubtaskStatistics) -> u64) -> u64 {
        self.tasks.iter().fold(0, |sum, task| sum.saturating_add(task.sum(figure)))
    }

    /// Bytes newly stored.
    pub fn checkpointed_size(&self) -> u64 {
        self.sum(|statistics| statistics.checkpointed_size)
    }

    /// Bytes of the whole state.
    pub fn state_size(&self) -> u64 {
        self.sum(|statistics| statistics.state_size)
    }

    /// Bytes processed while barriers were aligned.
    pub fn processed_data(&self) -> u64 {
        self.sum(|statistics| statistics.processed_data)
    }

    /// Bytes in flight that were stored.
    pub fn persisted_data(&self) -> u64 {
        self.sum(|statistics| statistics.persisted_data)
    }

    /// How many subtasks there are.
    pub fn subtasks(&self) -> usize {
        self.tasks.iter().map(|task| task.subtasks.len()).sum()
    }

    /// How many of them have acknowledged, or had finished before.
    pub fn acknowledged_subtasks(&self) -> usize {
        self.tasks.iter().map(|task| task.acknowledged().count()).sum()
    }

    /// When the last of them did, in milliseconds since 1970.
    pub fn latest_ack_timestamp(&self) -> Option<i64> {
        self.tasks.iter().filter_map(TaskStatistics::latest_ack_timestamp).max()
    }

    /// Whether barriers overtook records at any subtask.
    pub fn unaligned(&self) -> bool {
        self.tasks.iter().flat_map(TaskStatistics::acknowledged).any(|record| record.statistics.unaligned)
    }

    /// Milliseconds from the trigger to the last acknowledgement so far, or to the failure; `None` before the first.
    pub fn end_to_end_duration(&self) -> Option<u64> {
        let end = match self.status {
            CheckpointStatus::Failed => self.end_timestamp,
            CheckpointStatus::InProgress | CheckpointStatus::Completed => self.latest_ack_timestamp(),
        };
        end.map(|end| since(self.trigger_timestamp, end))
    }

    /// What Flink's REST interface calls its type: `CHECKPOINT`, `UNALIGNED_CHECKPOINT`, `SAVEPOINT` or `SYNC_SAVEPOINT`.
    pub fn type_name(&self) -> &'static str {
        if self.kind.is_synchronous() {
            "SYNC_SAVEPOINT"
        } else if self.kind.is_savepoint() {
            "SAVEPOINT"
        } else if self.unaligned() {
            "UNALIGNED_CHECKPOINT"
        } else {
            "CHECKPOINT"
        }
    }
}

fn since(trigger: i64, timestamp: i64) -> u64 {
    u64::try_from(timestamp.saturating_sub(trigger)).unwrap_or(0)
}
