//! Lookup joins with a connector of the library's user: calls that block, and calls that do not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use tidemill_runtime::BoxError;
use tidemill_sql::connector::{
    ConnectorOption, Connectors, SinkRequest, SourceRequest, TableFactory, TableSink, TableSource,
};
use tidemill_sql::lookup::{
    AsyncLookupFunction, CACHE, LookupFunction, LookupReply, LookupRequest, PARTIAL_CACHE, TableLookup,
};
use tidemill_sql::{Planned, SqlError, SqlResult, SqlSession};
use tidemill_testkit::jobs::{Job, small_cluster, until, wait};

use super::running::{run, run_at};

/// What the connector was asked for.
#[derive(Clone, Default)]
struct Noted {
    calls: Arc<AtomicUsize>,
    keys: Arc<AtomicUsize>,
    /// A call that is to hang does so until somebody hangs up.
    hanging: Arc<Mutex<Vec<Sender<()>>>>,
}

/// A table `(k INT, name STRING)` with the even numbers below 100; those above 10 have two rows.
struct Dimension(Noted);

const OPTIONS: [ConnectorOption; 7] = {
    let mode = ConnectorOption { key: "mode", required: true, description: "" };
    let [a, b, c, d, e] = PARTIAL_CACHE;
    [mode, CACHE, a, b, c, d, e]
};

impl TableFactory for Dimension {
    fn identifier(&self) -> &'static str {
        "dimension"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        &OPTIONS
    }

    fn source(&self, _: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Err(SqlError::unsupported("the connector 'dimension' is looked up only"))
    }

    fn sink(&self, _: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Err(SqlError::unsupported("the connector 'dimension' is looked up only"))
    }

    fn lookup(&self, request: &LookupRequest<'_>) -> SqlResult<Option<TableLookup>> {
        assert_eq!(request.schema.field(request.keys[0]).name(), "k");
        let mode = request.options.required("mode")?.to_owned();
        let rows = Rows {
            schema: Arc::clone(&request.schema),
            noted: self.0.clone(),
            mode: mode.clone(),
            attempts: 0,
        };
        let other = rows.clone();
        Ok(Some(match mode.as_str() {
            "async" => TableLookup::asynchronous(move || rows.clone()),
            "both" => TableLookup::blocking(move || rows.clone()).or_asynchronous(move || other.clone()),
            "threads" => TableLookup::blocking(move || rows.clone()).or_on_threads(3),
            _ => TableLookup::blocking(move || rows.clone()),
        }))
    }
}

#[derive(Clone)]
struct Rows {
    schema: SchemaRef,
    noted: Noted,
    mode: String,
    attempts: usize,
}

impl Rows {
    fn rows(&mut self, keys: &RecordBatch) -> Result<RecordBatch, BoxError> {
        assert_eq!(keys.schema().field(0).name(), "k");
        self.noted.calls.fetch_add(1, Ordering::Relaxed);
        self.noted.keys.fetch_add(keys.num_rows(), Ordering::Relaxed);
        self.attempts += 1;
        match self.mode.as_str() {
            "fails" => return Err("the database is down".into()),
            "fails once" if self.attempts == 1 => return Err("the database is down".into()),
            "late" if self.attempts == 1 => return Ok(RecordBatch::new_empty(Arc::clone(&self.schema))),
            "hangs" => {
                let (hang_up, hung_up) = channel();
                self.noted.hanging.lock().unwrap().push(hang_up);
                let _ = hung_up.recv();
            }
            _ => {}
        }
        let keys = keys.column(0).as_primitive::<Int32Type>().values().iter().copied();
        let found: Vec<i32> = keys
            .filter(|key| key % 2 == 0 && *key < 100)
            .flat_map(|key| vec![key; if key > 10 { 2 } else { 1 }])
            .collect();
        let columns = self.schema.fields().iter().map(|field| match field.name().as_str() {
            "k" => Arc::new(Int32Array::from(found.clone())) as ArrayRef,
            _ => Arc::new(found.iter().map(|key| Some(format!("n{key}"))).collect::<StringArray>()),
        });
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns.collect())?)
    }
}

impl LookupFunction for Rows {
    fn lookup(&mut self, keys: &RecordBatch) -> Result<RecordBatch, BoxError> {
        self.rows(keys)
    }
}

impl AsyncLookupFunction for Rows {
    fn most_keys(&self, _: usize) -> usize {
        1
    }

    fn lookup(&mut self, keys: RecordBatch, reply: LookupReply) {
        let mut rows = self.clone();
        std::thread::spawn(move || reply.complete(rows.rows(&keys)));
    }
}

fn session() -> (SqlSession, Noted) {
    let noted = Noted::default();
    let mut connectors = Connectors::default();
    connectors.add(Dimension(noted.clone()));
    (SqlSession::new(connectors, BTreeMap::new()), noted)
}

fn tables(mode: &str, options: &str) -> String {
    format!(
        "CREATE TABLE d (name STRING, k INT) WITH ('connector' = 'dimension', 'mode' = '{mode}'{options});
         CREATE VIEW t AS SELECT id, k, PROCTIME() AS p FROM (VALUES (1, 4), (2, 5), (3, 20), (4, CAST(NULL AS INT)), (5, 4)) AS v(id, k);\n"
    )
}

const INNER: &str = "t.id, d.name FROM t JOIN d FOR SYSTEM_TIME AS OF t.p ON t.k = d.k;";
const LEFT: &str = "t.id, d.name FROM t LEFT JOIN d FOR SYSTEM_TIME AS OF t.p ON t.k = d.k AND t.id < 5;";

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.iter_mut().for_each(|row| row.retain(|letter| letter != ' '));
    rows.sort_unstable();
    rows
}

#[test]
fn every_kind_of_call_gives_the_same_rows() {
    for mode in ["sync", "async", "both", "threads"] {
        for hint in [
            "",
            "/*+ LOOKUP('table' = 'd', 'async' = 'false') */",
            "/*+ LOOKUP('table' = 'd', 'shuffle' = 'true', 'output-mode' = 'allow_unordered', 'capacity' = '2') */",
        ] {
            for parallelism in [1, 2] {
                let (mut session, _) = session();
                let script = format!("{}SELECT {hint} {INNER}", tables(mode, ""));
                let rows = run_at(&mut session, &script, parallelism).unwrap();
                assert_eq!(
                    sorted(rows),
                    [r#"[1,"n4"]"#, r#"[3,"n20"]"#, r#"[3,"n20"]"#, r#"[5,"n4"]"#],
                    "{mode} {hint}"
                );
                let rows = run_at(&mut session, &format!("SELECT {hint} {LEFT}"), parallelism).unwrap();
                let expected =
                    [r#"[1,"n4"]"#, "[2,null]", r#"[3,"n20"]"#, r#"[3,"n20"]"#, "[4,null]", "[5,null]"];
                assert_eq!(sorted(rows), expected, "{mode} {hint}");
            }
        }
    }
}

#[test]
fn keys_are_asked_for_together_and_once() {
    let (mut blocking, noted) = session();
    run(&mut blocking, &format!("{}SELECT {INNER}", tables("sync", ""))).unwrap();
    assert_eq!((noted.calls.load(Ordering::Relaxed), noted.keys.load(Ordering::Relaxed)), (1, 3));
    let (mut each, noted) = session();
    run(&mut each, &format!("{}SELECT {INNER}", tables("async", ""))).unwrap();
    assert_eq!((noted.calls.load(Ordering::Relaxed), noted.keys.load(Ordering::Relaxed)), (3, 3));
}

#[test]
fn what_is_missing_is_looked_up_again() {
    let hint = |attempts: u32| {
        format!(
            "/*+ LOOKUP('table' = 'd', 'retry-predicate' = 'lookup_miss', 'retry-strategy' = 'fixed_delay', 'fixed-delay' = '1 ms', 'max-attempts' = '{attempts}') */"
        )
    };
    let (mut again, noted) = session();
    let rows = run(&mut again, &format!("{}SELECT {} {INNER}", tables("late", ""), hint(2))).unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(noted.keys.load(Ordering::Relaxed), 3 + 3 + 1, "5 is not there the third time either");
    let (mut once, _) = session();
    let rows = run(&mut once, &format!("{}SELECT {INNER}", tables("late", ""))).unwrap();
    assert_eq!(rows, Vec::<String>::new());
}

#[test]
fn calls_that_fail_are_made_again_or_fail_the_job() {
    let (mut session, noted) = session();
    let rows = run(&mut session, &format!("{}SELECT {INNER}", tables("fails once", ""))).unwrap();
    assert_eq!((rows.len(), noted.calls.load(Ordering::Relaxed)), (4, 2));
    let (mut session, noted) = self::session();
    let script = format!("{}SELECT {INNER}", tables("fails", ", 'lookup.max-retries' = '0'"));
    let error = run(&mut session, &script).unwrap_err();
    assert!(error.contains("the database is down"), "{error}");
    assert_eq!(noted.calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_lookup_that_takes_too_long_fails_the_job() {
    let noted = Noted::default();
    let mut connectors = Connectors::default();
    connectors.add(Hanging(noted.clone()));
    let mut session = SqlSession::new(connectors, BTreeMap::new());
    let set = "SET 'table.exec.async-lookup.timeout' = '20 ms';";
    let error = run(&mut session, &format!("{}{set}\nSELECT {INNER}", tables("threads", ""))).unwrap_err();
    assert!(error.contains("table.exec.async-lookup.timeout"), "{error}");
    assert!(!noted.hanging.lock().unwrap().is_empty());
}

/// As [`Dimension`], but every call hangs.
struct Hanging(Noted);

impl TableFactory for Hanging {
    fn identifier(&self) -> &'static str {
        "dimension"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        &OPTIONS
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Dimension(self.0.clone()).source(request)
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Dimension(self.0.clone()).sink(request)
    }

    fn lookup(&self, request: &LookupRequest<'_>) -> SqlResult<Option<TableLookup>> {
        let schema = Arc::clone(&request.schema);
        let rows = Rows { schema, noted: self.0.clone(), mode: "hangs".to_owned(), attempts: 0 };
        Ok(Some(TableLookup::blocking(move || rows.clone()).or_on_threads(2)))
    }
}

#[test]
fn a_job_is_cancelled_while_a_lookup_hangs() {
    let (mut session, noted) = session();
    let planned = session.plan_script(&format!("{}SELECT {INNER}", tables("hangs", ""))).unwrap();
    let Some(Planned::Job(planned)) = planned.into_iter().last() else { panic!("no job") };
    let mut job = Job::new(&planned.name);
    job.graph = planned.graph.0;
    let cluster = small_cluster();
    let running = job.submit_to(&cluster).unwrap();
    until("a lookup hangs", || !noted.hanging.lock().unwrap().is_empty());
    running.cancel();
    assert!(wait(&running).is_err(), "it was cancelled");
    noted.hanging.lock().unwrap().clear();
}

#[test]
fn what_was_looked_up_is_kept_for_other_rows() {
    let (mut session, noted) = session();
    // The second half comes in a batch of its own.
    let script = format!(
        "{}SELECT t.id, d.name FROM (SELECT id, k, p FROM t UNION ALL SELECT id, k, p FROM t) AS t JOIN d FOR SYSTEM_TIME AS OF t.p ON t.k = d.k;",
        tables("sync", ", 'lookup.cache' = 'PARTIAL', 'lookup.partial-cache.max-rows' = '10'")
    );
    assert_eq!(run(&mut session, &script).unwrap().len(), 8);
    assert_eq!(noted.keys.load(Ordering::Relaxed), 3);
}

#[test]
fn wrong_options_are_told() {
    let error = |options: &str, query: &str| {
        let (mut session, _) = session();
        let script = format!("{}{query}", tables("both", options));
        session.plan_script(&script).unwrap_err().to_string()
    };
    let select = format!("SELECT {INNER}");
    for (options, expected) in [
        (", 'lookup.cache' = 'SOME'", "NONE, PARTIAL or FULL"),
        (", 'lookup.cache' = 'FULL'", "looked up only"),
        (", 'lookup.cache' = 'PARTIAL'", "grow without bounds"),
        (", 'lookup.partial-cache.max-rows' = 'ten', 'lookup.cache' = 'PARTIAL'", "a number of rows"),
        (", 'lookup.partial-cache.max-rows' = '10', 'lookup.cache' = 'NONE'", "'lookup.cache' = 'PARTIAL'"),
        (", 'lookup.max-retries' = 'some'", "a number of retries"),
        (", 'lookup.partial-cache.max-row' = '10'", "did you mean 'lookup.partial-cache.max-rows'?"),
    ] {
        let error = error(options, &select);
        assert!(error.contains(expected), "{options}: {error}");
    }
    let computed =
        "SELECT t.id FROM t JOIN (SELECT k + 1 AS k1 FROM d) FOR SYSTEM_TIME AS OF t.p AS d ON t.k = d.k1;";
    assert!(!error("", computed).is_empty());
    let null_safe =
        "SELECT t.id, d.name FROM t JOIN d FOR SYSTEM_TIME AS OF t.p ON t.k IS NOT DISTINCT FROM d.k;";
    let error = error("", null_safe);
    assert!(error.contains("keys that are equal"), "{error}");
}

/// The lookup join of the plan of a query.
fn planned(mode: &str, set: &str, query: &str) -> String {
    let (mut session, _) = session();
    let script = format!("{}{set}EXPLAIN {query}", tables(mode, ""));
    let planned = session.plan_script(&script).unwrap();
    let Some(Planned::Text(text)) = planned.into_iter().last() else { panic!("no plan") };
    let line = text.lines().find(|line| line.contains("LookupJoin(")).unwrap();
    line.trim_start_matches([' ', '+', '-', ':', '|']).to_owned()
}

#[test]
fn plans_say_how_a_table_is_looked_up() {
    let table = "LookupJoin(table=[default_catalog.default_database.d], joinType=[InnerJoin], lookup=[k=k], select=[id, k, p, name, k]";
    let unordered = "SET 'table.exec.async-lookup.output-mode' = 'ALLOW_UNORDERED';\n";
    let hinted = |options: &str| format!("SELECT /*+ LOOKUP('table' = 'd', {options}) */ {INNER}");
    let retry = "'retry-predicate'='lookup_miss', 'retry-strategy'='fixed_delay', 'fixed-delay'='10 s', 'max-attempts'='3'";
    // As Flink 2.3 shows them.
    for (mode, set, query, expected) in [
        ("both", "", format!("SELECT {INNER}"), ", async=[ORDERED, KEY_ORDERED: false, 180000ms, 100])"),
        ("both", "", hinted("'async' = 'false'"), ")"),
        ("sync", "", hinted("'async' = 'true'"), ")"),
        ("async", "", hinted("'async' = 'false'"), ", async=[ORDERED, KEY_ORDERED: false, 180000ms, 100])"),
        (
            "async",
            "",
            hinted("'output-mode'='allow_unordered','capacity'='5','timeout'='3 s'"),
            ", async=[UNORDERED, KEY_ORDERED: false, 3000ms, 5])",
        ),
        (
            "both",
            unordered,
            format!("SELECT {INNER}"),
            ", async=[UNORDERED, KEY_ORDERED: false, 180000ms, 100])",
        ),
        (
            "sync",
            "",
            hinted(&format!("{retry}, 'shuffle' = 'true'")),
            ", shuffle=[true], retry=[lookup_miss, FIXED_DELAY, 10000ms, 3])",
        ),
    ] {
        assert_eq!(planned(mode, set, &query), format!("{table}{expected}"));
    }
    let updates = "SELECT c.n, d.name FROM (SELECT k, COUNT(*) AS n, PROCTIME() AS p FROM t GROUP BY k) AS c JOIN d FOR SYSTEM_TIME AS OF c.p ON c.k = d.k;";
    let text = planned("both", unordered, updates);
    assert!(text.contains("async=[ORDERED,"), "changes of a row must not overtake one another: {text}");
}
