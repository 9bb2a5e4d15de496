//! [`RocksDbError`]: what goes wrong before a state is in a RocksDB.

use std::path::PathBuf;

use tidemill_core::{Classified, Fault};
use tidemill_state::StateError;

/// A RocksDB that cannot be set up.
///
/// ```
/// use tidemill_core::Classified;
/// use tidemill_rocksdb::RocksDbError;
///
/// assert_eq!(RocksDbError::Compression("ZLIB_COMPRESSION").code(), "TM-ROCKSDB-COMPRESSION");
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RocksDbError {
    /// A kind of compression that this build of RocksDB does not have.
    #[error(
        "state.backend.rocksdb.compression.per.level: {0} is not built in; use NO_COMPRESSION, SNAPPY_COMPRESSION, LZ4_COMPRESSION, \
         LZ4HC_COMPRESSION or ZSTD_COMPRESSION"
    )]
    Compression(&'static str),
    /// A folder that cannot be made or written to.
    #[error("the folder {} for RocksDB's files cannot be used ({reason}): see state.backend.rocksdb.localdir", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl Classified for RocksDbError {
    fn code(&self) -> &'static str {
        match self {
            Self::Compression(_) => "TM-ROCKSDB-COMPRESSION",
            Self::Folder { .. } => "TM-ROCKSDB-FOLDER",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Compression(_) => Fault::User,
            Self::Folder { .. } => Fault::External,
        }
    }
}

impl From<RocksDbError> for StateError {
    fn from(error: RocksDbError) -> Self {
        Self::Backend { code: error.code(), fault: error.fault(), reason: error.to_string() }
    }
}
