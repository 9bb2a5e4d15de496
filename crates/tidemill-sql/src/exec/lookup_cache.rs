//! What was looked up, kept for a while.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tidemill_core::time::Timestamp;
use tidemill_runtime::OperatorContext;
use tidemill_runtime::metrics::{Counter, Gauge};

use super::row::Row;

/// What is kept, and for how long: `lookup.partial-cache.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheSettings {
    /// How many keys, at most.
    pub(crate) most: Option<usize>,
    pub(crate) after_write: Option<Duration>,
    pub(crate) after_access: Option<Duration>,
    /// Whether it is kept that there are no rows.
    pub(crate) missing: bool,
}

/// The rows of a key, encoded.
pub(super) type Found = Arc<[Row]>;

/// Nothing stands before or behind an entry.
const NONE: usize = usize::MAX;

struct Entry {
    key: Row,
    found: Found,
    written: Timestamp,
    accessed: Timestamp,
    /// Counts writes, so that what waits to expire knows whether it was written again.
    write: u64,
    /// Towards those used later and earlier.
    later: usize,
    earlier: usize,
}

/// Keys with their rows, of which those go first that were used least lately.
pub(super) struct LookupCache {
    settings: CacheSettings,
    places: HashMap<Row, usize>,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    latest: usize,
    earliest: usize,
    /// In the order in which they were written: when, where, and which write.
    writes: VecDeque<(Timestamp, usize, u64)>,
    next_write: u64,
    hits: Arc<Counter>,
    misses: Arc<Counter>,
    cached: Arc<Gauge>,
}

impl LookupCache {
    pub(super) fn new(settings: &CacheSettings, context: &OperatorContext) -> Self {
        Self {
            settings: settings.clone(),
            places: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            latest: NONE,
            earliest: NONE,
            writes: VecDeque::new(),
            next_write: 0,
            hits: context.metrics.counter("cache.hitCount"),
            misses: context.metrics.counter("cache.missCount"),
            cached: context.metrics.gauge("cache.numCachedRecords"),
        }
    }

    /// The rows of `key`, if they are known and new enough.
    pub(super) fn get(&mut self, key: &Row, now: Timestamp) -> Option<Found> {
        let place = self.places.get(key).copied();
        if let Some(place) = place
            && self.entries[place].as_ref().is_some_and(|entry| self.is_expired(entry, now))
        {
            self.remove(place);
        } else if let Some(place) = place {
            self.unlink(place);
            self.link(place);
            if let Some(entry) = &mut self.entries[place] {
                entry.accessed = now;
                self.hits.add(1);
                return Some(Arc::clone(&entry.found));
            }
        }
        self.misses.add(1);
        None
    }

    /// Keeps the rows of `key`; `is_missing` when the table has none, whatever the query makes of them.
    pub(super) fn put(&mut self, key: &Row, found: &Found, is_missing: bool, now: Timestamp) {
        if self.settings.most == Some(0) || is_missing && !self.settings.missing {
            return;
        }
        if let Some(place) = self.places.get(key).copied() {
            self.remove(place);
        }
        self.expire(now);
        let write = self.next_write;
        self.next_write += 1;
        let (key_kept, found) = (key.clone(), Arc::clone(found));
        let entry =
            Entry { key: key_kept, found, written: now, accessed: now, write, later: NONE, earlier: NONE };
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place] = Some(entry);
                place
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() - 1
            }
        };
        self.places.insert(key.clone(), place);
        self.link(place);
        if self.settings.after_write.is_some() {
            self.writes.push_back((now, place, write));
        }
        if self.settings.most.is_some_and(|most| self.places.len() > most) {
            self.remove(self.earliest);
        }
        self.cached.set(i64::try_from(self.places.len()).unwrap_or(i64::MAX));
    }

    fn is_expired(&self, entry: &Entry, now: Timestamp) -> bool {
        is_over(self.settings.after_write, entry.written, now)
            || is_over(self.settings.after_access, entry.accessed, now)
    }

    /// Lets go of what nobody asks for any more, so that it takes no memory for ever.
    fn expire(&mut self, now: Timestamp) {
        if self.writes.len() > 64 + 2 * self.places.len() {
            // Most of them are about what has made room for others.
            let entries = &self.entries;
            self.writes.retain(|(_, place, write)| {
                entries[*place].as_ref().is_some_and(|entry| entry.write == *write)
            });
        }
        while let Some((written, place, write)) = self.writes.front().copied() {
            let is_current = self.entries[place].as_ref().is_some_and(|entry| entry.write == write);
            if is_current && !is_over(self.settings.after_write, written, now) {
                break;
            }
            self.writes.pop_front();
            if is_current {
                self.remove(place);
            }
        }
        while self.earliest != NONE
            && self.entries[self.earliest]
                .as_ref()
                .is_some_and(|entry| is_over(self.settings.after_access, entry.accessed, now))
        {
            self.remove(self.earliest);
        }
    }

    fn remove(&mut self, place: usize) {
        if place == NONE {
            return;
        }
        self.unlink(place);
        if let Some(entry) = self.entries[place].take() {
            self.places.remove(&entry.key);
            self.free.push(place);
        }
    }

    /// Has the entry at `place` be the one used last.
    fn link(&mut self, place: usize) {
        let before = self.latest;
        if let Some(entry) = &mut self.entries[place] {
            entry.later = NONE;
            entry.earlier = before;
        }
        match self.entries.get_mut(before).and_then(Option::as_mut) {
            Some(entry) => entry.later = place,
            None => self.earliest = place,
        }
        self.latest = place;
    }

    fn unlink(&mut self, place: usize) {
        let Some((later, earlier)) = self.entries[place].as_ref().map(|entry| (entry.later, entry.earlier))
        else {
            return;
        };
        match self.entries.get_mut(later).and_then(Option::as_mut) {
            Some(entry) => entry.earlier = earlier,
            None => self.latest = earlier,
        }
        match self.entries.get_mut(earlier).and_then(Option::as_mut) {
            Some(entry) => entry.later = later,
            None => self.earliest = later,
        }
    }
}

fn is_over(limit: Option<Duration>, since: Timestamp, now: Timestamp) -> bool {
    limit.is_some_and(|limit| {
        i64::try_from(limit.as_millis()).is_ok_and(|limit| now.saturating_sub(since) >= limit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_state::SystemClock;

    use super::*;

    fn cache(settings: CacheSettings) -> LookupCache {
        LookupCache::new(&settings, &OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)))
    }

    fn row(number: u8) -> Row {
        Row::of(&[number])
    }

    const ALL: CacheSettings =
        CacheSettings { most: None, after_write: None, after_access: None, missing: true };

    #[test]
    fn what_is_missing_is_kept_if_wanted() {
        let nothing: Found = Arc::new([]);
        let mut keeps = cache(ALL);
        keeps.put(&row(1), &nothing, true, 0);
        assert!(keeps.get(&row(1), 1).is_some());
        let mut forgets = cache(CacheSettings { missing: false, ..ALL });
        forgets.put(&row(1), &nothing, true, 0);
        forgets.put(&row(2), &nothing, false, 0);
        assert!(forgets.get(&row(1), 1).is_none(), "the table has no such key");
        assert!(forgets.get(&row(2), 1).is_some(), "it has, though the query takes none of its rows");
        assert_eq!((forgets.hits.get(), forgets.misses.get()), (1, 1));
    }

    #[test]
    fn what_has_expired_takes_no_memory() {
        let after = |settings: CacheSettings| {
            let mut cache = cache(settings);
            let found: Found = Arc::new([row(9)]);
            for number in 0..100u8 {
                cache.put(&row(number), &found, false, i64::from(number));
            }
            (cache.places.len(), cache.entries.len(), cache.writes.len())
        };
        let ten = Some(Duration::from_millis(10));
        assert_eq!(after(CacheSettings { after_access: ten, ..ALL }).0, 10);
        let (kept, room, writes) = after(CacheSettings { after_write: ten, ..ALL });
        assert_eq!((kept, writes), (10, 10));
        assert!(room <= 11);
    }

    /// What a cache is, said simply: keys with their values, the one used last at the end.
    #[derive(Default)]
    struct Model(Vec<(u8, u8, i64, i64)>);

    proptest! {
        #[test]
        fn it_is_what_the_model_is(
            most in proptest::option::of(0usize..4),
            write in proptest::option::of(1u64..12),
            access in proptest::option::of(1u64..12),
            steps in proptest::collection::vec((0u8..6, any::<bool>(), 0i64..4), 1..120),
        ) {
            let limit = |ms: Option<u64>| ms.map(Duration::from_millis);
            let mut cache = cache(CacheSettings {
                most, after_write: limit(write), after_access: limit(access), missing: true,
            });
            let mut model = Model::default();
            let mut now = 0;
            for (step, (key, puts, passes)) in steps.into_iter().enumerate() {
                now += passes;
                model.0.retain(|(_, _, written, accessed)| {
                    write.is_none_or(|limit| now - written < limit as i64)
                        && access.is_none_or(|limit| now - accessed < limit as i64)
                });
                let place = model.0.iter().position(|entry| entry.0 == key);
                let known = place.map(|place| model.0.remove(place));
                if puts {
                    let value = step as u8;
                    cache.put(&row(key), &(Arc::new([row(value)]) as Found), false, now);
                    model.0.push((key, value, now, now));
                    if most.is_some_and(|most| model.0.len() > most) {
                        model.0.remove(0);
                    }
                } else {
                    let got = cache.get(&row(key), now).map(|found| found[0].bytes()[0]);
                    prop_assert_eq!(got, known.map(|known| known.1));
                    model.0.extend(known.map(|known| (known.0, known.1, known.2, now)));
                }
                prop_assert!(cache.places.len() >= model.0.len());
            }
        }
    }
}
