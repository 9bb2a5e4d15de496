//! Counts by key in batches of 4096, in memory (`hashmap`) and in RocksDB (`rocksdb`) behind its cache of values, and prints the
//! throughput of both and their ratio: `cargo bench -p tidemill-rocksdb --bench update [-- NAME ...]`.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // A table of results is what it is for.

mod common;

use std::time::{Duration, Instant};

use tidemill_state::{HashMapStateBackend, KeyBatch, StateBackend};

use common::{BATCH, Keys, Slot, median};

/// Counts the keys `rounds` times after one round that is not measured; the seconds of the fastest part of each round.
fn count(backend: &dyn StateBackend, keys: &Keys, rounds: usize) -> Vec<Duration> {
    let (mut state, count) = common::counts(backend);
    let mut times = Vec::new();
    for _ in 0..=rounds {
        let start = Instant::now();
        for (keys, hashes) in keys.keys.chunks(BATCH).zip(keys.hashes.chunks(BATCH)) {
            let batch = KeyBatch::new(hashes, keys).unwrap();
            count
                .update_batch(
                    &mut state,
                    &batch,
                    |_| 0,
                    |slots, counts| {
                        slots.slots.iter().for_each(|slot| counts[*slot as usize] += 1);
                    },
                )
                .unwrap();
        }
        times.push(start.elapsed());
    }
    times.split_off(1)
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    // What a key takes in the cache is printed beside it.
    let cases: [(&str, u64, usize, [f64; 2], bool); 6] = [
        ("an eighth of the cache", 400_000, 4_000_000, [128.0, 128.0], false),
        ("an eighth of the cache, skewed", 400_000, 4_000_000, [128.0, 128.0], true),
        ("most of the cache", 1_600_000, 8_000_000, [64.0, 128.0], false),
        ("most of the cache, skewed", 1_600_000, 8_000_000, [64.0, 128.0], true),
        // Nor does RocksDB have them all in memory.
        ("20 times the cache", 2_350_000, 2_350_000, [4.0, 32.0], false),
        ("20 times the cache, skewed", 2_350_000, 2_350_000, [4.0, 32.0], true),
    ];
    println!(
        "| working set | keys | cache MiB | hashmap M/s | rocksdb M/s | of hashmap | rocksdb without cache M/s |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, keys, records, [cache, rest], skewed) in cases {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let count_of = keys;
        let keys = Keys::new(records, keys, skewed);
        let (mut heap, mut cached, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        // In turn, so that a busy machine harms all alike.
        for _ in 0..common::rounds() {
            heap.extend(count(&HashMapStateBackend, &keys, 1));
            let slot = Slot::new(cache + rest, cache / (cache + rest), &[("writebuffer.size", "8 mb")]);
            cached.extend(count(&slot.backend, &keys, 1));
            drop(slot);
            if bare.is_empty() {
                let slot = Slot::new(cache + rest, 0.0, &[("writebuffer.size", "8 mb")]);
                bare.extend(count(&slot.backend, &keys, 1));
            }
        }
        let speed = |times: Vec<Duration>| records as f64 / 1e6 / median(times).as_secs_f64();
        let (heap, cached, bare) = (speed(heap), speed(cached), speed(bare));
        println!(
            "| {name} | {count_of} | {cache} | {heap:.1} | {cached:.2} | {:.0} % | {bare:.2} |",
            100.0 * cached / heap
        );
    }
}
