//! When checkpoints are taken, and how many are kept.

use std::time::Duration;

use super::checks::{AT_LEAST_ONE, at_least_one, at_least_ten_millis, zero_or_at_least_ten_millis};
use crate::config::ConfigOption;
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;

config_enum! {
    /// What a restored job guarantees of the effects of each record on its state.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::CheckpointingMode;
    ///
    /// assert_eq!(CheckpointingMode::parse("at_least_once"), Ok(CheckpointingMode::AtLeastOnce));
    /// ```
    CheckpointingMode {
        /// Each record counts once: a task with several inputs waits until the barrier has come from all of them.
        ExactlyOnce = "EXACTLY_ONCE",
        /// Some records may count twice after a failure: no input waits for another.
        AtLeastOnce = "AT_LEAST_ONCE",
    }
}

config_enum! {
    /// Which checkpoints outlive a job that has ended.
    ///
    /// ```
    /// use tidemill_core::config::options::ExternalizedCheckpointRetention;
    ///
    /// assert_eq!(ExternalizedCheckpointRetention::RetainOnCancellation.as_str(), "RETAIN_ON_CANCELLATION");
    /// ```
    ExternalizedCheckpointRetention {
        /// Those of a job that failed; those of one that was cancelled are deleted.
        DeleteOnCancellation = "DELETE_ON_CANCELLATION",
        /// Those of a job that failed or was cancelled.
        RetainOnCancellation = "RETAIN_ON_CANCELLATION",
        /// None.
        NoExternalizedCheckpoints = "NO_EXTERNALIZED_CHECKPOINTS",
    }
}

declare_options! {
    /// How often a checkpoint is taken, at least `10 ms`; without it none are, and a job that fails begins anew.
    CHECKPOINTING_INTERVAL: Duration =
        ConfigOption::new("execution.checkpointing.interval").job().check(at_least_ten_millis);

    /// How often a checkpoint is taken while a source works off a backlog: not more often than otherwise, and never if `0`.
    CHECKPOINTING_INTERVAL_DURING_BACKLOG: Duration =
        ConfigOption::new("execution.checkpointing.interval-during-backlog").job().check(zero_or_at_least_ten_millis);

    /// What a restored job guarantees: that each record counts exactly once, or at least once.
    CHECKPOINTING_MODE: CheckpointingMode =
        ConfigOption::new("execution.checkpointing.mode").default("EXACTLY_ONCE").job();

    /// After how long a checkpoint that is not complete is given up.
    CHECKPOINTING_TIMEOUT: Duration =
        ConfigOption::new("execution.checkpointing.timeout").default("10 min").job().check(at_least_ten_millis);

    /// How long after the end of a checkpoint the next one may begin; a shorter interval is raised to it.
    MIN_PAUSE_BETWEEN_CHECKPOINTS: Duration =
        ConfigOption::new("execution.checkpointing.min-pause").default("0 ms").job();

    /// How many checkpoints may be under way at once; must be 1 for unaligned ones.
    MAX_CONCURRENT_CHECKPOINTS: u32 = ConfigOption::new("execution.checkpointing.max-concurrent-checkpoints")
        .default("1")
        .job()
        .check(at_least_one)
        .expected(AT_LEAST_ONE);

    /// How many checkpoints in a row may fail before the job does.
    TOLERABLE_FAILED_CHECKPOINTS: u32 =
        ConfigOption::new("execution.checkpointing.tolerable-failed-checkpoints").default("0").job();

    /// Whether barriers overtake records that wait in buffers, which then become part of the checkpoint: quick checkpoints under
    /// backpressure, for more bytes to store; only with `EXACTLY_ONCE`.
    UNALIGNED_CHECKPOINTS: bool = ConfigOption::new("execution.checkpointing.unaligned.enabled")
        .default("false")
        .deprecated(&["execution.checkpointing.unaligned"])
        .job();

    /// How long an unaligned checkpoint tries to do without overtaking, counted from its trigger; `0` overtakes at once.
    ALIGNED_CHECKPOINT_TIMEOUT: Duration = ConfigOption::new("execution.checkpointing.aligned-checkpoint-timeout")
        .default("0 ms")
        .deprecated(&["execution.checkpointing.alignment-timeout"])
        .job();

    /// Which checkpoints are kept when the job has ended.
    EXTERNALIZED_CHECKPOINT_RETENTION: ExternalizedCheckpointRetention =
        ConfigOption::new("execution.checkpointing.externalized-checkpoint-retention")
            .default("NO_EXTERNALIZED_CHECKPOINTS")
            .job();

    /// How many complete checkpoints are kept while the job runs.
    NUM_RETAINED_CHECKPOINTS: u32 = ConfigOption::new("execution.checkpointing.num-retained")
        .default("1")
        .deprecated(&["state.checkpoints.num-retained"])
        .job();

    /// Whether checkpoints go on when a part of the job has come to the end of its input.
    CHECKPOINTS_AFTER_TASKS_FINISH: bool = ConfigOption::new("execution.checkpointing.checkpoints-after-tasks-finish")
        .default("true")
        .deprecated(&["execution.checkpointing.checkpoints-after-tasks-finish.enabled"])
        .job();

    /// Whether a checkpoint stores only what earlier ones did not, where the state backend can.
    INCREMENTAL_CHECKPOINTS: bool = ConfigOption::new("execution.checkpointing.incremental")
        .default("false")
        .deprecated(&["state.backend.incremental"])
        .job();

    /// Whether snapshots of state are compressed by Snappy. The files of RocksDB have a compression of their own, and stay as they are.
    SNAPSHOT_COMPRESSION: bool =
        ConfigOption::new("execution.checkpointing.snapshot-compression").default("false").job();

    /// How many of the last checkpoints the statistics describe one by one.
    CHECKPOINTS_HISTORY: u32 =
        ConfigOption::new("web.checkpoints.history").default("10").deprecated(&["jobmanager.web.checkpoints.history"]);
}
