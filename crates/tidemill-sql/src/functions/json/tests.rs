use super::FUNCTIONS;
use crate::functions::support::testing::{Given, call, call_in, context, given, number, text, texts, truth};
use crate::types::{RowField, TypeRoot};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, ListArray, StructArray};
use datafusion_common::ScalarValue;
use std::sync::Arc;

fn none() -> Given {
    Given::from(None::<&str>)
}

fn givens(texts: &[&str]) -> Vec<Given> {
    texts.iter().map(|text| Given::from(*text)).collect()
}

#[test]
fn what_is_json() {
    let is = |text: &str, kind: &str| truth(FUNCTIONS, "IS JSON", &givens(&[text, kind])).unwrap();
    assert!(is(r#"{"a":1} xyz"#, "VALUE") && is("1 2", "VALUE") && is("null", "VALUE"));
    assert!(!is("", "VALUE") && !is("{a:1}", "VALUE"));
    assert!(is("[1]", "ARRAY") && !is("[1]", "OBJECT") && !is("[1]", "SCALAR"));
    assert!(is(r#""a""#, "SCALAR") && is("null", "SCALAR") && is("{}", "OBJECT"));
    assert_eq!(truth(FUNCTIONS, "IS JSON", &[none()]), Some(false));
    assert!(call(FUNCTIONS, "IS JSON", &givens(&["1", "THING"])).is_err());
}

#[test]
fn exists() {
    let exists = |arguments: &[&str]| truth(FUNCTIONS, "JSON_EXISTS", &givens(arguments));
    assert_eq!(exists(&[r#"{"a":1}"#, "$.a"]), Some(true));
    assert_eq!(exists(&[r#"{"a":1}"#, "$.b"]), Some(false));
    assert_eq!(exists(&[r#"{"a":null}"#, "lax $.a"]), Some(false));
    assert_eq!(exists(&[r#"{"a":[{"b":1}]}"#, "$.a[0].b"]), Some(true));
    assert_eq!(exists(&[r#"{"a":true}"#, "strict $.b", "ON ERROR TRUE"]), Some(true));
    assert_eq!(exists(&[r#"{"a":true}"#, "strict $.b", "ON ERROR UNKNOWN"]), None);
    assert_eq!(exists(&[r#"{"a":true}"#, "lax $.b[*]"]), Some(true));
    assert_eq!(exists(&["bad", "lax $.b"]), Some(false));
    assert_eq!(exists(&[r#"{"a":[1]}"#, "strict $.a[3]"]), Some(false));
    assert_eq!(exists(&[r#"{"a":[1]}"#, "strict $.a[*].b"]), Some(true));
    let error =
        call(FUNCTIONS, "JSON_EXISTS", &givens(&[r#"{"a":{"b":1}}"#, "strict $.a.b.c", "ON ERROR ERROR"]));
    assert!(error.unwrap_err().contains("Expected to find an object"));
    assert_eq!(truth(FUNCTIONS, "JSON_EXISTS", &[none(), "$".into()]), None);
    assert!(call(FUNCTIONS, "JSON_EXISTS", &givens(&["1", "$", "ON ERROR EMPTY ARRAY"])).is_err());
}

#[test]
fn values() {
    let value = |arguments: &[&str]| text(FUNCTIONS, "JSON_VALUE", &givens(arguments));
    for (document, path, expected) in [
        (r#"{"a":"x"}"#, "$.a", Some("x")),
        (r#"{"a":1.50}"#, "$.a", Some("1.50")),
        (r#"{"a":1e2}"#, "$.a", Some("1E+2")),
        (r#"{"a":true}"#, "$.a", Some("true")),
        (r#"{"a":{"b":1}}"#, "$.a", None),
        (r#"{"a":{"b":1}}"#, "lax $.a", None),
        (r#"{"a":1,"a":2}"#, "$.a", Some("2")),
        (r#"{"a b":1}"#, "$['a b']", Some("1")),
        (r#"{"a.b":1}"#, "$[\"a.b\"]", Some("1")),
        (r#"{"a":[1,2,3]}"#, "$.a[-1]", Some("3")),
        (r#"{"a":[1,2,3]}"#, "$.a[5]", None),
        (r#"{"a":[1,2,3]}"#, "$.a.length()", Some("3")),
        (r#"{"a":[1,2,3]}"#, "$.a.sum()", Some("6.0")),
        (r#"{"a":[1,2,3]}"#, "$.a.avg()", Some("2.0")),
        (r#"{"a":[1,2,3]}"#, "$.a.max()", Some("3.0")),
        (r#"{"a":[1,2,3]}"#, "$.a.last()", Some("3")),
        (r#"{"a":{"x":1,"y":2}}"#, "$.a.length()", Some("2")),
        (r#"{"a":12345678901234567890}"#, "$.a", Some("12345678901234567890")),
        (r#"{"a":-0}"#, "$.a", Some("0")),
        (r#"{"a":1E-10}"#, "$.a", Some("1E-10")),
        ("\"x\"", "$", Some("x")),
        (r#"{"a":1}"#, "a", Some("1")),
        (r#"{"a":1}"#, "$.", None),
        (r#"{"a":1}"#, "$ .a", None),
        (r#"{"a":"x"}"#, "LAX $.a", Some("x")),
        (r#"{"a":{"b":1}}"#, "lax $.a.b.c", None),
        (r#"{"a":[{"b":1},{"b":2}]}"#, "$.a[?(@.b==2)].b", None),
        ("bad", "$.a", None),
        (r#"{"a":{"a":[{"a":1}]}}"#, "$..a.length()", Some("3")),
        (r#"{"a":1}"#, " .a", None),
    ] {
        assert_eq!(value(&[document, path]).as_deref(), expected, "{document} {path}");
    }
    let null = r#"{"a":null}"#;
    assert_eq!(value(&[null, "lax $.a", "ON EMPTY DEFAULT", "d"]).as_deref(), Some("d"));
    assert_eq!(value(&[null, "$.a", "ON EMPTY DEFAULT", "d", "ON ERROR DEFAULT", "e"]).as_deref(), Some("e"));
    assert_eq!(value(&[r#"{"a":1}"#, "$.b", "ON EMPTY DEFAULT", "d"]), None);
    let fails = |arguments: &[&str]| call(FUNCTIONS, "JSON_VALUE", &givens(arguments)).unwrap_err();
    assert!(fails(&["{}", "lax $.b", "ON EMPTY ERROR"]).contains("Empty result"));
    assert!(fails(&["{}", "strict $.b", "ON ERROR ERROR"]).contains("No results"));
    assert!(fails(&["{}", "$.b", "RETURNING BIGINT"]).contains("cannot return BIGINT"));
    assert!(fails(&["{}", "$.b", "ON EMPTY DEFAULT"]).contains("DEFAULT"));
    assert!(fails(&["{}", "$.b", "WHATEVER"]).contains("WHATEVER"));
    assert!(fails(&["{}"]).contains("expects"));
    assert_eq!(text(FUNCTIONS, "JSON_VALUE", &["{}".into(), none()]), None);
}

#[test]
fn typed_values() {
    let value = |arguments: &[Given]| call(FUNCTIONS, "JSON_VALUE", arguments);
    let document = || Given::from(r#"{"i":1,"d":1.5,"b":true,"s":"x"}"#);
    let int = |path: &str| value(&[document(), path.into(), "RETURNING INTEGER".into()]);
    assert_eq!(int("$.i"), Ok(ScalarValue::Int32(Some(1))));
    assert_eq!(int("$.none"), Ok(ScalarValue::Int32(None)));
    assert!(int("$.s").unwrap_err().contains("not an INTEGER"));
    let double = value(&[document(), "$.d".into(), "RETURNING DOUBLE".into()]);
    assert_eq!(double, Ok(ScalarValue::Float64(Some(1.5))));
    let truth = value(&[document(), "$.b".into(), "RETURNING BOOLEAN".into()]);
    assert_eq!(truth, Ok(ScalarValue::Boolean(Some(true))));
    let default =
        [document(), "lax $.x".into(), "RETURNING INTEGER".into(), "ON EMPTY DEFAULT".into(), 7.into()];
    assert_eq!(number(FUNCTIONS, "JSON_VALUE", &default), Some(7));
    let (_, returns) = call_in(&context(), FUNCTIONS, "JSON_VALUE", &default).unwrap();
    assert_eq!(returns, TypeRoot::Int.nullable());
}

#[test]
fn queries() {
    let query = |arguments: &[&str]| text(FUNCTIONS, "JSON_QUERY", &givens(arguments));
    let items = r#"[{"p":5,"n":"a"},{"p":15,"n":"b"},{"n":"c"}]"#;
    for (document, path, expected) in [
        (r#"{"a":[{"b":1},{"b":2}]}"#, "$.a[?(@.b==2)].b", "[2]"),
        (r#"{"a":[{"b":1},{"b":2}]}"#, "$.a[*].b", "[1,2]"),
        (r#"{"a":[{"b":1},{"b":2}]}"#, "$..b", "[1,2]"),
        (r#"{"a":{"x":1,"y":{"x":2}}}"#, "$..x", "[1,2]"),
        (r#"{"a":{"b":1}}"#, "$.a", r#"{"b":1}"#),
        (r#"{"a":{"x":1,"y":2}}"#, "$.a.keys()", r#"["x","y"]"#),
        (r#"{"a":{"x":1,"y":2}}"#, "$.a['x','y']", r#"{"x":1,"y":2}"#),
        (r#"{"a":{"x":1,"y":2}}"#, "$.a.*", "[1,2]"),
        (r#"{"a":{"x":1,"y":2}}"#, ".x", "[1]"),
        (r#"{"b":[[7,{"a":8}]]}"#, "$..[1].a", "[8]"),
        (r#"{"b":[[7,{"a":8}]]}"#, "$..[0].a", "[]"),
        (r#"{"a":{"a":[{"a":1}]}}"#, "$..a[0]", r#"[{"a":1}]"#),
        (r#"{"a":[1,2,3,4]}"#, "$.a[1:3]", "[2,3]"),
        (r#"{"a":[1,2,3,4]}"#, "$.a[0,2]", "[1,3]"),
        (r#"{"a":[1,2,3,4]}"#, "$.a[-2:]", "[3,4]"),
        (r#"{"a":[1,2,3,4]}"#, "$.a[:-1]", "[1,2,3]"),
        (r#"{"a":[[1,2],[3]]}"#, "$.a[*][*]", "[1,2,3]"),
        (r#"{"a":1e400,"b":1.0E+2,"c":0.0000001}"#, "$", r#"{"a":1E+400,"b":1.0E+2,"c":1E-7}"#),
        (items, "$[?(@.p>10)]", r#"[{"n":"b","p":15}]"#),
        (items, "$[?(@.n =~ /[ab]/ && @.p < 10)].n", r#"["a"]"#),
        (items, "$[?(@.p == '5')].n", r#"["a"]"#),
        (items, "$[?(@.p != 5)].n", r#"["b","c"]"#),
        (items, "$[?(@.p)].n", r#"["a","b"]"#),
        (items, "$[?(!(@.p))].n", r#"["c"]"#),
        (items, "$[?(@.n in ['a','c'])].n", r#"["a","c"]"#),
        (items, "$[?(@.n nin ['a','c'] || @.p <= 5)].n", r#"["a","b"]"#),
        (items, "$[?(@.p == $[1].p)].n", r#"["b"]"#),
    ] {
        assert_eq!(query(&[document, path]).as_deref(), Some(expected), "{document} {path}");
    }
    let one = r#"{"a":1}"#;
    assert_eq!(query(&[one, "$.a"]), None);
    assert_eq!(query(&[one, "$.a", "WITH ARRAY WRAPPER"]).as_deref(), Some("[1]"));
    assert_eq!(query(&[one, "$.a", "WITH CONDITIONAL ARRAY WRAPPER"]).as_deref(), Some("[1]"));
    assert_eq!(query(&[r#"{"a":[1]}"#, "$.a", "WITH CONDITIONAL ARRAY WRAPPER"]).as_deref(), Some("[1]"));
    assert_eq!(query(&[r#"{"a":[1]}"#, "$.a", "WITH UNCONDITIONAL ARRAY WRAPPER"]).as_deref(), Some("[[1]]"));
    assert_eq!(query(&[one, "lax $.b", "ON EMPTY EMPTY OBJECT"]).as_deref(), Some("{}"));
    assert_eq!(query(&[one, "strict $.b", "ON ERROR EMPTY ARRAY"]).as_deref(), Some("[]"));
    assert_eq!(query(&[one, "$.a", "ON ERROR EMPTY ARRAY"]).as_deref(), Some("[]"));
    assert!(call(FUNCTIONS, "JSON_QUERY", &givens(&[one, "strict $.b", "ON ERROR ERROR"])).is_err());
    assert!(call(FUNCTIONS, "JSON_QUERY", &givens(&[one, "$.b", "RETURNING INTEGER"])).is_err());
}

#[test]
fn queries_for_arrays() {
    let query = |arguments: &[&str]| {
        let mut all = vec![arguments[0], arguments[1], "RETURNING ARRAY<STRING>"];
        all.extend_from_slice(&arguments[2..]);
        texts(FUNCTIONS, "JSON_QUERY", &givens(&all))
    };
    let some =
        |texts: &[Option<&str>]| Some(texts.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>());
    let mixed = r#"{"a":["x",1,null,{"b":2}]}"#;
    assert_eq!(query(&[mixed, "$.a"]), some(&[Some("x"), Some("1"), None, Some(r#"{"b":2}"#)]));
    assert_eq!(query(&[r#"{"a":{"b":2}}"#, "$.a"]), None);
    assert_eq!(query(&[r#"{"a":{"b":2}}"#, "$.a", "WITH ARRAY WRAPPER"]), some(&[Some(r#"{"b":2}"#)]));
    assert_eq!(query(&["{}", "lax $.b", "ON EMPTY EMPTY ARRAY"]), some(&[]));
    let empty = givens(&["{}", "lax $.b", "RETURNING ARRAY<STRING>", "ON EMPTY EMPTY OBJECT"]);
    assert!(call(FUNCTIONS, "JSON_QUERY", &empty).is_err());
}

fn string(value: Given) -> Option<String> {
    text(FUNCTIONS, "JSON_STRING", &[value])
}

#[test]
fn strings_of_values() {
    assert_eq!(string(1.into()).as_deref(), Some("1"));
    assert_eq!(string("a\"b".into()).as_deref(), Some(r#""a\"b""#));
    assert_eq!(string(none()), None);
    assert_eq!(string(true.into()).as_deref(), Some("true"));
    assert_eq!(string((&b"abc"[..]).into()).as_deref(), Some("\"YWJj\""));
    assert_eq!(string(1.5.into()).as_deref(), Some("1.5"));
    assert_eq!(string(1e10.into()).as_deref(), Some("1.0E+10"));
    assert_eq!(string(100.0.into()).as_deref(), Some("100.0"));
    let float = given(TypeRoot::Float, ScalarValue::Float32(Some(0.1)));
    assert_eq!(string(float).as_deref(), Some("0.10000000149011612"));
    let decimal = |number, scale| {
        let value = ScalarValue::Decimal128(Some(number), 10, scale);
        given(TypeRoot::Decimal(10, u8::try_from(scale).unwrap()), value)
    };
    assert_eq!(string(decimal(150, 2)).as_deref(), Some("1.50"));
    assert_eq!(string(decimal(10_000, 2)).as_deref(), Some("100.00"));
    assert_eq!(string(decimal(1, 8)).as_deref(), Some("1E-8"));
    let moment = ScalarValue::TimestampMillisecond(Some(120), Some("UTC".into()));
    assert_eq!(
        string(given(TypeRoot::TimestampLtz(3), moment)).as_deref(),
        Some("\"1970-01-01T00:00:00.12Z\"")
    );
    assert!(call(FUNCTIONS, "JSON_STRING", &[f64::NAN.into()]).is_err());
    let date = given(TypeRoot::Date, ScalarValue::Date32(Some(0)));
    assert!(call(FUNCTIONS, "JSON_STRING", &[date]).unwrap_err().contains("DATE"));
}

#[test]
fn strings_of_collections() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
    let array = TypeRoot::Array(Box::new(TypeRoot::Int.nullable()));
    let list = given(array, ScalarValue::List(Arc::new(list)));
    assert_eq!(string(list).as_deref(), Some("[1,null]"));
    let field = |name: &str, root: TypeRoot| RowField { name: name.to_owned(), field_type: root.nullable() };
    let fields = vec![field("b", TypeRoot::Int), field("a", TypeRoot::STRING)];
    let row = TypeRoot::Row(fields);
    let arrow_schema::DataType::Struct(arrow_fields) = crate::types::arrow::data_type(&row) else { panic!() };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(arrow_array::Int32Array::from(vec![1])),
        Arc::new(arrow_array::StringArray::from(vec![None::<&str>])),
    ];
    let value = ScalarValue::Struct(Arc::new(StructArray::new(arrow_fields, columns, None)));
    assert_eq!(string(given(row, value)).as_deref(), Some(r#"{"a":null,"b":1}"#));
    let map = TypeRoot::Map(Box::new(TypeRoot::Int.nullable()), Box::new(TypeRoot::Int.nullable()));
    let value = ScalarValue::try_new_null(&crate::types::arrow::data_type(&map)).unwrap();
    assert!(call(FUNCTIONS, "JSON_STRING", &[given(map, value)]).unwrap_err().contains("keys"));
}

#[test]
fn objects_and_arrays() {
    let object = |arguments: &[Given]| text(FUNCTIONS, "JSON_OBJECT", arguments);
    let (null, absent) = (|| Given::from("NULL ON NULL"), || Given::from("ABSENT ON NULL"));
    let (value, json) = (|| Given::from("VALUE"), || Given::from("JSON"));
    assert_eq!(object(&[null()]).as_deref(), Some("{}"));
    let members = |first: Given| [first, "b".into(), value(), 1.into(), "a".into(), value(), none()];
    assert_eq!(object(&members(null())).as_deref(), Some(r#"{"a":null,"b":1}"#));
    assert_eq!(object(&members(absent())).as_deref(), Some(r#"{"b":1}"#));
    let twice = [null(), "b".into(), value(), 1.into(), "b".into(), value(), 2.into()];
    assert_eq!(object(&twice).as_deref(), Some(r#"{"b":2}"#));
    let inner = || Given::from(r#"{"x":1}"#);
    let quoted = object(&[null(), "b".into(), value(), inner()]);
    assert_eq!(quoted.as_deref(), Some(r#"{"b":"{\"x\":1}"}"#));
    assert_eq!(object(&[null(), "b".into(), json(), inner()]).as_deref(), Some(r#"{"b":{"x":1}}"#));
    let array = |arguments: &[Given]| text(FUNCTIONS, "JSON_ARRAY", arguments);
    let elements = |first: Given| [first, value(), 1.into(), value(), "a".into(), value(), none()];
    assert_eq!(array(&elements(absent())).as_deref(), Some(r#"[1,"a"]"#));
    assert_eq!(array(&elements(null())).as_deref(), Some(r#"[1,"a",null]"#));
    assert_eq!(array(&[absent(), json(), "[1]".into()]).as_deref(), Some("[[1]]"));
    assert_eq!(array(&[absent()]).as_deref(), Some("[]"));
    assert!(
        call(FUNCTIONS, "JSON_OBJECT", &[null(), none(), value(), 1.into()]).unwrap_err().contains("key")
    );
    assert!(call(FUNCTIONS, "JSON_OBJECT", &[null(), "a".into(), 1.into()]).is_err());
    assert!(call(FUNCTIONS, "JSON_ARRAY", &[1.into()]).is_err());
    assert!(call(FUNCTIONS, "JSON_ARRAY", &[null(), "WHAT".into(), 1.into()]).is_err());
}

#[test]
fn json_and_quotes() {
    let json = |document: &str| text(FUNCTIONS, "JSON", &[document.into()]);
    assert_eq!(json(r#"{"b": 1.50,  "a": [1 ,2]}"#).as_deref(), Some(r#"{"a":[1,2],"b":1.50}"#));
    assert_eq!(json("  "), None);
    assert!(call(FUNCTIONS, "JSON", &["{bad".into()]).unwrap_err().contains("Invalid JSON string"));
    let quote = |string: &str| text(FUNCTIONS, "JSON_QUOTE", &[string.into()]);
    assert_eq!(quote("a\"b/\\c é\t").as_deref(), Some(r#""a\"b\/\\c \u00e9\t""#));
    assert_eq!(quote("😀").as_deref(), Some(r#""\u1f600\ude00""#));
    let unquote = |string: &str| text(FUNCTIONS, "JSON_UNQUOTE", &[string.into()]);
    assert_eq!(unquote(r#""a\"b\u00e9\/""#).as_deref(), Some("a\"bé/"));
    assert_eq!(unquote(r#""\ud83d\ude00""#).as_deref(), Some("😀"));
    assert_eq!(unquote("abc").as_deref(), Some("abc"));
    assert_eq!(unquote(r#"{"a":1}"#).as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(unquote(r#""a" x"#).as_deref(), Some(r#""a" x"#));
    assert_eq!(unquote(r#""a" "b""#).as_deref(), Some(r#"a" "b"#));
    assert_eq!(text(FUNCTIONS, "JSON_UNQUOTE", &[none()]), None);
}
