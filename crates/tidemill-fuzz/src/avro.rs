//! Avro: schemas, values, object container files and messages of a registry.

use tidemill_serialization::avro::fuzzing;

use crate::meter;

/// What a value, or a part of a schema, may take for each byte.
const FACTOR: usize = 1024;
/// The schemas that the values are read with, which are read anew for each input.
const SCHEMAS: usize = 64 << 10;
/// A block of a file may be unpacked to a megabyte.
const BLOCK: usize = 8 << 20;

/// Reads the bytes as a schema.
pub fn avro_schemas(bytes: &[u8]) {
    meter::within(FACTOR, bytes.len() + SCHEMAS, || fuzzing::schema(bytes));
}

/// Reads the bytes as values, with a schema and with one that it became.
pub fn avro_values(bytes: &[u8]) {
    meter::within(FACTOR, bytes.len() + SCHEMAS, || {
        fuzzing::data(bytes);
    });
}

/// Reads the bytes as a file, without the mark that it begins with.
pub fn avro_files(bytes: &[u8]) {
    meter::within(FACTOR, bytes.len() + BLOCK, || fuzzing::container(bytes));
}

/// Reads the bytes as a message that begins with the number of its schema.
pub fn avro_messages(bytes: &[u8]) {
    meter::within(FACTOR, bytes.len() + SCHEMAS, || {
        fuzzing::message(bytes);
    });
}
