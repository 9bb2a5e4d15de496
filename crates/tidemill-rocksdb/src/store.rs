//! [`RocksDbStore`]: the state of one operator subtask in a RocksDB of its own.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rust_rocksdb::{
    BottommostLevelCompaction, CompactOptions, Error, ErrorKind, ReadOptions, WriteBatch as Batch,
    WriteOptions,
};
use tidemill_core::{KeyGroupRange, ScratchFolder};
use tidemill_state::{
    HotRows, NativeFiles, NativeFolder, NativeMetrics, NativeSnapshot, NativeStore, OrderedStore,
    RestoredTable, RowFilter, RowKeys, StateError, TableId, TableView, Write, WriteBatch,
};

use crate::bulk;
use crate::database::{Opened, Setup, StoreFolder};
use crate::error::RocksDbError;
use crate::memory::SlotMemory;
use crate::metrics::RocksDbMetrics;
use crate::restore;
use crate::settings::RocksDbSettings;
use crate::snapshot::{self, new_store_id};
use crate::view::{SCAN_AHEAD, View};

/// The name of the backend, which snapshots say as well.
pub(crate) const NAME: &str = "rocksdb";

/// With so many files that are not merged yet RocksDB slows down writes (`level0_slowdown_writes_trigger`), and no files are added.
const FILES_AT_MOST: u64 = 20;

/// The rows of one operator subtask: a column family for each state.
///
/// ```
/// use tidemill_core::config::Configuration;
/// use tidemill_rocksdb::{RocksDbSettings, RocksDbStore};
/// use tidemill_state::OrderedStore;
///
/// let folder = tempfile::tempdir()?;
/// let settings = RocksDbSettings::of(&Configuration::new())?;
/// let store = RocksDbStore::open(folder.path().join("count-0"), &settings, None)?;
/// let visits = store.open_table("visits")?;
/// assert_eq!(store.open_table("visits")?, visits, "it is there already");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RocksDbStore {
    /// Opened when the first table is, or from the files of a snapshot.
    opened: Arc<OnceLock<Arc<Opened>>>,
    opening: Mutex<()>,
    setup: Arc<Setup>,
    writes: WriteOptions,
    folder: Arc<StoreFolder>,
    /// What the files that it writes are known by.
    id: String,
    /// Numbers its snapshots, and what else lies beside its folder.
    beside: AtomicU64,
}

impl RocksDbStore {
    /// Opens an empty one in `path`, which must not exist; it is removed when the store is dropped.
    ///
    /// # Errors
    /// When the folder cannot be made, or RocksDB refuses its options.
    pub fn open(
        path: impl Into<PathBuf>,
        settings: &RocksDbSettings,
        memory: Option<&SlotMemory>,
    ) -> Result<Self, StateError> {
        let store = Self::prepare(path, settings, memory)?;
        store.opened()?;
        Ok(store)
    }

    /// As [`open`](Self::open), but RocksDB is opened only when a table is, so that it can begin with the files of a
    /// snapshot.
    ///
    /// # Errors
    /// When the folder cannot be made, or an option is one that this build does not know.
    pub fn prepare(
        path: impl Into<PathBuf>,
        settings: &RocksDbSettings,
        memory: Option<&SlotMemory>,
    ) -> Result<Self, StateError> {
        Self::prepare_in(None, path.into(), settings, memory)
    }

    /// As [`prepare`](Self::prepare), in a folder that stays for as long as this.
    pub(crate) fn prepare_in(
        scratch: Option<ScratchFolder>,
        path: PathBuf,
        settings: &RocksDbSettings,
        memory: Option<&SlotMemory>,
    ) -> Result<Self, StateError> {
        let folder =
            |error: std::io::Error| RocksDbError::Folder { path: path.clone(), reason: error.to_string() };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(folder)?;
        }
        // Not one that is there: its rows would be taken for this subtask's.
        fs::create_dir(&path).map_err(folder)?;
        let folder = Arc::new(StoreFolder::new(path, scratch));
        let setup = Arc::new(Setup::new(settings, memory)?);
        let mut writes = WriteOptions::default();
        writes.disable_wal(true);
        let (opened, opening) = (Arc::default(), Mutex::new(()));
        Ok(Self { opened, opening, setup, writes, folder, id: new_store_id(), beside: AtomicU64::new(1) })
    }

    /// The folder of its files.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// The memory that it shares with others of the slot.
    pub fn memory(&self) -> Option<&SlotMemory> {
        self.setup.memory.as_ref()
    }

    /// A number that RocksDB knows of a table, such as `rocksdb.estimate-num-keys`; `None` where it knows none of that name.
    ///
    /// # Errors
    /// When RocksDB fails.
    pub fn property(&self, table: TableId, name: &str) -> Result<Option<u64>, StateError> {
        let opened = self.opened()?;
        let family = opened.family(table)?;
        opened.db.property_int_value_cf(&family, name).map_err(|error| failed("ask for a property", &error))
    }

    /// What RocksDB has counted since it was opened; 0 where it keeps no statistics, which it does when one of the options
    /// `state.backend.rocksdb.metrics.*` needs them.
    pub fn ticker(&self, ticker: rust_rocksdb::statistics::Ticker) -> u64 {
        self.setup.options.get_ticker_count(ticker)
    }

    /// Writes what is in memory to disk.
    ///
    /// # Errors
    /// When RocksDB fails.
    pub fn flush(&self) -> Result<(), StateError> {
        let opened = self.opened()?;
        for family in opened.all_families() {
            if let Some(family) = opened.db.cf_handle(&family) {
                opened.db.flush_cf(&family).map_err(|error| failed("write a table to disk", &error))?;
            }
        }
        Ok(())
    }

    /// Merges all files of a table, so that each row is in one place; what has expired goes.
    ///
    /// # Errors
    /// When RocksDB fails.
    pub fn compact(&self, table: TableId) -> Result<(), StateError> {
        let opened = self.opened()?;
        let family = opened.family(table)?;
        opened.db.flush_cf(&family).map_err(|error| failed("write a table to disk", &error))?;
        let mut all = CompactOptions::default();
        all.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        opened.db.compact_range_cf_opt(&family, None::<&[u8]>, None::<&[u8]>, &all);
        Ok(())
    }

    #[inline]
    fn opened(&self) -> Result<&Arc<Opened>, StateError> {
        match self.opened.get() {
            Some(opened) => Ok(opened),
            None => self.open_with(|| {
                let opened = Opened::open(&self.setup, &self.folder, Vec::new(), HashMap::new());
                opened.map_err(|error| failed("open a RocksDB", &error))
            }),
        }
    }

    /// Opens it as `open` does, unless it is open.
    fn open_with(
        &self,
        open: impl FnOnce() -> Result<Opened, StateError>,
    ) -> Result<&Arc<Opened>, StateError> {
        let _alone = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.opened.get().is_none() {
            let opened = Arc::new(open()?);
            return Ok(self.opened.get_or_init(|| opened));
        }
        self.opened()
    }

    /// A path beside the folder of its files, so on the same disk.
    fn beside(&self, what: &str) -> PathBuf {
        let number = self.beside.fetch_add(1, Ordering::Relaxed);
        let mut name = self.folder.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{what}-{number}"));
        self.folder.path.with_file_name(name)
    }
}

impl NativeStore for RocksDbStore {
    fn backend(&self) -> &'static str {
        NAME
    }

    fn family(&self, table: TableId) -> Result<String, StateError> {
        self.opened()?.family_name(table)
    }

    fn checkpoint(
        &self,
        hot: &mut dyn FnMut(&mut HotRows) -> Result<(), StateError>,
    ) -> Result<NativeFiles, StateError> {
        let scratch = self.folder.scratch.clone();
        let folder = NativeFolder::temporary_in(scratch, self.beside("checkpoint"));
        snapshot::checkpoint(self.opened()?, &self.id, folder, hot)
    }

    fn restore(
        &self,
        sources: &[&NativeSnapshot],
        owned: KeyGroupRange,
    ) -> Result<Vec<RestoredTable>, StateError> {
        let mut tables = Vec::new();
        let mut taken = None;
        if self.opened.get().is_none()
            && let Some(base) = restore::base(sources, owned, self.setup.settings.restore_overlap)
        {
            self.open_with(|| {
                let (opened, own) = restore::open_base(&self.setup, &self.folder, base, owned)?;
                (tables, taken) = (own, Some(base));
                Ok(opened)
            })?;
        }
        let opened = self.opened()?;
        for source in
            sources.iter().filter(|source| !taken.is_some_and(|taken| std::ptr::eq(taken, **source)))
        {
            restore::copy(opened, &self.setup, source, owned, &self.beside("source"), &mut tables)?;
        }
        Ok(tables)
    }

    fn bind(&self, table: TableId, state: &str) -> Result<(), StateError> {
        self.opened()?.bind(table, state)
    }

    fn drop_table(&self, table: TableId) -> Result<(), StateError> {
        self.opened()?.drop_table(table)
    }

    fn set_row_filter(&self, state: &str, filter: Arc<dyn RowFilter>) -> Result<(), StateError> {
        self.opened()?.set_row_filter(state, filter);
        Ok(())
    }
}

impl OrderedStore for RocksDbStore {
    fn open_table(&self, state: &str) -> Result<TableId, StateError> {
        self.opened()?.open_table(state)
    }

    fn view(&self, table: TableId) -> Result<Option<Box<dyn TableView>>, StateError> {
        Ok(Some(Box::new(View::of(self.opened()?, table)?)))
    }

    fn native(&self) -> Option<&dyn NativeStore> {
        Some(self)
    }

    fn metrics(&self) -> Option<Arc<dyn NativeMetrics>> {
        let settings = &self.setup.settings.metrics;
        if !settings.any() {
            return None;
        }
        Some(Arc::new(RocksDbMetrics::new(Arc::downgrade(&self.opened), settings.clone())))
    }

    fn multi_get(
        &self,
        table: TableId,
        keys: &RowKeys,
        found: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StateError> {
        let opened = self.opened()?;
        let family = opened.family(table)?;
        let read = |error: &Error| failed("read rows", error);
        if keys.len() == 1 {
            let row = opened.db.get_pinned_cf(&family, keys.get(0)).map_err(|error| read(&error))?;
            found(0, row.as_deref());
            return Ok(());
        }
        // In the order of keys, each file is gone through once. Most keys differ in their first bytes.
        let first = |key: &[u8]| {
            let mut bytes = [0; 8];
            let length = key.len().min(8);
            bytes[..length].copy_from_slice(&key[..length]);
            u64::from_be_bytes(bytes)
        };
        let mut order: Vec<(u64, u32)> = keys.iter().map(first).zip(0..).collect();
        order.sort_unstable_by(|(a, i), (b, j)| {
            a.cmp(b).then_with(|| keys.get(*i as usize).cmp(keys.get(*j as usize)))
        });
        let rows = opened.db.batched_multi_get_pinned_batch_cf(
            &family,
            order.iter().map(|(_, index)| keys.get(*index as usize)),
            true,
        );
        let rows = rows.map_err(|error| read(&error))?;
        for ((_, index), row) in order.iter().zip(rows.iter()) {
            found(*index as usize, row.map_err(|error| read(&error))?);
        }
        Ok(())
    }

    fn write(&self, table: TableId, batch: &WriteBatch) -> Result<(), StateError> {
        let opened = self.opened()?;
        let family = opened.family(table)?;
        let mut changes = Batch::default();
        for change in batch.iter() {
            match change {
                Write::Put(key, value) => changes.put_cf(&family, key, value),
                Write::Append(key, value) => changes.merge_cf(&family, key, value),
                Write::Delete(key) => changes.delete_cf(&family, key),
            }
        }
        opened.db.write_opt(&changes, &self.writes).map_err(|error| failed("write rows", &error))
    }

    fn write_many(
        &self,
        table: TableId,
        next: &mut dyn FnMut(&mut WriteBatch) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        // Files that it takes in are not slowed down when it cannot merge as fast as they come; what is written to its buffers is.
        if self.property(table, "rocksdb.num-files-at-level0")?.unwrap_or(0) < FILES_AT_MOST {
            return bulk::write(self.opened()?, &self.setup, table, self.beside("bulk"), next);
        }
        let mut batch = WriteBatch::default();
        while next(&mut batch)? {
            self.write(table, &batch)?;
        }
        Ok(())
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let opened = self.opened()?;
        let family = opened.family(table)?;
        let mut options = ReadOptions::default();
        match to {
            Some(to) => options.set_iterate_upper_bound(to),
            // The whole table, once: what is read does not push out what is used.
            None if from.is_empty() => {
                options.set_readahead_size(SCAN_AHEAD);
                options.fill_cache(false);
            }
            None => {}
        }
        let mut rows = opened.db.raw_iterator_cf_opt(&family, options);
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

pub(crate) fn failed(action: &'static str, error: &Error) -> StateError {
    let retryable = matches!(error.kind(), ErrorKind::Busy | ErrorKind::TimedOut | ErrorKind::TryAgain);
    StateError::Store { action, reason: error.to_string(), retryable }
}
