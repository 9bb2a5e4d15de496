//! Snapshots of what is on its way, read and restored into the edges of the next release.

use std::sync::Arc;
use std::time::Instant;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::hash;
use tidemill_core::time::Watermark;
use tidemill_network::router::{BroadcastRouter, RoundRobin, ScatterRouter, SingleRouter};
use tidemill_network::{
    BufferTimeout, Event, GateItem, GateSnapshot, InputGate, LocalBufferPool, NetworkBufferPool,
    PartitionSnapshot, ResultPartition, Router, Written,
};
use tidemill_serialization::{BatchSerializer, Data, TypedBatchSerializer};

use crate::evolved::{Order, old};
use crate::{choice, meter};

const SEGMENT: usize = 64;
/// What the exchange may take for each byte of its snapshots: defaults of records, and entries of queues.
const FACTOR: usize = 1024;

/// A partition and the gates of its channels.
struct Exchange {
    partition: ResultPartition,
    gates: Vec<InputGate>,
    serializer: Arc<dyn BatchSerializer>,
    pool: Arc<LocalBufferPool>,
}

fn exchange<T: Data>(how: u8) -> Exchange {
    let channels = if how & 3 == 0 { 1 } else { 2 };
    let router: Box<dyn Router> = match how & 3 {
        0 => Box::new(SingleRouter::<T>::new(0, SEGMENT)),
        1 => Box::new(BroadcastRouter::<T>::new(channels, SEGMENT)),
        _ => Box::new(ScatterRouter::<T, _>::new(RoundRobin::starting_at(1), channels, SEGMENT)),
    };
    let global = NetworkBufferPool::new(1 << 20, SEGMENT);
    let pool = global.create_pool(0, channels + 1, channels + 1, 0, Arc::default()).unwrap();
    let serializer: Arc<dyn BatchSerializer> = Arc::new(TypedBatchSerializer::<T>::default());
    let (mut gates, mut senders) = (vec![], vec![]);
    for _ in 0..channels {
        let floating = global.create_pool(1, 1, 1, 0, Arc::default()).unwrap();
        let gate = InputGate::new(1, 1, floating, Arc::clone(&serializer), Arc::default());
        senders.push(gate.sender(0, Arc::clone(&pool), 10));
        gates.push(gate);
    }
    let encoder = (how & 4 != 0).then(|| Arc::clone(&serializer));
    let partition =
        ResultPartition::new(router, senders, Arc::clone(&pool), BufferTimeout::Disabled, encoder);
    Exchange { partition, gates, serializer, pool }
}

/// What the first release would have stored: a gate and the partition.
pub(crate) fn written(how: u8) -> (GateSnapshot, PartitionSnapshot) {
    let mut exchange = exchange::<old::Order>(how);
    let order = |i: i32| old::Order { price: 1.5, note: "n".repeat(i as usize % 5), article: i };
    for first in [0, 10, 20] {
        let batch = Batch::new(TypedBatch::from_values((first..first + 3).map(order).collect()));
        if exchange.partition.is_available()
            && let Written::Rest(_) = exchange.partition.write(batch, Instant::now()).unwrap()
        {
            break;
        }
        exchange.partition.broadcast(Event::Watermark(Watermark(first.into()))).unwrap();
    }
    exchange.partition.broadcast(Event::Idle(true)).unwrap();
    let gate = exchange.gates[0].snapshot().unwrap();
    (gate, exchange.partition.snapshot(None, &*exchange.serializer).unwrap())
}

/// The seed of a snapshot: all but what is the same in each.
pub(crate) fn body(framed: &[u8]) -> &[u8] {
    &framed[6..framed.len() - 8]
}

/// A body within a frame that fits it.
fn framed(what: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = [b"TMCH\x01", &[what][..], body].concat();
    let checksum = hash::bytes(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn restore(how: u8, gate: Option<&GateSnapshot>, partition: Option<&PartitionSnapshot>) {
    let Exchange { mut partition, mut gates, serializer, pool } = {
        let mut exchange = exchange::<Order>(how);
        if let Some(snapshot) = gate {
            for gate in &mut exchange.gates {
                let _ = gate.restore(snapshot.clone());
            }
        }
        if let Some(snapshot) = partition {
            let restored =
                exchange.partition.restore(snapshot.clone(), &*exchange.serializer, Instant::now());
            // What is left of a batch is of the edge's type.
            if let Ok(Some(rest)) = restored {
                rest.downcast_ref::<TypedBatch<Order>>().expect("records of the edge");
            }
        }
        exchange
    };
    // What cannot be read fails when it is taken; all else comes out.
    for gate in &mut gates {
        for _ in 0..1000 {
            match gate.poll() {
                Ok(Some((_, GateItem::Batch(batch)))) => {
                    let batch = batch.downcast_ref::<TypedBatch<Order>>().expect("records of the edge");
                    assert!(batch.timestamps.is_empty() || batch.timestamps.len() == batch.values.len());
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        gate.recycle_last();
        // What can be stored can be read.
        if let Ok(snapshot) = gate.snapshot() {
            assert_eq!(GateSnapshot::decode(&snapshot.encode()).unwrap(), snapshot);
        }
    }
    if let Ok(snapshot) = partition.snapshot(None, &*serializer) {
        assert_eq!(PartitionSnapshot::decode(&snapshot.encode()).unwrap(), snapshot);
    }
    let _ = partition.broadcast(Event::EndOfInput);
    drop(gates);
    drop(partition);
    assert_eq!(pool.used(), 0, "all buffers come back");
}

/// Reads a snapshot of a gate or of a partition and restores it.
pub fn channels(bytes: &[u8]) {
    let (how, body) = choice(bytes);
    drop((GateSnapshot::decode(body), PartitionSnapshot::decode(body)));
    if how & 128 == 0 {
        let bytes = framed(1, body);
        let Ok(snapshot) = meter::within(64, bytes.len(), || GateSnapshot::decode(&bytes)) else { return };
        assert_eq!(GateSnapshot::decode(&snapshot.encode()).unwrap(), snapshot);
        meter::within(FACTOR, bytes.len() + 1000, || restore(how, Some(&snapshot), None));
    } else {
        let bytes = framed(2, body);
        let Ok(snapshot) = meter::within(64, bytes.len(), || PartitionSnapshot::decode(&bytes)) else {
            return;
        };
        assert_eq!(PartitionSnapshot::decode(&snapshot.encode()).unwrap(), snapshot);
        meter::within(FACTOR, bytes.len() + 1000, || restore(how, None, Some(&snapshot)));
    }
}
