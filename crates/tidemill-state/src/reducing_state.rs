//! [`ReducingState`] and [`AggregatingState`]: what is added is combined at once, so that an entry stays small.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_serialization::{Data, Key};

use crate::batch::{Address, KeyBatch};
use crate::error::StateError;
use crate::forms::ValueTable;
use crate::function::{AggregateFunction, ReduceFunction};
use crate::keyed::KeyedStateBackend;

/// A handle to one value per key (and namespace `N`), into which values are reduced.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{ReducingState, ReducingStateDescriptor};
///
/// let largest = |largest: &mut u64, next: u64| *largest = next.max(*largest);
/// let record: ReducingState<u64> = backend.register_reducing(ReducingStateDescriptor::new("record", largest))?;
/// record.add(&mut backend, 7)?;
/// record.add(&mut backend, 5)?;
/// assert_eq!(record.get(&mut backend)?, Some(7));
/// record.clear(&mut backend)?;
/// assert_eq!(record.get(&mut backend)?, None);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct ReducingState<V, N = ()> {
    pub(crate) index: u32,
    pub(crate) types: PhantomData<fn() -> (V, N)>,
}

handle!(ReducingState<V, N>);

type Reduce<V> = Arc<dyn ReduceFunction<V>>;

impl<V: Data, N: Key> ReducingState<V, N> {
    /// What the values of the current key in `namespace` have been reduced to.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64, u32> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// seats.add_in(&mut backend, &1, 150)?;
    /// assert_eq!(seats.get_in(&mut backend, &1)?, Some(150));
    /// assert_eq!(seats.get_in(&mut backend, &2)?, None, "another namespace");
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
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, Reduce<V>>(self.index)?;
        state.table.read(Address { hash, key, namespace }, |value| value.cloned())
    }

    /// Adds a value for the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64, u32> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// seats.add_in(&mut backend, &1, 150)?;
    /// seats.add_in(&mut backend, &1, 180)?;
    /// assert_eq!(seats.get_in(&mut backend, &1)?, Some(330));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn add_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        value: V,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, Reduce<V>>(self.index)?;
        let function = &state.function;
        state.table.fold(Address { hash, key, namespace }, |existing| match existing {
            Some(so_far) => {
                function.reduce(so_far, value);
                None
            }
            None => Some(value),
        })
    }

    /// Removes what the current key has in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64, u32> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// seats.add_in(&mut backend, &1, 150)?;
    /// seats.clear_in(&mut backend, &1)?;
    /// assert_eq!(seats.get_in(&mut backend, &1)?, None);
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
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, Reduce<V>>(self.index)?;
        state.table.remove(Address { hash, key, namespace })
    }

    /// Reduces what the current key has in the namespaces `sources` into what it has in `target`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64, u32> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// seats.add_in(&mut backend, &1, 150)?;
    /// seats.add_in(&mut backend, &2, 180)?;
    /// seats.merge_namespaces(&mut backend, &1, &[2])?;
    /// assert_eq!((seats.get_in(&mut backend, &1)?, seats.get_in(&mut backend, &2)?), (Some(330), None));
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
        let (key, hash, state) = backend.keyed_state::<ValueTable<K, N, V>, Reduce<V>>(self.index)?;
        let function = &state.function;
        state.table.merge((key, hash), target, sources, |so_far, value| function.reduce(so_far, value))
    }

    /// Adds one value a record; empties `values`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// // Of "JFK", "LGA" and "JFK".
    /// seats.add_batch(&mut backend, &batch, &mut vec![150, 99, 180])?;
    /// assert_eq!(seats.get(&mut backend)?, Some(330));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there are not as many values as addresses, a key does not belong to this subtask, the memory for
    /// state is used up, or the store fails.
    pub fn add_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        values: &mut Vec<V>,
    ) -> Result<(), StateError> {
        batch.check_column("values", values.len())?;
        let state = backend.state::<ValueTable<K, N, V>, Reduce<V>>(self.index)?;
        let function = &state.function;
        // The first value of a key is cloned into the column, the others are moved.
        let values = RefCell::new(values);
        state.table.update_batch(
            batch,
            |i| values.borrow()[i].clone(),
            |slots, column| {
                function.reduce_batch(column, slots.slots, slots.created, &mut values.borrow_mut())
            },
        )
    }

    /// Shows the reduced value of each record's key, all as they are when the batch begins.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{NO_SLOT, ReducingState, ReducingStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// seats.add(&mut backend, 150)?;
    /// // Of "JFK", "LGA" and "JFK".
    /// seats.read_batch(&mut backend, &batch, |slots, sums| {
    ///     assert_eq!((sums[slots[0] as usize], slots[1]), (150, NO_SLOT));
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
        backend.state::<ValueTable<K, N, V>, Reduce<V>>(self.index)?.table.read_batch(batch, f)
    }
}

impl<V: Data> ReducingState<V> {
    /// What the values of the current key have been reduced to.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// assert_eq!(seats.get(&mut backend)?, None);
    /// seats.add(&mut backend, 150)?;
    /// assert_eq!(seats.get(&mut backend)?, Some(150));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<Option<V>, StateError> {
        self.get_in(backend, &())
    }

    /// Adds a value for the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// seats.add(&mut backend, 150)?;
    /// seats.add(&mut backend, 180)?;
    /// assert_eq!(seats.get(&mut backend)?, Some(330));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn add<K: Key>(self, backend: &mut KeyedStateBackend<K>, value: V) -> Result<(), StateError> {
        self.add_in(backend, &(), value)
    }

    /// Removes what the current key has.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let seats: ReducingState<u64> = backend.register_reducing(ReducingStateDescriptor::new("seats", sum))?;
    /// seats.add(&mut backend, 150)?;
    /// seats.clear(&mut backend)?;
    /// assert_eq!(seats.get(&mut backend)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<(), StateError> {
        self.clear_in(backend, &())
    }
}

/// A handle to one accumulator per key (and namespace `N`), to which values of type `IN` are added and from
/// which an `OUT` is read.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
///
/// struct Count;
///
/// impl AggregateFunction for Count {
///     type In = String;
///     type Acc = u64;
///     type Out = u64;
///     fn create_accumulator(&self) -> u64 { 0 }
///     fn add(&self, count: &mut u64, _: String) { *count += 1 }
///     fn get_result(&self, count: &u64) -> u64 { *count }
///     fn merge(&self, count: &mut u64, other: u64) { *count += other }
/// }
///
/// let flights: AggregatingState<String, u64, u64> =
///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
/// flights.add(&mut backend, "UA15".to_owned())?;
/// flights.add(&mut backend, "B6725".to_owned())?;
/// assert_eq!(flights.get(&mut backend)?, Some(2));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct AggregatingState<IN, ACC, OUT, N = ()> {
    pub(crate) index: u32,
    pub(crate) types: PhantomData<fn() -> (IN, ACC, OUT, N)>,
}

handle!(AggregatingState<IN, ACC, OUT, N>);

type Aggregate<IN, ACC, OUT> = Arc<dyn AggregateFunction<In = IN, Acc = ACC, Out = OUT>>;

impl<IN: 'static, ACC: Data, OUT: 'static, N: Key> AggregatingState<IN, ACC, OUT, N> {
    /// The result for the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64, u32> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add_in(&mut backend, &1, "UA15".to_owned())?;
    /// assert_eq!(flights.get_in(&mut backend, &1)?, Some(1));
    /// assert_eq!(flights.get_in(&mut backend, &2)?, None, "another namespace");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
    ) -> Result<Option<OUT>, StateError> {
        let (key, hash, state) =
            backend.keyed_state::<ValueTable<K, N, ACC>, Aggregate<IN, ACC, OUT>>(self.index)?;
        let function = &state.function;
        let result = |accumulator: &ACC| function.get_result(accumulator);
        state.table.read(Address { hash, key, namespace }, |accumulator| accumulator.map(result))
    }

    /// Adds a value for the current key in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64, u32> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add_in(&mut backend, &1, "UA15".to_owned())?;
    /// flights.add_in(&mut backend, &1, "B6725".to_owned())?;
    /// assert_eq!(flights.get_in(&mut backend, &1)?, Some(2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn add_in<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        namespace: &N,
        value: IN,
    ) -> Result<(), StateError> {
        let (key, hash, state) =
            backend.keyed_state::<ValueTable<K, N, ACC>, Aggregate<IN, ACC, OUT>>(self.index)?;
        let function = &state.function;
        state.table.fold(Address { hash, key, namespace }, |existing| match existing {
            Some(accumulator) => {
                function.add(accumulator, value);
                None
            }
            None => {
                let mut accumulator = function.create_accumulator();
                function.add(&mut accumulator, value);
                Some(accumulator)
            }
        })
    }

    /// Removes what the current key has in `namespace`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64, u32> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add_in(&mut backend, &1, "UA15".to_owned())?;
    /// flights.clear_in(&mut backend, &1)?;
    /// assert_eq!(flights.get_in(&mut backend, &1)?, None);
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
        let (key, hash, state) =
            backend.keyed_state::<ValueTable<K, N, ACC>, Aggregate<IN, ACC, OUT>>(self.index)?;
        state.table.remove(Address { hash, key, namespace })
    }

    /// Merges what the current key has in the namespaces `sources` into what it has in `target`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64, u32> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add_in(&mut backend, &1, "UA15".to_owned())?;
    /// flights.add_in(&mut backend, &2, "B6725".to_owned())?;
    /// flights.merge_namespaces(&mut backend, &1, &[2])?;
    /// assert_eq!((flights.get_in(&mut backend, &1)?, flights.get_in(&mut backend, &2)?), (Some(2), None));
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
        let (key, hash, state) =
            backend.keyed_state::<ValueTable<K, N, ACC>, Aggregate<IN, ACC, OUT>>(self.index)?;
        let function = &state.function;
        state.table.merge((key, hash), target, sources, |so_far, other| function.merge(so_far, other))
    }

    /// Adds one value a record; empties `values`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// // Of "JFK", "LGA" and "JFK".
    /// flights.add_batch(&mut backend, &batch, &mut ["UA15", "B6725", "UA15"].map(String::from).to_vec())?;
    /// assert_eq!(flights.get(&mut backend)?, Some(2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there are not as many values as addresses, a key does not belong to this subtask, the memory for
    /// state is used up, or the store fails.
    pub fn add_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        values: &mut Vec<IN>,
    ) -> Result<(), StateError> {
        batch.check_column("values", values.len())?;
        let state = backend.state::<ValueTable<K, N, ACC>, Aggregate<IN, ACC, OUT>>(self.index)?;
        let function = &state.function;
        state.table.update_batch(
            batch,
            |_| function.create_accumulator(),
            |slots, accumulators| function.add_batch(accumulators, slots.slots, values),
        )
    }

    /// The result for each record's key, all as they are when the batch begins; appended to `results`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add(&mut backend, "UA15".to_owned())?;
    /// // Of "JFK", "LGA" and "JFK".
    /// let mut counts = Vec::new();
    /// flights.get_batch(&mut backend, &batch, &mut counts)?;
    /// assert_eq!(counts, [Some(1), None, Some(1)]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn get_batch<K: Key, B: Borrow<K>>(
        self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, B, N>,
        results: &mut Vec<Option<OUT>>,
    ) -> Result<(), StateError> {
        let state = backend.state::<ValueTable<K, N, ACC>, Aggregate<IN, ACC, OUT>>(self.index)?;
        let function = &state.function;
        state.table.read_batch(batch, |slots, accumulators| {
            let found = slots.iter().map(|slot| accumulators.get(*slot as usize));
            results.extend(found.map(|found| found.map(|accumulator| function.get_result(accumulator))));
        })
    }
}

impl<IN: 'static, ACC: Data, OUT: 'static> AggregatingState<IN, ACC, OUT> {
    /// The result for the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// assert_eq!(flights.get(&mut backend)?, None);
    /// flights.add(&mut backend, "UA15".to_owned())?;
    /// assert_eq!(flights.get(&mut backend)?, Some(1));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn get<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<Option<OUT>, StateError> {
        self.get_in(backend, &())
    }

    /// Adds a value for the current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add(&mut backend, "UA15".to_owned())?;
    /// flights.add(&mut backend, "B6725".to_owned())?;
    /// assert_eq!(flights.get(&mut backend)?, Some(2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn add<K: Key>(self, backend: &mut KeyedStateBackend<K>, value: IN) -> Result<(), StateError> {
        self.add_in(backend, &(), value)
    }

    /// Removes what the current key has.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
    /// # struct Count;
    /// # impl AggregateFunction for Count {
    /// #     type In = String;
    /// #     type Acc = u64;
    /// #     type Out = u64;
    /// #     fn create_accumulator(&self) -> u64 { 0 }
    /// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
    /// #     fn get_result(&self, count: &u64) -> u64 { *count }
    /// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
    /// # }
    /// let flights: AggregatingState<String, u64, u64> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add(&mut backend, "UA15".to_owned())?;
    /// flights.clear(&mut backend)?;
    /// assert_eq!(flights.get(&mut backend)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear<K: Key>(self, backend: &mut KeyedStateBackend<K>) -> Result<(), StateError> {
        self.clear_in(backend, &())
    }
}
