//! Calls of aggregate functions, and the grouping of a query.

use datafusion_common::ScalarValue;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr};

use super::Binder;
use super::aggregate_arguments::{ignores_nulls, json_on_null};
use super::calls::{argument_list, is_distinct, plain_argument};
use super::expressions::Site;
use super::own_calls::mismatched;
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending};
use crate::functions::aggregate::{AggregateCall, AggregateKind, resolve};
use crate::plan::{Column, Rel, RelKind, Schema};
use crate::types::{LogicalType, TypeRoot};

/// A call of an aggregate function over the input of the grouping.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoundAggregate {
    pub(super) kind: AggregateKind,
    pub(super) arguments: Vec<Expr>,
    pub(super) distinct: bool,
    pub(super) filter: Option<Expr>,
    pub(super) returns: LogicalType,
}

impl Binder<'_> {
    pub(super) fn aggregate_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        if let Err(what) = site.aggregates {
            return Err(SqlError::semantic(format!("the aggregate function {name} cannot stand in {what}")));
        }
        let bound = self.bind_aggregate(name, function, site)?;
        let logical = bound.returns.clone();
        let Ok(all) = &mut site.aggregates else { return Err(SqlError::internal("aggregates went away")) };
        let index = all.iter().position(|known| *known == bound).unwrap_or_else(|| {
            all.push(bound);
            all.len() - 1
        });
        Ok(Expr::Pending { what: Pending::Aggregate, index, logical })
    }

    /// Binds a call over the columns of `site`; within it no other aggregate may stand.
    pub(super) fn bind_aggregate(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<BoundAggregate> {
        let list = argument_list(function)?;
        let args = list.map(|list| list.args.as_slice()).unwrap_or_default();
        let aggregates = std::mem::replace(&mut site.aggregates, Err("the argument of another one"));
        let overs = std::mem::replace(&mut site.overs, Err("the argument of an aggregate function"));
        let bound = self.bind_aggregate_inner(name, function, args, site);
        site.aggregates = aggregates;
        site.overs = overs;
        let mut bound = bound?;
        // Duplicates change neither the least nor the greatest value.
        bound.distinct = is_distinct(list)
            && !matches!(bound.kind, AggregateKind::Min | AggregateKind::Max | AggregateKind::SingleValue);
        if bound.distinct && matches!(bound.kind, AggregateKind::JsonObjectAgg { .. }) {
            return Err(SqlError::semantic(format!("{name} has no DISTINCT")));
        }
        Ok(bound)
    }

    fn bind_aggregate_inner(
        &mut self,
        name: &str,
        function: &ast::Function,
        args: &[FunctionArg],
        site: &mut Site<'_>,
    ) -> SqlResult<BoundAggregate> {
        let mut arguments = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "COUNT" => {}
                other => arguments.push(self.expr(plain_argument(other, name)?, site)?),
            }
        }
        let filter = function
            .filter
            .as_ref()
            .map(|filter| self.condition(filter, site, "FILTER"))
            .transpose()?
            .filter(|filter| !filter.is_true());
        if let Some(function) = self.catalogs.functions.find_aggregate(name) {
            return self.own_aggregate(function, arguments, filter);
        }
        let on_null = json_on_null(name, &mut arguments);
        let types: Vec<LogicalType> = arguments.iter().map(Expr::logical).collect();
        let (mut kind, returns) = resolve(name, &types, site.grouped, filter.is_some())
            .map_err(|mismatch| mismatched(name, &types, &mismatch))?;
        match &mut kind {
            AggregateKind::Count => {
                if let [one] = &arguments[..]
                    && !one.is_nullable()
                    && !is_distinct(argument_list(function)?)
                {
                    // What is never NULL need not be looked at.
                    arguments.clear();
                }
            }
            AggregateKind::ArrayAgg { ignore_nulls } => *ignore_nulls = ignores_nulls(function)?,
            AggregateKind::JsonArrayAgg { with_null } => {
                *with_null = on_null.unwrap_or(false);
                self.as_json(&mut arguments)?;
            }
            AggregateKind::JsonObjectAgg { with_null } => {
                *with_null = on_null.unwrap_or(true);
                self.as_json(&mut arguments)?;
                if let Some(key) = arguments.first_mut() {
                    *key = self.implicit_cast(key.clone(), &TypeRoot::STRING.nullable())?;
                }
            }
            AggregateKind::Percentile { at, .. } => *at = self.percentile(&mut arguments)?,
            AggregateKind::ListAgg { separator } if arguments.len() > 1 => {
                match arguments.pop().as_ref().and_then(Expr::literal) {
                    Some(ScalarValue::Utf8(Some(text))) => separator.clone_from(text),
                    _ => return Err(SqlError::types("LISTAGG: the separator must be a literal string")),
                }
            }
            _ => {}
        }
        Ok(BoundAggregate { kind, arguments, distinct: false, filter, returns })
    }

    /// Groups `rel` by `keys`, in all of `sets` if there are any, and computes `aggregates`. The result has the columns of the
    /// keys, then those of the aggregates, then with sets the number of the set.
    pub(super) fn group(
        &mut self,
        rel: Rel,
        keys: &[Expr],
        sets: Option<&[Vec<usize>]>,
        aggregates: &[BoundAggregate],
    ) -> SqlResult<Rel> {
        let mut exprs: Vec<Expr> = keys.to_vec();
        let mut names: Vec<String> = keys.iter().enumerate().map(|(i, key)| name_of(&rel, key, i)).collect();
        let mut place = |expr: &Expr, exprs: &mut Vec<Expr>| {
            // Keys lose columns in grouping sets, arguments do not.
            let from = if sets.is_some() { keys.len() } else { 0 };
            if let Some(found) = exprs.iter().skip(from).position(|known| known == expr) {
                return found + from;
            }
            names.push(name_of(&rel, expr, exprs.len()));
            exprs.push(expr.clone());
            exprs.len() - 1
        };
        let mut calls = Vec::with_capacity(aggregates.len());
        for (index, aggregate) in aggregates.iter().enumerate() {
            let arguments = aggregate.arguments.iter().map(|argument| place(argument, &mut exprs)).collect();
            let filter = aggregate.filter.as_ref().map(|filter| place(filter, &mut exprs));
            calls.push(AggregateCall {
                name: format!("EXPR${index}"),
                kind: aggregate.kind.clone(),
                arguments,
                types: aggregate.arguments.iter().map(Expr::logical).collect(),
                distinct: aggregate.distinct,
                filter,
                returns: aggregate.returns.clone(),
            });
        }
        let projected = project_unless_same(rel, exprs, names);
        let Some(sets) = sets else {
            return Ok(projected.aggregate((0..keys.len()).collect(), calls));
        };
        let width = projected.schema().len();
        let mut columns: Vec<Column> = projected.schema().columns().to_vec();
        for column in columns.iter_mut().take(keys.len()) {
            column.logical.nullable = true;
            column.time = None;
        }
        columns.push(Column::new("$e", TypeRoot::BigInt.not_null()));
        let kind = RelKind::Expand { input: projected, keys: keys.len(), sets: sets.to_vec() };
        let expanded = Rel::new(Schema::new(columns), kind);
        let grouping: Vec<usize> = (0..keys.len()).chain([width]).collect();
        let grouped = expanded.aggregate(grouping, calls);
        // The number of the set goes behind the aggregates.
        let mut exprs = grouped.all_columns();
        let mut names: Vec<String> = grouped.schema().names().into_iter().map(str::to_owned).collect();
        let (set, set_name) = (exprs.remove(keys.len()), names.remove(keys.len()));
        exprs.push(set);
        names.push(set_name);
        Ok(grouped.project(exprs, names))
    }
}

/// A name for a column of values of `expr` over `rel`.
pub(super) fn name_of(rel: &Rel, expr: &Expr, index: usize) -> String {
    match expr {
        Expr::Column { index, .. } => {
            rel.schema().column(*index).map_or_else(|| format!("$f{index}"), |column| column.name.clone())
        }
        Expr::Field { name, .. } => name.to_string(),
        _ => format!("$f{index}"),
    }
}

/// `exprs` over `rel`; `rel` itself when they are its columns.
pub(super) fn project_unless_same(rel: Rel, exprs: Vec<Expr>, names: Vec<String>) -> Rel {
    let same = exprs.len() == rel.schema().len()
        && exprs.iter().enumerate().all(|(index, expr)| expr.as_column() == Some(index));
    if same { rel } else { rel.project(exprs, names) }
}
