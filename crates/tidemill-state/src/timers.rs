//! Timers: calls that a key has ordered for a time.
//!
//! Many keys order the same time (the end of a window), so timers are kept in buckets, one a time stamp.

use std::any::Any;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::{Input, Key};

use crate::account::Account;
use crate::codec::{get_entry, get_varint, in_state, put_entry, put_varint};
use crate::error::StateError;
use crate::keyed::KeyedStateBackend;
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::GroupWriter;
use crate::table::{Scope, Table};
use crate::timer_bucket::{Bucket, variable};
use crate::timer_queues::{CowQueues, Queues};

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
    queues: CowQueues<K, N>,
    count: [usize; 2],
    scope: Scope,
    /// What is being restored, with its place within its bucket.
    restoring: Vec<(TimeDomain, Timestamp, u64, u64, K, N)>,
}

impl<K: Key, N: Key> TimerService<K, N> {
    pub(crate) fn new(name: &str, scope: Scope) -> Self {
        let queues = CowQueues::new(Account::new(name, &scope.budget), &scope.budget);
        Self { queues, count: [0, 0], scope, restoring: Vec::new() }
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
        self.queues.pull(domain, timestamp)?;
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
        self.queues.pull_end(domain, timestamp)?;
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
        let (bucket, is_missing, mut grown, shrunk) =
            match self.queues.active[domain as usize].entry(timestamp) {
                Entry::Occupied(bucket) => {
                    let bucket = bucket.into_mut();
                    let before = bucket.allocated();
                    // Looking for it may make an index.
                    let is_missing = missing(bucket);
                    (bucket, is_missing, 0, before)
                }
                Entry::Vacant(place) => (place.insert(Bucket::new()), true, Bucket::<K, N>::PLACE, 0),
            };
        if is_missing {
            bucket.push(hash, key, namespace);
            self.count[domain as usize] += 1;
            grown += variable(key, namespace);
        }
        let grown = grown + bucket.allocated();
        self.queues.account.change(grown, shrunk)?;
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
        // What is copied for this is counted, and the next timer that is registered says if it was too much.
        let _ = self.queues.pull(domain, timestamp);
        let queue = &mut self.queues.active[domain as usize];
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
            shrunk += Bucket::<K, N>::PLACE;
        }
        // An index that was made for this may exceed the budget; the next timer that is registered says so.
        let _ = self.queues.account.change(left, shrunk);
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
        let timestamp = self.next_timestamp(domain).filter(|timestamp| *timestamp <= up_to)?;
        // What is copied for this is counted, and the next timer that is registered says if it was too much.
        let _ = self.queues.pull(domain, timestamp);
        let mut first = self.queues.active[domain as usize].first_entry()?;
        let bucket = first.get_mut();
        let mut shrunk = bucket.allocated();
        let popped = bucket.pop();
        bucket.shrink();
        let mut left = bucket.allocated();
        if bucket.live == 0 {
            first.remove();
            left = 0;
            shrunk += Bucket::<K, N>::PLACE;
        }
        if let Some((_, key, namespace)) = &popped {
            self.count[domain as usize] -= 1;
            shrunk += variable(key, namespace);
        }
        // Less memory in use cannot exceed a budget.
        let _ = self.queues.account.change(left, shrunk);
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
        self.queues.first(domain)
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
        for (timestamp, parts) in self.queues.buckets(domain) {
            let timers = parts.into_iter().flatten().flat_map(Bucket::live);
            timers.for_each(|(_, key, namespace)| f(timestamp, key, namespace));
        }
    }
}

/// Writes the timers of all buckets, which come by domain and time.
fn encode<'a, K: Key, N: Key>(
    domain: TimeDomain,
    buckets: impl Iterator<Item = (Timestamp, [Option<&'a Bucket<K, N>>; 2])>,
    out: &mut GroupWriter,
) -> Result<(), StateError> {
    for (timestamp, parts) in buckets {
        for (place, (hash, key, namespace)) in parts.into_iter().flatten().flat_map(Bucket::live).enumerate()
        {
            let bytes = out.of_hash(hash)?;
            put_entry(bytes, key, namespace);
            bytes.push(domain as u8);
            bytes.extend_from_slice(&timestamp.to_le_bytes());
            put_varint(bytes, place as u64);
        }
    }
    Ok(())
}

/// The timers of a snapshot.
struct FrozenTimers<K, N>(Arc<Queues<K, N>>);

impl<K: Key, N: Key> FrozenTable for FrozenTimers<K, N> {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        for domain in TimeDomain::ALL {
            let buckets = &self.0[domain as usize];
            encode(
                domain,
                buckets.iter().map(|(timestamp, bucket)| (*timestamp, [Some(bucket), None])),
                out,
            )?;
        }
        Ok(())
    }
}

impl<K: Key, N: Key> Table<K> for TimerService<K, N> {
    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        TimeDomain::ALL.into_iter().try_for_each(|domain| encode(domain, self.queues.buckets(domain), out))
    }

    fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        Some(Box::new(FrozenTimers(self.queues.freeze(snapshot)?)))
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
            let timer = in_state(self.queues.account.name(), entry)?;
            self.scope.check_restored(self.queues.account.name(), group, timer.3)?;
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
        self.queues.account.used()
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
