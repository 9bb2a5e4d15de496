//! Functions that make JSON of values.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use arrow_array::{Array, ArrayRef};

use super::value::{compare_keys, push_quoted};
use crate::functions::java_number::{push_decimal, push_double};
use crate::functions::kernel::{Argument, FunctionContext, Input, KernelError, Mismatch, Resolved};
use crate::functions::support::{Want, string_like, strings, targets};
use crate::functions::temporal::{TimestampColumn, push_iso_date_time};
use crate::functions::text::{plain_decimal, push_base64};
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// Whether values of `logical` can be JSON.
fn check(logical: &LogicalType) -> Result<(), Mismatch> {
    match &logical.root {
        TypeRoot::Date | TypeRoot::Time(_) | TypeRoot::IntervalMonths | TypeRoot::IntervalMillis => {
            Err(Mismatch::new(format!("cannot make JSON of a value of type {}", logical.root)))
        }
        TypeRoot::Array(element) => check(element),
        TypeRoot::Map(key, value) if key.root.is_character() => check(value),
        TypeRoot::Multiset(element) if element.root.is_character() => Ok(()),
        TypeRoot::Map(key, _) | TypeRoot::Multiset(key) => Err(Mismatch::new(format!(
            "cannot make JSON of a map with keys of type {}: the keys must be strings",
            key.root
        ))),
        TypeRoot::Row(fields) => fields.iter().try_for_each(|field| check(&field.field_type)),
        _ => Ok(()),
    }
}

/// Writes the value at an index.
type Writer<'a> = Box<dyn Fn(usize, &mut String) -> Result<(), KernelError> + 'a>;

fn wrong_column(array: &dyn Array) -> KernelError {
    crate::functions::support::unexpected(array.data_type())
}

/// Writes the values of `array`, which are of `logical`; NULL is `null`.
fn writer<'a>(array: &'a ArrayRef, logical: &LogicalType) -> Result<Writer<'a>, KernelError> {
    let inner = not_null_writer(array, logical)?;
    if array.null_count() == 0 && logical.root != TypeRoot::Null {
        return Ok(inner);
    }
    Ok(Box::new(move |index, out| {
        if array.is_null(index) {
            out.push_str("null");
            Ok(())
        } else {
            inner(index, out)
        }
    }))
}

fn not_null_writer<'a>(array: &'a ArrayRef, logical: &LogicalType) -> Result<Writer<'a>, KernelError> {
    use std::fmt::Write;
    let wrong = || wrong_column(array);
    macro_rules! integers {
        ($kind:ty) => {{
            let values = array.as_primitive_opt::<$kind>().ok_or_else(wrong)?;
            Box::new(move |index, out: &mut String| {
                write!(out, "{}", values.value(index)).map_err(|error| KernelError(error.to_string()))
            })
        }};
    }
    Ok(match &logical.root {
        TypeRoot::Null => Box::new(|_, out| {
            out.push_str("null");
            Ok(())
        }),
        TypeRoot::Boolean => {
            let values = array.as_boolean_opt().ok_or_else(wrong)?;
            Box::new(move |index, out| {
                out.push_str(if values.value(index) { "true" } else { "false" });
                Ok(())
            })
        }
        TypeRoot::TinyInt => integers!(Int8Type),
        TypeRoot::SmallInt => integers!(Int16Type),
        TypeRoot::Int => integers!(Int32Type),
        TypeRoot::BigInt => integers!(Int64Type),
        TypeRoot::Float => {
            let values = array.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?;
            Box::new(move |index, out| push_number(f64::from(values.value(index)), out))
        }
        TypeRoot::Double => {
            let values = array.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
            Box::new(move |index, out| push_number(values.value(index), out))
        }
        TypeRoot::Decimal(_, scale) => {
            let values = array.as_primitive_opt::<Decimal128Type>().ok_or_else(wrong)?;
            let scale = usize::from(*scale);
            Box::new(move |index, out| {
                push_decimal(out, &plain_decimal(values.value(index), scale));
                Ok(())
            })
        }
        TypeRoot::Char(_) | TypeRoot::Varchar(_) => {
            let values = array.as_string_opt::<i32>().ok_or_else(wrong)?;
            Box::new(move |index, out| {
                push_quoted(out, values.value(index));
                Ok(())
            })
        }
        TypeRoot::Binary(_) | TypeRoot::Varbinary(_) => {
            let values = array.as_binary_opt::<i32>().ok_or_else(wrong)?;
            Box::new(move |index, out| {
                out.push('"');
                push_base64(out, values.value(index));
                out.push('"');
                Ok(())
            })
        }
        TypeRoot::Timestamp(_) | TypeRoot::TimestampLtz(_) => {
            let is_moment = matches!(logical.root, TypeRoot::TimestampLtz(_));
            let input = Input::column(ArrayRef::clone(array));
            Box::new(move |index, out| {
                let column = TimestampColumn::new(&input)?;
                out.push('"');
                if let Some((millis, nanos)) = column.get(index) {
                    push_iso_date_time(out, millis, nanos);
                }
                out.push_str(if is_moment { "Z\"" } else { "\"" });
                Ok(())
            })
        }
        TypeRoot::Array(element) => {
            let lists = array.as_list_opt::<i32>().ok_or_else(wrong)?;
            let write = writer(lists.values(), element)?;
            let offsets = lists.value_offsets();
            Box::new(move |index, out| {
                out.push('[');
                for (count, element) in range(offsets, index).enumerate() {
                    if count > 0 {
                        out.push(',');
                    }
                    write(element, out)?;
                }
                out.push(']');
                Ok(())
            })
        }
        TypeRoot::Map(_, value) => map_writer(array, value)?,
        TypeRoot::Multiset(_) => map_writer(array, &TypeRoot::Int.not_null())?,
        TypeRoot::Row(fields) => {
            let rows = array.as_struct_opt().ok_or_else(wrong)?;
            let mut members = Vec::with_capacity(fields.len());
            for (field, column) in fields.iter().zip(rows.columns()) {
                let mut key = String::new();
                push_quoted(&mut key, &field.name);
                key.push(':');
                members.push((field.name.clone(), key, writer(column, &field.field_type)?));
            }
            members.sort_by(|(one, ..), (two, ..)| compare_keys(one, two));
            Box::new(move |index, out| {
                out.push('{');
                for (count, (_, key, write)) in members.iter().enumerate() {
                    if count > 0 {
                        out.push(',');
                    }
                    out.push_str(key);
                    write(index, out)?;
                }
                out.push('}');
                Ok(())
            })
        }
        _ => return Err(wrong()),
    })
}

/// The elements of a list.
fn range(offsets: &[i32], index: usize) -> std::ops::Range<usize> {
    let at = |index: usize| offsets.get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    at(index)..at(index + 1)
}

fn map_writer<'a>(array: &'a ArrayRef, value: &LogicalType) -> Result<Writer<'a>, KernelError> {
    let wrong = || wrong_column(array);
    let maps = array.as_map_opt().ok_or_else(wrong)?;
    let keys = maps.keys().as_string_opt::<i32>().ok_or_else(wrong)?;
    let write = writer(maps.values(), value)?;
    let offsets = maps.value_offsets();
    Ok(Box::new(move |index, out| {
        let mut entries: Vec<usize> = range(offsets, index).collect();
        if entries.iter().any(|entry| keys.is_null(*entry)) {
            return Err(KernelError("a key of a map is NULL, which JSON cannot have".to_owned()));
        }
        entries.sort_by(|one, two| compare_keys(keys.value(*one), keys.value(*two)));
        out.push('{');
        let mut is_first = true;
        for (place, entry) in entries.iter().enumerate() {
            // Of equal keys the last one counts.
            if entries.get(place + 1).is_some_and(|next| keys.value(*next) == keys.value(*entry)) {
                continue;
            }
            if !is_first {
                out.push(',');
            }
            is_first = false;
            push_quoted(out, keys.value(*entry));
            out.push(':');
            write(*entry, out)?;
        }
        out.push('}');
        Ok(())
    }))
}

fn push_number(number: f64, out: &mut String) -> Result<(), KernelError> {
    if !number.is_finite() {
        return Err(KernelError(format!("JSON cannot have the number {number}")));
    }
    let mut text = String::new();
    push_double(&mut text, number);
    // Java writes minus zero as it is read as a decimal number, which knows no such thing.
    push_decimal(out, &text);
    Ok(())
}

pub(super) fn json_string(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let [value] = arguments else { return Err(Mismatch::new("expects (ANY)")) };
    check(value.logical)?;
    let logical = value.logical.clone();
    Ok(Resolved::new(vec![logical.clone()], string_like(arguments), move |inputs| {
        let input = inputs.get(0)?;
        let write = writer(input.array(), &logical)?;
        strings(inputs, |row, out| {
            if logical.root == TypeRoot::Null || input.is_null(row) {
                return Ok(false);
            }
            write(input.index(row), out)?;
            Ok(true)
        })
    }))
}

/// Whether NULL is left out, as the first argument says.
fn absent_on_null(argument: Option<&Argument<'_>>) -> Result<bool, Mismatch> {
    match argument.and_then(Argument::text) {
        Some("ABSENT ON NULL") => Ok(true),
        Some("NULL ON NULL") => Ok(false),
        _ => Err(Mismatch::new("expects 'NULL ON NULL' or 'ABSENT ON NULL' first")),
    }
}

/// Whether a value is JSON already, as the argument before it says.
fn is_raw(argument: &Argument<'_>) -> Result<bool, Mismatch> {
    match argument.text() {
        Some("JSON") => Ok(true),
        Some("VALUE") => Ok(false),
        _ => Err(Mismatch::new("expects 'VALUE' or 'JSON' before each value")),
    }
}

/// How a value of an array or object is written.
#[derive(Clone)]
struct Member {
    /// Which argument it is.
    index: usize,
    logical: LogicalType,
    is_raw: bool,
}

impl Member {
    fn new(index: usize, kind: &Argument<'_>, value: &Argument<'_>) -> Result<Self, Mismatch> {
        let is_raw = is_raw(kind)?;
        if is_raw {
            targets(std::slice::from_ref(value), &[Want::Text], &[], "a STRING that is JSON")?;
        }
        check(value.logical)?;
        Ok(Self { index, logical: value.logical.clone(), is_raw })
    }

    fn writer<'a>(&self, input: &'a Input) -> Result<Writer<'a>, KernelError> {
        if !self.is_raw || self.logical.root == TypeRoot::Null {
            return writer(input.array(), &self.logical);
        }
        let texts = input.array().as_string_opt::<i32>().ok_or_else(|| wrong_column(input.array()))?;
        Ok(Box::new(move |index, out| {
            out.push_str(if texts.is_null(index) { "null" } else { texts.value(index) });
            Ok(())
        }))
    }

    fn is_null(&self, input: &Input, row: usize) -> bool {
        self.logical.root == TypeRoot::Null || input.is_null(row)
    }
}

pub(super) fn json_array(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let absent = absent_on_null(arguments.first())?;
    let mut members = Vec::new();
    for (place, pair) in arguments.get(1..).unwrap_or_default().chunks(2).enumerate() {
        let [kind, value] = pair else {
            return Err(Mismatch::new("expects 'VALUE' or 'JSON' before each value"));
        };
        members.push(Member::new(2 + place * 2, kind, value)?);
    }
    let types = arguments.iter().map(|argument| argument.logical.clone()).collect();
    Ok(Resolved::new(types, TypeRoot::STRING.not_null(), move |inputs| {
        let mut writers = Vec::with_capacity(members.len());
        for member in &members {
            let input = inputs.get(member.index)?;
            writers.push((member, input, member.writer(input)?));
        }
        strings(inputs, |row, out| {
            out.push('[');
            let mut is_first = true;
            for (member, input, write) in &writers {
                if absent && member.is_null(input, row) {
                    continue;
                }
                if !is_first {
                    out.push(',');
                }
                is_first = false;
                write(input.index(row), out)?;
            }
            out.push(']');
            Ok(true)
        })
    }))
}

pub(super) fn json_object(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let absent = absent_on_null(arguments.first())?;
    let mut members = Vec::new();
    for (place, triple) in arguments.get(1..).unwrap_or_default().chunks(3).enumerate() {
        let [key, kind, value] = triple else {
            return Err(Mismatch::new("expects a key, 'VALUE' or 'JSON', and a value of each member"));
        };
        targets(std::slice::from_ref(key), &[Want::Text], &[], "keys that are strings")?;
        members.push((1 + place * 3, Member::new(3 + place * 3, kind, value)?));
    }
    let types = arguments.iter().map(|argument| argument.logical.clone()).collect();
    Ok(Resolved::new(types, TypeRoot::STRING.not_null(), move |inputs| {
        let mut writers = Vec::with_capacity(members.len());
        for (key, member) in &members {
            let input = inputs.get(member.index)?;
            writers.push((inputs.get(*key)?.text()?, member, input, member.writer(input)?));
        }
        let mut order: Vec<(&str, usize)> = Vec::with_capacity(members.len());
        strings(inputs, |row, out| {
            order.clear();
            for (place, (keys, member, input, _)) in writers.iter().enumerate() {
                let key =
                    keys.get(row).ok_or_else(|| KernelError("a key of JSON_OBJECT is NULL".to_owned()))?;
                if absent && member.is_null(input, row) {
                    continue;
                }
                // Of equal keys the last one counts.
                match order.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, known)) => *known = place,
                    None => order.push((key, place)),
                }
            }
            order.sort_unstable_by(|(one, _), (two, _)| compare_keys(one, two));
            out.push('{');
            for (count, (key, place)) in order.iter().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                push_quoted(out, key);
                out.push(':');
                if let Some((_, _, input, write)) = writers.get(*place) {
                    write(input.index(row), out)?;
                }
            }
            out.push('}');
            Ok(true)
        })
    }))
}
