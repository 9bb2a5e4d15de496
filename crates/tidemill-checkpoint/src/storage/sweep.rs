//! Deleting what belongs to no checkpoint: after a crash, files lie around that nobody knows.

use std::collections::BTreeSet;

use object_store::path::Path;

use super::job::{JobStorage, checkpoint_id};
use super::{PREFIX, SHARED};
use crate::error::CheckpointError;
use crate::shared_files::{SharedFileRegistry, StateFile};

/// The checkpoints that may be writing files while a sweep goes on.
///
/// ```
/// use tidemill_checkpoint::storage::InProgress;
///
/// let in_progress = InProgress { ids: [7].into(), next: 9 };
/// assert!(in_progress.contains(7) && !in_progress.contains(8));
/// assert!(in_progress.contains(9), "it may begin at any moment");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InProgress {
    /// Those that have begun, in whatever attempt of the job.
    pub ids: BTreeSet<u64>,
    /// The number of the next one: it and all higher ones may begin during the sweep.
    pub next: u64,
}

impl InProgress {
    /// Whether a checkpoint may be writing.
    pub fn contains(&self, id: u64) -> bool {
        id >= self.next || self.ids.contains(&id)
    }
}

/// What a sweep has deleted.
///
/// ```
/// use tidemill_checkpoint::storage::Swept;
///
/// assert_eq!(Swept::default().files, Vec::<String>::new());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The whole names of the files.
    pub files: Vec<String>,
}

impl JobStorage {
    /// Deletes every file of checkpoints of this job that the registry does not know, unless a checkpoint that is in progress, or
    /// pending in the registry, has written it. A registry that was rebuilt must know all checkpoints that are to be kept. What has
    /// another name than the files of checkpoints is left alone.
    ///
    /// Uploads that a killed process has left unfinished in an object store are no files, and object stores delete them by rules of
    /// their own: for S3, a lifecycle rule `AbortIncompleteMultipartUpload` on the bucket.
    ///
    /// ```
    /// # use tidemill_checkpoint::{CheckpointStorage, SharedFileRegistry, StorageSettings};
    /// # use tidemill_core::JobId;
    /// # use tidemill_core::config::{Configuration, Origin};
    /// use tidemill_checkpoint::storage::InProgress;
    ///
    /// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    /// # let mut configuration = Configuration::new();
    /// # configuration.set_raw("execution.checkpointing.dir", "memory://example/checkpoints", Origin::Api);
    /// # let settings = StorageSettings::from_configuration(&configuration)?;
    /// # let storage = CheckpointStorage::open(settings, runtime.handle().clone())?;
    /// let job = storage.job(JobId::from_name("flights"))?;
    /// let swept = storage.block_on(async {
    ///     let crashed = job.checkpoint(3).writer(3);
    ///     crashed.write(vec![1; 100_000]).await?;
    ///     crashed.finish().await?;
    ///     let in_progress = InProgress { ids: Default::default(), next: 4 };
    ///     job.sweep(&SharedFileRegistry::new(), &in_progress).await
    /// })?;
    /// assert_eq!(swept.files.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the storage fails; the call may be made again.
    pub async fn sweep(
        &self,
        registry: &SharedFileRegistry,
        in_progress: &InProgress,
    ) -> Result<Swept, CheckpointError> {
        let goes_on = |id| in_progress.contains(id) || registry.is_pending(id);
        let names = self.store.list_folders(&self.path).await?;
        let folders = names.iter().filter(|name| checkpoint_id(name).is_some_and(|id| !goes_on(id)));
        let folders: Vec<Path> = folders.map(|name| self.path.clone().join(name.as_str())).collect();
        let mut found: Vec<Path> = Vec::new();
        for folder in folders.iter().chain([&self.path.clone().join(SHARED)]) {
            found.extend(self.store.list(folder).await?);
        }
        found.retain(|path| {
            let Some(file) = self.own_file(&self.store, path) else {
                // Deeper than files of checkpoints are: only a folder of a checkpoint is wholly ours.
                let mut below = path.prefix_match(&self.path).into_iter().flatten();
                return below.next().is_some_and(|folder| checkpoint_id(folder.as_ref()).is_some());
            };
            let writer = match &file {
                StateFile::Checkpoint { id, .. } => Some(*id),
                StateFile::Shared(name) => writer_of(name),
                StateFile::Absolute(_) => None,
            };
            let of_nobody = matches!(&file, StateFile::Shared(name) if name.starts_with(super::job::PROBE));
            of_nobody || writer.is_some_and(|id| !goes_on(id)) && !registry.is_known(&file)
        });
        // A folder of a checkpoint that is a link is somebody's own doing, and what it leads to may be anything.
        found.retain(|path| !self.is_behind_link(path));
        let swept = Swept { files: found.iter().map(|path| self.store.uri(path)).collect() };
        self.store.delete_all(found).await?;
        for folder in &folders {
            self.store.remove_empty_folder(folder).await;
        }
        Ok(swept)
    }
}

impl JobStorage {
    /// Whether a folder of a checkpoint on the way to a file, or one in it, is a link.
    fn is_behind_link(&self, path: &Path) -> bool {
        let below: Vec<_> = path.prefix_match(&self.path).into_iter().flatten().collect();
        let Some((_, folders)) = below.split_last() else { return false };
        // The shared files may be kept elsewhere, and have names by which they are known.
        if folders.first().is_some_and(|first| first.as_ref() == SHARED) {
            return false;
        }
        let mut at = self.path.clone();
        folders.iter().any(|folder| {
            at = at.clone().join(folder.clone());
            self.store.local_path(&at).is_some_and(|folder| folder.is_symlink())
        })
    }
}

/// The checkpoint that wrote a shared file.
fn writer_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}
