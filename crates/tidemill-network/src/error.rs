//! What can go wrong between tasks.

use tidemill_core::batch::WrongBatchType;
use tidemill_core::{Classified, Fault};
use tidemill_serialization::SerializationError;

/// A failure of a buffer pool, a partition or a gate.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::{Classified, Fault};
/// use tidemill_network::{NetworkBufferPool, TaskWaker};
///
/// let pool = NetworkBufferPool::new(64 * 1024, 32 * 1024);
/// let error = pool.create_pool(0, 3, 3, 0, Arc::new(TaskWaker::new())).unwrap_err();
/// assert!(error.to_string().starts_with("Insufficient number of network buffers: required 3, but only 2"));
/// assert_eq!(error.fault(), Fault::User);
/// ```
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The network memory has fewer buffers than the job's channels need to start.
    #[error(
        "Insufficient number of network buffers: required {required}, but only {available} available of {total} \
         (each of {segment_size} bytes); {by} needs {} bytes of network memory. Raise the network memory by \
         'taskmanager.memory.network.fraction', 'taskmanager.memory.network.min' and 'taskmanager.memory.network.max', or lower 'taskmanager.memory.segment-size' or the parallelism",
        *required as u128 * *segment_size as u128
    )]
    InsufficientBuffers {
        /// Buffers that must be there for the new channels.
        required: usize,
        /// Whose channels those are.
        by: &'static str,
        /// Buffers that are not yet spoken for.
        available: usize,
        /// Buffers there are in all.
        total: usize,
        /// Bytes of one buffer.
        segment_size: usize,
    },
    /// A batch of a type that the edge was not built for.
    #[error(transparent)]
    WrongBatchType(#[from] WrongBatchType),
    /// A custom partitioner named a channel that does not exist.
    #[error("the partitioner chose channel {channel}, but there are only {channels} (0 to {})", channels - 1)]
    NoSuchChannel {
        /// The channel chosen.
        channel: usize,
        /// How many there are.
        channels: usize,
    },
    /// An encoded buffer could not be read, or a batch not written.
    #[error("a buffer of the edge could not be encoded or decoded: {0}")]
    Serialization(String),
    /// The consumer has gone: the job is failing or being cancelled.
    #[error("the consuming task is gone")]
    ConsumerGone,
    /// An edge was asked for a partitioning that it has no function for.
    #[error(
        "the edge cannot be partitioned by {strategy}: HASH needs an edge with a key, CUSTOM one with a partitioner"
    )]
    NoPartitioner {
        /// The partitioning that was asked for.
        strategy: &'static str,
    },
    /// The bytes of a snapshot of channels cannot be read.
    #[error("the snapshot of {of} cannot be read: {detail}. Restore from another checkpoint")]
    DamagedSnapshot {
        /// What it was taken of.
        of: &'static str,
        /// What is wrong with the bytes.
        detail: String,
    },
    /// A snapshot of channels was taken of something of another shape.
    #[error(
        "the snapshot does not fit: it has {found} {what} where {expected} are wanted. It can only be restored with the \
         partitioning and the parallelism that it was taken with"
    )]
    SnapshotMismatch {
        /// What is counted.
        what: &'static str,
        /// How many the snapshot has.
        found: usize,
        /// How many it must have.
        expected: usize,
    },
    /// What was on its way was written with records that the program's cannot be made of.
    #[error("what was on its way between tasks cannot be restored: {0}")]
    Migration(#[source] SerializationError),
    /// A snapshot was restored into something that has been used.
    #[error("{what} is in use already: a snapshot can only be restored before anything is sent")]
    RestoredTooLate {
        /// What should have been restored.
        what: &'static str,
    },
}

impl Classified for NetworkError {
    fn code(&self) -> &'static str {
        match self {
            NetworkError::InsufficientBuffers { .. } => "TM-NETWORK-INSUFFICIENT-BUFFERS",
            NetworkError::WrongBatchType(_) => "TM-NETWORK-WRONG-BATCH-TYPE",
            NetworkError::NoSuchChannel { .. } => "TM-NETWORK-NO-SUCH-CHANNEL",
            NetworkError::Serialization(_) => "TM-NETWORK-SERIALIZATION",
            NetworkError::ConsumerGone => "TM-NETWORK-CONSUMER-GONE",
            NetworkError::NoPartitioner { .. } => "TM-NETWORK-NO-PARTITIONER",
            NetworkError::DamagedSnapshot { .. } => "TM-NETWORK-DAMAGED-SNAPSHOT",
            NetworkError::SnapshotMismatch { .. } => "TM-NETWORK-SNAPSHOT-MISMATCH",
            NetworkError::Migration(source) => source.code(),
            NetworkError::RestoredTooLate { .. } => "TM-NETWORK-RESTORED-TOO-LATE",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            NetworkError::InsufficientBuffers { .. }
            | NetworkError::NoSuchChannel { .. }
            | NetworkError::NoPartitioner { .. }
            | NetworkError::SnapshotMismatch { .. } => Fault::User,
            NetworkError::Migration(source) => source.fault(),
            // On a disk, or on the way.
            NetworkError::DamagedSnapshot { .. } => Fault::External,
            NetworkError::WrongBatchType(_)
            | NetworkError::Serialization(_)
            | NetworkError::ConsumerGone
            | NetworkError::RestoredTooLate { .. } => Fault::Internal,
        }
    }
}
