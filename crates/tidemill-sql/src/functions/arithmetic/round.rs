//! `ROUND` and `TRUNCATE`.

use arrow_array::ArrayRef;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use datafusion_common::ScalarValue;

use crate::functions::cast::{convert_rows, java_double};
use crate::functions::decimal;
use crate::functions::kernel::{Argument, Inputs, KernelError, Mismatch, Resolved};
use crate::types::{LogicalType, MAX_PRECISION, TypeRoot};

/// What becomes of the digits that are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// They round the last digit, away from zero when they are a half.
    HalfUp,
    /// They are cut off.
    Down,
}

/// Resolves `ROUND` or `TRUNCATE`.
pub(super) fn resolve(rounding: Rounding, arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let expected = || Mismatch::new("expects (numeric) or (numeric, integer)");
    let (number, digits) = match arguments {
        [number] => (number.logical, None),
        [number, digits] if digits.logical.root.is_integer() => (number.logical, Some(digits)),
        _ => return Err(expected()),
    };
    if !number.root.is_numeric() {
        return Err(expected());
    }
    let known = match digits {
        None => Some(0),
        Some(digits) => digits.literal.and_then(whole_number),
    };
    let root = match (&number.root, known) {
        (TypeRoot::Decimal(precision, scale), Some(digits)) => rounded(*precision, *scale, digits),
        (root, _) => root.clone(),
    };
    let nullable = number.nullable || digits.is_some_and(|digits| digits.logical.nullable);
    let mut types = vec![number.clone()];
    types.extend(digits.map(|digits| LogicalType { root: TypeRoot::Int, nullable: digits.logical.nullable }));
    let from = number.root.clone();
    Ok(Resolved::new(types, LogicalType { root: root.clone(), nullable }, move |inputs| match &from {
        TypeRoot::TinyInt => each::<Int8Type>(inputs, &root, |value, digits| {
            Ok(Some(integer(rounding, i128::from(value), digits) as i8))
        }),
        TypeRoot::SmallInt => each::<Int16Type>(inputs, &root, |value, digits| {
            Ok(Some(integer(rounding, i128::from(value), digits) as i16))
        }),
        TypeRoot::Int => each::<Int32Type>(inputs, &root, |value, digits| {
            Ok(Some(integer(rounding, i128::from(value), digits) as i32))
        }),
        TypeRoot::BigInt => each::<Int64Type>(inputs, &root, |value, digits| {
            Ok(Some(integer(rounding, i128::from(value), digits) as i64))
        }),
        TypeRoot::Float => each::<Float32Type>(inputs, &root, |value, digits| {
            Ok(match approximate(rounding, f64::from(value), digits)? {
                Written::Same => Some(value),
                Written::Other(text) => text.parse().ok(),
            })
        }),
        TypeRoot::Double => each::<Float64Type>(inputs, &root, |value, digits| {
            Ok(match approximate(rounding, value, digits)? {
                Written::Same => Some(value),
                Written::Other(text) => text.parse().ok(),
            })
        }),
        TypeRoot::Decimal(_, scale) => {
            let TypeRoot::Decimal(precision, after) = root else {
                return Err(KernelError(format!("a decimal cannot be rounded to {root}")));
            };
            each::<Decimal128Type>(inputs, &root, |value, digits| {
                let exact = integer(rounding, value, digits.saturating_sub(i32::from(*scale)));
                Ok(decimal::fit(exact, u32::from(*scale), precision, after))
            })
        }
        _ => Err(KernelError(format!("{from} cannot be rounded"))),
    }))
}

fn whole_number(value: &ScalarValue) -> Option<i32> {
    match value {
        ScalarValue::Int8(value) => value.map(i32::from),
        ScalarValue::Int16(value) => value.map(i32::from),
        ScalarValue::Int32(value) => *value,
        ScalarValue::Int64(value) => value.and_then(|value| i32::try_from(value).ok()),
        _ => None,
    }
}

/// The type of a `DECIMAL(precision, scale)` that is rounded to `digits` digits after the point.
fn rounded(precision: u8, scale: u8, digits: i32) -> TypeRoot {
    match u8::try_from(digits) {
        Ok(digits) if digits < scale => TypeRoot::Decimal(1 + precision - scale + digits, digits),
        _ if digits < 0 => TypeRoot::Decimal((1 + precision - scale).min(MAX_PRECISION), 0),
        _ => TypeRoot::Decimal(precision, scale),
    }
}

fn each<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    returns: &TypeRoot,
    compute: impl Fn(T::Native, i32) -> Result<Option<T::Native>, KernelError>,
) -> Result<ArrayRef, KernelError> {
    let values = inputs.get(0)?.primitive::<T>()?;
    let digits = if inputs.len() > 1 { Some(inputs.get(1)?.primitive::<Int32Type>()?) } else { None };
    convert_rows::<T>(inputs.rows(), returns, |row| {
        let digits = match &digits {
            Some(digits) => digits.get(row),
            None => Some(0),
        };
        match (values.get(row), digits) {
            (Some(value), Some(digits)) => compute(value, digits),
            _ => Ok(None),
        }
    })
}

/// A whole number, of which `-digits` digits at its end become zeros when there are any.
fn integer(rounding: Rounding, value: i128, digits: i32) -> i128 {
    let Ok(dropped) = u32::try_from(i64::from(digits).saturating_neg()) else { return value };
    if dropped == 0 {
        return value;
    }
    let Some(power) = decimal::power_of_ten(dropped) else { return 0 };
    let down = value / power * power;
    let rest = (value - down).unsigned_abs();
    if rounding == Rounding::HalfUp && rest >= power.unsigned_abs() - rest {
        down.saturating_add(value.signum() * power)
    } else {
        down
    }
}

/// A number that is rounded.
enum Written {
    /// As it was.
    Same,
    /// This.
    Other(String),
}

/// Rounds the digits that Java writes a number with.
fn approximate(rounding: Rounding, value: f64, digits: i32) -> Result<Written, KernelError> {
    /// `TRUNCATE` has no more digits after the point than this: the number is rounded to them before it is
    /// cut off.
    const MOST: i64 = 18;
    if !value.is_finite() {
        return Err(KernelError(format!("{} cannot be rounded", java_double(value))));
    }
    let text = java_double(value.abs());
    let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut all: Vec<u8> =
        whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
    let mut point = whole.len() as i64 + exponent.parse::<i64>().unwrap_or(0);
    let mut is_same = true;
    let mut keep = |after: i64, rounding: Rounding| {
        let Ok(kept) = usize::try_from(point + after) else {
            is_same = false;
            all.clear();
            return;
        };
        if kept >= all.len() {
            return;
        }
        is_same = false;
        let rounds_up = rounding == Rounding::HalfUp && all.get(kept).is_some_and(|digit| *digit >= 5);
        all.truncate(kept);
        if rounds_up {
            let nines = all.iter().rev().take_while(|digit| **digit == 9).count();
            all.truncate(kept - nines);
            match all.last_mut() {
                Some(last) => *last += 1,
                None => {
                    all.push(1);
                    point += 1;
                }
            }
        }
    };
    match rounding {
        Rounding::HalfUp => keep(i64::from(digits), Rounding::HalfUp),
        Rounding::Down => {
            keep(MOST, Rounding::HalfUp);
            if i64::from(digits) < MOST {
                keep(i64::from(digits), Rounding::Down);
            }
        }
    }
    if is_same {
        return Ok(Written::Same);
    }
    if all.iter().all(|digit| *digit == 0) {
        return Ok(Written::Other("0".to_owned()));
    }
    let mut written = String::with_capacity(all.len() + 8);
    if value.is_sign_negative() {
        written.push('-');
    }
    written.push_str("0.");
    written.extend(all.iter().map(|digit| char::from(b'0' + digit)));
    written.push('e');
    written.push_str(&point.to_string());
    Ok(Written::Other(written))
}
