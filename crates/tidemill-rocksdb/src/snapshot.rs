//! Native snapshots: the files of a RocksDB, linked into a folder of their own, and beside them the rows that are kept back from it.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::Arc;

use rust_rocksdb::checkpoint::Checkpoint;
use rust_rocksdb::{ErrorKind, FlushOptions};
use tidemill_state::{HotRows, NativeFile, NativeFiles, NativeFolder, StateError};

use crate::database::Opened;
use crate::store::failed;

/// What tells the files of one RocksDB from those of all others: it gives numbers as names, and begins with the same ones
/// wherever one snapshot is restored.
pub(crate) fn new_store_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// Whether files of this name never change once they are there.
fn is_table(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "sst")
}

/// Writes what is in memory to disk and links all files into `folder`, which must not exist; beside them go the rows that `hot` adds.
pub(crate) fn checkpoint(
    opened: &Opened,
    store_id: &str,
    folder: Arc<NativeFolder>,
    hot: &mut dyn FnMut(&mut HotRows) -> Result<(), StateError>,
) -> Result<NativeFiles, StateError> {
    // All tables at once, by all threads; making the checkpoint waits for them.
    let mut at_once = FlushOptions::default();
    at_once.set_wait(false);
    for family in opened.all_families() {
        if let Some(family) = opened.db.cf_handle(&family) {
            match opened.db.flush_cf_opt(&family, &at_once) {
                // It has too many files to be merged: making the checkpoint waits for that.
                Err(error) if error.kind() == ErrorKind::TryAgain => {}
                flushed => flushed.map_err(|error| failed("write a table to disk", &error))?,
            }
        }
    }
    let made = Checkpoint::new(&opened.db).and_then(|checkpoint| checkpoint.create_checkpoint(folder.path()));
    made.map_err(|error| failed("link the files of a RocksDB", &error))?;
    let mut rows = HotRows::new(&folder.path().join(HotRows::FILE_NAME));
    hot(&mut rows)?;
    rows.finish()?;
    let unlisted = |error: std::io::Error| StateError::NativeFile {
        path: folder.path().to_path_buf(),
        reason: error.to_string(),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.path()).map_err(unlisted)? {
        let entry = entry.map_err(unlisted)?;
        let bytes = entry.metadata().map_err(unlisted)?.len();
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = || opened.inherited.get(&name).cloned().unwrap_or_else(|| format!("{store_id}-{name}"));
        let shared_id = is_table(&name).then(own);
        files.push(NativeFile { path: entry.path(), name, bytes, shared_id });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(NativeFiles { files, folder })
}
