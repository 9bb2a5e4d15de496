//! What can go wrong between a job and the outside.

use std::io;
use std::path::{Path, PathBuf};

use tidemill_core::{Classified, Fault};

/// A source cannot be read, or a sink not be written.
///
/// ```
/// use tidemill_connectors::{ConnectorError, GeneratorSource};
/// use tidemill_core::{Classified, Fault};
///
/// let error = GeneratorSource::bounded(10, |number| number).records_per_second(0.0).err().unwrap();
/// assert!(matches!(error, ConnectorError::InvalidOption(_)));
/// assert_eq!(error.fault(), Fault::User);
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// Nothing exists at the path of a source.
    #[error("'{}' does not exist: check the path{}", path.display(), relative_to(path))]
    PathNotFound {
        /// The path.
        path: PathBuf,
    },
    /// No file matches a pattern.
    #[error("no file matches '{pattern}': check the pattern{}", relative_to(Path::new(pattern)))]
    NoFileMatches {
        /// The pattern.
        pattern: String,
    },
    /// A pattern that is none.
    #[error("'{pattern}' is not a pattern for paths: {reason}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is at a path is neither a file nor a folder.
    #[error("'{}' is {found}, but only regular files and folders can be read", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A name of a file that is no text.
    #[error("the name of the file '{}' is not valid UTF-8: rename it", path.display())]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The process may not do this with a path.
    #[error("no permission to {action} '{}': change the permissions of the path or the user of the process", path.display())]
    PermissionDenied {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// The disk is full, or the user's share of it.
    #[error("no space left to write '{}': free space on its disk or write to another one", path.display())]
    DiskFull {
        /// The path.
        path: PathBuf,
    },
    /// Another failure of the file system.
    #[error("cannot {action} '{}': {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// Compressed data that ends too early.
    #[error("'{}' ends in the middle of its {compression} data: it was cut off, so copy it again", path.display())]
    TruncatedCompression {
        /// The path.
        path: PathBuf,
        /// `gzip` or `zstd`.
        compression: &'static str,
    },
    /// Compressed data that is damaged, or that is not compressed like this at all.
    #[error("'{}' is not valid {compression} data ({source}): it is damaged, or its compression is another one", path.display())]
    CorruptCompression {
        /// The path.
        path: PathBuf,
        /// `gzip` or `zstd`.
        compression: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A compression that cannot be read.
    #[error("'{}' is compressed with {compression}, which cannot be read: compress it with gzip or zstd instead", path.display())]
    UnknownCompression {
        /// The path.
        path: PathBuf,
        /// Which.
        compression: &'static str,
    },
    /// A file of columns or blocks that is damaged, or that has other columns than are asked for.
    #[error("'{}' cannot be read as {format}: {reason}", path.display())]
    Damaged {
        /// The path.
        path: PathBuf,
        /// `Avro` or `Parquet`.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A record or line that is malformed.
    #[error("{}", malformed(place, column.as_deref(), problem, *option))]
    Malformed {
        /// File and line.
        place: String,
        /// The column, when one is to blame.
        column: Option<String>,
        /// What is wrong, with the value.
        problem: String,
        /// The option by which such lines are skipped, unless that is not possible.
        option: Option<&'static str>,
    },
    /// The first line does not name a column of the schema.
    #[error("{file} has no column '{column}': it has {present}")]
    MissingColumn {
        /// The file's header, or the option that stands for it.
        file: String,
        /// The column that the schema has.
        column: String,
        /// The columns that the header has.
        present: String,
    },
    /// The header has a column twice.
    #[error("{file} has two columns '{column}': rename one, or skip the header and go by position")]
    DuplicateColumn {
        /// The file's header, or the option that stands for it.
        file: String,
        /// The column.
        column: String,
    },
    /// A type that a format does not have.
    #[error(
        "column '{column}' has the type {data_type}, which {format} files cannot have here: use one of {supported}"
    )]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
        /// The format.
        format: &'static str,
        /// The types that are possible.
        supported: &'static str,
    },
    /// An option has a value that makes no sense.
    #[error("{0}")]
    InvalidOption(String),
    /// A split that an earlier run has left cannot be read on.
    #[error("the reading of '{}' cannot be resumed: {reason}", path.display())]
    Resume {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A part that a checkpoint holds is not there to be made visible.
    #[error("the part '{}', which is in the checkpoint, cannot be made visible: {reason}", path.display())]
    PartLost {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The state of a split or sink was not written by this connector.
    #[error("the stored state of the {what} cannot be read: {detail}")]
    State {
        /// The connector.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// A sink's path is taken by something else.
    #[error("cannot write to '{}': {reason}", path.display())]
    BadTarget {
        /// The path.
        path: PathBuf,
        /// What is there, and what to do.
        reason: String,
    },
    /// Rows came with another schema than the sink was made for, or of a kind that it cannot write.
    #[error("the {sink} sink cannot write what it was given: {reason}")]
    WrongInput {
        /// The sink.
        sink: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Columns that were made do not make rows.
    #[error("columns do not make a batch: {reason}")]
    Columns {
        /// Why.
        reason: String,
    },
    /// The terminal, or what standard output goes to, does not take any more.
    #[error("cannot write to {stream}: {source}")]
    Stream {
        /// Standard output or standard error.
        stream: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Whoever read standard output or standard error has closed it, as `head` does when it has enough.
    #[error("nobody reads {stream} any more: its reader has closed it")]
    StreamClosed {
        /// Standard output or standard error.
        stream: &'static str,
    },
}

impl ConnectorError {
    /// Describes a failure of the file system; `action` is a verb, such as `read`.
    ///
    /// ```
    /// use std::io;
    /// use tidemill_connectors::ConnectorError;
    ///
    /// let error = ConnectorError::io("read", "flights.csv", io::ErrorKind::NotFound.into());
    /// assert!(matches!(error, ConnectorError::PathNotFound { .. }));
    /// ```
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound if action == "read" => Self::PathNotFound { path },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { action, path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { action, path, source },
        }
    }
}

/// What a relative path is relative to.
fn relative_to(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(folder) if path.is_relative() => format!(" (it is relative to '{}')", folder.display()),
        _ => String::new(),
    }
}

fn malformed(place: &str, column: Option<&str>, problem: &str, option: Option<&str>) -> String {
    let mut text = place.to_owned();
    if let Some(column) = column {
        text.push_str(&format!(", column '{column}'"));
    }
    text.push_str(&format!(": {problem}"));
    if let Some(option) = option {
        let does = if column.is_some() { "makes such values NULL" } else { "skips such lines" };
        text.push_str(&format!(" ('{option}' {does})"));
    }
    text
}

impl Classified for ConnectorError {
    fn code(&self) -> &'static str {
        match self {
            Self::PathNotFound { .. } => "TM-CONNECTOR-PATH-NOT-FOUND",
            Self::NoFileMatches { .. } => "TM-CONNECTOR-NO-FILE-MATCHES",
            Self::InvalidPattern { .. } => "TM-CONNECTOR-INVALID-PATTERN",
            Self::NotAFile { .. } => "TM-CONNECTOR-NOT-A-FILE",
            Self::PathNotUtf8 { .. } => "TM-CONNECTOR-PATH-NOT-UTF8",
            Self::PermissionDenied { .. } => "TM-CONNECTOR-PERMISSION-DENIED",
            Self::DiskFull { .. } => "TM-CONNECTOR-DISK-FULL",
            Self::Io { .. } => "TM-CONNECTOR-IO",
            Self::TruncatedCompression { .. } => "TM-CONNECTOR-TRUNCATED",
            Self::CorruptCompression { .. } => "TM-CONNECTOR-CORRUPT",
            Self::UnknownCompression { .. } => "TM-CONNECTOR-UNKNOWN-COMPRESSION",
            Self::Damaged { .. } => "TM-CONNECTOR-DAMAGED",
            Self::Malformed { .. } => "TM-CONNECTOR-MALFORMED",
            Self::MissingColumn { .. } => "TM-CONNECTOR-MISSING-COLUMN",
            Self::DuplicateColumn { .. } => "TM-CONNECTOR-DUPLICATE-COLUMN",
            Self::UnsupportedType { .. } => "TM-CONNECTOR-UNSUPPORTED-TYPE",
            Self::InvalidOption(_) => "TM-CONNECTOR-INVALID-OPTION",
            Self::Resume { .. } => "TM-CONNECTOR-RESUME",
            Self::PartLost { .. } => "TM-CONNECTOR-PART-LOST",
            Self::State { .. } => "TM-CONNECTOR-STATE",
            Self::BadTarget { .. } => "TM-CONNECTOR-BAD-TARGET",
            Self::WrongInput { .. } => "TM-CONNECTOR-WRONG-INPUT",
            Self::Columns { .. } => "TM-CONNECTOR-COLUMNS",
            Self::Stream { .. } => "TM-CONNECTOR-STREAM",
            Self::StreamClosed { .. } => "TM-CONNECTOR-STREAM-CLOSED",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::DiskFull { .. } | Self::Io { .. } | Self::Stream { .. } | Self::StreamClosed { .. } => {
                Fault::External
            }
            Self::WrongInput { .. } | Self::Columns { .. } => Fault::Internal,
            _ => Fault::User,
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Io { .. })
    }
}
