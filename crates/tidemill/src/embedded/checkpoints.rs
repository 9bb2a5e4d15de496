//! Where the checkpoints of a job go, and what it goes on from.

use std::time::Duration;

use tidemill_checkpoint::storage::LeftBehind;
use tidemill_checkpoint::{CheckpointError, CheckpointStorage, StorageSettings};
use tidemill_core::config::{Configuration, options};
use tidemill_core::{Classified, ScratchFolder};
use tidemill_runtime::JobError;
use tidemill_runtime::checkpoint::{CheckpointEnvironment, ClaimMode, LocalBackupSettings, RestoreSettings};
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle};
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
) -> Result<CheckpointEnvironment, JobError> {
    let mut settings = StorageSettings::from_configuration(configuration)?;
    let folders = match configuration.get_optional(&options::TMP_DIRS)? {
        Some(folders) => options::folders(&folders),
        None => Vec::new(),
    };
    let local = folders.into_iter().next().unwrap_or_else(std::env::temp_dir);
    let temporary = ScratchFolder::within(&local);
    if settings.checkpoint_dir.is_none() && plan.settings.checkpointing.interval.is_some() {
        let folder = temporary.create().map_err(|error| {
            let folder = local.display();
            JobError::Environment(format!(
                "no folder for checkpoints can be made in {folder}: {error}. Set 'execution.checkpointing.dir', or 'io.tmp.dirs'"
            ))
        })?;
        let folder = folder.join("checkpoints");
        tracing::warn!(
            job = plan.job.name,
            "'{}' is not set: checkpoints are kept in {} until this process ends, so that the job survives failures of its \
             tasks but not of the process",
            options::CHECKPOINT_DIR.key(),
            folder.display()
        );
        settings.checkpoint_dir = Some(folder.display().to_string());
    }
    let runtime = io.0.handle().clone();
    let storage =
        CheckpointStorage::open(settings, runtime.clone()).map_err(|error| refused(&error, plan))?;
    let local_backup = local_backup(configuration, &local)?;
    let snapshot_memory = CheckpointEnvironment::SNAPSHOT_MEMORY;
    Ok(CheckpointEnvironment { storage, runtime, temporary, snapshot_memory, local_backup })
}

fn local_backup(
    configuration: &Configuration,
    temporary: &std::path::Path,
) -> Result<LocalBackupSettings, JobError> {
    let recover = configuration.get(&options::RECOVER_FROM_LOCAL)?;
    let folders = match configuration.get_optional(&options::LOCAL_BACKUP_DIRS)? {
        _ if !configuration.get(&options::LOCAL_BACKUP_ENABLED)? => Vec::new(),
        Some(folders) => options::folders(&folders),
        None => vec![temporary.to_owned()],
    };
    Ok(LocalBackupSettings { folders, recover })
}

/// What a job goes on from.
pub(super) enum Origin {
    Nothing,
    Snapshot(RestoreSettings),
    /// An earlier run of it, as which it goes on; and whether state may be left out that it has no operators for.
    Run(LeftBehind, bool),
}

impl Origin {
    pub(super) fn submit(
        self,
        cluster: &EmbeddedCluster,
        plan: ExecutionPlan,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<JobHandle, JobError> {
        match self {
            Origin::Nothing => cluster.submit_unless(plan, is_cancelled),
            Origin::Snapshot(settings) => cluster.submit_restored(plan, Some(&settings), is_cancelled),
            Origin::Run(run, allow) => cluster.resume(plan, run, allow, is_cancelled),
        }
    }
}

/// What the job goes on from, by its command line or its configuration.
pub(super) fn restore(
    arguments: &RecoveryArgs,
    configuration: &Configuration,
    plan: &ExecutionPlan,
    environment: &CheckpointEnvironment,
) -> Result<Origin, JobError> {
    let allow_non_restored_state =
        arguments.allow_non_restored_state || configuration.get(&options::IGNORE_UNCLAIMED_STATE)?;
    let claim = match configuration.get(&options::RECOVERY_CLAIM_MODE)? {
        options::RestoreClaimMode::Claim => ClaimMode::Claim,
        options::RestoreClaimMode::NoClaim | options::RestoreClaimMode::Legacy => ClaimMode::NoClaim,
    };
    let name = &plan.job.name;
    if arguments.resume {
        let storage = &environment.storage;
        let left = storage.block_on(async {
            storage.discard_unfinished(name).await?;
            storage.left_by(name).await
        });
        let left = left.map_err(|error| refused(&error, plan))?;
        let Some(run) = left else {
            let folder = storage.settings().checkpoint_dir.as_deref().unwrap_or_default();
            say(&format!("No checkpoint of a job named '{name}' was found in {folder}: it begins anew."));
            say_savepoint(storage, name, None);
            return Ok(Origin::Nothing);
        };
        say_savepoint(storage, name, run.checkpoints.first().map(|(_, newest)| newest.timestamp_ms));
        // What an earlier run has left is this one's to tidy up, unless somebody says otherwise.
        if claim == ClaimMode::Claim || !configuration.contains(&options::RECOVERY_CLAIM_MODE) {
            say(&format!("Going on with the job '{name}', {}, from its newest checkpoint", run.job_id));
            return Ok(Origin::Run(run, allow_non_restored_state));
        }
        let Some((folder, metadata)) = run.checkpoints.first() else { return Ok(Origin::Nothing) };
        let path = folder.uri();
        say(&format!("Going on from checkpoint {} of the job '{name}': {path}", metadata.checkpoint_id));
        return Ok(Origin::Snapshot(RestoreSettings { path, claim, allow_non_restored_state }));
    }
    let configured: Option<String> = configuration.get_optional(&options::RECOVERY_PATH)?;
    let configured = configured.filter(|path| !path.trim().is_empty());
    let path = arguments.from_savepoint.clone().or(configured);
    Ok(match path {
        Some(path) => {
            say(&format!("Going on from {path}"));
            Origin::Snapshot(RestoreSettings { path, claim, allow_non_restored_state })
        }
        None => Origin::Nothing,
    })
}

/// How long savepoints are looked for.
const PATIENCE: Duration = Duration::from_secs(3);

/// A job that was stopped has its last state in a savepoint, which is nothing that it goes on from by itself.
fn say_savepoint(storage: &CheckpointStorage, job_name: &str, newest_checkpoint_ms: Option<i64>) {
    let found = storage.block_on(async {
        // A hint is not worth waiting for.
        tokio::time::timeout(PATIENCE, storage.newest_savepoint(job_name)).await.unwrap_or(Ok(None))
    });
    match found {
        Ok(Some((folder, metadata))) if newest_checkpoint_ms.is_none_or(|at| at < metadata.timestamp_ms) => {
            let than = if newest_checkpoint_ms.is_some() { ", newer than that checkpoint" } else { "" };
            say(&format!(
                "There is a savepoint of it{than}; to go on from it: --from-savepoint {}",
                folder.uri()
            ));
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "savepoints could not be looked for"),
    }
}

fn say(line: &str) {
    use std::io::Write;
    // A closed stderr must not stop a job.
    let _ = writeln!(anstream::stderr(), "{line}");
}
