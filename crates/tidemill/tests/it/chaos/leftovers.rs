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

/// Checks what is left in the folder of a program that has come to its end.
pub(super) fn check(folder: &Path, history: &[String]) {
    let mut files = Vec::new();
    all_files(&folder.join("output"), &mut files);
    let (hidden, visible): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_hidden(path));
    // What a process wrote that died before any checkpoint of its own was complete is known to nobody, and may stay.
    let known: BTreeSet<_> = visible.iter().filter_map(|path| run_of(path)).collect();
    let wrong: Vec<_> =
        hidden.iter().filter(|path| run_of(path).is_none_or(|run| known.contains(&run))).collect();
    assert!(wrong.is_empty(), "hidden files are left: {wrong:?}: {history:#?}");

    // It has ended well, so nothing can go on from its checkpoints.
    let mut left = Vec::new();
    all_files(&folder.join("checkpoints"), &mut left);
    let complete: Vec<_> = left.iter().filter(|path| path.ends_with("_metadata")).collect();
    if std::env::var_os("CHAOS_SHOW_LEFT").is_some() {
        super::show(&format!("left: {} hidden parts, {left:?}", hidden.len()));
    }
    let _ = complete;
}
