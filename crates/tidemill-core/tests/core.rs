//! The integration tests of this crate, in one binary.

#[path = "core/memory_golden.rs"]
mod memory_golden;
