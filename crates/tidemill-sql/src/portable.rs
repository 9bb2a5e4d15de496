//! What of a script Apache Flink does not have: a script that is to go there is refused with the place of the first such thing.
//!
//! Flink's own connectors and formats, with their options, are those of its distribution 2.3; what a cluster has besides, it
//! says itself.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Position, SqlError, SqlResult, nearest};
use crate::parser::statement::{AlterTable, CreateTable, Script, ScriptStatement, Statement, TableOption};

/// What a connector or a format of Flink is told.
struct Known {
    name: &'static str,
    options: &'static [&'static str],
}

/// Options of every source; those of every sink are among a connector's own.
const OF_SOURCES: &[&str] = &["property-version", "scan.watermark."];

#[rustfmt::skip]
const CONNECTORS: &[Known] = &[
    Known { name: "blackhole", options: &[] },
    Known {
        name: "datagen",
        options: &["fields.", "number-of-rows", "rows-per-second", "scan.parallelism"],
    },
    Known {
        name: "filesystem",
        options: &[
            "auto-compaction", "compaction.file-size", "format", "partition.default-name", "partition.time-extractor.", "path",
            "sink.parallelism", "sink.partition-commit.", "sink.rolling-policy.check-interval", "sink.rolling-policy.file-size",
            "sink.rolling-policy.inactivity-interval", "sink.rolling-policy.rollover-interval",
            "sink.shuffle-by-partition.enable", "source.monitor-interval", "source.path.regex-pattern",
            "source.report-statistics",
        ],
    },
    Known { name: "print", options: &["print-identifier", "sink.parallelism", "standard-error"] },
];

#[rustfmt::skip]
const FORMATS: &[Known] = &[
    Known { name: "avro", options: &["codec", "encoding", "timestamp_mapping.legacy"] },
    Known {
        name: "csv",
        options: &[
            "allow-comments", "array-element-delimiter", "disable-quote-character", "escape-character", "field-delimiter",
            "ignore-parse-errors", "null-literal", "quote-character", "write-bigdecimal-in-scientific-notation",
        ],
    },
    Known {
        name: "json",
        options: &[
            "decode.json-parser.enabled", "encode.decimal-as-plain-number", "encode.ignore-null-fields", "fail-on-missing-field",
            "ignore-parse-errors", "map-null-key.literal", "map-null-key.mode", "timestamp-format.standard",
        ],
    },
    Known { name: "orc", options: &[""] },
    Known { name: "parquet", options: &[""] },
    Known { name: "raw", options: &["charset", "endianness"] },
];

impl Known {
    /// Whether it has an option; one that ends in a point, or is empty, stands for all that begin so.
    fn has(&self, key: &str) -> bool {
        let is = |option: &str| {
            option == key || ((option.is_empty() || option.ends_with('.')) && key.starts_with(option))
        };
        self.options.iter().any(|option| is(option))
    }
}

/// Checks that Apache Flink has the connectors and formats of a script, and their options.
///
/// ```
/// use tidemill_sql::parser::parse_script;
/// use tidemill_sql::portable::check;
///
/// let script = parse_script("CREATE TABLE t (a INT) WITH ('connector' = 'nexmark')")?;
/// let error = check(&script).unwrap_err();
/// assert!(error.message().contains("no connector 'nexmark'"));
/// assert_eq!((error.position().line, error.position().column), (1, 30));
/// # Ok::<(), tidemill_sql::error::SqlError>(())
/// ```
///
/// # Errors
/// The first thing that Flink lacks, with its place.
pub fn check(script: &Script) -> SqlResult<()> {
    let mut tables = HashMap::new();
    for statement in &script.statements {
        check_statement(statement, &mut tables)
            .map_err(|error| error.at(statement.start).in_script(&script.text))?;
    }
    Ok(())
}

/// What the options of a table have said so far of what they belong to.
#[derive(Clone, Default)]
struct Kind {
    connector: Option<String>,
    format: Option<String>,
}

impl Kind {
    /// What these options make of it.
    fn with(mut self, options: &[TableOption]) -> Self {
        for option in options {
            match option.key.as_str() {
                "connector" => self.connector = Some(option.value.clone()),
                "format" => self.format = Some(option.value.clone()),
                _ => {}
            }
        }
        self
    }
}

fn check_statement(statement: &ScriptStatement, tables: &mut HashMap<String, Kind>) -> SqlResult<()> {
    match &statement.statement {
        Statement::CreateTable(create) | Statement::CreateTableAs(create, _) => {
            let kind = kind_of(create, tables);
            check_options(&create.options, &kind)?;
            tables.insert(last_part(&create.name.to_string()), kind);
        }
        Statement::AlterTable { name, action, .. } => {
            let name = last_part(&name.to_string());
            let kind = tables.get(&name).cloned().unwrap_or_default();
            match action {
                AlterTable::Set(options) => {
                    let kind = kind.with(options);
                    check_options(options, &kind)?;
                    tables.insert(name, kind);
                }
                AlterTable::Rename(new) => {
                    tables.insert(last_part(&new.to_string()), kind);
                }
                AlterTable::Reset(_) | AlterTable::Unsupported(_) => {}
            }
        }
        Statement::Explain { statement, .. } => check_statement(statement, tables)?,
        _ => {}
    }
    Ok(())
}

fn kind_of(create: &CreateTable, tables: &HashMap<String, Kind>) -> Kind {
    let base = create.like.as_ref().and_then(|like| tables.get(&last_part(&like.table.to_string())).cloned());
    base.unwrap_or_default().with(&create.options)
}

/// The name of a table without catalog and database: it is enough to tell what a script calls by it.
fn last_part(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).trim_matches('`').to_owned()
}

fn check_options(options: &[TableOption], kind: &Kind) -> SqlResult<()> {
    let at = |key: &str| options.iter().find(|option| option.key == key).map(|option| option.position);
    let Some(connector) = &kind.connector else { return Ok(()) };
    let Some(known) = CONNECTORS.iter().find(|known| known.name == connector) else {
        let error = SqlError::unsupported(format!("Apache Flink has no connector '{connector}'"));
        let error = match connector.as_str() {
            "nexmark" => error.hint(
                "its events are made by Tidemill only: write them to files once, with INSERT INTO a table of 'filesystem', and read those",
            ),
            _ => error.hint(format!("it has: {}", names(CONNECTORS))),
        };
        return Err(error.at(at("connector").unwrap_or_default()));
    };
    let format = match &kind.format {
        None => None,
        Some(name) => match FORMATS.iter().find(|known| known.name == name) {
            Some(known) => Some(known),
            None => {
                return Err(SqlError::unsupported(format!("Apache Flink has no format '{name}'"))
                    .hint(format!("it has: {}", names(FORMATS)))
                    .at(at("format").unwrap_or_default()));
            }
        },
    };
    for option in options.iter().filter(|option| option.key != "connector") {
        check_option(option, known, format)?;
    }
    Ok(())
}

fn check_option(option: &TableOption, connector: &Known, format: Option<&Known>) -> SqlResult<()> {
    let key = option.key.as_str();
    let of_format =
        format.and_then(|format| Some((format, key.strip_prefix(format.name)?.strip_prefix('.')?)));
    let (owner, what, is_known) = match of_format {
        Some((format, key)) => (format, "format", format.has(key)),
        None => {
            let of_all = OF_SOURCES.iter().any(|option| key.starts_with(option));
            (connector, "connector", of_all || connector.has(key))
        }
    };
    if !is_known {
        let error = SqlError::unsupported(format!(
            "the {what} '{}' of Apache Flink has no option '{key}'",
            owner.name
        ));
        return Err(error.hint(advice(key, owner)).at(option.position));
    }
    if key == "path" {
        check_path(&option.value, option.position)?;
    }
    Ok(())
}

/// What to do about an option that Flink lacks.
fn advice(key: &str, owner: &Known) -> String {
    match key {
        "csv.header" => {
            "its CSV files have no header: take the first line away, or skip it with 'csv.ignore-parse-errors' or a condition"
                .to_owned()
        }
        "sink.single-file" => "its files are parts in a folder".to_owned(),
        _ => match nearest(key, owner.options.iter().copied().filter(|option| !option.is_empty())) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("leave '{key}' out of the script that goes there"),
        },
    }
}

/// A file by a path that is the same everywhere.
fn check_path(path: &str, position: Position) -> SqlResult<()> {
    if path.contains(':') || Path::new(path).is_absolute() {
        return Ok(());
    }
    Err(SqlError::unsupported(format!("the path '{path}' is relative, and means another place on each machine of a cluster"))
        .hint("write the whole path, such as 'file:///data/flights.csv' of a disk that all of them share, or 's3://bucket/flights.csv'")
        .at(position))
}

fn names(known: &[Known]) -> String {
    known.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::parse_script;

    fn refusal(script: &str) -> Option<String> {
        check(&parse_script(script).unwrap()).err().map(|error| error.to_string())
    }

    #[test]
    fn what_flink_has_is_let_pass() {
        let script = "
            CREATE TABLE a (x INT) WITH ('connector' = 'filesystem', 'path' = 'file:///data/a', 'format' = 'csv',
                'csv.null-literal' = 'NA', 'sink.parallelism' = '2', 'scan.watermark.idle-timeout' = '1 s');
            CREATE TABLE b (x INT) WITH ('connector' = 'datagen', 'fields.x.min' = '1', 'number-of-rows' = '5');
            CREATE TABLE c WITH ('csv.field-delimiter' = ';', 'path' = '/data/c') LIKE a;
            CREATE TABLE d (x INT) WITH ('connector' = 'filesystem', 'path' = 's3://b/d', 'format' = 'parquet',
                'parquet.compression' = 'ZSTD');
            ALTER TABLE a RENAME TO e;
            ALTER TABLE e SET ('csv.null-literal' = '');
            CREATE VIEW v AS SELECT * FROM a;
            INSERT INTO b SELECT * FROM v;";
        assert_eq!(refusal(script), None);
    }

    #[test]
    fn what_flink_lacks_is_refused_where_it_stands() {
        for (script, expected) in [
            (
                "CREATE TABLE t (x INT) WITH (\n 'connector' = 'nexmark')",
                "no connector 'nexmark'\n --> line 2, column 2",
            ),
            (
                "CREATE TABLE t (x INT) WITH ('connector' = 'blackhole',\n'sink.parallelism' = '2')",
                "the connector 'blackhole' of Apache Flink has no option 'sink.parallelism'\n --> line 2, column 1",
            ),
            (
                "CREATE TABLE t (x INT) WITH ('connector'='filesystem','path'='/a','format'='csv',\n'csv.header'='skip')",
                "the format 'csv' of Apache Flink has no option 'csv.header'\n --> line 2",
            ),
            (
                "CREATE TABLE t (x INT) WITH ('connector'='filesystem','path'='/a','format'='csv');
CREATE TABLE u WITH ('sink.single-file' = 'true') LIKE t",
                "has no option 'sink.single-file'\n --> line 2",
            ),
            (
                "CREATE TABLE t (x INT) WITH ('connector'='filesystem','path'='/a','format'='csv');
ALTER TABLE t SET ('format' = 'arrow')",
                "Apache Flink has no format 'arrow'\n --> line 2, column 20",
            ),
            (
                "CREATE TABLE t (x INT) WITH ('connector'='filesystem','path'='data/a','format'='csv')",
                "the path 'data/a' is relative",
            ),
            (
                "CREATE TABLE t (x INT) WITH ('connector'='print','print-identifer'='a')",
                "did you mean 'print-identifier'?",
            ),
        ] {
            let error = refusal(script).unwrap_or_default();
            assert!(error.contains(expected), "{script}: {error}");
        }
    }
}
