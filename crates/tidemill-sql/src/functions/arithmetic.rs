//! Functions of numbers.

mod random;
mod round;

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::types::{
    Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{ArrayRef, Float64Array};

use self::round::Rounding;
use super::decimal;
use super::kernel::{
    Argument, FunctionContext, FunctionGroup, Inputs, KernelError, Mismatch, Resolved, ScalarFunction,
};
use super::operators::{self, unary};
use crate::types::{LogicalType, TypeRoot, arrow};

type Resolve = fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>;

const fn function(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: Resolve,
) -> ScalarFunction {
    ScalarFunction {
        name,
        aliases: &[],
        group: FunctionGroup::Arithmetic,
        usage,
        description,
        deterministic: true,
        resolve,
    }
}

const fn random(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: Resolve,
) -> ScalarFunction {
    ScalarFunction { deterministic: false, ..function(name, usage, description, resolve) }
}

/// The functions of numbers.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    function("ABS", "ABS(numeric)", "The number without its sign.", |_, arguments| abs(arguments)),
    function(
        "POWER",
        "POWER(numeric1, numeric2)",
        "The first number to the power of the second.",
        |_, arguments| double_of_two(arguments, f64::powf),
    ),
    function("SQRT", "SQRT(numeric)", "The square root.", |_, arguments| double(arguments, f64::sqrt)),
    function("LN", "LN(numeric)", "The natural logarithm.", |_, arguments| double(arguments, f64::ln)),
    function(
        "LOG",
        "LOG([ base, ] numeric)",
        "The logarithm, natural when no base is given.",
        |_, arguments| match arguments.len() {
            2 => double_of_two(arguments, |base, number| number.ln() / base.ln()),
            _ => double(arguments, f64::ln),
        },
    ),
    function("LOG2", "LOG2(numeric)", "The logarithm of base 2.", |_, arguments| {
        double(arguments, |number| number.ln() / 2f64.ln())
    }),
    function("LOG10", "LOG10(numeric)", "The logarithm of base 10.", |_, arguments| {
        double(arguments, f64::log10)
    }),
    function("EXP", "EXP(numeric)", "The number e to the power of the argument.", |_, arguments| {
        double(arguments, f64::exp)
    }),
    ScalarFunction {
        aliases: &["CEILING"],
        ..function("CEIL", "CEIL(numeric)", "The least whole number that is not less.", |_, arguments| {
            whole(arguments, true)
        })
    },
    function("FLOOR", "FLOOR(numeric)", "The greatest whole number that is not greater.", |_, arguments| {
        whole(arguments, false)
    }),
    function("SIN", "SIN(numeric)", "The sine of an angle in radians.", |_, arguments| {
        double(arguments, f64::sin)
    }),
    function("COS", "COS(numeric)", "The cosine of an angle in radians.", |_, arguments| {
        double(arguments, f64::cos)
    }),
    function("TAN", "TAN(numeric)", "The tangent of an angle in radians.", |_, arguments| {
        double(arguments, f64::tan)
    }),
    function("COT", "COT(numeric)", "The cotangent of an angle in radians.", |_, arguments| {
        double(arguments, |angle| 1.0 / angle.tan())
    }),
    function("ASIN", "ASIN(numeric)", "The angle in radians of a sine.", |_, arguments| {
        double(arguments, f64::asin)
    }),
    function("ACOS", "ACOS(numeric)", "The angle in radians of a cosine.", |_, arguments| {
        double(arguments, f64::acos)
    }),
    function("ATAN", "ATAN(numeric)", "The angle in radians of a tangent.", |_, arguments| {
        double(arguments, f64::atan)
    }),
    function(
        "ATAN2",
        "ATAN2(numeric1, numeric2)",
        "The angle in radians of the point (numeric2, numeric1).",
        |_, arguments| double_of_two(arguments, f64::atan2),
    ),
    function("SINH", "SINH(numeric)", "The hyperbolic sine.", |_, arguments| double(arguments, f64::sinh)),
    function("COSH", "COSH(numeric)", "The hyperbolic cosine.", |_, arguments| double(arguments, f64::cosh)),
    function("TANH", "TANH(numeric)", "The hyperbolic tangent.", |_, arguments| double(arguments, f64::tanh)),
    function("DEGREES", "DEGREES(numeric)", "An angle in radians in degrees.", |_, arguments| {
        double(arguments, f64::to_degrees)
    }),
    function("RADIANS", "RADIANS(numeric)", "An angle in degrees in radians.", |_, arguments| {
        double(arguments, f64::to_radians)
    }),
    function(
        "SIGN",
        "SIGN(numeric)",
        "-1, 0 or 1, as the number is negative, zero or positive.",
        |_, arguments| sign(arguments),
    ),
    function(
        "ROUND",
        "ROUND(numeric[, digits])",
        "The number rounded to so many digits after the point, half up.",
        |_, arguments| round::resolve(Rounding::HalfUp, arguments),
    ),
    function(
        "TRUNCATE",
        "TRUNCATE(numeric[, digits])",
        "The number cut off after so many digits after the point.",
        |_, arguments| round::resolve(Rounding::Down, arguments),
    ),
    function(
        "MOD",
        "MOD(numeric1, numeric2)",
        "What remains when the first number is divided by the second.",
        |_, arguments| operators::modulo(arguments),
    ),
    function("PI", "PI()", "The number pi.", |_, arguments| number(arguments, std::f64::consts::PI)),
    function("E", "E()", "The number e.", |_, arguments| number(arguments, std::f64::consts::E)),
    random("RAND", "RAND([ seed ])", "A random number from 0 to below 1.", |_, arguments| {
        random::rand(arguments)
    }),
    random(
        "RAND_INTEGER",
        "RAND_INTEGER([ seed, ] bound)",
        "A random whole number from 0 to below the bound.",
        |_, arguments| random::rand_integer(arguments),
    ),
    random("UUID", "UUID()", "A random universally unique identifier.", |_, arguments| {
        random::uuid(arguments)
    }),
    function("BIN", "BIN(integer)", "The number in binary.", |_, arguments| bin(arguments)),
    function(
        "HEX",
        "HEX(integer | string)",
        "The number or the bytes of the string in hexadecimal.",
        |_, arguments| hex(arguments),
    ),
    function(
        "UNHEX",
        "UNHEX(string)",
        "The bytes that a string in hexadecimal stands for.",
        |_, arguments| unhex(arguments),
    ),
];

/// The type of the only argument, a number.
fn one_number<'a>(arguments: &[Argument<'a>]) -> Result<&'a LogicalType, Mismatch> {
    match arguments {
        [one] if one.logical.root.is_numeric() => Ok(one.logical),
        _ => Err(Mismatch::new("expects (numeric)")),
    }
}

fn as_double(argument: &LogicalType) -> LogicalType {
    LogicalType { root: TypeRoot::Double, nullable: argument.nullable }
}

/// A function of a `DOUBLE`.
fn double(arguments: &[Argument<'_>], compute: fn(f64) -> f64) -> Result<Resolved, Mismatch> {
    let argument = as_double(one_number(arguments)?);
    Ok(Resolved::new(vec![argument.clone()], argument, move |inputs| {
        unary::<Float64Type, Float64Type>(inputs, arrow::data_type(&TypeRoot::Double), compute)
    }))
}

/// A function of two `DOUBLE`s.
fn double_of_two(arguments: &[Argument<'_>], compute: fn(f64, f64) -> f64) -> Result<Resolved, Mismatch> {
    let [one, two] = arguments else { return Err(Mismatch::new("expects (numeric, numeric)")) };
    if !one.logical.root.is_numeric() || !two.logical.root.is_numeric() {
        return Err(Mismatch::new("expects (numeric, numeric)"));
    }
    let nullable = one.logical.nullable || two.logical.nullable;
    let types = vec![as_double(one.logical), as_double(two.logical)];
    let returns = LogicalType { root: TypeRoot::Double, nullable };
    Ok(Resolved::new(types, returns, move |inputs| operators::binary::<Float64Type>(inputs, compute)))
}

fn number(arguments: &[Argument<'_>], value: f64) -> Result<Resolved, Mismatch> {
    if !arguments.is_empty() {
        return Err(Mismatch::new("expects no arguments"));
    }
    Ok(Resolved::new(vec![], TypeRoot::Double.not_null(), move |inputs| {
        Ok(Arc::new(Float64Array::from_value(value, inputs.rows())))
    }))
}

/// A function that keeps the type of its argument, whichever number that is.
fn same<W, A, D>(argument: &LogicalType, whole: W, approximate: A, decimal: D) -> Result<Resolved, Mismatch>
where
    W: Fn(i64) -> i64 + Send + Sync + 'static,
    A: Fn(f64) -> f64 + Send + Sync + 'static,
    D: Fn(i128) -> Option<i128> + Send + Sync + 'static,
{
    let root = argument.root.clone();
    let data_type = arrow::data_type(&root);
    Ok(Resolved::new(vec![argument.clone()], argument.clone(), move |inputs| {
        let data_type = data_type.clone();
        match root {
            TypeRoot::TinyInt => {
                unary::<Int8Type, Int8Type>(inputs, data_type, |value| whole(value.into()) as i8)
            }
            TypeRoot::SmallInt => {
                unary::<Int16Type, Int16Type>(inputs, data_type, |value| whole(value.into()) as i16)
            }
            TypeRoot::Int => {
                unary::<Int32Type, Int32Type>(inputs, data_type, |value| whole(value.into()) as i32)
            }
            TypeRoot::BigInt => unary::<Int64Type, Int64Type>(inputs, data_type, &whole),
            TypeRoot::Float => {
                unary::<Float32Type, Float32Type>(inputs, data_type, |value| approximate(value.into()) as f32)
            }
            TypeRoot::Double => unary::<Float64Type, Float64Type>(inputs, data_type, &approximate),
            _ => decimals(inputs, &root, &decimal),
        }
    }))
}

/// A column of decimals of type `returns`, made of one.
fn decimals(
    inputs: &Inputs,
    returns: &TypeRoot,
    compute: impl Fn(i128) -> Option<i128>,
) -> Result<ArrayRef, KernelError> {
    let values = inputs.get(0)?.primitive::<Decimal128Type>()?;
    super::cast::convert_rows::<Decimal128Type>(inputs.rows(), returns, |row| {
        Ok(values.get(row).and_then(&compute))
    })
}

fn abs(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    same(one_number(arguments)?, i64::wrapping_abs, f64::abs, i128::checked_abs)
}

fn sign(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let argument = one_number(arguments)?;
    let (precision, scale) = match argument.root {
        TypeRoot::Decimal(precision, scale) => (precision, scale),
        _ => (0, 0),
    };
    let decimal = move |value: i128| {
        let one = decimal::power_of_ten(u32::from(scale))?;
        // Up to 18 digits Flink does not ask whether 1 has too many.
        Some(value.signum() * one).filter(|value| precision <= 18 || decimal::fits(*value, precision))
    };
    // Unlike Rust's, Java's signum of zero is zero, with its sign.
    let approximate = |value: f64| if value == 0.0 || value.is_nan() { value } else { value.signum() };
    same(argument, i64::signum, approximate, decimal)
}

/// `CEIL` and `FLOOR`.
fn whole(arguments: &[Argument<'_>], is_up: bool) -> Result<Resolved, Mismatch> {
    let argument = one_number(arguments)?;
    let TypeRoot::Decimal(precision, scale) = argument.root else {
        let approximate = if is_up { f64::ceil } else { f64::floor };
        return same(argument, |value| value, approximate, Some);
    };
    let root = TypeRoot::Decimal(precision, 0);
    let returns = LogicalType { root: root.clone(), nullable: argument.nullable };
    Ok(Resolved::new(vec![argument.clone()], returns, move |inputs| {
        decimals(inputs, &root, |value| {
            let one = decimal::power_of_ten(u32::from(scale))?;
            let below = value.div_euclid(one);
            let rounded = if is_up && value.rem_euclid(one) != 0 { below + 1 } else { below };
            Some(rounded).filter(|value| decimal::fits(*value, precision))
        })
    }))
}

fn text_type(nullable: bool) -> LogicalType {
    LogicalType { root: TypeRoot::STRING, nullable }
}

fn texts(
    rows: usize,
    mut write: impl FnMut(usize, &mut String) -> Option<()>,
) -> Result<ArrayRef, KernelError> {
    let mut builder = StringBuilder::with_capacity(rows, rows * 8);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        match write(row, &mut text) {
            Some(()) => builder.append_value(&text),
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn bin(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let [one] = arguments else { return Err(Mismatch::new("expects (integer)")) };
    if !one.logical.root.is_integer() {
        return Err(Mismatch::new("expects (integer)"));
    }
    let nullable = one.logical.nullable;
    let argument = LogicalType { root: TypeRoot::BigInt, nullable };
    Ok(Resolved::new(vec![argument], text_type(nullable), |inputs| {
        let values = inputs.get(0)?.primitive::<Int64Type>()?;
        texts(inputs.rows(), |row, text| {
            use std::fmt::Write;
            write!(text, "{:b}", values.get(row)?).ok()
        })
    }))
}

fn hex(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    use std::fmt::Write;
    let [one] = arguments else { return Err(Mismatch::new("expects (integer) or (string)")) };
    let nullable = one.logical.nullable;
    if one.logical.root.is_integer() {
        let argument = LogicalType { root: TypeRoot::BigInt, nullable };
        return Ok(Resolved::new(vec![argument], text_type(nullable), |inputs| {
            let values = inputs.get(0)?.primitive::<Int64Type>()?;
            texts(inputs.rows(), |row, text| write!(text, "{:X}", values.get(row)?).ok())
        }));
    }
    if !one.logical.root.is_character() {
        return Err(Mismatch::new("expects (integer) or (string)"));
    }
    Ok(Resolved::new(vec![one.logical.clone()], text_type(nullable), |inputs| {
        let values = inputs.get(0)?.text()?;
        texts(inputs.rows(), |row, text| {
            values.get(row)?.bytes().try_for_each(|byte| write!(text, "{byte:02X}").ok())
        })
    }))
}

fn unhex(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let [one] = arguments else { return Err(Mismatch::new("expects (string)")) };
    if !one.logical.root.is_character() {
        return Err(Mismatch::new("expects (string)"));
    }
    Ok(Resolved::new(vec![one.logical.clone()], TypeRoot::BYTES.nullable(), |inputs| {
        let values = inputs.get(0)?.text()?;
        let mut builder = BinaryBuilder::with_capacity(inputs.rows(), 0);
        for row in 0..inputs.rows() {
            builder.append_option(values.get(row).and_then(bytes_of));
        }
        Ok(Arc::new(builder.finish()))
    }))
}

/// The bytes of hexadecimal digits. Of an odd number of them, the first must be a digit, but as in Flink its
/// byte is zero.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    let (odd, pairs) = digits.split_at_checked(digits.len() % 2)?;
    let mut bytes: Vec<u8> = odd.iter().map(|_| 0).collect();
    bytes.extend(pairs.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)));
    Some(bytes)
}

#[cfg(test)]
mod tests;
