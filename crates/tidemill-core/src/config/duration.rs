//! Durations as Flink writes them: `100 ms`, `1min`, `30 s`; without a unit, milliseconds.

use std::borrow::Cow;
use std::time::Duration;

use super::{BadValue, OptionType};

/// Nanoseconds of each unit, largest first, with its labels; the first label is the one used for writing. `month`s
/// and `year`s do not exist.
const UNITS: [(u64, &[&str]); 7] = [
    (86_400_000_000_000, &["d", "day", "days"]),
    (3_600_000_000_000, &["h", "hour", "hours"]),
    (60_000_000_000, &["min", "m", "minute", "minutes"]),
    (1_000_000_000, &["s", "sec", "secs", "second", "seconds"]),
    (1_000_000, &["ms", "milli", "millis", "millisecond", "milliseconds"]),
    (1_000, &["us", "µs", "μs", "micro", "micros", "microsecond", "microseconds"]),
    (1, &["ns", "nano", "nanos", "nanosecond", "nanoseconds"]),
];

const MILLISECOND: u64 = 1_000_000;

/// Reads a duration: digits, then a unit in any case, with blanks around and between; no unit means milliseconds.
///
/// ```
/// use std::time::Duration;
/// use tidemill_core::config::parse_duration;
///
/// assert_eq!(parse_duration("1 min")?, Duration::from_secs(60));
/// assert_eq!(parse_duration("250")?, Duration::from_millis(250));
/// assert!(parse_duration("1 month").is_err());
/// # Ok::<(), tidemill_core::config::BadValue>(())
/// ```
///
/// # Errors
/// If there are no digits in front, the unit is none of Flink's, or the duration exceeds 2^63 - 1 seconds.
pub fn parse_duration(text: &str) -> Result<Duration, BadValue> {
    let text = text.trim();
    if text.is_empty() {
        return Err(BadValue::new("the text is empty or only blanks"));
    }
    let (number, unit) = split_number(text);
    if number.is_empty() {
        return Err(BadValue::new("text does not start with a number"));
    }
    let overflow = || BadValue::new(format!("'{number}' with its unit is longer than 2^63 - 1 seconds"));
    let number_value: u128 = number.parse().map_err(|_| overflow())?;
    let label = unit.trim().to_lowercase();
    let nanos_per_unit = if label.is_empty() {
        MILLISECOND
    } else {
        let unit = UNITS.iter().find(|(_, labels)| labels.contains(&label.as_str()));
        unit.map(|(nanos, _)| *nanos).ok_or_else(|| {
            BadValue::new(format!(
                "time interval unit '{label}' does not match any of the recognized units: d | day, h | hour, \
                 min | minute, s | sec | second, ms | milli | millisecond, us | micro | microsecond, \
                 ns | nano | nanosecond"
            ))
        })?
    };
    let nanos = number_value.checked_mul(u128::from(nanos_per_unit)).ok_or_else(overflow)?;
    let seconds = u64::try_from(nanos / 1_000_000_000)
        .ok()
        .filter(|seconds| i64::try_from(*seconds).is_ok())
        .ok_or_else(overflow)?;
    let rest = u32::try_from(nanos % 1_000_000_000).unwrap_or(0);
    Ok(Duration::new(seconds, rest))
}

/// Writes a duration with the largest unit that divides it: `100 ms`, `1 min`, `0 ms`.
///
/// ```
/// use std::time::Duration;
/// use tidemill_core::config::format_duration;
///
/// assert_eq!(format_duration(Duration::from_secs(60)), "1 min");
/// assert_eq!(format_duration(Duration::from_millis(1500)), "1500 ms");
/// ```
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0 ms".to_owned();
    }
    for (unit, labels) in UNITS {
        let unit = u128::from(unit);
        if nanos.is_multiple_of(unit) {
            return format!("{} {}", nanos / unit, labels.first().copied().unwrap_or("ns"));
        }
    }
    format!("{nanos} ns")
}

/// Splits at the first character that is no ASCII digit.
pub(super) fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

impl OptionType for Duration {
    fn type_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        parse_duration(text)
    }

    fn to_text(&self) -> String {
        format_duration(*self)
    }
}

/// A duration that can be switched off: `-1`, with or without a unit, is `None`.
impl OptionType for Option<Duration> {
    fn type_name() -> Cow<'static, str> {
        "Duration, or -1".into()
    }

    fn parse(text: &str) -> Result<Self, BadValue> {
        let trimmed = text.trim();
        match trimmed.strip_prefix('-') {
            None => parse_duration(trimmed).map(Some),
            Some(positive) => {
                parse_duration(positive)?;
                if split_number(positive).0 == "1" {
                    Ok(None)
                } else {
                    Err(BadValue::new("a negative duration has no meaning, except -1, which switches it off"))
                }
            }
        }
    }

    fn to_text(&self) -> String {
        self.map_or_else(|| "-1".to_owned(), format_duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn flinks_spellings() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("100 ms", ms(100)),
            ("100ms", ms(100)),
            ("100", ms(100)),
            (" 7   Seconds ", ms(7_000)),
            ("1min", ms(60_000)),
            ("2 m", ms(120_000)),
            ("1 hour", ms(3_600_000)),
            ("30 d", ms(30 * 86_400_000)),
            ("5 µs", Duration::from_micros(5)),
            ("5us", Duration::from_micros(5)),
            ("9 nanoseconds", Duration::from_nanos(9)),
            ("0", Duration::ZERO),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn not_durations() {
        for (text, reason) in [
            ("", "empty"),
            ("ms", "start with a number"),
            ("-1", "start with a number"),
            ("1.5 s", "unit '.5 s'"),
            ("1 fortnight", "unit 'fortnight'"),
            ("9223372036854775808 s", "longer than"),
            ("99999999999999999999999999999999999999999999 ns", "longer than"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.0.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn written_with_the_largest_unit() {
        for (millis, text) in
            [(0, "0 ms"), (100, "100 ms"), (1_000, "1 s"), (90_000, "90 s"), (600_000, "10 min")]
        {
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(format_duration(Duration::from_micros(1_500)), "1500 us");
    }

    #[test]
    fn minus_one_is_off() {
        for text in ["-1", "-1 ms", "-1ms", " -1 s "] {
            assert_eq!(Option::<Duration>::parse(text), Ok(None), "{text}");
        }
        assert!(Option::<Duration>::parse("-2").is_err());
        assert!(Option::<Duration>::parse("--1").is_err());
        assert_eq!(Option::<Duration>::parse("0"), Ok(Some(Duration::ZERO)));
        assert_eq!(None::<Duration>.to_text(), "-1");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0..=i64::MAX as u64, nanos in 0..1_000_000_000u32) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_gives_an_answer(text in any::<String>(), digits in "[0-9]{0,60} ?[a-zµ]{0,4}") {
            for text in [text, digits] {
                let _ = Option::<Duration>::parse(&text);
                if let Ok(duration) = parse_duration(&text) {
                    prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
                }
            }
        }
    }
}
