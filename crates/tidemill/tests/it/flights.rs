//! The main example, run as a user runs it, equals the batch computation in `examples/reference`.

use std::path::Path;
use std::process::{Command, Output};

use super::{NO_REST, example};

fn run(output: &Path, arguments: &[&str]) -> Output {
    Command::new(example("flights"))
        .args(["--output", output.to_str().unwrap()])
        .args(arguments)
        .args(NO_REST)
        .env_remove("TIDEMILL_CONF_DIR")
        .env_remove("FLINK_CONF_DIR")
        .output()
        .unwrap()
}

fn reference(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/reference").join(file);
    std::fs::read_to_string(path).unwrap()
}

/// The header, and the other lines in order: rows come in the order in which event time completes them, which is open
/// within one instant.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].sort_unstable();
    lines
}

fn check(arguments: &[&str]) {
    let output = tempfile::tempdir().unwrap();
    let ended = run(output.path(), arguments);
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments:?}: {stderr}");
    for file in ["hourly.csv", "worst_routes.csv", "plane_gaps.csv"] {
        let found = std::fs::read_to_string(output.path().join(file)).unwrap();
        let expected = reference(file);
        let (found, expected) = (sorted(&found), sorted(&expected));
        let difference = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(difference, None, "{file} with {arguments:?}");
        assert_eq!(found.len(), expected.len(), "{file} with {arguments:?}");
    }
}

#[test]
fn equals_the_batch_computation() {
    check(&[]);
}

#[test]
fn equals_it_at_other_parallelisms() {
    check(&["-D", "parallelism.default=2"]);
    check(&["-D", "parallelism.default=3", "-D", "pipeline.max-parallelism=7"]);
}

#[test]
fn equals_it_with_tight_buffers() {
    check(&[
        "-D",
        "parallelism.default=2",
        "-D",
        "taskmanager.memory.segment-size=4kb",
        "-D",
        "execution.buffer-timeout=-1",
        "-D",
        "taskmanager.network.memory.buffers-per-channel=1",
        "-D",
        "taskmanager.network.memory.floating-buffers-per-gate=1",
        "-D",
        "pipeline.operator-chaining.enabled=false",
    ]);
}

#[test]
fn equals_it_with_state_in_rocksdb() {
    let folder = tempfile::tempdir().unwrap();
    let files = format!("state.backend.rocksdb.localdir={}", folder.path().display());
    check(&["-D", "parallelism.default=2", "-D", "state.backend.type=rocksdb", "-D", &files]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its files are gone with the job");
}

#[test]
fn says_what_is_wrong() {
    let output = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let ended = run(output.path(), arguments);
        assert!(!ended.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let missing = said(&["--data", "/nowhere"]);
    assert!(missing.contains("/nowhere/") && missing.contains("flights"), "{missing}");
    let slots = said(&["-D", "parallelism.default=4", "-D", "taskmanager.numberOfTaskSlots=3"]);
    assert!(slots.contains("needs 4 task slots but there are only 3: 1 missing"), "{slots}");
    assert!(!missing.contains(".."), "{missing}");
    let files = said(&["-c", "a.yaml", "-c", "b.yaml"]);
    assert!(files.contains("'--config <FILE>' cannot be used multiple times"), "{files}");
    let option = said(&["-D", "parallelism.defualt=4"]);
    assert!(option.contains("parallelism.default"), "{option}");
    let memory = said(&["-D", "taskmanager.memory.process.size=500m"]);
    assert!(memory.contains("Total Flink Memory"), "{memory}");
    let segments = said(&[
        "-D",
        "parallelism.default=60",
        "-D",
        "taskmanager.memory.network.max=64mb",
        "-D",
        "taskmanager.memory.segment-size=1mb",
    ]);
    assert!(segments.contains("Insufficient number of network buffers"), "{segments}");
}

#[test]
fn help_shows_its_own_arguments_and_those_of_every_job() {
    let output = tempfile::tempdir().unwrap();
    let help = run(output.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    for text in
        ["January 2013", "--data", "--seconds", "-D <KEY=VALUE>", "--config", "--explain", "--summary"]
    {
        assert!(help.contains(text), "'{text}' is missing in {help}");
    }
    let wrong = run(output.path(), &["--seconds", "0"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("a number over 0"));
}

#[test]
fn explains_itself() {
    let output = tempfile::tempdir().unwrap();
    let text = String::from_utf8(run(output.path(), &["--explain"]).stdout).unwrap();
    assert!(text.contains("Source: flights") && text.contains("HASH"), "{text}");
    let json = run(output.path(), &["--explain=json"]).stdout;
    let plan: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(plan["nodes"].as_array().unwrap().len() > 10, "{plan}");
    assert_eq!(
        run(output.path(), &["--explain"]).stdout,
        text.as_bytes(),
        "ids are the same from run to run"
    );
}
