//! Plans, and whole jobs on the embedded cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is tests")]

mod chaining;
mod checkpoint_endings;
mod checkpoint_settings;
mod checkpoints;
mod ending;
mod event_time;
mod explain;
mod failures;
mod functions;
mod pressure;
mod regions;
mod rescaling;
mod resuming;
mod shapes;
mod waiting;
