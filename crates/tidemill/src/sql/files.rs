//! Files that stand in `FROM`: their columns are found out by looking into them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::OnceLock;

use tidemill_connectors::{ConnectorError, infer_csv_schema_with, infer_json_schema_with};
use tidemill_core::ScratchFolder;
use tidemill_sql::connector::TableOptions;
use tidemill_sql::error::nearest;
use tidemill_sql::files::{FileTable, FileTables, logical_type};
use tidemill_sql::{SqlError, SqlResult};

use super::connectors::{csv_in, json_in};

/// So many records say what columns there are.
const LOOKED_AT: usize = 20_000;

/// Looks into files.
#[derive(Debug, Default)]
pub(super) struct Files {
    stdin: OnceLock<Stdin>,
}

/// What was read from standard input: it is needed twice, to find out its columns and to read its rows, so it becomes a file.
#[derive(Debug)]
struct Stdin {
    folder: ScratchFolder,
    path: String,
    format: &'static str,
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.folder.delete();
    }
}

/// Names of standard input.
const STDIN: [&str; 2] = ["-", "/dev/stdin"];

/// The formats, by how names of files end. Formats that bring their schema along belong here, too.
const FORMATS: [(&str, &[&str]); 2] = [("csv", &["csv"]), ("json", &["json", "jsonl", "ndjson"])];
/// What may stand behind that.
const COMPRESSIONS: [&str; 6] = ["gz", "gzip", "zst", "zstd", "bz2", "xz"];

impl FileTables for Files {
    fn table(&self, path: &str, hinted: &[(String, String)]) -> SqlResult<FileTable> {
        let mut options: BTreeMap<String, String> = hinted.iter().cloned().collect();
        for key in ["connector", "path"] {
            if options.contains_key(key) {
                return Err(SqlError::option(format!("'{key}' of the file '{path}' cannot be another one")));
            }
        }
        if STDIN.contains(&path) {
            let stdin = self.stdin()?;
            options.entry("format".to_owned()).or_insert_with(|| stdin.format.to_owned());
            return of_file(path, &stdin.path, options);
        }
        let plain = path.strip_prefix("file://").or_else(|| path.strip_prefix("file:")).unwrap_or(path);
        if plain.contains("://") {
            return Err(SqlError::unsupported(format!("'{path}': only local files can be read")));
        }
        let format = match options.get("format") {
            Some(format) => format.clone(),
            None => match format_of(plain)? {
                Some(format) => format.to_owned(),
                None => return Err(unknown_format(plain)),
            },
        };
        options.insert("format".to_owned(), format);
        of_file(path, plain, options)
    }
}

impl Files {
    fn stdin(&self) -> SqlResult<&Stdin> {
        if let Some(stdin) = self.stdin.get() {
            return Ok(stdin);
        }
        let mut input = std::io::stdin();
        if input.is_terminal() {
            return Err(SqlError::semantic("standard input is a terminal, not a file"));
        }
        let failed = |error: std::io::Error| SqlError::semantic(format!("standard input: {error}"));
        let folder = ScratchFolder::within(std::env::temp_dir());
        let path = folder.create().map_err(failed)?.join("stdin");
        // From here on the folder is deleted, whatever happens.
        let mut stdin = Stdin { folder, path: path.display().to_string(), format: "csv" };
        let mut file = std::fs::File::create(&path).map_err(failed)?;
        if std::io::copy(&mut input, &mut file).map_err(failed)? == 0 {
            return Err(SqlError::semantic("standard input is empty; is the script read from it, too?"));
        }
        let mut start = Vec::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(1024).read_to_end(&mut start))
            .map_err(failed)?;
        if start.trim_ascii_start().first() == Some(&b'{') {
            stdin.format = "json";
        }
        Ok(self.stdin.get_or_init(|| stdin))
    }
}

/// What the file at `plain` has, which is called `path`.
fn of_file(path: &str, plain: &str, mut options: BTreeMap<String, String>) -> SqlResult<FileTable> {
    let format = options.get("format").cloned().unwrap_or_default();
    options.insert("connector".to_owned(), "filesystem".to_owned());
    options.insert("path".to_owned(), plain.to_owned());
    if format == "csv" {
        options.entry("csv.header".to_owned()).or_insert_with(|| "by-name".to_owned());
    }
    let of_table = TableOptions::new(format!("'{path}'"), options.clone());
    let schema = match format.as_str() {
        "csv" => infer_csv_schema_with(plain, &csv_in(&of_table, &[])?, LOOKED_AT),
        "json" => infer_json_schema_with(plain, &json_in(&of_table)?, LOOKED_AT),
        other => {
            return Err(SqlError::option(format!("there is no format '{other}' of files: csv or json")));
        }
    };
    let schema = schema.map_err(|error| refused(plain, error))?;
    let columns = schema.fields().iter().map(|field| {
        let logical = logical_type(field.data_type()).ok_or_else(|| {
            let (name, found) = (field.name(), field.data_type());
            SqlError::types(format!("the column '{name}' of '{path}' has no type of SQL: {found}"))
        })?;
        Ok((field.name().clone(), logical))
    });
    Ok(FileTable { columns: columns.collect::<SqlResult<_>>()?, options })
}

/// The format of a file or pattern by its name, of a folder by the first of its files that has one.
fn format_of(path: &str) -> SqlResult<Option<&'static str>> {
    let place = Path::new(path);
    if !place.is_dir() {
        return Ok(of_name(place));
    }
    let entries =
        std::fs::read_dir(place).map_err(|error| SqlError::semantic(format!("'{path}': {error}")))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort_unstable();
    Ok(files.iter().find_map(|file| of_name(file)))
}

fn of_name(path: &Path) -> Option<&'static str> {
    let extension = |path: &Path| path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    let mut last = extension(path)?;
    if COMPRESSIONS.contains(&last.as_str()) {
        last = extension(Path::new(path.file_stem()?))?;
    }
    FORMATS.iter().find(|(_, endings)| endings.contains(&last.as_str())).map(|(format, _)| *format)
}

fn unknown_format(path: &str) -> SqlError {
    // What is not there has no format either, but that it is not there says more.
    if !Path::new(path).exists() && !path.contains(['*', '?', '[']) {
        return missing(path);
    }
    let endings: Vec<String> =
        FORMATS.iter().flat_map(|(_, endings)| *endings).map(|ending| format!(".{ending}")).collect();
    SqlError::option(format!("'{path}' does not say by its name in which format it is")).hint(format!(
        "names end with {}; or write /*+ OPTIONS('format' = 'csv') */ behind it",
        endings.join(", ")
    ))
}

fn refused(path: &str, error: ConnectorError) -> SqlError {
    match error {
        ConnectorError::PathNotFound { .. } => missing(path),
        other => SqlError::semantic(other.to_string()),
    }
}

fn missing(path: &str) -> SqlError {
    let place = Path::new(path);
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let error = SqlError::name(format!("there is no file '{path}'"));
    let Ok(entries) = std::fs::read_dir(folder) else {
        return error.hint(format!("there is no folder '{}' either", folder.display()));
    };
    let names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let wanted = place.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean '{}'?", place.with_file_name(near).display())),
        None => {
            let here = std::env::current_dir().unwrap_or_default();
            error.hint(format!("paths are relative to the working directory, {}", here.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format() {
        for (name, format) in [
            ("flights.csv", Some("csv")),
            ("a/b.CSV.gz", Some("csv")),
            ("bids.jsonl.zst", Some("json")),
            ("2013-*.ndjson", Some("json")),
            ("flights.gz", None),
            ("flights", None),
            (".csv", None),
        ] {
            assert_eq!(of_name(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn a_missing_file_names_the_nearest() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flights.csv"), "a\n1\n").unwrap();
        let path = folder.path().join("flihgts.csv");
        let error = Files::default().table(path.to_str().unwrap(), &[]).unwrap_err().to_string();
        assert!(error.contains("there is no file") && error.contains("flights.csv'?"), "{error}");
        let error = Files::default().table("/nowhere/at/all.csv", &[]).unwrap_err().to_string();
        assert!(error.contains("there is no folder '/nowhere/at' either"), "{error}");
    }

    #[test]
    fn hints_say_the_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("delays.txt");
        std::fs::write(&path, "JFK;12\nLGA;NA\n").unwrap();
        let path = path.to_str().unwrap();
        assert!(
            Files::default().table(path, &[]).unwrap_err().to_string().contains("in which format"),
            "{path}"
        );
        let hint = [
            ("format", "csv"),
            ("csv.field-delimiter", ";"),
            ("csv.null-literal", "NA"),
            ("csv.header", "none"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let found = Files::default().table(path, &hint).unwrap();
        let columns: Vec<String> =
            found.columns.iter().map(|(name, logical)| format!("{name} {logical}")).collect();
        assert_eq!(columns, ["f0 STRING", "f1 BIGINT"]);
    }
}
