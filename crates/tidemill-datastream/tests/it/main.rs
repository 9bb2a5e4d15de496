//! Tests of the DataStream API.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is tests")]

mod async_io;
mod broadcast;
mod connected;
mod evolution;
mod generic_types;
mod interval_join;
mod jobs;
mod operators;
mod support;
mod survival;
mod window_functions;
mod window_join;
mod window_model;
mod window_sessions;
mod window_triggers;
mod windows;
