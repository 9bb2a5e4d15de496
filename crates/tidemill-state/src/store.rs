//! What a state backend has to offer: either nothing, and tables live in memory, or an ordered store of bytes.

use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{KeyGroupRange, OperatorId};

use crate::clock::Clock;
use crate::error::StateError;

/// The operator subtask for which a backend is opened.
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
#[non_exhaustive]
pub enum Storage {
    /// In hash tables in memory.
    Heap,
    /// As rows of bytes in a store of the subtask's own.
    Ordered(Arc<dyn OrderedStore>),
}

/// A way to keep keyed state, chosen by configuration (`state.backend.type`).
pub trait StateBackend: Send + Sync {
    /// The name by which the configuration chooses it.
    fn name(&self) -> &'static str;

    /// Opens empty storage for one subtask.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn open(&self, subtask: &SubtaskContext) -> Result<Storage, StateError>;
}

/// Keeps state in memory: the backend `hashmap`.
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

/// A table of an [`OrderedStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId(pub u32);

/// Rows of bytes, ordered by key as `[u8]` is, in tables.
///
/// One operator subtask uses a store, from one thread. Row keys start with the key group, two bytes with the
/// higher one first, so that the rows of a range of key groups lie side by side.
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
}

/// Keys of rows, one after the other in one buffer.
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
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The keys, in order.
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

/// Changes of one table, to be done together and in order.
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    /// Kind, end of the key, end of the value.
    changes: Vec<(WriteKind, usize, usize)>,
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
    pub fn iter(&self) -> impl Iterator<Item = Write<'_>> {
        let mut start = 0;
        self.changes.iter().map(move |(kind, key_end, value_end)| {
            let (key, value) = (&self.bytes[start..*key_end], &self.bytes[*key_end..*value_end]);
            start = *value_end;
            match kind {
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

    pub(crate) fn put(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.change(WriteKind::Put, key, value);
    }

    pub(crate) fn append(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.change(WriteKind::Append, key, value);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.change(WriteKind::Delete, key, |_| ());
    }

    fn change(&mut self, kind: WriteKind, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        value(&mut self.bytes);
        self.changes.push((kind, key_end, self.bytes.len()));
    }
}
