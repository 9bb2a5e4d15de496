//! A batch of state addresses, and what a batch lookup answers.

use std::borrow::Borrow;

use crate::error::StateError;

/// The slot of a record for whose key there is no entry.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{NO_SLOT, ValueState, ValueStateDescriptor};
///
/// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
/// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
/// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
/// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
/// visits.read_batch(&mut backend, &batch, |slots, _| assert_eq!(slots, [NO_SLOT; 3]))?;
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub const NO_SLOT: u32 = u32::MAX;

/// The namespaces of a batch of addresses.
///
/// ```
/// use tidemill_state::{KeyBatch, Namespaces};
///
/// let (hashes, keys) = ([1, 2], ["a", "b"]);
/// let hours = [0i64, 3_600_000];
/// assert!(KeyBatch::with_namespaces(&hashes, &keys, Namespaces::One(&hours[0])).is_ok());
/// assert!(KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(&hours)).is_ok());
/// ```
#[derive(Debug)]
pub enum Namespaces<'a, N> {
    /// All records have this one.
    One(&'a N),
    /// Each record has its own.
    Each(&'a [N]),
}

impl<N> Clone for Namespaces<'_, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Namespaces<'_, N> {}

impl<'a, N> Namespaces<'a, N> {
    #[inline(always)]
    pub(crate) fn at(&self, index: usize) -> &'a N {
        match self {
            Namespaces::One(namespace) => namespace,
            Namespaces::Each(namespaces) => &namespaces[index],
        }
    }
}

/// The addresses of a batch of records: per record the routing hash of its key, the key, and the namespace.
///
/// Keys are given as `&[K]` or `&[&K]`; they are cloned only when an entry is made.
///
/// ```
/// use tidemill_core::hash::RoutingHash;
/// use tidemill_state::KeyBatch;
///
/// let keys = ["JFK", "LGA"].map(String::from);
/// let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
/// assert_eq!(KeyBatch::new(&hashes, &keys)?.len(), 2);
/// assert!(KeyBatch::new(&hashes[1..], &keys).is_err());
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Debug)]
pub struct KeyBatch<'a, B, N = ()> {
    hashes: &'a [u64],
    keys: &'a [B],
    namespaces: Namespaces<'a, N>,
}

impl<B, N> Clone for KeyBatch<'_, B, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B, N> Copy for KeyBatch<'_, B, N> {}

impl<'a, B> KeyBatch<'a, B, ()> {
    /// The addresses of state that has no namespace. `hashes` are the routing hashes of `keys`.
    ///
    /// ```
    /// use tidemill_core::hash::RoutingHash;
    /// use tidemill_state::KeyBatch;
    ///
    /// let keys = ["JFK", "LGA"].map(String::from);
    /// let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// assert_eq!(KeyBatch::new(&hashes, &keys)?.len(), 2);
    /// assert!(KeyBatch::new(&hashes[1..], &keys).is_err(), "a hash is missing");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the columns differ in length.
    pub fn new(hashes: &'a [u64], keys: &'a [B]) -> Result<Self, StateError> {
        KeyBatch::with_namespaces(hashes, keys, Namespaces::One(&()))
    }
}

impl<'a, B, N> KeyBatch<'a, B, N> {
    /// The addresses of state that has namespaces, such as windows.
    ///
    /// ```
    /// use tidemill_core::hash::RoutingHash;
    /// use tidemill_state::{KeyBatch, Namespaces};
    ///
    /// let keys = ["JFK", "LGA"].map(String::from);
    /// let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
    /// let windows = [10i64, 20];
    /// assert_eq!(KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(&windows))?.len(), 2);
    /// assert_eq!(KeyBatch::with_namespaces(&hashes, &keys, Namespaces::One(&10i64))?.len(), 2);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the columns differ in length.
    pub fn with_namespaces(
        hashes: &'a [u64],
        keys: &'a [B],
        namespaces: Namespaces<'a, N>,
    ) -> Result<Self, StateError> {
        let uneven = |what, other| Err(StateError::UnevenBatch { keys: keys.len(), what, other });
        if hashes.len() != keys.len() {
            return uneven("hashes", hashes.len());
        }
        match namespaces {
            Namespaces::Each(each) if each.len() != keys.len() => uneven("namespaces", each.len()),
            _ => Ok(Self { hashes, keys, namespaces }),
        }
    }

    /// How many addresses.
    ///
    /// ```
    /// use tidemill_state::KeyBatch;
    ///
    /// assert_eq!(KeyBatch::new(&[1, 2], &["JFK", "LGA"])?.len(), 2);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no address.
    ///
    /// ```
    /// use tidemill_state::KeyBatch;
    ///
    /// assert!(!KeyBatch::new(&[1], &["JFK"])?.is_empty());
    /// assert!(KeyBatch::<String>::new(&[], &[])?.is_empty());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks that a column of the same access has one item a record.
    pub(crate) fn check_column(&self, what: &'static str, other: usize) -> Result<(), StateError> {
        let keys = self.keys.len();
        if keys == other { Ok(()) } else { Err(StateError::UnevenBatch { keys, what, other }) }
    }

    #[inline(always)]
    pub(crate) fn hash(&self, index: usize) -> u64 {
        self.hashes[index]
    }

    #[inline(always)]
    pub(crate) fn at<K>(&self, index: usize) -> Address<'a, K, N>
    where
        B: Borrow<K>,
    {
        Address {
            hash: self.hashes[index],
            key: self.keys[index].borrow(),
            namespace: self.namespaces.at(index),
        }
    }
}

/// Where an entry of a table is: the routing hash of its key, the key, the namespace.
#[derive(Debug)]
pub(crate) struct Address<'a, K, N> {
    pub(crate) hash: u64,
    pub(crate) key: &'a K,
    pub(crate) namespace: &'a N,
}

impl<K, N> Clone for Address<'_, K, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, N> Copy for Address<'_, K, N> {}

/// What a batch lookup that makes missing entries answers.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{ValueState, ValueStateDescriptor};
///
/// # let keys = ["JFK", "LGA", "JFK"].map(String::from);
/// # let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
/// # let batch = tidemill_state::KeyBatch::new(&hashes, &keys)?;
/// let seen: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("seen"))?;
/// // Of "JFK", "LGA" and "JFK", the last has the slot of the first.
/// seen.update_batch(&mut backend, &batch, |_| 0, |slots, values| {
///     assert_eq!(slots.slots[0], slots.slots[2]);
///     assert_eq!(slots.created, [0, 1]);
///     slots.slots.iter().for_each(|slot| values[*slot as usize] += 1);
/// })?;
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    /// Per record the place of its entry in the column of values.
    pub slots: &'a [u32],
    /// The records, by ascending index, whose entries were made by this lookup.
    pub created: &'a [u32],
}
