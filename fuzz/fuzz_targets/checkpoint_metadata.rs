//! See `tidemill_fuzz::checkpoints::checkpoint_metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::checkpoints::checkpoint_metadata(bytes));
