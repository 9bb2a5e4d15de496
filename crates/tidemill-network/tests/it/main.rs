//! The way of a batch from one task to the next: routers, partitions, credit and gates.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is tests")]

mod barriers;
mod credit;
mod damage;
mod flushing;
mod pools;
mod routers;
mod snapshots;
mod stress;
mod support;
