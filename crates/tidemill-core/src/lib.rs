//! The vocabulary of Tidemill: what flows along an edge ([`batch`]), event time ([`time`]), how keys
//! find their subtask ([`hash`], [`key_group`]), how things are named ([`id`]), what a job looks like
//! as data ([`graph`]), how it is configured ([`config`]), how memory is divided ([`memory`]) and counted ([`budget`]),
//! how failures are described ([`error`]).
//!
//! Nothing here does I/O and nothing here depends on another crate of the workspace.

pub mod batch;
pub mod budget;
pub mod checkpoint;
pub mod config;
pub mod element;
pub mod error;
pub mod graph;
pub mod hash;
pub mod id;
pub mod key_group;
pub mod memory;
mod scratch;
pub mod time;

pub use batch::{ArrowBatch, Batch, BatchData, TypedBatch};
pub use checkpoint::{
    AfterSavepoint, BarrierAlignment, CheckpointBarrier, CheckpointId, SavepointFormat, SnapshotKind,
};
pub use element::Element;
pub use error::{Classified, Fault};
pub use id::{JobId, JobVertexId, OperatorId};
pub use key_group::{KeyGroup, KeyGroupRange};
pub use scratch::ScratchFolder;
pub use time::{Timestamp, Watermark};
