//! Windows of one size that begin more often than they end.

use std::time::Duration;

use tidemill_core::time::Timestamp;

use crate::windows::assigner::{
    InvalidWindows, assign_by_time, at_least_a_millisecond, millis, offset_within,
};
use crate::windows::end_triggers::{EventTimeTrigger, ProcessingTimeTrigger};
use crate::windows::window::TimeWindow;

/// An element may be in this many windows at most.
const MOST_WINDOWS: i64 = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sliding {
    size: i64,
    slide: i64,
    offset: i64,
}

impl Sliding {
    fn of(size: Duration, slide: Duration) -> Self {
        Self { size: millis(size), slide: millis(slide), offset: 0 }
    }

    fn validate(&self, assigner: &'static str) -> Result<(), InvalidWindows> {
        at_least_a_millisecond(assigner, "size", self.size)?;
        at_least_a_millisecond(assigner, "slide", self.slide)?;
        offset_within(assigner, self.offset, "slide", self.slide)?;
        if self.size / self.slide > MOST_WINDOWS {
            let reason = format!(
                "a size of {} ms with a slide of {} ms puts every element into more than {MOST_WINDOWS} windows; \
                 make the slide longer",
                self.size, self.slide
            );
            return Err(InvalidWindows { assigner, reason });
        }
        Ok(())
    }

    /// The windows of a timestamp, the one that began last first.
    fn assign(&self, timestamp: Timestamp, windows: &mut Vec<TimeWindow>) {
        let mut start = TimeWindow::start_with_offset(timestamp, self.offset, self.slide);
        let before_first = timestamp.saturating_sub(self.size);
        while start > before_first {
            windows.push(TimeWindow { start, end: start.saturating_add(self.size) });
            match start.checked_sub(self.slide) {
                Some(earlier) => start = earlier,
                None => break,
            }
        }
    }
}

/// Windows of one size by event time, of which one begins with every slide. An element is in size ÷ slide of them; with a
/// slide longer than the size, elements in the gaps are in none.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::SlidingEventTimeWindows;
///
/// // The last ten minutes, every minute.
/// let windows = SlidingEventTimeWindows::of(Duration::from_secs(600), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingEventTimeWindows(Sliding);

impl SlidingEventTimeWindows {
    /// Windows of `size`, one every `slide`, aligned to the epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, SlidingEventTimeWindows, TimeWindow, WindowAssigner};
    ///
    /// let windows = SlidingEventTimeWindows::of(Duration::from_millis(20), Duration::from_millis(10));
    /// let mut of_17 = Vec::new();
    /// windows.assign_windows(&"element", 17, &AssignerContext::at(0), &mut of_17)?;
    /// assert_eq!(of_17, [TimeWindow::new(10, 30), TimeWindow::new(0, 20)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn of(size: Duration, slide: Duration) -> Self {
        Self(Sliding::of(size, slide))
    }

    /// Shifts all windows by `offset` milliseconds, which may be negative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, SlidingEventTimeWindows, TimeWindow, WindowAssigner};
    ///
    /// let windows = SlidingEventTimeWindows::of(Duration::from_millis(20), Duration::from_millis(10));
    /// let mut of_17 = Vec::new();
    /// windows.with_offset(-1).assign_windows(&"element", 17, &AssignerContext::at(0), &mut of_17)?;
    /// assert_eq!(of_17, [TimeWindow::new(9, 29), TimeWindow::new(-1, 19)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn with_offset(self, offset: i64) -> Self {
        Self(Sliding { offset, ..self.0 })
    }
}

assign_by_time!(SlidingEventTimeWindows, EventTimeTrigger, event time);

/// Windows of one size by the time of the machine, of which one begins with every slide.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::SlidingProcessingTimeWindows;
///
/// let windows = SlidingProcessingTimeWindows::of(Duration::from_secs(60), Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingProcessingTimeWindows(Sliding);

impl SlidingProcessingTimeWindows {
    /// Windows of `size`, one every `slide`, aligned to the epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, SlidingProcessingTimeWindows, TimeWindow, WindowAssigner};
    ///
    /// let windows = SlidingProcessingTimeWindows::of(Duration::from_millis(20), Duration::from_millis(10));
    /// let mut at_17 = Vec::new();
    /// windows.assign_windows(&"element", 0, &AssignerContext::at(17), &mut at_17)?;
    /// assert_eq!(at_17, [TimeWindow::new(10, 30), TimeWindow::new(0, 20)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn of(size: Duration, slide: Duration) -> Self {
        Self(Sliding::of(size, slide))
    }

    /// Shifts all windows by `offset` milliseconds, which may be negative.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::SlidingProcessingTimeWindows;
    ///
    /// let windows = SlidingProcessingTimeWindows::of(Duration::from_secs(60), Duration::from_secs(5));
    /// assert_ne!(windows.with_offset(1_000), windows);
    /// ```
    pub fn with_offset(self, offset: i64) -> Self {
        Self(Sliding { offset, ..self.0 })
    }
}

assign_by_time!(SlidingProcessingTimeWindows, ProcessingTimeTrigger, processing time);
