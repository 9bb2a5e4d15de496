//! Bytes that nobody encoded: errors, never panics, and no more memory than the bytes justify.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use tidemill_serialization::schema::{Body, Definition, Field, Type};
use tidemill_serialization::{Compatibility, Data, Generic, Input, Schema, SerializerSnapshot};

use crate::records::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..200)) {
        let _ = decoded::<Scalars>(&bytes);
        let _ = decoded::<Everything>(&bytes);
        let _ = decoded::<Event<String>>(&bytes);
        let _ = decoded::<Vec<Event<Vec<char>>>>(&bytes);
        let _ = decoded::<HashMap<String, Tree>>(&bytes);
        // What can be read at all, can be written and read again.
        if let Ok(tree) = decoded::<Tree>(&bytes) {
            prop_assert_eq!(decoded::<Tree>(&encoded(&tree)).unwrap(), tree);
        }
    }

    #[test]
    fn one_wrong_byte_never_panics(value in everything(), position in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encoded(&value);
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Ok(other) = decoded::<Everything>(&bytes) {
            prop_assert_eq!(encoded(&other).len(), bytes.len());
        }
    }
}

fn refused<T: Data>(bytes: &[u8], message: &str) {
    let error = decoded::<T>(bytes).err().expect("wrong bytes").to_string();
    assert_eq!(error, message);
}

#[test]
fn errors_say_what_and_where() {
    refused::<bool>(&[2], "the bytes are no bool: 2 is neither 0 nor 1");
    refused::<char>(&[0, 0xd8, 0, 0], "the bytes are no char: 0xd800 is no Unicode scalar value");
    refused::<String>(&[2, b'a', 0xff], "the bytes are no string: not UTF-8 after byte 1");
    refused::<u64>(&[1, 2], "the bytes of u64 end too early: 8 more needed, 2 left");
    refused::<Point>(&[1, 2, 3, 4, 5], "the bytes of Point.1 end too early: 8 more needed, 1 left");
    refused::<Event<u8>>(&[9, 1], "the bytes are no Event: it has 3 variants, number 265 is none of them");
    refused::<Event<u8>>(&[2, 0, 9], "the bytes of Event::Named.name end too early: 9 more needed, 0 left");
    // The innermost field counts.
    refused::<Event<u8>>(&[1, 0, 1], "the bytes of Point.0 end too early: 4 more needed, 1 left");
    refused::<Never>(&[0, 0], "the bytes are no Never: it has 0 variants, number 0 is none of them");
    refused::<HashSet<u8>>(&[2, 5, 5], "the bytes are no HashSet: a key occurs twice");
    refused::<BTreeMap<u8, u8>>(&[2, 5, 0, 5, 1], "the bytes are no BTreeMap: a key occurs twice");
    refused::<Vec<()>>(&[1, 1], "the bytes are no element of no size: its filler is 1, not 0");
    refused::<u8>(&[1, 2, 3], "2 bytes follow the end of test value");
    refused::<Vec<u8>>(
        &[0xff; 8],
        "the bytes are no Vec: it had 4,294,967,295 elements or more when it was written",
    );
    // A second form of a length would be a second form of a key.
    refused::<String>(
        &[0xff, 1, 0, 0, 0, b'a'],
        "the bytes are no string: its length 1 has five bytes and needs one",
    );
    refused::<std::time::Duration>(
        &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        "the bytes are no Duration: 4294967295 nanoseconds are a second or more",
    );
}

/// Notes the largest allocation of each thread.
struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code)] // A global allocator cannot be written without; all work is passed on to the system's.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// A length that does not fit into one byte.
fn long(count: u32) -> Vec<u8> {
    [&[0xff][..], &count.to_le_bytes()].concat()
}

fn largest_allocation<T: Data>(bytes: &[u8]) -> usize {
    LARGEST.set(0);
    decoded::<T>(bytes).err().expect("wrong bytes");
    LARGEST.get()
}

#[test]
fn wrong_counts_allocate_little() {
    // 905 bytes, so at most four times that. Counts of 4,294,967,294, then of 1,000 with but a few bytes behind it.
    for count in [u32::MAX - 1, 1000] {
        let mut bytes = long(count);
        bytes.extend([2; 900]);
        assert!(largest_allocation::<String>(&bytes) <= 3620);
        assert!(largest_allocation::<Vec<u8>>(&bytes) <= 3620);
        assert!(largest_allocation::<Vec<()>>(&bytes) <= 3620);
        assert!(largest_allocation::<Vec<Box<()>>>(&bytes) <= 3620);
        assert!(largest_allocation::<Vec<[u64; 100]>>(&bytes) <= 3620);
        assert!(largest_allocation::<Vec<Tree>>(&bytes) <= 3620);
        assert!(largest_allocation::<HashMap<u8, Tree>>(&bytes) <= 3620);
        assert!(largest_allocation::<HashSet<()>>(&bytes) <= 3620);
    }
    // A count that the bytes could hold, of values much larger in memory than encoded.
    let mut bytes = long(900);
    bytes.extend([2; 900]);
    assert!(largest_allocation::<Vec<Option<[u64; 100]>>>(&bytes) <= 3620);
    assert!(largest_allocation::<HashMap<u8, Option<[u64; 100]>>>(&bytes) < 10_000);
}

#[test]
fn claims_within_generic_values_allocate_little() {
    // Lists within lists, each of which claims to have 16,777,215 elements. `serde` would believe each for a megabyte.
    let lists = [0xdd, 0, 0xff, 0xff, 0xff].repeat(4);
    let framed = [&[lists.len() as u8][..], &lists].concat();
    assert!(largest_allocation::<Generic<Vec<Vec<Vec<Vec<u64>>>>>>(&framed) <= 1000);
}

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), aliases: vec![].into(), ty, default: None.into(), column: Default::default() }
}

/// Schemas of a struct `Node`, each holding the next.
fn chain(length: u32, last: Type) -> Schema {
    let each = |position: u32| {
        let next = if position + 1 < length { Type::Named(position + 1) } else { last.clone() };
        let next = if next == last { next } else { Type::Option(Box::new(next)) };
        let body = Body::Struct(vec![field("next", next), field("number", Type::Int(16))]);
        Definition { name: "Node".into(), aliases: vec![].into(), body }
    };
    Schema { root: Type::Named(0), definitions: (0..length).map(each).collect() }
}

#[derive(tidemill_serialization::Record, Clone)]
struct Node {
    number: i32,
    next: Option<Box<Node>>,
}

#[test]
fn long_ways_to_a_difference_are_cut_short() {
    LARGEST.set(0);
    let stored = chain(5000, Type::Text);
    let Compatibility::Incompatible(why) = Schema::of::<Node>().read_from(&stored) else { panic!() };
    assert_eq!(why.0.len(), 1);
    assert_eq!(why.0[0].path, format!("Node…{}", ".next".repeat(16)));
    assert!(LARGEST.get() < 5_000_000, "{}", LARGEST.get());
}

#[test]
fn no_more_differences_are_looked_for_than_somebody_reads() {
    let mut stored = chain(1000, Type::Named(0));
    for definition in &mut stored.definitions {
        let Body::Struct(fields) = &mut definition.body else { panic!() };
        fields[1].ty = Type::Text;
    }
    let Compatibility::Incompatible(why) = Schema::of::<Node>().read_from(&stored) else { panic!() };
    assert_eq!(why.0.len(), 64);
}

#[test]
fn long_names_are_cut_short() {
    let long = Definition { name: "é".repeat(100_000), aliases: vec![].into(), body: Body::Struct(vec![]) };
    let schema = Schema { root: Type::Tuple(vec![Type::Named(0); 10_000]), definitions: vec![long] };
    assert_eq!(schema.to_string(), format!("({}…", "é".repeat(499)), "at most 1,000 bytes");
    assert!(schema.describe().len() < 21_000);
}

/// Types that take no bytes are not gone over, however many of them there are.
#[test]
fn nothing_takes_no_time() {
    let nothing = Type::Array(Box::new(Type::Text), 0);
    let twice = |next: Type| Body::Struct(vec![field("a", next.clone()), field("b", next)]);
    let gone = [Type::Array(Box::new(nothing.clone()), u32::MAX), Type::Named(1)];
    for gone in gone {
        let mut definitions = Schema::of::<Node>().definitions;
        let Body::Struct(fields) = &mut definitions[0].body else { panic!() };
        fields[0].ty = Type::Int(16);
        fields.push(field("gone", gone));
        // 2^64 of nothing.
        for position in 1..=64 {
            let next = if position < 64 { Type::Named(position + 1) } else { nothing.clone() };
            definitions.push(Definition { name: "Twice".into(), aliases: vec![].into(), body: twice(next) });
        }
        let stored = SerializerSnapshot { schema: Schema { root: Type::Named(0), definitions } };
        let stored = SerializerSnapshot::decode(&stored.encode()).unwrap();
        let Compatibility::AfterMigration(migration) = SerializerSnapshot::of::<Node>().read_from(&stored)
        else {
            panic!()
        };
        let mut migrated = Vec::new();
        migration.value(&mut Input::new(&[7, 0, 0]), &mut migrated).unwrap();
        assert_eq!(migrated, [7, 0, 0, 0, 0]);
    }
}
