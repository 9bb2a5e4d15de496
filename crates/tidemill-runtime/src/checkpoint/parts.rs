//! The part of one task in a checkpoint, and how it is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tidemill_checkpoint::metadata::{ChannelState, NativeFileHandle, NativeState, SubtaskState};
use tidemill_checkpoint::statistics::SubtaskStatistics;
use tidemill_checkpoint::storage::Placement;
use tidemill_checkpoint::{CheckpointError, CheckpointWriter, StateHandle};
use tidemill_core::{OperatorId, SnapshotKind};
use tidemill_network::{GateSnapshot, InputChannelSnapshot};
use tidemill_state::{NativeFile, Spill, StateError, SubtaskSnapshot, TemporaryFile};

use crate::checkpoint::local_backup::LocalBackup;
use crate::checkpoint::task_snapshot::TaskSnapshot;

/// What a task has to have stored.
pub(super) struct Part {
    /// Which subtask of its vertex the task is.
    pub(super) subtask: u32,
    pub(super) snapshot: TaskSnapshot,
    /// What the barriers have overtaken in each gate.
    pub(super) gates: Vec<GateSnapshot>,
}

/// What was stored for a task.
pub(super) struct StoredPart {
    /// For each operator of the chain.
    pub(super) states: Vec<(OperatorId, SubtaskState)>,
    pub(super) statistics: SubtaskStatistics,
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Has what is being encoded end when nobody waits for it any more, so that its memory is free at once.
#[derive(Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The bytes of the state of an operator.
enum Encoded {
    Memory(Bytes),
    File(TemporaryFile),
}

/// Encodes the state of an operator: into a file, if it is large. `None` when there is nothing.
fn encode(
    state: &mut SubtaskSnapshot,
    how: &Storing,
    cancelled: &Arc<AtomicBool>,
) -> Result<Option<Encoded>, StateError> {
    state.complete_spilling(cancelled, &how.spill)?;
    let encoded = if state.is_empty() {
        None
    } else if how.spill.is_large(state.canonical_size()) {
        let file = how.spill.new_file()?;
        state.write_file(&file, how.compress, cancelled)?;
        Some(Encoded::File(file))
    } else {
        Some(Encoded::Memory(state.try_encode(how.compress)?.into()))
    };
    // It is there twice otherwise until all is stored.
    (state.keyed, state.timers, state.operator) = Default::default();
    Ok(encoded)
}

/// How the parts of a checkpoint are stored.
#[derive(Clone)]
pub(super) struct Storing {
    pub(super) writer: Arc<CheckpointWriter>,
    /// Files that are there already.
    pub(super) known: Arc<HashMap<String, StateHandle>>,
    pub(super) backup: Option<Arc<LocalBackup>>,
    pub(super) compress: bool,
    /// Where state is put on its way that is too large to be held in memory.
    pub(super) spill: Spill,
}

/// Stores the part of a task.
pub(super) async fn store(how: Storing, part: Part) -> Result<StoredPart, CheckpointError> {
    let began = Instant::now();
    let Part { subtask, snapshot, gates } = part;
    let TaskSnapshot { barrier, mut states, finished, figures, overtook, .. } = snapshot;
    // A savepoint is not what a job goes on from when it fails.
    let backup = how.backup.clone().filter(|_| barrier.kind == SnapshotKind::Checkpoint);
    let holds = |channel: &InputChannelSnapshot| !channel.queued.is_empty();
    let in_flight: Vec<(u32, Vec<u8>)> = (0u32..)
        .zip(&gates)
        .filter(|(_, gate)| gate.channels.iter().any(holds))
        .map(|(number, gate)| (number, gate.encode()))
        .collect();
    let given_up = GivenUp::default();
    let cancelled = Arc::clone(&given_up.0);
    let encoder = how.clone();
    let encoding = tokio::task::spawn_blocking(move || {
        let encoded = states.iter_mut().map(|(_, state)| encode(state, &encoder, &cancelled));
        let encoded = encoded.collect::<Result<Vec<Option<Encoded>>, StateError>>()?;
        Ok::<_, StateError>((states, encoded))
    });
    let not_encoded = |reason: String| CheckpointError::NotEncoded { subtask, reason };
    let (states, encoded) = match encoding.await {
        Ok(encoded) => encoded.map_err(|error| not_encoded(error.to_string()))?,
        Err(error) if error.is_panic() => return Err(not_encoded("its serializer panicked".to_owned())),
        Err(_) => return Err(CheckpointError::RuntimeGone),
    };
    let persisted_data: u64 = in_flight.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let gate_numbers: Vec<u32> = in_flight.iter().map(|(number, _)| *number).collect();
    let in_memory = encoded.iter().flatten().filter_map(|encoded| match encoded {
        Encoded::Memory(bytes) => Some(bytes.clone()),
        Encoded::File(_) => None,
    });
    let pieces: Vec<Bytes> = in_memory.chain(in_flight.into_iter().map(|(_, bytes)| bytes.into())).collect();
    let handles = how.writer.write_all(pieces.iter().cloned()).await?;
    if let Some(backup) = &backup {
        let kept: Vec<_> = handles.iter().cloned().zip(pieces).collect();
        let keep = move |backup: &LocalBackup| {
            kept.iter().for_each(|(handle, piece)| backup.keep_bytes(barrier.id, handle, piece));
        };
        LocalBackup::beside(backup, keep).await;
    }
    let mut handles = handles.into_iter();
    let mut managed = Vec::with_capacity(states.len());
    for encoded in encoded {
        managed.push(match encoded {
            None => None,
            Some(Encoded::Memory(_)) => handles.next(),
            Some(Encoded::File(file)) => {
                let handle = how.writer.upload_file(file.path(), Placement::Exclusive).await?;
                if let Some(backup) = &backup {
                    let kept = handle.clone();
                    let keep = move |backup: &LocalBackup| backup.keep_file(barrier.id, &kept, file.path());
                    LocalBackup::beside(backup, keep).await;
                }
                Some(handle)
            }
        });
    }
    let mut state_size = managed.iter().flatten().map(StateHandle::length).sum::<u64>() + persisted_data;
    let mut checkpointed_size = state_size;
    let mut stored = Vec::with_capacity(states.len());
    for ((operator, state), managed) in states.into_iter().zip(managed) {
        let mut subtask_state = SubtaskState::new(subtask);
        for native in &state.native {
            let known = |file: &NativeFile| file.shared_id.as_ref().and_then(|id| how.known.get(id)).cloned();
            let mut new = Vec::new();
            for file in &native.files {
                state_size += file.bytes;
                if known(file).is_none() {
                    checkpointed_size += file.bytes;
                    let shared = file.shared_id.is_some();
                    let placement = if shared { Placement::Shared } else { Placement::Exclusive };
                    new.push((file.path.clone(), placement));
                }
            }
            let mut uploaded = how.writer.upload_files(new).await?.into_iter();
            let mut files = Vec::with_capacity(native.files.len());
            for file in &native.files {
                let Some(handle) = known(file).or_else(|| uploaded.next()) else { continue };
                files.push(NativeFileHandle { name: file.name.clone(), handle });
            }
            if let Some(backup) = &backup {
                let kept: Vec<_> =
                    files.iter().map(|file| file.handle.clone()).zip(native.files.clone()).collect();
                let keep = move |backup: &LocalBackup| {
                    kept.iter().for_each(|(handle, file)| backup.keep_file(barrier.id, handle, &file.path));
                };
                LocalBackup::beside(backup, keep).await;
            }
            subtask_state.native.push(NativeState { descriptor: native.descriptor(), files });
        }
        subtask_state.finished = finished;
        subtask_state.managed = managed;
        stored.push((operator, subtask_state));
    }
    if let Some((_, head)) = stored.first_mut() {
        head.input_channels = gate_numbers
            .into_iter()
            .zip(handles)
            .map(|(edge, handle)| ChannelState { edge, handle })
            .collect();
    }
    let statistics = SubtaskStatistics {
        start_delay: millis(figures.start_delay),
        alignment_duration: millis(figures.alignment),
        sync_duration: millis(figures.sync),
        async_duration: millis(began.elapsed()),
        processed_data: figures.processed_bytes,
        persisted_data,
        state_size,
        checkpointed_size,
        unaligned: overtook,
    };
    Ok(StoredPart { states: stored, statistics })
}
