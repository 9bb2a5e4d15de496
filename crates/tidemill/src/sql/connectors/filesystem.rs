//! Files.

use std::sync::Arc;

use tidemill_connectors::{
    ColumnsBeside, CommitTrigger, FileMetadata, FileSink, FileSource, PartitionCommit, PartitionTime,
    Partitions, RollingPolicy,
};
use tidemill_core::config::{MemorySize, OptionType};
use tidemill_sql::connector::{
    ConnectorOption, MetadataKey, SinkChanges, SinkRequest, SourceRequest, TableFactory, TableOptions,
    TableSink, TableSource,
};
use tidemill_sql::lookup::{CACHE, FULL_CACHE};
use tidemill_sql::{SqlError, SqlResult};

use super::{formats, is_true, of_table, optional, required};

/// Files.
pub(super) struct Filesystem;

const OWN: [ConnectorOption; 27] = [
    required("path", "the file or folder"),
    required("format", "csv, json, avro, parquet or raw"),
    optional("partition.default-name", "the folder of NULL and empty text (__DEFAULT_PARTITION__)"),
    optional("scan.parallelism", "how many subtasks read"),
    optional("source.monitor-interval", "how often new files are looked for; the source does not end then"),
    optional("source.path.regex-pattern", "what the whole paths of files must match"),
    optional("sink.parallelism", "how many subtasks write"),
    optional("sink.single-file", "the path is one file, written by one subtask, instead of a folder"),
    optional("sink.shuffle-by-partition.enable", "each partition is written by one subtask (false)"),
    optional("sink.rolling-policy.file-size", "how large a file becomes (128mb)"),
    optional("sink.rolling-policy.rollover-interval", "how long a file is written to (30 min)"),
    optional(
        "sink.rolling-policy.inactivity-interval",
        "after how long without a row a file is closed (30 min)",
    ),
    optional("sink.rolling-policy.check-interval", "how often that is looked at; here it is when it is due"),
    optional("sink.partition-commit.trigger", "process-time or partition-time (process-time)"),
    optional("sink.partition-commit.delay", "how long after that a partition is complete (0 s)"),
    optional("sink.partition-commit.watermark-time-zone", "the zone of the times of partitions (UTC)"),
    optional("sink.partition-commit.policy.kind", "success-file: how complete partitions are announced"),
    optional("sink.partition-commit.success-file.name", "the name of that file (_SUCCESS)"),
    optional("sink.partition-commit.policy.class", "not supported"),
    optional("sink.partition-commit.policy.class.parameters", "not supported"),
    optional("partition.time-extractor.kind", "default: the time of a partition follows from its values"),
    optional("partition.time-extractor.class", "not supported"),
    optional("partition.time-extractor.timestamp-pattern", "how it follows, such as '$dt $hour:00:00'"),
    optional("partition.time-extractor.timestamp-formatter", "not supported: it is yyyy-MM-dd HH:mm:ss"),
    optional("auto-compaction", "files are merged: not supported, only false"),
    optional("compaction.file-size", "not supported"),
    optional("compaction.parallelism", "not supported"),
];

const FILESYSTEM: [ConnectorOption; OWN.len() + 1 + FULL_CACHE.len() + formats::OPTIONS.len()] = {
    const BEFORE_FORMATS: usize = OWN.len() + 1 + FULL_CACHE.len();
    let mut all = [CACHE; BEFORE_FORMATS + formats::OPTIONS.len()];
    let mut index = 0;
    while index < all.len() {
        if index < OWN.len() {
            all[index] = OWN[index];
        } else if index >= BEFORE_FORMATS {
            all[index] = formats::OPTIONS[index - BEFORE_FORMATS];
        } else if index > OWN.len() {
            all[index] = FULL_CACHE[index - OWN.len() - 1];
        }
        index += 1;
    }
    all
};

const METADATA: [MetadataKey; 4] = [
    MetadataKey { key: FileMetadata::Path.key(), data_type: "STRING" },
    MetadataKey { key: FileMetadata::Name.key(), data_type: "STRING" },
    MetadataKey { key: FileMetadata::Size.key(), data_type: "BIGINT" },
    MetadataKey { key: FileMetadata::ModificationTime.key(), data_type: "TIMESTAMP_LTZ(3)" },
];

/// The file or folder; `file://` and `file:` may stand before it.
fn path(options: &TableOptions) -> SqlResult<String> {
    let path = options.required("path")?;
    let plain = path.strip_prefix("file://").or_else(|| path.strip_prefix("file:")).unwrap_or(path);
    if plain.contains("://") {
        return Err(options.wrong("path", "only local files can be read and written"));
    }
    Ok(plain.to_owned())
}

/// What is known by Flink and not done here.
fn check_unsupported(options: &TableOptions) -> SqlResult<()> {
    if is_true(options, "auto-compaction")? == Some(true) {
        return Err(options.wrong(
            "auto-compaction",
            "files are not merged: have fewer of them by longer checkpoint intervals or a lower 'sink.parallelism'",
        ));
    }
    const UNSUPPORTED: [(&str, &str); 6] = [
        ("compaction.file-size", "files are not merged"),
        ("compaction.parallelism", "files are not merged"),
        ("sink.partition-commit.policy.class", "there is no JVM here that would load it"),
        ("sink.partition-commit.policy.class.parameters", "there is no JVM here that would load the class"),
        ("partition.time-extractor.class", "there is no JVM here that would load it"),
        (
            "partition.time-extractor.timestamp-formatter",
            "the pattern is to give yyyy-MM-dd HH:mm:ss: set 'partition.time-extractor.timestamp-pattern' so",
        ),
    ];
    match UNSUPPORTED.iter().find(|(key, _)| options.get(key).is_some()) {
        Some((key, why)) => Err(options.wrong(key, why)),
        None => Ok(()),
    }
}

fn partitions(options: &TableOptions, keys: &[&str]) -> Option<Partitions> {
    let partitions = Partitions::by(keys.iter().copied());
    let named = match options.get("partition.default-name") {
        Some(name) => partitions.default_name(name),
        None => partitions,
    };
    (!keys.is_empty()).then_some(named)
}

/// How complete partitions are announced; `None` when they are not.
fn partition_commit(request: &SinkRequest<'_>) -> SqlResult<Option<PartitionCommit>> {
    const KIND: &str = "sink.partition-commit.policy.kind";
    const TRIGGER: &str = "sink.partition-commit.trigger";
    const EXTRACTOR: &str = "partition.time-extractor.kind";
    let options = request.options;
    if options.get(EXTRACTOR).is_some_and(|kind| kind != "default") {
        return Err(options.wrong(EXTRACTOR, "only default is supported"));
    }
    let mut time = PartitionTime::default();
    if let Some(pattern) = options.get("partition.time-extractor.timestamp-pattern") {
        time = time.pattern(pattern);
    }
    if let Some(zone) = options.get("sink.partition-commit.watermark-time-zone") {
        time = time.zone(zone).map_err(|error| of_table(request.table, &error))?;
    }
    let mut commit = PartitionCommit {
        trigger: match options.get(TRIGGER) {
            None | Some("process-time") => CommitTrigger::ProcessTime,
            Some("partition-time") => CommitTrigger::PartitionTime(time),
            Some(_) => return Err(options.wrong(TRIGGER, "process-time or partition-time is expected")),
        },
        ..PartitionCommit::default()
    };
    if let Some(delay) = options.duration("sink.partition-commit.delay")? {
        commit.delay = delay;
    }
    if let Some(name) = options.get("sink.partition-commit.success-file.name") {
        if name.is_empty() || name.contains('/') {
            return Err(
                options.wrong("sink.partition-commit.success-file.name", "the name of a file is expected")
            );
        }
        name.clone_into(&mut commit.success_file);
    }
    match options.get(KIND) {
        None => {
            let without = options.keys().find(|key| key.starts_with("sink.partition-commit."));
            match without {
                Some(key) => {
                    Err(options
                        .wrong(key, &format!("nothing is committed without '{KIND}' = 'success-file'")))
                }
                None => Ok(None),
            }
        }
        Some("success-file") if request.partitioned_by.is_empty() => {
            Err(options.wrong(KIND, "the table is not PARTITIONED BY"))
        }
        Some("success-file") => Ok(Some(commit)),
        Some(_) => {
            Err(options.wrong(KIND, "only success-file is supported: there is no metastore and no JVM here"))
        }
    }
}

fn rolling_policy(options: &TableOptions) -> SqlResult<RollingPolicy> {
    let mut policy = RollingPolicy::default();
    const FILE_SIZE: &str = "sink.rolling-policy.file-size";
    if let Some(size) = options.get(FILE_SIZE) {
        let size = <MemorySize as OptionType>::parse(size)
            .map_err(|_| options.wrong(FILE_SIZE, "a size is expected, such as 128mb"))?;
        policy.file_bytes = size.bytes();
    }
    if let Some(interval) = options.duration("sink.rolling-policy.rollover-interval")? {
        policy.rollover_interval = interval;
    }
    if let Some(interval) = options.duration("sink.rolling-policy.inactivity-interval")? {
        policy.inactivity_interval = interval;
    }
    // Parts end when they are due, not when somebody looks.
    options.duration("sink.rolling-policy.check-interval")?;
    Ok(policy)
}

impl TableFactory for Filesystem {
    fn identifier(&self) -> &'static str {
        "filesystem"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        &FILESYSTEM
    }

    fn metadata(&self) -> &'static [MetadataKey] {
        &METADATA
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let options = request.options;
        let wrong = |error: tidemill_connectors::ConnectorError| of_table(request.table, &error);
        check_unsupported(options)?;
        let in_files: Vec<&str> =
            request.stored.iter().filter(|name| !request.partitioned_by.contains(name)).copied().collect();
        let format = formats::input(request, &in_files)?;
        let mut beside =
            ColumnsBeside { partitions: partitions(options, request.partitioned_by), metadata: Vec::new() };
        for (column, key) in request.metadata {
            let field = request.schema.field(*column);
            let known = FileMetadata::of_key(key);
            let metadata =
                known.ok_or_else(|| SqlError::internal(format!("there is no metadata '{key}'")))?;
            if !metadata.fits(field.data_type()) {
                let declared =
                    METADATA.iter().find(|known| known.key == *key).map_or("", |known| known.data_type);
                return Err(SqlError::types(format!(
                    "the metadata '{key}' of the table '{}' is {declared}, the column '{}' is declared otherwise",
                    request.table,
                    field.name()
                ))
                .hint(format!("declare it {} {declared} METADATA FROM '{key}' VIRTUAL, and CAST it where it is read", field.name())));
            }
            beside.metadata.push((field.name().clone(), metadata));
        }
        let schema = Arc::clone(&request.schema);
        let mut source =
            FileSource::with_columns_beside(path(options)?, format, schema, beside).map_err(wrong)?;
        if let Some(filter) = &request.partition_filter {
            source = source.partition_filter(Arc::clone(filter));
        }
        if let Some(pattern) = options.get("source.path.regex-pattern") {
            source = source.path_pattern(pattern).map_err(wrong)?;
        }
        const MONITOR: &str = "source.monitor-interval";
        if let Some(interval) = options.duration(MONITOR)? {
            if interval.is_zero() {
                return Err(options.wrong(MONITOR, "more than 0 is expected"));
            }
            source = source.monitor(interval);
        }
        Ok(TableSource { source: Arc::new(source) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let options = request.options;
        let wrong = |error: tidemill_connectors::ConnectorError| of_table(request.table, &error);
        check_unsupported(options)?;
        let format = formats::output(options, request.table)?;
        let schema = Arc::clone(&request.schema);
        let keys: Vec<&str> =
            request.partitioned_by.iter().map(|index| request.schema.field(*index).name().as_str()).collect();
        let commit = partition_commit(request)?;
        let mut sink = if is_true(options, "sink.single-file")? == Some(true) {
            if !keys.is_empty() {
                return Err(options.wrong("sink.single-file", "the table is PARTITIONED BY"));
            }
            if options.get("sink.parallelism") != Some("1") {
                return Err(options.wrong(
                    "sink.single-file",
                    "one file is written by one subtask: set 'sink.parallelism' = '1'",
                ));
            }
            FileSink::single_file(path(options)?, format, schema).map_err(wrong)?
        } else {
            match partitions(options, &keys) {
                Some(partitions) => FileSink::partitioned(path(options)?, format, schema, partitions),
                None => FileSink::folder(path(options)?, format, schema),
            }
            .map_err(wrong)?
        };
        if let Some(commit) = commit {
            sink = sink.commit(commit).map_err(wrong)?;
        }
        const SHUFFLE: &str = "sink.shuffle-by-partition.enable";
        let shuffled_by = match is_true(options, SHUFFLE)? {
            Some(true) if keys.is_empty() => {
                return Err(options.wrong(SHUFFLE, "the table is not PARTITIONED BY"));
            }
            Some(true) => request.partitioned_by.to_vec(),
            _ => Vec::new(),
        };
        let sink = sink.rolling_policy(rolling_policy(options)?);
        Ok(TableSink { operator: Arc::new(sink), changes: SinkChanges::Insert, shuffled_by })
    }
}
