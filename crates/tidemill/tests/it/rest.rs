//! The REST interface of a job, as clients see it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidemill::connectors::{BlackholeSink, GeneratorSource};
use tidemill::prelude::*;

use super::running::{Job, Machine, request};

fn start(machine: &Machine) -> Job {
    let folder = format!("execution.checkpointing.dir={}", machine.text("checkpoints"));
    machine.start(&[
        "-D",
        &folder,
        "-D",
        "execution.checkpointing.interval=50ms",
        "-D",
        "parallelism.default=2",
    ])
}

#[test]
fn the_job_is_described_in_flinks_shapes() {
    let machine = Machine::new();
    let job = start(&machine);
    for root in ["", "/v1"] {
        let get = |path: &str| job.raw("GET", &format!("{root}{path}"), &[], "").unwrap();
        let (status, head, overview) = get("/overview");
        assert_eq!(status, 200, "{overview}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert_eq!((&overview["taskmanagers"], &overview["jobs-running"]), (&json!(1), &json!(1)));
        assert_eq!((&overview["slots-total"], &overview["slots-available"]), (&json!(2), &json!(0)));
        assert_eq!(get("/config").2["features"]["web-cancel"], true);
        assert_eq!(get("/jobs").2, json!({ "jobs": [{ "id": job.id, "status": "RUNNING" }] }));
        let listed = get("/jobs/overview").2;
        let listed = &listed["jobs"][0];
        assert_eq!((&listed["jid"], &listed["name"]), (&json!(job.id), &json!("Counting")));
        assert_eq!((&listed["tasks"]["total"], &listed["end-time"]), (&json!(4), &json!(-1)));
        assert!(
            listed["duration"].as_i64().unwrap() >= 0
                && listed["start-time"].as_i64().unwrap() > 1_600_000_000_000
        );
    }
    let details = job.get("");
    assert_eq!((&details["state"], &details["schedulerType"]), (&json!("RUNNING"), &json!("Adaptive")));
    assert!(details["timestamps"]["RUNNING"].as_i64().unwrap() > 0, "{details}");
    assert_eq!(details["timestamps"]["FAILED"], 0);
    let vertices = details["vertices"].as_array().unwrap();
    assert_eq!(vertices.len(), 2);
    assert_eq!((&vertices[0]["parallelism"], &vertices[0]["status"]), (&json!(2), &json!("RUNNING")));
    assert_eq!(details["status-counts"]["RUNNING"], 2);
    let plan = job.get("/plan");
    assert_eq!(plan["plan"], details["plan"]);
    let nodes = plan["plan"]["nodes"].as_array().unwrap();
    assert_eq!(nodes[0].get("inputs"), None);
    assert_eq!(
        (&nodes[1]["inputs"][0]["id"], &nodes[1]["inputs"][0]["ship_strategy"]),
        (&nodes[0]["id"], &json!("HASH"))
    );
    let requirements = job.get("/resource-requirements");
    let id = vertices[0]["id"].as_str().unwrap();
    assert_eq!(requirements[id], json!({ "parallelism": { "lowerBound": 1, "upperBound": 2 } }));
}

#[test]
fn figures_of_checkpoints_are_told() {
    let machine = Machine::new();
    let job = start(&machine);
    let overview = job.wait_for(|it| it["counts"]["completed"].as_u64() > Some(2), "/checkpoints");
    assert!(overview["summary"]["end_to_end_duration"]["p50"].is_number(), "{overview}");
    let latest = &overview["latest"]["completed"];
    assert_eq!(
        (&latest["className"], &latest["checkpoint_type"]),
        (&json!("completed"), &json!("CHECKPOINT"))
    );
    assert_eq!((&latest["num_subtasks"], &latest["tasks"]), (&json!(4), &json!({})));
    let number = latest["id"].as_u64().unwrap();
    let details = job.get(&format!("/checkpoints/details/{number}"));
    let tasks = details["tasks"].as_object().unwrap();
    assert_eq!(tasks.len(), 2);
    let sizes: u64 = tasks.values().map(|task| task["state_size"].as_u64().unwrap()).sum();
    assert_eq!(details["state_size"], sizes);
    let vertex = tasks.keys().next().unwrap();
    let subtasks = job.get(&format!("/checkpoints/details/{number}/subtasks/{vertex}"));
    assert_eq!(subtasks["subtasks"].as_array().unwrap().len(), 2);
    assert_eq!(subtasks["subtasks"][1]["index"], 1);
    assert!(subtasks["summary"]["checkpoint_duration"]["async"]["max"].is_number(), "{subtasks}");
    let config = job.get("/checkpoints/config");
    assert_eq!((&config["mode"], &config["interval"]), (&json!("exactly_once"), &json!(50)));
    assert_eq!(config["checkpoint_storage"], "FileSystemCheckpointStorage");
    for path in ["/checkpoints/details/999999", &format!("/checkpoints/details/{number}/subtasks/{:032x}", 1)]
    {
        assert_eq!(job.ask("GET", path, "").0, 404, "{path}");
    }
    assert_eq!(job.ask("GET", "/checkpoints/details/x", "").0, 400);
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let machine = Machine::new();
    let job = start(&machine);
    let unknown = format!("{:032x}", 7);
    let root = format!("/jobs/{}", job.id);
    let large = " ".repeat(2 << 20);
    for (method, path, body, expected) in [
        ("GET", "/nothing", "", 404),
        ("GET", "/v1/taskmanagers", "", 404),
        ("GET", &format!("/jobs/{unknown}"), "", 404),
        ("GET", "/jobs/xyz", "", 400),
        ("PATCH", &format!("/jobs/{unknown}?mode=cancel"), "", 404),
        ("PATCH", &format!("{root}?mode=stop"), "", 308),
        ("PATCH", &format!("{root}?mode=kill"), "", 400),
        ("DELETE", &root, "", 405),
        ("POST", &root, "", 405),
        ("GET", &format!("{root}/stop"), "", 405),
        ("PUT", &format!("{root}/savepoints"), "{}", 405),
        ("GET", &format!("{root}/savepoints/{unknown}"), "", 404),
        ("GET", &format!("{root}/savepoints/x"), "", 400),
        ("GET", &format!("{root}/checkpoints/{unknown}"), "", 404),
        ("GET", &format!("/savepoint-disposal/{unknown}"), "", 404),
        ("POST", &format!("{root}/stop"), "not json", 400),
        ("POST", &format!("{root}/stop"), "[]", 400),
        ("POST", &format!("{root}/stop"), r#"{"drain": 1}"#, 400),
        ("POST", &format!("{root}/stop"), r#"{"target-directory": "/tmp"}"#, 400),
        ("POST", &format!("{root}/savepoints"), r#"{"formatType": "ZIP"}"#, 400),
        ("POST", &format!("{root}/savepoints"), r#"{"triggerId": "1"}"#, 400),
        ("POST", &format!("{root}/checkpoints"), r#"{"checkpointType": "HALF"}"#, 400),
        ("POST", "/savepoint-disposal", "{}", 400),
        ("POST", &format!("{root}/savepoints"), &large, 413),
        ("PUT", &format!("{root}/resource-requirements"), "{}", 400),
        ("PUT", &format!("{root}/resource-requirements"), r#"{"x": 1}"#, 400),
    ] {
        let (status, head, answer) = job.raw(method, path, &[], body).unwrap();
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(answer["errors"][0].is_string(), "{method} {path}: {head} {answer}");
    }
    assert_eq!(job.get("/status")["status"], "RUNNING");
    let counts = job.get("/checkpoints");
    assert_eq!(counts["latest"]["savepoint"], Value::Null, "no savepoint was taken");
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let machine = Machine::new();
    let job = start(&machine);
    let cancel = format!("/jobs/{}?mode=cancel", job.id);
    for headers in [
        [("Origin", "http://evil.example"), ("Accept", "*/*")],
        [("Origin", "null"), ("Accept", "*/*")],
        [("Host", "evil.example"), ("Accept", "*/*")],
        [("Host", "evil.example:8081"), ("Origin", "http://evil.example:8081")],
        [("Sec-Fetch-Site", "cross-site"), ("Accept", "*/*")],
    ] {
        for (method, path) in [("PATCH", cancel.as_str()), ("POST", cancel.as_str()), ("GET", "/jobs")] {
            let (status, head, answer) = job.raw(method, path, &headers, "").unwrap();
            assert_eq!(status, 403, "{headers:?}: {answer}");
            assert!(!head.contains("access-control"), "{head}");
        }
    }
    assert_eq!(job.get("/status")["status"], "RUNNING");
    let own = [("Origin", format!("http://{}", job.address))];
    let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(job.raw("GET", "/jobs", &own, "").unwrap().0, 200);
}

#[test]
fn savepoints_are_disposed_of_but_checkpoints_are_not() {
    let machine = Machine::new();
    let job = start(&machine);
    let done = |path: String, begun: Value| {
        let id = begun["request-id"].as_str().unwrap().to_owned();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = job.raw("GET", &format!("{path}/{id}"), &[], "").unwrap().2;
            if answer["status"]["id"] == "COMPLETED" {
                return answer["operation"].clone();
            }
            assert!(Instant::now() < deadline, "{answer}");
        }
    };
    let body = json!({ "target-directory": machine.text("s") }).to_string();
    let begun = job.ask("POST", "/savepoints", &body).1;
    let savepoint =
        done(format!("/jobs/{}/savepoints", job.id), begun)["location"].as_str().unwrap().to_owned();
    let folder = savepoint.strip_prefix("file://").unwrap().to_owned();
    assert!(std::path::Path::new(&folder).join("_metadata").exists());
    let dispose = |path: &str| {
        let body = json!({ "savepoint-path": path }).to_string();
        let begun = job.raw("POST", "/savepoint-disposal", &[], &body).unwrap().2;
        done("/savepoint-disposal".to_owned(), begun)
    };
    assert_eq!(dispose(&savepoint), json!({}));
    assert!(!std::path::Path::new(&folder).exists());
    let again = dispose(&savepoint);
    assert_eq!(again["failure-cause"]["class"], "TM-CHECKPOINT-INCOMPLETE", "{again}");
    assert!(
        again["failure-cause"]["serialized-throwable"].as_str().unwrap().starts_with("rO0AB"),
        "as Java writes"
    );
    // With a checkpoint that nobody deletes meanwhile.
    let kept = job.wait_for(|it| !it["latest"]["completed"].is_null(), "/checkpoints");
    let path = kept["latest"]["completed"]["external_path"].as_str().unwrap();
    let (_, job_folder) = (0, std::path::Path::new(path.strip_prefix("file://").unwrap()).parent().unwrap());
    let copy = machine.path("copy/chk-1");
    std::fs::create_dir_all(&copy).unwrap();
    loop {
        let newest =
            std::fs::read_dir(job_folder).unwrap().flatten().map(|entry| entry.path().join("_metadata"));
        if newest.into_iter().any(|file| std::fs::copy(file, copy.join("_metadata")).is_ok()) {
            break;
        }
    }
    let refused = dispose(copy.to_str().unwrap());
    assert_eq!(refused["failure-cause"]["class"], "TM-REST-NO-SAVEPOINT", "{refused}");
    assert!(copy.join("_metadata").exists());
}

#[test]
fn a_job_of_this_process_is_reached_and_leaves_nothing_behind() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let running = std::thread::spawn(move || {
        let arguments = ["-D".into(), format!("rest.port={port}").into()];
        let (env, _) = tidemill::environment_from(arguments).unwrap();
        let numbers = GeneratorSource::unbounded(|number| number).records_per_second(1000.0).unwrap();
        env.from_source(numbers, WatermarkStrategy::<u64>::no_watermarks(), "numbers")
            .sink_to("nowhere", BlackholeSink);
        env.execute("Here").map(|_| ()).map_err(|error| error.to_string())
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let jobs = loop {
        match request(&address, "GET", "/jobs/overview", &[], "") {
            Some((200, _, jobs)) => break jobs,
            other => assert!(Instant::now() < deadline && !running.is_finished(), "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(jobs["jobs"][0]["name"], "Here");
    let cancel = format!("/jobs/{}", jobs["jobs"][0]["jid"].as_str().unwrap());
    // A client that says nothing does not hold up the end.
    let _silent = std::net::TcpStream::connect(&address).unwrap();
    let (status, _, answer) = request(&address, "PATCH", &cancel, &[], "").unwrap();
    assert_eq!((status, answer), (202, json!({})));
    assert_eq!(running.join().unwrap(), Err("job 'Here' was cancelled".to_owned()));
    assert!(TcpListener::bind(&address).is_ok(), "the port is free again");
}
