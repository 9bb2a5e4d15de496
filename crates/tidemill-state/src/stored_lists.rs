//! A list an entry, as rows of a store. A row's value is the elements one after the other, so that adding one is
//! an append that reads nothing.

use std::any::Any;
use std::borrow::Borrow;
use std::sync::Arc;

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::{Address, KeyBatch};
use crate::codec::{get_bytes, get_entry, in_state, put_bytes, put_entry};
use crate::error::StateError;
use crate::heap_lists::{get_item, put_item};
use crate::snapshot::GroupWriter;
use crate::store::OrderedStore;
use crate::stored::{StoredRows, Verdict};
use crate::table::{Scope, Table};
use crate::ttl::{Liveness, Ttl};

pub(crate) struct StoredLists<K, N, E> {
    rows: StoredRows<K, N>,
    types: std::marker::PhantomData<fn() -> E>,
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

fn judge<E: Data>(ttl: &Ttl, row: &[u8], now: Timestamp) -> Result<Verdict, DecodeError> {
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

/// What a read sees of a list, and what is left of it: `None` when it stays as it is.
fn on_read<E: Data>(items: Stamped<E>, ttl: Option<&Ttl>) -> (Vec<E>, Option<Stamped<E>>) {
    let Some(ttl) = ttl else { return (items.into_iter().map(|(item, _)| item).collect(), None) };
    let now = ttl.now();
    let mut seen = Vec::with_capacity(items.len());
    let mut left = Vec::new();
    let mut changed = false;
    for (item, stamp) in items {
        let liveness = ttl.on_read(stamp, now);
        changed |= liveness != Liveness::Live;
        if liveness.is_visible() {
            seen.push(item.clone());
        }
        if !liveness.is_expired() {
            left.push((item, if liveness == Liveness::Renewed { now } else { stamp }));
        }
    }
    (seen, changed.then_some(left))
}

impl<K: Key, N: Key, E: Data> StoredLists<K, N, E> {
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        ttl: Option<Ttl>,
        store: Arc<dyn OrderedStore>,
    ) -> Result<Self, StateError> {
        let rows = StoredRows::new(name, scope, ttl, store)?;
        Ok(Self { rows, types: std::marker::PhantomData })
    }

    fn settle(&mut self, row_key: &[u8], left: &Stamped<E>) {
        if left.is_empty() {
            self.rows.writes.delete(row_key);
        } else {
            self.rows.writes.put(row_key, |out| encode_row(left, true, out));
        }
    }

    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(&[E]) -> R,
    ) -> Result<R, StateError> {
        let row_key = self.rows.row_key(at);
        let Some(row) = self.rows.get(&row_key)? else { return Ok(f(&[])) };
        let items = in_state(&self.rows.name, decode_row(&row, self.rows.ttl.is_some(), 0))?;
        let (seen, left) = on_read(items, self.rows.ttl.as_ref());
        let result = f(&seen);
        if let Some(left) = left {
            self.settle(&row_key, &left);
            self.rows.flush()?;
        }
        self.rows.sweep(judge::<E>)?;
        Ok(result)
    }

    pub(crate) fn add(
        &mut self,
        at: Address<'_, K, N>,
        items: impl IntoIterator<Item = E>,
    ) -> Result<(), StateError> {
        let row_key = self.rows.row_key(at);
        let stamp = self.rows.stamp(self.rows.now());
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            let append = |out: &mut Vec<u8>| items.for_each(|item| put_item(out, &item, stamp));
            self.rows.writes.append(&row_key, append);
            self.rows.flush()?;
        }
        self.rows.sweep(judge::<E>)
    }

    pub(crate) fn put(&mut self, at: Address<'_, K, N>, items: Vec<E>) -> Result<(), StateError> {
        self.remove(at)?;
        self.add(at, items)
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
    ) -> Result<(), StateError> {
        let target_key = self.rows.row_key(Address { hash, key, namespace: target });
        let mut moved = Vec::new();
        for namespace in sources.iter().filter(|source| *source != target) {
            let row_key = self.rows.row_key(Address { hash, key, namespace });
            // A source that is named twice is empty the second time.
            if let Some(row) = self.rows.get(&row_key)? {
                moved.extend_from_slice(&row);
                self.rows.delete(&row_key)?;
            }
        }
        if !moved.is_empty() {
            self.rows.writes.append(&target_key, |out| out.extend_from_slice(&moved));
        }
        self.rows.flush()
    }

    pub(crate) fn append_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        items: &mut Vec<E>,
    ) -> Result<(), StateError> {
        let stamp = self.rows.stamp(self.rows.now());
        for (record, item) in items.drain(..).enumerate() {
            // Nothing is read, so it is not known which keys are new.
            self.rows.scope.check_hash(batch.hash(record)).inspect_err(|_| self.rows.writes.clear())?;
            let row_key = self.rows.row_key(batch.at(record));
            self.rows.writes.append(&row_key, |out| put_item(out, &item, stamp));
        }
        self.rows.flush()?;
        self.rows.sweep(judge::<E>)
    }

    pub(crate) fn read_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        mut f: impl FnMut(usize, &[E]),
    ) -> Result<(), StateError> {
        self.rows.keys.clear();
        for record in 0..batch.len() {
            self.rows.push_key(batch.at(record), |_| ());
        }
        let stamped = self.rows.ttl.is_some();
        let loaded = self.rows.get_all(|row| decode_row::<E>(row, stamped, 0))?;
        let row_keys = std::mem::take(&mut self.rows.keys);
        for (record, (items, row_key)) in loaded.into_iter().zip(row_keys.iter()).enumerate() {
            let (seen, left) = on_read(items.unwrap_or_default(), self.rows.ttl.as_ref());
            f(record, &seen);
            if let Some(left) = left {
                self.settle(row_key, &left);
            }
        }
        self.rows.flush()?;
        self.rows.sweep(judge::<E>)
    }

    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &[E])) -> Result<(), StateError> {
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
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        let now = self.rows.now();
        let cleanup = self.rows.ttl.as_ref().filter(|ttl| ttl.full_snapshot());
        let mut failure = Ok(());
        let mut kept = Vec::new();
        self.rows.for_each(|group, key, namespace, _, row| {
            let mut elements = row;
            if let Some(ttl) = cleanup {
                let (items, changed) = live_part::<E>(row, ttl, now)?;
                if items.is_empty() {
                    return Ok(());
                }
                if changed {
                    kept.clear();
                    encode_row(&items, true, &mut kept);
                    elements = &kept;
                }
            }
            match out.of_group(group) {
                Ok(bytes) => {
                    put_entry(bytes, &key, &namespace);
                    put_bytes(bytes, elements);
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
        let stamped_here = self.rows.ttl.is_some();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input).and_then(|(key, namespace)| {
                Ok((key, namespace, decode_row(get_bytes(&mut input, "list")?, stamped, now)?))
            });
            let (key, namespace, items): (K, N, Stamped<E>) = in_state(&self.rows.name, entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.rows.scope.check_restored(&self.rows.name, group, at.hash)?;
            let row_key = self.rows.row_key(at);
            if !items.is_empty() {
                self.rows.writes.put(&row_key, |out| encode_row(&items, stamped_here, out));
            }
        }
        self.rows.flush()
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
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

    fn bytes(&self) -> usize {
        0
    }
}
