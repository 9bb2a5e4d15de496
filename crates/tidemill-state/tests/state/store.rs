//! An ordered store in a `BTreeMap`, to test the stored tables without a database.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId};
use tidemill_state::*;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
pub(crate) struct TreeStore {
    tables: Mutex<Vec<(String, Rows)>>,
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

fn context() -> SubtaskContext {
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
