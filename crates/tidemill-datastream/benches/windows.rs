//! Counts records per key in one tumbling window: the window operator against a loop over a hash table, written by hand
//! with the same hash. Prints nanoseconds a record, and the ratio.
#![allow(clippy::print_stdout, reason = "a benchmark reports on the terminal")]
#![allow(clippy::unwrap_used, reason = "a benchmark may fail by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::Watermark;
use tidemill_datastream::ByValue;
use tidemill_datastream::operators::window_contents::{Accumulated, Aggregate, Direct};
use tidemill_datastream::operators::{Lateness, WindowOperator};
use tidemill_datastream::windows::{EventTimeTrigger, TumblingEventTimeWindows};
use tidemill_runtime::{Operator, OperatorContext, Output, Progress};
use tidemill_serialization::RoutingHash;
use tidemill_state::{AggregateFunction, SystemClock};

const RECORDS: usize = 20_000_000;
const BATCH: usize = 4096;

struct Count;

impl AggregateFunction for Count {
    type In = u64;
    type Acc = (u64, u64);
    type Out = (u64, u64);

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, accumulator: &mut (u64, u64), key: u64) {
        *accumulator = (key, accumulator.1 + 1);
    }

    fn get_result(&self, accumulator: &(u64, u64)) -> (u64, u64) {
        *accumulator
    }

    fn merge(&self, accumulator: &mut (u64, u64), other: (u64, u64)) {
        *accumulator = (other.0, accumulator.1 + other.1);
    }
}

/// Batches of random keys below `keys`, all within one window.
fn batches(keys: u64, mut each: impl FnMut(TypedBatch<u64>)) {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut left = RECORDS;
    while left > 0 {
        let count = left.min(BATCH);
        let mut batch = TypedBatch::with_capacity(count);
        for index in 0..count {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            batch.push(random % keys, ((RECORDS - left + index) / 1000) as i64);
        }
        left -= count;
        each(batch);
    }
}

struct Measured {
    add: Duration,
    fire: Duration,
    results: u64,
}

fn by_hand(keys: u64) -> Measured {
    let mut table: HashTable<(u64, u64)> = HashTable::new();
    let mut add = Duration::ZERO;
    batches(keys, |batch| {
        let start = Instant::now();
        for &key in &batch.values {
            table
                .entry(key.routing_hash(), |entry| entry.0 == key, |entry| entry.0.routing_hash())
                .or_insert((key, 0))
                .into_mut()
                .1 += 1;
        }
        add += start.elapsed();
    });
    let start = Instant::now();
    let results: Vec<(u64, u64)> = table.drain().collect();
    Measured { add, fire: start.elapsed(), results: results.iter().map(|(_, count)| count).sum() }
}

fn by_operator(keys: u64) -> Measured {
    let mut operator = WindowOperator::new(
        ByValue::new(|key: &u64| *key),
        TumblingEventTimeWindows::of(Duration::from_secs(3600)),
        EventTimeTrigger,
        Accumulated::new(Aggregate(Arc::new(Count)), Direct),
        Lateness::default(),
    );
    operator.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), None).unwrap();
    let mut out = Output::default();
    let mut add = Duration::ZERO;
    batches(keys, |batch| {
        let batch = Batch::new(batch);
        let start = Instant::now();
        assert_eq!(operator.process(0, batch, &mut out).unwrap(), Progress::Done);
        add += start.elapsed();
    });
    let start = Instant::now();
    let mut results = 0;
    loop {
        let progress = operator.watermark(Watermark::MAX, &mut out).unwrap();
        for emission in out.take_emissions() {
            if let tidemill_runtime::operator::Emission::Batch(batch) = emission {
                let batch = batch.downcast_ref::<TypedBatch<(u64, u64)>>().unwrap();
                results += batch.values.iter().map(|(_, count)| count).sum::<u64>();
            }
        }
        if progress == Progress::Done {
            break;
        }
    }
    Measured { add, fire: start.elapsed(), results }
}

fn main() {
    let asked: Vec<u64> = std::env::args().filter_map(|keys| keys.parse().ok()).collect();
    let usual = vec![1000, 100_000, 1_000_000, 10_000_000];
    for keys in if asked.is_empty() { usual } else { asked } {
        let hand = by_hand(keys);
        let operator = by_operator(keys);
        assert_eq!((hand.results, operator.results), (RECORDS as u64, RECORDS as u64));
        let each = |time: Duration| time.as_secs_f64() * 1e9 / RECORDS as f64;
        println!(
            "{keys:>10} keys: by hand {:6.1} + {:5.1} ns a record, operator {:6.1} + {:5.1} ns, ratio {:.2}",
            each(hand.add),
            each(hand.fire),
            each(operator.add),
            each(operator.fire),
            (hand.add + hand.fire).as_secs_f64() / (operator.add + operator.fire).as_secs_f64(),
        );
    }
}
