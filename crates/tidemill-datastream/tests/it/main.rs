//! Tests of the DataStream API.

mod async_io;
mod broadcast;
mod connected;
mod interval_join;
mod operators;
mod support;
mod window_functions;
mod window_join;
mod window_model;
mod window_sessions;
mod window_triggers;
mod windows;
