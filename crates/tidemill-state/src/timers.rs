//! Timers: calls that a key has ordered for a time.
//!
//! Many keys order the same time (the end of a window), so timers are kept in buckets, one a time stamp.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use hashbrown::HashTable;
use tidemill_core::{Element, KeyGroup, Timestamp, hash};
use tidemill_serialization::{Input, Key};

use crate::account::Account;
use crate::codec::{get_entry, get_varint, in_state, put_entry, put_varint};
use crate::error::StateError;
use crate::keyed::KeyedStateBackend;
use crate::snapshot::GroupWriter;
use crate::table::{Scope, Table};

/// The clock that a timer goes by.
///
/// ```
/// use tidemill_state::TimeDomain;
///
/// assert_ne!(TimeDomain::Event, TimeDomain::Processing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// The watermark.
    Event,
    /// The clock of the machine.
    Processing,
}

impl TimeDomain {
    const ALL: [TimeDomain; 2] = [TimeDomain::Event, TimeDomain::Processing];
}

/// A call that was ordered.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{TimeDomain, Timers};
///
/// let timers: Timers<u32> = backend.register_timers("timers")?;
/// timers.register(&mut backend, TimeDomain::Event, 1_000, &7)?;
/// let timer = timers.pop_due(&mut backend, TimeDomain::Event, 1_000)?.unwrap();
/// assert_eq!((timer.timestamp, timer.key.as_str(), timer.namespace), (1_000, "JFK", 7));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer<K, N> {
    /// When it is due, in milliseconds since 1970-01-01T00:00:00Z.
    pub timestamp: Timestamp,
    /// Whose it is.
    pub key: K,
    /// The routing hash of the key.
    pub hash: u64,
    /// What for.
    pub namespace: N,
}

struct Ordered<K, N> {
    hash: u64,
    /// `None` once fired or deleted.
    timer: Option<(K, N)>,
}

/// Buckets up to this size are searched from end to end; larger ones have an index.
const SEARCHED: usize = 16;
/// Buckets give memory back when they are made for more timers than these, and for four times as many as they have.
const ROOMY: usize = 4 * SEARCHED;

/// The timers of one time stamp, in the order in which they were registered.
struct Bucket<K, N> {
    timers: Vec<Ordered<K, N>>,
    /// The first that may still be there.
    head: usize,
    live: usize,
    /// Places in `timers`; also of timers that are gone, which match nothing. Made when a timer is searched for: those
    /// of windows mostly never are.
    index: HashTable<u32>,
    /// The first place that the index does not have.
    indexed: usize,
}

#[inline]
fn bucket_hash<N: Key>(hash: u64, namespace: &N) -> u64 {
    if size_of::<N>() == 0 { hash } else { hash::combine(hash, namespace.routing_hash()) }
}

impl<K: Key, N: Key> Bucket<K, N> {
    fn new() -> Self {
        // Time stamps of one timer each are common too, and a vector that grows by itself starts with four.
        Self { timers: Vec::with_capacity(1), head: 0, live: 0, index: HashTable::new(), indexed: 0 }
    }

    fn find(&mut self, hash: u64, key: &K, namespace: &N) -> Option<usize> {
        let searched = self.timers.len() - self.head <= SEARCHED;
        if !searched {
            for place in self.indexed.max(self.head)..self.timers.len() {
                self.add_to_index(place);
            }
            self.indexed = self.timers.len();
        }
        let same = |place: usize| {
            let ordered = &self.timers[place];
            ordered.hash == hash && ordered.timer.as_ref().is_some_and(|(k, n)| k == key && n == namespace)
        };
        if searched {
            return (self.head..self.timers.len()).find(|place| same(*place));
        }
        let found = self.index.find(bucket_hash(hash, namespace), |place| same(*place as usize));
        found.map(|place| *place as usize)
    }

    fn push(&mut self, hash: u64, key: &K, namespace: &N) {
        if self.timers.len() > 2 * SEARCHED && self.live < self.timers.len() / 2 {
            self.compact();
        }
        self.timers.push(Ordered { hash, timer: Some((key.clone(), namespace.clone())) });
        self.live += 1;
    }

    fn add_to_index(&mut self, place: usize) {
        let hash_of = |timers: &[Ordered<K, N>], place: usize| {
            let ordered = &timers[place];
            // A timer that is gone is found by nobody, so its place in the index does not matter.
            ordered.timer.as_ref().map_or(ordered.hash, |(_, namespace)| bucket_hash(ordered.hash, namespace))
        };
        let timers = &self.timers;
        if timers[place].timer.is_some() {
            let hash = hash_of(timers, place);
            self.index.insert_unique(hash, place as u32, |place| hash_of(timers, *place as usize));
        }
    }

    fn compact(&mut self) {
        self.timers.retain(|ordered| ordered.timer.is_some());
        self.head = 0;
        self.index.clear();
        self.indexed = 0;
    }

    /// Gives memory back that few timers are left to use. The next time comes when three quarters of those are gone, so
    /// that moving them is paid for.
    #[inline]
    fn shrink(&mut self) {
        let capacity = self.timers.capacity();
        if capacity > ROOMY && self.live < capacity / 4 {
            self.compact();
            self.timers.shrink_to(2 * self.live);
            self.index = HashTable::new();
        }
    }

    fn remove(&mut self, place: usize) -> Option<(K, N)> {
        let timer = self.timers[place].timer.take();
        self.live -= usize::from(timer.is_some());
        timer
    }

    fn pop(&mut self) -> Option<(u64, K, N)> {
        while self.head < self.timers.len() {
            let place = self.head;
            self.head += 1;
            if let Some((key, namespace)) = self.remove(place) {
                return Some((self.timers[place].hash, key, namespace));
            }
        }
        None
    }

    /// Bytes that the bucket has asked the allocator for, however many timers there are.
    #[inline]
    fn allocated(&self) -> usize {
        self.timers.capacity() * size_of::<Ordered<K, N>>() + self.index.allocation_size()
    }

    fn live(&self) -> impl Iterator<Item = (u64, &K, &N)> {
        let timers = &self.timers[self.head..];
        timers.iter().filter_map(|ordered| {
            ordered.timer.as_ref().map(|(key, namespace)| (ordered.hash, key, namespace))
        })
    }
}

/// The timers of one operator subtask, in event time and in processing time.
///
/// A timer is a key, a namespace and a time; registering it again changes nothing. Timers come due by time, and
/// those of one time in the order in which they were registered.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{TimeDomain, Timers};
///
/// let timers: Timers = backend.register_timers("timers")?;
/// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
/// let service = timers.service(&mut backend)?;
/// assert_eq!(service.next_timestamp(TimeDomain::Event), Some(1_000));
/// assert_eq!((service.len(TimeDomain::Event), service.len(TimeDomain::Processing)), (1, 0));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct TimerService<K, N> {
    queues: [BTreeMap<Timestamp, Bucket<K, N>>; 2],
    count: [usize; 2],
    scope: Scope,
    account: Account,
    /// What is being restored, with its place within its bucket.
    restoring: Vec<(TimeDomain, Timestamp, u64, u64, K, N)>,
}

impl<K: Key, N: Key> TimerService<K, N> {
    /// Bytes that a time stamp is counted with, apart from what its bucket has allocated: its place in the tree, whose nodes are little more than
    /// half full when time only goes on.
    const BUCKET: usize = 2 * size_of::<(Timestamp, Bucket<K, N>)>();

    pub(crate) fn new(name: &str, scope: Scope) -> Self {
        let account = Account::new(name, &scope.budget);
        Self {
            queues: [BTreeMap::new(), BTreeMap::new()],
            count: [0, 0],
            scope,
            account,
            restoring: Vec::new(),
        }
    }

    /// Registers a timer; `hash` is the routing hash of `key`. Returns whether it was not there before.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// let (key, hash) = ("LGA".to_owned(), "LGA".routing_hash());
    /// let service = timers.service(&mut backend)?;
    /// assert!(service.register(TimeDomain::Event, 1_000, (&key, hash), &())?);
    /// assert!(!service.register(TimeDomain::Event, 1_000, (&key, hash), &())?, "it is there already");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the key does not belong to this subtask, or the memory for state is used up.
    pub fn register(
        &mut self,
        domain: TimeDomain,
        timestamp: Timestamp,
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> Result<bool, StateError> {
        self.scope.check_hash(hash)?;
        self.add(domain, timestamp, (key, hash), namespace, |bucket| {
            bucket.find(hash, key, namespace).is_none()
        })
    }

    /// Registers a timer that is known not to be there, such as that of a window which has just got its first element.
    /// One that is there all the same fires twice.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// let (key, hash) = ("LGA".to_owned(), "LGA".routing_hash());
    /// let service = timers.service(&mut backend)?;
    /// service.register_new(TimeDomain::Event, 1_000, (&key, hash), &())?;
    /// assert_eq!(service.len(TimeDomain::Event), 1);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn register_new(
        &mut self,
        domain: TimeDomain,
        timestamp: Timestamp,
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> Result<(), StateError> {
        self.scope.check_hash(hash)?;
        self.add(domain, timestamp, (key, hash), namespace, |_| true).map(|_| ())
    }

    /// Adds a timer if its bucket, where there is one, has it `missing`.
    fn add(
        &mut self,
        domain: TimeDomain,
        timestamp: Timestamp,
        (key, hash): (&K, u64),
        namespace: &N,
        missing: impl FnOnce(&mut Bucket<K, N>) -> bool,
    ) -> Result<bool, StateError> {
        let (bucket, is_missing, mut grown, shrunk) = match self.queues[domain as usize].entry(timestamp) {
            Entry::Occupied(bucket) => {
                let bucket = bucket.into_mut();
                let before = bucket.allocated();
                // Looking for it may make an index.
                let is_missing = missing(bucket);
                (bucket, is_missing, 0, before)
            }
            Entry::Vacant(place) => (place.insert(Bucket::new()), true, Self::BUCKET, 0),
        };
        if is_missing {
            bucket.push(hash, key, namespace);
            self.count[domain as usize] += 1;
            grown += variable(key, namespace);
        }
        self.account.change(grown + bucket.allocated(), shrunk)?;
        Ok(is_missing)
    }

    /// Deletes a timer. Returns whether it was there.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// let (key, hash) = ("LGA".to_owned(), "LGA".routing_hash());
    /// let service = timers.service(&mut backend)?;
    /// service.register(TimeDomain::Event, 1_000, (&key, hash), &())?;
    /// assert!(service.delete(TimeDomain::Event, 1_000, (&key, hash), &()));
    /// assert!(!service.delete(TimeDomain::Event, 1_000, (&key, hash), &()), "it is gone");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn delete(
        &mut self,
        domain: TimeDomain,
        timestamp: Timestamp,
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> bool {
        let queue = &mut self.queues[domain as usize];
        let Some(bucket) = queue.get_mut(&timestamp) else { return false };
        let before = bucket.allocated();
        let found = bucket.find(hash, key, namespace);
        let mut shrunk = before;
        if let Some(place) = found {
            bucket.remove(place);
            bucket.shrink();
            self.count[domain as usize] -= 1;
            shrunk += variable(key, namespace);
        }
        let mut left = bucket.allocated();
        if bucket.live == 0 {
            queue.remove(&timestamp);
            left = 0;
            shrunk += Self::BUCKET;
        }
        // An index that was made for this may exceed the budget; the next timer that is registered says so.
        let _ = self.account.change(left, shrunk);
        found.is_some()
    }

    /// Takes the next timer that is due at `up_to` (inclusive).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
    /// let service = timers.service(&mut backend)?;
    /// assert!(service.pop_due(TimeDomain::Event, 999).is_none());
    /// assert!(service.pop_due(TimeDomain::Event, 1_000).is_some_and(|timer| timer.key == "JFK"));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn pop_due(&mut self, domain: TimeDomain, up_to: Timestamp) -> Option<Timer<K, N>> {
        let mut first = self.queues[domain as usize].first_entry()?;
        let timestamp = *first.key();
        if timestamp > up_to {
            return None;
        }
        let bucket = first.get_mut();
        let mut shrunk = bucket.allocated();
        let popped = bucket.pop();
        bucket.shrink();
        let mut left = bucket.allocated();
        if bucket.live == 0 {
            first.remove();
            left = 0;
            shrunk += Self::BUCKET;
        }
        if let Some((_, key, namespace)) = &popped {
            self.count[domain as usize] -= 1;
            shrunk += variable(key, namespace);
        }
        // Less memory in use cannot exceed a budget.
        let _ = self.account.change(left, shrunk);
        let (hash, key, namespace) = popped?;
        Some(Timer { timestamp, key, hash, namespace })
    }

    /// When the next timer is due.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// timers.register(&mut backend, TimeDomain::Event, 2_000, &())?;
    /// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
    /// assert_eq!(timers.service(&mut backend)?.next_timestamp(TimeDomain::Event), Some(1_000));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn next_timestamp(&self, domain: TimeDomain) -> Option<Timestamp> {
        self.queues[domain as usize].first_key_value().map(|(timestamp, _)| *timestamp)
    }

    /// How many timers there are.
    pub fn len(&self, domain: TimeDomain) -> usize {
        self.count[domain as usize]
    }

    /// Whether there is no timer in either domain.
    pub fn is_empty(&self) -> bool {
        self.count == [0, 0]
    }

    /// Shows all timers of a domain, by time.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// timers.register(&mut backend, TimeDomain::Event, 2_000, &())?;
    /// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
    /// let mut times = Vec::new();
    /// timers.service(&mut backend)?.for_each(TimeDomain::Event, |timestamp, _, _| times.push(timestamp));
    /// assert_eq!(times, [1_000, 2_000]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn for_each(&self, domain: TimeDomain, mut f: impl FnMut(Timestamp, &K, &N)) {
        for (timestamp, bucket) in &self.queues[domain as usize] {
            bucket.live().for_each(|(_, key, namespace)| f(*timestamp, key, namespace));
        }
    }
}

/// Bytes that a timer is counted with besides its place in the bucket.
fn variable<K: Key, N: Key>(key: &K, namespace: &N) -> usize {
    let variable = |fixed: Option<usize>, logical: usize| if fixed.is_some() { 0 } else { logical };
    variable(K::FIXED_BYTES, Element::logical_bytes(key))
        + variable(N::FIXED_BYTES, Element::logical_bytes(namespace))
}

impl<K: Key, N: Key> Table<K> for TimerService<K, N> {
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        for domain in TimeDomain::ALL {
            for (timestamp, bucket) in &self.queues[domain as usize] {
                for (place, (hash, key, namespace)) in bucket.live().enumerate() {
                    let bytes = out.of_hash(hash)?;
                    put_entry(bytes, key, namespace);
                    bytes.push(domain as u8);
                    bytes.extend_from_slice(&timestamp.to_le_bytes());
                    put_varint(bytes, place as u64);
                }
            }
        }
        Ok(())
    }

    fn restore_group(&mut self, group: KeyGroup, bytes: &[u8], _stamped: bool) -> Result<(), StateError> {
        let mut input = Input::new(bytes);
        while input.remaining() > 0 {
            let entry = get_entry::<K, N>(&mut input).and_then(|(key, namespace)| {
                let [domain] = input.array("time domain")?;
                let domain = if domain == 0 { TimeDomain::Event } else { TimeDomain::Processing };
                let timestamp = Timestamp::from_le_bytes(input.array("timestamp of a timer")?);
                let place = get_varint(&mut input, "place of a timer")?;
                Ok((domain, timestamp, place, key.routing_hash(), key, namespace))
            });
            let timer = in_state(self.account.name(), entry)?;
            self.scope.check_restored(self.account.name(), group, timer.3)?;
            self.restoring.push(timer);
        }
        Ok(())
    }

    fn finish_restore(&mut self) -> Result<(), StateError> {
        let mut restoring = std::mem::take(&mut self.restoring);
        // The order within a bucket went through all key groups.
        restoring.sort_by_key(|(domain, timestamp, place, ..)| (*domain, *timestamp, *place));
        for (domain, timestamp, _, hash, key, namespace) in &restoring {
            self.register(*domain, *timestamp, (key, *hash), namespace)?;
        }
        Ok(())
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
        for domain in TimeDomain::ALL {
            self.for_each(domain, |_, key, namespace| {
                if namespace == wanted {
                    keys.push(key.clone());
                }
            });
        }
        Ok(true)
    }

    fn is_stamped(&self) -> bool {
        false
    }

    fn bytes(&self) -> usize {
        self.account.used()
    }
}

/// A handle to the timers of a backend.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{TimeDomain, Timers};
///
/// let timers: Timers = backend.register_timers("timers")?;
/// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
/// timers.register(&mut backend, TimeDomain::Event, 2_000, &())?;
/// assert!(timers.delete(&mut backend, TimeDomain::Event, 2_000, &())?);
/// assert!(timers.pop_due(&mut backend, TimeDomain::Event, 999)?.is_none());
/// assert!(timers.pop_due(&mut backend, TimeDomain::Event, 5_000)?.is_some());
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct Timers<N = ()> {
    pub(crate) index: u32,
    pub(crate) types: PhantomData<fn() -> N>,
}

handle!(Timers<N>);

impl<N: Key> Timers<N> {
    /// The timers themselves.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// timers.register(&mut backend, TimeDomain::Processing, 1_000, &())?;
    /// assert_eq!(timers.service(&mut backend)?.len(TimeDomain::Processing), 1);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn service<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
    ) -> Result<&mut TimerService<K, N>, StateError> {
        Ok(&mut backend.state::<TimerService<K, N>, ()>(self.index)?.table)
    }

    /// Registers a timer for the current key. Returns whether it was not there before.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers<u32> = backend.register_timers("timers")?;
    /// assert!(timers.register(&mut backend, TimeDomain::Event, 1_000, &7)?);
    /// assert!(!timers.register(&mut backend, TimeDomain::Event, 1_000, &7)?, "it is there already");
    /// assert!(timers.register(&mut backend, TimeDomain::Event, 1_000, &8)?, "another namespace");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the memory for state is used up.
    pub fn register<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        domain: TimeDomain,
        timestamp: Timestamp,
        namespace: &N,
    ) -> Result<bool, StateError> {
        let (key, hash, state) = backend.keyed_state::<TimerService<K, N>, ()>(self.index)?;
        state.table.register(domain, timestamp, (key, hash), namespace)
    }

    /// Deletes a timer of the current key. Returns whether it was there.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
    /// assert!(timers.delete(&mut backend, TimeDomain::Event, 1_000, &())?);
    /// assert!(!timers.delete(&mut backend, TimeDomain::Event, 1_000, &())?, "it is gone");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key.
    pub fn delete<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        domain: TimeDomain,
        timestamp: Timestamp,
        namespace: &N,
    ) -> Result<bool, StateError> {
        let (key, hash, state) = backend.keyed_state::<TimerService<K, N>, ()>(self.index)?;
        Ok(state.table.delete(domain, timestamp, (key, hash), namespace))
    }

    /// Takes the next timer that is due at `up_to` (inclusive) and makes its key the current one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{TimeDomain, Timers};
    ///
    /// let timers: Timers = backend.register_timers("timers")?;
    /// timers.register(&mut backend, TimeDomain::Event, 1_000, &())?;
    /// backend.clear_current_key();
    /// let timer = timers.pop_due(&mut backend, TimeDomain::Event, 1_000)?;
    /// assert!(timer.is_some_and(|timer| timer.timestamp == 1_000));
    /// assert!(backend.current_key().is_some_and(|(key, _)| key == "JFK"));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the handle is not of this backend.
    pub fn pop_due<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        domain: TimeDomain,
        up_to: Timestamp,
    ) -> Result<Option<Timer<K, N>>, StateError> {
        let popped = self.service(backend)?.pop_due(domain, up_to);
        if let Some(timer) = &popped {
            backend.set_current_key(&timer.key, timer.hash)?;
        }
        Ok(popped)
    }
}
