//! Instants and dates as fields of records.

use std::fmt;

use tidemill_core::time::{Timestamp, civil_from_days, format_timestamp};

use crate::{Record, RoutingHash};

/// An instant, in milliseconds since 1970-01-01T00:00:00Z. As a column: a timestamp in milliseconds.
///
/// ```
/// use tidemill_serialization::TimestampMs;
///
/// assert_eq!(TimestampMs(1_357_034_400_000).to_string(), "2013-01-01T10:00:00.000Z");
/// ```
#[derive(Record, RoutingHash, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMs(pub Timestamp);

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_timestamp(self.0))
    }
}

/// A day, in days since 1970-01-01. As a column: `Date32`.
///
/// ```
/// use tidemill_serialization::Date;
///
/// assert_eq!(Date(15_706).to_string(), "2013-01-01");
/// ```
#[derive(Record, RoutingHash, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(i64::from(self.0));
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}
