//! Changes of equal rows stay in the order in which they were made: where they are dealt out, they go to one subtask.

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::graph::StreamGraph;

use crate::subject::planned;

/// The strategies and parallelism with which the last operator called `name` reads its inputs.
fn inputs(graph: &StreamGraph, name: &str) -> (Vec<Option<ShipStrategy>>, Option<u32>) {
    let node = graph.nodes.iter().rposition(|node| node.name.starts_with(name)).unwrap();
    let strategies = graph.inputs(node).map(|(_, edge)| edge.strategy);
    (strategies.collect(), graph.nodes[node].parallelism)
}

#[test]
fn what_comes_from_one_subtask_stays_with_one() {
    let query = "SELECT COUNT(*) FROM t UNION ALL SELECT SUM(v) FROM t";
    assert_eq!(inputs(&planned(query), "Union("), (vec![None, None], Some(1)));
    let sink =
        "CREATE TABLE p (n BIGINT) WITH ('connector' = 'made-up'); INSERT INTO p SELECT COUNT(*) FROM t";
    assert_eq!(inputs(&planned(sink), "Sink("), (vec![None], Some(1)));
}

#[test]
fn changes_that_are_dealt_out_go_by_their_rows() {
    let hash = Some(ShipStrategy::Hash);
    let query = "SELECT COUNT(*) FROM t UNION ALL SELECT COUNT(*) FROM t GROUP BY k";
    assert_eq!(inputs(&planned(query), "Union("), (vec![hash, None], None));
    let sink = "CREATE TABLE p (n BIGINT) WITH ('connector' = 'made-up', 'sink.parallelism' = '4');
         INSERT INTO p SELECT COUNT(*) FROM t GROUP BY k";
    assert_eq!(inputs(&planned(sink), "Sink("), (vec![hash], Some(4)));
    let appended = sink.replace("COUNT(*)", "v").replace("GROUP BY k", "");
    assert_eq!(inputs(&planned(&appended), "Sink("), (vec![None], Some(4)));
}

/// The uids of the operators called `name`.
fn uids(graph: &StreamGraph, name: &str) -> Vec<String> {
    let named = graph.nodes.iter().filter(|node| node.name.starts_with(name));
    named.map(|node| node.uid.clone().unwrap()).collect()
}

#[test]
fn operators_are_known_by_what_they_do_whatever_else_is_read() {
    let tables = "CREATE TABLE p (a BIGINT, b BIGINT) WITH ('connector' = 'made-up');
         CREATE TABLE q (a BIGINT, b BIGINT) WITH ('connector' = 'made-up');";
    let counts = "INSERT INTO p SELECT k, COUNT(*) FROM t WHERE v + 1 > 3 GROUP BY k";
    let alone = planned(&format!("{tables}{counts}"));
    let others = [
        "INSERT INTO q SELECT v, COUNT(*) FROM t GROUP BY v",
        "INSERT INTO q SELECT id, SUM(v) FROM t WHERE v + 2 > 9 GROUP BY id",
        "INSERT INTO q SELECT k, COUNT(*) FROM u GROUP BY k",
    ];
    for other in others {
        let both = planned(&format!("{tables}EXECUTE STATEMENT SET BEGIN {counts}; {other}; END"));
        for name in ["TableSourceScan(", "GroupAggregate("] {
            let (alone, both) = (uids(&alone, name), uids(&both, name));
            assert!(both.contains(&alone[0]), "{other}: {name} {alone:?} {both:?}");
        }
        assert_eq!(uids(&both, "GroupAggregate(").len(), 2);
    }
    for changed in ["v + 1 > 4", "v + 1 > 3 AND v + 2 > 9", "v + 1 > 3 OR b"] {
        let changed = planned(&format!("{tables}{}", counts.replace("v + 1 > 3", changed)));
        assert_eq!(uids(&changed, "TableSourceScan("), uids(&alone, "TableSourceScan("));
        assert_ne!(uids(&changed, "GroupAggregate("), uids(&alone, "GroupAggregate("));
    }
}

#[test]
fn how_long_state_is_kept_says_nothing_of_what_it_is() {
    for (name, query) in [
        ("Join(", "SELECT /*+ STATE_TTL('t' = '1 d', 'u' = '2 h') */ t.v, u.v FROM t JOIN u ON t.k = u.k"),
        ("GroupAggregate(", "SELECT /*+ STATE_TTL('t' = '1 d') */ k, COUNT(*) FROM t GROUP BY k"),
    ] {
        let (from, to) = (query.find("/*+").unwrap(), query.find("*/").unwrap() + 3);
        let plain = format!("{}{}", &query[..from], &query[to..]);
        assert_eq!(uids(&planned(query), name), uids(&planned(&plain), name));
    }
}

const BUNDLES: &str =
    "SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '1 s';
     SET 'table.exec.mini-batch.size' = '100';";

/// The names of operators, with the marks that are made behind tables in full.
fn shown(graph: &StreamGraph) -> Vec<&str> {
    let names = graph.nodes.iter().map(|node| node.name.as_str());
    names
        .map(
            |name| if name.starts_with("MiniBatchAssigner") { name } else { name.split('(').next().unwrap() },
        )
        .collect()
}

#[test]
fn bundles_end_by_the_clock_unless_event_time_matters() {
    let by_clock = "MiniBatchAssigner(interval=[1000ms], mode=[ProcTime])";
    let by_time = "MiniBatchAssigner(interval=[1000ms], mode=[RowTime])";
    let windowed = "(SELECT window_start AS w, COUNT(*) AS n
         FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end)";
    let of = |query: &str| planned(&format!("{BUNDLES}{query}"));
    assert!(shown(&of("SELECT k, COUNT(*) FROM e GROUP BY k")).contains(&by_clock));
    let graph = of(&format!("SELECT n, COUNT(*) FROM {windowed} GROUP BY n"));
    assert!(shown(&graph).contains(&by_time), "{:?}", shown(&graph));
    // Where no rows wait, nothing is marked.
    for query in ["SELECT k, v FROM t", &format!("SELECT * FROM {windowed}")] {
        let graph = of(query);
        assert!(!shown(&graph).iter().any(|name| name.starts_with("MiniBatch")), "{:?}", shown(&graph));
    }
    // A table that is read twice has its own watermarks where no rows wait.
    let tables = "CREATE TABLE p (a BIGINT, b BIGINT) WITH ('connector' = 'made-up');
         CREATE TABLE q (a TIMESTAMP(3), b BIGINT) WITH ('connector' = 'made-up');";
    let graph = of(&format!(
        "{tables} EXECUTE STATEMENT SET BEGIN INSERT INTO p SELECT k, COUNT(*) FROM e GROUP BY k;
         INSERT INTO q SELECT w, n FROM {windowed}; END"
    ));
    let marks: Vec<&str> = shown(&graph).into_iter().filter(|name| name.starts_with("MiniBatch")).collect();
    assert_eq!(marks, [by_clock]);
    let mut at = graph.nodes.iter().position(|node| node.name.starts_with("WindowAggregate(")).unwrap();
    while let Some((_, edge)) = graph.inputs(at).next() {
        at = edge.source;
        assert!(!graph.nodes[at].name.starts_with("MiniBatch"), "{:?}", shown(&graph));
    }
}

#[test]
fn aggregations_in_one_phase_go_on_with_their_state_when_rows_are_to_wait() {
    let query = "SELECT k, COUNT(DISTINCT v) FROM t WHERE v + 1 > 3 GROUP BY k";
    let (plain, bundled) = (planned(query), planned(&format!("{BUNDLES}{query}")));
    for name in ["TableSourceScan(", "GroupAggregate("] {
        assert_eq!(uids(&plain, name), uids(&bundled, name), "{name}");
    }
}
