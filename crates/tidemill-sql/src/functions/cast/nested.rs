//! Conversions of arrays, maps, multisets and rows: of what is inside them, one by one.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, UInt32Array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, FieldRef};
use arrow_select::concat::concat;
use arrow_select::take::take;

use super::Converter;
use crate::functions::kernel::KernelError;
use crate::types::{TypeRoot, arrow};

fn wrong(array: &dyn Array) -> KernelError {
    KernelError(format!(
        "a column of {} cannot be converted as a column of values inside of others",
        array.data_type()
    ))
}

/// The column without values behind those that are NULL, which nobody sees and nobody may convert.
fn without_hidden(array: &ArrayRef, has_hidden: bool) -> Result<ArrayRef, KernelError> {
    if !has_hidden {
        return Ok(Arc::clone(array));
    }
    let rows = u32::try_from(array.len()).map_err(|_| KernelError("too many rows".to_owned()))?;
    Ok(take(array, &UInt32Array::from_iter_values(0..rows), None)?)
}

/// Whether a NULL of a column of lists or maps has a length.
fn has_hidden(nulls: Option<&NullBuffer>, offsets: &OffsetBuffer<i32>) -> bool {
    nulls.is_some_and(|nulls| {
        nulls.iter().zip(offsets.lengths()).any(|(is_valid, length)| !is_valid && length > 0)
    })
}

/// The offsets, counted from the first of them, and which values they are of.
fn shifted(offsets: &OffsetBuffer<i32>) -> (OffsetBuffer<i32>, usize, usize) {
    let first = offsets.first().copied().unwrap_or(0);
    let last = offsets.last().copied().unwrap_or(0);
    let length = usize::try_from(last - first).unwrap_or(0);
    (OffsetBuffer::from_lengths(offsets.lengths()), usize::try_from(first).unwrap_or(0), length)
}

/// Converts the elements of a column of arrays.
pub(crate) fn array(array: &ArrayRef, to: &TypeRoot, element: &Converter) -> Result<ArrayRef, KernelError> {
    let lists = array.as_list_opt::<i32>().ok_or_else(|| wrong(array))?;
    let visible = without_hidden(array, has_hidden(lists.nulls(), lists.offsets()))?;
    let lists = visible.as_list_opt::<i32>().ok_or_else(|| wrong(array))?;
    let DataType::List(field) = arrow::data_type(to) else { return Err(wrong(array)) };
    let (offsets, first, length) = shifted(lists.offsets());
    let values = element(&lists.values().slice(first, length))?;
    Ok(Arc::new(ListArray::try_new(field, offsets, values, lists.nulls().cloned())?))
}

/// Converts the keys and values of a column of maps, or the elements of a column of multisets.
pub(crate) fn map(
    array: &ArrayRef,
    to: &TypeRoot,
    key: &Converter,
    value: &Converter,
) -> Result<ArrayRef, KernelError> {
    let maps = array.as_map_opt().ok_or_else(|| wrong(array))?;
    let visible = without_hidden(array, has_hidden(maps.nulls(), maps.offsets()))?;
    let maps = visible.as_map_opt().ok_or_else(|| wrong(array))?;
    let (offsets, first, length) = shifted(maps.offsets());
    let keys = key(&maps.keys().slice(first, length))?;
    let values = value(&maps.values().slice(first, length))?;
    let DataType::Map(entry, is_sorted) = arrow::data_type(to) else { return Err(wrong(array)) };
    let DataType::Struct(fields) = entry.data_type() else { return Err(wrong(array)) };
    if keys.null_count() > 0 {
        return Err(KernelError(format!("a key cannot be converted to that of {to}")));
    }
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(
        FieldRef::clone(&entry),
        offsets,
        entries,
        maps.nulls().cloned(),
        is_sorted,
    )?))
}

/// Converts the fields of a column of rows.
pub(crate) fn row(
    array: &ArrayRef,
    to: &TypeRoot,
    converters: &[Converter],
) -> Result<ArrayRef, KernelError> {
    let rows = array.as_struct_opt().ok_or_else(|| wrong(array))?;
    let DataType::Struct(fields) = arrow::data_type(to) else { return Err(wrong(array)) };
    // A field of a row that is NULL has no value, whatever its column holds.
    let absent = rows.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| !nulls.inner());
    let mut columns = Vec::with_capacity(converters.len());
    for (column, converter) in rows.columns().iter().zip(converters) {
        let visible = match &absent {
            Some(absent) => arrow_select::nullif::nullif(column, &absent.clone().into())?,
            None => Arc::clone(column),
        };
        columns.push(converter(&visible)?);
    }
    if fields.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(rows.len(), rows.nulls().cloned())));
    }
    Ok(Arc::new(StructArray::try_new(fields, columns, rows.nulls().cloned())?))
}

/// Converts each row alone, so that one that fails becomes NULL without the others.
pub(crate) fn row_by_row(
    array: &ArrayRef,
    to: &TypeRoot,
    converter: &Converter,
) -> Result<ArrayRef, KernelError> {
    let missing = arrow_array::new_null_array(&arrow::data_type(to), 1);
    let rows: Vec<ArrayRef> = (0..array.len())
        .map(|row| converter(&array.slice(row, 1)).unwrap_or_else(|_| Arc::clone(&missing)))
        .collect();
    let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
    Ok(concat(&rows)?)
}
