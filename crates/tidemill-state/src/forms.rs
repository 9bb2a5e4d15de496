//! The two forms that every table comes in: in memory, or as rows of a store. Only this file and what it joins
//! know which it is.

use std::any::Any;
use std::borrow::Borrow;
use std::sync::{Arc, Weak};

use tidemill_core::KeyGroup;
use tidemill_serialization::{Data, Key};

use crate::batch::{Address, KeyBatch, Slots};
use crate::cache::StateCache;
use crate::error::StateError;
use crate::heap_lists::HeapLists;
use crate::heap_maps::{HeapMaps, Range};
use crate::heap_values::HeapValues;
use crate::hot_rows::HotRows;
use crate::pending::{FrozenTable, PendingState};
use crate::row_filter::{by_element, by_stamp};
use crate::snapshot::GroupWriter;
use crate::store::Storage;
use crate::stored_lists::StoredLists;
use crate::stored_maps::StoredMaps;
use crate::stored_values::StoredValues;
use crate::table::{Scope, Table};
use crate::ttl::Ttl;

/// Passes a call on to the form that a table has.
macro_rules! on_form {
    ($self:ident, $table:ident => $call:expr) => {
        match $self {
            Self::Heap($table) => $call,
            Self::Stored($table) => $call,
        }
    };
}

/// What the tables have in common.
macro_rules! forms {
    ($name:ident<$($t:ident: $bound:ident),*>, $heap:ident, $stored:ident, $filter:expr) => {
        impl<$($t: $bound),*> $name<$($t),*> {
            pub(crate) fn new(name: &str, scope: Scope, ttl: Option<Ttl>) -> Result<Self, StateError> {
                let (store, cache) = match &*scope.storage {
                    Storage::Heap => return Ok(Self::Heap($heap::new(name, scope, ttl))),
                    Storage::Ordered(store) => (Arc::clone(store), StateCache::new(0)),
                    Storage::Cached(store, cache) => (Arc::clone(store), cache.clone()),
                };
                let filter = ttl.as_ref().filter(|ttl| ttl.in_background()).map($filter);
                if let (Some(native), Some(filter)) = (store.native(), filter) {
                    native.set_row_filter(name, filter)?;
                }
                Ok(Self::Stored($stored::new(name, scope, ttl, store, &cache)?))
            }
        }

        impl<$($t: $bound),*> Table<K> for $name<$($t),*> {
            fn flush(&mut self) -> Result<(), StateError> {
                on_form!(self, table => table.flush())
            }

            fn flush_cold(&mut self) -> Result<(), StateError> {
                on_form!(self, table => table.flush_cold())
            }

            fn write_hot(&mut self, out: &mut HotRows) -> Result<(), StateError> {
                on_form!(self, table => table.write_hot(out))
            }

            fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
                on_form!(self, table => table.snapshot(out))
            }

            fn is_stored(&self) -> bool {
                on_form!(self, table => table.is_stored())
            }

            fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
                on_form!(self, table => table.freeze(snapshot))
            }

            fn restore_group(
                &mut self,
                group: KeyGroup,
                bytes: &[u8],
                stamped: bool,
            ) -> Result<(), StateError> {
                on_form!(self, table => table.restore_group(group, bytes, stamped))
            }

            fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
                on_form!(self, table => table.keys(namespace, keys))
            }

            fn prefetch(&self, hashes: &[u64]) {
                on_form!(self, table => table.prefetch(hashes))
            }

            fn is_stamped(&self) -> bool {
                on_form!(self, table => table.is_stamped())
            }

            fn bytes(&self) -> usize {
                on_form!(self, table => table.bytes())
            }
        }
    };
}

/// One value an entry.
pub(crate) enum ValueTable<K, N, V> {
    Heap(HeapValues<K, N, V>),
    Stored(StoredValues<K, N, V>),
}

forms!(ValueTable<K: Key, N: Key, V: Data>, HeapValues, StoredValues, by_stamp);

impl<K: Key, N: Key, V: Data> ValueTable<K, N, V> {
    #[inline]
    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R, StateError> {
        on_form!(self, table => table.read(at, f))
    }

    #[inline]
    pub(crate) fn fold(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(Option<&mut V>) -> Option<V>,
    ) -> Result<(), StateError> {
        on_form!(self, table => table.fold(at, f))
    }

    #[inline]
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, value: V) -> Result<(), StateError> {
        on_form!(self, table => table.put(at, value))
    }

    #[inline]
    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        on_form!(self, table => table.remove(at))
    }

    #[inline]
    pub(crate) fn merge(
        &mut self,
        key: (&K, u64),
        target: &N,
        sources: &[N],
        combine: impl FnMut(&mut V, V),
    ) -> Result<(), StateError> {
        on_form!(self, table => table.merge(key, target, sources, combine))
    }

    #[inline]
    pub(crate) fn read_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        on_form!(self, table => table.read_batch(batch, f))
    }

    #[inline]
    pub(crate) fn take_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        on_form!(self, table => table.take_batch(batch, f))
    }

    #[inline]
    pub(crate) fn update_batch<B: Borrow<K>, R>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        make: impl FnMut(usize) -> V,
        f: impl FnOnce(Slots<'_>, &mut [V]) -> R,
    ) -> Result<R, StateError> {
        on_form!(self, table => table.update_batch(batch, make, f))
    }

    #[inline]
    pub(crate) fn remove_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
    ) -> Result<(), StateError> {
        on_form!(self, table => table.remove_batch(batch))
    }

    #[inline]
    pub(crate) fn for_each(&mut self, f: impl FnMut(&K, &N, &V)) -> Result<(), StateError> {
        on_form!(self, table => table.for_each(f))
    }
}

/// A list an entry.
pub(crate) enum ListTable<K, N, E> {
    Heap(HeapLists<K, N, E>),
    Stored(StoredLists<K, N, E>),
}

forms!(ListTable<K: Key, N: Key, E: Data>, HeapLists, StoredLists, by_element::<E>);

impl<K: Key, N: Key, E: Data> ListTable<K, N, E> {
    #[inline]
    pub(crate) fn read<R>(
        &mut self,
        at: Address<'_, K, N>,
        f: impl FnOnce(&[E]) -> R,
    ) -> Result<R, StateError> {
        on_form!(self, table => table.read(at, f))
    }

    #[inline]
    pub(crate) fn add(
        &mut self,
        at: Address<'_, K, N>,
        items: impl IntoIterator<Item = E>,
    ) -> Result<(), StateError> {
        on_form!(self, table => table.add(at, items))
    }

    #[inline]
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, items: Vec<E>) -> Result<(), StateError> {
        on_form!(self, table => table.put(at, items))
    }

    #[inline]
    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        on_form!(self, table => table.remove(at))
    }

    #[inline]
    pub(crate) fn merge(&mut self, key: (&K, u64), target: &N, sources: &[N]) -> Result<(), StateError> {
        on_form!(self, table => table.merge(key, target, sources))
    }

    #[inline]
    pub(crate) fn append_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        items: &mut Vec<E>,
    ) -> Result<(), StateError> {
        on_form!(self, table => table.append_batch(batch, items))
    }

    #[inline]
    pub(crate) fn read_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnMut(usize, &[E]),
    ) -> Result<(), StateError> {
        on_form!(self, table => table.read_batch(batch, f))
    }

    #[inline]
    pub(crate) fn for_each(&mut self, f: impl FnMut(&K, &N, &[E])) -> Result<(), StateError> {
        on_form!(self, table => table.for_each(f))
    }
}

/// A map an entry.
pub(crate) enum MapTable<K, N, UK, UV> {
    Heap(HeapMaps<K, N, UK, UV>),
    Stored(StoredMaps<K, N, UK, UV>),
}

forms!(MapTable<K: Key, N: Key, UK: Key, UV: Data>, HeapMaps, StoredMaps, by_stamp);

impl<K: Key, N: Key, UK: Key, UV: Data> MapTable<K, N, UK, UV> {
    #[inline]
    pub(crate) fn get<R>(
        &mut self,
        at: Address<'_, K, N>,
        user_key: &UK,
        f: impl FnOnce(Option<&UV>) -> R,
    ) -> Result<R, StateError> {
        on_form!(self, table => table.get(at, user_key, f))
    }

    #[inline]
    pub(crate) fn fold(
        &mut self,
        at: Address<'_, K, N>,
        user_key: UK,
        f: impl FnOnce(Option<&mut UV>) -> Option<UV>,
    ) -> Result<(), StateError> {
        on_form!(self, table => table.fold(at, user_key, f))
    }

    #[inline]
    pub(crate) fn put(&mut self, at: Address<'_, K, N>, user_key: UK, value: UV) -> Result<(), StateError> {
        on_form!(self, table => table.put(at, user_key, value))
    }

    #[inline]
    pub(crate) fn remove_entry(&mut self, at: Address<'_, K, N>, user_key: &UK) -> Result<(), StateError> {
        on_form!(self, table => table.remove_entry(at, user_key))
    }

    #[inline]
    pub(crate) fn is_empty(&mut self, at: Address<'_, K, N>) -> Result<bool, StateError> {
        on_form!(self, table => table.is_empty(at))
    }

    #[inline]
    pub(crate) fn scan(
        &mut self,
        at: Address<'_, K, N>,
        range: Range<'_, UK>,
        f: impl FnMut(&UK, &UV) -> bool,
    ) -> Result<(), StateError> {
        on_form!(self, table => table.scan(at, range, f))
    }

    #[inline]
    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        on_form!(self, table => table.remove(at))
    }

    #[inline]
    pub(crate) fn put_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        entries: &mut Vec<(UK, UV)>,
    ) -> Result<(), StateError> {
        on_form!(self, table => table.put_batch(batch, entries))
    }

    #[inline]
    pub(crate) fn get_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        user_keys: &[UK],
        f: impl FnMut(usize, Option<&UV>),
    ) -> Result<(), StateError> {
        on_form!(self, table => table.get_batch(batch, user_keys, f))
    }

    #[inline]
    pub(crate) fn for_each(&mut self, f: impl FnMut(&K, &N, &UK, &UV)) -> Result<(), StateError> {
        on_form!(self, table => table.for_each(f))
    }
}
