//! The sending end: a router packs records into buffers, and the partition decides when they are sent.

use std::sync::Arc;
use std::time::Instant;

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_serialization::BatchSerializer;

use crate::error::NetworkError;
use crate::event::{Buffer, Event};
use crate::gate::{ChannelSender, Copied};
use crate::pool::{LocalBufferPool, Permit};
use crate::router::{RouteTarget, Routed, Router};
use crate::snapshot::{PartitionSnapshot, SubpartitionSnapshot};
use crate::timeout::BufferTimeout;

/// How far a batch was written.
///
/// ```
/// use tidemill_network::{BufferTimeout, Written};
///
/// let timeout = BufferTimeout::Disabled;
/// # use std::{sync::Arc, time::Instant};
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
/// # use tidemill_serialization::TypedBatchSerializer;
/// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
/// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
/// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
/// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
/// # let sender = gate.sender(0, pool.clone(), 4);
/// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
/// # let mut partition =
/// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
/// let written = partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), Instant::now())?;
/// assert!(matches!(written, Written::All));
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug)]
pub enum Written {
    /// Wholly.
    All,
    /// The buffers ran out: this rest has to be written when the partition is available again.
    Rest(Batch),
}

/// What a partition has sent so far.
///
/// ```
/// use tidemill_network::BufferTimeout;
/// use tidemill_network::partition::Sent;
///
/// let timeout = BufferTimeout::Immediate;
/// # use std::{sync::Arc, time::Instant};
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
/// # use tidemill_serialization::TypedBatchSerializer;
/// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
/// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
/// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
/// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
/// # let sender = gate.sender(0, pool.clone(), 4);
/// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
/// # let mut partition =
/// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
/// partition.write(Batch::new(TypedBatch::from_values(vec![7u32, 8])), Instant::now())?;
/// assert_eq!(partition.sent(), Sent { buffers: 1, bytes: 8, records: 2 });
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Buffers.
    pub buffers: u64,
    /// Their logical bytes.
    pub bytes: u64,
    /// Their records.
    pub records: u64,
}

struct Channel {
    sender: ChannelSender,
    /// The buffer that a builder with records holds.
    permit: Option<Permit>,
    riders: Riders,
}

/// What rides behind the records of a builder, coalesced. While a channel is idle it has no watermarks, so whatever came
/// amounts to: active again, a watermark, idle; each or none, in this order.
#[derive(Debug, Default)]
struct Riders {
    active: bool,
    watermark: Option<Watermark>,
    idle: bool,
}

impl Riders {
    fn add(&mut self, event: Event) {
        match event {
            Event::Watermark(watermark) => self.watermark = Some(watermark),
            Event::Idle(idle) => {
                self.active |= !idle;
                self.idle = idle;
            }
            Event::EndOfInput | Event::Barrier(_) | Event::EndOfPartition => {}
        }
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        let active = self.active.then_some(Event::Idle(false));
        let idle = self.idle.then_some(Event::Idle(true));
        active.into_iter().chain(self.watermark.map(Event::Watermark)).chain(idle)
    }
}

struct Channels {
    channels: Vec<Channel>,
    pool: Arc<LocalBufferPool>,
    encoder: Option<Arc<dyn BatchSerializer>>,
    sent: Sent,
    failure: Option<NetworkError>,
}

impl RouteTarget for Channels {
    fn begin(&mut self, channel: usize) -> bool {
        let slot = &mut self.channels[channel].permit;
        if slot.is_none() {
            *slot = self.pool.try_acquire().or_else(|| self.pool.try_overdraw());
        }
        slot.is_some()
    }

    fn full(&mut self, channel: usize, batch: Batch, bytes: usize) {
        if let Err(error) = self.send(channel, batch, bytes) {
            self.failure.get_or_insert(error);
        }
    }
}

impl Channels {
    fn send(&mut self, index: usize, batch: Batch, bytes: usize) -> Result<(), NetworkError> {
        let records = batch.len();
        let buffer = match &self.encoder {
            None => Buffer::Batch(batch),
            Some(serializer) => {
                let mut encoded = Vec::with_capacity(bytes + 16);
                serializer
                    .encode(&batch, &mut encoded)
                    .map_err(|error| NetworkError::Serialization(error.to_string()))?;
                Buffer::Encoded(encoded)
            }
        };
        self.sent.buffers += 1;
        self.sent.bytes += bytes as u64;
        self.sent.records += records as u64;
        let channel = &mut self.channels[index];
        let permit = channel.permit.take().unwrap_or_else(|| self.pool.force_acquire());
        channel.sender.send(buffer, bytes, permit)?;
        channel.send_riders();
        Ok(())
    }
}

impl Channel {
    fn send_riders(&mut self) {
        for event in std::mem::take(&mut self.riders).events() {
            self.sender.send_event(event);
        }
    }
}

/// The output of an operator on one edge: one channel to each consuming subtask.
///
/// ```
/// use tidemill_network::BufferTimeout;
///
/// let timeout = BufferTimeout::Disabled;
/// # use std::{sync::Arc, time::Instant};
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
/// # use tidemill_serialization::TypedBatchSerializer;
/// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
/// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
/// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
/// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
/// # let sender = gate.sender(0, pool.clone(), 4);
/// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
/// # let mut partition =
/// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
/// partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), Instant::now())?;
/// assert!(!gate.has_input(), "the buffer is not full");
/// partition.flush()?;
/// assert!(gate.has_input());
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub struct ResultPartition {
    router: Box<dyn Router>,
    channels: Channels,
    timeout: BufferTimeout,
    deadline: Option<Instant>,
}

impl ResultPartition {
    /// A partition over `senders`. With an `encoder`, buffers travel as bytes instead of by pointer.
    ///
    /// ```
    /// use tidemill_network::{BufferTimeout, ResultPartition};
    ///
    /// let timeout = BufferTimeout::After(std::time::Duration::from_millis(100));
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// let partition = ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// assert!(partition.is_available());
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn new(
        router: Box<dyn Router>,
        senders: Vec<ChannelSender>,
        pool: Arc<LocalBufferPool>,
        timeout: BufferTimeout,
        encoder: Option<Arc<dyn BatchSerializer>>,
    ) -> Self {
        let channels = senders
            .into_iter()
            .map(|sender| Channel { sender, permit: None, riders: Riders::default() })
            .collect();
        let channels = Channels { channels, pool, encoder, sent: Sent::default(), failure: None };
        Self { router, channels, timeout, deadline: None }
    }

    /// Whether a batch may be written now. When it may not, the pool wakes the task once it may.
    ///
    /// ```
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::Immediate;
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// assert!(partition.is_available());
    /// let taken: Vec<_> = std::iter::from_fn(|| partition.pool().try_acquire()).collect();
    /// assert!(!partition.is_available(), "its pool is used up");
    /// # drop(taken);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    #[inline]
    pub fn is_available(&self) -> bool {
        self.channels.pool.is_available()
    }

    /// Routes a batch to the channels and sends what is full. `now` is when it was made, for the buffer timeout.
    ///
    /// ```
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::Immediate;
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), Instant::now())?;
    /// assert!(partition.write(Batch::new(TypedBatch::from_values(vec!['a'])), Instant::now()).is_err());
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// When the batch is of another type than the router's, a partitioner chose a channel that does not exist,
    /// or a consumer has ended.
    pub fn write(&mut self, mut batch: Batch, now: Instant) -> Result<Written, NetworkError> {
        let routed = self.router.route(&mut batch, &mut self.channels)?;
        self.check()?;
        match self.timeout {
            BufferTimeout::Disabled => {}
            BufferTimeout::Immediate => self.flush()?,
            BufferTimeout::After(timeout) => {
                if self.deadline.is_none() && self.router.has_pending() {
                    // A timeout beyond what can be represented never passes.
                    self.deadline = now.checked_add(timeout);
                }
            }
        }
        Ok(match routed {
            Routed::All => Written::All,
            Routed::Rest => Written::Rest(batch),
        })
    }

    /// When the oldest record that waits in a builder is due to be sent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::After(Duration::from_millis(100));
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// let now = Instant::now();
    /// partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), now)?;
    /// assert_eq!(partition.deadline(), Some(now + Duration::from_millis(100)));
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sends every builder that has records.
    ///
    /// ```
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::Disabled;
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), Instant::now())?;
    /// partition.flush()?;
    /// assert_eq!(partition.sent().records, 1);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn flush(&mut self) -> Result<(), NetworkError> {
        self.deadline = None;
        self.router.flush(&mut self.channels);
        self.check()
    }

    /// Sends the builders when the buffer timeout has passed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::After(Duration::from_millis(100));
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// let now = Instant::now();
    /// partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), now)?;
    /// partition.flush_due(now)?;
    /// assert_eq!(partition.sent().records, 0);
    /// partition.flush_due(now + Duration::from_millis(100))?;
    /// assert_eq!(partition.sent().records, 1);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn flush_due(&mut self, now: Instant) -> Result<(), NetworkError> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends a control element to every channel: watermarks and idleness behind the records that wait in a builder,
    /// without pushing them out; the end of the input after all of them.
    ///
    /// ```
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::Disabled;
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), Instant::now())?;
    /// partition.broadcast(Event::EndOfInput)?;
    /// assert!(matches!(gate.poll()?, Some((0, GateItem::Batch(_)))), "records come first");
    /// assert!(matches!(gate.poll()?, Some((0, GateItem::Event(Event::EndOfInput)))));
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn broadcast(&mut self, event: Event) -> Result<(), NetworkError> {
        let rides = matches!(event, Event::Watermark(_) | Event::Idle(_));
        if !rides {
            self.flush()?;
        }
        for (index, channel) in self.channels.channels.iter_mut().enumerate() {
            let rides = rides && self.router.has_records(index);
            if rides {
                channel.riders.add(event);
            } else {
                channel.send_riders();
                channel.sender.send_event(event);
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), NetworkError> {
        self.channels.failure.take().map_or(Ok(()), Err)
    }

    /// What was written and has not got to a consumer: what waits for credit, for a full buffer, and behind one.
    ///
    /// `rest` is what [`write`](Self::write) has left of a batch, if it has: it is stored along, with the channels that
    /// were chosen for its records already. `serializer` is the edge's.
    ///
    /// ```
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::Disabled;
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// partition.write(Batch::new(TypedBatch::from_values(vec![7u32])), Instant::now())?;
    /// let snapshot = partition.snapshot(None, &*serializer)?;
    /// assert!(snapshot.router.builders[0].is_some(), "a record waits for a full buffer");
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// When a batch cannot be encoded, or `rest` is not the batch that was left.
    pub fn snapshot(
        &self,
        rest: Option<&Batch>,
        serializer: &dyn BatchSerializer,
    ) -> Result<PartitionSnapshot, NetworkError> {
        let router = self.router.snapshot(rest, serializer)?;
        let channels = self.channels.channels.iter().map(|channel| {
            let waiting = Copied::encode_all(channel.sender.waiting(), serializer)?;
            Ok(SubpartitionSnapshot { waiting, riders: channel.riders.events().collect() })
        });
        let channels = channels.collect::<Result<_, NetworkError>>()?;
        Ok(PartitionSnapshot { serializer: serializer.snapshot(), channels, router })
    }

    /// Puts a snapshot back into a new partition, whose gates have been restored. Answers the rest of a batch that was
    /// partly written, which has to be written next. `now` begins the buffer timeout anew; builders that may not wait are due
    /// at once.
    ///
    /// Builders get their buffers whatever the pool's size is; of what waits for credit, those that find no buffer in the
    /// pool are held outside it, and the partition is not available until they have credit. What was
    /// [sent](Self::sent) is counted from zero.
    ///
    /// ```
    /// use tidemill_network::{
    ///     BufferTimeout, InFlight, PartitionSnapshot, RouterSnapshot, SubpartitionSnapshot,
    /// };
    /// use tidemill_serialization::BatchSerializer;
    ///
    /// let timeout = BufferTimeout::Disabled;
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// let router = RouterSnapshot { builders: vec![None], ..RouterSnapshot::default() };
    /// let waiting = vec![InFlight::Event(Event::EndOfInput)];
    /// let channels = vec![SubpartitionSnapshot { waiting, riders: vec![] }];
    /// let snapshot = PartitionSnapshot { serializer: serializer.snapshot(), channels, router };
    /// assert!(partition.restore(snapshot, &*serializer, Instant::now())?.is_none());
    /// assert!(matches!(gate.poll()?, Some((0, GateItem::Event(Event::EndOfInput)))));
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// [`NetworkError::SnapshotMismatch`] when the snapshot has other channels or another router,
    /// [`NetworkError::Serialization`] or [`NetworkError::WrongBatchType`] when its batches are not the edge's,
    /// [`NetworkError::Migration`] when its records cannot be made those of the edge,
    /// [`NetworkError::RestoredTooLate`] when something was written before, [`NetworkError::ConsumerGone`].
    pub fn restore(
        &mut self,
        mut snapshot: PartitionSnapshot,
        serializer: &dyn BatchSerializer,
        now: Instant,
    ) -> Result<Option<Batch>, NetworkError> {
        snapshot.migrate(serializer)?;
        let (found, expected) = (snapshot.channels.len(), self.channels.channels.len());
        if found != expected {
            return Err(NetworkError::SnapshotMismatch { what: "channels", found, expected });
        }
        if self.router.has_pending() || self.channels.sent != Sent::default() {
            return Err(NetworkError::RestoredTooLate { what: "the result partition" });
        }
        let rest = self.router.restore(snapshot.router, serializer)?;
        let Channels { channels, pool, .. } = &mut self.channels;
        for (index, channel) in channels.iter_mut().enumerate() {
            if self.router.has_records(index) {
                let permit = pool.try_acquire().or_else(|| pool.try_overdraw());
                channel.permit = Some(permit.unwrap_or_else(|| pool.force_acquire()));
            }
        }
        for (index, (channel, stored)) in channels.iter_mut().zip(snapshot.channels).enumerate() {
            channel.sender.recover(stored.waiting)?;
            stored.riders.into_iter().for_each(|event| channel.riders.add(event));
            if !self.router.has_records(index) {
                channel.send_riders();
            }
        }
        if self.router.has_pending() {
            self.deadline = match self.timeout {
                BufferTimeout::Disabled => None,
                // The first [`flush_due`](Self::flush_due) sends them.
                BufferTimeout::Immediate => Some(now),
                BufferTimeout::After(timeout) => now.checked_add(timeout),
            };
        }
        Ok(rest)
    }

    /// How much has been sent.
    ///
    /// ```
    /// use tidemill_network::BufferTimeout;
    ///
    /// let timeout = BufferTimeout::Immediate;
    /// # use std::{sync::Arc, time::Instant};
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Event, GateItem, InputGate, NetworkBufferPool, router::SingleRouter};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// # let router = Box::new(SingleRouter::<u32>::new(0, 32 * 1024));
    /// # let mut partition =
    /// #     tidemill_network::ResultPartition::new(router, vec![sender], pool, timeout, None);
    /// partition.write(Batch::new(TypedBatch::from_values(vec![7u32, 8])), Instant::now())?;
    /// assert_eq!((partition.sent().buffers, partition.sent().records), (1, 2));
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn sent(&self) -> Sent {
        self.channels.sent
    }

    /// The pool that the buffers come from.
    pub fn pool(&self) -> &Arc<LocalBufferPool> {
        &self.channels.pool
    }
}
