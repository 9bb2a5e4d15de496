//! The trait of window assigners.

use std::time::Duration;

use tidemill_core::time::{NO_TIMESTAMP, Timestamp};
use tidemill_core::{Classified, Fault};
use tidemill_runtime::BoxError;

use crate::windows::trigger::Trigger;
use crate::windows::window::Window;

/// What an assigner may know besides the element.
///
/// ```
/// use tidemill_datastream::windows::AssignerContext;
///
/// assert_eq!(AssignerContext::at(1_000).current_processing_time(), 1_000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AssignerContext {
    pub(crate) processing_time: Timestamp,
}

impl AssignerContext {
    /// A context at a time of the machine, in milliseconds since the epoch.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::{
    ///     AssignerContext, TimeWindow, TumblingProcessingTimeWindows, WindowAssigner,
    /// };
    ///
    /// let minutes = TumblingProcessingTimeWindows::of(Duration::from_secs(60));
    /// let mut windows = Vec::new();
    /// minutes.assign_windows(&"any", 0, &AssignerContext::at(61_000), &mut windows)?;
    /// assert_eq!(windows, [TimeWindow::new(60_000, 120_000)]);
    /// # Ok::<(), tidemill_runtime::BoxError>(())
    /// ```
    pub fn at(processing_time: Timestamp) -> Self {
        Self { processing_time }
    }

    /// The time of the machine, in milliseconds since the epoch. One reading serves a whole batch.
    ///
    /// ```
    /// use tidemill_datastream::windows::AssignerContext;
    ///
    /// assert_eq!(AssignerContext::at(1_000).current_processing_time(), 1_000);
    /// ```
    pub fn current_processing_time(&self) -> Timestamp {
        self.processing_time
    }
}

/// Says to which windows an element belongs.
///
/// ```
/// use tidemill_datastream::windows::{AssignerContext, EventTimeTrigger, TimeWindow, WindowAssigner};
/// use tidemill_runtime::BoxError;
///
/// /// Each element says when its window ends.
/// #[derive(Clone)]
/// struct Until;
///
/// impl WindowAssigner<(i64, String)> for Until {
///     type Window = TimeWindow;
///     type DefaultTrigger = EventTimeTrigger;
///
///     fn name(&self) -> &'static str {
///         "Until"
///     }
///
///     fn assign_windows(
///         &self,
///         element: &(i64, String),
///         timestamp: i64,
///         _: &AssignerContext,
///         windows: &mut Vec<TimeWindow>,
///     ) -> Result<(), BoxError> {
///         windows.push(TimeWindow::new(timestamp, element.0));
///         Ok(())
///     }
///
///     fn default_trigger(&self) -> EventTimeTrigger {
///         EventTimeTrigger
///     }
///
///     fn is_event_time(&self) -> bool {
///         true
///     }
/// }
///
/// let mut windows = Vec::new();
/// Until.assign_windows(&(50, "a".to_owned()), 20, &AssignerContext::at(0), &mut windows)?;
/// assert_eq!(windows, [TimeWindow::new(20, 50)]);
/// # Ok::<(), BoxError>(())
/// ```
pub trait WindowAssigner<T>: Clone + Send + Sync + 'static {
    /// The type of the windows.
    type Window: Window;
    /// The trigger that such windows have when the job names no other.
    type DefaultTrigger: Trigger<T, Self::Window>;

    /// Whether elements always belong to one window, so that [`assign_batch`](Self::assign_batch) can be used.
    const ONE_WINDOW: bool = false;

    /// Whether windows are merged once they meet; then [`merge`](Self::merge) says which.
    const MERGING: bool = false;

    /// The assigner's name, for people.
    fn name(&self) -> &'static str;

    /// Checks the parameters.
    ///
    /// # Errors
    /// When windows cannot be made with them; the job is not deployed then.
    fn validate(&self) -> Result<(), InvalidWindows> {
        Ok(())
    }

    /// Appends the windows of an element.
    ///
    /// # Errors
    /// What an assigner fails with, fails the job: such as an element without the timestamp that it goes by.
    fn assign_windows(
        &self,
        element: &T,
        timestamp: Timestamp,
        context: &AssignerContext,
        windows: &mut Vec<Self::Window>,
    ) -> Result<(), BoxError>;

    /// Appends the window of each element of a batch; called only with [`ONE_WINDOW`](Self::ONE_WINDOW). `timestamps` is
    /// as long as `elements`, or empty.
    ///
    /// # Errors
    /// As [`assign_windows`](Self::assign_windows).
    fn assign_batch(
        &self,
        elements: &[T],
        timestamps: &[Timestamp],
        context: &AssignerContext,
        windows: &mut Vec<Self::Window>,
    ) -> Result<(), BoxError> {
        for (index, element) in elements.iter().enumerate() {
            let timestamp = timestamps.get(index).copied().unwrap_or(NO_TIMESTAMP);
            self.assign_windows(element, timestamp, context, windows)?;
        }
        Ok(())
    }

    /// The trigger that windows have when the job names no other.
    fn default_trigger(&self) -> Self::DefaultTrigger;

    /// Whether windows end by event time; otherwise they end by the time of the machine.
    fn is_event_time(&self) -> bool;

    /// The window that two windows of a key merge into; none when they stay apart. The same whichever comes first, and
    /// never less than both.
    fn merge(&self, one: &Self::Window, other: &Self::Window) -> Option<Self::Window> {
        let _ = (one, other);
        None
    }
}

/// Makes a type an assigner of time windows: one around something that has `validate`, and `assign`, which appends the windows
/// of a time.
macro_rules! assign_by_time {
    ($windows:ident, $trigger:ident, event time) => {
        assign_by_time!($windows, $trigger, true, |timestamp, _context| {
            $crate::windows::assigner::has_timestamp(timestamp, stringify!($windows))?;
            timestamp
        });
    };
    ($windows:ident, $trigger:ident, processing time) => {
        assign_by_time!($windows, $trigger, false, |_timestamp, context| context.processing_time);
    };
    ($windows:ident, $trigger:ident, $event:literal, |$timestamp:ident, $context:ident| $time:expr) => {
        impl<T: 'static> $crate::windows::WindowAssigner<T> for $windows {
            type Window = TimeWindow;
            type DefaultTrigger = $trigger;

            fn name(&self) -> &'static str {
                stringify!($windows)
            }

            fn validate(&self) -> Result<(), InvalidWindows> {
                self.0.validate(stringify!($windows))
            }

            fn assign_windows(
                &self,
                _element: &T,
                $timestamp: Timestamp,
                $context: &$crate::windows::AssignerContext,
                windows: &mut Vec<TimeWindow>,
            ) -> Result<(), tidemill_runtime::BoxError> {
                self.0.assign($time, windows);
                Ok(())
            }

            fn default_trigger(&self) -> $trigger {
                $trigger
            }

            fn is_event_time(&self) -> bool {
                $event
            }
        }
    };
}
pub(super) use assign_by_time;

/// Windows that cannot be made.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::{TumblingEventTimeWindows, WindowAssigner};
///
/// let nothing = TumblingEventTimeWindows::of(Duration::ZERO);
/// let error = WindowAssigner::<u64>::validate(&nothing).unwrap_err();
/// assert_eq!(error.to_string(), "TumblingEventTimeWindows: the size is less than 1 ms; give at least 1 ms");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{assigner}: {reason}")]
pub struct InvalidWindows {
    /// Where.
    pub assigner: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Classified for InvalidWindows {
    fn code(&self) -> &'static str {
        "TM-WINDOW-INVALID"
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}

/// An element has no timestamp, and its window goes by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} got a record without a timestamp; give the source a WatermarkStrategy with a timestamp assigner, or call \
     assign_timestamps_and_watermarks() before the window"
)]
pub(crate) struct WithoutTimestamp(pub(crate) &'static str);

#[inline]
pub(crate) fn has_timestamp(timestamp: Timestamp, assigner: &'static str) -> Result<(), WithoutTimestamp> {
    if timestamp == NO_TIMESTAMP { Err(WithoutTimestamp(assigner)) } else { Ok(()) }
}

/// Whole milliseconds; what does not fit is as much as fits.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn at_least_a_millisecond(
    assigner: &'static str,
    what: &str,
    value: i64,
) -> Result<(), InvalidWindows> {
    if value >= 1 {
        return Ok(());
    }
    Err(InvalidWindows { assigner, reason: format!("the {what} is less than 1 ms; give at least 1 ms") })
}

pub(crate) fn offset_within(
    assigner: &'static str,
    offset: i64,
    what: &str,
    limit: i64,
) -> Result<(), InvalidWindows> {
    if offset.unsigned_abs() < limit.unsigned_abs() {
        return Ok(());
    }
    let reason = format!("the offset of {offset} ms must be shorter than the {what} of {limit} ms");
    Err(InvalidWindows { assigner, reason })
}
