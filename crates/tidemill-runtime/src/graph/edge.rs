//! What an edge knows of its records: how to deal them to channels, and how to encode them.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::graph::ShipStrategy;
use tidemill_network::router::{
    BroadcastRouter, ByKeyGroup, Custom, Random, RoundRobin, Router, ScatterRouter, SingleRouter,
};
use tidemill_serialization::{BatchSerializer, Data, TypedBatchSerializer};

/// Where a router runs.
#[derive(Clone, Copy, Debug)]
pub struct RouterContext {
    /// How many channels it has.
    pub channels: usize,
    /// Which subtask of the producer it belongs to.
    pub subtask: u32,
    /// How many subtasks the consumer has.
    pub parallelism: u32,
    /// How many key groups the consumer has.
    pub max_parallelism: u32,
    /// Bytes of a buffer.
    pub segment_size: usize,
}

/// The record type of an edge.
pub trait EdgeType: Send + Sync {
    /// A router that deals records as `strategy` says.
    fn router(&self, strategy: ShipStrategy, context: &RouterContext) -> Box<dyn Router>;

    /// Encodes and decodes the edge's batches.
    fn serializer(&self) -> Arc<dyn BatchSerializer>;
}

/// An edge of typed records. `H` gives the routing hash of a record's key, `C` chooses a channel by a function of the
/// user; both are `()` where the edge has no such thing.
pub struct TypedEdge<T, H = (), C = ()> {
    hash: H,
    custom: C,
    records: PhantomData<fn(T)>,
}

impl<T: Data> TypedEdge<T> {
    /// An edge without a key.
    pub fn new() -> Self {
        Self { hash: (), custom: (), records: PhantomData }
    }
}

impl<T: Data> Default for TypedEdge<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Data, H: Fn(&T) -> u64 + Clone + Send + Sync> TypedEdge<T, H> {
    /// An edge that deals records by the routing hash of their key.
    pub fn keyed(hash: H) -> Self {
        Self { hash, custom: (), records: PhantomData }
    }
}

impl<T: Data, C: Fn(&T, usize) -> usize + Clone + Send + Sync> TypedEdge<T, (), C> {
    /// An edge that deals records by a function of record and number of channels.
    pub fn custom(custom: C) -> Self {
        Self { hash: (), custom, records: PhantomData }
    }
}

/// What a [`TypedEdge`] can do besides the strategies that every edge can.
pub trait OwnRouter<T>: Send + Sync {
    /// The router of the edge's own strategy, if it has one.
    fn own(&self, context: &RouterContext) -> Option<Box<dyn Router>>;
}

impl<T: Data> OwnRouter<T> for TypedEdge<T> {
    fn own(&self, _context: &RouterContext) -> Option<Box<dyn Router>> {
        None
    }
}

impl<T: Data, H: Fn(&T) -> u64 + Clone + Send + Sync + 'static> OwnRouter<T> for TypedEdge<T, H> {
    fn own(&self, context: &RouterContext) -> Option<Box<dyn Router>> {
        let selector = ByKeyGroup::new(self.hash.clone(), context.parallelism, context.max_parallelism);
        Some(Box::new(ScatterRouter::<T, _>::new(selector, context.channels, context.segment_size)))
    }
}

impl<T: Data, C: Fn(&T, usize) -> usize + Clone + Send + Sync + 'static> OwnRouter<T>
    for TypedEdge<T, (), C>
{
    fn own(&self, context: &RouterContext) -> Option<Box<dyn Router>> {
        let selector = Custom(self.custom.clone());
        Some(Box::new(ScatterRouter::<T, _>::new(selector, context.channels, context.segment_size)))
    }
}

impl<T: Data, H: Send + Sync, C: Send + Sync> EdgeType for TypedEdge<T, H, C>
where
    Self: OwnRouter<T>,
{
    fn router(&self, strategy: ShipStrategy, context: &RouterContext) -> Box<dyn Router> {
        let (channels, segment) = (context.channels, context.segment_size);
        if matches!(strategy, ShipStrategy::Hash | ShipStrategy::Custom)
            && let Some(own) = self.own(context)
        {
            return own;
        }
        match strategy {
            ShipStrategy::Broadcast => Box::new(BroadcastRouter::<T>::new(channels, segment)),
            ShipStrategy::Shuffle if channels > 1 => {
                let selector = Random::seeded(u64::from(context.subtask) << 32);
                Box::new(ScatterRouter::<T, _>::new(selector, channels, segment))
            }
            ShipStrategy::Rebalance | ShipStrategy::Rescale if channels > 1 => {
                let selector = RoundRobin::starting_at(context.subtask as usize);
                Box::new(ScatterRouter::<T, _>::new(selector, channels, segment))
            }
            _ => Box::new(SingleRouter::<T>::new(0, segment)),
        }
    }

    fn serializer(&self) -> Arc<dyn BatchSerializer> {
        Arc::new(TypedBatchSerializer::<T>::default())
    }
}
