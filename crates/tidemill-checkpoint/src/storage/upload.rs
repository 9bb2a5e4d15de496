//! One file on its way into a storage.

use std::any::Any;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, PutPayload};

use super::failure::of_io;
use super::store::Store;
use crate::checksum::Checksum;
use crate::error::CheckpointError;

/// A file that is written in parts and appears as a whole. Given up when it is dropped.
pub(super) struct Upload {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    path: Path,
    id: MultipartId,
    completed: AtomicBool,
    parts: Mutex<Vec<(usize, PartId)>>,
    /// Lasts until the upload is complete, or nothing is left of it.
    keep: Option<Box<dyn Any + Send + Sync>>,
}

impl Upload {
    /// Begins with a file. `keep` lasts until it is complete, or was given up and nothing is left of it.
    pub(super) async fn start<K: Send + Sync + 'static>(
        store: Arc<Store>,
        path: Path,
        keep: K,
    ) -> Result<Self, CheckpointError> {
        // If the caller goes away, the upload that has just been started is dropped there, and so given up.
        let background = store.background.clone();
        let create = async move {
            let id = store.create_multipart(&path).await?;
            let (completed, parts) = (AtomicBool::new(false), Mutex::default());
            let keep: Option<Box<dyn Any + Send + Sync>> = Some(Box::new(keep));
            Ok(Self { inner: Arc::new(Inner { store, path, id, completed, parts, keep }) })
        };
        background.to_the_end((), create).await
    }

    pub(super) async fn part(&self, index: usize, payload: &PutPayload) -> Result<(), CheckpointError> {
        let Inner { store, path, id, parts, .. } = &*self.inner;
        let part = store.put_part(path, id, index, payload).await?;
        parts.lock().unwrap_or_else(PoisonError::into_inner).push((index, part));
        Ok(())
    }

    /// Has the file appear, with all parts that were written. Goes on when the caller goes away, and `keep` lasts as long.
    pub(super) async fn complete<K: Send + 'static>(
        &self,
        length: u64,
        keep: K,
    ) -> Result<(), CheckpointError> {
        let inner = self.inner.clone();
        let background = inner.store.background.clone();
        let complete = async move {
            let mut parts = inner.parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
            parts.sort_unstable_by_key(|(index, _)| *index);
            let parts: Vec<PartId> = parts.into_iter().map(|(_, part)| part).collect();
            inner.store.complete_multipart(&inner.path, &inner.id, &parts, length).await?;
            inner.completed.store(true, Ordering::Release);
            Ok(())
        };
        background.to_the_end(keep, complete).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.completed.load(Ordering::Acquire) {
            let (store, path) = (self.store.clone(), self.path.clone());
            let (id, keep) = (std::mem::take(&mut self.id), self.keep.take());
            self.store.background.spawn(async move {
                store.abort_multipart(&path, &id).await;
                drop(keep);
            });
        }
    }
}

/// Writes a file that is in one step; goes on when the caller goes away, and `keep` lasts as long.
async fn put<K: Send + 'static>(
    store: &Arc<Store>,
    path: &Path,
    payload: PutPayload,
    keep: K,
) -> Result<(), CheckpointError> {
    let (to, path) = (store.clone(), path.clone());
    store.background.to_the_end(keep, async move { to.put(&path, &payload).await }).await
}

/// Writes a file that is in memory. `keep` lasts until nothing can make the file appear any more.
pub(super) async fn write<K: Clone + Send + Sync + 'static>(
    store: &Arc<Store>,
    path: &Path,
    payload: PutPayload,
    keep: K,
) -> Result<(), CheckpointError> {
    let length = payload.content_length();
    if !store.stages_files() && length <= store.part_size {
        return put(store, path, payload, keep).await;
    }
    let upload = Upload::start(store.clone(), path.clone(), keep.clone()).await?;
    let mut chunks = Chunks::default();
    chunks.extend(payload);
    let mut parts = chunks.full_parts(store.part_size);
    // A file without bytes has one part, too.
    if chunks.bytes > 0 || parts.is_empty() {
        parts.push(chunks.take());
    }
    // Owned by the futures: with references the compiler finds them to be good for one lifetime only.
    stream::iter(parts.into_iter().enumerate())
        .map(|(index, part)| {
            let upload = &upload;
            async move { upload.part(index, &part).await }
        })
        .buffer_unordered(store.parts_at_once)
        .try_collect::<()>()
        .await?;
    upload.complete(length as u64, keep).await
}

/// Copies a file of this machine, `length` bytes, of which the checksum is returned. `keep` is as for [`write`].
pub(super) async fn copy<K: Clone + Send + Sync + 'static>(
    store: &Arc<Store>,
    path: &Path,
    from: PathBuf,
    file: File,
    length: u64,
    keep: K,
) -> Result<u64, CheckpointError> {
    let part_size = store.part_size as u64;
    if !store.stages_files() && length <= part_size {
        let bytes = read_at(Arc::new(file), from, 0, length).await?;
        let checksum = Checksum::of(&bytes);
        put(store, path, bytes.into(), keep).await?;
        return Ok(checksum);
    }
    let upload = Upload::start(store.clone(), path.clone(), keep.clone()).await?;
    let file = Arc::new(file);
    let checksum = Arc::new(Mutex::new(Checksum::default()));
    // Read one after the other, which the checksum needs, and written side by side.
    let starts = stream::iter((0..length.max(1)).step_by(store.part_size));
    starts
        .then(|start| {
            let (file, from, checksum) = (file.clone(), from.clone(), checksum.clone());
            async move {
                let bytes = read_at(file, from, start, part_size.min(length - start)).await?;
                checksum.lock().unwrap_or_else(PoisonError::into_inner).update(&bytes);
                Ok::<_, CheckpointError>(bytes)
            }
        })
        .enumerate()
        .map(|(index, bytes)| {
            let upload = &upload;
            async move { upload.part(index, &bytes?.into()).await }
        })
        .buffer_unordered(store.parts_at_once)
        .try_collect::<()>()
        .await?;
    upload.complete(length, keep).await?;
    let mut checksum = checksum.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *checksum).finish())
}

pub(super) async fn read_at(
    file: Arc<File>,
    path: PathBuf,
    at: u64,
    length: u64,
) -> Result<Bytes, CheckpointError> {
    local("read", path, move || {
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, at)?;
        Ok(bytes.into())
    })
    .await
}

/// Does something with a file of this machine that is no part of a storage.
pub(super) async fn local<T: Send + 'static>(
    action: &'static str,
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, CheckpointError> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| CheckpointError::LocalFile {
        action,
        path,
        failure: of_io(&error),
        detail: error.to_string(),
    })
}

/// Pieces of memory that follow each other in a file.
#[derive(Default)]
pub(super) struct Chunks {
    chunks: std::collections::VecDeque<Bytes>,
    pub(super) bytes: usize,
}

impl Chunks {
    pub(super) fn extend(&mut self, chunks: impl IntoIterator<Item = Bytes>) {
        for chunk in chunks {
            self.bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Takes as many whole parts as there are.
    pub(super) fn full_parts(&mut self, size: usize) -> Vec<PutPayload> {
        let mut parts = Vec::new();
        while self.bytes >= size {
            parts.push(self.split(size));
        }
        parts
    }

    /// Takes all.
    pub(super) fn take(&mut self) -> PutPayload {
        self.split(self.bytes)
    }

    fn split(&mut self, size: usize) -> PutPayload {
        let mut part = Vec::new();
        let mut missing = size;
        while missing > 0 {
            let Some(mut chunk) = self.chunks.pop_front() else { break };
            if chunk.len() > missing {
                self.chunks.push_front(chunk.split_off(missing));
            }
            missing -= chunk.len();
            part.push(chunk);
        }
        self.bytes -= size - missing;
        part.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_whole_and_in_order(lengths in prop::collection::vec(0usize..50, 0..20), size in 1usize..40) {
            let mut all = Vec::new();
            let mut chunks = Chunks::default();
            let mut parts = Vec::new();
            for (i, length) in lengths.into_iter().enumerate() {
                let chunk = vec![i as u8; length];
                all.extend_from_slice(&chunk);
                chunks.extend([Bytes::from(chunk)]);
                parts.extend(chunks.full_parts(size));
            }
            prop_assert!(parts.iter().all(|part| part.content_length() == size));
            prop_assert!(chunks.bytes < size);
            parts.push(chunks.take());
            prop_assert_eq!(chunks.bytes, 0);
            let together: Vec<u8> = parts.iter().flatten().flatten().copied().collect();
            prop_assert_eq!(together, all);
        }
    }
}
