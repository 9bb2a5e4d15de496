//! A cluster with storage for checkpoints, and jobs on it that are driven from outside.

use std::sync::Arc;

use tidemill::core::ScratchFolder;
use tidemill::core::config::{Configuration, Origin};
use tidemill::datastream::{Executor, JobResult, StreamExecutionEnvironment};
use tidemill::runtime::JobError;
use tidemill::runtime::checkpoint::{CheckpointEnvironment, LocalBackupSettings};
use tidemill::runtime::cluster::{EmbeddedCluster, JobHandle, TaskManagerResources};
use tidemill::runtime::graph::ExecutionPlan;
use tidemill::state::{HashMapStateBackend, StateBackendFactory};
use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackends};

/// Submits a job and calls `drive` while it runs; cancels it when that returns unless it has ended.
pub(crate) struct Driven<F> {
    pub(crate) folder: std::path::PathBuf,
    pub(crate) rocksdb: bool,
    pub(crate) drive: F,
}

impl<F: Fn(&JobHandle)> Executor for Driven<F> {
    fn execute(&self, plan: ExecutionPlan, configuration: &Configuration) -> Result<JobResult, JobError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads for the storage");
        let mut configuration = configuration.clone();
        let folder = self.folder.join("checkpoints").display().to_string();
        configuration.set_raw("execution.checkpointing.dir", &folder, Origin::Api);
        let settings = StorageSettings::from_configuration(&configuration)?;
        let storage =
            CheckpointStorage::open(settings, runtime.handle().clone()).expect("a folder for checkpoints");
        let environment = CheckpointEnvironment {
            storage,
            runtime: runtime.handle().clone(),
            temporary: ScratchFolder::within(&self.folder),
            snapshot_memory: CheckpointEnvironment::SNAPSHOT_MEMORY,
            local_backup: LocalBackupSettings::default(),
        };
        let backends: Arc<dyn StateBackendFactory> = if self.rocksdb {
            let settings = RocksDbSettings::of(&configuration)?;
            Arc::new(RocksDbStateBackends::new(settings, vec![self.folder.clone()]))
        } else {
            Arc::new(HashMapStateBackend)
        };
        let resources = TaskManagerResources {
            managed_bytes: 1 << 30,
            task_heap_bytes: 4 << 30,
            ..TaskManagerResources::default()
        };
        let cluster =
            EmbeddedCluster::new(resources).with_state_backends(backends).with_checkpoints(environment);
        let job = cluster.submit(plan)?;
        (self.drive)(&job);
        job.cancel();
        let _ = job.wait();
        Ok(JobResult::of(&job))
    }
}

/// An environment whose jobs run like that, with these options.
pub(crate) fn environment<F: Fn(&JobHandle) + 'static>(
    rocksdb: bool,
    options: &[(&str, &str)],
    drive: F,
) -> (StreamExecutionEnvironment, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut configuration = Configuration::new();
    for (key, value) in options {
        configuration.set_raw(*key, *value, Origin::Api);
    }
    let executor = Driven { folder: folder.path().to_owned(), rocksdb, drive };
    (StreamExecutionEnvironment::new(configuration, executor), folder)
}
