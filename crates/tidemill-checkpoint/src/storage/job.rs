//! The checkpoints of one job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use super::address::Address;
use super::folder::CheckpointFolder;
use super::open::Stores;
use super::store::{AT_ONCE, Store};
use super::upload;
use super::{PREFIX, SHARED};
use crate::error::CheckpointError;
use crate::metadata::{CheckpointMetadata, FileLocation, METADATA_FILE, StateHandle};
use crate::shared_files::StateFile;

/// How the names of files begin that only try whether one can be written.
pub(super) const PROBE: &str = "writable-";

/// A folder of a checkpoint that was found.
///
/// ```
/// use tidemill_checkpoint::storage::FoundCheckpoint;
///
/// let found = FoundCheckpoint { id: 7, complete: false };
/// assert!(!found.complete, "its metadata was never written: it is no checkpoint");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundCheckpoint {
    /// The number of the checkpoint.
    pub id: u64,
    /// Whether it has metadata.
    pub complete: bool,
}

/// The checkpoints of one job: `{dir}/{job id}`. See [`CheckpointStorage`](super::CheckpointStorage) for an example.
#[derive(Clone, Debug)]
pub struct JobStorage {
    pub(super) stores: Arc<Stores>,
    pub(super) store: Arc<Store>,
    pub(super) path: Path,
}

impl JobStorage {
    /// The whole name of the folder.
    pub fn uri(&self) -> String {
        self.store.uri(&self.path)
    }

    /// The folder of a checkpoint, whether it exists or not.
    pub fn checkpoint(&self, id: u64) -> CheckpointFolder {
        let path = self.path.clone().join(format!("{PREFIX}{id}"));
        CheckpointFolder { stores: self.stores.clone(), store: self.store.clone(), path, shares: true }
    }

    /// Writes and deletes a small file, so that a storage that cannot be written to is found before the job starts.
    ///
    /// # Errors
    /// When that fails.
    pub async fn check_writable(&self) -> Result<(), CheckpointError> {
        let path = self.path.clone().join(SHARED).join(format!("{PROBE}{:016x}", rand::random::<u64>()));
        upload::write(&self.store, &path, Bytes::from_static(b"?").into(), ()).await?;
        self.store.delete(&path).await
    }

    /// All checkpoints whose folders exist, the newest first.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn list(&self) -> Result<Vec<FoundCheckpoint>, CheckpointError> {
        let names = self.store.list_folders(&self.path).await?;
        let ids = names.iter().filter_map(|name| checkpoint_id(name));
        let mut found: Vec<FoundCheckpoint> = stream::iter(ids)
            .map(|id| async move {
                let complete = self.checkpoint(id).is_complete().await?;
                Ok::<_, CheckpointError>(FoundCheckpoint { id, complete })
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        found.sort_unstable_by_key(|found| std::cmp::Reverse(found.id));
        Ok(found)
    }

    /// All files that a checkpoint of this job or of another needs, its metadata included: what the
    /// [registry](crate::SharedFileRegistry) is told of it.
    ///
    /// # Errors
    /// When the metadata names a file of no storage.
    pub fn files_of(
        &self,
        folder: &CheckpointFolder,
        metadata: &CheckpointMetadata,
    ) -> Result<BTreeSet<StateFile>, CheckpointError> {
        let own = FileLocation::Checkpoint(METADATA_FILE.into());
        let locations = metadata.handles().filter_map(StateHandle::location).chain([&own]);
        locations.map(|location| self.state_file(folder, location)).collect()
    }

    /// The file that the metadata in `folder` names by `location`, as this job names it.
    ///
    /// # Errors
    /// When that is in no storage.
    pub fn state_file(
        &self,
        folder: &CheckpointFolder,
        location: &FileLocation,
    ) -> Result<StateFile, CheckpointError> {
        let (store, path) = folder.resolve(location)?;
        Ok(self.own_file(&store, &path).unwrap_or_else(|| StateFile::Absolute(store.uri(&path))))
    }

    /// A handle of another checkpoint, from `folder`, so that it can be put into the metadata of checkpoint `id` of this job.
    ///
    /// # Errors
    /// When it names a file of no storage.
    pub fn handle_for(
        &self,
        id: u64,
        folder: &CheckpointFolder,
        handle: &StateHandle,
    ) -> Result<StateHandle, CheckpointError> {
        let StateHandle::File { location, offset, length, checksum } = handle else {
            return Ok(handle.clone());
        };
        let (store, path) = folder.resolve(location)?;
        let location = match self.own_file(&store, &path) {
            Some(StateFile::Shared(name)) => FileLocation::Shared(name),
            Some(StateFile::Checkpoint { id: of, name }) if of == id => FileLocation::Checkpoint(name),
            _ => FileLocation::Absolute(store.uri(&path)),
        };
        Ok(StateHandle::File { location, offset: *offset, length: *length, checksum: *checksum })
    }

    /// Deletes files that the [registry](crate::SharedFileRegistry) says no checkpoint needs, the metadata of checkpoints before
    /// anything else: what is left if that is cut short is no checkpoint. Files that are gone count as deleted.
    ///
    /// # Errors
    /// When a storage fails; the call may be made again.
    pub async fn delete(&self, files: &[StateFile]) -> Result<(), CheckpointError> {
        let mut folders = BTreeSet::new();
        let mut of_stores: BTreeMap<String, (Arc<Store>, Vec<Path>, Vec<Path>)> = BTreeMap::new();
        for file in files {
            let (store, path) = self.place(file)?;
            let root = store.root().to_owned();
            let (_, metadata, others) =
                of_stores.entry(root).or_insert_with(|| (store, Vec::new(), Vec::new()));
            if let StateFile::Checkpoint { id, .. } = file {
                folders.insert(*id);
            }
            let first = path.filename() == Some(METADATA_FILE);
            if first { metadata.push(path) } else { others.push(path) }
        }
        let mut later = Vec::new();
        for (store, metadata, others) in of_stores.into_values() {
            store.delete_all(metadata).await?;
            later.push((store, others));
        }
        for (store, others) in later {
            store.delete_all(others).await?;
        }
        for id in folders {
            self.store.remove_empty_folder(&self.checkpoint(id).path).await;
        }
        Ok(())
    }

    fn place(&self, file: &StateFile) -> Result<(Arc<Store>, Path), CheckpointError> {
        match file {
            StateFile::Checkpoint { id, name } => {
                Ok((self.store.clone(), self.checkpoint(*id).path.join(name.as_str())))
            }
            StateFile::Shared(name) => {
                Ok((self.store.clone(), self.path.clone().join(SHARED).join(name.as_str())))
            }
            StateFile::Absolute(uri) => {
                let address = Address::parse(uri)?;
                Ok((self.stores.get(&address)?, address.path))
            }
        }
    }

    /// The name of a file in this job, if it is one of its files.
    pub(super) fn own_file(&self, store: &Store, path: &Path) -> Option<StateFile> {
        if store.root() != self.store.root() {
            return None;
        }
        let mut below = path.prefix_match(&self.path)?;
        let (folder, name) = (below.next()?, below.next()?);
        let name = name.as_ref().to_owned();
        if below.next().is_some() {
            return None;
        }
        match folder.as_ref() {
            SHARED => Some(StateFile::Shared(name)),
            folder => checkpoint_id(folder).map(|id| StateFile::Checkpoint { id, name }),
        }
    }
}

/// The number in the name of a checkpoint's folder.
pub(super) fn checkpoint_id(folder: &str) -> Option<u64> {
    let digits = folder.strip_prefix(PREFIX)?;
    digits.parse().ok().filter(|id: &u64| id.to_string() == digits)
}
