//! Files and command lines as users have them.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tidemill::Error;
use tidemill::config::{LoadedConfiguration, load};
use tidemill_core::config::{MemorySize, options};

use super::{Folder, data, tidemill_with};

fn load_file(path: &str) -> Result<LoadedConfiguration, Error> {
    load(["-c", path].map(OsString::from))
}

/// A published tuning block, read by the rules of both kinds of file.
fn both_ways(name: &str) -> [LoadedConfiguration; 2] {
    let folder = Folder::new();
    let text = std::fs::read_to_string(data(name)).unwrap();
    ["config.yaml", "flink-conf.yaml"].map(|file| load_file(&folder.file(file, &text)).unwrap())
}

#[test]
fn network_settings_take_effect() {
    for loaded in both_ways("network-tuning.yaml") {
        let configuration = &loaded.configuration;
        assert_eq!(configuration.get(&options::NETWORK_FRACTION).unwrap(), 0.1);
        assert_eq!(configuration.get(&options::NETWORK_MIN).unwrap(), MemorySize::from_mebibytes(64));
        assert_eq!(configuration.get(&options::NETWORK_MAX).unwrap(), MemorySize::from_mebibytes(1024));
        assert_eq!(configuration.get(&options::SEGMENT_SIZE).unwrap().bytes(), 32 << 10);
        assert_eq!(configuration.get(&options::BUFFERS_PER_CHANNEL).unwrap(), 2);
        assert_eq!(configuration.get(&options::FLOATING_BUFFERS_PER_GATE).unwrap(), 8);
        // The block has the timeout three times, to show three choices: the last counts.
        assert_eq!(options::buffer_timeout(configuration).unwrap(), None);
        let again = loaded.warnings.iter().filter(|warning| warning.contains("was set before")).count();
        assert_eq!(again, 2, "{:?}", loaded.warnings);
        let older = loaded.warnings.iter().filter(|warning| warning.contains("is an older spelling")).count();
        assert_eq!(older, 1, "{:?}", loaded.warnings);
        assert_eq!(loaded.warnings.len(), 3, "{:?}", loaded.warnings);
        assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
    }
}

#[test]
fn each_buffer_timeout_of_the_block_works_alone() {
    let folder = Folder::new();
    for (line, expected) in [
        ("execution.buffer-timeout: 100ms  # default", Some(Duration::from_millis(100))),
        ("execution.buffer-timeout: 1ms    # flush almost immediately", Some(Duration::from_millis(1))),
        ("execution.buffer-timeout: -1     # only flush when buffer is full", None),
    ] {
        for name in ["config.yaml", "flink-conf.yaml"] {
            let loaded = load_file(&folder.file(name, line)).unwrap();
            assert_eq!(options::buffer_timeout(&loaded.configuration).unwrap(), expected, "{line}");
        }
    }
}

#[test]
fn settings_of_state_and_checkpoints_take_effect() {
    for (name, entries) in [("rocksdb-tuning.yaml", 10), ("checkpoint-tuning.yaml", 10)] {
        for loaded in both_ways(name) {
            assert!(loaded.notes.is_empty(), "{name}: {:#?}", loaded.notes);
            // One key of each has an older spelling.
            assert_eq!(loaded.warnings.len(), 1, "{name}: {:#?}", loaded.warnings);
            assert_eq!(loaded.configuration.iter().count(), entries, "{name}");
        }
    }
}

#[test]
fn the_command_line_wins_over_the_file_under_any_spelling() {
    let folder = Folder::new();
    let file = folder
        .file("config.yaml", "execution:\n  buffer-timeout:\n    interval: 5 ms\nparallelism.default: 2\n");
    let args =
        ["--config", &file, "-Dexecution.buffer-timeout=-1", "-D", "parallelism.default=4", "input.csv"];
    let loaded = load(args.map(OsString::from)).unwrap();
    assert_eq!(loaded.configuration.get(&options::PARALLELISM).unwrap(), 4);
    assert_eq!(options::buffer_timeout(&loaded.configuration).unwrap(), None);
    assert_eq!(loaded.rest, ["input.csv"]);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert_eq!(loaded.file.as_deref(), Some(Path::new(&file)));
}

#[test]
fn a_flat_older_spelling_beside_the_new_key_is_ignored_aloud() {
    let folder = Folder::new();
    let text = "execution.buffer-timeout: 100ms\nexecution.buffer-timeout.interval: 1ms\n";
    let loaded = load_file(&folder.file("config.yaml", text)).unwrap();
    assert_eq!(options::buffer_timeout(&loaded.configuration).unwrap(), Some(Duration::from_millis(1)));
    assert!(
        loaded
            .warnings
            .iter()
            .any(|warning| warning.contains("config.yaml:1: 'execution.buffer-timeout' is ignored"))
    );
}

#[test]
fn maps_and_nested_maps() {
    let folder = Folder::new();
    for text in [
        "pipeline.jobvertex-parallelism-overrides: a:1,b:2",
        "pipeline.jobvertex-parallelism-overrides: {a: 1, b: 2}",
        "pipeline:\n  jobvertex-parallelism-overrides:\n    a: 1\n    b: 2\n",
    ] {
        let loaded = load_file(&folder.file("config.yaml", text)).unwrap();
        let map = loaded.configuration.get(&options::PARALLELISM_OVERRIDES).unwrap();
        assert_eq!(map, [("a".to_owned(), 1), ("b".to_owned(), 2)].into(), "{text}");
    }
}

#[test]
fn every_error_is_reported_with_its_line() {
    let folder = Folder::new();
    let file = folder.file("config.yaml", "a.b: 1\n\nparallelism:\n  default: many\n");
    let error = load_file(&file).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[0].contains("config.yaml:1: unknown key 'a.b'"), "{error}");
    assert!(
        lines[1].contains("config.yaml:4: Could not parse value 'many' for key 'parallelism.default'"),
        "{error}"
    );
    let missing = load_file("/nowhere/config.yaml").unwrap_err().to_string();
    assert!(missing.contains("cannot read /nowhere/config.yaml"), "{missing}");
}

#[test]
fn the_environment_names_a_folder() {
    let (old, new) = (Folder::new(), Folder::new());
    old.file("flink-conf.yaml", "parallelism.default: 3 # from 1.x\n");
    new.file("config.yaml", "parallelism:\n  default: 5\n");
    let set_to = |variables: &[(&str, &Path)]| {
        let run = tidemill_with(&["config", "explain", "parallelism.default"], variables);
        assert_eq!(run.code, 0, "{}", run.err);
        run.out.lines().find(|line| line.contains("set to")).map(|line| line.trim().to_owned())
    };
    assert_eq!(set_to(&[]), None);
    assert!(set_to(&[("FLINK_CONF_DIR", &old.0)]).unwrap().contains("3 ("));
    assert!(set_to(&[("FLINK_CONF_DIR", &old.0), ("TIDEMILL_CONF_DIR", &new.0)]).unwrap().contains("5 ("));
}
