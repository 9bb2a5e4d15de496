//! Joins with what a table holds at the moment.

use std::sync::Arc;

use super::joins::Condition;
use super::planner::{Planner, by, columns};
use super::{Distribution, Input, PhysicalId, PhysicalKind};
use crate::error::{Position, SqlError, SqlResult};
use crate::exec::lookup_join::LookupJoinSpec;
use crate::expr::Expr;
use crate::plan::{Column, JoinKind, Rel, RelKind, Schema};

impl Planner<'_> {
    /// A join `FOR SYSTEM_TIME AS OF` processing time.
    pub(super) fn lookup_join(
        &mut self,
        rel: &Rel,
        (left, right): (&Rel, &Rel),
        kind: JoinKind,
        parts: &Condition,
        position: Position,
    ) -> SqlResult<PhysicalId> {
        let refused = || {
            SqlError::unsupported(
                "a join FOR SYSTEM_TIME AS OF processing time needs a table that can be looked up",
            )
            .hint("tables of files can be, and views that only select and filter such a table; for versions by event time use its time attribute")
            .at(position)
        };
        // The right side is read by the join itself, so it is no node of the plan.
        let before = self.plan.nodes.len();
        let table = match self.source(right).map_err(|error| error.at(position))? {
            Some(node) if node == before && node + 1 == self.plan.nodes.len() => self.plan.nodes.pop(),
            _ => None,
        };
        let Some(table) = table else { return Err(refused()) };
        let PhysicalKind::Source { source, mut stages, .. } = table.kind else { return Err(refused()) };
        if !source.is_bounded()
            || !table.changes.is_insert_only()
            || matches!(right.kind(), RelKind::Values { .. })
        {
            return Err(refused());
        }
        stages.watermark = None;
        // Computed keys are columns behind the others.
        let (left_node, left_keys, left_width) = self.keyed(left, &parts.left)?;
        let left_schema = self.node(left_node).schema.clone();
        let right_keys: Option<Vec<usize>> = parts.right.iter().map(Expr::as_column).collect();
        let Some(right_keys) = right_keys else {
            return Err(SqlError::unsupported(
                "a table is looked up by its columns, not by what is computed of them",
            )
            .hint("compute it in a view over the table")
            .at(position));
        };
        let width = left.schema().len();
        let shifted = |column: usize| if column < width { column } else { column - width + left_width };
        let condition = (!parts.rest.is_empty()).then(|| Expr::all(parts.rest.clone()).map_columns(&shifted));
        let mut both: Vec<Column> = left_schema.columns().to_vec();
        both.extend(right.schema().columns().iter().cloned().map(|mut column| {
            column.time = None;
            column
        }));
        let both = Schema::new(both);
        let names = both.names();
        let equal = left_keys.iter().zip(&right_keys);
        let equal: Vec<String> =
            equal.map(|(one, two)| format!("{}={}", names[left_width + *two], names[*one])).collect();
        let mut detail = format!(
            "{}, joinType=[{}], lookup=[{}], select=[{}]",
            table.detail,
            kind.name(),
            equal.join(", "),
            names.join(", ")
        );
        if let Some(condition) = &condition {
            detail += &format!(", where=[{}]", condition.shown(&names));
        }
        let hint = rel.hints().lookup.as_ref();
        let shuffle = hint.is_some_and(|hint| hint.shuffle);
        if let Some(hint) = hint {
            // The table is in memory, so there is nothing to wait for.
            detail += &format!(", lookupHint=[{}], async=[false], shuffle=[{shuffle}]", hint.shown);
        }
        if shuffle && !self.node(left_node).changes.is_insert_only() {
            return Err(SqlError::unsupported(
                "the hint LOOKUP: rows that are updated or taken away cannot be dealt out by what is looked up",
            )
            .hint("leave 'shuffle' out: changes of a row would overtake one another")
            .at(position));
        }
        let distribution = if shuffle { by(&left_keys) } else { Distribution::Any };
        let spec = LookupJoinSpec {
            is_left: kind == JoinKind::Left,
            source,
            stages,
            keys: [left_keys, right_keys],
            null_safe: parts.null_safe.clone(),
            right: columns(right.schema()),
            condition,
            both: columns(&both),
        };
        let changes = self.node(left_node).changes;
        let inputs = vec![Input { node: left_node, distribution }];
        let node = self.operator("LookupJoin", detail, Arc::new(spec), inputs, &both, changes);
        if left_width == width {
            return Ok(node);
        }
        let kept = (0..width).chain(left_width..both.len());
        let exprs = kept.map(|column| Expr::column(column, both.logical(column))).collect();
        Ok(self.calc_over(node, &both, None, Some(exprs), rel.schema()))
    }
}
