//! Time zones: offsets of moments, moments of local times, and names as Java knows them.

use std::cell::Cell;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{OffsetComponents, Tz};

use super::calendar::SECOND;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// One of the database.
    Named(Tz),
    /// Always as many seconds east of Greenwich.
    Fixed(i32),
}

/// From when on `java.util.TimeZone` knows what offsets there were.
const START_OF_1900: i64 = -2_208_988_800_000;

/// Which moment a local time stands for that comes twice, when clocks are set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    /// The first one, as `java.time` has it.
    First,
    /// The second one, in normal time, as `java.util.Calendar` has it.
    Second,
}

impl Zone {
    pub(super) const UTC: Zone = Zone::Fixed(0);

    /// The zone of the session.
    pub(super) fn of_session(zone: Tz) -> Zone {
        if zone == Tz::UTC { Zone::UTC } else { Zone::Named(zone) }
    }

    /// `java.time.ZoneId.of`; `None` when there is no such zone.
    pub(super) fn of_id(id: &str) -> Option<Zone> {
        if id == "Z" {
            return Some(Zone::UTC);
        }
        if id.starts_with(['+', '-']) {
            return offset(id).map(Zone::Fixed);
        }
        for prefix in ["UTC", "GMT", "UT"] {
            match id.strip_prefix(prefix) {
                Some("") => return Some(Zone::UTC),
                Some(rest) if rest.starts_with(['+', '-']) => return offset(rest).map(Zone::Fixed),
                _ => {}
            }
        }
        id.parse().ok().map(Zone::of_session)
    }

    /// `java.util.TimeZone.getTimeZone`: also knows old short names, and takes any other for Greenwich.
    pub(super) fn of_legacy_id(id: &str) -> Zone {
        const SHORT: [(&str, &str); 28] = [
            ("ACT", "Australia/Darwin"),
            ("AET", "Australia/Sydney"),
            ("AGT", "America/Argentina/Buenos_Aires"),
            ("ART", "Africa/Cairo"),
            ("AST", "America/Anchorage"),
            ("BET", "America/Sao_Paulo"),
            ("BST", "Asia/Dhaka"),
            ("CAT", "Africa/Harare"),
            ("CNT", "America/St_Johns"),
            ("CST", "America/Chicago"),
            ("CTT", "Asia/Shanghai"),
            ("EAT", "Africa/Addis_Ababa"),
            ("ECT", "Europe/Paris"),
            ("EST", "-05:00"),
            ("HST", "-10:00"),
            ("IET", "America/Indiana/Indianapolis"),
            ("IST", "Asia/Kolkata"),
            ("JST", "Asia/Tokyo"),
            ("MIT", "Pacific/Apia"),
            ("MST", "-07:00"),
            ("NET", "Asia/Yerevan"),
            ("NST", "Pacific/Auckland"),
            ("PLT", "Asia/Karachi"),
            ("PNT", "America/Phoenix"),
            ("PRT", "America/Puerto_Rico"),
            ("PST", "America/Los_Angeles"),
            ("SST", "Pacific/Guadalcanal"),
            ("VST", "Asia/Ho_Chi_Minh"),
        ];
        let id = SHORT.iter().find(|(short, _)| *short == id).map_or(id, |(_, long)| *long);
        if let Some(rest) = id.strip_prefix("GMT").or_else(|| id.starts_with('-').then_some(id))
            && !rest.is_empty()
        {
            return offset(rest).map_or(Zone::UTC, Zone::Fixed);
        }
        id.parse().map_or(Zone::UTC, Zone::of_session)
    }

    /// How many milliseconds the zone is east of Greenwich at a moment.
    pub(super) fn offset_at(self, millis: i64) -> i64 {
        match self {
            Zone::Fixed(seconds) => i64::from(seconds) * SECOND,
            Zone::Named(zone) => match DateTime::from_timestamp_millis(millis) {
                Some(moment) => {
                    let offset = zone.offset_from_utc_datetime(&moment.naive_utc());
                    i64::from(offset.fix().local_minus_utc()) * SECOND
                }
                None => 0,
            },
        }
    }

    /// As [`offset_at`](Self::offset_at), as `java.util.TimeZone` has it: before 1900 clocks went as they do today.
    fn legacy_offset_at(self, millis: i64) -> i64 {
        match self {
            Zone::Named(zone) if millis < START_OF_1900 => {
                let today = DateTime::UNIX_EPOCH + chrono::Duration::days(20_000);
                let offset = zone.offset_from_utc_datetime(&today.naive_utc());
                offset.base_utc_offset().num_milliseconds()
            }
            _ => self.offset_at(millis),
        }
    }

    /// The moment of a local time. One that clocks leave out is as much later as they do.
    pub(super) fn to_moment(self, local_millis: i64, twice: Twice) -> i64 {
        let zone = match self {
            Zone::Fixed(seconds) => return local_millis.saturating_sub(i64::from(seconds) * SECOND),
            Zone::Named(zone) => zone,
        };
        if twice == Twice::Second && local_millis < START_OF_1900 {
            return local_millis.saturating_sub(self.legacy_offset_at(local_millis));
        }
        let Some(local) = DateTime::from_timestamp_millis(local_millis) else { return local_millis };
        let local: NaiveDateTime = local.naive_utc();
        let offset = match zone.offset_from_local_datetime(&local) {
            MappedLocalTime::Single(offset) => offset.fix().local_minus_utc(),
            MappedLocalTime::Ambiguous(one, two) => {
                let (one, two) = (one.fix().local_minus_utc(), two.fix().local_minus_utc());
                // The first moment is the one of the larger offset.
                if twice == Twice::First { one.max(two) } else { one.min(two) }
            }
            MappedLocalTime::None => {
                // As the clocks went before they left it out.
                let before = local_millis.saturating_sub(24 * 3600 * SECOND);
                return local_millis.saturating_sub(self.offset_at(before));
            }
        };
        local_millis.saturating_sub(i64::from(offset) * SECOND)
    }

    /// The short name of the zone at a moment, such as `CET`.
    pub(super) fn short_name(self, millis: i64, out: &mut String) {
        use std::fmt::Write;
        let named = match self {
            Zone::Fixed(0) => write!(out, "UTC"),
            Zone::Fixed(seconds) => {
                let minutes = seconds.abs() / 60;
                let sign = if seconds < 0 { '-' } else { '+' };
                write!(out, "GMT{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Zone::Named(zone) => match DateTime::from_timestamp_millis(millis) {
                Some(moment) => write!(out, "{}", moment.with_timezone(&zone).format("%Z")),
                None => Ok(()),
            },
        };
        debug_assert!(named.is_ok(), "writing to a string does not fail");
    }
}

/// `+8`, `+08`, `+0800`, `+08:00` or `+08:00:00` in seconds.
pub(super) fn offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let number = |part: &str| -> Option<i32> {
        (!part.is_empty() && part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse().ok())?
    };
    let (hours, minutes, seconds) = if rest.contains(':') {
        let mut parts = rest.split(':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
        if parts.next().is_some() {
            return None;
        }
        (number(hours)?, number(minutes)?, number(seconds)?)
    } else {
        match rest.len() {
            1 | 2 => (number(rest)?, 0, 0),
            4 => (number(rest.get(..2)?)?, number(rest.get(2..)?)?, 0),
            6 => (number(rest.get(..2)?)?, number(rest.get(2..4)?)?, number(rest.get(4..)?)?),
            _ => return None,
        }
    };
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= 18 * 3600).then_some(sign * total)
}

/// Offsets of a zone for many moments that lie near to each other.
#[derive(Debug)]
pub(super) struct Offsets {
    zone: Zone,
    /// Whether they are those of `java.util.TimeZone` rather than of `java.time`.
    is_legacy: bool,
    /// The last quarter of an hour that was asked for, and its offset.
    last: Cell<Option<(i64, i64)>>,
}

/// Clocks are set at full quarters of hours.
const QUARTER: i64 = 900 * SECOND;

impl Offsets {
    pub(super) fn new(zone: Zone) -> Self {
        Self { zone, is_legacy: false, last: Cell::new(None) }
    }

    /// The offsets of `java.util.TimeZone`.
    pub(super) fn legacy(zone: Zone) -> Self {
        Self { zone, is_legacy: true, last: Cell::new(None) }
    }

    fn find(&self, millis: i64) -> i64 {
        if self.is_legacy { self.zone.legacy_offset_at(millis) } else { self.zone.offset_at(millis) }
    }

    /// The offset of a moment in milliseconds.
    #[inline]
    pub(super) fn at(&self, millis: i64) -> i64 {
        if let Zone::Fixed(seconds) = self.zone {
            return i64::from(seconds) * SECOND;
        }
        let quarter = millis.div_euclid(QUARTER);
        if let Some((last, offset)) = self.last.get()
            && last == quarter
        {
            return offset;
        }
        let offset = self.find(millis);
        // In old times clocks were set at any second: keep only what holds from end to end.
        let (start, end) =
            (quarter.saturating_mul(QUARTER), quarter.saturating_mul(QUARTER).saturating_add(QUARTER - 1));
        if self.find(start) == offset && self.find(end) == offset {
            self.last.set(Some((quarter, offset)));
        }
        offset
    }

    /// The local time of a moment.
    #[inline]
    pub(super) fn local(&self, millis: i64) -> i64 {
        millis.saturating_add(self.at(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn names() {
        assert_eq!(Zone::of_id("UTC"), Some(Zone::UTC));
        assert_eq!(Zone::of_id("Z"), Some(Zone::UTC));
        assert_eq!(Zone::of_id("GMT+8"), Some(Zone::Fixed(8 * 3600)));
        assert_eq!(Zone::of_id("-05:30"), Some(Zone::Fixed(-(5 * 3600 + 1800))));
        assert_eq!(Zone::of_id("Asia/Shanghai"), Some(Zone::Named(Tz::Asia__Shanghai)));
        assert_eq!(Zone::of_id("Nope/Zone"), None);
        assert_eq!(Zone::of_id("+19:00"), None);
        assert_eq!(Zone::of_id("+1:2:3:4"), None);
        assert_eq!(Zone::of_legacy_id("PST"), Zone::Named(Tz::America__Los_Angeles));
        assert_eq!(Zone::of_legacy_id("EST"), Zone::Fixed(-5 * 3600));
        assert_eq!(Zone::of_legacy_id("GMT+8"), Zone::Fixed(8 * 3600));
        assert_eq!(Zone::of_legacy_id("Nope"), Zone::UTC);
        assert_eq!(Zone::of_legacy_id("-nope"), Zone::UTC);
    }

    #[test]
    fn gaps_and_overlaps() {
        let berlin = Zone::Named(Tz::Europe__Berlin);
        let at = |text: &str| {
            NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp_millis()
        };
        // 02:30 does not exist: half an hour behind 02:00, which is 03:00.
        assert_eq!(berlin.to_moment(at("2021-03-28 02:30"), Twice::First), at("2021-03-28 01:30"));
        assert_eq!(berlin.to_moment(at("2021-10-31 02:30"), Twice::First), at("2021-10-31 00:30"));
        assert_eq!(berlin.to_moment(at("2021-10-31 02:30"), Twice::Second), at("2021-10-31 01:30"));
        assert_eq!(berlin.to_moment(at("2021-07-01 12:00"), Twice::Second), at("2021-07-01 10:00"));
        let mut name = String::new();
        berlin.short_name(at("2021-07-01 12:00"), &mut name);
        assert_eq!(name, "CEST");
    }

    #[test]
    fn remembered_offsets_are_right() {
        let zone = Zone::Named(Tz::Europe__Berlin);
        let offsets = Offsets::new(zone);
        for millis in (1_616_800_000_000..1_617_000_000_000i64).step_by(123_457) {
            assert_eq!(offsets.at(millis), zone.offset_at(millis));
        }
        assert_eq!(offsets.local(0), HOUR);
        let new_york = Zone::Named(Tz::America__New_York);
        assert_eq!(Offsets::legacy(new_york).at(-5_000_000_000_000), -5 * HOUR);
        assert_ne!(Offsets::new(new_york).at(-5_000_000_000_000), -5 * HOUR);
        assert_eq!(new_york.to_moment(-5_000_000_000_000, Twice::Second), -5_000_000_000_000 + 5 * HOUR);
        assert_eq!(offsets.at(i64::MAX), 0);
        assert_eq!(offsets.at(i64::MIN), 0);
    }
}
