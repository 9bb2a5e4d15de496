//! What RocksDB does while much is written: flushes, writes, merges, and stalls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidemill_core::hash::RoutingHash;
use tidemill_rocksdb::{RocksDbStore, SlotMemory, Ticker};
use tidemill_state::*;

use crate::native::context;
use crate::settings;
use crate::states::{Over, over};

const ROW: usize = 500;

struct Rows {
    store: Arc<RocksDbStore>,
    state: KeyedStateBackend<u64>,
    text: ValueState<String>,
    _folder: tempfile::TempDir,
}

impl Rows {
    /// In a store with these options, within `memory` bytes if that is not 0.
    fn new(entries: &[(&str, &str)], memory: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(entries);
        settings.cache_fraction = 0.0;
        let memory = (memory > 0).then(|| SlotMemory::new(memory, &settings));
        let store = RocksDbStore::open(folder.path().join("db"), &settings, memory.as_ref()).unwrap();
        let store = Arc::new(store);
        let mut state = over(Arc::clone(&store));
        let text = state.register_value(ValueStateDescriptor::new("text")).unwrap();
        Self { store, state, text, _folder: folder }
    }

    fn write(&mut self, keys: std::ops::Range<u64>) {
        for key in keys {
            self.state.set_current_key(&key, key.routing_hash()).unwrap();
            self.text.update(&mut self.state, format!("{key:>ROW$}")).unwrap();
        }
    }
}

/// Of 32 MiB, 4.3 or 17 may be write buffers, and RocksDB writes them to disk when seven eighths of that are used.
#[test]
fn write_buffers_are_written_to_disk_when_they_have_used_up_their_share() {
    let of = |ratio: &str| {
        let entries = [
            ("memory.write-buffer-ratio", ratio),
            // None is full by itself.
            ("writebuffer.size", "32 mb"),
            ("metrics.bytes-written", "true"),
        ];
        let mut rows = Rows::new(&entries, 32 << 20);
        let mut most = 0;
        for from in (0..20_000).step_by(100) {
            rows.write(from..from + 100);
            most = most.max(rows.store.memory().unwrap().write_buffers_used());
        }
        (most, rows.store.ticker(Ticker::FlushWriteBytes))
    };
    let (small, flushed) = of("0.2");
    assert!(flushed > 0 && small < 12 << 20, "{flushed} bytes were flushed, at most {small} were used");
    let (large, flushed) = of("0.8");
    assert!(flushed == 0 && large > 10 << 20, "{flushed} bytes were flushed, at most {large} were used");
}

/// Rows of other subtasks are written in batches of the size that is set.
#[test]
fn rows_are_copied_in_batches_of_the_size_that_is_set() {
    let clock = ManualClock::at(0);
    let mut subtasks: Vec<Rows> = (0..2).map(|_| Rows::new(&[], 0)).collect();
    let snapshots: Vec<SubtaskSnapshot> = subtasks
        .iter_mut()
        .zip(0..)
        .map(|(rows, subtask)| {
            let context = context(subtask, 2, &clock);
            let owned = context.key_groups;
            rows.state = KeyedStateBackend::open(&Over(Arc::clone(&rows.store), 0), context).unwrap();
            rows.text = rows.state.register_value(ValueStateDescriptor::new("text")).unwrap();
            for key in 0..4_000u64 {
                if owned.contains(tidemill_core::key_group::key_group(key.routing_hash(), 32)) {
                    rows.write(key..key + 1);
                }
            }
            rows.state.snapshot_native().unwrap()
        })
        .collect();
    let writes = |size: &str| {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&[("write-batch-size", size), ("metrics.bytes-written", "true")]);
        let store = Arc::new(RocksDbStore::prepare(folder.path().join("db"), &settings, None).unwrap());
        let mut state =
            KeyedStateBackend::<u64>::open(&Over(Arc::clone(&store), 0), context(0, 1, &clock)).unwrap();
        state.restore(&snapshots).unwrap();
        let writes = store.ticker(Ticker::WriteDoneBySelf);
        let text: ValueState<String> = state.register_value(ValueStateDescriptor::new("text")).unwrap();
        for key in 0..4_000u64 {
            state.set_current_key(&key, key.routing_hash()).unwrap();
            assert_eq!(text.get(&mut state).unwrap().unwrap().trim(), key.to_string());
        }
        writes
    };
    let (small, large) = (writes("4 kb"), writes("2 mb"));
    // About two thousand rows: eight to nine of them at once, or five hundred, which is always enough.
    assert!((200..300).contains(&small) && large < 10, "{small} writes, and {large}");
}

/// Where nothing merges the files, what is left to be merged is known to the byte.
#[test]
fn what_waits_to_be_merged_is_told() {
    let mut rows = Rows::new(&[("compaction.style", "none")], 0);
    let table = rows.store.open_table("text").unwrap();
    let pending = |rows: &Rows| {
        ["rocksdb.compaction-pending", "rocksdb.estimate-pending-compaction-bytes"]
            .map(|name| rows.store.property(table, name).unwrap().unwrap())
    };
    assert_eq!(pending(&rows), [0, 0]);
    for _ in 0..6 {
        rows.write(0..500);
        rows.store.flush().unwrap();
    }
    let [is_pending, bytes] = pending(&rows);
    assert!(is_pending == 1 && bytes > 6_000, "{bytes} bytes");
}

#[test]
fn figures_move_while_rocksdb_flushes_merges_and_stalls() {
    const FIGURES: [&str; 8] = [
        "num-running-flushes",
        "num-running-compactions",
        "mem-table-flush-pending",
        "num-immutable-mem-table",
        "num-entries-imm-mem-tables",
        "compaction-pending",
        "estimate-pending-compaction-bytes",
        "stall-micros",
    ];
    let metrics = FIGURES.map(|name| format!("metrics.{name}"));
    let mut entries: Vec<(&str, &str)> = metrics.iter().map(|name| (name.as_str(), "true")).collect();
    // Files that are soon full, and few threads.
    entries.extend([
        ("writebuffer.size", "64 kb"),
        ("thread.num", "1"),
        ("compression.per.level", "NO_COMPRESSION"),
    ]);
    let mut rows = Rows::new(&entries, 0);
    let metrics = rows.state.native_metrics().unwrap();
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most: BTreeMap<String, u64> = BTreeMap::new();
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                metrics.read(&mut |metric| {
                    let seen = most.entry(metric.name.to_owned()).or_default();
                    *seen = (*seen).max(metric.value);
                });
                if most.values().all(|most| *most > 0) || Instant::now() > deadline {
                    done.store(true, Ordering::Relaxed);
                    return most;
                }
            }
        });
        let mut from = 0;
        while !done.load(Ordering::Relaxed) {
            rows.write(from..from + 1_000);
            from = (from + 1_000) % 20_000;
        }
        watching.join().unwrap()
    });
    assert!(seen.len() == FIGURES.len() && seen.values().all(|most| *most > 0), "{seen:?}");
}
