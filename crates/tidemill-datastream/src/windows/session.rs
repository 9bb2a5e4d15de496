//! Windows that last as long as elements keep coming.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::time::Timestamp;
use tidemill_runtime::BoxError;

use crate::windows::assigner::{
    AssignerContext, InvalidWindows, WindowAssigner, at_least_a_millisecond, has_timestamp, millis,
};
use crate::windows::end_triggers::{EventTimeTrigger, ProcessingTimeTrigger};
use crate::windows::window::TimeWindow;

/// The gap after which a session ends: one for all elements, or one that each element names.
enum Gap<T> {
    Fixed(i64),
    Dynamic(Arc<dyn Fn(&T) -> Duration + Send + Sync>),
}

impl<T> Clone for Gap<T> {
    fn clone(&self) -> Self {
        match self {
            Gap::Fixed(gap) => Gap::Fixed(*gap),
            Gap::Dynamic(gap) => Gap::Dynamic(Arc::clone(gap)),
        }
    }
}

/// An element named a gap that is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}: an element has a session gap of less than 1 ms; the gap function must give at least 1 ms")]
struct NoGap(&'static str);

impl<T> Gap<T> {
    fn validate(&self, assigner: &'static str) -> Result<(), InvalidWindows> {
        match self {
            Gap::Fixed(gap) => at_least_a_millisecond(assigner, "session gap", *gap),
            Gap::Dynamic(_) => Ok(()),
        }
    }

    fn window(
        &self,
        element: &T,
        timestamp: Timestamp,
        assigner: &'static str,
    ) -> Result<TimeWindow, BoxError> {
        let gap = match self {
            Gap::Fixed(gap) => *gap,
            Gap::Dynamic(gap) => millis(gap(element)),
        };
        if gap < 1 {
            return Err(NoGap(assigner).into());
        }
        Ok(TimeWindow { start: timestamp, end: timestamp.saturating_add(gap) })
    }
}

/// What two sessions become that have a timestamp in common or touch.
fn merge(one: &TimeWindow, other: &TimeWindow) -> Option<TimeWindow> {
    one.intersects(other).then(|| one.cover(other))
}

/// Sessions by event time: elements that follow each other within a gap are in one window, from the first of them until the
/// gap after the last.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::EventTimeSessionWindows;
///
/// let sessions = EventTimeSessionWindows::<String>::with_gap(Duration::from_secs(30));
/// ```
#[derive(Clone)]
pub struct EventTimeSessionWindows<T> {
    gap: Gap<T>,
}

impl<T> EventTimeSessionWindows<T> {
    /// Sessions that end when nothing has come for `gap`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, EventTimeSessionWindows, TimeWindow, WindowAssigner};
    ///
    /// let sessions = EventTimeSessionWindows::with_gap(Duration::from_millis(10));
    /// let mut windows = Vec::new();
    /// for timestamp in [5, 12] {
    ///     sessions.assign_windows(&"element", timestamp, &AssignerContext::at(0), &mut windows)?;
    /// }
    /// assert_eq!(sessions.merge(&windows[0], &windows[1]), Some(TimeWindow::new(5, 22)));
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap: Gap::Fixed(millis(gap)) }
    }

    /// Sessions that end when nothing has come for the gap that an element names.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::EventTimeSessionWindows;
    ///
    /// let sessions = EventTimeSessionWindows::with_dynamic_gap(|patience: &u64| Duration::from_millis(*patience));
    /// ```
    pub fn with_dynamic_gap(gap: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        Self { gap: Gap::Dynamic(Arc::new(gap)) }
    }
}

const EVENT: &str = "EventTimeSessionWindows";

impl<T: Clone + 'static> WindowAssigner<T> for EventTimeSessionWindows<T> {
    type Window = TimeWindow;
    type DefaultTrigger = EventTimeTrigger;
    const MERGING: bool = true;

    fn name(&self) -> &'static str {
        EVENT
    }

    fn validate(&self) -> Result<(), InvalidWindows> {
        self.gap.validate(EVENT)
    }

    fn assign_windows(
        &self,
        element: &T,
        timestamp: Timestamp,
        _context: &AssignerContext,
        windows: &mut Vec<TimeWindow>,
    ) -> Result<(), BoxError> {
        has_timestamp(timestamp, EVENT)?;
        windows.push(self.gap.window(element, timestamp, EVENT)?);
        Ok(())
    }

    fn default_trigger(&self) -> EventTimeTrigger {
        EventTimeTrigger
    }

    fn is_event_time(&self) -> bool {
        true
    }

    fn merge(&self, one: &TimeWindow, other: &TimeWindow) -> Option<TimeWindow> {
        merge(one, other)
    }
}

/// Sessions by the time of the machine.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::ProcessingTimeSessionWindows;
///
/// let sessions = ProcessingTimeSessionWindows::<String>::with_gap(Duration::from_secs(30));
/// ```
#[derive(Clone)]
pub struct ProcessingTimeSessionWindows<T> {
    gap: Gap<T>,
}

impl<T> ProcessingTimeSessionWindows<T> {
    /// Sessions that end when nothing has come for `gap`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, ProcessingTimeSessionWindows, TimeWindow, WindowAssigner};
    ///
    /// let sessions = ProcessingTimeSessionWindows::with_gap(Duration::from_millis(10));
    /// let mut at_5 = Vec::new();
    /// sessions.assign_windows(&"element", 0, &AssignerContext::at(5), &mut at_5)?;
    /// assert_eq!(at_5, [TimeWindow::new(5, 15)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap: Gap::Fixed(millis(gap)) }
    }

    /// Sessions that end when nothing has come for the gap that an element names.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{AssignerContext, ProcessingTimeSessionWindows, TimeWindow, WindowAssigner};
    ///
    /// let sessions = ProcessingTimeSessionWindows::with_dynamic_gap(|patience: &u64| Duration::from_millis(*patience));
    /// let mut at_5 = Vec::new();
    /// sessions.assign_windows(&20, 0, &AssignerContext::at(5), &mut at_5)?;
    /// assert_eq!(at_5, [TimeWindow::new(5, 25)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn with_dynamic_gap(gap: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        Self { gap: Gap::Dynamic(Arc::new(gap)) }
    }
}

const PROCESSING: &str = "ProcessingTimeSessionWindows";

impl<T: Clone + 'static> WindowAssigner<T> for ProcessingTimeSessionWindows<T> {
    type Window = TimeWindow;
    type DefaultTrigger = ProcessingTimeTrigger;
    const MERGING: bool = true;

    fn name(&self) -> &'static str {
        PROCESSING
    }

    fn validate(&self) -> Result<(), InvalidWindows> {
        self.gap.validate(PROCESSING)
    }

    fn assign_windows(
        &self,
        element: &T,
        _timestamp: Timestamp,
        context: &AssignerContext,
        windows: &mut Vec<TimeWindow>,
    ) -> Result<(), BoxError> {
        windows.push(self.gap.window(element, context.processing_time, PROCESSING)?);
        Ok(())
    }

    fn default_trigger(&self) -> ProcessingTimeTrigger {
        ProcessingTimeTrigger
    }

    fn is_event_time(&self) -> bool {
        false
    }

    fn merge(&self, one: &TimeWindow, other: &TimeWindow) -> Option<TimeWindow> {
        merge(one, other)
    }
}
