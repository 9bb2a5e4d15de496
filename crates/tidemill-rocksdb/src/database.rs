//! [`Opened`]: a RocksDB with its tables, and the folder that goes with it.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rust_rocksdb::{BoundColumnFamily, ColumnFamilyDescriptor, DBWithThreadMode, MultiThreaded, Options};
use tidemill_core::ScratchFolder;
use tidemill_state::{RowFilter, StateError, TableId};

use crate::memory::SlotMemory;
use crate::options;
use crate::settings::RocksDbSettings;
use crate::store::failed;
use crate::ttl_filter::{FilterCell, TtlFilterFactory};

/// With column families that come and go while others read.
pub(crate) type Database = DBWithThreadMode<MultiThreaded>;

/// A folder that is removed when it is dropped.
pub(crate) struct StoreFolder {
    pub(crate) path: PathBuf,
    /// What it is in, and stays for as long.
    pub(crate) scratch: Option<ScratchFolder>,
}

impl StoreFolder {
    pub(crate) fn new(path: PathBuf, scratch: Option<ScratchFolder>) -> Self {
        Self { path, scratch }
    }
}

impl Drop for StoreFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the files of a RocksDB were not removed");
        }
    }
}

/// What a RocksDB, and each table in it, is opened with.
pub(crate) struct Setup {
    pub(crate) settings: RocksDbSettings,
    pub(crate) options: Options,
    pub(crate) of_table: Options,
    /// Held, so that the cache and the limit outlive the database.
    pub(crate) memory: Option<SlotMemory>,
}

impl Setup {
    pub(crate) fn new(settings: &RocksDbSettings, memory: Option<&SlotMemory>) -> Result<Self, StateError> {
        let of_table = options::column_family(settings, memory)?;
        let options = options::database(settings, memory, settings.metrics.needs_statistics());
        Ok(Self { settings: settings.clone(), options, of_table, memory: memory.cloned() })
    }

    /// The options of a table whose rows may expire.
    fn of_expiring(&self, cell: &Arc<FilterCell>) -> Options {
        let mut options = self.of_table.clone();
        let look_again_after = self.settings.filter_query_time;
        options.set_compaction_filter_factory(TtlFilterFactory::new(Arc::clone(cell), look_again_after));
        options.set_periodic_compaction_seconds(self.settings.filter_periodic_time.as_secs());
        options
    }
}

/// A column family.
#[derive(Default)]
pub(crate) struct Family {
    pub(crate) name: String,
    /// Of a table whose rows may expire.
    filter: Option<Arc<FilterCell>>,
}

impl Family {
    pub(crate) fn new(name: impl Into<String>, expires: bool) -> Self {
        Self { name: name.into(), filter: expires.then(Arc::default) }
    }

    fn options(&self, setup: &Setup) -> Options {
        self.filter.as_ref().map_or_else(|| setup.of_table.clone(), |cell| setup.of_expiring(cell))
    }

    pub(crate) fn descriptor(&self, setup: &Setup) -> ColumnFamilyDescriptor {
        ColumnFamilyDescriptor::new(&self.name, self.options(setup))
    }
}

/// Which tables there are.
#[derive(Default)]
pub(crate) struct Tables {
    /// By [`TableId`]; `None` for those that were dropped.
    families: Vec<Option<Family>>,
    states: HashMap<String, TableId>,
    /// The filters of states that are about to get a table.
    expected: HashMap<String, Arc<dyn RowFilter>>,
}

/// An open RocksDB.
pub(crate) struct Opened {
    pub(crate) db: Database,
    /// With the statistics.
    pub(crate) options: Options,
    tables: RwLock<Tables>,
    /// Of the files that came from a snapshot: the ids under which they are known.
    pub(crate) inherited: HashMap<String, String>,
    setup: Arc<Setup>,
    /// Removed after the database is closed.
    _folder: Arc<StoreFolder>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Compactions would go on writing into a folder that is about to go.
        self.db.cancel_all_background_work(true);
    }
}

impl Opened {
    /// Opens what is in the folder: nothing, or these families.
    pub(crate) fn open(
        setup: &Arc<Setup>,
        folder: &Arc<StoreFolder>,
        families: Vec<Family>,
        inherited: HashMap<String, String>,
    ) -> Result<Self, rust_rocksdb::Error> {
        let descriptors: Vec<_> = families.iter().map(|family| family.descriptor(setup)).collect();
        let db = if descriptors.is_empty() {
            Database::open(&setup.options, &folder.path)?
        } else {
            Database::open_cf_descriptors(&setup.options, &folder.path, descriptors)?
        };
        let families = families.into_iter().map(Some).collect();
        let tables = RwLock::new(Tables { families, ..Tables::default() });
        let (setup, folder) = (Arc::clone(setup), Arc::clone(folder));
        Ok(Self { db, options: setup.options.clone(), tables, inherited, setup, _folder: folder })
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn family_name(&self, table: TableId) -> Result<String, StateError> {
        let tables = self.tables();
        let family = tables.families.get(table.0 as usize).and_then(Option::as_ref);
        family.map(|family| family.name.clone()).ok_or_else(|| no_table(table))
    }

    pub(crate) fn family(&self, table: TableId) -> Result<Arc<BoundColumnFamily<'_>>, StateError> {
        let tables = self.tables();
        let family = tables.families.get(table.0 as usize).and_then(Option::as_ref);
        family.and_then(|family| self.db.cf_handle(&family.name)).ok_or_else(|| no_table(table))
    }

    /// Each state that has a table, and the name of the table.
    pub(crate) fn families_of_states(&self) -> Vec<(String, String)> {
        let tables = self.tables();
        let name = |table: &TableId| Some(tables.families.get(table.0 as usize)?.as_ref()?.name.clone());
        let mut found: Vec<_> =
            tables.states.iter().filter_map(|(state, table)| Some((state.clone(), name(table)?))).collect();
        found.sort_unstable();
        found
    }

    /// The names of all tables.
    pub(crate) fn all_families(&self) -> Vec<String> {
        self.tables().families.iter().flatten().map(|family| family.name.clone()).collect()
    }

    /// Finds or makes the table of a state.
    pub(crate) fn open_table(&self, state: &str) -> Result<TableId, StateError> {
        let mut tables = self.tables_mut();
        if let Some(table) = tables.states.get(state) {
            return Ok(*table);
        }
        let filter = tables.expected.remove(state);
        let table = self.add_table(&mut tables, state, filter.is_some())?;
        if let (Some(filter), Some(cell)) = (filter, tables.cell(table)) {
            cell.set(filter);
        }
        tables.states.insert(state.to_owned(), table);
        Ok(table)
    }

    /// Makes a table that is not yet that of a state.
    pub(crate) fn new_table(&self, state: &str, expires: bool) -> Result<TableId, StateError> {
        self.add_table(&mut self.tables_mut(), state, expires)
    }

    fn add_table(&self, tables: &mut Tables, state: &str, expires: bool) -> Result<TableId, StateError> {
        // Not the default column family, whatever a state is called; another one beside a table with other rows.
        let names = std::iter::once(format!("state/{state}"));
        let mut names = names.chain((1..).map(|number: u64| format!("state.{number}/{state}")));
        let name = names.find(|name| self.db.cf_handle(name).is_none()).unwrap_or_default();
        let family = Family::new(name, expires);
        let made = self.db.create_cf(&family.name, &family.options(&self.setup));
        made.map_err(|error| failed("make a table", &error))?;
        tables.families.push(Some(family));
        Ok(TableId(tables.families.len() as u32 - 1))
    }

    pub(crate) fn bind(&self, table: TableId, state: &str) -> Result<(), StateError> {
        let mut tables = self.tables_mut();
        let free = !tables.states.contains_key(state) && !tables.states.values().any(|other| *other == table);
        match tables.families.get(table.0 as usize) {
            Some(Some(_)) if free => {
                tables.states.insert(state.to_owned(), table);
                Ok(())
            }
            _ => Err(no_table(table)),
        }
    }

    pub(crate) fn drop_table(&self, table: TableId) -> Result<(), StateError> {
        let mut tables = self.tables_mut();
        let family = tables
            .families
            .get_mut(table.0 as usize)
            .and_then(Option::take)
            .ok_or_else(|| no_table(table))?;
        self.db.drop_cf(&family.name).map_err(|error| failed("remove a table", &error))
    }

    /// Has rows of the table of `state`, which is there or is about to be, judged when files are merged.
    pub(crate) fn set_row_filter(&self, state: &str, filter: Arc<dyn RowFilter>) {
        let mut tables = self.tables_mut();
        match tables.states.get(state).and_then(|table| tables.cell(*table)) {
            Some(cell) => cell.set(filter),
            None => drop(tables.expected.insert(state.to_owned(), filter)),
        }
    }
}

impl Tables {
    fn cell(&self, table: TableId) -> Option<Arc<FilterCell>> {
        self.families.get(table.0 as usize)?.as_ref()?.filter.clone()
    }
}

fn no_table(table: TableId) -> StateError {
    StateError::Store {
        action: "find a table",
        reason: format!("there is no table number {}", table.0),
        retryable: false,
    }
}
