//! Two streams of different types that one operator reads.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use tidemill_runtime::OperatorFactory;
use tidemill_runtime::graph::NodeKind;
use tidemill_runtime::operator::{boxed, stateful};
use tidemill_serialization::{Data, Key};

use crate::connected_functions::{CoProcessFunction, KeyedCoProcessFunction};
use crate::functions::Collector;
use crate::key::{ByValue, KeySelector};
use crate::keyed_stream::KeyedStream;
use crate::operators::{
    CoProcessOperator, EachInputOperator, FlatMapOperator, KeyedCoProcessOperator, MapOperator,
};
use crate::stream::DataStream;

/// Adds an operator with two inputs.
pub(crate) fn add_two_input<A: Data, B: Data, U: Data>(
    first: &DataStream<A>,
    second: &DataStream<B>,
    name: &str,
    factory: impl OperatorFactory + 'static,
    location: &'static Location<'static>,
) -> DataStream<U> {
    let node = first.add_node(name, NodeKind::Operator(Arc::new(factory)), location);
    first.connect_to(node, 0);
    if first.env.is_same(&second.env, &format!("operator '{name}'"), location) {
        second.connect_to(node, 1);
    }
    DataStream::of_node(first.env.clone(), node)
}

/// Two streams that are read by one operator, each by a function of its own. Event time is that of the stream which is behind.
///
/// ```
/// use tidemill_datastream::{ConnectedStreams, DataStream};
///
/// fn texts(connected: &ConnectedStreams<u64, String>) -> DataStream<String> {
///     connected.map(|count| count.to_string(), |name| name)
/// }
/// ```
pub struct ConnectedStreams<A, B> {
    first: DataStream<A>,
    second: DataStream<B>,
}

impl<A: Data> DataStream<A> {
    /// Connects this stream with another of the same environment, of any type.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn texts(counts: &DataStream<u64>, names: &DataStream<String>) -> DataStream<String> {
    ///     counts.connect(names).map(|count| count.to_string(), |name| name.to_uppercase())
    /// }
    /// ```
    pub fn connect<B: Data>(&self, other: &DataStream<B>) -> ConnectedStreams<A, B> {
        ConnectedStreams { first: self.clone(), second: other.clone() }
    }
}

impl<A: Data, B: Data> ConnectedStreams<A, B> {
    /// One record from each: `first` makes those of the first stream, `second` those of the second.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn lengths(counts: &DataStream<u64>, names: &DataStream<String>) -> DataStream<u64> {
    ///     counts.connect(names).map(|count| count, |name| name.len() as u64)
    /// }
    /// ```
    #[track_caller]
    pub fn map<U: Data, F, G>(&self, first: F, second: G) -> DataStream<U>
    where
        F: FnMut(A) -> U + Clone + Send + Sync + 'static,
        G: FnMut(B) -> U + Clone + Send + Sync + 'static,
    {
        let factory = boxed(move || {
            EachInputOperator::new(MapOperator::new(first.clone()), MapOperator::new(second.clone()))
        });
        add_two_input(&self.first, &self.second, "Co-Map", factory, Location::caller())
    }

    /// Any number of records from each: those that the functions hand to the collector.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, DataStream};
    ///
    /// fn words(lines: &DataStream<String>, counts: &DataStream<u64>) -> DataStream<String> {
    ///     lines.connect(counts).flat_map(
    ///         |line, out: &mut Collector<String>| line.split(' ').for_each(|word| out.collect(word.to_owned())),
    ///         |count, out: &mut Collector<String>| (0..count).for_each(|i| out.collect(i.to_string())),
    ///     )
    /// }
    /// ```
    #[track_caller]
    pub fn flat_map<U: Data, F, G>(&self, mut first: F, mut second: G) -> DataStream<U>
    where
        F: FnMut(A, &mut Collector<U>) + Clone + Send + Sync + 'static,
        G: FnMut(B, &mut Collector<U>) + Clone + Send + Sync + 'static,
    {
        let first = move |record, out: &mut Collector<U>| {
            first(record, out);
            Ok(())
        };
        let second = move |record, out: &mut Collector<U>| {
            second(record, out);
            Ok(())
        };
        let factory = boxed(move || {
            EachInputOperator::new(FlatMapOperator::new(first.clone()), FlatMapOperator::new(second.clone()))
        });
        add_two_input(&self.first, &self.second, "Co-Flat Map", factory, Location::caller())
    }

    /// Any number of records from each, by a function that sees both streams.
    ///
    /// ```
    /// use tidemill_datastream::{CoProcessFunction, Collector, DataStream, ProcessContext};
    /// use tidemill_runtime::BoxError;
    ///
    /// /// Numbers, those since the last text.
    /// #[derive(Clone)]
    /// struct Sums(u64);
    ///
    /// impl CoProcessFunction<u64, String, u64> for Sums {
    ///     fn process1(
    ///         &mut self,
    ///         number: u64,
    ///         _: &mut ProcessContext<'_>,
    ///         out: &mut Collector<u64>,
    ///     ) -> Result<(), BoxError> {
    ///         self.0 += number;
    ///         out.collect(self.0);
    ///         Ok(())
    ///     }
    ///
    ///     fn process2(
    ///         &mut self,
    ///         _: String,
    ///         _: &mut ProcessContext<'_>,
    ///         _: &mut Collector<u64>,
    ///     ) -> Result<(), BoxError> {
    ///         self.0 = 0;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn sums(numbers: &DataStream<u64>, resets: &DataStream<String>) -> DataStream<u64> {
    ///     numbers.connect(&resets.broadcast()).process(Sums(0))
    /// }
    /// ```
    #[track_caller]
    pub fn process<U: Data, F: CoProcessFunction<A, B, U>>(&self, function: F) -> DataStream<U> {
        let factory = boxed(move || CoProcessOperator::new(function.clone()));
        add_two_input(&self.first, &self.second, "Co-Process", factory, Location::caller())
    }

    /// Deals the records of both streams by key: those of one key, of either stream, come to one subtask.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, KeyedCoProcessFunction};
    ///
    /// fn by_user<F: KeyedCoProcessFunction<u64, (u64, i64), (u64, String), String>>(
    ///     payments: &DataStream<(u64, i64)>,
    ///     names: &DataStream<(u64, String)>,
    ///     function: F,
    /// ) -> DataStream<String> {
    ///     payments.connect(names).key_by(|payment| payment.0, |name| name.0).process(function)
    /// }
    /// ```
    pub fn key_by<K: Key, F, G>(
        &self,
        first: F,
        second: G,
    ) -> ConnectedKeyedStreams<A, B, ByValue<F, K>, ByValue<G, K>>
    where
        F: Fn(&A) -> K + Clone + Send + Sync + 'static,
        G: Fn(&B) -> K + Clone + Send + Sync + 'static,
    {
        self.first.key_by(first).connect(&self.second.key_by(second))
    }
}

/// Two keyed streams whose operator shares the state and the timers of their keys.
///
/// ```
/// use tidemill_datastream::{ConnectedKeyedStreams, DataStream, KeySelector, KeyedCoProcessFunction};
///
/// fn joined<S, R, F>(connected: &ConnectedKeyedStreams<u64, String, S, R>, function: F) -> DataStream<String>
/// where
///     S: KeySelector<u64>,
///     R: KeySelector<String, Key = S::Key>,
///     F: KeyedCoProcessFunction<S::Key, u64, String, String>,
/// {
///     connected.process(function)
/// }
/// ```
pub struct ConnectedKeyedStreams<A, B, S, R> {
    pub(crate) first: KeyedStream<A, S>,
    pub(crate) second: KeyedStream<B, R>,
    types: PhantomData<fn(A, B)>,
}

impl<A: Data, S: KeySelector<A>> KeyedStream<A, S> {
    /// Connects this stream with another that has keys of the same type.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, KeyedCoProcessFunction};
    ///
    /// fn by_user<F: KeyedCoProcessFunction<String, (String, i64), (i64, String), i64>>(
    ///     payments: &DataStream<(String, i64)>,
    ///     limits: &DataStream<(i64, String)>,
    ///     function: F,
    /// ) -> DataStream<i64> {
    ///     let payments = payments.key_by_ref(|payment| &payment.0);
    ///     payments.connect(&limits.key_by_ref(|limit| &limit.1)).process(function)
    /// }
    /// ```
    pub fn connect<B: Data, R: KeySelector<B, Key = S::Key>>(
        &self,
        other: &KeyedStream<B, R>,
    ) -> ConnectedKeyedStreams<A, B, S, R> {
        ConnectedKeyedStreams { first: self.clone(), second: other.clone(), types: PhantomData }
    }
}

impl<A, B, S, R> ConnectedKeyedStreams<A, B, S, R>
where
    A: Data,
    B: Data,
    S: KeySelector<A>,
    R: KeySelector<B, Key = S::Key>,
{
    /// Any number of records from each, with the state and the timers of its key.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, DataStream, KeyedCoProcessFunction, KeyedContext};
    /// use tidemill_runtime::BoxError;
    /// use tidemill_state::{KeyedStateBackend, ValueState, ValueStateDescriptor};
    ///
    /// /// Lets the numbers of a key pass while its switch is on.
    /// #[derive(Clone, Default)]
    /// struct Gate(Option<ValueState<bool>>);
    ///
    /// impl KeyedCoProcessFunction<u64, (u64, i64), (u64, bool), i64> for Gate {
    ///     fn open(&mut self, states: &mut KeyedStateBackend<u64>) -> Result<(), BoxError> {
    ///         self.0 = Some(states.register_value(ValueStateDescriptor::new("open"))?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process1(
    ///         &mut self,
    ///         record: (u64, i64),
    ///         context: &mut KeyedContext<'_, u64>,
    ///         out: &mut Collector<i64>,
    ///     ) -> Result<(), BoxError> {
    ///         if let Some(open) = self.0 && open.get(context.state())? == Some(true) {
    ///             out.collect(record.1);
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn process2(
    ///         &mut self,
    ///         switch: (u64, bool),
    ///         context: &mut KeyedContext<'_, u64>,
    ///         _: &mut Collector<i64>,
    ///     ) -> Result<(), BoxError> {
    ///         if let Some(open) = self.0 {
    ///             open.update(context.state(), switch.1)?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn gated(numbers: &DataStream<(u64, i64)>, switches: &DataStream<(u64, bool)>) -> DataStream<i64> {
    ///     numbers.connect(switches).key_by(|number| number.0, |switch| switch.0).process(Gate::default())
    /// }
    /// ```
    #[track_caller]
    pub fn process<U: Data, F>(&self, function: F) -> DataStream<U>
    where
        F: KeyedCoProcessFunction<S::Key, A, B, U>,
    {
        let selectors = (self.first.selector.clone(), self.second.selector.clone());
        let factory = stateful(move || {
            KeyedCoProcessOperator::new(selectors.0.clone(), selectors.1.clone(), function.clone())
        });
        let (first, second) = (&self.first.stream, &self.second.stream);
        add_two_input(first, second, "KeyedCoProcess", factory, Location::caller())
    }
}
