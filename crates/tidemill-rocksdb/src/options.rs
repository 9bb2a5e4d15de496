//! What RocksDB is opened with.

use rust_rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompactionStyle, DBCompressionType, LogLevel,
    MergeOperands, Options,
};
use tidemill_core::config::options::{CompactionStyle, Compression, RocksDbLogLevel};

use crate::error::RocksDbError;
use crate::memory::SlotMemory;
use crate::settings::RocksDbSettings;

/// Of how many levels RocksDB's trees have.
pub(crate) const LEVELS: usize = 7;

/// The options of a whole RocksDB. What is lost in a crash comes back from a checkpoint, so nothing is logged or forced to disk.
pub(crate) fn database(settings: &RocksDbSettings, memory: Option<&SlotMemory>, statistics: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_use_fsync(false);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_avoid_flush_during_shutdown(true);
    options.set_max_background_jobs(i32::try_from(settings.threads).unwrap_or(i32::MAX));
    options.set_max_open_files(settings.open_files);
    options.set_log_level(log_level(settings.log_level));
    options.set_max_log_file_size(usize::try_from(settings.log_size).unwrap_or(usize::MAX));
    options.set_keep_log_file_num(settings.log_files as usize);
    if let Some(folder) = &settings.log_dir {
        options.set_db_log_dir(folder);
    }
    if let Some(memory) = memory {
        memory.shared.limit_writes(&mut options);
    }
    if statistics {
        options.enable_statistics();
    }
    options
}

/// The options of one state.
///
/// # Errors
/// When a kind of compression is not built in.
pub(crate) fn column_family(
    settings: &RocksDbSettings,
    memory: Option<&SlotMemory>,
) -> Result<Options, RocksDbError> {
    let mut options = Options::default();
    options.set_write_buffer_size(usize::try_from(settings.write_buffer_size).unwrap_or(usize::MAX));
    options.set_max_write_buffer_number(i32::try_from(settings.write_buffer_count).unwrap_or(i32::MAX));
    let to_merge = i32::try_from(settings.write_buffers_to_merge).unwrap_or(i32::MAX);
    options.set_min_write_buffer_number_to_merge(to_merge);
    match settings.compaction_style {
        CompactionStyle::Level => options.set_compaction_style(DBCompactionStyle::Level),
        CompactionStyle::Universal => options.set_compaction_style(DBCompactionStyle::Universal),
        CompactionStyle::Fifo => options.set_compaction_style(DBCompactionStyle::Fifo),
        CompactionStyle::None => options.set_disable_auto_compactions(true),
    }
    options.set_level_compaction_dynamic_level_bytes(settings.dynamic_level_size);
    options.set_target_file_size_base(settings.target_file_size);
    options.set_max_bytes_for_level_base(settings.max_level_size);
    options.set_compression_per_level(&compression(&settings.compression)?);
    // RocksDB would merge old files anew every 30 days as soon as there is a filter.
    options.set_periodic_compaction_seconds(0);
    options.set_merge_operator_associative("append", append);
    options.set_block_based_table_factory(&blocks(settings, memory));
    if let Some(memory) = memory {
        memory.shared.cache_blocks(&mut options);
    }
    Ok(options)
}

fn blocks(settings: &RocksDbSettings, memory: Option<&SlotMemory>) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_size(usize::try_from(settings.block_size).unwrap_or(usize::MAX));
    blocks.set_metadata_block_size(usize::try_from(settings.metadata_block_size).unwrap_or(usize::MAX));
    match memory {
        Some(_) => {
            // They would not be within the limit otherwise.
            blocks.set_cache_index_and_filter_blocks(true);
            blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
            blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
            if settings.partitioned_index_filters {
                blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
                blocks.set_partition_filters(true);
                blocks.set_pin_top_level_index_and_filter(true);
            }
        }
        None => {
            let bytes = usize::try_from(settings.block_cache_size).unwrap_or(usize::MAX);
            blocks.set_block_cache(&Cache::new_lru_cache(bytes));
        }
    }
    if let Some(bits) = settings.bloom_bits_per_key {
        blocks.set_bloom_filter(bits, false);
    }
    blocks
}

/// One for each level: the last one said is that of all below.
fn compression(levels: &[Compression]) -> Result<Vec<DBCompressionType>, RocksDbError> {
    let levels = levels.iter().map(|level| match level {
        Compression::None => Ok(DBCompressionType::None),
        Compression::Snappy => Ok(DBCompressionType::Snappy),
        Compression::Lz4 => Ok(DBCompressionType::Lz4),
        Compression::Lz4hc => Ok(DBCompressionType::Lz4hc),
        Compression::Zstd => Ok(DBCompressionType::Zstd),
        other => Err(RocksDbError::Compression(other.as_str())),
    });
    let mut levels = levels.collect::<Result<Vec<_>, _>>()?;
    let last = levels.last().copied().unwrap_or(DBCompressionType::Snappy);
    levels.resize(LEVELS.max(levels.len()), last);
    Ok(levels)
}

fn log_level(level: RocksDbLogLevel) -> LogLevel {
    match level {
        RocksDbLogLevel::Debug => LogLevel::Debug,
        RocksDbLogLevel::Info => LogLevel::Info,
        RocksDbLogLevel::Warn => LogLevel::Warn,
        RocksDbLogLevel::Error => LogLevel::Error,
        RocksDbLogLevel::Fatal => LogLevel::Fatal,
        RocksDbLogLevel::Header => LogLevel::Header,
    }
}

/// What a blind append means: the bytes one after the other.
fn append(_: &[u8], existing: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let before = existing.unwrap_or_default();
    let mut value = Vec::with_capacity(before.len() + operands.iter().map(<[u8]>::len).sum::<usize>());
    value.extend_from_slice(before);
    operands.iter().for_each(|operand| value.extend_from_slice(operand));
    Some(value)
}
