//! Which columns tell the rows of a relation apart.

use std::collections::BTreeSet;

use super::Changes;
use super::joins::Condition;
use super::rank::Ranked;
use crate::expr::Expr;
use crate::plan::{JoinKind, Rel, RelKind};
use crate::types::TypeRoot;

/// Sets of columns of which no two rows of `rel` have the same values, as far as that is known.
pub(crate) fn unique_keys(rel: &Rel) -> Vec<BTreeSet<usize>> {
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

/// The upsert keys of `rel`, as Flink's `FlinkRelMdUpsertKeys` finds them: sets of columns such that all changes of rows with the same
/// values in them come in their order, and the last of them says what is there.
///
/// They are unique keys that have survived each exchange since: where rows are dealt out by columns that are not all in the key, the
/// old row and the new row of an update may go to different subtasks, and overtake one another.
pub(crate) fn upsert_keys(rel: &Rel) -> Vec<BTreeSet<usize>> {
    if let Some(ranked) = Ranked::of(rel) {
        let RelKind::Over { input, partition, .. } = ranked.over.kind() else { return Vec::new() };
        let mut key: BTreeSet<usize> = partition.iter().copied().collect();
        if ranked.last > ranked.first {
            key.insert(input.schema().len());
        }
        let mut keys = vec![key];
        keys.extend(dealt_out(upsert_keys(input), partition));
        return projected(&keys, &ranked.calc.1);
    }
    match rel.kind() {
        RelKind::Scan(_) => unique_keys(rel),
        RelKind::Filter { input, .. } | RelKind::Watermark { input, .. } => upsert_keys(input),
        RelKind::Sort { input, fetch: None, .. } => upsert_keys(input),
        RelKind::Over { input, partition, .. } => dealt_out(upsert_keys(input), partition),
        RelKind::Project { input, exprs } => projected(&upsert_keys(input), exprs),
        RelKind::Aggregate { keys, .. } => vec![(0..keys.len()).collect()],
        RelKind::Join { left, right, kind, condition } => of_join(left, right, *kind, condition),
        RelKind::Temporal { left, right, condition, .. } => {
            let equal = EqualColumns::new(condition, left.schema().len());
            // At most one row on the right for each on the left.
            if !unique_keys(right).iter().any(|key| equal.contains(1, key)) {
                return Vec::new();
            }
            dealt_out(upsert_keys(left), &equal.0.iter().map(|pair| pair.0).collect::<Vec<_>>())
        }
        RelKind::SetOperation { all: false, .. } => vec![(0..rel.schema().len()).collect()],
        _ => Vec::new(),
    }
}

/// Those of `keys` that stay upsert keys when rows are dealt out by `columns`.
fn dealt_out(keys: Vec<BTreeSet<usize>>, columns: &[usize]) -> Vec<BTreeSet<usize>> {
    keys.into_iter().filter(|key| columns.iter().all(|column| key.contains(column))).collect()
}

/// The columns that a join has equal, on the left and on the right; and whether it compares nothing but columns.
struct EqualColumns(Vec<(usize, usize)>, bool);

impl EqualColumns {
    /// Of a condition over the columns of both sides, of which `width` are the left ones.
    fn new(condition: &Expr, width: usize) -> Self {
        let parts = Condition::new(condition, width);
        let pairs = parts.left.iter().zip(&parts.right);
        let columns: Vec<_> =
            pairs.clone().filter_map(|(one, two)| Some((one.as_column()?, two.as_column()?))).collect();
        let are_all = columns.len() == pairs.len();
        Self(columns, are_all)
    }

    /// Whether columns of a side are all among those that are equal.
    fn contains(&self, side: usize, key: &BTreeSet<usize>) -> bool {
        key.iter().all(|column| self.0.iter().any(|pair| if side == 0 { pair.0 } else { pair.1 } == *column))
    }

    /// Those of the upsert keys of a side that have all columns by which the rows of the side are dealt out.
    fn surviving(&self, side: usize, keys: Vec<BTreeSet<usize>>) -> Vec<BTreeSet<usize>> {
        if !self.1 {
            return Vec::new();
        }
        let columns: Vec<usize> = self.0.iter().map(|pair| if side == 0 { pair.0 } else { pair.1 }).collect();
        dealt_out(keys, &columns)
    }
}

fn of_join(left: &Rel, right: &Rel, kind: JoinKind, condition: &Expr) -> Vec<BTreeSet<usize>> {
    let width = left.schema().len();
    let equal = EqualColumns::new(condition, width);
    let of_left = equal.surviving(0, upsert_keys(left));
    if kind.is_semi() {
        return of_left;
    }
    let of_right = equal.surviving(1, upsert_keys(right));
    let shifted = |key: &BTreeSet<usize>| key.iter().map(|column| column + width).collect::<BTreeSet<_>>();
    let mut keys = Vec::new();
    // A row on the left has one row on the right at most, so that its key is the key of the pair.
    if !kind.keeps_right() && of_right.iter().any(|key| equal.contains(1, key)) {
        keys.extend(of_left.iter().cloned());
    }
    if !kind.keeps_left() && of_left.iter().any(|key| equal.contains(0, key)) {
        keys.extend(of_right.iter().map(shifted));
    }
    for one in &of_left {
        keys.extend(of_right.iter().map(|two| one.union(&shifted(two)).copied().collect()));
    }
    keys
}

/// For each side of a join whose rows are updated, the upsert key that they are kept by. `None` when the join must be told old rows of
/// updates: when there is no such key that has all columns by which rows are joined, and all that else is compared.
pub(super) fn upsert_keys_of_sides(
    sides: [&Rel; 2],
    condition: &Expr,
    changes: [Changes; 2],
) -> Option<[Option<Vec<usize>>; 2]> {
    if changes.iter().all(|changes| changes.is_insert_only()) {
        return None;
    }
    let width = sides[0].schema().len();
    let equal = EqualColumns::new(condition, width);
    let mut compared = BTreeSet::new();
    Condition::new(condition, width).rest.iter().for_each(|expr| expr.columns(&mut compared));
    let mut of_sides = [None, None];
    for (side, rel) in sides.into_iter().enumerate() {
        if changes[side].is_insert_only() {
            continue;
        }
        let has_compared = |key: &BTreeSet<usize>| {
            let own = compared.iter().filter(|column| (**column < width) == (side == 0));
            own.into_iter().all(|column| key.contains(&(column - side * width)))
        };
        let keys = equal.surviving(side, upsert_keys(rel));
        let key = keys.into_iter().filter(has_compared).min_by_key(BTreeSet::len)?;
        of_sides[side] = Some(key.into_iter().collect());
    }
    Some(of_sides)
}

/// Keys tried for a projection at most: a column that is selected several times makes many.
const MOST_KEYS: usize = 16;

/// The keys as columns of `exprs`, wherever those have them. A cast that keeps different values different keeps keys.
fn projected(keys: &[BTreeSet<usize>], exprs: &[Expr]) -> Vec<BTreeSet<usize>> {
    let mut all = Vec::new();
    for key in keys {
        let mut found = vec![BTreeSet::new()];
        for column in key {
            let places: Vec<usize> =
                (0..exprs.len()).filter(|place| same_column(&exprs[*place]) == Some(*column)).collect();
            found = found
                .iter()
                .flat_map(|part: &BTreeSet<usize>| {
                    places.iter().map(|place| part.iter().chain([place]).copied().collect())
                })
                .take(MOST_KEYS)
                .collect();
        }
        all.extend(found);
    }
    all
}

/// The column that an expression is, or is an injective cast of.
fn same_column(expr: &Expr) -> Option<usize> {
    match expr.as_call() {
        Some(("CAST", [inner])) if is_injective(&inner.logical().root, &expr.logical().root) => {
            inner.as_column()
        }
        _ => expr.as_column(),
    }
}

/// Whether a cast makes different values of different values.
fn is_injective(from: &TypeRoot, to: &TypeRoot) -> bool {
    let bits = |root: &TypeRoot| match root {
        TypeRoot::TinyInt => 8,
        TypeRoot::SmallInt => 16,
        TypeRoot::Int => 32,
        TypeRoot::BigInt => 64,
        _ => 0,
    };
    from == to || (from.is_integer() && (*to == TypeRoot::STRING || bits(from) <= bits(to)))
}

/// Where `exprs` have these columns as they are.
fn places(columns: &[usize], exprs: &[Expr]) -> Option<Vec<usize>> {
    columns.iter().map(|column| exprs.iter().position(|expr| expr.as_column() == Some(*column))).collect()
}
