//! A stream of records.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use tidemill_core::config::options;
use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::graph::{
    BufferTimeout, ChainingStrategy, EdgeType, NodeId, NodeKind, StreamEdge, StreamNode, TypedEdge,
};
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{BoxError, Operator, OperatorFactory};
use tidemill_serialization::{ArrowRecord, Data, Key};

use crate::environment::StreamExecutionEnvironment;
use crate::functions::{Collector, ProcessFunction};
use crate::key::{ByRef, ByValue, KeySelector};
use crate::keyed_stream::KeyedStream;
use crate::operators::{
    FilterOperator, FlatMapOperator, MapOperator, ProcessOperator, TimestampsOperator, ToColumnsOperator,
};
use crate::output_tag::OutputTag;
use crate::sink::Sink;
use crate::watermark::WatermarkStrategy;
use crate::windowed_stream::{AllWindowedStream, WindowedStream};
use crate::windows::{CountTrigger, GlobalWindow, GlobalWindows, PurgingTrigger, WindowAssigner};

/// Where records of a stream come from.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) node: NodeId,
    pub(crate) side: Option<Arc<str>>,
}

/// A stream of records of type `T`. Its methods add operators to the job; the stream is only the place to add them.
///
/// Methods that set something (`name`, `uid`, `set_parallelism`, …) are about the operator that was added last.
///
/// ```
/// use tidemill_datastream::DataStream;
///
/// fn lengths(words: &DataStream<String>) -> DataStream<u64> {
///     words.map(|word| word.len() as u64).name("lengths")
/// }
/// ```
pub struct DataStream<T> {
    pub(crate) env: StreamExecutionEnvironment,
    /// Several when streams were united.
    pub(crate) origins: Vec<Origin>,
    pub(crate) strategy: Option<ShipStrategy>,
    pub(crate) edge: Arc<dyn EdgeType>,
    records: PhantomData<fn(T)>,
}

impl<T> Clone for DataStream<T> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            origins: self.origins.clone(),
            strategy: self.strategy,
            edge: Arc::clone(&self.edge),
            records: PhantomData,
        }
    }
}

impl<T: Data> DataStream<T> {
    pub(crate) fn of_node(env: StreamExecutionEnvironment, node: NodeId) -> Self {
        Self {
            env,
            origins: vec![Origin { node, side: None }],
            strategy: None,
            edge: Arc::new(TypedEdge::<T>::new()),
            records: PhantomData,
        }
    }

    /// Adds a node that reads this stream as its input number `input`, and further ones in the same way.
    pub(crate) fn connect_to(&self, node: NodeId, input: usize) {
        let mut building = self.env.building.borrow_mut();
        for origin in &self.origins {
            building.graph.add_edge(StreamEdge {
                source: origin.node,
                side_output: origin.side.clone(),
                target: node,
                input,
                strategy: self.strategy,
                edge: Arc::clone(&self.edge),
            });
        }
    }

    pub(crate) fn add_node(
        &self,
        name: &str,
        kind: NodeKind,
        location: &'static Location<'static>,
    ) -> NodeId {
        self.env.building.borrow_mut().graph.add_node(StreamNode::new(name, kind, location))
    }

    pub(crate) fn add_operator<U: Data>(
        &self,
        name: &str,
        factory: impl OperatorFactory + 'static,
        location: &'static Location<'static>,
    ) -> DataStream<U> {
        let node = self.add_node(name, NodeKind::Operator(Arc::new(factory)), location);
        self.connect_to(node, 0);
        DataStream::of_node(self.env.clone(), node)
    }

    /// Adds an operator of the user's own: the way to everything that has no method here.
    ///
    /// ```
    /// use tidemill_core::Batch;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_runtime::operator::boxed;
    /// use tidemill_runtime::{Operator, OperatorError, Output, Progress};
    ///
    /// /// Passes every other batch.
    /// #[derive(Default)]
    /// struct Half(bool);
    ///
    /// impl Operator for Half {
    ///     fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
    ///         self.0 = !self.0;
    ///         if self.0 {
    ///             out.emit(batch);
    ///         }
    ///         Ok(Progress::Done)
    ///     }
    /// }
    ///
    /// fn half(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.transform("half", boxed(Half::default))
    /// }
    /// ```
    #[track_caller]
    pub fn transform<U: Data>(&self, name: &str, factory: impl OperatorFactory + 'static) -> DataStream<U> {
        self.add_operator(name, factory, Location::caller())
    }

    /// One record from each.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn lengths(words: &DataStream<String>) -> DataStream<u64> {
    ///     words.map(|word| word.len() as u64)
    /// }
    /// ```
    #[track_caller]
    pub fn map<U: Data, F>(&self, function: F) -> DataStream<U>
    where
        F: FnMut(T) -> U + Clone + Send + Sync + 'static,
    {
        self.add_operator("Map", boxed(move || MapOperator::new(function.clone())), Location::caller())
    }

    /// Only the records for which `passes` answers true.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn even(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.filter(|number| number % 2 == 0)
    /// }
    /// ```
    #[track_caller]
    pub fn filter<F>(&self, passes: F) -> DataStream<T>
    where
        F: FnMut(&T) -> bool + Clone + Send + Sync + 'static,
    {
        self.add_operator("Filter", boxed(move || FilterOperator::new(passes.clone())), Location::caller())
    }

    /// Any number of records from each: those that the function hands to the collector.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, DataStream};
    ///
    /// fn words(lines: &DataStream<String>) -> DataStream<String> {
    ///     lines.flat_map(|line: String, out: &mut Collector<String>| {
    ///         for word in line.split_whitespace() {
    ///             out.collect(word.to_owned());
    ///         }
    ///     })
    /// }
    /// ```
    #[track_caller]
    pub fn flat_map<U: Data, F>(&self, mut function: F) -> DataStream<U>
    where
        F: FnMut(T, &mut Collector<U>) + Clone + Send + Sync + 'static,
    {
        self.try_flat_map_at(
            "Flat Map",
            move |record, out: &mut Collector<U>| {
                function(record, out);
                Ok(())
            },
            Location::caller(),
        )
    }

    /// Like [`flat_map`](Self::flat_map) with a function that may fail, which fails the job.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, DataStream};
    ///
    /// fn numbers(lines: &DataStream<String>) -> DataStream<i64> {
    ///     lines.try_flat_map(|line: String, out: &mut Collector<i64>| {
    ///         for number in line.split(',') {
    ///             out.collect(number.parse()?);
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    #[track_caller]
    pub fn try_flat_map<U: Data, F>(&self, function: F) -> DataStream<U>
    where
        F: FnMut(T, &mut Collector<U>) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
    {
        self.try_flat_map_at("Flat Map", function, Location::caller())
    }

    /// Like [`map`](Self::map) with a function that may fail, which fails the job.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn numbers(texts: &DataStream<String>) -> DataStream<i64> {
    ///     texts.try_map(|text| Ok(text.parse()?))
    /// }
    /// ```
    #[track_caller]
    pub fn try_map<U: Data, F>(&self, mut function: F) -> DataStream<U>
    where
        F: FnMut(T) -> Result<U, BoxError> + Clone + Send + Sync + 'static,
    {
        self.try_flat_map_at(
            "Map",
            move |record, out: &mut Collector<U>| {
                out.collect(function(record)?);
                Ok(())
            },
            Location::caller(),
        )
    }

    fn try_flat_map_at<U: Data, F>(
        &self,
        name: &str,
        function: F,
        location: &'static Location<'static>,
    ) -> DataStream<U>
    where
        F: FnMut(T, &mut Collector<U>) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
    {
        self.add_operator(name, boxed(move || FlatMapOperator::new(function.clone())), location)
    }

    /// Any number of records from each, with timestamps and side outputs.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, DataStream, OutputTag, ProcessContext, ProcessFunction};
    /// use tidemill_runtime::BoxError;
    ///
    /// /// Sends what is negative elsewhere.
    /// #[derive(Clone)]
    /// struct Split(OutputTag<i64>);
    ///
    /// impl ProcessFunction<i64, i64> for Split {
    ///     fn process(
    ///         &mut self,
    ///         number: i64,
    ///         context: &mut ProcessContext<'_>,
    ///         out: &mut Collector<i64>,
    ///     ) -> Result<(), BoxError> {
    ///         if number < 0 {
    ///             context.output(&self.0, number)?;
    ///         } else {
    ///             out.collect(number);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn split(numbers: &DataStream<i64>) -> (DataStream<i64>, DataStream<i64>) {
    ///     let negative = OutputTag::new("negative");
    ///     let rest = numbers.process(Split(negative.clone()));
    ///     (rest.side_output(&negative), rest)
    /// }
    /// ```
    #[track_caller]
    pub fn process<U: Data, F: ProcessFunction<T, U>>(&self, function: F) -> DataStream<U> {
        self.add_operator(
            "Process",
            boxed(move || ProcessOperator::new(function.clone())),
            Location::caller(),
        )
    }

    /// Replaces the event time of the stream.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{DataStream, WatermarkStrategy};
    ///
    /// /// (when, what), from a source that knows nothing of event time.
    /// fn timed(events: &DataStream<(i64, String)>) -> DataStream<(i64, String)> {
    ///     let strategy = WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_secs(5))
    ///         .with_timestamp_assigner(|event: &(i64, String), _| event.0);
    ///     events.assign_timestamps_and_watermarks(strategy)
    /// }
    /// ```
    #[track_caller]
    pub fn assign_timestamps_and_watermarks(&self, strategy: WatermarkStrategy<T>) -> DataStream<T> {
        let interval = self.env.building.borrow().configuration.get(&options::AUTO_WATERMARK_INTERVAL);
        // A bad value is told when the plan is made.
        let interval = interval.unwrap_or_default();
        self.add_operator(
            "Timestamps/Watermarks",
            boxed(move || TimestampsOperator::new(&strategy, interval)),
            Location::caller(),
        )
    }

    /// The records of this stream and of others of the same type and environment, in no particular order.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn all(a: &DataStream<u64>, b: &DataStream<u64>, c: &DataStream<u64>) -> DataStream<u64> {
    ///     a.union(&[b, c])
    /// }
    /// ```
    #[track_caller]
    pub fn union(&self, others: &[&DataStream<T>]) -> DataStream<T> {
        let mut united = self.clone();
        for other in others {
            if self.env.is_same(&other.env, "a union", Location::caller()) {
                united.origins.extend(other.origins.iter().cloned());
            }
        }
        united
    }

    /// The records that the operator added last has emitted to a side output.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, OutputTag};
    ///
    /// fn late(results: &DataStream<u64>) -> DataStream<String> {
    ///     results.side_output(&OutputTag::new("late"))
    /// }
    /// ```
    pub fn side_output<S: Data>(&self, tag: &OutputTag<S>) -> DataStream<S> {
        let mut side = DataStream::of_node(self.env.clone(), 0);
        side.origins = self
            .origins
            .iter()
            .map(|origin| Origin { node: origin.node, side: Some(Arc::clone(tag.id())) })
            .collect();
        side
    }

    /// Deals records to subtasks by the key that `key` makes of them: all records of one key come to one subtask, and state
    /// is kept by key.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// /// The running sum of each remainder.
    /// fn sums(numbers: &DataStream<(u64, u64)>) -> DataStream<(u64, u64)> {
    ///     numbers.key_by(|number| number.0 % 10).reduce(|sum, next| sum.1 += next.1)
    /// }
    /// ```
    pub fn key_by<K: Key, F>(&self, key: F) -> KeyedStream<T, ByValue<F, K>>
    where
        F: Fn(&T) -> K + Clone + Send + Sync + 'static,
    {
        self.key_by_selector(ByValue::new(key))
    }

    /// Like [`key_by`](Self::key_by) for a key that is a part of the record, such as a `String`, which then is not copied.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn sums(amounts: &DataStream<(String, u64)>) -> DataStream<(String, u64)> {
    ///     amounts.key_by_ref(|amount| &amount.0).reduce(|sum, next| sum.1 += next.1)
    /// }
    /// ```
    pub fn key_by_ref<K: Key, F>(&self, key: F) -> KeyedStream<T, ByRef<F, K>>
    where
        F: Fn(&T) -> &K + Clone + Send + Sync + 'static,
    {
        self.key_by_selector(ByRef::new(key))
    }

    /// Like [`key_by`](Self::key_by) with a selector of its own type.
    ///
    /// ```
    /// use tidemill_datastream::{ByValue, DataStream};
    ///
    /// fn sums(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.key_by_selector(ByValue::new(|number: &u64| number % 2)).reduce(|sum, next| *sum += next)
    /// }
    /// ```
    pub fn key_by_selector<S: KeySelector<T>>(&self, selector: S) -> KeyedStream<T, S> {
        KeyedStream::new(self.clone(), selector)
    }

    /// Groups all records into windows, whatever their key. One subtask does all the work.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// # fn example(amounts: DataStream<u64>) {
    /// let totals = amounts
    ///     .window_all(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///     .reduce(|total: &mut u64, amount| *total += amount);
    /// # }
    /// ```
    pub fn window_all<A: WindowAssigner<T>>(
        &self,
        assigner: A,
    ) -> AllWindowedStream<T, A, A::DefaultTrigger> {
        let no_key: fn(&T) = |_| ();
        WindowedStream::new(self.key_by(no_key), assigner).of_all()
    }

    /// Groups all records into windows of `size` records each.
    ///
    /// ```
    /// # use tidemill_datastream::DataStream;
    /// # fn example(amounts: DataStream<u64>) {
    /// let sums_of_ten = amounts.count_window_all(10).reduce(|sum: &mut u64, amount| *sum += amount);
    /// # }
    /// ```
    pub fn count_window_all(
        &self,
        size: u64,
    ) -> AllWindowedStream<T, GlobalWindows, PurgingTrigger<CountTrigger<GlobalWindow>>> {
        let trigger = PurgingTrigger::of(CountTrigger::of(size));
        self.window_all(GlobalWindows::create()).trigger(trigger)
    }

    fn with_strategy(&self, strategy: ShipStrategy) -> DataStream<T> {
        Self { strategy: Some(strategy), ..self.clone() }
    }

    /// Subtask i sends to subtask i of the next operator, which must have the same parallelism.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.forward().map(|number| number * 2)
    /// }
    /// ```
    pub fn forward(&self) -> DataStream<T> {
        self.with_strategy(ShipStrategy::Forward)
    }

    /// Deals records to all subtasks of the next operator in turn.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.rebalance().map(|number| number * 2)
    /// }
    /// ```
    pub fn rebalance(&self) -> DataStream<T> {
        self.with_strategy(ShipStrategy::Rebalance)
    }

    /// Deals records in turn to those subtasks of the next operator that belong to this one.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.rescale().map(|number| number * 2)
    /// }
    /// ```
    pub fn rescale(&self) -> DataStream<T> {
        self.with_strategy(ShipStrategy::Rescale)
    }

    /// Sends every record to every subtask of the next operator.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.broadcast().map(|number| number * 2)
    /// }
    /// ```
    pub fn broadcast(&self) -> DataStream<T> {
        self.with_strategy(ShipStrategy::Broadcast)
    }

    /// Deals records to random subtasks of the next operator.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.shuffle().map(|number| number * 2)
    /// }
    /// ```
    pub fn shuffle(&self) -> DataStream<T> {
        self.with_strategy(ShipStrategy::Shuffle)
    }

    /// Sends everything to the first subtask of the next operator.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.global().map(|number| number * 2)
    /// }
    /// ```
    pub fn global(&self) -> DataStream<T> {
        self.with_strategy(ShipStrategy::Global)
    }

    /// Deals records by a function from the record and the number of subtasks to a subtask. One that does not exist fails
    /// the job.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn by_length(words: &DataStream<String>) -> DataStream<String> {
    ///     words.partition_custom(|word, subtasks| word.len() % subtasks).filter(|word| !word.is_empty())
    /// }
    /// ```
    pub fn partition_custom<C>(&self, channel: C) -> DataStream<T>
    where
        C: Fn(&T, usize) -> usize + Clone + Send + Sync + 'static,
    {
        Self {
            strategy: Some(ShipStrategy::Custom),
            edge: Arc::new(TypedEdge::<T, (), C>::custom(channel)),
            ..self.clone()
        }
    }

    /// Ends the stream in a sink that takes records of type `T`.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, Sink};
    /// use tidemill_runtime::OperatorFactory;
    ///
    /// fn write(numbers: &DataStream<u64>, sink: impl OperatorFactory + 'static) -> Sink {
    ///     numbers.sink_to("numbers", sink)
    /// }
    /// ```
    #[track_caller]
    pub fn sink_to(&self, name: &str, sink: impl OperatorFactory + 'static) -> Sink {
        let node = self.add_node(name, NodeKind::Sink(Arc::new(sink)), Location::caller());
        self.connect_to(node, 0);
        Sink { stream: DataStream::of_node(self.env.clone(), node) }
    }

    /// Turns the records into columns and ends the stream in a sink that takes those.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, Sink};
    /// use tidemill_runtime::OperatorFactory;
    /// use tidemill_serialization::{ArrowRecord, Data};
    ///
    /// fn write<T: Data + ArrowRecord>(rows: &DataStream<T>, sink: impl OperatorFactory + 'static) -> Sink {
    ///     rows.sink_columns_to("rows", sink)
    /// }
    /// ```
    #[track_caller]
    pub fn sink_columns_to(&self, name: &str, sink: impl OperatorFactory + 'static) -> Sink
    where
        T: ArrowRecord,
    {
        let location = Location::caller();
        let node = self.add_node(name, NodeKind::Sink(Arc::new(ColumnSink::<T>::new(sink))), location);
        self.connect_to(node, 0);
        Sink { stream: DataStream::of_node(self.env.clone(), node) }
    }

    fn change(&self, change: impl Fn(&mut StreamNode)) -> DataStream<T> {
        {
            let mut building = self.env.building.borrow_mut();
            for origin in &self.origins {
                change(&mut building.graph.nodes[origin.node]);
            }
        }
        self.clone()
    }

    /// Names the operator, for people.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).name("double")
    /// }
    /// ```
    pub fn name(&self, name: &str) -> DataStream<T> {
        self.change(|node| node.name = name.to_owned())
    }

    /// Names the operator for its state: it finds it again by this when the job is changed.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).uid("double")
    /// }
    /// ```
    pub fn uid(&self, uid: &str) -> DataStream<T> {
        self.change(|node| node.uid = Some(uid.to_owned()))
    }

    /// Sets the parallelism of the operator.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).set_parallelism(4)
    /// }
    /// ```
    pub fn set_parallelism(&self, parallelism: u32) -> DataStream<T> {
        self.change(|node| node.parallelism = Some(parallelism))
    }

    /// Sets how many key groups the operator has, the limit of its parallelism.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).set_max_parallelism(1024)
    /// }
    /// ```
    pub fn set_max_parallelism(&self, max_parallelism: u32) -> DataStream<T> {
        self.change(|node| node.max_parallelism = Some(max_parallelism))
    }

    /// Sets the slot sharing group of the operator: operators of different groups never share a slot.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).slot_sharing_group("heavy")
    /// }
    /// ```
    pub fn slot_sharing_group(&self, group: &str) -> DataStream<T> {
        self.change(|node| node.slot_sharing_group = Some(group.to_owned()))
    }

    /// Sets how long a partly filled buffer of this operator's output may wait.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    /// use tidemill_runtime::graph::BufferTimeout;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).set_buffer_timeout(BufferTimeout::Immediate)
    /// }
    /// ```
    pub fn set_buffer_timeout(&self, timeout: BufferTimeout) -> DataStream<T> {
        self.change(|node| node.buffer_timeout = Some(timeout))
    }

    /// Never chains the operator to its neighbours.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).disable_chaining()
    /// }
    /// ```
    pub fn disable_chaining(&self) -> DataStream<T> {
        self.change(|node| node.chaining = ChainingStrategy::Never)
    }

    /// Never chains the operator to the one before.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// fn doubled(numbers: &DataStream<u64>) -> DataStream<u64> {
    ///     numbers.map(|number| number * 2).start_new_chain()
    /// }
    /// ```
    pub fn start_new_chain(&self) -> DataStream<T> {
        self.change(|node| node.chaining = ChainingStrategy::Head)
    }
}

struct ColumnSink<T> {
    sink: Box<dyn OperatorFactory>,
    records: PhantomData<fn(T)>,
}

impl<T> ColumnSink<T> {
    fn new(sink: impl OperatorFactory + 'static) -> Self {
        Self { sink: Box::new(sink), records: PhantomData }
    }
}

impl<T: Data + ArrowRecord> OperatorFactory for ColumnSink<T> {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, tidemill_runtime::OperatorError> {
        Ok(Box::new(ToColumnsOperator::<T>::new(self.sink.create(subtask)?)))
    }

    fn is_stateful(&self) -> bool {
        self.sink.is_stateful()
    }
}
