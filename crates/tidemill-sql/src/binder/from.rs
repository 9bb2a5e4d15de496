//! `FROM`: tables, joins, table functions.

use sqlparser::ast::{
    self, Join, JoinConstraint, JoinOperator, Spanned, TableAlias, TableFactor, TableVersion, TableWithJoins,
};

use super::correlated::Subquery;
use super::expressions::Site;
use super::query::renamed;
use super::subqueries::{Attached, onto_left, placed};
use super::{Binder, Scope};
use crate::catalog::name_parts;
use crate::error::{Position, SqlError, SqlResult};
use crate::expr::Expr;
use crate::functions::table::{TableFunction, TableFunctionCall};
use crate::plan::{Column, JoinKind, Rel, RelKind, Schema};
use crate::types::{LogicalType, TypeRoot};

/// What stands on the right of a join.
pub(super) enum Right {
    /// A relation of its own.
    Rel(Rel, Scope),
    /// The version of a relation that was valid at a time of the left.
    Temporal(Rel, Scope, ast::Expr),
    /// A table function of the row on the left.
    Correlated(TableFunctionCall, Scope),
    /// A query that reads columns of the row on the left.
    Lateral(Subquery, Scope),
}

/// What `ON`, `USING` or `NATURAL` says of a join.
struct Constraint {
    /// Over the columns of both sides.
    condition: Expr,
    subqueries: Vec<Attached>,
    /// The pairs of columns that `USING` or `NATURAL` puts together.
    common: Vec<(usize, usize)>,
}

impl Binder<'_> {
    /// All of `FROM`; without one, a row without columns.
    pub(super) fn from(&mut self, from: &[TableWithJoins]) -> SqlResult<(Rel, Scope)> {
        let mut result: Option<(Rel, Scope)> = None;
        for (number, item) in from.iter().enumerate() {
            let left = match result.take() {
                None => self.factor(&item.relation, None)?.alone()?,
                Some(left) => {
                    let right = self.factor(&item.relation, Some(&left.1))?;
                    let joined = self
                        .join(left, right, JoinKind::Inner, &JoinConstraint::None)
                        .map_err(|error| error.at(item.relation.span()))?;
                    let first = from.first().filter(|first| number == 1 && first.joins.is_empty());
                    let rel = self.hinted(joined.0, first.map(|first| &first.relation), &item.relation)?;
                    (rel, joined.1)
                }
            };
            let mut joined = left;
            for (number, join) in item.joins.iter().enumerate() {
                let first = (number == 0).then_some(&item.relation);
                joined = self.joined(joined, join)?;
                joined.0 = self.hinted(joined.0, first, &join.relation)?;
            }
            result = Some(joined);
        }
        Ok(result.unwrap_or_else(|| {
            let rel = Rel::new(Schema::default(), RelKind::Values { rows: vec![Vec::new()] });
            (rel, Scope::default())
        }))
    }

    fn joined(&mut self, left: (Rel, Scope), join: &Join) -> SqlResult<(Rel, Scope)> {
        let (kind, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (JoinKind::Inner, constraint),
            JoinOperator::CrossJoin(constraint) => (JoinKind::Inner, constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                (JoinKind::Left, constraint)
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                (JoinKind::Right, constraint)
            }
            JoinOperator::FullOuter(constraint) => (JoinKind::Full, constraint),
            other => {
                return Err(
                    SqlError::unsupported(format!("Flink has no join {other:?}")).at(join.relation.span())
                );
            }
        };
        let is_cross = matches!(join.join_operator, JoinOperator::CrossJoin(_));
        if !is_cross && matches!(constraint, JoinConstraint::None) {
            return Err(SqlError::syntax("ON or USING is expected behind a join")
                .hint("CROSS JOIN has no condition")
                .at(join.relation.span()));
        }
        let right = self.factor(&join.relation, Some(&left.1))?;
        self.join(left, right, kind, constraint).map_err(|error| error.at(join.relation.span()))
    }

    fn join(
        &mut self,
        (left, scope): (Rel, Scope),
        right: Right,
        kind: JoinKind,
        constraint: &JoinConstraint,
    ) -> SqlResult<(Rel, Scope)> {
        match right {
            Right::Rel(right, right_scope) => {
                let cross = Rel::join(left.clone(), right.clone(), kind, Expr::boolean(true));
                let both = scope.clone().joined(right_scope.clone(), &cross);
                let on = self.constraint(constraint, &scope, &right_scope, &both)?;
                if on.subqueries.is_empty() {
                    let joined = Rel::join(left, right, kind, on.condition);
                    return self.put_together(joined, both, kind, &on.common);
                }
                self.join_over_subqueries((left, right), kind, both, &on)
            }
            Right::Lateral(query, right_scope) => {
                self.lateral((left, scope), (query, right_scope), kind, constraint)
            }
            Right::Temporal(right, right_scope, time) => {
                if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
                    return Err(SqlError::unsupported(
                        "a join FOR SYSTEM_TIME AS OF is an inner or a left one",
                    ));
                }
                let position = time.span().into();
                let mut site = Site::plain(&scope, "FOR SYSTEM_TIME AS OF");
                let time = self.expr(&time, &mut site)?;
                let cross = Rel::join(left.clone(), right.clone(), kind, Expr::boolean(true));
                let both = scope.clone().joined(right_scope.clone(), &cross);
                let on = self.plain_constraint(constraint, &scope, &right_scope, &both)?;
                let (condition, common) = (on.condition, on.common);
                let schema = cross.schema().clone();
                let temporal = RelKind::Temporal { left, right, kind, time, condition, position };
                self.put_together(Rel::new(schema, temporal), both, kind, &common)
            }
            Right::Correlated(function, right_scope) => {
                let is_true = match constraint {
                    JoinConstraint::None => true,
                    JoinConstraint::On(ast::Expr::Value(value)) => {
                        matches!(value.value, ast::Value::Boolean(true))
                    }
                    _ => false,
                };
                if !matches!(kind, JoinKind::Inner | JoinKind::Left) || !(is_true || kind == JoinKind::Inner)
                {
                    return Err(SqlError::unsupported(
                        "a table function is joined by CROSS JOIN, or by LEFT JOIN … ON TRUE",
                    ));
                }
                let mut columns = left.schema().columns().to_vec();
                columns.extend(function.columns.iter().cloned().map(|mut column| {
                    column.logical.nullable |= kind == JoinKind::Left;
                    column
                }));
                let correlate = RelKind::Correlate { input: left, function, kind };
                let rel = Rel::new(Schema::new(columns), correlate);
                let both = scope.clone().joined(right_scope.clone(), &rel);
                let on = self.plain_constraint(constraint, &scope, &right_scope, &both)?;
                self.put_together(rel.filter(on.condition), both, kind, &on.common)
            }
        }
    }

    /// A join whose condition reads the values of sub-queries.
    fn join_over_subqueries(
        &mut self,
        (left, right): (Rel, Rel),
        kind: JoinKind,
        both: Scope,
        on: &Constraint,
    ) -> SqlResult<(Rel, Scope)> {
        if kind == JoinKind::Inner {
            let cross = Rel::join(left, right, kind, Expr::boolean(true));
            let (rel, values) = self.attach(cross, &on.subqueries)?;
            let both = both.extended_hidden(&rel);
            return Ok((rel.filter(placed(&on.condition, &values)), both));
        }
        // What a row of the left side has no match for is only known with the values: they must be beside the right one.
        let width = left.schema().len();
        let is_left =
            |expr: &Expr| expr.any(|expr| matches!(expr, Expr::Column { index, .. } if *index < width));
        if kind != JoinKind::Left || on.subqueries.iter().any(|one| one.outer().iter().any(is_left)) {
            return Err(SqlError::unsupported(
                "a sub-query in the condition of an outer join may only be in that of a LEFT JOIN, and refer to its right side",
            )
            .hint("compute it in a query in FROM"));
        }
        let of_right = on
            .subqueries
            .iter()
            .map(|one| one.map(&mut |expr| Ok(expr.map_columns(&|column| column - width))));
        let of_right = of_right.collect::<SqlResult<Vec<_>>>()?;
        let (right, values) = self.attach(right, &of_right)?;
        let values = values
            .into_iter()
            .map(|(index, value)| (index, value.map_columns(&|column| width + column)))
            .collect();
        let rel = Rel::join(left, right, kind, placed(&on.condition, &values));
        let both = both.extended_hidden(&rel);
        Ok((rel, both))
    }

    /// Each row on the left with the rows of a query that reads its columns.
    fn lateral(
        &mut self,
        (left, scope): (Rel, Scope),
        (query, right_scope): (Subquery, Scope),
        kind: JoinKind,
        constraint: &JoinConstraint,
    ) -> SqlResult<(Rel, Scope)> {
        if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
            return Err(SqlError::unsupported(
                "a LATERAL query that refers to its left is joined by CROSS JOIN, JOIN or LEFT JOIN",
            ));
        }
        let width = left.schema().len();
        let columns = query.rel.schema().clone();
        let names = left.schema().names().into_iter().chain(columns.names()).map(str::to_owned).collect();
        let (pulled, outer) = self.pulled_up_lateral(&left, query, kind == JoinKind::Left)?;
        let mut conditions: Vec<Expr> =
            pulled.predicates.iter().map(|expr| onto_left(expr, width, &outer, false)).collect();
        let outputs: Vec<Expr> = pulled
            .outputs
            .iter()
            .map(|expr| onto_left(expr, width, &outer, kind == JoinKind::Left))
            .collect();
        let mut exprs = left.all_columns();
        exprs.extend(outputs.iter().cloned());
        let cross = Rel::join(left.clone(), pulled.rel.clone(), kind, Expr::boolean(true));
        let both = scope.clone().joined(right_scope.clone(), &cross.project(exprs.clone(), names));
        let on = self.plain_constraint(constraint, &scope, &right_scope, &both)?;
        let names = both.columns().iter().map(|column| column.name.clone()).collect();
        if kind == JoinKind::Left {
            conditions.push(on.condition.substitute(&exprs));
            let rel = Rel::join(left, pulled.rel, kind, Expr::all(conditions));
            return self.put_together(rel.project(exprs, names), both, kind, &on.common);
        }
        let rel = Rel::join(left, pulled.rel, kind, Expr::all(conditions));
        let rel = rel.project(exprs, names).filter(on.condition);
        self.put_together(rel, both, kind, &on.common)
    }

    /// As [`constraint`](Self::constraint), where no sub-query may stand.
    fn plain_constraint(
        &mut self,
        constraint: &JoinConstraint,
        left: &Scope,
        right: &Scope,
        both: &Scope,
    ) -> SqlResult<Constraint> {
        let on = self.constraint(constraint, left, right, both)?;
        if on.subqueries.is_empty() {
            return Ok(on);
        }
        Err(SqlError::unsupported("a sub-query cannot stand in the condition of this join")
            .hint("write it in WHERE"))
    }

    /// The condition of a join, over the columns of both sides.
    fn constraint(
        &mut self,
        constraint: &JoinConstraint,
        left: &Scope,
        right: &Scope,
        both: &Scope,
    ) -> SqlResult<Constraint> {
        let plain = |condition| Constraint { condition, subqueries: Vec::new(), common: Vec::new() };
        let names: Vec<ast::Ident> = match constraint {
            JoinConstraint::None => return Ok(plain(Expr::boolean(true))),
            JoinConstraint::On(condition) => {
                let mut site = Site::plain(both, "the condition of a join");
                site.unknown_is_false = true;
                let bound = self.condition(condition, &mut site, "ON")?;
                return Ok(Constraint { subqueries: site.subqueries, ..plain(bound) });
            }
            JoinConstraint::Using(columns) => {
                let ident = |name| -> SqlResult<ast::Ident> {
                    Ok(ast::Ident::new(name_parts(name)?.0.last().copied().unwrap_or_default()))
                };
                columns.iter().map(ident).collect::<SqlResult<_>>()?
            }
            JoinConstraint::Natural => {
                let is_common = |name: &str| right.star().any(|(_, column)| column.name == name);
                let common = left.star().filter(|(_, column)| is_common(&column.name));
                common.map(|(_, column)| ast::Ident::new(&column.name)).collect()
            }
            JoinConstraint::UsingAlias(..) => {
                return Err(SqlError::unsupported("Flink has no USING … AS"));
            }
        };
        let positions: Vec<Option<Position>> = match constraint {
            JoinConstraint::Using(columns) => {
                columns.iter().map(|name| Ok(Some(name_parts(name)?.1))).collect::<SqlResult<_>>()?
            }
            _ => vec![None; names.len()],
        };
        let (mut equal, mut common) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
        for (name, position) in names.iter().zip(positions) {
            let pair = Self::common(name, left, right);
            let pair = pair.map_err(|error| match position {
                Some(position) => error.at(position),
                None => error,
            })?;
            equal.push(self.call("=", vec![both.expr(pair.0), both.expr(pair.1)])?);
            common.push(pair);
        }
        Ok(Constraint { common, ..plain(Expr::all(equal)) })
    }

    /// The columns called `name` on both sides.
    fn common(name: &ast::Ident, left: &Scope, right: &Scope) -> SqlResult<(usize, usize)> {
        let one = left.find(None, name)?.ok_or_else(|| left.unknown(name))?;
        let two = right.find(None, name)?.ok_or_else(|| right.unknown(name))?;
        Ok((one, two + left.len()))
    }

    /// Makes one column of each pair of `USING` or `NATURAL`: the one that is not NULL. They come first in `*`.
    fn put_together(
        &mut self,
        mut rel: Rel,
        mut both: Scope,
        kind: JoinKind,
        common: &[(usize, usize)],
    ) -> SqlResult<(Rel, Scope)> {
        let mut first = Vec::with_capacity(common.len());
        for &(one, two) in common {
            let [left, right] = [one, two].map(|index| both.expr(index));
            // Where a side has all rows, its column is the one; its type must be that of both.
            let whole = match kind {
                _ if left.logical().root != right.logical().root => None,
                JoinKind::Full => None,
                JoinKind::Right => Some((two, one)),
                _ => Some((one, two)),
            };
            first.push(match whole {
                Some((shown, hidden)) => {
                    both.hide(hidden);
                    shown
                }
                None => {
                    let either = self.call("COALESCE", vec![left, right])?;
                    let (mut exprs, name) = (rel.all_columns(), both.columns()[one].name.clone());
                    let mut names: Vec<String> =
                        rel.schema().names().into_iter().map(str::to_owned).collect();
                    exprs.push(either);
                    names.push(name);
                    rel = rel.project(exprs, names);
                    both.hide(one);
                    both.hide(two);
                    both.push_last(&rel)
                }
            });
        }
        both.put_first(&first);
        Ok((rel, both))
    }

    pub(super) fn factor(&mut self, factor: &TableFactor, left: Option<&Scope>) -> SqlResult<Right> {
        self.nested(|binder| binder.factor_inner(factor, left)).map_err(|error| error.at(factor.span()))
    }

    fn factor_inner(&mut self, factor: &TableFactor, left: Option<&Scope>) -> SqlResult<Right> {
        match factor {
            TableFactor::Table { name, alias, args: None, with_hints, version, .. } => {
                let rel = self.table(name, with_hints)?;
                let (parts, _) = name_parts(name)?;
                let own = parts.last().copied().unwrap_or_default();
                let (rel, scope) = aliased(rel, alias.as_ref(), Some(own))?;
                match version {
                    None => Ok(Right::Rel(rel, scope)),
                    Some(TableVersion::ForSystemTimeAsOf(time)) => {
                        if left.is_none() {
                            return Err(SqlError::unsupported(
                                "FOR SYSTEM_TIME AS OF is supported on the right of a join only",
                            ));
                        }
                        Ok(Right::Temporal(rel, scope, time.clone()))
                    }
                    Some(other) => Err(SqlError::unsupported(format!("Flink has no '{other}'"))),
                }
            }
            // A table function, LATERAL or not: of a row on the left, or a window over a table.
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                self.table_function(name, &args.args, alias.as_ref(), left)
            }
            TableFactor::Function { name, args, alias, .. } => {
                self.table_function(name, args, alias.as_ref(), left)
            }
            TableFactor::TableFunction { expr: ast::Expr::Function(function), alias } => {
                let args = super::calls::argument_list(function)?.map(|list| list.args.as_slice());
                self.table_function(&function.name, args.unwrap_or_default(), alias.as_ref(), left)
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                let query = match left {
                    Some(left) if *lateral => self.subquery(subquery, left)?,
                    _ => Subquery { rel: self.query(subquery)?, outer: Vec::new() },
                };
                let (rel, scope) = aliased(query.rel, alias.as_ref(), None)?;
                if query.outer.is_empty() {
                    return Ok(Right::Rel(rel, scope));
                }
                Ok(Right::Lateral(Subquery { rel, outer: query.outer }, scope))
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let (rel, scope) = self.from(std::slice::from_ref(&**table_with_joins))?;
                match alias {
                    None => Ok(Right::Rel(rel, scope)),
                    Some(_) => {
                        let (rel, scope) = aliased(rel, alias.as_ref(), None)?;
                        Ok(Right::Rel(rel, scope))
                    }
                }
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset, .. } => {
                if *with_offset {
                    return Err(SqlError::unsupported("Flink has no UNNEST … WITH OFFSET")
                        .hint("use WITH ORDINALITY"));
                }
                let [array] = &array_exprs[..] else {
                    return Err(SqlError::unsupported("UNNEST takes one array, map or multiset"));
                };
                self.unnest(array, *with_ordinality, alias.as_ref(), left)
            }
            TableFactor::MatchRecognize { .. } => {
                self.match_recognize(factor).map(|(rel, scope)| Right::Rel(rel, scope))
            }
            other => Err(SqlError::unsupported(format!("'{other}' cannot stand in FROM"))),
        }
    }

    fn unnest(
        &mut self,
        array: &ast::Expr,
        with_ordinality: bool,
        alias: Option<&TableAlias>,
        left: Option<&Scope>,
    ) -> SqlResult<Right> {
        let none = Scope::default();
        let scope = left.unwrap_or(&none);
        let mut site = Site::plain(scope, "UNNEST");
        let bound = self.expr(array, &mut site)?;
        let logical = bound.logical();
        let mut columns = match &logical.root {
            TypeRoot::Array(element) | TypeRoot::Multiset(element) => element_columns(element),
            TypeRoot::Map(key, value) => {
                vec![Column::new("KEY", (**key).clone()), Column::new("VALUE", (**value).clone())]
            }
            other => {
                return Err(SqlError::types(format!(
                    "UNNEST takes an array, a map or a multiset, not {other}"
                )));
            }
        };
        if with_ordinality {
            columns.push(Column::new("ORDINALITY", TypeRoot::Int.not_null()));
        }
        let call = TableFunctionCall {
            kind: TableFunction::Unnest { with_ordinality },
            arguments: vec![bound],
            columns: columns.into(),
        };
        self.correlated(call, alias, left)
    }

    /// A table function beside what is on the left; alone, beside a row without columns.
    pub(super) fn correlated(
        &mut self,
        mut call: TableFunctionCall,
        alias: Option<&TableAlias>,
        left: Option<&Scope>,
    ) -> SqlResult<Right> {
        if let Some(alias) = alias
            && !alias.columns.is_empty()
        {
            if alias.columns.len() != call.columns.len() {
                return Err(SqlError::semantic(format!(
                    "{} names are given to {} columns",
                    alias.columns.len(),
                    call.columns.len()
                ))
                .at(alias.name.span));
            }
            let renamed = call.columns.iter().zip(&alias.columns);
            call.columns = renamed
                .map(|(column, name)| Column::new(name.name.value.clone(), column.logical.clone()))
                .collect();
        }
        let table = alias.map(|alias| alias.name.value.as_str());
        let scope = Scope::of_schema(&Schema::new(call.columns.to_vec()), table);
        if left.is_some() {
            return Ok(Right::Correlated(call, scope));
        }
        let nothing = Rel::new(Schema::default(), RelKind::Values { rows: vec![Vec::new()] });
        let schema = Schema::new(call.columns.to_vec());
        let kind = RelKind::Correlate { input: nothing, function: call, kind: JoinKind::Inner };
        Ok(Right::Rel(Rel::new(schema, kind), scope))
    }
}

impl Right {
    pub(super) fn alone(self) -> SqlResult<(Rel, Scope)> {
        match self {
            Right::Rel(rel, scope) => Ok((rel, scope)),
            _ => Err(SqlError::internal("a join without a left side")),
        }
    }

    pub(super) fn rel(rel: Rel, scope: Scope) -> Self {
        Right::Rel(rel, scope)
    }
}

/// The columns of the elements of an array: the fields of rows, else one.
fn element_columns(element: &LogicalType) -> Vec<Column> {
    match &element.root {
        TypeRoot::Row(fields) => fields
            .iter()
            .map(|field| {
                let nullable = field.field_type.nullable || element.nullable;
                Column::new(field.name.clone(), field.field_type.clone().with_nullable(nullable))
            })
            .collect(),
        _ => vec![Column::new("EXPR$0", element.clone())],
    }
}

/// `rel` under its alias.
pub(super) fn aliased(rel: Rel, alias: Option<&TableAlias>, own: Option<&str>) -> SqlResult<(Rel, Scope)> {
    let rel = match alias {
        Some(alias) => renamed(rel, &alias.columns)?,
        None => rel,
    };
    let name = alias.map(|alias| alias.name.value.as_str()).or(own);
    let scope = Scope::of(&rel, name);
    Ok((rel, scope))
}
