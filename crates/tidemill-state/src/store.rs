//! What a state backend has to offer: either nothing, and tables live in memory, or an ordered store of bytes.

use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{KeyGroupRange, OperatorId};

use crate::cache::StateCache;
use crate::clock::Clock;
use crate::error::StateError;
use crate::native_store::{NativeMetrics, NativeStore};

/// The operator subtask for which a backend is opened.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_core::{KeyGroupRange, OperatorId};
/// use tidemill_state::{HashMapStateBackend, StateBackend, Storage, SubtaskContext, SystemClock};
///
/// let second = SubtaskContext {
///     operator: OperatorId::from_name("count"),
///     subtask: 1,
///     key_groups: KeyGroupRange::of_subtask(1, 4, 128),
///     max_parallelism: 128,
///     clock: Arc::new(SystemClock),
///     budget: MemoryBudget::unlimited("state"),
/// };
/// assert!(matches!(HashMapStateBackend.open(&second)?, Storage::Heap));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone)]
pub struct SubtaskContext {
    /// The operator.
    pub operator: OperatorId,
    /// Which of its subtasks.
    pub subtask: u32,
    /// The key groups that the subtask owns.
    pub key_groups: KeyGroupRange,
    /// How many key groups there are in all.
    pub max_parallelism: u32,
    /// The clock that expiring state goes by.
    pub clock: Arc<dyn Clock>,
    /// What tables in memory reserve from.
    pub budget: MemoryBudget,
}

/// Where the keyed state of a subtask lies.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_state::{OrderedStore, Storage};
///
/// fn on_disk(store: impl OrderedStore) -> Storage {
///     Storage::Ordered(Arc::new(store))
/// }
/// ```
#[non_exhaustive]
pub enum Storage {
    /// In hash tables in memory.
    Heap,
    /// As rows of bytes in a store of the subtask's own.
    Ordered(Arc<dyn OrderedStore>),
    /// The same, behind a cache of values that all subtasks of a slot share.
    Cached(Arc<dyn OrderedStore>, StateCache),
}

impl Storage {
    /// The store in which rows lie, whether or not there is a cache in front.
    pub(crate) fn store(&self) -> Option<&dyn OrderedStore> {
        match self {
            Storage::Heap => None,
            Storage::Ordered(store) | Storage::Cached(store, _) => Some(&**store),
        }
    }
}

/// Where the timers of a subtask lie whose keyed state is in a store.
///
/// ```
/// use tidemill_state::{HashMapStateBackend, StateBackend, SubtaskContext, TimerPlacement};
///
/// fn in_memory(subtask: &SubtaskContext) {
///     assert_eq!(HashMapStateBackend.timers(subtask), TimerPlacement::Heap);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerPlacement {
    /// In memory, however many there are.
    Heap,
    /// In memory while they are few; beyond that the latest are rows of the store.
    Store {
        /// How many of each operator and time domain are in memory at most; at least 2 are.
        in_memory: usize,
    },
}

/// A way to keep keyed state, chosen by configuration (`state.backend.type`).
///
/// ```
/// use tidemill_state::{StateBackend, StateError, Storage, SubtaskContext};
///
/// /// Memory, as `hashmap`, under another name.
/// struct InMemory;
///
/// impl StateBackend for InMemory {
///     fn name(&self) -> &'static str {
///         "memory"
///     }
///     fn open(&self, _subtask: &SubtaskContext) -> Result<Storage, StateError> {
///         Ok(Storage::Heap)
///     }
/// }
///
/// assert_eq!(InMemory.name(), "memory");
/// ```
pub trait StateBackend: Send + Sync {
    /// The name by which the configuration chooses it.
    fn name(&self) -> &'static str;

    /// Opens empty storage for one subtask.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn open(&self, subtask: &SubtaskContext) -> Result<Storage, StateError>;

    /// Where the timers of a subtask are to lie. They lie in memory where there is no store, whatever this says.
    fn timers(&self, _subtask: &SubtaskContext) -> TimerPlacement {
        TimerPlacement::Heap
    }
}

/// Makes the backend of each slot of a TaskManager, as the configuration chooses (`state.backend.type`).
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_state::{HashMapStateBackend, StateBackendFactory};
///
/// let slot = HashMapStateBackend.of_slot(&MemoryBudget::unlimited("managed memory"))?;
/// assert_eq!(slot.name(), "hashmap");
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub trait StateBackendFactory: Send + Sync {
    /// The backend of a slot with so much managed memory: all subtasks in the slot use it, and what it takes of the managed
    /// memory it keeps until it is dropped.
    ///
    /// # Errors
    /// When the backend cannot work within that memory, or at all.
    fn of_slot(&self, managed: &MemoryBudget) -> Result<Arc<dyn StateBackend>, StateError>;
}

/// Keeps state in memory: the backend `hashmap`.
///
/// ```
/// use tidemill_state::{HashMapStateBackend, StateBackend};
///
/// assert_eq!(HashMapStateBackend.name(), "hashmap");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HashMapStateBackend;

impl StateBackend for HashMapStateBackend {
    fn name(&self) -> &'static str {
        "hashmap"
    }

    fn open(&self, _subtask: &SubtaskContext) -> Result<Storage, StateError> {
        Ok(Storage::Heap)
    }
}

impl StateBackendFactory for HashMapStateBackend {
    fn of_slot(&self, _: &MemoryBudget) -> Result<Arc<dyn StateBackend>, StateError> {
        Ok(Arc::new(*self))
    }
}

/// A table of an [`OrderedStore`].
///
/// ```
/// use tidemill_state::TableId;
///
/// assert_ne!(TableId(0), TableId(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub u32);

/// Rows of bytes, ordered by key as `[u8]` is, in tables.
///
/// One operator subtask uses a store, from one thread. Row keys start with the key group, two bytes with the
/// higher one first, so that the rows of a range of key groups lie side by side.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
/// use tidemill_state::{OrderedStore, RowKeys, StateError, TableId, Write, WriteBatch};
///
/// /// Rows in memory.
/// #[derive(Default)]
/// struct Rows(Mutex<Vec<BTreeMap<Vec<u8>, Vec<u8>>>>);
///
/// impl OrderedStore for Rows {
///     fn open_table(&self, _state: &str) -> Result<TableId, StateError> {
///         let mut tables = self.0.lock().unwrap();
///         tables.push(BTreeMap::new());
///         Ok(TableId(tables.len() as u32 - 1))
///     }
///
///     fn multi_get(
///         &self,
///         table: TableId,
///         keys: &RowKeys,
///         found: &mut dyn FnMut(usize, Option<&[u8]>),
///     ) -> Result<(), StateError> {
///         let rows = &self.0.lock().unwrap()[table.0 as usize];
///         keys.iter().enumerate().for_each(|(index, key)| found(index, rows.get(key).map(Vec::as_slice)));
///         Ok(())
///     }
///
///     fn write(&self, table: TableId, batch: &WriteBatch) -> Result<(), StateError> {
///         let rows = &mut self.0.lock().unwrap()[table.0 as usize];
///         for change in batch.iter() {
///             match change {
///                 Write::Put(key, value) => drop(rows.insert(key.to_vec(), value.to_vec())),
///                 Write::Append(key, value) => rows.entry(key.to_vec()).or_default().extend(value),
///                 Write::Delete(key) => drop(rows.remove(key)),
///             }
///         }
///         Ok(())
///     }
///
///     fn scan(
///         &self,
///         table: TableId,
///         from: &[u8],
///         to: Option<&[u8]>,
///         visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
///     ) -> Result<(), StateError> {
///         let rows = &self.0.lock().unwrap()[table.0 as usize];
///         let mut rows = rows.range(from.to_vec()..).take_while(|(key, _)| to.is_none_or(|to| &key[..] < to));
///         rows.all(|(key, value)| visit(key, value));
///         Ok(())
///     }
/// }
///
/// assert_eq!(Rows::default().open_table("count")?, TableId(0));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub trait OrderedStore: Send + Sync + 'static {
    /// Makes the table of a state, or finds it when it is there.
    ///
    /// # Errors
    /// When the store fails.
    fn open_table(&self, state: &str) -> Result<TableId, StateError>;

    /// Looks up `keys` and calls `found` once for each, in any order, with its index and value.
    ///
    /// `found` does not call the store.
    ///
    /// # Errors
    /// When the store fails.
    fn multi_get(
        &self,
        table: TableId,
        keys: &RowKeys,
        found: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StateError>;

    /// Does what the batch says, in its order.
    ///
    /// # Errors
    /// When the store fails.
    fn write(&self, table: TableId, batch: &WriteBatch) -> Result<(), StateError>;

    /// Does what many batches say, which `next` fills, one at a time, until it says `false`. Their keys ascend, and those of a batch
    /// come after those of the batches before; several changes of one key are done in their order.
    ///
    /// `next` does not call the store. After an error the store may have some of the changes.
    ///
    /// # Errors
    /// When the store fails, or `next` does.
    fn write_many(
        &self,
        table: TableId,
        next: &mut dyn FnMut(&mut WriteBatch) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        while next(&mut batch)? {
            self.write(table, &batch)?;
        }
        Ok(())
    }

    /// Shows the rows from `from` (inclusive) to `to` (exclusive; `None` for the end), by ascending key, until
    /// `visit` says `false`.
    ///
    /// `visit` does not call the store.
    ///
    /// # Errors
    /// When the store fails.
    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError>;

    /// The rows of a table as they are now, for whoever reads them on another thread while they are changed, and tables come and go;
    /// `None` when it has no such views. The store goes on to exist for as long as there is one.
    ///
    /// # Errors
    /// When the store fails.
    fn view(&self, _table: TableId) -> Result<Option<Box<dyn TableView>>, StateError> {
        Ok(None)
    }

    /// What it can do with its files; `None` when snapshots of it are made by going through all rows.
    fn native(&self) -> Option<&dyn NativeStore> {
        None
    }

    /// Its figures, for whoever shows them.
    fn metrics(&self) -> Option<Arc<dyn NativeMetrics>> {
        None
    }
}

/// The rows of one table of an [`OrderedStore`] at one moment.
///
/// ```
/// use std::collections::BTreeMap;
/// use tidemill_state::{StateError, TableView};
///
/// /// A copy.
/// struct Copy(BTreeMap<Vec<u8>, Vec<u8>>);
///
/// impl TableView for Copy {
///     fn scan(
///         &self,
///         from: &[u8],
///         to: Option<&[u8]>,
///         visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
///     ) -> Result<(), StateError> {
///         let mut rows = self.0.range(from.to_vec()..).take_while(|(key, _)| to.is_none_or(|to| &key[..] < to));
///         rows.all(|(key, value)| visit(key, value));
///         Ok(())
///     }
/// }
///
/// let rows = Copy(BTreeMap::from([(vec![1], vec![7])]));
/// let mut found = Vec::new();
/// rows.scan(&[], None, &mut |key, _| { found.push(key.to_vec()); true })?;
/// assert_eq!(found, [[1]]);
/// # Ok::<(), StateError>(())
/// ```
pub trait TableView: Send {
    /// Shows the rows from `from` to `to`, as [`OrderedStore::scan`] does. Rows that have expired may be missing.
    ///
    /// # Errors
    /// When the store fails.
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError>;
}

/// Keys of rows, one after the other in one buffer.
///
/// ```
/// use tidemill_state::RowKeys;
///
/// assert!(RowKeys::default().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct RowKeys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl RowKeys {
    /// How many keys.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key at `index`, which is below [`len`](Self::len).
    ///
    /// ```
    /// use tidemill_state::RowKeys;
    ///
    /// /// The length of the longest key.
    /// fn longest(keys: &RowKeys) -> usize {
    ///     (0..keys.len()).map(|index| keys.get(index).len()).max().unwrap_or(0)
    /// }
    ///
    /// assert_eq!(longest(&RowKeys::default()), 0);
    /// ```
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The keys, in order.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use tidemill_state::RowKeys;
    ///
    /// /// Which of the keys a store has.
    /// fn found(keys: &RowKeys, rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<bool> {
    ///     keys.iter().map(|key| rows.contains_key(key)).collect()
    /// }
    ///
    /// assert!(found(&RowKeys::default(), &BTreeMap::new()).is_empty());
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds the key that `write` appends.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }
}

/// One change of a [`WriteBatch`].
///
/// ```
/// use tidemill_state::Write;
///
/// assert_ne!(Write::Put(b"key", b""), Write::Delete(b"key"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write<'a> {
    /// Sets the value of a key.
    Put(&'a [u8], &'a [u8]),
    /// Appends to the value of a key; a key that is not there has the empty value.
    Append(&'a [u8], &'a [u8]),
    /// Removes a key.
    Delete(&'a [u8]),
}

#[derive(Clone, Copy, Debug)]
enum WriteKind {
    Put,
    Append,
    Delete,
}

/// Where a change is in the bytes of its batch.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// The first bytes of the key, in which most keys differ.
    first: u64,
    start: usize,
    key_end: usize,
    value_end: usize,
    kind: WriteKind,
}

/// Changes of one table, to be done together and in order.
///
/// ```
/// use tidemill_state::WriteBatch;
///
/// assert_eq!(WriteBatch::default().iter().count(), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

impl WriteBatch {
    /// How many changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes, in order.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use tidemill_state::{Write, WriteBatch};
    ///
    /// /// Does what the batch says, as a store does.
    /// fn write(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &WriteBatch) {
    ///     for change in batch.iter() {
    ///         match change {
    ///             Write::Put(key, value) => drop(rows.insert(key.to_vec(), value.to_vec())),
    ///             Write::Append(key, value) => rows.entry(key.to_vec()).or_default().extend_from_slice(value),
    ///             Write::Delete(key) => drop(rows.remove(key)),
    ///         }
    ///     }
    /// }
    ///
    /// let mut rows = BTreeMap::new();
    /// write(&mut rows, &WriteBatch::default());
    /// assert!(rows.is_empty());
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Write<'_>> {
        self.changes.iter().map(|change| {
            let key = &self.bytes[change.start..change.key_end];
            let value = &self.bytes[change.key_end..change.value_end];
            match change.kind {
                WriteKind::Put => Write::Put(key, value),
                WriteKind::Append => Write::Append(key, value),
                WriteKind::Delete => Write::Delete(key),
            }
        })
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }

    /// Adds: set the value of `key` to what `value` appends.
    ///
    /// ```
    /// use tidemill_state::{Write, WriteBatch};
    ///
    /// let mut batch = WriteBatch::default();
    /// batch.put(b"key", |out| out.extend_from_slice(b"value"));
    /// assert_eq!(batch.iter().next(), Some(Write::Put(b"key", b"value")));
    /// ```
    pub fn put(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.change(WriteKind::Put, key, value);
    }

    /// Adds: append to the value of `key` what `value` appends.
    pub fn append(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.change(WriteKind::Append, key, value);
    }

    /// Adds: remove `key`.
    pub fn delete(&mut self, key: &[u8]) {
        self.change(WriteKind::Delete, key, |_| ());
    }

    fn change(&mut self, kind: WriteKind, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.change_with(kind, |out| out.extend_from_slice(key), value);
    }

    /// As [`put`](Self::put), for the key that `key` appends.
    pub(crate) fn put_with(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) {
        self.change_with(WriteKind::Put, key, value);
    }

    /// As [`append`](Self::append), for the key that `key` appends.
    pub(crate) fn append_with(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) {
        self.change_with(WriteKind::Append, key, value);
    }

    /// As [`delete`](Self::delete), for the key that `key` appends.
    pub(crate) fn delete_with(&mut self, key: impl FnOnce(&mut Vec<u8>)) {
        self.change_with(WriteKind::Delete, key, |_| ());
    }

    fn change_with(
        &mut self,
        kind: WriteKind,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let key_end = self.bytes.len();
        value(&mut self.bytes);
        let first = first_bytes(&self.bytes[start..key_end]);
        self.changes.push(Change { first, start, key_end, value_end: self.bytes.len(), kind });
    }

    /// Puts the changes into the order of their keys; those of one key stay in their order.
    pub(crate) fn sort(&mut self) {
        let bytes = &self.bytes;
        self.changes.sort_unstable_by(|a, b| {
            let rest = || bytes[a.start..a.key_end].cmp(&bytes[b.start..b.key_end]);
            a.first.cmp(&b.first).then_with(rest).then(a.start.cmp(&b.start))
        });
    }
}

/// The first eight bytes of a key as a number: keys that differ in them are ordered as these numbers are.
pub(crate) fn first_bytes(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(bytes)
        }
    }
}
