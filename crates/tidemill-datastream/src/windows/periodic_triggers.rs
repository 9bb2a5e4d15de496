//! Triggers that fire again and again before a window ends.

use std::time::Duration;

use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::BoxError;
use tidemill_serialization::Key;
use tidemill_state::{KeyedStateBackend, ReducingState, ReducingStateDescriptor};

use crate::windows::assigner::millis;
use crate::windows::count_trigger::NOT_OPEN;
use crate::windows::trigger::{Trigger, TriggerContext, TriggerResult};
use crate::windows::window::Window;

type NextFire<W> = ReducingState<Timestamp, W>;

fn open<K: Key, W: Window>(states: &mut KeyedStateBackend<K>) -> Result<NextFire<W>, BoxError> {
    let earliest = |next: &mut Timestamp, other: Timestamp| *next = other.min(*next);
    Ok(states.register_reducing(ReducingStateDescriptor::new("fire-time", earliest))?)
}

/// The multiple of `interval` at or before a time, counted from 0 toward it, as Flink does.
fn interval_start(time: Timestamp, interval: i64) -> Timestamp {
    time.saturating_sub(time % interval)
}

/// Whole milliseconds, at least one.
fn at_least_one(interval: Duration) -> i64 {
    millis(interval).max(1)
}

/// What both triggers do alike, with timers in their own domain of time.
macro_rules! periodic {
    ($register:ident, $delete:ident) => {
        fn open<K: Key>(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
            self.next = Some(open(states)?);
            Ok(())
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
            let state = self.next.ok_or(NOT_OPEN)?;
            state.merge_namespaces(context.backend, window, merged)?;
            if let Some(next) = state.get_in(context.backend, window)? {
                context.$register(next)?;
            }
            Ok(())
        }

        fn clear<K: Key>(
            &mut self,
            window: &W,
            context: &mut TriggerContext<'_, K, W>,
        ) -> Result<(), BoxError> {
            let state = self.next.ok_or(NOT_OPEN)?;
            if let Some(next) = state.get_in(context.backend, window)? {
                context.$delete(next)?;
                state.clear_in(context.backend, window)?;
            }
            Ok(())
        }
    };
}

/// Fires whenever event time passes a multiple of an interval since the window got its first element, and at the end of the
/// window.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::{ContinuousEventTimeTrigger, TimeWindow};
///
/// let minutes = ContinuousEventTimeTrigger::<TimeWindow>::of(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ContinuousEventTimeTrigger<W> {
    interval: i64,
    next: Option<NextFire<W>>,
}

impl<W: Window> ContinuousEventTimeTrigger<W> {
    /// Fires every `interval`; one below a millisecond counts as that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{ContinuousEventTimeTrigger, TumblingEventTimeWindows};
    ///
    /// /// The sum of the day so far, every minute of event time.
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(TumblingEventTimeWindows::of(Duration::from_secs(86_400)))
    ///         .trigger(ContinuousEventTimeTrigger::of(Duration::from_secs(60)))
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn of(interval: Duration) -> Self {
        Self { interval: at_least_one(interval), next: None }
    }

    fn order_next<K: Key>(
        &self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        let next = time.saturating_add(self.interval).min(window.max_timestamp());
        self.next.ok_or(NOT_OPEN)?.add_in(context.backend, window, next)?;
        Ok(context.register_event_time_timer(next)?)
    }
}

impl<T, W: Window> Trigger<T, W> for ContinuousEventTimeTrigger<W> {
    periodic!(register_event_time_timer, delete_event_time_timer);

    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        let end = window.max_timestamp();
        if end <= context.watermark.0 {
            return Ok(TriggerResult::Fire);
        }
        context.register_event_time_timer(end)?;
        if self.next.ok_or(NOT_OPEN)?.get_in(context.backend, window)?.is_none() {
            self.order_next(interval_start(timestamp, self.interval), window, context)?;
        }
        Ok(TriggerResult::Continue)
    }

    fn on_event_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        if time == window.max_timestamp() {
            return Ok(TriggerResult::Fire);
        }
        let state = self.next.ok_or(NOT_OPEN)?;
        if state.get_in(context.backend, window)? != Some(time) {
            return Ok(TriggerResult::Continue);
        }
        state.clear_in(context.backend, window)?;
        // At the end of the input every interval up to the end of a window would be due; once is enough for one without end.
        if context.watermark != Watermark::MAX || window.max_timestamp() < Timestamp::MAX {
            self.order_next(time, window, context)?;
        }
        Ok(TriggerResult::Fire)
    }
}

/// Fires whenever the time of the machine passes a multiple of an interval since the window got its first element.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::{ContinuousProcessingTimeTrigger, GlobalWindow};
///
/// let seconds = ContinuousProcessingTimeTrigger::<GlobalWindow>::of(Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
pub struct ContinuousProcessingTimeTrigger<W> {
    interval: i64,
    next: Option<NextFire<W>>,
}

impl<W: Window> ContinuousProcessingTimeTrigger<W> {
    /// Fires every `interval`; one below a millisecond counts as that.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{ContinuousProcessingTimeTrigger, GlobalWindows};
    ///
    /// /// The sum so far, every second.
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(GlobalWindows::create())
    ///         .trigger(ContinuousProcessingTimeTrigger::of(Duration::from_secs(1)))
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn of(interval: Duration) -> Self {
        Self { interval: at_least_one(interval), next: None }
    }

    fn order_next<K: Key>(
        &self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        let next = time.saturating_add(self.interval).min(window.max_timestamp());
        self.next.ok_or(NOT_OPEN)?.add_in(context.backend, window, next)?;
        Ok(context.register_processing_time_timer(next)?)
    }
}

impl<T, W: Window> Trigger<T, W> for ContinuousProcessingTimeTrigger<W> {
    periodic!(register_processing_time_timer, delete_processing_time_timer);

    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        _timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        if self.next.ok_or(NOT_OPEN)?.get_in(context.backend, window)?.is_none() {
            let now = context.current_processing_time();
            self.order_next(interval_start(now, self.interval), window, context)?;
        }
        Ok(TriggerResult::Continue)
    }

    fn on_processing_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        let state = self.next.ok_or(NOT_OPEN)?;
        if state.get_in(context.backend, window)? != Some(time) {
            return Ok(TriggerResult::Continue);
        }
        // At the end of the window there is no next time: ordering it again would fire without end.
        if time < window.max_timestamp() {
            state.clear_in(context.backend, window)?;
            self.order_next(time, window, context)?;
        }
        Ok(TriggerResult::Fire)
    }
}
