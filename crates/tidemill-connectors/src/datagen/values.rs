//! The values of a column, many rows at once.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StringArray,
    StructArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit};

use super::DataGenField;
use crate::decimal;
use crate::error::ConnectorError;
use crate::random;

/// When rows are made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Made {
    /// Now, in milliseconds since 1970.
    Now(i64),
    /// At a rate, from a time on.
    At { first: i64, millis_per_row: f64 },
}

impl Made {
    fn millis(self, row: u64) -> i64 {
        match self {
            Made::Now(now) => now,
            Made::At { first, millis_per_row } => first.saturating_add((row as f64 * millis_per_row) as i64),
        }
    }
}

#[derive(Clone, Debug)]
enum Values {
    Boolean,
    /// Integers and intervals, both bounds included.
    Whole(i64, i64),
    Float(f64, f64),
    Decimal(i128, i128),
    /// Hexadecimal digits, or bytes.
    Varying {
        length: u32,
        var_len: bool,
    },
    Date,
    Time,
    /// At most so many milliseconds before the row is made.
    Timestamp(u64),
    Row(Fields, Vec<Column>),
    List {
        field: FieldRef,
        length: u32,
        item: Box<Column>,
    },
    /// From the first to the last.
    Sequence(i64, i64),
}

/// What the values of one column are.
#[derive(Clone, Debug)]
pub(super) struct Column {
    data_type: DataType,
    values: Values,
    null_rate: f64,
    random: random::Field,
    nulls: random::Field,
}

/// Elements of arrays, and characters of strings and bytes of binaries, that there are when nothing else is
/// said.
const ELEMENTS: u32 = 3;
const CHARACTERS: u32 = 100;

fn invalid<T>(message: String) -> Result<T, ConnectorError> {
    Err(ConnectorError::InvalidOption(message))
}

impl Column {
    /// The column of a field, whose options are taken out of those that are left.
    pub(super) fn new(
        field: &Field,
        path: &str,
        is_top: bool,
        fields: &mut Vec<(String, DataGenField)>,
    ) -> Result<Self, ConnectorError> {
        let place = fields.iter().position(|(known, _)| known == path);
        let said = place.map_or_else(DataGenField::random, |place| fields.swap_remove(place).1);
        let data_type = field.data_type();
        if !(0.0..=1.0).contains(&said.null_rate) {
            return invalid(format!("'fields.{path}.null-rate' must be from 0 to 1, not {}", said.null_rate));
        }
        if said.null_rate > 0.0 && !field.is_nullable() {
            return invalid(format!("'fields.{path}.null-rate' is not 0, but the column must not be NULL"));
        }
        let values = match said.sequence {
            Some((start, end)) if is_top => sequence(data_type, path, start, end)?,
            Some(_) => {
                return invalid(format!("'fields.{path}': only columns can be sequences, not parts of them"));
            }
            None => random_values(data_type, path, &said, fields)?,
        };
        let (has_bounds, has_length, has_past) = match &values {
            Values::Whole(..) | Values::Float(..) | Values::Decimal(..) => (true, false, false),
            Values::Varying { .. } | Values::List { .. } => (false, true, false),
            Values::Timestamp(_) => (false, false, true),
            _ => (false, false, false),
        };
        let strange = [
            ("min", said.min.is_some() && !has_bounds),
            ("max", said.max.is_some() && !has_bounds),
            ("length", said.length.is_some() && !has_length),
            ("var-len", said.var_len && !matches!(values, Values::Varying { .. })),
            ("max-past", said.max_past.is_some() && !has_past),
        ];
        if let Some((option, _)) = strange.iter().find(|(_, strange)| *strange) {
            let kind = if said.sequence.is_some() { "a sequence" } else { "random values" };
            return invalid(format!(
                "'fields.{path}.{option}' means nothing for {kind} of the type {data_type}"
            ));
        }
        let (random, nulls) = (random::Field::new(0, 0), random::Field::new(0, 0));
        Ok(Self { data_type: data_type.clone(), values, null_rate: said.null_rate, random, nulls })
    }

    /// How many values there are, if that is bounded.
    pub(super) fn sequence_length(&self) -> Option<u64> {
        match self.values {
            Values::Sequence(start, end) if end < start => Some(0),
            Values::Sequence(start, end) => Some(start.abs_diff(end).saturating_add(1).min(u64::MAX - 1)),
            _ => None,
        }
    }

    /// Makes the random numbers those of a seed; `place` counts the columns and what is inside of them.
    pub(super) fn set_seed(&mut self, seed: u64, place: &mut u64) {
        self.random = random::Field::new(seed, *place);
        self.nulls = random::Field::new(seed, *place + 1);
        *place += 2;
        match &mut self.values {
            Values::Row(_, columns) => columns.iter_mut().for_each(|column| column.set_seed(seed, place)),
            Values::List { item, .. } => item.set_seed(seed, place),
            _ => {}
        }
    }

    /// The values for some numbers; `rows` are the numbers of the rows that they are in.
    pub(super) fn make(&self, rows: &[u64], numbers: &[u64], made: Made) -> Result<ArrayRef, ArrowError> {
        self.make_inside(rows, numbers, made, None)
    }

    fn make_inside(
        &self,
        rows: &[u64],
        numbers: &[u64],
        made: Made,
        around: Option<&NullBuffer>,
    ) -> Result<ArrayRef, ArrowError> {
        let own = (self.null_rate > 0.0).then(|| {
            let valid = |at: usize| random::unit(self.nulls.at(numbers[at])) >= self.null_rate;
            NullBuffer::new(BooleanBuffer::collect_bool(numbers.len(), valid))
        });
        // What is inside of NULL is NULL as well, to those who take a field by itself.
        let nulls = NullBuffer::union(around, own.as_ref());
        Ok(match &self.values {
            Values::Boolean => {
                let value = |at: usize| self.random.at(numbers[at]) >> 63 == 1;
                Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(numbers.len(), value), nulls))
            }
            Values::Whole(min, max) => {
                self.whole(numbers, nulls, |number| whole(self.random.at(number), *min, *max))
            }
            Values::Sequence(start, _) => {
                self.sequence(numbers, nulls, |number| start.wrapping_add_unsigned(number))?
            }
            Values::Float(min, max) => {
                let value = |number| {
                    let part = random::unit(self.random.at(number));
                    (min * (1.0 - part) + max * part).clamp(*min, *max)
                };
                if self.data_type == DataType::Float32 {
                    self.fixed::<Float32Type>(numbers, nulls, |number| value(number) as f32)
                } else {
                    self.fixed::<Float64Type>(numbers, nulls, value)
                }
            }
            Values::Decimal(min, max) => self.fixed::<Decimal128Type>(numbers, nulls, |number| {
                min.wrapping_add_unsigned(below(&mut self.random.stream(number), max.abs_diff(*min)))
            }),
            Values::Varying { length, var_len } => self.varying(numbers, nulls, *length, *var_len)?,
            Values::Date => self.fixed::<Date32Type>(rows, nulls, |row| {
                i32::try_from(made.millis(row).div_euclid(86_400_000)).unwrap_or(i32::MAX)
            }),
            Values::Time => self.fixed::<Time32MillisecondType>(rows, nulls, |row| {
                i32::try_from(made.millis(row).rem_euclid(86_400_000)).unwrap_or(0)
            }),
            Values::Timestamp(past) => self.timestamps(rows, numbers, nulls, *past, made),
            Values::Row(fields, columns) => {
                let arrays =
                    columns.iter().map(|column| column.make_inside(rows, numbers, made, nulls.as_ref()));
                let arrays = arrays.collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, numbers.len())?)
            }
            Values::List { field, length, item } => {
                let length = u64::from(*length);
                let (mut item_rows, mut item_numbers, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
                for (at, (row, number)) in rows.iter().zip(numbers).enumerate() {
                    let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
                    let count = if is_null { 0 } else { length };
                    item_rows.extend((0..count).map(|_| row));
                    item_numbers
                        .extend((0..count).map(|element| number.wrapping_mul(length).wrapping_add(element)));
                    lengths.push(usize::try_from(count).unwrap_or(usize::MAX));
                }
                let items = item.make(&item_rows, &item_numbers, made)?;
                Arc::new(ListArray::try_new(
                    Arc::clone(field),
                    OffsetBuffer::from_lengths(lengths),
                    items,
                    nulls,
                )?)
            }
        })
    }

    fn fixed<T: ArrowPrimitiveType>(
        &self,
        numbers: &[u64],
        nulls: Option<NullBuffer>,
        value: impl Fn(u64) -> T::Native,
    ) -> ArrayRef {
        let values: Vec<T::Native> = numbers.iter().map(|number| value(*number)).collect();
        Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(self.data_type.clone()))
    }

    fn whole(&self, numbers: &[u64], nulls: Option<NullBuffer>, value: impl Fn(u64) -> i64) -> ArrayRef {
        // The bounds are those of the type.
        match self.data_type {
            DataType::Int8 => self.fixed::<Int8Type>(numbers, nulls, |number| value(number) as i8),
            DataType::Int16 => self.fixed::<Int16Type>(numbers, nulls, |number| value(number) as i16),
            DataType::Int32 => self.fixed::<Int32Type>(numbers, nulls, |number| value(number) as i32),
            DataType::Interval(_) => {
                self.fixed::<IntervalYearMonthType>(numbers, nulls, |number| value(number) as i32)
            }
            DataType::Duration(_) => self.fixed::<DurationMillisecondType>(numbers, nulls, value),
            _ => self.fixed::<Int64Type>(numbers, nulls, value),
        }
    }

    fn sequence(
        &self,
        numbers: &[u64],
        nulls: Option<NullBuffer>,
        value: impl Fn(u64) -> i64,
    ) -> Result<ArrayRef, ArrowError> {
        Ok(match &self.data_type {
            DataType::Float32 => self.fixed::<Float32Type>(numbers, nulls, |number| value(number) as f32),
            DataType::Float64 => self.fixed::<Float64Type>(numbers, nulls, |number| value(number) as f64),
            DataType::Decimal128(_, scale) => {
                let unit = 10i128.saturating_pow(u32::try_from(*scale).unwrap_or(0));
                self.fixed::<Decimal128Type>(numbers, nulls, |number| {
                    i128::from(value(number)).saturating_mul(unit)
                })
            }
            DataType::Utf8 => text_of(numbers, nulls, |number, out| {
                out.extend_from_slice(value(number).to_string().as_bytes());
            })?,
            DataType::Binary => bytes_of(numbers, nulls, |number, out| {
                out.extend_from_slice(&value(number).to_be_bytes());
            })?,
            _ => self.whole(numbers, nulls, value),
        })
    }

    fn varying(
        &self,
        numbers: &[u64],
        nulls: Option<NullBuffer>,
        length: u32,
        var_len: bool,
    ) -> Result<ArrayRef, ArrowError> {
        let write = |number: u64, per_draw: usize, out: &mut Vec<u8>, append: &dyn Fn(u64, &mut Vec<u8>)| {
            let mut stream = self.random.stream(number);
            let length = if var_len { 1 + random::upper_below(stream.draw(), length) } else { length };
            let end = out.len() + length as usize;
            out.reserve(length as usize + per_draw);
            while out.len() < end {
                append(stream.draw(), out);
            }
            out.truncate(end);
        };
        if self.data_type == DataType::Binary {
            return bytes_of(numbers, nulls, |number, out| {
                write(number, 8, out, &|random, out| out.extend_from_slice(&random.to_le_bytes()));
            });
        }
        text_of(numbers, nulls, |number, out| {
            write(number, 16, out, &|random, out| {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digits: [u8; 16] = std::array::from_fn(|at| DIGITS[(random >> (4 * at) & 15) as usize]);
                out.extend_from_slice(&digits);
            });
        })
    }

    fn timestamps(
        &self,
        rows: &[u64],
        numbers: &[u64],
        nulls: Option<NullBuffer>,
        past: u64,
        made: Made,
    ) -> ArrayRef {
        let millis = |at: usize| {
            let before = (u128::from(self.random.at(numbers[at])) * u128::from(past)) >> 64;
            made.millis(rows[at]).saturating_sub_unsigned(u64::try_from(before).unwrap_or(0))
        };
        let places: Vec<u64> = (0..numbers.len() as u64).collect();
        let at = |place: u64| millis(usize::try_from(place).unwrap_or(0));
        match &self.data_type {
            DataType::Timestamp(TimeUnit::Second, _) => {
                self.fixed::<TimestampSecondType>(&places, nulls, |place| at(place).div_euclid(1000))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                self.fixed::<TimestampMicrosecondType>(&places, nulls, |place| at(place).saturating_mul(1000))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                self.fixed::<TimestampNanosecondType>(&places, nulls, |place| {
                    at(place).saturating_mul(1_000_000)
                })
            }
            _ => self.fixed::<TimestampMillisecondType>(&places, nulls, at),
        }
    }
}

/// A number from `min` to `max`.
fn whole(random: u64, min: i64, max: i64) -> i64 {
    let span = min.abs_diff(max);
    let offset = match span.checked_add(1) {
        Some(count) => (u128::from(random) * u128::from(count)) >> 64,
        None => u128::from(random),
    };
    min.wrapping_add_unsigned(u64::try_from(offset).unwrap_or(0))
}

/// A number from 0 to `most`: the first of a stream that is not larger, cut to as many bits.
fn below(stream: &mut random::Stream, most: u128) -> u128 {
    let mask = u128::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
    loop {
        let number = (u128::from(stream.draw()) << 64 | u128::from(stream.draw())) & mask;
        if number <= most {
            return number;
        }
    }
}

type Varying = (OffsetBuffer<i32>, Buffer);

fn varying_of(numbers: &[u64], write: impl Fn(u64, &mut Vec<u8>)) -> Result<Varying, ArrowError> {
    let mut ends: Vec<i32> = Vec::with_capacity(numbers.len() + 1);
    ends.push(0);
    let mut bytes = Vec::new();
    for number in numbers {
        write(*number, &mut bytes);
        ends.push(i32::try_from(bytes.len()).map_err(|_| ArrowError::OffsetOverflowError(bytes.len()))?);
    }
    Ok((OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes)))
}

fn text_of(
    numbers: &[u64],
    nulls: Option<NullBuffer>,
    write: impl Fn(u64, &mut Vec<u8>),
) -> Result<ArrayRef, ArrowError> {
    let (ends, bytes) = varying_of(numbers, write)?;
    Ok(Arc::new(StringArray::try_new(ends, bytes, nulls)?))
}

fn bytes_of(
    numbers: &[u64],
    nulls: Option<NullBuffer>,
    write: impl Fn(u64, &mut Vec<u8>),
) -> Result<ArrayRef, ArrowError> {
    let (ends, bytes) = varying_of(numbers, write)?;
    Ok(Arc::new(BinaryArray::try_new(ends, bytes, nulls)?))
}

/// All numbers that an integer or an interval may be.
fn whole_range(data_type: &DataType) -> Option<(i64, i64)> {
    Some(match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 | DataType::Duration(TimeUnit::Millisecond) => (i64::MIN, i64::MAX),
        DataType::Interval(IntervalUnit::YearMonth) => (i32::MIN.into(), i32::MAX.into()),
        _ => return None,
    })
}

fn sequence(data_type: &DataType, path: &str, start: i64, end: i64) -> Result<Values, ConnectorError> {
    let fits = match (data_type, whole_range(data_type)) {
        (_, Some((min, max))) => min <= start && start <= max && min <= end && end <= max,
        (DataType::Float32 | DataType::Float64 | DataType::Utf8 | DataType::Binary, _) => true,
        (DataType::Decimal128(precision, scale), _) => {
            let fits =
                |number: i64| decimal::parse(number.to_string().as_bytes(), *precision, *scale).is_ok();
            fits(start) && fits(end)
        }
        _ => return invalid(format!("'fields.{path}': there are no sequences of the type {data_type}")),
    };
    if fits {
        Ok(Values::Sequence(start, end))
    } else {
        invalid(format!("'fields.{path}': {start} to {end} is more than the type {data_type} has"))
    }
}

fn bounds<T: PartialOrd>(
    path: &str,
    (min, max): (T, T),
    said: &DataGenField,
) -> Result<(T, T), ConnectorError> {
    if min <= max {
        return Ok((min, max));
    }
    let shown = |bound: &Option<String>| bound.clone().unwrap_or_else(|| "the bound of its type".to_owned());
    let (min, max) = (shown(&said.min), shown(&said.max));
    invalid(format!("'fields.{path}.min' is {min}, which is more than 'max', {max}"))
}

fn bound<T>(
    path: &str,
    option: &str,
    said: &Option<String>,
    otherwise: T,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, ConnectorError> {
    let Some(text) = said else { return Ok(otherwise) };
    match parse(text.trim()) {
        Some(value) => Ok(value),
        None => invalid(format!(
            "'fields.{path}.{option}' must be a number that the column can hold, not '{text}'"
        )),
    }
}

fn random_values(
    data_type: &DataType,
    path: &str,
    said: &DataGenField,
    fields: &mut Vec<(String, DataGenField)>,
) -> Result<Values, ConnectorError> {
    if let Some((least, most)) = whole_range(data_type) {
        let parse = |text: &str| text.parse().ok().filter(|value| (least..=most).contains(value));
        // A period of ten thousand years is what Flink goes up to.
        let is_period = matches!(data_type, DataType::Interval(_));
        let (from, to) = if is_period { (0, 120_000) } else { (least, most) };
        let min = bound(path, "min", &said.min, from, parse)?;
        let (min, max) = bounds(path, (min, bound(path, "max", &said.max, to, parse)?), said)?;
        return Ok(Values::Whole(min, max));
    }
    Ok(match data_type {
        DataType::Boolean => Values::Boolean,
        DataType::Float32 | DataType::Float64 => {
            let most = if *data_type == DataType::Float32 { f64::from(f32::MAX) } else { f64::MAX };
            let parse = |text: &str| text.parse().ok().filter(|value: &f64| value.abs() <= most);
            let min = bound(path, "min", &said.min, 0.0, parse)?;
            let (min, max) = bounds(path, (min, bound(path, "max", &said.max, most, parse)?), said)?;
            Values::Float(min, max)
        }
        DataType::Decimal128(precision, scale) => {
            let parse = |text: &str| decimal::parse(text.as_bytes(), *precision, *scale).ok();
            let most = 10i128.saturating_pow(u32::from(*precision)).saturating_sub(1);
            let min = bound(path, "min", &said.min, 0, parse)?;
            let (min, max) = bounds(path, (min, bound(path, "max", &said.max, most, parse)?), said)?;
            Values::Decimal(min, max)
        }
        DataType::Utf8 | DataType::Binary => {
            Values::Varying { length: said.length.unwrap_or(CHARACTERS), var_len: said.var_len }
        }
        DataType::Date32 => Values::Date,
        DataType::Time32(TimeUnit::Millisecond) => Values::Time,
        DataType::Timestamp(..) => {
            let past = said.max_past.map_or(0, |past| u64::try_from(past.as_millis()).unwrap_or(u64::MAX));
            Values::Timestamp(past)
        }
        DataType::Struct(inner) => {
            let column =
                |field: &FieldRef| Column::new(field, &format!("{path}.{}", field.name()), false, fields);
            Values::Row(inner.clone(), inner.iter().map(column).collect::<Result<_, _>>()?)
        }
        DataType::List(field) => Values::List {
            field: Arc::clone(field),
            length: said.length.unwrap_or(ELEMENTS),
            item: Box::new(Column::new(field, &format!("{path}.element"), false, fields)?),
        },
        other => {
            return invalid(format!(
                "'datagen' cannot make values of the type {other} of the column '{path}'"
            ));
        }
    })
}
