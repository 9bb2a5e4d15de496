//! The jobs that run on this machine, so that commands find them: a folder of the user's own with a file for each job whose
//! REST interface can be reached.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::getuid;
use serde_json::{Value, json};

/// More than any file has that was written here.
const MAX_BYTES: u64 = 64 << 10;

/// A job that says that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunningJob {
    /// Its id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// The process.
    pub(crate) pid: i32,
    /// Where its REST interface listens, as `host:port`.
    pub(crate) address: String,
    file: PathBuf,
}

/// Why a job cannot be made known, or jobs cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The folder or a file in it.
    #[error("the folder of running jobs cannot be used: {}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could write to the folder.
    #[error("the folder of running jobs cannot be used: {} is not a folder of this user alone; remove it", path.display())]
    NotPrivate {
        /// The folder.
        path: PathBuf,
    },
}

/// A job that was made known. Dropping it makes it unknown.
#[derive(Debug)]
pub(crate) struct Registered {
    path: PathBuf,
    /// Locked as long as it is open: the system unlocks it when the process ends, however that is.
    _file: fs::File,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // What stays is seen to be stale.
        let _ = fs::remove_file(&self.path);
    }
}

/// Where the files are: in the folder of the user's session, or else among temporary files.
fn folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| Path::new(folder).is_absolute()) {
        Some(session) => PathBuf::from(session).join("tidemill"),
        None => std::env::temp_dir().join(format!("tidemill-{}", getuid().as_raw())),
    }
}

/// Makes a job known whose interface is at `address`.
pub(crate) fn register(id: &str, name: &str, address: &str) -> Result<Registered, RegistryError> {
    register_in(&folder(), id, name, address)
}

fn register_in(folder: &Path, id: &str, name: &str, address: &str) -> Result<Registered, RegistryError> {
    let failed = |path: &Path, source| RegistryError::Io { path: path.to_owned(), source };
    match fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(folder, error)),
        _ => check_private(folder)?,
    }
    let pid = std::process::id();
    let text = json!({
        "id": id,
        "name": name,
        "pid": pid,
        "address": address,
    });
    // Under another name first, so that nobody reads half of it.
    let (file, unfinished) = (folder.join(format!("{id}.json")), folder.join(format!("{id}.{pid}.new")));
    let mut options = fs::OpenOptions::new();
    let written = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut out| out.write_all(text.to_string().as_bytes()).map(|()| out))
        .and_then(|out| match out.try_lock() {
            Err(fs::TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => fs::rename(&unfinished, &file).map(|()| out),
        });
    match written {
        Ok(locked) => Ok(Registered { path: file, _file: locked }),
        Err(error) => {
            let _ = fs::remove_file(&unfinished);
            Err(failed(&file, error))
        }
    }
}

/// Others must not be able to send commands elsewhere.
fn check_private(folder: &Path) -> Result<(), RegistryError> {
    let found = fs::symlink_metadata(folder);
    let found = found.map_err(|source| RegistryError::Io { path: folder.to_owned(), source })?;
    let is_private =
        found.is_dir() && found.uid() == getuid().as_raw() && found.permissions().mode() & 0o077 == 0;
    if is_private { Ok(()) } else { Err(RegistryError::NotPrivate { path: folder.to_owned() }) }
}

/// The jobs whose processes run. Files that others have left are removed.
pub(crate) fn all() -> Result<Vec<RunningJob>, RegistryError> {
    all_in(&folder())
}

fn all_in(folder: &Path) -> Result<Vec<RunningJob>, RegistryError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(RegistryError::Io { path: folder.to_owned(), source }),
    };
    check_private(folder)?;
    let mut jobs = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read(&path) {
            Some(job) if is_used(&path) => jobs.push(job),
            // Its process was killed, or the file is not one of ours.
            _ => drop(fs::remove_file(&path)),
        }
    }
    jobs.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(jobs)
}

fn read(path: &Path) -> Option<RunningJob> {
    let found = fs::symlink_metadata(path).ok()?;
    // A pipe would let nobody go on, and a link may lead anywhere.
    if !found.is_file() || found.len() > MAX_BYTES {
        return None;
    }
    let fields: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let text = |name: &str| Some(fields.get(name)?.as_str()?.to_owned());
    let job = RunningJob {
        id: text("id")?,
        name: text("name")?,
        pid: i32::try_from(fields.get("pid")?.as_i64()?).ok()?,
        address: text("address")?,
        file: path.to_owned(),
    };
    Some(job)
}

impl RunningJob {
    /// Nobody answers there, and its process is gone meanwhile.
    pub(crate) fn forget_if_gone(&self) {
        if !is_used(&self.file) {
            let _ = fs::remove_file(&self.file);
        }
    }
}

/// Whether the process that a file is of has it locked still. Not its number decides: another process may have that meanwhile, and in
/// a container numbers are others.
fn is_used(path: &Path) -> bool {
    match fs::File::open(path).map(|file| file.try_lock()) {
        Ok(Ok(())) => false,
        Ok(Err(_)) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_known_while_their_process_runs() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tidemill");
        assert_eq!(all_in(&folder).unwrap(), []);
        let one = register_in(&folder, "aa", "Flights", "127.0.0.1:8081").unwrap();
        let other = register_in(&folder, "bb", "Clicks", "127.0.0.1:8082").unwrap();
        let found = all_in(&folder).unwrap();
        assert_eq!(found.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["Clicks", "Flights"]);
        assert_eq!(found[1].address, "127.0.0.1:8081");
        assert_eq!(fs::metadata(folder.join("aa.json")).unwrap().permissions().mode() & 0o777, 0o600);
        drop(one);
        assert_eq!(all_in(&folder).unwrap().len(), 1);
        drop(other);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn what_is_stale_or_damaged_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tidemill");
        let _one = register_in(&folder, "aa", "Flights", "127.0.0.1:8081").unwrap();
        // As a process leaves it that was killed: nobody has it locked, though there is a process of that number.
        let text = fs::read_to_string(folder.join("aa.json")).unwrap();
        fs::write(folder.join("bb.json"), text.replace("aa", "bb")).unwrap();
        fs::write(folder.join("cc.json"), "{\"id\":").unwrap();
        let found = all_in(&folder).unwrap();
        assert_eq!(found.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["aa"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the others are gone");
        found[0].forget_if_gone();
        assert_eq!(all_in(&folder).unwrap(), found);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("tidemill");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(all_in(&folder), Err(RegistryError::NotPrivate { .. })));
        assert!(matches!(register_in(&folder, "aa", "x", "a"), Err(RegistryError::NotPrivate { .. })));
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        assert!(matches!(all_in(&link), Err(RegistryError::NotPrivate { .. })));
    }
}
