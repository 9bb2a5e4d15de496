//! Relational plans: what a query asks for, names and types resolved, before anything is decided about streams.
//!
//! A [`Rel`] is shared by pointer: a view or a common table expression that is read twice is one node with two readers.

mod hints;
mod matching;
mod schema;
mod window;

use std::sync::Arc;

use datafusion_common::ScalarValue;

pub(crate) use hints::{LookupHint, NodeHints, StateTtl};
pub(crate) use matching::{
    AfterMatch, MatchAggregate, MatchExprs, MatchRead, MatchSpec, MatchVariable, RowPlace, Times,
};
pub(crate) use schema::{Column, Schema, TimeAttribute};
pub(crate) use window::{WindowKind, WindowSpec};

use crate::catalog::Table;
use crate::expr::Expr;
use crate::functions::aggregate::AggregateCall;
use crate::functions::table::TableFunctionCall;

/// A node of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Rel(Arc<Node>);

#[derive(Debug)]
struct Node {
    schema: Schema,
    kind: RelKind,
    hints: NodeHints,
}

/// What a node does.
#[derive(Clone, Debug)]
pub(crate) enum RelKind {
    /// Reads a table.
    Scan(Scan),
    /// Rows that are written in the query.
    Values { rows: Vec<Vec<ScalarValue>> },
    /// New columns of each row.
    Project { input: Rel, exprs: Vec<Expr> },
    /// The rows for which a condition holds.
    Filter { input: Rel, predicate: Expr },
    /// Event time of a column, by an expression for the watermark.
    Watermark { input: Rel, column: usize, watermark: Expr },
    /// One row a group: the columns `keys`, then the aggregates.
    Aggregate { input: Rel, keys: Vec<usize>, calls: Vec<AggregateCall> },
    /// Each row once for each grouping set, the columns that are not in it NULL, with the set's number behind. `sets` are
    /// lists of columns among the first `keys`.
    Expand { input: Rel, keys: usize, sets: Vec<Vec<usize>> },
    /// A windowing table function: the input's columns and `window_start`, `window_end`, `window_time`.
    Window { input: Rel, spec: WindowSpec },
    /// The rows of both sides that match; the condition is over the columns of both, the left ones first. Of a semi or an
    /// anti join only the left columns.
    Join { left: Rel, right: Rel, kind: JoinKind, condition: Expr },
    /// Each row on the left with the version of the right that was valid at the left's time.
    Temporal {
        left: Rel,
        right: Rel,
        kind: JoinKind,
        time: Expr,
        condition: Expr,
        position: crate::error::Position,
    },
    /// Each row with those that a table function makes of it.
    Correlate { input: Rel, function: TableFunctionCall, kind: JoinKind },
    /// The input's columns and functions of the rows around each.
    Over { input: Rel, partition: Vec<usize>, order: Vec<SortKey>, frame: Frame, calls: Vec<OverCall> },
    /// The matches of a row pattern: the columns of the partition, then the measures.
    Match { input: Rel, spec: Arc<MatchSpec> },
    /// All rows of all inputs.
    Union { inputs: Vec<Rel> },
    /// Rows in order, some of them.
    Sort { input: Rel, keys: Vec<SortKey>, offset: u64, fetch: Option<u64> },
    /// The rows of both inputs, in both or only on the left, with duplicates when `all`.
    SetOperation { left: Rel, right: Rel, except: bool, all: bool },
}

/// A scan of a table.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// The table.
    pub(crate) table: Arc<Table>,
    /// The columns that are read, by name and type as the source gives them.
    pub(crate) columns: Vec<ScanColumn>,
    /// Options of hints over those of the table.
    pub(crate) options: Vec<(String, String)>,
}

/// A column that a scan reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScanColumn {
    /// Its place among the columns that the table stores.
    pub(crate) index: usize,
    /// Its name, or the key of its metadata.
    pub(crate) name: String,
    /// Whether it is metadata.
    pub(crate) metadata: bool,
    /// Its type; a row may have lost fields that nobody reads.
    pub(crate) logical: crate::types::LogicalType,
}

/// Which rows without a match a join keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

impl JoinKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "InnerJoin",
            JoinKind::Left => "LeftOuterJoin",
            JoinKind::Right => "RightOuterJoin",
            JoinKind::Full => "FullOuterJoin",
            JoinKind::Semi => "LeftSemiJoin",
            JoinKind::Anti => "LeftAntiJoin",
        }
    }

    pub(crate) fn keeps_left(self) -> bool {
        matches!(self, JoinKind::Left | JoinKind::Full)
    }

    pub(crate) fn keeps_right(self) -> bool {
        matches!(self, JoinKind::Right | JoinKind::Full)
    }

    /// Whether only the left columns come out.
    pub(crate) fn is_semi(self) -> bool {
        matches!(self, JoinKind::Semi | JoinKind::Anti)
    }
}

/// A column that rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SortKey {
    /// The column.
    pub(crate) column: usize,
    /// `DESC`.
    pub(crate) descending: bool,
    /// `NULLS FIRST`.
    pub(crate) nulls_first: bool,
}

/// The rows around a row that a function of `OVER` sees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    /// `RANGE BETWEEN … PRECEDING AND CURRENT ROW`; without a width, from the beginning.
    Range(Option<i64>),
    /// `ROWS BETWEEN … PRECEDING AND CURRENT ROW`; without a number, from the beginning.
    Rows(Option<u64>),
}

/// A function of `OVER`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OverCall {
    /// An aggregate over the frame.
    Aggregate(AggregateCall),
    /// `ROW_NUMBER()`.
    RowNumber,
    /// `RANK()`.
    Rank,
    /// `DENSE_RANK()`.
    DenseRank,
    /// `LAG(value, rows, default)`, or with a negative number `LEAD`.
    Lag { argument: usize, offset: i64, default: ScalarValue, logical: crate::types::LogicalType },
}

impl Rel {
    pub(crate) fn new(schema: Schema, kind: RelKind) -> Self {
        Rel(Arc::new(Node { schema, kind, hints: NodeHints::default() }))
    }

    /// The same with hints.
    pub(crate) fn with_hints(self, hints: &NodeHints) -> Self {
        if hints.is_empty() {
            return self;
        }
        let (schema, kind) = (self.schema().clone(), self.kind().clone());
        Rel(Arc::new(Node { schema, kind, hints: hints.clone() }))
    }

    /// What hints say of this.
    pub(crate) fn hints(&self) -> &NodeHints {
        &self.0.hints
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.0.schema
    }

    pub(crate) fn kind(&self) -> &RelKind {
        &self.0.kind
    }

    /// The same for two references to one node.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// `exprs` of each row of this, called `names`. A column that is passed on keeps being a time attribute.
    pub(crate) fn project(self, exprs: Vec<Expr>, names: Vec<String>) -> Rel {
        let columns = exprs.iter().zip(names).map(|(expr, name)| {
            let time = match expr.as_call() {
                Some(("PROCTIME", _)) => Some(TimeAttribute::Processing),
                _ => expr
                    .as_column()
                    .and_then(|index| self.schema().column(index))
                    .and_then(|column| column.time),
            };
            Column { name, logical: expr.logical(), time }
        });
        let schema = Schema::new(columns.collect());
        Rel::new(schema, RelKind::Project { input: self, exprs })
    }

    /// The rows of this for which `predicate` holds.
    pub(crate) fn filter(self, predicate: Expr) -> Rel {
        if predicate.is_true() {
            return self;
        }
        Rel::new(self.schema().clone(), RelKind::Filter { input: self, predicate })
    }

    /// The columns of this as expressions.
    pub(crate) fn all_columns(&self) -> Vec<Expr> {
        self.schema().columns().iter().enumerate().map(|(i, c)| Expr::column(i, c.logical.clone())).collect()
    }

    /// A join; its schema follows from its kind.
    pub(crate) fn join(left: Rel, right: Rel, kind: JoinKind, condition: Expr) -> Rel {
        let mut columns: Vec<Column> = left.schema().columns().to_vec();
        columns.iter_mut().for_each(|column| column.logical.nullable |= kind.keeps_right());
        if !kind.is_semi() {
            columns.extend(right.schema().columns().iter().cloned().map(|mut column| {
                column.logical.nullable |= kind.keeps_left();
                column
            }));
        }
        Rel::new(Schema::new(columns), RelKind::Join { left, right, kind, condition })
    }

    /// The groups of this by `keys`, with aggregates.
    pub(crate) fn aggregate(self, keys: Vec<usize>, calls: Vec<AggregateCall>) -> Rel {
        let of_keys = keys.iter().filter_map(|key| self.schema().column(*key)).cloned();
        let of_calls = calls.iter().map(|call| Column::new(call.name.clone(), call.returns.clone()));
        let schema = Schema::new(of_keys.chain(of_calls).collect());
        Rel::new(schema, RelKind::Aggregate { input: self, keys, calls })
    }
}
