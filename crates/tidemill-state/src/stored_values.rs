//! One value an entry, as rows of a store. A row's value is the time stamp, if entries expire, and the value.

use std::any::Any;
use std::borrow::Borrow;
use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::{Address, KeyBatch, NO_SLOT, Slots};
use crate::codec::{get_entry, get_stamp, in_state, put_entry, put_stamp};
use crate::error::StateError;
use crate::heap::HeapTable;
use crate::snapshot::GroupWriter;
use crate::store::OrderedStore;
use crate::stored::{StoredRows, Verdict};
use crate::table::{Scope, Table};
use crate::ttl::{Liveness, Ttl};

pub(crate) struct StoredValues<K, N, V> {
    rows: StoredRows<K, N>,
    /// The distinct addresses of a batch; only used within one call.
    distinct: HeapTable<K, N, ()>,
    /// The values of a batch; only used within one call.
    column: Vec<V>,
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

impl<K: Key, N: Key, V: Data> StoredValues<K, N, V> {
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        ttl: Option<Ttl>,
        store: Arc<dyn OrderedStore>,
    ) -> Result<Self, StateError> {
        let rows = StoredRows::new(name, scope, ttl, store)?;
        // As large as a batch, which the exchange bounds.
        let distinct = HeapTable::new(name, &MemoryBudget::unlimited("batch"), false);
        Ok(Self { rows, distinct, column: Vec::new() })
    }

    fn load(&mut self, row_key: &[u8]) -> Result<Option<(V, Timestamp)>, StateError> {
        let Some(row) = self.rows.get(row_key)? else { return Ok(None) };
        in_state(&self.rows.name, decode_row(&row, self.rows.ttl.is_some())).map(Some)
    }

    fn store(&mut self, row_key: &[u8], value: &V, now: Timestamp) -> Result<(), StateError> {
        let stamp = self.rows.stamp(now);
        self.rows.put(row_key, |out| {
            put_stamp(out, stamp);
            value.encode(out);
        })
    }

    fn visible(&self, stamp: Timestamp, now: Timestamp) -> bool {
        self.rows.ttl.as_ref().is_none_or(|ttl| ttl.on_read(stamp, now).is_visible())
    }

    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R, StateError> {
        let row_key = self.rows.row_key(at);
        let Some((value, stamp)) = self.load(&row_key)? else { return Ok(f(None)) };
        let Some(ttl) = &self.rows.ttl else { return Ok(f(Some(&value))) };
        let now = ttl.now();
        let liveness = ttl.on_read(stamp, now);
        let result = f(liveness.is_visible().then_some(&value));
        if liveness.is_expired() {
            self.rows.delete(&row_key)?;
        } else if liveness == Liveness::Renewed {
            self.store(&row_key, &value, now)?;
        }
        self.rows.sweep(judge)?;
        Ok(result)
    }

    pub(crate) fn fold(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&mut V>) -> Option<V>,
    ) -> Result<(), StateError> {
        let now = self.rows.now();
        let row_key = self.rows.row_key(at);
        let loaded = self.load(&row_key)?;
        let found = loaded.is_some();
        let mut existing = loaded.filter(|(_, stamp)| self.visible(*stamp, now)).map(|(value, _)| value);
        match f(existing.as_mut()).or(existing) {
            Some(value) => self.store(&row_key, &value, now)?,
            None if found => self.rows.delete(&row_key)?,
            None => {}
        }
        self.rows.sweep(judge)
    }

    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        let row_key = self.rows.row_key(at);
        self.rows.delete(&row_key)
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
            let row_key = self.rows.row_key(Address { hash, key, namespace });
            let Some((value, stamp)) = self.load(&row_key)? else { continue };
            self.rows.delete(&row_key)?;
            if self.visible(stamp, now) {
                match &mut merged {
                    None => merged = Some(value),
                    Some(so_far) => combine(so_far, value),
                }
            }
        }
        let Some(merged) = merged else { return Ok(()) };
        self.fold(Address { hash, key, namespace: target }, |existing| match existing {
            Some(value) => {
                combine(value, merged);
                None
            }
            None => Some(merged),
        })
    }

    /// Finds the distinct addresses of a batch and their rows, in the order in which they come first.
    fn load_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
    ) -> Result<Vec<Option<(V, Timestamp)>>, StateError> {
        self.distinct.clear();
        self.distinct.find_or_insert_batch(batch, 0, |_| false, |_| ())?;
        self.rows.keys.clear();
        let (found, _) = self.distinct.columns();
        for record in found.created {
            self.rows.push_key(batch.at(*record as usize), |_| ());
        }
        let stamped = self.rows.ttl.is_some();
        self.rows.get_all(|row| decode_row(row, stamped))
    }

    pub(crate) fn read_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        let loaded = self.load_batch(batch)?;
        let now = self.rows.now();
        let stamp = self.rows.stamp(now);
        self.column.clear();
        let mut places = Vec::with_capacity(loaded.len());
        for (index, row) in loaded.into_iter().enumerate() {
            let Some((value, touched)) = row else {
                places.push(NO_SLOT);
                continue;
            };
            let liveness = self.rows.ttl.as_ref().map_or(Liveness::Live, |ttl| ttl.on_read(touched, now));
            if liveness.is_expired() {
                self.rows.writes.delete(self.rows.keys.get(index));
            } else if liveness == Liveness::Renewed {
                self.rows.writes.put(self.rows.keys.get(index), |out| {
                    put_stamp(out, stamp);
                    value.encode(out);
                });
            }
            if liveness.is_visible() {
                places.push(self.column.len() as u32);
                self.column.push(value);
            } else {
                places.push(NO_SLOT);
            }
        }
        let (found, _) = self.distinct.columns();
        let slots: Vec<u32> = found.slots.iter().map(|slot| places[*slot as usize]).collect();
        let result = f(&slots, &self.column);
        self.column.clear();
        self.rows.flush()?;
        self.rows.sweep(judge)?;
        Ok(result)
    }

    /// As [`read_batch`](Self::read_batch), then removes what was found.
    pub(crate) fn take_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        let result = self.read_batch(batch, f)?;
        self.remove_batch(batch)?;
        Ok(result)
    }

    pub(crate) fn update_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        mut make: impl FnMut(usize) -> V,
        f: impl FnOnce(Slots<'_>, &mut [V]) -> R,
    ) -> Result<R, StateError> {
        let loaded = self.load_batch(batch)?;
        let now = self.rows.now();
        let stamp = self.rows.stamp(now);
        let (found, _) = self.distinct.columns();
        self.rows.scope.check_created(batch, found.created)?;
        self.column.clear();
        let mut created = Vec::new();
        for (row, first) in loaded.into_iter().zip(found.created) {
            let ttl = &self.rows.ttl;
            let visible = |stamp| ttl.as_ref().is_none_or(|ttl| ttl.on_read(stamp, now).is_visible());
            match row {
                Some((value, touched)) if visible(touched) => self.column.push(value),
                _ => {
                    created.push(*first);
                    self.column.push(make(*first as usize));
                }
            }
        }
        let result = f(Slots { slots: found.slots, created: &created }, &mut self.column);
        for (row_key, value) in self.rows.keys.iter().zip(self.column.drain(..)) {
            self.rows.writes.put(row_key, |out| {
                put_stamp(out, stamp);
                value.encode(out);
            });
        }
        self.rows.flush()?;
        self.rows.sweep(judge)?;
        Ok(result)
    }

    pub(crate) fn remove_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
    ) -> Result<(), StateError> {
        for record in 0..batch.len() {
            let row_key = self.rows.row_key(batch.at(record));
            self.rows.writes.delete(&row_key);
        }
        self.rows.flush()
    }

    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &V)) -> Result<(), StateError> {
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
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        let now = self.rows.now();
        let cleanup = self.rows.ttl.as_ref().filter(|ttl| ttl.full_snapshot());
        let mut failure = Ok(());
        self.rows.for_each(|group, key, namespace, _, row| {
            if let Some(ttl) = cleanup
                && ttl.is_expired(row_stamp(row)?, now)
            {
                return Ok(());
            }
            match out.of_group(group) {
                Ok(bytes) => {
                    put_entry(bytes, &key, &namespace);
                    bytes.extend_from_slice(row);
                }
                Err(error) => failure = Err(error),
            }
            Ok(())
        })?;
        failure
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        self.rows.check_group(group)?;
        let mut input = Input::new(bytes);
        let now = self.rows.now();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input).and_then(|(key, namespace)| {
                Ok((key, namespace, get_stamp(&mut input, stamped, now)?, V::decode(&mut input)?))
            });
            let (key, namespace, stamp, value): (K, N, _, V) = in_state(&self.rows.name, entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.rows.scope.check_restored(&self.rows.name, group, at.hash)?;
            let row_key = self.rows.row_key(at);
            let stamp = self.rows.stamp(stamp);
            self.rows.writes.put(&row_key, |out| {
                put_stamp(out, stamp);
                value.encode(out);
            });
        }
        self.rows.flush()
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
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

    fn bytes(&self) -> usize {
        0
    }
}
