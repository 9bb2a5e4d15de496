//! [`ListState`]: a list a key.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use tidemill_serialization::{Data, Key};

use crate::batch::{Address, KeyBatch};
use crate::error::StateError;
use crate::forms::ListTable;
use crate::keyed::KeyedStateBackend;

/// A handle to one list per key (and namespace `N`). An empty list and none are the same.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{ListState, ListStateDescriptor};
///
/// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
/// delays.add(&mut backend, 7)?;
/// delays.add_all(&mut backend, [-2, 0])?;
/// assert_eq!(delays.get(&mut backend)?, [7, -2, 0]);
/// assert_eq!(delays.read(&mut backend, |delays| delays.len())?, 3);
/// delays.update(&mut backend, vec![1])?;
/// delays.clear(&mut backend)?;
/// assert!(delays.get(&mut backend)?.is_empty());
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct ListState<E, N = ()> {
    pub(crate) index: u32,
    pub(crate) types: PhantomData<fn() -> (E, N)>,
}

handle!(ListState<E, N>);

impl<E: Data, N: Key> ListState<E, N> {
    /// A copy of the list of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64, u32> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_in(&mut backend, &1, [7, -2])?;
    /// assert_eq!(delays.get_in(&mut backend, &1)?, [7, -2]);
    /// assert!(delays.get_in(&mut backend, &2)?.is_empty());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
    ) -> Result<Vec<E>, StateError> {
        self.read_in(backend, namespace, <[E]>::to_vec)
    }

    /// Shows the list of the current key in `namespace` to `f`, without a copy.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64, u32> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_in(&mut backend, &1, [7, -2])?;
    /// assert_eq!(delays.read_in(&mut backend, &1, |delays| delays.iter().sum::<i64>())?, 5);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get_in`](Self::get_in).
    pub fn read_in<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        f: impl FnOnce(&[E]) -> R,
    ) -> Result<R, StateError> {
        let (key, hash, state) = backend.keyed_state::<ListTable<K, N, E>, ()>(self.index)?;
        state.table.read(Address { hash, key, namespace }, f)
    }

    /// Appends to the list of the current key in `namespace`, without reading it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64, u32> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_in(&mut backend, &1, [7])?;
    /// delays.add_in(&mut backend, &1, [-2, 0])?;
    /// assert_eq!(delays.get_in(&mut backend, &1)?, [7, -2, 0]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn add_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<ListTable<K, N, E>, ()>(self.index)?;
        state.table.add(Address { hash, key, namespace }, elements)
    }

    /// Replaces the list of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64, u32> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_in(&mut backend, &1, [7])?;
    /// delays.update_in(&mut backend, &1, vec![-2])?;
    /// assert_eq!(delays.get_in(&mut backend, &1)?, [-2]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_in`](Self::add_in).
    pub fn update_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        elements: Vec<E>,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<ListTable<K, N, E>, ()>(self.index)?;
        state.table.put(Address { hash, key, namespace }, elements)
    }

    /// Removes the list of the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64, u32> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_in(&mut backend, &1, [7])?;
    /// delays.add_in(&mut backend, &2, [8])?;
    /// delays.clear_in(&mut backend, &1)?;
    /// assert!(delays.get_in(&mut backend, &1)?.is_empty());
    /// assert_eq!(delays.get_in(&mut backend, &2)?, [8], "another namespace");
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
        let (key, hash, state) = backend.keyed_state::<ListTable<K, N, E>, ()>(self.index)?;
        state.table.remove(Address { hash, key, namespace })
    }

    /// Moves the lists that the current key has in the namespaces `sources` to the end of that in `target`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64, u32> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_in(&mut backend, &1, [7])?;
    /// delays.add_in(&mut backend, &2, [8])?;
    /// delays.merge_namespaces(&mut backend, &1, &[2])?;
    /// assert_eq!((delays.get_in(&mut backend, &1)?.len(), delays.get_in(&mut backend, &2)?.len()), (2, 0));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`add_in`](Self::add_in).
    pub fn merge_namespaces<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        target: &N,
        sources: &[N],
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<ListTable<K, N, E>, ()>(self.index)?;
        state.table.merge((key, hash), target, sources)
    }

    /// Appends one element a record, without reading the lists; empties `elements`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// // Of "JFK", "LGA" and "JFK".
    /// delays.append_batch(&mut backend, &batch, &mut vec![7, -2, 0])?;
    /// assert_eq!(delays.get(&mut backend)?, [7, 0]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there are not as many elements as addresses, a key does not belong to this subtask, the memory
    /// for state is used up, or the store fails.
    pub fn append_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        elements: &mut Vec<E>,
    ) -> Result<(), StateError> {
        batch.check_column("elements", elements.len())?;
        backend.state::<ListTable<K, N, E>, ()>(self.index)?.table.append_batch(batch, elements)
    }

    /// Shows to `f` the index of each record and the list of its key, all as they are when the batch begins.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_all(&mut backend, [7, -2])?;
    /// // Of "JFK", "LGA" and "JFK".
    /// let mut lengths = [0; 3];
    /// delays.read_batch(&mut backend, &batch, |record, delays| lengths[record] = delays.len())?;
    /// assert_eq!(lengths, [2, 0, 2]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn read_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        f: impl FnMut(usize, &[E]),
    ) -> Result<(), StateError> {
        backend.state::<ListTable<K, N, E>, ()>(self.index)?.table.read_batch(batch, f)
    }

    /// Shows all lists of this subtask, without what has expired, in no particular order.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_all(&mut backend, [7, -2])?;
    /// let mut all = Vec::new();
    /// delays.for_each(&mut backend, |key, _, delays| all.push((key.clone(), delays.len())))?;
    /// assert_eq!(all, [("JFK".to_owned(), 2)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn for_each<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        f: impl FnMut(&K, &N, &[E]),
    ) -> Result<(), StateError> {
        backend.state::<ListTable<K, N, E>, ()>(self.index)?.table.for_each(f)
    }
}

impl<E: Data> ListState<E> {
    /// A copy of the list of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// assert!(delays.get(&mut backend)?.is_empty());
    /// delays.add(&mut backend, 7)?;
    /// assert_eq!(delays.get(&mut backend)?, [7]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<Vec<E>, StateError> {
        self.get_in(backend, &())
    }

    /// Shows the list of the current key to `f`, without a copy.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_all(&mut backend, [7, -2])?;
    /// assert_eq!(delays.read(&mut backend, |delays| delays.iter().max().copied())?, Some(7));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn read<K: Key, R>(
        self,
        backend: &mut KeyedStateBackend<K>,
        f: impl FnOnce(&[E]) -> R,
    ) -> Result<R, StateError> {
        self.read_in(backend, &(), f)
    }

    /// Appends one element to the list of the current key, without reading it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add(&mut backend, 7)?;
    /// delays.add(&mut backend, -2)?;
    /// assert_eq!(delays.get(&mut backend)?, [7, -2]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn add<K: Key>(self, backend: &mut KeyedStateBackend<K>, element: E) -> Result<(), StateError> {
        self.add_in(backend, &(), [element])
    }

    /// Appends to the list of the current key, without reading it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add_all(&mut backend, [7, -2])?;
    /// delays.add_all(&mut backend, [0])?;
    /// assert_eq!(delays.get(&mut backend)?, [7, -2, 0]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_all<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<(), StateError> {
        self.add_in(backend, &(), elements)
    }

    /// Replaces the list of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add(&mut backend, 7)?;
    /// delays.update(&mut backend, vec![-2, 0])?;
    /// assert_eq!(delays.get(&mut backend)?, [-2, 0]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn update<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        elements: Vec<E>,
    ) -> Result<(), StateError> {
        self.update_in(backend, &(), elements)
    }

    /// Removes the list of the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListState, ListStateDescriptor};
    ///
    /// let delays: ListState<i64> = backend.register_list(ListStateDescriptor::new("delays"))?;
    /// delays.add(&mut backend, 7)?;
    /// delays.clear(&mut backend)?;
    /// assert!(delays.get(&mut backend)?.is_empty());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<(), StateError> {
        self.clear_in(backend, &())
    }
}
