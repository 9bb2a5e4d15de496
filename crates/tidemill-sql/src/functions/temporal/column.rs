//! Columns of timestamps, of whatever unit.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::calendar::{Civil, DAY, HOUR, MINUTE, SECOND};
use crate::functions::kernel::{Input, Inputs, KernelError};
use crate::functions::support::{primitives, unexpected};
use crate::types::TypeRoot;
use crate::types::arrow::data_type;

/// The values of an argument that is a timestamp.
#[derive(Debug)]
pub(crate) struct TimestampColumn<'a> {
    values: &'a [i64],
    nulls: Option<&'a NullBuffer>,
    /// How many of the column's units a millisecond has; 0 when the column is of seconds.
    per_milli: i64,
    is_constant: bool,
}

impl<'a> TimestampColumn<'a> {
    /// The timestamps of `input`.
    pub(crate) fn new(input: &'a Input) -> Result<Self, KernelError> {
        let array = input.array();
        let values: &[i64] = match array.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().values(),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                array.as_primitive::<TimestampMillisecondType>().values()
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                array.as_primitive::<TimestampMicrosecondType>().values()
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                array.as_primitive::<TimestampNanosecondType>().values()
            }
            other => return Err(unexpected(other)),
        };
        let per_milli = match array.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => 0,
            DataType::Timestamp(TimeUnit::Millisecond, _) => 1,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
            _ => 1_000_000,
        };
        Ok(Self { values, nulls: array.nulls(), per_milli, is_constant: input.is_constant() })
    }

    #[inline]
    fn value(&self, row: usize) -> Option<i64> {
        let index = if self.is_constant { 0 } else { row };
        if self.nulls.is_some_and(|nulls| nulls.is_null(index)) {
            return None;
        }
        self.values.get(index).copied()
    }

    /// The milliseconds since 1970 of `row`; `None` when it is NULL.
    #[inline]
    pub(crate) fn millis(&self, row: usize) -> Option<i64> {
        let value = self.value(row)?;
        Some(match self.per_milli {
            0 => value.saturating_mul(SECOND),
            1 => value,
            1000 => value.div_euclid(1000),
            _ => value.div_euclid(1_000_000),
        })
    }

    /// The milliseconds since 1970 of `row`, and the nanoseconds beyond them.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<(i64, i64)> {
        let nanos = match self.per_milli {
            0 | 1 => 0,
            1000 => self.value(row)?.rem_euclid(1000) * 1000,
            _ => self.value(row)?.rem_euclid(1_000_000),
        };
        self.millis(row).map(|millis| (millis, nanos))
    }
}

/// A column of the timestamps of type `root` of all rows, each in milliseconds and the nanoseconds beyond
/// them.
pub(super) fn timestamps(
    inputs: &Inputs,
    root: &TypeRoot,
    mut value: impl FnMut(usize) -> Result<Option<(i64, i64)>, KernelError>,
) -> Result<ArrayRef, KernelError> {
    let out_of_range = || KernelError("a timestamp is out of range".to_owned());
    let data_type = data_type(root);
    macro_rules! column {
        ($kind:ty, $per_milli:expr, $nanos:expr) => {
            Arc::new(
                primitives::<$kind>(inputs, |row| {
                    let Some((millis, nanos)) = value(row)? else { return Ok(None) };
                    let value =
                        millis.checked_mul($per_milli).and_then(|value| value.checked_add(nanos / $nanos));
                    value.map(Some).ok_or_else(out_of_range)
                })?
                .with_data_type(data_type),
            )
        };
    }
    Ok(match &data_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) => column!(TimestampMillisecondType, 1, 1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => column!(TimestampMicrosecondType, 1000, 1000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => column!(TimestampNanosecondType, 1_000_000, 1),
        other => return Err(unexpected(other)),
    })
}

/// The numbers from 0 to 99 in two digits each.
const TWO_DIGITS: &str = "0001020304050607080910111213141516171819\
    2021222324252627282930313233343536373839\
    4041424344454647484950515253545556575859\
    6061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

/// Two digits.
#[inline]
pub(super) fn push_two(out: &mut String, number: i64) {
    let at = usize::try_from(number.rem_euclid(100)).unwrap_or(0) * 2;
    out.push_str(TWO_DIGITS.get(at..at + 2).unwrap_or_default());
}

/// A number with zeros in front, at least `width` digits.
pub(super) fn push_padded(out: &mut String, number: u64, width: usize) {
    match (number, width) {
        (0..=99, 2) => return push_two(out, i64::try_from(number).unwrap_or(0)),
        (0..=9999, 4) => {
            let number = i64::try_from(number).unwrap_or(0);
            push_two(out, number / 100);
            return push_two(out, number % 100);
        }
        _ => {}
    }
    let (mut digits, mut rest, mut count) = ([b'0'; 20], number, 0);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend(std::iter::repeat_n('0', width.saturating_sub(count)));
    let digits = digits.get(digits.len() - count..).unwrap_or_default();
    out.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// Appends the timestamp as `java.time.LocalDateTime.toString` writes it: the shortest of the forms that say
/// it all.
pub(crate) fn push_local_date_time(out: &mut String, millis: i64, nanos: i64) {
    push_iso(out, millis, nanos, false);
}

/// As [`push_local_date_time`], always with seconds, and only as many digits of them as needed when
/// `is_short`.
pub(crate) fn push_iso_date_time(out: &mut String, millis: i64, nanos: i64) {
    push_iso(out, millis, nanos, true);
}

fn push_iso(out: &mut String, millis: i64, nanos: i64, is_formatter: bool) {
    let Civil { year, month, day } = Civil::of_days(millis.div_euclid(DAY));
    let time = millis.rem_euclid(DAY);
    if year < 0 {
        out.push('-');
    } else if year > 9999 {
        out.push('+');
    }
    push_padded(out, year.unsigned_abs(), 4);
    out.push('-');
    push_two(out, month);
    out.push('-');
    push_two(out, day);
    out.push('T');
    push_two(out, time / HOUR);
    out.push(':');
    push_two(out, time % HOUR / MINUTE);
    let (second, fraction) = (time % MINUTE / SECOND, time % SECOND * 1_000_000 + nanos);
    if is_formatter || second > 0 || fraction > 0 {
        out.push(':');
        push_two(out, second);
    }
    if fraction == 0 {
        return;
    }
    out.push('.');
    let start = out.len();
    push_padded(out, fraction.unsigned_abs(), 9);
    // A formatter leaves all zeros at the end out, `toString` three at a time.
    let zeros =
        out.get(start..).map_or(0, |digits| digits.bytes().rev().take_while(|digit| *digit == b'0').count());
    out.truncate(out.len() - if is_formatter { zeros } else { zeros / 3 * 3 });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        let padded = |number, width| {
            let mut out = String::new();
            push_padded(&mut out, number, width);
            out
        };
        assert_eq!(padded(7, 2), "07");
        assert_eq!(padded(107, 2), "107");
        assert_eq!(padded(2021, 4), "2021");
        assert_eq!(padded(12_345, 4), "12345");
        assert_eq!(padded(0, 1), "0");
        assert_eq!(padded(0, 9), "000000000");
        assert_eq!(padded(u64::MAX, 25), "0000018446744073709551615");
    }

    #[test]
    fn iso() {
        let both = |millis: i64, nanos: i64| {
            let (mut short, mut iso) = (String::new(), String::new());
            push_local_date_time(&mut short, millis, nanos);
            push_iso_date_time(&mut iso, millis, nanos);
            (short, iso)
        };
        assert_eq!(both(0, 0), ("1970-01-01T00:00".to_owned(), "1970-01-01T00:00:00".to_owned()));
        assert_eq!(both(120, 0), ("1970-01-01T00:00:00.120".to_owned(), "1970-01-01T00:00:00.12".to_owned()));
        assert_eq!(
            both(-1, 1000),
            ("1969-12-31T23:59:59.999001".to_owned(), "1969-12-31T23:59:59.999001".to_owned())
        );
        assert_eq!(both(253_402_300_800_000, 0).0, "+10000-01-01T00:00");
    }
}
