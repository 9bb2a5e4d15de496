//! Copies, on this machine, of what checkpoints have stored elsewhere: a task that is started again reads its state from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use parking_lot::Mutex;
use tidemill_checkpoint::{FileLocation, StateHandle};
use tidemill_core::{CheckpointId, ScratchFolder};

/// Whether state is kept on this machine, and where.
///
/// ```
/// use tidemill_runtime::checkpoint::LocalBackupSettings;
///
/// let off = LocalBackupSettings::default();
/// assert!(off.folders.is_empty() && !off.recover);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalBackupSettings {
    /// `execution.checkpointing.local-backup.dirs`; none: nothing is kept.
    pub folders: Vec<PathBuf>,
    /// `execution.state-recovery.from-local`.
    pub recover: bool,
}

/// The copies that one job has. What cannot be copied is not there, and is read from the checkpoint. They go with this.
pub(crate) struct LocalBackup {
    folders: Vec<ScratchFolder>,
    recover: bool,
    next: AtomicU64,
    copies: Mutex<HashMap<(FileLocation, u64), Copy>>,
}

struct Copy {
    path: PathBuf,
    /// The newest checkpoint that needs it.
    needed_by: CheckpointId,
}

impl LocalBackup {
    /// `None` when nothing is to be kept.
    pub(super) fn new(settings: &LocalBackupSettings) -> Option<Self> {
        let folders: Vec<ScratchFolder> = settings.folders.iter().map(ScratchFolder::within).collect();
        let (recover, next) = (settings.recover, AtomicU64::new(0));
        (!folders.is_empty()).then(|| Self { folders, recover, next, copies: Mutex::default() })
    }

    /// Keeps what `handle` names, unless it is known already. `copy` makes a file of it.
    fn keep(&self, id: CheckpointId, handle: &StateHandle, copy: impl FnOnce(&Path) -> io::Result<()>) {
        let StateHandle::File { location, offset, .. } = handle else { return };
        let key = (location.clone(), *offset);
        if let Some(known) = self.copies.lock().get_mut(&key) {
            known.needed_by = known.needed_by.max(id);
            return;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = &self.folders[number as usize % self.folders.len()];
        let kept = folder.create().and_then(|folder| {
            let path = folder.join(number.to_string());
            copy(&path).inspect_err(|_| drop(fs::remove_file(&path)))?;
            Ok(path)
        });
        match kept {
            Ok(path) => {
                self.copies.lock().insert(key, Copy { path, needed_by: id });
            }
            // The checkpoint has it.
            Err(error) => tracing::warn!(
                "state is not kept in {} on this machine: {error}. 'execution.checkpointing.local-backup.dirs' says where",
                folder.parent().display()
            ),
        }
    }

    /// Does what blocks on a thread that may be blocked.
    pub(super) async fn beside(backup: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        let backup = Arc::clone(backup);
        // What was not kept is read from the checkpoint.
        let _ = tokio::task::spawn_blocking(move || work(&backup)).await;
    }

    /// Keeps bytes that were stored for checkpoint `id`. Blocks.
    pub(super) fn keep_bytes(&self, id: CheckpointId, handle: &StateHandle, bytes: &[u8]) {
        self.keep(id, handle, |path| fs::write(path, bytes));
    }

    /// Keeps a file that was stored for checkpoint `id`, or that it names again. Blocks.
    pub(super) fn keep_file(&self, id: CheckpointId, handle: &StateHandle, file: &Path) {
        self.keep(id, handle, |path| link_or_copy(file, path));
    }

    /// A checkpoint is complete: what only earlier ones need is not read any more.
    pub(super) fn completed(&self, id: CheckpointId) {
        self.copies.lock().retain(|_, copy| {
            let needed = copy.needed_by >= id;
            if !needed {
                let _ = fs::remove_file(&copy.path);
            }
            needed
        });
    }

    /// The job has ended: nothing is read any more.
    pub(super) fn clear(&self) {
        self.copies.lock().clear();
        self.folders.iter().for_each(ScratchFolder::delete);
    }

    fn find(&self, handle: &StateHandle) -> Option<PathBuf> {
        let StateHandle::File { location, offset, .. } = handle else { return None };
        let copies = self.copies.lock();
        let copy = copies.get(&(location.clone(), *offset)).filter(|_| self.recover)?;
        Some(copy.path.clone())
    }

    /// The bytes that `handle` names, if they are here and whole.
    pub(super) fn read(&self, handle: &StateHandle) -> Option<Vec<u8>> {
        let bytes = fs::read(self.find(handle)?).ok()?;
        handle.is_of(&bytes).then_some(bytes)
    }

    /// Makes `to` the file that `handle` names; false when it is not here.
    pub(super) fn fetch(&self, handle: &StateHandle, to: &Path) -> bool {
        let Some(from) = self.find(handle) else { return false };
        let whole = fs::metadata(&from).is_ok_and(|found| found.len() == handle.length());
        whole && link_or_copy(&from, to).is_ok()
    }
}

/// The files of state backends never change once they are part of a snapshot.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
}
