//! What is said about the values of a column.

use std::fmt::Display;
use std::time::Duration;

use crate::error::ConnectorError;

/// How the values of a column, or of what is inside of one, are made.
///
/// ```
/// use tidemill_connectors::DataGenField;
///
/// let dice = DataGenField::random().min(1).max(6);
/// let ids = DataGenField::sequence(1, 1_000_000);
/// let names = DataGenField::random().length(10).var_len(true).null_rate(0.05);
/// # let _ = (dice, ids, names);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DataGenField {
    /// The first and the last value.
    pub(super) sequence: Option<(i64, i64)>,
    pub(super) min: Option<String>,
    pub(super) max: Option<String>,
    pub(super) length: Option<u32>,
    pub(super) var_len: bool,
    pub(super) null_rate: f64,
    pub(super) max_past: Option<Duration>,
}

impl DataGenField {
    /// Random values (`fields.#.kind` = `random`).
    pub fn random() -> Self {
        let (min, max) = (None, None);
        Self { sequence: None, min, max, length: None, var_len: false, null_rate: 0.0, max_past: None }
    }

    /// The numbers from `start` to `end`, both included, one for each row (`kind` = `sequence`); the source
    /// ends with them.
    pub fn sequence(start: i64, end: i64) -> Self {
        Self { sequence: Some((start, end)), ..Self::random() }
    }

    /// The least number (`min`), in the words of its type.
    pub fn min(mut self, min: impl Display) -> Self {
        self.min = Some(min.to_string());
        self
    }

    /// The greatest number (`max`), in the words of its type.
    pub fn max(mut self, max: impl Display) -> Self {
        self.max = Some(max.to_string());
        self
    }

    /// How long strings and binaries are, and how many elements arrays have (`length`).
    pub fn length(mut self, length: u32) -> Self {
        self.length = Some(length);
        self
    }

    /// Whether strings and binaries have any length from 1 on up to theirs (`var-len`).
    pub fn var_len(mut self, yes: bool) -> Self {
        self.var_len = yes;
        self
    }

    /// Which part of the values is NULL, from 0 to 1 (`null-rate`).
    pub fn null_rate(mut self, rate: f64) -> Self {
        self.null_rate = rate;
        self
    }

    /// How far timestamps are at most before the time at which their row is made (`max-past`).
    pub fn max_past(mut self, past: Duration) -> Self {
        self.max_past = Some(past);
        self
    }
}

/// The options of a table.
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) fields: Vec<(String, DataGenField)>,
    pub(super) rows_per_second: Option<f64>,
    pub(super) number_of_rows: Option<u64>,
    pub(super) seed: Option<u64>,
}

/// What is said about one field, before it is known whether it is a sequence.
#[derive(Default)]
struct Said {
    kind: Option<String>,
    start: Option<i64>,
    end: Option<i64>,
}

pub(super) fn parse<K: AsRef<str>, V: AsRef<str>>(
    options: impl IntoIterator<Item = (K, V)>,
) -> Result<Parsed, ConnectorError> {
    let mut parsed = Parsed::default();
    let mut said: Vec<Said> = Vec::new();
    for (key, value) in options {
        let (key, value) = (key.as_ref(), value.as_ref());
        match key {
            "rows-per-second" => parsed.rows_per_second = Some(number(key, value, "a number")?),
            "number-of-rows" => parsed.number_of_rows = Some(number(key, value, "a whole number of rows")?),
            "seed" => parsed.seed = Some(number(key, value, "a whole number")?),
            _ => {
                let path = key.strip_prefix("fields.").and_then(|rest| rest.rsplit_once('.'));
                let Some((path, attribute)) = path else { return Err(unknown(key)) };
                let place = parsed.fields.iter().position(|(known, _)| known == path);
                let place = place.unwrap_or_else(|| {
                    parsed.fields.push((path.to_owned(), DataGenField::random()));
                    said.push(Said::default());
                    said.len() - 1
                });
                let (Some((_, field)), Some(said)) = (parsed.fields.get_mut(place), said.get_mut(place))
                else {
                    continue;
                };
                match attribute {
                    "kind" => said.kind = Some(value.to_owned()),
                    "start" => said.start = Some(number(key, value, "a whole number")?),
                    "end" => said.end = Some(number(key, value, "a whole number")?),
                    "min" => field.min = Some(value.to_owned()),
                    "max" => field.max = Some(value.to_owned()),
                    "length" => field.length = Some(number(key, value, "a whole number")?),
                    "var-len" => field.var_len = number(key, value, "'true' or 'false'")?,
                    "null-rate" => field.null_rate = number(key, value, "a number from 0 to 1")?,
                    "max-past" => field.max_past = Some(duration(key, value)?),
                    _ => return Err(unknown(key)),
                }
            }
        }
    }
    for ((path, field), said) in parsed.fields.iter_mut().zip(said) {
        field.sequence = match (said.kind.as_deref().unwrap_or("random"), said.start, said.end) {
            ("sequence", Some(start), Some(end)) => Some((start, end)),
            ("sequence", ..) => {
                return Err(invalid(format!(
                    "'fields.{path}.kind' = 'sequence' needs a 'start' and an 'end'"
                )));
            }
            ("random", None, None) => None,
            ("random", ..) => {
                let message =
                    format!("'fields.{path}' has a 'start' or an 'end', but is not of the kind 'sequence'");
                return Err(invalid(message));
            }
            (other, ..) => {
                return Err(invalid(format!(
                    "'fields.{path}.kind' must be 'random' or 'sequence', not '{other}'"
                )));
            }
        };
    }
    Ok(parsed)
}

fn invalid(message: String) -> ConnectorError {
    ConnectorError::InvalidOption(message)
}

fn unknown(key: &str) -> ConnectorError {
    invalid(format!(
        "'datagen' has no option '{key}': it has 'rows-per-second', 'number-of-rows', 'seed', and for a \
         column 'c' 'fields.c.kind', '.min', '.max', '.length', '.var-len', '.null-rate', '.max-past', \
         '.start' and '.end'"
    ))
}

fn number<T: std::str::FromStr>(key: &str, value: &str, expected: &str) -> Result<T, ConnectorError> {
    value.trim().parse().map_err(|_| invalid(format!("'{key}' must be {expected}, not '{value}'")))
}

/// A duration in Flink's words: `5 min`, `300 s`, `1d`, and milliseconds without a unit.
fn duration(key: &str, value: &str) -> Result<Duration, ConnectorError> {
    let trimmed = value.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = trimmed.split_at(digits);
    let nanos: Option<u64> = match unit.trim().to_ascii_lowercase().as_str() {
        "d" | "day" | "days" => Some(86_400_000_000_000),
        "h" | "hour" | "hours" => Some(3_600_000_000_000),
        "m" | "min" | "minute" | "minutes" => Some(60_000_000_000),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1_000_000_000),
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => Some(1_000_000),
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => Some(1000),
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => Some(1),
        _ => None,
    };
    let total = count.parse::<u64>().ok().zip(nanos).and_then(|(count, nanos)| count.checked_mul(nanos));
    match total {
        Some(nanos) => Ok(Duration::from_nanos(nanos)),
        None => {
            Err(invalid(format!("'{key}' must be a duration such as '10 min' or '500 ms', not '{value}'")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_flink() {
        let parsed = parse([
            ("rows-per-second", "5"),
            ("number-of-rows", "100"),
            ("fields.id.kind", "sequence"),
            ("fields.id.start", "-3"),
            ("fields.id.end", "9"),
            ("fields.buyer.name.length", "7"),
            ("fields.buyer.name.var-len", "true"),
            ("fields.at.max-past", "5 min"),
            ("fields.id.null-rate", "0.5"),
        ])
        .unwrap_or_default();
        assert_eq!(
            (parsed.rows_per_second, parsed.number_of_rows, parsed.seed),
            (Some(5.0), Some(100), None)
        );
        let expected = [
            ("id".to_owned(), DataGenField::sequence(-3, 9).null_rate(0.5)),
            ("buyer.name".to_owned(), DataGenField::random().length(7).var_len(true)),
            ("at".to_owned(), DataGenField::random().max_past(Duration::from_secs(300))),
        ];
        assert_eq!(parsed.fields, expected);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (key, value, expected) in [
            ("rows-per-seconds", "5", "'datagen' has no option 'rows-per-seconds'"),
            ("fields.id", "5", "'datagen' has no option 'fields.id'"),
            ("fields.id.minimum", "5", "'datagen' has no option 'fields.id.minimum'"),
            ("number-of-rows", "-1", "'number-of-rows' must be a whole number of rows, not '-1'"),
            ("fields.id.kind", "sequence", "needs a 'start' and an 'end'"),
            ("fields.id.kind", "constant", "must be 'random' or 'sequence', not 'constant'"),
            ("fields.id.start", "1", "is not of the kind 'sequence'"),
            (
                "fields.at.max-past",
                "5 weeks",
                "must be a duration such as '10 min' or '500 ms', not '5 weeks'",
            ),
            ("fields.at.max-past", "99999999999999999 d", "must be a duration"),
        ] {
            let error = parse([(key, value)]).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
