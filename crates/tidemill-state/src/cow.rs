//! A table of which a snapshot can be taken without stopping: what the snapshot has is left as it is and what is accessed
//! meanwhile is copied.
//!
//! A frozen table is shared with whoever encodes it. Accesses go to another table on top of it: an entry is copied there when
//! it is first accessed, and what is removed is remembered. Once the snapshot has let go of the frozen table, it is the one
//! that is worked on again, and what lies on top goes back into it: entries that are accessed at once, the others some at
//! each access. A table of which no snapshot is being taken costs one branch an access more than a plain one.

use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use tidemill_core::Timestamp;
use tidemill_core::budget::MemoryBudget;
use tidemill_serialization::Key;

use crate::batch::{Address, KeyBatch, NO_SLOT, Slots};
use crate::error::StateError;
use crate::heap::{BLOCK, HeapTable, Weight};
use crate::pending::{PendingState, has_room};
use crate::ttl::Liveness;

/// How many entries go back into their table at each access of a single key, and for each record of a batch.
const SETTLED: usize = 2;

/// See the [module](self).
pub(crate) struct CowTable<K, N, V> {
    /// What is read and changed.
    active: HeapTable<K, N, V>,
    apart: Option<Box<Apart<K, N, V>>>,
    budget: MemoryBudget,
    stamped: bool,
}

struct Apart<K, N, V> {
    other: Other<K, N, V>,
    /// The addresses whose entries in the older table are gone although nothing lies above them.
    removed: HeapTable<K, N, ()>,
    snapshot: Weak<PendingState>,
}

enum Other<K, N, V> {
    /// The older table, which a snapshot has.
    Frozen(Arc<HeapTable<K, N, V>>),
    /// What has not gone back yet into the older table, which is the active one again.
    Settling(HeapTable<K, N, V>),
}

impl<K: Key, N: Key, V: Weight + Clone> CowTable<K, N, V> {
    pub(crate) fn new(name: &str, budget: &MemoryBudget, stamped: bool) -> Self {
        let active = HeapTable::new(name, budget, stamped);
        Self { active, apart: None, budget: budget.clone(), stamped }
    }

    pub(crate) fn name(&self) -> &str {
        self.active.name()
    }

    /// Bytes that the table is counted with, and what a snapshot keeps of it.
    pub(crate) fn bytes(&self) -> usize {
        let apart = self.apart.as_ref().map_or(0, |apart| {
            let other = match &apart.other {
                Other::Frozen(base) => base.bytes(),
                Other::Settling(top) => top.bytes(),
            };
            other + apart.removed.bytes()
        });
        self.active.bytes() + apart
    }

    /// Leaves the entries as they are now to a snapshot. `None` when there is no room for copies, or an earlier snapshot is not
    /// done with the table.
    pub(crate) fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Arc<HeapTable<K, N, V>>> {
        if self.apart.is_some() && self.settle(usize::MAX).is_err() {
            return None;
        }
        if self.apart.is_some() || !has_room(&self.budget) {
            return None;
        }
        let empty = HeapTable::new(self.name(), &self.budget, self.stamped);
        let removed = HeapTable::new(self.name(), &self.budget, false);
        let base = Arc::new(std::mem::replace(&mut self.active, empty));
        let other = Other::Frozen(Arc::clone(&base));
        self.apart = Some(Box::new(Apart { other, removed, snapshot: snapshot.clone() }));
        Some(base)
    }

    /// Looks for an entry. Slots that were found before are not valid any more.
    #[inline]
    pub(crate) fn find(&mut self, at: Address<'_, K, N>) -> Result<Option<usize>, StateError> {
        if self.apart.is_some() {
            self.pull(at)?;
        }
        Ok(self.active.find(at))
    }

    #[inline]
    pub(crate) fn value(&self, slot: usize) -> &V {
        self.active.value(slot)
    }

    /// The value, to be changed; [`reweigh`](Self::reweigh) must follow.
    #[inline]
    pub(crate) fn value_mut(&mut self, slot: usize) -> &mut V {
        self.active.value_mut(slot)
    }

    #[inline]
    pub(crate) fn stamp(&self, slot: usize) -> Timestamp {
        self.active.stamp(slot)
    }

    #[inline]
    pub(crate) fn set_stamp(&mut self, slot: usize, stamp: Timestamp) {
        self.active.set_stamp(slot, stamp);
    }

    /// As [`HeapTable::find_batch`].
    #[inline]
    pub(crate) fn find_batch<B: Borrow<K>>(&mut self, batch: &KeyBatch<'_, B, N>) -> Result<(), StateError> {
        if self.apart.is_some() {
            self.pull_batch(batch)?;
        }
        self.active.find_batch(batch);
        Ok(())
    }

    pub(crate) fn found(&self) -> (&[u32], &[V]) {
        self.active.found()
    }

    /// As [`HeapTable::judge`].
    pub(crate) fn judge(&mut self, look: impl FnMut(&mut Timestamp) -> Liveness) -> Vec<usize> {
        self.active.judge(look)
    }

    /// As [`HeapTable::find_or_insert_batch`].
    #[inline]
    pub(crate) fn find_or_insert_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        stamp: Timestamp,
        stale: impl Fn(Timestamp) -> bool,
        make: impl FnMut(usize) -> V,
    ) -> Result<(), StateError> {
        if self.apart.is_some() {
            self.pull_batch(batch)?;
        }
        self.active.find_or_insert_batch(batch, stamp, stale, make)
    }

    pub(crate) fn columns(&mut self) -> (Slots<'_>, &mut [V]) {
        self.active.columns()
    }

    /// Adds an entry that [`find`](Self::find) did not find, and returns its slot.
    pub(crate) fn insert(
        &mut self,
        at: Address<'_, K, N>,
        value: V,
        stamp: Timestamp,
    ) -> Result<usize, StateError> {
        self.active.insert(at, value, stamp)
    }

    /// Removes the entry at `slot`; the last entry moves there.
    pub(crate) fn remove(&mut self, slot: usize) -> V {
        let Some(Apart { other: Other::Frozen(base), removed, .. }) = self.apart.as_deref_mut() else {
            return self.active.remove(slot);
        };
        let hash = self.active.hash(slot);
        let (address, value) = self.active.take(slot);
        if let Some((key, namespace)) = address
            && base.find_hashed(hash, &key, &namespace).is_some()
            && removed.find_hashed(hash, &key, &namespace).is_none()
        {
            // What was removed is less than the entry was.
            let _ = removed.insert_owned(hash, key, namespace, (), 0);
        }
        value
    }

    /// Removes the entries that the last [`find_batch`](Self::find_batch) found.
    pub(crate) fn remove_found(&mut self) {
        if !matches!(self.apart.as_deref(), Some(Apart { other: Other::Frozen(_), .. })) {
            self.active.remove_found();
            return;
        }
        let mut found: Vec<u32> =
            self.active.found().0.iter().copied().filter(|slot| *slot != NO_SLOT).collect();
        // From the last to the first, for the last entry moves into each place that is freed.
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found.into_iter().for_each(|slot| drop(self.remove(slot as usize)));
    }

    #[inline]
    pub(crate) fn reweigh(&mut self, slot: usize) -> Result<(), StateError> {
        self.active.reweigh(slot)
    }

    #[inline]
    pub(crate) fn reweigh_batch(&mut self) -> Result<(), StateError> {
        self.active.reweigh_batch()
    }

    /// As [`HeapTable::sweep`], but not while a snapshot has most entries.
    pub(crate) fn sweep(&mut self, count: usize, expired: impl FnMut(&mut V, Timestamp) -> bool) {
        if !matches!(self.apart.as_deref(), Some(Apart { other: Other::Frozen(_), .. })) {
            self.active.sweep(count, expired);
        }
    }

    /// All entries: key, namespace, value, stamp. In no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &N, &V, Timestamp)> {
        let (newer, older, removed) = match self.apart.as_deref() {
            None => (&self.active, None, None),
            Some(Apart { other: Other::Frozen(base), removed, .. }) => {
                (&self.active, Some(&**base), Some(removed))
            }
            Some(Apart { other: Other::Settling(top), removed, .. }) => {
                (top, Some(&self.active), Some(removed))
            }
        };
        let valid = move |hash, key: &K, namespace: &N| {
            newer.find_hashed(hash, key, namespace).is_none()
                && removed.is_none_or(|removed| removed.find_hashed(hash, key, namespace).is_none())
        };
        let older = older.into_iter().flat_map(HeapTable::iter_hashed);
        let older = older.filter(move |(hash, key, namespace, ..)| valid(*hash, key, namespace));
        newer.iter().chain(older.map(|(_, key, namespace, value, stamp)| (key, namespace, value, stamp)))
    }

    /// As [`HeapTable::prefetch`].
    pub(crate) fn prefetch(&self, hashes: &[u64]) {
        self.active.prefetch(hashes);
        if let Some(Apart { other: Other::Frozen(base), .. }) = self.apart.as_deref() {
            base.prefetch(hashes);
        }
    }

    /// Makes the active table the one to look into for an address.
    #[cold]
    fn pull(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        self.settle(SETTLED)?;
        let Some(apart) = self.apart.as_deref_mut() else { return Ok(()) };
        let pulled = match &mut apart.other {
            Other::Frozen(base) => match base.find(at) {
                Some(slot) if self.active.find(at).is_none() && apart.removed.find(at).is_none() => {
                    self.active.insert(at, base.value(slot).clone(), base.stamp(slot)).map(|_| ())
                }
                _ => Ok(()),
            },
            Other::Settling(top) => put_back_at(&mut self.active, top, &mut apart.removed, at),
        };
        pulled.or_else(|_| self.relieve())
    }

    /// As [`pull`](Self::pull), for the addresses of a batch.
    #[cold]
    fn pull_batch<B: Borrow<K>>(&mut self, batch: &KeyBatch<'_, B, N>) -> Result<(), StateError> {
        self.settle(SETTLED * batch.len())?;
        let Some(apart) = self.apart.as_deref_mut() else { return Ok(()) };
        let pulled = match &mut apart.other {
            Other::Frozen(base) => copy_batch(&mut self.active, base, &apart.removed, batch),
            Other::Settling(top) => {
                top.find_batch(batch);
                apart.removed.find_batch(batch);
                let (above, gone) = (top.found().0, apart.removed.found().0);
                let either = |record: &usize| above[*record] != NO_SLOT || gone[*record] != NO_SLOT;
                let records: Vec<usize> = (0..batch.len()).filter(either).collect();
                let put_back =
                    |record| put_back_at(&mut self.active, top, &mut apart.removed, batch.at(record));
                records.into_iter().try_for_each(put_back)
            }
        };
        pulled.or_else(|_| self.relieve())
    }

    /// Goes on with what is left to do of a snapshot: so many entries go back, if the snapshot is done with the table.
    fn settle(&mut self, count: usize) -> Result<(), StateError> {
        if !has_room(&self.budget) {
            return self.relieve();
        }
        self.thaw();
        self.put_back(count).or_else(|_| self.relieve())
    }

    /// Takes the frozen table back if no snapshot has it any more.
    fn thaw(&mut self) {
        let Some(mut apart) = self.apart.take() else { return };
        apart.other = match apart.other {
            Other::Frozen(base) => match Arc::try_unwrap(base) {
                Ok(base) => Other::Settling(std::mem::replace(&mut self.active, base)),
                Err(base) => Other::Frozen(base),
            },
            settling => settling,
        };
        self.apart = Some(apart);
    }

    /// Makes room: has the snapshot encoded here if nobody does it already, waits for it, and does with one table again.
    fn relieve(&mut self) -> Result<(), StateError> {
        while let Some(Apart { other: Other::Frozen(base), snapshot, .. }) = self.apart.as_deref() {
            if let Some(snapshot) = snapshot.upgrade() {
                snapshot.encode_now();
            }
            if Arc::strong_count(base) > 1 {
                // Whoever had the snapshot is just about to drop it.
                std::thread::yield_now();
            }
            self.thaw();
        }
        // An entry that is counted in vain is back in its table all the same.
        while self.apart.is_some() {
            let _ = self.put_back(usize::MAX);
        }
        self.active.recount()
    }

    /// Puts so many entries back into the table from which they were copied.
    fn put_back(&mut self, count: usize) -> Result<(), StateError> {
        let Some(Apart { other: Other::Settling(top), removed, .. }) = self.apart.as_deref_mut() else {
            return Ok(());
        };
        let mut left = count;
        while left > 0 && top.len() > 0 {
            let block = left.min(BLOCK).min(top.len());
            self.active.touch(top.last_hashes(block));
            top.touch(top.last_hashes(block));
            for _ in 0..block {
                put_back_slot(&mut self.active, top, removed, top.len() - 1)?;
            }
            left -= block;
        }
        while left > 0 && removed.len() > 0 {
            let block = left.min(BLOCK).min(removed.len());
            self.active.touch(removed.last_hashes(block));
            for _ in 0..block {
                let slot = removed.len() - 1;
                let hash = removed.hash(slot);
                if let (Some((key, namespace)), ()) = removed.take(slot)
                    && let Some(slot) = self.active.find_hashed(hash, &key, &namespace)
                {
                    self.active.remove(slot);
                }
            }
            left -= block;
        }
        if top.len() == 0 && removed.len() == 0 {
            self.apart = None;
        }
        Ok(())
    }
}

/// Copies the entries that a batch is about to access from the frozen table, and makes room for as many new ones.
fn copy_batch<K: Key, N: Key, V: Weight + Clone, B: Borrow<K>>(
    active: &mut HeapTable<K, N, V>,
    base: &HeapTable<K, N, V>,
    removed: &HeapTable<K, N, ()>,
    batch: &KeyBatch<'_, B, N>,
) -> Result<(), StateError> {
    active.find_batch(batch);
    let missing: Vec<u32> = (0u32..)
        .zip(active.found().0)
        .filter(|(_, slot)| **slot == NO_SLOT)
        .map(|(record, _)| record)
        .collect();
    // The table must not have to grow where its caller could not do anything about it.
    active.make_room(missing.len())?;
    for records in missing.chunks(BLOCK) {
        let mut slots = [NO_SLOT; BLOCK];
        base.find_records(batch, records, &mut slots);
        for (record, slot) in records.iter().zip(slots).filter(|(_, slot)| *slot != NO_SLOT) {
            let (at, slot) = (batch.at(*record as usize), slot as usize);
            // An earlier record may have had it copied.
            if removed.find(at).is_none() && active.find(at).is_none() {
                active.insert(at, base.value(slot).clone(), base.stamp(slot))?;
            }
        }
    }
    Ok(())
}

/// Has `active` hold what is valid at an address.
fn put_back_at<K: Key, N: Key, V: Weight>(
    active: &mut HeapTable<K, N, V>,
    top: &mut HeapTable<K, N, V>,
    removed: &mut HeapTable<K, N, ()>,
    at: Address<'_, K, N>,
) -> Result<(), StateError> {
    if let Some(slot) = top.find(at) {
        return put_back_slot(active, top, removed, slot);
    }
    if let Some(slot) = removed.find(at) {
        removed.remove(slot);
        if let Some(slot) = active.find(at) {
            active.remove(slot);
        }
    }
    Ok(())
}

/// Puts an entry of `top` back. When an error comes back it is there all the same.
fn put_back_slot<K: Key, N: Key, V: Weight>(
    active: &mut HeapTable<K, N, V>,
    top: &mut HeapTable<K, N, V>,
    removed: &mut HeapTable<K, N, ()>,
    slot: usize,
) -> Result<(), StateError> {
    let (hash, stamp) = (top.hash(slot), top.stamp(slot));
    let (Some((key, namespace)), value) = top.take(slot) else { return Ok(()) };
    if let Some(slot) = removed.find_hashed(hash, &key, &namespace) {
        removed.remove(slot);
    }
    match active.find_hashed(hash, &key, &namespace) {
        Some(slot) => {
            *active.value_mut(slot) = value;
            active.set_stamp(slot, stamp);
            active.reweigh(slot)
        }
        None => active.insert_owned(hash, key, namespace, value, stamp).map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::pending::{FrozenTable, PendingState};
    use crate::snapshot::{GroupWriter, StateKind, StateSchema};
    use tidemill_core::KeyGroupRange;
    use tidemill_core::hash::RoutingHash;

    type Model = BTreeMap<(u16, u8), String>;
    type Table = CowTable<u16, u8, String>;

    #[derive(Clone, Debug)]
    enum Step {
        Put(u16, u8, String),
        Remove(u16, u8),
        Read(u16, u8),
        PutBatch(Vec<u16>, String),
        RemoveBatch(Vec<u16>),
        Freeze,
        /// Drops the oldest snapshot, encoded or not.
        Release,
        All,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..300u16, 0..2u8, "[a-z]{0,20}").prop_map(|(k, n, v)| Step::Put(k, n, v)),
            4 => (0..300u16, 0..2u8).prop_map(|(k, n)| Step::Remove(k, n)),
            2 => (0..300u16, 0..2u8).prop_map(|(k, n)| Step::Read(k, n)),
            3 => (prop::collection::vec(0..300u16, 1..150), "[a-z]{0,20}")
                .prop_map(|(keys, v)| Step::PutBatch(keys, v)),
            1 => prop::collection::vec(0..300u16, 1..80).prop_map(Step::RemoveBatch),
            2 => Just(Step::Freeze),
            2 => Just(Step::Release),
            1 => Just(Step::All),
        ];
        prop::collection::vec(step, 1..120)
    }

    /// What holds the table, as its encoder does.
    struct Held(#[expect(dead_code, reason = "it is only held")] Arc<HeapTable<u16, u8, String>>);

    impl FrozenTable for Held {
        fn encode(self: Box<Self>, _: &mut GroupWriter) -> Result<(), StateError> {
            Ok(())
        }
    }

    fn freeze(table: &mut Table) -> Option<(Arc<PendingState>, Arc<HeapTable<u16, u8, String>>)> {
        let schema = StateSchema { kind: StateKind::Value, types: Vec::new() };
        let mut frozen = None;
        let state = PendingState::of("s", &schema, false, (KeyGroupRange::all(1), 1), |weak| {
            frozen = table.freeze(weak);
            Some(Box::new(Held(frozen.clone()?)))
        })?;
        Some((state, frozen?))
    }

    fn entries<'a>(all: impl Iterator<Item = (&'a u16, &'a u8, &'a String, Timestamp)>) -> Model {
        let mut model = Model::new();
        for (key, namespace, value, _) in all {
            assert!(model.insert((*key, *namespace), value.clone()).is_none(), "an entry is shown twice");
        }
        model
    }

    fn run(steps: Vec<Step>, budget: &MemoryBudget) -> Result<(), TestCaseError> {
        let mut table = Table::new("s", budget, false);
        let mut model = Model::new();
        let mut snapshots = Vec::new();
        for step in steps {
            match step {
                Step::Put(key, namespace, value) => {
                    let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
                    match table.find(at).unwrap() {
                        Some(slot) => {
                            prop_assert_eq!(Some(table.value(slot)), model.get(&(key, namespace)));
                            *table.value_mut(slot) = value.clone();
                            table.reweigh(slot).unwrap();
                        }
                        None => {
                            prop_assert!(!model.contains_key(&(key, namespace)));
                            table.insert(at, value.clone(), 0).unwrap();
                        }
                    }
                    model.insert((key, namespace), value);
                }
                Step::Remove(key, namespace) => {
                    let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
                    let removed = table.find(at).unwrap().map(|slot| table.remove(slot));
                    prop_assert_eq!(removed, model.remove(&(key, namespace)));
                }
                Step::Read(key, namespace) => {
                    let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
                    let found = table.find(at).unwrap().map(|slot| table.value(slot));
                    prop_assert_eq!(found, model.get(&(key, namespace)));
                }
                Step::PutBatch(keys, value) => {
                    let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
                    let namespaces = vec![1u8; keys.len()];
                    let batch = KeyBatch::<u16, u8>::with_namespaces(
                        &hashes,
                        &keys,
                        crate::Namespaces::Each(&namespaces),
                    )
                    .unwrap();
                    table.find_or_insert_batch(&batch, 0, |_| false, |_| String::new()).unwrap();
                    let (slots, values) = table.columns();
                    for (key, slot) in keys.iter().zip(slots.slots) {
                        let entry = model.entry((*key, 1)).or_default();
                        prop_assert_eq!(&values[*slot as usize], &*entry);
                        values[*slot as usize].push_str(&value);
                        entry.push_str(&value);
                    }
                    table.reweigh_batch().unwrap();
                }
                Step::RemoveBatch(keys) => {
                    let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
                    let namespaces = vec![1u8; keys.len()];
                    let batch = KeyBatch::<u16, u8>::with_namespaces(
                        &hashes,
                        &keys,
                        crate::Namespaces::Each(&namespaces),
                    )
                    .unwrap();
                    table.find_batch(&batch).unwrap();
                    let (slots, values) = table.found();
                    for (key, slot) in keys.iter().zip(slots) {
                        prop_assert_eq!(values.get(*slot as usize), model.get(&(*key, 1)));
                    }
                    table.remove_found();
                    keys.iter().for_each(|key| drop(model.remove(&(*key, 1))));
                }
                Step::Freeze => {
                    if let Some((state, frozen)) = freeze(&mut table) {
                        prop_assert_eq!(entries(frozen.iter()), model.clone());
                        snapshots.push((state, frozen, model.clone()));
                    }
                }
                Step::Release => {
                    if !snapshots.is_empty() {
                        let (_, frozen, then) = snapshots.remove(0);
                        prop_assert_eq!(entries(frozen.iter()), then, "a snapshot has changed");
                    }
                }
                Step::All => prop_assert_eq!(entries(table.iter()), model.clone()),
            }
            prop_assert_eq!(budget.used() >= table.bytes(), true);
        }
        for (_, frozen, then) in snapshots.drain(..) {
            prop_assert_eq!(entries(frozen.iter()), then, "a snapshot has changed");
        }
        prop_assert_eq!(entries(table.iter()), model.clone());
        table.settle(usize::MAX).unwrap();
        prop_assert!(table.apart.is_none(), "all is back");
        prop_assert_eq!(entries(table.iter()), model.clone());
        for ((key, namespace), value) in &model {
            let at = Address { hash: key.routing_hash(), key, namespace };
            let found = table.find(at).unwrap().map(|slot| table.value(slot));
            prop_assert_eq!(found, Some(value));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_snapshot_stays_and_the_table_goes_on(steps in steps()) {
            run(steps, &MemoryBudget::unlimited("test"))?;
        }
    }
}
