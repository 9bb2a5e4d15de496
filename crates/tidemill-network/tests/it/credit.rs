use proptest::prelude::*;
use tidemill_core::time::Watermark;
use tidemill_network::router::{RoundRobin, ScatterRouter, SingleRouter};
use tidemill_network::{BufferTimeout, Event, NetworkError, Written};

use std::time::Instant;

use crate::support::{Exchange, Shape, batch, drain, exchange};

/// What a test does to an exchange.
#[derive(Clone, Debug)]
enum Act {
    /// Writes so many records, if there is room.
    Write(u32),
    Flush,
    Watermark,
    Idle(bool),
    /// Takes so many items at a consumer.
    Take(usize, u8),
    /// The consumer gives its last buffer back before it sleeps.
    Sleep(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0u32..60).prop_map(Act::Write),
        1 => Just(Act::Flush),
        1 => Just(Act::Watermark),
        1 => any::<bool>().prop_map(Act::Idle),
        4 => (0usize..3, 0u8..4).prop_map(|(gate, count)| Act::Take(gate, count)),
        1 => (0usize..3).prop_map(Act::Sleep),
    ];
    prop::collection::vec(act, 0..120)
}

/// Takes up to `count` items of a gate, as text.
fn take(exchange: &mut Exchange, gate: usize, count: usize) -> Vec<String> {
    let mut taken = Vec::new();
    for _ in 0..count {
        match exchange.gates[gate].poll().unwrap() {
            Some((0, item)) => taken.push(match item {
                tidemill_network::GateItem::Batch(batch) => format!("{:?}", crate::support::values(&batch)),
                tidemill_network::GateItem::Event(event) => format!("{event:?}"),
                other => format!("{other:?}"),
            }),
            Some((channel, _)) => panic!("channel {channel} of one"),
            None => break,
        }
    }
    taken
}

fn idleness(event: &Event) -> Option<bool> {
    match event {
        Event::Idle(idle) => Some(*idle),
        _ => None,
    }
}

/// What a consumer knows after these events: the last watermark that came while the channel was active, and whether it is
/// idle.
fn outcome<'a>(events: impl IntoIterator<Item = &'a String>) -> (Option<String>, bool) {
    let (mut watermark, mut idle) = (None, false);
    for event in events {
        match event.as_str() {
            "Idle(true)" => idle = true,
            "Idle(false)" => idle = false,
            _ if idle => {}
            _ => watermark = Some(event.clone()),
        }
    }
    (watermark, idle)
}

proptest! {
    /// Nothing is lost or overtaken, and no gate ever holds more buffers than it has.
    #[test]
    fn queues_are_bounded_and_in_order(
        acts in acts(),
        exclusive in 0usize..3,
        floating in 1usize..4,
        max_backlog in 1usize..4,
        overdraft in 0usize..3,
        immediate in any::<bool>(),
        encoded in any::<bool>(),
    ) {
        let channels = 3;
        let timeout = if immediate { BufferTimeout::Immediate } else { BufferTimeout::Disabled };
        let shape = Shape { exclusive, floating, max_backlog, overdraft, timeout, encoded, ..Shape::of(channels) };
        let router = ScatterRouter::<u32, _>::new(RoundRobin::default(), channels, crate::support::SEGMENT);
        let mut exchange = exchange(Box::new(router), shape);
        let now = Instant::now();
        let mut rest = None;
        let mut next = 0u32;
        let mut watermark = 0i64;
        let mut said: Vec<Event> = Vec::new();
        let mut got: Vec<Vec<String>> = vec![Vec::new(); channels];
        for act in acts.into_iter().chain([Act::Flush]) {
            match act {
                Act::Write(count) if exchange.partition.is_available() => {
                    let records = rest.take().unwrap_or_else(|| {
                        next += count;
                        batch(next - count..next)
                    });
                    if let Written::Rest(left) = exchange.partition.write(records, now).unwrap() {
                        rest = Some(left);
                    }
                }
                Act::Write(_) => {}
                Act::Flush => exchange.partition.flush().unwrap(),
                // An idle producer has no watermarks.
                Act::Watermark if said.iter().rev().find_map(idleness) == Some(true) => {}
                Act::Watermark => {
                    watermark += 1;
                    let event = Event::Watermark(Watermark(watermark));
                    said.push(event);
                    exchange.partition.broadcast(event).unwrap();
                }
                Act::Idle(idle) => {
                    said.push(Event::Idle(idle));
                    exchange.partition.broadcast(Event::Idle(idle)).unwrap();
                }
                Act::Take(gate, count) => {
                    let taken = take(&mut exchange, gate, count.into());
                    got[gate].extend(taken);
                }
                Act::Sleep(gate) => exchange.gates[gate].recycle_last(),
            }
            prop_assert!(exchange.pool.used() <= exchange.pool.size() + overdraft);
            for (gate, pool) in exchange.gates.iter().zip(&exchange.gate_pools) {
                let usage = gate.usage();
                prop_assert!(usage.queued_buffers <= exclusive + floating, "{:?}", usage);
                prop_assert!(usage.pool_usage <= 1.0, "{:?}", usage);
                prop_assert!(pool.used() <= floating);
            }
        }
        // All comes out once the consumers take it.
        while let Some(records) = rest.take() {
            for (gate, got) in got.iter_mut().enumerate() {
                let taken = take(&mut exchange, gate, usize::MAX);
                got.extend(taken);
            }
            exchange.gates.iter_mut().for_each(|gate| gate.recycle_last());
            prop_assert!(exchange.partition.is_available(), "the consumers have taken all");
            if let Written::Rest(left) = exchange.partition.write(records, now).unwrap() {
                rest = Some(left);
            }
        }
        exchange.partition.broadcast(Event::EndOfInput).unwrap();
        for (gate, got) in got.iter_mut().enumerate() {
            let taken = take(&mut exchange, gate, usize::MAX);
            got.extend(taken);
            prop_assert_eq!(got.last().map(String::as_str), Some("EndOfInput"));
        }
        exchange.gates.iter_mut().for_each(|gate| gate.recycle_last());
        prop_assert_eq!(exchange.pool.used(), 0);
        prop_assert!(exchange.pool.is_available());
        for (channel, got) in got.iter().enumerate() {
            let numbers: Vec<u32> = got
                .iter()
                .filter(|item| item.starts_with('['))
                .flat_map(|item| item[1..item.len() - 1].split(", ").map(|n| n.parse::<u32>().unwrap()))
                .collect();
            let expected: Vec<u32> = (0..next).filter(|n| *n as usize % channels == channel).collect();
            prop_assert_eq!(numbers, expected);
            // What is said about event time may be coalesced, but must come to the same.
            let heard = got.iter().filter(|item| !item.starts_with('[') && *item != "EndOfInput");
            let said = said.iter().map(|event| format!("{event:?}"));
            let said: Vec<String> = said.collect();
            prop_assert_eq!(outcome(heard), outcome(&said), "{:?} of {:?}", got, said);
        }
        drop(exchange.partition);
        drop(exchange.gates);
        drop((exchange.pool, exchange.gate_pools));
        prop_assert_eq!(exchange.global.used(), 0);
    }
}

fn one_channel(shape: Shape) -> Exchange {
    exchange(Box::new(SingleRouter::<u32>::new(0, crate::support::SEGMENT)), shape)
}

#[test]
fn a_congested_channel_stops_its_producer_until_it_is_relieved() {
    let shape = Shape { partition_buffers: 20, max_backlog: 2, exclusive: 1, floating: 1, ..Shape::of(1) };
    let mut exchange = one_channel(shape);
    let now = Instant::now();
    let mut sent = 0;
    while exchange.partition.is_available() {
        // 16 records of 4 bytes fill a buffer.
        assert!(matches!(exchange.partition.write(batch(sent..sent + 16), now).unwrap(), Written::All));
        sent += 16;
    }
    // One exclusive, one floating, two that wait for credit.
    assert_eq!(sent, 4 * 16);
    assert_eq!(exchange.pool.used(), 2, "only those that wait hold a buffer of the producer");
    assert_eq!(exchange.gates[0].usage().queued_buffers, 2);
    exchange.partition.broadcast(Event::Watermark(Watermark(5))).unwrap();
    assert!(exchange.gates[0].poll().unwrap().is_some());
    assert!(!exchange.partition.is_available(), "what is being processed holds its buffer");
    exchange.gates[0].recycle_last();
    assert!(exchange.partition.is_available());
    let left = drain(&mut exchange.gates[0]);
    assert_eq!(left.len(), 4, "{left:?}");
    assert_eq!(left[3], "Watermark(Watermark(5))", "an event keeps its place behind what waits for credit");
}

#[test]
fn a_consumer_that_goes_frees_everything_and_says_so() {
    let shape = Shape { partition_buffers: 20, max_backlog: 2, exclusive: 1, floating: 1, ..Shape::of(1) };
    let mut exchange = one_channel(shape);
    let now = Instant::now();
    while exchange.partition.is_available() {
        exchange.partition.write(batch(0..16), now).unwrap();
    }
    let probe = exchange.gates[0].probe();
    exchange.gates.clear();
    assert_eq!(exchange.pool.used(), 0);
    assert!(exchange.partition.is_available());
    assert_eq!(probe.usage().queued_buffers, 0);
    let error = exchange.partition.write(batch(0..16), now).unwrap_err();
    assert!(matches!(error, NetworkError::ConsumerGone), "{error}");
    assert_eq!(exchange.pool.used(), 0, "a buffer that could not be sent is given back");
}

#[test]
fn channels_take_turns() {
    let serializer = std::sync::Arc::new(tidemill_serialization::TypedBatchSerializer::<u32>::default());
    let global = tidemill_network::NetworkBufferPool::new(1 << 20, 64);
    let pool = |size| global.create_pool(0, size, size, 0, Default::default()).unwrap();
    let mut gate = tidemill_network::InputGate::new(3, 2, pool(8), serializer, Default::default());
    for channel in 0..3 {
        let pool = pool(4);
        let sender = gate.sender(channel, std::sync::Arc::clone(&pool), 4);
        for number in 0..3 {
            let permit = pool.try_acquire().unwrap();
            let records = batch([channel as u32 * 10 + number]);
            sender.send(tidemill_network::Buffer::Batch(records), 4, permit).unwrap();
        }
    }
    assert_eq!(drain(&mut gate), ["0", "10", "20", "1", "11", "21", "2", "12", "22"]);
}

#[test]
fn watermarks_do_not_pile_up_before_a_consumer_that_does_not_come() {
    let mut exchange = one_channel(Shape { exclusive: 0, floating: 1, ..Shape::of(1) });
    let now = Instant::now();
    for watermark in 0..1000 {
        exchange.partition.broadcast(Event::Watermark(Watermark(watermark))).unwrap();
    }
    exchange.partition.write(batch(0..16), now).unwrap();
    exchange.partition.write(batch(16..32), now).unwrap();
    for watermark in 1000..2000 {
        exchange.partition.broadcast(Event::Watermark(Watermark(watermark))).unwrap();
    }
    let items = drain(&mut exchange.gates[0]);
    assert_eq!(items.len(), 4, "{items:?}");
    assert_eq!((&*items[0], &*items[3]), ("Watermark(Watermark(999))", "Watermark(Watermark(1999))"));
}
