//! What travels through a channel besides records.

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_serialization::BatchSerializer;

use crate::error::NetworkError;

/// A control element. It needs no credit and waits for no full buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Event time has advanced.
    Watermark(Watermark),
    /// The producer has gone idle (true) or is active again (false).
    Idle(bool),
    /// Nothing follows on this channel.
    EndOfInput,
}

/// A batch on its way: by pointer within a process, encoded between processes.
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
