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
            pub fn new(name: impl Into<String>) -> Self {
                Self { name: name.into(), ttl: None, types: PhantomData }
            }

            /// Lets the state expire.
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
    pub fn new(name: impl Into<String>, function: impl ReduceFunction<V>) -> Self {
        Self { name: name.into(), ttl: None, function: Arc::new(function) }
    }

    /// Lets the state expire.
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
    pub fn new(
        name: impl Into<String>,
        function: impl AggregateFunction<In = IN, Acc = ACC, Out = OUT>,
    ) -> Self {
        Self::from_shared(name, Arc::new(function))
    }

    /// Like [`new`](Self::new), for a function that others hold too.
    pub fn from_shared(
        name: impl Into<String>,
        function: Arc<dyn AggregateFunction<In = IN, Acc = ACC, Out = OUT>>,
    ) -> Self {
        Self { name: name.into(), ttl: None, function }
    }

    /// Lets the state expire.
    pub fn with_ttl(mut self, ttl: StateTtlConfig) -> Self {
        self.ttl = Some(ttl);
        self
    }
}
