//! The rules of the section "Schema Resolution" of the specification, one by one.

use tidemill_core::Classified;
use tidemill_serialization::avro::{
    AvroError, AvroSchema, Resolution, Value, conform, decode_value, encode_value,
};

fn schema(json: &str) -> AvroSchema {
    AvroSchema::parse(json).unwrap()
}

/// Writes a value with one schema and reads it with another.
fn read(writer: &str, reader: &str, value: Value) -> Result<Value, AvroError> {
    let (writer, reader) = (schema(writer), schema(reader));
    let mut bytes = Vec::new();
    encode_value(&writer, &conform(&writer, value).unwrap(), &mut bytes).unwrap();
    decode_value(&Resolution::new(&writer, &reader)?, &bytes)
}

fn check(writer: &str, reader: &str) -> Result<(), String> {
    Resolution::new(&schema(writer), &schema(reader)).unwrap().check().map_err(|error| {
        assert_eq!(error.code(), "TM-AVRO-INCOMPATIBLE");
        error.to_string()
    })
}

/// Can be read, as this value.
fn reads(writer: &str, reader: &str, value: Value, expected: Value) {
    assert_eq!(read(writer, reader, value).unwrap(), expected, "{writer} as {reader}");
    check(writer, reader).unwrap();
}

/// Cannot be read, and the reason has these words.
#[track_caller]
fn refuses(writer: &str, reader: &str, words: &[&str]) {
    let error = check(writer, reader).expect_err("it was to be refused");
    words.iter().for_each(|word| assert!(error.contains(word), "no {word:?} in: {error}"));
}

fn union(branch: u32, value: Value) -> Value {
    Value::Union(branch, Box::new(value))
}

fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn the_same_primitive_types_match() {
    let cases = [
        (r#""null""#, Value::Null),
        (r#""boolean""#, Value::Boolean(true)),
        (r#""int""#, Value::Int(-5)),
        (r#""long""#, Value::Long(1 << 40)),
        (r#""float""#, Value::Float(0.5)),
        (r#""double""#, Value::Double(-0.5)),
        (r#""bytes""#, Value::Bytes(vec![0, 255])),
        (r#""string""#, text("é")),
    ];
    for (ty, value) in cases {
        reads(ty, ty, value.clone(), value);
    }
}

#[test]
fn primitive_types_are_promoted_as_listed_and_not_otherwise() {
    let int = || Value::Int(7);
    reads(r#""int""#, r#""long""#, int(), Value::Long(7));
    reads(r#""int""#, r#""float""#, int(), Value::Float(7.0));
    reads(r#""int""#, r#""double""#, int(), Value::Double(7.0));
    reads(r#""long""#, r#""float""#, Value::Long(7), Value::Float(7.0));
    reads(r#""long""#, r#""double""#, Value::Long(7), Value::Double(7.0));
    reads(r#""float""#, r#""double""#, Value::Float(0.5), Value::Double(0.5));
    reads(r#""string""#, r#""bytes""#, text("é"), Value::Bytes("é".into()));
    reads(r#""bytes""#, r#""string""#, Value::Bytes("é".into()), text("é"));

    let all = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
    let allowed = |from: &str, to: &str| {
        from == to
            || matches!(
                (from, to),
                ("int", "long" | "float" | "double")
                    | ("long", "float" | "double")
                    | ("float", "double")
                    | ("string", "bytes")
                    | ("bytes", "string")
            )
    };
    for from in all {
        for to in all {
            let result = check(&format!("{from:?}"), &format!("{to:?}"));
            assert_eq!(result.is_ok(), allowed(from, to), "{from} as {to}: {result:?}");
        }
    }
    refuses(r#""long""#, r#""int""#, &["was long and is now int"]);
    // Bytes that are no text.
    assert!(read(r#""bytes""#, r#""string""#, Value::Bytes(vec![0xff])).is_err());
}

#[test]
fn arrays_and_maps_match_by_their_elements() {
    reads(
        r#"{"type": "array", "items": "int"}"#,
        r#"{"type": "array", "items": "double"}"#,
        Value::Array(vec![Value::Int(1), Value::Int(2)]),
        Value::Array(vec![Value::Double(1.0), Value::Double(2.0)]),
    );
    reads(
        r#"{"type": "map", "values": "int"}"#,
        r#"{"type": "map", "values": ["null", "long"]}"#,
        Value::Map([("a".to_owned(), Value::Int(1))].into()),
        Value::Map([("a".to_owned(), union(1, Value::Long(1)))].into()),
    );
    refuses(
        r#"{"type": "array", "items": "int"}"#,
        r#"{"type": "array", "items": "string"}"#,
        &["[]", "int", "string"],
    );
    refuses(
        r#"{"type": "map", "values": "int"}"#,
        r#"{"type": "array", "items": "int"}"#,
        &["map of int", "array of int"],
    );
}

#[test]
fn enums_match_by_unqualified_name() {
    let suit = |namespace: &str, name: &str, symbols: &str, more: &str| {
        format!(
            r#"{{"type": "enum", "namespace": "{namespace}", "name": "{name}", "symbols": [{symbols}]{more}}}"#
        )
    };
    let symbol = |position, symbol: &str| Value::Enum(position, symbol.to_owned());
    let writer = suit("a", "Suit", r#""S", "H", "X""#, "");
    // By symbol, not by position.
    reads(&writer, &suit("b", "Suit", r#""H", "X", "S""#, ""), text("S"), symbol(2, "S"));
    refuses(&writer, &suit("a", "Color", r#""S", "H", "X""#, ""), &["a.Suit", "a.Color", "alias"]);
    reads(
        &writer,
        &suit("a", "Color", r#""S", "H", "X""#, r#", "aliases": ["Suit"]"#),
        text("H"),
        symbol(1, "H"),
    );
    reads(
        &writer,
        &suit("a", "Color", r#""S", "H", "X""#, r#", "aliases": ["a.Suit"]"#),
        text("H"),
        symbol(1, "H"),
    );

    // A symbol that the reader does not have: its default, else an error.
    reads(&writer, &suit("a", "Suit", r#""H", "S""#, r#", "default": "S""#), text("X"), symbol(1, "S"));
    let reader = suit("a", "Suit", r#""H", "S""#, "");
    refuses(&writer, &reader, &["a.Suit with X", "without a default"]);
    assert_eq!(read(&writer, &reader, text("H")).unwrap(), symbol(0, "H"));
    assert_eq!(read(&writer, &reader, text("X")).unwrap_err().code(), "TM-AVRO-UNREADABLE");
    // The default of the writer's enum means nothing.
    let with_default = suit("a", "Suit", r#""S", "H", "X""#, r#", "default": "S""#);
    assert!(read(&with_default, &reader, text("X")).is_err());
}

#[test]
fn fixed_match_by_unqualified_name_and_size() {
    let fixed = |namespace: &str, name: &str, size: usize, more: &str| {
        format!(r#"{{"type": "fixed", "namespace": "{namespace}", "name": "{name}", "size": {size}{more}}}"#)
    };
    let value = || Value::Fixed(2, vec![1, 2]);
    reads(&fixed("a", "F", 2, ""), &fixed("b", "F", 2, ""), value(), value());
    reads(&fixed("a", "F", 2, ""), &fixed("a", "G", 2, r#", "aliases": ["F"]"#), value(), value());
    refuses(&fixed("a", "F", 2, ""), &fixed("a", "F", 3, ""), &["fixed of 2", "fixed of 3"]);
    refuses(&fixed("a", "F", 2, ""), &fixed("a", "G", 2, ""), &["a.F", "a.G", "alias"]);
    refuses(&fixed("a", "F", 2, ""), r#""bytes""#, &["fixed of 2", "bytes"]);
}

const TRIP: &str = r#"{"type": "record", "name": "Trip", "namespace": "a", "fields": [
    {"name": "miles", "type": "int"}, {"name": "who", "type": "string"}, {"name": "paid", "type": "boolean"}]}"#;

fn trip() -> Value {
    record(&[("miles", Value::Int(3)), ("who", text("Ann")), ("paid", Value::Boolean(true))])
}

#[test]
fn fields_match_by_name_in_any_order() {
    reads(
        TRIP,
        r#"{"type": "record", "name": "Trip", "namespace": "b", "fields": [
            {"name": "paid", "type": "boolean"}, {"name": "miles", "type": "double"}, {"name": "who", "type": "bytes"}]}"#,
        trip(),
        record(&[
            ("paid", Value::Boolean(true)),
            ("miles", Value::Double(3.0)),
            ("who", Value::Bytes("Ann".into())),
        ]),
    );
}

#[test]
fn fields_that_only_the_writer_has_are_passed_over() {
    let writer = r#"{"type": "record", "name": "R", "fields": [
        {"name": "a", "type": {"type": "array", "items": {"type": "map", "values": ["null", "string"]}}},
        {"name": "b", "type": {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "double"},
            {"name": "y", "type": {"type": "fixed", "name": "F", "size": 3}}, {"name": "n", "type": "null"}]}},
        {"name": "c", "type": ["Inner", {"type": "enum", "name": "E", "symbols": ["P", "Q"]}]},
        {"name": "kept", "type": "int"},
        {"name": "d", "type": "float"}, {"name": "e", "type": "bytes"}, {"name": "f", "type": "boolean"}]}"#;
    let inner =
        record(&[("x", Value::Double(1.0)), ("y", Value::Fixed(3, vec![1, 2, 3])), ("n", Value::Null)]);
    let value = record(&[
        (
            "a",
            Value::Array(vec![Value::Map(
                [("k".to_owned(), text("v")), ("l".to_owned(), Value::Null)].into(),
            )]),
        ),
        ("b", inner.clone()),
        ("c", union(0, inner)),
        ("kept", Value::Int(42)),
        ("d", Value::Float(0.0)),
        ("e", Value::Bytes(vec![1])),
        ("f", Value::Boolean(false)),
    ]);
    let reader = r#"{"type": "record", "name": "R", "fields": [{"name": "kept", "type": "int"}]}"#;
    reads(writer, reader, value, record(&[("kept", Value::Int(42))]));
    // Also by the size of a block, where it is given.
    let writer = schema(
        r#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "string"}}, {"name": "kept", "type": "int"}]}"#,
    );
    let resolution = Resolution::new(&writer, &schema(reader)).unwrap();
    let value = decode_value(&resolution, &[3, 8, 2, b'x', 2, b'y', 0, 84]).unwrap();
    assert_eq!(value, record(&[("kept", Value::Int(42))]));
}

#[test]
fn fields_that_only_the_reader_has_take_their_default() {
    let reader = |field: &str| {
        format!(
            r#"{{"type": "record", "name": "Trip", "fields": [{{"name": "miles", "type": "int"}}, {field}]}}"#
        )
    };
    let nested = r#"{"type": "record", "name": "N", "fields": [{"name": "x", "type": "int", "default": 1}, {"name": "y", "type": "string"}]}"#;
    let cases = [
        (r#""null", "default": null"#.to_owned(), Value::Null),
        (r#""boolean", "default": true"#.to_owned(), Value::Boolean(true)),
        (r#""int", "default": -1"#.to_owned(), Value::Int(-1)),
        (r#""long", "default": 5000000000"#.to_owned(), Value::Long(5_000_000_000)),
        (r#""float", "default": 1"#.to_owned(), Value::Float(1.0)),
        (r#""double", "default": 1.25"#.to_owned(), Value::Double(1.25)),
        (r#""double", "default": "NaN""#.to_owned(), Value::Double(f64::NAN)),
        // Each character is one byte.
        (r#""bytes", "default": "\u00ff\u0000""#.to_owned(), Value::Bytes(vec![255, 0])),
        (
            r#"{"type": "fixed", "name": "F", "size": 2}, "default": "\u00fe\u0001""#.to_owned(),
            Value::Fixed(2, vec![254, 1]),
        ),
        (r#""string", "default": "é""#.to_owned(), text("é")),
        (
            r#"{"type": "enum", "name": "E", "symbols": ["A", "B"]}, "default": "B""#.to_owned(),
            Value::Enum(1, "B".into()),
        ),
        (
            r#"{"type": "array", "items": "int"}, "default": [1, 2]"#.to_owned(),
            Value::Array(vec![Value::Int(1), Value::Int(2)]),
        ),
        (
            r#"{"type": "map", "values": "long"}, "default": {"a": 1}"#.to_owned(),
            Value::Map([("a".to_owned(), Value::Long(1))].into()),
        ),
        (format!(r#"{nested}, "default": {{"y": "z"}}"#), record(&[("x", Value::Int(1)), ("y", text("z"))])),
        (r#"["null", "int"], "default": null"#.to_owned(), union(0, Value::Null)),
        (r#"["int", "null"], "default": 3"#.to_owned(), union(0, Value::Int(3))),
        // Since release 1.12 of the specification of any branch, the first that fits.
        (r#"["null", "string"], "default": "x""#.to_owned(), union(1, text("x"))),
        (r#"{"type": "int", "logicalType": "date"}, "default": 3"#.to_owned(), Value::Date(3)),
    ];
    for (field, expected) in cases {
        let reader = reader(&format!(r#"{{"name": "added", "type": {field}}}"#));
        let read = read(TRIP, &reader, trip()).unwrap();
        let Value::Record(fields) = read else { panic!("{read:?}") };
        match (&fields[1].1, &expected) {
            (Value::Double(read), Value::Double(expected)) if expected.is_nan() => assert!(read.is_nan()),
            (read, expected) => assert_eq!(read, expected, "{field}"),
        }
        check(TRIP, &reader).unwrap();
    }
    refuses(
        TRIP,
        &reader(r#"{"name": "added", "type": "int"}"#),
        &["a.Trip.added".split_at(2).1, "without a default"],
    );
}

#[test]
fn wrong_defaults_are_refused_with_the_schema_of_the_program() {
    let wrong = [
        r#""int", "default": "1""#,
        r#""int", "default": 3000000000"#,
        r#""bytes", "default": "€""#,
        r#"{"type": "fixed", "name": "F", "size": 2}, "default": "a""#,
        r#"{"type": "enum", "name": "E", "symbols": ["A"]}, "default": "B""#,
        r#"["null", "int"], "default": "x""#,
        r#"{"type": "record", "name": "N", "fields": [{"name": "x", "type": "int"}]}, "default": {}"#,
        r#"{"type": "record", "name": "N", "fields": [{"name": "x", "type": ["null", "N"], "default": {"x": null}}]}, "default": {"x": {}}"#,
    ];
    for field in wrong {
        let json =
            format!(r#"{{"type": "record", "name": "R", "fields": [{{"name": "f", "type": {field}}}]}}"#);
        let result = AvroSchema::parse(&json);
        // The last one is right, and ends.
        if field.contains(r#"["null", "N"]"#) {
            result.unwrap();
            continue;
        }
        let error = result.unwrap_err().to_string();
        assert!(error.contains("the default of R.f"), "{error}");
        // One that data were written with has defaults that mean nothing.
        AvroSchema::parse_writer(&json).unwrap();
    }
    let endless = r#"{"type": "record", "name": "R", "fields": [{"name": "f", "type": "R", "default": {}}]}"#;
    let error = AvroSchema::parse(endless).unwrap_err().to_string();
    assert!(error.contains("never ends"), "{error}");
}

#[test]
fn fields_and_records_match_by_the_aliases_of_the_reader() {
    let reader = r#"{"type": "record", "name": "Ride", "namespace": "a", "aliases": ["Trip"], "fields": [
        {"name": "distance", "aliases": ["km", "miles"], "type": "long"},
        {"name": "rider", "aliases": ["who"], "type": "string"}]}"#;
    reads(TRIP, reader, trip(), record(&[("distance", Value::Long(3)), ("rider", text("Ann"))]));
    // Those of the writer mean nothing.
    refuses(reader, TRIP, &["a.Ride", "a.Trip", "alias"]);
    // A field keeps its name although another had it once.
    let swapped = r#"{"type": "record", "name": "Trip", "fields": [
        {"name": "who", "type": "string"}, {"name": "driver", "aliases": ["who"], "type": "string", "default": "?"}]}"#;
    reads(TRIP, swapped, trip(), record(&[("who", text("Ann")), ("driver", text("?"))]));
}

#[test]
fn records_of_other_names_do_not_match() {
    let other = TRIP.replace(r#""Trip""#, r#""Ride""#);
    refuses(TRIP, &other, &["a.Trip", "a.Ride", r#"give it the alias "a.Trip""#]);
}

#[test]
fn recursive_records_resolve() {
    let node = |value: &str, next: &str| {
        format!(
            r#"{{"type": "record", "name": "Node", "fields": [{{"name": "value", "type": "{value}"}}, {next}]}}"#
        )
    };
    let writer = node("int", r#"{"name": "next", "type": ["null", "Node"]}"#);
    let reader = node("long", r#"{"name": "more", "aliases": ["next"], "type": ["Node", "null"]}"#);
    let value = record(&[
        ("value", Value::Int(1)),
        ("next", union(1, record(&[("value", Value::Int(2)), ("next", union(0, Value::Null))]))),
    ]);
    let expected = record(&[
        ("value", Value::Long(1)),
        ("more", union(0, record(&[("value", Value::Long(2)), ("more", union(1, Value::Null))]))),
    ]);
    reads(&writer, &reader, value, expected);
}

#[test]
fn both_unions_the_first_branch_that_matches() {
    reads(r#"["null", "string"]"#, r#"["string", "null"]"#, union(1, text("x")), union(0, text("x")));
    reads(
        r#"["int", "string"]"#,
        r#"["null", "string", "long"]"#,
        union(0, Value::Int(1)),
        union(2, Value::Long(1)),
    );
    // A branch that the reader does not have is an error where it is met.
    let (writer, reader) = (r#"["null", "string", "boolean"]"#, r#"["null", "string"]"#);
    refuses(writer, reader, &["boolean", "[null, string]", "add a branch"]);
    assert_eq!(read(writer, reader, union(1, text("x"))).unwrap(), union(1, text("x")));
    assert_eq!(
        read(writer, reader, union(2, Value::Boolean(true))).unwrap_err().code(),
        "TM-AVRO-UNREADABLE"
    );
}

#[test]
fn a_union_of_the_reader_alone_takes_the_first_branch_that_matches() {
    reads(r#""string""#, r#"["null", "string"]"#, text("x"), union(1, text("x")));
    // One of the same type before one that it would have to be promoted to.
    reads(r#""int""#, r#"["double", "int"]"#, Value::Int(1), union(1, Value::Int(1)));
    reads(r#""int""#, r#"["double", "long"]"#, Value::Int(1), union(0, Value::Double(1.0)));
    refuses(r#""boolean""#, r#"["null", "int"]"#, &["boolean", "[null, int]"]);
    // Records by name: that with the same full name before others.
    let a = |namespace: &str| {
        format!(
            r#"{{"type": "record", "namespace": "{namespace}", "name": "R", "fields": [{{"name": "x", "type": "int"}}]}}"#
        )
    };
    let value = record(&[("x", Value::Int(1))]);
    reads(&a("q"), &format!("[{}, {}]", a("p"), a("q")), value.clone(), union(1, value.clone()));
    reads(&a("z"), &format!("[{}, {}]", a("p"), a("q")), value.clone(), union(0, value));
    // Arrays by their elements.
    let arrays = r#"["null", {"type": "array", "items": ["null", "long"]}]"#;
    reads(
        r#"{"type": "array", "items": "int"}"#,
        arrays,
        Value::Array(vec![Value::Int(1)]),
        union(1, Value::Array(vec![union(1, Value::Long(1))])),
    );
}

#[test]
fn a_union_of_the_writer_alone_is_read_branch_by_branch() {
    reads(r#"["int", "float"]"#, r#""double""#, union(0, Value::Int(1)), Value::Double(1.0));
    reads(r#"["int", "float"]"#, r#""double""#, union(1, Value::Float(0.5)), Value::Double(0.5));
    let (writer, reader) = (r#"["null", "string"]"#, r#""string""#);
    refuses(writer, reader, &["null", "string"]);
    assert_eq!(read(writer, reader, union(1, text("x"))).unwrap(), text("x"));
    assert_eq!(read(writer, reader, union(0, Value::Null)).unwrap_err().code(), "TM-AVRO-UNREADABLE");
}

#[test]
fn logical_types_match_where_they_mean_the_same() {
    let logical = |base: &str, logical: &str| format!(r#"{{"type": "{base}", "logicalType": "{logical}"}}"#);
    let decimal = |precision: u32, scale: u32| {
        format!(
            r#"{{"type": "bytes", "logicalType": "decimal", "precision": {precision}, "scale": {scale}}}"#
        )
    };
    // With plain numbers, as if they were not there.
    reads(&logical("long", "timestamp-millis"), r#""long""#, Value::Long(5), Value::Long(5));
    reads(r#""long""#, &logical("long", "timestamp-millis"), Value::Long(5), Value::TimestampMillis(5));
    reads(r#""int""#, &logical("long", "timestamp-micros"), Value::Int(5), Value::TimestampMicros(5));
    // Never one for the other.
    refuses(
        &logical("long", "timestamp-millis"),
        &logical("long", "timestamp-micros"),
        &["mean something else"],
    );
    refuses(&logical("int", "date"), &logical("long", "timestamp-millis"), &["mean something else"]);
    refuses(
        &logical("long", "timestamp-millis"),
        &logical("long", "local-timestamp-millis"),
        &["mean something else"],
    );
    // Decimals: the scale stays, the precision may grow.
    check(&decimal(9, 2), &decimal(9, 2)).unwrap();
    check(&decimal(9, 2), &decimal(12, 2)).unwrap();
    refuses(&decimal(9, 2), &decimal(8, 2), &["precision"]);
    refuses(&decimal(9, 2), &decimal(9, 3), &["scale"]);
    // In a union the branch that means the same.
    let branches = format!(
        "[{}, {}]",
        r#"{"type": "int", "logicalType": "time-millis"}"#,
        r#"{"type": "long", "logicalType": "timestamp-millis"}"#
    );
    reads(&logical("int", "time-millis"), &branches, Value::Int(5), union(0, Value::TimeMillis(5)));
    // Unknown and misplaced ones are left out of account, as the specification says.
    for json in [
        logical("int", "fortnight"),
        logical("string", "date"),
        r#"{"type": "bytes", "logicalType": "decimal"}"#.to_owned(),
    ] {
        let label = schema(&json).name();
        assert!(["int", "string", "bytes"].contains(&label.as_str()), "{label}");
    }
}

#[test]
fn names_are_resolved_in_their_namespaces() {
    let writer = schema(
        r#"{"type": "record", "name": "a.Outer", "fields": [
            {"name": "x", "type": {"type": "fixed", "name": "F", "size": 1}},
            {"name": "y", "type": {"type": "record", "name": "b.Inner", "fields": [
                {"name": "f", "type": {"type": "fixed", "name": "F", "size": 2}}, {"name": "g", "type": "a.F"}]}},
            {"name": "z", "type": "F"}]}"#,
    );
    let bytes = [1, 2, 3, 4, 5];
    let value = decode_value(&Resolution::of(&writer).unwrap(), &bytes).unwrap();
    let fixed = |bytes: &[u8]| Value::Fixed(bytes.len(), bytes.to_vec());
    let inner = record(&[("f", fixed(&[2, 3])), ("g", fixed(&[4]))]);
    assert_eq!(value, record(&[("x", fixed(&[1])), ("y", inner), ("z", fixed(&[5]))]));
}

#[test]
fn schemas_that_refer_to_others_become_one() {
    let others = [
        r#"{"type": "record", "name": "p.Line", "fields": [{"name": "price", "type": "p.Price"}]}"#,
        r#"{"type": "bytes", "name": "unused"}"#,
        r#"{"type": "fixed", "name": "p.Price", "size": 8}"#,
    ];
    let text = r#"{"type": "record", "name": "q.Order", "fields": [{"name": "first", "type": "p.Line"}, {"name": "second", "type": "p.Line"}]}"#;
    assert!(AvroSchema::parse(text).is_err());
    let others = [others[0], others[2]];
    let schema = AvroSchema::parse_with(text, &others).unwrap();
    assert_eq!(
        schema.canonical_form(),
        r#"{"name":"q.Order","type":"record","fields":[{"name":"first","type":{"name":"p.Line","type":"record","fields":[{"name":"price","type":{"name":"p.Price","type":"fixed","size":8}}]}},{"name":"second","type":"p.Line"}]}"#,
    );
    assert_eq!(AvroSchema::parse(schema.json()).unwrap().canonical_form(), schema.canonical_form());
}
