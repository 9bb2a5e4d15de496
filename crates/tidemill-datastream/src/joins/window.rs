//! Joins and groups of two streams by windows.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tidemill_runtime::graph::NodeKind;
use tidemill_runtime::{BoxError, Operator, OperatorError, OperatorFactory};
use tidemill_serialization::{Data, Key, Record};

use crate::functions::Collector;
use crate::joins::tagged::{Tagged, TaggedSelector};
use crate::key::{ByRef, ByValue, KeySelector};
use crate::keyed_stream::KeyedStream;
use crate::operators::WindowJoinOperator;
use crate::stream::DataStream;
use crate::windowed_stream::WindowedStream;
use crate::windows::{Elements, ProcessWindowFunction, Trigger, Window, WindowAssigner, WindowContext};

/// A join makes a result of each pair of records that have the same key and are in the same window.
///
/// ```
/// use tidemill_datastream::DataStream;
/// use tidemill_datastream::joins::{Join, TwoStreams};
///
/// fn pairs(orders: &DataStream<u64>, payments: &DataStream<i64>) -> TwoStreams<u64, i64, Join> {
///     orders.join(payments)
/// }
/// ```
pub struct Join;

/// A group hands all records of both streams that have the same key and are in the same window to one call; those of either may
/// be none.
///
/// ```
/// use tidemill_datastream::DataStream;
/// use tidemill_datastream::joins::{CoGroup, TwoStreams};
///
/// fn groups(orders: &DataStream<u64>, payments: &DataStream<i64>) -> TwoStreams<u64, i64, CoGroup> {
///     orders.co_group(payments)
/// }
/// ```
pub struct CoGroup;

/// Two streams that are to be joined or grouped (`M` is [`Join`] or [`CoGroup`]): their keys are still to be said.
///
/// ```
/// use tidemill_datastream::DataStream;
/// use tidemill_datastream::joins::{Join, TwoStreams};
/// use tidemill_datastream::windows::GlobalWindows;
///
/// fn sums(both: TwoStreams<(u64, i64), (u64, i64), Join>) -> DataStream<i64> {
///     let by_user = both.where_key(|record| record.0).equal_to(|record| record.0);
///     by_user.window(GlobalWindows::create_with_end_of_stream_trigger()).apply(|a, b| a.1 + b.1)
/// }
/// ```
pub struct TwoStreams<A, B, M> {
    first: DataStream<A>,
    second: DataStream<B>,
    mode: PhantomData<fn() -> M>,
}

impl<A: Data> DataStream<A> {
    /// Joins the records of this stream with those of another that have the same key and are in the same window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn paid(orders: &DataStream<(u64, String)>, payments: &DataStream<(u64, i64)>) -> DataStream<(String, i64)> {
    ///     orders
    ///         .join(payments)
    ///         .where_key(|order| order.0)
    ///         .equal_to(|payment| payment.0)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| (order.1.clone(), payment.1))
    /// }
    /// ```
    pub fn join<B: Data>(&self, other: &DataStream<B>) -> TwoStreams<A, B, Join> {
        TwoStreams { first: self.clone(), second: other.clone(), mode: PhantomData }
    }

    /// Groups the records of this stream with those of another that have the same key and are in the same window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// /// For each user and minute: how many orders, how many payments.
    /// fn counts(orders: &DataStream<u64>, payments: &DataStream<u64>) -> DataStream<(u64, u64, u64)> {
    ///     orders
    ///         .co_group(payments)
    ///         .where_key(|user| *user)
    ///         .equal_to(|user| *user)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|user, _, orders, payments, out| {
    ///             out.collect((*user, orders.len() as u64, payments.len() as u64));
    ///             Ok(())
    ///         })
    /// }
    /// ```
    pub fn co_group<B: Data>(&self, other: &DataStream<B>) -> TwoStreams<A, B, CoGroup> {
        TwoStreams { first: self.clone(), second: other.clone(), mode: PhantomData }
    }
}

impl<A: Data, B: Data, M> TwoStreams<A, B, M> {
    /// Finds the key of records of the first stream.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key(|order| order.0.clone())
    ///         .equal_to(|payment| payment.0.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn where_key<K: Key, F>(self, key: F) -> Where<A, B, ByValue<F, K>, M>
    where
        F: Fn(&A) -> K + Clone + Send + Sync + 'static,
    {
        self.where_selector(ByValue::new(key))
    }

    /// Like [`where_key`](Self::where_key) for a key that is a part of the record, which then is not copied.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key_ref(|order| &order.0)
    ///         .equal_to_ref(|payment| &payment.0)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn where_key_ref<K: Key, F>(self, key: F) -> Where<A, B, ByRef<F, K>, M>
    where
        F: Fn(&A) -> &K + Clone + Send + Sync + 'static,
    {
        self.where_selector(ByRef::new(key))
    }

    /// Like [`where_key`](Self::where_key) with a selector of its own type.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::ByValue;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_selector(ByValue::new(|order: &(String, i64)| order.0.clone()))
    ///         .equal_to_selector(ByValue::new(|payment: &(String, i64)| payment.0.clone()))
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn where_selector<S: KeySelector<A>>(self, selector: S) -> Where<A, B, S, M> {
        Where { streams: self, selector }
    }
}

/// Two streams that are to be joined or grouped: the key of the second is still to be said.
///
/// ```
/// use tidemill_datastream::KeySelector;
/// use tidemill_datastream::joins::{EqualTo, Where};
///
/// fn same<S: KeySelector<u64, Key = u64>, M>(
///     join: Where<u64, (u64, i64), S, M>,
/// ) -> EqualTo<u64, (u64, i64), S, impl KeySelector<(u64, i64), Key = u64>, M> {
///     join.equal_to(|record: &(u64, i64)| record.0)
/// }
/// ```
pub struct Where<A, B, S, M> {
    streams: TwoStreams<A, B, M>,
    selector: S,
}

impl<A: Data, B: Data, S: KeySelector<A>, M> Where<A, B, S, M> {
    /// Finds the key of records of the second stream.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key(|order| order.0.clone())
    ///         .equal_to(|payment| payment.0.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn equal_to<F>(self, key: F) -> EqualTo<A, B, S, ByValue<F, S::Key>, M>
    where
        F: Fn(&B) -> S::Key + Clone + Send + Sync + 'static,
    {
        self.equal_to_selector(ByValue::new(key))
    }

    /// Like [`equal_to`](Self::equal_to) for a key that is a part of the record, which then is not copied.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key_ref(|order| &order.0)
    ///         .equal_to_ref(|payment| &payment.0)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn equal_to_ref<F>(self, key: F) -> EqualTo<A, B, S, ByRef<F, S::Key>, M>
    where
        F: Fn(&B) -> &S::Key + Clone + Send + Sync + 'static,
    {
        self.equal_to_selector(ByRef::new(key))
    }

    /// Like [`equal_to`](Self::equal_to) with a selector of its own type.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::ByValue;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_selector(ByValue::new(|order: &(String, i64)| order.0.clone()))
    ///         .equal_to_selector(ByValue::new(|payment: &(String, i64)| payment.0.clone()))
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn equal_to_selector<R: KeySelector<B, Key = S::Key>>(self, selector: R) -> EqualTo<A, B, S, R, M> {
        let Self { streams, selector: first } = self;
        EqualTo { streams, selector: TaggedSelector::new(first, selector) }
    }
}

/// Two streams that are to be joined or grouped: their windows are still to be said.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::joins::{CoGroup, EqualTo};
/// use tidemill_datastream::windows::TumblingEventTimeWindows;
/// use tidemill_datastream::{DataStream, KeySelector};
///
/// /// By how many more records the first stream has, by key and minute.
/// fn more<S: KeySelector<u64, Key = u64>, R: KeySelector<u64, Key = u64>>(
///     both: EqualTo<u64, u64, S, R, CoGroup>,
/// ) -> DataStream<i64> {
///     both.window(TumblingEventTimeWindows::of(Duration::from_secs(60))).apply(|_, _, first, second, out| {
///         out.collect(first.len() as i64 - second.len() as i64);
///         Ok(())
///     })
/// }
/// ```
pub struct EqualTo<A, B, S, R, M> {
    streams: TwoStreams<A, B, M>,
    selector: TaggedSelector<S, R>,
}

impl<A, B, S, R, M> EqualTo<A, B, S, R, M>
where
    A: Data,
    B: Data,
    S: KeySelector<A>,
    R: KeySelector<B, Key = S::Key>,
{
    /// Groups the records of both streams into windows.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key(|order| order.0.clone())
    ///         .equal_to(|payment| payment.0.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    #[track_caller]
    pub fn window<W: WindowAssigner<Tagged<A, B>>>(
        self,
        assigner: W,
    ) -> TwoWindowed<A, B, S, R, W, W::DefaultTrigger, M> {
        let TwoStreams { first, second, .. } = self.streams;
        let tagged = first.map(Tagged::First).union(&[&second.map(Tagged::Second)]);
        let windowed = KeyedStream::new(tagged, self.selector).window(assigner);
        TwoWindowed { windowed, mode: PhantomData }
    }
}

/// Two streams in windows, to be joined or grouped.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::DataStream;
/// use tidemill_datastream::windows::EventTimeSessionWindows;
///
/// fn of_one_session(clicks: &DataStream<(u64, String)>, orders: &DataStream<(u64, i64)>) -> DataStream<(String, i64)> {
///     let by_user = clicks.join(orders).where_key(|click| click.0).equal_to(|order| order.0);
///     let windowed = by_user.window(EventTimeSessionWindows::with_gap(Duration::from_secs(60)));
///     windowed.apply(|click, order| (click.1.clone(), order.1))
/// }
/// ```
pub struct TwoWindowed<A, B, S, R, W, T, M>
where
    A: Data,
    B: Data,
    W: WindowAssigner<Tagged<A, B>>,
{
    windowed: WindowedStream<Tagged<A, B>, TaggedSelector<S, R>, W, T>,
    mode: PhantomData<fn() -> M>,
}

impl<A, B, S, R, W, T, M> TwoWindowed<A, B, S, R, W, T, M>
where
    A: Data,
    B: Data,
    S: KeySelector<A>,
    R: KeySelector<B, Key = S::Key>,
    W: WindowAssigner<Tagged<A, B>>,
    T: Trigger<Tagged<A, B>, W::Window>,
{
    /// Fires windows by another trigger than the assigner's.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::{EventTimeTrigger, PurgingTrigger};
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key(|order| order.0.clone())
    ///         .equal_to(|payment| payment.0.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .trigger(PurgingTrigger::of(EventTimeTrigger))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn trigger<Q: Trigger<Tagged<A, B>, W::Window>>(
        self,
        trigger: Q,
    ) -> TwoWindowed<A, B, S, R, W, Q, M> {
        TwoWindowed { windowed: self.windowed.trigger(trigger), mode: PhantomData }
    }

    /// Keeps windows for `lateness` after event time has passed their end; records that come until then fire the window
    /// again, with all that it has.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key(|order| order.0.clone())
    ///         .equal_to(|payment| payment.0.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .allowed_lateness(Duration::from_secs(5))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { windowed: self.windowed.allowed_lateness(lateness), ..self }
    }
}

impl<A, B, S, R, W, T> TwoWindowed<A, B, S, R, W, T, CoGroup>
where
    A: Data,
    B: Data,
    S: KeySelector<A>,
    R: KeySelector<B, Key = S::Key>,
    W: WindowAssigner<Tagged<A, B>>,
    T: Trigger<Tagged<A, B>, W::Window>,
{
    /// Hands the records of both streams to a function, once for each key and window, with key and window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .co_group(payments)
    ///         .where_key_ref(|order| &order.0)
    ///         .equal_to_ref(|payment| &payment.0)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|_customer, _window, orders, payments, out| {
    ///             let sum = |records: Vec<(String, i64)>| records.iter().map(|record| record.1).sum::<i64>();
    ///             out.collect(sum(orders) - sum(payments));
    ///             Ok(())
    ///         })
    /// }
    /// ```
    #[track_caller]
    pub fn apply<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: FnMut(&S::Key, &W::Window, Vec<A>, Vec<B>, &mut Collector<U>) -> Result<(), BoxError>,
        F: Clone + Send + Sync + 'static,
    {
        self.windowed.process(Both { function, records: PhantomData }).name("CoGroup")
    }
}

impl<A, B, S, R, W, T> TwoWindowed<A, B, S, R, W, T, Join>
where
    A: Data,
    B: Data,
    S: KeySelector<A>,
    R: KeySelector<B, Key = S::Key>,
    W: WindowAssigner<Tagged<A, B>>,
    T: Trigger<Tagged<A, B>, W::Window>,
{
    /// One record from each pair; it has the last timestamp of the window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn example(orders: &DataStream<(String, i64)>, payments: &DataStream<(String, i64)>) -> DataStream<i64> {
    ///     orders
    ///         .join(payments)
    ///         .where_key(|order| order.0.clone())
    ///         .equal_to(|payment| payment.0.clone())
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply(|order, payment| order.1 - payment.1)
    /// }
    /// ```
    #[track_caller]
    pub fn apply<U: Data, F>(self, mut function: F) -> DataStream<U>
    where
        F: FnMut(&A, &B) -> U + Clone + Send + Sync + 'static,
    {
        self.apply_flat(move |first: &A, second: &B, out: &mut Collector<U>| {
            out.collect(function(first, second));
            Ok(())
        })
    }

    /// Any number of records from each pair; they have the last timestamp of the window.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::DataStream;
    /// use tidemill_datastream::windows::TumblingEventTimeWindows;
    ///
    /// fn larger(first: &DataStream<(u64, i64)>, second: &DataStream<(u64, i64)>) -> DataStream<i64> {
    ///     first
    ///         .join(second)
    ///         .where_key(|record| record.0)
    ///         .equal_to(|record| record.0)
    ///         .window(TumblingEventTimeWindows::of(Duration::from_secs(60)))
    ///         .apply_flat(|first, second, out| {
    ///             if first.1 > second.1 {
    ///                 out.collect(first.1);
    ///             }
    ///             Ok(())
    ///         })
    /// }
    /// ```
    #[track_caller]
    pub fn apply_flat<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: FnMut(&A, &B, &mut Collector<U>) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
    {
        let location = Location::caller();
        let both = Both { function: to_pairs::<S::Key, W::Window, A, B>, records: PhantomData };
        let groups: DataStream<Pairs<A, B>> = self.windowed.process(both).name("Join");
        // The operator that finds the groups makes the pairs of them, too: one operator, with one name and one state.
        for origin in &groups.origins {
            let mut building = groups.env.building.borrow_mut();
            let node = &mut building.graph.nodes[origin.node];
            node.location = location;
            if let NodeKind::Operator(windows) = &node.kind {
                let factory =
                    PairsOf { windows: Arc::clone(windows), function: function.clone(), types: PhantomData };
                node.kind = NodeKind::Operator(Arc::new(factory));
            }
        }
        let mut joined = DataStream::of_node(groups.env.clone(), 0);
        joined.origins.clone_from(&groups.origins);
        joined
    }
}

/// The records of one key and window, of which pairs are made.
#[derive(Clone, Debug, Record)]
pub(crate) struct Pairs<A, B> {
    pub(crate) first: Vec<A>,
    pub(crate) second: Vec<B>,
}

fn to_pairs<K, W, A: Data, B: Data>(
    _key: &K,
    _window: &W,
    first: Vec<A>,
    second: Vec<B>,
    out: &mut Collector<Pairs<A, B>>,
) -> Result<(), BoxError> {
    if !first.is_empty() && !second.is_empty() {
        out.collect(Pairs { first, second });
    }
    Ok(())
}

struct PairsOf<A, B, U, F> {
    windows: Arc<dyn OperatorFactory>,
    function: F,
    types: PhantomData<fn(A, B) -> U>,
}

impl<A, B, U, F> OperatorFactory for PairsOf<A, B, U, F>
where
    A: Data,
    B: Data,
    U: Data,
    F: FnMut(&A, &B, &mut Collector<U>) -> Result<(), BoxError> + Clone + Send + Sync + 'static,
{
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let windows = self.windows.create(subtask)?;
        Ok(Box::new(WindowJoinOperator::<A, B, U, F>::new(windows, self.function.clone())))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

/// Takes the records of a window apart.
struct Both<F, A, B> {
    function: F,
    records: PhantomData<fn(A, B)>,
}

impl<F: Clone, A, B> Clone for Both<F, A, B> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), records: PhantomData }
    }
}

impl<A, B, U, K, W, F> ProcessWindowFunction<Tagged<A, B>, U, K, W> for Both<F, A, B>
where
    A: Data,
    B: Data,
    U: Data,
    K: Key,
    W: Window,
    F: FnMut(&K, &W, Vec<A>, Vec<B>, &mut Collector<U>) -> Result<(), BoxError>,
    F: Clone + Send + Sync + 'static,
{
    fn process(
        &mut self,
        key: &K,
        context: &mut WindowContext<'_, K, W>,
        elements: Elements<Tagged<A, B>>,
        out: &mut Collector<U>,
    ) -> Result<(), BoxError> {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for element in elements {
            match element {
                Tagged::First(record) => first.push(record),
                Tagged::Second(record) => second.push(record),
            }
        }
        (self.function)(key, context.window(), first, second, out)
    }
}
