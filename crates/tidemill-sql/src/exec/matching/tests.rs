//! The operator of a query, in one go and through snapshots at changing parallelism.

use std::collections::BTreeMap;

use arrow_array::types::Int32Type;
use arrow_array::{Int32Array, StringArray, TimestampMillisecondArray};
use tidemill_core::CheckpointBarrier;
use tidemill_core::hash;
use tidemill_core::key_group::{key_group, subtask_of};
use tidemill_runtime::Emission;
use tidemill_runtime::graph::NodeKind;
use tidemill_state::ManualClock;
use tidemill_testkit::{Random, redistribute};

use super::*;
use crate::connector::{
    ConnectorOption, Connectors, SinkRequest, SourceRequest, TableFactory, TableSink, TableSource,
};
use crate::error::{SqlError, SqlResult};
use crate::exec::values::ValuesSource;
use crate::expr::compile::record_batch;
use crate::session::{Planned, SqlSession};

/// A table without rows: the test gives the operator rows of its own.
struct Empty;

impl TableFactory for Empty {
    fn identifier(&self) -> &'static str {
        "empty"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        &[]
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let rows = RecordBatch::new_empty(Arc::clone(&request.schema));
        Ok(TableSource { source: Arc::new(ValuesSource(rows)) })
    }

    fn sink(&self, _: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Err(SqlError::internal("nobody writes"))
    }
}

const TABLE: &str =
    "CREATE TABLE t (s STRING, ts TIMESTAMP(3), p INT, n INT, proc AS PROCTIME(), WATERMARK FOR ts AS ts)
                     WITH ('connector' = 'empty');";

fn plan(query: &str) -> SqlResult<Vec<Planned>> {
    let mut connectors = Connectors::default();
    connectors.add(Empty);
    SqlSession::new(connectors, BTreeMap::new()).plan_script(&format!("{TABLE}\n{query};"))
}

/// The operator of `SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY s …)`.
fn operator(clauses: &str) -> Arc<dyn OperatorFactory> {
    let text = format!("SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY s {clauses}) AS m");
    let planned = plan(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let Some(Planned::Job(job)) = planned.into_iter().last() else { panic!("{text} is no query") };
    let node = job.graph.0.nodes.iter().find(|node| node.name.starts_with("Match(")).unwrap();
    let NodeKind::Operator(factory) = &node.kind else { panic!("Match is no operator") };
    Arc::clone(factory)
}

/// A row: its partition, its time, a number that may be NULL, and its own number.
type TestRow = (&'static str, i64, Option<i32>, i32);

/// Rows as the operator reads them, with a time of the clock behind them where it reads that.
fn batch(rows: &[TestRow], of_clock: bool) -> Batch {
    let time = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.1));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(time.clone()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int32Array>()),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.3))),
    ];
    if of_clock {
        columns.push(Arc::new(time.with_timezone(crate::types::arrow::UTC)));
    }
    let fields = columns.iter().enumerate().map(|(index, column)| {
        arrow_schema::Field::new(format!("f{index}"), column.data_type().clone(), true)
    });
    let schema = Arc::new(arrow_schema::Schema::new(fields.collect::<Vec<_>>()));
    Batch::new(ArrowBatch {
        records: record_batch(&schema, columns, rows.len()).unwrap(),
        kinds: None,
        timestamps: Vec::new(),
        hashes: Vec::new(),
    })
}

const GROUPS: u32 = 128;

/// The subtask that the rows of a partition go to.
fn subtask(of: &str, parallelism: u32) -> usize {
    let data = [StringArray::from(vec![of]).into()];
    let key = RowWriter::new(&data, true).row(0, &mut Vec::new());
    subtask_of(key_group(hash::bytes(key.bytes()), GROUPS), parallelism, GROUPS) as usize
}

/// All subtasks of an operator.
struct Subtasks {
    factory: Arc<dyn OperatorFactory>,
    of_clock: bool,
    clock: ManualClock,
    running: Vec<Box<dyn Operator>>,
    watermark: i64,
    /// What has come out, a text for each row.
    said: Vec<String>,
}

impl Subtasks {
    fn new(clauses: &str) -> Self {
        let mut new = Self {
            factory: operator(clauses),
            of_clock: clauses.contains("ORDER BY proc"),
            clock: ManualClock::at(1_000),
            running: Vec::new(),
            watermark: i64::MIN,
            said: Vec::new(),
        };
        new.open(vec![None]);
        new
    }

    fn open(&mut self, snapshots: Vec<Option<SubtaskSnapshot>>) {
        let parallelism = snapshots.len() as u32;
        self.running.clear();
        for (index, snapshot) in snapshots.into_iter().enumerate() {
            let index = index as u32;
            let context = OperatorContext::detached(index, parallelism, GROUPS, Arc::new(self.clock.clone()));
            let mut operator = self.factory.create(index).unwrap();
            operator.open(&context, snapshot).unwrap();
            self.running.push(operator);
        }
        if self.watermark > i64::MIN {
            self.watermark(self.watermark);
        }
    }

    fn snapshots(&mut self) -> Vec<SubtaskSnapshot> {
        let context = SnapshotContext::of(CheckpointBarrier::new(1, 0));
        let snapshot = |operator: &mut Box<dyn Operator>| {
            let mut snapshot = operator.snapshot(&context).unwrap();
            snapshot.complete(&Arc::default()).unwrap();
            SubtaskSnapshot::decode(&snapshot.encode()).unwrap()
        };
        self.running.iter_mut().map(snapshot).collect()
    }

    /// Throws all subtasks away and goes on with as many as `parallelism`.
    fn rescale(&mut self, parallelism: u32) {
        let snapshots = redistribute(&self.snapshots(), parallelism, GROUPS);
        self.open(snapshots.into_iter().map(Some).collect());
    }

    fn rows(&mut self, rows: &[TestRow]) {
        let parallelism = self.running.len() as u32;
        for index in 0..self.running.len() {
            let own: Vec<TestRow> =
                rows.iter().filter(|row| subtask(row.0, parallelism) == index).copied().collect();
            if !own.is_empty() {
                let mut out = Output::default();
                let progress = self.running[index].process(0, batch(&own, self.of_clock), &mut out).unwrap();
                assert_eq!(progress, Progress::Done);
                self.hear(out);
            }
        }
    }

    fn watermark(&mut self, watermark: i64) {
        self.watermark = watermark;
        for index in 0..self.running.len() {
            let mut out = Output::default();
            while self.running[index].watermark(Watermark(watermark), &mut out).unwrap() != Progress::Done {}
            self.hear(out);
        }
    }

    /// Moves the clock, and lets what is due happen.
    fn clock(&mut self, now: i64) {
        self.clock.set(now);
        for index in 0..self.running.len() {
            let mut out = Output::default();
            while self.running[index].next_processing_time().is_some_and(|due| due <= now) {
                self.running[index].processing_time(now, &mut out).unwrap();
            }
            self.hear(out);
        }
    }

    fn hear(&mut self, mut out: Output) {
        for emission in out.take_emissions() {
            let Emission::Batch(batch) = emission else { continue };
            let batch = batch.downcast_ref::<ArrowBatch>().unwrap();
            assert!(batch.kinds.is_none());
            for row in 0..batch.records.num_rows() {
                let cells = batch.records.columns().iter().map(|column| cell(column, row));
                self.said.push(cells.collect::<Vec<_>>().join(" "));
            }
        }
    }

    /// The bytes of all that is kept.
    fn kept(&mut self) -> usize {
        let snapshots = self.snapshots();
        let keyed = snapshots.iter().flat_map(|snapshot| &snapshot.keyed);
        keyed.flat_map(|state| &state.groups).map(|(_, bytes)| bytes.len()).sum()
    }

    fn timers(&mut self) -> usize {
        let snapshots = self.snapshots();
        let timers = snapshots.iter().flat_map(|snapshot| &snapshot.timers);
        timers.flat_map(|state| &state.groups).map(|(_, bytes)| bytes.len()).sum()
    }

    fn sorted(mut self) -> Vec<String> {
        self.said.sort();
        self.said
    }
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    if let Some(texts) = column.as_string_opt::<i32>() {
        return texts.value(row).to_owned();
    }
    if let Some(numbers) = column.as_primitive_opt::<Int32Type>() {
        return numbers.value(row).to_string();
    }
    let numbers = arrow_cast::cast(column, &arrow_schema::DataType::Int64).unwrap();
    numbers.as_primitive::<arrow_array::types::Int64Type>().value(row).to_string()
}

/// Rows of four partitions, a little out of order.
fn some_rows(seed: u64, count: i32) -> Vec<TestRow> {
    let mut random = Random::seeded(seed);
    let mut time = 0;
    (0..count)
        .map(|number| {
            time += random.below(4) as i64;
            let own = time - random.below(3) as i64;
            let value = (random.below(12) > 0).then(|| random.below(10) as i32);
            (["a", "b", "c", "d"][random.below(4) as usize], own.max(0), value, number)
        })
        .collect()
}

const CLAUSES: [&str; 5] = [
    "ORDER BY ts, n MEASURES A.n AS a, FIRST(D.n) AS d, LAST(D.n) AS l, SUM(D.p) AS total, U.n AS u, MATCH_ROWTIME() AS mt
     AFTER MATCH SKIP PAST LAST ROW PATTERN (A D+ U) DEFINE D AS D.p <= COALESCE(LAST(D.p, 1), A.p), U AS U.p > FIRST(D.p)",
    "ORDER BY ts, n MEASURES FIRST(A.n) AS a, COUNT(A.p) AS c, B.n AS b PATTERN (A+ B)
     DEFINE A AS SUM(A.p) < 20, B AS SUM(A.p) + B.p >= 20",
    "ORDER BY ts, n MEASURES A.n AS a, LAST(X.n, 1) AS x, B.n AS b, MATCH_ROWTIME() AS mt PATTERN (A X*? B) WITHIN INTERVAL '0.020' SECOND
     DEFINE A AS A.p > 4, B AS B.p > A.p + 2 AND B.n < 1000",
    "ORDER BY ts, n MEASURES FIRST(A.n) AS a, LAST(A.n) AS l, B.n AS b, MATCH_ROWTIME() AS mt AFTER MATCH SKIP TO LAST A
     PATTERN (A{2,4} B) WITHIN INTERVAL '0.030' SECOND DEFINE A AS A.p > 2",
    "ORDER BY ts, n MEASURES COUNT(*) AS c, MIN(p) AS m, C.n AS n PATTERN (A{2} B{0,3}? C) WITHIN INTERVAL '0.040' SECOND
     DEFINE A AS p < 9, B AS AVG(p) < 6, C AS p > FIRST(p)",
];

/// Runs rows through an operator with watermarks between them; `between` is called in each pause.
fn run(clauses: &str, rows: &[TestRow], mut between: impl FnMut(&mut Subtasks)) -> Vec<String> {
    let mut subtasks = Subtasks::new(clauses);
    for chunk in rows.chunks(7) {
        subtasks.rows(chunk);
        between(&mut subtasks);
        let newest = chunk.iter().map(|row| row.1).max().unwrap_or_default();
        let watermark = subtasks.watermark.max(newest - 3);
        subtasks.watermark(watermark);
        between(&mut subtasks);
    }
    subtasks.watermark(i64::MAX);
    subtasks.sorted()
}

#[test]
fn matches_are_the_same_through_snapshots_at_changing_parallelism() {
    for (seed, clauses) in CLAUSES.iter().enumerate() {
        let rows = some_rows(seed as u64, 400);
        let straight = run(clauses, &rows, |_| ());
        assert!(straight.len() > 10, "{clauses}: {straight:?}");
        let mut random = Random::seeded(seed as u64 + 100);
        let restored = run(clauses, &rows, |subtasks| subtasks.rescale(1 + random.below(3) as u32));
        assert_eq!(restored, straight, "{clauses}");
        // Neither do they depend on how far time goes at once.
        let mut at_once = Subtasks::new(clauses);
        at_once.rows(&rows);
        at_once.watermark(i64::MAX);
        assert_eq!(at_once.sorted(), straight, "{clauses}");
    }
}

#[test]
fn a_match_goes_on_behind_a_restore() {
    let mut subtasks = Subtasks::new(CLAUSES[0]);
    subtasks.rows(&[("a", 1, Some(5), 0), ("a", 2, Some(4), 1)]);
    subtasks.watermark(2);
    subtasks.rescale(3);
    subtasks.rows(&[("a", 4, Some(4), 3), ("a", 3, Some(3), 2)]);
    subtasks.rescale(2);
    assert!(subtasks.said.is_empty());
    // The match that begins with 5 ends with the second 4, which is no more than the first D; that of the first 4 is whole then.
    subtasks.rows(&[("a", 5, Some(1), 4)]);
    subtasks.watermark(9);
    assert_eq!(subtasks.said, ["a 1 2 2 3 3 4"]);
    subtasks.rows(&[("a", 10, Some(1), 5), ("a", 11, Some(6), 6)]);
    subtasks.rescale(1);
    subtasks.watermark(20);
    assert_eq!(subtasks.said, ["a 1 2 2 3 3 4", "a 4 5 5 1 6 11"]);
}

#[test]
fn a_partition_without_a_match_keeps_nothing() {
    let clauses = "ORDER BY ts MEASURES A.n AS a PATTERN (A B+ C) WITHIN INTERVAL '1' SECOND
                   DEFINE A AS A.p = 1, B AS B.p = 2, C AS C.p = 3";
    let mut subtasks = Subtasks::new(clauses);
    let nothing = (subtasks.kept(), subtasks.timers());
    for round in 0..5 {
        let at = round * 10_000;
        let rows: Vec<TestRow> = (0..50).map(|number| ("x", at + number, Some(7), 0)).collect();
        subtasks.rows(&rows);
        assert!(subtasks.kept() > nothing.0, "rows wait");
        subtasks.watermark(at + 100);
        assert_eq!((subtasks.kept(), subtasks.timers()), nothing, "no match has begun");
        subtasks.rows(&[("x", at + 200, Some(1), 1), ("x", at + 201, Some(2), 2)]);
        subtasks.watermark(at + 300);
        assert!(subtasks.kept() > nothing.0 && subtasks.timers() > nothing.1);
        // A row that ends it, or time that does.
        if round % 2 == 0 {
            subtasks.rows(&[("x", at + 400, Some(9), 3)]);
            subtasks.watermark(at + 500);
        } else {
            subtasks.watermark(at + 1_200);
        }
        assert_eq!((subtasks.kept(), subtasks.timers()), nothing, "round {round}");
    }
    assert!(subtasks.said.is_empty());
}

#[test]
fn rows_before_the_first_of_a_match_are_not_kept() {
    // The first row of a match moves along: what is kept does not grow.
    let clauses = "ORDER BY ts MEASURES A.n AS a PATTERN (A{3} B) DEFINE A AS A.p > 0, B AS B.p < 0";
    let mut subtasks = Subtasks::new(clauses);
    let mut sizes = Vec::new();
    for time in 0..200 {
        subtasks.rows(&[("x", time, Some(1), 0)]);
        subtasks.watermark(time);
        sizes.push(subtasks.kept());
    }
    assert_eq!(sizes[20], sizes[199], "{sizes:?}");
}

#[test]
fn rows_behind_the_watermark_are_dropped() {
    let clauses = "ORDER BY ts MEASURES A.n AS a, B.n AS b PATTERN (A B) DEFINE B AS B.p > A.p";
    let mut subtasks = Subtasks::new(clauses);
    subtasks.rows(&[("x", 10, Some(1), 0)]);
    subtasks.watermark(20);
    subtasks.rows(&[("x", 20, Some(5), 1), ("x", 15, Some(6), 2), ("x", 21, Some(7), 3)]);
    subtasks.watermark(30);
    assert_eq!(subtasks.said, ["x 0 3"]);
}

#[test]
fn processing_time_takes_rows_as_they_come() {
    let clauses = "ORDER BY proc MEASURES A.n AS a, B.n AS b PATTERN (A B) WITHIN INTERVAL '5' SECOND
                   DEFINE B AS B.p > A.p";
    let mut subtasks = Subtasks::new(clauses);
    subtasks.rows(&[("x", 0, Some(1), 0), ("y", 0, Some(1), 1), ("x", 0, Some(2), 2)]);
    assert_eq!(subtasks.said, ["x 0 2"]);
    subtasks.rescale(2);
    subtasks.clock(5_000);
    subtasks.rows(&[("y", 0, Some(2), 3)]);
    assert_eq!(subtasks.said, ["x 0 2", "y 1 3"]);
    // Out of time.
    subtasks.clock(20_000);
    subtasks.rows(&[("y", 0, Some(9), 4), ("x", 0, Some(9), 5)]);
    assert_eq!(subtasks.said.len(), 2);
}

#[test]
fn processing_time_puts_rows_of_a_millisecond_in_order() {
    let clauses = "ORDER BY proc, n DESC MEASURES A.n AS a, B.n AS b PATTERN (A B) DEFINE B AS B.p > A.p";
    let mut subtasks = Subtasks::new(clauses);
    subtasks.rows(&[("x", 0, Some(9), 1), ("x", 0, Some(5), 2)]);
    assert!(subtasks.said.is_empty());
    subtasks.rescale(2);
    subtasks.clock(1_001);
    assert_eq!(subtasks.said, ["x 2 1"]);
}

#[test]
fn a_search_that_cannot_go_on_fails_the_job() {
    let clauses = "ORDER BY ts MEASURES A.n AS a AFTER MATCH SKIP TO LAST B PATTERN (A B* C)
                   DEFINE B AS B.p = 5, C AS C.p = 6";
    let mut operator = operator(clauses).create(0).unwrap();
    let context = OperatorContext::detached(0, 1, GROUPS, Arc::new(ManualClock::at(0)));
    operator.open(&context, None).unwrap();
    let mut out = Output::default();
    operator.process(0, batch(&[("x", 1, Some(1), 0), ("x", 2, Some(6), 1)], false), &mut out).unwrap();
    let error = operator.watermark(Watermark(5), &mut out).unwrap_err();
    assert!(error.to_string().contains("SKIP TO 'B'"), "{error}");
}

/// What planning a match with these clauses fails with.
fn refused(clauses: &str) -> String {
    let text = format!("SELECT * FROM t MATCH_RECOGNIZE ({clauses}) AS m");
    plan(&text).expect_err(clauses).to_string()
}

#[test]
fn what_flink_refuses_is_refused() {
    let pattern = |pattern: &str| {
        refused(&format!("ORDER BY ts MEASURES A.n AS a PATTERN ({pattern}) DEFINE A AS A.p > 1"))
    };
    for (written, says) in [
        ("A (B | C)", "'|' in PATTERN"),
        ("PERMUTE(A, B)", "PERMUTE"),
        ("{- A -} B", "'{- -}'"),
        ("^ A B", "'^'"),
        ("A B $", "'$'"),
        ("(A B)+ C", "a quantifier of a group"),
        ("A B+", "cannot be greedy"),
        ("A B{2,3}", "cannot be greedy"),
        ("A*", "matches no rows"),
        ("A*? B?", "matches no rows"),
        ("A?? B", "not supported"),
        ("A B A", "stands in PATTERN twice"),
        ("A+ B? C", "cannot stand behind 'A+'"),
        ("A{0} B", "as often as its quantifier says"),
        ("A{3,2} B", "as often as its quantifier says"),
        ("A{1,100000} B", "more than 10000 times"),
    ] {
        let error = pattern(written);
        assert!(error.contains(says), "{written}: {error}");
    }
    let measure = |measure: &str| {
        refused(&format!("ORDER BY ts MEASURES {measure} AS m PATTERN (A B) DEFINE A AS A.p > 1"))
    };
    for (written, says) in [
        ("PREV(A.n)", "cannot stand in MEASURES"),
        ("LAST(A.n + B.n)", "more than one variable"),
        ("SUM(A.n + B.n)", "more than one variable"),
        ("LAST(FIRST(A.n))", "cannot stand in the argument of LAST"),
        ("LAST(SUM(A.n))", "cannot stand in the argument of LAST"),
        ("COUNT(DISTINCT A.n)", "DISTINCT"),
        ("LAST(A.n, A.p)", "a literal"),
        ("LAST(A.n, -1)", "a literal"),
        ("CLASSIFIER()", "CLASSIFIER"),
        ("MATCH_NUMBER()", "MATCH_NUMBER"),
        ("RUNNING LAST(A.n)", "RUNNING"),
        ("Z.n", "'Z'"),
        ("A.q", "'A' has no column 'q'"),
        ("(SELECT 1)", "sub-query"),
    ] {
        let error = measure(written);
        assert!(error.contains(says), "{written}: {error}");
    }
    for (clauses, says) in [
        ("PARTITION BY s MEASURES A.n AS a PATTERN (A) DEFINE A AS A.p > 1", "needs an ORDER BY"),
        ("ORDER BY n MEASURES A.n AS a PATTERN (A) DEFINE A AS A.p > 1", "begin with a time attribute"),
        ("ORDER BY ts DESC MEASURES A.n AS a PATTERN (A) DEFINE A AS A.p > 1", "must be ascending"),
        (
            "PARTITION BY UPPER(s) ORDER BY ts MEASURES A.n AS a PATTERN (A) DEFINE A AS A.p > 1",
            "takes columns",
        ),
        ("ORDER BY ts MEASURES A.n AS a ALL ROWS PER MATCH PATTERN (A) DEFINE A AS A.p > 1", "ALL ROWS"),
        ("ORDER BY ts MEASURES A.n AS a PATTERN (A B) DEFINE A AS A.p > PREV(A.p)", "PREV is not supported"),
        ("ORDER BY ts MEASURES A.n AS a PATTERN (A B) DEFINE B AS B.p > NEXT(A.p)", "NEXT is not supported"),
        ("ORDER BY ts MEASURES A.n AS a PATTERN (A B) DEFINE A AS A.p + 1", "expects a condition"),
        ("ORDER BY ts MEASURES A.n AS a PATTERN (A) DEFINE A AS TRUE, A AS FALSE", "defined twice"),
        (
            "ORDER BY ts MEASURES A.n AS a AFTER MATCH SKIP TO LAST Z PATTERN (A) DEFINE A AS TRUE",
            "no variable 'Z'",
        ),
        (
            "ORDER BY ts MEASURES A.n AS a PATTERN (A) WITHIN INTERVAL '1' MONTH DEFINE A AS TRUE",
            "WITHIN takes",
        ),
        ("ORDER BY ts MEASURES A.n AS a, A.p AS a PATTERN (A) DEFINE A AS TRUE", "two columns 'a'"),
        ("PARTITION BY s ORDER BY ts MEASURES A.n AS s PATTERN (A) DEFINE A AS TRUE", "two columns 's'"),
        ("ORDER BY ts PATTERN (A) DEFINE A AS TRUE", "no columns"),
        ("ORDER BY proc MEASURES MATCH_ROWTIME() AS a PATTERN (A) DEFINE A AS TRUE", "event time"),
    ] {
        let error = refused(clauses);
        assert!(error.contains(says), "{clauses}: {error}");
    }
    let updated =
        "SELECT * FROM (SELECT s, c, PROCTIME() AS q FROM (SELECT s, COUNT(*) AS c FROM t GROUP BY s))
                   MATCH_RECOGNIZE (ORDER BY q MEASURES A.c AS c PATTERN (A) DEFINE A AS TRUE) AS m";
    let error = plan(updated).unwrap_err().to_string();
    assert!(error.contains("updated or taken away") && error.contains("GroupAggregate"), "{error}");
}

#[test]
fn plans_show_the_pattern_and_read_only_what_it_needs() {
    let explain = "EXPLAIN SELECT b FROM t MATCH_RECOGNIZE (PARTITION BY s ORDER BY ts MEASURES A.p AS a, COUNT(B.n) AS b
                   AFTER MATCH SKIP TO FIRST B PATTERN (A B{2,}? C) WITHIN INTERVAL '1' MINUTE
                   DEFINE B AS B.n > LAST(B.n, 1)) WHERE s = 'x'";
    let planned = plan(explain).unwrap();
    let Some(Planned::Text(text)) = planned.last() else { panic!() };
    let wanted = "Match(partitionBy=[s], orderBy=[ts ASC], measures=[FINAL(COUNT(B: n)) AS b], \
                  rowsPerMatch=[ONE ROW PER MATCH], after=[SKIP TO FIRST B], pattern=[A B{2,}? C], within=[60000 ms], \
                  define=[B=(B.n > LAST(B.n, 1))])";
    assert!(text.contains(wanted), "{text}");
    let physical = &text[text.find("== Optimized").unwrap_or(0)..];
    assert!(physical.contains("project=[s, ts, n]") && physical.contains("filter=[(s = 'x')]"), "{text}");
}
