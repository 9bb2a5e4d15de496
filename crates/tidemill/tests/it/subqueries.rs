//! Sub-queries in each place, correlated or not: the tables are those of Apache Flink 2.3.0 (`tests/golden/subqueries`).

use super::sql::{check_over, queries};

fn check(args: &[&str]) {
    for name in queries("subqueries", 50) {
        check_over("subqueries", "subqueries/data", &name, args);
    }
}

#[test]
fn tables_of_subqueries_are_those_of_flink() {
    check(&[]);
}

#[test]
fn tables_of_subqueries_are_the_same_at_another_parallelism_and_with_state_in_rocksdb() {
    check(&["-D", "parallelism.default=3", "-D", "state.backend.type=rocksdb"]);
}
