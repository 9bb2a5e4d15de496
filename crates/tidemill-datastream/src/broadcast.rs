//! A stream that every subtask gets the whole of, to keep as state: rules, prices, who is blocked.

use std::marker::PhantomData;
use std::panic::Location;

use tidemill_runtime::operator::stateful;
use tidemill_serialization::Data;

use crate::broadcast_functions::{BroadcastProcessFunction, KeyedBroadcastProcessFunction};
use crate::connected::add_two_input;
use crate::key::KeySelector;
use crate::keyed_stream::KeyedStream;
use crate::operators::{BroadcastProcessOperator, KeyedBroadcastProcessOperator};
use crate::stream::DataStream;

/// A stream whose records go to all subtasks of the operator that it is connected with.
///
/// ```
/// use tidemill_datastream::{BroadcastStream, DataStream};
///
/// /// Of rules, those that are meant for everyone.
/// fn shared(rules: &DataStream<(bool, String)>) -> BroadcastStream<(bool, String)> {
///     rules.filter(|(for_all, _)| *for_all).broadcast_state()
/// }
/// ```
pub struct BroadcastStream<B> {
    stream: DataStream<B>,
}

impl<B: Data> DataStream<B> {
    /// Makes of this stream one that another can be connected with, and whose records a function keeps as broadcast state. The
    /// states are declared by the function when it is opened.
    ///
    /// ```
    /// use tidemill_datastream::{BroadcastProcessFunction, DataStream};
    ///
    /// fn checked<F: BroadcastProcessFunction<i64, (String, i64), String>>(
    ///     payments: &DataStream<i64>,
    ///     rules: &DataStream<(String, i64)>,
    ///     function: F,
    /// ) -> DataStream<String> {
    ///     payments.connect_broadcast(&rules.broadcast_state()).process(function)
    /// }
    /// ```
    pub fn broadcast_state(&self) -> BroadcastStream<B> {
        BroadcastStream { stream: self.broadcast() }
    }

    /// Connects this stream with a broadcast one.
    ///
    /// ```
    /// use tidemill_datastream::{BroadcastConnectedStream, DataStream};
    ///
    /// fn connected(
    ///     payments: &DataStream<i64>,
    ///     rules: &DataStream<String>,
    /// ) -> BroadcastConnectedStream<i64, String> {
    ///     payments.connect_broadcast(&rules.broadcast_state())
    /// }
    /// ```
    pub fn connect_broadcast<R: Data>(
        &self,
        broadcast: &BroadcastStream<R>,
    ) -> BroadcastConnectedStream<B, R> {
        BroadcastConnectedStream { stream: self.clone(), broadcast: broadcast.stream.clone() }
    }
}

/// A stream and a broadcast one.
///
/// ```
/// use tidemill_datastream::{BroadcastConnectedStream, BroadcastProcessFunction, DataStream};
///
/// fn alarms<F: BroadcastProcessFunction<i64, String, String>>(
///     connected: &BroadcastConnectedStream<i64, String>,
///     function: F,
/// ) -> DataStream<String> {
///     connected.process(function)
/// }
/// ```
pub struct BroadcastConnectedStream<T, B> {
    stream: DataStream<T>,
    broadcast: DataStream<B>,
}

impl<T: Data, B: Data> BroadcastConnectedStream<T, B> {
    /// Any number of records from each record of either stream, by a function that has broadcast state.
    ///
    /// ```
    /// use tidemill_datastream::{
    ///     BroadcastContext, BroadcastProcessFunction, Collector, DataStream, ReadOnlyContext,
    /// };
    /// use tidemill_runtime::BoxError;
    /// use tidemill_state::{BroadcastState, MapStateDescriptor, OperatorStateBackend};
    ///
    /// /// Lets payments above any limit pass, with the name of the limit.
    /// #[derive(Clone, Default)]
    /// struct Limits(Option<BroadcastState<String, i64>>);
    ///
    /// impl BroadcastProcessFunction<i64, (String, i64), (String, i64)> for Limits {
    ///     fn open(&mut self, broadcast: &mut OperatorStateBackend) -> Result<(), BoxError> {
    ///         self.0 = Some(broadcast.register_broadcast(MapStateDescriptor::new("limits"))?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         payment: i64,
    ///         context: &mut ReadOnlyContext<'_, '_>,
    ///         out: &mut Collector<(String, i64)>,
    ///     ) -> Result<(), BoxError> {
    ///         let Some(limits) = self.0 else { return Ok(()) };
    ///         for (name, limit) in limits.entries(context.broadcast_state())? {
    ///             if payment > *limit {
    ///                 out.collect((name.clone(), payment));
    ///             }
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     fn process_broadcast(
    ///         &mut self,
    ///         (name, limit): (String, i64),
    ///         context: &mut BroadcastContext<'_, '_>,
    ///         _: &mut Collector<(String, i64)>,
    ///     ) -> Result<(), BoxError> {
    ///         let Some(limits) = self.0 else { return Ok(()) };
    ///         Ok(limits.put(context.broadcast_state(), name, limit)?)
    ///     }
    /// }
    ///
    /// fn above(
    ///     payments: &DataStream<i64>,
    ///     limits: &DataStream<(String, i64)>,
    /// ) -> DataStream<(String, i64)> {
    ///     payments.connect_broadcast(&limits.broadcast_state()).process(Limits::default())
    /// }
    /// ```
    #[track_caller]
    pub fn process<U: Data, F: BroadcastProcessFunction<T, B, U>>(&self, function: F) -> DataStream<U> {
        let factory = stateful(move || BroadcastProcessOperator::new(function.clone()));
        let name = "Co-Process-Broadcast";
        add_two_input(&self.stream, &self.broadcast, name, factory, Location::caller())
    }
}

impl<T: Data, S: KeySelector<T>> KeyedStream<T, S> {
    /// Connects this stream with a broadcast one.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, KeyedBroadcastProcessFunction};
    ///
    /// fn checked<F: KeyedBroadcastProcessFunction<u64, (u64, i64), String, String>>(
    ///     payments: &DataStream<(u64, i64)>,
    ///     rules: &DataStream<String>,
    ///     function: F,
    /// ) -> DataStream<String> {
    ///     payments.key_by(|payment| payment.0).connect_broadcast(&rules.broadcast_state()).process(function)
    /// }
    /// ```
    pub fn connect_broadcast<B: Data>(
        &self,
        broadcast: &BroadcastStream<B>,
    ) -> KeyedBroadcastConnectedStream<T, B, S> {
        KeyedBroadcastConnectedStream {
            stream: self.clone(),
            broadcast: broadcast.stream.clone(),
            types: PhantomData,
        }
    }
}

/// A keyed stream and a broadcast one.
///
/// ```
/// use tidemill_datastream::{
///     DataStream, KeySelector, KeyedBroadcastConnectedStream, KeyedBroadcastProcessFunction,
/// };
///
/// fn alarms<S: KeySelector<i64>, F: KeyedBroadcastProcessFunction<S::Key, i64, String, String>>(
///     connected: &KeyedBroadcastConnectedStream<i64, String, S>,
///     function: F,
/// ) -> DataStream<String> {
///     connected.process(function)
/// }
/// ```
pub struct KeyedBroadcastConnectedStream<T, B, S> {
    stream: KeyedStream<T, S>,
    broadcast: DataStream<B>,
    types: PhantomData<fn(T, B)>,
}

impl<T: Data, B: Data, S: KeySelector<T>> KeyedBroadcastConnectedStream<T, B, S> {
    /// Any number of records from each record of either stream, by a function that has keyed state, timers and broadcast state.
    ///
    /// ```
    /// use tidemill_datastream::{
    ///     Collector, DataStream, KeyedBroadcastContext, KeyedBroadcastProcessFunction, KeyedReadOnlyContext,
    /// };
    /// use tidemill_runtime::BoxError;
    /// use tidemill_state::{
    ///     BroadcastState, KeyedStateBackend, MapStateDescriptor, OperatorStateBackend, ValueState,
    ///     ValueStateDescriptor,
    /// };
    ///
    /// /// Counts the records of each key, until a broadcast record names the unit to count in: then all begin anew.
    /// #[derive(Clone, Default)]
    /// struct Counts {
    ///     counts: Option<ValueState<u64>>,
    ///     units: Option<BroadcastState<u8, u64>>,
    /// }
    ///
    /// impl KeyedBroadcastProcessFunction<String, String, u64, u64> for Counts {
    ///     fn open(
    ///         &mut self,
    ///         states: &mut KeyedStateBackend<String>,
    ///         broadcast: &mut OperatorStateBackend,
    ///     ) -> Result<(), BoxError> {
    ///         self.counts = Some(states.register_value(ValueStateDescriptor::new("counts"))?);
    ///         self.units = Some(broadcast.register_broadcast(MapStateDescriptor::new("units"))?);
    ///         Ok(())
    ///     }
    ///
    ///     fn process(
    ///         &mut self,
    ///         _: String,
    ///         context: &mut KeyedReadOnlyContext<'_, '_, String>,
    ///         out: &mut Collector<u64>,
    ///     ) -> Result<(), BoxError> {
    ///         let (Some(counts), Some(units)) = (self.counts, self.units) else { return Ok(()) };
    ///         let unit = units.get(context.broadcast_state(), &0)?.copied().unwrap_or(1);
    ///         let count = counts.get(context.state())?.unwrap_or(0) + unit;
    ///         counts.update(context.state(), count)?;
    ///         out.collect(count);
    ///         Ok(())
    ///     }
    ///
    ///     fn process_broadcast(
    ///         &mut self,
    ///         unit: u64,
    ///         context: &mut KeyedBroadcastContext<'_, '_, String>,
    ///         _: &mut Collector<u64>,
    ///     ) -> Result<(), BoxError> {
    ///         let (Some(counts), Some(units)) = (self.counts, self.units) else { return Ok(()) };
    ///         units.put(context.broadcast_state(), 0, unit)?;
    ///         context.apply_to_keyed_state("counts", |_, states| counts.clear(states))?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn counts(words: &DataStream<String>, units: &DataStream<u64>) -> DataStream<u64> {
    ///     let words = words.key_by_ref(|word| word);
    ///     words.connect_broadcast(&units.broadcast_state()).process(Counts::default())
    /// }
    /// ```
    #[track_caller]
    pub fn process<U: Data, F>(&self, function: F) -> DataStream<U>
    where
        F: KeyedBroadcastProcessFunction<S::Key, T, B, U>,
    {
        let selector = self.stream.selector.clone();
        let factory =
            stateful(move || KeyedBroadcastProcessOperator::new(selector.clone(), function.clone()));
        let name = "Co-Process-Broadcast-Keyed";
        add_two_input(&self.stream.stream, &self.broadcast, name, factory, Location::caller())
    }
}
