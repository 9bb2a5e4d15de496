//! What happens after a failure.

use std::time::Duration;

use super::checks::{
    AT_LEAST_ONE, at_least_one, at_least_one_milli, multiplier, restart_strategy, share_or_none,
};
use crate::config::ConfigOption;
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;

config_enum! {
    /// How much of a job is started again when a task has failed.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::FailoverStrategy;
    ///
    /// assert_eq!(FailoverStrategy::parse("full"), Ok(FailoverStrategy::Full));
    /// ```
    FailoverStrategy {
        /// The tasks that records go to and come from, over any number of others.
        Region = "region",
        /// All tasks.
        Full = "full",
    }
}

declare_options! {
    /// How much of a job is started again when a task has failed: `region`, all that is connected with it, or `full`, all of the job.
    FAILOVER_STRATEGY: FailoverStrategy =
        ConfigOption::new("jobmanager.execution.failover-strategy").default("region").job();

    /// Whether and when a job that failed begins again: `none`, `fixed-delay`, `failure-rate` or `exponential-delay`; by default
    /// `exponential-delay` if checkpoints are taken, else `none`.
    RESTART_STRATEGY: String =
        ConfigOption::new("restart-strategy.type").deprecated(&["restart-strategy"]).job().check(restart_strategy);

    /// How often the strategy `fixed-delay` begins again before the job fails for good.
    FIXED_DELAY_ATTEMPTS: u32 = ConfigOption::new("restart-strategy.fixed-delay.attempts").default("1").job();

    /// How long the strategy `fixed-delay` waits before it begins again.
    FIXED_DELAY_DELAY: Duration = ConfigOption::new("restart-strategy.fixed-delay.delay").default("1 s").job();

    /// How many failures within the interval the strategy `failure-rate` puts up with.
    FAILURE_RATE_MAX_FAILURES: u32 = ConfigOption::new("restart-strategy.failure-rate.max-failures-per-interval")
        .default("1")
        .job()
        .check(at_least_one)
        .expected(AT_LEAST_ONE);

    /// The interval in which the strategy `failure-rate` counts failures.
    FAILURE_RATE_INTERVAL: Duration =
        ConfigOption::new("restart-strategy.failure-rate.failure-rate-interval").default("1 min").job();

    /// How long the strategy `failure-rate` waits before it begins again.
    FAILURE_RATE_DELAY: Duration = ConfigOption::new("restart-strategy.failure-rate.delay").default("1 s").job();

    /// How long the strategy `exponential-delay` waits at first.
    EXPONENTIAL_INITIAL_BACKOFF: Duration = ConfigOption::new("restart-strategy.exponential-delay.initial-backoff")
        .default("1 s")
        .job()
        .check(at_least_one_milli);

    /// How long the strategy `exponential-delay` waits at most.
    EXPONENTIAL_MAX_BACKOFF: Duration = ConfigOption::new("restart-strategy.exponential-delay.max-backoff")
        .default("1 min")
        .job()
        .check(at_least_one_milli);

    /// By what each failure multiplies the wait of the strategy `exponential-delay`.
    EXPONENTIAL_MULTIPLIER: f64 =
        ConfigOption::new("restart-strategy.exponential-delay.backoff-multiplier").default("1.5").job().check(multiplier);

    /// After how long without a failure the strategy `exponential-delay` waits as little as at first.
    EXPONENTIAL_RESET_THRESHOLD: Duration =
        ConfigOption::new("restart-strategy.exponential-delay.reset-backoff-threshold")
            .default("1 h")
            .job()
            .check(at_least_one_milli);

    /// The share of a wait of the strategy `exponential-delay` that chance adds or takes away, so that jobs which failed together
    /// do not begin together.
    EXPONENTIAL_JITTER: f64 =
        ConfigOption::new("restart-strategy.exponential-delay.jitter-factor").default("0.1").job().check(share_or_none);

    /// How many failures without such a calm the strategy `exponential-delay` puts up with.
    EXPONENTIAL_ATTEMPTS: u32 =
        ConfigOption::new("restart-strategy.exponential-delay.attempts-before-reset-backoff")
            .default("2147483647")
            .job()
            .check(at_least_one)
            .expected(AT_LEAST_ONE);
}

/// The restart strategies by the names that `restart-strategy.type` may have, in any case.
const RESTART_STRATEGIES: [(&[&str], &str); 4] = [
    (&["disable", "none", "off"], "none"),
    (&["fixed-delay", "fixeddelay"], "fixed-delay"),
    (&["failure-rate", "failurerate"], "failure-rate"),
    (&["exponential-delay", "exponentialdelay"], "exponential-delay"),
];

/// The one name of a restart strategy, from any of those that `restart-strategy.type` may have.
///
/// ```
/// use tidemill_core::config::options::restart_strategy_name;
///
/// assert_eq!(restart_strategy_name("FixedDelay"), Some("fixed-delay"));
/// assert_eq!(restart_strategy_name("off"), Some("none"));
/// assert_eq!(restart_strategy_name("org.example.MyStrategy"), None);
/// ```
pub fn restart_strategy_name(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let found =
        RESTART_STRATEGIES.iter().find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(text)));
    found.map(|(_, name)| *name)
}
