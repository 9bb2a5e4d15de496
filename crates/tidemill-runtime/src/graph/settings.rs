//! What the configuration says about a job, read once.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_checkpoint::{CheckpointSettings, CoordinatorError, RestartStrategy};
use tidemill_core::config::options::FailoverStrategy;
use tidemill_core::config::{Configuration, options};
use tidemill_core::id::JobVertexId;
use tidemill_network::BufferTimeout;

use crate::error::JobError;

/// The settings of one job.
///
/// ```
/// use tidemill_runtime::graph::JobSettings;
///
/// let wide = JobSettings { parallelism: 4, chaining: false, ..JobSettings::default() };
/// assert_eq!(wide.auto_watermark_interval.as_millis(), 200);
/// ```
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// `pipeline.name`.
    pub name: Option<String>,
    /// `parallelism.default`.
    pub parallelism: u32,
    /// `pipeline.max-parallelism`.
    pub max_parallelism: Option<u32>,
    /// `pipeline.jobvertex-parallelism-overrides`.
    pub parallelism_overrides: BTreeMap<JobVertexId, u32>,
    /// `pipeline.operator-chaining.enabled`.
    pub chaining: bool,
    /// `pipeline.operator-chaining.chain-operators-with-different-max-parallelism`.
    pub chain_different_max_parallelism: bool,
    /// `pipeline.auto-generate-uids`.
    pub auto_generate_uids: bool,
    /// `execution.buffer-timeout.*`.
    pub buffer_timeout: BufferTimeout,
    /// `pipeline.auto-watermark-interval`; zero switches periodic watermarks off.
    pub auto_watermark_interval: Duration,
    /// `pipeline.watermark-alignment.buffer-size`.
    pub alignment_buffer_size: usize,
    /// `pipeline.generic-types`.
    pub generic_types: bool,
    /// Whether all exchanges encode their batches, as between processes. For tests and measurements.
    pub encoded_edges: bool,
    /// When and how checkpoints are taken.
    pub checkpointing: CheckpointSettings,
    /// Whether and when the job is started again after a failure.
    pub restarts: RestartStrategy,
    /// How much of it: `jobmanager.execution.failover-strategy`.
    pub failover: FailoverStrategy,
}

impl Default for JobSettings {
    /// Flink's defaults.
    fn default() -> Self {
        Self {
            name: None,
            parallelism: 1,
            max_parallelism: None,
            parallelism_overrides: BTreeMap::new(),
            chaining: true,
            chain_different_max_parallelism: true,
            auto_generate_uids: true,
            buffer_timeout: BufferTimeout::default(),
            auto_watermark_interval: Duration::from_millis(200),
            alignment_buffer_size: 3,
            generic_types: true,
            encoded_edges: false,
            checkpointing: CheckpointSettings::default(),
            restarts: RestartStrategy::none(),
            failover: FailoverStrategy::Region,
        }
    }
}

impl JobSettings {
    /// What the configuration says about a job.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, options};
    /// use tidemill_runtime::graph::JobSettings;
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set(&options::PARALLELISM, &4);
    /// assert_eq!(JobSettings::from_configuration(&configuration)?.parallelism, 4);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    ///
    /// # Errors
    /// When an option has a bad value.
    pub fn from_configuration(configuration: &Configuration) -> Result<Self, JobError> {
        let max_parallelism = configuration.get(&options::MAX_PARALLELISM)?;
        let overrides = configuration.get(&options::PARALLELISM_OVERRIDES)?;
        let parallelism_overrides = overrides
            .iter()
            .map(|(vertex, parallelism)| match vertex.parse() {
                Ok(vertex) => Ok((vertex, *parallelism)),
                Err(error) => Err(JobError::InvalidGraph(format!(
                    "'{}': {error}",
                    options::PARALLELISM_OVERRIDES.key()
                ))),
            })
            .collect::<Result<_, _>>()?;
        let invalid = |error: CoordinatorError| JobError::InvalidGraph(error.to_string());
        let buffer_timeout = match options::buffer_timeout(configuration)? {
            None => BufferTimeout::Disabled,
            Some(interval) => BufferTimeout::of(interval),
        };
        Ok(Self {
            name: configuration.get_optional(&options::JOB_NAME)?,
            parallelism: configuration.get(&options::PARALLELISM)?,
            max_parallelism: u32::try_from(max_parallelism).ok(),
            parallelism_overrides,
            chaining: configuration.get(&options::CHAINING)?,
            chain_different_max_parallelism: configuration.get(&options::CHAIN_DIFFERENT_MAX_PARALLELISM)?,
            auto_generate_uids: configuration.get(&options::AUTO_GENERATE_UIDS)?,
            buffer_timeout,
            auto_watermark_interval: configuration.get(&options::AUTO_WATERMARK_INTERVAL)?,
            alignment_buffer_size: configuration.get(&options::WATERMARK_ALIGNMENT_BUFFER_SIZE)? as usize,
            generic_types: configuration.get(&options::GENERIC_TYPES)?,
            encoded_edges: false,
            checkpointing: CheckpointSettings::from_configuration(configuration)?,
            restarts: RestartStrategy::from_configuration(configuration).map_err(invalid)?,
            failover: configuration.get(&options::FAILOVER_STRATEGY)?,
        })
    }
}
