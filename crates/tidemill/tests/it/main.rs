//! The integration tests of this crate, in one binary: the command line as a user runs it, and the files that are
//! generated from the declarations.

// All of this is test code, helpers included: a failed unwrap is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chaos;
mod checkpoint_options;
mod config_command;
mod dependencies;
mod ending;
mod explain_command;
mod faults;
mod flights;
mod flink;
mod functions;
mod generated;
mod loading;
mod memory_command;
mod native_metrics;
mod nexmark;
mod patterns;
mod pseudo_terminal;
mod rest;
mod running;
mod running_jobs;
mod sql;
mod sql_files;
mod sql_one_liners;
mod sql_savepoints;
mod sql_shell;
mod sql_survival;
mod state_command;
mod submit_command;
mod subqueries;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a run of the command printed, and how it ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// For jobs that nobody is to reach.
const NO_REST: [&str; 2] = ["-D", "tidemill.rest.enabled=false"];

/// An example that cargo has built beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}

/// Runs `tidemill` with no configuration but what the arguments give.
fn tidemill(args: &[&str]) -> Run {
    tidemill_with(args, &[])
}

fn tidemill_with(args: &[&str], variables: &[(&str, &Path)]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(args)
        .env_remove("TIDEMILL_CONF_DIR")
        .env_remove("FLINK_CONF_DIR")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder of its own that goes away at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tidemill-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}
