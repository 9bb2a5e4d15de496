//! [`SharedFileRegistry`]: which retained checkpoint needs which file, and so which files nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::CheckpointError;
use crate::metadata::METADATA_FILE;

/// A file of a job's checkpoints.
///
/// ```
/// use tidemill_checkpoint::StateFile;
///
/// assert_ne!(StateFile::Shared("chk-3-5f3a".into()), StateFile::Checkpoint { id: 3, name: "chk-3-5f3a".into() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateFile {
    /// In the folder of a checkpoint of this job.
    Checkpoint {
        /// The number of the checkpoint.
        id: u64,
        /// The name in its folder.
        name: String,
    },
    /// In the folder that the checkpoints of this job share.
    Shared(String),
    /// Elsewhere, by its whole URI: of a checkpoint of another job that this one was restored from.
    Absolute(String),
}

/// Knows which checkpoint needs which file, and does nothing with files itself: what it returns is to be
/// [deleted](crate::JobStorage::delete).
///
/// A checkpoint is [begun](Self::begin), then [completed](Self::complete) or [aborted](Self::abort); one that was completed is
/// [discarded](Self::discard) when newer ones make it superfluous. A file that loses its last checkpoint is kept while checkpoints
/// are pending that had begun before, since they may name it, too.
///
/// After a restart, tell a new registry of all [retained](Self::retain) checkpoints. A checkpoint that the job was restored from in
/// mode `CLAIM` is retained like one of its own; the files of one restored in mode `NO_CLAIM` are [protected](Self::protect).
///
/// ```
/// use tidemill_checkpoint::{SharedFileRegistry, StateFile};
///
/// let file = |name: &str| StateFile::Shared(name.into());
/// let mut registry = SharedFileRegistry::new();
/// registry.begin(1)?;
/// registry.complete(1, [file("a"), file("b")].into())?;
/// registry.begin(2)?;
/// registry.complete(2, [file("b"), file("c")].into())?;
/// assert_eq!(registry.discard(1)?, [file("a")]);
/// # Ok::<(), tidemill_checkpoint::CheckpointError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SharedFileRegistry {
    retained: BTreeMap<u64, BTreeSet<StateFile>>,
    /// What pending checkpoints have written.
    pending: BTreeMap<u64, BTreeSet<StateFile>>,
    /// How many retained checkpoints need a file.
    references: BTreeMap<StateFile, usize>,
    /// Files that no retained checkpoint needs, with the pending ones that may.
    undecided: BTreeMap<StateFile, BTreeSet<u64>>,
    protected: BTreeSet<StateFile>,
}

impl SharedFileRegistry {
    /// That knows no checkpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// A checkpoint is pending from now on. To be called before any task begins with it.
    ///
    /// # Errors
    /// When there is one of that number.
    pub fn begin(&mut self, id: u64) -> Result<(), CheckpointError> {
        self.must_be_new(id)?;
        self.pending.insert(id, BTreeSet::new());
        Ok(())
    }

    /// A task has written files for a checkpoint. Returns what of them is to be deleted: all, if the checkpoint is not pending any
    /// more.
    ///
    /// ```
    /// use tidemill_checkpoint::{SharedFileRegistry, StateFile};
    ///
    /// let mut registry = SharedFileRegistry::new();
    /// registry.begin(1)?;
    /// registry.abort(1)?;
    /// let late = StateFile::Shared("late".into());
    /// assert_eq!(registry.written(1, [late.clone()]), [late]);
    /// # Ok::<(), tidemill_checkpoint::CheckpointError>(())
    /// ```
    pub fn written(&mut self, id: u64, files: impl IntoIterator<Item = StateFile>) -> Vec<StateFile> {
        match self.pending.get_mut(&id) {
            Some(written) => {
                written.extend(files);
                Vec::new()
            }
            None => files.into_iter().filter(|file| !self.is_known(file)).collect(),
        }
    }

    /// A pending checkpoint is complete, and needs `files`. Returns what is to be deleted: what it has written and does not need,
    /// and what was kept for it in vain.
    ///
    /// # Errors
    /// When it is not pending.
    pub fn complete(
        &mut self,
        id: u64,
        files: BTreeSet<StateFile>,
    ) -> Result<Vec<StateFile>, CheckpointError> {
        let written = self.end(id)?;
        self.add(id, files);
        Ok(self.unused(id, written))
    }

    /// A pending checkpoint is given up. Returns what is to be deleted: what it has written, its metadata, should that be there, and
    /// what was kept for it in vain.
    ///
    /// ```
    /// use tidemill_checkpoint::{SharedFileRegistry, StateFile};
    ///
    /// let mut registry = SharedFileRegistry::new();
    /// registry.begin(1)?;
    /// let file = StateFile::Shared("a".into());
    /// registry.written(1, [file.clone()]);
    /// assert!(registry.abort(1)?.contains(&file));
    /// # Ok::<(), tidemill_checkpoint::CheckpointError>(())
    /// ```
    ///
    /// # Errors
    /// When it is not pending.
    pub fn abort(&mut self, id: u64) -> Result<Vec<StateFile>, CheckpointError> {
        let mut written = self.end(id)?;
        written.insert(StateFile::Checkpoint { id, name: METADATA_FILE.into() });
        Ok(self.unused(id, written))
    }

    /// A retained checkpoint is not needed any more. Returns what is to be deleted.
    ///
    /// # Errors
    /// When it is not retained.
    pub fn discard(&mut self, id: u64) -> Result<Vec<StateFile>, CheckpointError> {
        let problem = "is to be discarded and is not retained";
        let files = self.retained.remove(&id).ok_or(CheckpointError::UnexpectedCheckpoint { id, problem })?;
        let mut unused = Vec::new();
        for file in files {
            let Some(references) = self.references.get_mut(&file) else { continue };
            *references -= 1;
            if *references > 0 {
                continue;
            }
            self.references.remove(&file);
            if self.protected.contains(&file) {
                continue;
            }
            if self.pending.is_empty() {
                unused.push(file);
            } else {
                self.undecided.insert(file, self.pending.keys().copied().collect());
            }
        }
        Ok(unused)
    }

    /// A checkpoint exists and is kept, as after a restart, or since the job claimed it.
    ///
    /// ```
    /// use tidemill_checkpoint::{SharedFileRegistry, StateFile};
    ///
    /// let file = StateFile::Absolute("s3://bucket/savepoint-1/5f3a".into());
    /// let mut registry = SharedFileRegistry::new();
    /// registry.retain(4, [file.clone()].into())?;
    /// assert_eq!(registry.discard(4)?, [file], "it was claimed, so it is the job's to delete");
    /// # Ok::<(), tidemill_checkpoint::CheckpointError>(())
    /// ```
    ///
    /// # Errors
    /// When there is one of that number.
    pub fn retain(&mut self, id: u64, files: BTreeSet<StateFile>) -> Result<(), CheckpointError> {
        self.must_be_new(id)?;
        self.add(id, files);
        Ok(())
    }

    /// Files belong to somebody else, and are never returned: those of a checkpoint that the job was restored from without claiming
    /// it.
    ///
    /// ```
    /// use tidemill_checkpoint::{SharedFileRegistry, StateFile};
    ///
    /// let theirs = StateFile::Absolute("s3://bucket/savepoint-1/5f3a".into());
    /// let mut registry = SharedFileRegistry::new();
    /// registry.protect([theirs.clone()]);
    /// registry.retain(4, [theirs].into())?;
    /// assert_eq!(registry.discard(4)?, []);
    /// # Ok::<(), tidemill_checkpoint::CheckpointError>(())
    /// ```
    pub fn protect(&mut self, files: impl IntoIterator<Item = StateFile>) {
        self.protected.extend(files);
    }

    /// Whether any checkpoint needs a file or may need it, or it belongs to somebody else.
    pub fn is_known(&self, file: &StateFile) -> bool {
        self.references.contains_key(file)
            || self.undecided.contains_key(file)
            || self.protected.contains(file)
            || self.pending.values().any(|written| written.contains(file))
    }

    /// Whether a checkpoint has begun and not ended.
    pub fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    /// The numbers of the retained checkpoints, the oldest first.
    pub fn retained(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.retained.keys().copied()
    }

    fn must_be_new(&self, id: u64) -> Result<(), CheckpointError> {
        if self.pending.contains_key(&id) || self.retained.contains_key(&id) {
            return Err(CheckpointError::UnexpectedCheckpoint { id, problem: "exists already" });
        }
        Ok(())
    }

    fn end(&mut self, id: u64) -> Result<BTreeSet<StateFile>, CheckpointError> {
        self.pending
            .remove(&id)
            .ok_or(CheckpointError::UnexpectedCheckpoint { id, problem: "is not pending" })
    }

    fn add(&mut self, id: u64, files: BTreeSet<StateFile>) {
        for file in &files {
            self.undecided.remove(file);
            *self.references.entry(file.clone()).or_default() += 1;
        }
        self.retained.insert(id, files);
    }

    /// What an ended checkpoint leaves behind.
    fn unused(&mut self, id: u64, written: BTreeSet<StateFile>) -> Vec<StateFile> {
        let mut unused = Vec::new();
        self.undecided.retain(|file, waiting| {
            waiting.remove(&id);
            if waiting.is_empty() {
                unused.push(file.clone());
            }
            !waiting.is_empty()
        });
        unused.extend(written.into_iter().filter(|file| !self.is_known(file)));
        unused
    }
}
