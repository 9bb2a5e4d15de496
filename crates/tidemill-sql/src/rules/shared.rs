//! What several readers share is filtered by what any of them wants.
//!
//! A source that is read once for two queries makes the rows of both. Where each of them wants certain values of a column, the
//! source is told of all these values, and what nobody wants is dropped before it is looked at by each.

use std::collections::{BTreeMap, HashMap};

use datafusion_common::ScalarValue;

use super::{inputs, with_inputs};
use crate::expr::Expr;
use crate::plan::{Rel, RelKind};

/// For each column that is compared for equality, the values that are wanted.
type Wanted = BTreeMap<usize, Vec<ScalarValue>>;

/// The plans of `roots`, with a filter on top of sources of which all readers filter.
pub(crate) fn filter_shared(roots: Vec<Rel>) -> Vec<Rel> {
    let predicates = predicates(&roots);
    if predicates.is_empty() {
        return roots;
    }
    let mut done = HashMap::new();
    roots.iter().map(|root| rewrite(root, &predicates, &mut done)).collect()
}

fn rewrite(rel: &Rel, predicates: &HashMap<usize, Expr>, done: &mut HashMap<usize, Rel>) -> Rel {
    if let Some(done) = done.get(&rel.identity()) {
        return done.clone();
    }
    let over: Vec<Rel> = inputs(rel).iter().map(|input| rewrite(input, predicates, done)).collect();
    let result = with_inputs(rel, over);
    let result = match predicates.get(&rel.identity()) {
        Some(predicate) => result.filter(predicate.clone()),
        None => result,
    };
    done.insert(rel.identity(), result.clone());
    result
}

/// What all readers of a shared source want of it, by its identity.
fn predicates(roots: &[Rel]) -> HashMap<usize, Expr> {
    let mut wanted: HashMap<usize, (Rel, Vec<Option<Wanted>>)> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut waiting: Vec<Rel> = roots.to_vec();
    for root in roots {
        // Whoever reads a root wants all of it.
        wanted.entry(root.identity()).or_insert_with(|| (root.clone(), Vec::new())).1.push(None);
    }
    while let Some(rel) = waiting.pop() {
        if !seen.insert(rel.identity()) {
            continue;
        }
        let of_reader = match rel.kind() {
            RelKind::Filter { predicate, .. } => Some(values(predicate)),
            _ => None,
        };
        for input in inputs(&rel) {
            let of_input = wanted.entry(input.identity()).or_insert_with(|| (input.clone(), Vec::new()));
            of_input.1.push(of_reader.clone());
            waiting.push(input);
        }
    }
    let shared = wanted.into_iter().filter_map(|(identity, (rel, readers))| {
        let is_source = matches!(rel.kind(), RelKind::Watermark { .. } | RelKind::Scan(_));
        if !is_source || readers.len() < 2 {
            return None;
        }
        let readers: Vec<Wanted> = readers.into_iter().collect::<Option<_>>()?;
        let (first, others) = readers.split_first()?;
        let of_columns = first.iter().filter_map(|(column, values)| {
            let mut all = values.clone();
            for other in others {
                for value in other.get(column)? {
                    if !all.contains(value) {
                        all.push(value.clone());
                    }
                }
            }
            let input = Box::new(rel.all_columns().into_iter().nth(*column)?);
            Some(Expr::InList { input, list: all, negated: false })
        });
        let all: Vec<Expr> = of_columns.collect();
        (!all.is_empty()).then(|| (identity, Expr::all(all)))
    });
    shared.collect()
}

/// The values of columns that a predicate asks for.
fn values(predicate: &Expr) -> Wanted {
    let mut wanted = Wanted::new();
    for conjunct in predicate.clone().conjuncts() {
        if let Some((column, values)) = conjunct.wanted_values() {
            // Of two conditions on a column one is enough, for this is no more than what is wanted at most.
            wanted.entry(column).or_insert(values);
        }
    }
    wanted
}
