//! `SHOW`, `DESCRIBE` and `SET` without a value.

use std::fmt::Write;

use sqlparser::ast::ObjectName;

use super::{Planned, SqlSession};
use crate::binder::is_quoted_file;
use crate::catalog::{CatalogObject, Catalogs, ColumnSource, Table};
use crate::error::{SqlError, SqlResult};
use crate::functions::reference;
use crate::parser::statement::{Show, Statement};
use crate::plan::Rel;

fn list(column: &str, rows: impl IntoIterator<Item = String>) -> Planned {
    Planned::List(vec![column.to_owned()], rows.into_iter().map(|row| vec![row]).collect())
}

impl SqlSession {
    pub(super) fn shown_settings(&self, statement: &Statement) -> Planned {
        let wanted = match statement {
            Statement::Set { key, .. } => key.as_deref(),
            _ => None,
        };
        let mut all = self.defaults.clone();
        all.extend(self.settings.clone());
        let rows = all.into_iter().filter(|(key, _)| wanted.is_none_or(|wanted| wanted == key));
        let rows = rows.map(|(key, value)| {
            let shown = if tidemill_core::config::is_sensitive(&key) { "******".to_owned() } else { value };
            vec![key, shown]
        });
        Planned::List(vec!["key".to_owned(), "value".to_owned()], rows.collect())
    }

    pub(super) fn show(&self, show: &Show) -> SqlResult<Planned> {
        self.show_in(&self.catalogs, show)
    }

    fn show_in(&self, catalogs: &Catalogs, show: &Show) -> SqlResult<Planned> {
        let current = (catalogs.current_catalog.clone(), catalogs.current_database.clone());
        Ok(match show {
            Show::Catalogs => list("catalog name", catalogs.catalogs()),
            Show::CurrentCatalog => list("current catalog name", [current.0]),
            Show::Databases => list("database name", catalogs.databases(&current.0)),
            Show::CurrentDatabase => list("current database name", [current.1]),
            Show::Tables { from, like } => {
                let (catalog, database) = match from {
                    Some(name) => catalogs.database_path(name)?,
                    None => current,
                };
                let mut names = catalogs.names(&catalog, &database);
                if let Some((negated, pattern)) = like {
                    names.retain(|name| is_like(name, pattern) != *negated);
                }
                list("table name", names)
            }
            Show::Views => {
                let names = catalogs.names(&current.0, &current.1);
                let is_view = |name: &String| {
                    let path = crate::catalog::ObjectPath {
                        catalog: current.0.clone(),
                        database: current.1.clone(),
                        name: name.clone(),
                    };
                    matches!(catalogs.get(&path), Some(CatalogObject::View(_)))
                };
                list("view name", names.into_iter().filter(is_view))
            }
            Show::Jars => list("jars", []),
            Show::Functions { user: true } => {
                list("function name", catalogs.functions.names().into_iter().map(str::to_lowercase))
            }
            Show::Functions { user: false } => {
                let built_in = reference::all().into_iter().filter(|function| function.is_callable);
                let built_in = built_in.map(|function| function.name);
                let own = catalogs.functions.names().into_iter().map(str::to_lowercase);
                let mut names: Vec<String> = built_in.map(str::to_lowercase).chain(own).collect();
                names.sort_unstable();
                list("function name", names)
            }
            Show::Columns { table, like } => {
                let Planned::List(columns, mut rows) = self.describe(table)? else {
                    return Ok(Planned::Done);
                };
                if let Some((negated, pattern)) = like {
                    rows.retain(|row| row.first().is_some_and(|name| is_like(name, pattern) != *negated));
                }
                Planned::List(columns, rows)
            }
            Show::CreateTable(name) => match catalogs.find(name)? {
                CatalogObject::Table(table) => Planned::Text(create_table(&table)),
                CatalogObject::View(_) => return Err(SqlError::semantic(format!("'{name}' is a view"))),
            },
            Show::CreateView(name) => match catalogs.find(name)? {
                CatalogObject::View(view) => {
                    let columns = match view.columns.len() {
                        0 => String::new(),
                        _ => format!(" ({})", view.columns.join(", ")),
                    };
                    Planned::Text(format!(
                        "CREATE VIEW {}{columns} AS\n{}\n",
                        quoted_path(&view.path),
                        view.text
                    ))
                }
                CatalogObject::Table(_) => return Err(SqlError::semantic(format!("'{name}' is a table"))),
            },
            Show::CreateCatalog(name) => {
                if !catalogs.catalogs().contains(&name.value) {
                    return Err(SqlError::name(format!("there is no catalog '{}'", name.value)).at(name.span));
                }
                let name = quoted(&name.value);
                Planned::Text(format!("CREATE CATALOG {name} WITH (\n  'type' = 'generic_in_memory'\n)\n"))
            }
            Show::Filtered { show, from, like } => {
                let mut there = self.catalogs.clone();
                if let Some(name) = from {
                    match **show {
                        Show::Databases => there.use_catalog(&only_part(name)?)?,
                        _ => there.use_database(name)?,
                    }
                }
                let Planned::List(columns, mut rows) = self.show_in(&there, show)? else {
                    return Ok(Planned::Done);
                };
                if let Some(like) = like {
                    let fold =
                        |text: &str| if like.ignore_case { text.to_lowercase() } else { text.to_owned() };
                    let pattern = fold(&like.pattern);
                    rows.retain(|row| {
                        row.first().is_some_and(|name| is_like(&fold(name), &pattern) != like.negated)
                    });
                }
                Planned::List(columns, rows)
            }
            Show::Modules => list("module name", ["core".to_owned()]),
            Show::Jobs => {
                return Err(SqlError::unsupported("SHOW JOBS belongs into a shell, not into a script"));
            }
        })
    }

    pub(super) fn describe_function(&self, name: &ObjectName) -> SqlResult<Planned> {
        let (parts, position) = crate::catalog::name_parts(name)?;
        let wanted = parts.last().copied().unwrap_or_default().to_uppercase();
        let row = |info: &str, value: &str| vec![info.to_owned(), value.to_owned()];
        let rows = match self.catalogs.functions.describe(&wanted) {
            Some((kind, description)) => vec![
                row("is system function", "false"),
                row("kind", kind),
                row("function language", "RUST"),
                row("description", description),
            ],
            None => {
                let all = reference::all();
                let is_it = |name: &&str| *name == wanted;
                let found =
                    all.iter().find(|function| is_it(&function.name) || function.aliases.iter().any(is_it));
                let Some(function) = found else {
                    let mut begun = self.begin()?;
                    return Err(begun.binder(&self.catalogs).unknown_function(&wanted).at(position));
                };
                vec![
                    row("is system function", "true"),
                    row("chapter", function.chapter),
                    row("usage", function.usage),
                    row("description", function.description),
                ]
            }
        };
        Ok(Planned::List(vec!["info name".to_owned(), "info value".to_owned()], rows))
    }

    pub(super) fn describe(&self, name: &ObjectName) -> SqlResult<Planned> {
        let heads = ["name", "type", "null", "key", "extras", "watermark"].map(str::to_owned).to_vec();
        if is_quoted_file(name) {
            let rel = self.begin()?.binder(&self.catalogs).table(name, &[])?;
            return Ok(Planned::List(heads, described(&rel, &[])));
        }
        let rows = match self.catalogs.find(name)? {
            CatalogObject::Table(table) => {
                let key: Vec<&str> =
                    table.primary_key.iter().map(|index| table.columns[*index].name.as_str()).collect();
                let describe = |(index, column): (usize, &crate::catalog::TableColumn)| {
                    let watermark = table.watermark.as_ref().filter(|watermark| watermark.column == index);
                    let rowtime = if watermark.is_some() { " *ROWTIME*" } else { "" };
                    let extras = match &column.source {
                        ColumnSource::Physical => String::new(),
                        ColumnSource::Computed(expression) => format!("AS {expression}"),
                        ColumnSource::Metadata { key, is_virtual } => {
                            format!("METADATA FROM '{key}'{}", if *is_virtual { " VIRTUAL" } else { "" })
                        }
                    };
                    vec![
                        column.name.clone(),
                        format!("{}{rowtime}", column.logical.root),
                        column.logical.nullable.to_string().to_uppercase(),
                        if table.primary_key.contains(&index) {
                            format!("PRI({})", key.join(", "))
                        } else {
                            String::new()
                        },
                        extras,
                        watermark.map(|watermark| watermark.expression.to_string()).unwrap_or_default(),
                    ]
                };
                table.columns.iter().enumerate().map(describe).collect()
            }
            CatalogObject::View(view) => {
                let mut begun = self.begin()?;
                let rel = begun.binder(&self.catalogs).query(&view.query)?;
                described(&rel, &view.columns)
            }
        };
        Ok(Planned::List(heads, rows))
    }
}

/// The columns of a query, with other names where there are some.
fn described(rel: &Rel, names: &[String]) -> Vec<Vec<String>> {
    let columns = rel.schema().columns().iter().enumerate().map(|(index, column)| {
        let null = column.logical.nullable.to_string().to_uppercase();
        let [key, extras, watermark] = std::array::from_fn(|_| String::new());
        let name = names.get(index).unwrap_or(&column.name).clone();
        vec![name, column.logical.root.to_string(), null, key, extras, watermark]
    });
    columns.collect()
}

/// The only part of a name.
fn only_part(name: &ObjectName) -> SqlResult<sqlparser::ast::Ident> {
    match &name.0[..] {
        [sqlparser::ast::ObjectNamePart::Identifier(ident)] => Ok(ident.clone()),
        _ => Err(SqlError::name(format!("'{name}' is no name of a catalog"))),
    }
}

/// Whether `name` is like a pattern of `LIKE`.
fn is_like(name: &str, pattern: &str) -> bool {
    fn matches(name: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['%', rest @ ..] => (0..=name.len()).any(|skipped| matches(&name[skipped..], rest)),
            ['_', rest @ ..] => !name.is_empty() && matches(&name[1..], rest),
            [wanted, rest @ ..] => name.first() == Some(wanted) && matches(&name[1..], rest),
        }
    }
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    // One wildcard after another is one.
    let mut short: Vec<char> = Vec::with_capacity(pattern.len());
    for c in pattern {
        if !(c == '%' && short.last() == Some(&'%')) {
            short.push(c);
        }
    }
    matches(&name, &short)
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn quoted_path(path: &crate::catalog::ObjectPath) -> String {
    format!("{}.{}.{}", quoted(&path.catalog), quoted(&path.database), quoted(&path.name))
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn create_table(table: &Table) -> String {
    let mut parts = Vec::new();
    for column in &table.columns {
        let mut part = format!("  {} ", quoted(&column.name));
        match &column.source {
            ColumnSource::Physical => part += &column.logical.to_string(),
            ColumnSource::Computed(expression) => {
                let _ = write!(part, "AS {expression}");
            }
            ColumnSource::Metadata { key, is_virtual } => {
                let _ = write!(part, "{} METADATA FROM {}", column.logical, text(key));
                part += if *is_virtual { " VIRTUAL" } else { "" };
            }
        }
        if let Some(comment) = &column.comment {
            let _ = write!(part, " COMMENT {}", text(comment));
        }
        parts.push(part);
    }
    let names = |columns: &[usize]| -> String {
        let names: Vec<String> = columns.iter().map(|index| quoted(&table.columns[*index].name)).collect();
        names.join(", ")
    };
    if let Some(watermark) = &table.watermark {
        parts.push(format!("  WATERMARK FOR {} AS {}", names(&[watermark.column]), watermark.expression));
    }
    if !table.primary_key.is_empty() {
        parts.push(format!("  PRIMARY KEY ({}) NOT ENFORCED", names(&table.primary_key)));
    }
    let mut out = format!("CREATE TABLE {} (\n{}\n)", quoted_path(&table.path), parts.join(",\n"));
    if let Some(comment) = &table.comment {
        let _ = write!(out, " COMMENT {}", text(comment));
    }
    if !table.partitioned_by.is_empty() {
        let _ = write!(out, "\nPARTITIONED BY ({})", names(&table.partitioned_by));
    }
    let options: Vec<String> = table
        .options
        .iter()
        .map(|(key, value)| {
            let shown = if tidemill_core::config::is_sensitive(key) { "******" } else { value };
            format!("  {} = {}", text(key), text(shown))
        })
        .collect();
    let _ = write!(out, "\nWITH (\n{}\n)\n", options.join(",\n"));
    out
}
