//! A stream whose records are dealt by key.

use std::panic::Location;
use std::sync::Arc;

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::graph::TypedEdge;
use tidemill_runtime::operator::stateful;
use tidemill_serialization::Data;

use crate::functions::KeyedProcessFunction;
use crate::key::KeySelector;
use crate::operators::support::key_hash;
use crate::operators::{KeyedProcessOperator, KeyedReduceOperator};
use crate::stream::DataStream;
use crate::windowed_stream::WindowedStream;
use crate::windows::{
    CountEvictor, CountTrigger, GlobalWindow, GlobalWindows, PurgingTrigger, WindowAssigner,
};

/// A stream in which all records of one key come to one subtask, so that the operators after it can keep state by key.
///
/// ```
/// use tidemill_datastream::{DataStream, KeySelector, KeyedStream};
///
/// fn sums<S: KeySelector<u64>>(numbers: &KeyedStream<u64, S>) -> DataStream<u64> {
///     numbers.reduce(|sum, number| *sum += number)
/// }
/// ```
#[derive(Clone)]
pub struct KeyedStream<T, S> {
    pub(crate) stream: DataStream<T>,
    pub(crate) selector: S,
}

impl<T: Data, S: KeySelector<T>> KeyedStream<T, S> {
    pub(crate) fn new(stream: DataStream<T>, selector: S) -> Self {
        let hash = key_hash(selector.clone());
        let mut stream = stream;
        stream.strategy = Some(ShipStrategy::Hash);
        stream.edge = Arc::new(TypedEdge::<T, _>::keyed(hash));
        Self { stream, selector }
    }

    /// Any number of records from each, with the state and the timers of its key.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, DataStream, KeyedContext, KeyedProcessFunction};
    /// use tidemill_runtime::BoxError;
    /// use tidemill_state::{KeyedStateBackend, ValueState, ValueStateDescriptor};
    ///
    /// /// Numbers the records of each key.
    /// #[derive(Clone, Default)]
    /// struct Numbered(ValueState<u64>);
    ///
    /// impl KeyedProcessFunction<String, String, (u64, String)> for Numbered {
    ///     fn open(&mut self, states: &mut KeyedStateBackend<String>) -> Result<(), BoxError> {
    ///         self.0 = states.register_value(ValueStateDescriptor::new("count"))?;
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         word: String,
    ///         context: &mut KeyedContext<'_, String>,
    ///         out: &mut Collector<(u64, String)>,
    ///     ) -> Result<(), BoxError> {
    ///         let count = self.0.get(context.state())?.unwrap_or(0) + 1;
    ///         self.0.update(context.state(), count)?;
    ///         out.collect((count, word));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn numbered(words: &DataStream<String>) -> DataStream<(u64, String)> {
    ///     words.key_by_ref(|word| word).process(Numbered::default())
    /// }
    /// ```
    #[track_caller]
    pub fn process<U: Data, F>(&self, function: F) -> DataStream<U>
    where
        F: KeyedProcessFunction<S::Key, T, U>,
    {
        let selector = self.selector.clone();
        let factory = stateful(move || KeyedProcessOperator::new(selector.clone(), function.clone()));
        self.stream.add_operator("KeyedProcess", factory, Location::caller())
    }

    /// Combines every record with what its key has come to so far, and emits the new result for each record.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn largest(numbers: &DataStream<(String, u64)>) -> DataStream<(String, u64)> {
    ///     numbers.key_by_ref(|number| &number.0).reduce(|largest, next| largest.1 = largest.1.max(next.1))
    /// }
    /// ```
    #[track_caller]
    pub fn reduce<F>(&self, function: F) -> DataStream<T>
    where
        F: Fn(&mut T, T) + Clone + Send + Sync + 'static,
    {
        let selector = self.selector.clone();
        let factory = stateful(move || KeyedReduceOperator::new(selector.clone(), function.clone()));
        self.stream.add_operator("Keyed Reduce", factory, Location::caller())
    }

    /// Groups the records of each key into windows.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// # fn example(clicks: DataStream<(String, u64)>) {
    /// let clicks_per_minute = clicks
    ///     .key_by_ref(|(page, _)| page)
    ///     .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///     .reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count);
    /// # }
    /// ```
    pub fn window<A: WindowAssigner<T>>(&self, assigner: A) -> WindowedStream<T, S, A, A::DefaultTrigger> {
        WindowedStream::new(self.clone(), assigner)
    }

    /// Groups the records of each key into windows of `size` records each. A window that never fills never fires.
    ///
    /// ```
    /// # use tidemill_datastream::DataStream;
    /// # fn example(clicks: DataStream<(String, u64)>) {
    /// let sums_of_ten = clicks
    ///     .key_by_ref(|(page, _)| page)
    ///     .count_window(10)
    ///     .reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count);
    /// # }
    /// ```
    pub fn count_window(
        &self,
        size: u64,
    ) -> WindowedStream<T, S, GlobalWindows, PurgingTrigger<CountTrigger<GlobalWindow>>> {
        let trigger = PurgingTrigger::of(CountTrigger::of(size));
        self.window(GlobalWindows::create()).trigger(trigger)
    }

    /// Every `slide` records of a key, a window of the last `size` of them; the first windows are shorter.
    ///
    /// ```
    /// # use tidemill_datastream::DataStream;
    /// # fn example(clicks: DataStream<(String, u64)>) {
    /// let moving_sums = clicks
    ///     .key_by_ref(|(page, _)| page)
    ///     .count_window_sliding(100, 10)
    ///     .reduce(|sum: &mut (String, u64), (_, count)| sum.1 += count);
    /// # }
    /// ```
    pub fn count_window_sliding(
        &self,
        size: usize,
        slide: u64,
    ) -> WindowedStream<T, S, GlobalWindows, CountTrigger<GlobalWindow>> {
        let windows = self.window(GlobalWindows::create());
        windows.evictor(CountEvictor::of(size)).trigger(CountTrigger::of(slide))
    }
}
