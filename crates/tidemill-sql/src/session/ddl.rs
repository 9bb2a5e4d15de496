//! Statements that change the session: definitions, settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Command, Planned, SqlSession};
use crate::binder::can_be_event_time;
use crate::catalog::{CatalogObject, ColumnSource, Table, TableColumn, View, Watermark, name_parts};
use crate::error::{SqlError, SqlResult, nearest};
use crate::parser::statement::{
    AlterTable, AlterView, ColumnKind, CreateTable, CreateView, LikeFeature, LikeTable, MergeStrategy,
    ObjectKind, ScriptStatement, Statement, TableOption,
};
use crate::plan::Column;

impl SqlSession {
    /// Statements that need no plan.
    pub(super) fn simple(&mut self, statement: &Statement, written: &ScriptStatement) -> SqlResult<Planned> {
        if self.interactive
            && let Some(command) = Command::of(statement)
        {
            return Ok(Planned::Command(command));
        }
        match statement {
            Statement::CreateTable(create) => self.create_table(create)?,
            Statement::CreateView(create) => self.create_view(create)?,
            Statement::CreateCatalog { name, if_not_exists, options, .. } => {
                let kind = options.iter().find(|option| option.key == "type");
                if let Some(option) = kind.filter(|option| option.value != "generic_in_memory") {
                    return Err(SqlError::unsupported(format!(
                        "there is no catalog of type '{}'",
                        option.value
                    ))
                    .hint("'type' = 'generic_in_memory' is supported")
                    .at(option.position));
                }
                self.catalogs
                    .create_catalog(&name.value, *if_not_exists)
                    .map_err(|error| error.at(name.span))?;
            }
            Statement::CreateDatabase { name, if_not_exists, .. } => {
                let (catalog, database) = self.catalogs.database_path(name)?;
                self.catalogs.create_database(&catalog, &database, *if_not_exists)?;
            }
            Statement::CreateFunction { name, language, .. } => {
                let language = language.as_deref().unwrap_or("JAVA").to_uppercase();
                return Err(SqlError::unsupported(format!(
                    "'{name}': functions in {language} cannot be run"
                ))
                .hint(crate::udf::HOW_TO_ADD)
                .at(written.start));
            }
            Statement::Jar { path } => {
                return Err(SqlError::unsupported(format!("'{path}': jars cannot be loaded"))
                    .hint(crate::udf::HOW_TO_ADD)
                    .at(written.start));
            }
            Statement::AlterTable { name, if_exists, action } => {
                self.alter_table(name, *if_exists, action)?
            }
            Statement::AlterView { name, action } => self.alter_view(name, action)?,
            Statement::AlterDatabase { name, .. } => {
                self.catalogs.database_path(name)?;
            }
            Statement::Drop { kind, name, if_exists, cascade, .. } => match kind {
                ObjectKind::Catalog => {
                    let (parts, position) = name_parts(name)?;
                    let name = parts.first().copied().unwrap_or_default();
                    self.catalogs.drop_catalog(name, *if_exists).map_err(|error| error.at(position))?;
                }
                ObjectKind::Database => {
                    let (catalog, database) = self.catalogs.database_path(name)?;
                    self.catalogs.drop_database(&catalog, &database, *if_exists, *cascade)?;
                }
                ObjectKind::Table | ObjectKind::View => {
                    let path = self.catalogs.path(name)?;
                    let (_, position) = name_parts(name)?;
                    self.catalogs
                        .drop(&path, *kind == ObjectKind::View, *if_exists)
                        .map_err(|error| error.at(position))?;
                }
                ObjectKind::Function => {
                    if self.catalogs.functions.describe(&name.to_string().to_uppercase()).is_some() {
                        return Err(SqlError::unsupported(format!(
                            "'{name}' was added by the program, not by CREATE FUNCTION: it cannot be dropped"
                        )));
                    }
                    if !*if_exists {
                        return Err(SqlError::name(format!(
                            "there is no function '{name}' that was created"
                        )));
                    }
                }
            },
            Statement::UseCatalog(name) => self.catalogs.use_catalog(name)?,
            Statement::UseDatabase(name) => self.catalogs.use_database(name)?,
            Statement::Set { key: Some(key), value: Some(value) } => {
                self.settings.insert(key.clone(), value.clone());
            }
            Statement::Set { .. } => return Ok(self.shown_settings(statement)),
            Statement::Reset { key } => match key {
                Some(key) => {
                    self.settings.remove(key);
                }
                None => self.settings.clear(),
            },
            Statement::Show(show) => return self.show(show),
            Statement::Describe { name, .. } => return self.describe(name),
            Statement::DescribeFunction(name) => return self.describe_function(name),
            Statement::Unsupported { what } => {
                return Err(SqlError::unsupported(format!("{what} is not supported")).at(written.start));
            }
            Statement::Shell(_) | Statement::StopJob { .. } | Statement::DescribeJob(_) => {
                return Err(
                    SqlError::unsupported("this belongs into a shell, not into a script").at(written.start)
                );
            }
            Statement::Query(_)
            | Statement::CreateTableAs(..)
            | Statement::Insert(_)
            | Statement::StatementSet(_)
            | Statement::Explain { .. } => {
                return Err(SqlError::internal("a statement with a plan came where none is made"));
            }
        }
        Ok(Planned::Done)
    }

    pub(super) fn create_table(&mut self, create: &CreateTable) -> SqlResult<()> {
        if let Some(position) = create.distributed {
            return Err(SqlError::unsupported("DISTRIBUTED BY is not supported").at(position));
        }
        let path = self.catalogs.path(&create.name)?;
        let mut base = match &create.like {
            Some(like) => self.like(like)?,
            None => Base::default(),
        };
        let mut columns = std::mem::take(&mut base.columns);
        let mut computed = Vec::new();
        for definition in &create.columns {
            if columns.iter().any(|column: &TableColumn| column.name == definition.name.value) {
                return Err(SqlError::name(format!(
                    "the column '{}' is defined twice",
                    definition.name.value
                ))
                .at(definition.name.span));
            }
            let (logical, source) = match &definition.kind {
                ColumnKind::Physical(logical) => (logical.clone(), ColumnSource::Physical),
                ColumnKind::Metadata { logical, key, is_virtual } => {
                    let key = key.clone().unwrap_or_else(|| definition.name.value.clone());
                    (logical.clone(), ColumnSource::Metadata { key, is_virtual: *is_virtual })
                }
                ColumnKind::Computed(expression) => {
                    computed.push(columns.len());
                    (crate::types::TypeRoot::Null.nullable(), ColumnSource::Computed(expression.clone()))
                }
            };
            columns.push(TableColumn {
                name: definition.name.value.clone(),
                logical,
                source,
                comment: definition.comment.clone(),
            });
        }
        if columns.is_empty() {
            return Err(SqlError::semantic(format!("the table '{path}' has no columns")).at(create.position));
        }
        let begun = self.begin()?;
        let stored: Vec<Column> = columns
            .iter()
            .filter(|column| !matches!(column.source, ColumnSource::Computed(_)))
            .map(|column| Column::new(column.name.clone(), column.logical.clone()))
            .collect();
        for index in computed {
            let ColumnSource::Computed(expression) = columns[index].source.clone() else { continue };
            let mut begun = begun.clone();
            let bound = begun.binder(&self.catalogs).column_expression(
                stored.clone(),
                &expression,
                "a computed column",
            )?;
            columns[index].logical = bound.logical();
        }
        let place = |columns: &[TableColumn], name: &sqlparser::ast::Ident| {
            columns.iter().position(|column| column.name == name.value).ok_or_else(|| {
                let error = SqlError::name(format!("the table has no column '{}'", name.value)).at(name.span);
                match nearest(&name.value, columns.iter().map(|column| column.name.as_str())) {
                    Some(near) => error.hint(format!("did you mean '{near}'?")),
                    None => error,
                }
            })
        };
        let mut primary_key = base.primary_key;
        if let Some(key) = &create.primary_key {
            if !key.not_enforced {
                return Err(SqlError::semantic(
                    "a PRIMARY KEY is not checked by the engine: write NOT ENFORCED",
                )
                .at(key.position));
            }
            primary_key = key.columns.iter().map(|name| place(&columns, name)).collect::<SqlResult<_>>()?;
            for index in &primary_key {
                columns[*index].logical.nullable = false;
            }
        }
        let mut watermark = base.watermark;
        if let Some(definition) = &create.watermark {
            let [name] = &definition.column[..] else {
                return Err(SqlError::unsupported("a field of a row cannot be event time")
                    .hint("make it a computed column, and that the event time")
                    .at(definition.position));
            };
            let index = place(&columns, name)?;
            let root = &columns[index].logical.root;
            if !can_be_event_time(root) {
                return Err(SqlError::types(format!(
                    "event time is a TIMESTAMP(3) or TIMESTAMP_LTZ(3), '{}' is a {root}",
                    name.value
                ))
                .hint(format!(
                    "CAST it in a computed column: event_time AS CAST({} AS TIMESTAMP(3))",
                    name.value
                ))
                .at(name.span));
            }
            let all = columns.iter().map(|column| Column::new(column.name.clone(), column.logical.clone()));
            let mut begun = begun.clone();
            let bound = begun.binder(&self.catalogs).column_expression(
                all.collect(),
                &definition.expression,
                "a watermark",
            )?;
            if !can_be_event_time(&bound.logical().root) {
                return Err(SqlError::types(format!(
                    "a watermark is a TIMESTAMP(3) or TIMESTAMP_LTZ(3), this is a {}",
                    bound.logical().root
                ))
                .at(definition.position));
            }
            watermark = Some(Watermark { column: index, expression: definition.expression.clone() });
        }
        let mut partitioned_by = base.partitioned_by;
        if !create.partitioned_by.is_empty() {
            partitioned_by =
                create.partitioned_by.iter().map(|name| place(&columns, name)).collect::<SqlResult<_>>()?;
            for (index, name) in partitioned_by.iter().zip(&create.partitioned_by) {
                let column: &TableColumn = &columns[*index];
                if !matches!(column.source, ColumnSource::Physical) {
                    return Err(SqlError::semantic(format!(
                        "a table is partitioned by columns that it stores, '{}' is computed or metadata",
                        column.name
                    ))
                    .at(name.span));
                }
            }
        }
        let mut options = base.options;
        for option in &create.options {
            if options.contains_key(&option.key) && base.keep_options {
                return Err(SqlError::option(format!(
                    "the option '{}' is in the other table already",
                    option.key
                ))
                .hint("write LIKE … (OVERWRITING OPTIONS)")
                .at(option.position));
            }
            options.insert(option.key.clone(), option.value.clone());
        }
        let comment = create.comment.clone();
        let table =
            Table { path: path.clone(), columns, watermark, primary_key, partitioned_by, options, comment };
        self.catalogs
            .add(path, CatalogObject::Table(Arc::new(table)), create.temporary, create.if_not_exists)
            .map_err(|error| error.at(create.position))
    }

    /// What `LIKE` takes over of another table.
    fn like(&self, like: &LikeTable) -> SqlResult<Base> {
        let CatalogObject::Table(table) = self.catalogs.find(&like.table)? else {
            return Err(SqlError::semantic("LIKE takes a table, not a view").at(like.position));
        };
        let strategy = |feature: LikeFeature| {
            let mut found = if feature == LikeFeature::Options {
                MergeStrategy::Overwriting
            } else {
                MergeStrategy::Including
            };
            for (strategy, of) in &like.options {
                if *of == LikeFeature::All || *of == feature {
                    found = *strategy;
                }
            }
            found
        };
        let wanted = |feature| strategy(feature) != MergeStrategy::Excluding;
        // Columns that are left out change the numbers of the others.
        let mut places = vec![None; table.columns.len()];
        let mut columns = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            let kept = match column.source {
                ColumnSource::Physical => true,
                ColumnSource::Metadata { .. } => wanted(LikeFeature::Metadata),
                ColumnSource::Computed(_) => wanted(LikeFeature::Generated),
            };
            if kept {
                places[index] = Some(columns.len());
                columns.push(column.clone());
            }
        }
        let moved = |all: &[usize]| -> Vec<usize> { all.iter().filter_map(|index| places[*index]).collect() };
        let watermark =
            table.watermark.as_ref().filter(|_| wanted(LikeFeature::Watermarks)).and_then(|watermark| {
                let column = places[watermark.column]?;
                Some(Watermark { column, expression: watermark.expression.clone() })
            });
        Ok(Base {
            columns,
            watermark,
            primary_key: if wanted(LikeFeature::Constraints) {
                moved(&table.primary_key)
            } else {
                Vec::new()
            },
            partitioned_by: if wanted(LikeFeature::Partitions) {
                moved(&table.partitioned_by)
            } else {
                Vec::new()
            },
            options: if wanted(LikeFeature::Options) { table.options.clone() } else { BTreeMap::new() },
            keep_options: strategy(LikeFeature::Options) == MergeStrategy::Including,
        })
    }

    fn create_view(&mut self, create: &CreateView) -> SqlResult<()> {
        let path = self.catalogs.path(&create.name)?;
        // Whether it can be bound at all is said where it is created, not where it is first read.
        let mut begun = self.begin()?;
        let rel = begun.binder(&self.catalogs).query(&create.query)?;
        if !create.columns.is_empty() && create.columns.len() != rel.schema().len() {
            return Err(SqlError::semantic(format!(
                "the view '{path}' names {} columns, its query has {}",
                create.columns.len(),
                rel.schema().len()
            ))
            .at(create.position));
        }
        let view = View {
            path: path.clone(),
            columns: create.columns.iter().map(|name| name.value.clone()).collect(),
            query: create.query.clone(),
            text: Arc::clone(&create.text),
            comment: create.comment.clone(),
            scope: (self.catalogs.current_catalog.clone(), self.catalogs.current_database.clone()),
        };
        self.catalogs
            .add(path, CatalogObject::View(Arc::new(view)), create.temporary, create.if_not_exists)
            .map_err(|error| error.at(create.position))
    }

    fn alter_table(
        &mut self,
        name: &sqlparser::ast::ObjectName,
        if_exists: bool,
        action: &AlterTable,
    ) -> SqlResult<()> {
        let found = match self.catalogs.find(name) {
            Err(_) if if_exists => return Ok(()),
            found => found?,
        };
        let (_, position) = name_parts(name)?;
        let CatalogObject::Table(table) = found else {
            return Err(SqlError::semantic(format!("'{name}' is a view: write ALTER VIEW")).at(position));
        };
        let changed = |change: &dyn Fn(&mut Table)| {
            let mut table = (*table).clone();
            change(&mut table);
            CatalogObject::Table(Arc::new(table))
        };
        match action {
            AlterTable::Set(options) => {
                let set = |table: &mut Table| {
                    for TableOption { key, value, .. } in options {
                        table.options.insert(key.clone(), value.clone());
                    }
                };
                self.catalogs.replace(&table.path, changed(&set));
            }
            AlterTable::Reset(keys) => {
                let reset = |table: &mut Table| table.options.retain(|key, _| !keys.contains(key));
                self.catalogs.replace(&table.path, changed(&reset));
            }
            AlterTable::Rename(to) => {
                let path = self.catalogs.path(to)?;
                let renamed = changed(&|table: &mut Table| table.path = path.clone());
                let Some((before, temporary)) = self.catalogs.remove(&table.path) else { return Ok(()) };
                if let Err(error) = self.catalogs.add(path.clone(), renamed, temporary, false) {
                    self.catalogs.add(table.path.clone(), before, temporary, false)?;
                    return Err(error.at(position));
                }
            }
            AlterTable::Unsupported(what) => {
                return Err(SqlError::unsupported(format!("ALTER TABLE {what} is not supported"))
                    .hint("RENAME TO, SET (…) and RESET (…) are")
                    .at(position));
            }
        }
        Ok(())
    }

    fn alter_view(&mut self, name: &sqlparser::ast::ObjectName, action: &AlterView) -> SqlResult<()> {
        let (_, position) = name_parts(name)?;
        let CatalogObject::View(view) = self.catalogs.find(name)? else {
            return Err(SqlError::semantic(format!("'{name}' is a table: write ALTER TABLE")).at(position));
        };
        let with = |path, columns, query, text| View {
            path,
            columns,
            query,
            text,
            comment: view.comment.clone(),
            scope: view.scope.clone(),
        };
        match action {
            AlterView::Rename(to) => {
                let path = self.catalogs.path(to)?;
                let renamed =
                    with(path.clone(), view.columns.clone(), view.query.clone(), Arc::clone(&view.text));
                let Some((before, temporary)) = self.catalogs.remove(&view.path) else { return Ok(()) };
                if let Err(error) =
                    self.catalogs.add(path, CatalogObject::View(Arc::new(renamed)), temporary, false)
                {
                    self.catalogs.add(view.path.clone(), before, temporary, false)?;
                    return Err(error.at(position));
                }
            }
            AlterView::As(query, text) => {
                let mut begun = self.begin()?;
                begun.binder(&self.catalogs).query(query)?;
                let changed = with(view.path.clone(), Vec::new(), query.clone(), Arc::clone(text));
                self.catalogs.replace(&view.path, CatalogObject::View(Arc::new(changed)));
            }
        }
        Ok(())
    }
}

/// What a table begins with.
#[derive(Default)]
struct Base {
    columns: Vec<TableColumn>,
    watermark: Option<Watermark>,
    primary_key: Vec<usize>,
    partitioned_by: Vec<usize>,
    options: BTreeMap<String, String>,
    /// Whether an option of the new table may not have the key of one of the other.
    keep_options: bool,
}
