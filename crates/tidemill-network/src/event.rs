//! What travels through a channel besides records.

use tidemill_core::CheckpointBarrier;
use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_serialization::BatchSerializer;

use crate::error::NetworkError;

/// A control element. It needs no credit and waits for no full buffer.
///
/// ```
/// use tidemill_core::Watermark;
/// use tidemill_network::Event;
///
/// assert_ne!(Event::Watermark(Watermark::MAX), Event::EndOfInput);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Event time has advanced.
    Watermark(Watermark),
    /// The producer has gone idle (true) or is active again (false).
    Idle(bool),
    /// No records follow on this channel, nor what rides with them; barriers may.
    EndOfInput,
    /// What came before belongs to a checkpoint, what follows does not.
    Barrier(CheckpointBarrier),
    /// Nothing follows on this channel: its producer has ended.
    EndOfPartition,
}

/// A batch on its way: by pointer within a process, encoded between processes.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_network::Buffer;
///
/// let buffer = Buffer::Batch(Batch::new(TypedBatch::from_values(vec![1u64])));
/// assert!(matches!(buffer, Buffer::Batch(batch) if batch.len() == 1));
/// ```
#[derive(Clone, Debug)]
pub enum Buffer {
    /// The batch itself.
    Batch(Batch),
    /// The bytes that the edge's serializer made of it.
    Encoded(Vec<u8>),
}

impl Buffer {
    /// The bytes that the edge's serializer makes, or has made, of the batch.
    pub(crate) fn into_bytes(self, serializer: &dyn BatchSerializer) -> Result<Vec<u8>, NetworkError> {
        match self {
            Buffer::Encoded(bytes) => Ok(bytes),
            Buffer::Batch(batch) => {
                let mut bytes = Vec::new();
                serializer
                    .encode(&batch, &mut bytes)
                    .map_err(|error| NetworkError::Serialization(error.to_string()))?;
                Ok(bytes)
            }
        }
    }
}
