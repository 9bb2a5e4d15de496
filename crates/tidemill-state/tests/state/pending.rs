//! Snapshots that are encoded while states go on changing: each has what was there when it began.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId, ScratchFolder};
use tidemill_state::*;

use crate::store::TreeBackend;

const KEYS: u32 = 2_000;

/// What the states hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    values: BTreeMap<u32, String>,
    lists: BTreeMap<u32, Vec<u32>>,
    maps: BTreeMap<u32, BTreeMap<u8, String>>,
    timers: BTreeMap<(i64, u32), ()>,
}

struct States {
    backend: KeyedStateBackend<u32>,
    value: ValueState<String>,
    list: ListState<u32>,
    map: MapState<u8, String>,
    timers: Timers,
}

impl States {
    fn new(budget: &MemoryBudget, restored: Option<&SubtaskSnapshot>) -> Self {
        Self::of(&HashMapStateBackend, budget, restored)
    }

    fn of(kind: &dyn StateBackend, budget: &MemoryBudget, restored: Option<&SubtaskSnapshot>) -> Self {
        let context = SubtaskContext {
            operator: OperatorId::from_name("pending"),
            subtask: 0,
            key_groups: KeyGroupRange::all(16),
            max_parallelism: 16,
            clock: Arc::new(SystemClock),
            budget: budget.clone(),
        };
        let mut backend = KeyedStateBackend::open(kind, context).unwrap();
        backend.restore(restored).unwrap();
        let value = backend.register_value(ValueStateDescriptor::new("value")).unwrap();
        let list = backend.register_list(ListStateDescriptor::new("list")).unwrap();
        let map = backend.register_map(MapStateDescriptor::new("map")).unwrap();
        let timers = backend.register_timers("timers").unwrap();
        Self { backend, value, list, map, timers }
    }

    fn at(&mut self, key: u32) -> &mut KeyedStateBackend<u32> {
        self.backend.set_current_key(&key, key.routing_hash()).unwrap();
        &mut self.backend
    }

    /// All that they hold, looked at by going through everything.
    fn model(&mut self) -> Model {
        let mut model = Model::default();
        let new = |known: Option<_>| assert!(known.is_none(), "an entry is shown twice");
        self.value
            .for_each(&mut self.backend, |key, (), value| {
                new(model.values.insert(*key, value.clone()).map(drop))
            })
            .unwrap();
        self.list
            .for_each(&mut self.backend, |key, (), list| {
                new(model.lists.insert(*key, list.to_vec()).map(drop))
            })
            .unwrap();
        self.map
            .for_each(&mut self.backend, |key, (), user_key, value| {
                let map = model.maps.entry(*key).or_default();
                new(map.insert(*user_key, value.clone()).map(drop));
            })
            .unwrap();
        let service = self.timers.service(&mut self.backend).unwrap();
        let mut last = i64::MIN;
        let each = |timestamp, key: &u32, (): &()| {
            assert!(last <= timestamp, "timers come by time");
            last = timestamp;
            new(model.timers.insert((timestamp, *key), ()).map(drop));
        };
        service.for_each(TimeDomain::Event, each).unwrap();
        assert_eq!(service.len(TimeDomain::Event).unwrap(), model.timers.len());
        model
    }
}

#[derive(Clone, Debug)]
enum Step {
    Value(u32, String),
    Values(Vec<u32>, String),
    ClearValue(u32),
    ClearValues(Vec<u32>),
    Add(u32, u32),
    ClearList(u32),
    Entry(u32, u8, String),
    RemoveEntry(u32, u8),
    Register(u32, i64),
    RegisterNew(u32, i64),
    Delete(u32, i64),
    Fire(i64),
    Begin,
    Complete,
    Cancel,
    Drop,
    All,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..KEYS;
    let time = 0..300i64;
    let text = "[a-z]{0,30}";
    let keys = || prop::collection::vec(0..KEYS, 1..300);
    let step = prop_oneof![
        3 => (key.clone(), text).prop_map(|(k, v)| Step::Value(k, v)),
        3 => (keys(), text).prop_map(|(k, v)| Step::Values(k, v)),
        2 => key.clone().prop_map(Step::ClearValue),
        1 => keys().prop_map(Step::ClearValues),
        3 => (key.clone(), 0..9u32).prop_map(|(k, v)| Step::Add(k, v)),
        2 => key.clone().prop_map(Step::ClearList),
        3 => (key.clone(), 0..4u8, text).prop_map(|(k, u, v)| Step::Entry(k, u, v)),
        2 => (key.clone(), 0..4u8).prop_map(|(k, u)| Step::RemoveEntry(k, u)),
        4 => (key.clone(), time.clone()).prop_map(|(k, t)| Step::Register(k, t)),
        3 => (key.clone(), time.clone()).prop_map(|(k, t)| Step::RegisterNew(k, t)),
        4 => (key, time.clone()).prop_map(|(k, t)| Step::Delete(k, t)),
        2 => time.prop_map(Step::Fire),
        3 => Just(Step::Begin),
        2 => Just(Step::Complete),
        1 => Just(Step::Cancel),
        1 => Just(Step::Drop),
        2 => Just(Step::All),
    ];
    prop::collection::vec(step, 1..100)
}

/// Enough of each that it is worth leaving it to a snapshot.
fn fill(states: &mut States) -> Model {
    let mut model = Model::default();
    for key in 0..KEYS {
        let text = format!("{key:050}");
        states.at(key);
        let time = i64::from(key % 250);
        states.value.update(&mut states.backend, text.clone()).unwrap();
        states.list.add(&mut states.backend, key).unwrap();
        states.map.put(&mut states.backend, 1, text.clone()).unwrap();
        states.timers.register(&mut states.backend, TimeDomain::Event, time, &()).unwrap();
        model.values.insert(key, text.clone());
        model.lists.insert(key, vec![key]);
        model.maps.entry(key).or_default().insert(1, text);
        model.timers.insert((time, key), ());
    }
    model
}

fn run(steps: Vec<Step>, kind: &dyn StateBackend, budget: &MemoryBudget) -> Result<(), TestCaseError> {
    let mut states = States::of(kind, budget, None);
    let stored = kind.name() != HashMapStateBackend.name();
    let mut model = fill(&mut states);
    let mut pending: Vec<(SubtaskSnapshot, Model)> = Vec::new();
    // What is written at the same moment while the task waits.
    let mut expected: VecDeque<SubtaskSnapshot> = VecDeque::new();
    let folder = ScratchFolder::within(std::env::temp_dir());
    let spill = Spill::new(folder.clone(), 20_000);
    let check = |mut snapshot: SubtaskSnapshot, then: Model| {
        snapshot.complete_spilling(&Arc::default(), &spill).unwrap();
        let read = SubtaskSnapshot::decode(&snapshot.encode()).unwrap();
        prop_assert_eq!(&read, &snapshot);
        // By way of a file, in which the entries stay.
        let file = spill.new_file().unwrap();
        snapshot.write_file(&file, then.values.len().is_multiple_of(2), &Arc::default()).unwrap();
        let read = SubtaskSnapshot::open(file, &spill).unwrap();
        prop_assert_eq!(&read, &snapshot);
        let mut restored = States::new(&MemoryBudget::unlimited("restored"), Some(&read));
        prop_assert!(restored.model() == then, "a snapshot is not what was there when it began");
        Ok(())
    };
    for step in steps {
        match step {
            Step::Value(key, text) => {
                states.at(key);
                states.value.update(&mut states.backend, text.clone()).unwrap();
                model.values.insert(key, text);
            }
            Step::Values(keys, text) => {
                let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
                let batch = KeyBatch::new(&hashes, &keys).unwrap();
                let append = |slots: Slots<'_>, values: &mut [String]| {
                    for slot in slots.slots {
                        let value = &mut values[*slot as usize];
                        value.truncate(10);
                        value.push_str(&text);
                    }
                };
                states.value.update_batch(&mut states.backend, &batch, |_| String::new(), append).unwrap();
                for key in keys {
                    let value = model.values.entry(key).or_default();
                    value.truncate(10);
                    value.push_str(&text);
                }
            }
            Step::ClearValue(key) => {
                states.at(key);
                states.value.clear(&mut states.backend).unwrap();
                model.values.remove(&key);
            }
            Step::ClearValues(keys) => {
                let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
                let batch = KeyBatch::new(&hashes, &keys).unwrap();
                states.value.clear_batch(&mut states.backend, &batch).unwrap();
                keys.iter().for_each(|key| drop(model.values.remove(key)));
            }
            Step::Add(key, item) => {
                states.at(key);
                states.list.add(&mut states.backend, item).unwrap();
                model.lists.entry(key).or_default().push(item);
            }
            Step::ClearList(key) => {
                states.at(key);
                states.list.clear(&mut states.backend).unwrap();
                model.lists.remove(&key);
            }
            Step::Entry(key, user_key, text) => {
                states.at(key);
                states.map.put(&mut states.backend, user_key, text.clone()).unwrap();
                model.maps.entry(key).or_default().insert(user_key, text);
            }
            Step::RemoveEntry(key, user_key) => {
                states.at(key);
                states.map.remove(&mut states.backend, &user_key).unwrap();
                let map = model.maps.entry(key).or_default();
                map.remove(&user_key);
                if map.is_empty() {
                    model.maps.remove(&key);
                }
            }
            Step::Register(key, time) => {
                states.at(key);
                states.timers.register(&mut states.backend, TimeDomain::Event, time, &()).unwrap();
                model.timers.insert((time, key), ());
                let service = states.timers.service(&mut states.backend).unwrap();
                prop_assert_eq!(service.len(TimeDomain::Event).unwrap(), model.timers.len());
            }
            Step::RegisterNew(key, time) => {
                if model.timers.insert((time, key), ()).is_none() {
                    let service = states.timers.service(&mut states.backend).unwrap();
                    service.register_new(TimeDomain::Event, time, (&key, key.routing_hash()), &()).unwrap();
                }
            }
            Step::Delete(key, time) => {
                states.at(key);
                states.timers.delete(&mut states.backend, TimeDomain::Event, time, &()).unwrap();
                model.timers.remove(&(time, key));
                let service = states.timers.service(&mut states.backend).unwrap();
                prop_assert_eq!(service.len(TimeDomain::Event).unwrap(), model.timers.len());
            }
            Step::Fire(time) => {
                let mut fired = BTreeSet::new();
                let mut last = i64::MIN;
                while let Some(timer) =
                    states.timers.pop_due(&mut states.backend, TimeDomain::Event, time).unwrap()
                {
                    prop_assert!(last <= timer.timestamp && timer.timestamp <= time);
                    last = timer.timestamp;
                    prop_assert!(fired.insert((timer.timestamp, timer.key)));
                }
                let left = model.timers.split_off(&(time + 1, 0));
                let due = std::mem::replace(&mut model.timers, left);
                prop_assert_eq!(fired, due.into_keys().collect::<BTreeSet<_>>());
                let service = states.timers.service(&mut states.backend).unwrap();
                let next = model.timers.first_key_value().map(|((time, _), ())| *time);
                prop_assert_eq!(service.next_timestamp(TimeDomain::Event), next);
            }
            Step::Begin => {
                let at_once = stored.then(|| states.backend.snapshot().unwrap());
                let snapshot = states.backend.begin_snapshot().unwrap();
                if let Some(at_once) = at_once {
                    let waiting = format!("{:?}", snapshot.pending);
                    prop_assert!(["value", "list", "map"].iter().all(|name| waiting.contains(name)));
                    expected.push_back(at_once);
                }
                pending.push((snapshot, model.clone()));
            }
            Step::Complete if !pending.is_empty() => {
                let (mut snapshot, then) = pending.remove(0);
                if let Some(at_once) = expected.pop_front() {
                    snapshot.complete_spilling(&Arc::default(), &spill).unwrap();
                    prop_assert!(snapshot.encode() == at_once.encode(), "the bytes are others");
                }
                check(snapshot, then)?;
            }
            Step::Cancel if !pending.is_empty() => {
                let (mut snapshot, _) = pending.remove(0);
                expected.pop_front();
                let waits = !snapshot.pending.is_empty();
                let cancelled = snapshot.complete(&Arc::new(AtomicBool::new(true)));
                // One that the task has encoded by itself, or that is empty, is complete all the same.
                if let Err(error) = cancelled {
                    prop_assert!(waits && matches!(error, StateError::SnapshotGivenUp), "{}", error);
                }
            }
            Step::Drop if !pending.is_empty() => drop((pending.remove(0), expected.pop_front())),
            Step::Complete | Step::Cancel | Step::Drop => {}
            Step::All => prop_assert!(states.model() == model, "the states are not what they should be"),
        }
        prop_assert!(stored || budget.used() >= states.backend.bytes());
    }
    prop_assert!(states.model() == model, "the states are not what they should be");
    for (snapshot, then) in pending {
        check(snapshot, then)?;
    }
    prop_assert!(states.model() == model, "the states are not what they should be");
    let last = states.backend.snapshot().unwrap();
    check(last, model)?;
    prop_assert_eq!(std::fs::read_dir(folder.create().unwrap()).unwrap().count(), 0, "no file is left");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_has_what_was_there_when_it_began(steps in steps()) {
        run(steps, &HashMapStateBackend, &MemoryBudget::unlimited("state"))?;
    }

    /// In a store, without a cache, with one that has room for a part, and with one for all.
    #[test]
    fn in_a_store_each_is_what_is_written_at_once(steps in steps(), cache in 0..3u32) {
        let cache = (cache > 0).then(|| StateCache::new(10_000 << (cache * 6)));
        let kind = TreeBackend { store: None, cache };
        run(steps, &kind, &MemoryBudget::unlimited("state"))?;
    }

    /// So little memory that copies of all of it do not fit.
    #[test]
    fn with_little_memory_the_task_encodes_them_itself(steps in steps(), percent in 20..60usize) {
        let alone = MemoryBudget::unlimited("state");
        let mut states = States::new(&alone, None);
        fill(&mut states);
        let limit = alone.used() / 100 * (100 + percent);
        drop(states);
        let budget = MemoryBudget::new("task heap", limit, "taskmanager.memory.task.heap.size");
        run(steps, &HashMapStateBackend, &budget)?;
    }
}

/// Nothing is held, or counted, for a snapshot that nobody wants any more.
#[test]
fn what_is_given_up_is_free_at_once() {
    let budget = MemoryBudget::unlimited("state");
    let mut states = States::new(&budget, None);
    let put = |states: &mut States, text: &str| {
        for key in 0..KEYS {
            states.at(key);
            states.value.update(&mut states.backend, text.to_owned()).unwrap();
        }
    };
    put(&mut states, "some text that is there before");
    let before = states.backend.bytes();
    let snapshot = states.backend.begin_snapshot().unwrap();
    assert!(!snapshot.pending.is_empty());
    put(&mut states, "some text that is there later.");
    assert!(states.backend.bytes() > before * 3 / 2, "copies are counted");
    drop(snapshot);
    put(&mut states, "some text that is there at end");
    let after = states.backend.bytes();
    assert!(after < before * 11 / 10, "{after} of {before} bytes");
}

/// A snapshot that is not complete has no bytes that could be taken for one.
#[test]
fn what_is_not_complete_cannot_be_read() {
    let mut states = States::new(&MemoryBudget::unlimited("state"), None);
    for key in 0..KEYS {
        states.at(key);
        states.value.update(&mut states.backend, format!("{key:050}")).unwrap();
    }
    let mut snapshot = states.backend.begin_snapshot().unwrap();
    assert!(!snapshot.is_empty() && SubtaskSnapshot::decode(&snapshot.encode()).is_err());
    let mut second = snapshot.clone();
    snapshot.complete(&Arc::default()).unwrap();
    second.complete(&Arc::default()).unwrap();
    assert_eq!(snapshot, second, "what is shared is encoded once");
    assert_eq!(snapshot, states.backend.snapshot().unwrap());
}
