//! A pool, a gate and a partition, put together.

use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_network::{
    BufferTimeout, GateItem, InputGate, LocalBufferPool, NetworkBufferPool, ResultPartition, Router,
};
use tidemill_serialization::{Data, TypedBatchSerializer};

pub(crate) const SEGMENT: usize = 64;

/// What a test wants of an exchange; everything else is as large as it need be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) channels: usize,
    pub(crate) partition_buffers: usize,
    pub(crate) overdraft: usize,
    pub(crate) max_backlog: usize,
    pub(crate) exclusive: usize,
    pub(crate) floating: usize,
    pub(crate) timeout: BufferTimeout,
    pub(crate) encoded: bool,
}

impl Shape {
    pub(crate) fn of(channels: usize) -> Self {
        Self {
            channels,
            partition_buffers: channels + 1,
            overdraft: 0,
            max_backlog: 10,
            exclusive: 2,
            floating: 1,
            timeout: BufferTimeout::Disabled,
            encoded: false,
        }
    }
}

/// One producer, and one gate for each of its channels.
pub(crate) struct Exchange {
    pub(crate) global: Arc<NetworkBufferPool>,
    pub(crate) pool: Arc<LocalBufferPool>,
    pub(crate) partition: ResultPartition,
    pub(crate) gates: Vec<InputGate>,
    pub(crate) gate_pools: Vec<Arc<LocalBufferPool>>,
}

pub(crate) fn exchange(router: Box<dyn Router>, shape: Shape) -> Exchange {
    exchange_of::<u32>(router, shape)
}

pub(crate) fn exchange_of<T: Data>(router: Box<dyn Router>, shape: Shape) -> Exchange {
    let global = NetworkBufferPool::new(1 << 20, SEGMENT);
    let pool = global
        .create_pool(0, shape.partition_buffers, shape.partition_buffers, shape.overdraft, Arc::default())
        .unwrap();
    let serializer = Arc::new(TypedBatchSerializer::<T>::default());
    let (mut gates, mut senders, mut gate_pools) = (vec![], vec![], vec![]);
    for _ in 0..shape.channels {
        let floating =
            global.create_pool(shape.exclusive, shape.floating, shape.floating, 0, Arc::default()).unwrap();
        let gate =
            InputGate::new(1, shape.exclusive, Arc::clone(&floating), serializer.clone(), Arc::default());
        senders.push(gate.sender(0, Arc::clone(&pool), shape.max_backlog));
        gates.push(gate);
        gate_pools.push(floating);
    }
    let encoder = shape.encoded.then_some(serializer as Arc<dyn tidemill_serialization::BatchSerializer>);
    let partition = ResultPartition::new(router, senders, Arc::clone(&pool), shape.timeout, encoder);
    Exchange { global, pool, partition, gates, gate_pools }
}

pub(crate) fn batch(values: impl IntoIterator<Item = u32>) -> Batch {
    Batch::new(TypedBatch::from_values(values.into_iter().collect()))
}

pub(crate) fn values(batch: &Batch) -> Vec<u32> {
    batch.downcast_ref::<TypedBatch<u32>>().unwrap().values.clone()
}

/// What a gate has, as text: numbers of a buffer joined by commas, or the event.
pub(crate) fn drain(gate: &mut InputGate) -> Vec<String> {
    std::iter::from_fn(|| gate.poll().unwrap())
        .map(|(_, item)| match item {
            GateItem::Batch(batch) => {
                let numbers: Vec<String> = values(&batch).iter().map(u32::to_string).collect();
                numbers.join(",")
            }
            GateItem::Event(event) => format!("{event:?}"),
            other => format!("{other:?}"),
        })
        .collect()
}
