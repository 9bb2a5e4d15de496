//! Conditions go as near to the source as they can; those over both sides of an inner join become its condition.

use std::collections::{BTreeSet, HashMap};

use super::{inputs, outer, with_inputs};
use crate::expr::Expr;
use crate::plan::{JoinKind, Rel, RelKind};

/// Rewrites plans, each shared node once.
pub(crate) struct PushDown<'a> {
    readers: &'a HashMap<usize, usize>,
    done: HashMap<usize, Rel>,
}

impl<'a> PushDown<'a> {
    pub(crate) fn new(readers: &'a HashMap<usize, usize>) -> Self {
        Self { readers, done: HashMap::new() }
    }

    fn is_shared(&self, rel: &Rel) -> bool {
        self.readers.get(&rel.identity()).is_some_and(|readers| *readers > 1)
    }

    pub(crate) fn rewrite(&mut self, rel: &Rel) -> Rel {
        if let Some(done) = self.done.get(&rel.identity()) {
            return done.clone();
        }
        let result = self.push_into(rel, Vec::new());
        self.done.insert(rel.identity(), result.clone());
        result
    }

    /// `rel` with `conditions` over its columns pushed into it as far as they go.
    fn push(&mut self, rel: &Rel, conditions: Vec<Expr>) -> Rel {
        if self.is_shared(rel) {
            // Others want all of its rows.
            return self.rewrite(rel).filter(Expr::all(conditions));
        }
        self.push_into(rel, conditions)
    }

    fn push_into(&mut self, rel: &Rel, mut conditions: Vec<Expr>) -> Rel {
        match rel.kind() {
            RelKind::Filter { input, predicate } => {
                conditions.extend(predicate.clone().conjuncts());
                self.push(input, conditions)
            }
            RelKind::Project { input, exprs } => {
                // What is computed anew each time is not computed twice.
                let (through, kept): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(|condition| {
                    let mut columns = BTreeSet::new();
                    condition.columns(&mut columns);
                    condition.is_deterministic()
                        && columns.iter().all(|column| exprs.get(*column).is_some_and(Expr::is_deterministic))
                });
                let through = through.iter().map(|condition| condition.substitute(exprs)).collect();
                let pushed = self.push(input, through);
                with_inputs(rel, vec![pushed]).filter(Expr::all(kept))
            }
            RelKind::Join { left, right, kind, condition } => {
                let kind = outer::narrowed(*kind, &conditions, left.schema().len());
                self.push_join(rel, (left, right), kind, condition, conditions)
            }
            RelKind::Union { inputs } => {
                let pushed = inputs.iter().map(|input| self.push(input, conditions.clone())).collect();
                with_inputs(rel, pushed)
            }
            RelKind::Aggregate { input, keys, .. } if !keys.is_empty() => {
                let (through, kept) = split(conditions, |column| column < keys.len());
                let through =
                    through.iter().map(|condition| condition.map_columns(&|column| keys[column])).collect();
                let pushed = self.push(input, through);
                with_inputs(rel, vec![pushed]).filter(Expr::all(kept))
            }
            RelKind::Window { input, spec } => {
                // Sessions are of a partition: only whole partitions may go.
                let width = input.schema().len();
                let is_session = spec.kind.slice().is_none();
                let (through, kept) = split(conditions, |column| {
                    column < width && (!is_session || spec.partition.contains(&column))
                });
                let pushed = self.push(input, through);
                with_inputs(rel, vec![pushed]).filter(Expr::all(kept))
            }
            RelKind::Over { input, partition, .. } => {
                let (through, kept) = split(conditions, |column| partition.contains(&column));
                let pushed = self.push(input, through);
                with_inputs(rel, vec![pushed]).filter(Expr::all(kept))
            }
            // What holds for a version does not hold for the row: it is looked at when the version has been found.
            RelKind::Temporal { left, right, .. } => {
                let width = left.schema().len();
                let (through, kept) = split(conditions, |column| column < width);
                let (left, right) = (self.push(left, through), self.rewrite(right));
                with_inputs(rel, vec![left, right]).filter(Expr::all(kept))
            }
            RelKind::Match { input, spec } => {
                // Whole partitions may go.
                let width = spec.partition.len();
                let (through, kept) = split(conditions, |column| column < width);
                let through = through
                    .iter()
                    .map(|condition| condition.map_columns(&|column| spec.partition[column]))
                    .collect();
                let pushed = self.push(input, through);
                with_inputs(rel, vec![pushed]).filter(Expr::all(kept))
            }
            RelKind::Correlate { input, .. } => {
                let width = input.schema().len();
                let (through, kept) = split(conditions, |column| column < width);
                let pushed = self.push(input, through);
                with_inputs(rel, vec![pushed]).filter(Expr::all(kept))
            }
            _ => {
                let rewritten = inputs(rel).iter().map(|input| self.rewrite(input)).collect();
                with_inputs(rel, rewritten).filter(Expr::all(conditions))
            }
        }
    }

    fn push_join(
        &mut self,
        rel: &Rel,
        (left, right): (&Rel, &Rel),
        kind: JoinKind,
        condition: &Expr,
        conditions: Vec<Expr>,
    ) -> Rel {
        let width = left.schema().len();
        let is_left = |column: usize| column < width;
        let to_right = |condition: &Expr| condition.map_columns(&|column| column - width);
        let (mut of_left, mut of_right, mut joined, mut kept) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for condition in conditions {
            let columns = columns_of(&condition);
            let only_left = columns.iter().all(|column| is_left(*column));
            let only_right = columns.iter().all(|column| !is_left(*column)) && !columns.is_empty();
            if !condition.is_deterministic() {
                kept.push(condition);
            } else if kind.is_semi() || (only_left && matches!(kind, JoinKind::Inner | JoinKind::Left)) {
                of_left.push(condition);
            } else if only_right && matches!(kind, JoinKind::Inner | JoinKind::Right) {
                of_right.push(to_right(&condition));
            } else if kind == JoinKind::Inner {
                joined.push(condition);
            } else {
                kept.push(condition);
            }
        }
        // A row of a side that is not kept without a match need not be looked at when it cannot have one.
        for condition in condition.clone().conjuncts() {
            let columns = columns_of(&condition);
            let only_left = columns.iter().all(|column| is_left(*column)) && !columns.is_empty();
            let only_right = columns.iter().all(|column| !is_left(*column)) && !columns.is_empty();
            if only_left
                && condition.is_deterministic()
                && matches!(kind, JoinKind::Inner | JoinKind::Right | JoinKind::Semi)
            {
                of_left.push(condition);
            } else if only_right
                && condition.is_deterministic()
                && matches!(kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
            {
                of_right.push(to_right(&condition));
            } else {
                joined.push(condition);
            }
        }
        let left = self.push(left, of_left);
        let right = self.push(right, of_right);
        let join =
            Rel::new(rel.schema().clone(), RelKind::Join { left, right, kind, condition: Expr::all(joined) });
        join.with_hints(rel.hints()).filter(Expr::all(kept))
    }
}

fn columns_of(condition: &Expr) -> BTreeSet<usize> {
    let mut columns = BTreeSet::new();
    condition.columns(&mut columns);
    columns
}

/// Those of `conditions` that can be told of columns for which `f` holds, and the others.
fn split(conditions: Vec<Expr>, f: impl Fn(usize) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    conditions.into_iter().partition(|condition| {
        let columns = columns_of(condition);
        !columns.is_empty() && columns.iter().all(|column| f(*column)) && condition.is_deterministic()
    })
}
