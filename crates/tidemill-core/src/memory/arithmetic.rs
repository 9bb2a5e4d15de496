//! Flink's arithmetic: fractions are 32-bit floats widened to 64 bits, and a product is exact over the decimal text
//! of the fraction, cut toward zero.

/// The largest size: Java's `Long.MAX_VALUE`.
const MAX: u128 = i64::MAX as u128;

/// `bytes * factor`, exact over the shortest decimal text of `factor` that reads back to it, cut toward zero.
///
/// `None` if it exceeds 2^63 - 1, or `factor` is negative or not finite.
pub(super) fn multiply(bytes: u64, factor: f64) -> Option<u64> {
    if !factor.is_finite() || factor < 0.0 {
        return None;
    }
    let text = format!("{factor}");
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    // At most 17 significant digits, so the product with 63 bits stays below 2^120.
    let digits = format!("{whole}{decimals}");
    let mantissa: u128 = digits
        .trim_start_matches('0')
        .parse()
        .or_else(|error| if digits.bytes().all(|digit| digit == b'0') { Ok(0) } else { Err(error) })
        .ok()?;
    let product = u128::from(bytes).checked_mul(mantissa)?;
    let scale = u32::try_from(decimals.len()).ok()?;
    let result = match 10u128.checked_pow(scale) {
        Some(divisor) => product / divisor,
        // More than 38 decimals: the product is less than one byte.
        None => 0,
    };
    if result > MAX { None } else { u64::try_from(result).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_flink_multiplies() {
        let share = |bytes, fraction: f32| multiply(bytes, f64::from(fraction));
        assert_eq!(share(603_979_776, 0.4), Some(241_591_914));
        assert_eq!(share(1 << 33, 0.1), Some(858_993_472));
        assert_eq!(share(1 << 40, 0.0), Some(0));
        assert_eq!(multiply(u64::MAX >> 1, 1.0), Some(u64::MAX >> 1));
        assert_eq!(multiply(u64::MAX >> 1, 1.5), None);
        assert_eq!(multiply(u64::MAX >> 1, f64::MIN_POSITIVE), Some(0));
        assert_eq!(multiply(1, f64::NAN), None);
        assert_eq!(multiply(1, 1e300), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_is_near_the_float_product(bytes in 0..(1u64 << 62), fraction in 0f32..1.0) {
            let product = multiply(bytes, f64::from(fraction)).unwrap();
            let float = bytes as f64 * f64::from(fraction);
            prop_assert!((product as f64 - float).abs() <= 1.0 + float * 1e-12);
        }

        #[test]
        fn any_factor_gives_an_answer(bytes in 0..(1u64 << 63), bits in any::<u64>()) {
            let _ = multiply(bytes, f64::from_bits(bits));
        }
    }
}
