//! The connectors that tables may name.

mod filesystem;
mod formats;
mod generated;
mod terminal;

pub(super) use formats::{csv_in, json_in};
use tidemill_sql::connector::{ConnectorOption, Connectors, TableOptions};
use tidemill_sql::{SqlError, SqlResult};

/// All connectors.
pub(crate) fn all() -> Connectors {
    let mut connectors = Connectors::default();
    connectors.add(filesystem::Filesystem);
    connectors.add(generated::DataGen);
    connectors.add(generated::Nexmark);
    connectors.add(terminal::Print);
    connectors.add(terminal::Blackhole);
    connectors
}

const fn optional(key: &'static str, description: &'static str) -> ConnectorOption {
    ConnectorOption { key, required: false, description }
}

const fn required(key: &'static str, description: &'static str) -> ConnectorOption {
    ConnectorOption { key, required: true, description }
}

/// An error of a connector about a table.
fn of_table(table: &str, error: &dyn std::fmt::Display) -> SqlError {
    SqlError::option(format!("the table '{table}': {error}"))
}

fn only_sink(table: &str, connector: &str) -> SqlError {
    SqlError::semantic(format!("the table '{table}' cannot be read: '{connector}' is a sink"))
}

fn only_source(table: &str, connector: &str) -> SqlError {
    SqlError::semantic(format!("the table '{table}' cannot be written to: '{connector}' is a source"))
}

fn is_true(options: &TableOptions, key: &str) -> SqlResult<Option<bool>> {
    options.parsed::<bool>(key, "true or false")
}
