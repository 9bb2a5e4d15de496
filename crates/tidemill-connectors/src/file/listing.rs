//! Which files a path, folder or pattern stands for.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::ConnectorError;

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) bytes: u64,
}

/// The folder that the paths of partitions are below: that at `path`, or the part of a pattern before its first wildcard.
pub(crate) fn root(path: &str) -> &str {
    let path = strip_scheme(path);
    let fixed = match path.find(['*', '?', '[']) {
        Some(at) if !Path::new(path).exists() => path[..at].rsplit_once('/').map_or("", |(folder, _)| folder),
        _ => path,
    };
    fixed.trim_end_matches('/')
}

/// A path below `root`, which begins with it.
pub(crate) fn relative<'a>(root: &str, path: &'a str) -> &'a str {
    path.strip_prefix(root).unwrap_or(path).trim_start_matches('/')
}

/// The files at `path`, sorted: of a folder all below it but hidden ones (names that begin with `.` or `_`), of a
/// pattern what matches. A `file://` in front is dropped.
pub(crate) fn list(path: &str) -> Result<Vec<Listed>, ConnectorError> {
    let path = strip_scheme(path);
    let mut files = BTreeMap::new();
    match fs::metadata(path) {
        Ok(metadata) => add(Path::new(path), &metadata, &mut files)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.contains(['*', '?', '[']) => {
            let invalid = |error: glob::PatternError| ConnectorError::InvalidPattern {
                pattern: path.to_owned(),
                reason: error.to_string(),
            };
            for entry in glob::glob(path).map_err(invalid)? {
                let entry = entry.map_err(|error| {
                    let path = error.path().to_path_buf();
                    ConnectorError::io("read", path, error.into())
                })?;
                let metadata =
                    fs::metadata(&entry).map_err(|error| ConnectorError::io("read", &entry, error))?;
                add(&entry, &metadata, &mut files)?;
            }
            if files.is_empty() {
                return Err(ConnectorError::NoFileMatches { pattern: path.to_owned() });
            }
        }
        Err(error) => return Err(ConnectorError::io("read", path, error)),
    }
    Ok(files.into_iter().map(|(path, bytes)| Listed { path, bytes }).collect())
}

pub(crate) fn strip_scheme(path: &str) -> &str {
    path.strip_prefix("file://").unwrap_or(path)
}

fn add(path: &Path, metadata: &Metadata, files: &mut BTreeMap<String, u64>) -> Result<(), ConnectorError> {
    if metadata.is_dir() {
        let visible = |entry: &walkdir::DirEntry| {
            let name = entry.file_name().as_encoded_bytes();
            entry.depth() == 0 || !(name.starts_with(b".") || name.starts_with(b"_"))
        };
        for entry in walkdir::WalkDir::new(path).follow_links(true).into_iter().filter_entry(visible) {
            let entry = entry.map_err(|error| {
                let at = error.path().unwrap_or(path).to_path_buf();
                ConnectorError::io("read", at, error.into())
            })?;
            if !entry.file_type().is_dir() {
                let metadata = entry
                    .metadata()
                    .map_err(|error| ConnectorError::io("read", entry.path(), error.into()))?;
                add_file(entry.path(), &metadata, files)?;
            }
        }
        if files.is_empty() {
            tracing::warn!(folder = %path.display(), "the folder has no files to read");
        }
        return Ok(());
    }
    add_file(path, metadata, files)
}

fn add_file(
    path: &Path,
    metadata: &Metadata,
    files: &mut BTreeMap<String, u64>,
) -> Result<(), ConnectorError> {
    if !metadata.is_file() {
        return Err(ConnectorError::NotAFile { path: path.to_path_buf(), found: kind(metadata) });
    }
    match path.to_str() {
        Some(path) => files.insert(path.to_owned(), metadata.len()),
        None => return Err(ConnectorError::PathNotUtf8 { path: PathBuf::from(path) }),
    };
    Ok(())
}

#[cfg(unix)]
fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn kind(_metadata: &Metadata) -> &'static str {
    "neither a file nor a folder"
}
