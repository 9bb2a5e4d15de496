//! The questions of Nexmark: the tables that Apache Flink 2.3.0 ends with (`tests/golden/nexmark`), and the benchmark over them.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sql::table;
use crate::{Folder, tidemill};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/nexmark")
}

/// Rows that Flink has, which are compressed where they are many.
fn expected(name: &str) -> String {
    let path = golden().join(format!("{name}.expected.jsonl"));
    if path.exists() {
        return std::fs::read_to_string(path).unwrap();
    }
    let file = std::fs::File::open(path.with_extension("jsonl.zst")).unwrap();
    let mut text = String::new();
    zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn check(name: &str, args: &[&str]) {
    let tables = std::fs::read_to_string(golden().join("tables.sql")).unwrap();
    let tables = tables.replace("${DATA}", golden().to_str().unwrap());
    let query = std::fs::read_to_string(golden().join(format!("{name}.sql"))).unwrap();
    let folder = Folder::new();
    let script = folder.file("job.sql", &format!("{tables}\n{query}\n"));
    let fixed = ["run", &script, "--format", "jsonl", "-D", "tidemill.rest.enabled=false"];
    let run = tidemill(&[&fixed, args].concat());
    assert_eq!(run.code, 0, "{name} {args:?}: {}", run.err);
    let (found, expected) = (table(&run.out), table(&expected(name)));
    if let Some((found, expected)) = found.iter().zip(&expected).find(|(found, expected)| found != expected) {
        panic!("{name} {args:?}: {found} instead of {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{name} {args:?}");
}

const QUERIES: [&str; 20] = [
    "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q9", "q11", "q14", "q15", "q16", "q17", "q18",
    "q19", "q20", "q21", "q22",
];

#[test]
fn tables_are_those_of_flink() {
    for name in QUERIES {
        check(name, &[]);
    }
}

#[test]
fn tables_are_the_same_at_another_parallelism_and_with_state_in_rocksdb() {
    // Which of two bids of the same moment or price counts depends on the order of arrival.
    for name in QUERIES.into_iter().filter(|name| !["q18", "q19"].contains(name)) {
        check(name, &["-D", "parallelism.default=3", "-D", "state.backend.type=rocksdb"]);
    }
}

/// What the benchmark says of queries of the suite.
fn bench(args: &[&str]) -> (i32, Vec<Value>, String) {
    let fixed = ["bench", "nexmark", "--json", "--memory", "1g"];
    let run = tidemill(&[&fixed, args].concat());
    let json: Value =
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {} {}", run.out, run.err));
    (run.code, json["queries"].as_array().unwrap().clone(), run.err)
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("no {key} in {row}"))
}

#[test]
fn the_suite_runs_with_checkpoints_into_rocksdb() {
    let (code, rows, err) = bench(&[
        "--events",
        "20000",
        "-D",
        "parallelism.default=2",
        "-D",
        "execution.checkpointing.interval=100ms",
    ]);
    for row in &rows {
        assert!(row.get("error").is_none(), "{row}");
        assert_eq!(row["events"], 20_000, "{row}");
        assert!(number(row, "checkpoints") >= 1.0, "{row}");
        assert!(number(row, "seconds") > 0.0 && number(row, "events_per_second") > 0.0, "{row}");
        // What a source takes by itself is not known of one that is kept whole.
        if row["query"] != "q13" {
            assert!(number(row, "cpu_seconds") >= number(row, "cpu_seconds_net"), "{row}");
        }
        assert!(number(row, "peak_memory_bytes") > 1e6, "{row}");
    }
    assert_eq!(code, 0, "{err}");
    assert_eq!(rows.len(), 24);
    // What joins keep for ever is in the checkpoints.
    let join = rows.iter().find(|row| row["query"] == "q20").unwrap();
    assert!(number(join, "state_bytes") > 1e6, "{join}");
}

#[test]
fn events_of_a_file_are_those_that_are_made() {
    let folder = Folder::new();
    let file = folder.0.join("events.jsonl");
    let file = file.to_str().unwrap();
    let run = tidemill(&["bench", "nexmark", "--events", "5k", "--write-events", file]);
    assert_eq!(run.code, 0, "{}", run.err);
    let text = std::fs::read_to_string(file).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 5_000);
    // Each has one of three objects, and nothing for the others.
    for (event_type, kind, count) in [(0, "person", 100), (1, "auction", 300), (2, "bid", 4_600)] {
        let of_kind: Vec<&Value> = events.iter().filter(|event| event["event_type"] == event_type).collect();
        assert_eq!(of_kind.len(), count);
        assert!(of_kind.iter().all(|event| event[kind].is_object() && event.as_object().unwrap().len() == 2));
    }
    let (code, rows, err) = bench(&["--input", file, "--queries", "q0"]);
    assert_eq!((code, &rows[0]["events"]), (0, &Value::from(5_000)), "{err}");
}

#[test]
fn a_steady_state_is_measured_for_a_while() {
    let (code, rows, err) = bench(&[
        "--seconds",
        "1",
        "--warm-up",
        "1",
        "--queries",
        "q17",
        "-D",
        "parallelism.default=2",
        "-D",
        "execution.checkpointing.interval=100ms",
    ]);
    assert_eq!(code, 0, "{err} {rows:?}");
    let row = &rows[0];
    assert!(number(row, "seconds") >= 1.0 && number(row, "events") > 1_000.0, "{row}");
    assert!(number(row, "checkpoints") >= 1.0 && number(row, "state_bytes_last") > 0.0, "{row}");
}

#[test]
fn a_query_that_fails_is_told_and_others_go_on() {
    let args = ["--events", "1k", "--queries", "q0,q2", "-D", "execution.checkpointing.dir=nowhere://folder"];
    let (code, rows, _) = bench(&args);
    assert_eq!(code, 1);
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["error"].as_str().unwrap().contains("nowhere")), "{rows:?}");
    let run = tidemill(&["bench", "nexmark", "--queries", "q99"]);
    assert!(run.code == 1 && run.err.contains("q0 to q23"), "{}", run.err);
}

#[test]
fn scripts_are_written_for_others() {
    let folder = Folder::new();
    let scripts = folder.0.join("scripts");
    let events = folder.file("events.jsonl", "");
    let run = tidemill(&[
        "bench",
        "nexmark",
        "--input",
        &events,
        "--write-scripts",
        scripts.to_str().unwrap(),
        "--queries",
        "q5,q13",
    ]);
    assert_eq!(run.code, 0, "{}", run.err);
    let script = std::fs::read_to_string(scripts.join("q13.sql")).unwrap();
    let folder = scripts.display();
    for part in [
        format!("'path' = '{events}', 'format' = 'json'"),
        format!("'file://{folder}/side_input.csv'"),
        "INSERT INTO q13".to_owned(),
    ] {
        assert!(script.contains(&part), "{script}");
    }
    let side_input = std::fs::read_to_string(scripts.join("side_input.csv")).unwrap();
    assert_eq!(side_input.lines().count(), 10_000);
}
