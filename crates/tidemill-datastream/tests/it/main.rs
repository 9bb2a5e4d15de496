//! Tests of the DataStream API.

mod async_io;
mod broadcast;
mod connected;
mod interval_join;
mod jobs;
mod support;
mod window_join;
mod windows;
