//! The state crate through its public face.

#![allow(clippy::unwrap_used, clippy::panic)] // The helpers of tests are tests, which the configuration does not see.

mod basics;
mod evolution;
mod footprint;
mod golden;
mod model;
mod operator;
mod pending;
mod snapshots;
mod spilled_timers;
mod store;
mod tables;
mod timer_model;
mod timers;
mod ttl;
