//! The timers of one time stamp.

use hashbrown::HashTable;
use tidemill_core::{Element, Timestamp, hash};
use tidemill_serialization::Key;

#[derive(Clone)]
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
pub(crate) struct Bucket<K, N> {
    timers: Vec<Ordered<K, N>>,
    /// The first that may still be there.
    head: usize,
    pub(crate) live: usize,
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
    /// Bytes that a time stamp is counted with, apart from what its bucket has allocated: its place in the tree, whose nodes are
    /// little more than half full when time only goes on.
    pub(crate) const PLACE: usize = 2 * size_of::<(Timestamp, Bucket<K, N>)>();

    pub(crate) fn new() -> Self {
        // Time stamps of one timer each are common too, and a vector that grows by itself starts with four.
        Self { timers: Vec::with_capacity(1), head: 0, live: 0, index: HashTable::new(), indexed: 0 }
    }

    pub(crate) fn find(&mut self, hash: u64, key: &K, namespace: &N) -> Option<usize> {
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

    pub(crate) fn push(&mut self, hash: u64, key: &K, namespace: &N) {
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
    pub(crate) fn shrink(&mut self) {
        let capacity = self.timers.capacity();
        if capacity > ROOMY && self.live < capacity / 4 {
            self.compact();
            self.timers.shrink_to(2 * self.live);
            self.index = HashTable::new();
        }
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<(K, N)> {
        let timer = self.timers[place].timer.take();
        self.live -= usize::from(timer.is_some());
        timer
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, K, N)> {
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
    pub(crate) fn allocated(&self) -> usize {
        self.timers.capacity() * size_of::<Ordered<K, N>>() + self.index.allocation_size()
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = (u64, &K, &N)> {
        let timers = &self.timers[self.head..];
        timers.iter().filter_map(|ordered| {
            ordered.timer.as_ref().map(|(key, namespace)| (ordered.hash, key, namespace))
        })
    }

    /// The live timers alone, to be changed apart from these.
    pub(crate) fn copy(&self) -> Self {
        let timers: Vec<Ordered<K, N>> =
            self.timers[self.head..].iter().filter(|ordered| ordered.timer.is_some()).cloned().collect();
        Self { timers, head: 0, live: self.live, index: HashTable::new(), indexed: 0 }
    }

    /// Moves the timers of `later` behind these.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.timers.append(&mut later.timers.split_off(later.head));
        self.live += later.live;
    }

    /// Bytes that the bucket is counted with, with its place in the tree.
    pub(crate) fn bytes(&self) -> usize {
        let fixed = K::FIXED_BYTES.is_some() && N::FIXED_BYTES.is_some();
        let each = |(_, key, namespace): (u64, &K, &N)| variable(key, namespace);
        let keys = if fixed { 0 } else { self.live().map(each).sum() };
        Self::PLACE + self.allocated() + keys
    }
}

/// Bytes that a timer is counted with besides its place in the bucket.
pub(crate) fn variable<K: Key, N: Key>(key: &K, namespace: &N) -> usize {
    let variable = |fixed: Option<usize>, logical: usize| if fixed.is_some() { 0 } else { logical };
    variable(K::FIXED_BYTES, Element::logical_bytes(key))
        + variable(N::FIXED_BYTES, Element::logical_bytes(namespace))
}
