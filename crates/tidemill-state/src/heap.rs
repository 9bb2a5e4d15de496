//! The in-memory table: a hash index from (key, namespace) to a dense slot, and a column of values.
//!
//! The index is probed with the routing hash that came with the batch, so no key is hashed twice. Values lie
//! in one vector without holes: a removed one is replaced by the last.

use std::borrow::Borrow;

use hashbrown::HashTable;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::{Element, Timestamp, hash};
use tidemill_serialization::Key;

use crate::account::Account;
use crate::batch::{Address, KeyBatch, NO_SLOT, Slots};
use crate::error::StateError;
use crate::ttl::Liveness;

/// Below this many entries a table never gives memory back.
const KEEP_CAPACITY: usize = 1024;

/// How many addresses of a batch are probed for together.
pub(crate) const BLOCK: usize = 64;

/// Indexes of fewer bytes are in the processor's caches anyway.
const PREFETCHED: usize = 1 << 20;

/// What a value takes besides its own size as a Rust value.
pub(crate) trait Weight {
    /// Whether [`weight`](Weight::weight) is always 0.
    const NONE: bool;

    /// Bytes on the heap, about.
    fn weight(&self) -> usize;

    /// Loads the value into the processor's caches.
    fn touch(&self);
}

impl<V: Element> Weight for V {
    const NONE: bool = V::FIXED_BYTES.is_some();

    #[inline]
    fn weight(&self) -> usize {
        if Self::NONE { 0 } else { self.logical_bytes() }
    }

    #[inline]
    fn touch(&self) {
        // The load must not be optimized away, though nobody needs what it loads. Values of fixed size own no
        // memory, so that a clone is a load.
        if Self::NONE {
            std::hint::black_box(self.clone());
        } else {
            std::hint::black_box(self.logical_bytes());
        }
    }
}

pub(crate) struct Bucket<K, N> {
    pub(crate) key: K,
    pub(crate) namespace: N,
    slot: u32,
}

/// See the [module](self).
pub(crate) struct HeapTable<K, N, V> {
    index: HashTable<Bucket<K, N>>,
    /// By slot: the hash under which the index has the entry.
    hashes: Vec<u64>,
    values: Vec<V>,
    /// By slot: when the entry was last touched; empty when the state does not expire.
    stamps: Vec<Timestamp>,
    stamped: bool,
    /// By slot: the weight that was counted last; empty when values have none.
    weights: Vec<usize>,
    account: Account,
    /// The bytes of index and columns that the account has counted.
    counted: usize,
    /// The slot below which [`sweep`](Self::sweep) goes on.
    cursor: usize,
    slots: Vec<u32>,
    created: Vec<u32>,
}

/// How many entries an index of so many buckets takes.
fn full(buckets: usize) -> usize {
    if buckets < 8 { buckets - 1 } else { buckets / 8 * 7 }
}

#[inline(always)]
fn table_hash<K, N: Key>(at: Address<'_, K, N>) -> u64 {
    if size_of::<N>() == 0 { at.hash } else { hash::combine(at.hash, at.namespace.routing_hash()) }
}

#[inline(always)]
fn key_weight<T: Key>(key: &T) -> usize {
    if T::FIXED_BYTES.is_some() { 0 } else { key.logical_bytes() }
}

impl<K: Key, N: Key, V: Weight> HeapTable<K, N, V> {
    pub(crate) fn new(name: &str, budget: &MemoryBudget, stamped: bool) -> Self {
        Self {
            index: HashTable::new(),
            hashes: Vec::new(),
            values: Vec::new(),
            stamps: Vec::new(),
            stamped,
            weights: Vec::new(),
            account: Account::new(name, budget),
            counted: 0,
            cursor: 0,
            slots: Vec::new(),
            created: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn name(&self) -> &str {
        self.account.name()
    }

    /// Bytes that the table is counted with.
    pub(crate) fn bytes(&self) -> usize {
        self.account.used()
    }

    #[inline]
    pub(crate) fn find(&self, at: Address<'_, K, N>) -> Option<usize> {
        self.index
            .find(table_hash(at), |bucket| bucket.key == *at.key && bucket.namespace == *at.namespace)
            .map(|bucket| bucket.slot as usize)
    }

    /// As [`find`](Self::find), by the hash under which the index has entries.
    #[inline]
    pub(crate) fn find_hashed(&self, hash: u64, key: &K, namespace: &N) -> Option<usize> {
        self.index
            .find(hash, |bucket| bucket.key == *key && bucket.namespace == *namespace)
            .map(|bucket| bucket.slot as usize)
    }

    #[inline]
    pub(crate) fn value(&self, slot: usize) -> &V {
        &self.values[slot]
    }

    /// The value, to be changed; [`reweigh`](Self::reweigh) must follow.
    #[inline]
    pub(crate) fn value_mut(&mut self, slot: usize) -> &mut V {
        &mut self.values[slot]
    }

    /// When the entry was last touched; 0 in a state that does not expire.
    #[inline]
    pub(crate) fn stamp(&self, slot: usize) -> Timestamp {
        if self.stamped { self.stamps[slot] } else { 0 }
    }

    #[inline]
    pub(crate) fn set_stamp(&mut self, slot: usize, stamp: Timestamp) {
        if self.stamped {
            self.stamps[slot] = stamp;
        }
    }

    /// Probes for all addresses of a batch; [`found`](Self::found) has the answer.
    pub(crate) fn find_batch<B: Borrow<K>>(&mut self, batch: &KeyBatch<'_, B, N>) {
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        slots.resize(batch.len(), NO_SLOT);
        for start in (0..batch.len()).step_by(BLOCK) {
            let end = batch.len().min(start + BLOCK);
            self.find_block(batch, start, &mut slots[start..end]);
        }
        self.slots = slots;
    }

    /// Probes for the addresses from `start` on, one for each of `slots`.
    ///
    /// In a large table every step of a probe is a cache miss. Done step by step for many addresses, the misses
    /// of one step are independent of each other and the processor has many of them under way at once.
    #[inline]
    fn find_block<B: Borrow<K>>(&self, batch: &KeyBatch<'_, B, N>, start: usize, slots: &mut [u32]) {
        let mut candidates: [Option<&Bucket<K, N>>; BLOCK] = [None; BLOCK];
        let candidates = &mut candidates[..slots.len()];
        for (i, candidate) in candidates.iter_mut().enumerate() {
            // The first bucket whose seven bits of the hash agree: finds its place, does not look into it.
            *candidate = self.index.find(table_hash(batch.at(start + i)), |_| true);
        }
        for (i, (candidate, slot)) in candidates.iter().zip(slots).enumerate() {
            let at = batch.at(start + i);
            *slot = match candidate {
                None => NO_SLOT,
                Some(bucket) if bucket.key == *at.key && bucket.namespace == *at.namespace => bucket.slot,
                // One in some hundred agrees by chance.
                Some(_) => self.find(at).map_or(NO_SLOT, |slot| slot as u32),
            };
        }
    }

    /// Probes for some records of a batch, at most [`BLOCK`], and loads the values that it finds into the processor's caches.
    pub(crate) fn find_records<B: Borrow<K>>(
        &self,
        batch: &KeyBatch<'_, B, N>,
        records: &[u32],
        slots: &mut [u32; BLOCK],
    ) {
        let mut candidates: [Option<&Bucket<K, N>>; BLOCK] = [None; BLOCK];
        for (record, candidate) in records.iter().zip(&mut candidates) {
            *candidate = self.index.find(table_hash(batch.at(*record as usize)), |_| true);
        }
        for ((record, candidate), slot) in records.iter().zip(candidates).zip(slots.iter_mut()) {
            let at = batch.at(*record as usize);
            *slot = match candidate {
                None => NO_SLOT,
                Some(bucket) if bucket.key == *at.key && bucket.namespace == *at.namespace => bucket.slot,
                Some(_) => self.find(at).map_or(NO_SLOT, |slot| slot as u32),
            };
        }
        slots.iter().filter_map(|slot| self.values.get(*slot as usize)).for_each(V::touch);
    }

    /// Brings into the processor's caches what probes for these hashes will look at, if there are no namespaces.
    pub(crate) fn prefetch(&self, hashes: &[u64]) {
        if size_of::<N>() == 0 {
            self.touch(hashes);
        }
    }

    /// As [`prefetch`](Self::prefetch), by the hashes under which the index has entries.
    pub(crate) fn touch(&self, hashes: &[u64]) {
        if self.index.allocation_size() < PREFETCHED {
            return;
        }
        for block in hashes.chunks(BLOCK) {
            let mut candidates: [Option<&Bucket<K, N>>; BLOCK] = [None; BLOCK];
            for (hash, candidate) in block.iter().zip(&mut candidates) {
                *candidate = self.index.find(*hash, |_| true);
            }
            let mut slots = [NO_SLOT; BLOCK];
            for (slot, candidate) in slots.iter_mut().zip(&candidates) {
                *slot = candidate.map_or(NO_SLOT, |bucket| bucket.slot);
            }
            slots.iter().filter_map(|slot| self.values.get(*slot as usize)).for_each(V::touch);
        }
    }

    /// What the last [`find_batch`](Self::find_batch) found: slots, [`NO_SLOT`] where there is no entry, and
    /// the column of values.
    pub(crate) fn found(&self) -> (&[u32], &[V]) {
        (&self.slots, &self.values)
    }

    /// Lets `look` judge the time stamp of each entry that the last [`find_batch`](Self::find_batch) found:
    /// those that are gone are found no more, and the slots of all that have expired are returned, in an
    /// order in which they can be removed.
    pub(crate) fn judge(&mut self, mut look: impl FnMut(&mut Timestamp) -> Liveness) -> Vec<usize> {
        let mut expired = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| **slot != NO_SLOT) {
            let liveness = look(&mut self.stamps[*slot as usize]);
            if liveness.is_expired() {
                expired.push(*slot as usize);
            }
            if !liveness.is_visible() {
                *slot = NO_SLOT;
            }
        }
        // From the last to the first, for the last entry of the column moves into each place that is freed.
        expired.sort_unstable_by(|a, b| b.cmp(a));
        expired.dedup();
        expired
    }

    /// Probes for all addresses of a batch, and makes the entries that are missing: `make(i)` for record `i`.
    /// An entry whose time stamp is `stale` is made anew; all get `stamp`.
    ///
    /// When an error comes back the entries before the failure are there.
    pub(crate) fn find_or_insert_batch<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        stamp: Timestamp,
        stale: impl Fn(Timestamp) -> bool,
        mut make: impl FnMut(usize) -> V,
    ) -> Result<(), StateError> {
        self.created.clear();
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        slots.resize(batch.len(), NO_SLOT);
        let mut result = Ok(());
        for start in (0..batch.len()).step_by(BLOCK) {
            let end = batch.len().min(start + BLOCK);
            let block = &mut slots[start..end];
            self.find_block(batch, start, block);
            if self.stamped || block.contains(&NO_SLOT) {
                result = self.complete_block(batch, start, block, stamp, &stale, &mut make);
                if result.is_err() {
                    break;
                }
            }
        }
        self.slots = slots;
        result
    }

    /// Makes the entries that a block lacks, and renews those that are stale.
    fn complete_block<B: Borrow<K>>(
        &mut self,
        batch: &KeyBatch<'_, B, N>,
        start: usize,
        slots: &mut [u32],
        stamp: Timestamp,
        stale: &impl Fn(Timestamp) -> bool,
        make: &mut impl FnMut(usize) -> V,
    ) -> Result<(), StateError> {
        for (record, slot) in (start..).zip(slots) {
            if *slot == NO_SLOT {
                // An earlier record of the block may have made the entry.
                match self.find(batch.at(record)) {
                    Some(found) => *slot = found as u32,
                    None => {
                        self.created.push(record as u32);
                        *slot = self.insert(batch.at(record), make(record), stamp)? as u32;
                        continue;
                    }
                }
            }
            if self.stamped {
                let place = *slot as usize;
                if stale(self.stamps[place]) {
                    self.created.push(record as u32);
                    self.values[place] = make(record);
                }
                self.stamps[place] = stamp;
            }
        }
        Ok(())
    }

    /// What the last batch lookup found, and the column of values.
    pub(crate) fn columns(&mut self) -> (Slots<'_>, &mut [V]) {
        (Slots { slots: &self.slots, created: &self.created }, &mut self.values)
    }

    /// Makes the last batch lookup one that has made no entries.
    pub(crate) fn none_created(&mut self) {
        self.created.clear();
    }

    /// Adds an entry that is not there and returns its slot.
    pub(crate) fn insert(
        &mut self,
        at: Address<'_, K, N>,
        value: V,
        stamp: Timestamp,
    ) -> Result<usize, StateError> {
        self.insert_owned(table_hash(at), at.key.clone(), at.namespace.clone(), value, stamp)
    }

    /// As [`insert`](Self::insert), with a key that is given away and the hash of the address.
    pub(crate) fn insert_owned(
        &mut self,
        hash: u64,
        key: K,
        namespace: N,
        value: V,
        stamp: Timestamp,
    ) -> Result<usize, StateError> {
        let slot = self.values.len();
        if slot >= NO_SLOT as usize {
            return Err(StateError::TooManyEntries { name: self.name().to_owned() });
        }
        if slot == self.values.capacity() {
            self.grow_columns(1);
        }
        let mut grown = key_weight(&key) + key_weight(&namespace);
        if !V::NONE {
            let weight = value.weight();
            self.weights.push(weight);
            grown += weight;
        }
        self.hashes.push(hash);
        self.values.push(value);
        if self.stamped {
            self.stamps.push(stamp);
        }
        let bucket = Bucket { key, namespace, slot: slot as u32 };
        let hashes = &self.hashes;
        self.index.insert_unique(hash, bucket, |bucket| hashes[bucket.slot as usize]);
        self.count(grown, 0)?;
        Ok(slot)
    }

    /// Removes the entry at `slot`; the last entry moves there.
    pub(crate) fn remove(&mut self, slot: usize) -> V {
        self.take(slot).1
    }

    /// As [`remove`](Self::remove); also gives the address.
    pub(crate) fn take(&mut self, slot: usize) -> (Option<(K, N)>, V) {
        let last = self.values.len() - 1;
        let mut shrunk = 0;
        let mut address = None;
        if let Ok(entry) = self.index.find_entry(self.hashes[slot], |bucket| bucket.slot as usize == slot) {
            let (bucket, _) = entry.remove();
            shrunk += key_weight(&bucket.key) + key_weight(&bucket.namespace);
            address = Some((bucket.key, bucket.namespace));
        }
        if slot != last
            && let Some(moved) = self.index.find_mut(self.hashes[last], |bucket| bucket.slot as usize == last)
        {
            moved.slot = slot as u32;
        }
        self.hashes.swap_remove(slot);
        if self.stamped {
            self.stamps.swap_remove(slot);
        }
        if !V::NONE {
            shrunk += self.weights.swap_remove(slot);
        }
        let value = self.values.swap_remove(slot);
        self.give_back_capacity();
        // Less memory in use cannot exceed a budget.
        let _ = self.count(0, shrunk);
        (address, value)
    }

    /// Removes the entries that the last [`find_batch`](Self::find_batch) found.
    pub(crate) fn remove_found(&mut self) {
        let mut found: Vec<u32> = self.slots.iter().copied().filter(|slot| *slot != NO_SLOT).collect();
        // From the last to the first, for the last entry moves into each place that is freed.
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        for block in found.chunks(BLOCK) {
            // The entries that will move are looked up in the index, all at once they miss the caches but once.
            let movers = &self.hashes[self.hashes.len().saturating_sub(block.len())..];
            let mut candidates: [Option<&Bucket<K, N>>; BLOCK] = [None; BLOCK];
            for (hash, candidate) in movers.iter().zip(&mut candidates) {
                *candidate = self.index.find(*hash, |_| true);
            }
            let touch = |sum: u32, bucket: &Bucket<K, N>| sum.wrapping_add(bucket.slot);
            std::hint::black_box(candidates.iter().copied().flatten().fold(0, touch));
            for slot in block {
                self.remove(*slot as usize);
            }
        }
    }

    /// Counts anew a value that has changed.
    #[inline]
    pub(crate) fn reweigh(&mut self, slot: usize) -> Result<(), StateError> {
        if V::NONE {
            return Ok(());
        }
        let weight = self.values[slot].weight();
        let before = std::mem::replace(&mut self.weights[slot], weight);
        self.account.change(weight, before)
    }

    /// Counts anew the values that the last batch lookup found.
    pub(crate) fn reweigh_batch(&mut self) -> Result<(), StateError> {
        if V::NONE {
            return Ok(());
        }
        let (mut grown, mut shrunk) = (0, 0);
        for &slot in &self.slots {
            let slot = slot as usize;
            let weight = self.values[slot].weight();
            grown += weight;
            shrunk += std::mem::replace(&mut self.weights[slot], weight);
        }
        self.account.change(grown, shrunk)
    }

    /// Looks at the next `count` entries, round and round, and removes those for which `expired` says so.
    pub(crate) fn sweep(&mut self, count: usize, mut expired: impl FnMut(&mut V, Timestamp) -> bool) {
        for _ in 0..count.min(self.len()) {
            // Going down, the entry that moves into a freed slot is one that was looked at already.
            if self.cursor == 0 || self.cursor > self.len() {
                self.cursor = self.len();
            }
            if self.cursor == 0 {
                return;
            }
            self.cursor -= 1;
            let (slot, stamp) = (self.cursor, self.stamp(self.cursor));
            if expired(&mut self.values[slot], stamp) {
                self.remove(slot);
            } else {
                // A sweep only takes away, which cannot exceed a budget.
                let _ = self.reweigh(slot);
            }
        }
    }

    /// All entries: key, namespace, value, stamp. In no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &N, &V, Timestamp)> {
        self.iter_hashed().map(|(_, key, namespace, value, stamp)| (key, namespace, value, stamp))
    }

    /// As [`iter`](Self::iter), with the hash under which the index has the entry.
    pub(crate) fn iter_hashed(&self) -> impl Iterator<Item = (u64, &K, &N, &V, Timestamp)> {
        self.index.iter().map(|bucket| {
            let slot = bucket.slot as usize;
            (self.hashes[slot], &bucket.key, &bucket.namespace, &self.values[slot], self.stamp(slot))
        })
    }

    /// Removes all entries and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.index.clear();
        self.hashes.clear();
        self.values.clear();
        self.stamps.clear();
        self.weights.clear();
        self.cursor = 0;
        // What stays was counted before.
        let _ = self.account.change(self.counted, self.account.used());
    }

    /// The hash under which the index has an entry.
    pub(crate) fn hash(&self, slot: usize) -> u64 {
        self.hashes[slot]
    }

    /// Loads entries into the processor's caches, at most [`BLOCK`], with what leads to them.
    pub(crate) fn touch_slots(&self, slots: &[u32]) {
        let mut candidates: [Option<&Bucket<K, N>>; BLOCK] = [None; BLOCK];
        for (slot, candidate) in slots.iter().zip(&mut candidates) {
            *candidate = self.index.find(self.hashes[*slot as usize], |_| true);
        }
        let touch = |sum: u32, bucket: &Bucket<K, N>| sum.wrapping_add(bucket.slot);
        std::hint::black_box(candidates.iter().copied().flatten().fold(0, touch));
        slots.iter().for_each(|slot| self.values[*slot as usize].touch());
    }

    /// The hashes of the last `count` entries of the columns.
    pub(crate) fn last_hashes(&self, count: usize) -> &[u64] {
        &self.hashes[self.hashes.len() - count..]
    }

    /// An entry by its place: key, namespace, value, stamp. [`reweigh`](Self::reweigh) must follow a change.
    pub(crate) fn entry_mut(&mut self, slot: usize) -> Option<(&K, &N, &mut V, Timestamp)> {
        let stamp = self.stamp(slot);
        let bucket = self.index.find(self.hashes[slot], |bucket| bucket.slot as usize == slot)?;
        Some((&bucket.key, &bucket.namespace, &mut self.values[slot], stamp))
    }

    /// How many entries the index takes at its size.
    pub(crate) fn full(&self) -> usize {
        if self.index.capacity() == 0 { 0 } else { full(self.index.num_buckets()) }
    }

    /// How many entries can be added before the index is made anew.
    pub(crate) fn room(&self) -> usize {
        self.index.capacity() - self.index.len()
    }

    /// The bytes on the heap that keys and values are counted with.
    pub(crate) fn weight(&self) -> usize {
        self.account.used().saturating_sub(self.counted)
    }

    /// The bytes of index and columns with room for so many entries.
    pub(crate) fn columns_for(&self, entries: usize) -> usize {
        if entries == 0 {
            return 0;
        }
        let buckets = (entries * 8).div_ceil(7).next_power_of_two().max(4);
        // The index ends with bytes that are there for reading sixteen at once, and begins at a multiple of that.
        buckets * (size_of::<Bucket<K, N>>() + 1) + 32 + full(buckets) * self.slot_bytes()
    }

    /// The bytes of one entry in the columns.
    fn slot_bytes(&self) -> usize {
        let stamp = if self.stamped { size_of::<Timestamp>() } else { 0 };
        let weight = if V::NONE { 0 } else { size_of::<usize>() };
        size_of::<V>() + size_of::<u64>() + stamp + weight
    }

    /// Bytes of one entry, of index, columns and heap, on average.
    pub(crate) fn entry_bytes(&self) -> usize {
        size_of::<Bucket<K, N>>() + 1 + self.slot_bytes() + self.weight() / self.len().max(1)
    }

    /// Makes the index anew at the size that it has, without the traces of removed entries.
    pub(crate) fn rehash(&mut self) {
        let mut index = HashTable::with_capacity(self.full());
        for bucket in self.index.drain() {
            let hashes = &self.hashes;
            index.insert_unique(hashes[bucket.slot as usize], bucket, |bucket| hashes[bucket.slot as usize]);
        }
        self.index = index;
        let _ = self.count(0, 0);
    }

    /// Gives back what `entries` entries do not need.
    pub(crate) fn shrink_to(&mut self, entries: usize) {
        let hashes = &self.hashes;
        self.index.shrink_to(entries, |bucket| hashes[bucket.slot as usize]);
        let keep = self.full().max(self.len());
        self.values.shrink_to(keep);
        self.stamps.shrink_to(keep);
        self.weights.shrink_to(keep);
        self.hashes.shrink_to(keep);
        // Less memory in use cannot exceed a budget.
        let _ = self.count(0, 0);
    }

    /// Makes room for so many more entries.
    pub(crate) fn make_room(&mut self, more: usize) -> Result<(), StateError> {
        if self.values.capacity() - self.values.len() < more || self.room() < more {
            self.grow_columns(more);
        }
        self.recount()
    }

    /// Reserves what the table is counted with, as far as that was refused.
    pub(crate) fn recount(&mut self) -> Result<(), StateError> {
        self.count(0, 0)
    }

    /// Makes room for so many entries, and in the columns for as many as the index takes, so that both grow at once.
    #[cold]
    fn grow_columns(&mut self, more: usize) {
        let hashes = &self.hashes;
        self.index.reserve(more, |bucket| hashes[bucket.slot as usize]);
        let more = self.full().saturating_sub(self.values.len()).max(more);
        self.values.reserve_exact(more);
        self.hashes.reserve_exact(more);
        if self.stamped {
            self.stamps.reserve_exact(more);
        }
        if !V::NONE {
            self.weights.reserve_exact(more);
        }
    }

    #[inline]
    fn count(&mut self, grown: usize, shrunk: usize) -> Result<(), StateError> {
        let columns = self.index.allocation_size()
            + self.values.capacity() * size_of::<V>()
            + self.hashes.capacity() * size_of::<u64>()
            + self.stamps.capacity() * size_of::<Timestamp>()
            + self.weights.capacity() * size_of::<usize>();
        let before = std::mem::replace(&mut self.counted, columns);
        self.account.change(columns + grown, before + shrunk)
    }

    fn give_back_capacity(&mut self) {
        let len = self.values.len();
        if self.values.capacity() <= KEEP_CAPACITY || len * 8 > self.values.capacity() {
            return;
        }
        let keep = len * 2;
        self.values.shrink_to(keep);
        self.stamps.shrink_to(keep);
        self.weights.shrink_to(keep);
        let hashes = &self.hashes;
        self.index.shrink_to(keep, |bucket| hashes[bucket.slot as usize]);
        self.hashes.shrink_to(keep);
    }
}
