//! Which state backend the configuration chooses.

use std::sync::Arc;

use tidemill_core::ScratchFolder;
use tidemill_core::config::Configuration;
use tidemill_core::config::options::{self, StateBackendType};
use tidemill_runtime::JobError;
use tidemill_state::{HashMapStateBackend, StateBackendFactory};

type Backends = (Arc<dyn StateBackendFactory>, Vec<ScratchFolder>);

/// The backends of `state.backend.type`, for the slots of a TaskManager, and the folders that they use while jobs run.
///
/// # Errors
/// When an option has a bad value, or the backend is not built in.
pub(super) fn factory(configuration: &Configuration) -> Result<Backends, JobError> {
    match configuration.get(&options::STATE_BACKEND)? {
        StateBackendType::HashMap => Ok((Arc::new(HashMapStateBackend), Vec::new())),
        StateBackendType::RocksDb => rocksdb(configuration),
    }
}

#[cfg(feature = "rocksdb")]
fn rocksdb(configuration: &Configuration) -> Result<Backends, JobError> {
    use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackends};

    let settings = RocksDbSettings::of(configuration)?;
    let temporary = match configuration.get_optional(&options::TMP_DIRS)? {
        Some(folders) => options::folders(&folders),
        None => vec![std::env::temp_dir()],
    };
    let backends = RocksDbStateBackends::new(settings, temporary);
    let folders = backends.folders().to_vec();
    Ok((Arc::new(backends), folders))
}

#[cfg(not(feature = "rocksdb"))]
fn rocksdb(_: &Configuration) -> Result<Backends, JobError> {
    Err(JobError::Environment(
        "state.backend.type is rocksdb, which this program was built without: build it with the feature `rocksdb` of `tidemill`"
            .into(),
    ))
}
