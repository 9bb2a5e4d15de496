//! See `tidemill_fuzz::avro::avro_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidemill_fuzz::avro::avro_messages(bytes));
