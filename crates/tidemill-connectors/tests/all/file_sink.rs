//! Files as a sink.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{
    CsvHeader, CsvOptions, CsvOutput, FileSink, FileSource, FloatFormat, InstantFormat, JsonOptions,
    JsonOutput, OutputFormat, RollingPolicy,
};
use tidemill_core::CheckpointBarrier;
use tidemill_core::batch::RowKind;
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::{OperatorFactory, SnapshotContext};

use crate::harness::{SinkDriver, failure, read_all};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8, true)]))
}

fn batch<S: AsRef<str>>(names: &[S]) -> Batch {
    let column: ArrayRef = Arc::new(StringArray::from_iter_values(names.iter().map(AsRef::as_ref)));
    Batch::new(ArrowBatch::inserts(RecordBatch::try_new(schema(), vec![column]).unwrap()))
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn driver(sink: &FileSink, subtask: u32, parallelism: u32) -> SinkDriver {
    SinkDriver::new(sink.create(subtask).unwrap(), subtask, parallelism)
}

fn by_size(folder: &Path, file_bytes: u64) -> FileSink {
    let policy = RollingPolicy { file_bytes, ..RollingPolicy::default() };
    FileSink::folder(folder, CsvOutput::new(), schema()).unwrap().rolling_policy(policy)
}

#[test]
fn parts_roll_by_size_and_show_only_when_complete() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("out/rows");
    let mut sink = driver(&by_size(&folder, 6), 1, 2);
    sink.open(None).unwrap();
    sink.write(batch(&["ab", "cd", "ef"])).unwrap();
    assert_eq!(files(&folder), [".part-1-1.csv.inprogress", "part-1-0.csv"]);
    assert_eq!(fs::read_to_string(folder.join("part-1-0.csv")).unwrap(), "ab\ncd\n");
    sink.finish().unwrap();
    assert_eq!(files(&folder), ["part-1-0.csv", "part-1-1.csv"]);
    assert_eq!(fs::read_to_string(folder.join("part-1-1.csv")).unwrap(), "ef\n");
    assert_eq!(sink.context.metrics.own_value("numRecordsSend"), Some(3));
    assert_eq!(sink.context.metrics.own_value("numBytesSend"), Some(9));
    // A second run goes on behind the first.
    let mut sink = driver(&by_size(&folder, 6), 1, 2);
    sink.open(None).unwrap();
    sink.write(batch(&["x"])).unwrap();
    sink.finish().unwrap();
    assert_eq!(files(&folder), ["part-1-0.csv", "part-1-1.csv", "part-1-2.csv"]);
}

#[test]
fn parts_roll_by_time_and_by_inactivity() {
    let dir = TempDir::new().unwrap();
    let policy = RollingPolicy {
        file_bytes: 1000,
        rollover_interval: Duration::from_millis(100),
        inactivity_interval: Duration::from_millis(30),
    };
    let sink = FileSink::folder(dir.path(), JsonOutput::new(), schema()).unwrap().rolling_policy(policy);
    let mut sink = driver(&sink, 0, 1);
    sink.open(None).unwrap();
    assert_eq!(sink.sink.next_processing_time(), None);
    for now in [0, 20, 40, 60, 80] {
        sink.advance(now).unwrap();
        sink.write(batch(&["a"])).unwrap();
    }
    assert_eq!(files(dir.path()), [".part-0-0.json.inprogress"]);
    sink.advance(100).unwrap();
    assert_eq!(files(dir.path()), ["part-0-0.json"]);
    assert_eq!(fs::read_to_string(dir.path().join("part-0-0.json")).unwrap(), "{\"name\":\"a\"}\n".repeat(5));
    sink.write(batch(&["b"])).unwrap();
    sink.advance(129).unwrap();
    assert_eq!(files(dir.path()).len(), 2);
    assert_eq!(sink.sink.next_processing_time(), Some(130));
    sink.advance(130).unwrap();
    assert_eq!(files(dir.path()), ["part-0-0.json", "part-0-1.json"]);
}

#[test]
fn leftovers_of_a_cancelled_run_are_removed() {
    let dir = TempDir::new().unwrap();
    let mut sink = driver(&by_size(dir.path(), 100), 0, 1);
    sink.open(None).unwrap();
    sink.write(batch(&["a"])).unwrap();
    sink.sink.close();
    assert!(files(dir.path()).is_empty());
    for name in [".part-0-3.csv.inprogress", ".part-5-0.csv.inprogress", ".other", "part-0-7.csv"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    let mut sink = driver(&by_size(dir.path(), 100), 0, 1);
    sink.open(None).unwrap();
    assert_eq!(files(dir.path()), [".other", "part-0-7.csv"]);
    sink.write(batch(&["a"])).unwrap();
    sink.finish().unwrap();
    assert_eq!(files(dir.path()), [".other", "part-0-7.csv", "part-0-8.csv"]);
}

#[test]
fn a_single_file_appears_when_all_is_in_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("deep/out.csv");
    let sink = FileSink::single_file(&path, CsvOutput::new().header(true), schema()).unwrap();
    let mut one = driver(&sink, 0, 1);
    one.open(None).unwrap();
    one.write(batch(&["a"])).unwrap();
    assert!(!path.exists());
    one.finish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "name\na\n");
    let mut empty = driver(&sink, 0, 1);
    empty.open(None).unwrap();
    empty.finish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "name\n");
    assert_eq!(files(path.parent().unwrap()), ["out.csv"]);
    let error = failure(driver(&sink, 0, 2).open(None));
    assert!(
        error.contains("one file cannot be written by 2 subtasks: set the parallelism of the sink to 1"),
        "{error}"
    );
}

#[test]
fn a_path_that_is_taken_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = failure(driver(&by_size(&file, 1), 0, 1).open(None));
    assert_eq!(
        error,
        format!(
            "cannot write to '{}': it is a file, but a folder for part files is expected: choose another path",
            file.display()
        )
    );
    let error = failure(driver(&by_size(&file.join("below"), 1), 0, 1).open(None));
    assert!(error.contains("a part of the path is a file, not a folder"), "{error}");
    let single = FileSink::single_file(dir.path(), CsvOutput::new(), schema()).unwrap();
    let error = failure(driver(&single, 0, 1).open(None));
    assert!(error.contains("it is a folder, but one file is to be written: add a file name"), "{error}");
}

#[test]
fn a_full_disk_is_said_in_one_sentence() {
    // Every write to this device fails as on a full disk.
    if !Path::new("/dev/full").exists() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let hidden = dir.path().join(".part-0-0.csv.inprogress");
    let mut sink = driver(&by_size(dir.path(), 1 << 30), 0, 1);
    sink.open(None).unwrap();
    std::os::unix::fs::symlink("/dev/full", &hidden).unwrap();
    sink.write(batch(&["a"])).unwrap();
    let error = failure(sink.finish());
    assert_eq!(
        error,
        format!(
            "no space left to write '{}': free space on its disk or write to another one",
            hidden.display()
        )
    );
}

#[test]
fn only_new_rows_of_the_schema_are_taken() {
    let dir = TempDir::new().unwrap();
    let mut sink = driver(&by_size(dir.path(), 10), 0, 1);
    sink.open(None).unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let rows = RecordBatch::try_new(schema, vec![column]).unwrap();
    assert!(failure(sink.write(Batch::new(ArrowBatch::inserts(rows)))).contains("rows have the columns"));
    let mut deleted = batch(&["a"]);
    deleted.downcast_mut::<ArrowBatch>().unwrap().kinds = Some(vec![RowKind::Delete].into());
    assert!(failure(sink.write(deleted)).contains("rows are updated or deleted"));
}

#[test]
fn values_are_written_by_flinks_conventions() {
    let dir = TempDir::new().unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("s", Arc::new(StringArray::from(vec![Some("a \"b\","), None]))),
        ("f", Arc::new(Float64Array::from(vec![Some(10.0), None]))),
        ("t", Arc::new(TimestampMillisecondArray::from(vec![Some(1_357_034_400_000), None]))),
        ("ok", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("b", Arc::new(BinaryArray::from(vec![Some(&b"ab"[..]), None]))),
    ];
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let write = |name: &str, format: OutputFormat| {
        let path = dir.path().join(name);
        let sink = FileSink::single_file(&path, format, rows.schema()).unwrap();
        let mut sink = driver(&sink, 0, 1);
        sink.open(None).unwrap();
        sink.write(Batch::new(ArrowBatch::inserts(rows.clone()))).unwrap();
        sink.finish().unwrap();
        fs::read_to_string(path).unwrap()
    };
    assert_eq!(
        write("a", CsvOutput::new().null_literal("n/a").into()),
        "\"a \"\"b\"\",\",10.0,2013-01-01 10:00:00,true,YWI=\nn/a,n/a,n/a,n/a,n/a\n"
    );
    let own = CsvOutput::new().field_delimiter(';').float_format(FloatFormat::Plain);
    assert_eq!(
        write("b", own.timestamp_format(InstantFormat::Iso8601Utc).header(true).into()),
        "s;f;t;ok;b\n\"a \"\"b\"\",\";10;2013-01-01T10:00:00Z;true;YWI=\n;;;;\n"
    );
    assert_eq!(
        write("c", JsonOutput::new().into()),
        "{\"s\":\"a \\\"b\\\",\",\"f\":10.0,\"t\":\"2013-01-01 10:00:00\",\"ok\":true,\"b\":\"YWI=\"}\n\
         {\"s\":null,\"f\":null,\"t\":null,\"ok\":null,\"b\":null}\n"
    );
    assert!(write("d", JsonOutput::new().ignore_null_fields(true).into()).ends_with("\n{}\n"));
}

fn read_back(folder: &Path, json: bool) -> Vec<String> {
    let path = folder.to_str().unwrap();
    let source = if json {
        FileSource::new(path, JsonOptions::new(), schema())
    } else {
        FileSource::new(path, CsvOptions::new().header(CsvHeader::ByName), schema())
    };
    let rows = read_all(&source.unwrap(), 100).unwrap().rows();
    rows.iter()
        .flat_map(|b| {
            b.column(0).as_string::<i32>().iter().map(|s| s.unwrap().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// Whatever is written is read back: also when the sink fails at any moment after a snapshot, and the rows after
    /// that come again.
    #[test]
    fn rows_are_in_the_files_once(
        batches in prop::collection::vec(prop::collection::vec("[a,\"\n\r#é]{1,5}", 0..6), 1..12),
        snapshot_at in 0usize..12,
        fail_after in 0usize..6,
        finished: bool,
        file_bytes in 8u64..60,
        json: bool,
        single: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let folder = dir.path().join("out");
        let format: OutputFormat =
            if json { JsonOutput::new().into() } else { CsvOutput::new().header(true).into() };
        let sink = if single {
            FileSink::single_file(folder.join("rows.csv"), format, schema()).unwrap()
        } else {
            let policy = RollingPolicy { file_bytes, ..RollingPolicy::default() };
            FileSink::folder(&folder, format, schema()).unwrap().rolling_policy(policy)
        };
        let snapshot_at = snapshot_at.min(batches.len());
        let fail_at = (snapshot_at + fail_after).min(batches.len());
        let mut first = driver(&sink, 0, 1);
        first.open(None).unwrap();
        for rows in &batches[..snapshot_at] {
            first.write(batch(rows)).unwrap();
        }
        let snapshot = first.sink.snapshot(&SnapshotContext::of(CheckpointBarrier::new(1, 0))).unwrap();
        for rows in &batches[snapshot_at..fail_at] {
            first.write(batch(rows)).unwrap();
        }
        if finished {
            first.finish().unwrap();
        } else {
            first.sink.close();
        }
        let mut second = driver(&sink, 0, 1);
        second.open(Some(snapshot)).unwrap();
        for rows in &batches[snapshot_at..] {
            second.write(batch(rows)).unwrap();
        }
        second.finish().unwrap();
        let mut expected: Vec<String> = batches.concat();
        let mut read = read_back(&folder, json);
        // Files are read by name, and part 10 comes before part 9.
        expected.sort();
        read.sort();
        prop_assert_eq!(read, expected);
        prop_assert!(files(&folder).iter().all(|name| !name.starts_with('.')));
    }
}
