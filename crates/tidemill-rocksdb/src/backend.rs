//! [`RocksDbStateBackend`]: opens a RocksDB for each operator subtask of a slot.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidemill_core::budget::{MemoryBudget, Reservation};
use tidemill_state::{StateBackend, StateBackendFactory, StateError, Storage, SubtaskContext};

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
    temporary: Vec<PathBuf>,
    /// The fixed memory that all slots share, where it counts.
    shared: Option<SlotMemory>,
}

impl RocksDbStateBackends {
    /// For a TaskManager with these folders for temporary files.
    pub fn new(settings: RocksDbSettings, temporary: Vec<PathBuf>) -> Self {
        let total = settings.fixed_per_tm.filter(|_| settings.fixed_per_slot.is_none() && !settings.managed);
        let shared = total.map(|total| SlotMemory::new(total, &settings));
        Self { settings, temporary, shared }
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
        let backend = RocksDbStateBackend::with_memory(self.settings.clone(), memory, &self.temporary)?;
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
    folders: Vec<PathBuf>,
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
        Self::with_memory(settings, memory, temporary)
    }

    fn with_memory(
        settings: RocksDbSettings,
        memory: Option<SlotMemory>,
        temporary: &[PathBuf],
    ) -> Result<Self, RocksDbError> {
        let folders =
            if settings.local_dirs.is_empty() { temporary.to_vec() } else { settings.local_dirs.clone() };
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
        // A name of its own: other jobs, and another attempt of this one, may use the same folder.
        let unique = format!(
            "{:016x}",
            UNIQUE.fetch_add(1, Ordering::Relaxed) as u64 | u64::from(std::process::id()) << 32
        );
        let name = format!("tidemill-rocksdb-{}-{}-{unique}", subtask.operator, subtask.subtask);
        RocksDbStore::prepare(folder.join(name), &self.settings, self.memory.as_ref())
    }
}

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
}
