//! Dealing the records of a batch to channels, and packing them to at most a segment each.
//!
//! A [`Router`] belongs to an edge and is the only part of it that knows the record type. The ones for typed
//! batches are here; what chooses a channel for each record is a [`Selector`].

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::element::Element;
use tidemill_core::time::Timestamp;
use tidemill_serialization::BatchSerializer;

use crate::error::NetworkError;
use crate::event::Buffer;
use crate::snapshot::RouterSnapshot;

pub use crate::selector::{ByKeyGroup, Custom, Random, RoundRobin, Selector};

/// Whether a router has taken a whole batch.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_network::router::SingleRouter;
/// use tidemill_network::{RouteTarget, Routed, Router};
///
/// /// Has no buffers.
/// struct Full;
///
/// impl RouteTarget for Full {
///     fn begin(&mut self, _: usize) -> bool { false }
///     fn full(&mut self, _: usize, _: Batch, _: usize) {}
/// }
///
/// let mut batch = Batch::new(TypedBatch::from_values(vec![7u32]));
/// let routed = SingleRouter::<u32>::new(0, 1024).route(&mut batch, &mut Full)?;
/// assert_eq!((routed, batch.len()), (Routed::Rest, 1));
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// All of it.
    All,
    /// There was no buffer for the rest, which has been left in the batch.
    Rest,
}

/// Where a router puts its buffers.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_network::router::SingleRouter;
/// use tidemill_network::{RouteTarget, Router};
///
/// /// Counts records.
/// #[derive(Default)]
/// struct Count(usize);
///
/// impl RouteTarget for Count {
///     fn begin(&mut self, _: usize) -> bool { true }
///     fn full(&mut self, _: usize, batch: Batch, _: usize) { self.0 += batch.len() }
/// }
///
/// let (mut router, mut count) = (SingleRouter::<u32>::new(0, 1024), Count::default());
/// router.route(&mut Batch::new(TypedBatch::from_values(vec![7u32, 8])), &mut count)?;
/// router.flush(&mut count);
/// assert_eq!(count.0, 2);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub trait RouteTarget {
    /// Asks for a buffer before the first record of a builder. False when there is none.
    fn begin(&mut self, channel: usize) -> bool;

    /// Sends a builder that is full, of `bytes` logical bytes.
    fn full(&mut self, channel: usize, batch: Batch, bytes: usize);
}

/// Deals the records of batches to channels.
///
/// ```
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::RouteTarget;
/// # struct Sent(Vec<(usize, usize)>);
/// # impl RouteTarget for Sent {
/// #     fn begin(&mut self, _: usize) -> bool { true }
/// #     fn full(&mut self, channel: usize, batch: Batch, _: usize) { self.0.push((channel, batch.len())) }
/// # }
/// # let mut to = Sent(Vec::new());
/// use tidemill_network::router::{RoundRobin, Router, ScatterRouter};
///
/// let mut router: Box<dyn Router> = Box::new(ScatterRouter::<u32, _>::new(RoundRobin::default(), 2, 1024));
/// router.route(&mut Batch::new(TypedBatch::from_values(vec![7u32, 8, 9])), &mut to)?;
/// assert!(router.has_pending() && router.has_records(0));
/// router.flush(&mut to);
/// assert_eq!(to.0, [(0, 2), (1, 1)], "(channel, records)");
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub trait Router: Send {
    /// Moves the records of `batch` into the builders of their channels and sends those that get full.
    ///
    /// # Errors
    /// When the batch has another type, or a partitioner chooses a channel that does not exist.
    fn route(&mut self, batch: &mut Batch, to: &mut dyn RouteTarget) -> Result<Routed, NetworkError>;

    /// Sends every builder that has records.
    fn flush(&mut self, to: &mut dyn RouteTarget);

    /// Whether records wait in the builder of a channel.
    fn has_records(&self, channel: usize) -> bool;

    /// Whether records wait in any builder.
    fn has_pending(&self) -> bool;

    /// What waits in the builders, where the choice of channels stands, and `rest`, what [`route`](Self::route) has left
    /// of a batch.
    ///
    /// # Errors
    /// When a batch cannot be encoded, or `rest` is not the batch that was left.
    fn snapshot(
        &self,
        rest: Option<&Batch>,
        serializer: &dyn BatchSerializer,
    ) -> Result<RouterSnapshot, NetworkError>;

    /// Puts a snapshot back into a new router of the same kind. Answers the rest of a batch, which has to be routed next.
    ///
    /// # Errors
    /// When the snapshot is of a router of another kind or with other channels, or its batches are not the edge's.
    fn restore(
        &mut self,
        snapshot: RouterSnapshot,
        serializer: &dyn BatchSerializer,
    ) -> Result<Option<Batch>, NetworkError>;
}

/// Records that wait to fill a buffer.
struct Builder<T> {
    batch: TypedBatch<T>,
    bytes: usize,
    /// How many records the buffer before has held: most likely this one will hold as many.
    before: usize,
}

impl<T: Element> Builder<T> {
    fn new() -> Self {
        Self { batch: TypedBatch::default(), bytes: 0, before: 0 }
    }

    fn take(&mut self) -> Option<(Batch, usize)> {
        if self.batch.is_empty() {
            return None;
        }
        self.before = self.batch.len();
        let bytes = std::mem::take(&mut self.bytes);
        Some((Batch::new(std::mem::take(&mut self.batch)), bytes))
    }

    fn snapshot(&self, serializer: &dyn BatchSerializer) -> Result<Option<Vec<u8>>, NetworkError> {
        if self.batch.is_empty() {
            return Ok(None);
        }
        Buffer::Batch(Batch::new(self.batch.clone())).into_bytes(serializer).map(Some)
    }

    fn of(batch: TypedBatch<T>) -> Self {
        Self { bytes: batch.bytes(), batch, before: 0 }
    }
}

/// The builders of a snapshot and the rest of a batch, decoded; `rehash` makes their hash columns.
fn restored<T: Element>(
    snapshot: &RouterSnapshot,
    builders: usize,
    serializer: &dyn BatchSerializer,
    mut rehash: impl FnMut(&mut TypedBatch<T>),
) -> Result<(Vec<Builder<T>>, Option<Batch>), NetworkError> {
    let found = snapshot.builders.len();
    if found != builders {
        return Err(NetworkError::SnapshotMismatch { what: "builders", found, expected: builders });
    }
    let decode = |bytes: &[u8]| {
        serializer.decode(bytes).map_err(|error| NetworkError::Serialization(error.to_string()))
    };
    let mut all = Vec::with_capacity(builders);
    for stored in &snapshot.builders {
        let mut records = TypedBatch::default();
        if let Some(bytes) = stored {
            records = std::mem::take(decode(bytes)?.downcast_mut::<TypedBatch<T>>()?);
            rehash(&mut records);
        }
        all.push(Builder::of(records));
    }
    let rest = match &snapshot.rest {
        None => None,
        Some(bytes) => {
            let mut rest = decode(bytes)?;
            rehash(rest.downcast_mut::<TypedBatch<T>>()?);
            Some(rest).filter(|rest| !rest.is_empty())
        }
    };
    let (found, expected) = (snapshot.targets.len(), rest.as_ref().map_or(0, Batch::len));
    if found != 0 && found != expected {
        return Err(NetworkError::SnapshotMismatch { what: "chosen channels", found, expected });
    }
    Ok((all, rest))
}

/// The only builder of a router that chooses nothing, and the rest of a batch.
fn restored_one<T: Element>(
    snapshot: &RouterSnapshot,
    serializer: &dyn BatchSerializer,
) -> Result<(Builder<T>, Option<Batch>), NetworkError> {
    let found = snapshot.targets.len();
    if found != 0 {
        return Err(NetworkError::SnapshotMismatch { what: "chosen channels", found, expected: 0 });
    }
    // Its records have no hashes: the packing drops them.
    let (mut builders, rest) = restored(snapshot, 1, serializer, |_| {})?;
    Ok((builders.pop().unwrap_or_else(Builder::new), rest))
}

fn stored_rest(
    rest: Option<&Batch>,
    serializer: &dyn BatchSerializer,
) -> Result<Option<Vec<u8>>, NetworkError> {
    rest.map(|rest| Buffer::Batch(rest.clone()).into_bytes(serializer)).transpose()
}

/// What a record takes in a buffer besides its value.
#[inline(always)]
fn beside(stamped: bool, hashed: bool) -> usize {
    let stamp = if stamped { size_of::<Timestamp>() } else { 0 };
    stamp + if hashed { size_of::<u64>() } else { 0 }
}

/// The logical bytes of a record with what is beside it. At least one, so that buffers of records that take none get full.
#[inline(always)]
fn bytes_of<T: Element>(value: &T, beside: usize) -> usize {
    beside + T::FIXED_BYTES.unwrap_or_else(|| value.logical_bytes()).max(1)
}

/// Deals records to channels one by one, as a [`Selector`] says.
///
/// ```
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::RouteTarget;
/// # struct Sent(Vec<(usize, usize)>);
/// # impl RouteTarget for Sent {
/// #     fn begin(&mut self, _: usize) -> bool { true }
/// #     fn full(&mut self, channel: usize, batch: Batch, _: usize) { self.0.push((channel, batch.len())) }
/// # }
/// # let mut to = Sent(Vec::new());
/// use tidemill_network::router::{RoundRobin, Router, ScatterRouter};
///
/// let mut router = ScatterRouter::<u32, _>::new(RoundRobin::default(), 2, 1024);
/// router.route(&mut Batch::new(TypedBatch::from_values(vec![7u32, 8, 9])), &mut to)?;
/// router.flush(&mut to);
/// assert_eq!(to.0, [(0, 2), (1, 1)], "(channel, records)");
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub struct ScatterRouter<T, S> {
    selector: S,
    builders: Vec<Builder<T>>,
    segment_size: usize,
    targets: Vec<u32>,
    /// Targets that were chosen for records which found no buffer.
    resumed: bool,
}

impl<T: Element, S: Selector<T>> ScatterRouter<T, S> {
    /// A router to `channels` channels with buffers of `segment_size` bytes.
    ///
    /// ```
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::RouteTarget;
    /// # struct Sent(Vec<(usize, usize)>);
    /// # impl RouteTarget for Sent {
    /// #     fn begin(&mut self, _: usize) -> bool { true }
    /// #     fn full(&mut self, channel: usize, batch: Batch, _: usize) { self.0.push((channel, batch.len())) }
    /// # }
    /// # let mut to = Sent(Vec::new());
    /// use tidemill_network::router::{Router, RoundRobin, ScatterRouter};
    ///
    /// let mut router = ScatterRouter::<u32, _>::new(RoundRobin::default(), 1, 8);
    /// router.route(&mut Batch::new(TypedBatch::from_values(vec![7u32, 8, 9])), &mut to)?;
    /// assert_eq!(to.0, [(0, 2)], "two records fill a buffer of eight bytes");
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn new(selector: S, channels: usize, segment_size: usize) -> Self {
        Self {
            selector,
            builders: (0..channels).map(|_| Builder::new()).collect(),
            segment_size,
            targets: Vec::new(),
            resumed: false,
        }
    }
}

impl<T: Element, S: Selector<T>> Router for ScatterRouter<T, S> {
    fn route(&mut self, whole: &mut Batch, to: &mut dyn RouteTarget) -> Result<Routed, NetworkError> {
        let batch = whole.downcast_mut::<TypedBatch<T>>()?;
        if !std::mem::take(&mut self.resumed) {
            self.targets.clear();
            self.selector.select(batch, self.builders.len(), &mut self.targets)?;
        }
        if let [builder] = &self.builders[..]
            && builder.batch.is_empty()
        {
            // With only one place to go, a batch that fills about a buffer goes there by pointer.
            let bytes = batch.bytes();
            if bytes <= self.segment_size && bytes >= self.segment_size / 2 {
                if !to.begin(0) {
                    self.resumed = true;
                    return Ok(Routed::Rest);
                }
                to.full(0, whole.clone(), bytes);
                return Ok(Routed::All);
            }
        }
        let stamped = !batch.timestamps.is_empty();
        let hashed = !batch.hashes.is_empty();
        for (channel, builder) in self.builders.iter_mut().enumerate() {
            // All records of one buffer have a timestamp and a hash, or none of them.
            if (builder.batch.timestamps.is_empty() == stamped || builder.batch.hashes.is_empty() == hashed)
                && let Some((batch, bytes)) = builder.take()
            {
                to.full(channel, batch, bytes);
            }
        }
        let segment = self.segment_size;
        let beside = beside(stamped, hashed);
        let mut values = std::mem::take(&mut batch.values).into_iter();
        let mut done = 0;
        for target in &self.targets {
            let builder = &mut self.builders[*target as usize];
            if builder.batch.values.is_empty() {
                if !to.begin(*target as usize) {
                    break;
                }
                // Full buffers are allocated once, and those that a timeout sends early do not take the memory of full ones.
                let expected = builder.before;
                builder.batch.values.reserve(expected);
                if stamped {
                    builder.batch.timestamps.reserve(expected);
                }
                if hashed {
                    builder.batch.hashes.reserve(expected);
                }
            }
            let Some(value) = values.next() else { break };
            builder.bytes += bytes_of(&value, beside);
            builder.batch.values.push(value);
            if stamped {
                builder.batch.timestamps.push(batch.timestamps[done]);
            }
            if hashed {
                builder.batch.hashes.push(batch.hashes[done]);
            }
            done += 1;
            if builder.bytes >= segment
                && let Some((full, bytes)) = builder.take()
            {
                to.full(*target as usize, full, bytes);
            }
        }
        if done == self.targets.len() {
            return Ok(Routed::All);
        }
        batch.values = values.collect();
        if stamped {
            batch.timestamps.drain(..done);
        }
        if hashed {
            batch.hashes.drain(..done);
        }
        self.targets.drain(..done);
        self.resumed = true;
        Ok(Routed::Rest)
    }

    fn flush(&mut self, to: &mut dyn RouteTarget) {
        for (channel, builder) in self.builders.iter_mut().enumerate() {
            if let Some((batch, bytes)) = builder.take() {
                to.full(channel, batch, bytes);
            }
        }
    }

    fn has_records(&self, channel: usize) -> bool {
        !self.builders[channel].batch.is_empty()
    }

    fn has_pending(&self) -> bool {
        self.builders.iter().any(|builder| !builder.batch.is_empty())
    }

    fn snapshot(
        &self,
        rest: Option<&Batch>,
        serializer: &dyn BatchSerializer,
    ) -> Result<RouterSnapshot, NetworkError> {
        let (found, expected) = (rest.map_or(0, Batch::len), self.targets.len());
        if self.resumed && found != expected {
            return Err(NetworkError::SnapshotMismatch { what: "records in the rest", found, expected });
        }
        let builders = self.builders.iter().map(|builder| builder.snapshot(serializer));
        Ok(RouterSnapshot {
            builders: builders.collect::<Result<_, _>>()?,
            position: self.selector.position(),
            rest: stored_rest(rest, serializer)?,
            targets: if self.resumed { self.targets.clone() } else { Vec::new() },
        })
    }

    fn restore(
        &mut self,
        snapshot: RouterSnapshot,
        serializer: &dyn BatchSerializer,
    ) -> Result<Option<Batch>, NetworkError> {
        let channels = self.builders.len();
        if let Some(channel) = snapshot.targets.iter().find(|target| **target as usize >= channels) {
            let detail = format!("it sends records to channel {channel}, but there are only {channels}");
            return Err(NetworkError::DamagedSnapshot { of: "a router", detail });
        }
        let selector = &mut self.selector;
        let (builders, rest) = restored(&snapshot, channels, serializer, |batch| selector.rehash(batch))?;
        self.selector.set_position(snapshot.position);
        self.builders = builders;
        self.resumed = !snapshot.targets.is_empty();
        self.targets = snapshot.targets;
        Ok(rest)
    }
}

/// Sends everything to one channel of several (forward, global) or to the only one there is: by pointer when a batch
/// fills about a buffer, otherwise packed with its neighbours.
///
/// ```
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::RouteTarget;
/// # struct Sent(Vec<(usize, usize)>);
/// # impl RouteTarget for Sent {
/// #     fn begin(&mut self, _: usize) -> bool { true }
/// #     fn full(&mut self, channel: usize, batch: Batch, _: usize) { self.0.push((channel, batch.len())) }
/// # }
/// # let mut to = Sent(Vec::new());
/// use tidemill_network::router::{Router, SingleRouter};
///
/// let mut router = SingleRouter::<u32>::new(1, 1024);
/// router.route(&mut Batch::new(TypedBatch::from_values(vec![7u32, 8, 9])), &mut to)?;
/// router.flush(&mut to);
/// assert_eq!(to.0, [(1, 3)], "(channel, records)");
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub struct SingleRouter<T> {
    channel: usize,
    builder: Builder<T>,
    segment_size: usize,
}

impl<T: Element> SingleRouter<T> {
    /// A router that uses only channel `channel`.
    ///
    /// ```
    /// use tidemill_network::router::{Router, SingleRouter};
    ///
    /// assert!(!SingleRouter::<u32>::new(0, 1024).has_pending());
    /// ```
    pub fn new(channel: usize, segment_size: usize) -> Self {
        Self { channel, builder: Builder::new(), segment_size }
    }
}

/// The records of a batch that have yet to be packed. Taking them from the front costs nothing for those behind.
struct Unpacked<T> {
    values: std::vec::IntoIter<T>,
    timestamps: std::vec::IntoIter<Timestamp>,
    stamped: bool,
}

impl<T: Element> Unpacked<T> {
    fn of(records: &mut TypedBatch<T>) -> Self {
        records.hashes.clear();
        Self {
            values: std::mem::take(&mut records.values).into_iter(),
            stamped: !records.timestamps.is_empty(),
            timestamps: std::mem::take(&mut records.timestamps).into_iter(),
        }
    }

    fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    /// Puts what is left back into the batch.
    fn put_back(self, records: &mut TypedBatch<T>) {
        records.values = self.values.collect();
        records.timestamps = self.timestamps.collect();
    }

    /// Moves records to the builder until it is full or none is left.
    fn fill(&mut self, builder: &mut Builder<T>, segment: usize) {
        let room = segment.saturating_sub(builder.bytes);
        let left = self.values.as_slice();
        let beside = beside(self.stamped, false);
        let (count, bytes) = match T::FIXED_BYTES {
            Some(bytes) => {
                let each = bytes.max(1) + beside;
                let count = room.div_ceil(each).min(left.len());
                (count, count * each)
            }
            None => {
                let (mut count, mut bytes) = (0, 0);
                while count < left.len() && bytes < room {
                    bytes += bytes_of(&left[count], beside);
                    count += 1;
                }
                (count, bytes)
            }
        };
        builder.bytes += bytes;
        builder.batch.values.extend(self.values.by_ref().take(count));
        builder.batch.timestamps.extend(self.timestamps.by_ref().take(count));
    }
}

impl<T: Element> Router for SingleRouter<T> {
    fn route(&mut self, batch: &mut Batch, to: &mut dyn RouteTarget) -> Result<Routed, NetworkError> {
        let bytes = batch.byte_size();
        let builder = &mut self.builder;
        if builder.batch.is_empty() && bytes <= self.segment_size && bytes >= self.segment_size / 2 {
            if !to.begin(self.channel) {
                return Ok(Routed::Rest);
            }
            to.full(self.channel, batch.clone(), bytes);
            return Ok(Routed::All);
        }
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        if builder.batch.timestamps.is_empty() != records.timestamps.is_empty()
            && let Some((batch, bytes)) = builder.take()
        {
            to.full(self.channel, batch, bytes);
        }
        let mut unpacked = Unpacked::of(records);
        while !unpacked.is_empty() {
            if builder.batch.is_empty() && !to.begin(self.channel) {
                unpacked.put_back(records);
                return Ok(Routed::Rest);
            }
            unpacked.fill(builder, self.segment_size);
            if builder.bytes >= self.segment_size
                && let Some((batch, bytes)) = builder.take()
            {
                to.full(self.channel, batch, bytes);
            }
        }
        Ok(Routed::All)
    }

    fn flush(&mut self, to: &mut dyn RouteTarget) {
        if let Some((batch, bytes)) = self.builder.take() {
            to.full(self.channel, batch, bytes);
        }
    }

    fn has_records(&self, channel: usize) -> bool {
        channel == self.channel && !self.builder.batch.is_empty()
    }

    fn has_pending(&self) -> bool {
        !self.builder.batch.is_empty()
    }

    fn snapshot(
        &self,
        rest: Option<&Batch>,
        serializer: &dyn BatchSerializer,
    ) -> Result<RouterSnapshot, NetworkError> {
        Ok(RouterSnapshot {
            builders: vec![self.builder.snapshot(serializer)?],
            rest: stored_rest(rest, serializer)?,
            ..RouterSnapshot::default()
        })
    }

    fn restore(
        &mut self,
        snapshot: RouterSnapshot,
        serializer: &dyn BatchSerializer,
    ) -> Result<Option<Batch>, NetworkError> {
        let (builder, rest) = restored_one(&snapshot, serializer)?;
        self.builder = builder;
        Ok(rest)
    }
}

/// Sends everything to every channel; the channels share the memory of the records.
///
/// ```
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_network::RouteTarget;
/// # struct Sent(Vec<(usize, usize)>);
/// # impl RouteTarget for Sent {
/// #     fn begin(&mut self, _: usize) -> bool { true }
/// #     fn full(&mut self, channel: usize, batch: Batch, _: usize) { self.0.push((channel, batch.len())) }
/// # }
/// # let mut to = Sent(Vec::new());
/// use tidemill_network::router::{BroadcastRouter, Router};
///
/// let mut router = BroadcastRouter::<u32>::new(2, 1024);
/// router.route(&mut Batch::new(TypedBatch::from_values(vec![7u32, 8, 9])), &mut to)?;
/// router.flush(&mut to);
/// assert_eq!(to.0, [(0, 3), (1, 3)], "(channel, records)");
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub struct BroadcastRouter<T> {
    channels: usize,
    builder: Builder<T>,
    segment_size: usize,
    /// Channels that have a buffer for the next builder.
    begun: usize,
}

impl<T: Element> BroadcastRouter<T> {
    /// A router to `channels` channels.
    ///
    /// ```
    /// use tidemill_network::router::{BroadcastRouter, Router};
    ///
    /// assert!(!BroadcastRouter::<u32>::new(2, 1024).has_pending());
    /// ```
    pub fn new(channels: usize, segment_size: usize) -> Self {
        Self { channels, builder: Builder::new(), segment_size, begun: 0 }
    }

    fn begin(&mut self, to: &mut dyn RouteTarget) -> bool {
        while self.begun < self.channels {
            if !to.begin(self.begun) {
                return false;
            }
            self.begun += 1;
        }
        true
    }
}

impl<T: Element> Router for BroadcastRouter<T> {
    fn route(&mut self, batch: &mut Batch, to: &mut dyn RouteTarget) -> Result<Routed, NetworkError> {
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        if self.builder.batch.timestamps.is_empty() != records.timestamps.is_empty() {
            // All records of one buffer have a timestamp, or none of them.
            self.flush(to);
        }
        let mut unpacked = Unpacked::of(records);
        while !unpacked.is_empty() {
            if self.builder.batch.is_empty() && !self.begin(to) {
                unpacked.put_back(records);
                return Ok(Routed::Rest);
            }
            unpacked.fill(&mut self.builder, self.segment_size);
            if self.builder.bytes >= self.segment_size {
                self.flush(to);
            }
        }
        Ok(Routed::All)
    }

    fn flush(&mut self, to: &mut dyn RouteTarget) {
        if let Some((batch, bytes)) = self.builder.take() {
            self.begun = 0;
            for channel in 0..self.channels {
                to.full(channel, batch.clone(), bytes);
            }
        }
    }

    fn has_records(&self, _channel: usize) -> bool {
        !self.builder.batch.is_empty()
    }

    fn has_pending(&self) -> bool {
        !self.builder.batch.is_empty()
    }

    fn snapshot(
        &self,
        rest: Option<&Batch>,
        serializer: &dyn BatchSerializer,
    ) -> Result<RouterSnapshot, NetworkError> {
        Ok(RouterSnapshot {
            builders: vec![self.builder.snapshot(serializer)?],
            rest: stored_rest(rest, serializer)?,
            ..RouterSnapshot::default()
        })
    }

    fn restore(
        &mut self,
        snapshot: RouterSnapshot,
        serializer: &dyn BatchSerializer,
    ) -> Result<Option<Batch>, NetworkError> {
        let (builder, rest) = restored_one(&snapshot, serializer)?;
        self.begun = if builder.batch.is_empty() { 0 } else { self.channels };
        self.builder = builder;
        Ok(rest)
    }
}
