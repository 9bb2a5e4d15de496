//! Network memory as buffers, and how pools share them: `NetworkBufferPool` and `LocalBufferPool` of Flink 2.3.
//!
//! Every result partition and every input gate has a pool with a required and a maximal number of buffers.
//! What is left after all required ones are given is dealt out in proportion to how much more each pool could
//! use, anew whenever a pool comes or goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::NetworkError;
use crate::waker::{TaskWaker, Wake};

/// All buffers of a TaskManager: network memory divided by the segment size.
///
/// ```
/// use tidemill_network::NetworkBufferPool;
///
/// let pool = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// assert_eq!((pool.total(), pool.used()), (32, 0));
/// ```
#[derive(Debug)]
pub struct NetworkBufferPool {
    total: usize,
    segment_size: usize,
    in_use: AtomicUsize,
    pools: Mutex<Pools>,
    /// Exclusive buffers, which belong to gates and are not dealt out.
    fixed: AtomicUsize,
    /// Who will deal the buffers out anew in a moment: whoever comes before need not.
    coming: AtomicUsize,
}

/// The pools there are.
#[derive(Debug, Default)]
struct Pools {
    /// In the order in which they were made.
    shares: BTreeMap<u64, Arc<Share>>,
    next: u64,
    /// What they require together, and how many more they could use.
    required: usize,
    wished: u128,
    /// Whether each of them has all that it could use.
    are_sated: bool,
}

/// Puts dealing out off until it is dropped: a job makes its pools, and the buffers are dealt out once for all of them. Pools
/// that are made meanwhile have what they require, and more only while there is enough for all.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_network::{NetworkBufferPool, TaskWaker};
///
/// let all = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// let later = all.deal_later();
/// let pool = all.create_pool(0, 1, 100, 0, Arc::new(TaskWaker::new()))?;
/// assert_eq!(pool.size(), 1);
/// drop(later);
/// assert_eq!(pool.size(), 32);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug)]
pub struct DealLater(Arc<NetworkBufferPool>);

impl Drop for DealLater {
    fn drop(&mut self) {
        self.0.deal(&mut self.0.pools.lock());
    }
}

/// How many buffers an input gate takes (memory model: "Network memory to buffers").
///
/// ```
/// use tidemill_network::GateBuffers;
///
/// let buffers = GateBuffers::of(4, 2, 8, None);
/// assert_eq!((buffers.exclusive_per_channel, buffers.required_floating, buffers.total_floating), (2, 1, 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateBuffers {
    /// Buffers that belong to each channel.
    pub exclusive_per_channel: usize,
    /// Floating buffers that the gate cannot start without.
    pub required_floating: usize,
    /// Floating buffers that it would use if it got them.
    pub total_floating: usize,
}

impl GateBuffers {
    /// The buffers of a pipelined gate of `channels` channels, `exclusive` being
    /// `taskmanager.network.memory.buffers-per-channel`, `floating` `…floating-buffers-per-gate`, and
    /// `required_max` `…read-buffer.required-per-gate.max`.
    ///
    /// ```
    /// use tidemill_network::GateBuffers;
    ///
    /// let few = GateBuffers::of(4, 2, 8, Some(1));
    /// assert_eq!((few.exclusive_per_channel, few.required_floating, few.total_floating), (0, 1, 16));
    /// ```
    pub fn of(channels: usize, exclusive: usize, floating: usize, required_max: Option<usize>) -> Self {
        let target_required = channels * exclusive + 1;
        let target_total = channels * exclusive + floating.max(1);
        let required = required_max.unwrap_or(usize::MAX).clamp(1, target_required);
        let exclusive_per_channel = exclusive.min((required - 1).checked_div(channels).unwrap_or(0));
        let taken = exclusive_per_channel * channels;
        Self {
            exclusive_per_channel,
            required_floating: required - taken,
            total_floating: target_total - taken,
        }
    }
}

/// How many buffers a result partition takes.
///
/// ```
/// use tidemill_network::PartitionBuffers;
///
/// let buffers = PartitionBuffers::of(4, 2, 8, 20, 10);
/// assert_eq!((buffers.required, buffers.max), (5, 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionBuffers {
    /// Buffers that it cannot start without.
    pub required: usize,
    /// Buffers that it would use if it got them.
    pub max: usize,
    /// Buffers beyond its size that it may borrow to finish a batch that it has begun to write.
    pub overdraft: usize,
    /// Buffers that may wait in one channel before the whole partition counts as unavailable.
    pub max_per_channel: usize,
}

impl PartitionBuffers {
    /// The buffers of a pipelined, bounded partition of `channels` channels.
    ///
    /// ```
    /// use tidemill_network::PartitionBuffers;
    ///
    /// let buffers = PartitionBuffers::of(4, 2, 8, 20, 10);
    /// assert_eq!((buffers.overdraft, buffers.max_per_channel), (20, 10));
    /// ```
    pub fn of(
        channels: usize,
        exclusive: usize,
        floating: usize,
        overdraft: usize,
        max_per_channel: usize,
    ) -> Self {
        let required = channels + 1;
        let max = (channels * exclusive + floating).max(required);
        Self { required, max, overdraft, max_per_channel: max_per_channel.max(1) }
    }
}

impl NetworkBufferPool {
    /// A pool of `bytes / segment_size` buffers.
    ///
    /// ```
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// assert_eq!(NetworkBufferPool::new(1 << 20, 32 * 1024).total(), 32);
    /// ```
    pub fn new(bytes: u64, segment_size: usize) -> Arc<Self> {
        let total = usize::try_from(bytes / segment_size.max(1) as u64).unwrap_or(usize::MAX);
        Arc::new(Self {
            total,
            segment_size,
            in_use: AtomicUsize::new(0),
            pools: Mutex::new(Pools { are_sated: true, ..Pools::default() }),
            fixed: AtomicUsize::new(0),
            coming: AtomicUsize::new(0),
        })
    }

    /// How many buffers there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many buffers are taken by a batch, or belong to a channel, right now.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// let pool = buffers.create_pool(0, 1, 2, 0, Arc::default())?;
    /// let permit = pool.try_acquire();
    /// assert_eq!(buffers.used(), 1);
    /// drop(permit);
    /// assert_eq!(buffers.used(), 0);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn used(&self) -> usize {
        self.in_use.load(Ordering::Relaxed) + self.fixed.load(Ordering::Relaxed)
    }

    /// Bytes of one buffer: `taskmanager.memory.segment-size`.
    pub fn segment_size(&self) -> usize {
        self.segment_size
    }

    /// Whether all pools of a job, which require `required` buffers together with those set aside, could be made now.
    ///
    /// # Errors
    /// [`NetworkError::InsufficientBuffers`] when there are fewer that are not spoken for.
    pub fn check(&self, required: usize) -> Result<(), NetworkError> {
        let available = self.available(&self.pools.lock());
        if required > available {
            return Err(self.insufficient(required, available, "the whole job"));
        }
        Ok(())
    }

    /// Buffers that nobody requires.
    fn available(&self, pools: &Pools) -> usize {
        self.total.saturating_sub(pools.required + self.fixed.load(Ordering::Relaxed))
    }

    /// Deals nothing out until the answer is dropped.
    pub fn deal_later(self: &Arc<Self>) -> DealLater {
        self.coming.fetch_add(1, Ordering::SeqCst);
        DealLater(Arc::clone(self))
    }

    fn insufficient(&self, required: usize, available: usize, by: &'static str) -> NetworkError {
        NetworkError::InsufficientBuffers {
            required,
            available,
            total: self.total,
            segment_size: self.segment_size,
            by,
        }
    }

    /// Makes a pool that has at least `required` and at most `max` buffers, and sets `fixed` ones aside besides.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// let pool = buffers.create_pool(0, 20, 40, 0, Arc::default())?;
    /// assert_eq!(pool.size(), 32, "more than 20, for nobody else wants them");
    /// assert!(buffers.create_pool(0, 20, 40, 0, Arc::default()).is_err(), "only 12 are left");
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// [`NetworkError::InsufficientBuffers`] when what all pools require is more than there is.
    pub fn create_pool(
        self: &Arc<Self>,
        fixed: usize,
        required: usize,
        max: usize,
        overdraft: usize,
        waker: Arc<TaskWaker>,
    ) -> Result<Arc<LocalBufferPool>, NetworkError> {
        self.coming.fetch_add(1, Ordering::SeqCst);
        let mut pools = self.pools.lock();
        let available = self.available(&pools);
        if required + fixed > available {
            self.deal(&mut pools);
            return Err(self.insufficient(required + fixed, available, "the channels of one task"));
        }
        self.fixed.fetch_add(fixed, Ordering::Relaxed);
        let share = Arc::new(Share {
            fixed,
            required,
            max: max.max(required),
            size: AtomicUsize::new(required),
            waker,
        });
        let number = pools.next;
        pools.next += 1;
        pools.required += required;
        pools.wished += share.wish();
        if pools.are_sated && pools.wished <= self.available(&pools) as u128 {
            share.size.store(share.max, Ordering::Relaxed);
        } else {
            pools.are_sated = false;
        }
        pools.shares.insert(number, Arc::clone(&share));
        self.deal(&mut pools);
        drop(pools);
        Ok(Arc::new(LocalBufferPool {
            global: Arc::clone(self),
            number,
            share,
            overdraft,
            used: AtomicUsize::new(0),
            congested: AtomicUsize::new(0),
        }))
    }

    /// Deals out what nobody requires, for one of those who were [coming](Self::coming), unless another is about to do it:
    /// of many tasks that end together only the last ones do.
    fn deal(&self, pools: &mut Pools) {
        if self.coming.fetch_sub(1, Ordering::SeqCst) > 1 || pools.are_sated {
            return;
        }
        let free = self.available(pools);
        pools.are_sated = pools.wished <= free as u128;
        let shares = pools.shares.values();
        let wishes: Vec<usize> = shares.clone().map(|pool| free.min(pool.max - pool.required)).collect();
        for (pool, extra) in shares.zip(surplus(free, &wishes)) {
            let size = pool.required + extra;
            if pool.size.swap(size, Ordering::Relaxed) < size {
                pool.waker.wake(Wake::Output);
            }
        }
    }
}

/// What the global pool knows of a local one.
#[derive(Debug)]
struct Share {
    fixed: usize,
    required: usize,
    max: usize,
    size: AtomicUsize,
    waker: Arc<TaskWaker>,
}

impl Share {
    /// How many buffers it could use beyond those that it requires.
    fn wish(&self) -> u128 {
        (self.max - self.required) as u128
    }
}

/// Deals `free` buffers to pools in proportion to what each could still use, in whole buffers, without losing any
/// to rounding: Flink's `NetworkBufferPool.redistributeBuffers`.
fn surplus(free: usize, wishes: &[usize]) -> Vec<usize> {
    let sum: u128 = wishes.iter().map(|wish| *wish as u128).sum();
    let dealt_in_all = (free as u128).min(sum);
    let mut prefix = 0u128;
    let mut dealt = 0u128;
    wishes
        .iter()
        .map(|wish| {
            prefix += *wish as u128;
            let upto = (dealt_in_all * prefix).checked_div(sum).unwrap_or(0);
            let share = upto - dealt;
            dealt = upto;
            share as usize
        })
        .collect()
}

/// The buffers of one result partition, or the floating ones of one input gate.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_network::{NetworkBufferPool, TaskWaker};
///
/// let all = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// let pool = all.create_pool(0, 1, 2, 0, Arc::new(TaskWaker::new()))?;
/// let (one, two) = (pool.try_acquire(), pool.try_acquire());
/// assert!(one.is_some() && two.is_some() && pool.try_acquire().is_none());
/// drop(one);
/// assert!(pool.is_available());
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug)]
pub struct LocalBufferPool {
    global: Arc<NetworkBufferPool>,
    number: u64,
    share: Arc<Share>,
    overdraft: usize,
    used: AtomicUsize,
    congested: AtomicUsize,
}

impl LocalBufferPool {
    /// How many buffers the pool may use at present.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// assert_eq!(buffers.create_pool(0, 1, 2, 0, Arc::default())?.size(), 2);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn size(&self) -> usize {
        self.share.size.load(Ordering::Relaxed)
    }

    /// How many buffers are taken; may exceed [`size`](Self::size) by the overdraft.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let pool = NetworkBufferPool::new(1 << 20, 32 * 1024).create_pool(0, 1, 2, 0, Arc::default())?;
    /// let _permit = pool.try_acquire();
    /// assert_eq!(pool.used(), 1);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Used ÷ size; above 1 with an overdraft.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let pool = NetworkBufferPool::new(1 << 20, 32 * 1024).create_pool(0, 1, 2, 0, Arc::default())?;
    /// let _permit = pool.try_acquire();
    /// assert_eq!(pool.usage(), 0.5);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn usage(&self) -> f64 {
        self.used() as f64 / self.size().max(1) as f64
    }

    /// Bytes of one buffer.
    pub fn segment_size(&self) -> usize {
        self.global.segment_size
    }

    /// Whether a new batch may be begun: a buffer is free and no channel is congested.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let pool = NetworkBufferPool::new(1 << 20, 32 * 1024).create_pool(0, 1, 1, 0, Arc::default())?;
    /// let permit = pool.try_acquire();
    /// assert!(!pool.is_available());
    /// drop(permit);
    /// assert!(pool.is_available());
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    #[inline]
    pub fn is_available(&self) -> bool {
        self.used() < self.size() && self.congested.load(Ordering::Relaxed) == 0
    }

    /// Takes a buffer within the pool's size.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let pool = NetworkBufferPool::new(1 << 20, 32 * 1024).create_pool(0, 1, 1, 0, Arc::default())?;
    /// let permit = pool.try_acquire();
    /// assert!(permit.is_some() && pool.try_acquire().is_none());
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    #[inline]
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        self.acquire_below(self.size())
    }

    /// Takes a buffer beyond the pool's size, to finish what has been begun. The overdraft is backed by buffers
    /// that no pool uses at the moment.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let pool = NetworkBufferPool::new(1 << 20, 32 * 1024).create_pool(0, 1, 1, 1, Arc::default())?;
    /// let permits = (pool.try_acquire(), pool.try_overdraw());
    /// assert!(permits.1.is_some() && pool.try_overdraw().is_none(), "one more, not two");
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn try_overdraw(self: &Arc<Self>) -> Option<Permit> {
        let spare = self.global.total.saturating_sub(self.global.used());
        self.acquire_below(self.size() + self.overdraft.min(spare))
    }

    /// Takes a buffer whatever the limits are: for the part of a batch that cannot be split or left behind.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_network::NetworkBufferPool;
    ///
    /// let pool = NetworkBufferPool::new(1 << 20, 32 * 1024).create_pool(0, 1, 1, 0, Arc::default())?;
    /// let permits = (pool.force_acquire(), pool.force_acquire());
    /// assert_eq!((pool.used(), pool.usage()), (2, 2.0));
    /// # drop(permits);
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn force_acquire(self: &Arc<Self>) -> Permit {
        self.used.fetch_add(1, Ordering::Relaxed);
        self.global.in_use.fetch_add(1, Ordering::Relaxed);
        Permit { pool: Arc::clone(self) }
    }

    fn acquire_below(self: &Arc<Self>, limit: usize) -> Option<Permit> {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| (used < limit).then_some(used + 1))
            .ok()?;
        self.global.in_use.fetch_add(1, Ordering::Relaxed);
        Some(Permit { pool: Arc::clone(self) })
    }

    /// Notes that a channel holds as many buffers as one may.
    pub(crate) fn congest(&self) {
        self.congested.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a channel has room again.
    pub(crate) fn relieve(&self) {
        self.congested.fetch_sub(1, Ordering::Relaxed);
        self.share.waker.wake(Wake::Output);
    }
}

impl Drop for LocalBufferPool {
    fn drop(&mut self) {
        self.global.coming.fetch_add(1, Ordering::SeqCst);
        let mut pools = self.global.pools.lock();
        self.global.fixed.fetch_sub(self.share.fixed, Ordering::Relaxed);
        if pools.shares.remove(&self.number).is_some() {
            pools.required -= self.share.required;
            pools.wished -= self.share.wish();
        }
        self.global.deal(&mut pools);
    }
}

/// One buffer that is taken; dropping it gives the buffer back and wakes the pool's task.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_network::{NetworkBufferPool, TaskWaker};
///
/// let all = NetworkBufferPool::new(1 << 20, 32 * 1024);
/// let pool = all.create_pool(0, 1, 1, 0, Arc::new(TaskWaker::new()))?;
/// let permit = pool.try_acquire();
/// assert_eq!(all.used(), 1);
/// drop(permit);
/// assert_eq!(all.used(), 0);
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug)]
pub struct Permit {
    pool: Arc<LocalBufferPool>,
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.pool.global.in_use.fetch_sub(1, Ordering::Relaxed);
        self.pool.used.fetch_sub(1, Ordering::Relaxed);
        self.pool.share.waker.wake(Wake::Output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gates_and_partitions_as_flink() {
        for (n, required, total) in
            [(1, 3, 10), (4, 9, 16), (10, 21, 28), (100, 201, 208), (1000, 2001, 2008)]
        {
            let gate = GateBuffers::of(n, 2, 8, None);
            assert_eq!(gate.exclusive_per_channel * n + gate.required_floating, required, "{n}");
            assert_eq!(gate.exclusive_per_channel * n + gate.total_floating, total, "{n}");
            let partition = PartitionBuffers::of(n, 2, 8, 20, 10);
            assert_eq!((partition.required, partition.max), (n + 1, total), "{n}");
        }
        for (cap, exclusive, required, total) in [(1, 0, 1, 108), (10, 0, 10, 108), (100, 1, 50, 58)] {
            let gate = GateBuffers::of(50, 2, 8, Some(cap));
            assert_eq!(
                (gate.exclusive_per_channel, gate.required_floating, gate.total_floating),
                (exclusive, required, total)
            );
        }
    }

    #[test]
    fn a_pool_is_refused_when_its_required_buffers_are_not_there() {
        let global = NetworkBufferPool::new(10 * 1024, 1024);
        let waker = Arc::new(TaskWaker::new());
        let first = global.create_pool(2, 4, 100, 0, Arc::clone(&waker)).unwrap();
        assert_eq!(first.size(), 8);
        let error = global.create_pool(0, 5, 5, 0, Arc::clone(&waker)).unwrap_err().to_string();
        assert!(error.contains("required 5, but only 4 available of 10"), "{error}");
        assert!(error.contains("taskmanager.memory.network.fraction"), "{error}");
        let second = global.create_pool(0, 4, 4, 0, waker).unwrap();
        assert_eq!((first.size(), second.size()), (4, 4));
        drop(second);
        assert_eq!(first.size(), 8, "what a pool had goes back to the others");
    }

    #[test]
    fn overdraft_is_bounded() {
        let global = NetworkBufferPool::new(10 * 1024, 1024);
        let pool = global.create_pool(0, 2, 2, 3, Arc::new(TaskWaker::new())).unwrap();
        let mut permits: Vec<_> = std::iter::from_fn(|| pool.try_acquire()).collect();
        assert_eq!((permits.len(), pool.is_available()), (2, false));
        permits.extend(std::iter::from_fn(|| pool.try_overdraw()));
        assert_eq!(permits.len(), 5);
        permits.truncate(2);
        assert!(!pool.is_available(), "an overdraft is paid back before anything new is begun");
        permits.truncate(1);
        assert!(pool.is_available());
        permits.clear();
        assert_eq!((pool.used(), global.used()), (0, 0));
    }

    proptest! {
        #[test]
        fn surplus_is_dealt_out_whole(free in 0usize..10_000, wishes in prop::collection::vec(0usize..500, 0..40)) {
            let wishes: Vec<usize> = wishes.into_iter().map(|wish| wish.min(free)).collect();
            let dealt = surplus(free, &wishes);
            let sum: usize = wishes.iter().sum();
            prop_assert_eq!(dealt.iter().sum::<usize>(), free.min(sum));
            for (share, wish) in dealt.iter().zip(&wishes) {
                prop_assert!(share <= wish, "{} of {}", share, wish);
            }
        }
    }
}
