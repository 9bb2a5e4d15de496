//! See `tidemill_fuzz::state::state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::state::state(bytes));
