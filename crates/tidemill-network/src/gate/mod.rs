//! The receiving end: one queue a channel, filled against credit.
//!
//! A channel has its exclusive buffers as credit; what arrives beyond them asks the gate's pool for a floating one.
//! A buffer that finds neither waits in the channel's backlog and keeps its producer's permit, which is how back
//! pressure travels upstream. Events need no credit but keep their place behind the buffers sent before them.
//!
//! What comes out of a snapshot goes through the backlog too, before anything new. Of buffers that find no permit there
//! the bytes are held outside the pool until there is credit: they are in memory anyway, and are bounded by what was on
//! its way when the snapshot was taken. Their producer counts as congested until then, so that nothing is added to them.

mod barriers;
mod sender;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_core::batch::Batch;
use tidemill_core::{CheckpointBarrier, CheckpointId};
use tidemill_serialization::BatchSerializer;

use self::barriers::Recording;
pub use self::sender::ChannelSender;
use crate::error::NetworkError;
use crate::event::{Buffer, Event};
use crate::pool::{LocalBufferPool, Permit};
use crate::snapshot::{GateSnapshot, InFlight, InputChannelSnapshot};
use crate::waker::{TaskWaker, Wake};

/// What a gate hands to its task.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
/// # use tidemill_serialization::TypedBatchSerializer;
/// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
/// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
/// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
/// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
/// # let sender = gate.sender(0, pool.clone(), 4);
/// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
/// sender.send_event(Event::EndOfInput);
/// assert!(matches!(gate.poll()?, Some((0, GateItem::Batch(batch))) if batch.len() == 1));
/// assert!(matches!(gate.poll()?, Some((0, GateItem::Event(Event::EndOfInput)))));
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug)]
pub enum GateItem {
    /// Records.
    Batch(Batch),
    /// A control element.
    Event(Event),
    /// A barrier waits in this channel that may overtake what is before it, at once or after a while: see [`InputGate::overtake`].
    Announced(CheckpointBarrier),
    /// All that a barrier has overtaken is known now: see [`InputGate::take_overtaken`].
    Overtaken(CheckpointId),
}

#[derive(Debug)]
enum Credit {
    Exclusive,
    Floating(Permit),
}

#[derive(Debug)]
enum Entry {
    Buffer { buffer: Buffer, bytes: usize, credit: Credit },
    Event(Event),
}

#[derive(Debug)]
enum Waiting {
    /// Without a permit when it comes out of a snapshot and the pool had none.
    Buffer {
        buffer: Buffer,
        bytes: usize,
        permit: Option<Permit>,
    },
    Event(Event),
}

/// An element of a channel, copied so that it can be encoded without holding the lock.
#[derive(Debug)]
pub(crate) enum Copied {
    Buffer(Buffer),
    Event(Event),
}

impl Entry {
    fn copy(&self) -> Copied {
        match self {
            Entry::Buffer { buffer, .. } => Copied::Buffer(buffer.clone()),
            Entry::Event(event) => Copied::Event(*event),
        }
    }
}

impl Waiting {
    fn copy(&self) -> Copied {
        match self {
            Waiting::Buffer { buffer, .. } => Copied::Buffer(buffer.clone()),
            Waiting::Event(event) => Copied::Event(*event),
        }
    }
}

impl Copied {
    pub(crate) fn encode_all(
        items: Vec<Copied>,
        serializer: &dyn BatchSerializer,
    ) -> Result<Vec<InFlight>, NetworkError> {
        let belongs_to_run = |item: &Copied| match item {
            Copied::Event(event) => matches!(event, Event::Barrier(_) | Event::EndOfPartition),
            Copied::Buffer(_) => false,
        };
        items
            .into_iter()
            .filter(|item| !belongs_to_run(item))
            .map(|item| match item {
                Copied::Event(event) => Ok(InFlight::Event(event)),
                Copied::Buffer(buffer) => buffer.into_bytes(serializer).map(InFlight::Buffer),
            })
            .collect()
    }
}

#[derive(Debug, Default)]
struct Channel {
    queue: VecDeque<Entry>,
    backlog: VecDeque<Waiting>,
    /// Buffers of the backlog that hold a permit, and those that hold none.
    backlogged_buffers: usize,
    backlogged_outside: usize,
    free_exclusive: usize,
    /// Whether the end of the input was taken.
    ended: bool,
    /// Whether the channel is listed as ready, or as waiting for a floating buffer.
    is_ready: bool,
    is_starving: bool,
    /// The producer's pool and how many of its buffers may wait here, while it counts as congested.
    congestion: Option<Arc<LocalBufferPool>>,
    max_backlog: usize,
    /// Whether nothing is taken from the queue, because its barrier has come and those of others have not.
    is_blocked: bool,
    /// The last barrier that was taken from the queue.
    last_barrier: CheckpointId,
    /// Whether the end of the producer has been taken from the queue.
    partition_ended: bool,
    /// What a barrier overtakes.
    recording: Option<Recording>,
}

#[derive(Debug, Default)]
struct Queues {
    channels: Vec<Channel>,
    ready: VecDeque<usize>,
    starving: VecDeque<usize>,
    queued_buffers: usize,
    queued_bytes: usize,
    closed: bool,
    /// What the task has to hear of before it takes anything from a queue, with the channel that it is about.
    notices: VecDeque<(usize, GateItem)>,
    /// Whether barriers may overtake here.
    may_overtake: bool,
}

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    floating: Arc<LocalBufferPool>,
    waker: Arc<TaskWaker>,
}

impl Channel {
    fn taken(&mut self, event: Event) {
        match event {
            Event::EndOfInput => self.ended = true,
            Event::EndOfPartition => self.partition_ended = true,
            Event::Barrier(barrier) => self.last_barrier = barrier.id,
            Event::Watermark(_) | Event::Idle(_) => {}
        }
    }

    fn is_congested(&self) -> bool {
        self.backlogged_buffers >= self.max_backlog || self.backlogged_outside > 0
    }

    /// Puts what comes out of a snapshot behind what waits.
    fn recover(&mut self, item: InFlight, permit: impl FnOnce() -> Option<Permit>) {
        self.backlog.push_back(match item {
            InFlight::Event(event) => Waiting::Event(event),
            InFlight::Buffer(encoded) => {
                let permit = permit();
                match permit {
                    Some(_) => self.backlogged_buffers += 1,
                    None => self.backlogged_outside += 1,
                }
                Waiting::Buffer { bytes: encoded.len(), buffer: Buffer::Encoded(encoded), permit }
            }
        });
    }
}

impl Queues {
    fn mark_ready(&mut self, index: usize) {
        let channel = &mut self.channels[index];
        if !channel.is_ready && !channel.is_blocked {
            channel.is_ready = true;
            self.ready.push_back(index);
        }
    }

    /// Moves what has waited in a channel's backlog to its queue, as far as there is credit. True when
    /// something moved.
    fn promote(&mut self, index: usize, floating: &Arc<LocalBufferPool>) -> bool {
        let mut moved = false;
        let channel = &mut self.channels[index];
        while let Some(next) = channel.backlog.pop_front() {
            match next {
                Waiting::Event(event) => channel.queue.push_back(Entry::Event(event)),
                Waiting::Buffer { buffer, bytes, permit } => {
                    let Some(credit) = credit(channel, floating) else {
                        channel.backlog.push_front(Waiting::Buffer { buffer, bytes, permit });
                        break;
                    };
                    match permit {
                        Some(_) => channel.backlogged_buffers -= 1,
                        None => channel.backlogged_outside -= 1,
                    }
                    drop(permit);
                    if !channel.is_congested()
                        && let Some(pool) = channel.congestion.take()
                    {
                        pool.relieve();
                    }
                    channel.queue.push_back(Entry::Buffer { buffer, bytes, credit });
                    self.queued_buffers += 1;
                    self.queued_bytes += bytes;
                }
            }
            moved = true;
        }
        let starves = !channel.backlog.is_empty();
        if starves && !channel.is_starving {
            channel.is_starving = true;
            self.starving.push_back(index);
        }
        if moved {
            self.mark_ready(index);
        }
        moved
    }

    /// Gives a buffer back whose batch has been processed, and lets those move up that waited for it.
    fn recycle(&mut self, index: usize, credit: Credit, floating: &Arc<LocalBufferPool>) {
        match credit {
            Credit::Exclusive => {
                self.channels[index].free_exclusive += 1;
                if !self.channels[index].backlog.is_empty() {
                    self.promote(index, floating);
                }
            }
            Credit::Floating(permit) => {
                drop(permit);
                self.promote_starving(floating);
            }
        }
    }

    /// Lets those move up that waited for a floating buffer.
    fn promote_starving(&mut self, floating: &Arc<LocalBufferPool>) {
        for _ in 0..self.starving.len() {
            let Some(next) = self.starving.pop_front() else { break };
            if self.channels[next].is_blocked {
                self.starving.push_back(next);
                continue;
            }
            self.channels[next].is_starving = false;
            // A channel that is still short has listed itself again, behind the others.
            if !self.channels[next].backlog.is_empty() && !self.promote(next, floating) {
                break;
            }
        }
    }
}

fn credit(channel: &mut Channel, floating: &Arc<LocalBufferPool>) -> Option<Credit> {
    if channel.free_exclusive > 0 {
        channel.free_exclusive -= 1;
        return Some(Credit::Exclusive);
    }
    // A channel that waits for others must not take what they need to catch up.
    if channel.is_blocked { None } else { floating.try_acquire().map(Credit::Floating) }
}

/// The input of a task: the receiving end of one channel from each producing subtask.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
/// # use tidemill_serialization::TypedBatchSerializer;
/// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
/// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
/// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
/// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
/// # let sender = gate.sender(0, pool.clone(), 4);
/// assert!(!gate.has_input() && gate.poll()?.is_none(), "nothing was sent");
/// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
/// sender.send_event(Event::EndOfInput);
/// assert!(matches!(gate.poll()?, Some((0, GateItem::Batch(_)))));
/// assert!(matches!(gate.poll()?, Some((0, GateItem::Event(Event::EndOfInput)))));
/// assert!(gate.is_ended(0));
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub struct InputGate {
    shared: Arc<Shared>,
    serializer: Arc<dyn BatchSerializer>,
    /// The buffer whose batch the task is processing: its credit is returned when the next item is asked for.
    outstanding: Option<(usize, Credit)>,
    exclusive_per_channel: usize,
}

impl InputGate {
    /// A gate of `channels` channels with `exclusive_per_channel` buffers each and the pool of `floating` ones.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::{InputGate, NetworkBufferPool};
    /// use tidemill_serialization::TypedBatchSerializer;
    ///
    /// let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// let floating = buffers.create_pool(3 * 2, 1, 8, 0, Arc::default())?;
    /// let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// let gate = InputGate::new(3, 2, floating, serializer, Arc::default());
    /// assert_eq!(gate.channels(), 3);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn new(
        channels: usize,
        exclusive_per_channel: usize,
        floating: Arc<LocalBufferPool>,
        serializer: Arc<dyn BatchSerializer>,
        waker: Arc<TaskWaker>,
    ) -> Self {
        let queues = Queues {
            channels: (0..channels)
                .map(|_| Channel { free_exclusive: exclusive_per_channel, ..Channel::default() })
                .collect(),
            may_overtake: true,
            ..Queues::default()
        };
        let shared = Arc::new(Shared { queues: Mutex::new(queues), floating, waker });
        Self { shared, serializer, outstanding: None, exclusive_per_channel }
    }

    /// The sending end of channel `index` for a producer whose buffers come from `pool`, of which at most
    /// `max_backlog` may wait in this channel before the producer stops.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// let sender = gate.sender(0, pool.clone(), 4);
    /// sender.send_event(Event::EndOfInput);
    /// assert!(gate.has_input());
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn sender(&self, index: usize, pool: Arc<LocalBufferPool>, max_backlog: usize) -> ChannelSender {
        self.shared.queues.lock().channels[index].max_backlog = max_backlog.max(1);
        ChannelSender { shared: Arc::clone(&self.shared), channel: index, pool }
    }

    /// How many channels.
    pub fn channels(&self) -> usize {
        self.shared.queues.lock().channels.len()
    }

    /// The next item and its channel, or nothing when all queues are empty. Channels take turns.
    ///
    /// Asking for the next item says that the one before has been processed: its buffer is given back.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
    /// while let Some((channel, item)) = gate.poll()? {
    ///     assert!(matches!((channel, item), (0, GateItem::Batch(batch)) if batch.len() == 1));
    /// }
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// When an encoded buffer cannot be decoded.
    pub fn poll(&mut self) -> Result<Option<(usize, GateItem)>, NetworkError> {
        let mut queues = self.shared.queues.lock();
        if let Some((channel, credit)) = self.outstanding.take() {
            queues.recycle(channel, credit, &self.shared.floating);
        }
        if let Some(notice) = queues.notices.pop_front() {
            return Ok(Some(notice));
        }
        let Some(index) = queues.ready.pop_front() else { return Ok(None) };
        let channel = &mut queues.channels[index];
        let entry = channel.queue.pop_front();
        if channel.queue.is_empty() {
            channel.is_ready = false;
        } else {
            queues.ready.push_back(index);
        }
        let Some(entry) = entry else { return Ok(None) };
        match entry {
            Entry::Event(event) => {
                queues.channels[index].taken(event);
                Ok(Some((index, GateItem::Event(event))))
            }
            Entry::Buffer { buffer, bytes, credit } => {
                queues.queued_buffers -= 1;
                queues.queued_bytes -= bytes;
                drop(queues);
                self.outstanding = Some((index, credit));
                Ok(Some((index, GateItem::Batch(self.decode(buffer)?))))
            }
        }
    }

    fn decode(&self, buffer: Buffer) -> Result<Batch, NetworkError> {
        match buffer {
            Buffer::Batch(batch) => Ok(batch),
            Buffer::Encoded(bytes) => {
                self.serializer.decode(&bytes).map_err(|error| NetworkError::Serialization(error.to_string()))
            }
        }
    }

    /// Whether [`poll`](Self::poll) would return something.
    pub fn has_input(&self) -> bool {
        let queues = self.shared.queues.lock();
        !queues.ready.is_empty() || !queues.notices.is_empty()
    }

    /// Gives back the buffer of the last batch without asking for more: before the task goes to sleep.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
    /// gate.poll()?;
    /// assert!(gate.usage().pool_usage > 0.0, "the task is processing it");
    /// gate.recycle_last();
    /// assert_eq!(gate.usage().pool_usage, 0.0);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn recycle_last(&mut self) {
        if let Some((channel, credit)) = self.outstanding.take() {
            self.shared.queues.lock().recycle(channel, credit, &self.shared.floating);
        }
    }

    /// What waits in the gate, for metrics.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
    /// assert_eq!((gate.usage().queued_buffers, gate.usage().queued_bytes), (1, 4));
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn usage(&self) -> GateUsage {
        GateProbe(Arc::clone(&self.shared), self.exclusive_per_channel).usage()
    }

    /// A handle that reads the usage from another thread.
    pub fn probe(&self) -> GateProbe {
        GateProbe(Arc::clone(&self.shared), self.exclusive_per_channel)
    }

    /// Whether the end of a channel has been taken, before the last restore or since.
    pub fn is_ended(&self, channel: usize) -> bool {
        self.shared.queues.lock().channels[channel].ended
    }

    /// What has credit and was not taken yet, in the order of each channel. What waits without credit belongs to the
    /// snapshots of the [partitions](crate::ResultPartition::snapshot); the batch that was taken last, to the task.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// sender.send_event(Event::EndOfInput);
    /// let snapshot = gate.snapshot()?;
    /// assert_eq!((snapshot.channels.len(), snapshot.channels[0].queued.len()), (1, 1));
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// When a batch cannot be encoded.
    pub fn snapshot(&self) -> Result<GateSnapshot, NetworkError> {
        let copied: Vec<(Vec<Copied>, bool)> = {
            let queues = self.shared.queues.lock();
            let each = queues.channels.iter();
            each.map(|channel| (channel.queue.iter().map(Entry::copy).collect(), channel.ended)).collect()
        };
        let channels = copied
            .into_iter()
            .map(|(queue, ended)| {
                Ok(InputChannelSnapshot { queued: Copied::encode_all(queue, &*self.serializer)?, ended })
            })
            .collect::<Result<_, NetworkError>>()?;
        Ok(GateSnapshot { serializer: self.serializer.snapshot(), channels })
    }

    /// What a snapshot of this gate held, channel by channel, to be processed before anything new; migrated where it was written
    /// by an earlier release of the job.
    ///
    /// # Errors
    /// When the gate has another number of channels, or its serializer cannot read what was stored.
    pub fn recovered(&self, mut snapshot: GateSnapshot) -> Result<Vec<(usize, InFlight)>, NetworkError> {
        snapshot.migrate(&*self.serializer)?;
        let (found, expected) = (snapshot.channels.len(), self.channels());
        if found != expected {
            return Err(NetworkError::SnapshotMismatch { what: "channels", found, expected });
        }
        let channels = snapshot.channels.into_iter().enumerate();
        let items =
            channels.flat_map(|(index, channel)| channel.queued.into_iter().map(move |item| (index, item)));
        Ok(items.collect())
    }

    /// Reads an item that [`recovered`](Self::recovered) has given.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn read(&self, item: InFlight) -> Result<GateItem, NetworkError> {
        Ok(match item {
            InFlight::Event(event) => GateItem::Event(event),
            InFlight::Buffer(bytes) => GateItem::Batch(self.decode(Buffer::Encoded(bytes))?),
        })
    }

    /// Puts a snapshot back into a new gate, before its partitions are restored and before anything is sent. What finds no
    /// credit, because the gate has fewer buffers now, follows as there is some, before all that is new.
    ///
    /// Batches are decoded when they are taken. In which order the channels take their turns is not stored.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// sender.send_event(Event::EndOfInput);
    /// let snapshot = gate.snapshot()?;
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let mut after = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// after.restore(snapshot)?;
    /// assert!(matches!(after.poll()?, Some((0, GateItem::Event(Event::EndOfInput)))));
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// [`NetworkError::SnapshotMismatch`] when the snapshot has another number of channels,
    /// [`NetworkError::RestoredTooLate`] when something has been sent, [`NetworkError::Migration`] when its records cannot
    /// be made those of the edge. The gate is as it was then.
    pub fn restore(&mut self, mut snapshot: GateSnapshot) -> Result<(), NetworkError> {
        snapshot.migrate(&*self.serializer)?;
        let mut queues = self.shared.queues.lock();
        let (found, expected) = (snapshot.channels.len(), queues.channels.len());
        if found != expected {
            return Err(NetworkError::SnapshotMismatch { what: "channels", found, expected });
        }
        let is_used =
            |channel: &Channel| channel.ended || !channel.queue.is_empty() || !channel.backlog.is_empty();
        if self.outstanding.is_some() || queues.channels.iter().any(is_used) {
            return Err(NetworkError::RestoredTooLate { what: "the input gate" });
        }
        for (index, InputChannelSnapshot { queued, ended }) in snapshot.channels.into_iter().enumerate() {
            let channel = &mut queues.channels[index];
            channel.ended = ended;
            queued.into_iter().for_each(|item| channel.recover(item, || None));
            queues.promote(index, &self.shared.floating);
        }
        drop(queues);
        self.shared.waker.wake(Wake::Input);
        Ok(())
    }
}

impl Drop for InputGate {
    fn drop(&mut self) {
        let mut queues = self.shared.queues.lock();
        queues.closed = true;
        for channel in &mut queues.channels {
            channel.queue.clear();
            channel.backlog.clear();
            if let Some(pool) = channel.congestion.take() {
                pool.relieve();
            }
        }
        queues.ready.clear();
        queues.notices.clear();
        (queues.queued_buffers, queues.queued_bytes) = (0, 0);
    }
}

/// How full a gate is.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
/// # use tidemill_serialization::TypedBatchSerializer;
/// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
/// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
/// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
/// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
/// # let sender = gate.sender(0, pool.clone(), 4);
/// use tidemill_network::gate::GateUsage;
///
/// assert_eq!(gate.usage(), GateUsage { queued_buffers: 0, queued_bytes: 0, pool_usage: 0.0 });
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GateUsage {
    /// Buffers that wait to be processed (`inputQueueLength`).
    pub queued_buffers: usize,
    /// Their logical bytes (`inputQueueSize`).
    pub queued_bytes: usize,
    /// Buffers in use ÷ buffers there are, exclusive and floating (`inPoolUsage`).
    pub pool_usage: f64,
}

/// Reads the usage of a gate from any thread.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
/// # use tidemill_serialization::TypedBatchSerializer;
/// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
/// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
/// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
/// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
/// # let sender = gate.sender(0, pool.clone(), 4);
/// let probe = gate.probe();
/// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
/// assert_eq!(probe.usage().queued_buffers, 1);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GateProbe(Arc<Shared>, usize);

impl GateProbe {
    /// The usage at this moment.
    pub fn usage(&self) -> GateUsage {
        let queues = self.0.queues.lock();
        let exclusive = self.1 * queues.channels.len();
        let free: usize = queues.channels.iter().map(|channel| channel.free_exclusive).sum();
        let used = exclusive - free + self.0.floating.used();
        let all = exclusive + self.0.floating.size();
        GateUsage {
            queued_buffers: queues.queued_buffers,
            queued_bytes: queues.queued_bytes,
            pool_usage: used as f64 / all.max(1) as f64,
        }
    }
}
