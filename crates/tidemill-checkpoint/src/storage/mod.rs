//! Where checkpoints are kept: a folder of this machine or an object store, laid out as Flink does.
//!
//! ```text
//! {execution.checkpointing.dir}/{job id}/chk-7/_metadata       written last: without it there is no checkpoint
//!                                       /chk-7/5f3a…           state of this checkpoint only
//!                                       /shared/chk-6-91bc…    state that several checkpoints name; chk-6 has written it
//! {savepoint folder}/savepoint-{short job id}-{random}/…       a savepoint, with all of its state
//! ```
//!
//! Every request is made again a limited number of times when that may help ([`RetryPolicy`]), and fails with a
//! [`CheckpointError`] that says what to do.

mod address;
mod failure;
mod find;
mod folder;
mod job;
mod local;
mod lock;
mod open;
mod settings;
mod store;
mod sweep;
mod upload;
mod writer;

use std::future::Future;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use tidemill_core::JobId;
use tidemill_core::config::options;
use tokio::runtime::Handle;

pub use find::LeftBehind;
pub use folder::CheckpointFolder;
pub use job::{FoundCheckpoint, JobStorage};
pub use lock::JobLock;
pub use settings::{RetryPolicy, S3Settings, StorageSettings};
pub use sweep::{InProgress, Swept};
pub use writer::{CheckpointWriter, Placement, Written};

use crate::error::CheckpointError;
use crate::metadata::METADATA_FILE;
use address::Address;
use open::Stores;

/// The name of the folder of files that several checkpoints name.
const SHARED: &str = "shared";
/// What stands before the number in the name of a checkpoint's folder, and of a shared file.
const PREFIX: &str = "chk-";
/// How the names of savepoints' folders begin.
const SAVEPOINT_PREFIX: &str = "savepoint-";

/// The name of a shared file. It says which checkpoint wrote it, so that files of those in progress can be told from others.
fn shared_name(checkpoint_id: u64, unique: &str) -> String {
    format!("{PREFIX}{checkpoint_id}-{unique}")
}

/// The storage of checkpoints that a configuration names. Clones are the same storage.
///
/// All work is done on the runtime that it was opened with, whose timers must be enabled; whoever is not on it uses
/// [`block_on`](Self::block_on).
///
/// ```
/// use tidemill_checkpoint::metadata::CheckpointKind;
/// use tidemill_checkpoint::{CheckpointMetadata, CheckpointStorage, StorageSettings};
/// use tidemill_core::JobId;
/// use tidemill_core::config::{Configuration, Origin};
///
/// let folder = tempfile::tempdir().unwrap();
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
/// let mut configuration = Configuration::new();
/// configuration.set_raw("execution.checkpointing.dir", folder.path().to_str().unwrap(), Origin::Api);
/// let settings = StorageSettings::from_configuration(&configuration)?;
/// let storage = CheckpointStorage::open(settings, runtime.handle().clone())?;
///
/// let job_id = JobId::from_name("flights");
/// let job = storage.job(job_id)?;
/// let metadata = CheckpointMetadata {
///     checkpoint_id: 7,
///     kind: CheckpointKind::Checkpoint,
///     timestamp_ms: 1_700_000_000_000,
///     job_name: "flights".into(),
///     job_id,
///     operators: Vec::new(),
/// };
/// storage.block_on(job.checkpoint(7).publish(&metadata))?;
/// let found = storage.block_on(job.list())?;
/// assert_eq!((found[0].id, found[0].complete), (7, true));
/// let restored = storage.at(&job.checkpoint(7).uri())?;
/// assert_eq!(storage.block_on(restored.read_metadata())?, metadata);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointStorage {
    stores: Arc<Stores>,
}

impl CheckpointStorage {
    /// Opens the storage that the settings name. Nothing is written or asked for yet.
    ///
    /// # Errors
    /// When a folder of the settings names no storage, or one that cannot be set up.
    pub fn open(settings: StorageSettings, runtime: Handle) -> Result<Self, CheckpointError> {
        let storage = Self { stores: Arc::new(Stores::new(settings, runtime)) };
        let settings = &storage.stores.settings;
        for (folder, key) in [
            (&settings.checkpoint_dir, options::CHECKPOINT_DIR.key()),
            (&settings.savepoint_dir, options::SAVEPOINT_DIR.key()),
        ] {
            if let Some(folder) = folder {
                storage.stores.get(&Address::parse_for(folder, key)?)?;
            }
        }
        Ok(storage)
    }

    /// Opens the storage that the settings name, with a store of the caller's where they name `root`, such as `s3://bucket`: for a
    /// kind of store that Tidemill does not know, and for tests.
    ///
    /// ```
    /// # use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
    /// # use tidemill_core::config::{Configuration, Origin};
    /// use std::sync::Arc;
    /// use object_store::memory::InMemory;
    ///
    /// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    /// # let mut configuration = Configuration::new();
    /// # configuration.set_raw("execution.checkpointing.dir", "s3://bucket/checkpoints", Origin::Api);
    /// # let settings = StorageSettings::from_configuration(&configuration)?;
    /// let store = Arc::new(InMemory::new());
    /// let storage =
    ///     CheckpointStorage::with_store(settings, runtime.handle().clone(), "s3://bucket", store.clone(), store)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_store(
        settings: StorageSettings,
        runtime: Handle,
        root: &str,
        objects: Arc<dyn ObjectStore>,
        parts: Arc<dyn MultipartStore>,
    ) -> Result<Self, CheckpointError> {
        let stores = Stores::new(settings.clone(), runtime.clone());
        stores.insert(&Address::parse(root)?.root, objects, parts);
        let storage = Self { stores: Arc::new(stores) };
        for folder in [&settings.checkpoint_dir, &settings.savepoint_dir].into_iter().flatten() {
            storage.stores.get(&Address::parse(folder)?)?;
        }
        Ok(storage)
    }

    /// The settings that it was opened with.
    pub fn settings(&self) -> &StorageSettings {
        &self.stores.settings
    }

    /// The checkpoints of a job.
    ///
    /// # Errors
    /// When `execution.checkpointing.dir` is not set.
    pub fn job(&self, job_id: JobId) -> Result<JobStorage, CheckpointError> {
        let key = options::CHECKPOINT_DIR.key();
        let settings = &self.stores.settings;
        let folder = settings.checkpoint_dir.as_deref();
        let folder = folder.ok_or(CheckpointError::NoDirectory { what: "checkpoints", key })?;
        let mut address = Address::parse_for(folder, key)?;
        if settings.create_subdir {
            address.path = address.path.join(job_id.to_string());
        }
        let store = self.stores.get(&address)?;
        Ok(JobStorage { stores: self.stores.clone(), store, path: address.path })
    }

    /// A new folder for a savepoint of a job, in the folder `target` or else that of the settings.
    ///
    /// ```
    /// # use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
    /// # use tidemill_core::JobId;
    /// # use tidemill_core::config::Configuration;
    /// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    /// # let settings = StorageSettings::from_configuration(&Configuration::new())?;
    /// # let storage = CheckpointStorage::open(settings, runtime.handle().clone())?;
    /// let folder = storage.savepoint(JobId(0xabcdef << 104), Some("memory://example/savepoints"))?;
    /// assert!(folder.uri().starts_with("memory://example/savepoints/savepoint-abcdef-"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When neither names a folder, or one of no storage.
    pub fn savepoint(
        &self,
        job_id: JobId,
        target: Option<&str>,
    ) -> Result<CheckpointFolder, CheckpointError> {
        let key = options::SAVEPOINT_DIR.key();
        let mut address = match (target, self.stores.settings.savepoint_dir.as_deref()) {
            (Some(target), _) => Address::parse(target)?,
            (None, Some(configured)) => Address::parse_for(configured, key)?,
            (None, None) => return Err(CheckpointError::NoDirectory { what: "savepoints", key }),
        };
        let job = job_id.to_string();
        let name = format!("{SAVEPOINT_PREFIX}{}-{:012x}", &job[..6], rand::random::<u64>() >> 16);
        address.path = address.path.join(name);
        let store = self.stores.get(&address)?;
        Ok(CheckpointFolder { stores: self.stores.clone(), store, path: address.path, shares: false })
    }

    /// The checkpoint or savepoint that a text names: its folder, or the file `_metadata` in it.
    ///
    /// ```
    /// # use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
    /// # use tidemill_core::config::Configuration;
    /// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    /// # let settings = StorageSettings::from_configuration(&Configuration::new())?;
    /// # let storage = CheckpointStorage::open(settings, runtime.handle().clone())?;
    /// let folder = storage.at("file:///savepoints/savepoint-1/_metadata")?;
    /// assert_eq!(folder.uri(), "file:///savepoints/savepoint-1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When it names no storage.
    pub fn at(&self, uri: &str) -> Result<CheckpointFolder, CheckpointError> {
        let uri = uri.trim().trim_end_matches('/');
        let folder = uri.strip_suffix(METADATA_FILE).filter(|folder| folder.ends_with('/')).unwrap_or(uri);
        let address = Address::parse(folder)?;
        let store = self.stores.get(&address)?;
        Ok(CheckpointFolder { stores: self.stores.clone(), store, path: address.path, shares: false })
    }

    /// Waits on a plain thread for something that this storage does.
    ///
    /// # Errors
    /// What the future returns, and [`CheckpointError::BlockingInRuntime`] on a thread of an asynchronous runtime.
    pub fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, CheckpointError>>,
    ) -> Result<T, CheckpointError> {
        if Handle::try_current().is_ok() {
            return Err(CheckpointError::BlockingInRuntime);
        }
        self.stores.background.runtime().block_on(work)
    }

    /// Waits until what was given up is cleaned up: unfinished uploads, and files of writers that were dropped. To be called before
    /// the process ends.
    pub async fn settle(&self) {
        self.stores.background.idle().await;
    }
}
