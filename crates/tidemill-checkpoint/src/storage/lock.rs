//! That two processes do not take checkpoints into one folder.

use std::fs::{File, TryLockError};
use std::io::{self, Write};

use super::job::JobStorage;
use super::{CheckpointStorage, failure, local};
use crate::error::CheckpointError;

/// The name of the file that is locked.
const NAME: &str = "in-use";

/// While it lives, no other process of this machine takes checkpoints into the folder of the same run of a job. The system lets it
/// go when the process ends, however that is.
#[derive(Debug)]
pub struct JobLock {
    // Unlocked when it is closed.
    _file: Option<File>,
}

impl JobStorage {
    /// Says that this process takes checkpoints of this run of the job `job_name` from now on. Object stores have no locks: there it is not known whether
    /// another process does.
    ///
    /// ```
    /// # use tidemill_checkpoint::{CheckpointStorage, StorageSettings};
    /// # use tidemill_core::JobId;
    /// # use tidemill_core::config::{Configuration, Origin};
    /// # let folder = tempfile::tempdir()?;
    /// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    /// # let mut configuration = Configuration::new();
    /// # configuration.set_raw("execution.checkpointing.dir", folder.path().to_str().unwrap(), Origin::Api);
    /// # let settings = StorageSettings::from_configuration(&configuration)?;
    /// # let storage = CheckpointStorage::open(settings, runtime.handle().clone())?;
    /// let job = storage.job(JobId::from_name("flights"))?;
    /// let lock = job.lock("flights")?;
    /// assert!(job.lock("flights").unwrap_err().to_string().contains("another process"));
    /// drop(lock);
    /// job.lock("flights")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`CheckpointError::InUse`] when another process does, and when the file cannot be made.
    pub fn lock(&self, job_name: &str) -> Result<JobLock, CheckpointError> {
        let Some(folder) = self.store.local_path(&self.path) else { return Ok(JobLock { _file: None }) };
        let failed = |error: io::Error| CheckpointError::Storage {
            action: "lock",
            location: self.uri(),
            failure: failure::of_io(&error),
            attempts: 1,
            detail: error.to_string(),
        };
        local::create_folder(&folder).map_err(failed)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(NAME))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                // So that what a killed process has left can be told from that of other jobs.
                file.set_len(0).and_then(|()| (&file).write_all(job_name.as_bytes())).map_err(failed)?;
                Ok(JobLock { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse { location: self.uri() }),
            // Some file systems of networks have no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(JobLock { _file: None })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Removes the folder of this run if no checkpoint is left in it. To be called by who has the lock.
    pub async fn remove_if_empty(&self, lock: JobLock) {
        let Some(folder) = self.store.local_path(&self.path) else { return };
        self.store.remove_empty_folder(&self.path.clone().join(super::SHARED)).await;
        let only_the_lock = std::fs::read_dir(&folder)
            .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == NAME)));
        if only_the_lock {
            let _ = std::fs::remove_file(folder.join(NAME));
            self.store.remove_empty_folder(&self.path).await;
        }
        drop(lock);
    }
}

impl CheckpointStorage {
    /// Deletes what earlier runs of jobs of this name have left on this machine that were killed before they had a complete
    /// checkpoint. Nobody could go on from that, and no later run would come by it. Runs that go on still are left alone.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub async fn discard_unfinished(&self, job_name: &str) -> Result<(), CheckpointError> {
        if !self.settings().create_subdir {
            return Ok(());
        }
        for run in self.runs().await? {
            let job = self.job(run)?;
            let Some(folder) = job.store.local_path(&job.path) else { return Ok(()) };
            let is_ours = std::fs::read_to_string(folder.join(NAME)).is_ok_and(|name| name == job_name);
            if !is_ours {
                continue;
            }
            // With the lock, so that none becomes complete meanwhile.
            if let Ok(_lock) = job.lock(job_name)
                && !job.list().await?.iter().any(|found| found.complete)
            {
                match std::fs::remove_dir_all(&folder) {
                    Ok(()) => tracing::info!(
                        job = job_name,
                        folder = %folder.display(),
                        "deleted what a run has left that never had a complete checkpoint"
                    ),
                    Err(error) => tracing::warn!(job = job_name, "{} stays: {error}", folder.display()),
                }
            }
        }
        Ok(())
    }
}
