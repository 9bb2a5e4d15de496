//! All RocksDBs of a slot within one memory.

use std::path::PathBuf;
use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId};
use tidemill_rocksdb::{
    MemorySplit, RocksDbSettings, RocksDbStateBackend, RocksDbStateBackends, SlotMemory, Ticker,
};
use tidemill_state::{
    KeyedStateBackend, OrderedStore, StateBackendFactory, SubtaskContext, SystemClock, ValueState,
    ValueStateDescriptor,
};

use crate::settings;

/// Figures of Flink's own calculator.
#[test]
fn a_memory_is_divided_as_flink_does() {
    let figures = [
        (134_217_728, 0.5, 111_848_106, 44_739_242, 39_146_836),
        (268_435_456, 0.5, 223_696_213, 89_478_485, 78_293_674),
        (536_870_920, 0.5, 447_392_433, 178_956_973, 156_587_351),
        (1_073_741_824, 0.3, 966_367_641, 214_748_364, 187_904_818),
        (1_073_741_824, 0.7, 823_202_065, 501_079_517, 438_444_577),
        (1_438_814_063, 0.5, 1_199_011_719, 479_604_687, 419_654_101),
        (6_335_076_856, 0.5, 5_279_230_713, 2_111_692_285, 1_847_730_749),
    ];
    for (total, ratio, cache, write_buffers, mutable) in figures {
        let split = MemorySplit::of(total, ratio);
        assert_eq!((split.cache, split.write_buffers), (cache, write_buffers), "{total} at {ratio}");
        assert_eq!(split.mutable_write_buffers(), mutable, "{total} at {ratio}");
    }
}

pub(crate) fn subtask(subtask: u32) -> SubtaskContext {
    SubtaskContext {
        operator: OperatorId::from_name("count"),
        subtask,
        key_groups: KeyGroupRange::all(128),
        max_parallelism: 128,
        clock: Arc::new(SystemClock),
        budget: MemoryBudget::unlimited("state"),
    }
}

pub(crate) fn backend(
    settings: RocksDbSettings,
    managed: Option<u64>,
    folder: &std::path::Path,
) -> RocksDbStateBackend {
    RocksDbStateBackend::new(settings, managed, &[PathBuf::from(folder)]).unwrap()
}

/// Settings without a cache of values.
fn plain(entries: &[(&str, &str)]) -> RocksDbSettings {
    let mut settings = settings(entries);
    settings.cache_fraction = 0.0;
    settings
}

#[test]
fn all_states_of_a_slot_stay_within_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let total = 32 << 20;
    let backend = backend(plain(&[("writebuffer.size", "4 mb")]), Some(total), folder.path());
    let memory = backend.memory().unwrap().clone();
    let mut states: Vec<_> = (0..2)
        .map(|number| {
            let mut state = KeyedStateBackend::<u64>::open(&backend, subtask(number)).unwrap();
            let value: ValueState<String> = state.register_value(ValueStateDescriptor::new("text")).unwrap();
            (state, value)
        })
        .collect();
    let mut most = 0;
    for key in 0..60_000u64 {
        for (state, value) in &mut states {
            state.set_current_key(&key, key.routing_hash()).unwrap();
            value.update(state, format!("{key:>500}")).unwrap();
        }
        most = most.max(memory.used());
    }
    for (state, value) in &mut states {
        for key in (0..60_000u64).step_by(997) {
            state.set_current_key(&key, key.routing_hash()).unwrap();
            assert_eq!(value.get(state).unwrap().unwrap().trim(), key.to_string());
        }
    }
    // Twice 30 MB of state went through; the cache with the write buffers in it stays what it is, but for a memtable more.
    assert!(most > 4 << 20, "{most}");
    assert!(most < total as usize + (8 << 20), "{most}");
}

/// The cache of values comes first; without one the split is Flink's to the byte.
#[test]
fn the_cache_of_values_takes_its_share_first() {
    let folder = tempfile::tempdir().unwrap();
    let memory = |fraction: f64| {
        let mut settings = settings(&[]);
        settings.cache_fraction = fraction;
        backend(settings, Some(536_870_920), folder.path()).memory().unwrap().clone()
    };
    let none = memory(0.0);
    assert!(none.values().is_none());
    assert_eq!(none.split(), MemorySplit::of(536_870_920, 0.5));
    assert_eq!((none.split().cache, none.split().write_buffers), (447_392_433, 178_956_973));
    let quarter = memory(0.25);
    assert_eq!(quarter.values().unwrap().limit(), 134_217_730);
    assert_eq!(quarter.split(), MemorySplit::of(402_653_190, 0.5));
}

#[test]
fn a_fixed_memory_counts_more_than_the_managed_one() {
    let folder = tempfile::tempdir().unwrap();
    let capacity = |settings: RocksDbSettings| {
        backend(settings, Some(64 << 20), folder.path()).memory().map(SlotMemory::capacity)
    };
    let of = |total: u64| Some(MemorySplit::of(total, 0.5).cache as usize);
    assert_eq!(capacity(plain(&[])), of(64 << 20));
    assert_eq!(capacity(plain(&[("memory.fixed-per-slot", "16 mb")])), of(16 << 20));
    assert_eq!(capacity(plain(&[("memory.managed", "false")])), None);
    let wide = plain(&[("memory.write-buffer-ratio", "0.8")]);
    let split = backend(wide, Some(64 << 20), folder.path()).memory().unwrap().split();
    assert_eq!(split, MemorySplit::of(64 << 20, 0.8));
}

#[test]
fn what_a_limited_memory_overrides_is_said() {
    let warnings = |entries: &[(&str, &str)], total: u64| {
        let settings = plain(entries);
        SlotMemory::new(total, &settings).warnings(&settings)
    };
    assert!(warnings(&[], 1 << 30).is_empty());
    let [cache] = &warnings(&[("block.cache-size", "256 mb")], 1 << 30)[..] else { panic!() };
    assert!(cache.starts_with("state.backend.rocksdb.block.cache-size has no effect"), "{cache}");
    let [tiny] = &warnings(&[], 16 << 20)[..] else { panic!() };
    assert!(tiny.contains("every write would be followed by one to disk"), "{tiny}");
    let [large] = &warnings(&[("writebuffer.count", "8")], 1 << 30)[..] else { panic!() };
    assert!(large.contains("do not fit into the 313174698 bytes"), "{large}");
}

/// A filter answers for keys that are not there, so that no block is looked at.
#[test]
fn a_bloom_filter_saves_looking_for_absent_keys() {
    let useful = |filter: &str, bits: &str| {
        let folder = tempfile::tempdir().unwrap();
        let backend = backend(
            settings(&[
                ("use-bloom-filter", filter),
                ("bloom-filter.bits-per-key", bits),
                ("metrics.bloom-filter-useful", "true"),
            ]),
            Some(64 << 20),
            folder.path(),
        );
        let store = Arc::new(backend.open_store(&subtask(0)).unwrap());
        let mut state = crate::states::over(Arc::clone(&store));
        let value: ValueState<u64> = state.register_value(ValueStateDescriptor::new("count")).unwrap();
        let at = |state: &mut KeyedStateBackend<u64>, key: u64| {
            state.set_current_key(&key, key.routing_hash()).unwrap()
        };
        for key in (0..20_000).step_by(2) {
            at(&mut state, key);
            value.update(&mut state, key).unwrap();
        }
        store.flush().unwrap();
        for key in 0..20_000 {
            at(&mut state, key);
            assert_eq!(value.get(&mut state).unwrap(), (key % 2 == 0).then_some(key));
        }
        store.ticker(Ticker::BloomFilterUseful)
    };
    assert_eq!(useful("false", "10"), 0);
    // Of 10,000 absent keys: 1 % get through with 10 bits, 40 % with 2.
    assert!((9_800..10_000).contains(&useful("true", "10")));
    assert!((5_000..7_500).contains(&useful("true", "2")));
}

/// The filter of a file is one block: it has to fit into the part of the cache that it falls into.
#[test]
fn a_large_filter_stays_in_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let entries = [
        ("use-bloom-filter", "true"),
        ("bloom-filter.bits-per-key", "100"),
        ("metrics.bloom-filter-useful", "true"),
    ];
    let backend = backend(plain(&entries), Some(64 << 20), folder.path());
    let store = Arc::new(backend.open_store(&subtask(0)).unwrap());
    let mut state = crate::states::over(Arc::clone(&store));
    let value: ValueState<u64> = state.register_value(ValueStateDescriptor::new("count")).unwrap();
    for key in 0..100_000u64 {
        state.set_current_key(&key, key.routing_hash()).unwrap();
        value.update(&mut state, key).unwrap();
    }
    // Filters of files that were not merged yet are held on to anyway.
    store.compact(store.open_table("count").unwrap()).unwrap();
    for key in 100_000..101_000u64 {
        state.set_current_key(&key, key.routing_hash()).unwrap();
        assert_eq!(value.get(&mut state).unwrap(), None);
    }
    assert!(store.ticker(Ticker::BlockCacheFilterHit) > 900);
    assert!(
        store.ticker(Ticker::BlockCacheFilterMiss) < 10,
        "{}",
        store.ticker(Ticker::BlockCacheFilterMiss)
    );
}

/// One memory for all slots of a TaskManager, where neither the managed nor a fixed memory per slot counts.
#[test]
fn a_fixed_memory_of_the_task_manager_is_shared_by_its_slots() {
    let folder = tempfile::tempdir().unwrap();
    let managed = || MemoryBudget::new("managed memory", 64 << 20, "taskmanager.memory.managed.size");
    let write = |backends: &RocksDbStateBackends, managed: &MemoryBudget| {
        let slot = backends.of_slot(managed).unwrap();
        let mut state = KeyedStateBackend::<u64>::open(&*slot, subtask(0)).unwrap();
        let value: ValueState<String> = state.register_value(ValueStateDescriptor::new("text")).unwrap();
        for key in 0..2_000u64 {
            state.set_current_key(&key, key.routing_hash()).unwrap();
            value.update(&mut state, format!("{key:>500}")).unwrap();
        }
        state
    };
    let settings = plain(&[("memory.managed", "false"), ("memory.fixed-per-tm", "32 mb")]);
    let backends = RocksDbStateBackends::new(settings, vec![folder.path().into()]);
    let shared = backends.shared_memory().unwrap();
    assert_eq!(shared.split(), MemorySplit::of(32 << 20, 0.5));
    let (first, budget) = (managed(), managed());
    let one = write(&backends, &first);
    let of_one = shared.write_buffers_used();
    let two = write(&backends, &budget);
    assert!(of_one > 1_000_000 && shared.write_buffers_used() > of_one + 1_000_000);
    assert_eq!(
        (first.available(), budget.available()),
        (64 << 20, 64 << 20),
        "the managed memory is left alone"
    );
    drop((one, two));
}
