//! A stream whose records are grouped into windows.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::{Classified, Fault};
use tidemill_runtime::{BoxError, Operator, OperatorError, OperatorFactory};
use tidemill_serialization::Data;
use tidemill_state::{AggregateFunction, ReduceFunction};

use crate::functions::Collector;
use crate::key::KeySelector;
use crate::keyed_stream::KeyedStream;
use crate::operators::window_contents::{
    Accumulated, Aggregate, Direct, Listed, Reduce, Through, WindowContents,
};
use crate::operators::{Lateness, WindowOperator};
use crate::output_tag::OutputTag;
use crate::stream::DataStream;
use crate::windows::{ApplyFunction, Elements, ProcessWindowFunction, Trigger, WindowAssigner};

/// A stream whose records are grouped into windows by key. The methods that take a function end the grouping: they make
/// a stream of the results, each with the last timestamp of its window.
///
/// A function that combines elements as they come (`reduce`, `aggregate`) keeps one value a window; one that sees the
/// elements (`process`, `apply`) keeps them all until the window is removed.
pub struct WindowedStream<T, S, A, R> {
    stream: KeyedStream<T, S>,
    assigner: A,
    trigger: R,
    lateness: Lateness<T>,
    /// Whether there is one key only.
    all: bool,
}

/// A trigger that cannot be used with windows that merge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{assigner} merges windows, and the trigger cannot merge; use another trigger, or implement Trigger::can_merge"
)]
struct TriggerCannotMerge {
    assigner: &'static str,
}

impl Classified for TriggerCannotMerge {
    fn code(&self) -> &'static str {
        "TM-WINDOW-TRIGGER-CANNOT-MERGE"
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}

impl<T, S, A> WindowedStream<T, S, A, A::DefaultTrigger>
where
    T: Data,
    S: KeySelector<T>,
    A: WindowAssigner<T>,
{
    pub(crate) fn new(stream: KeyedStream<T, S>, assigner: A) -> Self {
        let trigger = assigner.default_trigger();
        Self { stream, assigner, trigger, lateness: Lateness::default(), all: false }
    }
}

impl<T, S, A, R> WindowedStream<T, S, A, R>
where
    T: Data,
    S: KeySelector<T>,
    A: WindowAssigner<T>,
    R: Trigger<T, A::Window>,
{
    /// Fires windows by another trigger than the assigner's.
    pub fn trigger<Q: Trigger<T, A::Window>>(self, trigger: Q) -> WindowedStream<T, S, A, Q> {
        let Self { stream, assigner, lateness, all, .. } = self;
        WindowedStream { stream, assigner, trigger, lateness, all }
    }

    /// Keeps windows for `lateness` after event time has passed their end; elements that come until then still count, and
    /// fire the window again. Has no effect on windows by the time of the machine.
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness: self.lateness.allow(lateness), ..self }
    }

    /// Sends elements that come too late to a side output of the result, instead of dropping them.
    pub fn side_output_late_data(self, tag: &OutputTag<T>) -> Self {
        Self { lateness: self.lateness.side_output(tag.clone()), ..self }
    }

    fn add<U: Data, C>(
        self,
        contents: impl Fn() -> C + Send + Sync + 'static,
        location: &'static Location<'static>,
    ) -> DataStream<U>
    where
        C: WindowContents<T, U, S::Key, A::Window> + 'static,
    {
        let Self { stream: KeyedStream { stream, selector }, assigner, trigger, lateness, all } = self;
        let name = assigner.name();
        let result = stream.add_operator(
            name,
            Windows(move |_: u32| -> Result<Box<dyn Operator>, OperatorError> {
                assigner.validate()?;
                if A::MERGING && !trigger.can_merge() {
                    return Err(TriggerCannotMerge { assigner: assigner.name() }.into());
                }
                let (selector, assigner) = (selector.clone(), assigner.clone());
                let operator =
                    WindowOperator::new(selector, assigner, trigger.clone(), contents(), lateness.clone());
                Ok(Box::new(operator))
            }),
            location,
        );
        if all { result.set_parallelism(1).set_max_parallelism(1) } else { result }
    }

    /// Combines the elements of each window into one.
    #[track_caller]
    pub fn reduce<F: ReduceFunction<T>>(self, function: F) -> DataStream<T> {
        let location = Location::caller();
        let function = Arc::new(function);
        self.add(move || Accumulated::new(Reduce(Arc::clone(&function)), Direct), location)
    }

    /// Combines the elements of each window into one and hands that to a function that knows the key and the window.
    #[track_caller]
    pub fn reduce_with<U: Data, F, P>(self, function: F, process: P) -> DataStream<U>
    where
        F: ReduceFunction<T>,
        P: ProcessWindowFunction<T, U, S::Key, A::Window>,
    {
        let location = Location::caller();
        let function = Arc::new(function);
        self.add(move || Accumulated::new(Reduce(Arc::clone(&function)), Through(process.clone())), location)
    }

    /// Aggregates the elements of each window into one accumulator, whose result is emitted.
    #[track_caller]
    pub fn aggregate<F>(self, function: F) -> DataStream<F::Out>
    where
        F: AggregateFunction<In = T>,
        F::Out: Data,
    {
        let location = Location::caller();
        let function = Arc::new(function);
        self.add(move || Accumulated::new(Aggregate(Arc::clone(&function)), Direct), location)
    }

    /// Aggregates the elements of each window into one accumulator, and hands the result to a function that knows the key
    /// and the window.
    #[track_caller]
    pub fn aggregate_with<U: Data, F, P>(self, function: F, process: P) -> DataStream<U>
    where
        F: AggregateFunction<In = T>,
        F::Out: Data,
        P: ProcessWindowFunction<F::Out, U, S::Key, A::Window>,
    {
        let location = Location::caller();
        let function = Arc::new(function);
        self.add(
            move || Accumulated::new(Aggregate(Arc::clone(&function)), Through(process.clone())),
            location,
        )
    }

    /// Hands all elements of each window to a function.
    #[track_caller]
    pub fn process<U: Data, P>(self, function: P) -> DataStream<U>
    where
        P: ProcessWindowFunction<T, U, S::Key, A::Window>,
    {
        self.add(move || Listed::new(function.clone()), Location::caller())
    }

    /// Hands all elements of each window to a closure, with the key and the window.
    #[track_caller]
    pub fn apply<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: FnMut(&S::Key, &A::Window, Elements<T>, &mut Collector<U>) -> Result<(), BoxError>,
        F: Clone + Send + Sync + 'static,
    {
        let function = ApplyFunction::new(function);
        self.add(move || Listed::new(function.clone()), Location::caller())
    }
}

/// A factory that checks the windows before it makes an operator.
struct Windows<F>(F);

impl<F> OperatorFactory for Windows<F>
where
    F: Fn(u32) -> Result<Box<dyn Operator>, OperatorError> + Send + Sync,
{
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        (self.0)(subtask)
    }

    fn is_stateful(&self) -> bool {
        true
    }
}
