//! The columns that names may mean.

use sqlparser::ast::Ident;

use crate::error::{SqlError, SqlResult, nearest};
use crate::expr::Expr;
use crate::plan::{Rel, Schema, TimeAttribute};
use crate::types::LogicalType;

/// The columns of what stands in `FROM`, with the names of their tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    columns: Vec<ScopeColumn>,
    /// Those of `*`, in their order.
    star: Vec<usize>,
}

/// A column that names may mean.
#[derive(Clone, Debug)]
pub(crate) struct ScopeColumn {
    /// The name or alias of its table.
    pub(crate) table: Option<String>,
    pub(crate) name: String,
    pub(crate) logical: LogicalType,
    pub(crate) time: Option<TimeAttribute>,
    /// Not found by its name and not part of `*`: made by the binder, or of a table whose column `USING` has put together with another.
    pub(crate) hidden: bool,
}

impl Scope {
    /// The columns of `rel` as those of a table called `table`.
    pub(crate) fn of(rel: &Rel, table: Option<&str>) -> Self {
        Self::of_schema(rel.schema(), table)
    }

    /// See [`of`](Self::of).
    pub(crate) fn of_schema(schema: &Schema, table: Option<&str>) -> Self {
        let columns = schema.columns().iter().map(|column| ScopeColumn {
            table: table.map(str::to_owned),
            name: column.name.clone(),
            logical: column.logical.clone(),
            time: column.time,
            hidden: false,
        });
        Self { columns: columns.collect(), star: (0..schema.len()).collect() }
    }

    pub(crate) fn columns(&self) -> &[ScopeColumn] {
        &self.columns
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The columns of this, then those of `other`, with the types that `rel`, which has them all, gives them.
    pub(crate) fn joined(self, other: Scope, rel: &Rel) -> Self {
        let mut both = self.beside(other);
        for (column, of_rel) in both.columns.iter_mut().zip(rel.schema().columns()) {
            column.logical = of_rel.logical.clone();
            column.time = of_rel.time;
        }
        both
    }

    /// The columns of this, then those of `other`.
    pub(crate) fn beside(mut self, other: Scope) -> Self {
        let before = self.columns.len();
        self.columns.extend(other.columns);
        self.star.extend(other.star.iter().map(|index| before + index));
        self
    }

    /// Adds columns that `rel` has behind those of this, which no name finds.
    pub(crate) fn extended_hidden(mut self, rel: &Rel) -> Self {
        for column in rel.schema().columns().iter().skip(self.columns.len()) {
            self.columns.push(ScopeColumn {
                table: None,
                name: column.name.clone(),
                logical: column.logical.clone(),
                time: column.time,
                hidden: true,
            });
        }
        self
    }

    /// Hides column `index`.
    pub(crate) fn hide(&mut self, index: usize) {
        if let Some(column) = self.columns.get_mut(index) {
            column.hidden = true;
        }
        self.star.retain(|known| *known != index);
    }

    /// Puts columns before all others of `*`.
    pub(crate) fn put_first(&mut self, first: &[usize]) {
        self.star.retain(|index| !first.contains(index));
        self.star.splice(0..0, first.iter().copied());
    }

    /// Adds the last column of `rel`, which is of no table.
    pub(crate) fn push_last(&mut self, rel: &Rel) -> usize {
        let index = self.columns.len();
        let all = Self::of(rel, None).columns;
        self.columns.extend(all.into_iter().skip(index));
        self.star.extend(index..self.columns.len());
        index
    }

    /// The column at `index`.
    pub(crate) fn expr(&self, index: usize) -> Expr {
        Expr::column(index, self.columns[index].logical.clone())
    }

    /// The columns of `*`, in their order.
    pub(crate) fn star(&self) -> impl Iterator<Item = (usize, &ScopeColumn)> {
        self.star.iter().filter_map(|index| Some((*index, self.columns.get(*index)?)))
    }

    /// Whether there is a table called `name`.
    pub(crate) fn has_table(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.table.as_deref() == Some(name))
    }

    /// The columns of the table called `name`, those of `USING` included.
    pub(crate) fn of_table(&self, name: &str) -> impl Iterator<Item = usize> {
        let is_of = move |column: &ScopeColumn| column.table.as_deref() == Some(name);
        self.columns.iter().enumerate().filter(move |(_, column)| is_of(column)).map(|(index, _)| index)
    }

    /// The column called `name`, of `table` if that is given; `None` when there is none.
    pub(crate) fn find(&self, table: Option<&str>, name: &Ident) -> SqlResult<Option<usize>> {
        let is_it = |column: &&ScopeColumn| {
            column.name == name.value
                && match table {
                    // Behind its table's name a column of `USING` is found on both sides.
                    Some(table) => column.table.as_deref() == Some(table),
                    None => !column.hidden,
                }
        };
        let mut found = self.columns.iter().enumerate().filter(|(_, column)| is_it(column));
        let Some((index, first)) = found.next() else { return Ok(None) };
        match found.next() {
            None => Ok(Some(index)),
            Some((_, second)) => {
                let full = |column: &ScopeColumn| match &column.table {
                    Some(table) => format!("'{table}.{}'", column.name),
                    None => format!("'{}'", column.name),
                };
                let error =
                    SqlError::name(format!("'{}' may be {} or {}", name.value, full(first), full(second)));
                Err(error.hint("write the name of its table before it").at(name.span))
            }
        }
    }

    /// The error that there is no column called `name`.
    pub(crate) fn unknown(&self, name: &Ident) -> SqlError {
        let visible = || self.columns.iter().filter(|column| !column.hidden);
        let error = SqlError::name(format!("there is no column '{}'", name.value)).at(name.span);
        match nearest(&name.value, visible().map(|column| column.name.as_str())) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => {
                let all: Vec<&str> = visible().map(|column| column.name.as_str()).take(30).collect();
                let more = if visible().count() > all.len() { ", …" } else { "" };
                error.hint(if all.is_empty() {
                    "there are no columns here".to_owned()
                } else {
                    format!("there are: {}{more}", all.join(", "))
                })
            }
        }
    }
}
