//! Names of tables: common table expressions, views, tables of the catalog.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, ObjectName, Spanned, Value};

use super::expressions::Site;
use super::query::renamed;
use super::{Binder, Scope};
use crate::catalog::{CatalogObject, ColumnSource, Table, View, name_parts};
use crate::error::{SqlError, SqlResult};
use crate::plan::{Column, Rel, RelKind, Scan, ScanColumn, Schema, TimeAttribute};
use crate::types::TypeRoot;

impl Binder<'_> {
    /// What is called `name`, with the hints behind it.
    pub(crate) fn table(&mut self, name: &ObjectName, hints: &[ast::Expr]) -> SqlResult<Rel> {
        let (parts, position) = name_parts(name)?;
        if let [name] = parts[..]
            && let Some(rel) = self.ctes.iter().rev().find_map(|visible| visible.get(name))
        {
            return Ok(rel.clone());
        }
        if let [file] = parts[..]
            && name.0.len() == 1
            && is_quoted_file(name)
        {
            let options = hinted_options(hints)?;
            return self.file(file, options).map_err(|error| error.at(position));
        }
        match self.catalogs.find(name)? {
            CatalogObject::View(view) => self.view(&view),
            CatalogObject::Table(table) => {
                let options = hinted_options(hints)?;
                self.scan(&table, options).map_err(|error| error.at(position))
            }
        }
    }

    fn view(&mut self, view: &View) -> SqlResult<Rel> {
        if let Some(rel) = self.shared.borrow().views.get(&view.path) {
            return Ok(rel.clone());
        }
        // Names in a view mean what they meant where it was created.
        let mut catalogs = self.catalogs.clone();
        (catalogs.current_catalog, catalogs.current_database) = view.scope.clone();
        let mut inner = Binder {
            catalogs: &catalogs,
            context: self.context,
            shared: std::rc::Rc::clone(&self.shared),
            ctes: Vec::new(),
            around: Vec::new(),
            depth: std::rc::Rc::clone(&self.depth),
            hints: super::BlockHints::default(),
        };
        let rel = inner.query(&view.query)?;
        let names: Vec<ast::TableAliasColumnDef> = view
            .columns
            .iter()
            .map(|name| ast::TableAliasColumnDef { name: ast::Ident::new(name), data_type: None })
            .collect();
        let rel = renamed(rel, &names)?;
        self.shared.borrow_mut().views.insert(view.path.clone(), rel.clone());
        Ok(rel)
    }

    /// A scan of `table` with its computed columns and its event time.
    pub(crate) fn scan(
        &mut self,
        table: &std::sync::Arc<Table>,
        options: Vec<(String, String)>,
    ) -> SqlResult<Rel> {
        let key = (table.path.clone(), format!("{options:?}"));
        if let Some(rel) = self.shared.borrow().tables.get(&key) {
            return Ok(rel.clone());
        }
        // Its expressions are over its own columns.
        let around = std::mem::take(&mut self.around);
        let scanned = self.scan_alone(table, options);
        self.around = around;
        let rel = scanned?;
        self.shared.borrow_mut().tables.insert(key, rel.clone());
        Ok(rel)
    }

    fn scan_alone(
        &mut self,
        table: &std::sync::Arc<Table>,
        options: Vec<(String, String)>,
    ) -> SqlResult<Rel> {
        let mut columns = Vec::new();
        let mut stored = Vec::new();
        for (place, (index, column)) in table.stored().enumerate() {
            let (name, metadata) = match &column.source {
                ColumnSource::Metadata { key, .. } => (key.clone(), true),
                _ => (column.name.clone(), false),
            };
            columns.push(ScanColumn { index: place, name, metadata, logical: column.logical.clone() });
            stored.push((index, Column::new(column.name.clone(), column.logical.clone())));
        }
        let schema = Schema::new(stored.iter().map(|(_, column)| column.clone()).collect());
        let scan = Scan { table: std::sync::Arc::clone(table), columns, options };
        let mut rel = Rel::new(schema, RelKind::Scan(scan));
        if stored.len() < table.columns.len() {
            let scope = Scope::of(&rel, Some(&table.path.name));
            let mut exprs = Vec::with_capacity(table.columns.len());
            for (index, column) in table.columns.iter().enumerate() {
                exprs.push(match &column.source {
                    ColumnSource::Computed(expression) => {
                        let mut site = Site::plain(&scope, "a computed column");
                        self.expr(expression, &mut site)?
                    }
                    _ => {
                        let place = stored.iter().position(|(known, _)| *known == index).unwrap_or_default();
                        crate::expr::Expr::column(place, column.logical.clone())
                    }
                });
            }
            rel = rel.project(exprs, table.columns.iter().map(|column| column.name.clone()).collect());
        }
        if let Some(watermark) = &table.watermark {
            let scope = Scope::of(&rel, Some(&table.path.name));
            let mut site = Site::plain(&scope, "a watermark");
            let expression = self.expr(&watermark.expression, &mut site)?;
            let mut columns = rel.schema().columns().to_vec();
            if let Some(column) = columns.get_mut(watermark.column) {
                column.time = Some(TimeAttribute::Row);
            }
            let kind = RelKind::Watermark { input: rel, column: watermark.column, watermark: expression };
            rel = Rel::new(Schema::new(columns), kind);
        }
        Ok(rel)
    }

    /// `value` as one of type `to`.
    pub(crate) fn coerce(
        &mut self,
        value: crate::expr::Expr,
        to: &crate::types::LogicalType,
    ) -> SqlResult<crate::expr::Expr> {
        self.implicit_cast(value, to)
    }

    /// `value` as one of type `to`, as `CAST` makes it.
    pub(crate) fn cast(
        &mut self,
        value: crate::expr::Expr,
        to: &crate::types::LogicalType,
    ) -> SqlResult<crate::expr::Expr> {
        self.explicit_cast(value, to, false)
    }

    /// Binds an expression over the columns of a table that is being created.
    pub(crate) fn column_expression(
        &mut self,
        columns: Vec<Column>,
        ast: &ast::Expr,
        what: &'static str,
    ) -> SqlResult<crate::expr::Expr> {
        let scope = Scope::of_schema(&Schema::new(columns), None);
        let mut site = Site::plain(&scope, what);
        let bound = self.expr(ast, &mut site)?;
        if !site.subqueries.is_empty() {
            return Err(SqlError::unsupported(format!("a sub-query cannot stand in {what}")).at(ast.span()));
        }
        Ok(bound)
    }
}

/// Whether a name is that of a file.
pub(crate) fn is_quoted_file(name: &ObjectName) -> bool {
    matches!(&name.0[..], [ast::ObjectNamePart::Identifier(ident)] if ident.quote_style == Some('\''))
}

/// The options of `/*+ OPTIONS('key' = 'value', …) */`.
pub(crate) fn hinted_options(hints: &[ast::Expr]) -> SqlResult<Vec<(String, String)>> {
    let mut options = Vec::new();
    for hint in hints {
        let ast::Expr::Function(function) = hint else {
            return Err(SqlError::syntax(format!(
                "'{hint}' is no hint: it is written NAME('key' = 'value')"
            ))
            .at(hint.span()));
        };
        let name = function.name.to_string();
        if !name.eq_ignore_ascii_case("OPTIONS") {
            return Err(super::hints::behind_table(&name).at(hint.span()));
        }
        let ast::FunctionArguments::List(list) = &function.args else { continue };
        for arg in &list.args {
            let pair = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::BinaryOp {
                    left,
                    op: ast::BinaryOperator::Eq,
                    right,
                })) => string(left).zip(string(right)),
                _ => None,
            };
            options.push(pair.ok_or_else(|| {
                SqlError::syntax("a hint is written OPTIONS('key' = 'value', …)").at(hint.span())
            })?);
        }
    }
    Ok(options)
}

fn string(ast: &ast::Expr) -> Option<String> {
    match ast {
        ast::Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether values of a type can be event time: timestamps with at most three digits of a second.
pub(crate) fn can_be_event_time(root: &TypeRoot) -> bool {
    matches!(root, TypeRoot::Timestamp(0..=3) | TypeRoot::TimestampLtz(0..=3))
}
