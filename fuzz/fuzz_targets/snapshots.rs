//! See `tidemill_fuzz::snapshots::snapshots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::snapshots::snapshots(bytes));
