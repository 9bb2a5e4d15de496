//! [`RocksDbStateBackend`]: opens a RocksDB for each operator subtask of a slot.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidemill_core::ScratchFolder;
use tidemill_core::budget::{MemoryBudget, Reservation};
use tidemill_core::config::options::TimerServiceFactory;
use tidemill_state::{
    StateBackend, StateBackendFactory, StateError, Storage, SubtaskContext, TimerPlacement,
};

use crate::error::RocksDbError;
use crate::memory::SlotMemory;
use crate::settings::RocksDbSettings;
use crate::store::{NAME, RocksDbStore};

/// Makes the backend of each slot of a TaskManager.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_core::config::Configuration;
/// use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackends};
/// use tidemill_state::StateBackendFactory;
///
/// let settings = RocksDbSettings::of(&Configuration::new())?;
/// let backends = RocksDbStateBackends::new(settings, vec![std::env::temp_dir()]);
/// let managed = MemoryBudget::new("managed memory of slot 0", 64 << 20, "taskmanager.memory.managed.size");
/// let slot = backends.of_slot(&managed)?;
/// assert_eq!((slot.name(), managed.available()), ("rocksdb", 0), "it has taken all");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RocksDbStateBackends {
    settings: RocksDbSettings,
    folders: Vec<ScratchFolder>,
    /// The fixed memory that all slots share, where it counts.
    shared: Option<SlotMemory>,
}

impl RocksDbStateBackends {
    /// For a TaskManager with these folders for temporary files, which take RocksDB's files where the settings name no others.
    pub fn new(settings: RocksDbSettings, temporary: Vec<PathBuf>) -> Self {
        let total = settings.fixed_per_tm.filter(|_| settings.fixed_per_slot.is_none() && !settings.managed);
        let shared = total.map(|total| SlotMemory::new(total, &settings));
        let folders = folders(&settings, &temporary);
        Self { settings, folders, shared }
    }

    /// Where RocksDB's files are. They can be deleted when no job runs any more.
    pub fn folders(&self) -> &[ScratchFolder] {
        &self.folders
    }

    /// The fixed memory that all slots share (`state.backend.rocksdb.memory.fixed-per-tm`), where it counts.
    pub fn shared_memory(&self) -> Option<&SlotMemory> {
        self.shared.as_ref()
    }
}

impl StateBackendFactory for RocksDbStateBackends {
    fn of_slot(&self, managed: &MemoryBudget) -> Result<Arc<dyn StateBackend>, StateError> {
        // Flink's order: the fixed memory of the slot, then the managed one, then what all slots share.
        let takes_managed = self.settings.fixed_per_slot.is_none() && self.settings.managed;
        let reserved = takes_managed.then(|| managed.reserve(managed.available())).transpose();
        let reserved =
            reserved.map_err(|source| StateError::OutOfMemory { name: "rocksdb".to_owned(), source })?;
        let own = self.settings.fixed_per_slot.or(reserved.as_ref().map(|reserved| reserved.bytes() as u64));
        let memory = match own {
            Some(total) => Some(SlotMemory::new(total, &self.settings)),
            None => self.shared.clone(),
        };
        let backend = RocksDbStateBackend::with_memory(self.settings.clone(), memory, self.folders.clone())?;
        Ok(Arc::new(RocksDbStateBackend { reserved, ..backend }))
    }
}

/// The state of one slot in RocksDB: the backend `rocksdb`.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_core::config::Configuration;
/// use tidemill_core::hash::RoutingHash;
/// use tidemill_core::{KeyGroupRange, OperatorId};
/// use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackend};
/// use tidemill_state::{KeyedStateBackend, SubtaskContext, SystemClock, ValueState, ValueStateDescriptor};
///
/// let folder = tempfile::tempdir()?;
/// let settings = RocksDbSettings::of(&Configuration::new())?;
/// let backend = RocksDbStateBackend::new(settings, Some(64 << 20), &[folder.path().into()])?;
/// let mut state = KeyedStateBackend::<String>::open(&backend, SubtaskContext {
///     operator: OperatorId::from_name("count"),
///     subtask: 0,
///     key_groups: KeyGroupRange::all(128),
///     max_parallelism: 128,
///     clock: Arc::new(SystemClock),
///     budget: MemoryBudget::unlimited("state"),
/// })?;
/// let visits: ValueState<u64> = state.register_value(ValueStateDescriptor::new("visits"))?;
/// state.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// visits.update(&mut state, 7)?;
/// assert_eq!(visits.get(&mut state)?, Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RocksDbStateBackend {
    settings: RocksDbSettings,
    memory: Option<SlotMemory>,
    folders: Vec<ScratchFolder>,
    /// Which folder the next RocksDB gets.
    next: AtomicUsize,
    /// The managed memory that it takes.
    #[allow(dead_code)] // Held, so that nobody else takes it.
    reserved: Option<Reservation>,
}

impl RocksDbStateBackend {
    /// For a slot with so many bytes of managed memory. Files are put into the folders that the settings say, in turn, and into
    /// `temporary` where they say none; there must be one of either.
    ///
    /// What of the settings has no effect is logged as a warning.
    ///
    /// # Errors
    /// When there is no folder.
    pub fn new(
        settings: RocksDbSettings,
        managed: Option<u64>,
        temporary: &[PathBuf],
    ) -> Result<Self, RocksDbError> {
        let total = settings.fixed_per_slot.or(managed.filter(|_| settings.managed));
        let memory = total.map(|total| SlotMemory::new(total, &settings));
        let folders = folders(&settings, temporary);
        Self::with_memory(settings, memory, folders)
    }

    fn with_memory(
        settings: RocksDbSettings,
        memory: Option<SlotMemory>,
        folders: Vec<ScratchFolder>,
    ) -> Result<Self, RocksDbError> {
        if folders.is_empty() {
            let reason = "none is given".to_owned();
            return Err(RocksDbError::Folder { path: PathBuf::new(), reason });
        }
        for warning in memory.iter().flat_map(|memory| memory.warnings(&settings)) {
            tracing::warn!("{warning}");
        }
        if settings.bloom_block_based {
            tracing::warn!(
                "state.backend.rocksdb.bloom-filter.block-based-mode has no effect: RocksDB has one filter for each file"
            );
        }
        // Not always the same one first: slots begin independently of each other.
        let next = AtomicUsize::new(std::process::id() as usize % folders.len());
        Ok(Self { settings, memory, folders, next, reserved: None })
    }

    /// The memory that all RocksDBs of the slot share, where it is limited.
    pub fn memory(&self) -> Option<&SlotMemory> {
        self.memory.as_ref()
    }

    /// Prepares a RocksDB for a subtask, in the next folder; it is opened when the first table is, or by a restore.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open_store(&self, subtask: &SubtaskContext) -> Result<RocksDbStore, StateError> {
        let folder = &self.folders[self.next.fetch_add(1, Ordering::Relaxed) % self.folders.len()];
        let scratch = folder.create().map_err(|error| RocksDbError::Folder {
            path: folder.parent().to_owned(),
            reason: error.to_string(),
        })?;
        // A name of its own: an earlier attempt of the job may have the folder still.
        let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
        let path = scratch.join(format!("rocksdb-{}-{}-{unique}", subtask.operator, subtask.subtask));
        RocksDbStore::prepare_in(Some(folder.clone()), path, &self.settings, self.memory.as_ref())
    }
}

/// One in each of the folders that the settings name, or else in those for temporary files.
fn folders(settings: &RocksDbSettings, temporary: &[PathBuf]) -> Vec<ScratchFolder> {
    let parents = if settings.local_dirs.is_empty() { temporary } else { &settings.local_dirs };
    parents.iter().map(ScratchFolder::within).collect()
}

/// So many timers are in memory in any case: reading the next ones costs little only if they are many at once, and what jobs with few
/// timers have is not to go through RocksDB.
const TIMERS_AT_LEAST: usize = 64 << 10;

/// Numbers the RocksDBs of this process.
static UNIQUE: AtomicUsize = AtomicUsize::new(0);

impl StateBackend for RocksDbStateBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self, subtask: &SubtaskContext) -> Result<Storage, StateError> {
        let store = Arc::new(self.open_store(subtask)?);
        Ok(match self.memory.as_ref().and_then(SlotMemory::values) {
            None => Storage::Ordered(store),
            Some(values) => Storage::Cached(store, values.clone()),
        })
    }

    fn timers(&self, subtask: &SubtaskContext) -> TimerPlacement {
        match self.settings.timer_service {
            TimerServiceFactory::Heap => TimerPlacement::Heap,
            TimerServiceFactory::RocksDb => {
                let cached =
                    (self.settings.timer_cache_size as usize).saturating_mul(subtask.key_groups.len());
                TimerPlacement::Store { in_memory: cached.max(TIMERS_AT_LEAST) }
            }
        }
    }
}
