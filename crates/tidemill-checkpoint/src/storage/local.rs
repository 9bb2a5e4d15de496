//! Files on this machine, written so that a crash of the machine leaves either nothing under a name or all of it.
//!
//! A file is written under another name in the same folder, flushed to the disk and renamed, and then the folder is flushed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use async_trait::async_trait;
use object_store::local::LocalFileSystem;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, PutPayload, PutResult};

/// How the names of files that are being written end.
pub(super) const IN_PROGRESS: &str = ".inprogress";

#[derive(Debug)]
pub(super) struct LocalFiles {
    files: LocalFileSystem,
    /// Where a part stands in its file follows from its number.
    part_size: u64,
}

impl LocalFiles {
    pub(super) fn new(part_size: u64) -> Self {
        Self { files: LocalFileSystem::new(), part_size: part_size.max(1) }
    }

    /// The path as the system has it.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        let of_root = |_| PathBuf::from(format!("/{path}"));
        self.files.path_to_filesystem(path).unwrap_or_else(of_root)
    }

    pub(super) async fn remove_empty_folder(&self, folder: &Path) {
        let folder = self.path(folder);
        // It stays if anything is in it.
        let _ = blocking(move || fs::remove_dir(folder)).await;
    }

    fn staged(&self, path: &Path, id: &MultipartId) -> PathBuf {
        self.path(path).with_file_name(id)
    }
}

#[async_trait]
impl MultipartStore for LocalFiles {
    async fn create_multipart(&self, path: &Path) -> object_store::Result<MultipartId> {
        let target = self.path(path);
        let name = path.filename().unwrap_or_default();
        let id = format!("{name}.{:016x}{IN_PROGRESS}", rand::random::<u64>());
        let staged = target.with_file_name(&id);
        blocking(move || {
            if let Some(folder) = target.parent() {
                create_folder(folder)?;
            }
            File::create_new(staged)
        })
        .await?;
        Ok(id)
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> object_store::Result<PartId> {
        let staged = self.staged(path, id);
        let mut at = self.part_size.saturating_mul(index as u64);
        blocking(move || {
            let file = File::options().write(true).open(staged)?;
            for bytes in &data {
                file.write_all_at(bytes, at)?;
                at += bytes.len() as u64;
            }
            Ok(PartId { content_id: index.to_string() })
        })
        .await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        _parts: Vec<PartId>,
    ) -> object_store::Result<PutResult> {
        let (staged, target) = (self.staged(path, id), self.path(path));
        blocking(move || {
            File::open(&staged)?.sync_all()?;
            fs::rename(&staged, &target)?;
            target.parent().map_or(Ok(()), sync_folder)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> object_store::Result<()> {
        let staged = self.staged(path, id);
        blocking(move || fs::remove_file(staged)).await
    }
}

/// Creates a folder and those above it, each so that it survives a crash of the machine.
pub(super) fn create_folder(folder: &std::path::Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(above) = folder.parent() else { return Ok(()) };
    create_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ if !folder.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        _ => sync_folder(above),
    }
}

fn sync_folder(folder: &std::path::Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> object_store::Result<T> {
    let done = tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| object_store::Error::JoinError { source })?;
    done.map_err(|source| object_store::Error::Generic { store: "local files", source: source.into() })
}
