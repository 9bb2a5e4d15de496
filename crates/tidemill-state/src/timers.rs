//! Timers: calls that a key has ordered for a time.
//!
//! Many keys order the same time (the end of a window), so timers are kept in buckets, one a time stamp. Where the backend has
//! it so, only the earliest are in memory, and the others are rows of its [store](crate::timer_store).

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
use crate::store::TableId;
use crate::table::{Scope, Table};
use crate::timer_bucket::{Bucket, variable};
use crate::timer_queues::{CowQueues, Queues};
use crate::timer_store::StoredTimers;

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
    pub(crate) const ALL: [TimeDomain; 2] = [TimeDomain::Event, TimeDomain::Processing];
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
/// those of one time in the order in which they were registered. Of those that were in a store meanwhile
/// ([`TimerPlacement`](crate::TimerPlacement)), the ones of one time come behind those that were not, by key group, then as key and
/// namespace are encoded.
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
/// assert_eq!((service.len(TimeDomain::Event)?, service.len(TimeDomain::Processing)?), (1, 0));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub struct TimerService<K, N> {
    pub(crate) queues: CowQueues<K, N>,
    /// By domain: how many are in memory. Some are whenever there are any.
    pub(crate) count: [usize; 2],
    pub(crate) scope: Scope,
    /// Those that are not in memory, where that may be.
    pub(crate) stored: Option<Box<StoredTimers>>,
    /// What is being restored, with its place within its bucket.
    restoring: Vec<(TimeDomain, Timestamp, u64, u64, K, N)>,
}

impl<K: Key, N: Key> TimerService<K, N> {
    pub(crate) fn new(name: &str, scope: Scope) -> Self {
        let queues = CowQueues::new(Account::new(name, &scope.budget), &scope.budget);
        let stored = StoredTimers::new(name, &scope).map(Box::new);
        Self { queues, count: [0, 0], scope, stored, restoring: Vec::new() }
    }

    /// Registers a timer; `hash` is the routing hash of `key`. One that is there already stays as it is.
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
    /// service.register(TimeDomain::Event, 1_000, (&key, hash), &())?;
    /// assert_eq!(service.len(TimeDomain::Event)?, 1, "it was there already");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the key does not belong to this subtask, the memory for state is used up, or the store fails.
    pub fn register(
        &mut self,
        domain: TimeDomain,
        timestamp: Timestamp,
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> Result<(), StateError> {
        self.scope.check_hash(hash)?;
        self.check()?;
        if let Some(stored) = &mut self.stored
            && stored.is_beyond((domain, timestamp), (key, hash), namespace)
        {
            return stored.put((domain, timestamp), (key, hash), namespace);
        }
        let pulled = self.queues.pull(domain, timestamp);
        let added = self.add(domain, timestamp, (key, hash), namespace, |bucket| {
            bucket.find(hash, key, namespace).is_none()
        });
        self.make_room(domain, pulled.and(added))
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
    /// assert_eq!(service.len(TimeDomain::Event)?, 1);
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
        self.check()?;
        if let Some(stored) = &mut self.stored
            && stored.is_beyond((domain, timestamp), (key, hash), namespace)
        {
            return stored.put((domain, timestamp), (key, hash), namespace);
        }
        let pulled = self.queues.pull_end(domain, timestamp);
        let added = self.add(domain, timestamp, (key, hash), namespace, |_| true);
        self.make_room(domain, pulled.and(added))
    }

    /// Adds a timer in memory if its bucket, where there is one, has it `missing`. It is added even when an error comes back, which says
    /// that there was no room for it.
    #[inline]
    pub(crate) fn add(
        &mut self,
        domain: TimeDomain,
        timestamp: Timestamp,
        (key, hash): (&K, u64),
        namespace: &N,
        missing: impl FnOnce(&mut Bucket<K, N>) -> bool,
    ) -> Result<(), StateError> {
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
        self.queues.account.change(grown, shrunk)
    }

    /// Deletes a timer, if it is there.
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
    /// service.delete(TimeDomain::Event, 1_000, (&key, hash), &())?;
    /// assert!(service.is_empty());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete(
        &mut self,
        domain: TimeDomain,
        timestamp: Timestamp,
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> Result<(), StateError> {
        self.check()?;
        if let Some(stored) = &mut self.stored
            && stored.is_beyond((domain, timestamp), (key, hash), namespace)
        {
            return stored.delete((domain, timestamp), (key, hash), namespace);
        }
        // What is copied for this is counted, and the next timer that is registered says if it was too much.
        let _ = self.queues.pull(domain, timestamp);
        let queue = &mut self.queues.active[domain as usize];
        let Some(bucket) = queue.get_mut(&timestamp) else { return Ok(()) };
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
        self.refill(domain)
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
    /// assert!(service.pop_due(TimeDomain::Event, 999)?.is_none());
    /// assert!(service.pop_due(TimeDomain::Event, 1_000)?.is_some_and(|timer| timer.key == "JFK"));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails. The timer is lost then, and each further call fails.
    pub fn pop_due(
        &mut self,
        domain: TimeDomain,
        up_to: Timestamp,
    ) -> Result<Option<Timer<K, N>>, StateError> {
        self.check()?;
        let next = self.next_timestamp(domain).filter(|timestamp| *timestamp <= up_to);
        let Some(timestamp) = next else { return Ok(None) };
        // What is copied for this is counted, and the next timer that is registered says if it was too much.
        let _ = self.queues.pull(domain, timestamp);
        let Some(mut first) = self.queues.active[domain as usize].first_entry() else { return Ok(None) };
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
        self.refill(domain)?;
        Ok(popped.map(|(hash, key, namespace)| Timer { timestamp, key, hash, namespace }))
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

    /// How many timers there are. Those in a store are gone through for this.
    ///
    /// # Errors
    /// When the store fails.
    pub fn len(&mut self, domain: TimeDomain) -> Result<usize, StateError> {
        let count = self.count[domain as usize];
        let Some(stored) = &mut self.stored else { return Ok(count) };
        stored.write()?;
        Ok(count + stored.count(domain)?)
    }

    /// How many timers are in memory: all of them, but where the backend keeps the latest in a store
    /// ([`TimerPlacement`](crate::TimerPlacement)).
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
    /// assert_eq!(timers.service(&mut backend)?.in_memory(TimeDomain::Event), 1);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn in_memory(&self, domain: TimeDomain) -> usize {
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
    /// timers.service(&mut backend)?.for_each(TimeDomain::Event, |timestamp, _, _| times.push(timestamp))?;
    /// assert_eq!(times, [1_000, 2_000]);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the store fails.
    pub fn for_each(
        &mut self,
        domain: TimeDomain,
        mut f: impl FnMut(Timestamp, &K, &N),
    ) -> Result<(), StateError> {
        for (timestamp, parts) in self.queues.buckets(domain) {
            let timers = parts.into_iter().flatten().flat_map(Bucket::live);
            timers.for_each(|(_, key, namespace)| f(timestamp, key, namespace));
        }
        self.for_each_stored(domain, f)
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
    fn flush(&mut self) -> Result<(), StateError> {
        self.stored.as_mut().map_or(Ok(()), |stored| stored.write())
    }

    fn rows(&self) -> Option<TableId> {
        self.stored.as_ref()?.table()
    }

    fn has_rows(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.horizons.iter().any(Option::is_some))
    }

    fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        self.snapshot_memory(out)?;
        self.stored.as_mut().map_or(Ok(()), |stored| stored.snapshot(out))
    }

    fn snapshot_memory(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        self.check()?;
        TimeDomain::ALL.into_iter().try_for_each(|domain| encode(domain, self.queues.buckets(domain), out))
    }

    fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Box<dyn FrozenTable>> {
        // Whoever encodes them now hears why not.
        self.check().ok()?;
        Some(Box::new(FrozenTimers(self.queues.freeze(snapshot)?)))
    }

    fn freeze_rows(&mut self) -> Result<Option<Box<dyn FrozenTable>>, StateError> {
        self.stored.as_mut().map_or(Ok(None), |stored| stored.freeze())
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
            if self.stored.as_ref().is_some_and(|stored| self.restoring.len() >= stored.limit) {
                // There are too many to have them all in order.
                self.finish_restore()?;
            }
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

    fn adopt(&mut self) -> Result<(), StateError> {
        self.adopt_rows()
    }

    fn keys(&mut self, namespace: &dyn Any, keys: &mut Vec<K>) -> Result<bool, StateError> {
        let Some(wanted) = namespace.downcast_ref::<N>() else { return Ok(false) };
        for domain in TimeDomain::ALL {
            self.for_each(domain, |_, key, namespace| {
                if namespace == wanted {
                    keys.push(key.clone());
                }
            })?;
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
/// timers.delete(&mut backend, TimeDomain::Event, 2_000, &())?;
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
    /// assert_eq!(timers.service(&mut backend)?.len(TimeDomain::Processing)?, 1);
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

    /// Registers a timer for the current key. One that is there already stays as it is.
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
    /// for namespace in [7, 7, 8] {
    ///     timers.register(&mut backend, TimeDomain::Event, 1_000, &namespace)?;
    /// }
    /// assert_eq!(timers.service(&mut backend)?.len(TimeDomain::Event)?, 2);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, the memory for state is used up, or the store fails.
    pub fn register<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        domain: TimeDomain,
        timestamp: Timestamp,
        namespace: &N,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<TimerService<K, N>, ()>(self.index)?;
        state.table.register(domain, timestamp, (key, hash), namespace)
    }

    /// Deletes a timer of the current key, if it is there.
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
    /// timers.delete(&mut backend, TimeDomain::Event, 1_000, &())?;
    /// assert!(timers.service(&mut backend)?.is_empty());
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no current key, or the store fails.
    pub fn delete<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        domain: TimeDomain,
        timestamp: Timestamp,
        namespace: &N,
    ) -> Result<(), StateError> {
        let (key, hash, state) = backend.keyed_state::<TimerService<K, N>, ()>(self.index)?;
        state.table.delete(domain, timestamp, (key, hash), namespace)
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
    /// When the handle is not of this backend, or the store fails.
    pub fn pop_due<K: Key>(
        self,
        backend: &mut KeyedStateBackend<K>,
        domain: TimeDomain,
        up_to: Timestamp,
    ) -> Result<Option<Timer<K, N>>, StateError> {
        let popped = self.service(backend)?.pop_due(domain, up_to)?;
        if let Some(timer) = &popped {
            backend.set_current_key(&timer.key, timer.hash)?;
        }
        Ok(popped)
    }
}
