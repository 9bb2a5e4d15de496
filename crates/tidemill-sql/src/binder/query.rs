//! Queries: common table expressions, set operations, order and limit.

use std::collections::HashMap;

use sqlparser::ast::{
    self, LimitClause, OrderByKind, Query, SetExpr, SetOperator, SetQuantifier, Spanned, Value,
};

use super::expressions::Site;
use super::over::direction;
use super::{Binder, Scope};
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::expr::compile::constant;
use crate::plan::{Column, Rel, RelKind, Schema, SortKey};
use crate::types::coercion::common_type;

impl Binder<'_> {
    /// Binds a query that stands alone.
    pub(crate) fn query(&mut self, query: &Query) -> SqlResult<Rel> {
        self.nested(|binder| {
            let ctes = binder.ctes.len();
            let bound = binder.query_inner(query);
            binder.ctes.truncate(ctes);
            bound
        })
    }

    fn query_inner(&mut self, query: &Query) -> SqlResult<Rel> {
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(SqlError::unsupported("Flink has no WITH RECURSIVE").at(with.span()));
            }
            for cte in &with.cte_tables {
                // It may be read where the query around is another one.
                let around = std::mem::take(&mut self.around);
                let bound = self.query(&cte.query);
                self.around = around;
                let rel = bound?;
                let rel = renamed(rel, &cte.alias.columns)?;
                self.ctes.push(HashMap::from([(cte.alias.name.value.clone(), rel)]));
            }
        }
        let order: &[ast::OrderByExpr] = match &query.order_by {
            None => &[],
            Some(order) => match &order.kind {
                OrderByKind::Expressions(keys) => keys,
                OrderByKind::All(_) => return Err(SqlError::unsupported("Flink has no ORDER BY ALL")),
            },
        };
        let (offset, fetch) = limits(query)?;
        let (rel, keys, visible) = match &*query.body {
            SetExpr::Select(select) => self.select(select, order)?,
            body => {
                let rel = self.set_expr(body)?;
                let scope = Scope::of(&rel, None);
                let mut keys = Vec::with_capacity(order.len());
                for key in order {
                    let column = match ordinal(&key.expr, rel.schema().len())? {
                        Some(column) => column,
                        None => {
                            let mut site = Site::plain(&scope, "ORDER BY");
                            self.expr(&key.expr, &mut site)?.as_column().ok_or_else(|| {
                                SqlError::unsupported(
                                    "behind a set operation ORDER BY takes columns of the result",
                                )
                                .at(key.expr.span())
                            })?
                        }
                    };
                    let (descending, nulls_first) = direction(key);
                    keys.push(SortKey { column, descending, nulls_first });
                }
                let visible = rel.schema().len();
                (rel, keys, visible)
            }
        };
        if keys.is_empty() && offset == 0 && fetch.is_none() {
            return Ok(rel);
        }
        let kind = RelKind::Sort { input: rel.clone(), keys, offset, fetch };
        let sorted = Rel::new(rel.schema().clone(), kind);
        if visible == sorted.schema().len() {
            return Ok(sorted);
        }
        // Columns that were there for the order only.
        let exprs = sorted.all_columns().into_iter().take(visible).collect();
        let names = sorted.schema().names().into_iter().take(visible).map(str::to_owned).collect();
        Ok(sorted.project(exprs, names))
    }

    fn set_expr(&mut self, body: &SetExpr) -> SqlResult<Rel> {
        match body {
            SetExpr::Select(select) => Ok(self.select(select, &[])?.0),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(values) => self.values(values),
            SetExpr::Table(table) => {
                let parts: Vec<ast::Ident> =
                    table.schema_name.iter().chain(&table.table_name).cloned().collect();
                self.table(&ast::ObjectName::from(parts), &[])
            }
            SetExpr::SetOperation { .. } => self.nested(|binder| binder.set_operation(body)),
            other => Err(SqlError::syntax("a query is expected").at(other.span())),
        }
    }

    fn set_operation(&mut self, body: &SetExpr) -> SqlResult<Rel> {
        let SetExpr::SetOperation { left, op, set_quantifier, right } = body else {
            return self.set_expr(body);
        };
        let all = match set_quantifier {
            SetQuantifier::All => true,
            SetQuantifier::None | SetQuantifier::Distinct => false,
            other => return Err(SqlError::unsupported(format!("Flink has no {op} {other}")).at(body.span())),
        };
        // A chain of unions is one union.
        let mut parts = vec![&**right];
        let mut next = &**left;
        while *op == SetOperator::Union
            && let SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier: same, right } = next
            && same == set_quantifier
        {
            parts.push(right);
            next = left;
        }
        parts.push(next);
        let inputs =
            parts.into_iter().rev().map(|part| self.set_expr(part)).collect::<SqlResult<Vec<_>>>()?;
        let (inputs, columns) =
            self.aligned(inputs, &op.to_string()).map_err(|error| error.at(body.span()))?;
        let schema = Schema::new(columns);
        match op {
            SetOperator::Union => {
                let union = Rel::new(schema, RelKind::Union { inputs });
                let width = union.schema().len();
                Ok(if all { union } else { union.aggregate((0..width).collect(), Vec::new()) })
            }
            SetOperator::Except | SetOperator::Intersect | SetOperator::Minus => {
                let mut inputs = inputs.into_iter();
                let (Some(left), Some(right)) = (inputs.next(), inputs.next()) else {
                    return Err(SqlError::internal("a set operation has two sides"));
                };
                let except = *op != SetOperator::Intersect;
                Ok(Rel::new(schema, RelKind::SetOperation { left, right, except, all }))
            }
        }
    }

    /// `inputs` with the same types, and the columns of all of them.
    fn aligned(&mut self, inputs: Vec<Rel>, what: &str) -> SqlResult<(Vec<Rel>, Vec<Column>)> {
        let Some(first) = inputs.first() else { return Err(SqlError::internal("nothing to unite")) };
        let mut columns = first.schema().columns().to_vec();
        for input in &inputs[1..] {
            if input.schema().len() != columns.len() {
                return Err(SqlError::types(format!(
                    "the sides of {what} have {} and {} columns",
                    columns.len(),
                    input.schema().len()
                )));
            }
            for (column, other) in columns.iter_mut().zip(input.schema().columns()) {
                column.logical = common_type(&column.logical, &other.logical).ok_or_else(|| {
                    SqlError::types(format!(
                        "the sides of {what} have no type in common for the column '{}': {} and {}",
                        column.name, column.logical.root, other.logical.root
                    ))
                })?;
                column.time = column.time.filter(|time| other.time == Some(*time));
            }
        }
        let inputs = inputs
            .into_iter()
            .map(|input| {
                let same =
                    input.schema().types().zip(&columns).all(|(have, want)| have.root == want.logical.root);
                if same {
                    return Ok(input);
                }
                let exprs = input.all_columns().into_iter().zip(&columns);
                let exprs = exprs.map(|(expr, column)| self.implicit_cast(expr, &column.logical));
                let exprs = exprs.collect::<SqlResult<Vec<_>>>()?;
                let names = columns.iter().map(|column| column.name.clone()).collect();
                Ok(input.project(exprs, names))
            })
            .collect::<SqlResult<Vec<_>>>()?;
        Ok((inputs, columns))
    }

    fn values(&mut self, values: &ast::Values) -> SqlResult<Rel> {
        let scope = Scope::default();
        let mut rows: Vec<Vec<Expr>> = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            let cells: &[ast::Expr] = &row.content;
            let mut site = Site::plain(&scope, "VALUES");
            let mut bound = Vec::with_capacity(cells.len());
            for cell in cells {
                match cell {
                    // `VALUES ROW(1, 2)` is `VALUES (1, 2)`.
                    ast::Expr::Tuple(inner) if cells.len() == 1 => {
                        for cell in inner {
                            bound.push(self.expr(cell, &mut site)?);
                        }
                    }
                    cell => bound.push(self.expr(cell, &mut site)?),
                }
            }
            if let [Expr::Call { function, arguments }] = &bound[..]
                && &*function.name == "ROW"
            {
                bound = arguments.clone();
            }
            rows.push(bound);
        }
        let Some(first) = rows.first() else { return Err(SqlError::syntax("VALUES needs a row")) };
        let mut types: Vec<_> = first.iter().map(Expr::logical).collect();
        for row in &rows[1..] {
            if row.len() != types.len() {
                return Err(SqlError::types(format!(
                    "the rows of VALUES have {} and {} columns",
                    types.len(),
                    row.len()
                )));
            }
            for (logical, cell) in types.iter_mut().zip(row) {
                *logical = common_type(logical, &cell.logical()).ok_or_else(|| {
                    SqlError::types(format!(
                        "values of {} and of {} cannot be in one column",
                        logical.root,
                        cell.logical().root
                    ))
                })?;
            }
        }
        let mut literals = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = Vec::with_capacity(row.len());
            for (cell, logical) in row.into_iter().zip(&types) {
                let cell = self.implicit_cast(cell, logical)?;
                let value =
                    constant(&cell).map_err(|error| SqlError::semantic(format!("VALUES: {error}")))?;
                cells.push(value);
            }
            literals.push(cells);
        }
        let columns =
            types.into_iter().enumerate().map(|(i, logical)| Column::new(format!("EXPR${i}"), logical));
        Ok(Rel::new(Schema::new(columns.collect()), RelKind::Values { rows: literals }))
    }
}

/// `rel` with the columns called `names`; as it is when there are none.
pub(super) fn renamed(rel: Rel, names: &[ast::TableAliasColumnDef]) -> SqlResult<Rel> {
    if names.is_empty() {
        return Ok(rel);
    }
    let width = rel.schema().len();
    if names.len() != width {
        let position =
            names.first().map(|column| column.name.span).unwrap_or_else(sqlparser::tokenizer::Span::empty);
        return Err(
            SqlError::semantic(format!("{} names are given to {width} columns", names.len())).at(position)
        );
    }
    let exprs = rel.all_columns();
    Ok(rel.project(exprs, names.iter().map(|column| column.name.value.clone()).collect()))
}

/// The column that a number in `ORDER BY` means.
pub(super) fn ordinal(ast: &ast::Expr, width: usize) -> SqlResult<Option<usize>> {
    let ast::Expr::Value(value) = ast else { return Ok(None) };
    let Value::Number(text, _) = &value.value else { return Ok(None) };
    match text.parse::<usize>() {
        Ok(number) if (1..=width).contains(&number) => Ok(Some(number - 1)),
        _ => Err(SqlError::semantic(format!("there is no column {text}: there are {width}")).at(value.span)),
    }
}

/// `OFFSET` and `LIMIT` or `FETCH`.
fn limits(query: &Query) -> SqlResult<(u64, Option<u64>)> {
    let number = |ast: &ast::Expr, what| super::expressions::literal_number::<u64>(ast, what);
    let (mut offset, mut fetch) = (0, None);
    match &query.limit_clause {
        None => {}
        Some(LimitClause::LimitOffset { limit, offset: skipped, .. }) => {
            fetch = limit.as_ref().map(|limit| number(limit, "LIMIT")).transpose()?;
            if let Some(skipped) = skipped {
                offset = number(&skipped.value, "OFFSET")?;
            }
        }
        Some(LimitClause::OffsetCommaLimit { offset: skipped, limit }) => {
            offset = number(skipped, "OFFSET")?;
            fetch = Some(number(limit, "LIMIT")?);
        }
    }
    if let Some(clause) = &query.fetch {
        if clause.with_ties || clause.percent {
            return Err(SqlError::unsupported("FETCH … WITH TIES and PERCENT are not supported"));
        }
        fetch = Some(
            clause.quantity.as_ref().map(|quantity| number(quantity, "FETCH")).transpose()?.unwrap_or(1),
        );
    }
    Ok((offset, fetch))
}
