//! [`ColumnWriter`]: writes batches as records.

use std::fmt;
use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, BinaryArray, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, SchemaRef, TimeUnit};

use super::AvroColumns;
use crate::avro::bytes::{put_blob, put_long};
use crate::avro::container::{Codec, ContainerWriter};
use crate::avro::error::AvroError;

/// Writes rows of columns as the records of a file. The example of the [module](super) writes with it.
pub struct ColumnWriter<W> {
    file: ContainerWriter<W>,
    schema: SchemaRef,
}

impl<W: Write> ColumnWriter<W> {
    /// Begins a file of rows of these columns.
    ///
    /// # Errors
    /// When a column has a type that Avro does not.
    pub fn new(out: W, schema: &SchemaRef, types: &AvroColumns, codec: Codec) -> Result<Self, AvroError> {
        let file = ContainerWriter::new(out, &types.schema(schema)?).codec(codec);
        Ok(Self { file, schema: SchemaRef::clone(schema) })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When they have other columns, or the file cannot be written.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), AvroError> {
        let expected = self.schema.fields().iter().map(|field| field.data_type());
        let found = rows.columns().iter().map(|column| column.data_type());
        if !expected.eq(found) {
            return Err(AvroError::schema(format!(
                "rows have the columns {:?} instead of {:?}",
                rows.schema_ref().fields(),
                self.schema.fields()
            )));
        }
        let columns = rows.columns().iter().zip(self.schema.fields());
        let columns: Vec<Encoder<'_>> = columns
            .map(|(column, field)| Encoder::of(column.as_ref(), field.is_nullable()))
            .collect::<Result<_, _>>()?;
        for row in 0..rows.num_rows() {
            self.file.write_encoded(|out| columns.iter().for_each(|column| column.put(row, out)))?;
        }
        Ok(())
    }

    /// How many bytes are waiting to be compressed and written.
    pub fn waiting(&self) -> usize {
        self.file.waiting()
    }

    /// Where it is written to.
    pub fn get_ref(&self) -> &W {
        self.file.get_ref()
    }

    /// Writes the last block.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<W, AvroError> {
        self.file.finish()
    }
}

impl<W> fmt::Debug for ColumnWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ColumnWriter({:?})", self.schema.fields())
    }
}

/// A column, downcast once.
struct Encoder<'a> {
    array: &'a dyn Array,
    /// Whether the branch of the union with null is written before each value.
    nullable: bool,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Boolean(&'a BooleanArray),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Decimal(&'a [i128]),
    Row(Vec<Encoder<'a>>),
    List(&'a [i32], Box<Encoder<'a>>),
    Map(&'a [i32], &'a StringArray, Box<Encoder<'a>>),
}

impl<'a> Encoder<'a> {
    fn of(array: &'a dyn Array, nullable: bool) -> Result<Self, AvroError> {
        let unsupported = || AvroError::schema(format!("Avro has no type for {}", array.data_type()));
        let kind = match array.data_type() {
            DataType::Boolean => Kind::Boolean(array.as_boolean()),
            DataType::Int8 => Kind::Int8(array.as_primitive::<Int8Type>().values()),
            DataType::Int16 => Kind::Int16(array.as_primitive::<Int16Type>().values()),
            DataType::Int32 => Kind::Int32(array.as_primitive::<Int32Type>().values()),
            DataType::Date32 => Kind::Int32(array.as_primitive::<Date32Type>().values()),
            DataType::Time32(TimeUnit::Millisecond) => {
                Kind::Int32(array.as_primitive::<Time32MillisecondType>().values())
            }
            DataType::Int64 => Kind::Int64(array.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Kind::Int64(array.as_primitive::<TimestampMillisecondType>().values())
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Kind::Int64(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            DataType::Float32 => Kind::Float32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Kind::Float64(array.as_primitive::<Float64Type>().values()),
            DataType::Utf8 => Kind::Text(array.as_string()),
            DataType::Binary => Kind::Binary(array.as_binary()),
            DataType::Decimal128(..) => Kind::Decimal(array.as_primitive::<Decimal128Type>().values()),
            DataType::Struct(fields) => {
                let rows = array.as_struct().columns().iter().zip(fields);
                let of = rows.map(|(column, field)| Self::of(column.as_ref(), field.is_nullable()));
                Kind::Row(of.collect::<Result<_, _>>()?)
            }
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                let items = Self::of(list.values().as_ref(), item.is_nullable())?;
                Kind::List(list.value_offsets(), Box::new(items))
            }
            DataType::Map(entries, _) => {
                let map = array.as_map();
                let (_, value) = super::entry_fields(entries)?;
                let keys = map.keys().as_string_opt::<i32>().ok_or_else(unsupported)?;
                let values = Self::of(map.values().as_ref(), value.is_nullable())?;
                Kind::Map(map.value_offsets(), keys, Box::new(values))
            }
            _ => return Err(unsupported()),
        };
        Ok(Self { array, nullable, kind })
    }

    fn put(&self, row: usize, out: &mut Vec<u8>) {
        if self.nullable {
            if self.array.is_null(row) {
                out.push(0);
                return;
            }
            out.push(2);
        }
        match &self.kind {
            Kind::Boolean(all) => out.push(u8::from(all.value(row))),
            Kind::Int8(all) => put_long(all[row].into(), out),
            Kind::Int16(all) => put_long(all[row].into(), out),
            Kind::Int32(all) => put_long(all[row].into(), out),
            Kind::Int64(all) => put_long(all[row], out),
            Kind::Float32(all) => out.extend_from_slice(&all[row].to_le_bytes()),
            Kind::Float64(all) => out.extend_from_slice(&all[row].to_le_bytes()),
            Kind::Text(all) => put_blob(all.value(row).as_bytes(), out),
            Kind::Binary(all) => put_blob(all.value(row), out),
            Kind::Decimal(all) => put_decimal(all[row], out),
            Kind::Row(fields) => fields.iter().for_each(|field| field.put(row, out)),
            Kind::List(ends, items) => {
                let elements = range(ends, row);
                if !elements.is_empty() {
                    put_long(elements.len() as i64, out);
                    elements.for_each(|element| items.put(element, out));
                }
                out.push(0);
            }
            Kind::Map(ends, keys, values) => {
                let entries = range(ends, row);
                if !entries.is_empty() {
                    put_long(entries.len() as i64, out);
                    for entry in entries {
                        put_blob(keys.value(entry).as_bytes(), out);
                        values.put(entry, out);
                    }
                }
                out.push(0);
            }
        }
    }
}

fn range(ends: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| usize::try_from(ends[row]).unwrap_or(0);
    at(row)..at(row + 1)
}

/// The fewest bytes, big endian, that hold a number.
fn put_decimal(number: i128, out: &mut Vec<u8>) {
    let all = number.to_be_bytes();
    let spare = if number < 0 { number.leading_ones() } else { number.leading_zeros() };
    // One bit for the sign.
    put_blob(&all[(spare as usize - 1) / 8..], out);
}
