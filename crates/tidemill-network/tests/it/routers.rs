use proptest::prelude::*;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::hash::RoutingHash;
use tidemill_core::key_group::{key_group, subtask_of};
use tidemill_network::router::{
    BroadcastRouter, ByKeyGroup, Custom, Random, RoundRobin, ScatterRouter, SingleRouter,
};
use tidemill_network::{NetworkError, RouteTarget, Routed, Router};

/// A record with text, so that records differ in size.
type Record = (u32, String);

const SEGMENT: usize = 100;

/// A place for buffers that has only so many of them.
struct Scarce {
    free: usize,
    begun: Vec<bool>,
    sent: Vec<Vec<(Batch, usize)>>,
}

impl Scarce {
    fn new(channels: usize) -> Self {
        Self { free: 0, begun: vec![false; channels], sent: vec![Vec::new(); channels] }
    }
}

impl RouteTarget for Scarce {
    fn begin(&mut self, channel: usize) -> bool {
        if !self.begun[channel] {
            if self.free == 0 {
                return false;
            }
            self.free -= 1;
            self.begun[channel] = true;
        }
        true
    }

    fn full(&mut self, channel: usize, batch: Batch, bytes: usize) {
        assert!(!batch.is_empty(), "an empty buffer is sent");
        assert!(std::mem::take(&mut self.begun[channel]), "a buffer is sent that was never taken");
        assert_eq!(bytes, batch.byte_size(), "the bytes of a buffer are counted along");
        self.sent[channel].push((batch, bytes));
    }
}

/// What is routed: batches whose records may have timestamps, and how many buffers are there before each call.
fn batches() -> impl Strategy<Value = Vec<(bool, Vec<Record>)>> {
    let record = (0u32..50, "[a-z]{0,40}");
    prop::collection::vec((any::<bool>(), prop::collection::vec(record, 0..60)), 1..8)
}

/// Routes all with scarce buffers and answers what each channel got, in order.
fn route(
    router: &mut dyn Router,
    channels: usize,
    batches: &[(bool, Vec<Record>)],
    permits: &[usize],
) -> Vec<Vec<(Record, i64)>> {
    let mut target = Scarce::new(channels);
    let mut permits = permits.iter().copied().cycle();
    let mut number = 0i64;
    for (stamped, records) in batches {
        let mut typed = TypedBatch::from_values(records.clone());
        for _ in records {
            number += 1;
            if *stamped {
                typed.timestamps.push(number);
            }
        }
        let mut batch = Batch::new(typed);
        let mut calls = 0;
        loop {
            let before = batch.len();
            let had = target.free;
            match router.route(&mut batch, &mut target).unwrap() {
                Routed::All => break,
                Routed::Rest => {
                    assert!(!batch.is_empty(), "a rest of nothing, of {before} with {had} buffers")
                }
            }
            calls += 1;
            assert!(calls < 10_000, "routing gets nowhere");
            target.free += permits.next().unwrap();
        }
    }
    for channel in 0..channels {
        assert_eq!(
            router.has_records(channel),
            target.begun[channel] && router.has_pending(),
            "channel {channel}"
        );
    }
    router.flush(&mut target);
    assert!(!router.has_pending());
    let sent = target.sent.into_iter();
    sent.map(|sent| {
        let mut all = Vec::new();
        for (batch, bytes) in sent {
            let records = batch.downcast_ref::<TypedBatch<Record>>().unwrap();
            let largest = records.values.iter().map(|record| record.1.len() + 8 + 16).max().unwrap_or(0);
            assert!(bytes <= SEGMENT + largest, "a buffer of {bytes} bytes");
            let stamped = !records.timestamps.is_empty();
            assert!(!stamped || records.timestamps.len() == records.len());
            assert!(records.hashes.is_empty() || records.hashes.len() == records.len());
            for (index, record) in records.values.iter().enumerate() {
                if let Some(hash) = records.hashes.get(index) {
                    assert_eq!(*hash, record.0.routing_hash(), "a hash stays with its record");
                }
                all.push((record.clone(), records.timestamp(index)));
            }
        }
        all
    })
    .collect()
}

/// All records with the timestamps that [`route`] gives them.
fn numbered(batches: &[(bool, Vec<Record>)]) -> Vec<(Record, i64)> {
    let mut number = 0;
    let each =
        batches.iter().flat_map(|(stamped, records)| records.iter().map(move |record| (stamped, record)));
    each.map(|(stamped, record)| {
        number += 1;
        (record.clone(), if *stamped { number } else { i64::MIN })
    })
    .collect()
}

/// What each channel gets when `choose` deals the records one by one.
fn dealt(
    batches: &[(bool, Vec<Record>)],
    channels: usize,
    mut choose: impl FnMut(usize, &Record) -> usize,
) -> Vec<Vec<(Record, i64)>> {
    let mut out = vec![Vec::new(); channels];
    for (index, record) in numbered(batches).into_iter().enumerate() {
        out[choose(index, &record.0)].push(record);
    }
    out
}

proptest! {
    #[test]
    fn by_key_group(
        batches in batches(),
        channels in 1usize..6,
        max in prop::sample::select(vec![6u32, 7, 8, 128, 1000]),
        permits in prop::collection::vec(1usize..4, 1..5),
    ) {
        let selector = ByKeyGroup::new(|record: &Record| record.0.routing_hash(), channels as u32, max);
        let mut router = ScatterRouter::<Record, _>::new(selector, channels, SEGMENT);
        let expected = dealt(&batches, channels, |_, record| {
            subtask_of(key_group(record.0.routing_hash(), max), channels as u32, max) as usize
        });
        prop_assert_eq!(route(&mut router, channels, &batches, &permits), expected);
    }

    #[test]
    fn round_robin(
        batches in batches(),
        channels in 1usize..6,
        first in 0usize..9,
        permits in prop::collection::vec(1usize..4, 1..5),
    ) {
        let mut router = ScatterRouter::<Record, _>::new(RoundRobin::starting_at(first), channels, SEGMENT);
        let expected = dealt(&batches, channels, |index, _| (first + index) % channels);
        prop_assert_eq!(route(&mut router, channels, &batches, &permits), expected);
    }

    #[test]
    fn custom(
        batches in batches(),
        channels in 1usize..6,
        permits in prop::collection::vec(1usize..4, 1..5),
    ) {
        let by_length = |record: &Record, channels: usize| record.1.len() % channels;
        let mut router = ScatterRouter::<Record, _>::new(Custom(by_length), channels, SEGMENT);
        let expected = dealt(&batches, channels, |_, record| by_length(record, channels));
        prop_assert_eq!(route(&mut router, channels, &batches, &permits), expected);
    }

    /// A random choice made again by the same seed is the same, however scarce buffers are; so scarcity changes nothing.
    #[test]
    fn shuffled(
        batches in batches(),
        channels in 1usize..6,
        seed in any::<u64>(),
        permits in prop::collection::vec(1usize..4, 1..5),
    ) {
        let route = |permits: &[usize]| {
            let mut router = ScatterRouter::<Record, _>::new(Random::seeded(seed), channels, SEGMENT);
            route(&mut router, channels, &batches, permits)
        };
        let scarce = route(&permits);
        prop_assert_eq!(&scarce, &route(&[1000]));
        let mut all = scarce.concat();
        let mut expected = numbered(&batches);
        all.sort();
        expected.sort();
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn single(
        batches in batches(),
        channels in 1usize..4,
        permits in prop::collection::vec(1usize..4, 1..5),
    ) {
        let chosen = channels - 1;
        let mut router = SingleRouter::<Record>::new(chosen, SEGMENT);
        let expected = dealt(&batches, channels, |_, _| chosen);
        prop_assert_eq!(route(&mut router, channels, &batches, &permits), expected);
    }

    #[test]
    fn broadcast(
        batches in batches(),
        channels in 1usize..5,
        permits in prop::collection::vec(1usize..4, 1..5),
    ) {
        let mut router = BroadcastRouter::<Record>::new(channels, SEGMENT);
        let expected = vec![numbered(&batches); channels];
        prop_assert_eq!(route(&mut router, channels, &batches, &permits), expected);
    }
}

#[test]
fn a_shuffle_reaches_all_channels_about_evenly() {
    let mut router = ScatterRouter::<Record, _>::new(Random::seeded(7), 4, SEGMENT);
    let batches = [(false, (0..4000).map(|i| (i, String::new())).collect())];
    for channel in route(&mut router, 4, &batches, &[1000]) {
        assert!((850..1150).contains(&channel.len()), "{} of 4000", channel.len());
    }
}

#[test]
fn a_channel_that_does_not_exist_is_refused() {
    let mut router = ScatterRouter::<Record, _>::new(Custom(|_: &Record, _| 3), 3, SEGMENT);
    let mut batch = Batch::new(TypedBatch::from_values(vec![(1u32, "a".to_owned())]));
    let error = router.route(&mut batch, &mut Scarce::new(3)).unwrap_err();
    assert!(matches!(error, NetworkError::NoSuchChannel { channel: 3, channels: 3 }), "{error}");
    assert_eq!(error.to_string(), "the partitioner chose channel 3, but there are only 3 (0 to 2)");
}

#[test]
fn a_batch_of_another_type_is_refused() {
    let mut routers: Vec<Box<dyn Router>> = vec![
        Box::new(ScatterRouter::<Record, _>::new(RoundRobin::default(), 2, SEGMENT)),
        Box::new(SingleRouter::<Record>::new(0, SEGMENT)),
        Box::new(BroadcastRouter::<Record>::new(2, SEGMENT)),
    ];
    for router in &mut routers {
        let mut batch = Batch::new(TypedBatch::from_values(vec![1u8]));
        let error = router.route(&mut batch, &mut Scarce::new(2)).unwrap_err();
        assert!(matches!(error, NetworkError::WrongBatchType(_)), "{error}");
    }
}

#[test]
fn records_that_take_no_byte_fill_buffers_too() {
    let mut routers: Vec<Box<dyn Router>> = vec![
        Box::new(ScatterRouter::<(), _>::new(RoundRobin::default(), 2, SEGMENT)),
        Box::new(SingleRouter::<()>::new(0, SEGMENT)),
        Box::new(BroadcastRouter::<()>::new(2, SEGMENT)),
    ];
    for router in &mut routers {
        let mut target = Scarce::new(2);
        target.free = 100;
        router.route(&mut Batch::new(TypedBatch::from_values(vec![(); 10 * SEGMENT])), &mut target).unwrap();
        for (batch, bytes) in target.sent.iter().flatten() {
            assert_eq!((batch.len(), *bytes), (SEGMENT, SEGMENT));
        }
        assert!(!target.sent[0].is_empty());
    }
}

#[test]
fn the_hashes_beside_records_count() {
    let selector = ByKeyGroup::new(|key: &u32| key.routing_hash(), 1, 128);
    let mut router = ScatterRouter::<u32, _>::new(selector, 1, 120);
    let mut target = Scarce::new(1);
    target.free = 100;
    router.route(&mut Batch::new(TypedBatch::from_values((0..100u32).collect())), &mut target).unwrap();
    let lengths: Vec<usize> = target.sent[0].iter().map(|(batch, _)| batch.len()).collect();
    assert_eq!(lengths, [10; 10], "each takes 4 bytes, and its hash 8");
}
