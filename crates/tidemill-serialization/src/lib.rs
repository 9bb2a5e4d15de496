//! How records, keys and state become bytes, and how columns become records.

pub mod data;
pub mod input;

pub use data::{Data, Key};
pub use input::{DecodeError, Input};
