//! The buckets of timers, by time, of which a snapshot can be taken without stopping.
//!
//! As with a [table](crate::cow), a snapshot shares the buckets as they were. Timers that are added meanwhile lie on top; a
//! bucket of which a timer is looked for, deleted or taken is copied first. Once the snapshot is done with them, what lies on top
//! goes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use tidemill_core::Timestamp;
use tidemill_core::budget::MemoryBudget;
use tidemill_serialization::Key;

use crate::account::Account;
use crate::error::StateError;
use crate::pending::{PendingState, has_room};
use crate::timer_bucket::Bucket;
use crate::timers::TimeDomain;

/// How many buckets go back at each access.
const SETTLED: usize = 4;

/// The buckets of both domains. None is empty.
pub(crate) type Queues<K, N> = [BTreeMap<Timestamp, Bucket<K, N>>; 2];

/// The bucket of a time, in two parts of which the second comes after the first.
pub(crate) type Parts<'a, K, N> = (Timestamp, [Option<&'a Bucket<K, N>>; 2]);

/// See the [module](self).
pub(crate) struct CowQueues<K, N> {
    /// What is read and changed.
    pub(crate) active: Queues<K, N>,
    pub(crate) account: Account,
    apart: Option<Box<Apart<K, N>>>,
    budget: MemoryBudget,
}

struct Apart<K, N> {
    other: Other<K, N>,
    /// By domain: the older buckets that do not count any more, for what they hold was copied on top.
    gone: [BTreeSet<Timestamp>; 2],
    /// By domain: the older buckets before this time do not count any more either.
    from: [Timestamp; 2],
    snapshot: Weak<PendingState>,
}

enum Other<K, N> {
    /// The older buckets, which a snapshot has.
    Frozen(Arc<Queues<K, N>>),
    /// What has not gone back yet into the older buckets, which are the active ones again.
    Settling(Queues<K, N>),
}

impl<K: Key, N: Key> CowQueues<K, N> {
    pub(crate) fn new(account: Account, budget: &MemoryBudget) -> Self {
        Self { active: Default::default(), account, apart: None, budget: budget.clone() }
    }

    /// Leaves the timers as they are now to a snapshot. `None` when there is no room for copies, or an earlier snapshot is not
    /// done with them.
    pub(crate) fn freeze(&mut self, snapshot: &Weak<PendingState>) -> Option<Arc<Queues<K, N>>> {
        if self.apart.is_some() && self.settle(usize::MAX).is_err() {
            return None;
        }
        if self.apart.is_some() || !has_room(&self.budget) {
            return None;
        }
        let base = Arc::new(std::mem::take(&mut self.active));
        let other = Other::Frozen(Arc::clone(&base));
        let (gone, from) = (Default::default(), [Timestamp::MIN; 2]);
        self.apart = Some(Box::new(Apart { other, gone, from, snapshot: snapshot.clone() }));
        Some(base)
    }

    /// Makes the active bucket of a time the one that has its timers. It is so even when an error comes back, which says that
    /// there is no memory for it.
    #[inline]
    pub(crate) fn pull(&mut self, domain: TimeDomain, timestamp: Timestamp) -> Result<(), StateError> {
        if self.apart.is_some() { self.pull_bucket(domain as usize, timestamp, true) } else { Ok(()) }
    }

    /// As [`pull`](Self::pull), when timers are only added.
    #[inline]
    pub(crate) fn pull_end(&mut self, domain: TimeDomain, timestamp: Timestamp) -> Result<(), StateError> {
        if self.apart.is_some() { self.pull_bucket(domain as usize, timestamp, false) } else { Ok(()) }
    }

    /// The first time for which there is a timer.
    pub(crate) fn first(&self, domain: TimeDomain) -> Option<Timestamp> {
        let queue = &self.active[domain as usize];
        let Some(apart) = self.apart.as_deref() else {
            return queue.first_key_value().map(|(time, _)| *time);
        };
        let gone = &apart.gone[domain as usize];
        let (older, newer) = match &apart.other {
            Other::Frozen(base) => (&base[domain as usize], queue),
            Other::Settling(top) => (queue, &top[domain as usize]),
        };
        let older = older.range(apart.from[domain as usize]..).find(|(time, _)| !gone.contains(time));
        let newer = newer.first_key_value();
        [older, newer].into_iter().flatten().map(|(time, _)| *time).min()
    }

    /// All buckets, by time.
    pub(crate) fn buckets(&self, domain: TimeDomain) -> impl Iterator<Item = Parts<'_, K, N>> {
        let domain = domain as usize;
        let (older, newer, apart) = match self.apart.as_deref() {
            None => (&self.active[domain], None, None),
            Some(apart) => match &apart.other {
                Other::Frozen(base) => (&base[domain], Some(&self.active[domain]), Some(apart)),
                Other::Settling(top) => (&self.active[domain], Some(&top[domain]), Some(apart)),
            },
        };
        let from = apart.map_or(Timestamp::MIN, |apart| apart.from[domain]);
        let counts = move |time: &Timestamp| apart.is_none_or(|apart| !apart.gone[domain].contains(time));
        let mut older = older.range(from..).filter(move |(time, _)| counts(time)).peekable();
        let mut newer = newer.into_iter().flatten().peekable();
        std::iter::from_fn(move || {
            let first = [older.peek(), newer.peek()].into_iter().flatten().map(|(time, _)| **time).min()?;
            let is_first = |(time, _): &(&Timestamp, &Bucket<K, N>)| **time == first;
            let parts = [older.next_if(is_first), newer.next_if(is_first)];
            Some((first, parts.map(|part| part.map(|(_, bucket)| bucket))))
        })
    }

    #[cold]
    fn pull_bucket(&mut self, domain: usize, time: Timestamp, whole: bool) -> Result<(), StateError> {
        self.settle(SETTLED)?;
        let Some(apart) = self.apart.as_deref_mut() else { return Ok(()) };
        let pulled = match &mut apart.other {
            Other::Frozen(base) => {
                let counts = whole && time >= apart.from[domain] && !apart.gone[domain].contains(&time);
                let Some(bucket) = base[domain].get(&time).filter(|_| counts) else { return Ok(()) };
                let mut copy = bucket.copy();
                let mut shrunk = 0;
                if let Some(end) = self.active[domain].remove(&time) {
                    shrunk = end.bytes();
                    copy.append(end);
                }
                let grown = copy.bytes();
                self.active[domain].insert(time, copy);
                let gone = &mut apart.gone[domain];
                gone.insert(time);
                // Timers that are taken leave no traces one by one.
                let from = &mut apart.from[domain];
                while let Some((first, _)) = base[domain].range(*from..).next()
                    && *first < Timestamp::MAX
                    && gone.remove(first)
                {
                    *from = first + 1;
                }
                self.account.change(grown, shrunk)
            }
            Other::Settling(top) => {
                put_back(&mut self.active, top, &mut apart.gone, &mut self.account, (domain, time))
            }
        };
        pulled.or_else(|_| self.relieve())
    }

    /// Goes on with what is left to do of a snapshot: so many buckets go back, if the snapshot is done with them.
    fn settle(&mut self, count: usize) -> Result<(), StateError> {
        if !has_room(&self.budget) {
            return self.relieve();
        }
        self.thaw();
        self.put_back(count).or_else(|_| self.relieve())
    }

    /// Takes the frozen buckets back if no snapshot has them any more.
    fn thaw(&mut self) {
        let Some(mut apart) = self.apart.take() else { return };
        apart.other = match apart.other {
            Other::Frozen(base) => match Arc::try_unwrap(base) {
                Ok(base) => {
                    let top = std::mem::replace(&mut self.active, base);
                    for (queue, from) in self.active.iter_mut().zip(&mut apart.from) {
                        let counting = queue.split_off(from);
                        let gone = std::mem::replace(queue, counting);
                        // Less memory in use cannot exceed a budget.
                        let _ = self.account.change(0, gone.values().map(Bucket::bytes).sum());
                        *from = Timestamp::MIN;
                    }
                    Other::Settling(top)
                }
                Err(base) => Other::Frozen(base),
            },
            settling => settling,
        };
        self.apart = Some(apart);
    }

    /// Makes room: has the snapshot encoded here if nobody does it already, waits for it, and does with one set of buckets again.
    fn relieve(&mut self) -> Result<(), StateError> {
        while let Some(Apart { other: Other::Frozen(base), snapshot, .. }) = self.apart.as_deref() {
            if let Some(snapshot) = snapshot.upgrade() {
                snapshot.encode_now();
            }
            if Arc::strong_count(base) > 1 {
                // Whoever had the snapshot is just about to drop it.
                std::thread::yield_now();
            }
            self.thaw();
        }
        while self.apart.is_some() {
            let _ = self.put_back(usize::MAX);
        }
        self.account.change(0, 0)
    }

    /// Puts so many buckets back.
    fn put_back(&mut self, count: usize) -> Result<(), StateError> {
        let Some(apart) = self.apart.as_deref_mut() else { return Ok(()) };
        let Other::Settling(top) = &mut apart.other else { return Ok(()) };
        for domain in 0..2 {
            // The first time that counts is soon found.
            while let Some((time, _)) = self.active[domain].first_key_value()
                && apart.gone[domain].contains(time)
            {
                let at = (domain, *time);
                put_back(&mut self.active, top, &mut apart.gone, &mut self.account, at)?;
            }
        }
        for _ in 0..count {
            let first = |domain: usize| {
                let gone = apart.gone[domain].first();
                let time = gone.or_else(|| top[domain].first_key_value().map(|(time, _)| time))?;
                Some((domain, *time))
            };
            let Some(at) = first(0).or_else(|| first(1)) else {
                self.apart = None;
                break;
            };
            put_back(&mut self.active, top, &mut apart.gone, &mut self.account, at)?;
        }
        Ok(())
    }
}

/// Has `active` hold the timers of a time. It does so even when an error comes back.
fn put_back<K: Key, N: Key>(
    active: &mut Queues<K, N>,
    top: &mut Queues<K, N>,
    gone: &mut [BTreeSet<Timestamp>; 2],
    account: &mut Account,
    (domain, time): (usize, Timestamp),
) -> Result<(), StateError> {
    let (queue, newer) = (&mut active[domain], top[domain].remove(&time));
    if gone[domain].remove(&time) {
        let dropped = queue.remove(&time).map_or(0, |bucket| bucket.bytes());
        queue.extend(newer.map(|bucket| (time, bucket)));
        return account.change(0, dropped);
    }
    let Some(newer) = newer else { return Ok(()) };
    match queue.get_mut(&time) {
        None => {
            queue.insert(time, newer);
            Ok(())
        }
        Some(bucket) => {
            let before = bucket.allocated() + newer.allocated() + Bucket::<K, N>::PLACE;
            bucket.append(newer);
            account.change(bucket.allocated(), before)
        }
    }
}
