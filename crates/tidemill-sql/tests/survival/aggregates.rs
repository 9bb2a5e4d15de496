//! Aggregates of groups.

use std::collections::BTreeMap;

use crate::model::{Query, Sequence, survives};
use crate::rows::{Domain, Row, Table, Value, booleans, each, ints, table, texts};
use crate::subject::Subject;

/// A table with a row for each group of rows that have the same `key`: that, and what `results` makes of them.
pub(crate) fn grouped<'a>(
    rows: impl Iterator<Item = &'a Row>,
    key: impl Fn(&Row) -> Row,
    results: impl Fn(&[&Row]) -> Row,
) -> Table {
    let mut groups: BTreeMap<Row, Vec<&Row>> = BTreeMap::new();
    rows.for_each(|row| groups.entry(key(row)).or_default().push(row));
    table(groups.into_iter().map(|(key, rows)| [key, results(&rows)].concat()))
}

pub(crate) fn counted(count: usize) -> Value {
    Value::Int(count as i64)
}

/// The values of a column that are not NULL.
pub(crate) fn values<'a>(rows: &[&'a Row], column: usize) -> Vec<&'a Value> {
    rows.iter().map(|row| &row[column]).filter(|value| **value != Value::Null).collect()
}

fn or_null(value: Option<&Value>) -> Value {
    value.cloned().unwrap_or(Value::Null)
}

pub(crate) fn sum(values: &[&Value]) -> Value {
    let numbers = values.iter().filter_map(|value| value.int());
    if values.is_empty() { Value::Null } else { Value::Int(numbers.sum()) }
}

fn distinct(mut values: Vec<&Value>) -> Vec<&Value> {
    values.sort();
    values.dedup();
    values
}

/// The columns of groups by `k`: `COUNT(*), COUNT(v), SUM(v), AVG(v), MIN(v), MAX(v), MIN(s), MAX(s)`.
pub(crate) fn plain(rows: &[&Row], v: usize, s: usize) -> Row {
    let (numbers, texts) = (values(rows, v), values(rows, s));
    let average = match sum(&numbers) {
        Value::Int(sum) => Value::Int(sum / numbers.len() as i64),
        _ => Value::Null,
    };
    vec![
        counted(rows.len()),
        counted(numbers.len()),
        sum(&numbers),
        average,
        or_null(numbers.iter().min().copied()),
        or_null(numbers.iter().max().copied()),
        or_null(texts.iter().min().copied()),
        or_null(texts.iter().max().copied()),
    ]
}

pub(crate) const PLAIN: &str = "COUNT(*), COUNT(v), SUM(v), AVG(v), MIN(v), MAX(v), MIN(s), MAX(s)";

#[test]
fn of_rows_that_stay() {
    let domain = Domain::appended([ints(3), ints(5), texts()]);
    let query = format!("SELECT k, {PLAIN} FROM t GROUP BY k");
    let subject = Subject::new(&query, "GroupAggregate", [domain]);
    survives(&subject, || {
        Query::new(1, |tables: &[Table]| {
            grouped(each(&tables[0]), |row| vec![row[0].clone()], |rows| plain(rows, 1, 2))
        })
    });
}

#[test]
fn of_rows_that_change() {
    let domain = Domain::updated([ints(2), ints(5), texts()]);
    let query = format!("SELECT k, {PLAIN} FROM t_updated GROUP BY k");
    let subject = Subject::new(&query, "GroupAggregate", [domain]);
    survives(&subject, || {
        Query::new(1, |tables: &[Table]| {
            grouped(each(&tables[0]), |row| vec![row[1].clone()], |rows| plain(rows, 2, 3))
        })
    });
}

#[test]
fn of_all_rows() {
    let domain = Domain::updated([ints(5)]);
    let subject = Subject::new("SELECT COUNT(*), SUM(v) FROM t_updated", "GroupAggregate", [domain]);
    survives(&subject, || {
        Query::new(1, |tables: &[Table]| {
            let results = |rows: &[&Row]| vec![counted(rows.len()), sum(&values(rows, 1))];
            grouped(each(&tables[0]), |_| Vec::new(), results)
        })
    });
}

pub(crate) const DISTINCT: &str = "COUNT(DISTINCT v), COUNT(DISTINCT v) FILTER (WHERE b), SUM(DISTINCT v), COUNT(*) FILTER (WHERE b), \
     COUNT(DISTINCT s), MAX(v) FILTER (WHERE b)";

pub(crate) fn of_distinct(rows: &[&Row], v: usize, s: usize, b: usize) -> Row {
    let filtered: Vec<&Row> = rows.iter().copied().filter(|row| row[b] == Value::Bool(true)).collect();
    let numbers = distinct(values(rows, v));
    vec![
        counted(numbers.len()),
        counted(distinct(values(&filtered, v)).len()),
        sum(&numbers),
        counted(filtered.len()),
        counted(distinct(values(rows, s)).len()),
        or_null(values(&filtered, v).into_iter().max()),
    ]
}

#[test]
fn of_distinct_values_and_with_filters() {
    let domain = Domain::appended([ints(2), ints(3), texts(), booleans()]);
    let query = format!("SELECT k, {DISTINCT} FROM t GROUP BY k");
    let subject = Subject::new(&query, "GroupAggregate", [domain]);
    survives(&subject, || {
        Query::new(1, |tables: &[Table]| {
            grouped(each(&tables[0]), |row| vec![row[0].clone()], |rows| of_distinct(rows, 1, 2, 3))
        })
    });
}

#[test]
fn of_distinct_values_and_with_filters_of_rows_that_change() {
    let domain = Domain::updated([ints(1), ints(3), texts(), booleans()]);
    let query = format!("SELECT k, {DISTINCT} FROM t_updated GROUP BY k");
    let subject = Subject::new(&query, "GroupAggregate", [domain]);
    survives(&subject, || {
        Query::new(1, |tables: &[Table]| {
            grouped(each(&tables[0]), |row| vec![row[1].clone()], |rows| of_distinct(rows, 2, 3, 4))
        })
    });
}

#[test]
fn variances_of_rows_that_change() {
    let domain = Domain::updated([ints(1), ints(9)]);
    let query = "SELECT k, VAR_POP(CAST(v AS DOUBLE)), VAR_SAMP(CAST(v AS DOUBLE)), STDDEV_POP(CAST(v AS DOUBLE)) \
         FROM t_updated GROUP BY k";
    let subject = Subject::new(query, "GroupAggregate", [domain]);
    let variance = |rows: &[&Row]| {
        let numbers: Vec<f64> =
            rows.iter().filter_map(|row| row[2].int()).map(|number| number as f64).collect();
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let squares = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
        let over = |count: f64| if count > 0.0 { Value::double(squares / count) } else { Value::Null };
        let deviation = if count > 0.0 { Value::double((squares / count).sqrt()) } else { Value::Null };
        vec![over(count), over(count - 1.0), deviation]
    };
    survives(&subject, || {
        Query::new(1, move |tables: &[Table]| grouped(each(&tables[0]), |row| vec![row[1].clone()], variance))
    });
}

#[test]
fn of_values_in_their_order() {
    let domain = Domain::appended([ints(2), ints(5), texts()]);
    let query = "SELECT k, FIRST_VALUE(v), LAST_VALUE(v), LISTAGG(s, ';') FROM t GROUP BY k";
    let subject = Subject::new(query, "GroupAggregate", [domain]);
    let results = |rows: &[&Row]| {
        let (numbers, texts) = (values(rows, 1), values(rows, 2));
        let texts: Vec<String> =
            texts.iter().map(|text| text.to_string().trim_matches('\'').to_owned()).collect();
        let list = if texts.is_empty() { Value::Null } else { Value::Text(texts.join(";")) };
        vec![or_null(numbers.first().copied()), or_null(numbers.last().copied()), list]
    };
    survives(&subject, || {
        Sequence::new(move |rows: &[Row]| grouped(rows.iter(), |row| vec![row[0].clone()], results))
    });
}

#[test]
fn distinct_rows() {
    let of_appended =
        Subject::new("SELECT DISTINCT k, s FROM t", "GroupAggregate", [Domain::appended([ints(2), texts()])]);
    survives(&of_appended, || {
        Query::new(1, |tables: &[Table]| grouped(each(&tables[0]), Row::clone, |_| Vec::new()))
    });
    let of_updated = Subject::new(
        "SELECT DISTINCT k, s FROM t_updated",
        "GroupAggregate",
        [Domain::updated([ints(2), texts()])],
    );
    survives(&of_updated, || {
        Query::new(1, |tables: &[Table]| grouped(each(&tables[0]), |row| row[1..].to_vec(), |_| Vec::new()))
    });
}
