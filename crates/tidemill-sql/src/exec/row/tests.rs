//! The format of rows stays as it is, and what is written can be read.

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::{
    Array, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, StructArray,
};
use arrow_schema::{Field, Fields};
use proptest::prelude::*;

use super::*;

fn written(columns: &[ArrayRef], keys: bool) -> Vec<Vec<u8>> {
    let data: Vec<ArrayData> = columns.iter().map(|column| column.to_data()).collect();
    let writer = RowWriter::new(&data, keys);
    let rows = columns.first().map_or(0, |column| column.len());
    (0..rows)
        .map(|row| {
            let mut out = Vec::new();
            writer.write(row, &mut out);
            out
        })
        .collect()
}

fn read(columns: &[ArrayRef], rows: &[Vec<u8>]) -> Vec<ArrayRef> {
    let mut reader = RowReader::of_types(columns.iter().map(|column| column.data_type()));
    for row in rows {
        reader.push(row).unwrap();
    }
    reader.finish().unwrap()
}

#[test]
fn the_format_is_frozen() {
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("ab")]));
    let rows = written(&[numbers, texts], true);
    assert_eq!(rows, [vec![0b10, 5, 0, 0, 0], vec![0b01, 2, 0, 0, 0, b'a', b'b']]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, f64::NAN]));
    let canonical = written(std::slice::from_ref(&floats), true);
    assert_eq!(canonical, [vec![0; 9], vec![0, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]]);
    assert_eq!(
        written(&[floats], false)[0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0x80],
        "stored values stay as they are"
    );
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    assert_eq!(written(&[Arc::new(lists.finish())], true), [vec![0, 2, 0, 0, 0, 0b10, 1, 0, 0, 0]]);
}

#[test]
fn damage_is_an_error() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["ab"]));
    let columns = [numbers, texts];
    let whole = written(&columns, false).remove(0);
    for length in 0..whole.len() {
        let mut reader = RowReader::of_types(columns.iter().map(|column| column.data_type()));
        assert!(reader.push(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
    }
    let mut reader = RowReader::of_types(columns.iter().map(|column| column.data_type()));
    assert!(reader.push(&[whole.clone(), vec![0]].concat()).is_err());
    let mut wrong = whole;
    let last = wrong.len() - 1;
    wrong[last] = 0xff;
    let mut reader = RowReader::of_types(columns.iter().map(|column| column.data_type()));
    assert!(reader.push(&wrong).is_err(), "not UTF-8");
}

#[test]
fn rows_of_slices_and_of_nested_columns_are_read_back() {
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some(""), None, Some("dd")]));
    let fields: Fields =
        vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)].into();
    let nulls = arrow_buffer::NullBuffer::from(vec![true, true, false, true]);
    let rows: ArrayRef = Arc::new(StructArray::new(fields, vec![inner, texts], Some(nulls)));
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_null();
    lists.append_value([]);
    lists.append_value([Some(9)]);
    let lists: ArrayRef = Arc::new(lists.finish());
    let decimals: ArrayRef = Arc::new(
        Decimal128Array::from(vec![Some(-5), None, Some(i128::from(i64::MAX) * 3), Some(0)])
            .with_precision_and_scale(38, 2)
            .unwrap(),
    );
    for (start, length) in [(0, 4), (1, 3), (2, 1), (3, 1)] {
        let columns = [rows.slice(start, length), lists.slice(start, length), decimals.slice(start, length)];
        let found = read(&columns, &written(&columns, false));
        for (found, column) in found.iter().zip(&columns) {
            assert_eq!(&**found, &**column, "{start} {length}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        numbers in proptest::collection::vec(any::<Option<i64>>(), 1..40),
        seed in any::<u64>(),
    ) {
        let rows = numbers.len();
        let text = |row: usize| {
            let bits = seed.rotate_left(row as u32);
            (bits % 5 != 0).then(|| "é".repeat(usize::try_from(bits % 40).unwrap()))
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(numbers)),
            Arc::new((0..rows).map(text).collect::<StringArray>()),
            Arc::new((0..rows).map(|row| (row % 3 != 0).then_some(seed >> row & 1 == 1)).collect::<BooleanArray>()),
        ];
        let found = read(&columns, &written(&columns, false));
        for (found, column) in found.iter().zip(&columns) {
            prop_assert_eq!(&**found, &**column);
        }
    }

    #[test]
    fn equal_keys_are_equal_bytes(values in proptest::collection::vec(-3i32..3, 2..20)) {
        let column: ArrayRef = Arc::new(Int32Array::from(values.clone()));
        let rows = written(&[column], true);
        for (one, first) in values.iter().zip(&rows) {
            for (two, second) in values.iter().zip(&rows) {
                prop_assert_eq!(one == two, first == second);
            }
        }
    }
}
