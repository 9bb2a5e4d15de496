//! Choosing a channel for each record: by its key, in turn, at random, or as a function of the user says.

use tidemill_core::batch::TypedBatch;
use tidemill_core::element::Element;
use tidemill_core::hash;
use tidemill_core::key_group::{KeyGroup, key_group, subtask_of};

use crate::error::NetworkError;

/// Chooses a channel for each record of a batch.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_network::NetworkError;
/// use tidemill_network::router::Selector;
///
/// /// Everything to the last channel.
/// struct Last;
///
/// impl Selector<u32> for Last {
///     fn select(
///         &mut self,
///         batch: &mut TypedBatch<u32>,
///         channels: usize,
///         targets: &mut Vec<u32>,
///     ) -> Result<(), NetworkError> {
///         targets.extend(batch.values.iter().map(|_| channels as u32 - 1));
///         Ok(())
///     }
/// }
///
/// let mut targets = Vec::new();
/// Last.select(&mut TypedBatch::from_values(vec![7, 8]), 3, &mut targets)?;
/// assert_eq!(targets, [2, 2]);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub trait Selector<T>: Send {
    /// Appends one channel (below `channels`) a record to `targets`. May fill in the batch's hash column.
    ///
    /// # Errors
    /// When a function of the user chooses a channel that does not exist.
    fn select(
        &mut self,
        batch: &mut TypedBatch<T>,
        channels: usize,
        targets: &mut Vec<u32>,
    ) -> Result<(), NetworkError>;

    /// Where the choice stands, when it depends on the choices before.
    fn position(&self) -> u64 {
        0
    }

    /// Goes on where another selector stood.
    fn set_position(&mut self, _position: u64) {}

    /// Fills in the hash column again, if the selector makes one: it is not stored.
    fn rehash(&mut self, _batch: &mut TypedBatch<T>) {}
}

/// Chooses by the key group of the routing hash of each record's key.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_core::hash::RoutingHash;
/// use tidemill_network::router::{ByKeyGroup, Selector};
///
/// let (mut batch, mut targets) = (TypedBatch::from_values(vec![7u32, 8, 7]), Vec::new());
/// ByKeyGroup::new(u32::routing_hash, 2, 128).select(&mut batch, 2, &mut targets)?;
/// assert_eq!(targets[0], targets[2], "the same key, the same channel");
/// assert_eq!(batch.hashes[0], 7u32.routing_hash());
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub struct ByKeyGroup<F> {
    hash: F,
    max_parallelism: u32,
    subtasks: Vec<u32>,
}

impl<F> ByKeyGroup<F> {
    /// `hash` gives the routing hash of a record's key.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    /// use tidemill_core::hash::RoutingHash;
    /// use tidemill_network::router::{ByKeyGroup, Selector};
    ///
    /// let mut by_name = ByKeyGroup::new(|record: &(String, u64)| record.0.routing_hash(), 1, 128);
    /// let mut targets = Vec::new();
    /// by_name.select(&mut TypedBatch::from_values(vec![("JFK".to_owned(), 7)]), 1, &mut targets)?;
    /// assert_eq!(targets, [0]);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn new(hash: F, parallelism: u32, max_parallelism: u32) -> Self {
        let subtasks = (0..max_parallelism)
            .map(|group| subtask_of(group as KeyGroup, parallelism, max_parallelism))
            .collect();
        Self { hash, max_parallelism, subtasks }
    }
}

impl<T: Element, F: FnMut(&T) -> u64 + Send> Selector<T> for ByKeyGroup<F> {
    fn select(
        &mut self,
        batch: &mut TypedBatch<T>,
        _channels: usize,
        targets: &mut Vec<u32>,
    ) -> Result<(), NetworkError> {
        self.rehash(batch);
        let hashes = &batch.hashes;
        let subtasks = &self.subtasks[..];
        if self.max_parallelism.is_power_of_two() {
            // A mask does what a division by a number that is not known at compile time would.
            let mask = self.max_parallelism - 1;
            targets.extend(hashes.iter().map(|hash| {
                let group = tidemill_core::key_group::murmur((hash >> 16) as u32) & mask;
                subtasks[group as usize]
            }));
        } else {
            let max = self.max_parallelism;
            targets.extend(hashes.iter().map(|hash| subtasks[usize::from(key_group(*hash, max))]));
        }
        Ok(())
    }

    #[inline]
    fn rehash(&mut self, batch: &mut TypedBatch<T>) {
        let TypedBatch { values, hashes, .. } = batch;
        hashes.clear();
        hashes.extend(values.iter().map(&mut self.hash));
    }
}

/// One channel after the other.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_network::router::{RoundRobin, Selector};
///
/// let mut targets = Vec::new();
/// RoundRobin::default().select(&mut TypedBatch::from_values(vec!['a', 'b', 'c']), 2, &mut targets)?;
/// assert_eq!(targets, [0, 1, 0]);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: usize,
}

impl RoundRobin {
    /// Starts at channel `first`, so that not all producers begin with the same consumer.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    /// use tidemill_network::router::{RoundRobin, Selector};
    ///
    /// let mut targets = Vec::new();
    /// RoundRobin::starting_at(1).select(&mut TypedBatch::from_values(vec!['a', 'b']), 2, &mut targets)?;
    /// assert_eq!(targets, [1, 0]);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn starting_at(first: usize) -> Self {
        Self { next: first }
    }
}

impl<T: Element> Selector<T> for RoundRobin {
    fn select(
        &mut self,
        batch: &mut TypedBatch<T>,
        channels: usize,
        targets: &mut Vec<u32>,
    ) -> Result<(), NetworkError> {
        let mut next = self.next % channels;
        targets.extend(
            std::iter::repeat_with(|| {
                let chosen = next;
                next = if next + 1 == channels { 0 } else { next + 1 };
                chosen as u32
            })
            .take(batch.len()),
        );
        self.next = next;
        Ok(())
    }

    fn position(&self) -> u64 {
        self.next as u64
    }

    fn set_position(&mut self, position: u64) {
        self.next = position as usize;
    }
}

/// A random channel for each record, from a seeded generator.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_network::router::{Random, Selector};
///
/// let mut targets = Vec::new();
/// Random::seeded(7).select(&mut TypedBatch::from_values(vec!['a'; 100]), 2, &mut targets)?;
/// assert!(targets.contains(&0) && targets.contains(&1));
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The same seed gives the same choices.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    /// use tidemill_network::router::{Random, Selector};
    ///
    /// let (mut one, mut other) = (Vec::new(), Vec::new());
    /// Random::seeded(7).select(&mut TypedBatch::from_values(vec!['a'; 100]), 8, &mut one)?;
    /// Random::seeded(7).select(&mut TypedBatch::from_values(vec!['a'; 100]), 8, &mut other)?;
    /// assert_eq!(one, other);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl<T: Element> Selector<T> for Random {
    fn select(
        &mut self,
        batch: &mut TypedBatch<T>,
        channels: usize,
        targets: &mut Vec<u32>,
    ) -> Result<(), NetworkError> {
        targets.extend((0..batch.len()).map(|_| {
            self.state = self.state.wrapping_add(1);
            // The high half of the product maps 32 random bits to 0..channels without a division.
            ((u64::from(hash::uint(self.state) as u32) * channels as u64) >> 32) as u32
        }));
        Ok(())
    }

    fn position(&self) -> u64 {
        self.state
    }

    fn set_position(&mut self, position: u64) {
        self.state = position;
    }
}

/// A function of the user: record and number of channels → channel. What the function itself remembers is not stored, so
/// it should go by the record alone; it is not asked again for records that it has chosen a channel for.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_network::router::{Custom, Selector};
///
/// let mut targets = Vec::new();
/// let mut by_value = Custom(|number: &u32, channels: usize| *number as usize % channels);
/// by_value.select(&mut TypedBatch::from_values(vec![7, 8]), 2, &mut targets)?;
/// assert_eq!(targets, [1, 0]);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
pub struct Custom<F>(pub F);

impl<T: Element, F: FnMut(&T, usize) -> usize + Send> Selector<T> for Custom<F> {
    fn select(
        &mut self,
        batch: &mut TypedBatch<T>,
        channels: usize,
        targets: &mut Vec<u32>,
    ) -> Result<(), NetworkError> {
        for value in &batch.values {
            let channel = (self.0)(value, channels);
            if channel >= channels {
                return Err(NetworkError::NoSuchChannel { channel, channels });
            }
            targets.push(channel as u32);
        }
        Ok(())
    }
}
