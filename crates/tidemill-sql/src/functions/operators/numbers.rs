//! Arithmetic with numbers.

use arrow_array::ArrowNativeTypeOp;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalYearMonthType,
};
use arrow_schema::ArrowError;

use super::columns::{binary, try_binary, unary, zip};
use super::expected;
use crate::functions::decimal::{self, Shape};
use crate::functions::kernel::{KernelError, Mismatch, Resolved};
use crate::types::{LogicalType, TypeRoot, arrow, coercion};

/// An operation with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// Resolves an operation with two numbers.
pub(super) fn arithmetic(
    operation: Operation,
    one: &LogicalType,
    two: &LogicalType,
) -> Result<Resolved, Mismatch> {
    let nullable = one.nullable || two.nullable;
    let (left, right) = (&one.root, &two.root);
    let typed = |root: TypeRoot| vec![root.clone().with(one), root.with(two)];
    if operation == Operation::Remainder {
        if left.is_approximate() || right.is_approximate() {
            return Err(expected(operation));
        }
        let is_whole = |root: &TypeRoot| root.as_decimal().is_some_and(|(_, scale)| scale == 0);
        // What is left of whole numbers has the type of the divisor.
        if right.is_integer() && is_whole(left) {
            return Ok(whole_remainder(typed(TypeRoot::BigInt), right.clone().with_nullable(nullable)));
        }
    } else if left.is_integer() && right.is_integer() || left.is_approximate() || right.is_approximate() {
        let common = coercion::common_type(one, two).ok_or_else(|| expected(operation))?;
        return primitive(operation, typed(common.root.clone()), common);
    }
    let (Some(left), Some(right)) = (left.as_decimal(), right.as_decimal()) else {
        return Err(expected(operation));
    };
    let arguments =
        vec![TypeRoot::Decimal(left.0, left.1).with(one), TypeRoot::Decimal(right.0, right.1).with(two)];
    let root = match operation {
        Operation::Add | Operation::Subtract => coercion::decimal_sum(left, right),
        Operation::Multiply => coercion::decimal_product(left, right),
        Operation::Divide => coercion::decimal_quotient(left, right),
        Operation::Remainder if left.1 == 0 && right.1 == 0 => two.root.clone(),
        Operation::Remainder => coercion::decimal_remainder(left, right),
    };
    decimals(operation, arguments, root.with_nullable(nullable))
}

trait With {
    /// This type, with NULL when `other` has it.
    fn with(self, other: &LogicalType) -> LogicalType;
    fn with_nullable(self, nullable: bool) -> LogicalType;
}

impl With for TypeRoot {
    fn with(self, other: &LogicalType) -> LogicalType {
        self.with_nullable(other.nullable)
    }

    fn with_nullable(self, nullable: bool) -> LogicalType {
        LogicalType { root: self, nullable }
    }
}

fn primitive(
    operation: Operation,
    arguments: Vec<LogicalType>,
    returns: LogicalType,
) -> Result<Resolved, Mismatch> {
    macro_rules! of {
        ($($root:ident => $compute:ident::<$native:ty>),*) => {
            match returns.root {
                $(TypeRoot::$root => Ok(Resolved::new(arguments, returns, move |inputs| {
                    $compute::<$native>(operation, inputs)
                })),)*
                _ => Err(expected(operation)),
            }
        };
    }
    of!(
        TinyInt => whole::<Int8Type>,
        SmallInt => whole::<Int16Type>,
        Int => whole::<Int32Type>,
        BigInt => whole::<Int64Type>,
        Float => approximate::<Float32Type>,
        Double => approximate::<Float64Type>
    )
}

type Computed = Result<arrow_array::ArrayRef, KernelError>;

/// As Java computes with whole numbers: what is too large loses its highest bits.
fn whole<T>(operation: Operation, inputs: &crate::functions::kernel::Inputs) -> Computed
where
    T: ArrowPrimitiveType,
    T::Native: ArrowNativeTypeOp,
{
    match operation {
        Operation::Add => binary::<T>(inputs, |left, right| left.add_wrapping(right)),
        Operation::Subtract => binary::<T>(inputs, |left, right| left.sub_wrapping(right)),
        Operation::Multiply => binary::<T>(inputs, |left, right| left.mul_wrapping(right)),
        Operation::Divide => try_binary::<T>(inputs, |left, right| {
            if right.is_zero() { Err(ArrowError::DivideByZero) } else { Ok(left.div_wrapping(right)) }
        }),
        Operation::Remainder => try_binary::<T>(inputs, |left, right| {
            if right.is_zero() { Err(ArrowError::DivideByZero) } else { Ok(left.mod_wrapping(right)) }
        }),
    }
}

/// As IEEE 754 has it.
fn approximate<T>(operation: Operation, inputs: &crate::functions::kernel::Inputs) -> Computed
where
    T: ArrowPrimitiveType,
    T::Native: ArrowNativeTypeOp,
{
    match operation {
        Operation::Add => binary::<T>(inputs, |left, right| left.add_wrapping(right)),
        Operation::Subtract => binary::<T>(inputs, |left, right| left.sub_wrapping(right)),
        Operation::Multiply => binary::<T>(inputs, |left, right| left.mul_wrapping(right)),
        Operation::Divide => binary::<T>(inputs, |left, right| left.div_wrapping(right)),
        Operation::Remainder => binary::<T>(inputs, |left, right| left.mod_wrapping(right)),
    }
}

/// The remainder of two `BIGINT`s as another type, which it fits in when the divisor did.
fn whole_remainder(arguments: Vec<LogicalType>, returns: LogicalType) -> Resolved {
    fn rest(left: i64, right: i64) -> Result<i64, KernelError> {
        if right == 0 { Err(ArrowError::DivideByZero.into()) } else { Ok(left.wrapping_rem(right)) }
    }
    let root = returns.root.clone();
    Resolved::new(arguments, returns, move |inputs| match root {
        TypeRoot::TinyInt => zip::<Int64Type, Int64Type, Int8Type>(inputs, &root, |left, right| {
            Ok(Some(rest(left, right)? as i8))
        }),
        TypeRoot::SmallInt => zip::<Int64Type, Int64Type, Int16Type>(inputs, &root, |left, right| {
            Ok(Some(rest(left, right)? as i16))
        }),
        TypeRoot::Int => zip::<Int64Type, Int64Type, Int32Type>(inputs, &root, |left, right| {
            Ok(Some(rest(left, right)? as i32))
        }),
        _ => whole::<Int64Type>(Operation::Remainder, inputs),
    })
}

fn decimals(
    operation: Operation,
    arguments: Vec<LogicalType>,
    returns: LogicalType,
) -> Result<Resolved, Mismatch> {
    let scale = |index: usize| match arguments.get(index).map(|argument| &argument.root) {
        Some(TypeRoot::Decimal(_, scale)) => *scale,
        _ => 0,
    };
    let TypeRoot::Decimal(precision, digits) = returns.root else { return Err(expected(operation)) };
    let shape = Shape { left: scale(0), right: scale(1), precision, scale: digits };
    let compute = match operation {
        Operation::Add => decimal::add,
        Operation::Subtract => decimal::subtract,
        Operation::Multiply => decimal::multiply,
        Operation::Divide => decimal::divide,
        Operation::Remainder => decimal::remainder,
    };
    let may_fail = matches!(operation, Operation::Divide | Operation::Remainder);
    let root = returns.root.clone();
    Ok(Resolved::new(arguments, returns, move |inputs| {
        zip::<Decimal128Type, Decimal128Type, Decimal128Type>(inputs, &root, |left, right| {
            if may_fail && right == 0 {
                return Err(ArrowError::DivideByZero.into());
            }
            Ok(compute(left, right, shape))
        })
    }))
}

/// Resolves `-value`.
pub(super) fn negate(value: &LogicalType) -> Result<Resolved, Mismatch> {
    macro_rules! of {
        ($($pattern:pat => $native:ty),*) => {
            match value.root {
                $($pattern => Ok(Resolved::new(vec![value.clone()], value.clone(), {
                    let data_type = arrow::data_type(&value.root);
                    move |inputs| {
                        unary::<$native, $native>(inputs, data_type.clone(), |value| value.neg_wrapping())
                    }
                })),)*
                _ => Err(Mismatch::new("expects (numeric) or (interval)")),
            }
        };
    }
    of!(
        TypeRoot::TinyInt => Int8Type,
        TypeRoot::SmallInt => Int16Type,
        TypeRoot::Int => Int32Type,
        TypeRoot::BigInt => Int64Type,
        TypeRoot::Float => Float32Type,
        TypeRoot::Double => Float64Type,
        TypeRoot::Decimal(..) => Decimal128Type,
        TypeRoot::IntervalMonths => IntervalYearMonthType,
        TypeRoot::IntervalMillis => DurationMillisecondType
    )
}
