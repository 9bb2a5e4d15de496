//! Timers in RocksDB.

use std::time::Instant;

use proptest::prelude::*;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{Classified, Timestamp};
use tidemill_state::*;

use crate::memory::{backend, subtask};
use crate::settings;
use crate::timer_model::{Few, in_memory, ops, run, snapshots_beside};

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    /// Also from and to backends that have all in memory.
    #[test]
    fn timers_do_as_the_model_wherever_they_are(
        ops in ops(),
        few in prop::sample::select(vec![2usize, 5, 16]),
        ingest: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let ingest = [("use-ingest-db-restore-mode", if ingest { "true" } else { "false" })];
        let rocksdb = || backend(settings(&ingest), Some(16 << 20), folder.path());
        let (first, more) = (Few(rocksdb(), in_memory(few)), Few(rocksdb(), in_memory(2 * few)));
        let heap = Few(rocksdb(), TimerPlacement::Heap);
        run(&[&first, &more, &heap, &HashMapStateBackend], &ops);
    }
}

#[test]
fn snapshots_hold_what_there_was_while_timers_move() {
    for native in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let few = Few(backend(settings(&[]), Some(16 << 20), folder.path()), in_memory(4_000));
        assert!(snapshots_beside(&few, native) > if native { 2 } else { 0 });
    }
}

/// Registers a timer for each of a million keys: half of them at one time, the others at times of their own.
fn million(
    entries: &[(&str, &str)],
    budget: &MemoryBudget,
    each: impl FnOnce(&mut KeyedStateBackend<u64>, Timers),
) -> Result<(), StateError> {
    const KEYS: u64 = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    let rocksdb = backend(settings(entries), Some(64 << 20), folder.path());
    let context = SubtaskContext { budget: budget.clone(), ..subtask(0) };
    let mut state = KeyedStateBackend::<u64>::open(&rocksdb, context)?;
    let timers: Timers = state.register_timers("due")?;
    let service = timers.service(&mut state)?;
    for key in 0..KEYS {
        let time = if key % 2 == 0 { 600_000 } else { (key * 7_919 % KEYS).cast_signed() };
        service.register(TimeDomain::Event, time, (&key, key.routing_hash()), &())?;
    }
    let begun = Instant::now();
    each(&mut state, timers);
    let mut due: Vec<bool> = vec![true; KEYS as usize];
    let mut last = Timestamp::MIN;
    while let Some(timer) = timers.pop_due(&mut state, TimeDomain::Event, Timestamp::MAX)? {
        assert!(last <= timer.timestamp);
        last = timer.timestamp;
        assert!(std::mem::take(&mut due[timer.key as usize]), "{} fires twice", timer.key);
    }
    assert!(due.iter().all(|due| !due));
    // Each row is looked at a few times in all, not once for each time that some are read.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    Ok(())
}

#[test]
fn a_million_timers_take_little_memory() {
    let budget = || MemoryBudget::new("task heap", 16 << 20, "taskmanager.memory.task.heap.size");
    let counts = |state: &mut KeyedStateBackend<u64>, timers: Timers| {
        let service = timers.service(state).unwrap();
        (service.in_memory(TimeDomain::Event), service.len(TimeDomain::Event).unwrap())
    };
    million(&[], &budget(), |state, timers| {
        let (memory, all) = counts(state, timers);
        assert!((32_768..=65_536).contains(&memory), "{memory}");
        assert_eq!(all, 1_000_000);
        assert!(state.bytes() < 8 << 20, "{}", state.bytes());
    })
    .unwrap();
    // For each of the 128 key groups; one less than there are in any case makes no difference.
    for (size, least, most) in [("1024", 65_537, 131_072), ("511", 32_768, 65_536)] {
        million(&[("timer-service.cache-size", size)], &MemoryBudget::unlimited("state"), |state, timers| {
            let (memory, all) = counts(state, timers);
            assert!((least..=most).contains(&memory), "{memory} with {size}");
            assert_eq!(all, 1_000_000);
        })
        .unwrap();
    }
}

#[test]
fn timers_on_the_heap_need_as_much_memory_as_there_are() {
    let heap = [("timer-service.factory", "HEAP")];
    let small = MemoryBudget::new("task heap", 16 << 20, "taskmanager.memory.task.heap.size");
    assert_eq!(million(&heap, &small, |_, _| ()).unwrap_err().code(), "TM-STATE-OUT-OF-MEMORY");
    million(&heap, &MemoryBudget::unlimited("state"), |state, timers| {
        assert_eq!(timers.service(state).unwrap().in_memory(TimeDomain::Event), 1_000_000);
        assert!(state.bytes() > 16 << 20);
    })
    .unwrap();
}

/// The budget counts before the number does: as much as there is room for is in memory.
#[test]
fn what_there_is_no_room_for_goes_to_rocksdb() {
    let cache = [("timer-service.cache-size", "1000000")];
    let small = MemoryBudget::new("task heap", 4 << 20, "taskmanager.memory.task.heap.size");
    million(&cache, &small, |state, timers| {
        let memory = timers.service(state).unwrap().in_memory(TimeDomain::Event);
        assert!((1_000..130_000).contains(&memory), "{memory}");
    })
    .unwrap();
}
