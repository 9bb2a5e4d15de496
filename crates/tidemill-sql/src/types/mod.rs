//! Flink's types of values.
//!
//! A [`LogicalType`] is what the planner reasons with; [`arrow`] says which columns hold values of it.

pub mod arrow;
pub mod coercion;

use std::fmt;

/// The longest `VARCHAR` and `VARBINARY`: such a type is written `STRING` or `BYTES`.
pub const MAX_LENGTH: u32 = i32::MAX as u32;

/// The most digits that a `DECIMAL` has.
pub const MAX_PRECISION: u8 = 38;

/// A type and whether its values may be NULL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogicalType {
    /// The type without its nullability.
    pub root: TypeRoot,
    /// Whether a value may be NULL.
    pub nullable: bool,
}

/// A type without its nullability.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TypeRoot {
    /// The type of the literal `NULL`.
    Null,
    /// `BOOLEAN`.
    Boolean,
    /// `TINYINT`, 8 bits.
    TinyInt,
    /// `SMALLINT`, 16 bits.
    SmallInt,
    /// `INT`, 32 bits.
    Int,
    /// `BIGINT`, 64 bits.
    BigInt,
    /// `FLOAT`, 32 bits.
    Float,
    /// `DOUBLE`, 64 bits.
    Double,
    /// `DECIMAL(precision, scale)`.
    Decimal(u8, u8),
    /// `CHAR(length)`.
    Char(u32),
    /// `VARCHAR(length)`; `STRING` when the length is [`MAX_LENGTH`].
    Varchar(u32),
    /// `BINARY(length)`.
    Binary(u32),
    /// `VARBINARY(length)`; `BYTES` when the length is [`MAX_LENGTH`].
    Varbinary(u32),
    /// `DATE`.
    Date,
    /// `TIME(precision)`, kept in milliseconds.
    Time(u8),
    /// `TIMESTAMP(precision)` without time zone.
    Timestamp(u8),
    /// `TIMESTAMP_LTZ(precision)`, a moment that is shown in the session's time zone.
    TimestampLtz(u8),
    /// An interval of months: `YEAR`, `MONTH`, `YEAR TO MONTH`.
    IntervalMonths,
    /// An interval of milliseconds: `DAY`, `HOUR`, …, `DAY TO SECOND`.
    IntervalMillis,
    /// `ARRAY<element>`.
    Array(Box<LogicalType>),
    /// `MAP<key, value>`.
    Map(Box<LogicalType>, Box<LogicalType>),
    /// `MULTISET<element>`.
    Multiset(Box<LogicalType>),
    /// `ROW<name type, …>`.
    Row(Vec<RowField>),
}

/// A field of a `ROW`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub field_type: LogicalType,
}

/// What decides which types go together: Flink's families of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeFamily {
    /// The literal `NULL`.
    Null,
    /// `BOOLEAN`.
    Boolean,
    /// `TINYINT` to `BIGINT`, `DECIMAL`, `FLOAT` and `DOUBLE`.
    Numeric,
    /// `CHAR` and `VARCHAR`.
    Character,
    /// `BINARY` and `VARBINARY`.
    Binary,
    /// `DATE`.
    Date,
    /// `TIME`.
    Time,
    /// `TIMESTAMP` and `TIMESTAMP_LTZ`.
    Timestamp,
    /// Intervals.
    Interval,
    /// `ARRAY`.
    Array,
    /// `MAP`.
    Map,
    /// `MULTISET`.
    Multiset,
    /// `ROW`.
    Row,
}

impl TypeRoot {
    /// `STRING`.
    pub const STRING: TypeRoot = TypeRoot::Varchar(MAX_LENGTH);
    /// `BYTES`.
    pub const BYTES: TypeRoot = TypeRoot::Varbinary(MAX_LENGTH);

    /// This type with NULL.
    pub fn nullable(self) -> LogicalType {
        LogicalType { root: self, nullable: true }
    }

    /// This type without NULL.
    pub fn not_null(self) -> LogicalType {
        LogicalType { root: self, nullable: false }
    }

    /// The family.
    pub fn family(&self) -> TypeFamily {
        match self {
            TypeRoot::Null => TypeFamily::Null,
            TypeRoot::Boolean => TypeFamily::Boolean,
            TypeRoot::TinyInt
            | TypeRoot::SmallInt
            | TypeRoot::Int
            | TypeRoot::BigInt
            | TypeRoot::Float
            | TypeRoot::Double
            | TypeRoot::Decimal(..) => TypeFamily::Numeric,
            TypeRoot::Char(_) | TypeRoot::Varchar(_) => TypeFamily::Character,
            TypeRoot::Binary(_) | TypeRoot::Varbinary(_) => TypeFamily::Binary,
            TypeRoot::Date => TypeFamily::Date,
            TypeRoot::Time(_) => TypeFamily::Time,
            TypeRoot::Timestamp(_) | TypeRoot::TimestampLtz(_) => TypeFamily::Timestamp,
            TypeRoot::IntervalMonths | TypeRoot::IntervalMillis => TypeFamily::Interval,
            TypeRoot::Array(_) => TypeFamily::Array,
            TypeRoot::Map(..) => TypeFamily::Map,
            TypeRoot::Multiset(_) => TypeFamily::Multiset,
            TypeRoot::Row(_) => TypeFamily::Row,
        }
    }

    /// Whether this is `TINYINT`, `SMALLINT`, `INT` or `BIGINT`.
    pub fn is_integer(&self) -> bool {
        matches!(self, TypeRoot::TinyInt | TypeRoot::SmallInt | TypeRoot::Int | TypeRoot::BigInt)
    }

    /// Whether this is `FLOAT` or `DOUBLE`.
    pub fn is_approximate(&self) -> bool {
        matches!(self, TypeRoot::Float | TypeRoot::Double)
    }

    /// Whether this is a number.
    pub fn is_numeric(&self) -> bool {
        self.family() == TypeFamily::Numeric
    }

    /// Whether this is `CHAR` or `VARCHAR`.
    pub fn is_character(&self) -> bool {
        self.family() == TypeFamily::Character
    }

    /// Whether this is `TIMESTAMP` or `TIMESTAMP_LTZ`.
    pub fn is_timestamp(&self) -> bool {
        self.family() == TypeFamily::Timestamp
    }

    /// The `DECIMAL` that holds all values of an exact number: precision and scale.
    pub fn as_decimal(&self) -> Option<(u8, u8)> {
        match self {
            TypeRoot::TinyInt => Some((3, 0)),
            TypeRoot::SmallInt => Some((5, 0)),
            TypeRoot::Int => Some((10, 0)),
            TypeRoot::BigInt => Some((19, 0)),
            TypeRoot::Decimal(precision, scale) => Some((*precision, *scale)),
            _ => None,
        }
    }

    /// Whether values of this type can be compared by `<`.
    pub fn is_ordered(&self) -> bool {
        !matches!(self.family(), TypeFamily::Array | TypeFamily::Map | TypeFamily::Multiset | TypeFamily::Row)
    }
}

impl LogicalType {
    /// This type with the other nullability.
    #[must_use]
    pub fn with_nullable(mut self, nullable: bool) -> Self {
        self.nullable = nullable;
        self
    }

    /// Whether the two are the same but for nullability, their own and that of what is inside them.
    pub fn is_same_but_null(&self, other: &LogicalType) -> bool {
        match (&self.root, &other.root) {
            (TypeRoot::Array(one), TypeRoot::Array(two))
            | (TypeRoot::Multiset(one), TypeRoot::Multiset(two)) => one.is_same_but_null(two),
            (TypeRoot::Map(key, value), TypeRoot::Map(key2, value2)) => {
                key.is_same_but_null(key2) && value.is_same_but_null(value2)
            }
            (TypeRoot::Row(one), TypeRoot::Row(two)) => {
                one.len() == two.len()
                    && one.iter().zip(two).all(|(a, b)| a.field_type.is_same_but_null(&b.field_type))
            }
            (one, two) => one == two,
        }
    }
}

impl fmt::Display for TypeRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypeRoot::Null => f.write_str("NULL"),
            TypeRoot::Boolean => f.write_str("BOOLEAN"),
            TypeRoot::TinyInt => f.write_str("TINYINT"),
            TypeRoot::SmallInt => f.write_str("SMALLINT"),
            TypeRoot::Int => f.write_str("INT"),
            TypeRoot::BigInt => f.write_str("BIGINT"),
            TypeRoot::Float => f.write_str("FLOAT"),
            TypeRoot::Double => f.write_str("DOUBLE"),
            TypeRoot::Decimal(precision, scale) => write!(f, "DECIMAL({precision}, {scale})"),
            TypeRoot::Char(length) => write!(f, "CHAR({length})"),
            TypeRoot::Varchar(MAX_LENGTH) => f.write_str("STRING"),
            TypeRoot::Varchar(length) => write!(f, "VARCHAR({length})"),
            TypeRoot::Binary(length) => write!(f, "BINARY({length})"),
            TypeRoot::Varbinary(MAX_LENGTH) => f.write_str("BYTES"),
            TypeRoot::Varbinary(length) => write!(f, "VARBINARY({length})"),
            TypeRoot::Date => f.write_str("DATE"),
            TypeRoot::Time(precision) => write!(f, "TIME({precision})"),
            TypeRoot::Timestamp(precision) => write!(f, "TIMESTAMP({precision})"),
            TypeRoot::TimestampLtz(precision) => write!(f, "TIMESTAMP_LTZ({precision})"),
            TypeRoot::IntervalMonths => f.write_str("INTERVAL YEAR TO MONTH"),
            TypeRoot::IntervalMillis => f.write_str("INTERVAL DAY TO SECOND"),
            TypeRoot::Array(element) => write!(f, "ARRAY<{element}>"),
            TypeRoot::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            TypeRoot::Multiset(element) => write!(f, "MULTISET<{element}>"),
            TypeRoot::Row(fields) => {
                f.write_str("ROW<")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}`{}` {}", field.name.replace('`', "``"), field.field_type)?;
                }
                f.write_str(">")
            }
        }
    }
}

impl fmt::Display for LogicalType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.root, if self.nullable { "" } else { " NOT NULL" })
    }
}
