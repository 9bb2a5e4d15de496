//! Places in programs.

use std::fmt;
use std::panic::Location;
use std::path::{Component, Path, PathBuf};

/// Shows a place in a program without the detours that paths of packages may have: `examples/job.rs:3:5` instead of
/// `crates/one/../../examples/job.rs:3:5`.
///
/// ```
/// use std::panic::Location;
/// use tidemill_runtime::graph::Place;
///
/// let here = Location::caller();
/// assert!(Place(here).to_string().ends_with(&format!(":{}:{}", here.line(), here.column())));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Place<'a>(pub &'a Location<'a>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", straight(self.0.file()).display(), self.0.line(), self.0.column())
    }
}

fn straight(path: &str) -> PathBuf {
    let mut straight = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(straight.components().next_back(), Some(Component::Normal(_))) =>
            {
                straight.pop();
            }
            other => straight.push(other),
        }
    }
    straight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detours_are_left_out() {
        for (path, expected) in [
            ("crates/one/../../examples/job.rs", "examples/job.rs"),
            ("../common/./lib.rs", "../common/lib.rs"),
            ("a/../../b.rs", "../b.rs"),
            ("/src/../lib.rs", "/lib.rs"),
            ("src/main.rs", "src/main.rs"),
        ] {
            assert_eq!(straight(path), Path::new(expected), "{path}");
        }
    }
}
