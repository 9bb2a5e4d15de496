//! Jobs of all shapes give each record to whom it belongs.

use tidemill_core::graph::ShipStrategy;
use tidemill_core::hash::RoutingHash;
use tidemill_core::key_group::{key_group, subtask_of};
use tidemill_testkit::jobs::Job;
use tidemill_testkit::sinks::{Arrival, collect};
use tidemill_testkit::{Log, faults};

use crate::functions::{map, numbers, split};

/// All ways that a job may be run in.
fn ways() -> impl Iterator<Item = (u32, bool, bool)> {
    [1, 2, 3].into_iter().flat_map(|parallelism| {
        [(parallelism, false, true), (parallelism, true, true), (parallelism, false, false)]
    })
}

fn job(name: &str, (parallelism, encoded, chained): (u32, bool, bool)) -> Job {
    let job = Job::new(name).parallelism(parallelism).encoded(encoded);
    if chained { job } else { job.unchained() }
}

#[test]
fn a_diamond_with_a_side_output() {
    for way in ways() {
        let mut job = job("diamond", way);
        let log = Log::bounded([numbers(0..3000), numbers(3000..5000), vec![]]);
        let source = job.source("in", log.source());
        let split = job.operator("split", split::<u32>("odd", |number| number % 2 == 0));
        let left = job.operator("left", map(|_, number: &u32| *number));
        let right = job.operator("right", map(|_, number: &u32| number + 1_000_000));
        let join = job.operator("join", map(|input, number: &u32| (input as u32, *number)));
        let (sink, collected) = collect::<(u32, u32)>();
        let sink = job.sink("out", sink);
        job.connect::<u32>(source, split);
        job.connect::<u32>(split, left);
        job.connect::<u32>(split, right).side_output = Some("odd".into());
        job.connect_keyed::<u32>(left, join, u32::routing_hash);
        job.connect_keyed::<u32>(right, join, u32::routing_hash).input = 1;
        job.connect::<(u32, u32)>(join, sink);
        job.run().unwrap();
        let evens = (0..5000).filter(|n| n % 2 == 0).map(|n| (0, n));
        let odds = (0..5000).filter(|n| n % 2 == 1).map(|n| (1, n + 1_000_000));
        assert_eq!(collected.sorted(), evens.chain(odds).collect::<Vec<_>>(), "{way:?}");
    }
}

#[test]
fn a_union_of_sources_and_of_a_stream_with_itself() {
    for way in ways() {
        let mut job = job("union", way);
        let one = job.source("one", Log::bounded([numbers(0..1000)]).source());
        let two = job.source("two", Log::bounded([numbers(1000..1500), numbers(1500..2000)]).source());
        let union = job.operator("union", map(|input, number: &u32| number + 10_000 * input as u32));
        let (sink, collected) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect::<u32>(one, union);
        job.connect::<u32>(two, union);
        job.connect::<u32>(two, union);
        job.connect::<u32>(union, sink);
        job.run().unwrap();
        let mut expected: Vec<u32> = (0..2000).chain(1000..2000).collect();
        expected.sort_unstable();
        assert_eq!(collected.sorted(), expected, "{way:?}");
    }
}

#[test]
fn every_strategy_at_every_parallelism() {
    use ShipStrategy::{Broadcast, Global, Hash, Rebalance, Rescale, Shuffle};
    for strategy in [Broadcast, Global, Hash, Rebalance, Rescale, Shuffle] {
        for (producers, consumers) in [(1, 1), (1, 3), (2, 3), (3, 2), (5, 3), (3, 5), (4, 2)] {
            let mut job = Job::new("deal");
            let log = Log::bounded((0..producers).map(|split| numbers(split * 600..split * 600 + 600)));
            let source = job.source("in", log.source());
            // A source subtask takes all the splits that it gets, so what it has read is dealt out evenly once more.
            let spread = job.operator("spread", faults::pass::<u32>());
            job.node(spread).parallelism = Some(producers);
            job.connect_by::<u32>(source, spread, Rebalance);
            let (sink, collected) = collect::<u32>();
            let sink = job.sink("out", sink);
            job.node(sink).parallelism = Some(consumers);
            match strategy {
                Hash => job.connect_keyed::<u32>(spread, sink, u32::routing_hash),
                strategy => job.connect_by::<u32>(spread, sink, strategy),
            };
            job.run().unwrap();
            let what = format!("{strategy} from {producers} to {consumers}");
            let copies = if strategy == Broadcast { consumers } else { 1 };
            let expected: Vec<u32> =
                (0..600 * producers).flat_map(|number| (0..copies).map(move |_| number)).collect();
            assert_eq!(collected.sorted(), expected, "{what}");

            let mut at = vec![0u32; consumers as usize];
            let mut watermarks = vec![i64::MIN; consumers as usize];
            for arrival in collected.arrivals() {
                match arrival {
                    Arrival::Record(subtask, number, timestamp) => {
                        assert_eq!(i64::from(number), timestamp, "{what}");
                        at[subtask as usize] += 1;
                        if strategy == Hash {
                            let group = key_group(number.routing_hash(), 128);
                            assert_eq!(subtask, subtask_of(group, consumers, 128), "{what}");
                        }
                    }
                    Arrival::Watermark(subtask, timestamp) => watermarks[subtask as usize] = timestamp,
                    _ => {}
                }
            }
            assert_eq!(watermarks, vec![i64::MAX; consumers as usize], "{what}");
            let all = 600 * producers;
            match strategy {
                Broadcast => assert_eq!(at, vec![all; consumers as usize], "{what}"),
                Global => assert_eq!(at[0], all, "{what}"),
                Rebalance => {
                    // Each producer deals evenly, but for the last round.
                    let fair = all / consumers;
                    assert!(at.iter().all(|n| n.abs_diff(fair) <= producers), "{what}: {at:?}");
                }
                Rescale => {
                    // Pointwise: as even as whole subtasks can be, and nobody is left out.
                    let fewest = if producers > consumers { producers / consumers * 600 } else { 0 };
                    let most = if producers > consumers { producers.div_ceil(consumers) * 600 } else { 601 };
                    assert!(at.iter().all(|n| *n > 0 && *n >= fewest && *n <= most), "{what}: {at:?}");
                }
                Hash | Shuffle => {
                    let fair = all / consumers;
                    assert!(at.iter().all(|n| *n > fair / 2 && *n < fair * 2), "{what}: {at:?}");
                }
                _ => {}
            }
        }
    }
}
