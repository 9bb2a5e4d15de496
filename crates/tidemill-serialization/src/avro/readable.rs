//! Whether what is written can be read: the [`Decoder`] bounds nesting, and what takes no bytes.

use super::decoder::Decoder;
use super::error::AvroError;
use super::resolution::Resolution;
use super::schema::{AvroSchema, Kind, Node, NodeId};
use crate::input::MAX_DEPTH;

/// Checks that a value that was written is nested no deeper, and that no more of it takes no bytes, than is read.
pub(super) fn check_written(schema: &AvroSchema, bytes: &[u8]) -> Result<(), AvroError> {
    if !schema.may_be_unreadable() {
        return Ok(());
    }
    let resolution = Resolution::to_skip(schema);
    let read = Decoder::new(&resolution, bytes).skip(schema.root());
    read.map_err(|error| match error {
        AvroError::Invalid { detail, .. } => {
            let detail = format!("it could not be read again: {detail}");
            AvroError::Value { at: schema.name(), detail }
        }
        other => other,
    })
}

/// Whether a schema has values that are not read. Of most it need not be looked at any value.
pub(super) fn may_be_unreadable(nodes: &[Node], root: NodeId) -> bool {
    // What has fields that take no bytes is seen by those.
    let empty = |id: NodeId| match &nodes[id as usize].kind {
        Kind::Null | Kind::Fixed(_, 0) => true,
        Kind::Record(record) => record.fields.is_empty(),
        _ => false,
    };
    // A way through the types with a stack of its own, for definitions may refer to each other as deep as they like. Of each
    // that is done: one more than the levels within it.
    let mut levels = vec![0; nodes.len()];
    let mut open = vec![false; nodes.len()];
    let mut waiting = vec![root];
    while let Some(&id) = waiting.last() {
        let position = id as usize;
        if levels[position] > 0 {
            waiting.pop();
            continue;
        }
        let parts: Vec<NodeId> = match &nodes[position].kind {
            Kind::Record(record) => record.fields.iter().map(|field| field.node).collect(),
            Kind::Array(part) | Kind::Map(part) => vec![*part],
            Kind::Union(branches) => branches.clone(),
            _ => Vec::new(),
        };
        let union = matches!(&nodes[position].kind, Kind::Union(_));
        if std::mem::replace(&mut open[position], true) {
            let within = parts.iter().map(|part| levels[*part as usize]).max();
            levels[position] = within.map_or(1, |within| within + u32::from(!union)).max(1);
            if matches!(&nodes[position].kind, Kind::Record(record) if record.fields.is_empty()) {
                levels[position] = 2;
            }
            waiting.pop();
        } else {
            if !union && parts.iter().any(|part| empty(*part)) {
                return true;
            }
            for part in parts {
                match (levels[part as usize] > 0, open[part as usize]) {
                    (true, _) => {}
                    // Within itself.
                    (false, true) => return true,
                    (false, false) => waiting.push(part),
                }
            }
        }
    }
    levels[root as usize] > MAX_DEPTH + 1
}
