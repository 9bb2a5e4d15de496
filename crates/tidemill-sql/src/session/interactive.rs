//! What a shell needs of a session: statements one by one, commands that are no SQL, and names to complete.

use super::{Planned, SqlSession};
use crate::catalog::{CatalogObject, ObjectPath};
use crate::error::SqlResult;
use crate::functions::{aggregate, registry};
use crate::parser::statement::{ScriptStatement, ShellCommand, Show, Statement};

/// Something that is up to the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `HELP`, `QUIT`, `CLEAR`.
    Shell(ShellCommand),
    /// `SHOW JOBS`.
    ShowJobs,
    /// `DESCRIBE JOB 'id'`.
    DescribeJob(String),
    /// `STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]`.
    StopJob {
        /// Its id.
        job: String,
        /// With a savepoint.
        savepoint: bool,
        /// All windows are fired first.
        drain: bool,
    },
}

impl Command {
    pub(super) fn of(statement: &Statement) -> Option<Self> {
        match statement {
            Statement::Shell(command) => Some(Command::Shell(*command)),
            Statement::Show(Show::Jobs) => Some(Command::ShowJobs),
            Statement::DescribeJob(job) => Some(Command::DescribeJob(job.clone())),
            Statement::StopJob { job, savepoint, drain } => {
                Some(Command::StopJob { job: job.clone(), savepoint: *savepoint, drain: *drain })
            }
            _ => None,
        }
    }
}

/// The names that mean something in a session.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Tables and views of the current database, with their columns.
    pub tables: Vec<(String, Vec<String>)>,
    /// Functions, in capitals.
    pub functions: Vec<String>,
    /// Catalogs and databases.
    pub places: Vec<String>,
    /// Options of connectors.
    pub table_options: Vec<&'static str>,
    /// Connectors.
    pub connectors: Vec<&'static str>,
}

impl SqlSession {
    /// The session for a shell, which carries out the [commands](Command).
    #[must_use]
    pub fn interactive(mut self) -> Self {
        self.interactive = true;
        self
    }

    /// Plans one statement of `script`, which is the text that it stands in.
    ///
    /// # Errors
    /// When it is wrong, with its place.
    pub fn plan_statement(&mut self, script: &str, statement: &ScriptStatement) -> SqlResult<Planned> {
        self.plan(statement).map_err(|error| error.at(statement.start).in_script(script))
    }

    /// The value of an option: what `SET` has set, or what the session began with.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.option(key)
    }

    /// The names that mean something now.
    pub fn names(&self) -> Names {
        let (catalog, database) = (&self.catalogs.current_catalog, &self.catalogs.current_database);
        let tables = self.catalogs.names(catalog, database).into_iter().map(|name| {
            let path =
                ObjectPath { catalog: catalog.clone(), database: database.clone(), name: name.clone() };
            let columns = match self.catalogs.get(&path) {
                Some(CatalogObject::Table(table)) => {
                    table.columns.iter().map(|column| column.name.clone()).collect()
                }
                Some(CatalogObject::View(view)) => match self.begin() {
                    _ if !view.columns.is_empty() => view.columns.clone(),
                    Ok(mut begun) => begun
                        .binder(&self.catalogs)
                        .query(&view.query)
                        .map(|rel| rel.schema().names().into_iter().map(str::to_owned).collect())
                        .unwrap_or_default(),
                    Err(_) => Vec::new(),
                },
                None => Vec::new(),
            };
            (name, columns)
        });
        let scalar = registry::all_scalar()
            .filter(|function| registry::is_callable(function))
            .map(|function| function.name);
        let mut functions: Vec<String> = scalar
            .chain(aggregate::FUNCTIONS.iter().map(|function| function.name))
            .map(str::to_owned)
            .collect();
        functions.sort_unstable();
        functions.dedup();
        let mut places = self.catalogs.catalogs();
        places.extend(self.catalogs.databases(catalog));
        Names {
            tables: tables.collect(),
            functions,
            places,
            table_options: self.connectors.option_keys(),
            connectors: self.connectors.identifiers(),
        }
    }
}
