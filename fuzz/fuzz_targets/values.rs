//! See `tidemill_fuzz::values::values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::values::values(bytes));
