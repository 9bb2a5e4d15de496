//! Windows that merge, against a naive union of intervals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;
use tidemill_core::Timestamp;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_datastream::windows::{
    EventTimeSessionWindows, ProcessingTimeSessionWindows, Trigger, TriggerContext, TriggerResult, Window,
};
use tidemill_datastream::{DataStream, OutputTag};
use tidemill_runtime::operator::Emission;
use tidemill_runtime::{BoxError, OperatorContext, OperatorFactory, Output, Progress};
use tidemill_serialization::{Key, RoutingHash};
use tidemill_state::Clock;
use tidemill_testkit::{OperatorHarness, Script, assert_same_with_snapshots, stamped, unstamped};

use crate::operators::last_operator;
use crate::window_model::{Fired, Line, Rec, Step, lines, script, steps};
use crate::windows::{KeyedSum, ms};

/// Sessions of each key: start, end, values.
#[derive(Default)]
struct Sessions {
    of_key: BTreeMap<u32, Vec<(i64, i64, Vec<i64>)>>,
    watermark: i64,
    lateness: i64,
}

fn line(key: u32, (start, end, values): &(i64, i64, Vec<i64>)) -> Line {
    let mut values = values.clone();
    values.sort_unstable();
    (None, format!("{:?}", (key, *start, *end, values)), end - 1)
}

impl Sessions {
    fn add(&mut self, (key, value): Rec, timestamp: i64, gap: i64, out: &mut Vec<Line>) {
        let sessions = self.of_key.entry(key).or_default();
        let mut new = (timestamp, timestamp + gap, vec![value]);
        let (meet, apart): (Vec<_>, Vec<_>) = std::mem::take(sessions)
            .into_iter()
            .partition(|(start, end, _)| *start <= timestamp + gap && timestamp <= *end);
        *sessions = apart;
        for (start, end, values) in meet {
            new.0 = new.0.min(start);
            new.1 = new.1.max(end);
            new.2.extend(values);
        }
        if new.1 - 1 + self.lateness <= self.watermark {
            if timestamp + self.lateness <= self.watermark {
                out.push((Some("late".into()), format!("{:?}", (key, value)), timestamp));
            }
            return;
        }
        if new.1 - 1 <= self.watermark {
            out.push(line(key, &new));
        }
        sessions.push(new);
    }

    fn advance(&mut self, watermark: i64, out: &mut Vec<Line>) {
        for (key, sessions) in &mut self.of_key {
            for session in sessions.iter() {
                if session.1 - 1 > self.watermark && session.1 - 1 <= watermark {
                    out.push(line(*key, session));
                }
            }
            sessions.retain(|session| (session.1 - 1).saturating_add(self.lateness) > watermark);
        }
        self.watermark = watermark;
    }

    fn run(&mut self, steps: &[Step], gap: impl Fn(i64) -> i64) -> Vec<Vec<Line>> {
        let mut all = Vec::new();
        for step in steps.iter().chain([&Step::Watermark(i64::MAX), &Step::Records(Vec::new())]) {
            let mut out = Vec::new();
            match step {
                Step::Records(records) => records
                    .iter()
                    .for_each(|(record, timestamp)| self.add(*record, *timestamp, gap(record.1), &mut out)),
                Step::Watermark(watermark) => self.advance(*watermark, &mut out),
            }
            out.sort();
            all.push(out);
        }
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sessions(steps in steps(), gap in 1i64..20, dynamic in any::<bool>(), lateness in prop_oneof![Just(0), 1i64..40]) {
        let gap_of = move |value: i64| if dynamic { 1 + value % gap } else { gap };
        let late = OutputTag::new("late");
        let windows = |stream: DataStream<Rec>| {
            let assigner = if dynamic {
                EventTimeSessionWindows::with_dynamic_gap(move |record: &Rec| ms(gap_of(record.1)))
            } else {
                EventTimeSessionWindows::with_gap(ms(gap))
            };
            stream
                .key_by(|record| record.0)
                .window(assigner)
                .allowed_lateness(ms(lateness))
                .side_output_late_data(&late)
        };
        let expected = Sessions { watermark: i64::MIN, lateness, ..Sessions::default() }.run(&steps, gap_of);
        let script = script(&steps).output::<Fired>().side::<Rec>("late");

        let (factory, _) = last_operator(|stream| windows(stream).apply(|key, window, elements, out| {
            let mut values: Vec<i64> = elements.map(|(_, value)| value).collect();
            values.sort_unstable();
            out.collect((*key, window.start, window.end, values));
            Ok(())
        }));
        let output = assert_same_with_snapshots(factory, &script);
        prop_assert_eq!(lines(&output), &expected[..]);

        // The same with one accumulator a session.
        let (factory, _) = last_operator(|stream| windows(stream).aggregate_apply(KeyedSum, |key, window, (_, sum), out| {
            out.collect((*key, window.start, window.end, vec![sum]));
            Ok(())
        }));
        let output = assert_same_with_snapshots(factory, &script);
        let times = |all: &[Vec<Line>]| -> Vec<Vec<(bool, i64)>> {
            let line = |line: &Line| (line.0.is_some(), line.2);
            all.iter().map(|step| { let mut step: Vec<_> = step.iter().map(line).collect(); step.sort(); step }).collect()
        };
        prop_assert_eq!(times(&lines(&output)), times(&expected));
        prop_assert_eq!(sum_of_sums(&lines(&output)), sum_of_sums(&expected));
    }
}

/// The sum over all values of all windows that fired.
fn sum_of_sums(all: &[Vec<Line>]) -> i64 {
    let values = |line: &Line| -> i64 {
        let (_, list) = line.1.rsplit_once('[').unwrap_or(("", ""));
        list.trim_end_matches([']', ')']).split(", ").filter_map(|value| value.parse::<i64>().ok()).sum()
    };
    all.iter().flatten().filter(|line| line.0.is_none()).map(values).sum()
}

#[test]
fn a_record_joins_two_sessions_that_it_touches() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let windows = stream.key_by(|record| record.0).window(EventTimeSessionWindows::with_gap(ms(10)));
        windows.aggregate(KeyedSum)
    });
    let mut harness = OperatorHarness::<Rec>::new(factory);
    // [0, 10) and [20, 30) are joined by [10, 20), which touches both.
    harness.process(0, stamped::<Rec>([((1, 1), 0), ((1, 2), 20), ((1, 4), 10)])).unwrap();
    harness.watermark(28).unwrap();
    assert_eq!(harness.take_records(), []);
    harness.watermark(29).unwrap();
    assert_eq!(harness.take_records(), [((1, 7), 29)]);
    assert_eq!(harness.snapshot().unwrap().keyed.iter().map(|state| state.groups.len()).sum::<usize>(), 0);
}

#[test]
fn sessions_by_processing_time() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let windows = stream.key_by(|record| record.0).window(ProcessingTimeSessionWindows::with_gap(ms(10)));
        windows.aggregate(KeyedSum)
    });
    let script = Script::new()
        .keyed_input(0, |record: &Rec| record.0.routing_hash())
        .output::<Rec>()
        .records(0, unstamped([(1u32, 1i64), (2, 10)]))
        .processing_time(5)
        .records(0, unstamped([(1u32, 2i64)]))
        .processing_time(10)
        .processing_time(20)
        .records(0, unstamped([(1u32, 4i64)]))
        .processing_time(100);
    let output = lines(&assert_same_with_snapshots(factory, &script));
    assert_eq!(output[3], [(None, "(2, 10)".to_owned(), 9)]);
    assert_eq!(output[4], [(None, "(1, 3)".to_owned(), 14)]);
    assert_eq!(output[6], [(None, "(1, 4)".to_owned(), 29)]);
}

/// A clock that goes on by a millisecond whenever it is read.
struct Restless(AtomicI64);

impl Clock for Restless {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

#[test]
fn short_sessions_do_not_mind_that_the_clock_goes_on() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let windows = stream.key_by(|record| record.0).window(ProcessingTimeSessionWindows::with_gap(ms(2)));
        windows.aggregate(KeyedSum)
    });
    let mut operator = factory.create(0).unwrap();
    let clock = Arc::new(Restless(AtomicI64::new(0)));
    operator.open(&OperatorContext::detached(0, 1, 128, clock), None).unwrap();
    let mut out = Output::default();
    let records = TypedBatch::from_values((1..=9).map(|value| (7u32, value)).collect::<Vec<Rec>>());
    assert_eq!(operator.process(0, Batch::new(records), &mut out).unwrap(), Progress::Done);
    assert_eq!(operator.processing_time(1000, &mut out).unwrap(), Progress::Done);
    let fired = out.take_emissions();
    let [Emission::Batch(batch)] = &fired[..] else { panic!("one batch was expected, not {fired:?}") };
    assert_eq!(batch.downcast_ref::<TypedBatch<Rec>>().unwrap().values, [(7, 45)]);
}

#[test]
fn a_gap_of_nothing_fails() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let sessions = EventTimeSessionWindows::with_dynamic_gap(|record: &Rec| ms(record.1));
        stream.key_by(|record| record.0).window(sessions).aggregate(KeyedSum)
    });
    let mut harness = OperatorHarness::<Rec>::new(factory);
    harness.process(0, stamped::<Rec>([((1, 1), 0)])).unwrap();
    let error = harness.process(0, stamped::<Rec>([((1, 0), 0)])).unwrap_err();
    assert!(error.to_string().contains("at least 1 ms"), "{error}");
}

#[derive(Clone)]
struct CannotMerge;

impl<T, W: Window> Trigger<T, W> for CannotMerge {
    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        _timestamp: i64,
        _window: &W,
        _context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        Ok(TriggerResult::Fire)
    }

    fn clear<K: Key>(
        &mut self,
        _window: &W,
        _context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn a_trigger_that_cannot_merge_is_refused() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        let sessions = EventTimeSessionWindows::with_gap(ms(10));
        stream.key_by(|record| record.0).window(sessions).trigger(CannotMerge).aggregate(KeyedSum)
    });
    let Err(error) = tidemill_runtime::OperatorFactory::create(&factory, 0) else { panic!("it was made") };
    assert_eq!(error.code(), "TM-WINDOW-TRIGGER-CANNOT-MERGE");
}
