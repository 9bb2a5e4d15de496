//! What can go wrong between tasks.

use tidemill_core::batch::WrongBatchType;
use tidemill_core::{Classified, Fault};

/// A failure of a buffer pool, a partition or a gate.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The network memory has fewer buffers than the job's channels need to start.
    #[error(
        "Insufficient number of network buffers: required {required}, but only {available} available of {total} \
         (each of {segment_size} bytes). Raise the network memory by 'taskmanager.memory.network.fraction', \
         'taskmanager.memory.network.min' and 'taskmanager.memory.network.max', or lower 'taskmanager.memory.segment-size' or the parallelism"
    )]
    InsufficientBuffers {
        /// Buffers that must be there for the new channels.
        required: usize,
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
}

impl Classified for NetworkError {
    fn code(&self) -> &'static str {
        match self {
            NetworkError::InsufficientBuffers { .. } => "TM-NETWORK-INSUFFICIENT-BUFFERS",
            NetworkError::WrongBatchType(_) => "TM-NETWORK-WRONG-BATCH-TYPE",
            NetworkError::NoSuchChannel { .. } => "TM-NETWORK-NO-SUCH-CHANNEL",
            NetworkError::Serialization(_) => "TM-NETWORK-SERIALIZATION",
            NetworkError::ConsumerGone => "TM-NETWORK-CONSUMER-GONE",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            NetworkError::InsufficientBuffers { .. } | NetworkError::NoSuchChannel { .. } => Fault::User,
            NetworkError::WrongBatchType(_) | NetworkError::Serialization(_) | NetworkError::ConsumerGone => {
                Fault::Internal
            }
        }
    }
}
