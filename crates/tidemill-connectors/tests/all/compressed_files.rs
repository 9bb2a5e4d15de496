//! Compressed files as a source.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use tempfile::TempDir;
use tidemill_connectors::{Compression, CsvHeader, CsvOptions, FileSource};

use crate::harness::{SourceDriver, failure, read_all};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(content, 1).unwrap()
}

fn lines(numbers: std::ops::Range<i64>) -> Vec<u8> {
    numbers.map(|number| format!("{number}\n")).collect::<String>().into_bytes()
}

fn numbers(driver: &SourceDriver) -> Vec<i64> {
    driver
        .rows()
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect()
}

fn options() -> CsvOptions {
    CsvOptions::new().header(CsvHeader::ByName)
}

#[test]
fn several_members_and_frames_are_one_file() {
    let dir = TempDir::new().unwrap();
    let head = [b"n\n".to_vec(), lines(0..3000)].concat();
    for (name, content) in [
        ("a.csv.gz", [gzip(&head), gzip(&lines(3000..5000))].concat()),
        ("a.csv.ZST", [zstd(&head), zstd(&lines(3000..5000))].concat()),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, &content).unwrap();
        let source = FileSource::new(path.to_str().unwrap(), options(), schema()).unwrap().split_bytes(10);
        let driver = read_all(&source, 500).unwrap();
        assert_eq!(numbers(&driver), (0..5000).collect::<Vec<_>>());
        let progress = driver.reader.progress();
        assert_eq!((progress.done, progress.total), (content.len() as u64, Some(content.len() as u64)));
    }
}

#[test]
fn damage_is_named() {
    let dir = TempDir::new().unwrap();
    let content = [b"n\n".to_vec(), lines(0..50_000)].concat();
    for (name, full, kind) in [("a.csv.gz", gzip(&content), "gzip"), ("a.csv.zst", zstd(&content), "zstd")] {
        let path = dir.path().join(name);
        let path = path.to_str().unwrap();
        let read = || failure(read_all(&FileSource::new(path, options(), schema()).unwrap(), 1000));
        for length in [full.len() - 1, full.len() / 2, 20] {
            fs::write(path, &full[..length]).unwrap();
            assert_eq!(
                read(),
                format!("'{path}' ends in the middle of its {kind} data: it was cut off, so copy it again")
            );
        }
        fs::write(path, b"n\n1\n2\n3\n4\n5\n6\n7\n8\n9\n").unwrap();
        assert!(read().starts_with(&format!("'{path}' is not valid {kind} data (")), "{}", read());
        // The same by option.
        let source = FileSource::new(path, options(), schema()).unwrap().compression(Compression::None);
        assert_eq!(numbers(&read_all(&source, 10).unwrap()), (1..10).collect::<Vec<_>>());
    }
    let path = dir.path().join("b.csv.bz2");
    fs::write(&path, "n\n1\n").unwrap();
    let path = path.to_str().unwrap();
    let error = failure(read_all(&FileSource::new(path, options(), schema()).unwrap(), 10));
    assert_eq!(
        error,
        format!(
            "'{path}' is compressed with bzip2, which cannot be read: compress it with gzip or zstd instead"
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn restored_readers_read_each_record_once(
        count in 0i64..300,
        steps in prop::collection::vec((1usize..50, 0usize..4), 1..10),
        zst: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let content = [b"n\n".to_vec(), lines(0..count)].concat();
        let (name, bytes) = if zst { ("a.zst", zstd(&content)) } else { ("a.gz", gzip(&content)) };
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let source = FileSource::new(path.to_str().unwrap(), options(), schema()).unwrap();
        let mut driver = SourceDriver::new(&source, 1, 5).unwrap();
        for (step, polls) in steps {
            for _ in 0..polls {
                if !driver.ended {
                    driver.poll().unwrap();
                }
            }
            driver = driver.restore(&source, 1, step).unwrap();
        }
        driver.run().unwrap();
        prop_assert_eq!(numbers(&driver), (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_bytes_are_rows_or_errors(flips in prop::collection::vec((0usize..400, any::<u8>()), 1..5), zst: bool) {
        let dir = TempDir::new().unwrap();
        let content = [b"n\n".to_vec(), lines(0..300)].concat();
        let (name, mut bytes) = if zst { ("a.zst", zstd(&content)) } else { ("a.gz", gzip(&content)) };
        for (at, value) in flips {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let _ = read_all(&FileSource::new(path.to_str().unwrap(), options(), schema()).unwrap(), 7);
    }
}
