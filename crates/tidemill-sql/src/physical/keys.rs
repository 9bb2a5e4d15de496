//! Which columns tell the rows of a relation apart.

use std::collections::BTreeSet;

use super::rank::Ranked;
use crate::expr::Expr;
use crate::plan::{JoinKind, Rel, RelKind};

/// Sets of columns of which no two rows of `rel` have the same values, as far as that is known.
pub(super) fn unique_keys(rel: &Rel) -> Vec<BTreeSet<usize>> {
    if let Some(ranked) = Ranked::of(rel) {
        return of_ranked(&ranked);
    }
    match rel.kind() {
        RelKind::Scan(scan) => {
            let table = &scan.table;
            if table.primary_key.is_empty() {
                return Vec::new();
            }
            let place = |column: &usize| {
                let name = table.columns.get(*column).map(|column| column.name.as_str());
                scan.columns.iter().position(|read| !read.metadata && Some(read.name.as_str()) == name)
            };
            table.primary_key.iter().map(place).collect::<Option<BTreeSet<usize>>>().into_iter().collect()
        }
        RelKind::Filter { input, .. } | RelKind::Watermark { input, .. } | RelKind::Sort { input, .. } => {
            unique_keys(input)
        }
        RelKind::Over { input, .. } => unique_keys(input),
        RelKind::Project { input, exprs } => {
            let place = |column: &usize| exprs.iter().position(|expr| expr.as_column() == Some(*column));
            unique_keys(input)
                .iter()
                .filter_map(|key| key.iter().map(place).collect::<Option<BTreeSet<usize>>>())
                .collect()
        }
        RelKind::Aggregate { keys, .. } => vec![(0..keys.len()).collect()],
        RelKind::Join { left, kind: JoinKind::Semi | JoinKind::Anti, .. }
        | RelKind::Temporal { left, .. } => unique_keys(left),
        RelKind::Join { left, right, .. } => {
            let width = left.schema().len();
            let of_right = unique_keys(right);
            let both = |one: &BTreeSet<usize>| {
                let of_right = of_right.iter();
                let of_right =
                    of_right.map(|two| one.iter().copied().chain(two.iter().map(|c| c + width)).collect());
                of_right.collect::<Vec<BTreeSet<usize>>>()
            };
            unique_keys(left).iter().flat_map(both).collect()
        }
        RelKind::SetOperation { all: false, .. } => vec![(0..rel.schema().len()).collect()],
        _ => Vec::new(),
    }
}

fn of_ranked(ranked: &Ranked) -> Vec<BTreeSet<usize>> {
    let RelKind::Over { input, partition, .. } = ranked.over.kind() else { return Vec::new() };
    let number = input.schema().len();
    let mut key: BTreeSet<usize> = partition.iter().copied().collect();
    if ranked.first != ranked.last {
        key.insert(number);
    }
    let mut keys = unique_keys(input);
    keys.insert(0, key);
    let exprs = &ranked.calc.1;
    let place = |column: &usize| exprs.iter().position(|expr| expr.as_column() == Some(*column));
    keys.iter().filter_map(|key| key.iter().map(place).collect::<Option<BTreeSet<usize>>>()).collect()
}

/// The columns of `rel` of which no two rows that are there at a time have the same values, when its updates say which: an update
/// that comes without the row it replaces is for the row with the same values in them.
pub(crate) fn update_key(rel: &Rel) -> Option<Vec<usize>> {
    if let Some(ranked) = Ranked::of(rel) {
        let RelKind::Over { input, partition, .. } = ranked.over.kind() else { return None };
        let mut key = partition.clone();
        if ranked.last > ranked.first {
            key.push(input.schema().len());
        }
        return places(&key, &ranked.calc.1);
    }
    match rel.kind() {
        RelKind::Project { input, exprs } => places(&update_key(input)?, exprs),
        RelKind::Filter { input, .. } | RelKind::Watermark { input, .. } | RelKind::Sort { input, .. } => {
            update_key(input)
        }
        RelKind::Aggregate { keys, .. } => Some((0..keys.len()).collect()),
        _ => None,
    }
}

/// Where `exprs` have these columns as they are.
fn places(columns: &[usize], exprs: &[Expr]) -> Option<Vec<usize>> {
    columns.iter().map(|column| exprs.iter().position(|expr| expr.as_column() == Some(*column))).collect()
}
