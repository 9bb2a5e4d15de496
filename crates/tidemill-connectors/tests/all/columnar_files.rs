//! Avro and Parquet: files of Flink, and files written here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::Array as _;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{
    AvroOptions, ColumnCondition, Comparison, FileFormat, FileSink, FileSource, JsonOptions, OutputFormat,
    ParquetCompression, ParquetOptions, ParquetTimestamps,
};
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::OperatorFactory;
use tidemill_runtime::source::Source;

use crate::harness::{SinkDriver, SourceDriver, failure, read_all};

/// Where files lie that Apache Flink 2.3.0 has written of the rows of `rows.json`: `p96.parquet` with its defaults, `p64` with
/// `parquet.write.int64.timestamp`, `p64m` also in milliseconds, `legacy.avro` with its defaults.
fn of_flink(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/flink", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

fn nullable(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(nullable("item", item)))
}

fn row(fields: Vec<Field>) -> DataType {
    DataType::Struct(Fields::from(fields))
}

fn map(value: DataType) -> DataType {
    let entries = row(vec![Field::new("key", DataType::Utf8, false), nullable("value", value)]);
    DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
}

fn millis() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

/// All types that Flink's Avro and Parquet have.
fn fields() -> Vec<Field> {
    vec![
        nullable("id", DataType::Int32),
        nullable("b", DataType::Boolean),
        nullable("ti", DataType::Int8),
        nullable("si", DataType::Int16),
        nullable("bi", DataType::Int64),
        nullable("f", DataType::Float32),
        nullable("d", DataType::Float64),
        nullable("dec1", DataType::Decimal128(10, 2)),
        nullable("dec2", DataType::Decimal128(38, 18)),
        nullable("s", DataType::Utf8),
        nullable("by1", DataType::Binary),
        nullable("dt", DataType::Date32),
        nullable("tm", DataType::Time32(TimeUnit::Millisecond)),
        nullable("ts3", millis()),
        nullable("arr", list(DataType::Int32)),
        nullable("mp", map(DataType::Int64)),
        nullable("rw", row(vec![nullable("a", DataType::Int32), nullable("b", DataType::Utf8)])),
        nullable("nest", list(row(vec![nullable("x", DataType::Int32), nullable("y", DataType::Utf8)]))),
    ]
}

/// With the timestamps that legacy Avro has not.
fn all_fields() -> Vec<Field> {
    let mut all = fields();
    all.push(nullable("ts6", DataType::Timestamp(TimeUnit::Microsecond, None)));
    all.push(nullable("ltz", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))));
    all
}

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

fn rows(source: &dyn Source) -> RecordBatch {
    let batches = read_all(source, 1000).unwrap().rows();
    let schema = batches[0].schema();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

fn expected(fields: Vec<Field>) -> RecordBatch {
    rows(&FileSource::new(of_flink("rows.json"), JsonOptions::new(), schema(fields)).unwrap())
}

fn read(path: &str, format: impl Into<FileFormat>, fields: Vec<Field>) -> RecordBatch {
    rows(&FileSource::new(path, format, schema(fields)).unwrap())
}

#[test]
fn parquet_of_flink_has_the_rows_that_flink_wrote() {
    let parquet = ParquetOptions::new().utc_timezone(true);
    assert_eq!(read(&of_flink("p96.parquet"), parquet.clone(), all_fields()), expected(all_fields()));
    assert_eq!(read(&of_flink("p64.parquet"), parquet.clone(), all_fields()), expected(all_fields()));
    assert_eq!(read(&of_flink("p64m.parquet"), parquet, fields()), expected(fields()));
}

#[test]
fn avro_of_flink_has_the_rows_that_flink_wrote() {
    assert_eq!(read(&of_flink("legacy.avro"), AvroOptions::new(), fields()), expected(fields()));
}

#[test]
fn columns_are_found_by_name_and_may_be_missing_or_wider() {
    let wanted = vec![
        nullable("nest", list(row(vec![nullable("z", DataType::Utf8), nullable("x", DataType::Int32)]))),
        nullable("id", DataType::Int64),
        nullable("nothing", DataType::Utf8),
    ];
    for (file, format) in [
        ("p96.parquet", FileFormat::Parquet(ParquetOptions::new())),
        ("legacy.avro", FileFormat::Avro(AvroOptions::new())),
    ] {
        let found = read(&of_flink(file), format, wanted.clone());
        assert_eq!(found.column(1).as_primitive::<Int64Type>().values()[..], [1, 2, 3], "{file}");
        assert_eq!(found.column(2).null_count(), 3, "{file}");
        let nest = found.column(0).as_list::<i32>();
        let inner = nest.values().as_struct();
        assert_eq!((nest.null_count(), inner.column(0).null_count(), inner.len()), (1, 3, 3), "{file}");
        let x = inner.column(1).as_primitive::<arrow_array::types::Int32Type>();
        assert_eq!((x.value(0), x.null_count()), (1, 2), "{file}");
    }
}

#[test]
fn no_columns_are_as_many_rows() {
    for (file, format) in [
        ("p96.parquet", FileFormat::Parquet(ParquetOptions::new())),
        ("legacy.avro", FileFormat::Avro(AvroOptions::new())),
    ] {
        assert_eq!(read(&of_flink(file), format, Vec::new()).num_rows(), 3, "{file}");
    }
}

#[test]
fn what_does_not_fit_names_file_and_column() {
    let wrong = vec![nullable("s", DataType::Int32)];
    for (file, format) in [
        ("p96.parquet", FileFormat::Parquet(ParquetOptions::new())),
        ("legacy.avro", FileFormat::Avro(AvroOptions::new())),
    ] {
        let source = FileSource::new(of_flink(file), format, schema(wrong.clone())).unwrap();
        let text = failure(read_all(&source, 10));
        assert!(text.contains(file) && (text.contains("'s'") || text.contains(".s'")), "{text}");
        let other = if file.ends_with("avro") { "p96.parquet" } else { "legacy.avro" };
        let format = if file.ends_with("avro") {
            FileFormat::Avro(AvroOptions::new())
        } else {
            FileFormat::Parquet(ParquetOptions::new())
        };
        let source = FileSource::new(of_flink(other), format, schema(wrong.clone())).unwrap();
        assert!(failure(read_all(&source, 10)).contains("cannot be read as"));
    }
}

/// Writes batches to a folder without checkpoints; where the only file is.
fn write(folder: &Path, format: impl Into<OutputFormat>, rows: &[RecordBatch]) -> String {
    let sink = FileSink::folder(folder, format, rows[0].schema()).unwrap();
    let mut driver = SinkDriver::new(sink.create(0).unwrap(), 0, 1);
    driver.open(None).unwrap();
    for rows in rows {
        driver.write(Batch::new(ArrowBatch::inserts(rows.clone()))).unwrap();
    }
    driver.finish().unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].to_str().unwrap().to_owned()
}

#[test]
fn what_is_written_is_read_again() {
    let all = expected(all_fields());
    for compression in ParquetCompression::ALL {
        for timestamps in [ParquetTimestamps::Int96, ParquetTimestamps::Micros, ParquetTimestamps::Nanos] {
            let dir = TempDir::new().unwrap();
            let options = ParquetOptions::new().compression(compression).timestamps(timestamps);
            let path = write(dir.path(), options.clone(), &[all.clone(), all.slice(1, 1)]);
            let found = read(&path, options, all_fields());
            assert_eq!(found.slice(0, 3), all, "{compression:?} {timestamps:?}");
            assert_eq!(found.slice(3, 1), all.slice(1, 1), "{compression:?} {timestamps:?}");
        }
    }
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let dir = TempDir::new().unwrap();
        let options = AvroOptions::new().codec(codec).unwrap().legacy_timestamps(false);
        let path = write(dir.path(), options.clone(), &[all.clone(), all.slice(1, 1)]);
        let found = read(&path, options, all_fields());
        assert_eq!((found.slice(0, 3), found.slice(3, 1)), (all.clone(), all.slice(1, 1)), "{codec}");
    }
}

#[test]
fn types_that_a_format_has_not_are_refused_before_anything_runs() {
    let micros = schema(vec![nullable("at", DataType::Timestamp(TimeUnit::Microsecond, None))]);
    let error = FileSink::folder("out", AvroOptions::new(), micros).unwrap_err().to_string();
    assert!(error.contains("'at'") && error.contains("avro.timestamp_mapping.legacy"), "{error}");
    let nested = schema(vec![nullable("all", list(millis()))]);
    let error = FileSink::folder("out", ParquetOptions::new(), nested.clone()).unwrap_err().to_string();
    assert!(error.contains("parquet.write.int64.timestamp"), "{error}");
    let options = ParquetOptions::new().timestamps(ParquetTimestamps::Micros);
    assert!(FileSink::folder("out", options, nested).is_ok());
    let interval = schema(vec![nullable("wait", DataType::Duration(TimeUnit::Millisecond))]);
    assert!(FileSink::folder("out", ParquetOptions::new(), interval.clone()).is_err());
    assert!(FileSink::folder("out", AvroOptions::new(), interval).is_err());
    let one = schema(vec![nullable("id", DataType::Int32)]);
    let error = FileSink::single_file("out.parquet", ParquetOptions::new(), one).unwrap_err().to_string();
    assert!(error.contains("write parts into a folder"), "{error}");
}

/// Rows with ids from 0 on.
fn ids(count: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|id| format!("name {id}"))));
    let times: ArrayRef =
        Arc::new(TimestampMillisecondArray::from_iter_values((0..count).map(|id| id * 1000)));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("name", names, true), ("at", times, true)])
        .unwrap()
}

#[test]
fn groups_of_rows_without_an_answer_are_passed_over() {
    let dir = TempDir::new().unwrap();
    let batches: Vec<RecordBatch> = (0..10).map(|part| ids(1000).slice(part * 100, 100)).collect();
    // Each batch is a group of its own.
    let path = write(dir.path(), ParquetOptions::new().block_bytes(1), &batches);
    let fields = || vec![nullable("id", DataType::Int64), nullable("name", DataType::Utf8)];
    let count = |column: &str, comparison, value: ArrayRef| {
        let condition = ColumnCondition { column: column.to_owned(), comparison, value };
        let options = ParquetOptions::new().conditions(vec![condition]);
        read_all(&FileSource::new(path.as_str(), options, schema(fields())).unwrap(), 1000)
            .unwrap()
            .rows()
            .iter()
            .map(RecordBatch::num_rows)
            .sum::<usize>()
    };
    let id = |id: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![id])) };
    assert_eq!(count("id", Comparison::Equal, id(250)), 100);
    assert_eq!(count("id", Comparison::Less, id(200)), 200);
    assert_eq!(count("id", Comparison::LessOrEqual, id(200)), 300);
    assert_eq!(count("id", Comparison::Greater, id(899)), 100);
    assert_eq!(count("id", Comparison::GreaterOrEqual, id(899)), 200);
    assert_eq!(count("id", Comparison::Equal, id(5000)), 0);
    let name: ArrayRef = Arc::new(StringArray::from(vec!["name 99"]));
    assert_eq!(count("name", Comparison::Equal, name), 200, "texts are ordered as bytes");
    // A value of another type is not compared.
    assert_eq!(count("id", Comparison::Equal, Arc::new(StringArray::from(vec!["x"]))), 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Wherever reading is broken off, it goes on with the next row.
    #[test]
    fn reading_goes_on_where_it_was(
        steps in prop::collection::vec(1usize..40, 1..12),
        avro: bool,
        parts in 1usize..5,
    ) {
        let dir = TempDir::new().unwrap();
        let all = ids(300);
        let size = 300 / parts;
        let batches: Vec<RecordBatch> = (0..parts).map(|part| all.slice(part * size, size)).collect();
        let format: (OutputFormat, FileFormat) = match avro {
            true => (AvroOptions::new().into(), AvroOptions::new().into()),
            false => (ParquetOptions::new().block_bytes(1).into(), ParquetOptions::new().into()),
        };
        let path = write(dir.path(), format.0, &batches);
        let source = FileSource::new(path, format.1, all.schema()).unwrap();
        let mut driver = SourceDriver::new(&source, 1, 7).unwrap();
        for step in steps {
            for _ in 0..step % 8 {
                driver.poll().unwrap();
            }
            driver = driver.restore(&source, 1, step).unwrap();
        }
        driver.run().unwrap();
        let found = arrow_select::concat::concat_batches(&all.schema(), &driver.rows()).unwrap();
        prop_assert_eq!(found, all.slice(0, size * parts));
    }
}

#[test]
fn damaged_files_are_errors_and_nothing_else() {
    for (name, format) in [
        ("p96.parquet", FileFormat::Parquet(ParquetOptions::new())),
        ("legacy.avro", FileFormat::Avro(AvroOptions::new())),
    ] {
        let bytes = std::fs::read(of_flink(name)).unwrap();
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(name);
        let fields = if name.ends_with("avro") { fields() } else { all_fields() };
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            std::fs::write(&path, &damaged).unwrap();
            let source =
                FileSource::new(path.to_str().unwrap(), format.clone(), schema(fields.clone())).unwrap();
            // What was changed may be of no importance; what must not happen is that it panics.
            let _ = read_all(&source, 10);
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(read_all(&source, 10).is_err(), "{name} cut at {at}");
        }
    }
}

#[test]
fn timestamps_of_the_year_one_are_read() {
    let dir = TempDir::new().unwrap();
    let times: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![-62_135_596_800_000, 253_402_300_799_999]));
    let rows = RecordBatch::try_from_iter_with_nullable([("at", times, true)]).unwrap();
    let options = ParquetOptions::new().utc_timezone(true);
    let path = write(dir.path(), options.clone(), std::slice::from_ref(&rows));
    let found = read(&path, options, vec![nullable("at", millis())]);
    assert_eq!(
        found.column(0).as_primitive::<TimestampMillisecondType>(),
        rows.column(0).as_primitive::<TimestampMillisecondType>()
    );
}
