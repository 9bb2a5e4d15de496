//! From what a job goes on.

use crate::config::ConfigOption;
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;

config_enum! {
    /// Whose a checkpoint or savepoint is once a job has been restored from it.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::RestoreClaimMode;
    ///
    /// assert_eq!(RestoreClaimMode::parse("claim"), Ok(RestoreClaimMode::Claim));
    /// ```
    RestoreClaimMode {
        /// The job's, which deletes it when newer ones take its place.
        Claim = "CLAIM",
        /// Still whoever's it was: the job relies on nothing of it once it has a checkpoint of its own.
        NoClaim = "NO_CLAIM",
        /// As `NO_CLAIM`: the older way, in which later checkpoints went on using its files, is gone.
        Legacy = "LEGACY",
    }
}

declare_options! {
    /// Whether state that is stored for a checkpoint is kept on a disk of this machine, too.
    LOCAL_BACKUP_ENABLED: bool = ConfigOption::new("execution.checkpointing.local-backup.enabled")
        .default("false")
        .deprecated(&["state.backend.local-recovery"])
        .fallback(&["execution.state-recovery.from-local"])
        .job();

    /// The folders for that, separated by commas or colons; by default the first of `io.tmp.dirs`. On the disk of RocksDB's own files
    /// it costs no copies.
    LOCAL_BACKUP_DIRS: String = ConfigOption::new("execution.checkpointing.local-backup.dirs")
        .deprecated(&["taskmanager.state.local.root-dirs"]);

    /// Whether tasks that are started again after a failure read their state from there. What is not there, or damaged, is read
    /// from the checkpoint.
    RECOVER_FROM_LOCAL: bool = ConfigOption::new("execution.state-recovery.from-local")
        .default("false")
        .deprecated(&["state.backend.local-recovery"])
        .job();

    /// The folder of the checkpoint or savepoint that a job goes on from; `--from-savepoint` sets it.
    RECOVERY_PATH: String =
        ConfigOption::new("execution.state-recovery.path").deprecated(&["execution.savepoint.path"]).job();

    /// Whose that checkpoint or savepoint is afterwards.
    RECOVERY_CLAIM_MODE: RestoreClaimMode = ConfigOption::new("execution.state-recovery.claim-mode")
        .default("NO_CLAIM")
        .deprecated(&["execution.savepoint-restore-mode"])
        .job();

    /// Whether state of operators that the job does not have is left out, which is an error else;
    /// `--allow-non-restored-state` sets it.
    IGNORE_UNCLAIMED_STATE: bool = ConfigOption::new("execution.state-recovery.ignore-unclaimed-state")
        .default("false")
        .deprecated(&["execution.savepoint.ignore-unclaimed-state"])
        .job();
}
