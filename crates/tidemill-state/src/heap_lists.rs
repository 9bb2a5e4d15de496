//! A list an entry, in memory.

use std::any::Any;
use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, Input, Key};

use crate::batch::{Address, KeyBatch, NO_SLOT};
use crate::codec::{get_bytes, get_entry, get_stamp, in_state, put_bytes, put_entry, put_stamp};
use crate::error::StateError;
use crate::heap::{HeapTable, Weight};
use crate::heap_cells::{Cell, HeapCells, logical};
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::GroupWriter;
use crate::table::Table;
use crate::ttl::{Liveness, Ttl};

/// The list of one entry, with the time stamp of each element when they expire.
#[derive(Clone)]
pub(crate) struct ListCell<E> {
    items: Vec<E>,
    stamps: Vec<Timestamp>,
    /// The logical bytes of the elements.
    logical: usize,
}

impl<E: Data> Default for ListCell<E> {
    fn default() -> Self {
        Self { items: Vec::new(), stamps: Vec::new(), logical: 0 }
    }
}

impl<E> Weight for ListCell<E> {
    const NONE: bool = false;

    fn weight(&self) -> usize {
        self.items.capacity() * size_of::<E>() + self.stamps.capacity() * 8 + self.logical
    }

    fn touch(&self) {
        std::hint::black_box(self.logical);
    }
}

impl<E: Data> ListCell<E> {
    fn push(&mut self, item: E, stamp: Option<Timestamp>) {
        self.logical += logical(&item);
        self.items.push(item);
        self.stamps.extend(stamp);
    }

    fn append(&mut self, mut other: ListCell<E>) {
        self.logical += other.logical;
        self.items.append(&mut other.items);
        self.stamps.append(&mut other.stamps);
    }
}

impl<E: Data> Cell for ListCell<E> {
    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn expire(&mut self, gone: impl Fn(Timestamp) -> bool) {
        if !self.stamps.iter().any(|stamp| gone(*stamp)) {
            return;
        }
        let mut stamps = self.stamps.iter();
        self.items.retain(|_| stamps.next().is_none_or(|stamp| !gone(*stamp)));
        self.stamps.retain(|stamp| !gone(*stamp));
        self.logical = self.items.iter().map(logical).sum();
    }
}

/// A list an entry, in memory.
pub(crate) type HeapLists<K, N, E> = HeapCells<K, N, ListCell<E>>;

impl<K: Key, N: Key, E: Data> HeapLists<K, N, E> {
    /// The time stamp of what is written now.
    fn stamp(&self) -> Option<Timestamp> {
        self.ttl.as_ref().map(Ttl::now)
    }

    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(&[E]) -> R,
    ) -> Result<R, StateError> {
        let Some(slot) = self.rows.find(at)? else { return Ok(f(&[])) };
        let result = f(self.visible(slot));
        self.after_read(slot)?;
        self.sweep(self.now());
        Ok(result)
    }

    /// The elements that a read sees; [`after_read`](Self::after_read) must follow.
    fn visible(&mut self, slot: usize) -> &[E] {
        let cell = self.rows.value_mut(slot);
        if let Some(ttl) = &self.ttl {
            let now = ttl.now();
            cell.expire(|stamp| !ttl.on_read(stamp, now).is_visible());
        }
        &cell.items
    }

    /// Removes what that read was the last to see, and renews the rest.
    fn after_read(&mut self, slot: usize) -> Result<(), StateError> {
        let Some(ttl) = &self.ttl else { return Ok(()) };
        let now = ttl.now();
        let cell = self.rows.value_mut(slot);
        cell.expire(|stamp| ttl.is_expired(stamp, now));
        for stamp in &mut cell.stamps {
            if ttl.on_read(*stamp, now) == Liveness::Renewed {
                *stamp = now;
            }
        }
        self.settle(slot)
    }

    pub(crate) fn add(
        &mut self,
        at: Address<'_, K, N>,
        items: impl IntoIterator<Item = E>,
    ) -> Result<(), StateError> {
        let stamp = self.stamp();
        let slot = self.slot_for(at)?;
        let cell = self.rows.value_mut(slot);
        items.into_iter().for_each(|item| cell.push(item, stamp));
        self.settle(slot)?;
        self.sweep(self.now());
        Ok(())
    }

    pub(crate) fn put(&mut self, at: Address<'_, K, N>, items: Vec<E>) -> Result<(), StateError> {
        self.remove(at)?;
        self.add(at, items)
    }

    /// Moves the lists of one key in the namespaces `sources` to the end of that of `target`.
    pub(crate) fn merge(
        &mut self,
        (key, hash): (&K, u64),
        target: &N,
        sources: &[N],
    ) -> Result<(), StateError> {
        let mut merged = ListCell::default();
        for namespace in sources.iter().filter(|source| *source != target) {
            if let Some(slot) = self.rows.find(Address { hash, key, namespace })? {
                merged.append(self.rows.remove(slot));
            }
        }
        if merged.items.is_empty() {
            return Ok(());
        }
        let slot = self.slot_for(Address { hash, key, namespace: target })?;
        self.rows.value_mut(slot).append(merged);
        self.rows.reweigh(slot)
    }

    pub(crate) fn append_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        items: &mut Vec<E>,
    ) -> Result<(), StateError> {
        let stamp = self.stamp();
        self.rows.find_or_insert_batch(batch, 0, |_| false, |_| ListCell::default())?;
        let (slots, cells) = self.rows.columns();
        self.scope.check_created(batch, slots.created)?;
        for (item, slot) in items.drain(..).zip(slots.slots) {
            cells[*slot as usize].push(item, stamp);
        }
        self.rows.reweigh_batch()?;
        self.sweep(self.now());
        Ok(())
    }

    /// Shows the list of each record, all as they are when the batch begins.
    pub(crate) fn read_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        mut f: impl FnMut(usize, &[E]),
    ) -> Result<(), StateError> {
        self.rows.find_batch(batch)?;
        let (slots, cells) = self.rows.found();
        if self.ttl.is_none() {
            for (i, slot) in slots.iter().enumerate() {
                f(i, cells.get(*slot as usize).map_or(&[], |cell| &cell.items));
            }
            return Ok(());
        }
        let slots = slots.to_vec();
        for (i, slot) in slots.iter().enumerate() {
            if *slot == NO_SLOT {
                f(i, &[]);
            } else {
                f(i, self.visible(*slot as usize));
            }
        }
        let mut found: Vec<u32> = slots.into_iter().filter(|slot| *slot != NO_SLOT).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        for slot in found {
            self.after_read(slot as usize)?;
        }
        self.sweep(self.now());
        Ok(())
    }

    /// Shows all elements that have not expired; their times stay as they are.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &[E])) -> Result<(), StateError> {
        let now = self.stamp().unwrap_or(0);
        for (key, namespace, cell, _) in self.rows.iter() {
            match &self.ttl {
                Some(ttl) if cell.stamps.iter().any(|stamp| ttl.is_expired(*stamp, now)) => {
                    let pairs = cell.items.iter().zip(&cell.stamps);
                    let live = pairs.filter(|(_, stamp)| !ttl.is_expired(**stamp, now));
                    let items: Vec<E> = live.map(|(item, _)| item.clone()).collect();
                    if !items.is_empty() {
                        f(key, namespace, &items);
                    }
                }
                _ => f(key, namespace, &cell.items),
            }
        }
        Ok(())
    }
}

/// Writes all entries as they are at `now`.
fn encode<'a, K: Key, N: Key, E: Data>(
    entries: impl Iterator<Item = (&'a K, &'a N, &'a ListCell<E>, Timestamp)>,
    ttl: Option<&Ttl>,
    now: Timestamp,
    out: &mut GroupWriter,
) -> Result<(), StateError> {
    let cleanup = ttl.filter(|ttl| ttl.full_snapshot());
    let mut elements = Vec::new();
    for (key, namespace, cell, _) in entries {
        elements.clear();
        let mut any = false;
        for (i, item) in cell.items.iter().enumerate() {
            let stamp = cell.stamps.get(i).copied();
            if cleanup.is_some_and(|ttl| stamp.is_some_and(|stamp| ttl.is_expired(stamp, now))) {
                continue;
            }
            any = true;
            put_item(&mut elements, item, stamp);
        }
        if any {
            let bytes = out.of_hash(key.routing_hash())?;
            put_entry(bytes, key, namespace);
            put_bytes(bytes, &elements);
        }
    }
    Ok(())
}

/// The lists of a snapshot.
struct FrozenLists<K, N, E> {
    rows: Arc<HeapTable<K, N, ListCell<E>>>,
    ttl: Option<Ttl>,
    now: Timestamp,
}

impl<K: Key, N: Key, E: Data> FrozenTable for FrozenLists<K, N, E> {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        encode(self.rows.iter(), self.ttl.as_ref(), self.now, out)
    }
}

impl<K: Key, N: Key, E: Data> Table<K> for HeapLists<K, N, E> {
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        encode(self.rows.iter(), self.ttl.as_ref(), self.now(), out)
    }

    fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        let rows = self.rows.freeze(snapshot)?;
        Some(Box::new(FrozenLists { rows, ttl: self.ttl.clone(), now: self.now() }))
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        let mut input = Input::new(bytes);
        let now = self.stamp();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input)
                .and_then(|(key, namespace)| Ok((key, namespace, get_bytes(&mut input, "list")?)));
            let (key, namespace, elements): (K, N, _) = in_state(self.rows.name(), entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.scope.check_restored(self.rows.name(), group, at.hash)?;
            let mut cell = ListCell::default();
            let mut elements = Input::new(elements);
            while elements.remaining() > 0 {
                let item = get_item(&mut elements, stamped, now.unwrap_or(0));
                let (item, stamp) = in_state(self.rows.name(), item)?;
                cell.push(item, now.map(|_| stamp));
            }
            self.remove(at)?;
            if !cell.items.is_empty() {
                self.rows.insert(at, cell, 0)?;
            }
        }
        Ok(())
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
        self.for_each(|key, namespace, _| {
            if namespace == wanted {
                keys.push(key.clone());
            }
        })?;
        Ok(true)
    }

    fn prefetch(&self, hashes: &[u64]) {
        self.rows.prefetch(hashes);
    }

    fn is_stamped(&self) -> bool {
        self.ttl.is_some()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }
}

/// Before each element, which may itself take no bytes.
const ITEM: u8 = 1;

/// Writes one element of a list.
pub(crate) fn put_item<E: Data>(out: &mut Vec<u8>, item: &E, stamp: Option<Timestamp>) {
    out.push(ITEM);
    put_stamp(out, stamp);
    item.encode(out);
}

/// Reads what [`put_item`] wrote.
pub(crate) fn get_item<E: Data>(
    input: &mut Input<'_>,
    stamped: bool,
    now: Timestamp,
) -> Result<(E, Timestamp), tidemill_serialization::DecodeError> {
    input.take(1, "start of an element")?;
    let stamp = get_stamp(input, stamped, now)?;
    Ok((E::decode(input)?, stamp))
}
