//! The keyed state of one operator subtask.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{KeyGroupRange, key_group};
use tidemill_serialization::{Data, Key, Schema, SerializerSnapshot};

use crate::clock::Clock;
use crate::descriptor::{
    AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor, ReducingStateDescriptor,
    ValueStateDescriptor,
};
use crate::error::StateError;
use crate::forms::{ListTable, MapTable, ValueTable};
use crate::function::{AggregateFunction, ReduceFunction};
use crate::keyed_native::NativeParts;
use crate::list_state::ListState;
use crate::map_state::MapState;
use crate::parts::Parts;
use crate::reducing_state::{AggregatingState, ReducingState};
use crate::restore::restore_into;
use crate::snapshot::{KeyedSnapshot, StateKind, StateListener, StateSchema, SubtaskSnapshot, check_owned};
use crate::store::{StateBackend, Storage, SubtaskContext, TimerPlacement};
use crate::table::{AnyState, Registered, Scope, Table};
use crate::timer_store::is_taken;
use crate::timers::{TimerService, Timers};
use crate::ttl::Ttl;
use crate::value_state::ValueState;

/// The state of the keys that one operator subtask owns: states and timers by name, and the current key.
///
/// Routing hashes that are passed in must be those of the keys ([`RoutingHash`](tidemill_core::hash::RoutingHash)).
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_core::hash::RoutingHash;
/// use tidemill_core::KeyGroupRange;
/// use tidemill_state::{KeyedStateBackend, SystemClock, ValueState, ValueStateDescriptor};
///
/// let budget = MemoryBudget::unlimited("state");
/// let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// let count: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("count"))?;
/// for airport in ["JFK", "LGA", "JFK"] {
///     backend.set_current_key(&airport.to_owned(), airport.routing_hash())?;
///     count.modify(&mut backend, || 0, |count| *count += 1)?;
/// }
/// assert_eq!(count.get(&mut backend)?, Some(2));
/// assert_eq!(backend.keys("count", &())?, ["JFK", "LGA"]);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct KeyedStateBackend<K> {
    pub(crate) scope: Scope,
    current: Option<(K, u64)>,
    pub(crate) states: Vec<Entry<K>>,
    names: HashMap<(bool, String), u32>,
    /// What was restored and not yet asked for, by whether it is timers, and name.
    pub(crate) restored: BTreeMap<(bool, String), Parts>,
    /// The same, of what was restored as tables of the store.
    pub(crate) native: NativeParts,
    listener: Option<Arc<dyn StateListener>>,
}

pub(crate) struct Entry<K> {
    pub(crate) name: String,
    pub(crate) schema: StateSchema,
    pub(crate) state: Box<dyn AnyState<K>>,
}

impl<K: Key> KeyedStateBackend<K> {
    /// An empty backend for a subtask, which keeps its state as `backend` does.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_core::{KeyGroupRange, OperatorId};
    /// use tidemill_state::{HashMapStateBackend, KeyedStateBackend, SubtaskContext, SystemClock};
    ///
    /// let subtask = SubtaskContext {
    ///     operator: OperatorId::from_name("count"),
    ///     subtask: 0,
    ///     key_groups: KeyGroupRange::all(128),
    ///     max_parallelism: 128,
    ///     clock: Arc::new(SystemClock),
    ///     budget: MemoryBudget::unlimited("state"),
    /// };
    /// let backend = KeyedStateBackend::<String>::open(&HashMapStateBackend, subtask)?;
    /// assert_eq!(backend.max_parallelism(), 128);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the storage cannot be opened.
    pub fn open(backend: &dyn StateBackend, subtask: SubtaskContext) -> Result<Self, StateError> {
        let (storage, timers) = (Arc::new(backend.open(&subtask)?), backend.timers(&subtask));
        let SubtaskContext { key_groups, max_parallelism, clock, budget, .. } = subtask;
        Ok(Self::with_scope(Scope { owned: key_groups, max_parallelism, clock, budget, storage, timers }))
    }

    /// An empty backend in memory for the subtask that owns `key_groups` of `max_parallelism` key groups. State
    /// that expires goes by `clock`; tables reserve their memory from `budget`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_core::KeyGroupRange;
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{KeyedStateBackend, SystemClock};
    ///
    /// let own = KeyGroupRange::of_subtask(0, 2, 128);
    /// let budget = MemoryBudget::new("task heap", 1 << 20, "taskmanager.memory.task.heap.size");
    /// let backend = KeyedStateBackend::<u64>::new(own, 128, Arc::new(SystemClock), budget);
    /// assert_eq!((backend.key_groups().len(), backend.bytes()), (64, 0));
    /// ```
    pub fn new(
        key_groups: KeyGroupRange,
        max_parallelism: u32,
        clock: Arc<dyn Clock>,
        budget: MemoryBudget,
    ) -> Self {
        let (storage, timers) = (Arc::new(Storage::Heap), TimerPlacement::Heap);
        Self::with_scope(Scope { owned: key_groups, max_parallelism, clock, budget, storage, timers })
    }

    fn with_scope(scope: Scope) -> Self {
        Self {
            scope,
            current: None,
            states: Vec::new(),
            names: HashMap::new(),
            restored: BTreeMap::new(),
            native: NativeParts::new(),
            listener: None,
        }
    }

    /// Has `listener` told of all states that are declared from now on.
    pub fn set_listener(&mut self, listener: Option<Arc<dyn StateListener>>) {
        self.listener = listener;
    }

    /// The key groups that the subtask owns.
    pub fn key_groups(&self) -> KeyGroupRange {
        self.scope.owned
    }

    /// How many key groups there are in all.
    pub fn max_parallelism(&self) -> u32 {
        self.scope.max_parallelism
    }

    /// The clock that expiring state goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.scope.clock
    }

    /// Bytes that all tables are counted with.
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
    /// assert!(backend.bytes() >= 8);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn bytes(&self) -> usize {
        self.states.iter().map(|entry| entry.state.table_ref().bytes()).sum()
    }

    /// Sets the key that the handles of states and timers work on; `hash` is its routing hash.
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
    /// backend.set_current_key(&"LGA".to_owned(), "LGA".routing_hash())?;
    /// visits.update(&mut backend, 1)?;
    /// backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// assert_eq!(visits.get(&mut backend)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the key does not belong to this subtask.
    #[inline]
    pub fn set_current_key(&mut self, key: &K, hash: u64) -> Result<(), StateError> {
        match &mut self.current {
            Some((current, current_hash)) if *current_hash == hash && current == key => return Ok(()),
            Some((current, current_hash)) => {
                // May reuse the memory of the last key.
                current.clone_from(key);
                *current_hash = hash;
            }
            None => self.current = Some((key.clone(), hash)),
        }
        let group = key_group::key_group(hash, self.scope.max_parallelism);
        check_owned(self.scope.owned, group).inspect_err(|_| self.current = None)
    }

    /// A hint that keys with these routing hashes are going to be the current one, one after the other. Makes
    /// access key by key several times faster when tables are larger than the processor's caches.
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
    /// let keys = ["JFK", "LGA", "JFK"].map(String::from);
    /// let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// backend.prefetch(&hashes);
    /// for (key, hash) in keys.iter().zip(&hashes) {
    ///     backend.set_current_key(key, *hash)?;
    ///     visits.modify(&mut backend, || 0, |visits| *visits += 1)?;
    /// }
    /// assert_eq!(visits.get(&mut backend)?, Some(2));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn prefetch(&self, hashes: &[u64]) {
        self.states.iter().for_each(|entry| entry.state.table_ref().prefetch(hashes));
    }

    /// The current key and its routing hash.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// assert!(backend.current_key().is_some_and(|(key, _)| key == "JFK"));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn current_key(&self) -> Option<(&K, u64)> {
        self.current.as_ref().map(|(key, hash)| (key, *hash))
    }

    /// Leaves the backend without a current key.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// backend.clear_current_key();
    /// assert!(backend.current_key().is_none());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn clear_current_key(&mut self) {
        self.current = None;
    }

    /// Declares a value state whose entries have namespaces of type `N` (`()` for none).
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
    /// let last: ValueState<i64> = backend.register_value(ValueStateDescriptor::new("last"))?;
    /// last.update(&mut backend, 7)?;
    /// // Under one name there is one state.
    /// assert!(backend.register_value::<String, ()>(ValueStateDescriptor::new("last")).is_err());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the name is taken by another kind of state, or what was restored under it cannot be this state.
    pub fn register_value<N: Key, V: Data>(
        &mut self,
        descriptor: ValueStateDescriptor<V>,
    ) -> Result<ValueState<V, N>, StateError> {
        let name = descriptor.name;
        let schema = schema::<K, N>(StateKind::Value, [SerializerSnapshot::of::<V>()]);
        let ttl = Ttl::new(&name, descriptor.ttl, &self.scope.clock)?;
        let index = self.register(name, schema, ttl.is_some(), |name, scope| {
            Ok(Registered { table: ValueTable::<K, N, V>::new(name, scope, ttl)?, function: () })
        })?;
        Ok(ValueState { index, types: PhantomData })
    }

    /// Declares a list state.
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
    /// assert_eq!(delays.get(&mut backend)?, [7]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`register_value`](Self::register_value).
    pub fn register_list<N: Key, E: Data>(
        &mut self,
        descriptor: ListStateDescriptor<E>,
    ) -> Result<ListState<E, N>, StateError> {
        let name = descriptor.name;
        let schema = schema::<K, N>(StateKind::List, [SerializerSnapshot::of::<E>()]);
        let ttl = Ttl::new(&name, descriptor.ttl, &self.scope.clock)?;
        let index = self.register(name, schema, ttl.is_some(), |name, scope| {
            Ok(Registered { table: ListTable::<K, N, E>::new(name, scope, ttl)?, function: () })
        })?;
        Ok(ListState { index, types: PhantomData })
    }

    /// Declares a map state.
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
    /// let gates: MapState<String, u32> = backend.register_map(MapStateDescriptor::new("gates"))?;
    /// gates.put(&mut backend, "UA15".to_owned(), 7)?;
    /// assert_eq!(gates.get(&mut backend, &"UA15".to_owned())?, Some(7));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`register_value`](Self::register_value).
    pub fn register_map<N: Key, UK: Key, UV: Data>(
        &mut self,
        descriptor: MapStateDescriptor<UK, UV>,
    ) -> Result<MapState<UK, UV, N>, StateError> {
        let name = descriptor.name;
        let schema =
            schema::<K, N>(StateKind::Map, [SerializerSnapshot::of::<UK>(), SerializerSnapshot::of::<UV>()]);
        let ttl = Ttl::new(&name, descriptor.ttl, &self.scope.clock)?;
        let index = self.register(name, schema, ttl.is_some(), |name, scope| {
            Ok(Registered { table: MapTable::<K, N, UK, UV>::new(name, scope, ttl)?, function: () })
        })?;
        Ok(MapState { index, types: PhantomData })
    }

    /// Declares a reducing state.
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
    /// As [`register_value`](Self::register_value).
    pub fn register_reducing<N: Key, V: Data>(
        &mut self,
        descriptor: ReducingStateDescriptor<V>,
    ) -> Result<ReducingState<V, N>, StateError> {
        let name = descriptor.name;
        let schema = schema::<K, N>(StateKind::Reducing, [SerializerSnapshot::of::<V>()]);
        let ttl = Ttl::new(&name, descriptor.ttl, &self.scope.clock)?;
        let function: Arc<dyn ReduceFunction<V>> = descriptor.function;
        let index = self.register(name, schema, ttl.is_some(), |name, scope| {
            Ok(Registered { table: ValueTable::<K, N, V>::new(name, scope, ttl)?, function })
        })?;
        Ok(ReducingState { index, types: PhantomData })
    }

    /// Declares an aggregating state.
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
    /// assert_eq!(flights.get(&mut backend)?, Some(1));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`register_value`](Self::register_value).
    pub fn register_aggregating<N: Key, IN: 'static, ACC: Data, OUT: 'static>(
        &mut self,
        descriptor: AggregatingStateDescriptor<IN, ACC, OUT>,
    ) -> Result<AggregatingState<IN, ACC, OUT, N>, StateError> {
        let name = descriptor.name;
        let schema = schema::<K, N>(StateKind::Aggregating, [SerializerSnapshot::of::<ACC>()]);
        let ttl = Ttl::new(&name, descriptor.ttl, &self.scope.clock)?;
        let function: Arc<dyn AggregateFunction<In = IN, Acc = ACC, Out = OUT>> = descriptor.function;
        let index = self.register(name, schema, ttl.is_some(), |name, scope| {
            Ok(Registered { table: ValueTable::<K, N, ACC>::new(name, scope, ttl)?, function })
        })?;
        Ok(AggregatingState { index, types: PhantomData })
    }

    /// Declares timers whose namespaces are of type `N`. Their names are apart from those of states.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
    /// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?; // it is there already
    /// assert_eq!(timers.service(&mut backend)?.len(TimeDomain::Event)?, 1);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`register_value`](Self::register_value).
    pub fn register_timers<N: Key>(&mut self, name: impl Into<String>) -> Result<Timers<N>, StateError> {
        let schema = schema::<K, N>(StateKind::Timers, []);
        let index = self.register(name.into(), schema, false, |name, scope| {
            Ok(Registered { table: TimerService::<K, N>::new(name, scope), function: () })
        })?;
        Ok(Timers { index, types: PhantomData })
    }

    fn register<T: Table<K>, F: Send + 'static>(
        &mut self,
        name: String,
        schema: StateSchema,
        stamped: bool,
        make: impl FnOnce(&str, Scope) -> Result<Registered<T, F>, StateError>,
    ) -> Result<u32, StateError> {
        let id = (schema.kind == StateKind::Timers, name);
        if let Some(&index) = self.names.get(&id) {
            let known = &self.states[index as usize];
            let any: &dyn Any = &*known.state;
            if known.schema != schema || !any.is::<Registered<T, F>>() {
                let (first, second) = (known.schema.to_string(), schema.to_string());
                return Err(StateError::DeclaredDifferently { name: id.1, first, second });
            }
            return Ok(index);
        }
        if let Some(listener) = &self.listener {
            listener.declared(&id.1, &schema.types)?;
        }
        if self.scope.storage.store().is_some() && is_taken(schema.kind, &id.1) {
            let (first, second) = ("the timers of some name".to_owned(), schema.to_string());
            return Err(StateError::DeclaredDifferently { name: id.1, first, second });
        }
        let in_store = schema.kind != StateKind::Timers || self.scope.timers != TimerPlacement::Heap;
        let adopted = in_store && self.adopt_native(&id.1, &schema, stamped)?;
        let mut state = make(&id.1, self.scope.clone())?;
        if adopted {
            state.table.adopt()?;
        }
        self.finish_native(&id.1, &schema, &mut state.table)?;
        if let Some(restored) = self.restored.get(&id) {
            restore_into(&mut state.table, &schema, restored)?;
            self.restored.remove(&id);
        }
        let index = self.states.len() as u32;
        self.names.insert(id.clone(), index);
        self.states.push(Entry { name: id.1, schema, state: Box::new(state) });
        Ok(index)
    }

    /// The keys that have an entry in a namespace of the state `name`, in ascending order; none when there is
    /// no such state.
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
    /// visits.update(&mut backend, 1)?;
    /// assert_eq!(backend.keys("visits", &())?, ["JFK"]);
    /// assert!(backend.keys("other", &())?.is_empty());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the namespaces of the state are of another type.
    pub fn keys<N: Key>(&mut self, name: &str, namespace: &N) -> Result<Vec<K>, StateError> {
        let mut keys = Vec::new();
        let Some(&index) = self.names.get(&(false, name.to_owned())) else { return Ok(keys) };
        let entry = &mut self.states[index as usize];
        if !entry.state.table().keys(namespace, &mut keys)? {
            return Err(StateError::DeclaredDifferently {
                name: name.to_owned(),
                first: entry.schema.to_string(),
                second: format!("a state with namespaces of type {}", Schema::of::<N>()),
            });
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Has the store of the backend, if it has one, hold all states as they are. Canonical snapshots begin with it; native ones
    /// leave what changes from one to the next in the cache, and have it beside the files. A backend that keeps states in memory
    /// does nothing.
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
    /// visits.update(&mut backend, 1)?;
    /// backend.flush()?;
    /// assert_eq!(visits.get(&mut backend)?, Some(1));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn flush(&mut self) -> Result<(), StateError> {
        self.states.iter_mut().try_for_each(|entry| entry.state.table().flush())
    }

    /// Takes over, from snapshots of any subtasks of the operator, the key groups that this subtask owns.
    /// States may be declared before or after.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// # let again = || KeyedStateBackend::<String>::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), MemoryBudget::unlimited("state"));
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 1)?;
    ///
    /// let mut restored = again();
    /// restored.restore([&backend.snapshot()?])?;
    /// let visits: ValueState<u64> = restored.register_value(ValueStateDescriptor::new("visits"))?;
    /// restored.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// assert_eq!(visits.get(&mut restored)?, Some(1));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When a snapshot holds something else under a name than the job declares, was written with another max
    /// parallelism, is the files of another backend, or cannot be read; the backend is of no use then.
    pub fn restore<'a>(
        &mut self,
        snapshots: impl IntoIterator<Item = &'a SubtaskSnapshot>,
    ) -> Result<(), StateError> {
        let snapshots: Vec<&SubtaskSnapshot> = snapshots.into_iter().collect();
        self.restore_native(&snapshots)?;
        for snapshot in snapshots {
            let stored = snapshot.max_parallelism;
            let declared = self.scope.max_parallelism;
            for (timers, states) in [(false, &snapshot.keyed), (true, &snapshot.timers)] {
                for state in states {
                    if stored != declared {
                        return Err(StateError::MaxParallelism { stored, declared });
                    }
                    let owned = self.owned_part(state);
                    let id = (timers, state.name.clone());
                    self.restored.entry(id).or_default().add(owned)?;
                }
            }
        }
        for entry in &mut self.states {
            let id = (entry.schema.kind == StateKind::Timers, entry.name.clone());
            if let Some(restored) = self.restored.get(&id) {
                restore_into(entry.state.table(), &entry.schema, restored)?;
                self.restored.remove(&id);
            }
        }
        Ok(())
    }

    fn owned_part(&self, state: &KeyedSnapshot) -> KeyedSnapshot {
        let groups = state.groups.iter().filter(|(group, _)| self.scope.owned.contains(*group));
        KeyedSnapshot {
            name: state.name.clone(),
            schema: state.schema.clone(),
            stamped: state.stamped,
            groups: groups.cloned().collect(),
        }
    }

    /// The state behind a handle.
    #[inline]
    pub(crate) fn state<T: Table<K>, F: Send + 'static>(
        &mut self,
        index: u32,
    ) -> Result<&mut Registered<T, F>, StateError> {
        downcast(&mut self.states, index)
    }

    /// The current key, its hash, and the state behind a handle.
    #[inline]
    pub(crate) fn keyed_state<T: Table<K>, F: Send + 'static>(
        &mut self,
        index: u32,
    ) -> Result<(&K, u64, &mut Registered<T, F>), StateError> {
        let (key, hash) = self.current.as_ref().ok_or(StateError::NoCurrentKey)?;
        Ok((key, *hash, downcast(&mut self.states, index)?))
    }
}

#[inline]
fn downcast<K: Key, T: Table<K>, F: Send + 'static>(
    states: &mut [Entry<K>],
    index: u32,
) -> Result<&mut Registered<T, F>, StateError> {
    let state = states.get_mut(index as usize).and_then(|entry| {
        let any: &mut dyn Any = &mut *entry.state;
        any.downcast_mut()
    });
    // Made only when it is needed: this is on the path of every access.
    state.ok_or_else(|| StateError::WrongHandle { wanted: std::any::type_name::<T>() })
}

fn schema<K: Data, N: Data>(
    kind: StateKind,
    held: impl IntoIterator<Item = SerializerSnapshot>,
) -> StateSchema {
    let types =
        [SerializerSnapshot::of::<K>(), SerializerSnapshot::of::<N>()].into_iter().chain(held).collect();
    StateSchema { kind, types }
}
