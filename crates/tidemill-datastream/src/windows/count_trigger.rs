//! A trigger that counts, and one that makes another purge.

use tidemill_core::time::Timestamp;
use tidemill_runtime::BoxError;
use tidemill_serialization::Key;
use tidemill_state::{KeyedStateBackend, ReducingState, ReducingStateDescriptor, StateError};

use crate::windows::trigger::{Trigger, TriggerContext, TriggerResult};
use crate::windows::window::Window;

/// What a trigger without its state answers.
pub(crate) const NOT_OPEN: StateError = StateError::WrongHandle { wanted: "the state of a trigger" };

/// Fires for every `max_count` elements of a window.
///
/// ```
/// use tidemill_datastream::windows::{CountTrigger, GlobalWindow};
///
/// let hundreds = CountTrigger::<GlobalWindow>::of(100);
/// ```
#[derive(Clone, Debug)]
pub struct CountTrigger<W> {
    max_count: u64,
    count: Option<ReducingState<u64, W>>,
}

impl<W> CountTrigger<W> {
    /// Fires for every `max_count` elements; 0 and 1 are for every element.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{CountTrigger, GlobalWindows};
    ///
    /// /// The sum so far, with every hundredth number.
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(GlobalWindows::create())
    ///         .trigger(CountTrigger::of(100))
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn of(max_count: u64) -> Self {
        Self { max_count, count: None }
    }
}

impl<T, W: Window> Trigger<T, W> for CountTrigger<W> {
    fn open<K: Key>(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        let add = |count: &mut u64, more: u64| *count += more;
        self.count = Some(states.register_reducing(ReducingStateDescriptor::new("count", add))?);
        Ok(())
    }

    fn on_element<K: Key>(
        &mut self,
        _element: &T,
        _timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        let state = self.count.ok_or(NOT_OPEN)?;
        state.add_in(context.backend, window, 1)?;
        if state.get_in(context.backend, window)?.unwrap_or(0) < self.max_count {
            return Ok(TriggerResult::Continue);
        }
        state.clear_in(context.backend, window)?;
        Ok(TriggerResult::Fire)
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
        Ok(self.count.ok_or(NOT_OPEN)?.merge_namespaces(context.backend, window, merged)?)
    }

    fn clear<K: Key>(&mut self, window: &W, context: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError> {
        Ok(self.count.ok_or(NOT_OPEN)?.clear_in(context.backend, window)?)
    }
}

/// Drops the contents of a window whenever another trigger fires it.
///
/// ```
/// use tidemill_datastream::windows::{CountTrigger, GlobalWindow, PurgingTrigger};
///
/// let hundreds = PurgingTrigger::of(CountTrigger::<GlobalWindow>::of(100));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PurgingTrigger<R> {
    nested: R,
}

impl<R> PurgingTrigger<R> {
    /// Purges when `nested` fires.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{CountTrigger, GlobalWindows, PurgingTrigger};
    ///
    /// /// The sums of each hundred numbers.
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(GlobalWindows::create())
    ///         .trigger(PurgingTrigger::of(CountTrigger::of(100)))
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn of(nested: R) -> Self {
        Self { nested }
    }
}

fn purge(result: TriggerResult) -> TriggerResult {
    if result.is_fire() { TriggerResult::FireAndPurge } else { result }
}

impl<T, W: Window, R: Trigger<T, W>> Trigger<T, W> for PurgingTrigger<R> {
    fn open<K: Key>(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        self.nested.open(states)
    }

    fn on_element<K: Key>(
        &mut self,
        element: &T,
        timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        self.nested.on_element(element, timestamp, window, context).map(purge)
    }

    fn on_event_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        self.nested.on_event_time(time, window, context).map(purge)
    }

    fn on_processing_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        self.nested.on_processing_time(time, window, context).map(purge)
    }

    fn can_merge(&self) -> bool {
        self.nested.can_merge()
    }

    fn on_merge<K: Key>(
        &mut self,
        window: &W,
        merged: &[W],
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        self.nested.on_merge(window, merged, context)
    }

    fn clear<K: Key>(&mut self, window: &W, context: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError> {
        self.nested.clear(window, context)
    }
}
