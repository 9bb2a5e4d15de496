//! The commands for jobs that run.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Run;
use super::running::{Job, Machine};

fn good(run: Run) -> String {
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    run.out
}

fn bad(run: Run) -> String {
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    run.err
}

fn json(run: Run) -> Value {
    serde_json::from_str(&good(run)).unwrap()
}

/// What the job has printed when its windows closed: how many numbers it has counted, and how many of them the first run has. Sees
/// that it has counted each number once: those of one digit come one after the other, also from two sources.
fn tallies(printed: &str) -> (u64, u64) {
    // With several subtasks, each line begins with the number of its own.
    let own = |line: &'_ str| line.rsplit("> ").next().unwrap_or_default().to_owned();
    let numbers = |line: String| line.split(' ').map(|number| number.parse().unwrap()).collect();
    let lines: Vec<Vec<u64>> = printed.lines().map(own).map(numbers).collect();
    assert_eq!(lines.len(), 10, "{printed}");
    for line in &lines {
        assert_eq!(line[1], line[2] / 10 + 1, "{printed}");
    }
    let sum = |place: usize| lines.iter().map(|line| line[place]).sum();
    (sum(1), sum(3))
}

/// Waits until a job has counted something.
fn until_counting(job: &Job) {
    let is_counting = |details: &Value| {
        let vertices = details["vertices"].as_array().unwrap();
        vertices.last().unwrap()["metrics"]["read-records"].as_u64().unwrap() > 100
    };
    job.wait_for(is_counting, "");
}

#[test]
fn a_job_goes_on_from_a_savepoint_and_drains() {
    let machine = Machine::new();
    let mut first = machine.start(&["-D", "parallelism.default=2"]);
    until_counting(&first);
    let savepoint = json(machine.tidemill(&["savepoint", "Counting", &machine.text("savepoints"), "--json"]));
    let path = savepoint["savepoint"].as_str().unwrap().to_owned();
    assert!(
        path.starts_with("file://") && path.contains(&format!("savepoint-{}-", &first.id[..6])),
        "{path}"
    );
    assert_eq!(savepoint["id"], first.id.as_str());
    assert_eq!(first.get("/status")["status"], "RUNNING", "it goes on");
    let told = good(machine.tidemill(&["cancel", &first.id[..8]]));
    assert_eq!(told, "Cancelled 'Counting'\n");
    assert_eq!(first.ended().code(), Some(1));
    assert!(first.said().contains("job 'Counting' was cancelled"));

    let second = ["--run", "2", "--from-savepoint", &path, "-D", "parallelism.default=3"];
    let mut second = machine.start(&second);
    let restored = second.wait_for(|it| !it["latest"]["restored"].is_null(), "/checkpoints");
    assert_eq!(restored["latest"]["restored"]["external_path"], path.as_str());
    until_counting(&second);
    let target = machine.text("last");
    let told = good(machine.tidemill(&["stop", "Counting", "--drain", "--savepoint-path", &target]));
    assert!(
        told.starts_with(&format!("Stopped 'Counting' with the savepoint file://{target}/savepoint-")),
        "{told}"
    );
    assert!(second.ended().success());
    let (count, by_first_run) = tallies(&second.printed());
    assert!(by_first_run > 0 && by_first_run < count, "{by_first_run} of {count} are of the first run");
}

#[test]
fn state_of_an_operator_that_is_gone_is_left_out_only_if_that_is_wanted() {
    let machine = Machine::new();
    let mut first = machine.start(&[]);
    until_counting(&first);
    let stopped = json(machine.tidemill(&["stop", "Counting", "-p", &machine.text("s"), "--json"]));
    let path = stopped["savepoint"].as_str().unwrap().to_owned();
    assert!(first.ended().success());

    let other = ["--run", "2", "--uid", "another", "--from-savepoint", &path];
    let mut refused = Job::spawn(&machine, &other);
    assert_eq!(refused.ended().code(), Some(1));
    let said = refused.said();
    assert!(said.contains("(uid 'by-digit')") && said.contains("--allow-non-restored-state"), "{said}");

    let mut allowed = machine.start(&[&other[..], &["--allow-non-restored-state"]].concat());
    until_counting(&allowed);
    good(machine.tidemill(&["stop", "Counting", "--drain", "-p", &machine.text("last")]));
    assert!(allowed.ended().success());
    let printed = allowed.printed();
    let lines = printed.lines().map(|line| line.split(' ').map(|it| it.parse().unwrap()).collect());
    let lines: Vec<Vec<u64>> = lines.collect();
    assert_eq!(lines.len(), 10, "{printed}");
    for line in lines {
        assert_eq!(line[3], 0, "the windows of the first run are not there: {printed}");
        assert!(line[1] < line[2] / 10, "while the source goes on where it was: {printed}");
    }
}

#[test]
fn an_option_of_rocksdb_that_has_no_effect_is_noted() {
    let machine = Machine::new();
    let key = "state.backend.rocksdb.bloom-filter.block-based-mode";
    for (value, noted) in [("true", true), ("false", false)] {
        let option = format!("{key}={value}");
        let mut job = machine.start(&["-D", "state.backend.type=rocksdb", "-D", &option]);
        good(machine.tidemill(&["cancel", "Counting"]));
        job.ended();
        let said = job.said();
        assert_eq!(said.contains(&format!("{key} has no effect")), noted, "{said}");
    }
}

/// All files in a folder, with what is in them.
fn contents(folder: &std::path::Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(path).unwrap())),
        }
    }
    found
}

#[test]
fn a_job_that_claims_nothing_is_another_job_and_leaves_the_earlier_run_alone() {
    let machine = Machine::new();
    let folder = format!("execution.checkpointing.dir={}", machine.text("checkpoints"));
    let options = [
        "-D",
        &folder,
        "-D",
        "execution.checkpointing.interval=365 d",
        "-D",
        "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION",
    ];
    let mut first = machine.start(&options);
    until_counting(&first);
    let taken = json(machine.tidemill(&["checkpoint", "Counting", "--json"]));
    good(machine.tidemill(&["cancel", "Counting"]));
    first.ended();
    let of_first = machine.path("checkpoints").join(&first.id);
    let before = contents(&of_first);
    assert!(before.len() >= 2, "metadata, and state: {:?}", before.keys());

    let no_claim = ["--resume", "--run", "2", "-D", "execution.state-recovery.claim-mode=NO_CLAIM"];
    let mut second = machine.start(&[&options[..], &no_claim].concat());
    assert_ne!(second.id, first.id, "it is another job");
    let restored = second.get("/checkpoints");
    assert_eq!(restored["latest"]["restored"]["external_path"], taken["path"], "{restored}");
    until_counting(&second);
    for _ in 0..2 {
        let own = json(machine.tidemill(&["checkpoint", "Counting", "--json"]));
        assert!(own["path"].as_str().unwrap().contains(&second.id), "{own}");
    }
    good(machine.tidemill(&["stop", "Counting", "--drain", "-p", &machine.text("last")]));
    assert!(second.ended().success());
    let (count, by_first_run) = tallies(&second.printed());
    assert!(by_first_run > 0 && by_first_run < count, "{by_first_run} of {count} are of the first run");
    assert!(contents(&of_first) == before, "{:?}", contents(&of_first).keys());
}

#[test]
fn a_running_job_is_rescaled_up_and_down() {
    let machine = Machine::new();
    let folder = format!("execution.checkpointing.savepoint-dir={}", machine.text("s"));
    let mut job =
        machine.start(&["-D", &folder, "-D", "parallelism.default=2", "-D", "pipeline.max-parallelism=4"]);
    until_counting(&job);
    let vertices = job.get("");
    let source = vertices["vertices"][0]["id"].as_str().unwrap();
    let error = bad(machine.tidemill(&["rescale", "Counting", "--vertex", &format!("{source}=5")]));
    assert!(error.contains("max parallelism is 4"), "{error}");
    let told = good(machine.tidemill(&["rescale", "Counting", "--parallelism", "2"]));
    assert_eq!(told, "'Counting' runs like this already\n");
    assert_eq!(job.get("/rescales/history"), serde_json::json!([]));

    let run = machine.tidemill(&["rescale", "Counting", "--parallelism", "9"]);
    assert!(run.err.contains("gets no more than its max parallelism, 4"), "{}", run.err);
    let told = good(run);
    assert!(
        told.starts_with("Rescaled 'Counting': down for ") && told.contains("Source: numbers: 2 -> 4"),
        "{told}"
    );
    let rescaled = json(machine.tidemill(&[
        "rescale",
        "Counting",
        "--vertex",
        &format!("{}=1", &source[..9]),
        "--json",
    ]));
    assert!(rescaled["downtime-ms"].as_u64().unwrap() < 60_000, "{rescaled}");
    assert_eq!(rescaled["id"], job.id.as_str(), "it is the same job");
    let widths = job.get("/resource-requirements");
    assert_eq!(widths[source]["parallelism"]["upperBound"], 1);
    let overview = job.get("/rescales/overview");
    assert_eq!(overview["rescalesCounts"]["completed"], 2);
    assert_eq!(overview["latest"]["completed"]["terminatedReason"], "SUCCEEDED");
    assert_eq!(job.get("/rescales/history")[0], overview["latest"]["completed"], "the newest first");
    assert_eq!(job.ask("GET", "/rescales/details/x", "").0, 404);

    good(machine.tidemill(&["stop", "Counting", "--drain"]));
    assert!(job.ended().success());
    let (count, _) = tallies(&job.printed());
    assert!(count > 100, "{count}");
}

#[test]
fn a_stopped_job_keeps_its_windows_for_later_and_tells_where_they_are() {
    let machine = Machine::new();
    let mut job =
        machine.start(&["-D", &format!("execution.checkpointing.savepoint-dir={}", machine.text("s"))]);
    until_counting(&job);
    let id = format!("{:032x}", 0xabc);
    let body = format!(r#"{{"drain": false, "formatType": "NATIVE", "triggerId": "{id}"}}"#);
    assert_eq!(job.ask("POST", "/stop", &body).0, 202);
    // The same request again is the same.
    let (status, again) = job.ask("POST", "/stop", &body);
    assert_eq!((status, again["request-id"].as_str()), (202, Some(id.as_str())));
    let done = job.wait_for(|answer| answer["status"]["id"] == "COMPLETED", &format!("/savepoints/{id}"));
    let told = Instant::now();
    let path = done["operation"]["location"].as_str().unwrap();
    assert!(path.starts_with("file://"), "{done}");
    assert!(job.ended().success());
    assert!(told.elapsed() < Duration::from_secs(4), "whoever has heard it does not hold the program up");
    assert_eq!(job.printed(), "", "no window has fired");
    let types = json(machine.tidemill(&["state", "types", path, "--json"]));
    assert_eq!((&types["kind"], &types["format"]), (&"savepoint".into(), &"native".into()));
}

#[test]
fn a_result_that_nobody_asks_for_does_not_hold_the_program_up_for_long() {
    let machine = Machine::new();
    let mut job = machine.start(&[]);
    let body = format!(r#"{{"targetDirectory": "{}"}}"#, machine.text("s"));
    let (status, begun) = job.ask("POST", "/stop", &body);
    assert_eq!(status, 202, "{begun}");
    let start = Instant::now();
    // The job is not known any more as soon as it has ended, while its result can be asked for.
    while machine.path("tidemill").join(format!("{}.json", job.id)).exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(job.ended().success());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn two_jobs_are_told_apart() {
    let machine = Machine::new();
    assert_eq!(good(machine.tidemill(&["list"])), "No jobs run on this machine.\n");
    let error = bad(machine.tidemill(&["cancel", "Counting"]));
    assert_eq!(error, "error: no job is called 'Counting'; no jobs run\n");

    let one = machine.start(&["--name", "One"]);
    let other = machine.start(&["--name", "Other job"]);
    let listed = good(machine.tidemill(&["list"]));
    assert!(listed.starts_with("ID  ") && listed.lines().count() == 3, "{listed}");
    for (job, name) in [(&one, "One"), (&other, "Other job")] {
        let line = listed.lines().find(|line| line.starts_with(&job.id)).unwrap();
        assert!(line.contains(name) && line.contains("RUNNING") && line.ends_with(&job.address), "{line}");
    }
    let jobs = json(machine.tidemill(&["list", "--json"]));
    assert_eq!(jobs.as_array().unwrap().len(), 2);
    assert_eq!((&jobs[0]["name"], &jobs[0]["pid"]), (&"One".into(), &one.child.id().into()));
    let there = json(machine.tidemill(&["list", "--json", "-m", &other.address]));
    assert_eq!((there.as_array().unwrap().len(), &there[0]["id"]), (1, &other.id.as_str().into()));

    let error = bad(machine.tidemill(&["savepoint", "Two", &machine.text("s")]));
    assert!(error.starts_with("error: no job is called 'Two'; these run:\n"), "{error}");
    assert!(error.contains(&format!("{}  RUNNING  Other job  at", other.id)), "{error}");
    let third = machine.start(&["--name", "One"]);
    let error = bad(machine.tidemill(&["cancel", "One"]));
    assert!(error.starts_with("error: 'One' may be any of these jobs"), "{error}");
    assert!(error.contains(&one.id) && error.contains(&third.id) && !error.contains(&other.id), "{error}");
    good(machine.tidemill(&["cancel", &third.id]));
    good(machine.tidemill(&["cancel", "One"]));
    let left = json(machine.tidemill(&["list", "--json"]));
    assert_eq!(
        (left.as_array().unwrap().len(), &left[0]["name"]),
        (1, &"Other job".into()),
        "it is not disturbed"
    );
}

#[test]
fn jobs_that_were_killed_are_forgotten() {
    let machine = Machine::new();
    let mut job = machine.start(&[]);
    let file = machine.path("tidemill").join(format!("{}.json", job.id));
    assert!(file.exists());
    job.child.kill().unwrap();
    job.child.wait().unwrap();
    assert!(file.exists(), "nobody was there to remove it");
    assert_eq!(good(machine.tidemill(&["list"])), "No jobs run on this machine.\n");
    assert!(!file.exists());
}

#[test]
fn a_signal_makes_a_job_unknown_at_once() {
    let machine = Machine::new();
    let mut job = machine.start(&[]);
    let killed =
        std::process::Command::new("kill").args(["-TERM", &job.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(job.ended().code(), Some(143));
    assert_eq!(std::fs::read_dir(machine.path("tidemill")).unwrap().count(), 0);
}

#[test]
fn checkpoints_are_taken_when_they_are_asked_for() {
    let machine = Machine::new();
    let folder = format!("execution.checkpointing.dir={}", machine.text("checkpoints"));
    let job = machine.start(&["-D", &folder]);
    let taken = json(machine.tidemill(&["checkpoint", "Counting", "--json"]));
    assert_eq!(taken["checkpoint"], 1);
    let path = taken["path"].as_str().unwrap();
    assert!(path.ends_with(&format!("{}/chk-1", job.id)), "{path}");
    assert_eq!(good(machine.tidemill(&["checkpoint", "Counting", "--full"])).lines().count(), 1);

    let without = machine.start(&["--name", "Without"]);
    let error = bad(machine.tidemill(&["checkpoint", "Without"]));
    assert!(error.contains("'execution.checkpointing.dir' is not set"), "{error}");
    let error = bad(machine.tidemill(&["savepoint", "Without"]));
    assert!(error.contains("execution.checkpointing.savepoint-dir"), "{error}");
    assert_eq!(without.get("/status")["status"], "RUNNING", "it goes on");
}

#[test]
fn where_nobody_answers_is_said() {
    let machine = Machine::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = bad(machine.tidemill(&["list", "-m", &free.to_string()]));
    assert!(error.contains(&format!("nobody answers at {free}")), "{error}");
    let error = bad(machine.tidemill(&["cancel", "x", "-m", "https://localhost"]));
    assert!(error.contains("expected HOST:PORT"), "{error}");
    // Something else listens there.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    });
    let error = bad(machine.tidemill(&["list", "-m", &address]));
    assert!(error.contains("is not the REST interface of a job"), "{error}");
    answering.join().unwrap();
}

#[test]
fn the_interface_can_be_turned_off_and_a_taken_port_is_an_error() {
    let machine = Machine::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut job = Job::spawn(&machine, &["-D", &format!("rest.bind-port={port}")]);
    assert_eq!(job.ended().code(), Some(1));
    let said = job.said();
    assert!(said.contains(&format!("cannot have port {port}")) && said.contains("rest.bind-port"), "{said}");

    // One of a range that is taken is passed over; those behind it may be used by others meanwhile.
    let range = format!("rest.bind-port={port}-{}", port.saturating_add(200));
    let job = machine.start(&["-D", &range]);
    let found: u16 = job.address.rsplit_once(':').unwrap().1.parse().unwrap();
    assert!(found > port && found <= port.saturating_add(200), "{found}");
    drop(job);

    let known = || std::fs::read_dir(machine.path("tidemill")).map_or(0, Iterator::count);
    good(machine.tidemill(&["list"]));
    assert_eq!(known(), 0);
    let job = Job::spawn(&machine, &["-D", "tidemill.rest.enabled=false"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    // It has read its configuration and runs when it has threads for its tasks.
    while !tasks_of(job.child.id()).iter().any(|name| name.contains("numbers")) {
        assert!(Instant::now() < deadline, "{:?}", tasks_of(job.child.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!tasks_of(job.child.id()).iter().any(|name| name.contains("tidemill-rest")));
    assert_eq!(known(), 0);
}

/// The names of a process's threads.
fn tasks_of(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default()).collect()
}
