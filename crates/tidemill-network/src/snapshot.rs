//! What is on its way between tasks at one moment, and how it becomes bytes.
//!
//! The state of an exchange is cut where the credit is: what has credit lies in the consumer's queues and belongs to its
//! [`GateSnapshot`]; what has none, the partial builders, the events that ride behind them and the state of the router
//! belong to the producer's [`PartitionSnapshot`]. All of it stored at one moment, or behind one barrier, each item is in
//! exactly one of them, and on restore those of the gate come before those of the partition, and both before anything new.
//!
//! Batches are kept as the edge's serializer encodes them, beside its own snapshot: a program whose records have changed
//! since migrates them when it restores. Around them:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `TMCH` |
//! | 1 | version: 1 |
//! | 1 | 1 for a gate, 2 for a partition |
//! | | the snapshot of the serializer, its length in front |
//! | | the contents; counts and lengths take 8 bytes, all numbers are little-endian |
//! | 8 | the hash of all before |

use tidemill_core::hash;
use tidemill_core::time::Watermark;
use tidemill_serialization::{BatchSerializer, DecodeError, Input, SerializerSnapshot};

use crate::error::NetworkError;
use crate::event::Event;

const MAGIC: &[u8; 4] = b"TMCH";
const VERSION: u8 = 1;
const GATE: u8 = 1;
const PARTITION: u8 = 2;
/// Magic, version, what it is; and the checksum.
const HEAD: usize = 6;
const CHECKSUM: usize = 8;

/// An element that is on its way in a channel.
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
/// use tidemill_network::InFlight;
///
/// sender.send_event(Event::EndOfInput);
/// assert_eq!(gate.snapshot()?.channels[0].queued, [InFlight::Event(Event::EndOfInput)]);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// A batch, as the edge's serializer encodes it.
    Buffer(Vec<u8>),
    /// A control element.
    Event(Event),
}

/// What one channel of an [`InputGate`](crate::InputGate) holds.
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
/// use tidemill_network::InputChannelSnapshot;
///
/// sender.send_event(Event::EndOfInput);
/// gate.poll()?;
/// assert_eq!(gate.snapshot()?.channels, [InputChannelSnapshot { queued: vec![], ended: true }]);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputChannelSnapshot {
    /// What has credit and was not taken yet, oldest first.
    pub queued: Vec<InFlight>,
    /// Whether the end of the input has been taken, so that nothing more comes.
    pub ended: bool,
}

/// What an [`InputGate`](crate::InputGate) holds.
///
/// ```
/// use tidemill_network::GateSnapshot;
/// use tidemill_serialization::SerializerSnapshot;
///
/// let nothing = GateSnapshot { serializer: SerializerSnapshot::of::<u32>(), channels: vec![] };
/// assert_eq!(GateSnapshot::decode(&nothing.encode())?, nothing);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GateSnapshot {
    /// What its batches were encoded with.
    pub serializer: SerializerSnapshot,
    /// Its channels.
    pub channels: Vec<InputChannelSnapshot>,
}

/// What one channel of a [`ResultPartition`](crate::ResultPartition) holds, besides the records of its builder.
///
/// ```
/// use tidemill_network::{Event, InFlight, SubpartitionSnapshot};
///
/// let ending = SubpartitionSnapshot { waiting: vec![InFlight::Event(Event::EndOfInput)], riders: vec![] };
/// assert_ne!(ending, SubpartitionSnapshot::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubpartitionSnapshot {
    /// What was sent and has no credit yet, oldest first.
    pub waiting: Vec<InFlight>,
    /// What rides behind the records of the builder.
    pub riders: Vec<Event>,
}

/// What a [`Router`](crate::Router) holds.
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
/// let router = partition.snapshot(None, &*serializer)?.router;
/// assert!(router.builders[0].is_some() && router.rest.is_none());
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterSnapshot {
    /// For each of its builders: the records that wait to fill a buffer, encoded; `None` when there are none. A router
    /// that sends the same to all channels, or everything to one, has one builder.
    pub builders: Vec<Option<Vec<u8>>>,
    /// Where its selector stands: the next channel of a round robin, the generator of a shuffle.
    pub position: u64,
    /// The rest of a batch that was partly written, encoded.
    pub rest: Option<Vec<u8>>,
    /// The channels that were chosen for the records of the rest; empty when none were yet.
    pub targets: Vec<u32>,
}

/// What a [`ResultPartition`](crate::ResultPartition) holds.
///
/// ```
/// use tidemill_network::{PartitionSnapshot, RouterSnapshot};
/// use tidemill_serialization::SerializerSnapshot;
///
/// let serializer = SerializerSnapshot::of::<u32>();
/// let nothing = PartitionSnapshot { serializer, channels: vec![], router: RouterSnapshot::default() };
/// assert_eq!(PartitionSnapshot::decode(&nothing.encode())?, nothing);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionSnapshot {
    /// What its batches were encoded with.
    pub serializer: SerializerSnapshot,
    /// Its channels.
    pub channels: Vec<SubpartitionSnapshot>,
    /// Its router.
    pub router: RouterSnapshot,
}

impl GateSnapshot {
    /// The snapshot as bytes, with version and checksum.
    ///
    /// ```
    /// use tidemill_network::GateSnapshot;
    /// use tidemill_serialization::SerializerSnapshot;
    ///
    /// let nothing = GateSnapshot { serializer: SerializerSnapshot::of::<u32>(), channels: vec![] };
    /// assert!(nothing.encode().starts_with(b"TMCH"));
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        framed(GATE, |out| {
            put_bytes(out, &self.serializer.encode());
            put_count(out, self.channels.len());
            for channel in &self.channels {
                out.push(u8::from(channel.ended));
                put_items(out, &channel.queued);
            }
        })
    }

    /// Reads what [`encode`](Self::encode) wrote. The encoded batches are not looked into before they are used.
    ///
    /// ```
    /// use tidemill_network::GateSnapshot;
    /// use tidemill_serialization::SerializerSnapshot;
    ///
    /// let mut bytes = GateSnapshot { serializer: SerializerSnapshot::of::<u32>(), channels: vec![] }.encode();
    /// assert!(GateSnapshot::decode(&bytes).is_ok());
    /// bytes.pop();
    /// assert!(GateSnapshot::decode(&bytes).is_err(), "it is cut off");
    /// ```
    ///
    /// # Errors
    /// [`NetworkError::DamagedSnapshot`] when the bytes are damaged, cut off, something else, or of a version that this
    /// release does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, NetworkError> {
        unframed(bytes, GATE, "an input gate", |input| {
            let serializer = SerializerSnapshot::decode(&get_bytes(input)?)?;
            // A channel takes a flag and a count.
            let channels = get_many(input, 9, "channels of a gate", |input| {
                let ended = get_flag(input, "end of a channel")?;
                Ok(InputChannelSnapshot { queued: get_items(input)?, ended })
            })?;
            Ok(Self { serializer, channels })
        })
    }
}

impl GateSnapshot {
    /// Makes the batches those of the edge as it is now.
    pub(crate) fn migrate(&mut self, serializer: &dyn BatchSerializer) -> Result<(), NetworkError> {
        let queued = self.channels.iter_mut().flat_map(|channel| &mut channel.queued);
        migrate(&mut self.serializer, serializer, queued.filter_map(InFlight::bytes))
    }
}

impl PartitionSnapshot {
    /// Makes the batches those of the edge as it is now.
    pub(crate) fn migrate(&mut self, serializer: &dyn BatchSerializer) -> Result<(), NetworkError> {
        let waiting = self.channels.iter_mut().flat_map(|channel| &mut channel.waiting);
        let RouterSnapshot { builders, rest, .. } = &mut self.router;
        let batches = waiting.filter_map(InFlight::bytes).chain(builders.iter_mut().flatten()).chain(rest);
        migrate(&mut self.serializer, serializer, batches)
    }
}

impl InFlight {
    /// Whether it is part of what was on its way: barriers and the ends of producers belong to one run of a job.
    pub(crate) fn is_stored(&self) -> bool {
        !matches!(self, InFlight::Event(Event::Barrier(_) | Event::EndOfPartition))
    }

    fn bytes(&mut self) -> Option<&mut Vec<u8>> {
        match self {
            InFlight::Buffer(bytes) => Some(bytes),
            InFlight::Event(_) => None,
        }
    }
}

/// Encodes batches anew where they were written with another schema.
fn migrate<'a>(
    stored: &mut SerializerSnapshot,
    serializer: &dyn BatchSerializer,
    batches: impl Iterator<Item = &'a mut Vec<u8>>,
) -> Result<(), NetworkError> {
    let declared = serializer.snapshot();
    if *stored == declared {
        return Ok(());
    }
    let reader = serializer.reading(stored).map_err(NetworkError::Migration)?;
    for bytes in batches {
        let batch = reader.decode(bytes).map_err(NetworkError::Migration)?;
        bytes.clear();
        serializer.encode(&batch, bytes).map_err(NetworkError::Migration)?;
    }
    *stored = declared;
    Ok(())
}

impl PartitionSnapshot {
    /// The snapshot as bytes, with version and checksum.
    ///
    /// ```
    /// use tidemill_network::{PartitionSnapshot, RouterSnapshot};
    /// use tidemill_serialization::SerializerSnapshot;
    ///
    /// let serializer = SerializerSnapshot::of::<u32>();
    /// let nothing = PartitionSnapshot { serializer, channels: vec![], router: RouterSnapshot::default() };
    /// assert!(nothing.encode().starts_with(b"TMCH"));
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        framed(PARTITION, |out| {
            put_bytes(out, &self.serializer.encode());
            put_count(out, self.channels.len());
            for channel in &self.channels {
                put_items(out, &channel.waiting);
                put_count(out, channel.riders.len());
                channel.riders.iter().for_each(|event| put_event(out, *event));
            }
            let RouterSnapshot { builders, position, rest, targets } = &self.router;
            put_count(out, builders.len());
            builders.iter().for_each(|builder| put_optional(out, builder.as_deref()));
            out.extend_from_slice(&position.to_le_bytes());
            put_optional(out, rest.as_deref());
            put_count(out, targets.len());
            targets.iter().for_each(|target| out.extend_from_slice(&target.to_le_bytes()));
        })
    }

    /// Reads what [`encode`](Self::encode) wrote. The encoded batches are not looked into before they are used.
    ///
    /// ```
    /// use tidemill_network::{GateSnapshot, PartitionSnapshot};
    /// use tidemill_serialization::SerializerSnapshot;
    ///
    /// let gate = GateSnapshot { serializer: SerializerSnapshot::of::<u32>(), channels: vec![] };
    /// assert!(PartitionSnapshot::decode(&gate.encode()).is_err(), "it is the snapshot of a gate");
    /// ```
    ///
    /// # Errors
    /// As [`GateSnapshot::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NetworkError> {
        unframed(bytes, PARTITION, "a result partition", |input| {
            let serializer = SerializerSnapshot::decode(&get_bytes(input)?)?;
            let channels = get_many(input, 16, "channels of a partition", |input| {
                let waiting = get_items(input)?;
                let riders = get_many(input, 1, "events behind a builder", |input| {
                    let [tag] = input.array("event")?;
                    get_event(tag, input)
                })?;
                Ok(SubpartitionSnapshot { waiting, riders })
            })?;
            let builders = get_many(input, 1, "builders of a router", get_optional)?;
            let position = u64::from_le_bytes(input.array("position of a router")?);
            let rest = get_optional(input)?;
            let targets = get_many(input, 4, "chosen channels", |input| {
                Ok(u32::from_le_bytes(input.array("chosen channel")?))
            })?;
            Ok(Self { serializer, channels, router: RouterSnapshot { builders, position, rest, targets } })
        })
    }
}

fn framed(what: u8, contents: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&[VERSION, what]);
    contents(&mut out);
    let checksum = hash::bytes(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn unframed<S>(
    bytes: &[u8],
    what: u8,
    name: &'static str,
    contents: impl FnOnce(&mut Input<'_>) -> Result<S, DecodeError>,
) -> Result<S, NetworkError> {
    let damaged = |detail: String| NetworkError::DamagedSnapshot { of: name, detail };
    if bytes.len() < HEAD + CHECKSUM {
        return Err(damaged(format!("{} bytes are too few to be one", bytes.len())));
    }
    let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    if &body[..4] != MAGIC {
        return Err(damaged("it does not start as a channel snapshot does".into()));
    }
    if body[4] != VERSION {
        return Err(damaged(format!("it has version {}, this release reads version {VERSION}", body[4])));
    }
    if hash::bytes(body).to_le_bytes() != checksum {
        return Err(damaged("its checksum is wrong: the bytes were changed or cut off".into()));
    }
    if body[5] != what {
        return Err(damaged(format!("it is one of something else ({} instead of {what})", body[5])));
    }
    let mut input = Input::new(&body[HEAD..]);
    contents(&mut input)
        .and_then(|snapshot| input.finish("channel snapshot").map(|()| snapshot))
        .map_err(|error| damaged(error.to_string()))
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

/// A count of things that take at least `least` bytes each.
fn get_count(input: &mut Input<'_>, least: usize, what: &'static str) -> Result<usize, DecodeError> {
    let count = u64::from_le_bytes(input.array(what)?);
    let count = usize::try_from(count)
        .map_err(|_| DecodeError::invalid(what, format!("{count} of them have no room in memory")))?;
    input.check_count(count, least, what)?;
    Ok(count)
}

/// Reads as many as a count says; memory is taken as they come.
fn get_many<T>(
    input: &mut Input<'_>,
    least: usize,
    what: &'static str,
    mut read: impl FnMut(&mut Input<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = get_count(input, least, what)?;
    let mut all = Vec::with_capacity(input.justified_capacity::<T>(count));
    for _ in 0..count {
        all.push(read(input)?);
    }
    Ok(all)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn get_bytes(input: &mut Input<'_>) -> Result<Vec<u8>, DecodeError> {
    let length = get_count(input, 1, "encoded batch")?;
    Ok(input.take(length, "encoded batch")?.to_vec())
}

fn get_flag(input: &mut Input<'_>, what: &'static str) -> Result<bool, DecodeError> {
    match input.array(what)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(DecodeError::invalid(what, format!("it is {other}, neither 0 nor 1"))),
    }
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_bytes(out, bytes);
    }
}

fn get_optional(input: &mut Input<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    get_flag(input, "presence of a batch")?.then(|| get_bytes(input)).transpose()
}

const BUFFER: u8 = 0;
const WATERMARK: u8 = 1;
const IDLE: u8 = 2;
const ACTIVE: u8 = 3;
const END: u8 = 4;

fn put_event(out: &mut Vec<u8>, event: Event) {
    match event {
        Event::Watermark(Watermark(timestamp)) => {
            out.push(WATERMARK);
            out.extend_from_slice(&timestamp.to_le_bytes());
        }
        Event::Idle(true) => out.push(IDLE),
        Event::Idle(false) => out.push(ACTIVE),
        Event::EndOfInput => out.push(END),
        // Left out of snapshots: they belong to one run of a job.
        Event::Barrier(_) | Event::EndOfPartition => {}
    }
}

fn get_event(tag: u8, input: &mut Input<'_>) -> Result<Event, DecodeError> {
    match tag {
        WATERMARK => Ok(Event::Watermark(Watermark(i64::from_le_bytes(input.array("watermark")?)))),
        IDLE => Ok(Event::Idle(true)),
        ACTIVE => Ok(Event::Idle(false)),
        END => Ok(Event::EndOfInput),
        other => Err(DecodeError::invalid("event", format!("{other} stands for none"))),
    }
}

fn put_items(out: &mut Vec<u8>, items: &[InFlight]) {
    let stored = || items.iter().filter(|item| item.is_stored());
    put_count(out, stored().count());
    for item in stored() {
        match item {
            InFlight::Buffer(bytes) => {
                out.push(BUFFER);
                put_bytes(out, bytes);
            }
            InFlight::Event(event) => put_event(out, *event),
        }
    }
}

fn get_items(input: &mut Input<'_>) -> Result<Vec<InFlight>, DecodeError> {
    get_many(input, 1, "elements of a channel", |input| {
        let [tag] = input.array("element of a channel")?;
        Ok(match tag {
            BUFFER => InFlight::Buffer(get_bytes(input)?),
            tag => InFlight::Event(get_event(tag, input)?),
        })
    })
}
