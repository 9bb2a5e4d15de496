//! Files of JSON lines as a source.

use std::fs;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampMillisecondType};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{FileSource, JsonOptions, TimestampFormat};

use crate::harness::{SourceDriver, failure, read_all};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("name", DataType::Utf8, true),
        Field::new("delay", DataType::Float64, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("ok", DataType::Boolean, true),
    ]))
}

fn file(content: impl AsRef<[u8]>) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("j.json");
    fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn fields_are_found_by_name_in_any_order() {
    let content = concat!(
        r#"{"id":1,"name":"a\nA","delay":2.50,"at":"2013-01-01 10:00:00.5","ok":true,"other":[1,{"x":2}]}"#,
        "\r\n\n",
        r#"{"ok":"false","name":{"b":[1, 2]},"id":"7","delay":"1e3"}"#,
        "\n",
        r#"  {"id":9,"name":null,"id":3.0,"name":12.50}  "#
    );
    let (_dir, path) = file(content);
    let rows = read_all(&FileSource::new(path, JsonOptions::new(), schema()).unwrap(), 10).unwrap().rows();
    let batch = &rows[0];
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values().as_ref(), [1, 7, 3]);
    let names: Vec<_> = batch.column(1).as_string::<i32>().iter().collect();
    assert_eq!(names, [Some("a\nA"), Some(r#"{"b":[1, 2]}"#), Some("12.50")]);
    let delays: Vec<_> = batch.column(2).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(delays, [Some(2.5), Some(1000.0), None]);
    let at: Vec<_> = batch.column(3).as_primitive::<TimestampMillisecondType>().iter().collect();
    assert_eq!(at, [Some(1_357_034_400_500), None, None]);
    assert_eq!(batch.column(4).as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
}

#[test]
fn timestamps_are_of_the_form_that_was_asked_for() {
    let (_dir, path) = file(r#"{"id":1,"at":"2013-01-01T10:00:00Z"}"#);
    let iso = JsonOptions::new().timestamp_format(TimestampFormat::Iso8601);
    let rows = read_all(&FileSource::new(&path, iso, schema()).unwrap(), 10).unwrap().rows();
    assert_eq!(rows[0].column(3).as_primitive::<TimestampMillisecondType>().value(0), 1_357_034_400_000);
    let error = failure(read_all(&FileSource::new(&path, JsonOptions::new(), schema()).unwrap(), 10));
    assert!(error.contains("line 1, column 'at': '2013-01-01T10:00:00Z' is not a timestamp of the form 2013-01-31 14:05:00.123"), "{error}");
    assert!(error.contains("'json.timestamp-format.standard'"), "{error}");
}

#[test]
fn a_malformed_line_is_named() {
    let cases: [(&[u8], &str); 10] = [
        (br#"{"id":"x"}"#, "line 2, column 'id': 'x' is not an integer"),
        (br#"{"id":null}"#, "line 2, column 'id': null, which the column must not be"),
        (
            br#"{"name":"a"}"#,
            "line 2, column 'id': the object has no field 'id', and the column must not be NULL",
        ),
        (
            br#"{"id":1,"delay":{"a":1}}"#,
            r#"line 2, column 'delay': '{"a":1}' is an object, but one value is expected"#,
        ),
        (
            br#"{"id":1,"at":5}"#,
            "line 2, column 'at': '5' is not a string, as dates, timestamps and binaries are written",
        ),
        (b"[1]", "line 2: '[1]' is not a JSON object"),
        (b"12", "line 2: '12' is not a JSON object"),
        (
            br#"{"id":1"#,
            "line 2: the line is not valid JSON: EOF while parsing an object, at character 7 near '{\"id\":1'",
        ),
        (
            br#"{"id":1} x"#,
            "line 2: the line is not valid JSON: trailing characters, at character 10 near '{\"id\":1} x'",
        ),
        (
            b"{\"id\":1,\"name\":\"\xff\"}",
            "line 2: the line is not valid UTF-8: '{\"id\":1,\"name\":\"\u{fffd}\"}'",
        ),
    ];
    for (line, expected) in cases {
        let content = [b"{\"id\":1}\n", line, b"\n{\"id\":2}"].concat();
        let (_dir, path) = file(content);
        let error = failure(read_all(&FileSource::new(&path, JsonOptions::new(), schema()).unwrap(), 10));
        let does = if expected.contains("column '") { "makes such values NULL" } else { "skips such lines" };
        assert_eq!(error, format!("{path} {expected} ('json.ignore-parse-errors' {does})"));
        let ignoring = JsonOptions::new().ignore_parse_errors(true);
        let source = FileSource::new(&path, ignoring, schema()).unwrap();
        let rows = read_all(&source, 10).unwrap().rows();
        let ids = rows[0].column(0).as_primitive::<Int32Type>().values();
        // A value that may be NULL is, and what stands behind an object is left out.
        if ["'delay'", "'at'", "trailing"].iter().any(|kept| expected.contains(kept)) {
            assert_eq!(ids.as_ref(), [1, 1, 2], "{expected}");
        } else {
            assert_eq!(ids.as_ref(), [1, 2], "{expected}");
            assert_eq!(source.parse_errors().first(), [format!("{path} {expected}")]);
        }
    }
}

#[test]
fn bad_values_are_null_when_errors_are_ignored() {
    let lines = [
        r#"{"id":3.7,"name":5,"delay":"late","at":"2013-01-01T10:00:00"}"#,
        r#"{"id":1e1,"name":{"a":[1]},"delay":" 2.5 ","at":"2013-01-01 10:00:00Z"}"#,
        r#"{"id":" 4 ","name":"\u0078","delay":1e400,"at":"2013-01-01 10:00:00"} and more"#,
        r#"{"id":"","name":"no number"}"#,
    ];
    let (_dir, path) = file(lines.join("\n"));
    let ignoring = JsonOptions::new().ignore_parse_errors(true);
    let rows = read_all(&FileSource::new(&path, ignoring, schema()).unwrap(), 10).unwrap().rows();
    let batch = &rows[0];
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values().as_ref(), [3, 10, 4]);
    let names: Vec<_> = batch.column(1).as_string::<i32>().iter().flatten().collect();
    assert_eq!(names, ["5", r#"{"a":[1]}"#, "x"]);
    let times = batch.column(3).as_primitive::<TimestampMillisecondType>();
    assert_eq!(times.iter().collect::<Vec<_>>(), [None, None, Some(1_357_034_400_000)]);
}

#[test]
fn a_missing_field_fails_when_it_is_asked_to() {
    let (_dir, path) = file(r#"{"id":1}"#);
    let strict = JsonOptions::new().fail_on_missing_field(true);
    let error = failure(read_all(&FileSource::new(&path, strict, schema()).unwrap(), 10));
    assert!(
        error.contains("the object has no field 'name', and 'json.fail-on-missing-field' is on"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn texts_survive_and_restores_lose_nothing(
        rows in prop::collection::vec((any::<i32>(), any::<Option<String>>()), 0..40),
        steps in prop::collection::vec((1usize..7, 0usize..4), 1..12),
        size in 1u64..80,
    ) {
        let lines: Vec<String> = rows
            .iter()
            .map(|(id, name)| format!(r#"{{"id":{id},"name":{}}}"#, serde_json::to_string(name).unwrap()))
            .collect();
        let (_dir, path) = file(lines.join("\n"));
        let source = FileSource::new(path, JsonOptions::new(), schema()).unwrap().split_bytes(size);
        let mut driver = SourceDriver::new(&source, 2, 3).unwrap();
        for (step, polls) in steps {
            for _ in 0..polls {
                if !driver.ended {
                    driver.poll().unwrap();
                }
            }
            driver = driver.restore(&source, 2, step).unwrap();
        }
        driver.run().unwrap();
        let mut read = Vec::new();
        for batch in driver.rows() {
            let ids = batch.column(0).as_primitive::<Int32Type>().values().to_vec();
            let names = batch.column(1).as_string::<i32>().iter().map(|name| name.map(str::to_owned));
            read.extend(ids.into_iter().zip(names));
        }
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn any_bytes_are_rows_or_errors(content in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_dir, path) = file(&content);
        let _ = read_all(&FileSource::new(&path, JsonOptions::new(), schema()).unwrap(), 3);
        let options = JsonOptions::new().ignore_parse_errors(true);
        prop_assert!(read_all(&FileSource::new(&path, options, schema()).unwrap(), 3).is_ok());
    }

    #[test]
    fn almost_json_is_rows_or_errors(content in r#"[{}\[\]":,0-9a-z\\\nidname]{0,80}"#) {
        let (_dir, path) = file(&content);
        let options = JsonOptions::new().ignore_parse_errors(true);
        prop_assert!(read_all(&FileSource::new(&path, options, schema()).unwrap(), 3).is_ok());
    }
}
