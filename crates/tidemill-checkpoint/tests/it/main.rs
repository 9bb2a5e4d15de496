//! The tests of the crate, in one program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod coordinator;
mod faults;
mod metadata;
mod restart;
mod settings;
mod shared_files;
mod statistics;
mod storage_faults;
mod storage_local;
mod storage_s3;
mod storage_s3_limits;
mod support;
