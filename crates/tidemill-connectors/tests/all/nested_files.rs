//! Rows, arrays, maps and decimals in files of JSON lines and CSV.

use std::fs;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{
    CollectRowsSink, CsvOptions, CsvOutput, FileFormat, FileSink, FileSource, FloatFormat, InstantFormat,
    JsonOptions, JsonOutput, OutputFormat, TimestampFormat,
};
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::{OperatorError, OperatorFactory};
use tidemill_testkit::Random;

use crate::harness::{SinkDriver, failure, read_all};
use crate::nested_rows::{Nested, rows};

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn row(fields: Vec<Field>) -> DataType {
    DataType::Struct(Fields::from(fields))
}

fn list(item: DataType) -> DataType {
    DataType::new_list(item, true)
}

fn map(value: DataType) -> DataType {
    let entries = vec![Field::new("key", DataType::Utf8, false), field("value", value)];
    DataType::Map(Arc::new(Field::new("entries", row(entries), false)), false)
}

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

/// What a file with this content has, as Flink prints it.
fn read(
    format: impl Into<FileFormat>,
    schema: &SchemaRef,
    content: impl AsRef<[u8]>,
) -> Result<Vec<String>, OperatorError> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, content).unwrap();
    let source = FileSource::new(path.to_str().unwrap(), format, Arc::clone(schema)).unwrap();
    let driver = read_all(&source, 1000)?;
    let sink = CollectRowsSink::new();
    let mut collect = SinkDriver::new(sink.create(0).unwrap(), 0, 1);
    for (_, batch) in driver.batches {
        collect.write(batch).unwrap();
    }
    Ok(sink.results().texts())
}

/// Why a file cannot be read, without where it is.
fn problem(format: impl Into<FileFormat>, schema: &SchemaRef, content: &str) -> String {
    let message = failure(read(format, schema, content));
    message.split_once(" line ").map_or(message.clone(), |(_, rest)| rest.to_owned())
}

/// Writes rows, and gives the schema, that some rows have, to what reads them back.
fn written(format: impl Into<OutputFormat>, rows: &RecordBatch) -> String {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f");
    let sink = FileSink::single_file(&path, format, rows.schema()).unwrap();
    let mut sink = SinkDriver::new(sink.create(0).unwrap(), 0, 1);
    sink.open(None).unwrap();
    sink.write(Batch::new(ArrowBatch::inserts(rows.clone()))).unwrap();
    sink.finish().unwrap();
    fs::read_to_string(path).unwrap()
}

fn read_rows(format: impl Into<FileFormat>, schema: &SchemaRef, content: &str) -> Vec<RecordBatch> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, content).unwrap();
    let source = FileSource::new(path.to_str().unwrap(), format, Arc::clone(schema)).unwrap();
    read_all(&source, 100_000).unwrap().rows()
}

fn events() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    schema(vec![
        field(
            "bid",
            row(vec![
                field("price", DataType::Decimal128(10, 2)),
                field("at", time),
                field("by", row(vec![field("name", DataType::Utf8), field("age", DataType::Int32)])),
            ]),
        ),
        field("tags", list(DataType::Utf8)),
        field("counts", map(DataType::Int64)),
        field("points", list(row(vec![field("x", DataType::Float64), field("y", DataType::Float64)]))),
        field("seen", zoned),
        field("time", DataType::Time32(TimeUnit::Millisecond)),
    ])
}

#[test]
fn json_nests_as_deep_as_the_schema() {
    let lines = concat!(
        r#"{"bid":{"price":12.345,"at":"2013-01-31 14:05:00","by":{"name":"a\"b","age":7},"other":{"x":[1]}},"#,
        r#""tags":["x",null,"\u00e9"],"counts":{"a":1,"b\n":null},"points":[{"x":1},{"y":2.5,"x":-1},null],"#,
        r#""seen":"2013-01-31 14:05:00.5Z","time":"14:05:00.25"}"#,
        "\n",
        r#"{"tags":[],"counts":{},"bid":{},"points":null}"#,
        "\n",
        r#"{"bid":null}"#,
        "\n",
        r#"{"bid":{"by":null,"price":"1e3"},"tags":[[1],{"a":2},true]}"#,
        "\n",
    );
    let expected = [
        "+I[+I[12.35, 2013-01-31T14:05, +I[a\"b, 7]], [x, null, é], {a=1, b\n=null}, \
         [+I[1.0, null], +I[-1.0, 2.5], null], 2013-01-31T14:05:00.500Z, 14:05:00.250]",
        "+I[+I[null, null, null], [], {}, null, null, null]",
        "+I[null, null, null, null, null, null]",
        "+I[+I[1000.00, null, null], [[1], {\"a\":2}, true], null, null, null, null]",
    ];
    assert_eq!(read(JsonOptions::new(), &events(), lines).unwrap(), expected);
}

#[test]
fn fields_that_are_not_wanted_are_skipped() {
    let some = schema(vec![
        field("points", list(row(vec![field("y", DataType::Float64)]))),
        field("bid", row(vec![field("by", row(vec![field("age", DataType::Int32)]))])),
    ]);
    // What is skipped may be anything.
    let lines = concat!(
        r#"{"bid":{"price":"much","at":17,"by":{"name":[],"age":7}},"tags":1,"points":[{"x":{},"y":1}]}"#,
        "\n",
        r#"{"bid":{"price":"much","by":{"age":8}}}"#,
    );
    let expected = ["+I[[+I[1.0]], +I[+I[7]]]", "+I[null, +I[+I[8]]]"];
    assert_eq!(read(JsonOptions::new(), &some, lines).unwrap(), expected);
    let none = schema(vec![field("bid", row(Vec::new())), field("other", row(Vec::new()))]);
    assert_eq!(read(JsonOptions::new(), &none, lines).unwrap(), ["+I[+I[], null]", "+I[+I[], null]"]);
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    let schema = schema(vec![
        field("counts", map(DataType::Int64)),
        field("deep", map(map(DataType::Int32))),
        field("row", row(vec![field("a", list(DataType::Int32))])),
    ]);
    let lines = concat!(
        r#"{"counts":{"a":1,"b":2},"row":{"a":[1,2],"a":[3]}}"#,
        "\n",
        r#"{"counts":{"a":1,"b":2,"a":3,"c":4,"\u0062":5},"deep":{"x":{"y":1,"y":2},"x":{"z":1,"z":3}}}"#,
        "\n",
        r#"{"counts":{"a":1},"row":{"a":[1]},"row":null}"#,
    );
    let expected =
        ["+I[{a=1, b=2}, null, +I[[3]]]", "+I[{a=3, c=4, b=5}, {x={z=3}}, null]", "+I[{a=1}, null, null]"];
    assert_eq!(read(JsonOptions::new(), &schema, lines).unwrap(), expected);
    // More keys than are compared one by one.
    let many: Vec<String> = (0..1000).map(|key| format!("\"k{}\":{key}", key % 400)).collect();
    let line = format!("{{\"counts\":{{{}}}}}\n", many.join(","));
    let shown = read(JsonOptions::new(), &schema, line.repeat(3)).unwrap();
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|row| row.matches('=').count() == 400 && row.contains("k0=800")), "{shown:?}");
}

#[test]
fn what_is_wrong_is_named_with_its_path() {
    let nested = schema(vec![
        field(
            "bid",
            row(vec![field("price", DataType::Decimal128(4, 2)), field("tags", list(DataType::Int8))]),
        ),
        field("points", list(row(vec![Field::new("x", DataType::Float64, false)]))),
        field("by", map(row(vec![field("age", DataType::Int32)]))),
        field("time", DataType::Time32(TimeUnit::Millisecond)),
    ]);
    for (line, expected) in [
        (r#"{"bid":{"price":"x"}}"#, "1, column 'bid.price': 'x' is not a decimal number"),
        (
            r#"{"bid":{"price":100}}"#,
            "1, column 'bid.price': '100' has more than the 2 digits before the point that a DECIMAL(4, 2) \
             has room for",
        ),
        (r#"{"bid":{"tags":[1,2,300]}}"#, "1, column 'bid.tags[2]': '300' is not between -128 and 127"),
        (
            r#"{"bid":{"tags":{"a":1}}}"#,
            r#"1, column 'bid.tags': '{"a":1}' is an object, but an array is expected"#,
        ),
        (r#"{"bid":[1,"b"]}"#, r#"1, column 'bid': '[1,"b"]' is an array, but an object is expected"#),
        (r#"{"bid":"b"}"#, "1, column 'bid': 'b' is a string, but an object is expected"),
        (r#"{"bid":1.5}"#, "1, column 'bid': '1.5' is a number, but an object is expected"),
        (r#"{"points":[{"x":1},{"x":null}]}"#, "1, column 'points[1].x': null, which the column must not be"),
        (
            r#"{"points":[{"x":1},{}]}"#,
            "1, column 'points[1].x': the object has no field 'x', and the column must not be NULL",
        ),
        (r#"{"points":[true]}"#, "1, column 'points[0]': 'true' is a boolean, but an object is expected"),
        (r#"{"by":{"ann":{"age":"old"}}}"#, "1, column 'by['ann'].age': 'old' is not an integer"),
        (r#"{"by":{"ann":-1}}"#, "1, column 'by['ann']': '-1' is a number, but an object is expected"),
        (r#"{"time":"25:00:00"}"#, "1, column 'time': '25:00:00' is not a time of the form 14:05:00.123"),
    ] {
        let found = problem(JsonOptions::new(), &nested, line);
        assert_eq!(found, format!("{expected} ('json.ignore-parse-errors' makes such values NULL)"));
        let lines = format!("{line}\n{{}}\n{line}\n");
        let rest = read(JsonOptions::new().ignore_parse_errors(true), &nested, lines).unwrap();
        // A part that must not be NULL takes its line with it, others are NULL where they are.
        let kept = if expected.contains("must not be") { 1 } else { 3 };
        assert_eq!(rest.len(), kept, "{expected}: {rest:?}");
        assert!(rest.contains(&"+I[null, null, null, null]".to_owned()), "{expected}: {rest:?}");
    }
    let strict = JsonOptions::new().fail_on_missing_field(true);
    let inner = schema(vec![field("bid", row(vec![field("price", DataType::Int64)]))]);
    let found = problem(strict, &inner, r#"{"bid":{}}"#);
    assert!(found.starts_with("1, column 'bid.price': the object has no field 'price'"), "{found}");
}

#[test]
fn types_that_a_format_does_not_have_are_refused() {
    let by_number = |value| {
        let entries = vec![Field::new("key", DataType::Int32, false), field("value", value)];
        DataType::Map(Arc::new(Field::new("entries", row(entries), false)), false)
    };
    let deep = schema(vec![field("a", row(vec![field("b", list(list(DataType::Date64)))]))]);
    let error =
        FileSource::new("f", JsonOptions::new(), Arc::clone(&deep)).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.starts_with("column 'a.b[][]' has the type Date64, which JSON files cannot have here"),
        "{error}"
    );
    let keys = schema(vec![field("m", by_number(DataType::Int32))]);
    assert!(FileSource::new("f", JsonOptions::new(), Arc::clone(&keys)).is_err());
    assert!(FileSink::single_file("f", JsonOutput::new(), keys).is_err());
    for nested in
        [list(list(DataType::Int32)), map(DataType::Int32), list(row(vec![field("x", DataType::Int32)]))]
    {
        let schema = schema(vec![field("c", nested)]);
        assert!(FileSource::new("f", CsvOptions::new(), Arc::clone(&schema)).is_err());
        assert!(FileSink::single_file("f", CsvOutput::new(), schema).is_err());
    }
}

#[test]
fn csv_has_arrays_and_rows_in_a_field() {
    let schema = schema(vec![
        field("id", DataType::Int32),
        field("tags", list(DataType::Utf8)),
        field("place", row(vec![field("lat", DataType::Decimal128(5, 2)), field("name", DataType::Utf8)])),
    ]);
    let lines = "1,a;b;,1.005;x\n2,,\n\"3\",\"a,b\",\" 2 ;\"\n4,NA;x,NA;NA\n5,NA,NA\n";
    let options = CsvOptions::new().null_literal("NA");
    let expected = [
        "+I[1, [a, b, ], +I[1.01, x]]",
        "+I[2, [], null]",
        "+I[3, [a,b], +I[2.00, ]]",
        "+I[4, [null, x], +I[null, null]]",
        "+I[5, null, null]",
    ];
    assert_eq!(read(options, &schema, lines).unwrap(), expected);
    let pipes = CsvOptions::new().array_element_delimiter("||");
    assert_eq!(read(pipes, &schema, "1,a||b|c,2||y\n").unwrap(), ["+I[1, [a, b|c], +I[2.00, y]]"]);
    for (line, expected) in [
        ("1,a,x;y", "1, column 'place.lat': 'x' is not a decimal number"),
        ("1,a,1", "1, column 'place': '1' has no part for the field 'name'"),
        ("1,a,1;2;3", "1, column 'place': '1;2;3' has more parts than the 2 fields of the row"),
        ("1,a,1000;x", "1, column 'place.lat': '1000' has more than the 3 digits before the point"),
    ] {
        let found = problem(CsvOptions::new(), &schema, line);
        assert!(found.starts_with(expected), "{found}");
    }
    let numbers = self::schema(vec![field("n", list(DataType::Int8)), field("s", DataType::Utf8)]);
    let found = problem(CsvOptions::new(), &numbers, "1;2;x,\n");
    assert!(found.starts_with("1, column 'n[2]': 'x' is not an integer"), "{found}");
    assert!(FileSource::new("f", CsvOptions::new().array_element_delimiter(""), numbers).is_err());
}

#[test]
fn named_fields_of_csv_need_no_header_to_be_left_out() {
    let some = schema(vec![field("c", DataType::Int32), field("a", DataType::Utf8)]);
    let options = CsvOptions::new().field_names(["a", "b", "c"]);
    assert_eq!(read(options.clone(), &some, "x,y,1\nz,,2\n").unwrap(), ["+I[1, x]", "+I[2, z]"]);
    let found = problem(options, &some, "x,1\n");
    assert!(found.starts_with("1: the line 'x,1' has 2 fields, but 3 are expected"), "{found}");
    let found = failure(read(CsvOptions::new().field_names(["a", "b"]), &some, "x,y\n"));
    assert_eq!(found, "the option 'field_names' has no column 'c': it has 'a', 'b'");
}

#[test]
fn decimals_and_maps_are_written_as_by_flink() {
    let json =
        r#"{"d":[100.00,0.00000003,12.50,0,-7],"m":{"a":null,"b\"":1.5},"r":{"x":null,"t":"14:05:00.5"}}"#;
    let schema = schema(vec![
        field("d", list(DataType::Decimal128(20, 8))),
        field("m", map(DataType::Float64)),
        field(
            "r",
            row(vec![field("x", DataType::Utf8), field("t", DataType::Time32(TimeUnit::Millisecond))]),
        ),
    ]);
    let rows = read_rows(JsonOptions::new(), &schema, json).remove(0);
    assert_eq!(
        written(JsonOutput::new(), &rows),
        "{\"d\":[1E+2,3E-8,12.5,0,-7],\"m\":{\"a\":null,\"b\\\"\":1.5},\"r\":{\"x\":null,\"t\":\"14:05:00.5\"}}\n"
    );
    let plain = JsonOutput::new().decimal_as_plain_number(true).ignore_null_fields(true);
    assert_eq!(
        written(plain, &rows),
        "{\"d\":[100,0.00000003,12.5,0,-7],\"m\":{\"a\":null,\"b\\\"\":1.5},\"r\":{\"t\":\"14:05:00.5\"}}\n"
    );
    let columns = rows.project(&[0, 2]).unwrap();
    assert_eq!(written(CsvOutput::new(), &columns), "1E+2;3E-8;12.5;0;-7,;14:05:00.5\n");
    let plain = CsvOutput::new().write_bigdecimal_in_scientific_notation(false).array_element_delimiter(",");
    assert_eq!(
        written(plain.null_literal("NA"), &columns),
        "\"100,0.00000003,12.5,0,-7\",\"NA,14:05:00.5\"\n"
    );
}

#[test]
fn quotes_can_be_escaped_or_left_out_when_written() {
    use arrow_array::{ArrayRef, StringArray};

    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a\"b\\c", "d,e", "f"]));
    let rows = RecordBatch::try_from_iter([("t", texts)]).unwrap();
    let schema = schema(vec![field("t", DataType::Utf8)]);
    let escaped = written(CsvOutput::new().escape_character('\\'), &rows);
    assert_eq!(escaped, "\"a\\\"b\\\\c\"\n\"d,e\"\nf\n");
    let back = read(CsvOptions::new().escape_character('\\'), &schema, escaped).unwrap();
    assert_eq!(back, ["+I[a\"b\\c]", "+I[d,e]", "+I[f]"]);
    assert_eq!(written(CsvOutput::new().disable_quote_character(), &rows), "a\"b\\c\nd,e\nf\n");
    for bad in [CsvOutput::new().escape_character(','), CsvOutput::new().array_element_delimiter("")] {
        assert!(FileSink::single_file("f", bad, Arc::clone(&schema)).is_err());
    }
}

/// JSON in all the forms that it can be written in.
fn json_forms(random: &mut Random) -> (JsonOutput, JsonOptions) {
    let (written, read) = match random.below(2) {
        0 => (InstantFormat::Sql, TimestampFormat::Sql),
        _ => (InstantFormat::Iso8601, TimestampFormat::Iso8601),
    };
    let floats = if random.one_in(2) { FloatFormat::Java } else { FloatFormat::Plain };
    let output = JsonOutput::new()
        .timestamp_format(written)
        .float_format(floats)
        .ignore_null_fields(random.one_in(2))
        .decimal_as_plain_number(random.one_in(2));
    (output, JsonOptions::new().timestamp_format(read))
}

fn one_batch(schema: SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    match batches {
        [] => RecordBatch::new_empty(schema),
        [one] => one.clone(),
        _ => panic!("{} batches of few rows", batches.len()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_written_as_json_is_read(seed: u64, count in 0usize..20) {
        let random = &mut Random::seeded(seed);
        let rows = rows(random, Nested::Deep(3), count);
        let (output, options) = json_forms(random);
        let lines = written(output, &rows);
        let read = read_rows(options, &rows.schema(), &lines);
        prop_assert_eq!(one_batch(rows.schema(), &read), rows, "{}", lines);
    }

    #[test]
    fn what_is_written_as_csv_is_read(seed: u64, count in 0usize..20) {
        let random = &mut Random::seeded(seed);
        let rows = rows(random, Nested::Once, count);
        let output = CsvOutput::new()
            .null_literal("\\N")
            .array_element_delimiter("|~")
            .write_bigdecimal_in_scientific_notation(random.one_in(2));
        let lines = written(output, &rows);
        let options = CsvOptions::new().null_literal("\\N").array_element_delimiter("|~");
        let read = read_rows(options, &rows.schema(), &lines);
        prop_assert_eq!(one_batch(rows.schema(), &read), rows, "{}", lines);
    }

    /// Some of the columns, in another order, and of rows some of the fields: the same values as in all of
    /// them.
    #[test]
    fn a_part_of_a_schema_reads_the_same(seed: u64, count in 1usize..10) {
        let random = &mut Random::seeded(seed);
        let rows = rows(random, Nested::Deep(2), count);
        let lines = written(JsonOutput::new(), &rows);
        let mut fields: Vec<Field> = Vec::new();
        let mut places = Vec::new();
        for (place, field) in rows.schema().fields().iter().enumerate().rev() {
            if random.one_in(2) {
                fields.push(field.as_ref().clone());
                places.push(place);
            }
        }
        let read = read_rows(JsonOptions::new(), &schema(fields), &lines);
        prop_assert_eq!(&read, &[rows.project(&places).unwrap()]);
    }

    /// Lines that are damaged anywhere are rows or errors, and do no harm to those around them.
    #[test]
    fn damaged_lines_do_not_matter_to_others(
        seed: u64,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let random = &mut Random::seeded(seed);
        let one = rows(random, Nested::Deep(2), 1);
        let mut bad = written(JsonOutput::new(), &one).trim_end().as_bytes().to_vec();
        let good = bad.clone();
        for (place, byte, kind) in damage {
            let place = place.index(bad.len().max(1));
            match kind {
                0 if place < bad.len() => bad[place] = byte,
                1 if place < bad.len() => drop(bad.remove(place)),
                _ => bad.insert(place.min(bad.len()), byte),
            }
        }
        bad.retain(|byte| *byte != b'\n');
        let lines = [&good[..], b"\n", &bad, b"\n", &good, b"\n"].concat();
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, lines).unwrap();
        let path = path.to_str().unwrap();
        let options = JsonOptions::new().ignore_parse_errors(true);
        let read = read_all(&FileSource::new(path, options, one.schema()).unwrap(), 100).unwrap().rows();
        let read = one_batch(one.schema(), &read);
        prop_assert!((2..=3).contains(&read.num_rows()));
        prop_assert_eq!(read.slice(0, 1), one.clone());
        prop_assert_eq!(read.slice(read.num_rows() - 1, 1), one.clone());
        let _ = read_all(&FileSource::new(path, JsonOptions::new(), one.schema()).unwrap(), 100);
    }
}
