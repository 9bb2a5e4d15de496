//! Days of the proleptic Gregorian calendar, counted from 1970-01-01, and moments of time zones.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

/// Milliseconds in a day.
pub(crate) const DAY: i64 = 86_400_000;

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// The year; the one before the year 1 is 0.
    pub(crate) year: i64,
    /// From 1 to 12.
    pub(crate) month: u8,
    /// From 1 to 31.
    pub(crate) day: u8,
}

/// The date that is `days` after 1970-01-01.
///
/// Years are counted from March here, so that the leap day is the last of its year.
pub(crate) fn civil(days: i64) -> Civil {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: month as u8,
        day: (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8,
    }
}

/// How many days after 1970-01-01 a date is.
pub(crate) fn days(date: Civil) -> i64 {
    let year = date.year - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (i64::from(date.month) + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// How many days a month has.
pub(crate) fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The day `months` after `day`: the same day of the month, or the last where that month is shorter.
pub(crate) fn add_months(day: i64, months: i64) -> i64 {
    let date = civil(day);
    let count = date.year.saturating_mul(12).saturating_add(i64::from(date.month) - 1).saturating_add(months);
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) as u8 + 1);
    days(Civil { year, month, day: date.day.min(days_in_month(year, month)) })
}

/// How far local time is ahead of UTC, in seconds, at a moment given in seconds of UTC.
pub(crate) fn offset_at(zone: Tz, seconds: i64) -> i64 {
    if zone == Tz::UTC {
        return 0;
    }
    DateTime::from_timestamp(seconds, 0).map_or(0, |moment| {
        i64::from(zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc())
    })
}

/// How far local time is ahead of UTC, in seconds, when clocks show `seconds`.
///
/// As `java.time` has it: the earlier of two moments when clocks were set back, and the offset from before
/// when they were set forward, so that a time that never was is moved forward by the gap.
pub(crate) fn offset_when(zone: Tz, seconds: i64) -> i64 {
    if zone == Tz::UTC {
        return 0;
    }
    let Some(local) = DateTime::from_timestamp(seconds, 0).map(|moment| moment.naive_utc()) else { return 0 };
    if let Some(offset) = earliest(zone, &local) {
        return offset;
    }
    // No gap is longer than a day.
    (1..=100)
        .filter_map(|quarters| local.checked_sub_signed(TimeDelta::minutes(15 * quarters)))
        .find_map(|before| latest(zone, &before))
        .unwrap_or(0)
}

fn earliest(zone: Tz, local: &NaiveDateTime) -> Option<i64> {
    match zone.offset_from_local_datetime(local) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => {
            Some(i64::from(offset.fix().local_minus_utc()))
        }
        MappedLocalTime::None => None,
    }
}

fn latest(zone: Tz, local: &NaiveDateTime) -> Option<i64> {
    match zone.offset_from_local_datetime(local) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(_, offset) => {
            Some(i64::from(offset.fix().local_minus_utc()))
        }
        MappedLocalTime::None => None,
    }
}
