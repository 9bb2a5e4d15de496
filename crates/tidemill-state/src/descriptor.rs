//! What a job declares about a state: its name, what it holds, how long it lives.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::function::{AggregateFunction, ReduceFunction};
use crate::ttl::StateTtlConfig;

macro_rules! plain_descriptor {
    ($(#[$doc:meta])* $name:ident<$($t:ident),*>) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<$($t),*> {
            pub(crate) name: String,
            pub(crate) ttl: Option<StateTtlConfig>,
            types: PhantomData<fn() -> ($($t,)*)>,
        }

        impl<$($t),*> $name<$($t),*> {
            /// Declares a state that lives until it is cleared. Snapshots find it by `name`, which is
            /// unique in its operator.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
            /// # use tidemill_state::{KeyedStateBackend, SystemClock};
            /// # let budget = MemoryBudget::unlimited("state");
            /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
            /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
            /// use tidemill_state::{ValueState, ValueStateDescriptor};
            ///
            /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
            /// visits.update(&mut backend, 7)?;
            /// assert_eq!(backend.snapshot()?.keyed[0].name, "visits");
            /// # Ok::<(), tidemill_state::StateError>(())
            /// ```
            pub fn new(name: impl Into<String>) -> Self {
                Self { name: name.into(), ttl: None, types: PhantomData }
            }

            /// Lets the state expire.
            ///
            /// ```
            /// # use std::sync::Arc;
            /// # use std::time::Duration;
            /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
            /// # use tidemill_state::{KeyedStateBackend, ManualClock};
            /// use tidemill_state::{StateTtlConfig, ValueState, ValueStateDescriptor};
            ///
            /// let clock = ManualClock::at(0);
            /// # let (groups, budget) = (KeyGroupRange::all(128), MemoryBudget::unlimited("state"));
            /// # let mut backend = KeyedStateBackend::new(groups, 128, Arc::new(clock.clone()), budget);
            /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
            /// let second = StateTtlConfig::new(Duration::from_secs(1));
            /// let visits = ValueStateDescriptor::new("visits").with_ttl(second);
            /// let visits: ValueState<u64> = backend.register_value(visits)?;
            /// visits.update(&mut backend, 7)?;
            /// clock.advance(1_000);
            /// assert_eq!(visits.get(&mut backend)?, None);
            /// # Ok::<(), tidemill_state::StateError>(())
            /// ```
            pub fn with_ttl(mut self, ttl: StateTtlConfig) -> Self {
                self.ttl = Some(ttl);
                self
            }
        }
    };
}

plain_descriptor! {
    /// Declares a [`ValueState`](crate::ValueState): one value a key.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::{StateTtlConfig, ValueStateDescriptor};
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// let visits = ValueStateDescriptor::<u64>::new("visits").with_ttl(hour);
    /// # let _ = visits;
    /// ```
    ValueStateDescriptor<V>
}
plain_descriptor! {
    /// Declares a [`ListState`](crate::ListState): a list a key.
    ///
    /// ```
    /// use tidemill_state::ListStateDescriptor;
    ///
    /// let delays = ListStateDescriptor::<i64>::new("delays");
    /// # let _ = delays;
    /// ```
    ListStateDescriptor<E>
}
plain_descriptor! {
    /// Declares a [`MapState`](crate::MapState): a map a key.
    ///
    /// ```
    /// use tidemill_state::MapStateDescriptor;
    ///
    /// let gates = MapStateDescriptor::<u16, String>::new("gates");
    /// # let _ = gates;
    /// ```
    MapStateDescriptor<UK, UV>
}

/// Declares a [`ReducingState`](crate::ReducingState): one value a key, into which values are reduced.
///
/// ```
/// use tidemill_state::ReducingStateDescriptor;
///
/// let largest = ReducingStateDescriptor::new("largest", |largest: &mut u64, next: u64| *largest = next.max(*largest));
/// # let _ = largest;
/// ```
#[derive(Clone)]
pub struct ReducingStateDescriptor<V> {
    pub(crate) name: String,
    pub(crate) ttl: Option<StateTtlConfig>,
    pub(crate) function: Arc<dyn ReduceFunction<V>>,
}

impl<V> ReducingStateDescriptor<V> {
    /// Declares a state that lives until it is cleared. Snapshots find it by `name`, which is unique in its
    /// operator.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ReducingState, ReducingStateDescriptor};
    ///
    /// let largest = |largest: &mut u64, next: u64| *largest = next.max(*largest);
    /// let record: ReducingState<u64> = backend.register_reducing(ReducingStateDescriptor::new("record", largest))?;
    /// record.add(&mut backend, 7)?;
    /// record.add(&mut backend, 5)?;
    /// assert_eq!(record.get(&mut backend)?, Some(7));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn new(name: impl Into<String>, function: impl ReduceFunction<V>) -> Self {
        Self { name: name.into(), ttl: None, function: Arc::new(function) }
    }

    /// Lets the state expire.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::{ReducingStateDescriptor, StateTtlConfig};
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// let sum = |sum: &mut u64, more: u64| *sum += more;
    /// let hourly = ReducingStateDescriptor::new("seats", sum).with_ttl(hour);
    /// # let _ = hourly;
    /// ```
    pub fn with_ttl(mut self, ttl: StateTtlConfig) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// Declares an [`AggregatingState`](crate::AggregatingState): one accumulator a key.
///
/// ```
/// use tidemill_state::{AggregateFunction, AggregatingStateDescriptor};
///
/// fn declared<F: AggregateFunction>(function: F) -> AggregatingStateDescriptor<F::In, F::Acc, F::Out> {
///     AggregatingStateDescriptor::new("aggregate", function)
/// }
/// ```
#[derive(Clone)]
pub struct AggregatingStateDescriptor<IN, ACC, OUT> {
    pub(crate) name: String,
    pub(crate) ttl: Option<StateTtlConfig>,
    pub(crate) function: Arc<dyn AggregateFunction<In = IN, Acc = ACC, Out = OUT>>,
}

impl<IN, ACC, OUT> AggregatingStateDescriptor<IN, ACC, OUT> {
    /// Declares a state that lives until it is cleared. Snapshots find it by `name`, which is unique in its
    /// operator.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{AggregateFunction, AggregatingState, AggregatingStateDescriptor};
    ///
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
    /// let flights: AggregatingState<String, u64, u64> =
    ///     backend.register_aggregating(AggregatingStateDescriptor::new("flights", Count))?;
    /// flights.add(&mut backend, "UA15".to_owned())?;
    /// assert_eq!(flights.get(&mut backend)?, Some(1));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn new(
        name: impl Into<String>,
        function: impl AggregateFunction<In = IN, Acc = ACC, Out = OUT>,
    ) -> Self {
        Self::from_shared(name, Arc::new(function))
    }

    /// Like [`new`](Self::new), for a function that others hold too.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_state::{AggregateFunction, AggregatingStateDescriptor};
    ///
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
    /// let count = Arc::new(Count);
    /// let flights = AggregatingStateDescriptor::from_shared("flights", count.clone());
    /// assert_eq!(Arc::strong_count(&count), 2);
    /// # drop(flights);
    /// ```
    pub fn from_shared(
        name: impl Into<String>,
        function: Arc<dyn AggregateFunction<In = IN, Acc = ACC, Out = OUT>>,
    ) -> Self {
        Self { name: name.into(), ttl: None, function }
    }

    /// Lets the state expire.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::{AggregateFunction, AggregatingStateDescriptor, StateTtlConfig};
    ///
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
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// let hourly = AggregatingStateDescriptor::new("flights", Count).with_ttl(hour);
    /// # let _ = hourly;
    /// ```
    pub fn with_ttl(mut self, ttl: StateTtlConfig) -> Self {
        self.ttl = Some(ttl);
        self
    }
}
