//! RocksDB as a store of state.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod expiry;
mod frozen;
mod memory;
mod metrics;
mod model;
mod native;
mod settings;
mod states;
#[path = "../../../tidemill-state/tests/state/timer_model.rs"]
mod timer_model;
mod timers;
mod under_load;

use std::path::Path;

use tidemill_core::config::{Configuration, Origin};
use tidemill_rocksdb::RocksDbSettings;

/// Settings with some options of `state.backend.rocksdb.` set.
pub(crate) fn settings(entries: &[(&str, &str)]) -> RocksDbSettings {
    let mut configuration = Configuration::new();
    for (key, value) in entries {
        configuration.set_raw(format!("state.backend.rocksdb.{key}"), *value, Origin::CommandLine);
    }
    RocksDbSettings::of(&configuration).unwrap()
}

/// The newest of the files in which RocksDB writes down what it was opened with.
pub(crate) fn options_file(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let newest = files
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("OPTIONS-"))
        .max_by_key(|path| path.file_name().unwrap().to_owned());
    std::fs::read_to_string(newest.unwrap()).unwrap()
}
