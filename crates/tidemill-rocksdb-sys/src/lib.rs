//! What Tidemill needs of RocksDB's memory that its C API does not have: a block cache a part of which is kept for indexes and
//! filters, and a limit of write buffers that is counted in it.
//!
//! This crate calls functions of its own in C++ (`memory.cc`), hence `unsafe`. A [`Memory`] owns what it points to until it is
//! dropped; what RocksDB holds of it, it counts itself.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

// Linked through it.
use rust_librocksdb_sys as _;
use rust_rocksdb::{AsRawPtr, Options};

#[repr(C)]
struct Raw([u8; 0]);

unsafe extern "C" {
    fn tidemill_memory_new(
        capacity: usize,
        shard_bits: c_int,
        high_priority: f64,
        write_buffers: usize,
    ) -> *mut Raw;
    fn tidemill_memory_free(memory: *mut Raw);
    fn tidemill_memory_limit_writes(memory: *const Raw, options: *mut c_void);
    fn tidemill_memory_cache_blocks(memory: *const Raw, options: *mut c_void) -> c_int;
    fn tidemill_memory_capacity(memory: *const Raw) -> usize;
    fn tidemill_memory_used(memory: *const Raw) -> usize;
    fn tidemill_memory_write_buffers(memory: *const Raw) -> usize;
}

/// The least bytes of a shard of the cache: a block that is larger than its shard does not stay, and the filter of a file is one
/// block of several MiB.
const SHARD: usize = 32 << 20;
/// More shards than 2 to the power of this RocksDB does not make by itself either.
const MOST_SHARD_BITS: u32 = 6;

/// Into how many shards, as a power of 2, a cache of `capacity` bytes is divided, each with a lock of its own.
fn shard_bits(capacity: usize) -> u32 {
    (capacity / SHARD).checked_ilog2().unwrap_or(0).min(MOST_SHARD_BITS)
}

/// A block cache and a limit of write buffers for any number of RocksDBs.
///
/// ```
/// use tidemill_rocksdb_sys::Memory;
///
/// let memory = Memory::new(64 << 20, 0.1, 16 << 20);
/// assert_eq!((memory.capacity(), memory.used(), memory.write_buffers_used()), (64 << 20, 0, 0));
/// ```
pub struct Memory(*mut Raw);

// SAFETY: caches and managers of write buffers are made to be shared by threads: each of their functions that is called here
// takes a lock or reads an atomic.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// A cache of `capacity` bytes, of which the share `high_priority` is for indexes and filters; write buffers, which are
    /// counted in it, are written to disk when they are more than `write_buffers` bytes. A share below 0 or above 1 counts
    /// as that.
    pub fn new(capacity: usize, high_priority: f64, write_buffers: usize) -> Self {
        let high_priority = high_priority.clamp(0.0, 1.0);
        // SAFETY: it takes any numbers, and never gives null.
        Self(unsafe {
            tidemill_memory_new(capacity, shard_bits(capacity) as c_int, high_priority, write_buffers)
        })
    }

    /// Counts the write buffers of databases that are opened with `options`.
    pub fn limit_writes(&self, options: &mut Options) {
        // SAFETY: both are alive, and nobody else uses the options meanwhile; they get a share of the limit.
        unsafe { tidemill_memory_limit_writes(self.0, options.as_raw_ptr().cast()) }
    }

    /// Has column families that are opened with `options` cache their blocks here; `false` when their tables are not of blocks.
    /// A block-based table factory that is set afterwards brings a cache of its own.
    pub fn cache_blocks(&self, options: &mut Options) -> bool {
        // SAFETY: as in `limit_writes`.
        unsafe { tidemill_memory_cache_blocks(self.0, options.as_raw_ptr().cast()) != 0 }
    }

    /// The bytes that may be used.
    pub fn capacity(&self) -> usize {
        // SAFETY: it is alive.
        unsafe { tidemill_memory_capacity(self.0) }
    }

    /// The bytes that are used.
    pub fn used(&self) -> usize {
        // SAFETY: it is alive.
        unsafe { tidemill_memory_used(self.0) }
    }

    /// The bytes of write buffers.
    pub fn write_buffers_used(&self) -> usize {
        // SAFETY: it is alive.
        unsafe { tidemill_memory_write_buffers(self.0) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it is freed once; what is still used, those who use it hold.
        unsafe { tidemill_memory_free(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::shard_bits;

    #[test]
    fn shards_have_32_mib_at_least() {
        let bits = |mib: usize| shard_bits(mib << 20);
        assert_eq!([0, 1, 63, 64, 127, 128, 1 << 10].map(bits), [0, 0, 0, 1, 1, 2, 5]);
        assert_eq!((bits(2 << 10), shard_bits(usize::MAX)), (6, 6));
    }
}
