//! The types and values of literals.

use std::str::FromStr;

use datafusion_common::ScalarValue;

use super::Expr;
use crate::error::{SqlError, SqlResult};
use crate::types::{MAX_PRECISION, TypeRoot};

/// A number as it is written: `INT` or `BIGINT` when it has neither point nor exponent and fits, `DOUBLE` with an exponent,
/// else a `DECIMAL` with the digits that are written.
pub(crate) fn number(text: &str) -> SqlResult<Expr> {
    let invalid = || SqlError::syntax(format!("'{text}' is not a number"));
    if text.contains(['e', 'E']) {
        let value = f64::from_str(text).map_err(|_| invalid())?;
        return Ok(Expr::Literal {
            value: ScalarValue::Float64(Some(value)),
            logical: TypeRoot::Double.not_null(),
        });
    }
    // With nothing behind its point it is a whole number.
    let text = text.strip_suffix('.').unwrap_or(text);
    if !text.contains('.') {
        if let Ok(value) = i32::from_str(text) {
            return Ok(Expr::Literal {
                value: ScalarValue::Int32(Some(value)),
                logical: TypeRoot::Int.not_null(),
            });
        }
        if let Ok(value) = i64::from_str(text) {
            return Ok(Expr::bigint(value));
        }
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = whole.chars().chain(fraction.chars()).collect();
    let unscaled = i128::from_str(&digits).map_err(|_| invalid())?;
    let written = digits.trim_start_matches('-');
    let scale = fraction.len();
    // A digit before the point counts, also when it is 0.
    let before = usize::from(!whole.trim_start_matches('-').is_empty());
    let precision = written.trim_start_matches('0').len().max(scale + before);
    let (Ok(precision), Ok(scale)) = (u8::try_from(precision), u8::try_from(scale)) else {
        return Err(invalid());
    };
    if precision > MAX_PRECISION {
        return Err(SqlError::types(format!("'{text}' has more than {MAX_PRECISION} digits"))
            .hint("write it with an exponent, such as 1E40, to have a DOUBLE"));
    }
    Ok(Expr::Literal {
        value: ScalarValue::Decimal128(Some(unscaled), precision, i8::try_from(scale).unwrap_or(0)),
        logical: TypeRoot::Decimal(precision, scale).not_null(),
    })
}

/// A string literal: a `CHAR` of its length.
pub(crate) fn text(text: &str) -> Expr {
    let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    Expr::Literal {
        value: ScalarValue::Utf8(Some(text.to_owned())),
        logical: TypeRoot::Char(length).not_null(),
    }
}

/// The literal `NULL`.
pub(crate) fn null() -> Expr {
    Expr::Literal { value: ScalarValue::Null, logical: TypeRoot::Null.nullable() }
}

/// An interval of months.
pub(crate) fn months(months: i32) -> Expr {
    Expr::Literal {
        value: ScalarValue::IntervalYearMonth(Some(months)),
        logical: TypeRoot::IntervalMonths.not_null(),
    }
}

/// An interval of milliseconds.
pub(crate) fn millis(millis: i64) -> Expr {
    Expr::Literal {
        value: ScalarValue::DurationMillisecond(Some(millis)),
        logical: TypeRoot::IntervalMillis.not_null(),
    }
}

/// The milliseconds that an expression is as a literal interval of days to seconds.
pub(crate) fn as_millis(expr: &Expr) -> Option<i64> {
    match expr.literal() {
        Some(ScalarValue::DurationMillisecond(Some(millis))) => Some(*millis),
        _ => None,
    }
}

/// Parses the text of an interval with its unit or units, such as `'1 02:03:04.5'` and `DAY TO SECOND`.
pub(crate) fn interval(text: &str, leading: &str, last: Option<&str>) -> SqlResult<Expr> {
    let invalid = || {
        let units = last.map(|last| format!(" TO {last}")).unwrap_or_default();
        SqlError::syntax(format!("'{text}' is not an interval of {leading}{units}"))
    };
    let trimmed = text.trim();
    let (negative, body) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let whole = |part: &str| -> SqlResult<i64> {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        part.parse().map_err(|_| invalid())
    };
    let sign = if negative { -1 } else { 1 };
    let signed = |value: Option<i64>| value.and_then(|value| value.checked_mul(sign)).ok_or_else(invalid);
    let unit = leading.trim_end_matches('S');
    if matches!(unit, "YEAR" | "QUARTER" | "MONTH") {
        let value = match (unit, last) {
            ("YEAR", Some(_)) => {
                let (years, rest) = body.split_once('-').ok_or_else(invalid)?;
                let rest = whole(rest)?;
                if rest > 11 {
                    return Err(invalid());
                }
                whole(years)?.checked_mul(12).and_then(|months| months.checked_add(rest))
            }
            ("YEAR", None) => whole(body)?.checked_mul(12),
            ("QUARTER", None) => whole(body)?.checked_mul(3),
            ("MONTH", None) => Some(whole(body)?),
            _ => None,
        };
        return i32::try_from(signed(value)?).map(months).map_err(|_| invalid());
    }
    const UNITS: [(&str, i64); 4] =
        [("DAY", 86_400_000), ("HOUR", 3_600_000), ("MINUTE", 60_000), ("SECOND", 1000)];
    if unit == "WEEK" && last.is_none() {
        return Ok(millis(signed(whole(body)?.checked_mul(7 * 86_400_000))?));
    }
    let first = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
    let end = match last {
        None => first,
        Some(last) => {
            UNITS.iter().position(|(name, _)| *name == last.trim_end_matches('S')).ok_or_else(invalid)?
        }
    };
    if end < first {
        return Err(invalid());
    }
    let mut rest = body;
    let mut total = Some(0i64);
    for (index, (name, factor)) in UNITS.iter().enumerate().take(end + 1).skip(first) {
        let part = if index == end {
            std::mem::take(&mut rest)
        } else {
            let separator = if *name == "DAY" { ' ' } else { ':' };
            let (part, after) = rest.split_once(separator).ok_or_else(invalid)?;
            rest = after.trim_start();
            part
        };
        let value = if *name == "SECOND" {
            let (seconds, fraction) = part.split_once('.').unwrap_or((part, ""));
            let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
            whole(seconds)?.checked_mul(1000).zip(Some(whole(&fraction)?)).and_then(|(s, f)| s.checked_add(f))
        } else {
            whole(part)?.checked_mul(*factor)
        };
        total = total.zip(value).and_then(|(total, value)| total.checked_add(value));
    }
    Ok(millis(signed(total)?))
}
