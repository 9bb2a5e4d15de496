//! Functions of dates, times and timestamps.
//!
//! Units of time are literal strings: `EXTRACT('HOUR', t)`, `FLOOR_TO(t, 'HOUR')`, `CEIL_TO(t, 'HOUR')`,
//! `TIMESTAMPADD('HOUR', n, t)`, `TIMESTAMPDIFF('HOUR', a, b)`; a prefix `SQL_TSI_` makes no difference.
//! `OVERLAPS` takes the start and the end, or length, of one period and of the other.

mod calendar;
mod clock;
mod column;
mod convert;
mod difference;
mod extract;
mod java_format;
mod local;
mod round;
mod zone;

use super::kernel::{Argument, FunctionContext, FunctionGroup, Mismatch, Resolved, ScalarFunction};

pub(crate) use column::{TimestampColumn, push_iso_date_time, push_local_date_time};
pub(crate) use local::LocalClock;

const fn temporal(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    let group = FunctionGroup::Temporal;
    ScalarFunction { name, aliases: &[], group, usage, description, deterministic: true, resolve }
}

const fn clock(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    ScalarFunction { deterministic: false, ..temporal(name, usage, description, resolve) }
}

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    temporal(
        "EXTRACT",
        "EXTRACT(unit FROM value)",
        "The part of a date, time, timestamp or interval that is counted in the unit.",
        extract::extract,
    ),
    temporal("YEAR", "YEAR(date)", "The year.", extract::year),
    temporal("QUARTER", "QUARTER(date)", "The quarter of the year, from 1.", extract::quarter),
    temporal("MONTH", "MONTH(date)", "The month, from 1.", extract::month),
    temporal("WEEK", "WEEK(date)", "The week of the year of ISO 8601, from 1.", extract::week),
    temporal("DAYOFYEAR", "DAYOFYEAR(date)", "The day of the year, from 1.", extract::day_of_year),
    temporal("DAYOFMONTH", "DAYOFMONTH(date)", "The day of the month, from 1.", extract::day_of_month),
    temporal(
        "DAYOFWEEK",
        "DAYOFWEEK(date)",
        "The day of the week, from 1, which is Sunday.",
        extract::day_of_week,
    ),
    temporal("HOUR", "HOUR(timestamp)", "The hour, from 0 to 23.", extract::hour),
    temporal("MINUTE", "MINUTE(timestamp)", "The minute, from 0 to 59.", extract::minute),
    temporal("SECOND", "SECOND(timestamp)", "The second, from 0 to 59.", extract::second),
    temporal("FLOOR_TO", "FLOOR(time TO unit)", "The start of the unit that the time is in.", round::floor),
    temporal(
        "CEIL_TO",
        "CEIL(time TO unit)",
        "The time, if a unit starts with it, or the start of the next one.",
        round::ceil,
    ),
    temporal(
        "TIMESTAMPADD",
        "TIMESTAMPADD(unit, count, time)",
        "The time so many units later.",
        difference::add,
    ),
    temporal(
        "TIMESTAMPDIFF",
        "TIMESTAMPDIFF(unit, time1, time2)",
        "How many whole units time2 is after time1.",
        difference::difference,
    ),
    temporal(
        "OVERLAPS",
        "(time1, end1) OVERLAPS (time2, end2)",
        "Whether two periods have a moment in common; an end may be an interval.",
        difference::overlaps,
    ),
    temporal(
        "DATE_FORMAT",
        "DATE_FORMAT(timestamp, format)",
        "The timestamp, or a string as 'yyyy-MM-dd HH:mm:ss', in a format of Java.",
        convert::date_format,
    ),
    temporal(
        "TO_TIMESTAMP",
        "TO_TIMESTAMP(string[, format])",
        "The timestamp that the string says, as 'yyyy-MM-dd HH:mm:ss' or in the format; NULL of none.",
        convert::to_timestamp,
    ),
    temporal(
        "TO_TIMESTAMP_LTZ",
        "TO_TIMESTAMP_LTZ(number[, precision]) or TO_TIMESTAMP_LTZ(string[, format[, zone]])",
        "The moment so many units after 1970, or that the string says.",
        convert::to_timestamp_ltz,
    ),
    temporal(
        "TO_DATE",
        "TO_DATE(string[, format])",
        "The date that the string says, as 'yyyy-MM-dd' or in the format.",
        convert::to_date,
    ),
    temporal(
        "FROM_UNIXTIME",
        "FROM_UNIXTIME(number[, format])",
        "The moment so many seconds after 1970, as 'yyyy-MM-dd HH:mm:ss' or in the format.",
        convert::from_unixtime,
    ),
    ScalarFunction {
        deterministic: false,
        ..temporal(
            "UNIX_TIMESTAMP",
            "UNIX_TIMESTAMP([string[, format]])",
            "Seconds since 1970, of now or of the moment that the string says.",
            convert::unix_timestamp,
        )
    },
    temporal(
        "CONVERT_TZ",
        "CONVERT_TZ(string, zone1, zone2)",
        "The time, as 'yyyy-MM-dd HH:mm:ss', that it is in zone2 when it is the one given in zone1.",
        convert::convert_tz,
    ),
    clock("CURRENT_DATE", "CURRENT_DATE", "Today, in the zone of the session.", clock::current_date),
    clock(
        "CURRENT_TIME",
        "CURRENT_TIME",
        "The time of day, in the zone of the session.",
        clock::current_time,
    ),
    clock("LOCALTIME", "LOCALTIME", "The time of day, in the zone of the session.", clock::current_time),
    clock("LOCALTIMESTAMP", "LOCALTIMESTAMP", "Now, in the zone of the session.", clock::local_timestamp),
    clock("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP", "Now, as a moment.", clock::current_timestamp),
    clock("NOW", "NOW()", "Now, as a moment.", clock::current_timestamp),
    clock("CURRENT_ROW_TIMESTAMP", "CURRENT_ROW_TIMESTAMP()", "Now, as a moment.", clock::current_timestamp),
];

#[cfg(test)]
mod tests {
    //! Values for the tests of this chapter.

    use super::calendar::{Civil, DAY};
    use super::push_local_date_time;
    use crate::functions::support::testing::{Given, given};
    use crate::types::TypeRoot;
    use datafusion_common::ScalarValue;

    fn days(text: &str) -> i64 {
        let mut parts = text.split('-').map(|part| part.parse().unwrap());
        Civil { year: parts.next().unwrap(), month: parts.next().unwrap(), day: parts.next().unwrap() }.days()
    }

    fn millis(text: &str) -> i64 {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let seconds = whole.split(':').fold(0, |seconds, part| seconds * 60 + part.parse::<i64>().unwrap());
        seconds * 1000 + format!("{fraction:0<3}").parse::<i64>().unwrap()
    }

    pub(super) fn date(text: &str) -> Given {
        given(TypeRoot::Date, ScalarValue::Date32(Some(i32::try_from(days(text)).unwrap())))
    }

    pub(super) fn time(text: &str) -> Given {
        let value = i32::try_from(millis(text)).unwrap();
        given(TypeRoot::Time(0), ScalarValue::Time32Millisecond(Some(value)))
    }

    /// A timestamp in milliseconds, or NULL.
    pub(super) fn timestamp(text: &str) -> Given {
        let value = text.split_once(' ').map(|(date, time)| days(date) * DAY + millis(time));
        given(TypeRoot::Timestamp(3), ScalarValue::TimestampMillisecond(value, None))
    }

    pub(super) fn timestamp_nanos(value: i64) -> Given {
        given(TypeRoot::Timestamp(9), ScalarValue::TimestampNanosecond(Some(value), None))
    }

    pub(super) fn ltz(millis: i64) -> Given {
        let value = ScalarValue::TimestampMillisecond(Some(millis), Some("UTC".into()));
        given(TypeRoot::TimestampLtz(3), value)
    }

    pub(super) fn days_interval(millis: i64) -> Given {
        given(TypeRoot::IntervalMillis, ScalarValue::DurationMillisecond(Some(millis)))
    }

    pub(super) fn months_interval(months: i32) -> Given {
        given(TypeRoot::IntervalMonths, ScalarValue::IntervalYearMonth(Some(months)))
    }

    /// A date, time or timestamp as ISO 8601 has it.
    pub(super) fn shown(value: &ScalarValue) -> String {
        let mut out = String::new();
        match value {
            ScalarValue::TimestampMillisecond(Some(value), _) => push_local_date_time(&mut out, *value, 0),
            ScalarValue::TimestampMicrosecond(Some(value), _) => {
                push_local_date_time(&mut out, value.div_euclid(1000), value.rem_euclid(1000) * 1000);
            }
            ScalarValue::TimestampNanosecond(Some(value), _) => {
                push_local_date_time(&mut out, value.div_euclid(1_000_000), value.rem_euclid(1_000_000));
            }
            ScalarValue::Date32(Some(days)) => {
                push_local_date_time(&mut out, i64::from(*days) * DAY, 0);
                out.truncate(out.len() - "T00:00".len());
            }
            ScalarValue::Time32Millisecond(Some(time)) => {
                let seconds = time / 1000;
                return format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            }
            other if other.is_null() => return "NULL".to_owned(),
            other => panic!("{other:?}"),
        }
        out
    }
}
