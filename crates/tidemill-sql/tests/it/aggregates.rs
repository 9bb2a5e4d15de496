//! Aggregates over rows that are updated, against what they are by definition.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use tidemill_sql::SqlSession;
use tidemill_sql::connector::Connectors;

use super::running::run_at;

/// A row: the key by which a later one replaces it, its group, its values.
type Row = (u8, u8, Option<i8>, Option<u8>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row =
        (0u8..12, 0u8..3, proptest::option::weighted(0.8, -4i8..4), proptest::option::weighted(0.8, 0u8..4));
    proptest::collection::vec(row, 1..120)
}

fn script(rows: &[Row]) -> String {
    let text = |s: &Option<u8>| s.map_or("CAST(NULL AS STRING)".to_owned(), |s| format!("'s{s}'"));
    let number = |v: &Option<i8>| v.map_or("CAST(NULL AS INT)".to_owned(), |v| v.to_string());
    let values = rows
        .iter()
        .enumerate()
        .map(|(n, (id, g, v, s))| format!("({n}, {id}, {g}, {}, {})", number(v), text(s)));
    let values: Vec<String> = values.collect();
    // The newest row of each id, so that what comes out is updated and changes its group.
    format!(
        "SELECT g, COUNT(*), COUNT(v), SUM(v), MIN(v), MAX(v), MIN(s), MAX(s), COUNT(DISTINCT v),
           COUNT(DISTINCT v) FILTER (WHERE s = 's1'), SUM(DISTINCT v), COUNT(DISTINCT s), CARDINALITY(COLLECT(s)),
           LISTAGG(s), ARRAY_AGG(v), PERCENTILE(v, 0.5), JSON_ARRAYAGG(v), CARDINALITY(COLLECT(DISTINCT v)),
           FIRST_VALUE(s) IS NULL, LAST_VALUE(v) IS NULL
         FROM (SELECT id, g, v, s FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY n DESC) AS place
           FROM (VALUES {}) AS t (n, id, g, v, s)) WHERE place = 1)
         GROUP BY g",
        values.join(", ")
    )
}

fn expected(rows: &[Row]) -> BTreeMap<i64, Value> {
    let mut newest: BTreeMap<u8, &Row> = BTreeMap::new();
    for row in rows {
        newest.insert(row.0, row);
    }
    let mut groups: BTreeMap<u8, Vec<&Row>> = BTreeMap::new();
    for row in newest.into_values() {
        groups.entry(row.1).or_default().push(row);
    }
    let of_group = |rows: Vec<&Row>| {
        let mut numbers: Vec<i64> = rows.iter().filter_map(|row| row.2.map(i64::from)).collect();
        numbers.sort_unstable();
        let mut texts: Vec<String> = rows.iter().filter_map(|row| row.3.map(|s| format!("s{s}"))).collect();
        texts.sort_unstable();
        let distinct: BTreeSet<i64> = numbers.iter().copied().collect();
        let with_s1 =
            rows.iter().filter(|row| row.3 == Some(1)).filter_map(|row| row.2).collect::<BTreeSet<i8>>();
        let of_texts: BTreeSet<&String> = texts.iter().collect();
        let mut all: Vec<Option<i64>> = rows.iter().map(|row| row.2.map(i64::from)).collect();
        all.sort_unstable();
        let sum = (!numbers.is_empty()).then(|| numbers.iter().sum::<i64>());
        let middle = (!numbers.is_empty()).then(|| {
            let (one, two) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
            (one + two) as f64 / 2.0
        });
        json!([
            rows.len(),
            numbers.len(),
            sum,
            numbers.first(),
            numbers.last(),
            texts.first(),
            texts.last(),
            distinct.len(),
            with_s1.len(),
            (!distinct.is_empty()).then(|| distinct.iter().sum::<i64>()),
            of_texts.len(),
            texts.len(),
            texts,
            all,
            middle,
            numbers,
            distinct.len(),
            texts.is_empty(),
            numbers.is_empty(),
        ])
    };
    groups.into_iter().map(|(g, rows)| (i64::from(g), of_group(rows))).collect()
}

/// What depends on the order of arrival, sorted.
fn normal(row: &str) -> (i64, Value) {
    let Value::Array(mut cells) = serde_json::from_str(row).unwrap() else { panic!("not a row: {row}") };
    let group = cells.remove(0).as_i64().unwrap();
    let mut texts: Vec<String> =
        cells[12].as_str().map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default();
    texts.sort_unstable();
    cells[12] = json!(texts);
    let sorted = |cell: &Value| {
        let mut all: Vec<Option<i64>> = cell.as_array().unwrap().iter().map(Value::as_i64).collect();
        all.sort_unstable();
        json!(all)
    };
    cells[13] = sorted(&cells[13]);
    cells[15] = sorted(&serde_json::from_str(cells[15].as_str().unwrap()).unwrap());
    (group, Value::Array(cells))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn aggregates_of_updated_rows_are_those_of_the_rows_that_are_left(rows in rows(), parallelism in 1u32..3) {
        let mut session = SqlSession::new(Connectors::default(), BTreeMap::new());
        let found = run_at(&mut session, &script(&rows), parallelism).unwrap();
        let found: BTreeMap<i64, Value> = found.iter().map(|row| normal(row)).collect();
        prop_assert_eq!(found, expected(&rows));
    }
}
