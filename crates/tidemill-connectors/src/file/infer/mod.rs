//! What columns files have, by their first records: for those who have not said it.

mod csv;
mod json;

use std::path::Path;

use arrow_schema::{DataType, TimeUnit};

pub use csv::{infer_csv_schema, infer_csv_schema_with};
pub use json::{infer_json_schema, infer_json_schema_with};

use super::input::{ByteInput, Compression};
use super::listing;
use crate::error::ConnectorError;
use crate::format::text::{self, TimestampFormat};

/// What single values have been so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Guess {
    /// All NULL.
    #[default]
    Unknown,
    Boolean,
    BigInt,
    Double,
    Date,
    /// With so many digits of a second at most, and a zone or none.
    Timestamp {
        digits: u8,
        zoned: bool,
    },
    Text,
}

impl Guess {
    /// What both are.
    fn join(self, other: Self) -> Self {
        use Guess::{BigInt, Double, Text, Timestamp, Unknown};
        match (self, other) {
            (one, other) if one == other => one,
            (Unknown, one) | (one, Unknown) => one,
            (BigInt, Double) | (Double, BigInt) => Double,
            (Timestamp { digits: one, zoned }, Timestamp { digits: other, zoned: also }) if zoned == also => {
                Timestamp { digits: one.max(other), zoned }
            }
            _ => Text,
        }
    }

    /// What a text is, numbers and booleans included.
    fn of_text(text: &[u8]) -> Self {
        let trimmed = text.trim_ascii();
        match trimmed.first() {
            None if text.is_empty() => Guess::Unknown,
            None => Guess::Text,
            Some(b'0'..=b'9' | b'-' | b'+' | b'.') => {
                Self::of_number(trimmed).unwrap_or_else(|| Self::of_time(trimmed, None))
            }
            Some(_) if text::boolean(trimmed).is_some() => Guess::Boolean,
            Some(_) if matches!(trimmed, b"NaN" | b"Infinity") => Guess::Double,
            Some(_) => Guess::Text,
        }
    }

    fn of_number(text: &[u8]) -> Option<Self> {
        if text::is_integer(text) {
            let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
            // The zeros of a code, and the digits of a long number, would be lost.
            let is_code = digits.len() > 1 && digits.first() == Some(&b'0');
            let is_long = text::integer(text).is_none();
            return Some(if is_code || is_long { Guess::Text } else { Guess::BigInt });
        }
        if text == b"-Infinity" {
            return Some(Guess::Double);
        }
        let is_plain = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        (is_plain && text::float::<f64>(text).is_some()).then_some(Guess::Double)
    }

    /// What a text is, when only dates and times stand in quotes.
    fn of_time(text: &[u8], only: Option<TimestampFormat>) -> Self {
        if text::date(text).is_some() {
            return Guess::Date;
        }
        if text::instant(text, only).is_none() {
            return Guess::Text;
        }
        let time = text.get(11..).unwrap_or_default();
        let zoned = time.iter().any(|byte| matches!(byte, b'Z' | b'+' | b'-'));
        let fraction = time.iter().position(|byte| *byte == b'.').and_then(|point| time.get(point + 1..));
        let digits = fraction.unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        Guess::Timestamp { digits: u8::try_from(digits).unwrap_or(9), zoned }
    }

    fn data_type(self) -> DataType {
        match self {
            Guess::Boolean => DataType::Boolean,
            Guess::BigInt => DataType::Int64,
            Guess::Double => DataType::Float64,
            Guess::Date => DataType::Date32,
            Guess::Timestamp { digits, zoned } => {
                let unit = match digits {
                    0..=3 => TimeUnit::Millisecond,
                    4..=6 => TimeUnit::Microsecond,
                    _ => TimeUnit::Nanosecond,
                };
                DataType::Timestamp(unit, zoned.then(|| "UTC".into()))
            }
            Guess::Unknown | Guess::Text => DataType::Utf8,
        }
    }
}

/// Calls `read` with one file of a path after the other, while it answers that it wants more.
fn each_file(
    path: &str,
    mut read: impl FnMut(&mut ByteInput) -> Result<bool, ConnectorError>,
) -> Result<(), ConnectorError> {
    for file in listing::list(path)? {
        let path = Path::new(&file.path);
        let mut input = ByteInput::open(path, Compression::ByExtension.of(path)?)?;
        if !read(&mut input)? {
            break;
        }
    }
    Ok(())
}

/// What is wrong with a record of a file.
fn malformed(input: &ByteInput, line: u64, problem: String, option: Option<&'static str>) -> ConnectorError {
    let place = format!("{} line {}", input.path().display(), line + 1);
    ConnectorError::Malformed { place, column: None, problem, option }
}

fn no_records(path: &str) -> ConnectorError {
    ConnectorError::Malformed {
        place: listing::strip_scheme(path).to_owned(),
        column: None,
        problem: "there are no records to infer columns from".to_owned(),
        option: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_they_look_like() {
        let timestamp = |digits, zoned| Guess::Timestamp { digits, zoned };
        for (text, expected) in [
            ("", Guess::Unknown),
            (" ", Guess::Text),
            (" 12 ", Guess::BigInt),
            ("-9223372036854775808", Guess::BigInt),
            ("9223372036854775808", Guess::Text),
            ("0", Guess::BigInt),
            ("007", Guess::Text),
            ("0.7", Guess::Double),
            ("1e5", Guess::Double),
            ("-Infinity", Guess::Double),
            ("NaN", Guess::Double),
            ("nan", Guess::Text),
            ("infinity", Guess::Text),
            ("TRUE", Guess::Boolean),
            ("2013-01-31", Guess::Date),
            ("2013-02-31", Guess::Text),
            ("2013-01-31 14:05:00", timestamp(0, false)),
            ("2013-01-31T14:05:00.1234Z", timestamp(4, true)),
            ("2013-01-31T14:05:00+01:00", timestamp(0, true)),
            ("14:05:00", Guess::Text),
            ("-", Guess::Text),
            ("1,5", Guess::Text),
        ] {
            assert_eq!(Guess::of_text(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_both_are_does_not_depend_on_their_order() {
        let all = [
            Guess::Unknown,
            Guess::Boolean,
            Guess::BigInt,
            Guess::Double,
            Guess::Date,
            Guess::Timestamp { digits: 0, zoned: false },
            Guess::Timestamp { digits: 9, zoned: false },
            Guess::Timestamp { digits: 0, zoned: true },
            Guess::Text,
        ];
        for one in all {
            assert_eq!(one.join(one), one);
            assert_eq!(one.join(Guess::Unknown), one);
            assert_eq!(one.join(Guess::Text), Guess::Text);
            for other in all {
                assert_eq!(one.join(other), other.join(one));
                for third in all {
                    assert_eq!(one.join(other).join(third), one.join(other.join(third)));
                }
            }
        }
    }
}
