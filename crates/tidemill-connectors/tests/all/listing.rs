//! Which files a source reads.

use std::fs;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tempfile::TempDir;
use tidemill_connectors::{CsvOptions, FileSource};
use tidemill_core::Fault;
use tidemill_runtime::source::Source;

use crate::harness::{SourceDriver, failure, read_all};

fn source(path: &str) -> FileSource {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    FileSource::new(path, CsvOptions::new(), schema).unwrap()
}

fn names(driver: &SourceDriver, dir: &TempDir) -> Vec<String> {
    let root = format!("{}/", dir.path().display());
    driver.finished.iter().map(|id| id.strip_prefix(&root).unwrap().to_owned()).collect()
}

#[test]
fn folders_are_read_with_all_below_and_without_what_is_hidden() {
    let dir = TempDir::new().unwrap();
    for name in [
        "b.csv",
        "a.csv",
        "sub/deep/c.csv",
        ".hidden.csv",
        "_SUCCESS",
        "_tmp/d.csv",
        "sub/.part-0.inprogress",
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "1\n").unwrap();
    }
    let root = dir.path().to_str().unwrap();
    let all = ["a.csv", "b.csv", "sub/deep/c.csv"];
    assert_eq!(names(&read_all(&source(root), 10).unwrap(), &dir), all);
    assert_eq!(names(&read_all(&source(&format!("file://{root}")), 10).unwrap(), &dir), all);
    assert_eq!(names(&read_all(&source(&format!("{root}/[ab].csv")), 10).unwrap(), &dir), all[..2]);
    assert_eq!(names(&read_all(&source(&format!("{root}/**/c.csv")), 10).unwrap(), &dir), all[2..]);
    assert_eq!(names(&read_all(&source(&format!("{root}/su*")), 10).unwrap(), &dir), all[2..]);
}

#[test]
fn what_is_not_there_is_said_in_one_sentence() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().to_str().unwrap();
    let here = std::env::current_dir().unwrap();
    let open = |path: &str| source(path).create_enumerator(1, None).map(drop);
    assert_eq!(
        failure(open(&format!("{root}/none.csv"))),
        format!("'{root}/none.csv' does not exist: check the path")
    );
    assert_eq!(
        failure(open(&format!("{root}/*.csv"))),
        format!("no file matches '{root}/*.csv': check the pattern")
    );
    assert_eq!(
        failure(open("no-such-folder/none.csv")),
        format!(
            "'no-such-folder/none.csv' does not exist: check the path (it is relative to '{}')",
            here.display()
        )
    );
    assert!(
        failure(open(&format!("{root}/***")))
            .starts_with(&format!("'{root}/***' is not a pattern for paths: "))
    );
    assert_eq!(
        failure(open("/dev/null")),
        "'/dev/null' is a device, but only regular files and folders can be read"
    );
    let error = open(&format!("{root}/none.csv")).unwrap_err();
    assert_eq!((error.code(), error.fault()), ("TM-CONNECTOR-PATH-NOT-FOUND", Fault::User));
    // A folder in which nothing is yet is an empty table.
    assert!(read_all(&source(root), 10).unwrap().batches.is_empty());
}

#[test]
fn a_file_that_vanishes_or_shrinks_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "1\n2\n3\n").unwrap();
    let source = source(path.to_str().unwrap());
    let mut driver = SourceDriver::new(&source, 1, 2).unwrap();
    while driver.batches.is_empty() {
        driver.poll().unwrap();
    }
    fs::write(&path, "1\n").unwrap();
    let mut driver = driver.restore(&source, 1, 2).unwrap();
    assert_eq!(
        failure(driver.run()),
        format!(
            "the reading of '{}' cannot be resumed: 4 bytes of it had been read, but now it has only 2",
            path.display()
        )
    );
    fs::remove_file(&path).unwrap();
    assert!(failure(driver.restore(&source, 1, 2).unwrap().run()).contains("does not exist"));
}
