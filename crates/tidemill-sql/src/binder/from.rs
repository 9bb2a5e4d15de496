//! `FROM`: tables, joins, table functions.

use sqlparser::ast::{
    self, Join, JoinConstraint, JoinOperator, Spanned, TableAlias, TableFactor, TableVersion, TableWithJoins,
};

use super::expressions::Site;
use super::query::renamed;
use super::{Binder, Scope};
use crate::catalog::name_parts;
use crate::error::{SqlError, SqlResult};
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
                let mut both = scope.clone().joined(right_scope.clone(), &cross);
                let condition = self.constraint(constraint, &scope, &right_scope, &mut both)?;
                Ok((Rel::join(left, right, kind, condition), both))
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
                let mut both = scope.clone().joined(right_scope.clone(), &cross);
                let condition = self.constraint(constraint, &scope, &right_scope, &mut both)?;
                let schema = cross.schema().clone();
                let kind = RelKind::Temporal { left, right, kind, time, condition, position };
                Ok((Rel::new(schema, kind), both))
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
                let mut both = scope.clone().joined(right_scope.clone(), &rel);
                let condition = self.constraint(constraint, &scope, &right_scope, &mut both)?;
                Ok((rel.filter(condition), both))
            }
        }
    }

    /// The condition of a join, over the columns of both sides. Columns of `USING` are hidden on the right.
    fn constraint(
        &mut self,
        constraint: &JoinConstraint,
        left: &Scope,
        right: &Scope,
        both: &mut Scope,
    ) -> SqlResult<Expr> {
        match constraint {
            JoinConstraint::None => Ok(Expr::boolean(true)),
            JoinConstraint::On(condition) => {
                let mut site = Site::plain(both, "the condition of a join");
                let bound = self.condition(condition, &mut site, "ON")?;
                if !site.subqueries.is_empty() {
                    return Err(SqlError::unsupported("a sub-query cannot stand in the condition of a join"));
                }
                Ok(bound)
            }
            JoinConstraint::Using(columns) => {
                let mut equal = Vec::with_capacity(columns.len());
                for name in columns {
                    let (_, position) = name_parts(name)?;
                    let name = ast::Ident::new(name_parts(name)?.0.last().copied().unwrap_or_default());
                    equal.push(self.using(&name, left, right, both).map_err(|error| error.at(position))?);
                }
                Ok(Expr::all(equal))
            }
            JoinConstraint::Natural => {
                let names: Vec<String> = left
                    .columns()
                    .iter()
                    .filter(|column| !column.hidden)
                    .map(|column| column.name.clone())
                    .filter(|name| {
                        right.columns().iter().any(|column| !column.hidden && column.name == *name)
                    })
                    .collect();
                let equal = names.iter().map(|name| self.using(&ast::Ident::new(name), left, right, both));
                Ok(Expr::all(equal.collect::<SqlResult<_>>()?))
            }
            JoinConstraint::UsingAlias(..) => Err(SqlError::unsupported("Flink has no USING … AS")),
        }
    }

    fn using(&mut self, name: &ast::Ident, left: &Scope, right: &Scope, both: &mut Scope) -> SqlResult<Expr> {
        let one = left.find(None, name)?.ok_or_else(|| left.unknown(name))?;
        let two = right.find(None, name)?.ok_or_else(|| right.unknown(name))? + left.len();
        let column = |index: usize| Expr::column(index, both.columns()[index].logical.clone());
        let (one, other) = (column(one), column(two));
        both.hide(two);
        self.call("=", vec![one, other])
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
                let rel = self.query(subquery).map_err(|error| {
                    if *lateral {
                        error.hint("a LATERAL sub-query may not refer to its left here")
                    } else {
                        error
                    }
                })?;
                let (rel, scope) = aliased(rel, alias.as_ref(), None)?;
                Ok(Right::Rel(rel, scope))
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
