use super::FUNCTIONS;
use crate::functions::support::testing::{Given, call, call_in, context, given, number, text, texts, truth};
use crate::types::{LogicalType, TypeRoot};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ListArray, StringArray};
use datafusion_common::ScalarValue;
use std::sync::Arc;

fn ints(values: &[Option<i32>]) -> Given {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(values.to_vec())]);
    given(TypeRoot::Array(Box::new(TypeRoot::Int.nullable())), ScalarValue::List(Arc::new(list)))
}

fn plain(values: &[i32]) -> Given {
    ints(&values.iter().copied().map(Some).collect::<Vec<_>>())
}

fn null_array() -> Given {
    let root = TypeRoot::Array(Box::new(TypeRoot::Int.nullable()));
    let value = ScalarValue::try_new_null(&crate::types::arrow::data_type(&root)).unwrap();
    given(root, value)
}

fn words(values: &[Option<&str>]) -> Given {
    let root = TypeRoot::Array(Box::new(TypeRoot::STRING.nullable()));
    let arrow_schema::DataType::List(field) = crate::types::arrow::data_type(&root) else { panic!() };
    let offsets = arrow_buffer::OffsetBuffer::from_lengths([values.len()]);
    let list = ListArray::new(field, offsets, Arc::new(StringArray::from(values.to_vec())), None);
    given(root, ScalarValue::List(Arc::new(list)))
}

fn doubles(values: &[f64]) -> Given {
    let list = ListArray::from_iter_primitive::<arrow_array::types::Float64Type, _, _>([Some(
        values.iter().copied().map(Some).collect::<Vec<_>>(),
    )]);
    given(TypeRoot::Array(Box::new(TypeRoot::Double.nullable())), ScalarValue::List(Arc::new(list)))
}

/// What a call gives as an argument of another one.
fn made(name: &str, arguments: &[Given]) -> Given {
    let (array, logical) = call_in(&context(), FUNCTIONS, name, arguments).unwrap();
    Given { logical, value: ScalarValue::try_from_array(&array, 0).unwrap(), is_literal: true }
}

fn map(entries: &[(&str, i32)]) -> Given {
    let arguments: Vec<Given> =
        entries.iter().flat_map(|(key, value)| [Given::from(*key), (*value).into()]).collect();
    made("MAP", &arguments)
}

fn shown(value: ScalarValue) -> Option<Vec<Option<i32>>> {
    match value {
        ScalarValue::List(list) => {
            list.is_valid(0).then(|| list.value(0).as_primitive::<Int32Type>().iter().collect())
        }
        other => panic!("{other:?}"),
    }
}

fn array(name: &str, arguments: &[Given]) -> Option<Vec<Option<i32>>> {
    shown(call(FUNCTIONS, name, arguments).unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn some(values: &[i32]) -> Option<Vec<Option<i32>>> {
    Some(values.iter().copied().map(Some).collect())
}

fn none() -> Given {
    None::<i32>.into()
}

#[test]
fn constructors() {
    assert_eq!(array("ARRAY", &[1.into(), none(), 3.into()]), Some(vec![Some(1), None, Some(3)]));
    let (_, returns) = call_in(&context(), FUNCTIONS, "ARRAY", &[1.into(), 2i64.into()]).unwrap();
    assert_eq!(returns, TypeRoot::Array(Box::new(TypeRoot::BigInt.not_null())).not_null());
    let (_, returns) = call_in(&context(), FUNCTIONS, "ARRAY", &["a".into(), "bcd".into()]).unwrap();
    assert_eq!(returns.to_string(), "ARRAY<VARCHAR(3) NOT NULL> NOT NULL");
    assert!(call(FUNCTIONS, "ARRAY", &[]).is_err());
    assert!(call(FUNCTIONS, "ARRAY", &[1.into(), "a".into()]).is_err());
    let (row, returns) =
        call_in(&context(), FUNCTIONS, "ROW", &[1.into(), Given::from("a").into_column()]).unwrap();
    assert_eq!(returns.to_string(), "ROW<`EXPR$0` INT NOT NULL, `EXPR$1` CHAR(1) NOT NULL> NOT NULL");
    assert_eq!(row.as_struct().column(1).as_string::<i32>().value(1), "a");
    assert!(call(FUNCTIONS, "ROW", &[]).is_err());
}

#[test]
fn items() {
    let item = |index: i32| number(FUNCTIONS, "ITEM", &[plain(&[1, 2, 3]), index.into()]);
    assert_eq!(item(1), Some(1));
    assert_eq!(item(4), None);
    assert!(call(FUNCTIONS, "ITEM", &[plain(&[1]), 0.into()]).unwrap_err().contains("starting at 1"));
    assert_eq!(number(FUNCTIONS, "ITEM", &[plain(&[1]), Given::from(0).into_column()]), None);
    assert_eq!(number(FUNCTIONS, "ITEM", &[plain(&[1]), Given::from(i64::MIN).into_column()]), None);
    assert_eq!(number(FUNCTIONS, "ITEM", &[null_array(), 1.into()]), None);
    let of_map = |key: &str| number(FUNCTIONS, "ITEM", &[map(&[("a", 1), ("b", 2)]), key.into()]);
    assert_eq!(of_map("b"), Some(2));
    assert_eq!(of_map("c"), None);
    assert!(call(FUNCTIONS, "ITEM", &[map(&[("a", 1)]), 1.into()]).is_err());
    assert!(call(FUNCTIONS, "ITEM", &["a".into(), 1.into()]).is_err());
    let element = |array: Given| call(FUNCTIONS, "ELEMENT", &[array]);
    assert_eq!(element(plain(&[7])), Ok(ScalarValue::Int32(Some(7))));
    assert_eq!(element(plain(&[])), Ok(ScalarValue::Int32(None)));
    assert_eq!(element(null_array()), Ok(ScalarValue::Int32(None)));
    assert_eq!(element(plain(&[7, 8])), Err("Array has more than one element.".to_owned()));
}

#[test]
fn sizes() {
    let size = |collection: Given| number(FUNCTIONS, "CARDINALITY", &[collection]);
    assert_eq!(size(plain(&[1, 2])), Some(2));
    assert_eq!(size(map(&[("a", 1)])), Some(1));
    assert_eq!(size(null_array()), None);
    assert!(call(FUNCTIONS, "CARDINALITY", &[1.into()]).is_err());
}

#[test]
fn searches() {
    let contains = |array: Given, element: Given| truth(FUNCTIONS, "ARRAY_CONTAINS", &[array, element]);
    assert_eq!(contains(ints(&[Some(1), None]), none()), Some(true));
    assert_eq!(contains(plain(&[1, 2]), 2.into()), Some(true));
    assert_eq!(contains(plain(&[1, 2]), none()), Some(false));
    assert_eq!(contains(null_array(), 1.into()), None);
    assert_eq!(contains(words(&[Some("a"), None]), "a".into()), Some(true));
    assert_eq!(contains(doubles(&[f64::NAN, 0.0]), f64::NAN.into()), Some(false));
    assert_eq!(contains(doubles(&[0.0]), (-0.0).into()), Some(true));
    let rows = |value: i32| made("ROW", &[value.into(), "a".into()]);
    assert_eq!(contains(made("ARRAY", &[rows(1)]), rows(1)), Some(true));
    assert_eq!(contains(made("ARRAY", &[rows(1)]), rows(2)), Some(false));
    assert_eq!(contains(made("ARRAY", &[plain(&[1, 2])]), plain(&[1, 2])), Some(true));
    assert_eq!(contains(made("ARRAY", &[plain(&[1, 2])]), plain(&[1])), Some(false));
    assert_eq!(
        contains(made("ARRAY", &[map(&[("a", 1), ("b", 2)])]), map(&[("b", 2), ("a", 1)])),
        Some(true)
    );
    assert!(call(FUNCTIONS, "ARRAY_CONTAINS", &[plain(&[1]), "a".into()]).is_err());
    assert!(call(FUNCTIONS, "ARRAY_CONTAINS", &[1.into(), 1.into()]).is_err());
    let position = |array: Given, element: Given| number(FUNCTIONS, "ARRAY_POSITION", &[array, element]);
    assert_eq!(position(plain(&[1, 2, 1]), 1.into()), Some(1));
    assert_eq!(position(ints(&[None, Some(2)]), 2.into()), Some(2));
    assert_eq!(position(plain(&[1, 2]), 9.into()), Some(0));
    assert_eq!(position(plain(&[1, 2]), none()), None);
}

#[test]
fn changes() {
    assert_eq!(
        array("ARRAY_REMOVE", &[ints(&[Some(1), Some(2), Some(1), None]), 1.into()]),
        Some(vec![Some(2), None])
    );
    assert_eq!(array("ARRAY_REMOVE", &[ints(&[Some(1), None]), none()]), some(&[1]));
    assert_eq!(array("ARRAY_APPEND", &[plain(&[1]), 2.into()]), some(&[1, 2]));
    assert_eq!(array("ARRAY_APPEND", &[plain(&[1]), none()]), Some(vec![Some(1), None]));
    assert_eq!(array("ARRAY_APPEND", &[null_array(), 1.into()]), None);
    assert_eq!(array("ARRAY_PREPEND", &[plain(&[1]), 2.into()]), some(&[2, 1]));
    assert!(call(FUNCTIONS, "ARRAY_APPEND", &[plain(&[1]), 2i64.into()]).is_err());
    assert_eq!(array("ARRAY_REVERSE", &[plain(&[1, 2])]), some(&[2, 1]));
    let repeated = ints(&[Some(1), Some(2), Some(1), None, None]);
    assert_eq!(array("ARRAY_DISTINCT", &[repeated]), Some(vec![Some(1), Some(2), None]));
    assert_eq!(array("ARRAY_DISTINCT", &[null_array()]), None);
}

#[test]
fn slices() {
    let slice =
        |start: i32, end: i32| array("ARRAY_SLICE", &[plain(&[1, 2, 3, 4]), start.into(), end.into()]);
    assert_eq!(slice(2, 3), some(&[2, 3]));
    assert_eq!(slice(0, 0), some(&[1]));
    assert_eq!(slice(3, 2), some(&[]));
    assert_eq!(slice(-2, -1), some(&[3, 4]));
    assert_eq!(slice(-9, 9), some(&[1, 2, 3, 4]));
    assert_eq!(slice(i32::MIN, i32::MAX), some(&[1, 2, 3, 4]));
    assert_eq!(array("ARRAY_SLICE", &[plain(&[1, 2, 3, 4]), (-2).into()]), some(&[3, 4]));
    assert_eq!(array("ARRAY_SLICE", &[plain(&[]), 1.into()]), some(&[]));
    assert_eq!(array("ARRAY_SLICE", &[plain(&[1]), none()]), None);
}

#[test]
fn sorts() {
    let unsorted = || ints(&[Some(3), Some(1), None, Some(2)]);
    let sorted = |flags: &[bool]| {
        let mut arguments = vec![unsorted()];
        arguments.extend(flags.iter().map(|flag| Given::from(*flag)));
        array("ARRAY_SORT", &arguments).unwrap()
    };
    assert_eq!(sorted(&[]), [None, Some(1), Some(2), Some(3)]);
    assert_eq!(sorted(&[false]), [Some(3), Some(2), Some(1), None]);
    assert_eq!(sorted(&[false, true]), [None, Some(3), Some(2), Some(1)]);
    assert_eq!(sorted(&[true, false]), [Some(1), Some(2), Some(3), None]);
    let null = given(TypeRoot::Boolean, ScalarValue::Boolean(None));
    assert_eq!(array("ARRAY_SORT", &[unsorted(), null]), None);
    let greatest = |array: Given| number(FUNCTIONS, "ARRAY_MAX", &[array]);
    assert_eq!(greatest(unsorted()), Some(3));
    assert_eq!(greatest(ints(&[None])), None);
    assert_eq!(greatest(plain(&[])), None);
    assert_eq!(greatest(null_array()), None);
    assert_eq!(text(FUNCTIONS, "ARRAY_MIN", &[words(&[Some("b"), Some("a")])]).as_deref(), Some("a"));
    let rows = made("ARRAY", &[made("ROW", &[1.into()])]);
    assert!(call(FUNCTIONS, "ARRAY_MAX", &[rows]).unwrap_err().contains("order"));
}

#[test]
fn sets() {
    let two = |name: &str, one: &[i32], two: &[i32]| array(name, &[plain(one), plain(two)]);
    assert_eq!(two("ARRAY_UNION", &[1, 2, 2], &[2, 3]), some(&[1, 2, 3]));
    assert_eq!(two("ARRAY_CONCAT", &[1], &[2, 3]), some(&[1, 2, 3]));
    assert_eq!(two("ARRAY_EXCEPT", &[1, 2, 2, 3], &[3]), some(&[1, 2]));
    assert_eq!(two("ARRAY_INTERSECT", &[1, 2, 2, 3], &[3, 2]), some(&[2, 3]));
    assert_eq!(array("ARRAY_CONCAT", &[plain(&[1]), null_array()]), None);
    assert_eq!(array("ARRAY_CONCAT", &[plain(&[1])]), some(&[1]));
    let nulls = array("ARRAY_UNION", &[ints(&[None, Some(1)]), ints(&[None])]);
    assert_eq!(nulls, Some(vec![None, Some(1)]));
    let longs = made("ARRAY", &[2i64.into()]);
    let (_, returns) =
        call_in(&context(), FUNCTIONS, "ARRAY_UNION", &[made("ARRAY", &[1.into()]), longs]).unwrap();
    assert_eq!(returns.to_string(), "ARRAY<BIGINT NOT NULL> NOT NULL");
    assert!(call(FUNCTIONS, "ARRAY_UNION", &[plain(&[1])]).is_err());
    assert!(call(FUNCTIONS, "ARRAY_UNION", &[plain(&[1]), words(&[])]).is_err());
}

#[test]
fn joins() {
    let join = |arguments: &[Given]| text(FUNCTIONS, "ARRAY_JOIN", arguments);
    let abc = || words(&[Some("a"), None, Some("b")]);
    assert_eq!(join(&[abc(), "-".into()]).as_deref(), Some("a-b"));
    assert_eq!(join(&[abc(), "-".into(), "*".into()]).as_deref(), Some("a-*-b"));
    assert_eq!(join(&[abc(), None::<&str>.into()]), None);
    assert_eq!(join(&[words(&[]), "-".into()]).as_deref(), Some(""));
    assert!(call(FUNCTIONS, "ARRAY_JOIN", &[plain(&[1]), "-".into()]).is_err());
}

#[test]
fn maps() {
    let two = || map(&[("a", 1), ("b", 2)]);
    let strings =
        |texts: &[&str]| Some(texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>());
    assert_eq!(texts(FUNCTIONS, "MAP_KEYS", &[two()]), strings(&["a", "b"]));
    assert_eq!(array("MAP_VALUES", &[two()]), some(&[1, 2]));
    let (entries, returns) = call_in(&context(), FUNCTIONS, "MAP_ENTRIES", &[two()]).unwrap();
    assert_eq!(returns.to_string(), "ARRAY<ROW<`key` CHAR(1) NOT NULL, `value` INT NOT NULL>> NOT NULL");
    assert_eq!(entries.as_list::<i32>().value(1).as_struct().column(0).as_string::<i32>().value(1), "b");
    let keys_and_values = |map: Given| {
        (
            texts(FUNCTIONS, "MAP_KEYS", std::slice::from_ref(&map)).unwrap(),
            array("MAP_VALUES", &[map]).unwrap(),
        )
    };
    let merged = made("MAP_UNION", &[two(), map(&[("b", 3), ("c", 4)])]);
    let (keys, values) = keys_and_values(merged);
    assert_eq!((Some(keys), Some(values)), (strings(&["b", "c", "a"]), some(&[3, 4, 1])));
    let of_arrays = made("MAP_FROM_ARRAYS", &[words(&[Some("a"), Some("b")]), plain(&[1, 2])]);
    assert_eq!(number(FUNCTIONS, "ITEM", &[of_arrays, "b".into()]), Some(2));
    let uneven = call(FUNCTIONS, "MAP_FROM_ARRAYS", &[words(&[Some("a"), Some("b")]), plain(&[1])]);
    assert!(uneven.unwrap_err().contains("2 keys and 1 values"));
    let null_key = call(FUNCTIONS, "MAP_FROM_ARRAYS", &[words(&[None]), plain(&[1])]);
    assert_eq!(null_key, Err("a key of a MAP is NULL".to_owned()));
    let twice = made("MAP", &["a".into(), 1.into(), "a".into(), 2.into()]);
    assert_eq!(number(FUNCTIONS, "CARDINALITY", std::slice::from_ref(&twice)), Some(1));
    assert_eq!(number(FUNCTIONS, "ITEM", &[twice, "a".into()]), Some(2));
    assert!(call(FUNCTIONS, "MAP", &["a".into()]).is_err());
    assert!(call(FUNCTIONS, "MAP", &[]).is_err());
    let of_null: LogicalType = two().logical.with_nullable(true);
    let null = Given {
        value: ScalarValue::try_new_null(&crate::types::arrow::data_type(&of_null.root)).unwrap(),
        logical: of_null,
        is_literal: true,
    };
    assert_eq!(texts(FUNCTIONS, "MAP_KEYS", std::slice::from_ref(&null)), None);
    let (union, _) = call_in(&context(), FUNCTIONS, "MAP_UNION", &[two(), null]).unwrap();
    assert_eq!(union.null_count(), 2);
}
