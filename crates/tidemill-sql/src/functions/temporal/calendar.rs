//! Dates as numbers: the calendar, its units, and what they make of days and milliseconds.
//!
//! Where Flink divides by cutting off rather than rounding down, so that times before 1970 come out strange,
//! it is the same here.

use std::cmp::Ordering;

pub(super) const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    /// The day of the year.
    DayOfYear,
    /// The day of the week, Sunday first.
    DayOfWeek,
    /// The day of the week, Monday first.
    IsoDayOfWeek,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    /// Seconds since 1970.
    Epoch,
}

impl Unit {
    /// The unit that is written so.
    pub(super) fn named(name: &str) -> Option<Unit> {
        const NAMES: [(&str, Unit); 23] = [
            ("MILLENNIUM", Unit::Millennium),
            ("CENTURY", Unit::Century),
            ("DECADE", Unit::Decade),
            ("YEAR", Unit::Year),
            ("ISOYEAR", Unit::IsoYear),
            ("QUARTER", Unit::Quarter),
            ("MONTH", Unit::Month),
            ("WEEK", Unit::Week),
            ("DOY", Unit::DayOfYear),
            ("DAYOFYEAR", Unit::DayOfYear),
            ("DOW", Unit::DayOfWeek),
            ("DAYOFWEEK", Unit::DayOfWeek),
            ("ISODOW", Unit::IsoDayOfWeek),
            ("DAY", Unit::Day),
            ("DAYOFMONTH", Unit::Day),
            ("HOUR", Unit::Hour),
            ("MINUTE", Unit::Minute),
            ("SECOND", Unit::Second),
            ("MILLISECOND", Unit::Millisecond),
            ("MICROSECOND", Unit::Microsecond),
            ("NANOSECOND", Unit::Nanosecond),
            ("FRAC_SECOND", Unit::Microsecond),
            ("EPOCH", Unit::Epoch),
        ];
        let name = name.to_ascii_uppercase();
        let name = name.strip_prefix("SQL_TSI_").unwrap_or(&name);
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
    }

    /// How many months it has, if it is made of months.
    pub(super) fn months(self) -> Option<i64> {
        Some(match self {
            Unit::Millennium => 12_000,
            Unit::Century => 1200,
            Unit::Decade => 120,
            Unit::Year => 12,
            Unit::Quarter => 3,
            Unit::Month => 1,
            _ => return None,
        })
    }

    /// How many milliseconds it has, if it always has so many.
    pub(super) fn millis(self) -> Option<i64> {
        Some(match self {
            Unit::Week => 7 * DAY,
            Unit::Day => DAY,
            Unit::Hour => HOUR,
            Unit::Minute => MINUTE,
            Unit::Second => SECOND,
            Unit::Millisecond => 1,
            _ => return None,
        })
    }

    /// Whether it is a part of dates.
    pub(super) fn is_of_date(self) -> bool {
        !matches!(
            self,
            Unit::Hour
                | Unit::Minute
                | Unit::Second
                | Unit::Millisecond
                | Unit::Microsecond
                | Unit::Nanosecond
                | Unit::Epoch
        )
    }
}

/// A day of the calendar that has always been the one of today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
}

impl Civil {
    /// The day that is `days` after 1970-01-01.
    #[inline]
    pub(super) fn of_days(days: i64) -> Civil {
        // Years start with March here, so that the day that not each year has is the last one.
        let shifted = days.saturating_add(719_468);
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        }
    }

    /// How many days it is after 1970-01-01.
    #[inline]
    pub(super) fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The day of the calendar before 1582 that is `days` after 1970-01-01.
    pub(super) fn of_days_julian(days: i64) -> Civil {
        let c = days.saturating_add(2_440_588 + 32_082);
        let d = (4 * c + 3).div_euclid(1461);
        let e = c - (1461 * d).div_euclid(4);
        let m = (5 * e + 2) / 153;
        Civil { year: d - 4800 + m / 10, month: m + 3 - 12 * (m / 10), day: e - (153 * m + 2) / 5 + 1 }
    }

    /// How many days after 1970-01-01 it is as a day of the calendar before 1582.
    pub(super) fn days_julian(self) -> i64 {
        let a = (14 - self.month) / 12;
        let y = self.year + 4800 - a;
        let m = self.month + 12 * a - 3;
        self.day + (153 * m + 2) / 5 + 365 * y + y.div_euclid(4) - 32_083 - 2_440_588
    }

    /// From 1.
    pub(super) fn day_of_year(self) -> i64 {
        self.days() - first_of_year(self.year) + 1
    }
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn first_of_year(year: i64) -> i64 {
    Civil { year, month: 1, day: 1 }.days()
}

fn at(year: i64, month: i64, day: i64) -> i64 {
    // Months beyond the year are those of the next one.
    let months = month - 1;
    Civil { year: year + months.div_euclid(12), month: months.rem_euclid(12) + 1, day }.days()
}

/// From 1, which is Monday.
pub(super) fn iso_day_of_week(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// The year and the week, from 1, that ISO 8601 counts the day in.
fn iso_week(days: i64) -> (i64, i64) {
    // The week belongs to the year that its Thursday is in.
    let thursday = days - iso_day_of_week(days) + 4;
    let year = Civil::of_days(thursday).year;
    (year, (thursday - first_of_year(year)) / 7 + 1)
}

/// Divides and rounds away from zero, as centuries are counted.
fn counted(year: i64, length: i64) -> i64 {
    if year > 0 { (year + length - 1) / length } else { (year - length + 1) / length }
}

/// The `unit` of a day; `None` when days have none.
#[inline]
pub(super) fn extract_from_days(unit: Unit, days: i64) -> Option<i64> {
    Some(match unit {
        Unit::Year => Civil::of_days(days).year,
        Unit::Month => Civil::of_days(days).month,
        Unit::Day => Civil::of_days(days).day,
        Unit::Quarter => (Civil::of_days(days).month + 2) / 3,
        Unit::DayOfYear => Civil::of_days(days).day_of_year(),
        Unit::DayOfWeek => iso_day_of_week(days) % 7 + 1,
        Unit::IsoDayOfWeek => iso_day_of_week(days),
        Unit::IsoYear => iso_week(days).0,
        Unit::Week => iso_week(days).1,
        Unit::Decade => Civil::of_days(days).year / 10,
        Unit::Century => counted(Civil::of_days(days).year, 100),
        Unit::Millennium => counted(Civil::of_days(days).year, 1000),
        Unit::Epoch => days.saturating_mul(86_400),
        _ => return None,
    })
}

/// The first day of the `unit` that the day is in, or of the next one unless the day is the first already;
/// `None` when the unit is not one of days.
pub(super) fn round_days(unit: Unit, days: i64, up: bool) -> Option<i64> {
    let Civil { year, month, day } = Civil::of_days(days);
    let is_first_of_month = day <= 1;
    let is_first_of_year = month <= 1 && is_first_of_month;
    Some(match unit {
        Unit::Year => at(year + i64::from(up && !is_first_of_year), 1, 1),
        Unit::Month => at(year, month + i64::from(up && !is_first_of_month), 1),
        // As in Flink: also the first day of a quarter is rounded up, but that of a year.
        Unit::Quarter => at(year, ((month + 2) / 3 + i64::from(up && !is_first_of_year)) * 3 - 2, 1),
        Unit::Day => days + i64::from(up),
        Unit::Week => {
            let since_sunday = iso_day_of_week(days) % 7;
            days - since_sunday + if up && since_sunday > 0 { 7 } else { 0 }
        }
        Unit::Decade => at(10 * (year / 10 + i64::from(up)), 1, 1),
        Unit::Century => at(100 * ((year + 99) / 100) + if up { 1 } else { -99 }, 1, 1),
        Unit::Millennium => at(1000 * ((year + 999) / 1000) + if up { 1 } else { -999 }, 1, 1),
        _ => return None,
    })
}

/// The day `months` later, or the last one of that month when it has no such day.
pub(super) fn add_months(days: i64, months: i64) -> i64 {
    let Civil { year, month, day } = Civil::of_days(days);
    let total = month - 1 + months;
    let (year, month) = (year + total.div_euclid(12), total.rem_euclid(12) + 1);
    Civil { year, month, day: day.min(days_of_month(year, month)) }.days()
}

/// The time `months` later.
pub(super) fn add_months_to_millis(millis: i64, months: i64) -> Option<i64> {
    let day = add_months(millis.div_euclid(DAY), months);
    day.checked_mul(DAY)?.checked_add(millis.rem_euclid(DAY))
}

/// How many whole months the second day is before the first.
fn months_between(later: i64, earlier: i64) -> i64 {
    if later < earlier {
        return -months_between(earlier, later);
    }
    let (one, two) = (Civil::of_days(later), Civil::of_days(earlier));
    let months = (one.year - two.year) * 12 + one.month - two.month;
    // The last day of a short month stands for all days that it does not have.
    match add_months(earlier, months).cmp(&later) {
        Ordering::Greater => months - 1,
        _ => months,
    }
}

/// How many whole months the second time is before the first.
pub(super) fn months_between_millis(later: i64, earlier: i64) -> i64 {
    let (later_day, earlier_day) = (later.div_euclid(DAY), earlier.div_euclid(DAY));
    let months = months_between(later_day, earlier_day);
    let is_less = later.rem_euclid(DAY) < earlier.rem_euclid(DAY);
    months - i64::from(add_months(earlier_day, months) == later_day && is_less)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i64, month: i64, day: i64) -> i64 {
        Civil { year, month, day }.days()
    }

    #[test]
    fn days_and_dates() {
        assert_eq!(day(1970, 1, 1), 0);
        assert_eq!(day(2000, 3, 1), 11_017);
        assert_eq!(day(1969, 12, 31), -1);
        for days in (-1_000_000..1_000_000).step_by(37) {
            assert_eq!(Civil::of_days(days).days(), days);
            assert_eq!(Civil::of_days_julian(days).days_julian(), days);
        }
        assert_eq!(Civil::of_days_julian(-141_428), Civil { year: 1582, month: 10, day: 4 });
        assert_eq!(Civil::of_days(-141_427), Civil { year: 1582, month: 10, day: 15 });
        // No overflow at the ends.
        let _ = (Civil::of_days(i64::MAX / 100_000_000), Civil::of_days(i64::MIN / 100_000_000));
    }

    #[test]
    fn weeks() {
        assert_eq!(iso_week(day(2021, 1, 3)), (2020, 53));
        assert_eq!(iso_week(day(2020, 12, 31)), (2020, 53));
        assert_eq!(iso_week(day(2021, 1, 4)), (2021, 1));
        assert_eq!(iso_week(day(2018, 12, 31)), (2019, 1));
        assert_eq!(iso_week(day(2020, 2, 3)), (2020, 6));
        assert_eq!(extract_from_days(Unit::DayOfWeek, day(2021, 1, 3)), Some(1));
        assert_eq!(extract_from_days(Unit::IsoDayOfWeek, day(2021, 1, 3)), Some(7));
    }

    #[test]
    fn parts_of_days() {
        let of = |unit, days| extract_from_days(unit, days).unwrap();
        assert_eq!(of(Unit::Century, day(2000, 1, 3)), 20);
        assert_eq!(of(Unit::Millennium, day(2001, 1, 3)), 3);
        assert_eq!(of(Unit::Decade, day(2021, 1, 3)), 202);
        assert_eq!(of(Unit::DayOfYear, day(2020, 12, 31)), 366);
        assert_eq!(of(Unit::Quarter, day(2020, 11, 2)), 4);
        assert_eq!(of(Unit::IsoYear, day(2021, 1, 3)), 2020);
        assert_eq!(of(Unit::Epoch, day(2001, 1, 3)), 978_480_000);
        assert_eq!(extract_from_days(Unit::Hour, 0), None);
    }

    #[test]
    fn rounding() {
        let round = |unit, days, up| Civil::of_days(round_days(unit, days, up).unwrap());
        let date = |year, month, day| Civil { year, month, day };
        assert_eq!(round(Unit::Week, day(2021, 8, 4), false), date(2021, 8, 1));
        assert_eq!(round(Unit::Week, day(2021, 8, 4), true), date(2021, 8, 8));
        assert_eq!(round(Unit::Week, day(2021, 8, 1), true), date(2021, 8, 1));
        assert_eq!(round(Unit::Year, day(2021, 1, 1), true), date(2021, 1, 1));
        assert_eq!(round(Unit::Year, day(2021, 8, 4), true), date(2022, 1, 1));
        assert_eq!(round(Unit::Quarter, day(2021, 12, 4), true), date(2022, 1, 1));
        assert_eq!(round(Unit::Month, day(2021, 12, 4), true), date(2022, 1, 1));
        assert_eq!(round(Unit::Decade, day(2021, 12, 4), false), date(2020, 1, 1));
        assert_eq!(round(Unit::Century, day(2021, 12, 4), false), date(2001, 1, 1));
        assert_eq!(round(Unit::Millennium, day(2021, 12, 4), false), date(2001, 1, 1));
        assert_eq!(round(Unit::Day, day(2021, 12, 4), true), date(2021, 12, 5));
    }

    #[test]
    fn months() {
        assert_eq!(add_months(day(2021, 1, 31), 1), day(2021, 2, 28));
        assert_eq!(add_months(day(2020, 8, 31), 6), day(2021, 2, 28));
        assert_eq!(add_months(day(2021, 1, 31), -13), day(2019, 12, 31));
        let between = |later, earlier| months_between(later, earlier);
        assert_eq!(between(day(2021, 2, 28), day(2000, 2, 29)), 252);
        assert_eq!(between(day(2020, 2, 29), day(2020, 1, 31)), 1);
        assert_eq!(between(day(2020, 1, 31), day(2020, 2, 29)), -1);
        let at = |days: i64, hour: i64| days * DAY + hour * HOUR;
        assert_eq!(months_between_millis(at(day(2020, 2, 29), 9), at(day(2020, 1, 31), 10)), 0);
        assert_eq!(months_between_millis(at(day(2020, 2, 29), 11), at(day(2020, 1, 31), 10)), 1);
        assert_eq!(months_between_millis(at(day(2020, 1, 31), 10), at(day(2020, 2, 29), 11)), -1);
    }
}
