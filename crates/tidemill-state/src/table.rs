//! What every keyed state can do, whatever it holds; and the forms that tables come in.

use std::any::Any;
use std::sync::{Arc, Weak};

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{KeyGroup, KeyGroupRange, key_group};

use crate::batch::KeyBatch;
use crate::clock::Clock;
use crate::error::StateError;
use crate::hot_rows::HotRows;
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::{GroupWriter, check_owned};
use crate::store::{Storage, TableId, TimerPlacement};

/// What a table knows about the subtask that it belongs to.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) owned: KeyGroupRange,
    pub(crate) max_parallelism: u32,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: MemoryBudget,
    pub(crate) storage: Arc<Storage>,
    pub(crate) timers: TimerPlacement,
}

impl Scope {
    #[inline]
    pub(crate) fn check_hash(&self, routing_hash: u64) -> Result<(), StateError> {
        check_owned(self.owned, key_group::key_group(routing_hash, self.max_parallelism))
    }

    /// Checks a key of the state `name` that was found in a key group of a snapshot.
    pub(crate) fn check_restored(
        &self,
        name: &str,
        group: KeyGroup,
        routing_hash: u64,
    ) -> Result<(), StateError> {
        let now = key_group::key_group(routing_hash, self.max_parallelism);
        if now != group {
            return Err(StateError::RoutingChanged { name: name.to_owned(), stored: group, now });
        }
        check_owned(self.owned, group)
    }

    /// Checks the records `created` of a batch; keys that have an entry were checked when they got it.
    pub(crate) fn check_created<B, N>(
        &self,
        batch: &KeyBatch<'_, B, N>,
        created: &[u32],
    ) -> Result<(), StateError> {
        created.iter().try_for_each(|&record| self.check_hash(batch.hash(record as usize)))
    }

    pub(crate) fn writer(&self) -> GroupWriter {
        GroupWriter::new(self.owned, self.max_parallelism)
    }
}

/// The operations of a table that do not depend on what it holds.
pub(crate) trait Table<K>: Send + 'static {
    /// Writes what it holds back in memory into its store, if there is one, so that the store has all entries as they are:
    /// before a canonical snapshot, among others; for the store's files see [`flush_cold`](Self::flush_cold).
    fn flush(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// As [`flush`](Self::flush), but what changes from checkpoint to checkpoint may be left to [`write_hot`](Self::write_hot).
    fn flush_cold(&mut self) -> Result<(), StateError> {
        self.flush()
    }

    /// Writes the rows that [`flush_cold`](Self::flush_cold) has left.
    fn write_hot(&mut self, _out: &mut HotRows) -> Result<(), StateError> {
        Ok(())
    }

    /// Writes all entries, by key group.
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError>;

    /// Whether its entries lie in a store, however few of them are in memory.
    fn is_stored(&self) -> bool {
        false
    }

    /// The table of the store in which some of its entries may be beside those in memory: timers alone are in both places.
    fn rows(&self) -> Option<TableId> {
        None
    }

    /// Whether there are entries in [`rows`](Self::rows) now.
    fn has_rows(&self) -> bool {
        false
    }

    /// As [`snapshot`](Self::snapshot), without what is in [`rows`](Self::rows).
    fn snapshot_memory(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        self.snapshot(out)
    }

    /// Called once the store has given its table to this, that was restored with entries in it.
    fn adopt(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// Leaves all entries as they are now to a snapshot, to be written beside the task; `None` when they have to be written now. What is
    /// in [`rows`](Self::rows) is left out.
    fn freeze(&mut self, _snapshot: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        None
    }

    /// Leaves what is in [`rows`](Self::rows) now to a snapshot as well, to be written behind what [`freeze`](Self::freeze) has left;
    /// `None` when it has to be written now.
    fn freeze_rows(&mut self) -> Result<Option<Box<dyn FrozenTable>>, StateError> {
        Ok(None)
    }

    /// Adds the entries of one key group of a snapshot.
    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], stamped: bool) -> Result<(), StateError>;

    /// Called once all key groups were restored.
    fn finish_restore(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// Adds the keys that have an entry in a namespace; `false` when the namespace is of another type.
    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError>;

    /// A hint that keys with these routing hashes are going to be accessed.
    fn prefetch(&self, _hashes: &[u64]) {}

    /// Whether its entries expire.
    fn is_stamped(&self) -> bool;

    /// Bytes that it is counted with.
    fn bytes(&self) -> usize;
}

/// A table together with the function of its state, if it has one.
pub(crate) struct Registered<T, F> {
    pub(crate) table: T,
    pub(crate) function: F,
}

/// A [`Registered`] of any types.
pub(crate) trait AnyState<K>: Any + Send {
    fn table(&mut self) -> &mut dyn Table<K>;
    fn table_ref(&self) -> &dyn Table<K>;
}

impl<K: 'static, T: Table<K>, F: Send + 'static> AnyState<K> for Registered<T, F> {
    fn table(&mut self) -> &mut dyn Table<K> {
        &mut self.table
    }

    fn table_ref(&self) -> &dyn Table<K> {
        &self.table
    }
}
