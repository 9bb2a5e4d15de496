//! The connectors, driven as their tasks drive them.

// The whole program is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

mod columnar_files;
mod compressed_files;
mod csv_files;
mod file_sink;
mod file_sink_checkpoints;
mod file_sink_jobs;
mod generated_rows;
mod generators;
mod harness;
mod inferred_schemas;
mod json_files;
mod listing;
mod nested_files;
mod nested_rows;
mod nexmark_columns;
mod partitioned_files;
mod row_sinks;
mod terminal;
