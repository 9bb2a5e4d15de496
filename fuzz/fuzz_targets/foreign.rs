//! See `tidemill_fuzz::foreign::foreign`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::foreign::foreign(bytes));
