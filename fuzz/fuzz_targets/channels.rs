//! See `tidemill_fuzz::channels::channels`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::channels::channels(bytes));
