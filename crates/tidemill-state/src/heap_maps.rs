//! A map an entry, in memory. The entries of a map are rows of their own: each is found, read and written
//! without touching the others.

use std::any::Any;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Weak};

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::{Address, KeyBatch, NO_SLOT};
use crate::codec::{get_bytes, get_entry, get_stamp, in_state, put_bytes, put_entry, put_stamp};
use crate::error::StateError;
use crate::heap::{HeapTable, Weight};
use crate::heap_cells::{Cell, HeapCells, logical};
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::GroupWriter;
use crate::table::Table;
use crate::ttl::{Liveness, Ttl};

/// A part of a map, by its keys.
pub(crate) type Range<'a, UK> = (Bound<&'a UK>, Bound<&'a UK>);

#[derive(Clone)]
pub(crate) struct MapCell<UK, UV> {
    entries: BTreeMap<UK, (UV, Timestamp)>,
    /// The logical bytes of keys and values.
    logical: usize,
}

impl<UK, UV> Default for MapCell<UK, UV> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), logical: 0 }
    }
}

impl<UK, UV> Weight for MapCell<UK, UV> {
    const NONE: bool = false;

    fn weight(&self) -> usize {
        // The nodes of the tree are between half and completely full.
        self.entries.len() * size_of::<(UK, UV, Timestamp)>() * 4 / 3 + self.logical
    }

    fn touch(&self) {
        std::hint::black_box(self.logical);
    }
}

impl<UK: Key, UV: Data> MapCell<UK, UV> {
    fn put(&mut self, user_key: UK, value: UV, stamp: Timestamp) {
        let added = logical(&value);
        let key_bytes = logical(&user_key);
        match self.entries.insert(user_key, (value, stamp)) {
            Some((old, _)) => self.logical = (self.logical + added).saturating_sub(logical(&old)),
            None => self.logical += added + key_bytes,
        }
    }

    fn remove(&mut self, user_key: &UK) {
        if let Some((old_key, (old, _))) = self.entries.remove_entry(user_key) {
            self.logical = self.logical.saturating_sub(logical(&old_key) + logical(&old));
        }
    }
}

impl<UK: Key, UV: Data> Cell for MapCell<UK, UV> {
    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn expire(&mut self, gone: impl Fn(Timestamp) -> bool) {
        let mut freed = 0;
        self.entries.retain(|user_key, (value, stamp)| {
            let keep = !gone(*stamp);
            if !keep {
                freed += logical(user_key) + logical(value);
            }
            keep
        });
        self.logical = self.logical.saturating_sub(freed);
    }
}

/// A map an entry, in memory.
pub(crate) type HeapMaps<K, N, UK, UV> = HeapCells<K, N, MapCell<UK, UV>>;

impl<K: Key, N: Key, UK: Key, UV: Data> HeapMaps<K, N, UK, UV> {
    pub(crate) fn get<R>(
        &mut self,
        at: Address<'_, K, N>,
        user_key: &UK,
        f: impl FnOnce(Option<&UV>) -> R,
    ) -> Result<R, StateError> {
        let Some(slot) = self.rows.find(at)? else { return Ok(f(None)) };
        let Some(ttl) = &self.ttl else {
            return Ok(f(self.rows.value(slot).entries.get(user_key).map(|(value, _)| value)));
        };
        let now = ttl.now();
        let cell = self.rows.value_mut(slot);
        let Some((value, stamp)) = cell.entries.get_mut(user_key) else { return Ok(f(None)) };
        let liveness = ttl.on_read(*stamp, now);
        let result = f(liveness.is_visible().then_some(&*value));
        if liveness == Liveness::Renewed {
            *stamp = now;
        } else if liveness.is_expired() {
            cell.remove(user_key);
            self.settle(slot)?;
        }
        self.sweep(now);
        Ok(result)
    }

    /// Changes the value of a user key in place, or puts what `f` returns.
    pub(crate) fn fold(
        &mut self,
        at: Address<'_, K, N>,
        user_key: UK,
        f: impl FnOnce(Option<&mut UV>) -> Option<UV>,
    ) -> Result<(), StateError> {
        let now = self.now();
        let slot = self.slot_for(at)?;
        let cell = self.rows.value_mut(slot);
        let ttl = &self.ttl;
        let visible = |stamp| ttl.as_ref().is_none_or(|ttl| ttl.on_read(stamp, now).is_visible());
        match cell.entries.get_mut(&user_key) {
            Some((value, stamp)) if visible(*stamp) => {
                let before = logical(value);
                let put = f(Some(value));
                if let Some(put) = put {
                    *value = put;
                }
                *stamp = now;
                cell.logical = (cell.logical + logical(value)).saturating_sub(before);
            }
            _ => match f(None) {
                Some(value) => cell.put(user_key, value, now),
                None => cell.remove(&user_key),
            },
        }
        self.settle(slot)?;
        self.sweep(now);
        Ok(())
    }

    /// Sets the value of a user key.
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, user_key: UK, value: UV) -> Result<(), StateError> {
        let now = self.now();
        let slot = self.slot_for(at)?;
        self.rows.value_mut(slot).put(user_key, value, now);
        self.rows.reweigh(slot)?;
        self.sweep(now);
        Ok(())
    }

    pub(crate) fn remove_entry(&mut self, at: Address<'_, K, N>, user_key: &UK) -> Result<(), StateError> {
        let Some(slot) = self.rows.find(at)? else { return Ok(()) };
        self.rows.value_mut(slot).remove(user_key);
        self.settle(slot)
    }

    /// Whether no entry can be seen. Leaves the times of the entries as they are.
    pub(crate) fn is_empty(&mut self, at: Address<'_, K, N>) -> Result<bool, StateError> {
        let now = self.now();
        let Some(slot) = self.rows.find(at)? else { return Ok(true) };
        let mut stamps = self.rows.value(slot).entries.values().map(|(_, stamp)| *stamp);
        let ttl = &self.ttl;
        Ok(!stamps.any(|stamp| ttl.as_ref().is_none_or(|ttl| ttl.on_read(stamp, now).is_visible())))
    }

    /// Shows the entries of a part of the map, by ascending user key, until `f` says `false`.
    pub(crate) fn scan(
        &mut self,
        at: Address<'_, K, N>,
        range: Range<'_, UK>,
        mut f: impl FnMut(&UK, &UV) -> bool,
    ) -> Result<(), StateError> {
        let Some(slot) = self.rows.find(at)? else { return Ok(()) };
        if is_inverted(range) {
            return Ok(());
        }
        let Some(ttl) = &self.ttl else {
            let mut part = self.rows.value(slot).entries.range::<UK, _>(range);
            part.all(|(user_key, (value, _))| f(user_key, value));
            return Ok(());
        };
        let now = ttl.now();
        let mut expired = Vec::new();
        let cell = self.rows.value_mut(slot);
        for (user_key, (value, stamp)) in cell.entries.range_mut::<UK, _>(range) {
            let liveness = ttl.on_read(*stamp, now);
            if liveness.is_expired() {
                expired.push(user_key.clone());
            } else if liveness == Liveness::Renewed {
                *stamp = now;
            }
            if liveness.is_visible() && !f(user_key, value) {
                break;
            }
        }
        expired.iter().for_each(|user_key| cell.remove(user_key));
        self.settle(slot)?;
        self.sweep(now);
        Ok(())
    }

    /// Puts one entry a record; a later one of the same user key wins.
    pub(crate) fn put_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        entries: &mut Vec<(UK, UV)>,
    ) -> Result<(), StateError> {
        let now = self.now();
        self.rows.find_or_insert_batch(batch, 0, |_| false, |_| MapCell::default())?;
        let (slots, cells) = self.rows.columns();
        self.scope.check_created(batch, slots.created)?;
        for ((user_key, value), slot) in entries.drain(..).zip(slots.slots) {
            cells[*slot as usize].put(user_key, value, now);
        }
        self.rows.reweigh_batch()?;
        self.sweep(now);
        Ok(())
    }

    /// Shows the value of one user key a record, all as they are when the batch begins.
    pub(crate) fn get_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        user_keys: &[UK],
        mut f: impl FnMut(usize, Option<&UV>),
    ) -> Result<(), StateError> {
        self.rows.find_batch(batch)?;
        let slots = self.rows.found().0.to_vec();
        let now = self.now();
        let mut expired = Vec::new();
        for (i, (slot, user_key)) in slots.into_iter().zip(user_keys).enumerate() {
            if slot == NO_SLOT {
                f(i, None);
                continue;
            }
            let cell = self.rows.value_mut(slot as usize);
            match (cell.entries.get_mut(user_key), &self.ttl) {
                (None, _) => f(i, None),
                (Some((value, _)), None) => f(i, Some(value)),
                (Some((value, stamp)), Some(ttl)) => {
                    let liveness = ttl.on_read(*stamp, now);
                    f(i, liveness.is_visible().then_some(&*value));
                    if liveness.is_expired() {
                        expired.push((slot, user_key));
                    } else if liveness == Liveness::Renewed {
                        *stamp = now;
                    }
                }
            }
        }
        // From the last slot to the first, for the last one moves into each place that is freed.
        expired.sort_unstable_by(|a, b| b.cmp(a));
        expired.dedup();
        for part in expired.chunk_by(|a, b| a.0 == b.0) {
            let slot = part[0].0 as usize;
            let cell = self.rows.value_mut(slot);
            part.iter().for_each(|(_, user_key)| cell.remove(user_key));
            self.settle(slot)?;
        }
        self.sweep(now);
        Ok(())
    }

    /// Shows all entries that have not expired; their times stay as they are.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &UK, &UV)) -> Result<(), StateError> {
        let now = self.now();
        for (key, namespace, cell, _) in self.rows.iter() {
            for (user_key, (value, stamp)) in &cell.entries {
                if self.ttl.as_ref().is_none_or(|ttl| !ttl.is_expired(*stamp, now)) {
                    f(key, namespace, user_key, value);
                }
            }
        }
        Ok(())
    }
}

/// Whether the range ends before it starts, which `BTreeMap` does not forgive.
pub(crate) fn is_inverted<UK: Ord>((start, end): Range<'_, UK>) -> bool {
    match (start, end) {
        (Bound::Included(a), Bound::Included(b)) => a > b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
        _ => false,
    }
}

/// Writes all entries as they are at `now`.
fn encode<'a, K: Key, N: Key, UK: Key, UV: Data>(
    maps: impl Iterator<Item = (&'a K, &'a N, &'a MapCell<UK, UV>, Timestamp)>,
    ttl: Option<&Ttl>,
    now: Timestamp,
    out: &mut GroupWriter,
) -> Result<(), StateError> {
    let cleanup = ttl.filter(|ttl| ttl.full_snapshot());
    let mut entries = Vec::new();
    for (key, namespace, cell, _) in maps {
        entries.clear();
        for (user_key, (value, stamp)) in &cell.entries {
            if !cleanup.is_some_and(|ttl| ttl.is_expired(*stamp, now)) {
                put_row(&mut entries, user_key, value, ttl.is_some().then_some(*stamp));
            }
        }
        if !entries.is_empty() {
            let bytes = out.of_hash(key.routing_hash())?;
            put_entry(bytes, key, namespace);
            put_bytes(bytes, &entries);
        }
    }
    Ok(())
}

/// The maps of a snapshot.
struct FrozenMaps<K, N, UK, UV> {
    rows: Arc<HeapTable<K, N, MapCell<UK, UV>>>,
    ttl: Option<Ttl>,
    now: Timestamp,
}

impl<K: Key, N: Key, UK: Key, UV: Data> FrozenTable for FrozenMaps<K, N, UK, UV> {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        encode(self.rows.iter(), self.ttl.as_ref(), self.now, out)
    }
}

impl<K: Key, N: Key, UK: Key, UV: Data> Table<K> for HeapMaps<K, N, UK, UV> {
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        encode(self.rows.iter(), self.ttl.as_ref(), self.now(), out)
    }

    fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        let rows = self.rows.freeze(snapshot)?;
        Some(Box::new(FrozenMaps { rows, ttl: self.ttl.clone(), now: self.now() }))
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        let mut input = Input::new(bytes);
        let now = self.now();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input)
                .and_then(|(key, namespace)| Ok((key, namespace, get_bytes(&mut input, "map")?)));
            let (key, namespace, entries): (K, N, _) = in_state(self.rows.name(), entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.scope.check_restored(self.rows.name(), group, at.hash)?;
            let mut cell = MapCell::default();
            let mut entries = Input::new(entries);
            while entries.remaining() > 0 {
                let row = get_row::<UK, UV>(&mut entries, stamped, now);
                let (user_key, value, stamp) = in_state(self.rows.name(), row)?;
                cell.put(user_key, value, stamp);
            }
            self.remove(at)?;
            if !cell.entries.is_empty() {
                self.rows.insert(at, cell, 0)?;
            }
        }
        Ok(())
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
        let now = self.now();
        for (key, namespace, cell, _) in self.rows.iter() {
            let mut stamps = cell.entries.values().map(|(_, stamp)| *stamp);
            let live = |stamp| self.ttl.as_ref().is_none_or(|ttl| !ttl.is_expired(stamp, now));
            if namespace == wanted && stamps.any(live) {
                keys.push(key.clone());
            }
        }
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

/// Before each row of a map, which may itself take no bytes.
const ROW: u8 = 1;

/// Writes one row of a map.
pub(crate) fn put_row<UK: Data, UV: Data>(
    out: &mut Vec<u8>,
    user_key: &UK,
    value: &UV,
    stamp: Option<Timestamp>,
) {
    out.push(ROW);
    user_key.encode(out);
    put_stamp(out, stamp);
    value.encode(out);
}

/// As [`put_row`], of a user key, and a stamp and value, that are encoded already.
pub(crate) fn put_raw_row(out: &mut Vec<u8>, user_key: &[u8], stamp_and_value: &[u8]) {
    out.push(ROW);
    out.extend_from_slice(user_key);
    out.extend_from_slice(stamp_and_value);
}

/// Reads what [`put_row`] wrote.
pub(crate) fn get_row<UK: Data, UV: Data>(
    input: &mut Input<'_>,
    stamped: bool,
    now: Timestamp,
) -> Result<(UK, UV, Timestamp), DecodeError> {
    input.take(1, "start of a map's entry")?;
    let user_key = UK::decode(input)?;
    let stamp = get_stamp(input, stamped, now)?;
    Ok((user_key, UV::decode(input)?, stamp))
}
