//! [`RocksDbError`]: what goes wrong before a state is in a RocksDB.

use std::path::PathBuf;

use tidemill_core::{Classified, Fault};

/// A RocksDB that cannot be set up.
///
/// ```
/// use tidemill_core::Classified;
/// use tidemill_rocksdb::RocksDbError;
///
/// let error = RocksDbError::Ratios { write_buffers: 0.9, high_priority: 0.5 };
/// assert_eq!(error.code(), "TM-ROCKSDB-RATIOS");
/// ```
#[derive(Debug, thiserror::Error)]
pub enum RocksDbError {
    /// Write buffers, indexes and filters would leave no room for blocks.
    #[error(
        "state.backend.rocksdb.memory.write-buffer-ratio {write_buffers} and high-prio-pool-ratio {high_priority} leave nothing of \
         the block cache for data: 2w/(3-w) + h must be below 1, lower one of them"
    )]
    Ratios {
        /// The share of write buffers.
        write_buffers: f64,
        /// The share of indexes and filters.
        high_priority: f64,
    },
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
            Self::Ratios { .. } => "TM-ROCKSDB-RATIOS",
            Self::Compression(_) => "TM-ROCKSDB-COMPRESSION",
            Self::Folder { .. } => "TM-ROCKSDB-FOLDER",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Ratios { .. } | Self::Compression(_) => Fault::User,
            Self::Folder { .. } => Fault::External,
        }
    }
}
