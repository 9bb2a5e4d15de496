//! [`SlotMemory`]: one block cache and one limit of write buffers for all RocksDBs of a slot.

use std::sync::Arc;

use tidemill_rocksdb_sys::Memory;
use tidemill_state::StateCache;

use crate::settings::RocksDbSettings;

/// How a limited memory of `total` bytes is divided.
///
/// Write buffers may exceed their limit by half of it before RocksDB makes them be written, and they are counted in the block
/// cache as well. So the cache and half of the limit together are the total. The formula is Flink's
/// (`RocksDBMemoryControllerUtils`).
///
/// ```
/// use tidemill_rocksdb::MemorySplit;
///
/// let split = MemorySplit::of(256 << 20, 0.5);
/// assert_eq!((split.cache, split.write_buffers), (223_696_213, 89_478_485));
/// assert_eq!(split.mutable_write_buffers(), 78_293_674);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySplit {
    /// Bytes of the block cache, in which write buffers are counted.
    pub cache: u64,
    /// Bytes that write buffers may take.
    pub write_buffers: u64,
}

impl MemorySplit {
    /// Divides `total` bytes, of which write buffers may have the share `write_buffer_ratio`.
    pub fn of(total: u64, write_buffer_ratio: f64) -> Self {
        let total = total as f64;
        Self {
            cache: ((3.0 - write_buffer_ratio) * total / 3.0) as u64,
            write_buffers: (2.0 * total * write_buffer_ratio / 3.0) as u64,
        }
    }

    /// The bytes of write buffers that are still written to at which RocksDB begins to write them to disk.
    pub fn mutable_write_buffers(self) -> u64 {
        self.write_buffers / 8 * 7 + self.write_buffers % 8 * 7 / 8
    }
}

/// The memory that all RocksDBs of a slot share; each also holds on to it.
#[derive(Clone)]
pub struct SlotMemory {
    pub(crate) shared: Arc<Memory>,
    values: Option<StateCache>,
    split: MemorySplit,
}

impl SlotMemory {
    /// Divides `total` bytes as `settings` say: [the cache of values](Self::values) gets its share first, and Flink's formula
    /// divides what is left.
    ///
    /// ```
    /// use tidemill_core::config::Configuration;
    /// use tidemill_rocksdb::{RocksDbSettings, SlotMemory};
    ///
    /// let mut settings = RocksDbSettings::of(&Configuration::new())?;
    /// settings.cache_fraction = 0.0;
    /// let memory = SlotMemory::new(256 << 20, &settings);
    /// assert_eq!((memory.capacity(), memory.used()), (223_696_213, 0));
    /// settings.cache_fraction = 0.5;
    /// let memory = SlotMemory::new(512 << 20, &settings);
    /// assert_eq!((memory.capacity(), memory.used()), (223_696_213, 0));
    /// assert_eq!(memory.values().map(|values| values.limit()), Some(256 << 20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(total: u64, settings: &RocksDbSettings) -> Self {
        let values = (total as f64 * settings.cache_fraction) as u64;
        let split = MemorySplit::of(total - values, settings.write_buffer_ratio);
        let values = usize::try_from(values).unwrap_or(usize::MAX);
        let values = (values > 0).then(|| StateCache::new(values));
        let cache = usize::try_from(split.cache).unwrap_or(usize::MAX);
        let limit = usize::try_from(split.write_buffers).unwrap_or(usize::MAX);
        let shared = Arc::new(Memory::new(cache, settings.high_priority_ratio, limit));
        Self { shared, values, split }
    }

    /// The cache of values in front of RocksDB, if there is one.
    pub fn values(&self) -> Option<&StateCache> {
        self.values.as_ref()
    }

    /// How that part of it is divided that RocksDB has.
    pub fn split(&self) -> MemorySplit {
        self.split
    }

    /// The bytes that the block cache may take, write buffers included.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }

    /// The bytes that blocks and write buffers take now.
    pub fn used(&self) -> usize {
        self.shared.used()
    }

    /// The bytes that write buffers take now.
    pub fn write_buffers_used(&self) -> usize {
        self.shared.write_buffers_used()
    }

    /// What in `settings` has no effect, or a bad one, within this memory: sentences for the log.
    pub fn warnings(&self, settings: &RocksDbSettings) -> Vec<String> {
        let mut warnings = Vec::new();
        for key in &settings.explicit_sizes {
            warnings.push(format!(
                "{key} has no effect: all states of a slot share a block cache of {} bytes. To make it larger, raise \
                 taskmanager.memory.managed.size, or lower state.backend.rocksdb.memory.write-buffer-ratio",
                self.split.cache
            ));
        }
        // RocksDB takes memory for a write buffer in blocks of an eighth of it.
        let block = (settings.write_buffer_size / 8).next_multiple_of(4096);
        let limit = self.split.mutable_write_buffers();
        if block > limit {
            warnings.push(format!(
                "a block of a write buffer ({block} bytes, an eighth of state.backend.rocksdb.writebuffer.size) is larger than \
                 what all write buffers of the slot may take ({limit} bytes): every write would be followed by one to disk. \
                 Lower state.backend.rocksdb.writebuffer.size, or raise taskmanager.memory.managed.size"
            ));
        } else if settings.write_buffer_size.saturating_mul(u64::from(settings.write_buffer_count)) > limit {
            warnings.push(format!(
                "{} write buffers of {} bytes for each state do not fit into the {limit} bytes for all write buffers of a slot: \
                 they are written to disk earlier. To make room, raise taskmanager.memory.managed.size or \
                 state.backend.rocksdb.memory.write-buffer-ratio",
                settings.write_buffer_count, settings.write_buffer_size
            ));
        }
        warnings
    }
}
