//! The state crate through its public face.

#![allow(clippy::unwrap_used, clippy::panic)] // The helpers of tests are tests, which the configuration does not see.

mod basics;
mod evolution;
mod footprint;
mod model;
mod operator;
mod pending;
mod snapshots;
mod store;
mod tables;
mod timers;
mod ttl;
