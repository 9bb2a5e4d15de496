//! State that belongs to an operator subtask rather than to a key: the offsets of a source, what a sink has not
//! committed yet, rules that are broadcast to everyone. It is kept in memory whatever the state backend.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::Element;
use tidemill_core::budget::MemoryBudget;
use tidemill_serialization::{Data, Input, Key, SerializerSnapshot};

use crate::account::Account;
use crate::codec::{decode_all, encoded, in_state};
use crate::descriptor::{ListStateDescriptor, MapStateDescriptor};
use crate::error::StateError;
use crate::migrate::ItemMigration;
use crate::snapshot::{
    OperatorSnapshot, OperatorStateMode, StateListener, SubtaskSnapshot, describe_operator,
};

/// The operator state of one subtask: lists and broadcast maps by name.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
///
/// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
/// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
/// open.add(&mut backend, 7)?;
///
/// let mut restored = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
/// restored.restore(&backend.snapshot())?;
/// let open = restored.register_list(ListStateDescriptor::<u64>::new("open"))?;
/// assert_eq!(open.get(&restored)?, [7]);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct OperatorStateBackend {
    budget: MemoryBudget,
    states: Vec<Entry>,
    names: HashMap<String, u32>,
    /// What was restored and not yet asked for.
    restored: BTreeMap<String, Vec<OperatorSnapshot>>,
    listener: Option<Arc<dyn StateListener>>,
}

struct Entry {
    name: String,
    mode: OperatorStateMode,
    types: Vec<SerializerSnapshot>,
    state: Box<dyn Items>,
}

/// What can be done with an operator state of any type.
trait Items: Any + Send {
    fn encode(&self) -> Vec<Vec<u8>>;
    fn add_encoded(&mut self, item: &[u8]) -> Result<(), StateError>;
}

struct ListItems<E> {
    items: Vec<E>,
    account: Account,
}

struct MapItems<K, V> {
    entries: BTreeMap<K, V>,
    account: Account,
}

fn weight<T: Element>(value: &T) -> usize {
    size_of::<T>() + if T::FIXED_BYTES.is_some() { 0 } else { value.logical_bytes() }
}

impl<E: Data> ListItems<E> {
    fn add(&mut self, element: E) -> Result<(), StateError> {
        let grown = weight(&element);
        self.items.push(element);
        self.account.change(grown, 0)
    }

    fn clear(&mut self) {
        self.items.clear();
        // Less memory in use cannot exceed a budget.
        let _ = self.account.change(0, self.account.used());
    }
}

impl<K: Key, V: Data> MapItems<K, V> {
    fn put(&mut self, key: K, value: V) -> Result<(), StateError> {
        let (key_bytes, grown) = (weight(&key), weight(&value));
        match self.entries.insert(key, value) {
            Some(old) => self.account.change(grown, weight(&old)),
            None => self.account.change(grown + key_bytes, 0),
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        // Less memory in use cannot exceed a budget.
        let _ = self.account.change(0, self.account.used());
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        let (key, value) = self.entries.remove_entry(key)?;
        // Less memory in use cannot exceed a budget.
        let _ = self.account.change(0, weight(&key) + weight(&value));
        Some(value)
    }
}

impl<E: Data> Items for ListItems<E> {
    fn encode(&self) -> Vec<Vec<u8>> {
        self.items.iter().map(encoded).collect()
    }

    fn add_encoded(&mut self, item: &[u8]) -> Result<(), StateError> {
        let element = in_state(self.account.name(), decode_all(item))?;
        self.add(element)
    }
}

impl<K: Key, V: Data> Items for MapItems<K, V> {
    fn encode(&self) -> Vec<Vec<u8>> {
        let entry = |(key, value): (&K, &V)| {
            let mut bytes = encoded(key);
            value.encode(&mut bytes);
            bytes
        };
        self.entries.iter().map(entry).collect()
    }

    fn add_encoded(&mut self, item: &[u8]) -> Result<(), StateError> {
        let mut input = Input::new(item);
        let key = in_state(self.account.name(), K::decode(&mut input))?;
        let rest = &item[item.len() - input.remaining()..];
        let value = in_state(self.account.name(), decode_all(rest))?;
        self.put(key, value)
    }
}

impl OperatorStateBackend {
    /// An empty backend that reserves its memory from `budget`.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::OperatorStateBackend;
    ///
    /// let budget = MemoryBudget::new("task heap", 1 << 20, "taskmanager.memory.task.heap.size");
    /// assert!(OperatorStateBackend::new(budget).snapshot().is_empty());
    /// ```
    pub fn new(budget: MemoryBudget) -> Self {
        Self { budget, states: Vec::new(), names: HashMap::new(), restored: BTreeMap::new(), listener: None }
    }

    /// Has `listener` told of all states that are declared from now on.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_serialization::SerializerSnapshot;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend, StateError, StateListener};
    ///
    /// /// Lets nothing be declared.
    /// struct Nothing;
    ///
    /// impl StateListener for Nothing {
    ///     fn declared(&self, name: &str, _: &[SerializerSnapshot]) -> Result<(), StateError> {
    ///         Err(StateError::Snapshot(format!("'{name}' is one state too many")))
    ///     }
    /// }
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// backend.set_listener(Some(Arc::new(Nothing)));
    /// assert!(backend.register_list(ListStateDescriptor::<u64>::new("open")).is_err());
    /// ```
    pub fn set_listener(&mut self, listener: Option<Arc<dyn StateListener>>) {
        self.listener = listener;
    }

    /// Declares a list whose elements are dealt to the subtasks, each to one, when a job is restored.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend, OperatorStateMode};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// open.add(&mut backend, 7)?;
    /// assert_eq!(backend.snapshot().operator[0].mode, OperatorStateMode::Split);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the name is taken by another kind of state, or what was restored under it cannot be this state.
    pub fn register_list<E: Data>(
        &mut self,
        descriptor: ListStateDescriptor<E>,
    ) -> Result<OperatorListState<E>, StateError> {
        self.list(descriptor.name, OperatorStateMode::Split)
    }

    /// Declares a list all elements of which, from all subtasks, go to every subtask when a job is restored.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend, OperatorStateMode};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// backend.register_union_list(ListStateDescriptor::<u64>::new("offsets"))?;
    /// assert_eq!(backend.snapshot().operator[0].mode, OperatorStateMode::Union);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`register_list`](Self::register_list).
    pub fn register_union_list<E: Data>(
        &mut self,
        descriptor: ListStateDescriptor<E>,
    ) -> Result<OperatorListState<E>, StateError> {
        self.list(descriptor.name, OperatorStateMode::Union)
    }

    /// Declares a map that every subtask has a copy of. Whoever changes it does so in the same way in all.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{MapStateDescriptor, OperatorStateBackend, OperatorStateMode};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let limits = backend.register_broadcast(MapStateDescriptor::<String, i64>::new("limits"))?;
    /// limits.put(&mut backend, "daily".to_owned(), 500)?;
    /// assert_eq!(backend.snapshot().operator[0].mode, OperatorStateMode::Broadcast);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`register_list`](Self::register_list).
    pub fn register_broadcast<K: Key, V: Data>(
        &mut self,
        descriptor: MapStateDescriptor<K, V>,
    ) -> Result<BroadcastState<K, V>, StateError> {
        let types = vec![SerializerSnapshot::of::<K>(), SerializerSnapshot::of::<V>()];
        let account = Account::new(&descriptor.name, &self.budget);
        let state = MapItems::<K, V> { entries: BTreeMap::new(), account };
        let index = self.register(descriptor.name, OperatorStateMode::Broadcast, types, state)?;
        Ok(BroadcastState { index, types: PhantomData })
    }

    fn list<E: Data>(
        &mut self,
        name: String,
        mode: OperatorStateMode,
    ) -> Result<OperatorListState<E>, StateError> {
        let account = Account::new(&name, &self.budget);
        let state = ListItems::<E> { items: Vec::new(), account };
        let index = self.register(name, mode, vec![SerializerSnapshot::of::<E>()], state)?;
        Ok(OperatorListState { index, types: PhantomData })
    }

    fn register<S: Items>(
        &mut self,
        name: String,
        mode: OperatorStateMode,
        types: Vec<SerializerSnapshot>,
        mut state: S,
    ) -> Result<u32, StateError> {
        if let Some(&index) = self.names.get(&name) {
            let known = &self.states[index as usize];
            let any: &dyn Any = &*known.state;
            if known.mode != mode || known.types != types || !any.is::<S>() {
                let (first, second) =
                    (describe_operator(known.mode, &known.types), describe_operator(mode, &types));
                return Err(StateError::DeclaredDifferently { name, first, second });
            }
            return Ok(index);
        }
        if let Some(listener) = &self.listener {
            listener.declared(&name, &types)?;
        }
        if let Some(restored) = self.restored.get(&name) {
            restored.iter().try_for_each(|part| fill(&mut state, mode, &types, part))?;
            self.restored.remove(&name);
        }
        let index = self.states.len() as u32;
        self.names.insert(name.clone(), index);
        self.states.push(Entry { name, mode, types, state: Box::new(state) });
        Ok(index)
    }

    /// All operator state as it is now. What was restored and not asked for since is in it, too.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// open.update(&mut backend, [1, 2])?;
    /// let snapshot = backend.snapshot();
    /// open.clear(&mut backend)?;
    /// assert_eq!(snapshot.operator[0].items.len(), 2);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn snapshot(&self) -> SubtaskSnapshot {
        let declared = self.states.iter().map(|entry| OperatorSnapshot {
            name: entry.name.clone(),
            mode: entry.mode,
            types: entry.types.clone(),
            items: entry.state.encode(),
        });
        let mut operator: Vec<OperatorSnapshot> =
            declared.chain(self.restored.values().flatten().cloned()).collect();
        operator.sort_by(|a, b| a.name.cmp(&b.name));
        SubtaskSnapshot { operator, ..Default::default() }
    }

    /// Takes over what the snapshot of this subtask holds. States may be declared before or after.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
    ///
    /// let mut before = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let open = before.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// open.update(&mut before, [1, 2])?;
    ///
    /// let mut after = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// after.restore(&before.snapshot())?;
    /// let open = after.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// assert_eq!(open.get(&after)?, [1, 2]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the snapshot holds something else under a name than the job declares, or cannot be read; the
    /// backend is of no use then.
    pub fn restore(&mut self, snapshot: &SubtaskSnapshot) -> Result<(), StateError> {
        for restored in &snapshot.operator {
            match self.names.get(&restored.name) {
                Some(&index) => {
                    let entry = &mut self.states[index as usize];
                    fill(&mut *entry.state, entry.mode, &entry.types, restored)?;
                }
                None => {
                    self.restored.entry(restored.name.clone()).or_default().push(restored.clone());
                }
            }
        }
        Ok(())
    }

    fn state<S: Items>(&self, index: u32) -> Result<&S, StateError> {
        let any = self.states.get(index as usize).map(|entry| &*entry.state as &dyn Any);
        any.and_then(<dyn Any>::downcast_ref)
            .ok_or(StateError::WrongHandle { wanted: std::any::type_name::<S>() })
    }

    fn state_mut<S: Items>(&mut self, index: u32) -> Result<&mut S, StateError> {
        let any = self.states.get_mut(index as usize).map(|entry| &mut *entry.state as &mut dyn Any);
        any.and_then(<dyn Any>::downcast_mut)
            .ok_or(StateError::WrongHandle { wanted: std::any::type_name::<S>() })
    }
}

impl OperatorSnapshot {
    /// A state whose items are of type `T`, for operators that keep it themselves. Those tell the [`StateListener`] of
    /// their context of it when they are opened, where `T` may be a type of the user's.
    ///
    /// ```
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode};
    ///
    /// let stored = OperatorSnapshot::of("offsets", OperatorStateMode::Split, &[1u32, 2]);
    /// // A later release counts further.
    /// assert_eq!(stored.read::<u64>()?, [1, 2]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn of<'a, T: Data>(
        name: impl Into<String>,
        mode: OperatorStateMode,
        items: impl IntoIterator<Item = &'a T>,
    ) -> Self {
        let items = items.into_iter().map(encoded).collect();
        Self { name: name.into(), mode, types: vec![SerializerSnapshot::of::<T>()], items }
    }

    /// The items as values of type `T`, migrated if they were written with another one.
    ///
    /// ```
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode};
    ///
    /// let stored = OperatorSnapshot::of("offsets", OperatorStateMode::Split, &[1u64, 2]);
    /// assert_eq!(stored.read::<u64>()?, [1, 2]);
    /// assert!(stored.read::<String>().is_err());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When they cannot be made values of `T`, or are damaged.
    pub fn read<T: Data>(&self) -> Result<Vec<T>, StateError> {
        let declared = [SerializerSnapshot::of::<T>()];
        if self.types.len() != declared.len() {
            return Err(StateError::RestoredDifferently {
                name: self.name.clone(),
                stored: self.describe(),
                declared: describe_operator(self.mode, &declared),
            });
        }
        let decode = |item: &[u8]| in_state(&self.name, decode_all(item));
        match ItemMigration::of(&self.name, &self.types, &declared)? {
            None => self.items.iter().map(|item| decode(item)).collect(),
            Some(migration) => {
                self.items.iter().map(|item| decode(&migration.item(&self.name, item)?)).collect()
            }
        }
    }
}

fn fill(
    state: &mut dyn Items,
    mode: OperatorStateMode,
    types: &[SerializerSnapshot],
    restored: &OperatorSnapshot,
) -> Result<(), StateError> {
    let name = &restored.name;
    if restored.mode != mode || restored.types.len() != types.len() {
        return Err(StateError::RestoredDifferently {
            name: name.clone(),
            stored: restored.describe(),
            declared: describe_operator(mode, types),
        });
    }
    match ItemMigration::of(name, &restored.types, types)? {
        None => restored.items.iter().try_for_each(|item| state.add_encoded(item)),
        Some(migration) => {
            restored.items.iter().try_for_each(|item| state.add_encoded(&migration.item(name, item)?))
        }
    }
}

/// A handle to a list of an [`OperatorStateBackend`].
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
///
/// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
/// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
/// open.update(&mut backend, [1, 2])?;
/// open.add(&mut backend, 3)?;
/// assert_eq!(open.get(&backend)?, [1, 2, 3]);
/// open.clear(&mut backend)?;
/// assert!(open.get(&backend)?.is_empty());
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct OperatorListState<E> {
    index: u32,
    types: PhantomData<fn() -> E>,
}

handle!(OperatorListState<E>);

impl<E: Data> OperatorListState<E> {
    /// The elements.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// open.add(&mut backend, 7)?;
    /// assert_eq!(open.get(&backend)?, [7]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn get(self, backend: &OperatorStateBackend) -> Result<&[E], StateError> {
        Ok(&backend.state::<ListItems<E>>(self.index)?.items)
    }

    /// Appends an element.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// open.add(&mut backend, 7)?;
    /// open.add(&mut backend, 8)?;
    /// assert_eq!(open.get(&backend)?, [7, 8]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend, or the memory for state is used up.
    pub fn add(self, backend: &mut OperatorStateBackend, element: E) -> Result<(), StateError> {
        backend.state_mut::<ListItems<E>>(self.index)?.add(element)
    }

    /// Replaces all elements.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// open.add(&mut backend, 7)?;
    /// open.update(&mut backend, [1, 2])?;
    /// assert_eq!(open.get(&backend)?, [1, 2]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn update(
        self,
        backend: &mut OperatorStateBackend,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<(), StateError> {
        let state = backend.state_mut::<ListItems<E>>(self.index)?;
        state.clear();
        elements.into_iter().try_for_each(|element| state.add(element))
    }

    /// Removes all elements.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// open.add(&mut backend, 7)?;
    /// open.clear(&mut backend)?;
    /// assert!(open.get(&backend)?.is_empty());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn clear(self, backend: &mut OperatorStateBackend) -> Result<(), StateError> {
        backend.state_mut::<ListItems<E>>(self.index)?.clear();
        Ok(())
    }
}

/// A handle to a map of an [`OperatorStateBackend`] that every subtask has a copy of.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_state::{MapStateDescriptor, OperatorStateBackend};
///
/// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
/// let limits = backend.register_broadcast(MapStateDescriptor::<String, i64>::new("limits"))?;
/// limits.put(&mut backend, "daily".to_owned(), 500)?;
/// assert_eq!(limits.get(&backend, &"daily".to_owned())?, Some(&500));
/// assert_eq!(limits.entries(&backend)?.count(), 1);
/// assert_eq!(limits.remove(&mut backend, &"daily".to_owned())?, Some(500));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct BroadcastState<K, V> {
    index: u32,
    types: PhantomData<fn() -> (K, V)>,
}

handle!(BroadcastState<K, V>);

impl<K: Key, V: Data> BroadcastState<K, V> {
    /// The value of a key.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{MapStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let limits = backend.register_broadcast(MapStateDescriptor::<u32, i64>::new("limits"))?;
    /// limits.put(&mut backend, 7, 500)?;
    /// assert_eq!((limits.get(&backend, &7)?, limits.get(&backend, &8)?), (Some(&500), None));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn get<'a>(self, backend: &'a OperatorStateBackend, key: &K) -> Result<Option<&'a V>, StateError> {
        Ok(backend.state::<MapItems<K, V>>(self.index)?.entries.get(key))
    }

    /// All entries, by ascending key.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{MapStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let limits = backend.register_broadcast(MapStateDescriptor::<u32, i64>::new("limits"))?;
    /// limits.put(&mut backend, 8, 400)?;
    /// limits.put(&mut backend, 7, 500)?;
    /// assert!(limits.entries(&backend)?.eq([(&7, &500), (&8, &400)]));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn entries(
        self,
        backend: &OperatorStateBackend,
    ) -> Result<impl Iterator<Item = (&K, &V)>, StateError> {
        Ok(backend.state::<MapItems<K, V>>(self.index)?.entries.iter())
    }

    /// Sets the value of a key.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{MapStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let limits = backend.register_broadcast(MapStateDescriptor::<u32, i64>::new("limits"))?;
    /// limits.put(&mut backend, 7, 500)?;
    /// limits.put(&mut backend, 7, 600)?;
    /// assert_eq!(limits.get(&backend, &7)?, Some(&600));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend, or the memory for state is used up.
    pub fn put(self, backend: &mut OperatorStateBackend, key: K, value: V) -> Result<(), StateError> {
        backend.state_mut::<MapItems<K, V>>(self.index)?.put(key, value)
    }

    /// Removes a key and returns its value.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{MapStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let limits = backend.register_broadcast(MapStateDescriptor::<u32, i64>::new("limits"))?;
    /// limits.put(&mut backend, 7, 500)?;
    /// assert_eq!(limits.remove(&mut backend, &7)?, Some(500));
    /// assert_eq!(limits.remove(&mut backend, &7)?, None);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn remove(self, backend: &mut OperatorStateBackend, key: &K) -> Result<Option<V>, StateError> {
        Ok(backend.state_mut::<MapItems<K, V>>(self.index)?.remove(key))
    }

    /// Removes all entries.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    /// use tidemill_state::{MapStateDescriptor, OperatorStateBackend};
    ///
    /// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// let limits = backend.register_broadcast(MapStateDescriptor::<u32, i64>::new("limits"))?;
    /// limits.put(&mut backend, 7, 500)?;
    /// limits.clear(&mut backend)?;
    /// assert_eq!(limits.entries(&backend)?.count(), 0);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn clear(self, backend: &mut OperatorStateBackend) -> Result<(), StateError> {
        backend.state_mut::<MapItems<K, V>>(self.index)?.clear();
        Ok(())
    }
}
