//! Windows that begin together and end one after the other, as in the `CUMULATE` of SQL.

use std::time::Duration;

use tidemill_core::time::Timestamp;

use crate::windows::assigner::{
    InvalidWindows, assign_by_time, at_least_a_millisecond, millis, offset_within,
};
use crate::windows::end_triggers::{EventTimeTrigger, ProcessingTimeTrigger};
use crate::windows::window::TimeWindow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cumulate {
    max_size: i64,
    step: i64,
    offset: i64,
}

impl Cumulate {
    fn of(max_size: Duration, step: Duration) -> Self {
        Self { max_size: millis(max_size), step: millis(step), offset: 0 }
    }

    fn validate(&self, assigner: &'static str) -> Result<(), InvalidWindows> {
        at_least_a_millisecond(assigner, "max size", self.max_size)?;
        at_least_a_millisecond(assigner, "step", self.step)?;
        if self.max_size % self.step != 0 {
            let reason = format!(
                "the max size of {} ms must be a multiple of the step of {} ms",
                self.max_size, self.step
            );
            return Err(InvalidWindows { assigner, reason });
        }
        offset_within(assigner, self.offset, "max size", self.max_size)
    }

    /// The windows of a timestamp, the shortest first.
    fn assign(&self, timestamp: Timestamp, windows: &mut Vec<TimeWindow>) {
        let start = TimeWindow::start_with_offset(timestamp, self.offset, self.max_size);
        let last = start.saturating_add(self.max_size);
        let within = timestamp.saturating_sub(start);
        let mut end = start.saturating_add((within / self.step + 1).saturating_mul(self.step));
        loop {
            windows.push(TimeWindow { start, end: end.min(last) });
            if end >= last {
                return;
            }
            end = end.saturating_add(self.step);
        }
    }
}

/// Windows by event time that begin with every max size, and of which one ends with every step: the first is a step
/// long, the last is max size long. An element is in all windows that end after it.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::CumulateEventTimeWindows;
///
/// // Today so far, every hour.
/// let windows = CumulateEventTimeWindows::of(Duration::from_secs(86_400), Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CumulateEventTimeWindows(Cumulate);

impl CumulateEventTimeWindows {
    /// Windows up to `max_size`, which must be a multiple of `step`, aligned to the epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, CumulateEventTimeWindows, TimeWindow, WindowAssigner};
    ///
    /// let windows = CumulateEventTimeWindows::of(Duration::from_millis(30), Duration::from_millis(10));
    /// let mut of_17 = Vec::new();
    /// windows.assign_windows(&"element", 17, &AssignerContext::at(0), &mut of_17)?;
    /// assert_eq!(of_17, [TimeWindow::new(0, 20), TimeWindow::new(0, 30)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn of(max_size: Duration, step: Duration) -> Self {
        Self(Cumulate::of(max_size, step))
    }

    /// Shifts all windows by `offset` milliseconds, which may be negative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, CumulateEventTimeWindows, TimeWindow, WindowAssigner};
    ///
    /// let windows = CumulateEventTimeWindows::of(Duration::from_millis(30), Duration::from_millis(10));
    /// let mut of_17 = Vec::new();
    /// windows.with_offset(-5).assign_windows(&"element", 17, &AssignerContext::at(0), &mut of_17)?;
    /// assert_eq!(of_17, [TimeWindow::new(-5, 25)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn with_offset(self, offset: i64) -> Self {
        Self(Cumulate { offset, ..self.0 })
    }
}

assign_by_time!(CumulateEventTimeWindows, EventTimeTrigger, event time);

/// Like [`CumulateEventTimeWindows`], by the time of the machine.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::CumulateProcessingTimeWindows;
///
/// let windows = CumulateProcessingTimeWindows::of(Duration::from_secs(3600), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CumulateProcessingTimeWindows(Cumulate);

impl CumulateProcessingTimeWindows {
    /// Windows up to `max_size`, which must be a multiple of `step`, aligned to the epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, CumulateProcessingTimeWindows, TimeWindow, WindowAssigner};
    ///
    /// let windows = CumulateProcessingTimeWindows::of(Duration::from_millis(30), Duration::from_millis(10));
    /// let mut at_17 = Vec::new();
    /// windows.assign_windows(&"element", 0, &AssignerContext::at(17), &mut at_17)?;
    /// assert_eq!(at_17, [TimeWindow::new(0, 20), TimeWindow::new(0, 30)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn of(max_size: Duration, step: Duration) -> Self {
        Self(Cumulate::of(max_size, step))
    }

    /// Shifts all windows by `offset` milliseconds, which may be negative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::CumulateProcessingTimeWindows;
    ///
    /// let days = CumulateProcessingTimeWindows::of(Duration::from_secs(86_400), Duration::from_secs(3600));
    /// assert_ne!(days.with_offset(-8 * 3_600_000), days);
    /// ```
    pub fn with_offset(self, offset: i64) -> Self {
        Self(Cumulate { offset, ..self.0 })
    }
}

assign_by_time!(CumulateProcessingTimeWindows, ProcessingTimeTrigger, processing time);
