//! [`MapState`]: a map a key.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use tidemill_serialization::{Data, Key};

use crate::batch::{Address, KeyBatch};
use crate::error::StateError;
use crate::forms::MapTable;
use crate::keyed::KeyedStateBackend;

/// A handle to one map per key (and namespace `N`). Entries are read and written one by one, without touching
/// the others, and iterated by ascending user key. An empty map and none are the same.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{MapState, MapStateDescriptor};
///
/// let gates: MapState<u16, String> = backend.register_map(MapStateDescriptor::new("gates"))?;
/// gates.put(&mut backend, 15, "B20".to_owned())?;
/// gates.put(&mut backend, 7, "A1".to_owned())?;
/// assert_eq!(gates.get(&mut backend, &15)?.as_deref(), Some("B20"));
/// assert!(gates.contains(&mut backend, &7)? && !gates.is_empty(&mut backend)?);
/// let entries = gates.entries(&mut backend)?;
/// assert_eq!(entries, [(7, "A1".to_owned()), (15, "B20".to_owned())], "by ascending user key");
/// gates.remove(&mut backend, &15)?;
/// gates.clear(&mut backend)?;
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct MapState<UK, UV, N = ()> {
    pub(crate) index: u32,
    pub(crate) types: PhantomData<fn() -> (UK, UV, N)>,
}

handle!(MapState<UK, UV, N>);

impl<UK: Key, UV: Data, N: Key> MapState<UK, UV, N> {
    /// A copy of the value of `user_key` in the map of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, 7)?;
    /// assert_eq!(gates.get_in(&mut backend, &1, &15)?, Some(7));
    /// assert_eq!(gates.get_in(&mut backend, &2, &15)?, None, "another namespace");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        user_key: &UK,
    ) -> Result<Option<UV>, StateError> {
        self.read_in(backend, namespace, user_key, |value| value.cloned())
    }

    /// Shows the value of `user_key` in the map of the current key in `namespace` to `f`, without a copy.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, String, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, "B20".to_owned())?;
    /// assert_eq!(gates.read_in(&mut backend, &1, &15, |gate| gate.map(String::len))?, Some(3));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn read_in<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        user_key: &UK,
        f: impl FnOnce(Option<&UV>) -> R,
    ) -> Result<R, StateError> {
        let (key, hash, state) = backend.keyed_state::<MapTable<K, N, UK, UV>, ()>(self.index)?;
        state.table.get(Address { hash, key, namespace }, user_key, f)
    }

    /// Whether the map of the current key in `namespace` has `user_key`. Counts as a read of that entry.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, 7)?;
    /// assert!(gates.contains_in(&mut backend, &1, &15)?);
    /// assert!(!gates.contains_in(&mut backend, &2, &15)?, "another namespace");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn contains_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        user_key: &UK,
    ) -> Result<bool, StateError> {
        self.read_in(backend, namespace, user_key, |value| value.is_some())
    }

    /// Whether the map of the current key in `namespace` has no entry. Does not count as a read of any.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, 7)?;
    /// assert!(!gates.is_empty_in(&mut backend, &1)?);
    /// assert!(gates.is_empty_in(&mut backend, &2)?, "another namespace");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn is_empty_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
    ) -> Result<bool, StateError> {
        let (key, hash, state) = backend.keyed_state::<MapTable<K, N, UK, UV>, ()>(self.index)?;
        state.table.is_empty(Address { hash, key, namespace })
    }

    /// Sets the value of `user_key` in the map of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, 7)?;
    /// gates.put_in(&mut backend, &1, 15, 8)?;
    /// assert_eq!(gates.entries_in(&mut backend, &1)?, [(15, 8)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn put_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        user_key: UK,
        value: UV,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<MapTable<K, N, UK, UV>, ()>(self.index)?;
        state.table.put(Address { hash, key, namespace }, user_key, value)
    }

    /// Changes the value of `user_key` in the map of the current key in `namespace` in place; `make` gives the
    /// first one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let counts: MapState<u16, u64, i64> = backend.register_map(MapStateDescriptor::new("counts"))?;
    /// counts.modify_in(&mut backend, &1, 15, || 0, |count| *count += 1)?;
    /// counts.modify_in(&mut backend, &1, 15, || 0, |count| *count += 1)?;
    /// assert_eq!(counts.get_in(&mut backend, &1, &15)?, Some(2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`put_in`](Self::put_in).
    pub fn modify_in<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        user_key: UK,
        make: impl FnOnce() -> UV,
        f: impl FnOnce(&mut UV) -> R,
    ) -> Result<R, StateError> {
        let (key, hash, state) = backend.keyed_state::<MapTable<K, N, UK, UV>, ()>(self.index)?;
        let mut result = None;
        state.table.fold(Address { hash, key, namespace }, user_key, |existing| match existing {
            Some(value) => {
                result = Some(f(value));
                None
            }
            None => {
                let mut value = make();
                result = Some(f(&mut value));
                Some(value)
            }
        })?;
        // `fold` calls its function whenever it succeeds.
        result.ok_or(StateError::NoCurrentKey)
    }

    /// Removes `user_key` from the map of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, 7)?;
    /// gates.put_in(&mut backend, &1, 16, 8)?;
    /// gates.remove_in(&mut backend, &1, &15)?;
    /// assert_eq!(gates.entries_in(&mut backend, &1)?, [(16, 8)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn remove_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        user_key: &UK,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<MapTable<K, N, UK, UV>, ()>(self.index)?;
        state.table.remove_entry(Address { hash, key, namespace }, user_key)
    }

    /// Shows the entries of a part of the map of the current key in `namespace`, by ascending user key, until
    /// `f` says `false`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// for flight in [30, 10, 20] {
    ///     gates.put_in(&mut backend, &1, flight, 7)?;
    /// }
    /// let mut first = None;
    /// gates.scan_in(&mut backend, &1, 15.., |flight, _| {
    ///     first = Some(*flight);
    ///     false
    /// })?;
    /// assert_eq!(first, Some(20));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn scan_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        range: impl RangeBounds<UK>,
        f: impl FnMut(&UK, &UV) -> bool,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<MapTable<K, N, UK, UV>, ()>(self.index)?;
        let range: (Bound<&UK>, Bound<&UK>) = (range.start_bound(), range.end_bound());
        state.table.scan(Address { hash, key, namespace }, range, f)
    }

    /// A copy of all entries of the map of the current key in `namespace`, by ascending user key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, 7)?;
    /// gates.put_in(&mut backend, &1, 7, 8)?;
    /// assert_eq!(gates.entries_in(&mut backend, &1)?, [(7, 8), (15, 7)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn entries_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
    ) -> Result<Vec<(UK, UV)>, StateError> {
        let mut entries = Vec::new();
        self.scan_in(backend, namespace, .., |user_key, value| {
            entries.push((user_key.clone(), value.clone()));
            true
        })?;
        Ok(entries)
    }

    /// Removes the map of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32, i64> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put_in(&mut backend, &1, 15, 7)?;
    /// gates.clear_in(&mut backend, &1)?;
    /// assert!(gates.is_empty_in(&mut backend, &1)?);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn clear_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<MapTable<K, N, UK, UV>, ()>(self.index)?;
        state.table.remove(Address { hash, key, namespace })
    }

    /// Puts one entry a record, a later one of the same user key replacing an earlier; empties `entries`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// // Of "JFK", "LGA" and "JFK".
    /// gates.put_batch(&mut backend, &batch, &mut vec![(15, 1), (15, 2), (16, 3)])?;
    /// assert_eq!(gates.entries(&mut backend)?, [(15, 1), (16, 3)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there are not as many entries as addresses, a key does not belong to this subtask, the memory
    /// for state is used up, or the store fails.
    pub fn put_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        entries: &mut Vec<(UK, UV)>,
    ) -> Result<(), StateError> {
        batch.check_column("entries", entries.len())?;
        backend.state::<MapTable<K, N, UK, UV>, ()>(self.index)?.table.put_batch(batch, entries)
    }

    /// Shows to `f` the index of each record and the value of its user key, all as they are when the batch
    /// begins.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// // Of "JFK", "LGA" and "JFK".
    /// let mut found = [None; 3];
    /// gates.get_batch(&mut backend, &batch, &[15, 15, 16], |record, gate| found[record] = gate.copied())?;
    /// assert_eq!(found, [Some(7), None, None]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there are not as many user keys as addresses, or the store fails.
    pub fn get_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        user_keys: &[UK],
        f: impl FnMut(usize, Option<&UV>),
    ) -> Result<(), StateError> {
        batch.check_column("user keys", user_keys.len())?;
        backend.state::<MapTable<K, N, UK, UV>, ()>(self.index)?.table.get_batch(batch, user_keys, f)
    }

    /// Shows all entries of all maps of this subtask that have not expired. Maps come in no particular order.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// let mut all = Vec::new();
    /// gates.for_each(&mut backend, |key, _, flight, gate| all.push((key.clone(), *flight, *gate)))?;
    /// assert_eq!(all, [("JFK".to_owned(), 15, 7)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn for_each<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        f: impl FnMut(&K, &N, &UK, &UV),
    ) -> Result<(), StateError> {
        backend.state::<MapTable<K, N, UK, UV>, ()>(self.index)?.table.for_each(f)
    }
}

impl<UK: Key, UV: Data> MapState<UK, UV> {
    /// A copy of the value of `user_key` in the map of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// assert_eq!(gates.get(&mut backend, &15)?, Some(7));
    /// assert_eq!(gates.get(&mut backend, &16)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        user_key: &UK,
    ) -> Result<Option<UV>, StateError> {
        self.get_in(backend, &(), user_key)
    }

    /// Whether the map of the current key has `user_key`. Counts as a read of that entry.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// assert!(gates.contains(&mut backend, &15)? && !gates.contains(&mut backend, &16)?);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        user_key: &UK,
    ) -> Result<bool, StateError> {
        self.contains_in(backend, &(), user_key)
    }

    /// Whether the map of the current key has no entry. Does not count as a read of any.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// assert!(gates.is_empty(&mut backend)?);
    /// gates.put(&mut backend, 15, 7)?;
    /// assert!(!gates.is_empty(&mut backend)?);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn is_empty<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<bool, StateError> {
        self.is_empty_in(backend, &())
    }

    /// Sets the value of `user_key` in the map of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// gates.put(&mut backend, 15, 8)?;
    /// assert_eq!(gates.get(&mut backend, &15)?, Some(8));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn put<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        user_key: UK,
        value: UV,
    ) -> Result<(), StateError> {
        self.put_in(backend, &(), user_key, value)
    }

    /// Changes the value of `user_key` in the map of the current key in place; `make` gives the first one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let counts: MapState<u16, u64> = backend.register_map(MapStateDescriptor::new("counts"))?;
    /// let next = |backend: &mut _| counts.modify(backend, 15, || 0, |count| {
    ///     *count += 1;
    ///     *count
    /// });
    /// assert_eq!((next(&mut backend)?, next(&mut backend)?), (1, 2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn modify<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        user_key: UK,
        make: impl FnOnce() -> UV,
        f: impl FnOnce(&mut UV) -> R,
    ) -> Result<R, StateError> {
        self.modify_in(backend, &(), user_key, make, f)
    }

    /// Removes `user_key` from the map of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// gates.remove(&mut backend, &15)?;
    /// assert_eq!(gates.get(&mut backend, &15)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn remove<K: Key>(self, backend: &mut KeyedStateBackend<K>, user_key: &UK) -> Result<(), StateError> {
        self.remove_in(backend, &(), user_key)
    }

    /// Shows the entries of a part of the map of the current key, by ascending user key, until `f` says
    /// `false`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let events: MapState<i64, u32> = backend.register_map(MapStateDescriptor::new("events"))?;
    /// for time in [10, 20, 30] {
    ///     events.put(&mut backend, time, 1)?;
    /// }
    /// let mut seen = Vec::new();
    /// events.scan(&mut backend, 15.., |time, _| {
    ///     seen.push(*time);
    ///     true
    /// })?;
    /// assert_eq!(seen, [20, 30]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn scan<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        range: impl RangeBounds<UK>,
        f: impl FnMut(&UK, &UV) -> bool,
    ) -> Result<(), StateError> {
        self.scan_in(backend, &(), range, f)
    }

    /// A copy of all entries of the map of the current key, by ascending user key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// gates.put(&mut backend, 7, 8)?;
    /// assert_eq!(gates.entries(&mut backend)?, [(7, 8), (15, 7)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn entries<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<Vec<(UK, UV)>, StateError> {
        self.entries_in(backend, &())
    }

    /// Removes the map of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{MapState, MapStateDescriptor};
    ///
    /// let gates: MapState<u16, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, 15, 7)?;
    /// gates.clear(&mut backend)?;
    /// assert!(gates.is_empty(&mut backend)?);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<(), StateError> {
        self.clear_in(backend, &())
    }
}
