//! The results of queries: how their rows come out, and in which order.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use serde_json::Value;
use tidemill_core::Fault;
use tidemill_core::config::{Configuration, Origin};
use tidemill_runtime::graph::{ExecutionPlan, JobSettings, StreamGraph, explain_json};
use tidemill_runtime::{OperatorError, OperatorFactory};

use super::SqlSession;
use crate::error::{SqlError, SqlResult};
use crate::exec::collect::CollectedTable;
use crate::exec::materialized::MaterializedTable;
use crate::exec::result_changes::ResultChanges;
use crate::exec::sort_key::write_sort_key;
use crate::expr::compile::{arrow_schema, record_batch};
use crate::physical::{Distribution, Input, PhysicalId, PhysicalKind, PhysicalNode, Planner, update_key};
use crate::plan::{Rel, RelKind, SortKey, TimeAttribute};
use crate::types::LogicalType;

/// What becomes of the rows of queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultKind {
    /// The table that they end in, kept until the job has ended.
    #[default]
    Table,
    /// Their changes, while the job runs.
    Changes,
}

/// The result of a query.
#[derive(Debug)]
pub struct SqlResultTable {
    /// The names and types of its columns.
    pub columns: Vec<(String, LogicalType)>,
    /// Where its rows come out while the job runs.
    pub rows: SqlRows,
    /// The order that the query asks for.
    pub order: ResultOrder,
    /// Whether the query comes to an end.
    pub is_bounded: bool,
    /// The columns by which rows that are updated are told apart, where that is known.
    pub key: Option<Vec<usize>>,
    schema: SchemaRef,
}

/// Where the rows of a result come out.
#[derive(Debug)]
pub enum SqlRows {
    /// The table that they end in.
    Table(CollectedTable),
    /// Their changes.
    Changes(ResultChanges),
}

impl SqlResultTable {
    /// The rows of the final table, in the order that the query asks for, or else in that in which they came; none when changes
    /// come out.
    ///
    /// # Errors
    /// When a row cannot be read, which is a fault of the program.
    pub fn final_rows(&self) -> Result<RecordBatch, OperatorError> {
        match &self.rows {
            SqlRows::Table(table) => self.order.apply(table.rows()?),
            SqlRows::Changes(_) => self.order.apply(RecordBatch::new_empty(Arc::clone(&self.schema))),
        }
    }

    /// An empty table for the changes that come out, which keeps `most` rows.
    pub fn materialized(&self, most: usize) -> MaterializedTable {
        MaterializedTable::new(Arc::clone(&self.schema), most)
    }
}

/// `ORDER BY` at the end of a query, which is for whoever sees the rows: a stream has no order.
#[derive(Clone, Debug, Default)]
pub struct ResultOrder {
    keys: Vec<SortKey>,
    offset: usize,
    /// Of the rows that come out, the columns that are shown.
    visible: Vec<usize>,
    /// Whether nothing else takes care of it: without a limit, only the whole table can be sorted.
    whole: bool,
}

impl ResultOrder {
    /// Whether the rows can be shown in order only when all are there.
    pub fn is_of_whole(&self) -> bool {
        self.whole
    }

    /// Whether there is any order.
    pub fn is_any(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Rows in order, with the columns that are shown.
    ///
    /// # Errors
    /// When a column has no order, which the planner has refused.
    pub fn apply(&self, rows: RecordBatch) -> Result<RecordBatch, OperatorError> {
        if self.keys.is_empty() {
            return self.shown(&rows);
        }
        let count = u32::try_from(rows.num_rows()).map_err(|_| failed("there are too many rows to sort"))?;
        let mut keys = Vec::new();
        let mut ends = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            write_sort_key(rows.columns(), &self.keys, row, &mut keys)?;
            ends.push(keys.len());
        }
        let key = |row: u32| {
            let row = row as usize;
            let start = row.checked_sub(1).map_or(0, |before| ends[before]);
            &keys[start..ends[row]]
        };
        let mut order: Vec<u32> = (0..count).collect();
        // Rows with equal keys stay as they came.
        order.sort_by(|one, other| key(*one).cmp(key(*other)));
        order.drain(..self.offset.min(order.len()));
        let order = UInt32Array::from(order);
        let shown = self.shown(&rows)?;
        let columns = shown.columns().iter().map(|column| arrow_select::take::take(column, &order, None));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| failed(error.to_string()))?;
        record_batch(&shown.schema(), columns, order.len())
    }

    /// The columns that are shown.
    ///
    /// # Errors
    /// When there is no such column, which is a fault of the program.
    pub fn shown(&self, rows: &RecordBatch) -> Result<RecordBatch, OperatorError> {
        rows.project(&self.visible).map_err(|error| failed(error.to_string()))
    }
}

fn failed(message: impl Into<String>) -> OperatorError {
    OperatorError::new("TM-SQL-ORDER", Fault::Internal, message)
}

/// A query, and the order at its end, which its plan has only where there is a limit.
pub(super) struct Ordered {
    pub(super) rel: Rel,
    pub(super) order: ResultOrder,
    names: Vec<String>,
}

impl Ordered {
    pub(super) fn of(rel: Rel) -> Self {
        let names = rel.schema().names().into_iter().map(str::to_owned).collect();
        let plain = (0..rel.schema().len()).collect();
        let (sorted, visible) = match rel.kind() {
            RelKind::Project { input, exprs } => {
                (input.clone(), exprs.iter().map(|expr| expr.as_column()).collect::<Option<Vec<_>>>())
            }
            _ => (rel.clone(), Some(plain)),
        };
        if let (RelKind::Sort { input, keys, offset, fetch }, Some(visible)) = (sorted.kind(), visible)
            && !keys.is_empty()
        {
            // By ascending event time, a stream is sorted while it runs.
            let of_time = |key: &SortKey| {
                let column = input.schema().column(key.column);
                !key.descending && column.and_then(|column| column.time) == Some(TimeAttribute::Row)
            };
            let whole = fetch.is_none() && !(*offset == 0 && keys.first().is_some_and(of_time));
            let offset = if whole { usize::try_from(*offset).unwrap_or(usize::MAX) } else { 0 };
            let order = ResultOrder { keys: keys.clone(), offset, visible, whole };
            let rel = if whole { input.clone() } else { sorted.clone() };
            return Self { rel, order, names };
        }
        let order = ResultOrder { visible: (0..rel.schema().len()).collect(), ..ResultOrder::default() };
        Self { rel, order, names }
    }
}

impl SqlSession {
    /// What becomes of the rows of queries from here on.
    pub fn set_results(&mut self, results: ResultKind) {
        self.results = results;
    }

    pub(super) fn collect(
        &self,
        planner: &mut Planner<'_>,
        node: PhysicalId,
        rel: &Rel,
        Ordered { order, names, .. }: &Ordered,
    ) -> SqlResult<(PhysicalId, SqlResultTable)> {
        let is_endless = |node: &PhysicalNode| matches!(&node.kind, PhysicalKind::Source { source, .. } if !source.is_bounded());
        let is_bounded = !planner.plan.nodes.iter().any(is_endless);
        if order.is_of_whole() && !is_bounded {
            return Err(SqlError::unsupported("ORDER BY without LIMIT is not supported on a stream").hint(
                "a stream has no end at which it could be sorted: add LIMIT, or order what comes out",
            ));
        }
        let schema = arrow_schema(rel.schema().types());
        let (rows, sink): (SqlRows, Arc<dyn OperatorFactory>) = match self.results {
            ResultKind::Table => {
                let table = CollectedTable::new(Arc::clone(&schema), self.most_rows);
                (SqlRows::Table(table.clone()), Arc::new(table))
            }
            ResultKind::Changes => {
                let changes = ResultChanges::default();
                (SqlRows::Changes(changes.clone()), Arc::new(changes))
            }
        };
        let types = order.visible.iter().map(|column| rel.schema().logical(*column));
        let columns = names.iter().cloned().zip(types).collect();
        let mut detail = format!("table=[result], fields=[{}]", names.join(", "));
        if order.is_of_whole() {
            let of_input = rel.schema().names();
            let keys = order.keys.iter().map(|key| crate::physical::sort_detail(&of_input, *key));
            detail += &format!(", orderBy=[{}]", keys.collect::<Vec<_>>().join(", "));
        }
        let id = planner.add(PhysicalNode {
            name: "Sink",
            detail,
            kind: PhysicalKind::Sink(sink),
            inputs: vec![Input { node, distribution: Distribution::Any }],
            schema: rel.schema().clone(),
            changes: planner.node(node).changes,
            single: true,
            parallelism: Some(1),
        });
        let place = |column: &usize| order.visible.iter().position(|visible| visible == column);
        let key = update_key(rel).and_then(|key| key.iter().map(place).collect());
        Ok((id, SqlResultTable { columns, rows, order: order.clone(), is_bounded, key, schema }))
    }

    /// The plan of a job as Flink's `JSON_EXECUTION_PLAN` shows it.
    pub(super) fn execution_plan(&self, graph: StreamGraph) -> SqlResult<Value> {
        let mut configuration = Configuration::new();
        for (key, value) in self.defaults.iter().chain(&self.settings) {
            configuration.set_raw(key.clone(), value.clone(), Origin::Api);
        }
        let refused = |error: tidemill_runtime::JobError| SqlError::option(error.to_string());
        let settings = JobSettings::from_configuration(&configuration).map_err(refused)?;
        let plan = ExecutionPlan::new(graph, &settings).map_err(refused)?;
        Ok(explain_json(&plan))
    }
}
