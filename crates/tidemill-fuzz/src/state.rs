//! Snapshots of state, read and restored into the states of the next release.

use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::{self, RoutingHash};
use tidemill_core::{KeyGroupRange, key_group};
use tidemill_serialization::{Data, Key};
use tidemill_state::*;

use crate::evolved::{Order, Place, old};
use crate::{choice, meter};

const MAX_PARALLELISM: u32 = 16;
/// What a state may take for each byte of its snapshot: entries of tables, and defaults of records.
const FACTOR: usize = 4096;

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

/// What an operator declares whose records are of type `O` and whose namespaces are of type `P`.
struct States<O, P> {
    value: ValueState<O, P>,
    list: ListState<O, P>,
    map: MapState<P, O, P>,
    reducing: ReducingState<O, P>,
    aggregating: AggregatingState<O, O, O, P>,
    timers: Timers<P>,
}

fn declare<O: Data + Default, P: Key>(
    backend: &mut KeyedStateBackend<u64>,
    ttl: bool,
) -> Result<States<O, P>, StateError> {
    macro_rules! with {
        ($descriptor:expr) => {
            match ttl {
                true => $descriptor.with_ttl(StateTtlConfig::new(std::time::Duration::from_secs(60))),
                false => $descriptor,
            }
        };
    }
    Ok(States {
        value: backend.register_value(with!(ValueStateDescriptor::new("value")))?,
        list: backend.register_list(with!(ListStateDescriptor::new("list")))?,
        map: backend.register_map(with!(MapStateDescriptor::new("map")))?,
        reducing: backend
            .register_reducing(with!(ReducingStateDescriptor::new("reducing", |_: &mut O, _: O| {})))?,
        aggregating: backend.register_aggregating(with!(AggregatingStateDescriptor::new(
            "aggregating",
            Keep(O::default())
        )))?,
        timers: backend.register_timers("timers")?,
    })
}

fn open(groups: KeyGroupRange) -> KeyedStateBackend<u64> {
    let budget = MemoryBudget::unlimited("state");
    KeyedStateBackend::new(groups, MAX_PARALLELISM, Arc::new(ManualClock::at(1000)), budget)
}

fn operator<O: Data, P: Key>(
    backend: &mut OperatorStateBackend,
) -> Result<(OperatorListState<O>, OperatorListState<O>, BroadcastState<P, O>), StateError> {
    Ok((
        backend.register_list(ListStateDescriptor::new("split"))?,
        backend.register_union_list(ListStateDescriptor::new("union"))?,
        backend.register_broadcast(MapStateDescriptor::new("broadcast"))?,
    ))
}

/// What the first release would have written.
pub(crate) fn written(ttl: bool) -> SubtaskSnapshot {
    let mut backend = open(KeyGroupRange::all(MAX_PARALLELISM));
    let states = declare::<old::Order, old::Place>(&mut backend, ttl).unwrap();
    for key in 0..6u64 {
        backend.set_current_key(&key, key.routing_hash()).unwrap();
        let order = old::Order { price: 0.5, note: "n".repeat(key as usize), article: -(key as i32) };
        let place = old::Place { city: format!("c{key}"), zip: key as u32 };
        states.value.update_in(&mut backend, &place, order.clone()).unwrap();
        for _ in 0..key % 3 {
            states.list.add_in(&mut backend, &place, [order.clone()]).unwrap();
        }
        states.map.put_in(&mut backend, &place, place.clone(), order.clone()).unwrap();
        states.reducing.add_in(&mut backend, &place, order.clone()).unwrap();
        states.aggregating.add_in(&mut backend, &place, order).unwrap();
        states.timers.register(&mut backend, TimeDomain::Event, key as i64 % 4, &place).unwrap();
        states.timers.register(&mut backend, TimeDomain::Processing, 5, &place).unwrap();
    }
    let mut snapshot = backend.snapshot().unwrap();
    let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    let (split, union, broadcast) = operator::<old::Order, old::Place>(&mut backend).unwrap();
    split.update(&mut backend, vec![old::Order::default(); 3]).unwrap();
    union.add(&mut backend, old::Order { note: "x".into(), ..Default::default() }).unwrap();
    broadcast.put(&mut backend, old::Place::default(), old::Order::default()).unwrap();
    snapshot.operator = backend.snapshot().operator;
    snapshot
}

/// A snapshot without what frames it.
pub(crate) fn body(snapshot: &SubtaskSnapshot) -> Vec<u8> {
    let bytes = snapshot.encode();
    bytes[5..bytes.len() - 8].to_vec()
}

/// A body within a frame that fits it, so that what is behind the checksum is reached.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = [b"TMST\x01", body].concat();
    let checksum = hash::bytes(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn keyed<O: Data + Default, P: Key + Default>(
    snapshot: &SubtaskSnapshot,
    ttl: bool,
    declared_first: bool,
) -> Result<(), StateError> {
    let mut backend = open(KeyGroupRange::of_subtask(0, 1, MAX_PARALLELISM));
    if !declared_first {
        backend.restore([snapshot])?;
    }
    let states = declare::<O, P>(&mut backend, ttl)?;
    if declared_first {
        backend.restore([snapshot])?;
    }
    // What was read can be used, written and read again.
    for key in 0..6u64 {
        backend.set_current_key(&key, key.routing_hash())?;
        let place = P::default();
        states.value.get_in(&mut backend, &place)?;
        states.list.get_in(&mut backend, &place)?;
        states.map.entries_in(&mut backend, &place)?;
        states.reducing.get_in(&mut backend, &place)?;
        states.aggregating.get_in(&mut backend, &place)?;
        states.list.add_in(&mut backend, &place, [O::default()])?;
    }
    let again = backend.snapshot()?;
    let mut restored = open(KeyGroupRange::all(MAX_PARALLELISM));
    restored.restore([&again]).expect("what was written can be restored");
    let states = declare::<O, P>(&mut restored, ttl).expect("what was written is what is declared");
    assert_eq!(restored.snapshot()?.keyed.len(), again.keyed.len());
    let mut last = i64::MIN;
    for domain in [TimeDomain::Event, TimeDomain::Processing] {
        while let Some(timer) = states.timers.pop_due(&mut restored, domain, i64::MAX)? {
            assert!(domain == TimeDomain::Processing || timer.timestamp >= last, "timers come in order");
            last = timer.timestamp;
        }
    }
    Ok(())
}

fn operators<O: Data, P: Key>(snapshot: &SubtaskSnapshot, declared_first: bool) -> Result<(), StateError> {
    let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    if !declared_first {
        backend.restore(snapshot)?;
    }
    let (split, union, broadcast) = operator::<O, P>(&mut backend)?;
    if declared_first {
        backend.restore(snapshot)?;
    }
    let counts = |backend: &OperatorStateBackend| -> Result<_, StateError> {
        let entries = broadcast.entries(backend)?;
        Ok((split.get(backend)?.len(), union.get(backend)?.len(), entries.into_iter().count()))
    };
    let before = counts(&backend)?;
    let again = SubtaskSnapshot::decode(&backend.snapshot().encode())?;
    let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    operator::<O, P>(&mut backend)?;
    backend.restore(&again).expect("what was written can be restored");
    assert_eq!(counts(&backend)?, before);
    Ok(())
}

/// Reads a snapshot of state and restores it in the first and in the second release.
pub fn state(bytes: &[u8]) {
    let (how, body) = choice(bytes);
    drop(SubtaskSnapshot::decode(body));
    let bytes = framed(body);
    let decode = || SubtaskSnapshot::decode(&bytes);
    let Ok(snapshot) = meter::within(256, bytes.len(), decode) else { return };
    let again = SubtaskSnapshot::decode(&snapshot.encode()).expect("what was written can be read");
    assert_eq!(again, snapshot);
    let (ttl, declared_first) = (how & 1 != 0, how & 2 != 0);
    // Errors are what most bytes deserve; that nothing panics and nothing grows is what counts.
    meter::within(FACTOR, bytes.len(), || {
        drop(keyed::<Order, Place>(&snapshot, ttl, declared_first));
        drop(operators::<Order, Place>(&snapshot, declared_first));
        if how & 4 != 0 {
            drop(keyed::<old::Order, old::Place>(&snapshot, ttl, declared_first));
            drop(operators::<old::Order, old::Place>(&snapshot, declared_first));
        }
        for states in [&snapshot.keyed, &snapshot.timers] {
            states.iter().for_each(|state| drop(state.schema.to_string()));
        }
        snapshot
            .operator
            .iter()
            .for_each(|state| drop(state.read::<Order>().map_err(|error| error.to_string())));
    });
    let groups = |parts: &[SubtaskSnapshot]| -> usize {
        parts
            .iter()
            .flat_map(|part| part.keyed.iter().chain(&part.timers))
            .map(|state| state.groups.len())
            .sum()
    };
    let stored = groups(std::slice::from_ref(&snapshot));
    if let Ok(parts) = meter::within(FACTOR, bytes.len(), || redistribute(vec![snapshot], MAX_PARALLELISM, 3))
    {
        assert_eq!(parts.len(), 3);
        assert!(groups(&parts) <= stored);
    }
    let _ = key_group::UPPER_BOUND_MAX_PARALLELISM;
}
