//! Triggers and evictors.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemill_datastream::DataStream;
use tidemill_datastream::windows::{
    ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountEvictor, CountTrigger, DeltaEvictor,
    EventTimeSessionWindows, GlobalWindows, TimeEvictor, TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
};
use tidemill_serialization::RoutingHash;
use tidemill_testkit::{OperatorHarness, Script, assert_same_with_snapshots, stamped, unstamped};

use crate::operators::last_operator;
use crate::window_model::{Line, Rec, Step, lines, script};
use crate::windows::{KeyedSum, ms};

/// Records ahead of the watermark.
fn ahead() -> impl Strategy<Value = Vec<Step>> {
    let record = ((0u32..4, 0i64..100), 1i64..60);
    let step = (prop::collection::vec(record, 0..10), 0i64..25);
    prop::collection::vec(step, 1..12).prop_map(|steps| {
        let mut watermark = 0;
        let mut all = vec![Step::Watermark(0)];
        for (records, advance) in steps {
            let stamped = records.into_iter().map(|(record, ahead)| (record, watermark + ahead));
            all.push(Step::Records(stamped.collect()));
            watermark += advance;
            all.push(Step::Watermark(watermark));
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn continuous_event_time(steps in ahead(), size in 1i64..60, interval in 1i64..20) {
        let (factory, _) = last_operator(|stream: DataStream<Rec>| {
            stream
                .key_by(|record| record.0)
                .window(TumblingEventTimeWindows::of(ms(size)))
                .trigger(ContinuousEventTimeTrigger::of(ms(interval)))
                .aggregate(KeyedSum)
        });
        // Per key and end of window: the sum, and when it fires next before the end.
        let mut windows: BTreeMap<(u32, i64), (i64, i64)> = BTreeMap::new();
        let mut expected = Vec::new();
        for step in steps.iter().chain([&Step::Watermark(i64::MAX), &Step::Records(Vec::new())]) {
            let mut out: Vec<Line> = Vec::new();
            match step {
                Step::Records(records) => for ((key, value), timestamp) in records {
                    let last = (timestamp / size + 1) * size - 1;
                    let first = (timestamp / interval + 1) * interval;
                    windows.entry((*key, last)).or_insert((0, first.min(last))).0 += value;
                },
                Step::Watermark(watermark) => {
                    for ((key, last), (sum, next)) in &mut windows {
                        while *next < *last && *next <= *watermark {
                            out.push((None, format!("{:?}", (key, *sum)), *last));
                            *next = (*next + interval).min(*last);
                        }
                        if last <= watermark {
                            out.push((None, format!("{:?}", (key, *sum)), *last));
                        }
                    }
                    windows.retain(|(_, last), _| *last > *watermark);
                }
            }
            out.sort();
            expected.push(out);
        }
        let output = assert_same_with_snapshots(factory, &script(&steps).output::<Rec>());
        prop_assert_eq!(lines(&output), expected);
    }

    #[test]
    fn counts(
        batches in prop::collection::vec(prop::collection::vec((0u32..4, 0i64..100), 1..20), 2..8),
        size in 1usize..6, slide in 1usize..6, sliding in any::<bool>(),
    ) {
        let mut script = Script::new().keyed_input(0, |record: &Rec| record.0.routing_hash()).output::<Vec<i64>>();
        let mut of_key: BTreeMap<u32, (Vec<i64>, usize)> = BTreeMap::new();
        let mut expected = Vec::new();
        for batch in batches {
            let mut out: Vec<Line> = Vec::new();
            for (key, value) in &batch {
                let (values, count) = of_key.entry(*key).or_default();
                values.push(*value);
                *count += 1;
                if *count == if sliding { slide } else { size } {
                    *count = 0;
                    if sliding {
                        values.drain(..values.len().saturating_sub(size));
                    }
                    out.push((None, format!("{values:?}"), i64::MAX));
                    if !sliding {
                        values.clear();
                    }
                }
            }
            out.sort();
            expected.push(out);
            script = script.records(0, unstamped(batch));
        }
        fn values<K>(
            _: &K, _: &tidemill_datastream::windows::GlobalWindow,
            elements: tidemill_datastream::windows::Elements<Rec>,
            out: &mut tidemill_datastream::Collector<Vec<i64>>,
        ) -> Result<(), tidemill_runtime::BoxError> {
            out.collect(elements.map(|(_, value)| value).collect());
            Ok(())
        }
        let (factory, _) = last_operator(|stream: DataStream<Rec>| {
            let keyed = stream.key_by(|record| record.0);
            if sliding {
                keyed.count_window_sliding(size, slide as u64).apply(values)
            } else {
                keyed.count_window(size as u64).apply(values)
            }
        });
        let output = assert_same_with_snapshots(factory, &script);
        prop_assert_eq!(lines(&output), expected);
    }
}

#[test]
fn continuous_processing_time() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        stream
            .key_by(|record| record.0)
            .window(TumblingProcessingTimeWindows::of(ms(100)))
            .trigger(ContinuousProcessingTimeTrigger::of(ms(40)))
            .aggregate(KeyedSum)
    });
    let script = Script::new()
        .keyed_input(0, |record: &Rec| record.0.routing_hash())
        .output::<Rec>()
        .processing_time(10)
        .records(0, unstamped([(1u32, 1i64)]))
        .processing_time(40)
        .records(0, unstamped([(1u32, 2i64)]))
        .processing_time(85)
        .processing_time(98)
        .processing_time(99)
        .processing_time(1000);
    let output = lines(&assert_same_with_snapshots(factory, &script));
    let fired = |sum: i64| vec![(None, format!("(1, {sum})"), 99)];
    assert_eq!(output, [vec![], vec![], fired(1), vec![], fired(3), vec![], fired(3), vec![]]);
}

#[test]
fn counts_of_sessions_that_merge_are_added() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        stream
            .key_by(|record| record.0)
            .window(EventTimeSessionWindows::with_gap(ms(10)))
            .trigger(CountTrigger::of(3))
            .aggregate(KeyedSum)
    });
    let script = Script::new()
        .keyed_input(0, |record: &Rec| record.0.routing_hash())
        .output::<Rec>()
        .records(0, stamped([((1u32, 1i64), 0), ((1, 2), 20)]))
        .records(0, stamped([((1u32, 4i64), 10)]))
        .end();
    let output = lines(&assert_same_with_snapshots(factory, &script));
    assert_eq!(output[1], [(None, "(1, 7)".to_owned(), 29)]);
    assert!(output[2..].iter().all(Vec::is_empty), "the trigger does not fire at the end: {output:?}");
}

fn sums_with(
    evict: impl FnOnce(
        tidemill_datastream::WindowedStream<
            Rec,
            tidemill_datastream::ByValue<fn(&Rec) -> u32, u32>,
            GlobalWindows,
            CountTrigger<tidemill_datastream::windows::GlobalWindow>,
        >,
    ) -> DataStream<Rec>,
) -> Vec<i64> {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let key: fn(&Rec) -> u32 = |record| record.0;
        evict(stream.key_by(key).window(GlobalWindows::create()).trigger(CountTrigger::of(2)))
    });
    let mut harness = OperatorHarness::<Rec>::new(factory).random_snapshots(7, 3);
    let records = [(1, 10), (2, 12), (4, 30), (8, 31), (16, 25), (32, 60), (64, 60), (128, 61)];
    harness.process(0, stamped::<Rec>(records.map(|(value, timestamp)| ((1u32, value), timestamp)))).unwrap();
    harness.take_values().into_iter().map(|(_, sum)| sum).collect()
}

#[test]
fn evictors() {
    // The function sees the last three; the others are gone for good.
    assert_eq!(
        sums_with(|windows| windows.evictor(CountEvictor::of(3)).aggregate(KeyedSum)),
        [1 + 2, 2 + 4 + 8, 8 + 16 + 32, 32 + 64 + 128]
    );
    // It sees the three that the last firing left, and the two new ones.
    assert_eq!(
        sums_with(|windows| windows.evictor(CountEvictor::of(3).after()).aggregate(KeyedSum)),
        [3, 1 + 2 + 4 + 8, 2 + 4 + 8 + 16 + 32, 8 + 16 + 32 + 64 + 128]
    );
    // 20 ms back from the latest, that one excluded.
    assert_eq!(
        sums_with(|windows| windows.evictor(TimeEvictor::of(ms(20))).aggregate(KeyedSum)),
        [1 + 2, 2 + 4 + 8, 32, 32 + 64 + 128]
    );
    // Values less than 24 below the last.
    let near = DeltaEvictor::of(24.0, |old: &Rec, last: &Rec| (last.1 - old.1) as f64);
    assert_eq!(
        sums_with(move |windows| windows
            .evictor(near)
            .reduce(|sum: &mut Rec, record: Rec| sum.1 += record.1)),
        [1 + 2, 1 + 2 + 4 + 8, 16 + 32, 128]
    );
}

#[test]
fn an_evictor_keeps_the_timestamps_of_whole_batches() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        stream
            .key_by(|record| record.0)
            .window(TumblingEventTimeWindows::of(ms(100)))
            .evictor(TimeEvictor::of(ms(10)))
            .aggregate(KeyedSum)
    });
    let script = Script::new()
        .keyed_input(0, |record: &Rec| record.0.routing_hash())
        .output::<Rec>()
        .records(0, stamped([((1u32, 1i64), 80), ((1, 2), 81), ((2, 4), 5)]))
        .records(0, stamped([((1u32, 8i64), 90)]))
        .end();
    let output = lines(&assert_same_with_snapshots(factory, &script));
    assert_eq!(output[2], [(None, "(1, 10)".to_owned(), 99), (None, "(2, 4)".to_owned(), 99)]);
}
