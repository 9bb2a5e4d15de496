//! All channels from the subtasks of a producer to those of a consumer, driven without tasks.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::graph::ShipStrategy;
use tidemill_network::{
    BufferTimeout, ChannelSender, Event, GateBuffers, GateItem, GateSnapshot, InputGate, LocalBufferPool,
    NetworkBufferPool, NetworkError, PartitionBuffers, PartitionSnapshot, ResultPartition, TaskWaker,
    Written,
};
use tidemill_runtime::graph::{EdgeType, RouterContext, reached_subtasks};
use tidemill_serialization::{BatchSerializer, Data};

use crate::records::{RecordType, Row};

/// How an exchange is laid out, and how many buffers it has.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeShape {
    /// How records are dealt to the consumers.
    pub strategy: ShipStrategy,
    /// Subtasks that send.
    pub producers: u32,
    /// Subtasks that receive.
    pub consumers: u32,
    /// Key groups of the consumer.
    pub max_parallelism: u32,
    /// Bytes of a buffer.
    pub segment_size: usize,
    /// Buffers that belong to each channel of a gate, and for which each partition may ask for each channel.
    pub exclusive: usize,
    /// Buffers that the channels of a gate share, at least one; a partition may ask for as many.
    pub floating: usize,
    /// Buffers that a partition may borrow to finish a batch.
    pub overdraft: usize,
    /// Buffers that may wait in one channel before its partition is not available.
    pub max_per_channel: usize,
    /// When a buffer that is not full is sent.
    pub timeout: BufferTimeout,
    /// Whether batches travel as bytes.
    pub encoded: bool,
}

impl ExchangeShape {
    /// An exchange with Flink's buffers, but small ones, of 256 bytes.
    pub fn new(strategy: ShipStrategy, producers: u32, consumers: u32) -> Self {
        Self {
            strategy,
            producers,
            consumers,
            max_parallelism: 128,
            segment_size: 256,
            exclusive: 2,
            floating: 8,
            overdraft: 20,
            max_per_channel: 10,
            timeout: BufferTimeout::Disabled,
            encoded: false,
        }
    }

    /// The same exchange with as few buffers as it can work with.
    #[must_use]
    pub fn tight(self) -> Self {
        Self { exclusive: 0, floating: 1, overdraft: 0, max_per_channel: 1, ..self }
    }
}

/// What a consumer has taken from a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A record.
    Record(Row),
    /// A control element.
    Event(Event),
}

/// What a producer has yet to do, as its task would: one after the other, records only when there is room.
enum Work {
    Batch(Batch),
    /// What was left of a batch: the partition has chosen its channels already.
    Rest(Batch),
    Event(Event),
    Flush,
}

/// The parts that live between two restarts.
struct Live {
    partitions: Vec<ResultPartition>,
    gates: Vec<InputGate>,
    gate_pools: Vec<Arc<LocalBufferPool>>,
    /// The producers behind the channels of each gate.
    producers: Vec<Vec<u32>>,
    exclusive: Vec<usize>,
}

/// Drives the result partitions and input gates of one edge, wired as a cluster does, on one thread.
///
/// What a producer is told to send waits until its partition has room. At any moment all that is on its way can be stored,
/// thrown away and put back: [`restart`](Self::restart).
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::graph::ShipStrategy;
/// use tidemill_runtime::graph::TypedEdge;
/// use tidemill_testkit::{ExchangeHarness, ExchangeShape, unstamped};
///
/// let shape = ExchangeShape::new(ShipStrategy::Rebalance, 1, 2);
/// let mut exchange = ExchangeHarness::new::<u32>(Arc::new(TypedEdge::<u32>::new()), shape);
/// exchange.records(0, unstamped(0..100u32));
/// exchange.restart();
/// exchange.finish();
/// assert_eq!(exchange.seen(1, 0).len(), 50 + 1, "half of the records, and the end");
/// ```
pub struct ExchangeHarness {
    edge: Arc<dyn EdgeType>,
    serializer: Arc<dyn BatchSerializer>,
    records: RecordType,
    shape: ExchangeShape,
    live: Live,
    work: Vec<VecDeque<Work>>,
    now: Instant,
    /// By consumer and channel.
    seen: Vec<Vec<Vec<Seen>>>,
    restores: u64,
}

fn create(edge: &dyn EdgeType, shape: &ExchangeShape) -> Result<Live, NetworkError> {
    let buffers = NetworkBufferPool::new(1 << 30, shape.segment_size);
    let reached: Vec<Vec<u32>> = (0..shape.producers)
        .map(|producer| {
            reached_subtasks(shape.strategy, producer, shape.producers, shape.consumers).collect()
        })
        .collect();
    let mut live = Live {
        partitions: Vec::new(),
        gates: Vec::new(),
        gate_pools: Vec::new(),
        producers: Vec::new(),
        exclusive: Vec::new(),
    };
    for consumer in 0..shape.consumers {
        let producers: Vec<u32> =
            (0..shape.producers).filter(|producer| reached[*producer as usize].contains(&consumer)).collect();
        let GateBuffers { exclusive_per_channel, required_floating, total_floating } =
            GateBuffers::of(producers.len(), shape.exclusive, shape.floating, None);
        let fixed = exclusive_per_channel * producers.len();
        let floating =
            buffers.create_pool(fixed, required_floating, total_floating, 0, Arc::new(TaskWaker::new()))?;
        live.gates.push(InputGate::new(
            producers.len(),
            exclusive_per_channel,
            Arc::clone(&floating),
            edge.serializer(),
            Arc::new(TaskWaker::new()),
        ));
        live.gate_pools.push(floating);
        live.producers.push(producers);
        live.exclusive.push(fixed);
    }
    for producer in 0..shape.producers {
        let consumers = &reached[producer as usize];
        let PartitionBuffers { required, max, overdraft, max_per_channel } = PartitionBuffers::of(
            consumers.len(),
            shape.exclusive,
            shape.floating,
            shape.overdraft,
            shape.max_per_channel,
        );
        let pool = buffers.create_pool(0, required, max, overdraft, Arc::new(TaskWaker::new()))?;
        let senders: Vec<ChannelSender> = consumers
            .iter()
            .filter_map(|consumer| {
                let consumer = *consumer as usize;
                let channel = live.producers[consumer].iter().position(|other| *other == producer)?;
                Some(live.gates[consumer].sender(channel, Arc::clone(&pool), max_per_channel))
            })
            .collect();
        let context = RouterContext {
            channels: senders.len(),
            subtask: producer,
            parallelism: shape.consumers,
            max_parallelism: shape.max_parallelism,
            segment_size: shape.segment_size,
        };
        let router = edge.router(shape.strategy, &context)?;
        let encoder = shape.encoded.then(|| edge.serializer());
        live.partitions.push(ResultPartition::new(router, senders, pool, shape.timeout, encoder));
    }
    Ok(live)
}

impl ExchangeHarness {
    /// The exchange of an edge of records of type `T`.
    ///
    /// # Panics
    /// When the edge does not support the partitioning.
    pub fn new<T: Data + Debug>(edge: Arc<dyn EdgeType>, shape: ExchangeShape) -> Self {
        Self::of(edge, RecordType::of::<T>(), shape)
    }

    pub(crate) fn of(edge: Arc<dyn EdgeType>, records: RecordType, shape: ExchangeShape) -> Self {
        let live = create(&*edge, &shape).unwrap_or_else(|error| panic!("{error}"));
        Self {
            serializer: edge.serializer(),
            records,
            seen: live.producers.iter().map(|producers| vec![Vec::new(); producers.len()]).collect(),
            work: (0..shape.producers).map(|_| VecDeque::new()).collect(),
            now: Instant::now(),
            edge,
            shape,
            live,
            restores: 0,
        }
    }

    fn then(&mut self, producer: u32, work: Work) {
        self.work[producer as usize].push_back(work);
        self.pump(producer);
    }

    /// Has a producer send records, now or when there is room.
    pub fn records<T: Data + Debug>(&mut self, producer: u32, records: TypedBatch<T>) {
        self.batch(producer, Batch::new(records));
    }

    pub(crate) fn batch(&mut self, producer: u32, batch: Batch) {
        self.then(producer, Work::Batch(batch));
    }

    /// Has a producer send a control element behind what it was told to send before.
    pub fn event(&mut self, producer: u32, event: Event) {
        self.then(producer, Work::Event(event));
    }

    /// Has a producer send what waits for a full buffer, behind what it was told to send before.
    pub fn flush(&mut self, producer: u32) {
        self.then(producer, Work::Flush);
    }

    /// Whether a producer has sent all that it was told to.
    pub fn is_done(&self, producer: u32) -> bool {
        self.work[producer as usize].is_empty()
    }

    /// Does what a producer has to do, as far as there is room.
    fn pump(&mut self, producer: u32) {
        let partition = &mut self.live.partitions[producer as usize];
        let work = &mut self.work[producer as usize];
        while let Some(next) = work.pop_front() {
            let done = match next {
                Work::Batch(_) | Work::Rest(_) if !partition.is_available() => {
                    work.push_front(next);
                    return;
                }
                Work::Batch(batch) | Work::Rest(batch) => match partition.write(batch, self.now) {
                    Ok(Written::All) => Ok(()),
                    Ok(Written::Rest(rest)) => {
                        assert!(!rest.is_empty(), "a rest of nothing");
                        work.push_front(Work::Rest(rest));
                        return;
                    }
                    Err(error) => Err(error),
                },
                Work::Event(event) => partition.broadcast(event),
                Work::Flush => partition.flush(),
            };
            done.unwrap_or_else(|error| panic!("producer {producer} cannot send: {error}"));
        }
    }

    /// Lets time pass, and sends what the buffer timeout is over for.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
        for partition in &mut self.live.partitions {
            partition.flush_due(self.now).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// The next item of a consumer and its channel.
    pub(crate) fn poll(&mut self, consumer: u32) -> Option<(usize, GateItem)> {
        let polled = self.live.gates[consumer as usize].poll();
        let polled = polled.unwrap_or_else(|error| panic!("consumer {consumer}: {error}"));
        self.check(consumer as usize);
        for producer in 0..self.shape.producers {
            self.pump(producer);
        }
        polled
    }

    /// Takes up to `count` buffers and events at a consumer. Answers how many there were.
    pub fn take(&mut self, consumer: u32, count: usize) -> usize {
        let mut taken = 0;
        while taken < count {
            let Some((channel, item)) = self.poll(consumer) else { break };
            taken += 1;
            let seen = &mut self.seen[consumer as usize][channel];
            let last = seen.last();
            assert!(
                last != Some(&Seen::Event(Event::EndOfInput)),
                "channel {channel} of consumer {consumer} goes on after its end: {item:?}"
            );
            match item {
                GateItem::Event(event) => seen.push(Seen::Event(event)),
                GateItem::Batch(batch) => {
                    assert!(!batch.is_empty(), "channel {channel} of consumer {consumer}: an empty buffer");
                    seen.extend(self.records.rows(&batch).into_iter().map(Seen::Record));
                }
                other => panic!("{other:?} was not asked for"),
            }
        }
        taken
    }

    /// Gives the last buffer of a consumer back, as a task does before it sleeps.
    pub fn recycle(&mut self, consumer: u32) {
        self.live.gates[consumer as usize].recycle_last();
        for producer in 0..self.shape.producers {
            self.pump(producer);
        }
    }

    /// No gate holds more buffers than it has.
    fn check(&self, consumer: usize) {
        let Live { gates, gate_pools, exclusive, .. } = &self.live;
        let (usage, floating) = (gates[consumer].usage(), gate_pools[consumer].size());
        assert!(
            usage.queued_buffers <= exclusive[consumer] + floating && usage.pool_usage <= 1.0,
            "consumer {consumer}: {usage:?} with {} exclusive and {floating} floating buffers",
            exclusive[consumer]
        );
    }

    /// All that is on its way, as bytes: of each partition and of each gate.
    fn snapshot(&self) -> Result<(Vec<Vec<u8>>, Vec<Vec<u8>>), NetworkError> {
        let partitions = self.live.partitions.iter().zip(&self.work).map(|(partition, work)| {
            let rest = match work.front() {
                Some(Work::Rest(rest)) => Some(rest),
                _ => None,
            };
            Ok(partition.snapshot(rest, &*self.serializer)?.encode())
        });
        let partitions = partitions.collect::<Result<_, NetworkError>>()?;
        let gates = self.live.gates.iter().map(|gate| Ok(gate.snapshot()?.encode()));
        Ok((partitions, gates.collect::<Result<_, NetworkError>>()?))
    }

    /// Stores all channels, throws them away, and goes on with new ones that are restored from that.
    pub fn restart(&mut self) {
        self.restart_with(self.shape);
    }

    /// As [`restart`](Self::restart), with other buffers from then on.
    ///
    /// # Panics
    /// When producers, consumers or partitioning are others.
    pub fn restart_with(&mut self, shape: ExchangeShape) {
        let fixed = |shape: &ExchangeShape| (shape.strategy, shape.producers, shape.consumers);
        assert_eq!(fixed(&shape), fixed(&self.shape), "only the buffers may change");
        self.shape = shape;
        self.try_restart().unwrap_or_else(|error| panic!("the exchange cannot be restored: {error}"));
        self.restores += 1;
        for consumer in 0..self.shape.consumers {
            self.check(consumer as usize);
        }
        for producer in 0..self.shape.producers {
            self.pump(producer);
        }
    }

    fn try_restart(&mut self) -> Result<(), NetworkError> {
        let (partitions, gates) = self.snapshot()?;
        let before = std::mem::replace(&mut self.live, create(&*self.edge, &self.shape)?);
        drop(before);
        for (gate, bytes) in self.live.gates.iter_mut().zip(&gates) {
            let snapshot = GateSnapshot::decode(bytes)?;
            assert_eq!(&snapshot.encode(), bytes, "a snapshot changes on its way through bytes");
            gate.restore(snapshot)?;
        }
        for ((partition, work), bytes) in self.live.partitions.iter_mut().zip(&mut self.work).zip(&partitions)
        {
            let snapshot = PartitionSnapshot::decode(bytes)?;
            assert_eq!(&snapshot.encode(), bytes, "a snapshot changes on its way through bytes");
            let rest = partition.restore(snapshot, &*self.serializer, self.now)?;
            match (work.front_mut(), rest) {
                (Some(Work::Rest(stored)), Some(rest)) => *stored = rest,
                (Some(Work::Rest(_)), None) => panic!("the rest of a batch is lost"),
                (_, Some(rest)) => panic!("a rest that there was not: {rest:?}"),
                (_, None) => {}
            }
        }
        for (consumer, gate) in self.live.gates.iter().enumerate() {
            for (channel, seen) in self.seen[consumer].iter().enumerate() {
                let ended = seen.last() == Some(&Seen::Event(Event::EndOfInput));
                assert_eq!(gate.is_ended(channel), ended, "the end of channel {channel} of {consumer}");
            }
        }
        Ok(())
    }

    /// Ends the input of all producers and takes all that is left.
    ///
    /// # Panics
    /// When producers and consumers wait for each other, something is lost on the way, or a buffer is not given back.
    pub fn finish(&mut self) {
        for producer in 0..self.shape.producers {
            self.event(producer, Event::EndOfInput);
        }
        self.drain();
        for (consumer, seen) in self.seen.iter().enumerate() {
            for (channel, seen) in seen.iter().enumerate() {
                let last = seen.last();
                assert!(
                    last == Some(&Seen::Event(Event::EndOfInput)),
                    "channel {channel} of consumer {consumer} has no end, but {last:?}"
                );
            }
        }
        for (partition, gate_pool) in self.live.partitions.iter().zip(&self.live.gate_pools) {
            assert_eq!(
                (partition.pool().used(), gate_pool.used()),
                (0, 0),
                "buffers that were not given back"
            );
            assert!(partition.is_available(), "a channel that is still congested");
        }
    }

    /// Takes all that the producers were told to send, but for what waits for a full buffer.
    pub fn drain(&mut self) {
        loop {
            let mut taken = 0;
            for consumer in 0..self.shape.consumers {
                taken += self.take(consumer, usize::MAX);
                self.recycle(consumer);
            }
            if taken == 0 {
                break;
            }
        }
        for (producer, work) in self.work.iter().enumerate() {
            assert!(work.is_empty(), "producer {producer} waits for room that never comes");
        }
    }

    /// What a consumer has seen of its channel number `channel`, which belongs to the producer number `channel` of those
    /// that reach it.
    pub fn seen(&self, consumer: u32, channel: usize) -> &[Seen] {
        &self.seen[consumer as usize][channel]
    }

    /// The producers behind the channels of a consumer.
    pub fn producers(&self, consumer: u32) -> &[u32] {
        &self.live.producers[consumer as usize]
    }

    /// How often the channels were stored and put back.
    pub fn restores(&self) -> u64 {
        self.restores
    }
}
