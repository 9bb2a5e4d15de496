//! Runs the files of `tests/it/slt`: queries with the rows that they must give, in the form of `sqllogictest`.
//!
//! ```text
//! # A comment.
//! statement ok
//! CREATE TEMPORARY VIEW v AS SELECT 1 AS a
//!
//! query
//! SELECT a FROM v
//! ----
//! [1]
//!
//! query error division by zero
//! SELECT 1 / a FROM (VALUES (0)) AS t (a)
//! ```
//!
//! Rows are JSON arrays, in any order, as `tidemill run --format jsonl` prints them; doubles are equal when 9 digits are. Parts are
//! separated by empty lines. The rows are those that Apache Flink 2.3.0 gives, unless a comment says otherwise. With
//! `TIDEMILL_BLESS=1` the rows that come are written down; look at what that changes.
//!
//! Every function of the registry occurs in one of the files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tidemill_connectors::{CsvOptions, FileFormat, FileSource};
use tidemill_sql::connector::{
    ConnectorOption, Connectors, SinkRequest, SourceRequest, TableFactory, TableSink, TableSource,
};
use tidemill_sql::functions::reference;
use tidemill_sql::{SqlError, SqlResult, SqlSession};

use super::running::run;

/// Files of comma-separated values in `tests/it/data`.
struct Files;

impl TableFactory for Files {
    fn identifier(&self) -> &'static str {
        "file"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        &[ConnectorOption { key: "path", required: true, description: "the name of the file" }]
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let path = folder("data").join(request.options.required("path")?);
        let csv = CsvOptions::new().null_literal("NULL").field_names(request.stored.iter().copied());
        let source =
            FileSource::new(path.display().to_string(), FileFormat::from(csv), Arc::clone(&request.schema))
                .map_err(|error| SqlError::option(error.to_string()))?;
        Ok(TableSource { source: Arc::new(source) })
    }

    fn sink(&self, _: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Err(SqlError::semantic("files are read only here"))
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(name)
}

fn session() -> SqlSession {
    let mut connectors = Connectors::default();
    connectors.add(Files);
    SqlSession::new(connectors, BTreeMap::new())
}

/// A part of a file: its first line, the statement, the rows.
struct Part {
    line: usize,
    head: String,
    statement: String,
    rows: Vec<String>,
    comments: Vec<String>,
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut comments = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.starts_with('#') || line.trim().is_empty() {
            comments.push(line.to_owned());
            continue;
        }
        let mut statement = String::new();
        let mut rows = Vec::new();
        let mut is_result = false;
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            if line == "----" {
                is_result = true;
            } else if is_result {
                rows.push(line.to_owned());
            } else {
                statement += line;
                statement.push('\n');
            }
        }
        let comments = std::mem::take(&mut comments);
        parts.push(Part { line: number + 1, head: line.to_owned(), statement, rows, comments });
    }
    parts
}

/// A row such that equal rows are equal texts.
fn normal(row: &str) -> String {
    fn cell(value: &Value) -> String {
        match value {
            Value::Number(number) if number.is_f64() => {
                format!("{:.9e}", number.as_f64().unwrap_or_default())
            }
            Value::Array(cells) => format!("[{}]", cells.iter().map(cell).collect::<Vec<_>>().join(", ")),
            Value::Object(members) => {
                let members: Vec<String> =
                    members.iter().map(|(key, value)| format!("{key:?}: {}", cell(value))).collect();
                format!("{{{}}}", members.join(", "))
            }
            other => other.to_string(),
        }
    }
    let value: Value = serde_json::from_str(row).unwrap_or_else(|error| panic!("{error}: {row}"));
    cell(&value)
}

fn sorted(rows: &[String]) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(|row| normal(row)).collect();
    rows.sort_unstable();
    rows
}

/// Runs a file; answers what is wrong, and how the file would be right.
fn check(text: &str) -> (Vec<String>, String) {
    let mut session = session();
    let (mut wrong, mut blessed) = (Vec::new(), String::new());
    for part in parts(text) {
        let Part { line, head, statement, rows, comments } = &part;
        comments.iter().for_each(|comment| writeln!(blessed, "{comment}").unwrap());
        let found = run(&mut session, statement);
        let mut as_found = (head.clone(), Vec::new());
        match (head.as_str(), found) {
            ("statement ok", Ok(_)) => {}
            ("query", Ok(found)) => {
                if sorted(&found) != sorted(rows) {
                    wrong.push(format!("line {line}: {statement}gives {found:#?}\ninstead of {rows:#?}"));
                    let mut found = found;
                    found.sort_unstable();
                    as_found.1 = found;
                } else {
                    as_found.1.clone_from(rows);
                }
            }
            (head, Err(error)) => match head.strip_prefix("query error ") {
                Some(expected) if error.contains(expected) => {}
                _ => {
                    wrong.push(format!("line {line}: {statement}fails: {error}"));
                    as_found.0 = format!("query error {}", error.lines().next().unwrap_or_default());
                }
            },
            (head, Ok(found)) => {
                wrong.push(format!("line {line}: {statement}gives {found:#?} instead of '{head}'"));
                as_found = ("query".to_owned(), found);
            }
        }
        write!(blessed, "{}\n{statement}", as_found.0).unwrap();
        if as_found.0 == "query" {
            writeln!(blessed, "----").unwrap();
        }
        as_found.1.iter().for_each(|row| writeln!(blessed, "{row}").unwrap());
    }
    (wrong, blessed)
}

fn files() -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder("slt")).unwrap().map(|file| file.unwrap().path());
    let mut all: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|ext| ext == "slt")).collect();
    all.sort();
    all
}

#[test]
fn rows_are_those_of_flink() {
    let mut wrong = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let (of_file, blessed) = check(&text);
        if !of_file.is_empty() && std::env::var_os("TIDEMILL_BLESS").is_some() {
            std::fs::write(&path, blessed).unwrap();
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        wrong.extend(of_file.into_iter().map(|what| format!("{name}, {what}")));
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Whether `name` stands in `text` as a word, or as a symbol.
fn occurs(name: &str, text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let bounded = |edge: Option<char>, neighbour: Option<char>| {
            !(edge.is_some_and(is_word) && neighbour.is_some_and(is_word))
        };
        bounded(name.chars().next(), before.chars().next_back())
            && bounded(name.chars().next_back(), after.chars().next())
    })
}

/// How a function is written that is not called by its name.
fn written(function: &reference::FunctionEntry) -> Option<&'static str> {
    match function.usage {
        "-value" => Some("- (5)"),
        "collection[index]" => Some("[2]"),
        "ARRAY[value1, value2, …]" => Some("ARRAY["),
        "MAP[key1, value1, …]" => Some("MAP["),
        "FLOOR(time TO unit)" => Some("TO MONTH)"),
        "CEIL(time TO unit)" => Some("TO YEAR)"),
        _ => None,
    }
}

#[test]
fn every_function_occurs_in_a_file() {
    let mut text = String::new();
    for path in files() {
        for part in parts(&std::fs::read_to_string(path).unwrap()) {
            if part.head.starts_with("query") {
                text += &part.statement.to_uppercase();
            }
        }
    }
    let missing: Vec<&str> = reference::all()
        .into_iter()
        .flat_map(|function| {
            let name = written(&function).unwrap_or(function.name);
            [name].into_iter().chain(function.aliases.iter().copied())
        })
        .filter(|name| !occurs(name, &text))
        .collect();
    assert!(missing.is_empty(), "no file in tests/it/slt calls {missing:?}");
}

#[test]
fn files_that_are_wrong_are_found() {
    let (wrong, blessed) = check("query\nSELECT 1\n----\n[2]\n\nquery error nothing\nSELECT x\n");
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(
        blessed.starts_with("query\nSELECT 1\n----\n[1]\n\nquery error there is no column 'x'"),
        "{blessed}"
    );
    assert!(check(&blessed).0.is_empty());
}
