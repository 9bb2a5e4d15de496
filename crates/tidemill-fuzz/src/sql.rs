//! Scripts of SQL: whatever is typed is read and planned, or refused with a place.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlparser::ast::Query;
use tidemill_core::batch::Batch;
use tidemill_runtime::operator::boxed;
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_sql::connector::{
    ConnectorOption, SinkChanges, SinkRequest, SourceRequest, TableFactory, TableSink, TableSource,
};
use tidemill_sql::parser::statement::Statement;
use tidemill_sql::parser::{is_complete, parse_query, parse_script};
use tidemill_sql::{Connectors, SqlError, SqlResult, SqlSession};

/// Tables that the seeds read from and write to.
const TABLES: &str = "
    CREATE TABLE t (a INT, b BIGINT, s STRING, d DECIMAL(10, 2), l ARRAY<INT>, r ROW<x INT, y STRING>, m MAP<STRING, INT>,
      ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'none');
    CREATE TABLE u (a INT, b BIGINT, ts TIMESTAMP(3), PRIMARY KEY (a) NOT ENFORCED, WATERMARK FOR ts AS ts)
      WITH ('connector' = 'none');
    CREATE TABLE flights (sched_dep TIMESTAMP(3), dep_time INT, dep_delay INT, arr_delay INT, carrier STRING, flight INT,
      tailnum STRING, origin STRING, dest STRING, air_time INT, distance INT,
      WATERMARK FOR sched_dep AS sched_dep - INTERVAL '5' MINUTE) WITH ('connector' = 'none');
    CREATE TABLE weather (origin STRING, time_hour TIMESTAMP(3), temp DOUBLE, wind_speed DOUBLE, PRIMARY KEY (origin) NOT ENFORCED,
      WATERMARK FOR time_hour AS time_hour) WITH ('connector' = 'none');
    CREATE TABLE planes (tailnum STRING, built INT, manufacturer STRING, model STRING) WITH ('connector' = 'none');
    CREATE TABLE airlines (carrier STRING, name STRING) WITH ('connector' = 'none');
    CREATE TABLE ticker (ts TIMESTAMP(3), symbol STRING, price INT, seq INT, qty DOUBLE, amount DECIMAL(10, 2), note STRING,
      proc AS PROCTIME(), WATERMARK FOR ts AS ts) WITH ('connector' = 'none');
    CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, event_time TIMESTAMP(3),
      extra STRING, WATERMARK FOR event_time AS event_time) WITH ('connector' = 'none');
    CREATE TABLE auction (id BIGINT, item_name STRING, seller BIGINT, category BIGINT, reserve BIGINT, event_time TIMESTAMP(3),
      expires TIMESTAMP(3), WATERMARK FOR event_time AS event_time) WITH ('connector' = 'none');
    CREATE TABLE person (id BIGINT, name STRING, city STRING, state STRING, event_time TIMESTAMP(3),
      WATERMARK FOR event_time AS event_time) WITH ('connector' = 'none');";

/// More text than this is only read: the seeds that are to be planned are shorter.
const MOST_PLANNED: usize = 16 << 10;

/// Tables without rows.
struct Nothing;

impl TableFactory for Nothing {
    fn identifier(&self) -> &'static str {
        "none"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        &[]
    }

    fn source(&self, _: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Ok(TableSource { source: Arc::new(Nothing) })
    }

    fn sink(&self, _: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let operator = Arc::new(boxed(|| Nothing));
        Ok(TableSink { operator, changes: SinkChanges::All, shuffled_by: Vec::new() })
    }
}

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
        Err(OperatorError::user("nothing is run here"))
    }

    fn create_reader(&self, _: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Err(OperatorError::user("nothing is run here"))
    }
}

/// A script is read, printed and planned.
pub fn sql_scripts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = is_complete(&text);
    let script = match parse_script(&text) {
        Ok(script) => script,
        Err(error) => return check_place(&error, &text, true),
    };
    for statement in &script.statements {
        assert!(text.contains(&*statement.text), "{:?} is not in the script", statement.text);
        if let Statement::Query(query) = &statement.statement {
            check_printed(query);
        }
    }
    if text.len() > MOST_PLANNED {
        return;
    }
    let mut connectors = Connectors::default();
    connectors.add(Nothing);
    let mut session = SqlSession::new(connectors, BTreeMap::new());
    session.plan_script(TABLES).unwrap();
    for statement in &script.statements {
        if let Err(error) = session.plan_statement(&text, statement) {
            check_place(&error, &text, false);
        }
    }
}

/// An error says where it is, and that is in the text or just behind it.
fn check_place(error: &SqlError, text: &str, must: bool) {
    let place = error.position();
    assert!(!must || place.is_known(), "no place: {error}");
    assert!(!error.message().is_empty());
    if place.is_known() {
        let lines: Vec<&str> = text.split('\n').collect();
        let line = lines.get(place.line as usize - 1);
        let line = line.unwrap_or_else(|| panic!("line {} of {}: {error}", place.line, lines.len()));
        let length = line.chars().count();
        assert!((1..=length + 1).contains(&(place.column as usize)), "column {}: {error}", place.column);
    }
}

/// What stands for something that `sqlparser` cannot print as it was written: see `tidemill_sql::parser::statement`. Of frames and
/// of aliases it takes strings, which the binder refuses.
#[rustfmt::skip]
const UNPRINTABLE: [&str; 11] = [
    "$", "MAP(", "MULTISET(", "JSON_", "POSITION(", "MATCH_RECOGNIZE", "SYSTEM_TIME", "LATERAL", "/*", "PRECEDING", "AS '",
];

/// What is printed is read again, as the same.
fn check_printed(query: &Query) {
    let printed = query.to_string();
    let shown = printed.to_uppercase();
    if UNPRINTABLE.iter().any(|part| shown.contains(part)) || shown.contains("WITH (") {
        return;
    }
    match parse_query(&printed) {
        Ok(again) => assert_eq!(again.to_string(), printed),
        Err(error) => panic!("was printed, but cannot be read: {error}\n{printed}"),
    }
}
