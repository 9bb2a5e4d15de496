//! Which file is read, and by which rules.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemill_core::config::{Configuration, Entry, Origin};

use super::{legacy, yaml};
use crate::Error;

/// The most that is read of a file: far more than a configuration needs.
const MAX_BYTES: u64 = 4 << 20;

const STANDARD: &str = "config.yaml";
const LEGACY: &str = "flink-conf.yaml";

/// The content of a file.
#[derive(Debug, Default)]
pub(super) struct FileContent {
    pub(super) configuration: Configuration,
    pub(super) warnings: Vec<String>,
}

impl FileContent {
    /// Adds a key; says so if the file had it before.
    pub(super) fn add(&mut self, path: &Arc<str>, line: usize, key: String, value: String) {
        let origin = Origin::File { path: Arc::clone(path), line };
        let before = self.configuration.insert(key.clone(), Entry { value, origin: origin.clone() });
        if let Some(before) = before {
            let before = before.origin;
            self.warnings.push(format!(
                "{origin}: '{key}' was set before, at {before}; this one counts, being the last"
            ));
        }
    }
}

/// The file to read: the one given, or the one in a folder that the environment names.
pub(super) fn find(
    given: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    warnings: &mut Vec<String>,
) -> Result<Option<PathBuf>, Error> {
    if let Some(path) = given {
        return if path.is_dir() {
            in_folder("-c", path, warnings).map(Some)
        } else {
            Ok(Some(path.to_owned()))
        };
    }
    for name in ["TIDEMILL_CONF_DIR", "FLINK_CONF_DIR"] {
        if let Some(folder) = variable(name).filter(|folder| !folder.is_empty()) {
            return in_folder(name, Path::new(&folder), warnings).map(Some);
        }
    }
    Ok(None)
}

fn in_folder(named_by: &'static str, folder: &Path, warnings: &mut Vec<String>) -> Result<PathBuf, Error> {
    let (standard, legacy) = (folder.join(STANDARD), folder.join(LEGACY));
    match (standard.is_file(), legacy.is_file()) {
        (true, both) => {
            if both {
                warnings.push(format!("{} is not read, because {STANDARD} is beside it", legacy.display()));
            }
            Ok(standard)
        }
        (false, true) => Ok(legacy),
        (false, false) => Err(Error::NoFileInFolder { named_by, folder: folder.to_owned() }),
    }
}

/// Reads a file: by the rules of Flink 1.x if its name says so, else as YAML.
pub(super) fn read(path: &Path) -> Result<FileContent, Error> {
    let error = |source| Error::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(error)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(error)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let name: Arc<str> = path.display().to_string().into();
    if path.file_name().is_some_and(|file| file == LEGACY) {
        Ok(legacy::parse(&name, text))
    } else {
        yaml::parse(&name, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_or_a_folder_nothing_is_read() {
        assert_eq!(find(None, |_| None, &mut Vec::new()).unwrap(), None);
        assert_eq!(find(None, |_| Some(OsString::new()), &mut Vec::new()).unwrap(), None);
    }

    #[test]
    fn a_folder_without_configuration_is_an_error_that_says_who_named_it() {
        let folder = env!("CARGO_MANIFEST_DIR");
        let variable = |name: &str| (name == "FLINK_CONF_DIR").then(|| folder.into());
        let error = find(None, variable, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("FLINK_CONF_DIR is "), "{error}");
    }
}
