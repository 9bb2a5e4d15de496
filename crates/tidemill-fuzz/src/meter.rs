//! Measures how much memory is taken while something runs.
//!
//! Unsafe, because a global allocator cannot be written without: all work is passed on to the system's as it is.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What no input justifies: refused, so that the program ends here instead of when the machine has no memory left.
const ABSURD: usize = 1 << 30;

/// The system's allocator, which counts what each thread holds.
struct Meter;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: all calls go on to `System` with the same arguments, and its answers come back unchanged, except that what is
// absurdly large is refused, as an allocator may.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > ABSURD {
            return std::ptr::null_mut();
        }
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Meter = Meter;

/// Runs something; answers also the most bytes that this thread held meanwhile, beyond those it held before.
pub fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

/// Runs something that may take `factor` bytes of memory for each of the `input`'s, and 16 KiB for messages.
///
/// # Panics
/// When it takes more.
#[track_caller]
pub fn within<T>(factor: usize, input: usize, run: impl FnOnce() -> T) -> T {
    let (result, peak) = peak(run);
    let allowed = factor * input + (16 << 10);
    assert!(peak <= allowed, "{input} bytes of input took {peak} bytes of memory, {allowed} are justified");
    result
}
