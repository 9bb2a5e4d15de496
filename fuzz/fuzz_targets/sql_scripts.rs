//! See `tidemill_fuzz::sql::sql_scripts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::sql::sql_scripts(bytes));
