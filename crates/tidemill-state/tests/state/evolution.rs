//! State that one release of a program wrote and the next one reads.

use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{Classified, KeyGroupRange, OperatorId};
use tidemill_serialization::{Data, Record, RoutingHash};
use tidemill_state::*;

use crate::basics::at;
use crate::store::TreeBackend;

const MAX_PARALLELISM: u32 = 16;
const KEYS: u64 = 40;

mod old {
    use super::*;

    #[derive(Record, Clone, Debug, PartialEq)]
    pub(super) struct Order {
        pub(super) price: f32,
        pub(super) note: String,
        pub(super) article: i32,
    }

    #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub(super) struct Place {
        pub(super) city: String,
        pub(super) zip: u32,
    }
}

#[derive(Record, Clone, Debug, PartialEq)]
struct Order {
    article: i64,
    #[record(default = "EUR".to_owned())]
    currency: String,
    #[record(alias = "price")]
    amount: Option<f64>,
}

#[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    zip: i64,
    #[record(default = "DE".to_owned())]
    country: String,
    city: String,
}

fn stored(i: u64) -> old::Order {
    old::Order { price: i as f32 / 2.0, note: "n".repeat(i as usize % 5), article: -(i as i32) }
}

fn expected(i: u64) -> Order {
    Order { article: -(i as i64), currency: "EUR".into(), amount: Some(i as f64 / 2.0) }
}

fn stored_place(i: u64) -> old::Place {
    old::Place { city: format!("c{i}"), zip: i as u32 }
}

fn expected_place(i: u64) -> Place {
    Place { zip: i as i64, country: "DE".into(), city: format!("c{i}") }
}

fn reduce<T>(_: &mut T, _: T) {}

struct Keep<T>(T);

impl<T: Data> AggregateFunction for Keep<T> {
    type In = T;
    type Acc = T;
    type Out = T;

    fn create_accumulator(&self) -> T {
        self.0.clone()
    }

    fn add(&self, acc: &mut T, value: T) {
        *acc = value;
    }

    fn get_result(&self, acc: &T) -> T {
        acc.clone()
    }

    fn merge(&self, acc: &mut T, other: T) {
        *acc = other;
    }
}

/// What an operator declares when its records are of type `O` and its namespaces of type `P`.
struct States<O, P> {
    value: ValueState<O, P>,
    list: ListState<O, P>,
    map: MapState<P, O, P>,
    reducing: ReducingState<O, P>,
    aggregating: AggregatingState<O, O, O, P>,
    timers: Timers<P>,
}

fn declare<O: Data, P: tidemill_serialization::Key>(
    b: &mut KeyedStateBackend<u64>,
    ttl: Option<StateTtlConfig>,
    first: O,
) -> Result<States<O, P>, StateError> {
    macro_rules! with {
        ($descriptor:expr) => {
            match ttl {
                Some(ttl) => $descriptor.with_ttl(ttl),
                None => $descriptor,
            }
        };
    }
    Ok(States {
        value: b.register_value(with!(ValueStateDescriptor::new("value")))?,
        list: b.register_list(with!(ListStateDescriptor::new("list")))?,
        map: b.register_map(with!(MapStateDescriptor::new("map")))?,
        reducing: b.register_reducing(with!(ReducingStateDescriptor::new("reducing", reduce::<O>)))?,
        aggregating: b
            .register_aggregating(with!(AggregatingStateDescriptor::new("aggregating", Keep(first))))?,
        timers: b.register_timers("timers")?,
    })
}

fn open(stored: bool, subtask: u32, parallelism: u32) -> KeyedStateBackend<u64> {
    let context = SubtaskContext {
        operator: OperatorId::from_name("orders"),
        subtask,
        key_groups: KeyGroupRange::of_subtask(subtask, parallelism, MAX_PARALLELISM),
        max_parallelism: MAX_PARALLELISM,
        clock: Arc::new(ManualClock::at(1000)),
        budget: MemoryBudget::unlimited("test"),
    };
    let tree = TreeBackend::default();
    let backend: &dyn StateBackend = if stored { &tree } else { &HashMapStateBackend };
    KeyedStateBackend::open(backend, context).unwrap()
}

fn write(in_store: bool, ttl: Option<StateTtlConfig>) -> SubtaskSnapshot {
    let mut b = open(in_store, 0, 1);
    let states = declare::<old::Order, old::Place>(&mut b, ttl, stored(0)).unwrap();
    for key in 0..KEYS {
        at(&mut b, &key);
        let place = stored_place(key % 3);
        states.value.update_in(&mut b, &place, stored(key)).unwrap();
        for i in 0..key % 4 {
            states.list.add_in(&mut b, &place, [stored(i)]).unwrap();
            states.map.put_in(&mut b, &place, stored_place(i), stored(i)).unwrap();
        }
        states.reducing.add_in(&mut b, &place, stored(key)).unwrap();
        states.aggregating.add_in(&mut b, &place, stored(key)).unwrap();
        states.timers.register(&mut b, TimeDomain::Event, key as i64 % 7, &place).unwrap();
    }
    b.snapshot().unwrap()
}

fn check(in_store: bool, ttl: Option<StateTtlConfig>, snapshots: &[SubtaskSnapshot], declared_first: bool) {
    // By way of bytes, as a file would have it, and dealt to two subtasks.
    let snapshots = snapshots.iter().map(|snapshot| SubtaskSnapshot::decode(&snapshot.encode()).unwrap());
    let parts = redistribute(snapshots.collect(), MAX_PARALLELISM, 2).unwrap();
    let mut keys_seen = 0;
    let mut timers_seen = Vec::new();
    for (subtask, part) in parts.iter().enumerate() {
        let mut b = open(in_store, subtask as u32, 2);
        if !declared_first {
            b.restore([part]).unwrap();
        }
        let states = declare::<Order, Place>(&mut b, ttl, expected(0)).unwrap();
        if declared_first {
            b.restore([part]).unwrap();
        }
        let owned = |key: &u64| {
            let group = tidemill_core::key_group::key_group(key.routing_hash(), MAX_PARALLELISM);
            KeyGroupRange::of_subtask(subtask as u32, 2, MAX_PARALLELISM).contains(group)
        };
        for key in (0..KEYS).filter(owned) {
            keys_seen += 1;
            at(&mut b, &key);
            let place = expected_place(key % 3);
            let listed: Vec<Order> = (0..key % 4).map(expected).collect();
            assert_eq!(states.value.get_in(&mut b, &place).unwrap(), Some(expected(key)));
            assert_eq!(states.list.get_in(&mut b, &place).unwrap(), listed);
            for i in 0..key % 4 {
                let found = states.map.get_in(&mut b, &place, &expected_place(i)).unwrap();
                assert_eq!(found, Some(expected(i)));
            }
            assert_eq!(states.map.entries_in(&mut b, &place).unwrap().len() as u64, key % 4);
            assert_eq!(states.reducing.get_in(&mut b, &place).unwrap(), Some(expected(key)));
            assert_eq!(states.aggregating.get_in(&mut b, &place).unwrap(), Some(expected(key)));
        }
        while let Some(timer) = states.timers.pop_due(&mut b, TimeDomain::Event, i64::MAX).unwrap() {
            assert_eq!(
                (timer.timestamp, &timer.namespace),
                (timer.key as i64 % 7, &expected_place(timer.key % 3))
            );
            timers_seen.push(timer.key);
        }
        // What is written now is written with the new types, and read as it is.
        let again = b.snapshot().unwrap();
        let mut other = open(!in_store, subtask as u32, 2);
        declare::<Order, Place>(&mut other, ttl, expected(0)).unwrap();
        other.restore([&again]).unwrap();
    }
    timers_seen.sort_unstable();
    assert_eq!((keys_seen, timers_seen), (KEYS, (0..KEYS).collect()));
}

#[test]
fn all_kinds_of_state_and_timers_are_migrated() {
    let ttl = StateTtlConfig::new(std::time::Duration::from_secs(60));
    for ttl in [None, Some(ttl)] {
        for in_store in [false, true] {
            let snapshot = write(in_store, ttl);
            for (reader, declared_first) in [(false, false), (false, true), (true, false), (true, true)] {
                check(reader, ttl, std::slice::from_ref(&snapshot), declared_first);
            }
        }
    }
}

/// An operator may declare a state with its first record, which some subtasks have not had when the next snapshot is taken:
/// they still have it in the form of the release before.
#[test]
fn states_that_only_some_subtasks_have_asked_for_are_migrated_later() {
    for in_store in [false, true] {
        let parts = redistribute(vec![write(in_store, None)], MAX_PARALLELISM, 3).unwrap();
        let again: Vec<SubtaskSnapshot> = (0..3)
            .zip(&parts)
            .map(|(subtask, part)| {
                let mut b = open(in_store, subtask, 3);
                b.restore([part]).unwrap();
                if subtask == 1 {
                    declare::<Order, Place>(&mut b, None, expected(0)).unwrap();
                }
                b.snapshot().unwrap()
            })
            .collect();
        check(in_store, None, &again, false);
        check(in_store, None, &again, true);
    }
}

#[test]
fn operator_states_that_only_some_subtasks_have_asked_for_are_migrated_later() {
    let backend = || OperatorStateBackend::new(MemoryBudget::unlimited("test"));
    let snapshot = |start: u32| {
        let mut b = backend();
        let split = b.register_list(ListStateDescriptor::<u32>::new("split")).unwrap();
        let union = b.register_union_list(ListStateDescriptor::<u32>::new("union")).unwrap();
        let rules = b.register_broadcast(MapStateDescriptor::<u8, u32>::new("rules")).unwrap();
        split.update(&mut b, start..start + 3).unwrap();
        union.update(&mut b, [start]).unwrap();
        rules.put(&mut b, 1, 7).unwrap();
        b.snapshot()
    };
    type Handles = (OperatorListState<u64>, OperatorListState<u64>, BroadcastState<u8, u64>);
    let declare = |b: &mut OperatorStateBackend| -> Handles {
        (
            b.register_list(ListStateDescriptor::new("split")).unwrap(),
            b.register_union_list(ListStateDescriptor::new("union")).unwrap(),
            b.register_broadcast(MapStateDescriptor::new("rules")).unwrap(),
        )
    };
    for parallelism in [1, 2, 3] {
        let mut first = backend();
        first.restore(&snapshot(10)).unwrap();
        declare(&mut first);
        let snapshots = vec![first.snapshot(), snapshot(20)];
        let (mut split, mut unions) = (Vec::new(), Vec::new());
        for part in redistribute(snapshots, MAX_PARALLELISM, parallelism).unwrap() {
            let mut b = backend();
            b.restore(&SubtaskSnapshot::decode(&part.encode()).unwrap()).unwrap();
            let (own, union, rules) = declare(&mut b);
            split.extend(own.get(&b).unwrap().iter().copied());
            unions.push(union.get(&b).unwrap().to_vec());
            assert_eq!(rules.get(&b, &1).unwrap(), Some(&7));
        }
        split.sort_unstable();
        assert_eq!(split, [10, 11, 12, 20, 21, 22]);
        assert!(unions.iter().all(|union| *union == [10, 20]), "{unions:?}");
    }
}

/// What a program fills in for a field that is missing is no part of what it writes.
#[test]
fn states_are_the_same_whatever_the_defaults_of_their_fields() {
    static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    #[derive(Record, Clone, Debug, PartialEq)]
    struct Stamped {
        #[record(default = NOW.fetch_add(1, std::sync::atomic::Ordering::Relaxed))]
        at: u64,
    }
    let mut b = open(false, 0, 1);
    let declare =
        |b: &mut KeyedStateBackend<u64>| b.register_value::<(), Stamped>(ValueStateDescriptor::new("last"));
    declare(&mut b).unwrap();
    let state = declare(&mut b).unwrap();
    at(&mut b, &7);
    state.update(&mut b, Stamped { at: 5 }).unwrap();
    let parts = redistribute(vec![b.snapshot().unwrap()], MAX_PARALLELISM, 2).unwrap();
    let mut again = open(false, 0, 1);
    declare(&mut again).unwrap();
    again.restore(&parts).unwrap();
    at(&mut again, &7);
    assert_eq!(state.get(&mut again).unwrap(), Some(Stamped { at: 5 }));
}

#[test]
fn keys_that_are_routed_differently_are_refused() {
    #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Id(u64);
    mod now {
        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct Id(pub(super) u64);

        impl tidemill_serialization::RoutingHash for Id {
            fn routing_hash(&self) -> u64 {
                0
            }
        }
    }
    let snapshot = value_snapshot(Id(7), 1u64);
    let text = refused::<now::Id, u64>(&snapshot, "TM-STATE-ROUTING-CHANGED");
    assert!(text.starts_with("a key of the state 'orders' was stored in key group "), "{text}");
}

fn value_snapshot<K: tidemill_serialization::Key, V: Data>(key: K, value: V) -> SubtaskSnapshot {
    let mut b = crate::basics::backend::<K>();
    let state = b.register_value::<(), V>(ValueStateDescriptor::new("orders")).unwrap();
    at(&mut b, &key);
    state.update(&mut b, value).unwrap();
    b.snapshot().unwrap()
}

fn refused<K: tidemill_serialization::Key, V: Data>(snapshot: &SubtaskSnapshot, code: &str) -> String {
    let mut b = crate::basics::backend::<K>();
    b.restore([snapshot]).unwrap();
    let Err(error) = b.register_value::<(), V>(ValueStateDescriptor::new("orders")) else {
        panic!("it was restored");
    };
    assert_eq!(error.code(), code);
    error.to_string()
}

#[test]
fn what_cannot_be_read_names_state_and_field() {
    let snapshot = value_snapshot(1u64, stored(1));
    mod now {
        #[derive(tidemill_serialization::Record, Clone)]
        pub(super) struct Order {
            #[allow(dead_code)]
            pub(super) price: String,
        }
    }
    let text = refused::<u64, now::Order>(&snapshot, "TM-STATE-INCOMPATIBLE");
    assert!(
        text.starts_with(
            "the value of the state 'orders' cannot be read from the snapshot: Order.price was f32 and is now String ("
        ),
        "{text}"
    );
}

#[test]
fn keys_are_not_migrated() {
    let snapshot = value_snapshot(stored_place(1), 1u64);
    let text = refused::<Place, u64>(&snapshot, "TM-STATE-KEY-CHANGED");
    assert!(text.contains("Place { city: String, zip: u32 }"), "{text}");
    // A key with another name for a field is the same key.
    mod now {
        use super::*;

        #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct Place {
            #[record(alias = "city")]
            pub(super) town: String,
            pub(super) zip: u32,
        }
    }
    let mut b = crate::basics::backend::<now::Place>();
    b.restore([&snapshot]).unwrap();
    let state = b.register_value::<(), u64>(ValueStateDescriptor::new("orders")).unwrap();
    at(&mut b, &now::Place { town: "c1".into(), zip: 1 });
    assert_eq!(state.get(&mut b).unwrap(), Some(1));
}

#[test]
fn operator_state_is_migrated() {
    let budget = || MemoryBudget::unlimited("test");
    let mut old = OperatorStateBackend::new(budget());
    let list = old.register_list(ListStateDescriptor::<old::Order>::new("list")).unwrap();
    let union = old.register_union_list(ListStateDescriptor::<u32>::new("union")).unwrap();
    let rules = old.register_broadcast(MapStateDescriptor::<old::Place, old::Order>::new("rules")).unwrap();
    list.update(&mut old, (0..5).map(stored)).unwrap();
    union.update(&mut old, [1, 2]).unwrap();
    rules.put(&mut old, stored_place(1), stored(2)).unwrap();
    let snapshot = SubtaskSnapshot::decode(&old.snapshot().encode()).unwrap();

    let mut new = OperatorStateBackend::new(budget());
    new.restore(&snapshot).unwrap();
    let list = new.register_list(ListStateDescriptor::<Order>::new("list")).unwrap();
    let union = new.register_union_list(ListStateDescriptor::<i64>::new("union")).unwrap();
    let rules = new.register_broadcast(MapStateDescriptor::<Place, Order>::new("rules")).unwrap();
    assert_eq!(list.get(&new).unwrap(), (0..5).map(expected).collect::<Vec<_>>());
    assert_eq!(union.get(&new).unwrap(), [1, 2]);
    assert_eq!(rules.get(&new, &expected_place(1)).unwrap(), Some(&expected(2)));

    let mut wrong = OperatorStateBackend::new(budget());
    wrong.restore(&snapshot).unwrap();
    let error = wrong.register_union_list(ListStateDescriptor::<String>::new("union")).err().unwrap();
    assert_eq!(error.code(), "TM-STATE-INCOMPATIBLE");
}

#[test]
fn damaged_entries_are_refused_while_they_are_migrated() {
    let snapshot = value_snapshot(1u64, stored(4));
    for (_, bytes) in &snapshot.keyed[0].groups {
        let bytes = bytes.read().unwrap();
        for end in 1..bytes.len() {
            let mut cut = value_snapshot(1u64, stored(4));
            cut.keyed[0].groups[0].1 = bytes[..end].to_vec().into();
            refused::<u64, Order>(&cut, "TM-STATE-ENTRY-UNREADABLE");
        }
    }
}
