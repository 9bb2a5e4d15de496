//! Aggregations of groups: in one phase, or a part of it where the rows are and the rest by group.

use std::sync::Arc;

use tidemill_state::StateTtlConfig;

use super::hints::{shown_group_ttl, state_ttl};
use super::planner::{Planner, aggregate_detail, by, columns};
use super::{Changes, Distribution, Input, PhysicalId};
use crate::error::{SqlError, SqlResult};
use crate::exec::entries::EntryForm;
use crate::exec::global_aggregate::GlobalAggregateSpec;
use crate::exec::group_aggregate::GroupAggregateSpec;
use crate::exec::local_aggregate::LocalAggregateSpec;
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::plan::{Column, NodeHints, Schema};
use crate::types::TypeRoot;

/// Mini-batches: `table.exec.mini-batch.*`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MiniBatch {
    /// How long rows wait at most, in milliseconds.
    pub(crate) latency: i64,
    /// How many wait at most; no positive number when none was set.
    pub(crate) size: i64,
}

impl MiniBatch {
    fn rows(self) -> SqlResult<usize> {
        match usize::try_from(self.size) {
            Ok(rows) if rows > 0 => Ok(rows),
            _ => Err(SqlError::option(format!(
                "'table.exec.mini-batch.size' is {}, but must be > 0 when 'table.exec.mini-batch.enabled' is true",
                self.size
            ))
            .hint("SET 'table.exec.mini-batch.size' = '5000'")),
        }
    }
}

/// An aggregation that is to be planned.
pub(super) struct Grouping<'a> {
    pub(super) node: PhysicalId,
    /// The columns of `node`.
    pub(super) input: &'a Schema,
    pub(super) keys: &'a [usize],
    pub(super) calls: &'a [AggregateCall],
    pub(super) output: &'a Schema,
    pub(super) hints: &'a NodeHints,
    /// Which part of an aggregation that was split it is, as plans show it.
    pub(super) part: Option<&'static str>,
}

impl Planner<'_> {
    /// The operators of an aggregation.
    pub(super) fn group_aggregate(&mut self, grouping: &Grouping<'_>) -> SqlResult<PhysicalId> {
        if let Some(buckets) = self.settings.split_distinct
            && let Some(split) = self.split_aggregate(grouping, buckets)?
        {
            return Ok(split);
        }
        self.in_phases(grouping)
    }

    /// The operators of an aggregation that is not split.
    pub(super) fn in_phases(&mut self, grouping: &Grouping<'_>) -> SqlResult<PhysicalId> {
        let bundle = self.settings.mini_batch.map(MiniBatch::rows).transpose()?;
        let of_input = self.node(grouping.node).changes;
        let retracting = !of_input.is_insert_only();
        let is_mergeable = grouping.calls.iter().all(|call| is_mergeable(call, retracting));
        if let Some(bundle) = bundle
            && !self.settings.one_phase
            && is_mergeable
        {
            return Ok(self.in_two_phases(grouping, bundle));
        }
        let names = grouping.input.names();
        let detail = grouping.shown(&aggregate_detail(&names, grouping.keys, grouping.calls));
        let spec = GroupAggregateSpec {
            input: columns(grouping.input),
            keys: grouping.keys.to_vec(),
            calls: grouping.calls.to_vec(),
            output: columns(grouping.output),
            retracting,
            update_before: true,
            ttl: grouping.ttl(self.settings.ttl),
            bundle,
        };
        let changes = grouping.changes(of_input);
        let inputs = vec![Input { node: grouping.node, distribution: by(grouping.keys) }];
        let after_only = GroupAggregateSpec { update_before: false, ..spec.clone() };
        let node = self.operator("GroupAggregate", detail, Arc::new(spec), inputs, grouping.output, changes);
        if is_mergeable {
            let advice = self.two_phases_advised();
            self.plan.advice.push((node, advice));
        }
        Ok(self.or_after_only(node, after_only))
    }

    /// Which options bring an aggregation in one phase into two; the words are Flink's.
    fn two_phases_advised(&self) -> String {
        let mut options = Vec::new();
        if self.settings.mini_batch.is_none() {
            options.push("'table.exec.mini-batch.enabled' to 'true'");
            options.push("'table.exec.mini-batch.allow-latency' to a positive long value");
            options.push("'table.exec.mini-batch.size' to a positive long value");
        }
        if self.settings.one_phase {
            options.push("'table.optimizer.agg-phase-strategy' to 'AUTO' or 'TWO_PHASE'");
        }
        format!(
            "You might want to enable local-global two-phase optimization by configuring ({}).",
            options.join(", ")
        )
    }

    fn in_two_phases(&mut self, grouping: &Grouping<'_>, bundle: usize) -> PhysicalId {
        let Grouping { node, input, keys, calls, output, .. } = grouping;
        let of_input = self.node(*node).changes;
        let mut of_partials: Vec<Column> = keys
            .iter()
            .filter_map(|key| input.column(*key))
            .map(|column| Column { time: None, ..column.clone() })
            .collect();
        of_partials.push(Column::new("accumulators", TypeRoot::BYTES.not_null()));
        let of_partials = Schema::new(of_partials);
        let shown = Shown::new(&input.names(), keys, calls, !of_input.is_insert_only());
        let local = LocalAggregateSpec {
            keys: keys.to_vec(),
            calls: calls.to_vec(),
            partials: columns(&of_partials),
            bundle,
        };
        let inputs = vec![Input { node: *node, distribution: Distribution::Any }];
        let detail = grouping.shown(&shown.local);
        let local = self.operator(
            "LocalGroupAggregate",
            detail,
            Arc::new(local),
            inputs,
            &of_partials,
            Changes::INSERT,
        );
        let global = GlobalAggregateSpec {
            partials: columns(&of_partials),
            calls: calls.to_vec(),
            output: columns(output),
            update_before: true,
            ttl: grouping.ttl(self.settings.ttl),
            bundle,
        };
        let all_keys: Vec<usize> = (0..keys.len()).collect();
        let inputs = vec![Input { node: local, distribution: by(&all_keys) }];
        let detail = grouping.shown(&shown.global);
        let changes = grouping.changes(of_input);
        let after_only = GlobalAggregateSpec { update_before: false, ..global.clone() };
        let node = self.operator("GlobalGroupAggregate", detail, Arc::new(global), inputs, output, changes);
        self.or_after_only(node, after_only)
    }
}

impl Grouping<'_> {
    /// Which changes come out.
    fn changes(&self, of_input: Changes) -> Changes {
        let has_results = !self.calls.is_empty();
        if !has_results && of_input.is_insert_only() {
            // A group comes once, and stays as it is.
            return Changes::INSERT;
        }
        Changes {
            update: has_results,
            delete: !of_input.is_insert_only(),
            before: has_results,
            partial: false,
        }
    }

    /// `detail`, with which part this is behind the groups, and how long state is kept if a hint says so.
    fn shown(&self, detail: &str) -> String {
        let shown = match (self.part, detail.split_once(", select=[")) {
            (Some(part), Some((groups, selected))) => {
                format!("{groups}, partialFinalType=[{part}], select=[{selected}")
            }
            _ => detail.to_owned(),
        };
        shown + &shown_group_ttl(self.hints)
    }

    /// How long state is kept.
    fn ttl(&self, session: Option<StateTtlConfig>) -> Option<StateTtlConfig> {
        state_ttl(self.hints.ttl[0].as_ref(), session)
    }
}

/// Whether a function can be computed of parts: each of its rows once, without a look at the others. Those that keep values one by one
/// cannot, nor can those that depend on the order of all rows.
fn is_mergeable(call: &AggregateCall, retracting: bool) -> bool {
    !call.distinct
        && EntryForm::of(call, retracting).is_none()
        && matches!(
            call.kind,
            AggregateKind::Count
                | AggregateKind::Sum
                | AggregateKind::SumOrZero
                | AggregateKind::Avg
                | AggregateKind::Min
                | AggregateKind::Max
                | AggregateKind::Variance { .. }
                | AggregateKind::User(_)
        )
        // Moments that were only taken out cannot be told without those that they were taken out of.
        && !(retracting && matches!(call.kind, AggregateKind::Variance { .. }))
}

/// The two phases as plans show them.
struct Shown {
    local: String,
    global: String,
}

impl Shown {
    fn new(names: &[&str], keys: &[usize], calls: &[AggregateCall], retracting: bool) -> Self {
        let name = |column: &usize| names.get(*column).copied().unwrap_or_default();
        let keys: Vec<&str> = keys.iter().map(name).collect();
        let selected: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let (mut local, mut global) = (selected.clone(), selected);
        let mut next = 0;
        let mut sent = |parts: &[&str]| {
            let parts: Vec<String> = parts
                .iter()
                .map(|part| {
                    next += 1;
                    format!("{part}${}", next - 1)
                })
                .collect();
            if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(", ")) }
        };
        for call in calls {
            let arguments: Vec<&str> = call.arguments.iter().map(name).collect();
            let kind = call.kind.name();
            let filter = call.filter.map(|filter| format!(" FILTER {}", name(&filter))).unwrap_or_default();
            let sent = sent(match call.kind {
                AggregateKind::Count if call.arguments.is_empty() => &["count1"],
                AggregateKind::Count => &["count"],
                AggregateKind::Sum | AggregateKind::SumOrZero if retracting => &["sum", "count"],
                AggregateKind::Sum | AggregateKind::SumOrZero => &["sum"],
                AggregateKind::Avg => &["sum", "count"],
                AggregateKind::Min => &["min"],
                AggregateKind::Max => &["max"],
                AggregateKind::Variance { .. } => &["squares", "mean", "count"],
                _ => &["acc"],
            });
            let arguments = if arguments.is_empty() { "*".to_owned() } else { arguments.join(", ") };
            local.push(format!("{kind}({arguments}){filter} AS {sent}"));
            global.push(format!("{kind}({sent}) AS {}", call.name));
        }
        let counts_rows = |call: &AggregateCall| {
            call.kind == AggregateKind::Count && call.arguments.is_empty() && call.filter.is_none()
        };
        if retracting && !calls.iter().any(counts_rows) {
            local.push(format!("COUNT_RETRACT(*) AS {}", sent(&["count1"])));
        }
        let detail = |all: Vec<String>| format!("groupBy=[{}], select=[{}]", keys.join(", "), all.join(", "));
        Self { local: detail(local), global: detail(global) }
    }
}
