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

#[test]
fn a_record_knows_whether_it_is_native() {
    #[derive(Record, Clone)]
    #[record(native)]
    struct Native {
        readings: Vec<Reading>,
        next: Option<Box<Native>>,
    }
    #[derive(Record, Clone)]
    struct Fallback {
        next: Vec<(u8, Option<Fallback>)>,
        shapes: BTreeMap<String, Vec<Generic<Shape>>>,
    }
    const { assert!(!<Native as Data>::GENERIC) };
    const { assert!(<Fallback as Data>::GENERIC) };
    const { assert!(<Option<(u8, [Fallback; 2])> as Data>::GENERIC) };
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
