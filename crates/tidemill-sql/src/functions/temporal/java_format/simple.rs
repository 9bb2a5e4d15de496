//! Patterns of `java.text.SimpleDateFormat`, lenient, in English, with the calendar of Julius Caesar before
//! 1582-10-15.

use super::super::calendar::{Civil, DAY, HOUR, MINUTE, SECOND, iso_day_of_week};
use super::super::column::push_padded;
use super::super::zone::{Offsets, Twice, Zone, offset};
use super::parse::{day_named, month_named};
use super::{Local, names};

/// The first day of the calendar of today.
const CUTOVER: i64 = -141_427;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Letter(char, usize),
}

/// A compiled pattern of `SimpleDateFormat`.
#[derive(Clone, Debug)]
pub(in super::super) struct SimpleFormat {
    parts: Vec<Part>,
}

impl SimpleFormat {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What Java says when it is none.
    pub(in super::super) fn new(pattern: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut chars = pattern.chars().peekable();
        let mut quoted = false;
        let literal = |parts: &mut Vec<Part>, c: char| match parts.last_mut() {
            Some(Part::Literal(text)) => text.push(c),
            _ => parts.push(Part::Literal(c.to_string())),
        };
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => literal(&mut parts, '\''),
                '\'' => quoted = !quoted,
                'a'..='z' | 'A'..='Z' if !quoted => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if !"GyMdkHmsSEDFwWahKzZYuXL".contains(c) {
                        return Err(format!("Illegal pattern character '{c}'"));
                    }
                    if c == 'X' && count > 3 {
                        return Err(format!("invalid ISO 8601 format: length={count}"));
                    }
                    parts.push(Part::Letter(c, count));
                }
                _ => literal(&mut parts, c),
            }
        }
        if quoted { Err("Unterminated quote".to_owned()) } else { Ok(Self { parts }) }
    }

    /// Appends a moment as it is in `zone`.
    pub(in super::super) fn print(&self, millis: i64, zone: Zone, offsets: &Offsets, out: &mut String) {
        let offset = offsets.at(millis);
        let mut local = Local::of_millis(millis.saturating_add(offset), 0);
        if local.days < CUTOVER {
            local.date = Civil::of_days_julian(local.days);
        }
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Letter(letter, count) => print(*letter, *count, &local, millis, offset, zone, out),
            }
        }
    }
}

fn print(letter: char, count: usize, local: &Local, millis: i64, offset: i64, zone: Zone, out: &mut String) {
    use super::Field;
    let field = match letter {
        'y' => return print_year(Field::YearOfEra.value(local), count, out),
        'Y' => return print_year(Field::WeekYear.value(local), count, out),
        'M' | 'L' if count >= 3 => {
            let name = names::of(&names::MONTHS, local.date.month);
            return out.push_str(if count == 3 { names::short(name) } else { name });
        }
        'E' => {
            let name = names::of(&names::DAYS, Field::DayOfWeek.value(local));
            return out.push_str(if count < 4 { names::short(name) } else { name });
        }
        'a' => return out.push_str(names::of(&names::HALVES, Field::Half.value(local) + 1)),
        'G' => return out.push_str(names::of(&names::ERAS, Field::Era.value(local) + 1)),
        'z' if count >= 4 && zone == Zone::UTC => return out.push_str("Coordinated Universal Time"),
        'z' => return zone.short_name(millis, out),
        'Z' => return print_offset(offset, 2, "", out),
        'X' if offset == 0 => return out.push('Z'),
        'X' => return print_offset(offset, count, if count == 3 { ":" } else { "" }, out),
        'S' => return push_padded(out, (local.time % SECOND).unsigned_abs(), count),
        'F' => return push_padded(out, ((local.date.day - 1) / 7 + 1).unsigned_abs(), count),
        'M' | 'L' => Field::Month,
        'd' => Field::Day,
        'k' => Field::ClockHour,
        'H' => Field::Hour,
        'm' => Field::Minute,
        's' => Field::Second,
        'D' => Field::DayOfYear,
        'w' => Field::Week,
        'W' => Field::WeekOfMonth,
        'h' => Field::ClockHourOfHalf,
        'K' => Field::HourOfHalf,
        _ => Field::DayOfWeek,
    };
    push_padded(out, field.value(local).unsigned_abs(), count);
}

fn print_year(year: i64, count: usize, out: &mut String) {
    let year = year.unsigned_abs();
    if count == 2 { push_padded(out, year % 100, 2) } else { push_padded(out, year, count) }
}

fn print_offset(offset: i64, parts: usize, separator: &str, out: &mut String) {
    out.push(if offset < 0 { '-' } else { '+' });
    let minutes = offset.unsigned_abs() / 60_000;
    push_padded(out, minutes / 60, 2);
    if parts > 1 {
        out.push_str(separator);
        push_padded(out, minutes % 60, 2);
    }
}

/// What a text said, and in which order the hours of it came.
#[derive(Clone, Debug)]
struct Said {
    era_is_before: bool,
    year: i64,
    /// From 0.
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    /// The week of the year, when nothing said a month or a day.
    week: Option<i64>,
    /// From 0, which is Sunday.
    day_of_week: i64,
    has_day: bool,
    /// Whether the year had two digits that may be of either century.
    is_ambiguous: bool,
    /// From 0 to 23, and when it was said.
    hour: Option<(i64, usize)>,
    /// From 0 to 11, and when it was said.
    hour_of_half: Option<(i64, usize)>,
    half: Option<(i64, usize)>,
    minute: i64,
    second: i64,
    millis: i64,
    zone: Option<Zone>,
}

impl SimpleFormat {
    /// The moment that the start of `text` says in `zone`; years of two digits are between 80 years before
    /// `now` and 20 years after it. `None` when it says none.
    pub(in super::super) fn parse(&self, text: &str, zone: Zone, now: i64) -> Option<i64> {
        let today = Civil::of_days(now.div_euclid(DAY));
        let century = today.year - 80;
        let mut said = Said {
            era_is_before: false,
            year: 1970,
            month: 0,
            day: 1,
            day_of_year: None,
            week: None,
            day_of_week: 0,
            has_day: false,
            is_ambiguous: false,
            hour: None,
            hour_of_half: None,
            half: None,
            minute: 0,
            second: 0,
            millis: 0,
            zone: None,
        };
        let mut at = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let rest = text.get(at..)?;
            at += match part {
                Part::Literal(literal) => rest.starts_with(literal.as_str()).then_some(literal.len())?,
                Part::Letter(letter, count) => {
                    // Numbers that follow each other without anything between are as long as their letters.
                    let is_joined = matches!(self.parts.get(index + 1), Some(Part::Letter(..)));
                    said.read(rest, *letter, *count, is_joined, index, century)?
                }
            };
        }
        let moment = said.moment(zone)?;
        let start =
            Civil { year: century, ..today }.days().checked_mul(DAY)?.checked_add(now.rem_euclid(DAY))?;
        if said.is_ambiguous && moment < start {
            said.year += 100;
            return said.moment(zone);
        }
        Some(moment)
    }
}

/// A whole number at the start of `text`, behind blanks: where it ends and its value.
fn number(text: &str) -> Option<(usize, i64)> {
    let blanks = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = text.get(blanks..)?;
    let (signs, sign) = if rest.starts_with('-') { (1, -1) } else { (0, 1) };
    let digits = rest.bytes().skip(signs).take_while(u8::is_ascii_digit).count();
    // What does not fit in Java's int starts again at its least number.
    let digits = rest.get(signs..signs + digits).filter(|digits| !digits.is_empty())?;
    let value = digits.parse::<i64>().map_or(i32::MAX, |value| (sign * value) as i32);
    Some((blanks + signs + digits.len(), i64::from(value)))
}

impl Said {
    /// Reads the value of a letter: how long it is.
    fn read(
        &mut self,
        text: &str,
        letter: char,
        count: usize,
        is_joined: bool,
        index: usize,
        century: i64,
    ) -> Option<usize> {
        let blanks = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = text.get(blanks..).filter(|rest| !rest.is_empty())?;
        let value = || number(if is_joined { text.get(..count)? } else { text });
        match letter {
            // Names are looked for without skipping blanks.
            'G' => {
                let era = text.get(..2)?;
                self.era_is_before = era.eq_ignore_ascii_case("BC");
                return (self.era_is_before || era.eq_ignore_ascii_case("AD")).then_some(2);
            }
            'M' | 'L' if count > 2 => {
                let (length, month) = month_named(text)?;
                self.month = month - 1;
                self.has_day = true;
                return Some(length);
            }
            'E' => {
                let (length, day) = day_named(text)?;
                self.day_of_week = day % 7;
                return Some(length);
            }
            'a' => {
                let half = text.get(..2)?;
                let is_afternoon = half.eq_ignore_ascii_case("PM");
                self.half = Some((i64::from(is_afternoon), index));
                return (is_afternoon || half.eq_ignore_ascii_case("AM")).then_some(2);
            }
            'z' | 'Z' | 'X' => {
                let (length, zone) = read_zone(rest, letter, count)?;
                self.zone = Some(zone);
                return Some(blanks + length);
            }
            _ => {}
        }
        let (length, value) = value()?;
        match letter {
            'y' | 'Y' => {
                let is_short = count <= 2 && length - blanks == 2 && value >= 0;
                self.year = if is_short { near(value, century) } else { value };
                self.is_ambiguous = is_short && self.year == century;
            }
            'M' | 'L' => {
                self.month = value - 1;
                self.has_day = true;
            }
            'd' => {
                self.day = value;
                self.has_day = true;
            }
            'w' => self.week = Some(value),
            'u' => self.day_of_week = value.rem_euclid(7),
            'D' => self.day_of_year = Some(value),
            'H' => self.hour = Some((value, index)),
            'k' => self.hour = Some((if value == 24 { 0 } else { value }, index)),
            'h' => self.hour_of_half = Some((if value == 12 { 0 } else { value }, index)),
            'K' => self.hour_of_half = Some((value, index)),
            'm' => self.minute = value,
            's' => self.second = value,
            'S' => self.millis = value,
            // Weeks of months do not say more than the date.
            _ => {}
        }
        Some(length)
    }

    fn moment(&self, zone: Zone) -> Option<i64> {
        let year = if self.era_is_before { 1 - self.year } else { self.year };
        let first =
            Civil { year: year + self.month.div_euclid(12), month: self.month.rem_euclid(12) + 1, day: 1 };
        let new_year = Civil { year, month: 1, day: 1 };
        let days = match (self.day_of_year, self.week) {
            (Some(day), _) => in_either(new_year, day - 1),
            (None, Some(week)) if !self.has_day => first_sunday(year) + (week - 1) * 7 + self.day_of_week,
            _ => in_either(first, self.day - 1),
        };
        let hour = match (self.hour, self.hour_of_half, self.half) {
            // What was said last counts, if it says enough.
            (Some((hour, said)), Some((_, one)), Some((_, two))) if said > one.max(two) => hour,
            (_, Some((hour, _)), Some((half, _))) => half * 12 + hour,
            (Some((hour, _)), ..) => hour,
            (None, hour, half) => half.map_or(0, |(half, _)| half * 12) + hour.map_or(0, |(hour, _)| hour),
        };
        let time = hour * HOUR + self.minute * MINUTE + self.second * SECOND + self.millis;
        let local = days.checked_mul(DAY)?.checked_add(time)?;
        Some(self.zone.unwrap_or(zone).to_moment(local, Twice::Second))
    }
}

/// The day `more` days after a date of the calendar that was in use then.
fn in_either(date: Civil, more: i64) -> i64 {
    let days = date.days() + more;
    if days >= CUTOVER { days } else { date.days_julian() + more }
}

/// The first year from `start` on with these last two digits.
fn near(short: i64, start: i64) -> i64 {
    let year = start - start.rem_euclid(100) + short;
    if year < start { year + 100 } else { year }
}

/// The Sunday that the week of the first of January starts with.
pub(super) fn first_sunday(year: i64) -> i64 {
    let first = Civil { year, month: 1, day: 1 }.days();
    first - iso_day_of_week(first) % 7
}

fn read_zone(text: &str, letter: char, count: usize) -> Option<(usize, Zone)> {
    if letter == 'X' {
        if text.starts_with('Z') {
            return Some((1, Zone::UTC));
        }
        let length = match count {
            1 => 3,
            2 => 5,
            _ => 6,
        };
        let seconds = text.get(..length).and_then(offset)?;
        return Some((length, Zone::Fixed(seconds)));
    }
    if text.starts_with(['+', '-']) {
        let length = text.bytes().skip(1).take_while(u8::is_ascii_digit).count().min(4) + 1;
        let seconds = text.get(..length).filter(|_| length == 5).and_then(offset)?;
        return Some((length, Zone::Fixed(seconds)));
    }
    if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("GMT")) {
        let rest = text.get(3..)?;
        if !rest.starts_with(['+', '-']) {
            return Some((3, Zone::UTC));
        }
        // Behind this name there is a colon between hours and minutes.
        let length = [6, 5].into_iter().find(|length| {
            rest.get(..*length).is_some_and(|text| text.as_bytes().get(length - 3) == Some(&b':'))
        })?;
        return Some((3 + length, Zone::Fixed(rest.get(..length).and_then(offset)?)));
    }
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let name = text.get(..end)?;
    // Short names of winter and summer time that Java knows and that are no zones of their own.
    const NAMES: [(&str, i32); 18] = [
        ("UTC", 0),
        ("EST", -5),
        ("EDT", -4),
        ("CST", -6),
        ("CDT", -5),
        ("MST", -7),
        ("MDT", -6),
        ("PST", -8),
        ("PDT", -7),
        ("AKST", -9),
        ("AKDT", -8),
        ("HST", -10),
        ("WET", 0),
        ("CET", 1),
        ("CEST", 2),
        ("EET", 2),
        ("EEST", 3),
        ("JST", 9),
    ];
    let (_, hours) = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some((end, Zone::Fixed(hours * 3600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(pattern: &str, millis: i64, zone: Zone) -> String {
        let mut out = String::new();
        SimpleFormat::new(pattern).unwrap().print(millis, zone, &Offsets::new(zone), &mut out);
        out
    }

    fn read(pattern: &str, text: &str) -> Option<i64> {
        // In the middle of 2026.
        SimpleFormat::new(pattern).unwrap().parse(text, Zone::UTC, 1_782_900_000_000)
    }

    const PLAIN: &str = "yyyy-MM-dd HH:mm:ss";

    #[test]
    fn prints() {
        let time = read(PLAIN, "2021-01-02 13:04:05").unwrap();
        assert_eq!(time, 1_609_592_645_000);
        assert_eq!(
            printed("E EEEE MMM MMMM d D h a K k w W u y yy G z Z X", time, Zone::UTC),
            "Sat Saturday Jan January 2 2 1 PM 1 13 1 1 6 2021 21 AD UTC +0000 Z"
        );
        assert_eq!(printed("YYYY 'week' w, S SSS F", time, Zone::UTC), "2021 week 1, 0 000 1");
        let berlin = Zone::Named(chrono_tz::Tz::Europe__Berlin);
        assert_eq!(printed("HH z Z X XX XXX", time, berlin), "14 CET +0100 +01 +0100 +01:00");
        assert_eq!(printed("zzzz", time, Zone::UTC), "Coordinated Universal Time");
        assert_eq!(printed("''yyyy'o''clock'", time, Zone::UTC), "'2021o'clock");
    }

    #[test]
    fn old_dates_are_julian() {
        // 3168 years before 1970, in the year 1200 before our era.
        assert_eq!(
            printed("yyyy-MM-dd HH:mm:ss G", -100_000_000_000_000, Zone::UTC),
            "1200-02-26 14:13:20 BC"
        );
        assert_eq!(read(PLAIN, "1582-10-04 00:00:00"), Some((CUTOVER - 1) * DAY));
        assert_eq!(read(PLAIN, "1582-10-15 00:00:00"), Some(CUTOVER * DAY));
        let text = "1200-02-26 14:13:20";
        assert_eq!(printed(PLAIN, read(PLAIN, text).unwrap(), Zone::UTC), text);
    }

    #[test]
    fn reads() {
        for (pattern, text, seconds) in [
            ("yyyy-MM-dd", "2021-01-02", 1_609_545_600),
            (PLAIN, "2021-1-2 3:4:5", 1_609_556_645),
            (PLAIN, "2021-13-02 03:04:05", 1_641_092_645),
            (PLAIN, "2021-01-02 03:04:05 garbage", 1_609_556_645),
            ("yy-M-d", "99-1-2", 915_235_200),
            ("yy-M-d", "46-1-2", 2_398_464_000),
            ("yy-M-d", "46-12-2", -728_438_400),
            ("yy-M-d", "47-1-2", -725_760_000),
            ("yyyyMMdd", "2021010", 1_609_372_800),
            ("yyyy-MM-dd HH:mm a", "1970-01-01 13:00 PM", 46_800),
            ("yyyy-MM-dd HH:mm hh", "1970-01-01 13:00 05", 46_800),
            ("yyyy-MM-dd", "  2021- 1-2", 1_609_545_600),
            ("yyyy-MM-dd E", "2021-01-02 Mon", 1_609_545_600),
            ("yyyy w", "2021 5", 1_611_446_400),
            ("yyyyMMddHHmm", "20210102 304", 1_609_556_640),
            ("X", "+0200", -7200),
            ("Z", "PST", 28_800),
            ("yyyyMMddHHmmss", "20210102030405", 1_609_556_645),
            ("dd.MM.yyyy", "32.01.2021", 1_612_137_600),
            ("yyyy-MM-dd HH:mm:ss.SSS X", "1970-01-01 08:00:00.001 +08", 0),
            ("EEE, dd MMM yyyy HH:mm:ss z", "Sat, 02 jan 2021 03:04:05 PST", 1_609_585_445),
            ("yyyy-MM-dd hh:mm a", "1970-01-01 12:30 am", 1800),
            ("yyyy-MM-dd HH:mm Z", "1970-01-01 01:00 +0100", 0),
            ("yyyy-MM-dd HH:mm z", "1970-01-01 01:00 GMT+1:00", 0),
            ("yyyy-DDD", "1970-032", 31 * 86_400),
            ("yyyy MMMM", "1970 February", 31 * 86_400),
            ("yyyy-MM-dd", "1970-01--1", -2 * 86_400),
            ("yyyy G", "1 BC", -62_167_392_000),
        ] {
            assert_eq!(
                read(pattern, text).map(|millis| millis.div_euclid(1000)),
                Some(seconds),
                "{text} as {pattern}"
            );
        }
        assert_eq!(read("yyyy-MM-dd HH:mm:ss.SSS", "1970-01-01 00:00:00.001"), Some(1));
    }

    #[test]
    fn refuses() {
        for (pattern, text) in [
            (PLAIN, "bad"),
            ("h:mm a", "11:2  PM"),
            (PLAIN, ""),
            (PLAIN, "2021-01-02"),
            ("MMM", "Foo"),
            ("z", "Nope"),
            ("z", "Asia/Shanghai"),
            ("z", "+08:00"),
            ("Z", "+01:00"),
            ("z", "GMT+1"),
            ("X", "+"),
            ("yyyy/MM", "2021/"),
        ] {
            assert_eq!(read(pattern, text), None, "{text} as {pattern}");
        }
        assert_eq!(SimpleFormat::new("jj").unwrap_err(), "Illegal pattern character 'j'");
        assert_eq!(SimpleFormat::new("'a").unwrap_err(), "Unterminated quote");
        assert!(SimpleFormat::new("XXXX").is_err());
        assert_eq!(read("yyyy-MM-dd", "99999999999999999999-01-01"), None, "there is no such moment");
    }
}
