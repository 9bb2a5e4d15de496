//! How aggregations are tuned: whatever is set, the results are the same, and plans say what is done.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemill_sql::SqlSession;
use tidemill_sql::connector::Connectors;

use super::running::{run, run_at};

const MINI_BATCH: [(&str, &str); 3] = [
    ("table.exec.mini-batch.enabled", "true"),
    ("table.exec.mini-batch.allow-latency", "50 ms"),
    ("table.exec.mini-batch.size", "1000"),
];
const ONE_PHASE: (&str, &str) = ("table.optimizer.agg-phase-strategy", "ONE_PHASE");
const SPLIT: (&str, &str) = ("table.optimizer.distinct-agg.split.enabled", "true");

fn session(settings: &[(&str, &str)]) -> SqlSession {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    SqlSession::new(Connectors::default(), settings.collect::<BTreeMap<_, _>>())
}

/// All that is tried besides nothing.
fn tunings() -> Vec<Vec<(&'static str, &'static str)>> {
    let of_size = |size| vec![MINI_BATCH[0], MINI_BATCH[1], ("table.exec.mini-batch.size", size)];
    let buckets = |number| ("table.optimizer.distinct-agg.split.bucket-num", number);
    vec![
        of_size("1"),
        of_size("7"),
        [&of_size("7")[..], &[ONE_PHASE]].concat(),
        MINI_BATCH.to_vec(),
        vec![SPLIT],
        vec![SPLIT, buckets("1")],
        [&of_size("7")[..], &[SPLIT, buckets("3")]].concat(),
        [&MINI_BATCH[..], &[SPLIT, ONE_PHASE]].concat(),
    ]
}

/// A row: the key by which a later one replaces it, its group, its values.
type Row = (u8, u8, Option<i8>, Option<u8>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row =
        (0u8..12, 0u8..3, proptest::option::weighted(0.8, -4i8..4), proptest::option::weighted(0.8, 0u8..4));
    proptest::collection::vec(row, 1..60)
}

fn views(rows: &[Row]) -> String {
    let text = |s: &Option<u8>| s.map_or("CAST(NULL AS STRING)".to_owned(), |s| format!("'s{s}'"));
    let number = |v: &Option<i8>| v.map_or("CAST(NULL AS INT)".to_owned(), |v| v.to_string());
    let values = rows
        .iter()
        .enumerate()
        .map(|(n, (id, g, v, s))| format!("({n}, {id}, {g}, {}, {})", number(v), text(s)));
    let values: Vec<String> = values.collect();
    // Those of `newest` are updated and change their group.
    format!(
        "CREATE TEMPORARY VIEW added AS SELECT * FROM (VALUES {}) AS t (n, id, g, v, s);
         CREATE TEMPORARY VIEW newest AS SELECT id, g, v, s FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY n DESC) AS place FROM added) WHERE place = 1;",
        values.join(", ")
    )
}

const QUERIES: [&str; 8] = [
    "SELECT g, COUNT(*), COUNT(v), SUM(v), AVG(v), MIN(v), MAX(s), COUNT(*) FILTER (WHERE v > 0),
       VAR_POP(CAST(v AS DOUBLE)), SUM(CAST(v AS DECIMAL(10, 2))) FROM added GROUP BY g",
    "SELECT g, COUNT(*), COUNT(v), SUM(v), AVG(v), SUM(v) FILTER (WHERE s = 's1') FROM newest GROUP BY g",
    "SELECT g, MIN(v), MAX(s), COUNT(*) FROM newest GROUP BY g",
    "SELECT g, COUNT(DISTINCT v), SUM(DISTINCT v), AVG(DISTINCT v), COUNT(DISTINCT s), COUNT(DISTINCT v) FILTER (WHERE s = 's1'),
       MAX(v), MIN(s), COUNT(*), AVG(v), COUNT(DISTINCT v, s), AVG(CAST(v AS DOUBLE)) FROM newest GROUP BY g",
    "SELECT g, COUNT(DISTINCT CAST(v AS DECIMAL(10, 2))), SUM(v), AVG(CAST(v AS TINYINT)) FROM added GROUP BY g",
    "SELECT COUNT(DISTINCT s), COUNT(DISTINCT g), SUM(v) FROM newest",
    "SELECT DISTINCT g, s FROM newest",
    "SELECT c, COUNT(*), MAX(w) FROM (SELECT g, s, COUNT(*) AS c, SUM(v) AS w FROM newest GROUP BY g, s) GROUP BY c",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn results_are_the_same_however_they_are_computed(rows in rows()) {
        let views = views(&rows);
        for query in QUERIES {
            let script = format!("{views} {query};");
            let sorted = |settings: &[(&str, &str)], parallelism| {
                let mut rows = run_at(&mut session(settings), &script, parallelism).unwrap();
                rows.sort_unstable();
                rows
            };
            let expected = sorted(&[], 1);
            for tuning in tunings() {
                for parallelism in [1, 3] {
                    prop_assert_eq!(
                        &sorted(&tuning, parallelism), &expected, "{:?} at {}: {}", tuning, parallelism, query
                    );
                }
            }
        }
    }
}

/// The plan of a query, a line each.
fn plan(settings: &[(&str, &str)], query: &str) -> Vec<String> {
    let script = format!("{} EXPLAIN {query};", views(&[(1, 1, Some(1), None)]));
    let lines = run(&mut session(settings), &script).unwrap();
    let lines = lines.iter().map(|line| serde_json::from_str::<Vec<String>>(line).unwrap().remove(0));
    lines.map(|line| line.trim_start_matches([' ', '+', '-', ':', '|']).to_owned()).collect()
}

fn has(plan: &[String], line: &str) {
    assert!(plan.iter().any(|known| known == line), "{line} is not in {plan:#?}");
}

fn names(plan: &[String]) -> Vec<&str> {
    plan.iter().filter_map(|line| line.split_once('(').map(|(name, _)| name)).collect()
}

#[test]
fn two_phases_are_planned_where_they_can_be() {
    let query = "SELECT g, COUNT(*) AS c, SUM(v) AS w, AVG(v) AS a, MAX(v) AS m FROM added GROUP BY g";
    let tuned = plan(&MINI_BATCH, query);
    has(
        &tuned,
        "GlobalGroupAggregate(groupBy=[g], select=[g, COUNT(count1$0) AS EXPR$0, SUM(sum$1) AS EXPR$1, \
         AVG((sum$2, count$3)) AS EXPR$2, MAX(max$4) AS EXPR$3])",
    );
    has(&tuned, "Exchange(distribution=[hash[g]])");
    has(
        &tuned,
        "LocalGroupAggregate(groupBy=[g], select=[g, COUNT(*) AS count1$0, SUM(v) AS sum$1, AVG(v) AS (sum$2, count$3), \
         MAX(v) AS max$4])",
    );
    has(&tuned, "MiniBatchAssigner(interval=[50ms], mode=[ProcTime])");
    let one_phase = plan(&[&MINI_BATCH[..], &[ONE_PHASE]].concat(), query);
    assert!(
        names(&one_phase).contains(&"GroupAggregate") && names(&one_phase).contains(&"MiniBatchAssigner")
    );
    let two_phase = [&MINI_BATCH[..], &[("table.optimizer.agg-phase-strategy", "TWO_PHASE")]].concat();
    assert_eq!(plan(&two_phase, query), tuned);
    // Without mini-batches there is nothing to put together where the rows are.
    let plain = plan(&[("table.optimizer.agg-phase-strategy", "TWO_PHASE")], query);
    assert_eq!(plain, plan(&[], query));
    assert!(!names(&plain).iter().any(|name| name.contains("Local") || name.contains("MiniBatch")));
    // Of what cannot be put together of parts there is one phase.
    for query in [
        "SELECT g, COUNT(DISTINCT v) FROM added GROUP BY g",
        "SELECT g, LISTAGG(s), COUNT(*) FROM added GROUP BY g",
        "SELECT g, FIRST_VALUE(v) FROM added GROUP BY g",
        "SELECT g, MIN(v) FROM newest GROUP BY g",
    ] {
        for settings in [&MINI_BATCH[..], &two_phase] {
            assert!(names(&plan(settings, query)).contains(&"GroupAggregate"), "{query}");
        }
    }
    has(
        &plan(&MINI_BATCH, "SELECT g, SUM(v) AS w FROM newest GROUP BY g"),
        "LocalGroupAggregate(groupBy=[g], select=[g, SUM(v) AS (sum$0, count$1), COUNT_RETRACT(*) AS count1$2])",
    );
}

#[test]
fn distinct_values_are_split_by_their_hashes() {
    let query = "SELECT g, COUNT(DISTINCT v) AS c, SUM(v) AS w FROM added GROUP BY g";
    let split = plan(&[SPLIT], query);
    has(
        &split,
        "GroupAggregate(groupBy=[g], partialFinalType=[FINAL], select=[g, $SUM0($f2_0) AS EXPR$0, SUM($f3) AS EXPR$1])",
    );
    has(
        &split,
        "GroupAggregate(groupBy=[g, $f2], partialFinalType=[PARTIAL], select=[g, $f2, COUNT(DISTINCT v) AS $f2_0, SUM(v) AS $f3])",
    );
    let hash = |plan: &[String]| {
        plan.iter().any(|line| line.contains("MOD(CAST(HASH_CODE(v) AS BIGINT), 1024) AS $f2"))
    };
    assert!(hash(&split), "{split:#?}");
    let both = plan(&[&MINI_BATCH[..], &[SPLIT]].concat(), query);
    assert!(
        both.iter()
            .any(|line| line.starts_with("GlobalGroupAggregate(groupBy=[g], partialFinalType=[FINAL]"))
    );
    assert!(
        both.iter().any(|line| line.starts_with("LocalGroupAggregate(groupBy=[g], partialFinalType=[FINAL]"))
    );
    let two = plan(&[SPLIT], "SELECT g, COUNT(DISTINCT v), COUNT(DISTINCT s) FROM added GROUP BY g");
    assert!(names(&two).contains(&"Expand"), "{two:#?}");
    // Nothing to split, or something that cannot be.
    for query in [
        "SELECT g, COUNT(*) FROM added GROUP BY g",
        "SELECT g, COUNT(DISTINCT g) FROM added GROUP BY g",
        "SELECT g, COUNT(DISTINCT v), LISTAGG(s) FROM added GROUP BY g",
        "SELECT g, COUNT(DISTINCT CAST(v AS DOUBLE)) FROM added GROUP BY g",
    ] {
        assert_eq!(plan(&[SPLIT], query), plan(&[], query));
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let refused = |settings: &[(&str, &str)], what: &str| {
        let query = "SELECT g, COUNT(*) FROM (VALUES (1)) AS t (g) GROUP BY g";
        let error = run(&mut session(settings), query).unwrap_err();
        assert!(error.contains(what), "{error}");
    };
    let enabled = MINI_BATCH[0];
    refused(&[enabled], "'table.exec.mini-batch.allow-latency' must be greater than 0 ms");
    refused(&MINI_BATCH[..2], "'table.exec.mini-batch.size' is -1, but must be > 0");
    refused(&[enabled, MINI_BATCH[1], ("table.exec.mini-batch.size", "0")], "must be > 0");
    refused(&[("table.exec.mini-batch.enabled", "maybe")], "'table.exec.mini-batch.enabled' is 'maybe'");
    refused(
        &[("table.exec.mini-batch.allow-latency", "soon")],
        "'table.exec.mini-batch.allow-latency' is 'soon'",
    );
    refused(&[("table.optimizer.agg-phase-strategy", "THREE_PHASE")], "AUTO, ONE_PHASE, TWO_PHASE");
    refused(&[("table.optimizer.distinct-agg.split.bucket-num", "0")], "from 1 to 2147483647");
    // Only who aggregates lets rows wait.
    run(&mut session(&MINI_BATCH[..2]), "SELECT g FROM (VALUES (1)) AS t (g)").unwrap();
}
