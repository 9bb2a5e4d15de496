//! The plans of queries, as `EXPLAIN CHANGELOG_MODE` shows them, in `snapshots/`: what an operator is chosen for, where rows are dealt
//! out, which columns are read, what flows. A plan that changes changes a file; CONTRIBUTING.md says how to accept that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemill_core::batch::Batch;
use tidemill_runtime::operator::boxed;
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_sql::connector::{
    ConnectorOption, SinkChanges, SinkRequest, SourceChanges, SourceRequest, TableFactory, TableOptions,
    TableSink, TableSource,
};
use tidemill_sql::{Connectors, Planned, SqlResult, SqlSession};

/// Tables that are planned, and never read.
struct Tables {
    name: &'static str,
    changes: SinkChanges,
    source: SourceChanges,
}

impl TableFactory for Tables {
    fn identifier(&self) -> &'static str {
        self.name
    }

    fn options(&self) -> &'static [ConnectorOption] {
        const fn optional(key: &'static str) -> ConnectorOption {
            ConnectorOption { key, required: false, description: "" }
        }
        const { &[optional("path"), optional("format"), optional("csv.*"), optional("scan.parallelism")] }
    }

    fn source_changes(&self, _: &TableOptions) -> SqlResult<SourceChanges> {
        Ok(self.source)
    }

    fn source(&self, _: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Ok(TableSource { source: Arc::new(Nothing) })
    }

    fn sink(&self, _: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let operator = Arc::new(boxed(|| Nothing));
        Ok(TableSink { operator, changes: self.changes, shuffled_by: Vec::new() })
    }
}

struct Nothing;

impl Operator for Nothing {
    fn process(&mut self, _: usize, _: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }
}

impl Source for Nothing {
    fn create_enumerator(
        &self,
        _: u32,
        _: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Err(OperatorError::user("plans are not run here"))
    }

    fn create_reader(&self, _: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Err(OperatorError::user("plans are not run here"))
    }
}

const TABLES: &str = "
    CREATE TABLE t (id BIGINT, k INT, v BIGINT, s STRING, l ARRAY<INT>, r ROW<x INT, y ROW<z INT, w STRING>>, p AS PROCTIME())
      WITH ('connector' = 'filesystem');
    CREATE TABLE e (k INT, v BIGINT, s STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
      WITH ('connector' = 'filesystem');
    CREATE TABLE f (k INT, w BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem');
    CREATE TABLE versions (k INT, rate DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts, PRIMARY KEY (k) NOT ENFORCED)
      WITH ('connector' = 'filesystem');
    CREATE TABLE dimension (k INT, name STRING) WITH ('connector' = 'filesystem');
    CREATE TABLE parts (day_of STRING, v BIGINT) PARTITIONED BY (day_of) WITH ('connector' = 'filesystem');
    CREATE TABLE changes (k INT, n BIGINT) WITH ('connector' = 'all');
    CREATE TABLE keyed (k INT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'no-old-rows');
    CREATE TABLE ups (k INT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert');
    CREATE TABLE upsk (k INT, n BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert-keys');
    CREATE TABLE ups2 (k INT, n BIGINT, PRIMARY KEY (k, n) NOT ENFORCED) WITH ('connector' = 'upsert');
    CREATE TABLE us (k INT, w BIGINT, s STRING, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert');
    CREATE TABLE usk (k INT, w BIGINT, s STRING, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'upsert-keys');
    CREATE TABLE rs (k INT, w BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'all');
    CREATE VIEW counts AS SELECT k, COUNT(*) AS n FROM t GROUP BY k;";

fn session(tables: &str) -> SqlSession {
    let mut connectors = Connectors::default();
    let mut add = |name, changes, source| connectors.add(Tables { name, changes, source });
    add("filesystem", SinkChanges::Insert, SourceChanges::Insert);
    add("all", SinkChanges::All, SourceChanges::All);
    add("no-old-rows", SinkChanges::NoUpdateBefore, SourceChanges::Insert);
    for (name, key_only_deletes) in [("upsert", false), ("upsert-keys", true)] {
        add(name, SinkChanges::Upsert { key_only_deletes }, SourceChanges::Upsert { key_only_deletes });
    }
    let mut session = SqlSession::new(connectors, BTreeMap::new());
    session.plan_script(tables).unwrap();
    session
}

fn explained(session: &mut SqlSession, query: &str) -> String {
    let plan = match session.plan_script(&format!("EXPLAIN CHANGELOG_MODE {query}")) {
        Ok(mut planned) => match planned.remove(0) {
            Planned::Text(text) => text,
            other => panic!("{other:?}"),
        },
        Err(error) => format!("{error}\n"),
    };
    format!("{}\n\n{plan}", query.trim())
}

/// Compares the plans of queries with the file `name`.
fn check(name: &str, tables: &str, queries: &[&str]) {
    let mut session = session(tables);
    let all: Vec<String> = queries.iter().map(|query| explained(&mut session, query)).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, all.join(&format!("\n{}\n\n", "-".repeat(100)))));
}

fn plans(name: &str, queries: &[&str]) {
    check(name, TABLES, queries);
}

fn golden(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tidemill/tests/golden").join(folder);
    let tables = std::fs::read_to_string(folder.join("tables.sql")).unwrap();
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "sql")).collect();
    files.retain(|path| !path.ends_with("tables.sql"));
    files.sort();
    assert!(files.len() > 15, "{files:?}");
    let place = folder.file_name().unwrap().display().to_string();
    for path in files {
        let query = std::fs::read_to_string(&path).unwrap();
        let query = query.trim().trim_end_matches(';');
        let query: Vec<&str> = query.lines().filter(|line| !line.starts_with("--")).collect();
        let name = format!("{place}-{}", path.file_stem().unwrap().display());
        check(&name, &tables, &[&query.join("\n")]);
    }
}

#[test]
fn golden_queries_of_flights() {
    golden("flights");
}

#[test]
fn golden_queries_of_nexmark() {
    golden("nexmark");
}

#[test]
fn columns_and_conditions() {
    plans(
        "columns_and_conditions",
        &[
            "SELECT v + 1 AS a FROM t WHERE s LIKE 'x%' AND k > 3",
            "SELECT r.y.z FROM t WHERE r.x = 1",
            "SELECT a FROM (SELECT v * 2 AS a, k FROM t) WHERE a > 4 AND k < 3",
            "SELECT v FROM parts WHERE day_of = '2020-01-01' AND v > 1",
            "SELECT 1 AS single, CAST('2' AS INT) + 1 AS three",
            "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS x (a, b) WHERE a > 1",
            "SELECT k, u.x FROM t CROSS JOIN UNNEST(l) AS u (x) WHERE k > 1 AND u.x > 2",
        ],
    );
}

#[test]
fn groups() {
    plans(
        "groups",
        &[
            "SELECT k, COUNT(*), SUM(v), MAX(s) FROM t WHERE v > 1 GROUP BY k",
            "SELECT COUNT(*) FROM t",
            "SELECT DISTINCT k, s FROM t",
            "SELECT k, COUNT(DISTINCT s), COUNT(DISTINCT s) FILTER (WHERE v > 1) FROM t GROUP BY k",
            "SELECT n, COUNT(*) FROM counts GROUP BY n",
            "SELECT k, n FROM counts WHERE k > 1 AND n > 2",
            "SELECT k, s, COUNT(*) FROM t GROUP BY GROUPING SETS ((k), (s), ())",
            "SELECT k FROM t GROUP BY k HAVING SUM(v) > (SELECT AVG(v) FROM t)",
        ],
    );
}

#[test]
fn windows() {
    let window = |call: &str, rest: &str| format!("SELECT {rest} FROM TABLE({call})");
    let tumble = "TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)";
    let grouped = "window_start, window_end, k, COUNT(*)";
    let by = " GROUP BY window_start, window_end, k";
    plans(
        "windows",
        &[
            &(window(tumble, grouped) + by),
            &(window("HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)", grouped) + by),
            &(window("CUMULATE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)", grouped)
                + by),
            &(window("SESSION(TABLE e PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)", grouped) + by),
            &window(tumble, "*"),
            "SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE), SUM(v) FROM e GROUP BY k, TUMBLE(ts, INTERVAL '1' MINUTE)",
            &format!(
                "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC) AS n FROM TABLE({tumble})) WHERE n <= 3"
            ),
            &format!(
                "SELECT window_start, window_end, SUM(c) FROM (SELECT window_start, window_end, window_time, k, COUNT(*) AS c FROM TABLE({tumble}) GROUP BY window_start, window_end, window_time, k) GROUP BY window_start, window_end"
            ),
        ],
    );
}

#[test]
fn ranks_and_rows_around() {
    let ranked = |order: &str, condition: &str| {
        format!(
            "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY {order}) AS n FROM e) WHERE {condition}"
        )
    };
    plans(
        "ranks_and_rows_around",
        &[
            &ranked("v DESC", "n <= 3"),
            &ranked("v DESC", "n BETWEEN 2 AND 4"),
            &ranked("ts", "n = 1"),
            &ranked("ts DESC", "n = 1"),
            "SELECT k, n FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY n DESC) AS place FROM counts) WHERE place <= 2",
            "SELECT k, n FROM counts ORDER BY n DESC LIMIT 3",
            "SELECT k, ts, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW), LAG(v) OVER (PARTITION BY k ORDER BY ts) FROM e",
            "SELECT k, COUNT(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) FROM e",
            "SELECT * FROM e MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES A.v AS a, LAST(B.v) AS b PATTERN (A B+ C) DEFINE B AS B.v > A.v, C AS C.v < A.v) AS m",
        ],
    );
}

#[test]
fn joins() {
    plans(
        "joins",
        &[
            "SELECT t.s, e.s FROM t JOIN e ON t.k = e.k AND t.v > e.v WHERE t.id > 1",
            "SELECT t.s, c.n FROM t LEFT JOIN counts AS c ON t.k = c.k",
            "SELECT t.s, e.s FROM t FULL JOIN e ON t.k = e.k",
            "SELECT t.s, e.s FROM t LEFT JOIN e ON t.k = e.k WHERE e.v > 1",
            "SELECT t.s, e.s FROM t FULL JOIN e ON t.k = e.k WHERE e.v > 1 OR e.s = 'x'",
            "SELECT t.s FROM t CROSS JOIN f",
            "SELECT s FROM t WHERE k IN (SELECT k FROM f WHERE w > 1)",
            "SELECT s FROM t WHERE NOT EXISTS (SELECT 1 FROM f WHERE f.k = t.k)",
            "SELECT e.s, f.w FROM e JOIN f ON e.k = f.k AND e.ts BETWEEN f.ts - INTERVAL '1' HOUR AND f.ts",
            "SELECT e.s, rate FROM e LEFT JOIN versions FOR SYSTEM_TIME AS OF e.ts AS v ON e.k = v.k",
            "SELECT t.s, name FROM t JOIN dimension FOR SYSTEM_TIME AS OF t.p AS d ON t.k = d.k",
            "SELECT a.k, a.c, b.c FROM (SELECT k, window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end) AS a JOIN (SELECT k, window_start, window_end, SUM(w) AS c FROM TABLE(TUMBLE(TABLE f, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end) AS b ON a.k = b.k AND a.window_start = b.window_start AND a.window_end = b.window_end",
        ],
    );
}

/// The queries and the errors are those of Apache Flink 2.3.0, but where a hint would do nothing.
#[test]
fn hints() {
    let join = |hint: &str| format!("SELECT /*+ {hint} */ l.v, r.w FROM t AS l JOIN f AS r ON l.k = r.k");
    let plain = |hint: &str| format!("SELECT /*+ {hint} */ t.v, f.w FROM t JOIN f ON t.k = f.k");
    let group = |hint: &str, from: &str| format!("SELECT /*+ {hint} */ k, COUNT(*) FROM {from} GROUP BY k");
    let lookup = |options: &str| {
        format!(
            "SELECT /*+ LOOKUP({options}) */ t.s, name FROM t JOIN dimension FOR SYSTEM_TIME AS OF t.p AS d ON t.k = d.k"
        )
    };
    let retry = "'retry-predicate'='lookup_miss', 'retry-strategy'='fixed_delay', 'fixed-delay'='1 s', 'max-attempts'='3'";
    let queries = [
        join("STATE_TTL('l' = '1d', 'r' = '2h')"),
        join("state_ttl(l = '1d', 'l' = '2d'), STATE_TTL('l' = '3d', 'r' = '5')"),
        join("STATE_TTL('t' = '1d')"),
        join("STATE_TTL('L' = '1d')"),
        join("STATE_TTL('l' = 'long')"),
        join("STATE_TTL('l' = '-1d')"),
        join("STATE_TTL('l')"),
        join("STATE_TTL"),
        plain("STATE_TTL('default_database.t' = '1d', 'default_catalog.default_database.f' = '2d')"),
        "SELECT /*+ STATE_TTL('t' = '1d', 'f' = '2h', 'd' = '3 h') */ t.v FROM t JOIN f ON t.k = f.k LEFT JOIN dimension AS d ON t.k = d.k".to_owned(),
        "SELECT /*+ STATE_TTL('t' = '1d', 'f' = '2h') */ t.k, COUNT(*) FROM t, f WHERE t.k = f.k GROUP BY t.k".to_owned(),
        "WITH q AS (SELECT k, v FROM t) SELECT /*+ STATE_TTL('q' = '1d', 'c' = '2d') */ q.v, n FROM q JOIN (SELECT k, COUNT(*) AS n FROM f GROUP BY k) AS c ON q.k = c.k".to_owned(),
        group("STATE_TTL('t' = '1d')", "t"),
        group("STATE_TTL('x' = '1d')", "t AS x WHERE v IN (SELECT w FROM f)"),
        group("STATE_TTL('counts' = '1d')", "counts"),
        group("STATE_TTL('t' = '1d')", "t AS x"),
        group("STATE_TTL('t' = '1d')", "(SELECT * FROM t) AS x"),
        group("STATE_TTL('t' = '1d')", "t, UNNEST(l) AS u (x)"),
        "SELECT /*+ STATE_TTL('t' = '1d') */ DISTINCT k FROM t".to_owned(),
        "SELECT /*+ STATE_TTL('nothing' = '1d') */ k FROM t".to_owned(),
        "SELECT k FROM t /*+ STATE_TTL('t' = '1d') */".to_owned(),
        join("BROADCAST(l), SHUFFLE_HASH('r'), SHUFFLE_MERGE(l, r), NEST_LOOP(r)"),
        join("BROADCAST(nothing)"),
        join("BROADCAST"),
        join("BROADCAST('l' = 'r')"),
        join("MULTI_JOIN(l, r)"),
        join("STATE_TTLS('l' = '1d')"),
        join("OPTIONS('a' = 'b')"),
        lookup("'table'='d', 'async'='true', 'output-mode'='allow_unordered', 'capacity'='5', 'timeout'='3 s'"),
        lookup("'table'='d', 'shuffle'='true'"),
        lookup("'table'='dimension'"),
        lookup("'async'='true'"),
        lookup("'table'='d', 'async'='maybe'"),
        lookup("'table'='d', 'output-mode'='any'"),
        lookup("'table'='d', 'capacity'='0'"),
        lookup("'table'='d', 'timeout'='soon'"),
        lookup("'table'='d', 'retry-predicate'='lookup_miss'"),
        lookup(&format!("'table'='d', {retry}")),
        lookup(&format!("'table'='d', {}", retry.replace("'3'", "'0'"))),
        lookup("'table'='d', 'asynch'='true'"),
        lookup("d"),
        "SELECT /*+ LOOKUP('table' = 'd', 'shuffle' = 'true') */ n, name FROM (SELECT k, COUNT(*) AS n, PROCTIME() AS p FROM t GROUP BY k) AS c JOIN dimension FOR SYSTEM_TIME AS OF c.p AS d ON c.k = d.k".to_owned(),
        join("LOOKUP('table' = 'r')"),
        "SELECT /*+ LOOKUP('table' = 'v') */ e.s, rate FROM e LEFT JOIN versions FOR SYSTEM_TIME AS OF e.ts AS v ON e.k = v.k".to_owned(),
    ];
    plans("hints", &queries.each_ref().map(String::as_str));
}

#[test]
fn sets_and_sinks() {
    plans(
        "sets_and_sinks",
        &[
            "SELECT k FROM t UNION ALL SELECT k FROM e",
            "SELECT k FROM t UNION SELECT k FROM e",
            "SELECT k FROM t INTERSECT SELECT k FROM e",
            "SELECT k FROM t EXCEPT ALL SELECT k FROM e",
            "INSERT INTO changes SELECT * FROM counts",
            "INSERT INTO keyed SELECT * FROM counts",
            "INSERT INTO keyed SELECT CAST(n AS INT), COUNT(*) FROM counts GROUP BY n",
            "INSERT INTO dimension SELECT k, CAST(n AS STRING) FROM counts",
            "STATEMENT SET BEGIN INSERT INTO changes SELECT k, n FROM counts; INSERT INTO keyed SELECT k, n + 1 FROM counts; END",
            "SELECT a.n, b.n FROM counts AS a JOIN counts AS b ON a.k = b.n",
        ],
    );
}

/// Who says the old rows of updates, and what stands before tables with a primary key. The queries are those of which the plans of Apache
/// Flink 2.3.0 were looked at.
#[test]
fn changelogs() {
    plans(
        "changelogs",
        &[
            "INSERT INTO ups SELECT k, n FROM counts",
            "INSERT INTO ups SELECT CAST(n AS INT), COUNT(*) FROM counts GROUP BY n",
            "INSERT INTO ups SELECT CAST(n AS INT), COUNT(*) FROM counts GROUP BY n ON CONFLICT DO DEDUPLICATE",
            "INSERT INTO ups SELECT k, v FROM t ON CONFLICT DO DEDUPLICATE",
            "INSERT INTO ups SELECT k, n FROM counts WHERE n > 3",
            "INSERT INTO ups SELECT k, n FROM counts WHERE k > 3",
            "INSERT INTO ups2 SELECT k, n FROM counts",
            "INSERT INTO ups SELECT c.k, c.n + f.w FROM counts c JOIN f ON c.k = f.k ON CONFLICT DO DEDUPLICATE",
            "INSERT INTO ups SELECT c.k, c.n + d.n FROM counts c LEFT JOIN (SELECT k, SUM(w) AS n FROM f GROUP BY k) d ON c.k = d.k",
            "INSERT INTO ups SELECT k, n FROM counts UNION ALL SELECT k, w FROM f ON CONFLICT DO DEDUPLICATE",
            "INSERT INTO ups SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS place FROM t) WHERE place = 1",
            "INSERT INTO ups2 SELECT k, place FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS place FROM t) WHERE place <= 3",
            "INSERT INTO ups SELECT k, n FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY n DESC) AS r FROM counts) WHERE r <= 3",
            "INSERT INTO ups SELECT k, n FROM counts ORDER BY n DESC LIMIT 3",
            "INSERT INTO ups SELECT k, n FROM counts WHERE k IN (SELECT k FROM f)",
            "STATEMENT SET BEGIN INSERT INTO changes SELECT k, n FROM counts; INSERT INTO ups SELECT k, n + 1 FROM counts; END",
            "STATEMENT SET BEGIN INSERT INTO upsk SELECT k, n FROM counts; INSERT INTO ups SELECT k, n + 1 FROM counts; END",
            "INSERT INTO ups SELECT k, w FROM us",
            "INSERT INTO ups SELECT k, w FROM usk",
            "INSERT INTO upsk SELECT k, w FROM usk",
            "INSERT INTO upsk SELECT k, w FROM usk WHERE w > 3",
            "INSERT INTO ups SELECT k, w FROM us WHERE k > 3 AND w > 4",
            "INSERT INTO ups SELECT k, w FROM rs",
            "INSERT INTO changes SELECT k, w FROM us",
            "INSERT INTO changes SELECT k, w FROM us WHERE k > 3",
            "INSERT INTO changes SELECT k, w FROM rs",
            "INSERT INTO ups SELECT k, COUNT(*) FROM us GROUP BY k",
            "INSERT INTO ups SELECT us.k, us.w FROM us JOIN rs ON us.k = rs.k",
            "INSERT INTO ups SELECT us.k, us.w + f.w FROM us JOIN f ON us.w = f.w ON CONFLICT DO DEDUPLICATE",
            "STATEMENT SET BEGIN INSERT INTO changes SELECT k, w FROM us; INSERT INTO ups SELECT k, w + 1 FROM us; END",
        ],
    );
}

/// The words of the advice are those of Apache Flink 2.3.0.
#[test]
fn advice() {
    let mut session = session(TABLES);
    let mut explain = |script: &str| match session.plan_script(script) {
        Ok(planned) => match planned.into_iter().next_back() {
            Some(Planned::Text(text)) => text,
            _ => panic!("{script}: no plan"),
        },
        Err(error) => error.to_string(),
    };
    let group = "EXPLAIN PLAN_ADVICE SELECT k, COUNT(*) FILTER (WHERE id > 1) FROM t GROUP BY k";
    let text = explain(group);
    assert!(text.starts_with("== Optimized Physical Plan With Advice ==\n"), "{text}");
    assert!(text.contains("GroupAggregate(advice=[1], groupBy=[k], "), "{text}");
    let two_phases = "\n\nadvice[1]: [ADVICE] You might want to enable local-global two-phase optimization by configuring \
                      ('table.exec.mini-batch.enabled' to 'true', 'table.exec.mini-batch.allow-latency' to a positive long value, \
                      'table.exec.mini-batch.size' to a positive long value).\n";
    assert!(text.ends_with(two_phases), "{text}");
    let text = explain("EXPLAIN PLAN_ADVICE SELECT k FROM t");
    assert!(text.ends_with("\n\nNo available advice...\n"), "{text}");
    assert!(!explain(&group.replace("PLAN_ADVICE", "CHANGELOG_MODE")).contains("dvice"));
    let text = explain(&group.replace("PLAN_ADVICE", "ESTIMATED_COST"));
    assert!(text.contains("plans are not chosen by costs"), "{text}");

    let bundled =
        "SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '1 s';
        SET 'table.exec.mini-batch.size' = '100';";
    assert!(explain(&format!("{bundled} {group}")).ends_with("No available advice...\n"));
    let text = explain(&format!("{bundled} SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE'; {group}"));
    assert!(
        text.ends_with("configuring ('table.optimizer.agg-phase-strategy' to 'AUTO' or 'TWO_PHASE').\n"),
        "{text}"
    );
}
