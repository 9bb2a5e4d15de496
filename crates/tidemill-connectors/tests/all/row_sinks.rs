//! Sinks for rows of columns: printed as by Flink, and collected.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Int32Array, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field};
use parking_lot::Mutex;
use tidemill_connectors::{BlackholeSink, CollectRowsSink, PrintSink, PrintTarget, TableSink};
use tidemill_core::batch::RowKind;
use tidemill_core::{ArrowBatch, Batch, TypedBatch};
use tidemill_runtime::OperatorFactory;

use crate::harness::{SinkDriver, failure};

fn changes() -> ArrowBatch {
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["abc", "", "x, y", "é"]));
    let prices = Decimal128Array::from(vec![Some(1250), None, Some(0), Some(-5)]);
    let prices: ArrayRef = Arc::new(prices.with_precision_and_scale(10, 2).unwrap());
    let times = vec![Some(1_357_017_300_000), Some(1_357_017_300_500), None, Some(1_357_017_301_000)];
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(times));
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), None]);
    tags.append_null();
    tags.append_value([] as [Option<&str>; 0]);
    tags.append_value([Some("b")]);
    let tags: ArrayRef = Arc::new(tags.finish());
    let row = StructArray::from(vec![
        (Arc::new(Field::new("id", DataType::Int32, true)), Arc::clone(&ids)),
        (Arc::new(Field::new("tags", tags.data_type().clone(), true)), Arc::clone(&tags)),
    ]);
    let columns = [
        ("id", ids),
        ("name", names),
        ("price", prices),
        ("at", times),
        ("tags", tags),
        ("row", Arc::new(row) as ArrayRef),
    ];
    let records =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let kinds = [RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete];
    ArrowBatch { kinds: Some(kinds.into()), ..ArrowBatch::inserts(records) }
}

const PRINTED: [&str; 4] = [
    "+I[1, abc, 12.50, 2013-01-01T05:15, [a, null], +I[1, [a, null]]]",
    "-U[null, , null, 2013-01-01T05:15:00.500, null, +I[null, null]]",
    "+U[3, x, y, 0.00, null, [], +I[3, []]]",
    "-D[4, é, -0.05, 2013-01-01T05:15:01, [b], +I[4, [b]]]",
];

fn opened(factory: &dyn OperatorFactory, subtask: u32, parallelism: u32) -> SinkDriver {
    let mut driver = SinkDriver::new(factory.create(subtask).unwrap(), subtask, parallelism);
    driver.open(None).unwrap();
    driver
}

#[test]
fn rows_are_printed_as_by_flink() {
    let screen = Arc::new(Mutex::new(Vec::new()));
    let shown = || String::from_utf8(std::mem::take(&mut *screen.lock())).unwrap();
    let target = PrintTarget::Writer(screen.clone());
    let print = PrintSink::flink_rows().target(target.clone());
    opened(&print, 0, 1).write(Batch::new(changes())).unwrap();
    assert_eq!(shown(), PRINTED.map(|row| format!("{row}\n")).concat());
    opened(&print.name("prefix"), 0, 2).write(Batch::new(changes())).unwrap();
    assert_eq!(shown(), PRINTED.map(|row| format!("prefix:1> {row}\n")).concat());
    // The other form is for people who read SQL.
    opened(&PrintSink::rows().target(target), 0, 1).write(Batch::new(changes())).unwrap();
    let first = "+I[1, abc, 12.50, 2013-01-01 05:15:00, [a, NULL], +I[1, [a, NULL]]]\n";
    let second = "-U[NULL, , NULL, 2013-01-01 05:15:00.5, NULL, +I[NULL, NULL]]\n";
    assert!(shown().starts_with(&format!("{first}{second}")));
    let wrong = failure(
        opened(&PrintSink::flink_rows(), 0, 1).write(Batch::new(TypedBatch::from_values(vec![1u32]))),
    );
    assert!(wrong.contains("u32"), "{wrong}");
}

#[test]
fn a_table_shows_what_is_nested() {
    let screen = Arc::new(Mutex::new(Vec::new()));
    let table = TableSink::new("T").target(PrintTarget::Writer(screen.clone()));
    let mut sink = opened(&table, 0, 1);
    sink.write(Batch::new(changes())).unwrap();
    sink.finish().unwrap();
    let shown = String::from_utf8(screen.lock().clone()).unwrap();
    assert!(shown.contains("[a, NULL]") && shown.contains("+I[3, []]") && shown.contains("12.50"), "{shown}");
}

#[test]
fn rows_are_collected_with_their_kinds() {
    let sink = CollectRowsSink::new();
    let results = sink.results();
    assert!(results.is_empty());
    for subtask in 0..2 {
        opened(&sink, subtask, 2).write(Batch::new(changes())).unwrap();
    }
    assert_eq!(results.len(), 8);
    assert_eq!(results.texts(), [PRINTED, PRINTED].concat());
    let taken = results.take();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].records, changes().records);
    assert_eq!(taken[0].kinds, changes().kinds);
    assert!(results.is_empty() && results.texts().is_empty());
    assert!(
        failure(opened(&sink, 0, 1).write(Batch::new(TypedBatch::from_values(vec![1u32])))).contains("u32")
    );
}

#[test]
fn rows_are_forgotten_and_counted() {
    let mut sink = opened(&BlackholeSink, 0, 1);
    sink.write(Batch::new(changes())).unwrap();
    assert_eq!(sink.context.metrics.own_value("numRecordsSend"), Some(4));
}
