//! Conversions between dates, times and timestamps.

use std::sync::Arc;

use arrow_array::builder::PrimitiveBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowTimestampType, Date32Type, Time32MillisecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::TimeUnit;
use chrono_tz::Tz;

use super::calendar::{self, DAY};
use super::{Failure, convert_rows};
use crate::functions::kernel::KernelError;
use crate::types::{TypeRoot, arrow};

/// What the values of a column of timestamps count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

impl Unit {
    /// The unit of timestamps of `precision` digits of a second.
    pub(crate) fn of(precision: u8) -> Self {
        match arrow::time_unit(precision) {
            TimeUnit::Second | TimeUnit::Millisecond => Unit::Millis,
            TimeUnit::Microsecond => Unit::Micros,
            TimeUnit::Nanosecond => Unit::Nanos,
        }
    }

    /// How many there are in a second.
    pub(crate) fn in_second(self) -> i64 {
        match self {
            Unit::Millis => 1_000,
            Unit::Micros => 1_000_000,
            Unit::Nanos => 1_000_000_000,
        }
    }

    /// How many there are in a millisecond.
    pub(crate) fn in_milli(self) -> i64 {
        self.in_second() / 1000
    }

    /// The value of `row` of a column that counts in this unit, if it has one.
    pub(crate) fn value(self, array: &dyn Array, row: usize) -> Option<i64> {
        fn of<T: ArrowTimestampType>(array: &dyn Array, row: usize) -> Option<i64> {
            let array = array.as_primitive_opt::<T>()?;
            array.is_valid(row).then(|| array.value(row))
        }
        match self {
            Unit::Millis => of::<TimestampMillisecondType>(array, row),
            Unit::Micros => of::<TimestampMicrosecondType>(array, row),
            Unit::Nanos => of::<TimestampNanosecondType>(array, row),
        }
    }

    /// The values of a column that counts in this unit.
    pub(crate) fn values(self, array: &dyn Array) -> Option<&[i64]> {
        Some(match self {
            Unit::Millis => array.as_primitive_opt::<TimestampMillisecondType>()?.values(),
            Unit::Micros => array.as_primitive_opt::<TimestampMicrosecondType>()?.values(),
            Unit::Nanos => array.as_primitive_opt::<TimestampNanosecondType>()?.values(),
        })
    }

    /// Seconds, and nanoseconds of a second.
    pub(crate) fn split(self, value: i64) -> (i64, u32) {
        let seconds = value.div_euclid(self.in_second());
        let rest = value.rem_euclid(self.in_second()) * (1_000_000_000 / self.in_second());
        (seconds, u32::try_from(rest).unwrap_or(0))
    }

    /// Of seconds, and nanoseconds of a second; `None` when that is more than 64 bits.
    pub(crate) fn join(self, seconds: i64, nanos: u32) -> Option<i64> {
        let rest = i64::from(nanos) / (1_000_000_000 / self.in_second());
        let whole = i128::from(seconds) * i128::from(self.in_second()) + i128::from(rest);
        i64::try_from(whole).ok()
    }

    /// Milliseconds, what is shorter cut off.
    pub(crate) fn to_millis(self, value: i64) -> i64 {
        value.div_euclid(self.in_milli())
    }

    /// Of milliseconds; `None` when that is more than 64 bits.
    pub(crate) fn of_millis(self, millis: i64) -> Option<i64> {
        millis.checked_mul(self.in_milli())
    }

    /// What clocks in `zone` show at a moment.
    pub(crate) fn to_local(self, value: i64, zone: Tz) -> i64 {
        let offset = calendar::offset_at(zone, value.div_euclid(self.in_second()));
        value.saturating_add(offset * self.in_second())
    }

    /// The moment at which clocks in `zone` show a time.
    pub(crate) fn to_moment(self, value: i64, zone: Tz) -> i64 {
        let offset = calendar::offset_when(zone, value.div_euclid(self.in_second()));
        value.saturating_sub(offset * self.in_second())
    }

    /// The value in another unit; `None` when it is more than 64 bits there.
    pub(crate) fn convert(self, value: i64, to: Unit) -> Option<i64> {
        if to.in_second() >= self.in_second() {
            value.checked_mul(to.in_second() / self.in_second())
        } else {
            Some(value.div_euclid(self.in_second() / to.in_second()))
        }
    }

    /// The value with `precision` digits of a second only.
    ///
    /// Flink cuts milliseconds off towards the year 1970, and shorter ones towards the past.
    pub(crate) fn cut(self, value: i64, precision: u8) -> i64 {
        if precision <= 3 {
            let step = 10i64.pow(3 - u32::from(precision));
            return (self.to_millis(value) / step * step).saturating_mul(self.in_milli());
        }
        let step = self.in_second() / 10i64.pow(u32::from(precision)).min(self.in_second());
        value.div_euclid(step).saturating_mul(step)
    }
}

/// A column of timestamps of the type `to`, whose value of each row is `value(row)`.
pub(crate) fn timestamps(
    rows: usize,
    to: &TypeRoot,
    value: impl FnMut(usize) -> Result<Option<i64>, KernelError>,
) -> Result<ArrayRef, KernelError> {
    let (TypeRoot::Timestamp(precision) | TypeRoot::TimestampLtz(precision)) = to else {
        return Err(KernelError(format!("{to} is no type of timestamps")));
    };
    match Unit::of(*precision) {
        Unit::Millis => convert_rows::<TimestampMillisecondType>(rows, to, value),
        Unit::Micros => convert_rows::<TimestampMicrosecondType>(rows, to, value),
        Unit::Nanos => convert_rows::<TimestampNanosecondType>(rows, to, value),
    }
}

/// Milliseconds of a day with `precision` digits of a second only.
pub(crate) fn cut_time(millis: i32, precision: u8) -> i32 {
    match precision {
        0 => millis / 1000 * 1000,
        1 => millis / 100 * 100,
        2 => millis / 10 * 10,
        _ => millis,
    }
}

/// Converts a column of dates, times or timestamps to one of another such type. The pair of types is one that
/// Flink converts.
pub(crate) fn convert(
    array: &dyn Array,
    from: &TypeRoot,
    to: &TypeRoot,
    zone: Tz,
    failure: Failure,
) -> Result<ArrayRef, KernelError> {
    let rows = array.len();
    let wrong = || KernelError(format!("a column of {} came for {from}", array.data_type()));
    match (from, to) {
        (TypeRoot::Timestamp(input) | TypeRoot::TimestampLtz(input), TypeRoot::Date) => {
            let unit = Unit::of(*input);
            let values = unit.values(array).ok_or_else(wrong)?;
            let is_moment = matches!(from, TypeRoot::TimestampLtz(_));
            convert_rows::<Date32Type>(rows, to, |row| {
                let value = values.get(row).copied().filter(|_| array.is_valid(row));
                Ok(value.and_then(|value| {
                    // Flink divides the milliseconds of a TIMESTAMP, so that times before 1970 are cut off
                    // towards it.
                    let days = if is_moment {
                        unit.to_millis(unit.to_local(value, zone)).div_euclid(DAY)
                    } else {
                        unit.to_millis(value) / DAY
                    };
                    i32::try_from(days).ok()
                }))
            })
        }
        (TypeRoot::Timestamp(input) | TypeRoot::TimestampLtz(input), TypeRoot::Time(precision)) => {
            let unit = Unit::of(*input);
            let values = unit.values(array).ok_or_else(wrong)?;
            let is_moment = matches!(from, TypeRoot::TimestampLtz(_));
            convert_rows::<Time32MillisecondType>(rows, to, |row| {
                let value = values.get(row).copied().filter(|_| array.is_valid(row));
                Ok(value.map(|value| {
                    // As above: before 1970, the time until midnight is cut off.
                    let millis = if is_moment {
                        unit.to_millis(unit.to_local(value, zone)).rem_euclid(DAY)
                    } else {
                        unit.to_millis(value) % DAY
                    };
                    cut_time(millis as i32, *precision).rem_euclid(DAY as i32)
                }))
            })
        }
        (TypeRoot::Time(_), TypeRoot::Time(precision)) => {
            let times = array.as_primitive_opt::<Time32MillisecondType>().ok_or_else(wrong)?;
            Ok(Arc::new(times.unary::<_, Time32MillisecondType>(|time| cut_time(time, *precision))))
        }
        (TypeRoot::Date, TypeRoot::Timestamp(precision) | TypeRoot::TimestampLtz(precision)) => {
            let dates = array.as_primitive_opt::<Date32Type>().ok_or_else(wrong)?;
            let unit = Unit::of(*precision);
            timestamps(rows, to, |row| {
                if dates.is_null(row) {
                    return Ok(None);
                }
                let local = unit.of_millis(i64::from(dates.value(row)) * DAY);
                failure.out_of_range(
                    local.map(|local| moment(local, unit, to, zone)),
                    array,
                    from,
                    to,
                    zone,
                    row,
                )
            })
        }
        (TypeRoot::Time(_), TypeRoot::Timestamp(precision) | TypeRoot::TimestampLtz(precision)) => {
            let times = array.as_primitive_opt::<Time32MillisecondType>().ok_or_else(wrong)?;
            let unit = Unit::of(*precision);
            timestamps(rows, to, |row| {
                let local =
                    times.is_valid(row).then(|| unit.of_millis(i64::from(times.value(row)))).flatten();
                Ok(local.map(|local| moment(local, unit, to, zone)))
            })
        }
        (
            TypeRoot::Timestamp(input) | TypeRoot::TimestampLtz(input),
            TypeRoot::Timestamp(output) | TypeRoot::TimestampLtz(output),
        ) => {
            let (before, after) = (Unit::of(*input), Unit::of(*output));
            let values = before.values(array).ok_or_else(wrong)?;
            let is_same_kind = std::mem::discriminant(from) == std::mem::discriminant(to);
            timestamps(rows, to, |row| {
                let Some(value) = values.get(row).copied().filter(|_| array.is_valid(row)) else {
                    return Ok(None);
                };
                let value = match to {
                    _ if is_same_kind => value,
                    TypeRoot::TimestampLtz(_) => before.to_moment(value, zone),
                    _ => before.to_local(value, zone),
                };
                let value = if input > output { before.cut(value, *output) } else { value };
                failure.out_of_range(before.convert(value, after), array, from, to, zone, row)
            })
        }
        _ => Err(KernelError(format!("there is no conversion of {from} to {to}"))),
    }
}

/// A local time as a value of `to`, which is a moment when that has a time zone.
fn moment(local: i64, unit: Unit, to: &TypeRoot, zone: Tz) -> i64 {
    if matches!(to, TypeRoot::TimestampLtz(_)) { unit.to_moment(local, zone) } else { local }
}

/// A builder of columns of `root`.
pub(crate) fn builder<T: arrow_array::ArrowPrimitiveType>(
    root: &TypeRoot,
    rows: usize,
) -> PrimitiveBuilder<T> {
    PrimitiveBuilder::with_capacity(rows).with_data_type(arrow::data_type(root))
}
