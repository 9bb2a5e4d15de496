//! `TIMESTAMPADD`, `TIMESTAMPDIFF` and `OVERLAPS`.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, DurationMillisecondType, Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType,
};

use super::calendar::{DAY, SECOND, Unit, add_months, add_months_to_millis, months_between_millis};
use super::column::{TimestampColumn, timestamps};
use crate::functions::kernel::{Argument, FunctionContext, Input, KernelError, Mismatch, Resolved};
use crate::functions::support::{Want, any_nullable, booleans, null_like, primitives, targets};
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

fn unit_of(argument: Option<&Argument<'_>>) -> Result<Unit, Mismatch> {
    let name =
        argument.and_then(Argument::text).ok_or_else(|| Mismatch::new("expects a unit of time first"))?;
    Unit::named(name).ok_or_else(|| Mismatch::new(format!("there is no unit {name} of time")))
}

fn out_of_range() -> KernelError {
    KernelError("a date or time is out of range".to_owned())
}

/// How long a unit is.
#[derive(Clone, Copy)]
enum Length {
    Months(i64),
    Millis(i64),
}

pub(super) fn add(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "expects (UNIT, INT, a date, time or timestamp)";
    let [unit_argument, count, value] = arguments else { return Err(Mismatch::new(expects)) };
    let unit = unit_of(Some(unit_argument))?;
    let length = match (unit.months(), unit.millis()) {
        (Some(months), _) => Length::Months(months),
        (_, Some(millis)) => Length::Millis(millis),
        _ => return Err(Mismatch::new(format!("cannot add units of {unit:?}"))),
    };
    let mut types = vec![unit_argument.logical.clone()];
    types.extend(
        targets(std::slice::from_ref(count), &[Want::Integer], &[], expects)
            .map_err(|_| Mismatch::new(expects))?,
    );
    types.push(value.logical.clone());
    let is_fine = unit == Unit::Millisecond;
    let precise = |precision: u8| if is_fine { precision.max(3) } else { precision };
    let root = match &value.logical.root {
        TypeRoot::Timestamp(precision) => TypeRoot::Timestamp(precise(*precision)),
        TypeRoot::TimestampLtz(precision) => TypeRoot::TimestampLtz(precise(*precision)),
        TypeRoot::Date => match length {
            Length::Months(_) => TypeRoot::Date,
            Length::Millis(millis) if millis % DAY == 0 => TypeRoot::Date,
            Length::Millis(_) => TypeRoot::Timestamp(if is_fine { 3 } else { 6 }),
        },
        TypeRoot::Time(precision) => TypeRoot::Time(*precision),
        _ => return Err(Mismatch::new(expects)),
    };
    let returns = root.clone().not_null().with_nullable(count.logical.nullable || value.logical.nullable);
    let from_date = value.logical.root == TypeRoot::Date;
    Ok(Resolved::new(types, returns, move |inputs| {
        let (counts, input) = (inputs.get(1)?.primitive::<Int64Type>()?, inputs.get(2)?);
        let added = |count: i64, millis: i64| -> Result<i64, KernelError> {
            let sum = match length {
                Length::Months(months) => {
                    let months = count.checked_mul(months).filter(|months| months.abs() < 12_000_000);
                    months.and_then(|months| add_months_to_millis(millis, months))
                }
                Length::Millis(length) => {
                    count.checked_mul(length).and_then(|length| millis.checked_add(length))
                }
            };
            sum.ok_or_else(out_of_range)
        };
        match &root {
            TypeRoot::Date => {
                let column = input.primitive::<Date32Type>()?;
                let days = primitives::<Date32Type>(inputs, |row| {
                    let (Some(count), Some(days)) = (counts.get(row), column.get(row)) else {
                        return Ok(None);
                    };
                    let sum = added(count, i64::from(days) * DAY)?.div_euclid(DAY);
                    i32::try_from(sum).map(Some).map_err(|_| out_of_range())
                })?;
                Ok(Arc::new(days))
            }
            TypeRoot::Time(_) => {
                let column = input.primitive::<Time32MillisecondType>()?;
                let times = primitives::<Time32MillisecondType>(inputs, |row| {
                    let (Some(count), Some(time)) = (counts.get(row), column.get(row)) else {
                        return Ok(None);
                    };
                    // Months do not change a time of day, and the clock starts again at midnight.
                    let sum = match length {
                        Length::Months(_) => i64::from(time),
                        Length::Millis(_) => added(count, i64::from(time))?.rem_euclid(DAY),
                    };
                    i32::try_from(sum).map(Some).map_err(|_| out_of_range())
                })?;
                Ok(Arc::new(times))
            }
            _ if from_date => {
                let column = input.primitive::<Date32Type>()?;
                timestamps(inputs, &root, |row| {
                    let (Some(count), Some(days)) = (counts.get(row), column.get(row)) else {
                        return Ok(None);
                    };
                    Ok(Some((added(count, i64::from(days) * DAY)?, 0)))
                })
            }
            _ => {
                let column = TimestampColumn::new(input)?;
                timestamps(inputs, &root, |row| {
                    let (Some(count), Some((millis, nanos))) = (counts.get(row), column.get(row)) else {
                        return Ok(None);
                    };
                    Ok(Some((added(count, millis)?, nanos)))
                })
            }
        }
    }))
}

/// Reads dates, times and timestamps in milliseconds.
enum Millis<'a> {
    Dates(crate::functions::kernel::Values<'a, arrow_array::Date32Array>),
    Times(crate::functions::kernel::Values<'a, arrow_array::Time32MillisecondArray>),
    Timestamps(TimestampColumn<'a>),
}

impl<'a> Millis<'a> {
    fn of(input: &'a Input, root: &TypeRoot) -> Result<Self, KernelError> {
        Ok(match root {
            TypeRoot::Date => Millis::Dates(input.primitive::<Date32Type>()?),
            TypeRoot::Time(_) => Millis::Times(input.primitive::<Time32MillisecondType>()?),
            _ => Millis::Timestamps(TimestampColumn::new(input)?),
        })
    }

    fn get(&self, row: usize) -> Option<i64> {
        match self {
            Millis::Dates(dates) => dates.get(row).map(|days| i64::from(days) * DAY),
            Millis::Times(times) => times.get(row).map(i64::from),
            Millis::Timestamps(column) => column.millis(row),
        }
    }
}

pub(super) fn difference(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "expects (UNIT, two dates, times or timestamps)";
    let [unit_argument, from, to] = arguments else { return Err(Mismatch::new(expects)) };
    let unit = unit_of(Some(unit_argument))?;
    let null_as = |one: &LogicalType, two: &LogicalType| match (&one.root, &two.root) {
        (TypeRoot::Null, TypeRoot::Null) => TypeRoot::Timestamp(3).nullable(),
        (TypeRoot::Null, _) => two.clone().with_nullable(true),
        _ => one.clone(),
    };
    let (one, two) = (null_as(from.logical, to.logical), null_as(to.logical, from.logical));
    let is_time = match (&one.root, &two.root) {
        (TypeRoot::Date | TypeRoot::Timestamp(_), TypeRoot::Date | TypeRoot::Timestamp(_))
        | (TypeRoot::TimestampLtz(_), TypeRoot::TimestampLtz(_)) => false,
        (TypeRoot::Time(_), TypeRoot::Time(_)) => true,
        (TypeRoot::TimestampLtz(_), _) | (_, TypeRoot::TimestampLtz(_)) => {
            return Err(Mismatch::new("a TIMESTAMP_LTZ only has a difference from another one"));
        }
        _ => return Err(Mismatch::new(expects)),
    };
    let length = match (unit.months(), unit.millis(), unit) {
        (Some(months), ..) if !is_time => Length::Months(months),
        (_, Some(millis), _) => Length::Millis(millis),
        (.., Unit::Microsecond) => Length::Millis(1),
        _ => return Err(Mismatch::new(format!("there is no difference in units of {unit:?}"))),
    };
    let types = vec![unit_argument.logical.clone(), one.clone(), two.clone()];
    let nullable = any_nullable(arguments);
    Ok(Resolved::new(types, TypeRoot::Int.not_null().with_nullable(nullable), move |inputs| {
        let (from, to) = (Millis::of(inputs.get(1)?, &one.root)?, Millis::of(inputs.get(2)?, &two.root)?);
        let differences = primitives::<Int32Type>(inputs, |row| {
            let (Some(from), Some(to)) = (from.get(row), to.get(row)) else { return Ok(None) };
            let between = || to.checked_sub(from).ok_or_else(out_of_range);
            let difference = match (length, unit) {
                (Length::Months(months), _) => months_between_millis(to, from) / months,
                // What is less than a second is lost on the way, as in Flink.
                (_, Unit::Millisecond) => between()? / SECOND * 1000,
                (_, Unit::Microsecond) => (between()? / SECOND).wrapping_mul(1_000_000),
                (Length::Millis(millis), _) => between()? / millis,
            };
            // Java's int starts again at its least number.
            Ok(Some(difference as i32))
        })?;
        Ok(Arc::new(differences))
    }))
}

/// The end of a period: a moment or how long it is.
enum End<'a> {
    At(Millis<'a>),
    Months(crate::functions::kernel::Values<'a, arrow_array::IntervalYearMonthArray>),
    Millis(crate::functions::kernel::Values<'a, arrow_array::DurationMillisecondArray>),
}

impl<'a> End<'a> {
    fn of(input: &'a Input, root: &TypeRoot) -> Result<Self, KernelError> {
        Ok(match root {
            TypeRoot::IntervalMonths => End::Months(input.primitive::<IntervalYearMonthType>()?),
            TypeRoot::IntervalMillis => End::Millis(input.primitive::<DurationMillisecondType>()?),
            _ => End::At(Millis::of(input, root)?),
        })
    }

    fn get(&self, row: usize, start: i64) -> Option<i64> {
        match self {
            End::At(end) => end.get(row),
            End::Months(months) => {
                let day = add_months(start.div_euclid(DAY), i64::from(months.get(row)?));
                day.checked_mul(DAY)?.checked_add(start.rem_euclid(DAY))
            }
            End::Millis(millis) => start.checked_add(millis.get(row)?),
        }
    }
}

pub(super) fn overlaps(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let mismatch =
        || Mismatch::new("expects two periods, each a date, time or timestamp and its end or an interval");
    let [start, end, other_start, other_end] = arguments else { return Err(mismatch()) };
    let is_moment =
        |root: &TypeRoot| matches!(root, TypeRoot::Date | TypeRoot::Time(_)) || root.is_timestamp();
    let is_interval = |root: &TypeRoot| matches!(root, TypeRoot::IntervalMonths | TypeRoot::IntervalMillis);
    let is_time = |root: &TypeRoot| matches!(root, TypeRoot::Time(_));
    let roots: Vec<TypeRoot> = arguments.iter().map(|argument| argument.logical.root.clone()).collect();
    let starts = [start, other_start];
    let is_end = |end: &Argument<'_>| is_moment(&end.logical.root) || is_interval(&end.logical.root);
    let all_times = roots.iter().all(|root| is_time(root) || is_interval(root));
    let no_time = roots.iter().all(|root| !is_time(root));
    let fits = starts.iter().all(|start| is_moment(&start.logical.root)) && is_end(end) && is_end(other_end);
    if !fits || !(all_times || no_time) {
        return Err(mismatch());
    }
    let types = arguments.iter().map(|argument| argument.logical.clone()).collect();
    Ok(Resolved::new(types, null_like(TypeRoot::Boolean, arguments), move |inputs| {
        let [one, two, three, four] = roots.as_slice() else { return Err(out_of_range()) };
        let (start, end) = (Millis::of(inputs.get(0)?, one)?, End::of(inputs.get(1)?, two)?);
        let (other_start, other_end) = (Millis::of(inputs.get(2)?, three)?, End::of(inputs.get(3)?, four)?);
        booleans(inputs, |row| {
            let (Some(start), Some(other_start)) = (start.get(row), other_start.get(row)) else {
                return Ok(None);
            };
            let (Some(end), Some(other_end)) = (end.get(row, start), other_end.get(row, other_start)) else {
                return Ok(None);
            };
            let meets =
                start.max(end) >= other_start.min(other_end) && other_start.max(other_end) >= start.min(end);
            Ok(Some(meets))
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use super::super::tests::{date, days_interval, ltz, shown, time, timestamp};
    use crate::functions::support::testing::{Given, call, call_in, context, number, truth};
    use crate::types::TypeRoot;

    fn add(unit: &str, count: i32, value: Given) -> String {
        shown(&call(FUNCTIONS, "TIMESTAMPADD", &[unit.into(), count.into(), value]).unwrap())
    }

    fn difference(unit: &str, from: Given, to: Given) -> Option<i64> {
        number(FUNCTIONS, "TIMESTAMPDIFF", &[unit.into(), from, to])
    }

    #[test]
    fn adds() {
        assert_eq!(add("MONTH", 1, timestamp("2021-01-31 10:00:00")), "2021-02-28T10:00");
        assert_eq!(add("WEEK", 1, date("2021-01-31")), "2021-02-07");
        assert_eq!(add("SQL_TSI_DAY", 1, date("2021-01-31")), "2021-02-01");
        assert_eq!(add("HOUR", 1, date("2021-01-31")), "2021-01-31T01:00");
        assert_eq!(add("YEAR", 1, date("2020-02-29")), "2021-02-28");
        assert_eq!(add("QUARTER", 2, date("2020-08-31")), "2021-02-28");
        assert_eq!(add("CENTURY", 1, date("2020-01-01")), "2120-01-01");
        assert_eq!(add("SECOND", 90, timestamp("2021-01-31 10:00:00")), "2021-01-31T10:01:30");
        assert_eq!(add("MILLISECOND", 15, timestamp("2020-01-01 00:00:00")), "2020-01-01T00:00:00.015");
        assert_eq!(add("MINUTE", -90, time("01:00:00")), "23:30:00");
        assert_eq!(add("MONTH", 1, time("23:30:00")), "23:30:00");
        assert_eq!(add("DAY", 1, ltz(0)), "1970-01-02T00:00");
        assert_eq!(add("DAY", 1, timestamp("NULL")), "NULL");
        let far = call(
            FUNCTIONS,
            "TIMESTAMPADD",
            &["YEAR".into(), i64::MAX.into(), timestamp("2020-01-01 00:00:00")],
        );
        assert_eq!(far, Err("a date or time is out of range".to_owned()));
        assert!(call(FUNCTIONS, "TIMESTAMPADD", &["MICROSECOND".into(), 1.into(), ltz(0)]).is_err());
        assert!(call(FUNCTIONS, "TIMESTAMPADD", &["DAY".into(), "1".into(), ltz(0)]).is_err());
        let (_, returns) =
            call_in(&context(), FUNCTIONS, "TIMESTAMPADD", &["HOUR".into(), 1.into(), date("2021-01-31")])
                .unwrap();
        assert_eq!(returns, TypeRoot::Timestamp(6).not_null());
    }

    #[test]
    fn differences() {
        let of = |unit, from, to| difference(unit, timestamp(from), timestamp(to)).unwrap();
        assert_eq!(of("YEAR", "2000-02-29 00:00:00", "2021-02-28 00:00:00"), 21);
        assert_eq!(of("MONTH", "2020-01-31 10:00:00", "2020-02-29 09:00:00"), 0);
        assert_eq!(of("MONTH", "2020-01-31 10:00:00", "2020-02-29 11:00:00"), 1);
        assert_eq!(of("MONTH", "2020-02-29 11:00:00", "2020-01-31 10:00:00"), -1);
        assert_eq!(of("SECOND", "1900-01-01 00:00:00", "2020-02-01 12:00:00"), -505_420_096);
        assert_eq!(of("MILLISECOND", "2020-01-01 00:00:00", "2020-01-01 00:00:01.523"), 1000);
        assert_eq!(of("MICROSECOND", "2020-01-01 00:00:00", "2020-01-01 00:00:01.523"), 1_000_000);
        assert_eq!(difference("QUARTER", date("2020-02-29"), date("2021-02-28")), Some(4));
        assert_eq!(difference("WEEK", date("2020-02-01"), date("2020-02-20")), Some(2));
        assert_eq!(difference("DAY", timestamp("2020-02-01 12:00:00"), date("2020-02-20")), Some(18));
        assert_eq!(difference("HOUR", date("2020-02-20"), timestamp("2020-02-01 12:00:00")), Some(-444));
        assert_eq!(difference("MINUTE", time("01:00:00"), time("02:00:00")), Some(60));
        assert_eq!(difference("MINUTE", ltz(0), ltz(100_000)), Some(1));
        assert_eq!(difference("MONTH", ltz(0), ltz(100_000_000_000)), Some(38));
        assert_eq!(difference("DAY", timestamp("NULL"), date("2020-02-20")), None);
        assert!(call(FUNCTIONS, "TIMESTAMPDIFF", &["DAY".into(), ltz(0), date("2020-02-20")]).is_err());
        assert!(
            call(FUNCTIONS, "TIMESTAMPDIFF", &["DAY".into(), time("01:00:00"), date("2020-02-20")]).is_err()
        );
    }

    #[test]
    fn periods() {
        let day = 86_400_000;
        let meets = |one: [Given; 2], two: [Given; 2]| {
            let [a, b] = one;
            let [c, d] = two;
            truth(FUNCTIONS, "OVERLAPS", &[a, b, c, d])
        };
        assert_eq!(
            meets([date("2020-01-01"), days_interval(5 * day)], [date("2020-01-05"), days_interval(day)]),
            Some(true)
        );
        let hour = 3_600_000;
        assert_eq!(
            meets([time("02:55:00"), days_interval(hour)], [time("03:30:00"), days_interval(2 * hour)]),
            Some(true)
        );
        assert_eq!(
            meets([date("2020-01-03"), date("2020-01-01")], [date("2020-01-04"), date("2020-01-05")]),
            Some(false)
        );
        assert!(
            call(FUNCTIONS, "OVERLAPS", &[date("2020-01-03"), time("01:00:00"), ltz(0), ltz(1)]).is_err()
        );
    }
}
