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
use crate::windows::WindowAssigner;

/// A stream in which all records of one key come to one subtask, so that the operators after it can keep state by key.
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
    pub fn window<A: WindowAssigner<T>>(&self, assigner: A) -> WindowedStream<T, S, A, A::DefaultTrigger> {
        WindowedStream::new(self.clone(), assigner)
    }
}
