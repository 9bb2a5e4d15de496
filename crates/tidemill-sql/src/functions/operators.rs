//! The operators that are written between or before their arguments: arithmetic, comparisons, `LIKE`, `||`.
//!
//! `AND`, `OR`, `NOT`, `IS NULL` and their like are no functions, since they need not compute all of their
//! arguments.

mod columns;
mod numbers;
mod pattern;
mod temporal;

pub(crate) mod compare;

pub(crate) use self::columns::{binary, unary};

use std::sync::Arc;

use arrow_array::builder::StringBuilder;

use self::compare::Comparison;
use self::numbers::Operation;
use super::kernel::{Argument, FunctionContext, FunctionGroup, Mismatch, Resolved, ScalarFunction};
use crate::types::{LogicalType, TypeFamily, TypeRoot, coercion};

const fn operator(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    ScalarFunction {
        name,
        aliases: &[],
        group: FunctionGroup::Operator,
        usage,
        description,
        deterministic: true,
        resolve,
    }
}

/// The operators.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    operator(
        "+",
        "value1 + value2",
        "The sum of two numbers or intervals, or what is an interval after a date, time or timestamp.",
        |_, arguments| arithmetic(Operation::Add, arguments),
    ),
    operator(
        "-",
        "value1 - value2",
        "The difference of two numbers or intervals, or what is an interval before a date, time or timestamp.",
        |_, arguments| arithmetic(Operation::Subtract, arguments),
    ),
    operator(
        "*",
        "value1 * value2",
        "The product of two numbers, or of an interval and a whole number.",
        |_, arguments| arithmetic(Operation::Multiply, arguments),
    ),
    operator(
        "/",
        "number1 / number2",
        "The quotient of two numbers; of two whole numbers, the whole number nearer to zero.",
        |_, arguments| arithmetic(Operation::Divide, arguments),
    ),
    operator(
        "%",
        "number1 % number2",
        "What remains of the first number when it is divided by the second, with the sign of the first.",
        |_, arguments| arithmetic(Operation::Remainder, arguments),
    ),
    operator("NEGATE", "-value", "The number or interval with the other sign.", |_, arguments| {
        numbers::negate(one(arguments)?)
    }),
    operator("||", "string1 || string2", "The two strings, one behind the other.", |_, arguments| {
        concat(arguments)
    }),
    operator(
        "=",
        "value1 = value2",
        "Whether the two are equal; NULL when one is NULL.",
        |context, arguments| compare::resolve(Comparison::Equal, context, arguments),
    ),
    operator(
        "<>",
        "value1 <> value2",
        "Whether the two differ; NULL when one is NULL.",
        |context, arguments| compare::resolve(Comparison::NotEqual, context, arguments),
    ),
    operator(
        "<",
        "value1 < value2",
        "Whether the first is less; NULL when one is NULL.",
        |context, arguments| compare::resolve(Comparison::Less, context, arguments),
    ),
    operator(
        "<=",
        "value1 <= value2",
        "Whether the first is less than or equal to the second; NULL when one is NULL.",
        |context, arguments| compare::resolve(Comparison::LessOrEqual, context, arguments),
    ),
    operator(
        ">",
        "value1 > value2",
        "Whether the first is greater; NULL when one is NULL.",
        |context, arguments| compare::resolve(Comparison::Greater, context, arguments),
    ),
    operator(
        ">=",
        "value1 >= value2",
        "Whether the first is greater than or equal to the second; NULL when one is NULL.",
        |context, arguments| compare::resolve(Comparison::GreaterOrEqual, context, arguments),
    ),
    operator(
        "IS DISTINCT FROM",
        "value1 IS DISTINCT FROM value2",
        "Whether the two differ, where NULL is equal to NULL and differs from all else.",
        |context, arguments| compare::resolve(Comparison::Distinct, context, arguments),
    ),
    operator(
        "IS NOT DISTINCT FROM",
        "value1 IS NOT DISTINCT FROM value2",
        "Whether the two are equal, where NULL is equal to NULL and differs from all else.",
        |context, arguments| compare::resolve(Comparison::NotDistinct, context, arguments),
    ),
    operator(
        "LIKE",
        "string1 LIKE string2 [ ESCAPE character ]",
        "Whether the first string matches the second, where _ is any character and % any characters.",
        |_, arguments| pattern::like(arguments),
    ),
    operator(
        "SIMILAR TO",
        "string1 SIMILAR TO string2 [ ESCAPE character ]",
        "Whether the first string matches the second, a regular expression of SQL.",
        |_, arguments| pattern::similar(arguments),
    ),
];

/// The only argument.
fn one<'a>(arguments: &[Argument<'a>]) -> Result<&'a LogicalType, Mismatch> {
    match arguments {
        [one] => Ok(one.logical),
        _ => Err(Mismatch::new("expects 1 argument")),
    }
}

/// The two arguments.
fn two<'a>(arguments: &[Argument<'a>]) -> Result<(&'a LogicalType, &'a LogicalType), Mismatch> {
    match arguments {
        [one, two] => Ok((one.logical, two.logical)),
        _ => Err(Mismatch::new("expects 2 arguments")),
    }
}

fn arithmetic(operation: Operation, arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let (one, two) = two(arguments)?;
    match (one.root.family(), two.root.family()) {
        (TypeFamily::Numeric, TypeFamily::Numeric) => numbers::arithmetic(operation, one, two),
        (TypeFamily::Numeric, TypeFamily::Interval)
        | (TypeFamily::Interval, TypeFamily::Numeric | TypeFamily::Interval) => {
            temporal::intervals(operation, one, two)
        }
        (TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp, TypeFamily::Interval)
        | (TypeFamily::Interval, TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp) => {
            temporal::moved(operation, one, two)
        }
        _ => Err(expected(operation)),
    }
}

/// What an operation takes.
fn expected(operation: Operation) -> Mismatch {
    Mismatch::new(match operation {
        Operation::Add => {
            "expects (numeric, numeric), (interval, interval) or (date, time or timestamp, interval)"
        }
        Operation::Subtract => {
            "expects (numeric, numeric), (interval, interval) or (date, time or timestamp, interval)"
        }
        Operation::Multiply => "expects (numeric, numeric), (interval, integer) or (integer, interval)",
        Operation::Divide => "expects (numeric, numeric)",
        Operation::Remainder => "expects (exact numeric, exact numeric)",
    })
}

/// Resolves `MOD(number1, number2)`, which is another way to write `%`.
pub(crate) fn modulo(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    arithmetic(Operation::Remainder, arguments)
}

fn concat(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let (one, two) = two(arguments)?;
    let root = match (&one.root, &two.root) {
        (TypeRoot::Char(a), TypeRoot::Char(b)) => TypeRoot::Char(a.saturating_add(*b)),
        (one, two) if one.is_character() && two.is_character() => coercion::concat_length(one, two),
        _ => return Err(Mismatch::new("expects (string, string)")),
    };
    let returns = LogicalType { root, nullable: one.nullable || two.nullable };
    Ok(Resolved::new(vec![one.clone(), two.clone()], returns, |inputs| {
        let (left, right) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let bytes = inputs.iter().map(|input| input.array().get_array_memory_size()).sum();
        let mut builder = StringBuilder::with_capacity(inputs.rows(), bytes);
        let mut both = String::new();
        for row in 0..inputs.rows() {
            match (left.get(row), right.get(row)) {
                (Some(left), Some(right)) => {
                    both.clear();
                    both.push_str(left);
                    both.push_str(right);
                    builder.append_value(&both);
                }
                _ => builder.append_null(),
            }
        }
        Ok(Arc::new(builder.finish()))
    }))
}

#[cfg(test)]
mod tests;
