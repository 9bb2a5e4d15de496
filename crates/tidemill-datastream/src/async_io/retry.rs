//! Trying again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidemill_runtime::BoxError;

#[derive(Clone, Copy, Debug)]
enum Backoff {
    Fixed(Duration),
    Exponential { initial: Duration, max: Duration, multiplier: f64 },
}

/// Whether, when and how often a call to the outside is made again. `O` is what it answers.
///
/// Without a predicate, every error and no answer is a reason to try again.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::RetryStrategy;
///
/// // After 100 ms, 200 ms, 400 ms, …, up to 5 s, at most 8 times, when nothing was found or the network failed.
/// let retry = RetryStrategy::exponential_backoff(8, Duration::from_millis(100), Duration::from_secs(5), 2.0)
///     .if_result(|found: &Option<String>| found.is_none())
///     .if_error(|error| error.is::<std::io::Error>());
/// # let _ = retry;
/// ```
pub struct RetryStrategy<O> {
    retries: u32,
    backoff: Backoff,
    result: Option<Arc<dyn Fn(&O) -> bool + Send + Sync>>,
    error: Option<Arc<dyn Fn(&BoxError) -> bool + Send + Sync>>,
}

impl<O> Clone for RetryStrategy<O> {
    fn clone(&self) -> Self {
        Self {
            retries: self.retries,
            backoff: self.backoff,
            result: self.result.clone(),
            error: self.error.clone(),
        }
    }
}

impl<O> fmt::Debug for RetryStrategy<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryStrategy")
            .field("retries", &self.retries)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

impl<O> RetryStrategy<O> {
    /// Never tries again.
    ///
    /// ```
    /// use tidemill_datastream::RetryStrategy;
    ///
    /// assert!(format!("{:?}", RetryStrategy::<String>::none()).contains("retries: 0"));
    /// ```
    pub fn none() -> Self {
        Self::fixed_delay(0, Duration::ZERO)
    }

    /// Tries again up to `retries` times after the first attempt, each time after `delay`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::RetryStrategy;
    ///
    /// let thrice = RetryStrategy::<String>::fixed_delay(3, Duration::from_millis(100));
    /// assert!(format!("{thrice:?}").contains("retries: 3"));
    /// ```
    pub fn fixed_delay(retries: u32, delay: Duration) -> Self {
        Self { retries, backoff: Backoff::Fixed(delay), result: None, error: None }
    }

    /// Tries again up to `retries` times after the first attempt: first after `initial`, then each time after `multiplier` times
    /// as long as before, but never longer than `max`. A multiplier below 1 counts as 1.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::RetryStrategy;
    ///
    /// // After 100 ms, 200 ms, 400 ms, 500 ms.
    /// let (initial, max) = (Duration::from_millis(100), Duration::from_millis(500));
    /// let four = RetryStrategy::<String>::exponential_backoff(4, initial, max, 2.0);
    /// assert!(format!("{four:?}").contains("retries: 4"));
    /// ```
    pub fn exponential_backoff(retries: u32, initial: Duration, max: Duration, multiplier: f64) -> Self {
        // Also what a NaN becomes.
        let multiplier = if multiplier >= 1.0 { multiplier } else { 1.0 };
        let backoff = Backoff::Exponential { initial, max, multiplier };
        Self { retries, backoff, result: None, error: None }
    }

    /// Tries again also after an answer for which `unsatisfying` is true. When no retry is left, the answer is taken as it is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::RetryStrategy;
    ///
    /// let until_found = RetryStrategy::fixed_delay(3, Duration::from_millis(100))
    ///     .if_result(|found: &Option<String>| found.is_none());
    /// # let _ = until_found;
    /// ```
    pub fn if_result(mut self, unsatisfying: impl Fn(&O) -> bool + Send + Sync + 'static) -> Self {
        self.result = Some(Arc::new(unsatisfying));
        self
    }

    /// Tries again after those errors only for which `transient` is true.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::RetryStrategy;
    ///
    /// let network_only = RetryStrategy::<Option<String>>::fixed_delay(3, Duration::from_millis(100))
    ///     .if_error(|error| error.is::<std::io::Error>());
    /// # let _ = network_only;
    /// ```
    pub fn if_error(mut self, transient: impl Fn(&BoxError) -> bool + Send + Sync + 'static) -> Self {
        self.error = Some(Arc::new(transient));
        self
    }

    /// After how long to try again, when `attempts` have been made, the last with this outcome.
    pub(crate) fn delay(&self, attempts: u32, outcome: &Result<O, BoxError>) -> Option<Duration> {
        if attempts > self.retries {
            return None;
        }
        let wanted = match outcome {
            Ok(answer) => self.result.as_ref().is_some_and(|unsatisfying| unsatisfying(answer)),
            Err(error) => self.error.as_ref().is_none_or(|transient| transient(error)),
        };
        wanted.then(|| match self.backoff {
            Backoff::Fixed(delay) => delay,
            Backoff::Exponential { initial, max, multiplier } => {
                let grown = initial.as_secs_f64() * multiplier.powf(f64::from(attempts.saturating_sub(1)));
                // What is too large for a duration is more than the maximum.
                Duration::try_from_secs_f64(grown).map_or(max, |delay| delay.min(max))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_maximum_and_end() {
        let second = Duration::from_secs(1);
        let retry = RetryStrategy::<()>::exponential_backoff(4, second, 5 * second, 2.0);
        let failed: Result<(), BoxError> = Err("no".into());
        let delays: Vec<_> = (1..=5).map(|attempts| retry.delay(attempts, &failed)).collect();
        assert_eq!(delays, [Some(second), Some(2 * second), Some(4 * second), Some(5 * second), None]);
        assert_eq!(retry.delay(1, &Ok(())), None, "an answer is no reason to try again");
        let endless = RetryStrategy::<()>::exponential_backoff(u32::MAX, second, 5 * second, f64::NAN);
        assert_eq!(endless.delay(4_000_000_000, &failed), Some(second));
    }

    #[test]
    fn predicates_choose() {
        let retry = RetryStrategy::fixed_delay(1, Duration::ZERO)
            .if_result(|found: &Option<u32>| found.is_none())
            .if_error(|error| error.to_string() == "again");
        assert!(retry.delay(1, &Ok(None)).is_some());
        assert!(retry.delay(1, &Ok(Some(1))).is_none());
        assert!(retry.delay(1, &Err("again".into())).is_some());
        assert!(retry.delay(1, &Err("never".into())).is_none());
        assert!(retry.delay(2, &Ok(None)).is_none());
    }
}
