//! Rows of random values and of sequences.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int8Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use tidemill_connectors::{CollectRowsSink, DataGenField, DataGenSource};
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::OperatorFactory;
use tidemill_runtime::source::{ReaderStatus, Source};

use crate::harness::{SinkDriver, SourceDriver, read_all};

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
}

const NOTHING: [(&str, DataGenField); 0] = [];

/// Every type that there is.
fn everything() -> SchemaRef {
    let time = |unit| DataType::Timestamp(unit, None);
    let nested = vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("all", DataType::new_list(DataType::Int16, true), false),
    ];
    schema(&[
        ("boolean", DataType::Boolean),
        ("tiny", DataType::Int8),
        ("small", DataType::Int16),
        ("int", DataType::Int32),
        ("big", DataType::Int64),
        ("float", DataType::Float32),
        ("double", DataType::Float64),
        ("decimal", DataType::Decimal128(38, 18)),
        ("string", DataType::Utf8),
        ("bytes", DataType::Binary),
        ("date", DataType::Date32),
        ("time", DataType::Time32(TimeUnit::Millisecond)),
        ("seconds", time(TimeUnit::Second)),
        ("millis", time(TimeUnit::Millisecond)),
        ("micros", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("nanos", time(TimeUnit::Nanosecond)),
        ("months", DataType::Interval(IntervalUnit::YearMonth)),
        ("length", DataType::Duration(TimeUnit::Millisecond)),
        ("row", DataType::Struct(nested.into())),
        ("array", DataType::new_list(DataType::Decimal128(5, 2), true)),
    ])
}

fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let sink = CollectRowsSink::new();
    let mut collect = SinkDriver::new(sink.create(0).unwrap(), 0, 1);
    for rows in batches {
        collect.write(Batch::new(ArrowBatch::inserts(rows.clone()))).unwrap();
    }
    sink.results().texts()
}

fn ids_of(rows: &RecordBatch) -> &[i64] {
    rows.column(0).as_primitive::<Int64Type>().values()
}

fn error(schema: &SchemaRef, path: &str, field: DataGenField) -> String {
    DataGenSource::new(Arc::clone(schema), [(path, field)]).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn all_types_have_random_values() {
    let source = DataGenSource::new(everything(), NOTHING).unwrap();
    assert!(!source.is_bounded());
    let rows = source.rows(0, 500).unwrap();
    for (field, column) in everything().fields().iter().zip(rows.columns()) {
        assert_eq!(column.null_count(), 0, "{field}");
        let distinct: BTreeSet<String> =
            texts(&[RecordBatch::try_from_iter([("c", Arc::clone(column))]).unwrap()]).into_iter().collect();
        let of_now =
            matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_));
        let expected = if of_now { 1 } else { 2 };
        assert!(
            distinct.len() >= expected && (of_now == (distinct.len() == 1)),
            "{field}: {}",
            distinct.len()
        );
    }
    assert!(rows.column_by_name("string").unwrap().as_string::<i32>().iter().flatten().all(|text| {
        text.len() == 100 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }));
    assert_eq!(rows.column_by_name("array").unwrap().as_list::<i32>().value_length(7), 3);
    // Without a seed, another source has other values.
    let other = DataGenSource::new(everything(), NOTHING).unwrap().rows(0, 500).unwrap();
    assert_ne!(rows.column_by_name("big").unwrap(), other.column_by_name("big").unwrap());
}

#[test]
fn values_are_between_their_bounds() {
    let schema = schema(&[
        ("dice", DataType::Int64),
        ("price", DataType::Decimal128(6, 2)),
        ("part", DataType::Float64),
        ("tiny", DataType::Int8),
        ("name", DataType::Utf8),
        ("at", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ]);
    let fields = [
        ("dice", DataGenField::random().min(1).max(6)),
        ("price", DataGenField::random().min("-0.05").max("0.05").null_rate(0.25)),
        ("part", DataGenField::random().min(-1.5).max(1.5)),
        ("tiny", DataGenField::random().min(-128).max(127)),
        ("name", DataGenField::random().length(3).var_len(true)),
        ("at", DataGenField::random().max_past(Duration::from_secs(60))),
    ];
    let source = DataGenSource::new(schema, fields).unwrap().seed(1).rows_per_second(1000.0).unwrap();
    let rows = source.rows(0, 10_000).unwrap();
    let set = |values: &[i64]| values.iter().copied().collect::<BTreeSet<i64>>();
    assert_eq!(set(rows.column(0).as_primitive::<Int64Type>().values()), (1..=6).collect());
    let prices = rows.column(1).as_primitive::<Decimal128Type>();
    let distinct: BTreeSet<i128> = prices.iter().flatten().collect();
    assert_eq!(distinct, (-5..=5).collect());
    assert!((2300..2700).contains(&prices.null_count()), "{}", prices.null_count());
    assert!(rows.column(2).as_primitive::<Float64Type>().values().iter().all(|part| part.abs() <= 1.5));
    let tiny: BTreeSet<i8> = rows.column(3).as_primitive::<Int8Type>().values().iter().copied().collect();
    assert_eq!(tiny.len(), 256);
    let lengths: BTreeSet<usize> = rows.column(4).as_string::<i32>().iter().flatten().map(str::len).collect();
    assert_eq!(lengths, [1, 2, 3].into());
    let base = 1_767_225_600_000;
    let at = rows.column(5).as_primitive::<TimestampMillisecondType>().values();
    // Row n is made n milliseconds after the first.
    assert!(at.iter().enumerate().all(|(row, at)| (base - 60_000..=base).contains(&(at - row as i64))));
}

#[test]
fn sequences_end_the_source() {
    let schema = schema(&[
        ("id", DataType::Int64),
        ("name", DataType::Utf8),
        ("price", DataType::Decimal128(10, 2)),
        ("key", DataType::Binary),
        ("x", DataType::Boolean),
    ]);
    let fields = [
        ("id", DataGenField::sequence(-2, 100)),
        ("name", DataGenField::sequence(8, 12)),
        ("price", DataGenField::sequence(1, 50)),
        ("key", DataGenField::sequence(258, 300)),
    ];
    let source = DataGenSource::new(schema, fields).unwrap().seed(3).unlimited();
    assert!(source.is_bounded());
    let driver = read_all(&source, 3).unwrap();
    let shown = texts(&driver.rows());
    let expected = [
        "+I[-2, 8, 1.00, [0, 0, 0, 0, 0, 0, 1, 2]",
        "+I[-1, 9, 2.00, [0, 0, 0, 0, 0, 0, 1, 3]",
        "+I[0, 10, 3.00, [0, 0, 0, 0, 0, 0, 1, 4]",
        "+I[1, 11, 4.00, [0, 0, 0, 0, 0, 0, 1, 5]",
        "+I[2, 12, 5.00, [0, 0, 0, 0, 0, 0, 1, 6]",
    ];
    assert_eq!(shown.len(), 5);
    assert!(shown.iter().zip(expected).all(|(row, expected)| row.starts_with(expected)), "{shown:?}");
    assert_eq!(driver.reader.progress().total, Some(5));
    assert_eq!(texts(&read_all(&source.clone().number_of_rows(2), 3).unwrap().rows()), shown[..2]);
    assert_eq!(texts(&read_all(&source.number_of_rows(7), 3).unwrap().rows()).len(), 5);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let schema = schema(&[
        ("id", DataType::Int8),
        ("name", DataType::Utf8),
        ("day", DataType::Date32),
        ("row", DataType::Struct(vec![Field::new("id", DataType::Int8, true)].into())),
        ("price", DataType::Decimal128(3, 2)),
    ]);
    for (path, field, expected) in [
        ("ID", DataGenField::random(), "'fields.ID' is not about a column of the table"),
        ("row.name", DataGenField::random(), "'fields.row.name' is not about a column"),
        (
            "id",
            DataGenField::random().max(128),
            "'fields.id.max' must be a number that the column can hold, not '128'",
        ),
        ("id", DataGenField::random().min(7).max(6), "'fields.id.min' is 7, which is more than 'max', 6"),
        ("id", DataGenField::random().length(7), "'fields.id.length' means nothing for random values"),
        ("id", DataGenField::random().null_rate(1.5), "must be from 0 to 1, not 1.5"),
        ("id", DataGenField::sequence(0, 128), "0 to 128 is more than the type Int8 has"),
        ("id", DataGenField::sequence(0, 1).min(3), "'fields.id.min' means nothing for a sequence"),
        ("price", DataGenField::sequence(0, 10), "is more than the type Decimal128(3, 2) has"),
        ("name", DataGenField::random().min(1), "'fields.name.min' means nothing"),
        ("day", DataGenField::sequence(0, 1), "there are no sequences of the type Date32"),
        ("row.id", DataGenField::sequence(0, 1), "only columns can be sequences"),
    ] {
        let found = error(&schema, path, field);
        assert!(found.contains(expected), "{found}");
    }
    let strange = self::schema(&[("x", DataType::Float16)]);
    assert!(DataGenSource::new(strange, NOTHING).map(|_| ()).unwrap_err().to_string().contains("Float16"));
    let required = Arc::new(Schema::new(vec![Field::new("x", DataType::Int8, false)]));
    assert!(error(&required, "x", DataGenField::random().null_rate(0.5)).contains("must not be NULL"));
}

#[test]
fn options_of_a_table_are_taken() {
    let schema = schema(&[
        ("id", DataType::Int64),
        ("who", DataType::Struct(vec![Field::new("name", DataType::Utf8, true)].into())),
        ("tags", DataType::new_list(DataType::Utf8, true)),
    ]);
    let options = [
        ("rows-per-second", "1000000"),
        ("number-of-rows", "20"),
        ("seed", "5"),
        ("fields.id.kind", "sequence"),
        ("fields.id.start", "1"),
        ("fields.id.end", "1000"),
        ("fields.who.null-rate", "1"),
        ("fields.tags.length", "2"),
        ("fields.tags.element.length", "1"),
    ];
    let source = DataGenSource::from_options(Arc::clone(&schema), options).unwrap();
    let shown = texts(&read_all(&source, 7).unwrap().rows());
    assert_eq!(shown.len(), 20);
    assert!(
        shown[0].starts_with("+I[1, null, [") && shown[0].len() == "+I[1, null, [a, b]]".len(),
        "{}",
        shown[0]
    );
    assert!(DataGenSource::from_options(schema, [("fields.tags.elements.length", "1")]).is_err());
}

#[test]
fn a_slow_source_waits() {
    let source = DataGenSource::new(schema(&[("id", DataType::Int64)]), NOTHING).unwrap();
    let source = source.rows_per_second(0.001).unwrap();
    let mut driver = SourceDriver::new(&source, 1, 10).unwrap();
    while !matches!(driver.poll().unwrap(), ReaderStatus::Pending(Some(_))) {}
    assert_eq!(driver.rows().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// With a seed, a row is a function of its number, however rows are cut into batches.
    #[test]
    fn a_row_is_a_function_of_its_number(
        seed: u64,
        first in any::<u64>().prop_map(|first| first >> 8),
        cut in 0usize..20,
    ) {
        let schema = everything();
        let with_nulls = || DataGenField::random().null_rate(0.3);
        let fields = schema.fields().iter().map(|field| (field.name().clone(), with_nulls()));
        let source = DataGenSource::new(everything(), fields).unwrap().seed(seed);
        let all = texts(&[source.rows(first, 20).unwrap()]);
        let parts = [source.rows(first, cut).unwrap(), source.rows(first + cut as u64, 20 - cut).unwrap()];
        prop_assert_eq!(texts(&parts), all);
    }

    #[test]
    fn restored_sources_make_each_row_once(
        steps in prop::collection::vec((1usize..9, 0usize..4), 1..10),
        parallelism in 1u32..4,
    ) {
        let schema = schema(&[("id", DataType::Int64), ("name", DataType::Utf8)]);
        let fields = [("id", DataGenField::sequence(1, 100))];
        let source = DataGenSource::new(schema, fields).unwrap().seed(9).unlimited();
        let mut driver = SourceDriver::new(&source, parallelism, 5).unwrap();
        for (step, polls) in steps {
            for _ in 0..polls {
                if !driver.ended {
                    driver.poll().unwrap();
                }
            }
            driver = driver.restore(&source, parallelism, step).unwrap();
        }
        driver.run().unwrap();
        let mut ids: Vec<i64> =
            driver.rows().iter().flat_map(|rows| ids_of(rows).to_vec()).collect();
        ids.sort_unstable();
        prop_assert!(ids.windows(2).all(|two| two[0] < two[1]), "{:?}", ids);
        // The first of the readers has every so many-th row, and those of others that were dealt to it again.
        prop_assert!((1..=100).step_by(parallelism as usize).all(|id| ids.binary_search(&id).is_ok()));
        prop_assert!(parallelism > 1 || ids.len() == 100);
    }
}
