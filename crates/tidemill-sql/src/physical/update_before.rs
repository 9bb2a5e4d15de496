//! Which operators say the old rows of updates: those of which a reader wants them, asked from the ends of a plan down to where updates are
//! made, as Flink's `FlinkChangelogModeInferenceProgram` does.
//!
//! An operator that aggregates, ranks or joins wants the old rows of what it reads, to take them out again. One that looks at each row on
//! its own wants them when its readers do. A filter wants them, too, unless it looks at nothing but the upsert key: the new row may be
//! dropped, and the old one must go then. A node with several readers gives what the most demanding one wants.

use std::collections::BTreeSet;
use std::ops::BitOrAssign;
use std::sync::Arc;

use tidemill_runtime::OperatorFactory;

use super::changelog_sources::NORMALIZE;
use super::keys::upsert_keys;
use super::planner::Planner;
use super::{Changes, Distribution, PhysicalId, PhysicalKind, PhysicalNode};

/// What readers want of the changes of rows, besides the new rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The old rows of updates.
    pub(crate) before: bool,
    /// All columns of rows that are taken away, not the key only.
    pub(crate) full_deletes: bool,
}

impl Wanted {
    pub(crate) const ALL: Wanted = Wanted { before: true, full_deletes: true };

    /// Whether `changes` say all of that.
    fn is_given_by(self, changes: Changes) -> bool {
        let lacks_before = self.before && changes.update && !changes.before;
        let lacks_columns = self.full_deletes && changes.partial;
        !lacks_before && !lacks_columns
    }
}

impl BitOrAssign for Wanted {
    fn bitor_assign(&mut self, other: Self) {
        self.before |= other.before;
        self.full_deletes |= other.full_deletes;
    }
}

/// The operator that gives the changes of its inputs as they are. Others that look at each row on its own may drop it, or make
/// several of it, and are like a filter then.
const UNION: &str = "Union";

impl Planner<'_> {
    /// Says how `node` is without the old rows of updates, for the case that nobody wants them.
    pub(super) fn or_after_only(
        &mut self,
        node: PhysicalId,
        after_only: impl OperatorFactory + 'static,
    ) -> PhysicalId {
        self.after_only.insert(node, Arc::new(after_only));
        node
    }

    /// Decides who says the old rows of updates, given what is wanted of the changes of `roots`; and leaves out what nobody needs then.
    /// Answers where the roots are now.
    pub(crate) fn settle_changes(&mut self, roots: &[(PhysicalId, Wanted)]) -> Vec<PhysicalId> {
        let wanted = self.wanted(roots);
        // Where each node is now.
        let mut moved: Vec<PhysicalId> = Vec::with_capacity(wanted.len());
        let mut nodes: Vec<PhysicalNode> = Vec::with_capacity(wanted.len());
        let mut rels = std::mem::take(&mut self.rels);
        for (id, mut node) in std::mem::take(&mut self.plan.nodes).into_iter().enumerate() {
            node.inputs.iter_mut().for_each(|input| input.node = moved[input.node]);
            let after_only = self.after_only.remove(&id);
            if self.optional.contains(&id)
                && let [input] = &node.inputs[..]
                && wanted[id].is_given_by(nodes[input.node].changes)
            {
                moved.push(input.node);
                continue;
            }
            if let Some(after_only) = after_only.filter(|_| !wanted[id].before) {
                node.kind = PhysicalKind::Operator(after_only);
                node.changes.before = false;
            }
            let mut of_inputs = node.inputs.iter().map(|input| nodes[input.node].changes);
            if passes(&node) {
                node.changes.before = of_inputs.clone().any(|changes| changes.before);
                node.changes.partial = of_inputs.any(|changes| changes.partial);
            } else if self.joins_by_key.contains(&id) {
                let has_before = of_inputs.any(|changes| changes.before);
                node.changes.before = node.changes.update && (wanted[id].before || has_before);
            }
            keep_order(&mut node, &nodes, |input| self.rels.get(&input).map(upsert_keys).unwrap_or_default());
            moved.push(nodes.len());
            if let Some(rel) = rels.remove(&id) {
                self.rels.insert(nodes.len(), rel);
            }
            nodes.push(node);
        }
        self.plan.nodes = nodes;
        roots.iter().map(|(root, _)| moved[*root]).collect()
    }

    /// What is wanted of each node.
    fn wanted(&self, roots: &[(PhysicalId, Wanted)]) -> Vec<Wanted> {
        let mut wanted = vec![Wanted::default(); self.plan.nodes.len()];
        roots.iter().for_each(|(root, of_root)| wanted[*root] |= *of_root);
        // Inputs stand before those that read them.
        for (id, node) in self.plan.nodes.iter().enumerate().rev() {
            for (number, input) in node.inputs.iter().enumerate() {
                let of_input = self.wanted_of_input(id, number, wanted[id]);
                wanted[input.node] |= of_input;
            }
        }
        wanted
    }

    /// What the operator at `id` wants of an input, given what its readers want of it.
    fn wanted_of_input(&self, id: PhysicalId, number: usize, of_node: Wanted) -> Wanted {
        let node = self.node(id);
        if self.joins_by_key.contains(&id) {
            // A row that is taken away comes out with all columns.
            return Wanted { full_deletes: true, ..of_node };
        }
        if node.name == TEMPORAL_JOIN && number == 1 {
            return Wanted { before: false, full_deletes: true };
        }
        if node.name == NORMALIZE {
            // It knows the row that was there.
            return Wanted::default();
        }
        if let PhysicalKind::Calc(calc) = &node.kind
            && let Some(predicate) = &calc.predicate
        {
            let mut read = BTreeSet::new();
            predicate.columns(&mut read);
            let keys = node.inputs.first().and_then(|input| self.rels.get(&input.node)).map(upsert_keys);
            let is_of_key = keys.unwrap_or_default().iter().any(|key| read.is_subset(key));
            return if is_of_key && predicate.is_deterministic() { of_node } else { Wanted::ALL };
        }
        if passes(node) { of_node } else { Wanted::ALL }
    }
}

/// The operator that knows the versions of rows on the right by their time, so that a new one is enough for it.
const TEMPORAL_JOIN: &str = "TemporalJoin";

/// Whether the changes that come out are those that come in.
fn passes(node: &PhysicalNode) -> bool {
    matches!(node.kind, PhysicalKind::Calc(_)) || node.name == UNION
}

/// Without the old rows of updates, the changes of a row are those with the same key, which must come to one subtask in their order:
/// dealt out by all columns, as those of whole rows are, they would not.
fn keep_order(
    node: &mut PhysicalNode,
    nodes: &[PhysicalNode],
    keys: impl Fn(PhysicalId) -> Vec<BTreeSet<usize>>,
) {
    let own = |node: &PhysicalNode| if node.single { Some(1) } else { node.parallelism };
    for number in 0..node.inputs.len() {
        let from = &nodes[node.inputs[number].node];
        let is_by_key = from.changes.is_by_key() && node.inputs[number].distribution == Distribution::Any;
        if !is_by_key || own(from) == own(node) || own(node) == Some(1) {
            continue;
        }
        match keys(node.inputs[number].node).into_iter().next() {
            Some(key) if !key.is_empty() => {
                node.inputs[number].distribution = Distribution::Hash(key.into_iter().collect());
            }
            _ => (node.single, node.parallelism) = (from.single, from.parallelism),
        }
    }
}
