//! How Java writes and reads floating-point numbers.

use std::fmt::Write;

/// As Java's `Double.toString`: `1.0`, `1.0E10`, `1.0E-5`, `NaN`, `-Infinity`.
///
/// The digits are those of Java up to 18, which for large whole numbers are sometimes more than the fewest
/// that tell the number from its neighbours. (Of very large ones, few per million end in another digit.)
pub fn java_double(value: f64) -> String {
    let mut text = String::with_capacity(24);
    write_double(value, &mut text);
    text
}

/// As Java's `Float.toString`; see [`java_double`].
pub fn java_float(value: f32) -> String {
    let mut text = String::with_capacity(16);
    write_float(value, &mut text);
    text
}

/// Writes what [`java_double`] answers.
pub(crate) fn write_double(value: f64, out: &mut String) {
    if write_special(value, out) {
        return;
    }
    // Whole numbers that have fewer bits than a long, and more than a double's 53.
    if value.abs() >= (1u64 << 53) as f64 && value.abs() < (1u64 << 63) as f64 {
        return write_whole(value.abs() as u64, 53, out);
    }
    let mut shortest = Scratch::default();
    // The scratch is longer than any number in this notation. Java writes two digits, which matters where
    // there are hardly two.
    let _ = if value.abs() < 9e-324 {
        write!(shortest, "{:.1e}", value.abs())
    } else {
        write!(shortest, "{:e}", value.abs())
    };
    shortest.prefer_even(value.abs());
    let (digits, exponent) = shortest.split();
    lay_out(digits, exponent, out);
}

/// Writes what [`java_float`] answers.
pub(crate) fn write_float(value: f32, out: &mut String) {
    if write_special(f64::from(value), out) {
        return;
    }
    let magnitude = value.abs();
    if magnitude >= (1u64 << 24) as f32 && magnitude < (1u64 << 63) as f32 {
        return write_whole(magnitude as u64, 24, out);
    }
    let mut shortest = Scratch::default();
    let _ = if magnitude < 1e-44 {
        write!(shortest, "{magnitude:.1e}")
    } else {
        write!(shortest, "{magnitude:e}")
    };
    shortest.prefer_even(f64::from(magnitude));
    let (digits, exponent) = shortest.split();
    lay_out(digits, exponent, out);
}

/// Writes the sign, and the number too when it has no digits.
fn write_special(value: f64, out: &mut String) -> bool {
    if value.is_nan() {
        out.push_str("NaN");
        return true;
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    if value == 0.0 {
        out.push_str("0.0");
    } else if value.is_infinite() {
        out.push_str("Infinity");
    }
    value == 0.0 || value.is_infinite()
}

/// A whole number of which the first `significant` bits are known: Java cuts off the decimal digits that are
/// surely not.
fn write_whole(value: u64, significant: u32, out: &mut String) {
    let unknown = value.ilog2().saturating_sub(significant + 1);
    // As many as 2^unknown has, less one.
    let dropped = unknown * 30103 / 100_000;
    let power = 10u64.checked_pow(dropped).unwrap_or(1);
    let mut kept = value / power;
    if dropped > 0 && value % power >= power / 2 {
        kept += 1;
    }
    let text = kept.to_string();
    let exponent = i32::try_from(text.len() as u32 - 1 + dropped).unwrap_or(0);
    lay_out(text.trim_end_matches('0'), exponent, out);
}

/// Writes `digits`, the first before the point, times ten to the power of `exponent`.
fn lay_out(digits: &str, exponent: i32, out: &mut String) {
    let zeros = |count: i32, out: &mut String| (0..count).for_each(|_| out.push('0'));
    let count = i32::try_from(digits.len()).unwrap_or(0);
    match exponent {
        0..7 => {
            let whole = exponent + 1;
            match digits.split_at_checked(whole as usize) {
                Some((before, after)) if !after.is_empty() => {
                    out.push_str(before);
                    out.push('.');
                    out.push_str(after);
                }
                _ => {
                    out.push_str(digits);
                    zeros(whole - count, out);
                    out.push_str(".0");
                }
            }
        }
        -3..0 => {
            out.push_str("0.");
            zeros(-exponent - 1, out);
            out.push_str(digits);
        }
        _ => {
            let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
            out.push_str(first);
            out.push('.');
            out.push_str(if rest.is_empty() { "0" } else { rest });
            let _ = write!(out, "E{exponent}");
        }
    }
}

/// A number in Rust's `{:e}` notation, without the heap.
#[derive(Default)]
struct Scratch {
    bytes: [u8; 32],
    length: usize,
}

impl Write for Scratch {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        // The point is left out: it always stands behind the first digit.
        for byte in text.bytes().filter(|byte| *byte != b'.') {
            *self.bytes.get_mut(self.length).ok_or(std::fmt::Error)? = byte;
            self.length += 1;
        }
        Ok(())
    }
}

impl Scratch {
    fn text(&self) -> &str {
        std::str::from_utf8(self.bytes.get(..self.length).unwrap_or_default()).unwrap_or_default()
    }

    /// The digits, and the exponent.
    fn split(&self) -> (&str, i32) {
        match self.text().split_once('e') {
            Some((digits, exponent)) => (digits, exponent.parse().unwrap_or(0)),
            None => (self.text(), 0),
        }
    }

    /// When the number lies in the middle between two that are as short, takes the one that ends in an even
    /// digit, as Java does. `exact` is the number.
    fn prefer_even(&mut self, exact: f64) {
        let (digits, exponent) = self.split();
        let last = digits.len().saturating_sub(1);
        let Some(digit) = digits.as_bytes().get(last).copied().filter(|digit| digit % 2 == 1) else { return };
        // In the middle, the number has just one digit more: as many behind the point as it has bits there.
        let places = i64::try_from(last).unwrap_or(0) + 1 - i64::from(exponent);
        if places < 1 || places != i64::from(fraction_bits(exact)) {
            return;
        }
        let lower = digit - 1;
        let written = format!("{exact:.*e}", last + 1);
        let middle = digits.bytes().take(last).chain([lower, b'5']);
        let is_middle =
            written.bytes().filter(|byte| *byte != b'.').take_while(|byte| *byte != b'e').eq(middle);
        if is_middle && let Some(byte) = self.bytes.get_mut(last) {
            *byte = lower;
        }
    }
}

/// How many bits a number has behind the point.
fn fraction_bits(value: f64) -> i32 {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7FF) as i32;
    let mantissa = bits & ((1 << 52) - 1) | if exponent == 0 { 0 } else { 1 << 52 };
    if mantissa == 0 {
        return 0;
    }
    (1075 - exponent.max(1) - mantissa.trailing_zeros() as i32).max(0)
}

/// Reads a number as Java's `Double.parseDouble` and `Float.parseFloat` do.
pub(crate) fn parse<F: std::str::FromStr + FromSpecial>(text: &str) -> Option<F> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (is_negative, magnitude) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    match magnitude {
        "NaN" => return Some(F::NAN),
        "Infinity" if is_negative => return Some(F::NEGATIVE),
        "Infinity" => return Some(F::POSITIVE),
        _ => {}
    }
    let digits = magnitude.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(magnitude);
    if let Some(hexadecimal) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return parse_hexadecimal(hexadecimal).map(|value| F::of(if is_negative { -value } else { value }));
    }
    // What Rust reads beyond this are words only.
    let is_number = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.as_bytes().first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.');
    if !is_number {
        return None;
    }
    let signed = text.get(..text.len() - (magnitude.len() - digits.len()))?;
    signed.parse().ok()
}

/// Reads what follows `0x`: hexadecimal digits with an optional point, and the power of two that they are
/// multiplied by.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2f64.powi(exponent.saturating_sub(shift)))
}

/// The numbers that have names, and those that are computed.
pub(crate) trait FromSpecial: Sized {
    const NAN: Self;
    const POSITIVE: Self;
    const NEGATIVE: Self;

    fn of(value: f64) -> Self;
}

impl FromSpecial for f32 {
    const NAN: Self = f32::NAN;
    const POSITIVE: Self = f32::INFINITY;
    const NEGATIVE: Self = f32::NEG_INFINITY;

    fn of(value: f64) -> Self {
        value as f32
    }
}

impl FromSpecial for f64 {
    const NAN: Self = f64::NAN;
    const POSITIVE: Self = f64::INFINITY;
    const NEGATIVE: Self = f64::NEG_INFINITY;

    fn of(value: f64) -> Self {
        value
    }
}
