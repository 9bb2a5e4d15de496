//! Rows as bytes: what keys, state and the channels between tasks hold.
//!
//! A row is a bit for each column that says whether it is NULL (rounded up to whole bytes, lowest bit first), then the values
//! of the columns that are not:
//!
//! | column | bytes |
//! |---|---|
//! | booleans | 1: 0 or 1 |
//! | numbers, dates, times, timestamps, intervals, decimals | their width, little endian |
//! | strings and byte strings | the length in 4 bytes, little endian, then the bytes |
//! | rows | as above |
//! | arrays and maps | the count in 4 bytes, a bit for each element that says whether it is NULL, the elements that are not |
//!
//! In keys, `-0.0` is written as `0.0` and every NaN as the same one, so that equal keys are equal bytes. Nothing of a library
//! is in this format; a golden test keeps it as it is.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBufferBuilder, Buffer, MutableBuffer, NullBufferBuilder};
use arrow_data::ArrayData;
use arrow_schema::{DataType, SchemaRef};
use smallvec::SmallVec;
use tidemill_core::element::Element;
use tidemill_core::hash::{self, RoutingHash};
use tidemill_core::{Classified, Fault};
use tidemill_serialization::schema::{SchemaBuilder, Type};
use tidemill_serialization::{Data, DecodeError, Input};

/// An encoded row. Short ones, as most keys are, take no memory of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row(SmallVec<[u8; 24]>);

impl Row {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Row(SmallVec::from_slice(bytes))
    }
}

impl Element for Row {
    const FIXED_BYTES: Option<usize> = None;

    fn logical_bytes(&self) -> usize {
        4 + self.0.len()
    }
}

impl RoutingHash for Row {
    fn routing_hash(&self) -> u64 {
        hash::bytes(&self.0)
    }
}

impl Data for Row {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::List(Box::new(Type::UInt(8)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        // As a vector of bytes, which the type says it is.
        put_length(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let length = input.length(1, "row")?;
        Ok(Row::of(input.take(length, "row")?))
    }
}

/// Appends a length as vectors have it: one byte up to 254, else five.
pub(crate) fn put_length(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short) if short < u8::MAX => out.push(short),
        _ => {
            out.push(u8::MAX);
            out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
    }
}

/// Bytes that are no row of the type that is read: damage.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a stored row is damaged: {0}")]
pub(crate) struct RowError(String);

impl Classified for RowError {
    fn code(&self) -> &'static str {
        "TM-SQL-ROW"
    }

    fn fault(&self) -> Fault {
        Fault::External
    }
}

fn damaged(what: impl Into<String>) -> RowError {
    RowError(what.into())
}

/// Reads the values of some columns, to encode rows of them.
pub(crate) struct RowWriter<'a> {
    columns: Vec<Reader<'a>>,
}

impl<'a> RowWriter<'a> {
    /// Writes rows of `columns`. `keys` says that equal values must become equal bytes.
    pub(crate) fn new(columns: impl IntoIterator<Item = &'a ArrayData>, keys: bool) -> Self {
        Self { columns: columns.into_iter().map(|data| Reader::new(data, keys)).collect() }
    }

    /// Appends row `row` to `out`.
    #[inline]
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        write_row(&self.columns, row, out);
    }

    /// Row `row`; `scratch` is emptied and used.
    pub(crate) fn row(&self, row: usize, scratch: &mut Vec<u8>) -> Row {
        scratch.clear();
        self.write(row, scratch);
        Row::of(scratch)
    }

    /// Whether a column of row `row` is NULL.
    pub(crate) fn has_null(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column.is_null(row))
    }
}

/// The data of the columns at `indices`.
pub(crate) fn column_data<'a>(
    arrays: &[ArrayRef],
    indices: impl IntoIterator<Item = &'a usize>,
) -> Vec<ArrayData> {
    indices.into_iter().filter_map(|index| arrays.get(*index)).map(|array| array.to_data()).collect()
}

fn write_row(columns: &[Reader<'_>], row: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + columns.len().div_ceil(8), 0);
    for (index, column) in columns.iter().enumerate() {
        if column.is_null(row) {
            out[start + index / 8] |= 1 << (index % 8);
        } else {
            column.write(row, out);
        }
    }
}

struct Reader<'a> {
    data: &'a ArrayData,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Boolean(&'a [u8]),
    Fixed(usize, &'a [u8]),
    Float32(&'a [u8]),
    Float64(&'a [u8]),
    Bytes(&'a [i32], &'a [u8]),
    Struct(Vec<Reader<'a>>),
    List(&'a [i32], Box<Reader<'a>>),
}

impl<'a> Reader<'a> {
    fn new(data: &'a ArrayData, keys: bool) -> Self {
        let buffer = |index: usize| data.buffers().get(index).map(Buffer::as_slice).unwrap_or_default();
        let values = match data.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(buffer(0)),
            DataType::Float32 if keys => Values::Float32(buffer(0)),
            DataType::Float64 if keys => Values::Float64(buffer(0)),
            DataType::Utf8 | DataType::Binary => {
                let offsets = if data.is_empty() { &[] } else { data.buffer::<i32>(0) };
                Values::Bytes(offsets, buffer(1))
            }
            DataType::Struct(_) => {
                Values::Struct(data.child_data().iter().map(|child| Reader::new(child, keys)).collect())
            }
            DataType::List(_) | DataType::Map(..) => match data.child_data().first() {
                Some(child) => {
                    let offsets = if data.is_empty() { &[] } else { data.buffer::<i32>(0) };
                    Values::List(offsets, Box::new(Reader::new(child, keys)))
                }
                None => Values::Null,
            },
            other => match other.primitive_width() {
                Some(width) => Values::Fixed(width, buffer(0)),
                None => Values::Null,
            },
        };
        Self { data, values }
    }

    #[inline]
    fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.data.is_null(row)
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let place = self.data.offset() + row;
        match &self.values {
            Values::Null => {}
            Values::Boolean(bits) => out.push(bits[place / 8] >> (place % 8) & 1),
            Values::Fixed(width, bytes) => out.extend_from_slice(&bytes[place * width..(place + 1) * width]),
            Values::Float32(bytes) => {
                let value = f32::from_le_bytes(fixed(&bytes[place * 4..]));
                let canonical = if value == 0.0 {
                    0
                } else if value.is_nan() {
                    0x7fc0_0000
                } else {
                    value.to_bits()
                };
                out.extend_from_slice(&canonical.to_le_bytes());
            }
            Values::Float64(bytes) => {
                let value = f64::from_le_bytes(fixed(&bytes[place * 8..]));
                let canonical = if value == 0.0 {
                    0
                } else if value.is_nan() {
                    0x7ff8_0000_0000_0000
                } else {
                    value.to_bits()
                };
                out.extend_from_slice(&canonical.to_le_bytes());
            }
            Values::Bytes(offsets, bytes) => {
                // `buffer` has applied the offset of the data to the offsets already.
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                let length = u32::try_from(end - start).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(&bytes[start..end]);
            }
            // The children of a slice are not sliced.
            Values::Struct(fields) => write_row(fields, place, out),
            Values::List(offsets, child) => {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                let count = u32::try_from(end - start).unwrap_or(u32::MAX);
                out.extend_from_slice(&count.to_le_bytes());
                let bits = out.len();
                out.resize(bits + (end - start).div_ceil(8), 0);
                for (index, element) in (start..end).enumerate() {
                    if child.is_null(element) {
                        out[bits + index / 8] |= 1 << (index % 8);
                    } else {
                        child.write(element, out);
                    }
                }
            }
        }
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

/// Makes columns of encoded rows.
pub(crate) struct RowReader {
    columns: Vec<Builder>,
    rows: usize,
}

impl RowReader {
    /// Makes columns of the types of `schema`.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        Self::of_types(schema.fields().iter().map(|field| field.data_type()))
    }

    /// Makes columns of `types`.
    pub(crate) fn of_types<'a>(types: impl IntoIterator<Item = &'a DataType>) -> Self {
        Self { columns: types.into_iter().map(Builder::new).collect(), rows: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: &[u8]) -> Result<(), RowError> {
        let mut rest = row;
        read_row(&mut self.columns, &mut rest)?;
        if !rest.is_empty() {
            return Err(damaged(format!("{} bytes are left of {}", rest.len(), row.len())));
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds a row of NULLs.
    pub(crate) fn push_nulls(&mut self) {
        self.columns.iter_mut().for_each(Builder::push_null);
        self.rows += 1;
    }

    /// The columns; the reader is empty then.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>, RowError> {
        self.rows = 0;
        self.columns.iter_mut().map(|column| Ok(make_array(column.finish()?))).collect()
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], RowError> {
    let Some((taken, left)) = rest.split_at_checked(count) else {
        return Err(damaged(format!("{count} bytes are expected, {} are left", rest.len())));
    };
    *rest = left;
    Ok(taken)
}

fn read_row(columns: &mut [Builder], rest: &mut &[u8]) -> Result<(), RowError> {
    let bits = take(rest, columns.len().div_ceil(8))?;
    for (index, column) in columns.iter_mut().enumerate() {
        if bits[index / 8] >> (index % 8) & 1 == 1 {
            column.push_null();
        } else {
            column.push(rest)?;
        }
    }
    Ok(())
}

struct Builder {
    data_type: DataType,
    nulls: NullBufferBuilder,
    values: Building,
}

enum Building {
    Null,
    Boolean(BooleanBufferBuilder),
    Fixed(usize, MutableBuffer),
    Bytes(Vec<i32>, MutableBuffer),
    Struct(Vec<Builder>),
    List(Vec<i32>, Box<Builder>),
}

impl Builder {
    fn new(data_type: &DataType) -> Self {
        let values = match data_type {
            DataType::Boolean => Building::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Utf8 | DataType::Binary => Building::Bytes(vec![0], MutableBuffer::new(0)),
            DataType::Struct(fields) => {
                Building::Struct(fields.iter().map(|field| Builder::new(field.data_type())).collect())
            }
            DataType::List(field) | DataType::Map(field, _) => {
                Building::List(vec![0], Box::new(Builder::new(field.data_type())))
            }
            other => match other.primitive_width() {
                Some(width) => Building::Fixed(width, MutableBuffer::new(0)),
                None => Building::Null,
            },
        };
        Self { data_type: data_type.clone(), nulls: NullBufferBuilder::new(0), values }
    }

    fn push_null(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            Building::Null => {}
            Building::Boolean(bits) => bits.append(false),
            Building::Fixed(width, bytes) => bytes.extend_zeros(*width),
            Building::Bytes(ends, _) | Building::List(ends, _) => {
                ends.push(ends.last().copied().unwrap_or(0))
            }
            Building::Struct(fields) => fields.iter_mut().for_each(Builder::push_null),
        }
    }

    fn push(&mut self, rest: &mut &[u8]) -> Result<(), RowError> {
        match &mut self.values {
            Building::Null => return Err(damaged("a value stands where only NULL can be")),
            Building::Boolean(bits) => bits.append(take(rest, 1)? != [0]),
            Building::Fixed(width, bytes) => bytes.extend_from_slice(take(rest, *width)?),
            Building::Bytes(ends, bytes) => {
                let length = u32::from_le_bytes(fixed(take(rest, 4)?)) as usize;
                let value = take(rest, length)?;
                if self.data_type == DataType::Utf8 && std::str::from_utf8(value).is_err() {
                    return Err(damaged("a string is not valid UTF-8"));
                }
                bytes.extend_from_slice(value);
                ends.push(end(bytes.len())?);
            }
            Building::Struct(fields) => read_row(fields, rest)?,
            Building::List(ends, child) => {
                let count = u32::from_le_bytes(fixed(take(rest, 4)?)) as usize;
                let bits = take(rest, count.div_ceil(8))?;
                for index in 0..count {
                    if bits[index / 8] >> (index % 8) & 1 == 1 {
                        child.push_null();
                    } else {
                        child.push(rest)?;
                    }
                }
                let before = ends.last().copied().unwrap_or(0) as usize;
                ends.push(end(before + count)?);
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayData, RowError> {
        let mut nulls = std::mem::replace(&mut self.nulls, NullBufferBuilder::new(0));
        let rows = nulls.len();
        let data = ArrayData::builder(self.data_type.clone()).len(rows);
        let data = match &mut self.values {
            Building::Null => data,
            Building::Boolean(bits) => data.nulls(nulls.finish()).add_buffer(bits.finish().into_inner()),
            Building::Fixed(_, bytes) => {
                data.nulls(nulls.finish()).add_buffer(std::mem::replace(bytes, MutableBuffer::new(0)).into())
            }
            Building::Bytes(ends, bytes) => data
                .nulls(nulls.finish())
                .add_buffer(Buffer::from_vec(std::mem::replace(ends, vec![0])))
                .add_buffer(std::mem::replace(bytes, MutableBuffer::new(0)).into()),
            Building::Struct(fields) => {
                let children = fields.iter_mut().map(Builder::finish).collect::<Result<_, _>>()?;
                data.nulls(nulls.finish()).child_data(children)
            }
            Building::List(ends, child) => data
                .nulls(nulls.finish())
                .add_buffer(Buffer::from_vec(std::mem::replace(ends, vec![0])))
                .add_child_data(child.finish()?),
        };
        // Checks what the values may be, such as that keys of maps are not NULL.
        data.build().map_err(|error| damaged(error.to_string()))
    }
}

fn end(length: usize) -> Result<i32, RowError> {
    i32::try_from(length).map_err(|_| damaged("a column is larger than 2 GiB"))
}

/// The name of a row's types, which is stored beside rows so that others are not taken for them.
pub(crate) fn describe_types(schema: &SchemaRef) -> Arc<str> {
    let types: Vec<String> = schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    types.join(", ").into()
}

#[cfg(test)]
mod tests;
