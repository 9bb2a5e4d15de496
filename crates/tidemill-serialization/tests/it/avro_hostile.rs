//! Data that are damaged, or made to do harm.

use proptest::prelude::*;
use tidemill_core::Classified;
use tidemill_serialization::avro::container::{Codec, ContainerReader, ContainerWriter, Limits};
use tidemill_serialization::avro::{
    self, AvroError, AvroReader, AvroSchema, Resolution, Value, conform, decode_value, encode_value, fuzzing,
    schema_of, wire,
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
    assert!(value(r#"{"type": "fixed", "name": "F", "size": 16777216}"#, &[1, 2]).is_err());
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

/// The inputs that the fuzz targets begin with: were they all refused, the targets would try nothing.
#[test]
fn the_seeds_of_the_fuzz_targets_are_values() {
    let corpus = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let read = |name: &str| std::fs::read(corpus.join(name)).unwrap();
    // With the schema that they were written with and with the other one, which has no place for a null in `nested`.
    for (name, count) in [("flat", 2), ("nested", 1), ("twice", 4), ("huge", 0)] {
        assert_eq!(fuzzing::data(&read(&format!("avro_values/{name}"))), count, "{name}");
        assert_eq!(
            fuzzing::message(&read(&format!("avro_messages/{name}"))),
            (1..3).contains(&count),
            "{name}"
        );
    }
}

mod list {
    use tidemill_serialization::avro::AvroRecord;

    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    pub(super) struct Node {
        pub(super) next: Option<Box<Node>>,
    }

    /// So many nodes.
    pub(super) fn of(length: usize) -> Node {
        let mut list = Node { next: None };
        for _ in 1..length {
            list = Node { next: Some(Box::new(list)) };
        }
        list
    }
}

/// What is written can be read: all ways count the same levels.
#[test]
fn levels_are_counted_alike_everywhere() {
    // As `cargo test` and a subtask have it.
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(levels).unwrap().join().unwrap();
}

fn levels() {
    let schema = schema_of::<list::Node>().unwrap();
    let resolution = Resolution::of(&schema).unwrap();
    let nothing = AvroSchema::parse(r#"{"type": "record", "name": "R", "fields": []}"#).unwrap();
    let around = format!(
        r#"{{"type": "record", "name": "R", "fields": [{{"name": "f", "type": {}}}]}}"#,
        schema.json()
    );
    let around = Resolution::new(&AvroSchema::parse(&around).unwrap(), &nothing).unwrap();
    for (length, fits) in [(1, true), (255, true), (256, true), (257, false), (300, false)] {
        let list = list::of(length);
        let bytes = avro::encode(&list);
        assert_eq!(avro::decode::<list::Node>(&bytes).is_ok(), fits, "{length}");
        assert_eq!(decode_value(&resolution, &bytes).is_ok(), fits, "{length}");
        // One is around it there.
        assert_eq!(decode_value(&around, &bytes).is_ok(), length < 256, "{length}");
        assert_eq!(avro::check(&list).is_ok(), fits, "{length}");
        assert_eq!(avro::Avro::new(list.clone()).is_ok(), fits, "{length}");
        let mut message = Vec::new();
        assert_eq!(wire::encode_message(1, &list, &mut message).is_ok(), fits, "{length}");
        assert_eq!(message.is_empty(), !fits, "nothing is left of what was refused");
        let mut writer = ContainerWriter::new(Vec::new(), &schema);
        assert_eq!(writer.write(&list).is_ok(), fits, "{length}");
        writer.write(&list::of(1)).unwrap();
        let file = writer.finish().unwrap();
        let read = ContainerReader::open(&file[..]).unwrap().records::<list::Node>().unwrap().next_batch(10);
        assert_eq!(read.unwrap().len(), if fits { 2 } else { 1 });
        // Generic ones, with the branches of unions and without.
        let mut plain = Value::Record(vec![("next".into(), Value::Null)]);
        let mut whole = Value::Record(vec![("next".into(), Value::Union(0, Box::new(Value::Null)))]);
        for _ in 1..length {
            plain = Value::Record(vec![("next".into(), plain)]);
            whole = Value::Record(vec![("next".into(), Value::Union(1, Box::new(whole)))]);
        }
        assert_eq!(conform(&schema, plain).ok(), fits.then(|| whole.clone()), "{length}");
        let mut again = Vec::new();
        assert_eq!(encode_value(&schema, &whole, &mut again).is_ok(), fits, "{length}");
        assert_eq!(again, if fits { bytes } else { Vec::new() });
    }
    let error = avro::check(&list::of(257)).unwrap_err();
    assert_eq!(error.code(), "TM-AVRO-TOO-DEEP");
    // Arrays and maps, too.
    for (json, one) in [
        (
            r#"{"type": "record", "name": "N", "fields": [{"name": "n", "type": {"type": "array", "items": "N"}}]}"#,
            &[2][..],
        ),
        (
            r#"{"type": "record", "name": "N", "fields": [{"name": "n", "type": {"type": "map", "values": ["null", "N"]}}]}"#,
            &[2, 2, b'k', 2],
        ),
    ] {
        let schema = AvroSchema::parse(json).unwrap();
        let resolution = Resolution::of(&schema).unwrap();
        for (length, fits) in [(128, true), (129, false)] {
            let bytes = [one.repeat(length - 1), vec![0; length]].concat();
            let read = decode_value(&resolution, &bytes);
            assert_eq!(read.is_ok(), fits, "{length}");
            if let Ok(value) = read {
                let mut again = Vec::new();
                encode_value(&schema, &conform(&schema, value).unwrap(), &mut again).unwrap();
                assert_eq!(again, bytes);
            }
        }
    }
}

/// What takes too few bytes to be read is not written.
#[test]
fn values_without_bytes_are_not_written_without_number() {
    let nulls = AvroSchema::parse(r#"{"type": "array", "items": "null"}"#).unwrap();
    let resolution = Resolution::of(&nulls).unwrap();
    for (count, fits) in [(65_536, true), (70_000, false)] {
        let value = Value::Array(vec![Value::Null; count]);
        let mut bytes = Vec::new();
        assert_eq!(encode_value(&nulls, &value, &mut bytes).is_ok(), fits, "{count}");
        let bytes = [long(count as i64), vec![0]].concat();
        assert_eq!(decode_value(&resolution, &bytes).is_ok(), fits, "{count}");
        let mut writer = ContainerWriter::new(Vec::new(), &nulls);
        assert_eq!(writer.write(&vec![(); count]).is_ok(), fits, "{count}");
    }
}

/// A limit for a value is none for all that happen to be in a block with it.
#[test]
fn values_of_a_block_are_measured_one_by_one() {
    let json = r#"{"type": "record", "name": "Nulls", "fields": [
        {"name": "id", "type": "int"}, {"name": "a", "type": "null"}, {"name": "b", "type": "null"}, {"name": "c", "type": "null"}]}"#;
    let schema = AvroSchema::parse(json).unwrap();
    let mut writer = ContainerWriter::new(Vec::new(), &schema);
    let fields = |id| [("id", Value::Int(id)), ("a", Value::Null), ("b", Value::Null), ("c", Value::Null)];
    for i in 0..50_000 {
        let value = fields(i % 60).map(|(name, value)| (name.to_owned(), value));
        writer.write_value(Value::Record(value.to_vec())).unwrap();
    }
    let file = writer.finish().unwrap();
    let read = ContainerReader::open(&file[..]).unwrap().values().unwrap().next_batch(100_000);
    assert_eq!(read.unwrap().len(), 50_000);
}

/// Values that fit several branches alike, but for what is deep within.
#[test]
fn branches_are_not_tried_out_without_end() {
    let tree = r#"["int", {"type": "record", "name": "Add", "fields": [{"name": "l", "type": ["int", "Add",
        {"type": "record", "name": "Mul", "fields": [{"name": "l", "type": ["int", "Add", "Mul"]}]}]}]}, "Mul"]"#;
    let schema = AvroSchema::parse(tree).unwrap();
    let nested = |leaf: Value, depth: usize| {
        (0..depth).fold(leaf, |value, _| Value::Record(vec![("l".to_owned(), value)]))
    };
    let error = conform(&schema, nested(Value::String("x".into()), 200)).unwrap_err().to_string();
    assert!(error.contains("say the branch, by Value::Union"), "{error}");
    // What fits is found, however deep.
    let fitted = conform(&schema, nested(Value::Int(7), 200)).unwrap();
    encode_value(&schema, &fitted, &mut Vec::new()).unwrap();
    // Also the last branch.
    let schema = AvroSchema::parse(&tree.replace(
        r#""name": "Add", "fields": [{"name": "l""#,
        r#""name": "Add", "fields": [{"name": "m", "type": "int"}, {"name": "l""#,
    ))
    .unwrap();
    let fitted = conform(&schema, nested(Value::Int(7), 3)).unwrap();
    assert!(matches!(fitted, Value::Union(2, _)), "{fitted:?}");
    // With one branch that it can be, the error says what is wrong within.
    let error = conform(&schema, nested(Value::String("x".into()), 1)).unwrap_err().to_string();
    assert!(error.contains(".l: ") && error.contains("the string \"x\""), "{error}");
}

/// Takes so many bytes.
struct Full(usize, Vec<u8>);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(self.0.saturating_sub(self.1.len()));
        self.1.extend_from_slice(&bytes[..count]);
        if count == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_is_written_behind_what_could_not_be_written() {
    let schema = schema_of::<i64>().unwrap();
    let mut full = Full(150, Vec::new());
    let mut writer = ContainerWriter::new(&mut full, &schema).block_bytes(50);
    let error = (0..100).find_map(|number: i64| writer.write(&number).err()).unwrap();
    assert_eq!(error.code(), "TM-AVRO-IO");
    for again in [writer.write(&1i64), writer.write_value(Value::Long(1)), writer.flush()] {
        let error = again.unwrap_err().to_string();
        assert!(error.contains("an earlier write to it failed"), "{error}");
    }
    assert!(writer.finish().is_err());
    assert_eq!(full.1.len(), 150);
}
