//! Figures of checkpoints: per subtask, per checkpoint, and over all of them, in the shape in which Flink's REST interface shows
//! them.
//!
//! ```
//! use tidemill_checkpoint::coordinator::{CoordinatedTask, SnapshotKind, TaskId};
//! use tidemill_checkpoint::statistics::{CheckpointStatus, Statistics, SubtaskStatistics};
//! use tidemill_core::JobVertexId;
//!
//! let task = CoordinatedTask { vertex: JobVertexId::from_name("source"), subtask: 0, inputs: vec![] };
//! let mut statistics = Statistics::new(10, &[task]);
//! statistics.triggered(1, SnapshotKind::Checkpoint { full: false }, 1_000, &[]);
//! statistics.acknowledged(1, TaskId(0), 1_250, SubtaskStatistics { state_size: 4_096, ..Default::default() });
//! statistics.completed(1, 1_300, "/checkpoints/chk-1", 512);
//!
//! let checkpoint = statistics.latest_completed().unwrap();
//! assert_eq!((checkpoint.status, checkpoint.state_size()), (CheckpointStatus::Completed, 4_096));
//! assert_eq!(checkpoint.end_to_end_duration(), Some(250));
//! assert_eq!(statistics.counts().completed, 1);
//! ```

mod checkpoint;
mod summary;

use std::collections::{BTreeMap, HashMap};

use tidemill_core::JobVertexId;

pub use checkpoint::{
    CheckpointStatistics, CheckpointStatus, SubtaskRecord, SubtaskStatistics, TaskStatistics, TaskSummary,
};
pub use summary::{Summary, SummarySnapshot};

use crate::coordinator::{CoordinatedTask, RestoredCheckpoint, SnapshotKind, TaskId};

/// How many checkpoints there were.
///
/// ```
/// use tidemill_checkpoint::statistics::Counts;
///
/// let counts = Counts { in_progress: 1, completed: 4, failed: 2, restored: 0 };
/// assert_eq!(counts.total(), 7);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How often state was brought back from one.
    pub restored: u64,
    /// How many are under way.
    pub in_progress: u64,
    /// How many are complete, whether they are still kept or not.
    pub completed: u64,
    /// How many ended otherwise.
    pub failed: u64,
}

impl Counts {
    /// How many were triggered.
    pub fn total(&self) -> u64 {
        self.in_progress + self.completed + self.failed
    }
}

/// The last time state was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredStatistics {
    /// The checkpoint or savepoint.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub restore_timestamp: i64,
    /// Whether it is a savepoint.
    pub savepoint: bool,
    /// Where it is.
    pub external_path: String,
}

/// Summaries over all complete checkpoints and savepoints.
#[derive(Clone, Debug, Default)]
pub struct CompletedSummary {
    /// Bytes newly stored.
    pub checkpointed_size: Summary,
    /// Bytes that the whole state has.
    pub state_size: Summary,
    /// Milliseconds from the trigger to the last acknowledgement.
    pub end_to_end_duration: Summary,
    /// Bytes that were processed while barriers were aligned.
    pub processed_data: Summary,
    /// Bytes in flight that were stored.
    pub persisted_data: Summary,
}

/// The figures of a job's checkpoints. See the [module](self) for an example.
#[derive(Clone, Debug)]
pub struct Statistics {
    history: usize,
    /// Where each task's figures go: the place of its vertex, and its subtask.
    places: Vec<(usize, usize)>,
    /// The vertices, and how many subtasks each has.
    vertices: Vec<(JobVertexId, usize)>,
    counts: Counts,
    records: BTreeMap<u64, CheckpointStatistics>,
    latest_completed: Option<u64>,
    latest_savepoint: Option<u64>,
    latest_failed: Option<u64>,
    latest_restored: Option<RestoredStatistics>,
    summary: CompletedSummary,
}

impl Statistics {
    /// Of no checkpoints yet; so many of the last ones will be described.
    pub fn new(history: u32, tasks: &[CoordinatedTask]) -> Self {
        let mut vertices: Vec<(JobVertexId, usize)> = Vec::new();
        let mut by_id: HashMap<JobVertexId, usize> = HashMap::new();
        let places = tasks
            .iter()
            .map(|task| {
                let vertex = *by_id.entry(task.vertex).or_insert_with(|| {
                    vertices.push((task.vertex, 0));
                    vertices.len() - 1
                });
                // The coordinator checks that subtasks are numbered without gaps.
                let subtask = task.subtask as usize;
                if let Some((_, subtasks)) = vertices.get_mut(vertex) {
                    *subtasks = (*subtasks).max(subtask + 1);
                }
                (vertex, subtask)
            })
            .collect();
        Self {
            history: history as usize,
            places,
            vertices,
            counts: Counts::default(),
            records: BTreeMap::new(),
            latest_completed: None,
            latest_savepoint: None,
            latest_failed: None,
            latest_restored: None,
            summary: CompletedSummary::default(),
        }
    }

    /// A checkpoint was triggered. Tasks that have finished before have nothing to store, and count as acknowledged at once.
    pub fn triggered(&mut self, id: u64, kind: SnapshotKind, timestamp: i64, finished: &[TaskId]) {
        let mut record = CheckpointStatistics::new(id, kind, timestamp, &self.vertices);
        for task in finished {
            if let Some((vertex, subtask)) = self.places.get(task.0 as usize) {
                record.acknowledged(*vertex, *subtask, timestamp, SubtaskStatistics::default());
            }
        }
        self.records.insert(id, record);
        self.counts.in_progress += 1;
    }

    /// A task has acknowledged.
    pub fn acknowledged(&mut self, id: u64, task: TaskId, timestamp: i64, statistics: SubtaskStatistics) {
        let place = self.places.get(task.0 as usize);
        if let (Some(record), Some((vertex, subtask))) = (self.records.get_mut(&id), place) {
            record.acknowledged(*vertex, *subtask, timestamp, statistics);
        }
    }

    /// A checkpoint is complete.
    pub fn completed(&mut self, id: u64, timestamp: i64, external_path: &str, metadata_size: u64) {
        let Some(record) = self.in_progress(id) else { return };
        record.complete(timestamp, external_path, metadata_size);
        let (savepoint, sizes) = (record.kind.is_savepoint(), record.clone());
        self.counts.in_progress -= 1;
        self.counts.completed += 1;
        self.summary.checkpointed_size.add(sizes.checkpointed_size());
        self.summary.state_size.add(sizes.state_size());
        self.summary.end_to_end_duration.add(sizes.end_to_end_duration().unwrap_or(0));
        self.summary.processed_data.add(sizes.processed_data());
        self.summary.persisted_data.add(sizes.persisted_data());
        let latest = if savepoint { &mut self.latest_savepoint } else { &mut self.latest_completed };
        *latest = (*latest).max(Some(id));
        self.forget();
    }

    /// A checkpoint has ended without being complete.
    pub fn failed(&mut self, id: u64, timestamp: i64, message: &str) {
        let Some(record) = self.in_progress(id) else { return };
        record.fail(timestamp, message);
        self.counts.in_progress -= 1;
        self.counts.failed += 1;
        self.latest_failed = Some(id);
        self.forget();
    }

    /// A complete checkpoint is not kept any longer.
    pub fn discarded(&mut self, id: u64) {
        if let Some(record) = self.records.get_mut(&id) {
            record.discarded = true;
        }
    }

    /// State was brought back.
    pub fn restored(&mut self, checkpoint: &RestoredCheckpoint, timestamp: i64) {
        self.counts.restored += 1;
        self.latest_restored = Some(RestoredStatistics {
            id: checkpoint.id,
            restore_timestamp: timestamp,
            savepoint: checkpoint.savepoint,
            external_path: checkpoint.external_path.clone(),
        });
    }

    fn in_progress(&mut self, id: u64) -> Option<&mut CheckpointStatistics> {
        self.records.get_mut(&id).filter(|record| record.status == CheckpointStatus::InProgress)
    }

    /// Forgets what is neither among the last ones, nor the last of its kind, nor under way.
    fn forget(&mut self) {
        let first = self.records.keys().rev().take(self.history).next_back().copied();
        let latest = [self.latest_completed, self.latest_savepoint, self.latest_failed];
        self.records.retain(|id, record| {
            first.is_some_and(|first| *id >= first)
                || latest.contains(&Some(*id))
                || record.status == CheckpointStatus::InProgress
        });
    }

    /// How many there were.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The last checkpoints and savepoints, the newest first, those under way among them.
    pub fn history(&self) -> impl Iterator<Item = &CheckpointStatistics> {
        self.records.values().rev().take(self.history)
    }

    /// One of them by its id, if it is described still.
    pub fn get(&self, id: u64) -> Option<&CheckpointStatistics> {
        self.records.get(&id)
    }

    /// The last checkpoint that is complete.
    pub fn latest_completed(&self) -> Option<&CheckpointStatistics> {
        self.get(self.latest_completed?)
    }

    /// The last savepoint that is complete.
    pub fn latest_savepoint(&self) -> Option<&CheckpointStatistics> {
        self.get(self.latest_savepoint?)
    }

    /// The last checkpoint or savepoint that failed.
    pub fn latest_failed(&self) -> Option<&CheckpointStatistics> {
        self.get(self.latest_failed?)
    }

    /// What state was brought back from at last.
    pub fn latest_restored(&self) -> Option<&RestoredStatistics> {
        self.latest_restored.as_ref()
    }

    /// Summaries over all that are complete.
    pub fn summary(&self) -> &CompletedSummary {
        &self.summary
    }
}
