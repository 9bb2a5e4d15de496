//! Numbers with a fixed count of digits after the point, kept as `value * 10^scale` in 128 bits, as columns
//! of `DECIMAL(precision, scale)` keep them.
//!
//! Whatever is computed is first computed exactly (in 256 bits where 128 do not suffice), then rounded half
//! up to the scale of its type. What then has more digits than its type is no value: SQL makes it NULL.

use arrow_buffer::i256;

use crate::types::MAX_PRECISION;

const POWERS: [i128; 39] = {
    let mut powers = [1i128; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// `10^exponent`, when it has at most 39 digits.
#[inline]
pub(crate) fn power_of_ten(exponent: u32) -> Option<i128> {
    POWERS.get(exponent as usize).copied()
}

/// Whether `value` has at most `precision` digits.
#[inline]
pub(crate) fn fits(value: i128, precision: u8) -> bool {
    match power_of_ten(u32::from(precision)) {
        Some(limit) => value > -limit && value < limit,
        None => true,
    }
}

/// How many digits `value` has; one when it is zero.
pub(crate) fn digits(value: i128) -> u32 {
    value.unsigned_abs().checked_ilog10().unwrap_or(0) + 1
}

/// `value / divisor` rounded half up, that is, away from zero.
#[inline]
fn divide_rounded(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, value % divisor);
    // |rest| < |divisor|, so that the difference cannot overflow while doubling the rest could.
    if rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs() {
        quotient + if (value < 0) == (divisor < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

fn wide_power(exponent: u32) -> Option<i256> {
    match power_of_ten(exponent) {
        Some(power) => Some(i256::from_i128(power)),
        None => i256::from_i128(power_of_ten(38)?)
            .checked_mul(i256::from_i128(power_of_ten(exponent.checked_sub(38)?)?)),
    }
}

fn wide_divide_rounded(value: i256, divisor: i256) -> Option<i256> {
    let quotient = value.checked_div(divisor)?;
    let rest = value.checked_rem(divisor)?.wrapping_abs();
    if rest >= divisor.wrapping_abs().checked_sub(rest)? {
        let is_positive = value.is_negative() == divisor.is_negative();
        quotient.checked_add(if is_positive { i256::ONE } else { i256::MINUS_ONE })
    } else {
        Some(quotient)
    }
}

/// `value`, of scale `from`, at scale `to`, rounded half up; `None` when it needs more than 128 bits.
#[inline]
pub(crate) fn rescale(value: i128, from: u32, to: u32) -> Option<i128> {
    if from == to {
        return Some(value);
    }
    if from < to {
        if value == 0 {
            return Some(0);
        }
        return value.checked_mul(power_of_ten(to - from)?);
    }
    // A power of ten that is longer than any value leaves less than a half.
    Some(power_of_ten(from - to).map_or(0, |power| divide_rounded(value, power)))
}

/// `value`, of scale `from`, as a `DECIMAL(precision, scale)`; `None` when it does not fit.
#[inline]
pub(crate) fn fit(value: i128, from: u32, precision: u8, scale: u8) -> Option<i128> {
    rescale(value, from, u32::from(scale)).filter(|value| fits(*value, precision))
}

fn wide_fit(value: i256, from: u32, precision: u8, scale: u8) -> Option<i128> {
    let to = u32::from(scale);
    let value = if from > to {
        match wide_power(from - to) {
            Some(power) => wide_divide_rounded(value, power)?,
            None => i256::ZERO,
        }
    } else {
        value.checked_mul(wide_power(to - from)?)?
    };
    value.to_i128().filter(|value| fits(*value, precision))
}

/// The types of an operation's arguments and of its result: how many digits, and how many of them after the
/// point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The scale of the left argument.
    pub(crate) left: u8,
    /// The scale of the right argument.
    pub(crate) right: u8,
    /// The digits of the result.
    pub(crate) precision: u8,
    /// The scale of the result.
    pub(crate) scale: u8,
}

/// `left + right`.
#[inline]
pub(crate) fn add(left: i128, right: i128, shape: Shape) -> Option<i128> {
    let scale = u32::from(shape.left.max(shape.right));
    let near = || {
        let left = rescale(left, u32::from(shape.left), scale)?;
        left.checked_add(rescale(right, u32::from(shape.right), scale)?)
    };
    if let Some(sum) = near() {
        return fit(sum, scale, shape.precision, shape.scale);
    }
    let left = i256::from_i128(left).checked_mul(wide_power(scale - u32::from(shape.left))?)?;
    let right = i256::from_i128(right).checked_mul(wide_power(scale - u32::from(shape.right))?)?;
    wide_fit(left.checked_add(right)?, scale, shape.precision, shape.scale)
}

/// `left - right`.
#[inline]
pub(crate) fn subtract(left: i128, right: i128, shape: Shape) -> Option<i128> {
    add(left, right.checked_neg()?, shape)
}

/// `left * right`.
#[inline]
pub(crate) fn multiply(left: i128, right: i128, shape: Shape) -> Option<i128> {
    let scale = u32::from(shape.left) + u32::from(shape.right);
    if let Some(product) = left.checked_mul(right) {
        return fit(product, scale, shape.precision, shape.scale);
    }
    let product = i256::from_i128(left).checked_mul(i256::from_i128(right))?;
    wide_fit(product, scale, shape.precision, shape.scale)
}

/// `left / right`, where `right` is not zero.
///
/// As by `BigDecimal.divide` of Java, a quotient is rounded to 38 significant digits before it is rounded to
/// its scale.
#[inline]
pub(crate) fn divide(left: i128, right: i128, shape: Shape) -> Option<i128> {
    /// Of numbers below this, a quotient differs from the middle between two results by more than its
    /// rounding to 38 digits can change it, so that rounding once gives the same.
    const SMALL: u128 = 10_000_000_000_000_000_000;
    if left == 0 {
        return Some(0);
    }
    let raise = i32::from(shape.scale) + i32::from(shape.right) - i32::from(shape.left);
    if right.unsigned_abs() < SMALL
        && let Ok(raise) = u32::try_from(raise)
        && let Some(raised) = power_of_ten(raise).and_then(|power| left.checked_mul(power))
    {
        let quotient = divide_rounded(raised, right);
        if quotient.unsigned_abs() < SMALL {
            return Some(quotient).filter(|value| fits(*value, shape.precision));
        }
    }
    divide_wide(left, right, shape)
}

fn divide_wide(left: i128, right: i128, shape: Shape) -> Option<i128> {
    let significant = u32::from(MAX_PRECISION);
    let mut raise = significant - 1 + digits(right) - digits(left).min(significant);
    let divisor = i256::from_i128(right);
    let quotient = |raise| {
        let raised = i256::from_i128(left).checked_mul(wide_power(raise)?)?;
        wide_divide_rounded(raised, divisor)
    };
    let mut result = quotient(raise)?;
    if result.wrapping_abs() < wide_power(significant - 1)? {
        raise += 1;
        result = quotient(raise)?;
    }
    // The scale of the quotient, which is negative when both are raised little.
    let scale = i64::from(raise) + i64::from(shape.left) - i64::from(shape.right);
    match u32::try_from(scale) {
        Ok(scale) => wide_fit(result, scale, shape.precision, shape.scale),
        Err(_) => {
            let missing = u32::try_from(-scale).ok()?;
            wide_fit(result.checked_mul(wide_power(missing)?)?, 0, shape.precision, shape.scale)
        }
    }
}

/// `left % right`, with the sign of `left`, where `right` is not zero.
#[inline]
pub(crate) fn remainder(left: i128, right: i128, shape: Shape) -> Option<i128> {
    let scale = u32::from(shape.left.max(shape.right));
    let near = || {
        let left = rescale(left, u32::from(shape.left), scale)?;
        let right = rescale(right, u32::from(shape.right), scale)?;
        left.checked_rem(right)
    };
    if let Some(rest) = near() {
        return fit(rest, scale, shape.precision, shape.scale);
    }
    let left = i256::from_i128(left).checked_mul(wide_power(scale - u32::from(shape.left))?)?;
    let right = i256::from_i128(right).checked_mul(wide_power(scale - u32::from(shape.right))?)?;
    wide_fit(left.checked_rem(right)?, scale, shape.precision, shape.scale)
}

/// How two numbers of different scales compare.
#[inline]
pub(crate) fn compare(left: i128, left_scale: u8, right: i128, right_scale: u8) -> std::cmp::Ordering {
    if left_scale == right_scale {
        return left.cmp(&right);
    }
    let scale = u32::from(left_scale.max(right_scale));
    let near = rescale(left, u32::from(left_scale), scale).zip(rescale(right, u32::from(right_scale), scale));
    if let Some((left, right)) = near {
        return left.cmp(&right);
    }
    // 38 digits raised by 38 digits fit in 256 bits.
    let wide = |value, from| {
        wide_power(scale - u32::from(from))
            .map_or(i256::ZERO, |power| i256::from_i128(value).wrapping_mul(power))
    };
    wide(left, left_scale).cmp(&wide(right, right_scale))
}

/// The number as Java makes a `double` of a decimal.
#[inline]
pub(crate) fn to_f64(value: i128, precision: u8, scale: u8) -> f64 {
    // Up to 18 digits Flink divides two doubles; beyond, the nearest double is taken.
    if precision <= 18 || (scale == 0 && value.unsigned_abs() < 1 << 53) {
        return value as f64 / power_of_ten(u32::from(scale)).unwrap_or(1) as f64;
    }
    format!("{value}e-{scale}").parse().unwrap_or(f64::NAN)
}

/// The whole number that remains when the digits after the point are cut off.
#[inline]
pub(crate) fn truncate(value: i128, scale: u8) -> i128 {
    power_of_ten(u32::from(scale)).map_or(0, |power| value / power)
}

/// The number that `digits`, each from 0 to 9, stand for when the point is `point` digits after their start,
/// as a `DECIMAL(precision, scale)`; `None` when it does not fit.
pub(crate) fn from_digits(
    is_negative: bool,
    digits: &[u8],
    point: i64,
    precision: u8,
    scale: u8,
) -> Option<i128> {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = digits.get(zeros..).unwrap_or_default();
    if digits.is_empty() {
        return Some(0);
    }
    let kept = point.checked_sub(i64::try_from(zeros).ok()?)?.checked_add(i64::from(scale))?;
    if kept > i64::from(MAX_PRECISION) {
        return None;
    }
    let Ok(kept) = usize::try_from(kept) else { return Some(0) };
    let mut value = 0i128;
    for index in 0..kept {
        value = value.checked_mul(10)?.checked_add(i128::from(digits.get(index).copied().unwrap_or(0)))?;
    }
    if digits.get(kept).is_some_and(|digit| *digit >= 5) {
        value += 1;
    }
    Some(if is_negative { -value } else { value }).filter(|value| fits(*value, precision))
}

/// The decimal nearest to what `value` is written as, as Java's `BigDecimal.valueOf`; `None` when it does not
/// fit, an error when it is not a number at all.
pub(crate) fn from_f64(value: f64, precision: u8, scale: u8) -> Result<Option<i128>, NotFinite> {
    if !value.is_finite() {
        return Err(NotFinite);
    }
    let text = super::cast::java_double(value);
    Ok(from_text(&text, precision, scale).ok().flatten())
}

/// An infinite number or none where a decimal is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotFinite;

/// A text that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotANumber;

/// Reads digits with an optional sign, point and exponent; `None` when the number does not fit.
pub(crate) fn from_text(text: &str, precision: u8, scale: u8) -> Result<Option<i128>, NotANumber> {
    let (is_negative, text) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
    if digits.is_empty() || digits.iter().any(|digit| *digit > 9) {
        return Err(NotANumber);
    }
    let point = i64::try_from(whole.len()).map_err(|_| NotANumber)? + exponent;
    Ok(from_digits(is_negative, &digits, point, precision, scale))
}

fn read_exponent(text: &str) -> Result<i64, NotANumber> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 10 || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return Err(NotANumber);
    }
    let value: i64 = digits.parse().map_err(|_| NotANumber)?;
    Ok(if text.starts_with('-') { -value } else { value })
}

/// Writes a decimal with all digits of its scale and without an exponent.
pub(crate) fn write(value: i128, scale: u8, out: &mut String) {
    use std::fmt::Write;
    if value < 0 {
        out.push('-');
    }
    let magnitude = value.unsigned_abs();
    // A String takes whatever is written.
    let _ = match power_of_ten(u32::from(scale)).map(i128::unsigned_abs) {
        Some(power) if scale > 0 => {
            write!(out, "{}.{:0width$}", magnitude / power, magnitude % power, width = usize::from(scale))
        }
        _ => write!(out, "{magnitude}"),
    };
}

#[cfg(test)]
mod tests;
