//! Patterns of `java.time.format.DateTimeFormatter`, in English; those of `java.text.SimpleDateFormat` are in
//! [`simple`].
//!
//! Both are made into parts once, and print by the arithmetic of the calendar.

mod names;
pub(super) mod parse;
pub(super) mod simple;

use super::calendar::{Civil, DAY, HOUR, MINUTE, SECOND, iso_day_of_week};
use super::column::push_padded;

/// A local date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) date: Civil,
    /// Days since 1970.
    pub(super) days: i64,
    /// Milliseconds since midnight.
    pub(super) time: i64,
    /// Nanoseconds beyond the millisecond.
    pub(super) nanos: i64,
}

impl Local {
    /// The local time that many milliseconds, and nanoseconds beyond them, after the first of 1970.
    pub(super) fn of_millis(millis: i64, nanos: i64) -> Self {
        let days = millis.div_euclid(DAY);
        Self { date: Civil::of_days(days), days, time: millis.rem_euclid(DAY), nanos }
    }

    fn nano_of_second(&self) -> i64 {
        self.time % SECOND * 1_000_000 + self.nanos
    }

    /// From 0, which is Sunday.
    fn day_of_week(&self) -> i64 {
        iso_day_of_week(self.days) % 7
    }

    /// The year and the week of it as they are counted in the United States: weeks start on Sunday, the first
    /// is that of the first of January.
    fn week(&self) -> (i64, i64) {
        let saturday = self.days - self.day_of_week() + 6;
        let date = Civil::of_days(saturday);
        (date.year, (date.day_of_year() - 1) / 7 + 1)
    }

    /// The week of the month, counted so.
    fn week_of_month(&self) -> i64 {
        let first = (self.day_of_week() - (self.date.day - 1)).rem_euclid(7);
        (self.date.day - 1 + first) / 7 + 1
    }
}

/// A number that is printed and parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    YearOfEra,
    Quarter,
    Month,
    WeekYear,
    Week,
    WeekOfMonth,
    Day,
    DayOfYear,
    /// The day of the week as it is counted in the United States, from 1.
    LocalDayOfWeek,
    /// From 1, which is Monday.
    DayOfWeek,
    /// Where in its row of seven days the day of the month is.
    AlignedDay,
    ModifiedJulianDay,
    /// 0 in the morning, 1 in the afternoon.
    Half,
    /// From 0 to 11.
    HourOfHalf,
    /// From 1 to 12.
    ClockHourOfHalf,
    Hour,
    /// From 1 to 24.
    ClockHour,
    Minute,
    Second,
    Nano,
    MilliOfDay,
    NanoOfDay,
    Era,
}

impl Field {
    /// How many fields there are.
    const COUNT: usize = Field::Era as usize + 1;

    fn value(self, local: &Local) -> i64 {
        let hour = local.time / HOUR;
        match self {
            Field::Year => local.date.year,
            Field::YearOfEra if local.date.year > 0 => local.date.year,
            Field::YearOfEra => 1 - local.date.year,
            Field::Quarter => (local.date.month + 2) / 3,
            Field::Month => local.date.month,
            Field::WeekYear => local.week().0,
            Field::Week => local.week().1,
            Field::WeekOfMonth => local.week_of_month(),
            Field::Day => local.date.day,
            Field::DayOfYear => local.date.day_of_year(),
            Field::LocalDayOfWeek => local.day_of_week() + 1,
            Field::DayOfWeek => iso_day_of_week(local.days),
            Field::AlignedDay => (local.date.day - 1) % 7 + 1,
            Field::ModifiedJulianDay => local.days + 40_587,
            Field::Half => hour / 12,
            Field::HourOfHalf => hour % 12,
            Field::ClockHourOfHalf => (hour + 11) % 12 + 1,
            Field::Hour => hour,
            Field::ClockHour => (hour + 23) % 24 + 1,
            Field::Minute => local.time % HOUR / MINUTE,
            Field::Second => local.time % MINUTE / SECOND,
            Field::Nano => local.nano_of_second(),
            Field::MilliOfDay => local.time,
            Field::NanoOfDay => local.time * 1_000_000 + local.nanos,
            Field::Era => i64::from(local.date.year > 0),
        }
    }

    /// How many milliseconds the value stays the same at least; 0 when it may change within one.
    fn lasts(self) -> i64 {
        match self {
            Field::Half => 12 * HOUR,
            Field::HourOfHalf | Field::ClockHourOfHalf | Field::Hour | Field::ClockHour => HOUR,
            Field::Minute => MINUTE,
            Field::Second => SECOND,
            Field::MilliOfDay => 1,
            Field::Nano | Field::NanoOfDay => 0,
            _ => DAY,
        }
    }
}

/// Which signs a number has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// A minus.
    Normal,
    /// None.
    NotNegative,
    /// A minus, and a plus when the number is longer than it needs to be.
    ExceedsPad,
}

/// How long a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Short,
    Full,
    Narrow,
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Number {
        field: Field,
        least: usize,
        most: usize,
        sign: Sign,
        /// How many digits of numbers follow that are not separated.
        following: usize,
    },
    /// The last two digits of a year from 2000 to 2099.
    ShortYear(Field),
    /// So many digits of the fraction of a second.
    Fraction {
        digits: usize,
        following: usize,
    },
    Name(Field, Style),
    /// An offset from Greenwich; local times have none to print.
    Offset {
        letter: char,
        count: usize,
    },
    /// A zone; local times have none to print.
    Zone(char),
    Optional(Vec<Part>),
}

/// A compiled pattern of `DateTimeFormatter`.
#[derive(Clone, Debug)]
pub(super) struct Formatter {
    parts: Vec<Part>,
    lasts: i64,
}

impl Formatter {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What Java says when it is none.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let parts = compile(pattern)?;
        let lasts = parts.iter().map(lasts).min().unwrap_or(DAY).min(DAY);
        Ok(Self { parts, lasts })
    }

    /// For how many milliseconds, counted from their full numbers, all times are printed alike; 0 when that
    /// cannot be said.
    pub(super) fn lasts(&self) -> i64 {
        self.lasts
    }

    /// Appends `local`.
    ///
    /// # Errors
    /// When it has no such part, or a year that does not fit.
    pub(super) fn print(&self, local: &Local, out: &mut String) -> Result<(), String> {
        print(&self.parts, local, out)
    }
}

fn lasts(part: &Part) -> i64 {
    match part {
        Part::Literal(_) | Part::Offset { .. } | Part::Zone(_) | Part::ShortYear(_) => DAY,
        Part::Number { field, .. } | Part::Name(field, _) => field.lasts(),
        Part::Fraction { digits: 0..=3, .. } => 1,
        Part::Fraction { .. } => 0,
        Part::Optional(parts) => parts.iter().map(lasts).min().unwrap_or(DAY),
    }
}

fn print(parts: &[Part], local: &Local, out: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Literal(text) => out.push_str(text),
            Part::Number { field, least, most, sign, .. } => {
                print_number(field.value(local), *least, *most, *sign, out)?;
            }
            Part::ShortYear(field) => push_padded(out, field.value(local).unsigned_abs() % 100, 2),
            Part::Fraction { digits, .. } => {
                let start = out.len();
                push_padded(out, local.nano_of_second().unsigned_abs(), 9);
                out.truncate(start + digits);
            }
            Part::Name(field, style) => out.push_str(name(*field, *style, field.value(local))),
            Part::Offset { letter, .. } | Part::Zone(letter) => {
                return Err(format!("'{letter}' needs a time zone, and a timestamp has none"));
            }
            Part::Optional(parts) => {
                let start = out.len();
                if print(parts, local, out).is_err() {
                    out.truncate(start);
                }
            }
        }
    }
    Ok(())
}

fn print_number(value: i64, least: usize, most: usize, sign: Sign, out: &mut String) -> Result<(), String> {
    let size = value.unsigned_abs();
    let digits = size.checked_ilog10().map_or(1, |log| log as usize + 1);
    if digits > most || value < 0 && sign == Sign::NotNegative {
        return Err(format!("the number {value} does not fit in {most} digits"));
    }
    if value < 0 {
        out.push('-');
    } else if sign == Sign::ExceedsPad && digits > least {
        out.push('+');
    }
    push_padded(out, size, least);
    Ok(())
}

fn name(field: Field, style: Style, value: i64) -> &'static str {
    let styled = |name: &'static str| match style {
        Style::Full => name,
        Style::Short => names::short(name),
        Style::Narrow => names::narrow(name),
    };
    match (field, style) {
        (Field::Month, _) => styled(names::of(&names::MONTHS, value)),
        (Field::DayOfWeek, _) => styled(names::of(&names::DAYS, value)),
        (Field::Half, _) => names::of(&names::HALVES, value + 1),
        (Field::Era, Style::Full) => names::of(&names::LONG_ERAS, value + 1),
        (Field::Era, Style::Short) => names::of(&names::ERAS, value + 1),
        (Field::Era, Style::Narrow) => names::narrow(names::of(&names::ERAS, value + 1)),
        (Field::Quarter, Style::Full) => names::of(&names::QUARTERS, value),
        (Field::Quarter, Style::Short) => names::of(&["Q1", "Q2", "Q3", "Q4"], value),
        (Field::Quarter, Style::Narrow) => names::of(&["1", "2", "3", "4"], value),
        _ => "",
    }
}

/// The parts of a pattern, with what follows each number.
fn compile(pattern: &str) -> Result<Vec<Part>, String> {
    // What is being built, the innermost optional section last.
    let mut open: Vec<Vec<Part>> = vec![Vec::new()];
    let push = |open: &mut Vec<Vec<Part>>, part: Part| {
        if let Some(parts) = open.last_mut() {
            parts.push(part);
        }
    };
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            'A'..='Z' | 'a'..='z' => {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                push(&mut open, letter(c, count)?);
            }
            '\'' => {
                let mut text = String::new();
                loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                        Some('\'') => break,
                        Some(c) => text.push(c),
                        None => {
                            return Err(format!("Pattern ends with an incomplete string literal: {pattern}"));
                        }
                    }
                }
                // Two quotes are one.
                push(&mut open, Part::Literal(if text.is_empty() { "'".to_owned() } else { text }));
            }
            '[' => open.push(Vec::new()),
            ']' => {
                let Some(parts) = open.pop().filter(|_| !open.is_empty()) else {
                    return Err("Pattern invalid as it contains ] without previous [".to_owned());
                };
                push(&mut open, Part::Optional(parts));
            }
            '{' | '}' | '#' => return Err(format!("Pattern includes reserved character: '{c}'")),
            _ => push(&mut open, Part::Literal(c.to_string())),
        }
    }
    // What is not closed ends with the pattern.
    while open.len() > 1 {
        let Some(parts) = open.pop() else { break };
        push(&mut open, Part::Optional(parts));
    }
    let mut parts = open.pop().unwrap_or_default();
    join(&mut parts);
    Ok(parts)
}

/// Says of each number of open width how many digits follow it without anything between.
fn join(parts: &mut [Part]) {
    let mut active: Option<usize> = None;
    for index in 0..parts.len() {
        let fixed = match parts.get_mut(index) {
            Some(Part::Number { least, most, sign, .. }) if least == most && *sign == Sign::NotNegative => {
                Some(*most)
            }
            Some(Part::ShortYear(_)) => Some(2),
            Some(Part::Fraction { digits, .. }) => Some(*digits),
            Some(Part::Number { .. }) => None,
            Some(Part::Optional(parts)) => {
                join(parts);
                active = None;
                continue;
            }
            _ => {
                active = None;
                continue;
            }
        };
        match (fixed, active) {
            (Some(width), Some(first)) => {
                if let Some(Part::Number { following, .. } | Part::Fraction { following, .. }) =
                    parts.get_mut(first)
                {
                    *following += width;
                }
            }
            _ => active = Some(index),
        }
    }
}

/// The part of `count` letters.
fn letter(letter: char, count: usize) -> Result<Part, String> {
    let too_many = || Err(format!("Too many pattern letters: {letter}"));
    let number = |field, least, most, sign| Ok(Part::Number { field, least, most, sign, following: 0 });
    let up_to_two = |field| match count {
        1 => number(field, 1, 19, Sign::Normal),
        2 => number(field, 2, 2, Sign::NotNegative),
        _ => too_many(),
    };
    let named = |field| match count {
        1..=3 => Ok(Part::Name(field, Style::Short)),
        4 => Ok(Part::Name(field, Style::Full)),
        5 => Ok(Part::Name(field, Style::Narrow)),
        _ => too_many(),
    };
    let year = |field| match count {
        2 => Ok(Part::ShortYear(field)),
        1 | 3 => number(field, count, 19, Sign::Normal),
        4..=19 => number(field, count, 19, Sign::ExceedsPad),
        _ => too_many(),
    };
    match letter {
        'u' => year(Field::Year),
        'y' => year(Field::YearOfEra),
        'Y' => year(Field::WeekYear),
        'Q' | 'q' if count <= 2 => up_to_two(Field::Quarter),
        'Q' | 'q' => named(Field::Quarter),
        'M' | 'L' if count <= 2 => up_to_two(Field::Month),
        'M' | 'L' => named(Field::Month),
        'w' => up_to_two(Field::Week),
        'W' if count == 1 => number(Field::WeekOfMonth, 1, 1, Sign::NotNegative),
        'e' | 'c' if count == 1 => number(Field::LocalDayOfWeek, 1, 1, Sign::NotNegative),
        'e' if count == 2 => number(Field::LocalDayOfWeek, 2, 2, Sign::NotNegative),
        'c' if count == 2 => Err("Invalid pattern \"cc\"".to_owned()),
        'e' | 'c' | 'E' => named(Field::DayOfWeek),
        'a' if count == 1 => Ok(Part::Name(Field::Half, Style::Short)),
        'G' => named(Field::Era),
        'S' if count <= 9 => Ok(Part::Fraction { digits: count, following: 0 }),
        'F' if count == 1 => number(Field::AlignedDay, 1, 19, Sign::Normal),
        'd' => up_to_two(Field::Day),
        'h' => up_to_two(Field::ClockHourOfHalf),
        'H' => up_to_two(Field::Hour),
        'k' => up_to_two(Field::ClockHour),
        'K' => up_to_two(Field::HourOfHalf),
        'm' => up_to_two(Field::Minute),
        's' => up_to_two(Field::Second),
        'D' if count == 1 => number(Field::DayOfYear, 1, 19, Sign::Normal),
        'D' if count <= 3 => number(Field::DayOfYear, count, 3, Sign::NotNegative),
        'g' if count <= 19 => number(Field::ModifiedJulianDay, count, 19, Sign::Normal),
        'A' if count <= 19 => number(Field::MilliOfDay, count, 19, Sign::NotNegative),
        'n' if count <= 19 => number(Field::Nano, count, 19, Sign::NotNegative),
        'N' if count <= 19 => number(Field::NanoOfDay, count, 19, Sign::NotNegative),
        'X' | 'x' | 'Z' if count <= 5 => Ok(Part::Offset { letter, count }),
        'O' if count == 1 || count == 4 => Ok(Part::Offset { letter, count }),
        'V' if count == 2 => Ok(Part::Zone('V')),
        'z' | 'v' if count <= 4 => Ok(Part::Zone(letter)),
        'B' | 'p' => Err(format!("the pattern letter {letter} is not supported")),
        'F' | 'S' | 'a' | 'D' | 'g' | 'A' | 'n' | 'N' | 'X' | 'x' | 'Z' | 'O' | 'V' | 'z' | 'v' | 'W' => {
            too_many()
        }
        _ => Err(format!("Unknown pattern letter: {letter}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(pattern: &str, millis: i64, nanos: i64) -> Result<String, String> {
        let mut out = String::new();
        Formatter::new(pattern)?.print(&Local::of_millis(millis, nanos), &mut out)?;
        Ok(out)
    }

    fn at(year: i64, month: i64, day: i64, time: i64) -> i64 {
        Civil { year, month, day }.days() * DAY + time
    }

    #[test]
    fn prints() {
        let afternoon = at(2021, 1, 2, 13 * HOUR + 4 * MINUTE + 5 * SECOND + 678);
        for (pattern, expected) in [
            ("yyyy-MM-dd HH:mm:ss.SSS", "2021-01-02 13:04:05.678"),
            (
                "E EEEE MMM MMMM d D h a K k Q QQQ w W e u y yy G",
                "Sat Saturday Jan January 2 2 1 PM 1 13 1 Q1 1 1 7 2021 2021 21 AD",
            ),
            ("yyyy/MM/dd'T'HH", "2021/01/02T13"),
            ("''yyyy'o''clock'", "'2021o'clock"),
            ("yyyy[ MM[ dd", "2021 01 02"),
            ("MMMMM EEEEE QQQQ GGGG", "J S 1st quarter Anno Domini"),
            ("DDD dd S SSSSSS", "002 02 6 678000"),
            ("YYYY c ccc F", "2021 7 Sat 2"),
            ("[z]yyyy", "2021"),
            ("日yyyy", "日2021"),
        ] {
            assert_eq!(printed(pattern, afternoon, 0).as_deref(), Ok(expected), "{pattern}");
        }
        let fine = at(2021, 1, 2, 3 * HOUR + 4 * MINUTE + 5 * SECOND + 123);
        assert_eq!(
            printed("SSSSSSSSS n N A", fine, 456_789).as_deref(),
            Ok("123456789 123456789 11045123456789 11045123")
        );
        assert_eq!(printed("yyyy yy y MMMMM", at(99, 1, 2, 0), 0).as_deref(), Ok("0099 99 99 J"));
        assert_eq!(printed("yyyy uuuu", at(12345, 1, 2, 0), 0).as_deref(), Ok("+12345 +12345"));
        assert_eq!(printed("yyyy uuuu G", at(0, 1, 2, 0), 0).as_deref(), Ok("0001 0000 BC"));
        assert_eq!(printed("w Y", at(2020, 12, 31, 0), 0).as_deref(), Ok("1 2021"));
    }

    #[test]
    fn refuses() {
        for pattern in ["jj", "'a", "a]", "{", "HHH", "aa", "ccc'", "SSSSSSSSSS", "W W WW", "cc"] {
            assert!(Formatter::new(pattern).is_err(), "{pattern}");
        }
        assert_eq!(Formatter::new("jj").unwrap_err(), "Unknown pattern letter: j");
        assert!(printed("z", 0, 0).unwrap_err().contains("time zone"));
    }

    #[test]
    fn says_how_long_it_lasts() {
        let lasts = |pattern| Formatter::new(pattern).unwrap().lasts();
        assert_eq!(lasts("yyyy-MM-dd"), DAY);
        assert_eq!(lasts("yyyy-MM-dd HH"), HOUR);
        assert_eq!(lasts("HH:mm"), MINUTE);
        assert_eq!(lasts("HH:mm:ss[.SSS]"), 1);
        assert_eq!(lasts("SSSSSS"), 0);
    }
}
