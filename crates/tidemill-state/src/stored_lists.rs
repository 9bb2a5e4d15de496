//! A list an entry, as rows of a store with a cache in front. A row's value is the elements one after the other, so that adding
//! one is an append that reads nothing: the cache then has the end of the list only, until it is read.

use std::any::Any;
use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::{Address, KeyBatch};
use crate::cache::StateCache;
use crate::cache_table::{CacheTable, DIRTY};
use crate::codec::{get_bytes, get_entry, in_state, put_bytes, put_raw_entry};
use crate::error::StateError;
use crate::frozen_rows::FrozenRows;
use crate::heap::Weight;
use crate::heap_cells::logical;
use crate::heap_lists::{get_item, put_item};
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::GroupWriter;
use crate::store::OrderedStore;
use crate::stored::{StoredRows, Verdict};
use crate::table::{Scope, Table};
use crate::ttl::{Liveness, Ttl};

pub(crate) struct StoredLists<K, N, E> {
    rows: StoredRows<K, N>,
    lists: CacheTable<K, N, CachedList<E>>,
}

/// Elements with their time stamps.
type Stamped<E> = Vec<(E, Timestamp)>;

fn decode_row<E: Data>(row: &[u8], stamped: bool, now: Timestamp) -> Result<Stamped<E>, DecodeError> {
    let mut input = Input::new(row);
    let mut items = Vec::new();
    while input.remaining() > 0 {
        items.push(get_item(&mut input, stamped, now)?);
    }
    Ok(items)
}

fn encode_row<E: Data>(items: &Stamped<E>, stamped: bool, out: &mut Vec<u8>) {
    for (item, stamp) in items {
        put_item(out, item, stamped.then_some(*stamp));
    }
}

fn live_part<E: Data>(row: &[u8], ttl: &Ttl, now: Timestamp) -> Result<(Stamped<E>, bool), DecodeError> {
    let mut items = decode_row::<E>(row, true, now)?;
    let before = items.len();
    items.retain(|(_, stamp)| !ttl.is_expired(*stamp, now));
    let changed = items.len() < before;
    Ok((items, changed))
}

/// Writes rows into a snapshot, as they are but for what has expired.
fn encode_rows<E: Data>(rows: &FrozenRows<'_>, out: &mut GroupWriter) -> Result<(), StateError> {
    let mut kept = Vec::new();
    rows.for_each(out, |out, group, address, row| {
        let mut elements = row;
        if let Some(ttl) = &rows.cleanup {
            let (items, changed) = in_state(&rows.name, live_part::<E>(row, ttl, rows.now))?;
            if items.is_empty() {
                return Ok(());
            }
            if changed {
                kept.clear();
                encode_row(&items, true, &mut kept);
                elements = &kept;
            }
        }
        let bytes = out.of_group(group)?;
        put_raw_entry(bytes, address);
        put_bytes(bytes, elements);
        Ok(())
    })
}

pub(crate) fn judge<E: Data>(ttl: &Ttl, row: &[u8], now: Timestamp) -> Result<Verdict, DecodeError> {
    let (items, changed) = live_part::<E>(row, ttl, now)?;
    Ok(if items.is_empty() {
        Verdict::Delete
    } else if changed {
        let mut bytes = Vec::with_capacity(row.len());
        encode_row(&items, true, &mut bytes);
        Verdict::Replace(bytes)
    } else {
        Verdict::Keep
    })
}

/// What is known of a list: all of it, or only what was added since it was last written.
pub(crate) struct CachedList<E> {
    items: Vec<E>,
    /// When each element was last touched, in states that expire.
    stamps: Vec<Timestamp>,
    /// Whether elements before these may be in the store.
    tail: bool,
    /// How many of the elements the store has, in a row that ends with them.
    written: usize,
    /// Whether the row in the store is to be replaced.
    rewrite: bool,
    logical: usize,
}

impl<E> Weight for CachedList<E> {
    const NONE: bool = false;

    fn weight(&self) -> usize {
        self.items.capacity() * size_of::<E>() + self.stamps.capacity() * 8 + self.logical
    }

    fn touch(&self) {
        std::hint::black_box(self.logical);
    }
}

impl<E: Data> CachedList<E> {
    /// A list of which only its end is known, and that is empty so far.
    fn tail() -> Self {
        let (items, stamps) = (Vec::new(), Vec::new());
        Self { items, stamps, tail: true, written: 0, rewrite: false, logical: 0 }
    }

    /// The list that a row holds.
    fn of_row(row: Stamped<E>, stamped: bool) -> Self {
        let mut list = Self { tail: false, ..Self::tail() };
        row.into_iter().for_each(|(item, stamp)| list.push(item, stamped.then_some(stamp)));
        list.written = list.items.len();
        list
    }

    fn push(&mut self, item: E, stamp: Option<Timestamp>) {
        self.logical += logical(&item);
        self.items.push(item);
        self.stamps.extend(stamp);
    }

    /// Puts what the store has before what is known.
    fn complete(&mut self, row: Option<Stamped<E>>, stamped: bool) {
        let mut list = Self::of_row(row.unwrap_or_default(), stamped);
        list.items.append(&mut self.items);
        list.stamps.append(&mut self.stamps);
        list.logical += self.logical;
        *self = list;
    }

    /// Makes it empty, whatever the store has.
    fn empty(&mut self) {
        *self = Self { tail: false, rewrite: true, ..Self::tail() };
    }

    /// Removes the elements for whose stamps `gone` holds; says whether there were any.
    fn expire(&mut self, gone: impl Fn(Timestamp) -> bool) -> bool {
        if !self.stamps.iter().any(|stamp| gone(*stamp)) {
            return false;
        }
        let mut stamps = self.stamps.iter();
        self.items.retain(|_| stamps.next().is_none_or(|stamp| !gone(*stamp)));
        self.stamps.retain(|stamp| !gone(*stamp));
        self.logical = self.items.iter().map(logical).sum();
        self.rewrite = true;
        true
    }
}

fn emit<K: Key, N: Key, E: Data>(
    rows: &mut StoredRows<K, N>,
    at: Address<'_, K, N>,
    list: &mut CachedList<E>,
    _: Timestamp,
) {
    let from = if list.rewrite { 0 } else { list.written };
    let write = |out: &mut Vec<u8>| {
        for (place, item) in list.items.iter().enumerate().skip(from) {
            put_item(out, item, list.stamps.get(place).copied());
        }
    };
    match (list.rewrite, list.items.is_empty()) {
        (true, true) => rows.delete_at(at),
        (true, false) => rows.put_at(at, write),
        (false, _) if from < list.items.len() => rows.append_at(at, write),
        (false, _) => {}
    }
    if list.tail {
        // Of no use to a reader.
        *list = CachedList::tail();
    } else {
        (list.written, list.rewrite) = (list.items.len(), false);
    }
}

impl<K: Key, N: Key, E: Data> StoredLists<K, N, E> {
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        ttl: Option<Ttl>,
        store: Arc<dyn OrderedStore>,
        cache: &StateCache,
    ) -> Result<Self, StateError> {
        let rows = StoredRows::new(name, scope, ttl, store, cache)?;
        Ok(Self { rows, lists: CacheTable::new(name, cache, false, emit::<K, N, E>) })
    }

    /// Ends an access.
    fn finish(&mut self) -> Result<(), StateError> {
        if let Some(ttl) = &self.rows.ttl {
            let now = ttl.now();
            for _ in 0..ttl.incremental() {
                let Some(slot) = self.lists.next_to_sweep() else { break };
                let list = self.lists.rows.value_mut(slot);
                // What the store has goes with the sweep of the store.
                if !list.tail && list.expire(|stamp| ttl.is_expired(stamp, now)) {
                    self.lists.mark(slot, DIRTY);
                    self.lists.rows.reweigh(slot)?;
                }
            }
            self.rows.sweep(judge::<E>)?;
        }
        self.lists.settle(&mut self.rows)
    }

    /// The list at an address; of its end only when nothing else is known.
    fn tail_of(&mut self, at: Address<'_, K, N>) -> Result<usize, StateError> {
        match self.lists.find(at) {
            Some(slot) => Ok(slot),
            None => self.lists.insert(at, CachedList::tail(), 0, 0),
        }
    }

    /// The whole list at an address.
    fn whole(&mut self, at: Address<'_, K, N>) -> Result<usize, StateError> {
        let slot = self.tail_of(at)?;
        if self.lists.rows.value(slot).tail {
            let stamped = self.rows.ttl.is_some();
            let row = self.rows.get(at, |row| decode_row(row, stamped, 0))?;
            self.lists.rows.value_mut(slot).complete(row, stamped);
            self.lists.rows.reweigh(slot)?;
        }
        Ok(slot)
    }

    /// The elements that a read sees; [`after_read`](Self::after_read) must follow.
    fn visible(&mut self, slot: usize) -> &[E] {
        let list = self.lists.rows.value_mut(slot);
        if let Some(ttl) = &self.rows.ttl {
            let now = ttl.now();
            list.expire(|stamp| !ttl.on_read(stamp, now).is_visible());
        }
        &self.lists.rows.value(slot).items
    }

    /// Removes what that read was the last to see, and renews the rest.
    fn after_read(&mut self, slot: usize) -> Result<(), StateError> {
        let Some(ttl) = &self.rows.ttl else { return Ok(()) };
        let now = ttl.now();
        let list = self.lists.rows.value_mut(slot);
        list.expire(|stamp| ttl.is_expired(stamp, now));
        for stamp in &mut list.stamps {
            if ttl.on_read(*stamp, now) == Liveness::Renewed && *stamp != now {
                *stamp = now;
                list.rewrite = true;
            }
        }
        if list.rewrite {
            self.lists.mark(slot, DIRTY);
            self.lists.rows.reweigh(slot)?;
        }
        Ok(())
    }

    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(&[E]) -> R,
    ) -> Result<R, StateError> {
        let slot = self.whole(at)?;
        let result = f(self.visible(slot));
        self.after_read(slot)?;
        self.finish()?;
        Ok(result)
    }

    pub(crate) fn add(
        &mut self,
        at: Address<'_, K, N>,
        items: impl IntoIterator<Item = E>,
    ) -> Result<(), StateError> {
        let stamp = self.rows.stamp(self.rows.now());
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            let slot = self.tail_of(at)?;
            let list = self.lists.rows.value_mut(slot);
            items.for_each(|item| list.push(item, stamp));
            self.lists.mark(slot, DIRTY);
            self.lists.rows.reweigh(slot)?;
        }
        self.finish()
    }

    pub(crate) fn put(&mut self, at: Address<'_, K, N>, items: Vec<E>) -> Result<(), StateError> {
        self.forget(at)?;
        self.add(at, items)
    }

    /// Removes the elements, without reading them.
    fn forget(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        let slot = self.tail_of(at)?;
        self.lists.rows.value_mut(slot).empty();
        self.lists.mark(slot, DIRTY);
        self.lists.rows.reweigh(slot)
    }

    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        self.forget(at)?;
        self.finish()
    }

    pub(crate) fn merge(
        &mut self,
        (key, hash): (&K, u64),
        target: &N,
        sources: &[N],
    ) -> Result<(), StateError> {
        let mut moved = Vec::new();
        for namespace in sources.iter().filter(|source| *source != target) {
            // A source that is named twice is empty the second time.
            let slot = self.whole(Address { hash, key, namespace })?;
            let list = self.lists.rows.value_mut(slot);
            if !list.items.is_empty() {
                let stamps = std::mem::take(&mut list.stamps).into_iter().map(Some);
                moved.extend(list.items.drain(..).zip(stamps.chain(std::iter::repeat(None))));
                list.empty();
                self.lists.mark(slot, DIRTY);
                self.lists.rows.reweigh(slot)?;
            }
        }
        if !moved.is_empty() {
            let slot = self.tail_of(Address { hash, key, namespace: target })?;
            let list = self.lists.rows.value_mut(slot);
            moved.into_iter().for_each(|(item, stamp)| list.push(item, stamp));
            self.lists.mark(slot, DIRTY);
            self.lists.rows.reweigh(slot)?;
        }
        self.lists.settle(&mut self.rows)
    }

    pub(crate) fn append_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        items: &mut Vec<E>,
    ) -> Result<(), StateError> {
        let stamp = self.rows.stamp(self.rows.now());
        self.lists.rows.find_or_insert_batch(batch, 0, |_| false, |_| CachedList::tail())?;
        self.lists.adopt(DIRTY);
        let (slots, lists) = self.lists.rows.columns();
        self.rows.scope.check_created(batch, slots.created)?;
        for (item, slot) in items.drain(..).zip(slots.slots) {
            lists[*slot as usize].push(item, stamp);
        }
        self.lists.rows.reweigh_batch()?;
        self.lists.mark_found(DIRTY);
        self.finish()
    }

    pub(crate) fn read_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        mut f: impl FnMut(usize, &[E]),
    ) -> Result<(), StateError> {
        self.lists.rows.find_or_insert_batch(batch, 0, |_| false, |_| CachedList::tail())?;
        self.lists.adopt(0);
        self.lists.mark_found(0);
        let slots = self.lists.rows.found().0.to_vec();
        let mut distinct: Vec<(u32, u32)> = slots.iter().copied().zip(0..).collect();
        distinct.sort_unstable();
        distinct.dedup_by_key(|(slot, _)| *slot);
        self.rows.keys.clear();
        let mut unknown = Vec::new();
        for (slot, record) in &distinct {
            if self.lists.rows.value(*slot as usize).tail {
                self.rows.push_key(batch.at(*record as usize), |_| ());
                unknown.push(*slot as usize);
            }
        }
        let (stamped, lists) = (self.rows.ttl.is_some(), &mut self.lists);
        self.rows.get_all(
            |row| decode_row::<E>(row, stamped, 0),
            |index, row| {
                lists.rows.value_mut(unknown[index]).complete(Some(row), stamped);
            },
        )?;
        for slot in unknown {
            let list = self.lists.rows.value_mut(slot);
            if list.tail {
                list.complete(None, stamped);
            }
            self.lists.rows.reweigh(slot)?;
        }
        for (record, slot) in slots.into_iter().enumerate() {
            f(record, self.visible(slot as usize));
        }
        for (slot, _) in distinct {
            self.after_read(slot as usize)?;
        }
        self.finish()
    }

    fn restart(&mut self) -> Result<(), StateError> {
        self.lists.flush(&mut self.rows)?;
        self.lists.clear();
        Ok(())
    }

    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &[E])) -> Result<(), StateError> {
        self.lists.flush(&mut self.rows)?;
        let now = self.rows.now();
        let ttl = &self.rows.ttl;
        self.rows.for_each(|_, key, namespace, _, row| {
            let items = match ttl {
                Some(ttl) => live_part(row, ttl, now)?.0,
                None => decode_row(row, false, now)?,
            };
            let items: Vec<E> = items.into_iter().map(|(item, _)| item).collect();
            if !items.is_empty() {
                f(&key, &namespace, &items);
            }
            Ok(())
        })
    }
}

impl<K: Key, N: Key, E: Data> Table<K> for StoredLists<K, N, E> {
    fn flush(&mut self) -> Result<(), StateError> {
        self.lists.flush(&mut self.rows)
    }

    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        self.lists.flush(&mut self.rows)?;
        encode_rows::<E>(&self.rows.as_they_are(), out)
    }

    fn is_stored(&self) -> bool {
        true
    }

    fn freeze(&mut self, _: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        self.lists.flush(&mut self.rows).ok()?;
        self.rows.freeze(encode_rows::<E>)
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        self.rows.check_group(group)?;
        // What is restored counts more than what was there.
        self.restart()?;
        let mut input = Input::new(bytes);
        let now = self.rows.now();
        let stamped_here = self.rows.ttl.is_some();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input).and_then(|(key, namespace)| {
                Ok((key, namespace, decode_row(get_bytes(&mut input, "list")?, stamped, now)?))
            });
            let (key, namespace, items): (K, N, Stamped<E>) = in_state(&self.rows.name, entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.rows.scope.check_restored(&self.rows.name, group, at.hash)?;
            if !items.is_empty() {
                self.rows.put_at(at, |out| encode_row(&items, stamped_here, out));
            }
        }
        self.rows.flush()
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
        self.lists.flush(&mut self.rows)?;
        let now = self.rows.now();
        let ttl = &self.rows.ttl;
        self.rows.keys_in(wanted, keys, |row| match ttl {
            Some(ttl) => Ok(!live_part::<E>(row, ttl, now)?.0.is_empty()),
            None => Ok(true),
        })?;
        Ok(true)
    }

    fn is_stamped(&self) -> bool {
        self.rows.ttl.is_some()
    }

    fn prefetch(&self, hashes: &[u64]) {
        self.lists.rows.prefetch(hashes);
    }

    fn bytes(&self) -> usize {
        self.lists.bytes()
    }
}
