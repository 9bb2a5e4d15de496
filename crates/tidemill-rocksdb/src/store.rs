//! [`RocksDbStore`]: the state of one operator subtask in a RocksDB of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use rust_rocksdb::{
    BoundColumnFamily, DBWithThreadMode, Error, ErrorKind, MultiThreaded, Options, ReadOptions,
    WriteBatch as Batch, WriteOptions,
};
use tidemill_state::{OrderedStore, RowKeys, StateError, TableId, Write, WriteBatch};

use crate::error::RocksDbError;
use crate::memory::SlotMemory;
use crate::options;
use crate::settings::RocksDbSettings;

/// With column families that come and go while others read.
type Database = DBWithThreadMode<MultiThreaded>;

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
    db: Database,
    options: Options,
    of_table: Options,
    writes: WriteOptions,
    /// The names of the column families, by table.
    tables: RwLock<Vec<String>>,
    path: PathBuf,
    /// Held, so that the cache and the limit outlive the database.
    memory: Option<SlotMemory>,
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
        let path = path.into();
        let folder =
            |error: std::io::Error| RocksDbError::Folder { path: path.clone(), reason: error.to_string() };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(folder)?;
        }
        // Not one that is there: its rows would be taken for this subtask's.
        fs::create_dir(&path).map_err(folder)?;
        let of_table = options::column_family(settings, memory)?;
        let options = options::database(settings, memory, true);
        let db = Database::open(&options, &path).map_err(|error| failed("open a RocksDB", &error))?;
        let mut writes = WriteOptions::default();
        writes.disable_wal(true);
        Ok(Self { db, options, of_table, writes, tables: RwLock::default(), path, memory: memory.cloned() })
    }

    /// The folder of its files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The memory that it shares with others of the slot.
    pub fn memory(&self) -> Option<&SlotMemory> {
        self.memory.as_ref()
    }

    /// A number that RocksDB knows of a table, such as `rocksdb.estimate-num-keys`; `None` where it knows none of that name.
    ///
    /// # Errors
    /// When RocksDB fails.
    pub fn property(&self, table: TableId, name: &str) -> Result<Option<u64>, StateError> {
        let family = self.family(table)?;
        self.db.property_int_value_cf(&family, name).map_err(|error| failed("ask for a property", &error))
    }

    /// What RocksDB has counted since it was opened.
    pub fn ticker(&self, ticker: rust_rocksdb::statistics::Ticker) -> u64 {
        self.options.get_ticker_count(ticker)
    }

    /// Writes what is in memory to disk.
    ///
    /// # Errors
    /// When RocksDB fails.
    pub fn flush(&self) -> Result<(), StateError> {
        let tables = self.tables.read().unwrap_or_else(|poisoned| poisoned.into_inner()).len() as u32;
        for table in 0..tables {
            let family = self.family(TableId(table))?;
            self.db.flush_cf(&family).map_err(|error| failed("write a table to disk", &error))?;
        }
        Ok(())
    }

    fn family(&self, table: TableId) -> Result<std::sync::Arc<BoundColumnFamily<'_>>, StateError> {
        let tables = self.tables.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let family = tables.get(table.0 as usize).and_then(|name| self.db.cf_handle(name));
        family.ok_or_else(|| StateError::Store {
            action: "find a table",
            reason: format!("there is no table number {}", table.0),
            retryable: false,
        })
    }
}

impl OrderedStore for RocksDbStore {
    fn open_table(&self, state: &str) -> Result<TableId, StateError> {
        let mut tables = self.tables.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Not the default column family, whatever a state is called.
        let name = format!("state/{state}");
        if let Some(place) = tables.iter().position(|known| *known == name) {
            return Ok(TableId(place as u32));
        }
        let made = self.db.create_cf(&name, &self.of_table);
        made.map_err(|error| failed("make a table", &error))?;
        tables.push(name);
        Ok(TableId(tables.len() as u32 - 1))
    }

    fn multi_get(
        &self,
        table: TableId,
        keys: &RowKeys,
        found: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StateError> {
        let family = self.family(table)?;
        let read = |error: &Error| failed("read rows", error);
        if keys.len() == 1 {
            let row = self.db.get_pinned_cf(&family, keys.get(0)).map_err(|error| read(&error))?;
            found(0, row.as_deref());
            return Ok(());
        }
        // In the order of keys, each file is gone through once.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by(|a, b| keys.get(*a).cmp(keys.get(*b)));
        let rows = self.db.batched_multi_get_pinned_batch_cf(
            &family,
            order.iter().map(|index| keys.get(*index)),
            true,
        );
        let rows = rows.map_err(|error| read(&error))?;
        for (index, row) in order.iter().zip(rows.iter()) {
            found(*index, row.map_err(|error| read(&error))?);
        }
        Ok(())
    }

    fn write(&self, table: TableId, batch: &WriteBatch) -> Result<(), StateError> {
        let family = self.family(table)?;
        let mut changes = Batch::default();
        for change in batch.iter() {
            match change {
                Write::Put(key, value) => changes.put_cf(&family, key, value),
                Write::Append(key, value) => changes.merge_cf(&family, key, value),
                Write::Delete(key) => changes.delete_cf(&family, key),
            }
        }
        self.db.write_opt(&changes, &self.writes).map_err(|error| failed("write rows", &error))
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let family = self.family(table)?;
        let mut options = ReadOptions::default();
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let mut rows = self.db.raw_iterator_cf_opt(&family, options);
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

impl Drop for RocksDbStore {
    fn drop(&mut self) {
        // Compactions would go on writing into a folder that is gone.
        self.db.cancel_all_background_work(true);
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the files of a RocksDB were not removed");
        }
    }
}

fn failed(action: &'static str, error: &Error) -> StateError {
    let retryable = matches!(error.kind(), ErrorKind::Busy | ErrorKind::TimedOut | ErrorKind::TryAgain);
    StateError::Store { action, reason: error.to_string(), retryable }
}
