//! Tests of the DataStream API.

mod operators;
mod window_functions;
mod window_model;
mod window_sessions;
mod window_triggers;
mod windows;
