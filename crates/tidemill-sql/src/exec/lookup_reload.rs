//! When a table that is kept whole is read again.

use std::time::Duration;

use chrono::{FixedOffset, NaiveTime};
use tidemill_core::time::Timestamp;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// `lookup.full-cache.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// A while after the reading has ended, or has begun.
    Periodic { interval: Duration, from_beginning: bool },
    /// At a time of day, every so many days.
    Timed { time: NaiveTime, offset: FixedOffset, days: u32 },
}

impl Reload {
    /// When the table is read next, after it was read from `began` to `ended`.
    pub(super) fn next(&self, began: Timestamp, ended: Timestamp) -> Timestamp {
        match self {
            Reload::Periodic { interval, from_beginning } => {
                let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
                let from = if *from_beginning { began } else { ended };
                from.saturating_add(interval).max(ended)
            }
            Reload::Timed { time, offset, days } => {
                let of_day = time.signed_duration_since(NaiveTime::MIN).num_milliseconds();
                let shift = i64::from(offset.local_minus_utc()) * 1000;
                let local = ended.saturating_add(shift);
                let today = local.div_euclid(DAY) * DAY + of_day;
                // The first time is today or tomorrow; a reading at that time is followed by one some days later.
                let began_at = began.saturating_add(shift);
                let is_scheduled =
                    began_at.rem_euclid(DAY) >= of_day && began_at.rem_euclid(DAY) < of_day + 1000;
                let next = match is_scheduled {
                    true => began_at.div_euclid(DAY) * DAY + of_day + i64::from(*days) * DAY,
                    false if today > local => today,
                    false => today + DAY,
                };
                next.saturating_sub(shift).max(ended)
            }
        }
    }
}

/// A time of day as ISO 8601 writes it: `03:00`, `03:00:30`, with an offset such as `Z` or `+01:00`; without, UTC.
pub(crate) fn time_of_day(text: &str) -> Option<(NaiveTime, FixedOffset)> {
    let text = text.trim();
    let end = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (time, offset) = text.split_at(end);
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f")
        .or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"))
        .ok()?;
    let utc = FixedOffset::east_opt(0)?;
    let offset = match offset {
        "" | "Z" | "z" => utc,
        offset => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = offset.get(1..)?.split_once(':').unwrap_or((offset.get(1..)?, "0"));
            let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
            let is_offset = (0..=18).contains(&hours) && (0..60).contains(&minutes);
            FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60)).filter(|_| is_offset)?
        }
    };
    Some((time, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_count_from_the_beginning_or_the_end() {
        let each = |from_beginning| Reload::Periodic { interval: Duration::from_millis(100), from_beginning };
        assert_eq!(each(false).next(1000, 1030), 1130);
        assert_eq!(each(true).next(1000, 1030), 1100);
        assert_eq!(each(true).next(1000, 1500), 1500, "it took longer than the interval");
    }

    #[test]
    fn times_of_day_are_read() {
        let read = |text: &str| time_of_day(text).map(|(time, offset)| format!("{time} {offset}"));
        assert_eq!(read("03:00").as_deref(), Some("03:00:00 +00:00"));
        assert_eq!(read("23:59:30Z").as_deref(), Some("23:59:30 +00:00"));
        assert_eq!(read("03:15+07:00").as_deref(), Some("03:15:00 +07:00"));
        assert_eq!(read("03:15:00-03:30").as_deref(), Some("03:15:00 -03:30"));
        for wrong in ["", "3 o'clock", "25:00", "03:00+99:00", "03:00+", "03"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_time_of_day_comes_today_or_tomorrow_and_then_every_few_days() {
        const HOUR: i64 = 60 * 60 * 1000;
        let timed = |text: &str, days| {
            let (time, offset) = time_of_day(text).unwrap();
            Reload::Timed { time, offset, days }
        };
        let noon = timed("12:00", 1);
        assert_eq!(noon.next(HOUR, HOUR + 5), 12 * HOUR);
        assert_eq!(noon.next(13 * HOUR, 13 * HOUR + 5), 36 * HOUR);
        assert_eq!(noon.next(12 * HOUR, 12 * HOUR + 5), 36 * HOUR);
        let third = timed("12:00", 3);
        assert_eq!(third.next(HOUR, HOUR), 12 * HOUR, "the first time is not put off");
        assert_eq!(third.next(12 * HOUR, 12 * HOUR + 5), 84 * HOUR);
        assert_eq!(timed("01:00+02:00", 1).next(0, 0), 23 * HOUR);
    }
}
