//! Texts read by patterns of `DateTimeFormatter`, and what they say.

use super::super::calendar::{Civil, days_of_month, is_leap};
use super::super::zone::offset;
use super::simple::first_sunday;
use super::{Field, Formatter, Part, Sign, Style, name, names};

/// What a text said, field by field.
#[derive(Clone, Copy, Debug, Default)]
struct Fields {
    values: [i64; Field::COUNT],
    /// A bit for each field that was said.
    said: u32,
}

impl Fields {
    fn get(&self, field: Field) -> Option<i64> {
        let index = field as usize;
        (self.said & (1 << index) != 0).then(|| self.values.get(index).copied())?
    }

    /// Notes a value; `None` when the text said another one before.
    fn set(&mut self, field: Field, value: i64) -> Option<()> {
        match self.get(field) {
            Some(known) => (known == value).then_some(()),
            None => {
                *self.values.get_mut(field as usize)? = value;
                self.said |= 1 << field as usize;
                Some(())
            }
        }
    }

    /// The value, if it is between `least` and `most`; `Err` when it is not.
    fn checked(&self, field: Field, least: i64, most: i64) -> Result<Option<i64>, Unreadable> {
        match self.get(field) {
            Some(value) if value < least || value > most => Err(Unreadable),
            value => Ok(value),
        }
    }
}

/// The text is not what the pattern describes, or no date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Unreadable;

/// A date and time that a text says, with what it does not say filled up from 1970-01-01 00:00. It need not
/// exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Said {
    pub(in super::super) date: Civil,
    pub(in super::super) hour: i64,
    pub(in super::super) minute: i64,
    pub(in super::super) second: i64,
    pub(in super::super) nano: i64,
}

impl Said {
    /// Milliseconds since 1970 and the nanoseconds beyond; `None` when there is no such date.
    pub(in super::super) fn millis(self) -> Option<(i64, i64)> {
        use super::super::calendar::{DAY, HOUR, MINUTE, SECOND};
        let Civil { year, month, day } = self.date;
        let exists = (-999_999..=999_999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day);
        if !exists {
            return None;
        }
        let time = self.hour * HOUR + self.minute * MINUTE + self.second * SECOND + self.nano / 1_000_000;
        Some((self.date.days() * DAY + time, self.nano % 1_000_000))
    }
}

impl Formatter {
    /// What `text`, all of it, says.
    ///
    /// # Errors
    /// When it is not what the pattern describes, or its parts do not go together.
    pub(in super::super) fn parse(&self, text: &str) -> Result<Said, Unreadable> {
        let mut fields = Fields::default();
        let end = parse(&self.parts, text, 0, &mut fields).ok_or(Unreadable)?;
        if end != text.len() {
            return Err(Unreadable);
        }
        resolve(&fields)
    }
}

/// Reads `parts` from `at` on: where they end.
fn parse(parts: &[Part], text: &str, mut at: usize, fields: &mut Fields) -> Option<usize> {
    for part in parts {
        let rest = text.get(at..)?;
        at = match part {
            Part::Literal(literal) => at + rest.starts_with(literal.as_str()).then_some(literal.len())?,
            Part::Number { field, least, most, sign, following } => {
                let (length, value) = parse_number(rest, *least, *most, *sign, *following)?;
                fields.set(*field, value)?;
                at + length
            }
            Part::ShortYear(field) => {
                let (length, value) = parse_number(rest, 2, 2, Sign::NotNegative, 0)?;
                fields.set(*field, 2000 + value)?;
                at + length
            }
            Part::Fraction { digits, .. } => {
                let (length, value) = parse_number(rest, *digits, *digits, Sign::NotNegative, 0)?;
                let missing = u32::try_from(9usize.saturating_sub(*digits)).ok()?;
                fields.set(Field::Nano, value * 10i64.pow(missing))?;
                at + length
            }
            Part::Name(field, style) => {
                let (length, value) = parse_name(rest, *field, *style)?;
                fields.set(*field, value)?;
                at + length
            }
            // What the offset or zone is does not matter: the local time is what counts.
            Part::Offset { letter, count } => at + offset_length(rest, *letter, *count)?,
            Part::Zone(_) => at + zone_length(rest)?,
            Part::Optional(parts) => {
                let before = *fields;
                match parse(parts, text, at, fields) {
                    Some(end) => end,
                    None => {
                        *fields = before;
                        at
                    }
                }
            }
        };
    }
    Some(at)
}

/// A number at the start of `text`: its length and value.
fn parse_number(text: &str, least: usize, most: usize, sign: Sign, following: usize) -> Option<(usize, i64)> {
    let bytes = text.as_bytes();
    let (signs, is_positive, is_negative) = match bytes.first()? {
        b'+' if sign == Sign::ExceedsPad => (1, true, false),
        b'-' if sign != Sign::NotNegative => (1, false, true),
        b'+' | b'-' => return None,
        _ => (0, false, false),
    };
    let digits =
        bytes.get(signs..)?.iter().take(most + following).take_while(|byte| byte.is_ascii_digit()).count();
    if digits < least {
        return None;
    }
    // What follows without anything between takes its digits from the end.
    let length = if following > 0 { digits.saturating_sub(following).max(least) } else { digits };
    let number: i64 = text.get(signs..signs + length)?.parse().ok()?;
    if is_negative {
        return (number != 0).then_some((signs + length, -number));
    }
    if sign == Sign::ExceedsPad && is_positive != (length > least) {
        return None;
    }
    Some((signs + length, number))
}

/// The longest name at the start of `text`: its length and value.
fn parse_name(text: &str, field: Field, style: Style) -> Option<(usize, i64)> {
    let (first, last) = match field {
        Field::Month => (1, 12),
        Field::DayOfWeek => (1, 7),
        Field::Quarter => (1, 4),
        _ => (0, 1),
    };
    (first..=last)
        .filter_map(|value| {
            let name = name(field, style, value);
            (!name.is_empty() && text.starts_with(name)).then_some((name.len(), value))
        })
        .max_by_key(|(length, _)| *length)
}

fn offset_length(text: &str, letter: char, count: usize) -> Option<usize> {
    if letter == 'O' || letter == 'Z' && count == 4 {
        let rest = text.strip_prefix("GMT")?;
        return Some(3 + signed_length(rest).unwrap_or(0));
    }
    if text.starts_with('Z') && (letter == 'X' || letter == 'Z' && count == 5) {
        return Some(1);
    }
    let has_colons = matches!((letter, count), (_, 3 | 5)) && letter != 'Z' || letter == 'Z' && count == 5;
    let length = signed_length(text)?;
    let written = text.get(..length)?;
    let fits = match (letter, count) {
        ('X' | 'x', 1) => !written.contains(':') && length >= 3,
        _ => written.contains(':') == has_colons && length > 3,
    };
    fits.then_some(length)
}

/// The length of an offset such as `+08`, `+0800` or `+08:00`.
fn signed_length(text: &str) -> Option<usize> {
    let end = text
        .char_indices()
        .skip(1)
        .find(|(_, c)| !c.is_ascii_digit() && *c != ':')
        .map_or(text.len(), |(at, _)| at);
    (1..=end)
        .rev()
        .find(|end| text.get(..*end).is_some_and(|text| !text.ends_with(':') && offset(text).is_some()))
}

fn zone_length(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/' | '_' | '+' | '-' | ':'))
        .unwrap_or(text.len());
    let is_zone = |name: &str| {
        super::super::zone::Zone::of_id(name).is_some()
            || name.len() >= 3 && name.bytes().all(|byte| byte.is_ascii_uppercase())
    };
    (1..=end).rev().find(|end| text.get(..*end).is_some_and(is_zone))
}

/// The date and time that the fields make, as Java's `SMART` style has it.
fn resolve(fields: &Fields) -> Result<Said, Unreadable> {
    let (hour, minute, second, nano, extra_days) = resolve_time(fields)?;
    let date = resolve_date(fields)?;
    let date = match date {
        // The end of a day is the start of the next one.
        Ok(date) if extra_days > 0 => Civil::of_days(date.days() + extra_days),
        Ok(date) | Err(date) => date,
    };
    Ok(Said { date, hour, minute, second, nano })
}

fn resolve_time(fields: &Fields) -> Result<(i64, i64, i64, i64, i64), Unreadable> {
    let clock_hour = fields.checked(Field::ClockHour, 0, 24)?.map(|hour| hour % 24);
    let hour_of_half = match fields.checked(Field::ClockHourOfHalf, 0, 12)? {
        Some(hour) => Some(hour % 12),
        None => fields.checked(Field::HourOfHalf, 0, 11)?,
    };
    let half = fields.get(Field::Half);
    let mut hour = fields.checked(Field::Hour, 0, 24)?.or(clock_hour);
    if let (Some(half), Some(of_half)) = (half, hour_of_half) {
        let said = half * 12 + of_half;
        if hour.is_some_and(|hour| hour != said) {
            return Err(Unreadable);
        }
        hour = Some(said);
    }
    let minute = fields.checked(Field::Minute, 0, 59)?;
    let second = fields.checked(Field::Second, 0, 59)?;
    let nano = fields.checked(Field::Nano, 0, 999_999_999)?;
    if let Some(nanos) = fields.checked(Field::NanoOfDay, 0, 86_399_999_999_999)? {
        let seconds = nanos / 1_000_000_000;
        return Ok((seconds / 3600, seconds / 60 % 60, seconds % 60, nanos % 1_000_000_000, 0));
    }
    if let Some(millis) = fields.checked(Field::MilliOfDay, 0, 86_399_999)? {
        let seconds = millis / 1000;
        let nano = nano.unwrap_or(millis % 1000 * 1_000_000);
        return Ok((seconds / 3600, seconds / 60 % 60, seconds % 60, nano, 0));
    }
    if let (Some(half), None, None, None, None, None) = (half, hour, hour_of_half, minute, second, nano) {
        // Of half a day its middle is taken.
        return Ok((half * 12 + 6, 0, 0, 0, 0));
    }
    let (minute, second, nano) = (minute.unwrap_or(0), second.unwrap_or(0), nano.unwrap_or(0));
    if hour == Some(24) {
        // Midnight at the end of the day is all that there is of this hour.
        return if minute == 0 && second == 0 && nano == 0 { Ok((0, 0, 0, 0, 1)) } else { Err(Unreadable) };
    }
    Ok((hour.unwrap_or(0), minute, second, nano, 0))
}

/// The date that the fields make, or as `Err` what they say when they do not make one.
fn resolve_date(fields: &Fields) -> Result<Result<Civil, Civil>, Unreadable> {
    let year_of_era = fields.checked(Field::YearOfEra, 1, 999_999_999)?;
    let year = match (fields.get(Field::Year), year_of_era) {
        (Some(year), Some(of_era)) if year != of_era && year > 0 => return Err(Unreadable),
        (Some(year), _) => Some(year),
        (None, Some(of_era)) if fields.get(Field::Era) == Some(0) => Some(1 - of_era),
        (None, of_era) => of_era,
    };
    let (month, day) = (fields.get(Field::Month), fields.get(Field::Day));
    let by_week = fields
        .get(Field::WeekYear)
        .zip(fields.checked(Field::Week, 1, 54)?)
        .zip(fields.get(Field::LocalDayOfWeek));
    let date = match (year, month, day, fields.get(Field::DayOfYear), fields.get(Field::ModifiedJulianDay)) {
        (.., Some(days)) => Civil::of_days(days.saturating_sub(40_587)),
        (Some(year), Some(month), Some(day), ..) => {
            if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
                return Err(Unreadable);
            }
            // A day that the month does not have is its last one.
            Civil { year, month, day: day.min(days_of_month(year, month)) }
        }
        (Some(year), _, _, Some(of_year), _) => {
            if of_year < 1 || of_year > 365 + i64::from(is_leap(year)) {
                return Err(Unreadable);
            }
            Civil::of_days(Civil { year, month: 1, day: 1 }.days() + of_year - 1)
        }
        _ if by_week.is_some() => match by_week {
            Some(((year, week), day)) => Civil::of_days(first_sunday(year) + (week - 1) * 7 + day - 1),
            None => return Err(Unreadable),
        },
        _ => {
            return Ok(Err(Civil {
                year: year.unwrap_or(1970),
                month: month.unwrap_or(1),
                day: day.unwrap_or(1),
            }));
        }
    };
    let day_of_week = super::super::calendar::iso_day_of_week(date.days());
    if fields.get(Field::DayOfWeek).is_some_and(|said| said != day_of_week) {
        return Err(Unreadable);
    }
    Ok(Ok(date))
}

/// The names of a month, for what is not of `java.time`.
pub(super) fn month_named(text: &str) -> Option<(usize, i64)> {
    named(&names::MONTHS, text)
}

/// The names of a day of the week.
pub(super) fn day_named(text: &str) -> Option<(usize, i64)> {
    named(&names::DAYS, text)
}

/// The longest of the names, or of their short forms, that `text` starts with, whatever the case: its length,
/// and its number from 1.
fn named(all: &'static [&'static str], text: &str) -> Option<(usize, i64)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let found = all.iter().zip(1..).filter_map(|(name, number)| {
        let short = names::short(name);
        [*name, short].into_iter().find(|name| starts(name)).map(|name| (name.len(), number))
    });
    found.max_by_key(|(length, _)| *length)
}

#[cfg(test)]
mod tests {
    use super::super::super::column::push_local_date_time;
    use super::*;

    fn said(pattern: &str, text: &str) -> Option<String> {
        let (millis, nanos) = Formatter::new(pattern).unwrap().parse(text).ok()?.millis()?;
        let mut out = String::new();
        push_local_date_time(&mut out, millis, nanos);
        Some(out)
    }

    #[test]
    fn reads() {
        for (pattern, text, expected) in [
            ("yyyyMMddHHmmss", "20210102030405", "2021-01-02T03:04:05"),
            ("yyyyMMddHHmmssSSS", "20210102030405123", "2021-01-02T03:04:05.123"),
            ("yyyyMMdd", "120210102", ""),
            ("yyyy-MM-dd HH:mm:ss.SSSSSS", "2021-01-02 03:04:05.123456", "2021-01-02T03:04:05.123456"),
            ("MM/dd/yy", "01/02/21", "2021-01-02T00:00"),
            ("MMM d yyyy h a", "Jan 2 2021 3 PM", "2021-01-02T15:00"),
            ("MMMM d, yyyy", "May 2, 2021", "2021-05-02T00:00"),
            ("yyyy-MM-dd'T'HH:mm:ss'Z'", "2021-01-02T03:04:05Z", "2021-01-02T03:04:05"),
            ("yyyy-MM-dd'T'HH:mm:ssXXX", "2021-01-02T03:04:05+02:00", "2021-01-02T03:04:05"),
            ("yyyy-MM-dd HH:mm:ss VV", "2021-01-02 03:04:05 Europe/Berlin", "2021-01-02T03:04:05"),
            ("yyyy-MM-dd HH:mm:ss z", "2021-01-02 03:04:05 PST", "2021-01-02T03:04:05"),
            ("yyyy-MM-dd HH:mm:ss Z", "2021-01-02 03:04:05 +0200", "2021-01-02T03:04:05"),
            ("yyyy-MM", "2021-02", "2021-02-01T00:00"),
            ("HH:mm", "10:20", "1970-01-01T10:20"),
            ("yyyy-MM-dd HH:mm:ss", "2021-01-02 24:00:00", "2021-01-03T00:00"),
            ("yyyy-MM-dd", "2021-02-30", "2021-02-28T00:00"),
            ("yyyy-DDD", "2021-365", "2021-12-31T00:00"),
            ("yy-M-d", "99-1-2", "2099-01-02T00:00"),
            ("yyyy-MM-dd[ HH:mm]", "2021-01-02", "2021-01-02T00:00"),
            ("yyyy-MM-dd[ HH:mm]", "2021-01-02 03:04", "2021-01-02T03:04"),
            ("EEE yyyy-MM-dd", "Sat 2021-01-02", "2021-01-02T00:00"),
            ("yyyy-MM-dd kk", "2021-01-02 24", "2021-01-02T00:00"),
            ("yyyy-MM-dd a", "2021-01-02 PM", "2021-01-02T18:00"),
            ("hh:mm", "03:04", "1970-01-01T00:04"),
            ("YYYY-ww-e", "2021-02-3", "2021-01-05T00:00"),
            ("yyyy-MM-dd'T'HH:mm:ssX", "2021-01-02T03:04:05+0230", "2021-01-02T03:04:05"),
            ("yyyy-MM-dd'T'HH:mm:ssXX", "2021-01-02T03:04:05Z", "2021-01-02T03:04:05"),
            ("yyyy-MM-dd HH:mm:ss,SSS", "2021-01-02 03:04:05,123", "2021-01-02T03:04:05.123"),
            ("yyyy-MM-dd N", "2021-01-02 1000000000", "2021-01-02T00:00:01"),
            ("uu-M-d", "21-1-2", "2021-01-02T00:00"),
            ("O", "GMT+8", "1970-01-01T00:00"),
            ("x", "+02", "1970-01-01T00:00"),
            ("yyyy-MM-dd", "+12345-01-02", "+12345-01-02T00:00"),
            ("uuuu-MM-dd", "-0001-01-02", "-0001-01-02T00:00"),
        ] {
            assert_eq!(said(pattern, text).as_deref().unwrap_or(""), expected, "{text} as {pattern}");
        }
    }

    #[test]
    fn refuses() {
        for (pattern, text) in [
            ("yyyy-MM-dd", "2021-13-02"),
            ("yyyy-MM-dd", "2021-1-2"),
            ("yyyy-MM-dd", "12021-01-02"),
            ("yyyy-MM-dd", "2021-01-02 "),
            ("yyyy-MM-dd HH:mm:ss", "2021-02-28 25:00:00"),
            ("yyyy-MM-dd HH:mm:ss", "2021-02-28 24:00:01"),
            ("MMM", "jan"),
            ("EEE yyyy-MM-dd", "Sun 2021-01-02"),
            ("yyyy-DDD", "2021-366"),
            ("yyyy yyyy", "2021 2022"),
            ("XXX", "+0200"),
            ("yyyyMd", "2021123"),
            ("yyy-M-d", "21-1-2"),
            ("MM-dd", "02-30"),
            ("yyyy-MM-dd HH:mm:ss.SSS", "2021-01-02 03:04:05.12"),
            ("yyyy", ""),
        ] {
            assert_eq!(said(pattern, text), None, "{text} as {pattern}");
        }
        let said = Formatter::new("yyyy-MM").unwrap().parse("2021-13").unwrap();
        assert_eq!(said.millis(), None, "a month that is not there is only seen when a date is made");
    }
}
