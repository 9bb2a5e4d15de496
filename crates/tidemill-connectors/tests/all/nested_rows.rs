//! Rows with whatever SQL has in them, made up.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, NullArray, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, IntervalUnit, Schema, TimeUnit};
use tidemill_testkit::Random;

fn next(random: &mut Random) -> u64 {
    random.below(u64::MAX)
}

/// Single values only, or what is nested in the way of CSV, or of JSON.
#[derive(Clone, Copy, PartialEq)]
pub enum Nested {
    No,
    Once,
    Deep(u32),
}

pub fn data_type(random: &mut Random, nested: Nested) -> DataType {
    let inside = match nested {
        Nested::Deep(depth) if depth > 0 => Nested::Deep(depth - 1),
        _ => Nested::No,
    };
    let kinds = match nested {
        Nested::No => 18,
        Nested::Once => 20,
        Nested::Deep(_) => 22,
    };
    match random.below(kinds) {
        0 => DataType::Boolean,
        1 => DataType::Int8,
        2 => DataType::Int16,
        3 => DataType::Int32,
        4 => DataType::Int64,
        5 => DataType::Float32,
        6 => DataType::Float64,
        7 => {
            let precision = 1 + random.below(38) as u8;
            DataType::Decimal128(precision, random.below(u64::from(precision) + 1) as i8)
        }
        8 => DataType::Date32,
        9 => DataType::Time32(TimeUnit::Millisecond),
        10 => DataType::Timestamp(TimeUnit::Millisecond, None),
        11 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        12 => DataType::Timestamp(TimeUnit::Nanosecond, None),
        13 => DataType::Interval(IntervalUnit::YearMonth),
        14 => DataType::Duration(TimeUnit::Millisecond),
        15 => DataType::Binary,
        16 if nested != Nested::No => DataType::Null,
        16 | 17 => DataType::Utf8,
        18 => DataType::Struct(fields(random, inside)),
        19 => DataType::List(Arc::new(Field::new("item", data_type(random, inside), true))),
        _ => {
            let key = Field::new("key", DataType::Utf8, false);
            let value = Field::new("value", data_type(random, inside), true);
            let entries = Field::new("entries", DataType::Struct(vec![key, value].into()), false);
            DataType::Map(Arc::new(entries), false)
        }
    }
}

fn fields(random: &mut Random, nested: Nested) -> Fields {
    // In CSV, a row without fields would be like NULL, and one field that is NULL as well.
    let least = if nested == Nested::No { 2 } else { 0 };
    let count = least + random.below(4);
    (0..count).map(|field| Field::new(format!("f {field}\""), data_type(random, nested), true)).collect()
}

pub fn rows(random: &mut Random, nested: Nested, count: usize) -> RecordBatch {
    // In CSV, a line of one field may be an empty line.
    let columns = 2 + random.below(5);
    let fields: Vec<Field> = (0..columns)
        .map(|column| {
            let data_type = data_type(random, nested);
            let required = random.below(4) == 0 && data_type != DataType::Null;
            Field::new(format!("c{column}"), data_type, !required)
        })
        .collect();
    let csv = nested == Nested::Once;
    let array = |field: &Field| array(random, field.data_type(), count, field.is_nullable(), csv);
    let arrays = fields.iter().map(array).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).unwrap()
}

fn primitive<T: ArrowPrimitiveType>(
    data_type: &DataType,
    count: usize,
    nulls: Option<NullBuffer>,
    mut value: impl FnMut() -> T::Native,
) -> ArrayRef {
    let values: Vec<T::Native> = (0..count).map(|_| value()).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls).with_data_type(data_type.clone()))
}

fn number(random: &mut Random, least: i64, most: i64) -> i64 {
    let span = i128::from(most) - i128::from(least) + 1;
    let number = match random.below(5) {
        0 => 0,
        1 => span - 1,
        _ => i128::from(next(random)) % span,
    };
    i64::try_from(i128::from(least) + number).unwrap()
}

fn text(random: &mut Random, csv: bool) -> String {
    const PIECES: [&str; 14] =
        ["a", "Z", "é", "東", "🌊", "\"", "\\", "\n", "\t", "\u{1}", ";", ",", " ", "null"];
    // In CSV, a binary that is empty, and an array of one empty text, would be something else.
    let first = if csv { "x" } else { "" };
    first.to_owned()
        + &(0..random.below(6))
            .map(|_| PIECES[random.below(PIECES.len() as u64) as usize])
            .collect::<String>()
}

/// Of years that are written with four digits.
const FIRST_DAY: i64 = -719_528;
const LAST_DAY: i64 = 2_932_896;

pub fn array(random: &mut Random, data_type: &DataType, count: usize, nullable: bool, csv: bool) -> ArrayRef {
    let nulls = (nullable && random.below(3) > 0)
        .then(|| NullBuffer::from((0..count).map(|_| random.below(4) > 0).collect::<Vec<bool>>()));
    let in_years =
        |random: &mut Random, per_day: i64| number(random, FIRST_DAY * per_day, (LAST_DAY + 1) * per_day - 1);
    match data_type {
        DataType::Null => Arc::new(NullArray::new(count)),
        DataType::Boolean => {
            let values: Vec<bool> = (0..count).map(|_| random.below(2) == 0).collect();
            Arc::new(BooleanArray::new(values.into(), nulls))
        }
        DataType::Int8 => primitive::<Int8Type>(data_type, count, nulls, || number(random, -128, 127) as i8),
        DataType::Int16 => {
            primitive::<Int16Type>(data_type, count, nulls, || number(random, -32_768, 32_767) as i16)
        }
        DataType::Int32 => primitive::<Int32Type>(data_type, count, nulls, || next(random) as i32),
        DataType::Int64 => {
            primitive::<Int64Type>(data_type, count, nulls, || number(random, i64::MIN, i64::MAX))
        }
        DataType::Float32 => primitive::<Float32Type>(data_type, count, nulls, || {
            Some(f32::from_bits(next(random) as u32)).filter(|value| value.is_finite()).unwrap_or(-0.0)
        }),
        DataType::Float64 => primitive::<Float64Type>(data_type, count, nulls, || {
            Some(f64::from_bits(next(random))).filter(|value| value.is_finite()).unwrap_or(0.1)
        }),
        DataType::Decimal128(precision, _) => {
            let limit = 10i128.pow(u32::from(*precision));
            primitive::<Decimal128Type>(data_type, count, nulls, || {
                let number = (i128::from(next(random)) << 63 | i128::from(next(random) >> 1)) % limit;
                // Zeros at the end, too.
                let number = if random.below(2) == 0 { number } else { number / 1000 * 1000 };
                if random.below(2) == 0 { number } else { -number }
            })
        }
        DataType::Date32 => {
            primitive::<Date32Type>(data_type, count, nulls, || number(random, FIRST_DAY, LAST_DAY) as i32)
        }
        DataType::Time32(_) => primitive::<Time32MillisecondType>(data_type, count, nulls, || {
            number(random, 0, 86_399_999) as i32
        }),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            primitive::<TimestampMillisecondType>(data_type, count, nulls, || in_years(random, 86_400_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            primitive::<TimestampMicrosecondType>(data_type, count, nulls, || {
                in_years(random, 86_400_000_000)
            })
        }
        DataType::Timestamp(..) => primitive::<TimestampNanosecondType>(data_type, count, nulls, || {
            // Seconds times a billion must fit, with those that are begun.
            number(random, -9_000_000_000_000_000_000, 9_000_000_000_000_000_000)
        }),
        DataType::Interval(_) => {
            primitive::<IntervalYearMonthType>(data_type, count, nulls, || next(random) as i32)
        }
        DataType::Duration(_) => primitive::<DurationMillisecondType>(data_type, count, nulls, || {
            number(random, i64::MIN, i64::MAX)
        }),
        DataType::Binary => {
            let values: Vec<Vec<u8>> = (0..count).map(|_| text(random, csv).into_bytes()).collect();
            let plain = BinaryArray::from_iter_values(values);
            let (ends, bytes, _) = plain.into_parts();
            Arc::new(BinaryArray::new(ends, bytes, nulls))
        }
        DataType::Utf8 => {
            let plain = StringArray::from_iter_values((0..count).map(|_| text(random, csv)));
            let (ends, bytes, _) = plain.into_parts();
            Arc::new(StringArray::new(ends, bytes, nulls))
        }
        DataType::Struct(fields) => {
            let arrays =
                fields.iter().map(|field| array(random, field.data_type(), count, true, csv)).collect();
            Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, count).unwrap())
        }
        DataType::List(field) => {
            let lengths = lengths(random, count, nulls.as_ref(), csv);
            let items = array(random, field.data_type(), lengths.iter().sum(), true, csv);
            Arc::new(ListArray::new(Arc::clone(field), OffsetBuffer::from_lengths(lengths), items, nulls))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { panic!("a map has entries") };
            let lengths = lengths(random, count, nulls.as_ref(), csv);
            let total = lengths.iter().sum();
            // Keys differ by their numbers.
            let keys =
                StringArray::from_iter_values((0..total).map(|key| format!("{}{key}", text(random, csv))));
            let values = array(random, fields[1].data_type(), total, true, csv);
            let inner = StructArray::new(fields.clone(), vec![Arc::new(keys), values], None);
            let ends = OffsetBuffer::from_lengths(lengths);
            Arc::new(MapArray::new(Arc::clone(entries), ends, inner, nulls, false))
        }
        other => panic!("no rows have {other}"),
    }
}

fn lengths(random: &mut Random, count: usize, nulls: Option<&NullBuffer>, csv: bool) -> Vec<usize> {
    let length = |row| match random.below(4) as usize {
        _ if nulls.is_some_and(|nulls| nulls.is_null(row)) => 0,
        // In CSV, an array of one NULL would be NULL.
        1 if csv => 2,
        length => length,
    };
    (0..count).map(length).collect()
}
