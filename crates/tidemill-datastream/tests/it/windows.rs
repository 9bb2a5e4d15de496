//! Assigners of windows that do not merge, against a naive model.

use std::time::Duration;

use proptest::prelude::*;
use tidemill_datastream::windows::{
    AssignerContext, CumulateEventTimeWindows, EventTimeTrigger, GlobalWindows, PurgingTrigger,
    SlidingEventTimeWindows, SlidingProcessingTimeWindows, TimeWindow, TumblingEventTimeWindows,
    TumblingProcessingTimeWindows, WindowAssigner,
};
use tidemill_datastream::{DataStream, OutputTag};
use tidemill_serialization::RoutingHash;
use tidemill_state::AggregateFunction;
use tidemill_testkit::{OperatorHarness, Script, assert_same_with_snapshots, stamped, unstamped};

use crate::operators::last_operator;
use crate::window_model::{Fired, Line, Model, Rec, lines, script, steps};

pub(crate) fn ms(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

/// Sums values; the result names the key.
#[derive(Clone)]
pub(crate) struct KeyedSum;

impl AggregateFunction for KeyedSum {
    type In = Rec;
    type Acc = (u32, i64);
    type Out = (u32, i64);

    fn create_accumulator(&self) -> (u32, i64) {
        (0, 0)
    }

    fn add(&self, accumulator: &mut (u32, i64), (key, value): Rec) {
        *accumulator = (key, accumulator.1 + value);
    }

    fn get_result(&self, accumulator: &(u32, i64)) -> (u32, i64) {
        *accumulator
    }

    fn merge(&self, accumulator: &mut (u32, i64), other: (u32, i64)) {
        *accumulator = (other.0, accumulator.1 + other.1);
    }
}

/// Runs an assigner with each kind of function against the model.
fn check<A>(
    assigner: A,
    assign: impl Fn(i64) -> Vec<(i64, i64)> + Copy,
    steps: &[crate::window_model::Step],
    lateness: i64,
) where
    A: WindowAssigner<Rec, Window = TimeWindow, DefaultTrigger = EventTimeTrigger>,
{
    let late = OutputTag::new("late");
    let model = || Model::new(assign, lateness);
    let script = script(steps).side::<Rec>("late");
    let windows = |stream: DataStream<Rec>| {
        stream
            .key_by(|record| record.0)
            .window(assigner.clone())
            .allowed_lateness(ms(lateness))
            .side_output_late_data(&late)
    };

    // Whole batches, one result a window.
    let (factory, _) = last_operator(|stream| windows(stream).aggregate(KeyedSum));
    let output = assert_same_with_snapshots(factory, &script.clone().output::<(u32, i64)>());
    let sum = |(key, _, _, values): &Fired| format!("{:?}", (key, values.iter().sum::<i64>()));
    assert_eq!(lines(&output), model().run(steps, sum));

    // Whole batches, all elements, in their order.
    let (factory, _) = last_operator(|stream| {
        windows(stream).apply(|key, window, elements, out| {
            let values: Vec<i64> = elements.map(|(_, value)| value).collect();
            out.collect((*key, window.start, window.end, values));
            Ok(())
        })
    });
    let output = assert_same_with_snapshots(factory, &script.clone().output::<Fired>());
    assert_eq!(lines(&output), model().run(steps, |fired| format!("{fired:?}")));

    // Each element by itself, for the trigger purges.
    let (factory, _) = last_operator(|stream| {
        windows(stream)
            .trigger(PurgingTrigger::of(EventTimeTrigger))
            .reduce(|sum: &mut Rec, record: Rec| sum.1 += record.1)
    });
    let output = assert_same_with_snapshots(factory, &script.output::<Rec>());
    let mut purging = model();
    purging.purges = true;
    assert_eq!(lines(&output), purging.run(steps, sum));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn tumbling(steps in steps(), size in 1i64..30, offset in -29i64..30, lateness in prop_oneof![Just(0), 1i64..40]) {
        let offset = offset % size;
        let assigner = TumblingEventTimeWindows::of(ms(size)).with_offset(offset);
        let assign = move |timestamp: i64| {
            let start = (timestamp - offset).div_euclid(size) * size + offset;
            vec![(start, start + size)]
        };
        check(assigner, assign, &steps, lateness);
    }

    #[test]
    fn sliding(
        steps in steps(), size in 1i64..40, slide in 1i64..15, offset in -14i64..15,
        lateness in prop_oneof![Just(0), 1i64..40],
    ) {
        let offset = offset % slide;
        let assigner = SlidingEventTimeWindows::of(ms(size), ms(slide)).with_offset(offset);
        let assign = move |timestamp: i64| {
            let starts = (timestamp - size + 1..=timestamp).filter(|start| (start - offset).rem_euclid(slide) == 0);
            starts.rev().map(|start| (start, start + size)).collect()
        };
        check(assigner, assign, &steps, lateness);
    }

    #[test]
    fn cumulating(
        steps in steps(), step in 1i64..10, count in 1i64..6, offset in -9i64..10,
        lateness in prop_oneof![Just(0), 1i64..40],
    ) {
        let size = step * count;
        let offset = offset % size;
        let assigner = CumulateEventTimeWindows::of(ms(size), ms(step)).with_offset(offset);
        let assign = move |timestamp: i64| {
            let start = (timestamp - offset).div_euclid(size) * size + offset;
            (1..=count).map(|k| (start, start + k * step)).filter(|(_, end)| *end > timestamp).collect()
        };
        check(assigner, assign, &steps, lateness);
    }

    #[test]
    fn tumbling_by_processing_time(
        batches in prop::collection::vec((prop::collection::vec((0u32..5, 0i64..100), 0..8), 0i64..20), 1..10),
        size in 1i64..20,
    ) {
        let (factory, _) = last_operator(|stream: DataStream<Rec>| {
            stream
                .key_by(|record| record.0)
                .window(TumblingProcessingTimeWindows::of(ms(size)))
                .aggregate(KeyedSum)
        });
        let mut script = Script::new().keyed_input(0, |record: &Rec| record.0.routing_hash());
        let mut now = 0;
        let mut open: std::collections::BTreeMap<(i64, u32), i64> = Default::default();
        let mut expected: Vec<Vec<Line>> = Vec::new();
        for (records, advance) in batches {
            for (key, value) in &records {
                let end = (now / size + 1) * size;
                *open.entry((end - 1, *key)).or_default() += value;
            }
            script = script.records(0, unstamped(records));
            expected.push(Vec::new());
            now += advance;
            script = script.processing_time(now);
            let later = open.split_off(&(now + 1, 0));
            let mut fired: Vec<Line> =
                open.iter().map(|((end, key), sum)| (None, format!("{:?}", (key, sum)), *end)).collect();
            open = later;
            fired.sort();
            expected.push(fired);
        }
        let output = assert_same_with_snapshots(factory, &script.output::<(u32, i64)>());
        prop_assert_eq!(lines(&output), expected);
    }
}

#[test]
fn dropped_records_are_counted_once() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let windows = stream.key_by(|record| record.0).window(SlidingEventTimeWindows::of(ms(20), ms(5)));
        windows.aggregate(KeyedSum)
    });
    let mut harness = OperatorHarness::<(u32, i64)>::new(factory);
    harness.watermark(99).unwrap();
    // The last window of 84 is [80, 100), that of 85 is [85, 105).
    harness.process(0, stamped::<Rec>([((1, 1), 84), ((1, 2), 85), ((1, 4), 10)])).unwrap();
    harness.watermark(i64::MAX).unwrap();
    assert_eq!(harness.take_records(), [((1, 2), 104)]);
    assert_eq!(harness.context().metrics.late_records_dropped.get(), 2);
}

#[test]
fn records_without_timestamps_are_refused() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        stream.key_by(|record| record.0).window(TumblingEventTimeWindows::of(ms(10))).aggregate(KeyedSum)
    });
    let mut harness = OperatorHarness::<(u32, i64)>::new(factory);
    let error = harness.process(0, unstamped::<Rec>([(1, 1)])).unwrap_err();
    assert!(error.to_string().contains("assign_timestamps_and_watermarks"), "{error}");
}

#[test]
fn impossible_windows_are_refused() {
    fn refused<A: WindowAssigner<Rec>>(assigner: A, why: &str) {
        let (factory, _) = last_operator(|stream: DataStream<Rec>| {
            stream.key_by(|record| record.0).window(assigner).aggregate(KeyedSum)
        });
        let Err(error) = tidemill_runtime::OperatorFactory::create(&factory, 0) else { panic!("{why}") };
        assert_eq!(error.code(), "TM-WINDOW-INVALID");
        assert!(error.to_string().contains(why), "{error}");
    }
    refused(TumblingEventTimeWindows::of(ms(0)), "the size is less than 1 ms");
    refused(TumblingEventTimeWindows::of(ms(10)).with_offset(-10), "offset of -10 ms must be shorter than");
    refused(TumblingProcessingTimeWindows::of(ms(10)).with_offset(11), "offset of 11 ms");
    refused(SlidingEventTimeWindows::of(ms(10), ms(0)), "the slide is less than 1 ms");
    refused(SlidingEventTimeWindows::of(ms(10), ms(5)).with_offset(5), "slide of 5 ms");
    refused(SlidingProcessingTimeWindows::of(ms(20_000_001), ms(1)), "more than 10000000 windows");
    refused(CumulateEventTimeWindows::of(ms(10), ms(3)), "multiple of the step");
}

#[test]
fn a_record_in_thousands_of_windows() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let windows = stream.key_by(|record| record.0).window(SlidingEventTimeWindows::of(ms(20_000), ms(1)));
        windows.aggregate(KeyedSum)
    });
    let mut harness = OperatorHarness::<(u32, i64)>::new(factory).batch_records(1000);
    harness.process(0, stamped::<Rec>([((1, 1), 0), ((2, 1), 0), ((1, 2), 10_000)])).unwrap();
    harness.watermark(i64::MAX).unwrap();
    let fired = harness.take_records();
    assert_eq!(fired.len(), 20_000 + 10_000 + 20_000);
    assert_eq!(fired.iter().map(|((_, sum), _)| sum).sum::<i64>(), 4 * 20_000);
    assert!(fired.is_sorted_by_key(|(_, timestamp)| *timestamp));
}

#[test]
fn assigners_of_processing_time() {
    let mut windows = Vec::new();
    let context = AssignerContext::at(12);
    SlidingProcessingTimeWindows::of(ms(10), ms(5)).assign_windows(&(), 0, &context, &mut windows).unwrap();
    assert_eq!(windows, [TimeWindow::new(10, 20), TimeWindow::new(5, 15)]);
}

#[test]
fn a_global_window_fires_at_the_end_of_the_stream() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let windows =
            stream.key_by(|record| record.0).window(GlobalWindows::create_with_end_of_stream_trigger());
        windows.aggregate(KeyedSum)
    });
    let script = Script::new()
        .keyed_input(0, |record: &Rec| record.0.routing_hash())
        .output::<(u32, i64)>()
        .records(0, unstamped([(1u32, 1i64), (2, 10), (1, 2)]))
        .watermark(1_000_000)
        .records(0, unstamped([(2u32, 20i64)]))
        .end();
    let output = lines(&assert_same_with_snapshots(factory, &script));
    assert_eq!(output[3], [(None, "(1, 3)".into(), i64::MAX), (None, "(2, 30)".into(), i64::MAX)]);
    assert!(output[..3].iter().all(Vec::is_empty));
}

#[test]
fn a_global_window_by_itself_never_fires() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        stream.key_by(|record| record.0).window(GlobalWindows::create()).aggregate(KeyedSum)
    });
    let mut harness = OperatorHarness::<(u32, i64)>::new(factory);
    harness.process(0, stamped::<Rec>([((1, 1), 5)])).unwrap();
    harness.watermark(i64::MAX).unwrap();
    harness.finish().unwrap();
    assert_eq!(harness.take_records(), []);
}
