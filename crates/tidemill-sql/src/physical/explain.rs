//! Plans as text, the way Flink's `EXPLAIN` shows them.

use std::fmt::Write;

use super::{Distribution, PhysicalId, PhysicalPlan};

/// What of a plan is shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    /// Which changes flow out of each operator.
    pub(crate) changes: bool,
    /// What would serve the operators, behind the plan.
    pub(crate) advice: bool,
}

/// The plan below `roots` as a tree; a node that is read twice is shown once and named behind.
pub(crate) fn explain(plan: &PhysicalPlan, roots: &[PhysicalId], what: Shown) -> String {
    let mut out = String::new();
    let mut readers = vec![0usize; plan.nodes.len()];
    plan.nodes.iter().flat_map(|node| &node.inputs).for_each(|input| readers[input.node] += 1);
    let mut shown: Vec<Option<usize>> = vec![None; plan.nodes.len()];
    let mut next = 1;
    for root in roots {
        show(plan, *root, "", "", what, &readers, (&mut shown, &mut next), &mut out);
    }
    if what.advice {
        for (index, (_, advice)) in plan.advice.iter().enumerate() {
            let _ = write!(out, "\nadvice[{}]: [ADVICE] {advice}", index + 1);
        }
        out.push_str(if plan.advice.is_empty() { "\nNo available advice...\n" } else { "\n" });
    }
    out
}

#[allow(clippy::too_many_arguments)] // The state of one walk.
fn show(
    plan: &PhysicalPlan,
    id: PhysicalId,
    lead: &str,
    below: &str,
    what: Shown,
    readers: &[usize],
    (shown, next): (&mut Vec<Option<usize>>, &mut usize),
    out: &mut String,
) {
    let node = &plan.nodes[id];
    if let Some(number) = shown[id] {
        let _ = writeln!(out, "{lead}Reused(reference_id=[{number}])");
        return;
    }
    let advice = plan.advice.iter().position(|(advised, _)| what.advice && *advised == id);
    let advice = advice.map(|index| format!("advice=[{}], ", index + 1)).unwrap_or_default();
    let changes = if what.changes { format!(", changelogMode=[{}]", changes(node)) } else { String::new() };
    let _ = write!(out, "{lead}{}({advice}{}{changes})", node.name, node.detail);
    if readers[id] > 1 {
        shown[id] = Some(*next);
        let _ = write!(out, "(reuse_id=[{next}])");
        *next += 1;
    }
    out.push('\n');
    let inputs = node.inputs.len();
    for (index, input) in node.inputs.iter().enumerate() {
        let is_last = index + 1 == inputs;
        let (own, under) = if is_last { ("+- ", "   ") } else { (":- ", ":  ") };
        let (mut lead, mut below_input) = (format!("{below}{own}"), format!("{below}{under}"));
        let exchange = match &input.distribution {
            Distribution::Any => None,
            Distribution::Hash(keys) => {
                let names = plan.nodes[input.node].schema.names();
                let keys: Vec<&str> = keys.iter().filter_map(|key| names.get(*key)).copied().collect();
                Some(format!("hash[{}]", keys.join(", ")))
            }
            Distribution::Single => Some("single".to_owned()),
        };
        if let Some(exchange) = exchange {
            let _ = writeln!(out, "{lead}Exchange(distribution=[{exchange}])");
            lead = format!("{below_input}+- ");
            below_input += "   ";
        }
        show(plan, input.node, &lead, &below_input, what, readers, (&mut *shown, &mut *next), out);
    }
}

fn changes(node: &super::PhysicalNode) -> String {
    let text = node.changes.to_string();
    text.trim_matches(['[', ']']).to_owned()
}
