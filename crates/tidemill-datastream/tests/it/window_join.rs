//! Joins and groups by windows against naive models.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tidemill_datastream::DataStream;
use tidemill_datastream::joins::Tagged;
use tidemill_datastream::windows::{
    EventTimeSessionWindows, SlidingEventTimeWindows, TumblingEventTimeWindows, WindowAssigner,
};
use tidemill_serialization::RoutingHash;
use tidemill_testkit::{OperatorHarness, Script, assert_same_with_snapshots, stamped};

use crate::support::{Shared, operator, shared, streams};

type Record = (u8, u32);
type Both = Tagged<Record, Record>;
type Pair = (Record, Record);

fn join<W: WindowAssigner<Both>>(windows: W) -> DataStream<Pair> {
    let (first, second) = streams::<Record, Record>();
    first
        .join(&second)
        .where_key(|record| record.0)
        .equal_to(|record| record.0)
        .window(windows)
        .apply(|first, second| (*first, *second))
}

/// The windows of all records of a key.
type Windows = fn(&[i64]) -> Vec<(i64, i64)>;

fn tumbling(times: &[i64]) -> Vec<(i64, i64)> {
    distinct(times.iter().map(|time| (time - time % 10, time - time % 10 + 10)))
}

fn sliding(times: &[i64]) -> Vec<(i64, i64)> {
    let windows = times.iter().flat_map(|time| {
        let last = time - time % 5;
        [(last, last + 15), (last - 5, last + 10), (last - 10, last + 5)]
    });
    distinct(windows)
}

fn sessions(times: &[i64]) -> Vec<(i64, i64)> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let mut sessions: Vec<(i64, i64)> = Vec::new();
    for time in times {
        match sessions.last_mut() {
            Some((_, end)) if time <= *end => *end = time + 7,
            _ => sessions.push((time, time + 7)),
        }
    }
    sessions
}

fn distinct(windows: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    windows.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn check(factory: Shared, windows: Windows, steps: &[(Vec<(bool, u8, i64)>, i64)]) {
    let hash = |record: &Both| match record {
        Tagged::First(record) | Tagged::Second(record) => record.0.routing_hash(),
    };
    let mut script = Script::new().keyed_input(0, hash).output::<Pair>();
    let (mut watermark, mut number) = (100, 0);
    let mut keys: BTreeMap<u8, Vec<(bool, Record, i64)>> = BTreeMap::new();
    for (records, by) in steps {
        let mut batch = Vec::new();
        for (is_first, key, after) in records {
            number += 1;
            // Even, so that no record begins just where a session ends.
            let (record, time) = ((*key, number), watermark + 2 * after);
            keys.entry(*key).or_default().push((*is_first, record, time));
            batch.push((if *is_first { Tagged::First(record) } else { Tagged::Second(record) }, time));
        }
        watermark += 2 * by;
        script = script.records(0, stamped(batch)).watermark(watermark);
    }
    let output = assert_same_with_snapshots(factory, &script.end());
    let mut found: Vec<String> = output
        .steps
        .into_iter()
        .flatten()
        .map(|(_, row)| format!("{} @ {}", row.text, row.timestamp))
        .collect();
    let mut expected = Vec::new();
    for records in keys.values() {
        let times: Vec<i64> = records.iter().map(|(.., time)| *time).collect();
        for (start, end) in windows(&times) {
            let within = |time: i64| start <= time && time < end;
            for (_, first, _) in records.iter().filter(|(is_first, _, time)| *is_first && within(*time)) {
                for (_, second, _) in records.iter().filter(|(is_first, _, time)| !is_first && within(*time))
                {
                    expected.push(format!("{:?} @ {}", (first, second), end - 1));
                }
            }
        }
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

fn steps() -> impl Strategy<Value = Vec<(Vec<(bool, u8, i64)>, i64)>> {
    let records = prop::collection::vec((any::<bool>(), 0u8..3, 1i64..15), 1..8);
    prop::collection::vec((records, 0i64..12), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn tumbling_windows(steps in steps()) {
        let windows = TumblingEventTimeWindows::of(Duration::from_millis(10));
        check(shared(&join(windows)), tumbling, &steps);
    }

    #[test]
    fn sliding_windows(steps in steps()) {
        let windows = SlidingEventTimeWindows::of(Duration::from_millis(15), Duration::from_millis(5));
        check(shared(&join(windows)), sliding, &steps);
    }

    #[test]
    fn session_windows(steps in steps()) {
        let windows = EventTimeSessionWindows::with_gap(Duration::from_millis(7));
        check(shared(&join(windows)), sessions, &steps);
    }
}

#[test]
fn a_window_with_many_pairs_is_joined_batch_by_batch() {
    let windows = TumblingEventTimeWindows::of(Duration::from_millis(10));
    let mut harness = OperatorHarness::<Pair>::of(operator(&join(windows))).batch_records(64);
    let records = (0..100u32).map(|number| (Tagged::First((1u8, number)), 0));
    harness
        .process(0, stamped(records.chain((0..100u32).map(|number| (Tagged::Second((1u8, number)), 0)))))
        .unwrap();
    harness.watermark(50).unwrap();
    let emitted = harness.take();
    let mut pairs = 0;
    for (index, emission) in emitted.iter().enumerate() {
        match emission {
            tidemill_testkit::Emitted::Batch(batch) => {
                assert!(batch.len() <= 64);
                pairs += batch.len();
            }
            tidemill_testkit::Emitted::Watermark(_) => assert_eq!(index, emitted.len() - 1),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pairs, 10_000);
}

#[test]
fn groups_have_the_records_of_both_or_of_one() {
    let (first, second) = streams::<Record, Record>();
    let groups: DataStream<(u8, Vec<u32>, Vec<u32>)> = first
        .co_group(&second)
        .where_key(|record| record.0)
        .equal_to(|record| record.0)
        .window(TumblingEventTimeWindows::of(Duration::from_millis(10)))
        .apply(|key, window, first, second, out| {
            assert_eq!((window.start, window.end), (0, 10));
            let numbers = |records: Vec<Record>| records.into_iter().map(|record| record.1).collect();
            out.collect((*key, numbers(first), numbers(second)));
            Ok(())
        });
    let mut harness = OperatorHarness::<(u8, Vec<u32>, Vec<u32>)>::of(operator(&groups));
    let records: [Both; 4] =
        [Tagged::First((1, 1)), Tagged::Second((1, 2)), Tagged::First((1, 3)), Tagged::Second((2, 4))];
    harness.process(0, stamped(records.map(|record| (record, 5)))).unwrap();
    harness.watermark(9).unwrap();
    let mut found = harness.take_records();
    found.sort();
    assert_eq!(found, [((1, vec![1, 3], vec![2]), 9), ((2, vec![], vec![4]), 9)]);
}
