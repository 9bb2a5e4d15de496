//! A real Apache Flink with its SQL Gateway, for those who have one: `make test-flink` starts it, and says where it is in
//! `FLINK_GATEWAY` and `FLINK_REST`.

mod commands;
mod failures;
mod golden;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Run;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run make test-flink"))
}

fn gateway() -> String {
    variable("FLINK_GATEWAY")
}

fn rest() -> String {
    variable("FLINK_REST")
}

/// A folder with a script in it.
struct Script {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Script {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.sql");
        std::fs::write(&path, text.replace("${OUT}", &folder.path().display().to_string())).unwrap();
        Self { folder, path }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn submit(&self, args: &[&str]) -> Run {
        super::tidemill(&[&["submit", "--flink", &gateway(), self.path()], args].concat())
    }

    fn run(&self, args: &[&str]) -> Run {
        super::tidemill(&[&["run", self.path(), "-D", "tidemill.rest.enabled=false"], args].concat())
    }
}

/// What the JobManager answers.
fn asked(path: &str) -> Value {
    let text = ureq::get(format!("{}{path}", rest())).call().unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The state of a job as it is now: what `/jobs/ID` says of it may be some seconds old.
fn state(job: &str) -> String {
    asked(&format!("/jobs/{job}/status"))["status"].as_str().unwrap().to_owned()
}

/// Waits until a job is in a state.
fn until(job: &str, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while state(job) != wanted {
        assert!(Instant::now() < deadline, "the job {job} is {} and not {wanted}", state(job));
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn good(run: &Run) -> &str {
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    &run.out
}

/// The ids in what was printed for each job that is left running.
fn ids(out: &str) -> Vec<String> {
    let rows = out.lines().map(|line| serde_json::from_str::<Vec<String>>(line).unwrap());
    rows.map(|row| row[0].clone()).collect()
}
