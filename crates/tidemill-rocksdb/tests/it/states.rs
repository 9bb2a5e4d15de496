//! States over RocksDB, beside the same in memory.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use tidemill_core::hash::RoutingHash;
use tidemill_rocksdb::{RocksDbStateBackend, RocksDbStore};
use tidemill_state::*;

use crate::memory::{backend, subtask};
use crate::settings;

/// Gives out one store that is there already, behind a cache of so many bytes.
pub(crate) struct Over(pub(crate) Arc<RocksDbStore>, pub(crate) usize);

impl StateBackend for Over {
    fn name(&self) -> &'static str {
        "over"
    }

    fn open(&self, _: &SubtaskContext) -> Result<Storage, StateError> {
        let store = Arc::<RocksDbStore>::clone(&self.0);
        Ok(if self.1 == 0 {
            Storage::Ordered(store)
        } else {
            Storage::Cached(store, StateCache::new(self.1))
        })
    }
}

pub(crate) fn over(store: Arc<RocksDbStore>) -> KeyedStateBackend<u64> {
    KeyedStateBackend::open(&Over(store, 0), subtask(0)).unwrap()
}

#[derive(Clone, Debug)]
enum Action {
    Count(u64),
    Append(u64, u32),
    Put(u64, String, i64),
    Remove(u64, String),
    Clear(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0..12u64;
    let user_key = prop::sample::select(vec!["", "a", "ab", "b", "\u{ff}"]).prop_map(str::to_owned);
    prop_oneof![
        key.clone().prop_map(Action::Count),
        (key.clone(), any::<u32>()).prop_map(|(key, item)| Action::Append(key, item)),
        (key.clone(), user_key.clone(), any::<i64>())
            .prop_map(|(key, at, value)| Action::Put(key, at, value)),
        (key.clone(), user_key).prop_map(|(key, at)| Action::Remove(key, at)),
        key.prop_map(Action::Clear),
    ]
}

struct States {
    backend: KeyedStateBackend<u64>,
    count: ValueState<u64>,
    list: ListState<u32>,
    map: MapState<String, i64>,
}

impl States {
    fn new(backend: &dyn StateBackend) -> Self {
        let mut backend = KeyedStateBackend::open(backend, subtask(0)).unwrap();
        let count = backend.register_value(ValueStateDescriptor::new("count")).unwrap();
        let list = backend.register_list(ListStateDescriptor::new("list")).unwrap();
        let map = backend.register_map(MapStateDescriptor::new("map")).unwrap();
        Self { backend, count, list, map }
    }

    fn at(&mut self, key: u64) -> &mut KeyedStateBackend<u64> {
        self.backend.set_current_key(&key, key.routing_hash()).unwrap();
        &mut self.backend
    }

    fn act(&mut self, action: &Action) {
        let (count, list, map) = (self.count, self.list, self.map);
        match action {
            Action::Count(key) => count.modify(self.at(*key), || 0, |count| *count += 1).map(drop),
            Action::Append(key, item) => list.add(self.at(*key), *item),
            Action::Put(key, at, value) => map.put(self.at(*key), at.clone(), *value),
            Action::Remove(key, at) => map.remove(self.at(*key), at),
            Action::Clear(key) => {
                let backend = self.at(*key);
                count.clear(backend).and_then(|()| list.clear(backend)).and_then(|()| map.clear(backend))
            }
        }
        .unwrap();
    }

    fn all(&mut self) -> Vec<(Option<u64>, Vec<u32>, Vec<(String, i64)>)> {
        let (count, list, map) = (self.count, self.list, self.map);
        (0..12)
            .map(|key| {
                let backend = self.at(key);
                let mut entries = map.entries(backend).unwrap();
                entries.sort();
                (count.get(backend).unwrap(), list.get(backend).unwrap(), entries)
            })
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Also after what was written has gone to disk and was merged there; and a snapshot goes from one to the other.
    #[test]
    fn states_are_the_same_as_in_memory(
        actions in prop::collection::vec(prop::collection::vec(action(), 1..60), 1..4),
        // None, one that something is always evicted from, and one for all.
        cache in prop::sample::select(vec![0, 1000, 1 << 20]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let rocksdb = backend(settings(&[]), Some(64 << 20), folder.path());
        let store = Arc::new(rocksdb.open_store(&subtask(0)).unwrap());
        let (mut stored, mut heap) = (States::new(&Over(Arc::clone(&store), cache)), States::new(&HashMapStateBackend));
        for some in &actions {
            for action in some {
                stored.act(action);
                heap.act(action);
            }
            prop_assert_eq!(stored.all(), heap.all());
            stored.backend.flush().unwrap();
            store.flush().unwrap();
        }
        prop_assert_eq!(stored.all(), heap.all());
        let (from_store, from_heap) = (stored.backend.snapshot().unwrap(), heap.backend.snapshot().unwrap());
        let mut again = States::new(&HashMapStateBackend);
        again.backend.restore([&from_store]).unwrap();
        prop_assert_eq!(again.all(), heap.all());
        let mut again = States::new(&rocksdb);
        again.backend.restore([&from_heap]).unwrap();
        prop_assert_eq!(again.all(), heap.all());
    }
}

#[test]
fn files_are_spread_over_the_folders_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let disks = [folder.path().join("disk-1"), folder.path().join("disk-2")];
    let listed = disks.each_ref().map(|disk| disk.to_str().unwrap()).join(",");
    let backend =
        RocksDbStateBackend::new(settings(&[("localdir", &listed)]), None, &[PathBuf::from("/nonexistent")])
            .unwrap();
    let stores: Vec<_> = (0..4).map(|number| backend.open_store(&subtask(number)).unwrap()).collect();
    let on_each =
        disks.each_ref().map(|disk| stores.iter().filter(|store| store.path().starts_with(disk)).count());
    assert_eq!(on_each, [2, 2]);
    assert!(stores.iter().all(|store| store.path().is_dir()));
    let paths: Vec<PathBuf> = stores.iter().map(|store| store.path().to_owned()).collect();
    drop(stores);
    assert!(paths.iter().all(|path| !path.exists()));
    drop(backend);
    for disk in disks {
        assert_eq!(std::fs::read_dir(disk).unwrap().count(), 0);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let backend = backend(settings(&[]), None, &file);
    let error = backend.open_store(&subtask(0)).err().unwrap().to_string();
    assert!(
        error.contains(file.to_str().unwrap()) && error.contains("state.backend.rocksdb.localdir"),
        "{error}"
    );
}
