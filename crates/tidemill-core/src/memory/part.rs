//! One part of the memory, and where its size came from.

use std::fmt;

use super::PartName;
use crate::config::MemorySize;

/// The size of a part and where it came from.
///
/// ```
/// use tidemill_core::config::{Configuration, Origin};
/// use tidemill_core::memory::TaskManagerMemory;
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("taskmanager.memory.process.size", "8g", Origin::CommandLine);
/// let memory = TaskManagerMemory::derive(&configuration)?;
/// assert_eq!(memory.metaspace.bytes(), 256 << 20);
/// assert_eq!(memory.metaspace.source.to_string(), "default");
/// # Ok::<(), tidemill_core::memory::MemoryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The size.
    pub size: MemorySize,
    /// Where it came from.
    pub source: Source,
}

/// Which bound of a range decided.
///
/// ```
/// use tidemill_core::memory::{Limit, PartName, Source};
///
/// let source = Source::Share { fraction: 0.1, of: PartName::Process, limit: Some(Limit::Max) };
/// assert_eq!(source.to_string(), "its maximum: 0.1 of process is more");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The share was less than the minimum.
    Min,
    /// The share was more than the maximum.
    Max,
}

/// Where the size of a part came from.
///
/// ```
/// use tidemill_core::memory::{PartName, Source};
///
/// let source = Source::Share { fraction: 0.4, of: PartName::Flink, limit: None };
/// assert_eq!(source.to_string(), "0.4 of Flink memory");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// It was set, at the place that the text names.
    Set(String),
    /// It is the default.
    Default,
    /// It is a share of a part that contains it.
    Share {
        /// The fraction as configured.
        fraction: f32,
        /// Of which part.
        of: PartName,
        /// The bound that decided instead of the fraction, if one did.
        limit: Option<Limit>,
    },
    /// It is what the other parts leave of this one.
    Rest(PartName),
    /// It is the sum of its parts.
    Sum,
}

impl Part {
    pub(super) fn new(bytes: u64, source: Source) -> Self {
        Self { size: MemorySize::from_bytes(bytes), source }
    }

    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        self.size.bytes()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |of: &PartName| match of {
            PartName::Process => "process",
            PartName::Flink => "Flink memory",
            other => other.key(),
        };
        match self {
            Source::Set(origin) => f.write_str(origin),
            Source::Default => f.write_str("default"),
            Source::Share { fraction, of, limit } => {
                let of = whole(of);
                match limit {
                    None => write!(f, "{fraction} of {of}"),
                    Some(Limit::Min) => write!(f, "its minimum: {fraction} of {of} is less"),
                    Some(Limit::Max) => write!(f, "its maximum: {fraction} of {of} is more"),
                }
            }
            Source::Rest(of) => write!(f, "rest of {}", whole(of)),
            Source::Sum => f.write_str("sum of its parts"),
        }
    }
}
