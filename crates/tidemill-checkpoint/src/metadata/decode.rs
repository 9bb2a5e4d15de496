//! Bytes to metadata. An error is a reason in words; whoever knows the file adds its name.

use tidemill_core::{JobId, OperatorId, hash, key_group};

use super::codec::{CHECKSUM, Input, MAGIC, VERSION, tag};
use super::{
    ChannelState, CheckpointKind, CheckpointMetadata, FileLocation, NativeFileHandle, NativeState,
    OperatorState, StateHandle, SubtaskState,
};

/// The fewest bytes that one of each takes, by which counts are bounded.
const LEAST_OPERATOR: usize = 16 + 1 + 1 + 1 + 1 + 1 + 1;
const LEAST_SUBTASK: usize = 6;
const LEAST_NATIVE: usize = 2;
const LEAST_FILE: usize = 3;
const LEAST_CHANNEL: usize = 3;

pub(super) fn metadata(bytes: &[u8]) -> Result<CheckpointMetadata, String> {
    let Some((head, rest)) = bytes.split_at_checked(MAGIC.len() + 1) else {
        return Err("it is too short to be one".into());
    };
    if !head.starts_with(MAGIC) {
        return Err("it does not begin as the metadata of a checkpoint of Tidemill does".into());
    }
    if head[MAGIC.len()] != VERSION {
        let version = head[MAGIC.len()];
        return Err(format!("it has version {version}, this release reads version {VERSION}"));
    }
    let end = rest.len().checked_sub(CHECKSUM).ok_or("it is cut off")?;
    let (body, checksum) = rest.split_at(end);
    if hash::bytes(&bytes[..bytes.len() - CHECKSUM]).to_le_bytes() != checksum {
        return Err("its checksum is wrong: the bytes were damaged or cut off".into());
    }
    let mut input = Input::new(body);
    let metadata = CheckpointMetadata {
        checkpoint_id: input.varint("id of the checkpoint")?,
        kind: kind(&mut input)?,
        timestamp_ms: i64::from_le_bytes(input.array("timestamp")?),
        job_name: input.text("name of the job")?,
        job_id: JobId(u128::from_le_bytes(input.array("id of the job")?)),
        operators: input.list(LEAST_OPERATOR, "operators", operator)?,
    };
    match input.remaining() {
        0 => Ok(metadata),
        left => Err(format!("{left} bytes are left over at its end")),
    }
}

fn kind(input: &mut Input<'_>) -> Result<CheckpointKind, String> {
    let place = input.byte("kind of the checkpoint")?;
    let kind = CheckpointKind::ALL.get(usize::from(place)).copied();
    kind.ok_or_else(|| format!("kind of the checkpoint: {place} stands for none"))
}

fn operator(input: &mut Input<'_>) -> Result<OperatorState, String> {
    let state = OperatorState {
        id: OperatorId(u128::from_le_bytes(input.array("id of an operator")?)),
        uid: input.optional("uid of an operator", |input| input.text("uid of an operator"))?,
        name: input.text("name of an operator")?,
        parallelism: input.number("parallelism")?,
        max_parallelism: input.number("max parallelism")?,
        subtasks: input.list(LEAST_SUBTASK, "subtasks", subtask)?,
        coordinator: input.optional("state of a coordinator", handle)?,
    };
    let highest = key_group::UPPER_BOUND_MAX_PARALLELISM;
    if state.max_parallelism > highest {
        return Err(format!("max parallelism: {} is more than {highest}", state.max_parallelism));
    }
    if let Some(subtask) = state.subtasks.iter().find(|subtask| subtask.index >= state.parallelism) {
        return Err(format!("subtask {} of an operator of parallelism {}", subtask.index, state.parallelism));
    }
    Ok(state)
}

fn subtask(input: &mut Input<'_>) -> Result<SubtaskState, String> {
    Ok(SubtaskState {
        index: input.number("number of a subtask")?,
        finished: input.flag("end of a subtask")?,
        managed: input.optional("state of a subtask", handle)?,
        native: input.list(LEAST_NATIVE, "native state", native)?,
        input_channels: input.list(LEAST_CHANNEL, "input channels", channel)?,
        output_channels: input.list(LEAST_CHANNEL, "output channels", channel)?,
    })
}

fn native(input: &mut Input<'_>) -> Result<NativeState, String> {
    Ok(NativeState {
        descriptor: input.bytes("descriptor of native state")?.to_vec(),
        files: input.list(LEAST_FILE, "files of native state", |input| {
            let name = file_name(input.text("name of a native file")?)?;
            Ok(NativeFileHandle { name, handle: handle(input)? })
        })?,
    })
}

fn channel(input: &mut Input<'_>) -> Result<ChannelState, String> {
    Ok(ChannelState { edge: input.number("number of an edge")?, handle: handle(input)? })
}

fn handle(input: &mut Input<'_>) -> Result<StateHandle, String> {
    match input.byte("kind of a handle")? {
        tag::INLINE => Ok(StateHandle::Inline(input.bytes("inline state")?.to_vec())),
        tag::FILE => {
            let location = location(input)?;
            let (offset, length) = (input.varint("offset")?, input.varint("length")?);
            if offset.checked_add(length).is_none() {
                return Err(format!("{length} bytes from byte {offset} on are no part of a file"));
            }
            let checksum = u64::from_le_bytes(input.array("checksum of state")?);
            Ok(StateHandle::File { location, offset, length, checksum })
        }
        other => Err(format!("kind of a handle: {other} stands for none")),
    }
}

fn location(input: &mut Input<'_>) -> Result<FileLocation, String> {
    let tag = input.byte("kind of a location")?;
    let text = input.text("name of a file")?;
    match tag {
        tag::CHECKPOINT => file_name(text).map(FileLocation::Checkpoint),
        tag::SHARED => file_name(text).map(FileLocation::Shared),
        tag::ABSOLUTE => Ok(FileLocation::Absolute(text)),
        other => Err(format!("kind of a location: {other} stands for none")),
    }
}

/// A name that leads to no other folder.
fn file_name(text: String) -> Result<String, String> {
    if text.is_empty() || text == "." || text == ".." || text.contains(['/', '\\', '\0']) {
        return Err(format!("'{}' is no name of a file", text.escape_debug()));
    }
    Ok(text)
}
