//! Sub-queries that are conditions or values. As conditions of `WHERE` that must hold, `IN` and `EXISTS` become semi and anti
//! joins. Everywhere else a sub-query is a value, which a join puts beside each row.

use sqlparser::ast::{self, BinaryOperator, InTarget, Query, Spanned, UnaryOperator};

use super::correlated::{PullUp, PulledUp, Subquery};
use super::expressions::{Site, negate};
use super::{Around, Binder, Scope};
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending, literal};
use crate::functions::aggregate::{AggregateCall, AggregateKind, resolve};
use crate::plan::{JoinKind, Rel, RelKind};
use crate::types::{LogicalType, TypeRoot};

/// A sub-query whose values an expression reads, before they are beside the rows.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    /// As it is written, and what is made of it, so that the same is computed once.
    written: Query,
    what: What,
    subquery: Subquery,
    /// The [`Pending::Subquery`] that is its first value; the next ones follow.
    first: usize,
}

/// What an expression reads of a sub-query.
#[derive(Clone, Debug, PartialEq)]
enum What {
    /// The values of its only row.
    Row,
    /// Whether it has a row that equals these values.
    Match(Vec<Expr>),
    /// Whether it has a row of which it is not known whether it equals these values.
    Unknown(Vec<Expr>),
    /// How many rows it has, in how many its value is not NULL, and its least and greatest value.
    Summary,
}

impl Attached {
    /// The same with other expressions over the query around.
    pub(super) fn map(&self, f: &mut impl FnMut(&Expr) -> SqlResult<Expr>) -> SqlResult<Self> {
        let mut mapped = self.clone();
        for expr in &mut mapped.subquery.outer {
            *expr = f(expr)?;
        }
        Ok(mapped)
    }

    /// What it reads of the query around.
    pub(super) fn outer(&self) -> &[Expr] {
        &self.subquery.outer
    }

    fn width(&self) -> usize {
        match self.what {
            What::Match(_) | What::Unknown(_) => 1,
            What::Row | What::Summary => self.subquery.rel.schema().len(),
        }
    }

    fn value(&self, index: usize, logical: LogicalType) -> Expr {
        Expr::Pending { what: Pending::Subquery, index: self.first + index, logical }
    }
}

impl Binder<'_> {
    /// The rows of `rel` for which `condition` holds.
    pub(super) fn filtered(
        &mut self,
        mut rel: Rel,
        mut scope: Scope,
        condition: &ast::Expr,
    ) -> SqlResult<(Rel, Scope)> {
        let mut conditions = Vec::new();
        for part in conjuncts(condition) {
            if let Some(subquery) = SubqueryCondition::of(part) {
                rel = self.semi_join(rel, &scope, &subquery).map_err(|error| error.at(part.span()))?;
                continue;
            }
            let mut site = Site::plain(&scope, "WHERE");
            site.unknown_is_false = true;
            let bound = self.condition(part, &mut site, "WHERE")?;
            let attached = site.subqueries;
            if attached.is_empty() {
                conditions.push(bound);
            } else {
                let (joined, values) = self.attach(rel, &attached)?;
                rel = joined;
                scope = scope.extended_hidden(&rel);
                conditions.push(placed(&bound, &values));
            }
        }
        Ok((rel.filter(Expr::all(conditions)), scope))
    }

    /// The rows of `rel` for which the sub-query has a row, or has none.
    fn semi_join(&mut self, rel: Rel, scope: &Scope, condition: &SubqueryCondition<'_>) -> SqlResult<Rel> {
        let kind = if condition.negated { JoinKind::Anti } else { JoinKind::Semi };
        let mut subquery = self.subquery(condition.query, scope)?;
        let mut rel = rel;
        let visible = rel.schema().len();
        if let Some(value) = condition.value {
            let mut site = Site::plain(scope, "WHERE");
            let values = self.tuple(value, &mut site)?;
            let attached = std::mem::take(&mut site.subqueries);
            let (joined, of_attached) = self.attach(rel, &attached)?;
            rel = joined;
            let values = values.iter().map(|value| placed(value, &of_attached)).collect();
            subquery = self.compared(subquery, values, |equal| {
                if condition.negated && equal.is_nullable() {
                    // `x NOT IN (…)` does not hold when it is not known whether x is among them.
                    Expr::IsTruth { input: Box::new(equal), truth: false, negated: true }
                } else {
                    equal
                }
            })?;
        }
        let (pulled, outer) = self.pulled_up(&rel, subquery)?;
        if pulled.one_row {
            // It has a row whatever the query around has.
            return Ok(if condition.negated { rel.filter(Expr::boolean(false)) } else { rel });
        }
        let width = rel.schema().len();
        let conditions = pulled.predicates.iter().map(|expr| onto_left(expr, width, &outer, false)).collect();
        let joined = Rel::join(rel, pulled.rel, kind, Expr::all(conditions));
        if joined.schema().len() == visible {
            return Ok(joined);
        }
        let exprs = joined.all_columns().into_iter().take(visible).collect();
        let names = joined.schema().names().into_iter().take(visible).map(str::to_owned).collect();
        Ok(joined.project(exprs, names))
    }

    /// Binds a sub-query, whose names may be those of `scope`.
    pub(super) fn subquery(&mut self, query: &Query, scope: &Scope) -> SqlResult<Subquery> {
        self.around.push(Around { scope: scope.clone(), read: Vec::new() });
        let bound = self.query(query);
        let read = self.around.pop().map(|around| around.read).unwrap_or_default();
        Ok(Subquery { rel: bound?, outer: read })
    }

    /// The rows of a sub-query whose columns compare with `values` of the query around; `f` says what of the comparison.
    fn compared(
        &mut self,
        subquery: Subquery,
        values: Vec<Expr>,
        f: impl Fn(Expr) -> Expr,
    ) -> SqlResult<Subquery> {
        let columns = subquery.rel.all_columns();
        if values.len() != columns.len() {
            return Err(SqlError::types(format!(
                "IN compares {} values with the {} columns of its sub-query",
                values.len(),
                columns.len()
            )));
        }
        let mut outer = subquery.outer;
        let mut conditions = Vec::with_capacity(values.len());
        for (value, column) in values.into_iter().zip(columns) {
            let logical = value.logical();
            let value = if value.literal().is_some() {
                value
            } else {
                outer.push(value);
                Expr::Pending { what: Pending::Outer, index: outer.len() - 1, logical }
            };
            let equal = self.call("=", vec![value, column])?;
            conditions.push(f(equal));
        }
        Ok(Subquery { rel: subquery.rel.filter(Expr::all(conditions)), outer })
    }

    /// A sub-query, without what it has of the query around, which is `rel`; and what that is.
    fn pulled_up(&mut self, rel: &Rel, subquery: Subquery) -> SqlResult<(PulledUp, Vec<Expr>)> {
        let Subquery { rel: inner, outer } = subquery;
        let around = rel.clone();
        let mut pull = PullUp { binder: self, around, outer, has_rows_of_nothing: true, domain: None };
        let pulled = pull.pull(&inner)?;
        Ok((pulled, pull.outer))
    }

    /// As [`pulled_up`](Self::pulled_up), of a query in `FROM`. With `as_columns` it gives columns, which are NULL where a
    /// join has no match.
    pub(super) fn pulled_up_lateral(
        &mut self,
        rel: &Rel,
        subquery: Subquery,
        as_columns: bool,
    ) -> SqlResult<(PulledUp, Vec<Expr>)> {
        let Subquery { rel: inner, outer } = subquery;
        let around = rel.clone();
        let mut pull = PullUp { binder: self, around, outer, has_rows_of_nothing: false, domain: None };
        let mut pulled = pull.pull(&inner)?;
        if as_columns {
            pulled = pull.with_columns(pulled)?;
        }
        Ok((pulled, pull.outer))
    }

    /// The values of `value IN (…)`: several when it is a row.
    fn tuple(&mut self, value: &ast::Expr, site: &mut Site<'_>) -> SqlResult<Vec<Expr>> {
        match value {
            ast::Expr::Tuple(several) => several.iter().map(|one| self.expr(one, site)).collect(),
            one => Ok(vec![self.expr(one, site)?]),
        }
    }

    /// A scalar sub-query.
    pub(super) fn scalar_subquery(&mut self, query: &Query, site: &mut Site<'_>) -> SqlResult<Expr> {
        let Subquery { rel, outer } = self.subquery(query, site.scope)?;
        let [column] = rel.schema().columns() else {
            return Err(SqlError::types(format!(
                "a sub-query that is a value has one column, not {}",
                rel.schema().len()
            )));
        };
        let logical = column.logical.clone().with_nullable(true);
        let rel = if has_one_row(&rel) {
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
        let attached = attachment(site, query, What::Row, Subquery { rel, outer });
        Ok(attached.value(0, logical))
    }

    /// `EXISTS (query)` as a value.
    pub(super) fn exists(&mut self, query: &Query, negated: bool, site: &mut Site<'_>) -> SqlResult<Expr> {
        let subquery = self.subquery(query, site.scope)?;
        let found = attachment(site, query, What::Match(Vec::new()), subquery);
        let exists = found.value(0, TypeRoot::Boolean.not_null());
        Ok(if negated { negate(exists) } else { exists })
    }

    /// `value IN (query)` as a value. It is NULL when nothing is equal, but something might be were it not NULL.
    pub(super) fn in_subquery(
        &mut self,
        value: &ast::Expr,
        query: &Query,
        negated: bool,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let unknown_is_false = site.unknown_is_false && !negated;
        let value = match value {
            ast::Expr::Nested(inner) => inner,
            other => other,
        };
        let values = self.tuple(value, site)?;
        if values.iter().any(|value| value.any(is_value)) {
            return Err(SqlError::unsupported("a sub-query cannot be the value of IN over another")
                .hint("compute it in a query in FROM"));
        }
        let subquery = self.subquery(query, site.scope)?;
        let nullable = values.iter().any(Expr::is_nullable)
            || subquery.rel.schema().columns().iter().any(|column| column.logical.nullable);
        let equal = self.compared(subquery.clone(), values.clone(), |equal| equal)?;
        let found = attachment(site, query, What::Match(values.clone()), equal);
        let found = found.value(0, TypeRoot::Boolean.not_null());
        let found = if unknown_is_false || !nullable {
            found
        } else {
            let unknown = self.perhaps_equal(&subquery, query, &values, site)?;
            let unknown_value = self.implicit_cast(literal::null(), &TypeRoot::Boolean.nullable())?;
            Expr::Case {
                branches: vec![(found, Expr::boolean(true)), (unknown, unknown_value)],
                otherwise: Box::new(Expr::boolean(false)),
                logical: TypeRoot::Boolean.nullable(),
            }
        };
        Ok(if negated { negate(found) } else { found })
    }

    /// Whether it is not known of some row of a sub-query whether it is equal to `values`.
    fn perhaps_equal(
        &mut self,
        subquery: &Subquery,
        query: &Query,
        values: &[Expr],
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        if let [value] = values {
            let summary = self.summary(subquery, query, site)?;
            let [rows, known, ..] = &summary[..] else {
                return Err(SqlError::internal("a summary has counts"));
            };
            let is_null = Expr::IsNull { input: Box::new(value.clone()), negated: false };
            let some = self.call(">", vec![rows.clone(), Expr::bigint(0)])?;
            let has_null = self.call("<", vec![known.clone(), rows.clone()])?;
            return Ok(Expr::Or(vec![Expr::And(vec![is_null, some]), has_null]));
        }
        // Of several values, those that are known may differ already.
        let mut outer = subquery.outer.clone();
        let mut conditions = Vec::with_capacity(values.len());
        for (value, column) in values.iter().zip(subquery.rel.all_columns()) {
            let logical = value.logical();
            outer.push(value.clone());
            let value = Expr::Pending { what: Pending::Outer, index: outer.len() - 1, logical };
            conditions.push(self.call("=", vec![value, column])?);
        }
        let unknown = Expr::IsNull { input: Box::new(Expr::all(conditions)), negated: false };
        let rel = subquery.rel.clone().filter(unknown);
        let found = attachment(site, query, What::Unknown(values.to_vec()), Subquery { rel, outer });
        Ok(found.value(0, TypeRoot::Boolean.not_null()))
    }

    /// `value operator ANY (query)`, or `ALL`.
    pub(super) fn quantified(
        &mut self,
        left: &ast::Expr,
        operator: &BinaryOperator,
        right: &ast::Expr,
        all: bool,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let mut right = right;
        while let ast::Expr::Nested(inner) = right {
            right = inner;
        }
        let ast::Expr::Subquery(query) = right else {
            return Err(SqlError::unsupported("ANY, SOME and ALL stand before a query in parentheses")
                .hint("of values in a list use IN, of an array ARRAY_CONTAINS"));
        };
        // ALL holds unless the contrary does for some row.
        let (some, negated) = match (operator, all) {
            (BinaryOperator::Eq, false) => return self.in_subquery(left, query, false, site),
            (BinaryOperator::NotEq, true) => return self.in_subquery(left, query, true, site),
            (BinaryOperator::NotEq, false) | (BinaryOperator::Eq, true) => ("<>", all),
            (BinaryOperator::Lt, false) | (BinaryOperator::GtEq, true) => ("<", all),
            (BinaryOperator::LtEq, false) | (BinaryOperator::Gt, true) => ("<=", all),
            (BinaryOperator::Gt, false) | (BinaryOperator::LtEq, true) => (">", all),
            (BinaryOperator::GtEq, false) | (BinaryOperator::Lt, true) => (">=", all),
            (other, _) => {
                return Err(SqlError::syntax(format!("'{other}' does not compare"))
                    .hint("before ANY, SOME and ALL stands one of = <> < <= > >="));
            }
        };
        let unknown_is_false = site.unknown_is_false && !all;
        site.unknown_is_false = false;
        let value = self.expr(left, site)?;
        let subquery = self.subquery(query, site.scope)?;
        if subquery.rel.schema().len() != 1 {
            return Err(SqlError::types(format!(
                "ANY, SOME and ALL compare with one column, not {}",
                subquery.rel.schema().len()
            )));
        }
        let summary = self.summary(&subquery, query, site)?;
        let [rows, known, least, greatest] = &summary[..] else {
            return Err(SqlError::internal("a summary has an order"));
        };
        let mut compare = |to: &Expr| self.call(some, vec![value.clone(), to.clone()]);
        let holds = match some {
            "<>" => Expr::Or(vec![compare(least)?, compare(greatest)?]),
            ">" | ">=" => compare(least)?,
            _ => compare(greatest)?,
        };
        let found = if unknown_is_false {
            holds
        } else {
            let none = self.call("=", vec![rows.clone(), Expr::bigint(0)])?;
            let has_null = self.call("<", vec![known.clone(), rows.clone()])?;
            let is_null = Expr::IsNull { input: Box::new(value), negated: false };
            let unknown = self.implicit_cast(literal::null(), &TypeRoot::Boolean.nullable())?;
            Expr::Case {
                branches: vec![
                    (none, Expr::boolean(false)),
                    (holds, Expr::boolean(true)),
                    (Expr::Or(vec![is_null, has_null]), unknown),
                ],
                otherwise: Box::new(Expr::boolean(false)),
                logical: TypeRoot::Boolean.nullable(),
            }
        };
        Ok(if negated { negate(found) } else { found })
    }

    /// The number of rows and of values of a sub-query of one column, and, where they have an order, the least and the greatest.
    fn summary(&mut self, subquery: &Subquery, query: &Query, site: &mut Site<'_>) -> SqlResult<Vec<Expr>> {
        let value = subquery.rel.schema().logical(0);
        let mut calls = Vec::new();
        for (name, arguments) in [("COUNT", vec![]), ("COUNT", vec![0]), ("MIN", vec![0]), ("MAX", vec![0])] {
            let types: Vec<LogicalType> = arguments.iter().map(|_| value.clone()).collect();
            let Ok((kind, returns)) = resolve(name, &types, false, false) else { continue };
            let (name, distinct, filter) = (name.to_lowercase(), false, None);
            calls.push(AggregateCall { name, kind, arguments, types, distinct, filter, returns });
        }
        let types: Vec<LogicalType> = calls.iter().map(|call| call.returns.clone()).collect();
        let rel = subquery.rel.clone().aggregate(Vec::new(), calls);
        let subquery = Subquery { rel, outer: subquery.outer.clone() };
        let attached = attachment(site, query, What::Summary, subquery);
        Ok(types.into_iter().enumerate().map(|(index, logical)| attached.value(index, logical)).collect())
    }

    /// `rel` with the values of sub-queries behind its columns, and the expression for each of them.
    pub(super) fn attach(&mut self, rel: Rel, attached: &[Attached]) -> SqlResult<(Rel, Values)> {
        let mut values = Values::new();
        let around = rel;
        let mut rel = around.clone();
        for one in attached {
            let width = rel.schema().len();
            let found;
            (rel, found) = match &one.what {
                What::Match(_) | What::Unknown(_) => self.attach_match(&around, rel, one.subquery.clone())?,
                What::Row | What::Summary => {
                    let (pulled, outer) = self.pulled_up(&around, one.subquery.clone())?;
                    let conditions =
                        pulled.predicates.iter().map(|expr| onto_left(expr, width, &outer, false)).collect();
                    let outputs = pulled.outputs.iter().map(|expr| onto_left(expr, width, &outer, true));
                    let outputs = outputs.collect();
                    (Rel::join(rel, pulled.rel, JoinKind::Left, Expr::all(conditions)), outputs)
                }
            };
            values.extend(found.into_iter().enumerate().map(|(index, expr)| (one.first + index, expr)));
        }
        Ok((rel, values))
    }

    /// `rel` with whether a sub-query has a row for each of its rows.
    fn attach_match(&mut self, around: &Rel, rel: Rel, subquery: Subquery) -> SqlResult<(Rel, Vec<Expr>)> {
        let width = rel.schema().len();
        let mark = |rel: Rel| rel.project(vec![Expr::boolean(true)], vec!["$found".to_owned()]);
        let distinct = mark(subquery.rel).aggregate(vec![0], Vec::new());
        let (pulled, outer) = self.pulled_up(around, Subquery { rel: distinct, outer: subquery.outer })?;
        let conditions: Vec<Expr> =
            pulled.predicates.iter().map(|expr| onto_left(expr, width, &outer, false)).collect();
        let Some(found) = pulled.outputs.first() else {
            return Err(SqlError::internal("a sub-query is marked"));
        };
        let found = onto_left(found, width, &outer, true);
        let joined = Rel::join(rel, pulled.rel, JoinKind::Left, Expr::all(conditions));
        Ok((joined, vec![Expr::IsNull { input: Box::new(found), negated: true }]))
    }
}

/// The expression for each [`Pending::Subquery`].
pub(super) type Values = std::collections::HashMap<usize, Expr>;

/// `expr` with the values of sub-queries in their places.
pub(super) fn placed(expr: &Expr, values: &Values) -> Expr {
    expr.replace(&mut |expr| match expr {
        Expr::Pending { what: Pending::Subquery, index, .. } => values.get(index).cloned(),
        _ => None,
    })
}

/// Those of `attached` whose values are read in `exprs`.
pub(super) fn read_in<'e>(attached: &[Attached], exprs: impl Iterator<Item = &'e Expr>) -> Vec<Attached> {
    let mut read = std::collections::HashSet::new();
    for expr in exprs {
        expr.visit(&mut |expr| {
            if let Expr::Pending { what: Pending::Subquery, index, .. } = expr {
                read.insert(*index);
            }
            true
        });
    }
    let is_read = |one: &&Attached| (one.first..one.first + one.width()).any(|index| read.contains(&index));
    attached.iter().filter(is_read).cloned().collect()
}

/// `expr` of a sub-query whose columns stand behind the `width` ones of the query around, of which it reads `outer`.
pub(super) fn onto_left(expr: &Expr, width: usize, outer: &[Expr], nullable: bool) -> Expr {
    expr.replace(&mut |expr| match expr {
        Expr::Column { index, logical } => {
            let nullable = logical.nullable || nullable;
            Some(Expr::column(width + index, logical.clone().with_nullable(nullable)))
        }
        Expr::Pending { what: Pending::Outer, index, .. } => outer.get(*index).cloned(),
        _ => None,
    })
}

fn is_value(expr: &Expr) -> bool {
    matches!(expr, Expr::Pending { what: Pending::Subquery, .. })
}

/// What `site` attaches for a sub-query: what is there already, when it is the same.
fn attachment(site: &mut Site<'_>, written: &Query, what: What, subquery: Subquery) -> Attached {
    let same =
        |one: &&Attached| one.what == what && one.written == *written && one.subquery.outer == subquery.outer;
    if let Some(known) = site.subqueries.iter().find(same) {
        return known.clone();
    }
    let first = site.subqueries.last().map_or(0, |last| last.first + last.width());
    let attached = Attached { written: written.clone(), what, subquery, first };
    site.subqueries.push(attached.clone());
    attached
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

/// Whether a plan gives one row whatever its input.
fn has_one_row(rel: &Rel) -> bool {
    match rel.kind() {
        RelKind::Aggregate { keys, .. } => keys.is_empty(),
        RelKind::Project { input, .. } => has_one_row(input),
        _ => false,
    }
}
