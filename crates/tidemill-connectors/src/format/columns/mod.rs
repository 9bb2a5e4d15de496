//! Columns that grow row by row from text, and can lose their last row again.
//!
//! A row in a row, an element of an array and an entry of a map are values of columns too: those inside of
//! the column. The columns of a row may be behind it while it is NULL; they catch up at its next value, many
//! rows at once.

mod lenient;
mod values;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::NullBufferBuilder;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields as FieldRefs, SchemaRef};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

pub(crate) use values::{List, Map, entry_fields};

use crate::decimal::{self, NoDecimal};
use crate::error::ConnectorError;
use crate::format::text::{self, BadValue, TimestampFormat};
use values::Values;

/// What types a format has, beside those of single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// Arrays and rows of single values, as one field of a line has them.
    OneLevel,
    /// All, in any depth; the keys of maps are text.
    Any,
    /// All, in any depth; the keys of maps are single values.
    AnyKeys,
}

impl Nesting {
    const fn supported(self) -> &'static str {
        match self {
            Nesting::OneLevel => {
                "BOOLEAN, numbers, decimals, strings, binaries, dates, times, timestamps, intervals, and \
                 arrays and rows of these"
            }
            Nesting::Any => {
                "BOOLEAN, numbers, decimals, strings, binaries, dates, times, timestamps, intervals, and \
                 rows, arrays and maps (with strings as keys) of any of these"
            }
            Nesting::AnyKeys => {
                "BOOLEAN, numbers, decimals, strings, binaries, dates, times, timestamps, and rows, arrays \
                 and maps of any of these"
            }
        }
    }

    /// Checks that a format has all types of a schema. `single` says which types of single values it has.
    pub(crate) fn check(
        self,
        fields: &FieldRefs,
        format: &'static str,
        single: &dyn Fn(&DataType) -> bool,
    ) -> Result<(), ConnectorError> {
        for field in fields {
            self.check_field(field, field.name(), 0, single).map_err(|(column, data_type)| {
                let supported = self.supported();
                ConnectorError::UnsupportedType { column, data_type, format, supported }
            })?;
        }
        Ok(())
    }

    fn takes_key(self, key: &DataType, single: &dyn Fn(&DataType) -> bool) -> bool {
        *key == DataType::Utf8 || self == Nesting::AnyKeys && single(key)
    }

    fn check_field(
        self,
        field: &Field,
        path: &str,
        depth: usize,
        single: &dyn Fn(&DataType) -> bool,
    ) -> Result<(), (String, String)> {
        let refuse = || Err((path.to_owned(), field.data_type().to_string()));
        let nests = matches!(field.data_type(), DataType::Struct(_) | DataType::List(_) | DataType::Map(..));
        if nests && self == Nesting::OneLevel && depth > 0 {
            return refuse();
        }
        match field.data_type() {
            DataType::Struct(fields) => fields.iter().try_for_each(|field| {
                self.check_field(field, &format!("{path}.{}", field.name()), depth + 1, single)
            }),
            DataType::List(item) => self.check_field(item, &format!("{path}[]"), depth + 1, single),
            DataType::Map(entries, _) if self != Nesting::OneLevel => match entry_fields(entries) {
                Some((key, value)) if self.takes_key(key.data_type(), single) => {
                    self.check_field(value, &format!("{path}[]"), depth + 1, single)
                }
                _ => refuse(),
            },
            other if !nests && single(other) => Ok(()),
            _ => refuse(),
        }
    }
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

/// Columns side by side: those of a schema, or of a row in a row.
pub(crate) struct Fields {
    pub(crate) columns: Vec<Column>,
    /// Whether one of them must not be NULL.
    pub(crate) has_required: bool,
    /// Where the last JSON object had its columns: the next one likely has them in the same order.
    pub(crate) order: Vec<Option<usize>>,
}

/// The columns of a schema, row by row.
pub(crate) struct Columns {
    schema: SchemaRef,
    pub(crate) fields: Fields,
    pub(crate) rows: usize,
}

/// What a column holds, to those who fill it.
pub(crate) enum Shape<'a> {
    Single,
    Row(&'a mut Fields),
    List(&'a mut List),
    Map(&'a mut Map),
}

impl Fields {
    fn new(fields: &FieldRefs) -> Option<Self> {
        let columns: Vec<Column> = fields.iter().map(Column::new).collect::<Option<_>>()?;
        let has_required = columns.iter().any(|column| !column.nullable);
        Some(Self { columns, has_required, order: Vec::new() })
    }

    fn finish(&mut self, rows: usize) -> Result<Vec<ArrayRef>, ArrowError> {
        self.columns.iter_mut().map(|column| column.finish(rows)).collect()
    }
}

impl Columns {
    pub(crate) fn new(
        schema: &SchemaRef,
        format: &'static str,
        nesting: Nesting,
    ) -> Result<Self, ConnectorError> {
        nesting.check(schema.fields(), format, &|single| Values::new(single).is_some())?;
        let fields = Fields::new(schema.fields()).ok_or_else(|| ConnectorError::UnsupportedType {
            column: schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", "),
            data_type: "other".to_owned(),
            format,
            supported: nesting.supported(),
        })?;
        Ok(Self { schema: Arc::clone(schema), fields, rows: 0 })
    }

    /// Counts the row that all columns have got a value for.
    pub(crate) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Removes what the columns have of a row that has not been ended.
    pub(crate) fn abandon_row(&mut self) {
        let rows = self.rows;
        self.fields.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// The rows as a batch; the columns are empty after it.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, OperatorError> {
        let rows = std::mem::take(&mut self.rows);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let arrays = self.fields.finish(rows);
        arrays
            .and_then(|arrays| RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options))
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

fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, BadValue> {
    decimal::parse(text.trim_ascii(), precision, scale).map_err(|why| match why {
        NoDecimal::NotANumber => BadValue::new(text, "is not a decimal number"),
        NoDecimal::OutOfRange => {
            let digits = i32::from(precision) - i32::from(scale);
            let more = format!(
                "has more than the {digits} digits before the point that a DECIMAL({precision}, {scale}) \
                 has room for"
            );
            BadValue::new(text, more)
        }
    })
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
                    "is not a timestamp of the form 2013-01-31 14:05:00.123, which \
                     'json.timestamp-format.standard' = 'SQL' asks for"
                }
                Some(TimestampFormat::Iso8601) => {
                    "is not a timestamp of the form 2013-01-31T14:05:00.123Z, which \
                     'json.timestamp-format.standard' = 'ISO-8601' asks for"
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
    fn new(field: &FieldRef) -> Option<Self> {
        Some(Self {
            name: field.name().as_str().into(),
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
            values: Values::new(field.data_type())?,
            nulls: NullBufferBuilder::new(0),
            rows: 0,
        })
    }

    /// Whether the column holds text, for which the empty text is a value.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(_))
    }

    /// Whether the column holds dates.
    pub(crate) fn is_date(&self) -> bool {
        matches!(self.values, Values::Date(_))
    }

    /// Appends the date so many days after 1970 began.
    pub(crate) fn push_days(&mut self, days: i32) {
        if let Values::Date(all) = &mut self.values {
            all.values.push(days);
            self.nulls.append_non_null();
            self.rows += 1;
        }
    }

    /// Whether the column holds arrays, which may be empty.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.values, Values::List(_))
    }

    /// Whether values of the column are written without quotes in JSON.
    pub(crate) fn is_unquoted(&self) -> bool {
        !matches!(
            self.values,
            Values::Text(_)
                | Values::Binary(_)
                | Values::Date(_)
                | Values::Time(_)
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

    /// What is to be filled.
    #[inline]
    pub(crate) fn shape(&mut self) -> Shape<'_> {
        match &mut self.values {
            Values::Row(_, fields) => Shape::Row(fields),
            Values::List(list) => Shape::List(list),
            Values::Map(map) => Shape::Map(map),
            _ => Shape::Single,
        }
    }

    /// Counts a row, array or map whose parts have been filled.
    #[inline]
    pub(crate) fn end_value(&mut self) {
        match &mut self.values {
            Values::List(list) => list.ends.close(list.item.rows),
            Values::Map(map) => map.ends.close(map.keys.rows),
            _ => {}
        }
        self.nulls.append_non_null();
        self.rows += 1;
    }

    /// Makes the next value that of `row`: forgets those from it on, and fills up with NULL to it.
    #[inline]
    pub(crate) fn begin(&mut self, row: usize) {
        if self.rows != row {
            self.truncate(row);
            self.fill(row);
        }
    }

    /// Appends the value that a text stands for.
    #[inline]
    pub(crate) fn push(&mut self, text: &[u8], only: Option<TimestampFormat>) -> Result<(), BadValue> {
        match &mut self.values {
            Values::Null => {
                self.push_null();
                return Ok(());
            }
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
            Values::Decimal(all, precision, scale) => all.values.push(decimal(text, *precision, *scale)?),
            Values::Date(all) => match text::date(text.trim_ascii()) {
                Some(value) => all.values.push(value),
                None => return bad(text, "is not a date of the form 2013-01-31"),
            },
            Values::Time(all) => match text::time(text.trim_ascii()) {
                Some(value) => all.values.push(value),
                None => return bad(text, "is not a time of the form 14:05:00.123"),
            },
            Values::Second(all) => all.values.push(instant(text, only, 1)?),
            Values::Milli(all) => all.values.push(instant(text, only, 1000)?),
            Values::Micro(all) => all.values.push(instant(text, only, 1_000_000)?),
            Values::Nano(all) => all.values.push(instant(text, only, 1_000_000_000)?),
            Values::Months(all) => all.values.push(whole(text, "does not fit into 32 bits")?),
            Values::Millis(all) => all.values.push(whole(text, "does not fit into 64 bits")?),
            Values::Text(all) => {
                if std::str::from_utf8(text).is_err() {
                    return bad(text, "is not valid UTF-8");
                }
                all.push(text);
            }
            Values::Binary(all) => {
                if BASE64.decode_vec(text.trim_ascii(), &mut all.bytes).is_err() {
                    all.truncate(self.rows);
                    return bad(text, "is not Base64, as binaries are written");
                }
                all.ends.close(all.bytes.len());
            }
            Values::Row(..) => return bad(text, "is one value, but a row is expected"),
            Values::List(_) => return bad(text, "is one value, but an array is expected"),
            Values::Map(_) => return bad(text, "is one value, but a map is expected"),
        }
        self.nulls.append_non_null();
        self.rows += 1;
        Ok(())
    }

    /// Appends the value that has these bytes: text and binaries as they are, numbers in as many bytes as they have.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8], little_endian: bool) -> Result<(), BadValue> {
        fn number<const N: usize>(bytes: &[u8], little_endian: bool) -> Result<[u8; N], BadValue> {
            let Ok(mut array) = <[u8; N]>::try_from(bytes) else {
                let reason = format!("has {} bytes instead of {N}", bytes.len());
                return Err(BadValue::new(bytes, reason));
            };
            if little_endian {
                array.reverse();
            }
            Ok(array)
        }
        match &mut self.values {
            Values::Text(all) if std::str::from_utf8(bytes).is_ok() => all.push(bytes),
            Values::Text(_) => return bad(bytes, "is not valid UTF-8"),
            Values::Binary(all) => all.push(bytes),
            Values::Boolean(values) => values.append(number::<1>(bytes, false)? != [0]),
            Values::Int8(all) => all.values.push(i8::from_be_bytes(number(bytes, little_endian)?)),
            Values::Int16(all) => all.values.push(i16::from_be_bytes(number(bytes, little_endian)?)),
            Values::Int32(all) => all.values.push(i32::from_be_bytes(number(bytes, little_endian)?)),
            Values::Int64(all) => all.values.push(i64::from_be_bytes(number(bytes, little_endian)?)),
            Values::Float32(all) => all.values.push(f32::from_be_bytes(number(bytes, little_endian)?)),
            Values::Float64(all) => all.values.push(f64::from_be_bytes(number(bytes, little_endian)?)),
            _ => return bad(bytes, "is of a type that has no bytes of its own"),
        }
        self.nulls.append_non_null();
        self.rows += 1;
        Ok(())
    }

    /// Appends the value that a text stands for that is known to be valid.
    #[inline]
    pub(crate) fn push_str(&mut self, text: &str, only: Option<TimestampFormat>) -> Result<(), BadValue> {
        let Values::Text(all) = &mut self.values else { return self.push(text.as_bytes(), only) };
        all.push(text.as_bytes());
        self.nulls.append_non_null();
        self.rows += 1;
        Ok(())
    }

    /// The text in a row; none for other columns than those of text.
    pub(crate) fn text(&self, row: usize) -> &[u8] {
        match &self.values {
            Values::Text(all) => all.get(row),
            _ => &[],
        }
    }

    /// Appends NULL, which the caller knows to be allowed.
    #[inline]
    pub(crate) fn push_null(&mut self) {
        self.fill(self.rows + 1);
    }

    /// Appends NULL until there are so many rows.
    pub(crate) fn fill(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.rows);
        if missing > 0 {
            self.values.fill(rows);
            self.nulls.append_n_nulls(missing);
            self.rows = rows;
        }
    }

    /// Forgets all rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        // The value of a row that was not ended has left something in the columns of the row as well.
        let is_nested = matches!(self.values, Values::Row(..) | Values::List(_) | Values::Map(_));
        if self.rows > rows || is_nested {
            self.values.truncate(rows.min(self.rows));
        }
        if self.rows > rows {
            self.nulls.truncate(rows);
            self.rows = rows;
        }
    }

    fn finish(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.fill(rows);
        self.rows = 0;
        let nulls = self.nulls.finish();
        self.values.finish(&self.data_type, nulls, rows)
    }
}
