//! Schemas: what is read as one, what is not, and what is made of it.

use std::fmt::Write;

use tidemill_serialization::avro::{AvroSchema, Resolution, conform, decode_value, encode_value};

fn canonical(json: &str) -> String {
    AvroSchema::parse(json).unwrap_or_else(|error| panic!("{json}: {error}")).canonical_form().to_owned()
}

#[track_caller]
fn refused(json: &str, words: &str) {
    let error = AvroSchema::parse_writer(json).expect_err("it was to be refused").to_string();
    assert!(error.contains(words), "no {words:?} in: {error}");
    assert!(error.len() < 1000, "{} bytes", error.len());
}

#[test]
fn names_and_aliases_are_bounded() {
    let long = "n".repeat(1025);
    let right = "n".repeat(1024);
    for definition in [
        r#"{"type": "record", "name": "@", "fields": []}"#,
        r#"{"type": "record", "name": "R", "fields": [{"name": "@", "type": "int"}]}"#,
        r#"{"type": "record", "name": "R", "fields": [{"name": "f", "aliases": ["@"], "type": "int"}]}"#,
        r#"{"type": "record", "name": "R", "aliases": ["@"], "fields": []}"#,
        r#"{"type": "enum", "name": "E", "symbols": ["@"]}"#,
        r#"{"type": "fixed", "name": "@", "size": 1}"#,
    ] {
        AvroSchema::parse(&definition.replace('@', &right)).unwrap();
        refused(&definition.replace('@', &long), "has 1025 bytes, at most 1024");
    }
    let namespace = format!(r#"{{"type": "fixed", "name": "F", "namespace": "{long}", "size": 1}}"#);
    refused(&namespace, "at most 1024");
    refused(&format!(r#""{long}""#), "at most 1024");

    let aliases = |count: usize| {
        let aliases: Vec<String> = (0..count).map(|i| format!("\"a{i}\"")).collect();
        format!(r#"{{"type": "fixed", "name": "F", "size": 1, "aliases": [{}]}}"#, aliases.join(", "))
    };
    AvroSchema::parse(&aliases(256)).unwrap();
    refused(&aliases(8000), "F has 8000 aliases, at most 256");
    // The whole schema was once kept for each of them.
    let many: Vec<String> = (0..60)
        .map(|i| aliases(250).replace("\"F\"", &format!("\"F{i}\"")).replace("\"a", &format!("\"a{i}_")))
        .collect();
    AvroSchema::parse(&format!("[{}]", many.join(", "))).unwrap();
}

#[test]
fn objects_around_types_are_looked_through() {
    let around = r#"{"name": "A", "type": {"type": "record", "name": "B", "fields": []}}"#;
    assert_eq!(AvroSchema::parse_with(r#""int""#, &[around]).unwrap().json(), r#""int""#);
    assert_eq!(AvroSchema::parse_with(r#""B""#, &[around]).unwrap().full_name(), Some("B"));
    assert_eq!(canonical(around), r#"{"name":"B","type":"record","fields":[]}"#);
    let date = AvroSchema::parse(r#"{"type": {"type": "int"}, "logicalType": "date"}"#).unwrap();
    assert_eq!(date.name(), "date (int)");
    assert_eq!(canonical(r#"{"type": ["null", {"type": "int"}]}"#), r#"["null","int"]"#);
}

#[test]
fn what_is_no_schema_is_refused_by_name() {
    for (json, words) in [
        ("3", "3 is no type"),
        ("[]", "no branches"),
        ("{}", "no \"type\""),
        (r#"{"type": "array"}"#, "no \"items\""),
        (r#"{"type": "map"}"#, "no \"values\""),
        (r#""bool""#, "perhaps boolean"),
        (r#"["int", "null", "int"]"#, "int as a branch twice"),
        (r#"["int", {"type": "int", "logicalType": "date"}]"#, "int as a branch twice"),
        (r#"["int", ["null"]]"#, "a union as a branch"),
        (
            r#"[{"type": "array", "items": "int"}, {"type": "array", "items": "long"}]"#,
            "array as a branch twice",
        ),
        (r#"{"type": "record", "name": "R"}"#, "R has no list of fields"),
        (r#"{"type": "record", "fields": []}"#, "record has no name"),
        (r#"{"type": "record", "name": "int", "fields": []}"#, "cannot be called int"),
        (r#"{"type": "record", "name": "a-b", "fields": []}"#, "is no name"),
        (r#"{"type": "record", "name": "a..B", "fields": []}"#, "is no name"),
        (r#"{"type": "record", "name": "R", "fields": [3]}"#, "field of R"),
        (r#"{"type": "record", "name": "R", "fields": [{"name": "f"}]}"#, "R.f has no type"),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "f", "type": "S"}]}"#,
            "\"S\", which is not defined",
        ),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "f", "type": "int"}, {"name": "f", "type": "int"}]}"#,
            "two fields R.f",
        ),
        (r#"{"type": "enum", "name": "E", "symbols": ["A", "A"]}"#, "\"A\" twice"),
        (r#"{"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}"#, "none of its symbols"),
        (r#"{"type": "fixed", "name": "F"}"#, "F has no size"),
        (r#"{"type": "fixed", "name": "F", "size": -1}"#, "F has no size"),
        (r#"{"type": "fixed", "name": "F", "size": 9000000000000000000}"#, "at most 16777216"),
        (
            r#"{"type": "record", "name": "R", "aliases": ["Q"], "fields": [{"name": "f", "type": ["null", "Q"]}]}"#,
            "\"Q\"",
        ),
    ] {
        refused(json, words);
    }
}

#[test]
fn logical_types_that_do_not_suit_are_left_out_of_account() {
    for (json, label) in [
        (r#"{"type": "array", "items": "int", "logicalType": "date"}"#, "array of int"),
        (r#"{"type": "array", "items": "int", "logicalType": "map"}"#, "array of int"),
        (r#"{"type": "enum", "name": "E", "symbols": ["A"], "logicalType": "uuid"}"#, "E"),
        (r#"{"type": "record", "name": "R", "fields": [], "logicalType": "duration"}"#, "R"),
        (r#"{"type": "int", "logicalType": 5}"#, "int"),
        (r#"{"type": "int", "logicalType": null}"#, "int"),
        (r#"{"type": "long", "logicalType": "date"}"#, "long"),
        (r#"{"type": "fixed", "name": "F", "size": 4, "logicalType": "duration"}"#, "F (fixed of 4)"),
        (r#"{"type": "fixed", "name": "F", "size": 4, "logicalType": "uuid"}"#, "F (fixed of 4)"),
        (r#"{"type": "bytes", "logicalType": "uuid"}"#, "bytes"),
        (r#"{"type": "bytes", "logicalType": "big-decimal"}"#, "bytes"),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": 0}"#, "bytes"),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": "9"}"#, "bytes"),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}"#, "bytes"),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": -1}"#, "bytes"),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": 2}"#, "decimal(2, 0) (bytes)"),
        // As many digits as there is room for, and one more.
        (
            r#"{"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2}"#,
            "decimal(9, 2) (F (fixed of 4))",
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 10}"#,
            "F (fixed of 4)",
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 0, "logicalType": "decimal", "precision": 1}"#,
            "F (fixed of 0)",
        ),
    ] {
        assert_eq!(AvroSchema::parse(json).unwrap().name(), label, "{json}");
    }
}

const MONEY: &str =
    r#"{"type":"fixed","name":"Money","size":8,"logicalType":"decimal","precision":10,"scale":2}"#;

#[test]
fn definitions_that_are_alike_are_one() {
    let a = r#"{"type":"record","name":"A","fields":[{"name":"m","type":"Money"}]}"#;
    let b = r#"{"type":"record","name":"B","fields":[{"name":"m","type":"Money"}]}"#;
    let both = r#"{"type":"record","name":"M","fields":[{"name":"a","type":"A"},{"name":"b","type":"B"}]}"#;
    // It once depended on the order in which a map was gone through.
    for _ in 0..50 {
        for others in [[MONEY, a, b], [b, a, MONEY], [a, MONEY, b]] {
            let schema = AvroSchema::parse_with(both, &others).unwrap();
            assert_eq!(schema.json().matches("decimal").count(), 1, "{}", schema.json());
        }
    }
    // One that has the other within, and both with the same within.
    let within = |name: &str, money: &str| {
        format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"m","type":{money}}}]}}"#)
    };
    let expected = AvroSchema::parse_with(both, &[MONEY, a, b]).unwrap();
    for others in [[within("A", MONEY), within("B", MONEY)], [within("A", MONEY), within("B", "\"Money\"")]] {
        let schema = AvroSchema::parse_with(both, &[&others[0], &others[1]]).unwrap();
        assert_eq!(schema.canonical_form(), expected.canonical_form());
    }
    // But not those that differ.
    for other in [
        MONEY.replace("10", "11"),
        MONEY.replace('8', "9"),
        MONEY.replace("fixed", "fixed\",\"aliases\":[\"M\"],\"doc\":\""),
    ] {
        let others = [within("A", MONEY), within("B", &other)];
        let error = AvroSchema::parse_with(both, &[&others[0], &others[1]]).unwrap_err().to_string();
        assert!(error.contains("defines Money twice, and not alike"), "{error}");
    }
    // Types that refer to each other, from wherever one begins.
    let tree = r#"{"type":"record","name":"p.Tree","fields":[{"name":"leaves","type":{"type":"array","items":"p.Leaf"}}]}"#;
    let leaf = r#"{"type":"record","name":"p.Leaf","fields":[{"name":"tree","type":["null","Tree"]}]}"#;
    let schema = AvroSchema::parse_with(r#"["p.Leaf","p.Tree"]"#, &[tree, leaf]).unwrap();
    assert_eq!(AvroSchema::parse(schema.json()).unwrap().canonical_form(), schema.canonical_form());
}

#[test]
fn types_without_a_namespace_stay_so() {
    let record =
        |fields: &str| format!(r#"{{"type":"record","name":"R","namespace":"a","fields":[{fields}]}}"#);
    let bare = r#"{"name":"x","type":{"type":"record","name":"Foo","namespace":"","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":[]}}]}}"#;
    let foo = r#"{"name":"Foo","type":"record","fields":[{"name":"e","type":{"name":"E","type":"enum","symbols":[]}}]}"#;
    let expected = |more: &str| {
        format!(r#"{{"name":"a.R","type":"record","fields":[{{"name":"x","type":{foo}}}{more}]}}"#)
    };
    assert_eq!(canonical(&record(bare)), expected(""));
    // Referred to with a dot in front; without one where there is no other.
    for reference in ["Foo", ".Foo"] {
        let json = record(&format!(r#"{bare},{{"name":"y","type":"{reference}"}}"#));
        assert_eq!(canonical(&json), expected(r#",{"name":"y","type":"Foo"}"#));
    }
    let other = r#"{"name":"y","type":{"type":"fixed","name":"Foo","size":1}}"#;
    let json = record(&format!(r#"{bare},{other},{{"name":"z","type":"Foo"}},{{"name":"u","type":".Foo"}}"#));
    let fields = r#",{"name":"y","type":{"name":"a.Foo","type":"fixed","size":1}},{"name":"z","type":"a.Foo"},{"name":"u","type":"Foo"}"#;
    assert_eq!(canonical(&json), expected(fields));
    // Written out, the names are read as the same ones again.
    let whole = AvroSchema::parse_with(r#"["null","a.R"]"#, &[&json]).unwrap();
    assert!(
        whole.json().contains(r#""namespace":"""#) && whole.json().contains(r#"".Foo""#),
        "{}",
        whole.json()
    );
    let again = AvroSchema::parse(whole.json()).unwrap();
    assert_eq!(again.canonical_form(), whole.canonical_form());
    let aliases = r#"{"type":"fixed","name":"a.F","size":1,"aliases":[".G","b.H","I"]}"#;
    let whole = AvroSchema::parse_with(r#"["null","a.F"]"#, &[aliases]).unwrap();
    assert!(whole.json().contains(r#""aliases":[".G","b.H","a.I"]"#), "{}", whole.json());
}

/// As `cargo test` and a subtask have it.
fn in_a_small_thread(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

fn arrays(within: &str, count: usize) -> String {
    format!("{}{within}{}", r#"{"type":"array","items":"#.repeat(count), "}".repeat(count))
}

#[test]
fn schemas_may_be_nested_as_deep_as_json_is_read() {
    in_a_small_thread(|| {
        let deepest = AvroSchema::parse(&arrays("\"int\"", 127)).unwrap();
        assert!(deepest.name().len() < 1100, "{}", deepest.name());
        let bytes = [vec![2; 127], vec![14], vec![0; 127]].concat();
        let value = decode_value(&Resolution::of(&deepest).unwrap(), &bytes).unwrap();
        let mut again = Vec::new();
        encode_value(&deepest, &conform(&deepest, value).unwrap(), &mut again).unwrap();
        assert_eq!(again, bytes);
        assert!(AvroSchema::parse(&arrays("\"int\"", 128)).is_err());
        // Unions, where most is to be done for each.
        let mut unions = "\"int\"".to_owned();
        for _ in 0..63 {
            unions = format!(r#"["null",{{"type":"array","items":{unions}}}]"#);
        }
        let unions = AvroSchema::parse(&unions).unwrap();
        Resolution::of(&unions).unwrap().check().unwrap();
        // Records within each other, with defaults.
        let mut records = r#"{"type":"record","name":"R","fields":[]}"#.to_owned();
        for i in 0..40 {
            records = format!(
                r#"{{"type":"record","name":"R{i}","fields":[{{"name":"f","type":{records},"default":{{}}}}]}}"#
            );
        }
        Resolution::of(&AvroSchema::parse(&records).unwrap()).unwrap().check().unwrap();
        // What is referred to counts where it is.
        let record = |name: &str, within: &str, count: usize| {
            let within = arrays(within, count);
            format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"f","type":{within}}}]}}"#)
        };
        let b = record("B", "\"int\"", 63);
        let whole = AvroSchema::parse_with(&record("A", "\"B\"", 58), &[&b]).unwrap();
        Resolution::of(&whole).unwrap().check().unwrap();
        assert_eq!(AvroSchema::parse(whole.json()).unwrap().canonical_form(), whole.canonical_form());
        let error = AvroSchema::parse_with(&record("A", "\"B\"", 59), &[&b]).unwrap_err().to_string();
        assert!(error.contains("nested more than 127 levels deep"), "{error}");
    });
}

#[test]
fn defaults_that_multiply_are_refused() {
    // Each has two of the one before, and none takes a byte.
    let mut fields = r#"{"name":"f0","type":{"type":"record","name":"R0","fields":[]}}"#.to_owned();
    for i in 1..40 {
        let p = i - 1;
        write!(
            fields,
            r#",{{"name":"f{i}","type":{{"type":"record","name":"R{i}","fields":[{{"name":"a","type":"R{p}","default":{{}}}},{{"name":"b","type":"R{p}","default":{{}}}}]}}}}"#
        )
        .unwrap();
    }
    let json = format!(
        r#"{{"type":"record","name":"R","fields":[{fields},{{"name":"g","type":"R39","default":{{}}}}]}}"#
    );
    let error = AvroSchema::parse(&json).unwrap_err().to_string();
    assert!(error.contains("takes too long"), "{error}");
    // They are worked out for the reader.
    let (writer, reader) =
        (r#"{"type":"record","name":"R","fields":[]}"#, AvroSchema::parse_writer(&json).unwrap());
    let writer = AvroSchema::parse(writer).unwrap();
    assert!(Resolution::new(&writer, &reader).is_err());
    // A default that suits many branches but for what is within.
    let mut json = "\"x\"".to_owned();
    for _ in 0..50 {
        json = format!(r#"{{"l":{json}}}"#);
    }
    let tree = r#"["int",{"type":"record","name":"Add","fields":[{"name":"l","type":["int","Add",{"type":"record","name":"Mul","fields":[{"name":"l","type":["int","Add","Mul"]}]}]}]},"Mul"]"#;
    let schema =
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{tree},"default":{json}}}]}}"#);
    assert!(AvroSchema::parse(&schema).unwrap_err().to_string().contains("the default of R.f"));
}

#[test]
fn symbols_are_compared_once_for_an_enum() {
    let symbols: Vec<String> = (0..30_000).map(|i| format!("\"s{i}\"")).collect();
    let fields: Vec<String> = (0..10_000).map(|i| format!(r#"{{"name":"a{i}","type":"E"}}"#)).collect();
    let json = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"e","type":{{"type":"enum","name":"E","symbols":[{}]}}}},{}]}}"#,
        symbols.join(","),
        fields.join(",")
    );
    let schema = AvroSchema::parse(&json).unwrap();
    // For each field anew it would be gigabytes.
    Resolution::of(&schema).unwrap().check().unwrap();
    // What is gone is told, but not ten thousand times.
    let other = AvroSchema::parse(&json.replace("\"s7\",", "")).unwrap();
    let error = Resolution::new(&schema, &other).unwrap().check().unwrap_err().to_string();
    assert!(error.contains("E with s7") && error.len() < 100_000, "{} bytes", error.len());
}

#[test]
fn branches_are_found_by_their_names() {
    let union = |namespace: &str, count: usize| {
        let branches: Vec<String> = (0..count)
            .map(|i| {
                format!(
                    r#"{{"type":"enum","name":"{}","symbols":[]}}"#,
                    namespace.replace('@', &i.to_string())
                )
            })
            .collect();
        format!("[{}]", branches.join(","))
    };
    let many = AvroSchema::parse(&union("E@", 4096)).unwrap();
    Resolution::of(&many).unwrap().check().unwrap();
    let elsewhere = AvroSchema::parse(&union("n.E@", 4096)).unwrap();
    Resolution::new(&many, &elsewhere).unwrap().check().unwrap();
    refused(&union("E@", 4097), "4097 branches, at most 4096");
    // Where all are called the same each would be compared with each.
    let (a, b) =
        (AvroSchema::parse(&union("a@.E", 4096)).unwrap(), AvroSchema::parse(&union("b@.E", 4096)).unwrap());
    Resolution::of(&a).unwrap().check().unwrap();
    let error = Resolution::new(&a, &b).unwrap_err().to_string();
    assert!(error.contains("too many of its types are alike"), "{error}");
}
