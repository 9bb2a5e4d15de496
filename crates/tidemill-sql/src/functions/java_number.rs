//! Numbers as Java writes them: `Double.toString`, `Float.toString`, and `BigDecimal.toString` of a decimal
//! number in any form.

/// Appends `value` as `Double.toString` writes it.
pub(crate) fn push_double(out: &mut String, value: f64) {
    if value.is_finite() {
        push_shortest(out, value.is_sign_negative(), &format!("{:e}", value.abs()), value == 0.0);
    } else {
        push_not_finite(out, value);
    }
}

/// Appends `value` as `Float.toString` writes it.
pub(crate) fn push_float(out: &mut String, value: f32) {
    if value.is_finite() {
        push_shortest(out, value.is_sign_negative(), &format!("{:e}", value.abs()), value == 0.0);
    } else {
        push_not_finite(out, f64::from(value));
    }
}

fn push_not_finite(out: &mut String, value: f64) {
    out.push_str(if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    });
}

/// `scientific` is the shortest number that reads as the value, as in `1.25e-7`.
fn push_shortest(out: &mut String, is_negative: bool, scientific: &str, is_zero: bool) {
    use std::fmt::Write;
    if is_negative {
        out.push('-');
    }
    if is_zero {
        return out.push_str("0.0");
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !(-3..7).contains(&exponent) {
        out.push_str(first);
        out.push('.');
        out.push_str(if rest.is_empty() { "0" } else { rest });
        // Writing to a string does not fail.
        let _ = write!(out, "E{exponent}");
        return;
    }
    let digits = first.chars().chain(rest.chars());
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', usize::try_from(-exponent - 1).unwrap_or(0)));
        return out.extend(digits);
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    out.extend(digits.clone().chain(std::iter::repeat('0')).take(whole));
    out.push('.');
    let count = first.len() + rest.len();
    if count > whole {
        out.extend(digits.skip(whole));
    } else {
        out.push('0');
    }
}

/// Appends the decimal number `text`, as in `-12.50e3`, as `new BigDecimal(text).toString()` writes it; as it
/// is when it is none.
pub(crate) fn push_decimal(out: &mut String, text: &str) {
    use std::fmt::Write;
    let (is_negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i64>() else { return out.push_str(text) };
    let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(exponent);
    // The digits of the number without its point, and without zeros in front.
    let leading = whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count();
    let all = whole.len() + fraction.len();
    let (leading, is_zero) = if leading >= all { (all.saturating_sub(1), true) } else { (leading, false) };
    let digits = || whole.chars().chain(fraction.chars()).skip(leading);
    let count = i64::try_from(all - leading).unwrap_or(i64::MAX);
    if is_negative && !is_zero {
        out.push('-');
    }
    let adjusted = (count - 1).saturating_sub(scale);
    if scale == 0 {
        out.extend(digits());
    } else if scale > 0 && adjusted >= -6 {
        let point = count - scale;
        if point > 0 {
            let point = usize::try_from(point).unwrap_or(0);
            out.extend(digits().take(point));
            out.push('.');
            out.extend(digits().skip(point));
        } else {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', usize::try_from(-point).unwrap_or(0)));
            out.extend(digits());
        }
    } else {
        out.extend(digits().take(1));
        if count > 1 {
            out.push('.');
            out.extend(digits().skip(1));
        }
        if adjusted != 0 {
            let _ = write!(out, "E{adjusted:+}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        let mut out = String::new();
        push_double(&mut out, value);
        out
    }

    fn decimal(text: &str) -> String {
        let mut out = String::new();
        push_decimal(&mut out, text);
        out
    }

    #[test]
    fn doubles() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1.5, "1.5"),
            (123456.789, "123456.789"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1.25e-7, "1.25E-7"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (-1234567.5, "-1234567.5"),
            (1e300, "1.0E300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(value), text);
        }
        let mut out = String::new();
        push_float(&mut out, 0.1);
        assert_eq!(out, "0.1");
    }

    #[test]
    fn decimals() {
        for (text, written) in [
            ("1.50", "1.50"),
            ("1e2", "1E+2"),
            ("1E-10", "1E-10"),
            ("1.0E10", "1.0E+10"),
            ("0.0000001", "1E-7"),
            ("0.000001", "0.000001"),
            ("1e400", "1E+400"),
            ("1.0E+2", "1.0E+2"),
            ("100.0", "100.0"),
            ("-0.0", "0.0"),
            ("0e5", "0E+5"),
            ("-12.50e3", "-1.250E+4"),
            ("-12.50e1", "-125.0"),
            ("0.00000001", "1E-8"),
            ("12345678901234567890.5", "12345678901234567890.5"),
            ("1.0E-5", "0.000010"),
        ] {
            assert_eq!(decimal(text), written, "{text}");
        }
    }
}
