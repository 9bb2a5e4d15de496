//! Rules that make a plan read and carry less, and leave its answer as it is.
//!
//! The list is short on purpose: a plan of a stream must stay one.

pub(crate) mod filters;
mod outer;
pub(crate) mod prune;
mod shared;

use crate::plan::{Rel, RelKind};

/// The plans that the rules make of `roots`. What several roots share they still share.
pub(crate) fn optimize(roots: Vec<Rel>) -> Vec<Rel> {
    let readers = readers(&roots);
    let mut push = filters::PushDown::new(&readers);
    let roots: Vec<Rel> = roots.iter().map(|root| push.rewrite(root)).collect();
    prune::prune(&shared::filter_shared(roots))
}

/// How many read each node, by its identity.
pub(crate) fn readers(roots: &[Rel]) -> std::collections::HashMap<usize, usize> {
    let mut counts = std::collections::HashMap::new();
    let mut waiting: Vec<Rel> = roots.to_vec();
    while let Some(rel) = waiting.pop() {
        let count = counts.entry(rel.identity()).or_insert(0);
        *count += 1;
        if *count == 1 {
            waiting.extend(inputs(&rel));
        }
    }
    counts
}

/// The inputs of a node.
pub(crate) fn inputs(rel: &Rel) -> Vec<Rel> {
    match rel.kind() {
        RelKind::Scan(_) | RelKind::Values { .. } => Vec::new(),
        RelKind::Project { input, .. }
        | RelKind::Filter { input, .. }
        | RelKind::Watermark { input, .. }
        | RelKind::Aggregate { input, .. }
        | RelKind::Expand { input, .. }
        | RelKind::Window { input, .. }
        | RelKind::Correlate { input, .. }
        | RelKind::Over { input, .. }
        | RelKind::Match { input, .. }
        | RelKind::Sort { input, .. } => vec![input.clone()],
        RelKind::Join { left, right, .. }
        | RelKind::Temporal { left, right, .. }
        | RelKind::SetOperation { left, right, .. } => vec![left.clone(), right.clone()],
        RelKind::Union { inputs } => inputs.clone(),
    }
}

/// The same node over other inputs, whose columns are the same.
pub(crate) fn with_inputs(rel: &Rel, mut inputs: Vec<Rel>) -> Rel {
    let mut next = || if inputs.is_empty() { rel.clone() } else { inputs.remove(0) };
    let kind = match rel.kind().clone() {
        kind @ (RelKind::Scan(_) | RelKind::Values { .. }) => kind,
        RelKind::Project { exprs, .. } => RelKind::Project { input: next(), exprs },
        RelKind::Filter { predicate, .. } => RelKind::Filter { input: next(), predicate },
        RelKind::Watermark { column, watermark, .. } => {
            RelKind::Watermark { input: next(), column, watermark }
        }
        RelKind::Aggregate { keys, calls, .. } => RelKind::Aggregate { input: next(), keys, calls },
        RelKind::Expand { keys, sets, .. } => RelKind::Expand { input: next(), keys, sets },
        RelKind::Window { spec, .. } => RelKind::Window { input: next(), spec },
        RelKind::Correlate { function, kind, .. } => RelKind::Correlate { input: next(), function, kind },
        RelKind::Over { partition, order, frame, calls, .. } => {
            RelKind::Over { input: next(), partition, order, frame, calls }
        }
        RelKind::Match { spec, .. } => RelKind::Match { input: next(), spec },
        RelKind::Sort { keys, offset, fetch, .. } => RelKind::Sort { input: next(), keys, offset, fetch },
        RelKind::Join { kind, condition, .. } => {
            RelKind::Join { left: next(), right: next(), kind, condition }
        }
        RelKind::Temporal { kind, time, condition, position, .. } => {
            RelKind::Temporal { left: next(), right: next(), kind, time, condition, position }
        }
        RelKind::SetOperation { except, all, .. } => {
            RelKind::SetOperation { left: next(), right: next(), except, all }
        }
        RelKind::Union { inputs: old } => RelKind::Union { inputs: old.iter().map(|_| next()).collect() },
    };
    Rel::new(rel.schema().clone(), kind).with_hints(rel.hints())
}
