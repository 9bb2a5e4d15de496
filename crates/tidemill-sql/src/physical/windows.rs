//! Windows below aggregations.

use std::collections::BTreeSet;

use super::calc::calculated;
use super::joins::is_window_join;
use crate::expr::Expr;
use crate::functions::aggregate::AggregateCall;
use crate::plan::{Column, JoinKind, Rel, RelKind, WindowKind, WindowSpec};

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

impl WindowBelow {
    /// Whether an aggregation by `keys` has windows of its own: sessions may be of other columns than groups.
    pub(super) fn is_of_partition(&self, keys: &[usize]) -> bool {
        if !matches!(self.spec.kind, WindowKind::Session { .. }) {
            return true;
        }
        let plain = keys.iter().filter(|key| self.parts.iter().all(|(column, _)| column != *key));
        let of_keys: Option<BTreeSet<usize>> = plain.map(|key| self.exprs.get(*key)?.as_column()).collect();
        of_keys == Some(self.spec.partition.iter().copied().collect())
    }
}

/// The window below `rel`, when an aggregation by `keys` is one by windows.
pub(super) fn window_below(rel: &Rel, keys: &[usize], calls: &[AggregateCall]) -> Option<WindowBelow> {
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
    let mut read = calls.iter().flat_map(|call| call.arguments.iter().chain(&call.filter));
    if read.any(|column| parts.iter().any(|(part, _)| part == column)) {
        return None;
    }
    let reads_window = |expr: &Expr| {
        let mut columns = BTreeSet::new();
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

/// Which columns of a relation say in which window each of its rows is.
#[derive(Clone, Debug)]
pub(super) struct WindowsOf {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) spec: WindowSpec,
}

/// The windows that the rows of `rel` are of, when it carries their start and end. Windows that follow the clock are none: nothing
/// says when they have ended for those who read them.
pub(super) fn windows_of(rel: &Rel) -> Option<WindowsOf> {
    match rel.kind() {
        RelKind::Window { input, spec } => {
            let width = input.schema().len();
            (!spec.processing_time).then(|| WindowsOf { start: width, end: width + 1, spec: spec.clone() })
        }
        RelKind::Filter { input, .. } | RelKind::Over { input, .. } => windows_of(input),
        RelKind::Project { input, exprs } => {
            let below = windows_of(input)?;
            let place = |column: usize| exprs.iter().position(|expr| expr.as_column() == Some(column));
            Some(WindowsOf { start: place(below.start)?, end: place(below.end)?, spec: below.spec })
        }
        RelKind::Aggregate { input, keys, .. } => {
            let below = windows_of(input)?;
            let place = |column: usize| keys.iter().position(|key| *key == column);
            Some(WindowsOf { start: place(below.start)?, end: place(below.end)?, spec: below.spec })
        }
        // Rows of a side without a match have no window.
        RelKind::Join {
            left,
            right,
            kind: JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti,
            condition,
        } => windows_of(left).filter(|_| is_window_join(left, right, condition)),
        _ => None,
    }
}
