//! Metadata to bytes.

use tidemill_core::hash;

use super::codec::{MAGIC, VERSION, put_bytes, put_varint, tag};
use super::{
    ChannelState, CheckpointKind, CheckpointMetadata, FileLocation, NativeState, OperatorState, StateHandle,
    SubtaskState,
};

pub(super) fn metadata(metadata: &CheckpointMetadata) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    put_varint(&mut out, metadata.checkpoint_id);
    out.push(kind(metadata.kind));
    out.extend_from_slice(&metadata.timestamp_ms.to_le_bytes());
    put_bytes(&mut out, metadata.job_name.as_bytes());
    out.extend_from_slice(&metadata.job_id.0.to_le_bytes());
    list(&mut out, &metadata.operators, operator);
    let checksum = hash::bytes(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn kind(kind: CheckpointKind) -> u8 {
    CheckpointKind::ALL.iter().position(|other| *other == kind).unwrap_or_default() as u8
}

fn list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_varint(out, items.len() as u64);
    items.iter().for_each(|item| put(out, item));
}

fn optional<T>(out: &mut Vec<u8>, item: Option<&T>, put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(u8::from(item.is_some()));
    item.into_iter().for_each(|item| put(out, item));
}

fn operator(out: &mut Vec<u8>, operator: &OperatorState) {
    out.extend_from_slice(&operator.id.0.to_le_bytes());
    optional(out, operator.uid.as_ref(), |out, uid| put_bytes(out, uid.as_bytes()));
    put_bytes(out, operator.name.as_bytes());
    put_varint(out, u64::from(operator.parallelism));
    put_varint(out, u64::from(operator.max_parallelism));
    list(out, &operator.subtasks, subtask);
    optional(out, operator.coordinator.as_ref(), handle);
}

fn subtask(out: &mut Vec<u8>, subtask: &SubtaskState) {
    put_varint(out, u64::from(subtask.index));
    out.push(u8::from(subtask.finished));
    optional(out, subtask.managed.as_ref(), handle);
    list(out, &subtask.native, native);
    list(out, &subtask.input_channels, channel);
    list(out, &subtask.output_channels, channel);
}

fn native(out: &mut Vec<u8>, state: &NativeState) {
    put_bytes(out, &state.descriptor);
    list(out, &state.files, |out, file| {
        put_bytes(out, file.name.as_bytes());
        handle(out, &file.handle);
    });
}

fn channel(out: &mut Vec<u8>, state: &ChannelState) {
    put_varint(out, u64::from(state.edge));
    handle(out, &state.handle);
}

fn handle(out: &mut Vec<u8>, handle: &StateHandle) {
    match handle {
        StateHandle::Inline(bytes) => {
            out.push(tag::INLINE);
            put_bytes(out, bytes);
        }
        StateHandle::File { location, offset, length, checksum } => {
            out.push(tag::FILE);
            let (tag, text) = match location {
                FileLocation::Checkpoint(name) => (tag::CHECKPOINT, name),
                FileLocation::Shared(name) => (tag::SHARED, name),
                FileLocation::Absolute(uri) => (tag::ABSOLUTE, uri),
            };
            out.push(tag);
            put_bytes(out, text.as_bytes());
            put_varint(out, *offset);
            put_varint(out, *length);
            out.extend_from_slice(&checksum.to_le_bytes());
        }
    }
}
