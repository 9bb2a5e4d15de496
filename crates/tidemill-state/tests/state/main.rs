//! The state crate through its public face.

mod basics;
mod model;
mod operator;
mod snapshots;
mod store;
mod tables;
mod timers;
mod ttl;
