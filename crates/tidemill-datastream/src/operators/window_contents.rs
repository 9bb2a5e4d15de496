//! What a window operator keeps of the elements of a window, and what it makes of it when the window fires.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::batch::TypedBatch;
use tidemill_core::time::Timestamp;
use tidemill_runtime::OperatorError;
use tidemill_serialization::{Data, Key};
use tidemill_state::{
    AggregateFunction, KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, ReduceFunction,
    StateError, ValueState, ValueStateDescriptor,
};

use crate::functions::Collector;
use crate::windows::{Elements, ProcessWindowFunction, Window, WindowContext};

/// The name under which the contents of windows are stored.
pub(crate) const CONTENTS: &str = "window-contents";

/// The contents of the windows of one subtask, by key and window, together with the function that they are for.
///
/// What fails here is either the state, whose memory may be used up or whose store may fail, or the function.
///
/// ```
/// use tidemill_datastream::operators::window_contents::{Listed, WindowContents};
/// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow};
///
/// /// The contents for a function that sees all elements.
/// fn contents<F: ProcessWindowFunction<u64, String, u64, TimeWindow>>(
///     function: F,
/// ) -> impl WindowContents<u64, String, u64, TimeWindow> {
///     Listed::new(function)
/// }
/// ```
pub trait WindowContents<T: Data, U: Data, K: Key, W: Window>: Send {
    /// Declares the state.
    fn open(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError>;

    /// Whether `created` of [`add_batch`](Self::add_batch) has each new window once.
    const CREATED_ONCE: bool = false;

    /// Adds one element a record, and empties `elements`. `created` gets the records whose windows may not have been there
    /// before.
    fn add_batch(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, K, W>,
        elements: &mut TypedBatch<T>,
        created: &mut Vec<u32>,
    ) -> Result<(), OperatorError>;

    /// Adds one element for the current key.
    fn add(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        window: &W,
        element: T,
        timestamp: Timestamp,
    ) -> Result<(), OperatorError>;

    /// Moves what the current key has in `sources` to what it has in `target`.
    fn merge(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        target: &W,
        sources: &[W],
    ) -> Result<(), OperatorError>;

    /// Removes what the current key has in a window.
    fn clear(&mut self, backend: &mut KeyedStateBackend<K>, window: &W) -> Result<(), OperatorError>;

    /// Calls the function for the window of the context and the current key, whose contents are in `state_window`. Nothing
    /// when there are none.
    fn fire(
        &mut self,
        state_window: &W,
        context: &mut WindowContext<'_, K, W>,
        out: &mut Collector<U>,
    ) -> Result<(), OperatorError>;

    /// Whether [`fire_batch`](Self::fire_batch) and [`clear_batch`](Self::clear_batch) can be used: each window has one
    /// result, and no function has to be told that it goes.
    fn is_batchwise(&self) -> bool {
        false
    }

    /// Emits the result of each window; removes the contents too, when the windows `go`.
    fn fire_batch(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, K, W>,
        windows: &[W],
        go: bool,
        out: &mut Collector<U>,
    ) -> Result<(), OperatorError> {
        let _ = (backend, batch, windows, go, out);
        Ok(())
    }

    /// Removes the contents of each window.
    fn clear_batch(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, K, W>,
    ) -> Result<(), OperatorError> {
        let _ = (backend, batch);
        Ok(())
    }

    /// Tells the function that the window of the context goes.
    fn clear_window(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), OperatorError> {
        let _ = context;
        Ok(())
    }

    /// Lets go of what was taken.
    fn close(&mut self) {}
}

/// How elements become an accumulator, and an accumulator a result.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_contents::{Accumulate, Reduce};
///
/// let sum = Reduce(Arc::new(|sum: &mut u64, more: u64| *sum += more));
/// let mut accumulator = sum.create(&1);
/// sum.add(&mut accumulator, 2);
/// assert_eq!(sum.result(&accumulator), 3);
/// ```
pub trait Accumulate<T>: Send + Sync + 'static {
    /// What is kept in state.
    type Acc: Data;
    /// What comes out.
    type Out: Send + 'static;
    /// Whether the accumulator that [`create`](Self::create) makes of an element includes it already.
    const INCLUDES_FIRST: bool;

    /// The accumulator for a first element.
    fn create(&self, first: &T) -> Self::Acc;

    /// Adds an element.
    fn add(&self, accumulator: &mut Self::Acc, element: T);

    /// Adds all that was added to `other`.
    fn merge(&self, accumulator: &mut Self::Acc, other: Self::Acc);

    /// The result so far.
    fn result(&self, accumulator: &Self::Acc) -> Self::Out;
}

/// Accumulates by an [`AggregateFunction`].
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_contents::{Accumulate, Aggregate};
/// # use tidemill_state::AggregateFunction;
/// # struct Count;
/// # impl AggregateFunction for Count {
/// #     type In = String;
/// #     type Acc = u64;
/// #     type Out = u64;
/// #     fn create_accumulator(&self) -> u64 { 0 }
/// #     fn add(&self, count: &mut u64, _: String) { *count += 1 }
/// #     fn get_result(&self, count: &u64) -> u64 { *count }
/// #     fn merge(&self, count: &mut u64, other: u64) { *count += other }
/// # }
///
/// let count = Aggregate(Arc::new(Count));
/// let mut accumulator = count.create(&"first".to_owned());
/// count.add(&mut accumulator, "first".to_owned());
/// assert_eq!(count.result(&accumulator), 1);
/// ```
pub struct Aggregate<A>(pub Arc<A>);

impl<A: AggregateFunction> Accumulate<A::In> for Aggregate<A>
where
    A::Out: Send + 'static,
{
    type Acc = A::Acc;
    type Out = A::Out;
    const INCLUDES_FIRST: bool = false;

    #[inline]
    fn create(&self, _first: &A::In) -> A::Acc {
        self.0.create_accumulator()
    }

    #[inline]
    fn add(&self, accumulator: &mut A::Acc, element: A::In) {
        self.0.add(accumulator, element);
    }

    fn merge(&self, accumulator: &mut A::Acc, other: A::Acc) {
        self.0.merge(accumulator, other);
    }

    #[inline]
    fn result(&self, accumulator: &A::Acc) -> A::Out {
        self.0.get_result(accumulator)
    }
}

/// Accumulates by a [`ReduceFunction`].
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_contents::{Accumulate, Reduce};
///
/// let largest = Reduce(Arc::new(|largest: &mut u64, next: u64| *largest = next.max(*largest)));
/// let mut accumulator = largest.create(&7);
/// largest.merge(&mut accumulator, 9);
/// assert_eq!(accumulator, 9);
/// ```
pub struct Reduce<F>(pub Arc<F>);

impl<T: Data, F: ReduceFunction<T>> Accumulate<T> for Reduce<F> {
    type Acc = T;
    type Out = T;
    const INCLUDES_FIRST: bool = true;

    #[inline]
    fn create(&self, first: &T) -> T {
        first.clone()
    }

    #[inline]
    fn add(&self, accumulator: &mut T, element: T) {
        self.0.reduce(accumulator, element);
    }

    fn merge(&self, accumulator: &mut T, other: T) {
        self.0.reduce(accumulator, other);
    }

    #[inline]
    fn result(&self, accumulator: &T) -> T {
        accumulator.clone()
    }
}

/// What becomes of the result of an accumulator.
///
/// ```
/// use tidemill_datastream::operators::window_contents::{Direct, ResultFunction};
/// use tidemill_datastream::windows::TimeWindow;
///
/// assert!(<Direct as ResultFunction<u64, u64, String, TimeWindow>>::DIRECT);
/// ```
pub trait ResultFunction<R, U, K, W>: Send {
    /// Whether each result is emitted as it is.
    const DIRECT: bool;

    /// Declares states.
    fn open(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError>;

    /// Emits what becomes of a result.
    fn call(
        &mut self,
        result: R,
        context: &mut WindowContext<'_, K, W>,
        out: &mut Collector<U>,
    ) -> Result<(), OperatorError>;

    /// Emits a result as it is; called only when [`DIRECT`](Self::DIRECT).
    fn emit(result: R, timestamp: Timestamp, out: &mut Collector<U>);

    /// The window goes.
    fn clear(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), OperatorError>;

    /// Lets go of what was taken.
    fn close(&mut self);
}

/// Results are emitted as they are.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_contents::{Accumulated, Direct, Reduce, WindowContents};
/// use tidemill_datastream::windows::TimeWindow;
///
/// fn sums() -> impl WindowContents<u64, u64, String, TimeWindow> {
///     Accumulated::new(Reduce(Arc::new(|sum: &mut u64, more: u64| *sum += more)), Direct)
/// }
/// assert!(sums().is_batchwise());
/// ```
pub struct Direct;

impl<R: Data, K: Key, W: Window> ResultFunction<R, R, K, W> for Direct {
    const DIRECT: bool = true;

    fn open(&mut self, _backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError> {
        Ok(())
    }

    fn call(
        &mut self,
        result: R,
        context: &mut WindowContext<'_, K, W>,
        out: &mut Collector<R>,
    ) -> Result<(), OperatorError> {
        out.collect_with_timestamp(result, context.window.max_timestamp());
        Ok(())
    }

    #[inline]
    fn emit(result: R, timestamp: Timestamp, out: &mut Collector<R>) {
        out.collect_with_timestamp(result, timestamp);
    }

    fn clear(&mut self, _context: &mut WindowContext<'_, K, W>) -> Result<(), OperatorError> {
        Ok(())
    }

    fn close(&mut self) {}
}

/// Results go through a [`ProcessWindowFunction`].
///
/// ```
/// use tidemill_datastream::operators::window_contents::{ResultFunction, Through};
/// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow};
///
/// fn through<F>(function: F) -> impl ResultFunction<u64, String, u64, TimeWindow>
/// where
///     F: ProcessWindowFunction<u64, String, u64, TimeWindow>,
/// {
///     Through(function)
/// }
/// ```
pub struct Through<F>(pub F);

impl<R, U, K, W, F> ResultFunction<R, U, K, W> for Through<F>
where
    U: Data,
    K: Key,
    W: Window,
    F: ProcessWindowFunction<R, U, K, W>,
{
    const DIRECT: bool = false;

    fn open(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError> {
        self.0.open(backend).map_err(OperatorError::user)
    }

    fn call(
        &mut self,
        result: R,
        context: &mut WindowContext<'_, K, W>,
        out: &mut Collector<U>,
    ) -> Result<(), OperatorError> {
        call_function(&mut self.0, Elements::one(result), context, out)
    }

    fn emit(_result: R, _timestamp: Timestamp, _out: &mut Collector<U>) {}

    fn clear(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), OperatorError> {
        self.0.clear(context).map_err(OperatorError::user)
    }

    fn close(&mut self) {
        self.0.close();
    }
}

/// Calls a function for the current key; results have the timestamp of the window.
pub(crate) fn call_function<T, U: Data, K: Key, W: Window>(
    function: &mut impl ProcessWindowFunction<T, U, K, W>,
    elements: Elements<T>,
    context: &mut WindowContext<'_, K, W>,
    out: &mut Collector<U>,
) -> Result<(), OperatorError> {
    let (key, _) = context.backend.current_key().ok_or(StateError::NoCurrentKey)?;
    let key = key.clone();
    out.timestamp = context.window.max_timestamp();
    function.process(&key, context, elements, out).map_err(OperatorError::user)
}

/// One accumulator a window.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_contents::{Accumulated, Direct, Reduce, WindowContents};
/// use tidemill_datastream::windows::GlobalWindow;
///
/// fn largest() -> impl WindowContents<u64, u64, String, GlobalWindow> {
///     let larger = |largest: &mut u64, next: u64| *largest = next.max(*largest);
///     Accumulated::new(Reduce(Arc::new(larger)), Direct)
/// }
/// assert!(largest().is_batchwise(), "each window has one result");
/// ```
pub struct Accumulated<T, A: Accumulate<T>, F, W> {
    accumulate: A,
    function: F,
    state: Option<ValueState<A::Acc, W>>,
    elements: PhantomData<fn(T)>,
}

impl<T, A: Accumulate<T>, F, W> Accumulated<T, A, F, W> {
    /// Accumulates by `accumulate` and hands the result to `function`.
    pub fn new(accumulate: A, function: F) -> Self {
        Self { accumulate, function, state: None, elements: PhantomData }
    }

    fn state(&self) -> Result<ValueState<A::Acc, W>, StateError> {
        self.state.ok_or(StateError::WrongHandle { wanted: CONTENTS })
    }
}

impl<T, U, K, W, A, F> WindowContents<T, U, K, W> for Accumulated<T, A, F, W>
where
    T: Data,
    U: Data,
    K: Key,
    W: Window,
    A: Accumulate<T>,
    F: ResultFunction<A::Out, U, K, W>,
{
    const CREATED_ONCE: bool = true;

    fn open(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError> {
        self.state = Some(backend.register_value(ValueStateDescriptor::new(CONTENTS))?);
        self.function.open(backend)
    }

    fn add_batch(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, K, W>,
        elements: &mut TypedBatch<T>,
        created: &mut Vec<u32>,
    ) -> Result<(), OperatorError> {
        let state = self.state()?;
        let accumulate = &self.accumulate;
        // The elements are looked at when accumulators are made, and moved afterwards.
        let elements = std::cell::RefCell::new(&mut elements.values);
        state.update_batch(
            backend,
            batch,
            |i| accumulate.create(&elements.borrow()[i]),
            |slots, accumulators| {
                created.extend_from_slice(slots.created);
                let mut elements = elements.borrow_mut();
                if A::INCLUDES_FIRST {
                    let mut first = slots.created.iter().copied().peekable();
                    for (i, (element, &slot)) in elements.drain(..).zip(slots.slots).enumerate() {
                        if first.next_if_eq(&(i as u32)).is_none() {
                            accumulate.add(&mut accumulators[slot as usize], element);
                        }
                    }
                } else {
                    for (element, &slot) in elements.drain(..).zip(slots.slots) {
                        accumulate.add(&mut accumulators[slot as usize], element);
                    }
                }
            },
        )?;
        Ok(())
    }

    fn add(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        window: &W,
        element: T,
        _timestamp: Timestamp,
    ) -> Result<(), OperatorError> {
        let state = self.state()?;
        let accumulate = &self.accumulate;
        let element = std::cell::Cell::new(Some(element));
        let made = |element: T| {
            let mut accumulator = accumulate.create(&element);
            if !A::INCLUDES_FIRST {
                accumulate.add(&mut accumulator, element);
            }
            accumulator
        };
        state.fold_in(backend, window, |existing| match (existing, element.take()) {
            (Some(accumulator), Some(element)) => {
                accumulate.add(accumulator, element);
                None
            }
            (None, element) => element.map(made),
            _ => None,
        })?;
        Ok(())
    }

    fn merge(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        target: &W,
        sources: &[W],
    ) -> Result<(), OperatorError> {
        let accumulate = &self.accumulate;
        self.state()?.merge_namespaces(backend, target, sources, |so_far, other| {
            accumulate.merge(so_far, other);
        })?;
        Ok(())
    }

    fn clear(&mut self, backend: &mut KeyedStateBackend<K>, window: &W) -> Result<(), OperatorError> {
        Ok(self.state()?.clear_in(backend, window)?)
    }

    fn fire(
        &mut self,
        state_window: &W,
        context: &mut WindowContext<'_, K, W>,
        out: &mut Collector<U>,
    ) -> Result<(), OperatorError> {
        let accumulate = &self.accumulate;
        let result = self.state()?.read_in(context.backend, state_window, |accumulator| {
            accumulator.map(|accumulator| accumulate.result(accumulator))
        })?;
        match result {
            Some(result) => self.function.call(result, context, out),
            None => Ok(()),
        }
    }

    fn is_batchwise(&self) -> bool {
        F::DIRECT
    }

    fn fire_batch(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, K, W>,
        windows: &[W],
        go: bool,
        out: &mut Collector<U>,
    ) -> Result<(), OperatorError> {
        let accumulate = &self.accumulate;
        let emit = |slots: &[u32], accumulators: &[A::Acc]| {
            for (slot, window) in slots.iter().zip(windows) {
                if let Some(accumulator) = accumulators.get(*slot as usize) {
                    F::emit(accumulate.result(accumulator), window.max_timestamp(), out);
                }
            }
        };
        if go {
            self.state()?.take_batch(backend, batch, emit)?;
        } else {
            self.state()?.read_batch(backend, batch, emit)?;
        }
        Ok(())
    }

    fn clear_batch(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, K, W>,
    ) -> Result<(), OperatorError> {
        Ok(self.state()?.clear_batch(backend, batch)?)
    }

    fn clear_window(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), OperatorError> {
        self.function.clear(context)
    }

    fn close(&mut self) {
        self.function.close();
    }
}

/// All elements of a window.
///
/// ```
/// use tidemill_datastream::operators::window_contents::{Listed, WindowContents};
/// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow};
///
/// fn all<F: ProcessWindowFunction<u64, u64, u64, TimeWindow>>(
///     function: F,
/// ) -> impl WindowContents<u64, u64, u64, TimeWindow> {
///     Listed::new(function)
/// }
/// ```
pub struct Listed<T, F, W> {
    function: F,
    state: Option<ListState<T, W>>,
}

impl<T, F, W> Listed<T, F, W> {
    /// Hands the elements to `function`.
    pub fn new(function: F) -> Self {
        Self { function, state: None }
    }

    fn state(&self) -> Result<ListState<T, W>, StateError> {
        self.state.ok_or(StateError::WrongHandle { wanted: CONTENTS })
    }
}

impl<T, U, K, W, F> WindowContents<T, U, K, W> for Listed<T, F, W>
where
    T: Data,
    U: Data,
    K: Key,
    W: Window,
    F: ProcessWindowFunction<T, U, K, W>,
{
    fn open(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError> {
        self.state = Some(backend.register_list(ListStateDescriptor::new(CONTENTS))?);
        self.function.open(backend).map_err(OperatorError::user)
    }

    fn add_batch(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        batch: &KeyBatch<'_, K, W>,
        elements: &mut TypedBatch<T>,
        created: &mut Vec<u32>,
    ) -> Result<(), OperatorError> {
        // Lists are appended to without being read, so any may be new.
        created.extend(0..elements.len() as u32);
        Ok(self.state()?.append_batch(backend, batch, &mut elements.values)?)
    }

    fn add(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        window: &W,
        element: T,
        _timestamp: Timestamp,
    ) -> Result<(), OperatorError> {
        Ok(self.state()?.add_in(backend, window, [element])?)
    }

    fn merge(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        target: &W,
        sources: &[W],
    ) -> Result<(), OperatorError> {
        Ok(self.state()?.merge_namespaces(backend, target, sources)?)
    }

    fn clear(&mut self, backend: &mut KeyedStateBackend<K>, window: &W) -> Result<(), OperatorError> {
        Ok(self.state()?.clear_in(backend, window)?)
    }

    fn fire(
        &mut self,
        state_window: &W,
        context: &mut WindowContext<'_, K, W>,
        out: &mut Collector<U>,
    ) -> Result<(), OperatorError> {
        let elements = self.state()?.get_in(context.backend, state_window)?;
        if elements.is_empty() {
            return Ok(());
        }
        call_function(&mut self.function, Elements::many(elements), context, out)
    }

    fn clear_window(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), OperatorError> {
        self.function.clear(context).map_err(OperatorError::user)
    }

    fn close(&mut self) {
        self.function.close();
    }
}
