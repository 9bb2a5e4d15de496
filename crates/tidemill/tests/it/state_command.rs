//! `tidemill state types`.

use serde_json::{Value, json};

use super::running::Machine;

#[test]
fn operators_states_types_and_sizes_are_listed() {
    let machine = Machine::new();
    let job = machine.start(&["-D", "parallelism.default=2"]);
    job.wait_for(|it| it["vertices"][1]["metrics"]["read-records"].as_u64() > Some(100), "");
    let taken = machine.tidemill(&["savepoint", "Counting", &machine.text("s"), "--json"]);
    assert_eq!(taken.code, 0, "{}", taken.err);
    let taken: Value = serde_json::from_str(&taken.out).unwrap();
    let path = taken["savepoint"].as_str().unwrap();

    let shown = machine.tidemill(&["state", "types", path]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let tally = "Tally, where Tally { digit: u64, count: u64, last: u64, by_first_run: u64 }";
    for part in [
        "Canonical savepoint 1 of the job 'Counting'",
        "uid 'by-digit'",
        "parallelism 2, max parallelism 128",
        tally,
    ] {
        assert!(shown.out.contains(part), "'{part}' is missing in {}", shown.out);
    }
    let listed = machine.tidemill(&["state", "types", "--json", path]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!((&listed["format"], &listed["job-id"]), (&json!("canonical"), &json!(job.id)));
    let operators = listed["operators"].as_array().unwrap();
    let by_digit = operators.iter().find(|operator| operator["uid"] == "by-digit").unwrap();
    let states = by_digit["states"].as_array().unwrap();
    let holding = states
        .iter()
        .flat_map(|state| state["types"].as_array().unwrap().iter().map(move |ty| (state, ty)))
        .find(|(_, ty)| ty["type"] == "Tally")
        .unwrap();
    assert!(holding.0["bytes"].as_u64().unwrap() >= 10 * 4 * 8, "{}", holding.0);
    assert_eq!(holding.1["definitions"][0]["fields"][3], json!({ "name": "by_first_run", "type": "u64" }));
    assert!(states.iter().any(|state| state["kind"] == "timers"), "{by_digit}");

    // The file _metadata means its folder.
    assert_eq!(machine.tidemill(&["state", "types", &format!("{path}/_metadata")]).code, 0);
    let folder = std::path::Path::new(path.strip_prefix("file://").unwrap());
    let file = folder.join("_metadata");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damaged = machine.tidemill(&["state", "types", path]);
    assert_eq!(damaged.code, 1);
    assert!(damaged.err.contains("_metadata") && damaged.err.contains("checksum"), "{}", damaged.err);
    let nothing = machine.tidemill(&["state", "types", &machine.text("nothing")]);
    assert_eq!(nothing.code, 1);
    assert!(nothing.err.contains("nothing"), "{}", nothing.err);
    let no_storage = machine.tidemill(&["state", "types", "ftp://x/y"]);
    assert_eq!(no_storage.code, 1, "{}", no_storage.out);
}
