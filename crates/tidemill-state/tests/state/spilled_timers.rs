//! Timers that do not fit into memory, over a tree.

use proptest::prelude::*;
use tidemill_core::Classified;
use tidemill_state::*;

use crate::store::{TreeBackend, context};
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
