//! Snapshots as bytes: damaged ones are errors, never panics.

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use tidemill_core::{Classified, ScratchFolder, hash};
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

/// Reads bytes from a file, in which entries stay.
fn open(bytes: &[u8], spill: &Spill) -> Result<SubtaskSnapshot, StateError> {
    let file = spill.new_file()?;
    std::fs::write(file.path(), bytes).unwrap();
    SubtaskSnapshot::open(file, spill)
}

fn spill() -> Spill {
    Spill::new(ScratchFolder::within(std::env::temp_dir()), 1 << 10)
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
    let spill = spill();
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        let error = SubtaskSnapshot::decode(&damaged).unwrap_err();
        assert_eq!(error.code(), "TM-STATE-SNAPSHOT-UNREADABLE");
        assert!(SubtaskSnapshot::decode(&bytes[..place]).is_err());
        assert_eq!(open(&damaged, &spill).unwrap_err().to_string(), error.to_string());
        assert_eq!(open(&bytes[..place], &spill).unwrap_err().code(), "TM-STATE-SNAPSHOT-UNREADABLE");
    }
    let mut newer = bytes;
    newer[4] = 9;
    for read in [SubtaskSnapshot::decode(&newer), open(&newer, &spill)] {
        let text = read.unwrap_err().to_string();
        assert!(text.contains("version 9") && text.contains("version 1"), "{text}");
    }
}

/// By way of files: the same bytes, the same parts at another parallelism, and nothing is left of the files.
#[test]
fn what_lies_in_files_is_the_same() {
    let folder = ScratchFolder::within(std::env::temp_dir());
    let spill = Spill::new(folder.clone(), 1 << 10);
    let snapshot = sample();
    for compress in [false, true] {
        let file = spill.new_file().unwrap();
        let path = file.path().to_owned();
        snapshot.write_file(&file, compress, &AtomicBool::new(false)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(SubtaskSnapshot::decode(&bytes).unwrap(), snapshot);
        assert!(compress || bytes == snapshot.encode());
        let opened = SubtaskSnapshot::open(file, &spill).unwrap();
        assert!(!path.exists() && format!("{opened:?}").contains("in a file"));
        assert_eq!(opened, snapshot);
        assert_eq!(opened.encode(), snapshot.encode());
        restore(&opened).unwrap();
        let dealt = |from: &SubtaskSnapshot| redistribute(vec![from.clone()], 128, 3).unwrap();
        assert_eq!(dealt(&opened), dealt(&snapshot));
        for place in (0..bytes.len()).step_by(if compress { 7 } else { 101 }) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            // A copy from another place of what repeats is no damage.
            assert!(open(&damaged, &spill).map_or(true, |read| compress && read == snapshot), "byte {place}");
        }
    }
    let file = spill.new_file().unwrap();
    let given_up = snapshot.write_file(&file, false, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(given_up, StateError::SnapshotGivenUp));
    drop(file);
    assert_eq!(std::fs::read_dir(folder.create().unwrap()).unwrap().count(), 0);
    let nowhere = Spill::new(ScratchFolder::within("/proc/none"), 0);
    let error = nowhere.new_file().unwrap_err();
    assert!(error.code() == "TM-STATE-SPILL" && error.to_string().contains("/proc/none"), "{error}");
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

static SPILL: LazyLock<Spill> = LazyLock::new(spill);

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
        let decoded = SubtaskSnapshot::decode(&bytes);
        prop_assert_eq!(open(&bytes, &SPILL).ok(), decoded.as_ref().ok().cloned());
        if let Ok(snapshot) = decoded {
            // Whether this is an error depends on what was edited.
            let _ = restore(&snapshot);
        }
    }
}
