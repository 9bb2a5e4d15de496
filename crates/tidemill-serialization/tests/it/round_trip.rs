//! What was encoded comes back, and takes exactly its logical bytes.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, DefaultHasher};

use proptest::prelude::*;
use tidemill_core::element::Element;
use tidemill_serialization::{Data, Key, MAX_DEPTH, RoutingHash};

use crate::records::*;

fn check<T: Data + PartialEq + Debug>(value: &T) {
    // What stands before must stay.
    let mut bytes = vec![7; 3];
    value.encode(&mut bytes);
    assert_eq!(bytes[..3], [7; 3]);
    let bytes = &bytes[3..];
    assert_eq!(bytes.len(), value.logical_bytes(), "logical bytes of {value:?}");
    if let Some(fixed) = T::FIXED_BYTES {
        assert_eq!(bytes.len(), fixed);
    }
    assert_eq!(&decoded::<T>(bytes).unwrap(), value);
    for end in 0..bytes.len() {
        decoded::<T>(&bytes[..end]).expect_err("a value cut short");
    }
    let longer = [bytes, &[0]].concat();
    decoded::<T>(&longer).expect_err("a byte too many");

    // In a sequence too, where there are faster paths.
    let sequence = vec![value.clone(), value.clone(), value.clone()];
    let bytes = encoded(&sequence);
    assert_eq!(bytes.len(), sequence.logical_bytes());
    assert_eq!(decoded::<Vec<T>>(&bytes).unwrap(), sequence);
    let naive: Vec<u8> = sequence
        .iter()
        .flat_map(|value| {
            let mut one = encoded(value);
            if one.is_empty() {
                one.push(0);
            }
            one
        })
        .collect();
    assert_eq!(bytes[1..], naive, "the elements of {sequence:?}");
}

fn check_key<K: Key>(_: &K) {}

proptest! {
    #[test]
    fn scalars_come_back(value in scalars()) {
        check(&value);
        check(&value.small);
        check(&value.wide);
        let (a, b, c, d, e, f) = value.wide;
        check(&a); check(&b); check(&c); check(&d); check(&e); check(&f);
        let (a, b, c, d, e, f) = value.small;
        check(&a); check(&b); check(&c); check(&d); check(&e); check(&f);
        check(&value.ratio); check(&value.r#type); check(&()); check(&[d; 7]);
    }

    #[test]
    fn everything_comes_back(value in everything()) {
        check(&value);
    }

    #[test]
    fn recursive_types_come_back(value in tree()) {
        check(&value);
    }

    #[test]
    fn enums_come_back(value in event::<String>()) {
        check(&value);
        check_key(&value);
    }

    #[test]
    fn equal_maps_have_equal_bytes(entries in prop::collection::hash_map(any::<u16>(), any::<u8>(), 0..50)) {
        type OtherOrder = HashMap<u16, u8, BuildHasherDefault<DefaultHasher>>;
        let other: OtherOrder = entries.iter().map(|(key, value)| (*key, *value)).collect();
        let sorted: std::collections::BTreeMap<u16, u8> = entries.clone().into_iter().collect();
        prop_assert_eq!(encoded(&entries), encoded(&other));
        prop_assert_eq!(encoded(&entries), encoded(&sorted));
        check(&other);
    }
}

#[test]
fn tuples_of_all_sizes_come_back() {
    check(&(1u8,));
    check(&(1u8, 2u16));
    check(&(1u8, 2u16, "c".to_owned()));
    check(&(1u8, 2u16, 3u32, 4u64));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8, 6i16));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8, 6i16, 7i32));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8, 6i16, 7i32, 8i64));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8, 6i16, 7i32, 8i64, 9u8));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8, 6i16, 7i32, 8i64, 9u8, 'j'));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8, 6i16, 7i32, 8i64, 9u8, 'j', true));
    check(&(1u8, 2u16, 3u32, 4u64, 5i8, 6i16, 7i32, 8i64, 9u8, 'j', true, Some("l".to_owned())));
}

#[test]
fn floats_keep_their_bits() {
    for bits in [0x7ff8_0000_0000_0001u64, 0xfff0_0000_0000_0000, 0x8000_0000_0000_0000, 1] {
        let back: f64 = decoded(&encoded(&f64::from_bits(bits))).unwrap();
        assert_eq!(back.to_bits(), bits);
    }
}

#[test]
fn fixed_sizes_are_known_before_there_is_a_value() {
    assert_eq!(Scalars::FIXED_BYTES, Some(1 + 4 + 1 + 1 + 2 + 2 + 4 + 4 + 8 + 8 + 16 + 16 + 4 + 8));
    assert_eq!(Point::FIXED_BYTES, Some(12));
    assert_eq!(Unit::FIXED_BYTES, Some(0));
    assert_eq!(<[Point; 3]>::FIXED_BYTES, Some(36));
    assert_eq!(Option::<Unit>::FIXED_BYTES, Some(1));
    assert_eq!(Option::<u8>::FIXED_BYTES, None);
    assert_eq!(Event::<u8>::FIXED_BYTES, None);
    assert_eq!(Tree::FIXED_BYTES, None);
    #[derive(tidemill_serialization::Record, Clone)]
    #[allow(dead_code)]
    enum Same {
        A(i32),
        B { low: u16, high: u16 },
    }
    assert_eq!(Same::FIXED_BYTES, Some(6));
}

#[test]
fn a_value_may_be_as_deep_as_promised_and_no_deeper() {
    let deep = |levels: u32| (0..levels).fold(Tree::Leaf, |inner, _| Tree::Many(vec![inner]));
    let deepest = deep(MAX_DEPTH);
    assert_eq!(decoded::<Tree>(&encoded(&deepest)).unwrap(), deepest);
    let error = decoded::<Tree>(&encoded(&deep(MAX_DEPTH + 1))).unwrap_err().to_string();
    assert_eq!(error, "Tree::Many.0 is nested deeper than 256 levels: flatten the type, or check the bytes");
}

mod facade {
    pub(super) use tidemill_serialization as inner;
}

#[test]
fn derives_find_the_crate_where_they_are_told() {
    use tidemill_serialization::Record;
    #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[record(arrow, crate = "facade::inner")]
    struct Route {
        origin: String,
        number: u16,
    }
    let route = Route { origin: "JFK".into(), number: 7 };
    check(&route);
    check_key(&route);
    assert_eq!(route.routing_hash(), ("JFK", 7).routing_hash());
}

#[test]
fn derived_routing_hashes_are_those_of_tuples() {
    use tidemill_core::hash::{combine, int};
    assert_eq!(Point(1, -2).routing_hash(), (1i32, -2i64).routing_hash());
    assert_eq!(Unit.routing_hash(), ().routing_hash());
    assert_eq!(Event::<u8>::Nothing.routing_hash(), int(0));
    assert_eq!(
        Event::Moved(Point(1, 2), 3u8).routing_hash(),
        combine(combine(int(1), Point(1, 2).routing_hash()), int(3))
    );
    let named = Event::<u8>::Named { name: "x".into(), times: 4 };
    assert_eq!(named.routing_hash(), combine(combine(int(2), "x".routing_hash()), int(4)));
}
