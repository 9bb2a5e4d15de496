//! Tests of the DataStream API.

mod windows;
