//! Figures of RocksDB that can be switched on. Names and defaults are Flink 2.3's.

use crate::config::ConfigOption;
use crate::config::option::declare_options;

declare_options! {
    /// Whether there is a gauge for each state: full write buffers that are not on disk yet.
    ROCKSDB_METRICS_NUM_IMMUTABLE_MEM_TABLE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-immutable-mem-table").default("false").job();

    /// Whether there is a gauge for each state: whether a write buffer waits to be written to disk, 1 or 0.
    ROCKSDB_METRICS_MEM_TABLE_FLUSH_PENDING: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.mem-table-flush-pending").default("false").job();

    /// Whether there is a gauge for each state: whether a compaction waits, 1 or 0.
    ROCKSDB_METRICS_COMPACTION_PENDING: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.compaction-pending").default("false").job();

    /// Whether there is a gauge for each state: how many errors RocksDB had in its background threads.
    ROCKSDB_METRICS_BACKGROUND_ERRORS: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.background-errors").default("false").job();

    /// Whether there is a gauge for each state: the bytes of the write buffer that is written to.
    ROCKSDB_METRICS_CUR_SIZE_ACTIVE_MEM_TABLE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.cur-size-active-mem-table").default("false").job();

    /// Whether there is a gauge for each state: the bytes of all write buffers that are not on disk yet.
    ROCKSDB_METRICS_CUR_SIZE_ALL_MEM_TABLES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.cur-size-all-mem-tables").default("false").job();

    /// Whether there is a gauge for each state: the bytes of all write buffers, those included that are only held by readers.
    ROCKSDB_METRICS_SIZE_ALL_MEM_TABLES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.size-all-mem-tables").default("false").job();

    /// Whether there is a gauge for each state: the entries of the write buffer that is written to.
    ROCKSDB_METRICS_NUM_ENTRIES_ACTIVE_MEM_TABLE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-entries-active-mem-table").default("false").job();

    /// Whether there is a gauge for each state: the entries of the full write buffers.
    ROCKSDB_METRICS_NUM_ENTRIES_IMM_MEM_TABLES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-entries-imm-mem-tables").default("false").job();

    /// Whether there is a gauge for each state: the removals in the write buffer that is written to.
    ROCKSDB_METRICS_NUM_DELETES_ACTIVE_MEM_TABLE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-deletes-active-mem-table").default("false").job();

    /// Whether there is a gauge for each state: the removals in the full write buffers.
    ROCKSDB_METRICS_NUM_DELETES_IMM_MEM_TABLES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-deletes-imm-mem-tables").default("false").job();

    /// Whether there is a gauge for each state: about how many keys there are.
    ROCKSDB_METRICS_ESTIMATE_NUM_KEYS: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.estimate-num-keys").default("false").job();

    /// Whether there is a gauge for each state: about how many bytes the readers of files take outside of the block cache.
    ROCKSDB_METRICS_ESTIMATE_TABLE_READERS_MEM: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.estimate-table-readers-mem").default("false").job();

    /// Whether there is a gauge for each state: how many of RocksDB's own snapshots are held.
    ROCKSDB_METRICS_NUM_SNAPSHOTS: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-snapshots").default("false").job();

    /// Whether there is a gauge for each state: how many sets of files are still in use.
    ROCKSDB_METRICS_NUM_LIVE_VERSIONS: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-live-versions").default("false").job();

    /// Whether there is a gauge for each state: about how many bytes of state there are.
    ROCKSDB_METRICS_ESTIMATE_LIVE_DATA_SIZE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.estimate-live-data-size").default("false").job();

    /// Whether there is a gauge for each state: the bytes of all files.
    ROCKSDB_METRICS_TOTAL_SST_FILES_SIZE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.total-sst-files-size").default("false").job();

    /// Whether there is a gauge for each state: the bytes of the files that are in use.
    ROCKSDB_METRICS_LIVE_SST_FILES_SIZE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.live-sst-files-size").default("false").job();

    /// Whether there is a gauge for each state: about how many bytes have to be merged until all levels have their size.
    ROCKSDB_METRICS_ESTIMATE_PENDING_COMPACTION_BYTES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.estimate-pending-compaction-bytes").default("false").job();

    /// Whether there is a gauge for each state: how many compactions run.
    ROCKSDB_METRICS_NUM_RUNNING_COMPACTIONS: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-running-compactions").default("false").job();

    /// Whether there is a gauge for each state: how many write buffers are being written to disk.
    ROCKSDB_METRICS_NUM_RUNNING_FLUSHES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-running-flushes").default("false").job();

    /// Whether there is a gauge for each state: to how many bytes a second writes are slowed down, 0 for not at all.
    ROCKSDB_METRICS_ACTUAL_DELAYED_WRITE_RATE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.actual-delayed-write-rate").default("false").job();

    /// Whether there is a gauge for each state: whether writes are stopped, 1 or 0.
    ROCKSDB_METRICS_IS_WRITE_STOPPED: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.is-write-stopped").default("false").job();

    /// Whether there is a gauge for each state: the bytes that the block cache may take.
    ROCKSDB_METRICS_BLOCK_CACHE_CAPACITY: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.block-cache-capacity").default("false").job();

    /// Whether there is a gauge for each state: the bytes that the block cache takes.
    ROCKSDB_METRICS_BLOCK_CACHE_USAGE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.block-cache-usage").default("false").job();

    /// Whether there is a gauge for each state: the bytes of the block cache that are in use right now.
    ROCKSDB_METRICS_BLOCK_CACHE_PINNED_USAGE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.block-cache-pinned-usage").default("false").job();

    /// Whether there is a gauge for each state: how many files each level has, a gauge for each of seven.
    ROCKSDB_METRICS_NUM_FILES_AT_LEVEL: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.num-files-at-level").default("false").job();

    /// Whether there is a gauge for each operator subtask: how often a block was in the cache. Has RocksDB keep statistics, at
    /// a small cost.
    ROCKSDB_METRICS_BLOCK_CACHE_HIT: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.block-cache-hit").default("false").job();

    /// Whether there is a gauge for each operator subtask: how often a block was not in the cache. Has RocksDB keep statistics,
    /// at a small cost.
    ROCKSDB_METRICS_BLOCK_CACHE_MISS: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.block-cache-miss").default("false").job();

    /// Whether there is a gauge for each operator subtask: how many reads a Bloom filter has saved. Has RocksDB keep
    /// statistics, at a small cost.
    ROCKSDB_METRICS_BLOOM_FILTER_USEFUL: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.bloom-filter-useful").default("false").job();

    /// Whether there is a gauge for each operator subtask: how often a Bloom filter has let a read through. Has RocksDB keep
    /// statistics, at a small cost.
    ROCKSDB_METRICS_BLOOM_FILTER_FULL_POSITIVE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.bloom-filter-full-positive").default("false").job();

    /// Whether there is a gauge for each operator subtask: how often a Bloom filter has let a read through rightly. Has RocksDB
    /// keep statistics, at a small cost.
    ROCKSDB_METRICS_BLOOM_FILTER_FULL_TRUE_POSITIVE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.bloom-filter-full-true-positive").default("false").job();

    /// Whether there is a gauge for each operator subtask: the bytes that reads of keys have brought. Has RocksDB keep
    /// statistics, at a small cost.
    ROCKSDB_METRICS_BYTES_READ: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.bytes-read").default("false").job();

    /// Whether there is a gauge for each operator subtask: the bytes that scans have brought. Has RocksDB keep statistics, at a
    /// small cost.
    ROCKSDB_METRICS_ITER_BYTES_READ: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.iter-bytes-read").default("false").job();

    /// Whether there is a gauge for each operator subtask: the bytes that were written. Has RocksDB keep statistics, at a small
    /// cost.
    ROCKSDB_METRICS_BYTES_WRITTEN: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.bytes-written").default("false").job();

    /// Whether there is a gauge for each operator subtask: the bytes that compactions have read. Has RocksDB keep statistics,
    /// at a small cost.
    ROCKSDB_METRICS_COMPACTION_READ_BYTES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.compaction-read-bytes").default("false").job();

    /// Whether there is a gauge for each operator subtask: the bytes that compactions have written. Has RocksDB keep
    /// statistics, at a small cost.
    ROCKSDB_METRICS_COMPACTION_WRITE_BYTES: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.compaction-write-bytes").default("false").job();

    /// Whether there is a gauge for each operator subtask: for how many microseconds writes had to wait. Has RocksDB keep
    /// statistics, at a small cost.
    ROCKSDB_METRICS_STALL_MICROS: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.stall-micros").default("false").job();

    /// Whether the name of a state is the variable `column_family` of its gauges, rather than a part of their names.
    ROCKSDB_METRICS_COLUMN_FAMILY_AS_VARIABLE: bool =
        ConfigOption::new("state.backend.rocksdb.metrics.column-family-as-variable").default("false").job();
}
