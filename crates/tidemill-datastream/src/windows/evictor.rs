//! Evictors: which elements of a window its function sees.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_runtime::BoxError;

use crate::windows::assigner::millis;

/// An element of a window with its timestamp.
///
/// ```
/// use tidemill_datastream::windows::TimestampedValue;
///
/// let element = TimestampedValue { value: "a", timestamp: 20 };
/// assert!(element.timestamp < 30);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampedValue<T> {
    /// The element.
    pub value: T,
    /// Its timestamp, [`NO_TIMESTAMP`] when it has none.
    pub timestamp: Timestamp,
}

/// What an evictor may know besides the elements.
///
/// ```
/// use tidemill_datastream::windows::{EvictorContext, TimestampedValue};
///
/// /// Elements that are older than event time by no more than a minute.
/// fn recent<'a, T>(
///     elements: &'a [TimestampedValue<T>],
///     context: &EvictorContext,
/// ) -> impl Iterator<Item = &'a TimestampedValue<T>> {
///     let from = context.current_watermark().0.saturating_sub(60_000);
///     elements.iter().filter(move |element| element.timestamp >= from)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EvictorContext {
    pub(crate) watermark: Watermark,
    pub(crate) processing_time: Timestamp,
}

impl EvictorContext {
    /// How far event time has got.
    ///
    /// ```
    /// use tidemill_datastream::windows::{EvictorContext, TimestampedValue};
    ///
    /// /// Removes what is more than a minute behind event time.
    /// fn evict<T>(elements: &mut Vec<TimestampedValue<T>>, context: &EvictorContext) {
    ///     let from = context.current_watermark().0.saturating_sub(60_000);
    ///     elements.retain(|element| element.timestamp >= from);
    /// }
    /// ```
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of the machine, in milliseconds since the epoch.
    ///
    /// ```
    /// use tidemill_datastream::windows::{EvictorContext, TimestampedValue};
    ///
    /// /// Removes what is from the future.
    /// fn evict<T>(elements: &mut Vec<TimestampedValue<T>>, context: &EvictorContext) {
    ///     elements.retain(|element| element.timestamp <= context.current_processing_time());
    /// }
    /// ```
    pub fn current_processing_time(&self) -> Timestamp {
        self.processing_time
    }
}

/// Removes elements from a window when it fires, before or after its function is called. What it removes stays removed.
///
/// A window with an evictor keeps all its elements, also with functions that could combine them as they come.
///
/// ```
/// use tidemill_datastream::windows::{Evictor, EvictorContext, TimestampedValue};
/// use tidemill_runtime::BoxError;
///
/// /// Leaves out every other element.
/// struct Half;
///
/// impl<T: 'static, W> Evictor<T, W> for Half {
///     fn evict_before(
///         &self,
///         elements: &mut Vec<TimestampedValue<T>>,
///         _: &W,
///         _: &EvictorContext,
///     ) -> Result<(), BoxError> {
///         let mut keep = false;
///         elements.retain(|_| {
///             keep = !keep;
///             keep
///         });
///         Ok(())
///     }
/// }
/// ```
pub trait Evictor<T, W>: Send + Sync + 'static {
    /// Removes elements that the function shall not see. Elements are in the order in which they came.
    ///
    /// # Errors
    /// What an evictor fails with, fails the job.
    fn evict_before(
        &self,
        elements: &mut Vec<TimestampedValue<T>>,
        window: &W,
        context: &EvictorContext,
    ) -> Result<(), BoxError> {
        let _ = (elements, window, context);
        Ok(())
    }

    /// Removes elements after the function was called.
    ///
    /// # Errors
    /// What an evictor fails with, fails the job.
    fn evict_after(
        &self,
        elements: &mut Vec<TimestampedValue<T>>,
        window: &W,
        context: &EvictorContext,
    ) -> Result<(), BoxError> {
        let _ = (elements, window, context);
        Ok(())
    }
}

/// Calls `$evict` before or after the function.
macro_rules! evicts {
    () => {
        fn evict_before(
            &self,
            elements: &mut Vec<TimestampedValue<T>>,
            _window: &W,
            _context: &EvictorContext,
        ) -> Result<(), BoxError> {
            if !self.after {
                self.evict(elements);
            }
            Ok(())
        }

        fn evict_after(
            &self,
            elements: &mut Vec<TimestampedValue<T>>,
            _window: &W,
            _context: &EvictorContext,
        ) -> Result<(), BoxError> {
            if self.after {
                self.evict(elements);
            }
            Ok(())
        }
    };
}

/// Keeps the last elements of a window.
///
/// ```
/// use tidemill_datastream::windows::CountEvictor;
///
/// let last_ten = CountEvictor::of(10);
/// let drops_the_rest_afterwards = CountEvictor::of(10).after();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CountEvictor {
    max_count: usize,
    after: bool,
}

impl CountEvictor {
    /// Keeps the last `max_count` elements.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{CountEvictor, CountTrigger, GlobalWindows};
    ///
    /// /// With every number, the sum of the last ten.
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(GlobalWindows::create())
    ///         .trigger(CountTrigger::of(1))
    ///         .evictor(CountEvictor::of(10))
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn of(max_count: usize) -> Self {
        Self { max_count, after: false }
    }

    /// Evicts after the function was called, not before.
    ///
    /// ```
    /// use tidemill_datastream::windows::CountEvictor;
    ///
    /// // The function sees all; the last ten stay for the next time.
    /// let keep_ten = CountEvictor::of(10).after();
    /// # let _ = keep_ten;
    /// ```
    pub fn after(self) -> Self {
        Self { after: true, ..self }
    }

    fn evict<T>(&self, elements: &mut Vec<TimestampedValue<T>>) {
        elements.drain(..elements.len().saturating_sub(self.max_count));
    }
}

impl<T: 'static, W> Evictor<T, W> for CountEvictor {
    evicts!();
}

/// Keeps the elements of the last stretch of time, counted back from the latest element.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::TimeEvictor;
///
/// let last_minute = TimeEvictor::of(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeEvictor {
    size: i64,
    after: bool,
}

impl TimeEvictor {
    /// Keeps the elements whose timestamps are less than `size` before the latest.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{CountTrigger, GlobalWindows, TimeEvictor};
    ///
    /// /// With every number, the sum of those of the last minute.
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers
    ///         .window_all(GlobalWindows::create())
    ///         .trigger(CountTrigger::of(1))
    ///         .evictor(TimeEvictor::of(Duration::from_secs(60)))
    ///         .reduce(|sum: &mut u64, number| *sum += number)
    /// }
    /// ```
    pub fn of(size: Duration) -> Self {
        Self { size: millis(size), after: false }
    }

    /// Evicts after the function was called, not before.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::TimeEvictor;
    ///
    /// // The function sees all; what is of the last minute stays for the next time.
    /// let keep_a_minute = TimeEvictor::of(Duration::from_secs(60)).after();
    /// # let _ = keep_a_minute;
    /// ```
    pub fn after(self) -> Self {
        Self { after: true, ..self }
    }

    fn evict<T>(&self, elements: &mut Vec<TimestampedValue<T>>) {
        // Without timestamps there is nothing to go by.
        if elements.first().is_none_or(|first| first.timestamp == NO_TIMESTAMP) {
            return;
        }
        let latest = elements.iter().map(|element| element.timestamp).max().unwrap_or(NO_TIMESTAMP);
        let cutoff = latest.saturating_sub(self.size);
        elements.retain(|element| element.timestamp > cutoff);
    }
}

impl<T: 'static, W> Evictor<T, W> for TimeEvictor {
    evicts!();
}

/// Keeps the elements that differ from the last one by less than a threshold.
///
/// ```
/// use tidemill_datastream::windows::DeltaEvictor;
///
/// let near = DeltaEvictor::of(10.0, |old: &f64, last: &f64| last - old);
/// ```
#[derive(Clone)]
pub struct DeltaEvictor<T> {
    threshold: f64,
    delta: Arc<dyn Fn(&T, &T) -> f64 + Send + Sync>,
    after: bool,
}

impl<T> DeltaEvictor<T> {
    /// Keeps the elements for which `delta(element, last)` is less than `threshold`.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{CountTrigger, DeltaEvictor, GlobalWindows};
    ///
    /// /// With every temperature, how many have come since it was 10 degrees lower.
    /// fn counts(temperatures: &DataStream<i64>) -> DataStream<u64> {
    ///     temperatures
    ///         .window_all(GlobalWindows::create())
    ///         .trigger(CountTrigger::of(1))
    ///         .evictor(DeltaEvictor::of(10.0, |old: &i64, last: &i64| (last - old) as f64))
    ///         .apply(|_, _, elements, out| {
    ///             out.collect(elements.len() as u64);
    ///             Ok(())
    ///         })
    /// }
    /// ```
    pub fn of(threshold: f64, delta: impl Fn(&T, &T) -> f64 + Send + Sync + 'static) -> Self {
        Self { threshold, delta: Arc::new(delta), after: false }
    }

    /// Evicts after the function was called, not before.
    ///
    /// ```
    /// use tidemill_datastream::windows::DeltaEvictor;
    ///
    /// // The function sees all; what is near the last one stays for the next time.
    /// let keep_near = DeltaEvictor::of(10.0, |old: &f64, last: &f64| last - old).after();
    /// # let _ = keep_near;
    /// ```
    pub fn after(self) -> Self {
        Self { after: true, ..self }
    }

    fn evict(&self, elements: &mut Vec<TimestampedValue<T>>) {
        let Some(last) = elements.pop() else { return };
        let goes = |element: &T| (self.delta)(element, &last.value) >= self.threshold;
        elements.retain(|element| !goes(&element.value));
        if !goes(&last.value) {
            elements.push(last);
        }
    }
}

impl<T: 'static, W> Evictor<T, W> for DeltaEvictor<T> {
    evicts!();
}
