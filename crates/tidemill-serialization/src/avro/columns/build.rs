//! Columns that grow by values of a file.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int8Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, Time32MillisecondBuilder,
};
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{ArrayRef, ListArray, MapArray, PrimitiveArray, StructArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields, TimeUnit};

use super::entry_fields;
use super::guide::{Guide, per_second};
use crate::avro::decoder::{Decoder, Slot};
use crate::avro::error::AvroError;
use crate::avro::value::i128_of;

/// A column.
pub(super) struct Column {
    data_type: DataType,
    values: Values,
}

enum Values {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Decimal { values: Decimal128Builder, precision: u8, from: i8, to: i8 },
    Time { values: Time32MillisecondBuilder, per_second: i64 },
    Timestamp { values: Vec<i64>, nulls: NullBufferBuilder, unit: TimeUnit, from: i64, to: i64 },
    Row { fields: Fields, columns: Vec<Column>, nulls: NullBufferBuilder },
    List { field: FieldRef, item: Box<Column>, ends: Ends },
    Map { field: FieldRef, keys: StringBuilder, values: Box<Column>, ends: Ends },
}

/// Where the values of each row end.
struct Ends {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    count: usize,
}

impl Ends {
    fn new() -> Self {
        Self { offsets: vec![0], nulls: NullBufferBuilder::new(0), count: 0 }
    }

    fn close(&mut self, valid: bool) -> Result<(), AvroError> {
        let end = i32::try_from(self.count)
            .map_err(|_| AvroError::invalid("an array", "those of one batch have too many elements"))?;
        self.offsets.push(end);
        self.nulls.append(valid);
        Ok(())
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        self.count = 0;
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), self.nulls.finish())
    }
}

fn narrow<T: TryFrom<i32>>(number: i32, what: &'static str) -> Result<T, AvroError> {
    T::try_from(number).map_err(|_| AvroError::invalid(what, format!("{number} does not fit")))
}

/// A number of units as one of others; parts are cut off, towards the past.
fn converted(value: i64, from: i64, to: i64) -> Result<i64, AvroError> {
    match to >= from {
        true => value
            .checked_mul(to / from)
            .ok_or_else(|| AvroError::invalid("a timestamp", format!("{value} does not fit"))),
        false => Ok(value.div_euclid(from / to)),
    }
}

impl Column {
    pub(super) fn new(field: &Field, guide: &Guide) -> Result<Self, AvroError> {
        let unsupported = || {
            AvroError::schema(format!(
                "'{}' has a type that Avro has not: {}",
                field.name(),
                field.data_type()
            ))
        };
        let values = match (field.data_type(), guide) {
            (DataType::Boolean, _) => Values::Boolean(BooleanBuilder::new()),
            (DataType::Int8, _) => Values::Int8(Int8Builder::new()),
            (DataType::Int16, _) => Values::Int16(Int16Builder::new()),
            (DataType::Int32, _) => Values::Int32(Int32Builder::new()),
            (DataType::Int64, _) => Values::Int64(Int64Builder::new()),
            (DataType::Float32, _) => Values::Float32(Float32Builder::new()),
            (DataType::Float64, _) => Values::Float64(Float64Builder::new()),
            (DataType::Utf8, _) => Values::Text(StringBuilder::new()),
            (DataType::Binary, _) => Values::Binary(BinaryBuilder::new()),
            (DataType::Date32, _) => Values::Date(Date32Builder::new()),
            (DataType::Decimal128(precision, scale), Guide::Scale(from)) => {
                let values = Decimal128Builder::new().with_data_type(field.data_type().clone());
                Values::Decimal { values, precision: *precision, from: *from, to: *scale }
            }
            (DataType::Time32(TimeUnit::Millisecond), Guide::PerSecond(per_second)) => {
                Values::Time { values: Time32MillisecondBuilder::new(), per_second: *per_second }
            }
            (DataType::Timestamp(unit, _), Guide::PerSecond(from)) => Values::Timestamp {
                values: Vec::new(),
                nulls: NullBufferBuilder::new(0),
                unit: *unit,
                from: *from,
                to: per_second(*unit),
            },
            (DataType::Struct(fields), Guide::Row(guides)) => {
                let columns = Self::all(fields, guides)?;
                Values::Row { fields: fields.clone(), columns, nulls: NullBufferBuilder::new(0) }
            }
            (DataType::List(item), Guide::List(guide)) => Values::List {
                field: Arc::clone(item),
                item: Box::new(Self::new(item, guide)?),
                ends: Ends::new(),
            },
            (DataType::Map(entries, _), Guide::Map(guide)) => Values::Map {
                field: Arc::clone(entries),
                keys: StringBuilder::new(),
                values: Box::new(Self::new(entry_fields(entries)?.1, guide)?),
                ends: Ends::new(),
            },
            _ => return Err(unsupported()),
        };
        Ok(Self { data_type: field.data_type().clone(), values })
    }

    pub(super) fn all(fields: &Fields, guides: &[Guide]) -> Result<Vec<Self>, AvroError> {
        fields.iter().zip(guides).map(|(field, guide)| Self::new(field, guide)).collect()
    }

    /// Reads a value, which may be NULL.
    pub(super) fn read(&mut self, decoder: &mut Decoder<'_>, slot: Slot) -> Result<(), AvroError> {
        decoder.union(slot, |decoder, branch, slot| match branch {
            0 => {
                decoder.null(slot)?;
                self.push_null()
            }
            _ => self.value(decoder, slot),
        })
    }

    fn value(&mut self, decoder: &mut Decoder<'_>, slot: Slot) -> Result<(), AvroError> {
        match &mut self.values {
            Values::Boolean(all) => all.append_value(decoder.boolean(slot)?),
            Values::Int8(all) => all.append_value(narrow(decoder.int(slot)?, "a TINYINT")?),
            Values::Int16(all) => all.append_value(narrow(decoder.int(slot)?, "a SMALLINT")?),
            Values::Int32(all) => all.append_value(decoder.int(slot)?),
            Values::Int64(all) => all.append_value(decoder.long(slot)?),
            Values::Float32(all) => all.append_value(decoder.float(slot)?),
            Values::Float64(all) => all.append_value(decoder.double(slot)?),
            Values::Text(all) => all.append_value(decoder.text(slot)?),
            Values::Binary(all) => all.append_value(decoder.blob(slot)?),
            Values::Date(all) => all.append_value(decoder.int(slot)?),
            Values::Decimal { values, precision, from, to } => {
                let digits = i128_of(decoder.blob(slot)?).and_then(|digits| rescaled(digits, *from, *to));
                let fits = |digits: &i128| digits.unsigned_abs() < 10u128.pow(u32::from(*precision));
                match digits.filter(fits) {
                    Some(digits) => values.append_value(digits),
                    None => {
                        let detail = format!("it has more digits than a DECIMAL({precision}, {to})");
                        return Err(AvroError::invalid("a decimal", detail));
                    }
                }
            }
            Values::Time { values, per_second: 1000 } => values.append_value(decoder.int(slot)?),
            Values::Time { values, per_second } => {
                let millis = converted(decoder.long(slot)?, *per_second, 1000)?;
                let wrong = |_| AvroError::invalid("a time", format!("{millis} does not fit"));
                values.append_value(i32::try_from(millis).map_err(wrong)?);
            }
            Values::Timestamp { values, nulls, from, to, .. } => {
                values.push(converted(decoder.long(slot)?, *from, *to)?);
                nulls.append_non_null();
            }
            Values::Row { columns, nulls, .. } => {
                read_row(columns, decoder, slot)?;
                nulls.append_non_null();
            }
            Values::List { item, ends, .. } => {
                decoder.elements(slot, |decoder, slot| {
                    ends.count += 1;
                    item.read(decoder, slot)
                })?;
                ends.close(true)?;
            }
            Values::Map { keys, values, ends, .. } => {
                decoder.entries(slot, |decoder, key, slot| {
                    ends.count += 1;
                    keys.append_value(key);
                    values.read(decoder, slot)
                })?;
                ends.close(true)?;
            }
        }
        Ok(())
    }

    fn push_null(&mut self) -> Result<(), AvroError> {
        match &mut self.values {
            Values::Boolean(all) => all.append_null(),
            Values::Int8(all) => all.append_null(),
            Values::Int16(all) => all.append_null(),
            Values::Int32(all) => all.append_null(),
            Values::Int64(all) => all.append_null(),
            Values::Float32(all) => all.append_null(),
            Values::Float64(all) => all.append_null(),
            Values::Text(all) => all.append_null(),
            Values::Binary(all) => all.append_null(),
            Values::Date(all) => all.append_null(),
            Values::Decimal { values, .. } => values.append_null(),
            Values::Time { values, .. } => values.append_null(),
            Values::Timestamp { values, nulls, .. } => {
                values.push(0);
                nulls.append_null();
            }
            Values::Row { columns, nulls, .. } => {
                columns.iter_mut().try_for_each(Self::push_null)?;
                nulls.append_null();
            }
            Values::List { ends, .. } | Values::Map { ends, .. } => ends.close(false)?,
        }
        Ok(())
    }

    /// The values as an array; there are none after it.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, AvroError> {
        let wrong = |error: arrow_schema::ArrowError| AvroError::schema(error.to_string());
        Ok(match &mut self.values {
            Values::Boolean(all) => Arc::new(all.finish()),
            Values::Int8(all) => Arc::new(all.finish()),
            Values::Int16(all) => Arc::new(all.finish()),
            Values::Int32(all) => Arc::new(all.finish()),
            Values::Int64(all) => Arc::new(all.finish()),
            Values::Float32(all) => Arc::new(all.finish()),
            Values::Float64(all) => Arc::new(all.finish()),
            Values::Text(all) => Arc::new(all.finish()),
            Values::Binary(all) => Arc::new(all.finish()),
            Values::Date(all) => Arc::new(all.finish()),
            Values::Decimal { values, .. } => Arc::new(values.finish()),
            Values::Time { values, .. } => Arc::new(values.finish()),
            Values::Timestamp { values, nulls, unit, .. } => {
                let (values, nulls) = (ScalarBuffer::from(std::mem::take(values)), nulls.finish());
                let to = self.data_type.clone();
                match unit {
                    TimeUnit::Second => {
                        Arc::new(PrimitiveArray::<TimestampSecondType>::new(values, nulls).with_data_type(to))
                    }
                    TimeUnit::Millisecond => Arc::new(
                        PrimitiveArray::<TimestampMillisecondType>::new(values, nulls).with_data_type(to),
                    ),
                    TimeUnit::Microsecond => Arc::new(
                        PrimitiveArray::<TimestampMicrosecondType>::new(values, nulls).with_data_type(to),
                    ),
                    TimeUnit::Nanosecond => Arc::new(
                        PrimitiveArray::<TimestampNanosecondType>::new(values, nulls).with_data_type(to),
                    ),
                }
            }
            Values::Row { fields, columns, nulls } => {
                let rows = nulls.len();
                let nulls = nulls.finish();
                let columns = columns.iter_mut().map(Self::finish).collect::<Result<Vec<_>, _>>()?;
                let rows = StructArray::try_new_with_length(fields.clone(), columns, nulls, rows);
                Arc::new(rows.map_err(wrong)?)
            }
            Values::List { field, item, ends } => {
                let (offsets, nulls) = ends.take();
                let list = ListArray::try_new(Arc::clone(field), offsets, item.finish()?, nulls);
                Arc::new(list.map_err(wrong)?)
            }
            Values::Map { field, keys, values, ends } => {
                let (offsets, nulls) = ends.take();
                let columns: Vec<ArrayRef> = vec![Arc::new(keys.finish()), values.finish()?];
                let DataType::Struct(fields) = field.data_type() else {
                    return Err(AvroError::schema("the entries of a map are no rows"));
                };
                let entries = StructArray::try_new(fields.clone(), columns, None).map_err(wrong)?;
                let sorted = matches!(self.data_type, DataType::Map(_, true));
                Arc::new(
                    MapArray::try_new(Arc::clone(field), offsets, entries, nulls, sorted).map_err(wrong)?,
                )
            }
        })
    }
}

/// Reads a record into the columns of its fields.
pub(super) fn read_row(
    columns: &mut [Column],
    decoder: &mut Decoder<'_>,
    slot: Slot,
) -> Result<(), AvroError> {
    decoder.record(slot, |decoder, mut fields| {
        while let Some(field) = decoder.next_field(&mut fields)? {
            let Some(column) = columns.get_mut(field.position) else {
                return Err(AvroError::schema("a record has more fields than there are columns"));
            };
            decoder.field(field, |decoder, slot| column.read(decoder, slot))?;
        }
        Ok(())
    })
}

/// A decimal with another scale; `None` when it does not fit, or would lose digits.
fn rescaled(digits: i128, from: i8, to: i8) -> Option<i128> {
    let factor = 10i128.checked_pow(u32::from(from.abs_diff(to)))?;
    match to >= from {
        true => digits.checked_mul(factor),
        false => (digits % factor == 0).then(|| digits / factor),
    }
}
