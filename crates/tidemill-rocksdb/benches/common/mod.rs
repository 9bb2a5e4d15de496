//! What the benchmarks have in common.

#![allow(dead_code)] // Each uses a part of it.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId};
use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackend, RocksDbStore};
use tidemill_state::{
    KeyedStateBackend, StateBackend, StateError, Storage, SubtaskContext, SystemClock, ValueState,
    ValueStateDescriptor,
};

/// How many records a batch has.
pub(crate) const BATCH: usize = 4096;

/// How often everything is measured: `ROUNDS`, else 3.
pub(crate) fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// Random numbers, the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to below 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Random keys with their hashes.
pub(crate) struct Keys {
    pub(crate) keys: Vec<u64>,
    pub(crate) hashes: Vec<u64>,
}

impl Keys {
    /// So many records with keys below `keys`: all alike often, or as in Zipf's law with an exponent of 0.99.
    pub(crate) fn new(records: usize, keys: u64, skewed: bool) -> Self {
        let mut random = Random(88_172_645_463_325_252);
        // The usual approximation of Zipf's law by the inverse of a power.
        let power = 1.0 - 0.99;
        let draw = |random: &mut Random| {
            if skewed {
                let top = (keys as f64).powf(power) - 1.0;
                let rank = (1.0 + random.share() * top).powf(1.0 / power) as u64 - 1;
                // Frequent keys lie anywhere.
                rank.min(keys - 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys
            } else {
                random.next() % keys
            }
        };
        let keys: Vec<u64> = (0..records).map(|_| draw(&mut random)).collect();
        let hashes = keys.iter().map(RoutingHash::routing_hash).collect();
        Self { keys, hashes }
    }
}

/// A subtask that has all key groups.
pub(crate) fn subtask() -> SubtaskContext {
    SubtaskContext {
        operator: OperatorId::from_name("count"),
        subtask: 0,
        key_groups: KeyGroupRange::all(128),
        max_parallelism: 128,
        clock: Arc::new(SystemClock),
        budget: MemoryBudget::unlimited("state"),
    }
}

/// RocksDB for a slot, in a folder that goes with it.
pub(crate) struct Slot {
    pub(crate) backend: RocksDbStateBackend,
    _folder: tempfile::TempDir,
}

impl Slot {
    /// With so many MiB, the share of the cache, and some options of `state.backend.rocksdb.`.
    pub(crate) fn new(mib: f64, fraction: f64, options: &[(&str, &str)]) -> Self {
        let mut configuration = Configuration::new();
        for (key, value) in options {
            configuration.set_raw(format!("state.backend.rocksdb.{key}"), *value, Origin::CommandLine);
        }
        let mut settings = RocksDbSettings::of(&configuration).unwrap();
        settings.cache_fraction = fraction;
        let folder = match std::env::var("FOLDER") {
            Ok(folder) => tempfile::tempdir_in(folder).unwrap(),
            Err(_) => tempfile::tempdir().unwrap(),
        };
        let total = (mib * f64::from(1 << 20)) as u64;
        let backend = RocksDbStateBackend::new(settings, Some(total), &[folder.path().into()]).unwrap();
        Self { backend, _folder: folder }
    }
}

/// Gives out one store that is there already, behind the cache of its slot.
pub(crate) struct Over(pub(crate) Arc<RocksDbStore>);

impl StateBackend for Over {
    fn name(&self) -> &'static str {
        "over"
    }

    fn open(&self, _: &SubtaskContext) -> Result<Storage, StateError> {
        let store = Arc::<RocksDbStore>::clone(&self.0);
        Ok(match self.0.memory().and_then(|memory| memory.values()).cloned() {
            None => Storage::Ordered(store),
            Some(values) => Storage::Cached(store, values),
        })
    }
}

/// A state with a count for each key.
pub(crate) fn counts(backend: &dyn StateBackend) -> (KeyedStateBackend<u64>, ValueState<u64>) {
    let mut state = KeyedStateBackend::open(backend, subtask()).unwrap();
    let count = state.register_value(ValueStateDescriptor::new("count")).unwrap();
    (state, count)
}

/// The time in the middle.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
