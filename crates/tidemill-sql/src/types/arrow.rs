//! Which columns hold values of which type.
//!
//! | type | column |
//! |---|---|
//! | `BOOLEAN`, `TINYINT`, `SMALLINT`, `INT`, `BIGINT`, `FLOAT`, `DOUBLE` | `Boolean`, `Int8`, `Int16`, `Int32`, `Int64`, `Float32`, `Float64` |
//! | `DECIMAL(p, s)` | `Decimal128(p, s)` |
//! | `CHAR`, `VARCHAR`, `STRING` | `Utf8` |
//! | `BINARY`, `VARBINARY`, `BYTES` | `Binary` |
//! | `DATE` | `Date32` |
//! | `TIME(p)` | `Time32(Millisecond)` |
//! | `TIMESTAMP(p)`, `TIMESTAMP_LTZ(p)` | `Timestamp` in milliseconds up to 3 digits, microseconds up to 6, else nanoseconds; with the zone `UTC` for `_LTZ` |
//! | intervals | `Interval(YearMonth)`, `Duration(Millisecond)` |
//! | `ARRAY`, `MAP`, `MULTISET`, `ROW` | `List`, `Map`, `Map` to `Int32`, `Struct` |

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};

use super::{LogicalType, TypeRoot};

/// The zone of columns that hold `TIMESTAMP_LTZ`.
pub const UTC: &str = "UTC";

/// The unit that columns of timestamps with `precision` digits of a second have.
pub fn time_unit(precision: u8) -> TimeUnit {
    match precision {
        0..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

/// The type of columns that hold values of `root`.
pub fn data_type(root: &TypeRoot) -> DataType {
    match root {
        TypeRoot::Null => DataType::Null,
        TypeRoot::Boolean => DataType::Boolean,
        TypeRoot::TinyInt => DataType::Int8,
        TypeRoot::SmallInt => DataType::Int16,
        TypeRoot::Int => DataType::Int32,
        TypeRoot::BigInt => DataType::Int64,
        TypeRoot::Float => DataType::Float32,
        TypeRoot::Double => DataType::Float64,
        TypeRoot::Decimal(precision, scale) => {
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(0))
        }
        TypeRoot::Char(_) | TypeRoot::Varchar(_) => DataType::Utf8,
        TypeRoot::Binary(_) | TypeRoot::Varbinary(_) => DataType::Binary,
        TypeRoot::Date => DataType::Date32,
        TypeRoot::Time(_) => DataType::Time32(TimeUnit::Millisecond),
        TypeRoot::Timestamp(precision) => DataType::Timestamp(time_unit(*precision), None),
        TypeRoot::TimestampLtz(precision) => DataType::Timestamp(time_unit(*precision), Some(UTC.into())),
        TypeRoot::IntervalMonths => DataType::Interval(IntervalUnit::YearMonth),
        TypeRoot::IntervalMillis => DataType::Duration(TimeUnit::Millisecond),
        TypeRoot::Array(element) => DataType::List(Arc::new(field("item", element))),
        TypeRoot::Map(key, value) => map(key, value),
        TypeRoot::Multiset(element) => map(element, &TypeRoot::Int.not_null()),
        TypeRoot::Row(fields) => {
            DataType::Struct(fields.iter().map(|f| Arc::new(field(&f.name, &f.field_type))).collect())
        }
    }
}

/// A column of values of `logical` called `name`. Columns inside others are always nullable, so that two types that differ
/// in nullability only have the same columns.
pub fn field(name: &str, logical: &LogicalType) -> Field {
    Field::new(name, data_type(&logical.root), true)
}

fn map(key: &LogicalType, value: &LogicalType) -> DataType {
    let entries: Vec<FieldRef> =
        vec![Arc::new(Field::new("key", data_type(&key.root), false)), Arc::new(field("value", value))];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}
