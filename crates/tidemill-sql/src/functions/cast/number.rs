//! Conversions between numbers, truth values and intervals.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalYearMonthType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray};
use chrono_tz::Tz;

use super::{Failure, convert_rows};
use crate::functions::decimal;
use crate::functions::kernel::KernelError;
use crate::types::{TypeRoot, arrow};

/// A number that Java narrows to others: bits are cut off whole numbers, fractions are cut off and what is
/// too large becomes the largest number.
trait Number: Copy {
    fn i32(self) -> i32;
    fn i64(self) -> i64;
    fn f32(self) -> f32;
    fn f64(self) -> f64;
    fn is_zero(self) -> bool;
}

macro_rules! number {
    ($($native:ty: $zero:expr),*) => {$(
        impl Number for $native {
            #[inline]
            fn i32(self) -> i32 {
                self as i32
            }
            #[inline]
            fn i64(self) -> i64 {
                self as i64
            }
            #[inline]
            fn f32(self) -> f32 {
                self as f32
            }
            #[inline]
            fn f64(self) -> f64 {
                self as f64
            }
            #[inline]
            fn is_zero(self) -> bool {
                self == $zero
            }
        }
    )*};
}
number!(i8: 0, i16: 0, i32: 0, i64: 0, f32: 0.0, f64: 0.0);

fn of<T: ArrowPrimitiveType>(array: &dyn Array) -> Result<&PrimitiveArray<T>, KernelError> {
    let wrong = || KernelError(format!("a column of {} came where a number was expected", array.data_type()));
    array.as_primitive_opt::<T>().ok_or_else(wrong)
}

/// Converts a column of numbers, truth values or intervals to one of another such type. The pair of types is
/// one that Flink converts.
pub(crate) fn convert(
    array: &dyn Array,
    from: &TypeRoot,
    to: &TypeRoot,
    zone: Tz,
    failure: Failure,
) -> Result<ArrayRef, KernelError> {
    match from {
        TypeRoot::Boolean => from_boolean(array, to),
        TypeRoot::TinyInt => narrow(of::<Int8Type>(array)?, from, to, zone, failure),
        TypeRoot::SmallInt => narrow(of::<Int16Type>(array)?, from, to, zone, failure),
        TypeRoot::Int => narrow(of::<Int32Type>(array)?, from, to, zone, failure),
        TypeRoot::BigInt => narrow(of::<Int64Type>(array)?, from, to, zone, failure),
        TypeRoot::Float => narrow(of::<Float32Type>(array)?, from, to, zone, failure),
        TypeRoot::Double => narrow(of::<Float64Type>(array)?, from, to, zone, failure),
        TypeRoot::Decimal(precision, scale) => {
            from_decimal(of::<Decimal128Type>(array)?, (*precision, *scale), to)
        }
        _ => Err(KernelError(format!("there is no conversion of {from} to {to}"))),
    }
}

fn narrow<T>(
    array: &PrimitiveArray<T>,
    from: &TypeRoot,
    to: &TypeRoot,
    zone: Tz,
    failure: Failure,
) -> Result<ArrayRef, KernelError>
where
    T: ArrowPrimitiveType,
    T::Native: Number,
{
    Ok(match to {
        TypeRoot::Boolean => Arc::new(BooleanArray::from_unary(array, |value| !value.is_zero())),
        TypeRoot::TinyInt => Arc::new(array.unary::<_, Int8Type>(|value| value.i32() as i8)),
        TypeRoot::SmallInt => Arc::new(array.unary::<_, Int16Type>(|value| value.i32() as i16)),
        TypeRoot::Int => Arc::new(array.unary::<_, Int32Type>(Number::i32)),
        TypeRoot::BigInt => Arc::new(array.unary::<_, Int64Type>(Number::i64)),
        TypeRoot::Float => Arc::new(array.unary::<_, Float32Type>(Number::f32)),
        TypeRoot::Double => Arc::new(array.unary::<_, Float64Type>(Number::f64)),
        TypeRoot::IntervalMonths => Arc::new(array.unary::<_, IntervalYearMonthType>(Number::i32)),
        TypeRoot::IntervalMillis => Arc::new(array.unary::<_, DurationMillisecondType>(Number::i64)),
        TypeRoot::Decimal(precision, scale) if from.is_integer() => {
            let decimals = array.unary_opt::<_, Decimal128Type>(|value| {
                decimal::fit(i128::from(value.i64()), 0, *precision, *scale)
            });
            Arc::new(decimals.with_data_type(arrow::data_type(to)))
        }
        TypeRoot::Decimal(precision, scale) => {
            return convert_rows::<Decimal128Type>(array.len(), to, |row| {
                if array.is_null(row) {
                    return Ok(None);
                }
                match decimal::from_f64(array.value(row).f64(), *precision, *scale) {
                    Ok(value) => Ok(value),
                    Err(decimal::NotFinite) => failure.at("it is not finite", array, from, to, zone, row),
                }
            });
        }
        _ => return Err(KernelError(format!("there is no conversion of {from} to {to}"))),
    })
}

fn from_boolean(array: &dyn Array, to: &TypeRoot) -> Result<ArrayRef, KernelError> {
    let wrong = || KernelError(format!("a column of {} came for BOOLEAN", array.data_type()));
    let values = array.as_boolean_opt().ok_or_else(wrong)?;
    fn numbers<T: ArrowPrimitiveType>(values: &BooleanArray, to: &TypeRoot, one: T::Native) -> ArrayRef {
        let numbers =
            values.iter().map(|value| value.map(|value| if value { one } else { T::Native::default() }));
        Arc::new(numbers.collect::<PrimitiveArray<T>>().with_data_type(arrow::data_type(to)))
    }
    Ok(match to {
        TypeRoot::TinyInt => numbers::<Int8Type>(values, to, 1),
        TypeRoot::SmallInt => numbers::<Int16Type>(values, to, 1),
        TypeRoot::Int => numbers::<Int32Type>(values, to, 1),
        TypeRoot::BigInt => numbers::<Int64Type>(values, to, 1),
        TypeRoot::Float => numbers::<Float32Type>(values, to, 1.0),
        TypeRoot::Double => numbers::<Float64Type>(values, to, 1.0),
        TypeRoot::Decimal(precision, scale) => {
            return convert_rows::<Decimal128Type>(values.len(), to, |row| {
                let number = values.is_valid(row).then(|| i128::from(values.value(row)));
                Ok(number.and_then(|number| decimal::fit(number, 0, *precision, *scale)))
            });
        }
        _ => return Err(KernelError(format!("there is no conversion of BOOLEAN to {to}"))),
    })
}

fn from_decimal(
    array: &PrimitiveArray<Decimal128Type>,
    (precision, scale): (u8, u8),
    to: &TypeRoot,
) -> Result<ArrayRef, KernelError> {
    let whole = |value| decimal::truncate(value, scale);
    let approximate = |value| decimal::to_f64(value, precision, scale);
    Ok(match to {
        TypeRoot::Boolean => Arc::new(BooleanArray::from_unary(array, |value| value != 0)),
        TypeRoot::TinyInt => Arc::new(array.unary::<_, Int8Type>(|value| whole(value) as i8)),
        TypeRoot::SmallInt => Arc::new(array.unary::<_, Int16Type>(|value| whole(value) as i16)),
        TypeRoot::Int => Arc::new(array.unary::<_, Int32Type>(|value| whole(value) as i32)),
        TypeRoot::BigInt => Arc::new(array.unary::<_, Int64Type>(|value| whole(value) as i64)),
        TypeRoot::Float => Arc::new(array.unary::<_, Float32Type>(|value| approximate(value) as f32)),
        TypeRoot::Double => Arc::new(array.unary::<_, Float64Type>(approximate)),
        TypeRoot::Decimal(after, digits) => {
            let decimals = array.unary_opt::<_, Decimal128Type>(|value| {
                decimal::fit(value, u32::from(scale), *after, *digits)
            });
            Arc::new(decimals.with_data_type(arrow::data_type(to)))
        }
        _ => return Err(KernelError(format!("there is no conversion of DECIMAL to {to}"))),
    })
}
