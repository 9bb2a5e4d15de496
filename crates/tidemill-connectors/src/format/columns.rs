//! Columns that grow row by row from text, and can lose their last row again.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

use crate::error::ConnectorError;
use crate::format::text::{self, BadValue, TimestampFormat};

const SUPPORTED: &str = "BOOLEAN, integers, floats, strings, timestamps, Date32 and binaries";

/// Fixed-width values.
struct Fixed<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
}

impl<T: ArrowPrimitiveType> Fixed<T> {
    fn new() -> Self {
        Self { values: Vec::new() }
    }

    fn finish(&mut self, data_type: &DataType, nulls: Option<NullBuffer>) -> ArrayRef {
        let values = std::mem::take(&mut self.values);
        // The next batch will likely have as many rows.
        self.values.reserve(values.len());
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls);
        Arc::new(array.with_data_type(data_type.clone()))
    }
}

/// Bytes of varying width.
struct Varying {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Varying {
    fn new() -> Self {
        Self { bytes: Vec::new(), ends: vec![0] }
    }

    fn close(&mut self) {
        // Batches are bounded far below what an offset can say.
        self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    fn truncate(&mut self, rows: usize) {
        if self.ends.len() > rows + 1 {
            self.ends.truncate(rows + 1);
        }
        let end = self.ends.last().copied().and_then(|end| usize::try_from(end).ok()).unwrap_or(0);
        self.bytes.truncate(end);
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bytes.reserve(bytes.len());
        let rows = self.ends.len();
        let ends = std::mem::replace(&mut self.ends, Vec::with_capacity(rows));
        self.ends.push(0);
        (OffsetBuffer::new(ScalarBuffer::from(ends)), Buffer::from_vec(bytes))
    }
}

enum Values {
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
    Date(Fixed<Date32Type>),
    Second(Fixed<TimestampSecondType>),
    Milli(Fixed<TimestampMillisecondType>),
    Micro(Fixed<TimestampMicrosecondType>),
    Nano(Fixed<TimestampNanosecondType>),
    Text(Varying),
    Binary(Varying),
}

/// One column.
pub(crate) struct Column {
    pub(crate) name: Arc<str>,
    data_type: DataType,
    pub(crate) nullable: bool,
    values: Values,
    nulls: NullBufferBuilder,
    rows: usize,
}

/// The columns of a schema, row by row.
pub(crate) struct Columns {
    schema: SchemaRef,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: usize,
}

impl Columns {
    pub(crate) fn new(schema: &SchemaRef, format: &'static str) -> Result<Self, ConnectorError> {
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                Ok(Column {
                    name: field.name().as_str().into(),
                    data_type: field.data_type().clone(),
                    nullable: field.is_nullable(),
                    values: Values::new(field.data_type()).ok_or_else(|| {
                        ConnectorError::UnsupportedType {
                            column: field.name().clone(),
                            data_type: field.data_type().to_string(),
                            format,
                            supported: SUPPORTED,
                        }
                    })?,
                    nulls: NullBufferBuilder::new(0),
                    rows: 0,
                })
            })
            .collect::<Result<_, ConnectorError>>()?;
        Ok(Self { schema: Arc::clone(schema), columns, rows: 0 })
    }

    /// Counts the row that all columns have got a value for.
    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Removes what the columns have of a row that has not been ended.
    pub(crate) fn abandon_row(&mut self) {
        let rows = self.rows;
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// The rows as a batch; the columns are empty after it.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, OperatorError> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| internal(&error))
    }
}

/// What arrow refuses although it was built by its rules.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> OperatorError {
    OperatorError::new(
        "TM-CONNECTOR-COLUMNS",
        Fault::Internal,
        format!("columns do not make a batch: {error}"),
    )
}

impl Values {
    fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
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
            DataType::Date32 => Values::Date(Fixed::new()),
            DataType::Timestamp(TimeUnit::Second, _) => Values::Second(Fixed::new()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Values::Milli(Fixed::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Values::Micro(Fixed::new()),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Values::Nano(Fixed::new()),
            DataType::Utf8 => Values::Text(Varying::new()),
            DataType::Binary => Values::Binary(Varying::new()),
            _ => return None,
        })
    }
}

#[cold]
#[inline(never)]
fn bad<T>(text: &[u8], reason: &'static str) -> Result<T, BadValue> {
    Err(BadValue::new(text, reason))
}

fn whole<T: TryFrom<i64>>(text: &[u8], bounds: &'static str) -> Result<T, BadValue> {
    let trimmed = text.trim_ascii();
    match text::integer(trimmed) {
        Some(value) => T::try_from(value).or_else(|_| bad(text, bounds)),
        None if text::is_integer(trimmed) => bad(text, bounds),
        None => bad(text, "is not an integer"),
    }
}

fn float<T: std::str::FromStr>(text: &[u8]) -> Result<T, BadValue> {
    text::float(text.trim_ascii()).map_or_else(|| bad(text, "is not a number"), Ok)
}

fn instant(text: &[u8], only: Option<TimestampFormat>, per_second: i64) -> Result<i64, BadValue> {
    let trimmed = text.trim_ascii();
    let Some((seconds, nanos)) = text::instant(trimmed, only) else {
        return bad(
            text,
            match only {
                None => {
                    "is not a timestamp: those are written as 2013-01-31T14:05:00Z or 2013-01-31 14:05:00.123"
                }
                Some(TimestampFormat::Sql) => {
                    "is not a timestamp of the form 2013-01-31 14:05:00.123, which 'json.timestamp-format.standard' = 'SQL' asks for"
                }
                Some(TimestampFormat::Iso8601) => {
                    "is not a timestamp of the form 2013-01-31T14:05:00.123Z, which 'json.timestamp-format.standard' = 'ISO-8601' asks for"
                }
            },
        );
    };
    let parts = i64::from(nanos) / (1_000_000_000 / per_second);
    seconds
        .checked_mul(per_second)
        .and_then(|value| value.checked_add(parts))
        .map_or_else(|| bad(text, "is outside of the years that the column can hold"), Ok)
}

impl Column {
    /// Whether the column holds text, for which the empty text is a value.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(_))
    }

    /// Whether the column holds text or numbers as such: what is not quoted in JSON.
    pub(crate) fn is_boolean_or_number(&self) -> bool {
        !matches!(
            self.values,
            Values::Text(_)
                | Values::Binary(_)
                | Values::Date(_)
                | Values::Second(_)
                | Values::Milli(_)
                | Values::Micro(_)
                | Values::Nano(_)
        )
    }

    /// How many values the column has.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Appends the value that a text stands for.
    #[inline]
    pub(crate) fn push(&mut self, text: &[u8], only: Option<TimestampFormat>) -> Result<(), BadValue> {
        match &mut self.values {
            Values::Boolean(values) => match text::boolean(text.trim_ascii()) {
                Some(value) => values.append(value),
                None => return bad(text, "is neither true nor false"),
            },
            Values::Int8(all) => all.values.push(whole(text, "is not between -128 and 127")?),
            Values::Int16(all) => all.values.push(whole(text, "is not between -32768 and 32767")?),
            Values::Int32(all) => all.values.push(whole(text, "does not fit into 32 bits")?),
            Values::Int64(all) => all.values.push(whole(text, "does not fit into 64 bits")?),
            Values::UInt8(all) => all.values.push(whole(text, "is not between 0 and 255")?),
            Values::UInt16(all) => all.values.push(whole(text, "is not between 0 and 65535")?),
            Values::UInt32(all) => all.values.push(whole(text, "is not between 0 and 4294967295")?),
            Values::UInt64(all) => match text::unsigned(text.trim_ascii()) {
                Some(value) => all.values.push(value),
                None if text::is_integer(text.trim_ascii()) => {
                    return bad(text, "is negative or does not fit into 64 bits");
                }
                None => return bad(text, "is not an integer"),
            },
            Values::Float32(all) => all.values.push(float(text)?),
            Values::Float64(all) => all.values.push(float(text)?),
            Values::Date(all) => match text::date(text.trim_ascii()) {
                Some(value) => all.values.push(value),
                None => return bad(text, "is not a date of the form 2013-01-31"),
            },
            Values::Second(all) => all.values.push(instant(text, only, 1)?),
            Values::Milli(all) => all.values.push(instant(text, only, 1000)?),
            Values::Micro(all) => all.values.push(instant(text, only, 1_000_000)?),
            Values::Nano(all) => all.values.push(instant(text, only, 1_000_000_000)?),
            Values::Text(all) => {
                if std::str::from_utf8(text).is_err() {
                    return bad(text, "is not valid UTF-8");
                }
                all.bytes.extend_from_slice(text);
                all.close();
            }
            Values::Binary(all) => {
                if BASE64.decode_vec(text.trim_ascii(), &mut all.bytes).is_err() {
                    all.truncate(self.rows);
                    return bad(text, "is not Base64, as binaries are written");
                }
                all.close();
            }
        }
        self.nulls.append_non_null();
        self.rows += 1;
        Ok(())
    }

    /// Appends NULL, which the caller knows to be allowed.
    pub(crate) fn push_null(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int8(all) => all.values.push(0),
            Values::Int16(all) => all.values.push(0),
            Values::Int32(all) => all.values.push(0),
            Values::Int64(all) => all.values.push(0),
            Values::UInt8(all) => all.values.push(0),
            Values::UInt16(all) => all.values.push(0),
            Values::UInt32(all) => all.values.push(0),
            Values::UInt64(all) => all.values.push(0),
            Values::Float32(all) => all.values.push(0.0),
            Values::Float64(all) => all.values.push(0.0),
            Values::Date(all) => all.values.push(0),
            Values::Second(all) => all.values.push(0),
            Values::Milli(all) => all.values.push(0),
            Values::Micro(all) => all.values.push(0),
            Values::Nano(all) => all.values.push(0),
            Values::Text(all) | Values::Binary(all) => all.close(),
        }
        self.nulls.append_null();
        self.rows += 1;
    }

    /// Forgets all rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if self.rows <= rows {
            return;
        }
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int8(all) => all.values.truncate(rows),
            Values::Int16(all) => all.values.truncate(rows),
            Values::Int32(all) => all.values.truncate(rows),
            Values::Int64(all) => all.values.truncate(rows),
            Values::UInt8(all) => all.values.truncate(rows),
            Values::UInt16(all) => all.values.truncate(rows),
            Values::UInt32(all) => all.values.truncate(rows),
            Values::UInt64(all) => all.values.truncate(rows),
            Values::Float32(all) => all.values.truncate(rows),
            Values::Float64(all) => all.values.truncate(rows),
            Values::Date(all) => all.values.truncate(rows),
            Values::Second(all) => all.values.truncate(rows),
            Values::Milli(all) => all.values.truncate(rows),
            Values::Micro(all) => all.values.truncate(rows),
            Values::Nano(all) => all.values.truncate(rows),
            Values::Text(all) | Values::Binary(all) => all.truncate(rows),
        }
        self.nulls.truncate(rows);
        self.rows = rows;
    }

    fn finish(&mut self) -> Result<ArrayRef, OperatorError> {
        let nulls = self.nulls.finish();
        self.rows = 0;
        let data_type = &self.data_type;
        Ok(match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int8(all) => all.finish(data_type, nulls),
            Values::Int16(all) => all.finish(data_type, nulls),
            Values::Int32(all) => all.finish(data_type, nulls),
            Values::Int64(all) => all.finish(data_type, nulls),
            Values::UInt8(all) => all.finish(data_type, nulls),
            Values::UInt16(all) => all.finish(data_type, nulls),
            Values::UInt32(all) => all.finish(data_type, nulls),
            Values::UInt64(all) => all.finish(data_type, nulls),
            Values::Float32(all) => all.finish(data_type, nulls),
            Values::Float64(all) => all.finish(data_type, nulls),
            Values::Date(all) => all.finish(data_type, nulls),
            Values::Second(all) => all.finish(data_type, nulls),
            Values::Milli(all) => all.finish(data_type, nulls),
            Values::Micro(all) => all.finish(data_type, nulls),
            Values::Nano(all) => all.finish(data_type, nulls),
            Values::Text(all) => {
                let (ends, bytes) = all.take();
                Arc::new(StringArray::try_new(ends, bytes, nulls).map_err(|error| internal(&error))?)
            }
            Values::Binary(all) => {
                let (ends, bytes) = all.take();
                Arc::new(BinaryArray::try_new(ends, bytes, nulls).map_err(|error| internal(&error))?)
            }
        })
    }
}
