//! Files in quotes where a table is expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Binder;
use crate::catalog::{ColumnSource, ObjectPath, Table, TableColumn};
use crate::error::{SqlError, SqlResult};
use crate::plan::Rel;

impl Binder<'_> {
    /// A scan of the file, folder or pattern at `path`.
    pub(super) fn file(&mut self, path: &str, options: Vec<(String, String)>) -> SqlResult<Rel> {
        let Some(files) = self.shared.borrow().files.clone() else {
            return Err(SqlError::name(format!("there is no table '{path}', and files are not read here"))
                .hint("create a table with 'connector' = 'filesystem'"));
        };
        let found = files.table(path, &options)?;
        let columns = found.columns.into_iter().map(|(name, logical)| TableColumn {
            name,
            logical,
            source: ColumnSource::Physical,
            comment: None,
        });
        let table = Table {
            path: ObjectPath {
                catalog: self.catalogs.current_catalog.clone(),
                database: self.catalogs.current_database.clone(),
                // No table of a catalog is called so, as it would have to be one with this very path.
                name: format!("'{path}'"),
            },
            columns: columns.collect(),
            watermark: None,
            primary_key: Vec::new(),
            partitioned_by: Vec::new(),
            options: found.options.into_iter().collect::<BTreeMap<_, _>>(),
            comment: None,
        };
        self.scan(&Arc::new(table), options)
    }
}
