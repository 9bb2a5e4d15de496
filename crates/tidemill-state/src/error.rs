//! What can go wrong with state.

use std::path::PathBuf;

use tidemill_core::budget::BudgetExceeded;
use tidemill_core::{Classified, Fault, KeyGroup};
use tidemill_serialization::{DecodeError, Incompatible, MigrationError};

/// A failure of the state of one operator subtask.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget};
/// # use tidemill_state::{KeyedStateBackend, SystemClock, ValueState, ValueStateDescriptor};
/// use tidemill_core::Classified;
///
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::<String>::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// let count: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("count"))?;
/// let error = count.get(&mut backend).unwrap_err();
/// assert!(error.to_string().starts_with("keyed state was used without a current key"));
/// assert!(!error.retryable());
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Two states of one operator have the same name and differ in what they hold.
    #[error(
        "the state '{name}' is declared twice, first as {first}, then as {second}; give one of the two another name"
    )]
    DeclaredDifferently {
        /// The name of the state.
        name: String,
        /// What it was first declared to hold.
        first: String,
        /// What it was then declared to hold.
        second: String,
    },
    /// A snapshot holds a state of this name that differs from the declared one.
    #[error(
        "the snapshot holds the state '{name}' as {stored}, the job declares it as {declared}; \
         give the new state another name, or declare it as it was"
    )]
    RestoredDifferently {
        /// The name of the state.
        name: String,
        /// What the snapshot holds.
        stored: String,
        /// What the job declares.
        declared: String,
    },
    /// A snapshot holds values that those of the program cannot be made of.
    #[error("{part} of the state '{name}' cannot be read from the snapshot: {source}")]
    Incompatible {
        /// The name of the state.
        name: String,
        /// Which of its types.
        part: &'static str,
        /// All the differences.
        source: Incompatible,
    },
    /// A snapshot holds keys of another type.
    #[error(
        "the key of the state '{name}' is {declared}, in the snapshot {stored}: keys cannot be migrated, because they decide \
         where state lives; keep the type of the key, or give the state another name to start it anew"
    )]
    KeyChanged {
        /// The name of the state.
        name: String,
        /// The type of the stored keys.
        stored: String,
        /// The type of the program's keys.
        declared: String,
    },
    /// The job forbids the generic fallback, and a state that is declared while it runs needs it.
    #[error(
        "the state '{name}' holds {types}, which only the slow generic fallback can write, and 'pipeline.generic-types' is \
         false: derive `Record` for it, or give it a serializer of its own"
    )]
    GenericForbidden {
        /// The name of the state.
        name: String,
        /// The types.
        types: String,
    },
    /// State was used outside of a call for one record or timer.
    #[error("keyed state was used without a current key; use it only while a record or a timer is processed")]
    NoCurrentKey,
    /// A handle was used with a backend that did not make it.
    #[error(
        "a handle to {wanted} was used before its state was declared, or with a backend that did not declare it: declare it in `open`"
    )]
    WrongHandle {
        /// The state that the handle stands for.
        wanted: &'static str,
    },
    /// A record came to a subtask that does not own its key group.
    #[error("a key of key group {key_group} came to the subtask that owns the key groups {owned}")]
    WrongKeyGroup {
        /// The key group of the key.
        key_group: KeyGroup,
        /// The key groups of the subtask.
        owned: String,
    },
    /// A restored key is now in another key group: its routing hash is another one than when it was stored.
    #[error(
        "a key of the state '{name}' was stored in key group {stored} and is now in {now}: its `RoutingHash` has changed; \
         derive it, or write it as it was"
    )]
    RoutingChanged {
        /// The name of the state.
        name: String,
        /// The key group in the snapshot.
        stored: KeyGroup,
        /// The key group of the key in this program.
        now: KeyGroup,
    },
    /// The columns of a batch access differ in length.
    #[error("a batch access to state has {keys} keys and {other} {what}")]
    UnevenBatch {
        /// How many keys there are.
        keys: usize,
        /// The other column.
        what: &'static str,
        /// How long the other column is.
        other: usize,
    },
    /// A table has as many entries as it can have.
    #[error("the state '{name}' has reached its limit of {} entries in one subtask; raise the parallelism", u32::MAX - 1)]
    TooManyEntries {
        /// The name of the state.
        name: String,
    },
    /// The memory for state is used up.
    #[error("the state '{name}' does not fit into memory: {source}")]
    OutOfMemory {
        /// The name of the state.
        name: String,
        /// The pool that is full.
        #[source]
        source: BudgetExceeded,
    },
    /// The bytes of a snapshot are damaged, or of a version that this release does not know.
    #[error("the state snapshot cannot be read: {0}")]
    Snapshot(String),
    /// A snapshot was dropped, or could not be encoded, while somebody needed it.
    #[error("the snapshot was given up before it was encoded")]
    SnapshotGivenUp,
    /// An entry cannot be decoded.
    #[error("the state '{name}' cannot be read from its bytes: {source}")]
    Decode {
        /// The name of the state.
        name: String,
        /// What is wrong with the bytes.
        #[source]
        source: DecodeError,
    },
    /// An entry cannot be made one of the program's types.
    #[error("the state '{name}' cannot be migrated, its bytes are damaged or nested too deep: {source}")]
    Migrate {
        /// The name of the state.
        name: String,
        /// What is wrong with the bytes.
        #[source]
        source: MigrationError,
    },
    /// Snapshots of one operator's subtasks that do not belong together.
    #[error("the snapshots of the subtasks do not fit together: {0}")]
    Inconsistent(String),
    /// A snapshot was written with another max parallelism.
    #[error(
        "the snapshot was written with max parallelism {stored}, the operator has {declared}; \
         set the operator's max parallelism to {stored}: it cannot change while keyed state is kept"
    )]
    MaxParallelism {
        /// The max parallelism of the snapshot.
        stored: u32,
        /// The max parallelism of the operator.
        declared: u32,
    },
    /// A snapshot that is the files of another backend.
    #[error(
        "the snapshot's keyed state is in files of the backend '{stored}', which the backend '{}' cannot read: restore it with \
         state.backend.type: {stored}, take a canonical savepoint, and restore that", now.as_deref().unwrap_or("hashmap")
    )]
    NativeBackend {
        /// The backend that wrote the files.
        stored: String,
        /// The backend that is to read them; `None` for one in memory.
        now: Option<String>,
    },
    /// A file of a snapshot is missing or damaged, or cannot be written.
    #[error("the file {} of a snapshot of state cannot be used: {reason}", path.display())]
    NativeFile {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file in which a part of a snapshot lies while it is needed cannot be used.
    #[error("a temporary file of a snapshot of state: failed to {action} {}: {reason}; 'io.tmp.dirs' says where these files go", path.display())]
    Spill {
        /// What was being done.
        action: &'static str,
        /// The file, or the folder that it was to be in.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A time to live that is no time.
    #[error("the time to live of the state '{name}' is {millis} ms; it must be at least 1 ms")]
    InvalidTtl {
        /// The name of the state.
        name: String,
        /// The time to live in milliseconds.
        millis: i64,
    },
    /// A backend cannot be set up.
    #[error("{reason}")]
    Backend {
        /// The code of the backend's own error.
        code: &'static str,
        /// Whose fault it is.
        fault: Fault,
        /// What the backend says: what is wrong, and what to do.
        reason: String,
    },
    /// The store under the tables failed.
    #[error("the state store failed to {action}: {reason}")]
    Store {
        /// What was being done.
        action: &'static str,
        /// What the store says.
        reason: String,
        /// Whether the same call may succeed later.
        retryable: bool,
    },
}

impl Classified for StateError {
    fn code(&self) -> &'static str {
        match self {
            StateError::DeclaredDifferently { .. } => "TM-STATE-DECLARED-DIFFERENTLY",
            StateError::RestoredDifferently { .. } => "TM-STATE-RESTORED-DIFFERENTLY",
            StateError::Incompatible { .. } => "TM-STATE-INCOMPATIBLE",
            StateError::KeyChanged { .. } => "TM-STATE-KEY-CHANGED",
            StateError::Migrate { .. } => "TM-STATE-ENTRY-UNREADABLE",
            StateError::GenericForbidden { .. } => "TM-SERIALIZATION-GENERIC-FORBIDDEN",
            StateError::NoCurrentKey => "TM-STATE-NO-CURRENT-KEY",
            StateError::WrongHandle { .. } => "TM-STATE-WRONG-HANDLE",
            StateError::WrongKeyGroup { .. } => "TM-STATE-WRONG-KEY-GROUP",
            StateError::RoutingChanged { .. } => "TM-STATE-ROUTING-CHANGED",
            StateError::UnevenBatch { .. } => "TM-STATE-UNEVEN-BATCH",
            StateError::TooManyEntries { .. } => "TM-STATE-TOO-MANY-ENTRIES",
            StateError::OutOfMemory { .. } => "TM-STATE-OUT-OF-MEMORY",
            StateError::Snapshot(_) => "TM-STATE-SNAPSHOT-UNREADABLE",
            StateError::SnapshotGivenUp => "TM-STATE-SNAPSHOT-GIVEN-UP",
            StateError::Decode { .. } => "TM-STATE-ENTRY-UNREADABLE",
            StateError::Inconsistent(_) => "TM-STATE-SNAPSHOTS-INCONSISTENT",
            StateError::MaxParallelism { .. } => "TM-STATE-MAX-PARALLELISM",
            StateError::NativeBackend { .. } => "TM-STATE-NATIVE-BACKEND",
            StateError::NativeFile { .. } => "TM-STATE-NATIVE-FILE",
            StateError::Spill { .. } => "TM-STATE-SPILL",
            StateError::InvalidTtl { .. } => "TM-STATE-INVALID-TTL",
            StateError::Backend { code, .. } => code,
            StateError::Store { .. } => "TM-STATE-STORE",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            StateError::DeclaredDifferently { .. }
            | StateError::RestoredDifferently { .. }
            | StateError::Incompatible { .. }
            | StateError::KeyChanged { .. }
            | StateError::RoutingChanged { .. }
            | StateError::GenericForbidden { .. }
            | StateError::NoCurrentKey
            | StateError::TooManyEntries { .. }
            | StateError::OutOfMemory { .. }
            | StateError::MaxParallelism { .. }
            | StateError::NativeBackend { .. }
            | StateError::InvalidTtl { .. } => Fault::User,
            StateError::Backend { fault, .. } => *fault,
            StateError::Snapshot(_)
            | StateError::Decode { .. }
            | StateError::Migrate { .. }
            | StateError::NativeFile { .. }
            | StateError::Spill { .. }
            | StateError::Store { .. } => Fault::External,
            StateError::WrongHandle { .. }
            | StateError::WrongKeyGroup { .. }
            | StateError::SnapshotGivenUp
            | StateError::UnevenBatch { .. }
            | StateError::Inconsistent(_) => Fault::Internal,
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, StateError::Store { retryable: true, .. })
    }
}
