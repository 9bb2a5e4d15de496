//! The formats byte by byte: what a checkpoint holds must be readable by every later version.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tidemill_serialization::Data;

use crate::records::*;

fn golden<T: Data + PartialEq + std::fmt::Debug>(value: T, bytes: &[u8]) {
    assert_eq!(encoded(&value), bytes, "{value:?}");
    assert_eq!(decoded::<T>(bytes).unwrap(), value);
}

#[test]
fn scalars() {
    golden((), b"");
    golden(true, &[1]);
    golden('é', &[0xe9, 0, 0, 0]);
    golden(-2i8, &[0xfe]);
    golden(0x1234u16, &[0x34, 0x12]);
    golden(-2i32, &[0xfe, 0xff, 0xff, 0xff]);
    golden(0x0102_0304_0506_0708u64, &[8, 7, 6, 5, 4, 3, 2, 1]);
    golden(1u128, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    golden(1.5f32, &[0, 0, 0xc0, 0x3f]);
    golden(-0.0f64, &[0, 0, 0, 0, 0, 0, 0, 0x80]);
    golden(String::from("né"), &[3, 0, 0, 0, b'n', 0xc3, 0xa9]);
    golden(std::sync::Arc::<str>::from("n"), &[1, 0, 0, 0, b'n']);
    golden(Duration::new(1, 2), &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn compounds() {
    golden(None::<u16>, &[0]);
    golden(Some(5u16), &[1, 5, 0]);
    golden(Box::new(5u16), &[5, 0]);
    golden([1u16, 2], &[1, 0, 2, 0]);
    golden((1u8, 2u16, true), &[1, 2, 0, 1]);
    golden(vec![1u16, 2], &[2, 0, 0, 0, 1, 0, 2, 0]);
    golden(vec![(), ()], &[2, 0, 0, 0, 0, 0]);
    golden(BTreeMap::from([(2u8, true), (1, false)]), &[2, 0, 0, 0, 1, 0, 2, 1]);
    golden(HashMap::<u8, bool>::from([(2, true), (1, false), (3, true)]), &[3, 0, 0, 0, 1, 0, 2, 1, 3, 1]);
    golden(HashSet::<i8>::from([1, -1, 0]), &[3, 0, 0, 0, 0xff, 0, 1]);
}

#[test]
fn derived() {
    golden(Point(1, 2), &[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    golden(Unit, b"");
    golden(Event::<u8>::Nothing, &[0, 0]);
    golden(Event::Moved(Point(1, 2), 3u8), &[1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
    golden(Event::<u8>::Named { name: "x".into(), times: 4 }, &[2, 0, 1, 0, 0, 0, b'x', 4]);
    golden(
        Tree::Binary(Box::new(Tree::Leaf), Box::new(Tree::Many(vec![Tree::Leaf]))),
        &[1, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0],
    );
}
