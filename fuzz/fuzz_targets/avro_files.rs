//! See `tidemill_fuzz::avro::avro_files`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::avro::avro_files(bytes));
