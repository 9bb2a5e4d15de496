//! One value an entry, as rows of a store with a cache in front. A row's value is the time stamp, if entries expire, and the value.

use std::any::Any;
use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::{Address, KeyBatch, NO_SLOT, Slots};
use crate::cache::StateCache;
use crate::cache_table::{CacheTable, DIRTY, STORED};
use crate::codec::{get_entry, get_stamp, in_state, put_raw_entry, put_stamp};
use crate::error::StateError;
use crate::frozen_rows::FrozenRows;
use crate::heap::HeapTable;
use crate::hot_rows::HotRows;
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::GroupWriter;
use crate::store::OrderedStore;
use crate::stored::{StoredRows, Verdict};
use crate::table::{Scope, Table};
use crate::ttl::{Liveness, Ttl};

pub(crate) struct StoredValues<K, N, V> {
    rows: StoredRows<K, N>,
    /// The entries that are in memory.
    present: CacheTable<K, N, V>,
    /// Addresses of which it is known that they have no entry, none of them in `present`. A dirty one may still have a row.
    absent: CacheTable<K, N, ()>,
    /// The addresses of a batch that the cache lacks; only used within one call.
    missing: HeapTable<K, N, ()>,
    firsts: Vec<u32>,
}

fn emit_put<K: Key, N: Key, V: Data>(
    rows: &mut StoredRows<K, N>,
    at: Address<'_, K, N>,
    value: &mut V,
    stamp: Timestamp,
) {
    let stamp = rows.stamp(stamp);
    rows.put_at(at, |out| {
        put_stamp(out, stamp);
        value.encode(out);
    });
}

fn emit_delete<K: Key, N: Key>(
    rows: &mut StoredRows<K, N>,
    at: Address<'_, K, N>,
    (): &mut (),
    _: Timestamp,
) {
    rows.delete_at(at);
}

fn decode_row<V: Data>(bytes: &[u8], stamped: bool) -> Result<(V, Timestamp), DecodeError> {
    let mut input = Input::new(bytes);
    let stamp = get_stamp(&mut input, stamped, 0)?;
    Ok((V::decode(&mut input)?, stamp))
}

/// The time stamp of a row, when rows have one.
pub(crate) fn row_stamp(row: &[u8]) -> Result<Timestamp, DecodeError> {
    get_stamp(&mut Input::new(row), true, 0)
}

fn judge(ttl: &Ttl, row: &[u8], now: Timestamp) -> Result<Verdict, DecodeError> {
    Ok(if ttl.is_expired(row_stamp(row)?, now) { Verdict::Delete } else { Verdict::Keep })
}

/// Writes rows into a snapshot, as they are.
fn encode_rows(rows: &FrozenRows<'_>, out: &mut GroupWriter) -> Result<(), StateError> {
    rows.for_each(out, |out, group, address, row| {
        let expired = |ttl: &Ttl| Ok(ttl.is_expired(row_stamp(row)?, rows.now));
        if in_state(&rows.name, rows.cleanup.as_ref().map_or(Ok(false), expired))? {
            return Ok(());
        }
        let bytes = out.of_group(group)?;
        put_raw_entry(bytes, address);
        bytes.extend_from_slice(row);
        Ok(())
    })
}

impl<K: Key, N: Key, V: Data> StoredValues<K, N, V> {
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        ttl: Option<Ttl>,
        store: Arc<dyn OrderedStore>,
        cache: &StateCache,
    ) -> Result<Self, StateError> {
        let stamped = ttl.is_some();
        let rows = StoredRows::new(name, scope, ttl, store, cache)?;
        Ok(Self {
            rows,
            present: CacheTable::new(name, cache, stamped, emit_put::<K, N, V>),
            absent: CacheTable::new(name, cache, false, emit_delete::<K, N>),
            // As large as a batch, which the exchange bounds.
            missing: HeapTable::new(name, &MemoryBudget::unlimited("batch"), false),
            firsts: Vec::new(),
        })
    }

    fn visible(&self, stamp: Timestamp, now: Timestamp) -> bool {
        self.rows.ttl.as_ref().is_none_or(|ttl| ttl.on_read(stamp, now).is_visible())
    }

    /// The slot of an entry, which is read from the store if it is not known whether there is one.
    fn slot_of(&mut self, at: Address<'_, K, N>) -> Result<Option<usize>, StateError> {
        if let Some(slot) = self.present.find(at) {
            return Ok(Some(slot));
        }
        if !self.absent.is_empty() && self.absent.find(at).is_some() {
            return Ok(None);
        }
        let stamped = self.rows.ttl.is_some();
        match self.rows.get(at, |row| decode_row(row, stamped))? {
            Some((value, stamp)) => self.present.insert(at, value, stamp, STORED).map(Some),
            None => self.absent.insert(at, (), 0, 0).map(|_| None),
        }
    }

    /// Adds an entry of which it is known that it is not there.
    fn create(&mut self, at: Address<'_, K, N>, value: V, now: Timestamp) -> Result<(), StateError> {
        let marks = self.no_longer_absent(at);
        self.present.insert(at, value, now, DIRTY | marks).map(drop)
    }

    /// Forgets that an entry is absent; [`STORED`] when the store may still have a row.
    fn no_longer_absent(&mut self, at: Address<'_, K, N>) -> u8 {
        let slot = if self.absent.is_empty() { None } else { self.absent.find(at) };
        slot.map_or(0, |slot| if self.absent.take(slot).2 & DIRTY == 0 { 0 } else { STORED })
    }

    /// Removes an entry of the cache, and sees to it that the store loses it too.
    fn drop_slot(&mut self, slot: usize) -> Result<V, StateError> {
        let hash = self.present.rows.hash(slot);
        let (address, value, marks) = self.present.take(slot);
        // What the store never had it need not lose. The absence is worth keeping for keys; a window comes but once.
        if let Some(address) = address {
            if marks & STORED != 0 {
                self.absent.insert_owned(hash, address, (), DIRTY | STORED)?;
            } else if size_of::<N>() == 0 {
                self.absent.insert_owned(hash, address, (), 0)?;
            }
        }
        Ok(value)
    }

    /// Ends an access.
    #[inline]
    fn finish(&mut self) -> Result<(), StateError> {
        if self.rows.ttl.is_some() {
            self.sweep()?;
        }
        self.present.settle(&mut self.rows)?;
        self.absent.settle(&mut self.rows)
    }

    /// Removes some of what has expired.
    fn sweep(&mut self) -> Result<(), StateError> {
        let Some((now, count)) = self.rows.ttl.as_ref().map(|ttl| (ttl.now(), ttl.incremental())) else {
            return Ok(());
        };
        for _ in 0..count {
            let Some(slot) = self.present.next_to_sweep() else { break };
            let stamp = self.present.rows.stamp(slot);
            if self.rows.ttl.as_ref().is_some_and(|ttl| ttl.is_expired(stamp, now)) {
                self.drop_slot(slot)?;
            }
        }
        self.rows.sweep(judge)
    }

    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R, StateError> {
        let slot = self.slot_of(at)?;
        let result = match (slot, &self.rows.ttl) {
            (None, _) => f(None),
            (Some(slot), None) => f(Some(self.present.rows.value(slot))),
            (Some(slot), Some(ttl)) => {
                let now = ttl.now();
                let liveness = ttl.on_read(self.present.rows.stamp(slot), now);
                let result = f(liveness.is_visible().then(|| self.present.rows.value(slot)));
                if liveness.is_expired() {
                    self.drop_slot(slot)?;
                } else if liveness == Liveness::Renewed {
                    self.present.rows.set_stamp(slot, now);
                    self.present.mark(slot, DIRTY);
                }
                result
            }
        };
        self.finish()?;
        Ok(result)
    }

    pub(crate) fn fold(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&mut V>) -> Option<V>,
    ) -> Result<(), StateError> {
        let now = self.rows.now();
        match self.slot_of(at)? {
            Some(slot) => {
                let visible = self.visible(self.present.rows.stamp(slot), now);
                match f(visible.then(|| self.present.rows.value_mut(slot))) {
                    Some(value) => *self.present.rows.value_mut(slot) = value,
                    None if visible => {}
                    None => {
                        self.drop_slot(slot)?;
                        return self.finish();
                    }
                }
                self.present.rows.set_stamp(slot, now);
                self.present.rows.reweigh(slot)?;
                self.present.mark(slot, DIRTY);
            }
            None => {
                if let Some(value) = f(None) {
                    self.create(at, value, now)?;
                }
            }
        }
        self.finish()
    }

    /// Sets the value, without reading it.
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, value: V) -> Result<(), StateError> {
        let now = self.rows.now();
        match self.present.find(at) {
            Some(slot) => {
                *self.present.rows.value_mut(slot) = value;
                self.present.rows.set_stamp(slot, now);
                self.present.rows.reweigh(slot)?;
                self.present.mark(slot, DIRTY);
            }
            None => {
                // Without a look into the store it is not known whether there is a row.
                let known = self.absent.find(at).is_some();
                let marks = if known { self.no_longer_absent(at) } else { STORED };
                self.present.insert(at, value, now, DIRTY | marks)?;
            }
        }
        self.finish()
    }

    /// Removes the value, without reading it.
    fn forget(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        if let Some(slot) = self.present.find(at) {
            self.drop_slot(slot)?;
        } else if self.absent.find(at).is_none() {
            self.absent.insert(at, (), 0, DIRTY | STORED)?;
        }
        Ok(())
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
        mut combine: impl FnMut(&mut V, V),
    ) -> Result<(), StateError> {
        let now = self.rows.now();
        let mut merged = None;
        for namespace in sources.iter().filter(|source| *source != target) {
            let Some(slot) = self.slot_of(Address { hash, key, namespace })? else { continue };
            let stamp = self.present.rows.stamp(slot);
            let value = self.drop_slot(slot)?;
            if self.visible(stamp, now) {
                match &mut merged {
                    None => merged = Some(value),
                    Some(so_far) => combine(so_far, value),
                }
            }
        }
        let Some(merged) = merged else { return self.finish() };
        self.fold(Address { hash, key, namespace: target }, |existing| match existing {
            Some(value) => {
                combine(value, merged);
                None
            }
            None => Some(merged),
        })
    }

    /// Reads from the store what the cache does not know of a batch, whose addresses were just probed for. What is not there
    /// either is taken down as absent if `note_absent`. Then [`firsts`](Self::firsts) has the records that the cache had no value for,
    /// by ascending index and one for each address.
    fn load_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        note_absent: bool,
    ) -> Result<(), StateError> {
        self.missing.clear();
        self.firsts.clear();
        for (record, slot) in self.present.rows.found().0.iter().enumerate() {
            if *slot == NO_SLOT && self.missing.find(batch.at(record)).is_none() {
                self.missing.insert(batch.at(record), (), 0)?;
                self.firsts.push(record as u32);
            }
        }
        self.rows.keys.clear();
        let mut unknown = Vec::with_capacity(self.firsts.len());
        for record in &self.firsts {
            let at = batch.at(*record as usize);
            if self.absent.is_empty() || self.absent.find(at).is_none() {
                self.rows.push_key(at, |_| ());
                unknown.push(*record);
            }
        }
        let (stamped, present) = (self.rows.ttl.is_some(), &mut self.present);
        let mut failure = Ok(());
        let mut known = vec![false; if note_absent { unknown.len() } else { 0 }];
        self.rows.get_all(
            |row| decode_row::<V>(row, stamped),
            |index, (value, stamp)| {
                let inserted = present.insert(batch.at(unknown[index] as usize), value, stamp, STORED);
                if let Some(known) = known.get_mut(index) {
                    *known = true;
                }
                if let Err(error) = inserted {
                    failure = Err(error);
                }
            },
        )?;
        failure?;
        for (record, known) in unknown.iter().zip(known) {
            if !known {
                self.absent.insert(batch.at(*record as usize), (), 0, 0)?;
            }
        }
        Ok(())
    }

    fn find_or_load_batch<B: Borrow<K>>(&mut self, batch: &KeyBatch<'_, B, N>) -> Result<(), StateError> {
        if !self.present.find_batch(batch) {
            self.load_batch(batch, true)?;
            self.present.find_batch(batch);
        }
        self.present.mark_found(0);
        Ok(())
    }

    pub(crate) fn read_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        self.find_or_load_batch(batch)?;
        let mut expired = Vec::new();
        if let Some(ttl) = &self.rows.ttl {
            let now = ttl.now();
            let mut renewed = false;
            expired = self.present.rows.judge(|stamp| {
                let liveness = ttl.on_read(*stamp, now);
                if liveness == Liveness::Renewed {
                    *stamp = now;
                    renewed = true;
                }
                liveness
            });
            if renewed {
                self.present.mark_found(DIRTY);
            }
        }
        let (slots, values) = self.present.rows.found();
        let result = f(slots, values);
        for slot in expired {
            self.drop_slot(slot)?;
        }
        self.finish()?;
        Ok(result)
    }

    /// As [`read_batch`](Self::read_batch), then removes what was found.
    pub(crate) fn take_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        if self.rows.ttl.is_some() {
            let result = self.read_batch(batch, f)?;
            self.remove_batch(batch)?;
            return Ok(result);
        }
        self.find_or_load_batch(batch)?;
        let (slots, values) = self.present.rows.found();
        let result = f(slots, values);
        self.drop_found()?;
        self.finish()?;
        Ok(result)
    }

    /// Removes the entries that the last batch lookup found.
    fn drop_found(&mut self) -> Result<(), StateError> {
        let slots = self.present.rows.found().0;
        let mut found: Vec<u32> = slots.iter().copied().filter(|slot| *slot != NO_SLOT).collect();
        // From the last to the first, for the last entry moves into each place that is freed.
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found.into_iter().try_for_each(|slot| self.drop_slot(slot as usize).map(drop))
    }

    pub(crate) fn update_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        make: impl FnMut(usize) -> V,
        f: impl FnOnce(Slots<'_>, &mut [V]) -> R,
    ) -> Result<R, StateError> {
        let complete = self.present.find_batch(batch);
        if !complete {
            self.load_batch(batch, false)?;
            self.rows.scope.check_created(batch, &self.firsts)?;
        }
        if complete && self.rows.ttl.is_none() {
            self.present.rows.none_created();
        } else {
            self.complete_batch(batch, make)?;
        }
        let (slots, values) = self.present.rows.columns();
        let result = f(slots, values);
        self.present.rows.reweigh_batch()?;
        self.present.mark_found(DIRTY);
        self.finish()?;
        Ok(result)
    }

    /// Makes the entries of a batch that are neither in the cache nor in the store, and renews those that have expired.
    fn complete_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        make: impl FnMut(usize) -> V,
    ) -> Result<(), StateError> {
        let now = self.rows.now();
        let ttl = &self.rows.ttl;
        let stale = |stamp| ttl.as_ref().is_some_and(|ttl| !ttl.on_read(stamp, now).is_visible());
        let before = self.present.rows.len();
        self.present.rows.find_or_insert_batch(batch, now, stale, make)?;
        self.present.adopt(DIRTY);
        if self.absent.is_empty() {
            return Ok(());
        }
        let (slots, _) = self.present.rows.columns();
        let made: Vec<(u32, usize)> =
            slots.created.iter().map(|record| (*record, slots.slots[*record as usize] as usize)).collect();
        for (record, slot) in made.into_iter().filter(|(_, slot)| *slot >= before) {
            let marks = self.no_longer_absent(batch.at(record as usize));
            self.present.mark(slot, marks);
        }
        Ok(())
    }

    pub(crate) fn remove_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
    ) -> Result<(), StateError> {
        for record in 0..batch.len() {
            self.forget(batch.at(record))?;
        }
        self.finish()
    }

    /// Writes all changes to the store.
    fn flush_cache(&mut self) -> Result<(), StateError> {
        self.present.flush(&mut self.rows)?;
        self.absent.flush(&mut self.rows)
    }

    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &V)) -> Result<(), StateError> {
        self.flush_cache()?;
        let now = self.rows.now();
        let ttl = &self.rows.ttl;
        self.rows.for_each(|_, key, namespace, _, row| {
            let (value, stamp) = decode_row(row, ttl.is_some())?;
            if ttl.as_ref().is_none_or(|ttl| !ttl.is_expired(stamp, now)) {
                f(&key, &namespace, &value);
            }
            Ok(())
        })
    }
}

impl<K: Key, N: Key, V: Data> Table<K> for StoredValues<K, N, V> {
    fn flush(&mut self) -> Result<(), StateError> {
        self.flush_cache()
    }

    fn flush_cold(&mut self) -> Result<(), StateError> {
        self.present.flush_cold(&mut self.rows)?;
        // What is absent is not removed again.
        self.absent.flush(&mut self.rows)
    }

    fn write_hot(&mut self, out: &mut HotRows) -> Result<(), StateError> {
        self.present.write_hot(&mut self.rows, out)
    }

    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        self.flush_cache()?;
        encode_rows(&self.rows.as_they_are(), out)
    }

    fn is_stored(&self) -> bool {
        true
    }

    fn freeze(&mut self, _: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        self.flush_cache().ok()?;
        self.rows.freeze(encode_rows)
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        self.rows.check_group(group)?;
        // What is restored counts more than what was there.
        self.flush_cache()?;
        self.present.clear();
        self.absent.clear();
        let mut input = Input::new(bytes);
        let now = self.rows.now();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input).and_then(|(key, namespace)| {
                Ok((key, namespace, get_stamp(&mut input, stamped, now)?, V::decode(&mut input)?))
            });
            let (key, namespace, stamp, value): (K, N, _, V) = in_state(&self.rows.name, entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.rows.scope.check_restored(&self.rows.name, group, at.hash)?;
            let stamp = self.rows.stamp(stamp);
            self.rows.put_at(at, |out| {
                put_stamp(out, stamp);
                value.encode(out);
            });
        }
        self.rows.flush()
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
        self.flush_cache()?;
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
        self.present.rows.prefetch(hashes);
    }

    fn bytes(&self) -> usize {
        self.present.bytes() + self.absent.bytes()
    }
}
