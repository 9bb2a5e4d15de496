//! The connectors, driven as their tasks drive them.

// The whole program is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod compressed_files;
mod csv_files;
mod file_sink;
mod file_sink_checkpoints;
mod file_sink_jobs;
mod generators;
mod harness;
mod json_files;
mod listing;
mod terminal;
