//! Snapshots whose bytes were damaged, or that nobody has written.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use proptest::prelude::*;
use tidemill_core::time::Watermark;
use tidemill_core::{Classified, Fault, hash};
use tidemill_network::{Event, GateSnapshot, PartitionSnapshot, Router, Written};

use crate::snapshots::{ROOMY, filled, round_robin, serializer, snapshot};
use crate::support::{Shape, batch, exchange};

/// What the bytes of a snapshot are made to be.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Change(usize, u8),
    Insert(usize, u8),
    /// A word in the middle becomes a huge number.
    Huge(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), 1u8..).prop_map(|(at, by)| Damage::Change(at, by)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<usize>().prop_map(Damage::Huge),
    ]
}

impl Damage {
    fn to(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let length = bytes.len();
        match *self {
            Damage::Cut(at) => bytes.truncate(at % length),
            Damage::Change(at, by) => bytes[at % length] ^= by,
            Damage::Insert(at, byte) => bytes.insert(at % length, byte),
            Damage::Huge(at) => {
                let at = at % length;
                bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0x7f);
            }
        }
        bytes
    }
}

/// Damaged bytes with a checksum that fits them.
fn forged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut body = bytes[..bytes.len() - 8].to_vec();
    for damage in damages {
        body = damage.to(body);
        body.resize(body.len().max(1), 0);
    }
    let checksum = hash::bytes(&body);
    body.extend_from_slice(&checksum.to_le_bytes());
    body
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

proptest! {
    /// The checksum finds whatever happened to the bytes.
    #[test]
    fn damaged_bytes_are_told(damage in damage()) {
        let exchange = filled(false, ROOMY);
        let (partition, gates) = snapshot(&exchange, None);
        for (bytes, decoded) in [
            (partition.clone(), PartitionSnapshot::decode(&damage.to(partition)).map(|_| ())),
            (gates[0].clone(), GateSnapshot::decode(&damage.to(gates[0].clone())).map(|_| ())),
        ] {
            // A huge number over bytes that were the same already changes nothing.
            if damage.to(bytes.clone()) != bytes {
                let error = decoded.unwrap_err();
                prop_assert_eq!(error.code(), "TM-NETWORK-DAMAGED-SNAPSHOT");
                prop_assert_eq!(error.fault(), Fault::External);
            }
        }
    }

    /// Bytes that nobody wrote take no more memory than they would if they were right.
    #[test]
    fn forged_counts_allocate_little(damages in prop::collection::vec(damage(), 1..4)) {
        let (partition, gates) = snapshot(&filled(false, ROOMY), None);
        for bytes in [partition, gates[0].clone()] {
            let forged = forged(&bytes, &damages);
            LARGEST.set(0);
            let _ = PartitionSnapshot::decode(&forged);
            let _ = GateSnapshot::decode(&forged);
            // The message of the error takes something, too.
            prop_assert!(LARGEST.get() <= 4 * forged.len() + 256, "{} of {}", LARGEST.get(), forged.len());
        }
    }

    /// Bytes that nobody wrote but that have a right checksum are refused, or are used without harm.
    #[test]
    fn forged_bytes_do_no_harm(damages in prop::collection::vec(damage(), 1..4), channels in 1usize..4) {
        let scatter = |channels| -> Box<dyn Router> { round_robin(channels) };
        let shape = Shape { exclusive: 1, floating: 1, ..Shape::of(channels) };
        let mut before = exchange(scatter(channels), shape);
        let mut rest = None;
        if let Written::Rest(left) = before.partition.write(batch(0..200), Instant::now()).unwrap() {
            rest = Some(left);
        }
        before.partition.broadcast(Event::Watermark(Watermark(5))).unwrap();
        let (partition, gates) = snapshot(&before, rest.as_ref());
        let mut after = exchange(scatter(channels), shape);
        for (gate, bytes) in after.gates.iter_mut().zip(&gates) {
            if let Ok(snapshot) = GateSnapshot::decode(&forged(bytes, &damages)) {
                let _ = gate.restore(snapshot);
            }
        }
        let mut left = None;
        if let Ok(snapshot) = PartitionSnapshot::decode(&forged(&partition, &damages)) {
            left = after.partition.restore(snapshot, &serializer(), Instant::now()).unwrap_or(None);
        }
        for _ in 0..50 {
            if let Some(records) = left.take().filter(|_| after.partition.is_available())
                && let Written::Rest(rest) = after.partition.write(records, Instant::now()).unwrap()
            {
                left = Some(rest);
            }
            // A batch that cannot be read fails when it is taken.
            after.gates.iter_mut().for_each(|gate| drop(gate.poll()));
        }
        after.partition.broadcast(Event::EndOfInput).unwrap();
        drop(after.gates);
        prop_assert_eq!(after.pool.used(), 0);
    }
}
