//! Data that are damaged, or made to do harm.

use proptest::prelude::*;
use tidemill_core::Classified;
use tidemill_serialization::avro::container::{Codec, ContainerReader, ContainerWriter, Limits};
use tidemill_serialization::avro::{
    self, AvroError, AvroReader, AvroSchema, Resolution, Value, decode_value, fuzzing, schema_of, wire,
};

use crate::avro::{Order, order};

fn value(schema: &str, bytes: &[u8]) -> Result<Value, AvroError> {
    let schema = AvroSchema::parse_writer(schema).unwrap();
    decode_value(&Resolution::of(&schema).unwrap(), bytes)
}

/// Nothing is passed over that is read with a reader's schema without fields.
fn skip(schema: &str, bytes: &[u8]) -> Result<Value, AvroError> {
    let record = |field: &str| format!(r#"{{"type": "record", "name": "R", "fields": [{field}]}}"#);
    let writer = AvroSchema::parse_writer(&record(&format!(r#"{{"name": "f", "type": {schema}}}"#))).unwrap();
    let reader = AvroSchema::parse(&record("")).unwrap();
    decode_value(&Resolution::new(&writer, &reader).unwrap(), bytes)
}

fn long(number: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

#[test]
fn lengths_and_counts_are_not_believed() {
    for count in [1, 1000, i64::from(i32::MAX), i64::MAX, -1, -1000, i64::MIN] {
        for schema in [
            r#""bytes""#,
            r#""string""#,
            r#"{"type": "array", "items": "int"}"#,
            r#"{"type": "array", "items": "string"}"#,
            r#"{"type": "map", "values": "int"}"#,
        ] {
            let bytes = long(count);
            assert!(value(schema, &bytes).is_err(), "{schema} {count}");
            assert!(skip(schema, &bytes).is_err(), "{schema} {count}");
            let bytes = [long(count), long(i64::MAX)].concat();
            assert!(value(schema, &bytes).is_err(), "{schema} {count}");
            assert!(skip(schema, &bytes).is_err(), "{schema} {count}");
        }
    }
    assert!(value(r#"{"type": "fixed", "name": "F", "size": 9000000000000000000}"#, &[1, 2]).is_err());
}

#[test]
fn values_that_take_no_bytes_cannot_be_claimed_without_number() {
    for items in [
        r#""null""#.to_owned(),
        r#"{"type": "record", "name": "E", "fields": []}"#.to_owned(),
        r#"{"type": "fixed", "name": "F", "size": 0}"#.to_owned(),
    ] {
        let schema = format!(r#"{{"type": "array", "items": {items}}}"#);
        let bytes = [long(i64::MAX), vec![0]].concat();
        let error = value(&schema, &bytes).unwrap_err();
        assert!(error.to_string().contains("take no bytes"), "{error}");
        assert!(skip(&schema, &bytes).is_err());
        assert!(value(&schema, &[long(1000), vec![0]].concat()).is_ok());
    }
    // Each record has two of the one before, and none takes a byte.
    let mut schema = r#"{"type": "record", "name": "R0", "fields": []}"#.to_owned();
    for i in 1..40 {
        let last = i - 1;
        schema = format!(
            r#"{{"type": "record", "name": "R{i}", "fields": [{{"name": "a", "type": {schema}}}, {{"name": "b", "type": "R{last}"}}]}}"#
        );
    }
    assert!(value(&schema, &[]).unwrap_err().to_string().contains("take no bytes"));
    assert!(skip(&schema, &[]).is_err());
}

#[test]
fn nesting_is_bounded() {
    let list = r#"{"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}"#;
    assert!(value(list, &[2, 2, 2, 0]).is_ok());
    for endless in [vec![2; 1_000_000], [vec![2; 500_000], vec![0]].concat()] {
        let error = value(list, &endless).unwrap_err();
        assert_eq!(error.code(), "TM-AVRO-TOO-DEEP");
        assert!(skip(list, &endless).is_err());
    }
    // A record that is within itself takes no bytes at all.
    let own = r#"{"type": "record", "name": "N", "fields": [{"name": "next", "type": "N"}]}"#;
    assert_eq!(value(own, &[]).unwrap_err().code(), "TM-AVRO-TOO-DEEP");
    let arrays = r#"{"type": "record", "name": "N", "fields": [{"name": "next", "type": {"type": "array", "items": "N"}}]}"#;
    assert_eq!(value(arrays, &[2; 100_000]).unwrap_err().code(), "TM-AVRO-TOO-DEEP");
}

#[test]
fn schemas_are_bounded() {
    let deep = format!("{}\"int\"{}", r#"{"type": "array", "items": "#.repeat(100_000), "}".repeat(100_000));
    assert!(AvroSchema::parse(&deep).is_err());
    let long =
        format!(r#"{{"type": "record", "name": "R", "fields": [], "doc": "{}"}}"#, "x".repeat(2 << 20));
    assert!(AvroSchema::parse(&long).unwrap_err().to_string().contains("at most"));
    // Many that refer to each other, one within the other.
    let others: Vec<String> = (0..5000)
        .map(|i| {
            format!(
                r#"{{"type": "record", "name": "R{i}", "fields": [{{"name": "f", "type": "R{}"}}]}}"#,
                i + 1
            )
        })
        .chain([r#"{"type": "record", "name": "R5000", "fields": []}"#.to_owned()])
        .collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    assert!(
        AvroSchema::parse_with(
            r#"{"type": "record", "name": "S", "fields": [{"name": "f", "type": "R0"}]}"#,
            &others
        )
        .is_err()
    );
    // Branches that are compared with each other at every level.
    let mut union = r#"["null", "int"]"#.to_owned();
    for _ in 0..25 {
        union =
            format!(r#"["null", {{"type": "array", "items": {union}}}, {{"type": "map", "values": "int"}}]"#);
    }
    let union = AvroSchema::parse_writer(&union).unwrap();
    Resolution::of(&union).unwrap().check().unwrap();
    for text in [
        "",
        "{",
        "[]",
        "{}",
        "3",
        "nothing",
        r#"{"type": "record"}"#,
        r#"{"type": "enum", "name": "1"}"#,
        "\u{0}",
    ] {
        assert!(AvroSchema::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn errors_name_the_record_and_the_field() {
    let schema = r#"{"type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "string"}, {"name": "at", "type": "long"}, {"name": "lines", "type": {"type": "array", "items":
            {"type": "record", "name": "Line", "fields": [{"name": "price", "type": "double"}]}}}]}"#;
    let message = |bytes: &[u8]| value(schema, bytes).unwrap_err().to_string();
    assert_eq!(
        message(&[4, b'a']),
        "the Avro data end within Order.id: a string: 2 more bytes needed, 1 left"
    );
    assert_eq!(
        message(&[2, b'a', 0x80]),
        "the Avro data end within Order.at: a long: 1 more bytes needed, 1 left"
    );
    assert_eq!(
        message(&[2, b'a', 0, 2, 0, 0]),
        "the Avro data end within Line.price: a double: 8 more bytes needed, 2 left"
    );
    assert!(
        message(&[2, 0xff, 0, 0])
            .starts_with("the Avro data are damaged in Order.id: a string: the text is no UTF-8")
    );
    assert_eq!(
        message(&[2, b'a', 0, 0, 9]),
        "1 bytes follow the end of the Avro value: it was written with another schema, or is damaged"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Cut anywhere it is an error; damaged anywhere it is an error or another value, which can be written again.
    #[test]
    fn damage_is_an_error_or_another_value(order in order(), at: prop::sample::Index, flip in 1u8..) {
        let bytes = avro::encode(&order);
        let cut = at.index(bytes.len());
        prop_assert!(avro::decode::<Order>(&bytes[..cut]).is_err());
        let schema = schema_of::<Order>().unwrap();
        let resolution = Resolution::of(&schema).unwrap();
        prop_assert!(decode_value(&resolution, &bytes[..cut]).is_err());
        let mut damaged = bytes.clone();
        damaged[cut] ^= flip;
        if let Ok(order) = avro::decode::<Order>(&damaged) {
            prop_assert_eq!(avro::decode::<Order>(&avro::encode(&order)).unwrap(), order);
        }
        let _ = decode_value(&resolution, &damaged);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        fuzzing::schema(&bytes);
        fuzzing::data(&bytes);
        fuzzing::container(&bytes);
        fuzzing::message(&[&[0; 5], &bytes[..]].concat());
        let _ = avro::decode::<Order>(&bytes);
        let schema = schema_of::<Order>().unwrap();
        let _ = decode_value(&Resolution::of(&schema).unwrap(), &bytes);
        let nothing = AvroSchema::parse(r#"{"type": "record", "name": "Order", "fields": []}"#).unwrap();
        let _ = decode_value(&Resolution::new(&schema, &nothing).unwrap(), &bytes);
        let _ = AvroSchema::parse_writer(&String::from_utf8_lossy(&bytes));
        let _ = wire::split(&bytes);
        let _ = AvroReader::<Order>::new(&schema).unwrap().decode(&bytes);
        let file = [b"Obj\x01".as_slice(), &bytes].concat();
        let _ = ContainerReader::open(&file[..]).and_then(|reader| reader.values()?.next_batch(1000));
    }

    /// Files too: cut anywhere, damaged anywhere.
    #[test]
    fn damaged_files_are_errors_or_other_values(orders in proptest::collection::vec(order(), 1..4), at: prop::sample::Index, flip in 1u8.., codec in 0usize..4) {
        let schema = schema_of::<Order>().unwrap();
        let mut writer = ContainerWriter::new(Vec::new(), &schema).codec(Codec::ALL[codec]).block_bytes(1);
        orders.iter().try_for_each(|order| writer.write(order)).unwrap();
        let file = writer.finish().unwrap();
        let read = |file: &[u8]| ContainerReader::open(file)?.records::<Order>()?.next_batch(usize::MAX);
        prop_assert_eq!(read(&file).unwrap(), orders.clone());
        let cut = at.index(file.len());
        if let Ok(read) = read(&file[..cut]) {
            prop_assert!(read.len() < orders.len());
        }
        let mut damaged = file.clone();
        damaged[cut] ^= flip;
        let _ = read(&damaged);
    }
}

// Small bytes lead further into values than arbitrary ones do.
proptest! {
    #[test]
    fn small_bytes_never_panic(bytes in proptest::collection::vec(0u8..6, 0..400)) {
        fuzzing::data(&bytes);
        fuzzing::message(&[&[0; 5], &bytes[..]].concat());
    }

    #[test]
    fn pieces_of_schemas_never_panic(pieces in proptest::collection::vec(0usize..PIECES.len(), 0..30)) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        fuzzing::schema(text.as_bytes());
        fuzzing::schema(format!("{{\"type\": \"record\", \"name\": \"a.R\", \"fields\": [{{\"name\": \"f\", \"type\": {text}}}]}}").as_bytes());
    }
}

const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"type\": ",
    "\"record\"",
    "\"enum\"",
    "\"array\"",
    "\"items\": ",
    "\"map\"",
    "\"values\": ",
    "\"name\": ",
    "\"R\"",
    "\"a.R\"",
    "\"fields\": [",
    "\"int\"",
    "\"null\"",
    "\"default\": ",
    "\"fixed\"",
    "\"size\": 12",
    "\"logicalType\": \"duration\"",
    "\"symbols\": [\"R\"]",
];

#[test]
fn blocks_are_bounded() {
    let schema = AvroSchema::parse(r#""bytes""#).unwrap();
    let zeros = Value::Bytes(vec![0; 5 << 20]);
    let limits = Limits { block_bytes: 1 << 20, ..Limits::default() };
    for codec in Codec::ALL {
        let mut writer = ContainerWriter::new(Vec::new(), &schema).codec(codec);
        writer.write_value(zeros.clone()).unwrap();
        let file = writer.finish().unwrap();
        let read = |limits| ContainerReader::open_with(&file[..], limits)?.values()?.next_batch(10);
        assert!(read(Limits::default()).unwrap() == std::slice::from_ref(&zeros));
        let error = read(limits).unwrap_err().to_string();
        assert!(error.contains("1048576") || error.contains("too much memory"), "{codec:?}: {error}");
    }
    // A block that claims to be large, and a header.
    let mut file = ContainerWriter::new(Vec::new(), &schema).finish().unwrap();
    let header = file.clone();
    file.extend([long(1), long(60 << 20), vec![1; 10]].concat());
    let read = |file: &[u8]| ContainerReader::open(file)?.values()?.next_batch(10);
    assert!(read(&file).unwrap_err().to_string().contains("10 did"));
    assert!(read(&header).unwrap().is_empty());
    let file = [b"Obj\x01".to_vec(), long(1), long(1 << 40)].concat();
    assert!(read(&file).unwrap_err().to_string().contains("larger than the limit"));
    assert!(read(b"Obj\x02").unwrap_err().to_string().contains("begins with"));
    assert!(read(b"PK").unwrap_err().to_string().contains("ends within"));

    // Values without bytes.
    let nothing = AvroSchema::parse(r#""null""#).unwrap();
    let file = ContainerWriter::new(Vec::new(), &nothing).sync_marker([7; 16]).finish().unwrap();
    let file = [file, long(i64::MAX), long(0), vec![7; 16]].concat();
    assert!(read(&file).is_ok_and(|values| values.len() == 10));
    let all = ContainerReader::open(&file[..]).unwrap().values().unwrap().next_batch(usize::MAX);
    assert!(all.unwrap_err().to_string().contains("take no bytes"));
}
