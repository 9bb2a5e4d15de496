//! What a job looks like, and its time.

use std::time::Duration;

use super::checks::{AT_LEAST_ONE, at_least_one};
use crate::config::ConfigOption;
use crate::config::option::declare_options;

declare_options! {
    /// The name of the job, unless the program names it when it executes it.
    JOB_NAME: String = ConfigOption::new("pipeline.name").job();

    /// Whether neighbouring operators may run as one task, passing batches by plain calls.
    CHAINING: bool = ConfigOption::new("pipeline.operator-chaining.enabled")
        .default("true")
        .deprecated(&["pipeline.operator-chaining"])
        .job();

    /// Whether neighbours may be chained although their maximum parallelism differs.
    CHAIN_DIFFERENT_MAX_PARALLELISM: bool =
        ConfigOption::new("pipeline.operator-chaining.chain-operators-with-different-max-parallelism")
            .default("true")
            .job();

    /// How often watermark generators are asked for a watermark; `0` switches periodic watermarks off.
    AUTO_WATERMARK_INTERVAL: Duration =
        ConfigOption::new("pipeline.auto-watermark-interval").default("200 ms").job();

    /// Whether operators with state may do without a uid given by the program.
    AUTO_GENERATE_UIDS: bool = ConfigOption::new("pipeline.auto-generate-uids").default("true").job();

    /// Whether records and state may be of types that only the slow generic fallback can write; `false` keeps a job that
    /// uses one anywhere from starting.
    GENERIC_TYPES: bool = ConfigOption::new("pipeline.generic-types").default("true").job();

    /// How many watermarks a source in an alignment group keeps before the oldest is compared: more means fewer pauses.
    WATERMARK_ALIGNMENT_BUFFER_SIZE: u32 =
        ConfigOption::new("pipeline.watermark-alignment.buffer-size").default("3").job().check(at_least_one).expected(AT_LEAST_ONE);
}
