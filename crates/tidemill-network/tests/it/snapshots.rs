//! What is on its way, stored and put back. Whole exchanges at random moments are driven by the testkit's harness.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::hash::RoutingHash;
use tidemill_core::time::Watermark;
use tidemill_core::{Classified, Fault};
use tidemill_network::router::{
    BroadcastRouter, ByKeyGroup, Custom, RoundRobin, ScatterRouter, SingleRouter,
};
use tidemill_network::{
    BufferTimeout, Event, GateSnapshot, InFlight, InputChannelSnapshot, NetworkError, PartitionSnapshot,
    Router, RouterSnapshot, SubpartitionSnapshot, Written,
};
use tidemill_serialization::{BatchSerializer, SerializerSnapshot, TypedBatchSerializer, decode_batch};

use crate::support::{Exchange, SEGMENT, Shape, batch, drain, exchange, exchange_of, values};

pub(crate) fn serializer() -> TypedBatchSerializer<u32> {
    TypedBatchSerializer::default()
}

pub(crate) type Snapshot = (Vec<u8>, Vec<Vec<u8>>);

/// All of an exchange as bytes.
pub(crate) fn snapshot(exchange: &Exchange, rest: Option<&Batch>) -> Snapshot {
    let partition = exchange.partition.snapshot(rest, &serializer()).unwrap();
    let gates = exchange.gates.iter().map(|gate| gate.snapshot().unwrap().encode()).collect();
    (partition.encode(), gates)
}

/// A new exchange that goes on from a snapshot, and the rest of a batch.
fn restored(
    router: Box<dyn Router>,
    shape: Shape,
    (partition, gates): &Snapshot,
) -> (Exchange, Option<Batch>) {
    let mut exchange = exchange(router, shape);
    for (gate, bytes) in exchange.gates.iter_mut().zip(gates) {
        gate.restore(GateSnapshot::decode(bytes).unwrap()).unwrap();
    }
    let partition = PartitionSnapshot::decode(partition).unwrap();
    let rest = exchange.partition.restore(partition, &serializer(), Instant::now()).unwrap();
    (exchange, rest)
}

fn single() -> Box<dyn Router> {
    Box::new(SingleRouter::<u32>::new(0, SEGMENT))
}

pub(crate) fn round_robin(channels: usize) -> Box<dyn Router> {
    Box::new(ScatterRouter::<u32, _>::new(RoundRobin::starting_at(1), channels, SEGMENT))
}

/// Four buffers of 16 records with a watermark behind each, of which two have credit, and four records in the builder with
/// a watermark that rides behind them.
pub(crate) fn filled(encoded: bool, shape: Shape) -> Exchange {
    let shape = Shape { encoded, ..shape };
    let mut exchange = exchange(single(), shape);
    for first in [0, 16, 32, 48] {
        exchange.partition.write(batch(first..first + 16), Instant::now()).unwrap();
        exchange.partition.broadcast(Event::Watermark(Watermark(first.into()))).unwrap();
    }
    exchange.partition.write(batch(64..68), Instant::now()).unwrap();
    exchange.partition.broadcast(Event::Idle(false)).unwrap();
    exchange.partition.broadcast(Event::Watermark(Watermark(64))).unwrap();
    exchange.partition.broadcast(Event::Idle(true)).unwrap();
    exchange
}

pub(crate) const ROOMY: Shape = Shape {
    channels: 1,
    partition_buffers: 20,
    overdraft: 0,
    max_backlog: 10,
    exclusive: 1,
    floating: 1,
    timeout: BufferTimeout::Disabled,
    encoded: false,
};

/// All that comes out in the end, with what is in the builder.
fn all(exchange: &mut Exchange) -> Vec<String> {
    exchange.partition.broadcast(Event::EndOfInput).unwrap();
    drain(&mut exchange.gates[0])
}

#[test]
fn each_element_is_in_one_snapshot_and_in_its_place() {
    for encoded in [false, true] {
        let mut exchange = filled(encoded, ROOMY);
        let gate = exchange.gates[0].snapshot().unwrap();
        let partition = exchange.partition.snapshot(None, &serializer()).unwrap();
        let shown = |items: &[InFlight]| -> Vec<String> {
            let show = |item: &InFlight| match item {
                InFlight::Buffer(bytes) => format!("{:?}", decode_batch::<u32>(bytes).unwrap().values[0]),
                InFlight::Event(Event::Watermark(watermark)) => format!("w{}", watermark.0),
                InFlight::Event(event) => format!("{event:?}"),
            };
            items.iter().map(show).collect()
        };
        assert_eq!(shown(&gate.channels[0].queued), ["0", "w0", "16", "w16"], "what has credit");
        assert_eq!(shown(&partition.channels[0].waiting), ["32", "w32", "48", "w48"], "what has none");
        let riders = [Event::Idle(false), Event::Watermark(Watermark(64)), Event::Idle(true)];
        assert_eq!(partition.channels[0].riders, riders);
        let builder = partition.router.builders[0].as_ref().unwrap();
        assert_eq!(decode_batch::<u32>(builder).unwrap().values, [64, 65, 66, 67]);
        assert_eq!(all(&mut exchange).len(), 8 + 1 + 3 + 1, "a snapshot takes nothing away");
    }
}

#[test]
fn a_restored_exchange_goes_on_where_the_other_was() {
    for encoded in [false, true] {
        let mut before = filled(encoded, ROOMY);
        let stored = snapshot(&before, None);
        let (mut after, rest) = restored(single(), Shape { encoded, ..ROOMY }, &stored);
        assert!(rest.is_none());
        assert_eq!(after.pool.used(), before.pool.used(), "the same buffers are held");
        assert_eq!(after.gates[0].usage().queued_buffers, 2);
        assert_eq!(snapshot(&after, None), stored, "a second snapshot is the same");
        assert_eq!(all(&mut after), all(&mut before));
        assert!(after.gates[0].is_ended(0));
        after.gates[0].recycle_last();
        assert_eq!((after.pool.used(), after.gate_pools[0].used()), (0, 0));
    }
}

#[test]
fn what_does_not_fit_into_the_pools_is_fed_in_as_credit_comes() {
    let stored = snapshot(&filled(false, ROOMY), None);
    let small = Shape { partition_buffers: 2, exclusive: 0, floating: 1, ..ROOMY };
    let (mut exchange, _) = restored(single(), small, &stored);
    assert_eq!(exchange.gates[0].usage().queued_buffers, 1, "the gate has one buffer");
    assert_eq!(exchange.pool.used(), 2, "one for the builder, one for one that waits");
    let mut got = Vec::new();
    let mut available_at = None;
    while let Some((_, item)) = exchange.gates[0].poll().unwrap() {
        let usage = exchange.gates[0].usage();
        assert!(usage.queued_buffers <= 1 && usage.pool_usage <= 1.0, "{usage:?}");
        if let tidemill_network::GateItem::Batch(batch) = item {
            got.extend(values(&batch));
        }
        if exchange.partition.is_available() && available_at.is_none() {
            available_at = Some(got.len());
        }
    }
    assert_eq!(got, (0..64).collect::<Vec<_>>());
    assert_eq!(available_at, Some(48), "nothing is written before what was on its way has credit");
    assert!(matches!(exchange.partition.write(batch(68..80), Instant::now()).unwrap(), Written::All));
    exchange.gates[0].recycle_last();
    let numbers = |from: u32| (from..from + 16).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let left = all(&mut exchange);
    assert_eq!(left[0], numbers(64), "records of before and after in one buffer");
    assert_eq!(left.last().map(String::as_str), Some("EndOfInput"));
}

#[test]
fn the_rest_of_a_batch_keeps_its_channels_and_the_round_its_place() {
    let channels = 3;
    let deal = |interrupted: bool| {
        let shape = Shape { partition_buffers: 4, exclusive: 0, floating: 1, ..Shape::of(channels) };
        let mut exchange = exchange(round_robin(channels), shape);
        let mut rests = 0;
        let mut got = vec![Vec::new(); channels];
        for first in [0, 500] {
            let mut left = Some(batch(first..first + 401));
            while let Some(records) = left.take() {
                if let Written::Rest(rest) = exchange.partition.write(records, Instant::now()).unwrap() {
                    rests += 1;
                    left = Some(rest);
                    if interrupted {
                        let stored = snapshot(&exchange, left.as_ref());
                        (exchange, left) = restored(round_robin(channels), shape, &stored);
                    }
                    for (gate, got) in exchange.gates.iter_mut().zip(&mut got) {
                        got.extend(drain(gate));
                    }
                }
            }
        }
        exchange.partition.flush().unwrap();
        for (gate, got) in exchange.gates.iter_mut().zip(&mut got) {
            got.extend(drain(gate));
        }
        assert!(rests > 4, "{rests}");
        got.into_iter().map(|buffers| buffers.join(",")).collect::<Vec<_>>()
    };
    let straight = deal(false);
    assert_eq!(straight, deal(true));
    let numbers = (0..401).chain(500..901).skip(2).step_by(3).map(|n| n.to_string());
    assert_eq!(straight[0], numbers.collect::<Vec<_>>().join(","), "the round began at channel 1");
}

#[test]
fn a_partitioner_is_not_asked_twice_for_the_same_record() {
    let asked = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let router = || -> Box<dyn Router> {
        let asked = Arc::clone(&asked);
        let choose = move |value: &u32, channels: usize| {
            asked.lock().push(*value);
            *value as usize % channels
        };
        Box::new(ScatterRouter::<u32, _>::new(Custom(choose), 2, SEGMENT))
    };
    let shape = Shape { exclusive: 0, floating: 1, ..Shape::of(2) };
    let mut exchange = exchange(router(), shape);
    let Written::Rest(rest) = exchange.partition.write(batch(0..200), Instant::now()).unwrap() else {
        panic!("200 records fit into 3 buffers of 16");
    };
    let stored = snapshot(&exchange, Some(&rest));
    let (mut exchange, rest) = restored(router(), shape, &stored);
    let mut left = rest;
    let mut got = [Vec::new(), Vec::new()];
    while let Some(records) = left.take() {
        if let Written::Rest(rest) = exchange.partition.write(records, Instant::now()).unwrap() {
            left = Some(rest);
        }
        exchange.partition.flush().unwrap();
        for (gate, got) in exchange.gates.iter_mut().zip(&mut got) {
            got.extend(drain(gate));
            gate.recycle_last();
        }
    }
    assert_eq!(*asked.lock(), (0..200).collect::<Vec<_>>());
    let odd: Vec<String> = (0..200).filter(|n| n % 2 == 1).map(|n: u32| n.to_string()).collect();
    assert_eq!(got[1].join(","), odd.join(","));
}

#[test]
fn hashes_are_made_again_where_records_go_by_them() {
    let router = || -> Box<dyn Router> {
        let selector = ByKeyGroup::new(|key: &u32| key.routing_hash(), 1, 128);
        Box::new(ScatterRouter::<u32, _>::new(selector, 1, SEGMENT))
    };
    let mut before = exchange(router(), ROOMY);
    before.partition.write(batch(0..2), Instant::now()).unwrap();
    let (mut after, _) = restored(router(), ROOMY, &snapshot(&before, None));
    after.partition.write(batch(2..4), Instant::now()).unwrap();
    after.partition.flush().unwrap();
    let Some((0, tidemill_network::GateItem::Batch(records))) = after.gates[0].poll().unwrap() else {
        panic!("a buffer was sent");
    };
    let records = records.downcast_ref::<TypedBatch<u32>>().unwrap();
    assert_eq!(records.values, [0, 1, 2, 3], "records of before and after go into one buffer");
    assert_eq!(records.hashes, [0u32, 1, 2, 3].map(|key| key.routing_hash()));
}

#[test]
fn the_buffer_timeout_begins_anew() {
    let timeout = Duration::from_millis(100);
    let shape = Shape { timeout: BufferTimeout::After(timeout), ..ROOMY };
    let mut before = exchange(single(), shape);
    before.partition.write(batch(0..4), Instant::now()).unwrap();
    let partition = before.partition.snapshot(None, &serializer()).unwrap();
    let mut after = exchange(single(), shape);
    let now = Instant::now() + Duration::from_secs(1000);
    after.partition.restore(partition, &serializer(), now).unwrap();
    assert_eq!(after.partition.deadline(), Some(now + timeout));
    after.partition.flush_due(now + timeout).unwrap();
    assert_eq!(drain(&mut after.gates[0]), ["0,1,2,3"]);
}

#[test]
fn what_may_not_wait_is_due_at_once() {
    let mut before = exchange(single(), Shape { timeout: BufferTimeout::Disabled, ..ROOMY });
    before.partition.write(batch(0..4), Instant::now()).unwrap();
    let partition = before.partition.snapshot(None, &serializer()).unwrap();
    let mut after = exchange(single(), Shape { timeout: BufferTimeout::Immediate, ..ROOMY });
    let now = Instant::now();
    after.partition.restore(partition, &serializer(), now).unwrap();
    assert_eq!(after.partition.deadline(), Some(now));
    after.partition.flush_due(now).unwrap();
    assert_eq!(drain(&mut after.gates[0]), ["0,1,2,3"]);
    assert_eq!(after.partition.deadline(), None);
}

#[test]
fn what_does_not_belong_is_refused() {
    let code = |error: NetworkError| error.code();
    let (mut one, mut two) = (filled(false, ROOMY), exchange(round_robin(2), Shape::of(2)));
    let gate = one.gates[0].snapshot().unwrap();
    let partition = one.partition.snapshot(None, &serializer()).unwrap();
    let now = Instant::now();
    // Another number of channels, another kind of router, another type.
    let error = two.partition.restore(partition.clone(), &serializer(), now).unwrap_err();
    assert_eq!((error.code(), error.fault()), ("TM-NETWORK-SNAPSHOT-MISMATCH", Fault::User));
    assert!(error.to_string().contains("1 channels where 2 are wanted"), "{error}");
    let three = two.partition.snapshot(None, &serializer()).unwrap();
    let mut broadcast = exchange(Box::new(BroadcastRouter::<u32>::new(2, SEGMENT)), Shape::of(2));
    let error = broadcast.partition.restore(three, &serializer(), now).unwrap_err();
    assert!(error.to_string().contains("2 builders where 1 are wanted"), "{error}");
    let mut fresh = exchange(single(), ROOMY);
    let error = fresh
        .partition
        .restore(partition.clone(), &TypedBatchSerializer::<String>::default(), now)
        .unwrap_err();
    assert_eq!(error.code(), "TM-SERIALIZATION-INCOMPATIBLE");
    assert_eq!((fresh.pool.used(), fresh.gates[0].has_input()), (0, false), "nothing was restored by half");
    let empty = GateSnapshot { serializer: serializer().snapshot(), channels: vec![] };
    assert_eq!(fresh.gates[0].restore(empty).map_err(code), Err("TM-NETWORK-SNAPSHOT-MISMATCH"));
    // What is in use.
    assert_eq!(one.gates[0].restore(gate).map_err(code), Err("TM-NETWORK-RESTORED-TOO-LATE"));
    let error = one.partition.restore(partition.clone(), &serializer(), now).unwrap_err();
    assert_eq!(error.code(), "TM-NETWORK-RESTORED-TOO-LATE");
    // A rest that is none.
    let shape = Shape { exclusive: 0, ..Shape::of(2) };
    let mut scarce = exchange(round_robin(2), shape);
    assert!(matches!(scarce.partition.write(batch(0..300), now).unwrap(), Written::Rest(_)));
    let error = scarce.partition.snapshot(None, &serializer()).unwrap_err();
    assert_eq!(error.code(), "TM-NETWORK-SNAPSHOT-MISMATCH");
    // A consumer that is gone.
    fresh.gates.clear();
    let error = fresh.partition.restore(partition, &serializer(), now).unwrap_err();
    assert!(matches!(error, NetworkError::ConsumerGone), "{error}");
}

#[test]
fn what_was_on_its_way_is_migrated() {
    let wide = TypedBatchSerializer::<i64>::default();
    let old = filled(false, ROOMY);
    let (partition, gates) = snapshot(&old, None);
    let mut gate = GateSnapshot::decode(&gates[0]).unwrap();
    let numbers = |serializer: &dyn BatchSerializer, bytes: &[u8]| {
        let batch = serializer.decode(bytes).unwrap();
        let wide = batch.downcast_ref::<TypedBatch<i64>>().map(|batch| batch.values.clone());
        wide.unwrap_or_else(|_| {
            batch.downcast_ref::<TypedBatch<u32>>().unwrap().values.iter().map(|n| i64::from(*n)).collect()
        })
    };
    let queued = |gate: &GateSnapshot, serializer: &dyn BatchSerializer| {
        let items = gate.channels[0].queued.iter();
        items
            .map(|item| match item {
                InFlight::Buffer(bytes) => numbers(serializer, bytes),
                InFlight::Event(_) => vec![],
            })
            .collect::<Vec<_>>()
    };
    let before = queued(&gate, &serializer());
    assert!(before.len() > 2);
    // The consumer and producer of the next release.
    let router = Box::new(SingleRouter::<i64>::new(0, SEGMENT));
    let mut next = exchange_of::<i64>(router, ROOMY);
    next.gates[0].restore(gate.clone()).unwrap();
    gate = next.gates[0].snapshot().unwrap();
    assert_eq!(gate.serializer, wide.snapshot());
    assert_eq!(queued(&gate, &wide), before);
    let stored = PartitionSnapshot::decode(&partition).unwrap();
    next.partition.restore(stored.clone(), &wide, Instant::now()).unwrap();
    let again = next.partition.snapshot(None, &wide).unwrap();
    let builder = |snapshot: &PartitionSnapshot| snapshot.router.builders[0].clone().unwrap();
    assert_eq!(numbers(&wide, &builder(&again)), numbers(&serializer(), &builder(&stored)));
}

#[test]
fn the_bytes_are_frozen() {
    // The snapshot of the serializer: its version, the type (an unsigned integer of 32 bits), no definitions.
    let u32s = "0500000000000000 01 0300 20 00".replace(' ', "");
    let serializer = SerializerSnapshot::of::<u32>();
    let gate = GateSnapshot {
        serializer: serializer.clone(),
        channels: vec![InputChannelSnapshot {
            queued: vec![
                InFlight::Buffer(vec![7, 8]),
                InFlight::Event(Event::Watermark(Watermark(-2))),
                InFlight::Event(Event::Idle(true)),
                InFlight::Event(Event::Idle(false)),
                InFlight::Event(Event::EndOfInput),
            ],
            ended: true,
        }],
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let body = "544d43480101 U32S 0100000000000000 01 0500000000000000 00 0200000000000000 0708 01 feffffffffffffff 02 03 04";
    let bytes = gate.encode();
    assert_eq!(hex(&bytes[..bytes.len() - 8]), body.replace("U32S", &u32s).replace(' ', ""));
    let partition = PartitionSnapshot {
        serializer,
        channels: vec![SubpartitionSnapshot {
            waiting: vec![InFlight::Buffer(vec![9])],
            riders: vec![Event::Idle(true)],
        }],
        router: RouterSnapshot {
            builders: vec![None, Some(vec![5])],
            position: 3,
            rest: Some(vec![6]),
            targets: vec![1],
        },
    };
    let bytes = partition.encode();
    let body = "544d43480102 U32S 0100000000000000 0100000000000000 00 0100000000000000 09 0100000000000000 02                 0200000000000000 00 01 0100000000000000 05 0300000000000000 01 0100000000000000 06                 0100000000000000 01000000";
    assert_eq!(hex(&bytes[..bytes.len() - 8]), body.replace("U32S", &u32s).replace(' ', ""));
    assert_eq!(hex(&bytes[bytes.len() - 8..]), "65896f7ae23bc017");
}
