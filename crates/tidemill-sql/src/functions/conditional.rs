//! Functions that choose among their arguments, or ask what one is.

use std::sync::{Arc, LazyLock};

use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_select::nullif::nullif;
use arrow_select::zip::zip;
use datafusion_common::ScalarValue;
use regex::Regex;

use super::cast::{self, Failure};
use super::kernel::{
    Argument, FunctionContext, FunctionGroup, Input, Inputs, KernelError, Mismatch, Resolved, ScalarFunction,
};
use super::operators::compare::{self, Comparison, How};
use crate::types::coercion::{common_type, merged_type};
use crate::types::{LogicalType, MAX_LENGTH, TypeFamily, TypeRoot};

const fn function(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    ScalarFunction {
        name,
        aliases: &[],
        group: FunctionGroup::Conditional,
        usage,
        description,
        deterministic: true,
        resolve,
    }
}

/// The functions that choose.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    function(
        "COALESCE",
        "COALESCE(value1 [, value2]*)",
        "The first value that is not NULL.",
        |_, arguments| coalesce(arguments),
    ),
    function(
        "IFNULL",
        "IFNULL(value, replacement)",
        "The value, or the replacement when it is NULL.",
        |_, arguments| {
            if arguments.len() == 2 { coalesce(arguments) } else { Err(Mismatch::new("expects 2 arguments")) }
        },
    ),
    function("NULLIF", "NULLIF(value1, value2)", "NULL when the two are equal, else the first.", null_if),
    function(
        "IF",
        "IF(condition, true_value, false_value)",
        "The first value when the condition is true, else the second.",
        |_, arguments| choose(arguments),
    ),
    function(
        "GREATEST",
        "GREATEST(value1[, value2]*)",
        "The greatest value; NULL when any is NULL.",
        |_, arguments| extreme(Comparison::Greater, arguments),
    ),
    function(
        "LEAST",
        "LEAST(value1[, value2]*)",
        "The least value; NULL when any is NULL.",
        |_, arguments| extreme(Comparison::Less, arguments),
    ),
    function(
        "IS_ALPHA",
        "IS_ALPHA(string)",
        "Whether the string is letters only, and not empty.",
        |_, arguments| {
            asks(arguments, |_| false, |text| LETTERS.as_ref().is_some_and(|letters| letters.is_match(text)))
        },
    ),
    function(
        "IS_DIGIT",
        "IS_DIGIT(string)",
        "Whether the string is digits only, and not empty.",
        |_, arguments| {
            asks(arguments, TypeRoot::is_integer, |text| {
                DIGITS.as_ref().is_some_and(|digits| digits.is_match(text))
            })
        },
    ),
    function(
        "IS_DECIMAL",
        "IS_DECIMAL(string)",
        "Whether the string can be read as a number.",
        |_, arguments| asks(arguments, |root| root.is_integer() || root.is_approximate(), is_decimal),
    ),
    function(
        "TYPEOF",
        "TYPEOF(value[, force_serializable])",
        "The type of the value; without abbreviations when the second argument is TRUE.",
        |_, arguments| type_of(arguments),
    ),
];

/// What Java has for letters and digits: of characters beyond 16 bits, none are.
static LETTERS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A[\p{L}&&[\x{0}-\x{FFFF}]]+\z").ok());
static DIGITS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A[\p{Nd}&&[\x{0}-\x{FFFF}]]+\z").ok());
static INTEGERS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A[+-]?[\p{Nd}&&[\x{0}-\x{FFFF}]]+\z").ok());

fn is_decimal(text: &str) -> bool {
    INTEGERS.as_ref().is_some_and(|integers| integers.is_match(text))
        || cast::parse_approximate::<f64>(text).is_some()
}

/// The arguments as columns.
fn columns(inputs: &Inputs) -> Result<Vec<ArrayRef>, KernelError> {
    inputs.iter().map(|input| input.expanded(inputs.rows())).collect()
}

/// The type that `merge` makes of those of all arguments.
fn merged(
    arguments: &[Argument<'_>],
    merge: fn(&LogicalType, &LogicalType) -> Option<LogicalType>,
) -> Result<LogicalType, Mismatch> {
    let mut arguments = arguments.iter().map(|argument| argument.logical);
    let first = arguments.next().ok_or_else(|| Mismatch::new("expects arguments"))?.clone();
    let common = arguments.try_fold(first, |common, logical| {
        merge(&common, logical).ok_or_else(|| {
            Mismatch(format!("expects arguments of one type, which {common} and {logical} are not"))
        })
    })?;
    if common.root == TypeRoot::Null {
        return Err(Mismatch::new("expects an argument that is not the literal NULL"));
    }
    Ok(common)
}

/// `root` for each argument, with NULL where it has it.
fn cast_to(root: &TypeRoot, arguments: &[Argument<'_>]) -> Vec<LogicalType> {
    arguments
        .iter()
        .map(|argument| LogicalType { root: root.clone(), nullable: argument.logical.nullable })
        .collect()
}

fn coalesce(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let root = merged(arguments, merged_type)?.root;
    let nullable = arguments.iter().all(|argument| argument.logical.nullable);
    let types = cast_to(&root, arguments);
    Ok(Resolved::new(types, LogicalType { root, nullable }, |inputs| {
        let mut chosen = inputs.get(0)?.expanded(inputs.rows())?;
        for input in inputs.iter().skip(1) {
            let Some(nulls) = chosen.nulls().filter(|nulls| nulls.null_count() > 0) else { break };
            let present = BooleanArray::new(nulls.inner().clone(), None);
            chosen = zip(&present, &chosen, &input.expanded(inputs.rows())?)?;
        }
        Ok(chosen)
    }))
}

fn null_if(context: &FunctionContext, arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let [one, two] = arguments else { return Err(Mismatch::new("expects 2 arguments")) };
    if one.logical.root == TypeRoot::Null {
        return Err(Mismatch::new("expects a first argument that is not the literal NULL"));
    }
    let equal = compare::resolve(Comparison::Equal, context, arguments)?;
    let mut converters = Vec::with_capacity(arguments.len());
    for (argument, wanted) in arguments.iter().zip(&equal.arguments) {
        converters.push(cast::converter(argument.logical, wanted, context.time_zone, Failure::Error)?);
    }
    let types = vec![one.logical.clone(), two.logical.clone()];
    Ok(Resolved::new(types, one.logical.clone().with_nullable(true), move |inputs| {
        let mut converted = Vec::with_capacity(inputs.len());
        for (input, converter) in inputs.iter().zip(&converters) {
            let array = converter(input.array())?;
            converted.push(if input.is_constant() { Input::constant(array) } else { Input::column(array) });
        }
        let equal = (equal.kernel)(&Inputs::new(converted, inputs.rows()))?;
        let is_equal = Input::column(equal);
        let is_equal = is_equal.boolean()?;
        let mask: BooleanArray =
            (0..inputs.rows()).map(|row| Some(is_equal.get(row) == Some(true))).collect();
        Ok(nullif(&inputs.get(0)?.expanded(inputs.rows())?, &mask)?)
    }))
}

/// `IF`. Numbers and strings are brought to their common type, all else to the type of the first value.
fn choose(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let expected = || {
        Mismatch::new(
            "expects (BOOLEAN, value, value), where both values are numeric, strings, BOOLEAN, binary, DATE, \
             TIME or TIMESTAMP",
        )
    };
    let [condition, one, two] = arguments else { return Err(expected()) };
    let family = one.logical.root.family();
    if condition.logical.root != TypeRoot::Boolean || family != two.logical.root.family() {
        return Err(expected());
    }
    let root = match family {
        TypeFamily::Numeric | TypeFamily::Character | TypeFamily::Binary => {
            common_type(one.logical, two.logical).ok_or_else(expected)?.root
        }
        TypeFamily::Boolean | TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp => {
            one.logical.root.clone()
        }
        _ => return Err(expected()),
    };
    let mut types = vec![condition.logical.clone()];
    types.extend(cast_to(&root, &[*one, *two]));
    Ok(Resolved::new(types, root.nullable(), |inputs| {
        let condition = inputs.get(0)?.boolean()?;
        let mask = BooleanBuffer::collect_bool(inputs.rows(), |row| condition.get(row) == Some(true));
        let (one, two) = (inputs.get(1)?.expanded(inputs.rows())?, inputs.get(2)?.expanded(inputs.rows())?);
        Ok(zip(&BooleanArray::new(mask, None), &one, &two)?)
    }))
}

/// `GREATEST` and `LEAST`, which choose what is `comparison` than the others.
fn extreme(comparison: Comparison, arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let common = merged(arguments, merged_type)?;
    let family = common.root.family();
    let is_ordered = !matches!(
        family,
        TypeFamily::Binary | TypeFamily::Array | TypeFamily::Map | TypeFamily::Multiset | TypeFamily::Row
    );
    if !is_ordered || arguments.iter().any(|argument| argument.logical.root.family() != family) {
        return Err(Mismatch::new("expects values that can be compared with each other"));
    }
    let how = if common.root.is_approximate() { How::JavaOrder } else { How::Plain };
    Ok(Resolved::new(cast_to(&common.root, arguments), common, move |inputs| {
        let mut columns = columns(inputs)?.into_iter();
        let mut best = columns.next().ok_or_else(|| KernelError("there are no arguments".to_owned()))?;
        for column in columns {
            let (candidate, current) = (Input::column(Arc::clone(&column)), Input::column(Arc::clone(&best)));
            let is_better = compare::compare(comparison, &how, &candidate, &current, inputs.rows())?;
            // Whatever is compared with NULL is chosen when it is NULL itself, so that NULL remains.
            let mask = BooleanBuffer::collect_bool(inputs.rows(), |row| {
                column.is_null(row) || is_better.is_valid(row) && is_better.value(row)
            });
            best = zip(&BooleanArray::new(mask, None), &column, &best)?;
        }
        Ok(best)
    }))
}

/// A question of strings, which numbers answer by their type.
fn asks(
    arguments: &[Argument<'_>],
    of_number: fn(&TypeRoot) -> bool,
    of_text: fn(&str) -> bool,
) -> Result<Resolved, Mismatch> {
    let [one] = arguments else { return Err(Mismatch::new("expects (string) or (numeric)")) };
    let returns = TypeRoot::Boolean.not_null();
    let types = vec![one.logical.clone()];
    if one.logical.root.is_numeric() {
        let answer = of_number(&one.logical.root);
        return Ok(Resolved::new(types, returns, move |inputs| {
            Ok(Arc::new(BooleanArray::from(vec![answer; inputs.rows()])))
        }));
    }
    if !one.logical.root.is_character() {
        return Err(Mismatch::new("expects (string) or (numeric)"));
    }
    Ok(Resolved::new(types, returns, move |inputs| {
        let texts = inputs.get(0)?.text()?;
        let answers = BooleanBuffer::collect_bool(inputs.rows(), |row| texts.get(row).is_some_and(of_text));
        Ok(Arc::new(BooleanArray::new(answers, None)))
    }))
}

fn type_of(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    let (value, is_serializable) = match arguments {
        [value] => (value, false),
        [value, Argument { literal: Some(ScalarValue::Boolean(force)), .. }] => {
            (value, force.unwrap_or(false))
        }
        _ => return Err(Mismatch::new("expects (value) or (value, BOOLEAN literal)")),
    };
    let types = arguments.iter().map(|argument| argument.logical.clone()).collect();
    let mut text = String::new();
    write_type(value.logical, is_serializable, &mut text);
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        Ok(Arc::new(StringArray::from(vec![text.as_str(); inputs.rows()])))
    }))
}

/// Writes a type as Flink does: with abbreviations, or as it can be read again.
fn write_type(logical: &LogicalType, is_serializable: bool, out: &mut String) {
    use std::fmt::Write;
    // A String takes whatever is written.
    let _ = match &logical.root {
        TypeRoot::Varchar(MAX_LENGTH) if is_serializable => write!(out, "VARCHAR({MAX_LENGTH})"),
        TypeRoot::Varbinary(MAX_LENGTH) if is_serializable => write!(out, "VARBINARY({MAX_LENGTH})"),
        TypeRoot::TimestampLtz(precision) if is_serializable => {
            write!(out, "TIMESTAMP({precision}) WITH LOCAL TIME ZONE")
        }
        TypeRoot::IntervalMonths => write!(out, "INTERVAL MONTH"),
        TypeRoot::IntervalMillis => write!(out, "INTERVAL SECOND(3)"),
        TypeRoot::Array(element) => {
            out.push_str("ARRAY<");
            write_type(element, is_serializable, out);
            write!(out, ">")
        }
        TypeRoot::Multiset(element) => {
            out.push_str("MULTISET<");
            write_type(element, is_serializable, out);
            write!(out, ">")
        }
        TypeRoot::Map(key, value) => {
            out.push_str("MAP<");
            write_type(key, is_serializable, out);
            out.push_str(", ");
            write_type(value, is_serializable, out);
            write!(out, ">")
        }
        TypeRoot::Row(fields) => {
            out.push_str("ROW<");
            for (index, field) in fields.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let _ = write!(out, "{comma}`{}` ", field.name.replace('`', "``"));
                write_type(&field.field_type, is_serializable, out);
            }
            write!(out, ">")
        }
        root => write!(out, "{root}"),
    };
    if !logical.nullable {
        out.push_str(" NOT NULL");
    }
}

#[cfg(test)]
mod tests;
