//! How batches get from one task to the next: against buffers and credit, never without.
//!
//! In one process a buffer is a *permit*, not memory: a batch moves by pointer, but only while its producer
//! holds a permit of its [`pool`] and its consumer has granted a credit. The path of a batch is
//! [`partition::ResultPartition`] (its [`router`] deals records to channels and packs them to at most a segment)
//! → [`gate`] (one queue a channel; what has no credit yet waits in the channel's backlog) → the consuming task.
//!
//! A lock is taken once per buffer that is handed over, never per record.
//!
//! All that is on its way can be stored at any moment between two calls, and put back: see [`snapshot`].

pub mod error;
pub mod event;
pub mod gate;
pub mod partition;
pub mod pool;
pub mod router;
pub mod selector;
pub mod snapshot;
pub mod timeout;
pub mod waker;

pub use error::NetworkError;
pub use event::{Buffer, Event};
pub use gate::{ChannelSender, GateItem, InputGate};
pub use partition::{ResultPartition, Written};
pub use pool::{DealLater, GateBuffers, LocalBufferPool, NetworkBufferPool, PartitionBuffers, Permit};
pub use router::{RouteTarget, Routed, Router};
pub use snapshot::{
    GateSnapshot, InFlight, InputChannelSnapshot, PartitionSnapshot, RouterSnapshot, SubpartitionSnapshot,
};
pub use timeout::BufferTimeout;
pub use waker::{TaskWaker, Wake};
