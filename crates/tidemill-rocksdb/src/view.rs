//! [`View`]: a table of a RocksDB as it was at one moment.
//!
//! The one `unsafe` expression is here because a snapshot of the binding borrows its database, and a view goes to another thread
//! and keeps the database open by itself.
#![allow(unsafe_code)]

use std::sync::Arc;

use rust_rocksdb::{BoundColumnFamily, ReadOptions, SnapshotWithThreadMode};
use tidemill_state::{StateError, TableId, TableView};

use crate::database::{Database, Opened};
use crate::store::failed;

/// How many bytes are read at once when a whole table is gone through.
pub(crate) const SCAN_AHEAD: usize = 2 << 20;

/// What expires may be missing from it: RocksDB drops it when it merges files, whoever has a snapshot.
pub(crate) struct View {
    // Dropped in this order: what borrows the database comes before what keeps it open.
    snapshot: SnapshotWithThreadMode<'static, Database>,
    /// Rows stay for as long as it is there, also when the table is dropped.
    family: Arc<BoundColumnFamily<'static>>,
    _opened: Arc<Opened>,
}

impl View {
    pub(crate) fn of(opened: &Arc<Opened>, table: TableId) -> Result<Self, StateError> {
        let opened = Arc::clone(opened);
        // SAFETY: The database lies in the `Arc`, so it does not move, and the `Arc` is dropped after all that borrows it, which
        // nobody gets out of here for longer than `self` lives.
        let lasting: &'static Opened = unsafe { &*Arc::as_ptr(&opened) };
        Ok(Self { family: lasting.family(table)?, snapshot: lasting.db.snapshot(), _opened: opened })
    }
}

impl TableView for View {
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut options = ReadOptions::default();
        // Once: what is read does not push out what is used.
        options.set_readahead_size(SCAN_AHEAD);
        options.fill_cache(false);
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let mut rows = self.snapshot.raw_iterator_cf_opt(&self.family, options);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            if !visit(key, value) {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(|error| failed("go through rows", &error))
    }
}
