//! A map an entry, as rows of a store with a cache in front: one row an entry of the map, with the user key at the end of its key.

use std::any::Any;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::ops::RangeBounds;
use std::sync::{Arc, Weak};

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::{Address, KeyBatch};
use crate::cache::StateCache;
use crate::cache_table::{CacheTable, DIRTY};
use crate::codec::{
    decode_all, get_bytes, get_entry, get_stamp, in_state, put_bytes, put_raw_entry, put_stamp,
};
use crate::error::StateError;
use crate::frozen_rows::FrozenRows;
use crate::heap::Weight;
use crate::heap_cells::logical;
use crate::heap_maps::{Range, get_row, is_inverted, put_raw_row};
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::GroupWriter;
use crate::store::OrderedStore;
use crate::stored::{StoredRows, Verdict};
use crate::stored_values::row_stamp;
use crate::table::{Scope, Table};
use crate::ttl::{Liveness, Ttl};

/// Maps with so many rows in the store are kept when they were gone through.
const KEEP_SCANNED: usize = 1024;

pub(crate) struct StoredMaps<K, N, UK, UV> {
    rows: StoredRows<K, N>,
    maps: CacheTable<K, N, CachedMap<UK, UV>>,
}

fn decode_value<UV: Data>(row: &[u8], stamped: bool) -> Result<(UV, Timestamp), DecodeError> {
    let mut input = Input::new(row);
    let stamp = get_stamp(&mut input, stamped, 0)?;
    Ok((UV::decode(&mut input)?, stamp))
}

fn judge(ttl: &Ttl, row: &[u8], now: Timestamp) -> Result<Verdict, DecodeError> {
    Ok(if ttl.is_expired(row_stamp(row)?, now) { Verdict::Delete } else { Verdict::Keep })
}

/// What is known of a map.
pub(crate) struct CachedMap<UK, UV> {
    entries: BTreeMap<UK, Entry<UV>>,
    /// Whether what is not among the entries is not in the store either.
    whole: bool,
    /// The logical bytes of keys and values.
    logical: usize,
}

/// What is known of an entry of a map.
struct Entry<UV> {
    /// `None` when it is known that there is none.
    value: Option<UV>,
    stamp: Timestamp,
    dirty: bool,
    /// Whether the store may have a row.
    stored: bool,
}

impl<UK, UV> Default for CachedMap<UK, UV> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), whole: false, logical: 0 }
    }
}

impl<UK, UV> Weight for CachedMap<UK, UV> {
    const NONE: bool = false;

    fn weight(&self) -> usize {
        // The nodes of the tree are between half and completely full.
        self.entries.len() * size_of::<(UK, Entry<UV>)>() * 4 / 3 + self.logical
    }

    fn touch(&self) {
        std::hint::black_box(self.logical);
    }
}

impl<UK: Key, UV: Data> CachedMap<UK, UV> {
    fn weigh(user_key: &UK, value: Option<&UV>) -> usize {
        logical(user_key) + value.map_or(0, logical)
    }

    /// Takes down what the store has, if nothing newer is known.
    fn learn(&mut self, user_key: UK, row: Option<(UV, Timestamp)>) {
        let added = Self::weigh(&user_key, row.as_ref().map(|(value, _)| value));
        if let MapEntry::Vacant(place) = self.entries.entry(user_key) {
            let stored = row.is_some();
            let (value, stamp) = row.map_or((None, 0), |(value, stamp)| (Some(value), stamp));
            place.insert(Entry { value, stamp, dirty: false, stored });
            self.logical += added;
        }
    }

    fn put(&mut self, user_key: UK, value: UV, stamp: Timestamp) {
        let added = Self::weigh(&user_key, Some(&value));
        match self.entries.entry(user_key) {
            MapEntry::Occupied(mut place) => {
                let before = Self::weigh(place.key(), place.get().value.as_ref());
                self.logical = (self.logical + added).saturating_sub(before);
                let stored = place.get().stored;
                place.insert(Entry { value: Some(value), stamp, dirty: true, stored });
            }
            MapEntry::Vacant(place) => {
                self.logical += added;
                place.insert(Entry { value: Some(value), stamp, dirty: true, stored: !self.whole });
            }
        }
    }

    /// Removes an entry; says whether that has to be written.
    fn remove(&mut self, user_key: &UK) -> bool {
        match self.entries.get_mut(user_key) {
            Some(entry) if entry.stored => {
                self.logical = self.logical.saturating_sub(entry.value.take().as_ref().map_or(0, logical));
                entry.dirty = true;
            }
            Some(_) if self.whole => {
                if let Some((user_key, entry)) = self.entries.remove_entry(user_key) {
                    let freed = Self::weigh(&user_key, entry.value.as_ref());
                    self.logical = self.logical.saturating_sub(freed);
                }
                return false;
            }
            Some(entry) => {
                self.logical = self.logical.saturating_sub(entry.value.take().as_ref().map_or(0, logical));
                entry.dirty = false;
                return false;
            }
            None if self.whole => return false,
            None => {
                self.logical += logical(user_key);
                let entry = Entry { value: None, stamp: 0, dirty: true, stored: true };
                self.entries.insert(user_key.clone(), entry);
            }
        }
        true
    }

    /// Removes the entries that have expired; says whether that has to be written.
    fn expire(&mut self, gone: impl Fn(Timestamp) -> bool) -> bool {
        let expired = self.entries.iter().filter(|(_, entry)| entry.value.is_some() && gone(entry.stamp));
        let expired: Vec<UK> = expired.map(|(user_key, _)| user_key.clone()).collect();
        expired.iter().fold(false, |dirty, user_key| self.remove(user_key) | dirty)
    }
}

fn emit<K: Key, N: Key, UK: Key, UV: Data>(
    rows: &mut StoredRows<K, N>,
    at: Address<'_, K, N>,
    map: &mut CachedMap<UK, UV>,
    _: Timestamp,
) {
    let (whole, mut freed) = (map.whole, 0);
    map.entries.retain(|user_key, entry| {
        let Entry { value, stamp, dirty, stored } = entry;
        if std::mem::take(dirty) {
            match value {
                Some(value) => {
                    let stamp = rows.stamp(*stamp);
                    rows.put_entry_at(at, user_key, |out| {
                        put_stamp(out, stamp);
                        value.encode(out);
                    });
                }
                None => rows.delete_entry_at(at, user_key),
            }
            *stored = value.is_some();
        }
        let keep = value.is_some() || !whole;
        freed += if keep { 0 } else { logical(user_key) };
        keep
    });
    map.logical = map.logical.saturating_sub(freed);
}

impl<K: Key, N: Key, UK: Key, UV: Data> StoredMaps<K, N, UK, UV> {
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        ttl: Option<Ttl>,
        store: Arc<dyn OrderedStore>,
        cache: &StateCache,
    ) -> Result<Self, StateError> {
        let rows = StoredRows::new(name, scope, ttl, store, cache)?;
        Ok(Self { rows, maps: CacheTable::new(name, cache, false, emit::<K, N, UK, UV>) })
    }

    fn on_read(&self, stamp: Timestamp, now: Timestamp) -> Liveness {
        self.rows.ttl.as_ref().map_or(Liveness::Live, |ttl| ttl.on_read(stamp, now))
    }

    /// What is known of the map at an address.
    fn map_at(&mut self, at: Address<'_, K, N>) -> Result<usize, StateError> {
        match self.maps.find(at) {
            Some(slot) => Ok(slot),
            None => self.maps.insert(at, CachedMap::default(), 0, 0),
        }
    }

    fn map(&mut self, slot: usize) -> &mut CachedMap<UK, UV> {
        self.maps.rows.value_mut(slot)
    }

    /// Sees to it that it is known whether a map has an entry.
    fn learn(&mut self, at: Address<'_, K, N>, slot: usize, user_key: &UK) -> Result<(), StateError> {
        let map = self.maps.rows.value(slot);
        if map.whole || map.entries.contains_key(user_key) {
            return Ok(());
        }
        let stamped = self.rows.ttl.is_some();
        self.rows.keys.clear();
        self.rows.push_key(at, |out| user_key.encode(out));
        let mut row = None;
        self.rows.get_all(|row| decode_value(row, stamped), |_, found| row = Some(found))?;
        self.map(slot).learn(user_key.clone(), row);
        self.maps.rows.reweigh(slot)
    }

    /// Does what a read of an entry entails.
    fn settle(
        &mut self,
        slot: usize,
        user_key: &UK,
        liveness: Liveness,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let map = self.map(slot);
        let dirty = if liveness.is_expired() {
            map.remove(user_key)
        } else if liveness == Liveness::Renewed
            && let Some(entry) = map.entries.get_mut(user_key)
        {
            (entry.stamp, entry.dirty) = (now, true);
            true
        } else {
            return Ok(());
        };
        self.changed(slot, dirty)
    }

    /// Follows a change of what is known of a map.
    fn changed(&mut self, slot: usize, dirty: bool) -> Result<(), StateError> {
        if dirty {
            self.maps.mark(slot, DIRTY);
        }
        self.maps.rows.reweigh(slot)
    }

    /// Ends an access.
    fn finish(&mut self) -> Result<(), StateError> {
        if let Some(ttl) = self.rows.ttl.clone() {
            let now = ttl.now();
            for _ in 0..ttl.incremental() {
                let Some(slot) = self.maps.next_to_sweep() else { break };
                let dirty = self.map(slot).expire(|stamp| ttl.is_expired(stamp, now));
                self.changed(slot, dirty)?;
            }
            self.rows.sweep(judge)?;
        }
        self.maps.settle(&mut self.rows)
    }

    pub(crate) fn get<R>(
        &mut self,
        at: Address<'_, K, N>,
        user_key: &UK,
        f: impl FnOnce(Option<&UV>) -> R,
    ) -> Result<R, StateError> {
        let slot = self.map_at(at)?;
        self.learn(at, slot, user_key)?;
        let entry = self.maps.rows.value(slot).entries.get(user_key);
        let result = match entry.and_then(|entry| Some((entry.value.as_ref()?, entry.stamp))) {
            None => f(None),
            Some((value, stamp)) => {
                let now = self.rows.now();
                let liveness = self.on_read(stamp, now);
                let result = f(liveness.is_visible().then_some(value));
                self.settle(slot, user_key, liveness, now)?;
                result
            }
        };
        self.finish()?;
        Ok(result)
    }

    pub(crate) fn fold(
        &mut self,
        at: Address<'_, K, N>,
        user_key: UK,
        f: impl FnOnce(Option<&mut UV>) -> Option<UV>,
    ) -> Result<(), StateError> {
        let now = self.rows.now();
        let slot = self.map_at(at)?;
        self.learn(at, slot, &user_key)?;
        let ttl = self.rows.ttl.as_ref();
        let map = self.maps.rows.value_mut(slot);
        let visible = |stamp| ttl.is_none_or(|ttl| ttl.on_read(stamp, now).is_visible());
        let entry = map.entries.get_mut(&user_key).filter(|entry| visible(entry.stamp));
        let dirty = match entry
            .and_then(|entry| entry.value.as_mut().map(|value| (value, &mut entry.stamp, &mut entry.dirty)))
        {
            Some((value, stamp, dirty)) => {
                let before = logical(value);
                if let Some(put) = f(Some(value)) {
                    *value = put;
                }
                (*stamp, *dirty) = (now, true);
                map.logical = (map.logical + logical(value)).saturating_sub(before);
                true
            }
            None => match f(None) {
                Some(value) => {
                    map.put(user_key, value, now);
                    true
                }
                None => {
                    map.entries.get(&user_key).is_some_and(|entry| entry.value.is_some())
                        && map.remove(&user_key)
                }
            },
        };
        self.changed(slot, dirty)?;
        self.finish()
    }

    /// Sets the value of a user key, without reading it.
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, user_key: UK, value: UV) -> Result<(), StateError> {
        let now = self.rows.now();
        let slot = self.map_at(at)?;
        self.map(slot).put(user_key, value, now);
        self.changed(slot, true)?;
        self.finish()
    }

    pub(crate) fn remove_entry(&mut self, at: Address<'_, K, N>, user_key: &UK) -> Result<(), StateError> {
        let slot = self.map_at(at)?;
        let dirty = self.map(slot).remove(user_key);
        self.changed(slot, dirty)?;
        self.finish()
    }

    pub(crate) fn is_empty(&mut self, at: Address<'_, K, N>) -> Result<bool, StateError> {
        let now = self.rows.now();
        let ttl = self.rows.ttl.as_ref();
        let visible = |stamp| ttl.is_none_or(|ttl| ttl.on_read(stamp, now).is_visible());
        let map = self.maps.find(at).map(|slot| self.maps.rows.value(slot));
        if let Some(map) = map {
            if map.entries.values().any(|entry| entry.value.is_some() && visible(entry.stamp)) {
                return Ok(false);
            }
            if map.whole {
                return Ok(true);
            }
        }
        let prefix = self.rows.row_key(at);
        let mut empty = true;
        self.rows.scan_prefix(&prefix, |row_key, row| {
            let known = match map {
                Some(map) => map.entries.contains_key(&decode_all::<UK>(&row_key[prefix.len()..])?),
                None => false,
            };
            empty = known || (ttl.is_some() && !visible(row_stamp(row)?));
            Ok(empty)
        })?;
        Ok(empty)
    }

    /// Reads what of a map is in the store and not known: all of it, if that is not much, and takes it down; else only what is in
    /// the range, and returns it.
    fn learn_range(
        &mut self,
        at: Address<'_, K, N>,
        slot: usize,
        range: Range<'_, UK>,
    ) -> Result<Vec<(UK, UV, Timestamp)>, StateError> {
        if self.maps.rows.value(slot).whole {
            return Ok(Vec::new());
        }
        let prefix = self.rows.row_key(at);
        let stamped = self.rows.ttl.is_some();
        let known = &self.maps.rows.value(slot).entries;
        let mut part: Vec<(UK, UV, Timestamp)> = Vec::new();
        let mut small = true;
        self.rows.scan_prefix(&prefix, |row_key, row| {
            let user_key: UK = decode_all(&row_key[prefix.len()..])?;
            if (small || range.contains(&user_key)) && !known.contains_key(&user_key) {
                let (value, stamp) = decode_value(row, stamped)?;
                part.push((user_key, value, stamp));
            }
            if small && part.len() > KEEP_SCANNED {
                small = false;
                part.retain(|(user_key, ..)| range.contains(user_key));
            }
            Ok(true)
        })?;
        if !small {
            // Encoded user keys are not ordered as user keys are.
            part.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            return Ok(part);
        }
        let map = self.map(slot);
        part.into_iter().for_each(|(user_key, value, stamp)| map.learn(user_key, Some((value, stamp))));
        map.whole = true;
        self.maps.rows.reweigh(slot)?;
        Ok(Vec::new())
    }

    pub(crate) fn scan(
        &mut self,
        at: Address<'_, K, N>,
        range: Range<'_, UK>,
        mut f: impl FnMut(&UK, &UV) -> bool,
    ) -> Result<(), StateError> {
        if is_inverted(range) {
            return Ok(());
        }
        let slot = self.map_at(at)?;
        let part = self.learn_range(at, slot, range)?;
        let now = self.rows.now();
        let ttl = self.rows.ttl.as_ref();
        let on_read = |stamp| ttl.map_or(Liveness::Live, |ttl| ttl.on_read(stamp, now));
        let mut touched: Vec<(UK, Liveness)> = Vec::new();
        let mut show = |user_key: &UK, value: &UV, stamp| {
            let liveness = on_read(stamp);
            if liveness != Liveness::Live {
                touched.push((user_key.clone(), liveness));
            }
            !liveness.is_visible() || f(user_key, value)
        };
        let mut stored = part.iter().peekable();
        let known = self.maps.rows.value(slot).entries.range::<UK, _>(range);
        let mut more = true;
        for (user_key, entry) in known {
            while let Some((user_key, value, stamp)) =
                stored.next_if(|(stored, ..)| more && stored < user_key)
            {
                more = show(user_key, value, *stamp);
            }
            if let Some(value) = entry.value.as_ref().filter(|_| more) {
                more = show(user_key, value, entry.stamp);
            }
            if !more {
                break;
            }
        }
        for (user_key, value, stamp) in stored {
            if !more {
                break;
            }
            more = show(user_key, value, *stamp);
        }
        if !touched.is_empty() {
            // Those of the store among them have to be known, to be changed.
            let map = self.maps.rows.value_mut(slot);
            for (user_key, value, stamp) in part {
                if touched.binary_search_by(|(touched, _)| touched.cmp(&user_key)).is_ok() {
                    map.learn(user_key, Some((value, stamp)));
                }
            }
            for (user_key, liveness) in touched {
                self.settle(slot, &user_key, liveness, now)?;
            }
        }
        self.finish()
    }

    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        let slot = self.map_at(at)?;
        let map = self.map(slot);
        if map.whole {
            let dirty = map.expire(|_| true);
            self.changed(slot, dirty)?;
        } else {
            *map = CachedMap { whole: true, ..CachedMap::default() };
            self.maps.rows.reweigh(slot)?;
            let prefix = self.rows.row_key(at);
            self.rows.delete_prefix(&prefix)?;
        }
        self.finish()
    }

    pub(crate) fn put_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        entries: &mut Vec<(UK, UV)>,
    ) -> Result<(), StateError> {
        let now = self.rows.now();
        self.maps.rows.find_or_insert_batch(batch, 0, |_| false, |_| CachedMap::default())?;
        self.maps.adopt(0);
        let (slots, maps) = self.maps.rows.columns();
        self.rows.scope.check_created(batch, slots.created)?;
        for ((user_key, value), slot) in entries.drain(..).zip(slots.slots) {
            maps[*slot as usize].put(user_key, value, now);
        }
        self.maps.rows.reweigh_batch()?;
        self.maps.mark_found(DIRTY);
        self.finish()
    }

    pub(crate) fn get_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        user_keys: &[UK],
        mut f: impl FnMut(usize, Option<&UV>),
    ) -> Result<(), StateError> {
        self.maps.rows.find_or_insert_batch(batch, 0, |_| false, |_| CachedMap::default())?;
        self.maps.adopt(0);
        self.maps.mark_found(0);
        let slots = self.maps.rows.found().0.to_vec();
        self.rows.keys.clear();
        let mut unknown = Vec::new();
        for (record, (slot, user_key)) in slots.iter().zip(user_keys).enumerate() {
            let map = self.maps.rows.value(*slot as usize);
            if !map.whole && !map.entries.contains_key(user_key) {
                self.rows.push_key(batch.at(record), |out| user_key.encode(out));
                unknown.push((*slot as usize, user_key));
            }
        }
        let (stamped, maps) = (self.rows.ttl.is_some(), &mut self.maps);
        self.rows.get_all(
            |row| decode_value::<UV>(row, stamped),
            |index, row| {
                let (slot, user_key) = unknown[index];
                maps.rows.value_mut(slot).learn(user_key.clone(), Some(row));
            },
        )?;
        for (slot, user_key) in unknown {
            self.map(slot).learn(user_key.clone(), None);
            self.maps.rows.reweigh(slot)?;
        }
        let now = self.rows.now();
        let mut touched = Vec::new();
        for (record, (slot, user_key)) in slots.iter().zip(user_keys).enumerate() {
            let entry = self.maps.rows.value(*slot as usize).entries.get(user_key);
            match entry.and_then(|entry| Some((entry.value.as_ref()?, entry.stamp))) {
                None => f(record, None),
                Some((value, stamp)) => {
                    let liveness = self.on_read(stamp, now);
                    f(record, liveness.is_visible().then_some(value));
                    if liveness != Liveness::Live {
                        touched.push((*slot as usize, user_key, liveness));
                    }
                }
            }
        }
        for (slot, user_key, liveness) in touched {
            self.settle(slot, user_key, liveness, now)?;
        }
        self.finish()
    }

    fn restart(&mut self) -> Result<(), StateError> {
        self.maps.flush(&mut self.rows)?;
        self.maps.clear();
        Ok(())
    }

    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &UK, &UV)) -> Result<(), StateError> {
        self.maps.flush(&mut self.rows)?;
        let now = self.rows.now();
        let ttl = &self.rows.ttl;
        self.rows.for_each(|_, key, namespace, user_key, row| {
            let (value, stamp) = decode_value(row, ttl.is_some())?;
            if ttl.as_ref().is_none_or(|ttl| !ttl.is_expired(stamp, now)) {
                f(&key, &namespace, &decode_all(user_key)?, &value);
            }
            Ok(())
        })
    }
}

/// Writes rows into a snapshot, as they are: those of one map together.
fn encode_rows<K: Key, N: Key>(rows: &FrozenRows<'_>, out: &mut GroupWriter) -> Result<(), StateError> {
    let mut map: Option<(KeyGroup, Vec<u8>)> = None;
    let mut entries = Vec::new();
    rows.for_each(out, |out, group, address, row| {
        let expired = |ttl: &Ttl| Ok(ttl.is_expired(row_stamp(row)?, rows.now));
        if in_state(&rows.name, rows.cleanup.as_ref().map_or(Ok(false), expired))? {
            return Ok(());
        }
        let mut input = Input::new(address);
        let passed = K::decode(&mut input).and_then(|_| N::decode(&mut input));
        in_state(&rows.name, passed)?;
        let (at, user_key) = address.split_at(address.len() - input.remaining());
        if map.as_ref().is_none_or(|(known, before)| (*known, &before[..]) != (group, at)) {
            write_map(out, map.replace((group, at.to_vec())), &mut entries)?;
        }
        put_raw_row(&mut entries, user_key, row);
        Ok(())
    })?;
    write_map(out, map, &mut entries)
}

/// Writes a map whose rows have been gathered.
fn write_map(
    out: &mut GroupWriter,
    map: Option<(KeyGroup, Vec<u8>)>,
    entries: &mut Vec<u8>,
) -> Result<(), StateError> {
    if let Some((group, at)) = map {
        let bytes = out.of_group(group)?;
        put_raw_entry(bytes, &at);
        put_bytes(bytes, entries);
    }
    entries.clear();
    Ok(())
}

impl<K: Key, N: Key, UK: Key, UV: Data> Table<K> for StoredMaps<K, N, UK, UV> {
    fn flush(&mut self) -> Result<(), StateError> {
        self.maps.flush(&mut self.rows)
    }

    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        self.maps.flush(&mut self.rows)?;
        encode_rows::<K, N>(&self.rows.as_they_are(), out)
    }

    fn is_stored(&self) -> bool {
        true
    }

    fn freeze(&mut self, _: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        self.maps.flush(&mut self.rows).ok()?;
        self.rows.freeze(encode_rows::<K, N>)
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        self.rows.check_group(group)?;
        // What is restored counts more than what was there.
        self.restart()?;
        let mut input = Input::new(bytes);
        let now = self.rows.now();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input)
                .and_then(|(key, namespace)| Ok((key, namespace, get_bytes(&mut input, "map")?)));
            let (key, namespace, entries): (K, N, _) = in_state(&self.rows.name, entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.rows.scope.check_restored(&self.rows.name, group, at.hash)?;
            let mut entries = Input::new(entries);
            while entries.remaining() > 0 {
                let row = get_row::<UK, UV>(&mut entries, stamped, now);
                let (user_key, value, stamp) = in_state(&self.rows.name, row)?;
                let stamp = self.rows.stamp(stamp);
                self.rows.put_entry_at(at, &user_key, |out| {
                    put_stamp(out, stamp);
                    value.encode(out);
                });
            }
        }
        self.rows.flush()
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
        self.maps.flush(&mut self.rows)?;
        let now = self.rows.now();
        let ttl = &self.rows.ttl;
        self.rows.keys_in(wanted, keys, |row| match ttl {
            Some(ttl) => Ok(!ttl.is_expired(row_stamp(row)?, now)),
            None => Ok(true),
        })?;
        Ok(true)
    }

    fn is_stamped(&self) -> bool {
        self.rows.ttl.is_some()
    }

    fn prefetch(&self, hashes: &[u64]) {
        self.maps.rows.prefetch(hashes);
    }

    fn bytes(&self) -> usize {
        self.maps.bytes()
    }
}
