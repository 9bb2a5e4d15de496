//! A stream whose records are grouped into windows.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::{Classified, Fault};
use tidemill_runtime::{BoxError, Operator, OperatorError, OperatorFactory};
use tidemill_serialization::Data;
use tidemill_state::{AggregateFunction, ReduceFunction};

use crate::functions::Collector;
use crate::key::{ByValue, KeySelector};
use crate::keyed_stream::KeyedStream;
use crate::operators::window_contents::{
    Accumulated, Aggregate, Direct, Listed, Reduce, Through, WindowContents,
};
use crate::operators::window_evicting::{AggregateLeft, Evicted, PassOn, ReduceLeft};
use crate::operators::{Lateness, WindowOperator};
use crate::output_tag::OutputTag;
use crate::stream::DataStream;
use crate::windows::{
    ApplyFunction, Elements, Evictor, ProcessWindowFunction, Trigger, WindowAssigner, WindowContext,
};

/// A stream whose records are grouped into windows by key. The methods that take a function end the grouping: they make
/// a stream of the results, each with the last timestamp of its window.
///
/// A function that combines elements as they come (`reduce`, `aggregate`) keeps one value a window; one that sees the
/// elements (`process`, `apply`) keeps them all until the window is removed, and so does any with an evictor.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::DataStream;
/// use tidemill_datastream::windows::TumblingEventTimeWindows;
///
/// fn counts_per_minute(words: &DataStream<(String, u64)>) -> DataStream<(String, u64)> {
///     let minutes = TumblingEventTimeWindows::of(Duration::from_secs(60));
///     let windowed = words.key_by_ref(|word| &word.0).window(minutes);
///     windowed.reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count)
/// }
/// ```
pub struct WindowedStream<T, S, A, R>
where
    A: WindowAssigner<T>,
{
    stream: KeyedStream<T, S>,
    assigner: A,
    trigger: R,
    evictor: Option<Arc<dyn Evictor<T, A::Window>>>,
    lateness: Lateness<T>,
    /// Whether there is one key only.
    all: bool,
}

/// A stream whose records are grouped into windows without a key.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::windows::{EventTimeTrigger, TumblingEventTimeWindows};
/// use tidemill_datastream::{AllWindowedStream, DataStream};
///
/// fn minutes(numbers: &DataStream<u64>) -> AllWindowedStream<u64, TumblingEventTimeWindows, EventTimeTrigger> {
///     numbers.window_all(TumblingEventTimeWindows::of(Duration::from_secs(60)))
/// }
/// ```
pub type AllWindowedStream<T, A, R> = WindowedStream<T, ByValue<fn(&T), ()>, A, R>;

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
        Self { stream, assigner, trigger, evictor: None, lateness: Lateness::default(), all: false }
    }

    pub(crate) fn of_all(self) -> Self {
        Self { all: true, ..self }
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
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{ContinuousEventTimeTrigger, TumblingEventTimeWindows};
    ///
    /// # fn example(clicks: DataStream<(String, u64)>) {
    /// let running_counts_of_the_day = clicks
    ///     .key_by_ref(|(page, _)| page)
    ///     .window(TumblingEventTimeWindows::of(Duration::from_secs(86_400)))
    ///     .trigger(ContinuousEventTimeTrigger::of(Duration::from_secs(60)))
    ///     .reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count);
    /// # }
    /// ```
    pub fn trigger<Q: Trigger<T, A::Window>>(self, trigger: Q) -> WindowedStream<T, S, A, Q> {
        let Self { stream, assigner, evictor, lateness, all, .. } = self;
        WindowedStream { stream, assigner, trigger, evictor, lateness, all }
    }

    /// Removes elements from windows when they fire. All elements are kept then, also for `reduce` and `aggregate`.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{CountEvictor, CountTrigger, GlobalWindows};
    ///
    /// # fn example(clicks: DataStream<(String, u64)>) {
    /// let sums_of_the_last_ten = clicks
    ///     .key_by_ref(|(page, _)| page)
    ///     .window(GlobalWindows::create())
    ///     .evictor(CountEvictor::of(10))
    ///     .trigger(CountTrigger::of(1))
    ///     .reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count);
    /// # }
    /// ```
    pub fn evictor(self, evictor: impl Evictor<T, A::Window>) -> Self {
        Self { evictor: Some(Arc::new(evictor)), ..self }
    }

    /// Keeps windows for `lateness` after event time has passed their end; elements that come until then still count, and
    /// fire the window again. Has no effect on windows by the time of the machine.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{DataStream, OutputTag};
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// # fn example(clicks: DataStream<(String, u64)>) {
    /// let too_late = OutputTag::new("too late");
    /// let counts = clicks
    ///     .key_by_ref(|(page, _)| page)
    ///     .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///     .allowed_lateness(Duration::from_secs(600))
    ///     .side_output_late_data(&too_late)
    ///     .reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count);
    /// let not_counted: DataStream<(String, u64)> = counts.side_output(&too_late);
    /// # }
    /// ```
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness: self.lateness.allow(lateness), ..self }
    }

    /// Sends elements that come too late to a side output of the result, instead of dropping them; see
    /// [`allowed_lateness`](Self::allowed_lateness). Those that are dropped are counted in `numLateRecordsDropped`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    /// use tidemill_datastream::{DataStream, OutputTag};
    ///
    /// fn sums_and_late(numbers: &DataStream<u64>) -> (DataStream<u64>, DataStream<u64>) {
    ///     let late = OutputTag::new("late");
    ///     let sums = numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .side_output_late_data(&late)
    ///         .reduce(|sum: &mut u64, number| *sum += number);
    ///     let too_late = sums.side_output(&late);
    ///     (sums, too_late)
    /// }
    /// ```
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
        let Self { stream: KeyedStream { stream, selector }, assigner, trigger, lateness, all, .. } = self;
        let name = assigner.name();
        let make = move || {
            assigner.validate()?;
            if A::MERGING && !trigger.can_merge() {
                return Err(TriggerCannotMerge { assigner: assigner.name() }.into());
            }
            let (selector, assigner) = (selector.clone(), assigner.clone());
            Ok(WindowOperator::new(selector, assigner, trigger.clone(), contents(), lateness.clone()))
        };
        let result = stream.add_operator(name, Windows(make), location);
        if all { result.set_parallelism(1).set_max_parallelism(1) } else { result }
    }

    /// Combines the elements of each window into one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::EventTimeSessionWindows;
    ///
    /// # fn example(clicks: DataStream<(String, u64)>) {
    /// let per_session = clicks
    ///     .key_by_ref(|(user, _)| user)
    ///     .window(EventTimeSessionWindows::with_gap(Duration::from_secs(30)))
    ///     .reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count);
    /// # }
    /// ```
    #[track_caller]
    pub fn reduce<F: ReduceFunction<T>>(self, function: F) -> DataStream<T> {
        let location = Location::caller();
        let function = Arc::new(function);
        match self.evictor.clone() {
            Some(evictor) => {
                let left = ReduceLeft::new(function, PassOn);
                self.add(move || Evicted::new(left.clone(), Arc::clone(&evictor)), location)
            }
            None => self.add(move || Accumulated::new(Reduce(Arc::clone(&function)), Direct), location),
        }
    }

    /// Combines the elements of each window into one and hands that to a function that may keep state of its own
    /// and emit to side outputs; see [`reduce_apply`](Self::reduce_apply) for a closure.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow, TumblingEventTimeWindows};
    ///
    /// fn sums<P: ProcessWindowFunction<u64, String, u64, TimeWindow>>(
    ///     numbers: &DataStream<u64>,
    ///     function: P,
    /// ) -> DataStream<String> {
    ///     numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .reduce_with(|sum: &mut u64, number| *sum += number, function)
    /// }
    /// ```
    #[track_caller]
    pub fn reduce_with<U: Data, F, P>(self, function: F, process: P) -> DataStream<U>
    where
        F: ReduceFunction<T>,
        P: ProcessWindowFunction<T, U, S::Key, A::Window>,
    {
        let location = Location::caller();
        let function = Arc::new(function);
        match self.evictor.clone() {
            Some(evictor) => {
                let left = ReduceLeft::new(function, process);
                self.add(move || Evicted::new(left.clone(), Arc::clone(&evictor)), location)
            }
            None => {
                let reduce = move || Reduce(Arc::clone(&function));
                self.add(move || Accumulated::new(reduce(), Through(process.clone())), location)
            }
        }
    }

    /// Aggregates the elements of each window into one accumulator, whose result is emitted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::SlidingEventTimeWindows;
    /// use tidemill_state::AggregateFunction;
    ///
    /// /// The mean of delays, from their sum and count.
    /// struct Mean;
    ///
    /// impl AggregateFunction for Mean {
    ///     type In = (String, f64);
    ///     type Acc = (f64, u64);
    ///     type Out = f64;
    ///
    ///     fn create_accumulator(&self) -> (f64, u64) {
    ///         (0.0, 0)
    ///     }
    ///
    ///     fn add(&self, accumulator: &mut (f64, u64), (_, delay): (String, f64)) {
    ///         accumulator.0 += delay;
    ///         accumulator.1 += 1;
    ///     }
    ///
    ///     fn get_result(&self, accumulator: &(f64, u64)) -> f64 {
    ///         accumulator.0 / accumulator.1 as f64
    ///     }
    ///
    ///     fn merge(&self, accumulator: &mut (f64, u64), other: (f64, u64)) {
    ///         accumulator.0 += other.0;
    ///         accumulator.1 += other.1;
    ///     }
    /// }
    ///
    /// # fn example(delays: DataStream<(String, f64)>) {
    /// let means = delays
    ///     .key_by_ref(|(airport, _)| airport)
    ///     .window(SlidingEventTimeWindows::of(Duration::from_secs(3600), Duration::from_secs(60)))
    ///     .aggregate(Mean);
    /// # }
    /// ```
    #[track_caller]
    pub fn aggregate<F>(self, function: F) -> DataStream<F::Out>
    where
        F: AggregateFunction<In = T>,
        F::Out: Data,
    {
        let location = Location::caller();
        let function = Arc::new(function);
        match self.evictor.clone() {
            Some(evictor) => {
                let left = AggregateLeft::new(function, PassOn);
                self.add(move || Evicted::new(left.clone(), Arc::clone(&evictor)), location)
            }
            None => self.add(move || Accumulated::new(Aggregate(Arc::clone(&function)), Direct), location),
        }
    }

    /// Aggregates the elements of each window into one accumulator, and hands the result to a closure, with the key and the
    /// window.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidemill_datastream::DataStream;
    /// # use tidemill_datastream::windows::TumblingEventTimeWindows;
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
    /// # fn example(pages: DataStream<String>) {
    /// let counts: DataStream<(i64, String, u64)> = pages
    ///     .key_by_ref(|page| page)
    ///     .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///     .aggregate_apply(Count, |page, window, count, out| {
    ///         out.collect((window.start, page.clone(), count));
    ///         Ok(())
    ///     });
    /// # }
    /// ```
    #[track_caller]
    pub fn aggregate_apply<U: Data, F, P>(self, function: F, process: P) -> DataStream<U>
    where
        F: AggregateFunction<In = T>,
        F::Out: Data,
        P: FnMut(&S::Key, &A::Window, F::Out, &mut Collector<U>) -> Result<(), BoxError>,
        P: Clone + Send + Sync + 'static,
    {
        self.aggregate_with(function, EachElement(process))
    }

    /// Combines the elements of each window into one and hands that to a closure, with the key and the window; see
    /// [`aggregate_apply`](Self::aggregate_apply).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// /// (digit, start of the minute, sum)
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<(u64, i64, u64)> {
    ///     numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .reduce_apply(
    ///             |sum: &mut u64, number| *sum += number,
    ///             |digit, window, sum, out| {
    ///                 out.collect((*digit, window.start, sum));
    ///                 Ok(())
    ///             },
    ///         )
    /// }
    /// ```
    #[track_caller]
    pub fn reduce_apply<U: Data, F, P>(self, function: F, process: P) -> DataStream<U>
    where
        F: ReduceFunction<T>,
        P: FnMut(&S::Key, &A::Window, T, &mut Collector<U>) -> Result<(), BoxError>,
        P: Clone + Send + Sync + 'static,
    {
        self.reduce_with(function, EachElement(process))
    }

    /// Aggregates the elements of each window into one accumulator, and hands the result to a function that may keep
    /// state of its own and emit to side outputs; see [`aggregate_apply`](Self::aggregate_apply) for a closure.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{ProcessWindowFunction, TimeWindow, TumblingEventTimeWindows};
    /// use tidemill_serialization::Data;
    /// use tidemill_state::AggregateFunction;
    ///
    /// fn aggregated<F, P>(numbers: &DataStream<u64>, function: F, process: P) -> DataStream<String>
    /// where
    ///     F: AggregateFunction<In = u64>,
    ///     F::Out: Data,
    ///     P: ProcessWindowFunction<F::Out, String, u64, TimeWindow>,
    /// {
    ///     numbers
    ///         .key_by(|number| number % 10)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .aggregate_with(function, process)
    /// }
    /// ```
    #[track_caller]
    pub fn aggregate_with<U: Data, F, P>(self, function: F, process: P) -> DataStream<U>
    where
        F: AggregateFunction<In = T>,
        F::Out: Data,
        P: ProcessWindowFunction<F::Out, U, S::Key, A::Window>,
    {
        let location = Location::caller();
        let function = Arc::new(function);
        match self.evictor.clone() {
            Some(evictor) => {
                let left = AggregateLeft::new(function, process);
                self.add(move || Evicted::new(left.clone(), Arc::clone(&evictor)), location)
            }
            None => {
                let aggregate = move || Aggregate(Arc::clone(&function));
                self.add(move || Accumulated::new(aggregate(), Through(process.clone())), location)
            }
        }
    }

    /// Hands all elements of each window to a function, which may keep state of its own and emit to side outputs.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidemill_datastream::{Collector, DataStream};
    /// # use tidemill_datastream::windows::TumblingEventTimeWindows;
    /// use tidemill_datastream::windows::{Elements, ProcessWindowFunction, TimeWindow, WindowContext};
    ///
    /// #[derive(Clone)]
    /// struct Median;
    ///
    /// impl ProcessWindowFunction<(String, u64), u64, String, TimeWindow> for Median {
    ///     fn process(
    ///         &mut self,
    ///         _key: &String,
    ///         _context: &mut WindowContext<'_, String, TimeWindow>,
    ///         elements: Elements<(String, u64)>,
    ///         out: &mut Collector<u64>,
    ///     ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///         let mut values: Vec<u64> = elements.map(|(_, value)| value).collect();
    ///         values.sort_unstable();
    ///         out.collect(values[values.len() / 2]);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn example(latencies: DataStream<(String, u64)>) {
    /// let medians = latencies
    ///     .key_by_ref(|(host, _)| host)
    ///     .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///     .process(Median);
    /// # }
    /// ```
    #[track_caller]
    pub fn process<U: Data, P>(self, function: P) -> DataStream<U>
    where
        P: ProcessWindowFunction<T, U, S::Key, A::Window>,
    {
        let location = Location::caller();
        match self.evictor.clone() {
            Some(evictor) => self.add(move || Evicted::new(function.clone(), Arc::clone(&evictor)), location),
            None => self.add(move || Listed::new(function.clone()), location),
        }
    }

    /// Hands all elements of each window to a closure, with the key and the window.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidemill_datastream::DataStream;
    /// # use tidemill_datastream::windows::TumblingEventTimeWindows;
    /// # fn example(latencies: DataStream<(String, u64)>) {
    /// let spreads: DataStream<(String, u64)> = latencies
    ///     .key_by_ref(|(host, _)| host)
    ///     .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///     .apply(|host, _window, elements, out| {
    ///         let values: Vec<u64> = elements.map(|(_, value)| value).collect();
    ///         let spread = values.iter().max().unwrap_or(&0) - values.iter().min().unwrap_or(&0);
    ///         out.collect((host.clone(), spread));
    ///         Ok(())
    ///     });
    /// # }
    /// ```
    #[track_caller]
    pub fn apply<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: FnMut(&S::Key, &A::Window, Elements<T>, &mut Collector<U>) -> Result<(), BoxError>,
        F: Clone + Send + Sync + 'static,
    {
        self.process(ApplyFunction::new(function))
    }
}

/// A [`ProcessWindowFunction`] of a closure that takes one element.
#[derive(Clone)]
struct EachElement<P>(P);

impl<In, Out, K, W, P> ProcessWindowFunction<In, Out, K, W> for EachElement<P>
where
    P: FnMut(&K, &W, In, &mut Collector<Out>) -> Result<(), BoxError>,
    P: Clone + Send + Sync + 'static,
{
    fn process(
        &mut self,
        key: &K,
        context: &mut WindowContext<'_, K, W>,
        mut elements: Elements<In>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError> {
        elements.try_for_each(|element| (self.0)(key, context.window, element, out))
    }
}

/// A factory that checks the windows before it makes an operator.
struct Windows<F>(F);

impl<O, F> OperatorFactory for Windows<F>
where
    O: Operator + 'static,
    F: Fn() -> Result<O, OperatorError> + Send + Sync,
{
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new((self.0)()?))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}
