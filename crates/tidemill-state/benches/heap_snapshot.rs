//! Snapshots of a large state in memory, taken at once and beside the task: how long the task stands still, and what it gets done
//! until the snapshot is there and after it.
//!
//! `cargo bench -p tidemill-state --bench heap_snapshot -- [millions of keys]`

#![allow(clippy::print_stdout, clippy::unwrap_used)] // A table of results is what it is for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::KeyGroupRange;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_state::{
    KeyBatch, KeyedStateBackend, Slots, SystemClock, TimeDomain, Timers, ValueState, ValueStateDescriptor,
};

const BATCH: u64 = 4096;

struct States {
    backend: KeyedStateBackend<u64>,
    count: ValueState<u64>,
    timers: Timers,
    keys: u64,
    random: u64,
}

impl States {
    fn add(&mut self, keys: &[u64], timer: bool) {
        let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
        let batch = KeyBatch::new(&hashes, keys).unwrap();
        let add = |slots: Slots<'_>, counts: &mut [u64]| {
            slots.slots.iter().for_each(|slot| counts[*slot as usize] += 1);
        };
        self.count.update_batch(&mut self.backend, &batch, |_| 0, add).unwrap();
        if timer {
            let service = self.timers.service(&mut self.backend).unwrap();
            for (key, hash) in keys.iter().zip(hashes) {
                service.register_new(TimeDomain::Event, (*key % 100) as i64, (key, hash), &()).unwrap();
            }
        }
    }

    /// Counts random keys until `until` says so; returns the records per second and the longest batch.
    fn work(&mut self, mut until: impl FnMut(Duration) -> bool) -> (f64, Duration, Duration) {
        let start = Instant::now();
        let (mut records, mut longest) = (0, Duration::ZERO);
        while !until(start.elapsed()) {
            let mut draw = || {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                self.random % self.keys
            };
            let keys: Vec<u64> = (0..BATCH).map(|_| draw()).collect();
            let began = Instant::now();
            self.add(&keys, false);
            longest = longest.max(began.elapsed());
            records += BATCH;
        }
        (records as f64 / start.elapsed().as_secs_f64() / 1e6, longest, start.elapsed())
    }
}

fn main() {
    let millions = std::env::args().skip(1).find_map(|text| text.parse::<f64>().ok()).unwrap_or(10.0);
    let keys = (millions * 1e6) as u64;
    let budget = MemoryBudget::unlimited("bench");
    let mut backend =
        KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget.clone());
    let count = backend.register_value(ValueStateDescriptor::new("count")).unwrap();
    let timers = backend.register_timers("timers").unwrap();
    let mut states = States { backend, count, timers, keys, random: 88_172_645_463_325_252 };
    for start in (0..keys).step_by(BATCH as usize) {
        states.add(&(start..(start + BATCH).min(keys)).collect::<Vec<_>>(), true);
    }
    let bytes = states.backend.bytes();
    println!("{millions} M keys with a count and a timer each, {} MiB in memory\n", bytes >> 20);
    println!("| what | seconds | M updates/s | longest batch ms |\n|---|---:|---:|---:|");
    let row = |what: &str, (speed, longest, time): (f64, Duration, Duration)| {
        let (time, longest) = (time.as_secs_f64(), longest.as_secs_f64() * 1e3);
        println!("| {what} | {time:.3} | {speed:.1} | {longest:.1} |");
    };
    let alone = |description: &str, time: Duration| {
        println!("| {description} | {:.4} | - | - |", time.as_secs_f64());
    };
    let second = |time: Duration| time >= Duration::from_secs(1);
    row("updates, no snapshot", states.work(second));
    let start = Instant::now();
    let expected = states.backend.snapshot().unwrap();
    alone("snapshot while the task waits", start.elapsed());
    let start = Instant::now();
    let mut snapshot = states.backend.begin_snapshot().unwrap();
    alone("begun, to be encoded beside the task", start.elapsed());
    let encoder = std::thread::spawn(move || {
        let start = Instant::now();
        snapshot.complete(&Arc::default()).unwrap();
        (snapshot, start.elapsed())
    });
    row("updates until it is encoded", states.work(|_| encoder.is_finished()));
    let (snapshot, encoding) = encoder.join().unwrap();
    alone("encoding beside the task", encoding);
    assert_eq!(snapshot, expected);
    let held = budget.used();
    let mut copied = usize::MAX;
    row(
        "updates until the copies are back",
        states.work(|time| {
            let used = budget.used();
            let done = used >= copied && time > Duration::from_millis(50) || time > Duration::from_secs(20);
            copied = used;
            done && used < bytes * 21 / 20
        }),
    );
    row("updates after that", states.work(second));
    println!(
        "\nlargest: {} MiB, of which the task's copies are {}",
        held >> 20,
        held.saturating_sub(bytes) >> 20
    );
}
