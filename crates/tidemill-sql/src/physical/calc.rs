//! Filters and projections, put together into one calculation.

use crate::expr::Expr;
use crate::plan::{Rel, RelKind};

/// Filters and projections on top of something else.
pub(crate) struct Calculated {
    /// What they are on top of.
    pub(crate) input: Rel,
    pub(crate) predicate: Option<Expr>,
    pub(crate) exprs: Option<Vec<Expr>>,
}

/// Takes filters and projections off `rel`, as long as `stop` does not hold for what they are on top of.
pub(crate) fn calculated(rel: &Rel, stop: impl Fn(&Rel) -> bool) -> Calculated {
    let mut exprs: Option<Vec<Expr>> = None;
    let mut predicates: Vec<Expr> = Vec::new();
    let mut current = rel.clone();
    let mut is_first = true;
    loop {
        if !is_first && stop(&current) {
            break;
        }
        let next = match current.kind() {
            RelKind::Project { input, exprs: below } => {
                // Something computed is not computed twice, and what differs each time is computed once.
                let is_fine =
                    |expr: &Expr| expr.as_column().is_some() || expr.literal().is_some() || is_field(expr);
                if let Some(above) = &exprs
                    && !(below.iter().all(is_fine) || above.iter().all(|expr| expr.as_column().is_some()))
                {
                    break;
                }
                if !predicates.is_empty() && !below.iter().all(Expr::is_deterministic) {
                    break;
                }
                exprs = Some(match exprs {
                    None => below.clone(),
                    Some(above) => above.iter().map(|expr| expr.substitute(below)).collect(),
                });
                predicates = predicates.iter().map(|predicate| predicate.substitute(below)).collect();
                input.clone()
            }
            RelKind::Filter { input, predicate } => {
                predicates.insert(0, predicate.clone());
                input.clone()
            }
            _ => break,
        };
        is_first = false;
        current = next;
    }
    let predicate = (!predicates.is_empty())
        .then(|| Expr::all(predicates.into_iter().flat_map(Expr::conjuncts).collect()));
    Calculated { input: current, predicate: predicate.filter(|predicate| !predicate.is_true()), exprs }
}

fn is_field(expr: &Expr) -> bool {
    match expr {
        Expr::Field { input, .. } => input.as_column().is_some() || is_field(input),
        _ => false,
    }
}
