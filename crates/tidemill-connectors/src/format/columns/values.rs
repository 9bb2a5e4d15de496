//! What a column has so far, by its type.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, NullArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields as FieldRefs, IntervalUnit, TimeUnit};

use super::{Column, Fields};

/// Fixed-width values.
pub(super) struct Fixed<T: ArrowPrimitiveType> {
    pub(super) values: Vec<T::Native>,
}

impl<T: ArrowPrimitiveType> Fixed<T> {
    fn new() -> Self {
        Self { values: Vec::new() }
    }

    fn fill(&mut self, rows: usize) {
        self.values.resize(rows, T::Native::default());
    }

    fn finish(&mut self, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        let values = std::mem::take(&mut self.values);
        // The next batch will likely have as many rows.
        self.values.reserve(values.len());
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls);
        Arc::new(array.with_data_type(data_type.clone()))
    }
}

/// Where the values of each row end among those of all rows.
pub(super) struct Ends(Vec<i32>);

impl Ends {
    fn new() -> Self {
        Self(vec![0])
    }

    /// Ends a row at so many values.
    pub(super) fn close(&mut self, values: usize) {
        // Batches are bounded far below what an offset can say.
        self.0.push(i32::try_from(values).unwrap_or(i32::MAX));
    }

    fn fill(&mut self, rows: usize) {
        let end = self.0.last().copied().unwrap_or(0);
        self.0.resize(rows + 1, end);
    }

    /// How many values the rows have together.
    pub(super) fn last(&self) -> usize {
        self.0.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
    }

    fn truncate(&mut self, rows: usize) -> usize {
        self.0.truncate(rows + 1);
        self.last()
    }

    fn take(&mut self) -> OffsetBuffer<i32> {
        let rows = self.0.len();
        let ends = std::mem::replace(&mut self.0, Vec::with_capacity(rows));
        self.0.push(0);
        OffsetBuffer::new(ScalarBuffer::from(ends))
    }
}

/// Bytes of varying width.
pub(super) struct Varying {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Ends,
}

impl Varying {
    fn new() -> Self {
        Self { bytes: Vec::new(), ends: Ends::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.close(self.bytes.len());
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        let end = self.ends.truncate(rows);
        self.bytes.truncate(end);
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes.reserve(bytes.len());
        (self.ends.take(), Buffer::from_vec(bytes))
    }

    /// The bytes of a row.
    pub(super) fn get(&self, row: usize) -> &[u8] {
        let place = |row: usize| self.ends.0.get(row).and_then(|end| usize::try_from(*end).ok());
        match (place(row), place(row + 1)) {
            (Some(start), Some(end)) => self.bytes.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// The elements of arrays.
pub(crate) struct List {
    pub(super) field: FieldRef,
    pub(super) ends: Ends,
    pub(crate) item: Box<Column>,
}

/// The entries of maps.
pub(crate) struct Map {
    pub(super) field: FieldRef,
    pub(super) ends: Ends,
    pub(crate) keys: Box<Column>,
    pub(crate) values: Box<Column>,
}

pub(super) enum Values {
    Null,
    Boolean(BooleanBufferBuilder),
    Int8(Fixed<Int8Type>),
    Int16(Fixed<Int16Type>),
    Int32(Fixed<Int32Type>),
    Int64(Fixed<Int64Type>),
    UInt8(Fixed<UInt8Type>),
    UInt16(Fixed<UInt16Type>),
    UInt32(Fixed<UInt32Type>),
    UInt64(Fixed<UInt64Type>),
    Float32(Fixed<Float32Type>),
    Float64(Fixed<Float64Type>),
    Decimal(Fixed<Decimal128Type>, u8, i8),
    Date(Fixed<Date32Type>),
    Time(Fixed<Time32MillisecondType>),
    Second(Fixed<TimestampSecondType>),
    Milli(Fixed<TimestampMillisecondType>),
    Micro(Fixed<TimestampMicrosecondType>),
    Nano(Fixed<TimestampNanosecondType>),
    Months(Fixed<IntervalYearMonthType>),
    Millis(Fixed<DurationMillisecondType>),
    Text(Varying),
    Binary(Varying),
    Row(FieldRefs, Fields),
    List(List),
    Map(Map),
}

/// Matches values, with one arm for all of a fixed width.
macro_rules! by_width {
    ($values:expr, $all:ident => $fixed:expr, { $($other:tt)* }) => {
        match $values {
            Values::Int8($all) => $fixed,
            Values::Int16($all) => $fixed,
            Values::Int32($all) => $fixed,
            Values::Int64($all) => $fixed,
            Values::UInt8($all) => $fixed,
            Values::UInt16($all) => $fixed,
            Values::UInt32($all) => $fixed,
            Values::UInt64($all) => $fixed,
            Values::Float32($all) => $fixed,
            Values::Float64($all) => $fixed,
            Values::Decimal($all, ..) => $fixed,
            Values::Date($all) => $fixed,
            Values::Time($all) => $fixed,
            Values::Second($all) => $fixed,
            Values::Milli($all) => $fixed,
            Values::Micro($all) => $fixed,
            Values::Nano($all) => $fixed,
            Values::Months($all) => $fixed,
            Values::Millis($all) => $fixed,
            $($other)*
        }
    };
}

/// The key and the value of a map's entries.
pub(crate) fn entry_fields(entries: &Field) -> Option<(&FieldRef, &FieldRef)> {
    match entries.data_type() {
        DataType::Struct(fields) => match fields.as_ref() {
            [key, value] => Some((key, value)),
            _ => None,
        },
        _ => None,
    }
}

impl Values {
    /// `None` for what no format has; `path` names the column.
    pub(super) fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int8 => Values::Int8(Fixed::new()),
            DataType::Int16 => Values::Int16(Fixed::new()),
            DataType::Int32 => Values::Int32(Fixed::new()),
            DataType::Int64 => Values::Int64(Fixed::new()),
            DataType::UInt8 => Values::UInt8(Fixed::new()),
            DataType::UInt16 => Values::UInt16(Fixed::new()),
            DataType::UInt32 => Values::UInt32(Fixed::new()),
            DataType::UInt64 => Values::UInt64(Fixed::new()),
            DataType::Float32 => Values::Float32(Fixed::new()),
            DataType::Float64 => Values::Float64(Fixed::new()),
            DataType::Decimal128(precision, scale) => Values::Decimal(Fixed::new(), *precision, *scale),
            DataType::Date32 => Values::Date(Fixed::new()),
            DataType::Time32(TimeUnit::Millisecond) => Values::Time(Fixed::new()),
            DataType::Timestamp(TimeUnit::Second, _) => Values::Second(Fixed::new()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Values::Milli(Fixed::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Values::Micro(Fixed::new()),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Values::Nano(Fixed::new()),
            DataType::Interval(IntervalUnit::YearMonth) => Values::Months(Fixed::new()),
            DataType::Duration(TimeUnit::Millisecond) => Values::Millis(Fixed::new()),
            DataType::Utf8 => Values::Text(Varying::new()),
            DataType::Binary => Values::Binary(Varying::new()),
            DataType::Struct(fields) => Values::Row(fields.clone(), Fields::new(fields)?),
            DataType::List(field) => Values::List(List {
                field: Arc::clone(field),
                ends: Ends::new(),
                item: Box::new(Column::new(field)?),
            }),
            DataType::Map(field, _) => {
                let (key, value) = entry_fields(field)?;
                Values::Map(Map {
                    field: Arc::clone(field),
                    ends: Ends::new(),
                    keys: Box::new(Column::new(key)?),
                    values: Box::new(Column::new(value)?),
                })
            }
            _ => return None,
        })
    }

    /// Appends what stands for NULL until there are so many rows. The columns of a row are filled later: by
    /// its next value, or at the end of the batch.
    pub(super) fn fill(&mut self, rows: usize) {
        by_width!(self, all => all.fill(rows), {
            Values::Null | Values::Row(..) => {}
            Values::Boolean(values) => values.resize(rows),
            Values::Text(all) | Values::Binary(all) => all.ends.fill(rows),
            Values::List(list) => list.ends.fill(rows),
            Values::Map(map) => map.ends.fill(rows),
        })
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        by_width!(self, all => all.values.truncate(rows), {
            Values::Null => {}
            Values::Boolean(values) => values.truncate(rows),
            Values::Text(all) | Values::Binary(all) => all.truncate(rows),
            Values::Row(_, fields) => fields.columns.iter_mut().for_each(|column| column.truncate(rows)),
            Values::List(list) => {
                let values = list.ends.truncate(rows);
                list.item.truncate(values);
            }
            Values::Map(map) => {
                let values = map.ends.truncate(rows);
                map.keys.truncate(values);
                map.values.truncate(values);
            }
        })
    }

    /// The rows as an array; there are none after it.
    pub(super) fn finish(
        &mut self,
        data_type: &DataType,
        nulls: Option<NullBuffer>,
        rows: usize,
    ) -> Result<ArrayRef, ArrowError> {
        Ok(by_width!(self, all => all.finish(data_type, nulls), {
            Values::Null => Arc::new(NullArray::new(rows)),
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Text(all) => {
                let (ends, bytes) = all.take();
                Arc::new(StringArray::try_new(ends, bytes, nulls)?)
            }
            Values::Binary(all) => {
                let (ends, bytes) = all.take();
                Arc::new(BinaryArray::try_new(ends, bytes, nulls)?)
            }
            Values::Row(refs, fields) => {
                let arrays = fields.finish(rows)?;
                Arc::new(StructArray::try_new_with_length(refs.clone(), arrays, nulls, rows)?)
            }
            Values::List(list) => {
                let (field, values) = (Arc::clone(&list.field), list.ends.last());
                Arc::new(ListArray::try_new(field, list.ends.take(), list.item.finish(values)?, nulls)?)
            }
            Values::Map(map) => {
                let count = map.ends.last();
                let entries = vec![map.keys.finish(count)?, map.values.finish(count)?];
                let DataType::Struct(fields) = map.field.data_type() else {
                    return Err(ArrowError::SchemaError("the entries of a map are no rows".to_owned()));
                };
                let entries = StructArray::try_new_with_length(fields.clone(), entries, None, count)?;
                let ordered = matches!(data_type, DataType::Map(_, true));
                Arc::new(MapArray::try_new(Arc::clone(&map.field), map.ends.take(), entries, nulls, ordered)?)
            }
        }))
    }
}
