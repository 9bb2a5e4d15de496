//! How long a native snapshot takes beside a canonical one, and restoring from each; how long of it the task waits; and by how much
//! the memory of the process grows at most.
//!
//! `cargo bench -p tidemill-rocksdb --bench snapshot -- 1000` with about so many megabytes of state; 200 when none are said.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::budget::MemoryBudget;
use tidemill_core::config::Configuration;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId, ScratchFolder};
use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackend};
use tidemill_state::*;

/// What RocksDB has.
const MANAGED: u64 = 128 << 20;
/// What a cluster holds of a snapshot in memory.
const IN_MEMORY: usize = 8 << 20;

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

/// A line of `/proc/self/status`, in megabytes.
fn memory(line: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next());
    found.and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e3
}

/// The second of the two is how long the task waits.
fn measured<T>(what: &str, run: impl FnOnce() -> (T, Option<Duration>)) -> T {
    // Has the peak begin anew.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS:");
    let start = Instant::now();
    let (result, waits) = run();
    let took = start.elapsed().as_secs_f64() * 1e3;
    let waits = waits.map_or(took, |waits| waits.as_secs_f64() * 1e3);
    println!("{what:<58} {took:>9.1} {waits:>9.2} {:>9.1}", memory("VmHWM:") - before);
    result
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    measured(what, || (run(), None))
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
    let backend = RocksDbStateBackend::new(settings, Some(MANAGED), &[folder.path().into()]).unwrap();
    let spill = Spill::new(ScratchFolder::within(folder.path()), IN_MEMORY);
    let mut state = KeyedStateBackend::<u64>::open(&backend, context(0, 1)).unwrap();
    let values: ValueState<Vec<u8>> = state.register_value(ValueStateDescriptor::new("value")).unwrap();
    let write = |state: &mut KeyedStateBackend<u64>, keys: std::ops::Range<u64>| {
        for key in keys {
            state.set_current_key(&key, key.routing_hash()).unwrap();
            values.update(state, value(key)).unwrap();
        }
    };
    println!("{:<58} {:>9} {:>9} {:>9}", "", "ms", "waits ms", "MB more");
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
    let mut canonical = |what, compress| {
        // What is not written to the store yet, for which the task waits.
        write(&mut state, 0..keys / 100);
        measured(what, || {
            let start = Instant::now();
            let mut snapshot = state.begin_snapshot().unwrap();
            let waits = start.elapsed();
            snapshot.complete_spilling(&Arc::default(), &spill).unwrap();
            let file = spill.new_file().unwrap();
            snapshot.write_file(&file, compress, &Arc::default()).unwrap();
            (file, Some(waits))
        })
    };
    let file = canonical("canonical snapshot into a file", false);
    println!("{:<58} {:>9.1} MB", "", fs::metadata(file.path()).unwrap().len() as f64 / 1e6);
    let compressed = canonical("canonical snapshot into a compressed file", true);
    println!("{:<58} {:>9.1} MB", "", fs::metadata(compressed.path()).unwrap().len() as f64 / 1e6);
    drop(compressed);
    let restore = |what: &str, from: &dyn Fn() -> SubtaskSnapshot, subtask, parallelism| {
        timed(what, || {
            let mut state = KeyedStateBackend::<u64>::open(&backend, context(subtask, parallelism)).unwrap();
            state.restore([&from()]).unwrap();
            state.register_value::<(), Vec<u8>>(ValueStateDescriptor::new("value")).unwrap();
            state.snapshot_native().unwrap()
        })
    };
    let opened = timed("open the canonical one", || SubtaskSnapshot::open(file, &spill).unwrap());
    let dealt = redistribute(vec![opened.clone()], 128, 2).unwrap();
    drop(restore("restore from the canonical one, and a snapshot", &|| opened.clone(), 0, 1));
    drop(restore("restore the first of two from it, and a snapshot", &|| dealt[0].clone(), 0, 2));
    drop((opened, dealt));
    drop(restore("restore from the native one, and a snapshot", &|| second.clone(), 0, 1));
    let half = restore("restore the first of two subtasks, and a snapshot", &|| second.clone(), 0, 2);
    let mut both = half;
    both.absorb(restore("restore the second of two, and a snapshot", &|| second.clone(), 1, 2));
    drop(restore("restore one subtask from these two, and a snapshot", &|| both.clone(), 0, 1));
    let in_memory = timed("canonical snapshot in memory", || {
        let snapshot = state.snapshot().unwrap();
        snapshot.encode()
    });
    drop(state);
    drop(restore(
        "restore from that, and a snapshot",
        &|| SubtaskSnapshot::decode(&in_memory).unwrap(),
        0,
        1,
    ));
}
