//! Clusters that take checkpoints, and an operator whose results show each record that is lost or counted twice.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
use tidemill_core::ScratchFolder;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::hash::RoutingHash;
use tidemill_runtime::checkpoint::{CheckpointEnvironment, LocalBackupSettings};
use tidemill_runtime::operator::stateful;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{KeyedStateBackend, SubtaskSnapshot, ValueState, ValueStateDescriptor};
use tokio::runtime::Runtime;

use crate::s3_server::S3Server;

/// What does the work beside the tasks, for all tests of a program.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for tests")
    })
}

/// Checkpoints and savepoints in this folder.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let environment = tidemill_testkit::checkpoints::environment(folder.path());
/// assert!(environment.storage.settings().checkpoint_dir.is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn environment(folder: &Path) -> CheckpointEnvironment {
    environment_at(folder.to_str().expect("a plain path"), folder, &[])
}

/// Checkpoints and savepoints on a server, in the folder `checkpoints` of its bucket.
///
/// ```
/// use tidemill_testkit::{checkpoints, s3_server::S3Server};
///
/// let server = S3Server::start();
/// let environment = checkpoints::environment_of(&server);
/// assert_eq!(environment.storage.settings().checkpoint_dir.as_deref(), Some("s3://bucket/checkpoints"));
/// ```
pub fn environment_of(server: &S3Server) -> CheckpointEnvironment {
    environment_at("s3://bucket/checkpoints", server.folder.path(), &server.options())
}

fn environment_at(uri: &str, folder: &Path, options: &[(&str, String)]) -> CheckpointEnvironment {
    let mut configuration = Configuration::new();
    for key in ["execution.checkpointing.dir", "execution.checkpointing.savepoint-dir"] {
        configuration.set_raw(key, uri, Origin::Api);
    }
    for (key, value) in options {
        configuration.set_raw(*key, value.as_str(), Origin::Api);
    }
    // So that state is in files, too.
    configuration.set_raw("execution.checkpointing.data-inline-threshold", "64 b", Origin::Api);
    let settings = StorageSettings::from_configuration(&configuration).expect("settings");
    let storage = CheckpointStorage::open(settings, runtime().handle().clone()).expect("storage");
    CheckpointEnvironment {
        storage,
        runtime: runtime().handle().clone(),
        temporary: ScratchFolder::within(folder.join("temporary")),
        // So that most of it goes through files.
        snapshot_memory: 1 << 10,
        local_backup: LocalBackupSettings::default(),
    }
}

/// Settings for checkpoints every few milliseconds.
pub fn often() -> tidemill_checkpoint::CheckpointSettings {
    tidemill_checkpoint::CheckpointSettings {
        interval: Some(Duration::from_millis(10)),
        ..tidemill_checkpoint::CheckpointSettings::default()
    }
}

/// How a key is routed.
pub fn route(key: u32) -> u64 {
    key.routing_hash()
}

/// Emits with each key how often it has come. Each number of each key comes exactly once, unless records are lost or counted
/// twice.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, checkpoints, unstamped};
///
/// let mut harness = OperatorHarness::<(u32, u64)>::new(checkpoints::counts());
/// harness.process(0, unstamped([7u32, 8, 7]))?;
/// assert_eq!(harness.take_values(), [(7, 1), (8, 1), (7, 2)]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub fn counts() -> impl OperatorFactory + 'static {
    stateful(Counts::default)
}

#[derive(Default)]
struct Counts(Option<(KeyedStateBackend<u32>, ValueState<u64>)>);

impl Operator for Counts {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state(restored.as_ref())?;
        let state = backend.register_value(ValueStateDescriptor::new("count"))?;
        self.0 = Some((backend, state));
        Ok(())
    }

    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Some((backend, state)) = &mut self.0 else { return Ok(Progress::Done) };
        let mut counted: TypedBatch<(u32, u64)> = TypedBatch::default();
        for key in &batch.downcast_mut::<TypedBatch<u32>>()?.values {
            backend.set_current_key(key, route(*key))?;
            let count = state.get(backend)?.unwrap_or(0) + 1;
            state.update(backend, count)?;
            counted.push((*key, count), 0);
        }
        out.emit_typed(counted);
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.0 {
            Some((backend, _)) => Ok(context.keyed(backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }
}

/// What [`counts`] makes of records, in order.
///
/// ```
/// assert_eq!(tidemill_testkit::checkpoints::expected([7, 8, 7]), [(7, 1), (7, 2), (8, 1)]);
/// ```
pub fn expected(keys: impl IntoIterator<Item = u32>) -> Vec<(u32, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_insert(0u64) += 1;
    }
    counts.into_iter().flat_map(|(key, count)| (1..=count).map(move |number| (key, number))).collect()
}
