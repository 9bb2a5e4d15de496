//! What state is counted with against what the allocator gives for it.
#![allow(unsafe_code)] // An allocator that counts can only be written with it; it only passes calls on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, Timestamp};
use tidemill_state::*;

/// The allocator of the system; counts what each thread has.
struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending has no cell any more, and nobody asks it.
    let _ = BYTES.try_with(|counted| counted.set(counted.get() + bytes));
}

// SAFETY: all calls go to the allocator of the system as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Backend = KeyedStateBackend<u64>;

/// What timers at these times are counted with, and what they take, in bytes.
fn timers(times: impl Iterator<Item = (Timestamp, u64)>) -> (f64, f64) {
    let clock = Arc::new(ManualClock::at(0));
    let budget = MemoryBudget::unlimited("test");
    let mut backend: Backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, clock, budget);
    let timers = backend.register_timers::<(i64, i64)>("timers").unwrap();
    let service = timers.service(&mut backend).unwrap();
    let before = BYTES.get();
    for (time, key) in times {
        let key = (&key, key.routing_hash());
        service.register(TimeDomain::Event, time, key, &(time, time + 1)).unwrap();
    }
    let taken = BYTES.get() - before;
    let counted = backend.bytes();
    // All that was counted in is counted out.
    let service = timers.service(&mut backend).unwrap();
    let mut due = 0;
    while service.pop_due(TimeDomain::Event, Timestamp::MAX).unwrap().is_some() {
        due += 1;
    }
    assert!(due > 0);
    assert_eq!(backend.bytes(), 0);
    (counted as f64, taken as f64)
}

/// One time stamp with very many timers, most of which are deleted, or fire, or are looked for by an index.
#[test]
fn a_bucket_that_has_got_thin_is_counted_with_what_it_takes() {
    const COUNT: u64 = 100_000;
    for (name, by_pop, left) in [
        ("deleted", false, COUNT * 3 / 4),
        ("deleted", false, COUNT / 3),
        ("deleted", false, COUNT / 100),
        ("deleted", false, 3),
        ("fired", true, COUNT / 3),
        ("fired", true, COUNT / 100),
    ] {
        let clock = Arc::new(ManualClock::at(0));
        let budget = MemoryBudget::unlimited("test");
        let mut backend: Backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, clock, budget);
        let timers = backend.register_timers::<(i64, i64)>("timers").unwrap();
        let before = BYTES.get();
        let service = timers.service(&mut backend).unwrap();
        for key in 0..COUNT {
            let key = (&key, key.routing_hash());
            service.register_new(TimeDomain::Event, 7, key, &(0, 7)).unwrap();
        }
        for key in 0..COUNT - left {
            if by_pop {
                assert!(service.pop_due(TimeDomain::Event, 7).unwrap().is_some());
            } else {
                service.delete(TimeDomain::Event, 7, (&key, key.routing_hash()), &(0, 7)).unwrap();
                assert_eq!(service.in_memory(TimeDomain::Event), (COUNT - key - 1) as usize);
            }
        }
        assert_eq!(service.len(TimeDomain::Event).unwrap(), left as usize);
        let taken = (BYTES.get() - before) as f64;
        let counted = backend.bytes() as f64;
        // One time stamp alone has a node of the tree to itself.
        assert!(
            (0.65 * counted..1.25 * counted + 2_048.0).contains(&taken),
            "{left} left, the others {name}: {counted} for {taken} bytes"
        );
        // And what is no longer needed is given back.
        let needed = (left as usize * size_of::<(u64, Option<(u64, (i64, i64))>)>()) as f64;
        assert!(taken < 6.0 * needed + 4_096.0, "{left} left, the others {name}: {taken} bytes for {needed}");
        let service = timers.service(&mut backend).unwrap();
        for key in COUNT - left..COUNT {
            assert_eq!(service.pop_due(TimeDomain::Event, 7).unwrap().unwrap().key, key);
        }
        assert_eq!(backend.bytes(), 0);
    }
}

#[test]
fn timers_are_counted_with_about_what_they_take() {
    const COUNT: u64 = 50_000;
    // In order, backwards, and all over the place; with one timer, a few and very many for each time stamp.
    for per_time in [1u64, 2, 3, 10, 100, COUNT] {
        for (name, step) in [("ascending", 1u64), ("descending", COUNT - 1), ("scattered", 7919)] {
            let time = |n: u64| ((n / per_time).wrapping_mul(step) % COUNT).cast_signed();
            let (counted, taken) = timers((0..COUNT).map(|n| (time(n), n)));
            let factor = taken / counted;
            assert!(
                (0.65..1.25).contains(&factor),
                "{per_time} a time stamp, {name}: {counted} for {taken} bytes"
            );
        }
    }
}
