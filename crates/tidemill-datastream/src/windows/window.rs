//! What windows are.

use std::fmt;

use tidemill_core::hash::combine;
use tidemill_core::time::{Timestamp, format_timestamp};
use tidemill_serialization::{Key, Record, RoutingHash};

/// A group of elements of one key. State is kept by key and window.
///
/// ```
/// use tidemill_datastream::windows::{GlobalWindow, TimeWindow, Window};
///
/// assert_eq!(TimeWindow::new(10, 20).max_timestamp(), 19);
/// assert_eq!(GlobalWindow.max_timestamp(), i64::MAX);
/// ```
pub trait Window: Key {
    /// The last timestamp that belongs to the window. Results carry it, and with it event time closes the window.
    fn max_timestamp(&self) -> Timestamp;
}

/// The window from `start` (inclusive) to `end` (exclusive), in milliseconds since the epoch.
///
/// ```
/// use tidemill_datastream::windows::TimeWindow;
///
/// let minute = TimeWindow::new(0, 60_000);
/// assert_eq!(minute.to_string(), "[1970-01-01T00:00:00.000Z, 1970-01-01T00:01:00.000Z)");
/// ```
#[derive(Record, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeWindow {
    /// The first timestamp in the window.
    pub start: Timestamp,
    /// The first timestamp after the window.
    pub end: Timestamp,
}

impl TimeWindow {
    /// A window from `start` (inclusive) to `end` (exclusive).
    ///
    /// ```
    /// use tidemill_datastream::windows::TimeWindow;
    ///
    /// let second = TimeWindow::new(1_000, 2_000);
    /// assert_eq!((second.start, second.end), (1_000, 2_000));
    /// ```
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether the two windows have a timestamp in common, or one begins where the other ends.
    ///
    /// ```
    /// use tidemill_datastream::windows::TimeWindow;
    ///
    /// assert!(TimeWindow::new(0, 10).intersects(&TimeWindow::new(10, 20)));
    /// assert!(!TimeWindow::new(0, 10).intersects(&TimeWindow::new(11, 20)));
    /// ```
    pub fn intersects(&self, other: &TimeWindow) -> bool {
        self.start <= other.end && self.end >= other.start
    }

    /// The smallest window that covers both.
    ///
    /// ```
    /// use tidemill_datastream::windows::TimeWindow;
    ///
    /// assert_eq!(TimeWindow::new(0, 10).cover(&TimeWindow::new(5, 20)), TimeWindow::new(0, 20));
    /// ```
    pub fn cover(&self, other: &TimeWindow) -> TimeWindow {
        TimeWindow { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The start of the window of `size` that `timestamp` is in, when one window starts at `offset`.
    ///
    /// ```
    /// use tidemill_datastream::windows::TimeWindow;
    ///
    /// assert_eq!(TimeWindow::start_with_offset(7, 0, 5), 5);
    /// assert_eq!(TimeWindow::start_with_offset(-1, 0, 5), -5);
    /// assert_eq!(TimeWindow::start_with_offset(7, 3, 5), 3);
    /// ```
    #[inline]
    pub fn start_with_offset(timestamp: Timestamp, offset: i64, size: i64) -> Timestamp {
        let remainder = timestamp.wrapping_sub(offset) % size;
        let start = timestamp.saturating_sub(remainder);
        if remainder < 0 { start.saturating_sub(size) } else { start }
    }
}

impl RoutingHash for TimeWindow {
    // Only looks entries up in memory: the bits of start and end need no mixing of their own.
    #[inline(always)]
    fn routing_hash(&self) -> u64 {
        combine(self.start as u64, self.end as u64)
    }
}

impl Window for TimeWindow {
    #[inline(always)]
    fn max_timestamp(&self) -> Timestamp {
        self.end.saturating_sub(1)
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", format_timestamp(self.start), format_timestamp(self.end))
    }
}

/// The one window that all elements are in. It never ends.
///
/// ```
/// use tidemill_datastream::windows::{GlobalWindow, Window};
///
/// assert_eq!(GlobalWindow.max_timestamp(), i64::MAX, "it never ends");
/// ```
#[derive(Record, RoutingHash, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GlobalWindow;

impl Window for GlobalWindow {
    fn max_timestamp(&self) -> Timestamp {
        Timestamp::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_timestamp_is_in_the_window_that_starts_at_a_multiple(
            timestamp in -1_000_000i64..1_000_000, size in 1i64..1000, offset in -999i64..1000,
        ) {
            let offset = offset % size;
            let start = TimeWindow::start_with_offset(timestamp, offset, size);
            prop_assert!(start <= timestamp && timestamp < start + size);
            prop_assert_eq!((start - offset).rem_euclid(size), 0);
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for timestamp in [i64::MIN, i64::MIN + 1, i64::MAX] {
            for offset in [-7, 0, 7] {
                let start = TimeWindow::start_with_offset(timestamp, offset, 10);
                assert!(start <= timestamp || timestamp == i64::MIN);
            }
        }
    }
}
