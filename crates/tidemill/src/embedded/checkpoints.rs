//! Where the checkpoints of a job go, and what it goes on from.

use std::path::PathBuf;

use tidemill_checkpoint::{CheckpointError, CheckpointStorage, StorageSettings};
use tidemill_core::Classified;
use tidemill_core::config::{Configuration, options};
use tidemill_runtime::JobError;
use tidemill_runtime::checkpoint::{CheckpointEnvironment, ClaimMode, RestoreSettings};
use tidemill_runtime::graph::ExecutionPlan;
use tokio::runtime::Runtime;

use crate::embedded::arguments::RecoveryArgs;

/// The threads that wait for storages, so that tasks do not.
pub(super) struct Io(Runtime);

/// How many there are: they wait more than they work.
const THREADS: usize = 2;

impl Io {
    pub(super) fn start() -> Result<Self, JobError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("tidemill-io")
            .enable_all()
            .build();
        let runtime =
            runtime.map_err(|source| JobError::Thread { task: "input and output".to_owned(), source })?;
        Ok(Self(runtime))
    }
}

/// The environment of a job's checkpoints. A folder that was made for it goes with it.
pub(super) struct Environment {
    pub(super) inner: CheckpointEnvironment,
    temporary: Option<PathBuf>,
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            // What cannot be removed is left to whoever clears the folders for temporary files.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn refused(error: &CheckpointError, plan: &ExecutionPlan) -> JobError {
    JobError::Restore {
        job: plan.job.name.clone(),
        reason: error.to_string(),
        code: error.code(),
        fault: error.fault(),
        damaged: false,
    }
}

/// Sets up the storage that the configuration names.
pub(super) fn environment(
    configuration: &Configuration,
    plan: &ExecutionPlan,
    io: &Io,
) -> Result<Environment, JobError> {
    let mut settings = StorageSettings::from_configuration(configuration)?;
    let folders = match configuration.get_optional(&options::TMP_DIRS)? {
        Some(folders) => options::folders(&folders),
        None => Vec::new(),
    };
    let local = folders.into_iter().next().unwrap_or_else(std::env::temp_dir);
    let mut temporary = None;
    if settings.checkpoint_dir.is_none() && plan.settings.checkpointing.interval.is_some() {
        let folder = local.join(format!("tidemill-checkpoints-{}", std::process::id()));
        tracing::warn!(
            job = plan.job.name,
            "'{}' is not set: checkpoints are kept in {} until this process ends, so that the job survives failures of its \
             tasks but not of the process",
            options::CHECKPOINT_DIR.key(),
            folder.display()
        );
        settings.checkpoint_dir = Some(folder.display().to_string());
        temporary = Some(folder);
    }
    let runtime = io.0.handle().clone();
    let storage =
        CheckpointStorage::open(settings, runtime.clone()).map_err(|error| refused(&error, plan))?;
    Ok(Environment { inner: CheckpointEnvironment { storage, runtime, temporary: local }, temporary })
}

/// What the job goes on from, by its command line or its configuration.
pub(super) fn restore(
    arguments: &RecoveryArgs,
    configuration: &Configuration,
    plan: &ExecutionPlan,
    environment: &Environment,
) -> Result<Option<RestoreSettings>, JobError> {
    let allow_non_restored_state =
        arguments.allow_non_restored_state || configuration.get(&options::IGNORE_UNCLAIMED_STATE)?;
    let claim = match configuration.get(&options::RECOVERY_CLAIM_MODE)? {
        options::RestoreClaimMode::Claim => ClaimMode::Claim,
        options::RestoreClaimMode::NoClaim | options::RestoreClaimMode::Legacy => ClaimMode::NoClaim,
    };
    let name = &plan.job.name;
    if arguments.resume {
        let storage = &environment.inner.storage;
        let newest = storage.block_on(storage.newest_of(name)).map_err(|error| refused(&error, plan))?;
        let Some((folder, metadata)) = newest else {
            say(&format!("No checkpoint of a job named '{name}' was found: it begins anew."));
            return Ok(None);
        };
        let path = folder.uri();
        say(&format!("Going on from checkpoint {} of the job '{name}': {path}", metadata.checkpoint_id));
        // What an earlier run has left is this one's to tidy up, unless somebody says otherwise.
        let claim =
            if configuration.contains(&options::RECOVERY_CLAIM_MODE) { claim } else { ClaimMode::Claim };
        return Ok(Some(RestoreSettings { path, claim, allow_non_restored_state }));
    }
    let configured = configuration.get_optional(&options::RECOVERY_PATH)?;
    let path = arguments.from_savepoint.clone().or(configured).filter(|path| !path.trim().is_empty());
    Ok(path.map(|path| {
        say(&format!("Going on from {path}"));
        RestoreSettings { path, claim, allow_non_restored_state }
    }))
}

fn say(line: &str) {
    use std::io::Write;
    // A closed stderr must not stop a job.
    let _ = writeln!(anstream::stderr(), "{line}");
}
