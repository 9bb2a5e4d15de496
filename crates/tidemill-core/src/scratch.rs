//! Folders for files that are needed only while a process runs. What a killed process leaves of them, the next one deletes.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How the names begin of folders, `tidemill-{process}-{number}`, and of the files that are locked as long as these are in use.
const PREFIX: &str = "tidemill-";
/// How the names of the locked files end.
const LOCK: &str = ".lock";
/// How many names are tried.
const MOST_NAMES: u32 = 10_000;

/// A folder of one's own in another folder, for this user alone: made when it is first asked for, and deleted with all that is in it
/// when the last clone is dropped.
///
/// A process that is killed cannot delete it. So a file beside it is locked while it is in use, which the system unlocks when the
/// process ends, however that is; whoever makes the next folder there deletes those whose files are not locked.
///
/// ```
/// use tidemill_core::ScratchFolder;
///
/// let parent = std::env::temp_dir().join(format!("scratch-example-{}", std::process::id()));
/// let scratch = ScratchFolder::within(&parent);
/// assert!(!parent.exists(), "nothing was asked for yet");
/// let folder = scratch.create()?;
/// std::fs::write(folder.join("rows"), "many")?;
/// assert_eq!(scratch.clone().create()?, folder);
///
/// drop(scratch);
/// assert!(!folder.exists());
/// # std::fs::remove_dir(parent)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScratchFolder {
    parent: PathBuf,
    made: Arc<Mutex<Option<Made>>>,
}

impl ScratchFolder {
    /// One in `parent`, which is made when it is not there.
    pub fn within(parent: impl Into<PathBuf>) -> Self {
        Self { parent: parent.into(), made: Arc::default() }
    }

    /// The folder that this one is, or will be, in.
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// Makes the folder if there is none yet, or somebody has deleted it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self) -> io::Result<PathBuf> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref() {
            // Whoever clears a folder for temporary files takes what is empty and old.
            return match DirBuilder::new().mode(0o700).recursive(true).create(&made.folder) {
                Ok(()) => Ok(made.folder.clone()),
                Err(error) => Err(error),
            };
        }
        fs::create_dir_all(&self.parent)?;
        let new = Made::new(&self.parent)?;
        delete_left_over(&self.parent, &new);
        Ok(made.insert(new).folder.clone())
    }

    /// Deletes the folder with all that is in it now, whoever has a clone of this.
    pub fn delete(&self) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

#[derive(Debug)]
struct Made {
    folder: PathBuf,
    lock: PathBuf,
    /// Locked as long as it is open.
    file: File,
}

impl Made {
    fn new(parent: &Path) -> io::Result<Self> {
        for number in 0..MOST_NAMES {
            let name = format!("{PREFIX}{}-{number}", std::process::id());
            let (folder, lock) = (parent.join(&name), parent.join(name + LOCK));
            let file = match File::options().write(true).create_new(true).mode(0o600).open(&lock) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // Somebody who tidies up may have come between, and holds the file or has deleted it. File systems without locks have
            // nobody who tidies up.
            let is_taken = matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
            if is_taken || file.metadata()?.nlink() == 0 {
                continue;
            }
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Self { folder, lock, file }),
                Err(error) => {
                    let _ = fs::remove_file(&lock);
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(error);
                    }
                }
            }
        }
        Err(io::Error::other(format!("{MOST_NAMES} names of folders in it are taken")))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Others may be deleting what they have in it, which may disturb the one or the other.
        for _ in 0..3 {
            if fs::remove_dir_all(&self.folder).is_ok() || !self.folder.exists() {
                let _ = fs::remove_file(&self.lock);
                return;
            }
        }
        // What cannot be deleted is left to the next one.
    }
}

/// Deletes the folders in `parent` that belong to the user of `new` and that no process uses.
fn delete_left_over(parent: &Path, new: &Made) {
    let (Ok(entries), Ok(ours)) = (fs::read_dir(parent), new.file.metadata()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(folder) =
            name.to_str().and_then(|name| name.strip_suffix(LOCK)).filter(|name| is_scratch(name))
        else {
            continue;
        };
        let lock = entry.path();
        // Others may write to a folder for temporary files: what is theirs, or leads elsewhere, is not touched.
        let Ok(found) = fs::symlink_metadata(&lock) else { continue };
        if !found.is_file() || found.uid() != ours.uid() {
            continue;
        }
        let Ok(file) = File::options().write(true).open(&lock) else { continue };
        let is_unused = file.try_lock().is_ok()
            && file.metadata().is_ok_and(|opened| opened.ino() == found.ino() && opened.nlink() > 0);
        if !is_unused {
            continue;
        }
        match fs::remove_dir_all(parent.join(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => drop(fs::remove_file(&lock)),
        }
    }
}

/// Whether a name is `tidemill-{process}-{number}`: a folder that somebody else calls `tidemill-data` is his.
fn is_scratch(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn each_has_a_folder_of_its_own_that_goes_with_it() {
        let parent = parent("scratch-own");
        let (one, other) = (ScratchFolder::within(&parent), ScratchFolder::within(&parent));
        assert_ne!(one.create().unwrap(), other.create().unwrap());
        fs::create_dir(one.create().unwrap().join("deeper")).unwrap();
        fs::remove_dir_all(one.create().unwrap()).unwrap();
        let mode = fs::metadata(one.create().unwrap()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(one);
        assert_eq!(names(&parent).len(), 2, "a folder and its lock: {:?}", names(&parent));
        drop(other);
        assert_eq!(names(&parent), Vec::<String>::new());
        fs::remove_dir(parent).unwrap();
    }

    #[test]
    fn what_nobody_uses_is_deleted_by_the_next() {
        let parent = parent("scratch-left");
        fs::create_dir_all(parent.join("tidemill-1-0")).unwrap();
        fs::write(parent.join("tidemill-1-0").join("rows"), "many").unwrap();
        // Of a process that was killed: the file is there, and nobody has it locked.
        fs::write(parent.join("tidemill-1-0.lock"), "").unwrap();
        // No lock tells of these, and a link may lead anywhere.
        fs::create_dir(parent.join("tidemill-kept")).unwrap();
        fs::write(parent.join("tidemill-kept.lock"), "of somebody else").unwrap();
        fs::create_dir(parent.join("elsewhere")).unwrap();
        fs::write(parent.join("elsewhere.txt"), "").unwrap();
        std::os::unix::fs::symlink("elsewhere.txt", parent.join("tidemill-2-0.lock")).unwrap();
        let in_use = ScratchFolder::within(&parent);
        let used = in_use.create().unwrap();
        let next = ScratchFolder::within(&parent);
        next.create().unwrap();
        assert!(used.exists());
        next.delete();
        drop(in_use);
        let left = ["elsewhere", "elsewhere.txt", "tidemill-2-0.lock", "tidemill-kept", "tidemill-kept.lock"];
        assert_eq!(names(&parent), left);
        assert!(next.create().unwrap().exists(), "made again");
        drop(next);
        fs::remove_dir_all(parent).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let parent = parent("scratch-file");
        fs::write(&parent, "").unwrap();
        assert!(ScratchFolder::within(&parent).create().is_err());
        fs::remove_file(parent).unwrap();
    }
}
