//! The columns that values of a schema would have in a table.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit, UnionFields, UnionMode};

use crate::schema::{Body, Field as RecordField, Schema, Type};

/// How deep the columns of a table may be nested.
const MAX_LEVELS: usize = 64;

impl Schema {
    /// The columns of a table of such values: one a field for a struct or tuple, else one named `value`. `None` for types
    /// that contain themselves, which no table can hold.
    ///
    /// Structs, tuples and arrays become structs and fixed-size lists; enums without fields become dictionaries of text,
    /// others unions of structs; what only its own serializer understands becomes binary; 128-bit integers, which Arrow
    /// does not have, fixed-size binary.
    ///
    /// ```
    /// use tidemill_serialization::{Record, Schema};
    ///
    /// #[derive(Record, Clone)]
    /// struct Order {
    ///     id: u64,
    ///     tags: Vec<String>,
    ///     price: Option<f64>,
    /// }
    ///
    /// let table = Schema::of::<Order>().to_arrow().unwrap();
    /// assert_eq!(table.field(1).data_type().to_string(), "List(non-null Utf8)");
    /// assert!(table.field(2).is_nullable());
    /// ```
    pub fn to_arrow(&self) -> Option<arrow_schema::Schema> {
        let fields = match &self.root {
            Type::Named(position) => match &self.definitions.get(*position as usize)?.body {
                Body::Struct(fields) => self.columns(fields, MAX_LEVELS)?,
                Body::Enum(_) => Fields::from(vec![self.column("value", &self.root, MAX_LEVELS)?]),
            },
            Type::Tuple(parts) => self.tuple(parts, MAX_LEVELS)?,
            other => Fields::from(vec![self.column("value", other, MAX_LEVELS)?]),
        };
        Some(arrow_schema::Schema::new(fields))
    }

    fn columns(&self, fields: &[RecordField], levels: usize) -> Option<Fields> {
        fields.iter().map(|field| self.column(&field.name, &field.ty, levels)).collect()
    }

    fn tuple(&self, parts: &[Type], levels: usize) -> Option<Fields> {
        parts.iter().enumerate().map(|(i, part)| self.column(&i.to_string(), part, levels)).collect()
    }

    /// Only an `Option` may be NULL; a column has no way to tell `None` from `Some(None)`.
    fn column(&self, name: &str, ty: &Type, levels: usize) -> Option<Field> {
        let (mut ty, mut nullable) = (ty, false);
        while let Type::Option(value) = ty {
            (ty, nullable) = (value, true);
        }
        Some(Field::new(name, self.data_type(ty, levels.checked_sub(1)?)?, nullable))
    }

    fn data_type(&self, ty: &Type, levels: usize) -> Option<DataType> {
        let item = |ty: &Type| Some(Arc::new(self.column("item", ty, levels)?));
        let unit = |digits: u8| match digits {
            0 => TimeUnit::Second,
            1..=3 => TimeUnit::Millisecond,
            4..=6 => TimeUnit::Microsecond,
            _ => TimeUnit::Nanosecond,
        };
        Some(match ty {
            Type::Unit => DataType::Null,
            Type::Bool => DataType::Boolean,
            Type::Int(8) => DataType::Int8,
            Type::Int(16) => DataType::Int16,
            Type::Int(32) => DataType::Int32,
            Type::Int(64) => DataType::Int64,
            Type::UInt(8) => DataType::UInt8,
            Type::UInt(16) => DataType::UInt16,
            Type::UInt(32) => DataType::UInt32,
            Type::UInt(64) => DataType::UInt64,
            Type::Int(_) | Type::UInt(_) => DataType::FixedSizeBinary(16),
            Type::Float(32) => DataType::Float32,
            Type::Float(_) => DataType::Float64,
            Type::Char | Type::Text => DataType::Utf8,
            Type::Duration => DataType::Duration(TimeUnit::Nanosecond),
            Type::Date => DataType::Date32,
            Type::Time(digits) if *digits <= 3 => DataType::Time32(unit(*digits)),
            Type::Time(digits) => DataType::Time64(unit(*digits)),
            Type::Timestamp(digits) => DataType::Timestamp(unit(*digits), None),
            Type::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
            // Put on the column by `column`.
            Type::Option(value) => self.data_type(value, levels.checked_sub(1)?)?,
            Type::Tuple(parts) => DataType::Struct(self.tuple(parts, levels)?),
            Type::Array(value, length) => DataType::FixedSizeList(item(value)?, i32::try_from(*length).ok()?),
            Type::List(value) if **value == Type::UInt(8) => DataType::Binary,
            Type::List(value) | Type::Set(value) => DataType::List(item(value)?),
            Type::Map(key, value) => {
                let entry = [self.column("keys", key, levels)?, self.column("values", value, levels)?];
                let entries = Field::new("entries", DataType::Struct(Fields::from(entry.to_vec())), false);
                DataType::Map(Arc::new(entries), false)
            }
            Type::Named(position) => match &self.definitions.get(*position as usize)?.body {
                Body::Struct(fields) => DataType::Struct(self.columns(fields, levels)?),
                Body::Enum(variants) if variants.iter().all(|variant| variant.fields.is_empty()) => {
                    DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8))
                }
                Body::Enum(variants) => {
                    let mut fields = Vec::new();
                    for (i, variant) in variants.iter().enumerate() {
                        let columns = self.columns(&variant.fields, levels.checked_sub(1)?)?;
                        let field = Field::new(&variant.name, DataType::Struct(columns), false);
                        // A union has at most 128 variants.
                        fields.push((i8::try_from(i).ok()?, Arc::new(field)));
                    }
                    DataType::Union(fields.into_iter().collect::<UnionFields>(), UnionMode::Dense)
                }
            },
            Type::Opaque(_) => DataType::Binary,
        })
    }
}
