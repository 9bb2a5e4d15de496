//! How many records are due: a steady rate, that forgets what it has missed for long.

use std::time::Duration;

use crate::error::ConnectorError;

/// Checks a rate.
pub(crate) fn check_rate(per_second: f64) -> Result<f64, ConnectorError> {
    if per_second.is_finite() && per_second > 0.0 {
        Ok(per_second)
    } else {
        Err(ConnectorError::InvalidOption(format!(
            "a source cannot emit {per_second} records per second: say more than 0"
        )))
    }
}

/// Says how many records a reader may emit. Time is what has passed since it was made.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    per_second: f64,
    /// When the records counted in `emitted` began to be due.
    since: Duration,
    emitted: u64,
}

/// Records are emitted together that become due within this time.
const STEP: Duration = Duration::from_millis(1);

/// What was missed longer ago is not made up for.
const LONGEST_CATCH_UP: Duration = Duration::from_secs(1);

impl RateLimit {
    pub(crate) fn new(per_second: f64) -> Self {
        Self { per_second, since: Duration::ZERO, emitted: 0 }
    }

    /// How many records are due.
    pub(crate) fn due(&mut self, now: Duration) -> u64 {
        let caught_up = self.time_of(self.emitted);
        if now > caught_up + LONGEST_CATCH_UP {
            self.since = now - LONGEST_CATCH_UP;
            self.emitted = 0;
        }
        let passed = now.saturating_sub(self.since).as_secs_f64();
        // The first is due at once.
        ((passed * self.per_second) as u64).saturating_add(1).saturating_sub(self.emitted)
    }

    pub(crate) fn emit(&mut self, records: u64) {
        self.emitted = self.emitted.saturating_add(records);
    }

    /// When to look again, after nothing was due.
    pub(crate) fn next(&self, now: Duration) -> Duration {
        self.time_of(self.emitted).max(now + STEP)
    }

    /// When record number `index` is due.
    fn time_of(&self, index: u64) -> Duration {
        let seconds = index as f64 / self.per_second;
        // A nanosecond more, so that rounding does not make it come too early.
        self.since
            + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
            + Duration::from_nanos(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pause_is_made_up_for_by_one_second_at_most() {
        let mut rate = RateLimit::new(100.0);
        assert_eq!(rate.due(Duration::ZERO), 1);
        rate.emit(1);
        assert_eq!(rate.due(Duration::from_millis(500)), 50);
        rate.emit(50);
        assert_eq!(rate.due(Duration::from_secs(60)), 101);
    }

    #[test]
    fn a_rate_beyond_all_counting_has_always_something_due() {
        for per_second in [1e19, 1e300, f64::MAX] {
            let mut rate = RateLimit::new(per_second);
            for millis in 0..5_000 {
                let due = rate.due(Duration::from_millis(millis * 3));
                assert!(due > 0, "{per_second} a second, after {millis} steps");
                rate.emit(due.min(1_000));
            }
        }
    }

    proptest! {
        /// However the steps fall: never more than the rate allows, and, without long pauses, never less.
        #[test]
        fn the_rate_is_kept(per_second in 0.5f64..1e6, steps in prop::collection::vec(0u64..900_000, 1..200)) {
            let mut rate = RateLimit::new(per_second);
            let (mut now, mut emitted) = (Duration::ZERO, 0);
            for micros in steps {
                now += Duration::from_micros(micros);
                let due = rate.due(now);
                rate.emit(due);
                emitted += due;
                let exact = now.as_secs_f64() * per_second + 1.0;
                prop_assert!(emitted as f64 <= exact + 1e-6 * exact);
                prop_assert!(emitted as f64 >= exact - 1.0 - 1e-6 * exact, "{emitted} of {exact}");
                let next = rate.next(now);
                prop_assert!(next > now);
                if next > now + STEP {
                    prop_assert_eq!(rate.clone().due(next - Duration::from_micros(1).min(STEP)), 0);
                    prop_assert!(rate.clone().due(next + Duration::from_micros(1)) >= 1);
                }
            }
        }
    }
}
