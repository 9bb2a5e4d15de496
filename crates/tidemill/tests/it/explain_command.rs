//! `tidemill explain`.

use super::{example, tidemill};

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
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.contains("unexpected argument '--no-such-argument'"), "{}", refused.err);
}
