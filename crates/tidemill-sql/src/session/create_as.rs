//! `CREATE TABLE … AS`: a table with the columns of a query, and its rows.

use sqlparser::ast::{Ident, Query};

use super::{Planned, SqlSession};
use crate::error::{SqlError, SqlResult, nearest};
use crate::parser::statement::{ColumnDefinition, ColumnKind, CreateTable, Insert};

impl SqlSession {
    /// Creates the table, then plans what inserts the rows. Columns that the statement declares and the query has not come first;
    /// those that both have are where the query has them, with the type that is declared.
    pub(super) fn create_table_as(&mut self, create: &CreateTable, query: &Query) -> SqlResult<Planned> {
        let mut begun = self.begin()?;
        let rel = begun.binder(&self.catalogs).query(query)?;
        let names: Vec<&str> = rel.schema().names();
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(SqlError::name(format!("the query has two columns '{name}'"))
                    .hint("name one of them by AS")
                    .at(create.position));
            }
        }
        let order = order(create, &names)?;
        let declared = |name: &str| create.columns.iter().find(|column| column.name.value == name);
        let mut columns: Vec<ColumnDefinition> = create
            .columns
            .iter()
            .filter(|column| !names.contains(&column.name.value.as_str()))
            .cloned()
            .collect();
        for index in order {
            let name = names[index];
            columns.push(match declared(name) {
                Some(column) if matches!(column.kind, ColumnKind::Physical(_)) => column.clone(),
                Some(column) => {
                    return Err(SqlError::semantic(format!(
                        "the query gives the column '{name}', which is computed or metadata in the table"
                    ))
                    .at(column.name.span));
                }
                None => ColumnDefinition {
                    name: Ident::new(name),
                    kind: ColumnKind::Physical(rel.schema().logical(index)),
                    comment: None,
                },
            });
        }
        let table = CreateTable { columns, column_order: Vec::new(), ..create.clone() };
        let before = self.catalogs.clone();
        self.create_table(&table)?;
        let insert = Insert {
            table: create.name.clone(),
            position: create.position,
            columns: names.iter().map(|name| Ident::new(*name)).collect(),
            partition: Vec::new(),
            overwrite: false,
            hints: Vec::new(),
            query: Box::new(query.clone()),
            on_conflict: None,
        };
        let planned = self.inserts(&[insert]);
        if planned.is_err() {
            // There is no table without its rows.
            self.catalogs = before;
        }
        planned
    }
}

/// In which order the columns of the query are in the table.
fn order(create: &CreateTable, names: &[&str]) -> SqlResult<Vec<usize>> {
    if create.column_order.is_empty() {
        return Ok((0..names.len()).collect());
    }
    if create.column_order.len() != names.len() {
        return Err(SqlError::semantic(format!(
            "{} columns are named, the query has {}",
            create.column_order.len(),
            names.len()
        ))
        .at(create.position));
    }
    let place = |name: &Ident| {
        names.iter().position(|known| *known == name.value).ok_or_else(|| {
            let error = SqlError::name(format!("the query has no column '{}'", name.value)).at(name.span);
            match nearest(&name.value, names.iter().copied()) {
                Some(near) => error.hint(format!("did you mean '{near}'?")),
                None => error,
            }
        })
    };
    let order: Vec<usize> = create.column_order.iter().map(place).collect::<SqlResult<_>>()?;
    for (index, name) in create.column_order.iter().enumerate() {
        if order[..index].contains(&order[index]) {
            return Err(SqlError::name(format!("the column '{}' is named twice", name.value)).at(name.span));
        }
    }
    Ok(order)
}
