//! How tables become sources and sinks: what a connector implements to be named in `WITH ('connector' = …)`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use tidemill_runtime::OperatorFactory;
use tidemill_runtime::source::Source;

use crate::error::{SqlError, SqlResult, nearest};
use crate::lookup::{LookupRequest, TableLookup};

/// A connector.
pub trait TableFactory: Send + Sync {
    /// The name that `'connector'` says.
    fn identifier(&self) -> &'static str;

    /// Which options it has, besides `'connector'`.
    fn options(&self) -> &'static [ConnectorOption];

    /// What it knows of rows beside their columns: the keys of `METADATA FROM`.
    fn metadata(&self) -> &'static [MetadataKey] {
        &[]
    }

    /// Which changes of rows its sources give. Said before a source is asked for: one that gives the last row of each primary key is
    /// always asked for the columns of that.
    ///
    /// # Errors
    /// When an option that this depends on is wrong.
    fn source_changes(&self, _: &TableOptions) -> SqlResult<SourceChanges> {
        Ok(SourceChanges::Insert)
    }

    /// A source of the table.
    ///
    /// # Errors
    /// When an option is wrong, or the connector cannot be read from.
    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource>;

    /// How rows of the table are looked up by keys while a job runs; `None` when the connector cannot do that. A table that is
    /// bounded can be joined all the same: it is read whole.
    ///
    /// # Errors
    /// When an option is wrong.
    fn lookup(&self, request: &LookupRequest<'_>) -> SqlResult<Option<TableLookup>> {
        let _ = request;
        Ok(None)
    }

    /// A sink of the table.
    ///
    /// # Errors
    /// When an option is wrong, or the connector cannot be written to.
    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink>;
}

/// An option of a connector. A key that ends in `.*` stands for all that begin so; `#` in it stands for the name of a column.
#[derive(Clone, Copy, Debug)]
pub struct ConnectorOption {
    /// Its key.
    pub key: &'static str,
    /// Whether a table must have it.
    pub required: bool,
    /// What it does.
    pub description: &'static str,
}

/// What a connector knows of rows beside their columns.
#[derive(Clone, Copy, Debug)]
pub struct MetadataKey {
    /// What it is called.
    pub key: &'static str,
    /// The type that it has.
    pub data_type: &'static str,
}

/// Says of partitions whether they are to be read. Called with their columns, one row for each: those of the table's partition
/// columns that are read, in the order in which they are.
pub type PartitionFilter = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray, String> + Send + Sync>;

/// How a column is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Compared {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What rows fulfil that are not dropped after the source.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The number of a column that is read.
    pub column: usize,
    /// How it is compared.
    pub compared: Compared,
    /// With what: values of the type of the column, for one of which it holds. Several there are of `Equal` only.
    pub values: ArrayRef,
}

/// A source that is wanted.
pub struct SourceRequest<'a> {
    /// The full name of the table.
    pub table: &'a str,
    /// The columns that are read, in this order; rows may have lost fields that nobody reads.
    pub schema: SchemaRef,
    /// The names of all columns that the table stores, in the order of the table.
    pub stored: &'a [&'a str],
    /// The names of the columns that the table is partitioned by.
    pub partitioned_by: &'a [&'a str],
    /// The numbers of columns that are metadata, and its keys, which are among those of the connector.
    pub metadata: &'a [(usize, &'a str)],
    /// Which partitions are read: rows of others may come, they are dropped.
    pub partition_filter: Option<PartitionFilter>,
    /// What the rows fulfil that are read: others may come, they are dropped.
    pub conditions: &'a [Condition],
    /// The options of the table.
    pub options: &'a TableOptions,
}

/// A source of a table.
pub struct TableSource {
    /// Emits batches of the columns that were asked for.
    pub source: Arc<dyn Source>,
}

/// Which changes of rows a source gives: the kinds of the rows of its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceChanges {
    /// Rows are added only.
    #[default]
    Insert,
    /// Rows are added, updated and taken away. Updates say the old row, then the new one.
    All,
    /// For each value of the primary key, which the table must have, the row that it has from now on, added or updated as the
    /// source likes; or that it has none any more. What has been before is not said. All changes of a value of the key come from
    /// one split, in their order.
    Upsert {
        /// Whether rows that are taken away say the columns of the key only, and NULL in the others.
        key_only_deletes: bool,
    },
}

/// A sink that is wanted.
#[derive(Debug)]
pub struct SinkRequest<'a> {
    /// The full name of the table.
    pub table: &'a str,
    /// The columns that are written.
    pub schema: SchemaRef,
    /// The options of the table.
    pub options: &'a TableOptions,
    /// The columns that the table is partitioned by.
    pub partitioned_by: &'a [usize],
    /// The columns of the primary key.
    pub primary_key: &'a [usize],
}

/// A sink of a table.
pub struct TableSink {
    /// Takes batches of rows.
    pub operator: Arc<dyn OperatorFactory>,
    /// Which changes it takes.
    pub changes: SinkChanges,
    /// The columns whose equal values are to come to one subtask; empty when it does not matter.
    pub shuffled_by: Vec<usize>,
}

/// Which changes a sink takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkChanges {
    /// Rows are added only.
    Insert,
    /// Any but the old rows of updates, which nobody then has to keep or compute. When the table has a primary key and the query
    /// updates rows, this is `Upsert` by it.
    NoUpdateBefore,
    /// For each value of the primary key, which the table must have, the row that it has from now on, an insert or an update; or a delete.
    /// Old rows of updates never come: a row with the same key replaces the one before. All changes of a value of the key come to one
    /// subtask, in their order.
    Upsert {
        /// Whether the columns of the key are enough of rows that are taken away. Others may be NULL then, even where the table
        /// says that they are not.
        key_only_deletes: bool,
    },
    /// Any.
    All,
}

/// The options of a table.
#[derive(Debug)]
pub struct TableOptions {
    table: String,
    options: BTreeMap<String, String>,
    used: RefCell<BTreeSet<String>>,
}

impl TableOptions {
    /// `options` of the table called `table`.
    pub fn new(table: impl Into<String>, options: BTreeMap<String, String>) -> Self {
        Self { table: table.into(), options, used: RefCell::default() }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.used.borrow_mut().insert(key.to_owned());
        self.options.get(key).map(String::as_str)
    }

    /// The value of `key`, which must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, key: &str) -> SqlResult<&str> {
        self.get(key).ok_or_else(|| {
            SqlError::option(format!("the table '{}' needs the option '{key}'", self.table))
                .hint(format!("add it: WITH ('{key}' = '…', …)"))
        })
    }

    /// The value of `key` as a `T`.
    ///
    /// # Errors
    /// When it is none; `expected` says what it should be.
    pub fn parsed<T: FromStr>(&self, key: &str, expected: &str) -> SqlResult<Option<T>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match text.trim().parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(SqlError::option(format!(
                "the option '{key}' of the table '{}' is '{text}', but {expected} is expected",
                self.table
            ))),
        }
    }

    /// The value of `key` as a duration, such as `5 min`.
    ///
    /// # Errors
    /// When it is none.
    pub fn duration(&self, key: &str) -> SqlResult<Option<std::time::Duration>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        tidemill_core::config::parse_duration(text).map(Some).map_err(|_| {
            SqlError::option(format!(
                "the option '{key}' of the table '{}' is '{text}', but a duration is expected, such as '5 min'",
                self.table
            ))
        })
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.options.keys().map(String::as_str)
    }

    /// An error about the option `key`.
    pub fn wrong(&self, key: &str, problem: &str) -> SqlError {
        let value = self.options.get(key).map(String::as_str).unwrap_or_default();
        SqlError::option(format!("the option '{key}' = '{value}' of the table '{}': {problem}", self.table))
    }

    /// That all keys are among `known`.
    ///
    /// # Errors
    /// Names the first that is not, and the one that is most like it.
    pub fn check(&self, connector: &str, known: &[ConnectorOption]) -> SqlResult<()> {
        let matches = |option: &ConnectorOption, key: &str| match option.key.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => match option.key.split_once('#') {
                Some((before, after)) => {
                    key.len() > before.len() + after.len() && key.starts_with(before) && key.ends_with(after)
                }
                None => option.key == key,
            },
        };
        for key in self.options.keys().filter(|key| *key != "connector") {
            if !known.iter().any(|option| matches(option, key)) {
                let error = SqlError::option(format!(
                    "the table '{}' has the option '{key}', which the connector '{connector}' does not know",
                    self.table
                ));
                return Err(match nearest(key, known.iter().map(|option| option.key)) {
                    Some(near) => error.hint(format!("did you mean '{near}'?")),
                    None => {
                        let all: Vec<&str> = known.iter().map(|option| option.key).collect();
                        error.hint(format!("its options are: {}", all.join(", ")))
                    }
                });
            }
        }
        for option in known.iter().filter(|option| option.required) {
            self.required(option.key)?;
        }
        Ok(())
    }
}

/// The connectors that there are.
#[derive(Clone, Default)]
pub struct Connectors(Vec<Arc<dyn TableFactory>>);

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|factory| factory.identifier())).finish()
    }
}

impl Connectors {
    /// Adds a connector.
    pub fn add(&mut self, factory: impl TableFactory + 'static) {
        self.0.push(Arc::new(factory));
    }

    /// The same with each connector exchanged for what `wrap` makes of it.
    #[must_use]
    pub fn map<F: TableFactory + 'static>(self, wrap: impl Fn(Arc<dyn TableFactory>) -> Arc<F>) -> Self {
        Self(self.0.into_iter().map(|factory| wrap(factory) as Arc<dyn TableFactory>).collect())
    }

    /// The names of all connectors.
    pub fn identifiers(&self) -> Vec<&'static str> {
        self.0.iter().map(|factory| factory.identifier()).collect()
    }

    /// The keys of the options of all connectors, each once.
    pub fn option_keys(&self) -> Vec<&'static str> {
        let keys: BTreeSet<&'static str> =
            self.0.iter().flat_map(|factory| factory.options()).map(|option| option.key).collect();
        keys.into_iter().collect()
    }

    /// Adds a connector in the place of the one of its name, if there is one.
    pub fn replace(&mut self, factory: impl TableFactory + 'static) {
        self.0.retain(|other| other.identifier() != factory.identifier());
        self.add(factory);
    }

    /// The connector of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn TableFactory>> {
        self.0.iter().find(|factory| factory.identifier() == name)
    }

    /// The connector that `options` name.
    ///
    /// # Errors
    /// When they name none, or one that there is not; or have options that it does not.
    pub fn find(&self, table: &str, options: &TableOptions) -> SqlResult<&dyn TableFactory> {
        let known: Vec<&str> = self.0.iter().map(|factory| factory.identifier()).collect();
        let Some(name) = options.get("connector") else {
            return Err(SqlError::option(format!("the table '{table}' says no connector"))
                .hint(format!("write WITH ('connector' = '…'): there are {}", known.join(", "))));
        };
        let found = self.0.iter().find(|factory| factory.identifier() == name);
        let Some(factory) = found else {
            let error =
                SqlError::option(format!("the table '{table}' has the connector '{name}', which is unknown"));
            return Err(match nearest(name, known.iter().copied()) {
                Some(near) => error.hint(format!("did you mean '{near}'?")),
                None => error.hint(format!("there are: {}", known.join(", "))),
            });
        };
        options.check(name, factory.options())?;
        Ok(&**factory)
    }
}
