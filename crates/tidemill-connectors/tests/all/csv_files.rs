//! CSV files as a source.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int32Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{CsvHeader, CsvOptions, FileSource, RECORDS_IN_ERRORS};
use tidemill_runtime::source::ReaderStatus;

use crate::harness::{SourceDriver, failure, read_all};

fn text_schema(columns: usize) -> SchemaRef {
    let field = |index| Field::new(format!("c{index}"), DataType::Utf8, false);
    Arc::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()))
}

fn typed_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("delay", DataType::Float64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("day", DataType::Date32, true),
        Field::new("ok", DataType::Boolean, true),
        Field::new("raw", DataType::Binary, true),
    ]))
}

fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|c| c.as_string::<i32>().value(row).to_owned()).collect());
        }
    }
    rows
}

#[test]
fn every_type_is_read_and_nulls_are_told_apart() {
    let dir = TempDir::new().unwrap();
    let content = "1,2.5,a,2013-01-01T10:00:00Z,2013-01-31,true,YWI=\r\n\
                   2,NA,\"x, \"\"y\"\"\",2013-01-01 10:00:00.25,1969-12-31,FALSE,\n\
                   \n\
                   +3, -1e3 ,,,,,\"\"";
    let path = write(&dir, "typed.csv", content);
    let options = CsvOptions::new().null_literal("NA");
    let rows = read_all(&FileSource::new(&path, options, typed_schema()).unwrap(), 100).unwrap().rows();
    assert_eq!(rows.len(), 1);
    let batch = &rows[0];
    assert_eq!(batch.schema(), typed_schema());
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().values().as_ref(), [1, 2, 3]);
    let delays: Vec<_> = batch.column(1).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(delays, [Some(2.5), None, Some(-1000.0)]);
    let names: Vec<_> = batch.column(2).as_string::<i32>().iter().collect();
    assert_eq!(names, [Some("a"), Some("x, \"y\""), Some("")]);
    let at: Vec<_> = batch.column(3).as_primitive::<TimestampMillisecondType>().iter().collect();
    assert_eq!(at, [Some(1_357_034_400_000), Some(1_357_034_400_250), None]);
    let days: Vec<_> = batch.column(4).as_primitive::<Date32Type>().iter().collect();
    assert_eq!(days, [Some(15_736), Some(-1), None]);
    assert_eq!(batch.column(5).as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
    assert_eq!(batch.column(6).as_binary::<i32>().iter().collect::<Vec<_>>(), [Some(&b"ab"[..]), None, None]);
}

#[test]
fn a_header_is_skipped_or_names_the_columns() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "h.csv", "\u{feff}b,ignored,a\n1,2,3\n");
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int32, false),
        Field::new("b", DataType::Int32, false),
    ]));
    let by_name = CsvOptions::new().header(CsvHeader::ByName);
    let rows = read_all(&FileSource::new(&path, by_name.clone(), schema).unwrap(), 10).unwrap().rows();
    assert_eq!(rows[0].column(0).as_primitive::<Int32Type>().values().as_ref(), [3]);
    assert_eq!(rows[0].column(1).as_primitive::<Int32Type>().values().as_ref(), [1]);

    let skip = CsvOptions::new().header(CsvHeader::Skip);
    let rows = read_all(&FileSource::new(&path, skip, text_schema(3)).unwrap(), 10).unwrap().rows();
    assert_eq!(texts(&rows), [["1", "2", "3"]]);

    let error = failure(read_all(&FileSource::new(&path, by_name, typed_schema()).unwrap(), 10));
    assert_eq!(error, format!("the header of '{path}' has no column 'id': it has 'b', 'ignored', 'a'"));
}

#[test]
fn flinks_options_have_their_effect() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "o.csv", "#c,\n'a\\'b'\tc\n#,d\ne\tf\n");
    let options = CsvOptions::new()
        .field_delimiter("\\t")
        .quote_character('\'')
        .escape_character('\\')
        .allow_comments(true);
    let rows = read_all(&FileSource::new(&path, options, text_schema(2)).unwrap(), 10).unwrap().rows();
    assert_eq!(texts(&rows), [["a'b", "c"], ["e", "f"]]);
    let path = write(&dir, "q.csv", "\"a,b\"\n");
    let options = CsvOptions::new().disable_quote_character();
    let rows = read_all(&FileSource::new(&path, options, text_schema(2)).unwrap(), 10).unwrap().rows();
    assert_eq!(texts(&rows), [["\"a", "b\""]]);
    for bad in [CsvOptions::new().field_delimiter("ab"), CsvOptions::new().quote_character('ä')] {
        assert!(FileSource::new(&path, bad, text_schema(2)).is_err());
    }
}

#[test]
fn a_malformed_line_is_named() {
    let dir = TempDir::new().unwrap();
    let cases = [
        ("x,,,,,,", "line 3, column 'id': 'x' is not an integer"),
        (",,,,,,", "line 3, column 'id': the empty field stands for NULL, which the column must not be"),
        ("NA,,,,,,", "line 3, column 'id': 'NA' stands for NULL, which the column must not be"),
        ("3000000000,,,,,,", "line 3, column 'id': '3000000000' does not fit into 32 bits"),
        ("1,abc,,,,,", "line 3, column 'delay': 'abc' is not a number"),
        (
            "1,,\"\u{1b}\n\",x,,,",
            "line 3, column 'at': 'x' is not a timestamp: those are written as 2013-01-31T14:05:00Z or 2013-01-31 14:05:00.123",
        ),
        ("1,,,,2013-02-30,,", "line 3, column 'day': '2013-02-30' is not a date of the form 2013-01-31"),
        ("1,,,,,yes,", "line 3, column 'ok': 'yes' is neither true nor false"),
        ("1,,,,,,?", "line 3, column 'raw': '?' is not Base64, as binaries are written"),
        (
            "1,2",
            "line 3: the line '1,2' has 2 fields, but 7 are expected: the first that is missing is field 3 ('name')",
        ),
        (
            "1,,\"a,b\",,,,,x,y",
            "line 3: the line '1,,a,b,,,,,x,y' has 9 fields, but 7 are expected: too much is field 8, 'x,y'",
        ),
        ("1,\"2", "line 3: the quote of a field is not closed"),
    ];
    for (line, expected) in cases {
        let path = write(&dir, "bad.csv", format!("1,,,,,,\n2,,\"a\",,,,\n{line}\n"));
        let options = CsvOptions::new().null_literal("NA");
        let source = FileSource::new(&path, options.clone(), typed_schema()).unwrap();
        let error = failure(read_all(&source, 100));
        let is_value = expected.contains("column '");
        let does = if is_value { "makes such values NULL" } else { "skips such lines" };
        assert_eq!(error, format!("{path} {expected} ('csv.ignore-parse-errors' {does})"));
        // The same line, ignored: what is bad or missing is NULL, where that may be.
        let is_kept = is_value && !expected.contains("column 'id'") || expected.contains("has 2 fields");
        let source = FileSource::new(&path, options.ignore_parse_errors(true), typed_schema()).unwrap();
        let driver = read_all(&source, 100).unwrap();
        let rows = driver.rows().iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(rows, 2 + usize::from(is_kept), "{line}");
        if !is_kept {
            assert_eq!(driver.context.metrics.own_value(RECORDS_IN_ERRORS), Some(1));
            assert_eq!(source.parse_errors().first(), [format!("{path} {expected}")]);
        }
    }
}

#[test]
fn invalid_utf8_is_named_and_only_the_first_errors_are_kept() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "u.csv", b"a,b\nc,\xff\n");
    let source = FileSource::new(&path, CsvOptions::new(), text_schema(2)).unwrap();
    let error = failure(read_all(&source, 10));
    assert!(
        error.starts_with(&format!("{path} line 2, column 'c1': '\u{fffd}' is not valid UTF-8")),
        "{error}"
    );

    let path = write(&dir, "many.csv", "1,2,3\n".repeat(100));
    let source = FileSource::new(&path, CsvOptions::new().ignore_parse_errors(true), text_schema(2)).unwrap();
    assert!(read_all(&source, 7).unwrap().batches.is_empty());
    let errors = source.parse_errors();
    assert_eq!((errors.count(), errors.first().len()), (100, 5));
}

#[test]
fn the_flights_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/flights-2013-01.csv");
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("time_hour", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("origin", DataType::Utf8, false),
        Field::new("dep_delay", DataType::Int32, true),
    ]));
    let options = CsvOptions::new().header(CsvHeader::ByName).null_literal("NA");
    let source = FileSource::new(path.to_str().unwrap(), options, schema).unwrap();
    let driver = read_all(&source, 4096).unwrap();
    let rows = driver.rows();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 27_004);
    assert_eq!(rows.iter().map(|batch| batch.column(2).null_count()).sum::<usize>(), 521);
    let progress = driver.reader.progress();
    assert_eq!(Some(progress.done), progress.total);
}

/// Fields with everything that is hard.
fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1usize..4).prop_flat_map(|columns| {
        prop::collection::vec(prop::collection::vec("[ab,\"\r\n#'é ]{0,6}", columns), 0..40)
    })
}

fn to_csv(table: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    table.iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What the `csv` crate writes, or reads from a text that may be anything, is what is read here; also when
    /// reading is broken off after any step and goes on from a snapshot.
    #[test]
    fn tables_are_read_as_by_the_csv_crate(
        table in table(),
        steps in prop::collection::vec((1usize..9, 0usize..5), 1..20),
    ) {
        let dir = TempDir::new().unwrap();
        let columns = table.first().map_or(1, Vec::len);
        let path = write(&dir, "t.csv", to_csv(&table));
        let source = FileSource::new(&path, CsvOptions::new(), text_schema(columns)).unwrap();
        let mut driver = SourceDriver::new(&source, 1, steps[0].0).unwrap();
        for (step, polls) in steps {
            for _ in 0..polls {
                if !driver.ended {
                    driver.poll().unwrap();
                }
            }
            driver = driver.restore(&source, 1, step).unwrap();
        }
        driver.run().unwrap();
        prop_assert_eq!(texts(&driver.rows()), table);
    }

    #[test]
    fn loose_quotes_are_read_as_by_the_csv_crate(content in "[ab,\"\n]{0,60}") {
        let dir = TempDir::new().unwrap();
        let path = write(&dir, "t.csv", &content);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(content.as_bytes());
        let mut expected: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        let options = CsvOptions::new().ignore_parse_errors(true);
        let source = FileSource::new(&path, options, text_schema(2)).unwrap();
        let read = texts(&read_all(&source, 7).unwrap().rows());
        // Of an open quote the library makes a field, here it is an error.
        let is_open = source.parse_errors().first().iter().any(|error| error.contains("not closed"));
        if is_open {
            expected.pop();
        }
        expected.retain(|record| record.len() == 2);
        if source.parse_errors().count() <= 5 || !content.contains('"') {
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn any_bytes_are_rows_or_errors(content in prop::collection::vec(any::<u8>(), 0..400), typed: bool) {
        let dir = TempDir::new().unwrap();
        let path = write(&dir, "t.csv", &content);
        let schema = if typed { typed_schema() } else { text_schema(1) };
        let options = CsvOptions::new().allow_comments(true);
        let _ = read_all(&FileSource::new(&path, options.clone(), Arc::clone(&schema)).unwrap(), 3);
        let options = options.ignore_parse_errors(true).header(CsvHeader::Skip);
        let _ = read_all(&FileSource::new(&path, options, schema).unwrap(), 3);
    }

    /// Several subtasks that read ranges see each line once, wherever the ranges are cut.
    #[test]
    fn ranges_have_each_line_once(
        lines in prop::collection::vec("[a-c]{0,12}", 1..60),
        size in 1u64..50,
        crlf: bool,
        header: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let newline = if crlf { "\r\n" } else { "\n" };
        let mut content = if header { format!("c0{newline}") } else { String::new() };
        content.push_str(&lines.join(newline));
        let path = write(&dir, "t.csv", content);
        let header = if header { CsvHeader::ByName } else { CsvHeader::None };
        let options = CsvOptions::new().lines_are_records(true).header(header);
        let source = FileSource::new(&path, options, text_schema(1)).unwrap().split_bytes(size);
        let mut driver = SourceDriver::new(&source, 2, 3).unwrap();
        while !driver.ended {
            if driver.poll().unwrap() == ReaderStatus::Ready {
                driver = driver.restore(&source, 2, 3).unwrap();
            }
        }
        let read: Vec<String> = texts(&driver.rows()).into_iter().flatten().collect();
        let expected: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        prop_assert_eq!(read, expected);
    }
}
