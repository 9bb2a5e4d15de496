use proptest::prelude::*;

use super::*;

fn shape(left: u8, right: u8, precision: u8, scale: u8) -> Shape {
    Shape { left, right, precision, scale }
}

fn written(value: Option<i128>, scale: u8) -> String {
    let mut text = String::new();
    match value {
        Some(value) => write(value, scale, &mut text),
        None => text.push_str("NULL"),
    }
    text
}

#[test]
fn digits_and_powers() {
    assert_eq!(power_of_ten(0), Some(1));
    assert_eq!(power_of_ten(38), Some(10i128.pow(38)));
    assert_eq!(power_of_ten(39), None);
    assert_eq!((digits(0), digits(9), digits(-10), digits(i128::MIN)), (1, 1, 2, 39));
    assert!(fits(999, 3) && !fits(1000, 3) && !fits(-1000, 3) && fits(-999, 3));
    assert!(!fits(10i128.pow(38), 38));
}

#[test]
fn rounds_half_away_from_zero() {
    assert_eq!(rescale(125, 2, 1), Some(13));
    assert_eq!(rescale(-125, 2, 1), Some(-13));
    assert_eq!(rescale(124, 2, 1), Some(12));
    assert_eq!(rescale(-124, 2, 1), Some(-12));
    assert_eq!(rescale(i128::MAX, 0, 1), None);
    assert_eq!(rescale(0, 0, 200), Some(0));
    assert_eq!(rescale(i128::MAX, 200, 0), Some(0));
    assert_eq!(rescale(i128::MIN, 38, 0), Some(-2));
}

#[test]
fn sums() {
    assert_eq!(written(add(12_345, 7, shape(3, 0, 14, 3)), 3), "19.345");
    assert_eq!(written(subtract(12_345, 7, shape(3, 0, 14, 3)), 3), "5.345");
    // Too many digits.
    let most = 10i128.pow(38) - 1;
    assert_eq!(add(most, 1, shape(0, 0, 38, 0)), None);
    // Beyond 128 bits in between, and rounded back.
    assert_eq!(written(add(most, 5, shape(0, 1, 38, 0)), 0), "NULL");
    assert_eq!(written(add(most - 1, 5, shape(0, 1, 38, 0)), 0), most.to_string());
    assert_eq!(written(add(most - 1, -5, shape(0, 38, 38, 0)), 0), (most - 1).to_string());
}

#[test]
fn products() {
    assert_eq!(written(multiply(12_345, 15, shape(3, 1, 8, 4)), 4), "18.5175");
    assert_eq!(multiply(i128::MAX, i128::MAX, shape(0, 0, 38, 0)), None);
    let most = 10i128.pow(38) - 1;
    assert_eq!(written(multiply(most, 1, shape(0, 1, 38, 1)), 1), "9999999999999999999999999999999999999.9");
    let product = multiply(12_345_678_901_234_567_890, 12_345_678_901_234_567, shape(0, 0, 38, 0));
    assert_eq!(written(product, 0), "152415787532388356514250977776253630");
}

#[test]
fn quotients() {
    assert_eq!(written(divide(12_345, 7, shape(3, 0, 16, 14)), 14), "1.76357142857143");
    assert_eq!(written(divide(2, 3, shape(0, 0, 38, 6)), 6), "0.666667");
    assert_eq!(written(divide(-2, 3, shape(0, 0, 38, 6)), 6), "-0.666667");
    assert_eq!(written(divide(7, 12_345, shape(0, 3, 19, 6)), 6), "0.567031");
    assert_eq!(written(divide(0, 5, shape(0, 0, 38, 6)), 6), "0.000000");
    let one = 123_456_789_012_345_678_901_234_567_890i128;
    assert_eq!(written(divide(one, one, shape(10, 10, 38, 6)), 6), "1.000000");
    assert_eq!(divide(10i128.pow(38) - 1, 7, shape(0, 0, 38, 6)), None);
    assert_eq!(written(divide(1, 7, shape(38, 0, 38, 38)), 38), format!("0.{}", "0".repeat(38)));
    assert_eq!(divide(7, 1, shape(0, 38, 38, 6)), None);
    assert_eq!(written(divide(7, 10i128.pow(37), shape(0, 38, 38, 6)), 6), "70.000000");
    // A divisor of many digits.
    assert_eq!(written(divide(10i128.pow(37), 3 * 10i128.pow(37), shape(0, 0, 38, 6)), 6), "0.333333");
}

#[test]
fn remainders() {
    assert_eq!(written(remainder(12_345, 7, shape(3, 0, 5, 3)), 3), "5.345");
    assert_eq!(written(remainder(-12_345, 5, shape(3, 0, 5, 3)), 3), "-2.345");
    let most = 10i128.pow(38) - 1;
    assert_eq!(
        written(remainder(most, 7, shape(0, 38, 38, 38)), 38),
        "0.00000000000000000000000000000000000002"
    );
}

#[test]
fn comparisons_of_scales() {
    use std::cmp::Ordering::*;
    assert_eq!(compare(12_345, 3, 12, 0), Greater);
    assert_eq!(compare(12_000, 3, 12, 0), Equal);
    assert_eq!(compare(-12_001, 3, -12, 0), Less);
    assert_eq!(compare(10i128.pow(38) - 1, 0, 10i128.pow(38) - 1, 38), Greater);
    assert_eq!(compare(-(10i128.pow(38) - 1), 0, 1, 38), Less);
}

#[test]
fn texts() {
    assert_eq!(written(Some(-5), 2), "-0.05");
    assert_eq!(written(Some(42), 0), "42");
    assert_eq!(written(Some(i128::MIN), 38), "-1.70141183460469231731687303715884105728");
    assert_eq!(from_text("1.005", 10, 2), Ok(Some(101)));
    assert_eq!(from_text("-1.005e1", 10, 2), Ok(Some(-1005)));
    assert_eq!(from_text("1e-2147483648", 10, 2), Ok(Some(0)));
    assert_eq!(from_text("1e2147483648", 10, 2), Ok(None));
    assert_eq!(from_text("0e9999999999", 10, 2), Ok(Some(0)));
    for wrong in ["", "-", ".", "e1", "1e", "1e+", "1 ", "0x1", "1e99999999999", "--1", "1.2.3"] {
        assert_eq!(from_text(wrong, 10, 2), Err(NotANumber), "{wrong}");
    }
}

#[test]
fn doubles() {
    assert_eq!(to_f64(12_345, 5, 3), 12.345);
    assert_eq!(to_f64(123_456_789_012_345_678_901_234_567_890, 38, 10), 1.2345678901234567e19);
    assert_eq!(to_f64(-1, 38, 38), -1e-38);
    assert_eq!(from_f64(0.1, 5, 3), Ok(Some(100)));
    assert_eq!(from_f64(2.25e30, 5, 3), Ok(None));
    assert_eq!(from_f64(f64::NAN, 5, 3), Err(NotFinite));
    assert_eq!(truncate(-12_999, 3), -12);
}

/// The quotient by digits of a long division: exact, then rounded twice.
fn slow_quotient(left: i128, right: i128, shape: Shape) -> Option<i128> {
    let (mut rest, divisor) = (i256::from_i128(left).wrapping_abs(), i256::from_i128(right).wrapping_abs());
    let ten = i256::from_i128(10);
    let mut digits: Vec<u8> =
        rest.wrapping_div(divisor).to_string().bytes().map(|byte| byte - b'0').collect();
    if digits == [0] {
        digits.clear();
    }
    let mut point = digits.len() as i64;
    rest = rest.wrapping_rem(divisor);
    while digits.len() < 120 {
        rest = rest.wrapping_mul(ten);
        let digit = rest.wrapping_div(divisor).to_i128().unwrap() as u8;
        rest = rest.wrapping_rem(divisor);
        if digits.is_empty() && digit == 0 {
            point -= 1;
        } else {
            digits.push(digit);
        }
        if digits.is_empty() && point < -200 {
            return Some(0);
        }
    }
    // 38 digits, half up.
    let up = digits[38] >= 5;
    digits.truncate(38);
    if up {
        let nines = digits.iter().rev().take_while(|digit| **digit == 9).count();
        digits.truncate(38 - nines);
        match digits.last_mut() {
            Some(last) => *last += 1,
            None => {
                digits.push(1);
                point += 1;
            }
        }
    }
    let point = point - i64::from(shape.left) + i64::from(shape.right);
    from_digits((left < 0) != (right < 0), &digits, point, shape.precision, shape.scale)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn divides_as_by_hand(
        left in any::<i128>(), left_digits in 1u32..38, right in any::<i128>(), right_digits in 1u32..38,
        scales in (0u8..12, 0u8..12), scale in 0u8..20,
    ) {
        let left = left % 10i128.pow(left_digits);
        let right = right % 10i128.pow(right_digits);
        prop_assume!(left != 0 && right != 0);
        let shape = shape(scales.0, scales.1, 38, scale);
        prop_assert_eq!(divide(left, right, shape), slow_quotient(left, right, shape));
    }

    #[test]
    fn adds_as_wide_integers(
        left in any::<i128>(), right in any::<i128>(), scales in (0u8..20, 0u8..20), scale in 0u8..20,
    ) {
        let most = 10i128.pow(38);
        let (left, right) = (left % most, right % most);
        let widest = u32::from(scales.0.max(scales.1));
        let wide = |value: i128, from: u8| {
            i256::from_i128(value).wrapping_mul(i256::from_i128(10).wrapping_pow(widest - u32::from(from)))
        };
        let sum = wide(left, scales.0).wrapping_add(wide(right, scales.1));
        let wanted = wide_fit(sum, widest, 38, scale);
        prop_assert_eq!(add(left, right, shape(scales.0, scales.1, 38, scale)), wanted);
    }

    #[test]
    fn written_is_read_again(value in any::<i128>(), scale in 0u8..38) {
        let value = value % 10i128.pow(38);
        prop_assert_eq!(from_text(&written(Some(value), scale), 38, scale), Ok(Some(value)));
    }
}
