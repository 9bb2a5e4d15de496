//! Random operations on both forms of tables, restored now and then at another parallelism, against the model.

use std::sync::Arc;

use proptest::prelude::*;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::key_group::{key_group, subtask_of};
use tidemill_core::{KeyGroupRange, OperatorId};
use tidemill_state::*;

use crate::basics::{Mean, at};
use crate::model::{Model, ModelTtl, Op, Place, op, ttl};
use crate::store::TreeBackend;

const MAX_PARALLELISM: u32 = 16;

#[derive(Clone, Copy)]
struct Handles {
    value: ValueState<i64, i64>,
    list: ListState<String, i64>,
    map: MapState<i32, String, i64>,
    sum: ReducingState<i64, i64>,
    mean: AggregatingState<i64, (i64, u64), i64, i64>,
}

/// All subtasks of an operator, with their state in one form.
struct World {
    stored: bool,
    /// What the subtasks keep of what is stored.
    cache: StateCache,
    ttl: Option<ModelTtl>,
    clock: ManualClock,
    budget: MemoryBudget,
    subtasks: Vec<(KeyedStateBackend<String>, Handles)>,
}

fn with_ttl(ttl: Option<ModelTtl>) -> Option<StateTtlConfig> {
    ttl.map(ModelTtl::config)
}

macro_rules! declare {
    ($world:expr, $descriptor:expr) => {{
        let descriptor = $descriptor;
        match with_ttl($world.ttl) {
            Some(ttl) => descriptor.with_ttl(ttl),
            None => descriptor,
        }
    }};
}

/// Which subtask each record goes to, with the columns of that part and the indices of its records.
struct Part<T> {
    hashes: Vec<u64>,
    keys: Vec<String>,
    namespaces: Vec<i64>,
    items: Vec<T>,
    records: Vec<usize>,
}

impl<T> Part<T> {
    fn batch(&self) -> KeyBatch<'_, String, i64> {
        KeyBatch::with_namespaces(&self.hashes, &self.keys, Namespaces::Each(&self.namespaces)).unwrap()
    }
}

impl World {
    fn new(stored: bool, cache: usize, ttl: Option<ModelTtl>) -> Self {
        let budget = MemoryBudget::unlimited("test");
        let cache = StateCache::new(cache);
        let mut world = Self { stored, cache, ttl, clock: ManualClock::at(0), budget, subtasks: Vec::new() };
        world.open(1, &[]);
        world
    }

    fn open(&mut self, parallelism: u32, snapshots: &[SubtaskSnapshot]) {
        self.subtasks.clear();
        for subtask in 0..parallelism {
            let context = SubtaskContext {
                operator: OperatorId::from_name("test"),
                subtask,
                key_groups: KeyGroupRange::of_subtask(subtask, parallelism, MAX_PARALLELISM),
                max_parallelism: MAX_PARALLELISM,
                clock: Arc::new(self.clock.clone()),
                budget: self.budget.clone(),
            };
            let tree = TreeBackend { store: None, cache: Some(self.cache.clone()) };
            let backend: &dyn StateBackend = if self.stored { &tree } else { &HashMapStateBackend };
            let mut b = KeyedStateBackend::open(backend, context).unwrap();
            // Half of the subtasks declare their states before they restore, half after.
            if subtask % 2 == 0
                && let Some(snapshot) = snapshots.get(subtask as usize)
            {
                b.restore([snapshot]).unwrap();
            }
            let sum = |a: &mut i64, v: i64| *a += v;
            let handles = Handles {
                value: b.register_value(declare!(self, ValueStateDescriptor::new("value"))).unwrap(),
                list: b.register_list(declare!(self, ListStateDescriptor::new("list"))).unwrap(),
                map: b.register_map(declare!(self, MapStateDescriptor::new("map"))).unwrap(),
                sum: b.register_reducing(declare!(self, ReducingStateDescriptor::new("sum", sum))).unwrap(),
                mean: b
                    .register_aggregating(declare!(self, AggregatingStateDescriptor::new("mean", Mean)))
                    .unwrap(),
            };
            if subtask % 2 == 1
                && let Some(snapshot) = snapshots.get(subtask as usize)
            {
                b.restore([snapshot]).unwrap();
            }
            self.subtasks.push((b, handles));
        }
    }

    fn snapshots(&mut self) -> Vec<SubtaskSnapshot> {
        self.subtasks
            .iter_mut()
            .map(|(b, _)| SubtaskSnapshot::decode(&b.snapshot().unwrap().encode()).unwrap())
            .collect()
    }

    fn owner(&self, key: &str) -> usize {
        let group = key_group(key.routing_hash(), MAX_PARALLELISM);
        subtask_of(group, self.subtasks.len() as u32, MAX_PARALLELISM) as usize
    }

    /// The backend that has a key, with that key as its current one.
    fn on(&mut self, key: &String) -> (&mut KeyedStateBackend<String>, Handles) {
        let owner = self.owner(key);
        let (b, handles) = &mut self.subtasks[owner];
        at(b, key);
        (b, *handles)
    }

    fn split<T: Clone>(&self, records: &[(Place, T)]) -> Vec<Part<T>> {
        let empty =
            || Part { hashes: vec![], keys: vec![], namespaces: vec![], items: vec![], records: vec![] };
        let mut parts: Vec<Part<T>> = self.subtasks.iter().map(|_| empty()).collect();
        for (record, ((key, namespace), item)) in records.iter().enumerate() {
            let part = &mut parts[self.owner(key)];
            part.hashes.push(key.routing_hash());
            part.keys.push(key.clone());
            part.namespaces.push(*namespace);
            part.items.push(item.clone());
            part.records.push(record);
        }
        parts
    }

    /// Calls `f` for each subtask with its part of a batch, and puts the answers back in order.
    fn batch<T: Clone, R: Clone + Default>(
        &mut self,
        records: &[(Place, T)],
        mut f: impl FnMut(&mut KeyedStateBackend<String>, Handles, &mut Part<T>) -> Vec<R>,
    ) -> Vec<R> {
        let mut answers = vec![R::default(); records.len()];
        let parts = self.split(records);
        for ((b, handles), mut part) in self.subtasks.iter_mut().zip(parts) {
            for (answer, record) in f(b, *handles, &mut part).into_iter().zip(part.records) {
                answers[record] = answer;
            }
        }
        answers
    }

    fn apply(&mut self, op: &Op) -> String {
        let nothing = |places: &[Place]| places.iter().map(|at| (at.clone(), ())).collect::<Vec<_>>();
        match op.clone() {
            Op::ValueGet((key, n)) => {
                let (b, h) = self.on(&key);
                return format!("{:?}", h.value.get_in(b, &n).unwrap());
            }
            Op::ValuePut((key, n), value) => {
                let (b, h) = self.on(&key);
                h.value.update_in(b, &n, value).unwrap();
            }
            Op::ValueModify((key, n), by) => {
                let (b, h) = self.on(&key);
                let mut created = false;
                let make = || {
                    created = true;
                    100
                };
                let value = h.value.modify_in(b, &n, make, |value| {
                    *value += by;
                    *value
                });
                return format!("{created} {}", value.unwrap());
            }
            Op::ValueClear((key, n)) => {
                let (b, h) = self.on(&key);
                h.value.clear_in(b, &n).unwrap();
            }
            Op::ValueAddBatch(records) => {
                let created: Vec<bool> = self.batch(&records, |b, h, part| {
                    let items = part.items.clone();
                    let update = |slots: Slots<'_>, values: &mut [i64]| {
                        let mut created = vec![false; slots.slots.len()];
                        slots.created.iter().for_each(|record| created[*record as usize] = true);
                        for (record, slot) in slots.slots.iter().enumerate() {
                            values[*slot as usize] += items[record];
                        }
                        created
                    };
                    h.value.update_batch(b, &part.batch(), |_| 0, update).unwrap()
                });
                let created: Vec<usize> =
                    created.into_iter().enumerate().filter(|(_, c)| *c).map(|(i, _)| i).collect();
                return format!("{created:?}");
            }
            Op::ValueReadBatch(places) => {
                let seen: Vec<Option<i64>> = self.batch(&nothing(&places), |b, h, part| {
                    let read = |slots: &[u32], values: &[i64]| {
                        slots.iter().map(|slot| (*slot != NO_SLOT).then(|| values[*slot as usize])).collect()
                    };
                    h.value.read_batch(b, &part.batch(), read).unwrap()
                });
                return format!("{seen:?}");
            }
            Op::ValueClearBatch(places) => {
                self.batch(&nothing(&places), |b, h, part| -> Vec<()> {
                    h.value.clear_batch(b, &part.batch()).unwrap();
                    vec![]
                });
            }
            Op::ListGet((key, n)) => {
                let (b, h) = self.on(&key);
                return format!("{:?}", h.list.get_in(b, &n).unwrap());
            }
            Op::ListAdd((key, n), items) => {
                let (b, h) = self.on(&key);
                h.list.add_in(b, &n, items).unwrap();
            }
            Op::ListPut((key, n), items) => {
                let (b, h) = self.on(&key);
                h.list.update_in(b, &n, items).unwrap();
            }
            Op::ListClear((key, n)) => {
                let (b, h) = self.on(&key);
                h.list.clear_in(b, &n).unwrap();
            }
            Op::ListMerge(key, target, sources) => {
                let (b, h) = self.on(&key);
                h.list.merge_namespaces(b, &target, &sources).unwrap();
            }
            Op::ListAppendBatch(records) => {
                self.batch(&records, |b, h, part| -> Vec<()> {
                    let mut items = std::mem::take(&mut part.items);
                    h.list.append_batch(b, &part.batch(), &mut items).unwrap();
                    assert!(items.is_empty());
                    vec![]
                });
            }
            Op::ListReadBatch(places) => {
                let seen: Vec<Vec<String>> = self.batch(&nothing(&places), |b, h, part| {
                    let mut seen = vec![vec![]; part.keys.len()];
                    h.list.read_batch(b, &part.batch(), |i, list| seen[i] = list.to_vec()).unwrap();
                    seen
                });
                return format!("{seen:?}");
            }
            Op::MapGet((key, n), user_key) => {
                let (b, h) = self.on(&key);
                return format!("{:?}", h.map.get_in(b, &n, &user_key).unwrap());
            }
            Op::MapPut((key, n), user_key, value) => {
                let (b, h) = self.on(&key);
                h.map.put_in(b, &n, user_key, value).unwrap();
            }
            Op::MapModify((key, n), user_key, text) => {
                let (b, h) = self.on(&key);
                let modify = |value: &mut String| {
                    value.truncate(20);
                    value.push_str(&text);
                    value.clone()
                };
                return h.map.modify_in(b, &n, user_key, || "new".to_owned(), modify).unwrap();
            }
            Op::MapRemove((key, n), user_key) => {
                let (b, h) = self.on(&key);
                h.map.remove_in(b, &n, &user_key).unwrap();
            }
            Op::MapScan((key, n), from, to, limit) => {
                let (b, h) = self.on(&key);
                let mut seen = Vec::new();
                let visit = |user_key: &i32, value: &String| {
                    seen.push((*user_key, value.clone()));
                    seen.len() <= limit
                };
                h.map.scan_in(b, &n, from..to, visit).unwrap();
                return format!("{seen:?}");
            }
            Op::MapIsEmpty((key, n)) => {
                let (b, h) = self.on(&key);
                return format!("{}", h.map.is_empty_in(b, &n).unwrap());
            }
            Op::MapClear((key, n)) => {
                let (b, h) = self.on(&key);
                h.map.clear_in(b, &n).unwrap();
            }
            Op::MapPutBatch(records) => {
                self.batch(&records, |b, h, part| -> Vec<()> {
                    let mut items = std::mem::take(&mut part.items);
                    h.map.put_batch(b, &part.batch(), &mut items).unwrap();
                    vec![]
                });
            }
            Op::MapGetBatch(records) => {
                let seen: Vec<Option<String>> = self.batch(&records, |b, h, part| {
                    let mut seen = vec![None; part.keys.len()];
                    h.map
                        .get_batch(b, &part.batch(), &part.items, |i, value| seen[i] = value.cloned())
                        .unwrap();
                    seen
                });
                return format!("{seen:?}");
            }
            Op::SumGet((key, n)) => {
                let (b, h) = self.on(&key);
                return format!("{:?}", h.sum.get_in(b, &n).unwrap());
            }
            Op::SumAdd((key, n), value) => {
                let (b, h) = self.on(&key);
                h.sum.add_in(b, &n, value).unwrap();
            }
            Op::SumMerge(key, target, sources) => {
                let (b, h) = self.on(&key);
                h.sum.merge_namespaces(b, &target, &sources).unwrap();
            }
            Op::SumAddBatch(records) => {
                self.batch(&records, |b, h, part| -> Vec<()> {
                    let mut items = std::mem::take(&mut part.items);
                    h.sum.add_batch(b, &part.batch(), &mut items).unwrap();
                    vec![]
                });
            }
            Op::MeanGet((key, n)) => {
                let (b, h) = self.on(&key);
                return format!("{:?}", h.mean.get_in(b, &n).unwrap());
            }
            Op::MeanAdd((key, n), value) => {
                let (b, h) = self.on(&key);
                h.mean.add_in(b, &n, value).unwrap();
            }
            Op::MeanMerge(key, target, sources) => {
                let (b, h) = self.on(&key);
                h.mean.merge_namespaces(b, &target, &sources).unwrap();
            }
            Op::MeanAddBatch(records) => {
                self.batch(&records, |b, h, part| -> Vec<()> {
                    let mut items = std::mem::take(&mut part.items);
                    h.mean.add_batch(b, &part.batch(), &mut items).unwrap();
                    vec![]
                });
            }
            Op::MeanGetBatch(places) => {
                let seen: Vec<Option<i64>> = self.batch(&nothing(&places), |b, h, part| {
                    let mut results = Vec::new();
                    h.mean.get_batch(b, &part.batch(), &mut results).unwrap();
                    results
                });
                return format!("{seen:?}");
            }
            Op::Keys(namespace) => {
                let answers = ["value", "list", "map", "sum"].map(|name| {
                    let parts = self.subtasks.iter_mut().flat_map(|(b, _)| b.keys(name, &namespace).unwrap());
                    parts.collect::<std::collections::BTreeSet<_>>()
                });
                return format!("{answers:?}");
            }
            Op::Dump => {
                let mut lines = Vec::new();
                for (b, h) in &mut self.subtasks {
                    let value = |k: &String, n: &i64, v: &i64| lines.push(format!("value {:?} {v}", (k, n)));
                    h.value.for_each(b, value).unwrap();
                    h.list.for_each(b, |k, n, v| lines.push(format!("list {:?} {v:?}", (k, n)))).unwrap();
                    h.map
                        .for_each(b, |k, n, uk, v| lines.push(format!("map {:?} {uk} {v}", (k, n))))
                        .unwrap();
                }
                lines.sort();
                return lines.join("\n");
            }
            Op::Flush => {
                self.subtasks.iter_mut().for_each(|(b, _)| b.flush().unwrap());
                assert_eq!(self.cache.dirty(), 0);
            }
            Op::Advance(millis) => self.clock.advance(millis),
            Op::Rescale(parallelism, other) => {
                let dealt = redistribute(self.snapshots(), MAX_PARALLELISM, parallelism).unwrap();
                self.stored ^= other;
                self.open(parallelism, &dealt);
            }
        }
        String::new()
    }
}

fn compare(ops: &[Op], ttl: Option<ModelTtl>) {
    let mut model = Model::new(ttl);
    // In memory at first; without a cache; with one that something is always evicted from; with one for everything.
    let forms = [(false, 600), (true, 0), (true, 600), (true, 1 << 20)];
    let mut worlds = forms.map(|(stored, cache)| World::new(stored, cache, ttl));
    let last = [Op::Keys(0), Op::Dump, Op::Rescale(3, true), Op::Dump];
    for (step, op) in ops.iter().chain(&last).enumerate() {
        let expected = model.apply(op);
        for (world, form) in worlds.iter_mut().zip(forms) {
            let answer = world.apply(op);
            assert_eq!(answer, expected, "step {step}, {form:?}: {op:?}");
            assert!(world.cache.used() <= world.cache.limit(), "step {step}, {form:?}: {op:?}");
        }
    }
    for world in worlds {
        let (budget, cache) = (world.budget.clone(), world.cache.clone());
        drop(world);
        assert_eq!((budget.used(), cache.used(), cache.dirty()), (0, 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn both_forms_do_as_the_model(ops in prop::collection::vec(op(), 0..120)) {
        compare(&ops, None);
    }

    #[test]
    fn both_forms_expire_as_the_model(ops in prop::collection::vec(op(), 0..120), ttl in ttl()) {
        compare(&ops, Some(ttl));
    }
}
