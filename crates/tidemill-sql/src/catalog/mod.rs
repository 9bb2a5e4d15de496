//! What names mean: catalogs of databases of tables and views, in memory.

mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Query};

pub(crate) use table::{ColumnSource, Table, TableColumn, Watermark};

use crate::error::{Position, SqlError, SqlResult, nearest};
use crate::udf::UserFunctions;

/// The catalog and the database that a session begins with.
pub(crate) const DEFAULT_CATALOG: &str = "default_catalog";
/// See [`DEFAULT_CATALOG`].
pub(crate) const DEFAULT_DATABASE: &str = "default_database";

/// The full name of a table or view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectPath {
    pub(crate) catalog: String,
    pub(crate) database: String,
    pub(crate) name: String,
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.database, self.name)
    }
}

/// A view.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) path: ObjectPath,
    /// The names of its columns, when they are given.
    pub(crate) columns: Vec<String>,
    pub(crate) query: Box<Query>,
    /// The text of the query.
    pub(crate) text: Arc<str>,
    pub(crate) comment: Option<String>,
    /// The catalog and database that names in it are looked up in.
    pub(crate) scope: (String, String),
}

/// A table or a view.
#[derive(Clone, Debug)]
pub(crate) enum CatalogObject {
    Table(Arc<Table>),
    View(Arc<View>),
}

impl CatalogObject {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            CatalogObject::Table(_) => "table",
            CatalogObject::View(_) => "view",
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Database {
    objects: BTreeMap<String, CatalogObject>,
}

/// All catalogs of a session.
#[derive(Clone, Debug)]
pub(crate) struct Catalogs {
    catalogs: BTreeMap<String, BTreeMap<String, Database>>,
    /// Temporary tables and views, which hide others of the same name.
    temporary: BTreeMap<ObjectPath, CatalogObject>,
    /// The session's own functions.
    pub(crate) functions: UserFunctions,
    pub(crate) current_catalog: String,
    pub(crate) current_database: String,
}

impl Default for Catalogs {
    fn default() -> Self {
        let database = BTreeMap::from([(DEFAULT_DATABASE.to_owned(), Database::default())]);
        Self {
            catalogs: BTreeMap::from([(DEFAULT_CATALOG.to_owned(), database)]),
            temporary: BTreeMap::new(),
            functions: UserFunctions::default(),
            current_catalog: DEFAULT_CATALOG.to_owned(),
            current_database: DEFAULT_DATABASE.to_owned(),
        }
    }
}

/// The parts of a name, and where it stands.
pub(crate) fn name_parts(name: &ObjectName) -> SqlResult<(Vec<&str>, Position)> {
    let mut parts = Vec::with_capacity(name.0.len());
    let mut position = Position::default();
    for part in &name.0 {
        match part {
            ObjectNamePart::Identifier(ident) => {
                if parts.is_empty() {
                    position = ident.span.into();
                }
                parts.push(ident.value.as_str());
            }
            ObjectNamePart::Function(function) => {
                return Err(SqlError::syntax("a name is expected, not a call").at(function.name.span));
            }
        }
    }
    Ok((parts, position))
}

impl Catalogs {
    /// The full name of what is called `name` now.
    pub(crate) fn path(&self, name: &ObjectName) -> SqlResult<ObjectPath> {
        let (parts, position) = name_parts(name)?;
        let (catalog, database, name) = match parts[..] {
            [name] => (self.current_catalog.as_str(), self.current_database.as_str(), name),
            [database, name] => (self.current_catalog.as_str(), database, name),
            [catalog, database, name] => (catalog, database, name),
            _ => {
                return Err(SqlError::name(format!("'{name}' has too many parts"))
                    .hint("a table is called catalog.database.table, database.table or table")
                    .at(position));
            }
        };
        Ok(ObjectPath { catalog: catalog.into(), database: database.into(), name: name.into() })
    }

    /// What is called `name` now.
    pub(crate) fn find(&self, name: &ObjectName) -> SqlResult<CatalogObject> {
        let path = self.path(name)?;
        let (_, position) = name_parts(name)?;
        self.get(&path).ok_or_else(|| self.unknown(&path, "table or view").at(position))
    }

    /// What is called `path`.
    pub(crate) fn get(&self, path: &ObjectPath) -> Option<CatalogObject> {
        let permanent = || self.catalogs.get(&path.catalog)?.get(&path.database)?.objects.get(&path.name);
        self.temporary.get(path).or_else(permanent).cloned()
    }

    fn unknown(&self, path: &ObjectPath, what: &str) -> SqlError {
        let Some(catalog) = self.catalogs.get(&path.catalog) else {
            return self.no_catalog(&path.catalog);
        };
        if !catalog.contains_key(&path.database) {
            return no_database(&path.catalog, &path.database, catalog);
        }
        let error = SqlError::name(format!(
            "there is no {what} '{}' in '{}.{}'",
            path.name, path.catalog, path.database
        ));
        let all = self.names(&path.catalog, &path.database);
        match nearest(&path.name, all.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None if all.is_empty() => error.hint("create it by CREATE TABLE, earlier in the script"),
            None => error.hint(format!("there are: {}", all.join(", "))),
        }
    }

    fn no_catalog(&self, name: &str) -> SqlError {
        let known: Vec<&str> = self.catalogs.keys().map(String::as_str).collect();
        SqlError::name(format!("there is no catalog '{name}'"))
            .hint(format!("there are: {}", known.join(", ")))
    }

    /// The names of all tables and views of a database.
    pub(crate) fn names(&self, catalog: &str, database: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .catalogs
            .get(catalog)
            .and_then(|catalog| catalog.get(database))
            .map(|database| database.objects.keys().cloned().collect())
            .unwrap_or_default();
        let temporary =
            self.temporary.keys().filter(|path| path.catalog == catalog && path.database == database);
        names.extend(temporary.map(|path| path.name.clone()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Adds a table or view. `replace` says that there may be one of that name already, which then stays.
    pub(crate) fn add(
        &mut self,
        path: ObjectPath,
        object: CatalogObject,
        temporary: bool,
        if_not_exists: bool,
    ) -> SqlResult<()> {
        let Some(catalog) = self.catalogs.get_mut(&path.catalog) else {
            return Err(self.no_catalog(&path.catalog));
        };
        if !catalog.contains_key(&path.database) {
            return Err(no_database(&path.catalog, &path.database, catalog));
        }
        let exists = |kind: &str| {
            SqlError::name(format!("there is a {kind} '{path}' already"))
                .hint("write IF NOT EXISTS to keep it, or drop it before")
        };
        if temporary {
            if let Some(before) = self.temporary.get(&path) {
                return if if_not_exists { Ok(()) } else { Err(exists(before.kind())) };
            }
            self.temporary.insert(path, object);
            return Ok(());
        }
        let Some(database) = catalog.get_mut(&path.database) else { return Ok(()) };
        match database.objects.get(&path.name) {
            Some(_) if if_not_exists => Ok(()),
            Some(before) => Err(exists(before.kind())),
            None => {
                database.objects.insert(path.name, object);
                Ok(())
            }
        }
    }

    /// Puts another definition in the place of the one of the same name.
    pub(crate) fn replace(&mut self, path: &ObjectPath, object: CatalogObject) {
        if let Some(place) = self.temporary.get_mut(path) {
            *place = object;
        } else if let Some(place) = self
            .catalogs
            .get_mut(&path.catalog)
            .and_then(|catalog| catalog.get_mut(&path.database))
            .and_then(|database| database.objects.get_mut(&path.name))
        {
            *place = object;
        }
    }

    /// Removes a table (or, with `view`, a view).
    pub(crate) fn drop(&mut self, path: &ObjectPath, view: bool, if_exists: bool) -> SqlResult<()> {
        let what = if view { "view" } else { "table" };
        match self.get(path) {
            Some(object) if matches!(object, CatalogObject::View(_)) == view => {
                self.remove(path);
                Ok(())
            }
            Some(object) => {
                let kind = object.kind();
                Err(SqlError::semantic(format!("'{path}' is a {kind}, not a {what}"))
                    .hint(format!("write DROP {}", kind.to_uppercase())))
            }
            None if if_exists => Ok(()),
            None => Err(self.unknown(path, what)),
        }
    }

    /// Removes what is called `path` and gives it back, and whether it was temporary.
    pub(crate) fn remove(&mut self, path: &ObjectPath) -> Option<(CatalogObject, bool)> {
        if let Some(object) = self.temporary.remove(path) {
            return Some((object, true));
        }
        let database = self.catalogs.get_mut(&path.catalog)?.get_mut(&path.database)?;
        database.objects.remove(&path.name).map(|object| (object, false))
    }

    pub(crate) fn use_catalog(&mut self, name: &Ident) -> SqlResult<()> {
        if !self.catalogs.contains_key(&name.value) {
            return Err(self.no_catalog(&name.value).at(name.span));
        }
        self.current_catalog.clone_from(&name.value);
        self.current_database = DEFAULT_DATABASE.to_owned();
        Ok(())
    }

    pub(crate) fn use_database(&mut self, name: &ObjectName) -> SqlResult<()> {
        let (catalog, database) = self.database_path(name)?;
        let (_, position) = name_parts(name)?;
        let Some(found) = self.catalogs.get(&catalog) else {
            return Err(self.no_catalog(&catalog).at(position));
        };
        if !found.contains_key(&database) {
            return Err(no_database(&catalog, &database, found).at(position));
        }
        (self.current_catalog, self.current_database) = (catalog, database);
        Ok(())
    }

    /// The catalog and the database that `name` says.
    pub(crate) fn database_path(&self, name: &ObjectName) -> SqlResult<(String, String)> {
        let (parts, position) = name_parts(name)?;
        match parts[..] {
            [database] => Ok((self.current_catalog.clone(), database.to_owned())),
            [catalog, database] => Ok((catalog.to_owned(), database.to_owned())),
            _ => Err(SqlError::name(format!("'{name}' is no name of a database")).at(position)),
        }
    }

    pub(crate) fn create_catalog(&mut self, name: &str, if_not_exists: bool) -> SqlResult<()> {
        if self.catalogs.contains_key(name) {
            if if_not_exists {
                return Ok(());
            }
            return Err(SqlError::name(format!("there is a catalog '{name}' already")));
        }
        let database = BTreeMap::from([(DEFAULT_DATABASE.to_owned(), Database::default())]);
        self.catalogs.insert(name.to_owned(), database);
        Ok(())
    }

    pub(crate) fn create_database(
        &mut self,
        catalog: &str,
        database: &str,
        if_not_exists: bool,
    ) -> SqlResult<()> {
        let Some(found) = self.catalogs.get_mut(catalog) else { return Err(self.no_catalog(catalog)) };
        if found.contains_key(database) {
            if if_not_exists {
                return Ok(());
            }
            return Err(SqlError::name(format!("there is a database '{catalog}.{database}' already")));
        }
        found.insert(database.to_owned(), Database::default());
        Ok(())
    }

    pub(crate) fn drop_catalog(&mut self, name: &str, if_exists: bool) -> SqlResult<()> {
        if name == self.current_catalog {
            return Err(SqlError::semantic(format!("'{name}' is the current catalog"))
                .hint("use another one before: USE CATALOG"));
        }
        if self.catalogs.remove(name).is_none() && !if_exists {
            return Err(self.no_catalog(name));
        }
        self.temporary.retain(|path, _| path.catalog != name);
        Ok(())
    }

    pub(crate) fn drop_database(
        &mut self,
        catalog: &str,
        database: &str,
        if_exists: bool,
        cascade: bool,
    ) -> SqlResult<()> {
        let Some(found) = self.catalogs.get_mut(catalog) else { return Err(self.no_catalog(catalog)) };
        match found.get(database) {
            None if if_exists => Ok(()),
            None => Err(no_database(catalog, database, found)),
            Some(_) if catalog == self.current_catalog && database == self.current_database => {
                Err(SqlError::semantic(format!("'{catalog}.{database}' is the current database"))
                    .hint("use another one before: USE"))
            }
            Some(contents) if !contents.objects.is_empty() && !cascade => {
                Err(SqlError::semantic(format!("the database '{catalog}.{database}' is not empty"))
                    .hint("write CASCADE to drop its tables and views too"))
            }
            Some(_) => {
                found.remove(database);
                Ok(())
            }
        }
    }

    pub(crate) fn catalogs(&self) -> Vec<String> {
        self.catalogs.keys().cloned().collect()
    }

    pub(crate) fn databases(&self, catalog: &str) -> Vec<String> {
        self.catalogs.get(catalog).map(|databases| databases.keys().cloned().collect()).unwrap_or_default()
    }
}

fn no_database(catalog: &str, database: &str, known: &BTreeMap<String, Database>) -> SqlError {
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    SqlError::name(format!("there is no database '{database}' in the catalog '{catalog}'"))
        .hint(format!("there are: {}", known.join(", ")))
}
