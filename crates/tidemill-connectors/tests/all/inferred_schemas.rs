//! Schemas that follow from what is in files.

use std::fs;

use arrow_schema::{DataType, Schema, TimeUnit};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{
    CsvHeader, CsvOptions, FileSource, JsonOptions, TimestampFormat, infer_csv_schema, infer_csv_schema_with,
    infer_json_schema, infer_json_schema_with,
};

use crate::harness::read_all;

fn folder(files: &[(&str, &[u8])]) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let path = dir.path().to_str().unwrap().to_owned();
    (dir, path)
}

fn shown(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| format!("{} {}", field.name(), type_text(field.data_type()))).collect()
}

fn type_text(data_type: &DataType) -> String {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        _ => 9,
    };
    match data_type {
        DataType::Utf8 => "STRING".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(precision, None) => format!("TIMESTAMP({})", unit(precision)),
        DataType::Timestamp(precision, Some(_)) => format!("TIMESTAMP_LTZ({})", unit(precision)),
        DataType::Struct(fields) => format!("ROW<{}>", shown(&Schema::new(fields.clone())).join(", ")),
        DataType::List(item) => format!("ARRAY<{}>", type_text(item.data_type())),
        other => panic!("{other} is never inferred"),
    }
}

#[test]
fn csv_columns_have_the_narrowest_type() {
    let content = b"id,price,ok,day,at,exact,zoned,code,mixed,none,long\n\
        1,1,true,2013-01-31,2013-01-31 14:05:00,2013-01-31T14:05:00.0001,2013-01-31T14:05:00Z,007,1,,1\n\
        -2,1.5,FALSE,2013-02-28,2013-01-31 14:05:00.5,,2013-01-31T14:05:00+01:00,12,x,,99999999999999999999\n\
        ,,,,,,,,,,\n";
    let (_dir, path) = folder(&[("a.csv", content)]);
    let schema = infer_csv_schema(&path, 1000).unwrap();
    let expected = [
        "id BIGINT",
        "price DOUBLE",
        "ok BOOLEAN",
        "day DATE",
        "at TIMESTAMP(3)",
        "exact TIMESTAMP(6)",
        "zoned TIMESTAMP_LTZ(3)",
        "code STRING",
        "mixed STRING",
        "none STRING",
        "long STRING",
    ];
    assert_eq!(shown(&schema), expected);
    assert!(schema.fields().iter().all(|field| field.is_nullable()));
    // Only the first record is looked at.
    assert_eq!(shown(&infer_csv_schema(&path, 1).unwrap())[1], "price BIGINT");
    let source = FileSource::new(&path, CsvOptions::new().header(CsvHeader::ByName), schema).unwrap();
    assert_eq!(read_all(&source, 100).unwrap().rows()[0].num_rows(), 3);
}

#[test]
fn csv_options_count_for_inference() {
    let (_dir, path) = folder(&[("a.csv", b"# x\nJFK;NA\nLGA;7\n"), ("b.csv", b"EWR;1.5\n")]);
    let options = CsvOptions::new().field_delimiter(";").null_literal("NA").allow_comments(true);
    let schema = infer_csv_schema_with(&path, &options, 1000).unwrap();
    assert_eq!(shown(&schema), ["f0 STRING", "f1 DOUBLE"]);
    let named = options.clone().field_names(["airport", "delay"]);
    assert_eq!(shown(&infer_csv_schema_with(&path, &named, 2).unwrap()), ["airport STRING", "delay BIGINT"]);

    let (_dir, path) = folder(&[("a.csv", b"a,b\n1,2\n1\n"), ("b.csv", b"b,a\nx,3\n")]);
    let error = infer_csv_schema(&path, 10).unwrap_err().to_string();
    assert!(error.contains("a.csv line 3: the line '1' has 1 fields, but 2 are expected"), "{error}");
    let lenient = CsvOptions::new().header(CsvHeader::ByName).ignore_parse_errors(true);
    assert_eq!(shown(&infer_csv_schema_with(&path, &lenient, 10).unwrap()), ["a BIGINT", "b STRING"]);
    let (_dir, path) = folder(&[("a.csv", b"a,a\n1,2\n")]);
    assert!(infer_csv_schema(&path, 10).unwrap_err().to_string().contains("two columns have the name 'a'"));
    let (_dir, path) = folder(&[("a.csv", b"\n\n")]);
    assert!(infer_csv_schema(&path, 10).unwrap_err().to_string().contains("there are no records"));
    assert!(infer_csv_schema("/does/not/exist", 10).is_err());
}

#[test]
fn json_columns_nest() {
    let content = concat!(
        r#"{"id":1,"bid":{"price":12,"at":"2013-01-31 14:05:00"},"tags":["a",null],"any":1,"none":null}"#,
        "\n\n",
        r#"{"bid":{"price":1.5,"by":{"age":7}},"tags":[],"any":{"x":1},"points":[{"x":1},{"y":true}],"empty":{}}"#,
        "\n",
        r#"{"id":18446744073709551615,"bid":null,"any":[1],"day":"2013-01-31","iso":"2013-01-31T14:05:00.123456"}"#,
        "\n",
    );
    let (_dir, path) = folder(&[("a.json", content.as_bytes())]);
    let schema = infer_json_schema(&path, 1000).unwrap();
    let expected = [
        "id STRING",
        "bid ROW<price DOUBLE, at TIMESTAMP(3), by ROW<age BIGINT>>",
        "tags ARRAY<STRING>",
        "any STRING",
        "none STRING",
        "points ARRAY<ROW<x BIGINT, y BOOLEAN>>",
        "empty STRING",
        "day DATE",
        "iso STRING",
    ];
    assert_eq!(shown(&schema), expected);
    let source = FileSource::new(&path, JsonOptions::new(), schema).unwrap();
    assert_eq!(read_all(&source, 100).unwrap().rows()[0].num_rows(), 3);
    let iso = JsonOptions::new().timestamp_format(TimestampFormat::Iso8601);
    let schema = infer_json_schema_with(&path, &iso, 1000).unwrap();
    assert_eq!(shown(&schema)[8], "iso TIMESTAMP(6)");
    assert_eq!(shown(&infer_json_schema(&path, 1).unwrap())[0], "id BIGINT");
}

#[test]
fn json_that_is_none_is_named() {
    let (_dir, path) = folder(&[("a.json", b"{\"a\":1}\n[1]\n{\"a\":\"x\"}\n{\"a\":1,\"b\":\n")]);
    let error = infer_json_schema(&path, 10).unwrap_err().to_string();
    assert!(
        error.contains("a.json line 2: '[1]' is not a JSON object ('json.ignore-parse-errors'"),
        "{error}"
    );
    let schema = infer_json_schema_with(&path, &JsonOptions::new().ignore_parse_errors(true), 10).unwrap();
    assert_eq!(shown(&schema), ["a STRING"]);
    let (_dir, path) = folder(&[("a.json", b"")]);
    assert!(infer_json_schema(&path, 10).unwrap_err().to_string().contains("there are no records"));
}

proptest! {
    /// Whatever a file has: what is inferred of all of it reads all of it.
    #[test]
    fn csv_that_was_inferred_is_read(
        table in prop::collection::vec(prop::collection::vec(
            "|0|-7|1.5|1e9|true|2013-01-31|2013-01-31 14:05:00(\\.[0-9]{1,9})?Z?|[a-z \"]{0,3}", 3), 1..12),
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        table.iter().for_each(|row| writer.write_record(row).unwrap());
        let (_dir, path) = folder(&[("t.csv", &writer.into_inner().unwrap())]);
        let schema = infer_csv_schema(&path, 1000).unwrap();
        let source = FileSource::new(&path, CsvOptions::new().header(CsvHeader::ByName), schema).unwrap();
        let rows: usize = read_all(&source, 100).unwrap().rows().iter().map(|batch| batch.num_rows()).sum();
        prop_assert_eq!(rows, table.len());
    }

    #[test]
    fn json_that_was_inferred_is_read(
        values in prop::collection::vec(prop::sample::select(vec![
            "1", "-1", "1.5", "true", "null", "\"x\"", "\"2013-01-31\"", "\"2013-01-31 14:05:00\"", "[]",
            "[1]", "[null,\"x\"]", "{}", "{\"a\":1}", "{\"a\":[{\"b\":2}]}", "{\"a\":{\"b\":null}}", "[[1],[\"x\"]]",
        ]), 1..8),
    ) {
        let line = |value: &&str| format!("{{\"v\":{value},\"w\":{{\"x\":{value}}}}}");
        let lines: Vec<String> = values.iter().map(line).collect();
        let (_dir, path) = folder(&[("t.json", lines.join("\n").as_bytes())]);
        let schema = infer_json_schema(&path, 1000).unwrap();
        let source = FileSource::new(&path, JsonOptions::new(), schema).unwrap();
        let rows: usize = read_all(&source, 100).unwrap().rows().iter().map(|batch| batch.num_rows()).sum();
        prop_assert_eq!(rows, values.len());
    }

    #[test]
    fn any_bytes_have_a_schema_or_an_error(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_dir, path) = folder(&[("t", &content)]);
        let _ = (infer_csv_schema(&path, 10), infer_json_schema(&path, 10));
        let _ = infer_json_schema_with(&path, &JsonOptions::new().ignore_parse_errors(true), 10);
    }
}
