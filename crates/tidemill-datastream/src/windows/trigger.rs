//! The trait of triggers.

use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::BoxError;
use tidemill_serialization::Key;
use tidemill_state::{Clock, KeyedStateBackend, StateError, TimeDomain, Timers};

use crate::windows::window::Window;

/// What is to become of a window.
///
/// ```
/// use tidemill_datastream::windows::TriggerResult;
///
/// assert!(TriggerResult::FireAndPurge.is_fire() && TriggerResult::FireAndPurge.is_purge());
/// assert!(!TriggerResult::Continue.is_fire());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerResult {
    /// Nothing.
    Continue,
    /// The function is called, the contents stay.
    Fire,
    /// The contents are dropped.
    Purge,
    /// The function is called, then the contents are dropped.
    FireAndPurge,
}

impl TriggerResult {
    /// Whether the function is called.
    ///
    /// ```
    /// use tidemill_datastream::windows::TriggerResult;
    ///
    /// assert!(TriggerResult::Fire.is_fire() && TriggerResult::FireAndPurge.is_fire());
    /// assert!(!TriggerResult::Continue.is_fire() && !TriggerResult::Purge.is_fire());
    /// ```
    pub fn is_fire(self) -> bool {
        matches!(self, TriggerResult::Fire | TriggerResult::FireAndPurge)
    }

    /// Whether the contents are dropped.
    ///
    /// ```
    /// use tidemill_datastream::windows::TriggerResult;
    ///
    /// assert!(TriggerResult::Purge.is_purge() && TriggerResult::FireAndPurge.is_purge());
    /// assert!(!TriggerResult::Continue.is_purge() && !TriggerResult::Fire.is_purge());
    /// ```
    pub fn is_purge(self) -> bool {
        matches!(self, TriggerResult::Purge | TriggerResult::FireAndPurge)
    }
}

/// What a trigger may know and do: time, timers of the window, and state.
///
/// ```
/// use tidemill_datastream::windows::{TimeWindow, TriggerContext, TriggerResult, Window};
/// use tidemill_state::StateError;
///
/// /// Fires now if event time has passed the window, and otherwise when it does.
/// fn at_end(
///     window: &TimeWindow,
///     context: &mut TriggerContext<'_, String, TimeWindow>,
/// ) -> Result<TriggerResult, StateError> {
///     if window.max_timestamp() <= context.current_watermark().0 {
///         return Ok(TriggerResult::Fire);
///     }
///     context.register_event_time_timer(window.max_timestamp())?;
///     Ok(TriggerResult::Continue)
/// }
/// ```
pub struct TriggerContext<'a, K, W> {
    pub(crate) backend: &'a mut KeyedStateBackend<K>,
    pub(crate) timers: Timers<W>,
    pub(crate) window: &'a W,
    pub(crate) watermark: Watermark,
    pub(crate) clock: &'a dyn Clock,
}

impl<K: Key, W: Window> TriggerContext<'_, K, W> {
    /// The keyed state, to use the handles on that the trigger got when it was opened; the window is the namespace of what
    /// belongs to it.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, TriggerContext, TriggerResult};
    /// use tidemill_state::{ReducingState, StateError};
    ///
    /// /// Fires at the hundredth element of a window.
    /// fn at_hundred(
    ///     counts: ReducingState<u64, TimeWindow>,
    ///     window: &TimeWindow,
    ///     context: &mut TriggerContext<'_, String, TimeWindow>,
    /// ) -> Result<TriggerResult, StateError> {
    ///     counts.add_in(context.state(), window, 1)?;
    ///     let is_hundred = counts.get_in(context.state(), window)? == Some(100);
    ///     Ok(if is_hundred { TriggerResult::Fire } else { TriggerResult::Continue })
    /// }
    /// ```
    pub fn state(&mut self) -> &mut KeyedStateBackend<K> {
        self.backend
    }

    /// How far event time has got.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, TriggerContext, Window};
    ///
    /// /// Whether event time has passed the window.
    /// fn has_passed(window: &TimeWindow, context: &TriggerContext<'_, String, TimeWindow>) -> bool {
    ///     window.max_timestamp() <= context.current_watermark().0
    /// }
    /// ```
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of the machine, in milliseconds since the epoch.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, TriggerContext};
    /// use tidemill_state::StateError;
    ///
    /// /// Has the trigger called at the next full second.
    /// fn next_second(context: &mut TriggerContext<'_, String, TimeWindow>) -> Result<(), StateError> {
    ///     let now = context.current_processing_time();
    ///     context.register_processing_time_timer(now - now % 1_000 + 1_000)
    /// }
    /// ```
    pub fn current_processing_time(&self) -> Timestamp {
        self.clock.now()
    }

    /// Has [`Trigger::on_event_time`] called for this window when event time reaches `timestamp`.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, TriggerContext};
    /// use tidemill_state::StateError;
    ///
    /// /// Has the trigger called in the middle of the window.
    /// fn halfway(
    ///     window: &TimeWindow,
    ///     context: &mut TriggerContext<'_, String, TimeWindow>,
    /// ) -> Result<(), StateError> {
    ///     context.register_event_time_timer(window.start + (window.end - window.start) / 2)
    /// }
    /// ```
    ///
    /// # Errors
    /// When the memory for state is used up.
    pub fn register_event_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.register(self.backend, TimeDomain::Event, timestamp, self.window)
    }

    /// Has [`Trigger::on_processing_time`] called for this window when the machine's time reaches `timestamp`.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, TriggerContext};
    /// use tidemill_state::StateError;
    ///
    /// /// Has the trigger called ten seconds from now.
    /// fn in_ten_seconds(context: &mut TriggerContext<'_, String, TimeWindow>) -> Result<(), StateError> {
    ///     context.register_processing_time_timer(context.current_processing_time() + 10_000)
    /// }
    /// ```
    ///
    /// # Errors
    /// When the memory for state is used up.
    pub fn register_processing_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.register(self.backend, TimeDomain::Processing, timestamp, self.window)
    }

    /// Takes back a timer in event time; nothing when there is none.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, TriggerContext, Window};
    /// use tidemill_state::StateError;
    ///
    /// /// Tidies up after a window, as `Trigger::clear` has to.
    /// fn clear(
    ///     window: &TimeWindow,
    ///     context: &mut TriggerContext<'_, String, TimeWindow>,
    /// ) -> Result<(), StateError> {
    ///     context.delete_event_time_timer(window.max_timestamp())
    /// }
    /// ```
    ///
    /// # Errors
    /// When the state cannot be reached.
    pub fn delete_event_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.delete(self.backend, TimeDomain::Event, timestamp, self.window)
    }

    /// Takes back a timer in processing time; nothing when there is none.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, TriggerContext};
    /// use tidemill_state::StateError;
    ///
    /// /// Puts off a call by a second.
    /// fn put_off(due: i64, context: &mut TriggerContext<'_, String, TimeWindow>) -> Result<(), StateError> {
    ///     context.delete_processing_time_timer(due)?;
    ///     context.register_processing_time_timer(due + 1_000)
    /// }
    /// ```
    ///
    /// # Errors
    /// When the state cannot be reached.
    pub fn delete_processing_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.delete(self.backend, TimeDomain::Processing, timestamp, self.window)
    }
}

/// Decides when the function of a window is called.
///
/// One trigger serves all keys and windows of a subtask; what it has to remember of a window it keeps in state whose
/// namespace is the window.
///
/// ```
/// use tidemill_core::Timestamp;
/// use tidemill_datastream::windows::{Trigger, TriggerContext, TriggerResult, Window};
/// use tidemill_runtime::BoxError;
/// use tidemill_serialization::Key;
///
/// /// Fires for elements that say so.
/// #[derive(Clone)]
/// struct OnDemand;
///
/// impl<W: Window> Trigger<(bool, u64), W> for OnDemand {
///     fn on_element<K: Key>(
///         &mut self,
///         element: &(bool, u64),
///         _: Timestamp,
///         _: &W,
///         _: &mut TriggerContext<'_, K, W>,
///     ) -> Result<TriggerResult, BoxError> {
///         Ok(if element.0 { TriggerResult::Fire } else { TriggerResult::Continue })
///     }
///
///     fn clear<K: Key>(&mut self, _: &W, _: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError> {
///         Ok(())
///     }
/// }
/// ```
pub trait Trigger<T, W: Window>: Clone + Send + Sync + 'static {
    /// Declares the trigger's states and keeps their handles.
    ///
    /// # Errors
    /// What a trigger fails with, fails the job.
    fn open<K: Key>(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        let _ = states;
        Ok(())
    }

    /// An element was added to the window.
    ///
    /// # Errors
    /// What a trigger fails with, fails the job.
    fn on_element<K: Key>(
        &mut self,
        element: &T,
        timestamp: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError>;

    /// Event time has reached a timer of the window: one of the trigger's, or the one that removes the window.
    ///
    /// # Errors
    /// What a trigger fails with, fails the job.
    fn on_event_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        let _ = (time, window, context);
        Ok(TriggerResult::Continue)
    }

    /// The machine's time has reached a timer of the window.
    ///
    /// # Errors
    /// What a trigger fails with, fails the job.
    fn on_processing_time<K: Key>(
        &mut self,
        time: Timestamp,
        window: &W,
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<TriggerResult, BoxError> {
        let _ = (time, window, context);
        Ok(TriggerResult::Continue)
    }

    /// Whether the trigger can be used with windows that merge.
    fn can_merge(&self) -> bool {
        false
    }

    /// The windows `merged` have become `window`: merges the trigger's state and orders the timers anew. Called only when
    /// [`can_merge`](Self::can_merge) says so.
    ///
    /// # Errors
    /// What a trigger fails with, fails the job.
    fn on_merge<K: Key>(
        &mut self,
        window: &W,
        merged: &[W],
        context: &mut TriggerContext<'_, K, W>,
    ) -> Result<(), BoxError> {
        let _ = (window, merged, context);
        Ok(())
    }

    /// The window goes: removes the trigger's state and timers of it.
    ///
    /// # Errors
    /// What a trigger fails with, fails the job.
    fn clear<K: Key>(&mut self, window: &W, context: &mut TriggerContext<'_, K, W>) -> Result<(), BoxError>;

    /// That the trigger does nothing but fire when time of this domain reaches the end of a window, and for each
    /// element that comes after that. The operator then adds whole batches without calling the trigger.
    fn fires_at_end(&self) -> Option<TimeDomain> {
        None
    }
}
