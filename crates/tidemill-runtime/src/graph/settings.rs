//! What the configuration says about a job, read once.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_core::id::JobVertexId;
use tidemill_network::BufferTimeout;

/// The settings of one job.
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
    /// Whether all exchanges encode their batches, as between processes. For tests and measurements.
    pub encoded_edges: bool,
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
            encoded_edges: false,
        }
    }
}
