//! Entry points for fuzzing: each takes any bytes, and may neither panic, nor run for long, nor take much memory.

use super::container::{ContainerReader, Limits};
use super::decoder::Decoder;
use super::fit::conform;
use super::resolution::Resolution;
use super::schema::AvroSchema;
use super::value::{self, decode_value, encode_value};
use super::wire;

/// With types of all kinds.
const WRITER: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "a", "type": ["null", "R", {"type": "array", "items": "R"}, {"type": "map", "values": ["null", "double"]}]},
    {"name": "b", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}},
    {"name": "c", "type": {"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"}},
    {"name": "d", "type": ["string", "bytes", {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, "null", "boolean", "int"]},
    {"name": "e", "type": {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 3}},
    {"name": "f", "type": {"type": "array", "items": "null"}},
    {"name": "g", "type": "float"}]}"#;

/// One that it evolved to.
const READER: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "g", "type": ["null", "double"]},
    {"name": "a", "type": ["null", {"type": "array", "items": "R"}, "R"]},
    {"name": "d", "type": "string"},
    {"name": "h", "type": {"type": "array", "items": "string"}, "default": ["x"]}]}"#;

/// The bytes as a schema.
pub fn schema(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(schema) = AvroSchema::parse_writer(text) else { return };
    let _ = AvroSchema::parse(text);
    if let Ok(resolution) = Resolution::of(&schema) {
        let _ = decode_value(&resolution, &[0; 64]);
        let _ = decode_value(&resolution, &[2; 64]);
    }
    // What was read is written as a schema, too: as it is, and where it is referred to by another.
    let again = AvroSchema::parse_writer(schema.json());
    assert!(again.is_ok_and(|again| again == schema && again.canonical_form() == schema.canonical_form()));
    if let Some(name) = schema.full_name()
        && let Ok(whole) = AvroSchema::parse_with(&format!("[\"null\",\"{name}\"]"), &[text])
    {
        let again = AvroSchema::parse_writer(whole.json());
        assert!(again.is_ok_and(|again| again.means_the_same(&whole)));
    }
}

/// The schemas of this harness: without them nothing would be tried, and nobody would notice.
#[allow(clippy::expect_used, reason = "all of this is for tests")]
fn schemas() -> (AvroSchema, AvroSchema) {
    let parse = |text| AvroSchema::parse(text).expect("a schema of the harness is right");
    (parse(WRITER), parse(READER))
}

/// The bytes as values, with and without resolution: how many there are.
#[allow(clippy::expect_used, reason = "all of this is for tests")]
pub fn data(bytes: &[u8]) -> usize {
    let (writer, reader) = schemas();
    let mut count = 0;
    for reader in [&writer, &reader] {
        let resolution = Resolution::new(&writer, reader).expect("the schemas of the harness are small");
        let mut decoder = Decoder::new(&resolution, bytes);
        while let Ok(value) = value::value(&mut decoder) {
            count += 1;
            let mut out = Vec::new();
            if encode_value(reader, &value, &mut out).is_ok() {
                assert!(conform(reader, value).is_ok());
            }
        }
    }
    count
}

/// The bytes as what follows the first four of a file.
pub fn container(bytes: &[u8]) {
    let file = [b"Obj\x01", bytes].concat();
    let limits = Limits { block_bytes: 1 << 20, header_bytes: 1 << 20 };
    let Ok(reader) = ContainerReader::open_with(&file[..], limits) else { return };
    let Ok(mut values) = reader.values() else { return };
    while values.next_batch(100).is_ok_and(|batch| !batch.is_empty()) {}
}

/// The bytes as a message, whose schema is one that is known: whether they are one.
pub fn message(bytes: &[u8]) -> bool {
    let known = std::collections::HashMap::from([(0, schemas().0)]);
    wire::ValueDecoder::new(&known).decode(bytes).is_ok()
}
