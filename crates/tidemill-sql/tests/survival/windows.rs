//! Aggregates of windows over event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::CheckpointBarrier;
use tidemill_core::batch::RowKind;
use tidemill_core::time::Watermark;
use tidemill_runtime::{Emission, OperatorContext, OperatorFactory, Output, SnapshotContext};
use tidemill_state::SystemClock;

use crate::model::{Model, survives};
use crate::rows::{Domain, Row, Step, Table, Value, ints, texts, times};
use crate::subject::Subject;

/// The windows, from start to end, in seconds, that hold a time in milliseconds.
type Windows = fn(i64) -> Vec<(i64, i64)>;

/// What windows that have ended say of the rows that came in time.
struct Windowed<F> {
    windows: Windows,
    /// The columns of the groups.
    keys: &'static [usize],
    time: usize,
    results: F,
    watermark: i64,
    open: BTreeMap<(i64, i64, Row), Vec<Row>>,
    said: Table,
}

impl<F: Fn(&[Row]) -> Row> Model for Windowed<F> {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Changes(_, changes) => {
                for (_, row) in changes {
                    let key: Row = self.keys.iter().map(|key| row[*key].clone()).collect();
                    for (start, end) in (self.windows)(row[self.time].int().unwrap()) {
                        let (start, end) = (start * 1000, end * 1000);
                        if end - 1 > self.watermark {
                            self.open.entry((end, start, key.clone())).or_default().push(row.clone());
                        }
                    }
                }
            }
            Step::Watermark(time) => {
                self.watermark = *time;
                let open = std::mem::take(&mut self.open);
                for ((end, start, key), rows) in open {
                    if end - 1 > self.watermark {
                        self.open.insert((end, start, key), rows);
                        continue;
                    }
                    let bounds = vec![Value::Int(start), Value::Int(end)];
                    *self.said.entry([key, bounds, (self.results)(&rows)].concat()).or_default() += 1;
                }
            }
        }
    }

    fn table(&self) -> Table {
        self.said.clone()
    }
}

fn tumble(time: i64) -> Vec<(i64, i64)> {
    let start = time.div_euclid(5_000) * 5;
    vec![(start, start + 5)]
}

fn hop(time: i64) -> Vec<(i64, i64)> {
    let last = time.div_euclid(2_000) * 2;
    (0..3).map(|back| last - 2 * back).map(|start| (start, start + 6)).collect()
}

fn cumulate(time: i64) -> Vec<(i64, i64)> {
    let start = time.div_euclid(9_000) * 9;
    let ends = (1..=3).map(|step| start + 3 * step);
    ends.filter(|end| time < end * 1000).map(|end| (start, end)).collect()
}

const KINDS: [(&str, Windows); 3] = [
    ("TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECOND)", tumble),
    ("HOP(TABLE e, DESCRIPTOR(ts), INTERVAL '2' SECOND, INTERVAL '6' SECOND)", hop),
    ("CUMULATE(TABLE e, DESCRIPTOR(ts), INTERVAL '3' SECOND, INTERVAL '9' SECOND)", cumulate),
];

fn sum(rows: &[Row], column: usize) -> Value {
    let values: Vec<i64> = rows.iter().filter_map(|row| row[column].int()).collect();
    if values.is_empty() { Value::Null } else { Value::Int(values.iter().sum()) }
}

#[test]
fn of_groups() {
    for (kind, windows) in KINDS {
        let query = format!(
            "SELECT k, window_start, window_end, COUNT(*), SUM(v), MAX(s) FROM TABLE({kind}) \
             GROUP BY k, window_start, window_end"
        );
        let domain = Domain::in_time([ints(2), ints(5), texts(), times()]);
        let subject = Subject::new(&query, "WindowAggregate", [domain]);
        survives(&subject, || Windowed {
            windows,
            keys: &[0],
            time: 3,
            results: |rows: &[Row]| {
                let greatest = rows.iter().map(|row| &row[2]).max().cloned();
                vec![Value::Int(rows.len() as i64), sum(rows, 1), greatest.unwrap_or(Value::Null)]
            },
            watermark: i64::MIN,
            open: BTreeMap::new(),
            said: Table::new(),
        });
    }
}

#[test]
fn of_all_rows_and_distinct_values() {
    for (kind, windows) in KINDS {
        let query = format!(
            "SELECT window_start, window_end, COUNT(DISTINCT v), SUM(v) FROM TABLE({kind}) GROUP BY window_start, window_end"
        );
        let domain = Domain::in_time([ints(5), times()]);
        let subject = Subject::new(&query, "WindowAggregate", [domain]);
        survives(&subject, || Windowed {
            windows,
            keys: &[],
            time: 1,
            results: |rows: &[Row]| {
                let mut values: Vec<i64> = rows.iter().filter_map(|row| row[0].int()).collect();
                values.sort_unstable();
                values.dedup();
                vec![Value::Int(values.len() as i64), sum(rows, 0)]
            },
            watermark: i64::MIN,
            open: BTreeMap::new(),
            said: Table::new(),
        });
    }
}

#[test]
fn rows_that_were_late_are_late_behind_a_restore() {
    let query = "SELECT window_start, window_end, COUNT(*) \
         FROM TABLE(TUMBLE(TABLE e, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end";
    let domain = Domain::in_time([times()]);
    let subject = Subject::new(query, "WindowAggregate", [domain]);
    let row = |time| {
        let rows = [(RowKind::Insert, vec![Value::Int(time)])];
        subject.feed(0, &subject.domains[0].batch(&rows)).unwrap()
    };
    let context = OperatorContext::detached(0, 1, 16, Arc::new(SystemClock));
    let results = |out: &mut Output| {
        let emitted = out.take_emissions().into_iter();
        emitted.filter(|emission| matches!(emission, Emission::Batch(_))).count()
    };
    let mut out = Output::default();
    let mut operator = subject.operator().create(0).unwrap();
    operator.open(&context, None).unwrap();
    operator.process(0, row(1_000), &mut out).unwrap();
    operator.watermark(Watermark(6_000), &mut out).unwrap();
    assert_eq!(results(&mut out), 1, "the window has ended");
    let mut snapshot = operator.snapshot(&SnapshotContext::of(CheckpointBarrier::new(1, 0))).unwrap();
    snapshot.complete(&Arc::default()).unwrap();

    // No watermark has come yet since, as after a failure.
    let mut operator = subject.operator().create(0).unwrap();
    operator.open(&context, Some(snapshot)).unwrap();
    operator.process(0, row(2_000), &mut out).unwrap();
    operator.watermark(Watermark(20_000), &mut out).unwrap();
    assert_eq!(results(&mut out), 0, "the window ends once");
}
