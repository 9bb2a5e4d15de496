//! Decimals as text: exact digits with a point, as Java's `BigDecimal` reads and writes them.

/// The powers of ten that fit into the 128 bits of a decimal.
#[cfg(any(feature = "filesystem", feature = "datagen"))]
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < 39 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Why a text is no decimal of a type.
#[cfg(any(feature = "filesystem", feature = "datagen"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoDecimal {
    /// It is no number.
    NotANumber,
    /// It has more digits before the point than the type.
    OutOfRange,
}

/// The unscaled value that a text has at a scale. Digits behind the scale are rounded half up, as Flink's
/// formats do: a 5 goes away from zero.
#[cfg(any(feature = "filesystem", feature = "datagen"))]
pub(crate) fn parse(text: &[u8], precision: u8, scale: i8) -> Result<i128, NoDecimal> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mantissa_end = rest.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(rest.len());
    let (mantissa, exponent) = rest.split_at(mantissa_end);
    let exponent = match exponent {
        [] => 0,
        [_, digits @ ..] => parse_exponent(digits).ok_or(NoDecimal::NotANumber)?,
    };
    let point = mantissa.iter().position(|b| *b == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = (&mantissa[..point], mantissa.get(point + 1..).unwrap_or_default());
    let is_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return Err(NoDecimal::NotANumber);
    }
    // How many digits, from the first, the unscaled value keeps; it may be less than none, or more than there
    // are.
    let kept = i64::try_from(whole.len()).unwrap_or(i64::MAX) + exponent + i64::from(scale);
    let mut value: i128 = 0;
    let mut left = kept;
    let mut round_up = false;
    for byte in whole.iter().chain(fraction) {
        let digit = i128::from(byte - b'0');
        if left <= 0 {
            round_up = left == 0 && digit >= 5;
            break;
        }
        left -= 1;
        value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(NoDecimal::OutOfRange)?;
    }
    if left > 0 && value != 0 {
        let power =
            usize::try_from(left).ok().and_then(|left| POWERS.get(left)).ok_or(NoDecimal::OutOfRange)?;
        value = value.checked_mul(*power).ok_or(NoDecimal::OutOfRange)?;
    }
    value = value.saturating_add(i128::from(round_up));
    match POWERS.get(usize::from(precision)) {
        Some(limit) if value < *limit => Ok(if negative { -value } else { value }),
        _ => Err(NoDecimal::OutOfRange),
    }
}

/// What stands behind the `e`. Beyond all that a decimal may be, it does not matter how far.
#[cfg(any(feature = "filesystem", feature = "datagen"))]
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(byte - b'0')).min(i64::MAX / 100);
    }
    Some(if negative { -value } else { value })
}

#[cfg(any(feature = "filesystem", feature = "print"))]
/// How decimals are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DecimalFormat {
    /// `12.50`: all digits of the scale.
    #[default]
    Plain,
    /// `12.5`, `100`: without zeros at the end.
    #[cfg(feature = "filesystem")]
    Stripped,
    /// `12.50`, and `1E-7` for what is smaller than a millionth, as `BigDecimal.toString` has it.
    #[cfg(feature = "print")]
    Java,
    /// `12.5`, `1E+2`: without zeros at the end, and then as `BigDecimal.toString` has it.
    #[cfg(feature = "filesystem")]
    JavaStripped,
}

#[cfg(any(feature = "filesystem", feature = "print"))]
impl DecimalFormat {
    fn strips(self) -> bool {
        match self {
            #[cfg(feature = "filesystem")]
            DecimalFormat::Stripped | DecimalFormat::JavaStripped => true,
            _ => false,
        }
    }

    fn is_plain(self) -> bool {
        match self {
            DecimalFormat::Plain => true,
            #[cfg(feature = "filesystem")]
            DecimalFormat::Stripped => true,
            _ => false,
        }
    }
}

#[cfg(any(feature = "filesystem", feature = "print"))]
/// Appends the text of `value` × 10^-`scale`.
pub(crate) fn write(value: i128, scale: i8, format: DecimalFormat, out: &mut Vec<u8>) {
    let (mut value, mut scale) = (value, i32::from(scale));
    if format.strips() {
        if value == 0 {
            scale = 0;
        }
        while value != 0 && value % 10 == 0 {
            value /= 10;
            scale -= 1;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    // The longest value has 39 digits.
    let mut buffer = [b'0'; 39];
    let mut first = buffer.len();
    let mut rest = value.unsigned_abs();
    while rest != 0 || first == buffer.len() {
        first -= 1;
        buffer[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = &buffer[first..];
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let adjusted = count - 1 - scale;
    if !format.is_plain() && (scale < 0 || adjusted < -6) {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        if adjusted != 0 {
            out.extend_from_slice(format!("E{adjusted:+}").as_bytes());
        }
        return;
    }
    let zeros = |count: i32, out: &mut Vec<u8>| {
        let count = usize::try_from(count).unwrap_or(0);
        out.resize(out.len() + count, b'0');
    };
    if scale <= 0 {
        out.extend_from_slice(digits);
        if value != 0 {
            zeros(-scale, out);
        }
    } else if count > scale {
        let (whole, fraction) = digits.split_at(usize::try_from(count - scale).unwrap_or(0));
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        zeros(scale - count, out);
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
#[cfg(all(feature = "filesystem", feature = "print"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: i128, scale: i8, format: DecimalFormat) -> String {
        let mut out = Vec::new();
        write(value, scale, format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digits_behind_the_scale_are_rounded_half_up() {
        for (written, expected) in [
            ("12.345", 1235),
            ("12.344999", 1234),
            ("-12.345", -1235),
            ("1e1", 1000),
            ("1.5E+1", 1500),
            ("12345e-3", 1235),
            (".5", 50),
            ("5.", 500),
            ("+7", 700),
            ("000000000000000000000000000000000000000000000001", 100),
            ("0e999999999999999999999", 0),
            ("1e-999999999999999999999", 0),
            ("0.005", 1),
            ("0.0049", 0),
            ("0.0005", 0),
        ] {
            assert_eq!(parse(written.as_bytes(), 10, 2), Ok(expected), "{written}");
        }
        for bad in ["", "-", ".", "1.2.3", "1e", "e5", "NaN", "0x1", "1,5", "--1", "1e1.5"] {
            assert_eq!(parse(bad.as_bytes(), 10, 2), Err(NoDecimal::NotANumber), "{bad}");
        }
        for bad in ["123456789", "99999999.995", "1e9", "1e99999999999999999999999"] {
            assert_eq!(parse(bad.as_bytes(), 10, 2), Err(NoDecimal::OutOfRange), "{bad}");
        }
        assert_eq!(parse(b"99999999.994", 10, 2), Ok(9_999_999_999));
        let most = "9".repeat(38);
        assert_eq!(parse(most.as_bytes(), 38, 0), Ok(POWERS[38] - 1));
        assert_eq!(parse(format!("{most}9").as_bytes(), 38, 0), Err(NoDecimal::OutOfRange));
        assert_eq!(parse(format!("{most}.5").as_bytes(), 38, 0), Err(NoDecimal::OutOfRange));
    }

    #[test]
    fn they_are_written_as_by_java() {
        use DecimalFormat::{Java, JavaStripped, Plain, Stripped};
        for (value, scale, format, expected) in [
            (1250, 2, Plain, "12.50"),
            (-5, 2, Plain, "-0.05"),
            (0, 2, Plain, "0.00"),
            (0, 0, Plain, "0"),
            (0, -3, Plain, "0"),
            (7, -3, Plain, "7000"),
            (1250, 2, Stripped, "12.5"),
            (10_000, 2, Stripped, "100"),
            (27, 9, Stripped, "0.000000027"),
            (27, 9, Java, "2.7E-8"),
            (0, 9, Java, "0E-9"),
            (1250, 2, Java, "12.50"),
            (1, 6, Java, "0.000001"),
            (1, 7, Java, "1E-7"),
            (10_000, 2, JavaStripped, "1E+2"),
            (1250, 2, JavaStripped, "12.5"),
            (0, 2, JavaStripped, "0"),
            (454_621_864_049_246_170, 0, JavaStripped, "4.5462186404924617E+17"),
            (27, 9, JavaStripped, "2.7E-8"),
            (i128::MIN, 0, Plain, "-170141183460469231731687303715884105728"),
        ] {
            assert_eq!(text(value, scale, format), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in -POWERS[38] + 1..POWERS[38], scale in 0i8..=38) {
            use DecimalFormat::{Java, JavaStripped, Plain, Stripped};
            for format in [Plain, Stripped, Java, JavaStripped] {
                let text = text(value, scale, format);
                prop_assert_eq!(parse(text.as_bytes(), 38, scale), Ok(value), "{}", text);
            }
        }

        #[test]
        fn any_bytes_are_taken(text in "[-+.eE0-9]{0,60}", precision in 0u8..=255, scale in any::<i8>()) {
            let _ = parse(text.as_bytes(), precision, scale);
        }
    }
}
