//! Finds what earlier runs of a job have left.

use tidemill_core::JobId;
use tidemill_core::config::options;

use super::address::Address;
use super::{CheckpointFolder, CheckpointStorage};
use crate::error::CheckpointError;
use crate::metadata::CheckpointMetadata;

impl CheckpointStorage {
    /// The newest complete checkpoint, over all runs, of jobs of this name; `None` when there is none. What cannot be read is
    /// passed over.
    ///
    /// # Errors
    /// When `execution.checkpointing.dir` is not set, or the storage cannot be listed.
    pub async fn newest_of(
        &self,
        job_name: &str,
    ) -> Result<Option<(CheckpointFolder, CheckpointMetadata)>, CheckpointError> {
        let settings = self.settings();
        let jobs = if settings.create_subdir {
            let key = options::CHECKPOINT_DIR.key();
            let folder = settings.checkpoint_dir.as_deref();
            let folder = folder.ok_or(CheckpointError::NoDirectory { what: "checkpoints", key })?;
            let address = Address::parse_for(folder, key)?;
            let names = self.stores.get(&address)?.list_folders(&address.path).await?;
            names.iter().filter_map(|name| name.parse::<JobId>().ok()).collect()
        } else {
            vec![JobId(0)]
        };
        let mut newest: Option<(CheckpointFolder, CheckpointMetadata)> = None;
        for job in jobs {
            let storage = self.job(job)?;
            for found in storage.list().await?.into_iter().filter(|found| found.complete) {
                let folder = storage.checkpoint(found.id);
                let Ok(metadata) = folder.read_metadata().await else { continue };
                if metadata.job_name != job_name {
                    break;
                }
                if newest.as_ref().is_none_or(|(_, other)| other.timestamp_ms < metadata.timestamp_ms) {
                    newest = Some((folder, metadata));
                }
                // Those before it are older.
                break;
            }
        }
        Ok(newest)
    }
}
