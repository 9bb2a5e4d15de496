//! How checkpoints are taken: Flink's settings, and which of them go together.

use std::time::Duration;

use tidemill_core::config::options::{self, CheckpointingMode, ExternalizedCheckpointRetention};
use tidemill_core::config::{ConfigError, Configuration, format_duration};

use super::CoordinatorError;

const SHORTEST: Duration = Duration::from_millis(10);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// How checkpoints are taken. The defaults are those of the options `execution.checkpointing.*`: no periodic checkpoints.
///
/// ```
/// use std::time::Duration;
/// use tidemill_checkpoint::CheckpointSettings;
/// use tidemill_core::config::{Configuration, Origin};
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("execution.checkpointing.interval", "10 s", Origin::CommandLine);
/// configuration.set_raw("execution.checkpointing.min-pause", "30 s", Origin::CommandLine);
/// let settings = CheckpointSettings::from_configuration(&configuration)?;
/// assert_eq!(settings.interval, Some(Duration::from_secs(10)));
///
/// let (effective, notes) = settings.effective()?;
/// assert_eq!(effective.interval, Some(Duration::from_secs(30)));
/// assert_eq!(notes.len(), 1);
/// # Ok::<(), tidemill_checkpoint::CoordinatorError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// How often a checkpoint is triggered; `None`: only by hand.
    pub interval: Option<Duration>,
    /// The same while a source has a backlog; zero: not at all, `None`: as ever.
    pub interval_during_backlog: Option<Duration>,
    /// The least time from the end of one checkpoint, complete or not, to the periodic trigger of the next.
    pub min_pause: Duration,
    /// The time from its trigger after which a checkpoint or savepoint is given up.
    pub timeout: Duration,
    /// How many checkpoints in a row may fail.
    pub tolerable_failed_checkpoints: u32,
    /// How many may be under way before another checkpoint is triggered.
    pub max_concurrent: u32,
    /// What a restored job guarantees.
    pub mode: CheckpointingMode,
    /// Whether barriers overtake records.
    pub unaligned: bool,
    /// After what time since the trigger they do; zero: at once.
    pub aligned_checkpoint_timeout: Duration,
    /// How many complete checkpoints are kept.
    pub num_retained: u32,
    /// Which of them are kept when the job has ended.
    pub retention: ExternalizedCheckpointRetention,
    /// Whether checkpoints are triggered after tasks have finished.
    pub checkpoints_after_tasks_finish: bool,
    /// Whether checkpoints store only what earlier ones did not.
    pub incremental: bool,
    /// Whether snapshots are compressed.
    pub compression: bool,
    /// How many of the last checkpoints the statistics describe.
    pub history: u32,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            interval: None,
            interval_during_backlog: None,
            min_pause: Duration::ZERO,
            timeout: Duration::from_secs(600),
            tolerable_failed_checkpoints: 0,
            max_concurrent: 1,
            mode: CheckpointingMode::ExactlyOnce,
            unaligned: false,
            aligned_checkpoint_timeout: Duration::ZERO,
            num_retained: 1,
            retention: ExternalizedCheckpointRetention::NoExternalizedCheckpoints,
            checkpoints_after_tasks_finish: true,
            incremental: false,
            compression: false,
            history: 10,
        }
    }
}

impl CheckpointSettings {
    /// Reads the options, as they are set: see [`effective`](Self::effective) for what comes of them.
    ///
    /// # Errors
    /// If an option has a value that it cannot have.
    pub fn from_configuration(configuration: &Configuration) -> Result<Self, ConfigError> {
        Ok(Self {
            interval: configuration.get_optional(&options::CHECKPOINTING_INTERVAL)?,
            interval_during_backlog: configuration
                .get_optional(&options::CHECKPOINTING_INTERVAL_DURING_BACKLOG)?,
            min_pause: configuration.get(&options::MIN_PAUSE_BETWEEN_CHECKPOINTS)?,
            timeout: configuration.get(&options::CHECKPOINTING_TIMEOUT)?,
            tolerable_failed_checkpoints: configuration.get(&options::TOLERABLE_FAILED_CHECKPOINTS)?,
            max_concurrent: configuration.get(&options::MAX_CONCURRENT_CHECKPOINTS)?,
            mode: configuration.get(&options::CHECKPOINTING_MODE)?,
            unaligned: configuration.get(&options::UNALIGNED_CHECKPOINTS)?,
            aligned_checkpoint_timeout: configuration.get(&options::ALIGNED_CHECKPOINT_TIMEOUT)?,
            num_retained: configuration.get(&options::NUM_RETAINED_CHECKPOINTS)?,
            retention: configuration.get(&options::EXTERNALIZED_CHECKPOINT_RETENTION)?,
            checkpoints_after_tasks_finish: configuration.get(&options::CHECKPOINTS_AFTER_TASKS_FINISH)?,
            incremental: configuration.get(&options::INCREMENTAL_CHECKPOINTS)?,
            compression: configuration.get(&options::SNAPSHOT_COMPRESSION)?,
            history: configuration.get(&options::CHECKPOINTS_HISTORY)?,
        })
    }

    /// What comes of the settings together, with a sentence for each that is not taken as it is.
    ///
    /// ```
    /// use tidemill_checkpoint::CheckpointSettings;
    ///
    /// let settings = CheckpointSettings { unaligned: true, max_concurrent: 2, ..CheckpointSettings::default() };
    /// let error = settings.effective().unwrap_err().to_string();
    /// assert!(error.contains("'execution.checkpointing.max-concurrent-checkpoints' is 2"), "{error}");
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::Settings`] if a value is out of its bounds or two contradict each other.
    pub fn effective(mut self) -> Result<(Self, Vec<String>), CoordinatorError> {
        self.check()?;
        let mut notes = Vec::new();
        if self.unaligned && self.mode == CheckpointingMode::AtLeastOnce {
            self.unaligned = false;
            notes.push(
                "'execution.checkpointing.unaligned.enabled' has no effect: unaligned checkpoints need \
                 'execution.checkpointing.mode' EXACTLY_ONCE, and it is AT_LEAST_ONCE"
                    .to_owned(),
            );
        }
        if self.unaligned && self.max_concurrent > 1 {
            return Err(CoordinatorError::Settings(format!(
                "'execution.checkpointing.max-concurrent-checkpoints' is {}, and unaligned checkpoints cannot overlap: set it \
                 to 1, or 'execution.checkpointing.unaligned.enabled' to false",
                self.max_concurrent
            )));
        }
        if self.min_pause > YEAR {
            notes.push("'execution.checkpointing.min-pause' is cut to one year".to_owned());
            self.min_pause = YEAR;
        }
        if let Some(interval) = self.interval.filter(|interval| *interval < self.min_pause) {
            notes.push(format!(
                "'execution.checkpointing.interval' is raised from {} to the {} of 'execution.checkpointing.min-pause'",
                format_duration(interval),
                format_duration(self.min_pause)
            ));
            self.interval = Some(self.min_pause);
        }
        if self.num_retained == 0 {
            notes.push(
                "'execution.checkpointing.num-retained' is raised from 0 to 1: a job restarts from its last checkpoint"
                    .to_owned(),
            );
            self.num_retained = 1;
        }
        if self.interval.is_none() && self.interval_during_backlog.take().is_some() {
            notes.push(
                "'execution.checkpointing.interval-during-backlog' has no effect: 'execution.checkpointing.interval' is not set"
                    .to_owned(),
            );
        }
        Ok((self, notes))
    }

    fn check(&self) -> Result<(), CoordinatorError> {
        let short = |key: &str, duration: Duration| {
            CoordinatorError::Settings(format!(
                "'execution.checkpointing.{key}' is {}: set it to at least 10 ms",
                format_duration(duration)
            ))
        };
        if let Some(interval) = self.interval.filter(|interval| *interval < SHORTEST) {
            return Err(short("interval", interval));
        }
        if self.timeout < SHORTEST {
            return Err(short("timeout", self.timeout));
        }
        if self.max_concurrent == 0 {
            return Err(CoordinatorError::Settings(
                "'execution.checkpointing.max-concurrent-checkpoints' is 0: set it to at least 1".to_owned(),
            ));
        }
        if let (Some(interval), Some(backlog)) = (self.interval, self.interval_during_backlog)
            && !backlog.is_zero()
            && backlog < interval
        {
            return Err(CoordinatorError::Settings(format!(
                "'execution.checkpointing.interval-during-backlog' is {}, less than the {} of \
                 'execution.checkpointing.interval': set it to at least that, or to 0 for no checkpoints during backlog",
                format_duration(backlog),
                format_duration(interval)
            )));
        }
        Ok(())
    }

    /// How long after the start of a job its first checkpoint is triggered, in milliseconds: anything from the least pause to the
    /// interval, as a random number in [0, 1) says, so that jobs that start together do not store together. Zero without
    /// interval.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_checkpoint::CheckpointSettings;
    ///
    /// let settings = CheckpointSettings {
    ///     interval: Some(Duration::from_secs(10)),
    ///     min_pause: Duration::from_secs(2),
    ///     ..CheckpointSettings::default()
    /// };
    /// assert_eq!(settings.first_delay(0.0), 2_000);
    /// assert_eq!(settings.first_delay(0.5), 6_000);
    /// ```
    pub fn first_delay(&self, random: f64) -> i64 {
        let Some(interval) = self.interval else { return 0 };
        let (least, most) = (millis(self.min_pause), millis(interval));
        let span = most.saturating_sub(least).max(0);
        least.saturating_add((span as f64 * random.clamp(0.0, 1.0)) as i64)
    }
}

/// Whole milliseconds, as far as they go.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
