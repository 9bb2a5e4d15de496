//! See `tidemill_fuzz::migrations::migrations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::migrations::migrations(bytes));
