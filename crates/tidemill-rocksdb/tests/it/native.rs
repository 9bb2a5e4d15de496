//! Snapshots that are files: what they hold, where they are restored, and what happens when a file is not as it was.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{Classified, KeyGroupRange, OperatorId, key_group};
use tidemill_rocksdb::RocksDbStateBackend;
use tidemill_state::*;

use crate::settings;

const GROUPS: u32 = 32;

pub(crate) fn context(subtask: u32, parallelism: u32, clock: &ManualClock) -> SubtaskContext {
    SubtaskContext {
        operator: OperatorId::from_name("count"),
        subtask,
        key_groups: KeyGroupRange::of_subtask(subtask, parallelism, GROUPS),
        max_parallelism: GROUPS,
        clock: Arc::new(clock.clone()),
        budget: MemoryBudget::unlimited("state"),
    }
}

fn rocksdb(folder: &Path, entries: &[(&str, &str)]) -> RocksDbStateBackend {
    RocksDbStateBackend::new(settings(entries), Some(64 << 20), &[PathBuf::from(folder)]).unwrap()
}

/// Stores of a backend, behind a cache that they share.
struct Behind(RocksDbStateBackend, StateCache);

impl StateBackend for Behind {
    fn name(&self) -> &'static str {
        "behind"
    }

    fn open(&self, subtask: &SubtaskContext) -> Result<Storage, StateError> {
        let store = Arc::new(self.0.open_store(subtask)?);
        Ok(if self.1.limit() == 0 { Storage::Ordered(store) } else { Storage::Cached(store, self.1.clone()) })
    }
}

#[derive(Clone, Debug)]
enum Action {
    Count(u64),
    Append(u64, u32),
    Put(u64, String, i64),
    Remove(u64, String),
    Touch(u64),
    Clear(u64),
    Wait(u8),
}

fn action() -> impl Strategy<Value = Action> {
    let key = 0..40u64;
    let user_key = prop::sample::select(vec!["", "a", "ab", "\u{ff}"]).prop_map(str::to_owned);
    prop_oneof![
        key.clone().prop_map(Action::Count),
        (key.clone(), any::<u32>()).prop_map(|(key, item)| Action::Append(key, item)),
        (key.clone(), user_key.clone(), any::<i64>())
            .prop_map(|(key, at, value)| Action::Put(key, at, value)),
        (key.clone(), user_key).prop_map(|(key, at)| Action::Remove(key, at)),
        key.clone().prop_map(Action::Touch),
        key.prop_map(Action::Clear),
        (1..40u8).prop_map(Action::Wait),
    ]
}

/// What should be there: count, list, map, and when it was last touched.
type Model = BTreeMap<u64, (Option<u64>, Vec<u32>, BTreeMap<String, i64>, Option<i64>)>;

const LIVES: i64 = 50;

fn in_model(model: &mut Model, now: &mut i64, action: &Action) {
    match action {
        Action::Count(key) => *model.entry(*key).or_default().0.get_or_insert(0) += 1,
        Action::Append(key, item) => model.entry(*key).or_default().1.push(*item),
        Action::Put(key, at, value) => drop(model.entry(*key).or_default().2.insert(at.clone(), *value)),
        Action::Remove(key, at) => drop(model.entry(*key).or_default().2.remove(at)),
        Action::Touch(key) => model.entry(*key).or_default().3 = Some(*now),
        Action::Clear(key) => drop(model.remove(key)),
        Action::Wait(millis) => *now += i64::from(*millis),
    }
}

struct Subtask {
    backend: KeyedStateBackend<u64>,
    count: ValueState<u64>,
    list: ListState<u32>,
    map: MapState<String, i64>,
    touched: MapState<u8, i64>,
    /// The same once more, as a value.
    seen: ValueState<i64>,
    due: Timers,
}

impl Subtask {
    fn open(backend: &dyn StateBackend, context: SubtaskContext, from: Option<&SubtaskSnapshot>) -> Self {
        let mut backend = KeyedStateBackend::open(backend, context).unwrap();
        backend.restore(from).unwrap();
        let lives = StateTtlConfig::new(Duration::from_millis(LIVES as u64));
        let count = backend.register_value(ValueStateDescriptor::new("count")).unwrap();
        let list = backend.register_list(ListStateDescriptor::new("list")).unwrap();
        let map = backend.register_map(MapStateDescriptor::new("map")).unwrap();
        let touched = backend.register_map(MapStateDescriptor::new("touched").with_ttl(lives)).unwrap();
        let seen = backend.register_value(ValueStateDescriptor::new("seen").with_ttl(lives)).unwrap();
        let due = backend.register_timers("due").unwrap();
        Self { backend, count, list, map, touched, seen, due }
    }

    fn act(&mut self, key: u64, now: i64, action: &Action) {
        let Self { backend, count, list, map, touched, seen, due } = self;
        backend.set_current_key(&key, key.routing_hash()).unwrap();
        match action {
            Action::Count(_) => count.modify(backend, || 0, |count| *count += 1),
            Action::Append(_, item) => list.add(backend, *item),
            Action::Put(_, at, value) => map.put(backend, at.clone(), *value),
            Action::Remove(_, at) => map.remove(backend, at),
            Action::Touch(_) => {
                due.register(backend, TimeDomain::Event, now, &()).unwrap();
                seen.update(backend, now).unwrap();
                touched.put(backend, 1, now)
            }
            _ => {
                count.clear(backend).unwrap();
                list.clear(backend).unwrap();
                touched.clear(backend).unwrap();
                seen.clear(backend).unwrap();
                map.clear(backend)
            }
        }
        .unwrap();
    }

    fn add_to(&mut self, found: &mut Model, now: i64) {
        let Self { backend, count, list, map, touched, seen, .. } = self;
        for key in 0..40u64 {
            if backend.set_current_key(&key, key.routing_hash()).is_ok() {
                let entries = map.entries(backend).unwrap().into_iter().collect::<BTreeMap<_, _>>();
                let at = touched.get(backend, &1).unwrap();
                assert!(at.is_none_or(|at| at + LIVES > now));
                assert_eq!(seen.get(backend).unwrap(), at);
                found.insert(key, (count.get(backend).unwrap(), list.get(backend).unwrap(), entries, at));
            }
        }
    }
}

fn subtask_of(key: u64, parallelism: u32) -> usize {
    let group = key_group::key_group(key.routing_hash(), GROUPS);
    (0..parallelism)
        .position(|subtask| KeyGroupRange::of_subtask(subtask, parallelism, GROUPS).contains(group))
        .unwrap()
}

fn run(subtasks: &mut [Subtask], model: &mut Model, now: &mut i64, clock: &ManualClock, actions: &[Action]) {
    for action in actions {
        let key = match action {
            Action::Count(key) | Action::Touch(key) | Action::Clear(key) => Some(*key),
            Action::Append(key, _) | Action::Put(key, ..) | Action::Remove(key, _) => Some(*key),
            Action::Wait(_) => None,
        };
        in_model(model, now, action);
        clock.set(*now);
        if let Some(key) = key {
            subtasks[subtask_of(key, subtasks.len() as u32)].act(key, *now, action);
        }
    }
}

fn expected(model: &Model, now: i64) -> Model {
    let mut expected: Model = (0..40).map(|key| (key, Default::default())).collect();
    for (key, state) in model {
        let mut state = state.clone();
        state.3 = state.3.filter(|at| at + LIVES > now);
        expected.insert(*key, state);
    }
    expected
}

fn all(subtasks: &mut [Subtask], now: i64) -> Model {
    let mut found = Model::new();
    subtasks.iter_mut().for_each(|subtask| subtask.add_to(&mut found, now));
    found
}

/// As through a storage: the descriptor as bytes, and the files in another folder under their names.
fn stored(snapshot: &SubtaskSnapshot, storage: &Path) -> SubtaskSnapshot {
    let mut read = SubtaskSnapshot::decode(&snapshot.encode()).unwrap();
    for native in &snapshot.native {
        let folder = storage.join(fs::read_dir(storage).unwrap().count().to_string());
        fs::create_dir(&folder).unwrap();
        native.check_files().unwrap();
        for file in &native.files {
            fs::copy(&file.path, folder.join(&file.name)).unwrap();
        }
        read.native.push(NativeSnapshot::decode(&native.descriptor(), NativeFolder::kept(folder)).unwrap());
    }
    assert_eq!(read, *snapshot);
    read
}

/// Without the state of which compactions may have removed something in the meantime.
fn but_expiring(mut snapshot: SubtaskSnapshot) -> SubtaskSnapshot {
    snapshot.keyed.retain(|state| !state.stamped);
    assert_eq!(snapshot.keyed.len(), 3);
    snapshot
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Over several generations, each at another parallelism, with files of earlier ones in each; and with changes that are
    /// only in the cache of values when files are asked for.
    #[test]
    fn restored_files_hold_what_a_canonical_snapshot_and_a_model_do(
        rounds in prop::collection::vec((1..5u32, prop::collection::vec(action(), 0..120)), 2..5),
        ingest: bool,
        delete_files: bool,
        threshold in prop::sample::select(vec!["0.0", "0.6", "1.0"]),
        // None, one that something is always evicted from, and one for all.
        cache in prop::sample::select(vec![0, 1000, 1 << 20]),
        // Whether all is in the cache, or nothing, before anything is changed.
        look_first: bool,
        parts in 1..6usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let storage = tempfile::tempdir().unwrap();
        let values = StateCache::new(cache);
        let backend = Behind(rocksdb(folder.path(), &[
            ("use-ingest-db-restore-mode", if ingest { "true" } else { "false" }),
            ("rescaling.use-delete-files-in-range", if delete_files { "true" } else { "false" }),
            ("restore-overlap-fraction-threshold", threshold),
        ]), values.clone());
        let clock = ManualClock::at(0);
        let (mut model, mut now) = (Model::new(), 0);
        let mut snapshots: Vec<SubtaskSnapshot> = Vec::new();
        for (parallelism, actions) in &rounds {
            let dealt = redistribute(std::mem::take(&mut snapshots), GROUPS, *parallelism).unwrap();
            let mut subtasks: Vec<_> = dealt
                .iter()
                .zip(0..)
                .map(|(from, subtask)| Subtask::open(&backend, context(subtask, *parallelism, &clock), Some(from)))
                .collect();
            drop(dealt);
            if look_first {
                prop_assert_eq!(all(&mut subtasks, now), expected(&model, now));
            }
            let mut last: &[Action] = &[];
            for (number, part) in actions.chunks(actions.len().div_ceil(parts).max(1)).enumerate() {
                // Checkpoints that nobody restores from: what changes before each of them is kept out of the files.
                if number > 0 {
                    subtasks.iter_mut().for_each(|subtask| drop(subtask.backend.snapshot_native().unwrap()));
                }
                run(&mut subtasks, &mut model, &mut now, &clock, part);
                last = part;
            }
            let changes = |action: &Action| {
                matches!(action, Action::Count(_) | Action::Append(..) | Action::Put(..) | Action::Clear(_))
            };
            if cache == 1 << 20 && last.iter().any(changes) {
                prop_assert!(values.dirty() > 0);
            }
            for subtask in &mut subtasks {
                let native = subtask.backend.snapshot_native().unwrap();
                prop_assert!(native.keyed.is_empty() && native.native.len() == 1);
                let canonical = subtask.backend.snapshot().unwrap();
                prop_assert_eq!(&native.timers, &canonical.timers);
                snapshots.push(stored(&native, storage.path()));
                // From the files, a canonical one is made without knowing any type.
                let mut raw = KeyedStateBackend::<u64>::open(&backend, SubtaskContext {
                    key_groups: subtask.backend.key_groups(), ..context(0, 1, &clock)
                }).unwrap();
                raw.restore([&native]).unwrap();
                prop_assert_eq!(but_expiring(raw.snapshot().unwrap()), but_expiring(canonical));
            }
            prop_assert_eq!((values.dirty(), values.used() <= cache), (0, true));
            prop_assert_eq!(all(&mut subtasks, now), expected(&model, now));
        }
        // Nothing is left of the stores but what was stored.
        drop(backend);
        prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

fn filled(backend: &dyn StateBackend, keys: std::ops::Range<u64>) -> Subtask {
    let clock = ManualClock::at(0);
    let mut subtask = Subtask::open(backend, context(0, 1, &clock), None);
    for key in keys {
        subtask.act(key, 0, &Action::Put(key, format!("{key:>100}"), 7));
    }
    subtask
}

/// Whether or not it is known what the store has: of the first keys nothing is, of the others everything.
#[test]
fn files_have_what_was_only_in_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let values = StateCache::new(1 << 20);
    let backend = Behind(rocksdb(folder.path(), &[]), values.clone());
    let clock = ManualClock::at(0);
    let (mut model, mut now) = (Model::new(), 0);
    let put = |key, at: &str, value| Action::Put(key, at.to_owned(), value);
    let mut subtasks = [Subtask::open(&backend, context(0, 1, &clock), None)];
    let actions: Vec<Action> = (0..12)
        .flat_map(|key| [Action::Count(key), Action::Append(key, 1), put(key, "a", 1), put(key, "b", 1)])
        .collect();
    run(&mut subtasks, &mut model, &mut now, &clock, &actions);
    assert!(values.dirty() > 0);
    let first = subtasks[0].backend.snapshot_native().unwrap();
    assert_eq!(values.dirty(), 0);
    let then = expected(&model, now);
    drop(subtasks);
    assert_eq!(values.used(), 0);

    let mut subtasks = [Subtask::open(&backend, context(0, 1, &clock), Some(&first))];
    for key in 6..12u64 {
        let Subtask { backend, count, list, map, .. } = &mut subtasks[0];
        backend.set_current_key(&key, key.routing_hash()).unwrap();
        assert_eq!((count.get(backend).unwrap(), list.get(backend).unwrap()), (Some(1), vec![1]));
        assert_eq!(map.entries(backend).unwrap().len(), 2);
    }
    let change = |key| {
        let gone = Action::Remove(key, "b".to_owned());
        [
            vec![Action::Count(key), Action::Append(key, 2), put(key, "c", 2), gone],
            vec![Action::Clear(key + 1)],
            vec![
                Action::Clear(key + 2),
                Action::Count(key + 2),
                Action::Append(key + 2, 3),
                put(key + 2, "a", 3),
            ],
        ]
    };
    let actions: Vec<Action> = [change(0), change(6)].into_iter().flatten().flatten().collect();
    run(&mut subtasks, &mut model, &mut now, &clock, &actions);
    assert!(values.dirty() > 0);
    let second = subtasks[0].backend.snapshot_native().unwrap();
    assert_eq!(values.dirty(), 0);
    let later = expected(&model, now);
    // After a snapshot it goes on as before.
    run(&mut subtasks, &mut model, &mut now, &clock, &actions);
    let third = subtasks[0].backend.snapshot_native().unwrap();
    for (snapshot, expected) in [(first, then), (second, later), (third, expected(&model, now))] {
        let mut again = [Subtask::open(&backend, context(0, 1, &clock), Some(&snapshot))];
        assert_eq!(all(&mut again, now), expected);
    }
}

fn has_hot_rows(snapshot: &SubtaskSnapshot) -> bool {
    snapshot.native[0].files.iter().any(|file| file.name == HotRows::FILE_NAME)
}

/// Counts that change before every checkpoint.
fn counted(subtask: &mut Subtask, checkpoints: usize) -> SubtaskSnapshot {
    (0..checkpoints).for_each(|_| drop(counted_once(subtask)));
    counted_once(subtask)
}

fn counted_once(subtask: &mut Subtask) -> SubtaskSnapshot {
    (0..20).for_each(|key| subtask.act(key, 0, &Action::Count(key)));
    subtask.backend.snapshot_native().unwrap()
}

#[test]
fn what_changes_from_checkpoint_to_checkpoint_lies_beside_the_files() {
    let folder = tempfile::tempdir().unwrap();
    for threshold in ["0.0", "1.0"] {
        let values = StateCache::new(1 << 20);
        let options = [("restore-overlap-fraction-threshold", threshold)];
        let backend = Behind(rocksdb(folder.path(), &options), values.clone());
        let clock = ManualClock::at(0);
        let mut subtask = filled(&backend, 0..40);
        // Nothing is known to change always yet.
        let first = counted_once(&mut subtask);
        assert!(!has_hot_rows(&first) && values.dirty() == 0);
        let second = counted_once(&mut subtask);
        assert!(has_hot_rows(&second) && values.dirty() > 0);
        assert_eq!(ids(&second), ids(&first), "the database has got nothing new");
        // An entry that goes, and one that does not change any more.
        (2..20).for_each(|key| subtask.act(key, 0, &Action::Count(key)));
        subtask.act(0, 0, &Action::Clear(0));
        let third = subtask.backend.snapshot_native().unwrap();
        assert!(has_hot_rows(&third));
        let fourth = subtask.backend.snapshot_native().unwrap();
        assert!(!has_hot_rows(&fourth) && values.dirty() == 0, "nothing has changed since");
        let counts = |key: u64| match key {
            0 => [Some(1), Some(2), None, None],
            1 => [Some(1), Some(2), Some(2), Some(2)],
            2..20 => [Some(1), Some(2), Some(3), Some(3)],
            _ => [None; 4],
        };
        for (number, snapshot) in [first, second, third, fourth].into_iter().enumerate() {
            for parallelism in [1, 3] {
                let dealt = redistribute(vec![snapshot.clone()], GROUPS, parallelism).unwrap();
                let restored = dealt.iter().zip(0..);
                let mut subtasks: Vec<_> = restored
                    .map(|(from, subtask)| {
                        Subtask::open(&backend, context(subtask, parallelism, &clock), Some(from))
                    })
                    .collect();
                for (key, (count, ..)) in all(&mut subtasks, 0) {
                    assert_eq!(count, counts(key)[number], "{threshold} {number} {parallelism} {key}");
                }
            }
        }
    }
}

fn ids(snapshot: &SubtaskSnapshot) -> HashSet<String> {
    snapshot.native[0].files.iter().filter_map(|file| file.shared_id.clone()).collect()
}

#[test]
fn files_that_are_there_already_keep_their_ids_and_others_never_share_one() {
    let folder = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let mut first = filled(&backend, 0..40);
    let one = first.backend.snapshot_native().unwrap();
    first.act(3, 0, &Action::Count(3));
    let two = first.backend.snapshot_native().unwrap();
    assert!(ids(&one).len() == 1 && ids(&one).is_subset(&ids(&two)) && ids(&two).len() == 2);
    // Two restores of one snapshot go on with the same numbers of files.
    let again: Vec<_> = (0..2)
        .map(|_| {
            let mut subtask = Subtask::open(&backend, context(0, 1, &ManualClock::at(0)), Some(&one));
            subtask.act(5, 0, &Action::Count(5));
            subtask.backend.snapshot_native().unwrap()
        })
        .collect();
    let names = |snapshot: &SubtaskSnapshot| {
        snapshot.native[0]
            .files
            .iter()
            .map(|file| file.name.clone())
            .filter(|name| name.ends_with("sst"))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&again[0]), names(&again[1]));
    let shared: HashSet<_> = ids(&again[0]).intersection(&ids(&again[1])).cloned().collect();
    assert_eq!(shared, ids(&one));
    assert!(ids(&two).is_disjoint(&ids(&again[0]).difference(&shared).cloned().collect()));
}

#[test]
fn the_folder_of_a_snapshot_lives_as_long_as_the_snapshot_not_as_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let mut subtask = filled(&backend, 0..40);
    let snapshot = subtask.backend.snapshot_native().unwrap();
    assert!(snapshot.byte_size() > 500 && !snapshot.is_empty());
    drop(subtask);
    let kept = snapshot.clone();
    drop(snapshot);
    kept.native[0].check_files().unwrap();
    let mut again = Subtask::open(&backend, context(0, 1, &ManualClock::at(0)), Some(&kept));
    assert_eq!(all(std::slice::from_mut(&mut again), 0)[&3].2.len(), 1);
    drop(again);
    drop(backend);
    kept.native[0].check_files().unwrap();
    drop(kept);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_missing_or_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let storage = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let mut subtask = filled(&backend, 0..40);
    let native = counted(&mut subtask, 2);
    let broken = |how: &dyn Fn(&Path), which: &str, parallelism: u32| {
        let snapshot = stored(&native, storage.path());
        let file = snapshot.native[0].files.iter().find(|file| file.name.contains(which)).unwrap();
        how(&file.path);
        let context = context(0, parallelism, &ManualClock::at(0));
        let mut backend = KeyedStateBackend::<u64>::open(&backend, context).unwrap();
        let restored = backend.restore([&snapshot]).and_then(|()| backend.snapshot().map(drop));
        (restored.unwrap_err(), file.name.clone())
    };
    let missing: &dyn Fn(&Path) = &|path| fs::remove_file(path).unwrap();
    let shorter: &dyn Fn(&Path) = &|path| fs::write(path, &fs::read(path).unwrap()[1..]).unwrap();
    let flip = |at: fn(usize) -> usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            let at = at(bytes.len());
            bytes[at] ^= 0x55;
            fs::write(path, bytes).unwrap();
        }
    };
    for which in [".sst", "MANIFEST", "CURRENT", HotRows::FILE_NAME] {
        for how in [missing, shorter] {
            let (error, name) = broken(how, which, 1);
            assert!(error.code() == "TM-STATE-NATIVE-FILE" && error.to_string().contains(&name), "{error}");
        }
    }
    // In the first block of rows, and at the end, where RocksDB begins to read.
    for how in [&flip(|_| 10) as &dyn Fn(&Path), &flip(|bytes| bytes - 3)] {
        for parallelism in [1, 2] {
            let (error, name) = broken(how, ".sst", parallelism);
            assert!(error.to_string().contains(&name), "{error}");
        }
    }
    for at in [|_| 2, |_| 4, |_| 7, |bytes| bytes / 2, |bytes| bytes - 1] {
        for parallelism in [1, 2] {
            let (error, name) = broken(&flip(at), HotRows::FILE_NAME, parallelism);
            assert!(error.code() == "TM-STATE-NATIVE-FILE" && error.to_string().contains(&name), "{error}");
        }
    }
    let (error, name) = broken(&flip(|bytes| bytes / 2), "MANIFEST", 1);
    assert!(error.code() == "TM-STATE-NATIVE-FILE" && error.to_string().contains(&name), "{error}");
}

#[test]
fn files_are_for_their_own_backend() {
    let folder = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let mut subtask = filled(&backend, 0..40);
    let native = subtask.backend.snapshot_native().unwrap();
    let canonical = subtask.backend.snapshot().unwrap();
    let clock = ManualClock::at(0);
    let mut heap = KeyedStateBackend::<u64>::open(&HashMapStateBackend, context(0, 1, &clock)).unwrap();
    let error = heap.restore([&native]).unwrap_err();
    assert_eq!(error.code(), "TM-STATE-NATIVE-BACKEND");
    assert!(error.to_string().contains("state.backend.type: rocksdb"), "{error}");
    assert!(error.to_string().contains("canonical savepoint"), "{error}");
    let expected = all(std::slice::from_mut(&mut subtask), 0);
    // Canonical snapshots go everywhere.
    let mut heap = Subtask::open(&HashMapStateBackend, context(0, 1, &clock), Some(&canonical));
    assert_eq!(all(std::slice::from_mut(&mut heap), 0), expected);
    let from_heap = heap.backend.snapshot_native().unwrap();
    assert!(from_heap.native.is_empty());
    let mut again = Subtask::open(&backend, context(0, 1, &clock), Some(&from_heap));
    assert_eq!(all(std::slice::from_mut(&mut again), 0), expected);
    assert_eq!(again.backend.snapshot().unwrap(), canonical);
}

#[test]
fn snapshots_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let mut subtask = filled(&backend, 0..4);
    let native = subtask.backend.snapshot_native().unwrap();
    let canonical = subtask.backend.snapshot().unwrap();
    let clock = ManualClock::at(0);
    let open = || KeyedStateBackend::<u64>::open(&backend, context(0, 1, &clock)).unwrap();
    let twice = open().restore([&native, &native]).unwrap_err().to_string();
    assert!(twice.contains("is in the files of two"), "{twice}");
    let both = open().restore([&native, &canonical]).unwrap_err().to_string();
    assert!(both.contains("is in the files of one as well"), "{both}");
    let mut other = native.clone();
    other.native[0].max_parallelism = 64;
    assert_eq!(open().restore([&other]).unwrap_err().code(), "TM-STATE-MAX-PARALLELISM");
    assert_eq!(redistribute(vec![other], GROUPS, 2).unwrap_err().code(), "TM-STATE-MAX-PARALLELISM");
}

/// A state that is not declared is in the next snapshot, at another parallelism too, and is there when it is declared.
#[test]
fn states_that_nobody_asks_for_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let clock = ManualClock::at(0);
    let mut first = filled(&backend, 0..40);
    let expected = all(std::slice::from_mut(&mut first), 0);
    let mut snapshots = vec![first.backend.snapshot_native().unwrap()];
    for parallelism in [2, 3, 1] {
        let dealt = redistribute(snapshots, GROUPS, parallelism).unwrap();
        snapshots = dealt
            .iter()
            .zip(0..)
            .map(|(from, subtask)| {
                let context = context(subtask, parallelism, &clock);
                let mut backend = KeyedStateBackend::<u64>::open(&backend, context).unwrap();
                backend.restore([from]).unwrap();
                backend.register_value::<(), u64>(ValueStateDescriptor::new("another")).unwrap();
                backend.snapshot_native().unwrap()
            })
            .collect();
    }
    assert_eq!(snapshots[0].native[0].tables.len(), 6);
    let mut last = Subtask::open(&backend, context(0, 1, &clock), Some(&snapshots[0]));
    assert_eq!(all(std::slice::from_mut(&mut last), 0), expected);
}

#[test]
fn states_declared_before_the_restore_get_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let mut first = filled(&backend, 0..40);
    let expected = all(std::slice::from_mut(&mut first), 0);
    let native = first.backend.snapshot_native().unwrap();
    let mut late = Subtask::open(&backend, context(0, 1, &ManualClock::at(0)), None);
    late.backend.restore([&native]).unwrap();
    assert_eq!(all(std::slice::from_mut(&mut late), 0), expected);
    assert_eq!(late.backend.snapshot_native().unwrap().native[0].tables.len(), 5);
}

/// Types that have grown, time to live that came or went: rows are rewritten; what cannot be is refused as ever.
#[test]
fn states_that_have_changed_are_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let backend = rocksdb(folder.path(), &[]);
    let clock = ManualClock::at(100);
    let hour = StateTtlConfig::new(Duration::from_secs(3600));
    let open = |subtask, parallelism, from: &[&SubtaskSnapshot]| {
        let mut state =
            KeyedStateBackend::<u64>::open(&backend, context(subtask, parallelism, &clock)).unwrap();
        state.restore(from.iter().copied()).unwrap();
        state
    };
    let mut old = open(0, 1, &[]);
    let value: ValueState<u16> = old.register_value(ValueStateDescriptor::new("value")).unwrap();
    let list: ListState<u16> = old.register_list(ListStateDescriptor::new("list")).unwrap();
    let map: MapState<u16, u16> = old.register_map(MapStateDescriptor::new("map").with_ttl(hour)).unwrap();
    for key in 0..40u64 {
        old.set_current_key(&key, key.routing_hash()).unwrap();
        value.update(&mut old, key as u16).unwrap();
        list.add(&mut old, key as u16).unwrap();
        list.add(&mut old, 7).unwrap();
        map.put(&mut old, 1, key as u16).unwrap();
    }
    let native = old.snapshot_native().unwrap();
    let dealt = redistribute(vec![native.clone()], GROUPS, 2).unwrap();
    // One of two subtasks has asked for its state, in the new form; the other has not. Then they become one.
    let mut wide = open(0, 2, &[&dealt[0]]);
    let declare = |state: &mut KeyedStateBackend<u64>| {
        let value: ValueState<u64> =
            state.register_value(ValueStateDescriptor::new("value").with_ttl(hour)).unwrap();
        let list: ListState<u64> = state.register_list(ListStateDescriptor::new("list")).unwrap();
        let map: MapState<u16, u64> = state.register_map(MapStateDescriptor::new("map")).unwrap();
        (value, list, map)
    };
    declare(&mut wide);
    let both = [wide.snapshot_native().unwrap(), open(1, 2, &[&dealt[1]]).snapshot_native().unwrap()];
    assert_eq!(both.each_ref().map(|one| one.native[0].tables.len()), [3, 3]);
    let mut last = open(0, 1, &both.each_ref());
    let kept = last.snapshot_native().unwrap();
    assert_eq!(kept.native[0].tables.len(), 6, "each in two forms");
    let mut last = open(0, 1, &[&kept]);
    let (value, list, map) = declare(&mut last);
    for key in 0..40u64 {
        last.set_current_key(&key, key.routing_hash()).unwrap();
        assert_eq!(value.get(&mut last).unwrap(), Some(key));
        assert_eq!(list.get(&mut last).unwrap(), [key, 7]);
        assert_eq!(map.get(&mut last, &1).unwrap(), Some(key));
    }
    let after = last.snapshot_native().unwrap();
    assert_eq!(after.native[0].tables.len(), 3);
    clock.advance(3_600_000);
    last.set_current_key(&3, 3u64.routing_hash()).unwrap();
    assert_eq!((value.get(&mut last).unwrap(), map.get(&mut last, &1).unwrap()), (None, Some(3)));
    let error =
        open(0, 1, &[&after]).register_value::<(), String>(ValueStateDescriptor::new("value")).unwrap_err();
    assert_eq!(error.code(), "TM-STATE-INCOMPATIBLE");
    let mut other = KeyedStateBackend::<String>::open(&backend, context(0, 1, &clock)).unwrap();
    other.restore([&after]).unwrap();
    let error = other.register_value::<(), u64>(ValueStateDescriptor::new("value")).unwrap_err();
    assert_eq!(error.code(), "TM-STATE-INCOMPATIBLE");
}

/// Files that were made of other key groups alone are gone at once.
#[test]
fn files_of_others_are_removed_where_that_is_asked_for() {
    let bytes_left = |delete: &str| {
        let folder = tempfile::tempdir().unwrap();
        let entries = [
            ("rescaling.use-delete-files-in-range", delete),
            ("compaction.level.target-file-size-base", "32 kb"),
            ("compression.per.level", "NO_COMPRESSION"),
        ];
        let backend = rocksdb(folder.path(), &entries);
        let store = Arc::new(backend.open_store(&context(0, 1, &ManualClock::at(0))).unwrap());
        let mut subtask = filled(&crate::states::Over(Arc::clone(&store), 0), 0..10_000);
        store.compact(store.open_table("map").unwrap()).unwrap();
        let whole = subtask.backend.snapshot_native().unwrap();
        let cut = redistribute(vec![whole.clone()], GROUPS, 4).unwrap();
        let context = context(1, 4, &ManualClock::at(0));
        let mut one = KeyedStateBackend::<u64>::open(&backend, context).unwrap();
        one.restore([&cut[1]]).unwrap();
        (one.snapshot_native().unwrap().byte_size() as f64) / (whole.byte_size() as f64)
    };
    assert!(bytes_left("false") > 0.9);
    assert!((0.2..0.4).contains(&bytes_left("true")));
}
