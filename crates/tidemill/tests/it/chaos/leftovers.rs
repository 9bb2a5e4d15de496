//! What killed processes leave behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::entries;

/// Whether a file is one that only its sink may see.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.'))
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        match path.is_dir() {
            true => all_files(&path, found),
            false => found.push(path),
        }
    }
}

/// The run of the sink in the name of a part: `part-5be0c7a1d2f3e491-0-3.csv`.
fn run_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.trim_start_matches('.');
    name.strip_prefix("part-")?.split('-').next().map(str::to_owned)
}

/// Everything in a folder, folders included.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            found.extend(all(&path));
        }
        found.push(path);
    }
    found
}

/// Checks what is left in the folder of a program that has come to its end; `ended_well` says that the last process was not killed, even
/// behind its job.
pub(super) fn check(folder: &Path, ended_well: bool, history: &[String]) {
    let mut files = Vec::new();
    all_files(&folder.join("output"), &mut files);
    let (hidden, visible): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_hidden(path));
    // What a process wrote that died before any checkpoint of its own was complete is known to nobody, and may stay.
    let known: BTreeSet<_> = visible.iter().filter_map(|path| run_of(path)).collect();
    let wrong: Vec<_> =
        hidden.iter().filter(|path| run_of(path).is_none_or(|run| known.contains(&run))).collect();
    assert!(wrong.is_empty(), "hidden files are left: {wrong:?}: {history:#?}");

    let left = [all(&folder.join("checkpoints")), all(&folder.join("temporary"))].concat();
    if std::env::var_os("CHAOS_SHOW_LEFT").is_some() {
        super::show(&format!("left: {} hidden parts, ended well: {ended_well}, {left:?}", hidden.len()));
    }
    // Nothing can go on from its checkpoints, and nobody lives who could need anything else.
    assert!(!ended_well || left.is_empty(), "files are left: {left:?}: {history:#?}");
}
