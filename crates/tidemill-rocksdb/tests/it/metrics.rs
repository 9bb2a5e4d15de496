//! Figures of RocksDB: each option gives one, and it moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::config::options;
use tidemill_core::hash::RoutingHash;
use tidemill_rocksdb::RocksDbStore;
use tidemill_state::*;

use crate::native::context;
use crate::settings;
use crate::states::Over;

type Figures = BTreeMap<(Option<String>, String), u64>;

fn figures(metrics: &Arc<dyn NativeMetrics>) -> Figures {
    let mut figures = Figures::new();
    metrics.read(&mut |metric| {
        let id = (metric.state.map(str::to_owned), metric.name.to_owned());
        assert!(figures.insert(id, metric.value).is_none(), "{metric:?} is there twice");
    });
    figures
}

struct Running {
    store: Arc<RocksDbStore>,
    state: KeyedStateBackend<u64>,
    value: ValueState<u64>,
    _folder: tempfile::TempDir,
}

/// With these figures, and filters.
fn running(metrics: &[&str]) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = metrics.iter().map(|name| format!("metrics.{name}")).collect();
    let mut entries: Vec<_> = names.iter().map(|name| (name.as_str(), "true")).collect();
    entries.push(("use-bloom-filter", "true"));
    let store = Arc::new(RocksDbStore::open(folder.path().join("db"), &settings(&entries), None).unwrap());
    let clock = ManualClock::at(0);
    let mut state = KeyedStateBackend::open(&Over(Arc::clone(&store), 0), context(0, 1, &clock)).unwrap();
    let value = state.register_value(ValueStateDescriptor::new("visits")).unwrap();
    Running { store, state, value, _folder: folder }
}

impl Running {
    fn work(&mut self) {
        for key in (0..2_000u64).step_by(2) {
            self.state.set_current_key(&key, key.routing_hash()).unwrap();
            self.value.update(&mut self.state, key).unwrap();
        }
        self.store.compact(self.store.open_table("visits").unwrap()).unwrap();
        for key in 0..2_000u64 {
            self.state.set_current_key(&key, key.routing_hash()).unwrap();
            self.value.get(&mut self.state).unwrap();
        }
        self.state.keys("visits", &()).unwrap();
        // Left in memory: writes and removals.
        for key in 0..5_000u64 {
            self.state.set_current_key(&key, key.routing_hash()).unwrap();
            self.value.update(&mut self.state, key).unwrap();
            self.value.clear(&mut self.state).unwrap();
        }
    }
}

const OPTION: &str = "state.backend.rocksdb.metrics.";

#[test]
fn every_option_gives_its_figure_and_it_moves() {
    let keys = options::all().filter_map(|option| option.meta().key.strip_prefix(OPTION));
    let keys: Vec<&str> = keys.filter(|key| *key != "column-family-as-variable").collect();
    assert_eq!(keys.len(), 38);
    let mut running = running(&keys);
    let metrics = running.state.native_metrics().unwrap();
    let before = figures(&metrics);
    // Seven levels count as one option.
    assert_eq!(before.len(), 38 + 6);
    running.work();
    let after = figures(&metrics);
    assert!(before.keys().eq(after.keys()));
    let of_state = |key: &str| (Some("visits".to_owned()), format!("rocksdb.{key}"));
    let of_all = |key: &str| {
        // Flink calls these two otherwise than their options.
        let name = key.replace("compaction-", "compact-").replace('-', "_");
        (None, format!("rocksdb.{name}"))
    };
    // What is 0 unless RocksDB is in trouble, or in the middle of something.
    let still = [
        "num-immutable-mem-table",
        "mem-table-flush-pending",
        "compaction-pending",
        "background-errors",
        "num-entries-imm-mem-tables",
        "num-deletes-imm-mem-tables",
        "num-snapshots",
        "estimate-pending-compaction-bytes",
        "num-running-compactions",
        "num-running-flushes",
        "actual-delayed-write-rate",
        "is-write-stopped",
        "block-cache-pinned-usage",
        "stall-micros",
        // There from the start.
        "block-cache-capacity",
        "num-live-versions",
    ];
    for key in keys.iter().copied().filter(|key| *key != "num-files-at-level") {
        let found = [of_state(key), of_all(key)].into_iter().find(|id| after.contains_key(id));
        let id = found.unwrap_or_else(|| panic!("there is no figure for {key}"));
        if still.contains(&key) {
            continue;
        }
        assert!(after[&id] > before[&id], "{key}: {} and then {}", before[&id], after[&id]);
    }
    assert_eq!(after[&of_state("block-cache-capacity")], 8 << 20);
    assert_eq!(after[&of_state("num-deletes-active-mem-table")], 5_000);
    let level = |level: usize| after[&of_state(&format!("num-files-at-level{level}"))];
    assert_eq!((0..7).map(level).sum::<u64>(), 1);
}

#[test]
fn only_what_is_switched_on_is_there() {
    assert!(running(&[]).state.native_metrics().is_none());
    let mut one = running(&["block-cache-hit", "column-family-as-variable"]);
    let metrics = one.state.native_metrics().unwrap();
    assert!(metrics.state_as_variable());
    one.work();
    let found = figures(&metrics);
    assert!(found.len() == 1 && found[&(None, "rocksdb.block_cache_hit".to_owned())] > 0);
    let other = running(&["estimate-num-keys"]);
    assert!(!other.state.native_metrics().unwrap().state_as_variable());
}

/// A thread that shows figures does not keep a store, and does not mind when it is gone.
#[test]
fn figures_are_read_from_another_thread_until_the_store_is_gone() {
    let mut running = running(&["estimate-num-keys"]);
    running.work();
    let metrics = running.state.native_metrics().unwrap();
    let read = std::thread::spawn({
        let metrics = Arc::clone(&metrics);
        move || figures(&metrics).len()
    });
    assert_eq!(read.join().unwrap(), 1);
    let another: ValueState<u64> =
        running.state.register_value(ValueStateDescriptor::new("another")).unwrap();
    running.state.set_current_key(&1, 1u64.routing_hash()).unwrap();
    another.update(&mut running.state, 7).unwrap();
    assert_eq!(figures(&metrics)[&(Some("another".to_owned()), "rocksdb.estimate-num-keys".to_owned())], 1);
    drop(running);
    assert!(figures(&metrics).is_empty());
}
