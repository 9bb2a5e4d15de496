//! Snapshots as bytes: damaged ones are errors, never panics.

use proptest::prelude::*;
use tidemill_core::{Classified, hash};
use tidemill_serialization::SerializerSnapshot;
use tidemill_state::*;

use crate::basics::{at, backend};

fn sample() -> SubtaskSnapshot {
    let mut b = backend::<u64>();
    let value = b.register_value::<i64, String>(ValueStateDescriptor::new("value")).unwrap();
    let list = b.register_list::<(), u32>(ListStateDescriptor::new("list")).unwrap();
    let map = b.register_map::<(), String, u64>(MapStateDescriptor::new("map")).unwrap();
    let timers = b.register_timers::<()>("timers").unwrap();
    for key in 0..20 {
        at(&mut b, &key);
        value.update_in(&mut b, &(key as i64 % 3), format!("v{key}")).unwrap();
        list.add_all(&mut b, 0..key as u32 % 4).unwrap();
        map.put(&mut b, format!("u{key}"), key).unwrap();
        timers.register(&mut b, TimeDomain::Event, key as i64 % 5, &()).unwrap();
    }
    let mut operator = OperatorStateBackend::new(tidemill_core::budget::MemoryBudget::unlimited("test"));
    let offsets = operator.register_list(ListStateDescriptor::<u64>::new("offsets")).unwrap();
    offsets.update(&mut operator, [1, 2, 3]).unwrap();
    let mut snapshot = b.snapshot().unwrap();
    snapshot.absorb(operator.snapshot());
    snapshot
}

/// Declares what `sample` holds; whatever comes back, nothing may panic.
fn restore(snapshot: &SubtaskSnapshot) -> Result<(), StateError> {
    let mut b = backend::<u64>();
    b.restore([snapshot])?;
    b.register_value::<i64, String>(ValueStateDescriptor::new("value"))?;
    b.register_list::<(), u32>(ListStateDescriptor::new("list"))?;
    b.register_map::<(), String, u64>(MapStateDescriptor::new("map"))?;
    b.register_timers::<()>("timers")?;
    b.snapshot()?;
    let mut operator = OperatorStateBackend::new(tidemill_core::budget::MemoryBudget::unlimited("test"));
    operator.restore(snapshot)?;
    operator.register_list(ListStateDescriptor::<u64>::new("offsets"))?;
    redistribute(vec![snapshot.clone()], 128, 3)?;
    Ok(())
}

#[test]
fn bytes_round_trip() {
    let snapshot = sample();
    assert_eq!(SubtaskSnapshot::decode(&snapshot.encode()).unwrap(), snapshot);
    restore(&snapshot).unwrap();
    let empty = SubtaskSnapshot::default();
    assert!(empty.is_empty());
    assert_eq!(SubtaskSnapshot::decode(&empty.encode()).unwrap(), empty);
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let bytes = sample().encode();
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        let error = SubtaskSnapshot::decode(&damaged).unwrap_err();
        assert_eq!(error.code(), "TM-STATE-SNAPSHOT-UNREADABLE");
        assert!(SubtaskSnapshot::decode(&bytes[..place]).is_err());
    }
    let mut newer = bytes;
    newer[4] = 9;
    let text = SubtaskSnapshot::decode(&newer).unwrap_err().to_string();
    assert!(text.contains("version 9") && text.contains("version 1"), "{text}");
}

#[test]
fn snapshots_that_do_not_belong_together_are_refused() {
    let one = sample();
    let twice = redistribute(vec![one.clone(), one.clone()], 128, 2).unwrap_err();
    assert_eq!(twice.code(), "TM-STATE-SNAPSHOTS-INCONSISTENT");
    assert_eq!(redistribute(vec![one.clone()], 64, 2).unwrap_err().code(), "TM-STATE-MAX-PARALLELISM");
    assert!(redistribute(vec![one.clone()], 128, 0).is_err());
    let mut other = one.clone();
    other.keyed.iter_mut().for_each(|state| state.groups.clear());
    other.keyed[0].schema.types[0] = SerializerSnapshot::of::<Vec<u8>>();
    assert!(redistribute(vec![one, other], 128, 2).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_forged_checksum_never_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = sample().encode();
        let body = bytes.len() - 8;
        for (place, byte) in edits {
            bytes[place.index(body)] = byte;
        }
        let checksum = hash::bytes(&bytes[..body]);
        bytes[body..].copy_from_slice(&checksum.to_le_bytes());
        if let Ok(snapshot) = SubtaskSnapshot::decode(&bytes) {
            // Whether this is an error depends on what was edited.
            let _ = restore(&snapshot);
        }
    }
}
