//! Filters on `ROW_NUMBER()`: the first rows of partitions.

use super::calc::calculated;
use crate::expr::Expr;
use crate::plan::{OverCall, Rel, RelKind};

/// A filter on the place of rows in an order.
pub(super) struct Ranked {
    pub(super) over: Rel,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) uses_number: bool,
    /// What is left of the condition, and the columns; over the input's columns and the place.
    pub(super) calc: (Option<Expr>, Vec<Expr>),
}

pub(super) fn is_rank(rel: &Rel) -> bool {
    matches!(rel.kind(), RelKind::Over { calls, .. } if matches!(&calls[..], [OverCall::RowNumber]))
}

impl Ranked {
    pub(super) fn of(rel: &Rel) -> Option<Self> {
        let calc = calculated(rel, |_| false);
        let RelKind::Over { input, calls, order, .. } = calc.input.kind() else { return None };
        if !matches!(&calls[..], [OverCall::RowNumber]) || order.is_empty() {
            return None;
        }
        let width = input.schema().len();
        let (mut first, mut last, mut rest) = (1u64, None::<u64>, Vec::new());
        for part in calc.predicate?.conjuncts() {
            match bound(&part, width) {
                Some((least, most)) => {
                    first = first.max(least.unwrap_or(1));
                    if let Some(most) = most {
                        last = Some(last.map_or(most, |last| last.min(most)));
                    }
                }
                None => rest.push(part),
            }
        }
        let last = last?;
        let exprs = calc.exprs.unwrap_or_else(|| calc.input.all_columns());
        let reads = |expr: &Expr| expr.any(|expr| expr.as_column() == Some(width));
        // The place of a row that is alone in its partition is known.
        let uses_number = (exprs.iter().any(reads) || rest.iter().any(reads)) && !(first == 1 && last == 1);
        let known = |expr: &Expr| {
            if uses_number {
                return expr.clone();
            }
            expr.replace(&mut |expr| (expr.as_column() == Some(width)).then(|| Expr::bigint(1)))
        };
        let exprs = exprs.iter().map(known).collect();
        let rest: Vec<Expr> = rest.iter().map(known).collect();
        let predicate = (!rest.is_empty()).then(|| Expr::all(rest));
        Some(Self { over: calc.input.clone(), first, last, uses_number, calc: (predicate, exprs) })
    }
}

/// The least and the greatest place that a condition leaves.
fn bound(condition: &Expr, column: usize) -> Option<(Option<u64>, Option<u64>)> {
    let (name, [one, two]) = condition.as_call()? else { return None };
    let (name, value) = if strip_cast(one).as_column() == Some(column) {
        (name, two)
    } else if strip_cast(two).as_column() == Some(column) {
        let turned = match name {
            "<" => ">",
            "<=" => ">=",
            ">" => "<",
            ">=" => "<=",
            other => other,
        };
        (turned, one)
    } else {
        return None;
    };
    let number = match value.literal()? {
        datafusion_common::ScalarValue::Int64(Some(number)) => *number,
        datafusion_common::ScalarValue::Int32(Some(number)) => i64::from(*number),
        _ => return None,
    };
    let number = u64::try_from(number).ok()?;
    Some(match name {
        "=" => (Some(number), Some(number)),
        "<=" => (None, Some(number)),
        "<" => (None, Some(number.checked_sub(1)?)),
        ">=" => (Some(number), None),
        ">" => (Some(number.checked_add(1)?), None),
        _ => return None,
    })
}

fn strip_cast(expr: &Expr) -> &Expr {
    match expr.as_call() {
        Some(("CAST", [inner])) => inner,
        _ => expr,
    }
}
