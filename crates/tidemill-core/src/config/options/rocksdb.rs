//! Keyed state in RocksDB. Names, types and defaults are Flink 2.3's.

use std::time::Duration;

use super::checks::{AT_LEAST_ONE, at_least_one, fraction, open_share, positive};
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;
use crate::config::{ConfigOption, MemorySize};

config_enum! {
    /// How RocksDB merges its files.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::CompactionStyle;
    ///
    /// assert_eq!(CompactionStyle::parse("universal"), Ok(CompactionStyle::Universal));
    /// ```
    CompactionStyle {
        /// In levels, each ten times as large as the one above: few bytes on disk, quick reads.
        Level = "LEVEL",
        /// In sorted runs: fewer writes, more bytes on disk.
        Universal = "UNIVERSAL",
        /// Not at all; the oldest files are dropped when there are too many bytes.
        Fifo = "FIFO",
        /// Not at all.
        None = "NONE",
    }
}

config_enum! {
    /// How blocks are compressed on disk.
    ///
    /// ```
    /// use tidemill_core::config::options::Compression;
    ///
    /// assert_eq!(Compression::Snappy.as_str(), "SNAPPY_COMPRESSION");
    /// ```
    Compression {
        /// Not at all.
        None = "NO_COMPRESSION",
        /// By Snappy.
        Snappy = "SNAPPY_COMPRESSION",
        /// By zlib.
        Zlib = "ZLIB_COMPRESSION",
        /// By bzip2.
        Bzip2 = "BZLIB2_COMPRESSION",
        /// By LZ4.
        Lz4 = "LZ4_COMPRESSION",
        /// By LZ4, slower and smaller.
        Lz4hc = "LZ4HC_COMPRESSION",
        /// By a library of Windows.
        Xpress = "XPRESS_COMPRESSION",
        /// By Zstandard.
        Zstd = "ZSTD_COMPRESSION",
        /// As RocksDB's default says.
        Disabled = "DISABLE_COMPRESSION_OPTION",
    }
}

config_enum! {
    /// Where timers lie when keyed state is in RocksDB.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::TimerServiceFactory;
    ///
    /// assert_eq!(TimerServiceFactory::parse("heap"), Ok(TimerServiceFactory::Heap));
    /// ```
    TimerServiceFactory {
        /// In memory, counted against the task heap.
        Heap = "HEAP",
        /// The earliest in memory, and those that are too many in RocksDB.
        RocksDb = "ROCKSDB",
    }
}

config_enum! {
    /// Settings of RocksDB for a kind of disk, which explicit options override.
    ///
    /// ```
    /// use tidemill_core::config::options::PredefinedOptions;
    ///
    /// assert_eq!(PredefinedOptions::ALL.len(), 4);
    /// ```
    PredefinedOptions {
        /// The defaults.
        Default = "DEFAULT",
        /// For disks that have to seek.
        SpinningDiskOptimized = "SPINNING_DISK_OPTIMIZED",
        /// For disks that have to seek, with much memory.
        SpinningDiskOptimizedHighMem = "SPINNING_DISK_OPTIMIZED_HIGH_MEM",
        /// For solid-state disks.
        FlashSsdOptimized = "FLASH_SSD_OPTIMIZED",
    }
}

config_enum! {
    /// What RocksDB writes into its own log.
    ///
    /// ```
    /// use tidemill_core::config::options::RocksDbLogLevel;
    ///
    /// assert_eq!(RocksDbLogLevel::Info.as_str(), "INFO_LEVEL");
    /// ```
    RocksDbLogLevel {
        /// Everything.
        Debug = "DEBUG_LEVEL",
        /// Also what it does.
        Info = "INFO_LEVEL",
        /// Also what should be looked at.
        Warn = "WARN_LEVEL",
        /// What failed.
        Error = "ERROR_LEVEL",
        /// What makes it fail for good.
        Fatal = "FATAL_LEVEL",
        /// Its options only.
        Header = "HEADER_LEVEL",
    }
}

declare_options! {
    /// Whether RocksDB takes its memory from the managed memory of the slot: one block cache and one limit of write buffers for
    /// all states in it.
    ROCKSDB_MEMORY_MANAGED: bool = ConfigOption::new("state.backend.rocksdb.memory.managed").default("true").job();

    /// A fixed memory for RocksDB in each slot, beside the managed memory, in place of it.
    ROCKSDB_FIXED_PER_SLOT: MemorySize = ConfigOption::new("state.backend.rocksdb.memory.fixed-per-slot").job();

    /// A fixed memory for RocksDB that all slots share; counts when neither the managed nor a fixed memory per slot does.
    ROCKSDB_FIXED_PER_TM: MemorySize = ConfigOption::new("state.backend.rocksdb.memory.fixed-per-tm");

    /// The share of the memory of a slot that write buffers may take.
    ROCKSDB_WRITE_BUFFER_RATIO: f64 =
        ConfigOption::new("state.backend.rocksdb.memory.write-buffer-ratio").default("0.5").job().check(open_share);

    /// The share of the block cache that is kept for indexes and filters, so that blocks of rows do not push them out; with a
    /// limited memory only.
    ROCKSDB_HIGH_PRIORITY_RATIO: f64 =
        ConfigOption::new("state.backend.rocksdb.memory.high-prio-pool-ratio").default("0.1").job().check(open_share);

    /// Whether indexes and filters are in parts, of which only the needed ones are in memory; with a limited memory only.
    ROCKSDB_PARTITIONED_INDEX_FILTERS: bool =
        ConfigOption::new("state.backend.rocksdb.memory.partitioned-index-filters").default("false").job();

    /// The size of one write buffer of a state.
    ROCKSDB_WRITE_BUFFER_SIZE: MemorySize =
        ConfigOption::new("state.backend.rocksdb.writebuffer.size").default("64 mb").job();

    /// How many write buffers a state may have, the one written to included.
    ROCKSDB_WRITE_BUFFER_COUNT: u32 =
        ConfigOption::new("state.backend.rocksdb.writebuffer.count").default("2").job().check(at_least_one).expected(AT_LEAST_ONE);

    /// How many full write buffers are merged before they are written to disk.
    ROCKSDB_WRITE_BUFFERS_TO_MERGE: u32 = ConfigOption::new("state.backend.rocksdb.writebuffer.number-to-merge")
        .default("1")
        .job()
        .check(at_least_one)
        .expected(AT_LEAST_ONE);

    /// The size of a block before it is compressed: what one read from disk brings.
    ROCKSDB_BLOCK_SIZE: MemorySize =
        ConfigOption::new("state.backend.rocksdb.block.blocksize").default("4 kb").job();

    /// The size of a part of an index or filter.
    ROCKSDB_METADATA_BLOCK_SIZE: MemorySize =
        ConfigOption::new("state.backend.rocksdb.block.metadata-blocksize").default("4 kb").job();

    /// The block cache of one state; without effect where the memory of a slot is limited.
    ROCKSDB_BLOCK_CACHE_SIZE: MemorySize =
        ConfigOption::new("state.backend.rocksdb.block.cache-size").default("8 mb").job();

    /// Whether new files have a Bloom filter, which saves looking for keys that are not there.
    ROCKSDB_USE_BLOOM_FILTER: bool = ConfigOption::new("state.backend.rocksdb.use-bloom-filter").default("false").job();

    /// The bits that a Bloom filter has for each key: 10 let one of a hundred absent keys through.
    ROCKSDB_BLOOM_BITS_PER_KEY: f64 =
        ConfigOption::new("state.backend.rocksdb.bloom-filter.bits-per-key").default("10.0").job();

    /// Accepted for older configurations: RocksDB has no filters by block any more, and makes one for each file.
    ROCKSDB_BLOOM_BLOCK_BASED: bool =
        ConfigOption::new("state.backend.rocksdb.bloom-filter.block-based-mode").default("false").job();

    /// How files are merged.
    ROCKSDB_COMPACTION_STYLE: CompactionStyle =
        ConfigOption::new("state.backend.rocksdb.compaction.style").default("LEVEL").job();

    /// Whether the sizes of levels follow that of the last one.
    ROCKSDB_DYNAMIC_LEVEL_SIZE: bool =
        ConfigOption::new("state.backend.rocksdb.compaction.level.use-dynamic-size").default("false").job();

    /// The size of a file in the first level.
    ROCKSDB_TARGET_FILE_SIZE: MemorySize =
        ConfigOption::new("state.backend.rocksdb.compaction.level.target-file-size-base").default("64 mb").job();

    /// The size of the first level.
    ROCKSDB_MAX_LEVEL_SIZE: MemorySize =
        ConfigOption::new("state.backend.rocksdb.compaction.level.max-size-level-base").default("256 mb").job();

    /// How each level is compressed; the last word is that of all levels below.
    ROCKSDB_COMPRESSION: Vec<Compression> =
        ConfigOption::new("state.backend.rocksdb.compression.per.level").default("SNAPPY_COMPRESSION").job();

    /// After how many entries of a compaction the time is looked at again, to find out which have expired.
    ROCKSDB_FILTER_QUERY_TIME: i64 =
        ConfigOption::new("state.backend.rocksdb.compaction.filter.query-time-after-num-entries").default("1000").job().check(positive);

    /// After which time files of a state that expires are merged anew, so that what has expired goes; 0 for never.
    ROCKSDB_FILTER_PERIODIC_TIME: Duration =
        ConfigOption::new("state.backend.rocksdb.compaction.filter.periodic-compaction-time").default("30 d").job();

    /// The bytes that are written at once when state is restored at another parallelism.
    ROCKSDB_WRITE_BATCH_SIZE: MemorySize =
        ConfigOption::new("state.backend.rocksdb.write-batch-size").default("2 mb").job();

    /// At another parallelism: the share of its key groups that a subtask must still own for its files to be taken over as they
    /// are, and cut; otherwise what is owned is copied out of them.
    ROCKSDB_RESTORE_OVERLAP: f64 = ConfigOption::new("state.backend.rocksdb.restore-overlap-fraction-threshold")
        .default("0.0")
        .job()
        .check(fraction);

    /// At another parallelism: whether what is copied out of the files of other subtasks becomes files that are taken in as they
    /// are, rather than being written row by row.
    ROCKSDB_USE_INGEST: bool =
        ConfigOption::new("state.backend.rocksdb.use-ingest-db-restore-mode").default("false").job();

    /// At another parallelism: whether files with key groups of others alone are removed at once, rather than by compactions.
    ROCKSDB_DELETE_FILES_IN_RANGE: bool =
        ConfigOption::new("state.backend.rocksdb.rescaling.use-delete-files-in-range").default("false").job();

    /// How many threads of one RocksDB write buffers to disk and merge files.
    ROCKSDB_THREADS: u32 =
        ConfigOption::new("state.backend.rocksdb.thread.num").default("2").job().check(at_least_one).expected(AT_LEAST_ONE);

    /// How many files one RocksDB keeps open; `-1` for all.
    ROCKSDB_OPEN_FILES: i32 = ConfigOption::new("state.backend.rocksdb.files.open").default("-1").job();

    /// Folders for RocksDB's files, separated by commas or colons; one for each disk spreads the load.
    ROCKSDB_LOCAL_DIR: String = ConfigOption::new("state.backend.rocksdb.localdir").job();

    /// Where timers lie when keyed state is in RocksDB.
    ROCKSDB_TIMER_SERVICE: TimerServiceFactory =
        ConfigOption::new("state.backend.rocksdb.timer-service.factory").default("ROCKSDB").job();

    /// With timers in RocksDB: how many there are in memory of each operator and time domain, for each key group of a subtask,
    /// but at least 65536 for each subtask. The earliest are; when they have fired the next ones are read, half as many at once.
    ROCKSDB_TIMER_CACHE_SIZE: u32 =
        ConfigOption::new("state.backend.rocksdb.timer-service.cache-size").default("128").job().check(at_least_one).expected(AT_LEAST_ONE);

    /// Settings for a kind of disk, which the options above override.
    ROCKSDB_PREDEFINED: PredefinedOptions =
        ConfigOption::new("state.backend.rocksdb.predefined-options").default("DEFAULT").job();

    /// What RocksDB writes into its own log.
    ROCKSDB_LOG_LEVEL: RocksDbLogLevel = ConfigOption::new("state.backend.rocksdb.log.level").default("INFO_LEVEL").job();

    /// The folder of RocksDB's own log; by default that of its files.
    ROCKSDB_LOG_DIR: String = ConfigOption::new("state.backend.rocksdb.log.dir").job();

    /// The size at which RocksDB begins another log file.
    ROCKSDB_LOG_SIZE: MemorySize = ConfigOption::new("state.backend.rocksdb.log.max-file-size").default("25 mb").job();

    /// How many log files RocksDB keeps.
    ROCKSDB_LOG_FILES: u32 =
        ConfigOption::new("state.backend.rocksdb.log.file-num").default("4").job().check(at_least_one).expected(AT_LEAST_ONE);
}
