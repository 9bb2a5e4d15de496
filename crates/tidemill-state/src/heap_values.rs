//! One value an entry, in memory.

use std::any::Any;
use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Data, Input, Key};

use crate::batch::{Address, KeyBatch, Slots};
use crate::codec::{get_entry, get_stamp, in_state, put_entry, put_stamp};
use crate::cow::CowTable;
use crate::error::StateError;
use crate::heap::HeapTable;
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::GroupWriter;
use crate::table::{Scope, Table};
use crate::ttl::{Liveness, Ttl};

pub(crate) struct HeapValues<K, N, V> {
    rows: CowTable<K, N, V>,
    ttl: Option<Ttl>,
    scope: Scope,
}

impl<K: Key, N: Key, V: Data> HeapValues<K, N, V> {
    pub(crate) fn new(name: &str, scope: Scope, ttl: Option<Ttl>) -> Self {
        Self { rows: CowTable::new(name, &scope.budget, ttl.is_some()), ttl, scope }
    }

    fn now(&self) -> Timestamp {
        self.ttl.as_ref().map_or(0, Ttl::now)
    }

    /// Removes some of what has expired; every access ends with it.
    #[inline]
    fn sweep(&mut self, now: Timestamp) {
        if let Some(ttl) = &self.ttl {
            self.rows.sweep(ttl.incremental(), |_, stamp| ttl.is_expired(stamp, now));
        }
    }

    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R, StateError> {
        let Some(slot) = self.rows.find(at)? else { return Ok(f(None)) };
        let Some(ttl) = &self.ttl else { return Ok(f(Some(self.rows.value(slot)))) };
        let now = ttl.now();
        let liveness = ttl.on_read(self.rows.stamp(slot), now);
        let result = f(liveness.is_visible().then(|| self.rows.value(slot)));
        if liveness.is_expired() {
            self.rows.remove(slot);
        } else if liveness == Liveness::Renewed {
            self.rows.set_stamp(slot, now);
        }
        self.sweep(now);
        Ok(result)
    }

    /// Changes the value in place, or puts what `f` returns: the first value, or one that replaces the old.
    pub(crate) fn fold(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&mut V>) -> Option<V>,
    ) -> Result<(), StateError> {
        let now = self.now();
        match self.rows.find(at)? {
            Some(slot) => {
                let stamp = self.rows.stamp(slot);
                let visible = self.ttl.as_ref().is_none_or(|ttl| ttl.on_read(stamp, now).is_visible());
                let put = f(visible.then(|| self.rows.value_mut(slot)));
                match put {
                    Some(value) => *self.rows.value_mut(slot) = value,
                    None if !visible => {
                        self.rows.remove(slot);
                        return Ok(());
                    }
                    None => {}
                }
                self.rows.set_stamp(slot, now);
                self.rows.reweigh(slot)?;
            }
            None => {
                if let Some(value) = f(None) {
                    self.rows.insert(at, value, now)?;
                }
            }
        }
        self.sweep(now);
        Ok(())
    }

    /// Sets the value.
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, value: V) -> Result<(), StateError> {
        self.fold(at, |_| Some(value))
    }

    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        if let Some(slot) = self.rows.find(at)? {
            self.rows.remove(slot);
        }
        Ok(())
    }

    /// Removes the value and returns it, when it can be seen.
    fn take(&mut self, at: Address<'_, K, N>, now: Timestamp) -> Result<Option<V>, StateError> {
        let Some(slot) = self.rows.find(at)? else { return Ok(None) };
        let stamp = self.rows.stamp(slot);
        let value = self.rows.remove(slot);
        let visible = self.ttl.as_ref().is_none_or(|ttl| ttl.on_read(stamp, now).is_visible());
        Ok(visible.then_some(value))
    }

    /// Combines the values of one key in the namespaces `sources` into that of `target`.
    pub(crate) fn merge(
        &mut self,
        (key, hash): (&K, u64),
        target: &N,
        sources: &[N],
        mut combine: impl FnMut(&mut V, V),
    ) -> Result<(), StateError> {
        let now = self.now();
        let mut merged = None;
        for namespace in sources.iter().filter(|source| *source != target) {
            if let Some(value) = self.take(Address { hash, key, namespace }, now)? {
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

    pub(crate) fn read_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        self.rows.find_batch(batch)?;
        let Some(ttl) = &self.ttl else {
            let (slots, values) = self.rows.found();
            return Ok(f(slots, values));
        };
        let now = ttl.now();
        let expired = self.rows.judge(|stamp| {
            let liveness = ttl.on_read(*stamp, now);
            if liveness == Liveness::Renewed {
                *stamp = now;
            }
            liveness
        });
        let (slots, values) = self.rows.found();
        let result = f(slots, values);
        for slot in expired {
            self.rows.remove(slot);
        }
        self.sweep(now);
        Ok(result)
    }

    pub(crate) fn update_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        make: impl FnMut(usize) -> V,
        f: impl FnOnce(Slots<'_>, &mut [V]) -> R,
    ) -> Result<R, StateError> {
        let now = self.now();
        let ttl = &self.ttl;
        let stale = |stamp| ttl.as_ref().is_some_and(|ttl| !ttl.on_read(stamp, now).is_visible());
        self.rows.find_or_insert_batch(batch, now, stale, make)?;
        let (slots, values) = self.rows.columns();
        self.scope.check_created(batch, slots.created)?;
        let result = f(slots, values);
        self.rows.reweigh_batch()?;
        self.sweep(now);
        Ok(result)
    }

    pub(crate) fn remove_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
    ) -> Result<(), StateError> {
        self.rows.find_batch(batch)?;
        self.rows.remove_found();
        Ok(())
    }

    /// As [`read_batch`](Self::read_batch), then removes what was found.
    pub(crate) fn take_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        if self.ttl.is_some() {
            let result = self.read_batch(batch, f)?;
            self.remove_batch(batch)?;
            return Ok(result);
        }
        self.rows.find_batch(batch)?;
        let (slots, values) = self.rows.found();
        let result = f(slots, values);
        self.rows.remove_found();
        Ok(result)
    }

    /// Shows all entries that have not expired; their times stay as they are.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&K, &N, &V)) -> Result<(), StateError> {
        let now = self.now();
        for (key, namespace, value, stamp) in self.rows.iter() {
            if self.ttl.as_ref().is_none_or(|ttl| !ttl.is_expired(stamp, now)) {
                f(key, namespace, value);
            }
        }
        Ok(())
    }
}

/// Writes all entries as they are at `now`.
fn encode<'a, K: Key, N: Key, V: Data>(
    entries: impl Iterator<Item = (&'a K, &'a N, &'a V, Timestamp)>,
    ttl: Option<&Ttl>,
    now: Timestamp,
    out: &mut GroupWriter,
) -> Result<(), StateError> {
    let cleanup = ttl.filter(|ttl| ttl.full_snapshot());
    for (key, namespace, value, stamp) in entries {
        if cleanup.is_some_and(|ttl| ttl.is_expired(stamp, now)) {
            continue;
        }
        let bytes = out.of_hash(key.routing_hash())?;
        put_entry(bytes, key, namespace);
        put_stamp(bytes, ttl.is_some().then_some(stamp));
        value.encode(bytes);
    }
    Ok(())
}

/// The values of a snapshot.
struct FrozenValues<K, N, V> {
    rows: Arc<HeapTable<K, N, V>>,
    ttl: Option<Ttl>,
    now: Timestamp,
}

impl<K: Key, N: Key, V: Data> FrozenTable for FrozenValues<K, N, V> {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        encode(self.rows.iter(), self.ttl.as_ref(), self.now, out)
    }
}

impl<K: Key, N: Key, V: Data> Table<K> for HeapValues<K, N, V> {
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        encode(self.rows.iter(), self.ttl.as_ref(), self.now(), out)
    }

    fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        let rows = self.rows.freeze(snapshot)?;
        Some(Box::new(FrozenValues { rows, ttl: self.ttl.clone(), now: self.now() }))
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError> {
        let mut input = Input::new(bytes);
        let now = self.now();
        while input.remaining() > 0 {
            let entry = get_entry(&mut input).and_then(|(key, namespace)| {
                Ok((key, namespace, get_stamp(&mut input, stamped, now)?, V::decode(&mut input)?))
            });
            let (key, namespace, stamp, value): (K, N, _, _) = in_state(self.rows.name(), entry)?;
            let at = Address { hash: key.routing_hash(), key: &key, namespace: &namespace };
            self.scope.check_restored(self.rows.name(), group, at.hash)?;
            if let Some(slot) = self.rows.find(at)? {
                self.rows.remove(slot);
            }
            self.rows.insert(at, value, stamp)?;
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
