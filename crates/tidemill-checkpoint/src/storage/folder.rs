//! The folder of one checkpoint or savepoint.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use super::address::Address;
use super::open::Stores;
use super::store::{FILES_AT_ONCE, Store};
use super::upload::{self, local};
use super::writer::CheckpointWriter;
use crate::checksum::Checksum;
use crate::error::CheckpointError;
use crate::metadata::{CheckpointMetadata, FileLocation, METADATA_FILE, StateHandle};

/// Bytes that one request of a download asks for.
const DOWNLOAD_PART: u64 = 8 << 20;

/// The folder of one checkpoint or savepoint: what it holds is read and written through this.
///
/// ```
/// use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
/// use tidemill_core::JobId;
/// use tidemill_core::config::{Configuration, Origin};
///
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
/// let mut configuration = Configuration::new();
/// configuration.set_raw("execution.checkpointing.dir", "memory://example/checkpoints", Origin::Api);
/// let settings = StorageSettings::from_configuration(&configuration)?;
/// let storage = CheckpointStorage::open(settings, runtime.handle().clone())?;
/// let folder = storage.job(JobId::from_name("flights"))?.checkpoint(7);
///
/// let handle = storage.block_on(async {
///     let writer = folder.writer(7);
///     let handle = writer.write(vec![1; 100_000]).await?;
///     writer.finish().await?;
///     Ok(handle)
/// })?;
/// assert_eq!(storage.block_on(folder.read(&handle))?.len(), 100_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    pub(super) stores: Arc<Stores>,
    pub(super) store: Arc<Store>,
    pub(super) path: Path,
    /// Whether it has a folder of shared files beside it that new files may go to.
    pub(super) shares: bool,
}

impl CheckpointFolder {
    /// The whole name of the folder, by which it can be restored.
    pub fn uri(&self) -> String {
        self.store.uri(&self.path)
    }

    /// Begins to write the files of the checkpoint with this number.
    pub fn writer(&self, checkpoint_id: u64) -> CheckpointWriter {
        CheckpointWriter::new(self.clone(), checkpoint_id)
    }

    /// Makes the folder a checkpoint: writes its metadata, which appears as a whole or not at all. All files that it names must
    /// be [finished](CheckpointWriter::finish).
    ///
    /// # Errors
    /// When the storage fails. The metadata may be there or not then; [`delete`](Self::delete) makes sure.
    pub async fn publish(&self, metadata: &CheckpointMetadata) -> Result<(), CheckpointError> {
        let bytes = Bytes::from(metadata.encode());
        upload::write(&self.store, &self.metadata_path(), bytes.into(), ()).await
    }

    /// Reads the metadata.
    ///
    /// # Errors
    /// [`CheckpointError::Incomplete`] when there is none, [`CheckpointError::Metadata`] when it is damaged, and when the storage
    /// fails.
    pub async fn read_metadata(&self) -> Result<CheckpointMetadata, CheckpointError> {
        let path = self.metadata_path();
        let Some(found) = self.store.head(&path).await? else {
            return Err(CheckpointError::Incomplete { location: self.uri() });
        };
        if found.size > LARGEST_METADATA {
            let reason = format!("it has {} bytes, more than any metadata", found.size);
            return Err(CheckpointError::Metadata { location: self.store.uri(&path), reason });
        }
        let bytes = self.store.get(&path).await?;
        CheckpointMetadata::decode(&bytes, &self.store.uri(&path))
    }

    /// Whether there is metadata, so that this is a checkpoint.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn is_complete(&self) -> Result<bool, CheckpointError> {
        Ok(self.store.head(&self.metadata_path()).await?.is_some())
    }

    /// Reads state into memory.
    ///
    /// # Errors
    /// [`CheckpointError::StateDamaged`] when it is not what was written, and when the storage fails.
    pub async fn read(&self, handle: &StateHandle) -> Result<Bytes, CheckpointError> {
        let (location, offset, length, checksum) = match handle {
            StateHandle::Inline(bytes) => return Ok(Bytes::copy_from_slice(bytes)),
            StateHandle::File { location, offset, length, checksum } => {
                (location, *offset, *length, *checksum)
            }
        };
        if length == 0 {
            return Ok(Bytes::new());
        }
        let (store, path) = self.resolve(location)?;
        let file = Part { store: &store, path: &path, offset, length };
        file.check_length().await?;
        let bytes = store.get_range(&path, offset..offset + length).await?;
        file.check(bytes.len() as u64, Checksum::of(&bytes), checksum)?;
        Ok(bytes)
    }

    /// Copies state to a file of this machine, which must not exist. What was written is removed when it fails.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the file cannot be written.
    pub async fn download(
        &self,
        handle: &StateHandle,
        to: impl Into<PathBuf>,
    ) -> Result<(), CheckpointError> {
        let to = to.into();
        let target = to.clone();
        let file = local("create", to.clone(), move || std::fs::File::create_new(target)).await?;
        let mut unfinished = RemoveOnDrop(Some(to.clone()));
        self.fill(handle, file, to).await?;
        unfinished.0 = None;
        Ok(())
    }

    /// Copies many pieces of state to files of this machine, some at a time, as [`download`](Self::download) does one. Those that were
    /// copied before one failed stay.
    ///
    /// # Errors
    /// As [`download`](Self::download), of the first that fails.
    pub async fn download_all(&self, files: Vec<(StateHandle, PathBuf)>) -> Result<(), CheckpointError> {
        stream::iter(files)
            .map(|(handle, to)| async move { self.download(&handle, to).await })
            .buffer_unordered(FILES_AT_ONCE)
            .try_collect()
            .await
    }

    async fn fill(
        &self,
        handle: &StateHandle,
        file: std::fs::File,
        to: PathBuf,
    ) -> Result<(), CheckpointError> {
        let file = Arc::new(file);
        let write = async |bytes: Bytes| {
            let file = file.clone();
            local("write", to.clone(), move || (&*file).write_all(&bytes)).await
        };
        let (location, offset, length, expected) = match handle {
            StateHandle::Inline(bytes) => return write(Bytes::copy_from_slice(bytes)).await,
            StateHandle::File { location, offset, length, checksum } => {
                (location, *offset, *length, *checksum)
            }
        };
        let (store, path) = self.resolve(location)?;
        let part = Part { store: &store, path: &path, offset, length };
        part.check_length().await?;
        let end = offset + length;
        let mut pieces = stream::iter((offset..end).step_by(DOWNLOAD_PART as usize))
            .map(|start| store.get_range(&path, start..end.min(start + DOWNLOAD_PART)))
            .buffered(store.parts_at_once);
        let (mut checksum, mut arrived) = (Checksum::default(), 0);
        while let Some(bytes) = pieces.try_next().await? {
            checksum.update(&bytes);
            arrived += bytes.len() as u64;
            write(bytes).await?;
        }
        part.check(arrived, checksum.finish(), expected)
    }

    /// Deletes the folder with all that is in it, the metadata first: what is left if that is cut short is no checkpoint. Files that
    /// it shares with others stay.
    ///
    /// # Errors
    /// When the storage fails; the call may be made again.
    pub async fn delete(&self) -> Result<(), CheckpointError> {
        self.store.delete(&self.metadata_path()).await?;
        if let Some(folder) = self.store.local_path(&self.path) {
            // Unlike a listing, this does not follow links to elsewhere.
            return local("delete", folder.clone(), move || match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                done => done,
            })
            .await;
        }
        self.store.delete_all(self.store.list(&self.path).await?).await?;
        self.store.remove_empty_folder(&self.path).await;
        Ok(())
    }

    pub(super) fn metadata_path(&self) -> Path {
        self.path.clone().join(METADATA_FILE)
    }

    /// The folder that this one lies in: that of the job, for a checkpoint.
    pub(super) fn parent(&self) -> Path {
        let parts: Vec<_> = self.path.parts().collect();
        let above = parts.len().saturating_sub(1);
        parts.into_iter().take(above).collect()
    }

    pub(super) fn resolve(&self, location: &FileLocation) -> Result<(Arc<Store>, Path), CheckpointError> {
        match location {
            FileLocation::Checkpoint(name) => Ok((self.store.clone(), self.path.clone().join(name.as_str()))),
            FileLocation::Shared(name) => {
                Ok((self.store.clone(), self.parent().join(super::SHARED).join(name.as_str())))
            }
            FileLocation::Absolute(uri) => {
                let address = Address::parse(uri)?;
                Ok((self.stores.get(&address)?, address.path))
            }
        }
    }
}

/// Metadata name files, and hold state of at most a megabyte for each subtask: a file beyond this is something else, and is not
/// read into memory to find out.
const LARGEST_METADATA: u64 = 4 << 30;

/// A part of a file that is being read.
struct Part<'a> {
    store: &'a Store,
    path: &'a Path,
    offset: u64,
    length: u64,
}

impl Part<'_> {
    fn damaged(&self, reason: String) -> CheckpointError {
        let location = self.store.uri(self.path);
        CheckpointError::StateDamaged { location, offset: self.offset, length: self.length, reason }
    }

    /// Compares the file with what the handle says, before memory is taken for it.
    async fn check_length(&self) -> Result<(), CheckpointError> {
        match self.store.head(self.path).await? {
            Some(meta) if meta.size < self.offset + self.length => {
                Err(self.damaged(format!("the file has {} bytes", meta.size)))
            }
            Some(_) => Ok(()),
            None => Err(self.damaged("the file is not there".into())),
        }
    }

    fn check(&self, arrived: u64, checksum: u64, expected: u64) -> Result<(), CheckpointError> {
        if arrived != self.length {
            return Err(self.damaged(format!("{arrived} bytes arrived")));
        }
        if checksum != expected {
            return Err(self.damaged("its checksum is another one than when it was written".into()));
        }
        Ok(())
    }
}

struct RemoveOnDrop(Option<PathBuf>);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // It may never have been created.
            let _ = std::fs::remove_file(path);
        }
    }
}
