//! [`ValueState`]: one value a key.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use tidemill_serialization::{Data, Key};

use crate::batch::{Address, KeyBatch, Slots};
use crate::error::StateError;
use crate::forms::ValueTable;
use crate::keyed::KeyedStateBackend;

/// A handle to one value per key (and namespace `N`). The backend that made it holds the values.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{ValueState, ValueStateDescriptor};
///
/// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
/// assert_eq!(visits.get(&mut backend)?, None);
/// visits.update(&mut backend, 7)?;
/// assert_eq!(visits.read(&mut backend, |visits| visits.copied())?, Some(7));
/// visits.clear(&mut backend)?;
/// assert_eq!(visits.get(&mut backend)?, None);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct ValueState<V, N = ()> {
    pub(crate) index: u32,
    pub(crate) types: PhantomData<fn() -> (V, N)>,
}

handle!(ValueState<V, N>);

impl<V: Data, N: Key> ValueState<V, N> {
    /// A copy of the value of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64, u32> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update_in(&mut backend, &1, 7)?;
    /// assert_eq!(visits.get_in(&mut backend, &1)?, Some(7));
    /// assert_eq!(visits.get_in(&mut backend, &2)?, None, "another namespace");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
    ) -> Result<Option<V>, StateError> {
        self.read_in(backend, namespace, |value| value.cloned())
    }

    /// Shows the value of the current key in `namespace` to `f`, without a copy.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let name: ValueState<String, u32> = backend.register_value(ValueStateDescriptor::new("name"))?;
    /// name.update_in(&mut backend, &1, "Kennedy".to_owned())?;
    /// assert_eq!(name.read_in(&mut backend, &1, |name| name.map(String::len))?, Some(7));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn read_in<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R, StateError> {
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, ()>(self.index)?;
        state.table.read(Address { hash, key, namespace }, f)
    }

    /// Sets the value of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64, u32> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update_in(&mut backend, &1, 7)?;
    /// visits.update_in(&mut backend, &1, 8)?;
    /// assert_eq!(visits.get_in(&mut backend, &1)?, Some(8));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn update_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        value: V,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, ()>(self.index)?;
        state.table.put(Address { hash, key, namespace }, value)
    }

    /// Changes the value of the current key in `namespace` in place; `make` gives the first one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64, u32> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.modify_in(&mut backend, &1, || 0, |visits| *visits += 1)?;
    /// visits.modify_in(&mut backend, &1, || 0, |visits| *visits += 1)?;
    /// assert_eq!(visits.get_in(&mut backend, &1)?, Some(2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`update_in`](Self::update_in).
    pub fn modify_in<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        make: impl FnOnce() -> V,
        f: impl FnOnce(&mut V) -> R,
    ) -> Result<R, StateError> {
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, ()>(self.index)?;
        let mut result = None;
        state.table.fold(Address { hash, key, namespace }, |existing| match existing {
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

    /// Changes the value of the current key in `namespace` in place, or puts what `f` returns: the first value, or one
    /// that replaces the old.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let first: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("first"))?;
    /// for time in [7, 8] {
    ///     // What is there stays.
    ///     first.fold_in(&mut backend, &(), |there| if there.is_some() { None } else { Some(time) })?;
    /// }
    /// assert_eq!(first.get(&mut backend)?, Some(7));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`update_in`](Self::update_in).
    pub fn fold_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        f: impl FnOnce(Option<&mut V>) -> Option<V>,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, ()>(self.index)?;
        state.table.fold(Address { hash, key, namespace }, f)
    }

    /// Combines what the current key has in the namespaces `sources` into what it has in `target`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let seats: ValueState<u64, u32> = backend.register_value(ValueStateDescriptor::new("seats"))?;
    /// seats.update_in(&mut backend, &1, 150)?;
    /// seats.update_in(&mut backend, &2, 180)?;
    /// seats.merge_namespaces(&mut backend, &1, &[2], |sum, more| *sum += more)?;
    /// assert_eq!((seats.get_in(&mut backend, &1)?, seats.get_in(&mut backend, &2)?), (Some(330), None));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`update_in`](Self::update_in).
    pub fn merge_namespaces<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        target: &N,
        sources: &[N],
        combine: impl FnMut(&mut V, V),
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, ()>(self.index)?;
        state.table.merge((key, hash), target, sources, combine)
    }

    /// Removes the value of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64, u32> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update_in(&mut backend, &1, 7)?;
    /// visits.clear_in(&mut backend, &1)?;
    /// assert_eq!(visits.get_in(&mut backend, &1)?, None);
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
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, ()>(self.index)?;
        state.table.remove(Address { hash, key, namespace })
    }

    /// Looks up a batch: `f` gets per record the place of its value in a column of values,
    /// [`NO_SLOT`](crate::NO_SLOT) where there is none.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{NO_SLOT, ValueState, ValueStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 7)?;
    /// // Of "JFK", "LGA" and "JFK".
    /// visits.read_batch(&mut backend, &batch, |slots, visits| {
    ///     assert_eq!(visits[slots[0] as usize], 7);
    ///     assert_eq!(slots[1], NO_SLOT);
    /// })?;
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn read_batch<K: Key, B: Borrow<K>, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        backend.state::<ValueTable<K, N, V>, ()>(self.index)?.table.read_batch(batch, f)
    }

    /// As [`read_batch`](Self::read_batch), then removes the values that were found, which is faster than
    /// [`clear_batch`](Self::clear_batch) after it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 7)?;
    /// // Of "JFK", "LGA" and "JFK".
    /// let first = visits.take_batch(&mut backend, &batch, |slots, visits| visits[slots[0] as usize])?;
    /// assert_eq!((first, visits.get(&mut backend)?), (7, None));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn take_batch<K: Key, B: Borrow<K>, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnOnce(&[u32], &[V]) -> R,
    ) -> Result<R, StateError> {
        backend.state::<ValueTable<K, N, V>, ()>(self.index)?.table.take_batch(batch, f)
    }

    /// Looks up a batch and makes the values that are missing: `make(i)` for record `i`. Then `f` may change
    /// the values, each in its place of the column.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// // Of "JFK", "LGA" and "JFK".
    /// visits.update_batch(&mut backend, &batch, |_| 0, |slots, visits| {
    ///     slots.slots.iter().for_each(|slot| visits[*slot as usize] += 1);
    /// })?;
    /// assert_eq!(visits.get(&mut backend)?, Some(2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When a key does not belong to this subtask, the memory for state is used up, or the store fails.
    pub fn update_batch<K: Key, B: Borrow<K>, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        make: impl FnMut(usize) -> V,
        f: impl FnOnce(Slots<'_>, &mut [V]) -> R,
    ) -> Result<R, StateError> {
        backend.state::<ValueTable<K, N, V>, ()>(self.index)?.table.update_batch(batch, make, f)
    }

    /// Removes the values of a batch.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 7)?;
    /// // Of "JFK", "LGA" and "JFK".
    /// visits.clear_batch(&mut backend, &batch)?;
    /// assert_eq!(visits.get(&mut backend)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn clear_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
    ) -> Result<(), StateError> {
        backend.state::<ValueTable<K, N, V>, ()>(self.index)?.table.remove_batch(batch)
    }

    /// Shows all values of this subtask that have not expired, in no particular order.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 7)?;
    /// let mut all = Vec::new();
    /// visits.for_each(&mut backend, |key, _, visits| all.push((key.clone(), *visits)))?;
    /// assert_eq!(all, [("JFK".to_owned(), 7)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn for_each<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        f: impl FnMut(&K, &N, &V),
    ) -> Result<(), StateError> {
        backend.state::<ValueTable<K, N, V>, ()>(self.index)?.table.for_each(f)
    }
}

impl<V: Data> ValueState<V> {
    /// A copy of the value of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// assert_eq!(visits.get(&mut backend)?, None);
    /// visits.update(&mut backend, 7)?;
    /// assert_eq!(visits.get(&mut backend)?, Some(7));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<Option<V>, StateError> {
        self.get_in(backend, &())
    }

    /// Shows the value of the current key to `f`, without a copy.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let name: ValueState<String> = backend.register_value(ValueStateDescriptor::new("name"))?;
    /// name.update(&mut backend, "Kennedy".to_owned())?;
    /// assert_eq!(name.read(&mut backend, |name| name.map(String::len))?, Some(7));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn read<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R, StateError> {
        self.read_in(backend, &(), f)
    }

    /// Sets the value of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 7)?;
    /// visits.update(&mut backend, 8)?;
    /// assert_eq!(visits.get(&mut backend)?, Some(8));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn update<K: Key>(self, backend: &mut KeyedStateBackend<K>, value: V) -> Result<(), StateError> {
        self.update_in(backend, &(), value)
    }

    /// Changes the value of the current key in place; `make` gives the first one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// let next = |backend: &mut _| visits.modify(backend, || 0, |visits| {
    ///     *visits += 1;
    ///     *visits
    /// });
    /// assert_eq!((next(&mut backend)?, next(&mut backend)?), (1, 2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn modify<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        make: impl FnOnce() -> V,
        f: impl FnOnce(&mut V) -> R,
    ) -> Result<R, StateError> {
        self.modify_in(backend, &(), make, f)
    }

    /// Removes the value of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 7)?;
    /// visits.clear(&mut backend)?;
    /// assert_eq!(visits.get(&mut backend)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<(), StateError> {
        self.clear_in(backend, &())
    }
}
