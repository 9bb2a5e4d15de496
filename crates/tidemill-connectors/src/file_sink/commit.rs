//! When partitions are complete, and how others are told.
//!
//! The subtasks of a sink share what is known of its partitions. A partition is committed with a checkpoint: when all subtasks have
//! made visible what that checkpoint holds, whichever of them is the last one commits what is due by then. What has not been
//! committed is in the state of every subtask, so that a restored job commits it; a partition may be committed more than once, as in
//! Flink.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::CheckpointId;
use tidemill_core::time::{Timestamp, Watermark};

use super::partition_time::PartitionTime;
use super::parts::{Target, sync_folder};
use crate::error::ConnectorError;
use crate::partition::Partitions;

/// When a partition counts as complete (`sink.partition-commit.trigger`).
///
/// ```
/// use tidemill_connectors::CommitTrigger;
///
/// assert_eq!(CommitTrigger::default(), CommitTrigger::ProcessTime);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CommitTrigger {
    /// After the delay from its first row on, by the clock; with every checkpoint that has rows of it when there is no delay.
    #[default]
    ProcessTime,
    /// When the watermark has passed the time that its values say, and the delay.
    PartitionTime(PartitionTime),
}

/// How complete partitions are announced.
///
/// ```
/// use std::time::Duration;
/// use tidemill_connectors::{CommitTrigger, PartitionCommit};
///
/// let commit = PartitionCommit { delay: Duration::from_secs(3600), ..PartitionCommit::default() };
/// assert_eq!((commit.trigger, commit.success_file.as_str()), (CommitTrigger::ProcessTime, "_SUCCESS"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionCommit {
    /// When a partition is complete.
    pub trigger: CommitTrigger,
    /// How long it is waited after that (`sink.partition-commit.delay`).
    pub delay: Duration,
    /// The name of an empty file that is put into the folder of a partition (`sink.partition-commit.success-file.name`).
    pub success_file: String,
}

impl Default for PartitionCommit {
    fn default() -> Self {
        let trigger = CommitTrigger::ProcessTime;
        Self { trigger, delay: Duration::ZERO, success_file: "_SUCCESS".to_owned() }
    }
}

/// What the subtasks of one sink know of its partitions.
#[derive(Debug)]
pub(crate) struct Commits {
    commit: PartitionCommit,
    partitions: Partitions,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    parallelism: u32,
    /// The partitions that are to be committed.
    open: BTreeMap<Arc<str>, Open>,
    /// Counts the parts that were begun.
    parts: u64,
    watermarks: BTreeMap<u32, i64>,
    /// The watermarks of the subtasks when a checkpoint was taken.
    at_checkpoints: BTreeMap<CheckpointId, BTreeMap<u32, i64>>,
    /// The partitions that there were then, and of which subtask which part of them was the last one.
    begun: BTreeMap<CheckpointId, BTreeMap<Arc<str>, Vec<(u32, u64)>>>,
    /// Subtasks that have made visible what a checkpoint holds.
    visible: BTreeMap<CheckpointId, BTreeSet<u32>>,
    /// Subtasks whose input has ended, and those that have nothing left to make visible.
    ended: BTreeSet<u32>,
    finished: BTreeSet<u32>,
}

/// A partition that is to be committed.
#[derive(Debug)]
struct Open {
    /// When its first row came.
    began: Timestamp,
    /// The last part of it that each subtask has begun.
    last: BTreeMap<u32, u64>,
}

impl Commits {
    pub(crate) fn new(commit: PartitionCommit, partitions: Partitions) -> Self {
        Self { commit, partitions, known: Mutex::default() }
    }

    /// A subtask begins, with the partitions that its state knows.
    pub(super) fn open(&self, subtask: u32, parallelism: u32, restored: Vec<(Arc<str>, Timestamp)>) {
        let mut known = self.known.lock();
        if subtask == 0 && known.parallelism != parallelism {
            *known = Known::default();
        }
        known.parallelism = parallelism;
        known.watermarks.insert(subtask, i64::MIN);
        known.ended.remove(&subtask);
        known.finished.remove(&subtask);
        for (partition, began) in restored {
            let open = known.open.entry(partition).or_insert_with(|| Open { began, last: BTreeMap::new() });
            open.began = open.began.min(began);
            open.last.insert(subtask, 0);
        }
    }

    /// A part of a partition was begun.
    pub(super) fn began(&self, subtask: u32, partition: &Arc<str>, now: Timestamp) {
        let mut known = self.known.lock();
        known.parts += 1;
        let part = known.parts;
        let fresh = || Open { began: now, last: BTreeMap::new() };
        known.open.entry(Arc::clone(partition)).or_insert_with(fresh).last.insert(subtask, part);
    }

    /// What has not been committed.
    pub(super) fn open_partitions(&self) -> Vec<(Arc<str>, Timestamp)> {
        let known = self.known.lock();
        known.open.iter().map(|(partition, open)| (Arc::clone(partition), open.began)).collect()
    }

    pub(super) fn watermark(&self, subtask: u32, watermark: Watermark) {
        self.known.lock().watermarks.insert(subtask, watermark.0);
    }

    pub(super) fn ended(&self, subtask: u32) {
        let mut known = self.known.lock();
        known.ended.insert(subtask);
        known.watermarks.insert(subtask, i64::MAX);
    }

    /// A subtask has ended with everything visible.
    pub(super) fn finished(&self, subtask: u32) {
        self.known.lock().finished.insert(subtask);
    }

    pub(super) fn snapshot(&self, subtask: u32, checkpoint: CheckpointId) {
        let mut known = self.known.lock();
        let watermark = known.watermarks.get(&subtask).copied().unwrap_or(i64::MIN);
        known.at_checkpoints.entry(checkpoint).or_default().insert(subtask, watermark);
        let Known { open, begun, .. } = &mut *known;
        let begun = begun.entry(checkpoint).or_default();
        for (partition, open) in open {
            if let Some(part) = open.last.get(&subtask) {
                begun.entry(Arc::clone(partition)).or_default().push((subtask, *part));
            }
        }
    }

    /// A subtask has made visible what a checkpoint holds; the last one commits what is due.
    pub(super) fn checkpoint_complete(
        &self,
        target: &Target,
        subtask: u32,
        checkpoint: CheckpointId,
        now: Timestamp,
    ) -> Result<(), ConnectorError> {
        let mut known = self.known.lock();
        known.visible.entry(checkpoint).or_default().insert(subtask);
        let visible = known.visible.get(&checkpoint).cloned().unwrap_or_default();
        let all = (0..known.parallelism)
            .all(|subtask| visible.contains(&subtask) || known.finished.contains(&subtask));
        if !all {
            return Ok(());
        }
        let watermarks = known.at_checkpoints.get(&checkpoint).cloned().unwrap_or_default();
        // Of subtasks that had finished before there is none.
        let watermark = watermarks.values().copied().min().unwrap_or(i64::MAX);
        let begun = known.begun.get(&checkpoint).cloned().unwrap_or_default();
        let later = checkpoint + 1;
        known.visible = known.visible.split_off(&later);
        known.at_checkpoints = known.at_checkpoints.split_off(&later);
        known.begun = known.begun.split_off(&later);
        let mut due = Vec::new();
        for (partition, parts) in begun {
            let Some(open) = known.open.get_mut(&partition) else { continue };
            if !self.is_due(&partition, open.began, watermark, now)? {
                continue;
            }
            // What has come since the checkpoint is committed with a later one.
            open.last.retain(|subtask, part| !parts.contains(&(*subtask, *part)));
            if open.last.is_empty() {
                known.open.remove(&partition);
            }
            due.push(partition);
        }
        self.announce(target, due)
    }

    fn is_due(
        &self,
        partition: &str,
        began: Timestamp,
        watermark: i64,
        now: Timestamp,
    ) -> Result<bool, ConnectorError> {
        // The end of the input completes all partitions.
        if watermark == i64::MAX {
            return Ok(true);
        }
        let delay = i64::try_from(self.commit.delay.as_millis()).unwrap_or(i64::MAX);
        match &self.commit.trigger {
            CommitTrigger::ProcessTime => Ok(delay == 0 || now > began.saturating_add(delay)),
            CommitTrigger::PartitionTime(time) => {
                let values = self.partitions.values_of(partition).unwrap_or_default();
                let time = time.of(self.partitions.keys(), &values)?;
                Ok(watermark > time.saturating_add(delay))
            }
        }
    }

    /// Without checkpoints: the last subtask that ends commits everything.
    pub(super) fn commit_all(&self, target: &Target) -> Result<(), ConnectorError> {
        let mut known = self.known.lock();
        if known.ended.len() < known.parallelism as usize {
            return Ok(());
        }
        let all = std::mem::take(&mut known.open).into_keys().collect();
        self.announce(target, all)
    }

    fn announce(&self, target: &Target, partitions: Vec<Arc<str>>) -> Result<(), ConnectorError> {
        for partition in partitions {
            let folder = target.partition(&partition);
            let path = folder.join(&self.commit.success_file);
            let created = File::create(&path).and_then(|file| file.sync_all());
            created.map_err(|error| ConnectorError::io("write", &path, error))?;
            sync_folder(&folder)?;
        }
        Ok(())
    }
}
