//! Identifiers. All of them are derived from names, so that they are the same from run to run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::hash;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        ///
        /// 128 bits, written as 32 hexadecimal digits.
        ///
        /// ```
        #[doc = concat!("use tidemill_core::", stringify!($name), ";")]
        ///
        #[doc = concat!("let id = ", stringify!($name), "::from_name(\"count\");")]
        /// assert_eq!(id.to_string().len(), 32);
        #[doc = concat!("assert_eq!(id.to_string().parse::<", stringify!($name), ">()?, id);")]
        /// # Ok::<(), tidemill_core::id::InvalidId>(())
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// The id that belongs to a name: the same in every run and on every platform.
            pub fn from_name(name: &str) -> Self {
                let low = hash::bytes(name.as_bytes());
                let high = hash::combine(low, hash::bytes(stringify!($name).as_bytes()));
                Self((u128::from(high) << 64) | u128::from(low))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(InvalidId(text.to_owned()));
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidId(text.to_owned()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One run of a job.
    JobId
    /// A vertex of the [`JobGraph`](crate::graph::JobGraph): one chain of operators.
    JobVertexId
    /// An operator: what state is matched by when a job is restored.
    OperatorId
}

/// A text that is not 32 hexadecimal digits.
///
/// ```
/// use tidemill_core::OperatorId;
///
/// let error = "source".parse::<OperatorId>().unwrap_err();
/// assert_eq!(error.to_string(), "'source' is not an id: expected 32 hexadecimal digits");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an id: expected 32 hexadecimal digits")]
pub struct InvalidId(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip_and_stability() {
        let id = OperatorId::from_name("source");
        assert_eq!(id.to_string().parse::<OperatorId>().unwrap(), id);
        assert_ne!(id.0, JobVertexId::from_name("source").0);
        assert!("xyz".parse::<OperatorId>().is_err());
        assert!("+0000000000000000000000000000001".parse::<OperatorId>().is_err());
    }
}
