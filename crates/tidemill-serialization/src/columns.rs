//! [`ArrowRecord`]: records of columns, and columns of records.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, LargeBinaryArray, LargeStringArray,
    RecordBatch, RecordBatchOptions, StringArray, StringViewArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::decimal::Decimal;
use crate::error::SerializationError;
use crate::time::{Date, TimeOfDay, TimestampMicros, TimestampMs};

/// A record that is a row of columns. Derived with `#[derive(Record)]` and `#[record(arrow)]`, for structs with
/// named fields.
///
/// ```
/// use tidemill_serialization::{ArrowRecord, Record, TimestampMs};
///
/// #[derive(Record, Clone, Debug, PartialEq)]
/// #[record(arrow)]
/// struct Flight {
///     #[record(rename = "time_hour")]
///     hour: TimestampMs,
///     tailnum: Option<String>,
///     dep_delay: Option<f64>,
/// }
///
/// let flights = [Flight { hour: TimestampMs(1_357_034_400_000), tailnum: None, dep_delay: Some(-4.0) }];
/// let batch = Flight::to_arrow(&flights).unwrap();
/// assert_eq!(batch.schema().field(0).name(), "time_hour");
/// assert_eq!(Flight::from_arrow(&batch, 0..1).unwrap(), flights);
/// ```
pub trait ArrowRecord: Sized {
    /// One column a field, in order of declaration; only those of an `Option` may be NULL.
    fn schema() -> SchemaRef;

    /// Makes records of some rows. Columns are found by their names, then by the aliases of the fields; others are ignored.
    /// A field with `#[record(default)]` or `#[record(default = …)]` may do without a column.
    ///
    /// # Errors
    /// When there are fewer rows, a column is missing or of another type, or a value is NULL that must not be or none that
    /// the field can have.
    fn from_arrow(batch: &RecordBatch, rows: Range<usize>) -> Result<Vec<Self>, SerializationError>;

    /// Makes columns of records.
    ///
    /// # Errors
    /// When the strings or binaries of one column take more than 2 GiB.
    fn to_arrow(records: &[Self]) -> Result<RecordBatch, SerializationError>;
}

/// A type whose values can be the values of a column. [`ArrowField`] follows, and that of `Option`s of it.
///
/// ```
/// use arrow_array::{Float64Array, Int64Array};
/// use tidemill_serialization::ArrowValue;
///
/// let numbers = Int64Array::from(vec![7, 8]);
/// let column = <i64 as ArrowValue>::column(&numbers).unwrap();
/// assert_eq!(<i64 as ArrowValue>::get(&column, 1), 8);
/// assert!(<i64 as ArrowValue>::column(&Float64Array::from(vec![0.5])).is_none());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the field of a record with `#[record(arrow)]`",
    label = "not the type of a column",
    note = "possible are `bool`, integers up to 64 bits, `f32`, `f64`, `String`, `Arc<str>`, `Vec<u8>`, `TimestampMs`, `TimestampMicros`, `TimeOfDay`, `Date`, `Decimal` and `Option`s of these"
)]
pub trait ArrowValue: Sized + 'static {
    /// A column of such values, downcast once.
    type Column<'a>;

    /// The type of the column.
    fn data_type() -> DataType;

    /// Downcasts a column; `None` when it is of another type.
    fn column(array: &dyn Array) -> Option<Self::Column<'_>>;

    /// The value in a row that is not NULL, and that [`wrong`](Self::wrong) found nothing wrong with.
    fn get(column: &Self::Column<'_>, row: usize) -> Self;

    /// Why what a row has is no such value, where not all that a column of this type can hold are.
    ///
    /// ```
    /// use arrow_array::Decimal128Array;
    /// use tidemill_serialization::{ArrowValue, Decimal};
    ///
    /// // Arrow does not look whether values have as many digits as their type says.
    /// let prices = Decimal128Array::from(vec![99, 1000]).with_precision_and_scale(3, 1)?;
    /// let column = <Decimal<3, 1> as ArrowValue>::column(&prices).unwrap();
    /// assert_eq!(<Decimal<3, 1> as ArrowValue>::wrong(&column, 0), None);
    /// let why = <Decimal<3, 1> as ArrowValue>::wrong(&column, 1);
    /// assert_eq!(why.unwrap(), "1000 does not fit DECIMAL(3, 1)");
    /// # Ok::<(), arrow_schema::ArrowError>(())
    /// ```
    fn wrong(_column: &Self::Column<'_>, _row: usize) -> Option<String> {
        None
    }

    /// Makes a column; `None` when the values take more bytes than a column can have.
    fn build<'a>(values: impl ExactSizeIterator<Item = Option<&'a Self>> + Clone) -> Option<ArrayRef>;
}

/// A type that a field of a record with `#[record(arrow)]` can have: an [`ArrowValue`] or an `Option` of one.
///
/// ```
/// use arrow_array::Int64Array;
/// use tidemill_serialization::ArrowField;
///
/// let numbers = Int64Array::from(vec![Some(7), None]);
/// let column = Option::<i64>::column(&numbers).unwrap();
/// assert_eq!((Option::<i64>::get(&column, 0), Option::<i64>::get(&column, 1)), (Some(7), None));
/// assert!(!<i64 as ArrowField>::NULLABLE);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the field of a record with `#[record(arrow)]`",
    label = "not the type of a column",
    note = "possible are `bool`, integers up to 64 bits, `f32`, `f64`, `String`, `Arc<str>`, `Vec<u8>`, `TimestampMs`, `TimestampMicros`, `TimeOfDay`, `Date`, `Decimal` and `Option`s of these"
)]
pub trait ArrowField: Sized + 'static {
    /// Whether NULL is a value of the type.
    const NULLABLE: bool;

    /// A column of such values, downcast once.
    type Column<'a>;

    /// The type of the column.
    fn data_type() -> DataType;

    /// Downcasts a column; `None` when it is of another type.
    fn column(array: &dyn Array) -> Option<Self::Column<'_>>;

    /// The value in a row; not to be called for a NULL unless [`NULLABLE`](Self::NULLABLE), nor for what is
    /// [`wrong`](Self::wrong).
    fn get(column: &Self::Column<'_>, row: usize) -> Self;

    /// Why what a row has is no value of the type, as [`ArrowValue::wrong`] says.
    fn wrong(_column: &Self::Column<'_>, _row: usize) -> Option<String> {
        None
    }

    /// Makes a column; `None` when the values take more bytes than a column can have.
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self> + Clone) -> Option<ArrayRef>;
}

impl<T: ArrowValue> ArrowField for T {
    const NULLABLE: bool = false;

    type Column<'a> = T::Column<'a>;

    fn data_type() -> DataType {
        T::data_type()
    }

    fn column(array: &dyn Array) -> Option<Self::Column<'_>> {
        T::column(array)
    }

    #[inline]
    fn get(column: &Self::Column<'_>, row: usize) -> Self {
        T::get(column, row)
    }

    #[inline]
    fn wrong(column: &Self::Column<'_>, row: usize) -> Option<String> {
        T::wrong(column, row)
    }

    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self> + Clone) -> Option<ArrayRef> {
        T::build(values.map(Some))
    }
}

impl<T: ArrowValue> ArrowField for Option<T> {
    const NULLABLE: bool = true;

    type Column<'a> = (T::Column<'a>, Option<&'a NullBuffer>);

    fn data_type() -> DataType {
        T::data_type()
    }

    fn column(array: &dyn Array) -> Option<Self::Column<'_>> {
        Some((T::column(array)?, array.nulls()))
    }

    #[inline]
    fn get((column, nulls): &Self::Column<'_>, row: usize) -> Self {
        match nulls {
            Some(nulls) if nulls.is_null(row) => None,
            _ => Some(T::get(column, row)),
        }
    }

    #[inline]
    fn wrong((column, nulls): &Self::Column<'_>, row: usize) -> Option<String> {
        match nulls {
            Some(nulls) if nulls.is_null(row) => None,
            _ => T::wrong(column, row),
        }
    }

    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self> + Clone) -> Option<ArrayRef> {
        T::build(values.map(Option::as_ref))
    }
}

fn build_primitive<P: ArrowPrimitiveType>(
    values: impl ExactSizeIterator<Item = Option<P::Native>>,
) -> Option<ArrayRef> {
    let mut builder = PrimitiveBuilder::<P>::with_capacity(values.len());
    for value in values {
        builder.append_option(value);
    }
    Some(Arc::new(builder.finish()))
}

macro_rules! primitives {
    ($($t:ty: $arrow:ty, |$raw:ident| $wrap:expr, |$value:ident| $unwrap:expr;)*) => {$(
        impl ArrowValue for $t {
            type Column<'a> = &'a [<$arrow as ArrowPrimitiveType>::Native];

            fn data_type() -> DataType {
                <$arrow as ArrowPrimitiveType>::DATA_TYPE
            }

            fn column(array: &dyn Array) -> Option<Self::Column<'_>> {
                array.as_primitive_opt::<$arrow>().map(|array| array.values().as_ref())
            }

            #[inline]
            fn get(column: &Self::Column<'_>, row: usize) -> Self {
                let $raw = column[row];
                $wrap
            }

            fn build<'a>(values: impl ExactSizeIterator<Item = Option<&'a Self>> + Clone) -> Option<ArrayRef> {
                build_primitive::<$arrow>(values.map(|value| value.map(|$value| $unwrap)))
            }
        }
    )*};
}
primitives! {
    i8: Int8Type, |raw| raw, |value| *value;
    i16: Int16Type, |raw| raw, |value| *value;
    i32: Int32Type, |raw| raw, |value| *value;
    i64: Int64Type, |raw| raw, |value| *value;
    u8: UInt8Type, |raw| raw, |value| *value;
    u16: UInt16Type, |raw| raw, |value| *value;
    u32: UInt32Type, |raw| raw, |value| *value;
    u64: UInt64Type, |raw| raw, |value| *value;
    f32: Float32Type, |raw| raw, |value| *value;
    f64: Float64Type, |raw| raw, |value| *value;
    TimestampMs: TimestampMillisecondType, |raw| TimestampMs(raw), |value| value.0;
    TimestampMicros: TimestampMicrosecondType, |raw| TimestampMicros(raw), |value| value.0;
    TimeOfDay: Time64MicrosecondType, |raw| TimeOfDay(raw), |value| value.0;
    Date: Date32Type, |raw| Date(raw), |value| value.0;
}

impl<const P: u8, const S: u8> ArrowValue for Decimal<P, S> {
    type Column<'a> = &'a [i128];

    fn data_type() -> DataType {
        DataType::Decimal128(P, S as i8)
    }

    /// Of the same scale and at most as many digits.
    fn column(array: &dyn Array) -> Option<Self::Column<'_>> {
        match array.data_type() {
            DataType::Decimal128(precision, scale) if *precision <= P && *scale == S as i8 => {
                array.as_primitive_opt::<Decimal128Type>().map(|array| array.values().as_ref())
            }
            _ => None,
        }
    }

    #[inline]
    fn get(column: &Self::Column<'_>, row: usize) -> Self {
        Decimal::of_column(column[row])
    }

    /// What has more digits than its type says, which is up to who made the column.
    #[inline]
    fn wrong(column: &Self::Column<'_>, row: usize) -> Option<String> {
        Self::new(column[row]).err().map(|error| error.to_string())
    }

    fn build<'a>(values: impl ExactSizeIterator<Item = Option<&'a Self>> + Clone) -> Option<ArrayRef> {
        let mut builder = PrimitiveBuilder::<Decimal128Type>::with_capacity(values.len())
            .with_data_type(<Self as ArrowValue>::data_type());
        for value in values {
            builder.append_option(value.map(|value| value.unscaled()));
        }
        Some(Arc::new(builder.finish()))
    }
}

impl ArrowValue for bool {
    type Column<'a> = &'a BooleanArray;

    fn data_type() -> DataType {
        DataType::Boolean
    }

    fn column(array: &dyn Array) -> Option<Self::Column<'_>> {
        array.as_boolean_opt()
    }

    #[inline]
    fn get(column: &Self::Column<'_>, row: usize) -> Self {
        column.value(row)
    }

    fn build<'a>(values: impl ExactSizeIterator<Item = Option<&'a Self>> + Clone) -> Option<ArrayRef> {
        let mut builder = BooleanBuilder::with_capacity(values.len());
        for value in values {
            builder.append_option(value.copied());
        }
        Some(Arc::new(builder.finish()))
    }
}

/// The bytes of all values together, when a column can have that many.
fn column_bytes(lengths: impl Iterator<Item = usize>) -> Option<usize> {
    let bytes = lengths.fold(0usize, usize::saturating_add);
    // Offsets are 32-bit integers.
    i32::try_from(bytes).ok().map(|_| bytes)
}

macro_rules! of_bytes {
    ($(
        $(#[$doc:meta])*
        $column:ident($small:ty: $as_small:ident, $large:ty: $as_large:ident, $view:ty: $as_view:ident),
        $builder:ident, $data_type:expr => $($t:ty),*;
    )*) => {$(
        $(#[$doc])*
        pub enum $column<'a> {
            /// Offsets of 32 bits.
            Small(&'a $small),
            /// Offsets of 64 bits.
            Large(&'a $large),
            /// Views.
            View(&'a $view),
        }

        $(impl ArrowValue for $t {
            type Column<'a> = $column<'a>;

            fn data_type() -> DataType {
                $data_type
            }

            /// All encodings of the same logical type will do, for readers of files differ in what they give.
            fn column(array: &dyn Array) -> Option<Self::Column<'_>> {
                None.or_else(|| array.$as_small::<i32>().map($column::Small))
                    .or_else(|| array.$as_large::<i64>().map($column::Large))
                    .or_else(|| array.$as_view().map($column::View))
            }

            #[inline]
            fn get(column: &Self::Column<'_>, row: usize) -> Self {
                match column {
                    $column::Small(array) => array.value(row).into(),
                    $column::Large(array) => array.value(row).into(),
                    $column::View(array) => array.value(row).into(),
                }
            }

            fn build<'a>(values: impl ExactSizeIterator<Item = Option<&'a Self>> + Clone) -> Option<ArrayRef> {
                let bytes = column_bytes(values.clone().flatten().map(|value| value.len()))?;
                let mut builder = $builder::with_capacity(values.len(), bytes);
                for value in values {
                    builder.append_option(value);
                }
                Some(Arc::new(builder.finish()))
            }
        })*
    )*};
}
of_bytes! {
    /// A column of strings.
    StringColumn(StringArray: as_string_opt, LargeStringArray: as_string_opt, StringViewArray: as_string_view_opt),
    StringBuilder, DataType::Utf8 => String, Arc<str>;

    /// A column of binaries.
    BinaryColumn(BinaryArray: as_binary_opt, LargeBinaryArray: as_binary_opt, BinaryViewArray: as_binary_view_opt),
    BinaryBuilder, DataType::Binary => Vec<u8>;
}

/// The definition of the column of a field.
pub fn column_definition<F: ArrowField>(name: &str) -> Field {
    Field::new(name, F::data_type(), F::NULLABLE)
}

/// A schema of such columns.
pub fn schema(columns: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(columns))
}

/// Checks that the rows are there.
///
/// # Errors
/// When they are not.
pub fn check_rows(batch: &RecordBatch, rows: &Range<usize>) -> Result<(), SerializationError> {
    if rows.start > rows.end || rows.end > batch.num_rows() {
        let (start, end) = (rows.start, rows.end);
        return Err(SerializationError::Rows { start, end, rows: batch.num_rows() });
    }
    Ok(())
}

/// Finds the column of a field by one of its names, the first one that is there; checks its type, that it has no NULL in
/// `rows` where none is allowed, and no value that the field cannot have. `None` where it is missing.
///
/// # Errors
/// When one of these is not so.
pub fn find_column<'a, F: ArrowField>(
    batch: &'a RecordBatch,
    names: &[&'static str],
    field: &'static str,
    rows: &Range<usize>,
) -> Result<Option<F::Column<'a>>, SerializationError> {
    let found = names.iter().find_map(|name| Some((*name, batch.column_by_name(name)?)));
    let Some((column, array)) = found else { return Ok(None) };
    let Some(bound) = F::column(array.as_ref()) else {
        let (expected, actual) = (F::data_type(), array.data_type().clone());
        return Err(SerializationError::ColumnType { field, column, expected, actual });
    };
    if !F::NULLABLE
        && let Some(nulls) = array.nulls()
        && nulls.null_count() > 0
        && let Some(row) = rows.clone().find(|row| nulls.is_null(*row))
    {
        return Err(SerializationError::Null { field, column, row, expected: F::data_type() });
    }
    match rows.clone().find_map(|row| Some((row, F::wrong(&bound, row)?))) {
        Some((row, detail)) => Err(SerializationError::ColumnValue { field, column, row, detail }),
        None => Ok(Some(bound)),
    }
}

/// As [`find_column`], for a field that cannot do without.
///
/// # Errors
/// As [`find_column`]; also when the column is missing.
pub fn bind_column<'a, F: ArrowField>(
    batch: &'a RecordBatch,
    names: &[&'static str],
    field: &'static str,
    rows: &Range<usize>,
) -> Result<F::Column<'a>, SerializationError> {
    find_column::<F>(batch, names, field, rows)?.ok_or_else(|| {
        let schema = batch.schema_ref();
        let mut present: Vec<String> = schema.fields().iter().map(|f| format!("`{}`", f.name())).collect();
        if present.is_empty() {
            present.push("none".to_owned());
        }
        let column = names.first().copied().unwrap_or_default();
        SerializationError::MissingColumn { field, column, present: present.join(", ") }
    })
}

/// Puts columns together.
///
/// # Errors
/// When Arrow finds that they do not fit.
pub fn record_batch(
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, SerializationError> {
    // A record without fields has no column that would tell how many rows there are.
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}
