//! `CAST` and `TRY_CAST`, and how values are written and read as strings.
//!
//! What can be cast to what, and how, is what Flink does since 1.15 (`table.exec.legacy-cast-behaviour`
//! disabled): a value that cannot be cast fails the job, and becomes NULL in `TRY_CAST` and where a `DECIMAL`
//! has not enough digits; strings are cut or padded to their length; timestamps lose the digits that they
//! have too many.

mod double;
mod nested;
mod number;
mod parse;
mod text;

pub(crate) mod calendar;
pub(crate) mod temporal;

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType,
};
use arrow_array::{Array, ArrayRef, StringArray};
use chrono_tz::Tz;

use super::kernel::{FunctionContext, KernelError, Mismatch, Resolved};
use crate::types::{LogicalType, MAX_LENGTH, TypeFamily, TypeRoot, arrow};

pub use double::{java_double, java_float};
pub use text::format_value;

pub(crate) use double::parse as parse_approximate;

/// Converts a column.
pub(crate) type Converter = Arc<dyn Fn(&ArrayRef) -> Result<ArrayRef, KernelError> + Send + Sync>;

/// What becomes of a value that cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It fails the job.
    Error,
    /// It is NULL.
    Null,
}

impl Failure {
    /// What `row` of `array` becomes, because of `reason`.
    pub(crate) fn at<T>(
        self,
        reason: &str,
        array: &dyn Array,
        from: &TypeRoot,
        to: &TypeRoot,
        zone: Tz,
        row: usize,
    ) -> Result<Option<T>, KernelError> {
        if self == Failure::Null {
            return Ok(None);
        }
        let mut value = String::new();
        format_value(array, &from.clone().nullable(), zone, row, &mut value);
        Err(KernelError(format!("cannot cast '{value}' to {to}: {reason}")))
    }

    /// `value`, or what `row` of `array` becomes when there is none.
    pub(crate) fn out_of_range<T>(
        self,
        value: Option<T>,
        array: &dyn Array,
        from: &TypeRoot,
        to: &TypeRoot,
        zone: Tz,
        row: usize,
    ) -> Result<Option<T>, KernelError> {
        match value {
            Some(value) => Ok(Some(value)),
            None => self.at("it is out of range", array, from, to, zone, row),
        }
    }
}

/// Resolves `CAST(… AS to)` of a value of `from`, or `TRY_CAST` when `is_try`.
///
/// # Errors
/// When values of `from` cannot be cast to `to` at all.
pub fn cast(
    context: &FunctionContext,
    from: &LogicalType,
    to: &LogicalType,
    is_try: bool,
) -> Result<Resolved, Mismatch> {
    let failure = if is_try { Failure::Null } else { Failure::Error };
    let converter = converter(from, to, context.time_zone, failure)?;
    let nullable = from.nullable || is_try || from.root == TypeRoot::Null;
    Ok(Resolved::new(vec![from.clone()], to.clone().with_nullable(nullable), move |inputs| {
        let input = inputs.get(0)?;
        let converted = converter(input.array())?;
        if input.is_constant() {
            super::kernel::Input::constant(converted).expanded(inputs.rows())
        } else {
            Ok(converted)
        }
    }))
}

fn refused(from: &TypeRoot, to: &TypeRoot) -> Mismatch {
    let reason = match (from, to) {
        (from, TypeRoot::Timestamp(_)) if from.is_numeric() => {
            ": use TO_TIMESTAMP(FROM_UNIXTIME(number)) instead, where the number is in seconds"
        }
        (from, TypeRoot::TimestampLtz(_)) if from.is_numeric() => {
            ": use TO_TIMESTAMP_LTZ(number, precision) instead"
        }
        (TypeRoot::Timestamp(_), to) if to.is_numeric() => {
            ": use UNIX_TIMESTAMP(CAST(timestamp AS STRING)) instead"
        }
        _ => "",
    };
    Mismatch(format!("{from} cannot be cast to {to}{reason}"))
}

/// What converts columns of `from` to columns of `to`.
pub(crate) fn converter(
    from: &LogicalType,
    to: &LogicalType,
    zone: Tz,
    failure: Failure,
) -> Result<Converter, Mismatch> {
    if is_identity(from, to) {
        return Ok(Arc::new(|array| Ok(Arc::clone(array))));
    }
    let (source, target) = (from.root.clone(), to.root.clone());
    Ok(match (from.root.family(), to.root.family()) {
        (TypeFamily::Null, _) => {
            let data_type = arrow::data_type(&target);
            Arc::new(move |array| Ok(arrow_array::new_null_array(&data_type, array.len())))
        }
        (TypeFamily::Character, TypeFamily::Character) => Arc::new(move |array| resize_text(array, &target)),
        (TypeFamily::Character, TypeFamily::Binary) => Arc::new(move |array| to_binary(array, &target)),
        (TypeFamily::Binary, TypeFamily::Binary) => Arc::new(move |array| to_binary(array, &target)),
        (_, TypeFamily::Character) => {
            let from = from.clone();
            Arc::new(move |array| to_text(array, &from, &target, zone))
        }
        (
            TypeFamily::Character,
            TypeFamily::Boolean
            | TypeFamily::Numeric
            | TypeFamily::Date
            | TypeFamily::Time
            | TypeFamily::Timestamp,
        ) => Arc::new(move |array| from_text(array, &target, zone, failure)),
        (TypeFamily::Boolean, TypeFamily::Numeric)
        | (TypeFamily::Numeric, TypeFamily::Numeric | TypeFamily::Boolean) => {
            Arc::new(move |array| number::convert(array, &source, &target, zone, failure))
        }
        (TypeFamily::Numeric, TypeFamily::Interval) if from.root.is_integer() => {
            Arc::new(move |array| number::convert(array, &source, &target, zone, failure))
        }
        (TypeFamily::Timestamp, TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp)
        | (TypeFamily::Date, TypeFamily::Timestamp)
        | (TypeFamily::Time, TypeFamily::Time | TypeFamily::Timestamp) => {
            Arc::new(move |array| temporal::convert(array, &source, &target, zone, failure))
        }
        _ => return nested_converter(from, to, zone, failure),
    })
}

/// Whether the same column holds the values of both types.
fn is_identity(from: &LogicalType, to: &LogicalType) -> bool {
    match (&from.root, &to.root) {
        (TypeRoot::Char(_) | TypeRoot::Varchar(_), TypeRoot::Varchar(MAX_LENGTH)) => true,
        (TypeRoot::Varchar(before) | TypeRoot::Char(before), TypeRoot::Varchar(after)) => before <= after,
        (TypeRoot::Varbinary(before) | TypeRoot::Binary(before), TypeRoot::Varbinary(after)) => {
            before <= after
        }
        // The names of fields are those of columns too.
        (TypeRoot::Row(before), TypeRoot::Row(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .zip(after)
                    .all(|(a, b)| a.name == b.name && is_identity(&a.field_type, &b.field_type))
        }
        (TypeRoot::Array(before), TypeRoot::Array(after))
        | (TypeRoot::Multiset(before), TypeRoot::Multiset(after)) => is_identity(before, after),
        (TypeRoot::Map(key, value), TypeRoot::Map(key_after, value_after)) => {
            is_identity(key, key_after) && is_identity(value, value_after)
        }
        (before, after) => before == after,
    }
}

fn nested_converter(
    from: &LogicalType,
    to: &LogicalType,
    zone: Tz,
    failure: Failure,
) -> Result<Converter, Mismatch> {
    // What is inside is converted strictly: one element that fails makes the whole value fail.
    let inner = |from: &LogicalType, to: &LogicalType| converter(from, to, zone, Failure::Error);
    let target = to.root.clone();
    let strict: Converter = match (&from.root, &to.root) {
        (TypeRoot::Array(before), TypeRoot::Array(after)) => {
            let element = inner(before, after)?;
            Arc::new(move |array| nested::array(array, &target, &element))
        }
        (TypeRoot::Map(key, value), TypeRoot::Map(key_after, value_after)) => {
            let (key, value) = (inner(key, key_after)?, inner(value, value_after)?);
            Arc::new(move |array| nested::map(array, &target, &key, &value))
        }
        (TypeRoot::Multiset(before), TypeRoot::Multiset(after)) => {
            let element = inner(before, after)?;
            let count: Converter = Arc::new(|array| Ok(Arc::clone(array)));
            Arc::new(move |array| nested::map(array, &target, &element, &count))
        }
        (TypeRoot::Row(before), TypeRoot::Row(after)) if before.len() == after.len() => {
            let mut fields = Vec::with_capacity(after.len());
            for (before, after) in before.iter().zip(after) {
                fields.push(inner(&before.field_type, &after.field_type)?);
            }
            Arc::new(move |array| nested::row(array, &target, &fields))
        }
        (source, target) => return Err(refused(source, target)),
    };
    if failure == Failure::Error {
        return Ok(strict);
    }
    let target = to.root.clone();
    Ok(Arc::new(move |array| strict(array).or_else(|_| nested::row_by_row(array, &target, &strict))))
}

/// A column of `to` whose value of each row is `value(row)`.
pub(crate) fn convert_rows<T: ArrowPrimitiveType>(
    rows: usize,
    to: &TypeRoot,
    mut value: impl FnMut(usize) -> Result<Option<T::Native>, KernelError>,
) -> Result<ArrayRef, KernelError> {
    let mut builder = temporal::builder::<T>(to, rows);
    for row in 0..rows {
        builder.append_option(value(row)?);
    }
    Ok(Arc::new(builder.finish()))
}

fn strings(array: &dyn Array) -> Result<&StringArray, KernelError> {
    let wrong = || KernelError(format!("a column of {} came where strings were expected", array.data_type()));
    array.as_string_opt::<i32>().ok_or_else(wrong)
}

/// How many characters strings of a type have at least, and at most.
fn bounds(root: &TypeRoot) -> (usize, usize) {
    match root {
        TypeRoot::Char(length) | TypeRoot::Binary(length) => (*length as usize, *length as usize),
        TypeRoot::Varchar(MAX_LENGTH) | TypeRoot::Varbinary(MAX_LENGTH) => (0, usize::MAX),
        TypeRoot::Varchar(length) | TypeRoot::Varbinary(length) => (0, *length as usize),
        _ => (0, usize::MAX),
    }
}

/// Cuts `text` to as many characters as its type allows, or pads it to as many as its type has.
fn resize(text: &mut String, (least, most): (usize, usize)) {
    // As many bytes are never fewer characters.
    if text.len() > most
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
    }
    if least > 0 {
        let missing = least.saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n(' ', missing));
    }
}

fn resize_text(array: &ArrayRef, to: &TypeRoot) -> Result<ArrayRef, KernelError> {
    let strings = strings(array)?;
    let bounds = bounds(to);
    let mut builder = StringBuilder::with_capacity(strings.len(), strings.value_data().len());
    let mut resized = String::new();
    for value in strings.iter() {
        match value {
            None => builder.append_null(),
            Some(value) => {
                resized.clear();
                resized.push_str(value);
                resize(&mut resized, bounds);
                builder.append_value(&resized);
            }
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn to_text(array: &ArrayRef, from: &LogicalType, to: &TypeRoot, zone: Tz) -> Result<ArrayRef, KernelError> {
    let bounds = bounds(to);
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 8);
    let mut value = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
            continue;
        }
        value.clear();
        format_value(array, from, zone, row, &mut value);
        resize(&mut value, bounds);
        builder.append_value(&value);
    }
    Ok(Arc::new(builder.finish()))
}

/// The bytes of strings or of byte strings, cut to as many as their type allows, or padded by zeros to as
/// many as it has.
fn to_binary(array: &ArrayRef, to: &TypeRoot) -> Result<ArrayRef, KernelError> {
    let (least, most) = bounds(to);
    let mut builder = BinaryBuilder::with_capacity(array.len(), 0);
    let mut append = |value: Option<&[u8]>| match value {
        None => builder.append_null(),
        Some(value) if value.len() < least => {
            let mut padded = value.to_vec();
            padded.resize(least, 0);
            builder.append_value(&padded);
        }
        Some(value) => builder.append_value(value.get(..most).unwrap_or(value)),
    };
    if let Some(bytes) = array.as_binary_opt::<i32>() {
        bytes.iter().for_each(&mut append);
    } else {
        strings(array)?.iter().for_each(|value| append(value.map(str::as_bytes)));
    }
    Ok(Arc::new(builder.finish()))
}

fn from_text(array: &ArrayRef, to: &TypeRoot, zone: Tz, failure: Failure) -> Result<ArrayRef, KernelError> {
    let strings = strings(array)?;
    let read = Read { strings, to, zone, failure };
    match to {
        TypeRoot::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(strings.len());
            for row in 0..strings.len() {
                builder.append_option(read.row(row, parse::boolean)?);
            }
            Ok(Arc::new(builder.finish()))
        }
        TypeRoot::TinyInt => read.column::<Int8Type>(|text| Ok(parse::integer(text, -0x80, 0x7f)? as i8)),
        TypeRoot::SmallInt => {
            read.column::<Int16Type>(|text| Ok(parse::integer(text, -0x8000, 0x7fff)? as i16))
        }
        TypeRoot::Int => read
            .column::<Int32Type>(|text| Ok(parse::integer(text, i32::MIN.into(), i32::MAX.into())? as i32)),
        TypeRoot::BigInt => read.column::<Int64Type>(|text| parse::integer(text, i64::MIN, i64::MAX)),
        TypeRoot::Float => read.column::<Float32Type>(parse::approximate),
        TypeRoot::Double => read.column::<Float64Type>(parse::approximate),
        TypeRoot::Decimal(precision, scale) => {
            read.column::<Decimal128Type>(|text| parse::decimal(text, *precision, *scale))
        }
        TypeRoot::Date => read.column::<Date32Type>(parse::date),
        TypeRoot::Time(precision) => {
            read.column::<Time32MillisecondType>(|text| parse::time(text, *precision))
        }
        TypeRoot::Timestamp(precision) => temporal::timestamps(strings.len(), to, |row| {
            read.row(row, |text| parse::timestamp(text, *precision))
        }),
        TypeRoot::TimestampLtz(precision) => temporal::timestamps(strings.len(), to, |row| {
            let unit = temporal::Unit::of(*precision);
            let local = read.row(row, |text| parse::timestamp(text, *precision))?;
            Ok(local.map(|local| unit.to_moment(local, zone)))
        }),
        _ => Err(KernelError(format!("there is no conversion of strings to {to}"))),
    }
}

/// Strings that are read as values of a type.
struct Read<'a> {
    strings: &'a StringArray,
    to: &'a TypeRoot,
    zone: Tz,
    failure: Failure,
}

impl Read<'_> {
    fn row<T>(
        &self,
        row: usize,
        parse: impl Fn(&str) -> Result<T, parse::Reason>,
    ) -> Result<Option<T>, KernelError> {
        if self.strings.is_null(row) {
            return Ok(None);
        }
        match parse(self.strings.value(row)) {
            Ok(value) => Ok(Some(value)),
            Err(reason) => self.failure.at(reason, self.strings, &TypeRoot::STRING, self.to, self.zone, row),
        }
    }

    fn column<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&str) -> Result<T::Native, parse::Reason>,
    ) -> Result<ArrayRef, KernelError> {
        convert_rows::<T>(self.strings.len(), self.to, |row| self.row(row, &parse))
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
