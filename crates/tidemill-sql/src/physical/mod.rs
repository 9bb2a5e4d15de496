//! From relational plans to operators: which changes flow, how rows are dealt out, what is kept.

mod build;
mod calc;
mod changelog_sources;
mod changes;
mod digest;
mod explain;
mod group_aggregates;
mod hints;
mod joins;
pub(crate) mod keys;
mod lookup;
mod lookup_options;
mod matching;
mod mini_batch;
mod over;
mod own_functions;
mod planner;
mod pushdown;
mod rank;
mod sources;
mod split_aggregate;
mod update_before;
mod window_operators;
mod windows;

pub(crate) use build::build_graph;
pub(crate) use changes::Changes;
pub(crate) use explain::{Shown, explain};
pub(crate) use group_aggregates::MiniBatch;
pub(crate) use keys::{update_key, upsert_keys};
pub(crate) use mini_batch::add_assigners;
pub(crate) use planner::{PlanSettings, Planner, columns, sort_detail};
pub(crate) use update_before::Wanted;

use std::sync::Arc;

use tidemill_runtime::OperatorFactory;
use tidemill_runtime::source::Source;

use crate::exec::calc::CalcSpec;
use crate::exec::scan::ScanStages;
use crate::plan::Schema;

/// The place of a node in a [`PhysicalPlan`].
pub(crate) type PhysicalId = usize;

/// Operators and what flows between them; inputs stand before those that read them.
#[derive(Default)]
pub(crate) struct PhysicalPlan {
    pub(crate) nodes: Vec<PhysicalNode>,
    /// What would serve an operator, as `EXPLAIN PLAN_ADVICE` says it.
    pub(crate) advice: Vec<(PhysicalId, String)>,
}

/// An operator.
pub(crate) struct PhysicalNode {
    /// Flink's name of the kind of operator.
    pub(crate) name: &'static str,
    /// What it does, as `EXPLAIN` shows it.
    pub(crate) detail: String,
    pub(crate) kind: PhysicalKind,
    pub(crate) inputs: Vec<Input>,
    pub(crate) schema: Schema,
    /// Which changes come out.
    pub(crate) changes: Changes,
    /// One subtask only.
    pub(crate) single: bool,
    pub(crate) parallelism: Option<u32>,
}

/// How an operator reads another.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) node: PhysicalId,
    pub(crate) distribution: Distribution,
}

/// How rows are dealt to subtasks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distribution {
    /// Stay where they are, or any.
    Any,
    /// Those with equal values of some columns go to one subtask.
    Hash(Vec<usize>),
    /// All to one subtask.
    Single,
}

/// What a source reads.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    /// The table, and how its event time advances.
    pub(crate) table: String,
    /// The columns as they come.
    pub(crate) columns: Vec<String>,
}

/// What an operator is made of.
pub(crate) enum PhysicalKind {
    Source { source: Arc<dyn Source>, stages: ScanStages, scanned: Scanned },
    Calc(CalcSpec),
    Operator(Arc<dyn OperatorFactory>),
    Sink(Arc<dyn OperatorFactory>),
}
