//! See `tidemill_fuzz::values::batches`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::values::batches(bytes));
