//! Whether and when a job that failed begins again: Flink's restart strategies.

use std::collections::VecDeque;
use std::time::Duration;

use tidemill_core::config::{Configuration, options};

use crate::CoordinatorError;
use crate::coordinator::millis;

/// What follows a failure.
///
/// ```
/// use tidemill_checkpoint::RestartStrategy;
/// use tidemill_checkpoint::restart::Restart;
///
/// let Restart::Fail { reason } = RestartStrategy::none().on_failure(0, 0.0) else { panic!() };
/// assert!(reason.contains("restart-strategy.type"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The job begins again.
    After {
        /// After so many milliseconds.
        after_ms: i64,
    },
    /// The job has failed for good.
    Fail {
        /// Why it is not restarted, and what to change.
        reason: String,
    },
}

/// Decides, failure by failure, whether a job begins again. It has no clock and no chance of its own.
///
/// ```
/// use tidemill_checkpoint::RestartStrategy;
/// use tidemill_checkpoint::restart::Restart;
/// use tidemill_core::config::{Configuration, Origin};
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("restart-strategy.type", "fixed-delay", Origin::CommandLine);
/// configuration.set_raw("restart-strategy.fixed-delay.delay", "5 s", Origin::CommandLine);
/// let mut strategy = RestartStrategy::from_configuration(&configuration)?;
/// assert_eq!(strategy.on_failure(1_000, 0.5), Restart::After { after_ms: 5_000 });
/// assert!(matches!(strategy.on_failure(9_000, 0.5), Restart::Fail { .. }), "one attempt is the default");
/// # Ok::<(), tidemill_checkpoint::CoordinatorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RestartStrategy {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    None,
    FixedDelay { attempts: u32, delay: i64, failures: u32 },
    FailureRate { max_failures: u32, interval: i64, delay: i64, failures: VecDeque<i64> },
    ExponentialDelay(Exponential),
}

/// How the strategy `exponential-delay` waits. The defaults are Flink's.
///
/// ```
/// use tidemill_checkpoint::restart::ExponentialDelay;
///
/// assert_eq!(ExponentialDelay::default().multiplier, 1.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialDelay {
    /// The first wait, at least 1 ms.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// By what each failure multiplies it, at least 1.
    pub multiplier: f64,
    /// After how long without failure the wait is as at first.
    pub reset_threshold: Duration,
    /// The share of the wait that chance adds or takes away.
    pub jitter: f64,
    /// How many failures without such a calm are put up with.
    pub attempts: u32,
}

impl Default for ExponentialDelay {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            multiplier: 1.5,
            reset_threshold: Duration::from_secs(3600),
            jitter: 0.1,
            attempts: i32::MAX as u32,
        }
    }
}

#[derive(Clone, Debug)]
struct Exponential {
    settings: ExponentialDelay,
    attempt: u32,
    next_restart: i64,
}

impl RestartStrategy {
    /// The strategy that `restart-strategy.type` names, or without it: `exponential-delay` if checkpoints are taken
    /// periodically, else none.
    ///
    /// # Errors
    /// If an option has a value that it cannot have, or the first wait is longer than the longest.
    pub fn from_configuration(configuration: &Configuration) -> Result<Self, CoordinatorError> {
        let checkpoints = configuration.get_optional(&options::CHECKPOINTING_INTERVAL)?.is_some();
        let named = configuration.get_optional(&options::RESTART_STRATEGY)?;
        let name = named.as_deref().and_then(options::restart_strategy_name);
        match name {
            Some("fixed-delay") => Ok(Self::fixed_delay(
                configuration.get(&options::FIXED_DELAY_ATTEMPTS)?,
                configuration.get(&options::FIXED_DELAY_DELAY)?,
            )),
            Some("failure-rate") => Ok(Self::failure_rate(
                configuration.get(&options::FAILURE_RATE_MAX_FAILURES)?,
                configuration.get(&options::FAILURE_RATE_INTERVAL)?,
                configuration.get(&options::FAILURE_RATE_DELAY)?,
            )),
            Some("exponential-delay") => Self::exponential_from(configuration),
            None if checkpoints => Self::exponential_from(configuration),
            _ => Ok(Self::none()),
        }
    }

    fn exponential_from(configuration: &Configuration) -> Result<Self, CoordinatorError> {
        Self::exponential_delay(ExponentialDelay {
            initial: configuration.get(&options::EXPONENTIAL_INITIAL_BACKOFF)?,
            max: configuration.get(&options::EXPONENTIAL_MAX_BACKOFF)?,
            multiplier: configuration.get(&options::EXPONENTIAL_MULTIPLIER)?,
            reset_threshold: configuration.get(&options::EXPONENTIAL_RESET_THRESHOLD)?,
            jitter: configuration.get(&options::EXPONENTIAL_JITTER)?,
            attempts: configuration.get(&options::EXPONENTIAL_ATTEMPTS)?,
        })
    }

    /// No restarts.
    ///
    /// ```
    /// use tidemill_checkpoint::RestartStrategy;
    ///
    /// assert_eq!(RestartStrategy::none().name(), "none");
    /// ```
    pub fn none() -> Self {
        Self { kind: Kind::None }
    }

    /// So many restarts, each after the same wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_checkpoint::RestartStrategy;
    ///
    /// assert_eq!(RestartStrategy::fixed_delay(3, Duration::from_secs(1)).name(), "fixed-delay");
    /// ```
    pub fn fixed_delay(attempts: u32, delay: Duration) -> Self {
        Self { kind: Kind::FixedDelay { attempts, delay: millis(delay), failures: 0 } }
    }

    /// Restarts as long as not more than so many failures fall into one interval.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_checkpoint::RestartStrategy;
    ///
    /// let strategy = RestartStrategy::failure_rate(3, Duration::from_secs(60), Duration::from_secs(1));
    /// assert_eq!(strategy.name(), "failure-rate");
    /// ```
    pub fn failure_rate(max_failures: u32, interval: Duration, delay: Duration) -> Self {
        let (interval, delay) = (millis(interval), millis(delay));
        Self { kind: Kind::FailureRate { max_failures, interval, delay, failures: VecDeque::new() } }
    }

    /// Restarts after waits that grow with each failure, until none comes for some time.
    ///
    /// ```
    /// use tidemill_checkpoint::RestartStrategy;
    /// use tidemill_checkpoint::restart::ExponentialDelay;
    ///
    /// let strategy = RestartStrategy::exponential_delay(ExponentialDelay::default())?;
    /// assert_eq!(strategy.name(), "exponential-delay");
    /// # Ok::<(), tidemill_checkpoint::CoordinatorError>(())
    /// ```
    ///
    /// # Errors
    /// [`CoordinatorError::Settings`] if a value is out of its bounds, or the first wait is longer than the longest.
    pub fn exponential_delay(settings: ExponentialDelay) -> Result<Self, CoordinatorError> {
        let wrong = |text: &str| {
            Err(CoordinatorError::Settings(format!("'restart-strategy.exponential-delay.{text}")))
        };
        if settings.initial.as_millis() == 0 {
            return wrong("initial-backoff' must be at least 1 ms");
        }
        if settings.initial > settings.max {
            return wrong("initial-backoff' is longer than 'max-backoff': lower it, or raise the other");
        }
        if settings.multiplier.is_nan() || settings.multiplier < 1.0 {
            return wrong("backoff-multiplier' must be at least 1");
        }
        if !(0.0..=1.0).contains(&settings.jitter) {
            return wrong("jitter-factor' must be from 0 to 1");
        }
        Ok(Self {
            kind: Kind::ExponentialDelay(Exponential { settings, attempt: 0, next_restart: i64::MIN }),
        })
    }

    /// Its name, as in `restart-strategy.type`.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::None => "none",
            Kind::FixedDelay { .. } => "fixed-delay",
            Kind::FailureRate { .. } => "failure-rate",
            Kind::ExponentialDelay(_) => "exponential-delay",
        }
    }

    /// Counts a failure at a time in milliseconds, and says what follows. The random number, in [0, 1), is for the jitter.
    ///
    /// Whether the failure allows a restart at all is not asked here: one that would come again, as the error's
    /// [`Classified`](tidemill_core::Classified) says, is not passed on.
    pub fn on_failure(&mut self, now_ms: i64, random: f64) -> Restart {
        match &mut self.kind {
            Kind::None => Restart::Fail {
                reason: "no restarts are configured: set 'restart-strategy.type', or take checkpoints with \
                         'execution.checkpointing.interval'"
                    .to_owned(),
            },
            Kind::FixedDelay { attempts, delay, failures } => {
                *failures = failures.saturating_add(1);
                if failures <= attempts {
                    return Restart::After { after_ms: *delay };
                }
                Restart::Fail {
                    reason: format!(
                        "it was restarted {attempts} times, as 'restart-strategy.fixed-delay.attempts' says"
                    ),
                }
            }
            Kind::FailureRate { max_failures, interval, delay, failures } => {
                failures.push_back(now_ms);
                let capacity = (*max_failures as usize).saturating_add(1);
                if failures.len() > capacity {
                    failures.pop_front();
                }
                let oldest = failures.front().copied().unwrap_or(now_ms);
                if failures.len() < capacity || now_ms.saturating_sub(oldest) > *interval {
                    return Restart::After { after_ms: *delay };
                }
                Restart::Fail {
                    reason: format!(
                        "it failed more than {max_failures} times within {interval} ms, which is what \
                         'restart-strategy.failure-rate.max-failures-per-interval' allows"
                    ),
                }
            }
            Kind::ExponentialDelay(exponential) => exponential.on_failure(now_ms, random),
        }
    }
}

impl Exponential {
    fn on_failure(&mut self, now: i64, random: f64) -> Restart {
        // Several tasks fail of one cause: what fails before the restart belongs to the failure that it is for.
        if now > self.next_restart {
            let calm = now.saturating_sub(self.next_restart);
            if calm >= millis(self.settings.reset_threshold) {
                self.attempt = 0;
            }
            self.next_restart = now.saturating_add(self.backoff(random));
            self.attempt = self.attempt.saturating_add(1);
        }
        if self.attempt > self.settings.attempts {
            return Restart::Fail {
                reason: format!(
                    "it was restarted {} times in a row, as 'restart-strategy.exponential-delay.attempts-before-reset-backoff' \
                     says",
                    self.settings.attempts
                ),
            };
        }
        Restart::After { after_ms: self.next_restart.saturating_sub(now).max(0) }
    }

    fn backoff(&self, random: f64) -> i64 {
        let settings = &self.settings;
        let (initial, max) = (millis(settings.initial), millis(settings.max));
        // Conversions to integers saturate, so a power beyond all bounds is the longest wait.
        let plain = (initial as f64 * settings.multiplier.powf(f64::from(self.attempt))) as i64;
        let offset = (plain as f64 * settings.jitter) as i64;
        let jitter = (offset as f64 * (2.0 * random.clamp(0.0, 1.0) - 1.0)) as i64;
        plain.saturating_add(jitter).min(max).max(initial)
    }
}
