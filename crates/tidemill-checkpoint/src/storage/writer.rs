//! [`CheckpointWriter`]: packs the state of many subtasks into few files.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::PutPayload;
use object_store::path::Path;
use tokio::sync::{OnceCell, OwnedRwLockReadGuard, RwLock};

use super::folder::CheckpointFolder;
use super::store::FILES_AT_ONCE;
use super::upload::{self, Chunks, Upload, local};
use crate::checksum::Checksum;
use crate::error::CheckpointError;
use crate::metadata::{FileLocation, StateHandle};

/// Where a file goes.
///
/// ```
/// use tidemill_checkpoint::storage::Placement;
///
/// assert_ne!(Placement::Exclusive, Placement::Shared);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Into the folder of the checkpoint: it is deleted with it.
    Exclusive,
    /// Into the folder that the checkpoints of the job share, so that later ones can name it too. Of a savepoint, which shares
    /// nothing, into its own folder.
    Shared,
}

/// What a writer has written.
///
/// ```
/// use tidemill_checkpoint::storage::Written;
///
/// assert!(Written::default().files.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its files.
    pub files: Vec<FileLocation>,
    /// How many bytes are in them.
    pub bytes: u64,
}

/// Writes the files of one checkpoint from one process; used by many tasks at once.
///
/// State of up to `execution.checkpointing.data-inline-threshold` bytes is put into the handle. With
/// `execution.checkpointing.file-merging.enabled` the rest of all tasks is packed into files of about
/// `execution.checkpointing.file-merging.max-file-size`, and so are files of state backends that are smaller than a part of an
/// upload; without it each call writes one file. Handles hold when
/// [`finish`](Self::finish) has returned. Of state that waits to fill a part of an upload, less than one part is held in memory for
/// all tasks together, beside what the calls under way were given.
///
/// A writer that fails, or is dropped before it is finished, gives up its uploads and deletes its files in the background;
/// [`CheckpointStorage::settle`](super::CheckpointStorage::settle) waits for that. So does a call whose future is dropped: the
/// checkpoint cannot be completed without it.
///
/// ```
/// # use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
/// # use tidemill_core::JobId;
/// # use tidemill_core::config::{Configuration, Origin};
/// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
/// # let mut configuration = Configuration::new();
/// # configuration.set_raw("execution.checkpointing.dir", "memory://example/checkpoints", Origin::Api);
/// configuration.set_raw("execution.checkpointing.file-merging.enabled", "true", Origin::Api);
/// # let settings = StorageSettings::from_configuration(&configuration)?;
/// # let storage = CheckpointStorage::open(settings, runtime.handle().clone())?;
/// # let folder = storage.job(JobId::from_name("flights"))?.checkpoint(7);
/// let written = storage.block_on(async {
///     let writer = folder.writer(7);
///     for subtask in 0..100 {
///         writer.write(vec![subtask; 50_000]).await?;
///     }
///     writer.finish().await
/// })?;
/// assert_eq!((written.files.len(), written.bytes), (1, 5_000_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CheckpointWriter {
    folder: CheckpointFolder,
    checkpoint_id: u64,
    merge: bool,
    inline_threshold: u64,
    max_file_size: u64,
    state: Mutex<State>,
    /// Shared by whatever may still make a file appear; owned by whoever needs that nothing does.
    busy: Arc<RwLock<()>>,
}

#[derive(Default)]
struct State {
    /// No more is begun.
    closed: bool,
    failed: bool,
    finished: bool,
    written: Written,
    /// The file that small state goes to.
    current: Option<Arc<Packed>>,
    /// The same of what later checkpoints can name too.
    current_shared: Option<Arc<Packed>>,
}

impl State {
    fn current(&mut self, placement: Placement) -> &mut Option<Arc<Packed>> {
        match placement {
            Placement::Exclusive => &mut self.current,
            Placement::Shared => &mut self.current_shared,
        }
    }
}

/// A file that is filled by several calls.
struct Packed {
    location: FileLocation,
    path: Path,
    content: Mutex<Content>,
    upload: OnceCell<Upload>,
}

#[derive(Default)]
struct Content {
    chunks: Chunks,
    /// Bytes so far, those that were uploaded included.
    length: u64,
    parts: usize,
    /// Calls that upload parts of it.
    under_way: usize,
    /// Nothing more is added: the last call that uploads parts completes it.
    sealed: bool,
}

/// Parts of a file that a call has taken on to upload.
struct Work {
    file: Arc<Packed>,
    parts: Vec<(usize, PutPayload)>,
    /// They are one, and that is all of the file.
    whole: bool,
}

/// What lasts until nothing can make a file appear any more.
type Busy = Arc<OwnedRwLockReadGuard<()>>;

/// Closes the writer unless the call got through.
struct CloseOnDrop<'a>(Option<&'a CheckpointWriter>);

impl CloseOnDrop<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.0 {
            let mut state = lock(&writer.state);
            state.closed = true;
            state.failed = true;
        }
    }
}

impl fmt::Debug for CheckpointWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointWriter").field("folder", &self.folder.uri()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other file has.
fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl CheckpointWriter {
    pub(super) fn new(folder: CheckpointFolder, checkpoint_id: u64) -> Self {
        let settings = &folder.stores.settings;
        Self {
            checkpoint_id,
            merge: settings.merge_files,
            inline_threshold: settings.inline_threshold,
            max_file_size: settings.max_file_size,
            state: Mutex::default(),
            busy: Arc::default(),
            folder,
        }
    }

    /// Writes one piece of state.
    ///
    /// # Errors
    /// When the storage fails, or the writer is closed. The writer is closed then.
    pub async fn write(&self, state: impl Into<Bytes>) -> Result<StateHandle, CheckpointError> {
        let mut handles = self.write_all([state.into()]).await?;
        handles.pop().ok_or_else(|| self.closed())
    }

    /// Writes the pieces of state of one subtask; without file merging, those that are not put into handles go into one file.
    ///
    /// # Errors
    /// When the storage fails, or the writer is closed. The writer is closed then.
    pub async fn write_all(
        &self,
        pieces: impl IntoIterator<Item = Bytes>,
    ) -> Result<Vec<StateHandle>, CheckpointError> {
        let (busy, unless_cancelled) = self.begin().await?;
        let (handles, work) = self.place(&mut lock(&self.state), pieces)?;
        for work in work {
            self.upload(work, &busy).await?;
        }
        unless_cancelled.disarm();
        Ok(handles)
    }

    /// Begins a call. What it does is waited for by [`finish`](Self::finish) and before files are deleted.
    async fn begin(&self) -> Result<(Busy, CloseOnDrop<'_>), CheckpointError> {
        let busy = Arc::new(self.busy.clone().read_owned().await);
        if lock(&self.state).closed {
            return Err(self.closed());
        }
        Ok((busy, CloseOnDrop(Some(self))))
    }

    /// Copies a file of this machine, which must not change meanwhile.
    ///
    /// # Errors
    /// When the file cannot be read, the storage fails, or the writer is closed. The writer is closed then.
    pub async fn upload_file(
        &self,
        path: impl Into<PathBuf>,
        placement: Placement,
    ) -> Result<StateHandle, CheckpointError> {
        let (busy, unless_cancelled) = self.begin().await?;
        let handle = self.copy_file(path.into(), placement, busy).await?;
        unless_cancelled.disarm();
        Ok(handle)
    }

    /// Copies many files of this machine, some at a time, as [`upload_file`](Self::upload_file) does one; the handles are in the same
    /// order.
    ///
    /// # Errors
    /// As [`upload_file`](Self::upload_file), of the first that fails.
    pub async fn upload_files(
        self: &Arc<Self>,
        files: Vec<(PathBuf, Placement)>,
    ) -> Result<Vec<StateHandle>, CheckpointError> {
        // Owned by the futures: with references the compiler finds them to be good for one lifetime only.
        let uploads = files.into_iter().map(|(path, placement)| {
            let writer = Arc::clone(self);
            async move { writer.upload_file(path, placement).await }
        });
        stream::iter(uploads).buffered(FILES_AT_ONCE).try_collect().await
    }

    async fn copy_file(
        &self,
        from: PathBuf,
        placement: Placement,
        busy: Busy,
    ) -> Result<StateHandle, CheckpointError> {
        let path = from.clone();
        let (file, length) = local("open", from.clone(), move || {
            let file = std::fs::File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        })
        .await?;
        if length <= self.inline_threshold {
            return Ok(StateHandle::Inline(upload::read_at(file.into(), from, 0, length).await?.into()));
        }
        let placement = if self.folder.shares { placement } else { Placement::Exclusive };
        // What is larger is no burden as a file of its own, and need not be held in memory.
        if self.merge && length < self.max_file_size.min(self.folder.store.part_size as u64) {
            let piece = upload::read_at(file.into(), from, 0, length).await?;
            let (handle, work) = self.pack(&mut lock(&self.state), piece, placement)?;
            if let Some(work) = work {
                self.upload(work, &busy).await?;
            }
            return Ok(handle);
        }
        let location = self.new_location(placement);
        let (store, path) = self.folder.resolve(&location)?;
        {
            let mut state = lock(&self.state);
            state.written.files.push(location.clone());
            state.written.bytes += length;
        }
        let checksum = upload::copy(&store, &path, from, file, length, busy).await?;
        Ok(StateHandle::File { location, offset: 0, length, checksum })
    }

    /// Waits for the calls under way, and writes what is left of packed files. All handles hold from now on. Nothing more can be
    /// written.
    ///
    /// # Errors
    /// When the storage fails, or an earlier call has.
    pub async fn finish(&self) -> Result<Written, CheckpointError> {
        let (busy, unless_failed) = self.begin().await?;
        let last = {
            // Calls that come later find it closed.
            let mut state = lock(&self.state);
            state.closed = true;
            [state.current.take(), state.current_shared.take()]
        };
        for file in last.into_iter().flatten() {
            self.upload(seal(&file, self.folder.store.part_size), &busy).await?;
        }
        unless_failed.disarm();
        drop(busy);
        let _others_are_done = self.busy.write().await;
        let mut state = lock(&self.state);
        if state.failed {
            return Err(self.closed());
        }
        state.finished = true;
        Ok(state.written.clone())
    }

    fn closed(&self) -> CheckpointError {
        CheckpointError::WriterClosed { location: self.folder.uri() }
    }

    /// Decides where each piece goes, and what there is to upload now.
    fn place(
        &self,
        state: &mut State,
        pieces: impl IntoIterator<Item = Bytes>,
    ) -> Result<(Vec<StateHandle>, Vec<Work>), CheckpointError> {
        if state.closed {
            return Err(self.closed());
        }
        let mut work = Vec::new();
        let mut own: Option<Arc<Packed>> = None;
        let mut handles = Vec::new();
        for piece in pieces {
            if piece.len() as u64 <= self.inline_threshold {
                handles.push(StateHandle::Inline(piece.into()));
            } else if self.merge {
                let (handle, full) = self.pack(state, piece, Placement::Exclusive)?;
                handles.push(handle);
                work.extend(full);
            } else {
                state.written.bytes += piece.len() as u64;
                let file = match own.take() {
                    Some(file) => file,
                    None => self.new_file(state, Placement::Exclusive)?,
                };
                handles.push(add(&file, piece));
                own = Some(file);
            }
        }
        work.extend(own.map(|file| seal(&file, self.folder.store.part_size)));
        Ok((handles, work))
    }

    /// Puts a piece into a file with others, and says what there is to upload now.
    fn pack(
        &self,
        state: &mut State,
        piece: Bytes,
        placement: Placement,
    ) -> Result<(StateHandle, Option<Work>), CheckpointError> {
        // Nobody would seal the file any more.
        if state.closed {
            return Err(self.closed());
        }
        let (length, part_size) = (piece.len() as u64, self.folder.store.part_size);
        state.written.bytes += length;
        if length >= self.max_file_size {
            let file = self.new_file(state, placement)?;
            return Ok((add(&file, piece), Some(seal(&file, part_size))));
        }
        let file = match state.current(placement).take() {
            Some(file) => file,
            None => self.new_file(state, placement)?,
        };
        let handle = add(&file, piece);
        if lock(&file.content).length >= self.max_file_size {
            return Ok((handle, Some(seal(&file, part_size))));
        }
        let parts = full_parts(&file, part_size);
        *state.current(placement) = Some(file);
        Ok((handle, parts))
    }

    fn new_location(&self, placement: Placement) -> FileLocation {
        match placement {
            Placement::Exclusive => FileLocation::Checkpoint(random_name()),
            Placement::Shared => FileLocation::Shared(super::shared_name(self.checkpoint_id, &random_name())),
        }
    }

    fn new_file(&self, state: &mut State, placement: Placement) -> Result<Arc<Packed>, CheckpointError> {
        let location = self.new_location(placement);
        let (_, path) = self.folder.resolve(&location)?;
        state.written.files.push(location.clone());
        Ok(Arc::new(Packed { location, path, content: Mutex::default(), upload: OnceCell::new() }))
    }

    async fn upload(&self, work: Work, busy: &Busy) -> Result<(), CheckpointError> {
        let Work { file, parts, whole } = work;
        let store = &self.folder.store;
        if whole {
            let all = parts.into_iter().flat_map(|(_, payload)| payload).collect();
            return upload::write(store, &file.path, all, busy.clone()).await;
        }
        let start = || Upload::start(store.clone(), file.path.clone(), busy.clone());
        let upload = file.upload.get_or_try_init(start).await?;
        // Owned by the futures: with references the compiler finds them to be good for one lifetime only.
        stream::iter(parts)
            .map(|(index, payload)| async move { upload.part(index, &payload).await })
            .buffer_unordered(store.parts_at_once)
            .try_collect::<()>()
            .await?;
        let (last, length) = {
            let mut content = lock(&file.content);
            content.under_way -= 1;
            (content.sealed && content.under_way == 0, content.length)
        };
        if last { upload.complete(length, busy.clone()).await } else { Ok(()) }
    }
}

/// Puts a piece at the end of a file.
fn add(file: &Packed, piece: Bytes) -> StateHandle {
    let (length, checksum) = (piece.len() as u64, Checksum::of(&piece));
    let mut content = lock(&file.content);
    let offset = content.length;
    content.length += length;
    content.chunks.extend([piece]);
    StateHandle::File { location: file.location.clone(), offset, length, checksum }
}

/// Takes the parts of a file that are full.
fn full_parts(file: &Arc<Packed>, part_size: usize) -> Option<Work> {
    let mut content = lock(&file.content);
    let parts = number(&mut content, part_size);
    if parts.is_empty() {
        return None;
    }
    content.under_way += 1;
    Some(Work { file: file.clone(), parts, whole: false })
}

/// Takes all parts of a file, which gets no more.
fn seal(file: &Arc<Packed>, part_size: usize) -> Work {
    let mut content = lock(&file.content);
    let untouched = content.parts == 0;
    let mut parts = number(&mut content, part_size);
    if content.chunks.bytes > 0 {
        parts.push((content.parts, content.chunks.take()));
        content.parts += 1;
    }
    content.sealed = true;
    content.under_way += 1;
    Work { file: file.clone(), whole: untouched && parts.len() == 1, parts }
}

fn number(content: &mut Content, part_size: usize) -> Vec<(usize, PutPayload)> {
    let first = content.parts;
    let parts = content.chunks.full_parts(part_size);
    content.parts += parts.len();
    parts.into_iter().enumerate().map(|(i, part)| (first + i, part)).collect()
}

/// What an unfinished checkpoint has written is of no use.
impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Uploads that were begun are given up here.
        (state.current, state.current_shared) = (None, None);
        if state.finished || state.written.files.is_empty() {
            return;
        }
        let files = std::mem::take(&mut state.written.files);
        let (folder, busy) = (self.folder.clone(), self.busy.clone());
        let background = self.folder.store.background.clone();
        background.spawn(async move {
            let _nothing_goes_on = busy.write().await;
            let paths = files.iter().filter_map(|file| Some(folder.resolve(file).ok()?.1)).collect();
            if let Err(error) = folder.store.delete_all(paths).await {
                tracing::warn!(%error, "files of a checkpoint that was given up are left over");
            }
            folder.store.remove_empty_folder(&folder.path).await;
        });
    }
}
