//! The first rows of partitions.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::model::{Sequence, survives};
use crate::rows::{Domain, Row, Table, Value, ints, some_ints, table, texts, times};
use crate::subject::Subject;

/// The rows from place `first` to `last` of each partition by `k`, in an order, those of equal order as they came, or the newest
/// first; with their place behind them.
fn ranked(
    rows: impl Iterator<Item = Row>,
    k: Option<usize>,
    order: impl Fn(&Row, &Row) -> Ordering,
    (first, last): (usize, usize),
    newest_first: bool,
) -> Vec<Row> {
    let mut partitions: BTreeMap<Value, Vec<Row>> = BTreeMap::new();
    for row in rows {
        let key = k.map_or(Value::Null, |k| row[k].clone());
        partitions.entry(key).or_default().push(row);
    }
    let places = partitions.into_values().flat_map(|mut rows| {
        if newest_first {
            rows.reverse();
        }
        rows.sort_by(&order);
        let places = rows.into_iter().zip(1i64..);
        let places = places.skip(first - 1).take(last + 1 - first);
        places.map(|(row, place)| [row, vec![Value::Int(place)]].concat()).collect::<Vec<_>>()
    });
    places.collect()
}

/// By `v`, the greatest first, NULL last, then by `s`.
fn by_v_and_s(one: &Row, other: &Row) -> Ordering {
    other[1].cmp(&one[1]).then_with(|| one[2].cmp(&other[2]))
}

fn check(from: &str, domain: &Domain, places: (usize, usize), with_number: bool) {
    let number = if with_number { ", n" } else { "" };
    let query = format!(
        "SELECT k, v, s{number} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, s) AS n FROM {from}) \
         WHERE n >= {} AND n <= {}",
        places.0, places.1
    );
    let subject = Subject::new(&query, "Rank", [domain.clone()]);
    let width = if with_number { 4 } else { 3 };
    let model = if domain.id.is_some() { Sequence::without_id } else { Sequence::new };
    survives(&subject, || {
        model(move |rows: &[Row]| -> Table {
            let rows = ranked(rows.iter().cloned(), Some(0), by_v_and_s, places, false);
            table(rows.into_iter().map(|row| row[..width].to_vec()))
        })
    });
}

#[test]
fn of_rows_that_stay() {
    let domain = Domain::appended([ints(2), ints(5), texts()]);
    for (places, with_number) in [((1, 3), true), ((1, 3), false), ((2, 3), true), ((2, 4), false)] {
        check("t", &domain, places, with_number);
    }
}

#[test]
fn of_rows_that_change() {
    let domain = Domain::updated([ints(1), ints(3), texts()]);
    for (places, with_number) in [((1, 3), true), ((1, 3), false), ((2, 3), true), ((2, 4), false)] {
        check("t_updated", &domain, places, with_number);
    }
}

#[test]
fn of_equal_order() {
    let domain = Domain::updated([ints(1), some_ints(1), texts()]);
    let query = "SELECT k, v, s, n FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS n FROM t_updated) \
         WHERE n <= 3";
    let subject = Subject::new(query, "Rank", [domain]);
    survives(&subject, || {
        Sequence::without_id(|rows: &[Row]| {
            table(ranked(rows.iter().cloned(), Some(0), |one, other| one[1].cmp(&other[1]), (1, 3), false))
        })
    });
}

#[test]
fn of_all_rows() {
    let domain = Domain::updated([ints(3), texts()]);
    let subject =
        Subject::new("SELECT v, s FROM t_updated ORDER BY v, s LIMIT 4 OFFSET 1", "SortLimit", [domain]);
    survives(&subject, || {
        Sequence::without_id(|rows: &[Row]| {
            let first = ranked(rows.iter().cloned(), None, Row::cmp, (2, 5), false);
            table(first.into_iter().map(|row| row[..2].to_vec()))
        })
    });
}

/// The first or the last row of each key, in event time.
fn deduplicated(order: &str, newest_first: bool) {
    let domain = Domain::in_time([ints(2), ints(9), times()]);
    let query = format!(
        "SELECT k, v, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts {order}) AS n FROM e) WHERE n = 1"
    );
    let subject = Subject::new(&query, "Deduplicate", [domain]);
    survives(&subject, || {
        Sequence::new(move |rows: &[Row]| {
            let in_time = |one: &Row, other: &Row| {
                let order = one[2].cmp(&other[2]);
                if newest_first { order.reverse() } else { order }
            };
            let rows = ranked(rows.iter().cloned(), Some(0), in_time, (1, 1), newest_first);
            table(rows.into_iter().map(|row| row[..3].to_vec()))
        })
    });
}

#[test]
fn first_rows() {
    deduplicated("ASC", false);
}

#[test]
fn last_rows() {
    deduplicated("DESC", true);
}
