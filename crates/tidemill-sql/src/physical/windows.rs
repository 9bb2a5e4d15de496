//! Windows below aggregations.

use super::calc::calculated;
use crate::expr::Expr;
use crate::plan::{Column, Rel, RelKind, WindowSpec};

/// A window whose start and end are grouped by.
pub(super) struct WindowBelow {
    /// What the window is over.
    pub(super) input: Rel,
    pub(super) spec: WindowSpec,
    /// Between the window and the aggregation: a condition and columns, over the columns of `input`. Those of the window
    /// stand for themselves.
    pub(super) predicate: Option<Expr>,
    pub(super) exprs: Vec<Expr>,
    pub(super) names: Vec<String>,
    /// Which columns of the aggregation's input are start (0), end (1) and time (2) of the window.
    pub(super) parts: Vec<(usize, usize)>,
    /// The columns of start, end and time.
    pub(super) columns: Vec<Column>,
}

/// The window below `rel`, when an aggregation by `keys` is one by windows.
pub(super) fn window_below(rel: &Rel, keys: &[usize]) -> Option<WindowBelow> {
    let calc = calculated(rel, |_| false);
    let RelKind::Window { input, spec } = calc.input.kind() else { return None };
    let width = input.schema().len();
    let exprs = calc.exprs.unwrap_or_else(|| calc.input.all_columns());
    let mut parts = Vec::new();
    for (index, expr) in exprs.iter().enumerate() {
        if let Some(column) = expr.as_column().filter(|column| *column >= width) {
            parts.push((index, column - width));
        }
    }
    let grouped = |part: usize| parts.iter().any(|(column, of)| *of == part && keys.contains(column));
    if !(grouped(0) && grouped(1)) {
        return None;
    }
    // Anything computed of the window's columns needs them to be there.
    let reads_window = |expr: &Expr| {
        let mut columns = std::collections::BTreeSet::new();
        expr.columns(&mut columns);
        columns.iter().any(|column| *column >= width)
    };
    let computes = exprs.iter().any(|expr| expr.as_column().is_none() && reads_window(expr));
    if computes || calc.predicate.as_ref().is_some_and(reads_window) {
        return None;
    }
    // The window's columns are made by the aggregation: until then any column stands in their place.
    let stand_in = Expr::column(spec.time, input.schema().logical(spec.time));
    let exprs = exprs
        .into_iter()
        .map(
            |expr| {
                if expr.as_column().is_some_and(|column| column >= width) { stand_in.clone() } else { expr }
            },
        )
        .collect();
    Some(WindowBelow {
        input: input.clone(),
        spec: spec.clone(),
        predicate: calc.predicate,
        exprs,
        names: rel.schema().names().into_iter().map(str::to_owned).collect(),
        parts,
        columns: calc.input.schema().columns()[width..].to_vec(),
    })
}
