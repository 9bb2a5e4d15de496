//! [`MetricSettings`] and [`RocksDbMetrics`]: the figures of RocksDB that are switched on, for whoever shows them.

use std::sync::{Arc, OnceLock, Weak};

use rust_rocksdb::statistics::Ticker;
use tidemill_core::config::options as keys;
use tidemill_core::config::{ConfigError, ConfigOption, Configuration};
use tidemill_state::{NativeMetric, NativeMetrics};

use crate::database::Opened;
use crate::options::LEVELS;

/// Figures of one state: the option, and the name, which is that of a property of RocksDB.
const PROPERTIES: [(&ConfigOption<bool>, &str); 26] = [
    (&keys::ROCKSDB_METRICS_NUM_IMMUTABLE_MEM_TABLE, "rocksdb.num-immutable-mem-table"),
    (&keys::ROCKSDB_METRICS_MEM_TABLE_FLUSH_PENDING, "rocksdb.mem-table-flush-pending"),
    (&keys::ROCKSDB_METRICS_COMPACTION_PENDING, "rocksdb.compaction-pending"),
    (&keys::ROCKSDB_METRICS_BACKGROUND_ERRORS, "rocksdb.background-errors"),
    (&keys::ROCKSDB_METRICS_CUR_SIZE_ACTIVE_MEM_TABLE, "rocksdb.cur-size-active-mem-table"),
    (&keys::ROCKSDB_METRICS_CUR_SIZE_ALL_MEM_TABLES, "rocksdb.cur-size-all-mem-tables"),
    (&keys::ROCKSDB_METRICS_SIZE_ALL_MEM_TABLES, "rocksdb.size-all-mem-tables"),
    (&keys::ROCKSDB_METRICS_NUM_ENTRIES_ACTIVE_MEM_TABLE, "rocksdb.num-entries-active-mem-table"),
    (&keys::ROCKSDB_METRICS_NUM_ENTRIES_IMM_MEM_TABLES, "rocksdb.num-entries-imm-mem-tables"),
    (&keys::ROCKSDB_METRICS_NUM_DELETES_ACTIVE_MEM_TABLE, "rocksdb.num-deletes-active-mem-table"),
    (&keys::ROCKSDB_METRICS_NUM_DELETES_IMM_MEM_TABLES, "rocksdb.num-deletes-imm-mem-tables"),
    (&keys::ROCKSDB_METRICS_ESTIMATE_NUM_KEYS, "rocksdb.estimate-num-keys"),
    (&keys::ROCKSDB_METRICS_ESTIMATE_TABLE_READERS_MEM, "rocksdb.estimate-table-readers-mem"),
    (&keys::ROCKSDB_METRICS_NUM_SNAPSHOTS, "rocksdb.num-snapshots"),
    (&keys::ROCKSDB_METRICS_NUM_LIVE_VERSIONS, "rocksdb.num-live-versions"),
    (&keys::ROCKSDB_METRICS_ESTIMATE_LIVE_DATA_SIZE, "rocksdb.estimate-live-data-size"),
    (&keys::ROCKSDB_METRICS_TOTAL_SST_FILES_SIZE, "rocksdb.total-sst-files-size"),
    (&keys::ROCKSDB_METRICS_LIVE_SST_FILES_SIZE, "rocksdb.live-sst-files-size"),
    (&keys::ROCKSDB_METRICS_ESTIMATE_PENDING_COMPACTION_BYTES, "rocksdb.estimate-pending-compaction-bytes"),
    (&keys::ROCKSDB_METRICS_NUM_RUNNING_COMPACTIONS, "rocksdb.num-running-compactions"),
    (&keys::ROCKSDB_METRICS_NUM_RUNNING_FLUSHES, "rocksdb.num-running-flushes"),
    (&keys::ROCKSDB_METRICS_ACTUAL_DELAYED_WRITE_RATE, "rocksdb.actual-delayed-write-rate"),
    (&keys::ROCKSDB_METRICS_IS_WRITE_STOPPED, "rocksdb.is-write-stopped"),
    (&keys::ROCKSDB_METRICS_BLOCK_CACHE_CAPACITY, "rocksdb.block-cache-capacity"),
    (&keys::ROCKSDB_METRICS_BLOCK_CACHE_USAGE, "rocksdb.block-cache-usage"),
    (&keys::ROCKSDB_METRICS_BLOCK_CACHE_PINNED_USAGE, "rocksdb.block-cache-pinned-usage"),
];

/// Figures of a whole RocksDB, of which it keeps statistics: the option, the name as in Flink, the statistic.
const TICKERS: [(&ConfigOption<bool>, &str, Ticker); 11] = [
    (&keys::ROCKSDB_METRICS_BLOCK_CACHE_HIT, "rocksdb.block_cache_hit", Ticker::BlockCacheHit),
    (&keys::ROCKSDB_METRICS_BLOCK_CACHE_MISS, "rocksdb.block_cache_miss", Ticker::BlockCacheMiss),
    (&keys::ROCKSDB_METRICS_BLOOM_FILTER_USEFUL, "rocksdb.bloom_filter_useful", Ticker::BloomFilterUseful),
    (
        &keys::ROCKSDB_METRICS_BLOOM_FILTER_FULL_POSITIVE,
        "rocksdb.bloom_filter_full_positive",
        Ticker::BloomFilterFullPositive,
    ),
    (
        &keys::ROCKSDB_METRICS_BLOOM_FILTER_FULL_TRUE_POSITIVE,
        "rocksdb.bloom_filter_full_true_positive",
        Ticker::BloomFilterFullTruePositive,
    ),
    (&keys::ROCKSDB_METRICS_BYTES_READ, "rocksdb.bytes_read", Ticker::BytesRead),
    (&keys::ROCKSDB_METRICS_ITER_BYTES_READ, "rocksdb.iter_bytes_read", Ticker::IterBytesRead),
    (&keys::ROCKSDB_METRICS_BYTES_WRITTEN, "rocksdb.bytes_written", Ticker::BytesWritten),
    (&keys::ROCKSDB_METRICS_COMPACTION_READ_BYTES, "rocksdb.compact_read_bytes", Ticker::CompactReadBytes),
    (&keys::ROCKSDB_METRICS_COMPACTION_WRITE_BYTES, "rocksdb.compact_write_bytes", Ticker::CompactWriteBytes),
    (&keys::ROCKSDB_METRICS_STALL_MICROS, "rocksdb.stall_micros", Ticker::StallMicros),
];

/// Which figures are switched on.
///
/// ```
/// use tidemill_core::config::{Configuration, Origin};
/// use tidemill_rocksdb::MetricSettings;
///
/// let mut configuration = Configuration::new();
/// assert!(!MetricSettings::of(&configuration)?.any());
/// configuration.set_raw("state.backend.rocksdb.metrics.block-cache-hit", "true", Origin::CommandLine);
/// let hits = MetricSettings::of(&configuration)?;
/// assert!(hits.any() && hits.needs_statistics());
/// # Ok::<(), tidemill_core::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricSettings {
    /// Those of each state.
    properties: Vec<&'static str>,
    /// Those of a whole RocksDB.
    tickers: Vec<(&'static str, Ticker)>,
    /// The one of each level of each state.
    levels: Vec<String>,
    state_as_variable: bool,
}

impl MetricSettings {
    /// Reads the options `state.backend.rocksdb.metrics.*`.
    ///
    /// # Errors
    /// When one of them has a bad value.
    pub fn of(configuration: &Configuration) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for (option, name) in PROPERTIES {
            if configuration.get(option)? {
                settings.properties.push(name);
            }
        }
        for (option, name, ticker) in TICKERS {
            if configuration.get(option)? {
                settings.tickers.push((name, ticker));
            }
        }
        if configuration.get(&keys::ROCKSDB_METRICS_NUM_FILES_AT_LEVEL)? {
            settings.levels = (0..LEVELS).map(|level| format!("rocksdb.num-files-at-level{level}")).collect();
        }
        settings.state_as_variable = configuration.get(&keys::ROCKSDB_METRICS_COLUMN_FAMILY_AS_VARIABLE)?;
        Ok(settings)
    }

    /// Whether any figure is switched on.
    pub fn any(&self) -> bool {
        !(self.properties.is_empty() && self.tickers.is_empty() && self.levels.is_empty())
    }

    /// Whether RocksDB has to keep statistics for them.
    pub fn needs_statistics(&self) -> bool {
        !self.tickers.is_empty()
    }
}

/// The figures of one RocksDB.
pub(crate) struct RocksDbMetrics {
    /// Empty until a table is opened.
    opened: Weak<OnceLock<Arc<Opened>>>,
    settings: MetricSettings,
}

impl RocksDbMetrics {
    pub(crate) fn new(opened: Weak<OnceLock<Arc<Opened>>>, settings: MetricSettings) -> Self {
        Self { opened, settings }
    }
}

impl NativeMetrics for RocksDbMetrics {
    fn state_as_variable(&self) -> bool {
        self.settings.state_as_variable
    }

    fn read(&self, report: &mut dyn FnMut(NativeMetric<'_>)) {
        let Some(opened) = self.opened.upgrade().and_then(|store| store.get().cloned()) else { return };
        for (name, ticker) in &self.settings.tickers {
            report(NativeMetric { state: None, name, value: opened.options.get_ticker_count(*ticker) });
        }
        for (state, family) in opened.families_of_states() {
            let Some(family) = opened.db.cf_handle(&family) else { continue };
            for name in self
                .settings
                .properties
                .iter()
                .copied()
                .chain(self.settings.levels.iter().map(String::as_str))
            {
                // A figure that RocksDB does not give is better absent than wrong.
                if let Ok(Some(value)) = opened.db.property_int_value_cf(&family, name) {
                    report(NativeMetric { state: Some(&state), name, value });
                }
            }
        }
    }
}
