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

/// Scripts of the corpus with words taken out, doubled, moved or put in: more than bytes made up would do, these go on to be
/// planned. `MUTANTS` says how many of each script, `SEED` which.
#[test]
fn scripts_with_changed_words_are_handled() {
    #[rustfmt::skip]
    const WORDS: [&str; 60] = [
        "(", ")", ",", ";", "'", "`", "*", "+", "-", "=", "<", ".", "[", "]", "/*+", "*/", "--", "\n", "0", "1e400", "-1", "NULL", "TRUE",
        "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "UNION ALL", "EXCEPT", "JOIN", "LEFT JOIN", "ON", "IN",
        "EXISTS", "BETWEEN", "AND", "OR", "NOT", "CASE WHEN", "END", "CAST(", "AS", "INTERVAL '1' DAY", "OVER (", "PARTITION BY",
        "DISTINCT", "FILTER (WHERE", "COUNT(*)", "SUM(a)", "TABLE", "LATERAL", "UNNEST(", "ROW(", "DESCRIPTOR(ts)", "ä\u{1f600}",
        "99999999999999999999", "a",
    ];
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (mutants, mut state) = (number("MUTANTS", 12), number("SEED", 1) | 1);
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let folder = project().join("fuzz/corpus/sql_scripts");
    let texts: Vec<String> = names("fuzz/corpus/sql_scripts")
        .into_iter()
        .map(|name| String::from_utf8_lossy(&fs::read(folder.join(name)).unwrap()).into_owned())
        .filter(|text| text.len() < 4000)
        .collect();
    let scripts: Vec<Vec<&str>> =
        texts.iter().map(|text| text.split_inclusive([' ', '(', ')', ',']).collect()).collect();
    let (_, target) = TARGETS.into_iter().find(|(name, _)| *name == "sql_scripts").unwrap();
    let mut failed = Vec::new();
    for script in scripts.iter().filter(|script| !script.is_empty()) {
        for _ in 0..mutants {
            let mut words = script.clone();
            for _ in 0..=random(3) {
                let at = random(words.len());
                match random(5) {
                    0 if words.len() > 1 => drop(words.remove(at)),
                    1 => words.insert(at, words[random(words.len())]),
                    2 => words.insert(at, WORDS[random(WORDS.len())]),
                    3 => words[at] = WORDS[random(WORDS.len())],
                    _ => {
                        let other = &scripts[random(scripts.len())];
                        let from = random(other.len());
                        let to = (from + 1 + random(12)).min(other.len());
                        words.splice(at..at, other[from.min(to)..to].iter().copied());
                    }
                }
            }
            let text = words.concat();
            let begun = std::time::Instant::now();
            let handled = catch_unwind(AssertUnwindSafe(|| target(text.as_bytes()))).is_ok();
            if !handled || begun.elapsed().as_secs() > 20 {
                failed.push(text);
            }
        }
    }
    assert!(failed.is_empty(), "{} are handled wrongly, such as\n{}", failed.len(), failed.join("\n----\n"));
}
