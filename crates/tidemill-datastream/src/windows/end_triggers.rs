//! Triggers that fire when a window ends, or never.

use tidemill_core::time::Timestamp;
use tidemill_runtime::BoxError;
use tidemill_serialization::Key;
use tidemill_state::TimeDomain;

use crate::windows::trigger::{Trigger, TriggerContext, TriggerResult};
use crate::windows::window::Window;

fn fire_when(condition: bool) -> TriggerResult {
    if condition { TriggerResult::Fire } else { TriggerResult::Continue }
}

/// Fires once event time passes the end of the window, and for each element that comes later and is still allowed.
///
/// ```
/// use tidemill_datastream::windows::{EventTimeTrigger, TimeWindow, Trigger};
/// use tidemill_state::TimeDomain;
///
/// assert_eq!(Trigger::<u64, TimeWindow>::fires_at_end(&EventTimeTrigger), Some(TimeDomain::Event));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EventTimeTrigger;

impl<T, W: Window> Trigger<T, W> for EventTimeTrigger {
    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        _timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        let end = window.max_timestamp();
        if end <= context.watermark.0 {
            return Ok(TriggerResult::Fire);
        }
        context.register_event_time_timer(end)?;
        Ok(TriggerResult::Continue)
    }

    fn on_event_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        _context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        Ok(fire_when(time == window.max_timestamp()))
    }

    fn can_merge(&self) -> bool {
        true
    }

    fn on_merge<K: Key>(
        &mut self,
        window: &W,
        _merged: &[W],
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        let end = window.max_timestamp();
        // If the window has ended already, the element that merged it fires it.
        if end > context.watermark.0 {
            context.register_event_time_timer(end)?;
        }
        Ok(())
    }

    fn clear<K: Key>(&mut self, window: &W, context: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError> {
        Ok(context.delete_event_time_timer(window.max_timestamp())?)
    }

    fn fires_at_end(&self) -> Option<TimeDomain> {
        Some(TimeDomain::Event)
    }
}

/// Fires once the time of the machine passes the end of the window.
///
/// ```
/// use tidemill_datastream::windows::{ProcessingTimeTrigger, TimeWindow, Trigger};
/// use tidemill_state::TimeDomain;
///
/// assert_eq!(Trigger::<u64, TimeWindow>::fires_at_end(&ProcessingTimeTrigger), Some(TimeDomain::Processing));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessingTimeTrigger;

impl<T, W: Window> Trigger<T, W> for ProcessingTimeTrigger {
    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        _timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        context.register_processing_time_timer(window.max_timestamp())?;
        Ok(TriggerResult::Continue)
    }

    fn on_processing_time<K: Key>(
        &mut self,
        _time: Timestamp,
        _window: &W,
        _context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        Ok(TriggerResult::Fire)
    }

    fn can_merge(&self) -> bool {
        true
    }

    fn on_merge<K: Key>(
        &mut self,
        window: &W,
        _merged: &[W],
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        let end = window.max_timestamp();
        if end > context.current_processing_time() {
            context.register_processing_time_timer(end)?;
        }
        Ok(())
    }

    fn clear<K: Key>(&mut self, window: &W, context: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError> {
        Ok(context.delete_processing_time_timer(window.max_timestamp())?)
    }

    fn fires_at_end(&self) -> Option<TimeDomain> {
        Some(TimeDomain::Processing)
    }
}

/// Fires at the end of the window: for a [`GlobalWindow`](crate::windows::GlobalWindow), at the end of a bounded stream.
///
/// ```
/// use tidemill_datastream::DataStream;
/// use tidemill_datastream::windows::{EndOfStreamTrigger, GlobalWindows};
///
/// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
///     numbers
///         .key_by(|number| number % 10)
///         .window(GlobalWindows::create())
///         .trigger(EndOfStreamTrigger)
///         .reduce(|sum: &mut u64, number| *sum += number)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct EndOfStreamTrigger;

impl<T, W: Window> Trigger<T, W> for EndOfStreamTrigger {
    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        _timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        context.register_event_time_timer(window.max_timestamp())?;
        Ok(TriggerResult::Continue)
    }

    fn on_event_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        _context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        Ok(fire_when(time == window.max_timestamp()))
    }

    fn can_merge(&self) -> bool {
        true
    }

    fn on_merge<K: Key>(
        &mut self,
        window: &W,
        _merged: &[W],
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        Ok(context.register_event_time_timer(window.max_timestamp())?)
    }

    fn clear<K: Key>(&mut self, window: &W, context: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError> {
        Ok(context.delete_event_time_timer(window.max_timestamp())?)
    }

    fn fires_at_end(&self) -> Option<TimeDomain> {
        Some(TimeDomain::Event)
    }
}

/// Never fires.
///
/// ```
/// use tidemill_datastream::windows::{GlobalWindow, NeverTrigger, Trigger};
///
/// assert_eq!(Trigger::<u64, GlobalWindow>::fires_at_end(&NeverTrigger), None);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverTrigger;

impl<T, W: Window> Trigger<T, W> for NeverTrigger {
    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        _timestamp: Timestamp,
        _window: &W,
        _context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        Ok(TriggerResult::Continue)
    }

    fn can_merge(&self) -> bool {
        true
    }

    fn clear<K: Key>(
        &mut self,
        _window: &W,
        _context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}
