//! Finds what earlier runs of a job have left.

use futures_util::{StreamExt, stream};
use tidemill_core::JobId;
use tidemill_core::config::options;

use super::address::Address;
use super::job::JobStorage;
use super::store::AT_ONCE;
use super::{CheckpointFolder, CheckpointStorage, SAVEPOINT_PREFIX};
use crate::error::CheckpointError;
use crate::metadata::CheckpointMetadata;

/// The checkpoints that a run of a job has left.
#[derive(Clone, Debug)]
pub struct LeftBehind {
    /// The id of the run.
    pub job_id: JobId,
    /// Its complete checkpoints that can be read, the newest first. There is one at least.
    pub checkpoints: Vec<(CheckpointFolder, CheckpointMetadata)>,
    /// The numbers of those whose metadata cannot be read, with what is wrong with it.
    pub damaged: Vec<(u64, String)>,
    /// The highest number that any of its checkpoints has, complete or not.
    pub last_id: u64,
}

impl CheckpointStorage {
    /// What the last run of jobs of this name has left: that with the newest complete checkpoint. `None` when there is none.
    ///
    /// # Errors
    /// When `execution.checkpointing.dir` is not set, or the storage cannot be listed; when there are checkpoints, but none whose
    /// metadata can be read: one of them may be of this job.
    pub async fn left_by(&self, job_name: &str) -> Result<Option<LeftBehind>, CheckpointError> {
        let mut newest: Option<(i64, JobId, JobStorage)> = None;
        let mut unreadable = None;
        for job in self.runs().await? {
            let storage = self.job(job)?;
            for found in storage.list().await?.into_iter().filter(|found| found.complete) {
                let metadata = match storage.checkpoint(found.id).read_metadata().await {
                    Ok(metadata) => metadata,
                    Err(error) if !error.is_damage() => return Err(error),
                    Err(error) => {
                        unreadable.get_or_insert(error);
                        continue;
                    }
                };
                let at = metadata.timestamp_ms;
                if metadata.job_name == job_name && newest.as_ref().is_none_or(|(other, ..)| *other < at) {
                    newest = Some((at, metadata.job_id, storage.clone()));
                }
                // Those before it are older, and of the same run.
                if self.settings().create_subdir {
                    break;
                }
            }
        }
        match newest {
            Some((_, job_id, storage)) => storage.left_behind(job_id).await.map(Some),
            None => unreadable.map_or(Ok(None), Err),
        }
    }

    /// The newest savepoint of jobs of this name in the folder for savepoints, with its metadata. Those that cannot be read are passed
    /// over.
    ///
    /// # Errors
    /// When `execution.checkpointing.savepoint-dir` is no place that can be listed.
    pub async fn newest_savepoint(
        &self,
        job_name: &str,
    ) -> Result<Option<(CheckpointFolder, CheckpointMetadata)>, CheckpointError> {
        let Some(folder) = self.settings().savepoint_dir.as_deref() else { return Ok(None) };
        let address = Address::parse_for(folder, options::SAVEPOINT_DIR.key())?;
        let store = self.stores.get(&address)?;
        let names = store.list_folders(&address.path).await?;
        let savepoints = names.into_iter().filter(|name| name.starts_with(SAVEPOINT_PREFIX));
        let read = stream::iter(savepoints).map(|name| {
            let path = address.path.clone().join(name);
            let (stores, store) = (self.stores.clone(), store.clone());
            let folder = CheckpointFolder { stores, store, path, shares: false };
            async move {
                let found = folder.read_metadata().await;
                let found = found.inspect_err(|error| {
                    tracing::debug!(savepoint = folder.uri(), %error, "passed over");
                });
                found.ok().map(|found| (folder, found))
            }
        });
        let found: Vec<_> = read.buffer_unordered(AT_ONCE).collect().await;
        let ours = found.into_iter().flatten().filter(|(_, found)| found.job_name == job_name);
        Ok(ours.max_by_key(|(_, found)| found.timestamp_ms))
    }

    /// The ids of all runs that have folders.
    pub(super) async fn runs(&self) -> Result<Vec<JobId>, CheckpointError> {
        let settings = self.settings();
        if !settings.create_subdir {
            return Ok(vec![JobId(0)]);
        }
        let key = options::CHECKPOINT_DIR.key();
        let folder = settings.checkpoint_dir.as_deref();
        let folder = folder.ok_or(CheckpointError::NoDirectory { what: "checkpoints", key })?;
        let address = Address::parse_for(folder, key)?;
        let names = self.stores.get(&address)?.list_folders(&address.path).await?;
        Ok(names.iter().filter_map(|name| name.parse::<JobId>().ok()).collect())
    }
}

impl JobStorage {
    /// The checkpoints of this run, with its id.
    ///
    /// # Errors
    /// When the storage cannot be listed or read.
    pub async fn left_behind(&self, job_id: JobId) -> Result<LeftBehind, CheckpointError> {
        let found = self.list().await?;
        let last_id = found.first().map_or(0, |newest| newest.id);
        let mut left = LeftBehind { job_id, checkpoints: Vec::new(), damaged: Vec::new(), last_id };
        for found in found.into_iter().filter(|found| found.complete) {
            let folder = self.checkpoint(found.id);
            match folder.read_metadata().await {
                // Runs that share a folder are each other's business only by the numbers.
                Ok(metadata) if metadata.job_id != job_id => {}
                Ok(metadata) => left.checkpoints.push((folder, metadata)),
                Err(error) if !error.is_damage() => return Err(error),
                Err(error) => left.damaged.push((found.id, error.to_string())),
            }
        }
        Ok(left)
    }
}
