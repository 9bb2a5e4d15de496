//! Runs every target over its corpus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is tests")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use tidemill_fuzz::{TARGETS, seeds};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(project().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_corpus_is_handled() {
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let folder = format!("fuzz/corpus/{name}");
        let inputs = names(&folder);
        assert!(!inputs.is_empty(), "{folder} is empty: see `write_seeds` in this test");
        for input in inputs {
            let path = format!("{folder}/{input}");
            let bytes = fs::read(project().join(&path)).unwrap();
            if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "handled wrongly: {failed:#?}; the messages above say how");
}

/// Fuzz targets, programs and folders belong to each other.
#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz/corpus"), targets);
    let programs: BTreeSet<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names("fuzz/fuzz_targets"), programs);
    let manifest = fs::read_to_string(project().join("fuzz/Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("\nname = \"{name}\"\n")), "{name} is not in fuzz/Cargo.toml");
        let program = fs::read_to_string(project().join(format!("fuzz/fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("::{name}(")), "fuzz_targets/{name}.rs runs something else");
    }
}

/// Seeds are written on demand, so that those of older releases stay: `cargo test --release -p tidemill-fuzz -- --ignored`.
#[test]
#[ignore = "writes the seeds into fuzz/corpus"]
fn write_seeds() {
    for (target, name, bytes) in seeds::seeds() {
        let folder = project().join("fuzz/corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
}

#[test]
fn seeds_are_found_in_the_corpus() {
    for (target, name, _) in seeds::seeds() {
        let file = format!("fuzz/corpus/{target}/{name}");
        assert!(project().join(&file).exists(), "{file} is missing: see `write_seeds` in this test");
    }
}
