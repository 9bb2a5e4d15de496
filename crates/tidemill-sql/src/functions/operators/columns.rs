//! Loops over columns of numbers, of which one or both may be one constant for all rows.

use std::sync::Arc;

use arrow_arith::arity;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, new_null_array};
use arrow_schema::{ArrowError, DataType};

use crate::functions::cast::temporal::builder;
use crate::functions::kernel::{Input, Inputs, KernelError};
use crate::types::TypeRoot;

/// The values of an argument.
pub(crate) fn values<T: ArrowPrimitiveType>(input: &Input) -> Result<&PrimitiveArray<T>, KernelError> {
    let wrong = || {
        KernelError(format!(
            "a column of {} came where {} was expected",
            input.array().data_type(),
            T::DATA_TYPE
        ))
    };
    input.array().as_primitive_opt::<T>().ok_or_else(wrong)
}

/// The one value of a constant; `None` when it is NULL.
pub(crate) fn constant<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<T::Native> {
    (!array.is_empty() && array.is_valid(0)).then(|| array.value(0))
}

fn nothing<T: ArrowPrimitiveType>(rows: usize) -> ArrayRef {
    new_null_array(&T::DATA_TYPE, rows)
}

/// Computes `operation`, which never fails, of two columns of `T`.
pub(crate) fn binary<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    operation: impl Fn(T::Native, T::Native) -> T::Native,
) -> Result<ArrayRef, KernelError> {
    let (one, two) = (inputs.get(0)?, inputs.get(1)?);
    let (left, right) = (values::<T>(one)?, values::<T>(two)?);
    Ok(match (one.is_constant(), two.is_constant()) {
        (false, false) => Arc::new(arity::binary::<_, _, _, T>(left, right, operation)?),
        (true, false) => match constant(left) {
            Some(left) => Arc::new(right.unary::<_, T>(|right| operation(left, right))),
            None => nothing::<T>(inputs.rows()),
        },
        (false, true) => match constant(right) {
            Some(right) => Arc::new(left.unary::<_, T>(|left| operation(left, right))),
            None => nothing::<T>(inputs.rows()),
        },
        (true, true) => {
            let value = constant(left).zip(constant(right)).map(|(left, right)| operation(left, right));
            repeated::<T>(value, inputs.rows())
        }
    })
}

/// Computes `operation` of the rows of two columns of `T` that have values.
pub(super) fn try_binary<T: ArrowPrimitiveType>(
    inputs: &Inputs,
    operation: impl Fn(T::Native, T::Native) -> Result<T::Native, ArrowError>,
) -> Result<ArrayRef, KernelError> {
    let (one, two) = (inputs.get(0)?, inputs.get(1)?);
    let (left, right) = (values::<T>(one)?, values::<T>(two)?);
    Ok(match (one.is_constant(), two.is_constant()) {
        (false, false) => Arc::new(arity::try_binary::<_, _, _, T>(left, right, operation)?),
        (true, false) => match constant(left) {
            Some(left) => Arc::new(right.try_unary::<_, T, _>(|right| operation(left, right))?),
            None => nothing::<T>(inputs.rows()),
        },
        (false, true) => match constant(right) {
            Some(right) => Arc::new(left.try_unary::<_, T, _>(|left| operation(left, right))?),
            None => nothing::<T>(inputs.rows()),
        },
        (true, true) => {
            let value = constant(left)
                .zip(constant(right))
                .map(|(left, right)| operation(left, right))
                .transpose()?;
            repeated::<T>(value, inputs.rows())
        }
    })
}

fn repeated<T: ArrowPrimitiveType>(value: Option<T::Native>, rows: usize) -> ArrayRef {
    match value {
        Some(value) => Arc::new(PrimitiveArray::<T>::from_value(value, rows)),
        None => nothing::<T>(rows),
    }
}

/// A column of `returns` whose value of each row is `operation` of those of two columns, where both have one.
pub(super) fn zip<A, B, O>(
    inputs: &Inputs,
    returns: &TypeRoot,
    operation: impl Fn(A::Native, B::Native) -> Result<Option<O::Native>, KernelError>,
) -> Result<ArrayRef, KernelError>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let (left, right) = (inputs.get(0)?.primitive::<A>()?, inputs.get(1)?.primitive::<B>()?);
    let mut builder = builder::<O>(returns, inputs.rows());
    for row in 0..inputs.rows() {
        builder.append_option(match (left.get(row), right.get(row)) {
            (Some(left), Some(right)) => operation(left, right)?,
            _ => None,
        });
    }
    Ok(Arc::new(builder.finish()))
}

/// Computes `operation`, which never fails, of the column of the only argument.
pub(crate) fn unary<A, O>(
    inputs: &Inputs,
    data_type: DataType,
    operation: impl Fn(A::Native) -> O::Native,
) -> Result<ArrayRef, KernelError>
where
    A: ArrowPrimitiveType,
    O: ArrowPrimitiveType,
{
    let input = inputs.get(0)?;
    let computed = values::<A>(input)?.unary::<_, O>(operation).with_data_type(data_type);
    if input.is_constant() {
        return Input::constant(Arc::new(computed)).expanded(inputs.rows());
    }
    Ok(Arc::new(computed))
}
