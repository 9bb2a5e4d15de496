//! Bytes that nobody encoded: errors, never panics, and no more memory than the bytes justify.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use tidemill_serialization::Data;

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
    refused::<String>(&[2, 0, 0, 0, b'a', 0xff], "the bytes are no string: not UTF-8 after byte 1");
    refused::<u64>(&[1, 2], "the bytes of u64 end too early: 8 more needed, 2 left");
    refused::<Point>(&[1, 2, 3, 4, 5], "the bytes of Point.1 end too early: 8 more needed, 1 left");
    refused::<Event<u8>>(&[9, 1], "the bytes are no Event: it has 3 variants, number 265 is none of them");
    refused::<Event<u8>>(
        &[2, 0, 9, 0, 0, 0],
        "the bytes of Event::Named.name end too early: 9 more needed, 0 left",
    );
    // The innermost field counts.
    refused::<Event<u8>>(&[1, 0, 1], "the bytes of Point.0 end too early: 4 more needed, 1 left");
    refused::<Never>(&[0, 0], "the bytes are no Never: it has 0 variants, number 0 is none of them");
    refused::<HashSet<u8>>(&[2, 0, 0, 0, 5, 5], "the bytes are no HashSet: a key occurs twice");
    refused::<BTreeMap<u8, u8>>(&[2, 0, 0, 0, 5, 0, 5, 1], "the bytes are no BTreeMap: a key occurs twice");
    refused::<Vec<()>>(&[1, 0, 0, 0, 1], "the bytes are no element of no size: its filler is 1, not 0");
    refused::<u8>(&[1, 2, 3], "2 bytes follow the end of test value");
    refused::<Vec<u8>>(
        &[0xff; 8],
        "the bytes are no Vec: it had 4,294,967,295 elements or more when it was written",
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

fn largest_allocation<T: Data>(bytes: &[u8]) -> usize {
    LARGEST.set(0);
    decoded::<T>(bytes).err().expect("wrong bytes");
    LARGEST.get()
}

#[test]
fn wrong_counts_allocate_little() {
    // Counts of 4,294,967,294, then of 1,000 with but a few bytes behind it.
    for count in [u32::MAX - 1, 1000] {
        let mut bytes = count.to_le_bytes().to_vec();
        bytes.extend([2; 900]);
        assert!(largest_allocation::<String>(&bytes) < 1000);
        assert!(largest_allocation::<Vec<u8>>(&bytes) < 1000);
        assert!(largest_allocation::<Vec<()>>(&bytes) < 1000);
        assert!(largest_allocation::<Vec<Box<()>>>(&bytes) < 1000);
        assert!(largest_allocation::<Vec<[u64; 100]>>(&bytes) < 1000);
        assert!(largest_allocation::<Vec<Tree>>(&bytes) < 1000);
        assert!(largest_allocation::<HashMap<u8, Tree>>(&bytes) < 1000);
        assert!(largest_allocation::<HashSet<()>>(&bytes) < 1000);
    }
    // A count that the bytes could hold, of values much larger in memory than encoded.
    let mut bytes = 900u32.to_le_bytes().to_vec();
    bytes.extend([2; 900]);
    assert!(largest_allocation::<Vec<Option<[u64; 100]>>>(&bytes) <= 1000);
    assert!(largest_allocation::<HashMap<u8, Option<[u64; 100]>>>(&bytes) < 10_000);
}
