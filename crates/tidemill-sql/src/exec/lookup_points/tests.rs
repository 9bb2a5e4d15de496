//! Lookups whose answers the test gives, when it wants to.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::{DataType, Field, Schema};
use parking_lot::Mutex;
use proptest::prelude::*;
use tidemill_core::CheckpointBarrier;
use tidemill_core::batch::RowKind;
use tidemill_runtime::Emission;
use tidemill_state::ManualClock;

use super::*;
use crate::exec::calc::CalcSpec;
use crate::exec::output::kind;

/// A call that waits for the test's answer.
type Pending = Arc<Mutex<VecDeque<(Vec<i64>, LookupReply)>>>;

struct ByHand {
    pending: Pending,
    most: usize,
}

impl AsyncLookupFunction for ByHand {
    fn most_keys(&self, capacity: usize) -> usize {
        self.most.min(capacity)
    }

    fn lookup(&mut self, keys: RecordBatch, reply: LookupReply) {
        let keys = keys.column(0).as_primitive::<Int64Type>().values().to_vec();
        self.pending.lock().push_back((keys, reply));
    }
}

fn longs(names: &[&str]) -> SchemaRef {
    let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn records<const N: usize>(names: &[&str], rows: &[[Option<i64>; N]]) -> RecordBatch {
    let column = |n: usize| Arc::new(rows.iter().map(|row| row[n]).collect::<Int64Array>()) as ArrayRef;
    RecordBatch::try_new(longs(names), (0..N).map(column).collect()).unwrap()
}

/// Rows `(k, v)` of a table that are the answer to a call.
fn table(rows: &[(i64, i64)]) -> RecordBatch {
    records(&["k", "v"], &rows.iter().map(|(k, v)| [Some(*k), Some(*v)]).collect::<Vec<_>>())
}

fn batch(rows: &[(i64, Option<i64>)]) -> ArrowBatch {
    ArrowBatch::inserts(records(
        &["id", "k"],
        &rows.iter().map(|(id, k)| [Some(*id), *k]).collect::<Vec<_>>(),
    ))
}

fn spec(pending: &Pending, settings: PointSettings, most: usize, is_left: bool) -> PointLookupSpec {
    let pending = Arc::clone(pending);
    let input = longs(&["k", "v"]);
    let calc = CalcSpec { input: Arc::clone(&input), predicate: None, exprs: None };
    PointLookupSpec {
        calls: Calls::Function(Arc::new(move || Box::new(ByHand { pending: Arc::clone(&pending), most }))),
        settings,
        left: longs(&["id", "k"]),
        keys: vec![1],
        asked: longs(&["k"]),
        of_table: vec![0],
        stages: ScanStages { input: Arc::clone(&input), watermark: None, calc },
        of_right: vec![0],
        right: input,
        pairs: PairSpec { is_left, condition: None, both: longs(&["id", "k", "k0", "v"]) },
    }
}

fn settings(ordered: bool, capacity: usize) -> PointSettings {
    PointSettings {
        asynchronous: Some(AsyncSettings { ordered, timeout: Duration::from_secs(180), capacity }),
        retry: None,
        max_retries: 0,
        cache: None,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    /// The id of a row, and what was found.
    Row(i64, Option<i64>),
    Watermark(i64),
}

use Said::{Row as Joined, Watermark as At};

/// An operator that is driven by hand.
struct Driven {
    spec: PointLookupSpec,
    pending: Pending,
    clock: ManualClock,
    context: OperatorContext,
    operator: Box<dyn Operator>,
    out: Output,
    kept: Option<Batch>,
    said: Vec<Said>,
    kinds: Vec<RowKind>,
}

impl Driven {
    fn new(settings: PointSettings, most: usize, is_left: bool) -> Self {
        let pending = Pending::default();
        let spec = spec(&pending, settings, most, is_left);
        let clock = ManualClock::at(0);
        let context = OperatorContext::detached(0, 1, 128, Arc::new(clock.clone()));
        let mut operator = spec.create(0).unwrap();
        operator.open(&context, None).unwrap();
        let mut out = Output::default();
        out.set_batch_records(3);
        let (kept, said, kinds) = Default::default();
        Self { spec, pending, clock, context, operator, out, kept, said, kinds }
    }

    fn note(&mut self) {
        for emission in self.out.take_emissions() {
            match emission {
                Emission::Watermark(watermark) => self.said.push(At(watermark.0)),
                Emission::Batch(rows) => {
                    let rows = rows.downcast_ref::<ArrowBatch>().unwrap();
                    let ids = rows.records.column(0).as_primitive::<Int64Type>();
                    let found = rows.records.column(3).as_primitive::<Int64Type>();
                    for row in 0..rows.records.num_rows() {
                        let value = found.is_valid(row).then(|| found.value(row));
                        self.said.push(Joined(ids.value(row), value));
                        self.kinds.push(kind(rows, row));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Goes on until there is nothing to do but wait.
    fn go_on(&mut self) -> Result<(), OperatorError> {
        loop {
            let mut progress = self.operator.woken(&mut self.out)?;
            self.note();
            if let Some(batch) = self.kept.take() {
                progress = self.operator.process(0, batch, &mut self.out)?;
                self.kept = self.out.take_kept();
                self.note();
                assert_eq!(progress == Progress::Done, self.kept.is_none());
            }
            if progress != Progress::More {
                return Ok(());
            }
        }
    }

    fn rows(&mut self, rows: &ArrowBatch) -> Result<(), OperatorError> {
        assert!(self.kept.is_none());
        self.kept = Some(Batch::new(rows.clone()));
        self.go_on()
    }

    /// Whether the watermark was taken: it is not while rows wait to be asked for.
    fn watermark(&mut self, at: i64) -> bool {
        loop {
            let progress = self.operator.watermark(Watermark(at), &mut self.out).unwrap();
            self.note();
            if progress != Progress::More {
                return progress == Progress::Done;
            }
        }
    }

    /// The keys of the calls that wait for an answer.
    fn asked(&self) -> Vec<Vec<i64>> {
        self.pending.lock().iter().map(|(keys, _)| keys.clone()).collect()
    }

    fn answer(&mut self, call: usize, rows: &[(i64, i64)]) -> Result<(), OperatorError> {
        let (_, reply) = self.pending.lock().remove(call).unwrap();
        reply.complete(Ok(table(rows)));
        self.go_on()
    }

    fn fail(&mut self, call: usize) -> Result<(), OperatorError> {
        drop(self.pending.lock().remove(call).unwrap());
        self.go_on()
    }

    fn at(&mut self, now: i64) -> Result<(), OperatorError> {
        self.clock.set(now);
        if self.operator.next_processing_time().is_some_and(|at| at <= now) {
            self.operator.processing_time(now, &mut self.out)?;
            self.note();
        }
        self.go_on()
    }

    fn restart(&mut self) {
        let context = SnapshotContext::of(CheckpointBarrier::new(1, 0));
        let snapshot = self.operator.snapshot(&context).unwrap();
        self.operator.close();
        self.pending.lock().clear();
        self.operator = self.spec.create(0).unwrap();
        self.operator.open(&self.context, Some(snapshot)).unwrap();
        self.go_on().unwrap();
    }

    fn counted(&self, metric: &str) -> i64 {
        self.context.metrics.own_value(metric).unwrap()
    }

    fn finish(&mut self) -> Progress {
        let progress = self.operator.finish(&mut self.out).unwrap();
        self.note();
        progress
    }
}

#[test]
fn rows_keep_their_order_though_answers_do_not() {
    let mut driven = Driven::new(settings(true, 10), 1, false);
    driven.rows(&batch(&[(1, Some(7)), (2, Some(8)), (3, Some(7))])).unwrap();
    assert!(driven.watermark(5));
    assert_eq!(driven.asked(), [[7], [8]], "each key once");
    driven.answer(1, &[(8, 80)]).unwrap();
    assert_eq!(driven.said, []);
    driven.answer(0, &[(7, 70), (7, 71)]).unwrap();
    let rows = [(1, 70), (1, 71), (2, 80), (3, 70), (3, 71)].map(|(id, v)| Joined(id, Some(v)));
    assert_eq!(driven.said, rows.into_iter().chain([At(5)]).collect::<Vec<_>>());
    assert_eq!(driven.finish(), Progress::Done);
}

#[test]
fn rows_may_pass_each_other_but_no_watermark() {
    let mut driven = Driven::new(settings(false, 10), 1, false);
    driven.rows(&batch(&[(1, Some(7)), (2, Some(8))])).unwrap();
    assert!(driven.watermark(5));
    driven.rows(&batch(&[(3, Some(9))])).unwrap();
    driven.answer(2, &[(9, 90)]).unwrap();
    assert_eq!(driven.said, [], "it came behind the watermark");
    driven.answer(1, &[(8, 80)]).unwrap();
    assert_eq!(driven.said, [Joined(2, Some(80))]);
    assert_eq!(driven.finish(), Progress::Wait);
    driven.answer(0, &[(7, 70)]).unwrap();
    assert_eq!(driven.said[1..], [Joined(1, Some(70)), At(5), Joined(3, Some(90))]);
}

#[test]
fn no_more_rows_wait_than_may() {
    let mut driven = Driven::new(settings(true, 2), 10, false);
    driven.rows(&batch(&[(1, Some(1)), (2, Some(2)), (3, Some(3)), (4, None)])).unwrap();
    assert_eq!(driven.asked(), [[1, 2]]);
    assert!(driven.kept.is_some() && !driven.operator.has_room());
    driven.answer(0, &[(1, 10), (2, 20)]).unwrap();
    assert_eq!(driven.asked(), [[3]]);
    assert!(driven.kept.is_none() && !driven.operator.has_room(), "the last needs no answer, but waits too");
    driven.answer(0, &[(3, 30)]).unwrap();
    assert!(driven.operator.has_room());
    assert_eq!(driven.said, [(1, 10), (2, 20), (3, 30)].map(|(id, v)| Joined(id, Some(v))));
}

#[test]
fn one_call_at_a_time_is_about_all_keys_of_a_batch() {
    let alone = PointSettings { asynchronous: None, ..settings(true, 1) };
    let mut driven = Driven::new(alone, usize::MAX, true);
    let rows: Vec<(i64, Option<i64>)> = (0..500).map(|id| (id, Some(id % 250))).collect();
    driven.rows(&batch(&rows)).unwrap();
    assert_eq!(driven.asked().iter().map(Vec::len).collect::<Vec<_>>(), [250]);
    assert!(!driven.operator.has_room());
    driven.answer(0, &[(3, 33)]).unwrap();
    assert_eq!(driven.said.len(), 500);
    assert_eq!(driven.said.iter().filter(|said| matches!(said, Joined(_, Some(33)))).count(), 2);
    assert!(driven.operator.has_room());
}

#[test]
fn changes_keep_their_kinds() {
    let mut driven = Driven::new(settings(true, 10), 1, true);
    let mut rows = batch(&[(1, Some(7)), (2, None)]);
    rows.kinds = Some([RowKind::Delete, RowKind::UpdateAfter].into());
    driven.rows(&rows).unwrap();
    driven.answer(0, &[(7, 70)]).unwrap();
    assert_eq!(driven.said, [Joined(1, Some(70)), Joined(2, None)]);
    assert_eq!(driven.kinds, [RowKind::Delete, RowKind::UpdateAfter]);
}

#[test]
fn missing_keys_are_asked_for_again() {
    let retry = RetryMisses { delay: Duration::from_millis(100), attempts: 2 };
    let mut driven = Driven::new(PointSettings { retry: Some(retry), ..settings(true, 10) }, 10, true);
    driven.rows(&batch(&[(1, Some(7)), (2, Some(8)), (3, Some(9))])).unwrap();
    driven.answer(0, &[(8, 80)]).unwrap();
    assert!(driven.asked().is_empty() && driven.said.is_empty());
    assert_eq!(driven.operator.next_processing_time(), Some(100));
    driven.at(100).unwrap();
    assert_eq!(driven.asked(), [[7, 9]]);
    driven.answer(0, &[(7, 70)]).unwrap();
    assert_eq!(driven.said, [Joined(1, Some(70)), Joined(2, Some(80))]);
    driven.at(200).unwrap();
    assert_eq!(driven.asked(), [[9]]);
    driven.answer(0, &[]).unwrap();
    assert_eq!(driven.said[2..], [Joined(3, None)], "it was asked for three times");
    assert_eq!(driven.finish(), Progress::Done);
}

#[test]
fn what_takes_too_long_is_an_error() {
    let mut short = settings(true, 10);
    if let Some(settings) = &mut short.asynchronous {
        settings.timeout = Duration::from_millis(50);
    }
    let mut driven = Driven::new(short, 1, false);
    driven.rows(&batch(&[(1, Some(7))])).unwrap();
    driven.at(30).unwrap();
    driven.rows(&batch(&[(2, Some(8))])).unwrap();
    driven.answer(0, &[(7, 70)]).unwrap();
    driven.at(79).unwrap();
    let error = driven.at(80).unwrap_err();
    assert_eq!(error.code(), "TM-SQL-LOOKUP-TIMEOUT");
    assert!(error.to_string().contains("table.exec.async-lookup.timeout"), "{error}");
}

#[test]
fn calls_that_fail_are_made_again_a_few_times() {
    let mut driven = Driven::new(PointSettings { max_retries: 2, ..settings(true, 10) }, 1, false);
    driven.rows(&batch(&[(1, Some(7))])).unwrap();
    driven.fail(0).unwrap();
    driven.at(1_000).unwrap();
    driven.fail(0).unwrap();
    driven.at(2_999).unwrap();
    assert!(driven.asked().is_empty());
    driven.at(3_000).unwrap();
    let error = driven.fail(0).unwrap_err();
    assert!(error.to_string().contains("given up without an answer"), "{error}");
    assert_eq!(driven.counted("cache.numLoadFailures"), 3);
}

#[test]
fn a_wrong_answer_is_told() {
    let mut driven = Driven::new(settings(true, 10), 1, false);
    driven.rows(&batch(&[(1, Some(7))])).unwrap();
    let (_, reply) = driven.pending.lock().pop_front().unwrap();
    reply.complete(Ok(records(&["k"], &[[Some(7)]])));
    assert!(driven.go_on().unwrap_err().to_string().contains("asked for were"));
}

#[test]
fn what_was_looked_up_is_kept() {
    let cache = CacheSettings { most: Some(2), after_write: None, after_access: None, missing: true };
    let mut driven = Driven::new(PointSettings { cache: Some(cache), ..settings(true, 10) }, 1, true);
    driven.rows(&batch(&[(1, Some(7)), (2, Some(8))])).unwrap();
    driven.answer(0, &[(7, 70)]).unwrap();
    driven.answer(0, &[]).unwrap();
    driven.rows(&batch(&[(3, Some(8)), (4, Some(7))])).unwrap();
    assert!(driven.asked().is_empty());
    assert_eq!(driven.said[2..], [Joined(3, None), Joined(4, Some(70))]);
    driven.rows(&batch(&[(5, Some(9))])).unwrap();
    driven.answer(0, &[(9, 90)]).unwrap();
    driven.rows(&batch(&[(6, Some(7)), (7, Some(8))])).unwrap();
    assert_eq!(driven.asked(), [[8]], "it was not used for longest");
    assert_eq!(driven.counted("cache.hitCount"), 3);
    assert_eq!(driven.counted("cache.missCount"), 4);
    assert_eq!(driven.counted("cache.loadCount"), 4);
    assert_eq!(driven.counted("cache.numCachedRecords"), 2);
}

#[test]
fn rows_that_wait_are_asked_for_anew_after_a_restart() {
    let mut driven = Driven::new(settings(true, 2), 1, true);
    driven.rows(&batch(&[(1, Some(7)), (2, Some(8))])).unwrap();
    driven.answer(0, &[(7, 70)]).unwrap();
    assert_eq!(driven.said, [Joined(1, Some(70))]);
    driven.restart();
    assert_eq!(driven.asked(), [[8]]);
    driven.answer(0, &[(8, 81)]).unwrap();
    assert_eq!(driven.said[1..], [Joined(2, Some(81))]);
    assert_eq!(driven.finish(), Progress::Done);
}

#[test]
fn nobody_waits_for_a_call_that_hangs() {
    struct Hangs(Arc<(Sender<()>, Mutex<Receiver<()>>)>);
    impl LookupFunction for Hangs {
        fn lookup(&mut self, _: &RecordBatch) -> Result<RecordBatch, BoxError> {
            self.0.0.send(())?;
            self.0.1.lock().recv()?;
            Ok(table(&[]))
        }
    }
    let ((calls, called), (release, held)) = (channel(), channel());
    let shared = Arc::new((calls, Mutex::new(held)));
    let mut spec = spec(&Pending::default(), settings(true, 10), 1, true);
    spec.calls = Calls::Blocking { make: Arc::new(move || Box::new(Hangs(Arc::clone(&shared)))), threads: 1 };
    let mut operator = spec.create(0).unwrap();
    let context = OperatorContext::detached(0, 1, 128, Arc::new(ManualClock::at(0)));
    operator.open(&context, None).unwrap();
    let mut out = Output::default();
    let rows = Batch::new(batch(&[(1, Some(7))]));
    assert_eq!(operator.process(0, rows, &mut out).unwrap(), Progress::Done);
    called.recv().unwrap();
    operator.close();
    drop(operator);
    // Only now may the call return.
    release.send(()).unwrap();
}

#[test]
fn a_function_that_panics_fails_the_job() {
    struct Panics;
    impl LookupFunction for Panics {
        fn lookup(&mut self, _: &RecordBatch) -> Result<RecordBatch, BoxError> {
            panic!("no such luck")
        }
    }
    let mut spec = spec(&Pending::default(), settings(true, 10), 1, true);
    spec.calls = Calls::Blocking { make: Arc::new(|| Box::new(Panics)), threads: 2 };
    let mut operator = spec.create(0).unwrap();
    let context = OperatorContext::detached(0, 1, 128, Arc::new(ManualClock::at(0)));
    operator.open(&context, None).unwrap();
    let mut out = Output::default();
    let rows = Batch::new(batch(&[(1, Some(7))]));
    assert_eq!(operator.process(0, rows, &mut out).unwrap(), Progress::Done);
    while !context.waker.take() {
        std::thread::yield_now();
    }
    let error = operator.woken(&mut out).unwrap_err();
    assert!(error.to_string().contains("no such luck"), "{error}");
}

#[derive(Clone, Debug)]
enum Step {
    Rows(Vec<Option<i64>>),
    Watermark,
    Answer(prop::sample::Index),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let key = prop_oneof![4 => (0i64..6).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        3 => proptest::collection::vec(key, 1..9).prop_map(Step::Rows),
        1 => Just(Step::Watermark),
        4 => any::<prop::sample::Index>().prop_map(Step::Answer),
        1 => Just(Step::Restart),
    ]
}

/// The rows of a key: none of some, several of others.
fn of_key(key: i64) -> Vec<(i64, i64)> {
    (0..key % 3).map(|n| (key, key * 10 + n)).collect()
}

proptest! {
    #[test]
    fn each_row_is_joined_once(
        ordered: bool,
        alone: bool,
        capacity in 1usize..6,
        most in 1usize..4,
        cached in proptest::option::of(1usize..4),
        steps in proptest::collection::vec(step(), 1..50),
    ) {
        let mut all = settings(ordered, capacity);
        all.cache = cached.map(|most| CacheSettings {
            most: Some(most), after_write: None, after_access: None, missing: true,
        });
        if alone {
            all.asynchronous = None;
        }
        let mut driven = Driven::new(all, most, true);
        let mut expected: BTreeMap<i64, Vec<Option<i64>>> = BTreeMap::new();
        let mut next = 0;
        let answer = |driven: &mut Driven, call: usize| {
            let keys = driven.asked()[call].clone();
            // Rows that nobody asked for do no harm.
            let rows: Vec<_> = keys.iter().chain(&[8]).flat_map(|key| of_key(*key)).collect();
            driven.answer(call, &rows).unwrap();
        };
        for step in steps {
            match step {
                Step::Rows(keys) => {
                    if driven.kept.is_some() {
                        continue;
                    }
                    let rows: Vec<_> = keys.iter().enumerate().map(|(n, key)| (next + n as i64, *key)).collect();
                    next += keys.len() as i64;
                    for (id, key) in &rows {
                        let found: Vec<_> = key.iter().flat_map(|key| of_key(*key)).map(|row| Some(row.1)).collect();
                        expected.insert(*id, if found.is_empty() { vec![None] } else { found });
                    }
                    driven.rows(&batch(&rows)).unwrap();
                }
                Step::Watermark if driven.kept.is_none() => {
                    driven.watermark(next);
                }
                Step::Watermark => {}
                Step::Answer(which) => {
                    let calls = driven.asked().len();
                    if calls > 0 {
                        answer(&mut driven, which.index(calls));
                    }
                }
                Step::Restart => driven.restart(),
            }
            if !alone {
                let waiting: usize = driven.asked().iter().map(Vec::len).sum();
                prop_assert!(waiting <= capacity);
            }
        }
        while !driven.asked().is_empty() {
            answer(&mut driven, 0);
        }
        prop_assert!(driven.kept.is_none());
        prop_assert_eq!(driven.finish(), Progress::Done);
        let mut got: BTreeMap<i64, Vec<Option<i64>>> = BTreeMap::new();
        let mut order = Vec::new();
        for said in &driven.said {
            match said {
                Said::Row(id, found) => {
                    got.entry(*id).or_default().push(*found);
                    order.push(*id);
                }
                Said::Watermark(at) => {
                    prop_assert!(got.len() as i64 >= *at, "a row came behind its watermark");
                }
            }
        }
        prop_assert_eq!(got, expected);
        if ordered || alone {
            prop_assert!(order.is_sorted());
        }
    }
}
