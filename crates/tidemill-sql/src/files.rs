//! Files that stand in `FROM` in quotes, without a table: `SELECT … FROM 'flights.csv'`.

use std::collections::BTreeMap;
use std::fmt;

use arrow_schema::{DataType, TimeUnit};

use crate::error::SqlResult;
use crate::types::{LogicalType, RowField, TypeRoot};

/// What a file has, as a table would say it.
#[derive(Clone, Debug)]
pub struct FileTable {
    /// Its columns.
    pub columns: Vec<(String, LogicalType)>,
    /// The options of a table over it, `connector` included.
    pub options: BTreeMap<String, String>,
}

/// Finds out what files have.
pub trait FileTables: fmt::Debug + Send + Sync {
    /// What the file, folder or pattern at `path` has; `options` are those of the hint behind it.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read, or says not what it has.
    fn table(&self, path: &str, options: &[(String, String)]) -> SqlResult<FileTable>;
}

/// The type of the values of a column that was found in a file; `None` for those that no file has.
///
/// ```
/// use arrow_schema::DataType;
/// use tidemill_sql::files::logical_type;
///
/// assert_eq!(logical_type(&DataType::Int64).unwrap().to_string(), "BIGINT");
/// ```
pub fn logical_type(data_type: &DataType) -> Option<LogicalType> {
    let digits = |unit: &TimeUnit| match unit {
        TimeUnit::Second | TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    let root = match data_type {
        DataType::Boolean => TypeRoot::Boolean,
        DataType::Int8 => TypeRoot::TinyInt,
        DataType::Int16 => TypeRoot::SmallInt,
        DataType::Int32 => TypeRoot::Int,
        DataType::Int64 => TypeRoot::BigInt,
        DataType::Float32 => TypeRoot::Float,
        DataType::Float64 => TypeRoot::Double,
        DataType::Decimal128(precision, scale) => TypeRoot::Decimal(*precision, u8::try_from(*scale).ok()?),
        DataType::Utf8 => TypeRoot::STRING,
        DataType::Binary => TypeRoot::BYTES,
        DataType::Date32 => TypeRoot::Date,
        DataType::Time32(TimeUnit::Millisecond) => TypeRoot::Time(3),
        DataType::Timestamp(unit, None) => TypeRoot::Timestamp(digits(unit)),
        DataType::Timestamp(unit, Some(_)) => TypeRoot::TimestampLtz(digits(unit)),
        DataType::List(element) => TypeRoot::Array(Box::new(logical_type(element.data_type())?)),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                Some(RowField { name: field.name().clone(), field_type: logical_type(field.data_type())? })
            });
            TypeRoot::Row(fields.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    Some(root.nullable())
}
