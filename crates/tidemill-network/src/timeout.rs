//! When a buffer that is not full is sent nevertheless.

use std::time::Duration;

/// The value of `execution.buffer-timeout.interval`.
///
/// ```
/// use std::time::Duration;
/// use tidemill_network::BufferTimeout;
///
/// assert_eq!(BufferTimeout::default(), BufferTimeout::After(Duration::from_millis(100)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferTimeout {
    /// Only full buffers are sent (`execution.buffer-timeout.enabled: false`, or the old value -1), besides what
    /// a barrier and the end of the input push out.
    Disabled,
    /// After every batch (0).
    Immediate,
    /// When the oldest record of the buffer has waited for so long.
    After(Duration),
}

impl BufferTimeout {
    /// The timeout of an interval that is not disabled.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_network::BufferTimeout;
    ///
    /// assert_eq!(BufferTimeout::of(Duration::ZERO), BufferTimeout::Immediate);
    /// ```
    pub fn of(interval: Duration) -> Self {
        if interval.is_zero() { BufferTimeout::Immediate } else { BufferTimeout::After(interval) }
    }
}

impl Default for BufferTimeout {
    /// Flink's default: 100 ms.
    fn default() -> Self {
        BufferTimeout::After(Duration::from_millis(100))
    }
}
