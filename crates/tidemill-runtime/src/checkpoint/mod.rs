//! Checkpoints of a running job: what tasks report, who decides, what is stored, how a job goes on from there.
//!
//! A thread beside the tasks, the worker, drives the coordinator of `tidemill-checkpoint`, whose decisions do no I/O:
//! it tells tasks what to do, has what they report stored by the runtime for I/O, and reports back. Tasks only hand their
//! snapshots over. The service is what the rest of the cluster sees of it.

mod in_flight;
mod local_backup;
mod parts;
mod pending;
mod reported;
pub(crate) mod restore;
mod running;
mod service;
mod task_snapshot;
mod worker;

pub use local_backup::LocalBackupSettings;
pub use restore::{ClaimMode, RestoreSettings};
pub use service::CheckpointEnvironment;

pub(crate) use reported::{AfterFailure, Target};
pub(crate) use restore::RestoredJob;
pub(crate) use service::{CheckpointService, Restored};
pub(crate) use task_snapshot::{CheckpointListener, TaskFigures, TaskSnapshot};
