//! Scripts of SQL that go on from the savepoints of others: operators that do the same over the same find their state.

use std::path::PathBuf;

use super::running::{Job, Machine};

/// Where what is counted comes from; each query has a source of its own.
const TABLES: &str = "
SET 'pipeline.name' = 'Counts';
CREATE TABLE events (event_type INT) WITH ('connector' = 'nexmark', 'rows-per-second' = '5000');
CREATE TABLE letters (letter STRING) WITH
  ('connector' = 'datagen', 'seed' = '1', 'rows-per-second' = '1000', 'fields.letter.length' = '1');
CREATE TABLE numbers (number INT) WITH
  ('connector' = 'datagen', 'seed' = '1', 'rows-per-second' = '1000', 'fields.number.min' = '0', 'fields.number.max' = '9');
CREATE TABLE types (event_type INT, n BIGINT) WITH ('connector' = 'print', 'print-identifier' = 'types');
CREATE TABLE others (other STRING, n BIGINT) WITH ('connector' = 'blackhole');
";

const TYPES: &str = "SELECT event_type, COUNT(*) AS n FROM events GROUP BY event_type";
const LETTERS: &str = "INSERT INTO others SELECT letter, COUNT(*) FROM letters GROUP BY letter;";
const NUMBERS: &str =
    "INSERT INTO others SELECT CAST(number AS STRING), COUNT(*) FROM numbers GROUP BY number;";

fn script(machine: &Machine, name: &str, inserts: &str) -> PathBuf {
    let path = machine.path(name);
    std::fs::write(&path, format!("{TABLES}EXECUTE STATEMENT SET BEGIN\n{inserts}\nEND;\n")).unwrap();
    path
}

/// Waits until a job has read so many events, stops it, and answers its savepoint.
fn stop(machine: &Machine, job: &mut Job) -> String {
    job.wait_for(
        |details| {
            let vertices = details["vertices"].as_array().unwrap();
            let read = |vertex: &serde_json::Value| vertex["metrics"]["read-records"].as_u64();
            vertices.iter().filter_map(read).max().unwrap() > 2_000
        },
        "",
    );
    let stopped = machine.tidemill(&["stop", "Counts", "-p", &machine.text("savepoints"), "--json"]);
    assert_eq!(stopped.code, 0, "{}{}", stopped.out, stopped.err);
    assert!(job.ended().success());
    let stopped: serde_json::Value = serde_json::from_str(&stopped.out).unwrap();
    stopped["savepoint"].as_str().unwrap().to_owned()
}

/// The kinds of change, types of event and counts of the lines that were printed, in order.
fn changes(printed: &str) -> Vec<(String, u64, u64)> {
    let lines = printed.lines().map(|line| {
        let (before, values) = line.trim_end_matches(']').split_once('[').unwrap();
        let kind = before.rsplit(['>', ' ', ':']).next().unwrap().to_owned();
        let (event_type, n) = values.split_once(", ").unwrap();
        (kind, event_type.parse().unwrap(), n.parse().unwrap())
    });
    lines.collect()
}

#[test]
fn a_changed_script_goes_on_where_its_operators_are_the_same() {
    let machine = Machine::new();
    let first = script(&machine, "first.sql", &format!("INSERT INTO types {TYPES};\n{LETTERS}"));
    let mut job = machine.until_running(Job::of_script(&machine, &first, &[]));
    let savepoint = stop(&machine, &mut job);
    let before = changes(&job.printed());

    // The same counts with a condition on them, one query less, and another one.
    let counts = format!("INSERT INTO types SELECT event_type, n FROM ({TYPES}) WHERE n > 10;");
    let second = script(&machine, "second.sql", &format!("{counts}\n{NUMBERS}"));
    let from = ["--from-savepoint", &savepoint];
    let mut refused = Job::of_script(&machine, &second, &from);
    assert_eq!(refused.ended().code(), Some(1));
    let said = refused.said();
    assert!(said.contains("state of operators that the job does not have"), "{said}");
    assert!(said.contains("groupBy=[letter]") && !said.contains("groupBy=[event_type]"), "{said}");
    assert!(said.contains("--allow-non-restored-state"), "{said}");

    let allowed = [&from[..], &["--allow-non-restored-state"]].concat();
    let mut job = machine.until_running(Job::of_script(&machine, &second, &allowed));
    stop(&machine, &mut job);
    let (after, said) = (changes(&job.printed()), job.said());
    let line = |what: &str| said.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{said}"));
    let left_out = line("is left out");
    assert!(left_out.contains("letters") && left_out.contains("groupBy=[letter]"), "{left_out}");
    assert!(!left_out.contains("events"), "{left_out}");
    let anew = line("begin anew");
    assert!(anew.contains("numbers") && anew.contains("groupBy=[number]"), "{anew}");
    assert!(!anew.contains("events"), "{anew}");

    for event_type in 0..3 {
        let of_type = |changes: &[(String, u64, u64)]| -> Vec<(String, u64)> {
            let of_type = changes.iter().filter(|(_, other, _)| *other == event_type);
            of_type.map(|(kind, _, n)| (kind.clone(), *n)).collect()
        };
        let (before, after) = (of_type(&before), of_type(&after));
        let (_, reached) = before.last().unwrap();
        assert_eq!(after[0], ("-U".to_owned(), *reached), "it goes on from where it was: {before:?}");
    }
}
