//! The file `_metadata`: what is written is read, what is damaged is found, and its first version stays readable.

use proptest::prelude::*;
use tidemill_checkpoint::metadata::{
    ChannelState, CheckpointKind, NativeFileHandle, NativeState, OperatorState, SubtaskState,
};
use tidemill_checkpoint::{CheckpointError, CheckpointMetadata, FileLocation, StateHandle};
use tidemill_core::{Classified, JobId, OperatorId};

const LOCATION: &str = "s3://bucket/job/chk-7/_metadata";
const GOLDEN: &[u8] = include_bytes!("../golden/metadata-1.bin");

fn file(location: FileLocation, offset: u64, length: u64) -> StateHandle {
    StateHandle::File { location, offset, length, checksum: offset ^ 0xdead_beef_0102_0304 }
}

/// With everything that metadata can have. The golden file is made of it: it must not change.
fn sample() -> CheckpointMetadata {
    let native = NativeState {
        descriptor: b"rocksdb 0..63".to_vec(),
        files: vec![
            NativeFileHandle {
                name: "000012.sst".into(),
                handle: file(FileLocation::Shared("chk-5-0123abcd".into()), 0, 70_000_000_000),
            },
            NativeFileHandle {
                name: "CURRENT".into(),
                handle: StateHandle::Inline(b"MANIFEST-000004\n".to_vec()),
            },
            NativeFileHandle {
                name: "000009.sst".into(),
                handle: file(FileLocation::Absolute("s3://other/job/shared/chk-1-ff".into()), 0, 1 << 20),
            },
        ],
    };
    let busy = SubtaskState {
        managed: Some(file(FileLocation::Checkpoint("5f3a".into()), 4096, 65_536)),
        native: vec![native],
        input_channels: vec![ChannelState { edge: 1, handle: StateHandle::Inline(vec![0, 255, 128]) }],
        output_channels: vec![ChannelState {
            edge: 0,
            handle: file(FileLocation::Checkpoint("5f3a".into()), 69_632, 12),
        }],
        ..SubtaskState::new(1)
    };
    let source = OperatorState {
        id: OperatorId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        uid: None,
        name: "Source: flights".into(),
        parallelism: 1,
        max_parallelism: 128,
        subtasks: vec![SubtaskState { finished: true, ..SubtaskState::new(0) }],
        coordinator: Some(StateHandle::Inline(b"splits".to_vec())),
    };
    let count = OperatorState {
        id: OperatorId(1),
        uid: Some("count-ü".into()),
        name: "Count".into(),
        parallelism: 2,
        max_parallelism: 32_768,
        subtasks: vec![SubtaskState::new(0), busy],
        coordinator: None,
    };
    CheckpointMetadata {
        checkpoint_id: 300,
        kind: CheckpointKind::SavepointNative,
        timestamp_ms: 1_700_000_000_123,
        job_name: "Flüge".into(),
        job_id: JobId(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef),
        operators: vec![source, count],
    }
}

#[test]
fn the_first_version_stays_as_it_is() {
    assert_eq!(CheckpointMetadata::decode(GOLDEN, LOCATION).unwrap(), sample());
    assert_eq!(sample().encode(), GOLDEN);
}

#[test]
fn every_flipped_bit_is_found() {
    let bytes = sample().encode();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let error = CheckpointMetadata::decode(&damaged, LOCATION).unwrap_err();
            assert!(matches!(error, CheckpointError::Metadata { .. }), "bit {bit} of byte {at}: {error}");
            assert!(error.to_string().contains(LOCATION), "{error}");
        }
    }
}

#[test]
fn what_is_cut_off_or_too_long_is_found() {
    let bytes = sample().encode();
    for length in 0..bytes.len() {
        assert!(CheckpointMetadata::decode(&bytes[..length], LOCATION).is_err(), "{length} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let error = CheckpointMetadata::decode(&longer, LOCATION).unwrap_err();
    assert_eq!(error.code(), "TM-CHECKPOINT-METADATA-UNREADABLE");
    assert!(CheckpointMetadata::decode(b"", LOCATION).is_err());
}

/// With a right checksum, so that what stands behind it is looked at.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = tidemill_core::hash::bytes(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn names_do_not_lead_elsewhere() {
    for name in ["../other", "a/b", "", "..", ".", "a\0", "a\\b"] {
        let mut metadata = sample();
        metadata.operators[0].coordinator = Some(file(FileLocation::Checkpoint(name.into()), 0, 1));
        let error = CheckpointMetadata::decode(&metadata.encode(), LOCATION).unwrap_err();
        assert!(error.to_string().contains("is no name of a file"), "{name}: {error}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut metadata = sample();
    metadata.operators[1].subtasks[1].index = 2;
    let error = CheckpointMetadata::decode(&metadata.encode(), LOCATION).unwrap_err();
    assert!(error.to_string().contains("subtask 2 of an operator of parallelism 2"), "{error}");
    let mut metadata = sample();
    metadata.operators[0].max_parallelism = 32_769;
    assert!(CheckpointMetadata::decode(&metadata.encode(), LOCATION).is_err());
    let mut metadata = sample();
    metadata.operators[0].coordinator = Some(file(FileLocation::Checkpoint("a".into()), u64::MAX, 1));
    assert!(CheckpointMetadata::decode(&metadata.encode(), LOCATION).is_err());
    let mut of_later = sample().encode();
    of_later.truncate(of_later.len() - 8);
    of_later[4] = 2;
    let error = CheckpointMetadata::decode(&sealed(of_later), LOCATION).unwrap_err();
    assert!(error.to_string().contains("version 2, this release reads version 1"), "{error}");
}

fn location() -> impl Strategy<Value = FileLocation> {
    prop_oneof![
        "[a-z0-9]{1,40}".prop_map(FileLocation::Checkpoint),
        "chk-[0-9]{1,4}-[a-z0-9]{1,32}".prop_map(FileLocation::Shared),
        any::<String>().prop_map(FileLocation::Absolute),
    ]
}

fn handle() -> impl Strategy<Value = StateHandle> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40).prop_map(StateHandle::Inline),
        (location(), any::<u32>(), any::<u32>(), any::<u64>()).prop_map(
            |(location, offset, length, checksum)| {
                StateHandle::File { location, offset: offset.into(), length: length.into(), checksum }
            }
        ),
    ]
}

fn channels() -> impl Strategy<Value = Vec<ChannelState>> {
    let channel = (any::<u32>(), handle()).prop_map(|(edge, handle)| ChannelState { edge, handle });
    prop::collection::vec(channel, 0..3)
}

fn native() -> impl Strategy<Value = NativeState> {
    let file =
        ("[a-zA-Z0-9._-]{1,12}x", handle()).prop_map(|(name, handle)| NativeFileHandle { name, handle });
    (prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(file, 0..4))
        .prop_map(|(descriptor, files)| NativeState { descriptor, files })
}

fn subtask(index: u32) -> impl Strategy<Value = SubtaskState> {
    (any::<bool>(), prop::option::of(handle()), prop::collection::vec(native(), 0..3), channels(), channels())
        .prop_map(move |(finished, managed, native, input_channels, output_channels)| SubtaskState {
            index,
            finished,
            managed,
            native,
            input_channels,
            output_channels,
        })
}

fn operator() -> impl Strategy<Value = OperatorState> {
    let subtasks = (0u32..4).prop_flat_map(|count| (0..count).map(subtask).collect::<Vec<_>>());
    (
        any::<u128>(),
        prop::option::of(any::<String>()),
        any::<String>(),
        0u32..=32_768,
        subtasks,
        prop::option::of(handle()),
    )
        .prop_map(|(id, uid, name, max_parallelism, subtasks, coordinator)| OperatorState {
            id: OperatorId(id),
            uid,
            name,
            parallelism: subtasks.len() as u32,
            max_parallelism,
            subtasks,
            coordinator,
        })
}

fn metadata() -> impl Strategy<Value = CheckpointMetadata> {
    let kind = prop::sample::select(vec![
        CheckpointKind::Checkpoint,
        CheckpointKind::SavepointCanonical,
        CheckpointKind::SavepointNative,
    ]);
    (
        any::<u64>(),
        kind,
        any::<i64>(),
        any::<String>(),
        any::<u128>(),
        prop::collection::vec(operator(), 0..4),
    )
        .prop_map(|(checkpoint_id, kind, timestamp_ms, job_name, job_id, operators)| {
            CheckpointMetadata {
                checkpoint_id,
                kind,
                timestamp_ms,
                job_name,
                job_id: JobId(job_id),
                operators,
            }
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(metadata in metadata()) {
        let bytes = metadata.encode();
        prop_assert_eq!(CheckpointMetadata::decode(&bytes, LOCATION).unwrap(), metadata);
    }

    /// Behind a right checksum any bytes give an answer, and what is read can be written.
    #[test]
    fn any_bytes_give_an_answer(metadata in metadata(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = metadata.encode();
        bytes.truncate(bytes.len() - 8);
        for (at, byte) in changes {
            let at = 5 + at.index(bytes.len() - 5);
            bytes[at] = byte;
        }
        if let Ok(metadata) = CheckpointMetadata::decode(&sealed(bytes), LOCATION) {
            prop_assert_eq!(CheckpointMetadata::decode(&metadata.encode(), LOCATION).unwrap(), metadata);
        }
    }
}
