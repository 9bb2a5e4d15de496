//! Where processing time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tidemill_core::Timestamp;

/// A source of processing time.
///
/// ```
/// use tidemill_core::Timestamp;
/// use tidemill_state::{Clock, SystemClock};
///
/// /// A clock that is an hour fast.
/// struct Fast;
///
/// impl Clock for Fast {
///     fn now(&self) -> Timestamp {
///         SystemClock.now() + 3_600_000
///     }
/// }
///
/// assert!(Fast.now() > SystemClock.now());
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
///
/// ```
/// use tidemill_state::{Clock, SystemClock};
///
/// assert!(SystemClock.now() > 1_700_000_000_000, "it is later than November 2023");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_millis());
        Timestamp::try_from(since.unwrap_or(0)).unwrap_or(Timestamp::MAX)
    }
}

/// A clock that stands still until it is told to move: for tests. Clones show the same time.
///
/// ```
/// use tidemill_state::{Clock, ManualClock};
///
/// let clock = ManualClock::at(1_000);
/// let shown = clock.clone();
/// clock.advance(500);
/// assert_eq!(shown.now(), 1_500);
/// clock.set(0);
/// assert_eq!(shown.now(), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `now`.
    ///
    /// ```
    /// use tidemill_state::{Clock, ManualClock};
    ///
    /// assert_eq!(ManualClock::at(1_000).now(), 1_000);
    /// ```
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now)))
    }

    /// Moves the clock to `now`.
    ///
    /// ```
    /// use tidemill_state::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::at(1_000);
    /// clock.set(500);
    /// assert_eq!(clock.now(), 500);
    /// ```
    pub fn set(&self, now: Timestamp) {
        self.0.store(now, Ordering::SeqCst);
    }

    /// Moves the clock on by some milliseconds.
    ///
    /// ```
    /// use tidemill_state::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::at(1_000);
    /// clock.advance(500);
    /// assert_eq!(clock.now(), 1_500);
    /// ```
    pub fn advance(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.load(Ordering::SeqCst)
    }
}
