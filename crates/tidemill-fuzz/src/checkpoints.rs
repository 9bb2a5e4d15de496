//! What says where the state of a checkpoint is.

use std::path::Path;

use tidemill_checkpoint::metadata::{
    ChannelState, CheckpointKind, NativeFileHandle, NativeState, OperatorState, SubtaskState,
};
use tidemill_checkpoint::{CheckpointMetadata, FileLocation, StateHandle};
use tidemill_core::{JobId, KeyGroupRange, OperatorId, hash};
use tidemill_state::{HotRows, NativeFile, NativeFolder, NativeSnapshot, Write};

use crate::{choice, meter};

/// What a description may take for each of its bytes: many of its parts have a byte or two and a name of their own.
const FACTOR: usize = 256;

/// Metadata with every kind of part.
pub(crate) fn metadata() -> CheckpointMetadata {
    let file = |location| StateHandle::File { location, offset: 4096, length: 70_000_000_000, checksum: 7 };
    let files = [
        ("000012.sst", file(FileLocation::Shared("chk-5-0123abcd".into()))),
        ("000009.sst", file(FileLocation::Absolute("s3://other/job/shared/chk-1-ff".into()))),
        ("CURRENT", StateHandle::Inline(b"MANIFEST-000004".to_vec())),
    ];
    let files = files.map(|(name, handle)| NativeFileHandle { name: name.into(), handle });
    let channel = |handle| ChannelState { edge: 1, handle };
    let busy = SubtaskState {
        managed: Some(file(FileLocation::Checkpoint("5f3a".into()))),
        native: vec![NativeState { descriptor: native().descriptor(), files: files.into() }],
        input_channels: vec![channel(StateHandle::Inline(vec![0, 255, 128]))],
        output_channels: vec![channel(file(FileLocation::Checkpoint("5f3a".into())))],
        ..SubtaskState::new(1)
    };
    let operator = OperatorState {
        id: OperatorId(1),
        uid: Some("count-ü".into()),
        name: "Count".into(),
        parallelism: 2,
        max_parallelism: 128,
        subtasks: vec![SubtaskState { finished: true, ..SubtaskState::new(0) }, busy],
        coordinator: Some(StateHandle::Inline(b"splits".to_vec())),
    };
    CheckpointMetadata {
        checkpoint_id: 300,
        kind: CheckpointKind::SavepointNative,
        timestamp_ms: 1_700_000_000_123,
        job_name: "Flüge".into(),
        job_id: JobId(0xfedc_ba98_7654_3210),
        operators: vec![operator],
    }
}

/// The description of two files.
pub(crate) fn native() -> NativeSnapshot {
    let file = |name: &str, shared_id: Option<&str>| NativeFile {
        name: name.to_owned(),
        path: Path::new("/checkpoints/7").join(name),
        bytes: 70_000_000_000,
        shared_id: shared_id.map(str::to_owned),
    };
    NativeSnapshot {
        backend: "rocksdb".to_owned(),
        key_groups: KeyGroupRange::all(128),
        max_parallelism: 128,
        tables: Vec::new(),
        files: vec![file("000012.sst", Some("db-000012")), file("CURRENT", None)],
        folder: NativeFolder::kept("/checkpoints/7"),
    }
}

/// The rest of an input with its checksum, unless the input begins with 0: bytes that are made up have none that is right, and
/// would never get any further.
fn with_checksum(bytes: &[u8], summed_from: usize) -> Vec<u8> {
    let (kind, rest) = choice(bytes);
    let mut bytes = rest.to_vec();
    if kind != 0 && bytes.len() >= summed_from {
        let checksum = hash::bytes(&bytes).to_le_bytes();
        bytes.extend(checksum);
    }
    bytes
}

/// The file `_metadata`.
pub fn checkpoint_metadata(bytes: &[u8]) {
    let bytes = with_checksum(bytes, 5);
    let decoded =
        meter::within(FACTOR, bytes.len(), || CheckpointMetadata::decode(&bytes, "/checkpoints/_metadata"));
    match decoded {
        Ok(metadata) => {
            let again = metadata.encode();
            assert_eq!(CheckpointMetadata::decode(&again, "/again").unwrap(), metadata);
        }
        Err(error) => assert!(error.to_string().contains("/checkpoints/_metadata"), "{error}"),
    }
}

/// The rows beside the files of a state backend: a whole file, or what is in a block of one.
pub fn hot_rows(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    let file = if which == 0 { rest.to_vec() } else { in_a_block(rest) };
    let mut changes = 0;
    let read = meter::within(FACTOR, file.len(), || {
        HotRows::read(&mut &*file, &mut |table, change| {
            let (Write::Put(key, _) | Write::Append(key, _) | Write::Delete(key)) = change;
            changes += 1;
            assert!(table.len() + key.len() <= rest.len());
            Ok(())
        })
    });
    assert!(changes <= rest.len());
    assert!(read.is_ok() || !read.unwrap_err().to_string().is_empty());
}

pub(crate) fn in_a_block(changes: &[u8]) -> Vec<u8> {
    let blocks = [changes, &[]].map(|block| {
        [&(block.len() as u32).to_le_bytes()[..], &hash::bytes(block).to_le_bytes(), block].concat()
    });
    [&b"TMHR\x01"[..], &blocks[0], &blocks[1]].concat()
}

/// A table's name and changes of each kind.
pub(crate) const HOT_BLOCK: &[u8] =
    b"\x0cstate/visits\x01\x05\0\x05JFK\x01\x07\x02\x05\0\x06LAX\x04list\x03\x05\0\x07SFO";

/// What describes the files of a state backend.
pub fn native_snapshots(bytes: &[u8]) {
    let bytes = with_checksum(bytes, 5);
    let folder = || NativeFolder::kept("/checkpoints/7");
    let decoded = meter::within(FACTOR, bytes.len(), || NativeSnapshot::decode(&bytes, folder()));
    match decoded {
        Ok(snapshot) => {
            let again = snapshot.descriptor();
            let read = NativeSnapshot::decode(&again, folder()).unwrap();
            assert_eq!(read.descriptor(), again);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
