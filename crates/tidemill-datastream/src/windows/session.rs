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

/// The groups of windows that have a timestamp in common or touch.
fn merge(windows: &[TimeWindow]) -> Vec<(TimeWindow, Vec<TimeWindow>)> {
    let mut sorted = windows.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut groups: Vec<(TimeWindow, Vec<TimeWindow>)> = Vec::new();
    for window in sorted {
        match groups.last_mut() {
            Some((covered, group)) if covered.intersects(&window) => {
                *covered = covered.cover(&window);
                group.push(window);
            }
            _ => groups.push((window, vec![window])),
        }
    }
    groups.retain(|(_, group)| group.len() > 1);
    groups
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

    fn merge(&self, windows: &[TimeWindow]) -> Vec<(TimeWindow, Vec<TimeWindow>)> {
        merge(windows)
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
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap: Gap::Fixed(millis(gap)) }
    }

    /// Sessions that end when nothing has come for the gap that an element names.
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

    fn merge(&self, windows: &[TimeWindow]) -> Vec<(TimeWindow, Vec<TimeWindow>)> {
        merge(windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merged_windows_are_the_union(starts in prop::collection::vec((0i64..200, 1i64..20), 0..30)) {
            let windows: Vec<_> =
                starts.iter().map(|(start, gap)| TimeWindow::new(*start, start + gap)).collect();
            let mut after: Vec<_> = merge(&windows).into_iter().map(|(window, _)| window).collect();
            let alone = windows.iter().filter(|one| !after.iter().any(|all| all.intersects(one)));
            let alone: Vec<_> = alone.copied().collect();
            after.extend(alone);
            after.sort();
            after.dedup();
            // Point by point; a window of [start, end) touches the point `end`.
            let covered = |windows: &[TimeWindow], half: i64| {
                windows.iter().any(|window| window.start * 2 <= half && half <= window.end * 2)
            };
            for half in 0..450 {
                prop_assert_eq!(covered(&windows, half), covered(&after, half));
            }
            for pair in after.windows(2) {
                prop_assert!(!pair[0].intersects(&pair[1]));
            }
        }
    }
}
