//! Dates and times as texts and numbers, and back.

use std::sync::Arc;

use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type};

use super::calendar::{Civil, DAY, SECOND, days_of_month, is_leap};
use super::clock::{now, unix_timestamp as unix_now};
use super::column::{TimestampColumn, timestamps};
use super::java_format::parse::Said;
use super::java_format::simple::SimpleFormat;
use super::java_format::{Formatter, Local};
use super::zone::{Offsets, Twice, Zone};
use crate::functions::kernel::{Argument, FunctionContext, KernelError, Mismatch, Resolved};
use crate::functions::support::{Want, any_nullable, primitives, strings, targets};
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// The pattern that texts have when none is given.
const PLAIN: &str = "yyyy-MM-dd HH:mm:ss";

/// The patterns of an argument: compiled once when it is a literal.
struct Patterns<T> {
    known: Option<Result<T, String>>,
    compile: fn(&str) -> Result<T, String>,
}

impl<T> Patterns<T> {
    /// The patterns of `argument`, or `PLAIN` when there is none.
    fn of(argument: Option<&Argument<'_>>, compile: fn(&str) -> Result<T, String>) -> Self {
        let known = match argument {
            Some(argument) => argument.text().map(compile),
            None => Some(compile(PLAIN)),
        };
        Self { known, compile }
    }

    /// As [`of`](Self::of), refusing a literal that is no pattern.
    fn valid(
        argument: Option<&Argument<'_>>,
        compile: fn(&str) -> Result<T, String>,
    ) -> Result<Self, Mismatch> {
        let patterns = Self::of(argument, compile);
        match &patterns.known {
            Some(Err(reason)) => Err(Mismatch::new(reason.clone())),
            _ => Ok(patterns),
        }
    }

    fn session(&self) -> Current<'_, T> {
        Current { patterns: self, last: None }
    }
}

/// The pattern of one row after the other.
struct Current<'a, T> {
    patterns: &'a Patterns<T>,
    last: Option<(String, Result<T, String>)>,
}

impl<T> Current<'_, T> {
    fn get(&mut self, pattern: &str) -> Result<&T, &str> {
        if let Some(known) = &self.patterns.known {
            return known.as_ref().map_err(String::as_str);
        }
        let is_last = self.last.as_ref().is_some_and(|(last, _)| last == pattern);
        if !is_last {
            self.last = None;
        }
        let compile = self.patterns.compile;
        let (_, compiled) = self.last.get_or_insert_with(|| (pattern.to_owned(), compile(pattern)));
        compiled.as_ref().map_err(|reason| reason.as_str())
    }
}

fn bad_pattern(reason: &str) -> KernelError {
    KernelError(reason.to_owned())
}

pub(super) fn date_format(context: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(TIMESTAMP, STRING) or (STRING, STRING)";
    let mismatch = || Mismatch::new(format!("expects {expects}"));
    let [value, pattern] = arguments else { return Err(mismatch()) };
    let pattern_type = targets(std::slice::from_ref(pattern), &[Want::Text], &[], expects)?;
    let types = |value: LogicalType| [value].into_iter().chain(pattern_type.clone()).collect::<Vec<_>>();
    let zone = Zone::of_session(context.time_zone);
    let returns = TypeRoot::STRING.nullable();
    let is_ltz = match &value.logical.root {
        TypeRoot::Timestamp(_) => false,
        TypeRoot::TimestampLtz(_) => true,
        root if root.is_character() || *root == TypeRoot::Null => {
            return text_format(value, pattern, types);
        }
        _ => return Err(mismatch()),
    };
    let patterns = Patterns::valid(Some(pattern), Formatter::new)?;
    if let Some(Ok(formatter)) = &patterns.known {
        // What a timestamp does not have is seen now rather than when a row comes.
        formatter.print(&Local::of_millis(0, 0), &mut String::new()).map_err(Mismatch)?;
    }
    let zone = if is_ltz { zone } else { Zone::UTC };
    Ok(Resolved::new(types(value.logical.clone()), returns, move |inputs| {
        let (column, formats) = (TimestampColumn::new(inputs.get(0)?)?, inputs.get(1)?.text()?);
        let offsets = Offsets::new(zone);
        if let Some(Ok(formatter)) = &patterns.known {
            if formats.get(0).is_none() && inputs.rows() > 0 {
                return strings(inputs, |_, _| Ok(false));
            }
            let mut memo = Memo::new(formatter);
            return strings(inputs, |row, out| match column.get(row) {
                Some((millis, nanos)) => memo.print(offsets.local(millis), nanos, out).map(|()| true),
                None => Ok(false),
            });
        }
        let mut session = patterns.session();
        strings(inputs, |row, out| {
            let (Some((millis, nanos)), Some(pattern)) = (column.get(row), formats.get(row)) else {
                return Ok(false);
            };
            let formatter = session.get(pattern).map_err(bad_pattern)?;
            let local = Local::of_millis(offsets.local(millis), nanos);
            formatter.print(&local, out).map_err(KernelError)?;
            Ok(true)
        })
    }))
}

/// Prints times, those that are printed as the one before by copying.
struct Memo<'a> {
    formatter: &'a Formatter,
    lasts: i64,
    from: i64,
    text: String,
}

impl<'a> Memo<'a> {
    fn new(formatter: &'a Formatter) -> Self {
        Self { formatter, lasts: formatter.lasts(), from: i64::MIN, text: String::new() }
    }

    #[inline]
    fn print(&mut self, millis: i64, nanos: i64, out: &mut String) -> Result<(), KernelError> {
        if self.lasts <= 1 {
            return self.formatter.print(&Local::of_millis(millis, nanos), out).map_err(KernelError);
        }
        let beyond = millis.wrapping_sub(self.from);
        if self.from == i64::MIN || beyond < 0 || beyond >= self.lasts {
            self.text.clear();
            self.formatter.print(&Local::of_millis(millis, nanos), &mut self.text).map_err(KernelError)?;
            self.from = millis - millis.rem_euclid(self.lasts);
        }
        out.push_str(&self.text);
        Ok(())
    }
}

/// A string in another format. Flink reads and writes it in Greenwich, whatever the zone of the session is.
fn text_format(
    value: &Argument<'_>,
    pattern: &Argument<'_>,
    types: impl Fn(LogicalType) -> Vec<LogicalType>,
) -> Result<Resolved, Mismatch> {
    let patterns = Patterns::valid(Some(pattern), SimpleFormat::new)?;
    let plain = SimpleFormat::new(PLAIN).map_err(Mismatch)?;
    let zone = Zone::UTC;
    let text_type = match &value.logical.root {
        TypeRoot::Null => TypeRoot::STRING.nullable(),
        _ => value.logical.clone(),
    };
    Ok(Resolved::new(types(text_type), TypeRoot::STRING.nullable(), move |inputs| {
        let (texts, formats) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let (offsets, now) = (Offsets::legacy(zone), now());
        let mut session = patterns.session();
        strings(inputs, |row, out| {
            let (Some(text), Some(pattern)) = (texts.get(row), formats.get(row)) else { return Ok(false) };
            let Some(millis) = plain.parse(text, zone, now) else { return Ok(false) };
            session.get(pattern).map_err(bad_pattern)?.print(millis, zone, &offsets, out);
            Ok(true)
        })
    }))
}

/// Up to two digits at the start of `text`: their value, if any, and what is behind.
fn short_number(text: &str) -> Option<(Option<i64>, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    if digits == 0 {
        return Some((None, rest));
    }
    let value = number.parse().ok()?;
    // Two digits may be followed by the same number again, as Flink has it.
    let more = rest.bytes().take_while(u8::is_ascii_digit).count();
    match rest.get(..more).filter(|more| digits == 2 && more.parse() == Ok(value)) {
        Some(_) => Some((Some(value), rest.get(more..)?)),
        None => Some((Some(value), rest)),
    }
}

/// `2021-01-02 03:04:05.678`: the time may be left out, a zero in front of a number, too, and even the number.
fn plain_timestamp(text: &str) -> Option<(i64, i64)> {
    let (digits, has_plus) = match text.strip_prefix('+') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    // Years of more than four digits have a plus in front, and others have not.
    if !(4..=9).contains(&length) || has_plus != (length > 4) {
        return None;
    }
    let year: i64 = digits.get(..length)?.parse().ok()?;
    let (said_month, rest) = short_number(digits.get(length..)?.strip_prefix('-')?)?;
    let (said_day, rest) = short_number(rest.strip_prefix('-')?)?;
    let (month, day) = (said_month.unwrap_or(1), said_day.unwrap_or(1));
    if year < 1 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let is_whole = said_month.is_some() && said_day.is_some();
    let last = days_of_month(year, month);
    let date = Civil { year, month, day: if is_whole { day.min(last) } else { day } };
    let mut said = Said { date, hour: 0, minute: 0, second: 0, nano: 0 };
    if !rest.is_empty() {
        let (hour, rest) = short_number(rest.strip_prefix(' ')?)?;
        let (minute, rest) = short_number(rest.strip_prefix(':')?)?;
        let (second, rest) = short_number(rest.strip_prefix(':')?)?;
        let nano = match rest.strip_prefix('.') {
            Some(fraction) => fraction_nanos(fraction)?,
            None if rest.is_empty() => 0,
            None => return None,
        };
        let (hour, minute, second) = (hour.unwrap_or(0), minute.unwrap_or(0), second.unwrap_or(0));
        if hour > 24 || minute > 59 || second > 59 || hour == 24 && (minute, second, nano) != (0, 0, 0) {
            return None;
        }
        said = Said { hour, minute, second, nano, ..said };
    }
    said.millis()
}

/// The nanoseconds that up to nine digits behind a point are.
fn fraction_nanos(digits: &str) -> Option<i64> {
    if digits.len() > 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let missing = u32::try_from(9 - digits.len()).ok()?;
    let number: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    Some(number * 10i64.pow(missing))
}

/// `java.sql.Timestamp.valueOf` or `java.sql.Date.valueOf`, which Flink tries when a text is not what the
/// pattern says.
fn sql_timestamp(text: &str) -> Option<(i64, i64)> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let (year, rest) = date.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let number = |digits: &str| -> Option<i64> {
        let plain = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        let is_number = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i32>().ok().map(i64::from))?
    };
    if year.len() != 4 || !(1..=2).contains(&month.len()) || !(1..=2).contains(&day.len()) {
        return None;
    }
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days and hours beyond the last one are of the next month and day.
    let days = Civil { year, month, day: 1 }.days() + day - 1;
    let Some(time) = time else { return Some((days * DAY, 0)) };
    let (hour, rest) = time.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let (second, fraction) = match second.split_once('.') {
        Some((_, "")) => return None,
        Some((second, fraction)) => (second, fraction),
        None => (second, ""),
    };
    let nanos = fraction_nanos(fraction)?;
    let seconds = number(hour)? * 3600 + number(minute)? * 60 + number(second)?;
    Some((days * DAY + seconds * SECOND + nanos / 1_000_000, nanos % 1_000_000))
}

/// A timestamp by a pattern, or as [`sql_timestamp`]; cut off behind `precision` digits.
fn by_pattern(formatter: &Formatter, text: &str, precision: usize) -> Option<(i64, i64)> {
    let (millis, nanos) = match formatter.parse(text) {
        Ok(said) => said.millis()?,
        Err(_) => sql_timestamp(text)?,
    };
    let step = 10i64.pow(9u32.saturating_sub(u32::try_from(precision).unwrap_or(9))).min(1_000_000);
    Some((millis, nanos - nanos % step))
}

pub(super) fn to_timestamp(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[Want::Text], "(STRING[, STRING])")?;
    let has_format = types.len() == 2;
    let patterns = Patterns::of(arguments.get(1), Formatter::new);
    let root = TypeRoot::Timestamp(3);
    Ok(Resolved::new(types, root.clone().nullable(), move |inputs| {
        let texts = inputs.get(0)?.text()?;
        if !has_format {
            return timestamps(inputs, &root, |row| Ok(texts.get(row).and_then(plain_timestamp)));
        }
        let formats = inputs.get(1)?.text()?;
        let mut session = patterns.session();
        timestamps(inputs, &root, |row| {
            let (Some(text), Some(format)) = (texts.get(row), formats.get(row)) else { return Ok(None) };
            Ok(session.get(format).ok().and_then(|formatter| by_pattern(formatter, text, 3)))
        })
    }))
}

/// How many digits of a second a pattern has at its end, from 3 to 9.
fn digits_of(pattern: &str) -> u8 {
    let digits = pattern.bytes().rev().take_while(|byte| *byte == b'S').count();
    u8::try_from(digits.clamp(3, 9)).unwrap_or(3)
}

pub(super) fn to_timestamp_ltz(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(NUMERIC[, INT]) or (STRING[, STRING[, STRING]])";
    let mismatch = || Mismatch::new(format!("expects {expects}"));
    let value = arguments.first().ok_or_else(mismatch)?;
    if value.logical.root.is_numeric() {
        return number_to_ltz(value, arguments.get(1..).unwrap_or_default(), expects);
    }
    let types = targets(arguments, &[Want::Text], &[Want::Text, Want::Text], expects)?;
    let count = types.len();
    let literal = arguments.get(1).and_then(Argument::text);
    let precision = literal.map_or(3, digits_of);
    let root = TypeRoot::TimestampLtz(precision);
    let patterns = Patterns::valid(arguments.get(1), Formatter::new).map_err(|reason| {
        Mismatch::new(format!("Invalid pattern for parsing TIMESTAMP_LTZ: {}", reason.0))
    })?;
    let zone = match arguments.get(2).and_then(Argument::text) {
        Some(id) => Some(Zone::of_id(id).ok_or_else(|| {
            Mismatch::new(format!("Invalid timezone for parsing TIMESTAMP_LTZ: Unknown time-zone ID: {id}"))
        })?),
        None => None,
    };
    Ok(Resolved::new(types, root.clone().nullable(), move |inputs| {
        let texts = inputs.get(0)?.text()?;
        if count == 1 {
            return timestamps(inputs, &root, |row| {
                let Some(text) = texts.get(row) else { return Ok(None) };
                let unreadable =
                    || KernelError(format!("TO_TIMESTAMP_LTZ got '{text}', which is no timestamp"));
                plain_timestamp(text).map(Some).ok_or_else(unreadable)
            });
        }
        let formats = inputs.get(1)?.text()?;
        let zones = (count == 3).then(|| inputs.get(2)?.text()).transpose()?;
        let mut session = patterns.session();
        timestamps(inputs, &root, |row| {
            let (Some(text), Some(format)) = (texts.get(row), formats.get(row)) else { return Ok(None) };
            let zone = match &zones {
                Some(ids) => {
                    let Some(id) = ids.get(row) else { return Ok(None) };
                    let Some(zone) = zone.or_else(|| Zone::of_id(id)) else { return Ok(None) };
                    zone
                }
                None => Zone::UTC,
            };
            let digits = usize::from(digits_of(format));
            let said = session.get(format).ok().and_then(|formatter| by_pattern(formatter, text, digits));
            Ok(said.map(|(millis, nanos)| (zone.to_moment(millis, Twice::First), nanos)))
        })
    }))
}

/// The first and the last second that may be made of a number.
const SECONDS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

/// A number of units, of which a second has ten to the power of `precision`.
fn of_epoch(number: i64, precision: u32) -> Option<(i64, i64)> {
    let factor = 10i64.checked_pow(precision)?;
    let seconds = number.div_euclid(factor);
    if !SECONDS.contains(&seconds) {
        return None;
    }
    let nanos = number.rem_euclid(factor) * 10i64.checked_pow(9u32.checked_sub(precision)?)?;
    Some((seconds * SECOND + nanos / 1_000_000, nanos % 1_000_000))
}

fn of_double_epoch(number: f64, precision: u32) -> Option<(i64, i64)> {
    let power = |exponent: u32| 10f64.powi(i32::try_from(exponent).unwrap_or(0));
    let seconds = number / power(precision);
    if !(-62_167_219_200.0..=253_402_300_799.0).contains(&seconds) {
        return None;
    }
    of_epoch((number * power(9u32.saturating_sub(precision))) as i64, 9)
}

fn number_to_ltz(value: &Argument<'_>, rest: Arguments<'_>, expects: &str) -> Result<Resolved, Mismatch> {
    use datafusion_common::ScalarValue::{Int8, Int16, Int32, Int64};
    let precision_type = targets(rest, &[], &[Want::Integer], expects)?;
    let literal = match rest.first().and_then(|precision| precision.literal) {
        Some(Int8(Some(number))) => Some(i64::from(*number)),
        Some(Int16(Some(number))) => Some(i64::from(*number)),
        Some(Int32(Some(number))) => Some(i64::from(*number)),
        Some(Int64(Some(number))) => Some(*number),
        _ => None,
    };
    let is_valid = |precision: &i64| (0..=9).contains(precision);
    if let Some(precision) = literal.filter(|precision| !is_valid(precision)) {
        return Err(Mismatch::new(format!(
            "Precision for TO_TIMESTAMP_LTZ must be between 0 and 9 but was {precision}."
        )));
    }
    let root = TypeRoot::TimestampLtz(
        literal.and_then(|precision| u8::try_from(precision).ok()).unwrap_or(3).max(3),
    );
    let number_root = match &value.logical.root {
        root if root.is_integer() => TypeRoot::BigInt,
        TypeRoot::Decimal(precision, scale) => TypeRoot::Decimal(*precision, *scale),
        _ => TypeRoot::Double,
    };
    let number_type = number_root.clone().not_null().with_nullable(value.logical.nullable);
    let types: Vec<LogicalType> = [number_type].into_iter().chain(precision_type).collect();
    let has_precision = types.len() == 2;
    Ok(Resolved::new(types, root.clone().nullable(), move |inputs| {
        let input = inputs.get(0)?;
        let precisions = has_precision.then(|| inputs.get(1)?.primitive::<Int64Type>()).transpose()?;
        let precision = |row: usize| match &precisions {
            None => Ok(Some(3)),
            Some(precisions) => match precisions.get(row) {
                Some(precision) if !is_valid(&precision) => Err(KernelError(format!(
                    "the precision of TO_TIMESTAMP_LTZ is from 0 to 9, not {precision}"
                ))),
                precision => Ok(precision.and_then(|precision| u32::try_from(precision).ok())),
            },
        };
        match &number_root {
            TypeRoot::BigInt => {
                let numbers = input.primitive::<Int64Type>()?;
                timestamps(inputs, &root, |row| {
                    Ok(numbers
                        .get(row)
                        .zip(precision(row)?)
                        .and_then(|(number, digits)| of_epoch(number, digits)))
                })
            }
            TypeRoot::Decimal(_, scale) => {
                let numbers = input.primitive::<Decimal128Type>()?;
                let factor = 10i128.pow(u32::from(*scale));
                timestamps(inputs, &root, |row| {
                    let both = numbers.get(row).zip(precision(row)?);
                    Ok(both
                        .and_then(|(number, digits)| of_epoch(i64::try_from(number / factor).ok()?, digits)))
                })
            }
            _ => {
                let numbers = input.primitive::<Float64Type>()?;
                timestamps(inputs, &root, |row| {
                    let both = numbers.get(row).zip(precision(row)?);
                    Ok(both.and_then(|(number, digits)| of_double_epoch(number, digits)))
                })
            }
        }
    }))
}

/// `2021-01-02`, `2021-1` or `2021`, and whatever behind a blank.
fn plain_date(text: &str) -> Option<i32> {
    let text = match text.find(' ') {
        Some(blank) if blank > 0 => text.get(..blank)?,
        _ => text,
    };
    let mut parts = text.splitn(3, '-');
    let mut number = |default: Option<i64>| match parts.next() {
        None => default,
        Some(part) => {
            let part = part.trim_matches(|c: char| c <= ' ');
            let is_number = (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse().ok())?
        }
    };
    let (year, month, day) = (number(None)?, number(Some(1))?, number(Some(1))?);
    let exists = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (month != 2 || day <= 28 + i64::from(is_leap(year)))
        // Flink looks only for months of 31 days when it is the 31st.
        && (day < 31 || days_of_month(year, month) == 31);
    exists.then(|| i32::try_from(Civil { year, month, day }.days()).ok())?
}

/// What Flink makes a date of when a text is not what the pattern says: of the least number that there is.
const NO_DATE: Civil = Civil { year: 5471, month: 9, day: 27 };

pub(super) fn to_date(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[Want::Text], "(STRING[, STRING])")?;
    let has_format = types.len() == 2;
    let patterns = Patterns::valid(arguments.get(1), SimpleFormat::new)?;
    Ok(Resolved::new(types, TypeRoot::Date.nullable(), move |inputs| {
        let texts = inputs.get(0)?.text()?;
        if !has_format {
            return Ok(Arc::new(primitives::<Date32Type>(inputs, |row| {
                Ok(texts.get(row).and_then(plain_date))
            })?));
        }
        let (formats, now) = (inputs.get(1)?.text()?, now());
        let mut session = patterns.session();
        let dates = primitives::<Date32Type>(inputs, |row| {
            let (Some(text), Some(format)) = (texts.get(row), formats.get(row)) else { return Ok(None) };
            let millis = session.get(format).map_err(bad_pattern)?.parse(text, Zone::UTC, now);
            let days = millis.map_or(NO_DATE.days(), |millis| millis.div_euclid(DAY));
            Ok(i32::try_from(days).ok())
        })?;
        Ok(Arc::new(dates))
    }))
}

pub(super) fn from_unixtime(
    context: &FunctionContext,
    arguments: Arguments<'_>,
) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Integer], &[Want::Text], "(BIGINT[, STRING])")?;
    let has_format = types.len() == 2;
    let patterns = Patterns::valid(arguments.get(1), SimpleFormat::new)?;
    let zone = Zone::of_session(context.time_zone);
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        let numbers = inputs.get(0)?.primitive::<Int64Type>()?;
        let formats = has_format.then(|| inputs.get(1)?.text()).transpose()?;
        let offsets = Offsets::legacy(zone);
        let mut session = patterns.session();
        strings(inputs, |row, out| {
            let format = formats.as_ref().map_or(Some(PLAIN), |formats| formats.get(row));
            let (Some(seconds), Some(format)) = (numbers.get(row), format) else { return Ok(false) };
            let format = session.get(format).map_err(bad_pattern)?;
            format.print(seconds.saturating_mul(SECOND), zone, &offsets, out);
            Ok(true)
        })
    }))
}

pub(super) fn unix_timestamp(
    context: &FunctionContext,
    arguments: Arguments<'_>,
) -> Result<Resolved, Mismatch> {
    if arguments.is_empty() {
        return Ok(unix_now());
    }
    let types = targets(arguments, &[Want::Text], &[Want::Text], "([STRING[, STRING]])")?;
    let has_format = types.len() == 2;
    let patterns = Patterns::valid(arguments.get(1), SimpleFormat::new)?;
    let zone = Zone::of_session(context.time_zone);
    let returns = TypeRoot::BigInt.not_null().with_nullable(any_nullable(arguments));
    Ok(Resolved::new(types, returns, move |inputs| {
        let texts = inputs.get(0)?.text()?;
        let formats = has_format.then(|| inputs.get(1)?.text()).transpose()?;
        let now = now();
        let mut session = patterns.session();
        let seconds = primitives::<Int64Type>(inputs, |row| {
            let format = formats.as_ref().map_or(Some(PLAIN), |formats| formats.get(row));
            let (Some(text), Some(format)) = (texts.get(row), format) else { return Ok(None) };
            let millis = session.get(format).map_err(bad_pattern)?.parse(text, zone, now);
            // What is no time is the least number, as in Flink.
            Ok(Some(millis.map_or(i64::MIN, |millis| millis / SECOND)))
        })?;
        Ok(Arc::new(seconds))
    }))
}

pub(super) fn convert_tz(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text; 3], &[], "(STRING, STRING, STRING)")?;
    let plain = SimpleFormat::new(PLAIN).map_err(Mismatch)?;
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        let (texts, from, to) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?, inputs.get(2)?.text()?);
        let now = now();
        let mut last_from: Option<(&str, Zone)> = None;
        let mut last_to: Option<(&str, Zone, Offsets)> = None;
        strings(inputs, |row, out| {
            let (Some(text), Some(from), Some(to)) = (texts.get(row), from.get(row), to.get(row)) else {
                return Ok(false);
            };
            let from = match last_from {
                Some((id, zone)) if id == from => zone,
                _ => last_from.insert((from, Zone::of_legacy_id(from))).1,
            };
            if last_to.as_ref().is_none_or(|(id, ..)| *id != to) {
                let zone = Zone::of_legacy_id(to);
                last_to = Some((to, zone, Offsets::legacy(zone)));
            }
            let (Some(millis), Some((_, zone, offsets))) = (plain.parse(text, from, now), &last_to) else {
                return Ok(false);
            };
            plain.print(millis, *zone, offsets, out);
            Ok(true)
        })
    }))
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
