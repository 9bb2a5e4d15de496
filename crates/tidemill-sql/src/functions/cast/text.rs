//! Values as Flink writes them.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType,
};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use chrono_tz::Tz;
use std::fmt::Write;

use super::calendar::{self, DAY};
use super::double::{write_double, write_float};
use super::temporal::Unit;
use crate::functions::decimal;
use crate::types::{LogicalType, TypeRoot};

/// What stands for a value that is missing inside of an array, a map or a row.
const NULL: &str = "NULL";

/// Writes the value of `row` of a column of `logical` as `CAST(… AS STRING)` does; `NULL` when it is NULL.
pub fn format_value(array: &dyn Array, logical: &LogicalType, zone: Tz, row: usize, out: &mut String) {
    if write_value(array, logical, zone, row, out).is_none() {
        out.push_str(NULL);
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Option<T::Native> {
    value_of(array.as_primitive_opt::<T>()?, row)
}

fn value_of<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}

/// `None` when there is no value. A [`String`] takes whatever is written, so the results of `write!` say
/// nothing.
fn write_value(
    array: &dyn Array,
    logical: &LogicalType,
    zone: Tz,
    row: usize,
    out: &mut String,
) -> Option<()> {
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    match &logical.root {
        TypeRoot::Null => return None,
        TypeRoot::Boolean => out.push_str(if array.as_boolean_opt()?.value(row) { "TRUE" } else { "FALSE" }),
        TypeRoot::TinyInt => write!(out, "{}", primitive::<Int8Type>(array, row)?).ok()?,
        TypeRoot::SmallInt => write!(out, "{}", primitive::<Int16Type>(array, row)?).ok()?,
        TypeRoot::Int => write!(out, "{}", primitive::<Int32Type>(array, row)?).ok()?,
        TypeRoot::BigInt => write!(out, "{}", primitive::<Int64Type>(array, row)?).ok()?,
        TypeRoot::Float => write_float(primitive::<Float32Type>(array, row)?, out),
        TypeRoot::Double => write_double(primitive::<Float64Type>(array, row)?, out),
        TypeRoot::Decimal(_, scale) => decimal::write(primitive::<Decimal128Type>(array, row)?, *scale, out),
        TypeRoot::Char(_) | TypeRoot::Varchar(_) => out.push_str(array.as_string_opt::<i32>()?.value(row)),
        TypeRoot::Binary(_) | TypeRoot::Varbinary(_) => {
            out.push_str(&String::from_utf8_lossy(array.as_binary_opt::<i32>()?.value(row)));
        }
        TypeRoot::Date => write_date(i64::from(primitive::<Date32Type>(array, row)?), out),
        TypeRoot::Time(precision) => {
            write_time(primitive::<Time32MillisecondType>(array, row)?, *precision, out)
        }
        TypeRoot::Timestamp(precision) => {
            let unit = Unit::of(*precision);
            write_timestamp(unit.value(array, row)?, unit, *precision, out);
        }
        TypeRoot::TimestampLtz(precision) => {
            let unit = Unit::of(*precision);
            write_timestamp(unit.to_local(unit.value(array, row)?, zone), unit, *precision, out);
        }
        TypeRoot::IntervalMonths => write_months(primitive::<IntervalYearMonthType>(array, row)?, out),
        TypeRoot::IntervalMillis => write_millis(primitive::<DurationMillisecondType>(array, row)?, out),
        TypeRoot::Array(element) => {
            let values = array.as_list_opt::<i32>()?.value(row);
            out.push('[');
            for index in 0..values.len() {
                separate(index, out);
                format_value(&values, element, zone, index, out);
            }
            out.push(']');
        }
        TypeRoot::Map(key, value) => write_entries(array, row, key, value, zone, out)?,
        TypeRoot::Multiset(element) => {
            write_entries(array, row, element, &TypeRoot::Int.not_null(), zone, out)?
        }
        TypeRoot::Row(fields) => {
            let columns = array.as_struct_opt()?;
            out.push('(');
            for (index, (field, column)) in fields.iter().zip(columns.columns()).enumerate() {
                separate(index, out);
                format_value(column, &field.field_type, zone, row, out);
            }
            out.push(')');
        }
    }
    Some(())
}

fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn write_entries(
    array: &dyn Array,
    row: usize,
    key: &LogicalType,
    value: &LogicalType,
    zone: Tz,
    out: &mut String,
) -> Option<()> {
    let entries = array.as_map_opt()?.value(row);
    let (keys, values) = (entries.columns().first()?, entries.columns().get(1)?);
    out.push('{');
    for index in 0..entries.len() {
        separate(index, out);
        format_value(keys, key, zone, index, out);
        out.push('=');
        format_value(values, value, zone, index, out);
    }
    out.push('}');
    Some(())
}

/// Two digits.
fn two(value: u64, out: &mut String) {
    out.push(char::from(b'0' + (value / 10 % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

/// `yyyy-MM-dd`: of a year, the last four digits.
pub(crate) fn write_date(days: i64, out: &mut String) {
    let date = calendar::civil(days);
    let year = date.year.unsigned_abs();
    two(year / 100, out);
    two(year % 100, out);
    out.push('-');
    two(u64::from(date.month), out);
    out.push('-');
    two(u64::from(date.day), out);
}

fn write_clock(seconds: u64, out: &mut String) {
    two(seconds / 3600, out);
    out.push(':');
    two(seconds / 60 % 60, out);
    out.push(':');
    two(seconds % 60, out);
}

/// `HH:mm:ss`, and as many digits of a second as `precision` allows, without zeros at their end.
pub(crate) fn write_time(millis: i32, precision: u8, out: &mut String) {
    // Times of the day before, which an offset from UTC can make, are shown as they are on their own day.
    let millis = if millis < 0 { i64::from(millis).rem_euclid(DAY) as u64 } else { millis as u64 };
    write_clock(millis / 1000, out);
    if precision == 0 {
        return;
    }
    out.push('.');
    let mut fraction = millis % 1000;
    for _ in 0..precision {
        out.push(char::from(b'0' + (fraction / 100) as u8));
        fraction = fraction % 100 * 10;
        if fraction == 0 {
            break;
        }
    }
}

/// `yyyy-MM-dd HH:mm:ss`, and exactly `precision` digits of a second.
pub(crate) fn write_timestamp(value: i64, unit: Unit, precision: u8, out: &mut String) {
    let (seconds, nanos) = unit.split(value);
    write_date(seconds.div_euclid(86_400), out);
    out.push(' ');
    write_clock(seconds.rem_euclid(86_400) as u64, out);
    if precision > 0 {
        out.push('.');
        let mut place = 100_000_000;
        for _ in 0..precision.min(9) {
            out.push(char::from(b'0' + (nanos / place % 10) as u8));
            place /= 10;
        }
    }
}

/// `+1-02`: years and months.
pub(crate) fn write_months(months: i32, out: &mut String) {
    out.push(if months < 0 { '-' } else { '+' });
    let months = months.unsigned_abs();
    let _ = write!(out, "{}-{:02}", months / 12, months % 12);
}

/// `+1 02:03:04.005`: days, hours, minutes, seconds and milliseconds.
pub(crate) fn write_millis(millis: i64, out: &mut String) {
    out.push(if millis < 0 { '-' } else { '+' });
    let millis = millis.unsigned_abs();
    // Flink makes an INT of the days.
    let _ = write!(out, "{} ", (millis / 86_400_000) as i32);
    write_clock(millis / 1000 % 86_400, out);
    let _ = write!(out, ".{:03}", millis % 1000);
}
