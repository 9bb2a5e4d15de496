//! See `tidemill_fuzz::configuration::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::configuration::configuration(bytes));
