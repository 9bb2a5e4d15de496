//! The integration tests of this crate: queries whose results are those of Apache Flink.

// All of this is test code, helpers included: a failed unwrap is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aggregates;
mod changing;
mod limits;
mod lookups;
mod mini_batches;
mod own_functions;
mod plans;
mod running;
mod slt;
mod upserts;
