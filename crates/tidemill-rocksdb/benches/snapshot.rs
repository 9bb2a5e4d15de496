//! How long a native snapshot takes beside a canonical one, and restoring from each.
//!
//! `cargo bench -p tidemill-rocksdb --bench snapshot -- 1000` with about so many megabytes of state; 200 when none are said.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::config::Configuration;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId};
use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackend};
use tidemill_state::*;

fn context(subtask: u32, parallelism: u32) -> SubtaskContext {
    SubtaskContext {
        operator: OperatorId::from_name("snapshot"),
        subtask,
        key_groups: KeyGroupRange::of_subtask(subtask, parallelism, 128),
        max_parallelism: 128,
        clock: Arc::new(SystemClock),
        budget: MemoryBudget::unlimited("state"),
    }
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{what:<58} {:>9.1} ms", start.elapsed().as_secs_f64() * 1e3);
    result
}

/// Values that do not compress.
fn value(key: u64) -> Vec<u8> {
    let mut bits = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        bits
    };
    (0..125).flat_map(|_| next().to_le_bytes()).collect()
}

fn main() {
    let megabytes: u64 = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(200);
    let keys = megabytes * 1_000_000 / 1_016;
    let folder = tempfile::tempdir().unwrap();
    let settings = RocksDbSettings::of(&Configuration::new()).unwrap();
    let backend = RocksDbStateBackend::new(settings, Some(512 << 20), &[folder.path().into()]).unwrap();
    let mut state = KeyedStateBackend::<u64>::open(&backend, context(0, 1)).unwrap();
    let values: ValueState<Vec<u8>> = state.register_value(ValueStateDescriptor::new("value")).unwrap();
    let write = |state: &mut KeyedStateBackend<u64>, keys: std::ops::Range<u64>| {
        for key in keys {
            state.set_current_key(&key, key.routing_hash()).unwrap();
            values.update(state, value(key)).unwrap();
        }
    };
    timed(&format!("write {keys} keys"), || write(&mut state, 0..keys));
    let first = timed("native snapshot, the first", || state.snapshot_native().unwrap());
    println!(
        "{:<58} {:>9.1} MB in {} files",
        "",
        first.byte_size() as f64 / 1e6,
        first.native[0].files.len()
    );
    write(&mut state, 0..keys / 100);
    let second = timed("native snapshot, 1 % of the keys written since", || state.snapshot_native().unwrap());
    let known: Vec<_> = first.native[0].files.iter().filter_map(|file| file.shared_id.clone()).collect();
    let new = second.native[0]
        .files
        .iter()
        .filter(|file| !file.shared_id.as_ref().is_some_and(|id| known.contains(id)));
    println!("{:<58} {:>9.1} MB of it new", "", new.map(|file| file.bytes).sum::<u64>() as f64 / 1e6);
    drop(timed("native snapshot, nothing written since", || state.snapshot_native().unwrap()));
    let canonical = timed("canonical snapshot", || state.snapshot().unwrap());
    drop(state);
    let restore = |what: &str, from: &SubtaskSnapshot, subtask, parallelism| {
        timed(what, || {
            let mut state = KeyedStateBackend::<u64>::open(&backend, context(subtask, parallelism)).unwrap();
            state.restore([from]).unwrap();
            state.register_value::<(), Vec<u8>>(ValueStateDescriptor::new("value")).unwrap();
            state.snapshot_native().unwrap()
        })
    };
    restore("restore from the native one, and a snapshot", &second, 0, 1);
    let half = restore("restore the first of two subtasks, and a snapshot", &second, 0, 2);
    let mut both = half;
    both.absorb(restore("restore the second of two, and a snapshot", &second, 1, 2));
    restore("restore one subtask from these two, and a snapshot", &both, 0, 1);
    restore("restore from the canonical one, and a snapshot", &canonical, 0, 1);
}
