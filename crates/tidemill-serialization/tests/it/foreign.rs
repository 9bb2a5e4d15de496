//! Types of other crates: serializers of their own, and the generic fallback.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tidemill_core::element::Element;
use tidemill_serialization::{
    Compatibility, Custom, CustomSerializer, Data, DecodeError, Generic, Input, Record, Schema,
};

use crate::records::*;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Shape {
    Empty,
    Circle(f64),
    Named { name: String, sides: Vec<Option<u16>> },
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Anything {
    text: String,
    number: i128,
    wide: u128,
    float: f64,
    small: f32,
    letter: char,
    map: BTreeMap<i64, Shape>,
    by_shape: HashMap<String, Box<Anything>>,
    tuple: (u8, bool, ()),
    bytes: Vec<u8>,
}

fn anything() -> impl Strategy<Value = Anything> {
    let shape = prop_oneof![
        Just(Shape::Empty),
        any::<i32>().prop_map(|n| Shape::Circle(f64::from(n) / 3.0)),
        (".{0,5}", prop::collection::vec(any::<Option<u16>>(), 0..4))
            .prop_map(|(name, sides)| Shape::Named { name, sides }),
    ];
    let leaf = (
        (".{0,8}", any::<i128>(), any::<u128>(), any::<i32>(), any::<char>()),
        prop::collection::btree_map(any::<i64>(), shape, 0..4),
        (any::<u8>(), any::<bool>()),
        prop::collection::vec(any::<u8>(), 0..6),
    )
        .prop_map(|((text, number, wide, float, letter), map, (byte, flag), bytes)| Anything {
            text,
            number,
            wide,
            float: f64::from(float) / 7.0,
            small: float as f32,
            letter,
            map,
            by_shape: HashMap::new(),
            tuple: (byte, flag, ()),
            bytes,
        });
    leaf.prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), prop::collection::hash_map(".{0,3}", inner, 0..3)).prop_map(|(mut outer, within)| {
            outer.by_shape = within.into_iter().map(|(key, value)| (key, Box::new(value))).collect();
            outer
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn generic_values_come_back(value in anything()) {
        let value = Generic::new(value);
        let bytes = encoded(&value);
        prop_assert_eq!(bytes.len(), value.logical_bytes());
        prop_assert_eq!(decoded::<Generic<Anything>>(&bytes).unwrap(), value);
        for end in 0..bytes.len() {
            prop_assert!(decoded::<Generic<Anything>>(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn wrong_generic_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let framed = [&[bytes.len() as u8][..], &bytes].concat();
        let _ = decoded::<Generic<Anything>>(&framed);
        let _ = decoded::<Generic<Vec<Vec<Vec<String>>>>>(&framed);
    }
}

#[test]
fn golden_bytes() {
    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    struct Order {
        id: u32,
        to: Option<String>,
        shape: Shape,
    }
    let value = Generic::new(Order { id: 300, to: Some("x".into()), shape: Shape::Circle(0.5) });
    let bytes = b"\x83\xa2id\xcd\x01\x2c\xa2to\xa1x\xa5shape\x81\xa6Circle\xcb\x3f\xe0\0\0\0\0\0\0";
    let framed = [&[bytes.len() as u8][..], bytes].concat();
    assert_eq!(encoded(&value), framed);
    assert_eq!(decoded::<Generic<Order>>(&framed).unwrap(), value);
}

#[test]
fn deeply_nested_generic_bytes_are_refused() {
    #[derive(Serialize, Deserialize, Clone)]
    struct Nested(Vec<Nested>);
    let mut bytes = vec![0x91; 100_000];
    bytes.push(0x90);
    let framed = [&[0xff][..], &(bytes.len() as u32).to_le_bytes(), &bytes].concat();
    let error = decoded::<Generic<Nested>>(&framed).err().unwrap().to_string();
    assert!(error.starts_with("the bytes are no generic: Nested: "), "{error}");
}

#[test]
fn generic_values_do_not_evolve() {
    let of = Schema::of::<Vec<Generic<Shape>>>;
    assert!(matches!(of().read_from(&of()), Compatibility::AsIs));
    assert_eq!(of().generic_types(), ["Shape"]);
    let Compatibility::Incompatible(why) = Schema::of::<Vec<Generic<Anything>>>().read_from(&of()) else {
        panic!()
    };
    assert_eq!(
        why.to_string(),
        "Vec<Anything (generic)>[] was Shape (generic) and is now Anything (generic) (values of this serializer do not evolve)"
    );
}

#[derive(Clone, Debug, PartialEq, Default)]
struct Celsius(f64);

/// Whole degrees in its first version, tenths in its second.
struct Degrees;

impl tidemill_serialization::Native for Degrees {}

impl CustomSerializer<Celsius> for Degrees {
    const NAME: &'static str = "degrees";
    const VERSION: u32 = 2;

    fn encode(value: &Celsius, out: &mut Vec<u8>) {
        ((value.0 * 10.0) as i32).encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Celsius, DecodeError> {
        i32::decode(input).map(|tenths| Celsius(f64::from(tenths) / 10.0))
    }

    fn reads_version(version: u32) -> bool {
        version >= 1
    }

    fn decode_version(version: u32, input: &mut Input<'_>) -> Result<Celsius, DecodeError> {
        match version {
            1 => i16::decode(input).map(|whole| Celsius(f64::from(whole))),
            _ => Self::decode(input),
        }
    }
}

mod first {
    use super::*;

    pub(super) struct Degrees;

    impl CustomSerializer<Celsius> for Degrees {
        const NAME: &'static str = "degrees";

        fn encode(value: &Celsius, out: &mut Vec<u8>) {
            (value.0 as i16).encode(out);
        }

        fn decode(input: &mut Input<'_>) -> Result<Celsius, DecodeError> {
            i16::decode(input).map(|whole| Celsius(f64::from(whole)))
        }
    }

    #[derive(Record, Clone)]
    pub(super) struct Reading {
        #[record(with = Degrees)]
        pub(super) outside: Celsius,
        pub(super) station: u16,
        #[record(with = Degrees)]
        pub(super) gone: Celsius,
    }
}

#[derive(Record, Clone, Debug, PartialEq)]
#[record(native)]
struct Reading {
    station: u32,
    #[record(with = Degrees, default = Celsius(20.5))]
    inside: Celsius,
    #[record(with = Degrees)]
    outside: Celsius,
}

#[test]
fn serializers_of_their_own_read_their_older_versions() {
    let old = first::Reading { outside: Celsius(3.0), station: 7, gone: Celsius(1.0) };
    let Compatibility::AfterMigration(migration) =
        Schema::of::<Reading>().read_from(&Schema::of::<first::Reading>())
    else {
        panic!()
    };
    let mut migrated = Vec::new();
    migration.value(&mut Input::new(&encoded(&old)), &mut migrated).unwrap();
    let new = Reading { station: 7, inside: Celsius(20.5), outside: Celsius(3.0) };
    assert_eq!(decoded::<Reading>(&migrated).unwrap(), new);

    // As keys they keep their bytes.
    let Compatibility::Incompatible(why) =
        Schema::of::<Reading>().read_keys_from(&Schema::of::<first::Reading>())
    else {
        panic!()
    };
    assert!(why.to_string().contains("keep the bytes of keys"), "{why}");

    // And not what is newer than they are.
    let Compatibility::Incompatible(why) =
        Schema::of::<Custom<Celsius, first::Degrees>>().read_from(&Schema::of::<Custom<Celsius, Degrees>>())
    else {
        panic!()
    };
    assert!(why.to_string().contains("'degrees' does not read its version 2"), "{why}");
}

/// Types that contain themselves, each other, and themselves under another name.
#[test]
fn native_records_may_be_recursive() {
    #[derive(Record, Clone)]
    #[record(native)]
    struct Expression {
        kind: Kind,
        readings: Vec<Reading>,
    }
    #[derive(Record, Clone)]
    #[record(native)]
    enum Kind {
        Literal(i64),
        Not(Box<Expression>),
    }
    type Children<T> = Vec<Node<T>>;
    #[derive(Record, Clone)]
    #[record(native)]
    struct Node<T> {
        value: T,
        children: Children<T>,
    }
    #[derive(Record, Clone)]
    enum Fallback {
        Here(Generic<Shape>),
        There(Vec<Within>),
    }
    #[derive(Record, Clone)]
    struct Within {
        fallback: Box<Fallback>,
    }
    fn native<T: Data + tidemill_serialization::Native>() -> Schema {
        Schema::of::<T>()
    }
    assert!(native::<Expression>().generic_types().is_empty());
    assert!(native::<Node<Option<Expression>>>().generic_types().is_empty());
    assert_eq!(Schema::of::<Within>().generic_types(), ["Shape"]);

    let not = Expression {
        kind: Kind::Not(Box::new(Expression { kind: Kind::Literal(7), readings: vec![] })),
        readings: vec![],
    };
    let read: Expression = decoded(&encoded(&not)).unwrap();
    let Kind::Not(within) = read.kind else { panic!() };
    assert!(matches!(within.kind, Kind::Literal(7)));
    let node = Node { value: 1u8, children: vec![Node { value: 2, children: vec![] }] };
    assert_eq!(decoded::<Node<u8>>(&encoded(&node)).unwrap().children[0].value, 2);
    let fallback =
        Fallback::There(vec![Within { fallback: Box::new(Fallback::Here(Generic::new(Shape::Empty))) }]);
    assert!(matches!(decoded(&encoded(&fallback)).unwrap(), Fallback::There(within) if within.len() == 1));
}

/// Writes anything as text.
struct AsText;

impl<T: std::fmt::Display + std::str::FromStr + 'static> CustomSerializer<T> for AsText {
    const NAME: &'static str = "as text";

    fn encode(value: &T, out: &mut Vec<u8>) {
        out.extend_from_slice(value.to_string().as_bytes());
    }

    fn decode(input: &mut Input<'_>) -> Result<T, DecodeError> {
        let bytes = input.take(input.remaining(), "text")?;
        let value = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        value.ok_or_else(|| DecodeError::invalid("text", "it is no such value"))
    }
}

#[test]
fn a_serializer_of_several_types_keeps_them_apart() {
    type Of<T> = Custom<T, AsText>;
    let read = |declared: Schema| declared.read_from(&Schema::of::<Of<u64>>());
    assert!(matches!(read(Schema::of::<Of<u64>>()), Compatibility::AsIs));
    assert!(matches!(read(Schema::of::<Option<Of<u64>>>()), Compatibility::AfterMigration(_)));
    let Compatibility::Incompatible(why) = read(Schema::of::<Of<u8>>()) else { panic!() };
    assert_eq!(
        why.to_string(),
        "u8 (as text) was u64 (as text) and is now u8 (as text) (the serializer 'as text' does not read its u64: let it, by \
         `reads_type`, if the bytes are the same)"
    );
}

#[test]
fn the_names_of_types_do_not_depend_on_the_compiler() {
    use std::borrow::Cow;
    let label = |schema: Schema| schema.generic_types();
    assert_eq!(label(Schema::of::<Generic<Cow<'static, str>>>()), ["Cow<str>"]);
    assert_eq!(
        label(Schema::of::<Generic<Vec<std::collections::HashMap<u8, Shape>>>>()),
        ["Vec<HashMap<u8, Shape>>"]
    );
}

#[test]
fn a_generic_type_that_changed_says_so() {
    #[derive(Serialize, Deserialize, Clone)]
    struct Before {
        id: u8,
    }
    #[derive(Serialize, Deserialize, Clone, Debug)]
    struct After {
        id: u8,
        added: u8,
    }
    let bytes = encoded(&Generic::new(Before { id: 1 }));
    let error = decoded::<Generic<After>>(&bytes).unwrap_err().to_string();
    assert!(
        error.contains("After: missing field `added`; if the type was changed: generic types do not evolve"),
        "{error}"
    );
}

/// Of a type that is no record, but has a serializer.
#[derive(Record, Clone, Debug, PartialEq)]
struct Envelope<T, U> {
    id: u64,
    #[record(generic)]
    payload: T,
    also: Option<U>,
}

#[derive(Record, Clone, Debug, PartialEq)]
enum Message<T> {
    None,
    Some(#[record(generic)] Vec<T>),
}

#[test]
fn parameters_of_fields_with_a_serializer_need_not_be_records() {
    let envelope = Envelope { id: 7, payload: Shape::Circle(0.5), also: Some("x".to_owned()) };
    assert_eq!(decoded::<Envelope<Shape, String>>(&encoded(&envelope)).unwrap(), envelope);
    let message = Message::Some(vec![Shape::Empty]);
    assert_eq!(decoded::<Message<Shape>>(&encoded(&message)).unwrap(), message);
    assert_eq!(decoded::<Message<Shape>>(&encoded(&Message::<Shape>::None)).unwrap(), Message::None);
}
