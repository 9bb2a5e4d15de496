//! [`RocksDbSettings`]: what the configuration says of RocksDB, with the predefined options filled in.

use std::path::PathBuf;
use std::time::Duration;

use tidemill_core::config::options::{
    self, CompactionStyle, Compression, PredefinedOptions, RocksDbLogLevel, TimerServiceFactory,
};
use tidemill_core::config::{
    AnyOption, BadValue, ConfigError, ConfigOption, Configuration, MemorySize, OptionType,
};

use crate::metrics::MetricSettings;

/// What the configuration says of RocksDB. An explicit option counts first, then the predefined options, then the default.
///
/// ```
/// use tidemill_core::config::{Configuration, Origin};
/// use tidemill_rocksdb::RocksDbSettings;
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("state.backend.rocksdb.predefined-options", "FLASH_SSD_OPTIMIZED", Origin::CommandLine);
/// assert_eq!(RocksDbSettings::of(&configuration)?.threads, 4);
/// configuration.set_raw("state.backend.rocksdb.thread.num", "3", Origin::CommandLine);
/// assert_eq!(RocksDbSettings::of(&configuration)?.threads, 3);
/// # Ok::<(), tidemill_core::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RocksDbSettings {
    /// Whether the managed memory of the slot is RocksDB's.
    pub managed: bool,
    /// Bytes for RocksDB in each slot, in place of the managed memory.
    pub fixed_per_slot: Option<u64>,
    /// Bytes for RocksDB in all slots together, where neither of the other two counts.
    pub fixed_per_tm: Option<u64>,
    /// The share of a limited memory that is a cache of values in front of RocksDB; 0 for none.
    pub cache_fraction: f64,
    /// The share of write buffers of what RocksDB has of a limited memory.
    pub write_buffer_ratio: f64,
    /// The share of the block cache that is kept for indexes and filters.
    pub high_priority_ratio: f64,
    /// Whether indexes and filters are in parts.
    pub partitioned_index_filters: bool,
    /// Bytes of a write buffer.
    pub write_buffer_size: u64,
    /// How many write buffers a state may have.
    pub write_buffer_count: u32,
    /// How many full ones are merged before they are written.
    pub write_buffers_to_merge: u32,
    /// Bytes of a block.
    pub block_size: u64,
    /// Bytes of a part of an index or filter.
    pub metadata_block_size: u64,
    /// Bytes of the block cache of a state, where the memory is not limited.
    pub block_cache_size: u64,
    /// The bits for each key of the Bloom filters of new files; `None` for no filters.
    pub bloom_bits_per_key: Option<f64>,
    /// Whether filters by block are asked for, which RocksDB has no more.
    pub bloom_block_based: bool,
    /// How files are merged.
    pub compaction_style: CompactionStyle,
    /// Whether the sizes of levels follow that of the last one.
    pub dynamic_level_size: bool,
    /// Bytes of a file in the first level.
    pub target_file_size: u64,
    /// Bytes of the first level.
    pub max_level_size: u64,
    /// How each level is compressed; the last is that of all below.
    pub compression: Vec<Compression>,
    /// Threads that write and merge files, of one RocksDB.
    pub threads: u32,
    /// Files that one RocksDB keeps open; -1 for all.
    pub open_files: i32,
    /// Where its files are; empty for the folders for temporary files.
    pub local_dirs: Vec<PathBuf>,
    /// Where timers lie.
    pub timer_service: TimerServiceFactory,
    /// How many timers are in memory for each key group, where the others are in RocksDB.
    pub timer_cache_size: u32,
    /// What it writes into its log.
    pub log_level: RocksDbLogLevel,
    /// Where its log is; `None` for beside its files.
    pub log_dir: Option<PathBuf>,
    /// Bytes of a log file.
    pub log_size: u64,
    /// How many log files are kept.
    pub log_files: u32,
    /// Entries of a compaction after which the time is looked at again.
    pub filter_query_time: u64,
    /// After which time files of a state that expires are merged anew; zero for never.
    pub filter_periodic_time: Duration,
    /// Bytes that are written at once when state is restored at another parallelism.
    pub write_batch_size: u64,
    /// The share of its key groups that a subtask must own for its files to be taken over as they are.
    pub restore_overlap: f64,
    /// Whether what is copied out of files at another parallelism becomes files.
    pub ingest: bool,
    /// Whether files of others are removed at once at another parallelism.
    pub delete_files_in_range: bool,
    /// Which figures are switched on.
    pub metrics: MetricSettings,
    /// Which of the sizes that a limited memory overrides were set explicitly, by key.
    pub(crate) explicit_sizes: Vec<&'static str>,
}

/// What a profile says, of the options that any of them says something of.
struct Profile {
    dynamic_level_size: Option<bool>,
    threads: Option<u32>,
    high_memory: bool,
}

impl Profile {
    fn of(predefined: PredefinedOptions) -> Self {
        match predefined {
            PredefinedOptions::Default => {
                Self { dynamic_level_size: None, threads: None, high_memory: false }
            }
            PredefinedOptions::SpinningDiskOptimized => {
                Self { dynamic_level_size: Some(true), threads: Some(4), high_memory: false }
            }
            PredefinedOptions::SpinningDiskOptimizedHighMem => {
                Self { dynamic_level_size: Some(true), threads: Some(4), high_memory: true }
            }
            PredefinedOptions::FlashSsdOptimized => {
                Self { dynamic_level_size: None, threads: Some(4), high_memory: false }
            }
        }
    }
}

impl RocksDbSettings {
    /// Reads the options `state.backend.rocksdb.*`.
    ///
    /// # Errors
    /// When one of them has a bad value, or two contradict each other.
    pub fn of(configuration: &Configuration) -> Result<Self, ConfigError> {
        let profile = Profile::of(configuration.get(&options::ROCKSDB_PREDEFINED)?);
        let mib = |mib: u64| profile.high_memory.then_some(mib << 20);
        let bytes = |option: &ConfigOption<MemorySize>, predefined: Option<u64>| {
            value(configuration, option, predefined.map(MemorySize::from_bytes)).map(MemorySize::bytes)
        };
        let optional = |option: &ConfigOption<MemorySize>| {
            Ok::<_, ConfigError>(configuration.get_optional(option)?.map(MemorySize::bytes))
        };
        let sizes: [&'static dyn AnyOption; 1] = [&options::ROCKSDB_BLOCK_CACHE_SIZE];
        let explicit_sizes = sizes
            .iter()
            .filter(|option| configuration.contains(**option))
            .map(|option| option.meta().key)
            .collect();
        let bloom =
            value(configuration, &options::ROCKSDB_USE_BLOOM_FILTER, profile.high_memory.then_some(true))?;
        Ok(Self {
            managed: configuration.get(&options::ROCKSDB_MEMORY_MANAGED)?,
            fixed_per_slot: optional(&options::ROCKSDB_FIXED_PER_SLOT)?,
            fixed_per_tm: optional(&options::ROCKSDB_FIXED_PER_TM)?,
            cache_fraction: configuration.get(&options::STATE_CACHE_FRACTION)?,
            write_buffer_ratio: configuration.get(&options::ROCKSDB_WRITE_BUFFER_RATIO)?,
            high_priority_ratio: high_priority_ratio(configuration)?,
            partitioned_index_filters: configuration.get(&options::ROCKSDB_PARTITIONED_INDEX_FILTERS)?,
            write_buffer_size: bytes(&options::ROCKSDB_WRITE_BUFFER_SIZE, mib(64))?,
            write_buffer_count: value(
                configuration,
                &options::ROCKSDB_WRITE_BUFFER_COUNT,
                profile.high_memory.then_some(4),
            )?,
            write_buffers_to_merge: value(
                configuration,
                &options::ROCKSDB_WRITE_BUFFERS_TO_MERGE,
                profile.high_memory.then_some(3),
            )?,
            block_size: bytes(&options::ROCKSDB_BLOCK_SIZE, profile.high_memory.then_some(128 << 10))?,
            metadata_block_size: bytes(&options::ROCKSDB_METADATA_BLOCK_SIZE, None)?,
            block_cache_size: bytes(&options::ROCKSDB_BLOCK_CACHE_SIZE, mib(256))?,
            bloom_bits_per_key: bloom
                .then(|| configuration.get(&options::ROCKSDB_BLOOM_BITS_PER_KEY))
                .transpose()?,
            bloom_block_based: configuration.get(&options::ROCKSDB_BLOOM_BLOCK_BASED)?,
            compaction_style: configuration.get(&options::ROCKSDB_COMPACTION_STYLE)?,
            dynamic_level_size: value(
                configuration,
                &options::ROCKSDB_DYNAMIC_LEVEL_SIZE,
                profile.dynamic_level_size,
            )?,
            target_file_size: bytes(&options::ROCKSDB_TARGET_FILE_SIZE, mib(256))?,
            max_level_size: bytes(&options::ROCKSDB_MAX_LEVEL_SIZE, mib(1024))?,
            compression: configuration.get(&options::ROCKSDB_COMPRESSION)?,
            threads: value(configuration, &options::ROCKSDB_THREADS, profile.threads)?,
            open_files: configuration.get(&options::ROCKSDB_OPEN_FILES)?,
            local_dirs: configuration
                .get_optional(&options::ROCKSDB_LOCAL_DIR)?
                .map(|text| options::folders(&text))
                .unwrap_or_default(),
            timer_service: configuration.get(&options::ROCKSDB_TIMER_SERVICE)?,
            timer_cache_size: configuration.get(&options::ROCKSDB_TIMER_CACHE_SIZE)?,
            log_level: configuration.get(&options::ROCKSDB_LOG_LEVEL)?,
            log_dir: configuration.get_optional(&options::ROCKSDB_LOG_DIR)?.map(PathBuf::from),
            log_size: bytes(&options::ROCKSDB_LOG_SIZE, None)?,
            log_files: configuration.get(&options::ROCKSDB_LOG_FILES)?,
            filter_query_time: configuration.get(&options::ROCKSDB_FILTER_QUERY_TIME)?.unsigned_abs(),
            filter_periodic_time: configuration.get(&options::ROCKSDB_FILTER_PERIODIC_TIME)?,
            write_batch_size: bytes(&options::ROCKSDB_WRITE_BATCH_SIZE, None)?,
            restore_overlap: configuration.get(&options::ROCKSDB_RESTORE_OVERLAP)?,
            ingest: configuration.get(&options::ROCKSDB_USE_INGEST)?,
            delete_files_in_range: configuration.get(&options::ROCKSDB_DELETE_FILES_IN_RANGE)?,
            metrics: MetricSettings::of(configuration)?,
            explicit_sizes,
        })
    }
}

/// The share of indexes and filters, which together with that of write buffers must leave room for blocks of rows.
fn high_priority_ratio(configuration: &Configuration) -> Result<f64, ConfigError> {
    let write_buffers = configuration.get(&options::ROCKSDB_WRITE_BUFFER_RATIO)?;
    let ratio = configuration.get(&options::ROCKSDB_HIGH_PRIORITY_RATIO)?;
    // As shares of the block cache, by Flink's formula.
    let of_write_buffers = 2.0 * write_buffers / (3.0 - write_buffers);
    if of_write_buffers + ratio < 1.0 {
        return Ok(ratio);
    }
    let (option, value): (&dyn AnyOption, f64) =
        match configuration.contains(&options::ROCKSDB_HIGH_PRIORITY_RATIO) {
            true => (&options::ROCKSDB_HIGH_PRIORITY_RATIO, ratio),
            false => (&options::ROCKSDB_WRITE_BUFFER_RATIO, write_buffers),
        };
    let Some((key, origin)) = configuration.origin(option) else { return Ok(ratio) };
    Err(ConfigError::InvalidValue {
        key: key.into(),
        value: value.to_string().into(),
        expected: option.type_name().into(),
        reason: BadValue::new(format!(
            "write buffers take {of_write_buffers:.2} of the block cache at write-buffer-ratio {write_buffers}, indexes and \
             filters {ratio} at high-prio-pool-ratio: lower one of them, so that there is room for blocks of rows"
        )),
        origin: origin.clone(),
    })
}

/// An explicit value, or that of the profile, or the default.
fn value<T: OptionType>(
    configuration: &Configuration,
    option: &ConfigOption<T>,
    predefined: Option<T>,
) -> Result<T, ConfigError>
where
    ConfigOption<T>: AnyOption,
{
    match predefined {
        Some(value) if !configuration.contains(option) => Ok(value),
        _ => configuration.get(option),
    }
}
