//! What an operator does and over what, as a number: where that stays the same in a changed script, state fits.
//!
//! How much of a table is read, and whether a source or an operator behind it filters and computes, depends on what else the
//! script reads of the table. So what counts of a source is its table; and of columns how they are computed from those of the
//! table, wherever that is done.

use std::collections::HashMap;

use tidemill_core::hash;

use super::hints::of_state;
use super::mini_batch::{ASSIGNER, below_assigner};
use super::{PhysicalKind, PhysicalNode, PhysicalPlan, Scanned};
use crate::exec::calc::CalcSpec;
use crate::expr::Expr;

/// What an operator is known by.
#[derive(Clone, Copy)]
struct Digest {
    /// Of its rows.
    rows: u64,
    /// Of its state: of those with the same one, which it is.
    state: (u64, u32),
}

/// The uids of all operators of a plan.
pub(super) fn uids(plan: &PhysicalPlan) -> Vec<String> {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    let mut digests: Vec<Digest> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let state = match &node.kind {
            PhysicalKind::Source { scanned, .. } => hash::bytes(scanned.table.as_bytes()),
            _ => {
                let of_inputs = node.inputs.iter().map(|input| digests[input.node].rows);
                of_inputs.fold(hash::bytes(of_state(node.name, &node.detail).as_bytes()), hash::combine)
            }
        };
        let state = hash::combine(state, hash::bytes(node.name.as_bytes()));
        let times = seen.entry(state).or_default();
        let state = (state, *times);
        *times += 1;
        let rows = match &node.kind {
            PhysicalKind::Source { stages, scanned, .. } => {
                computed(identity(state), scanned, &stages.calc, None, node)
            }
            PhysicalKind::Calc(calc) => {
                match node.inputs.first().map(|input| below_assigner(plan, input.node)) {
                    Some(source) => match &plan.nodes[source].kind {
                        PhysicalKind::Source { stages, scanned, .. } => {
                            computed(identity(digests[source].state), scanned, &stages.calc, Some(calc), node)
                        }
                        _ => identity(state),
                    },
                    None => identity(state),
                }
            }
            // Whether bundles end behind a table changes none of its rows.
            _ if node.name == ASSIGNER => {
                node.inputs.first().map_or(identity(state), |input| digests[input.node].rows)
            }
            _ => identity(state),
        };
        digests.push(Digest { rows, state });
    }
    let named = plan.nodes.iter().zip(digests);
    named
        .map(|(node, digest)| format!("sql-{}-{:016x}-{}", node.name, digest.state.0, digest.state.1))
        .collect()
}

fn identity((digest, times): (u64, u32)) -> u64 {
    hash::combine(digest, hash::uint(times.into()))
}

/// The digest of rows that are computed from those of a table, by a source and what comes behind it.
fn computed(
    source: u64,
    scanned: &Scanned,
    by_source: &CalcSpec,
    behind: Option<&CalcSpec>,
    node: &PhysicalNode,
) -> u64 {
    let of_source = by_source.exprs.clone();
    let over_table = |expr: &Expr| match &of_source {
        Some(columns) => expr.substitute(columns),
        None => expr.clone(),
    };
    let exprs = match behind.map(|calc| &calc.exprs) {
        Some(Some(exprs)) => Some(exprs.iter().map(over_table).collect()),
        _ => of_source.clone(),
    };
    let behind = behind.and_then(|calc| calc.predicate.as_ref()).map(over_table);
    let names: Vec<&str> = scanned.columns.iter().map(String::as_str).collect();
    let mut text = String::new();
    for condition in by_source.predicate.iter().cloned().chain(behind).flat_map(Expr::conjuncts) {
        text += &format!("where {}\n", condition.shown(&names));
    }
    let of_exprs: Vec<String> = match exprs {
        Some(exprs) => exprs.iter().map(|expr| expr.shown(&names).to_string()).collect(),
        None => scanned.columns.clone(),
    };
    for (expr, column) in of_exprs.iter().zip(node.schema.columns()) {
        text += &format!("{expr} AS {} {}\n", column.name, column.logical.root);
    }
    hash::combine(source, hash::bytes(text.as_bytes()))
}
