//! Windows of one size, one after the other.

use std::time::Duration;

use tidemill_core::time::{NO_TIMESTAMP, Timestamp};
use tidemill_runtime::BoxError;

use crate::windows::assigner::{
    AssignerContext, InvalidWindows, WindowAssigner, at_least_a_millisecond, has_timestamp, millis,
    offset_within,
};
use crate::windows::end_triggers::{EventTimeTrigger, ProcessingTimeTrigger};
use crate::windows::window::TimeWindow;

#[inline(always)]
fn window(timestamp: Timestamp, offset: i64, size: i64) -> TimeWindow {
    let start = TimeWindow::start_with_offset(timestamp, offset, size);
    TimeWindow { start, end: start.saturating_add(size) }
}

/// Windows of one size by event time, without gap or overlap.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::TumblingEventTimeWindows;
///
/// // From a quarter past the hour to the next.
/// let hours = TumblingEventTimeWindows::of(Duration::from_secs(3600)).with_offset(15 * 60 * 1000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TumblingEventTimeWindows {
    size: i64,
    offset: i64,
}

impl TumblingEventTimeWindows {
    /// Windows of `size`, aligned to the epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, TimeWindow, TumblingEventTimeWindows, WindowAssigner};
    ///
    /// let windows = TumblingEventTimeWindows::of(Duration::from_millis(10));
    /// let mut of_17 = Vec::new();
    /// windows.assign_windows(&"element", 17, &AssignerContext::at(0), &mut of_17)?;
    /// assert_eq!(of_17, [TimeWindow::new(10, 20)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn of(size: Duration) -> Self {
        Self { size: millis(size), offset: 0 }
    }

    /// Shifts all windows by `offset` milliseconds, which may be negative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, TimeWindow, TumblingEventTimeWindows, WindowAssigner};
    ///
    /// let windows = TumblingEventTimeWindows::of(Duration::from_millis(10)).with_offset(-1);
    /// let mut of_17 = Vec::new();
    /// windows.assign_windows(&"element", 17, &AssignerContext::at(0), &mut of_17)?;
    /// assert_eq!(of_17, [TimeWindow::new(9, 19)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn with_offset(self, offset: i64) -> Self {
        Self { offset, ..self }
    }
}

const EVENT: &str = "TumblingEventTimeWindows";

impl<T: 'static> WindowAssigner<T> for TumblingEventTimeWindows {
    type Window = TimeWindow;
    type DefaultTrigger = EventTimeTrigger;
    const ONE_WINDOW: bool = true;

    fn name(&self) -> &'static str {
        EVENT
    }

    fn validate(&self) -> Result<(), InvalidWindows> {
        at_least_a_millisecond(EVENT, "size", self.size)?;
        offset_within(EVENT, self.offset, "size", self.size)
    }

    #[inline]
    fn assign_windows(
        &self,
        _element: &T,
        timestamp: Timestamp,
        _context: &AssignerContext,
        windows: &mut Vec<TimeWindow>,
    ) -> Result<(), BoxError> {
        has_timestamp(timestamp, EVENT)?;
        windows.push(window(timestamp, self.offset, self.size));
        Ok(())
    }

    fn assign_batch(
        &self,
        elements: &[T],
        timestamps: &[Timestamp],
        _context: &AssignerContext,
        windows: &mut Vec<TimeWindow>,
    ) -> Result<(), BoxError> {
        if timestamps.len() < elements.len() || timestamps.contains(&NO_TIMESTAMP) {
            has_timestamp(NO_TIMESTAMP, EVENT)?;
        }
        // Neighbours are mostly in one window, which saves the division.
        let mut last = TimeWindow { start: 0, end: 0 };
        windows.extend(timestamps[..elements.len()].iter().map(|&timestamp| {
            if timestamp < last.start || timestamp >= last.end {
                last = window(timestamp, self.offset, self.size);
            }
            last
        }));
        Ok(())
    }

    fn default_trigger(&self) -> EventTimeTrigger {
        EventTimeTrigger
    }

    fn is_event_time(&self) -> bool {
        true
    }
}

/// Windows of one size by the time of the machine, without gap or overlap.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::{AssignerContext, TimeWindow, TumblingProcessingTimeWindows, WindowAssigner};
///
/// let windows = TumblingProcessingTimeWindows::of(Duration::from_millis(10));
/// let mut at_17 = Vec::new();
/// windows.assign_windows(&"element", 0, &AssignerContext::at(17), &mut at_17)?;
/// assert_eq!(at_17, [TimeWindow::new(10, 20)]);
/// # Ok::<(), tidemill_runtime::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TumblingProcessingTimeWindows {
    size: i64,
    offset: i64,
}

impl TumblingProcessingTimeWindows {
    /// Windows of `size`, aligned to the epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::TumblingProcessingTimeWindows;
    ///
    /// let seconds = TumblingProcessingTimeWindows::of(Duration::from_secs(1));
    /// ```
    pub fn of(size: Duration) -> Self {
        Self { size: millis(size), offset: 0 }
    }

    /// Shifts all windows by `offset` milliseconds, which may be negative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::TumblingProcessingTimeWindows;
    ///
    /// let windows = TumblingProcessingTimeWindows::of(Duration::from_secs(60));
    /// assert_ne!(windows.with_offset(1_000), windows);
    /// ```
    pub fn with_offset(self, offset: i64) -> Self {
        Self { offset, ..self }
    }
}

const PROCESSING: &str = "TumblingProcessingTimeWindows";

impl<T: 'static> WindowAssigner<T> for TumblingProcessingTimeWindows {
    type Window = TimeWindow;
    type DefaultTrigger = ProcessingTimeTrigger;
    const ONE_WINDOW: bool = true;

    fn name(&self) -> &'static str {
        PROCESSING
    }

    fn validate(&self) -> Result<(), InvalidWindows> {
        at_least_a_millisecond(PROCESSING, "size", self.size)?;
        offset_within(PROCESSING, self.offset, "size", self.size)
    }

    fn assign_windows(
        &self,
        _element: &T,
        _timestamp: Timestamp,
        context: &AssignerContext,
        windows: &mut Vec<TimeWindow>,
    ) -> Result<(), BoxError> {
        windows.push(window(context.processing_time, self.offset, self.size));
        Ok(())
    }

    fn assign_batch(
        &self,
        elements: &[T],
        _timestamps: &[Timestamp],
        context: &AssignerContext,
        windows: &mut Vec<TimeWindow>,
    ) -> Result<(), BoxError> {
        let window = window(context.processing_time, self.offset, self.size);
        windows.resize(windows.len() + elements.len(), window);
        Ok(())
    }

    fn default_trigger(&self) -> ProcessingTimeTrigger {
        ProcessingTimeTrigger
    }

    fn is_event_time(&self) -> bool {
        false
    }
}
