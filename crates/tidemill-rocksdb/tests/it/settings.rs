//! Every option reaches RocksDB: its own file of options says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::config::{Configuration, Origin};
use tidemill_rocksdb::{RocksDbSettings, RocksDbStore, SlotMemory};
use tidemill_state::{NativeStore, OrderedStore, RowFate, RowFilter};

use crate::{options_file, settings};

/// What RocksDB has written down: of the database, of a state, and of its blocks.
fn opened(settings: &RocksDbSettings, memory: Option<&SlotMemory>) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksDbStore::open(folder.path().join("db"), settings, memory).unwrap();
    store.open_table("count").unwrap();
    let text = options_file(store.path());
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        }
        let of_state = section == "DBOptions" || section.contains("\"state/count\"");
        if let Some((key, value)) = line.split_once('=').filter(|_| of_state) {
            found.insert(key.to_owned(), value.to_owned());
        }
    }
    found
}

/// Sets one option, and checks what changes in RocksDB's own.
fn changes(key: &str, value: &str, own: &str, from: &str, to: &str) {
    let (before, after) = (opened(&settings(&[]), None), opened(&settings(&[(key, value)]), None));
    let of =
        |options: &BTreeMap<String, String>| options.get(own).cloned().unwrap_or_else(|| panic!("no {own}"));
    assert_eq!((of(&before).as_str(), of(&after).as_str()), (from, to), "{key}: {value} sets {own}");
}

#[test]
fn options_reach_rocksdb() {
    changes("writebuffer.size", "16 mb", "write_buffer_size", "67108864", "16777216");
    changes("writebuffer.count", "4", "max_write_buffer_number", "2", "4");
    // RocksDB merges no more than it has beside the one that is written to.
    let merged = opened(&settings(&[("writebuffer.count", "4"), ("writebuffer.number-to-merge", "3")]), None);
    assert_eq!(merged["min_write_buffer_number_to_merge"], "3");
    changes("block.blocksize", "16 kb", "block_size", "4096", "16384");
    changes("block.metadata-blocksize", "8 kb", "metadata_block_size", "4096", "8192");
    changes(
        "compaction.style",
        "universal",
        "compaction_style",
        "kCompactionStyleLevel",
        "kCompactionStyleUniversal",
    );
    changes("compaction.style", "FIFO", "compaction_style", "kCompactionStyleLevel", "kCompactionStyleFIFO");
    changes("compaction.style", "none", "disable_auto_compactions", "false", "true");
    changes(
        "compaction.level.use-dynamic-size",
        "true",
        "level_compaction_dynamic_level_bytes",
        "false",
        "true",
    );
    changes("compaction.level.target-file-size-base", "8 mb", "target_file_size_base", "67108864", "8388608");
    changes(
        "compaction.level.max-size-level-base",
        "1 gb",
        "max_bytes_for_level_base",
        "268435456",
        "1073741824",
    );
    changes("thread.num", "6", "max_background_jobs", "2", "6");
    changes("files.open", "500", "max_open_files", "-1", "500");
    changes("log.max-file-size", "1 mb", "max_log_file_size", "26214400", "1048576");
    changes("log.file-num", "9", "keep_log_file_num", "4", "9");
    changes("log.level", "WARN_LEVEL", "info_log_level", "INFO_LEVEL", "WARN_LEVEL");
    changes("use-bloom-filter", "true", "filter_policy", "nullptr", "bloomfilter");
    let snappy = ["kSnappyCompression"; 7].join(":");
    let lower = format!("kNoCompression:{}", ["kLZ4Compression"; 6].join(":"));
    changes(
        "compression.per.level",
        "NO_COMPRESSION;LZ4_COMPRESSION",
        "compression_per_level",
        &snappy,
        &lower,
    );
}

#[test]
fn a_limited_memory_holds_indexes_and_filters_too() {
    let settings = settings(&[("memory.partitioned-index-filters", "true"), ("use-bloom-filter", "true")]);
    let free = opened(&settings, None);
    assert_eq!((&*free["cache_index_and_filter_blocks"], &*free["partition_filters"]), ("false", "false"));
    let memory = SlotMemory::new(64 << 20, &settings);
    let limited = opened(&settings, Some(&memory));
    for own in [
        "cache_index_and_filter_blocks",
        "cache_index_and_filter_blocks_with_high_priority",
        "pin_l0_filter_and_index_blocks_in_cache",
        "pin_top_level_index_and_filter",
        "partition_filters",
    ] {
        assert_eq!(limited[own], "true", "{own}");
    }
    assert_eq!(limited["index_type"], "kTwoLevelIndexSearch");
}

#[test]
fn predefined_options_are_those_of_flink() {
    let of = |profile: &str| opened(&settings(&[("predefined-options", profile)]), None);
    let spinning = of("SPINNING_DISK_OPTIMIZED_HIGH_MEM");
    let expected = [
        ("write_buffer_size", "67108864"),
        ("max_write_buffer_number", "4"),
        ("min_write_buffer_number_to_merge", "3"),
        ("block_size", "131072"),
        ("level_compaction_dynamic_level_bytes", "true"),
        ("target_file_size_base", "268435456"),
        ("max_bytes_for_level_base", "1073741824"),
        ("max_background_jobs", "4"),
        ("filter_policy", "bloomfilter"),
    ];
    for (own, value) in expected {
        assert_eq!(spinning[own], value, "{own}");
    }
    // What the others change of the defaults is these alone.
    let default = opened(&settings(&[]), None);
    let changed = |profile: &str| {
        let found = of(profile);
        let changed = found.iter().filter(|(own, value)| default.get(*own) != Some(*value));
        changed.map(|(own, value)| format!("{own}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(changed("DEFAULT"), [""; 0]);
    assert_eq!(changed("FLASH_SSD_OPTIMIZED"), ["max_background_jobs=4"]);
    assert_eq!(
        changed("SPINNING_DISK_OPTIMIZED"),
        ["level_compaction_dynamic_level_bytes=true", "max_background_jobs=4"]
    );
    let high_memory = settings(&[("predefined-options", "SPINNING_DISK_OPTIMIZED_HIGH_MEM")]);
    assert_eq!(of_cache(&high_memory, None, "capacity"), (256 << 20).to_string());
    // An explicit option counts more, also where it is the default.
    for (profile, key, value, own, expected) in [
        ("FLASH_SSD_OPTIMIZED", "thread.num", "3", "max_background_jobs", "3"),
        ("SPINNING_DISK_OPTIMIZED", "thread.num", "2", "max_background_jobs", "2"),
        (
            "SPINNING_DISK_OPTIMIZED",
            "compaction.level.use-dynamic-size",
            "false",
            "level_compaction_dynamic_level_bytes",
            "false",
        ),
        ("SPINNING_DISK_OPTIMIZED_HIGH_MEM", "writebuffer.count", "2", "max_write_buffer_number", "2"),
        ("SPINNING_DISK_OPTIMIZED_HIGH_MEM", "block.blocksize", "4 kb", "block_size", "4096"),
        ("SPINNING_DISK_OPTIMIZED_HIGH_MEM", "use-bloom-filter", "false", "filter_policy", "nullptr"),
    ] {
        let both = settings(&[("predefined-options", profile), (key, value)]);
        assert_eq!(opened(&both, None)[own], expected, "{key}: {value} over {profile}");
    }
}

#[test]
fn a_log_folder_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let settings = settings(&[("log.dir", logs.to_str().unwrap())]);
    let _store = RocksDbStore::open(folder.path().join("db"), &settings, None).unwrap();
    assert!(std::fs::read_dir(&logs).unwrap().count() > 0);
}

#[test]
fn compression_that_is_not_built_in_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&[("compression.per.level", "ZLIB_COMPRESSION")]);
    let error = RocksDbStore::open(folder.path().join("db"), &settings, None).err().unwrap().to_string();
    assert!(error.contains("ZLIB_COMPRESSION is not built in"), "{error}");
}

/// RocksDB writes its block cache into its log alone, which is complete when it is closed.
fn of_cache(settings: &RocksDbSettings, memory: Option<&SlotMemory>, what: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mut settings = settings.clone();
    settings.log_dir = Some(logs.clone());
    let store = RocksDbStore::open(folder.path().join("db"), &settings, memory).unwrap();
    store.open_table("count").unwrap();
    drop(store);
    let log = std::fs::read_dir(&logs).unwrap().next().unwrap().unwrap().path();
    let log = std::fs::read_to_string(log).unwrap();
    let table = log.rsplit_once("Options for column family [state/count]").unwrap().1;
    let value = table.split_once(&format!("{what}:")).or_else(|| table.split_once(&format!("{what} :")));
    value.unwrap().1.lines().next().unwrap().trim().to_owned()
}

#[test]
fn the_block_cache_has_its_size_and_its_part_for_indexes_and_filters() {
    let own = settings(&[("block.cache-size", "16 mb")]);
    assert_eq!(of_cache(&own, None, "capacity"), (16 << 20).to_string());
    assert_eq!(of_cache(&settings(&[]), None, "capacity"), (8 << 20).to_string());
    for (ratio, found) in [("0.1", "0.100"), ("0.35", "0.350")] {
        let settings = settings(&[("memory.high-prio-pool-ratio", ratio)]);
        let memory = SlotMemory::new(64 << 20, &settings);
        assert_eq!(of_cache(&settings, Some(&memory), "high_pri_pool_ratio"), found);
        assert_eq!(of_cache(&settings, Some(&memory), "capacity"), memory.capacity().to_string());
    }
}

#[test]
fn shares_of_the_block_cache_leave_room() {
    let refused = |entries: &[(&str, &str)]| {
        let mut configuration = Configuration::new();
        for (key, value) in entries {
            configuration.set_raw(format!("state.backend.rocksdb.memory.{key}"), *value, Origin::CommandLine);
        }
        RocksDbSettings::of(&configuration).err().map(|error| error.to_string())
    };
    assert_eq!(refused(&[("high-prio-pool-ratio", "0.59")]), None);
    let error = refused(&[("high-prio-pool-ratio", "0.6")]).unwrap();
    assert!(error.contains("key 'state.backend.rocksdb.memory.high-prio-pool-ratio'"), "{error}");
    let error = refused(&[("write-buffer-ratio", "0.95")]).unwrap();
    assert!(error.contains("key 'state.backend.rocksdb.memory.write-buffer-ratio'"), "{error}");
    assert!(refused(&[("high-prio-pool-ratio", "0")]).is_some());
}

/// Of a state that expires alone: others are not merged anew because they are old.
#[test]
fn files_of_expiring_states_are_merged_anew_in_time() {
    struct All;

    impl RowFilter for All {
        fn now(&self) -> i64 {
            0
        }

        fn judge(&self, _: &[u8], _: i64, _: &mut Vec<u8>) -> RowFate {
            RowFate::Keep
        }

        fn look_again_after(&self) -> Option<u64> {
            None
        }
    }

    let periodic = |settings: &RocksDbSettings, expires: bool| {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksDbStore::open(folder.path().join("db"), settings, None).unwrap();
        if expires {
            store.set_row_filter("count", Arc::new(All)).unwrap();
        }
        store.open_table("count").unwrap();
        let text = options_file(store.path());
        let table = text.split_once("[CFOptions \"state/count\"]").unwrap().1;
        let value = table.split_once("periodic_compaction_seconds=").unwrap().1;
        value.lines().next().unwrap().to_owned()
    };
    let default = settings(&[]);
    assert_eq!((&*periodic(&default, true), &*periodic(&default, false)), ("2592000", "0"));
    let daily = settings(&[("compaction.filter.periodic-compaction-time", "1 d")]);
    assert_eq!((&*periodic(&daily, true), &*periodic(&daily, false)), ("86400", "0"));
}
