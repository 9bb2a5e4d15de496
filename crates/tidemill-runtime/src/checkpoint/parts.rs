//! The part of one task in a checkpoint, and how it is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tidemill_checkpoint::metadata::{ChannelState, NativeFileHandle, NativeState, SubtaskState};
use tidemill_checkpoint::statistics::SubtaskStatistics;
use tidemill_checkpoint::storage::Placement;
use tidemill_checkpoint::{CheckpointError, CheckpointWriter, StateHandle};
use tidemill_core::OperatorId;
use tidemill_network::{GateSnapshot, InputChannelSnapshot};

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

/// Stores the part of a task. Files that `known` names are there already.
pub(super) async fn store(
    writer: Arc<CheckpointWriter>,
    known: Arc<HashMap<String, StateHandle>>,
    part: Part,
) -> Result<StoredPart, CheckpointError> {
    let began = Instant::now();
    let Part { subtask, snapshot, gates } = part;
    let TaskSnapshot { states, finished, figures, overtook, .. } = snapshot;
    let holds = |channel: &InputChannelSnapshot| !channel.queued.is_empty();
    let in_flight: Vec<(u32, Vec<u8>)> = (0u32..)
        .zip(&gates)
        .filter(|(_, gate)| gate.channels.iter().any(holds))
        .map(|(number, gate)| (number, gate.encode()))
        .collect();
    let encoded: Vec<Option<Vec<u8>>> =
        states.iter().map(|(_, state)| (!state.is_empty()).then(|| state.encode())).collect();
    let persisted_data: u64 = in_flight.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut state_size: u64 = encoded.iter().flatten().map(|bytes| bytes.len() as u64).sum();
    let mut checkpointed_size = state_size + persisted_data;
    state_size += persisted_data;
    let gate_numbers: Vec<u32> = in_flight.iter().map(|(number, _)| *number).collect();
    let is_stored: Vec<bool> = encoded.iter().map(Option::is_some).collect();
    let pieces = encoded.into_iter().flatten().chain(in_flight.into_iter().map(|(_, bytes)| bytes));
    let mut handles = writer.write_all(pieces.map(Into::into)).await?.into_iter();
    let mut stored = Vec::with_capacity(states.len());
    for ((operator, state), is_stored) in states.into_iter().zip(is_stored) {
        let mut subtask_state = SubtaskState::new(subtask);
        for native in &state.native {
            let mut files = Vec::with_capacity(native.files.len());
            for file in &native.files {
                state_size += file.bytes;
                let stored = file.shared_id.as_ref().and_then(|id| known.get(id));
                let handle = match stored {
                    Some(handle) => handle.clone(),
                    None => {
                        checkpointed_size += file.bytes;
                        let shared = file.shared_id.is_some();
                        let placement = if shared { Placement::Shared } else { Placement::Exclusive };
                        writer.upload_file(&file.path, placement).await?
                    }
                };
                files.push(NativeFileHandle { name: file.name.clone(), handle });
            }
            subtask_state.native.push(NativeState { descriptor: native.descriptor(), files });
        }
        subtask_state.finished = finished;
        subtask_state.managed = if is_stored { handles.next() } else { None };
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
