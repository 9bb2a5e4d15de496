//! The integration tests of this crate, in one binary.

// All of this is test code, helpers included: a failed unwrap is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod memory_golden;
