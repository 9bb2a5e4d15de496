//! Each kind of state in small steps.

use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{Classified, KeyGroupRange};
use tidemill_serialization::Key;
use tidemill_state::*;

pub(crate) fn backend<K: Key>() -> KeyedStateBackend<K> {
    let clock = Arc::new(ManualClock::at(0));
    KeyedStateBackend::new(KeyGroupRange::all(128), 128, clock, MemoryBudget::unlimited("test"))
}

pub(crate) fn at<K: Key>(backend: &mut KeyedStateBackend<K>, key: &K) {
    backend.set_current_key(key, key.routing_hash()).unwrap();
}

pub(crate) struct Mean;

impl AggregateFunction for Mean {
    type In = i64;
    type Acc = (i64, u64);
    type Out = i64;

    fn create_accumulator(&self) -> (i64, u64) {
        (0, 0)
    }

    fn add(&self, acc: &mut (i64, u64), value: i64) {
        acc.0 += value;
        acc.1 += 1;
    }

    fn get_result(&self, acc: &(i64, u64)) -> i64 {
        acc.0 / acc.1 as i64
    }

    fn merge(&self, acc: &mut (i64, u64), other: (i64, u64)) {
        acc.0 += other.0;
        acc.1 += other.1;
    }
}

#[test]
fn every_kind_keeps_keys_apart() {
    let mut b = backend::<String>();
    let value = b.register_value::<(), u64>(ValueStateDescriptor::new("value")).unwrap();
    let list = b.register_list::<(), String>(ListStateDescriptor::new("list")).unwrap();
    let map = b.register_map::<(), i64, String>(MapStateDescriptor::new("map")).unwrap();
    let sum = b.register_reducing::<(), i64>(ReducingStateDescriptor::new("sum", |a: &mut i64, v| *a += v));
    let sum = sum.unwrap();
    let mean = b.register_aggregating::<(), _, _, _>(AggregatingStateDescriptor::new("mean", Mean)).unwrap();

    assert!(matches!(value.get(&mut b), Err(StateError::NoCurrentKey)));
    for (i, key) in ["a", "b"].into_iter().enumerate() {
        at(&mut b, &key.to_owned());
        assert_eq!(value.get(&mut b).unwrap(), None);
        value.update(&mut b, i as u64).unwrap();
        value.modify(&mut b, || 100, |v| *v += 10).unwrap();
        list.add(&mut b, format!("{key}1")).unwrap();
        list.add_all(&mut b, [format!("{key}2"), format!("{key}3")]).unwrap();
        map.put(&mut b, 2, key.to_owned()).unwrap();
        map.put(&mut b, -1, "x".to_owned()).unwrap();
        for n in 1..=3 {
            sum.add(&mut b, n * (i as i64 + 1)).unwrap();
            mean.add(&mut b, n).unwrap();
        }
    }
    at(&mut b, &"a".to_owned());
    assert_eq!(value.get(&mut b).unwrap(), Some(10));
    assert_eq!(list.get(&mut b).unwrap(), ["a1", "a2", "a3"]);
    assert_eq!(map.entries(&mut b).unwrap(), [(-1, "x".to_owned()), (2, "a".to_owned())]);
    assert_eq!(sum.get(&mut b).unwrap(), Some(6));
    assert_eq!(mean.get(&mut b).unwrap(), Some(2));
    value.clear(&mut b).unwrap();
    list.update(&mut b, vec![]).unwrap();
    map.remove(&mut b, &2).unwrap();
    map.remove(&mut b, &-1).unwrap();
    sum.clear(&mut b).unwrap();
    assert_eq!(value.get(&mut b).unwrap(), None);
    assert!(list.get(&mut b).unwrap().is_empty() && map.is_empty(&mut b).unwrap());
    assert_eq!(b.keys("value", &()).unwrap(), ["b"]);
    assert_eq!(b.keys("map", &()).unwrap(), ["b"]);
    assert_eq!(b.keys("mean", &()).unwrap(), ["a", "b"]);
    at(&mut b, &"b".to_owned());
    assert_eq!(value.get(&mut b).unwrap(), Some(11));
    assert_eq!(sum.get(&mut b).unwrap(), Some(12));
}

#[test]
fn batches_count_as_keys_do() {
    let mut b = backend::<u64>();
    let count = b.register_value::<(), u64>(ValueStateDescriptor::new("count")).unwrap();
    let sum = b.register_reducing::<(), u64>(ReducingStateDescriptor::new("sum", |a: &mut u64, v| *a += v));
    let sum = sum.unwrap();
    let keys: Vec<u64> = (0..1000).map(|i| i * i % 37).collect();
    let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    let batch = KeyBatch::new(&hashes, &keys).unwrap();
    for _ in 0..2 {
        count
            .update_batch(
                &mut b,
                &batch,
                |_| 0,
                |slots, counts| {
                    slots.slots.iter().for_each(|slot| counts[*slot as usize] += 1);
                },
            )
            .unwrap();
        sum.add_batch(&mut b, &batch, &mut keys.clone()).unwrap();
    }
    for key in 0..40 {
        at(&mut b, &key);
        let expected = 2 * keys.iter().filter(|k| **k == key).count() as u64;
        assert_eq!(count.get(&mut b).unwrap().unwrap_or(0), expected);
        assert_eq!(sum.get(&mut b).unwrap().unwrap_or(0), expected * key);
    }
    assert!(matches!(KeyBatch::new(&hashes[1..], &keys), Err(StateError::UnevenBatch { .. })));
    assert!(matches!(sum.add_batch(&mut b, &batch, &mut vec![1]), Err(StateError::UnevenBatch { .. })));
}

#[test]
fn namespaces_merge() {
    let mut b = backend::<u64>();
    let list = b.register_list::<i64, u64>(ListStateDescriptor::new("list")).unwrap();
    let mean = b.register_aggregating::<i64, _, _, _>(AggregatingStateDescriptor::new("mean", Mean)).unwrap();
    at(&mut b, &1);
    for window in 1..=3 {
        list.add_in(&mut b, &window, [window as u64 * 10, window as u64 * 10 + 1]).unwrap();
        mean.add_in(&mut b, &window, window).unwrap();
    }
    list.merge_namespaces(&mut b, &3, &[1, 2, 3, 4]).unwrap();
    mean.merge_namespaces(&mut b, &9, &[1, 2, 3]).unwrap();
    assert_eq!(list.get_in(&mut b, &3).unwrap(), [30, 31, 10, 11, 20, 21]);
    assert_eq!(mean.get_in(&mut b, &9).unwrap(), Some(2));
    assert!(list.get_in(&mut b, &1).unwrap().is_empty());
    assert_eq!(mean.get_in(&mut b, &3).unwrap(), None);
    assert_eq!(b.keys("mean", &9i64).unwrap(), [1]);
    assert!(b.keys("mean", &()).is_err());
}

#[test]
fn timers_fire_by_time_then_by_registration() {
    let mut b = backend::<u64>();
    let timers = b.register_timers::<()>("timers").unwrap();
    for (key, time) in [(3, 20), (1, 10), (2, 10), (1, 10), (5, 10), (4, 30)] {
        at(&mut b, &key);
        timers.register(&mut b, TimeDomain::Event, time, &()).unwrap();
    }
    at(&mut b, &2);
    timers.delete(&mut b, TimeDomain::Event, 10, &()).unwrap();
    timers.delete(&mut b, TimeDomain::Processing, 10, &()).unwrap();
    let snapshot = b.snapshot().unwrap();
    let mut restored = backend::<u64>();
    restored.restore([&snapshot]).unwrap();
    let same = restored.register_timers::<()>("timers").unwrap();
    for (b, timers) in [(&mut b, timers), (&mut restored, same)] {
        let mut fired = Vec::new();
        while let Some(timer) = timers.pop_due(b, TimeDomain::Event, 20).unwrap() {
            assert_eq!(b.current_key().unwrap().0, &timer.key);
            fired.push((timer.timestamp, timer.key));
        }
        assert_eq!(fired, [(10, 1), (10, 5), (20, 3)]);
        assert_eq!(timers.service(b).unwrap().next_timestamp(TimeDomain::Event), Some(30));
    }
}

#[test]
fn a_name_stands_for_one_state() {
    let mut b = backend::<u64>();
    let first = b.register_value::<(), u64>(ValueStateDescriptor::new("s")).unwrap();
    let again = b.register_value::<(), u64>(ValueStateDescriptor::new("s")).unwrap();
    at(&mut b, &1);
    first.update(&mut b, 5).unwrap();
    assert_eq!(again.get(&mut b).unwrap(), Some(5));
    let error = b.register_list::<(), u64>(ListStateDescriptor::new("s")).unwrap_err();
    assert_eq!(error.code(), "TM-STATE-DECLARED-DIFFERENTLY");
    let text = error.to_string();
    assert!(text.contains("value state (key u64, namespace (), holding u64)"), "{text}");

    let snapshot = b.snapshot().unwrap();
    let mut restored = backend::<u64>();
    restored.restore([&snapshot]).unwrap();
    let error = restored.register_value::<(), i32>(ValueStateDescriptor::new("s")).unwrap_err();
    assert_eq!(error.code(), "TM-STATE-INCOMPATIBLE");
    // What nobody has asked for yet is not lost.
    assert_eq!(restored.snapshot().unwrap(), snapshot);
    let value = restored.register_value::<(), u64>(ValueStateDescriptor::new("s")).unwrap();
    at(&mut restored, &1);
    assert_eq!(value.get(&mut restored).unwrap(), Some(5));

    let mut other = KeyedStateBackend::<u64>::new(
        KeyGroupRange::all(64),
        64,
        Arc::new(SystemClock),
        MemoryBudget::unlimited("test"),
    );
    assert_eq!(other.restore([&snapshot]).unwrap_err().code(), "TM-STATE-MAX-PARALLELISM");
}

#[test]
fn a_key_of_another_subtask_is_refused() {
    let clock = Arc::new(ManualClock::at(0));
    let mut b: KeyedStateBackend<u64> =
        KeyedStateBackend::new(KeyGroupRange::new(0, 9), 128, clock, MemoryBudget::unlimited("test"));
    let value = b.register_value::<(), u64>(ValueStateDescriptor::new("s")).unwrap();
    let keys: Vec<u64> = (0..50).collect();
    let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    let foreign = (0..50).find(|key| b.set_current_key(key, key.routing_hash()).is_err());
    assert!(foreign.is_some() && value.get(&mut b).is_err());
    let batch = KeyBatch::new(&hashes, &keys).unwrap();
    let error = value.update_batch(&mut b, &batch, |_| 0, |_, _| ()).unwrap_err();
    assert_eq!(error.code(), "TM-STATE-WRONG-KEY-GROUP");
}

#[test]
fn memory_is_counted_and_bounded() {
    let budget = MemoryBudget::new("task heap", 4 << 20, "taskmanager.memory.task.heap.size");
    let clock = Arc::new(ManualClock::at(0));
    let mut b: KeyedStateBackend<u64> =
        KeyedStateBackend::new(KeyGroupRange::all(128), 128, clock, budget.clone());
    let value = b.register_value::<(), String>(ValueStateDescriptor::new("names")).unwrap();
    let list = b.register_list::<(), u64>(ListStateDescriptor::new("list")).unwrap();
    let fill = |b: &mut KeyedStateBackend<u64>, key: u64| {
        at(b, &key);
        value.update(b, "x".repeat(1000))
    };
    let error = (0..1_000_000).find_map(|key| fill(&mut b, key).err()).unwrap();
    assert_eq!(error.code(), "TM-STATE-OUT-OF-MEMORY");
    let text = error.to_string();
    assert!(text.contains("names") && text.contains("taskmanager.memory.task.heap.size"), "{text}");
    let used = b.bytes();
    assert!((3 << 20..5 << 20).contains(&used), "{used}");
    for key in 0..1_000_000 {
        at(&mut b, &key);
        value.clear(&mut b).unwrap();
    }
    assert!(b.bytes() < 1 << 20, "{}", b.bytes());
    let error = (0..1_000_000u64).find_map(|i| list.add(&mut b, i).err()).unwrap();
    assert_eq!(error.code(), "TM-STATE-OUT-OF-MEMORY");
    drop(b);
    assert_eq!(budget.used(), 0);
}

#[test]
fn large_tables_find_what_they_hold() {
    let mut b = backend::<u64>();
    let count = b.register_value::<(), u64>(ValueStateDescriptor::new("count")).unwrap();
    let windowed = b.register_value::<i64, u64>(ValueStateDescriptor::new("windowed")).unwrap();
    let keys: Vec<u64> = (0..200_000).map(|i| i * 7919 % 50_021).collect();
    let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    let windows: Vec<i64> = keys.iter().map(|key| *key as i64 % 3).collect();
    let columns = || keys.chunks(1000).zip(hashes.chunks(1000)).zip(windows.chunks(1000));
    let add = |slots: Slots<'_>, counts: &mut [u64]| {
        slots.slots.iter().for_each(|slot| counts[*slot as usize] += 1);
    };
    for ((keys, hashes), windows) in columns() {
        b.prefetch(hashes);
        count.update_batch(&mut b, &KeyBatch::new(hashes, keys).unwrap(), |_| 0, add).unwrap();
        let batch = KeyBatch::with_namespaces(hashes, keys, Namespaces::Each(windows)).unwrap();
        windowed.update_batch(&mut b, &batch, |_| 0, add).unwrap();
    }
    let mut expected = std::collections::HashMap::new();
    keys.iter().for_each(|key| *expected.entry(*key).or_insert(0u64) += 1);
    let full = b.bytes();
    let (odd, even): (Vec<u64>, Vec<u64>) = expected.keys().partition(|key| **key % 2 == 1);
    for keys in odd.chunks(999) {
        let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
        count.clear_batch(&mut b, &KeyBatch::new(&hashes, keys).unwrap()).unwrap();
    }
    for key in 0..60_000 {
        at(&mut b, &key);
        let total = expected.get(&key).copied();
        assert_eq!(count.get(&mut b).unwrap(), total.filter(|_| key % 2 == 0), "{key}");
        assert_eq!(windowed.get_in(&mut b, &(key as i64 % 3)).unwrap(), total, "{key}");
        assert_eq!(windowed.get_in(&mut b, &(key as i64 % 3 + 1)).unwrap(), None, "{key}");
    }
    let references: Vec<&u64> = even.iter().collect();
    let hashes: Vec<u64> = even.iter().map(RoutingHash::routing_hash).collect();
    count.clear_batch(&mut b, &KeyBatch::new(&hashes, &references).unwrap()).unwrap();
    assert!(b.keys("count", &()).unwrap().is_empty());
    assert!(b.bytes() < full * 2 / 3, "{} of {full} bytes are left", b.bytes());
}
