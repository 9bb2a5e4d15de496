//! Comparisons.
//!
//! Flink compares numbers of different types in two ways. For `=` and `<>` both are brought to their common
//! type. For `<` and its like, and for `IS DISTINCT FROM`, they are compared as Java does: exact numbers
//! exactly, others in the longer of the two types, except that a `DECIMAL` and an approximate number are put
//! in Java's order of doubles, in which NaN is the greatest and -0.0 less than 0.0.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef, BooleanArray, Datum, PrimitiveArray, Scalar};
use arrow_buffer::BooleanBuffer;
use arrow_ord::cmp;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use super::columns::{constant, values};
use super::two;
use crate::functions::cast::{self, Converter, Failure};
use crate::functions::decimal;
use crate::functions::kernel::{Argument, FunctionContext, Input, KernelError, Mismatch, Resolved};
use crate::types::coercion::{common_type, comparison_type};
use crate::types::{LogicalType, TypeFamily, TypeRoot};

/// An operator that compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `IS DISTINCT FROM`
    Distinct,
    /// `IS NOT DISTINCT FROM`
    NotDistinct,
}

impl Comparison {
    fn is_distinction(self) -> bool {
        matches!(self, Comparison::Distinct | Comparison::NotDistinct)
    }

    /// Whether this asks which value is less, not only whether they are equal.
    fn is_order(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::NotEqual) && !self.is_distinction()
    }
}

/// How values are compared.
#[derive(Clone, Debug)]
pub(crate) enum How {
    /// By the type of their columns.
    Plain,
    /// As Java's `Double.compare`.
    JavaOrder,
    /// By what is inside them; `=` and its like only.
    Inside(LogicalType),
}

/// Strings that are brought to the type of the other argument, where those that cannot be are NULL.
struct Lenient {
    index: usize,
    converter: Converter,
}

/// Resolves a comparison.
pub(crate) fn resolve(
    comparison: Comparison,
    context: &FunctionContext,
    arguments: &[Argument<'_>],
) -> Result<Resolved, Mismatch> {
    let (one, two) = two(arguments)?;
    let plan = plan(comparison, context, arguments, one, two)?;
    let nullable = (one.nullable || two.nullable || plan.lenient.is_some()) && !comparison.is_distinction();
    let Plan { arguments, how, lenient } = plan;
    Ok(Resolved::new(arguments, LogicalType { root: TypeRoot::Boolean, nullable }, move |inputs| {
        let side = |index: usize| -> Result<Input, KernelError> {
            let input = inputs.get(index)?.clone();
            match &lenient {
                Some(lenient) if lenient.index == index => {
                    let converted = (lenient.converter)(input.array())?;
                    Ok(if input.is_constant() {
                        Input::constant(converted)
                    } else {
                        Input::column(converted)
                    })
                }
                _ => Ok(input),
            }
        };
        Ok(Arc::new(compare(comparison, &how, &side(0)?, &side(1)?, inputs.rows())?))
    }))
}

struct Plan {
    arguments: Vec<LogicalType>,
    how: How,
    lenient: Option<Lenient>,
}

fn plan(
    comparison: Comparison,
    context: &FunctionContext,
    arguments: &[Argument<'_>],
    one: &LogicalType,
    two: &LogicalType,
) -> Result<Plan, Mismatch> {
    let plain = |left: TypeRoot, right: TypeRoot| {
        let left = LogicalType { root: left, nullable: one.nullable };
        let right = LogicalType { root: right, nullable: two.nullable };
        Ok(Plan { arguments: vec![left, right], how: How::Plain, lenient: None })
    };
    let both = |root: TypeRoot| plain(root.clone(), root);
    let refused = || Mismatch(format!("cannot compare {} and {}", one.root, two.root));
    match (one.root.family(), two.root.family()) {
        (TypeFamily::Null, _) => both(two.root.clone()),
        (_, TypeFamily::Null) => both(one.root.clone()),
        (TypeFamily::Numeric, TypeFamily::Numeric) => {
            if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
                return both(common_type(one, two).ok_or_else(refused)?.root);
            }
            let (left, right, how) = ordered_numbers(&one.root, &two.root).ok_or_else(refused)?;
            Ok(Plan { how, ..plain(left, right)? })
        }
        (TypeFamily::Character, TypeFamily::Numeric | TypeFamily::Boolean)
        | (TypeFamily::Numeric | TypeFamily::Boolean, TypeFamily::Character) => {
            if !comparison.is_order() {
                return Err(Mismatch(format!("{}: CAST one of them to the type of the other", refused().0)));
            }
            both(comparison_type(one, two).ok_or_else(refused)?.root)
        }
        (TypeFamily::Character, TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp) => {
            text_and_time(comparison, context, arguments, 0, &two.root)
        }
        (TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp, TypeFamily::Character) => {
            text_and_time(comparison, context, arguments, 1, &one.root)
        }
        (TypeFamily::Character, TypeFamily::Character)
        | (TypeFamily::Binary, TypeFamily::Binary)
        | (TypeFamily::Boolean, TypeFamily::Boolean)
        | (TypeFamily::Date, TypeFamily::Date)
        | (TypeFamily::Time, TypeFamily::Time) => plain(one.root.clone(), two.root.clone()),
        (TypeFamily::Interval, TypeFamily::Interval) if one.root == two.root => {
            plain(one.root.clone(), two.root.clone())
        }
        (TypeFamily::Timestamp, TypeFamily::Timestamp) => {
            if std::mem::discriminant(&one.root) == std::mem::discriminant(&two.root) {
                // Units differ, but are not brought to the shorter one, which has room for fewer years.
                return plain(one.root.clone(), two.root.clone());
            }
            both(common_type(one, two).ok_or_else(refused)?.root)
        }
        (TypeFamily::Array, TypeFamily::Array)
        | (TypeFamily::Map, TypeFamily::Map)
        | (TypeFamily::Multiset, TypeFamily::Multiset)
        | (TypeFamily::Row, TypeFamily::Row)
            if !comparison.is_order() =>
        {
            let common = common_type(one, two).ok_or_else(refused)?;
            Ok(Plan { how: How::Inside(common.clone()), ..both(common.root)? })
        }
        _ => Err(refused()),
    }
}

/// A string at `index` and what it is read as: strictly, so that one that is no date fails the job, but for
/// `=` and its like, where only a literal must be one.
fn text_and_time(
    comparison: Comparison,
    context: &FunctionContext,
    arguments: &[Argument<'_>],
    index: usize,
    time: &TypeRoot,
) -> Result<Plan, Mismatch> {
    let is_strict =
        comparison.is_order() || arguments.get(index).is_some_and(|argument| argument.text().is_some());
    let mut types: Vec<LogicalType> = arguments.iter().map(|argument| argument.logical.clone()).collect();
    let Some(text) = types.get_mut(index) else { return Err(Mismatch::new("expects 2 arguments")) };
    let target = LogicalType { root: time.clone(), nullable: text.nullable };
    if is_strict {
        *text = target;
        return Ok(Plan { arguments: types, how: How::Plain, lenient: None });
    }
    let converter = cast::converter(text, &target, context.time_zone, Failure::Null)?;
    Ok(Plan { arguments: types, how: How::Plain, lenient: Some(Lenient { index, converter }) })
}

/// What numbers are brought to that are compared without a common type.
fn ordered_numbers(one: &TypeRoot, two: &TypeRoot) -> Option<(TypeRoot, TypeRoot, How)> {
    let is_decimal = |root: &TypeRoot| matches!(root, TypeRoot::Decimal(..));
    let both = |root: TypeRoot| Some((root.clone(), root, How::Plain));
    if one.is_approximate() || two.is_approximate() {
        return if is_decimal(one) || is_decimal(two) {
            Some((TypeRoot::Double, TypeRoot::Double, How::JavaOrder))
        } else if *one == TypeRoot::Double || *two == TypeRoot::Double {
            both(TypeRoot::Double)
        } else {
            both(TypeRoot::Float)
        };
    }
    if one.is_integer() && two.is_integer() {
        return both(if one == two { one.clone() } else { TypeRoot::BigInt });
    }
    let ((p1, s1), (p2, s2)) = (one.as_decimal()?, two.as_decimal()?);
    Some((TypeRoot::Decimal(p1, s1), TypeRoot::Decimal(p2, s2), How::Plain))
}

/// Compares the values of each of `rows` rows.
pub(crate) fn compare(
    comparison: Comparison,
    how: &How,
    left: &Input,
    right: &Input,
    rows: usize,
) -> Result<BooleanArray, KernelError> {
    let is_short = |input: &Input| input.array().len() < if input.is_constant() { 1 } else { rows };
    if is_short(left) || is_short(right) {
        return Err(KernelError("a column has too few rows".to_owned()));
    }
    if comparison.is_distinction() {
        let equal = compare(Comparison::Equal, how, left, right, rows)?;
        let is_distinct = |row: usize| match (left.is_null(row), right.is_null(row)) {
            (true, true) => false,
            (false, false) => !(equal.is_valid(row) && equal.value(row)),
            _ => true,
        };
        let wanted = comparison == Comparison::Distinct;
        return Ok(BooleanArray::new(
            BooleanBuffer::collect_bool(rows, |row| is_distinct(row) == wanted),
            None,
        ));
    }
    match how {
        How::Plain => plain(comparison, left, right, rows),
        How::JavaOrder => {
            let keys = |input: &Input| -> Result<Input, KernelError> {
                let keys: ArrayRef = match input.array().data_type() {
                    DataType::Float32 => Arc::new(
                        values::<Float32Type>(input)?.unary::<_, Int64Type>(|value| java_key(value.into())),
                    ),
                    _ => Arc::new(values::<Float64Type>(input)?.unary::<_, Int64Type>(java_key)),
                };
                Ok(if input.is_constant() { Input::constant(keys) } else { Input::column(keys) })
            };
            numbers::<Int64Type>(comparison, &keys(left)?, &keys(right)?, rows)
        }
        How::Inside(logical) => {
            let wanted = comparison == Comparison::Equal;
            let answers = (0..rows).map(|row| {
                let (a, b) = (left.index(row), right.index(row));
                if left.array().is_null(a) || right.array().is_null(b) {
                    return None;
                }
                Some(is_equal(left.array(), a, right.array(), b, logical) == wanted)
            });
            Ok(answers.collect())
        }
    }
}

/// A number that is in the order of integers where `value` is in Java's order of doubles.
pub(crate) fn java_key(value: f64) -> i64 {
    if value.is_nan() {
        return i64::MAX;
    }
    let bits = value.to_bits() as i64;
    // The bits of negative numbers count backwards.
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

fn plain(
    comparison: Comparison,
    left: &Input,
    right: &Input,
    rows: usize,
) -> Result<BooleanArray, KernelError> {
    match (left.array().data_type(), right.array().data_type()) {
        (DataType::Null, _) | (_, DataType::Null) => Ok(BooleanArray::new_null(rows)),
        (DataType::Int8, _) => numbers::<Int8Type>(comparison, left, right, rows),
        (DataType::Int16, _) => numbers::<Int16Type>(comparison, left, right, rows),
        (DataType::Int32, _) => numbers::<Int32Type>(comparison, left, right, rows),
        (DataType::Int64, _) => numbers::<Int64Type>(comparison, left, right, rows),
        (DataType::Float32, _) => numbers::<Float32Type>(comparison, left, right, rows),
        (DataType::Float64, _) => numbers::<Float64Type>(comparison, left, right, rows),
        (DataType::Date32, _) => numbers::<Date32Type>(comparison, left, right, rows),
        (DataType::Time32(_), _) => numbers::<Time32MillisecondType>(comparison, left, right, rows),
        (DataType::Interval(IntervalUnit::YearMonth), _) => {
            numbers::<IntervalYearMonthType>(comparison, left, right, rows)
        }
        (DataType::Duration(_), _) => numbers::<DurationMillisecondType>(comparison, left, right, rows),
        (DataType::Decimal128(_, one), DataType::Decimal128(_, two)) if one != two => {
            let scale = |scale: i8| u8::try_from(scale).unwrap_or(0);
            let (one, two) = (scale(*one), scale(*two));
            let (a, b) = (values::<Decimal128Type>(left)?, values::<Decimal128Type>(right)?);
            test(comparison, (a, left), (b, right), rows, |a, b| Some(decimal::compare(a, one, b, two)))
        }
        (DataType::Decimal128(..), _) => numbers::<Decimal128Type>(comparison, left, right, rows),
        (DataType::Timestamp(one, _), DataType::Timestamp(two, _)) => {
            let (a, b) = (timestamps(left)?, timestamps(right)?);
            if one == two {
                return direct(comparison, (&a, left), (&b, right), rows);
            }
            let (one, two) = (nanos(*one), nanos(*two));
            test(comparison, (&a, left), (&b, right), rows, |a, b| {
                Some((i128::from(a) * one).cmp(&(i128::from(b) * two)))
            })
        }
        (DataType::Utf8, DataType::Utf8) | (DataType::Binary, DataType::Binary) => {
            texts(comparison, left, right, rows)
        }
        (DataType::Boolean, DataType::Boolean) => {
            let (left, right) = (left.boolean()?, right.boolean()?);
            let answers =
                (0..rows).map(|row| Some(holds(comparison, left.get(row)?.partial_cmp(&right.get(row)?))));
            Ok(answers.collect())
        }
        (one, two) => Err(KernelError(format!("columns of {one} and {two} cannot be compared"))),
    }
}

fn nanos(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

fn timestamps(input: &Input) -> Result<PrimitiveArray<Int64Type>, KernelError> {
    Ok(match input.array().data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            values::<TimestampMillisecondType>(input)?.reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            values::<TimestampMicrosecondType>(input)?.reinterpret_cast()
        }
        _ => values::<TimestampNanosecondType>(input)?.reinterpret_cast(),
    })
}

fn holds(comparison: Comparison, order: Option<std::cmp::Ordering>) -> bool {
    let Some(order) = order else { return comparison == Comparison::NotEqual };
    match comparison {
        Comparison::Equal | Comparison::NotDistinct => order.is_eq(),
        Comparison::NotEqual | Comparison::Distinct => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

type Side<'a, T> = (&'a PrimitiveArray<T>, &'a Input);

fn numbers<T: ArrowPrimitiveType>(
    comparison: Comparison,
    left: &Input,
    right: &Input,
    rows: usize,
) -> Result<BooleanArray, KernelError> {
    direct(comparison, (values::<T>(left)?, left), (values::<T>(right)?, right), rows)
}

/// Compares as Rust compares, which is as Java compares primitive values.
fn direct<T: ArrowPrimitiveType>(
    comparison: Comparison,
    left: Side<'_, T>,
    right: Side<'_, T>,
    rows: usize,
) -> Result<BooleanArray, KernelError> {
    match comparison {
        Comparison::Equal | Comparison::NotDistinct => each(left, right, rows, |a, b| a == b),
        Comparison::NotEqual | Comparison::Distinct => each(left, right, rows, |a, b| a != b),
        Comparison::Less => each(left, right, rows, |a, b| a < b),
        Comparison::LessOrEqual => each(left, right, rows, |a, b| a <= b),
        Comparison::Greater => each(left, right, rows, |a, b| a > b),
        Comparison::GreaterOrEqual => each(left, right, rows, |a, b| a >= b),
    }
}

fn test<T: ArrowPrimitiveType>(
    comparison: Comparison,
    left: Side<'_, T>,
    right: Side<'_, T>,
    rows: usize,
    order: impl Fn(T::Native, T::Native) -> Option<std::cmp::Ordering>,
) -> Result<BooleanArray, KernelError> {
    each(left, right, rows, |a, b| holds(comparison, order(a, b)))
}

fn each<T: ArrowPrimitiveType>(
    (left, one): Side<'_, T>,
    (right, two): Side<'_, T>,
    rows: usize,
    answer: impl Fn(T::Native, T::Native) -> bool,
) -> Result<BooleanArray, KernelError> {
    let nothing = || BooleanArray::new_null(rows);
    Ok(match (one.is_constant(), two.is_constant()) {
        (false, false) if left.len() == right.len() => BooleanArray::from_binary(left, right, answer),
        (false, false) => return Err(KernelError("columns differ in their count of rows".to_owned())),
        (true, false) => match constant(left) {
            Some(left) => BooleanArray::from_unary(right, |right| answer(left, right)),
            None => nothing(),
        },
        (false, true) => match constant(right) {
            Some(right) => BooleanArray::from_unary(left, |left| answer(left, right)),
            None => nothing(),
        },
        (true, true) => match constant(left).zip(constant(right)) {
            Some((left, right)) => BooleanArray::from(vec![answer(left, right); rows]),
            None => nothing(),
        },
    })
}

/// Strings and byte strings are compared byte by byte.
fn texts(
    comparison: Comparison,
    left: &Input,
    right: &Input,
    rows: usize,
) -> Result<BooleanArray, KernelError> {
    let compare = |left: &dyn Datum, right: &dyn Datum| match comparison {
        Comparison::Equal | Comparison::NotDistinct => cmp::eq(left, right),
        Comparison::NotEqual | Comparison::Distinct => cmp::neq(left, right),
        Comparison::Less => cmp::lt(left, right),
        Comparison::LessOrEqual => cmp::lt_eq(left, right),
        Comparison::Greater => cmp::gt(left, right),
        Comparison::GreaterOrEqual => cmp::gt_eq(left, right),
    };
    Ok(match (left.is_constant(), right.is_constant()) {
        (false, false) => compare(left.array(), right.array())?,
        (true, false) => compare(&Scalar::new(left.array().slice(0, 1)), right.array())?,
        (false, true) => compare(left.array(), &Scalar::new(right.array().slice(0, 1)))?,
        (true, true) => compare(&left.expanded(rows)?, &right.expanded(rows)?)?,
    })
}

/// Whether two values that are not NULL are equal, where NULL is equal to NULL inside of arrays and rows, but
/// not as a value of a map, and NaN is equal to NaN.
pub(crate) fn is_equal(
    left: &dyn Array,
    a: usize,
    right: &dyn Array,
    b: usize,
    logical: &LogicalType,
) -> bool {
    equality(left, a, right, b, logical).unwrap_or(false)
}

fn is_same(left: &dyn Array, a: usize, right: &dyn Array, b: usize, logical: &LogicalType) -> bool {
    match (left.is_null(a), right.is_null(b)) {
        (true, true) => true,
        (false, false) => is_equal(left, a, right, b, logical),
        _ => false,
    }
}

/// `None` when a column does not hold values of the type.
fn equality(left: &dyn Array, a: usize, right: &dyn Array, b: usize, logical: &LogicalType) -> Option<bool> {
    fn primitives<T: ArrowPrimitiveType>(
        left: &dyn Array,
        a: usize,
        right: &dyn Array,
        b: usize,
    ) -> Option<bool> {
        let (left, right) = (left.as_primitive_opt::<T>()?.value(a), right.as_primitive_opt::<T>()?.value(b));
        // A value that differs from itself is NaN.
        Some(left == right || left.partial_cmp(&left).is_none() && right.partial_cmp(&right).is_none())
    }
    match &logical.root {
        TypeRoot::Null => Some(true),
        TypeRoot::Boolean => Some(left.as_boolean_opt()?.value(a) == right.as_boolean_opt()?.value(b)),
        TypeRoot::TinyInt => primitives::<Int8Type>(left, a, right, b),
        TypeRoot::SmallInt => primitives::<Int16Type>(left, a, right, b),
        TypeRoot::Int => primitives::<Int32Type>(left, a, right, b),
        TypeRoot::BigInt => primitives::<Int64Type>(left, a, right, b),
        TypeRoot::Float => primitives::<Float32Type>(left, a, right, b),
        TypeRoot::Double => primitives::<Float64Type>(left, a, right, b),
        TypeRoot::Decimal(..) => primitives::<Decimal128Type>(left, a, right, b),
        TypeRoot::Char(_) | TypeRoot::Varchar(_) => {
            Some(left.as_string_opt::<i32>()?.value(a) == right.as_string_opt::<i32>()?.value(b))
        }
        TypeRoot::Binary(_) | TypeRoot::Varbinary(_) => {
            Some(left.as_binary_opt::<i32>()?.value(a) == right.as_binary_opt::<i32>()?.value(b))
        }
        TypeRoot::Date => primitives::<Date32Type>(left, a, right, b),
        TypeRoot::Time(_) => primitives::<Time32MillisecondType>(left, a, right, b),
        TypeRoot::Timestamp(precision) | TypeRoot::TimestampLtz(precision) => {
            let unit = cast::temporal::Unit::of(*precision);
            Some(unit.value(left, a)? == unit.value(right, b)?)
        }
        TypeRoot::IntervalMonths => primitives::<IntervalYearMonthType>(left, a, right, b),
        TypeRoot::IntervalMillis => primitives::<DurationMillisecondType>(left, a, right, b),
        TypeRoot::Array(element) => {
            let (left, right) = (left.as_list_opt::<i32>()?.value(a), right.as_list_opt::<i32>()?.value(b));
            let is_element = |index| is_same(&left, index, &right, index, element);
            Some(left.len() == right.len() && (0..left.len()).all(is_element))
        }
        TypeRoot::Map(key, value) => entries(left, a, right, b, key, value),
        TypeRoot::Multiset(element) => entries(left, a, right, b, element, &TypeRoot::Int.not_null()),
        TypeRoot::Row(fields) => {
            let (left, right) = (left.as_struct_opt()?, right.as_struct_opt()?);
            let mut columns = fields.iter().zip(left.columns().iter().zip(right.columns()));
            Some(columns.all(|(field, (left, right))| is_same(left, a, right, b, &field.field_type)))
        }
    }
}

fn entries(
    left: &dyn Array,
    a: usize,
    right: &dyn Array,
    b: usize,
    key: &LogicalType,
    value: &LogicalType,
) -> Option<bool> {
    let (left, right) = (left.as_map_opt()?.value(a), right.as_map_opt()?.value(b));
    if left.len() != right.len() {
        return Some(false);
    }
    let (keys, values) = (left.columns().first()?, left.columns().get(1)?);
    let (other_keys, other_values) = (right.columns().first()?, right.columns().get(1)?);
    let has_equal = |index: usize| {
        let found = (0..right.len()).find(|other| is_same(keys, index, other_keys, *other, key));
        found.is_some_and(|other| {
            values.is_valid(index)
                && other_values.is_valid(other)
                && is_equal(values, index, other_values, other, value)
        })
    };
    Some((0..left.len()).all(has_equal))
}
