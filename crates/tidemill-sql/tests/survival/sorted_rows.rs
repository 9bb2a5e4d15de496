//! Functions of `OVER` over rows in any order, which are updated and taken away.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Sequence, survives};
use crate::rows::{Domain, Row, Table, Value, ints, some_ints, table, texts};
use crate::subject::Subject;

/// Which rows of a partition in order the frame of the row at a place has.
type Frame = fn(&[Row], usize) -> std::ops::RangeInclusive<usize>;

fn last_three(_: &[Row], at: usize) -> std::ops::RangeInclusive<usize> {
    at.saturating_sub(2)..=at
}

fn all_before(_: &[Row], at: usize) -> std::ops::RangeInclusive<usize> {
    0..=at
}

/// Up to the last row of equal order, which the second column is.
fn with_peers(rows: &[Row], at: usize) -> std::ops::RangeInclusive<usize> {
    0..=rows.iter().rposition(|row| row[1] == rows[at][1]).unwrap()
}

/// Each row of `k`, `v` and `s` with the results of the functions of [`QUERY`], in the order of `v`, then as they came.
fn around(rows: &[Row], frame: Frame) -> Table {
    let mut partitions: BTreeMap<Value, Vec<Row>> = BTreeMap::new();
    rows.iter().for_each(|row| partitions.entry(row[0].clone()).or_default().push(row.clone()));
    let of_partition = |mut rows: Vec<Row>| {
        rows.sort_by(|one, other| one[1].cmp(&other[1]));
        let of_row = |at: usize| {
            let seen = &rows[frame(&rows, at)];
            let numbers: Vec<i64> = seen.iter().filter_map(|row| row[1].int()).collect();
            let texts: BTreeSet<&Value> =
                seen.iter().map(|row| &row[2]).filter(|s| **s != Value::Null).collect();
            let number = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
            let results = vec![
                Value::Int(seen.len() as i64),
                number((!numbers.is_empty()).then(|| numbers.iter().sum())),
                number(numbers.iter().max().copied()),
                Value::Int(texts.len() as i64),
                // The first that is not NULL.
                seen.iter().map(|row| &row[2]).find(|s| **s != Value::Null).cloned().unwrap_or(Value::Null),
            ];
            [rows[at].clone(), results].concat()
        };
        (0..rows.len()).map(of_row).collect::<Vec<_>>()
    };
    table(partitions.into_values().flat_map(of_partition))
}

fn check(from: &str, domain: &Domain, frame: &str, model: Frame) {
    let query = format!(
        "SELECT k, v, s, COUNT(*) OVER w AS n, SUM(v) OVER w AS total, MAX(v) OVER w AS most, \
         COUNT(DISTINCT s) OVER w AS texts, FIRST_VALUE(s) OVER w AS earliest FROM {from} \
         WINDOW w AS (PARTITION BY k ORDER BY v {frame})"
    );
    let subject = Subject::new(&query, "OverAggregate", [domain.clone()]);
    let sequence = if domain.id.is_some() { Sequence::without_id } else { Sequence::new };
    survives(&subject, || sequence(move |rows: &[Row]| around(rows, model)));
}

#[test]
fn of_rows_that_change() {
    let domain = Domain::updated([ints(2), some_ints(4), texts()]);
    check("t_updated", &domain, "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", last_three);
    check("t_updated", &domain, "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", all_before);
    check("t_updated", &domain, "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", with_peers);
}

#[test]
fn of_rows_that_stay() {
    let domain = Domain::appended([ints(2), ints(6), texts()]);
    check("t", &domain, "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", last_three);
    check("t", &domain, "", with_peers);
}

#[test]
fn places_of_rows_that_change() {
    let domain = Domain::updated([ints(1), some_ints(4), texts()]);
    let query = "SELECT k, v, s, RANK() OVER w AS r, DENSE_RANK() OVER w AS d, LAG(s, 2, 'none') OVER w AS l FROM t_updated \
         WINDOW w AS (PARTITION BY k ORDER BY v DESC, s)";
    let subject = Subject::new(query, "OverAggregate", [domain]);
    survives(&subject, || {
        Sequence::without_id(|rows: &[Row]| {
            let mut partitions: BTreeMap<Value, Vec<Row>> = BTreeMap::new();
            rows.iter().for_each(|row| partitions.entry(row[0].clone()).or_default().push(row.clone()));
            table(partitions.into_values().flat_map(|mut rows| {
                rows.sort_by(|one, other| other[1].cmp(&one[1]).then_with(|| one[2].cmp(&other[2])));
                let order = |row: &Row| (row[1].clone(), row[2].clone());
                let of_row = |at: usize| {
                    let before = rows.iter().position(|row| order(row) == order(&rows[at])).unwrap();
                    let different: BTreeSet<_> = rows[..before].iter().map(order).collect();
                    let back = at.checked_sub(2).map_or(Value::text("none"), |at| rows[at][2].clone());
                    let places = [before, different.len()].map(|count| Value::Int(count as i64 + 1));
                    [rows[at].clone(), places.to_vec(), vec![back]].concat()
                };
                (0..rows.len()).map(of_row).collect::<Vec<_>>()
            }))
        })
    });
}
