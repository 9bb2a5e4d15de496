//! The functions that are called with the elements of a window.

use std::marker::PhantomData;

use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::BoxError;
use tidemill_serialization::{Data, Key};
use tidemill_state::{Clock, KeyedStateBackend};

use crate::functions::{Collector, Sides};
use crate::output_tag::OutputTag;
use crate::windows::window::Window;

/// The elements of a window, in the order in which they came; or the one result of an incremental aggregation.
///
/// ```
/// use tidemill_datastream::windows::Elements;
///
/// fn mean(elements: Elements<f64>) -> f64 {
///     let count = elements.len();
///     elements.sum::<f64>() / count as f64
/// }
/// ```
#[derive(Debug)]
pub struct Elements<T>(Inner<T>);

#[derive(Debug)]
enum Inner<T> {
    One(Option<T>),
    Many(std::vec::IntoIter<T>),
}

impl<T> Elements<T> {
    pub(crate) fn one(element: T) -> Self {
        Self(Inner::One(Some(element)))
    }

    pub(crate) fn many(elements: Vec<T>) -> Self {
        Self(Inner::Many(elements.into_iter()))
    }
}

impl<T> Iterator for Elements<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Inner::One(element) => element.take(),
            Inner::Many(elements) => elements.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Inner::One(element) => usize::from(element.is_some()),
            Inner::Many(elements) => elements.len(),
        };
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Elements<T> {}

/// What a [`ProcessWindowFunction`] may know and do besides emitting.
///
/// ```
/// use tidemill_datastream::OutputTag;
/// use tidemill_datastream::windows::{TimeWindow, WindowContext};
/// use tidemill_runtime::BoxError;
///
/// /// Tells how far event time was behind the end of a window when it fired.
/// fn tell_lag(
///     context: &mut WindowContext<'_, String, TimeWindow>,
///     lags: &OutputTag<i64>,
/// ) -> Result<(), BoxError> {
///     let lag = context.current_watermark().0 - context.window().end;
///     context.output(lags, lag)
/// }
/// ```
pub struct WindowContext<'a, K, W> {
    pub(crate) backend: &'a mut KeyedStateBackend<K>,
    pub(crate) window: &'a W,
    pub(crate) watermark: Watermark,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) sides: &'a mut Sides,
}

impl<K: Key, W: Window> WindowContext<'_, K, W> {
    /// The window that the function is called for.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, WindowContext};
    ///
    /// /// How long the window is, in milliseconds.
    /// fn length(context: &WindowContext<'_, String, TimeWindow>) -> i64 {
    ///     context.window().end - context.window().start
    /// }
    /// ```
    pub fn window(&self) -> &W {
        self.window
    }

    /// How far event time has got.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, Window, WindowContext};
    ///
    /// /// Whether the window fires before event time has passed it.
    /// fn is_early(context: &WindowContext<'_, String, TimeWindow>) -> bool {
    ///     context.current_watermark().0 < context.window().max_timestamp()
    /// }
    /// ```
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of the machine, in milliseconds since the epoch.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, WindowContext};
    ///
    /// /// How long after its end the window fires, in milliseconds.
    /// fn lag(context: &WindowContext<'_, String, TimeWindow>) -> i64 {
    ///     context.current_processing_time() - context.window().end
    /// }
    /// ```
    pub fn current_processing_time(&self) -> Timestamp {
        self.clock.now()
    }

    /// The keyed state, to use the handles on that the function got when it was opened.
    ///
    /// State without a namespace is the key's in all windows; state whose namespace is the window is the window's own
    /// and must be removed in [`ProcessWindowFunction::clear`]. Windows that merge should have none of their own, for
    /// it is not merged.
    ///
    /// ```
    /// use tidemill_datastream::windows::{TimeWindow, WindowContext};
    /// use tidemill_state::{StateError, ValueState};
    ///
    /// /// The number of the window among those of its key.
    /// fn number(
    ///     windows: ValueState<u64>,
    ///     context: &mut WindowContext<'_, String, TimeWindow>,
    /// ) -> Result<u64, StateError> {
    ///     windows.modify(context.state(), || 0, |number| {
    ///         *number += 1;
    ///         *number
    ///     })
    /// }
    /// ```
    pub fn state(&mut self) -> &mut KeyedStateBackend<K> {
        self.backend
    }

    /// Emits a record to a side output; it gets the timestamp of the results of the window.
    ///
    /// ```
    /// use tidemill_datastream::OutputTag;
    /// use tidemill_datastream::windows::{Elements, TimeWindow, WindowContext};
    /// use tidemill_runtime::BoxError;
    ///
    /// /// Tells of windows that have only one element.
    /// fn tell_lonely(
    ///     elements: &Elements<u64>,
    ///     context: &mut WindowContext<'_, String, TimeWindow>,
    ///     lonely: &OutputTag<TimeWindow>,
    /// ) -> Result<(), BoxError> {
    ///     let window = *context.window();
    ///     if elements.len() == 1 { context.output(lonely, window) } else { Ok(()) }
    /// }
    /// ```
    ///
    /// # Errors
    /// When another tag of this name has another type.
    pub fn output<S: Data>(&mut self, tag: &OutputTag<S>, record: S) -> Result<(), BoxError> {
        self.sides.push(tag, record, self.window.max_timestamp())
    }
}

/// Any number of records from the elements of a window.
///
/// ```
/// use tidemill_datastream::Collector;
/// use tidemill_datastream::windows::{Elements, ProcessWindowFunction, TimeWindow, WindowContext};
/// use tidemill_runtime::BoxError;
///
/// /// (key, start of the window, number of elements)
/// #[derive(Clone)]
/// struct Counts;
///
/// impl ProcessWindowFunction<u64, (String, i64, u64), String, TimeWindow> for Counts {
///     fn process(
///         &mut self,
///         key: &String,
///         context: &mut WindowContext<'_, String, TimeWindow>,
///         elements: Elements<u64>,
///         out: &mut Collector<(String, i64, u64)>,
///     ) -> Result<(), BoxError> {
///         out.collect((key.clone(), context.window().start, elements.len() as u64));
///         Ok(())
///     }
/// }
/// ```
pub trait ProcessWindowFunction<In, Out, K, W>: Clone + Send + Sync + 'static {
    /// Declares the states of the function and keeps their handles.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        let _ = states;
        Ok(())
    }

    /// The window fires.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process(
        &mut self,
        key: &K,
        context: &mut WindowContext<'_, K, W>,
        elements: Elements<In>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// The window goes: removes what the function has kept for it.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn clear(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}

/// A [`ProcessWindowFunction`] of a closure that takes key, window, elements and collector.
///
/// ```
/// use tidemill_datastream::Collector;
/// use tidemill_datastream::windows::{ApplyFunction, Elements, ProcessWindowFunction, TimeWindow};
///
/// fn counts() -> impl ProcessWindowFunction<u64, u64, String, TimeWindow> {
///     ApplyFunction::new(|_: &String, _: &TimeWindow, elements: Elements<u64>, out: &mut Collector<u64>| {
///         out.collect(elements.len() as u64);
///         Ok(())
///     })
/// }
/// ```
pub struct ApplyFunction<F, In> {
    function: F,
    elements: PhantomData<fn(In)>,
}

impl<F, In> ApplyFunction<F, In> {
    /// Calls `function`.
    ///
    /// ```
    /// use tidemill_datastream::Collector;
    /// use tidemill_datastream::windows::{ApplyFunction, Elements, ProcessWindowFunction, TimeWindow};
    ///
    /// fn sums() -> impl ProcessWindowFunction<u64, u64, String, TimeWindow> {
    ///     ApplyFunction::new(|_: &String, _: &TimeWindow, elements: Elements<u64>, out: &mut Collector<u64>| {
    ///         out.collect(elements.sum());
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn new(function: F) -> Self {
        Self { function, elements: PhantomData }
    }
}

impl<F: Clone, In> Clone for ApplyFunction<F, In> {
    fn clone(&self) -> Self {
        Self::new(self.function.clone())
    }
}

impl<F, In, Out, K, W> ProcessWindowFunction<In, Out, K, W> for ApplyFunction<F, In>
where
    In: 'static,
    F: FnMut(&K, &W, Elements<In>, &mut Collector<Out>) -> Result<(), BoxError>,
    F: Clone + Send + Sync + 'static,
{
    fn process(
        &mut self,
        key: &K,
        context: &mut WindowContext<'_, K, W>,
        elements: Elements<In>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError> {
        (self.function)(key, context.window, elements, out)
    }
}
