//! Columns as they are in a file, made those of a table.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, PrimitiveArray, StructArray, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, TimeUnit};
use chrono::{Local, Offset, TimeZone};

use crate::format::columns::entry_fields;

/// Makes `array` one of type `to`: fields of rows by their names, those that are missing NULL.
pub(super) fn fit(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), to) {
        (DataType::Struct(_), DataType::Struct(fields)) => row(array.as_struct(), fields),
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = fit(list.values(), item.data_type())?;
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => map(array.as_map(), entries, *sorted),
        (DataType::Timestamp(unit, _), DataType::Timestamp(to_unit, _)) => {
            Ok(timestamps(array, *unit, *to_unit, to))
        }
        _ => arrow_cast::cast_with_options(
            array,
            to,
            &arrow_cast::CastOptions { safe: false, ..arrow_cast::CastOptions::default() },
        ),
    }
}

fn row(rows: &StructArray, fields: &Fields) -> Result<ArrayRef, ArrowError> {
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        columns.push(match rows.column_by_name(field.name()) {
            Some(column) => fit(column, field.data_type())?,
            None => new_null_array(field.data_type(), rows.len()),
        });
    }
    let nulls = rows.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows.len())?))
}

fn map(maps: &MapArray, entries: &FieldRef, sorted: bool) -> Result<ArrayRef, ArrowError> {
    let wrong = || ArrowError::SchemaError("the entries of a map are no rows of two".to_owned());
    let (key, value) = entry_fields(entries).ok_or_else(wrong)?;
    let DataType::Struct(fields) = entries.data_type() else { return Err(wrong()) };
    let columns = vec![fit(maps.keys(), key.data_type())?, fit(maps.values(), value.data_type())?];
    let count = maps.entries().len();
    let rows = StructArray::try_new_with_length(fields.clone(), columns, None, count)?;
    let (offsets, nulls) = (maps.offsets().clone(), maps.nulls().cloned());
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, rows, nulls, sorted)?))
}

/// Timestamps in another unit; parts that it does not have are cut off, towards the past.
fn timestamps(array: &ArrayRef, from: TimeUnit, unit: TimeUnit, to: &DataType) -> ArrayRef {
    let (from, per_second) = (per_second(from), per_second(unit));
    let values = |value: i64| match per_second >= from {
        true => value.saturating_mul(per_second / from),
        false => value.div_euclid(from / per_second),
    };
    of_unit(unit, to, &numbers(array).unary::<_, TimestampNanosecondType>(values))
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The numbers of timestamps of any unit.
fn numbers(array: &ArrayRef) -> PrimitiveArray<TimestampNanosecondType> {
    let (values, nulls) = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            (array.as_primitive::<TimestampSecondType>().values().clone(), array.nulls())
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            (array.as_primitive::<TimestampMillisecondType>().values().clone(), array.nulls())
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (array.as_primitive::<TimestampMicrosecondType>().values().clone(), array.nulls())
        }
        _ => (array.as_primitive::<TimestampNanosecondType>().values().clone(), array.nulls()),
    };
    PrimitiveArray::new(values, nulls.cloned())
}

/// Timestamps of type `to`, which has this unit, of their numbers.
fn of_unit(unit: TimeUnit, to: &DataType, numbers: &PrimitiveArray<TimestampNanosecondType>) -> ArrayRef {
    let (values, nulls) = (numbers.values().clone(), numbers.nulls().cloned());
    match unit {
        TimeUnit::Second => {
            Arc::new(PrimitiveArray::<TimestampSecondType>::new(values, nulls).with_data_type(to.clone()))
        }
        TimeUnit::Millisecond => Arc::new(
            PrimitiveArray::<TimestampMillisecondType>::new(values, nulls).with_data_type(to.clone()),
        ),
        TimeUnit::Microsecond => Arc::new(
            PrimitiveArray::<TimestampMicrosecondType>::new(values, nulls).with_data_type(to.clone()),
        ),
        TimeUnit::Nanosecond => {
            Arc::new(PrimitiveArray::<TimestampNanosecondType>::new(values, nulls).with_data_type(to.clone()))
        }
    }
}

/// How far the clocks of the process are ahead of UTC.
pub(super) trait Clocks {
    /// In seconds, at an instant in seconds.
    fn at_instant(&self, seconds: i64) -> i64;
    /// In seconds, when they show a time in seconds.
    fn at_local(&self, seconds: i64) -> i64;
}

/// Those of a time zone.
impl<Z: TimeZone> Clocks for Z {
    fn at_instant(&self, seconds: i64) -> i64 {
        self.timestamp_opt(seconds, 0)
            .single()
            .map_or(0, |time| i64::from(time.offset().fix().local_minus_utc()))
    }

    fn at_local(&self, seconds: i64) -> i64 {
        let Some(time) = chrono::DateTime::from_timestamp(seconds, 0) else { return 0 };
        let local = self.from_local_datetime(&time.naive_utc());
        local
            .earliest()
            .map_or_else(|| self.at_instant(seconds), |time| i64::from(time.offset().fix().local_minus_utc()))
    }
}

/// Which way timestamps without a zone go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From instants in a file to what clocks show.
    Read,
    Write,
}

/// Moves timestamps without a zone between UTC and the zone of the process, those within other columns too.
pub(super) fn localize(array: &ArrayRef, way: Way) -> Result<ArrayRef, ArrowError> {
    shift(array, way, &Local)
}

fn shift(array: &ArrayRef, way: Way, clocks: &dyn Clocks) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::Timestamp(unit, None) => {
            let parts = per_second(*unit);
            let moved = |value: i64| {
                let seconds = value.div_euclid(parts);
                match way {
                    Way::Read => value.saturating_add(clocks.at_instant(seconds) * parts),
                    Way::Write => value.saturating_sub(clocks.at_local(seconds) * parts),
                }
            };
            Ok(of_unit(*unit, array.data_type(), &numbers(array).unary::<_, TimestampNanosecondType>(moved)))
        }
        DataType::Struct(fields) => {
            let rows = array.as_struct();
            let columns = rows.columns().iter().map(|column| shift(column, way, clocks));
            let columns = columns.collect::<Result<_, _>>()?;
            let nulls = rows.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows.len())?))
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = shift(list.values(), way, clocks)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
        }
        DataType::Map(entries, sorted) => {
            let maps = array.as_map();
            let shifted: ArrayRef = Arc::new(maps.entries().clone());
            let shifted = shift(&shifted, way, clocks)?.as_struct().clone();
            let (offsets, nulls) = (maps.offsets().clone(), maps.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, shifted, nulls, *sorted)?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

/// A type with the timestamps in it in another unit.
pub(super) fn with_unit(data_type: &DataType, unit: TimeUnit) -> DataType {
    let of = |field: &FieldRef| -> FieldRef {
        Arc::new(Field::clone(field).with_data_type(with_unit(field.data_type(), unit)))
    };
    match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(unit, zone.clone()),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(of).collect()),
        DataType::List(item) => DataType::List(of(item)),
        DataType::Map(entries, sorted) => DataType::Map(of(entries), *sorted),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray};

    use super::*;

    #[test]
    fn rows_keep_the_fields_that_are_asked_for() {
        let a: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let b: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
        let field = |name: &str, data_type: DataType| Arc::new(Field::new(name, data_type, true));
        let rows = StructArray::from(vec![(field("a", DataType::Int32), a), (field("b", DataType::Utf8), b)]);
        let to = Fields::from(vec![field("c", DataType::Utf8), field("a", DataType::Int64)]);
        let rows: ArrayRef = Arc::new(rows);
        let found = fit(&rows, &DataType::Struct(to)).unwrap();
        let found = found.as_struct();
        assert_eq!(found.column(0).null_count(), 2);
        assert_eq!(found.column(1).as_primitive::<arrow_array::types::Int64Type>().values()[..], [1, 2]);
    }

    #[test]
    fn timestamps_before_1970_are_cut_towards_the_past() {
        let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![-1, 1_999]));
        let millis = fit(&micros, &DataType::Timestamp(TimeUnit::Millisecond, None)).unwrap();
        assert_eq!(millis.as_primitive::<TimestampMillisecondType>().values()[..], [-1, 1]);
    }

    #[test]
    fn timestamps_without_a_zone_are_those_of_clocks() {
        let summer = 1_593_561_600_000; // 2020-07-01 00:00:00
        let utc: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(summer), None]));
        let berlin = chrono_tz::Europe::Berlin;
        let local = shift(&utc, Way::Read, &berlin).unwrap();
        assert_eq!(local.as_primitive::<TimestampMillisecondType>().value(0), summer + 7_200_000);
        assert_eq!(&shift(&local, Way::Write, &berlin).unwrap(), &utc);
        let zoned: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![summer]).with_timezone("UTC"));
        assert_eq!(&shift(&zoned, Way::Read, &berlin).unwrap(), &zoned);
    }
}
