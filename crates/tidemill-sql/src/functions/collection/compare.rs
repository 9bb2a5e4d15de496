//! Which values are equal, and which are greater, of any type.
//!
//! As in SQL, `NaN` equals nothing and zero equals minus zero; inside of arrays, maps and rows NULL equals
//! NULL.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::functions::kernel::KernelError;
use crate::functions::support::unexpected;

/// Whether the value at one index of the first column equals the one at another of the second; neither is
/// NULL.
pub(super) type Equal<'a> = Box<dyn Fn(usize, usize) -> bool + 'a>;

/// The order of two values that are not NULL.
pub(super) type Order<'a> = Box<dyn Fn(usize, usize) -> Ordering + 'a>;

/// Equality of the values of two columns of the same type.
pub(super) fn equality<'a>(one: &'a ArrayRef, two: &'a ArrayRef) -> Result<Equal<'a>, KernelError> {
    let wrong = || unexpected(two.data_type());
    Ok(match one.data_type() {
        DataType::Null => Box::new(|_, _| true),
        DataType::Boolean => {
            let (one, two) = (one.as_boolean(), two.as_boolean_opt().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a) == two.value(b))
        }
        DataType::Utf8 => {
            let (one, two) = (one.as_string::<i32>(), two.as_string_opt::<i32>().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a) == two.value(b))
        }
        DataType::Binary => {
            let (one, two) = (one.as_binary::<i32>(), two.as_binary_opt::<i32>().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a) == two.value(b))
        }
        DataType::List(_) => {
            let (one, two) = (one.as_list::<i32>(), two.as_list_opt::<i32>().ok_or_else(wrong)?);
            let equal = nullable(one.values(), two.values())?;
            Box::new(move |a, b| {
                let (a, b) = (range(one.value_offsets(), a), range(two.value_offsets(), b));
                a.len() == b.len() && a.zip(b).all(|(a, b)| equal(a, b))
            })
        }
        DataType::Map(..) => {
            let (one, two) = (one.as_map(), two.as_map_opt().ok_or_else(wrong)?);
            let same_key = equality(one.keys(), two.keys())?;
            let same_value = nullable(one.values(), two.values())?;
            Box::new(move |a, b| {
                let (a, b) = (range(one.value_offsets(), a), range(two.value_offsets(), b));
                a.len() == b.len()
                    && a.into_iter().all(|a| b.clone().any(|b| same_key(a, b) && same_value(a, b)))
            })
        }
        DataType::Struct(_) => {
            let (one, two) = (one.as_struct(), two.as_struct_opt().ok_or_else(wrong)?);
            let columns = one.columns().iter().zip(two.columns());
            let equals = columns.map(|(one, two)| nullable(one, two)).collect::<Result<Vec<_>, _>>()?;
            Box::new(move |a, b| equals.iter().all(|equal| equal(a, b)))
        }
        // A value equals another when it is neither less nor greater nor not a number.
        DataType::Float32 => {
            let (one, two) =
                (one.as_primitive::<Float32Type>(), two.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a) == two.value(b))
        }
        DataType::Float64 => {
            let (one, two) =
                (one.as_primitive::<Float64Type>(), two.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a) == two.value(b))
        }
        _ => {
            let order = order(one, two)?;
            Box::new(move |a, b| order(a, b).is_eq())
        }
    })
}

/// Equality in which NULL equals NULL.
fn nullable<'a>(one: &'a ArrayRef, two: &'a ArrayRef) -> Result<Equal<'a>, KernelError> {
    let equal = equality(one, two)?;
    Ok(Box::new(move |a, b| match (one.is_null(a), two.is_null(b)) {
        (false, false) => equal(a, b),
        (one, two) => one && two,
    }))
}

/// The order of the values of two columns of the same type.
pub(super) fn order<'a>(one: &'a ArrayRef, two: &'a ArrayRef) -> Result<Order<'a>, KernelError> {
    let wrong = || unexpected(two.data_type());
    Ok(match one.data_type() {
        DataType::Int8 => whole::<Int8Type>(one, two)?,
        DataType::Int16 => whole::<Int16Type>(one, two)?,
        DataType::Int32 => whole::<Int32Type>(one, two)?,
        DataType::Int64 => whole::<Int64Type>(one, two)?,
        DataType::Decimal128(..) => whole::<Decimal128Type>(one, two)?,
        DataType::Date32 => whole::<Date32Type>(one, two)?,
        DataType::Time32(TimeUnit::Millisecond) => whole::<Time32MillisecondType>(one, two)?,
        DataType::Timestamp(TimeUnit::Millisecond, _) => whole::<TimestampMillisecondType>(one, two)?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => whole::<TimestampMicrosecondType>(one, two)?,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => whole::<TimestampNanosecondType>(one, two)?,
        DataType::Duration(TimeUnit::Millisecond) => whole::<DurationMillisecondType>(one, two)?,
        DataType::Interval(IntervalUnit::YearMonth) => whole::<IntervalYearMonthType>(one, two)?,
        DataType::Float32 => {
            let (one, two) =
                (one.as_primitive::<Float32Type>(), two.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?);
            Box::new(move |a, b| {
                let (a, b) = (one.value(a), two.value(b));
                a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))
            })
        }
        DataType::Float64 => {
            let (one, two) =
                (one.as_primitive::<Float64Type>(), two.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?);
            Box::new(move |a, b| {
                let (a, b) = (one.value(a), two.value(b));
                a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))
            })
        }
        DataType::Utf8 => {
            let (one, two) = (one.as_string::<i32>(), two.as_string_opt::<i32>().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a).cmp(two.value(b)))
        }
        DataType::Binary => {
            let (one, two) = (one.as_binary::<i32>(), two.as_binary_opt::<i32>().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a).cmp(two.value(b)))
        }
        DataType::Boolean => {
            let (one, two) = (one.as_boolean(), two.as_boolean_opt().ok_or_else(wrong)?);
            Box::new(move |a, b| one.value(a).cmp(&two.value(b)))
        }
        other => return Err(unexpected(other)),
    })
}

fn whole<'a, T>(one: &'a ArrayRef, two: &'a ArrayRef) -> Result<Order<'a>, KernelError>
where
    T: ArrowPrimitiveType,
    T::Native: Ord,
{
    let two = two.as_primitive_opt::<T>().ok_or_else(|| unexpected(two.data_type()))?;
    let one = one.as_primitive_opt::<T>().ok_or_else(|| unexpected(one.data_type()))?;
    Ok(Box::new(move |a, b| one.value(a).cmp(&two.value(b))))
}

/// The elements of the list or map at `index`.
pub(super) fn range(offsets: &[i32], index: usize) -> std::ops::Range<usize> {
    let at = |index: usize| offsets.get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    at(index)..at(index + 1)
}
