//! How the program of a job ends, whatever becomes of what it prints.

use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{NO_REST, example};

fn printing(arguments: &[&str]) -> Command {
    let mut command = Command::new(example("printing"));
    command
        .args(arguments)
        .args(NO_REST)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("TIDEMILL_CONF_DIR")
        .env_remove("FLINK_CONF_DIR");
    command
}

/// Waits until a program prints. What it goes on to print is more than its pipe holds, so that it cannot print for long.
fn until_printing(child: &Child) {
    let path = format!("/proc/{}/io", child.id());
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let counts = std::fs::read_to_string(&path).unwrap();
        let written = counts.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        if written.trim().parse::<u64>().unwrap() > 10_000 {
            return;
        }
        assert!(Instant::now() < deadline, "it does not print");
        std::thread::yield_now();
    }
}

fn kill(child: &Child, signal: &str) {
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// How a program ends that must do so within a second.
fn soon(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(start.elapsed() < Duration::from_secs(1), "it took {:?}", start.elapsed());
            return status;
        }
        if start.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn said(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// Whether these tests were started with `nohup`: then so are the programs.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & 1 == 1
}

#[test]
fn signals_cancel_a_job_whose_output_nobody_reads() {
    for (signal, name, code) in [("-TERM", "SIGTERM", 143), ("-INT", "SIGINT", 130), ("-HUP", "SIGHUP", 129)]
    {
        if signal == "-HUP" && ignores_hangup() {
            continue;
        }
        for arguments in [&[][..], &["-D", "parallelism.default=3"]] {
            let mut child = printing(arguments).spawn().unwrap();
            until_printing(&child);
            kill(&child, signal);
            let status = soon(&mut child);
            let said = said(&mut child);
            assert_eq!(status.code(), Some(code), "{said}");
            assert!(said.contains("job 'Numbers' was cancelled by") && said.contains(name), "{said}");
        }
    }
}

#[test]
fn a_signal_ends_a_program_that_cannot_even_say_so() {
    let (reader, writer) = pipe().unwrap();
    let mut child = printing(&[]).stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    until_printing(&child);
    kill(&child, "-TERM");
    assert_eq!(soon(&mut child).code(), Some(143));
    drop(reader);
}

#[test]
fn a_failure_ends_a_job_whose_output_nobody_reads() {
    let mut child = printing(&["--fail"]).spawn().unwrap();
    until_printing(&child);
    child.stdin.take().unwrap().write_all(b"now\n").unwrap();
    let status = soon(&mut child);
    let said = said(&mut child);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("panicked: there is a line"), "{said}");
}

#[test]
fn a_reader_that_has_enough_ends_the_job() {
    let mut child = printing(&[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for expected in ["0", "1", "2"] {
        assert_eq!(lines.next().unwrap().unwrap(), expected);
    }
    drop(lines);
    let status = soon(&mut child);
    let said = said(&mut child);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("nobody reads standard output any more"), "{said}");
    assert!(said.lines().count() <= 3, "{said}");
}

#[test]
fn a_slow_reader_gets_everything_in_order() {
    let mut child = printing(&["--count", "100000"]).spawn().unwrap();
    until_printing(&child);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let mut lines = text.lines();
    for expected in 0..100_000 {
        assert_eq!(lines.next().unwrap(), expected.to_string());
    }
    assert_eq!((lines.next(), lines.next()), (Some("done"), None));
}

#[test]
fn tables_that_nobody_reads_do_not_cost_the_results() {
    let output = tempfile::tempdir().unwrap();
    let mut child = Command::new(example("flights"))
        .args(["--output", output.path().to_str().unwrap()])
        .args(NO_REST)
        .env_remove("TIDEMILL_CONF_DIR")
        .env_remove("FLINK_CONF_DIR")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let said = said(&mut child);
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said.matches("nobody reads standard output any more: the table").count(), 3, "{said}");
    for file in ["hourly.csv", "worst_routes.csv", "plane_gaps.csv"] {
        assert!(output.path().join(file).exists(), "{file}");
    }
}

/// Runs a program to its end, with what it prints going nowhere else.
fn run(arguments: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let mut child = printing(arguments).stdout(stdout).spawn().unwrap();
    let said = said(&mut child);
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_log_that_cannot_be_written_is_told_once() {
    let log = ["--count", "100", "-D", "tidemill.log.file=/dev/full", "-D", "tidemill.log.level=debug"];
    let (code, said) = run(&log, Stdio::null());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        said.matches("warning: cannot write the log to /dev/full (tidemill.log.file): ").count(),
        1,
        "{said}"
    );
    assert!(!said.contains("tracing"), "{said}");
}

#[test]
fn a_plan_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, said) = run(&["--explain"], full.into());
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "error: cannot write: No space left on device (os error 28)\n")
    );
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    assert_eq!(run(&["--explain"], writer.into()), (Some(0), String::new()));
}

#[test]
fn a_process_that_is_too_large_is_a_warning() {
    let (code, said) = run(&["--count", "1", "-D", "taskmanager.memory.process.size=10t"], Stdio::null());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("warning: the process size of 10 TiB (-D) is more than "), "{said}");
}
