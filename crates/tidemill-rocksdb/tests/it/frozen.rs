//! Canonical snapshots that are written beside the task, from views of a RocksDB.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill_core::hash::RoutingHash;
use tidemill_rocksdb::RocksDbStateBackend;
use tidemill_state::*;

use crate::native::context;
use crate::settings;

const KEYS: u64 = 3_000;
const LIVES: i64 = 1_000;

fn rocksdb(folder: &Path) -> RocksDbStateBackend {
    RocksDbStateBackend::new(settings(&[]), Some(64 << 20), &[PathBuf::from(folder)]).unwrap()
}

struct Subtask {
    backend: KeyedStateBackend<u64>,
    value: ValueState<Vec<u8>>,
    list: ListState<u64>,
    map: MapState<u8, String>,
    kept: ListState<u64>,
}

impl Subtask {
    fn open(kind: &dyn StateBackend, at: SubtaskContext, from: &[&SubtaskSnapshot]) -> Self {
        let mut backend = KeyedStateBackend::open(kind, at).unwrap();
        backend.restore(from.iter().copied()).unwrap();
        let lives = StateTtlConfig::new(Duration::from_millis(LIVES as u64)).cleanup_full_snapshot();
        let value = backend.register_value(ValueStateDescriptor::new("value")).unwrap();
        let list = backend.register_list(ListStateDescriptor::new("list")).unwrap();
        let map = backend.register_map(MapStateDescriptor::new("map")).unwrap();
        let kept = backend.register_list(ListStateDescriptor::new("kept").with_ttl(lives)).unwrap();
        Self { backend, value, list, map, kept }
    }

    /// Changes something of every key, and removes some.
    fn change(&mut self, round: u64) {
        for key in 0..KEYS {
            let Self { backend, value, list, map, kept } = self;
            backend.set_current_key(&key, key.routing_hash()).unwrap();
            value.update(backend, vec![round as u8; (key % 200) as usize]).unwrap();
            list.add(backend, round).unwrap();
            map.put(backend, round as u8, format!("{key} in {round}")).unwrap();
            kept.add(backend, round).unwrap();
            if key % 7 == round % 7 {
                value.clear(backend).unwrap();
                map.clear(backend).unwrap();
            }
        }
    }
}

/// Whatever the task does meanwhile, and when it has gone.
#[test]
fn a_snapshot_has_what_was_there_when_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let kind = rocksdb(folder.path());
    let clock = ManualClock::at(0);
    let mut state = Subtask::open(&kind, context(0, 1, &clock), &[]);
    state.change(1);
    clock.set(LIVES / 2);
    state.change(2);
    // Of each list that expires the first element has.
    clock.set(LIVES + 1);
    let at_once = state.backend.snapshot().unwrap();
    let mut first = state.backend.begin_snapshot().unwrap();
    assert!(first.keyed.is_empty() && !first.pending.is_empty(), "nothing is written while the task waits");
    state.change(3);
    let later = state.backend.register_value::<(), u64>(ValueStateDescriptor::new("later")).unwrap();
    state.backend.set_current_key(&7, 7u64.routing_hash()).unwrap();
    later.update(&mut state.backend, 7).unwrap();
    let second_at_once = state.backend.snapshot().unwrap();
    let mut second = state.backend.begin_snapshot().unwrap();
    clock.set(10 * LIVES);
    state.change(4);
    first.complete(&Arc::default()).unwrap();
    assert!(first == at_once && first.encode() == at_once.encode());
    assert!(first != second_at_once);
    drop(state);
    assert!(fs::read_dir(folder.path()).unwrap().count() > 0, "it is read from files");
    second.complete(&Arc::default()).unwrap();
    assert!(second == second_at_once && second.encode() == second_at_once.encode());
    drop(kind);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "they stay no longer than that");
}

#[test]
fn what_is_given_up_ends_and_lets_go_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let kind = rocksdb(folder.path());
    let mut state = Subtask::open(&kind, context(0, 1, &ManualClock::at(0)), &[]);
    state.change(1);
    let mut cancelled = state.backend.begin_snapshot().unwrap();
    let dropped = state.backend.begin_snapshot().unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    flag.store(true, Ordering::Relaxed);
    assert!(matches!(cancelled.complete(&flag), Err(StateError::SnapshotGivenUp)));
    drop((cancelled, dropped, state, kind));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What was restored as files and not declared is read from a view as well.
#[test]
fn tables_that_no_state_has_asked_for_are_written_beside_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let kind = rocksdb(folder.path());
    let clock = ManualClock::at(0);
    let mut state = Subtask::open(&kind, context(0, 1, &clock), &[]);
    state.change(1);
    let expected = state.backend.snapshot().unwrap();
    let native = state.backend.snapshot_native().unwrap();
    drop(state);
    let mut restored = KeyedStateBackend::<u64>::open(&kind, context(0, 1, &clock)).unwrap();
    restored.restore([&native]).unwrap();
    let mut snapshot = restored.begin_snapshot().unwrap();
    assert!(snapshot.keyed.is_empty());
    // Becomes the table of the state.
    let value: ValueState<Vec<u8>> = restored.register_value(ValueStateDescriptor::new("value")).unwrap();
    for key in 0..KEYS {
        restored.set_current_key(&key, key.routing_hash()).unwrap();
        value.update(&mut restored, vec![9]).unwrap();
    }
    snapshot.complete(&Arc::default()).unwrap();
    assert!(snapshot.encode() == expected.encode());
}
