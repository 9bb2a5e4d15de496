//! Arithmetic with dates, times, timestamps and intervals.

use arrow_array::ArrayRef;
use arrow_array::types::{
    ArrowPrimitiveType, ArrowTimestampType, Date32Type, DurationMillisecondType, Int64Type,
    IntervalYearMonthType, Time32MillisecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};

use super::columns::{binary, zip};
use super::expected;
use super::numbers::Operation;
use crate::functions::cast::calendar::{self, DAY};
use crate::functions::cast::temporal::Unit;
use crate::functions::kernel::{Input, Inputs, KernelError, Mismatch, Resolved};
use crate::types::{LogicalType, TypeRoot};

/// Resolves an operation with two intervals, or an interval and a number.
pub(super) fn intervals(
    operation: Operation,
    one: &LogicalType,
    two: &LogicalType,
) -> Result<Resolved, Mismatch> {
    let nullable = one.nullable || two.nullable;
    let arguments = vec![one.clone(), two.clone()];
    let returns = one.clone().with_nullable(nullable);
    Ok(match (operation, &one.root, &two.root) {
        (Operation::Add, TypeRoot::IntervalMonths, TypeRoot::IntervalMonths) => {
            Resolved::new(arguments, returns, |inputs| {
                binary::<IntervalYearMonthType>(inputs, i32::wrapping_add)
            })
        }
        (Operation::Subtract, TypeRoot::IntervalMonths, TypeRoot::IntervalMonths) => {
            Resolved::new(arguments, returns, |inputs| {
                binary::<IntervalYearMonthType>(inputs, i32::wrapping_sub)
            })
        }
        (Operation::Add, TypeRoot::IntervalMillis, TypeRoot::IntervalMillis) => {
            Resolved::new(arguments, returns, |inputs| {
                binary::<DurationMillisecondType>(inputs, i64::wrapping_add)
            })
        }
        (Operation::Subtract, TypeRoot::IntervalMillis, TypeRoot::IntervalMillis) => {
            Resolved::new(arguments, returns, |inputs| {
                binary::<DurationMillisecondType>(inputs, i64::wrapping_sub)
            })
        }
        (Operation::Multiply, interval, number) if number.is_integer() => {
            multiplied(interval, one, two, false)?
        }
        (Operation::Multiply, number, interval) if number.is_integer() => {
            multiplied(interval, one, two, true)?
        }
        _ => return Err(expected(operation)),
    })
}

/// An interval that is multiplied by a whole number, which stands in front when `is_reversed`.
fn multiplied(
    interval: &TypeRoot,
    one: &LogicalType,
    two: &LogicalType,
    is_reversed: bool,
) -> Result<Resolved, Mismatch> {
    let nullable = one.nullable || two.nullable;
    let root = interval.clone();
    let returns = LogicalType { root: root.clone(), nullable };
    let number = |other: &LogicalType| LogicalType { root: TypeRoot::BigInt, nullable: other.nullable };
    let arguments = if is_reversed { vec![number(one), two.clone()] } else { vec![one.clone(), number(two)] };
    Ok(match interval {
        TypeRoot::IntervalMonths => Resolved::new(arguments, returns, move |inputs| {
            zip::<IntervalYearMonthType, Int64Type, IntervalYearMonthType>(
                &ordered(inputs, is_reversed)?,
                &root,
                |months, number| Ok(Some(months.wrapping_mul(number as i32))),
            )
        }),
        TypeRoot::IntervalMillis => Resolved::new(arguments, returns, move |inputs| {
            zip::<DurationMillisecondType, Int64Type, DurationMillisecondType>(
                &ordered(inputs, is_reversed)?,
                &root,
                |millis, number| Ok(Some(millis.wrapping_mul(number))),
            )
        }),
        _ => return Err(expected(Operation::Multiply)),
    })
}

/// The two arguments, the other way round when `is_reversed`.
fn ordered(inputs: &Inputs, is_reversed: bool) -> Result<Inputs, KernelError> {
    let (one, two): (&Input, &Input) = (inputs.get(0)?, inputs.get(1)?);
    let both = if is_reversed { [two, one] } else { [one, two] };
    Ok(Inputs::new(both.map(Clone::clone).to_vec(), inputs.rows()))
}

/// Resolves a date, time or timestamp that an interval is added to or subtracted from.
pub(super) fn moved(
    operation: Operation,
    one: &LogicalType,
    two: &LogicalType,
) -> Result<Resolved, Mismatch> {
    let is_reversed = matches!(one.root, TypeRoot::IntervalMonths | TypeRoot::IntervalMillis);
    let (start, interval) = if is_reversed { (two, one) } else { (one, two) };
    let sign = match operation {
        Operation::Add => 1,
        Operation::Subtract if !is_reversed => -1,
        _ => return Err(expected(operation)),
    };
    let nullable = one.nullable || two.nullable;
    let root = start.root.clone();
    let has_months = interval.root == TypeRoot::IntervalMonths;
    Ok(Resolved::new(vec![one.clone(), two.clone()], start.clone().with_nullable(nullable), move |inputs| {
        let inputs = ordered(inputs, is_reversed)?;
        match (&root, has_months) {
            (TypeRoot::Date, true) => months::<Date32Type>(&inputs, &root, |day, months| {
                i32::try_from(calendar::add_months(i64::from(day), sign * months)).ok()
            }),
            (TypeRoot::Date, false) => millis::<Date32Type>(&inputs, &root, |day, millis| {
                i32::try_from(i64::from(day) + sign * (millis / DAY)).ok()
            }),
            // A clock shows the same after any number of months.
            (TypeRoot::Time(_), true) => {
                months::<Time32MillisecondType>(&inputs, &root, |time, _| Some(time))
            }
            (TypeRoot::Time(_), false) => millis::<Time32MillisecondType>(&inputs, &root, |time, millis| {
                i32::try_from((i64::from(time) + DAY + sign * (millis % DAY)) % DAY).ok()
            }),
            (TypeRoot::Timestamp(precision) | TypeRoot::TimestampLtz(precision), _) => {
                match Unit::of(*precision) {
                    Unit::Millis => timestamp::<TimestampMillisecondType>(&inputs, &root, sign, has_months),
                    Unit::Micros => timestamp::<TimestampMicrosecondType>(&inputs, &root, sign, has_months),
                    Unit::Nanos => timestamp::<TimestampNanosecondType>(&inputs, &root, sign, has_months),
                }
            }
            _ => Err(KernelError(format!("no interval can be added to {root}"))),
        }
    }))
}

fn out_of_range(root: &TypeRoot) -> KernelError {
    KernelError(format!("a {root} that an interval was added to is out of range"))
}

fn months<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    root: &TypeRoot,
    add: impl Fn(T::Native, i64) -> Option<T::Native>,
) -> Result<ArrayRef, KernelError> {
    zip::<T, IntervalYearMonthType, T>(inputs, root, |value, months| {
        add(value, i64::from(months)).map(Some).ok_or_else(|| out_of_range(root))
    })
}

fn millis<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    root: &TypeRoot,
    add: impl Fn(T::Native, i64) -> Option<T::Native>,
) -> Result<ArrayRef, KernelError> {
    zip::<T, DurationMillisecondType, T>(inputs, root, |value, millis| {
        add(value, millis).map(Some).ok_or_else(|| out_of_range(root))
    })
}

/// Intervals of milliseconds are added to the moment; those of months to the date in UTC, which is also the
/// time zone of a `TIMESTAMP_LTZ` here, as it is in Flink.
fn timestamp<T: ArrowTimestampType>(
    inputs: &Inputs,
    root: &TypeRoot,
    sign: i64,
    has_months: bool,
) -> Result<ArrayRef, KernelError> {
    let (TypeRoot::Timestamp(precision) | TypeRoot::TimestampLtz(precision)) = root else {
        return Err(out_of_range(root));
    };
    let unit = Unit::of(*precision);
    if has_months {
        let in_day = unit.in_milli() * DAY;
        return months::<T>(inputs, root, |value, months| {
            let day = calendar::add_months(value.div_euclid(in_day), sign * months);
            day.checked_mul(in_day)?.checked_add(value.rem_euclid(in_day))
        });
    }
    millis::<T>(inputs, root, |value, millis| {
        millis.checked_mul(sign * unit.in_milli()).and_then(|moved| value.checked_add(moved))
    })
}
