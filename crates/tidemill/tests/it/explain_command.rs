//! `tidemill explain`.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::{Folder, example, tidemill};

#[test]
fn the_plan_of_a_program_is_shown() {
    let flights = example("flights");
    let flights = flights.to_str().unwrap();
    let text = tidemill(&["explain", flights, "-D", "parallelism.default=3"]);
    assert_eq!(text.code, 0, "{}", text.err);
    assert!(text.out.contains("Source: flights") && text.out.contains("3"), "{}", text.out);
    let json = tidemill(&["explain", "--json", flights, "--output", "nowhere"]);
    assert_eq!(json.code, 0, "{}", json.err);
    let plan: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(plan["nodes"].as_array().unwrap().len() > 10, "{plan}");
}

#[test]
fn what_is_wrong_with_the_program_is_said() {
    let missing = tidemill(&["explain", "./no-such-job"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("cannot start ./no-such-job: "), "{}", missing.err);
    let flights = example("flights");
    let refused = tidemill(&["explain", flights.to_str().unwrap(), "--no-such-argument"]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""), "the exit code is the program's");
    assert!(refused.err.contains("unexpected argument '--no-such-argument'"), "{}", refused.err);
}

/// A program for the shell.
fn script(folder: &Folder, text: &str) -> String {
    let path = folder.file("program", &format!("#!/bin/sh\n{text}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn arguments_behind_the_program_are_its_own() {
    let flights = example("flights");
    let help = tidemill(&["explain", flights.to_str().unwrap(), "--help"]);
    assert_eq!(help.code, 0, "{}", help.err);
    assert!(help.out.contains("Options of every job"), "{}", help.out);
    let folder = Folder::new();
    let program = script(&folder, r#"echo "Job '$*': vertices 0""#);
    let run = tidemill(&["explain", "--json", &program, "--json", "-x", "--", "-c"]);
    assert_eq!(run.out, "Job '--explain=json --json -x -- -c': vertices 0\n");
    let mistyped = tidemill(&["explain", "--jsn", &program]);
    assert_eq!(mistyped.code, 2, "{}", mistyped.err);
    assert!(mistyped.err.contains("unexpected argument '--jsn'"), "{}", mistyped.err);
    assert_eq!(tidemill(&["explain"]).code, 2);
}

#[test]
fn a_program_that_shows_no_plan_is_no_job() {
    let folder = Folder::new();
    for program in ["/bin/true", "/bin/echo"] {
        let run = tidemill(&["explain", program]);
        assert_eq!(run.code, 1);
        assert!(
            run.err.contains(&format!("{program} has ended without showing a plan: is it a job")),
            "{}",
            run.err
        );
    }
    let killed = tidemill(&["explain", &script(&folder, "kill -KILL $$")]);
    assert_eq!(killed.code, 137);
    assert!(killed.err.contains("program was ended by SIGKILL"), "{}", killed.err);
    assert_eq!(tidemill(&["explain", &script(&folder, "exit 42")]).code, 42);
}

#[test]
fn signals_are_handed_on_to_the_program() {
    let folder = Folder::new();
    let program = script(&folder, "trap 'kill $!; exit 7' TERM\nsleep 60 >&2 &\necho ready\nwait");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(["explain", &program])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(7));
    // Both ends of the pipe are closed: the program is gone, and what it had started.
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}
