//! `MATCH_RECOGNIZE`: the matches are those that Apache Flink 2.3.0 finds (`tests/golden/match`).

use super::sql::{check_over, queries};

fn check(args: &[&str]) {
    for name in queries("match", 40) {
        // The flights lie in a folder beside.
        check_over("match", ".", &name, args);
    }
}

#[test]
fn matches_are_those_of_flink() {
    check(&[]);
}

#[test]
fn matches_are_the_same_at_another_parallelism_and_with_state_in_rocksdb() {
    check(&["-D", "parallelism.default=3", "-D", "state.backend.type=rocksdb"]);
}
