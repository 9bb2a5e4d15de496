//! Scripts that are checked here and run elsewhere: their files may be where only a cluster finds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::config::Configuration;
use tidemill_sql::connector::{
    ConnectorOption, MetadataKey, SinkRequest, SourceRequest, TableFactory, TableOptions, TableSink,
    TableSource,
};
use tidemill_sql::lookup::{LookupRequest, TableLookup};
use tidemill_sql::parser::parse_script;
use tidemill_sql::parser::statement::Script;
use tidemill_sql::{Planned, SqlResult, SqlSession};

use super::connectors;
use crate::Error;

/// A script, and what its statements would become here.
pub(crate) struct Checked {
    pub(crate) script: Script,
    /// One for each of its statements.
    pub(crate) planned: Vec<Planned>,
}

/// Checks all of a script without running anything of it.
pub(crate) fn check_script(text: &str, configuration: &Configuration) -> Result<Checked, Error> {
    let defaults: BTreeMap<String, String> =
        configuration.iter().map(|(key, entry)| (key.to_owned(), entry.value.clone())).collect();
    let mut known = connectors::all();
    if let Some(files) = known.named("filesystem").map(Arc::clone) {
        known.replace(Elsewhere(files));
    }
    let mut session = SqlSession::new(known, defaults);
    let planned = session.plan_script(text)?;
    Ok(Checked { script: parse_script(text)?, planned })
}

/// The connector of files with which a path may be anywhere.
struct Elsewhere(Arc<dyn TableFactory>);

/// The options of a table, such that a file in a store that is not reached from here passes for one that is.
fn here(table: &str, options: &TableOptions) -> TableOptions {
    let values = options.keys().filter_map(|key| Some((key.to_owned(), options.get(key)?.to_owned())));
    let mut values: BTreeMap<String, String> = values.collect();
    if let Some(path) = values.get_mut("path")
        && let Some((scheme, rest)) = path.split_once("://")
        && scheme != "file"
    {
        *path = format!("/{rest}");
    }
    TableOptions::new(table, values)
}

impl TableFactory for Elsewhere {
    fn identifier(&self) -> &'static str {
        self.0.identifier()
    }

    fn options(&self) -> &'static [ConnectorOption] {
        self.0.options()
    }

    fn metadata(&self) -> &'static [MetadataKey] {
        self.0.metadata()
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let options = here(request.table, request.options);
        self.0.source(&SourceRequest {
            schema: Arc::clone(&request.schema),
            partition_filter: request.partition_filter.clone(),
            options: &options,
            ..*request
        })
    }

    fn lookup(&self, request: &LookupRequest<'_>) -> SqlResult<Option<TableLookup>> {
        let options = here(request.table, request.options);
        self.0.lookup(&LookupRequest { schema: Arc::clone(&request.schema), options: &options, ..*request })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let options = here(request.table, request.options);
        self.0.sink(&SinkRequest { schema: Arc::clone(&request.schema), options: &options, ..*request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_may_be_anywhere_but_must_be_right() {
        let check = |path: &str, query: &str| {
            let script = format!(
                "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv');\n{query};"
            );
            check_script(&script, &Configuration::new()).map(|checked| checked.planned.len())
        };
        assert_eq!(check("s3://bucket/t.csv", "SELECT a FROM t").unwrap(), 2);
        assert_eq!(check("hdfs://name:9000/t", "INSERT INTO t SELECT a FROM t").unwrap(), 2);
        assert_eq!(check("/nowhere/t.csv", "SELECT a FROM t").unwrap(), 2);
        let error = check("s3://bucket/t.csv", "SELECT b FROM t").unwrap_err().to_string();
        assert!(error.contains("line 2, column 8"), "{error}");
    }
}
