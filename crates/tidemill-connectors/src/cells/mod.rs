//! Values of columns as text.

mod flink;
mod tree;

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BinaryViewArray, BooleanArray, LargeBinaryArray, LargeStringArray, StringArray,
    StringViewArray,
};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use tidemill_core::time::civil_from_days;

pub(crate) use flink::{Dialect, print};
pub(crate) use tree::{Node, Tree};
#[cfg(feature = "filesystem")]
pub(crate) use tree::{is_single, range};

use crate::decimal::{self, DecimalFormat};

/// How floating-point numbers are written.
///
/// ```
/// use tidemill_connectors::{CsvOutput, FloatFormat};
///
/// assert_eq!(FloatFormat::default(), FloatFormat::Java);
/// let plain = CsvOutput::new().float_format(FloatFormat::Plain);
/// # let _ = plain;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloatFormat {
    /// As Java and so Flink write them: `10.0`, `1.0E10`.
    #[default]
    Java,
    /// The shortest decimal digits that read back as the same number, without an exponent: `10`, `10000000000`.
    Plain,
}

/// How instants are written.
///
/// ```
/// use tidemill_connectors::{InstantFormat, JsonOutput};
///
/// assert_eq!(InstantFormat::default(), InstantFormat::Sql);
/// let iso = JsonOutput::new().timestamp_format(InstantFormat::Iso8601Utc);
/// # let _ = iso;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstantFormat {
    /// `2013-01-31 14:05:00.123`, with `Z` after it where the column has a time zone; as Flink writes them.
    #[default]
    Sql,
    /// `2013-01-31T14:05:00.123`, with `Z` after it where the column has a time zone.
    Iso8601,
    /// `2013-01-31T14:05:00.123Z`: a column without a time zone is taken to be in UTC.
    Iso8601Utc,
}

/// How values become text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CellStyle {
    pub(crate) floats: FloatFormat,
    pub(crate) instants: InstantFormat,
    pub(crate) decimals: DecimalFormat,
}

/// A column, downcast once.
pub(crate) enum Cells<'a> {
    Null,
    Boolean(&'a BooleanArray),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal(&'a [i128], i8),
    Date(&'a [i32]),
    /// Milliseconds since midnight.
    Time(&'a [i32]),
    Months(&'a [i32]),
    Millis(&'a [i64]),
    Instant {
        values: &'a [i64],
        per_second: i64,
        zoned: bool,
    },
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    BinaryView(&'a BinaryViewArray),
}

/// What a value is to whoever encloses it in quotes.
pub(crate) enum Cell<'a> {
    Number,
    Boolean,
    /// Dates and times: text without anything to escape.
    Plain,
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Cells<'a> {
    pub(crate) fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Null => Cells::Null,
            DataType::Boolean => Cells::Boolean(array.as_boolean()),
            DataType::Int8 => Cells::Int8(array.as_primitive::<Int8Type>().values()),
            DataType::Int16 => Cells::Int16(array.as_primitive::<Int16Type>().values()),
            DataType::Int32 => Cells::Int32(array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Cells::Int64(array.as_primitive::<Int64Type>().values()),
            DataType::UInt8 => Cells::UInt8(array.as_primitive::<UInt8Type>().values()),
            DataType::UInt16 => Cells::UInt16(array.as_primitive::<UInt16Type>().values()),
            DataType::UInt32 => Cells::UInt32(array.as_primitive::<UInt32Type>().values()),
            DataType::UInt64 => Cells::UInt64(array.as_primitive::<UInt64Type>().values()),
            DataType::Float32 => Cells::Float32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Cells::Float64(array.as_primitive::<Float64Type>().values()),
            DataType::Decimal128(_, scale) => {
                Cells::Decimal(array.as_primitive::<Decimal128Type>().values(), *scale)
            }
            DataType::Time32(TimeUnit::Millisecond) => {
                Cells::Time(array.as_primitive::<Time32MillisecondType>().values())
            }
            DataType::Interval(IntervalUnit::YearMonth) => {
                Cells::Months(array.as_primitive::<IntervalYearMonthType>().values())
            }
            DataType::Duration(TimeUnit::Millisecond) => {
                Cells::Millis(array.as_primitive::<DurationMillisecondType>().values())
            }
            DataType::Date32 => Cells::Date(array.as_primitive::<Date32Type>().values()),
            DataType::Timestamp(unit, zone) => {
                let (values, per_second): (&[i64], i64) = match unit {
                    TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().values(), 1),
                    TimeUnit::Millisecond => {
                        (array.as_primitive::<TimestampMillisecondType>().values(), 1000)
                    }
                    TimeUnit::Microsecond => {
                        (array.as_primitive::<TimestampMicrosecondType>().values(), 1_000_000)
                    }
                    TimeUnit::Nanosecond => {
                        (array.as_primitive::<TimestampNanosecondType>().values(), 1_000_000_000)
                    }
                };
                Cells::Instant { values, per_second, zoned: zone.is_some() }
            }
            DataType::Utf8 => Cells::Text(array.as_string()),
            DataType::LargeUtf8 => Cells::LargeText(array.as_string()),
            DataType::Utf8View => Cells::TextView(array.as_string_view()),
            DataType::Binary => Cells::Binary(array.as_binary()),
            DataType::LargeBinary => Cells::LargeBinary(array.as_binary()),
            DataType::BinaryView => Cells::BinaryView(array.as_binary_view()),
            _ => return None,
        })
    }

    /// The value in a row that is not NULL: text and binaries are given as they are, all else is appended to `out`.
    pub(crate) fn write(&self, row: usize, style: CellStyle, out: &mut Vec<u8>) -> Cell<'a> {
        // Writing to a vector does not fail.
        let mut number = |value: std::fmt::Arguments<'_>| {
            let _ = out.write_fmt(value);
            Cell::Number
        };
        match *self {
            Cells::Null => Cell::Plain,
            Cells::Boolean(all) => {
                out.extend_from_slice(if all.value(row) { b"true" } else { b"false" });
                Cell::Boolean
            }
            Cells::Int8(all) => number(format_args!("{}", all[row])),
            Cells::Int16(all) => number(format_args!("{}", all[row])),
            Cells::Int32(all) => number(format_args!("{}", all[row])),
            Cells::Int64(all) => number(format_args!("{}", all[row])),
            Cells::UInt8(all) => number(format_args!("{}", all[row])),
            Cells::UInt16(all) => number(format_args!("{}", all[row])),
            Cells::UInt32(all) => number(format_args!("{}", all[row])),
            Cells::UInt64(all) => number(format_args!("{}", all[row])),
            Cells::Float32(all) => {
                let value = all[row];
                float(
                    f64::from(value),
                    style.floats,
                    out,
                    |out| write!(out, "{value:e}"),
                    |out| write!(out, "{value}"),
                )
            }
            Cells::Float64(all) => {
                let value = all[row];
                float(value, style.floats, out, |out| write!(out, "{value:e}"), |out| write!(out, "{value}"))
            }
            Cells::Decimal(all, scale) => {
                decimal::write(all[row], scale, style.decimals, out);
                Cell::Number
            }
            Cells::Time(all) => {
                time(i64::from(all[row]), out);
                Cell::Plain
            }
            Cells::Months(all) => number(format_args!("{}", all[row])),
            Cells::Millis(all) => number(format_args!("{}", all[row])),
            Cells::Date(all) => {
                date(i64::from(all[row]), out);
                Cell::Plain
            }
            Cells::Instant { values, per_second, zoned } => {
                instant(values[row], per_second, zoned, style.instants, out);
                Cell::Plain
            }
            Cells::Text(all) => Cell::Text(all.value(row)),
            Cells::LargeText(all) => Cell::Text(all.value(row)),
            Cells::TextView(all) => Cell::Text(all.value(row)),
            Cells::Binary(all) => Cell::Binary(all.value(row)),
            Cells::LargeBinary(all) => Cell::Binary(all.value(row)),
            Cells::BinaryView(all) => Cell::Binary(all.value(row)),
        }
    }
}

fn float<'a>(
    value: f64,
    format: FloatFormat,
    out: &mut Vec<u8>,
    scientific: impl Fn(&mut Vec<u8>) -> std::io::Result<()>,
    plain: impl Fn(&mut Vec<u8>) -> std::io::Result<()>,
) -> Cell<'a> {
    let size = value.abs();
    if !value.is_finite() {
        let text: &[u8] = match value {
            value if value.is_nan() => b"NaN",
            value if value > 0.0 => b"Infinity",
            _ => b"-Infinity",
        };
        out.extend_from_slice(text);
        // Not a number that JSON knows.
        return Cell::Plain;
    }
    if format == FloatFormat::Plain {
        let _ = plain(out);
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        let from = out.len();
        let _ = plain(out);
        if !out[from..].contains(&b'.') {
            out.extend_from_slice(b".0");
        }
    } else {
        let from = out.len();
        let _ = scientific(out);
        let at = out[from..].iter().position(|byte| *byte == b'e').map_or(out.len(), |at| from + at);
        let exponent = out.split_off(at);
        if !out[from..].contains(&b'.') {
            out.extend_from_slice(b".0");
        }
        out.push(b'E');
        out.extend_from_slice(exponent.get(1..).unwrap_or_default());
    }
    Cell::Number
}

fn date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

fn time(millis: i64, out: &mut Vec<u8>) {
    let in_day = millis.rem_euclid(86_400_000);
    let (h, m, s) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    let _ = write!(out, "{h:02}:{m:02}:{s:02}");
    fraction(in_day % 1000, 1000, out);
}

/// Appends a part of a second, without zeros at the end; nothing if there is none.
fn fraction(part: i64, per_second: i64, out: &mut Vec<u8>) {
    if part == 0 {
        return;
    }
    let width = per_second.ilog10() as usize;
    let _ = write!(out, ".{part:0width$}");
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

fn instant(value: i64, per_second: i64, zoned: bool, format: InstantFormat, out: &mut Vec<u8>) {
    let (seconds, part) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    date(seconds.div_euclid(86_400), out);
    let in_day = seconds.rem_euclid(86_400);
    let separator = if format == InstantFormat::Sql { ' ' } else { 'T' };
    let _ = write!(out, "{separator}{:02}:{:02}:{:02}", in_day / 3600, in_day / 60 % 60, in_day % 60);
    fraction(part, per_second, out);
    if zoned || format == InstantFormat::Iso8601Utc {
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, Float64Array, TimestampMillisecondArray};

    use super::*;

    fn text(array: &ArrayRef, row: usize, style: CellStyle) -> String {
        let mut out = Vec::new();
        Cells::of(array).unwrap().write(row, style, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_written_as_by_java() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (10.0, "10.0"),
            (0.001, "0.001"),
            (0.000_1, "1.0E-4"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1.234_5e10, "1.2345E10"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (12.658_579_999_999_999, "12.658579999999999"),
        ];
        let array: ArrayRef = Arc::new(Float64Array::from_iter_values(cases.iter().map(|case| case.0)));
        for (row, (_, expected)) in cases.iter().enumerate() {
            assert_eq!(text(&array, row, CellStyle::default()), *expected);
        }
        let small: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 1e10]));
        assert_eq!(text(&small, 0, CellStyle::default()), "0.1");
        assert_eq!(text(&small, 1, CellStyle::default()), "1.0E10");
        let plain = CellStyle { floats: FloatFormat::Plain, ..CellStyle::default() };
        assert_eq!(text(&array, 2, plain), "10");
    }

    #[test]
    fn times_and_decimals_have_their_digits() {
        let times: ArrayRef =
            Arc::new(arrow_array::Time32MillisecondArray::from(vec![0, 50_700_120, 86_399_999]));
        let texts: Vec<String> = (0..3).map(|row| text(&times, row, CellStyle::default())).collect();
        assert_eq!(texts, ["00:00:00", "14:05:00.12", "23:59:59.999"]);
        let prices =
            arrow_array::Decimal128Array::from(vec![1250, -5]).with_precision_and_scale(10, 2).unwrap();
        let prices: ArrayRef = Arc::new(prices);
        assert_eq!(text(&prices, 0, CellStyle::default()), "12.50");
        assert_eq!(text(&prices, 1, CellStyle::default()), "-0.05");
    }

    #[test]
    fn instants_have_as_many_digits_as_they_need() {
        let values = vec![0, 1_357_034_400_120, -1];
        let naive: ArrayRef = Arc::new(TimestampMillisecondArray::from(values.clone()));
        let zoned: ArrayRef = Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC"));
        let with = |instants| CellStyle { instants, ..CellStyle::default() };
        assert_eq!(text(&naive, 0, with(InstantFormat::Sql)), "1970-01-01 00:00:00");
        assert_eq!(text(&zoned, 1, with(InstantFormat::Sql)), "2013-01-01 10:00:00.12Z");
        assert_eq!(text(&naive, 2, with(InstantFormat::Iso8601)), "1969-12-31T23:59:59.999");
        assert_eq!(text(&naive, 0, with(InstantFormat::Iso8601Utc)), "1970-01-01T00:00:00Z");
    }
}
