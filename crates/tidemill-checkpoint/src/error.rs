//! What can go wrong with stored checkpoints.

use std::fmt;

use tidemill_core::{Classified, Fault};

/// Why a storage failed to do something.
///
/// ```
/// use tidemill_checkpoint::StorageFailure;
///
/// assert!(StorageFailure::Unavailable.retryable());
/// assert!(!StorageFailure::DiskFull.retryable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageFailure {
    /// There is no such file.
    NotFound,
    /// There is no such bucket or container.
    BucketMissing,
    /// The storage does not allow it.
    Permission,
    /// There are no credentials, or wrong ones.
    Credentials,
    /// The disk is full, or a quota or limit of file sizes is reached.
    DiskFull,
    /// The folder, or the disk that it is on, cannot be written to.
    Unwritable,
    /// The server asks to be called at another place, as it does for a bucket of another region.
    WrongPlace,
    /// The storage did not answer, or said that it cannot now.
    Unavailable,
    /// The storage did not do it within the time that it had.
    Timeout,
    /// Anything else.
    Other,
}

impl StorageFailure {
    /// Whether the same may succeed a little later without any change.
    pub fn retryable(self) -> bool {
        matches!(self, StorageFailure::Unavailable | StorageFailure::Timeout)
    }

    fn advice(self) -> &'static str {
        match self {
            StorageFailure::NotFound => "look whether it was deleted or moved",
            StorageFailure::BucketMissing => {
                "create the bucket or container, or set 'execution.checkpointing.dir' or \
                 'execution.checkpointing.savepoint-dir' to one that exists"
            }
            StorageFailure::Permission => {
                "give the user, role or key that this process has the right to read, write, list and delete there"
            }
            StorageFailure::Credentials => {
                "set 's3.access-key' and 's3.secret-key' for S3, or give this process credentials by its environment \
                 (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY) or a role"
            }
            StorageFailure::DiskFull => {
                "make room, raise the quota, or set 'execution.checkpointing.dir' to a larger disk"
            }
            StorageFailure::Unwritable => {
                "let this process write there, or set 'execution.checkpointing.dir' to a folder that it can write to"
            }
            StorageFailure::WrongPlace => {
                "set 's3.region' to the region of the bucket, and look at 's3.endpoint'"
            }
            StorageFailure::Unavailable => {
                "look whether the storage runs and can be reached from here, and at 's3.endpoint' if it is S3"
            }
            StorageFailure::Timeout => {
                "look whether the storage is overloaded; fewer requests at once ('fs.s3a.connection.maximum', \
                 'fs.s3a.threads.max') or larger files ('execution.checkpointing.file-merging.enabled') may help"
            }
            StorageFailure::Other => "see what the storage says",
        }
    }
}

impl fmt::Display for StorageFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageFailure::NotFound => "it is not there",
            StorageFailure::BucketMissing => "the bucket or container does not exist",
            StorageFailure::Permission => "permission denied",
            StorageFailure::Credentials => "there are no credentials, or they are not accepted",
            StorageFailure::DiskFull => "no space is left",
            StorageFailure::Unwritable => "the folder cannot be written to",
            StorageFailure::WrongPlace => "the server points to another place",
            StorageFailure::Unavailable => "the storage is not available",
            StorageFailure::Timeout => "it took too long",
            StorageFailure::Other => "the storage failed",
        })
    }
}

/// What can go wrong with stored checkpoints. Messages and debug output have no credentials.
///
/// ```
/// use tidemill_checkpoint::{CheckpointError, CheckpointMetadata};
/// use tidemill_core::Classified;
///
/// let error = CheckpointMetadata::decode(b"TMCK", "s3://bucket/chk-7/_metadata").unwrap_err();
/// assert_eq!(error.code(), "TM-CHECKPOINT-METADATA-UNREADABLE");
/// assert!(error.to_string().contains("s3://bucket/chk-7/_metadata"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The metadata of a checkpoint is damaged, or of a version that this release does not know.
    #[error(
        "the metadata of a checkpoint, {location}, cannot be read: {reason}; restore from another checkpoint"
    )]
    Metadata {
        /// The file.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder has no complete checkpoint.
    #[error(
        "{location} is no complete checkpoint or savepoint: it has no file '_metadata'; name a folder 'chk-…' or 'savepoint-…' \
         that has one"
    )]
    Incomplete {
        /// The folder.
        location: String,
    },
    /// Stored state is not what was written.
    #[error(
        "the state in {location}, {length} bytes from byte {offset} on, is damaged: {reason}; restore from another checkpoint"
    )]
    StateDamaged {
        /// The file.
        location: String,
        /// Where the state begins in it.
        offset: u64,
        /// How many bytes it has.
        length: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A text names no folder of a storage.
    #[error(
        "'{uri}' names no place for checkpoints: {reason}; write a path, or file://, s3://, gs:// or abfss:// with a bucket or \
         container{}",
        .key.map(|key| format!(" (option '{key}')")).unwrap_or_default()
    )]
    InvalidUri {
        /// The text, without passwords.
        uri: String,
        /// What is wrong with it.
        reason: String,
        /// The option that has it, if one does.
        key: Option<&'static str>,
    },
    /// A folder is needed and none is set.
    #[error("there is no folder for {what}: set '{key}'")]
    NoDirectory {
        /// What would lie in it.
        what: &'static str,
        /// The option to set.
        key: &'static str,
    },
    /// A storage cannot be set up.
    #[error("the storage {location} cannot be set up: {reason}; {advice}")]
    Setup {
        /// Which.
        location: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// A storage failed.
    #[error("could not {action} {location}{}: {failure} ({detail}); {}", tries(*attempts), failure.advice())]
    Storage {
        /// What was being done.
        action: &'static str,
        /// With what.
        location: String,
        /// Why it failed.
        failure: StorageFailure,
        /// How often it was tried.
        attempts: u32,
        /// What the storage says.
        detail: String,
    },
    /// A file of this machine cannot be read or written.
    #[error("could not {action} the local file {}: {failure} ({detail}); 'io.tmp.dirs' says where such files are", path.display())]
    LocalFile {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why it failed.
        failure: StorageFailure,
        /// What the system says.
        detail: String,
    },
    /// Two processes would take checkpoints into one folder.
    #[error(
        "another process takes checkpoints into {location}: the job runs still. Stop it first; 'tidemill list' shows what runs on \
         this machine"
    )]
    InUse {
        /// The folder.
        location: String,
    },
    /// State cannot be encoded beside its task.
    #[error("the state of subtask {subtask} cannot be encoded: {reason}")]
    NotEncoded {
        /// The subtask.
        subtask: u32,
        /// What is wrong.
        reason: String,
    },
    /// More is asked of a checkpoint's writer after it failed or was given up.
    #[error("the files of {location} are not written any more: an earlier write failed or was cancelled")]
    WriterClosed {
        /// The folder of the checkpoint.
        location: String,
    },
    /// A checkpoint that the registry does not know as pending, or that it knows already.
    #[error("checkpoint {id} {problem}")]
    UnexpectedCheckpoint {
        /// Its id.
        id: u64,
        /// What does not fit.
        problem: &'static str,
    },
    /// A blocking call was made on a thread of an asynchronous runtime, which it would hold up.
    #[error("storage was called blockingly on a thread of an asynchronous runtime; await the call there")]
    BlockingInRuntime,
    /// The asynchronous runtime that storage works on is shut down.
    #[error("storage cannot go on: its asynchronous runtime is shut down")]
    RuntimeGone,
}

impl CheckpointError {
    /// Whether what was to be read is damaged or not there: another checkpoint may do. Whether a storage that cannot be reached has
    /// it is not known.
    ///
    /// ```
    /// use tidemill_checkpoint::CheckpointError;
    ///
    /// assert!(CheckpointError::Incomplete { location: "file:///checkpoints/chk-7".to_owned() }.is_damage());
    /// ```
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            CheckpointError::Metadata { .. }
                | CheckpointError::Incomplete { .. }
                | CheckpointError::StateDamaged { .. }
                | CheckpointError::Storage { failure: StorageFailure::NotFound, .. }
        )
    }
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        many => format!(", tried {many} times"),
    }
}

impl Classified for CheckpointError {
    fn code(&self) -> &'static str {
        match self {
            CheckpointError::Metadata { .. } => "TM-CHECKPOINT-METADATA-UNREADABLE",
            CheckpointError::Incomplete { .. } => "TM-CHECKPOINT-INCOMPLETE",
            CheckpointError::StateDamaged { .. } => "TM-CHECKPOINT-STATE-DAMAGED",
            CheckpointError::InvalidUri { .. } => "TM-CHECKPOINT-INVALID-URI",
            CheckpointError::NoDirectory { .. } => "TM-CHECKPOINT-NO-DIRECTORY",
            CheckpointError::Setup { .. } => "TM-CHECKPOINT-STORAGE-SETUP",
            CheckpointError::Storage { failure, .. } => match failure {
                StorageFailure::NotFound => "TM-CHECKPOINT-FILE-NOT-FOUND",
                StorageFailure::BucketMissing => "TM-CHECKPOINT-BUCKET-MISSING",
                StorageFailure::Permission => "TM-CHECKPOINT-PERMISSION",
                StorageFailure::Credentials => "TM-CHECKPOINT-CREDENTIALS",
                StorageFailure::DiskFull => "TM-CHECKPOINT-DISK-FULL",
                StorageFailure::Unwritable => "TM-CHECKPOINT-UNWRITABLE",
                StorageFailure::WrongPlace => "TM-CHECKPOINT-WRONG-PLACE",
                StorageFailure::Unavailable => "TM-CHECKPOINT-UNAVAILABLE",
                StorageFailure::Timeout => "TM-CHECKPOINT-TIMEOUT",
                StorageFailure::Other => "TM-CHECKPOINT-STORAGE",
            },
            CheckpointError::LocalFile { .. } => "TM-CHECKPOINT-LOCAL-FILE",
            CheckpointError::InUse { .. } => "TM-CHECKPOINT-IN-USE",
            CheckpointError::NotEncoded { .. } => "TM-CHECKPOINT-NOT-ENCODED",
            CheckpointError::WriterClosed { .. } => "TM-CHECKPOINT-WRITER-CLOSED",
            CheckpointError::UnexpectedCheckpoint { .. } => "TM-CHECKPOINT-UNEXPECTED",
            CheckpointError::BlockingInRuntime => "TM-CHECKPOINT-BLOCKING-IN-RUNTIME",
            CheckpointError::RuntimeGone => "TM-CHECKPOINT-RUNTIME-GONE",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            CheckpointError::Incomplete { .. }
            | CheckpointError::InvalidUri { .. }
            | CheckpointError::NoDirectory { .. }
            | CheckpointError::InUse { .. }
            | CheckpointError::Setup { .. } => Fault::User,
            CheckpointError::Storage { failure, .. } => match failure {
                StorageFailure::BucketMissing
                | StorageFailure::Permission
                | StorageFailure::Credentials
                | StorageFailure::Unwritable
                | StorageFailure::WrongPlace => Fault::User,
                _ => Fault::External,
            },
            CheckpointError::Metadata { .. }
            | CheckpointError::StateDamaged { .. }
            | CheckpointError::LocalFile { .. } => Fault::External,
            CheckpointError::NotEncoded { .. }
            | CheckpointError::WriterClosed { .. }
            | CheckpointError::UnexpectedCheckpoint { .. }
            | CheckpointError::BlockingInRuntime
            | CheckpointError::RuntimeGone => Fault::Internal,
        }
    }

    fn retryable(&self) -> bool {
        match self {
            CheckpointError::Storage { failure, .. } => failure.retryable(),
            _ => false,
        }
    }
}
