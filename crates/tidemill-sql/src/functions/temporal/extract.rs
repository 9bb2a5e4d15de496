//! `EXTRACT` and the functions that are short for it.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, DurationMillisecondType, Int64Type, IntervalYearMonthType, Time32MillisecondType,
};

use super::calendar::{DAY, HOUR, MINUTE, SECOND, Unit, extract_from_days};
use super::column::TimestampColumn;
use super::zone::{Offsets, Zone};
use crate::functions::kernel::{Argument, FunctionContext, Mismatch, Resolved};
use crate::functions::support::primitives;
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

const EXPECTS: &str = "expects (UNIT FROM a date, time, timestamp or interval)";

pub(super) fn extract(context: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let [unit, value] = arguments else { return Err(Mismatch::new(EXPECTS)) };
    let name = unit.text().ok_or_else(|| Mismatch::new(EXPECTS))?;
    let known = Unit::named(name).ok_or_else(|| Mismatch::new(format!("there is no unit {name} of time")))?;
    part(context, known, Some(unit.logical), value)
}

macro_rules! parts {
    ($($name:ident => $unit:ident),* $(,)?) => {$(
        pub(super) fn $name(
            context: &FunctionContext,
            arguments: Arguments<'_>,
        ) -> Result<Resolved, Mismatch> {
            let [value] = arguments else { return Err(Mismatch::new("expects a date or a timestamp")) };
            part(context, Unit::$unit, None, value)
        }
    )*};
}
parts! {
    year => Year,
    quarter => Quarter,
    month => Month,
    week => Week,
    day_of_year => DayOfYear,
    day_of_month => Day,
    day_of_week => DayOfWeek,
    hour => Hour,
    minute => Minute,
    second => Second,
}

/// The `unit` of an argument, which stands behind another one of type `before` if any.
fn part(
    context: &FunctionContext,
    unit: Unit,
    before: Option<&LogicalType>,
    value: &Argument<'_>,
) -> Result<Resolved, Mismatch> {
    let returns = TypeRoot::BigInt.not_null().with_nullable(value.logical.nullable);
    let at = usize::from(before.is_some());
    let resolved = |target: LogicalType, kernel: Box<KernelOf>| {
        let types = before.cloned().into_iter().chain([target]).collect();
        Resolved::new(types, returns.clone(), move |inputs| kernel(inputs, inputs.get(at)?))
    };
    let target = value.logical.clone();
    let refused =
        || Mismatch::new(format!("{unit:?} cannot be extracted from a value of type {}", value.logical.root));
    Ok(match &value.logical.root {
        TypeRoot::Null => {
            let target = TypeRoot::Timestamp(3).nullable();
            resolved(
                target,
                Box::new(|inputs, _| Ok(Arc::new(primitives::<Int64Type>(inputs, |_| Ok(None))?))),
            )
        }
        TypeRoot::Timestamp(_) => resolved(
            target,
            Box::new(move |inputs, input| {
                let column = TimestampColumn::new(input)?;
                let parts = primitives::<Int64Type>(inputs, |row| {
                    Ok(read(&column, row, unit).and_then(|(millis, nanos)| of_timestamp(unit, millis, nanos)))
                })?;
                Ok(Arc::new(parts))
            }),
        ),
        TypeRoot::TimestampLtz(_) => {
            let zone = Zone::of_session(context.time_zone);
            resolved(
                target,
                Box::new(move |inputs, input| {
                    let column = TimestampColumn::new(input)?;
                    let offsets = Offsets::legacy(zone);
                    let parts = primitives::<Int64Type>(inputs, |row| {
                        Ok(read(&column, row, unit)
                            .and_then(|(millis, nanos)| of_timestamp(unit, offsets.local(millis), nanos)))
                    })?;
                    Ok(Arc::new(parts))
                }),
            )
        }
        TypeRoot::Date => {
            if matches!(unit, Unit::Microsecond | Unit::Nanosecond) {
                return Err(refused());
            }
            resolved(
                target,
                Box::new(move |inputs, input| {
                    let column = input.primitive::<Date32Type>()?;
                    let parts = primitives::<Int64Type>(inputs, |row| {
                        Ok(column.get(row).and_then(|days| of_date(unit, i64::from(days))))
                    })?;
                    Ok(Arc::new(parts))
                }),
            )
        }
        TypeRoot::Time(_) => {
            if unit.is_of_date() || matches!(unit, Unit::Epoch | Unit::Microsecond | Unit::Nanosecond) {
                return Err(refused());
            }
            resolved(
                target,
                Box::new(move |inputs, input| {
                    let column = input.primitive::<Time32MillisecondType>()?;
                    let parts = primitives::<Int64Type>(inputs, |row| {
                        Ok(column.get(row).and_then(|time| of_clock(unit, i64::from(time))))
                    })?;
                    Ok(Arc::new(parts))
                }),
            )
        }
        TypeRoot::IntervalMillis => {
            if unit != Unit::Day && of_clock(unit, 0).is_none() {
                return Err(refused());
            }
            resolved(
                target,
                Box::new(move |inputs, input| {
                    let column = input.primitive::<DurationMillisecondType>()?;
                    let parts = primitives::<Int64Type>(inputs, |row| {
                        let millis = column.get(row);
                        Ok(millis.and_then(|millis| {
                            if unit == Unit::Day { Some(millis / DAY) } else { of_clock(unit, millis) }
                        }))
                    })?;
                    Ok(Arc::new(parts))
                }),
            )
        }
        TypeRoot::IntervalMonths => {
            if of_months(unit, 0).is_none() {
                return Err(refused());
            }
            resolved(
                target,
                Box::new(move |inputs, input| {
                    let column = input.primitive::<IntervalYearMonthType>()?;
                    let parts = primitives::<Int64Type>(inputs, |row| {
                        Ok(column.get(row).and_then(|months| of_months(unit, i64::from(months))))
                    })?;
                    Ok(Arc::new(parts))
                }),
            )
        }
        _ => return Err(Mismatch::new(EXPECTS)),
    })
}

type KernelOf = dyn Fn(
        &crate::functions::kernel::Inputs,
        &crate::functions::kernel::Input,
    ) -> Result<arrow_array::ArrayRef, crate::functions::kernel::KernelError>
    + Send
    + Sync;

/// The part of a time of day, or of what is left of a longer time.
#[inline]
fn of_clock(unit: Unit, millis: i64) -> Option<i64> {
    Some(match unit {
        Unit::Hour => millis % DAY / HOUR,
        Unit::Minute => millis % HOUR / MINUTE,
        Unit::Second => millis % MINUTE / SECOND,
        Unit::Millisecond => millis % SECOND,
        _ => return None,
    })
}

/// The milliseconds of a row, and the nanoseconds beyond them where the `unit` is fine enough to need them:
/// the division is not paid for otherwise.
#[inline]
fn read(column: &TimestampColumn<'_>, row: usize, unit: Unit) -> Option<(i64, i64)> {
    match unit {
        Unit::Microsecond | Unit::Nanosecond => column.get(row),
        _ => column.millis(row).map(|millis| (millis, 0)),
    }
}

#[inline]
fn of_timestamp(unit: Unit, millis: i64, nanos: i64) -> Option<i64> {
    match unit {
        Unit::Microsecond => Some(millis % SECOND * 1000 + nanos / 1000),
        Unit::Nanosecond => Some(millis % SECOND * 1_000_000 + nanos),
        Unit::Epoch => Some(millis / SECOND),
        Unit::Hour | Unit::Minute | Unit::Second | Unit::Millisecond => of_clock(unit, millis),
        // Days are counted by cutting off, so that before 1970 a time belongs to the day after, as in Flink.
        _ => extract_from_days(unit, millis / DAY),
    }
}

fn of_date(unit: Unit, days: i64) -> Option<i64> {
    // Flink takes the number of the day for milliseconds where a time of day is asked for.
    extract_from_days(unit, days).or_else(|| of_clock(unit, days))
}

fn of_months(unit: Unit, months: i64) -> Option<i64> {
    Some(match unit {
        Unit::Year => months / 12,
        Unit::Month => months % 12,
        Unit::Quarter => (months % 12 - 1) / 3 + 1,
        Unit::Century => months / 1200,
        Unit::Millennium => months / 12_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use super::super::tests::{date, days_interval, ltz, months_interval, time, timestamp, timestamp_nanos};
    use crate::functions::support::testing::{Given, call, call_in, context, number};
    use crate::types::TypeRoot;

    fn extract(unit: &str, value: Given) -> Option<i64> {
        number(FUNCTIONS, "EXTRACT", &[unit.into(), value])
    }

    #[test]
    fn of_timestamps() {
        for (unit, text, expected) in [
            ("YEAR", "1969-12-31 23:00:00", 1970),
            ("HOUR", "1969-12-31 23:00:00", -1),
            ("MINUTE", "1969-12-31 23:10:05.123", -49),
            ("SECOND", "1969-12-31 23:10:05.123", -54),
            ("DAY", "1969-12-31 23:10:05.123", 1),
            ("DAY", "1950-05-05 10:00:00", 6),
            ("EPOCH", "1969-12-31 23:59:59.5", 0),
            ("MILLISECOND", "2020-01-01 00:00:01.234", 234),
            ("DOY", "2020-02-03 00:00:00", 34),
            ("HOUR", "2020-02-03 23:59:59", 23),
            ("EPOCH", "2020-02-03 23:59:59", 1_580_774_399),
            ("WEEK", "2021-01-03 12:00:00", 53),
        ] {
            assert_eq!(extract(unit, timestamp(text)), Some(expected), "{unit} of {text}");
        }
        let fine = || timestamp_nanos(1_577_836_801_234_567_891);
        assert_eq!(extract("MICROSECOND", fine()), Some(234_567));
        assert_eq!(extract("NANOSECOND", fine()), Some(234_567_891));
        assert_eq!(number(FUNCTIONS, "HOUR", &[timestamp("2020-02-03 23:59:59")]), Some(23));
        assert_eq!(number(FUNCTIONS, "DAYOFWEEK", &[date("2020-02-03")]), Some(2));
        assert_eq!(number(FUNCTIONS, "YEAR", &[timestamp("NULL")]), None);
    }

    #[test]
    fn of_dates_and_times() {
        assert_eq!(extract("CENTURY", date("2000-01-03")), Some(20));
        assert_eq!(extract("HOUR", date("2001-01-03")), Some(0));
        assert_eq!(extract("SECOND", date("2001-01-03")), Some(11));
        assert_eq!(extract("MILLISECOND", date("2001-01-03")), Some(325));
        assert_eq!(extract("EPOCH", date("2001-01-03")), Some(978_480_000));
        assert_eq!(extract("HOUR", time("10:20:30")), Some(10));
        assert_eq!(number(FUNCTIONS, "SECOND", &[time("10:11:12")]), Some(12));
        assert!(call(FUNCTIONS, "EXTRACT", &["YEAR".into(), time("10:20:30")]).is_err());
        assert!(call(FUNCTIONS, "EXTRACT", &["EPOCH".into(), time("10:20:30")]).is_err());
        assert!(call(FUNCTIONS, "EXTRACT", &["NOPE".into(), time("10:20:30")]).is_err());
        assert!(call(FUNCTIONS, "EXTRACT", &["YEAR".into(), 1.into()]).is_err());
        assert!(call(FUNCTIONS, "YEAR", &["2020".into()]).is_err());
    }

    #[test]
    fn of_intervals() {
        assert_eq!(extract("DAY", days_interval(19 * 86_400_000)), Some(19));
        assert_eq!(extract("HOUR", days_interval(19 * 86_400_000 + 5 * 3_600_000)), Some(5));
        assert_eq!(extract("MONTH", months_interval(29)), Some(5));
        assert_eq!(extract("YEAR", months_interval(29)), Some(2));
        assert_eq!(extract("QUARTER", months_interval(29)), Some(2));
        assert!(call(FUNCTIONS, "EXTRACT", &["DAY".into(), months_interval(29)]).is_err());
        assert!(call(FUNCTIONS, "EXTRACT", &["EPOCH".into(), days_interval(29)]).is_err());
    }

    #[test]
    fn in_the_zone_of_the_session() {
        let mut there = context();
        there.time_zone = chrono_tz::Tz::Asia__Shanghai;
        let (hours, returns) = call_in(&there, FUNCTIONS, "EXTRACT", &["HOUR".into(), ltz(0)]).unwrap();
        assert_eq!(
            arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(&hours).value(0),
            8
        );
        assert_eq!(returns, TypeRoot::BigInt.not_null());
        assert_eq!(extract("DOW", ltz(0)), Some(5));
        assert_eq!(extract("HOUR", ltz(-1000)), Some(0));
    }
}
