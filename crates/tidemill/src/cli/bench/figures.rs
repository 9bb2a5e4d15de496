//! What one run of a job has cost, as the process that ran it says it to the one that asked.

use serde::{Deserialize, Serialize};

/// The figures of a run; those that change while it runs are of the measured part of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    /// How far the source got: in numbers for a generator, in bytes for files.
    pub(super) source_progress: u64,
    /// Records that left the source.
    pub(super) source_records: u64,
    /// How long it took, the last checkpoint included.
    pub(super) seconds: f64,
    /// The time of all threads on all cores, where the system tells.
    pub(super) cpu_seconds: Option<f64>,
    /// The most memory that the process had at once, where the system tells.
    pub(super) peak_memory_bytes: Option<u64>,
    /// The memory that state in RocksDB may take, caches and buffers.
    pub(super) managed_memory_bytes: u64,
    /// Complete checkpoints.
    pub(super) checkpoints: u64,
    /// Why checkpoints failed, each that did.
    pub(super) checkpoint_failures: Vec<String>,
    /// The median of what the checkpoints took, from end to end.
    pub(super) checkpoint_millis: Option<f64>,
    /// The median of what the checkpoints have stored anew.
    pub(super) checkpointed_bytes: Option<u64>,
    /// The state in the largest checkpoint.
    pub(super) state_bytes: Option<u64>,
    /// The state in the first checkpoint of a part of a run, and in the last.
    pub(super) state_bytes_range: Option<(u64, u64)>,
    /// The columns that each source made.
    pub(super) sources: Vec<Vec<SourceColumn>>,
}

/// A column that a source made, or a field of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct SourceColumn {
    /// Its name, such as `bid.price`.
    pub(super) path: String,
    /// Its type in SQL.
    pub(super) sql_type: String,
}

/// The middle of some values: the higher one of two.
pub(super) fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![5, 1, 3]), Some(3));
        assert_eq!(median(vec![4, 1]), Some(4));
    }
}
