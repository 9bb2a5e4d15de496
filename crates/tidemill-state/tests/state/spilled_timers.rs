//! Timers that do not fit into memory, over a tree.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tidemill_core::Classified;
use tidemill_core::hash::RoutingHash;
use tidemill_state::*;

use crate::store::{TreeBackend, TreeStore, context};
use crate::timer_model::{Few, in_memory, ops, run, snapshots_beside};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Also from and to backends that have all in memory, and each time the same way.
    #[test]
    fn timers_do_as_the_model_wherever_they_are(
        ops in ops(),
        few in prop::sample::select(vec![2usize, 3, 5, 16, 1_000]),
    ) {
        let first = Few(TreeBackend::default(), in_memory(few));
        let more = Few(TreeBackend::default(), in_memory(2 * few));
        let heap = Few(TreeBackend::default(), TimerPlacement::Heap);
        let backends: [&dyn StateBackend; 4] = [&first, &more, &heap, &HashMapStateBackend];
        prop_assert_eq!(run(&backends, &ops), run(&backends, &ops));
    }
}

#[test]
fn snapshots_hold_what_there_was_while_timers_move() {
    assert!(snapshots_beside(&Few(TreeBackend::default(), in_memory(4_000)), false) > 0);
}

/// However many there are: the task only takes a view of the rows.
#[test]
fn rows_of_timers_are_encoded_beside_the_task() {
    let backend = Few(TreeBackend::default(), in_memory(16));
    let open = |from: Option<&SubtaskSnapshot>| {
        let mut state = KeyedStateBackend::<u64>::open(&backend, context()).unwrap();
        state.restore(from).unwrap();
        let timers: Timers = state.register_timers("due").unwrap();
        (state, timers)
    };
    let fired = |state: &mut KeyedStateBackend<u64>, timers: &Timers| {
        let service = timers.service(state).unwrap();
        let pop = || service.pop_due(TimeDomain::Event, i64::MAX).unwrap();
        std::iter::from_fn(pop).map(|timer| timer.timestamp).collect::<Vec<_>>()
    };
    let (mut state, timers) = open(None);
    for time in 0..5_000 {
        let key = time as u64 % 100;
        state.set_current_key(&key, key.routing_hash()).unwrap();
        timers.register(&mut state, TimeDomain::Event, time, &()).unwrap();
    }
    let mut snapshot = state.begin_snapshot().unwrap();
    assert!(!snapshot.pending.is_empty() && snapshot.timers.is_empty(), "nothing is encoded yet");
    assert_eq!(fired(&mut state, &timers), (0..5_000).collect::<Vec<_>>());
    snapshot.complete(&Arc::default()).unwrap();
    let (mut state, timers) = open(Some(&snapshot));
    assert_eq!(fired(&mut state, &timers), (0..5_000).collect::<Vec<_>>());
}

/// Also when the store works again: some timers may be neither in memory nor in rows.
#[test]
fn timers_are_not_believed_any_more_once_they_could_not_be_written() {
    let store = Arc::new(TreeStore::default());
    let backend = Few(TreeBackend { store: Some(Arc::clone(&store)), cache: None }, in_memory(2));
    let mut state = KeyedStateBackend::<u64>::open(&backend, context()).unwrap();
    let timers: Timers = state.register_timers("due").unwrap();
    state.set_current_key(&7, 7u64.routing_hash()).unwrap();
    let register = |state: &mut _, time| timers.register(state, TimeDomain::Event, time, &()).map(drop);
    (1..=2).for_each(|time| register(&mut state, time).unwrap());
    store.broken.store(true, Ordering::Relaxed);
    let failed = (3..3_000).find_map(|time| register(&mut state, time).err()).unwrap();
    assert!(failed.code() == "TM-STATE-STORE" && failed.to_string().contains("no space left"), "{failed}");
    store.broken.store(false, Ordering::Relaxed);
    let pop = |state: &mut _| timers.service(state)?.pop_due(TimeDomain::Event, i64::MAX).map(drop);
    let later = [register(&mut state, 9_000).err(), pop(&mut state).err(), state.snapshot().err()];
    for error in later {
        let error = error.unwrap();
        assert!(
            error.code() == "TM-STATE-STORE" && error.to_string().contains("restart from a checkpoint"),
            "{error}"
        );
    }
}

/// Only where there are tables at all.
#[test]
fn a_state_does_not_get_the_table_of_timers() {
    for (backend, refused) in
        [(&TreeBackend::default() as &dyn StateBackend, true), (&HashMapStateBackend, false)]
    {
        let mut state = KeyedStateBackend::<u64>::open(backend, context()).unwrap();
        let declared = state.register_value::<(), u64>(ValueStateDescriptor::new("_timer_state/due"));
        let code = declared.err().map(|error| error.code());
        assert_eq!(code, refused.then_some("TM-STATE-DECLARED-DIFFERENTLY"));
    }
}
