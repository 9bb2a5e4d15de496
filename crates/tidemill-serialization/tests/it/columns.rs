//! Records of columns and columns of records.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryViewArray, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, TimestampMillisecondArray, TimestampSecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidemill_core::{Classified, Fault};
use tidemill_serialization::{ArrowField, ArrowRecord, Date, Record, SerializationError, TimestampMs};

use crate::records::{Everything, Tree, decoded, encoded};

#[derive(Record, Clone, Debug, PartialEq)]
#[record(arrow)]
struct Wide {
    r#bool: bool,
    #[record(rename = "a b")]
    i8: i8,
    i16: i16,
    i32: i32,
    i64: i64,
    u8: u8,
    u16: u16,
    u32: u32,
    u64: u64,
    f32: f32,
    f64: f64,
    string: String,
    shared: Arc<str>,
    bytes: Vec<u8>,
    instant: TimestampMs,
    date: Date,
}

#[derive(Record, Clone, Debug, PartialEq)]
#[record(arrow)]
struct Sparse {
    r#bool: Option<bool>,
    i64: Option<i64>,
    u8: Option<u8>,
    f64: Option<f64>,
    string: Option<String>,
    shared: Option<Arc<str>>,
    bytes: Option<Vec<u8>>,
    instant: Option<TimestampMs>,
    date: Option<Date>,
}

#[derive(Record, Clone, Debug, PartialEq)]
#[record(arrow)]
struct Generic<T> {
    value: T,
}

#[derive(Record, Clone, Debug, PartialEq)]
#[record(arrow)]
struct Empty {}

fn wide() -> impl Strategy<Value = Wide> {
    let numbers = any::<((bool, i8, i16, i32, i64), (u8, u16, u32, u64), (f32, f64, i64, i32))>();
    (numbers, ".{0,8}", ".{0,8}", any::<[u8; 5]>(), 0usize..6).prop_map(
        |(numbers, string, shared, bytes, end)| {
            let (signed, unsigned, (f32, f64, instant, date)) = numbers;
            Wide {
                r#bool: signed.0,
                i8: signed.1,
                i16: signed.2,
                i32: signed.3,
                i64: signed.4,
                u8: unsigned.0,
                u16: unsigned.1,
                u32: unsigned.2,
                u64: unsigned.3,
                f32,
                f64,
                string,
                shared: shared.into(),
                bytes: bytes[..end.min(5)].to_vec(),
                instant: TimestampMs(instant),
                date: Date(date),
            }
        },
    )
}

fn sparse() -> impl Strategy<Value = Sparse> {
    let numbers = any::<(Option<bool>, Option<i64>, Option<u8>, Option<f64>, Option<i64>, Option<i32>)>();
    let texts = (option::of(".{0,8}"), option::of(".{0,8}"), any::<Option<[u8; 3]>>());
    (numbers, texts).prop_map(|(numbers, texts)| Sparse {
        r#bool: numbers.0,
        i64: numbers.1,
        u8: numbers.2,
        f64: numbers.3,
        string: texts.0,
        shared: texts.1.map(Arc::from),
        bytes: texts.2.map(Vec::from),
        instant: numbers.4.map(TimestampMs),
        date: numbers.5.map(Date),
    })
}

fn check<T: ArrowRecord + Clone + PartialEq + std::fmt::Debug>(records: &[T], from: usize, to: usize) {
    let batch = T::to_arrow(records).unwrap();
    assert_eq!(batch.schema(), T::schema());
    assert_eq!(batch.num_rows(), records.len());
    assert_eq!(T::from_arrow(&batch, 0..records.len()).unwrap(), records);
    assert_eq!(T::from_arrow(&batch, from..to).unwrap(), &records[from..to], "some of the rows");
    let slice = batch.slice(from, to - from);
    assert_eq!(T::from_arrow(&slice, 0..to - from).unwrap(), &records[from..to], "all rows of a slice");
}

proptest! {
    #[test]
    fn records_come_back(wide in vec(wide(), 0..20), sparse in vec(sparse(), 0..20), ends: [prop::sample::Index; 2]) {
        let range = |len: usize| {
            let [one, other] = ends.map(|end| end.index(len + 1));
            (one.min(other), one.max(other))
        };
        let (from, to) = range(wide.len());
        check(&wide, from, to);
        let (from, to) = range(sparse.len());
        check(&sparse, from, to);
        let generic: Vec<_> = sparse.iter().map(|record| Generic { value: record.string.clone() }).collect();
        check(&generic, from, to);
        prop_assert_eq!(&decoded::<Vec<Wide>>(&encoded(&wide)).unwrap(), &wide);
    }
}

#[test]
fn the_schema_names_types_and_nullability() {
    let schema = Wide::schema();
    assert_eq!(schema.field(0), &Field::new("bool", DataType::Boolean, false));
    assert_eq!(schema.field(1), &Field::new("a b", DataType::Int8, false));
    assert_eq!(schema.field_with_name("bytes").unwrap().data_type(), &DataType::Binary);
    let instant = DataType::Timestamp(TimeUnit::Millisecond, None);
    assert_eq!(Sparse::schema().field(7), &Field::new("instant", instant, true));
    assert_eq!(Sparse::schema().field(8), &Field::new("date", DataType::Date32, true));
    assert!(Arc::ptr_eq(&Wide::schema(), &Wide::schema()), "made once");
    assert_eq!(Generic::<Date>::schema().field(0).data_type(), &DataType::Date32);
    assert_eq!(Generic::<u8>::schema().field(0).data_type(), &DataType::UInt8);
}

#[test]
fn a_record_without_fields_has_rows_all_the_same() {
    check(&[Empty {}, Empty {}, Empty {}], 1, 3);
}

fn one_column(name: &str, array: ArrayRef) -> RecordBatch {
    let field = Field::new(name, array.data_type().clone(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array]).unwrap()
}

fn values<T: ArrowField + Clone + tidemill_serialization::Data>(array: ArrayRef) -> Vec<T> {
    let rows = 0..array.len();
    let records = Generic::<T>::from_arrow(&one_column("value", array), rows).unwrap();
    records.into_iter().map(|record| record.value).collect()
}

#[test]
fn every_encoding_of_strings_and_binaries_is_read() {
    let texts = [Some("a"), None, Some("a string too long for a view to hold")];
    let arrays: [ArrayRef; 3] = [
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(LargeStringArray::from_iter(texts)),
        Arc::new(StringViewArray::from_iter(texts)),
    ];
    for array in arrays {
        assert_eq!(values::<Option<String>>(array), texts.map(|text| text.map(str::to_owned)));
    }
    let bytes = texts.map(|text| text.map(str::as_bytes));
    let arrays: [ArrayRef; 2] =
        [Arc::new(LargeBinaryArray::from_iter(bytes)), Arc::new(BinaryViewArray::from_iter(bytes))];
    for array in arrays {
        assert_eq!(values::<Option<Vec<u8>>>(array), bytes.map(|bytes| bytes.map(<[u8]>::to_vec)));
    }
}

#[test]
fn instants_are_read_whatever_their_zone() {
    let array = TimestampMillisecondArray::from(vec![5]).with_timezone("+02:00");
    assert_eq!(values::<TimestampMs>(Arc::new(array)), [TimestampMs(5)]);
}

fn error<T: ArrowRecord>(batch: &RecordBatch, rows: std::ops::Range<usize>) -> SerializationError {
    T::from_arrow(batch, rows).err().expect("columns that do not fit")
}

#[test]
fn errors_name_column_type_and_row() {
    let numbers = one_column("value", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])));

    let wrong = error::<Generic<i64>>(&numbers, 0..3);
    assert_eq!(
        wrong.to_string(),
        "column `value` is Int32, but Generic.value needs Int64: cast the column or change the field"
    );
    assert_eq!((wrong.code(), wrong.fault()), ("TM-SERIALIZATION-COLUMN-TYPE", Fault::User));

    let null = error::<Generic<i32>>(&numbers, 0..3).to_string();
    assert!(
        null.starts_with("column `value` is NULL in row 1, but Generic.value is a Int32 that must"),
        "{null}"
    );
    // Only the rows asked for count.
    assert_eq!(Generic::<i32>::from_arrow(&numbers, 2..3).unwrap(), [Generic { value: 3 }]);

    let missing = error::<Generic<i32>>(&one_column("other", Arc::new(Int64Array::from(vec![1]))), 0..1);
    let message = missing.to_string();
    assert!(message.starts_with("there is no column `value` for Generic.value, only `other`: "), "{message}");

    let seconds = one_column("value", Arc::new(TimestampSecondArray::from(vec![5])));
    let message = error::<Generic<TimestampMs>>(&seconds, 0..1).to_string();
    assert!(message.contains("Timestamp(s)") && message.contains("Timestamp(ms)"), "{message}");

    let message = error::<Generic<i32>>(&numbers, 2..4).to_string();
    assert_eq!(message, "rows 2 to 4 were asked for, the batch has 3");
    #[allow(clippy::reversed_empty_ranges)]
    let message = error::<Generic<i32>>(&numbers, 2..1).to_string();
    assert_eq!(message, "rows 2 to 1 were asked for, the batch has 3");
}

#[test]
fn other_columns_are_ignored_and_order_does_not_count() {
    let first: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let batch = RecordBatch::try_from_iter([
        ("unknown", first.clone()),
        ("f64", Arc::new(arrow_array::Float64Array::from(vec![0.5])) as ArrayRef),
        ("name", first),
    ])
    .unwrap();
    #[derive(Record, Clone, Debug, PartialEq)]
    #[record(arrow)]
    struct Row {
        name: String,
        #[record(rename = "f64")]
        ratio: f64,
    }
    assert_eq!(Row::from_arrow(&batch, 0..1).unwrap(), [Row { name: "x".into(), ratio: 0.5 }]);
}

#[test]
fn a_column_of_more_than_two_gibibytes_is_refused_before_it_is_built() {
    let text: Arc<str> = "x".repeat(1 << 20).into();
    let records = vec![Generic { value: text }; 1 << 11];
    let error = Generic::to_arrow(&records).unwrap_err();
    assert!(matches!(error, SerializationError::ColumnTooLong { field: "Generic.value" }), "{error}");
}

#[test]
fn dates_and_instants_can_be_read_by_people() {
    assert_eq!(Date(15_706).to_string(), "2013-01-01");
    assert_eq!(Date(-1).to_string(), "1969-12-31");
    assert_eq!(TimestampMs(1_357_034_400_000).to_string(), "2013-01-01T10:00:00.000Z");
}

#[test]
fn every_record_has_columns() {
    let of = |schema: tidemill_serialization::Schema| {
        let table = schema.to_arrow()?;
        Some(table.fields().iter().map(|field| field.to_string()).collect::<Vec<_>>())
    };
    let columns = of(tidemill_serialization::Schema::of::<Everything>()).unwrap();
    assert_eq!(columns.len(), 13);
    assert!(
        columns.iter().any(|column| column.contains("\"bytes\"") && column.contains("Binary")),
        "{columns:#?}"
    );
    assert!(
        columns.iter().any(|column| column.contains("\"list\"") && column.contains("Union")),
        "{columns:#?}"
    );
    // The same columns as the records of the derive for flat types have.
    let flat = tidemill_serialization::Schema::of::<Flat>().to_arrow().unwrap();
    assert_eq!(&flat, <Flat as tidemill_serialization::ArrowRecord>::schema().as_ref());
    // Those with a name of their own, too; schemas that differ in nothing else are the same.
    let renamed = tidemill_serialization::Schema::of::<Wide>();
    assert_eq!(&renamed.to_arrow().unwrap(), Wide::schema().as_ref());
    assert_eq!(decoded::<tidemill_serialization::Schema>(&encoded(&renamed)).unwrap(), renamed);
    // No table holds what contains itself.
    assert_eq!(of(tidemill_serialization::Schema::of::<Tree>()), None);
}

/// Structs of which each has the next one twice.
fn doubling(levels: u32) -> tidemill_serialization::Schema {
    use tidemill_serialization::schema::{Body, Definition, Type};

    let mut schema = tidemill_serialization::Schema::of::<Generic<bool>>();
    let whole = schema.definitions.remove(0);
    let Body::Struct(field) = &whole.body else { panic!() };
    for level in 1..=levels {
        let ty = if level == levels { Type::Bool } else { Type::Named(level) };
        let fields = ["left", "right"].map(|name| {
            let mut field = field[0].clone();
            (field.name, field.ty) = (name.to_owned(), ty.clone());
            field
        });
        let body = Body::Struct(fields.to_vec());
        schema.definitions.push(Definition { name: "Twice".into(), body, ..whole.clone() });
    }
    schema
}

/// Going over each of 2^60 columns would take years.
#[test]
fn tables_have_an_end() {
    // 2 + 4 + … + 4,096.
    assert!(doubling(12).to_arrow().is_some());
    for levels in [13, 30, 60, 1000] {
        assert!(doubling(levels).to_arrow().is_none(), "{levels} levels");
    }
}

#[test]
fn decimals_of_too_many_digits_are_refused() {
    use arrow_array::Decimal128Array;
    use tidemill_serialization::Decimal;

    // Arrow does not look.
    let column = Decimal128Array::from(vec![Some(99_999), None, Some(-100_000), Some(5)]);
    let batch = one_column("value", Arc::new(column.with_precision_and_scale(5, 2).unwrap()));
    let wrong = error::<Generic<Option<Decimal<5, 2>>>>(&batch, 0..4);
    assert_eq!(
        wrong.to_string(),
        "column `value` has in row 2 no value of Generic.value: -100000 does not fit DECIMAL(5, 2); filter such rows, or \
         mend the column"
    );
    assert_eq!((wrong.code(), wrong.fault()), ("TM-SERIALIZATION-COLUMN-VALUE", Fault::User));
    // Only the rows asked for count, and it is a right one of a type with more digits.
    assert!(Generic::<Option<Decimal<5, 2>>>::from_arrow(&batch, 0..2).is_ok());
    assert!(Generic::<Option<Decimal<6, 2>>>::from_arrow(&batch, 0..4).is_ok());
    let wrong = error::<Generic<Decimal<5, 2>>>(&batch, 2..4).to_string();
    assert!(wrong.contains("in row 2"), "{wrong}");
}

#[test]
fn columns_are_found_by_aliases_and_may_be_missing_where_there_is_a_default() {
    #[derive(Record, Clone, Debug, PartialEq)]
    #[record(arrow)]
    struct Row {
        #[record(alias = "client", alias = "buyer")]
        customer: String,
        #[record(default = 1)]
        pieces: i64,
        #[record(default)]
        note: Option<String>,
        #[record(alias = "taken")]
        price: i64,
        #[record(rename = "taken")]
        other: i64,
    }
    let (text, number): (ArrayRef, ArrayRef) =
        (Arc::new(StringArray::from(vec!["x"])), Arc::new(Int64Array::from(vec![7])));
    let batch = |columns: &[(&str, &ArrayRef)]| {
        RecordBatch::try_from_iter(columns.iter().map(|(name, column)| (*name, (*column).clone()))).unwrap()
    };
    let row = Row { customer: "x".into(), pieces: 1, note: None, price: 7, other: 7 };
    let needed = [("buyer", &text), ("price", &number), ("taken", &number)];
    let full = Row { pieces: 7, note: Some("x".into()), ..row.clone() };
    assert_eq!(Row::from_arrow(&batch(&needed), 0..1).unwrap(), [row]);
    let all = [needed.to_vec(), vec![("pieces", &number), ("note", &text)]].concat();
    assert_eq!(Row::from_arrow(&batch(&all), 0..1).unwrap(), [full]);
    // What is there must be of the right type, and another field's column is not taken.
    let message = error::<Row>(&batch(&[("buyer", &number)]), 0..1).to_string();
    assert!(message.starts_with("column `buyer` is Int64, but Row.customer needs Utf8"), "{message}");
    let message = error::<Row>(&batch(&[("buyer", &text), ("taken", &number)]), 0..1).to_string();
    assert!(
        message.starts_with("there is no column `price` for Row.price, only `buyer`, `taken`"),
        "{message}"
    );
}

#[derive(tidemill_serialization::Record, Clone)]
#[record(arrow)]
struct Flat {
    a: i8,
    b: Option<u64>,
    c: String,
    d: Option<Vec<u8>>,
    e: tidemill_serialization::TimestampMs,
    f: Option<tidemill_serialization::Decimal<9, 2>>,
    g: tidemill_serialization::TimeOfDay,
    h: f32,
    i: bool,
    j: tidemill_serialization::Date,
}
