//! Keys of an order as bytes: those of a row that comes first are less.
//!
//! For each column a byte that puts NULL where it belongs, then the value: numbers big-endian with the sign turned around,
//! strings with 0 written as 0 255 and 0 0 at the end. Of a descending column all bits are turned around.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

use crate::plan::SortKey;

/// Appends the key of `row` to `out`.
pub(crate) fn write_sort_key(
    columns: &[ArrayRef],
    keys: &[SortKey],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), OperatorError> {
    for key in keys {
        let Some(column) = columns.get(key.column) else { continue };
        if column.is_null(row) {
            out.push(if key.nulls_first { 0 } else { 2 });
            continue;
        }
        out.push(1);
        let start = out.len();
        write_value(column, row, out)?;
        if key.descending {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    Ok(())
}

fn write_value(column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), OperatorError> {
    let text = |bytes: &[u8], out: &mut Vec<u8>| {
        for byte in bytes {
            out.push(*byte);
            if *byte == 0 {
                out.push(255);
            }
        }
        out.extend_from_slice(&[0, 0]);
    };
    match column.data_type() {
        DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
        DataType::Utf8 => text(column.as_string::<i32>().value(row).as_bytes(), out),
        DataType::Binary => text(column.as_binary::<i32>().value(row), out),
        DataType::Float32 => {
            out.extend_from_slice(&float(f64::from(column.as_primitive::<Float32Type>().value(row))))
        }
        DataType::Float64 => out.extend_from_slice(&float(column.as_primitive::<Float64Type>().value(row))),
        DataType::Decimal128(..) => {
            let value = column.as_primitive::<Decimal128Type>().value(row);
            out.extend_from_slice(&(value ^ i128::MIN).to_be_bytes());
        }
        other => {
            let Some(width @ (1 | 2 | 4 | 8)) = other.primitive_width() else {
                let message = format!("rows cannot be ordered by a column of {other}");
                return Err(OperatorError::new("TM-SQL-ORDER", Fault::Internal, message));
            };
            let data = column.to_data();
            let bytes = data.buffers().first().map(|buffer| buffer.as_slice()).unwrap_or_default();
            let place = (data.offset() + row) * width;
            let start = out.len();
            out.extend(bytes[place..place + width].iter().rev());
            out[start] ^= 0x80;
        }
    }
    Ok(())
}

/// The bits of a number such that they are ordered as the numbers are.
fn float(value: f64) -> [u8; 8] {
    let value = if value == 0.0 { 0.0 } else { value };
    let bits = value.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    ordered.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int32Array, StringArray};

    use super::*;

    fn ordered(column: ArrayRef, descending: bool, nulls_first: bool) -> Vec<usize> {
        let rows = column.len();
        let key = SortKey { column: 0, descending, nulls_first };
        let columns = [column];
        let mut keys: Vec<(Vec<u8>, usize)> = (0..rows)
            .map(|row| {
                let mut out = Vec::new();
                write_sort_key(&columns, &[key], row, &mut out).unwrap();
                (out, row)
            })
            .collect();
        keys.sort();
        keys.into_iter().map(|(_, row)| row).collect()
    }

    #[test]
    fn bytes_are_ordered_as_values_are() {
        let numbers = Int32Array::from(vec![Some(5), None, Some(-7), Some(i32::MIN), Some(i32::MAX)]);
        assert_eq!(ordered(Arc::new(numbers.clone()), false, true), [1, 3, 2, 0, 4]);
        assert_eq!(ordered(Arc::new(numbers), true, false), [4, 0, 2, 3, 1]);
        let texts = StringArray::from(vec!["b", "", "a\0", "a", "ab"]);
        assert_eq!(ordered(Arc::new(texts), false, true), [1, 3, 2, 4, 0]);
        let floats = Float64Array::from(vec![1.5, -1.5, f64::NEG_INFINITY, f64::NAN, 0.0, -2.0]);
        assert_eq!(ordered(Arc::new(floats), false, true), [2, 5, 1, 4, 0, 3]);
    }
}
