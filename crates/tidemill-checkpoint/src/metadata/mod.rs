//! What a checkpoint or savepoint holds: the file `_metadata` in its folder.
//!
//! The file begins with the magic `TMCK` and a version and ends with a checksum; any damage is found before anything of it is
//! used. Files of state are named relative to the checkpoint's folder, so that a savepoint can be moved as a folder.

mod codec;
mod decode;
mod encode;

use tidemill_core::{JobId, OperatorId};

use crate::checksum::Checksum;
use crate::error::CheckpointError;

/// The name of the file in the folder of a checkpoint. It is written last: a folder without it is no checkpoint.
pub const METADATA_FILE: &str = "_metadata";

/// What a checkpoint is kept for, and how its state is written.
///
/// ```
/// use tidemill_checkpoint::metadata::CheckpointKind;
///
/// assert!(CheckpointKind::SavepointNative.is_savepoint());
/// assert!(!CheckpointKind::Checkpoint.is_savepoint());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckpointKind {
    /// To recover from failures.
    Checkpoint,
    /// To be kept by a user, with state as every backend reads it.
    SavepointCanonical,
    /// To be kept by a user, with state as the backend has it.
    SavepointNative,
}

impl CheckpointKind {
    const ALL: [CheckpointKind; 3] =
        [CheckpointKind::Checkpoint, CheckpointKind::SavepointCanonical, CheckpointKind::SavepointNative];

    /// Whether a user keeps it.
    pub fn is_savepoint(self) -> bool {
        self != CheckpointKind::Checkpoint
    }
}

/// Where a file of state is, as the metadata of a checkpoint says it.
///
/// ```
/// use tidemill_checkpoint::FileLocation;
///
/// let location = FileLocation::Checkpoint("5f3a".into());
/// assert_eq!(location.to_string(), "5f3a");
/// assert_eq!(FileLocation::Shared("chk-3-5f3a".into()).to_string(), "../shared/chk-3-5f3a");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileLocation {
    /// A name in the folder of the checkpoint.
    Checkpoint(String),
    /// A name in the folder `shared` beside that of the checkpoint.
    Shared(String),
    /// A file elsewhere, by its whole URI: one of a checkpoint that another job took over.
    Absolute(String),
}

impl std::fmt::Display for FileLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileLocation::Checkpoint(name) => f.write_str(name),
            FileLocation::Shared(name) => write!(f, "../shared/{name}"),
            FileLocation::Absolute(uri) => f.write_str(uri),
        }
    }
}

/// Where stored bytes are.
///
/// ```
/// use tidemill_checkpoint::{FileLocation, StateHandle};
///
/// assert_eq!(StateHandle::Inline(vec![1, 2]).length(), 2);
/// let location = FileLocation::Checkpoint("5f3a".into());
/// let handle = StateHandle::File { location, offset: 0, length: 1 << 20, checksum: 7 };
/// assert_eq!(handle.length(), 1 << 20);
/// assert_eq!(handle.location().unwrap().to_string(), "5f3a");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateHandle {
    /// Here.
    Inline(Vec<u8>),
    /// In a file, which may hold more than this.
    File {
        /// The file.
        location: FileLocation,
        /// The first byte.
        offset: u64,
        /// The number of bytes.
        length: u64,
        /// The checksum of the bytes.
        checksum: u64,
    },
}

impl StateHandle {
    /// The number of bytes.
    pub fn length(&self) -> u64 {
        match self {
            StateHandle::Inline(bytes) => bytes.len() as u64,
            StateHandle::File { length, .. } => *length,
        }
    }

    /// Whether these are the bytes.
    ///
    /// ```
    /// use tidemill_checkpoint::StateHandle;
    ///
    /// assert!(StateHandle::Inline(vec![1, 2]).is_of(&[1, 2]));
    /// ```
    pub fn is_of(&self, found: &[u8]) -> bool {
        match self {
            StateHandle::Inline(bytes) => bytes == found,
            StateHandle::File { length, checksum, .. } => {
                *length == found.len() as u64 && *checksum == Checksum::of(found)
            }
        }
    }

    /// The file that has the bytes; `None` if they are in the handle.
    pub fn location(&self) -> Option<&FileLocation> {
        match self {
            StateHandle::Inline(_) => None,
            StateHandle::File { location, .. } => Some(location),
        }
    }
}

/// A file of a state backend, by the name that the backend knows it under.
///
/// ```
/// use tidemill_checkpoint::StateHandle;
/// use tidemill_checkpoint::metadata::NativeFileHandle;
///
/// let file = NativeFileHandle { name: "CURRENT".into(), handle: StateHandle::Inline(b"MANIFEST-000004\n".to_vec()) };
/// assert_eq!(file.handle.length(), 16);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeFileHandle {
    /// The name, without folders.
    pub name: String,
    /// Its bytes.
    pub handle: StateHandle,
}

/// State as a backend has it on disk.
///
/// ```
/// use tidemill_checkpoint::metadata::NativeState;
///
/// let state = NativeState { descriptor: b"rocksdb, key groups 0 to 63".to_vec(), files: Vec::new() };
/// assert!(state.files.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeState {
    /// What the backend needs to know of it: which one it is, key groups, schemas.
    pub descriptor: Vec<u8>,
    /// Its files.
    pub files: Vec<NativeFileHandle>,
}

/// What was on the way on the channels of an edge.
///
/// ```
/// use tidemill_checkpoint::StateHandle;
/// use tidemill_checkpoint::metadata::ChannelState;
///
/// let state = ChannelState { edge: 0, handle: StateHandle::Inline(vec![0; 32]) };
/// assert_eq!(state.handle.length(), 32);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelState {
    /// The number of the edge among those of the operator.
    pub edge: u32,
    /// Its bytes.
    pub handle: StateHandle,
}

/// The state of one subtask of an operator.
///
/// ```
/// use tidemill_checkpoint::metadata::SubtaskState;
///
/// let state = SubtaskState::new(3);
/// assert!(!state.finished && state.handles().next().is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtaskState {
    /// The subtask, from 0.
    pub index: u32,
    /// Whether it was at the end of its input, so that there is nothing more to do for it.
    pub finished: bool,
    /// Keyed state, timers and operator state in canonical form.
    pub managed: Option<StateHandle>,
    /// Keyed state as the backend has it.
    pub native: Vec<NativeState>,
    /// What was on the way to it.
    pub input_channels: Vec<ChannelState>,
    /// What was on the way from it.
    pub output_channels: Vec<ChannelState>,
}

impl SubtaskState {
    /// Of a subtask that has no state.
    pub fn new(index: u32) -> Self {
        Self {
            index,
            finished: false,
            managed: None,
            native: Vec::new(),
            input_channels: Vec::new(),
            output_channels: Vec::new(),
        }
    }

    /// All handles in it.
    pub fn handles(&self) -> impl Iterator<Item = &StateHandle> {
        let native = self.native.iter().flat_map(|state| state.files.iter().map(|file| &file.handle));
        let channels = self.input_channels.iter().chain(&self.output_channels).map(|state| &state.handle);
        self.managed.iter().chain(native).chain(channels)
    }
}

/// The state of an operator.
///
/// ```
/// use tidemill_checkpoint::metadata::{OperatorState, SubtaskState};
/// use tidemill_core::OperatorId;
///
/// let state = OperatorState {
///     id: OperatorId::from_name("count"),
///     uid: Some("count".into()),
///     name: "Count".into(),
///     parallelism: 1,
///     max_parallelism: 128,
///     subtasks: vec![SubtaskState::new(0)],
///     coordinator: None,
/// };
/// assert_eq!(state.handles().count(), 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorState {
    /// What it is matched by.
    pub id: OperatorId,
    /// The `uid` that the program gave it.
    pub uid: Option<String>,
    /// Its name, for messages.
    pub name: String,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// Into how many key groups its keys are divided.
    pub max_parallelism: u32,
    /// Those of its subtasks that have anything to say.
    pub subtasks: Vec<SubtaskState>,
    /// What its coordinator knows, as the splits of a source that are not assigned yet.
    pub coordinator: Option<StateHandle>,
}

impl OperatorState {
    /// All handles in it.
    pub fn handles(&self) -> impl Iterator<Item = &StateHandle> {
        self.subtasks.iter().flat_map(SubtaskState::handles).chain(&self.coordinator)
    }
}

/// What a checkpoint or savepoint holds.
///
/// ```
/// use tidemill_checkpoint::CheckpointMetadata;
/// use tidemill_checkpoint::metadata::CheckpointKind;
/// use tidemill_core::JobId;
///
/// let metadata = CheckpointMetadata {
///     checkpoint_id: 7,
///     kind: CheckpointKind::Checkpoint,
///     timestamp_ms: 1_700_000_000_000,
///     job_name: "flights".into(),
///     job_id: JobId::from_name("flights"),
///     operators: Vec::new(),
/// };
/// let bytes = metadata.encode();
/// assert_eq!(CheckpointMetadata::decode(&bytes, "chk-7/_metadata")?, metadata);
/// # Ok::<(), tidemill_checkpoint::CheckpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointMetadata {
    /// The number of the checkpoint in its job.
    pub checkpoint_id: u64,
    /// What it is kept for.
    pub kind: CheckpointKind,
    /// When it was triggered, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The name of the job.
    pub job_name: String,
    /// The job.
    pub job_id: JobId,
    /// Its operators.
    pub operators: Vec<OperatorState>,
}

impl CheckpointMetadata {
    /// All handles in it.
    ///
    /// ```
    /// # use tidemill_checkpoint::CheckpointMetadata;
    /// # fn size(metadata: &CheckpointMetadata) -> u64 {
    /// // The bytes of state that the checkpoint holds.
    /// metadata.handles().map(|handle| handle.length()).sum()
    /// # }
    /// ```
    pub fn handles(&self) -> impl Iterator<Item = &StateHandle> {
        self.operators.iter().flat_map(OperatorState::handles)
    }

    /// As bytes, with version and checksum.
    pub fn encode(&self) -> Vec<u8> {
        encode::metadata(self)
    }

    /// Reads what [`encode`](Self::encode) wrote; `location` is the file for messages.
    ///
    /// # Errors
    /// [`CheckpointError::Metadata`] when the bytes are damaged, cut off, or of a version that this release does not know.
    pub fn decode(bytes: &[u8], location: &str) -> Result<Self, CheckpointError> {
        decode::metadata(bytes)
            .map_err(|reason| CheckpointError::Metadata { location: location.to_owned(), reason })
    }
}
