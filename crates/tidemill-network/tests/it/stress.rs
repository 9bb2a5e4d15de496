//! Producers and consumers on threads of their own, with so few buffers that each waits for the other all the time. A wake-up
//! that gets lost makes a test come to no end; it then fails by its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidemill_core::hash::RoutingHash;
use tidemill_core::time::Watermark;
use tidemill_network::router::{ByKeyGroup, ScatterRouter};
use tidemill_network::{
    BufferTimeout, Event, GateItem, InputGate, NetworkBufferPool, ResultPartition, TaskWaker, Wake, Written,
};
use tidemill_serialization::TypedBatchSerializer;

use crate::support::{SEGMENT, batch, values};

const RECORDS: u32 = 60_000;
const PRODUCERS: usize = 2;
const CONSUMERS: usize = 2;

/// How long a thread may wait for something that happens at once.
const PATIENCE: Duration = Duration::from_secs(30);

struct Counts {
    waits: AtomicUsize,
}

fn wait(waker: &TaskWaker, what: Wake, counts: &Counts, still_waiting: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    counts.waits.fetch_add(1, Ordering::Relaxed);
    while still_waiting() {
        waker.wait(&[what], Some(deadline), &still_waiting);
        assert!(
            Instant::now() < deadline || !still_waiting(),
            "nobody wakes a thread that waits for {what:?}"
        );
    }
    assert!(Instant::now() < deadline, "a wake-up for {what:?} was lost");
}

fn produce(number: u32, mut partition: ResultPartition, waker: &TaskWaker, counts: &Counts) {
    waker.attach();
    let mut sent = 0;
    while sent < RECORDS {
        let count = (1 + sent % 97).min(RECORDS - sent);
        let mut next = Some(batch((sent..sent + count).map(|i| i * PRODUCERS as u32 + number)));
        while let Some(records) = next.take() {
            wait(waker, Wake::Output, counts, || !partition.is_available());
            if let Written::Rest(rest) = partition.write(records, Instant::now()).unwrap() {
                next = Some(rest);
            }
        }
        sent += count;
        if sent % 7 == 0 {
            partition.broadcast(Event::Watermark(Watermark(i64::from(sent)))).unwrap();
        }
    }
    partition.broadcast(Event::EndOfInput).unwrap();
}

fn consume(mut gate: InputGate, waker: &TaskWaker, counts: &Counts) -> Vec<u32> {
    waker.attach();
    let mut all = Vec::new();
    let mut open = PRODUCERS;
    let mut watermarks = [i64::MIN; PRODUCERS];
    while open > 0 {
        match gate.poll().unwrap() {
            Some((_, GateItem::Batch(batch))) => all.extend(values(&batch)),
            Some((channel, GateItem::Event(Event::Watermark(watermark)))) => {
                assert!(watermark.0 > watermarks[channel]);
                watermarks[channel] = watermark.0;
            }
            Some((_, GateItem::Event(Event::EndOfInput))) => open -= 1,
            Some((_, other)) => panic!("{other:?} was not sent"),
            None => {
                gate.recycle_last();
                wait(waker, Wake::Input, counts, || !gate.has_input());
            }
        }
    }
    all
}

fn run(exclusive: usize, overdraft: usize, encoded: bool, timeout: BufferTimeout) {
    let global = NetworkBufferPool::new((200 * SEGMENT) as u64, SEGMENT);
    let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    let counts = Counts { waits: AtomicUsize::new(0) };
    let mut gates = Vec::new();
    for _ in 0..CONSUMERS {
        let waker = Arc::new(TaskWaker::new());
        let floating = global.create_pool(exclusive * PRODUCERS, 1, 1, 0, Arc::default()).unwrap();
        let gate = InputGate::new(PRODUCERS, exclusive, floating, serializer.clone(), Arc::clone(&waker));
        gates.push((gate, waker));
    }
    let mut partitions = Vec::new();
    for producer in 0..PRODUCERS {
        let waker = Arc::new(TaskWaker::new());
        let pool =
            global.create_pool(0, CONSUMERS + 1, CONSUMERS + 1, overdraft, Arc::clone(&waker)).unwrap();
        let senders = gates.iter().map(|(gate, _)| gate.sender(producer, Arc::clone(&pool), 1)).collect();
        let selector = ByKeyGroup::new(u32::routing_hash, CONSUMERS as u32, 128);
        let router = Box::new(ScatterRouter::<u32, _>::new(selector, CONSUMERS, SEGMENT));
        let encoder = encoded.then(|| serializer.clone() as Arc<dyn tidemill_serialization::BatchSerializer>);
        partitions.push((ResultPartition::new(router, senders, pool, timeout, encoder), waker));
    }
    let counts = &counts;
    let consumed: Vec<Vec<u32>> = std::thread::scope(|scope| {
        for (number, (partition, waker)) in partitions.into_iter().enumerate() {
            scope.spawn(move || produce(number as u32, partition, &waker, counts));
        }
        let consumers: Vec<_> = gates
            .into_iter()
            .map(|(gate, waker)| scope.spawn(move || consume(gate, &waker, counts)))
            .collect();
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
    });
    for consumed in &consumed {
        for producer in 0..PRODUCERS as u32 {
            let of_one = consumed.iter().filter(|record| **record % PRODUCERS as u32 == producer);
            assert!(of_one.is_sorted(), "the records of a channel keep their order");
        }
    }
    let mut all = consumed.concat();
    all.sort_unstable();
    assert_eq!(all, (0..RECORDS * PRODUCERS as u32).collect::<Vec<_>>());
    assert_eq!(global.used(), 0);
    assert!(counts.waits.load(Ordering::Relaxed) > 1000, "there were enough waits to lose a wake-up in");
}

#[test]
fn no_wake_up_is_lost_with_exclusive_buffers() {
    run(1, 0, false, BufferTimeout::Disabled);
}

#[test]
fn no_wake_up_is_lost_with_floating_buffers_alone() {
    run(0, 2, false, BufferTimeout::Immediate);
}

#[test]
fn no_wake_up_is_lost_with_encoded_buffers() {
    run(2, 1, true, BufferTimeout::Disabled);
}
