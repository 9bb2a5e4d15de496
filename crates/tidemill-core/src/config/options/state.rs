//! Where keyed state is kept.

use crate::config::ConfigOption;
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;

config_enum! {
    /// A way to keep keyed state.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::StateBackendType;
    ///
    /// assert_eq!(StateBackendType::parse("RocksDB"), Ok(StateBackendType::RocksDb));
    /// ```
    StateBackendType {
        /// In hash tables in memory, within the task heap.
        HashMap = "hashmap",
        /// In RocksDB on disk, with a cache in the managed memory.
        RocksDb = "rocksdb",
    }
}

declare_options! {
    /// Where keyed state is kept: `hashmap`, in the memory of the task heap, or `rocksdb`, on disk with a cache in the managed
    /// memory, for more state than memory.
    STATE_BACKEND: StateBackendType =
        ConfigOption::new("state.backend.type").default("hashmap").deprecated(&["state.backend"]).job();

    /// Folders for files that a job needs while it runs, separated by commas or colons; the default is that of the system.
    TMP_DIRS: String = ConfigOption::new("io.tmp.dirs").deprecated(&["taskmanager.tmp.dirs"]);
}

/// The folders that an option names, which are separated by commas or, as in `PATH`, by colons.
///
/// ```
/// use tidemill_core::config::options;
///
/// assert_eq!(options::folders("/disk-1, /disk-2:/disk-3").len(), 3);
/// ```
pub fn folders(text: &str) -> Vec<std::path::PathBuf> {
    text.split([',', ':']).map(str::trim).filter(|folder| !folder.is_empty()).map(Into::into).collect()
}
