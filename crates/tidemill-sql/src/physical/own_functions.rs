//! The session's own functions in plans.

use std::sync::Arc;

use super::{Changes, Distribution, Input, PhysicalId, Planner};
use crate::error::{SqlError, SqlResult};
use crate::exec::correlate::CorrelateSpec;
use crate::expr::Expr;
use crate::expr::compile::arrow_schema;
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::plan::{JoinKind, Rel};
use crate::udf::UserTable;

impl Planner<'_> {
    /// The operator that calls a table function for each row of `input`.
    pub(super) fn own_table(
        &mut self,
        rel: &Rel,
        input: &Rel,
        (function, arguments): (&UserTable, &[Expr]),
        kind: JoinKind,
    ) -> SqlResult<PhysicalId> {
        let node = self.plan(input)?;
        let names = input.schema().names();
        let shown: Vec<String> =
            arguments.iter().map(|argument| argument.shown(&names).to_string()).collect();
        let detail = format!(
            "invocation=[{}({})], joinType=[{}], select=[{}]",
            function.name(),
            shown.join(", "),
            kind.name(),
            rel.schema().names().join(", ")
        );
        let spec = CorrelateSpec {
            input: arrow_schema(input.schema().types()),
            function: function.clone(),
            arguments: arguments.to_vec(),
            is_left: kind == JoinKind::Left,
            output: arrow_schema(rel.schema().types()),
        };
        let changes = self.node(node).changes;
        let inputs = vec![Input { node, distribution: Distribution::Any }];
        Ok(self.operator("Correlate", detail, Arc::new(spec), inputs, rel.schema(), changes))
    }
}

/// That the functions can take back what they have been given, when rows are taken away.
pub(super) fn check_calls(calls: &[AggregateCall], changes: Changes) -> SqlResult<()> {
    for call in calls {
        if let AggregateKind::User(function) = &call.kind
            && !function.0.can_retract()
            && !changes.is_insert_only()
        {
            let name = function.0.name();
            return Err(SqlError::changelog(format!(
                "{name} is computed over rows that are updated or taken away, which it cannot take out again"
            ))
            .hint(format!(
                "implement retract for {name}, and can_retract; or aggregate what is only added to"
            )));
        }
    }
    Ok(())
}
