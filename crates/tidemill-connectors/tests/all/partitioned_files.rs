//! Partitions: folders that say columns, and files that are announced, watched or passed over.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tempfile::TempDir;
use tidemill_connectors::{
    ColumnsBeside, CommitTrigger, CsvOptions, CsvOutput, FileMetadata, FileSink, FileSource, ParquetOptions,
    PartitionCommit, PartitionTime, Partitions, RawOptions,
};
use tidemill_core::time::Watermark;
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::source::ReaderStatus;
use tidemill_runtime::{OperatorFactory, Output};
use tidemill_state::redistribute;

use crate::harness::{SinkDriver, SourceDriver, failure, read_all};

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    let fields: Vec<Field> =
        fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

fn table() -> SchemaRef {
    schema(&[("day", DataType::Date32), ("id", DataType::Int64), ("hm", DataType::Utf8)])
}

fn batch(rows: &[(Option<i32>, i64, Option<&str>)]) -> Batch {
    let days: ArrayRef = Arc::new(Date32Array::from_iter(rows.iter().map(|row| row.0)));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
    let times: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|row| row.2)));
    Batch::new(ArrowBatch::inserts(RecordBatch::try_new(table(), vec![days, ids, times]).unwrap()))
}

fn by() -> Partitions {
    Partitions::by(["hm", "day"])
}

fn beside() -> ColumnsBeside {
    ColumnsBeside { partitions: Some(by()), metadata: Vec::new() }
}

fn opened(sink: &FileSink, subtask: u32, parallelism: u32) -> SinkDriver {
    let mut driver = SinkDriver::new(sink.create(subtask).unwrap(), subtask, parallelism);
    driver.context.checkpoints = true;
    driver.open(None).unwrap();
    driver
}

/// The folders with a file of this name.
fn with_file(folder: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for first in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for second in fs::read_dir(first).unwrap().map(|entry| entry.unwrap().path()) {
            if second.join(name).exists() {
                found.push(second.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn ids(driver: &SourceDriver) -> Vec<(Option<i32>, i64, Option<String>)> {
    let mut all = Vec::new();
    for rows in driver.rows() {
        let days = rows.column_by_name("day").unwrap().as_primitive::<Date32Type>().clone();
        let ids = rows.column_by_name("id").unwrap().as_primitive::<Int64Type>().clone();
        let times = rows.column_by_name("hm").unwrap().as_string::<i32>().clone();
        for row in 0..rows.num_rows() {
            let day = days.is_valid(row).then(|| days.value(row));
            all.push((day, ids.value(row), times.is_valid(row).then(|| times.value(row).to_owned())));
        }
    }
    all.sort();
    all
}

const ROWS: [(Option<i32>, i64, Option<&str>); 5] = [
    (Some(0), 1, Some("12:30")),
    (Some(18_262), 2, Some("12:30")),
    (None, 3, Some("12:30")),
    (Some(0), 4, None),
    (Some(0), 5, Some("12:30")),
];

#[test]
fn what_is_written_in_partitions_is_read_from_them() {
    for parquet in [false, true] {
        let dir = TempDir::new().unwrap();
        let sink = match parquet {
            false => FileSink::partitioned(dir.path(), CsvOutput::new(), table(), by()),
            true => FileSink::partitioned(dir.path(), ParquetOptions::new(), table(), by()),
        };
        let mut driver = SinkDriver::new(sink.unwrap().create(0).unwrap(), 0, 1);
        driver.open(None).unwrap();
        driver.write(batch(&ROWS)).unwrap();
        driver.finish().unwrap();
        let default = "__DEFAULT_PARTITION__";
        let name = |number: u32| format!("part-0-{number}.{}", if parquet { "parquet" } else { "csv" });
        assert_eq!(with_file(dir.path(), &name(0)), ["hm=12%3A30/day=1970-01-01"]);
        assert_eq!(with_file(dir.path(), &name(2)), [format!("hm=12%3A30/day={default}")]);
        assert_eq!(with_file(dir.path(), &name(3)), [format!("hm={default}/day=1970-01-01")]);
        if !parquet {
            let path = dir.path().join("hm=12%3A30/day=1970-01-01").join(name(0));
            assert_eq!(
                fs::read_to_string(path).unwrap(),
                "1\n5\n",
                "the columns of partitions are not in the files"
            );
        }
        let path = dir.path().to_str().unwrap();
        let source = match parquet {
            false => FileSource::with_columns_beside(path, CsvOptions::new(), table(), beside()),
            true => FileSource::with_columns_beside(path, ParquetOptions::new(), table(), beside()),
        };
        let expected = ROWS.iter().map(|(day, id, hm)| (*day, *id, hm.map(str::to_owned)));
        let mut expected: Vec<_> = expected.collect();
        expected.sort();
        assert_eq!(ids(&read_all(&source.unwrap(), 2).unwrap()), expected);
    }
}

#[test]
fn partitions_that_are_not_asked_for_are_not_opened() {
    let dir = TempDir::new().unwrap();
    for (day, content) in [("1970-01-01", "1\n"), ("1970-01-02", "no number\n"), ("1", "no number\n")] {
        let folder = dir.path().join(format!("hm=a/day={day}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("data"), content).unwrap();
    }
    // Those of the partitions that are read: the filter sees these columns only.
    let read = schema(&[("id", DataType::Int64), ("day", DataType::Date32)]);
    let path = dir.path().to_str().unwrap();
    let source = |keep: i32| {
        let source = FileSource::with_columns_beside(
            path,
            CsvOptions::new().field_names(["id"]),
            read.clone(),
            beside(),
        );
        source.unwrap().partition_filter(Arc::new(move |partitions| {
            assert_eq!(partitions.num_columns(), 1);
            let days = partitions.column(0).as_primitive::<Date32Type>();
            Ok(BooleanArray::from_iter(days.iter().map(|day| Some(day? == keep))))
        }))
    };
    let found = read_all(&source(0), 10).unwrap();
    assert_eq!(found.rows().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    assert!(
        failure(read_all(&source(1), 10)).contains("no number"),
        "also the day that Flink writes as a number"
    );
    assert_eq!(read_all(&source(2), 10).unwrap().rows().len(), 0);
}

#[test]
fn files_outside_of_partitions_and_wrong_values_are_errors() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("data"), "1\n").unwrap();
    let path = dir.path().to_str().unwrap();
    let source = FileSource::with_columns_beside(path, CsvOptions::new(), table(), beside()).unwrap();
    let text = failure(read_all(&source, 10));
    assert!(text.contains("the file is in no folder 'hm=…'"), "{text}");
    fs::remove_file(dir.path().join("data")).unwrap();
    fs::create_dir_all(dir.path().join("hm=a/day=tomorrow")).unwrap();
    fs::write(dir.path().join("hm=a/day=tomorrow/data"), "1\n").unwrap();
    let text = failure(read_all(&source, 10));
    assert!(text.contains("'day'") && text.contains("'tomorrow' is not a date"), "{text}");
}

#[test]
fn files_are_known_beside_their_rows() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.csv"), "1\n22\n").unwrap();
    let metadata = FileMetadata::ALL.map(|one| (one.key().to_owned(), one)).to_vec();
    let of_time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let read = schema(&[
        ("file.size", DataType::Int64),
        ("id", DataType::Int64),
        ("file.path", DataType::Utf8),
        ("file.name", DataType::Utf8),
        ("file.modification-time", of_time),
    ]);
    let path = dir.path().to_str().unwrap();
    let beside = ColumnsBeside { partitions: None, metadata };
    let source = FileSource::with_columns_beside(path, CsvOptions::new(), read, beside.clone()).unwrap();
    let rows = read_all(&source, 10).unwrap().rows().remove(0);
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().values()[..], [5, 5]);
    assert_eq!(rows.column(1).as_primitive::<Int64Type>().values()[..], [1, 22]);
    assert_eq!(rows.column(2).as_string::<i32>().value(1), format!("{path}/a.csv"));
    assert_eq!(rows.column(3).as_string::<i32>().value(0), "a.csv");
    let modified = fs::metadata(dir.path().join("a.csv")).unwrap().modified().unwrap();
    let millis = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let found = rows.column(4).as_primitive::<arrow_array::types::TimestampMillisecondType>().value(1);
    assert_eq!(found, i64::try_from(millis).unwrap());
    let wrong = schema(&[("file.size", DataType::Utf8)]);
    assert!(FileSource::with_columns_beside(path, CsvOptions::new(), wrong, beside).is_err());
}

#[test]
fn raw_files_have_one_column_beside_their_partitions() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("hm=x/day=1970-01-01")).unwrap();
    fs::write(dir.path().join("hm=x/day=1970-01-01/log"), "a line, \"as it is\"\n\nlast").unwrap();
    let read = schema(&[("line", DataType::Utf8), ("hm", DataType::Utf8)]);
    let path = dir.path().to_str().unwrap();
    let source = FileSource::with_columns_beside(path, RawOptions::new(), read, beside()).unwrap();
    let rows = read_all(&source, 10).unwrap().rows().remove(0);
    let lines: Vec<&str> = rows.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(lines, ["a line, \"as it is\"", "", "last"]);
    assert_eq!(rows.column(1).as_string::<i32>().value(2), "x");
    assert!(FileSource::new(path, RawOptions::new(), table()).is_err(), "it has three columns");
    for little_endian in [false, true] {
        let dir = TempDir::new().unwrap();
        let numbers = schema(&[("n", DataType::Int32)]);
        let options = RawOptions::new().little_endian(little_endian);
        let sink = FileSink::folder(dir.path(), options, numbers.clone()).unwrap();
        let mut driver = SinkDriver::new(sink.create(0).unwrap(), 0, 1);
        driver.open(None).unwrap();
        let column: ArrayRef = Arc::new(arrow_array::Int32Array::from(vec![1, 65_535]));
        let rows = RecordBatch::try_new(numbers.clone(), vec![column]).unwrap();
        driver.write(Batch::new(ArrowBatch::inserts(rows.clone()))).unwrap();
        driver.finish().unwrap();
        let bytes = fs::read(dir.path().join("part-0-0.raw")).unwrap();
        let expected: &[u8] =
            if little_endian { b"\x01\0\0\0\n\xff\xff\0\0\n" } else { b"\0\0\0\x01\n\0\0\xff\xff\n" };
        assert_eq!(bytes, expected);
        let source = FileSource::new(dir.path().to_str().unwrap(), options, numbers).unwrap();
        assert_eq!(read_all(&source, 10).unwrap().rows()[0].column(0), rows.column(0));
    }
}

#[test]
fn new_files_are_read_when_they_are_seen_and_once() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("1.csv"), "1\n").unwrap();
    fs::write(dir.path().join("skipped.txt"), "x\n").unwrap();
    let path = dir.path().to_str().unwrap();
    let numbers = schema(&[("id", DataType::Int64)]);
    let source = FileSource::new(path, CsvOptions::new(), numbers).unwrap();
    let source = source.path_pattern(".*\\.csv").unwrap().monitor(Duration::ZERO);
    assert!(!tidemill_runtime::source::Source::is_bounded(&source));
    let count = |driver: &SourceDriver| driver.rows().iter().map(RecordBatch::num_rows).sum::<usize>();
    let polls = |driver: &mut SourceDriver| {
        for _ in 0..20 {
            assert_ne!(driver.poll().unwrap(), ReaderStatus::End);
        }
    };
    let mut driver = SourceDriver::new(&source, 1, 10).unwrap();
    polls(&mut driver);
    assert_eq!(count(&driver), 1);
    fs::write(dir.path().join("2.csv"), "2\n3\n").unwrap();
    polls(&mut driver);
    assert_eq!(count(&driver), 3);
    // What was seen is known after a failure as well.
    let mut driver = driver.restore(&source, 1, 10).unwrap();
    fs::write(dir.path().join("3.csv"), "4\n").unwrap();
    polls(&mut driver);
    assert_eq!(count(&driver), 4);
    assert!(source.path_pattern("(").is_err());
}

#[test]
fn partitions_are_announced_when_all_subtasks_have_made_them_visible() {
    let dir = TempDir::new().unwrap();
    let sink = FileSink::partitioned(dir.path(), CsvOutput::new(), table(), by()).unwrap();
    let sink = sink.commit(PartitionCommit::default()).unwrap();
    let mut drivers = [opened(&sink, 0, 2), opened(&sink, 1, 2)];
    let announced = || with_file(dir.path(), "_SUCCESS");
    drivers[0].write(batch(&[(Some(0), 1, Some("a"))])).unwrap();
    drivers[1].write(batch(&[(Some(0), 2, Some("b"))])).unwrap();
    drivers.iter_mut().for_each(|driver| drop(driver.snapshot(1)));
    // Rows after the checkpoint are announced with the next one.
    drivers[1].write(batch(&[(Some(1), 3, Some("c"))])).unwrap();
    drivers[1].write(batch(&[(Some(0), 4, Some("b"))])).unwrap();
    drivers[0].sink.checkpoint_complete(1).unwrap();
    assert!(announced().is_empty(), "the other subtask has not made its files visible");
    drivers[1].sink.checkpoint_complete(1).unwrap();
    assert_eq!(announced(), ["hm=a/day=1970-01-01", "hm=b/day=1970-01-01"]);
    for folder in announced() {
        fs::remove_file(dir.path().join(folder).join("_SUCCESS")).unwrap();
    }
    drivers.iter_mut().for_each(|driver| drop(driver.snapshot(2)));
    drivers.iter_mut().for_each(|driver| driver.sink.checkpoint_complete(2).unwrap());
    assert_eq!(announced(), ["hm=b/day=1970-01-01", "hm=c/day=1970-01-02"]);
}

#[test]
fn partitions_are_announced_after_a_failure_and_a_rescale() {
    let dir = TempDir::new().unwrap();
    let make = || {
        let sink = FileSink::partitioned(dir.path(), CsvOutput::new(), table(), by()).unwrap();
        sink.commit(PartitionCommit { success_file: "done".to_owned(), ..PartitionCommit::default() })
            .unwrap()
    };
    let sink = make();
    let mut driver = opened(&sink, 0, 1);
    driver.write(batch(&[(Some(0), 1, Some("a"))])).unwrap();
    let snapshot = driver.snapshot(1);
    drop(driver);
    let sink = make();
    let dealt = redistribute(vec![snapshot], 128, 2).unwrap();
    let mut drivers: Vec<SinkDriver> = Vec::new();
    for (subtask, snapshot) in dealt.into_iter().enumerate() {
        let subtask = u32::try_from(subtask).unwrap();
        let mut driver = SinkDriver::new(sink.create(subtask).unwrap(), subtask, 2);
        driver.context.checkpoints = true;
        driver.open(Some(snapshot)).unwrap();
        drivers.push(driver);
    }
    assert!(with_file(dir.path(), "done").is_empty());
    drivers.iter_mut().for_each(|driver| drop(driver.snapshot(2)));
    drivers.iter_mut().for_each(|driver| driver.sink.checkpoint_complete(2).unwrap());
    assert_eq!(with_file(dir.path(), "done"), ["hm=a/day=1970-01-01"]);
}

#[test]
fn partitions_wait_for_their_delay_or_for_the_watermark() {
    let folder = |commit: PartitionCommit| {
        let dir = TempDir::new().unwrap();
        let sink = FileSink::partitioned(dir.path(), CsvOutput::new(), table(), by()).unwrap();
        let driver = opened(&sink.commit(commit).unwrap(), 0, 1);
        (dir, driver)
    };
    let delay = Duration::from_millis(100);
    let (dir, mut driver) = folder(PartitionCommit { delay, ..PartitionCommit::default() });
    driver.write(batch(&[(Some(0), 1, Some("a"))])).unwrap();
    let checkpoint = |driver: &mut SinkDriver, id: u64| {
        driver.snapshot(id);
        driver.sink.checkpoint_complete(id).unwrap();
    };
    driver.clock.set(100);
    checkpoint(&mut driver, 1);
    assert!(with_file(dir.path(), "_SUCCESS").is_empty());
    driver.clock.set(101);
    checkpoint(&mut driver, 2);
    assert_eq!(with_file(dir.path(), "_SUCCESS").len(), 1);

    let time = PartitionTime::default().pattern("$day $hm:00:00");
    let trigger = CommitTrigger::PartitionTime(time);
    let (dir, mut driver) = folder(PartitionCommit { delay, trigger, ..PartitionCommit::default() });
    driver.write(batch(&[(Some(0), 1, Some("1")), (Some(0), 1, Some("2"))])).unwrap();
    let hour = 3_600_000;
    let mut output = Output::default();
    driver.sink.watermark(Watermark(hour + 100), &mut output).unwrap();
    checkpoint(&mut driver, 1);
    assert!(with_file(dir.path(), "_SUCCESS").is_empty());
    driver.sink.watermark(Watermark(hour + 101), &mut output).unwrap();
    checkpoint(&mut driver, 2);
    assert_eq!(with_file(dir.path(), "_SUCCESS"), ["hm=1/day=1970-01-01"]);
    driver.end().unwrap();
    checkpoint(&mut driver, 3);
    assert_eq!(with_file(dir.path(), "_SUCCESS").len(), 2, "the end of the input completes all");
    // A value that is no time is said where it is found.
    let (_dir, mut driver) = folder(PartitionCommit {
        trigger: CommitTrigger::PartitionTime(PartitionTime::default()),
        ..PartitionCommit::default()
    });
    driver.write(batch(&[(Some(0), 1, Some("noon"))])).unwrap();
    driver.snapshot(1);
    assert!(failure(driver.sink.checkpoint_complete(1)).contains("'noon'"));
}

#[test]
fn without_checkpoints_the_last_subtask_announces() {
    let dir = TempDir::new().unwrap();
    let sink = FileSink::partitioned(dir.path(), CsvOutput::new(), table(), by()).unwrap();
    let sink = sink.commit(PartitionCommit::default()).unwrap();
    let mut drivers: Vec<SinkDriver> =
        (0..2).map(|subtask| SinkDriver::new(sink.create(subtask).unwrap(), subtask, 2)).collect();
    for driver in &mut drivers {
        driver.open(None).unwrap();
        driver.write(batch(&[(Some(0), 1, Some("a"))])).unwrap();
    }
    drivers[0].finish().unwrap();
    assert!(with_file(dir.path(), "_SUCCESS").is_empty());
    drivers[1].finish().unwrap();
    assert_eq!(with_file(dir.path(), "_SUCCESS"), ["hm=a/day=1970-01-01"]);
}
