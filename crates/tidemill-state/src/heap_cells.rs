//! What tables in memory do alike whose rows have several entries, each with a time stamp of its own.

use tidemill_core::Timestamp;
use tidemill_serialization::{Data, Key};

use crate::batch::Address;
use crate::cow::CowTable;
use crate::error::StateError;
use crate::heap::Weight;
use crate::table::Scope;
use crate::ttl::Ttl;

/// The entries of one row.
pub(crate) trait Cell: Weight + Clone + Default {
    fn is_empty(&self) -> bool;

    /// Removes the entries for whose stamps `gone` holds.
    fn expire(&mut self, gone: impl Fn(Timestamp) -> bool);
}

/// The logical bytes of a value that are not in its memory already.
pub(crate) fn logical<T: Data>(value: &T) -> usize {
    if T::FIXED_BYTES.is_some() { 0 } else { value.logical_bytes() }
}

/// A table whose rows have entries. A row without any is removed.
pub(crate) struct HeapCells<K, N, C> {
    pub(crate) rows: CowTable<K, N, C>,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) scope: Scope,
}

impl<K: Key, N: Key, C: Cell> HeapCells<K, N, C> {
    pub(crate) fn new(name: &str, scope: Scope, ttl: Option<Ttl>) -> Self {
        // The entries have time stamps, so the rows have none.
        Self { rows: CowTable::new(name, &scope.budget, false), ttl, scope }
    }

    /// The time stamp of what is written now, and 0 when nothing expires.
    pub(crate) fn now(&self) -> Timestamp {
        self.ttl.as_ref().map_or(0, Ttl::now)
    }

    /// Removes some of what has expired; every access ends with it.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        if let Some(ttl) = &self.ttl {
            self.rows.sweep(ttl.incremental(), |cell, _| {
                cell.expire(|stamp| ttl.is_expired(stamp, now));
                cell.is_empty()
            });
        }
    }

    /// Counts a changed row anew, or removes it when it is empty.
    pub(crate) fn settle(&mut self, slot: usize) -> Result<(), StateError> {
        if self.rows.value(slot).is_empty() {
            self.rows.remove(slot);
            Ok(())
        } else {
            self.rows.reweigh(slot)
        }
    }

    pub(crate) fn slot_for(&mut self, at: Address<'_, K, N>) -> Result<usize, StateError> {
        match self.rows.find(at)? {
            Some(slot) => Ok(slot),
            None => self.rows.insert(at, C::default(), 0),
        }
    }

    pub(crate) fn remove(&mut self, at: Address<'_, K, N>) -> Result<(), StateError> {
        if let Some(slot) = self.rows.find(at)? {
            self.rows.remove(slot);
        }
        Ok(())
    }
}
