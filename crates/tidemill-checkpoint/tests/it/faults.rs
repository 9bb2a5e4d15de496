//! A store in memory that fails when a test says so.

use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;

/// What a call meets.
pub(crate) enum Fault {
    /// It fails.
    Error(Error),
    /// It never answers.
    Hang,
    /// It is done, and then fails all the same.
    LostAnswer(Error),
}

type Decide = dyn FnMut(&'static str, &Path) -> Option<Fault> + Send;

pub(crate) struct Faulty {
    pub(crate) memory: InMemory,
    decide: Mutex<Box<Decide>>,
    /// How many calls hang.
    pub(crate) hanging: watch::Sender<usize>,
    /// Multipart uploads that were begun and neither completed nor given up.
    pub(crate) open_uploads: Mutex<Vec<MultipartId>>,
}

impl Faulty {
    pub(crate) fn new(decide: impl FnMut(&'static str, &Path) -> Option<Fault> + Send + 'static) -> Self {
        Self {
            memory: InMemory::new(),
            decide: Mutex::new(Box::new(decide)),
            hanging: watch::Sender::new(0),
            open_uploads: Mutex::default(),
        }
    }

    /// Decides anew from now on.
    pub(crate) fn set(&self, decide: impl FnMut(&'static str, &Path) -> Option<Fault> + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
    }

    async fn call<T>(
        &self,
        name: &'static str,
        path: &Path,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fault = (self.decide.lock().unwrap())(name, path);
        match fault {
            None => call.await,
            Some(Fault::Error(error)) => Err(error),
            Some(Fault::Hang) => {
                self.hanging.send_modify(|hanging| *hanging += 1);
                std::future::pending().await
            }
            Some(Fault::LostAnswer(error)) => {
                call.await?;
                Err(error)
            }
        }
    }
}

/// As an object store's client tells of a status.
pub(crate) fn status(text: &str) -> Error {
    Error::Generic { store: "test", source: format!("Server returned non-2xx status code: {text}").into() }
}

/// As a system call tells of a failure.
pub(crate) fn of_system(number: i32) -> Error {
    Error::Generic { store: "test", source: std::io::Error::from_raw_os_error(number).into() }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.call("put", location, self.memory.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.memory.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let name = if options.head { "head" } else { "get" };
        self.call(name, location, self.memory.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let mut deleted = Vec::new();
        let locations: Vec<_> =
            futures_util::FutureExt::now_or_never(locations.collect()).unwrap_or_default();
        for location in locations {
            let fault = location.as_ref().ok().and_then(|path| (self.decide.lock().unwrap())("delete", path));
            deleted.push(match fault {
                Some(Fault::Error(error) | Fault::LostAnswer(error)) => Err(error),
                _ => location,
            });
        }
        self.memory.delete_stream(futures_util::stream::iter(deleted).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.memory.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call("list", prefix.unwrap_or(&Path::ROOT), self.memory.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.memory.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Faulty {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let created = self.call("create", path, self.memory.create_multipart(path)).await;
        if let Ok(id) = &created {
            self.open_uploads.lock().unwrap().push(id.clone());
        }
        created
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.call("part", path, self.memory.put_part(path, id, index, data)).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.call("complete", path, async {
            // Object stores have forgotten an upload once it is completed.
            if !self.open_uploads.lock().unwrap().contains(id) {
                return Err(Error::NotFound { path: path.to_string(), source: "NoSuchUpload".into() });
            }
            let completed = self.memory.complete_multipart(path, id, parts).await;
            self.open_uploads.lock().unwrap().retain(|open| open != id);
            completed
        })
        .await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.call("abort", path, self.memory.abort_multipart(path, id)).await?;
        self.open_uploads.lock().unwrap().retain(|open| open != id);
        Ok(())
    }
}
