//! What expressions of `MATCH_RECOGNIZE` read of the rows of a match: columns of variables, `FIRST`, `LAST`, aggregates, the
//! time of the match.

use std::collections::BTreeSet;

use datafusion_common::ScalarValue;
use sqlparser::ast::{self, Spanned};

use super::calls::{argument_list, is_distinct, plain_argument};
use super::expressions::Site;
use super::{Binder, Scope};
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending};
use crate::functions::aggregate::AggregateKind;
use crate::functions::registry;
use crate::plan::{MatchAggregate, MatchExprs, MatchRead, RowPlace, Schema};
use crate::types::LogicalType;

/// The pattern that an expression stands in.
///
/// The scope of such an expression has the columns of the input once for all rows and once more for each variable.
#[derive(Clone, Debug)]
pub(super) struct PatternSite {
    /// How many columns the input has.
    width: usize,
    /// The variable that is being defined; none in `MEASURES`.
    defined: Option<usize>,
    /// The type of `MATCH_ROWTIME()`, when rows are in event time.
    rowtime: Option<LogicalType>,
    reads: Vec<MatchRead>,
    /// The function whose argument is being bound.
    inside: Option<String>,
}

/// The columns that expressions over a pattern of `variables` may name.
pub(super) fn pattern_scope(input: &Schema, variables: &[&str]) -> Scope {
    let width = input.len();
    let columns = || {
        input.columns().iter().cloned().map(|mut column| {
            // A variable may have no row.
            column.logical.nullable = true;
            column
        })
    };
    let all = Schema::new(columns().collect());
    let mut scope = Scope::of_schema(&all, None);
    for variable in variables {
        scope = scope.beside(Scope::of_schema(&all, Some(variable)));
    }
    (width..scope.len()).for_each(|index| scope.hide(index));
    scope
}

impl PatternSite {
    pub(super) fn new(width: usize, defined: Option<usize>, rowtime: Option<LogicalType>) -> Self {
        Self { width, defined, rowtime, reads: Vec::new(), inside: None }
    }

    /// The variable and the column of the input that a column of the scope is.
    fn column(&self, index: usize) -> (Option<usize>, usize) {
        ((index / self.width.max(1)).checked_sub(1), index % self.width.max(1))
    }

    /// What stands for `read` until the expression is whole.
    fn read(&mut self, read: MatchRead) -> Expr {
        let logical = read.logical();
        Expr::Pending { what: Pending::Match, index: self.place(read), logical }
    }

    fn place(&mut self, read: MatchRead) -> usize {
        self.reads.iter().position(|known| *known == read).unwrap_or_else(|| {
            self.reads.push(read);
            self.reads.len() - 1
        })
    }

    /// `expr` with each column that it names read from the row at `place` of its variable.
    fn rows(&mut self, expr: &Expr, place: RowPlace) -> Expr {
        expr.replace(&mut |expr| match expr {
            Expr::Column { index, logical } => {
                let (variable, column) = self.column(*index);
                Some(self.read(MatchRead::Row { variable, place, column, logical: logical.clone() }))
            }
            _ => None,
        })
    }

    /// The expressions over what they read.
    pub(super) fn finish(mut self, exprs: Vec<Expr>) -> MatchExprs {
        let exprs: Vec<Expr> = exprs.iter().map(|expr| self.rows(expr, RowPlace::Last(0))).collect();
        let read = |expr: &Expr| match expr {
            Expr::Pending { what: Pending::Match, index, logical } => {
                Some(Expr::column(*index, logical.clone()))
            }
            _ => None,
        };
        let exprs = exprs.iter().map(|expr| expr.replace(&mut { read })).collect();
        MatchExprs { exprs, reads: self.reads }
    }
}

impl Binder<'_> {
    /// A function that only stands in `MATCH_RECOGNIZE`, or means something else there.
    pub(super) fn pattern_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<Option<Expr>> {
        let is_navigation = matches!(name, "FIRST" | "LAST" | "PREV" | "NEXT");
        if !is_navigation && !registry::is_aggregate(name) {
            return self.match_call(name, function, site);
        }
        let Some(pattern) = &mut site.pattern else { return Ok(None) };
        if let Some(outer) = &pattern.inside {
            return Err(SqlError::semantic(format!("{name} cannot stand in the argument of {outer}")));
        }
        pattern.inside = Some(name.to_owned());
        let bound = if is_navigation {
            self.navigation(name, function, site)
        } else {
            self.match_aggregate(name, function, site)
        };
        if let Some(pattern) = &mut site.pattern {
            pattern.inside = None;
        }
        bound.map(Some)
    }

    fn match_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<Option<Expr>> {
        let Some(pattern) = &mut site.pattern else { return Ok(None) };
        let list = argument_list(function)?;
        let args = list.map(|list| list.args.as_slice()).unwrap_or_default();
        match name {
            "MATCH_ROWTIME" => {
                let Some(logical) = pattern.rowtime.clone() else {
                    return Err(SqlError::semantic("MATCH_ROWTIME needs rows in the order of event time")
                        .hint("in processing time there is MATCH_PROCTIME()"));
                };
                match args {
                    [] => {}
                    [one] => {
                        let mut named = Site::plain(site.scope, "the argument of MATCH_ROWTIME");
                        named.pattern.clone_from(&site.pattern);
                        let bound = self.expr(plain_argument(one, name)?, &mut named)?;
                        let column = bound.as_column().and_then(|index| site.scope.columns().get(index));
                        if column.and_then(|column| column.time).is_none() {
                            return Err(SqlError::semantic("MATCH_ROWTIME takes a time attribute"));
                        }
                    }
                    _ => return Err(SqlError::semantic("MATCH_ROWTIME has at most one argument")),
                }
                let Some(pattern) = &mut site.pattern else { return Ok(None) };
                Ok(Some(pattern.read(MatchRead::Time { logical })))
            }
            "MATCH_PROCTIME" => {
                if !args.is_empty() {
                    return Err(SqlError::semantic("MATCH_PROCTIME has no arguments"));
                }
                self.call("PROCTIME", Vec::new()).map(Some)
            }
            "CLASSIFIER" | "MATCH_NUMBER" => {
                Err(SqlError::unsupported(format!("there is no {name} in MATCH_RECOGNIZE, as in Flink")))
            }
            _ => Ok(None),
        }
    }

    /// `FIRST`, `LAST`, `PREV` or `NEXT` of an expression over one variable.
    fn navigation(&mut self, name: &str, function: &ast::Function, site: &mut Site<'_>) -> SqlResult<Expr> {
        let list = argument_list(function)?;
        let args = list.map(|list| list.args.as_slice()).unwrap_or_default();
        let is_physical = matches!(name, "PREV" | "NEXT");
        let (value, rows) = match args {
            [value] => (value, u32::from(is_physical)),
            [value, rows] => {
                let ast = plain_argument(rows, name)?;
                let bound = self.expr(ast, site)?;
                let rows = match bound.literal() {
                    Some(ScalarValue::Int32(Some(rows))) => u32::try_from(*rows).ok(),
                    _ => None,
                };
                let rows = rows.ok_or_else(|| {
                    SqlError::semantic(format!("{name}: the number of rows is a literal from 0"))
                        .at(ast.span())
                })?;
                (value, rows)
            }
            _ => return Err(SqlError::semantic(format!("{name} takes a value and a number of rows"))),
        };
        let bound = self.expr(plain_argument(value, name)?, site)?;
        let Some(pattern) = &mut site.pattern else { return Err(SqlError::internal("a pattern went away")) };
        let variable = one_variable(name, pattern, [&bound])?;
        let is_defined = pattern.defined.is_some() && (variable.is_none() || variable == pattern.defined);
        if is_physical && pattern.defined.is_none() {
            return Err(SqlError::semantic(format!("{name} cannot stand in MEASURES")).hint("use LAST"));
        }
        // The row before in a variable that is behind us is the last but one of it.
        if is_physical && rows > 0 && (is_defined || name == "NEXT") {
            return Err(SqlError::unsupported(format!(
                "{name} is not supported: a match has no rows before its first one, as in Flink"
            ))
            .hint("LAST(variable.column, 1) is the row before in the same variable"));
        }
        let place = if name == "FIRST" { RowPlace::First(rows) } else { RowPlace::Last(rows) };
        Ok(pattern.rows(&bound, place))
    }

    /// An aggregate of the rows of one variable, or of all.
    fn match_aggregate(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let list = argument_list(function)?;
        if is_distinct(list) {
            return Err(SqlError::unsupported(format!(
                "{name}(DISTINCT …) cannot stand in MATCH_RECOGNIZE, as in Flink"
            )));
        }
        let bound = self.bind_aggregate(name, function, site)?;
        if matches!(
            bound.kind,
            AggregateKind::Collect
                | AggregateKind::ArrayAgg { .. }
                | AggregateKind::JsonArrayAgg { .. }
                | AggregateKind::JsonObjectAgg { .. }
                | AggregateKind::SingleValue
        ) {
            return Err(SqlError::unsupported(format!("{name} cannot stand in MATCH_RECOGNIZE yet")));
        }
        let Some(pattern) = &mut site.pattern else { return Err(SqlError::internal("a pattern went away")) };
        let variable = one_variable(name, pattern, bound.arguments.iter().chain(&bound.filter))?;
        let plain = |expr: &Expr| expr.map_columns(&|index| pattern.column(index).1);
        let aggregate = MatchAggregate {
            kind: bound.kind,
            arguments: bound.arguments.iter().map(plain).collect(),
            filter: bound.filter.as_ref().map(plain),
            returns: bound.returns,
        };
        Ok(pattern.read(MatchRead::Aggregate { variable, aggregate }))
    }
}

/// The variable that all columns of `exprs` are of; nothing when they are of all rows, or when there are none.
fn one_variable<'e>(
    name: &str,
    pattern: &PatternSite,
    exprs: impl IntoIterator<Item = &'e Expr>,
) -> SqlResult<Option<usize>> {
    let mut columns = BTreeSet::new();
    exprs.into_iter().for_each(|expr| expr.columns(&mut columns));
    let variables: BTreeSet<Option<usize>> = columns.iter().map(|column| pattern.column(*column).0).collect();
    if variables.len() > 1 {
        return Err(SqlError::semantic(format!("the argument of {name} is over more than one variable")));
    }
    Ok(variables.first().copied().flatten())
}
