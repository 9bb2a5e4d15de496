//! The contents of windows that have an evictor.

use std::sync::Arc;

use tidemill_core::batch::TypedBatch;
use tidemill_core::time::{NO_TIMESTAMP, Timestamp};
use tidemill_runtime::{BoxError, OperatorError};
use tidemill_serialization::{Data, Key};
use tidemill_state::{
    AggregateFunction, KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, ReduceFunction,
    StateError,
};

use crate::functions::Collector;
use crate::operators::window_contents::{CONTENTS, WindowContents, call_function};
use crate::windows::{
    Elements, Evictor, EvictorContext, ProcessWindowFunction, TimestampedValue, Window, WindowContext,
};

/// All elements of a window with their timestamps; an evictor chooses those that the function sees.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_contents::WindowContents;
/// use tidemill_datastream::operators::window_evicting::{Evicted, PassOn};
/// use tidemill_datastream::windows::{CountEvictor, TimeWindow};
///
/// fn last_ten() -> impl WindowContents<u64, u64, String, TimeWindow> {
///     Evicted::new(PassOn, Arc::new(CountEvictor::of(10)))
/// }
/// assert!(!last_ten().is_batchwise());
/// ```
pub struct Evicted<T, F, W> {
    function: F,
    evictor: Arc<dyn Evictor<T, W>>,
    state: Option<ListState<(T, Timestamp), W>>,
}

impl<T, F, W> Evicted<T, F, W> {
    /// Hands the elements that `evictor` leaves to `function`.
    pub fn new(function: F, evictor: Arc<dyn Evictor<T, W>>) -> Self {
        Self { function, evictor, state: None }
    }

    fn state(&self) -> Result<ListState<(T, Timestamp), W>, StateError> {
        self.state.ok_or(StateError::WrongHandle { wanted: CONTENTS })
    }
}

impl<T, U, K, W, F> WindowContents<T, U, K, W> for Evicted<T, F, W>
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
        created.extend(0..elements.len() as u32);
        let TypedBatch { values, timestamps, .. } = elements;
        timestamps.resize(values.len(), NO_TIMESTAMP);
        let mut pairs = values.drain(..).zip(timestamps.iter().copied()).collect();
        Ok(self.state()?.append_batch(backend, batch, &mut pairs)?)
    }

    fn add(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
        window: &W,
        element: T,
        timestamp: Timestamp,
    ) -> Result<(), OperatorError> {
        Ok(self.state()?.add_in(backend, window, [(element, timestamp)])?)
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
        let state = self.state()?;
        let mut elements: Vec<TimestampedValue<T>> =
            state.read_in(context.backend, state_window, |pairs| {
                let pairs = pairs.iter().cloned();
                pairs.map(|(value, timestamp)| TimestampedValue { value, timestamp }).collect()
            })?;
        if elements.is_empty() {
            return Ok(());
        }
        let stored = elements.len();
        let evictor_context =
            EvictorContext { watermark: context.watermark, processing_time: context.clock.now() };
        let evictor = &self.evictor;
        evictor.evict_before(&mut elements, context.window, &evictor_context).map_err(OperatorError::user)?;
        let seen = elements.iter().map(|element| element.value.clone()).collect();
        call_function(&mut self.function, Elements::many(seen), context, out)?;
        evictor.evict_after(&mut elements, context.window, &evictor_context).map_err(OperatorError::user)?;
        if elements.len() < stored {
            let left = elements.into_iter().map(|element| (element.value, element.timestamp)).collect();
            state.update_in(context.backend, state_window, left)?;
        }
        Ok(())
    }

    fn clear_window(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), OperatorError> {
        self.function.clear(context).map_err(OperatorError::user)
    }

    fn close(&mut self) {
        self.function.close();
    }
}

/// Emits the one element that it is called with.
///
/// ```
/// use tidemill_datastream::operators::window_evicting::PassOn;
/// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow};
///
/// fn pass_on() -> impl ProcessWindowFunction<u64, u64, String, TimeWindow> {
///     PassOn
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PassOn;

impl<R: Data, K: Key, W: Window> ProcessWindowFunction<R, R, K, W> for PassOn {
    fn process(
        &mut self,
        _key: &K,
        _context: &mut WindowContext<'_, K, W>,
        elements: Elements<R>,
        out: &mut Collector<R>,
    ) -> Result<(), BoxError> {
        elements.for_each(|element| out.collect(element));
        Ok(())
    }
}

/// Reduces the elements that are left when a window fires, and hands the result to another function.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_evicting::{PassOn, ReduceLeft};
/// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow};
///
/// fn sum_left() -> impl ProcessWindowFunction<u64, u64, String, TimeWindow> {
///     ReduceLeft::new(Arc::new(|sum: &mut u64, more: u64| *sum += more), PassOn)
/// }
/// ```
pub struct ReduceLeft<F, P> {
    function: Arc<F>,
    process: P,
}

impl<F, P> ReduceLeft<F, P> {
    /// Reduces by `function`.
    pub fn new(function: Arc<F>, process: P) -> Self {
        Self { function, process }
    }
}

impl<F, P: Clone> Clone for ReduceLeft<F, P> {
    fn clone(&self) -> Self {
        Self { function: Arc::clone(&self.function), process: self.process.clone() }
    }
}

impl<T, U, K, W, F, P> ProcessWindowFunction<T, U, K, W> for ReduceLeft<F, P>
where
    T: Data,
    F: ReduceFunction<T>,
    P: ProcessWindowFunction<T, U, K, W>,
{
    fn open(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        self.process.open(states)
    }

    fn process(
        &mut self,
        key: &K,
        context: &mut WindowContext<'_, K, W>,
        elements: Elements<T>,
        out: &mut Collector<U>,
    ) -> Result<(), BoxError> {
        let reduced = elements.reduce(|mut so_far, element| {
            self.function.reduce(&mut so_far, element);
            so_far
        });
        match reduced {
            Some(reduced) => self.process.process(key, context, Elements::one(reduced), out),
            None => Ok(()),
        }
    }

    fn clear(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), BoxError> {
        self.process.clear(context)
    }

    fn close(&mut self) {
        self.process.close();
    }
}

/// Aggregates the elements that are left when a window fires, and hands the result to another function.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_datastream::operators::window_evicting::{AggregateLeft, PassOn};
/// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow};
/// use tidemill_serialization::Data;
/// use tidemill_state::AggregateFunction;
///
/// fn left<F>(function: F) -> impl ProcessWindowFunction<F::In, F::Out, String, TimeWindow>
/// where
///     F: AggregateFunction,
///     F::Out: Data,
/// {
///     AggregateLeft::new(Arc::new(function), PassOn)
/// }
/// ```
pub struct AggregateLeft<F, P> {
    function: Arc<F>,
    process: P,
}

impl<F, P> AggregateLeft<F, P> {
    /// Aggregates by `function`.
    pub fn new(function: Arc<F>, process: P) -> Self {
        Self { function, process }
    }
}

impl<F, P: Clone> Clone for AggregateLeft<F, P> {
    fn clone(&self) -> Self {
        Self { function: Arc::clone(&self.function), process: self.process.clone() }
    }
}

impl<U, K, W, F, P> ProcessWindowFunction<F::In, U, K, W> for AggregateLeft<F, P>
where
    F: AggregateFunction,
    P: ProcessWindowFunction<F::Out, U, K, W>,
{
    fn open(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        self.process.open(states)
    }

    fn process(
        &mut self,
        key: &K,
        context: &mut WindowContext<'_, K, W>,
        elements: Elements<F::In>,
        out: &mut Collector<U>,
    ) -> Result<(), BoxError> {
        let mut accumulator = self.function.create_accumulator();
        elements.for_each(|element| self.function.add(&mut accumulator, element));
        let result = self.function.get_result(&accumulator);
        self.process.process(key, context, Elements::one(result), out)
    }

    fn clear(&mut self, context: &mut WindowContext<'_, K, W>) -> Result<(), BoxError> {
        self.process.clear(context)
    }

    fn close(&mut self) {
        self.process.close();
    }
}
