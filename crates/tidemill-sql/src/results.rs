//! Rows of results as text: a JSON array a row, cells of a table, CSV.
//!
//! Numbers and truth values are those of JSON, decimals are strings with all their digits, timestamps are written
//! `yyyy-MM-dd HH:mm:ss.SSS` with at least three digits of a second, arrays are arrays, rows are arrays of their fields, maps are
//! objects.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use chrono_tz::Tz;

use crate::functions::cast::format_value;
use crate::types::{LogicalType, TypeRoot};

/// Writes row `row` of `batch`, whose columns have `types`, as a JSON array.
pub fn write_json_row(batch: &RecordBatch, types: &[LogicalType], zone: Tz, row: usize, out: &mut String) {
    out.push('[');
    for (index, (column, logical)) in batch.columns().iter().zip(types).enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        write_json(column, logical, zone, row, out);
    }
    out.push(']');
}

/// The cell of a column at `row` as text; `None` when it is NULL.
pub fn cell(column: &dyn Array, logical: &LogicalType, zone: Tz, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let mut out = String::new();
    write_plain(column, logical, zone, row, &mut out);
    Some(out)
}

fn write_plain(column: &dyn Array, logical: &LogicalType, zone: Tz, row: usize, out: &mut String) {
    let shown = match logical.root {
        // Fewer digits look like other times to whoever compares texts.
        TypeRoot::Timestamp(0..=2) => TypeRoot::Timestamp(3),
        TypeRoot::TimestampLtz(0..=2) => TypeRoot::TimestampLtz(3),
        ref other => other.clone(),
    };
    format_value(column, &LogicalType { root: shown, nullable: logical.nullable }, zone, row, out);
}

fn write_json(column: &dyn Array, logical: &LogicalType, zone: Tz, row: usize, out: &mut String) {
    if column.is_null(row) {
        out.push_str("null");
        return;
    }
    match &logical.root {
        TypeRoot::Boolean => out.push_str(if column.as_boolean().value(row) { "true" } else { "false" }),
        TypeRoot::TinyInt | TypeRoot::SmallInt | TypeRoot::Int | TypeRoot::BigInt => {
            write_plain(column, logical, zone, row, out);
        }
        TypeRoot::Float | TypeRoot::Double => {
            let mut text = String::new();
            write_plain(column, logical, zone, row, &mut text);
            // JSON has neither NaN nor infinities.
            if text.bytes().any(|byte| byte == b'N' || byte == b'I') {
                write_string(&text, out)
            } else {
                out.push_str(&text)
            }
        }
        TypeRoot::Array(element) => {
            let Some(list) = column.as_list_opt::<i32>() else { return };
            let elements = list.value(row);
            out.push('[');
            for index in 0..elements.len() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_json(&elements, element, zone, index, out);
            }
            out.push(']');
        }
        TypeRoot::Row(fields) => {
            let Some(rows) = column.as_struct_opt() else { return };
            out.push('[');
            for (index, (field, values)) in fields.iter().zip(rows.columns()).enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_json(values, &field.field_type, zone, row, out);
            }
            out.push(']');
        }
        TypeRoot::Map(key, value) => write_map(column, (key, value), zone, row, out),
        TypeRoot::Multiset(element) => {
            write_map(column, (element, &TypeRoot::Int.not_null()), zone, row, out);
        }
        _ => {
            let mut text = String::new();
            write_plain(column, logical, zone, row, &mut text);
            write_string(&text, out);
        }
    }
}

fn write_map(
    column: &dyn Array,
    (key, value): (&LogicalType, &LogicalType),
    zone: Tz,
    row: usize,
    out: &mut String,
) {
    let Some(map) = column.as_map_opt() else { return };
    let entries = map.value(row);
    let (Some(keys), Some(values)) = (entries.columns().first(), entries.columns().get(1)) else { return };
    out.push('{');
    for index in 0..entries.len() {
        out.push_str(if index == 0 { "" } else { ", " });
        let mut text = String::new();
        write_plain(keys, key, zone, index, &mut text);
        write_string(&text, out);
        out.push_str(": ");
        write_json(values, value, zone, index, out);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
