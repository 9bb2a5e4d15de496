//! The columns that values of a schema would have in a table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit, UnionFields, UnionMode};

use crate::schema::{Body, Field as RecordField, Schema, Type};

/// How deep the columns of a table may be nested.
const MAX_LEVELS: usize = 64;
/// How many columns a table may have, those within others too: whoever goes over them goes over each.
const MAX_COLUMNS: usize = 10_000;

impl Schema {
    /// The columns of a table of such values: one a field for a struct or tuple, else one named `value`. A field's column is
    /// called as `#[record(rename = "…")]` says, but only in schemas of this program: what is stored has the field's name
    /// alone.
    ///
    /// `None` for what no table can hold: types that contain themselves, more than 64 levels of columns within columns or
    /// 10,000 columns in all, enums with fields that have more than 128 variants, and arrays of more than 2,147,483,647
    /// elements.
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
        let mut tables = Tables { schema: self, made: HashMap::new() };
        let made = match &self.root {
            Type::Named(position) => match &self.definitions.get(*position as usize)?.body {
                Body::Struct(fields) => tables.columns(fields, MAX_LEVELS)?,
                Body::Enum(_) => Columns::from_iter([tables.column("value", &self.root, MAX_LEVELS)?]),
            },
            Type::Tuple(parts) => tables.tuple(parts, MAX_LEVELS)?,
            other => Columns::from_iter([tables.column("value", other, MAX_LEVELS)?]),
        };
        (made.size.columns <= MAX_COLUMNS).then(|| arrow_schema::Schema::new(made.of))
    }
}

/// How large columns are.
#[derive(Clone, Copy, Default)]
struct Size {
    /// How many there are, those within others too.
    columns: usize,
    /// How deep they are nested.
    levels: usize,
}

impl Size {
    /// Of several beside each other.
    fn and(self, other: Self) -> Self {
        Self { columns: self.columns.saturating_add(other.columns), levels: self.levels.max(other.levels) }
    }
}

/// Something and the size of the columns within it.
#[derive(Clone)]
struct Measured<T> {
    of: T,
    size: Size,
}

type Columns = Measured<Fields>;

impl FromIterator<Measured<Field>> for Columns {
    fn from_iter<I: IntoIterator<Item = Measured<Field>>>(columns: I) -> Self {
        let mut size = Size::default();
        let each = columns.into_iter().map(|column| {
            size = size.and(column.size);
            column.of
        });
        let of = each.collect();
        Self { of, size }
    }
}

/// The columns of a schema on their way.
struct Tables<'a> {
    schema: &'a Schema,
    /// Each definition is gone over once, however often others refer to it: `None` while it is, so that one which contains
    /// itself is found.
    made: HashMap<u32, Option<Measured<DataType>>>,
}

impl Tables<'_> {
    fn columns(&mut self, fields: &[RecordField], levels: usize) -> Option<Columns> {
        let each = fields.iter().map(|field| {
            let name = field.column.as_ref().unwrap_or(&field.name);
            self.column(name, &field.ty, levels)
        });
        each.collect()
    }

    fn tuple(&mut self, parts: &[Type], levels: usize) -> Option<Columns> {
        parts.iter().enumerate().map(|(i, part)| self.column(&i.to_string(), part, levels)).collect()
    }

    /// Only an `Option` may be NULL; a column has no way to tell `None` from `Some(None)`.
    fn column(&mut self, name: &str, ty: &Type, levels: usize) -> Option<Measured<Field>> {
        let (mut ty, mut nullable) = (ty, false);
        while let Type::Option(value) = ty {
            (ty, nullable) = (value, true);
        }
        let Measured { of, size } = self.data_type(ty, levels.checked_sub(1)?)?;
        let size = Size { columns: size.columns.saturating_add(1), levels: size.levels + 1 };
        Some(Measured { of: Field::new(name, of, nullable), size })
    }

    fn data_type(&mut self, ty: &Type, levels: usize) -> Option<Measured<DataType>> {
        let within = |of: Measured<Field>, make: &dyn Fn(Arc<Field>) -> DataType| {
            Some(Measured { of: make(Arc::new(of.of)), size: of.size })
        };
        match ty {
            Type::Tuple(parts) => {
                let Measured { of, size } = self.tuple(parts, levels)?;
                Some(Measured { of: DataType::Struct(of), size })
            }
            Type::Array(value, length) => {
                let length = i32::try_from(*length).ok()?;
                within(self.column("item", value, levels)?, &|item| DataType::FixedSizeList(item, length))
            }
            Type::List(value) | Type::Set(value) if !is_bytes(ty) => {
                within(self.column("item", value, levels)?, &DataType::List)
            }
            Type::Map(key, value) => {
                let entry = [self.column("keys", key, levels)?, self.column("values", value, levels)?];
                let Measured { of, size } = entry.into_iter().collect();
                let entries = Field::new("entries", DataType::Struct(of), false);
                Some(Measured { of: DataType::Map(Arc::new(entries), false), size })
            }
            // Put on the column by `column`.
            Type::Option(value) => self.data_type(value, levels.checked_sub(1)?),
            Type::Named(position) => match self.made.get(position) {
                Some(made) => made.clone().filter(|made| made.size.levels <= levels),
                None => {
                    self.made.insert(*position, None);
                    let made = self.definition(*position, levels)?;
                    self.made.insert(*position, Some(made.clone()));
                    Some(made)
                }
            },
            _ => Some(Measured { of: scalar(ty), size: Size::default() }),
        }
    }

    fn definition(&mut self, position: u32, levels: usize) -> Option<Measured<DataType>> {
        let schema = self.schema;
        match &schema.definitions.get(position as usize)?.body {
            Body::Struct(fields) => {
                let Measured { of, size } = self.columns(fields, levels)?;
                Some(Measured { of: DataType::Struct(of), size })
            }
            Body::Enum(variants) if variants.iter().all(|variant| variant.fields.is_empty()) => {
                let of = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
                Some(Measured { of, size: Size::default() })
            }
            Body::Enum(variants) => {
                let mut size = Size::default();
                let mut fields = Vec::new();
                for (i, variant) in variants.iter().enumerate() {
                    let columns = self.columns(&variant.fields, levels.checked_sub(1)?)?;
                    size = size.and(Size {
                        columns: columns.size.columns.saturating_add(1),
                        levels: columns.size.levels + 1,
                    });
                    let field = Field::new(&variant.name, DataType::Struct(columns.of), false);
                    // A union has at most 128 variants.
                    fields.push((i8::try_from(i).ok()?, Arc::new(field)));
                }
                let of = DataType::Union(fields.into_iter().collect::<UnionFields>(), UnionMode::Dense);
                Some(Measured { of, size })
            }
        }
    }
}

/// Whether a type is a column of binaries.
fn is_bytes(ty: &Type) -> bool {
    matches!(ty, Type::List(value) if **value == Type::UInt(8))
}

/// The type of a column that has no others within.
fn scalar(ty: &Type) -> DataType {
    let unit = |digits: u8| match digits {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    match ty {
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
        // Bytes; all others have parts.
        _ => DataType::Binary,
    }
}
