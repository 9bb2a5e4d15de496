//! Jobs on a cluster: waiting for them, leaving them, and what is done to them later.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Script, gateway, good, ids, rest, state, until};
use crate::tidemill;

const MADE_UP: &str = "
CREATE TABLE few (a INT, b STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '100', 'rows-per-second' = '1000',
  'fields.a.kind' = 'sequence', 'fields.a.start' = '1', 'fields.a.end' = '100', 'fields.b.length' = '3');
CREATE TABLE many (a INT) WITH ('connector' = 'datagen', 'rows-per-second' = '100', 'fields.a.min' = '1', 'fields.a.max' = '9');
CREATE TABLE gone (a INT) WITH ('connector' = 'blackhole');
CREATE TABLE files (a INT, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'file://${OUT}/files', 'format' = 'csv');
CREATE TABLE sums (a BIGINT) WITH ('connector' = 'blackhole');
";

fn script(statements: &str) -> Script {
    Script::new(&format!("{MADE_UP}{statements}"))
}

fn cancel(job: &str) {
    good(&tidemill(&["cancel", job, "--flink", &rest()]));
    assert_eq!(state(job), "CANCELED");
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn jobs_that_end_are_waited_for_one_after_the_other() {
    let script = script(
        "SET 'tidemill.cli.progress' = 'never';
         SET 'parallelism.default' = '2';
         BEGIN STATEMENT SET;
         INSERT INTO files SELECT a, 1 FROM few WHERE a <= 50;
         INSERT INTO files SELECT a, 2 FROM few WHERE a > 50;
         END;
         SELECT n, COUNT(*) AS c FROM files GROUP BY n;
         SHOW TABLES;
         EXPLAIN SELECT a FROM few;",
    );
    let run = script.submit(&[
        "--format",
        "jsonl",
        "-D",
        "tidemill.progress=never",
        "-D",
        "taskmanager.numberOfTaskSlots=4",
    ]);
    let out = good(&run);
    assert!(out.starts_with("[1, 50]\n[2, 50]\n") || out.starts_with("[2, 50]\n[1, 50]\n"), "{out}");
    assert!(out.contains("[\"few\"]") && out.contains("== Optimized Physical Plan =="), "{out}");
    assert!(run.err.contains("/#/job/running/"), "{}", run.err);
    assert!(run.err.contains("taskmanager.numberOfTaskSlots"), "{}", run.err);
    assert!(
        run.err.contains("only Tidemill has them") && run.err.contains("tidemill.cli.progress"),
        "{}",
        run.err
    );
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn progress_is_shown_where_there_is_no_terminal_if_asked_for() {
    let run = script("INSERT INTO gone SELECT a FROM few;").submit(&["-D", "tidemill.progress=always"]);
    good(&run);
    assert!(run.err.contains("finished in"), "{}", run.err);
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn jobs_that_do_not_end_are_left_and_found_again() {
    let script = script("SET 'pipeline.name' = 'left behind'; INSERT INTO gone SELECT a FROM many;");
    let run = script.submit(&["--format", "jsonl", "-D", "execution.checkpointing.interval=1s"]);
    let jobs = ids(good(&run));
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!(state(job), "RUNNING");
    for place in [["--flink", &rest()], ["--flink", &gateway()], ["-m", &rest()]] {
        let listed = tidemill(&[&["list", "--json"], &place[..]].concat());
        let listed: Value = serde_json::from_str(good(&listed)).unwrap();
        let found = listed.as_array().unwrap().iter().find(|found| found["id"] == job.as_str());
        assert_eq!(found.unwrap()["name"], "left behind", "{listed}");
    }
    let checkpoint = tidemill(&["checkpoint", "left behind", "--flink", &rest()]);
    assert!(good(&checkpoint).contains("of 'left behind'"), "{}", checkpoint.out);
    let folder = script.folder.path().join("savepoints").display().to_string();
    let savepoint = tidemill(&["savepoint", "left behind", &folder, "--flink", &gateway()]);
    assert!(good(&savepoint).contains("savepoint-"), "{}", savepoint.out);
    let stopped = tidemill(&["stop", "left behind", "-p", &folder, "--flink", &rest()]);
    assert!(good(&stopped).contains("execution.state-recovery.path=file:"), "{}", stopped.out);
    until(job, "FINISHED");
    assert!(std::fs::read_dir(&folder).unwrap().count() >= 2, "two savepoints");
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn a_job_that_was_stopped_goes_on_from_its_savepoint() {
    let statements = "INSERT INTO sums SELECT SUM(a) FROM many;";
    let first = script(statements);
    let jobs = ids(good(&first.submit(&["--format", "jsonl", "--detach"])));
    until(&jobs[0], "RUNNING");
    let folder = first.folder.path().display().to_string();
    let stopped = tidemill(&["stop", &jobs[0], "--drain", "-p", &folder, "--flink", &rest(), "--json"]);
    let stopped: Value = serde_json::from_str(good(&stopped)).unwrap();
    let path = stopped["savepoint"].as_str().unwrap();
    let option = format!("execution.state-recovery.path={path}");
    let again = ids(good(&script(statements).submit(&["--format", "jsonl", "-D", &option])));
    let restored = &super::asked(&format!("/jobs/{}/checkpoints", again[0]))["latest"]["restored"];
    assert!(
        restored["external_path"].as_str().unwrap().ends_with(path.rsplit('/').next().unwrap()),
        "{restored}"
    );
    cancel(&again[0]);
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn ctrl_c_leaves_a_job_of_insert_and_cancels_a_query() {
    let signalled = |script: &Script, args: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidemill"))
            .args(["submit", "--flink", &gateway(), script.path()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.starts_with("Job ")).unwrap();
        let job = line[4..].split(':').next().unwrap().to_owned();
        until(&job, "RUNNING");
        let done = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(done.success());
        let rest: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
        (job, rest.join("\n"))
    };
    let (job, err) = signalled(&script("INSERT INTO gone SELECT a FROM many;"), &["--wait"]);
    assert!(
        err.contains("goes on on the cluster") && err.contains(&format!("tidemill cancel {job}")),
        "{err}"
    );
    assert_eq!(state(&job), "RUNNING");
    cancel(&job);
    // As slow as a table that ends can be.
    let slow = script("SELECT a FROM slow;");
    let tables = "CREATE TABLE slow (a INT) WITH ('connector' = 'datagen', 'number-of-rows' = '100000', 'rows-per-second' = '10');\n";
    let text = std::fs::read_to_string(&slow.path).unwrap();
    std::fs::write(&slow.path, format!("{tables}{text}")).unwrap();
    let (job, err) = signalled(&slow, &[]);
    assert!(err.contains("Cancelled the query of line"), "{err}");
    until(&job, "CANCELED");
}
