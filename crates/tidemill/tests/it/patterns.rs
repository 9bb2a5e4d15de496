//! `MATCH_RECOGNIZE`: the matches are those that Apache Flink 2.3.0 finds (`tests/golden/match`).

use std::path::Path;

use super::sql::check_over;

/// The recorded queries, in order.
fn queries() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/match");
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned))
        .filter(|name| name != "tables")
        .collect();
    names.sort();
    assert!(names.len() >= 40, "{names:?}");
    names
}

fn check(name: &str, args: &[&str]) {
    // The flights lie in a folder beside.
    check_over("match", ".", name, args);
}

#[test]
fn matches_are_those_of_flink() {
    for name in queries() {
        check(&name, &[]);
    }
}

#[test]
fn matches_are_the_same_at_another_parallelism_and_with_state_in_rocksdb() {
    for name in queries() {
        check(&name, &["-D", "parallelism.default=3", "-D", "state.backend.type=rocksdb"]);
    }
}
