//! Counts 20 million records over a million keys in a value state and in a plain hash map with the same hash,
//! and prints the ratio of their times.

#![allow(clippy::print_stdout)] // A table of results is what it is for.

use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tidemill_core::KeyGroupRange;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::{self, RoutingHash};
use tidemill_state::{KeyBatch, KeyedStateBackend, SystemClock, ValueState, ValueStateDescriptor};

const RECORDS: usize = 20_000_000;
const KEYS: u64 = 1_000_000;
const BATCH: usize = 4096;

#[derive(Default)]
struct Routing(u64);

impl Hasher for Routing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash::bytes(bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = hash::uint(value);
    }
}

fn backend() -> (KeyedStateBackend<u64>, ValueState<u64>) {
    let budget = MemoryBudget::unlimited("bench");
    let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    match backend.register_value(ValueStateDescriptor::new("count")) {
        Ok(state) => (backend, state),
        Err(error) => unreachable!("an empty backend takes any state: {error}"),
    }
}

fn plain(keys: &[u64]) -> u64 {
    let mut counts: HashMap<u64, u64, BuildHasherDefault<Routing>> = HashMap::default();
    for key in keys {
        *counts.entry(*key).or_insert(0) += 1;
    }
    counts.values().copied().max().unwrap_or(0)
}

fn batches(keys: &[u64], hashes: &[u64]) -> u64 {
    let (mut backend, count) = backend();
    let mut most = 0;
    for (keys, hashes) in keys.chunks(BATCH).zip(hashes.chunks(BATCH)) {
        let counted = KeyBatch::new(hashes, keys).and_then(|batch| {
            count.update_batch(
                &mut backend,
                &batch,
                |_| 0,
                |slots, counts| {
                    slots.slots.iter().for_each(|slot| counts[*slot as usize] += 1);
                },
            )
        });
        assert!(counted.is_ok());
    }
    let shown = count.for_each(&mut backend, |_, _, n| most = most.max(*n));
    assert!(shown.is_ok());
    most
}

fn one_by_one(keys: &[u64], hashes: &[u64], prefetch: bool) -> u64 {
    let (mut backend, count) = backend();
    let mut most = 0;
    for (keys, hashes) in keys.chunks(BATCH).zip(hashes.chunks(BATCH)) {
        if prefetch {
            backend.prefetch(hashes);
        }
        for (key, hash) in keys.iter().zip(hashes) {
            let counted = backend
                .set_current_key(key, *hash)
                .and_then(|()| count.modify(&mut backend, || 0, |count| *count += 1));
            assert!(counted.is_ok());
        }
    }
    let shown = count.for_each(&mut backend, |_, _, n| most = most.max(*n));
    assert!(shown.is_ok());
    most
}

fn main() {
    let mut random = 88_172_645_463_325_252_u64;
    let keys: Vec<u64> = (0..RECORDS)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % KEYS
        })
        .collect();
    let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    let mut best = [Duration::MAX; 4];
    let mut answers = [0; 4];
    // The best of some rounds in turn, so that a busy machine harms all alike.
    for _ in 0..3 {
        let runs: [&dyn Fn() -> u64; 4] =
            [&|| plain(&keys), &|| batches(&keys, &hashes), &|| one_by_one(&keys, &hashes, true), &|| {
                one_by_one(&keys, &hashes, false)
            }];
        for (i, run) in runs.iter().enumerate() {
            let start = Instant::now();
            answers[i] = black_box(run());
            best[i] = best[i].min(start.elapsed());
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    println!("{RECORDS} records, {KEYS} keys, batches of {BATCH}");
    println!("{:<24} {:>8} {:>10} {:>22}", "", "ms", "ns/record", "time of the plain map");
    let names = ["plain hash map", "state, batch", "state, key by key", "  without prefetch"];
    for (name, time) in names.iter().zip(best) {
        let ratio = time.as_secs_f64() / best[0].as_secs_f64();
        let each = time.as_nanos() as f64 / RECORDS as f64;
        println!("{name:<24} {:>8} {each:>10.1} {ratio:>21.2}x", time.as_millis());
    }
}
