//! Time to live, in small steps.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{Classified, KeyGroupRange, OperatorId};
use tidemill_state::*;

use crate::basics::at;
use crate::store::{TreeBackend, TreeStore};

fn backend(clock: &ManualClock) -> KeyedStateBackend<u64> {
    let clock = Arc::new(clock.clone());
    KeyedStateBackend::new(KeyGroupRange::all(128), 128, clock, MemoryBudget::unlimited("test"))
}

fn ttl(millis: u64) -> StateTtlConfig {
    StateTtlConfig::new(Duration::from_millis(millis)).cleanup_incrementally(0)
}

#[test]
fn an_entry_expires_exactly_when_its_time_is_up() {
    let clock = ManualClock::at(1000);
    let mut b = backend(&clock);
    let state = b.register_value::<(), u64>(ValueStateDescriptor::new("s").with_ttl(ttl(10))).unwrap();
    at(&mut b, &1);
    state.update(&mut b, 7).unwrap();
    clock.set(1009);
    assert_eq!(state.get(&mut b).unwrap(), Some(7));
    clock.set(1010);
    assert_eq!(state.get(&mut b).unwrap(), None);
}

#[test]
fn what_has_expired_is_shown_once_when_asked_for() {
    let clock = ManualClock::at(0);
    let mut b = backend(&clock);
    let ttl = ttl(10).visibility(TtlVisibility::ReturnExpiredIfNotCleanedUp);
    let list = b.register_list::<(), u64>(ListStateDescriptor::new("s").with_ttl(ttl)).unwrap();
    at(&mut b, &1);
    list.add(&mut b, 1).unwrap();
    clock.set(5);
    list.add(&mut b, 2).unwrap();
    clock.set(12);
    assert_eq!(list.get(&mut b).unwrap(), [1, 2]);
    assert_eq!(list.get(&mut b).unwrap(), [2]);
}

#[test]
fn a_disabled_time_to_live_is_none() {
    let clock = ManualClock::at(0);
    let mut b = backend(&clock);
    let ttl = ttl(10).update(TtlUpdate::Disabled);
    let state = b.register_value::<(), u64>(ValueStateDescriptor::new("s").with_ttl(ttl)).unwrap();
    at(&mut b, &1);
    state.update(&mut b, 7).unwrap();
    clock.set(1 << 40);
    assert_eq!(state.get(&mut b).unwrap(), Some(7));
    let zero = ValueStateDescriptor::new("z").with_ttl(StateTtlConfig::new(Duration::ZERO));
    assert_eq!(b.register_value::<(), u64>(zero).unwrap_err().code(), "TM-STATE-INVALID-TTL");
}

#[test]
fn the_cleanup_frees_what_nobody_asks_for() {
    let clock = ManualClock::at(0);
    let mut b = backend(&clock);
    let ttl = ttl(10).cleanup_incrementally(3);
    let state = b.register_value::<(), u64>(ValueStateDescriptor::new("s").with_ttl(ttl)).unwrap();
    let map = b.register_map::<(), u64, u64>(MapStateDescriptor::new("m").with_ttl(ttl)).unwrap();
    for key in 0..100_000 {
        at(&mut b, &key);
        state.update(&mut b, key).unwrap();
        map.put(&mut b, 1, 1).unwrap();
    }
    let full = b.bytes();
    clock.set(20);
    at(&mut b, &0);
    for _ in 0..50_000 {
        state.update(&mut b, 1).unwrap();
        map.put(&mut b, 1, 1).unwrap();
    }
    assert!(b.bytes() < full / 20, "{} of {full} bytes are left", b.bytes());
    assert_eq!(state.get(&mut b).unwrap(), Some(1));
}

#[test]
fn the_cleanup_frees_rows_of_a_store_one_by_one() {
    let clock = ManualClock::at(0);
    let store = Arc::new(TreeStore::default());
    let context = SubtaskContext {
        operator: OperatorId::from_name("test"),
        subtask: 0,
        key_groups: KeyGroupRange::all(128),
        max_parallelism: 128,
        clock: Arc::new(clock.clone()),
        budget: MemoryBudget::unlimited("test"),
    };
    let mut b =
        KeyedStateBackend::<u64>::open(&TreeBackend { store: Some(store.clone()), cache: None }, context)
            .unwrap();
    let ttl = ttl(10).cleanup_incrementally(1);
    let state = b.register_value::<(), u64>(ValueStateDescriptor::new("s").with_ttl(ttl)).unwrap();
    for key in 0..100 {
        // The even ones live longer, and the cleanup has to get past them.
        clock.set(if key % 2 == 0 { 8 } else { 0 });
        at(&mut b, &key);
        state.update(&mut b, key).unwrap();
    }
    assert_eq!(store.rows(), 100);
    clock.set(12);
    at(&mut b, &0);
    for _ in 0..210 {
        assert_eq!(state.get(&mut b).unwrap(), Some(0));
    }
    assert_eq!(store.rows(), 50);
}

#[test]
fn a_snapshot_may_leave_out_what_has_expired() {
    for full_snapshot in [false, true] {
        let clock = ManualClock::at(0);
        let mut b = backend(&clock);
        let ttl = if full_snapshot { ttl(10).cleanup_full_snapshot() } else { ttl(10) };
        let state = b.register_value::<(), u64>(ValueStateDescriptor::new("s").with_ttl(ttl)).unwrap();
        for key in 0..10 {
            clock.set(key as i64);
            at(&mut b, &key);
            state.update(&mut b, key).unwrap();
        }
        let before = b.snapshot().unwrap().byte_size();
        clock.set(15);
        let after = b.snapshot().unwrap().byte_size();
        if full_snapshot {
            assert_eq!(after, before * 4 / 10);
        } else {
            assert_eq!(after, before);
        }
    }
}

#[test]
fn a_time_to_live_can_be_switched_on_and_off() {
    let clock = ManualClock::at(100);
    let plain = || ListStateDescriptor::<u64>::new("s");
    let mut b = backend(&clock);
    let list = b.register_list::<(), u64>(plain()).unwrap();
    at(&mut b, &1);
    list.add_all(&mut b, [1, 2]).unwrap();
    // Switched on: the time starts when the state is restored.
    let mut on = backend(&clock);
    on.restore([&b.snapshot().unwrap()]).unwrap();
    let list = on.register_list::<(), u64>(plain().with_ttl(ttl(10))).unwrap();
    at(&mut on, &1);
    clock.set(109);
    assert_eq!(list.get(&mut on).unwrap(), [1, 2]);
    // Switched off: nothing expires any more.
    let mut off = backend(&clock);
    off.restore([&on.snapshot().unwrap()]).unwrap();
    let kept = off.register_list::<(), u64>(plain()).unwrap();
    at(&mut off, &1);
    clock.set(500);
    assert!(list.get(&mut on).unwrap().is_empty());
    assert_eq!(kept.get(&mut off).unwrap(), [1, 2]);
}
