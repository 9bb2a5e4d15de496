//! [`StorageSettings`]: what the configuration says of the storage of checkpoints.

use std::time::Duration;

use tidemill_core::config::{ConfigError, Configuration, Secret, options};

/// How often, and for how long, a request that fails is made again.
///
/// ```
/// use tidemill_checkpoint::storage::RetryPolicy;
///
/// let policy = RetryPolicy::default();
/// assert!(policy.attempts > 1 && policy.first_pause < policy.longest_pause && policy.longest_pause < policy.deadline);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a request is made at most.
    pub attempts: u32,
    /// The pause after the first failure; each further pause is twice as long. All are shortened at random, by up to a half.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How long all attempts of one request may take together.
    pub deadline: Duration,
    /// How long one attempt may take.
    pub request_timeout: Duration,
}

impl Default for RetryPolicy {
    /// Eight attempts within three minutes.
    fn default() -> Self {
        Self {
            attempts: 8,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            deadline: Duration::from_secs(180),
            request_timeout: Duration::from_secs(60),
        }
    }
}

/// What the configuration says of S3.
///
/// ```
/// use tidemill_checkpoint::storage::S3Settings;
///
/// assert_eq!(S3Settings::default().endpoint, None, "that of AWS");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// The id of the key; `None` to look in the environment.
    pub access_key: Option<Secret>,
    /// The key.
    pub secret_key: Option<Secret>,
    /// The server, as `http://minio:9000`.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path of requests; `None` for: where there is an endpoint.
    pub path_style_access: Option<bool>,
    /// The region of the bucket.
    pub region: Option<String>,
}

/// What the configuration says of the storage of checkpoints. It has credentials, which `Debug` does not show.
///
/// ```
/// use tidemill_checkpoint::StorageSettings;
/// use tidemill_core::config::{Configuration, Origin};
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("state.checkpoints.dir", "s3://bucket/checkpoints", Origin::CommandLine);
/// configuration.set_raw("s3.access-key", "AKIA", Origin::CommandLine);
/// let settings = StorageSettings::from_configuration(&configuration)?;
/// assert_eq!(settings.checkpoint_dir.as_deref(), Some("s3://bucket/checkpoints"));
/// assert!(!format!("{settings:?}").contains("AKIA"));
/// # Ok::<(), tidemill_core::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StorageSettings {
    /// The folder of checkpoints.
    pub checkpoint_dir: Option<String>,
    /// Whether each job has a folder of its own in it.
    pub create_subdir: bool,
    /// The folder of savepoints.
    pub savepoint_dir: Option<String>,
    /// Up to how many bytes state is kept in the metadata.
    pub inline_threshold: u64,
    /// Whether the state of many subtasks is packed into few files.
    pub merge_files: bool,
    /// At how many bytes such a file is full.
    pub max_file_size: u64,
    /// How many times as large as what a checkpoint needs of it such a file may be; below 1: as large as it comes.
    pub max_space_amplification: f64,
    /// How to reach S3.
    pub s3: S3Settings,
    /// How many requests are under way at once.
    pub max_connections: u32,
    /// How many of them may be uploads.
    pub max_uploads: u32,
    /// The bytes of a part of an upload.
    pub part_size: u64,
    /// How many parts of one file are uploaded at once.
    pub parts_at_once: u32,
    /// What happens with requests that fail.
    pub retry: RetryPolicy,
}

impl StorageSettings {
    /// Reads the options of the group "Checkpoint storage".
    ///
    /// # Errors
    /// When one of them has a bad value.
    pub fn from_configuration(configuration: &Configuration) -> Result<Self, ConfigError> {
        let text = |option| {
            let value: Option<String> = configuration.get_optional(option)?;
            Ok::<_, ConfigError>(value.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
        };
        let secret = |option| {
            let value: Option<Secret> = configuration.get_optional(option)?;
            Ok::<_, ConfigError>(value.filter(|secret| !secret.expose().is_empty()))
        };
        Ok(Self {
            checkpoint_dir: text(&options::CHECKPOINT_DIR)?,
            create_subdir: configuration.get(&options::CHECKPOINT_CREATE_SUBDIR)?,
            savepoint_dir: text(&options::SAVEPOINT_DIR)?,
            inline_threshold: configuration.get(&options::DATA_INLINE_THRESHOLD)?.bytes(),
            merge_files: configuration.get(&options::FILE_MERGING_ENABLED)?,
            max_file_size: configuration.get(&options::FILE_MERGING_MAX_FILE_SIZE)?.bytes(),
            max_space_amplification: f64::from(
                configuration.get(&options::FILE_MERGING_MAX_SPACE_AMPLIFICATION)?,
            ),
            s3: S3Settings {
                access_key: secret(&options::S3_ACCESS_KEY)?,
                secret_key: secret(&options::S3_SECRET_KEY)?,
                endpoint: text(&options::S3_ENDPOINT)?,
                path_style_access: configuration.get_optional(&options::S3_PATH_STYLE_ACCESS)?,
                region: text(&options::S3_REGION)?,
            },
            max_connections: configuration.get(&options::S3_CONNECTION_MAXIMUM)?,
            max_uploads: configuration.get(&options::S3_THREADS_MAX)?,
            part_size: configuration.get(&options::S3_UPLOAD_PART_SIZE)?.bytes(),
            parts_at_once: configuration.get(&options::S3_CONCURRENT_UPLOADS)?,
            retry: RetryPolicy::default(),
        })
    }
}
