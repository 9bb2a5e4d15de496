//! [`CacheTable`]: the part of a stored table that is in memory, which part that is, and what of it has to be written.

use std::borrow::Borrow;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::{Timestamp, key_group};
use tidemill_serialization::Key;

use crate::batch::{Address, KeyBatch, NO_SLOT};
use crate::cache::{Share, StateCache};
use crate::error::StateError;
use crate::heap::{BLOCK, HeapTable, Weight};
use crate::hot_rows::HotRows;
use crate::stored::StoredRows;

/// The store does not have it as it is here.
pub(crate) const DIRTY: u8 = 1;
/// The store may have a row at this address.
pub(crate) const STORED: u8 = 2;
/// It was used since the hand came by.
const USED: u8 = 4;
/// It is about to go.
const VICTIM: u8 = 8;
/// It has changed since the last checkpoint of the store's files: set with [`DIRTY`], four places above it.
const CHANGED: u8 = DIRTY << 4;
/// It had changed between the two checkpoints before.
const CHANGED_BEFORE: u8 = CHANGED << 1;
/// It is left to the rows beside the files of the checkpoint that is being made.
const HOT: u8 = CHANGED << 2;

/// How many changes are written at once, so that writing takes little memory.
const WRITE_AT_ONCE: usize = 32 * 1024;
/// How many changes the trickle writes at once when there are many: those of some key groups, so that they are neighbours.
const TRICKLE_AT_ONCE: usize = 64 * 1024;
/// How many changes the trickle writes in one step, at least.
const TRICKLE: usize = 1024;
/// An empty table keeps the memory of this many entries.
const KEEP: usize = 64;

/// Adds to the changes to be written what makes the store have an entry as it is.
pub(crate) type Emit<K, N, C> = fn(&mut StoredRows<K, N>, Address<'_, K, N>, &mut C, Timestamp);

/// Entries by address, with marks. Which of them go when there is no more room is decided by a hand that goes round and spares what
/// was used since it last came by (CLOCK).
pub(crate) struct CacheTable<K, N, C> {
    pub(crate) rows: HeapTable<K, N, C>,
    /// By slot.
    marks: Vec<u8>,
    dirty: usize,
    share: Share,
    emit: Emit<K, N, C>,
    /// The slot below which the hand goes on.
    hand: usize,
    /// The slot below which the trickle goes on.
    cleaner: usize,
    /// The slot below which the search for what has expired goes on.
    sweeper: usize,
    /// How many entries an access has added lately, at most.
    need: usize,
    /// How many entries this access has added.
    added: usize,
    /// How many entries this access has made dirty; not yet among the dirty ones.
    soiled: usize,
    /// The bytes that others were last told of.
    published: usize,
    /// How many changes the trickle is behind.
    due: usize,
    /// Whether the trickle has written anything since the last checkpoint.
    trickled: bool,
    /// What the trickle goes through.
    plan: Plan,
}

/// Slots that were dirty, by key group.
#[derive(Default)]
struct Plan {
    slots: Vec<u32>,
    /// By key group, where its slots end.
    ends: Vec<usize>,
    /// The next key group.
    group: usize,
}

impl<K: Key, N: Key, C: Weight> CacheTable<K, N, C> {
    pub(crate) fn new(name: &str, cache: &StateCache, stamped: bool, emit: Emit<K, N, C>) -> Self {
        Self {
            // What it takes is counted with the cache, which it may exceed for as long as an access lasts.
            rows: HeapTable::new(name, &MemoryBudget::unlimited("cache"), stamped),
            marks: Vec::new(),
            dirty: 0,
            share: cache.share(),
            emit,
            hand: 0,
            cleaner: 0,
            sweeper: 0,
            need: 0,
            added: 0,
            soiled: 0,
            published: 0,
            due: 0,
            trickled: false,
            plan: Plan::default(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes() + self.marks.capacity()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// Finds an entry, and takes it for used.
    #[inline]
    pub(crate) fn find(&mut self, at: Address<'_, K, N>) -> Option<usize> {
        let slot = self.rows.find(at)?;
        self.marks[slot] |= USED;
        Some(slot)
    }

    #[inline]
    pub(crate) fn mark(&mut self, slot: usize, marks: u8) {
        let mark = &mut self.marks[slot];
        self.soiled += usize::from(marks & !*mark & DIRTY);
        *mark |= marks | (marks & DIRTY) << 4;
    }

    /// Takes the entries that the last batch lookup found for used, and marks them.
    #[inline]
    pub(crate) fn mark_found(&mut self, marks: u8) {
        let Self { rows, marks: all, soiled, .. } = self;
        let also = marks | (marks & DIRTY) << 4 | USED;
        for slot in rows.found().0 {
            if let Some(mark) = all.get_mut(*slot as usize) {
                *soiled += usize::from(marks & !*mark & DIRTY);
                *mark |= also;
            }
        }
    }

    /// Probes for all addresses of a batch; says whether all have an entry.
    #[inline]
    pub(crate) fn find_batch<B: Borrow<K>>(&mut self, batch: &KeyBatch<'_, B, N>) -> bool {
        self.rows.find_batch(batch);
        !self.rows.found().0.contains(&NO_SLOT)
    }

    pub(crate) fn insert(
        &mut self,
        at: Address<'_, K, N>,
        cell: C,
        stamp: Timestamp,
        marks: u8,
    ) -> Result<usize, StateError> {
        let slot = self.rows.insert(at, cell, stamp)?;
        self.adopt(marks);
        Ok(slot)
    }

    /// Adds an entry with an address that comes from another table.
    pub(crate) fn insert_owned(
        &mut self,
        hash: u64,
        (key, namespace): (K, N),
        cell: C,
        marks: u8,
    ) -> Result<(), StateError> {
        self.rows.insert_owned(hash, key, namespace, cell, 0)?;
        self.adopt(marks);
        Ok(())
    }

    /// Marks the entries that were added without marks.
    pub(crate) fn adopt(&mut self, marks: u8) {
        let added = self.rows.len() - self.marks.len();
        self.added += added;
        if marks & DIRTY != 0 {
            self.soiled += added;
        }
        self.marks.resize(self.rows.len(), marks | (marks & DIRTY) << 4 | USED);
    }

    /// Removes an entry: its address, what it held, its marks. The last one moves to its place.
    pub(crate) fn take(&mut self, slot: usize) -> (Option<(K, N)>, C, u8) {
        let (address, cell) = self.rows.take(slot);
        let marks = self.marks.swap_remove(slot);
        if marks & DIRTY != 0 {
            self.count_soiled();
            self.dirty -= 1;
        }
        (address, cell, marks)
    }

    fn count_soiled(&mut self) {
        self.dirty += std::mem::take(&mut self.soiled);
    }

    /// The next slot, round and round, for the search for what has expired.
    pub(crate) fn next_to_sweep(&mut self) -> Option<usize> {
        if self.sweeper == 0 || self.sweeper > self.rows.len() {
            self.sweeper = self.rows.len();
        }
        self.sweeper = self.sweeper.checked_sub(1)?;
        Some(self.sweeper)
    }

    /// Ends an access: makes room where it is lacking, and writes some of what is dirty where that is too much.
    #[inline]
    pub(crate) fn settle(&mut self, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        let as_before = self.added == 0 && self.soiled == 0 && self.bytes() == self.published;
        if as_before && self.share.excess() == 0 && !self.share.is_asked() {
            return Ok(());
        }
        self.make_room(store)
    }

    fn make_room(&mut self, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        let soiled = self.soiled;
        self.count_soiled();
        self.need = std::mem::take(&mut self.added).max(self.need - self.need / 8);
        self.publish();
        if self.share.excess() > 0 {
            self.release(self.share.used().saturating_sub(self.share.excess()), store)?;
        } else if self.share.must_give() {
            self.release(self.share.used() / 2, store)?;
        } else if self.rows.room() < self.need {
            self.prepare(store)?;
        }
        if self.share.is_too_dirty() {
            self.trickle(TRICKLE.max(2 * soiled), store)?;
        }
        Ok(())
    }

    fn publish(&mut self) {
        let dirty = if self.dirty == 0 { 0 } else { self.dirty * (self.rows.entry_bytes() + 1) };
        self.published = self.bytes();
        // An empty table that keeps a little memory is none.
        let used = if self.is_empty() { 0 } else { self.bytes() };
        self.share.publish(used, dirty);
    }

    /// Sees to it that the entries of the next access have room: by growing, where that is allowed, or by evicting.
    fn prepare(&mut self, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        let full = self.rows.full();
        if full - self.rows.len() >= self.need {
            self.rows.rehash();
            return Ok(());
        }
        let growth = self.rows.columns_for(full + 1).saturating_sub(self.rows.columns_for(full)) + full;
        if self.share.has_free(growth) {
            return Ok(());
        }
        self.share.ask_for(growth);
        self.evict(self.need.max(self.rows.len() / 16), store)?;
        self.publish();
        Ok(())
    }

    /// Evicts until the table takes no more than `target` bytes.
    fn release(&mut self, target: usize, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        while !self.is_empty() {
            let len = self.rows.len();
            let least = self.rows.columns_for(len) + self.rows.weight() + len;
            if least <= target {
                break;
            }
            self.evict((len / 8).max(TRICKLE), store)?;
        }
        if self.bytes() > target {
            // An empty table keeps a little, so that the next access need not allocate it.
            self.rows.shrink_to(if self.is_empty() { KEEP } else { self.rows.len() });
            self.marks.shrink_to(self.rows.len());
        }
        self.publish();
        Ok(())
    }

    fn evict(&mut self, count: usize, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        let mut victims = self.choose(count.min(self.rows.len()));
        // From the last to the first, for the last entry moves into each place that is freed.
        victims.sort_unstable_by(|a, b| b.cmp(a));
        for slot in &victims {
            if self.marks[*slot as usize] & DIRTY != 0 {
                self.emit(*slot as usize, store)?;
            }
        }
        store.flush()?;
        for slot in victims {
            self.take(slot as usize);
        }
        Ok(())
    }

    /// Which entries go.
    fn choose(&mut self, count: usize) -> Vec<u32> {
        let mut victims = Vec::with_capacity(count);
        // In two rounds the hand spares nothing any more.
        for _ in 0..2 * self.marks.len() {
            if victims.len() == count {
                break;
            }
            if self.hand == 0 || self.hand > self.marks.len() {
                self.hand = self.marks.len();
            }
            self.hand -= 1;
            let mark = &mut self.marks[self.hand];
            if *mark & USED != 0 {
                *mark &= !USED;
            } else if *mark & VICTIM == 0 {
                *mark |= VICTIM;
                victims.push(self.hand as u32);
            }
        }
        victims
    }

    /// Adds the change of one entry to those to be written, and takes the entry for clean.
    fn emit(&mut self, slot: usize, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        self.add_change(slot, store)?;
        if store.writes.len() >= WRITE_AT_ONCE { store.flush() } else { Ok(()) }
    }

    /// As [`emit`](Self::emit), and leaves it to the caller to have the changes written.
    fn add_change(&mut self, slot: usize, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        self.gather(slot, store);
        self.marks[slot] = self.marks[slot] & !DIRTY | STORED;
        self.dirty -= 1;
        self.rows.reweigh(slot)
    }

    /// Adds the change of one entry to those to be written.
    fn gather(&mut self, slot: usize, store: &mut StoredRows<K, N>) {
        let hash = self.rows.hash(slot);
        if let Some((key, namespace, cell, stamp)) = self.rows.entry_mut(slot) {
            // Without a namespace the hash of the address is that of the key.
            let hash = if size_of::<N>() == 0 { hash } else { key.routing_hash() };
            (self.emit)(store, Address { hash, key, namespace }, cell, stamp);
        }
    }

    /// Writes some of the changes but for those of entries with the marks `spared`, those first that have waited longest, about.
    fn clean_some(
        &mut self,
        count: usize,
        spared: u8,
        store: &mut StoredRows<K, N>,
    ) -> Result<(), StateError> {
        let mut chosen = Vec::with_capacity(count.min(self.dirty));
        for _ in 0..self.marks.len() {
            if chosen.len() == chosen.capacity() {
                break;
            }
            if self.cleaner == 0 || self.cleaner > self.marks.len() {
                self.cleaner = self.marks.len();
            }
            self.cleaner -= 1;
            if self.marks[self.cleaner] & (DIRTY | spared) == DIRTY {
                chosen.push(self.cleaner as u32);
            }
        }
        for block in chosen.chunks(BLOCK) {
            self.rows.touch_slots(block);
            block.iter().try_for_each(|slot| self.emit(*slot as usize, store))?;
        }
        store.flush()?;
        self.publish();
        Ok(())
    }

    /// Writes all changes: many in the order of their rows, past what the store keeps in memory, if it can.
    pub(crate) fn flush(&mut self, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        self.count_soiled();
        self.flush_but(self.dirty, 0, store)
    }

    /// Writes the changes of entries that are not hot, for a checkpoint of the store's files. Hot are those that have changed since the
    /// last one and between that and the one before: written to the store they would only be merged away again, so they stay dirty and
    /// are left to [`write_hot`](Self::write_hot). Where more changes than may be dirty none is, or the trickle would write all the same.
    pub(crate) fn flush_cold(&mut self, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        self.count_soiled();
        let (mut cold, too_many) = (0, std::mem::take(&mut self.trickled));
        for mark in &mut self.marks {
            let always = *mark & (DIRTY | CHANGED | CHANGED_BEFORE) == DIRTY | CHANGED | CHANGED_BEFORE;
            let hot = always && !too_many;
            cold += usize::from(*mark & DIRTY != 0 && !hot);
            let changed = (*mark & CHANGED) << 1;
            *mark = *mark & !(CHANGED | CHANGED_BEFORE | HOT) | changed | if hot { HOT } else { 0 };
        }
        self.flush_but(cold, HOT, store)
    }

    /// Writes all that is dirty beside the files of a checkpoint. It stays dirty.
    pub(crate) fn write_hot(
        &mut self,
        store: &mut StoredRows<K, N>,
        out: &mut HotRows,
    ) -> Result<(), StateError> {
        let mut next = 0;
        let mut block = Vec::with_capacity(BLOCK);
        while next < self.marks.len() {
            block.clear();
            while block.len() < BLOCK && next < self.marks.len() {
                if self.marks[next] & DIRTY != 0 {
                    block.push(next as u32);
                }
                next += 1;
            }
            self.rows.touch_slots(&block);
            block.iter().for_each(|slot| self.gather(*slot as usize, store));
            store.give_to(out)?;
        }
        Ok(())
    }

    /// Writes the `dirty` changes of entries without the marks `spared`.
    fn flush_but(
        &mut self,
        dirty: usize,
        spared: u8,
        store: &mut StoredRows<K, N>,
    ) -> Result<(), StateError> {
        store.check()?;
        if dirty < WRITE_AT_ONCE {
            return self.clean_some(dirty, spared, store);
        }
        let (slots, ends) = self.dirty_by_group(store.scope.max_parallelism, spared);
        let (mut begin, mut ends) = (0, ends.into_iter());
        store.write_many(|store| {
            // Whole key groups, whose rows come before those of the next.
            while store.writes.len() < WRITE_AT_ONCE
                && let Some(end) = ends.next()
            {
                for block in slots[begin..end].chunks(BLOCK) {
                    self.rows.touch_slots(block);
                    block.iter().try_for_each(|slot| self.add_change(*slot as usize, store))?;
                }
                begin = end;
            }
            Ok(!store.writes.is_empty())
        })?;
        self.plan = Plan::default();
        self.publish();
        Ok(())
    }

    /// Writes about as many changes as it has been asked for since the last time, once these are worth it: those of some key groups,
    /// and round and round those of all.
    fn trickle(&mut self, count: usize, store: &mut StoredRows<K, N>) -> Result<(), StateError> {
        self.trickled = true;
        if self.dirty < 2 * TRICKLE_AT_ONCE {
            return self.clean_some(count.min(WRITE_AT_ONCE), 0, store);
        }
        self.due += count;
        if self.due < TRICKLE_AT_ONCE {
            return Ok(());
        }
        self.due -= TRICKLE_AT_ONCE;
        store.check()?;
        let parallelism = store.scope.max_parallelism;
        if self.plan.group >= self.plan.ends.len() {
            let (slots, ends) = self.dirty_by_group(parallelism, 0);
            self.plan = Plan { slots, ends, group: 0 };
        }
        let mut plan = std::mem::take(&mut self.plan);
        let enough = self.dirty.saturating_sub(TRICKLE_AT_ONCE);
        while self.dirty > enough
            && let Some(end) = plan.ends.get(plan.group)
        {
            let begin = if plan.group == 0 { 0 } else { plan.ends[plan.group - 1] };
            for block in plan.slots[begin..*end].chunks(BLOCK) {
                // Entries that have moved since, or were written, are left to the next round.
                let mut left = [0; BLOCK];
                let mut count = 0;
                for slot in block.iter().filter(|slot| (**slot as usize) < self.marks.len()) {
                    left[count] = *slot;
                    count += 1;
                }
                self.rows.touch_slots(&left[..count]);
                for slot in left[..count].iter().map(|slot| *slot as usize) {
                    if self.marks[slot] & DIRTY != 0
                        && usize::from(self.group_of(slot, parallelism)) == plan.group
                    {
                        self.emit(slot, store)?;
                    }
                }
            }
            plan.group += 1;
        }
        self.plan = plan;
        store.flush()?;
        self.publish();
        Ok(())
    }

    /// The key group of an entry.
    fn group_of(&mut self, slot: usize, parallelism: u32) -> u16 {
        let mut hash = self.rows.hash(slot);
        // Without a namespace the hash of the address is that of the key.
        if size_of::<N>() > 0
            && let Some((key, ..)) = self.rows.entry_mut(slot)
        {
            hash = key.routing_hash();
        }
        key_group::key_group(hash, parallelism)
    }

    /// The slots of all dirty entries without the marks `spared` by key group, and where those of each key group end.
    fn dirty_by_group(&mut self, parallelism: u32, spared: u8) -> (Vec<u32>, Vec<usize>) {
        let mut dirty: Vec<(u32, u16)> = Vec::with_capacity(self.dirty);
        let mut ends = vec![0; parallelism as usize + 1];
        for slot in 0..self.marks.len() {
            if self.marks[slot] & (DIRTY | spared) != DIRTY {
                continue;
            }
            let group = self.group_of(slot, parallelism);
            dirty.push((slot as u32, group));
            ends[usize::from(group) + 1] += 1;
        }
        for group in 1..ends.len() {
            ends[group] += ends[group - 1];
        }
        let mut slots = vec![0u32; dirty.len()];
        for (slot, group) in dirty {
            // Where the next slot of the group goes, and in the end where the group ends.
            let place = &mut ends[usize::from(group)];
            slots[*place] = slot;
            *place += 1;
        }
        (slots, ends)
    }

    /// Forgets everything, changes too.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.marks.clear();
        (self.dirty, self.soiled, self.added) = (0, 0, 0);
        self.rows.shrink_to(KEEP);
        self.publish();
    }
}
