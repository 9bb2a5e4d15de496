//! See `tidemill_fuzz::checkpoints::hot_rows`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::checkpoints::hot_rows(bytes));
