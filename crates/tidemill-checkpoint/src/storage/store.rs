//! One storage: an object store with limits, and with every request made again where that may help.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::failure::{Secrets, classify, describe};
use super::local::LocalFiles;
use super::settings::{RetryPolicy, StorageSettings};
use crate::error::{CheckpointError, StorageFailure};

/// How many files are copied at once: of each there are some parts in memory.
pub(super) const FILES_AT_ONCE: usize = 4;
/// How many files are deleted, or looked at, at once.
pub(super) const AT_ONCE: usize = 16;

/// What a storage is made of.
pub(super) struct Backend {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
    /// Set where files lie on this machine.
    pub(super) local: Option<Arc<LocalFiles>>,
    /// What must not appear in messages.
    pub(super) secrets: Secrets,
}

/// Counts what goes on behind the back of callers: aborted uploads, and deleting what they left.
#[derive(Clone)]
pub(super) struct Background {
    running: watch::Sender<usize>,
    runtime: Handle,
}

impl Background {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { running: watch::Sender::new(0), runtime }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.send_modify(|running| *running += 1);
        let done = Done(self.running.clone());
        self.runtime.spawn(async move {
            // Held, so that it also counts as done when the runtime is shut down.
            let _done = done;
            task.await;
        });
    }

    /// Does something that must not end half done when its caller goes away, and `keep` lasts as long as it.
    pub(super) async fn to_the_end<T: Send + 'static, K: Send + 'static>(
        &self,
        keep: K,
        work: impl Future<Output = Result<T, CheckpointError>> + Send + 'static,
    ) -> Result<T, CheckpointError> {
        let (send, receive) = oneshot::channel();
        self.spawn(async move {
            let done = work.await;
            drop(keep);
            // Nobody may wait for it any more.
            let _ = send.send(done);
        });
        receive.await.unwrap_or(Err(CheckpointError::RuntimeGone))
    }

    pub(super) async fn idle(&self) {
        // Fails only when there is no sender, and this is one.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

struct Done(watch::Sender<usize>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

/// One storage, whatever keeps the bytes.
pub(crate) struct Store {
    root: String,
    backend: Backend,
    requests: Semaphore,
    uploads: Semaphore,
    retry: RetryPolicy,
    pub(super) part_size: usize,
    pub(super) parts_at_once: usize,
    pub(super) background: Background,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Store {
    pub(super) fn new(
        root: String,
        backend: Backend,
        settings: &StorageSettings,
        background: Background,
    ) -> Self {
        Self {
            root,
            backend,
            requests: Semaphore::new(settings.max_connections.max(1) as usize),
            uploads: Semaphore::new(settings.max_uploads.max(1) as usize),
            retry: settings.retry,
            part_size: usize::try_from(settings.part_size).unwrap_or(usize::MAX).max(1),
            parts_at_once: settings.parts_at_once.max(1) as usize,
            background,
        }
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Whether whole files are written in parts too, since only their last step makes them visible.
    pub(super) fn stages_files(&self) -> bool {
        self.backend.local.is_some()
    }

    /// The path on this machine, if the store is its file system.
    pub(super) fn local_path(&self, path: &Path) -> Option<std::path::PathBuf> {
        self.backend.local.as_ref().map(|local| local.path(path))
    }

    /// The whole name of a file or folder.
    pub(super) fn uri(&self, path: &Path) -> String {
        match &self.backend.local {
            Some(local) => format!("file://{}", local.path(path).display()),
            None if path.as_ref().is_empty() => self.root.clone(),
            None => format!("{}/{path}", self.root),
        }
    }

    /// Makes a request until it succeeds, fails for good, or has used its attempts or its time up.
    async fn attempt<T, F>(
        &self,
        action: &'static str,
        path: &Path,
        call: impl Fn() -> F,
    ) -> Result<T, CheckpointError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let deadline = Instant::now() + self.retry.deadline;
        let mut pause = self.retry.first_pause;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (failure, detail) = match self.once(deadline, &call).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => (classify(&error), describe(&error, &self.backend.secrets)),
                Err(waited) => (StorageFailure::Timeout, format!("no answer within {waited:.1?}")),
            };
            let last = attempts >= self.retry.attempts || Instant::now() + pause >= deadline;
            if last || !failure.retryable() {
                let location = self.uri(path);
                return Err(CheckpointError::Storage { action, location, failure, attempts, detail });
            }
            tracing::debug!(action, location = %self.uri(path), attempts, %failure, "storage is asked again");
            let share = rand::random_range(0.5..=1.0);
            sleep(pause.mul_f64(share)).await;
            pause = (pause * 2).min(self.retry.longest_pause);
        }
    }

    /// One attempt; the error is the time that it had.
    async fn once<T, F>(
        &self,
        deadline: Instant,
        call: impl Fn() -> F,
    ) -> Result<object_store::Result<T>, Duration>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let begin = Instant::now();
        let permit = timeout_at(deadline, self.requests.acquire()).await.map_err(|_| deadline - begin)?;
        let end = deadline.min(Instant::now() + self.retry.request_timeout);
        let answer = timeout_at(end, call()).await;
        drop(permit);
        answer.map_err(|_| end - begin)
    }

    /// Writes a whole file. Only for stores where that is one step.
    pub(super) async fn put(&self, path: &Path, payload: &PutPayload) -> Result<(), CheckpointError> {
        let _permit = self.uploads.acquire().await;
        self.attempt("write", path, || async {
            self.backend.objects.put(path, payload.clone()).await.map(|_| ())
        })
        .await
    }

    pub(super) async fn create_multipart(&self, path: &Path) -> Result<MultipartId, CheckpointError> {
        let created = self.attempt("write", path, || self.backend.parts.create_multipart(path)).await;
        created.map_err(|error| match error {
            // Nothing is read here: what is missing is a folder that cannot be made.
            CheckpointError::Storage {
                action,
                location,
                failure: StorageFailure::NotFound,
                attempts,
                detail,
            } if self.stages_files() => CheckpointError::Storage {
                action,
                location,
                failure: StorageFailure::Unwritable,
                attempts,
                detail,
            },
            error => error,
        })
    }

    pub(super) async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        payload: &PutPayload,
    ) -> Result<PartId, CheckpointError> {
        let _permit = self.uploads.acquire().await;
        self.attempt("write", path, || self.backend.parts.put_part(path, id, index, payload.clone())).await
    }

    pub(super) async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: &[PartId],
        length: u64,
    ) -> Result<(), CheckpointError> {
        let completed = self
            .attempt("write", path, || async {
                self.backend.parts.complete_multipart(path, id, parts.to_vec()).await.map(|_| ())
            })
            .await;
        match completed {
            // An earlier attempt may have succeeded, and its answer been lost.
            Err(CheckpointError::Storage { failure: StorageFailure::NotFound, attempts: 2.., .. })
                if self.head(path).await?.is_some_and(|meta| meta.size == length) =>
            {
                Ok(())
            }
            completed => completed,
        }
    }

    /// Gives an upload up. What fails is logged: it is done in the background, and the parts cost only room.
    pub(super) async fn abort_multipart(&self, path: &Path, id: &MultipartId) {
        let aborted = self
            .attempt("give up the upload of", path, || self.backend.parts.abort_multipart(path, id))
            .await;
        match aborted {
            Ok(()) | Err(CheckpointError::Storage { failure: StorageFailure::NotFound, .. }) => {}
            Err(error) => tracing::warn!(%error, "parts of an upload are left over"),
        }
    }

    pub(super) async fn get(&self, path: &Path) -> Result<Bytes, CheckpointError> {
        self.attempt("read", path, || async { self.backend.objects.get(path).await?.bytes().await }).await
    }

    pub(super) async fn get_range(&self, path: &Path, range: Range<u64>) -> Result<Bytes, CheckpointError> {
        self.attempt("read", path, || self.backend.objects.get_range(path, range.clone())).await
    }

    /// What is known of a file; `None` if it does not exist.
    pub(super) async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, CheckpointError> {
        match self.attempt("look at", path, || self.backend.objects.head(path)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(CheckpointError::Storage { failure: StorageFailure::NotFound, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All files below a folder, in deeper folders too.
    pub(super) async fn list(&self, folder: &Path) -> Result<Vec<Path>, CheckpointError> {
        self.attempt("list", folder, || async {
            let files = self.backend.objects.list(Some(folder)).map_ok(|meta| meta.location);
            files.try_collect().await.or_else(nothing)
        })
        .await
    }

    /// The names of the folders in a folder.
    pub(super) async fn list_folders(&self, folder: &Path) -> Result<Vec<String>, CheckpointError> {
        self.attempt("list", folder, || async {
            let found = self.backend.objects.list_with_delimiter(Some(folder)).await;
            let names = found.map(|found| {
                let folders = found.common_prefixes.iter();
                folders.filter_map(|folder| Some(folder.filename()?.to_owned())).collect()
            });
            names.or_else(nothing)
        })
        .await
    }

    /// Deletes a file; one that is not there counts as deleted.
    pub(super) async fn delete(&self, path: &Path) -> Result<(), CheckpointError> {
        match self.attempt("delete", path, || self.backend.objects.delete(path)).await {
            Err(CheckpointError::Storage { failure: StorageFailure::NotFound, .. }) => Ok(()),
            deleted => deleted,
        }
    }

    /// Deletes files, and then tells the first failure.
    pub(super) async fn delete_all(&self, paths: Vec<Path>) -> Result<(), CheckpointError> {
        let deleted: Vec<_> = stream::iter(paths)
            .map(|path| async move { self.delete(&path).await })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        deleted.into_iter().collect()
    }

    /// Removes a folder that has become empty, where folders are more than parts of names.
    pub(super) async fn remove_empty_folder(&self, folder: &Path) {
        if let Some(local) = &self.backend.local {
            local.remove_empty_folder(folder).await;
        }
    }
}

/// A folder that does not exist has nothing in it.
fn nothing<T>(error: object_store::Error) -> object_store::Result<Vec<T>> {
    match classify(&error) {
        StorageFailure::NotFound => Ok(Vec::new()),
        _ => Err(error),
    }
}
