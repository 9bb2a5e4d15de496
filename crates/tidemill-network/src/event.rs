//! What travels through a channel besides records.

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;

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
