//! An outer join is inner where the rows that it adds do not pass the conditions behind it.

use crate::expr::Expr;
use crate::plan::JoinKind;

/// What a join of the given kind is to those who ask `conditions` of its rows; its left side has the first `width` columns.
pub(super) fn narrowed(kind: JoinKind, conditions: &[Expr], width: usize) -> JoinKind {
    // Whether no row without one of the left, or of the right side, passes.
    let needs_left = || conditions.iter().any(|condition| is_never_true(condition, &|column| column < width));
    let needs_right =
        || conditions.iter().any(|condition| is_never_true(condition, &|column| column >= width));
    match kind {
        JoinKind::Left if needs_right() => JoinKind::Inner,
        JoinKind::Right if needs_left() => JoinKind::Inner,
        JoinKind::Full => match (needs_left(), needs_right()) {
            (true, true) => JoinKind::Inner,
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (false, false) => JoinKind::Full,
        },
        kind => kind,
    }
}

/// Whether `expr` is false or `NULL` where all columns are `NULL` for which `absent` holds.
fn is_never_true(expr: &Expr, absent: &impl Fn(usize) -> bool) -> bool {
    match expr {
        Expr::And(all) => all.iter().any(|expr| is_never_true(expr, absent)),
        Expr::Or(all) => all.iter().all(|expr| is_never_true(expr, absent)),
        Expr::IsNull { input, negated: true } => is_null(input, absent),
        Expr::IsTruth { input, truth: true, negated: false } => is_never_true(input, absent),
        Expr::IsTruth { input, truth: false, negated: false } => is_null(input, absent),
        expr => is_null(expr, absent),
    }
}

/// Whether `expr` is `NULL` where all columns are `NULL` for which `absent` holds.
fn is_null(expr: &Expr, absent: &impl Fn(usize) -> bool) -> bool {
    match expr {
        Expr::Column { index, .. } => absent(*index),
        Expr::Field { input, .. } | Expr::Not(input) | Expr::InList { input, .. } => is_null(input, absent),
        Expr::Literal { value, .. } => value.is_null(),
        Expr::And(all) | Expr::Or(all) => all.iter().all(|expr| is_null(expr, absent)),
        Expr::Call { .. } => match expr.as_call() {
            Some((
                "=" | "<>" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "%" | "CAST" | "LIKE",
                arguments,
            )) => arguments.iter().any(|argument| is_null(argument, absent)),
            _ => false,
        },
        _ => false,
    }
}
