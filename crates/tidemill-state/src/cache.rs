//! [`StateCache`]: the memory in which the states of a slot keep values in front of their stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many bytes may be dirty however large the cache is.
const DIRTY_AT_MOST: usize = 64 << 20;

/// The memory for values of states that are kept in a store, shared by all states of all subtasks of a slot. Clones are handles
/// on the same memory.
///
/// Each state keeps the values that were used lately. It may take what is free; where nothing is, a state that holds less than its
/// share (the whole by the number of states) gets room from one that holds more, and every other makes room in its own. While one
/// batch is worked on its values are in memory whether or not there is room.
///
/// ```
/// use tidemill_state::StateCache;
///
/// let cache = StateCache::new(64 << 20);
/// assert_eq!((cache.limit(), cache.used(), cache.dirty()), (64 << 20, 0, 0));
/// ```
#[derive(Clone, Debug)]
pub struct StateCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    trickle: bool,
    used: AtomicUsize,
    dirty: AtomicUsize,
    tables: AtomicUsize,
    /// Whether a table that holds less than its share has found nothing free.
    starved: AtomicBool,
}

impl StateCache {
    /// A cache of `limit` bytes; of 0 keeps nothing, and writes every change at the end of the access that made it.
    pub fn new(limit: usize) -> Self {
        Self::with_trickle(limit, true)
    }

    /// As [`new`](Self::new). Without the trickle changes are written only when there is no more room, and at
    /// [`KeyedStateBackend::flush`](crate::KeyedStateBackend::flush) or a snapshot: for measuring what the trickle is good for.
    ///
    /// ```
    /// use tidemill_state::StateCache;
    ///
    /// assert_eq!(StateCache::with_trickle(1 << 20, false).limit(), 1 << 20);
    /// ```
    pub fn with_trickle(limit: usize, trickle: bool) -> Self {
        Self(Arc::new(Shared {
            limit,
            trickle,
            used: AtomicUsize::new(0),
            dirty: AtomicUsize::new(0),
            tables: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
        }))
    }

    /// Bytes that it may take.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bytes that it takes now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes, about, of values that have changed since they were written to their stores.
    pub fn dirty(&self) -> usize {
        self.0.dirty.load(Ordering::Relaxed)
    }

    /// What one table of the cache takes.
    pub(crate) fn share(&self) -> Share {
        Share { cache: self.clone(), used: 0, dirty: 0 }
    }

    fn tables(&self) -> usize {
        self.0.tables.load(Ordering::Relaxed).max(1)
    }
}

/// What one table takes of a [`StateCache`].
pub(crate) struct Share {
    cache: StateCache,
    used: usize,
    dirty: usize,
}

/// Tells the others of a change of one of the counters.
fn publish(counter: &AtomicUsize, before: usize, now: usize) {
    if now > before {
        counter.fetch_add(now - before, Ordering::Relaxed);
    } else if now < before {
        counter.fetch_sub(before - now, Ordering::Relaxed);
    }
}

impl Share {
    /// Counts what the table takes now.
    #[inline]
    pub(crate) fn publish(&mut self, used: usize, dirty: usize) {
        if used != self.used {
            publish(&self.cache.0.used, self.used, used);
            publish(&self.cache.0.tables, usize::from(self.used > 0), usize::from(used > 0));
            self.used = used;
        }
        if dirty != self.dirty {
            publish(&self.cache.0.dirty, self.dirty, dirty);
            self.dirty = dirty;
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// The bytes by which all tables together exceed the limit.
    #[inline]
    pub(crate) fn excess(&self) -> usize {
        self.cache.used().saturating_sub(self.cache.limit())
    }

    /// Whether so many bytes more are free.
    pub(crate) fn has_free(&self, bytes: usize) -> bool {
        self.cache.used().saturating_add(bytes) <= self.cache.limit()
    }

    fn fair(&self) -> usize {
        self.cache.limit() / self.cache.tables()
    }

    /// Says that `bytes` more were not free, which makes a table with more than its share give some up, if this one has less.
    pub(crate) fn ask_for(&self, bytes: usize) {
        if self.used.saturating_add(bytes) <= self.fair() {
            self.cache.0.starved.store(true, Ordering::Relaxed);
        }
    }

    /// Whether some table has asked for room.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.cache.0.starved.load(Ordering::Relaxed)
    }

    /// Whether this table is to give up some of what it holds, for another that has asked. Answers the asking.
    #[inline]
    pub(crate) fn must_give(&self) -> bool {
        self.is_asked() && self.used > self.fair() && self.cache.0.starved.swap(false, Ordering::Relaxed)
    }

    /// Whether some of the changes of this table are to be written: all together are above a quarter of the limit, or more than a
    /// barrier writes in short time, and these above their share of that.
    #[inline]
    pub(crate) fn is_too_dirty(&self) -> bool {
        let most = (self.cache.limit() / 4).min(DIRTY_AT_MOST);
        self.cache.0.trickle && self.cache.dirty() > most && self.dirty > most / self.cache.tables()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.publish(0, 0);
    }
}
