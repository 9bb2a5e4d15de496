//! What keyed state should do, written down as naively as possible; and the operations to try it with.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidemill_state::{StateTtlConfig, TtlUpdate, TtlVisibility};

pub(crate) type Place = (String, i64);

/// One thing to do. All have an answer, which is compared as text.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    ValueGet(Place),
    ValuePut(Place, i64),
    ValueModify(Place, i64),
    ValueClear(Place),
    ValueAddBatch(Vec<(Place, i64)>),
    ValueReadBatch(Vec<Place>),
    ValueClearBatch(Vec<Place>),
    ListGet(Place),
    ListAdd(Place, Vec<String>),
    ListPut(Place, Vec<String>),
    ListClear(Place),
    ListMerge(String, i64, Vec<i64>),
    ListAppendBatch(Vec<(Place, String)>),
    ListReadBatch(Vec<Place>),
    MapGet(Place, i32),
    MapPut(Place, i32, String),
    MapModify(Place, i32, String),
    MapRemove(Place, i32),
    MapScan(Place, i32, i32, usize),
    MapIsEmpty(Place),
    MapClear(Place),
    MapPutBatch(Vec<(Place, (i32, String))>),
    MapGetBatch(Vec<(Place, i32)>),
    SumGet(Place),
    SumAdd(Place, i64),
    SumMerge(String, i64, Vec<i64>),
    SumAddBatch(Vec<(Place, i64)>),
    MeanGet(Place),
    MeanAdd(Place, i64),
    MeanMerge(String, i64, Vec<i64>),
    MeanAddBatch(Vec<(Place, i64)>),
    MeanGetBatch(Vec<Place>),
    Keys(i64),
    Dump,
    /// What is only in a cache goes to the store.
    Flush,
    Advance(i64),
    /// Restore at another parallelism; `true` in the other form.
    Rescale(u32, bool),
}

fn key() -> impl Strategy<Value = String> {
    (0..6u8).prop_map(|i| "k".repeat(usize::from(i)))
}

fn namespace() -> impl Strategy<Value = i64> {
    0..3i64
}

fn place() -> impl Strategy<Value = Place> {
    (key(), namespace())
}

fn text() -> impl Strategy<Value = String> {
    (0..20usize).prop_map(|length| "x".repeat(length))
}

fn batch<T: std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(item, 0..12)
}

fn sources() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(namespace(), 0..4)
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let user_key = || -3..4i32;
    let values = prop_oneof![
        place().prop_map(Op::ValueGet),
        (place(), any::<i32>()).prop_map(|(at, v)| Op::ValuePut(at, v.into())),
        (place(), -9..9i64).prop_map(|(at, v)| Op::ValueModify(at, v)),
        place().prop_map(Op::ValueClear),
        batch((place(), -9..9i64)).prop_map(Op::ValueAddBatch),
        batch(place()).prop_map(Op::ValueReadBatch),
        batch(place()).prop_map(Op::ValueClearBatch),
    ];
    let lists = prop_oneof![
        place().prop_map(Op::ListGet),
        (place(), prop::collection::vec(text(), 0..4)).prop_map(|(at, v)| Op::ListAdd(at, v)),
        (place(), prop::collection::vec(text(), 0..4)).prop_map(|(at, v)| Op::ListPut(at, v)),
        place().prop_map(Op::ListClear),
        (key(), namespace(), sources()).prop_map(|(k, t, s)| Op::ListMerge(k, t, s)),
        batch((place(), text())).prop_map(Op::ListAppendBatch),
        batch(place()).prop_map(Op::ListReadBatch),
    ];
    let maps = prop_oneof![
        (place(), user_key()).prop_map(|(at, uk)| Op::MapGet(at, uk)),
        (place(), user_key(), text()).prop_map(|(at, uk, v)| Op::MapPut(at, uk, v)),
        (place(), user_key(), text()).prop_map(|(at, uk, v)| Op::MapModify(at, uk, v)),
        (place(), user_key()).prop_map(|(at, uk)| Op::MapRemove(at, uk)),
        (place(), user_key(), user_key(), 0..9usize).prop_map(|(at, a, b, n)| Op::MapScan(at, a, b, n)),
        place().prop_map(Op::MapIsEmpty),
        place().prop_map(Op::MapClear),
        batch((place(), (user_key(), text()))).prop_map(Op::MapPutBatch),
        batch((place(), user_key())).prop_map(Op::MapGetBatch),
    ];
    let reducing = prop_oneof![
        place().prop_map(Op::SumGet),
        (place(), -9..9i64).prop_map(|(at, v)| Op::SumAdd(at, v)),
        (key(), namespace(), sources()).prop_map(|(k, t, s)| Op::SumMerge(k, t, s)),
        batch((place(), -9..9i64)).prop_map(Op::SumAddBatch),
        place().prop_map(Op::MeanGet),
        (place(), -9..9i64).prop_map(|(at, v)| Op::MeanAdd(at, v)),
        (key(), namespace(), sources()).prop_map(|(k, t, s)| Op::MeanMerge(k, t, s)),
        batch((place(), -9..9i64)).prop_map(Op::MeanAddBatch),
        batch(place()).prop_map(Op::MeanGetBatch),
    ];
    prop_oneof![
        7 => values,
        7 => lists,
        9 => maps,
        9 => reducing,
        1 => namespace().prop_map(Op::Keys),
        2 => Just(Op::Dump),
        1 => Just(Op::Flush),
        4 => (1..8i64).prop_map(Op::Advance),
        2 => (1..6u32, any::<bool>()).prop_map(|(p, other)| Op::Rescale(p, other)),
    ]
}

/// How long the model's entries live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelTtl {
    pub(crate) millis: i64,
    pub(crate) on_read: bool,
    pub(crate) show_expired: bool,
    pub(crate) full_snapshot: bool,
    pub(crate) incremental: usize,
}

impl ModelTtl {
    pub(crate) fn config(self) -> StateTtlConfig {
        let config = StateTtlConfig::new(std::time::Duration::from_millis(self.millis as u64))
            .update(if self.on_read { TtlUpdate::OnReadAndWrite } else { TtlUpdate::OnCreateAndWrite })
            .visibility(if self.show_expired {
                TtlVisibility::ReturnExpiredIfNotCleanedUp
            } else {
                TtlVisibility::NeverReturnExpired
            })
            .cleanup_incrementally(self.incremental);
        if self.full_snapshot { config.cleanup_full_snapshot() } else { config }
    }
}

pub(crate) fn ttl() -> impl Strategy<Value = ModelTtl> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (1..15i64, flags, 0..6usize).prop_map(|(millis, (on_read, show_expired, full_snapshot), incremental)| {
        // When what has expired can be seen until it is cleaned up, a background cleanup can be seen, too.
        let incremental = if show_expired { 0 } else { incremental };
        ModelTtl { millis, on_read, show_expired, full_snapshot, incremental }
    })
}

type Stamped<T> = (T, i64);

#[derive(Clone, Default)]
pub(crate) struct Model {
    ttl: Option<ModelTtl>,
    now: i64,
    values: BTreeMap<Place, Stamped<i64>>,
    lists: BTreeMap<Place, Vec<Stamped<String>>>,
    maps: BTreeMap<Place, BTreeMap<i32, Stamped<String>>>,
    sums: BTreeMap<Place, Stamped<i64>>,
    means: BTreeMap<Place, Stamped<(i64, u64)>>,
}

/// Whether an entry has expired, whether it can be seen, and its next time stamp.
#[derive(Clone, Copy)]
struct Rules {
    ttl: Option<ModelTtl>,
    now: i64,
}

impl Rules {
    fn expired(self, stamp: i64) -> bool {
        self.ttl.is_some_and(|ttl| stamp + ttl.millis <= self.now)
    }

    fn visible(self, stamp: i64) -> bool {
        !self.expired(stamp) || self.ttl.is_some_and(|ttl| ttl.show_expired)
    }

    fn after_read(self, stamp: i64) -> i64 {
        if self.ttl.is_some_and(|ttl| ttl.on_read) { self.now } else { stamp }
    }

    fn peek<K: Ord, T: Clone>(self, map: &BTreeMap<K, Stamped<T>>, at: &K) -> Option<T> {
        map.get(at).filter(|(_, stamp)| self.visible(*stamp)).map(|(value, _)| value.clone())
    }

    /// What a read leaves behind.
    fn touch<K: Ord, T>(self, map: &mut BTreeMap<K, Stamped<T>>, at: &K) {
        if map.get(at).is_some_and(|(_, stamp)| self.expired(*stamp)) {
            map.remove(at);
        } else if let Some((_, stamp)) = map.get_mut(at) {
            *stamp = self.after_read(*stamp);
        }
    }

    fn get<K: Ord, T: Clone>(self, map: &mut BTreeMap<K, Stamped<T>>, at: &K) -> Option<T> {
        let seen = self.peek(map, at);
        self.touch(map, at);
        seen
    }

    /// Combines a value into an entry; returns whether the entry is new.
    fn add<K: Ord, T: Clone>(
        self,
        map: &mut BTreeMap<K, Stamped<T>>,
        at: K,
        first: T,
        f: impl Fn(&mut T),
    ) -> bool {
        let seen = self.peek(map, &at);
        let created = seen.is_none();
        let mut value = seen.unwrap_or(first);
        if !created {
            f(&mut value);
        }
        map.insert(at, (value, self.now));
        created
    }

    fn merge<T: Clone>(
        self,
        map: &mut BTreeMap<Place, Stamped<T>>,
        key: &str,
        target: i64,
        sources: &[i64],
        f: impl Fn(&mut T, T),
    ) {
        for source in sources.iter().filter(|source| **source != target) {
            let at = (key.to_owned(), *source);
            let seen = self.peek(map, &at);
            map.remove(&at);
            if let Some(value) = seen {
                self.add(map, (key.to_owned(), target), value.clone(), |so_far| f(so_far, value.clone()));
            }
        }
    }
}

impl Model {
    pub(crate) fn new(ttl: Option<ModelTtl>) -> Self {
        Self { ttl, ..Self::default() }
    }

    fn rules(&self) -> Rules {
        Rules { ttl: self.ttl, now: self.now }
    }

    fn list_after_read(&mut self, at: &Place) {
        let rules = self.rules();
        if let Some(list) = self.lists.get_mut(at) {
            list.retain(|(_, stamp)| !rules.expired(*stamp));
            list.iter_mut().for_each(|(_, stamp)| *stamp = rules.after_read(*stamp));
        }
        self.lists.retain(|_, list| !list.is_empty());
    }

    fn list_seen(&self, at: &Place) -> Vec<String> {
        let items = self.lists.get(at).into_iter().flatten();
        items.filter(|(_, stamp)| self.rules().visible(*stamp)).map(|(item, _)| item.clone()).collect()
    }

    pub(crate) fn apply(&mut self, op: &Op) -> String {
        let rules = self.rules();
        let now = self.now;
        match op.clone() {
            Op::ValueGet(at) => return format!("{:?}", rules.get(&mut self.values, &at)),
            Op::ValuePut(at, value) => {
                self.values.insert(at, (value, now));
            }
            Op::ValueModify(at, by) => {
                let created = rules.add(&mut self.values, at.clone(), 100 + by, |value| *value += by);
                return format!("{created} {}", self.values[&at].0);
            }
            Op::ValueClear(at) => {
                self.values.remove(&at);
            }
            Op::ValueAddBatch(batch) => {
                let mut created = Vec::new();
                for (record, (at, by)) in batch.into_iter().enumerate() {
                    if rules.add(&mut self.values, at, by, |value| *value += by) {
                        created.push(record);
                    }
                }
                return format!("{created:?}");
            }
            Op::ValueReadBatch(places) => {
                let seen: Vec<_> = places.iter().map(|at| rules.peek(&self.values, at)).collect();
                places.iter().for_each(|at| rules.touch(&mut self.values, at));
                return format!("{seen:?}");
            }
            Op::ValueClearBatch(places) => {
                places.iter().for_each(|at| {
                    self.values.remove(at);
                });
            }
            Op::ListGet(at) => {
                let seen = self.list_seen(&at);
                self.list_after_read(&at);
                return format!("{seen:?}");
            }
            Op::ListAdd(at, items) => {
                if !items.is_empty() {
                    self.lists.entry(at).or_default().extend(items.into_iter().map(|item| (item, now)));
                }
            }
            Op::ListPut(at, items) => {
                self.lists.remove(&at);
                return self.apply(&Op::ListAdd(at, items));
            }
            Op::ListClear(at) => {
                self.lists.remove(&at);
            }
            Op::ListMerge(key, target, sources) => {
                for source in sources.into_iter().filter(|source| *source != target) {
                    if let Some(list) = self.lists.remove(&(key.clone(), source)) {
                        self.lists.entry((key.clone(), target)).or_default().extend(list);
                    }
                }
            }
            Op::ListAppendBatch(batch) => {
                for (at, item) in batch {
                    self.lists.entry(at).or_default().push((item, now));
                }
            }
            Op::ListReadBatch(places) => {
                let seen: Vec<_> = places.iter().map(|at| self.list_seen(at)).collect();
                places.iter().for_each(|at| self.list_after_read(at));
                return format!("{seen:?}");
            }
            Op::MapGet(at, user_key) => {
                let map = self.maps.entry(at).or_default();
                return format!("{:?}", rules.get(map, &user_key));
            }
            Op::MapPut(at, user_key, value) => {
                self.maps.entry(at).or_default().insert(user_key, (value, now));
            }
            Op::MapModify(at, user_key, text) => {
                let map = self.maps.entry(at).or_default();
                rules.add(map, user_key, format!("new{text}"), |value| {
                    value.truncate(20);
                    value.push_str(&text);
                });
                return map[&user_key].0.clone();
            }
            Op::MapRemove(at, user_key) => {
                self.maps.entry(at).or_default().remove(&user_key);
            }
            Op::MapScan(at, from, to, limit) => {
                let map = self.maps.entry(at).or_default();
                let mut seen = Vec::new();
                for user_key in map.keys().copied().collect::<Vec<_>>() {
                    if user_key < from || user_key >= to || seen.len() > limit {
                        continue;
                    }
                    if let Some(value) = rules.get(map, &user_key) {
                        seen.push((user_key, value));
                    }
                }
                return format!("{seen:?}");
            }
            Op::MapIsEmpty(at) => {
                let map = self.maps.entry(at).or_default();
                return format!("{}", !map.values().any(|(_, stamp)| rules.visible(*stamp)));
            }
            Op::MapClear(at) => {
                self.maps.remove(&at);
            }
            Op::MapPutBatch(batch) => {
                for (at, (user_key, value)) in batch {
                    self.maps.entry(at).or_default().insert(user_key, (value, now));
                }
            }
            Op::MapGetBatch(batch) => {
                let seen: Vec<_> = batch
                    .iter()
                    .map(|(at, user_key)| rules.peek(self.maps.entry(at.clone()).or_default(), user_key))
                    .collect();
                for (at, user_key) in &batch {
                    rules.touch(self.maps.entry(at.clone()).or_default(), user_key);
                }
                return format!("{seen:?}");
            }
            Op::SumGet(at) => return format!("{:?}", rules.get(&mut self.sums, &at)),
            Op::SumAdd(at, value) => {
                rules.add(&mut self.sums, at, value, |sum| *sum += value);
            }
            Op::SumMerge(key, target, sources) => {
                rules.merge(&mut self.sums, &key, target, &sources, |sum, value| *sum += value);
            }
            Op::SumAddBatch(batch) => {
                for (at, value) in batch {
                    rules.add(&mut self.sums, at, value, |sum| *sum += value);
                }
            }
            Op::MeanGet(at) => {
                let seen = rules.get(&mut self.means, &at);
                return format!("{:?}", seen.map(|(sum, count)| sum / count as i64));
            }
            Op::MeanAdd(at, value) => return self.apply(&Op::MeanAddBatch(vec![(at, value)])),
            Op::MeanMerge(key, target, sources) => {
                rules.merge(&mut self.means, &key, target, &sources, |mean, other| {
                    mean.0 += other.0;
                    mean.1 += other.1;
                });
            }
            Op::MeanAddBatch(batch) => {
                for (at, value) in batch {
                    rules.add(&mut self.means, at, (value, 1), |mean| {
                        mean.0 += value;
                        mean.1 += 1;
                    });
                }
            }
            Op::MeanGetBatch(places) => {
                let seen: Vec<_> = places
                    .iter()
                    .map(|at| rules.peek(&self.means, at).map(|(sum, count)| sum / count as i64))
                    .collect();
                places.iter().for_each(|at| rules.touch(&mut self.means, at));
                return format!("{seen:?}");
            }
            Op::Keys(namespace) => {
                let live = |stamp: i64| !rules.expired(stamp);
                let mut names: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
                let mut note = |name, at: &Place, is_live| {
                    let keys: &mut BTreeSet<String> = names.entry(name).or_default();
                    if at.1 == namespace && is_live {
                        keys.insert(at.0.clone());
                    }
                };
                self.values.iter().for_each(|(at, (_, stamp))| note("value", at, live(*stamp)));
                self.sums.iter().for_each(|(at, (_, stamp))| note("sum", at, live(*stamp)));
                for (at, list) in &self.lists {
                    note("list", at, list.iter().any(|(_, stamp)| live(*stamp)));
                }
                for (at, map) in &self.maps {
                    note("map", at, map.values().any(|(_, stamp)| live(*stamp)));
                }
                let answers =
                    ["value", "list", "map", "sum"].map(|name| names.remove(name).unwrap_or_default());
                return format!("{answers:?}");
            }
            Op::Dump => {
                let live = |stamp: i64| !rules.expired(stamp);
                let values = self.values.iter().filter(|(_, (_, stamp))| live(*stamp));
                let mut lines: Vec<String> = values.map(|(at, (v, _))| format!("value {at:?} {v}")).collect();
                for (at, list) in &self.lists {
                    let items: Vec<_> =
                        list.iter().filter(|(_, stamp)| live(*stamp)).map(|(item, _)| item).collect();
                    if !items.is_empty() {
                        lines.push(format!("list {at:?} {items:?}"));
                    }
                }
                for (at, map) in &self.maps {
                    let entries = map.iter().filter(|(_, (_, stamp))| live(*stamp));
                    lines.extend(entries.map(|(user_key, (v, _))| format!("map {at:?} {user_key} {v}")));
                }
                lines.sort();
                return lines.join("\n");
            }
            Op::Flush => {}
            Op::Advance(millis) => self.now += millis,
            Op::Rescale(..) => {
                if self.ttl.is_some_and(|ttl| ttl.full_snapshot) {
                    let live = |stamp: i64| !rules.expired(stamp);
                    self.values.retain(|_, (_, stamp)| live(*stamp));
                    self.sums.retain(|_, (_, stamp)| live(*stamp));
                    self.means.retain(|_, (_, stamp)| live(*stamp));
                    self.lists.values_mut().for_each(|list| list.retain(|(_, stamp)| live(*stamp)));
                    self.maps.values_mut().for_each(|map| map.retain(|_, (_, stamp)| live(*stamp)));
                }
            }
        }
        String::new()
    }
}
