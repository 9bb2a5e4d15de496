//! Checkpoints: who decides when, what is stored of them, and where.
//!
//! [`CheckpointCoordinator`] decides when checkpoints and savepoints are taken and when they are complete or given up;
//! [`statistics`] describes them; [`RestartStrategy`] decides whether a job that failed begins again. [`CheckpointMetadata`] says
//! what a checkpoint holds, [`storage`] keeps it and the state that it names in a folder or in an object store, and
//! [`SharedFileRegistry`] knows which files no checkpoint needs any more.

mod checksum;
pub mod coordinator;
mod error;
pub mod metadata;
pub mod restart;
pub mod shared_files;
pub mod statistics;
pub mod storage;

pub use coordinator::{CheckpointCoordinator, CheckpointSettings, CoordinatorError};
pub use error::{CheckpointError, StorageFailure};
pub use metadata::{CheckpointMetadata, FileLocation, StateHandle};
pub use restart::RestartStrategy;
pub use shared_files::{SharedFileRegistry, StateFile};
pub use storage::{CheckpointFolder, CheckpointStorage, CheckpointWriter, JobStorage, StorageSettings};
