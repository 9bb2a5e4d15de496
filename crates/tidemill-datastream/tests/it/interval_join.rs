//! The interval join against all pairs.

use proptest::prelude::*;
use tidemill_core::batch::TypedBatch;
use tidemill_datastream::{Collector, DataStream, JoinContext, OutputTag, ProcessJoinFunction};
use tidemill_runtime::{BoxError, Progress};
use tidemill_serialization::RoutingHash;
use tidemill_testkit::{OperatorHarness, Script, assert_same_with_snapshots, stamped, unstamped};

use crate::support::{operator, shared, streams};

/// Key and number of a record.
type Record = (u8, u32);
type Pair = (Record, Record);

fn joined(bounds: (i64, i64), exclusive: (bool, bool)) -> DataStream<Pair> {
    let (left, right) = streams::<Record, Record>();
    let (left, right) = (left.key_by(|record| record.0), right.key_by(|record| record.0));
    let mut join = left.interval_join(&right).between(bounds.0, bounds.1);
    if exclusive.0 {
        join = join.lower_bound_exclusive();
    }
    if exclusive.1 {
        join = join.upper_bound_exclusive();
    }
    join.apply(|left, right| (*left, *right))
}

/// Records of a literal.
fn of<const N: usize>(records: [(Record, i64); N]) -> TypedBatch<Record> {
    stamped(records)
}

#[derive(Clone, Debug)]
enum Step {
    /// Records of a side: key, and how far after the watermark.
    Records(bool, Vec<(u8, i64)>),
    /// How far the watermark goes.
    Watermark(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let records = (any::<bool>(), prop::collection::vec((0u8..3, 1i64..40), 1..6));
    let step = prop_oneof![
        3 => records.prop_map(|(left, records)| Step::Records(left, records)),
        1 => (1i64..25).prop_map(Step::Watermark),
    ];
    prop::collection::vec(step, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn finds_all_pairs_whatever_interrupts_it(
        steps in steps(),
        lower in -20i64..15,
        length in 0i64..20,
        exclusive in any::<(bool, bool)>(),
    ) {
        let bounds = (lower, lower + length);
        let hash = |record: &Record| record.0.routing_hash();
        let mut script = Script::new().keyed_input(0, hash).keyed_input(1, hash).output::<Pair>();
        let (mut watermark, mut number) = (100, 0);
        let mut sides: [Vec<(Record, i64)>; 2] = Default::default();
        for step in steps {
            match step {
                Step::Records(left, records) => {
                    let side = usize::from(!left);
                    let records: Vec<(Record, i64)> = records
                        .into_iter()
                        .map(|(key, after)| {
                            number += 1;
                            ((key, number), watermark + after)
                        })
                        .collect();
                    sides[side].extend(&records);
                    script = script.records(side, stamped(records));
                }
                Step::Watermark(by) => {
                    watermark += by;
                    script = script.watermark(watermark);
                }
            }
        }
        let output = assert_same_with_snapshots(shared(&joined(bounds, exclusive)), &script.end());
        let mut found: Vec<String> = output
            .steps
            .into_iter()
            .flatten()
            .map(|(_, row)| format!("{} @ {}", row.text, row.timestamp))
            .collect();
        let mut expected = Vec::new();
        for (left, left_time) in &sides[0] {
            for (right, right_time) in &sides[1] {
                let apart = right_time - left_time;
                let above = if exclusive.0 { apart > bounds.0 } else { apart >= bounds.0 };
                let below = if exclusive.1 { apart < bounds.1 } else { apart <= bounds.1 };
                if left.0 == right.0 && above && below {
                    expected.push(format!("{:?} @ {}", (left, right), left_time.max(right_time)));
                }
            }
        }
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn late_records_go_to_their_side_outputs() {
    let (left, right) = streams::<Record, Record>();
    let (left, right) = (left.key_by(|record| record.0), right.key_by(|record| record.0));
    let late = (OutputTag::new("late left"), OutputTag::new("late right"));
    let join = left
        .interval_join(&right)
        .between(-10, 10)
        .side_output_left_late_data(&late.0)
        .side_output_right_late_data(&late.1)
        .apply(|left, right| (*left, *right));
    let mut harness =
        OperatorHarness::<Pair>::of(operator(&join)).side::<Record>("late left").side::<Record>("late right");
    harness.watermark(100).unwrap();
    harness.process(0, of([((1, 1), 99), ((1, 2), 100)])).unwrap();
    harness.process(1, of([((1, 3), 100), ((1, 4), 98)])).unwrap();
    assert_eq!(harness.take_side::<Record>("late left"), [((1, 1), 99)]);
    assert_eq!(harness.take_side::<Record>("late right"), [((1, 4), 98)]);
    // What is exactly as old as the watermark is not late.
    assert_eq!(harness.take_records(), [(((1, 2), (1, 3)), 100)]);
}

#[test]
fn late_records_without_a_side_output_are_counted() {
    let mut harness = OperatorHarness::<Pair>::of(operator(&joined((0, 10), (false, false))));
    harness.watermark(100).unwrap();
    harness.process(0, of([((1, 1), 50), ((1, 2), 60)])).unwrap();
    assert_eq!(harness.context().metrics.late_records_dropped.get(), 2);
}

#[test]
fn records_go_when_nothing_can_match_them_any_more() {
    for bounds in [(-5, 20), (5, 20), (-20, -5), (0, 0)] {
        let mut harness = OperatorHarness::<Pair>::of(operator(&joined(bounds, (false, false))));
        harness.process(0, of([((1, 1), 100)])).unwrap();
        harness.process(1, of([((2, 2), 100)])).unwrap();
        let bytes = |harness: &mut OperatorHarness<Pair>| -> usize {
            let snapshot = harness.snapshot().unwrap();
            let states = snapshot.keyed.iter().chain(&snapshot.timers);
            states.flat_map(|state| &state.groups).map(|(_, bytes)| bytes.len()).sum()
        };
        assert!(bytes(&mut harness) > 0);
        harness.watermark(99).unwrap();
        assert!(bytes(&mut harness) > 0, "{bounds:?}");
        // A left record can be matched until its own time plus the upper bound, a right one until minus the lower.
        harness.watermark(100 + bounds.1.max(-bounds.0).max(0)).unwrap();
        assert_eq!(bytes(&mut harness), 0, "{bounds:?}");
    }
}

#[test]
fn a_record_with_many_matches_is_joined_batch_by_batch() {
    let mut harness =
        OperatorHarness::<Pair>::of(operator(&joined((-10, 10), (false, false)))).batch_records(7);
    harness
        .process(0, stamped((0..100u32).map(|number| ((1u8, number), 100 + i64::from(number % 3)))))
        .unwrap();
    harness.begin(1, of([((1, 1000), 100), ((1, 1001), 101)]));
    let mut found = Vec::new();
    let mut calls = 0;
    while harness.is_pending() {
        harness.step().unwrap();
        let some = harness.take_values();
        assert!(some.len() <= 7, "{} records in one call", some.len());
        found.extend(some.into_iter().map(|(left, right)| (right.1, left.1)));
        calls += 1;
        if calls % 3 == 0 {
            harness.restart().unwrap();
        }
    }
    assert!(calls > 200 / 7, "{calls} calls");
    found.sort_unstable();
    let expected: Vec<(u32, u32)> =
        (1000..1002).flat_map(|right| (0..100).map(move |left| (right, left))).collect();
    assert_eq!(found, expected);
}

#[derive(Clone)]
struct Far;

impl ProcessJoinFunction<Record, Record, i64> for Far {
    fn process(
        &mut self,
        left: &Record,
        right: &Record,
        context: &mut JoinContext<'_>,
        out: &mut Collector<i64>,
    ) -> Result<(), BoxError> {
        if (left.1, right.1) == (0, 0) {
            return Err("no zeros".into());
        }
        let apart = context.right_timestamp() - context.left_timestamp();
        if apart.abs() > 5 { context.output(&OutputTag::new("far"), apart) } else { Ok(out.collect(apart)) }
    }
}

#[test]
fn functions_see_timestamps_and_may_fail() {
    let (left, right) = streams::<Record, Record>();
    let (left, right) = (left.key_by(|record| record.0), right.key_by(|record| record.0));
    let join = left.interval_join(&right).between(-10, 10).process(Far);
    let mut harness = OperatorHarness::<i64>::of(operator(&join)).side::<i64>("far");
    harness.process(0, of([((1, 1), 100)])).unwrap();
    harness.process(1, of([((1, 2), 92), ((1, 3), 103)])).unwrap();
    assert_eq!(harness.take_side::<i64>("far"), [(-8, 100)]);
    assert_eq!(harness.take_records(), [(3, 103)]);
    harness.process(0, of([((2, 0), 100)])).unwrap();
    let error = harness.process(1, of([((2, 0), 100)])).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("TM-USER-FUNCTION", "no zeros"));
}

#[test]
fn mistakes_are_told() {
    let error = operator(&joined((5, 4), (false, false))).create(0).err().unwrap();
    assert_eq!(error.code(), "TM-JOIN-INVALID-BOUNDS");
    assert!(error.to_string().contains("between 5 ms and 4 ms"), "{error}");
    let mut harness = OperatorHarness::<Pair>::of(operator(&joined((0, 10), (false, false))));
    let error = harness.process(0, unstamped([(1u8, 1u32)])).unwrap_err();
    assert_eq!(error.code(), "TM-JOIN-NO-TIMESTAMP");
}

#[test]
fn nothing_is_left_to_say_when_all_is_joined() {
    let mut harness = OperatorHarness::<Pair>::of(operator(&joined((0, 0), (false, false)))).batch_records(1);
    harness.process(0, of([((1, 1), 5)])).unwrap();
    harness.begin(1, of([((1, 2), 5)]));
    // The one pair fills the batch: whether there are more is found out by the next call.
    assert_eq!(harness.step().unwrap(), Progress::More);
    assert_eq!(harness.step().unwrap(), Progress::Done);
    assert_eq!(harness.take_values(), [((1, 1), (1, 2))]);
}
