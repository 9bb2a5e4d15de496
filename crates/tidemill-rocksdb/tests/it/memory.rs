//! All RocksDBs of a slot within one memory.

use std::path::PathBuf;
use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId};
use tidemill_rocksdb::{MemorySplit, RocksDbSettings, RocksDbStateBackend, SlotMemory, Ticker};
use tidemill_state::{KeyedStateBackend, SubtaskContext, SystemClock, ValueState, ValueStateDescriptor};

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

#[test]
fn all_states_of_a_slot_stay_within_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let total = 32 << 20;
    let backend = backend(settings(&[("writebuffer.size", "4 mb")]), Some(total), folder.path());
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

#[test]
fn a_fixed_memory_counts_more_than_the_managed_one() {
    let folder = tempfile::tempdir().unwrap();
    let capacity = |settings: RocksDbSettings| {
        backend(settings, Some(64 << 20), folder.path()).memory().map(SlotMemory::capacity)
    };
    let of = |total: u64| Some(MemorySplit::of(total, 0.5).cache as usize);
    assert_eq!(capacity(settings(&[])), of(64 << 20));
    assert_eq!(capacity(settings(&[("memory.fixed-per-slot", "16 mb")])), of(16 << 20));
    assert_eq!(capacity(settings(&[("memory.managed", "false")])), None);
    let wide = settings(&[("memory.write-buffer-ratio", "0.8")]);
    let split = backend(wide, Some(64 << 20), folder.path()).memory().unwrap().split();
    assert_eq!(split, MemorySplit::of(64 << 20, 0.8));
}

#[test]
fn what_a_limited_memory_overrides_is_said() {
    let warnings = |entries: &[(&str, &str)], total: u64| {
        let settings = settings(entries);
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
            settings(&[("use-bloom-filter", filter), ("bloom-filter.bits-per-key", bits)]),
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
