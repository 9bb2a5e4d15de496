//! Which timers are in memory, where those beyond are rows of a store: the earliest ones, and only so many.

use tidemill_core::Timestamp;
use tidemill_serialization::Key;

use crate::codec::in_state;
use crate::error::StateError;
use crate::timer_bucket::Bucket;
use crate::timer_store::{Place, Stretch, put_address};
use crate::timers::{TimeDomain, TimerService};

impl<K: Key, N: Key> TimerService<K, N> {
    /// Called after a timer was added in memory: if that makes too many of them, or more than there is room for, the latest half
    /// become rows.
    #[inline]
    pub(crate) fn make_room(
        &mut self,
        domain: TimeDomain,
        added: Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Some(stored) = &self.stored else { return added };
        let (limit, count) = (stored.limit, self.count[domain as usize]);
        match added {
            Ok(()) if count > limit => self.moving(|timers| timers.spill(domain, limit / 2)),
            Err(StateError::OutOfMemory { .. }) if count > 1 => {
                self.moving(|timers| timers.spill(domain, count / 2))?;
                self.queues.account.change(0, 0)
            }
            added => added,
        }
    }

    /// An error once timers were lost on their way to the store or back.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), StateError> {
        self.stored.as_ref().map_or(Ok(()), |stored| stored.check())
    }

    /// Moves timers between memory and rows. When that fails half-way nothing is to be believed any more.
    fn moving(&mut self, work: impl FnOnce(&mut Self) -> Result<(), StateError>) -> Result<(), StateError> {
        self.check()?;
        let moved = work(self);
        if moved.is_err()
            && let Some(stored) = &mut self.stored
        {
            stored.set_lost();
        }
        moved
    }

    /// Makes rows of all timers of a domain but the first `keep`, or fewer where the times then are whole.
    #[cold]
    fn spill(&mut self, domain: TimeDomain, keep: usize) -> Result<(), StateError> {
        let Some(stored) = &mut self.stored else { return Ok(()) };
        let (mut kept, mut staying) = (0, 0);
        let mut going: Vec<Timestamp> = Vec::new();
        for (time, parts) in self.queues.buckets(domain) {
            if going.is_empty() {
                let live: usize = parts.into_iter().flatten().map(|bucket| bucket.live).sum();
                if kept + live <= keep {
                    kept += live;
                    continue;
                }
                // A time with many timers is divided rather than leave little in memory.
                staying = if 2 * kept < keep { keep - kept } else { 0 };
            }
            going.push(time);
        }
        let Some(first) = going.first() else { return Ok(()) };
        stored.horizons[domain as usize] = Some(Place::before(*first));
        for time in going {
            // What is copied for this is counted, and soon gone.
            let _ = self.queues.pull(domain, time);
            let Some(bucket) = self.queues.active[domain as usize].remove(&time) else { continue };
            let before = bucket.bytes();
            let horizon = match std::mem::take(&mut staying) {
                0 => None,
                staying => place_of(&self.scope, &bucket, time, staying),
            };
            let mut left = Bucket::new();
            if horizon.is_some() {
                stored.horizons[domain as usize] = horizon;
            }
            for (hash, key, namespace) in bucket.live() {
                if stored.is_beyond((domain, time), (key, hash), namespace) {
                    stored.put((domain, time), (key, hash), namespace)?;
                } else {
                    left.push(hash, key, namespace);
                }
            }
            self.count[domain as usize] -= bucket.live - left.live;
            let mut after = 0;
            if left.live > 0 {
                after = left.bytes();
                self.queues.active[domain as usize].insert(time, left);
            }
            // Less memory in use cannot exceed a budget.
            let _ = self.queues.account.change(after, before);
        }
        stored.write()
    }

    /// Called after timers of a domain have gone from memory: if there are none left, the next ones are read, so that memory has the
    /// earliest of all.
    #[inline]
    pub(crate) fn refill(&mut self, domain: TimeDomain) -> Result<(), StateError> {
        if self.stored.is_none() || self.count[domain as usize] > 0 {
            Ok(())
        } else {
            self.moving(|timers| timers.load(domain))
        }
    }

    #[cold]
    fn load(&mut self, domain: TimeDomain) -> Result<(), StateError> {
        let Some(stored) = &mut self.stored else { return Ok(()) };
        let Some(horizon) = stored.horizons[domain as usize].clone() else { return Ok(()) };
        stored.write()?;
        let stretch = stored.stretch(domain, &horizon, stored.limit / 2)?;
        let mut taken = 0;
        while taken < stretch.len() {
            let (time, hash, key, namespace) = self.decode(&stretch, taken)?;
            let pulled = self.queues.pull_end(domain, time);
            let added = self.add(domain, time, (&key, hash), &namespace, |_| true);
            taken += 1;
            if pulled.and(added).is_err() {
                // There is room for no more: those that were read are in memory, the others stay where they are.
                break;
            }
        }
        let Some(stored) = &mut self.stored else { return Ok(()) };
        stored.taken(domain, &stretch, taken)
    }

    fn decode(&self, stretch: &Stretch, index: usize) -> Result<(Timestamp, u64, K, N), StateError> {
        let name = self.queues.account.name();
        let (time, group, key, namespace) = in_state(name, stretch.get::<K, N>(index))?;
        let hash = key.routing_hash();
        self.scope.check_restored(name, group, hash)?;
        Ok((time, hash, key, namespace))
    }

    /// Shows the timers of a domain that are rows, by time.
    pub(crate) fn for_each_stored(
        &mut self,
        domain: TimeDomain,
        mut f: impl FnMut(Timestamp, &K, &N),
    ) -> Result<(), StateError> {
        let Some(stored) = &mut self.stored else { return Ok(()) };
        let mut from = stored.horizons[domain as usize].clone();
        stored.write()?;
        while let Some(place) = from
            && let Some(stored) = &self.stored
        {
            let stretch = stored.stretch(domain, &place, stored.limit)?;
            for index in 0..stretch.len() {
                let (time, _, key, namespace) = self.decode(&stretch, index)?;
                f(time, &key, &namespace);
            }
            from = stretch.next;
        }
        Ok(())
    }

    /// Takes over a table that was restored from files: all that it has is beyond the horizon until it is read.
    pub(crate) fn adopt_rows(&mut self) -> Result<(), StateError> {
        let Some(stored) = &mut self.stored else { return Ok(()) };
        stored.open()?;
        for domain in TimeDomain::ALL {
            if let Some(stored) = &mut self.stored {
                stored.horizons[domain as usize] = Some(Place::before(Timestamp::MIN));
            }
            self.moving(|timers| timers.load(domain))?;
        }
        Ok(())
    }
}

/// The place of the timer of a bucket before which `count` others of it are; `None` when it has no more.
fn place_of<K: Key, N: Key>(
    scope: &crate::table::Scope,
    bucket: &Bucket<K, N>,
    time: Timestamp,
    count: usize,
) -> Option<Place> {
    let mut bytes = Vec::new();
    let mut addresses = Vec::with_capacity(bucket.live);
    for (hash, key, namespace) in bucket.live() {
        let start = bytes.len();
        let group = tidemill_core::key_group::key_group(hash, scope.max_parallelism);
        put_address(&mut bytes, group, key, namespace);
        addresses.push(start..bytes.len());
    }
    if count >= addresses.len() {
        return None;
    }
    let by_bytes =
        |a: &std::ops::Range<usize>, b: &std::ops::Range<usize>| bytes[a.clone()].cmp(&bytes[b.clone()]);
    let (_, address, _) = addresses.select_nth_unstable_by(count, by_bytes);
    Some(Place::at(time, &bytes[address.clone()]))
}
