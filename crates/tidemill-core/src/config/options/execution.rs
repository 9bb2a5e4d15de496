//! How a job runs.

use std::time::Duration;

use crate::config::option::declare_options;
use crate::config::{ConfigError, ConfigOption, Configuration};

declare_options! {
    /// Whether partly filled buffers are sent after a time; if not, only full ones are, and what must not wait.
    BUFFER_TIMEOUT_ENABLED: bool = ConfigOption::new("execution.buffer-timeout.enabled").default("true").job();

    /// How long a partly filled buffer may wait before it is sent: `0` sends after every batch, `-1` sends only full
    /// buffers; each exchange over the network adds up to this much latency.
    BUFFER_TIMEOUT_INTERVAL: Option<Duration> = ConfigOption::new("execution.buffer-timeout.interval")
        .default("100 ms")
        .deprecated(&["execution.buffer-timeout"])
        .job();

    /// How long a task that was cancelled may take to end before the process gives up on it; `0` waits for ever.
    TASK_CANCELLATION_TIMEOUT: Duration = ConfigOption::new("task.cancellation.timeout").default("3 min").job();
}

/// The time after which partly filled buffers are sent, from the two options together: `None` never, zero after every
/// batch.
///
/// ```
/// use tidemill_core::config::{Configuration, options};
///
/// let mut configuration = Configuration::new();
/// configuration.set(&options::BUFFER_TIMEOUT_ENABLED, &false);
/// assert_eq!(options::buffer_timeout(&configuration)?, None);
/// # Ok::<(), tidemill_core::config::ConfigError>(())
/// ```
///
/// # Errors
/// If one of the two has a bad value.
pub fn buffer_timeout(configuration: &Configuration) -> Result<Option<Duration>, ConfigError> {
    let interval = configuration.get(&BUFFER_TIMEOUT_INTERVAL)?;
    Ok(if configuration.get(&BUFFER_TIMEOUT_ENABLED)? { interval } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn both_options_and_all_spellings_decide() {
        let timeout = |entries: &[(&str, &str)]| {
            let mut configuration = Configuration::new();
            for (key, value) in entries {
                configuration.set_raw(*key, *value, Origin::CommandLine);
            }
            buffer_timeout(&configuration).unwrap().map(|timeout| timeout.as_millis())
        };
        assert_eq!(timeout(&[]), Some(100));
        assert_eq!(timeout(&[("execution.buffer-timeout", "1ms")]), Some(1));
        assert_eq!(timeout(&[("execution.buffer-timeout", "-1")]), None);
        assert_eq!(timeout(&[("execution.buffer-timeout.interval", "-1 ms")]), None);
        assert_eq!(timeout(&[("execution.buffer-timeout.interval", "0")]), Some(0));
        assert_eq!(timeout(&[("execution.buffer-timeout.enabled", "false")]), None);
    }
}
