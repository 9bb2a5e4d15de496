//! The formats byte by byte: what a checkpoint holds must be readable by every later version.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tidemill_serialization::{
    Data, Date, Decimal, Generic, Record, SerializerSnapshot, TimeOfDay, TimestampMs,
};

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
    golden(String::from("né"), &[3, b'n', 0xc3, 0xa9]);
    golden(std::sync::Arc::<str>::from("n"), &[1, b'n']);
    // A length takes one byte up to 254, and five beyond.
    let lengths = |length: usize| encoded(&"x".repeat(length))[..6].to_vec();
    assert_eq!(lengths(254), *b"\xfexxxxx");
    assert_eq!(lengths(255), *b"\xff\xff\0\0\0x");
    assert_eq!(lengths(70_000), *b"\xff\x70\x11\x01\0x");
    golden(Duration::new(1, 2), &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn compounds() {
    golden(None::<u16>, &[0]);
    golden(Some(5u16), &[1, 5, 0]);
    golden(Box::new(5u16), &[5, 0]);
    golden([1u16, 2], &[1, 0, 2, 0]);
    golden((1u8, 2u16, true), &[1, 2, 0, 1]);
    golden(vec![1u16, 2], &[2, 1, 0, 2, 0]);
    golden(vec![(), ()], &[2, 0, 0]);
    golden(BTreeMap::from([(2u8, true), (1, false)]), &[2, 1, 0, 2, 1]);
    golden(HashMap::<u8, bool>::from([(2, true), (1, false), (3, true)]), &[3, 1, 0, 2, 1, 3, 1]);
    golden(HashSet::<i8>::from([1, -1, 0]), &[3, 0xff, 0, 1]);
}

#[test]
fn derived() {
    golden(Point(1, 2), &[1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    golden(Unit, b"");
    golden(Event::<u8>::Nothing, &[0, 0]);
    golden(Event::Moved(Point(1, 2), 3u8), &[1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
    golden(Event::<u8>::Named { name: "x".into(), times: 4 }, &[2, 0, 1, b'x', 4]);
    golden(
        Tree::Binary(Box::new(Tree::Leaf), Box::new(Tree::Many(vec![Tree::Leaf]))),
        &[1, 0, 0, 0, 2, 0, 1, 0, 0],
    );
}

/// What stands beside stored values: a record, an enum and what is in them, byte by byte.
#[test]
fn snapshots_of_serializers() {
    #[derive(Record, Clone)]
    #[record(alias = "Old")]
    #[allow(dead_code)]
    struct Order {
        #[record(default = 7)]
        id: i32,
        #[record(alias = "b")]
        kind: Option<Kind>,
    }
    #[derive(Record, Clone)]
    #[allow(dead_code)]
    enum Kind {
        A,
        B(Vec<String>),
    }
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // Version 1; the type, by its position in the enum of types, with what belongs to it; the definitions. Aliases and defaults
    // are the reader's.
    let expected = "
        01 1200 00000000 02
            05 4f72646572 0000 02
                02 6964 0200 20
                04 6b696e64 0c00 1200 01000000
            04 4b696e64 0100 02
                01 41 00
                01 42 01
                    01 30 0f00 0600";
    let snapshot = SerializerSnapshot::of::<Order>();
    assert_eq!(hex(snapshot.encode()), expected.split_whitespace().collect::<String>());
    let text = "Order, where Order { id: i32, kind: Option<Kind> }, Kind = A | B { 0: Vec<String> }";
    assert_eq!(SerializerSnapshot::decode(&snapshot.encode()).unwrap().schema.describe(), text);

    // Of every other type, by its position.
    let of = |snapshot: SerializerSnapshot| hex(snapshot.encode());
    assert_eq!(of(SerializerSnapshot::of::<()>()), "01000000");
    assert_eq!(of(SerializerSnapshot::of::<bool>()), "01010000");
    assert_eq!(of(SerializerSnapshot::of::<u128>()), "0103008000");
    assert_eq!(of(SerializerSnapshot::of::<f64>()), "0104004000");
    assert_eq!(of(SerializerSnapshot::of::<char>()), "01050000");
    assert_eq!(of(SerializerSnapshot::of::<Duration>()), "01070000");
    assert_eq!(of(SerializerSnapshot::of::<Date>()), "01080000");
    assert_eq!(of(SerializerSnapshot::of::<TimeOfDay>()), "0109000600");
    assert_eq!(of(SerializerSnapshot::of::<TimestampMs>()), "010a000300");
    assert_eq!(of(SerializerSnapshot::of::<Decimal<9, 2>>()), "010b00090200");
    assert_eq!(of(SerializerSnapshot::of::<(u8, i8)>()), "010d00 02 030008 020008 00".replace(' ', ""));
    assert_eq!(of(SerializerSnapshot::of::<[bool; 3]>()), "010e000100 03000000 00".replace(' ', ""));
    assert_eq!(of(SerializerSnapshot::of::<HashSet<u8>>()), "0110000300 08 00".replace(' ', ""));
    assert_eq!(of(SerializerSnapshot::of::<BTreeMap<u8, bool>>()), "011100030008 0100 00".replace(' ', ""));
    assert_eq!(
        of(SerializerSnapshot::of::<Generic<u8>>()),
        "011300 07 67656e65726963 02 7538 01000000 00 00".replace(' ', "")
    );
}
