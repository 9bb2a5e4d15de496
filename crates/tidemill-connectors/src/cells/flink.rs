//! Rows as Flink prints them, in the texts that Java has for values.

use std::fmt::Write as _;

use super::tree::range;
use super::{Cell, CellStyle, Cells, FloatFormat, InstantFormat, Node, Tree};
use crate::decimal::DecimalFormat;

/// Whose words values are printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// For people who read SQL: `NULL`, `2013-01-01 05:15:00`.
    Sql,
    /// As the objects of Java print themselves, which Flink's `print` has: `null`, `2013-01-01T05:15`.
    Java,
}

const NUMBERS: CellStyle =
    CellStyle { floats: FloatFormat::Java, instants: InstantFormat::Iso8601, decimals: DecimalFormat::Java };

/// Appends a value.
pub(crate) fn print(tree: &Tree<'_>, row: usize, dialect: Dialect, scratch: &mut Vec<u8>, text: &mut String) {
    if tree.is_null(row) {
        text.push_str(if dialect == Dialect::Java { "null" } else { "NULL" });
        return;
    }
    match &tree.node {
        Node::Single(cells) if dialect == Dialect::Java => java(cells, row, scratch, text),
        Node::Single(cells) => sql(cells, row, scratch, text),
        Node::Row(fields) => {
            text.push_str("+I[");
            for (index, (_, field)) in fields.iter().enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                print(field, row, dialect, scratch, text);
            }
            text.push(']');
        }
        Node::List { ends, item } => {
            text.push('[');
            for (index, element) in range(ends, row).enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                print(item, element, dialect, scratch, text);
            }
            text.push(']');
        }
        Node::Map { ends, keys, values } => {
            text.push('{');
            for (index, entry) in range(ends, row).enumerate() {
                text.push_str(if index > 0 { ", " } else { "" });
                print(keys, entry, dialect, scratch, text);
                text.push('=');
                print(values, entry, dialect, scratch, text);
            }
            text.push('}');
        }
    }
}

fn sql(cells: &Cells<'_>, row: usize, scratch: &mut Vec<u8>, text: &mut String) {
    scratch.clear();
    match cells.write(row, CellStyle::default(), scratch) {
        Cell::Text(value) => text.push_str(value),
        Cell::Binary(bytes) => {
            text.push_str("x'");
            for byte in bytes {
                let _ = write!(text, "{byte:02X}");
            }
            text.push('\'');
        }
        Cell::Number | Cell::Boolean | Cell::Plain => text.push_str(&String::from_utf8_lossy(scratch)),
    }
}

fn java(cells: &Cells<'_>, row: usize, scratch: &mut Vec<u8>, text: &mut String) {
    match *cells {
        // `LocalTime` leaves seconds out that are 0.
        Cells::Time(all) => time(i64::from(all[row]), 1000, false, text),
        Cells::Instant { values, per_second, zoned } => {
            let value = values[row];
            let per_day = per_second.saturating_mul(86_400);
            scratch.clear();
            super::date(value.div_euclid(per_day), scratch);
            text.push_str(&String::from_utf8_lossy(scratch));
            text.push('T');
            // `Instant` has seconds always, `LocalDateTime` does not.
            time(value.rem_euclid(per_day), per_second, zoned, text);
            text.push_str(if zoned { "Z" } else { "" });
        }
        Cells::Months(all) => period(all[row], text),
        Cells::Millis(all) => duration(all[row], text),
        _ => {
            scratch.clear();
            match cells.write(row, NUMBERS, scratch) {
                Cell::Text(value) => text.push_str(value),
                Cell::Binary(bytes) => {
                    // As the numbers between -128 and 127 that bytes are in Java.
                    text.push('[');
                    for (index, byte) in bytes.iter().enumerate() {
                        let comma = if index > 0 { ", " } else { "" };
                        let _ = write!(text, "{comma}{}", byte.cast_signed());
                    }
                    text.push(']');
                }
                Cell::Number | Cell::Boolean | Cell::Plain => {
                    text.push_str(&String::from_utf8_lossy(scratch));
                }
            }
        }
    }
}

/// `05:15`, `05:15:30`, `05:15:30.500`, `05:15:30.000500`: three digits more at a time.
fn time(in_day: i64, per_second: i64, always_seconds: bool, text: &mut String) {
    let (seconds, part) = (in_day / per_second, in_day % per_second);
    let _ = write!(text, "{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if always_seconds || seconds % 60 != 0 || part != 0 {
        let _ = write!(text, ":{:02}", seconds % 60);
    }
    if part != 0 {
        let nanos = part * (1_000_000_000 / per_second);
        let _ = match nanos {
            nanos if nanos % 1_000_000 == 0 => write!(text, ".{:03}", nanos / 1_000_000),
            nanos if nanos % 1000 == 0 => write!(text, ".{:06}", nanos / 1000),
            nanos => write!(text, ".{nanos:09}"),
        };
    }
}

/// `P1Y2M`.
fn period(months: i32, text: &mut String) {
    let (years, months) = (months / 12, months % 12);
    text.push('P');
    if years != 0 {
        let _ = write!(text, "{years}Y");
    }
    if months != 0 {
        let _ = write!(text, "{months}M");
    }
    if years == 0 && months == 0 {
        text.push_str("0D");
    }
}

/// `PT36H5M1.5S`.
fn duration(millis: i64, text: &mut String) {
    let (seconds, part) = (millis / 1000, millis % 1000);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    text.push_str("PT");
    if millis == 0 {
        text.push_str("0S");
    }
    if hours != 0 {
        let _ = write!(text, "{hours}H");
    }
    if minutes != 0 {
        let _ = write!(text, "{minutes}M");
    }
    if rest == 0 && part == 0 {
        return;
    }
    let sign = if rest < 0 || part < 0 { "-" } else { "" };
    let _ = write!(text, "{sign}{}", rest.abs());
    if part != 0 {
        let digits = format!("{:03}", part.abs());
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    text.push('S');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{
        Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMillisecondArray,
        Float64Array, IntervalYearMonthArray, ListArray, NullArray, StringArray, StructArray,
        Time32MillisecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    };
    use arrow_schema::{DataType, Field};

    use super::*;

    fn texts(array: &dyn Array, dialect: Dialect) -> Vec<String> {
        let tree = Tree::of(array, &|_| Vec::new()).unwrap();
        let one = |row| {
            let mut text = String::new();
            print(&tree, row, dialect, &mut Vec::new(), &mut text);
            text
        };
        (0..array.len()).map(one).collect()
    }

    #[test]
    fn values_print_themselves_as_in_java() {
        let java = |array: ArrayRef| texts(&array, Dialect::Java);
        let millis = vec![Some(1_357_017_300_000), Some(1_357_017_301_000), Some(1_357_017_300_120), None];
        assert_eq!(
            java(Arc::new(TimestampMillisecondArray::from(millis.clone()))),
            ["2013-01-01T05:15", "2013-01-01T05:15:01", "2013-01-01T05:15:00.120", "null"]
        );
        assert_eq!(
            java(Arc::new(TimestampMillisecondArray::from(millis).with_timezone("UTC")))[..2],
            ["2013-01-01T05:15:00Z", "2013-01-01T05:15:01Z"]
        );
        assert_eq!(
            java(Arc::new(TimestampMicrosecondArray::from(vec![-1, 1_000]))),
            ["1969-12-31T23:59:59.999999", "1970-01-01T00:00:00.001"]
        );
        assert_eq!(
            java(Arc::new(Time32MillisecondArray::from(vec![0, 18_900_000, 18_930_500]))),
            ["00:00", "05:15", "05:15:30.500"]
        );
        assert_eq!(java(Arc::new(Date32Array::from(vec![-1]))), ["1969-12-31"]);
        assert_eq!(java(Arc::new(BinaryArray::from_vec(vec![b"a\xff", b""]))), ["[97, -1]", "[]"]);
        let decimals = Decimal128Array::from(vec![1250, 0]).with_precision_and_scale(10, 8).unwrap();
        assert_eq!(java(Arc::new(decimals)), ["0.00001250", "0E-8"]);
        assert_eq!(java(Arc::new(Float64Array::from(vec![1.0, 1e10]))), ["1.0", "1.0E10"]);
        assert_eq!(java(Arc::new(BooleanArray::from(vec![true]))), ["true"]);
        assert_eq!(java(Arc::new(NullArray::new(1))), ["null"]);
        assert_eq!(
            java(Arc::new(IntervalYearMonthArray::from(vec![14, -14, 0, 12]))),
            ["P1Y2M", "P-1Y-2M", "P0D", "P1Y"]
        );
        assert_eq!(
            java(Arc::new(DurationMillisecondArray::from(vec![0, 90_061_500, -500, 60_000]))),
            ["PT0S", "PT25H1M1.5S", "PT-0.5S", "PT1M"]
        );
    }

    #[test]
    fn what_is_nested_has_brackets() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        assert_eq!(texts(&list, Dialect::Java), ["[1, null]", "null", "[]"]);
        assert_eq!(texts(&list, Dialect::Sql), ["[1, NULL]", "NULL", "[]"]);
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
        let rows = StructArray::from(vec![
            (Arc::new(Field::new("name", DataType::Utf8, true)), names),
            (Arc::new(Field::new("all", list.data_type().clone(), true)), Arc::new(list) as ArrayRef),
        ]);
        assert_eq!(texts(&rows, Dialect::Java), ["+I[a, [1, null]]", "+I[null, null]", "+I[c, []]"]);
        assert_eq!(texts(&rows.slice(1, 2), Dialect::Java), ["+I[null, null]", "+I[c, []]"]);
    }
}
