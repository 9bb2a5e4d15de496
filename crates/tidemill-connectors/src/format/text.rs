//! Values as text: what a field of a file says.

use std::borrow::Cow;
use std::fmt;

use tidemill_core::time::days_from_civil;

/// Why a text is not a value of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadValue {
    /// The text as it stands in the file, shortened.
    pub(crate) text: String,
    /// What it is not.
    pub(crate) reason: Cow<'static, str>,
    /// Whether it has a NUL byte.
    has_nul: bool,
}

impl BadValue {
    pub(crate) fn new(text: &[u8], reason: impl Into<Cow<'static, str>>) -> Self {
        Self { text: shorten(text), reason: reason.into(), has_nul: text.contains(&0) }
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' {}", self.text, self.reason)?;
        // Shortened texts show it as `\0`.
        if self.has_nul {
            f.write_str(" (it has NUL bytes: is the file in UTF-16, or no text file at all?)")
        } else {
            Ok(())
        }
    }
}

/// At most 60 characters of a text that may be anything, in a form that can be shown.
pub(crate) fn shorten(text: &[u8]) -> String {
    const MOST: usize = 60;
    let head = &text[..text.len().min(4 * MOST)];
    let head = String::from_utf8_lossy(head);
    let mut shown: String = head
        .chars()
        .take(MOST)
        .flat_map(|c| if c.is_control() { Shown::Escaped(c.escape_debug()) } else { Shown::Plain(Some(c)) })
        .collect();
    if text.len() > head.len() || head.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

enum Shown {
    Plain(Option<char>),
    Escaped(std::char::EscapeDebug),
}

impl Iterator for Shown {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Shown::Plain(c) => c.take(),
            Shown::Escaped(all) => all.next(),
        }
    }
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// Whether a text is an integer of any size.
pub(crate) fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// The integer that a text is; a fraction of zeros is allowed, as JSON knows no integers.
#[inline]
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for (at, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let fraction = &digits[at..];
            let zeros =
                *byte == b'.' && at > 0 && fraction.len() > 1 && fraction[1..].iter().all(|b| *b == b'0');
            return zeros.then_some(value);
        }
        // Counted down, for there is one more negative number than there are positive ones.
        value = value.checked_mul(10)?;
        let digit = i64::from(digit);
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

/// The integer before the point of a number that may have a fraction and an exponent; `None` when it has no room in 64 bits.
pub(crate) fn cut_off(text: &[u8]) -> Option<i64> {
    let whole = float::<f64>(text)?.trunc();
    // The largest number is not one of 64 bits, the least is.
    (whole >= i64::MIN as f64 && whole < i64::MAX as f64).then_some(whole as i64)
}

/// The unsigned integer beyond those that [`integer`] knows.
pub(crate) fn unsigned(text: &[u8]) -> Option<u64> {
    integer(text)
        .map_or_else(|| std::str::from_utf8(text).ok()?.parse().ok(), |value| u64::try_from(value).ok())
}

/// A floating-point number.
pub(crate) fn float<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit <= 9).then(|| value * 10 + u32::from(digit))
    })
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of `2013-01-31`.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else { return None };
    let year = i64::from(digits(&[y0, y1, y2, y3])?);
    let (month, day) = (digits(&[m0, m1])?, digits(&[d0, d1])?);
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    i32::try_from(days_from_civil(year, month, day)).ok()
}

/// Nanoseconds of a fraction of a second that begins with its point, and what comes after it; 0 when there is
/// none.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.', rest @ ..] = text else { return Some((0, text)) };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 || count > 9 {
        return None;
    }
    Some((digits(&rest[..count])? * 10u32.pow(9 - count as u32), &rest[count..]))
}

/// Milliseconds since midnight of `14:05:00.123`, `14:05:00` or `14:05`. What is finer than a millisecond is
/// cut off.
pub(crate) fn time(text: &[u8]) -> Option<i32> {
    let &[h0, h1, b':', m0, m1, ref rest @ ..] = text else { return None };
    let (hour, minute) = (digits(&[h0, h1])?, digits(&[m0, m1])?);
    let (second, rest) = match rest {
        [b':', s0, s1, rest @ ..] => (digits(&[*s0, *s1])?, rest),
        [] => (0, rest),
        _ => return None,
    };
    let (nanos, rest) = fraction(rest)?;
    if hour > 23 || minute > 59 || second > 59 || !rest.is_empty() {
        return None;
    }
    i32::try_from((hour * 3600 + minute * 60 + second) * 1000 + nanos / 1_000_000).ok()
}

/// How instants are written.
///
/// ```
/// use tidemill_connectors::TimestampFormat;
///
/// assert_eq!(TimestampFormat::default(), TimestampFormat::Sql);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2013-01-31 14:05:00.123`, as in SQL.
    #[default]
    Sql,
    /// `2013-01-31T14:05:00.123`, with `Z` or an offset such as `+01:00` after it where the instant has one.
    Iso8601,
}

impl TimestampFormat {
    pub(crate) const fn separator(self) -> u8 {
        match self {
            TimestampFormat::Sql => b' ',
            TimestampFormat::Iso8601 => b'T',
        }
    }
}

/// Seconds and nanoseconds since the epoch of `2013-01-31T14:05:00.123Z`, `2013-01-31 14:05:00` and the like. Without
/// `Z` or an offset, and in that of UTC, the time is taken as it stands. `only` asks for one of the two forms.
pub(crate) fn instant(text: &[u8], only: Option<TimestampFormat>) -> Option<(i64, u32)> {
    let (day, rest) = text.split_at_checked(10)?;
    let days = i64::from(date(day)?);
    let (separator, rest) = rest.split_first()?;
    match only {
        Some(format) if format.separator() != *separator => return None,
        None if !matches!(separator, b' ' | b'T') => return None,
        _ => {}
    }
    let &[h0, h1, b':', m0, m1, ref rest @ ..] = rest else { return None };
    let (hour, minute) = (digits(&[h0, h1])?, digits(&[m0, m1])?);
    let (second, rest) = match rest {
        [b':', s0, s1, rest @ ..] => (digits(&[*s0, *s1])?, rest),
        // Seconds may be left out in ISO 8601.
        rest if *separator == b'T' => (0, rest),
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, rest) = fraction(rest)?;
    let offset_minutes = match rest {
        [] | [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (digits(&[*h0, *h1])?, digits(&[*m0, *m1])?);
            if hours > 18 || minutes > 59 {
                return None;
            }
            let minutes = i64::from(hours * 60 + minutes);
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let in_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some((days * 86_400 + in_day - offset_minutes * 60, nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_core::time::format_timestamp;

    use super::*;

    #[test]
    fn instants_in_both_forms() {
        let at = Some((1_357_034_400, 0));
        assert_eq!(instant(b"2013-01-01T10:00:00Z", None), at);
        assert_eq!(instant(b"2013-01-01 10:00:00", None), at);
        assert_eq!(instant(b"2013-01-01T10:00", None), at);
        assert_eq!(instant(b"2013-01-01T11:00:00+01:00", None), at);
        assert_eq!(instant(b"2013-01-01 10:00:00.25", None), Some((1_357_034_400, 250_000_000)));
        assert_eq!(instant(b"2013-01-01T10:00:00Z", Some(TimestampFormat::Sql)), None);
        for bad in [
            "2013-02-29T10:00:00Z",
            "2013-01-01",
            "2013-01-01T24:00:00",
            "2013-01-01T10:00:00.",
            "2013-01-01T10:00:00ZZ",
            "2013-13-01T10:00:00",
            "NA",
            "",
            "2013-01-01 10:00",
            "2013-01-01T10:00:00+1:00",
        ] {
            assert_eq!(instant(bad.as_bytes(), None), None, "{bad}");
        }
    }

    #[test]
    fn times_have_seconds_or_none() {
        assert_eq!(time(b"00:00:00"), Some(0));
        assert_eq!(time(b"14:05"), Some(50_700_000));
        assert_eq!(time(b"23:59:59.999999999"), Some(86_399_999));
        assert_eq!(time(b"01:02:03.5"), Some(3_723_500));
        for bad in
            ["", "1:00", "24:00:00", "10:60:00", "10:00:60", "10:00:00.", "10:00:00Z", "10:00:00.1234567890"]
        {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_at_their_bounds() {
        assert_eq!(integer(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer(b"9223372036854775808"), None);
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"-1"), None);
        assert_eq!(integer(b"12.00"), Some(12));
        for bad in ["", "-", "1.5", ".0", "1.", "0x1", "1 2"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn shown_texts_are_short_and_harmless() {
        let utf16 = BadValue::new(b"1\x002\0", "is not an integer").to_string();
        assert!(
            utf16.starts_with("'1\\02\\0' is not an integer (it has NUL bytes: is the file in UTF-16"),
            "{utf16}"
        );
        assert_eq!(BadValue::new(b"x", "is not an integer").to_string(), "'x' is not an integer");
        assert_eq!(shorten(b"a\x1b[31m\n"), "a\\u{1b}[31m\\n");
        let long = shorten("ä".repeat(1000).as_bytes());
        assert_eq!(long, format!("{}…", "ä".repeat(60)));
        assert_eq!(shorten(b"\xff"), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_parsed(ms in -60_000_000_000_000i64..200_000_000_000_000) {
            let text = format_timestamp(ms);
            let (seconds, nanos) = instant(text.as_bytes(), None).unwrap();
            prop_assert_eq!(seconds * 1000 + i64::from(nanos / 1_000_000), ms);
        }

        #[test]
        fn integers_are_those_of_rust(text in "[-+]?[0-9]{1,20}") {
            prop_assert_eq!(integer(text.as_bytes()), text.parse::<i64>().ok());
        }

        #[test]
        fn any_bytes_are_taken(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (instant(&text, None), integer(&text), unsigned(&text), date(&text), boolean(&text));
            let _ = time(&text);
            let _ = (float::<f64>(&text), shorten(&text));
        }
    }
}
