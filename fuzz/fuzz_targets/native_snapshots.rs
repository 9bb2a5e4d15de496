//! See `tidemill_fuzz::checkpoints::native_snapshots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::checkpoints::native_snapshots(bytes));
