//! Strings read as values.
//!
//! What is accepted is what Flink accepts, which differs from type to type: whole numbers may have a
//! fraction, which is cut off; dates may lack their day; timestamps must have their seconds.

use super::calendar::{Civil, DAY, days, days_in_month};
use super::temporal::{Unit, cut_time};
use crate::functions::decimal;

/// Why a string cannot be read.
pub(crate) type Reason = &'static str;

const NO_NUMBER: Reason = "it is not a number";
const TOO_LARGE: Reason = "it is out of range";
const NO_BOOLEAN: Reason = "it is neither true nor false";
const NO_DATE: Reason = "it is not a date such as 2024-12-31";
const NO_TIME: Reason = "it is not a time such as 23:59:59";
const NO_TIMESTAMP: Reason = "it is not a timestamp such as 2024-12-31 23:59:59";

/// A whole number from `least` to `most`.
pub(crate) fn integer(text: &str, least: i64, most: i64) -> Result<i64, Reason> {
    let text = text.trim_matches(' ');
    let is_negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() {
        return Err(NO_NUMBER);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(NO_NUMBER);
    }
    let mut value = 0i64;
    for digit in whole.bytes().map(|byte| i64::from(byte - b'0')) {
        // Counted downwards, since there is one negative number more than there are positive ones.
        value = value.checked_mul(10).and_then(|value| value.checked_sub(digit)).ok_or(TOO_LARGE)?;
    }
    let value = if is_negative { value } else { value.checked_neg().ok_or(TOO_LARGE)? };
    if value < least || value > most { Err(TOO_LARGE) } else { Ok(value) }
}

/// A `FLOAT` or `DOUBLE`.
pub(crate) fn approximate<F: std::str::FromStr + super::double::FromSpecial>(
    text: &str,
) -> Result<F, Reason> {
    super::double::parse(text).ok_or(NO_NUMBER)
}

/// Up to so many digits Flink keeps a decimal in a long, and then reads it in a way of its own.
const COMPACT: usize = 18;

fn trim_blank(text: &str) -> &str {
    text.trim_matches([' ', '\n', '\t'])
}

/// A `DECIMAL(precision, scale)`.
pub(crate) fn decimal(text: &str, precision: u8, scale: u8) -> Result<i128, Reason> {
    if usize::from(precision) <= COMPACT && text.len() <= COMPACT {
        return compact_decimal(text.as_bytes(), precision, scale);
    }
    match decimal::from_text(trim_blank(text), precision, scale) {
        Ok(value) => value.ok_or(TOO_LARGE),
        Err(decimal::NotANumber) => Err(NO_NUMBER),
    }
}

/// Reads a short decimal as Flink does: zeros in front count as digits when it asks whether the number fits,
/// and the character that ends the number is skipped, whichever it is.
fn compact_decimal(text: &[u8], precision: u8, scale: u8) -> Result<i128, Reason> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t');
    let mut rest = text.iter().copied().skip_while(is_blank).peekable();
    let is_negative = rest.peek() == Some(&b'-');
    rest.next_if(|byte| matches!(byte, b'-' | b'+'));
    if rest.peek().is_none() {
        return Err(NO_NUMBER);
    }
    let mut digits = Vec::with_capacity(text.len());
    let mut point = None;
    let mut last = None;
    for byte in rest.by_ref() {
        last = Some(byte);
        match byte {
            b'0'..=b'9' => digits.push(byte - b'0'),
            b'.' if point.is_some() => return Err(NO_NUMBER),
            b'.' => point = Some(digits.len()),
            _ => break,
        }
    }
    let mut exponent = 0i64;
    if matches!(last, Some(b'e' | b'E')) && rest.peek().is_some() {
        let is_negative = rest.peek() == Some(&b'-');
        if rest.next_if(|byte| matches!(byte, b'-' | b'+')).is_some() && rest.peek().is_none() {
            return Err(NO_NUMBER);
        }
        for byte in rest.by_ref() {
            match byte {
                b'0'..=b'9' if exponent < 40 => exponent = exponent * 10 + i64::from(byte - b'0'),
                b'0'..=b'9' => {}
                _ => break,
            }
        }
        if is_negative {
            exponent = -exponent;
        }
    }
    if !rest.all(|byte| is_blank(&byte)) {
        return Err(NO_NUMBER);
    }
    let point = point.unwrap_or(digits.len()) as i64 + exponent;
    let kept = point + i64::from(scale);
    // What has so many digits that they are all cut off is refused, not zero.
    if kept > i64::from(precision) || kept - (digits.len() as i64) < -(COMPACT as i64) {
        return Err(TOO_LARGE);
    }
    decimal::from_digits(is_negative, &digits, point, precision, scale).ok_or(TOO_LARGE)
}

/// A `BOOLEAN`.
pub(crate) fn boolean(text: &str) -> Result<bool, Reason> {
    let is_any = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_any(["t", "true", "y", "yes", "1"]) {
        Ok(true)
    } else if is_any(["f", "false", "n", "no", "0"]) {
        Ok(false)
    } else {
        Err(NO_BOOLEAN)
    }
}

/// Java's `trim`.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Digits, and nothing else, between blanks.
fn digits(text: &str) -> Option<i32> {
    let text = trim(text);
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Days since 1970-01-01; month and day may be missing, and what follows a blank does not count.
pub(crate) fn date(text: &str) -> Result<i32, Reason> {
    read_date(text).ok_or(NO_DATE)
}

fn read_date(text: &str) -> Option<i32> {
    let text = match text.find(' ') {
        Some(end) if end > 0 => text.get(..end)?,
        _ => text,
    };
    let mut parts = text.splitn(3, '-').map(digits);
    let year = i64::from(parts.next()??);
    let month = u8::try_from(parts.next().unwrap_or(Some(1))?).ok()?;
    let day = u8::try_from(parts.next().unwrap_or(Some(1))?).ok()?;
    if year > 9999 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    i32::try_from(days(Civil { year, month, day })).ok()
}

/// Milliseconds of a day, with `precision` digits of a second; minutes, seconds and more may be missing.
pub(crate) fn time(text: &str, precision: u8) -> Result<i32, Reason> {
    read_time(text).map(|millis| cut_time(millis, precision)).ok_or(NO_TIME)
}

fn read_time(text: &str) -> Option<i32> {
    // An offset from UTC may follow, which is added as it stands.
    let (end, sign) = match text.find('-') {
        Some(end) => (Some(end), -1),
        None => (text.find('+'), 1),
    };
    let (zone_hour, zone_minute) = match end {
        None => (0, 0),
        Some(end) => match text.get(end + 1..)?.split_once(':') {
            None => (digits(text.get(end + 1..)?)?, 0),
            Some((hour, minute)) => (digits(hour)?, digits(minute)?),
        },
    };
    let mut parts = text.get(..end.unwrap_or(text.len()))?.splitn(3, ':');
    let hour = digits(parts.next()?)?;
    let minute = parts.next().map_or(Some(0), digits)?;
    let (second, milli) = match parts.next() {
        None => (0, 0),
        Some(second) => match second.split_once('.') {
            None => (digits(second)?, 0),
            Some((second, fraction)) => (digits(second)?, read_millis(trim(fraction))),
        },
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let hour = zone_hour.checked_mul(sign)?.checked_add(hour)?;
    let minute = zone_minute.checked_mul(sign)?.checked_add(minute)?;
    let minutes = hour.checked_mul(60)?.checked_add(minute)?;
    minutes.checked_mul(60_000)?.checked_add(second * 1000 + milli)
}

/// The first three digits after a point; the fourth rounds them.
fn read_millis(fraction: &str) -> i32 {
    let mut millis = 0;
    let mut place = 100;
    let mut bytes = fraction.bytes();
    while place > 0 {
        let Some(byte) = bytes.next() else { return millis };
        if byte.is_ascii_digit() {
            millis += place * i32::from(byte - b'0');
        }
        place /= 10;
    }
    millis + i32::from(bytes.next().is_some_and(|byte| byte >= b'5'))
}

/// A `TIMESTAMP` of `precision` digits, counted in the unit of such timestamps from 1970-01-01 00:00:00.
pub(crate) fn timestamp(text: &str, precision: u8) -> Result<i64, Reason> {
    let (seconds, nanos) = read_timestamp(text).ok_or(NO_TIMESTAMP)?;
    let step = 10u32.pow(9 - u32::from(precision.min(9)));
    Unit::of(precision).join(seconds, nanos / step * step).ok_or(TOO_LARGE)
}

/// Takes from `least` to `most` digits off the front.
fn take_digits<'a>(text: &mut &'a str, least: usize, most: usize) -> Option<&'a str> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    let (digits, rest) = text.split_at_checked(count)?;
    *text = rest;
    Some(digits)
}

fn take_number(text: &mut &str) -> Option<u8> {
    take_digits(text, 1, 2)?.parse().ok()
}

fn take(text: &mut &str, expected: char) -> Option<()> {
    *text = text.strip_prefix(expected)?;
    Some(())
}

/// Seconds since 1970-01-01 and nanoseconds of `yyyy-M-d[ H:m:s[.SSSSSSSSS]]`.
fn read_timestamp(text: &str) -> Option<(i64, u32)> {
    let mut rest = text;
    // Years of more than four digits must have a sign.
    let year = match rest.strip_prefix('+') {
        Some(signed) => {
            rest = signed;
            take_digits(&mut rest, 5, 9)?
        }
        None => take_digits(&mut rest, 4, 4)?,
    };
    let year: i64 = year.parse().ok()?;
    take(&mut rest, '-')?;
    let month = take_number(&mut rest)?;
    take(&mut rest, '-')?;
    let day = take_number(&mut rest)?;
    if year < 1 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The last day of the month stands for the days that it does not have.
    let day = day.min(days_in_month(year, month));
    let start = days(Civil { year, month, day }) * (DAY / 1000);
    if rest.is_empty() {
        return Some((start, 0));
    }
    take(&mut rest, ' ')?;
    let hour = take_number(&mut rest)?;
    take(&mut rest, ':')?;
    let minute = take_number(&mut rest)?;
    take(&mut rest, ':')?;
    let second = take_number(&mut rest)?;
    let mut nanos = 0;
    if take(&mut rest, '.').is_some() {
        let digits = take_digits(&mut rest, 0, 9)?;
        nanos = format!("{digits:0<9}").parse().ok()?;
    }
    let is_midnight = hour == 24 && minute == 0 && second == 0 && nanos == 0;
    if !rest.is_empty() || minute > 59 || second > 59 || (hour > 23 && !is_midnight) {
        return None;
    }
    Some((start + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second), nanos))
}
