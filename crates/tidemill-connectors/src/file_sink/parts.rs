//! The names of part files, and what is done to them on the disk.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::ConnectorError;

/// Where one subtask of a sink puts its files.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Parts in a folder.
    Folder { folder: PathBuf, extension: &'static str },
    /// One file.
    Single(PathBuf),
}

const IN_PROGRESS: &str = ".inprogress";

impl Target {
    /// Where part `number` of a subtask is when it is complete.
    pub(crate) fn complete(&self, subtask: u32, number: u64) -> PathBuf {
        match self {
            Target::Folder { folder, extension } => {
                folder.join(format!("part-{subtask}-{number}.{extension}"))
            }
            Target::Single(path) => path.clone(),
        }
    }

    /// Where it is while it is written.
    pub(crate) fn in_progress(&self, subtask: u32, number: u64) -> PathBuf {
        let complete = self.complete(subtask, number);
        let mut name = std::ffi::OsString::from(".");
        name.push(complete.file_name().unwrap_or_default());
        name.push(IN_PROGRESS);
        complete.with_file_name(name)
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

    /// The parts that are there: subtask, number, and whether it is complete.
    pub(crate) fn parts(&self) -> Result<Vec<(u32, u64, bool)>, ConnectorError> {
        let Target::Folder { folder, extension } = self else { return Ok(Vec::new()) };
        let fail = |error| ConnectorError::io("read", folder, error);
        let mut parts = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            if let Some(part) = name.to_str().and_then(|name| parse(name, extension)) {
                parts.push(part);
            }
        }
        Ok(parts)
    }
}

fn parse(name: &str, extension: &str) -> Option<(u32, u64, bool)> {
    let hidden = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(IN_PROGRESS));
    let (subtask, number) = hidden
        .unwrap_or(name)
        .strip_prefix("part-")?
        .strip_suffix(extension)?
        .strip_suffix('.')?
        .split_once('-')?;
    Some((subtask.parse().ok()?, number.parse().ok()?, hidden.is_none()))
}

/// Makes a file that has been written completely visible under its name, so that it is there after a crash too.
pub(crate) fn publish(file: &File, from: &Path, to: &Path) -> Result<(), ConnectorError> {
    file.sync_all().map_err(|error| ConnectorError::io("write", from, error))?;
    fs::rename(from, to).map_err(|error| ConnectorError::io("write", to, error))?;
    sync_folder(to)
}

/// Only a synced folder remembers its files' names after a crash.
fn sync_folder(path: &Path) -> Result<(), ConnectorError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
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

/// Removes a part that an earlier run has left in progress, if it is there and nobody is writing it.
pub(crate) fn remove(path: &Path) -> Result<(), ConnectorError> {
    if let Ok(left_over) = File::open(path) {
        lock(&left_over, path)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ConnectorError::io("remove", path, error))
        }
        _ => Ok(()),
    }
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
        let target = Target::Folder { folder: "out".into(), extension: "csv" };
        assert_eq!(target.complete(1, 20), Path::new("out/part-1-20.csv"));
        assert_eq!(target.in_progress(1, 20), Path::new("out/.part-1-20.csv.inprogress"));
        assert_eq!(parse("part-1-20.csv", "csv"), Some((1, 20, true)));
        assert_eq!(parse(".part-1-20.csv.inprogress", "csv"), Some((1, 20, false)));
        for other in
            ["part-1-20.json", ".part-1-20.csv", "part-1.csv", "part-x-1.csv", "notes.csv", "part-1-20csv"]
        {
            assert_eq!(parse(other, "csv"), None, "{other}");
        }
    }
}
