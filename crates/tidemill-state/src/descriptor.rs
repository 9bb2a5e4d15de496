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

/// The name of a type without the paths of modules, which may change without the type changing.
pub(crate) fn type_label<T: ?Sized>() -> String {
    let full = std::any::type_name::<T>();
    let mut label = String::with_capacity(full.len());
    let mut rest = full;
    while let Some(first) = rest.chars().next() {
        if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match after.strip_prefix("::") {
                Some(after_path) => rest = after_path,
                None => {
                    label.push_str(word);
                    rest = after;
                }
            }
        } else {
            label.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_no_paths() {
        assert_eq!(type_label::<u64>(), "u64");
        assert_eq!(type_label::<Vec<Option<String>>>(), "Vec<Option<String>>");
        assert_eq!(type_label::<(String, [u8; 4])>(), "(String, [u8; 4])");
        assert_eq!(type_label::<StateTtlConfig>(), "StateTtlConfig");
    }
}
