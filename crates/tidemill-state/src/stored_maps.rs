//! A map an entry, as rows of a store: one row an entry of the map, with the user key at the end of its key.

use std::any::Any;
use std::borrow::Borrow;
use std::ops::RangeBounds;
use std::sync::Arc;

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::{Address, KeyBatch};
use crate::codec::{decode_all, get_bytes, get_entry, get_stamp, in_state, put_bytes, put_entry, put_stamp};
use crate::error::StateError;
use crate::heap_maps::{Range, get_row, is_inverted, put_row};
use crate::snapshot::GroupWriter;
use crate::store::OrderedStore;
use crate::stored::{StoredRows, Verdict};
use crate::stored_values::row_stamp;
use crate::table::{Scope, Table};
use crate::ttl::{Liveness, Ttl};

pub(crate) struct StoredMaps<K, N, UK, UV> {
    rows: StoredRows<K, N>,
    types: std::marker::PhantomData<fn() -> (UK, UV)>,
}

fn decode_value<UV: Data>(row: &[u8], stamped: bool) -> Result<(UV, Timestamp), DecodeError> {
    let mut input = Input::new(row);
    let stamp = get_stamp(&mut input, stamped, 0)?;
    Ok((UV::decode(&mut input)?, stamp))
}

fn judge(ttl: &Ttl, row: &[u8], now: Timestamp) -> Result<Verdict, DecodeError> {
    Ok(if ttl.is_expired(row_stamp(row)?, now) { Verdict::Delete } else { Verdict::Keep })
}

impl<K: Key, N: Key, UK: Key, UV: Data> StoredMaps<K, N, UK, UV> {
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        ttl: Option<Ttl>,
        store: Arc<dyn OrderedStore>,
    ) -> Result<Self, StateError> {
        let rows = StoredRows::new(name, scope, ttl, store)?;
        Ok(Self { rows, types: std::marker::PhantomData })
    }

    fn entry_key(&self, at: Address<'_, K, N>, user_key: &UK) -> Vec<u8> {
        let mut row_key = self.rows.row_key(at);
        user_key.encode(&mut row_key);
        row_key
    }

    fn store(&mut self, row_key: &[u8], value: &UV, now: Timestamp) {
        let stamp = self.rows.stamp(now);
        self.rows.writes.put(row_key, |out| {
            put_stamp(out, stamp);
            value.encode(out);
        });
    }

    fn load(&mut self, row_key: &[u8]) -> Result<Option<(UV, Timestamp)>, StateError> {
        let Some(row) = self.rows.get(row_key)? else { return Ok(None) };
        in_state(&self.rows.name, decode_value(&row, self.rows.ttl.is_some())).map(Some)
    }

    fn on_read(&self, stamp: Timestamp, now: Timestamp) -> Liveness {
        self.rows.ttl.as_ref().map_or(Liveness::Live, |ttl| ttl.on_read(stamp, now))
    }

    /// Does what a read of an entry entails.
    fn settle(&mut self, row_key: &[u8], value: &UV, liveness: Liveness, now: Timestamp) {
        if liveness.is_expired() {
            self.rows.writes.delete(row_key);
        } else if liveness == Liveness::Renewed {
            self.store(row_key, value, now);
        }
    }

    fn finish(&mut self) -> Result<(), StateError> {
        self.rows.flush()?;
        self.rows.sweep(judge)
    }

    pub(crate) fn get<R>(
        &mut self,
        at: Address<'_, K, N>,
        user_key: &UK,
        f: impl FnOnce(Option<&UV>) -> R,
    ) -> Result<R, StateError> {
        let row_key = self.entry_key(at, user_key);
        let Some((value, stamp)) = self.load(&row_key)? else { return Ok(f(None)) };
        let now = self.rows.now();
        let liveness = self.on_read(stamp, now);
        let result = f(liveness.is_visible().then_some(&value));
        self.settle(&row_key, &value, liveness, now);
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
        let row_key = self.entry_key(at, &user_key);
        let loaded = self.load(&row_key)?;
        let mut existing =
            loaded.filter(|(_, stamp)| self.on_read(*stamp, now).is_visible()).map(|(value, _)| value);
        match f(existing.as_mut()).or(existing) {
            Some(value) => self.store(&row_key, &value, now),
            None => self.rows.writes.delete(&row_key),
        }
        self.finish()
    }

    /// Sets the value of a user key, without reading it.
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, user_key: UK, value: UV) -> Result<(), StateError> {
        let now = self.rows.now();
        let row_key = self.entry_key(at, &user_key);
        self.store(&row_key, &value, now);
        self.finish()
    }

    pub(crate) fn remove_entry(&mut self, at: Address<'_, K, N>, user_key: &UK) -> Result<(), StateError> {
        let row_key = self.entry_key(at, user_key);
        self.rows.delete(&row_key)
    }

    pub(crate) fn is_empty(&mut self, at: Address<'_, K, N>) -> Result<bool, StateError> {
        let now = self.rows.now();
        let mut empty = true;
        self.rows.scan_prefix(&self.rows.row_key(at), |_, row| {
            empty = match &self.rows.ttl {
                Some(ttl) => !ttl.on_read(row_stamp(row)?, now).is_visible(),
                None => false,
            };
            Ok(empty)
        })?;
        Ok(empty)
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
        let prefix = self.rows.row_key(at);
        let now = self.rows.now();
        let stamped = self.rows.ttl.is_some();
        let mut part: Vec<(UK, UV, Timestamp)> = Vec::new();
        self.rows.scan_prefix(&prefix, |row_key, row| {
            let user_key: UK = decode_all(&row_key[prefix.len()..])?;
            if range.contains(&user_key) {
                let (value, stamp) = decode_value(row, stamped)?;
                part.push((user_key, value, stamp));
            }
            Ok(true)
        })?;
        // Encoded user keys are not ordered as user keys are.
        part.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (user_key, value, stamp) in part {
            let liveness = self.on_read(stamp, now);
            if liveness != Liveness::Live {
                let row_key = self.entry_key(at, &user_key);
                self.settle(&row_key, &value, liveness, now);
            }
            if liveness.is_visible() && !f(&user_key, &value) {
                break;
            }
        }
        self.finish()
    }

    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        let prefix = self.rows.row_key(at);
        self.rows.delete_prefix(&prefix)
    }

    pub(crate) fn put_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        entries: &mut Vec<(UK, UV)>,
    ) -> Result<(), StateError> {
        let now = self.rows.now();
        for (record, (user_key, value)) in entries.drain(..).enumerate() {
            // Nothing is read, so it is not known which keys are new.
            self.rows.scope.check_hash(batch.hash(record)).inspect_err(|_| self.rows.writes.clear())?;
            let row_key = self.entry_key(batch.at(record), &user_key);
            self.store(&row_key, &value, now);
        }
        self.finish()
    }

    pub(crate) fn get_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        user_keys: &[UK],
        mut f: impl FnMut(usize, Option<&UV>),
    ) -> Result<(), StateError> {
        self.rows.keys.clear();
        for (record, user_key) in user_keys.iter().enumerate() {
            self.rows.push_key(batch.at(record), |out| user_key.encode(out));
        }
        let stamped = self.rows.ttl.is_some();
        let loaded = self.rows.get_all(|row| decode_value::<UV>(row, stamped))?;
        let row_keys = std::mem::take(&mut self.rows.keys);
        let now = self.rows.now();
        for (record, (found, row_key)) in loaded.into_iter().zip(row_keys.iter()).enumerate() {
            match found {
                None => f(record, None),
                Some((value, stamp)) => {
                    let liveness = self.on_read(stamp, now);
                    f(record, liveness.is_visible().then_some(&value));
                    self.settle(row_key, &value, liveness, now);
                }
            }
        }
        self.finish()
    }

    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &UK, &UV)) -> Result<(), StateError> {
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

/// Writes a map whose rows have been gathered.
fn write_map<K: Key, N: Key>(
    out: &mut GroupWriter,
    map: Option<(KeyGroup, K, N)>,
    entries: &mut Vec<u8>,
) -> Result<(), StateError> {
    if let Some((group, key, namespace)) = map {
        let bytes = out.of_group(group)?;
        put_entry(bytes, &key, &namespace);
        put_bytes(bytes, entries);
    }
    entries.clear();
    Ok(())
}

impl<K: Key, N: Key, UK: Key, UV: Data> Table<K> for StoredMaps<K, N, UK, UV> {
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        let now = self.rows.now();
        let stamped = self.rows.ttl.is_some();
        let cleanup = self.rows.ttl.as_ref().filter(|ttl| ttl.full_snapshot());
        let mut map: Option<(KeyGroup, K, N)> = None;
        let mut entries = Vec::new();
        let mut failure = Ok(());
        self.rows.for_each(|group, key, namespace, user_key, row| {
            let (value, stamp) = decode_value::<UV>(row, stamped)?;
            if cleanup.is_some_and(|ttl| ttl.is_expired(stamp, now)) || failure.is_err() {
                return Ok(());
            }
            let next = Some((group, key, namespace));
            if map != next {
                failure = write_map(out, std::mem::replace(&mut map, next), &mut entries);
            }
            put_row::<UK, UV>(&mut entries, &decode_all(user_key)?, &value, stamped.then_some(stamp));
            Ok(())
        })?;
        failure?;
        write_map(out, map, &mut entries)
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        self.rows.check_group(group)?;
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
                let row_key = self.entry_key(at, &user_key);
                self.store(&row_key, &value, stamp);
            }
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
