//! One part of the memory, and where its size came from.

use std::fmt;

use super::PartName;
use crate::config::MemorySize;

/// The size of a part and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The size.
    pub size: MemorySize,
    /// Where it came from.
    pub source: Source,
}

/// Which bound of a range decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The share was less than the minimum.
    Min,
    /// The share was more than the maximum.
    Max,
}

/// Where the size of a part came from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// It was set, at the place that the text names.
    Set(String),
    /// It is the default.
    Default,
    /// It is a share of another part.
    Share {
        /// The fraction as configured.
        fraction: f32,
        /// Of which part.
        of: PartName,
        /// The bound that decided instead of the fraction, if one did.
        limit: Option<Limit>,
    },
    /// It is sized so that it is a share of a whole that is not known before: all other parts are.
    ShareOfWhole {
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

    pub(super) fn bytes(&self) -> u64 {
        self.size.bytes()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Set(origin) => f.write_str(origin),
            Source::Default => f.write_str("default"),
            Source::Share { fraction, of, limit } | Source::ShareOfWhole { fraction, of, limit } => {
                match limit {
                    None => write!(f, "{fraction} of {of}"),
                    Some(Limit::Min) => write!(f, "minimum: more than {fraction} of {of}"),
                    Some(Limit::Max) => write!(f, "maximum: less than {fraction} of {of}"),
                }
            }
            Source::Rest(of) => write!(f, "rest of {of}"),
            Source::Sum => f.write_str("sum of its parts"),
        }
    }
}
