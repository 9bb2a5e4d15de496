//! Row pattern recognition: what `MATCH_RECOGNIZE` asks for.
//!
//! An expression of `DEFINE` or `MEASURES` is over what it reads of the rows of a match: column `i` of the expression is
//! [`MatchRead`] number `i`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{SortKey, TimeAttribute};
use crate::expr::Expr;
use crate::functions::aggregate::AggregateKind;
use crate::types::LogicalType;

/// A row pattern and what becomes of its matches.
#[derive(Clone, Debug)]
pub(crate) struct MatchSpec {
    /// The columns of the partitions, which come out first.
    pub(crate) partition: Vec<usize>,
    /// The order of a partition's rows; the first column is a time attribute, ascending.
    pub(crate) order: Vec<SortKey>,
    /// What the first column of the order is.
    pub(crate) time: TimeAttribute,
    /// The variables in the order of the pattern, each of them once.
    pub(crate) variables: Vec<MatchVariable>,
    pub(crate) skip: AfterMatch,
    /// How many milliseconds later than its first row a match has no rows any more.
    pub(crate) within: Option<i64>,
    /// What comes out behind the columns of the partition.
    pub(crate) measures: MatchExprs,
}

/// A variable of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MatchVariable {
    pub(crate) name: Arc<str>,
    pub(crate) times: Times,
    /// What must hold of a row for the variable, all of it; nothing for a variable that is not defined.
    pub(crate) conditions: MatchExprs,
}

/// How often a variable may occur, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) least: u32,
    /// None for any number.
    pub(crate) most: Option<u32>,
    /// Whether a row that could be one of it goes to no later variable.
    pub(crate) greedy: bool,
}

/// Where the search for the next match begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterMatch {
    PastLastRow,
    ToNextRow,
    /// The first row of a variable.
    ToFirst(usize),
    /// The last row of a variable.
    ToLast(usize),
}

/// Expressions and what they read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MatchExprs {
    pub(crate) exprs: Vec<Expr>,
    pub(crate) reads: Vec<MatchRead>,
}

/// What an expression reads of a match. Without a variable it is of all rows of the match.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MatchRead {
    /// A column of a variable's row.
    Row { variable: Option<usize>, place: RowPlace, column: usize, logical: LogicalType },
    /// An aggregate of a variable's rows.
    Aggregate { variable: Option<usize>, aggregate: MatchAggregate },
    /// The event time at which the match was found.
    Time { logical: LogicalType },
}

/// Which of a variable's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowPlace {
    /// That many behind the first.
    First(u32),
    /// That many before the last.
    Last(u32),
}

/// An aggregate function over expressions of the input's columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MatchAggregate {
    pub(crate) kind: AggregateKind,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) filter: Option<Expr>,
    pub(crate) returns: LogicalType,
}

impl MatchRead {
    /// The type of its values: a row may not be there.
    pub(crate) fn logical(&self) -> LogicalType {
        match self {
            MatchRead::Row { logical, .. } => logical.clone().with_nullable(true),
            MatchRead::Aggregate { aggregate, .. } => aggregate.returns.clone(),
            MatchRead::Time { logical } => logical.clone(),
        }
    }

    fn columns(&self, found: &mut BTreeSet<usize>) {
        match self {
            MatchRead::Row { column, .. } => {
                found.insert(*column);
            }
            MatchRead::Aggregate { aggregate, .. } => {
                aggregate.arguments.iter().chain(&aggregate.filter).for_each(|expr| expr.columns(found));
            }
            MatchRead::Time { .. } => {}
        }
    }

    fn map_columns(&self, map: &impl Fn(usize) -> usize) -> Self {
        match self {
            MatchRead::Row { variable, place, column, logical } => MatchRead::Row {
                variable: *variable,
                place: *place,
                column: map(*column),
                logical: logical.clone(),
            },
            MatchRead::Aggregate { variable, aggregate } => MatchRead::Aggregate {
                variable: *variable,
                aggregate: MatchAggregate {
                    kind: aggregate.kind.clone(),
                    arguments: aggregate.arguments.iter().map(|expr| expr.map_columns(map)).collect(),
                    filter: aggregate.filter.as_ref().map(|expr| expr.map_columns(map)),
                    returns: aggregate.returns.clone(),
                },
            },
            MatchRead::Time { logical } => MatchRead::Time { logical: logical.clone() },
        }
    }
}

impl MatchExprs {
    /// Those of the expressions that `keep` lists, and what they read.
    pub(crate) fn kept(&self, keep: &[usize]) -> Self {
        let mut wanted = BTreeSet::new();
        keep.iter().filter_map(|index| self.exprs.get(*index)).for_each(|expr| expr.columns(&mut wanted));
        let places: Vec<usize> = wanted.into_iter().collect();
        let place = |read: usize| places.iter().position(|known| *known == read).unwrap_or(read);
        let exprs = keep.iter().filter_map(|index| self.exprs.get(*index));
        Self {
            exprs: exprs.map(|expr| expr.map_columns(&place)).collect(),
            reads: places.iter().filter_map(|read| self.reads.get(*read)).cloned().collect(),
        }
    }

    fn map_columns(&self, map: &impl Fn(usize) -> usize) -> Self {
        Self {
            exprs: self.exprs.clone(),
            reads: self.reads.iter().map(|read| read.map_columns(map)).collect(),
        }
    }
}

impl MatchSpec {
    /// The columns of the input that are read.
    pub(crate) fn columns(&self) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = self.partition.iter().copied().collect();
        found.extend(self.order.iter().map(|key| key.column));
        let conditions = self.variables.iter().flat_map(|variable| &variable.conditions.reads);
        conditions.chain(&self.measures.reads).for_each(|read| read.columns(&mut found));
        found
    }

    /// The same over an input whose column `i` is called `map(i)`.
    pub(crate) fn map_columns(&self, map: &impl Fn(usize) -> usize) -> Self {
        let variables = self.variables.iter().map(|variable| MatchVariable {
            conditions: variable.conditions.map_columns(map),
            ..variable.clone()
        });
        Self {
            partition: self.partition.iter().map(|column| map(*column)).collect(),
            order: self.order.iter().map(|key| SortKey { column: map(key.column), ..*key }).collect(),
            variables: variables.collect(),
            measures: self.measures.map_columns(map),
            ..self.clone()
        }
    }

    /// This as plans show it, over columns called `columns`, with measures called `measures`.
    pub(crate) fn shown(&self, columns: &[&str], measures: &[&str]) -> String {
        let name = |column: &usize| columns.get(*column).copied().unwrap_or_default();
        let names: Vec<&str> = self.variables.iter().map(|variable| &*variable.name).collect();
        let expr = |expr: &Expr, reads: &[MatchRead]| {
            let reads: Vec<String> =
                reads.iter().map(|read| Shown { read, columns, variables: &names }.to_string()).collect();
            let reads: Vec<&str> = reads.iter().map(String::as_str).collect();
            expr.shown(&reads).to_string()
        };
        let partition: Vec<&str> = self.partition.iter().map(name).collect();
        let order = self
            .order
            .iter()
            .map(|key| format!("{} {}", name(&key.column), if key.descending { "DESC" } else { "ASC" }));
        let of_measures = self
            .measures
            .exprs
            .iter()
            .zip(measures)
            .map(|(measure, name)| format!("FINAL({}) AS {name}", expr(measure, &self.measures.reads)));
        let pattern = self.variables.iter().map(|variable| format!("{}{}", variable.name, variable.times));
        let define =
            self.variables.iter().filter(|variable| !variable.conditions.exprs.is_empty()).map(|variable| {
                let all = variable.conditions.exprs.iter();
                let all: Vec<String> =
                    all.map(|condition| expr(condition, &variable.conditions.reads)).collect();
                format!("{}={}", variable.name, all.join(" AND "))
            });
        let within = self.within.map(|millis| format!(", within=[{millis} ms]")).unwrap_or_default();
        let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
        format!(
            "partitionBy=[{}], orderBy=[{}], measures=[{}], rowsPerMatch=[ONE ROW PER MATCH], after=[{}], \
             pattern=[{}]{within}, define=[{}]",
            partition.join(", "),
            list(&mut order.into_iter()),
            list(&mut of_measures.into_iter()),
            self.skip.shown(&names),
            pattern.collect::<Vec<_>>().join(" "),
            list(&mut define.into_iter()),
        )
    }
}

impl AfterMatch {
    fn shown(self, variables: &[&str]) -> String {
        let name = |variable: usize| variables.get(variable).copied().unwrap_or_default();
        match self {
            AfterMatch::PastLastRow => "SKIP PAST LAST ROW".to_owned(),
            AfterMatch::ToNextRow => "SKIP TO NEXT ROW".to_owned(),
            AfterMatch::ToFirst(variable) => format!("SKIP TO FIRST {}", name(variable)),
            AfterMatch::ToLast(variable) => format!("SKIP TO LAST {}", name(variable)),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (1, Some(1)) => return Ok(()),
            (0, Some(1)) => return f.write_str("?"),
            (0, None) => f.write_str("*")?,
            (1, None) => f.write_str("+")?,
            (least, None) => write!(f, "{{{least},}}")?,
            (least, Some(most)) if least == most => return write!(f, "{{{least}}}"),
            (least, Some(most)) => write!(f, "{{{least},{most}}}")?,
        }
        f.write_str(if self.greedy { "" } else { "?" })
    }
}

/// A read as plans show it.
struct Shown<'a> {
    read: &'a MatchRead,
    columns: &'a [&'a str],
    variables: &'a [&'a str],
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variable = |variable: &Option<usize>| match variable {
            Some(variable) => self.variables.get(*variable).copied().unwrap_or_default(),
            None => "*",
        };
        match self.read {
            MatchRead::Row { variable: of, place, column, .. } => {
                let name = self.columns.get(*column).copied().unwrap_or_default();
                let of = variable(of);
                match place {
                    RowPlace::Last(0) => write!(f, "{of}.{name}"),
                    RowPlace::Last(rows) => write!(f, "LAST({of}.{name}, {rows})"),
                    RowPlace::First(rows) => write!(f, "FIRST({of}.{name}, {rows})"),
                }
            }
            MatchRead::Aggregate { variable: of, aggregate } => {
                let kind = format!("{:?}", aggregate.kind).to_uppercase();
                let arguments: Vec<String> =
                    aggregate.arguments.iter().map(|expr| expr.shown(self.columns).to_string()).collect();
                write!(f, "{kind}({}: {})", variable(of), arguments.join(", "))?;
                match &aggregate.filter {
                    Some(filter) => write!(f, " FILTER {}", filter.shown(self.columns)),
                    None => Ok(()),
                }
            }
            MatchRead::Time { .. } => f.write_str("MATCH_ROWTIME()"),
        }
    }
}
