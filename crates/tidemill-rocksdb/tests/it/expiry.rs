//! What has expired goes when RocksDB merges files.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidemill_core::hash::RoutingHash;
use tidemill_rocksdb::RocksDbStore;
use tidemill_state::*;

use crate::native::context;
use crate::settings;
use crate::states::Over;

struct Expiring {
    store: Arc<RocksDbStore>,
    clock: ManualClock,
    state: KeyedStateBackend<u64>,
    value: ValueState<u64>,
    list: ListState<u64>,
    map: MapState<u64, u64>,
    lasting: ValueState<u64>,
    _folder: tempfile::TempDir,
}

const TABLES: [&str; 3] = ["value", "list", "map"];

/// State that lives for 100 ms; no access looks at other entries.
fn expiring(entries: &[(&str, &str)], change: impl Fn(StateTtlConfig) -> StateTtlConfig) -> Expiring {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(RocksDbStore::open(folder.path().join("db"), &settings(entries), None).unwrap());
    let clock = ManualClock::at(1_000);
    let mut state = KeyedStateBackend::open(&Over(Arc::clone(&store), 0), context(0, 1, &clock)).unwrap();
    let ttl = change(StateTtlConfig::new(Duration::from_millis(100)).cleanup_incrementally(0));
    let value = state.register_value(ValueStateDescriptor::new("value").with_ttl(ttl)).unwrap();
    let list = state.register_list(ListStateDescriptor::new("list").with_ttl(ttl)).unwrap();
    let map = state.register_map(MapStateDescriptor::new("map").with_ttl(ttl)).unwrap();
    let lasting = state.register_value(ValueStateDescriptor::new("lasting")).unwrap();
    Expiring { store, clock, state, value, list, map, lasting, _folder: folder }
}

impl Expiring {
    fn write(&mut self, keys: std::ops::Range<u64>, item: u64) {
        for key in keys {
            self.state.set_current_key(&key, key.routing_hash()).unwrap();
            self.value.update(&mut self.state, item).unwrap();
            self.list.add(&mut self.state, item).unwrap();
            self.map.put(&mut self.state, item, item).unwrap();
            self.lasting.update(&mut self.state, item).unwrap();
        }
    }

    fn compact(&self) {
        for name in ["value", "list", "map", "lasting"] {
            let table = self.store.open_table(name).unwrap();
            // What was appended becomes a value by the first.
            self.store.compact(table).unwrap();
            self.store.compact(table).unwrap();
        }
    }

    /// The rows of a table, and the bytes of their values.
    fn rows(&self, name: &str) -> (usize, usize) {
        let (mut rows, mut bytes) = (0, 0);
        let table = self.store.open_table(name).unwrap();
        let mut count = |_: &[u8], row: &[u8]| {
            rows += 1;
            bytes += row.len();
            true
        };
        self.store.scan(table, &[], None, &mut count).unwrap();
        (rows, bytes)
    }
}

#[test]
fn rows_that_have_expired_vanish_and_others_stay() {
    let mut states = expiring(&[], |ttl| ttl);
    states.write(0..100, 1);
    states.clock.set(1_060);
    states.write(50..150, 2);
    states.compact();
    assert_eq!(TABLES.map(|name| states.rows(name).0), [150, 150, 200]);
    let list_bytes = states.rows("list").1;
    // What was written first is gone: all of 50 keys, and of 50 more an element of the list and an entry of the map.
    states.clock.set(1_100);
    states.compact();
    assert_eq!(TABLES.map(|name| states.rows(name).0), [100, 100, 100]);
    assert_eq!(states.rows("list").1, list_bytes / 2);
    for key in 50..150u64 {
        states.state.set_current_key(&key, key.routing_hash()).unwrap();
        assert_eq!(states.value.get(&mut states.state).unwrap(), Some(2));
        assert_eq!(states.list.get(&mut states.state).unwrap(), [2]);
        assert_eq!(states.map.entries(&mut states.state).unwrap().into_iter().collect::<Vec<_>>(), [(2, 2)]);
    }
    states.clock.set(1_160);
    states.compact();
    assert_eq!(TABLES.map(|name| states.rows(name).0), [0; 3]);
    assert_eq!(states.rows("lasting").0, 150, "it does not expire");
}

#[test]
fn clean_up_can_be_left_to_others() {
    let mut states = expiring(&[], StateTtlConfig::disable_cleanup_in_background);
    states.write(0..100, 1);
    states.clock.set(2_000);
    states.compact();
    assert_eq!(TABLES.map(|name| states.rows(name).0), [100; 3]);
}

/// The time is looked at again after as many entries as the configuration says, or the state.
#[test]
fn the_time_is_looked_at_again_after_some_entries() {
    /// Each look lets ten milliseconds pass.
    struct Ticking(ManualClock);

    impl RowFilter for Ticking {
        fn now(&self) -> i64 {
            self.0.advance(10);
            self.0.now()
        }

        fn judge(&self, _: &[u8], _: i64, _: &mut Vec<u8>) -> RowFate {
            RowFate::Keep
        }

        fn look_again_after(&self) -> Option<u64> {
            (self.0.now() >= 1_000_000).then_some(5)
        }
    }

    let looks = |configured: &str, at: i64| {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&[("compaction.filter.query-time-after-num-entries", configured)]);
        let store = RocksDbStore::open(folder.path().join("db"), &settings, None).unwrap();
        let clock = ManualClock::at(at);
        store.set_row_filter("rows", Arc::new(Ticking(clock.clone()))).unwrap();
        let table = store.open_table("rows").unwrap();
        let mut batch = WriteBatch::default();
        (0..100u8).for_each(|key| batch.put(&[key], |_| ()));
        store.write(table, &batch).unwrap();
        store.compact(table).unwrap();
        (clock.now() - at) / 10
    };
    // One compaction or several: RocksDB may merge the last level once more.
    let (often, seldom, own) = (looks("10", 0), looks("1000", 0), looks("1000", 1_000_000));
    assert!(seldom >= 1 && often == 10 * seldom && own == 20 * seldom, "{often} {seldom} {own}");
}

/// Tables that are restored judge their rows, too, as soon as their state is declared.
#[test]
fn restored_rows_expire() {
    let mut states = expiring(&[], |ttl| ttl);
    states.write(0..100, 1);
    let snapshot = states.state.snapshot_native().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = RocksDbStore::prepare(folder.path().join("db"), &settings(&[]), None).unwrap();
    let store = Arc::new(store);
    let clock = ManualClock::at(2_000);
    let mut state =
        KeyedStateBackend::<u64>::open(&Over(Arc::clone(&store), 0), context(0, 1, &clock)).unwrap();
    state.restore([&snapshot]).unwrap();
    let ttl = StateTtlConfig::new(Duration::from_millis(100)).cleanup_incrementally(0);
    state.register_value::<(), u64>(ValueStateDescriptor::new("value").with_ttl(ttl)).unwrap();
    let table = store.open_table("value").unwrap();
    let count = || {
        let mut rows = 0;
        let mut visit = |_: &[u8], _: &[u8]| {
            rows += 1;
            true
        };
        store.scan(table, &[], None, &mut visit).unwrap();
        rows
    };
    assert_eq!(count(), 100);
    store.compact(table).unwrap();
    assert_eq!(count(), 0);
}

#[derive(Clone, Debug)]
enum Access {
    Update(u64),
    Read(u64),
    Add(u64),
    List(u64),
    Put(u64, u8),
    Get(u64, u8),
    Entries(u64),
    Remove(u64, u8),
    Wait(u8),
    /// Has RocksDB drop what has expired.
    Compact,
    Snapshot,
}

fn access() -> impl Strategy<Value = Access> {
    let key = 0..4u64;
    let at = 0..3u8;
    prop_oneof![
        2 => key.clone().prop_map(Access::Update),
        2 => key.clone().prop_map(Access::Read),
        3 => key.clone().prop_map(Access::Add),
        2 => key.clone().prop_map(Access::List),
        3 => (key.clone(), at.clone()).prop_map(|(key, at)| Access::Put(key, at)),
        2 => (key.clone(), at.clone()).prop_map(|(key, at)| Access::Get(key, at)),
        2 => key.clone().prop_map(Access::Entries),
        1 => (key, at).prop_map(|(key, at)| Access::Remove(key, at)),
        6 => (1..60u8).prop_map(Access::Wait),
        2 => Just(Access::Compact),
        1 => Just(Access::Snapshot),
    ]
}

/// A value, a list and a map that live for 100 ms.
struct Lives {
    state: KeyedStateBackend<u64>,
    value: ValueState<i64>,
    list: ListState<i64>,
    map: MapState<u8, i64>,
}

impl Lives {
    fn open(backend: &dyn StateBackend, clock: &ManualClock, ttl: StateTtlConfig) -> Self {
        let mut state = KeyedStateBackend::open(backend, context(0, 1, clock)).unwrap();
        let value = state.register_value(ValueStateDescriptor::new("value").with_ttl(ttl)).unwrap();
        let list = state.register_list(ListStateDescriptor::new("list").with_ttl(ttl)).unwrap();
        let map = state.register_map(MapStateDescriptor::new("map").with_ttl(ttl)).unwrap();
        Self { state, value, list, map }
    }

    /// What is seen.
    fn access(&mut self, access: &Access, now: i64) -> String {
        let Self { state, value, list, map } = self;
        let (Access::Update(key)
        | Access::Read(key)
        | Access::Add(key)
        | Access::List(key)
        | Access::Put(key, _)
        | Access::Get(key, _)
        | Access::Entries(key)
        | Access::Remove(key, _)) = access
        else {
            return String::new();
        };
        state.set_current_key(key, key.routing_hash()).unwrap();
        match access {
            Access::Update(_) => value.update(state, now).unwrap(),
            Access::Read(_) => return format!("{:?}", value.get(state).unwrap()),
            Access::Add(_) => list.add(state, now).unwrap(),
            Access::List(_) => return format!("{:?}", list.get(state).unwrap()),
            Access::Put(_, at) => map.put(state, *at, now).unwrap(),
            Access::Get(_, at) => return format!("{:?}", map.get(state, at).unwrap()),
            Access::Entries(_) => {
                let mut entries = map.entries(state).unwrap();
                entries.sort_unstable();
                return format!("{entries:?}");
            }
            Access::Remove(_, at) => map.remove(state, at).unwrap(),
            Access::Wait(_) | Access::Compact | Access::Snapshot => {}
        }
        String::new()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// RocksDB drops rows that the cache in front still knows, and knows with other times.
    #[test]
    fn what_is_seen_does_not_depend_on_when_rows_are_dropped(
        accesses in prop::collection::vec(access(), 1..80),
        cache in prop::sample::select(vec![0, 1000, 1 << 20]),
        renew: bool,
        incrementally in 0..3usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(RocksDbStore::open(folder.path().join("db"), &settings(&[]), None).unwrap());
        let clock = ManualClock::at(1_000);
        let update = if renew { TtlUpdate::OnReadAndWrite } else { TtlUpdate::OnCreateAndWrite };
        let ttl = StateTtlConfig::new(Duration::from_millis(100)).update(update).cleanup_incrementally(incrementally);
        let mut stored = Lives::open(&Over(Arc::clone(&store), cache), &clock, ttl);
        let mut heap = Lives::open(&HashMapStateBackend, &clock, ttl);
        let all = (0..4).flat_map(|key| [Access::Read(key), Access::List(key), Access::Entries(key)]);
        for (step, access) in accesses.iter().cloned().chain(all).enumerate() {
            match access {
                Access::Wait(millis) => clock.advance(millis.into()),
                Access::Compact => {
                    for name in TABLES {
                        store.compact(store.open_table(name).unwrap()).unwrap();
                    }
                }
                Access::Snapshot => drop(stored.state.snapshot_native().unwrap()),
                _ => {}
            }
            let now = clock.now();
            prop_assert_eq!(stored.access(&access, now), heap.access(&access, now), "step {}: {:?}", step, access);
        }
    }
}
