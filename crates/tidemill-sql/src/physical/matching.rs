//! Row patterns.

use std::sync::Arc;

use super::planner::{by, columns};
use super::{Changes, Input, PhysicalId, Planner};
use crate::error::{SqlError, SqlResult};
use crate::exec::matching::MatchOperatorSpec;
use crate::plan::{MatchSpec, Rel};

impl Planner<'_> {
    /// `MATCH_RECOGNIZE`.
    pub(super) fn pattern(&mut self, rel: &Rel, input: &Rel, spec: &Arc<MatchSpec>) -> SqlResult<PhysicalId> {
        let node = self.plan(input)?;
        let mut below = self.node(node);
        if !below.changes.is_insert_only() {
            // What makes the changes, not what computes columns of them.
            while let ("Calc", [input]) = (below.name, &below.inputs[..]) {
                below = self.node(input.node);
            }
            return Err(SqlError::changelog(format!(
                "MATCH_RECOGNIZE cannot look for patterns in rows that are updated or taken away, as those of {}({}) are",
                below.name, below.detail
            ))
            .hint("look for the pattern first, or in windows, whose results do not change"));
        }
        let names = input.schema().names();
        let measures: Vec<&str> =
            rel.schema().names().split_off(spec.partition.len().min(rel.schema().len()));
        let detail = spec.shown(&names, &measures);
        let operator = MatchOperatorSpec {
            input: columns(input.schema()),
            spec: Arc::clone(spec),
            output: columns(rel.schema()),
        };
        let inputs = vec![Input { node, distribution: by(&spec.partition) }];
        Ok(self.operator("Match", detail, Arc::new(operator), inputs, rel.schema(), Changes::INSERT))
    }
}
