//! `FLOOR(… TO …)` and `CEIL(… TO …)`.

use std::sync::Arc;

use arrow_array::types::{Date32Type, Time32MillisecondType};

use super::calendar::{DAY, Unit, round_days};
use super::column::{TimestampColumn, timestamps};
use super::zone::{Offsets, Zone};
use crate::functions::kernel::{Argument, FunctionContext, KernelError, Mismatch, Resolved};
use crate::functions::support::primitives;
use crate::types::TypeRoot;

type Arguments<'a> = &'a [Argument<'a>];

pub(super) fn floor(context: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    rounded(context, arguments, false)
}

pub(super) fn ceil(context: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    rounded(context, arguments, true)
}

fn out_of_range() -> KernelError {
    KernelError("a rounded time is out of range".to_owned())
}

/// The multiple of `step` below or above.
fn multiple(value: i64, step: i64, up: bool) -> Option<i64> {
    let rest = value.rem_euclid(step);
    if rest > 0 && up { value.checked_add(step - rest) } else { value.checked_sub(rest) }
}

/// A local time, in milliseconds, rounded.
fn round_millis(unit: Unit, millis: i64, up: bool) -> Option<i64> {
    match unit.millis() {
        Some(step) if unit != Unit::Week => multiple(millis, step, up),
        // Days are counted by cutting off, as in Flink.
        _ => round_days(unit, millis / DAY, up)?.checked_mul(DAY),
    }
}

fn rounded(context: &FunctionContext, arguments: Arguments<'_>, up: bool) -> Result<Resolved, Mismatch> {
    let mismatch = || Mismatch::new("expects (a date, time or timestamp TO a unit of time)");
    let [value, unit] = arguments else { return Err(mismatch()) };
    let name = unit.text().ok_or_else(mismatch)?;
    let unit_type = unit.logical.clone();
    let is_known = |unit: &Unit| unit.months().is_some() || unit.millis().is_some();
    let unit =
        Unit::named(name).filter(is_known).ok_or_else(|| Mismatch::new(format!("cannot round to {name}")))?;
    let logical = value.logical.clone();
    let types = vec![logical.clone(), unit_type];
    Ok(match &value.logical.root {
        TypeRoot::Timestamp(_) => {
            let root = logical.root.clone();
            Resolved::new(types, logical, move |inputs| {
                let column = TimestampColumn::new(inputs.get(0)?)?;
                timestamps(inputs, &root, |row| {
                    let Some((millis, nanos)) = column.get(row) else { return Ok(None) };
                    let rounded = if unit == Unit::Millisecond {
                        millis.checked_add(i64::from(up && nanos > 0))
                    } else {
                        round_millis(unit, millis, up)
                    };
                    rounded.map(|millis| Some((millis, 0))).ok_or_else(out_of_range)
                })
            })
        }
        TypeRoot::TimestampLtz(_) => {
            let root = logical.root.clone();
            let zone = Zone::of_session(context.time_zone);
            Resolved::new(types, logical, move |inputs| {
                let column = TimestampColumn::new(inputs.get(0)?)?;
                let offsets = Offsets::legacy(zone);
                timestamps(inputs, &root, |row| {
                    let Some(millis) = column.millis(row) else { return Ok(None) };
                    // The offset is that of the moment, also when another one holds at the rounded time.
                    let offset = offsets.at(millis);
                    let rounded = round_millis(unit, millis.saturating_add(offset), up);
                    let rounded = rounded.and_then(|millis| millis.checked_sub(offset));
                    rounded.map(|millis| Some((millis, 0))).ok_or_else(out_of_range)
                })
            })
        }
        TypeRoot::Date => Resolved::new(types, logical, move |inputs| {
            let column = inputs.get(0)?.primitive::<Date32Type>()?;
            let days = primitives::<Date32Type>(inputs, |row| {
                let Some(days) = column.get(row) else { return Ok(None) };
                let rounded = round_days(unit, i64::from(days), up).unwrap_or(i64::from(days));
                i32::try_from(rounded).map(Some).map_err(|_| out_of_range())
            })?;
            Ok(Arc::new(days))
        }),
        TypeRoot::Time(_) => {
            let step = unit.millis().filter(|step| *step < DAY);
            let step = step.ok_or_else(|| Mismatch::new(format!("cannot round a time to {name}")))?;
            Resolved::new(types, logical, move |inputs| {
                let column = inputs.get(0)?.primitive::<Time32MillisecondType>()?;
                let times = primitives::<Time32MillisecondType>(inputs, |row| {
                    let Some(time) = column.get(row) else { return Ok(None) };
                    let rounded = multiple(i64::from(time), step, up).filter(|time| *time < DAY);
                    rounded.and_then(|time| i32::try_from(time).ok()).map(Some).ok_or_else(out_of_range)
                })?;
                Ok(Arc::new(times))
            })
        }
        _ => return Err(mismatch()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use super::super::tests::{date, ltz, shown, time, timestamp, timestamp_nanos};
    use crate::functions::support::testing::{Given, call, number};

    fn rounded(name: &str, value: Given, unit: &str) -> String {
        shown(&call(FUNCTIONS, name, &[value, unit.into()]).unwrap())
    }

    #[test]
    fn timestamps() {
        for (name, text, unit, expected) in [
            ("FLOOR_TO", "2021-08-04 12:34:56.789", "WEEK", "2021-08-01T00:00"),
            ("CEIL_TO", "2021-08-04 12:34:56.789", "WEEK", "2021-08-08T00:00"),
            ("FLOOR_TO", "1950-08-04 12:34:56.789", "MONTH", "1950-08-01T00:00"),
            ("FLOOR_TO", "1950-08-01 12:34:56.789", "DAY", "1950-08-01T00:00"),
            ("FLOOR_TO", "1950-08-01 12:34:56.789", "HOUR", "1950-08-01T12:00"),
            ("CEIL_TO", "1950-08-01 12:34:56.789", "HOUR", "1950-08-01T13:00"),
            ("CEIL_TO", "2021-08-04 12:34:56.789", "YEAR", "2022-01-01T00:00"),
            ("CEIL_TO", "2021-01-01 12:34:56.789", "YEAR", "2021-01-01T00:00"),
            ("CEIL_TO", "2021-01-01 12:34:56.789", "MONTH", "2021-01-01T00:00"),
            ("CEIL_TO", "2021-12-04 12:34:56.789", "QUARTER", "2022-01-01T00:00"),
            ("FLOOR_TO", "2021-12-04 12:34:56.789", "DECADE", "2020-01-01T00:00"),
            ("FLOOR_TO", "2021-12-04 12:34:56.789", "CENTURY", "2001-01-01T00:00"),
            ("FLOOR_TO", "2021-12-04 12:34:56.789", "MILLENNIUM", "2001-01-01T00:00"),
            ("CEIL_TO", "2021-12-04 12:34:56.789", "SECOND", "2021-12-04T12:34:57"),
            ("CEIL_TO", "2021-12-04 12:34:56.000", "SECOND", "2021-12-04T12:34:56"),
        ] {
            assert_eq!(rounded(name, timestamp(text), unit), expected, "{name} {text} {unit}");
        }
        let fine = || timestamp_nanos(1_000_001);
        assert_eq!(rounded("FLOOR_TO", fine(), "MILLISECOND"), "1970-01-01T00:00:00.001");
        assert_eq!(rounded("CEIL_TO", fine(), "MILLISECOND"), "1970-01-01T00:00:00.002");
        assert_eq!(rounded("FLOOR_TO", ltz(100_000), "MINUTE"), "1970-01-01T00:01");
        assert_eq!(rounded("CEIL_TO", ltz(100_000), "DAY"), "1970-01-02T00:00");
    }

    #[test]
    fn dates_and_times() {
        let days = |name, text, unit: &str| number(FUNCTIONS, name, &[date(text), unit.into()]);
        let of = |text| number(FUNCTIONS, "FLOOR_TO", &[date(text), "DAY".into()]);
        assert_eq!(days("FLOOR_TO", "2021-08-04", "MONTH"), of("2021-08-01"));
        assert_eq!(days("CEIL_TO", "2021-08-04", "MONTH"), of("2021-09-01"));
        assert_eq!(days("FLOOR_TO", "2021-08-04", "WEEK"), of("2021-08-01"));
        assert_eq!(days("CEIL_TO", "2021-08-04", "DAY"), of("2021-08-05"));
        assert_eq!(days("FLOOR_TO", "2021-08-04", "HOUR"), of("2021-08-04"));
        let millis = |name, text, unit: &str| number(FUNCTIONS, name, &[time(text), unit.into()]);
        assert_eq!(millis("FLOOR_TO", "12:44:31", "MINUTE"), Some((12 * 60 + 44) * 60_000));
        assert_eq!(millis("CEIL_TO", "12:44:31", "HOUR"), Some(13 * 3_600_000));
        assert!(call(FUNCTIONS, "CEIL_TO", &[time("23:44:31"), "HOUR".into()]).is_err());
        assert!(call(FUNCTIONS, "FLOOR_TO", &[time("23:44:31"), "DAY".into()]).is_err());
        assert!(call(FUNCTIONS, "FLOOR_TO", &[time("23:44:31"), "DOW".into()]).is_err());
        assert!(call(FUNCTIONS, "FLOOR_TO", &["x".into(), "DAY".into()]).is_err());
    }
}
