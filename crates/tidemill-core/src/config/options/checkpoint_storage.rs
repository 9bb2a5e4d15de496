//! Where checkpoints and savepoints are kept, how state becomes files there, and how to reach S3.

use super::checks::{AT_LEAST_ONE, at_least_one};
use crate::config::option::declare_options;
use crate::config::{BadValue, ConfigOption, MemorySize, Secret};

fn inline_threshold(value: &MemorySize) -> Result<(), BadValue> {
    if value.bytes() <= 1 << 20 { Ok(()) } else { Err(BadValue::new("must be at most 1 mb")) }
}

fn file_size(value: &MemorySize) -> Result<(), BadValue> {
    if value.bytes() >= 1 << 10 { Ok(()) } else { Err(BadValue::new("must be at least 1 kb")) }
}

fn part_size(value: &MemorySize) -> Result<(), BadValue> {
    if (5 << 20..=5 << 30).contains(&value.bytes()) {
        Ok(())
    } else {
        Err(BadValue::new("must be from 5 mb to 5 gb, as S3 demands"))
    }
}

declare_options! {
    /// The folder of checkpoints, as a path or as `file://`, `s3://`, `gs://` or `abfss://` with a bucket or container.
    CHECKPOINT_DIR: String = ConfigOption::new("execution.checkpointing.dir")
        .deprecated(&["state.checkpoints.dir", "state.backend.fs.checkpointdir"])
        .job();

    /// Whether each job has a folder of its own, named by its id, below that of checkpoints; without it each job needs another
    /// folder of checkpoints.
    CHECKPOINT_CREATE_SUBDIR: bool = ConfigOption::new("execution.checkpointing.create-subdir")
        .default("true")
        .deprecated(&["state.checkpoints.create-subdir"])
        .job();

    /// The folder of savepoints, where a command names none.
    SAVEPOINT_DIR: String = ConfigOption::new("execution.checkpointing.savepoint-dir")
        .deprecated(&["state.savepoints.dir", "savepoints.state.backend.fs.dir"])
        .job();

    /// State of up to this size is kept in the metadata of the checkpoint rather than in a file; at most 1 mb.
    DATA_INLINE_THRESHOLD: MemorySize = ConfigOption::new("execution.checkpointing.data-inline-threshold")
        .default("20 kb")
        .deprecated(&["state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"])
        .job()
        .check(inline_threshold);

    /// Whether the state of many subtasks, files of RocksDB included, is packed into few files.
    FILE_MERGING_ENABLED: bool =
        ConfigOption::new("execution.checkpointing.file-merging.enabled").default("false").job();

    /// The size at which a file of packed state is full; state that is larger has a file of its own.
    FILE_MERGING_MAX_FILE_SIZE: MemorySize = ConfigOption::new("execution.checkpointing.file-merging.max-file-size")
        .default("32 mb")
        .job()
        .check(file_size);

    /// How many times as large as what a checkpoint needs of them the files may be that it shares with earlier ones. Of a file
    /// beyond that, what is needed is stored again, so that the rest can be deleted. Below 1: as large as they come.
    FILE_MERGING_MAX_SPACE_AMPLIFICATION: f32 =
        ConfigOption::new("execution.checkpointing.file-merging.max-space-amplification").default("2.0").job();

    /// The id of the key for S3; by default the environment is asked, then the services of AWS.
    S3_ACCESS_KEY: Secret = ConfigOption::new("s3.access-key").deprecated(&[
        "s3.access.key",
        "s3a.access-key",
        "s3a.access.key",
        "fs.s3a.access.key",
    ]);

    /// The key for S3; by default the environment is asked, then the services of AWS.
    S3_SECRET_KEY: Secret = ConfigOption::new("s3.secret-key").deprecated(&[
        "s3.secret.key",
        "s3a.secret-key",
        "s3a.secret.key",
        "fs.s3a.secret.key",
    ]);

    /// The server of S3, as in `http://minio:9000`; the default is that of AWS in the region.
    S3_ENDPOINT: String = ConfigOption::new("s3.endpoint").deprecated(&["s3a.endpoint", "fs.s3a.endpoint"]);

    /// Whether the bucket stands in the path of requests to S3 and not in the name of the host; the default is that it does
    /// where there is an endpoint.
    S3_PATH_STYLE_ACCESS: bool = ConfigOption::new("s3.path-style-access").deprecated(&[
        "s3.path.style.access",
        "s3a.path-style-access",
        "s3a.path.style.access",
        "fs.s3a.path.style.access",
    ]);

    /// The region of the bucket; by default the environment is asked, and else it is `us-east-1`.
    S3_REGION: String = ConfigOption::new("s3.region").deprecated(&[
        "s3.endpoint.region",
        "s3a.region",
        "s3a.endpoint.region",
        "fs.s3a.endpoint.region",
    ]);

    /// How many requests to the storage of checkpoints are under way at once, in one process.
    S3_CONNECTION_MAXIMUM: u32 = ConfigOption::new("fs.s3a.connection.maximum")
        .default("96")
        .deprecated(&["s3.connection.maximum", "s3a.connection.maximum"])
        .check(at_least_one)
        .expected(AT_LEAST_ONE);

    /// How many of them may be uploads.
    S3_THREADS_MAX: u32 = ConfigOption::new("fs.s3a.threads.max")
        .default("64")
        .deprecated(&["s3.threads.max", "s3a.threads.max"])
        .check(at_least_one)
        .expected(AT_LEAST_ONE);

    /// The size of the parts in which larger files are uploaded.
    S3_UPLOAD_PART_SIZE: MemorySize =
        ConfigOption::new("s3.upload.min.part.size").default("5 mb").check(part_size);

    /// How many parts of one file are uploaded at once.
    S3_CONCURRENT_UPLOADS: u32 = ConfigOption::new("s3.upload.max.concurrent.uploads")
        .default("4")
        .check(at_least_one)
        .expected(AT_LEAST_ONE);
}
