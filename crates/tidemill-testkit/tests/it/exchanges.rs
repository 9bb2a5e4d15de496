//! Whole exchanges, interrupted at random, against a naive model of what each consumer must see of each producer.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidemill_core::batch::TypedBatch;
use tidemill_core::graph::ShipStrategy;
use tidemill_core::hash::RoutingHash;
use tidemill_core::key_group::{key_group, subtask_of};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_network::{BufferTimeout, Event};
use tidemill_runtime::graph::{EdgeType, TypedEdge, reached_subtasks};
use tidemill_testkit::{ExchangeHarness, ExchangeShape, Seen};

/// A number that is unique for its producer, and text so that records differ in size.
type Record = (u32, String);

const ALL: [ShipStrategy; 8] = [
    ShipStrategy::Forward,
    ShipStrategy::Hash,
    ShipStrategy::Rebalance,
    ShipStrategy::Rescale,
    ShipStrategy::Broadcast,
    ShipStrategy::Shuffle,
    ShipStrategy::Global,
    ShipStrategy::Custom,
];

fn key(record: &Record) -> u32 {
    record.0 % 17
}

fn chosen(record: &Record, channels: usize) -> usize {
    (record.0 as usize / 3) % channels
}

fn edge(strategy: ShipStrategy) -> Arc<dyn EdgeType> {
    match strategy {
        ShipStrategy::Hash => Arc::new(TypedEdge::<Record, _>::keyed(|record| key(record).routing_hash())),
        ShipStrategy::Custom => Arc::new(TypedEdge::<Record, (), _>::custom(chosen)),
        _ => Arc::new(TypedEdge::<Record>::new()),
    }
}

/// What a test does to an exchange. Numbers of producers and consumers are taken modulo how many there are.
#[derive(Clone, Debug)]
enum Act {
    /// A producer sends records with texts of these lengths, with timestamps or without.
    Records(u32, Vec<u8>, bool),
    Watermark(u32),
    /// A producer goes idle or is active again.
    Idle(u32, bool),
    Flush(u32),
    Advance(u8),
    Take(u32, u8),
    Sleep(u32),
    /// All is stored, thrown away and put back, with few buffers or with many from then on.
    Restart(Option<bool>),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 0u32..4;
    let lengths = prop_oneof![
        3 => prop::collection::vec(0u8..40, 0..30),
        1 => prop::collection::vec(0u8..40, 30..120),
    ];
    let act = prop_oneof![
        6 => (who.clone(), lengths, any::<bool>()).prop_map(|(who, sizes, stamped)| Act::Records(who, sizes, stamped)),
        3 => who.clone().prop_map(Act::Watermark),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, idle)| Act::Idle(who, idle)),
        2 => who.clone().prop_map(Act::Flush),
        1 => (0u8..30).prop_map(Act::Advance),
        5 => (who.clone(), 1u8..6).prop_map(|(who, count)| Act::Take(who, count)),
        1 => who.prop_map(Act::Sleep),
        4 => prop::option::weighted(0.4, any::<bool>()).prop_map(Act::Restart),
    ];
    prop::collection::vec(act, 0..60)
}

fn shapes(strategy: ShipStrategy) -> impl Strategy<Value = ExchangeShape> {
    let timeout = prop_oneof![
        2 => Just(BufferTimeout::Disabled),
        1 => Just(BufferTimeout::Immediate),
        1 => Just(BufferTimeout::After(Duration::from_millis(20))),
    ];
    let layout = (1u32..4, 1u32..4, prop::sample::select(vec![4u32, 7, 128]));
    let buffers = (0usize..3, 1usize..4, 0usize..3, 1usize..4, prop::sample::select(vec![48usize, 100, 300]));
    (layout, buffers, timeout, any::<bool>()).prop_map(move |(layout, buffers, timeout, encoded)| {
        let (producers, consumers, max_parallelism) = layout;
        let (exclusive, floating, overdraft, max_per_channel, segment_size) = buffers;
        let consumers = if strategy == ShipStrategy::Forward { producers } else { consumers };
        ExchangeShape {
            max_parallelism,
            segment_size,
            exclusive,
            floating,
            overdraft,
            max_per_channel,
            timeout,
            encoded,
            ..ExchangeShape::new(strategy, producers, consumers)
        }
    })
}

/// What a producer was told to do, in its order.
#[derive(Clone, Debug)]
enum Said {
    Record(Record, Timestamp),
    Event(Event),
    /// What was said before goes out before what is said after.
    Fence,
}

/// Does a script to an exchange. Answers what each producer was told.
fn run(
    exchange: &mut ExchangeHarness,
    shape: &ExchangeShape,
    acts: &[Act],
    restarts: bool,
) -> Vec<Vec<Said>> {
    let mut said: Vec<Vec<Said>> = vec![Vec::new(); shape.producers as usize];
    let mut idle = vec![false; shape.producers as usize];
    let (mut record, mut watermark) = (0u32, 0i64);
    for act in acts {
        match act {
            Act::Records(who, lengths, stamped) => {
                let who = who % shape.producers;
                let mut batch = TypedBatch::default();
                for length in lengths {
                    record += 1;
                    let value = (record, "x".repeat((*length).into()));
                    let timestamp = if *stamped { i64::from(record) } else { NO_TIMESTAMP };
                    batch.push(value.clone(), timestamp);
                    said[who as usize].push(Said::Record(value, timestamp));
                }
                exchange.records(who, batch);
                if shape.timeout == BufferTimeout::Immediate {
                    said[who as usize].push(Said::Fence);
                }
            }
            // An idle producer has no watermarks.
            Act::Watermark(who) if !idle[(who % shape.producers) as usize] => {
                watermark += 1;
                let event = Event::Watermark(Watermark(watermark));
                said[(who % shape.producers) as usize].push(Said::Event(event));
                exchange.event(who % shape.producers, event);
            }
            Act::Watermark(_) => {}
            Act::Idle(who, now) => {
                let who = who % shape.producers;
                idle[who as usize] = *now;
                said[who as usize].push(Said::Event(Event::Idle(*now)));
                exchange.event(who, Event::Idle(*now));
            }
            Act::Flush(who) => {
                exchange.flush(who % shape.producers);
                said[(who % shape.producers) as usize].push(Said::Fence);
            }
            Act::Advance(by) => exchange.advance(Duration::from_millis((*by).into())),
            Act::Take(who, count) => drop(exchange.take(who % shape.consumers, (*count).into())),
            Act::Sleep(who) => exchange.recycle(who % shape.consumers),
            Act::Restart(_) if !restarts => {}
            Act::Restart(None) => exchange.restart(),
            Act::Restart(Some(false)) => exchange.restart_with(shape.tight()),
            Act::Restart(Some(true)) => exchange.restart_with(*shape),
        }
    }
    exchange.finish();
    said
}

/// What of all that a producer said goes to channel `channel` of `channels`, dealt record by record. Nobody can say of a
/// shuffle.
fn dealt(shape: &ExchangeShape, producer: u32, channel: usize, channels: usize, said: &[Said]) -> Vec<Said> {
    let mut next = producer as usize;
    let goes = |record: &Record| match shape.strategy {
        ShipStrategy::Forward | ShipStrategy::Global => channel == 0,
        ShipStrategy::Broadcast => true,
        ShipStrategy::Hash => {
            let group = key_group(key(record).routing_hash(), shape.max_parallelism);
            subtask_of(group, shape.consumers, shape.max_parallelism) as usize == channel
        }
        ShipStrategy::Custom => chosen(record, channels) == channel,
        ShipStrategy::Rebalance | ShipStrategy::Rescale => {
            next += 1;
            (next - 1) % channels == channel
        }
        ShipStrategy::Shuffle => unreachable!("a shuffle has no model"),
    };
    let mut goes = goes;
    said.iter()
        .filter(|said| match said {
            Said::Record(record, _) => goes(record),
            Said::Event(_) | Said::Fence => true,
        })
        .cloned()
        .collect()
}

/// What a consumer knows of event time: the last watermark, and whether the channel is idle.
type Known = (Option<Watermark>, bool);

fn learn(known: Known, event: Event) -> Known {
    match event {
        Event::Watermark(watermark) => (Some(watermark), known.1),
        Event::Idle(idle) => (known.0, idle),
        Event::EndOfInput | Event::Barrier(_) | Event::EndOfPartition => known,
    }
}

/// Records must come as they were said, each once. Events may be coalesced and may come later than said, but never before a
/// record that was said before them, and not behind one that was said after the next flush.
fn assert_conforms(seen: &[Seen], said: &[Said], what: &str) {
    let records: Vec<(&Record, Timestamp)> = said
        .iter()
        .filter_map(|said| match said {
            Said::Record(record, timestamp) => Some((record, *timestamp)),
            _ => None,
        })
        .collect();
    // For each event: how many records were said before, and before the next fence; and what is known with it.
    let mut events: Vec<(usize, usize, Known)> = vec![(0, 0, (None, false))];
    let (mut before, mut open) = (0, 1);
    for said in said {
        match said {
            Said::Record(..) => before += 1,
            Said::Event(event) => {
                let known = events.last().unwrap().2;
                events.push((before, usize::MAX, learn(known, *event)));
            }
            Said::Fence => {
                events[open..].iter_mut().for_each(|event| event.1 = before);
                open = events.len();
            }
        }
    }
    let last = events.len() - 1;
    events[open..].iter_mut().for_each(|event| event.1 = before);
    let (mut index, mut reached, mut known) = (0, 0, (None, false));
    let mut ended = false;
    for item in seen.iter().map(Some).chain([None]) {
        match item {
            Some(Seen::Event(Event::EndOfInput)) => ended = true,
            Some(Seen::Event(event)) => {
                if let (Event::Watermark(now), Some(before)) = (event, known.0) {
                    assert!(*now > before, "{what}: {now:?} after {before:?}");
                }
                known = learn(known, *event);
            }
            Some(Seen::Record(row)) if index >= records.len() => panic!("{what}: one too many, {row:?}"),
            Some(Seen::Record(_)) | None => {
                let all = item.is_none();
                let fits = |place: usize| {
                    let (said_at, _, then) = events[place];
                    let late = events.get(place + 1).is_some_and(|(_, due, _)| all || *due <= index);
                    said_at <= index && !late && then == known
                };
                reached = (reached..=last).find(|place| fits(*place)).unwrap_or_else(|| {
                    panic!(
                        "{what}: before record {index} {known:?} is known; said was {said:?}, seen {seen:?}"
                    )
                });
                if let Some(Seen::Record(row)) = item {
                    let (record, timestamp) = records[index];
                    let text = format!("{record:?}");
                    assert_eq!((&row.text, row.timestamp), (&text, timestamp), "{what}: record {index}");
                    index += 1;
                }
            }
        }
    }
    assert_eq!((index, ended), (records.len(), true), "{what}: records, and the end");
}

/// What was seen, of watermarks in a row only the last: the others are overwritten when the consumer is slow to come.
fn settled(seen: &[Seen]) -> Vec<Seen> {
    let mut settled: Vec<Seen> = Vec::new();
    for item in seen {
        if let (Seen::Event(Event::Watermark(_)), Some(last @ Seen::Event(Event::Watermark(_)))) =
            (item, settled.last_mut())
        {
            *last = item.clone();
        } else {
            settled.push(item.clone());
        }
    }
    settled
}

fn check(strategy: ShipStrategy, shape: &ExchangeShape, acts: &[Act]) -> u64 {
    let mut exchange = ExchangeHarness::new::<Record>(edge(strategy), *shape);
    let said = run(&mut exchange, shape, acts, true);
    // The same straight through, and with all the buffers that one could want.
    let mut straight = ExchangeHarness::new::<Record>(edge(strategy), *shape);
    run(&mut straight, shape, acts, false);
    let many = ExchangeShape { exclusive: 100, floating: 1000, max_per_channel: 1000, ..*shape };
    let mut roomy = ExchangeHarness::new::<Record>(edge(strategy), many);
    run(&mut roomy, &many, acts, false);
    for consumer in 0..shape.consumers {
        for (channel, producer) in exchange.producers(consumer).iter().enumerate() {
            let reached = reached_subtasks(strategy, *producer, shape.producers, shape.consumers);
            let index = reached.clone().position(|other| other == consumer).unwrap();
            let seen = exchange.seen(consumer, channel);
            let what = format!("{strategy} from {producer} to {consumer}");
            if strategy != ShipStrategy::Shuffle {
                let said = dealt(shape, *producer, index, reached.len(), &said[*producer as usize]);
                assert_conforms(seen, &said, &what);
            }
            // Where all goes to one place, a batch may go there by pointer or be packed with others, depending on how much
            // of it found room at once; and a timeout begins anew when it is restored. Otherwise the sequence is the same to
            // the last event.
            let same_packing = reached.len() > 1
                && strategy != ShipStrategy::Global
                && !matches!(shape.timeout, BufferTimeout::After(_));
            let comparable = |exchange: &ExchangeHarness| -> Vec<Seen> {
                let seen = settled(exchange.seen(consumer, channel));
                seen.into_iter().filter(|item| same_packing || matches!(item, Seen::Record(_))).collect()
            };
            assert_eq!(comparable(&exchange), comparable(&straight), "{what}, straight through");
            assert_eq!(comparable(&exchange), comparable(&roomy), "{what}, with many buffers");
        }
    }
    exchange.restores()
}

macro_rules! interrupted {
    ($($name:ident: $strategy:ident;)*) => {$(
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(192))]
            #[test]
            fn $name(shape in shapes(ShipStrategy::$strategy), acts in acts()) {
                check(ShipStrategy::$strategy, &shape, &acts);
            }
        }
    )*};
}
interrupted! {
    forward: Forward;
    hash: Hash;
    rebalance: Rebalance;
    rescale: Rescale;
    broadcast: Broadcast;
    shuffle: Shuffle;
    global: Global;
    custom: Custom;
}

/// With the fewest buffers, and all stored and put back after every single thing that happens.
#[test]
fn an_exchange_that_is_always_interrupted_gets_there() {
    for strategy in ALL {
        let shape = ExchangeShape { segment_size: 64, ..ExchangeShape::new(strategy, 3, 3) }.tight();
        let mut acts = Vec::new();
        for round in 0..12u32 {
            for who in 0..3 {
                acts.push(Act::Records(
                    who,
                    (0..30).map(|i| (i * 7 + round as u8) % 25).collect(),
                    round % 4 != 3,
                ));
                acts.push(Act::Restart(None));
                acts.push(Act::Watermark(who));
                acts.push(Act::Idle(who, round % 5 == 1));
                acts.push(Act::Restart(None));
                acts.push(Act::Take(who, 3));
                acts.push(Act::Restart(None));
            }
        }
        assert_eq!(check(strategy, &shape, &acts), 12 * 3 * 3);
    }
}

#[test]
#[should_panic(expected = "before record 1 (Some(Watermark(7)), false) is known")]
fn a_watermark_that_overtakes_a_record_is_found() {
    let record = |n: u32| Said::Record((n, String::new()), NO_TIMESTAMP);
    let row = |n: u32| {
        let value: Record = (n, String::new());
        Seen::Record(tidemill_testkit::Row {
            bytes: vec![],
            timestamp: NO_TIMESTAMP,
            text: format!("{value:?}"),
        })
    };
    let event = Event::Watermark(Watermark(7));
    let said = [record(1), record(2), Said::Event(event)];
    assert_conforms(
        &[row(1), Seen::Event(event), row(2), Seen::Event(Event::EndOfInput)],
        &said,
        "an example",
    );
}
