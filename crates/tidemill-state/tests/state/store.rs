//! An ordered store in a `BTreeMap`, to test the stored tables without a database.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId};
use tidemill_state::*;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
pub(crate) struct TreeStore {
    tables: Mutex<Vec<(String, Rows)>>,
    /// Whether it takes no more changes.
    pub(crate) broken: AtomicBool,
}

impl TreeStore {
    /// How many rows all tables have together.
    pub(crate) fn rows(&self) -> usize {
        self.tables.lock().unwrap().iter().map(|(_, rows)| rows.len()).sum()
    }
}

impl OrderedStore for TreeStore {
    fn open_table(&self, state: &str) -> Result<TableId, StateError> {
        let mut tables = self.tables.lock().unwrap();
        let place = tables.iter().position(|(name, _)| name == state).unwrap_or_else(|| {
            tables.push((state.to_owned(), Rows::new()));
            tables.len() - 1
        });
        Ok(TableId(place as u32))
    }

    fn multi_get(
        &self,
        table: TableId,
        keys: &RowKeys,
        found: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StateError> {
        let tables = self.tables.lock().unwrap();
        let rows = &tables[table.0 as usize].1;
        // Any order is allowed, so the least likely one is used.
        for index in (0..keys.len()).rev() {
            found(index, rows.get(keys.get(index)).map(Vec::as_slice));
        }
        Ok(())
    }

    fn write(&self, table: TableId, batch: &WriteBatch) -> Result<(), StateError> {
        if self.broken.load(Ordering::Relaxed) {
            let reason = "no space left on device".to_owned();
            return Err(StateError::Store { action: "write rows", reason, retryable: false });
        }
        let mut tables = self.tables.lock().unwrap();
        let rows = &mut tables[table.0 as usize].1;
        for change in batch.iter() {
            match change {
                Write::Put(key, value) => {
                    rows.insert(key.to_vec(), value.to_vec());
                }
                Write::Append(key, value) => {
                    rows.entry(key.to_vec()).or_default().extend_from_slice(value);
                }
                Write::Delete(key) => {
                    rows.remove(key);
                }
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let tables = self.tables.lock().unwrap();
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = tables[table.0 as usize].1.range::<[u8], _>((Bound::Included(from), to));
        rows.all(|(key, value)| visit(key, value));
        Ok(())
    }

    fn view(&self, table: TableId) -> Result<Option<Box<dyn TableView>>, StateError> {
        Ok(Some(Box::new(Copy(self.tables.lock().unwrap()[table.0 as usize].1.clone()))))
    }
}

/// The rows of a table at one moment.
struct Copy(Rows);

impl TableView for Copy {
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range::<[u8], _>((Bound::Included(from), to)).all(|(key, value)| visit(key, value));
        Ok(())
    }
}

/// Keeps state in a [`TreeStore`]: the one given, or a new one; behind a cache if one is given.
#[derive(Default)]
pub(crate) struct TreeBackend {
    pub(crate) store: Option<Arc<TreeStore>>,
    pub(crate) cache: Option<StateCache>,
}

impl StateBackend for TreeBackend {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn open(&self, _subtask: &SubtaskContext) -> Result<Storage, StateError> {
        let store = self.store.clone().unwrap_or_default();
        Ok(match &self.cache {
            None => Storage::Ordered(store),
            Some(cache) => Storage::Cached(store, cache.clone()),
        })
    }
}

pub(crate) fn context() -> SubtaskContext {
    SubtaskContext {
        operator: OperatorId::from_name("test"),
        subtask: 0,
        key_groups: KeyGroupRange::all(128),
        max_parallelism: 128,
        clock: Arc::new(SystemClock),
        budget: MemoryBudget::unlimited("test"),
    }
}

/// Two states of one slot, with many more entries than there is room for: the limit holds, a quarter at most is dirty after each
/// batch, and a flush leaves everything in the store. Without one, what is only in the cache is not there.
#[test]
fn a_cache_keeps_its_limit_and_a_flush_writes_the_rest() {
    for limit in [1 << 20, 16 << 20] {
        let (store, cache) = (Arc::new(TreeStore::default()), StateCache::new(limit));
        let backend = TreeBackend { store: Some(Arc::clone(&store)), cache: Some(cache.clone()) };
        let mut state = KeyedStateBackend::<u64>::open(&backend, context()).unwrap();
        let counts = ["first", "second"]
            .map(|name| state.register_value::<(), u64>(ValueStateDescriptor::new(name)).unwrap());
        for round in 0..2 {
            for start in (0..60_000).step_by(1000) {
                let keys: Vec<u64> = (start..start + 1000).collect();
                let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
                let batch = KeyBatch::new(&hashes, &keys).unwrap();
                for count in counts {
                    let add = |slots: Slots<'_>, counts: &mut [u64]| {
                        assert_eq!(slots.created.len(), if round == 0 { 1000 } else { 0 });
                        slots.slots.iter().for_each(|slot| counts[*slot as usize] += 1);
                    };
                    count.update_batch(&mut state, &batch, |_| 0, add).unwrap();
                    assert!(cache.used() <= limit && cache.dirty() <= limit / 4 + 64 * 1000);
                }
            }
        }
        assert!(cache.dirty() > 0);
        let stored = |name| {
            let without = TreeBackend { store: Some(Arc::clone(&store)), cache: None };
            let mut state = KeyedStateBackend::<u64>::open(&without, context()).unwrap();
            let count = state.register_value::<(), u64>(ValueStateDescriptor::new(name)).unwrap();
            let mut twice = 0;
            count.for_each(&mut state, |_, _, count| twice += usize::from(*count == 2)).unwrap();
            twice
        };
        assert!(stored("first") < 60_000 || stored("second") < 60_000);
        state.flush().unwrap();
        assert_eq!((stored("first"), stored("second"), cache.dirty()), (60_000, 60_000, 0));
    }
}

/// So many entries are dirty at once that they are written in large rounds, some key groups at a time, while entries come, change, go
/// and are evicted: none is lost, comes back, or has an old value.
#[test]
fn what_is_written_in_large_rounds_is_what_was_put() {
    const KEYS: u64 = 600_000;
    const LIMIT: usize = 32 << 20;
    let (store, cache) = (Arc::new(TreeStore::default()), StateCache::new(LIMIT));
    let backend = TreeBackend { store: Some(Arc::clone(&store)), cache: Some(cache.clone()) };
    let mut state = KeyedStateBackend::<u64>::open(&backend, context()).unwrap();
    let sum = state.register_value::<(), u64>(ValueStateDescriptor::new("sum")).unwrap();
    let mut model: BTreeMap<u64, u64> = BTreeMap::new();
    let mut random = 1u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut dirtiest = 0;
    for round in 0..160u64 {
        let mut keys: Vec<u64> = (0..8_000).map(|_| next(KEYS)).collect();
        keys.sort_unstable();
        keys.dedup();
        let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
        let batch = KeyBatch::new(&hashes, &keys).unwrap();
        let add = |slots: Slots<'_>, sums: &mut [u64]| {
            slots.slots.iter().for_each(|slot| sums[*slot as usize] += round + 1);
        };
        sum.update_batch(&mut state, &batch, |_| 0, add).unwrap();
        keys.iter().for_each(|key| *model.entry(*key).or_default() += round + 1);
        for _ in 0..200 {
            let key = next(KEYS);
            state.set_current_key(&key, key.routing_hash()).unwrap();
            sum.clear(&mut state).unwrap();
            model.remove(&key);
        }
        dirtiest = dirtiest.max(cache.dirty());
        for _ in 0..20 {
            let key = next(KEYS);
            state.set_current_key(&key, key.routing_hash()).unwrap();
            assert_eq!(sum.get(&mut state).unwrap(), model.get(&key).copied(), "key {key} in round {round}");
        }
    }
    assert!(dirtiest > LIMIT / 5, "only {dirtiest} bytes were dirty at once");
    let entries = |state: &mut KeyedStateBackend<u64>, sum: ValueState<u64>| {
        let mut found = BTreeMap::new();
        sum.for_each(state, |key, _, sum| assert!(found.insert(*key, *sum).is_none())).unwrap();
        found
    };
    assert!(entries(&mut state, sum) == model, "read through the cache");
    state.flush().unwrap();
    assert_eq!((cache.dirty(), store.rows()), (0, model.len()));
    let without = TreeBackend { store: Some(store), cache: None };
    let mut state = KeyedStateBackend::<u64>::open(&without, context()).unwrap();
    let sum = state.register_value::<(), u64>(ValueStateDescriptor::new("sum")).unwrap();
    assert!(entries(&mut state, sum) == model, "read from the store");
}
