//! Where the checkpoints of a job go, and what it goes on from.

use std::path::PathBuf;

use tidemill_checkpoint::storage::LeftBehind;
use tidemill_checkpoint::{CheckpointError, CheckpointStorage, StorageSettings};
use tidemill_core::Classified;
use tidemill_core::config::{Configuration, options};
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
        let folder = private_folder(&local)?;
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
    let local_backup = local_backup(configuration, &local)?;
    let inner = CheckpointEnvironment { storage, runtime, temporary: local, local_backup };
    Ok(Environment { inner, temporary })
}

/// A new folder that nobody else can look into, under a name that nobody can guess.
fn private_folder(parent: &std::path::Path) -> Result<PathBuf, JobError> {
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::os::unix::fs::DirBuilderExt;

    let random = RandomState::new().build_hasher().finish();
    let folder = parent.join(format!("tidemill-checkpoints-{}-{random:016x}", std::process::id()));
    let made =
        std::fs::create_dir_all(parent).and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(&folder));
    made.map_err(|error| {
        let folder = folder.display();
        JobError::Environment(format!(
            "the folder {folder} for checkpoints cannot be made: {error}. Set 'execution.checkpointing.dir', or 'io.tmp.dirs'"
        ))
    })?;
    Ok(folder)
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
    environment: &Environment,
) -> Result<Origin, JobError> {
    let allow_non_restored_state =
        arguments.allow_non_restored_state || configuration.get(&options::IGNORE_UNCLAIMED_STATE)?;
    let claim = match configuration.get(&options::RECOVERY_CLAIM_MODE)? {
        options::RestoreClaimMode::Claim => ClaimMode::Claim,
        options::RestoreClaimMode::NoClaim | options::RestoreClaimMode::Legacy => ClaimMode::NoClaim,
    };
    let name = &plan.job.name;
    if arguments.resume {
        let storage = &environment.inner.storage;
        let left = storage.block_on(async {
            storage.discard_unfinished(name).await?;
            storage.left_by(name).await
        });
        let left = left.map_err(|error| refused(&error, plan))?;
        let Some(run) = left else {
            let folder = storage.settings().checkpoint_dir.as_deref().unwrap_or_default();
            say(&format!("No checkpoint of a job named '{name}' was found in {folder}: it begins anew."));
            return Ok(Origin::Nothing);
        };
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

fn say(line: &str) {
    use std::io::Write;
    // A closed stderr must not stop a job.
    let _ = writeln!(anstream::stderr(), "{line}");
}
