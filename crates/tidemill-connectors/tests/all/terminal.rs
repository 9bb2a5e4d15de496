//! Sinks for people and for tests.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parking_lot::Mutex;
use tidemill_connectors::{
    BlackholeSink, CollectSink, NexmarkEvent, NexmarkSource, PrintSink, PrintTarget, TableSink,
};
use tidemill_core::CheckpointBarrier;
use tidemill_core::batch::RowKind;
use tidemill_core::{ArrowBatch, Batch, TypedBatch};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_serialization::{ArrowRecord, Record};
use tidemill_state::{SubtaskSnapshot, redistribute};
use tidemill_testkit::{OperatorHarness, Random, unstamped};

use crate::harness::{SinkDriver, SourceDriver, failure, read_all};

fn screen() -> (Arc<Mutex<Vec<u8>>>, PrintTarget) {
    let screen = Arc::new(Mutex::new(Vec::new()));
    (Arc::clone(&screen), PrintTarget::Writer(screen))
}

fn shown(screen: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(std::mem::take(&mut *screen.lock())).unwrap()
}

fn sink(factory: &dyn OperatorFactory, subtask: u32, parallelism: u32) -> SinkDriver {
    let mut driver = SinkDriver::new(factory.create(subtask).unwrap(), subtask, parallelism);
    driver.open(None).unwrap();
    driver
}

fn rows(names: &[Option<&str>], numbers: &[i64]) -> ArrowBatch {
    let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
    let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
    let columns = [("name", names, true), ("count", numbers, false)];
    ArrowBatch::inserts(RecordBatch::try_from_iter_with_nullable(columns).unwrap())
}

#[test]
fn records_are_printed_with_their_subtask() {
    let (out, target) = screen();
    let numbers = || Batch::new(TypedBatch::from_values(vec![1u32, 22]));
    let print = PrintSink::display::<u32>().target(target.clone());
    sink(&print, 0, 1).write(numbers()).unwrap();
    assert_eq!(shown(&out), "1\n22\n");
    sink(&print, 1, 4).write(numbers()).unwrap();
    assert_eq!(shown(&out), "2> 1\n2> 22\n");
    sink(&print.clone().name("n"), 0, 1).write(numbers()).unwrap();
    assert_eq!(shown(&out), "n> 1\nn> 22\n");
    sink(&print.name("n"), 0, 2).write(numbers()).unwrap();
    assert_eq!(shown(&out), "n:1> 1\nn:1> 22\n");
    let debug = PrintSink::debug::<Option<u32>>().target(target.clone());
    sink(&debug, 0, 1).write(Batch::new(TypedBatch::from_values(vec![Some(1u32), None]))).unwrap();
    assert_eq!(shown(&out), "Some(1)\nNone\n");
    let mut batch = rows(&[Some("a"), None], &[1, 2]);
    batch.kinds = Some(vec![RowKind::Insert, RowKind::Delete].into());
    sink(&PrintSink::rows().target(target), 0, 1).write(Batch::new(batch)).unwrap();
    assert_eq!(shown(&out), "+I[a, 1]\n-D[NULL, 2]\n");
    let wrong = failure(sink(&PrintSink::rows(), 0, 1).write(numbers()));
    assert!(wrong.contains("u32"), "{wrong}");
}

#[test]
fn a_table_is_printed_when_the_last_subtask_has_ended() {
    let (out, target) = screen();
    let table = TableSink::new("Flights").target(target).max_rows(3);
    let (mut one, mut two) = (sink(&table, 0, 2), sink(&table, 1, 2));
    one.write(Batch::new(rows(&[Some("New\tYork"), None], &[5, 12_345]))).unwrap();
    two.write(Batch::new(rows(&[Some("東京"), Some("x")], &[-1, 7]))).unwrap();
    one.write(Batch::new(rows(&[Some("y")], &[8]))).unwrap();
    one.finish().unwrap();
    assert_eq!(shown(&out), "");
    two.finish().unwrap();
    let expected = "\nFlights\n\
                    name      count\n\
                    ────────  ─────\n\
                    New York      5\n\
                    NULL      12345\n\
                    東京         -1\n\
                    … and 2 more rows\n";
    assert_eq!(shown(&out), expected);
    // The same sink in a second execution, without input.
    let mut one = sink(&table, 0, 1);
    one.finish().unwrap();
    assert_eq!(shown(&out), "\nFlights\n(no rows)\n");
}

#[test]
fn a_table_fits_the_terminal_and_shows_changes() {
    let (out, target) = screen();
    let table = TableSink::new("T").target(target).width(25);
    let mut one = sink(&table, 0, 1);
    let mut batch = rows(&[Some("a text that is far too long"), Some("b")], &[1_000_000, 2]);
    batch.kinds = Some(vec![RowKind::UpdateBefore, RowKind::UpdateAfter].into());
    one.write(Batch::new(batch)).unwrap();
    one.finish().unwrap();
    let text = shown(&out);
    assert_eq!(
        text,
        "\nT\n\
         op  name            count\n\
         ──  ────────────  ───────\n\
         -U  a text that…  1000000\n\
         +U  b                   2\n"
    );
}

#[derive(Record, Clone, Debug, PartialEq)]
#[record(arrow)]
struct Count {
    name: String,
    count: i64,
}

fn counts() -> impl Iterator<Item = Vec<Count>> {
    let count = |number: i64| Count { name: format!("airport {number}"), count: number * number };
    (0..12).map(move |batch| (batch * 3..batch * 3 + 3).map(count).collect())
}

/// Has the rows of a batch come as columns, and remembers what it was given.
struct AsColumns<F>(F);

struct Columns(Box<dyn Operator>);

impl<F: OperatorFactory> OperatorFactory for AsColumns<F> {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Columns(self.0.create(subtask)?)))
    }
}

impl Operator for Columns {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.0.open(context, restored)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let columns = Count::to_arrow(&batch.downcast_ref::<TypedBatch<Count>>()?.values)?;
        self.0.process(input, Batch::new(ArrowBatch::inserts(columns)), out)
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.0.finish(out)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        self.0.snapshot(context)
    }

    fn close(&mut self) {
        self.0.close();
    }
}

#[test]
fn a_table_has_the_rows_from_before_a_restore() {
    for max_rows in [0, 5, 100] {
        let run = |snapshots: Option<u64>| {
            let (out, target) = screen();
            let table = AsColumns(TableSink::new("Airports").target(target).max_rows(max_rows));
            let mut harness = OperatorHarness::<u32>::new(table);
            if let Some(seed) = snapshots {
                harness = harness.random_snapshots(seed, 3);
            }
            for batch in counts() {
                harness.process(0, unstamped(batch)).unwrap();
            }
            harness.finish().unwrap();
            (shown(&out), harness.restores())
        };
        let (straight, _) = run(None);
        assert_eq!(straight.matches("airport").count(), max_rows.min(36), "{straight}");
        let mut restores = 0;
        for seed in Random::seeds(10) {
            let (text, restored) = run(Some(seed));
            restores += restored;
            assert_eq!(text, straight, "seed {seed}");
        }
        assert!(restores > 10, "{restores}");
    }
}

#[test]
fn a_table_goes_on_with_more_and_with_fewer_subtasks() {
    let (out, target) = screen();
    let table = TableSink::new("T").target(target).max_rows(4);
    let mut states: Vec<SubtaskSnapshot> = Vec::new();
    let mut drivers: Vec<SinkDriver> = (0..2).map(|subtask| sink(&table, subtask, 2)).collect();
    for (number, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        drivers[number % 2].write(Batch::new(rows(&[Some(name)], &[number as i64]))).unwrap();
    }
    for driver in &mut drivers {
        states.push(driver.sink.snapshot(&SnapshotContext::of(CheckpointBarrier::new(1, 0))).unwrap());
    }
    for parallelism in [3, 1] {
        let dealt = redistribute(states.clone(), 128, parallelism).unwrap();
        let mut drivers: Vec<SinkDriver> = (0..parallelism)
            .map(|subtask| SinkDriver::new(table.create(subtask).unwrap(), subtask, parallelism))
            .collect();
        for (driver, state) in drivers.iter_mut().zip(dealt) {
            driver.open(Some(state)).unwrap();
        }
        drivers[0].write(Batch::new(rows(&[Some("g")], &[6]))).unwrap();
        drivers.iter_mut().for_each(|driver| driver.finish().unwrap());
        let text = shown(&out);
        let firsts: Vec<&str> = text.lines().skip(4).map(|line| &line[..1]).take(4).collect();
        assert_eq!(firsts, ["a", "b", "c", "d"], "{text}");
        assert!(text.ends_with("… and 3 more rows\n"), "{text}");
    }
}

#[test]
fn printing_goes_on_after_a_restore() {
    for seed in Random::seeds(5) {
        let (out, target) = screen();
        let print = PrintSink::display::<u32>().target(target);
        let mut harness = OperatorHarness::<u32>::new(print).random_snapshots(seed, 2);
        for number in 0..20u32 {
            harness.process(0, unstamped([number])).unwrap();
        }
        harness.finish().unwrap();
        let expected: String = (0..20).map(|number| format!("{number}\n")).collect();
        assert_eq!(shown(&out), expected);
        assert!(harness.restores() > 0);
    }
}

#[test]
fn records_are_collected_and_forgotten() {
    let collect = CollectSink::<u32>::new();
    let results = collect.results();
    let numbers = Batch::new(TypedBatch::from_values(vec![1u32, 2]));
    let kept = numbers.clone();
    sink(&collect, 0, 1).write(numbers).unwrap();
    assert_eq!(kept.len(), 2, "a batch that others have too is not emptied");
    assert_eq!(results.len(), 2);
    assert_eq!(results.take(), [1, 2]);
    assert!(results.is_empty());
    let mut hole = sink(&BlackholeSink, 0, 1);
    hole.write(kept).unwrap();
    hole.write(Batch::new(rows(&[None], &[1]))).unwrap();
    assert_eq!(hole.context.metrics.own_value("numRecordsSend"), Some(3));
}

fn events(driver: &SourceDriver) -> Vec<(NexmarkEvent, i64)> {
    let mut all = Vec::new();
    for (_, batch) in &driver.batches {
        let batch = batch.downcast_ref::<TypedBatch<NexmarkEvent>>().unwrap();
        all.extend(batch.values.iter().cloned().zip(batch.timestamps.iter().copied()));
    }
    all
}

#[test]
fn nexmark_events_are_the_same_in_every_run() {
    let source = NexmarkSource::bounded(1000).events_per_second(100, false).unwrap();
    let straight = events(&read_all(&source, 64).unwrap());
    assert_eq!(straight.len(), 1000);
    let count =
        |wanted: fn(&NexmarkEvent) -> bool| straight.iter().filter(|(event, _)| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, NexmarkEvent::Person(_))), 20);
    assert_eq!(count(|event| matches!(event, NexmarkEvent::Auction(_))), 60);
    assert_eq!(count(|event| matches!(event, NexmarkEvent::Bid(_))), 920);
    assert!(straight.iter().all(|(event, timestamp)| event.date_time().0 == *timestamp));
    assert_eq!(straight[0].1, 1_436_918_400_000);
    // 100 events a second: the last of 1000 comes ten seconds after the first.
    assert_eq!(straight[999].1 - straight[0].1, 9990);
    // By three subtasks, and with restores.
    let mut driver = SourceDriver::new(&source, 3, 10).unwrap();
    while driver.batches.len() < 20 {
        driver.poll().unwrap();
    }
    let mut driver = driver.restore(&source, 1, 17).unwrap();
    driver.run().unwrap();
    let mut parallel = events(&driver);
    let key = |event: &(NexmarkEvent, i64)| format!("{event:?}");
    let mut straight = straight;
    parallel.sort_by_key(key);
    straight.sort_by_key(key);
    assert_eq!(parallel, straight);
    assert!(NexmarkSource::bounded(1).events_per_second(0, true).is_err());
}
