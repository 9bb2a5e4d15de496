//! Instants and dates as fields of records.

use std::fmt;

use tidemill_core::element::Element;
use tidemill_core::hash::RoutingHash;
use tidemill_core::time::{Timestamp, civil_from_days, format_timestamp};

use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::schema::{SchemaBuilder, Type};

/// An instant, in milliseconds since 1970-01-01T00:00:00Z. As a column: a timestamp in milliseconds.
///
/// ```
/// use tidemill_serialization::TimestampMs;
///
/// assert_eq!(TimestampMs(1_357_034_400_000).to_string(), "2013-01-01T10:00:00.000Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(i64::from(self.0));
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// An instant, in microseconds since 1970-01-01T00:00:00Z. As a column: a timestamp in microseconds.
///
/// ```
/// use tidemill_serialization::TimestampMicros;
///
/// assert_eq!(TimestampMicros(1_500_000).to_string(), "1970-01-01T00:00:01.500000Z");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMicros(pub i64);

impl fmt::Display for TimestampMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format_timestamp(self.0.div_euclid(1_000_000) * 1000);
        // With six digits of the second in place of whatever there is.
        let (seconds, _) = text.split_once('.').unwrap_or_else(|| text.split_at(text.len() - 1));
        write!(f, "{seconds}.{:06}Z", self.0.rem_euclid(1_000_000))
    }
}

/// A time of day, in microseconds since midnight. As a column: `Time64` in microseconds.
///
/// ```
/// use tidemill_serialization::TimeOfDay;
///
/// assert_eq!(TimeOfDay(45_296_000_000).to_string(), "12:34:56");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(pub i64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let (minutes, second) = (seconds.div_euclid(60), seconds.rem_euclid(60));
        write!(f, "{:02}:{:02}:{second:02}", minutes.div_euclid(60), minutes.rem_euclid(60))?;
        if micros == 0 { Ok(()) } else { write!(f, ".{micros:06}") }
    }
}

/// Types that are written as the number in them.
macro_rules! as_number {
    ($($t:ident($number:ty): $schema:expr;)*) => {$(
        impl Element for $t {
            const FIXED_BYTES: Option<usize> = <$number as Element>::FIXED_BYTES;

            #[inline]
            fn logical_bytes(&self) -> usize {
                size_of::<$number>()
            }
        }

        impl Data for $t {
            fn describe(_: &mut SchemaBuilder) -> Type {
                $schema
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }

            #[inline]
            fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                <$number>::decode(input).map(Self)
            }
        }

        impl RoutingHash for $t {
            #[inline]
            fn routing_hash(&self) -> u64 {
                (self.0,).routing_hash()
            }
        }
    )*};
}
as_number! {
    TimestampMs(Timestamp): Type::Timestamp(3);
    TimestampMicros(i64): Type::Timestamp(6);
    TimeOfDay(i64): Type::Time(6);
    Date(i32): Type::Date;
}
