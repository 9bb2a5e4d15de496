//! Types for the logical types of Avro that the language has none for.
//!
//! Days and instants in milliseconds are [`Date`] and [`TimestampMs`].

use std::fmt;

use serde_json::{Value as Json, json};

use super::bytes::{long_bytes, put_blob, put_long};
use super::decoder::{Decoder, Slot};
use super::error::AvroError;
use super::typed::{AvroType, Names};
use super::value::{fits, i128_of};
use crate::time::{Date, TimestampMs};

macro_rules! numbers {
    ($($(#[$docs:meta])* $t:ident($number:ty);)*) => {$(
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $t(pub $number);
    )*};
}
numbers! {
    /// The time of day in milliseconds after midnight: `time-millis`.
    TimeMillis(i32);
    /// The time of day in microseconds after midnight: `time-micros`.
    TimeMicros(i64);
    /// An instant, in microseconds since 1970-01-01T00:00:00Z: `timestamp-micros`.
    TimestampMicros(i64);
    /// An instant, in nanoseconds since 1970-01-01T00:00:00Z: `timestamp-nanos`.
    TimestampNanos(i64);
    /// A date and time wherever one happens to be, in milliseconds since 1970-01-01T00:00:00: `local-timestamp-millis`.
    LocalTimestampMillis(i64);
    /// A date and time wherever one happens to be, in microseconds since 1970-01-01T00:00:00: `local-timestamp-micros`.
    LocalTimestampMicros(i64);
    /// A date and time wherever one happens to be, in nanoseconds since 1970-01-01T00:00:00: `local-timestamp-nanos`.
    LocalTimestampNanos(i64);
}

macro_rules! as_number {
    ($($t:ident: $base:literal, $logical:literal, $read:ident;)*) => {$(
        impl AvroType for $t {
            fn schema(_: &mut Names) -> Json {
                json!({"type": $base, "logicalType": $logical})
            }

            fn encode(&self, out: &mut Vec<u8>) {
                put_long(i64::from(self.0), out);
            }

            fn encoded_bytes(&self) -> usize {
                long_bytes(i64::from(self.0))
            }

            fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
                decoder.$read(slot).map(Self)
            }
        }
    )*};
}
as_number! {
    Date: "int", "date", int;
    TimeMillis: "int", "time-millis", int;
    TimeMicros: "long", "time-micros", long;
    TimestampMs: "long", "timestamp-millis", long;
    TimestampMicros: "long", "timestamp-micros", long;
    TimestampNanos: "long", "timestamp-nanos", long;
    LocalTimestampMillis: "long", "local-timestamp-millis", long;
    LocalTimestampMicros: "long", "local-timestamp-micros", long;
    LocalTimestampNanos: "long", "local-timestamp-nanos", long;
}

/// A decimal number of at most `PRECISION` digits, `SCALE` of them behind the point: its digits without the point. Written
/// as bytes.
///
/// ```
/// use tidemill_serialization::avro::logical::AvroDecimal;
///
/// let price = AvroDecimal::<5, 2>::new(1234).unwrap();
/// assert_eq!((price.to_string().as_str(), price.digits()), ("12.34", 1234));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AvroDecimal<const PRECISION: u8, const SCALE: u8>(i128);

impl<const PRECISION: u8, const SCALE: u8> AvroDecimal<PRECISION, SCALE> {
    const VALID: () = assert!(
        PRECISION >= 1 && PRECISION <= 38 && SCALE <= PRECISION,
        "a decimal has 1 to 38 digits, and no more of them behind the point"
    );

    /// The number with these digits: `AvroDecimal::<5, 2>::new(1234)` is 12.34. `None` when there are too many.
    ///
    /// ```
    /// use tidemill_serialization::avro::logical::AvroDecimal;
    ///
    /// assert!(AvroDecimal::<3, 2>::new(999).is_some() && AvroDecimal::<3, 2>::new(1000).is_none());
    /// ```
    pub fn new(digits: i128) -> Option<Self> {
        let () = Self::VALID;
        (digits.unsigned_abs() < 10u128.pow(u32::from(PRECISION))).then_some(Self(digits))
    }

    /// The digits without the point.
    pub fn digits(self) -> i128 {
        self.0
    }

    /// The fewest bytes, big endian, that hold the number.
    fn bytes(self) -> ([u8; 16], usize) {
        let all = self.0.to_be_bytes();
        let spare = if self.0 < 0 { self.0.leading_ones() } else { self.0.leading_zeros() };
        // One bit for the sign.
        (all, (spare as usize - 1) / 8)
    }
}

impl<const PRECISION: u8, const SCALE: u8> fmt::Display for AvroDecimal<PRECISION, SCALE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let scale = usize::from(SCALE);
        let digits = format!("{:0>1$}", self.0.unsigned_abs(), scale + 1);
        match digits.split_at(digits.len() - scale) {
            (whole, "") => write!(f, "{sign}{whole}"),
            (whole, part) => write!(f, "{sign}{whole}.{part}"),
        }
    }
}

impl<const PRECISION: u8, const SCALE: u8> AvroType for AvroDecimal<PRECISION, SCALE> {
    fn schema(_: &mut Names) -> Json {
        let () = Self::VALID;
        json!({"type": "bytes", "logicalType": "decimal", "precision": PRECISION, "scale": SCALE})
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let (bytes, spare) = self.bytes();
        put_blob(&bytes[spare..], out);
    }

    fn encoded_bytes(&self) -> usize {
        1 + 16 - self.bytes().1
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        let bytes = decoder.blob(slot)?;
        match i128_of(bytes) {
            Some(digits) if fits(bytes, usize::from(PRECISION)) => Ok(Self(digits)),
            _ => Err(AvroError::invalid("a decimal", format!("it has more than {PRECISION} digits"))),
        }
    }
}

/// A universally unique identifier, written as text.
///
/// ```
/// use tidemill_serialization::avro::{self, logical::AvroUuid};
///
/// let id = AvroUuid(avro::apache_avro::Uuid::from_u128(7));
/// assert_eq!(id.to_string(), "00000000-0000-0000-0000-000000000007");
/// assert_eq!(avro::decode::<AvroUuid>(&avro::encode(&id))?, id);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AvroUuid(pub apache_avro::Uuid);

impl fmt::Display for AvroUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AvroType for AvroUuid {
    fn schema(_: &mut Names) -> Json {
        json!({"type": "string", "logicalType": "uuid"})
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_blob(self.0.hyphenated().encode_lower(&mut [0; 36]).as_bytes(), out);
    }

    fn encoded_bytes(&self) -> usize {
        37
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        let text = decoder.text(slot)?;
        let uuid = apache_avro::Uuid::try_parse(text);
        uuid.map(Self).map_err(|error| AvroError::invalid("a uuid", error.to_string()))
    }
}

/// A span of time whose parts cannot be exchanged, for months and days differ in length.
///
/// ```
/// use tidemill_serialization::avro::{self, logical::AvroDuration};
///
/// let span = AvroDuration { months: 1, days: 2, millis: 3 };
/// assert_eq!(avro::encode(&span), [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AvroDuration {
    /// Months.
    pub months: u32,
    /// Days.
    pub days: u32,
    /// Milliseconds.
    pub millis: u32,
}

impl AvroType for AvroDuration {
    fn schema(names: &mut Names) -> Json {
        names.named::<Self>(
            "duration",
            None,
            |_, full| json!({"type": "fixed", "name": full, "size": 12, "logicalType": "duration"}),
        )
    }

    fn encode(&self, out: &mut Vec<u8>) {
        [self.months, self.days, self.millis]
            .iter()
            .for_each(|part| out.extend_from_slice(&part.to_le_bytes()));
    }

    fn encoded_bytes(&self) -> usize {
        12
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        let bytes: [u8; 12] = AvroType::decode(decoder, slot)?;
        let part = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Ok(Self { months: part(0), days: part(4), millis: part(8) })
    }
}
