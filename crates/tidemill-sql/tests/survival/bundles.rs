//! Aggregates of rows that wait in bundles, in one phase and in two.

use crate::aggregates::{DISTINCT, PLAIN, counted, grouped, of_distinct, plain, sum, values};
use crate::model::{Bundled, Query, Sequence, survives};
use crate::rows::{Domain, Row, Table, Value, booleans, each, ints, texts};
use crate::subject::Subject;

/// Bundles that end at marks only.
const BUNDLES: &str =
    "SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '1 s';
     SET 'table.exec.mini-batch.size' = '100000';";

fn in_one_phase(query: &str) -> String {
    format!("{BUNDLES} SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE'; {query}")
}

fn in_two_phases(query: &str) -> String {
    format!("{BUNDLES} {query}")
}

#[test]
fn of_rows_that_stay() {
    let domain = Domain::appended([ints(3), ints(5), texts()]).marked();
    let query = format!("SELECT k, {PLAIN} FROM t GROUP BY k");
    for (query, name) in
        [(in_one_phase(&query), "GroupAggregate"), (in_two_phases(&query), "GlobalGroupAggregate")]
    {
        let subject = Subject::new(&query, name, [domain.clone()]);
        survives(&subject, || {
            Bundled::new(Query::new(1, |tables: &[Table]| {
                grouped(each(&tables[0]), |row| vec![row[0].clone()], |rows| plain(rows, 1, 2))
            }))
        });
    }
}

#[test]
fn of_rows_that_change() {
    let domain = Domain::updated([ints(2), ints(5), texts()]).marked();
    let query = in_one_phase(&format!("SELECT k, {PLAIN} FROM t_updated GROUP BY k"));
    let subject = Subject::new(&query, "GroupAggregate", [domain]);
    survives(&subject, || {
        Bundled::new(Query::new(1, |tables: &[Table]| {
            grouped(each(&tables[0]), |row| vec![row[1].clone()], |rows| plain(rows, 2, 3))
        }))
    });
}

#[test]
fn of_rows_that_change_in_two_phases() {
    let domain = Domain::updated([ints(2), ints(5)]).marked();
    let query = in_two_phases("SELECT k, COUNT(*), COUNT(v), SUM(v) FROM t_updated GROUP BY k");
    let subject = Subject::new(&query, "GlobalGroupAggregate", [domain]);
    let results = |rows: &[&Row]| {
        let numbers = values(rows, 2);
        vec![counted(rows.len()), counted(numbers.len()), sum(&numbers)]
    };
    survives(&subject, || {
        Bundled::new(Query::new(1, |tables: &[Table]| {
            grouped(each(&tables[0]), |row| vec![row[1].clone()], results)
        }))
    });
}

#[test]
fn of_all_rows_in_two_phases() {
    let domain = Domain::updated([ints(5)]).marked();
    let query = in_two_phases("SELECT COUNT(*), SUM(v) FROM t_updated");
    let subject = Subject::new(&query, "GlobalGroupAggregate", [domain]);
    survives(&subject, || {
        Bundled::new(Query::new(1, |tables: &[Table]| {
            let results = |rows: &[&Row]| vec![counted(rows.len()), sum(&values(rows, 1))];
            grouped(each(&tables[0]), |_| Vec::new(), results)
        }))
    });
}

#[test]
fn of_distinct_values_and_with_filters_of_rows_that_change() {
    let domain = Domain::updated([ints(1), ints(3), texts(), booleans()]).marked();
    let query = in_two_phases(&format!("SELECT k, {DISTINCT} FROM t_updated GROUP BY k"));
    // There is no second phase of DISTINCT.
    let subject = Subject::new(&query, "GroupAggregate", [domain]);
    survives(&subject, || {
        Bundled::new(Query::new(1, |tables: &[Table]| {
            grouped(each(&tables[0]), |row| vec![row[1].clone()], |rows| of_distinct(rows, 2, 3, 4))
        }))
    });
}

#[test]
fn of_values_in_their_order() {
    let domain = Domain::appended([ints(2), ints(5)]).marked();
    let query = in_two_phases("SELECT k, FIRST_VALUE(v), LAST_VALUE(v) FROM t GROUP BY k");
    let subject = Subject::new(&query, "GroupAggregate", [domain]);
    let results = |rows: &[&Row]| {
        let numbers = values(rows, 1);
        let or_null = |value: Option<&&Value>| value.map_or(Value::Null, |value| (*value).clone());
        vec![or_null(numbers.first()), or_null(numbers.last())]
    };
    survives(&subject, || {
        Bundled::new(Sequence::new(move |rows: &[Row]| {
            grouped(rows.iter(), |row| vec![row[0].clone()], results)
        }))
    });
}

#[test]
fn counts_of_the_first_phase() {
    let domain = Domain::appended([ints(3)]).marked();
    let query = in_two_phases("SELECT k, COUNT(*) FROM t GROUP BY k");
    let subject = Subject::new(&query, "LocalGroupAggregate", [domain]);
    survives(&subject, || Bundled::new(Query::new(1, |tables: &[Table]| tables[0].clone())));
}
