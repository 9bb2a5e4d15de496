//! Values that aggregate functions gather: those of arrays, multisets, joined strings, JSON and percentiles.
//!
//! Each is an entry of bytes. In an accumulator they stand one behind the other, each with its length in 4 bytes before it:
//!
//! | function | entry |
//! |---|---|
//! | `LISTAGG`, `ARRAY_AGG`, `JSON_ARRAYAGG` | the value as a row of one column |
//! | `COLLECT` | the value as a row of one column, and how often it is there in 8 bytes |
//! | `PERCENTILE` | the number in 8 bytes, and how often it is there in 8 bytes |
//! | `JSON_OBJECTAGG` | the length of the key in 4 bytes, the key, and the value as a row of one column |

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_data::ArrayData;
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

use super::accumulators::{Datum, wrong_type};
use super::row::RowWriter;
use crate::functions::aggregate::AggregateKind;
use crate::functions::json::{compare_keys, push_quoted};

/// Whether a function gathers its values.
pub(super) fn gathers(kind: &AggregateKind) -> bool {
    matches!(
        kind,
        AggregateKind::ListAgg { .. }
            | AggregateKind::ArrayAgg { .. }
            | AggregateKind::JsonArrayAgg { .. }
            | AggregateKind::Collect
            | AggregateKind::JsonObjectAgg { .. }
            | AggregateKind::Percentile { .. }
    )
}

/// The arguments of such a function, of the rows of a batch.
pub(super) struct Gathered {
    kind: AggregateKind,
    columns: Vec<ArrayRef>,
    data: Vec<ArrayData>,
}

impl Gathered {
    pub(super) fn new(kind: &AggregateKind, columns: Vec<ArrayRef>) -> Result<Self, OperatorError> {
        if columns.is_empty() {
            return Err(wrong_type());
        }
        let data = columns.iter().map(|column| column.to_data()).collect();
        Ok(Self { kind: kind.clone(), columns, data })
    }

    /// Whether the row adds a value.
    pub(super) fn takes(&self, row: usize) -> bool {
        match (&self.kind, &self.columns[..]) {
            (kind, [_]) if kind.takes_null() => true,
            (AggregateKind::JsonObjectAgg { with_null }, [_, value]) => *with_null || value.is_valid(row),
            (AggregateKind::Percentile { .. }, [value, often]) => {
                let often = often.as_primitive_opt::<Int64Type>();
                value.is_valid(row) && often.is_some_and(|often| often.is_valid(row) && often.value(row) > 0)
            }
            (_, columns) => columns.iter().all(|column| column.is_valid(row)),
        }
    }

    /// Appends to `key` what of the entry of `row` says which it is, and to `rest` what follows.
    pub(super) fn write(
        &self,
        row: usize,
        key: &mut Vec<u8>,
        rest: &mut Vec<u8>,
    ) -> Result<(), OperatorError> {
        match &self.kind {
            AggregateKind::Collect => {
                RowWriter::new(&self.data[..1], true).write(row, key);
                rest.extend_from_slice(&1i64.to_le_bytes());
            }
            AggregateKind::Percentile { .. } => {
                let values = self.columns[0].as_primitive_opt::<Float64Type>().ok_or_else(wrong_type)?;
                key.extend_from_slice(&values.value(row).to_le_bytes());
                let often = match self.columns.get(1) {
                    Some(often) => often.as_primitive_opt::<Int64Type>().ok_or_else(wrong_type)?.value(row),
                    None => 1,
                };
                rest.extend_from_slice(&often.to_le_bytes());
            }
            AggregateKind::JsonObjectAgg { .. } => {
                let keys = self.columns[0].as_string_opt::<i32>().ok_or_else(wrong_type)?;
                if keys.is_null(row) {
                    let message = "a key of JSON_OBJECTAGG is NULL: filter such rows out";
                    return Err(OperatorError::new("TM-SQL-JSON-KEY", Fault::User, message));
                }
                let text = keys.value(row).as_bytes();
                key.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                key.extend_from_slice(text);
                RowWriter::new(&self.data[1..2], false).write(row, rest);
            }
            _ => RowWriter::new(&self.data[..1], false).write(row, key),
        }
        Ok(())
    }
}

/// How often the value of an entry of `COLLECT` or `PERCENTILE` is there: its last 8 bytes.
pub(super) fn count(entry: &[u8]) -> Result<i64, OperatorError> {
    entry.last_chunk().map(|bytes| i64::from_le_bytes(*bytes)).ok_or_else(wrong_type)
}

/// Appends an entry.
pub(super) fn push(entries: &mut Vec<u8>, key: &[u8], rest: &[u8]) {
    let length = u32::try_from(key.len() + rest.len()).unwrap_or(u32::MAX);
    entries.extend_from_slice(&length.to_le_bytes());
    entries.extend_from_slice(key);
    entries.extend_from_slice(rest);
}

/// The entries that stand one behind the other.
fn entries(mut bytes: &[u8]) -> Result<Vec<&[u8]>, OperatorError> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk().ok_or_else(wrong_type)?;
        let (entry, rest) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(wrong_type)?;
        all.push(entry);
        bytes = rest;
    }
    Ok(all)
}

/// Takes the value of `row` in, or out again: then the first that is the same goes.
pub(super) fn take(
    state: &mut Datum,
    gathered: &Gathered,
    row: usize,
    retract: bool,
) -> Result<(), OperatorError> {
    let mut all = match std::mem::replace(state, Datum::Null) {
        Datum::Bytes(bytes) => bytes.into_vec(),
        _ => Vec::new(),
    };
    let (mut key, mut rest) = (Vec::new(), Vec::new());
    gathered.write(row, &mut key, &mut rest)?;
    if retract {
        key.extend_from_slice(&rest);
        let mut at = 0;
        let found = entries(&all)?.into_iter().find_map(|entry| {
            let start = at;
            at += 4 + entry.len();
            (entry == key).then_some(start..at)
        });
        if let Some(found) = found {
            all.drain(found);
        }
    } else {
        push(&mut all, &key, &rest);
    }
    *state = if all.is_empty() { Datum::Null } else { Datum::Bytes(all.into()) };
    Ok(())
}

/// The result of a function that has gathered `state`: text, a number or a row of one column.
pub(super) fn result(kind: &AggregateKind, state: &Datum) -> Result<Datum, OperatorError> {
    let all = match state {
        Datum::Bytes(bytes) => entries(bytes)?,
        _ => Vec::new(),
    };
    Ok(match kind {
        AggregateKind::ListAgg { separator } => {
            if all.is_empty() {
                return Ok(Datum::Null);
            }
            let mut joined = Vec::new();
            for (place, entry) in all.iter().enumerate() {
                if place > 0 {
                    joined.extend_from_slice(separator.as_bytes());
                }
                joined.extend_from_slice(text(entry)?.unwrap_or_default());
            }
            Datum::Bytes(joined.into())
        }
        AggregateKind::ArrayAgg { .. } => {
            if all.is_empty() {
                return Ok(Datum::Null);
            }
            Datum::Bytes(array(&all)?)
        }
        AggregateKind::JsonArrayAgg { .. } => {
            let mut json = vec![b'['];
            for (place, entry) in all.iter().enumerate() {
                if place > 0 {
                    json.push(b',');
                }
                json.extend_from_slice(text(entry)?.unwrap_or(b"null"));
            }
            json.push(b']');
            Datum::Bytes(json.into())
        }
        AggregateKind::Collect => {
            let mut counts: BTreeMap<&[u8], i64> = BTreeMap::new();
            for entry in &all {
                let (value, _) =
                    entry.split_at_checked(entry.len().saturating_sub(8)).ok_or_else(wrong_type)?;
                *counts.entry(value).or_default() += count(entry)?;
            }
            counts.retain(|_, count| *count > 0);
            Datum::Bytes(multiset(&counts)?)
        }
        AggregateKind::JsonObjectAgg { .. } => Datum::Bytes(object(&all)?),
        AggregateKind::Percentile { at, is_array } => percentiles(&all, at, *is_array)?,
        _ => return Err(wrong_type()),
    })
}

/// The string that a row of one column is, in place; `None` when it is NULL.
fn text(row: &[u8]) -> Result<Option<&[u8]>, OperatorError> {
    match row {
        [1, ..] => Ok(None),
        [_, _, _, _, _, text @ ..] => Ok(Some(text)),
        _ => Err(wrong_type()),
    }
}

fn length(count: usize) -> Result<[u8; 4], OperatorError> {
    // As many as a column can count.
    match i32::try_from(count) {
        Ok(count) => Ok(count.to_le_bytes()),
        Err(_) => {
            let message = "a group has more than 2^31 values";
            Err(OperatorError::new("TM-SQL-EVALUATION", Fault::User, message))
        }
    }
}

/// A row of one column that is the array of the values of rows of one column.
fn array(rows: &[&[u8]]) -> Result<Box<[u8]>, OperatorError> {
    let mut out = vec![0];
    out.extend_from_slice(&length(rows.len())?);
    let bits = out.len();
    out.resize(bits + rows.len().div_ceil(8), 0);
    for (index, row) in rows.iter().enumerate() {
        match row {
            [1, ..] => out[bits + index / 8] |= 1 << (index % 8),
            [_, value @ ..] => out.extend_from_slice(value),
            [] => return Err(wrong_type()),
        }
    }
    Ok(out.into())
}

/// A row of one column that is the multiset of rows of one column.
fn multiset(counts: &BTreeMap<&[u8], i64>) -> Result<Box<[u8]>, OperatorError> {
    let mut out = vec![0];
    out.extend_from_slice(&length(counts.len())?);
    out.resize(out.len() + counts.len().div_ceil(8), 0);
    for (row, count) in counts {
        // An entry is a row of the value, whose bit stands first in its own row too, and the count.
        out.extend_from_slice(row);
        out.extend_from_slice(&i32::try_from(*count).unwrap_or(i32::MAX).to_le_bytes());
    }
    Ok(out.into())
}

fn object(entries: &[&[u8]]) -> Result<Box<[u8]>, OperatorError> {
    let mut members = Vec::with_capacity(entries.len());
    for entry in entries {
        let (length, rest) = entry.split_first_chunk().ok_or_else(wrong_type)?;
        let (key, value) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(wrong_type)?;
        let key = std::str::from_utf8(key).map_err(|_| wrong_type())?;
        members.push((key, text(value)?.unwrap_or(b"null")));
    }
    members.sort_by(|(one, _), (two, _)| compare_keys(one, two));
    let mut json = vec![b'{'];
    let mut quoted = String::new();
    for (place, (key, value)) in members.iter().enumerate() {
        if place > 0 {
            if members[place - 1].0 == *key {
                return Err(twice(key));
            }
            json.push(b',');
        }
        quoted.clear();
        push_quoted(&mut quoted, key);
        json.extend_from_slice(quoted.as_bytes());
        json.push(b':');
        json.extend_from_slice(value);
    }
    json.push(b'}');
    Ok(json.into())
}

/// A key of `JSON_OBJECTAGG` that came twice.
pub(super) fn twice(key: &str) -> OperatorError {
    OperatorError::new(
        "TM-SQL-JSON-KEY",
        Fault::User,
        format!("the key '{key}' of JSON_OBJECTAGG is there already: the keys of a group must differ"),
    )
}

/// Flink interpolates between the two values around the place that a part stands for.
fn percentiles(entries: &[&[u8]], at: &[u64], is_array: bool) -> Result<Datum, OperatorError> {
    let mut values = Vec::with_capacity(entries.len());
    for entry in entries {
        let value = entry.first_chunk().ok_or_else(wrong_type)?;
        values.push((f64::from_le_bytes(*value), count(entry)?));
    }
    values.retain(|(_, count)| *count > 0);
    if values.is_empty() {
        return Ok(Datum::Null);
    }
    values.sort_by(|(one, _), (two, _)| one.total_cmp(two));
    let mut behind = Vec::with_capacity(values.len());
    let mut total = 0i64;
    for (_, count) in &values {
        total = total.saturating_add(*count);
        behind.push(total);
    }
    let value =
        |place: i64| values[behind.partition_point(|behind| *behind <= place).min(values.len() - 1)].0;
    let part = |bits: &u64| {
        let place = f64::from_bits(*bits) * (total - 1) as f64;
        let (below, above) = (place.floor(), place.ceil());
        let (one, two) = (value(below as i64), value(above as i64));
        if below == above || one == two { one } else { (above - place) * one + (place - below) * two }
    };
    if !is_array {
        return Ok(at.first().map_or(Datum::Null, |bits| Datum::Float(part(bits))));
    }
    let mut out = vec![0];
    out.extend_from_slice(&length(at.len())?);
    out.resize(out.len() + at.len().div_ceil(8), 0);
    at.iter().for_each(|bits| out.extend_from_slice(&part(bits).to_le_bytes()));
    Ok(Datum::Bytes(out.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;

    fn gathered(kind: AggregateKind, columns: Vec<ArrayRef>, rows: &[(usize, bool)]) -> Datum {
        let gathered = Gathered::new(&kind, columns).unwrap();
        let mut state = Datum::Null;
        for (row, retract) in rows {
            if gathered.takes(*row) {
                take(&mut state, &gathered, *row, *retract).unwrap();
            }
        }
        result(&kind, &state).unwrap()
    }

    fn texts(values: &[Option<&str>]) -> Vec<ArrayRef> {
        vec![Arc::new(StringArray::from(values.to_vec()))]
    }

    fn shown(datum: Datum) -> Option<String> {
        match datum {
            Datum::Bytes(bytes) => Some(String::from_utf8(bytes.into()).unwrap()),
            _ => None,
        }
    }

    #[test]
    fn strings_are_joined_in_order_and_the_first_that_is_the_same_is_taken_out() {
        let kind = AggregateKind::ListAgg { separator: "|".to_owned() };
        let columns = texts(&[Some("a"), None, Some("b"), Some("a")]);
        let rows = [(0, false), (1, false), (2, false), (3, false)];
        assert_eq!(shown(gathered(kind.clone(), columns.clone(), &rows)).as_deref(), Some("a|b|a"));
        let rows = [(0, false), (2, false), (3, false), (0, true)];
        assert_eq!(shown(gathered(kind.clone(), columns.clone(), &rows)).as_deref(), Some("b|a"));
        assert_eq!(gathered(kind, columns, &[(1, false), (0, false), (0, true)]), Datum::Null);
    }

    #[test]
    fn json_has_null_only_if_asked_for() {
        let columns = texts(&[Some("1"), None]);
        let rows = [(0, false), (1, false)];
        let array =
            |with_null| shown(gathered(AggregateKind::JsonArrayAgg { with_null }, columns.clone(), &rows));
        assert_eq!((array(true).as_deref(), array(false).as_deref()), (Some("[1,null]"), Some("[1]")));
        let none = gathered(AggregateKind::JsonArrayAgg { with_null: true }, columns.clone(), &[]);
        assert_eq!(shown(none).as_deref(), Some("[]"));
        let pairs = [texts(&[Some("b"), Some("a\"")]), columns].concat();
        let object =
            |with_null| shown(gathered(AggregateKind::JsonObjectAgg { with_null }, pairs.clone(), &rows));
        assert_eq!(object(true).as_deref(), Some(r#"{"a\"":null,"b":1}"#));
        assert_eq!(object(false).as_deref(), Some(r#"{"b":1}"#));
    }

    #[test]
    fn a_key_that_comes_twice_is_an_error() {
        let columns = [texts(&[Some("a"), Some("a")]), texts(&[Some("1"), Some("2")])].concat();
        let kind = AggregateKind::JsonObjectAgg { with_null: true };
        let gathered = Gathered::new(&kind, columns).unwrap();
        let mut state = Datum::Null;
        take(&mut state, &gathered, 0, false).unwrap();
        take(&mut state, &gathered, 1, false).unwrap();
        assert!(result(&kind, &state).unwrap_err().to_string().contains("'a'"));
    }

    #[test]
    fn percentiles_are_interpolated() {
        let value: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(3.0), Some(1.0), None, Some(2.0), Some(4.0)]));
        let often: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(30), Some(10), Some(20), Some(10), Some(40)]));
        let rows: Vec<(usize, bool)> = (0..5).map(|row| (row, false)).collect();
        let at = |parts: &[f64], columns: &[&ArrayRef]| {
            let at = parts.iter().map(|part| part.to_bits()).collect();
            let kind = AggregateKind::Percentile { at, is_array: false };
            gathered(kind, columns.iter().map(|column| ArrayRef::clone(column)).collect(), &rows)
        };
        assert_eq!(at(&[0.5], &[&value]), Datum::Float(2.5));
        assert_eq!(at(&[0.0], &[&value]), Datum::Float(1.0));
        assert_eq!(at(&[1.0], &[&value]), Datum::Float(4.0));
        assert_eq!(at(&[0.5], &[&value, &often]), Datum::Float(3.0));
    }
}
