//! One window for everything.

use tidemill_core::time::Timestamp;
use tidemill_runtime::BoxError;
use tidemill_serialization::Key;
use tidemill_state::TimeDomain;

use crate::windows::assigner::{AssignerContext, WindowAssigner};
use crate::windows::end_triggers::{EndOfStreamTrigger, NeverTrigger};
use crate::windows::trigger::{Trigger, TriggerContext, TriggerResult};
use crate::windows::window::{GlobalWindow, Window};

/// Puts all elements of a key into one window that never ends. Useful with a trigger of its own.
///
/// ```
/// use tidemill_datastream::windows::GlobalWindows;
///
/// let never_fires = GlobalWindows::create();
/// let fires_once = GlobalWindows::create_with_end_of_stream_trigger();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GlobalWindows {
    at_end: bool,
}

impl GlobalWindows {
    /// With a trigger that never fires: name another.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{CountTrigger, GlobalWindows};
    ///
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(GlobalWindows::create())
    ///         .trigger(CountTrigger::of(100))
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn create() -> Self {
        Self { at_end: false }
    }

    /// With a trigger that fires at the end of a bounded stream.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::GlobalWindows;
    ///
    /// fn sum(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(GlobalWindows::create_with_end_of_stream_trigger())
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn create_with_end_of_stream_trigger() -> Self {
        Self { at_end: true }
    }
}

impl<T: 'static> WindowAssigner<T> for GlobalWindows {
    type Window = GlobalWindow;
    type DefaultTrigger = GlobalTrigger;
    const ONE_WINDOW: bool = true;

    fn name(&self) -> &'static str {
        "GlobalWindows"
    }

    fn assign_windows(
        &self,
        _element: &T,
        _timestamp: Timestamp,
        _context: &AssignerContext,
        windows: &mut Vec<GlobalWindow>,
    ) -> Result<(), BoxError> {
        windows.push(GlobalWindow);
        Ok(())
    }

    fn default_trigger(&self) -> GlobalTrigger {
        GlobalTrigger { at_end: self.at_end }
    }

    fn is_event_time(&self) -> bool {
        // Which windows that end with event time need to be: their contents go when it ends.
        self.at_end
    }
}

/// The trigger that [`GlobalWindows`] have by themselves: it fires at the end of the stream, or never.
///
/// ```
/// use tidemill_datastream::windows::global::GlobalTrigger;
/// use tidemill_datastream::windows::{GlobalWindow, GlobalWindows, Trigger, WindowAssigner};
///
/// let trigger: GlobalTrigger = WindowAssigner::<u64>::default_trigger(&GlobalWindows::create());
/// assert_eq!(Trigger::<u64, GlobalWindow>::fires_at_end(&trigger), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GlobalTrigger {
    at_end: bool,
}

impl<T, W: Window> Trigger<T, W> for GlobalTrigger {
    fn on_element<K: Key>(
        &mut self,
        element: &T,
        timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        if self.at_end {
            EndOfStreamTrigger.on_element(element, timestamp, window, context)
        } else {
            NeverTrigger.on_element(element, timestamp, window, context)
        }
    }

    fn on_event_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        if !self.at_end {
            return Ok(TriggerResult::Continue);
        }
        <EndOfStreamTrigger as Trigger<T, W>>::on_event_time(&mut EndOfStreamTrigger, time, window, context)
    }

    fn can_merge(&self) -> bool {
        true
    }

    fn on_merge<K: Key>(
        &mut self,
        window: &W,
        merged: &[W],
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        if !self.at_end {
            return Ok(());
        }
        <EndOfStreamTrigger as Trigger<T, W>>::on_merge(&mut EndOfStreamTrigger, window, merged, context)
    }

    fn clear<K: Key>(&mut self, window: &W, context: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError> {
        <EndOfStreamTrigger as Trigger<T, W>>::clear(&mut EndOfStreamTrigger, window, context)
    }

    fn fires_at_end(&self) -> Option<TimeDomain> {
        self.at_end.then_some(TimeDomain::Event)
    }
}
