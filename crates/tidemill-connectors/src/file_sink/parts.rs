//! The names of part files, and what is done to them on the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::ConnectorError;

/// Where one subtask of a sink puts its files.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Parts in a folder; of a partitioned table in folders below it, each with what the names of its folders begin with.
    Folder { folder: PathBuf, extension: &'static str, levels: Vec<String> },
    /// One file.
    Single(PathBuf),
}

const IN_PROGRESS: &str = ".inprogress";

/// Which part of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartId {
    /// The run of the job that writes it; `None` without checkpoints, when a folder belongs to one job.
    pub(crate) run: Option<u64>,
    pub(crate) subtask: u32,
    /// Counted over all partitions of a subtask.
    pub(crate) number: u64,
    /// The path of its partition; empty where there are none.
    pub(crate) partition: Arc<str>,
}

impl PartId {
    /// The only part of a single file.
    pub(crate) fn single() -> Self {
        Self { run: None, subtask: 0, number: 0, partition: "".into() }
    }
}

impl Target {
    /// Where a part is when everyone may see it.
    pub(crate) fn complete(&self, part: &PartId) -> PathBuf {
        let PartId { run, subtask, number, partition } = part;
        match (self, run) {
            (Target::Single(path), _) => path.clone(),
            (Target::Folder { extension, .. }, None) => {
                self.partition(partition).join(format!("part-{subtask}-{number}.{extension}"))
            }
            (Target::Folder { extension, .. }, Some(run)) => {
                self.partition(partition).join(format!("part-{run:016x}-{subtask}-{number}.{extension}"))
            }
        }
    }

    /// The folder of a partition.
    pub(crate) fn partition(&self, partition: &str) -> PathBuf {
        match partition {
            "" => self.folder().to_path_buf(),
            partition => self.folder().join(partition),
        }
    }

    /// Makes the folder of a partition, so that it is there after a crash too.
    pub(crate) fn make_partition(&self, partition: &str) -> Result<(), ConnectorError> {
        let folder = self.partition(partition);
        if partition.is_empty() || folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&folder)
            .map_err(|error| ConnectorError::io("create the folder", &folder, error))?;
        let mut above = folder.as_path();
        while let Some(parent) = above.parent().filter(|_| above != self.folder()) {
            sync_folder(parent)?;
            above = parent;
        }
        Ok(())
    }

    /// Where it is until then.
    pub(crate) fn hidden(&self, part: &PartId) -> PathBuf {
        let complete = self.complete(part);
        let mut name = std::ffi::OsString::from(".");
        name.push(complete.file_name().unwrap_or_default());
        name.push(IN_PROGRESS);
        complete.with_file_name(name)
    }

    /// What a subtask keeps locked as long as it writes parts of this run.
    pub(crate) fn lock_file(&self, run: u64, subtask: u32) -> PathBuf {
        self.folder().join(format!(".part-{run:016x}-{subtask}.lock"))
    }

    pub(crate) fn folder(&self) -> &Path {
        match self {
            Target::Folder { folder, .. } => folder,
            Target::Single(path) => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            },
        }
    }

    /// Makes the folder, and sees that nothing else is in the way.
    pub(crate) fn prepare(&self) -> Result<(), ConnectorError> {
        let bad = |path: &Path, reason: &str| {
            Err(ConnectorError::BadTarget { path: path.to_path_buf(), reason: reason.to_owned() })
        };
        match self {
            Target::Folder { folder, .. } if folder.exists() && !folder.is_dir() => {
                return bad(
                    folder,
                    "it is a file, but a folder for part files is expected: choose another path",
                );
            }
            Target::Single(path) if path.is_dir() => {
                return bad(
                    path,
                    "it is a folder, but one file is to be written: add a file name to the path",
                );
            }
            Target::Single(path) if path.file_name().is_none() => {
                return bad(path, "it has no file name: add one to the path");
            }
            _ => {}
        }
        fs::create_dir_all(self.folder()).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => ConnectorError::BadTarget {
                path: self.folder().to_path_buf(),
                reason: "a part of the path is a file, not a folder: choose another path".to_owned(),
            },
            _ => ConnectorError::io("create the folder", self.folder(), error),
        })
    }

    /// What is there.
    pub(crate) fn list(&self) -> Result<Listing, ConnectorError> {
        let mut listing = Listing::default();
        if let Target::Folder { folder, extension, levels } = self {
            list_folder(folder, "", extension, levels, &mut listing)?;
        }
        Ok(listing)
    }
}

/// What is in the folder of a partition, or, as long as there are `levels` below it, in those.
fn list_folder(
    folder: &Path,
    partition: &str,
    extension: &str,
    levels: &[String],
    listing: &mut Listing,
) -> Result<(), ConnectorError> {
    let fail = |error| ConnectorError::io("read", folder, error);
    let shared: Arc<str> = partition.into();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let Some(name) = name.to_str() else { continue };
        match levels {
            [] => listing.parts.extend(parse(name, extension, &shared)),
            [prefix, below @ ..] if name.starts_with(prefix) && folder.join(name).is_dir() => {
                let inner =
                    if partition.is_empty() { name.to_owned() } else { format!("{partition}/{name}") };
                list_folder(&folder.join(name), &inner, extension, below, listing)?;
            }
            _ => {}
        }
        if partition.is_empty() {
            listing.locks.extend(parse_lock(name));
        }
    }
    Ok(())
}

/// What a sink finds in its folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The parts, and whether everyone may see them.
    pub(crate) parts: Vec<(PartId, bool)>,
    /// The files by which subtasks say that they write parts of a run.
    pub(crate) locks: Vec<(u64, u32)>,
}

fn parse_lock(name: &str) -> Option<(u64, u32)> {
    let (run, subtask) = name.strip_prefix(".part-")?.strip_suffix(".lock")?.split_once('-')?;
    Some((parse_run(run)?, subtask.parse().ok()?))
}

fn parse_run(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16)
}

fn parse(name: &str, extension: &str, partition: &Arc<str>) -> Option<(PartId, bool)> {
    let hidden = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(IN_PROGRESS));
    let rest = hidden.unwrap_or(name).strip_prefix("part-")?.strip_suffix(extension)?.strip_suffix('.')?;
    let (rest, number) = rest.rsplit_once('-')?;
    let (run, subtask) = match rest.split_once('-') {
        Some((run, subtask)) => (Some(parse_run(run)?), subtask),
        None => (None, rest),
    };
    let (subtask, number) = (subtask.parse().ok()?, number.parse().ok()?);
    let part = PartId { run, subtask, number, partition: Arc::clone(partition) };
    Some((part, hidden.is_none()))
}

/// Makes a file that has been written to its end visible under its name, so that it is there after a crash too.
pub(crate) fn publish(file: &File, from: &Path, to: &Path) -> Result<(), ConnectorError> {
    file.sync_all().map_err(|error| ConnectorError::io("write", from, error))?;
    fs::rename(from, to).map_err(|error| ConnectorError::io("write", to, error))?;
    sync_folder(to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Makes a part of a checkpoint that is complete visible; nothing when it is already. The folder is to be synced afterwards.
pub(crate) fn commit(target: &Target, part: &PartId, length: u64) -> Result<(), ConnectorError> {
    let (hidden, complete) = (target.hidden(part), target.complete(part));
    let lost = |reason: String| Err(ConnectorError::PartLost { path: complete.clone(), reason });
    let length_of = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConnectorError::io("look at", path, error)),
    };
    match length_of(&hidden)? {
        Some(found) if found != length => {
            return lost(format!(
                "{length} bytes of it were written to '{}', but that has {found}: start from another checkpoint",
                hidden.display()
            ));
        }
        Some(_) => match fs::rename(&hidden, &complete) {
            // A job that goes on from the same checkpoint may have been faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => return renamed.map_err(|error| ConnectorError::io("write", &complete, error)),
        },
        None => {}
    }
    let advice = match (length_of(&complete)?, target) {
        (Some(_), Target::Folder { .. }) => return Ok(()),
        // Its name may be that of an earlier run's.
        (Some(found), Target::Single(_)) if found == length => return Ok(()),
        (_, Target::Single(_)) => "put it back or start from another checkpoint",
        (None, Target::Folder { .. }) => {
            "put it back or start from another checkpoint; if it was taken away on purpose after it had become visible, put \
             any file with its name there for the start"
        }
    };
    lost(format!("neither it nor '{}' is there with its {length} bytes: {advice}", hidden.display()))
}

/// Only a synced folder remembers its files' names after a crash.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), ConnectorError> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| ConnectorError::io("write", folder, error))?;
    }
    Ok(())
}

/// Locks a part in progress, so that two jobs that are told to write the same file do not mix their rows. The lock goes with
/// the file; a crash leaves none behind.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), ConnectorError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(fs::TryLockError::WouldBlock) => Err(ConnectorError::BadTarget {
            path: path.to_path_buf(),
            reason: "another job is writing it: let that one end, or choose another path".to_owned(),
        }),
        Err(fs::TryLockError::Error(error)) => Err(ConnectorError::io("lock", path, error)),
    }
}

/// Takes a lock file that tells others that the parts it stands for are being written; `None` when somebody else has it.
pub(crate) fn take_lock(path: &Path) -> Result<Option<File>, ConnectorError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(|error| ConnectorError::io("write", path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(ConnectorError::io("lock", path, error)),
    }
}

/// Removes what a subtask of a run that is over has left hidden; nothing when it is not over.
pub(crate) fn remove_left_over(lock_file: &Path, hidden: &[PathBuf]) -> Result<(), ConnectorError> {
    let guard = match File::open(lock_file) {
        Ok(guard) => Some(guard),
        // A run that came to its end orderly has taken it away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(ConnectorError::io("lock", lock_file, error)),
    };
    if let Some(guard) = &guard {
        match guard.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(()),
            Err(fs::TryLockError::Error(error)) => return Err(ConnectorError::io("lock", lock_file, error)),
        }
    }
    hidden.iter().try_for_each(|path| remove(path))?;
    if guard.is_some() { remove_file(lock_file) } else { Ok(()) }
}

fn remove_file(path: &Path) -> Result<(), ConnectorError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ConnectorError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Removes a part that an earlier run has left in progress, if it is there and nobody is writing it.
pub(crate) fn remove(path: &Path) -> Result<(), ConnectorError> {
    if let Ok(left_over) = File::open(path) {
        lock(&left_over, path)?;
    }
    remove_file(path)
}

/// Brings a part back to where it was when it had `length` bytes, and opens it behind them. What a later run has already
/// made visible is hidden again.
pub(crate) fn reopen(in_progress: &Path, complete: &Path, length: u64) -> Result<File, ConnectorError> {
    let fail = |error| ConnectorError::io("write", in_progress, error);
    if !in_progress.exists() && complete.exists() {
        fs::rename(complete, in_progress).map_err(fail)?;
    }
    let lost = |reason: String| Err(ConnectorError::Resume { path: in_progress.to_path_buf(), reason });
    let file = match OpenOptions::new().append(true).open(in_progress) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return lost(format!("{length} bytes of it had been written, but it is not there any more"));
        }
        Err(error) => return Err(fail(error)),
    };
    lock(&file, in_progress)?;
    let found = file.metadata().map_err(fail)?.len();
    if found < length {
        return lost(format!("{length} bytes of it had been written, but it has only {found}"));
    }
    file.set_len(length).map_err(fail)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let target = Target::Folder { folder: "out".into(), extension: "csv", levels: Vec::new() };
        let root: Arc<str> = "".into();
        let parse = |name: &str| parse(name, "csv", &root);
        let plain = PartId { run: None, subtask: 1, number: 20, partition: Arc::clone(&root) };
        assert_eq!(target.complete(&plain), Path::new("out/part-1-20.csv"));
        assert_eq!(target.hidden(&plain), Path::new("out/.part-1-20.csv.inprogress"));
        assert_eq!(parse("part-1-20.csv"), Some((plain.clone(), true)));
        assert_eq!(parse(".part-1-20.csv.inprogress"), Some((plain.clone(), false)));
        let of_run = PartId { run: Some(0xab), ..plain.clone() };
        assert_eq!(target.complete(&of_run), Path::new("out/part-00000000000000ab-1-20.csv"));
        assert_eq!(target.lock_file(0xab, 1), Path::new("out/.part-00000000000000ab-1.lock"));
        assert_eq!(parse("part-00000000000000ab-1-20.csv"), Some((of_run.clone(), true)));
        assert_eq!(parse(".part-00000000000000ab-1-20.csv.inprogress"), Some((of_run.clone(), false)));
        assert_eq!(parse_lock(".part-00000000000000ab-1.lock"), Some((0xab, 1)));
        assert_eq!(parse_lock(".part-ab-1.lock"), None);
        for other in [
            "part-1-20.json",
            ".part-1-20.csv",
            "part-1.csv",
            "part-x-1.csv",
            "notes.csv",
            "part-1-20csv",
            "part-ab-1-20.csv",
            "part-00000000000000xy-1-20.csv",
            "part-1-2-3-4.csv",
            ".part-00000000000000ab-1.lock",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
        let of_day = PartId { partition: "dt=1/hm=12%3A30".into(), ..of_run };
        let path = Path::new("out/dt=1/hm=12%3A30/part-00000000000000ab-1-20.csv");
        assert_eq!(target.complete(&of_day), path);
    }
}
