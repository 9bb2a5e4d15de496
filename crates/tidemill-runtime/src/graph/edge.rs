//! What an edge knows of its records: how to deal them to channels, and how to encode them.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use tidemill_core::graph::ShipStrategy;
use tidemill_network::NetworkError;
use tidemill_network::router::{
    BroadcastRouter, ByKeyGroup, Custom, Random, RoundRobin, Router, ScatterRouter, SingleRouter,
};
use tidemill_serialization::{BatchSerializer, Data, TypedBatchSerializer};

/// Where a router runs.
///
/// ```
/// use tidemill_core::graph::ShipStrategy;
/// use tidemill_runtime::graph::{EdgeType, RouterContext, TypedEdge};
///
/// let context =
///     RouterContext { channels: 4, subtask: 0, parallelism: 4, max_parallelism: 128, segment_size: 32 * 1024 };
/// let router = TypedEdge::<u64>::new().router(ShipStrategy::Rebalance, &context);
/// assert!(router.is_ok_and(|router| !router.has_pending()));
/// ```
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

/// The subtasks of a consumer of parallelism `targets` that subtask `index` of `sources` producers has channels to.
///
/// ```
/// use tidemill_core::graph::ShipStrategy;
/// use tidemill_runtime::graph::reached_subtasks;
///
/// assert_eq!(reached_subtasks(ShipStrategy::Forward, 1, 2, 2), 1..2);
/// assert_eq!(reached_subtasks(ShipStrategy::Hash, 1, 2, 3), 0..3);
/// ```
pub fn reached_subtasks(strategy: ShipStrategy, index: u32, sources: u32, targets: u32) -> Range<u32> {
    match strategy {
        ShipStrategy::Forward => index..index + 1,
        ShipStrategy::Rescale => pointwise(index, sources, targets),
        _ => 0..targets,
    }
}

/// The subtasks of a producer of parallelism `sources` that have channels to subtask `index` of `targets` consumers: the
/// other end of [`reached_subtasks`].
///
/// ```
/// use tidemill_core::graph::ShipStrategy;
/// use tidemill_runtime::graph::reaching_subtasks;
///
/// assert_eq!(reaching_subtasks(ShipStrategy::Rescale, 1, 4, 2), 2..4);
/// assert_eq!(reaching_subtasks(ShipStrategy::Hash, 1, 4, 2), 0..4);
/// ```
pub fn reaching_subtasks(strategy: ShipStrategy, index: u32, sources: u32, targets: u32) -> Range<u32> {
    match strategy {
        ShipStrategy::Forward => index..index + 1,
        ShipStrategy::Rescale => pointwise(index, targets, sources),
        _ => 0..sources,
    }
}

/// Flink's pointwise distribution: of `here` and `there` subtasks, number i of the more goes with number
/// i * fewer / more of the fewer. Those of `there` that number `index` of `here` goes with.
fn pointwise(index: u32, here: u32, there: u32) -> Range<u32> {
    let (index, here, there) = (u64::from(index), u64::from(here.max(1)), u64::from(there));
    // None is beyond `there`, which is 32 bits.
    if here >= there {
        let only = (index * there / here) as u32;
        only..only + 1
    } else {
        (index * there).div_ceil(here) as u32..((index + 1) * there).div_ceil(here) as u32
    }
}

/// The record type of an edge.
///
/// ```
/// use tidemill_runtime::graph::{EdgeType, TypedEdge};
///
/// let edge: &dyn EdgeType = &TypedEdge::<u64>::new();
/// assert_eq!(edge.serializer().type_name(), "u64");
/// ```
pub trait EdgeType: Send + Sync {
    /// Whether records can be dealt as `strategy` says: by hash only with a key, custom only with a function.
    fn supports(&self, strategy: ShipStrategy) -> bool;

    /// A router that deals records as `strategy` says.
    ///
    /// # Errors
    /// [`NetworkError::NoPartitioner`] when the edge does not [support](Self::supports) it.
    fn router(
        &self,
        strategy: ShipStrategy,
        context: &RouterContext,
    ) -> Result<Box<dyn Router>, NetworkError>;

    /// Encodes and decodes the edge's batches.
    fn serializer(&self) -> Arc<dyn BatchSerializer>;
}

/// An edge of typed records. `H` gives the routing hash of a record's key, `C` chooses a channel by a function of the
/// user; both are `()` where the edge has no such thing.
///
/// ```
/// use tidemill_core::hash::RoutingHash;
/// use tidemill_runtime::graph::{EdgeType, TypedEdge};
///
/// let plain = TypedEdge::<(String, u64)>::new();
/// let by_name = TypedEdge::<(String, u64), _>::keyed(|record: &(String, u64)| record.0.routing_hash());
/// assert_eq!(plain.serializer().type_name(), by_name.serializer().type_name());
/// ```
pub struct TypedEdge<T, H = (), C = ()> {
    hash: H,
    custom: C,
    records: PhantomData<fn(T)>,
}

impl<T: Data> TypedEdge<T> {
    /// An edge without a key.
    ///
    /// ```
    /// use tidemill_runtime::graph::{EdgeType, TypedEdge};
    ///
    /// assert_eq!(TypedEdge::<u64>::new().serializer().type_name(), "u64");
    /// ```
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
    ///
    /// ```
    /// use tidemill_core::hash::RoutingHash;
    /// use tidemill_runtime::graph::TypedEdge;
    ///
    /// let edge = TypedEdge::<u64, _>::keyed(|number: &u64| number.routing_hash());
    /// # let _ = edge;
    /// ```
    pub fn keyed(hash: H) -> Self {
        Self { hash, custom: (), records: PhantomData }
    }
}

impl<T: Data, C: Fn(&T, usize) -> usize + Clone + Send + Sync> TypedEdge<T, (), C> {
    /// An edge that deals records by a function of record and number of channels.
    ///
    /// ```
    /// use tidemill_runtime::graph::TypedEdge;
    ///
    /// let edge = TypedEdge::<u64, (), _>::custom(|number: &u64, channels| *number as usize % channels);
    /// # let _ = edge;
    /// ```
    pub fn custom(custom: C) -> Self {
        Self { hash: (), custom, records: PhantomData }
    }
}

/// What a [`TypedEdge`] can do besides the strategies that every edge can.
pub trait OwnRouter<T>: Send + Sync {
    /// The edge's own strategy, if it has one.
    const OWN: Option<ShipStrategy>;

    /// The router of the edge's own strategy, if it has one.
    fn own(&self, context: &RouterContext) -> Option<Box<dyn Router>>;
}

impl<T: Data> OwnRouter<T> for TypedEdge<T> {
    const OWN: Option<ShipStrategy> = None;

    fn own(&self, _context: &RouterContext) -> Option<Box<dyn Router>> {
        None
    }
}

impl<T: Data, H: Fn(&T) -> u64 + Clone + Send + Sync + 'static> OwnRouter<T> for TypedEdge<T, H> {
    const OWN: Option<ShipStrategy> = Some(ShipStrategy::Hash);

    fn own(&self, context: &RouterContext) -> Option<Box<dyn Router>> {
        let selector = ByKeyGroup::new(self.hash.clone(), context.parallelism, context.max_parallelism);
        Some(Box::new(ScatterRouter::<T, _>::new(selector, context.channels, context.segment_size)))
    }
}

impl<T: Data, C: Fn(&T, usize) -> usize + Clone + Send + Sync + 'static> OwnRouter<T>
    for TypedEdge<T, (), C>
{
    const OWN: Option<ShipStrategy> = Some(ShipStrategy::Custom);

    fn own(&self, context: &RouterContext) -> Option<Box<dyn Router>> {
        let selector = Custom(self.custom.clone());
        Some(Box::new(ScatterRouter::<T, _>::new(selector, context.channels, context.segment_size)))
    }
}

impl<T: Data, H: Send + Sync, C: Send + Sync> EdgeType for TypedEdge<T, H, C>
where
    Self: OwnRouter<T>,
{
    fn supports(&self, strategy: ShipStrategy) -> bool {
        !matches!(strategy, ShipStrategy::Hash | ShipStrategy::Custom) || Self::OWN == Some(strategy)
    }

    fn router(
        &self,
        strategy: ShipStrategy,
        context: &RouterContext,
    ) -> Result<Box<dyn Router>, NetworkError> {
        let (channels, segment) = (context.channels, context.segment_size);
        Ok(match strategy {
            ShipStrategy::Hash | ShipStrategy::Custom => {
                let own = self.own(context).filter(|_| Self::OWN == Some(strategy));
                own.ok_or(NetworkError::NoPartitioner { strategy: strategy.name() })?
            }
            ShipStrategy::Broadcast => Box::new(BroadcastRouter::<T>::new(channels, segment)),
            ShipStrategy::Shuffle if channels > 1 => {
                let selector = Random::seeded(u64::from(context.subtask) << 32);
                Box::new(ScatterRouter::<T, _>::new(selector, channels, segment))
            }
            ShipStrategy::Rebalance | ShipStrategy::Rescale if channels > 1 => {
                let selector = RoundRobin::starting_at(context.subtask as usize);
                Box::new(ScatterRouter::<T, _>::new(selector, channels, segment))
            }
            ShipStrategy::Forward
            | ShipStrategy::Global
            | ShipStrategy::Shuffle
            | ShipStrategy::Rebalance
            | ShipStrategy::Rescale => Box::new(SingleRouter::<T>::new(0, segment)),
        })
    }

    fn serializer(&self) -> Arc<dyn BatchSerializer> {
        Arc::new(TypedBatchSerializer::<T>::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_know_the_same_channels() {
        for (sources, targets) in (1..20).flat_map(|sources| (1..20).map(move |targets| (sources, targets))) {
            for strategy in [ShipStrategy::Rescale, ShipStrategy::Rebalance, ShipStrategy::Hash] {
                for (source, target) in (0..sources).flat_map(|s| (0..targets).map(move |t| (s, t))) {
                    let reached = reached_subtasks(strategy, source, sources, targets).contains(&target);
                    let reaching = reaching_subtasks(strategy, target, sources, targets).contains(&source);
                    let is_channel = strategy != ShipStrategy::Rescale
                        || if sources >= targets {
                            source * targets / sources == target
                        } else {
                            target * sources / targets == source
                        };
                    assert_eq!(
                        (reached, reaching),
                        (is_channel, is_channel),
                        "{source}-{target} of {sources}-{targets}"
                    );
                }
            }
        }
        let most = 1 << 15;
        assert_eq!(reached_subtasks(ShipStrategy::Rescale, most - 1, most, most - 1), most - 2..most - 1);
    }
}
