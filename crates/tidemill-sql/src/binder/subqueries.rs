//! Conditions of `WHERE`, and the sub-queries in them: `IN` and `EXISTS` become semi and anti joins, scalar ones joins.

use sqlparser::ast::{self, BinaryOperator, InTarget, Query, SetExpr, Spanned, UnaryOperator};

use super::expressions::Site;
use super::select::{refuse, scalars_placed};
use super::{Binder, Scope};
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending};
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::plan::{JoinKind, Rel, RelKind};

impl Binder<'_> {
    /// The rows of `rel` for which `condition` holds.
    pub(super) fn filtered(
        &mut self,
        rel: Rel,
        scope: Scope,
        condition: &ast::Expr,
    ) -> SqlResult<(Rel, Scope)> {
        let (rel, scope, outer) = self.filtered_within(rel, scope, condition, None)?;
        debug_assert!(outer.is_empty());
        Ok((rel, scope))
    }

    /// As [`filtered`](Self::filtered), in a sub-query: conditions over columns of `outer` are not applied but given back.
    fn filtered_within(
        &mut self,
        mut rel: Rel,
        mut scope: Scope,
        condition: &ast::Expr,
        outer: Option<&Scope>,
    ) -> SqlResult<(Rel, Scope, Vec<Expr>)> {
        let mut correlated = Vec::new();
        let mut plain = Vec::new();
        for part in conjuncts(condition) {
            if let Some(subquery) = SubqueryCondition::of(part) {
                rel = self.semi_join(rel, &scope, &subquery).map_err(|error| error.at(part.span()))?;
                continue;
            }
            let mut site = Site::plain(&scope, "WHERE").within(outer);
            let bound = self.condition(part, &mut site, "WHERE")?;
            let subqueries = site.subqueries;
            let bound = if subqueries.is_empty() {
                bound
            } else {
                let width = rel.schema().len();
                rel = self.join_scalars(rel, subqueries)?;
                let placed = scalars_placed(&bound, width, &rel);
                scope = scope.extended_hidden(&rel);
                placed
            };
            if bound.any(|expr| matches!(expr, Expr::Pending { what: Pending::Outer, .. })) {
                correlated.push(bound);
            } else {
                plain.push(bound);
            }
        }
        Ok((rel.filter(Expr::all(plain)), scope, correlated))
    }

    /// The rows of `rel` for which the sub-query has a row, or has none.
    fn semi_join(&mut self, rel: Rel, scope: &Scope, condition: &SubqueryCondition<'_>) -> SqlResult<Rel> {
        let kind = if condition.negated { JoinKind::Anti } else { JoinKind::Semi };
        let width = rel.schema().len();
        let (inner, correlated, list) = self.nested(|binder| binder.subquery(condition.query, scope))?;
        let onto = |expr: &Expr| {
            expr.replace(&mut |expr| match expr {
                Expr::Column { index, logical } => Some(Expr::column(width + index, logical.clone())),
                Expr::Pending { what: Pending::Outer, index, logical } => {
                    Some(Expr::column(*index, logical.clone()))
                }
                _ => None,
            })
        };
        let mut conditions: Vec<Expr> = correlated.iter().map(onto).collect();
        if let Some(values) = condition.value {
            let values: Vec<&ast::Expr> = match values {
                ast::Expr::Tuple(several) => several.iter().collect(),
                one => vec![one],
            };
            let listed = match list {
                List::Bound(exprs) => exprs,
                List::Columns => inner.all_columns(),
            };
            if values.len() != listed.len() {
                return Err(SqlError::types(format!(
                    "IN compares {} values with the {} columns of its sub-query",
                    values.len(),
                    listed.len()
                )));
            }
            for (value, listed) in values.into_iter().zip(&listed) {
                let mut site = Site::plain(scope, "WHERE");
                let value = self.expr(value, &mut site)?;
                if !site.subqueries.is_empty() {
                    return Err(SqlError::unsupported(
                        "a scalar sub-query cannot be the value of IN over another",
                    ));
                }
                let nullable = value.is_nullable() || listed.is_nullable();
                let equal = self.call("=", vec![value, onto(listed)])?;
                conditions.push(if condition.negated && nullable {
                    // `x NOT IN (…)` does not hold when it is not known whether x is among them.
                    Expr::IsTruth { input: Box::new(equal), truth: false, negated: true }
                } else {
                    equal
                });
            }
        }
        Ok(Rel::join(rel, inner, kind, Expr::all(conditions)))
    }

    /// Binds a sub-query of `IN` or `EXISTS`: what it reads, its conditions over `outer`, and its list.
    fn subquery(&mut self, query: &Query, outer: &Scope) -> SqlResult<(Rel, Vec<Expr>, List)> {
        let simple = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
        if simple
            && let SetExpr::Select(select) = &*query.body
            && select.having.is_none()
            && select.optimizer_hints.is_empty()
            && matches!(&select.group_by, ast::GroupByExpr::Expressions(keys, _) if keys.is_empty())
            && !select.projection.iter().any(has_aggregate)
        {
            refuse(select)?;
            let (rel, scope) = self.from(&select.from)?;
            let (rel, scope, correlated) = match &select.selection {
                Some(condition) => self.filtered_within(rel, scope, condition, Some(outer))?,
                None => (rel, scope, Vec::new()),
            };
            if !correlated.is_empty() {
                let mut list = Vec::with_capacity(select.projection.len());
                for item in &select.projection {
                    match item {
                        ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
                            let mut site = Site::plain(&scope, "a sub-query").within(Some(outer));
                            list.push(self.expr(expr, &mut site)?);
                        }
                        _ => list.extend(rel.all_columns()),
                    }
                }
                return Ok((rel, correlated, List::Bound(list)));
            }
            // Nothing is bound twice: sub-queries in sub-queries would double at every level.
            let (rel, _, _) = self.select_over(select, &[], rel, scope)?;
            return Ok((rel, correlated, List::Columns));
        }
        let rel = self.query(query).map_err(|error| {
            error.hint("a sub-query that refers to the query around it must be a plain SELECT … FROM … WHERE")
        })?;
        Ok((rel, Vec::new(), List::Columns))
    }

    /// A scalar sub-query.
    pub(super) fn scalar_subquery(&mut self, query: &Query, site: &mut Site<'_>) -> SqlResult<Expr> {
        let rel = self.query(query)?;
        let [column] = rel.schema().columns() else {
            return Err(SqlError::types(format!(
                "a sub-query that is a value has one column, not {}",
                rel.schema().len()
            )));
        };
        let logical = column.logical.clone().with_nullable(true);
        let single = if has_one_row(&rel) {
            rel
        } else {
            let call = AggregateCall {
                name: column.name.clone(),
                kind: AggregateKind::SingleValue,
                arguments: vec![0],
                types: vec![column.logical.clone()],
                distinct: false,
                filter: None,
                returns: logical.clone(),
            };
            rel.aggregate(Vec::new(), vec![call])
        };
        site.subqueries.push(single);
        let index = site.subqueries.len() - 1;
        Ok(Expr::Pending { what: Pending::Subquery, index, logical })
    }

    /// `rel` with the values of scalar sub-queries behind its columns.
    pub(super) fn join_scalars(&mut self, rel: Rel, subqueries: Vec<Rel>) -> SqlResult<Rel> {
        Ok(subqueries
            .into_iter()
            .fold(rel, |rel, one| Rel::join(rel, one, JoinKind::Left, Expr::boolean(true))))
    }
}

/// The list of a sub-query.
enum List {
    /// Expressions over what it reads.
    Bound(Vec<Expr>),
    /// All columns of its result.
    Columns,
}

/// `[value] [NOT] IN (query)` or `[NOT] EXISTS (query)`.
struct SubqueryCondition<'a> {
    value: Option<&'a ast::Expr>,
    query: &'a Query,
    negated: bool,
}

impl<'a> SubqueryCondition<'a> {
    fn of(condition: &'a ast::Expr) -> Option<Self> {
        match condition {
            ast::Expr::Nested(inner) => Self::of(inner),
            ast::Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                let inner = Self::of(expr)?;
                Some(Self { negated: !inner.negated, ..inner })
            }
            ast::Expr::Exists { subquery, negated } => {
                Some(Self { value: None, query: subquery, negated: *negated })
            }
            ast::Expr::In { expr, target: InTarget::Subquery(query), negated, .. } => {
                let value = match &**expr {
                    ast::Expr::Nested(inner) => inner,
                    other => other,
                };
                Some(Self { value: Some(value), query, negated: *negated })
            }
            _ => None,
        }
    }
}

/// The conditions of which all must hold.
fn conjuncts(condition: &ast::Expr) -> Vec<&ast::Expr> {
    let mut found = Vec::new();
    let mut waiting = vec![condition];
    while let Some(next) = waiting.pop() {
        match next {
            ast::Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                waiting.push(right);
                waiting.push(left);
            }
            ast::Expr::Nested(inner) => waiting.push(inner),
            other => found.push(other),
        }
    }
    found
}

fn has_aggregate(item: &ast::SelectItem) -> bool {
    match item {
        ast::SelectItem::UnnamedExpr(ast::Expr::Function(function))
        | ast::SelectItem::ExprWithAlias { expr: ast::Expr::Function(function), .. } => {
            crate::functions::registry::is_aggregate(&function.name.to_string().to_uppercase())
        }
        _ => false,
    }
}

/// Whether a plan gives one row whatever its input.
fn has_one_row(rel: &Rel) -> bool {
    match rel.kind() {
        RelKind::Aggregate { keys, .. } => keys.is_empty(),
        RelKind::Project { input, .. } => has_one_row(input),
        _ => false,
    }
}
