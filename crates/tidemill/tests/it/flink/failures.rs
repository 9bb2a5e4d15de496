//! What is refused, by whom, and how a failure there is told.

use super::{Script, asked, gateway, good, rest};
use crate::tidemill;

fn refused(script: &str, args: &[&str]) -> String {
    let before = asked("/jobs/overview")["jobs"].as_array().unwrap().len();
    let run = Script::new(script).submit(args);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    assert_eq!(asked("/jobs/overview")["jobs"].as_array().unwrap().len(), before, "nothing was run");
    run.err
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn what_the_cluster_cannot_plan_is_refused_before_anything_runs() {
    // Tidemill finds out when it divides, Flink when it plans.
    let err = refused("SELECT 1;\n\nSELECT a,\n  1 / 0 FROM (VALUES (1)) AS t (a);", &[]);
    assert!(err.contains("Apache Flink: Division by zero") && err.contains("--> line 3"), "{err}");
    assert!(err.contains("-v shows the whole exception") && !err.contains("\tat "), "{err}");
    let err = refused("SELECT 1 / 0;", &["-v"]);
    assert!(
        err.contains("Caused by: java.lang.ArithmeticException") && err.contains("\tat org.apache"),
        "{err}"
    );
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn the_root_cause_of_a_job_that_fails_is_told() {
    let script = Script::new(
        "CREATE TABLE words (b STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '5');
         CREATE TABLE gone (a INT) WITH ('connector' = 'blackhole');

         INSERT INTO gone SELECT CAST(b AS INT) FROM words;",
    );
    let run = script.submit(&[]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(
        run.err.contains("has failed: For input string") && run.err.contains("--> line 4, column 10"),
        "{}",
        run.err
    );
    assert!(!run.err.contains("\tat "), "{}", run.err);
    let query = Script::new(
        "CREATE TABLE words (b STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '5');
         SELECT CAST(b AS INT) FROM words;",
    );
    let run = query.submit(&[]);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    assert!(run.err.contains("For input string") && run.err.contains("--> line 2"), "{}", run.err);
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn another_address_is_told_apart() {
    let script = Script::new("SELECT 1;");
    let run = tidemill(&["submit", script.path(), "--flink", &rest()]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("that is the REST interface of its JobManager"), "{}", run.err);
    let run = tidemill(&["submit", script.path(), "--flink", &gateway(), "--rest-url", "localhost:1"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("localhost:1"), "{}", run.err);
    let run = tidemill(&[
        "submit",
        script.path(),
        "--flink",
        &gateway(),
        "--rest-url",
        &rest(),
        "--format",
        "jsonl",
    ]);
    assert_eq!(good(&run), "[1]\n");
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn flink_has_every_function_that_tidemill_has() {
    let run = tidemill(&["run", Script::new("SHOW FUNCTIONS;").path(), "--format", "jsonl"]);
    let names: Vec<String> = good(&run)
        .lines()
        .map(|line| serde_json::from_str::<Vec<String>>(line).unwrap()[0].to_uppercase())
        .collect();
    assert!(names.len() > 50, "{names:?}");
    let post = |path: &str, body: &serde_json::Value| -> serde_json::Value {
        let request = ureq::post(format!("{}/v2{path}", gateway())).content_type("application/json");
        let text = request.send(body.to_string()).unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let session = post("/sessions", &serde_json::json!({}));
    let session = session["sessionHandle"].as_str().unwrap();
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let explained = |call: &str| {
        let body = serde_json::json!({ "statement": format!("EXPLAIN SELECT {call}") });
        let operation = post(&format!("/sessions/{session}/statements"), &body);
        let path =
            format!("/sessions/{session}/operations/{}", operation["operationHandle"].as_str().unwrap());
        loop {
            let url = format!("{}/v2{path}/result/0?rowFormat=JSON", gateway());
            let text = agent.get(url).call().unwrap().body_mut().read_to_string().unwrap();
            if !text.contains("\"NOT_READY\"") {
                return text;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    let is_unknown = |call: &str| explained(call).contains("No match found for function signature");
    assert!(is_unknown("NO_SUCH_FUNCTION(1)"), "Flink says so of what it does not have");
    // With a wrong number of arguments what Flink has is refused in other words, or not at all.
    let unknown: Vec<&String> = names
        .iter()
        .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
        .filter(|name| (0..4).all(|count| is_unknown(&format!("{name}({})", vec!["1"; count].join(", ")))))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
